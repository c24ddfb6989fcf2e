/* SPDX-License-Identifier: MIT */
/* random.h - numbers that a seed repeats, for whatever is to be spread or chosen; not for
 * secrets.
 *
 * Layer: 0 base. Includes base.h only.
 * Source: SplitMix64, G. Steele, D. Lea, C. Flood, OOPSLA 2014. */
#ifndef FAASI_RANDOM_H
#define FAASI_RANDOM_H

#include "base.h"

/* The next number of a state, which may start as any. */
static inline uint64_t faasi_random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

#endif /* FAASI_RANDOM_H */
