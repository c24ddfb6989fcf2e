/* SPDX-License-Identifier: MIT */
/* test_batch.c - many calls in one: who runs what, who waits, who fails alone. */
#include "runtime_support.h"

#include "core/desk.h"

enum { MANY = 8 };

/* ---- handlers ---- */

/* What a batch handler of a test does and saw: the `user` of batches(). */
struct seen {
    sem_t entered, leave;
    atomic_bool holds;          /* stop inside until let go */
    atomic_uint batches, items; /* in all */
    atomic_uint size_max;
    atomic_uint inside, inside_max;
    _Atomic uint64_t each_ns, fixed_ns; /* what it takes, by the virtual clock */
    char order[256];                    /* inputs in the order they came. Holds: inside */
    atomic_uint order_size;
};

static void seen_init(struct seen *seen)
{
    memset(seen, 0, sizeof *seen);
    ck_assert_int_eq(sem_init(&seen->entered, 0, 0), 0);
    ck_assert_int_eq(sem_init(&seen->leave, 0, 0), 0);
}

static void raise_to(atomic_uint *most, unsigned value)
{
    unsigned old = atomic_load(most);

    while (old < value && !atomic_compare_exchange_weak(most, &old, value))
        continue;
}

/* Answers each item with its input, doubled; one whose input begins with '!' fails. */
static int batches(faas_context *ctx, faas_item *items, size_t count)
{
    struct seen *seen = faas_user(ctx);
    char *scratch = faas_alloc(ctx, count);

    raise_to(&seen->inside_max, atomic_fetch_add(&seen->inside, 1) + 1);
    atomic_fetch_add(&seen->batches, 1);
    atomic_fetch_add(&seen->items, (unsigned)count);
    raise_to(&seen->size_max, (unsigned)count);
    ck_assert_ptr_nonnull(scratch);
    for (size_t i = 0; i < count; i++) {
        const char *text = items[i].input.data;
        int size = (int)items[i].input.size;

        ck_assert_uint_eq(items[i].index, i);
        ck_assert_int_eq(items[i].code, 0);
        ck_assert_int_eq(scratch[i], 0);
        scratch[i] = 1;
        if (size > 0)
            seen->order[atomic_fetch_add(&seen->order_size, 1) % 255] = text[0];
        if (size > 0 && text[0] == '!')
            items[i].code = faas_fail(items[i].ctx, 400, "bad: %.*s", size, text);
        else
            items[i].code =
                faas_reply_printf(items[i].ctx, "%.*s%.*s", size, text, size, text);
    }
    if (atomic_load(&seen->holds)) {
        (void)sem_post(&seen->entered);
        sem_take(&seen->leave);
    }
    if (atomic_load(&seen->each_ns) + atomic_load(&seen->fixed_ns) != 0)
        pass_ns(atomic_load(&seen->fixed_ns) + count * atomic_load(&seen->each_ns));
    atomic_fetch_sub(&seen->inside, 1);
    return 0;
}

/* ---- calls from other threads ---- */

struct batched {
    pthread_t thread;
    faas_fn fn;
    char input[16];
    faas_invoke_options options;
    faas_status status;
    faas_result *result;
};

static void *batched_run(void *user)
{
    struct batched *b = user;

    b->status =
        faas_invoke_with(w.rt, b->fn, faas_str(b->input), &b->options, &b->result);
    return NULL;
}

static void batched_start(struct batched *b, faas_fn fn, const char *input,
                          const faas_invoke_options *options)
{
    static const faas_invoke_options none = FAAS_INVOKE_OPTIONS_INIT;

    b->fn = fn;
    b->options = options == NULL ? none : *options;
    b->result = NULL;
    snprintf(b->input, sizeof b->input, "%s", input);
    ck_assert_int_eq(pthread_create(&b->thread, NULL, batched_run, b), 0);
}

static faas_status batched_join(struct batched *b)
{
    ck_assert_int_eq(pthread_join(b->thread, NULL), 0);
    return b->status;
}

/* Its answer is its own input, twice. */
static void batched_must_answer(struct batched *b)
{
    char want[64];

    ck_assert_status(batched_join(b), FAAS_OK);
    snprintf(want, sizeof want, "%s%s", b->input, b->input);
    ck_assert_bytes(faas_result_bytes(b->result), want);
    faas_result_release(b->result);
}

static struct faasi_desk *desk_of(faas_fn fn)
{
    struct faasi_desk *desk;

    faasi_lock(&w.rt->registry.lock);
    desk = ((struct faasi_function *)faasi_registry_get(&w.rt->registry, fn))->desk;
    faasi_unlock(&w.rt->registry.lock);
    return desk;
}

/* Comes back when so many items wait in the queue. */
static void await_queue(faas_fn fn, uint32_t count)
{
    struct faasi_desk *desk = desk_of(fn);
    uint32_t waiting;

    do {
        faasi_lock(&desk->lock);
        waiting = faasi_desk_waiting(desk);
        faasi_unlock(&desk->lock);
        if (waiting != count)
            (void)sched_yield();
    } while (waiting != count);
}

/* Comes back when somebody collects. */
static void await_collector(faas_fn fn)
{
    struct faasi_desk *desk = desk_of(fn);
    uint32_t collecting;

    do {
        faasi_lock(&desk->lock);
        collecting = desk->collecting;
        faasi_unlock(&desk->lock);
        if (collecting == 0)
            (void)sched_yield();
    } while (collecting == 0);
}

static faas_fn batch_fn(struct seen *seen)
{
    return function_of(FAAS_FUNCTION(.name = "b", .batch = batches, .user = seen));
}

/* Makes a size known: what comes alone takes no time by the virtual clock, so that all
 * that waits is taken. */
static void warm_up(faas_fn fn)
{
    for (int i = 0; i < 3; i++)
        ck_assert_ok(call(fn));
}

/* Runs one call that stops inside, then lets `count` more queue behind it. */
static void hold_and_queue(struct seen *seen, struct batched *b, faas_fn fn, int count)
{
    char input[2] = "0";

    atomic_store(&seen->holds, true);
    batched_start(&b[0], fn, input, NULL);
    sem_take(&seen->entered);
    for (int i = 1; i <= count; i++) {
        input[0] = (char)('0' + i);
        batched_start(&b[i], fn, input, NULL);
        await_queue(fn, (uint32_t)i);
    }
}

static void let_go(struct seen *seen, unsigned batches_count)
{
    for (unsigned i = 0; i < batches_count; i++) {
        if (i != 0)
            sem_take(&seen->entered);
        (void)sem_post(&seen->leave);
    }
}

/* ---- tests ---- */

START_TEST(a_free_instance_runs_a_call_at_once_on_its_own_thread)
{
    struct seen seen;
    faas_result *result;
    faas_function_stats s;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&seen);
    fn = batch_fn(&seen);
    atomic_store(&seen.each_ns, 5 * US);
    for (int i = 0; i < 4; i++) {
        result = result_of(fn, "ab");
        ck_assert_bytes(faas_result_bytes(result), "abab");
        ck_assert_uint_eq(faas_result_meter(result)->run_ns, 5 * US);
        ck_assert_uint_eq(faas_result_meter(result)->cold, i == 0);
        ck_assert_uint_gt(faas_result_meter(result)->peak_bytes, 0);
        faas_result_release(result);
    }
    s = stats_of(fn);
    ck_assert_uint_eq(s.invocations, 4);
    ck_assert_uint_eq(s.batches, 4);
    ck_assert_uint_eq(s.batched, 4);
    ck_assert_uint_eq(s.batch_sizes[0], 4);
    ck_assert_uint_eq(s.cold_starts, 1);
    ck_assert_uint_eq(s.run_ns, 20 * US);
    ck_assert_uint_eq(s.instances, 1);
    ck_assert_uint_eq(s.concurrency, 0);
    CLOSE();
}
END_TEST

START_TEST(who_finishes_takes_what_waits_in_one_batch_and_in_order)
{
    struct batched b[MANY];
    struct seen seen;
    faas_function_stats s;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&seen);
    fn = batch_fn(&seen);
    warm_up(fn);
    hold_and_queue(&seen, b, fn, 5);
    ck_assert_uint_eq(stats_of(fn).batch_waiting, 5);
    ck_assert_uint_eq(stats_of(fn).concurrency, 1); // a batch is one
    let_go(&seen, 2);
    for (int i = 0; i <= 5; i++)
        batched_must_answer(&b[i]);
    ck_assert_uint_eq(atomic_load(&seen.batches), 3 + 2);
    ck_assert_uint_eq(atomic_load(&seen.size_max), 5);
    ck_assert_uint_eq(atomic_load(&seen.inside_max), 1);
    ck_assert_str_eq(seen.order, "012345");
    s = stats_of(fn);
    ck_assert_uint_eq(s.invocations, 9); // each item
    ck_assert_uint_eq(s.batches, 5);
    ck_assert_uint_eq(s.batched, 9);
    ck_assert_uint_eq(s.batch_sizes[0], 4);
    ck_assert_uint_eq(s.batch_sizes[3], 1); // of 5 to 8
    ck_assert_uint_eq(s.throttles, 0);
    ck_assert_uint_eq(s.batch_waiting, 0);
    CLOSE();
}
END_TEST

START_TEST(a_batch_is_no_larger_than_batch_max)
{
    struct batched b[MANY];
    struct seen seen;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&seen);
    fn = function_of(
        FAAS_FUNCTION(.name = "b", .batch = batches, .user = &seen, .batch_max = 3));
    warm_up(fn);
    hold_and_queue(&seen, b, fn, 7);
    let_go(&seen, 4); // 1, 3, 3, 1
    for (int i = 0; i <= 7; i++)
        batched_must_answer(&b[i]);
    ck_assert_uint_eq(atomic_load(&seen.size_max), 3);
    ck_assert_str_eq(seen.order, "01234567");
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.batch_max = 2)));
    seen_init(&seen);
    hold_and_queue(&seen, b, fn, 4);
    let_go(&seen, 3);
    for (int i = 0; i <= 4; i++)
        batched_must_answer(&b[i]);
    ck_assert_uint_eq(atomic_load(&seen.size_max), 2);
    CLOSE();
}
END_TEST

START_TEST(a_bad_item_fails_alone)
{
    static const char *const inputs[] = {"a", "!x", "b", "!y"};
    struct batched b[5];
    struct seen seen;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&seen);
    fn = batch_fn(&seen);
    warm_up(fn);
    hold_and_queue(&seen, b, fn, 0);
    for (int i = 0; i < 4; i++) {
        batched_start(&b[i + 1], fn, inputs[i], NULL);
        await_queue(fn, (uint32_t)i + 1);
    }
    let_go(&seen, 2);
    batched_must_answer(&b[0]);
    batched_must_answer(&b[1]);
    batched_must_answer(&b[3]);
    for (int i = 2; i < 5; i += 2) {
        ck_assert_status(batched_join(&b[i]), FAAS_EHANDLER);
        ck_assert_int_eq(faas_result_code(b[i].result), 400);
        ck_assert_str_eq(faas_result_message(b[i].result),
                         i == 2 ? "bad: !x" : "bad: !y");
        ck_assert_uint_eq(faas_result_bytes(b[i].result).size, 0);
        faas_result_release(b[i].result);
    }
    ck_assert_uint_eq(stats_of(fn).errors, 2);
    CLOSE();
}
END_TEST

static int all_fail(faas_context *ctx, faas_item *items, size_t count)
{
    items[0].code = count == 1 ? 0 : faas_fail(items[0].ctx, 7, "its own");
    return faas_fail(ctx, 500, "all %d", 1);
}

static int holds_then_all_fail(faas_context *ctx, faas_item *items, size_t count)
{
    struct seen *seen = faas_user(ctx);

    if (count == 1) {
        (void)sem_post(&seen->entered);
        sem_take(&seen->leave);
        return 0;
    }
    return all_fail(ctx, items, count);
}

START_TEST(a_failed_batch_fails_every_item_that_has_no_code_of_its_own)
{
    struct batched b[4];
    struct seen seen;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&seen);
    fn = function_of(
        FAAS_FUNCTION(.name = "b", .batch = holds_then_all_fail, .user = &seen));
    for (int i = 0; i < 4; i++)
        (void)sem_post(&seen.leave);
    for (int i = 0; i < 4; i++) {
        ck_assert_ok(call(fn));
        sem_take(&seen.entered);
    }
    batched_start(&b[0], fn, "0", NULL);
    sem_take(&seen.entered);
    for (int i = 1; i < 4; i++) {
        batched_start(&b[i], fn, "x", NULL);
        await_queue(fn, (uint32_t)i);
    }
    (void)sem_post(&seen.leave);
    ck_assert_ok(batched_join(&b[0]));
    for (int i = 1; i < 4; i++) {
        ck_assert_status(batched_join(&b[i]), FAAS_EHANDLER);
        ck_assert_int_eq(faas_result_code(b[i].result), i == 1 ? 7 : 500);
        ck_assert_str_eq(faas_result_message(b[i].result), i == 1 ? "its own" : "all 1");
    }
    for (int i = 0; i < 4; i++)
        faas_result_release(b[i].result);
    ck_assert_uint_eq(stats_of(fn).errors, 3);
    CLOSE();
}
END_TEST

START_TEST(each_item_has_its_own_deadline)
{
    struct batched b[4];
    struct seen seen;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&seen);
    fn = batch_fn(&seen);
    warm_up(fn);
    hold_and_queue(&seen, b, fn, 0);
    batched_start(&b[1], fn, "1", FAAS_CALL(.limit_ns = 10 * MS));
    batched_start(&b[2], fn, "2", FAAS_CALL(.limit_ns = 100 * MS));
    batched_start(&b[3], fn, "3", NULL);
    await_queue(fn, 3);
    (void)sem_post(&seen.leave);
    sem_take(&seen.entered); // the batch of three is inside
    pass_ns(20 * MS);
    (void)sem_post(&seen.leave);
    batched_must_answer(&b[0]);
    ck_assert_status(batched_join(&b[1]), FAAS_ETIMEDOUT);
    ck_assert_uint_eq(faas_result_bytes(b[1].result).size, 0);
    faas_result_release(b[1].result);
    batched_must_answer(&b[2]);
    batched_must_answer(&b[3]);
    ck_assert_uint_eq(stats_of(fn).timeouts, 1);
    CLOSE();
}
END_TEST

START_TEST(an_item_that_waits_too_long_is_refused_and_never_runs)
{
    struct batched b[3];
    struct seen seen;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&seen);
    fn = function_of(
        FAAS_FUNCTION(.name = "b", .batch = batches, .user = &seen, .wait_ns = 50 * MS));
    warm_up(fn);
    hold_and_queue(&seen, b, fn, 0);
    batched_start(&b[1], fn, "1", FAAS_CALL(.limit_ns = 10 * MS));
    await_queue(fn, 1);
    batched_start(&b[2], fn, "2", NULL);
    await_queue(fn, 2);
    pass_ns(10 * MS);
    ck_assert_status(batched_join(&b[1]), FAAS_EEXPIRED);
    ck_assert_ptr_null(b[1].result);
    await_queue(fn, 1);
    pass_ns(40 * MS);
    ck_assert_status(batched_join(&b[2]), FAAS_EBUSY);
    await_queue(fn, 0);
    let_go(&seen, 1);
    batched_must_answer(&b[0]);
    ck_assert_uint_eq(atomic_load(&seen.items), 3 + 1);
    ck_assert_uint_eq(stats_of(fn).throttles, 1);
    CLOSE();
}
END_TEST

/* A batch of n takes 10 ms + n ms; one of four is late for 12 ms, one of two is not. */
START_TEST(a_batch_is_kept_small_enough_for_the_deadlines_in_it)
{
    struct batched b[5];
    struct seen seen;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&seen);
    fn = batch_fn(&seen);
    atomic_store(&seen.fixed_ns, 10 * MS);
    atomic_store(&seen.each_ns, 1 * MS);
    /* Learned: 1, 2 and 4 items, twice each. */
    for (int i = 0; i < 2; i++)
        ck_assert_ok(call(fn));
    for (int round = 0; round < 4; round++) {
        int count = round < 2 ? 2 : 4;

        hold_and_queue(&seen, b, fn, count);
        atomic_store(&seen.holds, false);
        (void)sem_post(&seen.leave);
        for (int i = 0; i <= count; i++)
            batched_must_answer(&b[i]);
    }
    ck_assert_uint_eq(atomic_load(&seen.size_max), 4);
    atomic_store(&seen.order_size, 0);
    atomic_store(&seen.size_max, 0);
    hold_and_queue(&seen, b, fn, 0);
    batched_start(&b[1], fn, "1", FAAS_CALL(.limit_ns = 11 * MS + 12 * MS));
    await_queue(fn, 1);
    for (int i = 2; i < 5; i++) {
        batched_start(&b[i], fn, "x", NULL);
        await_queue(fn, (uint32_t)i);
    }
    atomic_store(&seen.holds, false);
    (void)sem_post(&seen.leave);
    for (int i = 0; i < 5; i++)
        batched_must_answer(&b[i]);
    ck_assert_uint_eq(atomic_load(&seen.size_max), 2);
    CLOSE();
}
END_TEST

START_TEST(a_higher_priority_goes_first_and_no_lower_one_starves)
{
    struct batched b[MANY];
    struct seen seen;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&seen);
    fn = batch_fn(&seen);
    warm_up(fn);
    hold_and_queue(&seen, b, fn, 0);
    batched_start(&b[1], fn, "l", FAAS_CALL(.priority = FAAS_PRIORITY_LOW));
    await_queue(fn, 1);
    batched_start(&b[2], fn, "n", NULL);
    await_queue(fn, 2);
    batched_start(&b[3], fn, "h", FAAS_CALL(.priority = FAAS_PRIORITY_HIGH));
    await_queue(fn, 3);
    batched_start(&b[4], fn, "i", FAAS_CALL(.priority = FAAS_PRIORITY_HIGH));
    await_queue(fn, 4);
    let_go(&seen, 2);
    for (int i = 0; i < 5; i++)
        batched_must_answer(&b[i]);
    ck_assert_str_eq(seen.order, "0hinl");
    /* The eighth batch begins with the oldest. */
    desk_of(fn)->takes = 7; // nobody is there
    memset(seen.order, 0, sizeof seen.order);
    atomic_store(&seen.order_size, 0);
    hold_and_queue(&seen, b, fn, 0);
    pass_ns(1);
    batched_start(&b[1], fn, "l", FAAS_CALL(.priority = FAAS_PRIORITY_LOW));
    await_queue(fn, 1);
    pass_ns(1);
    batched_start(&b[2], fn, "h", FAAS_CALL(.priority = FAAS_PRIORITY_HIGH));
    await_queue(fn, 2);
    let_go(&seen, 2);
    for (int i = 0; i < 3; i++)
        batched_must_answer(&b[i]);
    ck_assert_str_eq(seen.order, "0lh");
    CLOSE();
}
END_TEST

START_TEST(a_handler_beside_it_runs_what_comes_alone)
{
    struct seen seen;
    faas_result *result;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&seen);
    fn = function_of(
        FAAS_FUNCTION(.name = "b", .handler = echoes, .batch = batches, .user = &seen));
    result = result_of(fn, "one");
    ck_assert_bytes(faas_result_bytes(result), "one");
    faas_result_release(result);
    ck_assert_uint_eq(atomic_load(&seen.batches), 0);
    ck_assert_uint_eq(stats_of(fn).batches, 1);
    CLOSE();
}
END_TEST

START_TEST(the_cap_counts_batches)
{
    struct batched b[6];
    struct seen seen;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&seen);
    fn = function_of(
        FAAS_FUNCTION(.name = "b", .batch = batches, .user = &seen, .concurrency = 2));
    warm_up(fn);
    atomic_store(&seen.holds, true);
    for (int i = 0; i < 2; i++) {
        batched_start(&b[i], fn, "a", NULL);
        sem_take(&seen.entered);
    }
    for (int i = 2; i < 6; i++) {
        batched_start(&b[i], fn, "b", NULL);
        await_queue(fn, (uint32_t)i - 1);
    }
    ck_assert_uint_eq(stats_of(fn).concurrency, 2);
    (void)sem_post(&seen.leave);
    sem_take(&seen.entered); // one of the two went on with the four
    ck_assert_uint_eq(stats_of(fn).concurrency, 2);
    (void)sem_post(&seen.leave);
    (void)sem_post(&seen.leave);
    for (int i = 0; i < 6; i++)
        batched_must_answer(&b[i]);
    ck_assert_uint_eq(atomic_load(&seen.inside_max), 2);
    ck_assert_uint_eq(atomic_load(&seen.size_max), 4);
    ck_assert_uint_eq(stats_of(fn).instances, 2);
    CLOSE();
}
END_TEST

/* The one batch takes 1 ms, which is longer than a leader works for others. */
START_TEST(a_leader_hands_over_after_a_while)
{
    struct batched b[MANY];
    struct seen seen;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&seen);
    fn = function_of(
        FAAS_FUNCTION(.name = "b", .batch = batches, .user = &seen, .batch_max = 2));
    atomic_store(&seen.fixed_ns, 1 * MS);
    warm_up(fn);
    hold_and_queue(&seen, b, fn, 6);
    (void)sem_post(&seen.leave); // 0
    for (int round = 0; round < 3; round++) {
        sem_take(&seen.entered);
        if (round == 1) // 0 led for 1 and 2; who leads now is 3 itself
            batched_must_answer(&b[0]);
        (void)sem_post(&seen.leave);
    }
    for (int i = 1; i <= 6; i++)
        batched_must_answer(&b[i]);
    ck_assert_str_eq(seen.order, "0123456");
    CLOSE();
}
END_TEST

START_TEST(a_leader_whose_time_is_up_hands_over_at_once)
{
    struct batched b[3];
    struct seen seen;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&seen);
    fn = batch_fn(&seen);
    atomic_store(&seen.each_ns, 5 * MS);
    warm_up(fn);
    atomic_store(&seen.holds, true);
    batched_start(&b[0], fn, "0", FAAS_CALL(.limit_ns = 7 * MS));
    sem_take(&seen.entered);
    batched_start(&b[1], fn, "1", NULL);
    await_queue(fn, 1);
    (void)sem_post(&seen.leave);
    sem_take(&seen.entered); // the next one is inside, led by its own caller
    batched_must_answer(&b[0]);
    (void)sem_post(&seen.leave);
    batched_must_answer(&b[1]);
    CLOSE();
}
END_TEST

START_TEST(a_delay_collects_until_there_are_enough_or_it_is_over)
{
    struct batched b[4];
    struct seen seen;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&seen);
    fn = function_of(FAAS_FUNCTION(.name = "b", .batch = batches, .user = &seen,
                                   .batch_max = 3, .batch_delay_ns = 10 * MS));
    atomic_store(&seen.each_ns, 1 * MS);
    for (int round = 0; round < 3; round++) { // the first two make one known
        batched_start(&b[0], fn, "0", NULL);
        await_collector(fn);
        pass_ns(10 * MS);
        batched_must_answer(&b[0]);
    }
    ck_assert_uint_eq(atomic_load(&seen.size_max), 1);
    batched_start(&b[0], fn, "0", NULL);
    await_collector(fn);
    batched_start(&b[1], fn, "1", NULL);
    await_queue(fn, 1);
    batched_start(&b[2], fn, "2", NULL); // three: nothing to wait for
    for (int i = 0; i < 3; i++)
        batched_must_answer(&b[i]);
    ck_assert_uint_eq(atomic_load(&seen.size_max), 2); // two is what is tried first
    /* Three would take 3 ms, by what is known: so it stops 3 ms before a deadline. */
    batched_start(&b[0], fn, "0", NULL);
    await_collector(fn);
    batched_start(&b[1], fn, "1", FAAS_CALL(.limit_ns = 8 * MS));
    await_queue(fn, 1);
    pass_ns(5 * MS);
    batched_must_answer(&b[0]);
    batched_must_answer(&b[1]);
    CLOSE();
}
END_TEST

static int calls_itself(faas_context *ctx, faas_item *items, size_t count)
{
    faas_runtime *rt = faas_context_runtime(ctx);

    for (size_t i = 0; i < count; i++)
        items[i].code = items[i].input.size == 0 ? 0
                                                 : -faas_invoke(rt, faas_context_fn(ctx),
                                                                faas_str(NULL), 0, NULL);
    return 0;
}

START_TEST(a_call_of_itself_is_refused_where_it_would_wait_for_itself)
{
    faas_result *result;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "b", .batch = calls_itself));
    ck_assert_status(faas_invoke(w.rt, fn, faas_str("x"), 0, &result), FAAS_EHANDLER);
    ck_assert_int_eq(faas_result_code(result), -FAAS_EBUSY);
    faas_result_release(result);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = 2)));
    ck_assert_ok(faas_invoke(w.rt, fn, faas_str("x"), 0, NULL));
    CLOSE();
}
END_TEST

START_TEST(a_function_that_is_off_refuses_and_its_queue_is_served_when_it_is_on)
{
    struct batched b[2];
    struct seen seen;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&seen);
    fn = batch_fn(&seen);
    warm_up(fn);
    hold_and_queue(&seen, b, fn, 0);
    batched_start(&b[1], fn, "1", NULL);
    await_queue(fn, 1);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = FAAS_OFF)));
    atomic_store(&seen.holds, false);
    (void)sem_post(&seen.leave);
    batched_must_answer(&b[0]);
    ck_assert_status(batched_join(&b[1]), FAAS_EBUSY); // it found nobody to wait for
    ck_assert_status(call(fn), FAAS_EBUSY);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = 1)));
    ck_assert_ok(call(fn));
    CLOSE();
}
END_TEST

struct replacing {
    faas_fn fn;
    struct seen *seen;
};

static void *replace_run(void *user)
{
    struct replacing *r = user;

    ck_assert_ok(faas_function_replace(w.rt, r->fn,
                                       FAAS_FUNCTION(.batch = batches, .user = r->seen)));
    return NULL;
}

START_TEST(who_waits_when_a_function_is_replaced_runs_in_the_new_one)
{
    struct batched b[3];
    struct seen old, new;
    struct replacing r;
    pthread_t thread;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&old);
    seen_init(&new);
    fn = batch_fn(&old);
    warm_up(fn);
    hold_and_queue(&old, b, fn, 2);
    r = (struct replacing){fn, &new};
    ck_assert_int_eq(pthread_create(&thread, NULL, replace_run, &r), 0);
    batched_must_answer(&b[1]); // while 0 is still in the old one
    batched_must_answer(&b[2]);
    let_go(&old, 1);
    batched_must_answer(&b[0]);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(atomic_load(&new.items), 2);
    ck_assert_uint_eq(stats_of(fn).batched, 3 + 3); // of both
    CLOSE();
}
END_TEST

static void *unregister_run(void *user)
{
    ck_assert_ok(faas_function_unregister(w.rt, *(faas_fn *)user));
    return NULL;
}

START_TEST(who_waits_when_a_function_goes_is_told_that_it_is_gone)
{
    struct batched b[3];
    struct seen seen;
    pthread_t thread;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&seen);
    fn = batch_fn(&seen);
    warm_up(fn);
    hold_and_queue(&seen, b, fn, 2);
    ck_assert_int_eq(pthread_create(&thread, NULL, unregister_run, &fn), 0);
    ck_assert_status(batched_join(&b[1]), FAAS_ENOENT); // while 0 is inside
    ck_assert_status(batched_join(&b[2]), FAAS_ENOENT);
    let_go(&seen, 1);
    batched_must_answer(&b[0]);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    CLOSE();
}
END_TEST

static void *close_run(void *user)
{
    (void)user;
    ck_assert_ok(faas_runtime_close(w.rt));
    return NULL;
}

START_TEST(who_waits_when_the_runtime_closes_is_told_so)
{
    struct batched b[3];
    struct seen seen;
    pthread_t thread;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&seen);
    fn = batch_fn(&seen);
    warm_up(fn);
    hold_and_queue(&seen, b, fn, 2);
    ck_assert_int_eq(pthread_create(&thread, NULL, close_run, NULL), 0);
    ck_assert_status(batched_join(&b[1]), FAAS_ECLOSED);
    ck_assert_status(batched_join(&b[2]), FAAS_ECLOSED);
    let_go(&seen, 1);
    batched_must_answer(&b[0]);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    faas_clock_close(w.clock);
    ck_assert_uint_eq(atomic_load(&w.faulty.live_blocks), 0);
}
END_TEST

/* ---- a runtime whose init fails once ---- */

static int init_counts(faas_context *ctx, void **state)
{
    atomic_uint *count = faas_user(ctx);

    (void)state;
    return atomic_fetch_add(count, 1) == 0 ? faas_fail(ctx, 1, "not yet") : 0;
}

static int batch_answers(faas_context *ctx, faas_item *items, size_t count)
{
    (void)ctx;
    (void)items;
    (void)count;
    return 0;
}

START_TEST(a_failed_init_fails_its_call_alone)
{
    atomic_uint count = 0;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "b", .batch = batch_answers,
                                   .init = init_counts, .user = &count));
    ck_assert_status(call(fn), FAAS_EINIT);
    ck_assert_ok(call(fn));
    ck_assert_uint_eq(stats_of(fn).init_errors, 1);
    CLOSE();
}
END_TEST

/* What an item's context says is the item's. */
static int tells(faas_context *ctx, faas_item *items, size_t count)
{
    ck_assert_uint_eq(faas_trace(ctx).size, 0); // a batch is nobody's
    for (size_t i = 0; i < count; i++) {
        faas_context *item = items[i].ctx;
        faas_bytes tenant = faas_tenant(item), trace = faas_trace(item);
        char id[FAAS_ID_TEXT_SIZE];

        faas_id_text(faas_request_id(item), id);
        items[i].code = faas_reply_printf(
            item, "%s %.*s %.*s %llu %s %u", faas_context_name(item), (int)tenant.size,
            (const char *)tenant.data, (int)trace.size, (const char *)trace.data,
            (unsigned long long)faas_time_left_ns(item), id, faas_attempt(item));
    }
    return 0;
}

START_TEST(an_items_context_is_its_own)
{
    faas_result *result;
    faas_id id = {1, 2};
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "b", .batch = tells));
    ck_assert_ok(
        faas_invoke_with(w.rt, fn, faas_str("x"),
                         FAAS_CALL(.tenant = faas_str("acme"), .trace = faas_str("t1"),
                                   .request_id = id, .limit_ns = 5 * MS, .attempt = 3),
                         &result));
    ck_assert_bytes(faas_result_bytes(result),
                    "b acme t1 5000000 00000000-0000-0001-0000-000000000002 3");
    ck_assert_uint_eq(faas_result_meter(result)->request_id.low, 2);
    faas_result_release(result);
    ck_assert_status(faas_call(w.rt, fn, NULL, 0, 0, NULL), FAAS_ETYPE);
    ck_assert_ok(
        faas_invoke_with(w.rt, fn, faas_str("x"), FAAS_CALL(.dry_run = 1), NULL));
    CLOSE();
}
END_TEST

START_TEST(what_cannot_be_is_refused_when_it_is_registered)
{
    faas_fn fn;

    OPEN_DEFAULT();
    ck_assert_status(faas_function_register(w.rt, FAAS_FUNCTION(.name = "a"), &fn),
                     FAAS_EINVAL);
    ck_assert_status(
        faas_function_register(
            w.rt, FAAS_FUNCTION(.name = "a", .handler = answers, .batch_max = 2), &fn),
        FAAS_EINVAL);
    ck_assert_status(
        faas_function_register(
            w.rt, FAAS_FUNCTION(.name = "a", .batch = batch_answers, .batch_max = 1025),
            &fn),
        FAAS_EINVAL);
    ck_assert_str_eq(faas_error_text(), "function.batch_max: 1025 is over 1024");
    ck_assert_status(
        faas_function_register(
            w.rt, FAAS_FUNCTION(.name = "a", .batch = batch_answers, .provisioned = 2),
            &fn),
        FAAS_EINVAL);
    fn = function_of(FAAS_FUNCTION(.name = "a", .handler = answers));
    ck_assert_status(faas_function_update(w.rt, fn, FAAS_FUNCTION(.batch_max = 2)),
                     FAAS_EINVAL);
    ck_assert_status(
        faas_function_update(w.rt, fn, FAAS_FUNCTION(.batch = batch_answers)),
        FAAS_EINVAL);
    CLOSE();
}
END_TEST

/* Every allocation of a batch function's life fails once: nothing leaks, no call hangs, and
 * a refusal is one of memory. */
START_TEST(nothing_is_lost_whichever_allocation_fails)
{
    bool failed = true;

    for (unsigned fail_at = 1; failed; fail_at++) {
        struct seen seen;
        faas_status status;
        faas_fn fn;

        OPEN_DEFAULT();
        seen_init(&seen);
        w.faulty.fail_at = atomic_load(&w.faulty.calls) + fail_at;
        status = faas_function_register(
            w.rt, FAAS_FUNCTION(.name = "b", .batch = batches, .user = &seen), &fn);
        ck_assert(status == FAAS_OK || status == FAAS_ENOMEM);
        for (int i = 0; i < 3 && status == FAAS_OK; i++) {
            faas_status called = faas_invoke(w.rt, fn, faas_str("abc"), 0, NULL);

            ck_assert(called == FAAS_OK || called == FAAS_ENOMEM ||
                      called == FAAS_EHANDLER);
        }
        failed = atomic_load(&w.faulty.failures) != 0;
        w.faulty.fail_at = 0;
        if (status == FAAS_OK) {
            ck_assert_ok(call(fn));
            ck_assert_uint_eq(stats_of(fn).concurrency, 0);
        }
        CLOSE();
    }
}
END_TEST

START_TEST(an_instance_that_served_enough_items_is_closed)
{
    struct batched b[5];
    struct seen seen;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&seen);
    fn = function_of(
        FAAS_FUNCTION(.name = "b", .batch = batches, .user = &seen, .invocation_max = 5));
    warm_up(fn);
    hold_and_queue(&seen, b, fn, 4);
    let_go(&seen, 2); // 1, then 4: eight in all
    for (int i = 0; i < 5; i++)
        batched_must_answer(&b[i]);
    ck_assert_uint_eq(stats_of(fn).instances, 0);
    atomic_store(&seen.holds, false);
    ck_assert_ok(call(fn));
    ck_assert_uint_eq(stats_of(fn).cold_starts, 2);
    CLOSE();
}
END_TEST

static int collects_text(const char *text, size_t size, void *user)
{
    char *all = user;
    size_t at = strlen(all);

    ck_assert_uint_lt(at + size, 65536);
    memcpy(all + at, text, size);
    all[at + size] = '\0';
    return 0;
}

START_TEST(sizes_and_answers_are_told_in_json_and_to_prometheus)
{
    static char text[65536];
    struct batched b[6];
    struct seen seen;
    faas_fn fn;

    OPEN_DEFAULT();
    seen_init(&seen);
    fn = function_of(FAAS_FUNCTION(.name = "b", .batch = batches, .user = &seen,
                                   .cache_bytes = 100000));
    for (int i = 0; i < 3; i++)
        ck_assert_ok(
            faas_invoke_with(w.rt, fn, faas_str("w"), FAAS_CALL(.fresh = 1), NULL));
    hold_and_queue(&seen, b, fn, 5);
    let_go(&seen, 2);
    for (int i = 0; i <= 5; i++)
        batched_must_answer(&b[i]);
    ck_assert_ok(faas_invoke(w.rt, fn, faas_str("1"), 0, NULL));
    ck_assert_ok(faas_describe_json(w.rt, collects_text, text));
    ck_assert_ptr_nonnull(strstr(text, "\"batch_max\":64,\"batch_delay_ns\":0,"
                                       "\"cache_bytes\":100000,\"cache_ns\":null,"
                                       "\"single_flight\":false"));
    ck_assert_ptr_nonnull(strstr(text, "\"batches\":5,\"batched\":9,"));
    ck_assert_ptr_nonnull(strstr(text, "\"cache_hits\":1,\"cache_misses\":9,"));
    ck_assert_ptr_nonnull(strstr(text, "\"batch_sizes\":[4,0,0,1,0,"));
    text[0] = '\0';
    ck_assert_ok(faas_prometheus(w.rt, collects_text, text));
    ck_assert_ptr_nonnull(strstr(text,
                                 "faas_batch_size_bucket{function=\"b\",le=\"4\"} 4\n"
                                 "faas_batch_size_bucket{function=\"b\",le=\"8\"} 5\n"));
    ck_assert_ptr_nonnull(strstr(text, "faas_batch_size_sum{function=\"b\"} 9\n"
                                       "faas_batch_size_count{function=\"b\"} 5\n"));
    ck_assert_ptr_nonnull(strstr(text, "faas_cache_hits_total{function=\"b\"} 1\n"));
    CLOSE();
}
END_TEST

/* Submits more of its own than there is room for, so that it runs them while it waits. */
static int submits_its_own(faas_context *ctx, faas_item *items, size_t count)
{
    atomic_uint *runs = faas_user(ctx);
    faas_bytes inputs[3] = {faas_str("a"), faas_str("a"), faas_str("a")};
    size_t accepted;

    (void)items;
    if (atomic_fetch_add(runs, (unsigned)count) == 0) {
        ck_assert_status(faas_invoke_async_many(w.rt, faas_context_fn(ctx), inputs, 3,
                                                NULL, NULL, &accepted),
                         FAAS_EBUSY);
        ck_assert_uint_eq(accepted, 2);
    }
    return 0;
}

/* The call that it helps along is nested in nobody, but stands on the same stack. */
START_TEST(a_batch_does_not_wait_for_itself_when_it_helps_with_what_is_queued)
{
    static const uint32_t modes[] = {0, FAAS_CACHE_SINGLE_FLIGHT};

    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        atomic_uint runs = 0;
        faas_fn fn;

        OPEN_DEFAULT();
        fn = function_of(
            FAAS_FUNCTION(.name = "f", .batch = submits_its_own, .user = &runs,
                          .cache_mode = modes[i],
                          .async = FAAS_ASYNC(.queue_slots = 2,
                                              .on_queue_full = FAAS_QUEUE_WAIT)));
        ck_assert_ok(faas_invoke(w.rt, fn, faas_str("a"), 0, NULL));
        ck_assert_ok(faas_run_until(w.rt, now_ns() + SEC, NULL));
        ck_assert_uint_eq(atomic_load(&runs), 3);
        ck_assert_uint_eq(stats_of(fn).concurrency, 0);
        CLOSE();
    }
}
END_TEST

SUITE_MAIN("batch", a_batch_does_not_wait_for_itself_when_it_helps_with_what_is_queued,
           a_free_instance_runs_a_call_at_once_on_its_own_thread,
           who_finishes_takes_what_waits_in_one_batch_and_in_order,
           a_batch_is_no_larger_than_batch_max, a_bad_item_fails_alone,
           a_failed_batch_fails_every_item_that_has_no_code_of_its_own,
           each_item_has_its_own_deadline,
           an_item_that_waits_too_long_is_refused_and_never_runs,
           a_batch_is_kept_small_enough_for_the_deadlines_in_it,
           a_higher_priority_goes_first_and_no_lower_one_starves,
           a_handler_beside_it_runs_what_comes_alone, the_cap_counts_batches,
           a_leader_hands_over_after_a_while,
           a_leader_whose_time_is_up_hands_over_at_once,
           a_delay_collects_until_there_are_enough_or_it_is_over,
           a_call_of_itself_is_refused_where_it_would_wait_for_itself,
           a_function_that_is_off_refuses_and_its_queue_is_served_when_it_is_on,
           who_waits_when_a_function_is_replaced_runs_in_the_new_one,
           who_waits_when_a_function_goes_is_told_that_it_is_gone,
           who_waits_when_the_runtime_closes_is_told_so,
           a_failed_init_fails_its_call_alone, an_items_context_is_its_own,
           what_cannot_be_is_refused_when_it_is_registered,
           nothing_is_lost_whichever_allocation_fails,
           an_instance_that_served_enough_items_is_closed,
           sizes_and_answers_are_told_in_json_and_to_prometheus)
