/* SPDX-License-Identifier: MIT */
/* test_model.c - tensors, messages of them, and models of an engine that is written here:
 * y[n,1] = (2 x[n,0] + x[n,1]) * k, for x[n,2] and a scalar k where the model has one. */
#include "support.h"

#include <faas/faas.h>
#include <faas/model.h>

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

/* ---- the engine ---- */

enum { UNLUCKY = 13, HELD = 123456789 };

static struct {
    unsigned refs, loads, unloads;
    atomic_uint opens, closes, runs, rows;
    bool load_fails, open_fails, scales, unforeseen;
    atomic_bool stops;
    uint64_t held; /* by an instance; 0: HELD */
    sem_t entered, leave;
} engine;

static float kept[1000];

static const faas_port inputs[] = {
    {.name = "x", .type = FAAS_F32, .rank = 2, .shape = {-1, 2}, .batch_axis = 0},
    {.name = "k", .type = FAAS_F32, .rank = 0, .batch_axis = -1}};
static const faas_port outputs[] = {
    {.name = "y", .type = FAAS_F32, .rank = 2, .shape = {-1, 1}, .batch_axis = 0}};

static void engine_acquire(void *user)
{
    (void)user;
    engine.refs++;
}

static void engine_release(void *user)
{
    (void)user;
    engine.refs--;
}

static faas_status engine_load(const faas_model *model, faas_bytes bytes, void *user,
                               void **loaded)
{
    (void)model;
    (void)user;
    *loaded = NULL;
    if (engine.load_fails)
        return faas_error_set(FAAS_ELOAD, "plain: %zu bytes are no model", bytes.size);
    engine.loads++;
    *loaded = &engine;
    return FAAS_OK;
}

static void engine_unload(void *loaded)
{
    (void)loaded;
    engine.unloads++;
}

static void engine_ports(void *loaded, const faas_port **in, size_t *in_count,
                         const faas_port **out, size_t *out_count)
{
    (void)loaded;
    *in = inputs;
    *in_count = engine.scales ? 2 : 1;
    *out = outputs;
    *out_count = 1;
}

static faas_status engine_open(void *loaded, void **instance, uint64_t *held)
{
    if (engine.open_fails)
        return faas_error_set(FAAS_ESYSTEM, "plain: it does not open");
    engine.opens++;
    *instance = loaded;
    *held = engine.held == 0 ? HELD : engine.held;
    return FAAS_OK;
}

static void engine_close(void *instance)
{
    (void)instance;
    engine.closes++;
}

static faas_status engine_run(void *instance, const faas_tensor *in, faas_tensor *out)
{
    size_t rows = (size_t)in[0].shape[0];
    const float *x = in[0].data;
    float k = 1, *y = out[0].data == NULL ? kept : out[0].data;

    (void)instance;
    if (engine.stops) {
        (void)sem_post(&engine.entered);
        while (sem_wait(&engine.leave) != 0)
            continue;
    }
    atomic_fetch_add(&engine.runs, 1);
    if (engine.unforeseen && out[0].data != NULL)
        return faas_error_set(FAAS_ESYSTEM, "plain: the output has another shape");
    if (engine.scales)
        memcpy(&k, in[1].data, sizeof k);
    for (size_t i = 0; i < rows; i++) {
        if (x[2 * i] == UNLUCKY)
            return faas_error_set(FAAS_ESYSTEM, "plain: row %zu is unlucky", i);
        y[i] = (2 * x[2 * i] + x[2 * i + 1]) * k;
    }
    atomic_fetch_add(&engine.rows, (unsigned)rows);
    if (out[0].data == NULL)
        out[0] = (faas_tensor){.data = kept,
                               .bytes = rows * 4,
                               .type = FAAS_F32,
                               .rank = 2,
                               .shape = {(int64_t)rows, 1},
                               .name = out[0].name};
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

/* ---- the world ---- */

static faas_runtime *rt;

static void world_open_with(uint64_t memory_bytes)
{
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;

    options.memory_bytes = memory_bytes;
    ck_assert_ok(faas_runtime_open(&rt, &options));
    ck_assert_int_eq(sem_init(&engine.entered, 0, 0), 0);
    ck_assert_int_eq(sem_init(&engine.leave, 0, 0), 0);
}

static void world_open(void)
{
    world_open_with(0);
}

static void world_close(void)
{
    ck_assert_ok(faas_runtime_close(rt));
    ck_assert_uint_eq(engine.refs, 0);
    ck_assert_uint_eq(engine.loads, engine.unloads);
    ck_assert_uint_eq(engine.opens, engine.closes);
}

static faas_fn model_of(const faas_function *policy)
{
    faas_fn fn;

    ck_assert_ok(faas_model_register(rt, &plain, FAAS_MODEL(.bytes = faas_str("plain")),
                                     policy, &fn));
    ck_assert_uint_eq(engine.refs, 1);
    return fn;
}

/* Calls with rows of two; checks the answer. */
static void ck_answers(faas_fn fn, const float *x, size_t rows)
{
    faas_result *result;
    const float *y;

    ck_assert_ok(faas_invoke(rt, fn, faas_bytes_of(x, rows * 8), 0, &result));
    ck_assert_uint_eq(faas_result_bytes(result).size, rows * 4);
    y = faas_result_bytes(result).data;
    for (size_t i = 0; i < rows; i++)
        ck_assert_float_eq(y[i], 2 * x[2 * i] + x[2 * i + 1]);
    faas_result_release(result);
}

static void ck_fails(faas_fn fn, faas_bytes input, int code, const char *words)
{
    faas_result *result;

    ck_assert_status(faas_invoke(rt, fn, input, 0, &result), FAAS_EHANDLER);
    ck_assert_int_eq(faas_result_code(result), code);
    ck_assert_str_eq(faas_result_message(result), words);
    faas_result_release(result);
}

/* ---- messages ---- */

static faas_tensor tensor_of(const char *name, void *data, int64_t rows, int64_t columns)
{
    return (faas_tensor){.data = data,
                         .bytes = (uint64_t)(rows * columns) * 4,
                         .type = FAAS_F32,
                         .rank = 2,
                         .shape = {rows, columns},
                         .name = faas_str(name)};
}

START_TEST(what_is_packed_is_seen_again_where_it_stands)
{
    float a[6] = {1, 2, 3, 4, 5, 6}, b[1] = {7};
    faas_tensor in[2] = {tensor_of("a", a, 3, 2), tensor_of("", b, 1, 1)}, out[2];
    unsigned char room[1024] __attribute__((aligned(64)));
    size_t size = faas_tensors_size(in, 2), count;
    void *data[2];

    ck_assert_ok(faas_tensors_pack(in, 2, room, sizeof room, data));
    ck_assert(faas_tensors_are(faas_bytes_of(room, size)));
    ck_assert_ok(faas_tensors_view(faas_bytes_of(room, size), out, 2, &count));
    ck_assert_uint_eq(count, 2);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_ptr_eq(out[i].data, data[i]);
        ck_assert_uint_eq((size_t)((unsigned char *)data[i] - room) % 64, 0);
        ck_assert_mem_eq(out[i].data, in[i].data, in[i].bytes);
        ck_assert_uint_eq(out[i].name.size, in[i].name.size);
        ck_assert_int_eq(out[i].shape[0], in[i].shape[0]);
    }
    ck_assert_status(faas_tensors_pack(in, 2, room, size - 1, NULL), FAAS_EINVAL);
}
END_TEST

START_TEST(a_message_with_any_byte_less_is_none)
{
    float a[6] = {1, 2, 3, 4, 5, 6};
    faas_tensor in = tensor_of("a", a, 3, 2), out[2];
    unsigned char room[512] __attribute__((aligned(64)));
    size_t size = faas_tensors_size(&in, 1), count;

    ck_assert_ok(faas_tensors_pack(&in, 1, room, sizeof room, NULL));
    for (size_t less = 0; less < size; less++) {
        ck_assert_status(faas_tensors_view(faas_bytes_of(room, less), out, 2, &count),
                         FAAS_ESYNTAX);
        ck_assert_uint_eq(count, 0);
    }
    ck_assert_ok(faas_tensors_view(faas_bytes_of(room, size), out, 2, &count));
    ck_assert_status(faas_tensors_view(faas_bytes_of(room, size), out, 0, &count),
                     FAAS_ESYNTAX);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "1 tensors"));
    ck_assert_uint_eq(room[112], 24); // so many bytes of data, in its entry
    room[112] = 20;
    ck_assert_status(faas_tensors_view(faas_bytes_of(room, size), out, 2, &count),
                     FAAS_ESYNTAX);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "20 bytes of data"));
}
END_TEST

START_TEST(tensors_that_cannot_be_make_no_message)
{
    faas_tensor t = tensor_of("a", NULL, 3, 2);

    ck_assert_uint_ne(faas_tensors_size(&t, 1), 0);
    ck_assert_uint_eq(faas_tensors_size(&t, 0), 0);
    ck_assert_uint_eq(faas_tensors_size(&t, FAAS_TENSORS_MAX + 1), 0);
    t.bytes = 23;
    ck_assert_uint_eq(faas_tensors_size(&t, 1), 0);
    t = tensor_of("a", NULL, 3, 2);
    t.type = (faas_element)8; // texts
    ck_assert_uint_eq(faas_tensors_size(&t, 1), 0);
    t = tensor_of("a", NULL, 3, 2);
    t.rank = FAAS_RANK_MAX + 1;
    ck_assert_uint_eq(faas_tensors_size(&t, 1), 0);
    t = tensor_of("a", NULL, -3, -2);
    ck_assert_uint_eq(faas_tensors_size(&t, 1), 0);
    t = tensor_of("a", NULL, INT64_C(1) << 31, INT64_C(1) << 31);
    t.bytes = 0; // 2^64, which a number has not
    ck_assert_uint_eq(faas_tensors_size(&t, 1), 0);
}
END_TEST

/* ---- calls ---- */

START_TEST(bytes_of_the_only_input_are_answered_with_bytes)
{
    const float x[] = {1, 2, 3, 4, 5, 6};
    unsigned char odd[9];
    faas_result *result;
    faas_fn fn;

    world_open();
    fn = model_of(FAAS_FUNCTION(.name = "m"));
    ck_answers(fn, x, 3);
    ck_answers(fn, x, 1);
    memcpy(odd + 1, x, 8); // not aligned: the library copies it
    ck_assert_ok(faas_invoke(rt, fn, faas_bytes_of(odd + 1, 8), 0, &result));
    ck_assert_float_eq(*(const float *)faas_result_bytes(result).data, 4);
    faas_result_release(result);
    ck_fails(fn, faas_bytes_of(x, 7), FAAS_ETYPE,
             "input x: f32[?,2] was expected, and 7 bytes came");
    ck_fails(fn, faas_bytes_of(x, 0), FAAS_ETYPE,
             "input x: f32[?,2] was expected, and 0 bytes came");
    world_close();
}
END_TEST

START_TEST(a_message_is_answered_with_one_and_names_go_before_places)
{
    float x[] = {1, 2, 3, 4}, k[] = {10};
    faas_tensor in[2] = {tensor_of("k", k, 1, 1), tensor_of("x", x, 2, 2)}, out[1];
    unsigned char room[1024] __attribute__((aligned(64)));
    faas_bytes message;
    faas_result *result;
    size_t count;
    faas_fn fn;

    in[0].rank = 0;
    engine.scales = true;
    world_open();
    fn = model_of(FAAS_FUNCTION(.name = "m"));
    ck_assert_ok(faas_tensors_pack(in, 2, room, sizeof room, NULL));
    message = faas_bytes_of(room, faas_tensors_size(in, 2));
    ck_assert_ok(faas_invoke(rt, fn, message, 0, &result));
    ck_assert_ok(faas_tensors_view(faas_result_bytes(result), out, 1, &count));
    ck_assert_mem_eq(out[0].name.data, "y", 1);
    ck_assert_float_eq(((const float *)out[0].data)[0], 40);
    ck_assert_float_eq(((const float *)out[0].data)[1], 100);
    faas_result_release(result);
    ck_fails(fn, faas_bytes_of(x, 16), FAAS_ETYPE,
             "2 inputs were expected, as a message; 16 bytes came");
    in[0].name = in[1].name;
    in[0] = in[1];
    ck_assert_ok(faas_tensors_pack(in, 2, room, sizeof room, NULL));
    ck_fails(fn, faas_bytes_of(room, faas_tensors_size(in, 2)), FAAS_ETYPE,
             "input x: it came twice");
    world_close();
}
END_TEST

START_TEST(an_output_whose_shape_was_not_foreseen_is_answered_all_the_same)
{
    const float x[] = {1, 2, 3, 4};
    faas_fn fn;

    engine.unforeseen = true;
    world_open();
    fn = model_of(FAAS_FUNCTION(.name = "m"));
    ck_answers(fn, x, 2);
    ck_assert_uint_eq(atomic_load(&engine.runs), 2); // tried in vain, once
    ck_answers(fn, x, 2);
    ck_assert_uint_eq(atomic_load(&engine.runs), 3);
    world_close();
}
END_TEST

START_TEST(a_run_that_fails_says_why_and_the_next_one_runs)
{
    const float x[] = {1, 2, UNLUCKY, 4};
    faas_fn fn;

    world_open();
    fn = model_of(FAAS_FUNCTION(.name = "m"));
    ck_fails(fn, faas_bytes_of(x, 16), FAAS_ESYSTEM, "plain: row 1 is unlucky");
    ck_answers(fn, x, 1);
    world_close();
}
END_TEST

/* ---- loading ---- */

static int collect(const char *text, size_t size, void *user)
{
    (void)strncat(user, text, size);
    return 0;
}

START_TEST(a_model_is_loaded_by_its_first_call_and_its_memory_is_counted_and_given_back)
{
    faas_function_stats stats = {.size = sizeof stats};
    faas_model_stats model = {.size = sizeof model};
    const float x[] = {1, 2};
    faas_fn fn;

    world_open();
    fn = model_of(FAAS_FUNCTION(.name = "m"));
    ck_assert_uint_eq(engine.loads, 0);
    for (unsigned round = 1; round < 4; round++) {
        ck_answers(fn, x, 1);
        ck_answers(fn, x, 1);
        ck_assert_uint_eq(engine.loads, round);
        ck_assert_ok(faas_function_stats_get(rt, fn, &stats, NULL));
        ck_assert_uint_ge(stats.instance_bytes, HELD);
        ck_assert_ok(faas_model_stats_get(rt, fn, &model));
        ck_assert_uint_eq(model.instances, 1);
        ck_assert_uint_eq(model.held_bytes, HELD);
        faas_runtime_budget(rt, 1); // nothing may stay
        faas_runtime_budget(rt, 0);
        ck_assert_uint_eq(engine.unloads, round);
        ck_assert_ok(faas_model_stats_get(rt, fn, &model));
        ck_assert_uint_eq(model.instances, 0);
        ck_assert_uint_eq(model.held_bytes, 0);
        ck_assert_uint_eq(model.loads, round);
    }
    world_close();
}
END_TEST

START_TEST(a_model_that_does_not_load_or_open_is_tried_again_and_says_why)
{
    const float x[] = {1, 2};
    faas_fn fn;

    world_open();
    fn = model_of(FAAS_FUNCTION(.name = "m"));
    engine.load_fails = true;
    ck_assert_status(faas_invoke(rt, fn, faas_bytes_of(x, 8), 0, NULL), FAAS_EINIT);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "plain: 5 bytes are no model"));
    engine.load_fails = false;
    engine.open_fails = true;
    ck_assert_status(faas_invoke(rt, fn, faas_bytes_of(x, 8), 0, NULL), FAAS_EINIT);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "plain: it does not open"));
    engine.open_fails = false;
    ck_answers(fn, x, 1);
    world_close();
}
END_TEST

START_TEST(axes_that_the_model_does_not_have_are_refused_when_it_is_loaded)
{
    static const struct {
        const char *axes, *words;
    } rows[] = {{"x", "NAME=AXIS is expected at \"x\""},
                {"x=", "NAME=AXIS is expected at \"x=\""},
                {"x=0;y=1", "NAME=AXIS is expected at \"x=0;y=1\""},
                {"y=0,z=0", "the model has no \"z\" with a dimension 0"},
                {"x=2", "the model has no \"x\" with a dimension 2"}};
    const float x[] = {1, 2};
    char text[500] = "";
    faas_fn fn;

    world_open();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char name[] = {'m', (char)('0' + i), '\0'};

        ck_assert_ok(faas_model_register(
            rt, &plain,
            FAAS_MODEL(.bytes = faas_str("plain"), .batch_axes = rows[i].axes),
            FAAS_FUNCTION(.name = name), &fn));
        ck_assert_status(faas_invoke(rt, fn, faas_bytes_of(x, 8), 0, NULL), FAAS_EINIT);
        ck_assert_msg(strstr(faas_error_text(), rows[i].words) != NULL, "%s",
                      faas_error_text());
    }
    ck_assert_ok(faas_model_register(
        rt, &plain, FAAS_MODEL(.bytes = faas_str("plain"), .batch_axes = "x=1,y=1"),
        FAAS_FUNCTION(.name = "good"), &fn));
    ck_assert_ok(faas_model_describe(rt, fn, collect, text));
    ck_assert_ptr_nonnull(strstr(text, "[null,2],\"batch_axis\":1}"));
    world_close();
}
END_TEST

START_TEST(a_new_instance_is_warmed_up_and_is_none_if_that_fails)
{
    const float good[] = {1, 2}, bad[] = {UNLUCKY, 2};
    faas_fn fn;

    world_open();
    ck_assert_ok(faas_model_register(
        rt, &plain, FAAS_MODEL(.bytes = faas_str("plain"), .warm_up = {good, 8}),
        FAAS_FUNCTION(.name = "m"), &fn));
    ck_answers(fn, good, 1);
    ck_assert_uint_eq(atomic_load(&engine.runs), 2);
    ck_answers(fn, good, 1);
    ck_assert_uint_eq(atomic_load(&engine.runs), 3);
    ck_assert_ok(faas_model_register(
        rt, &plain, FAAS_MODEL(.bytes = faas_str("plain"), .warm_up = {bad, 8}),
        FAAS_FUNCTION(.name = "n"), &fn));
    ck_assert_status(faas_invoke(rt, fn, faas_bytes_of(good, 8), 0, NULL), FAAS_EINIT);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "plain: row 0 is unlucky"));
    world_close();
}
END_TEST

START_TEST(a_model_that_cannot_be_registered_keeps_nothing)
{
    faas_fn fn;

    world_open();
    ck_assert_status(
        faas_model_register(rt, &plain, FAAS_MODEL(), FAAS_FUNCTION(.name = "m"), &fn),
        FAAS_EINVAL);
    ck_assert_status(faas_model_register(rt, &plain,
                                         FAAS_MODEL(.path = "p", .bytes = faas_str("b")),
                                         FAAS_FUNCTION(.name = "m"), &fn),
                     FAAS_EINVAL);
    ck_assert_status(faas_model_register(rt, &plain, FAAS_MODEL(.path = "p"),
                                         FAAS_FUNCTION(.name = ""), &fn),
                     FAAS_EINVAL);
    ck_assert_status(faas_model_register(rt, &plain, FAAS_MODEL(.path = "p"),
                                         FAAS_FUNCTION(.name = "m", .user = &fn), &fn),
                     FAAS_EINVAL);
    ck_assert_status(faas_model_register(rt, &plain, &(faas_model){.size = 7},
                                         FAAS_FUNCTION(.name = "m"), &fn),
                     FAAS_EVERSION);
    ck_assert_uint_eq(engine.refs, 0);
    ck_assert_uint_eq(fn.generation, 0);
    world_close();
}
END_TEST

/* A program that was compiled with less of the struct hands over less. */
START_TEST(of_a_policy_no_more_is_read_than_it_says_to_have)
{
    static const size_t most = sizeof(faas_function);
    _Alignas(16) unsigned char newer[sizeof(faas_function) + 8] = {0};
    const float x[2] = {1, 2};
    faas_function policy = {.size = offsetof(faas_function, handler), .name = "m"};
    faas_function *less = malloc(policy.size); // no byte more, for the sanitizer
    faas_fn fn;

    ck_assert_ptr_nonnull(less);
    memcpy(less, &policy, policy.size);
    world_open();
    fn = model_of(less);
    ck_answers(fn, x, 1);
    ck_assert_ok(faas_function_unregister(rt, fn));

    policy.size = most + 8;
    memcpy(newer, &policy, most);
    fn = model_of((void *)newer);
    ck_assert_ok(faas_function_unregister(rt, fn));
    newer[most + 3] = 1;
    ck_assert_status(faas_model_register(rt, &plain,
                                         FAAS_MODEL(.bytes = faas_str("plain")),
                                         (void *)newer, &fn),
                     FAAS_EVERSION);
    policy.size = 7;
    memcpy(newer, &policy, most);
    ck_assert_status(faas_model_register(rt, &plain,
                                         FAAS_MODEL(.bytes = faas_str("plain")),
                                         (void *)newer, &fn),
                     FAAS_EINVAL);
    ck_assert_uint_eq(fn.generation, 0);
    world_close();
    free(less);
}
END_TEST

static int other(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    (void)input;
    return 0;
}

static int refuses(const char *text, size_t size, void *user)
{
    (void)text;
    (void)size;
    return (*(int *)user)++ == 2;
}

START_TEST(only_a_model_is_described_as_one)
{
    faas_model_stats stats = {.size = sizeof stats};
    char text[500] = "";
    int pieces = 0;
    faas_fn fn, plain_fn;

    engine.scales = true;
    world_open();
    fn = model_of(FAAS_FUNCTION(.name = "m"));
    ck_assert_ok(faas_model_describe(rt, fn, collect, text));
    ck_assert_str_eq(text,
                     "{\"inputs\":[{\"name\":\"x\",\"type\":\"f32\",\"shape\":[null,"
                     "2],\"batch_axis\":0},{\"name\":\"k\",\"type\":\"f32\","
                     "\"shape\":[],\"batch_axis\":null}],\"outputs\":[{\"name\":"
                     "\"y\",\"type\":\"f32\",\"shape\":[null,1],\"batch_axis\":0}]"
                     "}");
    ck_assert_ok(faas_function_register(
        rt, FAAS_FUNCTION(.name = "other", .handler = other), &plain_fn));
    ck_assert_status(faas_model_describe(rt, fn, refuses, &pieces), FAAS_ESYSTEM);
    ck_assert_int_eq(pieces, 3); // nothing more once it was refused
    ck_assert_status(faas_model_describe(rt, plain_fn, collect, text), FAAS_ETYPE);
    ck_assert_status(faas_model_stats_get(rt, plain_fn, &stats), FAAS_ETYPE);
    ck_assert_ok(faas_function_unregister(rt, fn));
    ck_assert_status(faas_model_describe(rt, fn, collect, text), FAAS_ENOENT);
    world_close();
}
END_TEST

/* ---- batches ---- */

struct caller {
    pthread_t thread;
    faas_fn fn;
    faas_bytes input;
    faas_status status;
    faas_result *result;
};

static void *caller_run(void *user)
{
    struct caller *c = user;

    c->status = faas_invoke(rt, c->fn, c->input, 0, &c->result);
    return NULL;
}

static void caller_start(struct caller *c, faas_fn fn, const void *bytes, size_t size)
{
    c->fn = fn;
    c->input = faas_bytes_of(bytes, size);
    ck_assert_int_eq(pthread_create(&c->thread, NULL, caller_run, c), 0);
}

/* Comes back when so many items wait for a batch. */
static void await_items(faas_fn fn, uint64_t count)
{
    faas_function_stats stats = {.size = sizeof stats};

    do {
        (void)sched_yield();
        ck_assert_ok(faas_function_stats_get(rt, fn, &stats, NULL));
    } while (stats.batch_waiting != count);
}

static const float nought[] = {0, 0};

/* A call with `first` runs, and is held; `count` others wait, and run together then. */
static void together(struct caller *c, unsigned count, faas_bytes first)
{
    struct caller holder;
    faas_fn fn = model_of(FAAS_FUNCTION(.name = "m", .batch_max = 64));

    engine.stops = true;
    caller_start(&holder, fn, first.data, first.size);
    while (sem_wait(&engine.entered) != 0)
        continue;
    for (unsigned i = 0; i < count; i++) {
        caller_start(&c[i], fn, c[i].input.data, c[i].input.size);
        await_items(fn, i + 1);
    }
    engine.stops = false;
    (void)sem_post(&engine.leave);
    ck_assert_int_eq(pthread_join(holder.thread, NULL), 0);
    ck_assert_ok(holder.status);
    faas_result_release(holder.result);
    for (unsigned i = 0; i < count; i++)
        ck_assert_int_eq(pthread_join(c[i].thread, NULL), 0);
}

static void ck_float_is(const struct caller *c, float value)
{
    ck_assert_ok(c->status);
    ck_assert_uint_eq(faas_result_bytes(c->result).size, sizeof value);
    ck_assert_float_eq(*(const float *)faas_result_bytes(c->result).data, value);
    faas_result_release(c->result);
}

START_TEST(calls_that_wait_are_run_as_one_and_each_has_its_own_rows)
{
    static const float x[3][4] = {{1, 2}, {3, 4, 5, 6}, {7, 8}};
    struct caller c[3] = {
        {.input = {x[0], 8}}, {.input = {x[1], 16}}, {.input = {x[2], 8}}};
    const float *two;

    world_open();
    together(c, 3, faas_bytes_of(nought, sizeof nought));
    ck_float_is(&c[0], 4);
    ck_float_is(&c[2], 22);
    ck_assert_ok(c[1].status);
    two = faas_result_bytes(c[1].result).data;
    ck_assert_float_eq(two[0], 10);
    ck_assert_float_eq(two[1], 16);
    faas_result_release(c[1].result);
    ck_assert_uint_eq(atomic_load(&engine.rows), 5);
    ck_assert_uint_le(atomic_load(&engine.runs), 3);
    world_close();
}
END_TEST

static void *removes(void *user)
{
    const faas_fn *fn = user;

    ck_assert_ok(faas_function_unregister(rt, *fn));
    return NULL;
}

START_TEST(a_model_that_is_removed_while_it_runs_stays_until_it_has_run)
{
    static const float x[] = {1, 2};
    struct caller c;
    pthread_t remover;
    faas_fn fn, gone;

    world_open();
    fn = model_of(FAAS_FUNCTION(.name = "m"));
    engine.stops = true;
    caller_start(&c, fn, x, sizeof x);
    while (sem_wait(&engine.entered) != 0)
        continue;
    ck_assert_int_eq(pthread_create(&remover, NULL, removes, &fn), 0);
    while (faas_function_find(rt, faas_str("m"), &gone) == FAAS_OK)
        (void)sched_yield();
    ck_assert_uint_eq(engine.closes + engine.unloads, 0);
    engine.stops = false;
    (void)sem_post(&engine.leave);
    ck_assert_int_eq(pthread_join(c.thread, NULL), 0);
    ck_float_is(&c, 4);
    ck_assert_int_eq(pthread_join(remover, NULL), 0);
    ck_assert_uint_eq(engine.unloads, 1);
    ck_assert_uint_eq(engine.refs, 0);
    world_close();
}
END_TEST

START_TEST(in_a_batch_whoever_is_to_blame_fails_alone)
{
    static const float x[3][2] = {{1, 2}, {UNLUCKY, 4}, {7, 8}};
    struct caller c[4] = {{.input = {x[0], 8}},
                          {.input = {x[1], 8}},
                          {.input = {x[2], 8}},
                          {.input = {x[2], 5}}};

    world_open();
    together(c, 4, faas_bytes_of(nought, sizeof nought));
    ck_float_is(&c[0], 4);
    ck_float_is(&c[2], 22);
    ck_assert_status(c[1].status, FAAS_EHANDLER);
    ck_assert_str_eq(faas_result_message(c[1].result), "plain: row 0 is unlucky");
    ck_assert_status(c[3].status, FAAS_EHANDLER);
    ck_assert_int_eq(faas_result_code(c[3].result), FAAS_ETYPE);
    faas_result_release(c[1].result);
    faas_result_release(c[3].result);
    world_close();
}
END_TEST

START_TEST(calls_with_unlike_inputs_beside_the_batch_are_run_apart)
{
    static float x[2] = {1, 2}, k[3] = {1, 10, 1};
    unsigned char room[3][512] __attribute__((aligned(64)));
    struct caller c[3];

    engine.scales = true;
    for (int i = 0; i < 3; i++) {
        faas_tensor in[2] = {tensor_of("x", x, 1, 2), tensor_of("k", &k[i], 1, 1)};

        in[1].rank = 0;
        ck_assert_ok(faas_tensors_pack(in, 2, room[i], sizeof room[i], NULL));
        c[i].input = faas_bytes_of(room[i], faas_tensors_size(in, 2));
    }
    world_open();
    together(c, 3, c[0].input);
    for (unsigned i = 0; i < 3; i++) {
        faas_tensor out[1];
        size_t count;

        ck_assert_ok(c[i].status);
        ck_assert_ok(faas_tensors_view(faas_result_bytes(c[i].result), out, 1, &count));
        ck_assert_float_eq(*(const float *)out[0].data, 4 * k[i]);
        faas_result_release(c[i].result);
    }
    world_close();
}
END_TEST

/* ---- memory ---- */

static uint64_t held_now(void)
{
    faas_keepalive_stats stats = {.size = sizeof stats};

    ck_assert_ok(faas_keepalive_stats_get(rt, &stats));
    return stats.held_bytes;
}

static void ck_over(faas_fn fn, const char *words)
{
    static const float x[] = {1, 2};
    faas_result *result;

    ck_assert_status(faas_invoke(rt, fn, faas_bytes_of(x, 8), 0, &result), FAAS_EINIT);
    ck_assert_ptr_null(result);
    ck_assert_msg(strstr(faas_error_text(), words) != NULL, "%s", faas_error_text());
    ck_assert_uint_eq(engine.opens, engine.closes);
    ck_assert_uint_eq(engine.loads, engine.unloads);
}

START_TEST(a_model_that_takes_more_than_all_may_is_refused_and_a_smaller_one_runs)
{
    static const float x[] = {1, 2};
    faas_model_stats stats = {.size = sizeof stats};
    uint64_t before;
    faas_fn fn;

    world_open_with(HELD - 1);
    fn = model_of(FAAS_FUNCTION(.name = "m"));
    before = held_now();
    for (unsigned round = 1; round < 4; round++) {
        ck_over(fn, "init of m: an instance takes 12");
        ck_assert_ptr_nonnull(
            strstr(faas_error_text(), ", over the runtime's memory_bytes, 123456788"));
        ck_assert_uint_eq(engine.loads, round); // one try for a call
        ck_assert_uint_eq(held_now(), before);
        ck_assert_ok(faas_model_stats_get(rt, fn, &stats));
        ck_assert_uint_eq(stats.held_bytes + stats.instances, 0);
    }
    engine.held = HELD / 2;
    ck_answers(fn, x, 1);
    ck_answers(fn, x, 1);
    ck_assert_uint_eq(engine.loads, 4);
    world_close();
}
END_TEST

START_TEST(a_model_that_takes_more_than_its_own_budget_is_refused)
{
    static const float x[] = {1, 2};
    faas_fn fn;

    world_open();
    fn = model_of(FAAS_FUNCTION(.name = "m", .budget_bytes = HELD - 1));
    ck_over(fn, "over its budget_bytes, 123456788");
    ck_assert_ok(
        faas_function_update(rt, fn, FAAS_FUNCTION(.budget_bytes = HELD + 100000)));
    ck_answers(fn, x, 1);
    ck_assert_ok(faas_function_unregister(rt, fn));
    ck_assert_status(
        faas_model_register(
            rt, &plain, FAAS_MODEL(.bytes = faas_str("plain")),
            FAAS_FUNCTION(.name = "m", .budget_bytes = HELD - 1, .provisioned = 1), &fn),
        FAAS_EINIT);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "over its budget_bytes"));
    world_close();
}
END_TEST

START_TEST(what_a_model_turns_out_to_take_closes_what_is_idle)
{
    static const float x[] = {1, 2};
    faas_fn a, b;

    world_open_with(HELD + HELD / 2);
    a = model_of(FAAS_FUNCTION(.name = "a"));
    ck_assert_ok(faas_model_register(rt, &plain, FAAS_MODEL(.bytes = faas_str("plain")),
                                     FAAS_FUNCTION(.name = "b"), &b));
    for (unsigned round = 0; round < 3; round++) {
        ck_answers(a, x, 1);
        ck_assert_uint_eq(engine.opens - engine.closes, 1);
        ck_answers(b, x, 1);
        ck_assert_uint_eq(engine.opens - engine.closes, 1);
        ck_assert_uint_le(held_now(), HELD + HELD / 2);
    }
    world_close();
}
END_TEST

/* Two calls at a time, where one instance fits: how much another takes is known once it
 * was there. */
static void pairs(const faas_function *policy)
{
    static const float x[] = {1, 2};
    faas_function_stats stats = {.size = sizeof stats};
    faas_fn fn = model_of(policy);

    for (unsigned round = 0; round < 6; round++) {
        struct caller c[2];

        engine.stops = true;
        for (unsigned i = 0; i < 2; i++)
            caller_start(&c[i], fn, x, sizeof x);
        do {
            (void)sched_yield();
            ck_assert_ok(faas_function_stats_get(rt, fn, &stats, NULL));
        } while (stats.concurrency + stats.waiting < 2);
        engine.stops = false;
        for (unsigned i = 0; i < 2; i++)
            (void)sem_post(&engine.leave);
        for (unsigned i = 0; i < 2; i++) {
            ck_assert_int_eq(pthread_join(c[i].thread, NULL), 0);
            ck_float_is(&c[i], 4);
        }
        while (sem_trywait(&engine.entered) == 0)
            continue;
        while (sem_trywait(&engine.leave) == 0)
            continue;
        faas_runtime_sweep(rt, NULL);
        ck_assert_uint_eq(engine.opens - engine.closes, 1);
    }
    ck_assert_msg(engine.opens <= 2, "%u instances were made", engine.opens);
}

START_TEST(where_one_instance_fits_calls_wait_for_it_instead_of_loading_more)
{
    for (int own = 0; own < 2; own++) {
        engine.opens = engine.closes = 0;
        world_open_with(own ? 0 : HELD + HELD / 2);
        pairs(FAAS_FUNCTION(.name = "m", .on_full = FAAS_FULL_WAIT, .concurrency = 2,
                            .budget_bytes = own ? HELD + HELD / 2 : 0));
        world_close();
    }
}
END_TEST

SUITE_MAIN("model", what_is_packed_is_seen_again_where_it_stands,
           a_message_with_any_byte_less_is_none, tensors_that_cannot_be_make_no_message,
           bytes_of_the_only_input_are_answered_with_bytes,
           a_message_is_answered_with_one_and_names_go_before_places,
           an_output_whose_shape_was_not_foreseen_is_answered_all_the_same,
           a_run_that_fails_says_why_and_the_next_one_runs,
           a_model_is_loaded_by_its_first_call_and_its_memory_is_counted_and_given_back,
           a_model_that_does_not_load_or_open_is_tried_again_and_says_why,
           axes_that_the_model_does_not_have_are_refused_when_it_is_loaded,
           a_new_instance_is_warmed_up_and_is_none_if_that_fails,
           a_model_that_cannot_be_registered_keeps_nothing,
           of_a_policy_no_more_is_read_than_it_says_to_have,
           only_a_model_is_described_as_one,
           calls_that_wait_are_run_as_one_and_each_has_its_own_rows,
           a_model_that_is_removed_while_it_runs_stays_until_it_has_run,
           in_a_batch_whoever_is_to_blame_fails_alone,
           calls_with_unlike_inputs_beside_the_batch_are_run_apart,
           a_model_that_takes_more_than_all_may_is_refused_and_a_smaller_one_runs,
           a_model_that_takes_more_than_its_own_budget_is_refused,
           what_a_model_turns_out_to_take_closes_what_is_idle,
           where_one_instance_fits_calls_wait_for_it_instead_of_loading_more)
