#include "collatz.h"

unsigned collatz_steps(uint64_t start)
{
    unsigned steps = 0;

    if (start == 0)
        return 0;
    while (start != 1) {
        if (start % 2 == 0) {
            start /= 2;
            steps += 1;
        } else {
            /* What is odd becomes even, so two steps are one. */
            start += start / 2 + 1;
            steps += 2;
        }
    }
    return steps;
}
