/* SPDX-License-Identifier: MIT */
/* stress_delays.h - loads and exchanges that sometimes take long, so that a stress test
 * meets schedules that two cores hardly ever make by themselves.
 *
 * To be included before anything else, by the compiler's -include, in every file of the
 * library that is to be slowed down. The orders stay as they are written. */
#ifndef STRESS_DELAYS_H
#define STRESS_DELAYS_H

/* Files that come after this may want it, and it must come before any header. */
#define _GNU_SOURCE

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

/* One in 64 lets another thread run, or spins for up to a microsecond or so. */
static inline void stress_delay(void)
{
    static _Thread_local uint32_t turn;

    if (turn == 0)
        turn = (uint32_t)(uintptr_t)&turn >> 4 | 1;
    turn = turn * 1664525 + 1013904223;
    if (turn >> 26 != 0)
        return;
    if (turn >> 24 == 0)
        (void)sched_yield();
    else
        for (volatile uint32_t i = turn >> 14 & 511; i != 0; i--)
            continue;
}

#undef atomic_load_explicit
#undef atomic_compare_exchange_strong_explicit

#if defined(__clang__)
#define atomic_load_explicit(p, order) (stress_delay(), __c11_atomic_load(p, order))
#define atomic_compare_exchange_strong_explicit(p, expected, value, order, failure)      \
    (stress_delay(),                                                                     \
     __c11_atomic_compare_exchange_strong(p, expected, value, order, failure))
#else
#define atomic_load_explicit(p, order)                                                   \
    __extension__({                                                                      \
        __auto_type p_ = (p);                                                            \
        __typeof__((void)0, *p_) loaded_;                                                \
                                                                                         \
        stress_delay();                                                                  \
        __atomic_load(p_, &loaded_, order);                                              \
        loaded_;                                                                         \
    })
#define atomic_compare_exchange_strong_explicit(p, expected, value, order, failure)      \
    __extension__({                                                                      \
        __auto_type p_ = (p);                                                            \
        __typeof__((void)0, *p_) desired_ = (value);                                     \
                                                                                         \
        stress_delay();                                                                  \
        __atomic_compare_exchange(p_, expected, &desired_, 0, order, failure);           \
    })
#endif

#endif /* STRESS_DELAYS_H */
