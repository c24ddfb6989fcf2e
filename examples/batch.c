/* SPDX-License-Identifier: MIT */
/* batch.c - many calls in one: a scorer that must fetch its table for every call, so that
 * several rows together cost little more than one. Threads call it with a row each and know
 * nothing of batches; beside it the same work as a plain handler. At the end the answers
 * come from the response cache. */
#include <faas/faas.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE = 20000, ROW = 8, THREADS = 8, CALLS = 2000 };

static double table[TABLE];

/* What each call costs before it looks at a row: going through the table. */
static double fetch(void)
{
    double sum = 0;

    for (int i = 0; i < TABLE; i++)
        sum += table[i];
    return sum;
}

static double score(double base, const unsigned char *row)
{
    double sum = base;

    for (int i = 0; i < ROW; i++)
        sum += row[i];
    return sum;
}

/* One row. */
static int single(faas_context *ctx, faas_bytes input)
{
    double out = score(fetch(), input.data);

    return faas_reply(ctx, faas_bytes_of(&out, sizeof out));
}

/* Many: the table is gone through once. A row of a wrong size fails alone. */
static int many(faas_context *ctx, faas_item *items, size_t count)
{
    double base = fetch();

    (void)ctx;
    for (size_t i = 0; i < count; i++) {
        double out;

        if (items[i].input.size != ROW) {
            items[i].code = faas_fail(items[i].ctx, 400, "a row has %d bytes", ROW);
            continue;
        }
        out = score(base, items[i].input.data);
        items[i].code = faas_reply(items[i].ctx, faas_bytes_of(&out, sizeof out));
    }
    return 0;
}

static void check(faas_status status, const char *what)
{
    if (status == FAAS_OK)
        return;
    fprintf(stderr, "batch: %s: %s: %s\n", what, faas_status_text(status),
            faas_error_text());
    exit(1);
}

struct work {
    faas_runtime *rt;
    faas_fn fn;
    unsigned char first;
};

/* One of the threads: every answer must be that of its own row. */
static void *caller(void *user)
{
    struct work *work = user;
    double base = fetch();

    for (int i = 0; i < CALLS; i++) {
        unsigned char row[ROW];
        faas_result *result;
        double out;

        memset(row, (unsigned char)(work->first + i), ROW);
        check(faas_invoke(work->rt, work->fn, faas_bytes_of(row, ROW), 0, &result),
              "invoke");
        memcpy(&out, faas_result_bytes(result).data, sizeof out);
        faas_result_release(result);
        if (out != score(base, row)) {
            fprintf(stderr, "batch: somebody else's answer\n");
            exit(1);
        }
    }
    return NULL;
}

/* All threads call a function, and what became of it is a line of the table. */
static void crowd(faas_runtime *rt, faas_fn fn, const char *what)
{
    faas_function_stats stats = {.size = sizeof stats};
    pthread_t threads[THREADS];
    struct work work[THREADS];
    uint64_t started = faas_runtime_now(rt);
    double ms;

    for (int i = 0; i < THREADS; i++) {
        work[i] = (struct work){rt, fn, (unsigned char)(i * 31)};
        if (pthread_create(&threads[i], NULL, caller, &work[i]) != 0)
            exit(1);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ms = (double)(faas_runtime_now(rt) - started) / 1e6;
    check(faas_function_stats_get(rt, fn, &stats, NULL), "stats");
    printf("%-12s %8.0f %10.0f %8.1f %10.0f %8.1f\n", what, (double)THREADS * CALLS,
           (double)(stats.batches != 0 ? stats.batches : stats.invocations),
           stats.batches != 0 ? (double)stats.batched / (double)stats.batches : 1.0,
           (double)stats.cache_hits, ms);
}

int main(void)
{
    faas_runtime *rt;
    faas_fn plain, batched, remembered;
    faas_result *result;

    for (int i = 0; i < TABLE; i++)
        table[i] = i % 10;
    check(faas_runtime_open(&rt, NULL), "runtime");
    check(
        faas_function_register(rt,
                               FAAS_FUNCTION(.name = "plain", .handler = single,
                                             .concurrency = 1, .on_full = FAAS_FULL_WAIT),
                               &plain),
        "plain");
    check(faas_function_register(rt, FAAS_FUNCTION(.name = "batched", .batch = many),
                                 &batched),
          "batched");
    check(faas_function_register(
              rt,
              FAAS_FUNCTION(.name = "remembered", .batch = many, .cache_bytes = 1 << 20),
              &remembered),
          "remembered");
    printf("%-12s %8s %10s %8s %10s %8s\n", "function", "calls", "runs", "items", "hits",
           "ms");
    crowd(rt, plain, "plain");
    crowd(rt, batched, "batched");
    crowd(rt, remembered, "remembered");

    if (faas_invoke(rt, batched, faas_str("short"), 0, &result) != FAAS_EHANDLER)
        return 1;
    printf("A bad row fails alone, with code %d: %s\n", faas_result_code(result),
           faas_result_message(result));
    faas_result_release(result);
    check(faas_runtime_close(rt), "close");
    return 0;
}
