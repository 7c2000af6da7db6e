#include "report.h"

#include <inttypes.h>
#include <stdio.h>

#include "collatz.h"

const struct record *report_record(uint64_t start)
{
    const struct record *found = NULL;

    if (start > records_limit)
        return NULL;
    for (size_t i = 0; i < records_count && records[i].start <= start; i++)
        found = &records[i];
    return found;
}

int report_print(uint64_t start)
{
    const struct record *record = report_record(start);

    if (printf("%" PRIu64 " takes %u steps", start, collatz_steps(start)) < 0)
        return -1;
    if (record != NULL && printf("; the record so far is %" PRIu64 " with %u", record->start, record->steps) < 0)
        return -1;
    return printf("\n") < 0 ? -1 : 0;
}
