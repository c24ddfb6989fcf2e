/* SPDX-License-Identifier: MIT */
/* test_async.c - asynchronous invocations: queued, ordered, retried, cancelled, ended. */
#include "async_support.h"

/* ---- submitting ---- */

START_TEST(a_submitted_invocation_runs_when_the_host_drives_and_gives_its_result)
{
    faas_invocation job;
    faas_result *result, *again;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "echo", .handler = echoes));
    job = submit(fn, "hello");
    ck_assert_status(waited(job), FAAS_EPENDING);
    ck_assert_uint_eq(run_for(0), 1);
    ck_assert_ok(faas_invocation_wait(w.rt, job, 0, &result));
    ck_assert_bytes(faas_result_bytes(result), "hello");
    ck_assert_ok(faas_invocation_wait(w.rt, job, 0, &again));
    ck_assert_ptr_eq(result, again); // shared, not copied
    faas_result_release(again);
    ck_assert_bytes(faas_result_bytes(result), "hello");
    release(job);
    ck_assert_bytes(faas_result_bytes(result), "hello");
    faas_result_release(result);
    CLOSE();
}
END_TEST

START_TEST(a_handle_that_was_released_is_no_ones)
{
    faas_invocation job, zero = {0, 0, 0}, other;
    faas_invocation_info info = {.size = sizeof info};
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers));
    job = submit(fn, "");
    release(job);
    release(job);
    release(zero);
    ck_assert_status(waited(job), FAAS_ENOENT);
    ck_assert_status(waited(zero), FAAS_ENOENT);
    ck_assert_status(faas_invocation_cancel(w.rt, job), FAAS_ENOENT);
    ck_assert_status(faas_invocation_describe(w.rt, job, &info), FAAS_ENOENT);
    ck_assert_uint_eq(run_for(0), 1); // it runs all the same
    other = submit(fn, "");           // in the same place
    ck_assert_status(waited(job), FAAS_ENOENT);
    ck_assert_status(waited(other), FAAS_EPENDING);
    other.runtime++;
    ck_assert_status(waited(other), FAAS_ENOENT);
    CLOSE();
}
END_TEST

START_TEST(a_waiter_runs_its_invocation_itself_where_nobody_else_does)
{
    faas_result *result;
    faas_invocation job;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "echo", .handler = echoes));
    job = SUBMIT(fn, "x", .will_wait = 1);
    ck_assert_ok(faas_invocation_wait(w.rt, job, SEC, &result));
    ck_assert_bytes(faas_result_bytes(result), "x");
    faas_result_release(result);
    release(job);
    CLOSE();
}
END_TEST

START_TEST(many_are_submitted_at_once_and_run_in_their_order)
{
    faas_bytes inputs[] = {faas_str("a"), faas_str("b"), faas_str("c")};
    faas_invocation jobs[3];
    size_t accepted;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = notes_input,
                                   .async = FAAS_ASYNC(.queue_slots = 2)));
    ck_assert_status(faas_invoke_async_many(w.rt, fn, inputs, 3, NULL, jobs, &accepted),
                     FAAS_EBUSY);
    ck_assert_uint_eq(accepted, 2);
    ck_assert_uint_ne(jobs[1].generation, 0);
    ck_assert_uint_eq(jobs[2].generation, 0);
    ck_assert_uint_eq(run_for(0), 2);
    ck_assert_notes("a b ");
    ck_assert_ok(faas_invoke_async_many(w.rt, fn, inputs, 0, NULL, NULL, &accepted));
    ck_assert_uint_eq(accepted, 0);
    CLOSE();
}
END_TEST

START_TEST(of_many_those_are_accepted_for_which_there_is_memory)
{
    static const char long_one[1000] = "a"; // too long for the place of a job
    faas_bytes inputs[5];
    atomic_uint ran = 0;
    size_t accepted;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = counts, .user = &ran,
                      .async = FAAS_ASYNC(.queue_slots = 5,
                                          .queue_bytes = 5 * sizeof long_one)));
    for (int i = 0; i < 5; i++)
        inputs[i] = faas_bytes_of(long_one, sizeof long_one);
    release(submit(fn, "x")); // what is made once
    ck_assert_uint_eq(run_for(0), 1);
    w.faulty.from_then_on = true;
    w.faulty.fail_at = atomic_load(&w.faulty.calls) + 3;
    ck_assert_status(faas_invoke_async_many(w.rt, fn, inputs, 5, NULL, NULL, &accepted),
                     FAAS_ENOMEM);
    w.faulty.fail_at = 0;
    ck_assert_uint_eq(accepted, 2);
    ck_assert_uint_eq(async_stats().queued, 2);
    ck_assert_uint_eq(async_stats().queued_bytes, 2 * sizeof long_one);
    ck_assert_ok(faas_invoke_async_many(w.rt, fn, inputs, 3, NULL, NULL, NULL));
    ck_assert_uint_eq(run_for(0), 5);
    ck_assert_uint_eq(ran, 6);
    CLOSE();
}
END_TEST

START_TEST(sizes_of_many_inputs_do_not_wrap_around)
{
    faas_bytes inputs[] = {{"a", SIZE_MAX}, {"b", 2}};
    size_t accepted;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = notes_input));
    ck_assert_status(faas_invoke_async_many(w.rt, fn, inputs, 2, NULL, NULL, &accepted),
                     FAAS_EBUSY);
    ck_assert_uint_eq(accepted, 0);
    ck_assert_uint_eq(async_stats().queued_bytes, 0);
    CLOSE();
}
END_TEST

START_TEST(a_handler_knows_tenant_trace_id_event_and_attempt)
{
    faas_invocation_info info = {.size = sizeof info};
    faas_event *event;
    faas_invocation job;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "echo", .handler = echoes));
    ck_assert_ok(faas_event_create(
        FAAS_EVENT(.id = "1", .source = "/t", .type = "t", .data = faas_str("data")),
        &event));
    job = SUBMIT(fn, NULL, .event = event, .tenant = faas_str("me"));
    faas_event_release(event); // the invocation has its own reference
    ck_assert_uint_eq(run_for(0), 1);
    ck_assert_ok(faas_invocation_describe(w.rt, job, &info));
    ck_assert_int_eq(info.phase, FAAS_PHASE_ENDED);
    ck_assert_int_eq(info.condition, FAAS_SUCCESS);
    ck_assert_uint_eq(info.attempts, 1);
    {
        faas_result *result;

        ck_assert_ok(faas_invocation_wait(w.rt, job, 0, &result));
        ck_assert_bytes(faas_result_bytes(result), "data");
        ck_assert_uint_eq(faas_result_meter(result)->request_id.low, info.request_id.low);
        faas_result_release(result);
    }
    release(job);
    CLOSE();
}
END_TEST

/* ---- limits ---- */

static int runs_once(faas_context *ctx, faas_bytes input)
{
    atomic_uint *ran = faas_user(ctx);
    uint32_t number;

    memcpy(&number, input.data, sizeof number);
    if (faas_attempt(ctx) != 1)
        abort();
    atomic_fetch_add(&ran[number], 1);
    return 0;
}

START_TEST(at_a_cap_of_one_four_workers_run_each_of_a_hundred_thousand_once)
{
    enum { COUNT = 100000 };
    atomic_uint *ran = calloc(COUNT, sizeof *ran);
    faas_fn fn;

    OPEN(.worker_max = 4);
    ck_assert_ptr_nonnull(ran);
    fn = function_of(FAAS_FUNCTION(.name = "one", .handler = runs_once, .user = ran,
                                   .concurrency = 1,
                                   .async = FAAS_ASYNC(.queue_slots = COUNT)));
    for (uint32_t i = 0; i < COUNT; i++)
        ck_assert_ok(
            faas_invoke_async(w.rt, fn, faas_bytes_of(&i, sizeof i), NULL, NULL));
    while (async_stats().succeeded != COUNT)
        (void)sched_yield();
    for (uint32_t i = 0; i < COUNT; i++)
        ck_assert_uint_eq(atomic_load(&ran[i]), 1);
    ck_assert_uint_eq(stats_of(fn).throttles, 0);
    ck_assert_uint_eq(stats_of(fn).concurrency_peak, 1);
    ck_assert_uint_eq(async_stats().retried, 0);
    CLOSE();
    free(ran);
}
END_TEST

START_TEST(what_meets_a_taken_seat_waits_for_it_and_uses_no_attempt)
{
    struct caller caller = {.limit_ns = FAAS_FOREVER};
    struct latch latch;
    faas_invocation job;
    faas_fn fn;

    OPEN_DEFAULT();
    latch_init(&latch);
    fn = function_of(
        FAAS_FUNCTION(.name = "one", .handler = holds, .user = &latch, .concurrency = 1));
    caller_start(&caller, fn);
    latch_await(&latch, 1);
    job = submit(fn, "");
    ck_assert_uint_eq(run_for(SEC), 0);
    ck_assert_uint_eq(async_stats().queued, 1);
    latch_release(&latch, 2);
    ck_assert_ok(caller_join(&caller));
    ck_assert_uint_eq(run_for(0), 1); // it was told
    ck_assert_ok(waited(job));
    ck_assert_uint_eq(stats_of(fn).throttles, 0);
    release(job);
    CLOSE();
}
END_TEST

static int notes_or_holds(faas_context *ctx, faas_bytes input)
{
    return input.size == 0 ? holds(ctx, input) : notes_input(ctx, input);
}

START_TEST(what_met_a_taken_seat_runs_before_what_came_behind_it)
{
    struct caller caller = {.limit_ns = FAAS_FOREVER};
    struct latch latch;
    faas_fn fn;

    OPEN_DEFAULT();
    latch_init(&latch);
    fn = function_of(FAAS_FUNCTION(.name = "one", .handler = notes_or_holds,
                                   .user = &latch, .concurrency = 1));
    caller_start(&caller, fn);
    latch_await(&latch, 1);
    release(submit(fn, "a"));
    release(submit(fn, "b"));
    ck_assert_uint_eq(run_for(SEC), 0);
    latch_release(&latch, 1);
    ck_assert_ok(caller_join(&caller));
    ck_assert_uint_eq(run_for(0), 2);
    ck_assert_notes("a b ");
    CLOSE();
}
END_TEST

START_TEST(a_function_that_is_off_keeps_what_is_queued_until_it_is_on)
{
    atomic_uint count = 0;
    faas_invocation job;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = counts, .user = &count,
                                   .concurrency = FAAS_OFF));
    job = submit(fn, "");
    ck_assert_uint_eq(run_for(SEC), 0);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = 1)));
    ck_assert_uint_eq(run_for(0), 1);
    ck_assert_ok(waited(job));
    release(job);
    CLOSE();
}
END_TEST

START_TEST(a_full_queue_refuses_and_says_when_to_come_back)
{
    faas_fn fn, big;

    OPEN(.queue_slots = 5);
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = answers,
                      .async = FAAS_ASYNC(.queue_slots = 3, .queue_bytes = 10)));
    big = function_of(FAAS_FUNCTION(.name = "big", .handler = answers));
    ck_assert_ok(faas_invoke_async(w.rt, fn, faas_str("12345"), NULL, NULL));
    ck_assert_ok(faas_invoke_async(w.rt, fn, faas_str("12345"), NULL, NULL));
    ck_assert_status(faas_invoke_async(w.rt, fn, faas_str("1"), NULL, NULL), FAAS_EBUSY);
    ck_assert_uint_gt(faas_retry_after_ns(), 0);
    ck_assert_ok(faas_invoke_async(w.rt, fn, faas_str(""), NULL, NULL));
    ck_assert_status(faas_invoke_async(w.rt, fn, faas_str(""), NULL, NULL), FAAS_EBUSY);
    ck_assert_ok(faas_invoke_async(w.rt, big, faas_str("x"), NULL, NULL));
    ck_assert_ok(faas_invoke_async(w.rt, big, faas_str("x"), NULL, NULL));
    ck_assert_status(faas_invoke_async(w.rt, big, faas_str("x"), NULL, NULL),
                     FAAS_EBUSY); // the runtime's bound
    ck_assert_uint_eq(async_stats().refused, 3);
    ck_assert_uint_eq(async_stats().queued, 5);
    ck_assert_uint_eq(async_stats().queued_bytes, 12);
    ck_assert_uint_eq(run_for(0), 5);
    ck_assert_uint_eq(async_stats().queued_bytes, 0);
    ck_assert_ok(faas_invoke_async(w.rt, fn, faas_str("12345"), NULL, NULL));
    CLOSE();
}
END_TEST

START_TEST(a_full_queue_may_drop_its_oldest)
{
    faas_invocation first;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = notes_input,
                      .async = FAAS_ASYNC(.queue_slots = 2,
                                          .on_queue_full = FAAS_QUEUE_DROP_OLDEST)));
    first = SUBMIT(fn, "a", .ended = notes_end);
    release(submit(fn, "b"));
    release(submit(fn, "c"));
    ck_assert_notes("[Dropped FAAS_EBUSY 0]");
    ck_assert_status(waited(first), FAAS_EBUSY);
    ck_assert_uint_eq(run_for(0), 2);
    ck_assert_notes("b c ");
    ck_assert_uint_eq(async_stats().dropped, 1);
    release(first);
    CLOSE();
}
END_TEST

START_TEST(a_full_queue_may_run_the_new_one_on_its_submitter)
{
    faas_invocation job;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = notes_input,
                      .async = FAAS_ASYNC(.queue_slots = 1,
                                          .on_queue_full = FAAS_QUEUE_RUN_HERE)));
    release(submit(fn, "a"));
    job = submit(fn, "b");
    ck_assert_notes("b ");
    ck_assert_ok(waited(job));
    release(job);
    /* One of a group would run before those of it that wait. */
    ck_assert_status(faas_invoke_async(w.rt, fn, faas_str("c"),
                                       FAAS_SUBMIT(.group = faas_str("g")), &job),
                     FAAS_EBUSY);
    ck_assert_uint_eq(job.generation, 0);
    ck_assert_uint_eq(run_for(0), 1);
    ck_assert_notes("a ");
    CLOSE();
}
END_TEST

START_TEST(what_finds_neither_room_nor_a_seat_is_refused_and_leaves_nothing)
{
    faas_invocation job;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = notes_input, .concurrency = FAAS_OFF,
                      .async = FAAS_ASYNC(.queue_slots = 1,
                                          .on_queue_full = FAAS_QUEUE_RUN_HERE)));
    release(submit(fn, "a"));
    ck_assert_status(
        faas_invoke_async(w.rt, fn, faas_str("b"), FAAS_SUBMIT(.ended = notes_end), &job),
        FAAS_EBUSY);
    ck_assert_uint_eq(job.generation, 0);
    ck_assert_uint_eq(async_stats().submitted, 1);
    ck_assert_uint_eq(async_stats().queued, 1);
    ck_assert_uint_eq(async_stats().refused, 1);
    ck_assert_notes("");
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = 1)));
    ck_assert_uint_eq(run_for(0), 1);
    ck_assert_notes("a ");
    CLOSE();
}
END_TEST

START_TEST(where_the_host_runs_everything_who_waits_for_room_makes_it)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn =
        function_of(FAAS_FUNCTION(.name = "f", .handler = notes_input,
                                  .async = FAAS_ASYNC(.queue_slots = 1,
                                                      .on_queue_full = FAAS_QUEUE_WAIT)));
    release(submit(fn, "a"));
    release(submit(fn, "b"));
    ck_assert_notes("a ");
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = FAAS_OFF)));
    /* Nothing can run, so nobody would make room. */
    ck_assert_status(faas_invoke_async(w.rt, fn, faas_str("c"), NULL, NULL), FAAS_EBUSY);
    CLOSE();
}
END_TEST

/* ---- order ---- */

START_TEST(a_group_runs_in_order_and_a_failed_head_holds_it_up)
{
    faas_fn fn, skips;

    OPEN(.seed = 1);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = fails,
                                   .async = FAAS_ASYNC(.retries = 1, .backoff_ns = SEC,
                                                       .jitter = FAAS_JITTER_NONE)));
    skips =
        function_of(FAAS_FUNCTION(.name = "s", .handler = fails,
                                  .async = FAAS_ASYNC(.retries = 1, .backoff_ns = SEC,
                                                      .jitter = FAAS_JITTER_NONE,
                                                      .group_failure = FAAS_GROUP_SKIP)));
    release(SUBMIT(fn, "a", .group = faas_str("1")));
    release(SUBMIT(fn, "b", .group = faas_str("1")));
    release(SUBMIT(fn, "c", .group = faas_str("2")));
    ck_assert_uint_eq(run_for(5 * SEC), 6);
    ck_assert_notes("a1@0 c1@0 a2@1000 c2@1000 b1@1000 b2@2000 ");
    release(SUBMIT(skips, "a", .group = faas_str("1")));
    release(SUBMIT(skips, "b", .group = faas_str("1")));
    ck_assert_uint_eq(run_for(5 * SEC), 4);
    ck_assert_notes("a1@5000 b1@5000 a2@6000 b2@6000 ");
    CLOSE();
}
END_TEST

START_TEST(tenants_take_turns_by_their_weights)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = notes_input));
    for (int i = 0; i < 6; i++)
        release(SUBMIT(fn, "a", .tenant = faas_str("A")));
    for (int i = 0; i < 3; i++)
        release(SUBMIT(fn, "b", .tenant = faas_str("B"), .tenant_weight = 2));
    release(SUBMIT(fn, "c", .tenant = faas_str("C")));
    ck_assert_uint_eq(run_for(0), 10);
    /* Of the first five B has two, and one that came last is among the first. */
    ck_assert_ptr_nonnull(strchr(notes.text, 'c'));
    ck_assert_int_lt((int)(strchr(notes.text, 'c') - notes.text), 8);
    ck_assert_int_lt((int)(strrchr(notes.text, 'b') - notes.text), 12);
    CLOSE();
}
END_TEST

START_TEST(the_higher_priority_goes_first_until_a_lower_one_has_waited_long)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = notes_input));
    release(SUBMIT(fn, "low", .priority = FAAS_PRIORITY_LOW));
    release(submit(fn, "mid"));
    release(SUBMIT(fn, "high", .priority = FAAS_PRIORITY_HIGH));
    ck_assert_uint_eq(run_for(0), 3);
    ck_assert_notes("high mid low ");
    release(SUBMIT(fn, "low", .priority = FAAS_PRIORITY_LOW));
    ck_assert_uint_eq(async_stats().queued, 1); // it stands in its lane from now on
    pass_ns(200 * MS);
    release(SUBMIT(fn, "high", .priority = FAAS_PRIORITY_HIGH));
    ck_assert_uint_eq(run_for(0), 2);
    ck_assert_notes("low high ");
    CLOSE();
}
END_TEST

/* ---- retries ---- */

START_TEST(lambdas_preset_retries_after_one_and_after_two_minutes)
{
    faas_invocation job;
    faas_result *result;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = fails, .async = FAAS_ASYNC_LAMBDA));
    job = SUBMIT(fn, "", .ended = notes_end);
    ck_assert_uint_eq(run_for(59 * SEC), 1);
    ck_assert_uint_eq(run_for(3600 * SEC), 2);
    ck_assert_notes("1@0 2@60000 3@180000 [RetriesExhausted FAAS_EHANDLER 3]");
    ck_assert_status(faas_invocation_wait(w.rt, job, 0, &result), FAAS_EHANDLER);
    ck_assert_int_eq(faas_result_code(result), 7);
    ck_assert_str_eq(faas_result_message(result), "no. 3");
    faas_result_release(result);
    release(job);
    ck_assert_uint_eq(async_stats().retried, 2);
    ck_assert_uint_eq(async_stats().exhausted, 1);
    CLOSE();
}
END_TEST

START_TEST(the_time_between_attempts_grows_by_its_factor_up_to_its_cap)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = fails,
                      .async = FAAS_ASYNC(.retries = 4, .backoff_ns = 100 * MS,
                                          .backoff_factor = 3, .backoff_max_ns = 1 * SEC,
                                          .jitter = FAAS_JITTER_NONE)));
    release(submit(fn, ""));
    ck_assert_uint_eq(run_for(60 * SEC), 5);
    ck_assert_notes("1@0 2@100 3@400 4@1300 5@2300 ");
    CLOSE();
}
END_TEST

START_TEST(one_seed_gives_one_order_of_everything)
{
    char first[NOTES_MAX];

    for (int round = 0; round < 3; round++) {
        faas_fn fn;

        OPEN(.seed = round < 2 ? 42 : 43);
        fn = function_of(
            FAAS_FUNCTION(.name = "f", .handler = fails,
                          .async = FAAS_ASYNC(.retries = 3, .backoff_ns = 10 * SEC)));
        for (int i = 0; i < 8; i++)
            release(SUBMIT(fn, "j", .ended = notes_end, .delay_ns = (uint64_t)i * MS));
        ck_assert_uint_eq(run_for(1000 * SEC), 32);
        if (round == 0)
            memcpy(first, notes.text, NOTES_MAX);
        ck_assert_int_eq(strcmp(first, notes.text) == 0, round < 2);
        notes.size = 0;
        notes.text[0] = '\0';
        CLOSE();
    }
}
END_TEST

START_TEST(only_the_outcomes_that_the_policy_names_are_retried)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = fails,
                                   .async = FAAS_ASYNC(.retry_on = FAAS_RETRY_TIMEOUT)));
    release(SUBMIT(fn, "", .ended = notes_end));
    ck_assert_uint_eq(run_for(3600 * SEC), 1);
    ck_assert_notes("1@0 [RetriesExhausted FAAS_EHANDLER 1]");
    CLOSE();
}
END_TEST

START_TEST(age_ends_what_waits_for_its_next_attempt_and_what_waits_for_a_seat)
{
    faas_fn fn, off;

    OPEN_DEFAULT();
    fn =
        function_of(FAAS_FUNCTION(.name = "f", .handler = fails,
                                  .async = FAAS_ASYNC(.retries = 9, .backoff_ns = 4 * SEC,
                                                      .age_ns = 10 * SEC,
                                                      .jitter = FAAS_JITTER_NONE)));
    off = function_of(FAAS_FUNCTION(.name = "off", .handler = fails,
                                    .concurrency = FAAS_OFF,
                                    .async = FAAS_ASYNC(.age_ns = 3 * SEC)));
    release(SUBMIT(fn, "", .ended = notes_end));
    ck_assert_uint_eq(run_for(9 * SEC), 2);
    ck_assert_uint_eq(run_for(2 * SEC), 0);
    ck_assert_notes("1@0 2@4000 [EventAgeExceeded FAAS_EEXPIRED 2]");
    release(SUBMIT(off, "", .ended = notes_end));
    (void)run_for(1 * SEC);
    release(SUBMIT(off, "", .ended = notes_end));
    (void)run_for(2 * SEC);
    ck_assert_notes("[EventAgeExceeded FAAS_EEXPIRED 0]");
    (void)run_for(1 * SEC);
    ck_assert_notes("[EventAgeExceeded FAAS_EEXPIRED 0]");
    ck_assert_uint_eq(async_stats().expired, 3);
    CLOSE();
}
END_TEST

/* ---- time ---- */

START_TEST(an_invocation_starts_after_its_delay_and_not_before)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = notes_input));
    release(SUBMIT(fn, "c", .delay_ns = 3 * SEC));
    release(SUBMIT(fn, "b", .start_ns = START_NS + 2 * SEC));
    release(SUBMIT(fn, "a", .start_ns = START_NS - SEC)); // the past is now
    ck_assert_uint_eq(run_for(2 * SEC - MS), 1);
    ck_assert_uint_eq(async_stats().queued, 2);
    ck_assert_uint_eq(run_for(MS), 1);
    ck_assert_uint_eq(run_for(SEC - MS), 0);
    ck_assert_uint_eq(run_for(MS), 1);
    ck_assert_notes("a b c ");
    CLOSE();
}
END_TEST

START_TEST(a_time_limit_ends_what_is_still_queued)
{
    faas_invocation job;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = notes_input, .concurrency = FAAS_OFF));
    job = SUBMIT(fn, "a", .limit_ns = SEC, .ended = notes_end);
    (void)run_for(SEC - MS);
    ck_assert_status(waited(job), FAAS_EPENDING);
    (void)run_for(MS);
    ck_assert_status(waited(job), FAAS_EEXPIRED);
    ck_assert_notes("[EventAgeExceeded FAAS_EEXPIRED 0]");
    ck_assert_status(faas_invoke_async(w.rt, fn, faas_str(""),
                                       FAAS_SUBMIT(.limit_ns = SEC, .delay_ns = 2 * SEC),
                                       NULL),
                     FAAS_EEXPIRED);
    release(job);
    CLOSE();
}
END_TEST

static int is_late(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    note("%.*s ", (int)input.size, (const char *)input.data);
    pass_ns(2 * SEC);
    return 0;
}

START_TEST(a_late_attempt_is_retried_and_its_instance_is_closed)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = is_late, .timeout_ns = SEC,
                                   .async = FAAS_ASYNC(.retries = 1, .backoff_ns = SEC,
                                                       .jitter = FAAS_JITTER_NONE)));
    release(SUBMIT(fn, "x", .ended = notes_end));
    ck_assert_uint_eq(run_for(10 * SEC), 2);
    ck_assert_notes("x x [RetriesExhausted FAAS_ETIMEDOUT 2]");
    ck_assert_uint_eq(stats_of(fn).instances, 0);
    ck_assert_uint_eq(stats_of(fn).cold_starts, 2);
    CLOSE();
}
END_TEST

START_TEST(a_waiter_is_told_at_the_deadline_while_the_late_handler_still_runs)
{
    struct latch latch;
    faas_invocation job;
    faas_result *result;
    faas_fn fn;

    OPEN(.worker_max = 1);
    latch_init(&latch);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = holds, .user = &latch,
                                   .timeout_ns = SEC,
                                   .async = FAAS_ASYNC(.retries = FAAS_OFF)));
    job = submit(fn, "");
    latch_await(&latch, 1);
    ck_assert_status(waited(job), FAAS_EPENDING);
    pass_ns(SEC);
    faas_runtime_sweep(w.rt, NULL);
    ck_assert_status(faas_invocation_wait(w.rt, job, 0, &result), FAAS_ETIMEDOUT);
    ck_assert_ptr_null(result);
    ck_assert_uint_eq(async_stats().quarantined, 1);
    ck_assert_uint_eq(stats_of(fn).concurrency, 1); // it counts against the caps
    latch_release(&latch, 1);
    while (async_stats().running != 0)
        (void)sched_yield();
    while (stats_of(fn).instances != 0)
        (void)sched_yield();
    ck_assert_uint_eq(async_stats().exhausted, 1);
    ck_assert_uint_eq(async_stats().quarantined, 0);
    release(job);
    CLOSE();
}
END_TEST

/* ---- cancelling ---- */

START_TEST(what_is_cancelled_before_it_runs_never_runs)
{
    faas_invocation queued, delayed, ended;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = notes_input));
    queued = SUBMIT(fn, "a", .ended = notes_end, .group = faas_str("g"));
    delayed = SUBMIT(fn, "b", .ended = notes_end, .delay_ns = SEC);
    ended = SUBMIT(fn, "c", .group = faas_str("g"));
    ck_assert_ok(faas_invocation_cancel(w.rt, queued));
    ck_assert_ok(faas_invocation_cancel(w.rt, delayed));
    ck_assert_status(faas_invocation_cancel(w.rt, queued), FAAS_EINUSE);
    ck_assert_notes("[Cancelled FAAS_ECANCELLED 0][Cancelled FAAS_ECANCELLED 0]");
    ck_assert_uint_eq(run_for(10 * SEC), 1); // its group goes on
    ck_assert_notes("c ");
    ck_assert_status(waited(queued), FAAS_ECANCELLED);
    ck_assert_status(waited(delayed), FAAS_ECANCELLED);
    ck_assert_status(faas_invocation_cancel(w.rt, ended), FAAS_EINUSE);
    ck_assert_uint_eq(async_stats().cancelled, 2);
    ck_assert_uint_eq(async_stats().queued, 0);
    release(queued);
    release(delayed);
    release(ended);
    CLOSE();
}
END_TEST

static int looks_at_its_token(faas_context *ctx, faas_bytes input)
{
    (void)input;
    latch_pass(faas_user(ctx));
    return faas_cancelled(ctx) ? faas_fail(ctx, 9, "told") : 0;
}

START_TEST(what_runs_is_told_and_is_not_retried)
{
    struct latch latch;
    faas_invocation job;
    faas_fn fn;

    OPEN(.worker_max = 1);
    latch_init(&latch);
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = looks_at_its_token, .user = &latch));
    job = SUBMIT(fn, "", .ended = notes_end);
    latch_await(&latch, 1);
    ck_assert_status(faas_invocation_cancel(w.rt, job), FAAS_EPENDING);
    ck_assert_status(faas_invocation_cancel(w.rt, job), FAAS_EPENDING);
    latch_release(&latch, 1);
    ck_assert_status(faas_invocation_wait(w.rt, job, FAAS_FOREVER, NULL), FAAS_EHANDLER);
    while (async_stats().cancelled != 1)
        (void)sched_yield();
    release(job);
    CLOSE();
    ck_assert_notes("[Cancelled FAAS_EHANDLER 1]");
}
END_TEST

/* ---- ends ---- */

static int notes_record(faas_context *ctx, faas_bytes input)
{
    char text[1024];
    const char *found;

    (void)ctx;
    (void)snprintf(text, sizeof text, "%.*s", (int)input.size, (const char *)input.data);
    found = strstr(text, "\"condition\":\"");
    note("{%.7s} ", found == NULL ? "" : found + 13);
    return 0;
}

START_TEST(records_go_to_a_function_to_an_event_and_to_a_callback)
{
    faas_fn fn, record;

    OPEN_DEFAULT();
    record = function_of(FAAS_FUNCTION(.name = "record", .handler = notes_record));
    ck_assert_ok(faas_subscribe(w.rt, record, FAAS_ON(.type = "gave.up"), NULL));
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = fails,
                      .async = FAAS_ASYNC(.retries = FAAS_OFF,
                                          .on_failure = {.event_type = "gave.up",
                                                         .ended = notes_end})));
    release(submit(fn, ""));
    ck_assert_uint_eq(run_for(0), 1); // the event's target ran on the same thread
    ck_assert_notes("1@0 [RetriesExhausted FAAS_EHANDLER 1]{Retries} ");
    ck_assert_ok(faas_function_update(
        w.rt, fn,
        FAAS_FUNCTION(.async = FAAS_ASYNC(.retries = FAAS_OFF,
                                          .on_failure = {.fn = record}))));
    release(submit(fn, ""));
    ck_assert_uint_eq(run_for(0), 2);
    ck_assert_notes("1@0 {Retries} ");
    CLOSE();
}
END_TEST

START_TEST(an_event_is_queued_for_those_that_asked_so)
{
    faas_delivery delivery;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = notes_input));
    ck_assert_ok(faas_subscribe(w.rt, fn, FAAS_ON(.type = "t", .queued = 1), NULL));
    ck_assert_ok(
        faas_rule_put_with(w.rt, "r", "{\"type\":[\"t\"]}", fn,
                           &(faas_rule_options){.size = sizeof(faas_rule_options),
                                                .input_paths = "{\"n\":\"$.data.n\"}",
                                                .input_template = "n is <n>",
                                                .queued = 1}));
    ck_assert_ok(faas_publish_json(w.rt, "/t", "t", "{\"n\":3}", &delivery));
    ck_assert_uint_eq(delivery.matched, 2);
    ck_assert_uint_eq(delivery.queued, 2);
    ck_assert_uint_eq(delivery.ran, 0);
    ck_assert_uint_eq(run_for(0), 2);
    ck_assert_notes("{\"n\":3} n is 3 ");
    ck_assert_status(faas_subscribe(w.rt, fn, FAAS_ON(.queued = 2), NULL), FAAS_EINVAL);
    CLOSE();
}
END_TEST

START_TEST(a_removed_functions_queue_ends_with_it)
{
    faas_invocation job;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = notes_input));
    job = SUBMIT(fn, "", .ended = notes_end);
    release(SUBMIT(fn, "", .ended = notes_end, .delay_ns = SEC));
    ck_assert_ok(faas_function_unregister(w.rt, fn));
    ck_assert_notes("[Dropped FAAS_ENOENT 0][Dropped FAAS_ENOENT 0]");
    ck_assert_status(waited(job), FAAS_ENOENT);
    ck_assert_status(faas_invoke_async(w.rt, fn, faas_str(""), NULL, NULL), FAAS_ENOENT);
    ck_assert_uint_eq(async_stats().dropped, 2);
    release(job);
    CLOSE();
}
END_TEST

START_TEST(a_replaced_function_runs_what_the_old_one_had_queued)
{
    atomic_uint old = 0, new = 0;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = counts, .user = &old));
    release(submit(fn, ""));
    ck_assert_ok(
        faas_function_replace(w.rt, fn, FAAS_FUNCTION(.handler = counts, .user = &new)));
    release(submit(fn, ""));
    ck_assert_uint_eq(run_for(0), 2);
    ck_assert_uint_eq(atomic_load(&old), 0);
    ck_assert_uint_eq(atomic_load(&new), 2);
    ck_assert_uint_eq(async_stats().succeeded, 2);
    CLOSE();
}
END_TEST

START_TEST(an_alias_queues_for_one_of_its_versions)
{
    faas_share share = {1, 1};
    faas_fn fn, alias;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = notes_input));
    ck_assert_ok(faas_function_publish(w.rt, fn, NULL, NULL));
    ck_assert_ok(faas_alias_put(w.rt, fn, "live", &share, 1, &alias));
    release(submit(alias, "v"));
    ck_assert_uint_eq(run_for(0), 1);
    ck_assert_notes("v ");
    ck_assert_uint_eq(stats_of(fn).invocations, 0);
    CLOSE();
}
END_TEST

static int batches(faas_context *ctx, faas_item *items, size_t count)
{
    (void)ctx;
    for (size_t i = 0; i < count; i++)
        items[i].code = faas_reply(items[i].ctx, items[i].input);
    return 0;
}

START_TEST(what_is_queued_for_a_function_that_batches_or_remembers_goes_its_way)
{
    faas_invocation jobs[3];
    faas_fn batch, cached;

    OPEN_DEFAULT();
    batch = function_of(FAAS_FUNCTION(.name = "b", .batch = batches));
    cached = function_of(
        FAAS_FUNCTION(.name = "c", .handler = echoes, .cache_bytes = 1000000));
    jobs[0] = submit(batch, "x");
    jobs[1] = submit(cached, "x");
    ck_assert_uint_eq(run_for(0), 2);
    jobs[2] = submit(cached, "x");
    (void)run_for(0);
    for (int i = 0; i < 3; i++) {
        faas_result *result;

        ck_assert_ok(faas_invocation_wait(w.rt, jobs[i], 0, &result));
        ck_assert_bytes(faas_result_bytes(result), "x");
        faas_result_release(result);
        release(jobs[i]);
    }
    ck_assert_uint_eq(stats_of(batch).batched, 1);
    ck_assert_uint_eq(stats_of(cached).cache_hits, 1);
    CLOSE();
}
END_TEST

/* ---- dead letters ---- */

START_TEST(what_is_given_up_is_kept_shown_and_sent_again)
{
    static const faas_fn own;
    atomic_uint count = 0;
    uint64_t letters;
    faas_fn fn, good;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = fails,
                                   .async = FAAS_ASYNC(.retries = FAAS_OFF)));
    good = function_of(FAAS_FUNCTION(.name = "g", .handler = counts, .user = &count));
    release(SUBMIT(fn, "a", .tenant = faas_str("T")));
    release(submit(fn, "b"));
    release(submit(good, "c"));
    ck_assert_uint_eq(run_for(0), 3);
    notes.size = 0;
    ck_assert_ok(faas_letters_list(w.rt, NULL, notes_letter, NULL, &letters));
    ck_assert_uint_eq(letters, 2);
    ck_assert_notes("(f RetriesExhausted a) (f RetriesExhausted b) ");
    ck_assert_ok(faas_letters_list(w.rt, FAAS_LETTERS(.tenant = faas_str("T")),
                                   notes_letter, NULL, &letters));
    ck_assert_uint_eq(letters, 1);
    ck_assert_ok(faas_letters_list(w.rt, NULL, notes_letter, &letters, &letters));
    ck_assert_uint_eq(letters, 1); // the visitor ended it
    ck_assert_notes("(f RetriesExhausted a) (f RetriesExhausted a) ");
    ck_assert_ok(faas_letters_list(w.rt, FAAS_LETTERS(.condition = FAAS_DROPPED), NULL,
                                   NULL, &letters));
    ck_assert_uint_eq(letters, 0);
    ck_assert_ok(faas_letters_redrive(w.rt, FAAS_LETTERS(.most = 1), good, &letters));
    ck_assert_uint_eq(letters, 1);
    ck_assert_uint_eq(run_for(0), 1);
    ck_assert_uint_eq(atomic_load(&count), 2);
    ck_assert_ok(faas_letters_redrive(w.rt, NULL, own, &letters));
    ck_assert_uint_eq(letters, 1);
    ck_assert_uint_eq(run_for(0), 1); // it fails again
    ck_assert_ok(faas_letters_purge(w.rt, NULL, &letters));
    ck_assert_uint_eq(letters, 1);
    ck_assert_ok(faas_letters_list(w.rt, NULL, NULL, NULL, &letters));
    ck_assert_uint_eq(letters, 0);
    ck_assert_status(
        faas_letters_list(w.rt, &(faas_letter_filter){.size = 1}, NULL, NULL, NULL),
        FAAS_EINVAL);
    CLOSE();
}
END_TEST

START_TEST(a_full_store_pushes_the_oldest_out_and_shows_it)
{
    uint64_t letters;
    faas_fn fn;

    OPEN(.dead_letter_slots = 2, .dead_letter_bytes = 4096, .dead_letter = shows_letter);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = fails,
                                   .async = FAAS_ASYNC(.retries = FAAS_OFF)));
    for (int i = 0; i < 3; i++)
        release(submit(fn, i == 0 ? "a" : i == 1 ? "b" : "c"));
    ck_assert_uint_eq(run_for(0), 3);
    ck_assert_notes("a1@0 b1@0 c1@0 (f RetriesExhausted a) ");
    ck_assert_ok(faas_letters_list(w.rt, NULL, NULL, NULL, &letters));
    ck_assert_uint_eq(letters, 2);
    CLOSE();
    ck_assert_notes("(f RetriesExhausted b) (f RetriesExhausted c) ");
}
END_TEST

/* ---- numbers ---- */

START_TEST(a_functions_numbers_are_its_own_and_the_runtimes_outlive_it)
{
    faas_async_stats stats = {.size = sizeof stats};
    faas_fn a, b;

    OPEN_DEFAULT();
    a = function_of(FAAS_FUNCTION(.name = "a", .handler = answers));
    b = function_of(FAAS_FUNCTION(.name = "b", .handler = answers));
    release(submit(a, "12"));
    release(submit(b, ""));
    pass_ns(3 * SEC);
    ck_assert_ok(faas_async_stats_get(w.rt, a, &stats));
    ck_assert_uint_eq(stats.submitted, 1);
    ck_assert_uint_eq(stats.queued, 1);
    ck_assert_uint_eq(stats.queued_bytes, 2);
    ck_assert_uint_eq(stats.oldest_ns, 3 * SEC);
    ck_assert_uint_eq(run_for(0), 2);
    ck_assert_ok(faas_async_stats_get(w.rt, a, &stats));
    ck_assert_uint_eq(stats.succeeded, 1);
    ck_assert_uint_eq(stats.oldest_ns, 0);
    ck_assert_ok(faas_function_unregister(w.rt, a));
    ck_assert_status(faas_async_stats_get(w.rt, a, &stats), FAAS_ENOENT);
    ck_assert_uint_eq(async_stats().succeeded, 2);
    stats.size = 3;
    ck_assert_status(faas_async_stats_get(w.rt, b, &stats), FAAS_EINVAL);
    CLOSE();
}
END_TEST

START_TEST(a_record_that_cannot_reach_its_destination_is_kept_as_a_dead_letter)
{
    uint64_t letters;
    faas_fn fn, to;

    OPEN_DEFAULT();
    to = function_of(FAAS_FUNCTION(.name = "to", .handler = answers));
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers,
                                   .async = FAAS_ASYNC(.dead_letters = FAAS_OFF,
                                                       .on_success = {.fn = to})));
    release(submit(fn, ""));
    ck_assert_uint_eq(run_for(0), 2);
    ck_assert_ok(faas_function_unregister(w.rt, to));
    release(submit(fn, ""));
    ck_assert_uint_eq(run_for(0), 1);
    ck_assert_ok(faas_letters_list(w.rt, FAAS_LETTERS(.condition = FAAS_SUCCESS), NULL,
                                   NULL, &letters));
    ck_assert_uint_eq(letters, 1);
    CLOSE();
}
END_TEST

START_TEST(a_record_that_is_refused_where_its_event_goes_is_kept_as_a_dead_letter)
{
    uint64_t letters;
    faas_fn fn, to;

    OPEN_DEFAULT();
    to = function_of(FAAS_FUNCTION(.name = "to", .handler = answers,
                                   .concurrency = FAAS_OFF,
                                   .async = FAAS_ASYNC(.queue_slots = 1)));
    ck_assert_ok(faas_subscribe(w.rt, to, FAAS_ON(.type = "done", .queued = 1), NULL));
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = answers,
                      .async = FAAS_ASYNC(.dead_letters = FAAS_OFF,
                                          .on_success = {.event_type = "done"})));
    for (int i = 0; i < 3; i++)
        release(submit(fn, ""));
    ck_assert_uint_eq(run_for(0), 3);
    ck_assert_ok(faas_letters_list(w.rt, FAAS_LETTERS(.condition = FAAS_SUCCESS), NULL,
                                   NULL, &letters));
    ck_assert_uint_eq(letters, 2);
    CLOSE();
}
END_TEST

/* ---- bad input ---- */

START_TEST(options_and_policies_out_of_range_are_refused)
{
    const struct {
        faas_async async;
        const char *text;
    } policies[] = {
        {{.size = sizeof(faas_async), .on_queue_full = (faas_queue_full)9},
         "async.on_queue_full: 9 is unknown"},
        {{.size = sizeof(faas_async), .retries = 1001},
         "async.retries: 1001 is over 1000"},
        {{.size = sizeof(faas_async), .retry_on = 16}, "async.retry_on: 16 is unknown"},
        {{.size = sizeof(faas_async), .backoff_factor = 0.5},
         "async.backoff_factor: 0.5 is not 1 to 1e6"},
        {{.size = sizeof(faas_async), .jitter = (faas_jitter)3},
         "async.jitter: 3 is unknown"},
        {{.size = sizeof(faas_async), .group_failure = (faas_group_failure)3},
         "async.group_failure: 3 is unknown"},
        {{.size = sizeof(faas_async), .blocking = 2}, "async.blocking: 2 is not 0 or 1"},
        {{.size = sizeof(faas_async), .dead_letters = 1},
         "async.dead_letters: 1 is not 0 or FAAS_OFF"},
        {{.size = 2}, "async: size is 2; set it to sizeof the struct"},
    };
    const struct {
        faas_submit_options options;
        const char *text;
    } submits[] = {
        {{.size = sizeof(faas_submit_options), .priority = (faas_priority)4},
         "submit.priority: 4 is unknown"},
        {{.size = sizeof(faas_submit_options), .tenant_weight = 1001},
         "submit.tenant_weight: 1001 is over 1000"},
        {{.size = sizeof(faas_submit_options), .will_wait = 2},
         "submit.will_wait: 2 is not 0 or 1"},
    };
    faas_invocation job;
    faas_fn fn;

    OPEN_DEFAULT();
    for (size_t i = 0; i < FAASI_COUNT(policies); i++) {
        ck_assert_status(
            faas_function_register(w.rt,
                                   FAAS_FUNCTION(.name = "f", .handler = answers,
                                                 .async = &policies[i].async),
                                   NULL),
            FAAS_EINVAL);
        ck_assert_str_eq(faas_error_text(), policies[i].text);
    }
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers));
    for (size_t i = 0; i < FAASI_COUNT(submits); i++) {
        ck_assert_status(
            faas_invoke_async(w.rt, fn, faas_str(""), &submits[i].options, &job),
            FAAS_EINVAL);
        ck_assert_str_eq(faas_error_text(), submits[i].text);
        ck_assert_uint_eq(job.generation, 0);
    }
    CLOSE();
}
END_TEST

static void registers_and_removes(const faas_record *record, void *user)
{
    faas_fn fn;

    (void)user;
    ck_assert_int_eq(record->status, FAAS_ENOMEM);
    note("told ");
    w.faulty.fail_at = 0;
    fn = function_of(FAAS_FUNCTION(.name = "more", .handler = answers));
    ck_assert_ok(faas_function_unregister(w.rt, fn));
}

START_TEST(who_is_told_that_there_was_no_memory_to_queue_it_may_call_everything)
{
    enum { AT_ONCE = 4096 }; // come in before somebody must look
    faas_fn fn;

    for (int full = 0; full < 2; full++) {
        OPEN_DEFAULT();
        fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers));
        release(SUBMIT(fn, "", .tenant = faas_str("t"), .ended = registers_and_removes));
        for (int i = 1; full && i < AT_ONCE; i++)
            release(submit(fn, ""));
        w.faulty.fail_at = atomic_load(&w.faulty.calls) + 1;
        if (full)
            release(submit(fn, ""));
        else
            (void)async_stats();
        ck_assert_notes("told ");
        ck_assert_uint_eq(run_for(0), full ? AT_ONCE : 0);
        ck_assert_uint_eq(async_stats().exhausted, 1);
        CLOSE();
    }
}
END_TEST

/* Its own runtime closes: what is submitted from here is refused, whichever way. */
static void submits_while_closing(const faas_record *record, void *user)
{
    const faas_fn *fn = user;
    faas_invocation job;
    uint64_t count;

    ck_assert_int_eq(record->status, FAAS_ECLOSED);
    note("%s ", faas_status_name(faas_invoke_async(w.rt, *fn, faas_str(""), NULL, &job)));
    note("%s ", faas_status_name(faas_invoke_async(w.rt, *fn, faas_str(""),
                                                   FAAS_SUBMIT(.delay_ns = SEC), NULL)));
    note("%s ", faas_status_name(faas_letters_redrive(w.rt, NULL, *fn, &count)));
}

START_TEST(what_is_submitted_while_the_runtime_closes_is_refused)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers,
                                   .async = FAAS_ASYNC(.queue_slots = 1)));
    release(SUBMIT(fn, "", .ended = submits_while_closing, .ended_user = &fn));
    CLOSE();
    ck_assert_notes("FAAS_ECLOSED FAAS_ECLOSED FAAS_ECLOSED ");
}
END_TEST

/* Everything above in small, with memory that fails at the n-th call. Returns whether all
 * was had. */
static bool session(void)
{
    faas_invocation job = {0, 0, 0};
    faas_fn fn;
    bool all = true;

    if (faas_function_register(
            w.rt,
            FAAS_FUNCTION(.name = "f", .handler = echoes,
                          .async = FAAS_ASYNC(.on_failure = {.event_type = "gone"})),
            &fn) != FAAS_OK)
        return false;
    for (int i = 0; i < 3; i++) {
        all &=
            faas_invoke_async(w.rt, fn, faas_str("input"),
                              FAAS_SUBMIT(.group = faas_str("g"), .tenant = faas_str("t"),
                                          .delay_ns = i == 2 ? SEC : 0),
                              i == 0 ? &job : NULL) == FAAS_OK;
    }
    (void)run_for(2 * SEC);
    if (job.generation != 0) {
        faas_result *result;
        faas_status status = faas_invocation_wait(w.rt, job, 0, &result);

        ck_assert_int_ne(status, FAAS_EPENDING);
        all &= status == FAAS_OK;
        faas_result_release(result);
        release(job);
    }
    all &= faas_invoke_async(w.rt, fn, faas_str("left"), NULL, NULL) == FAAS_OK;
    return all;
}

START_TEST(whichever_allocation_fails_nothing_leaks_and_nothing_hangs)
{
    for (unsigned fail_at = 1;; fail_at++) {
        bool all;

        ck_assert_uint_lt(fail_at, 500);
        OPEN_DEFAULT();
        w.faulty.fail_at = atomic_load(&w.faulty.calls) + fail_at;
        all = session();
        w.faulty.fail_at = 0;
        CLOSE();
        if (all && atomic_load(&w.faulty.failures) == 0)
            break;
    }
}
END_TEST

SUITE_MAIN("async", a_submitted_invocation_runs_when_the_host_drives_and_gives_its_result,
           a_handle_that_was_released_is_no_ones,
           a_waiter_runs_its_invocation_itself_where_nobody_else_does,
           many_are_submitted_at_once_and_run_in_their_order,
           of_many_those_are_accepted_for_which_there_is_memory,
           sizes_of_many_inputs_do_not_wrap_around,
           a_handler_knows_tenant_trace_id_event_and_attempt,
           at_a_cap_of_one_four_workers_run_each_of_a_hundred_thousand_once,
           what_meets_a_taken_seat_waits_for_it_and_uses_no_attempt,
           what_met_a_taken_seat_runs_before_what_came_behind_it,
           a_function_that_is_off_keeps_what_is_queued_until_it_is_on,
           a_full_queue_refuses_and_says_when_to_come_back,
           a_full_queue_may_drop_its_oldest,
           a_full_queue_may_run_the_new_one_on_its_submitter,
           what_finds_neither_room_nor_a_seat_is_refused_and_leaves_nothing,
           where_the_host_runs_everything_who_waits_for_room_makes_it,
           a_group_runs_in_order_and_a_failed_head_holds_it_up,
           tenants_take_turns_by_their_weights,
           the_higher_priority_goes_first_until_a_lower_one_has_waited_long,
           lambdas_preset_retries_after_one_and_after_two_minutes,
           the_time_between_attempts_grows_by_its_factor_up_to_its_cap,
           one_seed_gives_one_order_of_everything,
           only_the_outcomes_that_the_policy_names_are_retried,
           age_ends_what_waits_for_its_next_attempt_and_what_waits_for_a_seat,
           an_invocation_starts_after_its_delay_and_not_before,
           a_time_limit_ends_what_is_still_queued,
           a_late_attempt_is_retried_and_its_instance_is_closed,
           a_waiter_is_told_at_the_deadline_while_the_late_handler_still_runs,
           what_is_cancelled_before_it_runs_never_runs,
           what_runs_is_told_and_is_not_retried,
           records_go_to_a_function_to_an_event_and_to_a_callback,
           an_event_is_queued_for_those_that_asked_so,
           a_removed_functions_queue_ends_with_it,
           a_replaced_function_runs_what_the_old_one_had_queued,
           an_alias_queues_for_one_of_its_versions,
           what_is_given_up_is_kept_shown_and_sent_again,
           what_is_queued_for_a_function_that_batches_or_remembers_goes_its_way,
           a_full_store_pushes_the_oldest_out_and_shows_it,
           a_functions_numbers_are_its_own_and_the_runtimes_outlive_it,
           a_record_that_cannot_reach_its_destination_is_kept_as_a_dead_letter,
           a_record_that_is_refused_where_its_event_goes_is_kept_as_a_dead_letter,
           options_and_policies_out_of_range_are_refused,
           who_is_told_that_there_was_no_memory_to_queue_it_may_call_everything,
           what_is_submitted_while_the_runtime_closes_is_refused,
           whichever_allocation_fails_nothing_leaks_and_nothing_hangs)
