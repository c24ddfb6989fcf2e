/* SPDX-License-Identifier: MIT */
/* test_async_edges.c - asynchronous invocations where several things come together: a late
 * handler and a retry, a full queue and its bytes, a waiter and the clock. */
#include "async_support.h"

START_TEST(an_attempt_that_met_no_seat_is_not_told_of_as_made)
{
    faas_invocation_info info = {.size = sizeof info};
    faas_invocation job;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers));
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = FAAS_OFF)));
    job = submit(fn, "");
    ck_assert_uint_eq(run_for(0), 0);
    ck_assert_ok(faas_invocation_describe(w.rt, job, &info));
    ck_assert_int_eq(info.phase, FAAS_PHASE_QUEUED);
    ck_assert_uint_eq(info.attempts, 0);
    release(job);
    CLOSE();
}
END_TEST

START_TEST(what_is_too_old_does_not_run_for_its_waiter_either)
{
    faas_invocation job;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = notes_input,
                                   .async = FAAS_ASYNC(.age_ns = 5 * SEC)));
    job = submit(fn, "old");
    pass_ns(5 * SEC); // and nobody has looked since
    ck_assert_status(faas_invocation_wait(w.rt, job, SEC, NULL), FAAS_EEXPIRED);
    ck_assert_notes("");
    ck_assert_uint_eq(async_stats().expired, 1);
    release(job);
    CLOSE();
}
END_TEST

/* Fails the first time, and takes two seconds after that was arranged. */
static int fails_once_and_takes_long(faas_context *ctx, faas_bytes input)
{
    if (input.size != 0)
        faas_clock_advance(w.clock, 2 * SEC);
    else if (faas_attempt(ctx) == 1)
        return faas_fail(ctx, 1, "once");
    note("%u ", faas_attempt(ctx));
    return 0;
}

START_TEST(what_comes_due_while_others_run_is_due_at_once)
{
    uint64_t next;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = fails_once_and_takes_long,
                                   .async = FAAS_ASYNC(.backoff_ns = SEC,
                                                       .jitter = FAAS_JITTER_NONE)));
    for (int i = 0; i < 3; i++) {
        faas_invocation job = submit(fn, "");

        release(submit(fn, "long"));
        if (i == 0) {
            ck_assert_uint_eq(faas_run_once(w.rt, SEC, &next), 2);
            ck_assert_uint_le(next, now_ns());
            ck_assert_notes("1 ");
        } else if (i == 1) {
            ck_assert_ok(faas_run_until(w.rt, now_ns() + 2 * SEC, NULL));
            ck_assert_notes("1 2 ");
        } else {
            ck_assert_uint_eq(faas_run_once(w.rt, 0, NULL), 1);
            ck_assert_ok(faas_invocation_wait(w.rt, job, FAAS_FOREVER, NULL));
            ck_assert_notes("1 2 ");
        }
        ck_assert_uint_le(run_for(0), 1);
        notes.size = 0;
        notes.text[0] = '\0';
        release(job);
    }
    CLOSE();
}
END_TEST

/* Its first attempt is late, is looked after meanwhile, and comes back later still. */
static int comes_back_late(faas_context *ctx, faas_bytes input)
{
    note("%.*s%u ", (int)input.size, (const char *)input.data, faas_attempt(ctx));
    if (faas_attempt(ctx) != 1)
        return 0;
    faas_clock_advance(w.clock, 2 * SEC);
    faas_runtime_sweep(w.rt, NULL);
    faas_clock_advance(w.clock, 2 * SEC);
    return 0;
}

START_TEST(a_handler_that_comes_back_late_leaves_the_next_attempt_alone)
{
    faas_invocation job;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = comes_back_late, .timeout_ns = SEC,
                      .async =
                          FAAS_ASYNC(.backoff_ns = 5 * SEC, .jitter = FAAS_JITTER_NONE)));
    job = submit(fn, "a");
    ck_assert_uint_eq(run_for(7 * SEC), 2);
    ck_assert_notes("a1 a2 ");
    ck_assert_ok(waited(job));
    release(job);
    CLOSE();
}
END_TEST

START_TEST(what_a_removed_function_waited_for_is_forgotten_with_it)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = notes_input,
                                   .async = FAAS_ASYNC(.age_ns = 5 * SEC)));
    release(submit(fn, "a"));
    ck_assert_uint_eq(run_for(0), 1);
    ck_assert_ok(faas_function_unregister(w.rt, fn));
    ck_assert_uint_eq(run_for(10 * SEC), 0); // nothing looks at its age in freed memory
    ck_assert_notes("a ");
    CLOSE();
}
END_TEST

START_TEST(a_submitter_that_finds_a_slot_and_no_bytes_gets_an_answer)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn =
        function_of(FAAS_FUNCTION(.name = "f", .handler = notes_input,
                                  .async = FAAS_ASYNC(.queue_bytes = 4,
                                                      .on_queue_full = FAAS_QUEUE_WAIT)));
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = FAAS_OFF)));
    release(submit(fn, "abc"));
    ck_assert_status(faas_invoke_async(w.rt, fn, faas_str("de"), NULL, NULL), FAAS_EBUSY);
    ck_assert_ok(
        faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = FAAS_UNLIMITED)));
    release(submit(fn, "fg")); // makes room for itself
    ck_assert_uint_eq(run_for(0), 1);
    ck_assert_notes("abc fg ");
    CLOSE();
}
END_TEST

START_TEST(what_met_no_seat_is_no_older_for_that)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = notes_input,
                      .async = FAAS_ASYNC(.queue_slots = 2, .age_ns = 5 * SEC,
                                          .on_queue_full = FAAS_QUEUE_DROP_OLDEST,
                                          .on_failure = {.ended = shows_letter})));
    for (int age = 0; age < 2; age++) {
        ck_assert_ok(
            faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = FAAS_OFF)));
        release(SUBMIT(fn, "old", .priority = FAAS_PRIORITY_LOW));
        pass_ns(SEC);
        release(SUBMIT(fn, "young", .priority = FAAS_PRIORITY_HIGH));
        ck_assert_uint_eq(run_for(0), 0);
        ck_assert_uint_eq(async_stats().oldest_ns, SEC);
        if (age)
            ck_assert_uint_eq(run_for(4 * SEC), 0);
        else
            release(SUBMIT(fn, "new"));
        ck_assert_notes(age ? "(f EventAgeExceeded old) " : "(f Dropped old) ");
        ck_assert_ok(
            faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = FAAS_UNLIMITED)));
        ck_assert_uint_eq(run_for(0), age ? 1 : 2);
        ck_assert_notes(age ? "young " : "young new ");
    }
    CLOSE();
}
END_TEST

static faas_invocation the_job;

static int is_cancelled_and_late(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    ck_assert_status(faas_invocation_cancel(w.rt, the_job), FAAS_EPENDING);
    faas_clock_advance(w.clock, 2 * SEC);
    if (input.size != 0)
        faas_runtime_sweep(w.rt, NULL);
    return 0;
}

START_TEST(what_was_cancelled_and_came_late_ends_as_cancelled)
{
    for (int looked_after = 0; looked_after < 2; looked_after++) {
        faas_fn fn;

        OPEN_DEFAULT();
        fn = function_of(
            FAAS_FUNCTION(.name = "f", .handler = is_cancelled_and_late,
                          .timeout_ns = SEC,
                          .async = FAAS_ASYNC(.on_failure = {.ended = notes_end})));
        the_job = submit(fn, looked_after ? "x" : "");
        ck_assert_uint_eq(run_for(0), 1);
        ck_assert_notes("[Cancelled FAAS_ETIMEDOUT 1]");
        release(the_job);
        CLOSE();
    }
}
END_TEST

static int outlives_its_limit(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    (void)input;
    for (int i = 0; i < 2; i++) {
        note("%s ", faas_status_name(waited(the_job)));
        faas_clock_advance(w.clock, SEC);
        faas_runtime_sweep(w.rt, NULL);
    }
    note("%s ", faas_status_name(waited(the_job)));
    return 0;
}

START_TEST(who_waits_is_told_at_the_limit_of_the_submission_too)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = outlives_its_limit,
                                   .async = FAAS_ASYNC(.retries = FAAS_OFF)));
    the_job = SUBMIT(fn, "", .limit_ns = 2 * SEC);
    ck_assert_uint_eq(run_for(0), 1);
    ck_assert_notes("FAAS_EPENDING FAAS_EPENDING FAAS_ETIMEDOUT ");
    ck_assert_uint_eq(async_stats().exhausted, 1);
    release(the_job);
    CLOSE();
}
END_TEST

static void notes_whether_known(const faas_record *record, void *user)
{
    note("%d ", same_fn(record->fn, *(faas_fn *)user));
}

START_TEST(a_record_names_its_function_also_when_nothing_was_ever_queued)
{
    faas_invocation job;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = answers,
                      .async = FAAS_ASYNC(.on_failure = {.ended = notes_whether_known,
                                                         .user = &fn})));
    job = submit(fn, "");
    ck_assert_ok(faas_invocation_cancel(w.rt, job));
    ck_assert_notes("1 ");
    release(job);
    CLOSE();
}
END_TEST

static faas_invocation first_job, second_job;

static int waits_for_the_other(faas_context *ctx, faas_bytes input)
{
    bool first = input.size == 1;
    faas_status status = faas_invocation_wait(
        faas_context_runtime(ctx), first ? second_job : first_job, FAAS_FOREVER, NULL);

    note("%s ", faas_status_name(status));
    if (!first)
        note("%s ", faas_status_name(faas_runtime_close(w.rt)));
    return 0;
}

START_TEST(two_that_wait_for_each_other_are_told_so)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = waits_for_the_other));
    first_job = submit(fn, "1");
    second_job = submit(fn, "22");
    ck_assert_uint_eq(run_for(0), 1); // the other one is run by who waits for it
    ck_assert_notes("FAAS_EPERM FAAS_EPERM FAAS_OK ");
    release(first_job);
    release(second_job);
    CLOSE();
}
END_TEST

static void notes_end_at(const faas_record *record, void *user)
{
    (void)user;
    note("%s at %llu", faas_condition_name(record->condition),
         (unsigned long long)((record->ended_ns - START_NS) / MS));
}

/* Submits to another function that does not run, and sees to it that it waits there. */
static void submits_more(const faas_record *record, void *user)
{
    (void)record;
    release(SUBMIT(*(faas_fn *)user, "more", .ended = notes_end_at));
    ck_assert_uint_eq(async_stats().queued, 1);
}

static int takes_one_and_a_half_seconds(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    (void)input;
    pass_ns(3 * SEC / 2);
    return 0;
}

START_TEST(what_is_submitted_when_something_ends_of_age_ends_of_age_as_well)
{
    faas_fn fn, more;

    OPEN(.worker_max = FAAS_OFF);
    more = function_of(FAAS_FUNCTION(.name = "more", .handler = answers,
                                     .concurrency = FAAS_OFF,
                                     .async = FAAS_ASYNC(.age_ns = SEC)));
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers,
                                   .concurrency = FAAS_OFF,
                                   .async = FAAS_ASYNC(.age_ns = SEC)));
    release(submit(more, "")); // meets no seat: from now on nobody tries others of it
    run_for(0);
    release(SUBMIT(fn, "x", .ended = submits_more, .ended_user = &more));
    release(submit(function_of(FAAS_FUNCTION(.name = "slow",
                                             .handler = takes_one_and_a_half_seconds)),
                   "")); // meanwhile the first ones get too old
    run_for(5 * SEC);
    ck_assert_notes("EventAgeExceeded at 2500");
    CLOSE();
}
END_TEST

static int removes_itself(faas_context *ctx, faas_bytes input)
{
    (void)input;
    ck_assert_ok(
        faas_function_unregister(faas_context_runtime(ctx), faas_context_fn(ctx)));
    return 0;
}

/* It ends when its function is no more; the runtime counts it all the same. */
START_TEST(what_removes_its_function_is_counted_when_it_ends)
{
    faas_async_stats stats;
    faas_fn fn;

    OPEN_DEFAULT();
    for (int i = 0; i < 2; i++) { // the second one, when the first one's queue is gone
        fn = function_of(FAAS_FUNCTION(.name = "a", .handler = removes_itself));
        release(submit(fn, "1"));
        release(submit(fn, "2"));
        ck_assert_uint_eq(run_for(MS), 1);
        stats = async_stats();
        ck_assert_uint_eq(stats.submitted, 2 * (uint64_t)i + 2);
        ck_assert_uint_eq(stats.succeeded, (uint64_t)i + 1);
        ck_assert_uint_eq(stats.dropped, (uint64_t)i + 1);
        ck_assert_uint_eq(stats.queued, 0);
    }
    CLOSE();
}
END_TEST

/* A sweep tells the queue that there is a seat; that there is no memory shows when one asks. */
START_TEST(what_has_no_memory_does_not_hold_time_up)
{
    faas_invocation job;
    faas_fn fn;

    OPEN(.memory_bytes = 1000000);
    (void)function_of(FAAS_FUNCTION(.name = "kept", .handler = answers, .provisioned = 1,
                                    .instance_bytes = 700000));
    fn = function_of(
        FAAS_FUNCTION(.name = "a", .handler = answers, .instance_bytes = 700000));
    job = submit(fn, "1");
    ck_assert_uint_eq(run_for(20 * MS), 0);
    ck_assert_status(waited(job), FAAS_EPENDING);
    faas_runtime_budget(w.rt, 2000000);
    ck_assert_uint_eq(run_for(20 * MS), 1);
    ck_assert_ok(waited(job));
    release(job);
    CLOSE();
}
END_TEST

static void counts_end(const faas_record *record, void *user)
{
    (void)record;
    (*(unsigned *)user)++;
}

/* Who is told of an end has submitted something: with any one allocation failing. */
START_TEST(what_is_refused_is_told_to_nobody_whichever_allocation_fails)
{
    for (unsigned n = 1; n <= 12; n++) {
        unsigned told = 0;
        faas_status status;
        faas_fn fn;

        OPEN_DEFAULT();
        fn = function_of(
            FAAS_FUNCTION(.name = "a", .handler = answers,
                          .async = FAAS_ASYNC(.queue_slots = 1,
                                              .on_queue_full = FAAS_QUEUE_RUN_HERE)));
        release(submit(fn, "1"));
        w.faulty.fail_at = atomic_load(&w.faulty.calls) + n;
        status = faas_invoke_async(w.rt, fn, faas_str("2"),
                                   FAAS_SUBMIT(.tenant = faas_str("t"),
                                               .priority = FAAS_PRIORITY_LOW,
                                               .ended = counts_end, .ended_user = &told),
                                   NULL);
        w.faulty.fail_at = 0;
        ck_assert_ok(faas_runtime_close(w.rt));
        faas_clock_close(w.clock);
        ck_assert_msg(told == (status == FAAS_OK), "allocation %u: %s, told %u", n,
                      faas_status_name(status), told);
        ck_assert_uint_eq(atomic_load(&w.faulty.live_blocks), 0);
    }
}
END_TEST

static int asks_the_other(faas_context *ctx, faas_bytes input)
{
    faas_fn *other = faas_user(ctx);
    faas_invocation job = submit(*other, "asked");
    faas_status status = faas_invocation_wait(w.rt, job, FAAS_FOREVER, NULL);

    (void)input;
    release(job);
    return status == FAAS_OK ? 0 : faas_fail(ctx, 1, "%s", faas_status_name(status));
}

START_TEST(a_handler_waits_for_a_call_of_a_full_function_that_its_worker_has_run)
{
    struct latch latch;
    faas_fn full, asks;
    faas_invocation jobs[3];

    OPEN(.worker_max = 1);
    full = function_of(
        FAAS_FUNCTION(.name = "full", .handler = notes_input, .concurrency = 1));
    asks = function_of(
        FAAS_FUNCTION(.name = "asks", .handler = asks_the_other, .user = &full));
    latch_init(&latch);
    release(submit(
        function_of(FAAS_FUNCTION(.name = "holds", .handler = holds, .user = &latch)),
        ""));
    latch_await(&latch, 1);
    /* Taken together: while one of `asks` runs, the worker still has those of `full`. */
    for (int i = 0; i < 3; i++) {
        release(submit(full, "own"));
        jobs[i] = submit(asks, "");
    }
    latch_release(&latch, 1);
    for (int i = 0; i < 3; i++) {
        while (faas_invocation_wait(w.rt, jobs[i], 0, NULL) == FAAS_EPENDING)
            (void)sched_yield();
        ck_assert_ok(faas_invocation_wait(w.rt, jobs[i], 0, NULL));
        release(jobs[i]);
    }
    CLOSE();
}
END_TEST

SUITE_MAIN("async edges",
           a_handler_waits_for_a_call_of_a_full_function_that_its_worker_has_run,
           what_is_refused_is_told_to_nobody_whichever_allocation_fails,
           what_has_no_memory_does_not_hold_time_up,
           what_removes_its_function_is_counted_when_it_ends,
           what_is_submitted_when_something_ends_of_age_ends_of_age_as_well,
           an_attempt_that_met_no_seat_is_not_told_of_as_made,
           what_is_too_old_does_not_run_for_its_waiter_either,
           what_comes_due_while_others_run_is_due_at_once,
           a_handler_that_comes_back_late_leaves_the_next_attempt_alone,
           what_a_removed_function_waited_for_is_forgotten_with_it,
           a_submitter_that_finds_a_slot_and_no_bytes_gets_an_answer,
           what_met_no_seat_is_no_older_for_that,
           what_was_cancelled_and_came_late_ends_as_cancelled,
           who_waits_is_told_at_the_limit_of_the_submission_too,
           a_record_names_its_function_also_when_nothing_was_ever_queued,
           two_that_wait_for_each_other_are_told_so)
