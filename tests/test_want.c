/* SPDX-License-Identifier: MIT */
/* test_want.c - models in want of memory: of what the modules allocate each allocation
 * fails once. Nothing is lost, the status says so, and the next attempt succeeds. Skipped
 * without the engine or the models. */
#define WANT_ITSELF
#include "want.h"

#include "models_support.h"
#include "support.h"

#include <faas/faas.h>
#include <faas/onnx.h>
#ifdef TEST_XGBOOST
#include <faas/xgboost.h>
#endif

#include <unistd.h>

static const char *library; /* NULL: the system's */

/* ---- want ---- */

static atomic_uint calls, failures, fail_at; /* 0: none fails */
static atomic_int out;

bool want_fails(void)
{
    unsigned call = atomic_fetch_add(&calls, 1) + 1;

    if (call != atomic_load(&fail_at))
        return false;
    atomic_fetch_add(&failures, 1);
    return true;
}

void *want_out(void *memory)
{
    atomic_fetch_add(&out, memory != NULL);
    return memory;
}

void *want_back(void *memory)
{
    atomic_fetch_sub(&out, memory != NULL);
    return memory;
}

/* Runs a scene once for each of its allocations, which fails, and once more. */
static void each_fails(void (*scene)(void))
{
    unsigned n = 0;

    do {
        n++;
        atomic_store(&calls, 0);
        atomic_store(&failures, 0);
        atomic_store(&fail_at, n);
        scene();
        ck_assert_msg(atomic_load(&out) == 0, "%d blocks are lost with the %uth",
                      atomic_load(&out), n);
    } while (atomic_load(&failures) != 0);
    ck_assert_uint_gt(n, 5);
    printf("%u allocations failed\n", n - 1);
}

/* A status that says what was wanting, memory or a lock, with an error text that does. */
static bool wanting(faas_status status)
{
    return (status == FAAS_ENOMEM || status == FAAS_ESYSTEM || status == FAAS_EINIT) &&
           strstr(faas_error_text(), ": no ") != NULL;
}

/* Does it, and once more if that failed, which it may for want of memory alone. */
#define ATTEMPT(expr)                                                                    \
    do {                                                                                 \
        unsigned failed_ = atomic_load(&failures);                                       \
        (void)faas_error_set(FAAS_OK, "nobody said why");                                \
        faas_status got_ = (expr);                                                       \
        if (got_ != FAAS_OK) {                                                           \
            ck_assert_msg(wanting(got_) && atomic_load(&failures) == failed_ + 1,        \
                          "%s is %s after %u allocations; error text: \"%s\"", #expr,    \
                          faas_status_name(got_), atomic_load(&fail_at),                 \
                          faas_error_text());                                            \
            ck_assert_ok(expr);                                                          \
        }                                                                                \
    } while (0)

/* ---- files ---- */

static void *file_of(const char *name, size_t size)
{
    FILE *file = fopen(path_of(name), "rbe");
    void *bytes = aligned_alloc(64, (size + 63) / 64 * 64);

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fread(bytes, 1, size, file), size);
    (void)fclose(file);
    return bytes;
}

/* ---- scenes ---- */

static faas_runtime *rt;
static faas_onnx *onnx;
static char graphs_dir[] = "/tmp/faas-want-XXXXXX";

static void world_open(void)
{
    ck_assert_ok(faas_runtime_open(&rt, NULL));
    ATTEMPT(
        faas_onnx_open(FAAS_ONNX(.library = library, .cache_dir = graphs_dir), &onnx));
}

static void world_close(void)
{
    faas_onnx_close(onnx);
    ck_assert_ok(faas_runtime_close(rt));
}

/* Calls; once more if it failed for want of memory. The answer is the caller's. */
static faas_result *answer_of(faas_fn fn, faas_bytes input)
{
    unsigned failed = atomic_load(&failures);
    faas_result *result;
    faas_status status;

    (void)faas_error_set(FAAS_OK, "nobody said why");
    status = faas_invoke(rt, fn, input, 0, &result);
    if (status == FAAS_OK)
        return result;
    ck_assert_uint_eq(atomic_load(&failures), failed + 1);
    if (status == FAAS_EHANDLER)
        ck_assert_msg(strstr(faas_result_message(result), "no memory") != NULL,
                      "code %d, %s", faas_result_code(result),
                      faas_result_message(result));
    else
        ck_assert_msg(wanting(status), "%s: %s", faas_status_name(status),
                      faas_error_text());
    faas_result_release(result);
    ck_assert_ok(faas_invoke(rt, fn, input, 0, &result));
    return result;
}

static int drops(const char *text, size_t size, void *user)
{
    (void)text;
    *(size_t *)user += size;
    return 0;
}

static unsigned char *flowers, *labels;

/* Asks for flowers, from the first on; bytes in, two tensors out. */
static void flowers_check(faas_fn fn, const unsigned char *at, size_t first, size_t count)
{
    faas_result *result = answer_of(fn, faas_bytes_of(at + first * 16, count * 16));
    faas_tensor tensors[2];
    size_t two;

    ck_assert_ok(faas_tensors_view(faas_result_bytes(result), tensors, 2, &two));
    ck_assert_uint_eq(tensors[0].bytes, count * 8);
    ck_assert_mem_eq(tensors[0].data, labels + first * 8, count * 8);
    ck_assert_int_eq(tensors[1].shape[1], 3);
    faas_result_release(result);
}

static void flowers_read(void)
{
    flowers = file_of("iris_rf/input_6x4.f32", 96);
    labels = file_of("iris_rf/expected_label_6.i64", 48);
}

static void one_by_one(void)
{
    static unsigned char askew[97];
    size_t size = 0;
    faas_fn fn;

    memcpy(askew + 1, flowers, 96);
    world_open();
    ATTEMPT(faas_model_register(rt, faas_onnx_engine(onnx),
                                FAAS_MODEL(.path = path_of("iris_rf/model.onnx"),
                                           .batch_axes = "X=0",
                                           .warm_up = faas_bytes_of(flowers, 16)),
                                FAAS_FUNCTION(.name = "flowers"), &fn));
    ATTEMPT(faas_model_describe(rt, fn, drops, &size));
    flowers_check(fn, flowers, 0, 6);
    flowers_check(fn, askew + 1, 0, 6);
    faas_runtime_budget(rt, 1);
    faas_runtime_budget(rt, 0);
    flowers_check(fn, flowers, 3, 1);
    ck_assert_ok(faas_function_unregister(rt, fn));
    /* Two instances at once, of an engine without a directory; how they fail is said by
     * the registration. */
    faas_onnx_close(onnx);
    ATTEMPT(faas_onnx_open(FAAS_ONNX(.library = library), &onnx));
    ATTEMPT(faas_model_register(rt, faas_onnx_engine(onnx),
                                FAAS_MODEL(.path = path_of("mnist/model.onnx")),
                                FAAS_FUNCTION(.name = "digits", .provisioned = 2), &fn));
    faas_result_release(answer_of(fn, faas_bytes_of((float[784]){0}, 3136)));
    world_close();
}

struct caller {
    pthread_t thread;
    faas_fn fn;
    size_t which;
    faas_status status;
    faas_result *result;
};

static void *caller_run(void *user)
{
    struct caller *c = user;

    c->status =
        faas_invoke(rt, c->fn, faas_bytes_of(flowers + c->which * 16, 16), 0, &c->result);
    return NULL;
}

/* So many calls that a batch is full, and runs because it is. Returns how many of them
 * failed for want of memory. */
static unsigned batch_once(faas_fn fn)
{
    enum { BATCH = 3 };
    unsigned wanted = 0;
    struct caller c[BATCH];

    for (size_t i = 0; i < BATCH; i++) {
        c[i] = (struct caller){.fn = fn, .which = i};
        ck_assert_int_eq(pthread_create(&c[i].thread, NULL, caller_run, &c[i]), 0);
    }
    for (size_t i = 0; i < BATCH; i++) {
        faas_tensor tensors[2];
        size_t two;

        ck_assert_int_eq(pthread_join(c[i].thread, NULL), 0);
        if (c[i].status == FAAS_OK) {
            ck_assert_ok(
                faas_tensors_view(faas_result_bytes(c[i].result), tensors, 2, &two));
            ck_assert_mem_eq(tensors[0].data, labels + i * 8, 8);
        } else {
            ck_assert_status(c[i].status, FAAS_EHANDLER);
            ck_assert_int_eq(faas_result_code(c[i].result), FAAS_ENOMEM);
            ck_assert_str_eq(faas_result_message(c[i].result), "no memory");
            wanted++;
        }
        faas_result_release(c[i].result);
    }
    return wanted;
}

/* On a clock that stands still a batch takes no time, and then all that wait are one. */
static void in_batches(void)
{
    unsigned n = atomic_exchange(&fail_at, 0);
    faas_function_stats stats = {.size = sizeof stats};
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;
    faas_clock *clock;
    faas_fn fn;

    ck_assert_ok(faas_clock_open_virtual(1000, NULL, &clock));
    options.clock = clock;
    ck_assert_ok(faas_runtime_open(&rt, &options));
    ck_assert_ok(faas_onnx_open(FAAS_ONNX(.library = library), &onnx));
    ck_assert_ok(faas_model_register(
        rt, faas_onnx_engine(onnx), FAAS_MODEL(.path = path_of("iris_rf/model.onnx")),
        FAAS_FUNCTION(.name = "flowers", .batch_max = 3, .batch_delay_ns = FAAS_FOREVER),
        &fn));
    ck_assert_uint_eq(batch_once(fn), 0); // one by one: so it is learned what one takes
    atomic_store(&calls, 0);
    atomic_store(&fail_at, n);
    ck_assert_uint_le(batch_once(fn), 1); // whose own answer found no room
    atomic_store(&fail_at, 0);
    ck_assert_uint_eq(batch_once(fn), 0);
    ck_assert_ok(faas_function_stats_get(rt, fn, &stats, NULL));
    ck_assert_uint_eq(stats.batched, 9);
    ck_assert_uint_eq(stats.batches, 5);
    world_close();
    faas_clock_close(clock);
}

START_TEST(whichever_allocation_of_a_model_fails_it_goes_on)
{
    flowers_read();
    each_fails(one_by_one);
    free(flowers);
    free(labels);
}
END_TEST

START_TEST(whichever_allocation_of_a_batch_fails_it_fails_one_call_at_most)
{
    flowers_read();
    each_fails(in_batches);
    free(flowers);
    free(labels);
}
END_TEST

#ifdef TEST_XGBOOST
static void trees(void)
{
    static const float row[127];
    size_t size = 0;
    faas_fn fn;

    ck_assert_ok(faas_runtime_open(&rt, NULL));
    ATTEMPT(faas_model_register(rt, faas_xgboost(FAAS_XGBOOST_VALUE),
                                FAAS_MODEL(.path = path_of("xgb_agaricus/agaricus.json")),
                                FAAS_FUNCTION(.name = "trees"), &fn));
    ATTEMPT(faas_model_describe(rt, fn, drops, &size));
    faas_result_release(answer_of(fn, faas_bytes_of(row, sizeof row)));
    ck_assert_ok(faas_runtime_close(rt));
}

START_TEST(whichever_allocation_of_trees_fails_they_go_on)
{
    each_fails(trees);
}
END_TEST
#endif

int main(void)
{
    const TTest *const tests[] = {
        whichever_allocation_of_a_model_fails_it_goes_on,
        whichever_allocation_of_a_batch_fails_it_fails_one_call_at_most,
#ifdef TEST_XGBOOST
        whichever_allocation_of_trees_fails_they_go_on
#endif
    };
    char command[100];
    faas_onnx *probe;
    int status;

    library = onnxruntime_find();
    if (library == NULL && faas_onnx_open(NULL, &probe) != FAAS_OK) {
        printf("skipped: %s\n", faas_error_text());
        return 77;
    }
    if (!models_find())
        return 77;
    if (mkdtemp(graphs_dir) == NULL)
        return EXIT_FAILURE;
    status = suite_run("want", tests, sizeof tests / sizeof tests[0]);
    (void)snprintf(command, sizeof command, "rm -r %s", graphs_dir);
    return system(command) == 0 ? status : EXIT_FAILURE;
}
