/* SPDX-License-Identifier: MIT */
/* bench_invoke.c - what a call costs: warm, typed, nested, refused, cold, and on two
 * threads at once; beside an indirect call, GLib, Boost.Signals2 and a bare ffi_call().
 */
#include "bench.h"

#include "peer_glib.h"
#include "peer_signals2.h"

#include <ffi.h>
#include <stdio.h>

/* Policies are set as a careful program sets them: every function has a cap and a time
 * limit, and the runtime has a cap of its own. */
#define POLICY .concurrency = 8, .timeout_ns = 60000000000

enum { RUNTIME_CAP = 64 };

/* What a subject calls. */
struct callee {
    faas_runtime *rt;
    faas_fn fn;
};

static faas_runtime *rt, *other;

static void must(faas_status status)
{
    bench_check(status, "a call");
}

/* ---- handlers ---- */

static int nothing(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    (void)input;
    return 0;
}

static int allocates(faas_context *ctx, faas_bytes input)
{
    (void)input;
    for (int i = 0; i < 16; i++) {
        volatile uint64_t *memory = faas_alloc(ctx, 64);

        if (memory == NULL)
            return FAAS_ENOMEM;
        *memory = 1;
    }
    return 0;
}

static int calls_inner(faas_context *ctx, faas_bytes input)
{
    const struct callee *inner = faas_user(ctx);

    return faas_invoke(inner->rt, inner->fn, input, 0, NULL);
}

/* Calls itself so many times, and is refused: its cap is 1. */
static int calls_itself(faas_context *ctx, faas_bytes input)
{
    uint64_t count = *(const uint64_t *)input.data;
    faas_fn self = faas_context_fn(ctx);

    for (uint64_t i = 0; i < count; i++)
        if (faas_invoke(rt, self, input, 0, NULL) != FAAS_EBUSY)
            return 1;
    return 0;
}

static int empty_init(faas_context *ctx, void **state)
{
    (void)ctx;
    (void)state;
    return 0;
}

static void empty_close(void *state, void *user)
{
    (void)state;
    (void)user;
}

static double add(double a, double b)
{
    return a + b;
}

/* ---- bodies ---- */

static void indirect(void *user, uint64_t count)
{
    faas_handler *handler = nothing;
    faas_bytes input = {NULL, 0};

    for (uint64_t i = 0; i < count; i++) {
        BENCH_HIDE(handler);
        (void)handler(user, input);
    }
}

static void invoke(void *user, uint64_t count)
{
    struct callee callee = *(const struct callee *)user;
    faas_bytes input = {NULL, 0};

    for (uint64_t i = 0; i < count; i++)
        must(faas_invoke(callee.rt, callee.fn, input, 0, NULL));
}

static void invoke_for_result(void *user, uint64_t count)
{
    faas_fn fn = ((const struct callee *)user)->fn;
    faas_bytes input = {NULL, 0};
    faas_result *result;

    for (uint64_t i = 0; i < count; i++) {
        must(faas_invoke(rt, fn, input, 0, &result));
        faas_result_release(result);
    }
}

static void invoke_with(void *user, uint64_t count)
{
    faas_fn fn = ((const struct callee *)user)->fn;
    faas_bytes input = {NULL, 0};

    for (uint64_t i = 0; i < count; i++)
        must(faas_invoke_with(rt, fn, input, FAAS_CALL(.limit_ns = 60000000000), NULL));
}

static void invoke_by_name(void *user, uint64_t count)
{
    faas_bytes input = {NULL, 0};
    faas_bytes name = faas_str(user);
    faas_fn fn;

    for (uint64_t i = 0; i < count; i++) {
        must(faas_function_find(rt, name, &fn));
        must(faas_invoke(rt, fn, input, 0, NULL));
    }
}

static void invoke_refused(void *user, uint64_t count)
{
    faas_fn fn = ((const struct callee *)user)->fn;
    faas_bytes input = {NULL, 0};

    for (uint64_t i = 0; i < count; i++)
        if (faas_invoke(rt, fn, input, 0, NULL) != FAAS_EBUSY)
            bench_check(FAAS_EINVAL, "a call that must be refused");
}

static void invoke_full(void *user, uint64_t count)
{
    faas_fn fn = ((const struct callee *)user)->fn;

    must(faas_invoke(rt, fn, faas_bytes_of(&count, sizeof count), 0, NULL));
}

/* ---- typed symbols ---- */

static struct {
    ffi_cif cif;
    ffi_type *types[2];
} bare;

static void bare_open(void)
{
    bare.types[0] = bare.types[1] = &ffi_type_double;
    if (ffi_prep_cif(&bare.cif, FFI_DEFAULT_ABI, 2, &ffi_type_double, bare.types) !=
        FFI_OK)
        bench_check(FAAS_EINVAL, "ffi_prep_cif");
}

static void bare_call(void *user, uint64_t count)
{
    double a = 1, b = 2, sum = 0;
    void *args[2] = {&a, &b};

    (void)user;
    for (uint64_t i = 0; i < count; i++) {
        ffi_call(&bare.cif, FFI_FN(add), &sum, args);
        a = sum - 2;
    }
}

static void call_values(void *user, uint64_t count)
{
    faas_fn fn = ((const struct callee *)user)->fn;
    faas_value args[2] = {faas_f64(1), faas_f64(2)};
    faas_value sum;

    for (uint64_t i = 0; i < count; i++) {
        must(faas_call(rt, fn, args, 2, 0, &sum));
        args[0].as.f64 = sum.as.f64 - 2;
    }
}

static void call_packed(void *user, uint64_t count)
{
    faas_fn fn = ((const struct callee *)user)->fn;
    double args[2] = {1, 2}, sum;
    faas_result *result;

    for (uint64_t i = 0; i < count; i++) {
        must(faas_invoke(rt, fn, faas_bytes_of(args, sizeof args), 0, &result));
        memcpy(&sum, faas_result_bytes(result).data, sizeof sum);
        faas_result_release(result);
        args[0] = sum - 2;
    }
}

static void call_packed_blind(void *user, uint64_t count)
{
    faas_fn fn = ((const struct callee *)user)->fn;
    double args[2] = {1, 2};

    for (uint64_t i = 0; i < count; i++)
        must(faas_invoke(rt, fn, faas_bytes_of(args, sizeof args), 0, NULL));
}

/* ---- cold starts ---- */

/* First calls of functions that were never called: each makes its instance, calls init
 * and the handler, and leaves the instance idle. Registering and unregistering are not
 * counted. */
static double first_calls(void *user, uint64_t count)
{
    enum { BATCH = 64 };
    static struct callee callees[BATCH];
    uint64_t ns = 0, done = 0;

    (void)user;
    while (done < count) {
        unsigned n = count - done < BATCH ? (unsigned)(count - done) : BATCH;
        uint64_t begun;

        for (unsigned i = 0; i < n; i++) {
            char name[32];

            callees[i].rt = rt;
            (void)snprintf(name, sizeof name, "first-%u", i);
            bench_check(
                faas_function_register(rt,
                                       FAAS_FUNCTION(.name = name, .handler = nothing,
                                                     .init = empty_init,
                                                     .close = empty_close, POLICY),
                                       &callees[i].fn),
                "register");
        }
        begun = bench_now();
        for (unsigned i = 0; i < n; i++)
            invoke(&callees[i], 1);
        ns += bench_now() - begun;
        for (unsigned i = 0; i < n; i++)
            bench_check(faas_function_unregister(rt, callees[i].fn), "unregister");
        done += n;
    }
    return (double)ns / (double)count;
}

/* ---- the table ---- */

static faas_runtime *open_runtime(void)
{
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;
    faas_runtime *opened;

    options.concurrency_max = RUNTIME_CAP;
    bench_check(faas_runtime_open(&opened, &options), "open");
    return opened;
}

static struct callee add_function(faas_runtime *to, const faas_function *function)
{
    struct callee callee = {.rt = to};

    bench_check(faas_function_register(to, function, &callee.fn), function->name);
    return callee;
}

static void add_warm_calls(void)
{
    static char name[] = "nothing";
    static const faas_limiter fast = {.size = sizeof fast, .rate = 1e9};
    static struct callee plain, second, alone, allocating, inner, outer, off, full, rated;
    bench_figure floor, warm, signal, slots, one, figure;

    plain = add_function(rt, FAAS_FUNCTION(.name = name, .handler = nothing, POLICY));
    second =
        add_function(rt, FAAS_FUNCTION(.name = "second", .handler = nothing, POLICY));
    alone = add_function(other, FAAS_FUNCTION(.name = name, .handler = nothing, POLICY));
    allocating = add_function(
        rt, FAAS_FUNCTION(.name = "allocates", .handler = allocates, POLICY));
    inner = add_function(rt, FAAS_FUNCTION(.name = "inner", .handler = nothing, POLICY));
    outer = add_function(rt, FAAS_FUNCTION(.name = "outer", .handler = calls_inner,
                                           .user = &inner, POLICY));
    off = add_function(
        rt, FAAS_FUNCTION(.name = "off", .handler = nothing, .concurrency = FAAS_OFF));
    rated = add_function(
        rt, FAAS_FUNCTION(.name = "rated", .handler = nothing, .limiter = &fast, POLICY));
    full = add_function(
        rt, FAAS_FUNCTION(.name = "full", .handler = calls_itself, .concurrency = 1));

    floor = bench_time("indirect call", indirect, NULL);
    warm = bench_time("invoke", invoke, &plain);
    (void)bench_difference("a rate in front, over invoke",
                           bench_time("invoke, each call counted", invoke, &rated), warm,
                           1);
    signal =
        bench_time("g_signal_emit(int,double,ptr)", peer_glib_emit, peer_glib_open(1));
    slots = bench_time("Boost.Signals2(int,double,ptr)", peer_signals2_emit,
                       peer_signals2_open(1));
    bench_target(bench_difference("invoke over indirect call", warm, floor, 1), 30);
    bench_target(bench_ratio("invoke / g_signal_emit(int,double,ptr)", warm, signal),
                 0.2);
    bench_target(bench_ratio("invoke / Boost.Signals2(int,double,ptr)", warm, slots),
                 0.6);

    figure = bench_time("invoke, 16 allocations of 64 B", invoke, &allocating);
    bench_target(bench_difference("16 allocations of 64 B over none", figure, warm, 1),
                 20);
    figure = bench_time("invoke, result taken and released", invoke_for_result, &plain);
    (void)bench_difference("result taken and released over none", figure, warm, 1);
    (void)bench_time("invoke_with, own limit", invoke_with, &plain);
    (void)bench_time("find and invoke by name", invoke_by_name, name);
    figure = bench_time("invoke, whose handler invokes", invoke, &outer);
    (void)bench_difference("nested invoke over none", figure, warm, 1);
    (void)bench_time("invoke, refused: cap off", invoke_refused, &off);
    (void)bench_time("invoke, refused: cap of 1 reached", invoke_full, &full);

    /* Two runtimes share nothing: what two threads slow each other down there is the
     * machine's doing. */
    one = bench_pair("invoke, two threads, one function", invoke, &plain, &plain);
    bench_target(bench_ratio("two threads, one function / one thread", one, warm), 1.3);
    figure = bench_pair("invoke, two threads, two functions", invoke, &plain, &second);
    (void)bench_ratio("two threads, two functions / one thread", figure, warm);
    figure = bench_pair("invoke, two threads, two runtimes", invoke, &plain, &alone);
    (void)bench_ratio("two threads, two runtimes / one thread", figure, warm);
    (void)bench_ratio("two threads, one function / two runtimes", one, figure);
}

static void add_symbol_calls(void)
{
    static struct callee symbol;
    bench_figure floor, figure;

    symbol.rt = rt;
    bench_check(faas_symbol_register(rt, "add", "d(dd)", (void (*)(void))add,
                                     FAAS_FUNCTION(POLICY), &symbol.fn),
                "add");
    floor = bench_time("ffi_call d(dd), prepared", bare_call, NULL);
    figure = bench_time("call d(dd), values", call_values, &symbol);
    bench_target(bench_difference("call d(dd), values over ffi_call", figure, floor, 1),
                 30);
    figure = bench_time("invoke d(dd), packed, no result", call_packed_blind, &symbol);
    bench_target(bench_difference("invoke d(dd), packed, no result over ffi_call", figure,
                                  floor, 1),
                 30);
    figure = bench_time("invoke d(dd), packed, result taken", call_packed, &symbol);
    (void)bench_difference("invoke d(dd), packed, result taken over ffi_call", figure,
                           floor, 1);

    /* What the machine alone makes of two threads that share nothing. */
    figure = bench_pair("ffi_call, two threads", bare_call, NULL, NULL);
    (void)bench_ratio("ffi_call, two threads / one thread", figure, floor);
}

static void add_cold_starts(void)
{
    static struct callee cold;

    cold = add_function(rt, FAAS_FUNCTION(.name = "cold", .handler = nothing,
                                          .init = empty_init, .close = empty_close,
                                          .invocation_max = 1, POLICY));
    bench_target(bench_sample("cold start: a function's first call", first_calls, NULL),
                 2000);
    bench_target(bench_time("cold start and close: every call, as invocation_max is 1",
                            invoke, &cold),
                 2000);
}

int main(int argc, char **argv)
{
    bench_open(argc, argv, "invoke");
    rt = open_runtime();
    other = open_runtime();
    bare_open();
    add_warm_calls();
    add_symbol_calls();
    add_cold_starts();
    bench_run();
    (void)faas_runtime_close(other);
    (void)faas_runtime_close(rt);
    return bench_close();
}
