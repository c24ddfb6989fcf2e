/* SPDX-License-Identifier: MIT */
/* test_recall.c - answers that are remembered, for how long and by whom, and calls that
 * share one run. */
#include "runtime_support.h"

#include "core/desk.h"

/* Answers with its input and how many ran so far; fails where the input begins with '!'.
 * `user` counts. */
static int numbers(faas_context *ctx, faas_bytes input)
{
    unsigned number = atomic_fetch_add((atomic_uint *)faas_user(ctx), 1);
    const char *text = input.size == 0 ? "" : input.data;

    if (text[0] == '!')
        return faas_fail(ctx, 404, "no %.*s, %u", (int)input.size, text, number);
    return faas_reply_printf(ctx, "%.*s %u", (int)input.size, text, number);
}

static void must_answer(faas_fn fn, const char *input, const char *output)
{
    faas_result *result = result_of(fn, input);

    ck_assert_bytes(faas_result_bytes(result), output);
    faas_result_release(result);
}

/* An input of `size` bytes, all `byte` but the last, which is `last`. */
static faas_bytes filled(unsigned char *bytes, size_t size, int byte, int last)
{
    memset(bytes, byte, size);
    bytes[size - 1] = (unsigned char)last;
    return faas_bytes_of(bytes, size);
}

static faas_fn cached_fn(atomic_uint *count, uint64_t bytes, uint32_t mode)
{
    return function_of(FAAS_FUNCTION(.name = "f", .handler = numbers, .user = count,
                                     .cache_bytes = bytes, .cache_mode = mode));
}

/* ---- remembering ---- */

START_TEST(nothing_is_remembered_unless_asked_for)
{
    atomic_uint count = 0;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = cached_fn(&count, 0, 0);
    must_answer(fn, "a", "a 0");
    must_answer(fn, "a", "a 1");
    ck_assert_uint_eq(stats_of(fn).cache_hits + stats_of(fn).cache_misses, 0);
    CLOSE();
}
END_TEST

START_TEST(the_same_input_has_the_same_answer_without_a_run)
{
    atomic_uint count = 0;
    faas_function_stats s;
    faas_result *first, *second;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = cached_fn(&count, 100000, 0);
    for (int i = 0; i < 3; i++) {
        must_answer(fn, "a", "a 0");
        must_answer(fn, "b", "b 1");
        must_answer(fn, "", " 2");
    }
    ck_assert_ok(faas_invoke(w.rt, fn, faas_str("a"), 0, NULL));
    s = stats_of(fn);
    ck_assert_uint_eq(s.invocations, 3);
    ck_assert_uint_eq(s.cache_hits, 7);
    ck_assert_uint_eq(s.cache_misses, 3);
    ck_assert_uint_eq(s.cache_count, 3);
    ck_assert_uint_gt(s.cache_bytes, 3 * sizeof(struct faasi_response));
    /* Each call has its own result, for as long as it likes, with an id of its own. */
    first = result_of(fn, "a");
    second = result_of(fn, "a");
    ck_assert_ptr_ne(faas_result_bytes(first).data, faas_result_bytes(second).data);
    ck_assert(faas_result_meter(first)->request_id.low !=
              faas_result_meter(second)->request_id.low);
    ck_assert_uint_eq(faas_result_meter(first)->run_ns, 0);
    ck_assert_ok(faas_function_unregister(w.rt, fn));
    ck_assert_bytes(faas_result_bytes(first), "a 0");
    ck_assert_bytes(faas_result_bytes(second), "a 0");
    faas_result_release(first);
    faas_result_release(second);
    CLOSE();
}
END_TEST

START_TEST(inputs_are_told_apart_by_every_byte_and_by_their_size)
{
    atomic_uint count = 0;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = cached_fn(&count, 1000000, 0);
    for (int round = 0; round < 2; round++) {
        must_answer(fn, "x", "x 0");
        must_answer(fn, "xx", "xx 1");
        must_answer(fn, "xy", "xy 2");
        must_answer(fn, "yx", "yx 3");
    }
    ck_assert_uint_eq(atomic_load(&count), 4);
    CLOSE();
}
END_TEST

START_TEST(an_answer_is_good_for_cache_ns)
{
    atomic_uint count = 0;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = numbers, .user = &count,
                                   .cache_bytes = 10000, .cache_ns = 5 * MS));
    must_answer(fn, "a", "a 0");
    pass_ns(5 * MS - 1);
    must_answer(fn, "a", "a 0");
    pass_ns(1);
    must_answer(fn, "a", "a 1");
    pass_ns(4 * MS); // from when it ran, not from its last use
    must_answer(fn, "a", "a 1");
    pass_ns(MS);
    must_answer(fn, "a", "a 2");
    ck_assert_uint_eq(stats_of(fn).cache_count, 1);
    CLOSE();
}
END_TEST

START_TEST(what_was_unused_for_longest_goes_when_bytes_are_short)
{
    enum { SIZE = 1000 };
    unsigned char bytes[SIZE];
    atomic_uint count = 0;
    uint64_t each;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = counts, .user = &count,
                                   .cache_bytes = 1000000));
    ck_assert_ok(faas_invoke(w.rt, fn, filled(bytes, SIZE, 'a', 'a'), 0, NULL));
    each = stats_of(fn).cache_bytes;
    ck_assert_uint_ge(each, SIZE);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.cache_bytes = 3 * each)));
    atomic_store(&count, 0);
    for (int c = 'a'; c <= 'c'; c++)
        ck_assert_ok(faas_invoke(w.rt, fn, filled(bytes, SIZE, 'a', c), 0, NULL));
    ck_assert_ok(faas_invoke(w.rt, fn, filled(bytes, SIZE, 'a', 'a'), 0, NULL));
    ck_assert_uint_eq(atomic_load(&count), 3);
    ck_assert_ok(faas_invoke(w.rt, fn, filled(bytes, SIZE, 'a', 'd'), 0, NULL)); // not b
    ck_assert_uint_eq(stats_of(fn).cache_count, 3);
    ck_assert_uint_eq(stats_of(fn).cache_bytes, 3 * each);
    ck_assert_ok(faas_invoke(w.rt, fn, filled(bytes, SIZE, 'a', 'a'), 0, NULL));
    ck_assert_ok(faas_invoke(w.rt, fn, filled(bytes, SIZE, 'a', 'c'), 0, NULL));
    ck_assert_uint_eq(atomic_load(&count), 4);
    ck_assert_ok(faas_invoke(w.rt, fn, filled(bytes, SIZE, 'a', 'b'), 0, NULL));
    ck_assert_uint_eq(atomic_load(&count), 5);
    CLOSE();
}
END_TEST

START_TEST(an_answer_that_is_too_large_is_not_remembered)
{
    unsigned char bytes[2000];
    atomic_uint count = 0;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = counts, .user = &count,
                                   .cache_bytes = 1000));
    for (int i = 0; i < 2; i++) {
        ck_assert_ok(faas_invoke(w.rt, fn, filled(bytes, 2000, 'a', 'a'), 0, NULL));
        ck_assert_ok(faas_invoke(w.rt, fn, faas_str("a"), 0, NULL));
    }
    ck_assert_uint_eq(atomic_load(&count), 3);
    ck_assert_uint_eq(stats_of(fn).cache_count, 1);
    CLOSE();
}
END_TEST

START_TEST(a_failure_is_remembered_only_if_told)
{
    for (int told = 0; told < 2; told++) {
        atomic_uint count = 0;
        faas_result *result;
        faas_fn fn;

        OPEN_DEFAULT();
        fn = cached_fn(&count, 10000, told ? FAAS_CACHE_FAILURES : 0);
        for (int i = 0; i < 2; i++) {
            ck_assert_status(faas_invoke(w.rt, fn, faas_str("!x"), 0, &result),
                             FAAS_EHANDLER);
            ck_assert_int_eq(faas_result_code(result), 404);
            ck_assert_str_eq(faas_result_message(result),
                             i == 0 || told ? "no !x, 0" : "no !x, 1");
            faas_result_release(result);
        }
        ck_assert_uint_eq(atomic_load(&count), told ? 1 : 2);
        CLOSE();
    }
}
END_TEST

static int is_late(faas_context *ctx, faas_bytes input)
{
    atomic_fetch_add((atomic_uint *)faas_user(ctx), 1);
    pass_ns(20 * MS);
    return faas_reply(ctx, input);
}

START_TEST(a_late_answer_is_not_remembered)
{
    atomic_uint count = 0;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = is_late, .user = &count,
                                   .cache_bytes = 10000,
                                   .cache_mode = FAAS_CACHE_FAILURES));
    ck_assert_status(faas_invoke(w.rt, fn, faas_str("a"), 10 * MS, NULL), FAAS_ETIMEDOUT);
    must_answer(fn, "a", "a");
    ck_assert_uint_eq(atomic_load(&count), 2);
    must_answer(fn, "a", "a");
    ck_assert_uint_eq(atomic_load(&count), 2);
    CLOSE();
}
END_TEST

START_TEST(a_fresh_call_runs_and_its_answer_is_remembered)
{
    atomic_uint count = 0;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = cached_fn(&count, 10000, FAAS_CACHE_SINGLE_FLIGHT);
    must_answer(fn, "a", "a 0");
    ck_assert_ok(faas_invoke_with(w.rt, fn, faas_str("a"), FAAS_CALL(.fresh = 1), NULL));
    must_answer(fn, "a", "a 1");
    ck_assert_uint_eq(stats_of(fn).cache_count, 1);
    CLOSE();
}
END_TEST

START_TEST(update_and_replace_forget_and_versions_remember_for_themselves)
{
    atomic_uint count = 0, other = 100;
    faas_fn fn, version;

    OPEN_DEFAULT();
    fn = cached_fn(&count, 10000, 0);
    must_answer(fn, "a", "a 0");
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.name = NULL)));
    must_answer(fn, "a", "a 1");
    ck_assert_ok(faas_function_publish(w.rt, fn, NULL, &version));
    must_answer(version, "a", "a 2");
    must_answer(version, "a", "a 2");
    must_answer(fn, "a", "a 1");
    ck_assert_ok(faas_function_replace(
        w.rt, fn,
        FAAS_FUNCTION(.handler = numbers, .user = &other, .cache_bytes = 10000)));
    must_answer(fn, "a", "a 100");
    must_answer(fn, "a", "a 100");
    must_answer(version, "a", "a 2");
    ck_assert_uint_eq(stats_of(fn).cache_hits, 2); // of both
    ck_assert_ok(faas_function_replace(
        w.rt, fn, FAAS_FUNCTION(.handler = numbers, .user = &other)));
    must_answer(fn, "a", "a 101");
    must_answer(fn, "a", "a 102");
    CLOSE();
}
END_TEST

START_TEST(a_thread_with_a_hint_still_looks_into_the_cache)
{
    atomic_uint count = 0;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = cached_fn(&count, 10000, 0);
    must_answer(fn, "a", "a 0");
    must_answer(fn, "b", "b 1");
    must_answer(fn, "a", "a 0");
    must_answer(fn, "b", "b 1");
    CLOSE();
}
END_TEST

/* Every allocation fails in turn: what cannot be remembered or handed over is a miss. */
START_TEST(without_memory_there_are_misses_and_no_errors)
{
    bool failed = true;

    for (unsigned fail_at = 1; failed; fail_at++) {
        atomic_uint count = 0;
        faas_result *held, *result;
        faas_fn fn;

        OPEN_DEFAULT();
        fn = cached_fn(&count, 100000, FAAS_CACHE_SINGLE_FLIGHT);
        ck_assert_ok(faas_invoke(w.rt, fn, faas_str("warm"), 0, &held));
        w.faulty.fail_at = atomic_load(&w.faulty.calls) + fail_at;
        for (int i = 0; i < 3; i++) {
            faas_status status = faas_invoke(w.rt, fn, faas_str("a"), 0, &result);

            /* The call itself may want a heap, because the last result has it. */
            ck_assert(status == FAAS_OK || (status == FAAS_ENOMEM && fail_at == 1));
            if (status == FAAS_OK)
                ck_assert_uint_eq(faas_result_bytes(result).size, 3);
            faas_result_release(result);
        }
        failed = atomic_load(&w.faulty.failures) != 0;
        faas_result_release(held);
        CLOSE();
    }
}
END_TEST

/* ---- sharing ---- */

struct slow {
    sem_t entered, leave;
    atomic_uint runs;
    int code;
};

static int is_slow(faas_context *ctx, faas_bytes input)
{
    struct slow *slow = faas_user(ctx);
    unsigned run = atomic_fetch_add(&slow->runs, 1);

    (void)sem_post(&slow->entered);
    sem_take(&slow->leave);
    if (slow->code != 0)
        return faas_fail(ctx, slow->code, "run %u", run);
    return faas_reply_printf(ctx, "%.*s %u", (int)input.size, (const char *)input.data,
                             run);
}

static void slow_init(struct slow *slow)
{
    memset(slow, 0, sizeof *slow);
    ck_assert_int_eq(sem_init(&slow->entered, 0, 0), 0);
    ck_assert_int_eq(sem_init(&slow->leave, 0, 0), 0);
}

struct sharer {
    pthread_t thread;
    faas_fn fn;
    const char *input;
    uint64_t limit_ns;
    faas_status status;
    faas_result *result;
};

static void *sharer_run(void *user)
{
    struct sharer *s = user;

    s->status = faas_invoke(w.rt, s->fn, faas_str(s->input), s->limit_ns, &s->result);
    return NULL;
}

static void sharer_start(struct sharer *s, faas_fn fn, const char *input,
                         uint64_t limit_ns)
{
    *s = (struct sharer){.fn = fn, .input = input, .limit_ns = limit_ns};
    ck_assert_int_eq(pthread_create(&s->thread, NULL, sharer_run, s), 0);
}

static void sharer_must(struct sharer *s, faas_status status, const char *output)
{
    ck_assert_int_eq(pthread_join(s->thread, NULL), 0);
    ck_assert_status(s->status, status);
    if (status == FAAS_OK)
        ck_assert_bytes(faas_result_bytes(s->result), output);
    else if (output != NULL)
        ck_assert_str_eq(faas_result_message(s->result), output);
    faas_result_release(s->result);
}

/* Comes back when so many wait for answers of others. */
static void await_fellows(faas_fn fn, unsigned count)
{
    struct faasi_desk *desk;
    unsigned fellows;

    faasi_lock(&w.rt->registry.lock);
    desk = ((struct faasi_function *)faasi_registry_get(&w.rt->registry, fn))->desk;
    faasi_unlock(&w.rt->registry.lock);
    do {
        fellows = 0;
        faasi_lock(&desk->lock);
        for (struct faasi_flight *f = desk->flights; f != NULL; f = f->next)
            for (struct faasi_fellow *e = f->fellows; e != NULL; e = e->next)
                fellows++;
        faasi_unlock(&desk->lock);
        if (fellows != count)
            (void)sched_yield();
    } while (fellows != count);
}

static faas_fn slow_fn(struct slow *slow, uint64_t cache_bytes)
{
    return function_of(FAAS_FUNCTION(.name = "s", .handler = is_slow, .user = slow,
                                     .cache_bytes = cache_bytes,
                                     .cache_mode = FAAS_CACHE_SINGLE_FLIGHT));
}

START_TEST(identical_calls_in_flight_share_one_run)
{
    for (int cached = 0; cached < 2; cached++) {
        struct sharer s[5];
        struct slow slow;
        faas_fn fn;

        OPEN_DEFAULT();
        slow_init(&slow);
        fn = slow_fn(&slow, cached ? 100000 : 0);
        sharer_start(&s[0], fn, "a", 0);
        sem_take(&slow.entered);
        for (int i = 1; i < 4; i++)
            sharer_start(&s[i], fn, "a", 0);
        await_fellows(fn, 3);
        sharer_start(&s[4], fn, "b", 0); // another input runs
        sem_take(&slow.entered);
        (void)sem_post(&slow.leave);
        (void)sem_post(&slow.leave);
        for (int i = 0; i < 4; i++)
            sharer_must(&s[i], FAAS_OK, "a 0");
        sharer_must(&s[4], FAAS_OK, "b 1");
        ck_assert_uint_eq(atomic_load(&slow.runs), 2);
        ck_assert_uint_eq(stats_of(fn).invocations, 2);
        ck_assert_uint_eq(stats_of(fn).cache_shared, 3);
        ck_assert_uint_eq(stats_of(fn).cache_count, cached ? 2 : 0);
        ck_assert_uint_eq(stats_of(fn).cache_misses, cached ? 2 : 0);
        CLOSE();
    }
}
END_TEST

START_TEST(who_shares_a_run_shares_its_failure)
{
    struct sharer s[2];
    struct slow slow;
    faas_fn fn;

    OPEN_DEFAULT();
    slow_init(&slow);
    slow.code = 7;
    fn = slow_fn(&slow, 0);
    sharer_start(&s[0], fn, "a", 0);
    sem_take(&slow.entered);
    sharer_start(&s[1], fn, "a", 0);
    await_fellows(fn, 1);
    (void)sem_post(&slow.leave);
    sharer_must(&s[0], FAAS_EHANDLER, "run 0");
    sharer_must(&s[1], FAAS_EHANDLER, "run 0");
    CLOSE();
}
END_TEST

START_TEST(who_waits_for_a_late_run_runs_itself_and_one_that_is_late_gives_up)
{
    struct sharer s[3];
    struct slow slow;
    faas_fn fn;

    OPEN_DEFAULT();
    slow_init(&slow);
    fn = slow_fn(&slow, 0);
    sharer_start(&s[0], fn, "a", 10 * MS);
    sem_take(&slow.entered);
    sharer_start(&s[1], fn, "a", 0);
    await_fellows(fn, 1);
    sharer_start(&s[2], fn, "a", 5 * MS);
    await_fellows(fn, 2);
    pass_ns(5 * MS);
    sharer_must(&s[2], FAAS_EEXPIRED, NULL);
    pass_ns(6 * MS);
    (void)sem_post(&slow.leave);
    sharer_must(&s[0], FAAS_ETIMEDOUT, "");
    sem_take(&slow.entered);
    (void)sem_post(&slow.leave);
    sharer_must(&s[1], FAAS_OK, "a 1");
    CLOSE();
}
END_TEST

START_TEST(an_update_while_a_call_runs_parts_what_came_before_from_what_comes_after)
{
    struct sharer s[2];
    struct slow slow;
    faas_fn fn;

    OPEN_DEFAULT();
    slow_init(&slow);
    fn = slow_fn(&slow, 100000);
    sharer_start(&s[0], fn, "a", 0);
    sem_take(&slow.entered);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.timeout_ns = SEC)));
    sharer_start(&s[1], fn, "a", 0);
    sem_take(&slow.entered); // it runs as well
    (void)sem_post(&slow.leave);
    (void)sem_post(&slow.leave);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_join(s[i].thread, NULL), 0);
        ck_assert_ok(s[i].status);
    }
    must_answer(fn, "a", (const char[]){'a', ' ', '1', 0}); // not the one before
    faas_result_release(s[0].result);
    faas_result_release(s[1].result);
    CLOSE();
}
END_TEST

START_TEST(what_ran_before_an_update_is_not_remembered_after_it)
{
    struct sharer s;
    struct slow slow;
    faas_fn fn;

    OPEN_DEFAULT();
    slow_init(&slow);
    fn = slow_fn(&slow, 100000);
    sharer_start(&s, fn, "a", 0);
    sem_take(&slow.entered);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.timeout_ns = SEC)));
    (void)sem_post(&slow.leave);
    sharer_must(&s, FAAS_OK, "a 0");
    ck_assert_uint_eq(stats_of(fn).cache_count, 0);
    (void)sem_post(&slow.leave);
    must_answer(fn, "a", "a 1");
    must_answer(fn, "a", "a 1");
    CLOSE();
}
END_TEST

static int asks_itself(faas_context *ctx, faas_bytes input)
{
    atomic_uint *count = faas_user(ctx);

    if (atomic_fetch_add(count, 1) < 3)
        ck_assert_ok(
            faas_invoke(faas_context_runtime(ctx), faas_context_fn(ctx), input, 0, NULL));
    return faas_reply(ctx, input);
}

START_TEST(a_call_of_itself_does_not_wait_for_itself)
{
    atomic_uint count = 0;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = asks_itself, .user = &count,
                                   .cache_mode = FAAS_CACHE_SINGLE_FLIGHT));
    must_answer(fn, "a", "a");
    ck_assert_uint_eq(atomic_load(&count), 4);
    CLOSE();
}
END_TEST

static int batch_numbers(faas_context *ctx, faas_item *items, size_t count)
{
    (void)ctx;
    for (size_t i = 0; i < count; i++)
        items[i].code = numbers(items[i].ctx, items[i].input);
    return 0;
}

START_TEST(the_cache_stands_in_front_of_a_batch)
{
    atomic_uint count = 0;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .batch = batch_numbers, .user = &count,
                                   .cache_bytes = 10000));
    must_answer(fn, "a", "a 0");
    must_answer(fn, "a", "a 0");
    must_answer(fn, "b", "b 1");
    ck_assert_uint_eq(stats_of(fn).batches, 2);
    ck_assert_uint_eq(stats_of(fn).cache_hits, 1);
    CLOSE();
}
END_TEST

static double doubled(double x)
{
    return 2 * x;
}

START_TEST(what_cannot_be_remembered_is_refused)
{
    faas_fn fn;

    OPEN_DEFAULT();
    ck_assert_status(faas_symbol_register(w.rt, "d", "d(d)", (void (*)(void))doubled,
                                          FAAS_FUNCTION(.cache_bytes = 1000), &fn),
                     FAAS_EINVAL);
    ck_assert_status(
        faas_function_register(
            w.rt, FAAS_FUNCTION(.name = "f", .handler = answers, .cache_mode = 4), &fn),
        FAAS_EINVAL);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers));
    ck_assert_status(faas_function_update(w.rt, fn, FAAS_FUNCTION(.cache_bytes = 1000)),
                     FAAS_EINVAL);
    ck_assert_status(faas_function_update(w.rt, fn, FAAS_FUNCTION(.cache_mode = 1)),
                     FAAS_EINVAL);
    CLOSE();
}
END_TEST

/* Nobody waits for it, so nothing of its success was kept. */
START_TEST(what_was_submitted_and_left_alone_is_remembered_too)
{
    atomic_uint count = 0;
    uint64_t ran;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = cached_fn(&count, 100000, FAAS_CACHE_SINGLE_FLIGHT);
    ck_assert_ok(faas_invoke_async(w.rt, fn, faas_str("a"), NULL, NULL));
    ck_assert_ok(faas_invoke_async(w.rt, fn, faas_str("a"), NULL, NULL));
    ck_assert_ok(faas_run_until(w.rt, now_ns() + MS, &ran));
    must_answer(fn, "a", "a 0");
    ck_assert_uint_eq(stats_of(fn).invocations, 1);
    ck_assert_uint_eq(stats_of(fn).cache_hits, 2);
    CLOSE();
}
END_TEST

SUITE_MAIN("recall", what_was_submitted_and_left_alone_is_remembered_too,
           nothing_is_remembered_unless_asked_for,
           the_same_input_has_the_same_answer_without_a_run,
           inputs_are_told_apart_by_every_byte_and_by_their_size,
           an_answer_is_good_for_cache_ns,
           what_was_unused_for_longest_goes_when_bytes_are_short,
           an_answer_that_is_too_large_is_not_remembered,
           a_failure_is_remembered_only_if_told, a_late_answer_is_not_remembered,
           a_fresh_call_runs_and_its_answer_is_remembered,
           update_and_replace_forget_and_versions_remember_for_themselves,
           a_thread_with_a_hint_still_looks_into_the_cache,
           without_memory_there_are_misses_and_no_errors,
           identical_calls_in_flight_share_one_run, who_shares_a_run_shares_its_failure,
           who_waits_for_a_late_run_runs_itself_and_one_that_is_late_gives_up,
           an_update_while_a_call_runs_parts_what_came_before_from_what_comes_after,
           what_ran_before_an_update_is_not_remembered_after_it,
           a_call_of_itself_does_not_wait_for_itself,
           the_cache_stands_in_front_of_a_batch, what_cannot_be_remembered_is_refused)
