/* The Collatz sequence: halve what is even, triple what is odd and add one, until 1 is reached. */
#ifndef COLLATZ_H
#define COLLATZ_H

#include <stdint.h>

/* Steps from start to 1. A start of 0 never gets there and counts as 0 steps. */
unsigned collatz_steps(uint64_t start);

#endif
