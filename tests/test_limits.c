/* SPDX-License-Identifier: MIT */
/* test_limits.c - caps are exact both ways, and waiting is first come first served. */
#include "runtime_support.h"

enum { MANY = 8 };

/* ---- refusing ---- */

START_TEST(a_cap_of_n_lets_n_run_and_refuses_the_next)
{
    static const uint32_t caps[] = {1, 2, 5};
    struct caller callers[MANY] = {{.limit_ns = 0}};

    for (size_t i = 0; i < sizeof caps / sizeof caps[0]; i++) {
        struct latch latch;
        faas_fn fn;

        OPEN_DEFAULT();
        latch_init(&latch);
        fn = function_of(FAAS_FUNCTION(.name = "f", .handler = holds, .user = &latch,
                                       .concurrency = caps[i]));
        for (int round = 0; round < 2; round++) { // cold, then warm
            for (uint32_t c = 0; c < caps[i]; c++)
                caller_start(&callers[c], fn);
            latch_await(&latch, caps[i]);
            ck_assert_uint_eq(stats_of(fn).concurrency, caps[i]);
            ck_assert_status(call(fn), FAAS_EBUSY);
            latch_release(&latch, caps[i]);
            for (uint32_t c = 0; c < caps[i]; c++)
                ck_assert_ok(caller_join(&callers[c]));
            ck_assert_uint_eq(stats_of(fn).concurrency, 0);
        }
        ck_assert_uint_eq(atomic_load(&latch.running_max), caps[i]);
        ck_assert_uint_eq(stats_of(fn).concurrency_peak, caps[i]);
        ck_assert_uint_eq(stats_of(fn).throttles, 2);
        ck_assert_uint_eq(stats_of(fn).invocations, 2 * caps[i]);
        latch_release(&latch, 1);
        ck_assert_ok(call(fn));
        CLOSE();
    }
}
END_TEST

START_TEST(a_function_that_is_off_refuses_until_it_is_on)
{
    atomic_uint count = 0;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = counts, .user = &count,
                                   .concurrency = FAAS_OFF));
    for (int i = 0; i < 3; i++)
        ck_assert_status(call(fn), FAAS_EBUSY);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = 1)));
    ck_assert_ok(call(fn));
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = FAAS_OFF)));
    ck_assert_status(call(fn), FAAS_EBUSY); // although this thread has a hint
    ck_assert_ok(
        faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = FAAS_UNLIMITED)));
    ck_assert_ok(call(fn));
    ck_assert_uint_eq(atomic_load(&count), 2);
    ck_assert_uint_eq(stats_of(fn).throttles, 4);
    CLOSE();
}
END_TEST

START_TEST(the_runtimes_cap_holds_over_all_functions)
{
    struct caller callers[3] = {{.limit_ns = 0}};
    struct latch latch;
    faas_fn fns[4];

    OPEN(.concurrency_max = 3);
    latch_init(&latch);
    for (size_t i = 0; i < 4; i++) {
        char name[8];

        snprintf(name, sizeof name, "f%zu", i);
        fns[i] =
            function_of(FAAS_FUNCTION(.name = name, .handler = holds, .user = &latch));
    }
    for (size_t round = 0; round < 5; round++) {
        for (size_t i = 0; i < 3; i++)
            caller_start(&callers[i], fns[(round + i) % 4]);
        latch_await(&latch, 3);
        for (size_t i = 0; i < 4; i++)
            ck_assert_status(call(fns[i]), FAAS_EBUSY);
        latch_release(&latch, 3);
        for (size_t i = 0; i < 3; i++)
            ck_assert_ok(caller_join(&callers[i]));
        /* Whatever function had the permits: any other gets them. */
        latch_release(&latch, 4);
        for (size_t i = 0; i < 4; i++)
            ck_assert_ok(call(fns[i]));
        latch_await(&latch, 4);
    }
    ck_assert_uint_eq(atomic_load(&latch.running_max), 3);
    CLOSE();
}
END_TEST

START_TEST(instances_stay_warm_when_their_permits_go_elsewhere)
{
    faas_fn fns[20];

    OPEN(.concurrency_max = 1);
    for (size_t i = 0; i < 20; i++) {
        char name[8];

        snprintf(name, sizeof name, "f%zu", i);
        fns[i] = function_of(FAAS_FUNCTION(.name = name, .handler = answers));
    }
    for (size_t round = 0; round < 10; round++)
        for (size_t i = 0; i < 20; i++)
            ck_assert_ok(call(fns[(i * 7 + round) % 20]));
    for (size_t i = 0; i < 20; i++) {
        ck_assert_uint_eq(stats_of(fns[i]).cold_starts, 1);
        ck_assert_uint_eq(stats_of(fns[i]).invocations, 10);
    }
    /* Off and on again: the same. */
    ck_assert_ok(faas_runtime_limit(w.rt, 0));
    for (size_t i = 0; i < 20; i++)
        ck_assert_status(call(fns[i]), FAAS_EBUSY);
    ck_assert_ok(faas_runtime_limit(w.rt, FAAS_UNLIMITED));
    for (size_t i = 0; i < 20; i++) {
        ck_assert_ok(call(fns[i]));
        ck_assert_uint_eq(stats_of(fns[i]).cold_starts, 1);
    }
    CLOSE();
}
END_TEST

START_TEST(a_runtimes_cap_out_of_range_is_refused)
{
    faas_fn fn;

    OPEN(.concurrency_max = FAAS_OFF);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers));
    ck_assert_status(call(fn), FAAS_EBUSY);
    ck_assert_status(faas_runtime_limit(w.rt, 1048577), FAAS_EINVAL);
    ck_assert_status(call(fn), FAAS_EBUSY);
    ck_assert_ok(faas_runtime_limit(w.rt, 1048576));
    ck_assert_ok(call(fn));
    ck_assert_ok(faas_runtime_limit(w.rt, FAAS_OFF));
    ck_assert_status(call(fn), FAAS_EBUSY);
    CLOSE();
}
END_TEST

/* ---- waiting ---- */

/* Writes down in which order calls came in; holds each until it is let go. */
struct journal {
    struct latch latch;
    atomic_uint count;
    char entries[64];
};

static int journals(faas_context *ctx, faas_bytes input)
{
    struct journal *j = faas_user(ctx);

    j->entries[atomic_fetch_add(&j->count, 1)] =
        input.size == 0 ? '-' : *(const char *)input.data;
    latch_pass(&j->latch);
    return 0;
}

/* A call with one letter as its input. */
struct signer {
    pthread_t thread;
    faas_fn fn;
    char letter;
    uint64_t limit_ns;
    faas_status status;
    faas_meter meter;
    uint64_t retry_after_ns;
};

static void *signer_run(void *user)
{
    struct signer *s = user;
    faas_result *result;

    s->status =
        faas_invoke(w.rt, s->fn, faas_bytes_of(&s->letter, 1), s->limit_ns, &result);
    s->retry_after_ns = faas_retry_after_ns();
    if (result != NULL)
        s->meter = *faas_result_meter(result);
    faas_result_release(result);
    return NULL;
}

static void signer_start(struct signer *s, faas_fn fn, char letter)
{
    s->fn = fn;
    s->letter = letter;
    ck_assert_int_eq(pthread_create(&s->thread, NULL, signer_run, s), 0);
}

static faas_status signer_join(struct signer *s)
{
    ck_assert_int_eq(pthread_join(s->thread, NULL), 0);
    return s->status;
}

static void journal_init(struct journal *j)
{
    memset(j->entries, 0, sizeof j->entries);
    atomic_init(&j->count, 0);
    latch_init(&j->latch);
}

static faas_fn waiting_function(const char *name, struct journal *j, uint32_t cap)
{
    return function_of(FAAS_FUNCTION(.name = name, .handler = journals, .user = j,
                                     .concurrency = cap, .on_full = FAAS_FULL_WAIT,
                                     .timeout_ns = FAAS_FOREVER));
}

START_TEST(waiting_calls_come_in_in_the_order_of_asking)
{
    struct signer s[6] = {{.limit_ns = 0}};
    struct journal j;
    faas_fn fn;

    OPEN_DEFAULT();
    journal_init(&j);
    fn = waiting_function("f", &j, 1);
    signer_start(&s[0], fn, 'a');
    latch_await(&j.latch, 1);
    for (uint32_t i = 1; i < 6; i++) {
        signer_start(&s[i], fn, (char)('a' + i));
        await_waiters(w.rt, i);
    }
    for (uint32_t i = 0; i < 6; i++) {
        pass_ns(MS);
        latch_release(&j.latch, 1);
        ck_assert_ok(signer_join(&s[i]));
        ck_assert_uint_eq(s[i].meter.wait_ns, i * MS);
        if (i < 5)
            latch_await(&j.latch, 1);
    }
    ck_assert_str_eq(j.entries, "abcdef");
    ck_assert_uint_eq(atomic_load(&j.latch.running_max), 1);
    ck_assert_uint_eq(stats_of(fn).throttles, 0);
    ck_assert_uint_eq(stats_of(fn).wait_ns, 15 * MS);
    ck_assert_uint_eq(stats_of(fn).cold_starts, 1);
    CLOSE();
}
END_TEST

START_TEST(the_queue_is_one_for_all_functions_at_the_runtimes_cap)
{
    struct signer s[7] = {{.limit_ns = 0}};
    struct journal j;
    faas_fn fns[3];

    OPEN(.concurrency_max = 1);
    journal_init(&j);
    fns[0] = waiting_function("f", &j, 0);
    fns[1] = waiting_function("g", &j, 0);
    fns[2] = waiting_function("h", &j, 1);
    signer_start(&s[0], fns[2], 'a');
    latch_await(&j.latch, 1);
    for (uint32_t i = 1; i < 7; i++) {
        signer_start(&s[i], fns[(i * 2) % 3], (char)('a' + i));
        await_waiters(w.rt, i);
    }
    for (uint32_t i = 0; i < 7; i++) {
        latch_release(&j.latch, 1);
        ck_assert_ok(signer_join(&s[i]));
        if (i < 6)
            latch_await(&j.latch, 1);
    }
    ck_assert_str_eq(j.entries, "abcdefg");
    ck_assert_uint_eq(atomic_load(&j.latch.running_max), 1);
    CLOSE();
}
END_TEST

START_TEST(who_waits_for_one_function_does_not_hold_up_another)
{
    struct signer s[4] = {{.limit_ns = 0}};
    struct journal j;
    faas_fn f, g;

    OPEN(.concurrency_max = 2);
    journal_init(&j);
    f = waiting_function("f", &j, 1);
    g = waiting_function("g", &j, 0);
    signer_start(&s[0], f, 'a');
    latch_await(&j.latch, 1);
    signer_start(&s[1], f, 'b'); // waits for f, although the runtime has room
    await_waiters(w.rt, 1);
    signer_start(&s[2], g, 'c'); // passes it
    latch_await(&j.latch, 1);
    signer_start(&s[3], g, 'd'); // waits for the runtime
    await_waiters(w.rt, 2);
    latch_release(&j.latch, 1);
    latch_await(&j.latch, 1); // one of b and d, as whichever of a and c left
    latch_release(&j.latch, 3);
    for (int i = 0; i < 4; i++)
        ck_assert_ok(signer_join(&s[i]));
    ck_assert_mem_eq(j.entries, "ac", 2);
    ck_assert_uint_le(atomic_load(&j.latch.running_max), 2);
    CLOSE();
}
END_TEST

START_TEST(a_waiting_call_gives_up_at_its_deadline)
{
    static const struct {
        uint64_t wait_ns, limit_ns, ends;
        bool refused_for_time;
    } rows[] = {
        {5 * MS, 0, 5 * MS, false},
        {5 * MS, 3 * MS, 3 * MS, true},
        {5 * MS, 9 * MS, 5 * MS, false},
        {0, 4 * MS, 4 * MS, true}, // waits as long as its time limit allows
    };
    struct signer s[2] = {{.limit_ns = 0}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct journal j;
        faas_fn fn;

        OPEN_DEFAULT();
        journal_init(&j);
        fn = function_of(FAAS_FUNCTION(.name = "f", .handler = journals, .user = &j,
                                       .concurrency = 1, .on_full = FAAS_FULL_WAIT,
                                       .wait_ns = rows[i].wait_ns,
                                       .timeout_ns = FAAS_FOREVER));
        s[0].limit_ns = 0;
        signer_start(&s[0], fn, 'a');
        latch_await(&j.latch, 1);
        s[1].limit_ns = rows[i].limit_ns;
        signer_start(&s[1], fn, 'b');
        await_waiters(w.rt, 1);
        pass_ns(rows[i].ends - 1);
        await_waiters(w.rt, 1);
        pass_ns(1);
        (void)signer_join(&s[1]);
        if (rows[i].refused_for_time)
            ck_assert_int_eq(faas_status_group(s[1].status), FAAS_GROUP_REFUSED);
        else
            ck_assert_status(s[1].status, FAAS_EBUSY);
        if (s[1].status == FAAS_EBUSY)
            ck_assert_uint_ge(s[1].retry_after_ns, US);
        await_waiters(w.rt, 0);
        latch_release(&j.latch, 1);
        ck_assert_ok(signer_join(&s[0]));
        ck_assert_str_eq(j.entries, "a");
        /* It left nothing behind. */
        latch_release(&j.latch, 1);
        ck_assert_ok(call(fn));
        CLOSE();
    }
}
END_TEST

START_TEST(a_waiter_in_the_middle_may_give_up)
{
    struct signer s[4] = {{.limit_ns = 0}};
    struct journal j;
    faas_fn fn;

    OPEN_DEFAULT();
    journal_init(&j);
    fn = waiting_function("f", &j, 1);
    signer_start(&s[0], fn, 'a');
    latch_await(&j.latch, 1);
    s[2].limit_ns = MS;
    for (uint32_t i = 1; i < 4; i++) {
        signer_start(&s[i], fn, (char)('a' + i));
        await_waiters(w.rt, i);
    }
    pass_ns(MS);
    ck_assert_int_eq(faas_status_group(signer_join(&s[2])), FAAS_GROUP_REFUSED);
    latch_release(&j.latch, 3);
    ck_assert_ok(signer_join(&s[0]));
    ck_assert_ok(signer_join(&s[1]));
    ck_assert_ok(signer_join(&s[3]));
    ck_assert_str_eq(j.entries, "abd");
    CLOSE();
}
END_TEST

START_TEST(on_the_machines_clock_a_waiting_call_gives_up_as_well)
{
    faas_runtime *rt;
    faas_fn fn;
    uint64_t before;
    struct caller c = {.limit_ns = 0};
    struct latch latch;

    latch_init(&latch);
    ck_assert_ok(faas_runtime_open(&rt, NULL));
    /* However loaded the machine is: the call that holds the seat begins and ends well. */
    ck_assert_ok(faas_function_register(
        rt,
        FAAS_FUNCTION(.name = "f", .handler = holds, .user = &latch, .concurrency = 1,
                      .on_full = FAAS_FULL_WAIT, .timeout_ns = FAAS_FOREVER),
        &fn));
    w.rt = rt;
    caller_start(&c, fn);
    latch_await(&latch, 1);
    before = faas_clock_now(NULL);
    ck_assert_int_eq(
        faas_status_group(faas_invoke(rt, fn, faas_str(NULL), 20 * MS, NULL)),
        FAAS_GROUP_REFUSED);
    ck_assert_uint_ge(faas_clock_now(NULL) + MS / 10, before + 20 * MS);
    latch_release(&latch, 1);
    ck_assert_ok(caller_join(&c));
    ck_assert_ok(faas_runtime_close(rt));
}
END_TEST

/* ---- changes while calls run and wait ---- */

START_TEST(a_raised_cap_lets_waiters_in_at_once)
{
    for (int whose = 0; whose < 2; whose++) { // the function's, the runtime's
        struct signer s[4] = {{.limit_ns = 0}};
        struct journal j;
        faas_fn fn;

        OPEN(.concurrency_max = whose == 0 ? 100 : 1);
        journal_init(&j);
        fn = waiting_function("f", &j, whose == 0 ? 1 : 100);
        signer_start(&s[0], fn, 'a');
        latch_await(&j.latch, 1);
        for (uint32_t i = 1; i < 4; i++) {
            signer_start(&s[i], fn, (char)('a' + i));
            await_waiters(w.rt, i);
        }
        if (whose == 0)
            ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = 3)));
        else
            ck_assert_ok(faas_runtime_limit(w.rt, 3));
        latch_await(&j.latch, 2);
        await_waiters(w.rt, 1);
        ck_assert_uint_eq(atomic_load(&j.latch.running), 3);
        latch_release(&j.latch, 4);
        for (int i = 0; i < 4; i++)
            ck_assert_ok(signer_join(&s[i]));
        ck_assert_int_eq(j.entries[0], 'a');
        ck_assert_int_eq(j.entries[3], 'd');
        ck_assert_uint_eq(atomic_load(&j.latch.running_max), 3);
        CLOSE();
    }
}
END_TEST

START_TEST(a_lowered_cap_lets_calls_finish_and_none_begin)
{
    for (int whose = 0; whose < 2; whose++) {
        struct caller c[4] = {{.limit_ns = 0}}, last = {.limit_ns = 0};
        struct latch latch;
        faas_fn fn;

        OPEN(.concurrency_max = 4);
        latch_init(&latch);
        fn = function_of(FAAS_FUNCTION(.name = "f", .handler = holds, .user = &latch,
                                       .concurrency = 4));
        for (int i = 0; i < 4; i++)
            caller_start(&c[i], fn);
        latch_await(&latch, 4);
        if (whose == 0)
            ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = 2)));
        else
            ck_assert_ok(faas_runtime_limit(w.rt, 2));
        for (unsigned left = 4; left > 0; left--) {
            if (left >= 2) {
                ck_assert_status(call(fn), FAAS_EBUSY);
            } else {
                caller_start(&last, fn); // one runs: there is room for another
                latch_await(&latch, 1);
                ck_assert_status(call(fn), FAAS_EBUSY);
            }
            latch_release(&latch, 1);
            /* Whichever of them it was that left. */
            while (stats_of(fn).concurrency == left + (left == 1))
                (void)sched_yield();
        }
        latch_release(&latch, 1);
        for (int i = 0; i < 4; i++)
            ck_assert_ok(caller_join(&c[i]));
        ck_assert_ok(caller_join(&last));
        ck_assert_uint_eq(stats_of(fn).invocations, 5);
        CLOSE();
    }
}
END_TEST

START_TEST(a_cap_may_go_up_and_down_and_is_kept)
{
    static const uint32_t caps[] = {3, 1, 4, FAAS_OFF, 2, 5, 1, FAAS_OFF, 4};
    struct caller c[5] = {{.limit_ns = 0}};
    struct latch latch;
    faas_fn fn;

    for (int whose = 0; whose < 2; whose++) {
        OPEN_DEFAULT();
        latch_init(&latch);
        fn = function_of(FAAS_FUNCTION(.name = "f", .handler = holds, .user = &latch));
        for (size_t i = 0; i < sizeof caps / sizeof caps[0]; i++) {
            uint32_t cap = caps[i] == FAAS_OFF ? 0 : caps[i];

            if (whose == 0)
                ck_assert_ok(faas_function_update(w.rt, fn,
                                                  FAAS_FUNCTION(.concurrency = caps[i])));
            else
                ck_assert_ok(faas_runtime_limit(w.rt, caps[i]));
            for (uint32_t k = 0; k < cap; k++)
                caller_start(&c[k], fn);
            latch_await(&latch, cap);
            ck_assert_status(call(fn), FAAS_EBUSY);
            latch_release(&latch, cap);
            for (uint32_t k = 0; k < cap; k++)
                ck_assert_ok(caller_join(&c[k]));
        }
        CLOSE();
    }
}
END_TEST

/* It waits for the running call, so it is another thread's to do. */
static void *unregisters(void *fn)
{
    if (faas_function_unregister(w.rt, *(faas_fn *)fn) != FAAS_OK)
        abort();
    return NULL;
}

START_TEST(unregistering_sends_waiters_away)
{
    struct signer s[3] = {{.limit_ns = 0}};
    pthread_t remover;
    struct journal j;
    faas_fn fn;

    OPEN_DEFAULT();
    journal_init(&j);
    fn = waiting_function("f", &j, 1);
    signer_start(&s[0], fn, 'a');
    latch_await(&j.latch, 1);
    for (uint32_t i = 1; i < 3; i++) {
        signer_start(&s[i], fn, (char)('a' + i));
        await_waiters(w.rt, i);
    }
    ck_assert_int_eq(pthread_create(&remover, NULL, unregisters, &fn), 0);
    ck_assert_status(signer_join(&s[1]), FAAS_ENOENT);
    ck_assert_status(signer_join(&s[2]), FAAS_ENOENT);
    latch_release(&j.latch, 1);
    ck_assert_ok(signer_join(&s[0]));
    ck_assert_int_eq(pthread_join(remover, NULL), 0);
    ck_assert_str_eq(j.entries, "a");
    CLOSE();
}
END_TEST

static void *closes(void *status)
{
    *(faas_status *)status = faas_runtime_close(w.rt);
    return NULL;
}

START_TEST(closing_sends_waiters_away)
{
    struct signer s[4] = {{.limit_ns = 0}};
    faas_status closed = FAAS_EINVAL;
    pthread_t closer;
    struct journal j;
    faas_fn f, g;

    OPEN(.concurrency_max = 2);
    journal_init(&j);
    f = waiting_function("f", &j, 1);
    g = waiting_function("g", &j, 2);
    signer_start(&s[0], f, 'a');
    latch_await(&j.latch, 1);
    signer_start(&s[1], g, 'b');
    latch_await(&j.latch, 1);
    signer_start(&s[2], f, 'c'); // waits for f
    await_waiters(w.rt, 1);
    signer_start(&s[3], g, 'd'); // waits for the runtime
    await_waiters(w.rt, 2);
    ck_assert_int_eq(pthread_create(&closer, NULL, closes, &closed), 0);
    ck_assert_status(signer_join(&s[2]), FAAS_ECLOSED);
    ck_assert_status(signer_join(&s[3]), FAAS_ECLOSED);
    latch_release(&j.latch, 2);
    ck_assert_ok(signer_join(&s[0]));
    ck_assert_ok(signer_join(&s[1]));
    ck_assert_int_eq(pthread_join(closer, NULL), 0);
    ck_assert_ok(closed);
    faas_clock_close(w.clock);
    ck_assert_uint_eq(atomic_load(&w.faulty.live_bytes), 0);
}
END_TEST

static void *replaces(void *user)
{
    if (faas_function_replace(w.rt, *(faas_fn *)user,
                              FAAS_FUNCTION(.handler = answers)) != FAAS_OK)
        abort();
    return NULL;
}

START_TEST(a_replaced_functions_waiters_run_the_new_one)
{
    struct signer s[3] = {{.limit_ns = 0}};
    pthread_t replacer;
    struct journal j;
    faas_fn fn;

    OPEN_DEFAULT();
    journal_init(&j);
    fn = waiting_function("f", &j, 1);
    signer_start(&s[0], fn, 'a');
    latch_await(&j.latch, 1);
    for (uint32_t i = 1; i < 3; i++) {
        signer_start(&s[i], fn, (char)('a' + i));
        await_waiters(w.rt, i);
    }
    ck_assert_int_eq(pthread_create(&replacer, NULL, replaces, &fn), 0);
    ck_assert_ok(signer_join(&s[1]));
    ck_assert_ok(signer_join(&s[2]));
    latch_release(&j.latch, 1);
    ck_assert_ok(signer_join(&s[0]));
    ck_assert_int_eq(pthread_join(replacer, NULL), 0);
    ck_assert_str_eq(j.entries, "a");
    ck_assert_uint_eq(stats_of(fn).invocations, 3);
    CLOSE();
}
END_TEST

START_TEST(whether_it_waits_may_change_while_calls_run)
{
    struct signer s[2] = {{.limit_ns = 0}};
    struct journal j;
    faas_fn fn;

    OPEN_DEFAULT();
    journal_init(&j);
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = journals, .user = &j, .concurrency = 1));
    signer_start(&s[0], fn, 'a');
    latch_await(&j.latch, 1);
    ck_assert_status(call(fn), FAAS_EBUSY);
    ck_assert_ok(
        faas_function_update(w.rt, fn, FAAS_FUNCTION(.on_full = FAAS_FULL_WAIT)));
    signer_start(&s[1], fn, 'b');
    await_waiters(w.rt, 1);
    ck_assert_ok(
        faas_function_update(w.rt, fn, FAAS_FUNCTION(.on_full = FAAS_FULL_REFUSE)));
    ck_assert_status(call(fn), FAAS_EBUSY);
    latch_release(&j.latch, 2);
    ck_assert_ok(signer_join(&s[0]));
    ck_assert_ok(signer_join(&s[1]));
    CLOSE();
}
END_TEST

/* An init that stops, and then fails as often as it is told to. */
struct stubborn {
    struct latch latch;
    atomic_int failures;
};

static int init_holds(faas_context *ctx, void **state)
{
    struct stubborn *s = faas_user(ctx);

    (void)state;
    latch_pass(&s->latch);
    return atomic_fetch_sub(&s->failures, 1) > 0 ? 1 : 0;
}

START_TEST(a_failing_init_lets_the_next_waiter_try)
{
    struct signer s[3] = {{.limit_ns = 0}};
    struct stubborn stubborn;
    faas_fn fn;

    OPEN_DEFAULT();
    latch_init(&stubborn.latch);
    atomic_init(&stubborn.failures, 2);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers, .init = init_holds,
                                   .user = &stubborn, .concurrency = 1,
                                   .on_full = FAAS_FULL_WAIT));
    signer_start(&s[0], fn, 'a');
    latch_await(&stubborn.latch, 1);
    for (uint32_t i = 1; i < 3; i++) {
        signer_start(&s[i], fn, (char)('a' + i));
        await_waiters(w.rt, i);
    }
    latch_release(&stubborn.latch, 3);
    ck_assert_status(signer_join(&s[0]), FAAS_EINIT);
    ck_assert_status(signer_join(&s[1]), FAAS_EINIT);
    ck_assert_ok(signer_join(&s[2]));
    ck_assert_uint_eq(stats_of(fn).init_errors, 2);
    CLOSE();
}
END_TEST

START_TEST(a_published_event_counts_per_target)
{
    faas_delivery d;
    faas_fn fn;

    OPEN(.concurrency_max = 1);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers, .concurrency = 1));
    ck_assert_ok(faas_subscribe(w.rt, fn, NULL, NULL));
    ck_assert_ok(faas_subscribe(w.rt, fn, NULL, NULL));
    ck_assert_ok(faas_publish_json(w.rt, "/s", "t", "1", &d));
    ck_assert_uint_eq(d.ran, 2);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = FAAS_OFF)));
    ck_assert_ok(faas_publish_json(w.rt, "/s", "t", "1", &d));
    ck_assert_uint_eq(d.refused, 2);
    ck_assert_uint_eq(stats_of(fn).throttles, 2);
    CLOSE();
}
END_TEST

/* ---- storms ---- */

#ifdef FAASI_SANITIZED
enum { STORM_CALLS = 3000 };
#else
enum { STORM_CALLS = 20000 };
#endif

/* Counts who is inside, and the most. */
struct crowd {
    atomic_uint inside, most;
};

static int crowds(faas_context *ctx, faas_bytes input)
{
    static _Thread_local unsigned turn;
    struct crowd *crowd = faas_user(ctx);
    unsigned inside = atomic_fetch_add(&crowd->inside, 1) + 1;
    unsigned most = atomic_load(&crowd->most);

    (void)input;
    while (inside > most && !atomic_compare_exchange_weak(&crowd->most, &most, inside))
        continue;
    /* Not often: where others load the core, each yield gives them some milliseconds. */
    if (++turn % 64 == 0)
        (void)sched_yield();
    atomic_fetch_sub(&crowd->inside, 1);
    return 0;
}

struct stormer {
    pthread_t thread;
    const faas_fn *fns;
    size_t fn_count;
    unsigned ran, refused, other, begin;
};

static void *storms(void *user)
{
    struct stormer *s = user;

    for (unsigned i = 0; i < STORM_CALLS; i++) {
        faas_status status = faas_invoke(w.rt, s->fns[(i + s->begin) % s->fn_count],
                                         faas_str(NULL), 0, NULL);

        *(status == FAAS_OK      ? &s->ran
          : status == FAAS_EBUSY ? &s->refused
                                 : &s->other) += 1;
    }
    return NULL;
}

static void storm(struct stormer *s, size_t count, const faas_fn *fns, size_t fn_count)
{
    for (size_t i = 0; i < count; i++) {
        s[i] = (struct stormer){.fns = fns, .fn_count = fn_count, .begin = (unsigned)i};
        ck_assert_int_eq(pthread_create(&s[i].thread, NULL, storms, &s[i]), 0);
    }
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(pthread_join(s[i].thread, NULL), 0);
}

START_TEST(under_a_storm_the_cap_is_never_exceeded)
{
    for (int whose = 0; whose < 2; whose++) {
        struct crowd crowd = {0, 0};
        struct stormer s[4];
        faas_fn fns[3];

        OPEN(.concurrency_max = whose == 0 ? 100 : 2);
        for (size_t i = 0; i < 3; i++) {
            char name[8];

            snprintf(name, sizeof name, "f%zu", i);
            fns[i] =
                function_of(FAAS_FUNCTION(.name = name, .handler = crowds, .user = &crowd,
                                          .concurrency = whose == 0 ? 2 : 0));
        }
        storm(s, 4, fns, whose == 0 ? 1 : 3);
        ck_assert_uint_le(atomic_load(&crowd.most), 2);
        for (size_t i = 0; i < 4; i++) {
            ck_assert_uint_eq(s[i].other, 0);
            ck_assert_uint_eq(s[i].ran + s[i].refused, STORM_CALLS);
        }
        CLOSE();
    }
}
END_TEST

START_TEST(as_many_threads_as_the_cap_are_never_refused)
{
    for (int whose = 0; whose < 3; whose++) {
        struct crowd crowd = {0, 0};
        struct stormer s[4];
        faas_fn fns[5];

        OPEN(.concurrency_max = whose == 0 ? 100 : 4);
        for (size_t i = 0; i < 5; i++) {
            char name[8];

            snprintf(name, sizeof name, "f%zu", i);
            fns[i] =
                function_of(FAAS_FUNCTION(.name = name, .handler = crowds, .user = &crowd,
                                          .concurrency = whose == 1 ? 0 : 4));
        }
        storm(s, 4, fns, whose == 0 ? 1 : 5);
        for (size_t i = 0; i < 4; i++) {
            ck_assert_uint_eq(s[i].ran, STORM_CALLS);
            ck_assert_uint_eq(s[i].refused, 0);
        }
        CLOSE();
    }
}
END_TEST

/* Two functions whose hints stand in one place, so that no thread ever has one at hand:
 * then calls move from seat to seat, and a look at them may see one call twice. */
START_TEST(threads_that_move_from_seat_to_seat_are_never_refused)
{
    struct crowd crowd = {0, 0};
    struct stormer s[3];
    faas_fn fns[17], both[2];

    OPEN_DEFAULT();
    for (size_t i = 0; i < 17; i++) {
        char name[8];

        snprintf(name, sizeof name, "f%zu", i);
        fns[i] = function_of(FAAS_FUNCTION(.name = name, .handler = crowds,
                                           .user = &crowd, .concurrency = 3));
    }
    both[0] = fns[0];
    both[1] = fns[16];
    for (int round = 0; round < 3; round++) {
        storm(s, 3, both, 2);
        for (size_t i = 0; i < 3; i++)
            ck_assert_uint_eq(s[i].ran, STORM_CALLS);
    }
    CLOSE();
}
END_TEST

START_TEST(under_a_storm_all_that_wait_get_in)
{
    for (int whose = 0; whose < 2; whose++) {
        struct crowd crowd = {0, 0};
        struct stormer s[6];
        faas_fn fns[2];

        OPEN(.concurrency_max = whose == 0 ? 100 : 2);
        for (size_t i = 0; i < 2; i++) {
            char name[8];

            snprintf(name, sizeof name, "f%zu", i);
            fns[i] =
                function_of(FAAS_FUNCTION(.name = name, .handler = crowds, .user = &crowd,
                                          .concurrency = whose == 0 ? 1 : 0,
                                          .on_full = FAAS_FULL_WAIT));
        }
        storm(s, 6, fns, 2);
        ck_assert_uint_le(atomic_load(&crowd.most), 2);
        for (size_t i = 0; i < 6; i++)
            ck_assert_uint_eq(s[i].ran, STORM_CALLS);
        ck_assert_uint_eq(atomic_load(&w.rt->gate.waiting), 0);
        CLOSE();
    }
}
END_TEST

/* Counts those who begin while as many as `cap` are inside. */
struct watched {
    atomic_uint inside, cap, over;
    atomic_bool watching, ends;
    atomic_uint calls[4];
};

static int is_watched(faas_context *ctx, faas_bytes input)
{
    struct watched *watched = faas_user(ctx);
    unsigned inside = atomic_fetch_add(&watched->inside, 1) + 1;

    (void)input;
    if (atomic_load(&watched->watching) && inside > atomic_load(&watched->cap))
        atomic_fetch_add(&watched->over, 1);
    (void)sched_yield();
    atomic_fetch_sub(&watched->inside, 1);
    return 0;
}

struct watcher {
    pthread_t thread;
    struct watched *watched;
    faas_fn fn;
    unsigned number;
};

static void *goes_on(void *user)
{
    struct watcher *watcher = user;

    while (!atomic_load(&watcher->watched->ends)) {
        faas_status status = faas_invoke(w.rt, watcher->fn, faas_str(NULL), 0, NULL);

        if (status != FAAS_OK && status != FAAS_EBUSY)
            abort();
        atomic_fetch_add(&watcher->watched->calls[watcher->number], 1);
    }
    return NULL;
}

/* Until every thread has begun and ended a call. */
static void let_all_pass(struct watched *watched)
{
    for (int i = 0; i < 4; i++) {
        unsigned seen = atomic_load(&watched->calls[i]);

        while (atomic_load(&watched->calls[i]) - seen < 2)
            (void)sched_yield();
    }
}

START_TEST(caps_that_change_in_a_storm_are_kept)
{
    for (int whose = 0; whose < 2; whose++) {
        struct watched watched = {.inside = 0};
        struct watcher watchers[4];
        faas_fn fn;

        OPEN_DEFAULT();
        fn = function_of(
            FAAS_FUNCTION(.name = "f", .handler = is_watched, .user = &watched));
        for (unsigned i = 0; i < 4; i++) {
            watchers[i] = (struct watcher){.watched = &watched, .fn = fn, .number = i};
            ck_assert_int_eq(
                pthread_create(&watchers[i].thread, NULL, goes_on, &watchers[i]), 0);
        }
        for (unsigned i = 0; i < 12; i++) {
            uint32_t cap = i % 4;

            atomic_store(&watched.watching, false);
            if (whose == 0)
                ck_assert_ok(faas_function_update(
                    w.rt, fn, FAAS_FUNCTION(.concurrency = cap == 0 ? FAAS_OFF : cap)));
            else
                ck_assert_ok(faas_runtime_limit(w.rt, cap));
            /* Calls that were admitted before the change may still be on their way. */
            let_all_pass(&watched);
            atomic_store(&watched.cap, cap);
            atomic_store(&watched.watching, true);
            let_all_pass(&watched);
            ck_assert_uint_eq(atomic_load(&watched.over), 0);
        }
        atomic_store(&watched.ends, true);
        for (int i = 0; i < 4; i++)
            ck_assert_int_eq(pthread_join(watchers[i].thread, NULL), 0);
        CLOSE();
    }
}
END_TEST

SUITE_MAIN("limits", a_cap_of_n_lets_n_run_and_refuses_the_next,
           a_function_that_is_off_refuses_until_it_is_on,
           the_runtimes_cap_holds_over_all_functions,
           instances_stay_warm_when_their_permits_go_elsewhere,
           a_runtimes_cap_out_of_range_is_refused,
           waiting_calls_come_in_in_the_order_of_asking,
           the_queue_is_one_for_all_functions_at_the_runtimes_cap,
           who_waits_for_one_function_does_not_hold_up_another,
           a_waiting_call_gives_up_at_its_deadline, a_waiter_in_the_middle_may_give_up,
           on_the_machines_clock_a_waiting_call_gives_up_as_well,
           a_raised_cap_lets_waiters_in_at_once,
           a_lowered_cap_lets_calls_finish_and_none_begin,
           a_cap_may_go_up_and_down_and_is_kept, unregistering_sends_waiters_away,
           closing_sends_waiters_away, a_replaced_functions_waiters_run_the_new_one,
           whether_it_waits_may_change_while_calls_run,
           a_failing_init_lets_the_next_waiter_try, a_published_event_counts_per_target,
           under_a_storm_the_cap_is_never_exceeded,
           as_many_threads_as_the_cap_are_never_refused,
           threads_that_move_from_seat_to_seat_are_never_refused,
           under_a_storm_all_that_wait_get_in, caps_that_change_in_a_storm_are_kept)
