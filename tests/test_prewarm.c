/* SPDX-License-Identifier: MIT */
/* test_prewarm.c - which calls can be foreseen, and instances made ahead of them. */
#include "runtime_support.h"

#include "core/forecast.h"

#define MIN (60 * SEC)

static const faas_function *ahead(atomic_uint *ran)
{
    static faas_function function;

    function = *FAAS_FUNCTION(.name = "f", .handler = counts, .user = ran, .prewarm = 1,
                              .idle_ns = MIN);
    return &function;
}

/* Lets time pass, and the housekeeper do what is due on the way. */
static void wait_ns(uint64_t ns)
{
    uint64_t until = now_ns() + ns, next;

    for (;;) {
        faas_runtime_sweep(w.rt, &next);
        if (next > until)
            break;
        pass_ns(next > now_ns() ? next - now_ns() : 0);
    }
    pass_ns(until - now_ns());
}

static bool is_cold(faas_fn fn)
{
    uint64_t before = stats_of(fn).cold_starts;

    ck_assert_ok(call(fn));
    return stats_of(fn).cold_starts != before;
}

/* Calls nine times, each cold, half an hour apart: eight gaps. The last call is `since_ns`
 * ago then. */
static void learn(faas_fn fn, uint64_t since_ns)
{
    for (int i = 0; i < 9; i++) {
        ck_assert(is_cold(fn));
        wait_ns(i == 8 ? since_ns : 30 * MIN);
    }
}

/* ---- the forecast ---- */

START_TEST(gaps_that_are_alike_foretell_the_next_one)
{
    struct faasi_forecast forecast = {.total = 0};
    uint64_t ahead_ns;

    for (uint64_t i = 0; i < 8; i++) {
        ck_assert(!faasi_forecast_next(&forecast, &ahead_ns)); // too few are known
        faasi_forecast_note(&forecast, 30 * MIN + i * SEC);
    }
    ck_assert(faasi_forecast_next(&forecast, &ahead_ns));
    ck_assert_uint_lt(ahead_ns, 30 * MIN);
    ck_assert_uint_gt(ahead_ns, 20 * MIN); // nine tenths of its class, a quarter wide
}
END_TEST

START_TEST(gaps_that_are_unlike_foretell_nothing)
{
    struct faasi_forecast forecast = {.total = 0};
    uint64_t ahead_ns;

    for (uint64_t i = 0; i < 100; i++)
        faasi_forecast_note(&forecast, (i + 1) * MIN);
    ck_assert(!faasi_forecast_next(&forecast, &ahead_ns));
    /* One in twenty on either side may be. */
    forecast = (struct faasi_forecast){.total = 0};
    for (uint64_t i = 0; i < 38; i++)
        faasi_forecast_note(&forecast, 10 * MIN);
    faasi_forecast_note(&forecast, 10 * SEC);
    faasi_forecast_note(&forecast, 600 * MIN);
    ck_assert(faasi_forecast_next(&forecast, &ahead_ns));
    faasi_forecast_note(&forecast, 600 * MIN);
    faasi_forecast_note(&forecast, 600 * MIN);
    ck_assert(!faasi_forecast_next(&forecast, &ahead_ns));
}
END_TEST

START_TEST(no_gap_is_out_of_range_and_the_shortest_and_longest_foretell_nothing)
{
    const uint64_t gaps[] = {0, SEC, 1 << 30, UINT64_C(1) << 46, UINT64_MAX};
    uint64_t ahead_ns;

    for (size_t g = 0; g < FAASI_COUNT(gaps); g++) {
        struct faasi_forecast forecast = {.total = 0};

        for (int i = 0; i < 1000; i++)
            faasi_forecast_note(&forecast, gaps[g]);
        ck_assert_uint_le(forecast.total, 256);
        ck_assert(!faasi_forecast_next(&forecast, &ahead_ns));
    }
    for (uint64_t gap = 5 * SEC / 2; gap < 50000 * SEC; gap += gap / 50) {
        struct faasi_forecast forecast = {.total = 0};

        for (int i = 0; i < 8; i++)
            faasi_forecast_note(&forecast, gap);
        ck_assert(faasi_forecast_next(&forecast, &ahead_ns));
        ck_assert_uint_le(ahead_ns, gap - gap / 10);
        ck_assert_uint_ge(ahead_ns, gap / 10 * 7);
    }
}
END_TEST

START_TEST(new_gaps_count_for_more_than_old_ones)
{
    struct faasi_forecast forecast = {.total = 0};
    uint64_t ahead_ns;
    int calls = 0;

    for (int i = 0; i < 100000; i++)
        faasi_forecast_note(&forecast, 10 * MIN);
    do {
        faasi_forecast_note(&forecast, 100 * MIN);
        ck_assert_int_lt(++calls, 1000);
    } while (!faasi_forecast_next(&forecast, &ahead_ns) || ahead_ns < 60 * MIN);
}
END_TEST

/* ---- live ---- */

START_TEST(a_call_that_was_foreseen_is_warm)
{
    atomic_uint ran = 0;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(ahead(&ran));
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.idle_ns = 15 * MIN)));
    learn(fn, 30 * MIN);
    for (unsigned i = 0; i < 20; i++) {
        ck_assert_uint_eq(stats_of(fn).prewarms, i + 1);
        ck_assert_uint_eq(stats_of(fn).instances, 1);
        ck_assert(!is_cold(fn));
        wait_ns(18 * MIN);
        ck_assert_uint_eq(stats_of(fn).instances, 0); // it does not stay meanwhile
        wait_ns(12 * MIN);
    }
    ck_assert_uint_eq(atomic_load(&ran), 29);
    CLOSE();
}
END_TEST

START_TEST(who_does_not_come_is_waited_for_once)
{
    atomic_uint ran = 0;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(ahead(&ran));
    learn(fn, 30 * MIN);
    wait_ns(24 * 60 * MIN);
    ck_assert_uint_eq(stats_of(fn).prewarms, 1);
    ck_assert_uint_eq(stats_of(fn).instances, 0);
    ck_assert(is_cold(fn));
    CLOSE();
}
END_TEST

START_TEST(a_call_that_comes_early_finds_no_second_instance_made_beside_its_own)
{
    atomic_uint ran = 0;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(ahead(&ran));
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.idle_ns = 15 * MIN)));
    learn(fn, 20 * MIN);
    ck_assert(is_cold(fn));
    wait_ns(10 * MIN);
    ck_assert_uint_eq(stats_of(fn).instances, 1);
    ck_assert_uint_eq(stats_of(fn).prewarms, 0);
    CLOSE();
}
END_TEST

START_TEST(nothing_is_made_ahead_unasked_or_when_it_was_switched_off)
{
    atomic_uint ran = 0;
    faas_function function;
    faas_fn fn, off;

    OPEN_DEFAULT();
    function = *ahead(&ran);
    fn = function_of(&function);
    function.name = "off";
    function.prewarm = 0;
    off = function_of(&function);
    for (int i = 0; i < 9; i++) {
        ck_assert(is_cold(off));
        ck_assert(is_cold(fn));
        wait_ns(2 * MIN);
        if (i == 8)
            ck_assert_ok(
                faas_function_update(w.rt, fn, FAAS_FUNCTION(.prewarm = FAAS_OFF)));
        wait_ns(28 * MIN);
    }
    wait_ns(60 * MIN);
    ck_assert_uint_eq(stats_of(fn).prewarms + stats_of(off).prewarms, 0);
    ck_assert_status(faas_function_update(w.rt, fn, FAAS_FUNCTION(.prewarm = 2)),
                     FAAS_EINVAL);
    ck_assert_status(faas_function_update(w.rt, fn, FAAS_FUNCTION(.reserved = 1)),
                     FAAS_EVERSION);
    CLOSE();
}
END_TEST

START_TEST(nobody_goes_for_an_instance_that_is_made_ahead)
{
    atomic_uint ran = 0;
    faas_function function;
    faas_fn fn, other;

    OPEN(.memory_bytes = UINT64_C(100) << 20);
    function = *ahead(&ran);
    function.instance_bytes = UINT64_C(60) << 20;
    fn = function_of(&function);
    other = function_of(FAAS_FUNCTION(.name = "other", .handler = answers,
                                      .instance_bytes = UINT64_C(60) << 20));
    learn(fn, 2 * MIN);
    ck_assert(is_cold(other));
    for (int i = 0; i < 8; i++) { // so that it does not go for its own age
        wait_ns(5 * MIN);
        ck_assert(!is_cold(other));
    }
    ck_assert_uint_eq(stats_of(fn).prewarms, 0);
    ck_assert_uint_eq(stats_of(other).evictions, 0);
    CLOSE();
}
END_TEST

SUITE_MAIN("prewarm", gaps_that_are_alike_foretell_the_next_one,
           gaps_that_are_unlike_foretell_nothing,
           no_gap_is_out_of_range_and_the_shortest_and_longest_foretell_nothing,
           new_gaps_count_for_more_than_old_ones, a_call_that_was_foreseen_is_warm,
           who_does_not_come_is_waited_for_once,
           a_call_that_comes_early_finds_no_second_instance_made_beside_its_own,
           nothing_is_made_ahead_unasked_or_when_it_was_switched_off,
           nobody_goes_for_an_instance_that_is_made_ahead)
