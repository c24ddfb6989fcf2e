/* SPDX-License-Identifier: MIT */
/* test_stats.c - numbers are counted, billed, summed up and written as they should be. */
#include "runtime_support.h"

#include <faas/stats.h>

#include <math.h>
#include <unistd.h>

/* ---- histograms ---- */

/* A cheap generator, the same at every run. */
static uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t x = (*state ^ *state >> 30) * 0xbf58476d1ce4e5b9u;

    return x ^ x >> 27;
}

static void within(uint64_t got, uint64_t truth)
{
    double error = truth == 0 ? (double)got : fabs((double)got / (double)truth - 1);

    ck_assert_msg(error <= 0.032, "%llu stands for %llu", (unsigned long long)got,
                  (unsigned long long)truth);
}

START_TEST(a_bucket_stands_for_all_it_counts_within_3_2_percent)
{
    uint64_t state = 1;

    for (uint64_t ns = 0; ns < 100000; ns++)
        within(faas_histogram_value(faas_histogram_bucket(ns)), ns);
    for (int shift = 0; shift < 64; shift++)
        for (int k = -1; k <= 1; k++) {
            uint64_t ns = ((uint64_t)1 << shift) + (uint64_t)k;

            within(faas_histogram_value(faas_histogram_bucket(ns)), ns);
        }
    within(faas_histogram_value(faas_histogram_bucket(UINT64_MAX)), UINT64_MAX);
    for (int i = 0; i < 100000; i++) {
        uint64_t ns = next_random(&state) >> (i % 64);

        ck_assert_uint_lt(faas_histogram_bucket(ns), FAAS_HISTOGRAM_BUCKETS);
        within(faas_histogram_value(faas_histogram_bucket(ns)), ns);
    }
}
END_TEST

START_TEST(buckets_follow_each_other_and_hold_their_own_value)
{
    for (unsigned b = 0; b < FAAS_HISTOGRAM_BUCKETS; b++) {
        ck_assert_uint_eq(faas_histogram_bucket(faas_histogram_value(b)), b);
        if (b > 0)
            ck_assert(faas_histogram_value(b) > faas_histogram_value(b - 1));
    }
    ck_assert_uint_eq(faas_histogram_bucket(UINT64_MAX), FAAS_HISTOGRAM_BUCKETS - 1);
    for (uint64_t ns = 1; ns < 5000; ns++)
        ck_assert_uint_le(faas_histogram_bucket(ns) - faas_histogram_bucket(ns - 1), 1);
}
END_TEST

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

START_TEST(quantiles_are_within_3_2_percent_of_the_truth)
{
    static const unsigned counts[] = {1, 2, 3, 10, 99, 100, 101, 5000};
    static const double qs[] = {0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1};
    static uint64_t values[5000];
    static faas_histogram h;
    uint64_t state = 7;

    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++)
        for (int shape = 0; shape < 3; shape++) {
            memset(&h, 0, sizeof h);
            for (unsigned i = 0; i < counts[c]; i++) {
                uint64_t r = next_random(&state);

                values[i] = shape == 0   ? r % 1000000
                            : shape == 1 ? r >> (r % 60)
                                         : (r % 100 == 0 ? 1000000000 : 50);
                h.count[faas_histogram_bucket(values[i])]++;
            }
            qsort(values, counts[c], sizeof values[0], by_size);
            for (size_t i = 0; i < sizeof qs / sizeof qs[0]; i++) {
                /* The least value that a share q of all does not exceed. */
                double rank = ceil(qs[i] * counts[c] - 1e-9);
                unsigned at = rank < 1 ? 0 : (unsigned)rank - 1;

                within(faas_histogram_quantile(&h, qs[i]), values[at]);
            }
        }
}
END_TEST

START_TEST(quantiles_at_the_edges_are_the_least_and_the_most)
{
    static faas_histogram h;

    ck_assert_uint_eq(faas_histogram_quantile(&h, 0.5), 0);
    ck_assert_uint_eq(faas_histogram_quantile(&h, 1), 0);
    h.count[faas_histogram_bucket(5)] = 1;
    h.count[faas_histogram_bucket(10)] = 1;
    ck_assert_uint_eq(faas_histogram_quantile(&h, 0), 5);
    ck_assert_uint_eq(faas_histogram_quantile(&h, -1), 5);
    ck_assert_uint_eq(faas_histogram_quantile(&h, (double)NAN), 5);
    ck_assert_uint_eq(faas_histogram_quantile(&h, 1), 10);
    ck_assert_uint_eq(faas_histogram_quantile(&h, 2), 10);
    ck_assert_uint_eq(faas_histogram_quantile(&h, (double)INFINITY), 10);
    ck_assert_uint_eq(faas_histogram_quantile(&h, 0.5), 5);
    ck_assert_uint_eq(faas_histogram_quantile(&h, 0.51), 10);
}
END_TEST

START_TEST(merging_is_adding_up)
{
    static faas_histogram a, b, both;
    uint64_t state = 3;

    for (int i = 0; i < 10000; i++) {
        uint64_t ns = next_random(&state) >> (i % 50);
        unsigned bucket = faas_histogram_bucket(ns);

        (i % 3 == 0 ? &a : &b)->count[bucket]++;
        both.count[bucket]++;
    }
    faas_histogram_merge(&a, &b);
    ck_assert_mem_eq(&a, &both, sizeof a);
    memset(&b, 0, sizeof b);
    faas_histogram_merge(&a, &b);
    ck_assert_mem_eq(&a, &both, sizeof a);
}
END_TEST

/* ---- counting ---- */

/* What the next call does. */
struct play {
    uint64_t takes_ns;
    int code;
    size_t bytes;
};

static int plays(faas_context *ctx, faas_bytes input)
{
    const struct play *play = faas_user(ctx);

    (void)input;
    pass_ns(play->takes_ns);
    if (play->bytes != 0 && faas_alloc(ctx, play->bytes) == NULL)
        return FAAS_ENOMEM;
    return play->code;
}

static int opens(faas_context *ctx, void **state)
{
    struct play *play = faas_user(ctx);

    (void)state;
    pass_ns(7 * MS);
    return play->code == 99 ? 1 : 0;
}

START_TEST(each_outcome_is_counted_where_it_belongs)
{
    static faas_histogram latency;
    faas_function_stats s = {.size = sizeof s};
    struct play play = {0, 99, 0};
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = plays, .user = &play,
                                   .init = opens, .timeout_ns = 100 * MS));
    ck_assert_status(call(fn), FAAS_EINIT);
    play = (struct play){10 * MS, 0, 1000};
    for (int i = 0; i < 5; i++)
        ck_assert_ok(call(fn));
    play = (struct play){20 * MS, 3, 5000};
    for (int i = 0; i < 3; i++)
        ck_assert_status(call(fn), FAAS_EHANDLER);
    play = (struct play){200 * MS, 0, 0};
    for (int i = 0; i < 2; i++)
        ck_assert_status(call(fn), FAAS_ETIMEDOUT);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = FAAS_OFF)));
    for (int i = 0; i < 4; i++)
        ck_assert_status(call(fn), FAAS_EBUSY);
    ck_assert_status(
        faas_invoke_with(w.rt, fn, faas_str(NULL), FAAS_CALL(.deadline_ns = 1), NULL),
        FAAS_EEXPIRED);
    ck_assert_ok(faas_function_stats_get(w.rt, fn, &s, &latency));
    ck_assert_uint_eq(s.invocations, 10);
    ck_assert_uint_eq(s.errors, 3);
    ck_assert_uint_eq(s.timeouts, 2);
    ck_assert_uint_eq(s.throttles, 4);
    ck_assert_uint_eq(s.cold_starts, 1);
    ck_assert_uint_eq(s.init_errors, 1);
    ck_assert_uint_eq(s.evictions, 0);
    ck_assert_uint_eq(s.run_ns, 5 * 10 * MS + 3 * 20 * MS + 2 * 200 * MS);
    ck_assert_uint_eq(s.wait_ns, 0);
    ck_assert_uint_eq(s.init_ns, 7 * MS);
    ck_assert_uint_eq(s.peak_bytes_max, 5008);
    ck_assert_uint_eq(s.concurrency, 0);
    ck_assert_uint_eq(s.concurrency_peak, 1);
    ck_assert_double_eq_tol(s.used_byte_s, 5 * 1008 * 0.010 + 3 * 5008 * 0.020, 1e-6);
    ck_assert_double_eq_tol(s.billed_gb_s, (5 * 10 + 3 * 20 + 2 * 200) / 8000.0, 1e-9);
    ck_assert_uint_eq(latency.count[faas_histogram_bucket(10 * MS)], 5);
    ck_assert_uint_eq(latency.count[faas_histogram_bucket(20 * MS)], 3);
    ck_assert_uint_eq(latency.count[faas_histogram_bucket(200 * MS)], 2);
    within(faas_histogram_quantile(&latency, 0.5), 10 * MS);
    within(faas_histogram_quantile(&latency, 1), 200 * MS);
    CLOSE();
}
END_TEST

START_TEST(time_is_billed_as_lambda_bills_it)
{
    static const struct {
        uint64_t ns, memory, ms;
    } rows[] = {
        {0, 128 << 20, 1},
        {1, 128 << 20, 1},
        {999999, 128 << 20, 1},
        {1000000, 128 << 20, 1},
        {1000001, 128 << 20, 2},
        {1500000, 1 << 30, 2},
        {2000000, 1 << 30, 2},
        {123456789, UINT64_C(10) << 30, 124},
        {900 * SEC, 512 << 20, 900000},
    };

    OPEN_DEFAULT();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct play play = {rows[i].ns, 0, 0};
        char name[16];
        double want = (double)rows[i].memory / (1 << 30) * (double)rows[i].ms / 1000;
        faas_fn fn;

        snprintf(name, sizeof name, "f%zu", i);
        fn = function_of(FAAS_FUNCTION(.name = name, .handler = plays, .user = &play,
                                       .memory_bytes = rows[i].memory,
                                       .timeout_ns = FAAS_FOREVER));
        for (int n = 1; n <= 3; n++) {
            ck_assert_ok(call(fn));
            ck_assert_double_eq_tol(stats_of(fn).billed_gb_s, n * want, want * 1e-9);
        }
    }
    CLOSE();
}
END_TEST

START_TEST(a_changed_memory_bills_what_comes_after)
{
    struct play play = {SEC, 0, 0};
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = plays, .user = &play,
                                   .memory_bytes = 1 << 30));
    ck_assert_ok(call(fn));
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.memory_bytes = 1 << 29)));
    ck_assert_ok(call(fn));
    ck_assert_double_eq_tol(stats_of(fn).billed_gb_s, 1.5, 1e-9);
    CLOSE();
}
END_TEST

START_TEST(counts_survive_whatever_becomes_of_instances_and_caps)
{
    struct caller c[6] = {{.limit_ns = 0}};
    struct latch latch;
    static faas_histogram latency;
    faas_function_stats s = {.size = sizeof s};
    uint64_t calls = 0, buckets = 0;
    faas_fn fn;

    OPEN_DEFAULT();
    latch_init(&latch);
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = holds, .user = &latch, .idle_ns = SEC));
    for (int round = 0; round < 6; round++) {
        unsigned count = (unsigned)(round % 3) * 2 + 1;

        for (unsigned i = 0; i < count; i++)
            caller_start(&c[i], fn);
        latch_await(&latch, count);
        latch_release(&latch, count);
        for (unsigned i = 0; i < count; i++)
            ck_assert_ok(caller_join(&c[i]));
        calls += count;
        if (round % 2 == 0) {
            pass_ns(SEC);
            faas_runtime_sweep(w.rt, NULL);
        } else {
            ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = 1)));
            ck_assert_ok(faas_function_update(
                w.rt, fn, FAAS_FUNCTION(.concurrency = FAAS_UNLIMITED)));
        }
        if (round == 3)
            ck_assert_ok(faas_function_replace(
                w.rt, fn,
                FAAS_FUNCTION(.handler = holds, .user = &latch, .idle_ns = SEC)));
        ck_assert_ok(faas_function_stats_get(w.rt, fn, &s, &latency));
        ck_assert_uint_eq(s.invocations, calls);
        ck_assert_uint_eq(latency.count[0], calls);
        ck_assert_uint_eq(s.concurrency_peak, round < 1 ? 1 : round < 2 ? 3 : 5);
    }
    for (unsigned i = 0; i < FAAS_HISTOGRAM_BUCKETS; i++)
        buckets += latency.count[i];
    ck_assert_uint_eq(buckets, calls);
    /* A function that takes over the memory of one that is gone starts at zero. */
    ck_assert_ok(faas_function_unregister(w.rt, fn));
    fn = function_of(FAAS_FUNCTION(.name = "g", .handler = answers));
    ck_assert_ok(call(fn));
    ck_assert_ok(faas_function_stats_get(w.rt, fn, &s, &latency));
    ck_assert_uint_eq(s.invocations, 1);
    ck_assert_uint_eq(latency.count[0], 1);
    ck_assert_uint_eq(s.concurrency_peak, 1);
    CLOSE();
}
END_TEST

START_TEST(the_caller_gets_as_much_of_the_struct_as_it_knows)
{
    struct {
        faas_function_stats s;
        char after[32];
    } big;
    faas_function_stats small;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = answers));
    ck_assert_ok(call(fn));
    memset(&big, 0x55, sizeof big);
    big.s.size = sizeof big;
    ck_assert_ok(faas_function_stats_get(w.rt, fn, &big.s, NULL));
    ck_assert_uint_eq(big.s.size, sizeof big);
    ck_assert_uint_eq(big.s.invocations, 1);
    for (size_t i = 0; i < sizeof big.after; i++)
        ck_assert_int_eq(big.after[i], 0);
    memset(&small, 0x55, sizeof small);
    small.size = offsetof(faas_function_stats, errors);
    ck_assert_ok(faas_function_stats_get(w.rt, fn, &small, NULL));
    ck_assert_uint_eq(small.invocations, 1);
    ck_assert_uint_eq(small.errors, UINT64_C(0x5555555555555555));
    small.size = 0;
    ck_assert_status(faas_function_stats_get(w.rt, fn, &small, NULL), FAAS_EINVAL);
    ck_assert_uint_eq(small.invocations, 1);
    CLOSE();
}
END_TEST

/* ---- while threads run ---- */

static atomic_bool storm_ends;

struct counter {
    pthread_t thread;
    faas_fn fn;
    uint64_t ran, failed, refused;
};

static int fails_sometimes(faas_context *ctx, faas_bytes input)
{
    const struct faas_id id = faas_request_id(ctx);

    (void)input;
    return id.low % 3 == 0 ? 1 : 0;
}

static void *counts_calls(void *user)
{
    struct counter *c = user;

    while (!atomic_load(&storm_ends)) {
        faas_status status = faas_invoke(w.rt, c->fn, faas_str(NULL), 0, NULL);

        *(status == FAAS_OK         ? &c->ran
          : status == FAAS_EHANDLER ? &c->failed
                                    : &c->refused) += 1;
    }
    return NULL;
}

START_TEST(a_snapshot_while_threads_run_never_goes_back_and_ends_exact)
{
#ifdef FAASI_SANITIZED
    const int rounds = 300;
#else
    const int rounds = 3000;
#endif
    static faas_histogram latency;
    struct counter c[3];
    faas_function_stats s = {.size = sizeof s}, last = {.size = sizeof last};
    uint64_t ran = 0, failed = 0, refused = 0, buckets = 0;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = fails_sometimes, .concurrency = 2));
    for (int i = 0; i < 3; i++) {
        c[i] = (struct counter){.fn = fn};
        ck_assert_int_eq(pthread_create(&c[i].thread, NULL, counts_calls, &c[i]), 0);
    }
    for (int i = 0; i < rounds; i++) {
        ck_assert_ok(faas_function_stats_get(w.rt, fn, &s, &latency));
        ck_assert_uint_ge(s.invocations, last.invocations);
        ck_assert_uint_ge(s.errors, last.errors);
        ck_assert_uint_ge(s.throttles, last.throttles);
        ck_assert_uint_le(s.concurrency, 2);
        ck_assert_uint_le(s.concurrency_peak, 2);
        ck_assert_uint_le(s.instances, 2);
        last = s;
        if (i % 100 == 50)
            ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = 1)));
        if (i % 100 == 0)
            ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = 2)));
    }
    atomic_store(&storm_ends, true);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(pthread_join(c[i].thread, NULL), 0);
        ran += c[i].ran;
        failed += c[i].failed;
        refused += c[i].refused;
    }
    ck_assert_ok(faas_function_stats_get(w.rt, fn, &s, &latency));
    ck_assert_uint_eq(s.invocations, ran + failed);
    ck_assert_uint_eq(s.errors, failed);
    ck_assert_uint_eq(s.throttles, refused);
    for (unsigned i = 0; i < FAAS_HISTOGRAM_BUCKETS; i++)
        buckets += latency.count[i];
    ck_assert_uint_eq(buckets, ran + failed);
    CLOSE();
}
END_TEST

static int always_fails(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    (void)input;
    return 1;
}

START_TEST(no_snapshot_shows_more_failures_than_calls)
{
#ifdef FAASI_SANITIZED
    const int rounds = 1000;
#else
    const int rounds = 10000;
#endif
    struct counter c[2];
    faas_fn fn;

    OPEN_DEFAULT();
    atomic_store(&storm_ends, false);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = always_fails));
    for (int i = 0; i < 2; i++) {
        c[i] = (struct counter){.fn = fn};
        ck_assert_int_eq(pthread_create(&c[i].thread, NULL, counts_calls, &c[i]), 0);
    }
    for (int i = 0; i < rounds; i++) {
        faas_function_stats s = stats_of(fn);

        ck_assert_uint_le(s.errors, s.invocations);
    }
    atomic_store(&storm_ends, true);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_join(c[i].thread, NULL), 0);
    CLOSE();
}
END_TEST

/* ---- Prometheus ---- */

static int to_file(const char *text, size_t size, void *user)
{
    return fwrite(text, 1, size, user) == size ? 0 : 1;
}

START_TEST(the_prometheus_text_is_what_prometheus_reads)
{
    static const char program[] =
        "import re, sys\n"
        "text = open(sys.argv[1], encoding=\"utf-8\", newline=\"\").read()\n"
        "assert text.endswith(\"\\n\") and \"\\r\" not in text\n"
        "types, family, closed, values, order = {}, None, set(), {}, []\n"
        "name = \"[a-zA-Z_:][a-zA-Z0-9_:]*\"\n"
        "label = "
        "\"[a-zA-Z_][a-zA-Z0-9_]*=\\\"(?:[^\\\\x5c\\\"\\n]|\\\\x5c[\\\\x5c\\\"n])*"
        "\\\"\"\n"
        "sample = re.compile(f\"({name})(?:{{({label}(?:,{label})*)}})? (\\\\S+)$\")\n"
        "for line in text[:-1].split(\"\\n\"):\n"
        "    if line.startswith(\"# HELP \"):\n"
        "        f = line.split(\" \")[2]\n"
        "        assert f not in closed, f\n"
        "        closed.add(f)\n"
        "        family = f\n"
        "    elif line.startswith(\"# TYPE \"):\n"
        "        _, _, f, t = line.split(\" \")\n"
        "        assert f == family and t in (\"counter\", \"gauge\", \"histogram\")\n"
        "        types[f] = t\n"
        "    else:\n"
        "        m = sample.match(line)\n"
        "        assert m, line\n"
        "        base = m[1]\n"
        "        if types[family] == \"histogram\":\n"
        "            base = re.sub(\"_(bucket|sum|count)$\", \"\", base)\n"
        "        assert base == family, line\n"
        "        if types[family] == \"counter\": assert family.endswith(\"_total\")\n"
        "        key = (m[1], m[2])\n"
        "        assert key not in values, key\n"
        "        values[key] = float(m[3])\n"
        "        order.append(key)\n"
        "def v(metric, function):\n"
        "    return values[(\"faas_\" + metric, f\"function=\\\"{function}\\\"\")]\n"
        "assert v(\"invocations_total\", \"f\") == 7\n"
        "assert v(\"errors_total\", \"f\") == 2\n"
        "assert v(\"throttles_total\", \"off\") == 3\n"
        "assert v(\"cold_starts_total\", \"f\") == 1\n"
        "assert v(\"instances\", \"f\") == 1 and v(\"instances_idle\", \"f\") == 1\n"
        "assert v(\"concurrency\", \"f\") == 0\n"
        "assert abs(v(\"billed_gigabyte_seconds_total\", \"f\") - 28 / 8000) < 1e-9\n"
        "weird = \"we\\x5c\\\"ird\\x5c\\x5c\\x5cn\\u00fc\"\n"
        "assert v(\"invocations_total\", weird) == 1, list(values)\n"
        "assert v(\"invocations_total\", \"f:1\") == 0\n"
        "assert not [k for k in values if k[1] and \"live\" in k[1]]\n"
        "for function, count in ((\"f\", 7), (weird, 1), (\"off\", 0)):\n"
        "    b = [k for k in order if k[0] == \"faas_run_seconds_bucket\"\n"
        "         and k[1].startswith(f\"function=\\\"{function}\\\",le=\")]\n"
        "    bounds = [k[1].split(\",le=\")[1].strip(\"\\\"\") for k in b]\n"
        "    assert bounds[-1] == \"+Inf\"\n"
        "    assert [float(x) for x in bounds] == sorted(float(x) for x in bounds)\n"
        "    seen = [values[k] for k in b]\n"
        "    assert seen == sorted(seen) and seen[-1] == count, seen\n"
        "    assert v(\"run_seconds_count\", function) == count\n"
        "at = dict(zip(bounds, seen))\n"
        "assert abs(v(\"run_seconds_sum\", \"f\") - 0.028) < 1e-9\n"
        "f = {k[1].split(\",le=\")[1]: values[k] for k in order\n"
        "     if k[0] == \"faas_run_seconds_bucket\" and \"=\\\"f\\\",\" in k[1]}\n"
        "assert f[\"\\\"1e-3\\\"\"] == 0 and f[\"\\\"1e-2\\\"\"] == 7, f\n"
        "assert values[(\"faas_memory_budget_bytes\", None)] == 1 << 30\n"
        "assert values[(\"faas_held_bytes\", None)] > 0\n";
    struct play play = {4 * MS, 0, 0};
    char path[] = "/tmp/faas_test_XXXXXX", script[] = "/tmp/faas_test_XXXXXX";
    char command[128];
    faas_share one = {1, 1};
    int fd;
    FILE *file;
    faas_fn fn;

    OPEN(.memory_bytes = 1 << 30);
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = plays, .user = &play));
    for (int i = 0; i < 5; i++)
        ck_assert_ok(call(fn));
    play.code = 1;
    for (int i = 0; i < 2; i++)
        ck_assert_status(call(fn), FAAS_EHANDLER);
    ck_assert_ok(faas_function_publish(w.rt, fn, NULL, NULL));
    ck_assert_ok(faas_alias_put(w.rt, fn, "live", &one, 1, NULL));
    ck_assert_ok(call(
        function_of(FAAS_FUNCTION(.name = "we\"ird\\\n\xc3\xbc", .handler = answers))));
    fn = function_of(
        FAAS_FUNCTION(.name = "off", .handler = answers, .concurrency = FAAS_OFF));
    for (int i = 0; i < 3; i++)
        ck_assert_status(call(fn), FAAS_EBUSY);

    fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    file = fdopen(fd, "w");
    ck_assert_ok(faas_prometheus(w.rt, to_file, file));
    ck_assert_int_eq(fclose(file), 0);
    fd = mkstemp(script);
    ck_assert_int_ge(fd, 0);
    file = fdopen(fd, "w");
    ck_assert_uint_eq(fwrite(program, 1, sizeof program - 1, file), sizeof program - 1);
    ck_assert_int_eq(fclose(file), 0);
    snprintf(command, sizeof command, "/usr/bin/python3 %s %s", script, path);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(remove(path) + remove(script), 0);
    CLOSE();
}
END_TEST

SUITE_MAIN("stats", a_bucket_stands_for_all_it_counts_within_3_2_percent,
           buckets_follow_each_other_and_hold_their_own_value,
           quantiles_are_within_3_2_percent_of_the_truth,
           quantiles_at_the_edges_are_the_least_and_the_most, merging_is_adding_up,
           each_outcome_is_counted_where_it_belongs, time_is_billed_as_lambda_bills_it,
           a_changed_memory_bills_what_comes_after,
           counts_survive_whatever_becomes_of_instances_and_caps,
           the_caller_gets_as_much_of_the_struct_as_it_knows,
           a_snapshot_while_threads_run_never_goes_back_and_ends_exact,
           no_snapshot_shows_more_failures_than_calls,
           the_prometheus_text_is_what_prometheus_reads)
