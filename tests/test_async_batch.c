/* SPDX-License-Identifier: MIT */
/* test_async_batch.c - queued invocations of a batch function: what runs together, and that
 * each of them ends as if it had run alone. */
#include "async_support.h"

#include "core/desk.h"

/* What a batch handler of a test does; the `user` of batch_fn(). */
struct wants {
    struct latch latch;
    bool holds;                 /* stops inside until it is let go */
    uint64_t fixed_ns, each_ns; /* takes so long by the virtual clock */
};

/* Notes "a b|"; answers each item with its input, or fails it if that begins with '!'. */
static int batches(faas_context *ctx, faas_item *items, size_t count)
{
    struct wants *wants = faas_user(ctx);

    for (size_t i = 0; i < count; i++) {
        const char *text = items[i].input.data;
        int size = (int)items[i].input.size;

        note("%s%.*s", i == 0 ? "" : " ", size, text);
        if (faas_attempt(items[i].ctx) != 1)
            note("*%u", faas_attempt(items[i].ctx));
        items[i].code = size > 0 && text[0] == '!'
                            ? faas_fail(items[i].ctx, 400, "bad: %.*s", size, text)
                            : faas_reply(items[i].ctx, items[i].input);
    }
    note("|");
    if (wants != NULL && wants->holds)
        latch_pass(&wants->latch);
    if (wants != NULL)
        pass_ns(wants->fixed_ns + count * wants->each_ns);
    return 0;
}

/* Makes sizes known: to begin with two batches of one tell what one costs. Where it costs no
 * time by the virtual clock, all that waits is taken then. */
static void warm_up(faas_fn fn)
{
    for (int i = 0; i < 3; i++)
        ck_assert_ok(call(fn));
    ck_assert_notes("|||");
}

static faas_fn batch_fn(struct wants *wants)
{
    faas_fn fn =
        function_of(FAAS_FUNCTION(.name = "b", .batch = batches, .user = wants,
                                  .async = FAAS_ASYNC(.retries = 1, .backoff_ns = SEC,
                                                      .jitter = FAAS_JITTER_NONE)));

    warm_up(fn);
    return fn;
}

/* Runs batches of 1, 2, 4 and 8, each twice, so that what they cost is known. */
static void learn(faas_fn fn)
{
    for (int size = 1; size <= 8; size *= 2)
        for (int i = 0; i < 2; i++) {
            for (int n = 0; n < size; n++)
                release(submit(fn, "."));
            run_for(0);
        }
    notes.size = 0;
}

static void must_answer(faas_invocation job, const char *text)
{
    faas_result *result;

    ck_assert_ok(faas_invocation_wait(w.rt, job, 0, &result));
    ck_assert_bytes(faas_result_bytes(result), text);
    faas_result_release(result);
    release(job);
}

static faas_invocation_info info_of(faas_invocation job)
{
    faas_invocation_info info = {.size = sizeof info};

    ck_assert_ok(faas_invocation_describe(w.rt, job, &info));
    return info;
}

/* ---- together ---- */

START_TEST(queued_invocations_of_a_batch_function_run_together)
{
    static const char *const inputs[] = {"a", "b", "c", "d", "e"};
    faas_function_stats s;
    faas_invocation jobs[5];
    faas_fn fn;

    OPEN_DEFAULT();
    fn = batch_fn(NULL);
    for (int i = 0; i < 5; i++)
        jobs[i] = submit(fn, inputs[i]);
    ck_assert_uint_eq(run_for(0), 1); // a batch is one
    ck_assert_notes("a b c d e|");
    for (int i = 0; i < 5; i++)
        must_answer(jobs[i], inputs[i]);
    s = stats_of(fn);
    ck_assert_uint_eq(s.invocations, 3 + 5);
    ck_assert_uint_eq(s.batches, 3 + 1);
    ck_assert_uint_eq(s.throttles, 0);
    ck_assert_uint_eq(s.concurrency, 0);
    ck_assert_uint_eq(async_stats().succeeded, 5);
    ck_assert_uint_eq(async_stats().running, 0);
    CLOSE();
}
END_TEST

START_TEST(a_queued_batch_is_no_larger_than_batch_max_and_what_pays)
{
    struct wants wants = {.fixed_ns = 0, .each_ns = MS};
    faas_fn fn;

    OPEN_DEFAULT();
    fn = batch_fn(NULL);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.batch_max = 2)));
    for (int i = 0; i < 5; i++)
        release(submit(fn, "x"));
    ck_assert_uint_eq(run_for(0), 3);
    ck_assert_notes("x x|x x|x|");
    /* Where a batch of two costs twice as much as one there is nothing to gain. */
    fn = function_of(FAAS_FUNCTION(.name = "c", .batch = batches, .user = &wants));
    learn(fn);
    for (int i = 0; i < 5; i++)
        release(submit(fn, "y"));
    ck_assert_uint_eq(run_for(SEC), 5);
    ck_assert_notes("y|y|y|y|y|");
    CLOSE();
}
END_TEST

START_TEST(what_was_submitted_first_and_is_of_higher_priority_goes_first)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = batch_fn(NULL);
    release(SUBMIT(fn, "n1", .priority = FAAS_PRIORITY_NORMAL));
    release(SUBMIT(fn, "l1", .priority = FAAS_PRIORITY_LOW));
    release(SUBMIT(fn, "h1", .priority = FAAS_PRIORITY_HIGH));
    release(SUBMIT(fn, "n2", .priority = FAAS_PRIORITY_NORMAL));
    release(SUBMIT(fn, "h2", .priority = FAAS_PRIORITY_HIGH));
    ck_assert_uint_eq(run_for(0), 1);
    ck_assert_notes("h1 h2 n1 n2 l1|");
    CLOSE();
}
END_TEST

START_TEST(tenants_share_a_batch_by_their_weights)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = batch_fn(NULL);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.batch_max = 8)));
    for (int i = 0; i < 8; i++)
        release(SUBMIT(fn, "a", .tenant = faas_str("a"), .tenant_weight = 3));
    for (int i = 0; i < 8; i++)
        release(SUBMIT(fn, "b", .tenant = faas_str("b"), .tenant_weight = 1));
    ck_assert_uint_eq(run_for(0), 2);
    ck_assert_notes("a b a a a b a a|a b a b b b b b|");
    CLOSE();
}
END_TEST

START_TEST(others_have_their_turn_between_two_batches)
{
    faas_fn fn, plain;

    OPEN_DEFAULT();
    fn = batch_fn(NULL);
    plain = function_of(FAAS_FUNCTION(.name = "p", .handler = notes_input));
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.batch_max = 3)));
    for (int i = 0; i < 6; i++) {
        release(submit(fn, "b"));
        release(submit(plain, "p"));
    }
    ck_assert_uint_eq(run_for(0), 2 + 6);
    ck_assert_notes("b b b|p b b b|p p p p p ");
    CLOSE();
}
END_TEST

START_TEST(a_group_keeps_its_order_in_batches)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = batch_fn(NULL);
    release(SUBMIT(fn, "g1", .group = faas_str("g")));
    release(SUBMIT(fn, "g2", .group = faas_str("g")));
    release(SUBMIT(fn, "h1", .group = faas_str("h")));
    release(SUBMIT(fn, "!g3", .group = faas_str("g"), .ended = notes_end));
    release(SUBMIT(fn, "h2", .group = faas_str("h")));
    release(SUBMIT(fn, "g4", .group = faas_str("g")));
    release(submit(fn, "x"));
    run_for(0);
    ck_assert_notes("g1 h1 x|g2 h2|!g3|"); // which holds its group up
    run_for(SEC);
    ck_assert_notes("!g3*2|[RetriesExhausted FAAS_EHANDLER 2]g4|");
    CLOSE();
}
END_TEST

/* ---- each for itself ---- */

START_TEST(one_bad_item_fails_alone_and_is_retried_alone)
{
    faas_invocation good, bad, last;
    faas_result *result;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = batch_fn(NULL);
    good = SUBMIT(fn, "a", .ended = notes_end);
    bad = SUBMIT(fn, "!b", .ended = notes_end);
    last = SUBMIT(fn, "c", .ended = notes_end);
    ck_assert_uint_eq(run_for(0), 1);
    ck_assert_notes("a !b c|[Success FAAS_OK 1][Success FAAS_OK 1]");
    must_answer(good, "a");
    must_answer(last, "c");
    ck_assert_status(waited(bad), FAAS_EPENDING);
    ck_assert_uint_eq(async_stats().retried, 1);
    release(submit(fn, "d"));
    ck_assert_uint_eq(run_for(SEC), 2);
    ck_assert_notes("d|!b*2|[RetriesExhausted FAAS_EHANDLER 2]");
    ck_assert_status(faas_invocation_wait(w.rt, bad, 0, &result), FAAS_EHANDLER);
    ck_assert_int_eq(faas_result_code(result), 400);
    ck_assert_str_eq(faas_result_message(result), "bad: !b");
    faas_result_release(result);
    release(bad);
    CLOSE();
}
END_TEST

START_TEST(a_cancelled_one_is_not_taken_along)
{
    faas_invocation job;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = batch_fn(NULL);
    release(submit(fn, "a"));
    job = SUBMIT(fn, "b", .ended = notes_end);
    release(submit(fn, "c"));
    ck_assert_ok(faas_invocation_cancel(w.rt, job));
    ck_assert_notes("[Cancelled FAAS_ECANCELLED 0]");
    ck_assert_uint_eq(run_for(0), 1);
    ck_assert_notes("a c|");
    release(job);
    CLOSE();
}
END_TEST

/* Cancels the invocation that is handed to it, from inside the batch that it is in. */
static faas_invocation asked;

static int cancels(faas_context *ctx, faas_item *items, size_t count)
{
    (void)ctx;
    if (asked.generation != 0)
        ck_assert_status(faas_invocation_cancel(w.rt, asked), FAAS_EPENDING);
    for (size_t i = 0; i < count; i++) {
        note("%d", faas_cancelled(items[i].ctx));
        items[i].code = asked.generation == 0 ? 0 : faas_fail(items[i].ctx, 1, "no");
    }
    return 0;
}

START_TEST(one_that_is_cancelled_in_its_batch_is_told_and_not_retried)
{
    faas_invocation job;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "b", .batch = cancels,
                                   .async = FAAS_ASYNC(.backoff_ns = SEC)));
    for (int i = 0; i < 3; i++)
        ck_assert_ok(call(fn));
    release(SUBMIT(fn, "a", .ended = notes_end));
    job = asked = SUBMIT(fn, "b", .ended = notes_end);
    release(SUBMIT(fn, "c", .ended = notes_end));
    run_for(0);
    ck_assert_notes("000010[Cancelled FAAS_EHANDLER 1]");
    ck_assert_uint_eq(async_stats().retried, 2);
    release(job);
    asked.generation = 0;
    run_for(60 * SEC);
    ck_assert_uint_eq(async_stats().succeeded, 2);
    CLOSE();
}
END_TEST

START_TEST(a_late_item_ends_while_the_batch_runs)
{
    struct wants wants = {.holds = false};
    faas_invocation jobs[3], other;
    faas_fn fn;

    OPEN(.worker_max = 1);
    latch_init(&wants.latch);
    fn = function_of(FAAS_FUNCTION(.name = "b", .batch = batches, .user = &wants,
                                   .async = FAAS_ASYNC(.retries = FAAS_OFF)));
    warm_up(fn);
    wants.holds = true;
    other = submit(fn, "0"); // so that what follows waits
    latch_await(&wants.latch, 1);
    jobs[0] = SUBMIT(fn, "a", .limit_ns = 60 * SEC);
    jobs[1] = SUBMIT(fn, "b", .limit_ns = SEC);
    jobs[2] = SUBMIT(fn, "!c", .limit_ns = 2 * SEC);
    latch_release(&wants.latch, 1);
    latch_await(&wants.latch, 1);
    ck_assert_uint_eq(async_stats().running, 3);
    ck_assert_uint_eq(stats_of(fn).concurrency, 1); // a batch is one
    pass_ns(SEC);
    faas_runtime_sweep(w.rt, NULL);
    ck_assert_status(waited(jobs[0]), FAAS_EPENDING);
    ck_assert_status(waited(jobs[1]), FAAS_ETIMEDOUT);
    ck_assert_status(waited(jobs[2]), FAAS_EPENDING);
    ck_assert_uint_eq(async_stats().quarantined, 1);
    ck_assert_uint_eq(async_stats().running, 3);
    faas_runtime_sweep(w.rt, NULL); // the same one is not ended twice
    ck_assert_uint_eq(async_stats().exhausted, 1);
    pass_ns(SEC);
    faas_runtime_sweep(w.rt, NULL);
    ck_assert_status(waited(jobs[2]), FAAS_ETIMEDOUT);
    ck_assert_uint_eq(async_stats().quarantined, 2);
    wants.holds = false;
    latch_release(&wants.latch, 1);
    while (async_stats().running != 0 || async_stats().succeeded != 2)
        (void)sched_yield();
    ck_assert_uint_eq(async_stats().quarantined, 0);
    ck_assert_uint_eq(async_stats().exhausted, 2);
    must_answer(other, "0");
    must_answer(jobs[0], "a");
    release(jobs[1]);
    release(jobs[2]);
    ck_assert_notes("0|a b !c|");
    CLOSE();
}
END_TEST

START_TEST(what_is_late_together_is_tried_again_together_while_the_first_batch_runs)
{
    struct wants wants = {.holds = false};
    faas_invocation jobs[3];
    faas_fn fn;

    OPEN(.worker_max = 1);
    latch_init(&wants.latch);
    fn = batch_fn(&wants);
    ck_assert_ok(faas_function_update(
        w.rt, fn, FAAS_FUNCTION(.timeout_ns = 2 * SEC, .concurrency = 2)));
    wants.holds = true;
    release(submit(fn, "0"));
    latch_await(&wants.latch, 1);
    jobs[0] = submit(fn, "a");
    jobs[1] = submit(fn, "b");
    jobs[2] = SUBMIT(fn, "c", .limit_ns = SEC);
    latch_release(&wants.latch, 1);
    latch_await(&wants.latch, 1);
    pass_ns(SEC);
    faas_runtime_sweep(w.rt, NULL); // one is over, and waits for no retry
    ck_assert_status(waited(jobs[2]), FAAS_EEXPIRED);
    pass_ns(SEC);
    faas_runtime_sweep(w.rt, NULL);
    ck_assert_int_eq(info_of(jobs[0]).phase, FAAS_PHASE_DELAYED);
    ck_assert_uint_eq(async_stats().quarantined, 3);
    wants.holds = false;
    pass_ns(SEC);
    faas_runtime_sweep(w.rt, NULL);
    /* By another thread: the late one has one for itself. */
    while (async_stats().succeeded != 3)
        (void)sched_yield();
    ck_assert_uint_eq(async_stats().quarantined, 3);
    latch_release(&wants.latch, 1);
    while (async_stats().running != 0)
        (void)sched_yield();
    ck_assert_uint_eq(info_of(jobs[0]).attempts, 2);
    must_answer(jobs[0], "a");
    must_answer(jobs[1], "b");
    release(jobs[2]);
    ck_assert_notes("0|a b c|a*2 b*2|");
    ck_assert_uint_eq(async_stats().succeeded, 3);
    CLOSE();
}
END_TEST

START_TEST(a_batch_past_the_functions_limit_ends_every_item_of_it)
{
    struct wants wants = {.fixed_ns = 0};
    faas_fn fn;

    OPEN_DEFAULT();
    fn = batch_fn(&wants);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.timeout_ns = SEC)));
    wants.fixed_ns = 2 * SEC;
    release(SUBMIT(fn, "a", .ended = notes_end));
    release(SUBMIT(fn, "b", .ended = notes_end));
    ck_assert_uint_eq(run_for(10 * SEC), 2);
    ck_assert_notes("a b|a*2 b*2|[RetriesExhausted FAAS_ETIMEDOUT 2]"
                    "[RetriesExhausted FAAS_ETIMEDOUT 2]");
    CLOSE();
}
END_TEST

START_TEST(a_queued_batch_is_kept_small_enough_for_the_deadlines_in_it)
{
    struct wants wants = {.fixed_ns = 4 * MS, .each_ns = MS};
    faas_invocation jobs[8];
    faas_fn fn;

    OPEN_DEFAULT();
    fn = batch_fn(&wants);
    learn(fn);
    for (int i = 0; i < 8; i++)
        jobs[i] = SUBMIT(fn, "x", .limit_ns = i == 2 ? 9 * MS : 0);
    ck_assert_uint_eq(faas_run_once(w.rt, 0, NULL), 1);
    ck_assert_notes("x x x x x|");
    ck_assert_ok(waited(jobs[2]));
    ck_assert_int_eq(info_of(jobs[5]).phase, FAAS_PHASE_QUEUED);
    ck_assert_uint_eq(info_of(jobs[5]).attempts, 0);
    run_for(SEC);
    ck_assert_notes("x x x|"); // as their first attempt
    for (int i = 0; i < 8; i++)
        must_answer(jobs[i], "x");
    /* The same for the function's own limit. */
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.timeout_ns = 8 * MS)));
    for (int i = 0; i < 8; i++)
        release(submit(fn, "y"));
    run_for(SEC);
    ck_assert_notes("y y y y|y y y y|");
    ck_assert_uint_eq(stats_of(fn).timeouts, 0);
    CLOSE();
}
END_TEST

static int passes_seconds(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    pass_ns(input.size * SEC);
    return 0;
}

START_TEST(one_that_is_past_its_time_does_not_run_and_the_others_do)
{
    struct wants wants = {.holds = false};
    faas_fn fn, plain;

    OPEN(.worker_max = 1);
    latch_init(&wants.latch);
    fn = batch_fn(&wants);
    plain = function_of(FAAS_FUNCTION(.name = "p", .handler = passes_seconds));
    release(submit(plain, "")); // takes no time, so more is taken with it
    while (async_stats().succeeded != 1)
        (void)sched_yield();
    wants.holds = true;
    release(submit(fn, "0"));
    latch_await(&wants.latch, 1);
    wants.holds = false;
    release(SUBMIT(plain, "12", .priority = FAAS_PRIORITY_HIGH));
    release(submit(fn, "a"));
    release(SUBMIT(fn, "b", .limit_ns = SEC));
    release(submit(fn, "c"));
    latch_release(&wants.latch, 1);
    while (async_stats().succeeded != 5 || async_stats().expired != 1)
        faas_runtime_sweep(w.rt, NULL);
    ck_assert_notes("0|a c|");
    CLOSE();
}
END_TEST

START_TEST(an_item_knows_its_own_tenant_trace_id_and_attempt)
{
    faas_invocation jobs[2];
    faas_result *result;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = batch_fn(NULL);
    pass_ns(SEC);
    jobs[0] = SUBMIT(fn, "a", .tenant = faas_str("t"));
    pass_ns(SEC);
    jobs[1] = submit(fn, "b");
    run_for(0);
    for (int i = 0; i < 2; i++) {
        ck_assert_ok(faas_invocation_wait(w.rt, jobs[i], 0, &result));
        ck_assert_uint_eq(faas_result_meter(result)->request_id.low,
                          info_of(jobs[i]).request_id.low);
        ck_assert_uint_eq(faas_result_meter(result)->wait_ns, i == 0 ? SEC : 0);
        faas_result_release(result);
        release(jobs[i]);
    }
    CLOSE();
}
END_TEST

START_TEST(identical_ones_in_the_queue_share_the_run_of_one_in_the_batch)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = batch_fn(NULL);
    release(SUBMIT(fn, "a", .key = faas_str("k"), .ended = notes_end));
    release(SUBMIT(fn, "b", .ended = notes_end));
    release(SUBMIT(fn, "a", .key = faas_str("k"), .ended = notes_end));
    ck_assert_uint_eq(run_for(0), 1);
    ck_assert_notes("a b|[Success FAAS_OK 0][Success FAAS_OK 1][Success FAAS_OK 1]");
    ck_assert_uint_eq(async_stats().shared, 1);
    CLOSE();
}
END_TEST

static int waits_for_asked(faas_context *ctx, faas_item *items, size_t count)
{
    (void)ctx;
    (void)items;
    if (asked.generation != 0)
        note("%zu %s", count,
             faas_status_name(faas_invocation_wait(w.rt, asked, FAAS_FOREVER, NULL)));
    return 0;
}

START_TEST(a_handler_does_not_wait_for_one_of_its_own_batch_or_behind_it)
{
    faas_invocation jobs[3];
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "b", .batch = waits_for_asked));
    for (int i = 0; i < 3; i++)
        ck_assert_ok(call(fn));
    for (int i = 1; i < 3; i++) {
        jobs[0] = submit(fn, "a");
        jobs[1] = SUBMIT(fn, "b", .group = faas_str("g"));
        jobs[2] = SUBMIT(fn, "c", .group = faas_str("g"));
        asked = jobs[i];
        ck_assert_uint_eq(faas_run_once(w.rt, 0, NULL), 1);
        ck_assert_notes("2 FAAS_EPERM");
        asked.generation = 0;
        run_for(0);
        for (int k = 0; k < 3; k++)
            must_answer(jobs[k], "");
    }
    CLOSE();
}
END_TEST

/* ---- limits ---- */

START_TEST(a_refused_batch_uses_up_no_attempt)
{
    struct latch latch;
    struct caller holder = {.limit_ns = 0};
    faas_invocation jobs[3];
    faas_fn fn, other;

    OPEN(.concurrency_max = 1);
    latch_init(&latch);
    fn = batch_fn(NULL);
    other = function_of(FAAS_FUNCTION(.name = "h", .handler = holds, .user = &latch));
    caller_start(&holder, other);
    latch_await(&latch, 1);
    for (int i = 0; i < 3; i++)
        jobs[i] = submit(fn, "x");
    ck_assert_uint_eq(faas_run_once(w.rt, 0, NULL), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(info_of(jobs[i]).attempts, 0);
    latch_release(&latch, 1);
    ck_assert_ok(caller_join(&holder));
    ck_assert_uint_eq(run_for(SEC), 2);
    ck_assert_notes("x x|x|"); // the first one was told when to come again
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(info_of(jobs[i]).attempts, 1);
        must_answer(jobs[i], "x");
    }
    CLOSE();
}
END_TEST

START_TEST(a_function_that_is_off_keeps_what_waits)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = batch_fn(NULL);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = FAAS_OFF)));
    for (int i = 0; i < 4; i++)
        release(submit(fn, "x"));
    ck_assert_uint_eq(run_for(MS), 0);
    ck_assert_uint_eq(async_stats().queued, 4);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = 1)));
    ck_assert_uint_eq(run_for(SEC), 1);
    ck_assert_notes("x x x x|");
    CLOSE();
}
END_TEST

START_TEST(at_a_cap_of_one_the_queue_waits_in_its_lanes_and_not_at_the_desk)
{
    struct wants wants = {.holds = false};
    faas_invocation jobs[6];
    faas_fn fn;

    OPEN(.worker_max = 3);
    latch_init(&wants.latch);
    fn = batch_fn(&wants);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = 1)));
    wants.holds = true;
    jobs[0] = submit(fn, "0");
    latch_await(&wants.latch, 1);
    for (int i = 1; i < 6; i++)
        jobs[i] = submit(fn, "x");
    ck_assert_uint_eq(stats_of(fn).batch_waiting, 0);
    ck_assert_uint_eq(async_stats().queued, 5);
    latch_release(&wants.latch, 2);
    latch_await(&wants.latch, 1);
    for (int i = 0; i < 6; i++) {
        while (waited(jobs[i]) == FAAS_EPENDING)
            (void)sched_yield();
        must_answer(jobs[i], i == 0 ? "0" : "x");
    }
    ck_assert_notes("0|x x x x x|");
    CLOSE();
}
END_TEST

/* Comes back when so many items wait at the desk. */
static void await_desk(faas_fn fn, uint32_t count)
{
    while (stats_of(fn).batch_waiting != count)
        (void)sched_yield();
}

START_TEST(where_a_call_takes_one_along_the_others_of_its_worker_stay_queued)
{
    struct wants wants = {.holds = false};
    struct caller caller = {.limit_ns = 0};
    struct latch latch;
    faas_invocation jobs[3];
    faas_fn fn, plain;

    OPEN(.worker_max = 1);
    latch_init(&wants.latch);
    latch_init(&latch);
    fn = batch_fn(&wants);
    plain = function_of(FAAS_FUNCTION(.name = "p", .handler = holds, .user = &latch));
    wants.holds = true;
    caller_start(&caller, fn); // has the one seat
    latch_await(&wants.latch, 1);
    release(submit(plain, "")); // so that what follows is taken together
    latch_await(&latch, 1);
    jobs[0] = submit(fn, "a");
    jobs[1] = submit(fn, "b");
    jobs[2] = submit(fn, "c");
    latch_release(&latch, 1);
    await_desk(fn, 1);
    ck_assert_uint_eq(info_of(jobs[1]).attempts, 0);
    latch_release(&wants.latch, 1);
    latch_await(&wants.latch, 1); // the caller runs one of them
    ck_assert_uint_eq(async_stats().running, 1);
    ck_assert_int_eq(info_of(jobs[2]).phase, FAAS_PHASE_QUEUED);
    wants.holds = false;
    latch_release(&wants.latch, 1);
    ck_assert_ok(caller_join(&caller));
    while (async_stats().succeeded != 4)
        (void)sched_yield();
    must_answer(jobs[0], "a");
    must_answer(jobs[1], "b");
    must_answer(jobs[2], "c");
    /* The caller may have left its seat by then, or take along one more. */
    ck_assert_notes(strcmp(notes.text, "|a|b|c|") == 0 ? "|a|b|c|" : "|a|b c|");
    CLOSE();
}
END_TEST

START_TEST(callers_that_come_meanwhile_run_in_the_next_batch_of_the_worker)
{
    struct wants wants = {.holds = false};
    struct caller callers[2] = {{.limit_ns = 0}, {.limit_ns = 0}};
    faas_fn fn;

    OPEN(.worker_max = 1);
    latch_init(&wants.latch);
    fn = batch_fn(&wants);
    wants.holds = true;
    release(submit(fn, "a"));
    latch_await(&wants.latch, 1);
    for (int i = 0; i < 2; i++)
        caller_start(&callers[i], fn);
    await_desk(fn, 2);
    wants.holds = false;
    latch_release(&wants.latch, 1);
    for (int i = 0; i < 2; i++)
        ck_assert_ok(caller_join(&callers[i]));
    ck_assert_notes("a| |");
    CLOSE();
}
END_TEST

/* ---- what may happen meanwhile ---- */

static int fails_to_open(faas_context *ctx, void **state)
{
    *state = NULL;
    return faas_fail(ctx, 1, "not now");
}

START_TEST(an_instance_that_cannot_be_made_is_an_attempt_of_each)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = batch_fn(NULL);
    ck_assert_ok(faas_function_replace(
        w.rt, fn,
        FAAS_FUNCTION(.name = "b", .batch = batches, .init = fails_to_open,
                      .async = FAAS_ASYNC(.retries = FAAS_OFF))));
    release(SUBMIT(fn, "a", .ended = notes_end));
    release(SUBMIT(fn, "b", .ended = notes_end));
    run_for(0);
    ck_assert_notes("[RetriesExhausted FAAS_EINIT 1][RetriesExhausted FAAS_EINIT 1]");
    CLOSE();
}
END_TEST

START_TEST(what_waits_when_the_function_is_replaced_or_goes_follows_it)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = batch_fn(NULL);
    for (int i = 0; i < 3; i++)
        release(submit(fn, "x"));
    ck_assert_ok(faas_function_replace(
        w.rt, fn, FAAS_FUNCTION(.name = "b", .handler = notes_input)));
    ck_assert_uint_eq(run_for(0), 3);
    ck_assert_notes("x x x ");
    ck_assert_ok(
        faas_function_replace(w.rt, fn, FAAS_FUNCTION(.name = "b", .batch = batches)));
    warm_up(fn);
    release(submit(fn, "x"));
    release(submit(fn, "y"));
    ck_assert_uint_eq(run_for(0), 1);
    ck_assert_notes("x y|");
    release(SUBMIT(fn, "x", .ended = notes_end));
    release(SUBMIT(fn, "y", .ended = notes_end));
    ck_assert_ok(faas_function_unregister(w.rt, fn));
    ck_assert_notes("[Dropped FAAS_ENOENT 0][Dropped FAAS_ENOENT 0]");
    CLOSE();
}
END_TEST

START_TEST(a_function_that_remembers_answers_runs_them_one_by_one)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "b", .batch = batches, .cache_bytes = 10000));
    for (int i = 0; i < 3; i++)
        ck_assert_ok(call(fn));
    for (int i = 0; i < 4; i++)
        release(submit(fn, "a"));
    release(submit(fn, "b"));
    run_for(0);
    ck_assert_notes("|a|b|");
    ck_assert_uint_eq(async_stats().succeeded, 5);
    CLOSE();
}
END_TEST

START_TEST(what_the_host_runs_does_not_wait_for_more)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "b", .batch = batches, .batch_delay_ns = SEC));
    for (int i = 0; i < 3; i++) {
        release(submit(fn, "."));
        ck_assert_uint_eq(run_for(0), 1);
    }
    release(submit(fn, "a"));
    release(submit(fn, "b"));
    ck_assert_uint_eq(run_for(0), 1);
    ck_assert_notes(".|.|.|a b|");
    CLOSE();
}
END_TEST

static void notes_failure(const faas_record *record, void *user)
{
    if (record->condition != FAAS_SUCCESS)
        notes_end(record, user);
}

START_TEST(without_memory_for_a_batch_they_run_one_by_one_and_nothing_is_lost)
{
    bool failed = true;

    for (unsigned fail_at = 1; failed; fail_at++) {
        faas_fn fn;

        OPEN_DEFAULT();
        fn = batch_fn(NULL);
        for (int i = 0; i < 40; i++)
            release(SUBMIT(fn, "x", .ended = notes_failure));
        ck_assert_uint_eq(async_stats().queued, 40); // in their lanes, which takes memory
        w.faulty.fail_at = atomic_load(&w.faulty.calls) + fail_at;
        run_for(0);
        failed = atomic_load(&w.faulty.failures) != 0;
        w.faulty.fail_at = 0;
        run_for(10 * SEC);
        ck_assert_uint_eq(async_stats().succeeded, 40);
        ck_assert_uint_eq(stats_of(fn).invocations, 3 + 40);
        notes.size = 0;
        CLOSE();
    }
}
END_TEST

SUITE_MAIN("async_batch", queued_invocations_of_a_batch_function_run_together,
           a_queued_batch_is_no_larger_than_batch_max_and_what_pays,
           what_was_submitted_first_and_is_of_higher_priority_goes_first,
           tenants_share_a_batch_by_their_weights,
           others_have_their_turn_between_two_batches, a_group_keeps_its_order_in_batches,
           one_bad_item_fails_alone_and_is_retried_alone,
           a_cancelled_one_is_not_taken_along,
           one_that_is_cancelled_in_its_batch_is_told_and_not_retried,
           a_late_item_ends_while_the_batch_runs,
           what_is_late_together_is_tried_again_together_while_the_first_batch_runs,
           a_batch_past_the_functions_limit_ends_every_item_of_it,
           a_queued_batch_is_kept_small_enough_for_the_deadlines_in_it,
           one_that_is_past_its_time_does_not_run_and_the_others_do,
           an_item_knows_its_own_tenant_trace_id_and_attempt,
           identical_ones_in_the_queue_share_the_run_of_one_in_the_batch,
           a_handler_does_not_wait_for_one_of_its_own_batch_or_behind_it,
           a_refused_batch_uses_up_no_attempt, a_function_that_is_off_keeps_what_waits,
           at_a_cap_of_one_the_queue_waits_in_its_lanes_and_not_at_the_desk,
           where_a_call_takes_one_along_the_others_of_its_worker_stay_queued,
           callers_that_come_meanwhile_run_in_the_next_batch_of_the_worker,
           an_instance_that_cannot_be_made_is_an_attempt_of_each,
           what_waits_when_the_function_is_replaced_or_goes_follows_it,
           a_function_that_remembers_answers_runs_them_one_by_one,
           what_the_host_runs_does_not_wait_for_more,
           without_memory_for_a_batch_they_run_one_by_one_and_nothing_is_lost)
