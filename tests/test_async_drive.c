/* SPDX-License-Identifier: MIT */
/* test_async_drive.c - who runs asynchronous invocations: workers, waiters, the host; what
 * may be called from inside; closing. */
#define _GNU_SOURCE // pthread_tryjoin_np()
#include "async_support.h"

#include <poll.h>

/* ---- workers ---- */

START_TEST(functions_that_block_get_threads_apart)
{
    struct latch latch;
    faas_invocation waits_for, computes;
    faas_fn blocks, quick;

    OPEN(.worker_max = 1);
    latch_init(&latch);
    blocks = function_of(FAAS_FUNCTION(.name = "blocks", .handler = holds, .user = &latch,
                                       .async = FAAS_ASYNC(.blocking = 1)));
    quick = function_of(FAAS_FUNCTION(.name = "quick", .handler = answers));
    waits_for = submit(blocks, "");
    latch_await(&latch, 1);
    computes = submit(quick, "");
    while (waited(computes) == FAAS_EPENDING) // it is not we who run it
        (void)sched_yield();
    ck_assert_ok(waited(computes));
    ck_assert_uint_eq(async_stats().workers, 2);
    latch_release(&latch, 1);
    ck_assert_ok(faas_invocation_wait(w.rt, waits_for, FAAS_FOREVER, NULL));
    release(waits_for);
    release(computes);
    CLOSE();
}
END_TEST

START_TEST(workers_come_while_all_are_busy_up_to_the_most)
{
    struct latch latch;
    faas_fn fn;

    OPEN(.worker_max = 3);
    latch_init(&latch);
    ck_assert_uint_eq(async_stats().workers, 0);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = holds, .user = &latch));
    for (int i = 0; i < 5; i++)
        release(submit(fn, ""));
    latch_await(&latch, 3);
    ck_assert_uint_eq(async_stats().workers, 3);
    ck_assert_uint_eq(async_stats().running, 3);
    ck_assert_uint_eq(async_stats().queued, 2);
    latch_release(&latch, 5);
    latch_await(&latch, 2);
    while (async_stats().succeeded != 5)
        (void)sched_yield();
    ck_assert_uint_eq(async_stats().workers, 3);
    ck_assert_uint_eq(atomic_load(&latch.running_max), 3);
    CLOSE();
    OPEN(.worker_min = 2, .worker_max = 4);
    ck_assert_uint_eq(async_stats().workers, 2);
    CLOSE();
}
END_TEST

START_TEST(a_handler_that_runs_for_long_is_counted_as_stuck)
{
    struct latch latch;
    faas_invocation job;
    faas_fn fn;

    OPEN(.worker_max = 1, .stuck_ns = 5 * SEC);
    latch_init(&latch);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = holds, .user = &latch,
                                   .timeout_ns = FAAS_FOREVER));
    job = submit(fn, "");
    latch_await(&latch, 1);
    pass_ns(5 * SEC);
    ck_assert_uint_eq(async_stats().stuck, 0);
    pass_ns(1);
    ck_assert_uint_eq(async_stats().stuck, 1);
    latch_release(&latch, 1);
    ck_assert_ok(faas_invocation_wait(w.rt, job, FAAS_FOREVER, NULL));
    release(job);
    CLOSE();
}
END_TEST

struct submitting {
    pthread_t thread;
    faas_fn fn;
    faas_status status;
};

static void *submits(void *user)
{
    struct submitting *s = user;

    s->status = faas_invoke_async(w.rt, s->fn, faas_str(""), NULL, NULL);
    return NULL;
}

START_TEST(a_submitter_waits_for_room_and_not_for_longer_than_it_may)
{
    for (int room = 0; room < 2; room++) {
        struct submitting s;
        struct latch latch;

        OPEN(.worker_max = 1);
        latch_init(&latch);
        s.fn = function_of(FAAS_FUNCTION(
                .name = "f", .handler = holds, .user = &latch, .timeout_ns = FAAS_FOREVER,
                .async = FAAS_ASYNC(.queue_slots = 1, .on_queue_full = FAAS_QUEUE_WAIT,
                                    .queue_wait_ns = 7 * SEC, .age_ns = FAAS_FOREVER)));
        release(submit(s.fn, ""));
        latch_await(&latch, 1); // so that the next one fills the queue
        release(submit(s.fn, ""));
        ck_assert_int_eq(pthread_create(&s.thread, NULL, submits, &s), 0);
        while (atomic_load(&w.rt->async.want_room) == 0)
            (void)sched_yield();
        if (room)
            latch_release(&latch, 3);
        while (pthread_tryjoin_np(s.thread, NULL) != 0)
            pass_ns(room ? 0 : SEC);
        ck_assert_status(s.status, room ? FAAS_OK : FAAS_EBUSY);
        if (!room)
            latch_release(&latch, 2);
        while (async_stats().succeeded != (room ? 3 : 2))
            (void)sched_yield();
        CLOSE();
    }
}
END_TEST

static int comes_in_order(faas_context *ctx, faas_bytes input)
{
    uint32_t *next = faas_user(ctx), number;

    memcpy(&number, input.data, sizeof number);
    return number == (*next)++ ? 0 : faas_fail(ctx, 1, "%u", number);
}

START_TEST(more_than_come_in_at_once_run_in_their_order)
{
    enum { COUNT = 20000 };
    static uint32_t numbers[COUNT];
    static faas_bytes inputs[COUNT];
    uint32_t next = 0;
    faas_fn fn;

    OPEN_DEFAULT();
    fn =
        function_of(FAAS_FUNCTION(.name = "f", .handler = comes_in_order, .user = &next));
    for (uint32_t i = 0; i < COUNT; i++) {
        numbers[i] = i;
        inputs[i] = faas_bytes_of(&numbers[i], sizeof numbers[i]);
    }
    for (uint32_t i = 0; i < COUNT / 2; i++)
        ck_assert_ok(faas_invoke_async(w.rt, fn, inputs[i], NULL, NULL));
    ck_assert_ok(faas_invoke_async_many(w.rt, fn, inputs + COUNT / 2, COUNT / 2, NULL,
                                        NULL, NULL));
    ck_assert_uint_eq(run_for(0), COUNT);
    ck_assert_uint_eq(async_stats().succeeded, COUNT);
    CLOSE();
}
END_TEST

/* ---- from inside ---- */

struct inner {
    faas_fn fn;
    faas_invocation self;
    faas_status waited, ran, once;
};

static int waits_for_itself(faas_context *ctx, faas_bytes input)
{
    struct inner *inner = faas_user(ctx);
    faas_invocation other;
    faas_runtime *rt = faas_context_runtime(ctx);

    if (input.size != 0)
        return 0;
    inner->waited = faas_invocation_wait(rt, inner->self, FAAS_FOREVER, NULL);
    if (faas_invoke_async(rt, inner->fn, faas_str("x"),
                          FAAS_SUBMIT(.group = faas_str("g")), &other) != FAAS_OK)
        abort();
    inner->ran = faas_invocation_wait(rt, other, FAAS_FOREVER, NULL);
    faas_invocation_release(rt, other);
    inner->once = faas_run_until(rt, UINT64_MAX, NULL);
    return (int)faas_run_once(rt, SEC, NULL);
}

START_TEST(a_handler_cannot_wait_for_itself_or_its_group)
{
    struct inner inner;

    OPEN_DEFAULT();
    inner.fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = waits_for_itself, .user = &inner));
    inner.self = SUBMIT(inner.fn, "", .group = faas_str("g"));
    ck_assert_uint_eq(run_for(0), 2);
    ck_assert_status(inner.waited, FAAS_EPERM);
    ck_assert_status(inner.ran, FAAS_EPERM);
    ck_assert_status(inner.once, FAAS_EPERM);
    ck_assert_ok(waited(inner.self));
    release(inner.self);
    CLOSE();
}
END_TEST

static int waits_for_another(faas_context *ctx, faas_bytes input)
{
    faas_runtime *rt = faas_context_runtime(ctx);
    faas_invocation other;
    faas_status status;

    (void)input;
    if (faas_invoke_async(rt, *(faas_fn *)faas_user(ctx), faas_str(""), NULL, &other) !=
        FAAS_OK)
        abort();
    status = faas_invocation_wait(rt, other, FAAS_FOREVER, NULL);
    faas_invocation_release(rt, other);
    return status;
}

START_TEST(one_worker_whose_handlers_wait_for_others_makes_progress)
{
    faas_invocation jobs[64];
    faas_fn inner, outer;

    OPEN(.worker_max = 1);
    inner = function_of(FAAS_FUNCTION(.name = "inner", .handler = answers));
    outer = function_of(
        FAAS_FUNCTION(.name = "outer", .handler = waits_for_another, .user = &inner));
    for (int i = 0; i < 64; i++)
        jobs[i] = submit(outer, "");
    for (int i = 0; i < 64; i++) {
        ck_assert_ok(faas_invocation_wait(w.rt, jobs[i], FAAS_FOREVER, NULL));
        release(jobs[i]);
    }
    CLOSE();
}
END_TEST

static faas_invocation self;

static void calls_back(const faas_record *record, void *user)
{
    faas_fn fn = *(faas_fn *)user;
    faas_invocation_info info = {.size = sizeof info};
    uint64_t count;

    if (faas_invocation_wait(w.rt, self, FAAS_FOREVER, NULL) != record->status ||
        faas_invocation_cancel(w.rt, self) != FAAS_EINUSE ||
        faas_invocation_describe(w.rt, self, &info) != FAAS_OK ||
        faas_letters_list(w.rt, NULL, NULL, NULL, &count) != FAAS_OK ||
        faas_invoke_async(w.rt, fn, faas_str("again"), NULL, NULL) != FAAS_OK)
        abort();
    (void)async_stats();
    faas_invocation_release(w.rt, self);
    note("called ");
}

static faas_invocation together[3];

/* Waits for all that end with it, and notes how they did. */
static void waits_for_all(const faas_record *record, void *user)
{
    (void)record;
    (void)user;
    for (int i = 0; i < 3; i++)
        note("%s ", faas_status_name(
                        faas_invocation_wait(w.rt, together[i], FAAS_FOREVER, NULL)));
}

START_TEST(who_is_told_of_an_end_may_wait_for_those_that_end_at_the_same_moment)
{
    faas_fn fn;

    OPEN_DEFAULT();
    for (int same = 0; same < 2; same++) {
        fn = function_of(
            FAAS_FUNCTION(.name = same ? "same" : "each", .handler = answers));
        for (int i = 0; i < 3; i++)
            together[i] = SUBMIT(fn, "x", .ended = i == 1 ? waits_for_all : NULL,
                                 .key = same ? faas_str("k") : faas_bytes_of(NULL, 0));
        if (same)
            run_for(0);
        ck_assert_ok(faas_function_unregister(w.rt, fn));
        ck_assert_notes(same ? "FAAS_OK FAAS_OK FAAS_OK "
                             : "FAAS_ENOENT FAAS_ENOENT FAAS_ENOENT ");
        for (int i = 0; i < 3; i++)
            release(together[i]);
    }
    CLOSE();
}
END_TEST

START_TEST(who_is_told_of_an_end_may_call_everything)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = notes_input));
    self = SUBMIT(fn, "x", .ended = calls_back, .ended_user = &fn);
    ck_assert_uint_eq(run_for(0), 2);
    ck_assert_notes("x called again ");
    CLOSE();
}
END_TEST

/* ---- closing ---- */

START_TEST(closing_hands_over_what_has_not_run)
{
    faas_invocation job;
    faas_fn fn;

    OPEN(.dead_letter = shows_letter);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = notes_input));
    job = submit(fn, "a"); // never released
    release(SUBMIT(fn, "b", .delay_ns = SEC));
    (void)job;
    CLOSE();
    ck_assert_notes("(f Dropped a) (f Dropped b) ");
}
END_TEST

START_TEST(closing_may_let_what_is_queued_run_first)
{
    faas_fn fn;

    OPEN(.dead_letter = shows_letter);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = notes_input));
    release(submit(fn, "a"));
    release(SUBMIT(fn, "b", .delay_ns = SEC));
    ck_assert_status(
        faas_runtime_close_with(w.rt, &(faas_close_options){.size = 3, .drain_ns = SEC}),
        FAAS_EINVAL);
    ck_assert_ok(faas_runtime_close_with(w.rt, FAAS_CLOSE(.drain_ns = SEC)));
    faas_clock_close(w.clock);
    ck_assert_uint_eq(atomic_load(&w.faulty.live_blocks), 0);
    ck_assert_notes("a (f Dropped b) ");
}
END_TEST

START_TEST(workers_drain_what_is_queued_before_a_close)
{
    atomic_uint count = 0;
    faas_runtime *rt;
    faas_fn fn;

    ck_assert_ok(faas_runtime_open(
        &rt, &(faas_runtime_options){.size = sizeof(faas_runtime_options),
                                     .worker_min = 1,
                                     .worker_max = 2}));
    ck_assert_ok(faas_function_register(
        rt, FAAS_FUNCTION(.name = "f", .handler = counts, .user = &count), &fn));
    for (int i = 0; i < 1000; i++)
        ck_assert_ok(faas_invoke_async(rt, fn, faas_str("x"), NULL, NULL));
    ck_assert_ok(faas_runtime_close_with(rt, FAAS_CLOSE(.drain_ns = FAAS_FOREVER)));
    ck_assert_uint_eq(atomic_load(&count), 1000);
}
END_TEST

/* ---- the host's loop ---- */

static bool readable(int fd)
{
    struct pollfd at = {.fd = fd, .events = POLLIN};

    return poll(&at, 1, 0) == 1;
}

START_TEST(the_descriptor_is_readable_while_there_is_something_to_do)
{
    uint64_t next;
    faas_fn fn;
    int fd, again;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers));
    release(submit(fn, "")); // before there is a descriptor
    ck_assert_ok(faas_poll_fd(w.rt, &fd));
    ck_assert(readable(fd));
    ck_assert_uint_eq(faas_run_once(w.rt, SEC, &next), 1);
    ck_assert(!readable(fd));
    release(submit(fn, ""));
    release(submit(fn, ""));
    ck_assert(readable(fd));
    ck_assert_uint_eq(faas_run_once(w.rt, 0, &next), 1); // one at most
    ck_assert_uint_le(next, now_ns());
    ck_assert(readable(fd));
    ck_assert_uint_eq(faas_run_once(w.rt, SEC, &next), 1);
    ck_assert(!readable(fd));
    release(SUBMIT(fn, "", .delay_ns = SEC));
    ck_assert_uint_eq(faas_run_once(w.rt, SEC, &next), 0);
    ck_assert_uint_gt(next, START_NS); // it may ask to be looked at sooner
    ck_assert_uint_le(next, START_NS + SEC);
    ck_assert_ok(faas_poll_fd(w.rt, &again));
    ck_assert_int_eq(fd, again);
    CLOSE();
}
END_TEST

START_TEST(driving_a_clock_that_is_not_virtual_is_refused)
{
    faas_runtime *rt;

    ck_assert_ok(faas_runtime_open(&rt, NULL));
    ck_assert_status(faas_run_until(rt, FAAS_FOREVER, NULL), FAAS_EPERM);
    ck_assert_ok(faas_runtime_close(rt));
    OPEN_DEFAULT();
    ck_assert_status(faas_run_until(w.rt, START_NS - 1, NULL), FAAS_EINVAL);
    CLOSE();
}
END_TEST

/* ---- waiting ---- */

static void *waits_long(void *user)
{
    faas_invocation job = *(faas_invocation *)user;

    return faas_invocation_wait(w.rt, job, 1000 * SEC, NULL) == FAAS_EPENDING ? user
                                                                              : NULL;
}

START_TEST(a_waiter_gives_up_when_its_time_has_come_on_the_runtimes_clock)
{
    struct latch latch;
    faas_invocation job;
    pthread_t thread;
    void *gave_up;
    faas_fn fn;

    OPEN(.worker_max = 1);
    latch_init(&latch);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = holds, .user = &latch,
                                   .timeout_ns = FAAS_FOREVER));
    job = submit(fn, "");
    latch_await(&latch, 1);
    ck_assert_int_eq(pthread_create(&thread, NULL, waits_long, &job), 0);
    while (pthread_tryjoin_np(thread, &gave_up) != 0)
        pass_ns(1000 * SEC);
    ck_assert_ptr_eq(gave_up, &job);
    latch_release(&latch, 1);
    ck_assert_ok(faas_invocation_wait(w.rt, job, FAAS_FOREVER, NULL));
    release(job);
    CLOSE();
}
END_TEST

START_TEST(where_the_host_runs_everything_a_waiter_does_what_comes_due)
{
    for (int i = 0; i < 2; i++) {
        faas_invocation job;
        faas_runtime *rt;
        faas_fn fn;

        ck_assert_ok(faas_runtime_open(
            &rt,
            &(faas_runtime_options){.size = sizeof(faas_runtime_options),
                                    .worker_max = FAAS_OFF,
                                    .housekeeping = i == 0 ? FAAS_HOUSEKEEPING_THREAD
                                                           : FAAS_HOUSEKEEPING_HOST}));
        ck_assert_ok(faas_function_register(
            rt, FAAS_FUNCTION(.name = "f", .handler = answers), &fn));
        ck_assert_ok(faas_invoke_async(rt, fn, faas_str(""),
                                       FAAS_SUBMIT(.delay_ns = 2 * MS), &job));
        ck_assert_ok(faas_invocation_wait(rt, job, FAAS_FOREVER, NULL));
        faas_invocation_release(rt, job);
        ck_assert_ok(faas_runtime_close(rt));
    }
}
END_TEST

struct waiting {
    pthread_t thread;
    faas_invocation job;
    faas_status status;
};

static void *waits(void *user)
{
    struct waiting *waiting = user;

    waiting->status = faas_invocation_wait(w.rt, waiting->job, FAAS_FOREVER, NULL);
    return NULL;
}

START_TEST(where_the_host_runs_everything_a_waiter_hears_of_the_seat_it_needs)
{
    struct caller caller = {.limit_ns = FAAS_FOREVER};
    struct waiting waiting;
    struct latch latch;
    faas_fn fn;

    ck_assert_ok(faas_runtime_open(
        &w.rt, &(faas_runtime_options){.size = sizeof(faas_runtime_options),
                                       .worker_max = FAAS_OFF}));
    latch_init(&latch);
    fn = function_of(FAAS_FUNCTION(.name = "one", .handler = holds, .user = &latch,
                                   .concurrency = 1, .timeout_ns = FAAS_FOREVER));
    caller_start(&caller, fn);
    latch_await(&latch, 1);
    waiting.job = submit(fn, "");
    ck_assert_int_eq(pthread_create(&waiting.thread, NULL, waits, &waiting), 0);
    /* Until it sleeps; it has met the seat taken by then. */
    while (atomic_load(&w.rt->async.want_room) == 0)
        (void)sched_yield();
    latch_release(&latch, 2);
    ck_assert_ok(caller_join(&caller));
    ck_assert_int_eq(pthread_join(waiting.thread, NULL), 0);
    ck_assert_ok(waiting.status);
    release(waiting.job);
    ck_assert_ok(faas_runtime_close(w.rt));
}
END_TEST

SUITE_MAIN("async_drive", a_handler_cannot_wait_for_itself_or_its_group,
           one_worker_whose_handlers_wait_for_others_makes_progress,
           who_is_told_of_an_end_may_wait_for_those_that_end_at_the_same_moment,
           who_is_told_of_an_end_may_call_everything, closing_hands_over_what_has_not_run,
           closing_may_let_what_is_queued_run_first,
           workers_drain_what_is_queued_before_a_close,
           the_descriptor_is_readable_while_there_is_something_to_do,
           driving_a_clock_that_is_not_virtual_is_refused,
           functions_that_block_get_threads_apart,
           workers_come_while_all_are_busy_up_to_the_most,
           a_handler_that_runs_for_long_is_counted_as_stuck,
           a_submitter_waits_for_room_and_not_for_longer_than_it_may,
           more_than_come_in_at_once_run_in_their_order,
           a_waiter_gives_up_when_its_time_has_come_on_the_runtimes_clock,
           where_the_host_runs_everything_a_waiter_does_what_comes_due,
           where_the_host_runs_everything_a_waiter_hears_of_the_seat_it_needs)
