/* SPDX-License-Identifier: MIT */
/* base.h - what every room may say without including another room.
 *
 * Layer: 0 base. Includes nothing of ours but the public vocabulary. */
#ifndef FAASI_BASE_H
#define FAASI_BASE_H

#include <faas/base.h>

#include <assert.h>
#include <stdint.h>

#define FAASI_LIKELY(x) __builtin_expect(!!(x), 1)
#define FAASI_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* The size of what two cores fight over. */
#define FAASI_CACHELINE 64

/* Every block of the library's memory is aligned to this. */
#define FAASI_ALIGN 16

/* The struct of a type that holds what is pointed to as that member. */
#define FAASI_HOLDER(type, member, pointer)                                              \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define FAASI_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Writes the thread's error text and returns `status`, so that a failing place says
 * `return faasi_fail(FAAS_EINVAL, "names.count: %zu is over %d", count, MAX);`.
 * Not for the invocation path: it formats. */
faas_status faasi_fail(faas_status status, const char *format, ...) FAAS_PRINTF(2, 3);

static inline size_t faasi_round_up(size_t size, size_t to)
{
    return (size + to - 1) / to * to;
}

#endif /* FAASI_BASE_H */
