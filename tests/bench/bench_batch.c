/* SPDX-License-Identifier: MIT */
/* bench_batch.c - what batches gain, beside the best fixed size found offline; what a call
 * pays that finds an instance free, beside a plain one; a hit of the response cache.
 *
 * Handlers spin for as long as their curve says, so the gain to be had is known. Forty
 * threads call each, so that something always waits; what an item costs is the time in
 * the handler by the items. */
#define _GNU_SOURCE // sched_setaffinity()
#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS = 40, BATCH_MAX = 8, INPUT = 3136 };

static faas_runtime *rt;

/* What a batch of `n` takes, in nanoseconds. */
typedef double curve_of(double n);

static double concave(double n)
{
    return 20000 + 2000 * n;
}

static double steep(double n)
{
    return 40000 + 600 * n;
}

static double linear(double n)
{
    return 20000 * n;
}

static double losing(double n)
{
    return 20000 * n * (1 + 0.1 * (n - 1));
}

static void spin(double ns)
{
    uint64_t until = bench_now() + (uint64_t)ns;

    while (bench_now() < until)
        continue;
}

static int spins(faas_context *ctx, faas_item *items, size_t count)
{
    curve_of *const *curve = faas_user(ctx);

    (void)items;
    spin((*curve)((double)count));
    return 0;
}

/* ---- gains ---- */

struct crowd {
    faas_fn fn;
    atomic_bool stop;
};

/* The bench's own thread is pinned, which its threads inherit. */
static void unpin(void)
{
    cpu_set_t all;

    memset(&all, 0xff, sizeof all);
    (void)sched_setaffinity(0, sizeof all, &all);
}

static void *caller(void *user)
{
    struct crowd *crowd = user;

    unpin();
    while (!atomic_load_explicit(&crowd->stop, memory_order_relaxed))
        bench_check(faas_invoke(rt, crowd->fn, faas_str(NULL), 0, NULL), "invoke");
    return NULL;
}

static double best_fixed(curve_of *curve)
{
    double best = curve(1);

    for (int n = 2; n <= BATCH_MAX; n++)
        if (curve(n) / n < best)
            best = curve(n) / n;
    return best;
}

/* What an item takes in the handler, while all threads call. */
static double crowd_item_ns(const char *name, curve_of **curve, double *mean_size)
{
    faas_function_stats stats = {.size = sizeof stats};
    struct crowd crowd = {.stop = false};
    pthread_t threads[THREADS];
    uint64_t until;

    bench_check(faas_function_register(rt,
                                       FAAS_FUNCTION(.name = name, .batch = spins,
                                                     .batch_max = BATCH_MAX,
                                                     .user = (void *)curve),
                                       &crowd.fn),
                name);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, caller, &crowd) != 0)
            bench_check(FAAS_ESYSTEM, "thread");
    until = bench_now() + (bench_is_quick() ? 300000000u : 2000000000u);
    while (bench_now() < until)
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    atomic_store(&crowd.stop, true);
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    bench_check(faas_function_stats_get(rt, crowd.fn, &stats, NULL), "stats");
    *mean_size = (double)stats.batched / (double)stats.batches;
    return (double)stats.run_ns / (double)stats.batched;
}

static void gains(void)
{
    static struct {
        const char *name;
        curve_of *curve;
        char texts[4][80];
    } curves[] = {{"concave", concave, {""}},
                  {"steep", steep, {""}},
                  {"linear", linear, {""}},
                  {"losing", losing, {""}}};

    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        double single = curves[i].curve(1), best = best_fixed(curves[i].curve), size;
        double item = crowd_item_ns(curves[i].name, &curves[i].curve, &size);
        double gain = single / item, most = single / best;
        bench_figure figure;

        (void)snprintf(curves[i].texts[0], 80, "%s: an item, of %.0f ns alone",
                       curves[i].name, single);
        (void)bench_once(curves[i].texts[0], "ns", item);
        (void)snprintf(curves[i].texts[1], 80, "%s: mean size of a batch",
                       curves[i].name);
        (void)bench_once(curves[i].texts[1], "items", size);
        if (most > 1.01) {
            (void)snprintf(curves[i].texts[2], 80,
                           "%s: share of the best fixed gain, %.2f x, that is missed",
                           curves[i].name, most);
            figure = bench_once(curves[i].texts[2], "ratio", 1 - (gain - 1) / (most - 1));
            bench_target(figure, 0.2);
        } else {
            (void)snprintf(curves[i].texts[2], 80, "%s: an item / alone", curves[i].name);
            figure = bench_once(curves[i].texts[2], "ratio", item / single);
            bench_target(figure, 1.02);
        }
    }
}

/* ---- single calls ---- */

static int nothing(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    (void)input;
    return 0;
}

static int batch_of_nothing(faas_context *ctx, faas_item *items, size_t count)
{
    (void)ctx;
    (void)items;
    (void)count;
    return 0;
}

static int answers(faas_context *ctx, faas_bytes input)
{
    return faas_reply(ctx, faas_bytes_of(input.data, 40));
}

struct callee {
    faas_fn fn;
    faas_bytes input;
};

static void invoke(void *user, uint64_t count)
{
    const struct callee *callee = user;

    for (uint64_t i = 0; i < count; i++)
        bench_check(faas_invoke(rt, callee->fn, callee->input, 0, NULL), "invoke");
}

static void invoke_for_result(void *user, uint64_t count)
{
    const struct callee *callee = user;
    faas_result *result;

    for (uint64_t i = 0; i < count; i++) {
        bench_check(faas_invoke(rt, callee->fn, callee->input, 0, &result), "invoke");
        faas_result_release(result);
    }
}

/* Another input each time, so that nothing is found. */
static void invoke_anew(void *user, uint64_t count)
{
    const struct callee *callee = user;
    static unsigned char bytes[INPUT];
    static uint64_t number;
    faas_result *result;

    for (uint64_t i = 0; i < count; i++) {
        number++;
        memcpy(bytes, &number, sizeof number);
        bench_check(faas_invoke(rt, callee->fn, faas_bytes_of(bytes, INPUT), 0, &result),
                    "invoke");
        faas_result_release(result);
    }
}

static struct callee callee_of(const faas_function *function, faas_bytes input)
{
    struct callee callee = {.input = input};

    bench_check(faas_function_register(rt, function, &callee.fn), function->name);
    return callee;
}

int main(int argc, char **argv)
{
    static unsigned char input[INPUT];
    struct callee plain, batched, cached;
    bench_figure alone, in_batch, hit;

    bench_open(argc, argv, "batch");
    bench_check(faas_runtime_open(&rt, NULL), "open");
    plain =
        callee_of(FAAS_FUNCTION(.name = "plain", .handler = nothing, .concurrency = 1),
                  faas_str(NULL));
    batched = callee_of(FAAS_FUNCTION(.name = "batched", .batch = batch_of_nothing),
                        faas_str(NULL));
    cached = callee_of(
        FAAS_FUNCTION(.name = "cached", .handler = answers, .cache_bytes = 1 << 24),
        faas_bytes_of(input, INPUT));
    alone = bench_time("a plain function, warm", invoke, &plain);
    in_batch = bench_time("a batch function, an instance free", invoke, &batched);
    bench_target(bench_difference("what the desk costs", in_batch, alone, 1), 100);
    hit = bench_time("cache: a hit, 3,136 B of input, 40 B of answer", invoke_for_result,
                     &cached);
    bench_target(hit, 1000);
    (void)bench_time("cache: a hit, output not wanted", invoke, &cached);
    (void)bench_time("cache: a miss, 3,136 B of input", invoke_anew, &cached);
    bench_run();
    gains();
    (void)faas_runtime_close(rt);
    return bench_close();
}
