/* SPDX-License-Identifier: MIT */
/* test_runtime.c - opening, closing, several runtimes, and want of memory everywhere. */
#define _GNU_SOURCE // RTLD_DEFAULT
#include "runtime_support.h"

#include <dlfcn.h>

/* ---- opening ---- */

START_TEST(open_refuses_what_is_out_of_range)
{
    static const struct {
        faas_runtime_options opt;
        faas_status status;
        const char *text;
    } rows[] = {
        {{.size = 0},
         FAAS_EINVAL,
         "runtime options: size is 0; set it to sizeof the struct"},
        {{.size = 7},
         FAAS_EINVAL,
         "runtime options: size is 7; set it to sizeof the struct"},
        {{.size = 4097},
         FAAS_EINVAL,
         "runtime options: size is 4097; set it to sizeof the struct"},
        {{.size = sizeof(faas_runtime_options), .concurrency_max = 1048577},
         FAAS_EINVAL,
         "concurrency_max: 1048577 is over 1048576"},
        {{.size = sizeof(faas_runtime_options), .depth_max = 1025},
         FAAS_EINVAL,
         "depth_max: 1025 is over 1024"},
        {{.size = sizeof(faas_runtime_options), .keepalive = (faas_keepalive)99},
         FAAS_EINVAL,
         "keepalive: 99 is unknown"},
        {{.size = sizeof(faas_runtime_options), .housekeeping = (faas_housekeeping)3},
         FAAS_EINVAL,
         "housekeeping: 3 is unknown"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        faas_runtime *rt = (faas_runtime *)(uintptr_t)1;

        ck_assert_status(faas_runtime_open(&rt, &rows[i].opt), rows[i].status);
        ck_assert_ptr_null(rt);
        ck_assert_str_eq(faas_error_text(), rows[i].text);
    }
}
END_TEST

START_TEST(open_knows_older_and_newer_programs)
{
    struct {
        faas_runtime_options known;
        uint64_t newer;
    } future = {.known = {.size = sizeof future}, .newer = 1};
    faas_runtime_options old = {.size = offsetof(faas_runtime_options, depth_max),
                                .depth_max = 9999};
    faas_runtime *rt = (faas_runtime *)(uintptr_t)1;

    ck_assert_status(faas_runtime_open(&rt, &future.known), FAAS_EVERSION);
    ck_assert_ptr_null(rt);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "is newer than 0.1"));
    future.newer = 0;
    ck_assert_ok(faas_runtime_open(&rt, &future.known));
    ck_assert_ok(faas_runtime_close(rt));
    ck_assert_ok(faas_runtime_open(&rt, &old)); // what it does not know is not read
    ck_assert_ok(faas_runtime_close(rt));
    ck_assert_ok(faas_runtime_open(&rt, NULL));
    ck_assert_ok(faas_runtime_close(rt));
    ck_assert_ok(faas_runtime_close(NULL));
}
END_TEST

START_TEST(open_refuses_a_thread_for_a_clock_that_is_moved_by_hand)
{
    faas_runtime_options opt = FAAS_RUNTIME_OPTIONS_INIT;
    faas_runtime *rt;

    opt.housekeeping = FAAS_HOUSEKEEPING_THREAD;
    ck_assert_ok(faas_clock_open_virtual(0, NULL, &opt.clock));
    ck_assert_status(faas_runtime_open(&rt, &opt), FAAS_EINVAL);
    faas_clock_close(opt.clock);
    ck_assert_ok(faas_clock_open_running(0, NULL, &opt.clock));
    ck_assert_status(faas_runtime_open(&rt, &opt), FAAS_EINVAL);
    opt.housekeeping = FAAS_HOUSEKEEPING_DEFAULT;
    ck_assert_ok(faas_runtime_open(&rt, &opt));
    ck_assert_uint_lt(faas_runtime_now(rt), 60 * SEC);
    faas_clock_advance(opt.clock, 100 * SEC);
    ck_assert_uint_ge(faas_runtime_now(rt), 100 * SEC);
    ck_assert_ok(faas_runtime_close(rt));
    faas_clock_close(opt.clock);
}
END_TEST

START_TEST(open_leaks_nothing_whichever_allocation_fails)
{
    for (int thread = 0; thread < 2; thread++)
        for (int then_on = 0; then_on < 2; then_on++)
            for (unsigned fail_at = 1;; fail_at++) {
                struct faulty f = {.fail_at = fail_at, .from_then_on = then_on == 1};
                faas_allocator alloc = faulty_allocator(&f);
                faas_runtime_options opt = FAAS_RUNTIME_OPTIONS_INIT;
                faas_runtime *rt;
                faas_status status;

                opt.allocator = &alloc;
                opt.housekeeping =
                    thread == 1 ? FAAS_HOUSEKEEPING_THREAD : FAAS_HOUSEKEEPING_HOST;
                status = faas_runtime_open(&rt, &opt);
                if (status == FAAS_OK)
                    ck_assert_ok(faas_runtime_close(rt));
                else
                    ck_assert_ptr_null(rt);
                ck_assert_uint_eq(atomic_load(&f.live_bytes), 0);
                if (atomic_load(&f.failures) == 0) {
                    ck_assert_uint_gt(fail_at, 3);
                    break;
                }
                ck_assert_status(status, FAAS_ENOMEM);
            }
}
END_TEST

START_TEST(runtimes_open_and_close_quickly)
{
    for (int i = 0; i < 200; i++) {
        faas_runtime *rt;
        faas_fn fn;

        ck_assert_ok(faas_runtime_open(&rt, NULL));
        if (i % 2 == 0) {
            ck_assert_ok(faas_function_register(
                rt, FAAS_FUNCTION(.name = "f", .handler = answers), &fn));
            ck_assert_ok(faas_invoke(rt, fn, faas_str(NULL), 0, NULL));
        }
        ck_assert_ok(faas_runtime_close(rt));
    }
}
END_TEST

/* ---- handles that mean nothing ---- */

/* Uses a handle in every way that there is; all must say FAAS_ENOENT. */
static void use_dead_handle(faas_runtime *rt, faas_fn fn)
{
    faas_function_stats stats = {.size = sizeof stats};
    faas_function_info info = {.size = sizeof info};
    faas_share share = {1, 1};
    faas_value value;
    faas_result *result;
    faas_fn out = fn;
    uint64_t id = 1;
    uint32_t version = 1;

    ck_assert_status(faas_invoke(rt, fn, faas_str(NULL), 0, NULL), FAAS_ENOENT);
    ck_assert_status(faas_invoke(rt, fn, faas_str(NULL), 0, &result), FAAS_ENOENT);
    ck_assert_ptr_null(result);
    ck_assert_status(
        faas_invoke_with(rt, fn, faas_str(NULL), FAAS_CALL(.key = faas_str("k")), NULL),
        FAAS_ENOENT);
    ck_assert_status(faas_call(rt, fn, NULL, 0, 0, &value), FAAS_ENOENT);
    ck_assert_status(faas_function_replace(rt, fn, FAAS_FUNCTION(.handler = answers)),
                     FAAS_ENOENT);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "is gone"));
    ck_assert_status(faas_function_update(rt, fn, FAAS_FUNCTION(.concurrency = 1)),
                     FAAS_ENOENT);
    ck_assert_status(faas_function_unregister(rt, fn), FAAS_ENOENT);
    ck_assert_status(faas_function_publish(rt, fn, &version, &out), FAAS_ENOENT);
    ck_assert_uint_eq(version, 0);
    ck_assert(no_fn(out));
    out = fn;
    ck_assert_status(faas_alias_put(rt, fn, "live", &share, 1, &out), FAAS_ENOENT);
    ck_assert(no_fn(out));
    ck_assert_status(faas_subscribe(rt, fn, NULL, &id), FAAS_ENOENT);
    ck_assert_uint_eq(id, 0);
    ck_assert_status(faas_rule_put(rt, "r", "{\"type\":[\"t\"]}", fn), FAAS_ENOENT);
    ck_assert_status(faas_function_stats_get(rt, fn, &stats, NULL), FAAS_ENOENT);
    ck_assert_status(faas_function_describe(rt, fn, &info), FAAS_ENOENT);
}

START_TEST(a_handle_that_is_stale_or_foreign_or_made_up_gives_enoent)
{
    faas_runtime *other;
    faas_fn fn, foreign, kept, made_up;

    OPEN_DEFAULT();
    ck_assert_ok(faas_runtime_open(&other, NULL));
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers));
    ck_assert_ok(faas_function_register(
        other, FAAS_FUNCTION(.name = "f", .handler = answers), &foreign));
    ck_assert_ok(call(fn)); // so that there are hints
    ck_assert_ok(faas_invoke(other, foreign, faas_str(NULL), 0, NULL));

    use_dead_handle(w.rt, (faas_fn){0, 0, 0});
    use_dead_handle(w.rt, foreign);
    use_dead_handle(other, fn);
    made_up = fn;
    made_up.index = 12345;
    use_dead_handle(w.rt, made_up);
    made_up.index = UINT32_MAX;
    use_dead_handle(w.rt, made_up);
    made_up = fn;
    made_up.generation++;
    use_dead_handle(w.rt, made_up);
    made_up.generation = 0;
    use_dead_handle(w.rt, made_up);

    ck_assert_ok(faas_function_unregister(w.rt, fn));
    use_dead_handle(w.rt, fn);
    kept = function_of(FAAS_FUNCTION(.name = "f", .handler = answers));
    use_dead_handle(w.rt, fn); // although its place is taken again
    ck_assert_ok(call(kept));
    ck_assert_ok(faas_invoke(other, foreign, faas_str(NULL), 0, NULL));
    ck_assert_ok(faas_runtime_close(other));
    CLOSE();
}
END_TEST

static int says_which(faas_context *ctx, faas_bytes input)
{
    (void)input;
    return faas_reply(ctx, faas_str(faas_user(ctx)));
}

START_TEST(two_runtimes_do_not_see_each_other)
{
    static char first[] = "first", second[] = "second";
    faas_runtime *other;
    faas_delivery d;
    faas_result *result;
    faas_fn mine, theirs, found;
    uint32_t at = 0;
    uint64_t id;

    OPEN(.concurrency_max = 1);
    ck_assert_ok(faas_runtime_open(&other, NULL));
    mine = function_of(FAAS_FUNCTION(.name = "f", .handler = says_which, .user = first));
    ck_assert_status(faas_function_find(other, faas_str("f"), &found), FAAS_ENOENT);
    ck_assert_status(faas_function_next(other, &at, &found), FAAS_ENOENT);
    ck_assert_ok(faas_function_register(
        other, FAAS_FUNCTION(.name = "f", .handler = says_which, .user = second),
        &theirs));
    for (int i = 0; i < 3; i++) { // the hints of this thread do not mix them up
        result = result_of(mine, NULL);
        ck_assert_bytes(faas_result_bytes(result), "first");
        faas_result_release(result);
        ck_assert_ok(faas_invoke(other, theirs, faas_str(NULL), 0, &result));
        ck_assert_bytes(faas_result_bytes(result), "second");
        faas_result_release(result);
    }
    ck_assert_ok(faas_subscribe(w.rt, mine, NULL, &id));
    ck_assert_ok(faas_publish_json(other, "/s", "t", "1", &d));
    ck_assert_uint_eq(d.matched, 0);
    ck_assert_status(faas_unsubscribe(other, id), FAAS_ENOENT);
    ck_assert_ok(faas_publish_json(w.rt, "/s", "t", "1", &d));
    ck_assert_uint_eq(d.ran, 1);

    ck_assert_ok(faas_runtime_limit(w.rt, 0));
    ck_assert_status(call(mine), FAAS_EBUSY);
    ck_assert_ok(faas_invoke(other, theirs, faas_str(NULL), 0, NULL));
    ck_assert_uint_eq(stats_of(mine).invocations, 4);

    CLOSE();
    ck_assert_ok(faas_invoke(other, theirs, faas_str(NULL), 0, NULL));
    ck_assert_ok(faas_runtime_close(other));
}
END_TEST

START_TEST(many_runtimes_in_turn_are_told_apart_by_hints)
{
    faas_fn old = {0, 0, 0};

    for (int i = 0; i < 50; i++) {
        faas_fn fn;

        OPEN_DEFAULT();
        fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers));
        ck_assert_ok(call(fn));
        ck_assert_ok(call(fn));
        ck_assert_status(call(old), FAAS_ENOENT);
        old = fn;
        CLOSE();
    }
}
END_TEST

/* ---- closing ---- */

static faas_runtime *to_close;

static int closes_another(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    (void)input;
    return faas_runtime_close(to_close);
}

static faas_fn far_fn;
static faas_runtime *far_rt;

static int calls_far(faas_context *ctx, faas_bytes input)
{
    faas_result *result;
    faas_status status;
    int code;

    (void)ctx;
    status = faas_invoke(far_rt, far_fn, input, 0, &result);
    if (result == NULL)
        return status;
    code = faas_result_code(result);
    faas_result_release(result);
    return code;
}

START_TEST(close_is_refused_inside_a_handler_of_that_runtime_alone)
{
    faas_runtime *other;
    faas_result *result;
    faas_fn fn, far;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = closes_another));
    far = function_of(FAAS_FUNCTION(.name = "far", .handler = calls_far));
    to_close = w.rt;
    ck_assert_status(faas_invoke(w.rt, fn, faas_str(NULL), 0, &result), FAAS_EHANDLER);
    ck_assert_int_eq(faas_result_code(result), FAAS_EPERM);
    faas_result_release(result);

    /* Through another runtime as well: it would wait for itself. */
    ck_assert_ok(faas_runtime_open(&far_rt, NULL));
    ck_assert_ok(faas_function_register(
        far_rt, FAAS_FUNCTION(.name = "f", .handler = closes_another), &far_fn));
    ck_assert_status(faas_invoke(w.rt, far, faas_str(NULL), 0, &result), FAAS_EHANDLER);
    ck_assert_int_eq(faas_result_code(result), FAAS_EPERM);
    faas_result_release(result);
    ck_assert_ok(faas_runtime_close(far_rt));

    /* Another one may be closed. */
    ck_assert_ok(faas_runtime_open(&other, NULL));
    to_close = other;
    ck_assert_ok(call(fn));
    CLOSE();
}
END_TEST

struct closer {
    pthread_t thread;
    faas_status status;
};

static void *runs_close(void *user)
{
    ((struct closer *)user)->status = faas_runtime_close(w.rt);
    return NULL;
}

/* With a call that runs until the test lets it go: else the runtime might be gone at
 * once.
 */
static void closer_start(struct closer *c)
{
    ck_assert_int_eq(pthread_create(&c->thread, NULL, runs_close, c), 0);
    /* It refuses from this on. */
    while (!atomic_load(&w.rt->gate.closing))
        (void)sched_yield();
}

static void closer_join(struct closer *c)
{
    ck_assert_int_eq(pthread_join(c->thread, NULL), 0);
    ck_assert_ok(c->status);
    faas_clock_close(w.clock);
    ck_assert_uint_eq(atomic_load(&w.faulty.live_blocks), 0);
}

static int drops_text(const char *text, size_t size, void *user)
{
    (void)text;
    (void)size;
    (void)user;
    return 0;
}

static double half(double x)
{
    return x / 2;
}

START_TEST(while_it_closes_every_call_gets_eclosed)
{
    faas_function_stats stats = {.size = sizeof stats};
    faas_function_info info = {.size = sizeof info};
    struct caller c = {.limit_ns = 0};
    faas_share share = {1, 1};
    struct closer closer;
    struct latch latch;
    faas_value value = faas_f64(1);
    faas_event *event;
    faas_result *result;
    faas_fn fn, idle, out;
    uint64_t id, next = 0;

    OPEN_DEFAULT();
    latch_init(&latch);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = holds, .user = &latch));
    idle = function_of(FAAS_FUNCTION(.name = "idle", .handler = answers));
    ck_assert_ok(call(idle));
    ck_assert_ok(faas_subscribe(w.rt, idle, NULL, &id));
    ck_assert_ok(
        faas_event_create(FAAS_EVENT(.id = "1", .source = "/s", .type = "t"), &event));
    caller_start(&c, fn);
    latch_await(&latch, 1);
    closer_start(&closer);

    result = (faas_result *)(uintptr_t)1;
    ck_assert_status(faas_invoke(w.rt, fn, faas_str(NULL), 0, &result), FAAS_ECLOSED);
    ck_assert_ptr_null(result);
    ck_assert_status(faas_invoke_with(w.rt, fn, faas_str(NULL), FAAS_CALL(), NULL),
                     FAAS_ECLOSED);
    ck_assert_status(faas_call(w.rt, fn, &value, 1, 0, &value), FAAS_ECLOSED);
    ck_assert_status(faas_function_register(
                         w.rt, FAAS_FUNCTION(.name = "g", .handler = answers), &out),
                     FAAS_ECLOSED);
    ck_assert(no_fn(out));
    ck_assert_status(
        faas_symbol_register(w.rt, "s", "d(d)", (void (*)(void))half, NULL, &out),
        FAAS_ECLOSED);
    ck_assert_status(faas_function_replace(w.rt, fn, FAAS_FUNCTION(.handler = answers)),
                     FAAS_ECLOSED);
    ck_assert_status(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = 2)),
                     FAAS_ECLOSED);
    ck_assert_status(faas_function_unregister(w.rt, fn), FAAS_ECLOSED);
    ck_assert_status(faas_function_publish(w.rt, fn, NULL, NULL), FAAS_ECLOSED);
    ck_assert_status(faas_alias_put(w.rt, fn, "live", &share, 1, NULL), FAAS_ECLOSED);
    ck_assert_status(faas_subscribe(w.rt, fn, NULL, NULL), FAAS_ECLOSED);
    ck_assert_status(faas_unsubscribe(w.rt, id), FAAS_ECLOSED);
    ck_assert_status(faas_rule_put(w.rt, "r", "{\"type\":[\"t\"]}", fn), FAAS_ECLOSED);
    ck_assert_status(faas_rule_delete(w.rt, "r"), FAAS_ECLOSED);
    ck_assert_status(faas_publish(w.rt, event, NULL), FAAS_ECLOSED);
    ck_assert_status(faas_publish_json(w.rt, "/s", "t", "1", NULL), FAAS_ECLOSED);
    ck_assert_status(faas_function_stats_get(w.rt, fn, &stats, NULL), FAAS_ECLOSED);
    ck_assert_status(faas_function_describe(w.rt, fn, &info), FAAS_ECLOSED);
    ck_assert_status(faas_describe_json(w.rt, drops_text, NULL), FAAS_ECLOSED);
    ck_assert_status(faas_prometheus(w.rt, drops_text, NULL), FAAS_ECLOSED);
    ck_assert_status(faas_runtime_limit(w.rt, 5), FAAS_ECLOSED);
    ck_assert_status(faas_runtime_close(w.rt), FAAS_ECLOSED);
    faas_runtime_sweep(w.rt, &next);
    ck_assert_uint_eq(next, FAAS_FOREVER);
    faas_runtime_budget(w.rt, 1);

    latch_release(&latch, 1);
    ck_assert_ok(caller_join(&c)); // the running one finishes
    closer_join(&closer);
    ck_assert_str_eq(faas_event_id(event), "1");
    faas_event_release(event);
}
END_TEST

static sem_t seen_closing;

static int waits_until_cancelled(faas_context *ctx, faas_bytes input)
{
    (void)input;
    latch_pass(faas_user(ctx));
    while (!faas_cancelled(ctx))
        (void)sched_yield();
    (void)sem_post(&seen_closing);
    return faas_time_left_ns(ctx) > 0 ? 0 : 1;
}

START_TEST(running_handlers_are_told_that_it_closes)
{
    struct caller c = {.limit_ns = 0};
    struct closer closer;
    struct latch latch;

    OPEN_DEFAULT();
    latch_init(&latch);
    ck_assert_int_eq(sem_init(&seen_closing, 0, 0), 0);
    caller_start(&c,
                 function_of(FAAS_FUNCTION(.name = "f", .handler = waits_until_cancelled,
                                           .user = &latch)));
    latch_await(&latch, 1);
    latch_release(&latch, 1);
    ck_assert_int_eq(pthread_create(&closer.thread, NULL, runs_close, &closer), 0);
    sem_take(&seen_closing);
    ck_assert_ok(caller_join(&c));
    closer_join(&closer);
}
END_TEST

static int calls_out_while_closing(faas_context *ctx, faas_bytes input)
{
    faas_runtime *rt = faas_context_runtime(ctx);
    faas_fn fn;
    faas_status status;

    latch_pass(faas_user(ctx));
    status = faas_invoke(rt, far_fn, input, 0, NULL);
    if (status != FAAS_ECLOSED)
        return 1;
    if (faas_function_register(rt, FAAS_FUNCTION(.name = "x", .handler = answers), &fn) !=
        FAAS_ECLOSED)
        return 2;
    if (faas_function_unregister(rt, far_fn) != FAAS_ECLOSED)
        return 3;
    return faas_publish_json(rt, "/s", "t", "1", NULL) == FAAS_ECLOSED ? 0 : 4;
}

START_TEST(running_handlers_may_still_call_and_are_refused)
{
    struct caller c = {.limit_ns = 0};
    struct closer closer;
    struct latch latch;

    OPEN_DEFAULT();
    latch_init(&latch);
    far_fn = function_of(FAAS_FUNCTION(.name = "far", .handler = answers));
    caller_start(
        &c, function_of(FAAS_FUNCTION(.name = "f", .handler = calls_out_while_closing,
                                      .user = &latch)));
    latch_await(&latch, 1);
    closer_start(&closer);
    latch_release(&latch, 1);
    ck_assert_ok(caller_join(&c));
    closer_join(&closer);
}
END_TEST

static void *calls_until_closed(void *user)
{
    const faas_fn *fns = user;

    for (unsigned i = 0;; i++) {
        faas_status status = faas_invoke(w.rt, fns[i % 3], faas_str(NULL), 0, NULL);

        if (status == FAAS_ECLOSED)
            return NULL;
        if (status != FAAS_OK && status != FAAS_EBUSY)
            abort();
    }
}

static void *publishes_until_closed(void *user)
{
    (void)user;
    for (;;) {
        faas_status status = faas_publish_json(w.rt, "/s", "t", "1", NULL);

        if (status == FAAS_ECLOSED)
            return NULL;
        if (status != FAAS_OK)
            abort();
    }
}

static void *edits_until_closed(void *user)
{
    (void)user;
    for (;;) {
        uint64_t id;
        faas_fn fn;
        faas_status status = faas_function_register(
            w.rt, FAAS_FUNCTION(.name = "edited", .handler = answers), &fn);

        if (status == FAAS_OK)
            status = faas_invoke(w.rt, fn, faas_str(NULL), 0, NULL);
        if (status == FAAS_OK)
            status = faas_subscribe(w.rt, fn, NULL, &id);
        if (status == FAAS_OK)
            status = faas_function_replace(w.rt, fn, FAAS_FUNCTION(.handler = answers));
        if (status == FAAS_OK)
            status = faas_function_unregister(w.rt, fn);
        if (status == FAAS_ECLOSED)
            return NULL;
        if (status != FAAS_OK)
            abort();
    }
}

START_TEST(close_in_a_storm_ends_everything)
{
#ifdef FAASI_SANITIZED
    const int rounds = 20;
#else
    const int rounds = 60;
#endif

    for (int i = 0; i < rounds; i++) {
        pthread_t threads[4];
        struct caller c = {.limit_ns = 0};
        struct closer closer;
        struct latch latch;
        atomic_uint count = 0;
        faas_fn fns[3];

        OPEN_DEFAULT();
        latch_init(&latch);
        for (int k = 0; k < 3; k++) {
            static const char *const names[] = {"a", "b", "c"};

            fns[k] = function_of(FAAS_FUNCTION(.name = names[k], .handler = counts,
                                               .user = &count, .concurrency = 2));
        }
        ck_assert_ok(faas_subscribe(w.rt, fns[0], NULL, NULL));
        /* It keeps close from returning until the others have seen it. */
        caller_start(&c, function_of(FAAS_FUNCTION(.name = "holds", .handler = holds,
                                                   .user = &latch)));
        latch_await(&latch, 1);
        for (int k = 0; k < 4; k++)
            ck_assert_int_eq(pthread_create(&threads[k], NULL,
                                            k < 2    ? calls_until_closed
                                            : k == 2 ? publishes_until_closed
                                                     : edits_until_closed,
                                            fns),
                             0);
        while (atomic_load(&count) < 100u + (unsigned)i)
            (void)sched_yield();
        closer_start(&closer);
        for (int k = 0; k < 4; k++)
            ck_assert_int_eq(pthread_join(threads[k], NULL), 0);
        latch_release(&latch, 1);
        ck_assert_ok(caller_join(&c));
        closer_join(&closer);
    }
}
END_TEST

struct publisher {
    pthread_t thread;
    faas_status status;
    faas_delivery delivery;
};

static void *publishes_once(void *user)
{
    struct publisher *p = user;

    p->status = faas_publish_json(w.rt, "/s", "t", "1", &p->delivery);
    return NULL;
}

START_TEST(close_waits_for_a_publish_that_began_before_a_subscription_changed)
{
    enum { TARGETS = 400 };
#ifdef FAASI_SANITIZED
    const int rounds = 10;
#else
    const int rounds = 30;
#endif

    for (int i = 0; i < rounds; i++) {
        struct publisher p;
        struct closer closer;
        struct latch latch;
        faas_fn first, rest;

        OPEN_DEFAULT();
        latch_init(&latch);
        first =
            function_of(FAAS_FUNCTION(.name = "first", .handler = holds, .user = &latch));
        rest = function_of(FAAS_FUNCTION(.name = "rest", .handler = answers));
        ck_assert_ok(faas_subscribe(w.rt, first, NULL, NULL));
        for (int k = 0; k < TARGETS; k++)
            ck_assert_ok(faas_subscribe(w.rt, rest, NULL, NULL));
        ck_assert_int_eq(pthread_create(&p.thread, NULL, publishes_once, &p), 0);
        latch_await(&latch, 1);
        ck_assert_ok(faas_subscribe(w.rt, rest, NULL, NULL));
        closer_start(&closer);
        latch_release(&latch, 1);
        ck_assert_int_eq(pthread_join(closer.thread, NULL), 0);
        ck_assert_ok(closer.status);
        ck_assert_int_eq(pthread_join(p.thread, NULL), 0);
        ck_assert_ok(p.status);
        ck_assert_uint_eq(p.delivery.matched, TARGETS + 1);
        ck_assert_uint_eq(p.delivery.ran + p.delivery.refused, TARGETS + 1);
        faas_clock_close(w.clock);
        ck_assert_uint_eq(atomic_load(&w.faulty.live_blocks), 0);
    }
}
END_TEST

/* ---- want of memory ---- */

/* An init that needs memory of its instance and of its heap. */
static int init_wants(faas_context *ctx, void **state)
{
    *state = faas_instance_alloc(ctx, 50000);
    return *state != NULL && faas_alloc(ctx, 50000) != NULL ? 0 : FAAS_ENOMEM;
}

static unsigned frees;

static void counts_free(void *user)
{
    (void)user;
    frees++;
}

START_TEST(user_free_runs_once_whichever_allocation_fails)
{
    for (int how = 0; how < 4; how++)
        for (unsigned n = 1;; n++) {
            const faas_function *f =
                FAAS_FUNCTION(.name = how == 2 || how == 3 ? NULL : "f",
                              .handler = how == 3 ? NULL : answers,
                              .init = how == 1 ? init_wants : NULL,
                              .provisioned = how == 1 ? 2 : 0, .user = &w,
                              .user_free = counts_free);
            unsigned failures;
            faas_status status;
            faas_fn old;

            OPEN_DEFAULT();
            old = function_of(FAAS_FUNCTION(.name = "old", .handler = answers));
            frees = 0;
            w.faulty.fail_at = atomic_load(&w.faulty.calls) + n;
            status = how == 2   ? faas_function_replace(w.rt, old, f)
                     : how == 3 ? faas_symbol_register(w.rt, "s", "d(d)",
                                                       (void (*)(void))half, f, NULL)
                                : faas_function_register(w.rt, f, NULL);
            w.faulty.fail_at = 0;
            failures = atomic_load(&w.faulty.failures);
            ck_assert_uint_eq(frees, status == FAAS_OK ? 0 : 1);
            CLOSE();
            ck_assert_uint_eq(frees, 1);
            if (failures == 0)
                break;
        }
}
END_TEST

#ifndef FAASI_SANITIZED // where memory is malloc()'s
START_TEST(by_default_memory_is_mimallocs_whose_names_nobody_else_finds)
{
    FILE *maps;
    char line[4096];
    bool there = false;
    faas_runtime *rt;

    ck_assert_ok(faas_runtime_open(&rt, NULL));
    maps = fopen("/proc/self/maps", "re");
    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof line, maps) != NULL)
        there |= strstr(line, "/libmimalloc.so") != NULL;
    (void)fclose(maps);
    ck_assert(there);
    ck_assert_ptr_null(dlsym(RTLD_DEFAULT, "mi_malloc"));
    ck_assert_ok(faas_runtime_close(rt));
}
END_TEST
#endif

START_TEST(handlers_on_workers_are_told_that_it_closes)
{
    struct latch latch;
    faas_runtime *rt;
    faas_fn fn;

    ck_assert_int_eq(sem_init(&seen_closing, 0, 0), 0);
    latch_init(&latch);
    latch_release(&latch, 1);
    ck_assert_ok(faas_runtime_open(&rt, NULL));
    ck_assert_ok(faas_function_register(
        rt, FAAS_FUNCTION(.name = "f", .handler = waits_until_cancelled, .user = &latch),
        &fn));
    ck_assert_ok(faas_invoke_async(rt, fn, faas_str(""), NULL, NULL));
    latch_await(&latch, 1);
    ck_assert_ok(faas_runtime_close(rt));
    sem_take(&seen_closing);
}
END_TEST

SUITE_MAIN("runtime", handlers_on_workers_are_told_that_it_closes,
#ifndef FAASI_SANITIZED
           by_default_memory_is_mimallocs_whose_names_nobody_else_finds,
#endif
           open_refuses_what_is_out_of_range, open_knows_older_and_newer_programs,
           open_refuses_a_thread_for_a_clock_that_is_moved_by_hand,
           open_leaks_nothing_whichever_allocation_fails, runtimes_open_and_close_quickly,
           a_handle_that_is_stale_or_foreign_or_made_up_gives_enoent,
           two_runtimes_do_not_see_each_other,
           many_runtimes_in_turn_are_told_apart_by_hints,
           close_is_refused_inside_a_handler_of_that_runtime_alone,
           while_it_closes_every_call_gets_eclosed,
           running_handlers_are_told_that_it_closes,
           running_handlers_may_still_call_and_are_refused,
           close_in_a_storm_ends_everything,
           close_waits_for_a_publish_that_began_before_a_subscription_changed,
           user_free_runs_once_whichever_allocation_fails)
