/* SPDX-License-Identifier: MIT */
/* sync.h - mutex, condition variable and thread start, thin over pthread.
 *
 * Layer: 0 base. Condition variables wait on the machine's monotonic clock. */
#ifndef FAASI_SYNC_H
#define FAASI_SYNC_H

#include "base.h"

#include <pthread.h>
#include <time.h>

typedef pthread_mutex_t faasi_mutex;
typedef pthread_cond_t faasi_cond;

static inline faas_status faasi_mutex_init(faasi_mutex *mutex)
{
    int error = pthread_mutex_init(mutex, NULL);

    return error == 0 ? FAAS_OK : faasi_fail(FAAS_ESYSTEM, "no mutex: error %d", error);
}

static inline void faasi_mutex_fini(faasi_mutex *mutex)
{
    (void)pthread_mutex_destroy(mutex);
}

static inline void faasi_lock(faasi_mutex *mutex)
{
    int error = pthread_mutex_lock(mutex);

    assert(error == 0);
    (void)error;
}

/* For a lock that is held for a microsecond by threads on other processors: tries for
 * about that long before it sleeps, because waking costs some thirty of them. */
static inline void faasi_lock_soon(faasi_mutex *mutex)
{
    for (int i = 0; i < 100; i++) {
        if (pthread_mutex_trylock(mutex) == 0)
            return;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    faasi_lock(mutex);
}

static inline void faasi_unlock(faasi_mutex *mutex)
{
    int error = pthread_mutex_unlock(mutex);

    assert(error == 0);
    (void)error;
}

static inline faas_status faasi_cond_init(faasi_cond *cond)
{
    pthread_condattr_t attr;
    int error = pthread_condattr_init(&attr);

    if (error == 0) {
        error = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        if (error == 0)
            error = pthread_cond_init(cond, &attr);
        (void)pthread_condattr_destroy(&attr);
    }
    return error == 0 ? FAAS_OK
                      : faasi_fail(FAAS_ESYSTEM, "no condition: error %d", error);
}

static inline void faasi_cond_fini(faasi_cond *cond)
{
    (void)pthread_cond_destroy(cond);
}

/* Wakes may come for no reason: look at the condition again. */
static inline void faasi_wait(faasi_cond *cond, faasi_mutex *mutex)
{
    (void)pthread_cond_wait(cond, mutex);
}

/* Waits at most `ns` nanoseconds of the machine's clock. Longer than a year is a year; not
 * at all if the clock cannot be read. */
static inline void faasi_wait_for(faasi_cond *cond, faasi_mutex *mutex, uint64_t ns)
{
    struct timespec until = {0};
    const uint64_t second = 1000000000u;

    if (ns > 31536000u * second)
        ns = 31536000u * second;
    if (clock_gettime(CLOCK_MONOTONIC, &until) != 0)
        ns = 0;
    ns += (uint64_t)until.tv_nsec;
    until.tv_sec += (time_t)(ns / second);
    until.tv_nsec = (long)(ns % second);
    (void)pthread_cond_timedwait(cond, mutex, &until);
}

static inline void faasi_wake_one(faasi_cond *cond)
{
    (void)pthread_cond_signal(cond);
}

static inline void faasi_wake_all(faasi_cond *cond)
{
    (void)pthread_cond_broadcast(cond);
}

#endif /* FAASI_SYNC_H */
