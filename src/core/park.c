/* SPDX-License-Identifier: MIT */
/* park.c - sleeping and waking. */
#include "park.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { ASLEEP_ONE = 1, CLAIMED_ONE = 1 << 16, ASLEEP_MASK = 0xffff };

bool faasi_futex_wait(FAASI_ATOMIC(uint32_t) * word, uint32_t value, uint64_t ns)
{
    struct timespec limit = {.tv_sec = (time_t)(ns / 1000000000u),
                             .tv_nsec = (long)(ns % 1000000000u)};

    return syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value,
                   ns == FAAS_FOREVER ? NULL : &limit, NULL, 0) == 0 ||
           errno != ETIMEDOUT;
}

void faasi_futex_wake(FAASI_ATOMIC(uint32_t) * word, int count)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

bool faasi_park_wake(struct faasi_park *park)
{
    uint32_t word;

    if (atomic_load_explicit(&park->looking, memory_order_seq_cst) != 0)
        return true;
    word = atomic_load_explicit(&park->word, memory_order_seq_cst);
    for (;;) {
        if (word >= CLAIMED_ONE)
            return true;
        if (word == 0)
            return false;
        if (atomic_compare_exchange_weak_explicit(
                &park->word, &word, word - ASLEEP_ONE + CLAIMED_ONE, memory_order_seq_cst,
                memory_order_seq_cst))
            break;
    }
    atomic_fetch_add_explicit(&park->gate, 1, memory_order_seq_cst);
    faasi_futex_wake(&park->gate, 1);
    return true;
}

void faasi_park_wake_all(struct faasi_park *park)
{
    atomic_fetch_add_explicit(&park->gate, 1, memory_order_seq_cst);
    faasi_futex_wake(&park->gate, INT32_MAX);
}

static void leave(struct faasi_park *park)
{
    uint32_t word = atomic_load_explicit(&park->word, memory_order_relaxed);

    while (!atomic_compare_exchange_weak_explicit(
        &park->word, &word, word >= CLAIMED_ONE ? word - CLAIMED_ONE : word - ASLEEP_ONE,
        memory_order_seq_cst, memory_order_relaxed))
        continue;
}

enum faasi_parked faasi_park_sleep(struct faasi_park *park, bool (*empty)(void *user),
                                   void *user, uint64_t ns)
{
    /* Before we announce ourselves: a wake from then on moves it, and we do not sleep. */
    uint32_t gate = atomic_load_explicit(&park->gate, memory_order_seq_cst);
    enum faasi_parked parked = FAASI_PARK_FOUND;

    atomic_fetch_add_explicit(&park->word, ASLEEP_ONE, memory_order_seq_cst);
    if (empty(user))
        parked =
            faasi_futex_wait(&park->gate, gate, ns) ? FAASI_PARK_WOKEN : FAASI_PARK_LATE;
    leave(park);
    return parked;
}
