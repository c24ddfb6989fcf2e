/* SPDX-License-Identifier: MIT */
/* test_inlet.c - the bounded ring that submissions come in by. */
#include "support.h"

#include "core/inlet.h"
#include "core/mem.h"

#include <pthread.h>
#include <sched.h>

START_TEST(what_is_put_is_taken_in_its_order_until_the_ring_is_empty)
{
    struct faasi_inlet inlet;
    int what[8];

    ck_assert_ok(faasi_inlet_init(&inlet, 4, &faasi_default_allocator));
    for (int round = 0; round < 5; round++) { // over the end of the ring
        ck_assert(faasi_inlet_empty(&inlet));
        ck_assert_ptr_null(faasi_inlet_take(&inlet));
        for (int i = 0; i < 3; i++)
            ck_assert(faasi_inlet_put(&inlet, &what[i]));
        ck_assert(!faasi_inlet_empty(&inlet));
        for (int i = 0; i < 3; i++)
            ck_assert_ptr_eq(faasi_inlet_take(&inlet), &what[i]);
    }
    faasi_inlet_fini(&inlet);
}
END_TEST

START_TEST(a_full_ring_takes_no_more_until_something_was_taken)
{
    struct faasi_inlet inlet;
    int what[5];

    ck_assert_ok(faasi_inlet_init(&inlet, 4, &faasi_default_allocator));
    for (int i = 0; i < 4; i++)
        ck_assert(faasi_inlet_put(&inlet, &what[i]));
    ck_assert(!faasi_inlet_put(&inlet, &what[4]));
    ck_assert_ptr_eq(faasi_inlet_take(&inlet), &what[0]);
    ck_assert(faasi_inlet_put(&inlet, &what[4]));
    ck_assert(!faasi_inlet_put(&inlet, &what[0]));
    for (int i = 1; i < 5; i++)
        ck_assert_ptr_eq(faasi_inlet_take(&inlet), &what[i]);
    faasi_inlet_fini(&inlet);
}
END_TEST

START_TEST(a_ring_without_memory_is_refused)
{
    struct faulty f = {.fail_at = 1};
    faas_allocator alloc = faulty_allocator(&f);
    struct faasi_inlet inlet;

    ck_assert_status(faasi_inlet_init(&inlet, 4, &alloc), FAAS_ENOMEM);
}
END_TEST

enum { PRODUCERS = 3, EACH = 20000 };

struct producer {
    pthread_t thread;
    struct faasi_inlet *inlet;
    uint32_t items[EACH];
};

static void *produce(void *user)
{
    struct producer *p = user;

    for (uint32_t i = 0; i < EACH; i++) {
        p->items[i] = i;
        while (!faasi_inlet_put(p->inlet, &p->items[i]))
            (void)sched_yield();
    }
    return NULL;
}

START_TEST(each_of_several_producers_is_heard_in_its_own_order_and_nothing_is_lost)
{
    static struct producer producers[PRODUCERS];
    uint32_t next[PRODUCERS] = {0};
    struct faasi_inlet inlet;

    ck_assert_ok(faasi_inlet_init(&inlet, 64, &faasi_default_allocator));
    for (int i = 0; i < PRODUCERS; i++) {
        producers[i].inlet = &inlet;
        ck_assert_int_eq(
            pthread_create(&producers[i].thread, NULL, produce, &producers[i]), 0);
    }
    for (uint32_t taken = 0; taken < PRODUCERS * EACH;) {
        uint32_t *item = faasi_inlet_take(&inlet);

        if (item == NULL) {
            (void)sched_yield();
            continue;
        }
        for (int i = 0; i < PRODUCERS; i++)
            if (item >= producers[i].items && item < producers[i].items + EACH &&
                *item != next[i]++)
                ck_abort_msg("producer %d: %u came out of turn", i, *item);
        taken++;
    }
    for (int i = 0; i < PRODUCERS; i++)
        ck_assert_int_eq(pthread_join(producers[i].thread, NULL), 0);
    ck_assert(faasi_inlet_empty(&inlet));
    faasi_inlet_fini(&inlet);
}
END_TEST

SUITE_MAIN("inlet", what_is_put_is_taken_in_its_order_until_the_ring_is_empty,
           a_full_ring_takes_no_more_until_something_was_taken,
           a_ring_without_memory_is_refused,
           each_of_several_producers_is_heard_in_its_own_order_and_nothing_is_lost)
