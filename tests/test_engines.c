/* SPDX-License-Identifier: MIT */
/* test_engines.c - two engines in one process, and whose operators new and delete the C++
 * under them finds. Built once for each order of linking, and once with operators of the
 * program's own. Skipped without the engines or the models. */
#define _GNU_SOURCE // dladdr(), RTLD_DEFAULT
#include "models_support.h"
#include "support.h"

#include <faas/faas.h>
#include <faas/onnx.h>
#include <faas/xgboost.h>

#include <dlfcn.h>
#include <math.h>
#include <unistd.h>

static const char *library; /* NULL: the system's */
static faas_runtime *rt;
static faas_onnx *onnx;

static void floats_of(faas_fn fn, const float *input, size_t count, float *out,
                      size_t out_count)
{
    faas_result *result;

    ck_assert_ok(
        faas_invoke(rt, fn, faas_bytes_of(input, count * sizeof *input), 0, &result));
    ck_assert_uint_eq(faas_result_bytes(result).size, out_count * sizeof *out);
    memcpy(out, faas_result_bytes(result).data, out_count * sizeof *out);
    faas_result_release(result);
}

static faas_fn digits_of(void)
{
    faas_fn fn;

    ck_assert_ok(faas_model_register(rt, faas_onnx_engine(onnx),
                                     FAAS_MODEL(.path = path_of("mnist/model.onnx")),
                                     FAAS_FUNCTION(.name = "digits"), &fn));
    return fn;
}

static void digits_check(faas_fn fn)
{
    static unsigned char pixels[784];
    float picture[784], want[10], got[10];
    FILE *images = fopen(path_of("mnist/t10k-images-idx3-ubyte"), "rbe");
    FILE *logits = fopen(path_of("mnist/expected_logits_first100.f32"), "rbe");

    ck_assert_ptr_nonnull(images);
    ck_assert_ptr_nonnull(logits);
    ck_assert_int_eq(fseek(images, 16, SEEK_SET), 0);
    for (int i = 0; i < 20; i++) {
        ck_assert_uint_eq(fread(pixels, 1, sizeof pixels, images), sizeof pixels);
        ck_assert_uint_eq(fread(want, sizeof *want, 10, logits), 10);
        for (int p = 0; p < 784; p++)
            picture[p] = pixels[p];
        floats_of(fn, picture, 784, got, 10);
        for (int k = 0; k < 10; k++)
            ck_assert_float_eq_tol(got[k], want[k], 0.05f + fabsf(want[k]) * 1e-3f);
    }
    (void)fclose(images);
    (void)fclose(logits);
}

static faas_fn trees_of(void)
{
    faas_fn fn;

    ck_assert_ok(
        faas_model_register(rt, faas_xgboost(FAAS_XGBOOST_VALUE),
                            FAAS_MODEL(.path = path_of("xgb_agaricus/agaricus.json")),
                            FAAS_FUNCTION(.name = "trees"), &fn));
    return fn;
}

static void trees_check(faas_fn fn)
{
    FILE *rows = fopen(path_of("xgb_agaricus/agaricus_test.libsvm"), "re");
    FILE *answers = fopen(path_of("xgb_agaricus/xgagaricus_true_predictions.txt"), "re");
    static char line[8192];

    ck_assert_ptr_nonnull(rows);
    ck_assert_ptr_nonnull(answers);
    for (int i = 0; i < 20; i++) {
        float row[127], want, got;
        unsigned long column;
        char *at = line, *end;

        ck_assert_ptr_nonnull(fgets(line, sizeof line, rows));
        ck_assert_int_eq(fscanf(answers, "%f", &want), 1);
        for (int k = 0; k < 127; k++)
            row[k] = NAN;
        (void)strtod(at, &end); // the label
        for (at = end; column = strtoul(at, &end, 10), end != at; at = end) {
            at = end + 1;
            ck_assert_uint_lt(column, 127);
            row[column] = strtof(at, &end);
        }
        floats_of(fn, row, 127, &got, 1);
        ck_assert_float_eq_tol(got, want, 1e-6f);
    }
    (void)fclose(rows);
    (void)fclose(answers);
}

static void onnx_open(void)
{
    ck_assert_msg(faas_onnx_open(FAAS_ONNX(.library = library), &onnx) == FAAS_OK, "%s",
                  faas_error_text());
}

START_TEST(both_engines_answer_whichever_comes_first)
{
    for (int trees_first = 0; trees_first < 2; trees_first++) {
        faas_fn digits, trees;

        ck_assert_ok(faas_runtime_open(&rt, NULL));
        trees = trees_of();
        if (trees_first)
            trees_check(trees);
        onnx_open();
        digits = digits_of();
        digits_check(digits);
        trees_check(trees);
        digits_check(digits);
        faas_runtime_budget(rt, 1); // closes both
        faas_runtime_budget(rt, 0);
        trees_check(trees);
        digits_check(digits);
        faas_onnx_close(onnx);
        ck_assert_ok(faas_runtime_close(rt));
    }
}
END_TEST

/* What is freed by another allocator than it came from ends the process, here or in C++
 * that the program has from elsewhere. */
START_TEST(what_the_library_allocates_with_is_nobody_elses)
{
    static const char *const names[] = {"malloc",         "free",   "_Znwm",  "_ZdlPv",
                                        "_ZdlPvm",        "_Znam",  "_ZdaPv", "_ZdaPvm",
                                        "posix_memalign", "realloc"};

    ck_assert_ok(faas_runtime_open(&rt, NULL));
    onnx_open();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void *symbol = dlsym(RTLD_DEFAULT, names[i]);
        Dl_info info;

        ck_assert_msg(symbol != NULL && dladdr(symbol, &info) != 0, "%s", names[i]);
        ck_assert_msg(strstr(info.dli_fname, "mimalloc") == NULL, "%s is from %s",
                      names[i], info.dli_fname);
    }
    faas_onnx_close(onnx);
    ck_assert_ok(faas_runtime_close(rt));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {both_engines_answer_whichever_comes_first,
                                  what_the_library_allocates_with_is_nobody_elses};

    library = onnxruntime_find();
    if (library == NULL && dlopen("libonnxruntime.so.1", RTLD_LAZY) == NULL &&
        dlopen("libonnxruntime.so", RTLD_LAZY) == NULL) {
        printf("skipped: no ONNX Runtime\n");
        return 77;
    }
    if (!models_find())
        return 77;
    return suite_run("engines", tests, sizeof tests / sizeof tests[0]);
}
