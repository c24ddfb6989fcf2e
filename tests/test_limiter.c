/* SPDX-License-Identifier: MIT */
/* test_limiter.c - limiters in front of live calls, and who makes an instance. */
#include "runtime_support.h"

#include "core/limit.h"

#define LIMITER(...) (&(const faas_limiter){.size = sizeof(faas_limiter), __VA_ARGS__})

enum { CALLERS = 8 };

/* A function whose calls stop at a latch, or take some time of the virtual clock. */
struct guarded {
    struct latch latch;
    bool stops;
    uint64_t takes_ns, init_ns;
    faas_fn fn;
};

static int runs(faas_context *ctx, faas_bytes input)
{
    struct guarded *g = faas_user(ctx);

    (void)input;
    pass_ns(g->takes_ns);
    if (g->stops)
        latch_pass(&g->latch);
    return 0;
}

static int takes_init(faas_context *ctx, void **state)
{
    struct guarded *g = faas_user(ctx);

    *state = g;
    pass_ns(g->init_ns);
    return 0;
}

/* Registers one with what is set in `policy` beside its handler. */
static void guarded_open(struct guarded *g, const faas_function *policy)
{
    faas_function function = *policy;

    latch_init(&g->latch);
    function.handler = runs;
    function.user = g;
    if (function.name == NULL)
        function.name = "f";
    if (g->init_ns != 0)
        function.init = takes_init;
    g->fn = function_of(&function);
}

/* Starts `count` calls that stop in the handler. */
static void hold(struct guarded *g, struct caller *c, unsigned count)
{
    g->stops = true;
    for (unsigned i = 0; i < count; i++) {
        caller_start(&c[i], g->fn);
        latch_await(&g->latch, 1);
    }
}

/* Starts calls `from` to `to`, which wait one behind the other, the first of them alone. */
static void line_up(struct guarded *g, struct caller *c, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        caller_start(&c[i], g->fn);
        await_waiters(w.rt, i - from + 1);
    }
}

static void let_go(struct guarded *g, struct caller *c, unsigned count)
{
    latch_release(&g->latch, count);
    for (unsigned i = 0; i < count; i++)
        ck_assert_ok(caller_join(&c[i]));
}

/* ---- predicted wait ---- */

START_TEST(a_call_that_would_wait_beyond_its_target_is_refused_at_once)
{
    struct caller c[6] = {{.limit_ns = 0}};
    struct guarded g = {.takes_ns = 100 * MS};

    OPEN_DEFAULT();
    guarded_open(
        &g, FAAS_FUNCTION(.concurrency = 1, .on_full = FAAS_FULL_WAIT, .wait_ns = SEC));
    ck_assert_ok(call(g.fn)); // it takes 100 ms
    g.takes_ns = 0;
    hold(&g, c, 1);
    /* 0.4 s of waiting is 4 calls: with the one that runs, 5. */
    line_up(&g, c, 1, 5);
    ck_assert_status(call(g.fn), FAAS_EBUSY);
    ck_assert_uint_eq(faas_retry_after_ns(), 100 * MS);
    ck_assert_uint_eq(stats_of(g.fn).throttles, 1);
    ck_assert_uint_eq(stats_of(g.fn).limit, 5);
    ck_assert_uint_eq(stats_of(g.fn).waiting, 4);
    ck_assert_ok(faas_function_update(w.rt, g.fn, FAAS_FUNCTION(.wait_ns = 2 * SEC)));
    ck_assert_uint_eq(stats_of(g.fn).limit, 9); // who may wait longer may be more
    let_go(&g, c, 5);
    ck_assert_uint_eq(stats_of(g.fn).invocations, 6);
    CLOSE();
}
END_TEST

/* Whether all may wait behind one of a function, whose first call took so long. */
static void ck_all_may_wait(uint64_t first_takes_ns, const faas_limiter *limiter)
{
    struct caller c[CALLERS] = {{.limit_ns = 0}};
    struct guarded g = {.takes_ns = first_takes_ns};

    OPEN_DEFAULT();
    guarded_open(&g, FAAS_FUNCTION(.concurrency = 1, .on_full = FAAS_FULL_WAIT,
                                   .wait_ns = SEC, .limiter = limiter));
    if (first_takes_ns != 0)
        ck_assert_ok(call(g.fn));
    g.takes_ns = 0;
    hold(&g, c, 1);
    line_up(&g, c, 1, CALLERS);
    let_go(&g, c, CALLERS);
    ck_assert_uint_eq(stats_of(g.fn).throttles, 0);
    CLOSE();
}

START_TEST(until_a_call_was_measured_everybody_may_wait)
{
    ck_all_may_wait(0, NULL);
}
END_TEST

START_TEST(with_no_limiter_everybody_may_wait)
{
    ck_all_may_wait(900 * MS, LIMITER(.kind = FAAS_LIMITER_NONE));
}
END_TEST

START_TEST(who_waited_too_long_is_dropped_when_it_has_its_turn)
{
    struct caller c[3] = {{.limit_ns = 0}};
    struct guarded g = {.takes_ns = 0};

    OPEN_DEFAULT();
    guarded_open(&g, FAAS_FUNCTION(.concurrency = 1, .on_full = FAAS_FULL_WAIT,
                                   .limiter = LIMITER(.target_ns = 10 * MS)));
    hold(&g, c, 1);
    caller_start(&c[1], g.fn);
    await_waiters(w.rt, 1);
    pass_ns(10 * MS);
    caller_start(&c[2], g.fn);
    await_waiters(w.rt, 2);
    pass_ns(5 * MS + 1); // the first has waited 1.5 x the target
    latch_release(&g.latch, 2);
    ck_assert_ok(caller_join(&c[0]));
    ck_assert_status(caller_join(&c[1]), FAAS_EBUSY);
    ck_assert_uint_ge(c[1].retry_after_ns, US);
    ck_assert_ok(caller_join(&c[2]));
    ck_assert_uint_eq(stats_of(g.fn).sheds, 1);
    ck_assert_uint_eq(stats_of(g.fn).throttles, 1);
    CLOSE();
}
END_TEST

START_TEST(the_newest_goes_first_while_a_queue_stands)
{
    struct caller c[4] = {{.limit_ns = 0}};
    struct guarded g = {.takes_ns = 0};

    OPEN_DEFAULT();
    guarded_open(&g, FAAS_FUNCTION(.concurrency = 1, .on_full = FAAS_FULL_WAIT,
                                   .limiter = LIMITER(.kind = FAAS_LIMITER_CODEL_LIFO,
                                                      .shed_ns = SEC)));
    pass_ns(50 * MS); // nothing has waited since it was made
    hold(&g, c, 1);
    for (uint32_t i = 1; i < 4; i++) {
        caller_start(&c[i], g.fn);
        await_waiters(w.rt, i);
        pass_ns(MS);
    }
    for (int i = 3; i > 0; i--) { // from the last one on
        latch_release(&g.latch, 1);
        latch_await(&g.latch, 1);
        ck_assert_ok(caller_join(&c[i == 3 ? 0 : i + 1]));
    }
    latch_release(&g.latch, 1);
    ck_assert_ok(caller_join(&c[1]));
    CLOSE();
}
END_TEST

/* ---- limiters that count each call ---- */

START_TEST(a_fixed_limit_below_what_could_run_is_exact)
{
    struct caller c[3] = {{.limit_ns = 0}};
    struct guarded g = {.takes_ns = 0};

    OPEN_DEFAULT();
    guarded_open(
        &g, FAAS_FUNCTION(.limiter = LIMITER(.kind = FAAS_LIMITER_FIXED, .limit = 3)));
    for (int round = 0; round < 3; round++) {
        hold(&g, c, 3);
        ck_assert_status(call(g.fn), FAAS_EBUSY);
        ck_assert_status(
            faas_invoke_with(w.rt, g.fn, faas_str(NULL), FAAS_CALL(.dry_run = 1), NULL),
            FAAS_EBUSY);
        let_go(&g, c, 3);
        g.stops = false;
        ck_assert_ok(call(g.fn));
        ck_assert_ok(
            faas_invoke_with(w.rt, g.fn, faas_str(NULL), FAAS_CALL(.dry_run = 1), NULL));
    }
    ck_assert_uint_eq(stats_of(g.fn).throttles, 3);
    ck_assert_uint_eq(stats_of(g.fn).limit, 3);
    CLOSE();
}
END_TEST

START_TEST(a_rate_holds_for_a_thread_that_calls_again_and_again)
{
    struct guarded g = {.takes_ns = 0};

    OPEN_DEFAULT();
    guarded_open(&g, FAAS_FUNCTION(.limiter = LIMITER(.rate = 10, .burst = 3)));
    for (int i = 0; i < 3; i++)
        ck_assert_ok(call(g.fn));
    ck_assert_status(call(g.fn), FAAS_EBUSY);
    ck_assert_uint_eq(faas_retry_after_ns(), 100 * MS);
    ck_assert_status(
        faas_invoke_with(w.rt, g.fn, faas_str(NULL), FAAS_CALL(.dry_run = 1), NULL),
        FAAS_EBUSY);
    pass_ns(100 * MS);
    ck_assert_ok(faas_invoke_with(w.rt, g.fn, faas_str(NULL), FAAS_CALL(.dry_run = 1),
                                  NULL)); // which takes nothing of it
    ck_assert_ok(call(g.fn));
    ck_assert_status(call(g.fn), FAAS_EBUSY);
    ck_assert_uint_eq(stats_of(g.fn).throttles, 2);
    CLOSE();
}
END_TEST

START_TEST(a_call_that_is_refused_for_want_of_a_seat_takes_nothing_of_the_rate)
{
    struct caller c = {.limit_ns = 0};
    struct guarded g = {.takes_ns = 0};

    OPEN_DEFAULT();
    guarded_open(
        &g, FAAS_FUNCTION(.concurrency = 1, .limiter = LIMITER(.rate = 1, .burst = 2)));
    hold(&g, &c, 1);
    for (int i = 0; i < 5; i++)
        ck_assert_status(call(g.fn), FAAS_EBUSY);
    let_go(&g, &c, 1);
    g.stops = false;
    ck_assert_ok(call(g.fn));
    ck_assert_status(call(g.fn), FAAS_EBUSY);
    CLOSE();
}
END_TEST

START_TEST(a_rate_may_come_and_go_while_threads_remember_their_seats)
{
    struct guarded g = {.takes_ns = 0};

    OPEN_DEFAULT();
    guarded_open(&g, FAAS_FUNCTION(.idle_ns = 0));
    for (int i = 0; i < 5; i++)
        ck_assert_ok(call(g.fn));
    ck_assert_ok(faas_function_update(
        w.rt, g.fn, FAAS_FUNCTION(.limiter = LIMITER(.rate = 1, .burst = 1))));
    ck_assert_ok(call(g.fn));
    ck_assert_status(call(g.fn), FAAS_EBUSY);
    /* Other changes leave it as it is. */
    ck_assert_ok(faas_function_update(w.rt, g.fn, FAAS_FUNCTION(.timeout_ns = SEC)));
    ck_assert_status(call(g.fn), FAAS_EBUSY);
    ck_assert_ok(faas_function_update(
        w.rt, g.fn, FAAS_FUNCTION(.limiter = LIMITER(.kind = FAAS_LIMITER_NONE))));
    for (int i = 0; i < 5; i++)
        ck_assert_ok(call(g.fn));
    ck_assert_uint_eq(stats_of(g.fn).cold_starts, 1);
    CLOSE();
}
END_TEST

START_TEST(aimd_learns_from_each_call)
{
    struct guarded g = {.takes_ns = 200 * MS};

    OPEN_DEFAULT();
    guarded_open(
        &g, FAAS_FUNCTION(.limiter = LIMITER(.kind = FAAS_LIMITER_AIMD, .limit = 100,
                                             .limit_min = 10, .target_ns = 100 * MS)));
    ck_assert_ok(call(g.fn));
    ck_assert_uint_eq(stats_of(g.fn).limit, 90); // it was too slow: a tenth fewer
    ck_assert_ok(call(g.fn));
    ck_assert_uint_eq(stats_of(g.fn).limit, 81);
    CLOSE();
}
END_TEST

START_TEST(a_call_that_was_counted_is_not_counted_again_when_another_one_waits)
{
    struct caller c[2] = {{.limit_ns = 0}};
    struct guarded g = {.takes_ns = 200 * MS};

    OPEN_DEFAULT();
    guarded_open(
        &g, FAAS_FUNCTION(.concurrency = 1, .on_full = FAAS_FULL_WAIT,
                          .limiter = LIMITER(.kind = FAAS_LIMITER_AIMD, .limit = 100,
                                             .limit_min = 10, .target_ns = 100 * MS)));
    ck_assert_ok(call(g.fn));
    ck_assert_uint_eq(stats_of(g.fn).limit, 90); // it was too slow
    g.takes_ns = 0;
    hold(&g, c, 1);
    line_up(&g, c, 1, 2);
    ck_assert_uint_eq(stats_of(g.fn).limit, 90);
    let_go(&g, c, 2);
    CLOSE();
}
END_TEST

START_TEST(the_runtimes_limiter_counts_the_calls_of_all_functions)
{
    struct caller c[3] = {{.limit_ns = 0}};
    struct guarded f = {.takes_ns = 0}, g = {.takes_ns = 0};

    OPEN(.limiter = LIMITER(.kind = FAAS_LIMITER_FIXED, .limit = 3));
    guarded_open(&f, FAAS_FUNCTION(.name = "f"));
    guarded_open(
        &g, FAAS_FUNCTION(.name = "g", .limiter = LIMITER(.rate = 1e-3, .burst = 2)));
    for (int round = 0; round < 2; round++) {
        hold(&f, c, 2);
        hold(&g, c + 2, 1);
        ck_assert_status(call(f.fn), FAAS_EBUSY);
        ck_assert_status(call(g.fn), FAAS_EBUSY); // and takes nothing of its rate
        let_go(&f, c, 2);
        let_go(&g, c + 2, 1);
    }
    f.stops = g.stops = false;
    ck_assert_ok(call(f.fn));
    ck_assert_status(call(g.fn), FAAS_EBUSY);
    CLOSE();
}
END_TEST

START_TEST(the_runtimes_prediction_is_asked_where_its_cap_is_met)
{
    struct caller c[4] = {{.limit_ns = 0}};
    struct guarded g = {.takes_ns = 10 * MS};

    OPEN(.concurrency_max = 1, .limiter = LIMITER(.target_ns = 20 * MS));
    guarded_open(&g, FAAS_FUNCTION(.on_full = FAAS_FULL_WAIT));
    ck_assert_ok(call(g.fn));
    g.takes_ns = 0;
    hold(&g, c, 1);
    line_up(&g, c, 1, 3);
    ck_assert_status(call(g.fn), FAAS_EBUSY);
    let_go(&g, c, 3);
    CLOSE();
}
END_TEST

/* ---- cold starts ---- */

START_TEST(who_finds_an_instance_coming_free_sooner_waits_for_it)
{
    const faas_limiter *limiters[] = {NULL, LIMITER(.kind = FAAS_LIMITER_NONE)};

    for (size_t i = 0; i < FAASI_COUNT(limiters); i++) {
        struct caller c[3] = {{.limit_ns = 0}};
        struct guarded g = {.takes_ns = 10 * MS, .init_ns = SEC};

        OPEN_DEFAULT();
        guarded_open(&g,
                     FAAS_FUNCTION(.concurrency = 8, // it refuses when full: it is not
                                   .limiter = limiters[i]));
        ck_assert_ok(call(g.fn));
        g.takes_ns = 0;
        hold(&g, c, 1);
        caller_start(&c[1], g.fn);
        await_waiters(w.rt, 1);
        caller_start(&c[2], g.fn);
        await_waiters(w.rt, 2);
        let_go(&g, c, 3);
        ck_assert_uint_eq(stats_of(g.fn).cold_starts, 1);
        ck_assert_uint_eq(stats_of(g.fn).throttles, 0);
        CLOSE();
    }
}
END_TEST

START_TEST(who_waited_in_vain_for_an_instance_makes_one)
{
    struct caller c[2] = {{.limit_ns = 0}};
    struct guarded g = {.takes_ns = 10 * MS, .init_ns = SEC};

    OPEN_DEFAULT();
    guarded_open(&g, FAAS_FUNCTION(.concurrency = 8));
    ck_assert_ok(call(g.fn));
    g.takes_ns = 0;
    hold(&g, c, 1);
    caller_start(&c[1], g.fn);
    await_waiters(w.rt, 1);
    pass_ns(20 * MS - 1); // twice what a call takes
    await_waiters(w.rt, 1);
    pass_ns(1);
    latch_await(&g.latch, 1);
    ck_assert_uint_eq(stats_of(g.fn).cold_starts, 2);
    let_go(&g, c, 2);
    CLOSE();
}
END_TEST

/* Calls its own function. */
static int calls_itself(faas_context *ctx, faas_bytes input)
{
    struct guarded *g = faas_user(ctx);

    pass_ns(MS);
    return input.size == 0
               ? 0
               : faas_invoke(w.rt, g->fn, faas_str(input.data), 0, NULL) != FAAS_OK;
}

START_TEST(a_handler_does_not_wait_for_its_own_instance)
{
    struct guarded g = {.init_ns = SEC};

    OPEN_DEFAULT();
    g.fn = function_of(FAAS_FUNCTION(.name = "f", .handler = calls_itself,
                                     .init = takes_init, .user = &g));
    ck_assert_ok(call(g.fn));
    ck_assert_ok(faas_invoke(w.rt, g.fn, faas_bytes_of("", 1), 0, NULL));
    ck_assert_uint_eq(stats_of(g.fn).cold_starts, 2);
    CLOSE();
}
END_TEST

START_TEST(a_stampede_makes_no_more_instances_than_the_rate_allows)
{
    struct caller c[CALLERS] = {{.limit_ns = 0}};
    struct guarded g = {.takes_ns = 0};

    OPEN_DEFAULT();
    guarded_open(&g, FAAS_FUNCTION(.on_full = FAAS_FULL_WAIT,
                                   .limiter = LIMITER(.kind = FAAS_LIMITER_NONE,
                                                      .cold_rate = 1, .cold_burst = 2)));
    hold(&g, c, 2);
    line_up(&g, c, 2, CALLERS);
    pass_ns(SEC); // one more may be made
    latch_await(&g.latch, 1);
    await_waiters(w.rt, CALLERS - 3);
    let_go(&g, c, CALLERS);
    ck_assert_uint_eq(stats_of(g.fn).cold_starts, 3);
    CLOSE();
}
END_TEST

START_TEST(where_nobody_waits_the_rate_of_cold_starts_refuses)
{
    struct caller c = {.limit_ns = 0};
    struct guarded g = {.takes_ns = 0};

    OPEN_DEFAULT();
    guarded_open(&g, FAAS_FUNCTION(.limiter = LIMITER(.cold_rate = 1, .cold_burst = 1)));
    hold(&g, &c, 1);
    ck_assert_status(call(g.fn), FAAS_EBUSY);
    ck_assert_uint_ge(faas_retry_after_ns(), SEC);
    ck_assert_uint_le(faas_retry_after_ns(), SEC + US);
    pass_ns(SEC);
    g.stops = false;
    ck_assert_ok(call(g.fn));
    g.stops = true;
    let_go(&g, &c, 1);
    CLOSE();
}
END_TEST

/* ---- asynchronous invocations, versions, mistakes ---- */

START_TEST(what_is_queued_comes_at_the_rate_and_uses_no_attempt)
{
    struct guarded g = {.takes_ns = 0};

    OPEN(.housekeeping = FAAS_HOUSEKEEPING_HOST);
    guarded_open(&g, FAAS_FUNCTION(.limiter = LIMITER(.rate = 10, .burst = 1)));
    for (int i = 0; i < 3; i++)
        ck_assert_ok(faas_invoke_async(w.rt, g.fn, faas_str("x"), NULL, NULL));
    for (uint64_t ran = 1; ran <= 3; ran++) {
        while (faas_run_once(w.rt, 0, NULL) != 0)
            continue;
        ck_assert_uint_eq(stats_of(g.fn).invocations, ran);
        pass_ns(100 * MS);
    }
    ck_assert_uint_eq(stats_of(g.fn).throttles, 0);
    CLOSE();
}
END_TEST

START_TEST(a_version_has_the_limiter_of_its_function)
{
    struct guarded g = {.takes_ns = 0};
    faas_fn version;

    OPEN_DEFAULT();
    guarded_open(&g, FAAS_FUNCTION(.limiter = LIMITER(.rate = 1, .burst = 1)));
    ck_assert_ok(faas_function_publish(w.rt, g.fn, NULL, &version));
    ck_assert_ok(call(g.fn));
    ck_assert_ok(call(version)); // its own, so it has its own burst
    ck_assert_status(call(version), FAAS_EBUSY);
    ck_assert_ok(faas_function_replace(w.rt, g.fn, FAAS_FUNCTION(.handler = answers)));
    for (int i = 0; i < 3; i++)
        ck_assert_ok(call(g.fn));
    CLOSE();
}
END_TEST

static int takes_many(faas_context *ctx, faas_item *items, size_t count)
{
    (void)ctx;
    (void)items;
    (void)count;
    return 0;
}

START_TEST(the_runtimes_limiter_does_not_count_those_of_batches)
{
    struct caller c = {.limit_ns = 0};
    struct guarded g = {.takes_ns = 0};
    faas_fn batch;

    OPEN(.limiter = LIMITER(.kind = FAAS_LIMITER_FIXED, .limit = 1));
    guarded_open(&g, FAAS_FUNCTION(.name = "f"));
    batch = function_of(FAAS_FUNCTION(.name = "b", .batch = takes_many));
    hold(&g, &c, 1);
    ck_assert_ok(call(batch));
    ck_assert_ok(call(batch));
    ck_assert_status(call(g.fn), FAAS_EBUSY);
    let_go(&g, &c, 1);
    g.stops = false;
    ck_assert_ok(call(g.fn)); // and they left nothing behind
    CLOSE();
}
END_TEST

START_TEST(a_limiter_that_cannot_be_is_refused_and_changes_nothing)
{
    struct guarded g = {.takes_ns = 0};
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;
    faas_runtime *rt;
    faas_fn fn;

    OPEN_DEFAULT();
    guarded_open(&g, FAAS_FUNCTION(.name = "f"));
    ck_assert_status(faas_function_register(w.rt,
                                            FAAS_FUNCTION(.name = "g", .handler = answers,
                                                          .limiter = LIMITER(.rate = -1)),
                                            &fn),
                     FAAS_EINVAL);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "rate"));
    ck_assert_status(
        faas_function_update(
            w.rt, g.fn,
            FAAS_FUNCTION(.concurrency = FAAS_OFF,
                          .limiter = LIMITER(.kind = (faas_limiter_kind)99))),
        FAAS_EINVAL);
    ck_assert_ok(call(g.fn)); // it is not off
    ck_assert_status(
        faas_function_register(w.rt,
                               FAAS_FUNCTION(.name = "b", .batch = takes_many,
                                             .limiter = LIMITER(.rate = 1)),
                               &fn),
        FAAS_EINVAL);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "batch"));
    options.limiter = LIMITER(.limit = UINT32_MAX);
    ck_assert_status(faas_runtime_open(&rt, &options), FAAS_EINVAL);
    CLOSE();
}
END_TEST

START_TEST(without_memory_for_a_limiter_nothing_is_registered_or_changed)
{
    const faas_function *limited =
        FAAS_FUNCTION(.name = "g", .handler = answers,
                      .limiter = LIMITER(.rate = 1, .burst = 1));
    struct guarded g = {.takes_ns = 0};
    faas_status status = FAAS_ENOMEM;
    faas_fn fn;

    OPEN_DEFAULT();
    guarded_open(&g, FAAS_FUNCTION(.name = "f"));
    for (unsigned fail = 1; status == FAAS_ENOMEM; fail++) {
        w.faulty.fail_at = atomic_load(&w.faulty.calls) + fail;
        status = faas_function_register(w.rt, limited, &fn);
        w.faulty.fail_at = 0;
    }
    ck_assert_ok(status);
    w.faulty.fail_at = atomic_load(&w.faulty.calls) + 1;
    ck_assert_status(
        faas_function_update(w.rt, g.fn, FAAS_FUNCTION(.limiter = limited->limiter)),
        FAAS_ENOMEM);
    w.faulty.fail_at = 0;
    for (int i = 0; i < 3; i++)
        ck_assert_ok(call(g.fn));
    CLOSE();
}
END_TEST

START_TEST(without_memory_for_the_default_one_calls_wait_all_the_same)
{
    struct caller c[2] = {{.limit_ns = 0}};
    struct guarded g = {.takes_ns = 0};

    OPEN_DEFAULT();
    guarded_open(&g, FAAS_FUNCTION(.concurrency = 1, .on_full = FAAS_FULL_WAIT));
    hold(&g, c, 1);
    w.faulty.from_then_on = true;
    w.faulty.fail_at = atomic_load(&w.faulty.calls) + 1;
    caller_start(&c[1], g.fn);
    await_waiters(w.rt, 1);
    let_go(&g, c, 2);
    w.faulty.fail_at = 0;
    ck_assert_uint_eq(stats_of(g.fn).limit, 0);
    CLOSE();
}
END_TEST

SUITE_MAIN("limiter", a_call_that_would_wait_beyond_its_target_is_refused_at_once,
           until_a_call_was_measured_everybody_may_wait,
           with_no_limiter_everybody_may_wait,
           who_waited_too_long_is_dropped_when_it_has_its_turn,
           the_newest_goes_first_while_a_queue_stands,
           a_fixed_limit_below_what_could_run_is_exact,
           a_rate_holds_for_a_thread_that_calls_again_and_again,
           a_call_that_is_refused_for_want_of_a_seat_takes_nothing_of_the_rate,
           a_rate_may_come_and_go_while_threads_remember_their_seats,
           aimd_learns_from_each_call,
           a_call_that_was_counted_is_not_counted_again_when_another_one_waits,
           the_runtimes_limiter_counts_the_calls_of_all_functions,
           the_runtimes_limiter_does_not_count_those_of_batches,
           the_runtimes_prediction_is_asked_where_its_cap_is_met,
           who_finds_an_instance_coming_free_sooner_waits_for_it,
           who_waited_in_vain_for_an_instance_makes_one,
           a_handler_does_not_wait_for_its_own_instance,
           a_stampede_makes_no_more_instances_than_the_rate_allows,
           where_nobody_waits_the_rate_of_cold_starts_refuses,
           what_is_queued_comes_at_the_rate_and_uses_no_attempt,
           a_version_has_the_limiter_of_its_function,
           a_limiter_that_cannot_be_is_refused_and_changes_nothing,
           without_memory_for_a_limiter_nothing_is_registered_or_changed,
           without_memory_for_the_default_one_calls_wait_all_the_same)
