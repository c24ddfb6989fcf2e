/* SPDX-License-Identifier: MIT */
/* classify.c - what is in a picture, as text.
 *
 *     classify MODEL.onnx LABELS PICTURE [LIBONNXRUNTIME]
 *
 * The model is SqueezeNet; the picture 224 x 224 points in three planes, blue, green and red, a
 * byte each; LABELS has a line per class. The model's function remembers its answers, so
 * that the same picture is looked at once. */
#include <faas/faas.h>
#include <faas/onnx.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS = 3 * 224 * 224, CLASSES = 1000, SKIPPED = 77 };

/* What the classifier is: the model behind it, and the names of what it knows. */
struct classifier {
    faas_fn model;
    char labels[CLASSES][128];
};

static void check(faas_status status, const char *what)
{
    if (status == FAAS_OK)
        return;
    fprintf(stderr, "classify: %s: %s: %s\n", what, faas_status_text(status),
            faas_error_text());
    exit(1);
}

static void labels_read(struct classifier *c, const char *path)
{
    FILE *file = fopen(path, "r");

    for (int i = 0; i < CLASSES; i++) {
        if (file == NULL || fgets(c->labels[i], sizeof c->labels[i], file) == NULL) {
            fprintf(stderr, "classify: %s has no %d lines\n", path, CLASSES);
            exit(1);
        }
        c->labels[i][strcspn(c->labels[i], "\r\n")] = '\0';
    }
    (void)fclose(file);
}

/* Takes a picture, and answers with the name of what is most likely in it. */
static int classifies(faas_context *ctx, faas_bytes picture)
{
    struct classifier *c = faas_user(ctx);
    float *points = faas_alloc(ctx, POINTS * sizeof *points);
    const float *likely;
    faas_result *result;
    int best = 0, status;

    if (picture.size != POINTS || points == NULL)
        return faas_fail(ctx, 1, "a picture has %d bytes", POINTS);
    for (size_t i = 0; i < POINTS; i++)
        points[i] = ((const unsigned char *)picture.data)[i];
    status = faas_invoke(faas_context_runtime(ctx), c->model,
                         faas_bytes_of(points, POINTS * sizeof *points), 0, &result);
    if (status != FAAS_OK)
        return faas_fail(ctx, status, "%s", faas_error_text());
    likely = faas_result_bytes(result).data;
    for (int i = 1; i < CLASSES; i++)
        if (likely[i] > likely[best])
            best = i;
    status =
        faas_reply_printf(ctx, "%s (%.1f %%)", c->labels[best], 100.0 * likely[best]);
    faas_result_release(result);
    return status;
}

int main(int argc, char **argv)
{
    static unsigned char picture[POINTS];
    static struct classifier classifier;
    faas_function_stats stats = {.size = sizeof stats};
    faas_runtime *rt;
    faas_onnx *onnx;
    faas_fn fn;
    FILE *file;

    if (argc < 4) {
        printf("skipped: classify MODEL.onnx LABELS PICTURE [LIBONNXRUNTIME]\n");
        return SKIPPED;
    }
    labels_read(&classifier, argv[2]);
    file = fopen(argv[3], "rb");
    if (file == NULL || fread(picture, sizeof picture, 1, file) != 1) {
        fprintf(stderr, "classify: %s has no %d bytes\n", argv[3], POINTS);
        return 1;
    }
    (void)fclose(file);
    check(faas_runtime_open(&rt, NULL), "open");
    check(faas_onnx_open(FAAS_ONNX(.library = argc > 4 ? argv[4] : NULL), &onnx), "onnx");
    check(
        faas_model_register(rt, faas_onnx_engine(onnx), FAAS_MODEL(.path = argv[1]),
                            FAAS_FUNCTION(.name = "squeezenet", .cache_bytes = 16 << 20),
                            &classifier.model),
        "model");
    check(faas_function_register(rt,
                                 FAAS_FUNCTION(.name = "classify", .handler = classifies,
                                               .user = &classifier),
                                 &fn),
          "classify");
    for (int i = 0; i < 3; i++) {
        faas_result *result;
        faas_bytes text;

        check(faas_invoke(rt, fn, faas_bytes_of(picture, sizeof picture), 0, &result),
              "classify");
        text = faas_result_bytes(result);
        printf("%.*s, in %.3f ms\n", (int)text.size, (const char *)text.data,
               (double)faas_result_meter(result)->run_ns / 1e6);
        faas_result_release(result);
    }
    check(faas_function_stats_get(rt, classifier.model, &stats, NULL), "stats");
    printf("the model ran %llu time, and was remembered %llu times\n",
           (unsigned long long)stats.invocations, (unsigned long long)stats.cache_hits);
    faas_onnx_close(onnx);
    check(faas_runtime_close(rt), "close");
    return stats.invocations != 1 || stats.cache_hits != 2;
}
