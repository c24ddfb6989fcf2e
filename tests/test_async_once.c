/* SPDX-License-Identifier: MIT */
/* test_async_once.c - invocations with a key: one runs, and identical ones end as it
 * does. */
#include "async_support.h"

#define KEY(text) .key = faas_str(text)

/* Answers with how often it ran, and notes its input. */
static int tells_runs(faas_context *ctx, faas_bytes input)
{
    unsigned *runs = faas_user(ctx);

    note("%.*s ", (int)input.size, (const char *)input.data);
    return faas_reply_printf(ctx, "run %u", ++*runs);
}

/* What came out of an invocation that has ended. */
static const char *answer_of(faas_invocation job)
{
    static char text[32];
    faas_result *result;
    faas_bytes bytes;

    if (faas_invocation_wait(w.rt, job, 0, &result) != FAAS_OK || result == NULL)
        return "none";
    bytes = faas_result_bytes(result);
    (void)snprintf(text, sizeof text, "%.*s", (int)bytes.size, (const char *)bytes.data);
    faas_result_release(result);
    return text;
}

START_TEST(identical_invocations_under_way_run_once_and_get_the_same_result)
{
    unsigned runs = 0;
    faas_invocation jobs[4];
    faas_fn fn;

    OPEN(.worker_max = FAAS_OFF);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = tells_runs, .user = &runs));
    for (int i = 0; i < 4; i++)
        jobs[i] =
            SUBMIT(fn, i == 0 ? "first" : "again", KEY("order 7"), .ended = notes_end);
    ck_assert_uint_eq(async_stats().queued, 4);
    run_for(0);
    ck_assert_notes("first [Success FAAS_OK 0][Success FAAS_OK 0][Success FAAS_OK 0]"
                    "[Success FAAS_OK 1]");
    for (int i = 0; i < 4; i++) {
        ck_assert_str_eq(answer_of(jobs[i]), "run 1");
        release(jobs[i]);
    }
    ck_assert_uint_eq(async_stats().succeeded, 4);
    ck_assert_uint_eq(async_stats().shared, 3);
    ck_assert_uint_eq(async_stats().queued, 0);
    /* Without a window the next one runs. */
    jobs[0] = SUBMIT(fn, "later", KEY("order 7"));
    run_for(0);
    ck_assert_str_eq(answer_of(jobs[0]), "run 2");
    release(jobs[0]);
    ck_assert_notes("later ");
    CLOSE();
}
END_TEST

START_TEST(another_key_another_function_or_no_key_runs_by_itself)
{
    unsigned runs = 0;
    faas_fn f, g;

    OPEN(.worker_max = FAAS_OFF);
    f = function_of(FAAS_FUNCTION(.name = "f", .handler = tells_runs, .user = &runs));
    g = function_of(FAAS_FUNCTION(.name = "g", .handler = tells_runs, .user = &runs));
    release(SUBMIT(f, "a", KEY("k")));
    release(SUBMIT(f, "b", KEY("kk")));
    release(SUBMIT(f, "c", .key = faas_bytes_of("k\0", 2)));
    release(SUBMIT(f, "d", .key = faas_bytes_of("", 0)));
    release(SUBMIT(g, "e", KEY("k")));
    release(submit(f, "f"));
    run_for(0);
    ck_assert_uint_eq(runs, 6);
    ck_assert_uint_eq(async_stats().shared, 0);
    CLOSE();
}
END_TEST

/* The input up to a colon; before "none:" none. */
static faas_bytes key_before_colon(faas_bytes input, const faas_event *event, char *room,
                                   void *user)
{
    const char *colon = memchr(input.data, ':', input.size);
    size_t size = colon == NULL ? input.size : (size_t)(colon - (const char *)input.data);

    (void)event;
    ck_assert_uint_le(size, FAAS_KEY_ROOM);
    ++*(unsigned *)user;
    memcpy(room, input.data, size);
    return size == 4 && memcmp(room, "none", 4) == 0 ? faas_bytes_of(NULL, 0)
                                                     : faas_bytes_of(room, size);
}

START_TEST(a_key_function_tells_which_are_identical_also_of_published_events)
{
    unsigned runs = 0, asked = 0;
    faas_event *event;
    faas_fn fn;

    OPEN(.worker_max = FAAS_OFF);
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = tells_runs, .user = &runs,
                      .async = FAAS_ASYNC(.key = key_before_colon, .key_user = &asked)));
    release(submit(fn, "7:a"));
    release(submit(fn, "7:b"));
    release(submit(fn, "8:c"));
    release(submit(fn, "none:d"));
    release(submit(fn, "none:e"));
    release(SUBMIT(fn, "9:f", KEY("8"))); // its own goes before
    run_for(0);
    ck_assert_notes("7:a 8:c none:d none:e ");
    ck_assert_uint_eq(asked, 5);
    ck_assert_ok(faas_subscribe(w.rt, fn, FAAS_ON(.type = "order", .queued = 1), NULL));
    ck_assert_ok(faas_event_create(FAAS_EVENT(.id = "1", .source = "/t", .type = "order",
                                              .data = faas_str("\"10:g\"")),
                                   &event));
    ck_assert_ok(faas_publish(w.rt, event, NULL));
    ck_assert_ok(faas_publish(w.rt, event, NULL));
    faas_event_release(event);
    run_for(0);
    ck_assert_notes("\"10:g\" ");
    ck_assert_ok(faas_invoke_async_many(
        w.rt, fn, (const faas_bytes[]){faas_str("1:h"), faas_str("1:i"), faas_str("2:j")},
        3, NULL, NULL, NULL));
    run_for(0);
    ck_assert_notes("1:h 2:j ");
    CLOSE();
}
END_TEST

START_TEST(in_the_window_a_kept_result_answers_without_a_run)
{
    unsigned runs = 0;
    faas_invocation job;
    faas_fn fn;

    OPEN(.worker_max = FAAS_OFF);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = tells_runs, .user = &runs,
                                   .async = FAAS_ASYNC(.idempotency_ns = 10 * SEC)));
    release(SUBMIT(fn, "a", KEY("k")));
    run_for(9 * SEC);
    job = SUBMIT(fn, "b", KEY("k"), .ended = notes_end); // it has ended when this returns
    ck_assert_notes("a [Success FAAS_OK 0]");
    ck_assert_str_eq(answer_of(job), "run 1");
    release(job);
    run_for(1 * SEC);
    job = SUBMIT(fn, "c", KEY("k"));
    run_for(0);
    ck_assert_str_eq(answer_of(job), "run 2");
    ck_assert_notes("c ");
    release(job);
    ck_assert_uint_eq(async_stats().shared, 1);
    CLOSE();
}
END_TEST

START_TEST(a_function_that_is_replaced_forgets_the_results_of_the_old_one)
{
    unsigned runs = 0;
    faas_fn fn;

    OPEN(.worker_max = FAAS_OFF);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = tells_runs, .user = &runs,
                                   .async = FAAS_ASYNC(.idempotency_ns = FAAS_FOREVER)));
    release(SUBMIT(fn, "a", KEY("k")));
    run_for(0);
    ck_assert_ok(faas_function_replace(
        w.rt, fn,
        FAAS_FUNCTION(.name = "f", .handler = tells_runs, .user = &runs,
                      .async = FAAS_ASYNC(.idempotency_ns = FAAS_FOREVER))));
    release(SUBMIT(fn, "b", KEY("k")));
    run_for(0);
    ck_assert_notes("a b ");
    CLOSE();
}
END_TEST

START_TEST(kept_results_have_a_budget_of_bytes)
{
    unsigned runs = 0;
    char key[16];
    faas_fn fn;

    OPEN(.worker_max = FAAS_OFF);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = tells_runs, .user = &runs,
                                   .async = FAAS_ASYNC(.idempotency_ns = FAAS_FOREVER,
                                                       .idempotency_bytes = 1000)));
    for (int i = 0; i < 100; i++) {
        (void)snprintf(key, sizeof key, "key %d", i);
        release(SUBMIT(fn, "", KEY(key)));
        run_for(0);
    }
    release(SUBMIT(fn, "", KEY("key 99"))); // is kept
    release(SUBMIT(fn, "", KEY("key 0")));  // had to go
    run_for(0);
    ck_assert_uint_eq(runs, 101);
    CLOSE();
}
END_TEST

START_TEST(a_failure_is_shared_after_the_last_attempt_and_not_kept)
{
    faas_invocation one, two;
    faas_result *result;
    faas_fn fn;

    OPEN(.worker_max = FAAS_OFF);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = fails,
                                   .async = FAAS_ASYNC(.retries = 1, .backoff_ns = SEC,
                                                       .jitter = FAAS_JITTER_NONE,
                                                       .idempotency_ns = FAAS_FOREVER)));
    one = SUBMIT(fn, "a", KEY("k"));
    run_for(SEC / 2);
    two = SUBMIT(fn, "b", KEY("k"), .ended = notes_end); // between the attempts
    ck_assert_status(waited(two), FAAS_EPENDING);
    run_for(SEC);
    ck_assert_notes("a1@0 a2@1000 [RetriesExhausted FAAS_EHANDLER 0]");
    ck_assert_status(faas_invocation_wait(w.rt, two, 0, &result), FAAS_EHANDLER);
    ck_assert_str_eq(faas_result_message(result), "no. 2");
    faas_result_release(result);
    release(one);
    release(two);
    release(SUBMIT(fn, "c", KEY("k")));
    run_for(0);
    ck_assert_notes("c1@1500 ");
    CLOSE();
}
END_TEST

START_TEST(cancelling_one_that_waits_leaves_the_others)
{
    unsigned runs = 0;
    faas_invocation jobs[3];
    faas_fn fn;

    OPEN(.worker_max = FAAS_OFF);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = tells_runs, .user = &runs));
    for (int i = 0; i < 3; i++)
        jobs[i] = SUBMIT(fn, "x", KEY("k"));
    ck_assert_ok(faas_invocation_cancel(w.rt, jobs[1]));
    ck_assert_status(waited(jobs[1]), FAAS_ECANCELLED);
    release(jobs[1]); // nothing is left of it
    run_for(0);
    ck_assert_ok(waited(jobs[0]));
    ck_assert_ok(waited(jobs[2]));
    ck_assert_uint_eq(runs, 1);
    release(jobs[0]);
    release(jobs[2]);
    CLOSE();
}
END_TEST

START_TEST(when_the_one_that_was_to_run_is_given_up_the_next_one_runs)
{
    unsigned runs = 0;
    faas_invocation jobs[4];
    faas_fn fn;

    OPEN(.worker_max = FAAS_OFF);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = tells_runs, .user = &runs));
    jobs[0] = SUBMIT(fn, "a", KEY("k"), .delay_ns = 5 * SEC, .ended = notes_end);
    jobs[1] = SUBMIT(fn, "b", KEY("k"), .limit_ns = 2 * SEC, .ended = notes_end);
    jobs[2] = SUBMIT(fn, "c", KEY("k"), .limit_ns = 1 * SEC, .ended = notes_end);
    jobs[3] = SUBMIT(fn, "d", KEY("k"), .ended = notes_end);
    run_for(SEC); // it waits no longer than it may
    ck_assert_notes("[EventAgeExceeded FAAS_EEXPIRED 0]");
    ck_assert_status(waited(jobs[2]), FAAS_EEXPIRED);
    ck_assert_ok(faas_invocation_cancel(w.rt, jobs[0]));
    ck_assert_notes("[Cancelled FAAS_ECANCELLED 0]");
    run_for(0);
    ck_assert_notes("b [Success FAAS_OK 0][Success FAAS_OK 1]");
    ck_assert_str_eq(answer_of(jobs[3]), "run 1");
    for (int i = 0; i < 4; i++)
        release(jobs[i]);
    CLOSE();
}
END_TEST

START_TEST(one_that_took_the_place_of_another_is_not_kept_beyond_its_age)
{
    faas_invocation first, next, younger;
    unsigned runs = 0;
    faas_fn fn;

    OPEN(.worker_max = FAAS_OFF);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = tells_runs, .user = &runs,
                                   .concurrency = FAAS_OFF,
                                   .async = FAAS_ASYNC(.age_ns = 2 * SEC)));
    first = SUBMIT(fn, "a", KEY("k"));
    next = SUBMIT(fn, "b", KEY("k"));
    run_for(SEC);
    younger = submit(fn, "c");
    ck_assert_ok(faas_invocation_cancel(w.rt, first)); // the next one comes behind it
    run_for(SEC);
    ck_assert_status(waited(next), FAAS_EEXPIRED);
    ck_assert_status(waited(younger), FAAS_EPENDING);
    release(first);
    release(next);
    release(younger);
    CLOSE();
}
END_TEST

START_TEST(nobody_waits_for_one_that_is_past_its_deadline)
{
    faas_invocation one, two;
    unsigned runs = 0;
    faas_fn fn;

    OPEN(.worker_max = FAAS_OFF);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = tells_runs, .user = &runs));
    one = SUBMIT(fn, "a", KEY("k"), .delay_ns = 3 * SEC, .limit_ns = 4 * SEC);
    two = SUBMIT(fn, "b", KEY("k"));
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = FAAS_OFF)));
    run_for(4 * SEC);
    ck_assert_status(waited(one), FAAS_EEXPIRED);
    ck_assert_status(waited(two), FAAS_EPENDING);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = 1)));
    run_for(0);
    ck_assert_notes("b ");
    ck_assert_ok(waited(two));
    release(one);
    release(two);
    CLOSE();
}
END_TEST

START_TEST(those_that_wait_are_dropped_with_their_function_and_at_the_close)
{
    unsigned runs = 0;
    faas_fn fn;

    OPEN(.worker_max = FAAS_OFF);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = tells_runs, .user = &runs));
    for (int i = 0; i < 3; i++)
        release(SUBMIT(fn, "x", KEY("k"), .ended = notes_end));
    ck_assert_ok(faas_function_unregister(w.rt, fn));
    ck_assert_notes("[Dropped FAAS_ENOENT 0][Dropped FAAS_ENOENT 0]"
                    "[Dropped FAAS_ENOENT 0]");
    fn = function_of(FAAS_FUNCTION(.name = "g", .handler = tells_runs, .user = &runs));
    for (int i = 0; i < 2; i++)
        release(SUBMIT(fn, "x", KEY("k"), .ended = notes_end));
    CLOSE();
    ck_assert_notes("[Dropped FAAS_ECLOSED 0][Dropped FAAS_ECLOSED 0]");
    ck_assert_uint_eq(runs, 0);
}
END_TEST

START_TEST(one_that_finds_its_queue_full_runs_here_unless_another_one_does)
{
    unsigned runs = 0;
    faas_fn fn;

    OPEN(.worker_max = FAAS_OFF);
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = tells_runs, .user = &runs,
                      .async = FAAS_ASYNC(.queue_slots = 1,
                                          .on_queue_full = FAAS_QUEUE_RUN_HERE,
                                          .idempotency_ns = FAAS_FOREVER)));
    release(SUBMIT(fn, "a", KEY("k")));
    ck_assert_status(
        faas_invoke_async(w.rt, fn, faas_str("b"), FAAS_SUBMIT(KEY("k")), NULL),
        FAAS_EBUSY);
    ck_assert_ok(faas_invoke_async(w.rt, fn, faas_str("c"), FAAS_SUBMIT(KEY("l")), NULL));
    ck_assert_notes("c ");
    ck_assert_ok(faas_invoke_async(w.rt, fn, faas_str("d"), FAAS_SUBMIT(KEY("l")), NULL));
    ck_assert_notes("");
    run_for(0);
    ck_assert_notes("a ");
    ck_assert_uint_eq(async_stats().succeeded, 3);
    ck_assert_uint_eq(async_stats().shared, 1);
    CLOSE();
}
END_TEST

START_TEST(without_memory_those_with_a_key_are_refused_or_end_and_nothing_is_lost)
{
    bool all = false;

    for (unsigned fail_at = 1; !all; fail_at++) {
        unsigned runs = 0, accepted = 0;
        faas_fn fn;

        OPEN(.worker_max = FAAS_OFF);
        fn = function_of(FAAS_FUNCTION(.name = "f", .handler = tells_runs, .user = &runs,
                                       .async = FAAS_ASYNC(.retries = FAAS_OFF,
                                                           .idempotency_ns = SEC)));
        w.faulty.fail_at = atomic_load(&w.faulty.calls) + fail_at;
        for (int i = 0; i < 4; i++) {
            accepted += faas_invoke_async(w.rt, fn, faas_str("x"), FAAS_SUBMIT(KEY("k")),
                                          NULL) == FAAS_OK;
            if (i == 2)
                run_for(0);
        }
        all = atomic_load(&w.faulty.failures) == 0;
        w.faulty.fail_at = 0;
        run_for(0);
        ck_assert_uint_eq(async_stats().queued, 0);
        ck_assert_uint_eq(accepted, async_stats().succeeded + async_stats().exhausted);
        notes.size = 0;
        CLOSE();
    }
}
END_TEST

SUITE_MAIN("async_once", identical_invocations_under_way_run_once_and_get_the_same_result,
           another_key_another_function_or_no_key_runs_by_itself,
           a_key_function_tells_which_are_identical_also_of_published_events,
           in_the_window_a_kept_result_answers_without_a_run,
           a_function_that_is_replaced_forgets_the_results_of_the_old_one,
           kept_results_have_a_budget_of_bytes,
           a_failure_is_shared_after_the_last_attempt_and_not_kept,
           cancelling_one_that_waits_leaves_the_others,
           when_the_one_that_was_to_run_is_given_up_the_next_one_runs,
           one_that_took_the_place_of_another_is_not_kept_beyond_its_age,
           nobody_waits_for_one_that_is_past_its_deadline,
           those_that_wait_are_dropped_with_their_function_and_at_the_close,
           one_that_finds_its_queue_full_runs_here_unless_another_one_does,
           without_memory_those_with_a_key_are_refused_or_end_and_nothing_is_lost)
