#ifndef REPORT_H
#define REPORT_H

#include <stdint.h>

#include "records.h"

/* The last record that is not above start, or NULL when the table knows nothing about so large a start. */
const struct record *report_record(uint64_t start);

/* Print one line about start. Returns 0, or -1 when it could not be written. */
int report_print(uint64_t start);

#endif
