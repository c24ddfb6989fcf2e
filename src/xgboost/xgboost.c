/* SPDX-License-Identifier: MIT */
/* xgboost.c - the engine for boosted trees. */
#include <faas/xgboost.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xgboost/c_api.h>

struct loaded {
    faas_bytes model;
    faas_xgboost_output output;
    faas_port input, prediction;
};

struct instance {
    struct loaded *loaded;
    BoosterHandle booster;
};

/* XGBoost has its threads from OpenMP, and `nthread` is not known to it while it reads a
 * model: a calling thread that may have one is what it goes by. Where it was built
 * without OpenMP there is nothing to say. */
extern void omp_set_num_threads(int count) __attribute__((weak));
extern int omp_get_max_threads(void) __attribute__((weak));

/* From here on XGBoost makes no threads for the caller's; returns what to put back. */
static int threads_one(void)
{
    int before;

    if (omp_get_max_threads == NULL || omp_set_num_threads == NULL)
        return 0;
    before = omp_get_max_threads();
    omp_set_num_threads(1);
    return before;
}

static void threads_again(int before)
{
    if (before != 0)
        omp_set_num_threads(before);
}

static faas_status failed(faas_status status, const char *what)
{
    const char *why = XGBGetLastError();
    int line = (int)strcspn(why, "\n"); // what follows is where in its own source

    return faas_error_set(status, "xgboost: %s: %.*s", what, line, why);
}

static faas_status booster_open(const struct loaded *l, BoosterHandle *booster)
{
    int threads, loaded;

    *booster = NULL;
    if (l->model.size == 0)
        return faas_error_set(FAAS_ELOAD, "xgboost: the model is empty");
    if (XGBoosterCreate(NULL, 0, booster) != 0)
        return failed(FAAS_ESYSTEM, "booster");
    threads = threads_one();
    loaded = XGBoosterSetParam(*booster, "nthread", "1") == 0 &&
             XGBoosterLoadModelFromBuffer(*booster, l->model.data, l->model.size) == 0;
    threads_again(threads);
    if (loaded)
        return FAAS_OK;
    (void)failed(FAAS_ELOAD, "model");
    (void)XGBoosterFree(*booster);
    *booster = NULL;
    return FAAS_ELOAD;
}

/* Predicts rows; the answer is the booster's until it is asked again. */
static faas_status predict(const struct loaded *l, BoosterHandle booster,
                           const float *rows, int64_t count, int64_t features,
                           const float **answer, uint64_t *size)
{
    const bst_ulong *shape;
    bst_ulong rank;
    char array[160], config[192];

    (void)snprintf(array, sizeof array,
                   "{\"data\":[%llu,true],\"shape\":[%lld,%lld],\"typestr\":\"<f4\","
                   "\"version\":3}",
                   (unsigned long long)(uintptr_t)rows, (long long)count,
                   (long long)features);
    (void)snprintf(config, sizeof config,
                   "{\"type\":%d,\"training\":false,\"iteration_begin\":0,"
                   "\"iteration_end\":0,\"strict_shape\":false,\"cache_id\":0,"
                   "\"missing\":NaN}",
                   (int)l->output);
    if (XGBoosterPredictFromDense(booster, array, config, NULL, &shape, &rank, answer) !=
        0)
        return failed(FAAS_ESYSTEM, "prediction");
    *size = 1;
    for (bst_ulong i = 0; i < rank; i++)
        *size *= shape[i];
    return FAAS_OK;
}

/* How wide a row is, and an answer: asked of the model, with a row of nothing. */
static faas_status ports_make(struct loaded *l, BoosterHandle booster)
{
    bst_ulong features = 0;
    const float *answer;
    uint64_t size = 0;
    float *row;
    faas_status status;

    if (XGBoosterGetNumFeature(booster, &features) != 0)
        return failed(FAAS_ELOAD, "model");
    if (features == 0 || features > UINT64_C(1) << 24)
        return faas_error_set(FAAS_ELOAD, "xgboost: a model of %llu features",
                              (unsigned long long)features);
    row = malloc(features * sizeof *row);
    if (row == NULL)
        return faas_error_set(FAAS_ENOMEM, "xgboost: no memory");
    for (bst_ulong i = 0; i < features; i++)
        row[i] = NAN;
    status = predict(l, booster, row, 1, (int64_t)features, &answer, &size);
    free(row);
    l->input = (faas_port){.name = "features",
                           .type = FAAS_F32,
                           .rank = 2,
                           .shape = {-1, (int64_t)features}};
    l->prediction = (faas_port){
        .name = "prediction", .type = FAAS_F32, .rank = 2, .shape = {-1, (int64_t)size}};
    return status;
}

static void xgboost_unload(void *loaded)
{
    free(loaded);
}

static faas_status xgboost_load(const faas_model *model, faas_bytes bytes, void *user,
                                void **out)
{
    struct loaded *l = calloc(1, sizeof *l);
    BoosterHandle booster;
    faas_status status;

    (void)model;
    *out = NULL;
    if (l == NULL)
        return faas_error_set(FAAS_ENOMEM, "xgboost: no memory");
    l->model = bytes;
    l->output = *(const faas_xgboost_output *)user;
    status = booster_open(l, &booster);
    if (status == FAAS_OK) {
        status = ports_make(l, booster);
        (void)XGBoosterFree(booster);
    }
    if (status != FAAS_OK) {
        free(l);
        return status;
    }
    *out = l;
    return FAAS_OK;
}

static void xgboost_ports(void *loaded, const faas_port **inputs, size_t *input_count,
                          const faas_port **outputs, size_t *output_count)
{
    struct loaded *l = loaded;

    *inputs = &l->input;
    *outputs = &l->prediction;
    *input_count = *output_count = 1;
}

static faas_status xgboost_open(void *loaded, void **out, uint64_t *held)
{
    struct instance *i = calloc(1, sizeof *i);
    faas_status status;

    *out = NULL;
    if (i == NULL)
        return faas_error_set(FAAS_ENOMEM, "xgboost: no memory");
    i->loaded = loaded;
    status = booster_open(i->loaded, &i->booster);
    if (status != FAAS_OK) {
        free(i);
        return status;
    }
    /* The trees in memory are about as large as in the file; it does not tell. */
    *held = i->loaded->model.size;
    *out = i;
    return FAAS_OK;
}

static void xgboost_close(void *instance)
{
    struct instance *i = instance;

    (void)XGBoosterFree(i->booster);
    free(i);
}

static faas_status xgboost_run(void *instance, const faas_tensor *inputs,
                               faas_tensor *outputs)
{
    const struct instance *i = instance;
    int64_t rows = inputs->shape[0], width = i->loaded->prediction.shape[1];
    const float *answer;
    uint64_t size;
    faas_status status = predict(i->loaded, i->booster, inputs->data, rows,
                                 inputs->shape[1], &answer, &size);

    if (status != FAAS_OK)
        return status;
    if (size != (uint64_t)(rows * width))
        return faas_error_set(FAAS_ESYSTEM, "xgboost: %llu numbers for %lld rows of %lld",
                              (unsigned long long)size, (long long)rows,
                              (long long)width);
    if (outputs->data != NULL) {
        memcpy(outputs->data, answer, size * sizeof *answer);
        return FAAS_OK;
    }
    *outputs = (faas_tensor){.data = (void *)(uintptr_t)answer,
                             .bytes = size * sizeof *answer,
                             .type = FAAS_F32,
                             .rank = 2,
                             .shape = {rows, width},
                             .name = outputs->name};
    return FAAS_OK;
}

const faas_engine *faas_xgboost(faas_xgboost_output output)
{
    static faas_xgboost_output kinds[] = {FAAS_XGBOOST_VALUE, FAAS_XGBOOST_MARGIN};
#define ENGINE(kind)                                                                     \
    {                                                                                    \
        .size = sizeof(faas_engine), .name = "xgboost", .user = &kinds[kind],            \
        .load = xgboost_load, .unload = xgboost_unload, .ports = xgboost_ports,          \
        .open = xgboost_open, .close = xgboost_close, .run = xgboost_run                 \
    }
    static const faas_engine engines[] = {ENGINE(0), ENGINE(1)};
#undef ENGINE

    return output == FAAS_XGBOOST_VALUE || output == FAAS_XGBOOST_MARGIN
               ? &engines[output]
               : NULL;
}
