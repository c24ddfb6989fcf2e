/* SPDX-License-Identifier: MIT */
/* record.c - records the calls of a runtime, and asks how they would have gone with less
 * memory.
 *
 * Three functions serve a day, on a clock that the program moves. The runtime writes its
 * log to a file, if one is named, and `faas replay` reads it too:
 *
 *     record day.csv && faas replay --budget 0.3,0.4 --bounds day.csv */
#include <faas/faas.h>
#include <faas/replay.h>

#include <stdio.h>
#include <stdlib.h>

#define MILLISECOND_NS UINT64_C(1000000)
#define SECOND_NS UINT64_C(1000000000)
#define MIB ((uint64_t)1 << 20)

enum { FUNCTIONS = 3, CALLS_MAX = 4096 };

/* What the functions are; their handlers and hooks move the clock by it. */
struct plan {
    const char *name;
    uint64_t memory_bytes, init_ns, run_ns, every_ns;
    faas_clock *clock;
};

static void check(faas_status status, const char *what)
{
    if (status == FAAS_OK)
        return;
    fprintf(stderr, "record: %s: %s: %s\n", what, faas_status_text(status),
            faas_error_text());
    exit(1);
}

static int load(faas_context *ctx, void **state)
{
    struct plan *plan = faas_user(ctx);

    *state = NULL;
    faas_clock_advance(plan->clock, plan->init_ns);
    return 0;
}

static int serve(faas_context *ctx, faas_bytes input)
{
    struct plan *plan = faas_user(ctx);

    (void)input;
    faas_clock_advance(plan->clock, plan->run_ns);
    return 0;
}

/* Keeps the log: called for one line at a time, here always on one thread. */
static int keep(const char *text, size_t size, void *user)
{
    return fwrite(text, 1, size, user) == size ? 0 : 1;
}

static void day(faas_runtime *rt, struct plan *plans, faas_clock *clock)
{
    uint64_t next[FUNCTIONS], end = faas_clock_now(clock) + 86400 * SECOND_NS;
    faas_fn fns[FUNCTIONS];

    for (int i = 0; i < FUNCTIONS; i++) {
        plans[i].clock = clock;
        check(
            faas_function_register(rt,
                                   FAAS_FUNCTION(.name = plans[i].name, .handler = serve,
                                                 .init = load, .user = &plans[i],
                                                 .instance_bytes = plans[i].memory_bytes),
                                   &fns[i]),
            plans[i].name);
        next[i] = faas_clock_now(clock) + plans[i].every_ns;
    }
    for (;;) {
        int first = 0;

        for (int i = 1; i < FUNCTIONS; i++)
            if (next[i] < next[first])
                first = i;
        if (next[first] > end)
            return;
        if (next[first] > faas_clock_now(clock))
            faas_clock_advance(clock, next[first] - faas_clock_now(clock));
        faas_runtime_sweep(rt, NULL); // closes what has been idle for long
        check(faas_invoke(rt, fns[first], faas_str(NULL), 0, NULL), "call");
        next[first] += plans[first].every_ns;
    }
}

/* Reads the log back. A program that has its own form of a trace does without a file. */
static size_t read_calls(FILE *log, const struct plan *plans, faas_trace_call *calls)
{
    char line[512];
    size_t count = 0;

    rewind(log);
    if (fgets(line, sizeof line, log) == NULL) // the names of the columns
        return 0;
    while (count < CALLS_MAX && fgets(line, sizeof line, log) != NULL) {
        double time_ms, duration_ms;
        char name[32];
        faas_trace_call *call = &calls[count];

        if (sscanf(line, "%lf,%31[^,],%lf", &time_ms, name, &duration_ms) != 3)
            return 0;
        call->at_ns = (uint64_t)(time_ms * 1e6);
        call->run_ns = (uint64_t)(duration_ms * 1e6);
        for (uint32_t i = 0; i < FUNCTIONS; i++)
            if (strcmp(plans[i].name, name) == 0)
                call->function = i;
        count++;
    }
    return count;
}

/* What each of two policies would have made of the same calls, in less memory. */
static void replay(const struct plan *plans, const faas_trace_call *calls, size_t count)
{
    static const char *const policies[] = {"idx", "lru"};
    faas_trace_function functions[FUNCTIONS];
    faas_replay_trace trace = {.size = sizeof trace,
                               .functions = functions,
                               .calls = calls,
                               .function_count = FUNCTIONS,
                               .call_count = count};
    faas_replay *replay;

    for (int i = 0; i < FUNCTIONS; i++)
        functions[i] = (faas_trace_function){.memory_bytes = plans[i].memory_bytes,
                                             .init_ns = plans[i].init_ns};
    check(faas_replay_open(&trace, NULL, &replay), "trace");
    for (uint64_t mib = 320; mib <= 448; mib += 64)
        for (int i = 0; i < 2; i++) {
            faas_replay_options options = FAAS_REPLAY_OPTIONS_INIT;
            faas_replay_result result = {.size = sizeof result};

            options.policy = policies[i];
            options.memory_bytes = mib * MIB;
            check(faas_replay_run(replay, &options, &result), "replay");
            printf("  %u MiB, %s: %4u cold, %5.1f s of init\n", (unsigned)mib,
                   policies[i], (unsigned)result.cold_starts,
                   (double)result.init_ns / 1e9);
        }
    faas_replay_close(replay);
}

int main(int argc, char **argv)
{
    static faas_trace_call calls[CALLS_MAX];
    struct plan plans[FUNCTIONS] = {
        {"thumbnail", 128 * MIB, 300 * MILLISECOND_NS, 40 * MILLISECOND_NS,
         40 * SECOND_NS, NULL},
        {"report", 256 * MIB, 2 * SECOND_NS, 900 * MILLISECOND_NS, 420 * SECOND_NS, NULL},
        {"audit", 64 * MIB, 100 * MILLISECOND_NS, 5 * MILLISECOND_NS, 660 * SECOND_NS,
         NULL}};
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;
    FILE *log = argc > 1 ? fopen(argv[1], "w+") : tmpfile();
    faas_clock *clock;
    faas_runtime *rt;
    size_t count;

    if (log == NULL) {
        perror(argc > 1 ? argv[1] : "record");
        return 1;
    }
    check(faas_clock_open_virtual(0, NULL, &clock), "clock");
    options.clock = clock;
    options.memory_bytes = 1024 * MIB;
    options.log = keep;
    options.log_user = log;
    check(faas_runtime_open(&rt, &options), "runtime");
    day(rt, plans, clock);
    check(faas_runtime_close(rt), "close");
    faas_clock_close(clock);

    count = read_calls(log, plans, calls);
    printf("%zu calls in a day, with 1 GiB. With less:\n", count);
    replay(plans, calls, count);
    return fclose(log) == 0 && count > 0 ? 0 : 1;
}
