/* SPDX-License-Identifier: MIT */
/* test_onnx.c - models with known answers through ONNX Runtime; bad models; what is given
 * back. Skipped without the engine or the models. */
#include "models_support.h"
#include "support.h"

#include <faas/faas.h>
#include <faas/onnx.h>

#include <dirent.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <unistd.h>

/* Where the engine's own header is installed, each slot is where that says. */
#if __has_include(<onnxruntime_c_api.h>)
#include "onnx/ort.h"
#include <onnxruntime_c_api.h>
#define SLOT_CHECK(name, index, ...)                                                     \
    _Static_assert(offsetof(OrtApi, name) == (index) * sizeof(void *), #name);
ORT_SLOTS(SLOT_CHECK)
ORT_PLAIN_SLOTS(SLOT_CHECK)
#endif

static const char *library; /* NULL: the system's */
static faas_runtime *rt;
static faas_onnx *onnx;

/* ---- files ---- */

struct file {
    unsigned char *bytes;
    size_t size;
};

static struct file file_of(const char *name)
{
    struct file f = {NULL, 0};
    FILE *file = fopen(path_of(name), "rbe");
    long end;

    ck_assert_msg(file != NULL, "%s", path_of(name));
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    end = ftell(file);
    rewind(file);
    f.size = (size_t)end;
    f.bytes = aligned_alloc(64, (f.size + 64) / 64 * 64);
    ck_assert_uint_eq(fread(f.bytes, 1, f.size, file), f.size);
    (void)fclose(file);
    return f;
}

/* ---- the world ---- */

static void open_with(const faas_onnx_options *options)
{
    faas_onnx_options o = *options;

    o.library = library;
    ck_assert_ok(faas_runtime_open(&rt, NULL));
    ck_assert_msg(faas_onnx_open(&o, &onnx) == FAAS_OK, "%s", faas_error_text());
}

static void world_open(void)
{
    open_with(FAAS_ONNX(.library = NULL));
}

static void world_close(void)
{
    faas_onnx_close(onnx);
    ck_assert_ok(faas_runtime_close(rt));
}

static faas_fn model_with(const char *name, const char *batch_axes,
                          const faas_function *policy)
{
    faas_function named = *policy;
    faas_fn fn;

    if (named.name == NULL)
        named.name = name;
    ck_assert_ok(faas_model_register(
        rt, faas_onnx_engine(onnx),
        FAAS_MODEL(.path = path_of(name), .batch_axes = batch_axes), &named, &fn));
    return fn;
}

static faas_fn model_of(const char *name, const faas_function *policy)
{
    return model_with(name, NULL, policy);
}

static faas_result *result_of(faas_fn fn, const void *bytes, size_t size)
{
    faas_result *result;
    faas_status status = faas_invoke(rt, fn, faas_bytes_of(bytes, size), 0, &result);

    ck_assert_msg(status == FAAS_OK, "%s: %s: %s", faas_status_name(status),
                  result == NULL ? "" : faas_result_message(result), faas_error_text());
    return result;
}

/* Whether the call fails with this code, and its message has these words. */
static void ck_fails(faas_fn fn, faas_bytes input, int code, const char *words)
{
    faas_result *result;
    faas_status status = faas_invoke(rt, fn, input, 0, &result);

    ck_assert_msg(status == FAAS_EHANDLER, "%s", faas_status_name(status));
    ck_assert_int_eq(faas_result_code(result), code);
    ck_assert_msg(strstr(faas_result_message(result), words) != NULL, "%s",
                  faas_result_message(result));
    faas_result_release(result);
}

static size_t argmax(const float *values, size_t count)
{
    size_t best = 0;

    for (size_t i = 1; i < count; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

static faas_tensor tensor_of(const char *name, faas_element type, void *data,
                             uint64_t bytes, uint32_t rank, const int64_t *shape)
{
    faas_tensor t = {
        .data = data, .bytes = bytes, .type = type, .rank = rank, .name = faas_str(name)};

    memcpy(t.shape, shape, rank * sizeof *shape);
    return t;
}

/* A message, in memory that the caller frees. */
static faas_bytes packed(const faas_tensor *tensors, size_t count)
{
    size_t size = faas_tensors_size(tensors, count);
    void *room = aligned_alloc(64, (size + 64) / 64 * 64);

    ck_assert_uint_ne(size, 0);
    ck_assert_ok(faas_tensors_pack(tensors, count, room, size, NULL));
    return faas_bytes_of(room, size);
}

/* ---- digits ---- */

/* Counts the digits that are right, from `from` on in steps, as several threads do. */
struct digits {
    pthread_t thread;
    faas_fn fn;
    const struct file *images, *classes, *labels, *logits;
    size_t from, step, right;
};

static void *digits_run(void *user)
{
    struct digits *d = user;

    for (size_t i = d->from; i < 10000; i += d->step) {
        float pixels[784];
        const float *got;
        faas_result *result;
        size_t class;

        for (size_t p = 0; p < 784; p++)
            pixels[p] = d->images->bytes[16 + i * 784 + p];
        result = result_of(d->fn, pixels, sizeof pixels);
        ck_assert_uint_eq(faas_result_bytes(result).size, 40);
        got = faas_result_bytes(result).data;
        class = argmax(got, 10);
        ck_assert_uint_eq(class, d->classes->bytes[i]);
        d->right += class == d->labels->bytes[8 + i];
        for (size_t c = 0; i < 100 && c < 10; c++) {
            float want;

            memcpy(&want, d->logits->bytes + (i * 10 + c) * 4, 4);
            ck_assert_float_le(fabsf(got[c] - want), 1e-5f * fabsf(want) + 1e-6f);
        }
        faas_result_release(result);
    }
    return NULL;
}

static size_t digits_right(faas_fn fn, size_t threads)
{
    struct file images = file_of("mnist/t10k-images-idx3-ubyte");
    struct file labels = file_of("mnist/t10k-labels-idx1-ubyte");
    struct file classes = file_of("mnist/expected_class_10000.u8");
    struct file logits = file_of("mnist/expected_logits_first100.f32");
    struct digits d[8];
    size_t right = 0;

    for (size_t i = 0; i < threads; i++) {
        d[i] = (struct digits){.fn = fn,
                               .images = &images,
                               .labels = &labels,
                               .classes = &classes,
                               .logits = &logits,
                               .from = i,
                               .step = threads};
        ck_assert_int_eq(pthread_create(&d[i].thread, NULL, digits_run, &d[i]), 0);
    }
    for (size_t i = 0; i < threads; i++) {
        ck_assert_int_eq(pthread_join(d[i].thread, NULL), 0);
        right += d[i].right;
    }
    free(images.bytes);
    free(labels.bytes);
    free(classes.bytes);
    free(logits.bytes);
    return right;
}

START_TEST(of_ten_thousand_digits_9891_are_right)
{
    world_open();
    ck_assert_uint_eq(
        digits_right(model_of("mnist/model.onnx", FAAS_FUNCTION(.name = "d")), 1), 9891);
    world_close();
}
END_TEST

START_TEST(in_batches_the_same_digits_are_right)
{
    faas_function_stats stats = {.size = sizeof stats};
    faas_fn fn;

    world_open();
    fn = model_of("mnist/model_dynbatch.onnx", FAAS_FUNCTION(.batch_max = 16));
    ck_assert_uint_eq(digits_right(fn, 8), 9891);
    ck_assert_ok(faas_function_stats_get(rt, fn, &stats, NULL));
    ck_assert_uint_eq(stats.batched, 10000);
    ck_assert_uint_lt(stats.batches, 10000); // some were run together
    world_close();
}
END_TEST

/* ---- pictures ---- */

static void picture_check(faas_fn fn, const char *image, const char *expected,
                          size_t class, float probability)
{
    struct file pixels = file_of(image), want = file_of(expected);
    float *values = malloc(pixels.size * sizeof *values);
    faas_result *result;
    const float *got;

    for (size_t i = 0; i < pixels.size; i++)
        values[i] = pixels.bytes[i];
    result = result_of(fn, values, pixels.size * sizeof *values);
    ck_assert_uint_eq(faas_result_bytes(result).size, 4000);
    got = faas_result_bytes(result).data;
    ck_assert_uint_eq(argmax(got, 1000), class);
    ck_assert_float_eq_tol(got[class], probability, 1e-3f);
    for (size_t i = 0; i < 1000; i++) {
        float expect;

        memcpy(&expect, want.bytes + i * 4, 4);
        ck_assert_float_eq_tol(got[i], expect, 1e-5f);
    }
    faas_result_release(result);
    free(values);
    free(pixels.bytes);
    free(want.bytes);
}

START_TEST(a_kitten_is_a_tabby_and_a_fish_a_tench)
{
    faas_fn fn;

    world_open();
    fn = model_of("squeezenet_fp16/model_f32_dynbatch.onnx", FAAS_FUNCTION(.name = "s"));
    picture_check(fn, "squeezenet_fp16/kitten_bgr_chw_224.u8",
                  "squeezenet_fp16/expected_kitten_f32.f32", 281, 0.9315f);
    picture_check(fn, "squeezenet_fp16/fish_bgr_chw_224.u8",
                  "squeezenet_fp16/expected_fish_f32.f32", 0, 0.738f);
    world_close();
}
END_TEST

/* Whole numbers from 0 to 255 as f16, which has them exactly; and f16 from 0 to 1 back. */
static uint16_t half_of(unsigned value)
{
    unsigned power = 31;

    if (value == 0)
        return 0;
    power -= (unsigned)__builtin_clz(value);
    return (uint16_t)((power + 15) << 10 | (value << 10 >> power & 0x3ff));
}

static float float_of(uint16_t half)
{
    int power = half >> 10 & 31;

    return power == 0 ? ldexpf((float)(half & 0x3ff), -24)
                      : ldexpf((float)((half & 0x3ff) | 0x400), power - 25);
}

START_TEST(in_half_precision_they_are_the_same)
{
    static const struct {
        const char *image;
        size_t class;
        float probability;
    } rows[] = {{"squeezenet_fp16/kitten_bgr_chw_224.u8", 281, 0.9315f},
                {"squeezenet_fp16/fish_bgr_chw_224.u8", 0, 0.738f}};
    faas_fn fn;

    world_open();
    fn = model_of("squeezenet_fp16/model.onnx", FAAS_FUNCTION(.name = "s"));
    for (size_t r = 0; r < 2; r++) {
        struct file pixels = file_of(rows[r].image);
        uint16_t *values = malloc(pixels.size * sizeof *values);
        faas_result *result;
        float got[1000];

        for (size_t i = 0; i < pixels.size; i++)
            values[i] = half_of(pixels.bytes[i]);
        result = result_of(fn, values, pixels.size * sizeof *values);
        ck_assert_uint_eq(faas_result_bytes(result).size, 2000);
        for (size_t i = 0; i < 1000; i++)
            got[i] = float_of(((const uint16_t *)faas_result_bytes(result).data)[i]);
        ck_assert_uint_eq(argmax(got, 1000), rows[r].class);
        ck_assert_float_eq_tol(got[rows[r].class], rows[r].probability, 1e-3f);
        faas_result_release(result);
        free(values);
        free(pixels.bytes);
    }
    world_close();
}
END_TEST

START_TEST(a_face_is_found_where_it_is)
{
    const int64_t shape[] = {1, 3, 240, 320};
    struct file pixels, scores, boxes;
    faas_tensor in, out[2];
    faas_result *result;
    faas_bytes message;
    float *values;
    size_t count;
    faas_fn fn;

    world_open();
    fn = model_of("ultraface/model.onnx", FAAS_FUNCTION(.name = "u"));
    pixels = file_of("ultraface/satya_rgb_chw_320x240.u8");
    scores = file_of("ultraface/expected_scores.f32");
    boxes = file_of("ultraface/expected_boxes.f32");
    values = malloc(pixels.size * sizeof *values);
    for (size_t i = 0; i < pixels.size; i++)
        values[i] = ((float)pixels.bytes[i] - 127) / 128;
    in = tensor_of("input", FAAS_F32, values, pixels.size * 4, 4, shape);
    message = packed(&in, 1);
    result = result_of(fn, message.data, message.size);
    ck_assert_ok(faas_tensors_view(faas_result_bytes(result), out, 2, &count));
    ck_assert_uint_eq(count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct file *want =
            strncmp(out[i].name.data, "scores", 6) == 0 ? &scores : &boxes;

        ck_assert_uint_eq(out[i].bytes, want->size);
        for (size_t v = 0; v < want->size / 4; v++) {
            float expect;

            memcpy(&expect, want->bytes + v * 4, 4);
            ck_assert_float_eq_tol(((const float *)out[i].data)[v], expect, 1e-4f);
        }
    }
    faas_result_release(result);
    free((void *)(uintptr_t)message.data);
    free(values);
    free(pixels.bytes);
    free(scores.bytes);
    free(boxes.bytes);
    world_close();
}
END_TEST

/* ---- speech ---- */

enum { CHUNK = 512, CONTEXT = 64, CHUNKS = 1875 };

/* A stream: what it remembers from chunk to chunk is handed in and out. */
struct stream {
    float window[CONTEXT + CHUNK], state[2 * 128];
    int64_t rate;
};

static float chunk_run(faas_fn fn, struct stream *s, const int16_t *samples)
{
    const int64_t in_shape[] = {1, CONTEXT + CHUNK}, state_shape[] = {2, 1, 128};
    faas_tensor in[3], out[2];
    faas_result *result;
    faas_bytes message;
    float speech = -1;
    size_t count;

    memmove(s->window, s->window + CHUNK, CONTEXT * sizeof(float));
    for (size_t i = 0; i < CHUNK; i++)
        s->window[CONTEXT + i] = (float)samples[i] / 32768;
    in[0] = tensor_of("input", FAAS_F32, s->window, sizeof s->window, 2, in_shape);
    in[1] = tensor_of("state", FAAS_F32, s->state, sizeof s->state, 3, state_shape);
    in[2] = tensor_of("sr", FAAS_I64, &s->rate, sizeof s->rate, 0, in_shape);
    message = packed(in, 3);
    result = result_of(fn, message.data, message.size);
    ck_assert_ok(faas_tensors_view(faas_result_bytes(result), out, 2, &count));
    ck_assert_uint_eq(count, 2);
    for (size_t i = 0; i < 2; i++) {
        if (memcmp(out[i].name.data, "output", 6) == 0)
            memcpy(&speech, out[i].data, sizeof speech);
        else
            memcpy(s->state, out[i].data, sizeof s->state);
    }
    faas_result_release(result);
    free((void *)(uintptr_t)message.data);
    return speech;
}

struct listener {
    pthread_t thread;
    faas_fn fn;
    const struct file *wave, *want;
    unsigned speech;
};

static void *listener_run(void *user)
{
    struct listener *l = user;
    struct stream s = {.rate = 16000};

    for (size_t i = 0; i < CHUNKS; i++) {
        int16_t samples[CHUNK];
        float want, got;

        memcpy(samples, l->wave->bytes + 44 + i * sizeof samples, sizeof samples);
        memcpy(&want, l->want->bytes + i * 4, 4);
        got = chunk_run(l->fn, &s, samples);
        ck_assert_float_eq_tol(got, want, 1e-4f);
        l->speech += got > 0.5f;
    }
    return NULL;
}

static void speech_check(const faas_function *policy, size_t threads)
{
    faas_function_stats stats = {.size = sizeof stats};
    struct file wave, want;
    struct listener l[4];
    faas_fn fn;

    world_open();
    wave = file_of("silero_vad/test_16k_mono_s16.wav");
    want = file_of("silero_vad/expected_probs_1875.f32");
    fn = model_with("silero_vad/model.onnx", "input=0,state=1,output=0,stateN=1", policy);
    for (size_t i = 0; i < threads; i++) {
        l[i] = (struct listener){.fn = fn, .wave = &wave, .want = &want};
        ck_assert_int_eq(pthread_create(&l[i].thread, NULL, listener_run, &l[i]), 0);
    }
    for (size_t i = 0; i < threads; i++) {
        ck_assert_int_eq(pthread_join(l[i].thread, NULL), 0);
        ck_assert_uint_eq(l[i].speech, 1452);
    }
    ck_assert_ok(faas_function_stats_get(rt, fn, &stats, NULL));
    ck_assert(policy->batch_max == 0 || stats.batches < stats.batched); // some together
    free(wave.bytes);
    free(want.bytes);
    world_close();
}

START_TEST(a_minute_of_speech_has_1452_chunks_of_it)
{
    speech_check(FAAS_FUNCTION(.name = "v"), 1);
}
END_TEST

START_TEST(streams_that_share_batches_keep_their_states_apart)
{
    speech_check(FAAS_FUNCTION(.name = "v", .batch_max = 8), 4);
}
END_TEST

/* ---- flowers ---- */

static void iris_check(faas_fn fn)
{
    struct file in, labels, probabilities;
    faas_result *result;
    faas_tensor out[2];
    size_t count;

    in = file_of("iris_rf/input_6x4.f32");
    labels = file_of("iris_rf/expected_label_6.i64");
    probabilities = file_of("iris_rf/expected_prob_6x3.f32");
    result = result_of(fn, in.bytes, in.size); // bytes in; two outputs: a message
    ck_assert_ok(faas_tensors_view(faas_result_bytes(result), out, 2, &count));
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_eq(out[0].bytes, labels.size);
    ck_assert_mem_eq(out[0].data, labels.bytes, labels.size);
    ck_assert_int_eq(out[1].shape[0], 6);
    ck_assert_int_eq(out[1].shape[1], 3);
    for (size_t i = 0; i < 18; i++) {
        float want;

        memcpy(&want, probabilities.bytes + i * 4, 4);
        ck_assert_float_eq_tol(((const float *)out[1].data)[i], want, 1e-5f);
    }
    faas_result_release(result);
    free(in.bytes);
    free(labels.bytes);
    free(probabilities.bytes);
}

START_TEST(six_flowers_are_what_they_are)
{
    world_open();
    iris_check(model_of("iris_rf/model.onnx", FAAS_FUNCTION(.name = "i")));
    iris_check(
        model_of("iris_rf/model.onnx", FAAS_FUNCTION(.name = "j", .batch_max = 64)));
    world_close();
}
END_TEST

static int collect(const char *text, size_t size, void *user)
{
    char *all = user;

    (void)strncat(all, text, size);
    return 0;
}

START_TEST(a_model_says_what_it_takes_and_gives)
{
    char text[1000] = "";

    world_open();
    ck_assert_ok(faas_model_describe(
        rt, model_of("iris_rf/model.onnx", FAAS_FUNCTION(.name = "i")), collect, text));
    ck_assert_str_eq(text,
                     "{\"inputs\":[{\"name\":\"X\",\"type\":\"f32\",\"shape\":[null,4],"
                     "\"batch_axis\":0}],\"outputs\":[{\"name\":\"output_label\","
                     "\"type\":\"i64\",\"shape\":[null],\"batch_axis\":0},{\"name\":"
                     "\"output_probability\",\"type\":\"f32\",\"shape\":[null,null],"
                     "\"batch_axis\":0}]}");
    world_close();
}
END_TEST

/* ---- what is wrong ---- */

START_TEST(an_input_that_does_not_fit_is_refused_before_the_engine_sees_it)
{
    const int64_t good[] = {1, 4}, bad[] = {1, 5}, cube[] = {1, 2, 2};
    float values[8] = {0};
    faas_tensor t[2];
    faas_bytes m;
    faas_fn fn;

    world_open();
    fn = model_of("iris_rf/model.onnx", FAAS_FUNCTION(.name = "i"));
    ck_fails(fn, faas_bytes_of(values, 15), FAAS_ETYPE,
             "input X: f32[?,4] was expected, and 15 bytes came");
    ck_fails(fn, faas_bytes_of(NULL, 0), FAAS_ETYPE, "0 bytes came");
    t[0] = tensor_of("Y", FAAS_F32, values, 16, 2, good);
    m = packed(t, 1);
    ck_fails(fn, m, FAAS_ETYPE, "input Y: the model has none of this name");
    ((unsigned char *)(uintptr_t)m.data)[12] = 9;
    ck_fails(fn, m, FAAS_ESYNTAX, "version 9");
    free((void *)(uintptr_t)m.data);
    t[0] = tensor_of("X", FAAS_I32, values, 16, 2, good);
    m = packed(t, 1);
    ck_fails(fn, m, FAAS_ETYPE, "f32[?,4] was expected, and i32[1,4] came");
    free((void *)(uintptr_t)m.data);
    t[0] = tensor_of("X", FAAS_F32, values, 20, 2, bad);
    m = packed(t, 1);
    ck_fails(fn, m, FAAS_ETYPE, "f32[?,4] was expected, and f32[1,5] came");
    free((void *)(uintptr_t)m.data);
    t[0] = tensor_of("", FAAS_F32, values, 16, 3, cube);
    m = packed(t, 1);
    ck_fails(fn, m, FAAS_ETYPE, "f32[?,4] was expected, and f32[1,2,2] came");
    free((void *)(uintptr_t)m.data);
    t[0] = t[1] = tensor_of("X", FAAS_F32, values, 16, 2, good);
    m = packed(t, 2);
    ck_fails(fn, m, FAAS_ETYPE, "1 inputs were expected, and 2 came");
    free((void *)(uintptr_t)m.data);
    iris_check(fn); // and it goes on
    world_close();
}
END_TEST

START_TEST(what_is_no_number_passes_through)
{
    float pixels[784];
    faas_result *result;

    world_open();
    for (size_t i = 0; i < 784; i++)
        pixels[i] = NAN;
    result = result_of(model_of("mnist/model.onnx", FAAS_FUNCTION(.name = "d")), pixels,
                       sizeof pixels);
    for (size_t i = 0; i < 10; i++)
        ck_assert(isnan(((const float *)faas_result_bytes(result).data)[i]));
    faas_result_release(result);
    world_close();
}
END_TEST

START_TEST(what_is_no_model_or_a_part_of_one_cannot_be_loaded_and_says_why)
{
    struct file model;
    float values[4] = {0};
    FILE *errors = tmpfile();

    ck_assert_ptr_nonnull(errors);
    world_open();
    model = file_of("iris_rf/model.onnx");
    ck_assert_int_ge(dup2(fileno(errors), STDERR_FILENO), 0);
    for (size_t tenth = 0; tenth < 10; tenth++) {
        faas_bytes part = {model.bytes, model.size * tenth / 10};
        char name[] = {'p', (char)('0' + tenth), '\0'};
        faas_result *result;
        faas_fn fn;

        ck_assert_ok(faas_model_register(rt, faas_onnx_engine(onnx),
                                         FAAS_MODEL(.bytes = part),
                                         FAAS_FUNCTION(.name = name), &fn));
        ck_assert_status(
            faas_invoke(rt, fn, faas_bytes_of(values, sizeof values), 0, &result),
            FAAS_EINIT);
        ck_assert_msg(strstr(faas_error_text(), "onnx") != NULL, "%s", faas_error_text());
    }
    iris_check(model_of("iris_rf/model.onnx", FAAS_FUNCTION(.name = "i")));
    ck_assert_int_eq(fseek(errors, 0, SEEK_END), 0);
    ck_assert_int_eq(ftell(errors), 0); // it was said to us, and to nobody else
    free(model.bytes);
    world_close();
}
END_TEST

START_TEST(a_missing_engine_or_model_is_named)
{
    faas_onnx *none;
    faas_fn fn;

    ck_assert_status(
        faas_onnx_open(FAAS_ONNX(.library = "/nowhere/libonnxruntime.so"), &none),
        FAAS_ELOAD);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "/nowhere/libonnxruntime.so"));
    ck_assert_ptr_null(none);
    ck_assert_status(faas_onnx_open(FAAS_ONNX(.library = "libm.so.6"), &none),
                     FAAS_ELOAD);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "OrtGetApiBase"));
    ck_assert_status(faas_onnx_open(&(faas_onnx_options){.size = 7}, &none),
                     FAAS_EVERSION);
    world_open();
    fn = model_of("nowhere.onnx", FAAS_FUNCTION(.name = "n"));
    ck_assert_status(faas_invoke(rt, fn, faas_str("x"), 0, NULL), FAAS_EINIT);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "nowhere.onnx"));
    ck_assert_status(faas_model_register(rt, faas_onnx_engine(onnx), FAAS_MODEL(),
                                         FAAS_FUNCTION(.name = "x"), &fn),
                     FAAS_EINVAL);
    world_close();
}
END_TEST

/* ---- cold starts, threads, memory ---- */

/* A hundred callers of a cold model. */
struct caller {
    pthread_t thread;
    faas_fn fn;
};

static void *caller_run(void *user)
{
    const struct caller *c = user;
    float values[4] = {5, 3, 1, 0};

    faas_result_release(result_of(c->fn, values, sizeof values));
    return NULL;
}

START_TEST(a_hundred_callers_of_a_cold_model_load_it_once)
{
    faas_model_stats stats = {.size = sizeof stats};
    struct caller c[100];
    faas_fn fn;

    world_open();
    fn = model_of("iris_rf/model.onnx", FAAS_FUNCTION(.name = "i", .concurrency = 2,
                                                      .on_full = FAAS_FULL_WAIT));
    for (size_t i = 0; i < 100; i++) {
        c[i].fn = fn;
        ck_assert_int_eq(pthread_create(&c[i].thread, NULL, caller_run, &c[i]), 0);
    }
    for (size_t i = 0; i < 100; i++)
        ck_assert_int_eq(pthread_join(c[i].thread, NULL), 0);
    ck_assert_ok(faas_model_stats_get(rt, fn, &stats));
    ck_assert_uint_eq(stats.loads, 1);
    ck_assert_uint_gt(stats.load_ns, 0);
    ck_assert_uint_le(stats.instances, 2);
#ifndef FAASI_SANITIZED // whose allocator does not tell
    ck_assert_uint_gt(stats.held_bytes, 0);
#endif
    world_close();
}
END_TEST

START_TEST(the_engine_makes_no_thread_and_no_file)
{
    char home[] = "/tmp/faas-onnx-home-XXXXXX", find[200], line[100] = "";
    unsigned before;
    FILE *found;

    ck_assert_ptr_nonnull(mkdtemp(home));
    ck_assert_int_eq(setenv("HOME", home, 1), 0);
    ck_assert_int_eq(setenv("TMPDIR", home, 1), 0);
    ck_assert_int_eq(unsetenv("XDG_CACHE_HOME"), 0);
    ck_assert_ok(faas_runtime_open(&rt, NULL));
    before = threads_now(); // with the runtime's own
    ck_assert_ok(faas_runtime_close(rt));
    world_open();
    iris_check(model_of("iris_rf/model.onnx", FAAS_FUNCTION(.name = "i")));
    faas_result_release(result_of(
        model_of("mnist/model.onnx", FAAS_FUNCTION(.name = "d")), (float[784]){0}, 3136));
    ck_assert_uint_le(threads_now(), before);
    ck_assert_str_eq(getenv("ORT_DISABLE_TELEMETRY"), "1");
    world_close();
    (void)snprintf(find, sizeof find, "find %s -mindepth 1", home);
    found = popen(find, "re");
    ck_assert_ptr_nonnull(found);
    ck_assert_ptr_null(fgets(line, sizeof line, found));
    (void)pclose(found);
    ck_assert_int_eq(rmdir(home), 0);
}
END_TEST

/* Closes all instances of a function. */
static void evict_all(void)
{
    faas_runtime_budget(rt, 1);
    faas_runtime_budget(rt, 0);
}

START_TEST(instances_of_a_large_model_share_a_session_and_those_of_a_small_one_do_not)
{
    static float picture[3 * 224 * 224];
    static const struct {
        const char *name;
        size_t bytes, sessions;
    } rows[] = {{"squeezenet_fp16/model_f32_dynbatch.onnx", sizeof picture, 1},
                {"iris_rf/model.onnx", 16, 2}};

    for (size_t r = 0; r < 2; r++) {
        faas_onnx_stats stats = {.size = sizeof stats};
        faas_model_stats model = {.size = sizeof model};
        faas_fn fn;

        world_open();
        fn = model_of(rows[r].name, FAAS_FUNCTION(.provisioned = 1));
        faas_result_release(
            result_of(fn, picture, rows[r].bytes)); // what it takes is known
        ck_assert_ok(faas_function_update(rt, fn, FAAS_FUNCTION(.provisioned = 2)));
        ck_assert_ok(faas_model_stats_get(rt, fn, &model));
        ck_assert_uint_eq(model.instances, 2);
        ck_assert_ok(faas_onnx_stats_get(onnx, &stats));
        ck_assert_uint_eq(stats.sessions, rows[r].sessions);
        faas_result_release(result_of(fn, picture, rows[r].bytes));
        world_close();
    }
}
END_TEST

START_TEST(the_second_cold_start_takes_the_graph_of_the_first)
{
    faas_onnx_stats stats = {.size = sizeof stats};
    faas_fn fn;

    world_open();
    fn = model_of("iris_rf/model.onnx", FAAS_FUNCTION(.name = "i"));
    iris_check(fn);
    ck_assert_ok(faas_onnx_stats_get(onnx, &stats));
    ck_assert_uint_eq(stats.sessions, 1);
    ck_assert_uint_eq(stats.graph_hits, 0);
    ck_assert_uint_gt(stats.graph_bytes, 0);
    evict_all();
    iris_check(fn);
    ck_assert_ok(faas_onnx_stats_get(onnx, &stats));
    ck_assert_uint_eq(stats.sessions, 2);
    ck_assert_uint_eq(stats.graph_hits, 1);
    world_close();
}
END_TEST

/* Changes the only file of a directory, in the middle. */
static void spoil(const char *dir)
{
    char path[4096] = "";
    struct dirent *entry;
    DIR *d = opendir(dir);
    FILE *file;

    ck_assert_ptr_nonnull(d);
    while ((entry = readdir(d)) != NULL)
        if (entry->d_name[0] != '.')
            (void)snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
    (void)closedir(d);
    file = fopen(path, "r+be");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, 1000, SEEK_SET), 0);
    ck_assert_int_eq(fputs("spoilt", file) >= 0, 1);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(graphs_in_a_directory_are_found_by_the_next_engine_and_spoilt_ones_made_anew)
{
    char dir[] = "/tmp/faas-onnx-graphs-XXXXXX", said[500], command[100];

    ck_assert_ptr_nonnull(mkdtemp(dir));
    for (int round = 0; round < 4; round++) {
        faas_onnx_stats stats = {.size = sizeof stats};

        said[0] = '\0';
        if (round == 2)
            spoil(dir);
        open_with(FAAS_ONNX(.cache_dir = dir, .say = collect, .say_user = said));
        iris_check(model_of("iris_rf/model.onnx", FAAS_FUNCTION(.name = "i")));
        ck_assert_ok(faas_onnx_stats_get(onnx, &stats));
        ck_assert_uint_eq(stats.graph_files, round == 1 || round == 3);
        ck_assert_uint_eq(stats.graph_hits, round == 1 || round == 3);
        ck_assert_uint_eq(stats.graph_errors, round == 2);
        ck_assert_int_eq(strstr(said, "spoilt") != NULL, round == 2);
        world_close();
    }
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(of_graphs_that_are_too_many_the_oldest_goes)
{
    static float pixels[784];
    faas_onnx_stats stats = {.size = sizeof stats};
    uint64_t one;
    faas_fn again;

    world_open();
    iris_check(model_of("iris_rf/model.onnx", FAAS_FUNCTION(.name = "i")));
    ck_assert_ok(faas_onnx_stats_get(onnx, &stats));
    one = stats.graph_bytes;
    world_close();
    open_with(FAAS_ONNX(.cache_bytes = one + 1));
    for (int round = 0; round < 2; round++) {
        char names[2][3] = {{'i', (char)('0' + round)}, {'d', (char)('0' + round)}};

        iris_check(model_of("iris_rf/model.onnx", FAAS_FUNCTION(.name = names[0])));
        again = model_of("iris_rf/model.onnx", FAAS_FUNCTION(.name = "again"));
        iris_check(again);
        ck_assert_ok(faas_onnx_stats_get(onnx, &stats));
        ck_assert_uint_eq(stats.graph_hits, (uint64_t)round + 1); // the second of the two
        faas_result_release(
            result_of(model_of("mnist/model.onnx", FAAS_FUNCTION(.name = names[1])),
                      pixels, sizeof pixels));
        ck_assert_ok(faas_onnx_stats_get(onnx, &stats));
        ck_assert_uint_lt(stats.graph_bytes, one + 1);
        ck_assert_ok(faas_function_unregister(rt, again));
    }
    ck_assert_ok(faas_onnx_stats_get(onnx, &stats));
    ck_assert_uint_eq(stats.sessions, 6);
    world_close();
}
END_TEST

START_TEST(a_model_is_registered_in_one_call_with_an_engine_of_its_own)
{
    faas_fn fn;

    /* The loader has it by its name from here on, as an installed one. */
    world_open();
    ck_assert_msg(faas_onnx_register(rt, "i", path_of("iris_rf/model.onnx"),
                                     FAAS_FUNCTION(.batch_max = 16), &fn) == FAAS_OK,
                  "%s", faas_error_text());
    iris_check(fn);
    ck_assert_status(faas_onnx_register(rt, "j", path_of("iris_rf/model.onnx"),
                                        FAAS_FUNCTION(.name = "k"), &fn),
                     FAAS_EINVAL);
    ck_assert_uint_eq(fn.generation, 0);
    world_close();
}
END_TEST

START_TEST(where_no_graph_can_be_written_models_run_all_the_same)
{
    faas_onnx_stats stats = {.size = sizeof stats};
    char said[500] = "";

    open_with(FAAS_ONNX(.cache_dir = "/proc/nowhere", .say = collect, .say_user = said));
    iris_check(model_of("iris_rf/model.onnx", FAAS_FUNCTION(.name = "i")));
    faas_result_release(result_of(
        model_of("mnist/model.onnx", FAAS_FUNCTION(.name = "d")), (float[784]){0}, 3136));
    ck_assert_ok(faas_onnx_stats_get(onnx, &stats));
    ck_assert_uint_eq(stats.graph_errors, 2);
    ck_assert_str_eq(said, "faas-onnx: /proc/nowhere cannot be written\n");
    world_close();
}
END_TEST

static long private_kib(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    char line[256];
    long kib = 0, some;

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "Private_Dirty: %ld", &some) == 1)
            kib += some;
    (void)fclose(file);
    return kib;
}

#ifndef FAASI_SANITIZED // which keeps what is freed, to see who uses it
START_TEST(what_is_evicted_goes_back_to_the_system)
{
    static float picture[3 * 224 * 224];
    long before, loaded;
    faas_fn fn;

    open_with(FAAS_ONNX(.cache_bytes = 1));
    fn = model_of("squeezenet_fp16/model_f32_dynbatch.onnx", FAAS_FUNCTION(.name = "s"));
    before = private_kib();
    faas_result_release(result_of(fn, picture, sizeof picture));
    loaded = private_kib();
    ck_assert_int_gt(loaded, before + 10240);
    evict_all();
    ck_assert_msg(private_kib() < before + 5120, "%ld KiB, %ld, %ld", before, loaded,
                  private_kib());
    world_close();
}
END_TEST
#endif

#ifndef FAASI_SANITIZED // whose allocator does not tell
START_TEST(a_model_over_the_budget_is_refused_each_time_and_a_smaller_one_runs)
{
    static float picture[3 * 224 * 224];
    faas_onnx_options o = {.size = sizeof o, .cache_bytes = 1};
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;
    faas_model_stats stats = {.size = sizeof stats};
    long before = 0;
    faas_fn large, small;

    options.memory_bytes = 2 << 20;
    o.library = library;
    ck_assert_ok(faas_runtime_open(&rt, &options));
    ck_assert_ok(faas_onnx_open(&o, &onnx));
    large =
        model_of("squeezenet_fp16/model_f32_dynbatch.onnx", FAAS_FUNCTION(.name = "s"));
    small = model_of("mnist/model.onnx", FAAS_FUNCTION(.name = "d"));
    for (int round = 0; round < 12; round++) {
        ck_assert_status(
            faas_invoke(rt, large, faas_bytes_of(picture, sizeof picture), 0, NULL),
            FAAS_EINIT);
        ck_assert_msg(strstr(faas_error_text(), "over the runtime's memory_bytes, "
                                                "2097152") != NULL,
                      "%s", faas_error_text());
        ck_assert_ok(faas_model_stats_get(rt, large, &stats));
        ck_assert_uint_eq(stats.instances + stats.held_bytes, 0);
        faas_result_release(result_of(small, picture, 3136));
        (void)malloc_trim(0);
        if (round == 1)
            before = private_kib();
    }
    ck_assert_msg(private_kib() < before + 1024, "%ld KiB, then %ld", before,
                  private_kib());
    ck_assert_ok(faas_model_stats_get(rt, small, &stats));
    ck_assert_uint_eq(stats.loads, 1); // it was not closed for what could not stay
    world_close();
}
END_TEST
#endif

START_TEST(after_twenty_loads_and_evictions_of_every_model_memory_is_as_it_was)
{
    static const struct {
        const char *name;
        size_t bytes;
    } models[] = {{"iris_rf/model.onnx", 16},
                  {"mnist/model.onnx", 3136},
                  {"ultraface/model.onnx", (size_t)3 * 240 * 320 * 4},
                  {"squeezenet_fp16/model_f32_dynbatch.onnx", (size_t)3 * 224 * 224 * 4}};
    void *input =
        calloc(1, models[2].bytes > models[3].bytes ? models[2].bytes : models[3].bytes);
    faas_fn fns[4];
    long before = 0;

    open_with(FAAS_ONNX(.cache_bytes = 1)); // what is kept on purpose is not the question
    for (size_t i = 0; i < 4; i++)
        fns[i] = model_of(models[i].name, FAAS_FUNCTION(.name = models[i].name));
    for (int cycle = 0; cycle < 21; cycle++) {
        for (size_t i = 0; i < 4; i++) {
            faas_result_release(result_of(fns[i], input, models[i].bytes));
            evict_all();
        }
        (void)malloc_trim(0);
        if (cycle == 0) // with the engine's own first-session state
            before = private_kib();
    }
#ifndef FAASI_SANITIZED // which keeps what is freed, to see who uses it
    ck_assert_msg(private_kib() < before + 2560, "%ld KiB, then %ld", before,
                  private_kib());
#endif
    ck_assert_int_gt(before, 0);
    world_close();
    free(input);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        of_ten_thousand_digits_9891_are_right,
        in_batches_the_same_digits_are_right,
        a_kitten_is_a_tabby_and_a_fish_a_tench,
        in_half_precision_they_are_the_same,
        a_face_is_found_where_it_is,
        a_minute_of_speech_has_1452_chunks_of_it,
        streams_that_share_batches_keep_their_states_apart,
        six_flowers_are_what_they_are,
        a_model_says_what_it_takes_and_gives,
        an_input_that_does_not_fit_is_refused_before_the_engine_sees_it,
        what_is_no_number_passes_through,
        what_is_no_model_or_a_part_of_one_cannot_be_loaded_and_says_why,
        a_missing_engine_or_model_is_named,
        a_hundred_callers_of_a_cold_model_load_it_once,
        the_engine_makes_no_thread_and_no_file,
        instances_of_a_large_model_share_a_session_and_those_of_a_small_one_do_not,
        the_second_cold_start_takes_the_graph_of_the_first,
        graphs_in_a_directory_are_found_by_the_next_engine_and_spoilt_ones_made_anew,
        of_graphs_that_are_too_many_the_oldest_goes,
        a_model_is_registered_in_one_call_with_an_engine_of_its_own,
        where_no_graph_can_be_written_models_run_all_the_same,
#ifndef FAASI_SANITIZED
        what_is_evicted_goes_back_to_the_system,
        a_model_over_the_budget_is_refused_each_time_and_a_smaller_one_runs,
#endif
        after_twenty_loads_and_evictions_of_every_model_memory_is_as_it_was};
    faas_onnx *probe;

    library = onnxruntime_find();
    if (library == NULL && faas_onnx_open(NULL, &probe) != FAAS_OK) {
        printf("skipped: %s\n", faas_error_text());
        return 77;
    }
    if (!models_find())
        return 77;
    return suite_run("onnx", tests, sizeof tests / sizeof tests[0]);
}
