/* SPDX-License-Identifier: MIT */
/* fuzz.h - what every harness has: its entry, and a way to say that something is wrong. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the program where `x` does not hold, with or without assertions. */
#define REQUIRE(x)                                                                       \
    do {                                                                                 \
        if (!(x))                                                                        \
            abort();                                                                     \
    } while (0)

#endif /* FUZZ_H */
