/* SPDX-License-Identifier: MIT */
/* test_grace.c - a grace period lasts until the sections that were open have ended. */
#include "support.h"

#include "core/grace.h"
#include "core/sync.h"

#include <sched.h>
#include <semaphore.h>

static sem_t inside, leave;
static atomic_bool left, waited;

static void take(sem_t *sem)
{
    while (sem_wait(sem) != 0)
        continue;
}

static void *reads(void *user)
{
    (void)user;
    faasi_read_enter();
    faasi_read_enter(); // they nest
    if (!faasi_reading())
        abort();
    (void)sem_post(&inside);
    take(&leave);
    faasi_read_leave();
    (void)sem_post(&inside);
    take(&leave);
    atomic_store(&left, true);
    faasi_read_leave();
    if (faasi_reading())
        abort();
    return NULL;
}

static void *waits(void *user)
{
    (void)user;
    faasi_grace_wait();
    if (!atomic_load(&left))
        abort();
    atomic_store(&waited, true);
    return NULL;
}

START_TEST(a_grace_period_lasts_until_the_outermost_section_ends)
{
    pthread_t reader, waiter;

    faasi_grace_start();
    ck_assert_int_eq(sem_init(&inside, 0, 0), 0);
    ck_assert_int_eq(sem_init(&leave, 0, 0), 0);
    faasi_grace_wait(); // nobody reads
    ck_assert_int_eq(pthread_create(&reader, NULL, reads, NULL), 0);
    take(&inside);
    ck_assert_int_eq(pthread_create(&waiter, NULL, waits, NULL), 0);
    for (int i = 0; i < 100; i++)
        (void)sched_yield();
    ck_assert(!atomic_load(&waited));
    (void)sem_post(&leave);
    take(&inside); // the inner one has ended
    for (int i = 0; i < 100; i++)
        (void)sched_yield();
    ck_assert(!atomic_load(&waited));
    (void)sem_post(&leave);
    ck_assert_int_eq(pthread_join(waiter, NULL), 0);
    ck_assert_int_eq(pthread_join(reader, NULL), 0);
    faasi_grace_wait(); // a thread that has ended holds up nobody
}
END_TEST

/* Replaced again and again; whoever reads it sees a live one. */
struct thing {
    atomic_uint mark;
};

enum { LIVE = 0x600d, DEAD = 0xdead };

static _Atomic(struct thing *) published;
static atomic_bool ends;

static void *looks(void *user)
{
    unsigned *count = user;

    while (!atomic_load_explicit(&ends, memory_order_relaxed)) {
        struct thing *thing;

        faasi_read_enter();
        thing = atomic_load_explicit(&published, memory_order_acquire);
        for (int i = 0; i < 3; i++)
            if (atomic_load_explicit(&thing->mark, memory_order_relaxed) != LIVE)
                abort();
        faasi_read_leave();
        ++*count;
    }
    return NULL;
}

START_TEST(nobody_sees_what_was_freed_after_a_grace_period)
{
    enum { THINGS = 8 };
#ifdef FAASI_SANITIZED
    const int rounds = 1000;
#else
    const int rounds = 10000;
#endif
    static struct thing things[THINGS];
    pthread_t threads[3];
    unsigned counts[3] = {0, 0, 0};

    faasi_grace_start();
    atomic_store(&things[0].mark, LIVE);
    atomic_store(&published, &things[0]);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, looks, &counts[i]), 0);
    for (int i = 1; i <= rounds; i++) {
        struct thing *old = atomic_load(&published);

        atomic_store_explicit(&things[i % THINGS].mark, LIVE, memory_order_relaxed);
        atomic_store_explicit(&published, &things[i % THINGS], memory_order_release);
        faasi_grace_wait();
        atomic_store_explicit(&old->mark, DEAD, memory_order_relaxed);
    }
    atomic_store(&ends, true);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

static void *reads_once(void *user)
{
    (void)user;
    faasi_read_enter();
    faasi_read_leave();
    return NULL;
}

START_TEST(threads_may_come_and_go_while_others_wait)
{
    faasi_grace_start();
    for (int i = 0; i < 200; i++) {
        pthread_t threads[3];

        for (int k = 0; k < 3; k++)
            ck_assert_int_eq(pthread_create(&threads[k], NULL, reads_once, NULL), 0);
        faasi_grace_wait();
        for (int k = 0; k < 3; k++)
            ck_assert_int_eq(pthread_join(threads[k], NULL), 0);
    }
}
END_TEST

SUITE_MAIN("grace", a_grace_period_lasts_until_the_outermost_section_ends,
           nobody_sees_what_was_freed_after_a_grace_period,
           threads_may_come_and_go_while_others_wait)
