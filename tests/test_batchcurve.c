/* SPDX-License-Identifier: MIT */
/* test_batchcurve.c - the size that pays is found for curves that are known, and a handler
 * that loses by batches hardly ever gets one. */
#include "support.h"

#include "core/batchcurve.h"

/* What a batch costs, in ticks. */
typedef double curve_of(uint32_t size);

/* Measured: 2.94, 1.99, 1.45, 1.13, 1.06, 0.97, 0.88 us per item at 1, 2, 4 ... 64. */
static double concave(uint32_t n)
{
    return 2100 + 860.0 * n;
}

static double linear(uint32_t n)
{
    return 1000.0 * n;
}

/* 4385 us alone, 4462 each at 2, up to 5772 at 64: dearer by a little. */
static double losing(uint32_t n)
{
    double each = 4385000;

    for (uint32_t size = 1; size < n; size *= 2)
        each *= 1.045;
    return each * n;
}

static double quadratic(uint32_t n)
{
    return 1000.0 * n * n;
}

/* Gains up to 16, then loses what does not fit the cache. */
static double kneed(uint32_t n)
{
    return n <= 16 ? 5000 + 1000.0 * n : 21000 + 3000.0 * (n - 16);
}

/* What an item costs in the best fixed size. */
static double best_fixed(curve_of *of, uint32_t max)
{
    double best = of(1);

    for (uint32_t n = 1; n <= max; n++)
        if (of(n) / n < best)
            best = of(n) / n;
    return best;
}

/* What an item costs when `waiting` items always wait, on average over `items`; with a
 * run in `slow_every` that is interrupted and takes 50 times as long, not counted. */
static double learned(curve_of *of, uint32_t waiting, uint32_t max, uint64_t items,
                      unsigned slow_every)
{
    struct faasi_batchcurve curve = {.picks = 0};
    double ticks = 0;
    uint64_t done = 0;

    for (unsigned runs = 1; done < items; runs++) {
        uint32_t n = faasi_batchcurve_pick(&curve, waiting, max);
        bool slow = slow_every != 0 && runs % slow_every == 0;

        ck_assert_uint_ge(n, 1);
        ck_assert_uint_le(n, waiting);
        ck_assert_uint_le(n, max);
        ck_assert_uint_eq(n, faasi_batchcurve_fit(n));
        ticks += of(n);
        done += n;
        faasi_batchcurve_learn(&curve, n, (uint64_t)(of(n) * (slow ? 50 : 1)));
    }
    return ticks / (double)done;
}

START_TEST(sizes_fall_into_the_largest_class_that_they_fill)
{
    uint32_t last = 0, classes = 0;

    for (uint32_t n = 1; n <= FAASI_BATCH_MOST; n++) {
        uint32_t fit = faasi_batchcurve_fit(n);

        ck_assert_uint_le(fit, n);
        ck_assert_uint_eq(faasi_batchcurve_fit(fit), fit);
        ck_assert(fit == last || fit == n); // a new class begins with its own size
        ck_assert(5 * fit > 4 * n || n < 5);
        classes += fit != last;
        last = fit;
    }
    ck_assert_uint_eq(classes, FAASI_BATCH_CLASSES);
    ck_assert_uint_eq(last, FAASI_BATCH_MOST);
}
END_TEST

START_TEST(a_gain_is_found_to_four_fifths_at_any_backlog)
{
    static curve_of *const gaining[] = {concave, kneed};
    static const uint32_t backlogs[] = {2, 3, 5, 8, 13, 33, 64, 500};

    for (size_t c = 0; c < 2; c++)
        for (size_t b = 0; b < sizeof backlogs / sizeof *backlogs; b++) {
            uint32_t most = backlogs[b] < 64 ? backlogs[b] : 64;
            double gain = gaining[c](1) / best_fixed(gaining[c], most);
            double got = gaining[c](1) / learned(gaining[c], backlogs[b], 64, 20000, 0);

            ck_assert_msg(got - 1 >= 0.8 * (gain - 1), "curve %zu, %u wait: %.3f of %.3f",
                          c, backlogs[b], got, gain);
        }
}
END_TEST

START_TEST(a_gain_is_found_though_runs_are_interrupted)
{
    double gain = concave(1) / best_fixed(concave, 64);
    double got = concave(1) / learned(concave, 64, 64, 100000, 7);

    ck_assert_double_ge(got - 1, 0.8 * (gain - 1));
}
END_TEST

/* Trees: what a run takes is nearly the same for one item and for many. */
static double trees(uint32_t n)
{
    return 48000 + 1500.0 * n;
}

static uint32_t random_next(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* What an item costs when `waiting` always wait, in the second half of `runs`, of which
 * one in four is interrupted and takes up to 50 times as long, not counted. */
static double learned_in_noise(curve_of *of, uint32_t waiting, unsigned runs,
                               uint32_t seed)
{
    struct faasi_batchcurve curve = {.picks = 0};
    double ticks = 0;
    uint64_t done = 0;

    for (unsigned i = 0; i < runs; i++) {
        uint32_t n = faasi_batchcurve_pick(&curve, waiting, 64);
        uint32_t chance = random_next(&seed);
        double longer = chance % 4 == 0 ? 1.5 + chance / 4 % 49 : 1;

        faasi_batchcurve_learn(&curve, n, (uint64_t)(of(n) * longer));
        if (i >= runs / 2) {
            ticks += of(n);
            done += n;
        }
    }
    return ticks / (double)done;
}

/* A size of which every run was interrupted so far stands in the way of larger ones. */
START_TEST(a_gain_is_found_whichever_runs_were_interrupted)
{
    double gain = trees(1) / best_fixed(trees, 64), least = gain, sum = 0;
    uint32_t at = 0, poor = 0;

    for (uint32_t seed = 1; seed <= 2000; seed++) {
        double got = trees(1) / learned_in_noise(trees, 160, 1000, seed * 2654435761u);

        poor += got - 1 < 0.8 * (gain - 1);
        sum += got;
        if (got < least) {
            least = got;
            at = seed;
        }
    }
    ck_assert_msg(poor <= 10, "%u of 2000 are poor; seed %u: %.2f of %.2f; mean %.2f",
                  poor, at, least, gain, sum / 2000);
    ck_assert_msg(least - 1 >= 0.4 * (gain - 1), "seed %u: %.2f of %.2f", at, least,
                  gain);
}
END_TEST

/* Dearer by a little is not told from interrupted; twice as dear is. */
START_TEST(who_loses_by_batches_is_hardly_slower_though_runs_are_interrupted)
{
    double sum = 0;

    for (uint32_t seed = 1; seed <= 1000; seed++) {
        double each = learned_in_noise(quadratic, 64, 2000, seed * 2654435761u);

        ck_assert_msg(each <= 1.2 * quadratic(1), "seed %u: %.3f", seed,
                      each / quadratic(1));
        sum += learned_in_noise(losing, 64, 2000, seed * 2654435761u) / losing(1);
    }
    ck_assert_double_le(sum / 1000, 1.1);
}
END_TEST

START_TEST(who_loses_by_batches_is_hardly_slower_than_without)
{
    ck_assert_double_le(learned(losing, 64, 64, 10000, 0), 1.002 * losing(1));
    ck_assert_double_le(learned(quadratic, 64, 64, 10000, 0), 1.005 * quadratic(1));
}
END_TEST

START_TEST(who_gains_nothing_runs_single_items)
{
    struct faasi_batchcurve curve = {.picks = 0};
    unsigned single = 0;

    for (int i = 0; i < 1000; i++) {
        uint32_t n = faasi_batchcurve_pick(&curve, 64, 64);

        faasi_batchcurve_learn(&curve, n, (uint64_t)linear(n));
        single += n == 1;
    }
    ck_assert_uint_ge(single, 970);
    ck_assert_uint_eq(faasi_batchcurve_goal(&curve, 64), 1);
}
END_TEST

/* Quadratic: a batch of 2 costs each item twice as much, and is tried with 2 items; a
 * batch of 64 would cost it 64 times as much. */
START_TEST(a_large_batch_is_not_tried_where_a_small_one_lost)
{
    struct faasi_batchcurve curve = {.picks = 0};
    uint32_t largest = 0;

    for (int i = 0; i < 5000; i++) {
        uint32_t n = faasi_batchcurve_pick(&curve, 1000, 1000);

        if (n > largest)
            largest = n;
        faasi_batchcurve_learn(&curve, n, (uint64_t)quadratic(n));
    }
    ck_assert_uint_eq(largest, 2);
}
END_TEST

START_TEST(a_handler_that_changes_is_learned_anew)
{
    static curve_of *const turns[] = {concave, losing, concave};
    struct faasi_batchcurve curve = {.picks = 0};

    for (int turn = 0; turn < 3; turn++) {
        curve_of *of = turns[turn];
        uint32_t n = 0;

        for (int i = 0; i < 10000; i++) {
            n = faasi_batchcurve_pick(&curve, 64, 64);
            faasi_batchcurve_learn(&curve, n, (uint64_t)of(n));
        }
        if (of == concave)
            ck_assert_uint_ge(n, 32);
        else
            ck_assert_uint_le(n, 2);
    }
}
END_TEST

START_TEST(what_takes_no_time_is_taken_whole)
{
    struct faasi_batchcurve curve = {.picks = 0};

    for (int i = 0; i < 4; i++)
        faasi_batchcurve_learn(&curve, 1, 0);
    ck_assert_uint_eq(faasi_batchcurve_pick(&curve, 7, 64), 7);
    ck_assert_uint_eq(faasi_batchcurve_pick(&curve, 100, 64), 64);
    ck_assert_uint_eq(faasi_batchcurve_goal(&curve, 64), 64);
}
END_TEST

START_TEST(what_a_batch_will_take_is_read_off_the_curve)
{
    struct faasi_batchcurve curve = {.picks = 0};

    ck_assert_uint_eq(faasi_batchcurve_ticks(&curve, 8), 0);
    for (int i = 0; i < 4; i++) {
        faasi_batchcurve_learn(&curve, 1, 1000);
        faasi_batchcurve_learn(&curve, 8, 4500);
    }
    ck_assert_uint_eq(faasi_batchcurve_ticks(&curve, 1), 1000);
    ck_assert_uint_eq(faasi_batchcurve_ticks(&curve, 8), 4500);
    ck_assert_uint_eq(faasi_batchcurve_ticks(&curve, 5), 3000);
    ck_assert_uint_eq(faasi_batchcurve_ticks(&curve, 16), 9000);
}
END_TEST

SUITE_MAIN("batchcurve", sizes_fall_into_the_largest_class_that_they_fill,
           a_gain_is_found_to_four_fifths_at_any_backlog,
           a_gain_is_found_though_runs_are_interrupted,
           a_gain_is_found_whichever_runs_were_interrupted,
           who_loses_by_batches_is_hardly_slower_though_runs_are_interrupted,
           who_loses_by_batches_is_hardly_slower_than_without,
           who_gains_nothing_runs_single_items,
           a_large_batch_is_not_tried_where_a_small_one_lost,
           a_handler_that_changes_is_learned_anew, what_takes_no_time_is_taken_whole,
           what_a_batch_will_take_is_read_off_the_curve)
