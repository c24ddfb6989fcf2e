/* SPDX-License-Identifier: MIT */
/* torture_calls.c - scenarios of the runtime, the registry and of calls: opening with every
 * option, functions and symbols, instances, limits, batches, remembered answers. */
#include "torture.h"

/* ---- opening and closing ---- */

static void open_and_call(const faas_runtime_options *options)
{
    faas_runtime *rt;

    if (!TRIED(faas_runtime_open(&rt, options))) {
        REQUIRE_THAT(rt == NULL);
        return;
    }
    REQUIRE_THAT(faas_runtime_close(rt) == FAAS_OK);
}

static faas_runtime_options options_of(void)
{
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;

    options.allocator = &w.alloc;
    return options;
}

static void opens_with_defaults(void)
{
    faas_runtime_options options = options_of();

    open_and_call(&options);
}

static void opens_for_a_host(void)
{
    faas_runtime_options options = options_of();

    options.housekeeping = FAAS_HOUSEKEEPING_HOST;
    options.worker_max = FAAS_OFF;
    open_and_call(&options);
}

static void opens_with_workers(void)
{
    faas_runtime_options options = options_of();

    options.worker_min = 3;
    options.worker_max = 4;
    options.blocking_max = 2;
    open_and_call(&options);
}

static void opens_on_clocks(void)
{
    faas_runtime_options options = options_of();

    if (!TRIED(faas_clock_open_virtual(5 * SEC, &w.alloc, &options.clock)))
        return;
    open_and_call(&options);
    faas_clock_close(options.clock);
    if (!TRIED(faas_clock_open_running(5 * SEC, &w.alloc, &options.clock)))
        return;
    open_and_call(&options);
    REQUIRE_THAT(faas_clock_now(options.clock) >= 5 * SEC);
    faas_clock_close(options.clock);
}

static void ignores_letter(const faas_record *record, void *user)
{
    (void)record;
    (void)user;
}

static void opens_with_every_option(void)
{
    const faas_limiter limiter = {
        .size = sizeof limiter, .kind = FAAS_LIMITER_AIMD, .rate = 1e6};
    faas_runtime_options options = options_of();

    options.concurrency_max = 7;
    options.depth_max = 5;
    options.memory_bytes = 1 << 24;
    options.seed = 7;
    options.report = drops;
    options.log = drops;
    options.queue_slots = 100;
    options.queue_bytes = 100000;
    options.spin_ns = FAAS_FOREVER;
    options.stuck_ns = SEC;
    options.dead_letter_bytes = 1000;
    options.dead_letter_slots = 10;
    options.dead_letter = ignores_letter;
    options.dedupe = FAAS_DEDUPE_CONTENT;
    options.dedupe_ns = SEC;
    options.dedupe_bytes = 100000;
    options.limiter = &limiter;
    for (int keepalive = FAAS_KEEPALIVE_LRU; keepalive <= FAAS_KEEPALIVE_LHD;
         keepalive++) {
        options.keepalive = (faas_keepalive)keepalive;
        open_and_call(&options);
    }
}

static uint32_t names_none(void *user, uint64_t now_ns)
{
    (void)user;
    (void)now_ns;
    return FAAS_KEEPALIVE_NONE;
}

static void opens_with_a_policy_of_the_host(void)
{
    const faas_keepalive_policy policy = {
        .size = sizeof policy, .name = "mine", .victim = names_none};
    faas_runtime_options options = options_of();

    options.keepalive_policy = &policy;
    open_and_call(&options);
}

/* ---- the registry ---- */

static void registers(void)
{
    faas_fn fn, found;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = answers), &fn));
    TRY(faas_function_find(w.rt, faas_str("f"), &found));
    TRY(invoke(fn, "in"));
    TRY(faas_function_unregister(w.rt, fn));
    REQUIRE_THAT(faas_function_find(w.rt, faas_str("f"), &found) == FAAS_ENOENT);
}

/* More than the tables have room for at first. */
static void registers_many(void)
{
    faas_fn fn;

    for (int i = 0; i < 200; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "f%d", i);
        TRY(add(FAAS_FUNCTION(.name = name, .handler = answers), &fn));
    }
    TRY(invoke(fn, "in"));
}

static unsigned frees;

static void counts_free(void *user)
{
    (void)user;
    frees++;
}

static void ends_its_user_once(void)
{
    faas_fn fn;

    frees = 0;
    if (!TRIED(add(FAAS_FUNCTION(.name = "f", .handler = answers, .user = &w,
                                 .user_free = counts_free),
                   &fn))) {
        REQUIRE_THAT(frees == 1);
        return;
    }
    REQUIRE_THAT(frees == 0);
    if (!TRIED(faas_function_replace(
            w.rt, fn,
            FAAS_FUNCTION(.handler = echoes, .user = &w, .user_free = counts_free)))) {
        REQUIRE_THAT(frees == 1);
        return;
    }
    REQUIRE_THAT(frees == 1);
    TRY(faas_function_unregister(w.rt, fn));
    REQUIRE_THAT(frees == 2);
}

static void replaces(void)
{
    faas_fn fn;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = fails), &fn));
    TRY(invoke_failing(fn, "in", 7));
    TRY(faas_function_replace(w.rt, fn,
                              FAAS_FUNCTION(.handler = wants, .init = init_wants,
                                            .close = init_wants_close, .provisioned = 2,
                                            .concurrency = 3)));
    TRY(invoke(fn, "in"));
}

static void updates(void)
{
    static const faas_limiter limiter = {
        .size = sizeof limiter, .kind = FAAS_LIMITER_VEGAS, .rate = 1e6};
    faas_fn fn;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = wants, .init = init_wants,
                          .close = init_wants_close),
            &fn));
    TRY(invoke(fn, "in"));
    TRY(faas_function_update(
        w.rt, fn,
        FAAS_FUNCTION(.concurrency = 5, .on_full = FAAS_FULL_WAIT, .wait_ns = SEC,
                      .timeout_ns = SEC, .idle_ns = SEC, .age_ns = SEC,
                      .invocation_max = 100, .heap_bytes = 1 << 25,
                      .budget_bytes = 1 << 24, .instance_min = 1, .instance_max = 4,
                      .limiter = &limiter, .prewarm = 1)));
    TRY(invoke(fn, "in"));
    TRY(faas_function_update(w.rt, fn, FAAS_FUNCTION(.provisioned = 3)));
    TRY(invoke(fn, "in"));
    EXPECT(stats_of(fn).instances == 3);
}

static void publishes_versions(void)
{
    uint32_t versions[2];
    faas_fn fn, first, second, live;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = wants, .init = init_wants,
                          .close = init_wants_close, .provisioned = 1),
            &fn));
    TRY(faas_function_publish(w.rt, fn, &versions[0], &first));
    keep_fn(first);
    TRY(faas_function_replace(w.rt, fn, FAAS_FUNCTION(.handler = echoes)));
    TRY(faas_function_publish(w.rt, fn, &versions[1], &second));
    keep_fn(second);
    TRY(faas_alias_put(w.rt, fn, "live", &(faas_share){versions[0], 1}, 1, &live));
    keep_fn(live);
    TRY(invoke(live, "in"));
    TRY(faas_alias_put(w.rt, fn, "live",
                       (faas_share[]){{versions[0], 1}, {versions[1], 3}}, 2, NULL));
    for (int i = 0; i < 8; i++) {
        char key[2] = {(char)('a' + i)};

        TRY(invoke_with(live, "in", FAAS_CALL(.key = faas_str(key))));
    }
    REQUIRE_THAT(faas_function_unregister(w.rt, first) == FAAS_EINUSE);
    TRY(faas_function_unregister(w.rt, live));
    TRY(faas_function_unregister(w.rt, first));
    TRY(invoke(second, "in"));
}

/* ---- symbols ---- */

static double half(double x)
{
    return x / 2;
}

struct pair {
    double a, b;
};

static struct pair swaps(struct pair in, faas_bytes text)
{
    return (struct pair){in.b, in.a + (double)text.size};
}

static struct pair swaps_symbol(struct pair in, const void *data, size_t size)
{
    return swaps(in, faas_bytes_of(data, size));
}

static void registers_symbols(void)
{
    faas_value args[2], answer = faas_f64(0);
    struct pair in = {1, 2}, out = {0, 0};
    double number = 5;
    faas_layout layout;
    faas_fn fn, pair;

    TRY(add_symbol("half", "d(d)", (void (*)(void))half, &fn));
    TRY(faas_signature_layout("{dd}({dd}y)", &layout));
    TRY(add_symbol("swaps", "{dd}({dd}y)", (void (*)(void))swaps_symbol, &pair));
    args[0] = faas_f64(number);
    TRY(faas_call(w.rt, fn, args, 1, 0, &answer));
    REQUIRE_THAT(answer.as.f64 == 2.5);
    TRY(faas_invoke(w.rt, fn, faas_bytes_of(&number, sizeof number), 0, NULL));
    args[0] = faas_struct(&in, sizeof in);
    args[1] = faas_data("abc", 3);
    answer = faas_struct(&out, sizeof out);
    TRY(faas_call(w.rt, pair, args, 2, 0, &answer));
    REQUIRE_THAT(out.a == 2 && out.b == 4);
    REQUIRE_THAT(faas_call(w.rt, pair, args, 1, 0, &answer) == FAAS_ETYPE);
}

static void loads_symbols(void)
{
    faas_value two[] = {faas_f64(2), faas_f64(10)}, answer;
    faas_fn power, root;

    TRY(faas_symbol_load(w.rt, "pow", "d(dd)", "libm.so.6", "pow", NULL, &power));
    keep_fn(power);
    TRY(faas_symbol_load(w.rt, "sqrt", "d(d)", "libm.so.6", "sqrt", NULL, &root));
    keep_fn(root);
    TRY(faas_call(w.rt, power, two, 2, 0, &answer));
    REQUIRE_THAT(answer.as.f64 == 1024);
    TRY(faas_function_unregister(w.rt, power));
    TRY(faas_call(w.rt, root, two, 1, 0, &answer));
}

/* What is there is closed again where the rest is refused. */
static void refuses_symbols_that_are_not_there(void)
{
    faas_fn fn;

    REQUIRE_THAT(faas_symbol_load(w.rt, "f", "d(d)", "libm.so.6", "no such one", NULL,
                                  &fn) == FAAS_ELOAD);
    REQUIRE_THAT(faas_symbol_load(w.rt, "f", "d(d)", "/nonexistent", "sqrt", NULL, &fn) ==
                 FAAS_ELOAD);
}

/* ---- calls ---- */

static void invokes_cold_and_warm(void)
{
    faas_fn fn;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = wants, .init = init_wants,
                          .close = init_wants_close),
            &fn));
    for (int i = 0; i < 3; i++)
        TRY(invoke(fn, "in"));
    EXPECT(stats_of(fn).cold_starts == 1 && stats_of(fn).invocations == 3);
}

static void keeps_results(void)
{
    faas_result *results[3] = {NULL};
    faas_fn fn;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = echoes), &fn));
    for (int i = 0; i < 3; i++)
        if (faas_invoke(w.rt, fn, faas_str("lent"), 0, &results[i]) == FAAS_EHANDLER)
            REQUIRE_THAT(torture_struck() && faas_result_code(results[i]) == FAAS_ENOMEM);
        else
            EXPECT(faas_result_bytes(results[i]).size == 4);
    for (int i = 0; i < 3; i++)
        faas_result_release(results[i]);
    TRY(invoke(fn, "in"));
}

static void invokes_with_every_option(void)
{
    faas_event *event;
    faas_fn fn;

    TRY(event_of(
        FAAS_EVENT(.id = "1", .source = "/s", .type = "t", .data = faas_str("{}")),
        &event));
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = echoes), &fn));
    TRY(invoke_with(fn, "in",
                    FAAS_CALL(.limit_ns = SEC, .deadline_ns = 3000 * SEC,
                              .key = faas_str("k"), .tenant = faas_str("t"),
                              .trace = faas_str("trace"), .event = event, .attempt = 2,
                              .priority = FAAS_PRIORITY_HIGH, .fresh = 1,
                              .request_id = {1, 2})));
    TRY(faas_invoke_with(w.rt, fn, faas_str("in"), FAAS_CALL(.dry_run = 1), NULL));
}

static int says_much(faas_context *ctx, faas_bytes input)
{
    (void)input;
    return faas_fail(ctx, 5, "%50000d", 7);
}

static void invokes_what_fails(void)
{
    faas_fn fn;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = says_much), &fn));
    for (int i = 0; i < 2; i++)
        TRY(invoke_failing(fn, "in", 5));
}

static int inits_not(faas_context *ctx, void **state)
{
    (void)state;
    (void)faas_instance_alloc(ctx, 30000);
    return faas_fail(ctx, 3, "there is %s", "none");
}

static void invokes_what_cannot_be_made(void)
{
    faas_fn fn;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = answers, .init = inits_not), &fn));
    for (int i = 0; i < 2; i++) {
        faas_status status = faas_invoke(w.rt, fn, faas_str("in"), 0, NULL);

        REQUIRE(status == FAAS_EINIT || (torture_struck() && status == FAAS_ENOMEM), "%s",
                faas_status_name(status));
    }
}

static int comes_late(faas_context *ctx, faas_bytes input)
{
    faas_clock_advance(w.clock, 2 * SEC);
    REQUIRE_THAT(faas_cancelled(ctx));
    return faas_reply(ctx, input);
}

static void invokes_what_is_late(void)
{
    faas_fn fn;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = comes_late, .timeout_ns = SEC), &fn));
    for (int i = 0; i < 2; i++) {
        faas_result *result;
        faas_status status = faas_invoke(w.rt, fn, faas_str("in"), 0, &result);

        REQUIRE(status == FAAS_ETIMEDOUT || (torture_struck() && status == FAAS_ENOMEM),
                "%s", faas_status_name(status));
        faas_result_release(result);
    }
}

/* Calls itself until the depth is reached; `user` is its own handle. */
static int nests(faas_context *ctx, faas_bytes input)
{
    const faas_fn *self = faas_user(ctx);
    faas_status status;

    if (faas_alloc(ctx, 20000) == NULL)
        return FAAS_ENOMEM;
    status = faas_invoke(faas_context_runtime(ctx), *self, input, 0, NULL);
    return status == FAAS_EDEPTH ? 0 : status;
}

static void nests_calls(void)
{
    static faas_fn fn;
    faas_result *result;
    faas_status status;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = nests, .user = &fn), &fn));
    status = faas_invoke(w.rt, fn, faas_str("in"), 0, &result);
    REQUIRE(status == FAAS_OK ||
                (torture_struck() && (status == FAAS_ENOMEM || status == FAAS_EHANDLER)),
            "%s", faas_status_name(status));
    faas_result_release(result);
}

/* Registers, calls, replaces and ends a function, and then itself. */
static int changes_the_registry(faas_context *ctx, faas_bytes input)
{
    faas_runtime *rt = faas_context_runtime(ctx);
    faas_status status;
    faas_fn fn;

    status =
        faas_function_register(rt, FAAS_FUNCTION(.name = "in", .handler = echoes), &fn);
    if (status != FAAS_OK)
        return status;
    status = faas_invoke(rt, fn, input, 0, NULL);
    if (status == FAAS_OK)
        status = faas_function_replace(rt, fn, FAAS_FUNCTION(.handler = wants));
    if (faas_function_unregister(rt, fn) != FAAS_OK)
        return 1;
    if (status == FAAS_EHANDLER) // it had no memory for its answer
        status = FAAS_ENOMEM;
    return status == FAAS_OK ? (int)faas_function_unregister(rt, faas_context_fn(ctx))
                             : (int)status;
}

static void changes_the_registry_inside(void)
{
    faas_fn fn;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = changes_the_registry), &fn));
    TRY(invoke(fn, "in"));
}

/* ---- instances ---- */

static void provisions(void)
{
    faas_fn fn;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = wants, .init = init_wants,
                          .close = init_wants_close, .provisioned = 3, .age_ns = SEC),
            &fn));
    for (int i = 0; i < 4; i++) { // each time all are old
        faas_clock_advance(w.clock, 100 * SEC);
        faas_runtime_sweep(w.rt, NULL);
        TRY(invoke(fn, "in"));
    }
    EXPECT(stats_of(fn).instances == 3);
}

static void evicts(void)
{
    for (int i = 0; i < 6; i++) {
        char name[2] = {(char)('a' + i)};
        faas_fn fn;

        TRY(add(FAAS_FUNCTION(.name = name, .handler = wants, .init = init_wants,
                              .close = init_wants_close),
                &fn));
        TRY(invoke(fn, "in"));
        faas_clock_advance(w.clock, SEC);
    }
    faas_runtime_budget(w.rt, 250000);
    faas_runtime_budget(w.rt, 1);
}

static void changes_the_keepalive(void)
{
    static const faas_keepalive kinds[] = {FAAS_KEEPALIVE_LRU,  FAAS_KEEPALIVE_TTL,
                                           FAAS_KEEPALIVE_GDSF, FAAS_KEEPALIVE_SIEVE,
                                           FAAS_KEEPALIVE_LHD,  FAAS_KEEPALIVE_IDX};
    const faas_keepalive_policy policy = {
        .size = sizeof policy, .name = "mine", .victim = names_none};
    faas_keepalive_stats stats = {.size = sizeof stats};
    faas_fn fn[3];

    for (int i = 0; i < 3; i++) {
        char name[2] = {(char)('a' + i)};

        TRY(add(FAAS_FUNCTION(.name = name, .handler = echoes), &fn[i]));
        TRY(invoke(fn[i], "in"));
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        TRY(faas_runtime_keepalive(w.rt, kinds[i], NULL));
        faas_clock_advance(w.clock, SEC);
        TRY(invoke(fn[i % 3], "in"));
        TRY(faas_keepalive_stats_get(w.rt, &stats));
    }
    TRY(faas_runtime_keepalive(w.rt, FAAS_KEEPALIVE_DEFAULT, &policy));
    faas_runtime_budget(w.rt, 1);
    TRY(faas_runtime_keepalive(w.rt, FAAS_KEEPALIVE_IDX, NULL));
    faas_runtime_budget(w.rt, 0);
}

/* Calls with a gap between them that no instance lives through: then it is foreseen. */
static void prewarms(void)
{
    faas_fn fn;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = echoes, .init = init_wants,
                          .close = init_wants_close, .idle_ns = SEC, .prewarm = 1),
            &fn));
    for (int i = 0; i < 12; i++) {
        TRY(invoke(fn, "in"));
        TRY(run_for(100 * SEC));
    }
    EXPECT(stats_of(fn).prewarms > 0);
}

/* ---- limits ---- */

/* Calls its own function, which is full. */
static int finds_it_full(faas_context *ctx, faas_bytes input)
{
    faas_status status =
        faas_invoke(faas_context_runtime(ctx), faas_context_fn(ctx), input, 0, NULL);

    REQUIRE(status == FAAS_EBUSY || status == FAAS_EEXPIRED ||
                (torture_struck() && (status == FAAS_ENOMEM || status == FAAS_ESYSTEM)),
            "%s", faas_status_name(status));
    return faas_reply(ctx, input);
}

static void refuses_at_the_cap(void)
{
    faas_fn fn;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = finds_it_full, .concurrency = 1), &fn));
    for (int i = 0; i < 2; i++)
        TRY(invoke(fn, "in"));
    EXPECT(stats_of(fn).throttles == 2);
}

/* In vain, for a moment of the machine's clock. */
static void waits_at_the_cap(void)
{
    static const faas_limiter none = {.size = sizeof none, .kind = FAAS_LIMITER_NONE};
    faas_fn fn;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = finds_it_full, .concurrency = 1,
                          .on_full = FAAS_FULL_WAIT, .wait_ns = 100 * US,
                          .limiter = &none),
            &fn));
    TRY(invoke(fn, "in"));
}

static void limits_the_runtime(void)
{
    faas_fn fn;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = finds_it_full), &fn));
    TRY(faas_runtime_limit(w.rt, 1));
    TRY(invoke(fn, "in"));
    EXPECT(stats_of(fn).throttles == 1);
}

static void limits_by_every_kind(void)
{
    for (int kind = FAAS_LIMITER_PREDICTED; kind <= FAAS_LIMITER_CODEL_LIFO; kind++) {
        const faas_limiter limiter = {.size = sizeof limiter,
                                      .kind = (faas_limiter_kind)kind,
                                      .rate = 100,
                                      .burst = 2,
                                      .cold_rate = 100,
                                      .limit_max = kind == FAAS_LIMITER_FIXED ? 0 : 100};
        faas_status last = FAAS_OK;
        faas_fn fn;

        TRY(add(FAAS_FUNCTION(.name = "f", .handler = echoes, .limiter = &limiter), &fn));
        for (int i = 0; i < 2; i++)
            TRY(invoke(fn, "in"));
        last = faas_invoke(w.rt, fn, faas_str("in"), 0, NULL); // over the rate
        REQUIRE_THAT(last == FAAS_EBUSY && faas_retry_after_ns() >= US);
        TRY(faas_function_unregister(w.rt, fn));
    }
}

/* ---- batches and remembered answers ---- */

static int answers_many(faas_context *ctx, faas_item *items, size_t count)
{
    if (faas_alloc(ctx, 20000) == NULL)
        return FAAS_ENOMEM;
    for (size_t i = 0; i < count; i++)
        items[i].code = items[i].input.size == 0
                            ? faas_fail(items[i].ctx, 400, "it is empty")
                            : faas_reply(items[i].ctx, items[i].input);
    return 0;
}

static void batches_what_comes_alone(void)
{
    faas_fn fn;

    TRY(add(FAAS_FUNCTION(.name = "f", .batch = answers_many, .init = init_wants,
                          .close = init_wants_close),
            &fn));
    for (int i = 0; i < 2; i++)
        TRY(invoke(fn, "in"));
    TRY(invoke_failing(fn, "", 400));
    TRY(faas_function_update(w.rt, fn, FAAS_FUNCTION(.batch_max = 3)));
    TRY(invoke(fn, "in"));
}

/* Versions have what their function has beside its seats, each its own. */
static void publishes_what_batches(void)
{
    faas_fn fn, version;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = answers), &fn));
    TRY(faas_function_replace(w.rt, fn,
                              FAAS_FUNCTION(.batch = answers_many, .cache_bytes = 1 << 16,
                                            .cache_mode = FAAS_CACHE_SINGLE_FLIGHT)));
    TRY(faas_function_publish(w.rt, fn, NULL, &version));
    keep_fn(version);
    for (int i = 0; i < 2; i++) {
        TRY(invoke(fn, "in"));
        TRY(invoke(version, "in"));
    }
}

enum { CALLERS = 3 };

/* Callers that come while a handler runs, and how many are back. */
static struct {
    faas_fn fn;
    pthread_t threads[CALLERS];
    faas_status statuses[CALLERS];
    atomic_uint started, back;
    bool spawned;
} crowd;

static void *crowd_call(void *user)
{
    faas_status *status = user;

    atomic_fetch_add(&crowd.started, 1);
    *status = invoke(crowd.fn, "in");
    atomic_fetch_add(&crowd.back, 1);
    return NULL;
}

/* From inside the first call: the others come, and it goes on when each of them waits for
 * it, or is back because something failed. */
static void crowd_spawn(uint64_t (*waiting)(void))
{
    if (crowd.spawned)
        return;
    crowd.spawned = true;
    for (int i = 0; i < CALLERS; i++)
        REQUIRE_THAT(faults_thread(&crowd.threads[i], crowd_call, &crowd.statuses[i]) ==
                     0);
    while (atomic_load(&crowd.started) < CALLERS ||
           waiting() + atomic_load(&crowd.back) < CALLERS)
        (void)sched_yield();
}

static void crowd_gather(const faas_function *function, const char *word)
{
    faas_fn fn;

    if (!TRIED(add(function, &fn)))
        return;
    memset(&crowd, 0, sizeof crowd);
    crowd.fn = fn;
    (void)TRIED(invoke(fn, word));
    for (int i = 0; crowd.spawned && i < CALLERS; i++) {
        faults_thread_join(crowd.threads[i]);
        (void)torture_tried(crowd.statuses[i], "invoke(", __FILE__, __LINE__);
    }
}

static uint64_t batch_waiting(void)
{
    return stats_of(crowd.fn).batch_waiting;
}

static int answers_a_crowd(faas_context *ctx, faas_item *items, size_t count)
{
    crowd_spawn(batch_waiting);
    return answers_many(ctx, items, count);
}

static void batches_a_crowd(void)
{
    crowd_gather(FAAS_FUNCTION(.name = "f", .batch = answers_a_crowd), "in");
}

static void remembers_answers(void)
{
    faas_fn fn;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = echoes, .cache_bytes = 1 << 16,
                          .cache_ns = SEC, .cache_mode = FAAS_CACHE_SINGLE_FLIGHT),
            &fn));
    for (int i = 0; i < 6; i++)
        TRY(invoke(fn, i % 2 == 0 ? "a" : "b"));
    EXPECT(stats_of(fn).cache_hits == 4);
    faas_clock_advance(w.clock, 2 * SEC);
    TRY(invoke(fn, "a"));
    TRY(faas_function_update(w.rt, fn, FAAS_FUNCTION(.cache_bytes = 1 << 14)));
    TRY(invoke(fn, "a"));
}

static void remembers_failures(void)
{
    faas_fn fn;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = fails, .cache_bytes = 1 << 16,
                          .cache_mode = FAAS_CACHE_FAILURES),
            &fn));
    for (int i = 0; i < 3; i++)
        TRY(invoke_failing(fn, "a", 7));
    EXPECT(stats_of(fn).cache_hits == 2);
}

/* Nobody can see who waits for a shared answer: the others may come to it, or run. */
static uint64_t who_knows(void)
{
    return CALLERS;
}

static int echoes_a_crowd(faas_context *ctx, faas_bytes input)
{
    crowd_spawn(who_knows);
    return faas_reply(ctx, input);
}

static void shares_one_flight(void)
{
    crowd_gather(FAAS_FUNCTION(.name = "f", .handler = echoes_a_crowd,
                               .cache_mode = FAAS_CACHE_SINGLE_FLIGHT),
                 "in");
}

const struct scenario torture_calls[] = {
    SCENARIO(opens_with_defaults, .first = true, .alone = true),
    SCENARIO(opens_for_a_host, .alone = true),
    SCENARIO(opens_with_workers, .alone = true),
    SCENARIO(opens_on_clocks, .alone = true),
    SCENARIO(opens_with_every_option, .alone = true),
    SCENARIO(opens_with_a_policy_of_the_host, .alone = true),
    SCENARIO(registers, .first = true, .real = true),
    SCENARIO(registers_many),
    SCENARIO(ends_its_user_once),
    SCENARIO(replaces),
    SCENARIO(updates),
    SCENARIO(publishes_versions),
    SCENARIO(registers_symbols),
    SCENARIO(loads_symbols),
    SCENARIO(refuses_symbols_that_are_not_there),
    SCENARIO(invokes_cold_and_warm),
    SCENARIO(keeps_results),
    SCENARIO(invokes_with_every_option),
    SCENARIO(invokes_what_fails),
    SCENARIO(invokes_what_cannot_be_made),
    SCENARIO(invokes_what_is_late),
    SCENARIO(nests_calls),
    SCENARIO(changes_the_registry_inside),
    SCENARIO(provisions),
    SCENARIO(evicts),
    SCENARIO(changes_the_keepalive),
    SCENARIO(prewarms),
    SCENARIO(refuses_at_the_cap),
    SCENARIO(waits_at_the_cap, .real = true, .waits = true),
    SCENARIO(limits_the_runtime),
    SCENARIO(limits_by_every_kind),
    SCENARIO(batches_what_comes_alone),
    SCENARIO(publishes_what_batches),
    SCENARIO(batches_a_crowd),
    SCENARIO(remembers_answers),
    SCENARIO(remembers_failures),
    SCENARIO(shares_one_flight),
    {0},
};
