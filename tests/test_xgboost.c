/* SPDX-License-Identifier: MIT */
/* test_xgboost.c - boosted trees with known answers. Skipped without the models. */
#include "models_support.h"
#include "support.h"

#include <faas/faas.h>
#include <faas/xgboost.h>

#include <math.h>
#include <pthread.h>
#include <unistd.h>

static faas_runtime *rt;

static const char *trees_path(const char *name)
{
    char path[100];

    (void)snprintf(path, sizeof path, "xgb_agaricus/%s", name);
    return path_of(path);
}

/* Rows of a data set, absent numbers being NaN. */
struct rows {
    float *values;
    size_t count, width;
};

static struct rows rows_of(const char *name, size_t width)
{
    struct rows r = {malloc(2000 * width * sizeof(float)), 0, width};
    FILE *file = fopen(trees_path(name), "re");
    static char line[8192];

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) != NULL) {
        float *row = r.values + r.count++ * width;
        char *at = line, *end;

        ck_assert_uint_lt(r.count, 2000);
        for (size_t i = 0; i < width; i++)
            row[i] = NAN;
        (void)strtod(at, &end); // the label
        for (at = end;; at = end) {
            unsigned long column = strtoul(at, &end, 10);

            if (end == at || *end != ':')
                break;
            at = end + 1;
            ck_assert_uint_lt(column, width);
            row[column] = strtof(at, &end);
        }
    }
    (void)fclose(file);
    return r;
}

static float *answers_of(const char *name, size_t count)
{
    float *answers = malloc(count * sizeof *answers);
    FILE *file = fopen(trees_path(name), "re");

    ck_assert_ptr_nonnull(file);
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(fscanf(file, "%f", &answers[i]), 1);
    (void)fclose(file);
    return answers;
}

/* Asks for each row alone, as several threads do. */
struct asker {
    pthread_t thread;
    faas_fn fn;
    const struct rows *rows;
    const float *answers;
    size_t width, from, step;
};

static void *asker_run(void *user)
{
    const struct asker *a = user;

    for (size_t i = a->from; i < a->rows->count; i += a->step) {
        const float *row = a->rows->values + i * a->rows->width;
        faas_result *result;

        ck_assert_ok(faas_invoke(
            rt, a->fn, faas_bytes_of(row, a->rows->width * sizeof *row), 0, &result));
        ck_assert_uint_eq(faas_result_bytes(result).size, a->width * sizeof(float));
        for (size_t k = 0; k < a->width; k++)
            ck_assert_float_eq_tol(((const float *)faas_result_bytes(result).data)[k],
                                   a->answers[i * a->width + k], 1e-6f);
        faas_result_release(result);
    }
    return NULL;
}

static void trees_check(const char *model, faas_xgboost_output output, const char *data,
                        size_t features, const char *predictions, size_t width,
                        size_t rows, uint32_t batch_max)
{
    faas_function_stats stats = {.size = sizeof stats};
    struct rows r = rows_of(data, features);
    float *answers = answers_of(predictions, rows * width);
    size_t threads = batch_max == 0 ? 1 : 4;
    struct asker a[4];
    unsigned before;
    faas_fn fn;

    ck_assert_uint_eq(r.count, rows);
    ck_assert_ok(faas_runtime_open(&rt, NULL));
    before = threads_now();
    ck_assert_ok(faas_model_register(
        rt, faas_xgboost(output), FAAS_MODEL(.path = trees_path(model)),
        FAAS_FUNCTION(.name = "t", .batch_max = batch_max), &fn));
    for (size_t i = 0; i < threads; i++) {
        a[i] = (struct asker){.fn = fn,
                              .rows = &r,
                              .answers = answers,
                              .width = width,
                              .from = i,
                              .step = threads};
        ck_assert_int_eq(pthread_create(&a[i].thread, NULL, asker_run, &a[i]), 0);
    }
    for (size_t i = 0; i < threads; i++)
        ck_assert_int_eq(pthread_join(a[i].thread, NULL), 0);
    ck_assert_uint_eq(threads_now(), before); // XGBoost has none of its own
    ck_assert_ok(faas_function_stats_get(rt, fn, &stats, NULL));
    ck_assert_uint_eq(stats.invocations, rows);
    ck_assert_ok(faas_runtime_close(rt));
    free(r.values);
    free(answers);
}

START_TEST(mushrooms_are_told_apart_as_they_were)
{
    static const char *const models[] = {"xgagaricus.model", "agaricus.json"};

    for (size_t m = 0; m < 2; m++)
        for (uint32_t batch_max = 0; batch_max <= 64; batch_max += 64)
            trees_check(models[m], FAAS_XGBOOST_VALUE, "agaricus_test.libsvm", 127,
                        "xgagaricus_true_predictions.txt", 1, 1611, batch_max);
}
END_TEST

START_TEST(diseases_of_the_skin_have_their_six_margins)
{
    for (uint32_t batch_max = 0; batch_max <= 64; batch_max += 64)
        trees_check("xgdermatology.model", FAAS_XGBOOST_MARGIN, "dermatology_test.libsvm",
                    33, "xgdermatology_true_predictions.txt", 6, 110, batch_max);
}
END_TEST

START_TEST(what_is_no_model_of_trees_cannot_be_loaded_and_says_why)
{
    static const char *const bad[] = {
        "", "{", "{}", "[1,2]", "nothing of the sort", "{\"learner\":{}}"};

    ck_assert_ok(faas_runtime_open(&rt, NULL));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char name[] = {'b', (char)('0' + i), '\0'};
        faas_fn fn;

        ck_assert_ok(faas_model_register(rt, faas_xgboost(FAAS_XGBOOST_VALUE),
                                         FAAS_MODEL(.bytes = faas_str(bad[i])),
                                         FAAS_FUNCTION(.name = name), &fn));
        ck_assert_status(faas_invoke(rt, fn, faas_str("1234"), 0, NULL), FAAS_EINIT);
        ck_assert_msg(strstr(faas_error_text(), "xgboost: ") != NULL, "%s",
                      faas_error_text());
    }
    ck_assert_ok(faas_runtime_close(rt));
    ck_assert_ptr_null(faas_xgboost((faas_xgboost_output)2));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        mushrooms_are_told_apart_as_they_were,
        diseases_of_the_skin_have_their_six_margins,
        what_is_no_model_of_trees_cannot_be_loaded_and_says_why};

    if (!models_find())
        return 77;
    return suite_run("xgboost", tests, sizeof tests / sizeof tests[0]);
}
