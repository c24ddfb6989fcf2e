/* SPDX-License-Identifier: MIT */
/* Replay of traces, its bounds, and the reading of trace files. */
#include "support.h"

#include "cli/trace.h"
#include "core/mem.h"
#include "core/replay.h"

#include <unistd.h>
#include <zlib.h>

#define SECOND UINT64_C(1000000000)
#define GB ((uint64_t)1 << 30)

static faas_trace_function functions[] = {
    {.memory_bytes = GB, .init_ns = SECOND},
    {.memory_bytes = GB, .init_ns = 10 * SECOND},
    {.memory_bytes = 2 * GB, .init_ns = SECOND},
};

static faas_replay *open_calls(const faas_trace_call *calls, size_t count)
{
    faas_replay_trace trace = {.size = sizeof trace,
                               .functions = functions,
                               .calls = calls,
                               .function_count = FAASI_COUNT(functions),
                               .call_count = count};
    faas_replay *replay;

    ck_assert_ok(faas_replay_open(&trace, NULL, &replay));
    return replay;
}

static faas_replay_result run(const faas_replay *replay, const char *policy,
                              uint64_t bytes)
{
    faas_replay_options options = FAAS_REPLAY_OPTIONS_INIT;
    faas_replay_result result = {.size = sizeof result};

    options.policy = policy;
    options.memory_bytes = bytes;
    ck_assert_ok(faas_replay_run(replay, &options, &result));
    return result;
}

/* 0 and 1 in turn, each second, then 2, which needs both their places. */
static const faas_trace_call TURNS[] = {
    {.at_ns = 1 * SECOND, .run_ns = SECOND / 2, .function = 0},
    {.at_ns = 2 * SECOND, .run_ns = SECOND / 2, .function = 1},
    {.at_ns = 3 * SECOND, .run_ns = SECOND / 2, .function = 0},
    {.at_ns = 4 * SECOND, .run_ns = SECOND / 2, .function = 1},
    {.at_ns = 5 * SECOND, .run_ns = SECOND / 2, .function = 2},
    {.at_ns = 6 * SECOND, .run_ns = SECOND / 2, .function = 0},
};

START_TEST(a_replay_counts_what_happens)
{
    faas_replay *replay = open_calls(TURNS, FAASI_COUNT(TURNS));
    faas_replay_result r = run(replay, "lru", 2 * GB);

    ck_assert_uint_eq(r.invocations, 6);
    ck_assert_uint_eq(r.cold_starts, 4);
    ck_assert_uint_eq(r.first_starts, 3);
    ck_assert_uint_eq(r.init_ns, 13 * SECOND);
    ck_assert_uint_eq(r.evictions, 3);
    ck_assert_uint_eq(r.over_budget, 0);
    ck_assert_uint_eq(r.events, 11); // the last run ends after the last arrival
    /* 0 idles 1.5 + 1.5, 1 idles 1.5 + .5, 2 idles .5 at twice the size. */
    ck_assert_double_eq_tol(r.idle_gb_hours * 3600, 1.5 + 1.5 + 1.5 + .5 + 2 * .5, 1e-9);
    r = run(replay, "lru", 4 * GB);
    ck_assert_uint_eq(r.cold_starts, 3);
    ck_assert_uint_eq(r.evictions, 0);
    faas_replay_close(replay);
}
END_TEST

START_TEST(busy_instances_run_over_budget_and_stay)
{
    static const faas_trace_call calls[] = {
        {.at_ns = 0, .run_ns = 10 * SECOND, .function = 2},
        {.at_ns = SECOND, .run_ns = SECOND, .function = 2},
        {.at_ns = SECOND, .run_ns = SECOND, .function = 0},
        {.at_ns = 20 * SECOND, .run_ns = 0, .function = 0},
    };
    faas_replay *replay = open_calls(calls, FAASI_COUNT(calls));

    for (size_t i = 0; faas_replay_policy(i) != NULL; i++) {
        faas_replay_result r = run(replay, faas_replay_policy(i), 2 * GB);

        ck_assert_uint_eq(r.over_budget, 2);
        ck_assert_uint_eq(r.cold_starts, 4);
    }
    faas_replay_close(replay);
}
END_TEST

START_TEST(ttl_ends_instances_in_between)
{
    faas_replay *replay = open_calls(TURNS, FAASI_COUNT(TURNS));
    faas_replay_options options = FAAS_REPLAY_OPTIONS_INIT;
    faas_replay_result r = {.size = sizeof r};

    options.policy = "ttl";
    options.memory_bytes = 8 * GB;
    options.idle_ns = SECOND;
    ck_assert_ok(faas_replay_run(replay, &options, &r));
    ck_assert_uint_eq(r.cold_starts, 6);
    ck_assert_uint_eq(r.expirations, 4);
    ck_assert_double_eq_tol(r.idle_gb_hours * 3600, 4 + 2 * .5, 1e-9);
    faas_replay_close(replay);
}
END_TEST

/* ---- random traces ---- */

static uint32_t roll(uint64_t *dice, uint32_t sides)
{
    *dice = *dice * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(*dice >> 33) % sides;
}

static faas_replay *open_random(uint64_t seed, size_t count)
{
    faas_trace_call *calls = calloc(count, sizeof *calls);
    uint64_t now = 0;
    faas_replay *replay;

    ck_assert_ptr_nonnull(calls);
    for (size_t i = 0; i < count; i++) {
        now += roll(&seed, 5) == 0 ? roll(&seed, 200) * SECOND : roll(&seed, 1000000000);
        calls[i] = (faas_trace_call){.at_ns = now,
                                     .run_ns = roll(&seed, 3) * SECOND,
                                     .function = roll(&seed, FAASI_COUNT(functions))};
    }
    replay = open_calls(calls, count);
    free(calls);
    return replay;
}

START_TEST(bounds_enclose_the_optimum)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        faas_replay *replay = open_random(seed, 2000);
        faas_replay_bound bound = {.size = sizeof bound};

        ck_assert_ok(faas_replay_limits(replay, FAAS_REPLAY_INIT, 3 * GB, &bound));
        ck_assert_double_le(bound.lower_simple, bound.lower + 1e-6);
        ck_assert_double_le(bound.lower, bound.feasible + 1e-6);
        for (size_t i = 0; faas_replay_policy(i) != NULL; i++) {
            faas_replay_result r = run(replay, faas_replay_policy(i), 3 * GB);

            ck_assert_double_le(bound.lower, (double)r.init_ns / 1e9 + 1e-6);
            ck_assert_uint_le(r.first_starts, r.cold_starts);
        }
        faas_replay_close(replay);
    }
}
END_TEST

START_TEST(bounds_are_tight_where_all_fits)
{
    faas_replay *replay = open_calls(TURNS, FAASI_COUNT(TURNS));
    faas_replay_bound bound = {.size = sizeof bound};

    ck_assert_ok(faas_replay_limits(replay, FAAS_REPLAY_INIT, 4 * GB, &bound));
    ck_assert_double_eq_tol(bound.lower, 12, 1e-9);
    ck_assert_double_eq_tol(bound.feasible, 12, 1e-9);
    ck_assert_uint_eq(bound.cold_starts, 3);
    ck_assert_ok(faas_replay_limits(replay, FAAS_REPLAY_COUNT, 4 * GB, &bound));
    ck_assert_double_eq_tol(bound.lower, 3, 1e-9);
    /* With 3 GB one of the two must go for the third; 0's is the only loss. */
    ck_assert_ok(faas_replay_limits(replay, FAAS_REPLAY_INIT, 2 * GB, &bound));
    ck_assert_double_eq_tol(bound.feasible, 13, 1e-9);
    faas_replay_close(replay);
}
END_TEST

START_TEST(a_run_is_the_same_each_time)
{
    faas_replay *replay = open_random(5, 3000);

    for (size_t i = 0; faas_replay_policy(i) != NULL; i++) {
        faas_replay_result a = run(replay, faas_replay_policy(i), 3 * GB);
        faas_replay_result b = run(replay, faas_replay_policy(i), 3 * GB);

        a.cpu_ns = b.cpu_ns = 0;
        ck_assert_mem_eq(&a, &b, sizeof a);
    }
    faas_replay_close(replay);
}
END_TEST

/* ---- what is refused ---- */

static uint32_t lying_victim(struct faasi_policy *policy, uint64_t now)
{
    /* Anything: busy ones, absent ones, none. */
    return (uint32_t)(now / 7) % (policy->instance_room + 1);
}

START_TEST(a_lying_policy_cannot_harm)
{
    static const struct faasi_policy_ops liar = {.name = "liar", .victim = lying_victim};
    struct faasi_policy_options how = {.ops = &liar,
                                       .allocator = &faasi_default_allocator};
    faas_replay_options options = FAAS_REPLAY_OPTIONS_INIT;
    faas_replay_result r = {.size = sizeof r}, lru;
    faas_replay *replay = open_random(9, 2000);
    struct faasi_policy *policy;

    options.memory_bytes = 3 * GB;
    ck_assert_ok(faasi_policy_open(&policy, &how));
    ck_assert_ok(faasi_replay_run(replay, policy, &options, &r));
    ck_assert_uint_gt(policy->refused, 0);
    faasi_policy_close(policy);
    lru = run(replay, "lru", 3 * GB);
    ck_assert_uint_eq(r.over_budget, lru.over_budget);
    faas_replay_close(replay);
}
END_TEST

START_TEST(wrong_options_are_refused)
{
    faas_replay *replay = open_calls(TURNS, FAASI_COUNT(TURNS));
    faas_replay_options options = FAAS_REPLAY_OPTIONS_INIT;
    faas_replay_result r = {.size = sizeof r};
    faas_replay_bound bound = {.size = sizeof bound};

    options.memory_bytes = 2 * GB - 1;
    ck_assert_status(faas_replay_run(replay, &options, &r), FAAS_EINVAL);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "largest instance"));
    ck_assert_status(faas_replay_limits(replay, FAAS_REPLAY_INIT, GB, &bound),
                     FAAS_EINVAL);
    options.memory_bytes = 2 * GB;
    options.policy = "belady";
    ck_assert_status(faas_replay_run(replay, &options, &r), FAAS_EINVAL);
    ck_assert_str_eq(faas_error_text(), "policy: there is none named belady");
    options.policy = NULL;
    options.objective = (faas_replay_objective)7;
    ck_assert_status(faas_replay_run(replay, &options, &r), FAAS_EINVAL);
    options.size = 0;
    ck_assert_status(faas_replay_run(replay, &options, &r), FAAS_EINVAL);
    faas_replay_close(replay);
    faas_replay_close(NULL);
}
END_TEST

START_TEST(wrong_traces_are_refused)
{
    faas_trace_call calls[2] = {{.at_ns = 5}, {.at_ns = 5}};
    faas_replay_trace trace = {.size = sizeof trace,
                               .functions = functions,
                               .calls = calls,
                               .function_count = FAASI_COUNT(functions),
                               .call_count = 2};
    faas_replay *replay;

    calls[1].at_ns = 4;
    ck_assert_status(faas_replay_open(&trace, NULL, &replay), FAAS_EINVAL);
    ck_assert_ptr_null(replay);
    calls[1].at_ns = UINT64_MAX;
    ck_assert_status(faas_replay_open(&trace, NULL, &replay), FAAS_EINVAL);
    calls[1] = (faas_trace_call){.at_ns = 5, .run_ns = UINT64_MAX};
    ck_assert_status(faas_replay_open(&trace, NULL, &replay), FAAS_EINVAL);
    calls[1] = (faas_trace_call){.at_ns = 5, .function = 3};
    ck_assert_status(faas_replay_open(&trace, NULL, &replay), FAAS_EINVAL);
    trace.call_count = 0;
    ck_assert_status(faas_replay_open(&trace, NULL, &replay), FAAS_EINVAL);
    trace.call_count = 1;
    trace.function_count = 0;
    ck_assert_status(faas_replay_open(&trace, NULL, &replay), FAAS_EINVAL);
    trace.function_count = (size_t)1 << 25;
    ck_assert_status(faas_replay_open(&trace, NULL, &replay), FAAS_EINVAL);
}
END_TEST

START_TEST(nothing_leaks_whichever_allocation_fails)
{
    for (size_t i = 0; faas_replay_policy(i) != NULL; i++)
        for (unsigned fail_at = 1;; fail_at++) {
            struct faulty f = {.fail_at = fail_at};
            faas_allocator alloc = faulty_allocator(&f);
            faas_replay_trace trace = {.size = sizeof trace,
                                       .functions = functions,
                                       .calls = TURNS,
                                       .function_count = FAASI_COUNT(functions),
                                       .call_count = FAASI_COUNT(TURNS)};
            faas_replay_options options = FAAS_REPLAY_OPTIONS_INIT;
            faas_replay_result r = {.size = sizeof r};
            faas_replay_bound bound = {.size = sizeof bound};
            faas_replay *replay;
            faas_status status = faas_replay_open(&trace, &alloc, &replay);

            options.policy = faas_replay_policy(i);
            options.memory_bytes = 2 * GB;
            if (status == FAAS_OK)
                status = faas_replay_run(replay, &options, &r);
            if (status == FAAS_OK)
                status = faas_replay_limits(replay, FAAS_REPLAY_INIT, 2 * GB, &bound);
            faas_replay_close(replay);
            ck_assert_uint_eq(f.live_bytes, 0);
            if (f.failures == 0)
                break;
            /* What a policy remembers it does without. */
            ck_assert(status == FAAS_ENOMEM || strcmp(options.policy, "idx") == 0);
        }
}
END_TEST

/* ---- files ---- */

static char folder[] = "/tmp/test_replay.XXXXXX";

static void folder_make(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static const char *file_write(const char *name, const void *bytes, size_t size, bool gzip)
{
    static char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (gzip) {
        gzFile file = gzopen(path, "wb");

        ck_assert_int_eq(gzwrite(file, bytes, (unsigned)size), (int)size);
        (void)gzclose(file);
    } else {
        FILE *file = fopen(path, "wb");

        ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
        (void)fclose(file);
    }
    return path;
}

static void file_remove(const char *name)
{
    char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    (void)unlink(path);
}

static const char *log_write(const char *text)
{
    return file_write("log.csv", text, strlen(text), false);
}

static void ck_log_refused(const char *text, const char *complaint)
{
    struct trace trace;

    ck_assert(!trace_read(&trace, log_write(text), TRACE_INIT_B));
    ck_assert_msg(strstr(trace.error, complaint) != NULL, "\"%s\" lacks \"%s\"",
                  trace.error, complaint);
    ck_assert_ptr_null(trace.functions);
    ck_assert_ptr_null(trace.calls);
}

START_TEST(a_log_is_read_and_sorted)
{
    struct trace trace;

    folder_make();
    ck_assert(
        trace_read(&trace,
                   log_write("init_ms,extra,time_ms,function,duration_ms,memory_mb\n"
                             "30,x,2000,b,1.5,2\r\n"
                             ",x,1000.25,a,2,\n"
                             "50,x,2000,b,0,4\n"
                             "0,x,2000,a,0,1"),
                   TRACE_INIT_B));
    ck_assert_uint_eq(trace.trace.call_count, 4);
    ck_assert_uint_eq(trace.trace.function_count, 2);
    ck_assert_uint_eq(trace.calls[0].at_ns, 1000250000);
    ck_assert_uint_eq(trace.calls[0].function, 1);
    ck_assert_uint_eq(trace.calls[0].run_ns, 2000000);
    ck_assert_uint_eq(trace.calls[1].run_ns, 1500000);
    ck_assert_uint_eq(trace.calls[3].function, 1);
    ck_assert_uint_eq(trace.functions[0].memory_bytes, 3 << 20); // the mean
    ck_assert_uint_eq(trace.functions[0].init_ns, 40000000);
    ck_assert_uint_eq(trace.functions[1].memory_bytes, 1 << 20);
    ck_assert_uint_eq(trace.functions[1].init_ns, 0);
    trace_free(&trace);
    file_remove("log.csv");
    (void)rmdir(folder);
}
END_TEST

START_TEST(names_in_quotes_may_have_commas)
{
    struct trace trace;

    folder_make();
    ck_assert(trace_read(&trace,
                         log_write("\"time_ms\",function,duration_ms,memory_mb,init_ms\n"
                                   "1,\"a,b\",1,1,1\n"
                                   "2,\"say \"\"a\"\", twice\",1,1,1\n"
                                   "3,\"a,b\",\"1\",1,\"1\"\r\n"
                                   "4,\"\"\"\",1,1,\"\"\n"),
                         TRACE_INIT_B));
    ck_assert_uint_eq(trace.trace.function_count, 3);
    ck_assert_uint_eq(trace.calls[0].function, trace.calls[2].function);
    ck_assert_uint_eq(trace.functions[2].init_ns, 0);
    trace_free(&trace);
    file_remove("log.csv");
    (void)rmdir(folder);
}
END_TEST

START_TEST(bad_logs_are_refused_with_their_line)
{
    static const char head[] = "time_ms,function,duration_ms,memory_mb,init_ms\n";
    char text[512];
    struct trace trace;

    folder_make();
    ck_log_refused("", "the file is empty");
    ck_log_refused(head, "there are no calls");
    ck_log_refused("time_ms,function,duration_ms,memory_mb\n1,a,1,1\n",
                   "there is no column init_ms");
    static const struct {
        const char *line, *complaint;
    } bad[] = {{"-1,a,1,1,1\n", ":2: time_ms: -1 is out of range"},
               {"1,a,-5,1,1\n", ":2: duration_ms: -5 is out of range"},
               {"1,a,1,-1,1\n", "memory_mb"},
               {"1,a,1,1,-1\n", "init_ms"},
               {"1,a,1,1e99,1\n", "out of range"},
               {"1,,1,1,1\n", "no name"},
               {"1,a,x,1,1\n", "\"x\" is no number"},
               {"nan,a,1,1,1\n", "no number"},
               {"1,a\n", "duration_ms: \"\" is no number"},
               {"1,\"a,1,1,1\n", ":2: a quote is not closed"},
               {"1,\"a\"b,1,1,1\n", ":2: a quote is not closed"},
               {"1,a,1,1,\"\n", ":2: a quote is not closed"},
               {"1,\"\",1,1,1\n", "no name"},
               {"\n", "no name"}};
    for (size_t i = 0; i < FAASI_COUNT(bad); i++) {
        (void)snprintf(text, sizeof text, "%s%s", head, bad[i].line);
        ck_log_refused(text, bad[i].complaint);
    }
    file_remove("log.csv");
    ck_assert(!trace_read(&trace, "/nonexistent/x", TRACE_INIT_A));
    ck_assert_ptr_nonnull(strstr(trace.error, "No such file"));
    (void)rmdir(folder);
}
END_TEST

static const char TABLE[] = "row,function,mem_mb,exec_s,init_a_s,init_b_s\n"
                            "0,f,1.5,0.25,1,0.5\n"
                            "1,g,2,3,4,0.125\n";
/* Two functions, three arrivals: 1 ms, 1 ms, 3 ms, of 1, 0, 1. */
static const unsigned char ARRIVALS[] = {2, 0, 0, 0,    3, 0, 0, 0, 0xe8, 3, 0, 0, 0,
                                         0, 0, 0, 0xd0, 7, 0, 0, 1, 0,    0, 0, 1, 0};

static bool tables_read(struct trace *trace, const char *table,
                        const unsigned char *bytes, size_t size, bool gzip)
{
    char base[256];
    bool done;

    (void)file_write(gzip ? "x_functions.csv.gz" : "x_functions.csv", table,
                     strlen(table), gzip);
    (void)file_write(gzip ? "x_arrivals.bin.gz" : "x_arrivals.bin", bytes, size, gzip);
    (void)snprintf(base, sizeof base, "%s/x", folder);
    done = trace_read(trace, base, TRACE_INIT_A);
    file_remove("x_functions.csv");
    file_remove("x_arrivals.bin");
    file_remove("x_functions.csv.gz");
    file_remove("x_arrivals.bin.gz");
    return done;
}

START_TEST(tables_are_read_compressed_or_not)
{
    folder_make();
    for (unsigned gzip = 0; gzip < 2; gzip++) {
        struct trace trace;

        ck_assert(tables_read(&trace, TABLE, ARRIVALS, sizeof ARRIVALS, gzip != 0));
        ck_assert_uint_eq(trace.trace.call_count, 3);
        ck_assert_uint_eq(trace.calls[0].at_ns, 1000000);
        ck_assert_uint_eq(trace.calls[1].at_ns, 1000000);
        ck_assert_uint_eq(trace.calls[2].at_ns, 3000000);
        ck_assert_uint_eq(trace.calls[2].function, 1);
        ck_assert_uint_eq(trace.calls[1].run_ns, 250000000);
        ck_assert_uint_eq(trace.functions[0].memory_bytes, 3 << 19);
        ck_assert_uint_eq(trace.functions[1].init_ns, 4 * SECOND);
        trace_free(&trace);
    }
    (void)rmdir(folder);
}
END_TEST

START_TEST(bad_tables_are_refused)
{
    unsigned char bytes[sizeof ARRIVALS];
    struct trace trace;

    folder_make();
    for (size_t size = 0; size < sizeof ARRIVALS; size++)
        for (unsigned gzip = 0; gzip < 2; gzip++) {
            ck_assert(!tables_read(&trace, TABLE, ARRIVALS, size, gzip != 0));
            ck_assert_ptr_nonnull(strstr(trace.error, "too early"));
        }
    memcpy(bytes, ARRIVALS, sizeof bytes);
    bytes[0] = 3;
    ck_assert(!tables_read(&trace, TABLE, bytes, sizeof bytes, false));
    ck_assert_ptr_nonnull(strstr(trace.error, "3 functions"));
    memcpy(bytes, ARRIVALS, sizeof bytes);
    bytes[sizeof bytes - 2] = 2;
    ck_assert(!tables_read(&trace, TABLE, bytes, sizeof bytes, false));
    ck_assert_ptr_nonnull(strstr(trace.error, "function 2 of 2"));
    ck_assert(
        !tables_read(&trace, "mem_mb,exec_s\n1,1\n", ARRIVALS, sizeof ARRIVALS, false));
    ck_assert_ptr_nonnull(strstr(trace.error, "init_a_s"));
    ck_assert(!tables_read(&trace, "mem_mb,exec_s,init_a_s\n1,-1,1\n", ARRIVALS,
                           sizeof ARRIVALS, false));
    ck_assert_ptr_nonnull(strstr(trace.error, "out of range"));
    ck_assert(!tables_read(&trace, "mem_mb,exec_s,init_a_s\n", ARRIVALS, sizeof ARRIVALS,
                           false));
    ck_assert_ptr_nonnull(strstr(trace.error, "no functions"));
    ck_assert(!tables_read(&trace, "", ARRIVALS, sizeof ARRIVALS, false));
    (void)rmdir(folder);
}
END_TEST

SUITE_MAIN("replay", a_replay_counts_what_happens,
           busy_instances_run_over_budget_and_stay, ttl_ends_instances_in_between,
           bounds_enclose_the_optimum, bounds_are_tight_where_all_fits,
           a_run_is_the_same_each_time, a_lying_policy_cannot_harm,
           wrong_options_are_refused, wrong_traces_are_refused,
           nothing_leaks_whichever_allocation_fails, a_log_is_read_and_sorted,
           names_in_quotes_may_have_commas, bad_logs_are_refused_with_their_line,
           tables_are_read_compressed_or_not, bad_tables_are_refused)
