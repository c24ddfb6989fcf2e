/* SPDX-License-Identifier: MIT */
/* Limiters, rates and cold starts, and what they make of an overload. */
#include "support.h"

#include "core/admission.h"

#include <faas/overload.h>

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

static struct faasi_admission begin(const faas_limiter *how, uint32_t width)
{
    struct faasi_admission a;

    ck_assert_ok(faasi_admission_init(&a, how, width, FAAS_FOREVER, 0));
    return a;
}

static bool admits(struct faasi_admission *a, uint32_t in_flight)
{
    uint64_t retry;

    return faasi_admission_admit(a, 0, in_flight, &retry);
}

/* A call that did not wait. */
static void done(struct faasi_admission *a, uint64_t service_ns, uint32_t in_flight)
{
    const struct faasi_admission_sample sample = {
        .calls = 1, .service_ns = service_ns, .in_flight = in_flight};

    faasi_admission_done(a, 0, &sample);
}

/* ---- limits ---- */

START_TEST(a_fixed_limit_is_met_exactly)
{
    const faas_limiter how = {.size = sizeof how, .kind = FAAS_LIMITER_FIXED, .limit = 3};
    struct faasi_admission a = begin(&how, 8);

    ck_assert(admits(&a, 0));
    ck_assert(admits(&a, 2));
    ck_assert(!admits(&a, 3));
    done(&a, SECOND, 3);
    faasi_admission_width(&a, 100);
    ck_assert(admits(&a, 2));
    ck_assert(!admits(&a, 3));
}
END_TEST

START_TEST(unmeasured_four_times_what_runs_comes_in)
{
    struct faasi_admission a = begin(NULL, 2);

    ck_assert(admits(&a, 7));
    ck_assert(!admits(&a, 8));
    faasi_admission_width(&a, 5);
    ck_assert(admits(&a, 19));
    ck_assert(!admits(&a, 20));
}
END_TEST

START_TEST(who_gets_its_turn_within_the_target_comes_in)
{
    struct faasi_admission a = begin(NULL, 2);

    /* 10 ms at 2 a ms: 20 may wait beside the 2 that run. */
    done(&a, MS, 1);
    ck_assert(admits(&a, 21));
    ck_assert(!admits(&a, 22));
    faasi_admission_width(&a, 4);
    ck_assert(admits(&a, 43));
    ck_assert(!admits(&a, 44));
    /* A mean with a fraction: one that waits 9.9 ms comes in. */
    a = begin(NULL, 1);
    done(&a, 3300000, 1);
    ck_assert(admits(&a, 4));
    ck_assert(!admits(&a, 5));
    /* Slow calls: still one waits, none comes to wait for longer. */
    a = begin(NULL, 1);
    done(&a, SECOND, 1);
    ck_assert(admits(&a, 1));
    ck_assert(!admits(&a, 2));
}
END_TEST

START_TEST(the_target_is_a_part_of_the_time_that_calls_have)
{
    struct faasi_admission a;

    ck_assert_ok(faasi_admission_init(&a, NULL, 1, 25 * MS + 1, 0));
    ck_assert_uint_eq(a.how.target_ns, 10 * MS);
    ck_assert_uint_eq(a.how.shed_ns, 15 * MS);
    ck_assert_ok(faasi_admission_init(&a, NULL, 1, FAAS_FOREVER, 0));
    ck_assert_uint_eq(a.how.target_ns, 10 * MS);
    ck_assert_ok(faasi_admission_init(&a, NULL, 1, FAAS_FOREVER - 1, 0));
    ck_assert_uint_gt(a.how.target_ns, FAAS_FOREVER / 5);
    ck_assert_uint_lt(a.how.target_ns, FAAS_FOREVER / 2);
}
END_TEST

START_TEST(the_service_time_follows_a_change)
{
    struct faasi_admission a = begin(NULL, 1);

    done(&a, MS, 1);
    for (unsigned i = 0; i < 200; i++)
        done(&a, 4 * MS, 1);
    ck_assert_double_eq_tol(a.service, 4 * MS, 0.06 * MS);
    done(&a, 100 * MS, 1); // one alone moves it by a fiftieth
    ck_assert_double_eq_tol(a.service, 4 * MS + 96 * MS * 0.02, 0.1 * MS);
}
END_TEST

START_TEST(a_batch_counts_as_its_calls_alone)
{
    struct faasi_admission one = begin(NULL, 2), batch = begin(NULL, 2);
    struct faasi_admission_sample sample = {.calls = 37, .service_ns = 3 * MS};

    done(&one, MS, 0);
    done(&batch, MS, 0);
    for (unsigned i = 0; i < 37; i++)
        done(&one, 3 * MS, 0);
    faasi_admission_done(&batch, 0, &sample);
    ck_assert_double_eq_tol(one.service, batch.service, 1e-3);
    ck_assert_uint_eq(one.limit, batch.limit);
    sample.calls = 0; // nothing ran meanwhile
    sample.service_ns = SECOND;
    faasi_admission_done(&batch, 0, &sample);
    ck_assert_double_eq_tol(one.service, batch.service, 1e-3);
    sample.calls = UINT64_MAX;
    sample.service_ns = 5 * MS;
    faasi_admission_done(&batch, 0, &sample);
    ck_assert_double_eq_tol(batch.service, 5 * MS, 1);
}
END_TEST

START_TEST(a_refused_call_is_told_when_its_turn_would_be)
{
    struct faasi_admission a = begin(NULL, 2);
    uint64_t retry;

    done(&a, MS, 1);
    ck_assert(!faasi_admission_admit(&a, 0, 22, &retry));
    ck_assert_uint_eq(retry, MS / 2);
    ck_assert(!faasi_admission_admit(&a, 0, 25, &retry));
    ck_assert_uint_eq(retry, 2 * MS);
    ck_assert(faasi_admission_admit(&a, 0, 21, &retry));
    ck_assert_uint_eq(retry, 0);
}
END_TEST

START_TEST(the_hard_cap_stands_above_every_limiter)
{
    for (int kind = FAAS_LIMITER_PREDICTED; kind <= FAAS_LIMITER_CODEL_LIFO; kind++) {
        faas_limiter how = FAAS_LIMITER_INIT;
        struct faasi_admission a;

        how.kind = (faas_limiter_kind)kind;
        how.limit_max = 5;
        a = begin(&how, 3);
        for (unsigned i = 0; i < 500; i++)
            done(&a, 1000, 5);
        ck_assert_msg(admits(&a, 4), "%s", faas_limiter_name(how.kind));
        ck_assert_msg(!admits(&a, 5), "%s", faas_limiter_name(how.kind));
    }
}
END_TEST

START_TEST(aimd_rises_by_one_and_falls_by_a_tenth)
{
    faas_limiter how = FAAS_LIMITER_INIT;
    struct faasi_admission a;

    how.kind = FAAS_LIMITER_AIMD;
    how.target_ns = 10 * MS;
    a = begin(&how, 1);
    ck_assert_uint_eq(a.limit, 20);
    done(&a, MS, 10);
    ck_assert_uint_eq(a.limit, 21);
    done(&a, MS, 10); // less than half: nothing is known of more
    ck_assert_uint_eq(a.limit, 21);
    for (unsigned i = 0; i < 500; i++)
        done(&a, MS, 200);
    ck_assert_uint_eq(a.limit, 200);
    done(&a, 10 * MS + 1, 200);
    ck_assert_uint_eq(a.limit, 180);
    for (unsigned i = 0; i < 100; i++)
        done(&a, 11 * MS, 200);
    ck_assert_uint_eq(a.limit, 20);
}
END_TEST

START_TEST(vegas_and_gradient_close_while_calls_get_slower)
{
    /* Vegas steps by its power of ten; to gradient slow calls become the mean in time. */
    static const struct {
        faas_limiter_kind kind;
        unsigned slow;
    } both[] = {{FAAS_LIMITER_VEGAS, 500}, {FAAS_LIMITER_GRADIENT, 100}};

    for (size_t i = 0; i < FAASI_COUNT(both); i++) {
        faas_limiter how = FAAS_LIMITER_INIT;
        struct faasi_admission a;
        uint32_t open;

        how.kind = both[i].kind;
        how.limit_min = 1;
        a = begin(&how, 4);
        for (unsigned n = 0; n < 300; n++)
            done(&a, MS, a.limit);
        open = a.limit;
        ck_assert_uint_gt(open, 60);
        for (unsigned n = 0; n < both[i].slow; n++)
            done(&a, 40 * MS, a.limit);
        ck_assert_uint_lt(a.limit, open / 2 + 20);
        ck_assert_uint_ge(a.limit, 1);
    }
}
END_TEST

START_TEST(a_window_moves_the_gradient_once)
{
    faas_limiter how = FAAS_LIMITER_INIT;
    struct faasi_admission a;
    struct faasi_admission_sample sample = {
        .calls = 1, .service_ns = MS, .in_flight = 20};

    how.kind = FAAS_LIMITER_GRADIENT;
    how.window_ns = SECOND;
    a = begin(&how, 4);
    for (unsigned i = 0; i < 20; i++)
        faasi_admission_done(&a, i * MS, &sample);
    ck_assert_uint_eq(a.limit, 20);
    faasi_admission_done(&a, SECOND + MS, &sample);
    ck_assert_double_eq_tol(a.state.limit, 20.8, 1e-9);
    for (unsigned i = 0; i < 8; i++) // too few for a window
        faasi_admission_done(&a, 3 * SECOND, &sample);
    ck_assert_double_eq_tol(a.state.limit, 20.8, 1e-9);
}
END_TEST

/* ---- at the head of the queue ---- */

START_TEST(what_waited_too_long_or_lost_its_deadline_is_shed)
{
    struct faasi_admission a = begin(NULL, 2);

    ck_assert(!faasi_admission_shed(&a, 20 * MS, 5 * MS, FAAS_FOREVER));
    ck_assert(faasi_admission_shed(&a, 20 * MS + 1, 5 * MS, FAAS_FOREVER));
    ck_assert(!faasi_admission_shed(&a, 6 * MS, 5 * MS, 6 * MS + 1));
    ck_assert(faasi_admission_shed(&a, 6 * MS, 5 * MS, 6 * MS));
    ck_assert(faasi_admission_shed(&a, 6 * MS, 5 * MS, MS));
    ck_assert(!faasi_admission_newest(&a, SECOND));
}
END_TEST

START_TEST(a_standing_queue_turns_round_and_sheds_early)
{
    faas_limiter how = FAAS_LIMITER_INIT;
    struct faasi_admission a;

    how.kind = FAAS_LIMITER_CODEL_LIFO;
    a = begin(&how, 2);
    ck_assert(admits(&a, 100000));
    faasi_admission_emptied(&a, SECOND);
    ck_assert(!faasi_admission_newest(&a, SECOND + 5 * MS));
    ck_assert(faasi_admission_newest(&a, SECOND + 5 * MS + 1));
    /* Until it has stood for 100 ms, 100 ms may be waited; then 5. */
    ck_assert(!faasi_admission_shed(&a, SECOND + 100 * MS, SECOND, FAAS_FOREVER));
    ck_assert(
        faasi_admission_shed(&a, SECOND + 100 * MS + 1, SECOND + 90 * MS, FAAS_FOREVER));
    ck_assert(
        !faasi_admission_shed(&a, SECOND + 101 * MS, SECOND + 96 * MS, FAAS_FOREVER));
    faasi_admission_emptied(&a, SECOND + 101 * MS);
    ck_assert(!faasi_admission_newest(&a, SECOND + 102 * MS));
    ck_assert(
        !faasi_admission_shed(&a, SECOND + 110 * MS, SECOND + 90 * MS, FAAS_FOREVER));
}
END_TEST

/* ---- rates ---- */

START_TEST(a_rate_lets_a_burst_in_and_then_keeps_its_pace)
{
    struct faasi_rate rate;
    uint64_t wait, now = 77 * SECOND;

    ck_assert(faasi_rate_init(&rate, 1000, 5));
    for (unsigned i = 0; i < 5; i++)
        ck_assert(faasi_rate_take(&rate, now, &wait));
    ck_assert(!faasi_rate_take(&rate, now, &wait));
    ck_assert_uint_eq(wait, MS);
    ck_assert(!faasi_rate_take(&rate, now + MS - 1, &wait));
    ck_assert_uint_eq(wait, 1);
    ck_assert(faasi_rate_take(&rate, now + MS, &wait));
    ck_assert(!faasi_rate_take(&rate, now + MS, &wait));
    /* What is not used does not add up beyond the burst. */
    now += 3600 * SECOND;
    for (unsigned i = 0; i < 5; i++)
        ck_assert(faasi_rate_take(&rate, now, &wait));
    ck_assert(!faasi_rate_take(&rate, now, &wait));
}
END_TEST

START_TEST(a_rate_that_does_not_divide_a_second_does_not_drift)
{
    struct faasi_rate rate;
    uint64_t taken = 0, now = 0, wait;

    ck_assert(faasi_rate_init(&rate, 700000000, 1)); // 1.43 ns each
    while (now < 1000000) {
        if (faasi_rate_take(&rate, now, &wait))
            taken++;
        else
            now += wait;
    }
    ck_assert_uint_ge(taken, 699990);
    ck_assert_uint_le(taken, 700001);
}
END_TEST

START_TEST(a_call_refused_by_the_limit_uses_no_rate)
{
    faas_limiter how = FAAS_LIMITER_INIT;
    struct faasi_admission a;
    uint64_t retry;

    how.kind = FAAS_LIMITER_FIXED;
    how.limit = 1;
    how.rate = 10;
    how.burst = 1;
    a = begin(&how, 1);
    ck_assert(!faasi_admission_admit(&a, 0, 1, &retry));
    ck_assert(faasi_admission_admit(&a, 0, 0, &retry));
    ck_assert(!faasi_admission_admit(&a, 0, 0, &retry));
    ck_assert_uint_eq(retry, 100 * MS);
    ck_assert(faasi_admission_admit(&a, 100 * MS, 0, &retry));
}
END_TEST

/* ---- cold starts ---- */

/* What a caller does that found no idle instance: whether it makes one. */
static bool starts(struct faasi_admission *a, uint64_t now, uint32_t busy, uint32_t ahead,
                   uint64_t *wait)
{
    *wait = 0;
    return !faasi_admission_awaits(a, busy, 0, ahead, wait) &&
           faasi_admission_start(a, now, wait);
}

START_TEST(a_caller_waits_for_what_comes_free_sooner_than_a_cold_start)
{
    struct faasi_admission a = begin(NULL, 4);
    uint64_t wait;

    ck_assert(starts(&a, 0, 4, 0, &wait)); // nothing is known
    faasi_admission_started(&a, 20 * MS);
    ck_assert(starts(&a, 0, 4, 0, &wait));
    done(&a, 8 * MS, 1);
    ck_assert(!starts(&a, 0, 4, 0, &wait)); // 2 ms
    ck_assert_uint_eq(wait, 4 * MS);
    ck_assert(!starts(&a, 0, 4, 8, &wait)); // 18 ms
    ck_assert(starts(&a, 0, 4, 9, &wait));  // 20 ms
    ck_assert(starts(&a, 0, 0, 0, &wait));  // none is busy
    /* While all of them are being made they come free a cold start later. */
    ck_assert(faasi_admission_awaits(&a, 4, 3, 0, &wait));
    ck_assert_uint_eq(wait, 4 * MS);
    ck_assert(faasi_admission_awaits(&a, 4, 4, 0, &wait));
    ck_assert_uint_eq(wait, 24 * MS);
}
END_TEST

START_TEST(nobody_waits_where_to_fall_asleep_takes_as_long_as_a_cold_start)
{
    struct faasi_admission a = begin(NULL, 4);
    uint64_t wait;

    faasi_admission_started(&a, 99999);
    done(&a, 1, 1);
    ck_assert(starts(&a, 0, 4, 0, &wait));
    faasi_admission_started(&a, 100005);
    ck_assert(!starts(&a, 0, 4, 0, &wait));
}
END_TEST

START_TEST(what_was_taken_of_a_rate_and_not_used_can_be_taken_again)
{
    struct faasi_rate rate;
    uint64_t wait;

    ck_assert(faasi_rate_init(&rate, 3, 1)); // a third of a second each: not a whole ns
    for (int i = 0; i < 1000; i++) {
        ck_assert(faasi_rate_take(&rate, SECOND, &wait));
        faasi_rate_return(&rate);
    }
    ck_assert(faasi_rate_take(&rate, SECOND, &wait));
    ck_assert(!faasi_rate_take(&rate, SECOND, &wait));
    ck_assert_uint_eq(wait, SECOND / 3);
    /* One of which nothing was taken stays as it is. */
    ck_assert(faasi_rate_init(&rate, 3, 1));
    faasi_rate_return(&rate);
    ck_assert(faasi_rate_take(&rate, 0, &wait));
    ck_assert(!faasi_rate_take(&rate, 0, &wait));
}
END_TEST

START_TEST(a_stampede_does_not_make_an_instance_for_each)
{
    faas_limiter how = FAAS_LIMITER_INIT;
    struct faasi_admission a;
    uint32_t made = 0, busy = 0;
    uint64_t wait = 0;

    how.cold_rate = 10;
    how.cold_burst = 4;
    a = begin(&how, 100);
    for (unsigned i = 0; i < 100; i++)
        made += starts(&a, 0, busy, i, &wait);
    ck_assert_uint_eq(made, 4);
    ck_assert_uint_eq(wait, 100 * MS);
    ck_assert(starts(&a, 100 * MS, busy, 96, &wait));
    ck_assert(!starts(&a, 100 * MS, busy, 95, &wait));
    /* Known to be expensive, and short of use: those that wait need no more of them. */
    a = begin(NULL, 100);
    faasi_admission_started(&a, SECOND);
    done(&a, MS, 1);
    made = 0;
    for (uint32_t ahead = 0; ahead < 100; ahead++)
        made += starts(&a, 0, 1, ahead, &wait);
    ck_assert_uint_eq(made, 0);
}
END_TEST

/* ---- extremes ---- */

START_TEST(no_value_overflows)
{
    static const uint64_t times[] = {0, 1, MS, UINT64_MAX / 2, UINT64_MAX};
    static const uint32_t numbers[] = {0, 1, 1000, UINT32_MAX};

    for (int kind = FAAS_LIMITER_DEFAULT; kind <= FAAS_LIMITER_CODEL_LIFO; kind++)
        for (size_t t = 0; t < FAASI_COUNT(times); t++)
            for (size_t n = 0; n < FAASI_COUNT(numbers); n++) {
                faas_limiter how = FAAS_LIMITER_INIT;
                struct faasi_admission a;
                uint64_t wait;

                how.kind = (faas_limiter_kind)kind;
                how.target_ns = how.shed_ns = how.window_ns = times[t];
                ck_assert_ok(faasi_admission_init(&a, &how, numbers[n], times[t], 0));
                for (unsigned i = 0; i < 20; i++) {
                    const struct faasi_admission_sample sample = {
                        .calls = i % 3 == 0 ? UINT64_MAX : 1,
                        .wait_ns = times[(t + i) % FAASI_COUNT(times)],
                        .service_ns = times[(t + i / 2) % FAASI_COUNT(times)],
                        .in_flight = numbers[i % FAASI_COUNT(numbers)]};

                    faasi_admission_done(&a, times[i % 4] / 2, &sample);
                    faasi_admission_started(&a, times[i % FAASI_COUNT(times)]);
                    ck_assert_uint_ge(a.limit, 1);
                    ck_assert_uint_le(a.limit, FAASI_ADMISSION_MAX);
                    ck_assert(!faasi_admission_admit(&a, 0, UINT32_MAX, &wait));
                    (void)starts(&a, 0, numbers[n], UINT32_MAX, &wait);
                }
            }
}
END_TEST

static void ck_refused(faas_limiter how, const char *complaint)
{
    struct faasi_admission a;

    ck_assert_status(faasi_admission_init(&a, &how, 1, FAAS_FOREVER, 0), FAAS_EINVAL);
    ck_assert_msg(strstr(faas_error_text(), complaint) != NULL, "\"%s\" lacks \"%s\"",
                  faas_error_text(), complaint);
}

#define LIMITER(...) ((faas_limiter){.size = sizeof(faas_limiter), __VA_ARGS__})

START_TEST(wrong_limiters_are_refused)
{
    struct faasi_admission a;
    faas_limiter newer[2] = {LIMITER(.kind = FAAS_LIMITER_FIXED)};

    ck_refused(LIMITER(.kind = (faas_limiter_kind)8), "no kind 8");
    ck_refused(LIMITER(.limit = 1048577), "none over 1048576");
    ck_refused(LIMITER(.limit_min = 6, .limit_max = 5), "at least 6, at most 5");
    ck_refused(LIMITER(.rate = -1), "rate -1");
    ck_refused(LIMITER(.rate = 2e9), "out of range");
    ck_refused(LIMITER(.burst = 3), "rate 0, burst 3");
    ck_refused(LIMITER(.rate = 1, .burst = 0.5), "out of range");
    ck_refused(LIMITER(.rate = 1e-6, .burst = 1e9), "out of range");
    ck_refused(LIMITER(.cold_rate = -5), "cold_rate -5");
    ck_refused((faas_limiter){.kind = FAAS_LIMITER_FIXED}, "size");
    newer[0].size = sizeof newer;
    newer[1].size = 1;
    ck_assert_status(faasi_admission_init(&a, newer, 1, FAAS_FOREVER, 0), FAAS_EVERSION);
    ck_assert_ptr_null(faas_limiter_name((faas_limiter_kind)8));
    ck_assert_ptr_null(faas_limiter_name((faas_limiter_kind)-1));
    ck_assert_str_eq(faas_limiter_name(FAAS_LIMITER_DEFAULT), "predicted");
}
END_TEST

/* ---- overload ---- */

/* Calls of 1 ms on two workers, `times` as many as they can serve. */
static faas_overload_result overload(const faas_limiter *limiter, double times,
                                     uint64_t length_ns)
{
    const faas_load_phase phase = {
        .length_ns = SECOND, .service_ns = MS, .rate = 2000 * times};
    faas_overload how = FAAS_OVERLOAD_INIT;
    faas_overload_result r = {.size = sizeof r};

    how.phases = &phase;
    how.phase_count = 1;
    how.limiter = limiter;
    how.length_ns = length_ns;
    how.seed = 1;
    ck_assert_ok(faas_overload_run(&how, NULL, &r));
    return r;
}

START_TEST(an_overload_adds_up_and_is_the_same_each_time)
{
    faas_limiter how = FAAS_LIMITER_INIT;
    faas_overload_result a = overload(NULL, 2, 10 * SECOND);
    faas_overload_result b = overload(NULL, 2, 10 * SECOND);

    ck_assert_mem_eq(&a, &b, sizeof a);
    ck_assert_uint_gt(a.shed, 0);
    ck_assert_uint_gt(a.refused, a.calls / 3);
    ck_assert_uint_le(a.refused + a.shed + a.ran, a.calls);
    ck_assert_uint_ge(a.refused + a.shed + a.ran + a.in_flight_max, a.calls);
    how.kind = FAAS_LIMITER_FIXED;
    how.limit = 7;
    a = overload(&how, 2, 10 * SECOND);
    ck_assert_uint_eq(a.in_flight_max, 7);
    ck_assert_uint_eq(a.shed, 0);
}
END_TEST

/* Erlang's formula for two servers and no place to wait, and the queue M/M/2. */
START_TEST(an_overload_agrees_with_queueing_theory)
{
    faas_limiter how = FAAS_LIMITER_INIT;
    faas_overload_result r;

    how.kind = FAAS_LIMITER_FIXED;
    how.limit = 2;
    r = overload(&how, 1, 60 * SECOND); // offered 2: blocked 2^2/2 / (1 + 2 + 2) = 0.4
    ck_assert_double_eq_tol((double)r.refused / (double)r.calls, 0.4, 0.01);
    ck_assert_double_eq_tol(r.goodput, 1200, 20);
    how.limit = 1000000;
    r = overload(&how, 0.5, 60 * SECOND);
    ck_assert_uint_eq(r.refused, 0);
    ck_assert_double_eq_tol(r.goodput, 1000, 15);
    /* Of an exponential service alone it would be 0.69 ms. */
    ck_assert_uint_gt(r.p50_ns, 700000);
    ck_assert_uint_lt(r.p50_ns, 1000000);
}
END_TEST

START_TEST(predicted_wait_serves_all_it_can_and_in_time)
{
    static const double times[] = {1.5, 2, 4};

    for (size_t i = 0; i < FAASI_COUNT(times); i++) {
        faas_overload_result r = overload(NULL, times[i], 20 * SECOND);

        ck_assert_double_ge(r.goodput, 0.97 * 2000);
        ck_assert_uint_le(r.p99_ns, 18 * MS);
    }
}
END_TEST

/* What is shed leaves: otherwise the queue that a slow time makes would shut out all that
 * comes later. */
START_TEST(predicted_wait_survives_a_slow_time)
{
    const faas_load_phase phases[] = {
        {20 * SECOND, MS, 2400}, {20 * SECOND, 4 * MS, 2400}, {20 * SECOND, MS, 2400}};
    faas_overload how = FAAS_OVERLOAD_INIT;
    faas_overload_result r = {.size = sizeof r};

    how.phases = phases;
    how.phase_count = FAASI_COUNT(phases);
    how.seed = 1;
    ck_assert_ok(faas_overload_run(&how, NULL, &r));
    ck_assert_double_ge(r.goodput, 1400);
    ck_assert_uint_le(r.p99_ns, 21 * MS);
    ck_assert_uint_gt(r.shed, 100);
}
END_TEST

START_TEST(without_a_limit_nothing_is_in_time)
{
    faas_limiter how = FAAS_LIMITER_INIT;

    how.kind = FAAS_LIMITER_NONE;
    ck_assert_double_lt(overload(&how, 1.5, 20 * SECOND).goodput, 10);
    how.kind = FAAS_LIMITER_CODEL_LIFO; // what is new is served, what is old dropped
    ck_assert_double_ge(overload(&how, 1.5, 20 * SECOND).goodput, 1850);
}
END_TEST

START_TEST(wrong_overloads_are_refused)
{
    faas_load_phase phase = {.length_ns = SECOND, .service_ns = MS, .rate = 1};
    faas_overload how = FAAS_OVERLOAD_INIT;
    faas_overload_result r = {.size = sizeof r};
    faas_limiter limiter = LIMITER(.rate = -1);

    ck_assert_status(faas_overload_run(&how, NULL, &r), FAAS_EINVAL);
    how.phases = &phase;
    how.phase_count = 1;
    ck_assert_ok(faas_overload_run(&how, NULL, &r));
    how.limiter = &limiter;
    ck_assert_status(faas_overload_run(&how, NULL, &r), FAAS_EINVAL);
    how.limiter = NULL;
    how.workers = 4097;
    ck_assert_status(faas_overload_run(&how, NULL, &r), FAAS_EINVAL);
    how.workers = 0;
    how.warm_ns = how.length_ns = SECOND;
    ck_assert_status(faas_overload_run(&how, NULL, &r), FAAS_EINVAL);
    how.warm_ns = FAAS_FOREVER;
    ck_assert_ok(faas_overload_run(&how, NULL, &r));
    phase.length_ns = 0;
    ck_assert_status(faas_overload_run(&how, NULL, &r), FAAS_EINVAL);
    phase = (faas_load_phase){.length_ns = SECOND, .rate = 0};
    ck_assert_status(faas_overload_run(&how, NULL, &r), FAAS_EINVAL);
    phase = (faas_load_phase){.length_ns = SECOND, .rate = -3};
    ck_assert_status(faas_overload_run(&how, NULL, &r), FAAS_EINVAL);
    how.size = 0;
    ck_assert_status(faas_overload_run(&how, NULL, &r), FAAS_EINVAL);
}
END_TEST

START_TEST(nothing_leaks_whichever_allocation_fails)
{
    const faas_load_phase phase = {.length_ns = SECOND, .service_ns = MS, .rate = 5000};
    faas_limiter limiter = LIMITER(.kind = FAAS_LIMITER_NONE);
    faas_overload how = FAAS_OVERLOAD_INIT;

    how.phases = &phase;
    how.phase_count = 1;
    how.limiter = &limiter;
    how.length_ns = SECOND;
    how.warm_ns = FAAS_FOREVER;
    for (unsigned fail_at = 1;; fail_at++) {
        struct faulty f = {.fail_at = fail_at};
        faas_allocator alloc = faulty_allocator(&f);
        faas_overload_result r = {.size = sizeof r};
        faas_status status = faas_overload_run(&how, &alloc, &r);

        ck_assert_uint_eq(f.live_bytes, 0);
        if (f.failures == 0) {
            ck_assert_ok(status);
            ck_assert_uint_gt(fail_at, 4);
            break;
        }
        ck_assert_status(status, FAAS_ENOMEM);
        ck_assert_uint_eq(r.calls, 0);
    }
}
END_TEST

SUITE_MAIN(
    "admission", a_fixed_limit_is_met_exactly, unmeasured_four_times_what_runs_comes_in,
    who_gets_its_turn_within_the_target_comes_in,
    the_target_is_a_part_of_the_time_that_calls_have, the_service_time_follows_a_change,
    a_batch_counts_as_its_calls_alone, a_refused_call_is_told_when_its_turn_would_be,
    the_hard_cap_stands_above_every_limiter, aimd_rises_by_one_and_falls_by_a_tenth,
    vegas_and_gradient_close_while_calls_get_slower, a_window_moves_the_gradient_once,
    what_waited_too_long_or_lost_its_deadline_is_shed,
    a_standing_queue_turns_round_and_sheds_early,
    a_rate_lets_a_burst_in_and_then_keeps_its_pace,
    a_rate_that_does_not_divide_a_second_does_not_drift,
    a_call_refused_by_the_limit_uses_no_rate,
    a_caller_waits_for_what_comes_free_sooner_than_a_cold_start,
    nobody_waits_where_to_fall_asleep_takes_as_long_as_a_cold_start,
    what_was_taken_of_a_rate_and_not_used_can_be_taken_again,
    a_stampede_does_not_make_an_instance_for_each, no_value_overflows,
    wrong_limiters_are_refused, an_overload_adds_up_and_is_the_same_each_time,
    an_overload_agrees_with_queueing_theory, predicted_wait_serves_all_it_can_and_in_time,
    predicted_wait_survives_a_slow_time, without_a_limit_nothing_is_in_time,
    wrong_overloads_are_refused, nothing_leaks_whichever_allocation_fails)
