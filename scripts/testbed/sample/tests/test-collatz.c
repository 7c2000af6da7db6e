/* Runs in the image build; the build fails when a check does. */
#include <stdio.h>

#include "collatz.h"
#include "records.h"
#include "report.h"

static int failures;

#define CHECK(condition)                                                     \
    do {                                                                     \
        if (!(condition)) {                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            failures++;                                                      \
        }                                                                    \
    } while (0)

static void test_known_sequences(void)
{
    CHECK(collatz_steps(0) == 0);
    CHECK(collatz_steps(1) == 0);
    CHECK(collatz_steps(2) == 1);
    CHECK(collatz_steps(27) == 111);
    CHECK(collatz_steps(837799) == 524);
}

static void test_records_grow(void)
{
    CHECK(records_count > 10);
    for (size_t i = 1; i < records_count; i++) {
        CHECK(records[i].start > records[i - 1].start);
        CHECK(records[i].steps > records[i - 1].steps);
    }
}

static void test_the_record_is_the_last_one_not_above(void)
{
    CHECK(report_record(1)->start == 1);
    CHECK(report_record(27)->start == 27);
    CHECK(report_record(53)->start == 27);
    CHECK(report_record(54)->start == 54);
    CHECK(report_record(records_limit + 1) == NULL);
}

int main(void)
{
    test_known_sequences();
    test_records_grow();
    test_the_record_is_the_last_one_not_above();
    printf("%s\n", failures == 0 ? "all checks passed" : "some checks failed");
    return failures == 0 ? 0 : 1;
}
