/* SPDX-License-Identifier: MIT */
/* park.h - where threads sleep until there is work, and who wakes them: one wake in
 * flight.
 *
 * Starting an idle processor takes its waker some 15 us and the sleeper 40, so what
 * counts is not to wake. Whoever brings work wakes nobody if somebody is looking for work
 * already, or a wake is on its way; the one that comes wakes the next while there is more
 * to do.
 *
 *     word = asleep (16 bits) | claimed (16 bits)
 *
 *     bring    publish the work;   faasi_park_wake()
 *     sleep    asleep + 1;   look once more;   futex;   claimed - 1, else asleep - 1
 *
 * A waker takes its claim out of `asleep`: a claim stands for a sleeper that has not left
 * yet, and whoever leaves, woken or not, uses up a claim first. With the two in two words
 * a waker could claim somebody who had just left, and nobody would lower the claim again.
 * Whichever comes second, the publishing of the work or the announcement of the sleeper,
 * sees the other: both are sequentially consistent, and so is looking.
 *
 * Layer: 0 base. Includes atomics.h and base.h.
 * Locks: none. */
#ifndef FAASI_PARK_H
#define FAASI_PARK_H

#include "atomics.h"
#include "base.h"

struct faasi_park {
    _Alignas(FAASI_CACHELINE) FAASI_ATOMIC(uint32_t) word;
    FAASI_ATOMIC(uint32_t) looking; /* threads that are about to find what is there */
    _Alignas(FAASI_CACHELINE) FAASI_ATOMIC(uint32_t) gate; /* the futex */
};

enum faasi_parked {
    FAASI_PARK_FOUND, /* there was work after all */
    FAASI_PARK_WOKEN, /* or for no reason */
    FAASI_PARK_LATE   /* nobody came */
};

/* Waits while `*word` is `value`, at most `ns` nanoseconds of the machine's clock;
 * FAAS_FOREVER has no end. May come back for no reason. Returns false when it was late. */
bool faasi_futex_wait(FAASI_ATOMIC(uint32_t) * word, uint32_t value, uint64_t ns);
void faasi_futex_wake(FAASI_ATOMIC(uint32_t) * word, int count);

/* Wakes one sleeper, unless somebody looks for work, or comes, already. The work was
 * published by a sequentially consistent store. Returns whether somebody will see it:
 * false when all are busy. */
bool faasi_park_wake(struct faasi_park *park);

/* Wakes everybody. */
void faasi_park_wake_all(struct faasi_park *park);

/* Sleeps until somebody is woken. `empty` looks once more, when all can see that we are
 * about to sleep. */
enum faasi_parked faasi_park_sleep(struct faasi_park *park, bool (*empty)(void *user),
                                   void *user, uint64_t ns);

/* How many sleep. */
static inline uint32_t faasi_park_asleep(struct faasi_park *park)
{
    return atomic_load_explicit(&park->word, memory_order_relaxed) & 0xffff;
}

#endif /* FAASI_PARK_H */
