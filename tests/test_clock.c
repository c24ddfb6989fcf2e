/* SPDX-License-Identifier: MIT */
/* test_clock.c - clocks stand, run and are moved; ticks are time. */
#include "support.h"

#include "core/clock.h"

#include <pthread.h>

#define MS UINT64_C(1000000)
#define SEC UINT64_C(1000000000)

START_TEST(a_virtual_clock_stands_still_until_it_is_moved)
{
    faas_clock *clock;

    ck_assert_ok(faas_clock_open_virtual(5, NULL, &clock));
    ck_assert_uint_eq(faas_clock_now(clock), 5);
    ck_assert_uint_eq(faas_clock_now(clock), 5);
    faas_clock_advance(clock, 0);
    ck_assert_uint_eq(faas_clock_now(clock), 5);
    faas_clock_advance(clock, 7);
    ck_assert_uint_eq(faas_clock_now(clock), 12);
    ck_assert_ok(faas_clock_set(clock, 12));
    ck_assert_ok(faas_clock_set(clock, 100));
    ck_assert_uint_eq(faas_clock_now(clock), 100);
    ck_assert_status(faas_clock_set(clock, 99), FAAS_EINVAL);
    ck_assert_str_eq(faas_error_text(), "clock: 99 is before now, 100");
    ck_assert_uint_eq(faas_clock_now(clock), 100);
    faas_clock_close(clock);
    faas_clock_close(NULL);
}
END_TEST

START_TEST(a_running_clock_runs_and_is_moved_forward)
{
    faas_clock *clock;
    uint64_t first, machine;

    ck_assert_ok(faas_clock_open_running(100 * SEC, NULL, &clock));
    first = faas_clock_now(clock);
    ck_assert_uint_ge(first, 100 * SEC);
    ck_assert_uint_lt(first, 110 * SEC);
    machine = faasi_clock_system_ns();
    while (faasi_clock_system_ns() < machine + MS)
        continue;
    ck_assert_uint_ge(faas_clock_now(clock), first + MS);
    faas_clock_advance(clock, 50 * SEC);
    ck_assert_uint_ge(faas_clock_now(clock), 150 * SEC);
    ck_assert_uint_lt(faas_clock_now(clock), 170 * SEC);
    ck_assert_status(faas_clock_set(clock, 120 * SEC), FAAS_EINVAL);
    ck_assert_ok(faas_clock_set(clock, 1000 * SEC));
    ck_assert_uint_ge(faas_clock_now(clock), 1000 * SEC);
    ck_assert_uint_lt(faas_clock_now(clock), 1020 * SEC);
    faas_clock_close(clock);

    /* Behind the machine's as well as ahead. */
    ck_assert_ok(faas_clock_open_running(0, NULL, &clock));
    ck_assert_uint_lt(faas_clock_now(clock), 10 * SEC);
    faas_clock_close(clock);
}
END_TEST

START_TEST(the_machines_clock_keeps_the_systems_time)
{
    const faas_clock *clock = faasi_clock_real();
    uint64_t start = faasi_clock_system_ns();

    ck_assert_ptr_eq(clock, faasi_clock_real());
    for (int i = 0; i < 30; i++) {
        uint64_t before = faasi_clock_system_ns(), now = faas_clock_now(NULL), after;
        uint64_t error;

        after = faasi_clock_system_ns();
        /* Both were read at one moment, up to the error of its measure: that grows, and
         * where the machine is loaded this takes seconds. */
        error = 20000 + (after - start) / 1000;
        ck_assert_uint_ge(now + error, before);
        ck_assert_uint_le(now, after + error);
        while (faasi_clock_system_ns() < start + (uint64_t)i * MS)
            continue;
    }
}
END_TEST

START_TEST(ticks_and_nanoseconds_turn_into_each_other)
{
    const faas_clock *clock = faasi_clock_real();
    static const uint64_t durations[] = {0,        1,           1000,          MS,
                                         60 * SEC, 86400 * SEC, 31536000 * SEC};
    uint64_t now = faasi_ticks(clock);

    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        uint64_t ns = durations[i];
        uint64_t back = faasi_ticks_to_ns(clock, faasi_ns_to_ticks(clock, ns));

        ck_assert_uint_le(back, ns);
        ck_assert_uint_le(ns - back, 2 + ns / 1000000000);
    }
    ck_assert(faasi_ns_to_ticks(clock, FAAS_FOREVER) == UINT64_MAX);
    ck_assert(faasi_instant_ns(clock, UINT64_MAX) == FAAS_FOREVER);
    ck_assert(faasi_instant_ticks(clock, FAAS_FOREVER) == UINT64_MAX);
    ck_assert(faasi_ticks_after(now, UINT64_MAX) == UINT64_MAX);
    ck_assert(faasi_ticks_after(UINT64_MAX, 1) == UINT64_MAX);
    ck_assert_uint_eq(faasi_ticks_after(5, 6), 11);
    ck_assert_uint_eq(faasi_ticks_since(5, 6), 0);
    ck_assert_uint_eq(faasi_ticks_since(6, 5), 1);
    /* A long time does not wrap. */
    ck_assert_uint_ge(faasi_ns_to_ticks(clock, FAAS_FOREVER - 1), UINT64_MAX / 16);
    {
        uint64_t instant = faasi_instant_ns(clock, now);
        uint64_t ticks = faasi_instant_ticks(clock, instant);

        ck_assert_uint_le(ticks, now);
        ck_assert_uint_le(now - ticks, 100 + now / 100000000);
    }
    /* An instant before the clock's own beginning is its beginning. */
    ck_assert_uint_eq(faasi_instant_ticks(clock, 0), clock->base_ticks);
}
END_TEST

static unsigned moves;

static void counts_move(void *user)
{
    *(unsigned *)user += 1;
    moves++;
}

START_TEST(who_listens_is_told_of_every_move)
{
    unsigned heard[3] = {0, 0, 0};
    struct faasi_clock_listener l[3];
    faas_clock *clock;

    ck_assert_ok(faas_clock_open_virtual(0, NULL, &clock));
    for (int i = 0; i < 3; i++) {
        l[i] = (struct faasi_clock_listener){counts_move, &heard[i], NULL};
        faasi_clock_listen(clock, &l[i]);
    }
    faas_clock_advance(clock, 1);
    ck_assert_ok(faas_clock_set(clock, 2));
    faasi_clock_ignore(clock, &l[1]);
    faas_clock_advance(clock, 1);
    ck_assert_uint_eq(heard[0], 3);
    ck_assert_uint_eq(heard[1], 2);
    ck_assert_uint_eq(heard[2], 3);
    faasi_clock_ignore(clock, &l[1]); // once more does nothing
    faasi_clock_ignore(clock, &l[0]);
    faasi_clock_ignore(clock, &l[2]);
    moves = 0;
    faas_clock_advance(clock, 1);
    ck_assert_uint_eq(moves, 0);
    faas_clock_close(clock);
}
END_TEST

enum { MOVERS = 4, MOVES = 5000 };

static void *moves_often(void *clock)
{
    for (int i = 0; i < MOVES; i++)
        faas_clock_advance(clock, 3);
    return NULL;
}

START_TEST(no_move_is_lost_among_threads)
{
    pthread_t threads[MOVERS];
    faas_clock *clock;
    uint64_t last = 0;

    ck_assert_ok(faas_clock_open_virtual(0, NULL, &clock));
    for (int i = 0; i < MOVERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, moves_often, clock), 0);
    for (int i = 0; i < 1000; i++) {
        uint64_t now = faas_clock_now(clock);

        ck_assert_uint_ge(now, last);
        last = now;
    }
    for (int i = 0; i < MOVERS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_uint_eq(faas_clock_now(clock), 3 * MOVERS * MOVES);
    faas_clock_close(clock);
}
END_TEST

START_TEST(a_clock_without_memory_is_refused)
{
    struct faulty f = {.fail_at = 1};
    faas_allocator alloc = faulty_allocator(&f);
    faas_clock *clock = (faas_clock *)(uintptr_t)1;

    ck_assert_status(faas_clock_open_virtual(0, &alloc, &clock), FAAS_ENOMEM);
    ck_assert_ptr_null(clock);
    ck_assert_ok(faas_clock_open_running(0, &alloc, &clock));
    faas_clock_close(clock);
    ck_assert_uint_eq(atomic_load(&f.live_bytes), 0);
}
END_TEST

SUITE_MAIN("clock", a_virtual_clock_stands_still_until_it_is_moved,
           a_running_clock_runs_and_is_moved_forward,
           the_machines_clock_keeps_the_systems_time,
           ticks_and_nanoseconds_turn_into_each_other, who_listens_is_told_of_every_move,
           no_move_is_lost_among_threads, a_clock_without_memory_is_refused)
