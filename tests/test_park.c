/* SPDX-License-Identifier: MIT */
/* test_park.c - where workers sleep, and who wakes them. */
#include "support.h"

#include "core/park.h"

#include <pthread.h>
#include <sched.h>

/* A park, what it says when it is looked at once more, and what happens meanwhile. */
struct place {
    struct faasi_park park;
    bool empty;
    void (*meanwhile)(struct faasi_park *park);
};

static bool looks(void *user)
{
    struct place *place = user;

    if (place->meanwhile != NULL)
        place->meanwhile(&place->park);
    return place->empty;
}

static enum faasi_parked sleeps(struct place *place, uint64_t ns)
{
    return faasi_park_sleep(&place->park, looks, place, ns);
}

static uint32_t word_of(struct place *place)
{
    return atomic_load(&place->park.word);
}

START_TEST(a_wake_finds_nobody_where_nobody_sleeps)
{
    struct place place = {.empty = true};

    ck_assert(!faasi_park_wake(&place.park));
    ck_assert_uint_eq(word_of(&place), 0);
    ck_assert_uint_eq(faasi_park_asleep(&place.park), 0);
}
END_TEST

START_TEST(who_looks_for_work_will_see_it_and_nobody_is_woken)
{
    struct place place = {.empty = true};

    atomic_store(&place.park.looking, 1);
    atomic_store(&place.park.word, 1); // one is asleep
    ck_assert(faasi_park_wake(&place.park));
    ck_assert_uint_eq(word_of(&place), 1);
    ck_assert_uint_eq(atomic_load(&place.park.gate), 0);
}
END_TEST

START_TEST(one_wake_is_in_flight_at_a_time)
{
    struct place place = {.empty = true};

    atomic_store(&place.park.word, 2); // two are asleep
    ck_assert(faasi_park_wake(&place.park));
    ck_assert_uint_eq(word_of(&place), 1 | 1 << 16);
    ck_assert_uint_eq(atomic_load(&place.park.gate), 1);
    ck_assert(faasi_park_wake(&place.park)); // the first one is on its way still
    ck_assert_uint_eq(word_of(&place), 1 | 1 << 16);
    ck_assert_uint_eq(atomic_load(&place.park.gate), 1);
}
END_TEST

START_TEST(who_finds_work_at_the_last_look_does_not_sleep)
{
    struct place place = {.empty = false};

    ck_assert_int_eq(sleeps(&place, FAAS_FOREVER), FAASI_PARK_FOUND);
    ck_assert_uint_eq(word_of(&place), 0);
}
END_TEST

static void is_woken(struct faasi_park *park)
{
    ck_assert_uint_eq(faasi_park_asleep(park), 1); // all can see it
    ck_assert(faasi_park_wake(park));
    ck_assert_uint_eq(faasi_park_asleep(park), 0);
}

START_TEST(a_wake_between_the_last_look_and_the_sleep_is_not_lost)
{
    void (*const wakes[])(struct faasi_park *) = {is_woken, faasi_park_wake_all};

    for (int i = 0; i < 2; i++) {
        struct place place = {.empty = true, .meanwhile = wakes[i]};

        ck_assert_int_eq(sleeps(&place, FAAS_FOREVER), FAASI_PARK_WOKEN);
        ck_assert_uint_eq(word_of(&place), 0);
    }
}
END_TEST

START_TEST(a_wake_for_who_found_work_all_the_same_is_used_up)
{
    struct place place = {.empty = false, .meanwhile = is_woken};

    ck_assert_int_eq(sleeps(&place, FAAS_FOREVER), FAASI_PARK_FOUND);
    ck_assert_uint_eq(word_of(&place), 0);
    ck_assert(!faasi_park_wake(&place.park));
}
END_TEST

START_TEST(who_is_not_woken_comes_back_late)
{
    struct place place = {.empty = true};

    ck_assert_int_eq(sleeps(&place, 0), FAASI_PARK_LATE);
    ck_assert_uint_eq(word_of(&place), 0);
}
END_TEST

static void *sleeps_until_woken(void *user)
{
    struct place *place = user;

    ck_assert_int_eq(sleeps(place, FAAS_FOREVER), FAASI_PARK_WOKEN);
    return NULL;
}

START_TEST(sleepers_are_woken_one_by_one_or_all_at_once)
{
    enum { SLEEPERS = 3 };

    for (int all = 0; all < 2; all++) {
        struct place place = {.empty = true};
        pthread_t threads[SLEEPERS];

        for (int i = 0; i < SLEEPERS; i++)
            ck_assert_int_eq(
                pthread_create(&threads[i], NULL, sleeps_until_woken, &place), 0);
        while (faasi_park_asleep(&place.park) != SLEEPERS)
            (void)sched_yield();
        if (all)
            faasi_park_wake_all(&place.park);
        while (word_of(&place) != 0) {
            if (!all)
                (void)faasi_park_wake(&place.park); // one, when the one before has left
            (void)sched_yield();
        }
        for (int i = 0; i < SLEEPERS; i++)
            ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        /* One that was about to sleep may leave by the wake of another. */
        ck_assert_uint_le(atomic_load(&place.park.gate), all ? 1 : SLEEPERS);
    }
}
END_TEST

SUITE_MAIN("park", a_wake_finds_nobody_where_nobody_sleeps,
           who_looks_for_work_will_see_it_and_nobody_is_woken,
           one_wake_is_in_flight_at_a_time,
           who_finds_work_at_the_last_look_does_not_sleep,
           a_wake_between_the_last_look_and_the_sleep_is_not_lost,
           a_wake_for_who_found_work_all_the_same_is_used_up,
           who_is_not_woken_comes_back_late, sleepers_are_woken_one_by_one_or_all_at_once)
