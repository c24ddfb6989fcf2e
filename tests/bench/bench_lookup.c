/* SPDX-License-Identifier: MIT */
/* bench_lookup.c - finding functions by random names among 1,000 and 1,000,000, beside a
 * GHashTable of the same names; and what a million registered functions take.
 *
 * The names asked for stand in an array in the order in which they are asked for, so that
 * the asking itself misses no cache: it holds a million of them, drawn at random. */
#include "bench.h"

#include <glib.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SMALL = 1000, LARGE = 1000000, QUERIES = 1 << 20, NAME_SIZE = 16 };

/* A name of 16 characters, terminated for GLib. */
struct name {
    char text[NAME_SIZE + 1];
};

/* Functions, and the names that are looked up among them, from `at` on. */
struct population {
    unsigned count;
    faas_runtime *rt;
    GHashTable *peer;
    struct name *queries;
    uint64_t at[3]; /* each subject goes through the queries by itself */
};

static int nothing(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    (void)input;
    return 0;
}

/* ---- random names ---- */

/* Source: SplitMix64, of Steele, Lea and Flood, "Fast splittable pseudorandom number
 * generators", 2014. */
static uint64_t mix(uint64_t x)
{
    x += 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return x ^ (x >> 31);
}

static struct name name_of(unsigned number)
{
    struct name name;

    (void)snprintf(name.text, sizeof name.text, "fn-%06x-%06x", number & 0xffffffu,
                   (unsigned)(mix(number) & 0xffffff));
    return name;
}

static void *must_have(void *memory)
{
    if (memory == NULL)
        bench_check(FAAS_ENOMEM, "the bench's own memory");
    return memory;
}

static struct name *queries_open(unsigned count)
{
    struct name *queries = must_have(calloc(QUERIES, sizeof *queries));

    for (unsigned i = 0; i < QUERIES; i++)
        queries[i] = name_of((unsigned)(mix(i) % count));
    return queries;
}

/* ---- memory ---- */

static double resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long size, resident = 0;

    if (file != NULL && fscanf(file, "%lu %lu", &size, &resident) != 2)
        resident = 0;
    if (file != NULL)
        (void)fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

/* ---- populations ---- */

static faas_runtime *runtime_open(const faas_allocator *allocator)
{
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;
    faas_runtime *rt;

    options.allocator = allocator;
    bench_check(faas_runtime_open(&rt, &options), "open");
    return rt;
}

/* Returns how many nanoseconds one took. */
static double populate(faas_runtime *rt, unsigned count)
{
    uint64_t begun = bench_now();

    for (unsigned i = 0; i < count; i++) {
        struct name name = name_of(i);

        bench_check(faas_function_register(
                        rt, FAAS_FUNCTION(.name = name.text, .handler = nothing), NULL),
                    name.text);
    }
    return (double)(bench_now() - begun) / count;
}

static GHashTable *peer_open(unsigned count)
{
    GHashTable *peer = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (unsigned i = 0; i < count; i++)
        (void)g_hash_table_insert(peer, g_strdup(name_of(i).text), peer);
    return peer;
}

/* ---- bodies ---- */

static const struct name *query(struct population *p, unsigned subject)
{
    return &p->queries[p->at[subject]++ % QUERIES];
}

static void find(void *user, uint64_t count)
{
    struct population *p = user;
    faas_fn fn;

    for (uint64_t i = 0; i < count; i++)
        bench_check(
            faas_function_find(p->rt, faas_bytes_of(query(p, 0)->text, NAME_SIZE), &fn),
            "find");
}

/* Each lookup waits for the last one's answer, as those of a program do that does
 * something with it. */
static void find_in_turn(void *user, uint64_t count)
{
    struct population *p = user;
    faas_fn fn;

    for (uint64_t i = 0; i < count; i++) {
        bench_check(
            faas_function_find(p->rt, faas_bytes_of(query(p, 1)->text, NAME_SIZE), &fn),
            "find");
        p->at[1] += fn.generation == 0; // never
    }
}

static void peer_find(void *user, uint64_t count)
{
    struct population *p = user;

    for (uint64_t i = 0; i < count; i++)
        if (g_hash_table_lookup(p->peer, query(p, 2)->text) == NULL)
            bench_check(FAAS_ENOENT, "g_hash_table_lookup");
}

int main(int argc, char **argv)
{
    static struct population small = {.count = SMALL}, large = {.count = LARGE};
    bench_figure ours, theirs;
    double before, ns;

    bench_open(argc, argv, "lookup");
    large.rt = runtime_open(&bench_counting);
    before = (double)bench_live_bytes();
    (void)populate(large.rt, LARGE);
    bench_target(bench_once("memory of a function never called, of 1,000,000", "B",
                            ((double)bench_live_bytes() - before) / LARGE),
                 512);
    (void)faas_runtime_close(large.rt);
    if (bench_live_bytes() != 0)
        bench_check(FAAS_EINUSE, "memory was left");

    large.rt = runtime_open(NULL);
    before = resident_bytes();
    ns = populate(large.rt, LARGE);
    bench_target(bench_once("the same, as resident pages of the process", "B",
                            (resident_bytes() - before) / LARGE),
                 512);
    (void)bench_once("register, one of 1,000,000", "ns", ns);

    small.rt = runtime_open(NULL);
    (void)populate(small.rt, SMALL);
    small.queries = queries_open(SMALL);
    large.queries = queries_open(LARGE);
    small.peer = peer_open(SMALL);
    large.peer = peer_open(LARGE);

    ours = bench_time("find among 1,000", find, &small);
    bench_target(ours, 15);
    theirs = bench_time("GHashTable among 1,000", peer_find, &small);
    (void)bench_ratio("find / GHashTable among 1,000", ours, theirs);
    (void)bench_time("find among 1,000, each after the last", find_in_turn, &small);
    ours = bench_time("find among 1,000,000", find, &large);
    bench_target(ours, 60);
    theirs = bench_time("GHashTable among 1,000,000", peer_find, &large);
    (void)bench_ratio("find / GHashTable among 1,000,000", ours, theirs);
    (void)bench_time("find among 1,000,000, each after the last", find_in_turn, &large);
    bench_run();

    (void)faas_runtime_close(small.rt);
    (void)faas_runtime_close(large.rt);
    g_hash_table_destroy(small.peer);
    g_hash_table_destroy(large.peer);
    free(small.queries);
    free(large.queries);
    return bench_close();
}
