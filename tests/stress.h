/* SPDX-License-Identifier: MIT */
/* stress.h - what stress tests share: a program whose exit status tells, so what does not
 * hold ends it, on whichever thread. */
#ifndef STRESS_H
#define STRESS_H

#include "support.h"

/* Ends the program where `x` does not hold, after `first`; the rest says what is known
 * about it, as of printf(). */
#define REQUIRE_AFTER(first, x, ...)                                                     \
    do {                                                                                 \
        if (!(x)) {                                                                      \
            first;                                                                       \
            (void)fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #x);                \
            (void)fprintf(stderr, __VA_ARGS__);                                          \
            (void)fprintf(stderr, "\n");                                                 \
            abort();                                                                     \
        }                                                                                \
    } while (0)

#define REQUIRE(x, ...) REQUIRE_AFTER((void)0, x, __VA_ARGS__)

/* The same with nothing to say. */
#define REQUIRE_THAT(x) REQUIRE(x, "it does not hold")

#endif /* STRESS_H */
