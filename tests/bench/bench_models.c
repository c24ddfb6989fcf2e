/* SPDX-License-Identifier: MIT */
/* bench_models.c - models through libfaas beside the engine's bare run; what batches gain
 * beside the best fixed size; queued invocations under an open loop; cold starts with the
 * kept graph and without.
 *
 *     bench_models [--quick] MODELS_DIR LIBONNXRUNTIME
 *
 * The bare run is the engine's own table called with tensors that are ready: the values
 * of ONNX Runtime are made in it, as in a call. Batches: twice as many threads call as a
 * batch has items at most, so that while one runs the next one can fill; an item costs the
 * time in the handler by the items. Boosted trees take part where libfaas-xgboost is
 * built; they keep no graph.
 *
 * Open loop: invocations arrive as a Poisson process, whether those before them are done or
 * not, so that what waits shows: at 80 % of what two workers do without batches. A latency
 * is from the arrival that was planned to the end. */
#define _GNU_SOURCE // sched_setaffinity()
#include "bench.h"

#include <faas/onnx.h>
#ifdef BENCH_XGBOOST
#include <faas/xgboost.h>
#endif

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { BATCH_MAX = 64, THREADS = 2 * BATCH_MAX, COLDS = 9, INPUTS_MAX = 3 };

static faas_runtime *rt;
static faas_onnx *onnx;
static const char *models_dir, *library;

/* A model, and a call of it for one item; `axis` of each input is that of the batch. */
struct subject {
    const faas_engine *(*engine)(void);
    const char *name, *file, *axes;
    size_t input_count, output_count;
    faas_tensor inputs[INPUTS_MAX];
    int axis[INPUTS_MAX];
    unsigned present; // one number of so many, the others are NaN; 0: all are, as zeros
    bool batches;
    char path[512], texts[20][96];
};

static const faas_engine *graphs(void)
{
    return faas_onnx_engine(onnx);
}

#ifdef BENCH_XGBOOST
static const faas_engine *trees(void)
{
    return faas_xgboost(FAAS_XGBOOST_VALUE);
}
#endif

static int64_t rate = 16000;

static struct subject subjects[] = {
    {.engine = graphs,
     .name = "iris",
     .file = "iris_rf/model.onnx",
     .input_count = 1,
     .output_count = 2,
     .inputs = {{.type = FAAS_F32, .rank = 2, .shape = {1, 4}, .bytes = 16}},
     .batches = true},
    {.engine = graphs,
     .name = "mnist",
     .file = "mnist/model.onnx",
     .input_count = 1,
     .output_count = 1,
     .inputs = {{.type = FAAS_F32, .rank = 4, .shape = {1, 1, 28, 28}, .bytes = 3136}}},
    {.engine = graphs,
     .name = "silero",
     .file = "silero_vad/model.onnx",
     .axes = "input=0,state=1,output=0,stateN=1",
     .input_count = 3,
     .output_count = 2,
     .inputs = {{.type = FAAS_F32, .rank = 2, .shape = {1, 576}, .bytes = 2304},
                {.type = FAAS_F32, .rank = 3, .shape = {2, 1, 128}, .bytes = 1024},
                {.type = FAAS_I64, .rank = 0, .bytes = 8, .data = &rate}},
     .axis = {0, 1, -1},
     .batches = true},
    {.engine = graphs,
     .name = "squeezenet",
     .file = "squeezenet_fp16/model_f32_dynbatch.onnx",
     .input_count = 1,
     .output_count = 1,
     .inputs =
         {{.type = FAAS_F32, .rank = 4, .shape = {1, 3, 224, 224}, .bytes = 602112}},
     .batches = true},
#ifdef BENCH_XGBOOST
    {.engine = trees,
     .name = "agaricus",
     .file = "xgb_agaricus/agaricus.json",
     .input_count = 1,
     .output_count = 1,
     .inputs = {{.type = FAAS_F32, .rank = 2, .shape = {1, 127}, .bytes = 508}},
     .present = 6,
     .batches = true},
    {.engine = trees,
     .name = "dermatology",
     .file = "xgb_agaricus/xgdermatology.model",
     .input_count = 1,
     .output_count = 1,
     .inputs = {{.type = FAAS_F32, .rank = 2, .shape = {1, 33}, .bytes = 132}},
     .present = 3,
     .batches = true},
#endif
};

enum { SUBJECTS = sizeof subjects / sizeof subjects[0] };

static const char *text_of(struct subject *s, unsigned at, const char *what)
{
    (void)snprintf(s->texts[at], sizeof s->texts[at], "%s: %s", s->name, what);
    return s->texts[at];
}

/* ---- the bare engine ---- */

struct bare {
    const faas_engine *engine;
    void *loaded, *instance;
    faas_bytes bytes;
    faas_tensor inputs[INPUTS_MAX], outputs[2];
    size_t output_count;
};

static faas_bytes file_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat stat;
    void *bytes = NULL;

    if (file == NULL || fstat(fileno(file), &stat) != 0 ||
        (bytes = malloc((size_t)stat.st_size)) == NULL ||
        fread(bytes, 1, (size_t)stat.st_size, file) != (size_t)stat.st_size) {
        fprintf(stderr, "bench_models: %s cannot be read\n", path);
        exit(1);
    }
    (void)fclose(file);
    return faas_bytes_of(bytes, (size_t)stat.st_size);
}

/* Makes the inputs of a subject, with `items` along their batch axes. */
static void inputs_make(faas_tensor *inputs, const struct subject *s, int64_t items)
{
    memcpy(inputs, s->inputs, sizeof s->inputs);
    for (size_t i = 0; i < s->input_count; i++) {
        faas_tensor *t = &inputs[i];
        int axis = s->axis[i];
        float *numbers;

        if (axis < 0)
            continue;
        t->bytes = t->bytes / (uint64_t)t->shape[axis] * (uint64_t)items;
        t->shape[axis] = items;
        t->data = numbers = calloc(1, (size_t)t->bytes);
        for (size_t k = 0; s->present != 0 && k < t->bytes / sizeof *numbers; k++)
            numbers[k] = k % s->present == 0 ? 1 : NAN;
    }
}

static void bare_open(struct bare *b, const struct subject *s, int64_t items)
{
    const faas_engine *engine = s->engine();
    uint64_t held;

    b->engine = engine;
    b->bytes = file_read(s->path);
    b->output_count = s->output_count;
    bench_check(
        engine->load(FAAS_MODEL(.path = s->path), b->bytes, engine->user, &b->loaded),
        s->name);
    bench_check(engine->open(b->loaded, &b->instance, &held), s->name);
    inputs_make(b->inputs, s, items);
}

static void bare_close(struct bare *b, const struct subject *s)
{
    b->engine->close(b->instance);
    b->engine->unload(b->loaded);
    for (size_t i = 0; i < s->input_count; i++)
        if (s->axis[i] >= 0)
            free(b->inputs[i].data);
    free((void *)(uintptr_t)b->bytes.data);
}

static void bare_run(void *user, uint64_t count)
{
    struct bare *b = user;

    for (uint64_t i = 0; i < count; i++) {
        for (size_t o = 0; o < b->output_count; o++)
            b->outputs[o].data = NULL;
        bench_check(b->engine->run(b->instance, b->inputs, b->outputs), "run");
    }
}

/* ---- through libfaas ---- */

struct callee {
    faas_fn fn;
    faas_bytes input;
};

static struct callee callee_of(const struct subject *s, const faas_function *policy)
{
    struct callee callee;
    faas_tensor inputs[INPUTS_MAX];
    size_t size;
    void *room;

    inputs_make(inputs, s, 1);
    bench_check(faas_model_register(rt, s->engine(),
                                    FAAS_MODEL(.path = s->path, .batch_axes = s->axes),
                                    policy, &callee.fn),
                s->name);
    if (s->input_count == 1 && s->output_count == 1) {
        callee.input = faas_bytes_of(inputs[0].data, (size_t)inputs[0].bytes);
        return callee;
    }
    size = faas_tensors_size(inputs, s->input_count);
    room = aligned_alloc(64, (size + 63) / 64 * 64);
    bench_check(faas_tensors_pack(inputs, s->input_count, room, size, NULL), "pack");
    callee.input = faas_bytes_of(room, size);
    return callee;
}

static void invoke(void *user, uint64_t count)
{
    const struct callee *callee = user;
    faas_result *result;

    for (uint64_t i = 0; i < count; i++) {
        bench_check(faas_invoke(rt, callee->fn, callee->input, 0, &result), "invoke");
        faas_result_release(result);
    }
}

static void warm_calls(void)
{
    static struct bare bares[SUBJECTS];
    static struct callee callees[SUBJECTS];

    for (unsigned i = 0; i < SUBJECTS; i++) {
        struct subject *s = &subjects[i];
        bench_figure bare, through;

        bare_open(&bares[i], s, 1);
        callees[i] = callee_of(s, FAAS_FUNCTION(.name = s->name));
        bare_run(&bares[i], 10); // what is made at first is no part of it
        invoke(&callees[i], 10);
        bare = bench_time(text_of(s, 0, "the engine's bare run"), bare_run, &bares[i]);
        through = bench_time(text_of(s, 1, "through libfaas"), invoke, &callees[i]);
        bench_target(
            bench_difference(text_of(s, 2, "over the bare run"), through, bare, 1), 100);
        if (s->input_count == 1 && s->output_count == 1)
            bench_target(
                bench_ratio(text_of(s, 3, "through libfaas / bare"), through, bare),
                1.01);
    }
    bench_run();
    for (unsigned i = 0; i < SUBJECTS; i++)
        bare_close(&bares[i], &subjects[i]);
}

/* ---- batches ---- */

struct crowd {
    struct callee callee;
    atomic_bool stop;
};

static void *caller(void *user)
{
    struct crowd *crowd = user;
    cpu_set_t all;

    memset(&all, 0xff, sizeof all); // the bench's own thread is pinned
    (void)sched_setaffinity(0, sizeof all, &all);
    while (!atomic_load_explicit(&crowd->stop, memory_order_relaxed))
        invoke(&crowd->callee, 1);
    return NULL;
}

/* What an item takes in the handler, while all threads call. */
static double crowd_item_ns(const struct subject *s, double *size)
{
    faas_function_stats stats = {.size = sizeof stats};
    struct crowd crowd = {.stop = false};
    pthread_t threads[THREADS];
    char name[64];
    uint64_t until;

    (void)snprintf(name, sizeof name, "%s in batches", s->name);
    crowd.callee = callee_of(s, FAAS_FUNCTION(.name = name, .batch_max = BATCH_MAX));
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, caller, &crowd) != 0)
            bench_check(FAAS_ESYSTEM, "thread");
    until = bench_now() + (bench_is_quick() ? 500000000u : 3000000000u);
    while (bench_now() < until)
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    atomic_store(&crowd.stop, true);
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    bench_check(faas_function_stats_get(rt, crowd.callee.fn, &stats, NULL), "stats");
    *size = (double)stats.batched / (double)stats.batches;
    return (double)stats.run_ns / (double)stats.batched;
}

/* What an item takes at a fixed size, in the engine alone. */
static double fixed_item_ns(const struct subject *s, int64_t items)
{
    uint64_t runs = 0, begun, ns, least = bench_is_quick() ? 20000000u : 200000000u;
    struct bare b = {0};

    bare_open(&b, s, items);
    bare_run(&b, 3);
    begun = bench_now();
    do {
        bare_run(&b, 1);
        runs++;
        ns = bench_now() - begun;
    } while (ns < least || runs < 3);
    bare_close(&b, s);
    return (double)ns / (double)runs / (double)items;
}

static void gains(void)
{
    for (unsigned i = 0; i < SUBJECTS; i++) {
        struct subject *s = &subjects[i];
        double single, best, size, item;

        if (!s->batches)
            continue;
        single = best = fixed_item_ns(s, 1);
        for (int64_t n = 2; n <= BATCH_MAX; n *= 2) {
            double fixed = fixed_item_ns(s, n);

            if (fixed < best)
                best = fixed;
        }
        item = crowd_item_ns(s, &size);
        (void)bench_once(text_of(s, 4, "an item alone, in the engine"), "ns", single);
        (void)bench_once(text_of(s, 5, "an item at the best fixed size"), "ns", best);
        (void)bench_once(text_of(s, 6, "an item, 128 callers"), "ns", item);
        (void)bench_once(text_of(s, 7, "mean size of a batch"), "items", size);
        if (single / best > 1.1)
            bench_target(bench_once(text_of(s, 8, "share of the best gain missed"),
                                    "ratio",
                                    1 - (single / item - 1) / (single / best - 1)),
                         0.2);
        else
            bench_target(
                bench_once(text_of(s, 8, "an item / alone"), "ratio", item / single),
                1.05);
    }
}

/* ---- queued, in an open loop ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Invocations of one model, and when each arrived and how long it took. */
struct loop {
    struct callee callee;
    uint64_t count, *arrived, *took;
    atomic_ullong ended;
};

static struct loop *looped; // the one that runs

static void loop_ended(const faas_record *record, void *user)
{
    uint64_t at = (uint64_t)((uint64_t *)user - looped->arrived);

    bench_check(record->status, "queued");
    looped->took[at] = bench_now() - looped->arrived[at];
    atomic_fetch_add_explicit(&looped->ended, 1, memory_order_release);
}

static void loop_submit(struct loop *loop, uint64_t at)
{
    bench_check(faas_invoke_async(
                    rt, loop->callee.fn, loop->callee.input,
                    FAAS_SUBMIT(.ended = loop_ended, .ended_user = &loop->arrived[at]),
                    NULL),
                "submit");
}

static void loop_await(const struct loop *loop, uint64_t count)
{
    while (atomic_load_explicit(&loop->ended, memory_order_acquire) != count)
        (void)nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
}

/* How many in a nanosecond are done when there is always one to do. */
static double loop_capacity(struct loop *loop)
{
    uint64_t begun;

    atomic_store(&loop->ended, 0);
    begun = bench_now();
    for (uint64_t i = 0; i < loop->count; i++) {
        loop->arrived[i] = begun;
        loop_submit(loop, i);
    }
    loop_await(loop, loop->count);
    return (double)loop->count / (double)(bench_now() - begun);
}

/* The latency that all but one of a hundred have, where `arrivals` come in a nanosecond. */
static double loop_p99(struct loop *loop, double arrivals)
{
    uint64_t random = 88172645463325252u;
    double due = (double)bench_now();

    atomic_store(&loop->ended, 0);
    for (uint64_t i = 0; i < loop->count; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        due -= log(((double)(random >> 11) + 1) / 9007199254740993.0) / arrivals;
        while ((double)bench_now() < due)
            (void)nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
        loop->arrived[i] = (uint64_t)due;
        loop_submit(loop, i);
    }
    loop_await(loop, loop->count);
    qsort(loop->took, loop->count, sizeof loop->took[0], by_size);
    return (double)loop->took[loop->count * 99 / 100];
}

enum { LOOPS = 5 };

static double median(double *of, unsigned count)
{
    qsort(of, count, sizeof of[0], by_value);
    return of[count / 2];
}

/* A model's function for two workers, which has run. */
static struct callee looped_callee(const struct subject *s, const char *name,
                                   uint32_t batch_max)
{
    struct callee callee = callee_of(
        s, FAAS_FUNCTION(.name = name, .concurrency = 2, .batch_max = batch_max,
                         .async = FAAS_ASYNC(.queue_slots = FAAS_UNLIMITED,
                                             .queue_bytes = UINT64_C(1) << 30)));

    invoke(&callee, 10);
    return callee;
}

static void open_loop_of(struct subject *s)
{
    unsigned loops = bench_is_quick() ? 1 : LOOPS;
    double capacity[LOOPS], without[LOOPS], with[LOOPS], done;
    struct callee single = looped_callee(s, "one by one", 1);
    struct callee batched = looped_callee(s, "in batches", BATCH_MAX);
    faas_function_stats before = {.size = sizeof before}, after = before;
    struct loop loop = {.callee = single, .count = 1000};

    loop.arrived = calloc(bench_is_quick() ? 100000 : 1000000, sizeof loop.arrived[0]);
    loop.took = calloc(bench_is_quick() ? 100000 : 1000000, sizeof loop.took[0]);
    looped = &loop;
    (void)loop_capacity(&loop);
    done = loop_capacity(&loop);
    /* As many as take a part of a second. */
    loop.count = (uint64_t)(done * (bench_is_quick() ? 3e8 : 2e9));
    if (loop.count > (bench_is_quick() ? 100000 : 1000000))
        loop.count = bench_is_quick() ? 100000 : 1000000;
    loop.callee = batched;
    (void)loop_capacity(&loop); // learns what batches cost
    bench_check(faas_function_stats_get(rt, batched.fn, &before, NULL), "stats");
    for (unsigned i = 0; i < loops; i++) {
        loop.callee = single;
        capacity[i] = loop_capacity(&loop);
        without[i] = loop_p99(&loop, 0.8 * capacity[i]);
        loop.callee = batched;
        with[i] = loop_p99(&loop, 0.8 * capacity[i]);
    }
    bench_check(faas_function_stats_get(rt, batched.fn, &after, NULL), "stats");
    done = median(capacity, loops);
    (void)bench_once(text_of(s, 12, "open loop: two workers one by one, for each"), "ns",
                     1 / done);
    (void)bench_once(text_of(s, 13, "open loop: mean size of a batch"), "items",
                     (double)(after.batched - before.batched) /
                         (double)(after.batches - before.batches));
    (void)bench_once(text_of(s, 14, "open loop: 99 of 100, one by one"), "ns",
                     median(without, loops));
    (void)bench_once(text_of(s, 15, "open loop: 99 of 100, in batches"), "ns",
                     median(with, loops));
    bench_target(bench_once(text_of(s, 16, "open loop: in batches / one by one"), "ratio",
                            median(with, loops) / median(without, loops)),
                 0.5);
    free(loop.arrived);
    free(loop.took);
}

static void open_loops(void)
{
    faas_runtime *own_rt = rt;

    (void)bench_pin(-1); // its workers are not to share one processor
    for (unsigned i = 0; i < SUBJECTS; i++) {
        if (strcmp(subjects[i].name, "iris") != 0 &&
            strcmp(subjects[i].name, "silero") != 0)
            continue;
        bench_check(faas_runtime_open(
                        &rt, &(faas_runtime_options){.size = sizeof(faas_runtime_options),
                                                     .worker_min = 2,
                                                     .worker_max = 2,
                                                     .queue_slots = FAAS_UNLIMITED}),
                    "open");
        open_loop_of(&subjects[i]);
        bench_check(faas_runtime_close(rt), "close");
    }
    rt = own_rt;
    (void)bench_pin(0);
}

/* ---- cold starts ---- */

/* The median of some cold starts, in ms. */
static double cold_ms(const struct subject *s, uint64_t cache_bytes)
{
    faas_runtime *own_rt = rt;
    faas_onnx *own_onnx = onnx;
    double ms[COLDS];
    struct callee callee;

    bench_check(
        faas_onnx_open(FAAS_ONNX(.library = library, .cache_bytes = cache_bytes), &onnx),
        "onnx");
    bench_check(faas_runtime_open(&rt, NULL), "open");
    callee = callee_of(s, FAAS_FUNCTION(.name = s->name));
    invoke(&callee, 1); // the first one makes the graph
    for (int i = 0; i < COLDS; i++) {
        faas_result *result;

        faas_runtime_budget(rt, 1);
        faas_runtime_budget(rt, 0);
        bench_check(faas_invoke(rt, callee.fn, callee.input, 0, &result), "invoke");
        ms[i] = (double)faas_result_meter(result)->init_ns / 1e6;
        faas_result_release(result);
    }
    bench_check(faas_runtime_close(rt), "close");
    faas_onnx_close(onnx);
    rt = own_rt;
    onnx = own_onnx;
    qsort(ms, COLDS, sizeof ms[0], by_value);
    return ms[COLDS / 2];
}

static void colds(void)
{
    for (unsigned i = 0; i < SUBJECTS; i++) {
        struct subject *s = &subjects[i];
        double without, with;
        bench_figure ratio;

        if (s->engine != graphs)
            continue;
        without = cold_ms(s, 1);
        with = cold_ms(s, FAAS_FOREVER);
        (void)bench_once(text_of(s, 9, "cold start, optimised anew"), "ms", without);
        (void)bench_once(text_of(s, 10, "cold start, graph kept"), "ms", with);
        ratio = bench_once(text_of(s, 11, "kept / anew"), "ratio", with / without);
        if (strcmp(s->name, "silero") == 0 || strcmp(s->name, "squeezenet") == 0)
            bench_target(ratio, 0.55);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: bench_models [--quick] MODELS_DIR LIBONNXRUNTIME\n");
        return 2;
    }
    bench_open(argc - 2, argv, "models");
    models_dir = argv[argc - 2];
    library = argv[argc - 1];
    for (unsigned i = 0; i < SUBJECTS; i++)
        (void)snprintf(subjects[i].path, sizeof subjects[i].path, "%s/%s", models_dir,
                       subjects[i].file);
    bench_check(faas_runtime_open(&rt, NULL), "open");
    bench_check(faas_onnx_open(FAAS_ONNX(.library = library), &onnx), "onnx");
    warm_calls();
    gains();
    open_loops();
    colds();
    (void)faas_runtime_close(rt);
    faas_onnx_close(onnx);
    return bench_close();
}
