/* SPDX-License-Identifier: MIT */
/* test_instances.c - instances begin, wait, serve and end as their function says. */
#include "runtime_support.h"

/* What the hooks below share. */
struct shop {
    atomic_int inits, closes;
    atomic_int fails;       /* so many inits to come fail */
    atomic_ullong takes_ns; /* an init */
    atomic_int alive;
    struct state *_Atomic last; /* where the last call ran */
    atomic_int closed[32];      /* numbers, in order */
    sem_t closing;              /* posted by every close */
    struct latch latch;
};

/* An instance; on its own heap. */
struct state {
    struct shop *shop;
    int number;
    atomic_int inside;
    atomic_int served;
};

static int opens(faas_context *ctx, void **state)
{
    struct shop *shop = faas_user(ctx);
    struct state *s = faas_instance_alloc(ctx, sizeof *s);

    pass_ns(atomic_load(&shop->takes_ns));
    if (s == NULL)
        return FAAS_ENOMEM;
    if (atomic_load(&shop->fails) > 0) {
        atomic_fetch_sub(&shop->fails, 1);
        return faas_fail(ctx, 77, "%s is shut", "it");
    }
    s->shop = shop;
    s->number = atomic_fetch_add(&shop->inits, 1) + 1;
    atomic_fetch_add(&shop->alive, 1);
    *state = s;
    return 0;
}

static void shuts(void *state, void *user)
{
    struct shop *shop = user;
    struct state *s = state;

    if (s->shop != shop || atomic_load(&s->inside) != 0)
        abort();
    atomic_store(&shop->closed[atomic_fetch_add(&shop->closes, 1) % 32], s->number);
    s->shop = NULL; // a second close would see it
    atomic_fetch_sub(&shop->alive, 1);
    (void)sem_post(&shop->closing);
}

static int serves(faas_context *ctx, faas_bytes input)
{
    struct shop *shop = faas_user(ctx);
    struct state *s = faas_state(ctx);

    (void)input;
    if (s->shop != shop)
        abort();
    atomic_fetch_add(&s->inside, 1);
    atomic_fetch_add(&s->served, 1);
    shop->last = s;
    atomic_fetch_sub(&s->inside, 1);
    return 0;
}

/* serves(), and stays until it is let go. */
static int serves_and_holds(faas_context *ctx, faas_bytes input)
{
    struct shop *shop = faas_user(ctx);
    struct state *s = faas_state(ctx);

    (void)input;
    atomic_fetch_add(&s->inside, 1);
    atomic_fetch_add(&s->served, 1);
    latch_pass(&shop->latch);
    atomic_fetch_sub(&s->inside, 1);
    return 0;
}

static void shop_init(struct shop *shop)
{
    memset(shop, 0, sizeof *shop);
    ck_assert_int_eq(sem_init(&shop->closing, 0, 0), 0);
    latch_init(&shop->latch);
}

#define SHOP(name_, shop_, ...)                                                          \
    FAAS_FUNCTION(.name = (name_), .init = opens, .close = shuts, .user = (shop_),       \
                  __VA_ARGS__)

#define ck_assert_shop(shop, inits_, closes_)                                            \
    do {                                                                                 \
        ck_assert_int_eq(atomic_load(&(shop).inits), inits_);                            \
        ck_assert_int_eq(atomic_load(&(shop).closes), closes_);                          \
    } while (0)

/* So many calls at once, so that there are so many instances. Their function's handler is
 * serves_and_holds(). */
static void occupy(struct shop *shop, faas_fn fn, struct caller *callers, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        caller_start(&callers[i], fn);
        latch_await(&shop->latch, 1);
    }
}

static void vacate(struct shop *shop, struct caller *callers, unsigned count)
{
    latch_release(&shop->latch, count);
    for (unsigned i = 0; i < count; i++)
        ck_assert_ok(caller_join(&callers[i]));
}

static uint64_t sweep(void)
{
    uint64_t next;

    faas_runtime_sweep(w.rt, &next);
    return next;
}

/* ---- init and close ---- */

START_TEST(the_first_call_makes_an_instance_and_the_next_ones_use_it)
{
    struct shop shop;
    faas_fn fn;

    OPEN_DEFAULT();
    shop_init(&shop);
    fn = function_of(SHOP("f", &shop, .handler = serves));
    ck_assert_shop(shop, 0, 0);
    for (int i = 1; i <= 5; i++) {
        ck_assert_ok(call(fn));
        ck_assert_shop(shop, 1, 0);
        ck_assert_int_eq(atomic_load(&shop.last->served), i);
    }
    ck_assert_uint_eq(stats_of(fn).instances, 1);
    ck_assert_uint_eq(stats_of(fn).instances_idle, 1);
    ck_assert_uint_eq(stats_of(fn).cold_starts, 1);
    CLOSE();
    ck_assert_shop(shop, 1, 1);
}
END_TEST

enum ending { UNREGISTER, REPLACE, CLOSE_RUNTIME };

START_TEST(close_runs_once_per_init_however_it_ends)
{
    for (enum ending how = UNREGISTER; how <= CLOSE_RUNTIME; how++) {
        struct caller c[3] = {{.limit_ns = 0}};
        struct shop shop;
        faas_fn fn;

        OPEN_DEFAULT();
        shop_init(&shop);
        fn = function_of(SHOP("f", &shop, .handler = serves_and_holds));
        occupy(&shop, fn, c, 3);
        vacate(&shop, c, 3);
        ck_assert_shop(shop, 3, 0);
        if (how == UNREGISTER)
            ck_assert_ok(faas_function_unregister(w.rt, fn));
        else if (how == REPLACE)
            ck_assert_ok(
                faas_function_replace(w.rt, fn, FAAS_FUNCTION(.handler = answers)));
        if (how != CLOSE_RUNTIME)
            ck_assert_shop(shop, 3, 3);
        CLOSE();
        ck_assert_shop(shop, 3, 3);
    }
}
END_TEST

struct ender {
    pthread_t thread;
    enum ending how;
    faas_fn fn;
    faas_status status;
};

static void *ends(void *user)
{
    struct ender *e = user;

    e->status =
        e->how == UNREGISTER ? faas_function_unregister(w.rt, e->fn)
        : e->how == REPLACE
            ? faas_function_replace(w.rt, e->fn, FAAS_FUNCTION(.handler = answers))
            : faas_runtime_close(w.rt);
    return NULL;
}

START_TEST(busy_instances_are_closed_when_their_call_has_returned)
{
    for (enum ending how = UNREGISTER; how <= CLOSE_RUNTIME; how++) {
        struct caller c[3] = {{.limit_ns = 0}};
        struct ender e = {.how = how};
        struct shop shop;

        OPEN_DEFAULT();
        shop_init(&shop);
        e.fn = function_of(SHOP("f", &shop, .handler = serves_and_holds));
        occupy(&shop, e.fn, c, 3);
        latch_release(&shop.latch, 1); // one is idle when the end begins
        while (stats_of(e.fn).concurrency != 2)
            (void)sched_yield();
        ck_assert_int_eq(pthread_create(&e.thread, NULL, ends, &e), 0);
        sem_take(&shop.closing);
        ck_assert_shop(shop, 3, 1);
        latch_release(&shop.latch, 2);
        for (int i = 0; i < 3; i++)
            ck_assert_ok(caller_join(&c[i]));
        ck_assert_int_eq(pthread_join(e.thread, NULL), 0);
        ck_assert_ok(e.status);
        ck_assert_shop(shop, 3, 3);
        if (how != CLOSE_RUNTIME)
            CLOSE();
        else
            faas_clock_close(w.clock);
        ck_assert_uint_eq(atomic_load(&w.faulty.live_bytes), 0);
    }
}
END_TEST

START_TEST(an_init_that_fails_is_told_and_tried_anew)
{
    struct shop shop;
    faas_fn fn;

    OPEN_DEFAULT();
    shop_init(&shop);
    fn = function_of(SHOP("f", &shop, .handler = serves));
    atomic_store(&shop.fails, 2);
    for (int i = 0; i < 2; i++) {
        ck_assert_status(call(fn), FAAS_EINIT);
        ck_assert_str_eq(faas_error_text(), "init of f: code 77: it is shut");
        ck_assert_uint_eq(stats_of(fn).instances, 0);
    }
    ck_assert_ok(call(fn));
    ck_assert_shop(shop, 1, 0);
    ck_assert_uint_eq(stats_of(fn).init_errors, 2);
    ck_assert_uint_eq(stats_of(fn).cold_starts, 1);
    ck_assert_uint_eq(stats_of(fn).invocations, 1);
    CLOSE();
    ck_assert_shop(shop, 1, 1); // never for those that failed
}
END_TEST

START_TEST(an_init_that_is_late_is_closed_and_refused)
{
    struct shop shop;
    faas_fn fn;

    OPEN_DEFAULT();
    shop_init(&shop);
    fn = function_of(SHOP("f", &shop, .handler = serves, .init_timeout_ns = 5 * MS));
    atomic_store(&shop.takes_ns, 5 * MS + 1);
    ck_assert_status(call(fn), FAAS_EINIT);
    ck_assert_str_eq(faas_error_text(),
                     "init of f: 5000001 ns, over its limit of 5000000");
    ck_assert_shop(shop, 1, 1);
    atomic_store(&shop.takes_ns, 5 * MS);
    ck_assert_ok(call(fn));
    ck_assert_shop(shop, 2, 1);
    ck_assert_uint_eq(stats_of(fn).init_errors, 1);
    ck_assert_uint_eq(stats_of(fn).init_ns, 5 * MS);
    CLOSE();
    ck_assert_shop(shop, 2, 2);
}
END_TEST

static int init_looks(faas_context *ctx, void **state)
{
    unsigned char *memory = faas_instance_alloc(ctx, 100);
    unsigned char *scratch = faas_alloc(ctx, 100);

    if (*state != NULL || memory == NULL || scratch == NULL)
        return 1;
    for (int i = 0; i < 100; i++)
        if (memory[i] != 0 || scratch[i] != 0)
            return 2;
    memset(scratch, 0xee, 100); // a handler may not see it
    if (faas_user(ctx) != &w || faas_context_runtime(ctx) != w.rt ||
        strcmp(faas_context_name(ctx), "f") != 0)
        return 3;
    if (faas_time_left_ns(ctx) != 7 * SEC || faas_deadline_ns(ctx) != now_ns() + 7 * SEC)
        return 4;
    if (faas_context_event(ctx) != NULL || faas_attempt(ctx) != 1 ||
        faas_tenant(ctx).size != 0 || faas_cancelled(ctx) || faas_trace(ctx).size != 0)
        return 5;
    strcpy((char *)memory, "state");
    *state = memory;
    return 0;
}

static int handler_looks(faas_context *ctx, faas_bytes input)
{
    const unsigned char *scratch = faas_alloc(ctx, 1000);

    (void)input;
    for (int i = 0; i < 1000; i++)
        if (scratch[i] != 0)
            return 1;
    return strcmp(faas_state(ctx), "state");
}

START_TEST(init_knows_its_function_and_its_time_and_makes_the_state)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = handler_looks,
                                   .init = init_looks, .user = &w,
                                   .init_timeout_ns = 7 * SEC));
    ck_assert_ok(call(fn));
    ck_assert_ok(call(fn));
    CLOSE();
}
END_TEST

static faas_fn other_fn;

static int init_uses_the_library(faas_context *ctx, void **state)
{
    faas_runtime *rt = faas_context_runtime(ctx);
    faas_fn fn;

    (void)state;
    if (faas_invoke(rt, other_fn, faas_str(NULL), 0, NULL) != FAAS_OK ||
        faas_function_find(rt, faas_str("other"), &fn) != FAAS_OK ||
        faas_function_register(rt, FAAS_FUNCTION(.name = "made", .handler = answers),
                               &fn) != FAAS_OK ||
        faas_function_unregister(rt, fn) != FAAS_OK)
        return 1;
    return faas_runtime_close(rt) == FAAS_EPERM ? 0 : 2;
}

static int close_uses;

static void close_uses_the_library(void *state, void *user)
{
    faas_runtime *rt = user;
    faas_fn fn;
    faas_status status;

    (void)state;
    status = faas_runtime_close(rt);
    if (status != FAAS_EPERM)
        abort();
    status = faas_function_register(rt, FAAS_FUNCTION(.name = "made", .handler = answers),
                                    &fn);
    if (status == FAAS_OK)
        status = faas_invoke(rt, fn, faas_str(NULL), 0, NULL);
    if (status == FAAS_OK)
        status = faas_function_unregister(rt, fn);
    close_uses += status == FAAS_OK ? 1 : 100;
}

START_TEST(hooks_may_call_the_library_but_not_close_the_runtime)
{
    faas_fn fn;

    OPEN_DEFAULT();
    other_fn = function_of(FAAS_FUNCTION(.name = "other", .handler = answers));
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers,
                                   .init = init_uses_the_library,
                                   .close = close_uses_the_library, .user = w.rt,
                                   .invocation_max = 1));
    ck_assert_ok(call(fn)); // closes behind itself
    ck_assert_int_eq(close_uses, 1);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.invocation_max = 100)));
    ck_assert_ok(call(fn));
    pass_ns(600 * SEC);
    (void)sweep();
    ck_assert_int_eq(close_uses, 2);
    ck_assert_ok(call(fn));
    ck_assert_ok(faas_function_unregister(w.rt, fn));
    ck_assert_int_eq(close_uses, 3);
    CLOSE();
}
END_TEST

/* ---- when they end ---- */

START_TEST(an_instance_unused_for_its_idle_time_is_closed_then)
{
    struct shop shop;
    uint64_t left_at;
    faas_fn fn;

    OPEN_DEFAULT();
    shop_init(&shop);
    fn = function_of(SHOP("f", &shop, .handler = serves, .idle_ns = 10 * SEC));
    ck_assert_uint_eq(sweep(), FAAS_FOREVER);
    ck_assert_ok(call(fn));
    pass_ns(4 * SEC);
    ck_assert_ok(call(fn)); // it counts from the last use
    left_at = now_ns();
    ck_assert_uint_eq(sweep(), left_at + 10 * SEC);
    pass_ns(10 * SEC - 1);
    ck_assert_uint_eq(sweep(), left_at + 10 * SEC);
    ck_assert_shop(shop, 1, 0);
    pass_ns(1);
    ck_assert_uint_eq(sweep(), FAAS_FOREVER);
    ck_assert_shop(shop, 1, 1);
    ck_assert_uint_eq(stats_of(fn).instances, 0);
    ck_assert_ok(call(fn));
    ck_assert_shop(shop, 2, 1);
    ck_assert_uint_eq(stats_of(fn).evictions, 0);
    CLOSE();
}
END_TEST

START_TEST(the_idle_time_is_600_seconds_or_for_ever)
{
    struct shop shop;
    faas_fn fn, stays;

    OPEN_DEFAULT();
    shop_init(&shop);
    fn = function_of(SHOP("f", &shop, .handler = serves));
    stays = function_of(SHOP("g", &shop, .handler = serves, .idle_ns = FAAS_FOREVER));
    ck_assert_ok(call(fn));
    ck_assert_ok(call(stays));
    ck_assert_uint_eq(sweep(), now_ns() + 600 * SEC);
    pass_ns(600 * SEC);
    ck_assert_uint_eq(sweep(), FAAS_FOREVER);
    ck_assert_shop(shop, 2, 1);
    pass_ns(1000000 * SEC);
    ck_assert_uint_eq(sweep(), FAAS_FOREVER);
    ck_assert_shop(shop, 2, 1);
    CLOSE();
}
END_TEST

START_TEST(a_busy_instance_is_not_idle)
{
    struct caller c = {.limit_ns = FAAS_FOREVER};
    struct shop shop;
    faas_fn fn;

    OPEN_DEFAULT();
    shop_init(&shop);
    fn = function_of(SHOP("f", &shop, .handler = serves_and_holds, .idle_ns = SEC,
                          .timeout_ns = FAAS_FOREVER));
    occupy(&shop, fn, &c, 1);
    pass_ns(100 * SEC);
    (void)sweep();
    ck_assert_shop(shop, 1, 0);
    vacate(&shop, &c, 1);
    (void)sweep();
    ck_assert_shop(shop, 1, 0); // just used
    pass_ns(SEC);
    (void)sweep();
    ck_assert_shop(shop, 1, 1);
    CLOSE();
}
END_TEST

START_TEST(an_instance_that_served_its_number_of_calls_is_closed)
{
    struct shop shop;
    faas_fn fn;

    OPEN_DEFAULT();
    shop_init(&shop);
    fn = function_of(SHOP("f", &shop, .handler = serves, .invocation_max = 3));
    for (int i = 1; i <= 10; i++) {
        ck_assert_ok(call(fn));
        ck_assert_shop(shop, (i + 2) / 3, i / 3);
    }
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.invocation_max = 1)));
    ck_assert_ok(call(fn));
    ck_assert_shop(shop, 4, 4);
    ck_assert_ok(
        faas_function_update(w.rt, fn, FAAS_FUNCTION(.invocation_max = UINT64_MAX)));
    for (int i = 0; i < 10; i++)
        ck_assert_ok(call(fn));
    ck_assert_shop(shop, 5, 4);
    CLOSE();
}
END_TEST

START_TEST(an_old_instance_is_closed_when_idle)
{
    struct shop shop;
    uint64_t born;
    faas_fn fn;

    OPEN_DEFAULT();
    shop_init(&shop);
    fn = function_of(SHOP("f", &shop, .handler = serves, .age_ns = 10 * SEC));
    ck_assert_ok(call(fn));
    born = now_ns();
    for (int i = 1; i < 10; i++) { // however much it is used
        pass_ns(SEC);
        ck_assert_ok(call(fn));
        ck_assert_uint_eq(sweep(), born + 10 * SEC);
    }
    pass_ns(SEC - 1);
    ck_assert_ok(call(fn));
    ck_assert_shop(shop, 1, 0);
    pass_ns(1);
    (void)sweep();
    ck_assert_shop(shop, 1, 1);
    /* Or by the call that leaves it. */
    ck_assert_ok(call(fn));
    ck_assert_shop(shop, 2, 1);
    pass_ns(10 * SEC);
    ck_assert_ok(call(fn));
    ck_assert_shop(shop, 2, 2);
    CLOSE();
}
END_TEST

START_TEST(the_housekeeping_thread_closes_what_is_due)
{
    struct shop shop;
    faas_runtime *rt;
    faas_fn fn;

    shop_init(&shop);
    ck_assert_ok(faas_clock_open_virtual(0, NULL, &w.clock)); // for the hooks
    ck_assert_ok(faas_runtime_open(&rt, NULL));
    ck_assert_ok(faas_function_register(
        rt, SHOP("f", &shop, .handler = serves, .idle_ns = 2 * MS), &fn));
    for (int i = 0; i < 3; i++) {
        ck_assert_ok(faas_invoke(rt, fn, faas_str(NULL), 0, NULL));
        sem_take(&shop.closing);
    }
    ck_assert_int_ge(atomic_load(&shop.inits), 3);
    /* A shorter time is noticed by a thread that sleeps for a longer one. */
    ck_assert_ok(faas_function_update(rt, fn, FAAS_FUNCTION(.idle_ns = 3600 * SEC)));
    ck_assert_ok(faas_invoke(rt, fn, faas_str(NULL), 0, NULL));
    ck_assert_ok(faas_function_update(rt, fn, FAAS_FUNCTION(.idle_ns = 2 * MS)));
    sem_take(&shop.closing);
    ck_assert_ok(faas_runtime_close(rt));
    ck_assert_int_eq(atomic_load(&shop.alive), 0);
    faas_clock_close(w.clock);
}
END_TEST

/* ---- which one serves ---- */

static int serves_or_holds(faas_context *ctx, faas_bytes input)
{
    return input.size == 0 ? serves_and_holds(ctx, input) : serves(ctx, input);
}

static int number_that_serves(struct shop *shop, faas_fn fn)
{
    ck_assert_ok(faas_invoke(w.rt, fn, faas_str("x"), 0, NULL));
    return shop->last->number;
}

static void *serves_elsewhere(void *user)
{
    if (faas_invoke(w.rt, *(faas_fn *)user, faas_str("x"), 0, NULL) != FAAS_OK)
        abort();
    return NULL;
}

START_TEST(the_instance_used_last_is_used_next)
{
    struct caller c[3] = {{.limit_ns = 0}};
    pthread_t thread;
    struct shop shop;
    faas_fn fn;

    OPEN_DEFAULT();
    shop_init(&shop);
    fn = function_of(SHOP("f", &shop, .handler = serves_or_holds));
    occupy(&shop, fn, c, 3);
    for (unsigned left = 3; left > 0; left--) {
        latch_release(&shop.latch, 1);
        while (stats_of(fn).concurrency == left)
            (void)sched_yield();
        pass_ns(MS);
    }
    for (int i = 0; i < 3; i++)
        ck_assert_ok(caller_join(&c[i]));
    ck_assert_uint_eq(stats_of(fn).instances_idle, 3);
    {
        int newest = number_that_serves(&shop, fn);

        for (int i = 0; i < 5; i++) {
            pass_ns(MS);
            ck_assert_int_eq(number_that_serves(&shop, fn), newest);
            /* On another thread too, which has no hint. */
            pass_ns(MS);
            ck_assert_int_eq(pthread_create(&thread, NULL, serves_elsewhere, &fn), 0);
            ck_assert_int_eq(pthread_join(thread, NULL), 0);
            ck_assert_int_eq(shop.last->number, newest);
        }
    }
    /* So the other two fall idle. */
    pass_ns(600 * SEC - 5 * MS);
    (void)sweep();
    ck_assert_shop(shop, 3, 2);
    CLOSE();
}
END_TEST

START_TEST(several_calls_may_run_in_one_instance)
{
    struct caller c[7] = {{.limit_ns = 0}};
    struct shop shop;
    faas_fn fn;

    OPEN_DEFAULT();
    shop_init(&shop);
    fn = function_of(
        SHOP("f", &shop, .handler = serves_and_holds, .instance_concurrency = 3));
    occupy(&shop, fn, c, 7);
    ck_assert_shop(shop, 3, 0);
    ck_assert_uint_eq(stats_of(fn).instances, 3);
    ck_assert_uint_eq(stats_of(fn).concurrency, 7);
    vacate(&shop, c, 7);
    ck_assert_uint_eq(stats_of(fn).instances_idle, 3);
    occupy(&shop, fn, c, 7);
    ck_assert_shop(shop, 3, 0);
    vacate(&shop, c, 7);
    /* One that is shared is idle when the last of its calls has left. */
    pass_ns(600 * SEC);
    (void)sweep();
    ck_assert_shop(shop, 3, 3);
    occupy(&shop, fn, c, 2);
    ck_assert_shop(shop, 4, 3);
    pass_ns(SEC);
    latch_release(&shop.latch, 1);
    while (stats_of(fn).concurrency == 2)
        (void)sched_yield();
    pass_ns(600 * SEC);
    (void)sweep();
    ck_assert_shop(shop, 4, 3);
    latch_release(&shop.latch, 1);
    (void)caller_join(&c[0]); // late by now
    (void)caller_join(&c[1]);
    pass_ns(600 * SEC);
    (void)sweep();
    ck_assert_shop(shop, 4, 4);
    CLOSE();
}
END_TEST

static int opens_when_let(faas_context *ctx, void **state)
{
    latch_pass(&((struct shop *)faas_user(ctx))->latch);
    return opens(ctx, state);
}

START_TEST(calls_that_may_share_wait_for_the_instance_that_is_being_made)
{
    struct caller c[3] = {{.limit_ns = 0}};
    struct shop shop;
    faas_fn fn;

    OPEN_DEFAULT();
    shop_init(&shop);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = serves, .init = opens_when_let,
                                   .close = shuts, .user = &shop,
                                   .instance_concurrency = 10));
    caller_start(&c[0], fn);
    latch_await(&shop.latch, 1);
    for (uint32_t i = 1; i < 3; i++) {
        caller_start(&c[i], fn);
        await_waiters(w.rt, i);
    }
    latch_release(&shop.latch, 1);
    for (int i = 0; i < 3; i++)
        ck_assert_ok(caller_join(&c[i]));
    ck_assert_shop(shop, 1, 0);
    CLOSE();
}
END_TEST

START_TEST(a_shared_instance_that_is_to_end_ends_with_its_last_call)
{
    struct caller c[4] = {{.limit_ns = 0}};
    struct shop shop;
    faas_fn fn;

    OPEN_DEFAULT();
    shop_init(&shop);
    fn = function_of(SHOP("f", &shop, .handler = serves_and_holds,
                          .instance_concurrency = 4, .invocation_max = 2));
    occupy(&shop, fn, c, 3);
    latch_release(&shop.latch, 2); // the second of them was the last that it serves
    while (stats_of(fn).concurrency != 1)
        (void)sched_yield();
    ck_assert_shop(shop, 1, 0);
    caller_start(&c[3], fn); // so this one finds a new instance
    latch_await(&shop.latch, 1);
    ck_assert_shop(shop, 2, 0);
    latch_release(&shop.latch, 2);
    for (int i = 0; i < 4; i++)
        ck_assert_ok(caller_join(&c[i]));
    ck_assert_shop(shop, 2, 1);
    CLOSE();
    ck_assert_shop(shop, 2, 2);
}
END_TEST

/* ---- provisioned ones ---- */

START_TEST(provisioned_instances_are_there_before_the_first_call)
{
    static const uint32_t shared[] = {1, 3};

    for (size_t i = 0; i < 2; i++) {
        struct caller c[5] = {{.limit_ns = 0}};
        struct shop shop;
        faas_fn fn;

        OPEN_DEFAULT();
        shop_init(&shop);
        fn = function_of(SHOP("f", &shop, .handler = serves_and_holds, .provisioned = 4,
                              .instance_concurrency = shared[i]));
        ck_assert_shop(shop, 4, 0);
        ck_assert_uint_eq(stats_of(fn).instances_idle, 4);
        ck_assert_uint_eq(stats_of(fn).cold_starts, 4);
        occupy(&shop, fn, c, 4);
        ck_assert_shop(shop, 4, 0);
        occupy(&shop, fn, c + 4, 1);
        ck_assert_shop(shop, shared[i] == 1 ? 5 : 4, 0);
        vacate(&shop, c, 5);
        CLOSE();
    }
}
END_TEST

START_TEST(provisioned_instances_stay_however_idle)
{
    struct caller c[4] = {{.limit_ns = 0}};
    struct shop shop;
    faas_fn fn;

    OPEN_DEFAULT();
    shop_init(&shop);
    fn = function_of(
        SHOP("f", &shop, .handler = serves_and_holds, .provisioned = 2, .idle_ns = SEC));
    occupy(&shop, fn, c, 4);
    ck_assert_shop(shop, 4, 0);
    vacate(&shop, c, 4);
    pass_ns(SEC);
    (void)sweep();
    ck_assert_shop(shop, 4, 2);
    pass_ns(1000 * SEC);
    ck_assert_uint_eq(sweep(), FAAS_FOREVER);
    ck_assert_shop(shop, 4, 2);
    CLOSE();
}
END_TEST

START_TEST(provisioned_instances_that_end_are_made_anew)
{
    struct shop shop;
    faas_fn fn;

    OPEN_DEFAULT();
    shop_init(&shop);
    fn = function_of(
        SHOP("f", &shop, .handler = serves, .provisioned = 2, .age_ns = 10 * SEC));
    ck_assert_shop(shop, 2, 0);
    pass_ns(10 * SEC);
    ck_assert_uint_eq(sweep(), now_ns() + 10 * SEC);
    ck_assert_shop(shop, 4, 2);
    ck_assert_uint_eq(stats_of(fn).instances_idle, 2);

    /* More of them, fewer, none. */
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.provisioned = 5)));
    ck_assert_shop(shop, 7, 2);
    ck_assert_ok(faas_function_update(
        w.rt, fn, FAAS_FUNCTION(.provisioned = 1, .age_ns = FAAS_FOREVER)));
    pass_ns(600 * SEC);
    (void)sweep();
    ck_assert_shop(shop, 7, 6);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.provisioned = FAAS_OFF)));
    (void)sweep();
    ck_assert_shop(shop, 7, 7);
    ck_assert_uint_eq(sweep(), FAAS_FOREVER);
    CLOSE();
}
END_TEST

/* An init that stops at a latch once it is told to. */
struct slow {
    struct latch latch;
    atomic_bool stops;
    atomic_uint made;
    faas_fn fn;
};

static int opens_slowly(faas_context *ctx, void **state)
{
    struct slow *slow = faas_user(ctx);

    *state = slow;
    if (atomic_load(&slow->stops))
        latch_pass(&slow->latch);
    atomic_fetch_add(&slow->made, 1);
    return 0;
}

static void *asks_for_two(void *user)
{
    struct slow *slow = user;

    ck_assert_ok(faas_function_update(w.rt, slow->fn, FAAS_FUNCTION(.provisioned = 2)));
    ck_assert_uint_eq(atomic_load(&slow->made), 2);
    return NULL;
}

START_TEST(whoever_asks_for_provisioned_instances_finds_them_also_if_another_makes_them)
{
    struct slow slow = {.made = 0};
    pthread_t first, second;

    OPEN_DEFAULT();
    latch_init(&slow.latch);
    slow.fn =
        function_of(FAAS_FUNCTION(.name = "f", .handler = answers, .init = opens_slowly,
                                  .user = &slow, .provisioned = 1));
    atomic_store(&slow.stops, true);
    ck_assert_int_eq(pthread_create(&first, NULL, asks_for_two, &slow), 0);
    latch_await(&slow.latch, 1);
    ck_assert_int_eq(pthread_create(&second, NULL, asks_for_two, &slow), 0);
    for (int i = 0; i < 1000; i++) // time enough to come back too early
        (void)sched_yield();
    latch_release(&slow.latch, 1);
    ck_assert_int_eq(pthread_join(first, NULL), 0);
    ck_assert_int_eq(pthread_join(second, NULL), 0);
    CLOSE();
}
END_TEST

START_TEST(a_provisioned_instance_that_fails_refuses_the_function)
{
    struct shop shop;
    faas_fn fn;

    OPEN_DEFAULT();
    shop_init(&shop);
    atomic_store(&shop.fails, 1);
    ck_assert_status(
        faas_function_register(
            w.rt, SHOP("f", &shop, .handler = serves, .provisioned = 3), &fn),
        FAAS_EINIT);
    ck_assert(no_fn(fn));
    ck_assert_str_eq(faas_error_text(), "init of f: code 77: it is shut");
    ck_assert_int_eq(atomic_load(&shop.alive), 0);
    fn = function_of(SHOP("f", &shop, .handler = serves));
    atomic_store(&shop.fails, 1);
    ck_assert_status(
        faas_function_update(w.rt, fn, FAAS_FUNCTION(.provisioned = 2, .idle_ns = SEC)),
        FAAS_EINIT);
    /* The changes hold, and the sweep makes up for it, some time later. */
    ck_assert_uint_le(sweep(), now_ns() + 60 * SEC);
    pass_ns(60 * SEC);
    (void)sweep();
    ck_assert_uint_eq(stats_of(fn).instances_idle, 2);
    /* Replacing by one that fails leaves the old one. */
    atomic_store(&shop.fails, 1);
    ck_assert_status(
        faas_function_replace(w.rt, fn,
                              SHOP(NULL, &shop, .handler = answers, .provisioned = 1)),
        FAAS_EINIT);
    ck_assert_ok(call(fn));
    ck_assert_int_eq(atomic_load(&shop.last->served), 1);
    CLOSE();
}
END_TEST

START_TEST(more_provisioned_instances_than_the_cap_are_refused)
{
    struct shop shop;
    faas_fn fn;

    OPEN_DEFAULT();
    shop_init(&shop);
    ck_assert_status(faas_function_register(w.rt,
                                            SHOP("f", &shop, .handler = serves,
                                                 .provisioned = 3, .concurrency = 2),
                                            &fn),
                     FAAS_EINVAL);
    fn = function_of(SHOP("f", &shop, .handler = serves, .concurrency = 2));
    ck_assert_status(faas_function_update(w.rt, fn, FAAS_FUNCTION(.provisioned = 3)),
                     FAAS_EINVAL);
    ck_assert_shop(shop, 0, 0);
    CLOSE();
}
END_TEST

START_TEST(provisioned_instances_beyond_the_memory_refuse_the_function)
{
    struct shop shop;
    faas_fn fn;

    OPEN(.memory_bytes = 3 << 20);
    shop_init(&shop);
    ck_assert_status(
        faas_function_register(w.rt,
                               SHOP("f", &shop, .handler = serves, .provisioned = 4,
                                    .instance_bytes = 1 << 20),
                               &fn),
        FAAS_EINIT);
    ck_assert_int_eq(atomic_load(&shop.alive), 0);
    fn = function_of(
        SHOP("f", &shop, .handler = serves, .provisioned = 2, .instance_bytes = 1 << 20));
    ck_assert_status(faas_function_update(w.rt, fn, FAAS_FUNCTION(.provisioned = 4)),
                     FAAS_EINIT);
    ck_assert_uint_eq(stats_of(fn).instances_idle, 2);
    CLOSE();
}
END_TEST

/* ---- memory ---- */

/* Functions whose instances take 1 MiB each, in a runtime of `mib` and a half. */
static void open_shops(struct shop *shop, faas_fn *fns, unsigned count, uint64_t mib,
                       faas_keepalive keepalive)
{
    OPEN(.memory_bytes = (mib << 20) + (1 << 19), .keepalive = keepalive);
    shop_init(shop);
    for (unsigned i = 0; i < count; i++) {
        char name[16];

        snprintf(name, sizeof name, "f%u", i);
        /* The idle times fall with the number. */
        fns[i] = function_of(SHOP(name, shop, .handler = serves_or_holds,
                                  .instance_bytes = 1 << 20, .idle_ns = (100 - i) * SEC));
    }
}

static int is_warm(faas_fn fn)
{
    return (int)stats_of(fn).instances;
}

START_TEST(the_one_unused_for_longest_goes_first)
{
    struct shop shop;
    faas_fn f[5];

    open_shops(&shop, f, 5, 3, FAAS_KEEPALIVE_DEFAULT);
    for (int i = 0; i < 3; i++) {
        (void)number_that_serves(&shop, f[i]);
        pass_ns(MS);
    }
    (void)number_that_serves(&shop, f[0]); // so f1 is the one
    pass_ns(MS);
    (void)number_that_serves(&shop, f[3]);
    pass_ns(MS);
    ck_assert_shop(shop, 4, 1);
    ck_assert_int_eq(atomic_load(&shop.closed[0]), 2);
    ck_assert(is_warm(f[0]) && !is_warm(f[1]) && is_warm(f[2]) && is_warm(f[3]));
    ck_assert_uint_eq(stats_of(f[1]).evictions, 1);
    (void)number_that_serves(&shop, f[4]);
    ck_assert(is_warm(f[0]) && !is_warm(f[2]) && is_warm(f[3]) && is_warm(f[4]));
    CLOSE();
    ck_assert_shop(shop, 5, 5);
}
END_TEST

START_TEST(with_ttl_the_one_whose_time_ends_first_goes_first)
{
    struct shop shop;
    faas_fn f[4];

    open_shops(&shop, f, 4, 3, FAAS_KEEPALIVE_TTL);
    for (int i = 0; i < 3; i++) {
        (void)number_that_serves(&shop, f[i]);
        pass_ns(MS);
    }
    (void)number_that_serves(&shop, f[3]);
    ck_assert(is_warm(f[0]) && is_warm(f[1]) && !is_warm(f[2]) && is_warm(f[3]));
    CLOSE();
}
END_TEST

START_TEST(without_an_idle_instance_to_close_the_call_is_refused)
{
    struct caller c[2] = {{.limit_ns = 0}};
    struct shop shop;
    faas_fn f[3];

    open_shops(&shop, f, 3, 2, FAAS_KEEPALIVE_LRU);
    occupy(&shop, f[0], &c[0], 1);
    occupy(&shop, f[1], &c[1], 1);
    ck_assert_status(call(f[2]), FAAS_EBUSY);
    ck_assert_uint_ge(faas_retry_after_ns(), US);
    ck_assert_uint_eq(stats_of(f[2]).throttles, 1);
    ck_assert_shop(shop, 2, 0);
    vacate(&shop, c, 2);
    (void)number_that_serves(&shop, f[2]);
    ck_assert_shop(shop, 3, 1);
    /* One that could never fit does not close others in vain. */
    f[0] = function_of(SHOP("huge", &shop, .handler = serves, .instance_bytes = 3 << 20));
    ck_assert_status(call(f[0]), FAAS_EBUSY);
    ck_assert_shop(shop, 3, 1);
    CLOSE();
}
END_TEST

START_TEST(a_call_may_wait_for_memory)
{
    struct caller c[3] = {{.limit_ns = 0}};
    struct shop shop;
    faas_fn f[3];

    open_shops(&shop, f, 3, 2, FAAS_KEEPALIVE_LRU);
    ck_assert_ok(
        faas_function_update(w.rt, f[2], FAAS_FUNCTION(.on_full = FAAS_FULL_WAIT)));
    occupy(&shop, f[0], &c[0], 1);
    occupy(&shop, f[1], &c[1], 1);
    caller_start(&c[2], f[2]);
    await_waiters(w.rt, 1);
    latch_release(&shop.latch, 1); // whichever leaves is closed for it
    latch_await(&shop.latch, 1);
    sem_take(&shop.closing);
    ck_assert_shop(shop, 3, 1);
    latch_release(&shop.latch, 2);
    for (int i = 0; i < 3; i++)
        ck_assert_ok(caller_join(&c[i]));
    CLOSE();
}
END_TEST

START_TEST(a_smaller_budget_closes_until_it_holds)
{
    struct caller c = {.limit_ns = 0};
    struct shop shop;
    faas_fn f[5];

    open_shops(&shop, f, 5, 5, FAAS_KEEPALIVE_LRU);
    occupy(&shop, f[0], &c, 1);
    for (int i = 1; i < 5; i++) {
        (void)number_that_serves(&shop, f[i]);
        pass_ns(MS);
    }
    faas_runtime_budget(w.rt, (3 << 20) + (1 << 19));
    ck_assert_shop(shop, 5, 2);
    ck_assert(is_warm(f[0]) && !is_warm(f[1]) && !is_warm(f[2]) && is_warm(f[3]));
    faas_runtime_budget(w.rt, 1);
    ck_assert_shop(shop, 5, 4); // all but the busy one
    vacate(&shop, &c, 1);
    ck_assert_status(call(f[1]), FAAS_EBUSY);
    faas_runtime_budget(w.rt, 0); // the default again
    (void)number_that_serves(&shop, f[1]);
    CLOSE();
}
END_TEST

START_TEST(provisioned_instances_are_not_closed_for_want_of_memory)
{
    struct shop shop;
    faas_fn f[2], kept;

    open_shops(&shop, f, 2, 2, FAAS_KEEPALIVE_LRU);
    kept = function_of(SHOP("kept", &shop, .handler = serves, .provisioned = 1,
                            .instance_bytes = 1 << 20));
    pass_ns(MS);
    (void)number_that_serves(&shop, f[0]);
    pass_ns(MS);
    (void)number_that_serves(&shop, f[1]);
    ck_assert(is_warm(kept) && !is_warm(f[0]) && is_warm(f[1]));
    faas_runtime_budget(w.rt, 1);
    ck_assert(is_warm(kept) && !is_warm(f[1]));
    CLOSE();
}
END_TEST

/* Stops whoever frees a block of this size in the middle of it. */
struct stopper {
    struct faulty *faulty;
    _Atomic size_t size;
    struct latch latch;
};

static void *stopper_alloc(size_t size, void *user)
{
    return faulty_alloc(size, ((struct stopper *)user)->faulty);
}

static void stopper_free(void *memory, size_t size, void *user)
{
    struct stopper *stopper = user;

    if (size == atomic_load(&stopper->size)) {
        atomic_store(&stopper->size, 0);
        latch_pass(&stopper->latch);
    }
    faulty_free(memory, size, stopper->faulty);
}

static int opens_with_heap(faas_context *ctx, void **state)
{
    (void)state;
    return faas_instance_alloc(ctx, 1 << 20) != NULL ? 0 : 1;
}

START_TEST(memory_that_is_being_given_back_does_not_refuse_others)
{
    struct faulty faulty = {.fail_at = 0};
    struct stopper stopper = {.faulty = &faulty};
    faas_allocator alloc = {stopper_alloc, stopper_free, &stopper};
    faas_runtime_options opt = FAAS_RUNTIME_OPTIONS_INIT;
    struct ender e = {.how = UNREGISTER};
    faas_fn small;

    latch_init(&stopper.latch);
    opt.allocator = &alloc;
    opt.memory_bytes = 4 << 20;
    ck_assert_ok(faas_clock_open_virtual(0, NULL, &opt.clock));
    ck_assert_ok(faas_runtime_open(&w.rt, &opt));
    e.fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = answers, .init = opens_with_heap));
    small = function_of(FAAS_FUNCTION(.name = "g", .handler = answers));
    ck_assert_ok(call(e.fn));
    /* The instance's heap is gone, and what counts it is on its way. */
    atomic_store(&stopper.size, sizeof(struct faasi_instance));
    ck_assert_int_eq(pthread_create(&e.thread, NULL, ends, &e), 0);
    latch_await(&stopper.latch, 1);
    ck_assert_ok(call(small));
    latch_release(&stopper.latch, 1);
    ck_assert_int_eq(pthread_join(e.thread, NULL), 0);
    ck_assert_ok(e.status);
    ck_assert_ok(faas_runtime_close(w.rt));
    faas_clock_close(opt.clock);
    ck_assert_uint_eq(atomic_load(&faulty.live_bytes), 0);
}
END_TEST

/* ---- the heap of an instance ---- */

struct pile {
    unsigned char *pieces[64];
};

static int piles_up(faas_context *ctx, void **state)
{
    struct pile *pile = faas_instance_alloc(ctx, sizeof *pile);

    if (pile == NULL)
        return 1;
    for (size_t i = 0; i < 64; i++) {
        size_t size = (i * i * 37) % 5000 + (i == 40 ? 100000 : 0);

        pile->pieces[i] = faas_instance_alloc(ctx, size);
        if (pile->pieces[i] == NULL || (uintptr_t)pile->pieces[i] % 16 != 0)
            return 2;
        for (size_t k = 0; k < size; k++)
            if (pile->pieces[i][k] != 0)
                return 3;
        memset(pile->pieces[i], (int)i + 1, size);
    }
    *state = pile;
    return 0;
}

static int checks_pile(faas_context *ctx, faas_bytes input)
{
    const struct pile *pile = faas_state(ctx);

    (void)input;
    for (size_t i = 0; i < 64; i++) {
        size_t size = (i * i * 37) % 5000 + (i == 40 ? 100000 : 0);

        for (size_t k = 0; k < size; k++)
            if (pile->pieces[i][k] != i + 1)
                return 1;
    }
    return faas_instance_alloc(ctx, SIZE_MAX - 20) == NULL &&
                   faas_instance_alloc(ctx, 0) != NULL &&
                   faas_instance_alloc(ctx, 10) != NULL
               ? 0
               : 2;
}

START_TEST(the_heap_of_an_instance_lasts_as_long_as_it_does)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn =
        function_of(FAAS_FUNCTION(.name = "f", .handler = checks_pile, .init = piles_up));
    for (int i = 0; i < 5; i++)
        ck_assert_ok(call(fn));
    ck_assert_uint_gt(stats_of(fn).instance_bytes, 100000);
    pass_ns(600 * SEC);
    (void)sweep();
    ck_assert_uint_eq(stats_of(fn).instance_bytes, 0);
    ck_assert_ok(call(fn));
    CLOSE();
}
END_TEST

START_TEST(a_thousand_load_and_unload_cycles_leave_memory_where_it_was)
{
    size_t live = 0;

    OPEN_DEFAULT();
    for (int i = 0; i < 1000; i++) {
        faas_fn fn = function_of(
            FAAS_FUNCTION(.name = "f", .handler = checks_pile, .init = piles_up));

        ck_assert_ok(call(fn));
        if (i % 2 == 0) {
            pass_ns(600 * SEC);
            (void)sweep();
        }
        ck_assert_ok(faas_function_unregister(w.rt, fn));
        if (i == 9)
            live = atomic_load(&w.faulty.live_bytes);
    }
    ck_assert_uint_eq(atomic_load(&w.faulty.live_bytes), live);
    CLOSE();
}
END_TEST

START_TEST(what_instances_hold_is_counted_and_given_back)
{
    struct caller c[3] = {{.limit_ns = 0}};
    struct shop shop;
    uint64_t before;
    faas_fn fn;

    OPEN_DEFAULT();
    shop_init(&shop);
    before = w.rt->gate.held_bytes;
    fn = function_of(SHOP("f", &shop, .handler = serves_and_holds,
                          .instance_bytes = 1 << 20, .idle_ns = SEC));
    occupy(&shop, fn, c, 3);
    ck_assert_uint_ge(w.rt->gate.held_bytes, before + (3 << 20));
    ck_assert_uint_ge(stats_of(fn).instance_bytes, 3 << 20);
    vacate(&shop, c, 3);
    pass_ns(SEC);
    (void)sweep();
    ck_assert_uint_eq(w.rt->gate.held_bytes, before);
    atomic_store(&shop.fails, 1);
    ck_assert_status(call(fn), FAAS_EINIT);
    ck_assert_uint_eq(w.rt->gate.held_bytes, before);
    CLOSE();
}
END_TEST

/* ---- storms ---- */

#ifdef FAASI_SANITIZED
enum { STORM_CALLS = 3000 };
#else
enum { STORM_CALLS = 20000 };
#endif

static int serves_alone(faas_context *ctx, faas_bytes input)
{
    struct state *s = faas_state(ctx);

    (void)input;
    if (atomic_fetch_add(&s->inside, 1) != 0)
        abort();
    atomic_fetch_add(&s->served, 1);
    if (atomic_load(&s->served) % 16 == 0)
        (void)sched_yield();
    atomic_fetch_sub(&s->inside, 1);
    return 0;
}

static void shuts_after_seven(void *state, void *user)
{
    if (atomic_load(&((struct state *)state)->served) > 7)
        abort();
    shuts(state, user);
}

static void *storms(void *user)
{
    const faas_fn *fns = user;

    for (unsigned i = 0; i < STORM_CALLS; i++)
        if (faas_invoke(w.rt, fns[i % 2], faas_str(NULL), 0, NULL) != FAAS_OK)
            abort();
    return NULL;
}

START_TEST(in_a_storm_each_instance_serves_one_at_a_time_and_no_more_than_its_number)
{
    pthread_t threads[4];
    struct shop shop;
    faas_fn fns[2];

    OPEN_DEFAULT();
    shop_init(&shop);
    for (size_t i = 0; i < 2; i++)
        fns[i] =
            function_of(FAAS_FUNCTION(.name = i == 0 ? "f" : "g", .handler = serves_alone,
                                      .init = opens, .close = shuts_after_seven,
                                      .user = &shop, .invocation_max = 7));
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, storms, fns), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_int_ge(atomic_load(&shop.inits), 4 * STORM_CALLS / 7);
    CLOSE();
    ck_assert_int_eq(atomic_load(&shop.alive), 0);
    ck_assert_int_eq(atomic_load(&shop.inits), atomic_load(&shop.closes));
}
END_TEST

static int serves_in_a_storm(faas_context *ctx, faas_bytes input)
{
    struct state *s = faas_state(ctx);

    (void)input;
    if (s->shop != faas_user(ctx))
        abort();
    atomic_fetch_add(&s->inside, 1);
    atomic_fetch_sub(&s->inside, 1);
    return 0;
}

static atomic_bool storm_ends;

static void *storms_on(void *user)
{
    const faas_fn *fns = user;

    for (unsigned i = 0; !atomic_load(&storm_ends); i++) {
        faas_status status = faas_invoke(w.rt, fns[i % 2], faas_str(NULL), 0, NULL);

        if (status != FAAS_OK && status != FAAS_EBUSY && status != FAAS_EINIT &&
            status != FAAS_ETIMEDOUT && status != FAAS_EEXPIRED)
            abort();
    }
    return NULL;
}

START_TEST(all_knobs_may_be_turned_in_a_storm)
{
    static const faas_function turns[] = {
        {.size = sizeof(faas_function), .concurrency = 1},
        {.size = sizeof(faas_function), .invocation_max = 3},
        {.size = sizeof(faas_function), .idle_ns = 1},
        {.size = sizeof(faas_function), .concurrency = 3, .provisioned = 2},
        {.size = sizeof(faas_function), .age_ns = 1},
        {.size = sizeof(faas_function), .instance_bytes = 1 << 20},
        {.size = sizeof(faas_function), .concurrency = FAAS_OFF, .provisioned = FAAS_OFF},
        {.size = sizeof(faas_function), .on_full = FAAS_FULL_WAIT, .wait_ns = 1},
        {.size = sizeof(faas_function), .concurrency = FAAS_UNLIMITED},
        {.size = sizeof(faas_function), .heap_bytes = 100, .memory_bytes = 1 << 20},
        {.size = sizeof(faas_function), .timeout_ns = FAAS_FOREVER},
        {.size = sizeof(faas_function), .on_full = FAAS_FULL_REFUSE},
        {.size = sizeof(faas_function),
         .age_ns = FAAS_FOREVER,
         .invocation_max = UINT64_MAX},
    };
    enum { TURNS = sizeof turns / sizeof turns[0] };
#ifdef FAASI_SANITIZED
    const unsigned rounds = 10;
#else
    const unsigned rounds = 40;
#endif
    pthread_t threads[3];
    struct shop shop;
    faas_fn fns[2];

    OPEN(.memory_bytes = 6 << 20);
    shop_init(&shop);
    fns[0] = function_of(SHOP("f", &shop, .handler = serves_in_a_storm));
    fns[1] = function_of(
        SHOP("g", &shop, .handler = serves_in_a_storm, .instance_concurrency = 2));
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, storms_on, fns), 0);
    for (unsigned i = 0; i < rounds * TURNS; i++) {
        faas_status status =
            faas_function_update(w.rt, fns[i % 2], &turns[(i * 5 + i / TURNS) % TURNS]);

        ck_assert_msg(status == FAAS_OK || status == FAAS_EINIT || status == FAAS_EINVAL,
                      "%s: %s", faas_status_name(status), faas_error_text());
        if (i % 3 == 0)
            ck_assert_ok(faas_runtime_limit(w.rt, i % 4));
        if (i % 5 == 0)
            faas_runtime_budget(w.rt, (uint64_t)(i % 7) << 20);
        pass_ns(i % 4);
        faas_runtime_sweep(w.rt, NULL);
    }
    ck_assert_ok(faas_runtime_limit(w.rt, 100)); // who waits goes on
    pass_ns(SEC);
    atomic_store(&storm_ends, true);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    CLOSE();
    ck_assert_int_eq(atomic_load(&shop.alive), 0);
}
END_TEST

SUITE_MAIN("instances", the_first_call_makes_an_instance_and_the_next_ones_use_it,
           close_runs_once_per_init_however_it_ends,
           busy_instances_are_closed_when_their_call_has_returned,
           an_init_that_fails_is_told_and_tried_anew,
           an_init_that_is_late_is_closed_and_refused,
           init_knows_its_function_and_its_time_and_makes_the_state,
           hooks_may_call_the_library_but_not_close_the_runtime,
           an_instance_unused_for_its_idle_time_is_closed_then,
           the_idle_time_is_600_seconds_or_for_ever, a_busy_instance_is_not_idle,
           an_instance_that_served_its_number_of_calls_is_closed,
           an_old_instance_is_closed_when_idle,
           the_housekeeping_thread_closes_what_is_due,
           the_instance_used_last_is_used_next, several_calls_may_run_in_one_instance,
           calls_that_may_share_wait_for_the_instance_that_is_being_made,
           a_shared_instance_that_is_to_end_ends_with_its_last_call,
           provisioned_instances_are_there_before_the_first_call,
           provisioned_instances_stay_however_idle,
           provisioned_instances_that_end_are_made_anew,
           whoever_asks_for_provisioned_instances_finds_them_also_if_another_makes_them,
           a_provisioned_instance_that_fails_refuses_the_function,
           more_provisioned_instances_than_the_cap_are_refused,
           provisioned_instances_beyond_the_memory_refuse_the_function,
           the_one_unused_for_longest_goes_first,
           with_ttl_the_one_whose_time_ends_first_goes_first,
           without_an_idle_instance_to_close_the_call_is_refused,
           a_call_may_wait_for_memory, a_smaller_budget_closes_until_it_holds,
           provisioned_instances_are_not_closed_for_want_of_memory,
           memory_that_is_being_given_back_does_not_refuse_others,
           the_heap_of_an_instance_lasts_as_long_as_it_does,
           a_thousand_load_and_unload_cycles_leave_memory_where_it_was,
           what_instances_hold_is_counted_and_given_back,
           in_a_storm_each_instance_serves_one_at_a_time_and_no_more_than_its_number,
           all_knobs_may_be_turned_in_a_storm)
