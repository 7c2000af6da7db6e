/* The starts that take longer than every smaller one. The table is found at build time by tools/find-records.c. */
#ifndef RECORDS_H
#define RECORDS_H

#include <stddef.h>
#include <stdint.h>

struct record {
    uint64_t start;
    unsigned steps;
};

extern const struct record records[];
extern const size_t records_count;
extern const uint64_t records_limit;

#endif
