/* SPDX-License-Identifier: MIT */
/* torture_around.c - scenarios of what stands around calls: meters, reports and logs,
 * replay, overload, models of an engine that is written here, traces in files. */
#include "torture.h"

#include <faas/model.h>
#include <faas/overload.h>

#include <unistd.h>
#ifdef TORTURE_TRACE
#include "cli/trace.h"

#include <zlib.h>
#endif

/* ---- meters ---- */

static void describes(void)
{
    faas_function_info info = {.size = sizeof info};
    faas_function_stats stats = {.size = sizeof stats};
    faas_histogram latency;
    unsigned count = 0;
    faas_fn fn, version, found;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = echoes), &fn));
    TRY(faas_function_publish(w.rt, fn, NULL, &version));
    keep_fn(version);
    TRY(invoke(version, "in"));
    TRY(faas_function_describe(w.rt, version, &info));
    TRY(faas_function_stats_get(w.rt, version, &stats, &latency));
    for (uint32_t at = 0; faas_function_next(w.rt, &at, &found) == FAAS_OK;)
        count++;
    REQUIRE_THAT(count == 2);
    TRY(faas_describe_json(w.rt, drops, NULL));
    TRY(faas_prometheus(w.rt, drops, NULL));
}

static int writes_not(const char *text, size_t size, void *user)
{
    (void)text;
    (void)size;
    return ++*(unsigned *)user == 3;
}

/* Who takes the text ends it in the middle. */
static void describes_in_vain(void)
{
    faas_event *event;
    unsigned pieces = 0;
    faas_status status;
    faas_fn fn;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = echoes), &fn));
    status = faas_describe_json(w.rt, writes_not, &pieces);
    REQUIRE_THAT(status == FAAS_ESYSTEM || status == FAAS_OK ||
                 (torture_struck() && status == FAAS_ENOMEM));
    pieces = 0;
    status = faas_prometheus(w.rt, writes_not, &pieces);
    REQUIRE_THAT(status == FAAS_ESYSTEM || status == FAAS_OK ||
                 (torture_struck() && status == FAAS_ENOMEM));
    TRY(event_of(
        FAAS_EVENT(.id = "1", .source = "/s", .type = "t", .data = faas_str("{}")),
        &event));
    pieces = 2;
    REQUIRE_THAT(faas_event_write_json(event, writes_not, &pieces) == FAAS_ESYSTEM);
}

static void reports_and_logs(void)
{
    faas_fn fn;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = wants, .init = init_wants,
                          .close = init_wants_close),
            &fn));
    for (int i = 0; i < 2; i++)
        TRY(invoke(fn, "in"));
}

/* ---- replay ---- */

static const faas_trace_function functions[] = {
    {.memory_bytes = 1 << 20, .init_ns = SEC},
    {.memory_bytes = 1 << 20, .init_ns = MS},
    {.memory_bytes = 2 << 20, .init_ns = SEC}};
static const faas_trace_call calls[] = {
    {.at_ns = 1 * SEC, .run_ns = SEC / 2, .function = 0},
    {.at_ns = 2 * SEC, .run_ns = SEC / 2, .function = 1},
    {.at_ns = 3 * SEC, .run_ns = SEC / 2, .function = 0},
    {.at_ns = 4 * SEC, .run_ns = SEC / 2, .function = 1},
    {.at_ns = 5 * SEC, .run_ns = SEC / 2, .function = 2},
    {.at_ns = 6 * SEC, .run_ns = SEC / 2, .function = 0},
};

static void replays_with_every_policy(const faas_replay *replay)
{
    faas_replay_bound bound = {.size = sizeof bound};
    const char *policy;

    for (size_t i = 0; (policy = faas_replay_policy(i)) != NULL; i++) {
        faas_replay_options options = FAAS_REPLAY_OPTIONS_INIT;
        faas_replay_result result = {.size = sizeof result};

        options.policy = policy;
        options.memory_bytes = 2 << 20;
        TRY(faas_replay_run(replay, &options, &result));
        REQUIRE_THAT(result.invocations == 6);
    }
    TRY(faas_replay_limits(replay, FAAS_REPLAY_INIT, 2 << 20, &bound));
}

static void replays(void)
{
    faas_replay_trace trace = {.size = sizeof trace,
                               .functions = functions,
                               .calls = calls,
                               .function_count = 3,
                               .call_count = 6};
    faas_replay *replay;

    if (!TRIED(faas_replay_open(&trace, &w.alloc, &replay))) {
        REQUIRE_THAT(replay == NULL);
        return;
    }
    replays_with_every_policy(replay);
    faas_replay_close(replay);
}

static void overloads(void)
{
    const faas_load_phase phases[] = {
        {.rate = 400, .service_ns = 5 * MS, .length_ns = SEC}};

    for (int kind = FAAS_LIMITER_PREDICTED; kind <= FAAS_LIMITER_CODEL_LIFO; kind++) {
        const faas_limiter limiter = {.size = sizeof limiter,
                                      .kind = (faas_limiter_kind)kind};
        faas_overload overload = FAAS_OVERLOAD_INIT;
        faas_overload_result result = {.size = sizeof result};

        overload.phases = phases;
        overload.phase_count = 1;
        overload.limiter = &limiter;
        overload.length_ns = SEC;
        overload.warm_ns = FAAS_FOREVER;
        TRY(faas_overload_run(&overload, &w.alloc, &result));
        REQUIRE_THAT(result.calls > 0);
    }
}

/* ---- files ---- */

/* `name` in a folder of this process, with these bytes; made in the first run, which is
 * without faults, and removed at the end. */
static char folder[64];

static void folder_remove(void)
{
    static const char *const names[] = {"model", "log.csv", "x_functions.csv.gz",
                                        "x_arrivals.bin.gz"};
    char path[128];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

static void path_of(char path[128], const char *name)
{
    if (folder[0] == '\0') {
        const char *tmp = getenv("TMPDIR");

        (void)snprintf(folder, sizeof folder, "%.40s/torture-XXXXXX",
                       tmp == NULL ? "/tmp" : tmp);
        REQUIRE_THAT(mkdtemp(folder) != NULL);
        REQUIRE_THAT(atexit(folder_remove) == 0);
    }
    (void)snprintf(path, 128, "%s/%s", folder, name);
}

static void file_of(char path[128], const char *name, const void *bytes, size_t size)
{
    FILE *file;

    path_of(path, name);
    if (access(path, R_OK) == 0)
        return;
    file = fopen(path, "wb");
    REQUIRE_THAT(file != NULL && fwrite(bytes, 1, size, file) == size &&
                 fclose(file) == 0);
}

/* ---- models ---- */

static const faas_port inputs[] = {
    {.name = "x", .type = FAAS_F32, .rank = 2, .shape = {-1, 2}, .batch_axis = 0}};
static const faas_port outputs[] = {
    {.name = "y", .type = FAAS_F32, .rank = 2, .shape = {-1, 1}, .batch_axis = 0}};

static atomic_int engine_uses, engine_loads, engine_opens;

static void engine_acquire(void *user)
{
    (void)user;
    atomic_fetch_add(&engine_uses, 1);
}

static void engine_release(void *user)
{
    (void)user;
    REQUIRE_THAT(atomic_fetch_sub(&engine_uses, 1) > 0);
}

static faas_status engine_load(const faas_model *model, faas_bytes bytes, void *user,
                               void **loaded)
{
    (void)model;
    (void)user;
    REQUIRE_THAT(bytes.size == 5 && memcmp(bytes.data, "model", 5) == 0);
    *loaded = malloc(100);
    if (*loaded == NULL)
        return faas_error_set(FAAS_ENOMEM, "plain: no memory");
    atomic_fetch_add(&engine_loads, 1);
    return FAAS_OK;
}

static void engine_unload(void *loaded)
{
    REQUIRE_THAT(atomic_fetch_sub(&engine_loads, 1) > 0);
    free(loaded);
}

static void engine_ports(void *loaded, const faas_port **in, size_t *in_count,
                         const faas_port **out, size_t *out_count)
{
    (void)loaded;
    *in = inputs;
    *out = outputs;
    *in_count = *out_count = 1;
}

static faas_status engine_open(void *loaded, void **instance, uint64_t *held)
{
    (void)loaded;
    *instance = malloc(100);
    *held = 100;
    if (*instance == NULL)
        return faas_error_set(FAAS_ENOMEM, "plain: no memory");
    atomic_fetch_add(&engine_opens, 1);
    return FAAS_OK;
}

static void engine_close(void *instance)
{
    REQUIRE_THAT(atomic_fetch_sub(&engine_opens, 1) > 0);
    free(instance);
}

static faas_status engine_run(void *instance, const faas_tensor *in, faas_tensor *out)
{
    const float *x = in[0].data;
    float *y = out[0].data;

    (void)instance;
    REQUIRE_THAT(y != NULL);
    for (int64_t i = 0; i < in[0].shape[0]; i++)
        y[i] = 2 * x[2 * i] + x[2 * i + 1];
    return FAAS_OK;
}

static const faas_engine plain = {.size = sizeof plain,
                                  .name = "plain",
                                  .acquire = engine_acquire,
                                  .release = engine_release,
                                  .load = engine_load,
                                  .unload = engine_unload,
                                  .ports = engine_ports,
                                  .open = engine_open,
                                  .close = engine_close,
                                  .run = engine_run};

static const float question[4] = {1, 2, 3, 4};

/* Calls it, bare and by a message, with what is left of it in memory and without. */
static void asks_model(faas_fn fn)
{
    faas_model_stats stats = {.size = sizeof stats};
    faas_tensor tensor = {.data = (void *)(uintptr_t)question,
                          .bytes = sizeof question,
                          .type = FAAS_F32,
                          .rank = 2,
                          .shape = {2, 2},
                          .name = faas_str("x")};
    _Alignas(64) unsigned char room[512];
    size_t size = faas_tensors_size(&tensor, 1);

    REQUIRE_THAT(size <= sizeof room &&
                 faas_tensors_pack(&tensor, 1, room, size, NULL) == FAAS_OK);
    TRY(invoke_bytes(fn, faas_bytes_of(question, sizeof question)));
    TRY(invoke_bytes(fn, faas_bytes_of(room, size)));
    TRY(faas_model_describe(w.rt, fn, drops, NULL));
    TRY(faas_model_stats_get(w.rt, fn, &stats));
    faas_runtime_budget(w.rt, 1); // it is unloaded
    faas_runtime_budget(w.rt, 0);
    TRY(invoke_bytes(fn, faas_bytes_of(question, sizeof question)));
}

static void asks_model_of(const faas_model *model, const faas_function *policy)
{
    faas_fn fn;

    if (TRIED(faas_model_register(w.rt, &plain, model, policy, &fn))) {
        asks_model(fn);
        REQUIRE_THAT(faas_function_unregister(w.rt, fn) == FAAS_OK);
    } else {
        REQUIRE_THAT(fn.generation == 0);
    }
    REQUIRE_THAT(atomic_load(&engine_uses) == 0 && atomic_load(&engine_loads) == 0 &&
                 atomic_load(&engine_opens) == 0);
}

static void runs_a_model(void)
{
    asks_model_of(FAAS_MODEL(.bytes = faas_str("model"), .batch_axes = "x=0,y=0",
                             .warm_up = faas_bytes_of(question, sizeof question)),
                  FAAS_FUNCTION(.name = "m"));
}

static void runs_a_model_in_batches(void)
{
    asks_model_of(FAAS_MODEL(.bytes = faas_str("model")),
                  FAAS_FUNCTION(.name = "m", .batch_max = 8, .provisioned = 1));
}

static void runs_a_model_of_a_file(void)
{
    char path[128];

    file_of(path, "model", "model", 5);
    asks_model_of(FAAS_MODEL(.path = path), FAAS_FUNCTION(.name = "m"));
}

/* ---- traces ---- */

#ifdef TORTURE_TRACE

static void reads(const char *path, size_t call_count)
{
    struct trace trace;

    if (trace_read(&trace, path, TRACE_INIT_A))
        REQUIRE(trace.trace.call_count == call_count, "there are %zu calls, not %zu",
                trace.trace.call_count, call_count);
    else
        REQUIRE(torture_struck() && trace.error[0] != '\0', "%s", trace.error);
    trace_free(&trace);
}

static void reads_a_log(void)
{
    static const char log[] = "time_ms,function,duration_ms,memory_mb,init_ms\n"
                              "1,f,2,128,10\n2,\"g \"\"x\"\"\",3,,\n3,f,2,128,\n";
    char path[128];

    file_of(path, "log.csv", log, sizeof log - 1);
    reads(path, 3);
}

static void gzip_of(char path[128], const char *name, const void *bytes, unsigned size)
{
    gzFile file;

    path_of(path, name);
    if (access(path, R_OK) == 0)
        return;
    file = gzopen(path, "wb");
    REQUIRE_THAT(file != NULL && gzwrite(file, bytes, size) == (int)size &&
                 gzclose(file) == Z_OK);
}

static void reads_tables(void)
{
    static const char table[] = "row,function,mem_mb,exec_s,init_a_s,init_b_s\n"
                                "0,f,1.5,0.25,1,0.5\n1,g,2,3,4,0.125\n";
    static const unsigned char arrivals[] = {2, 0, 0, 0,    3, 0, 0, 0, 0xe8, 3, 0, 0, 0,
                                             0, 0, 0, 0xd0, 7, 0, 0, 1, 0,    0, 0, 1, 0};
    char path[128];

    gzip_of(path, "x_functions.csv.gz", table, sizeof table - 1);
    gzip_of(path, "x_arrivals.bin.gz", arrivals, sizeof arrivals);
    path_of(path, "x");
    reads(path, 3);
}

#endif

const struct scenario torture_around[] = {
    SCENARIO(describes),
    SCENARIO(describes_in_vain),
    SCENARIO(reports_and_logs, .options = {.report = drops, .log = drops}),
    SCENARIO(replays, .alone = true),
    SCENARIO(overloads, .alone = true),
    SCENARIO(runs_a_model),
    SCENARIO(runs_a_model_in_batches),
    SCENARIO(runs_a_model_of_a_file),
#ifdef TORTURE_TRACE
    SCENARIO(reads_a_log, .alone = true),
    SCENARIO(reads_tables, .alone = true),
#endif
    {0},
};
