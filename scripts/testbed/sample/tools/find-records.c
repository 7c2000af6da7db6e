/* find-records LIMIT writes the table of records up to LIMIT as C. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "collatz.h"

int main(int argc, char **argv)
{
    uint64_t limit = argc == 2 ? strtoull(argv[1], NULL, 10) : 0;
    unsigned longest = 0;

    if (limit == 0) {
        fprintf(stderr, "usage: find-records LIMIT\n");
        return 2;
    }
    printf("#include \"records.h\"\n\nconst struct record records[] = {\n");
    for (uint64_t start = 1; start <= limit; start++) {
        unsigned steps = collatz_steps(start);

        if (start == 1 || steps > longest) {
            longest = steps;
            printf("    {%" PRIu64 "u, %u},\n", start, steps);
        }
    }
    printf("};\nconst size_t records_count = sizeof(records) / sizeof(records[0]);\n");
    printf("const uint64_t records_limit = %" PRIu64 "u;\n", limit);
    return fflush(stdout) == 0 ? 0 : 1;
}
