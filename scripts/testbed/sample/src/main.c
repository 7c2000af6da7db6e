/* collatz START... prints how many steps each start takes, and which start up to there takes the most. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

static int parse(const char *text, uint64_t *start)
{
    char *end;

    errno = 0;
    *start = strtoull(text, &end, 10);
    return errno == 0 && *text != '-' && *text != '\0' && *end == '\0' && *start > 0;
}

int main(int argc, char **argv)
{
    uint64_t start;

    printf("collatz %s\n", VERSION);
    for (int i = 1; i < argc; i++) {
        if (!parse(argv[i], &start)) {
            fprintf(stderr, "collatz: %s is not a whole number above 0\n", argv[i]);
            return 2;
        }
        if (report_print(start) != 0)
            return 1;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
