/* SPDX-License-Identifier: MIT */
/* Files of recorded traffic: any bytes are either refused with a reason, or become calls
 * that can be replayed or are refused there.
 *
 * Input: a log. Or, after a first byte `T`, a table of functions, a byte 0, arrivals. */
#include "fuzz.h"

#include "cli/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/fuzz_trace.XXXXXX";

static const char *path_of(char path[64], const char *name)
{
    (void)snprintf(path, 64, "%s/%s", folder, name);
    return path;
}

static void folder_remove(void)
{
    static const char *const names[] = {"log", "x_functions.csv", "x_arrivals.bin"};
    char path[64];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)unlink(path_of(path, names[i]));
    (void)rmdir(folder);
}

static void file_write(const char *name, const uint8_t *data, size_t size)
{
    char path[64];
    FILE *file = fopen(path_of(path, name), "wb");

    REQUIRE(file != NULL);
    REQUIRE(fwrite(data, 1, size, file) == size);
    REQUIRE(fclose(file) == 0);
}

static void replay_check(const struct trace *trace)
{
    faas_replay_options options = FAAS_REPLAY_OPTIONS_INIT;
    faas_replay *replay;

    if (faas_replay_open(&trace->trace, NULL, &replay) != FAAS_OK) {
        REQUIRE(replay == NULL && faas_error_text()[0] != '\0');
        return;
    }
    for (size_t i = 0; i < trace->trace.function_count; i++)
        if (trace->functions[i].memory_bytes > options.memory_bytes)
            options.memory_bytes = trace->functions[i].memory_bytes;
    for (size_t i = 0; faas_replay_policy(i) != NULL; i++) {
        faas_replay_result result = {.size = sizeof result};

        options.policy = faas_replay_policy(i);
        REQUIRE(faas_replay_run(replay, &options, &result) == FAAS_OK);
        REQUIRE(result.invocations == trace->trace.call_count);
        REQUIRE(result.first_starts <= result.cold_starts);
        REQUIRE(result.cold_starts <= result.invocations);
    }
    faas_replay_close(replay);
}

static void trace_check(const char *name, enum trace_init init)
{
    char path[64];
    struct trace trace;

    if (!trace_read(&trace, path_of(path, name), init)) {
        REQUIRE(trace.error[0] != '\0');
        REQUIRE(trace.functions == NULL && trace.calls == NULL);
        return;
    }
    REQUIRE(trace.trace.call_count > 0 && trace.trace.function_count > 0);
    for (size_t i = 0; i < trace.trace.call_count; i++) {
        REQUIRE(trace.calls[i].function < trace.trace.function_count);
        REQUIRE(trace.calls[i].reserved == 0);
        REQUIRE(i == 0 || trace.calls[i - 1].at_ns <= trace.calls[i].at_ns);
    }
    replay_check(&trace);
    trace_free(&trace);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;

    if (!ready) {
        REQUIRE(mkdtemp(folder) != NULL);
        REQUIRE(atexit(folder_remove) == 0);
        ready = true;
    }
    if (size > 0 && data[0] == 'T') {
        const uint8_t *zero = memchr(data, 0, size);
        size_t table = zero == NULL ? size : (size_t)(zero - data);

        file_write("x_functions.csv", data + 1, table - 1);
        file_write("x_arrivals.bin", data + table + (zero != NULL),
                   size - table - (zero != NULL));
        trace_check("x", TRACE_INIT_A);
    } else {
        file_write("log", data, size);
        trace_check("log", TRACE_INIT_B);
    }
    return 0;
}
