/* SPDX-License-Identifier: MIT */
/* timer.h - the timer wheel: delays, deadlines, retries; a million of them at 24 bytes
 * each.
 *
 * Pure: no locks, no clock, no memory of its own. The caller passes the time, links the
 * timers into structs of its own, and gets them back when they are due:
 *
 *     while ((timer = faasi_timers_expire(&timers, now_ns)) != NULL)
 *         ... run it, with the lock dropped if need be ...
 *     sleep until faasi_timers_next(&timers)
 *
 * Time is counted in ticks of a millisecond. A timer is due at the first tick that is not
 * before its instant, so it is never early, and less than a tick late. Timers come by the
 * tick they are due at, and those of one tick in the order in which they were started.
 *
 * A tick is a number of eight digits to the base 64; that reaches beyond the end of
 * `uint64_t` nanoseconds. The wheel stands at a tick, and a timer lies at the level of
 * the highest digit in which its own tick differs from that one, in the slot of the digit
 * that it has there:
 *
 *     level 0   64 slots of 1 ms      this block of 64 ms
 *     level 1   64 slots of 64 ms     this block of 4.1 s
 *     level 2   64 slots of 4.1 s     this block of 4.4 min
 *     ...
 *     level 7   64 slots of 139 years
 *
 * What follows from it:
 *
 *     Slots are ordered. All of a level's timers come before all of the next level's, so
 *     the first slot is the lowest bit of the first level that has any: a few words to
 *     look at, however far away it is. Between it and where the wheel stands there is
 *     nothing, so the wheel goes there in one step.
 *
 *     When it arrives at a slot above level 0, the slot's timers agree with it in one
 *     digit more: they are moved to lower levels. A timer moves seven times at most in
 *     its life, and no other cost depends on how far it lies or how much time was jumped.
 *
 *     Timers of one tick are always in one slot, because the slot is a function of their
 *     tick and of where the wheel stands. Slots are queues, moved from first to last, so
 *     order of starting needs no number to remember it.
 *
 *     A slot may hold a million timers, and the caller's lock is held while they move. So
 *     a call moves FAASI_TIMER_MOVES at most. While a slot is half moved, what is started
 *     inside its range queues up at its end: that keeps timers of one tick together.
 *
 * Layer: 1 structures. Includes base.h only.
 * Locks: none; all functions of one wheel and its timers need the caller's. */
#ifndef FAASI_TIMER_H
#define FAASI_TIMER_H

#include "base.h"

#define FAASI_TICK_NS UINT64_C(1000000)

enum {
    FAASI_TIMER_LEVELS = 8,
    FAASI_TIMER_SLOTS = 64, /* of a level */
    FAASI_TIMER_MOVES = 64, /* between levels, in one call of faasi_timers_expire() */
};

/* Of a ring: a slot's timers in their order, and its head. */
struct faasi_timer_link {
    struct faasi_timer_link *next;
    struct faasi_timer_link *prev;
};

/* A member of the struct that waits. Zeroed before its first start; not copied and not
 * given back while it runs. */
struct faasi_timer {
    struct faasi_timer_link link; /* first; its `next` is NULL while it does not run */
    uint64_t due_ns;              /* as it was started with */
};

/* Points into itself: stays where it was initialised. */
struct faasi_timers {
    uint64_t tick;  /* where the wheel stands; every timer is due here or later */
    unsigned level; /* of the slot that is being moved; 0: none */
    /* A bit per slot that is not empty. The last level is one slot, for timers that are
     * due beyond the last tick. */
    uint64_t occupied[FAASI_TIMER_LEVELS + 1];
    struct faasi_timer_link heads[FAASI_TIMER_LEVELS * FAASI_TIMER_SLOTS + 1];
};

/* Nothing to release. */
void faasi_timers_init(struct faasi_timers *timers, uint64_t now_ns);

static inline bool faasi_timer_running(const struct faasi_timer *timer)
{
    return timer->link.next != NULL;
}

/* Starts a timer, or starts one that runs anew, behind all that are due at the same tick.
 *
 * An instant that has passed counts as the tick where the wheel stands: that of the last
 * timer it gave, or that of the time at which it had none to give. The timer comes with
 * the next call. So whoever answers a timer by starting one without delay never sees the
 * end of the loop above.
 * FAAS_FOREVER, and any instant whose tick is beyond the end of time, is never due.
 *
 * Cost: O(1), without a search; touches the timer and the last one of its slot. */
void faasi_timer_start(struct faasi_timers *timers, struct faasi_timer *timer,
                       uint64_t due_ns);

/* Does nothing to a timer that does not run. Afterwards the wheel does not know it.
 *
 * Cost: O(1); touches the timer and its two neighbours. */
void faasi_timer_stop(struct faasi_timers *timers, struct faasi_timer *timer);

/* Returns when expire() has to be called next, FAAS_FOREVER if no timer will ever be due.
 *
 * Never later than the first timer's tick. It may be earlier, when timers have to be
 * moved: seven times at most for each. It may have passed: then timers are due. */
uint64_t faasi_timers_next(const struct faasi_timers *timers);

/* Takes the first timer that is due out of the wheel and returns it; it may be started
 * again or given back. Between two calls everything is allowed; what is started meanwhile
 * takes its place in the order.
 *
 * NULL if none is due, or if so many had to be moved that it is time for the caller to
 * let go of its lock: then faasi_timers_next() is not after `now_ns`, and not
 * FAAS_FOREVER, and the call is to be repeated. A time earlier than one it was told
 * before counts as that one. */
struct faasi_timer *faasi_timers_expire(struct faasi_timers *timers, uint64_t now_ns);

#endif /* FAASI_TIMER_H */
