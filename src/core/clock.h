/* SPDX-License-Identifier: MIT */
/* clock.h - time for everybody: raw ticks on the path of an invocation, nanoseconds
 * elsewhere, and a clock that tests move by hand.
 *
 * A tick is one count of the processor's time stamp counter where that counter is
 * invariant and the kernel itself keeps time by it, one nanosecond elsewhere and on a
 * virtual clock. The counter is read without a barrier, so that between two threads it
 * may seem to run backwards by some hundred ticks: differences across threads are taken
 * with faasi_ticks_since(), which stops at zero.
 *
 * Layer: 0 base. Includes base.h and sync.h.
 * Locks: a virtual clock's own, taken before any lock of its listeners. */
#ifndef FAASI_CLOCK_H
#define FAASI_CLOCK_H

#include "base.h"
#include "sync.h"

#include <faas/clock.h>

#include <stdatomic.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#define FAASI_HAVE_TSC 1
#endif

enum faasi_clock_source {
    FAASI_CLOCK_VIRTUAL, /* stands still until it is moved */
    FAASI_CLOCK_SHIFTED, /* runs with the system's, and is moved forward */
    FAASI_CLOCK_TSC,
    FAASI_CLOCK_SYSTEM
};

/* Who wants to know that a virtual clock moved. */
struct faasi_clock_listener {
    void (*moved)(void *user);
    void *user;
    struct faasi_clock_listener *next;
};

struct faas_clock {
    enum faasi_clock_source source;
    uint64_t base_ticks; /* these ticks ... */
    uint64_t base_ns;    /* ... were this instant */
    uint64_t ns_per_tick_q32;
    uint64_t ticks_per_ns_q32;
    _Atomic uint64_t moved_ns; /* a virtual one's time; what a shifted one is ahead */
    faasi_mutex lock;          /* of one that can be moved: guards the listeners */
    struct faasi_clock_listener *listeners;
    const faas_allocator *allocator;
};

/* The machine's clock. The first call in the process measures the counter's frequency and
 * takes 1 ms for it: an error of some 0.4 ppm. Thread: any. */
const faas_clock *faasi_clock_real(void);

/* The system's monotonic clock itself, and its time since 1970. One that cannot be read,
 * though it is tried again, stands still at 0. */
uint64_t faasi_clock_system_ns(void);
uint64_t faasi_clock_unix_ns(void);

/* On the path of every invocation, twice. */
static inline uint64_t faasi_ticks(const faas_clock *clock)
{
#ifdef FAASI_HAVE_TSC
    if (FAASI_LIKELY(clock->source == FAASI_CLOCK_TSC))
        return __rdtsc();
#endif
    if (clock->source == FAASI_CLOCK_VIRTUAL)
        return atomic_load_explicit(&clock->moved_ns, memory_order_acquire);
    if (clock->source == FAASI_CLOCK_SHIFTED)
        return faasi_clock_system_ns() +
               atomic_load_explicit(&clock->moved_ns, memory_order_acquire);
    return faasi_clock_system_ns();
}

static inline uint64_t faasi_ticks_since(uint64_t now, uint64_t then)
{
    return now > then ? now - then : 0;
}

static inline uint64_t faasi_scale_q32(uint64_t value, uint64_t factor_q32)
{
    unsigned __int128 scaled = ((unsigned __int128)value * factor_q32) >> 32;

    return scaled > UINT64_MAX ? UINT64_MAX : (uint64_t)scaled;
}

/* A duration. */
static inline uint64_t faasi_ticks_to_ns(const faas_clock *clock, uint64_t ticks)
{
    return faasi_scale_q32(ticks, clock->ns_per_tick_q32);
}

/* A duration; FAAS_FOREVER stays what it is. */
static inline uint64_t faasi_ns_to_ticks(const faas_clock *clock, uint64_t ns)
{
    return ns == FAAS_FOREVER ? ns : faasi_scale_q32(ns, clock->ticks_per_ns_q32);
}

/* `ticks` + `more`, or the end of time. */
static inline uint64_t faasi_ticks_after(uint64_t ticks, uint64_t more)
{
    return ticks + more < ticks ? UINT64_MAX : ticks + more;
}

/* An instant. */
static inline uint64_t faasi_instant_ns(const faas_clock *clock, uint64_t ticks)
{
    if (ticks == UINT64_MAX)
        return FAAS_FOREVER;
    return clock->base_ns +
           faasi_ticks_to_ns(clock, faasi_ticks_since(ticks, clock->base_ticks));
}

/* The ticks of an instant: the other way round. */
static inline uint64_t faasi_instant_ticks(const faas_clock *clock, uint64_t ns)
{
    if (ns == FAAS_FOREVER)
        return UINT64_MAX;
    return faasi_ticks_after(
        clock->base_ticks,
        faasi_ns_to_ticks(clock, faasi_ticks_since(ns, clock->base_ns)));
}

static inline bool faasi_clock_moves(const faas_clock *clock)
{
    return clock->source == FAASI_CLOCK_VIRTUAL || clock->source == FAASI_CLOCK_SHIFTED;
}

/* Calls `listener->moved` after every move until faasi_clock_ignore(). Does nothing on
 * the machine's clock. */
void faasi_clock_listen(faas_clock *clock, struct faasi_clock_listener *listener);
void faasi_clock_ignore(faas_clock *clock, struct faasi_clock_listener *listener);

#endif /* FAASI_CLOCK_H */
