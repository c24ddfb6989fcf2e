/* SPDX-License-Identifier: MIT */
/* digits.c - a model as a function: handwritten digits, and events that carry them.
 *
 *     digits MODEL.onnx IMAGES LABELS [LIBONNXRUNTIME]
 *
 * The images and labels are MNIST's test files. Every image is published as an event; a
 * rule sends it to a function that asks the model and publishes what it saw as another
 * event, which is counted. The model's instances are loaded by the first call, and their
 * memory is given back at the end. `scripts/demo models` runs it. */
#include <faas/faas.h>
#include <faas/onnx.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PIXELS = 28 * 28, IMAGES_HEAD = 16, LABELS_HEAD = 8, SKIPPED = 77 };

struct file {
    unsigned char *bytes;
    size_t size;
};

/* What the answers come to. */
struct score {
    const unsigned char *labels;
    unsigned right, seen;
};

static void check(faas_status status, const char *what)
{
    if (status == FAAS_OK)
        return;
    fprintf(stderr, "digits: %s: %s: %s\n", what, faas_status_text(status),
            faas_error_text());
    exit(1);
}

static struct file file_read(const char *path)
{
    struct file f = {NULL, 0};
    FILE *file = fopen(path, "rb");
    long end;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (end = ftell(file)) < 0 ||
        (f.bytes = malloc((size_t)end + 1)) == NULL) {
        fprintf(stderr, "digits: %s cannot be read\n", path);
        exit(1);
    }
    rewind(file);
    f.size = fread(f.bytes, 1, (size_t)end, file);
    (void)fclose(file);
    return f;
}

/* Takes the image of an event, asks the model, and publishes the digit it saw. The event's
 * subject is the number of the image, and goes with the answer. */
static int looks(faas_context *ctx, faas_bytes image)
{
    const faas_fn *model = faas_user(ctx);
    float *pixels = faas_alloc(ctx, PIXELS * sizeof *pixels);
    faas_result *result;
    const float *logits;
    char json[64];
    int digit = 0, status;

    if (image.size != PIXELS || pixels == NULL)
        return faas_fail(ctx, 1, "an image has %d bytes", PIXELS);
    for (size_t i = 0; i < PIXELS; i++)
        pixels[i] = ((const unsigned char *)image.data)[i];
    status = faas_invoke(faas_context_runtime(ctx), *model,
                         faas_bytes_of(pixels, PIXELS * sizeof *pixels), 0, &result);
    if (status != FAAS_OK)
        return faas_fail(ctx, status, "%s", faas_error_text());
    logits = faas_result_bytes(result).data;
    for (int i = 1; i < 10; i++)
        if (logits[i] > logits[digit])
            digit = i;
    faas_result_release(result);
    (void)snprintf(json, sizeof json, "{\"image\": %s, \"digit\": %d}",
                   faas_event_subject(faas_context_event(ctx)), digit);
    return faas_publish_json(faas_context_runtime(ctx), "digits", "digit.seen", json,
                             NULL);
}

/* Compares what was seen with what it is. */
static int scores(faas_context *ctx, faas_bytes seen)
{
    struct score *score = faas_user(ctx);
    unsigned image, digit;

    if (sscanf(seen.data, "{\"image\": %u, \"digit\": %u}", &image, &digit) != 2)
        return faas_fail(ctx, 1, "no digit was seen");
    score->seen++;
    score->right += score->labels[image] == digit;
    return 0;
}

static void image_publish(faas_runtime *rt, size_t number, const unsigned char *pixels)
{
    faas_event *event;
    char name[24];

    (void)snprintf(name, sizeof name, "%zu", number);
    check(faas_event_create(FAAS_EVENT(.id = name, .source = "mnist",
                                       .type = "image.came", .subject = name,
                                       .data_content_type = "application/octet-stream",
                                       .data = {pixels, PIXELS}),
                            &event),
          "event");
    check(faas_publish(rt, event, NULL), "publish");
    faas_event_release(event);
}

static void print_model(faas_runtime *rt, faas_fn model)
{
    faas_function_stats stats = {.size = sizeof stats};
    faas_model_stats own = {.size = sizeof own};
    static faas_histogram latency;

    check(faas_function_stats_get(rt, model, &stats, &latency), "stats");
    check(faas_model_stats_get(rt, model, &own), "stats of the model");
    printf("loaded %" PRIu64 " time in %.1f ms, %" PRIu64 " KiB; %" PRIu64
           " runs, p50 %.1f us, p99 %.1f us\n",
           own.loads, (double)own.load_ns / 1e6, own.held_bytes / 1024, stats.invocations,
           (double)faas_histogram_quantile(&latency, 0.5) / 1e3,
           (double)faas_histogram_quantile(&latency, 0.99) / 1e3);
}

int main(int argc, char **argv)
{
    struct score score = {0};
    struct file images, labels;
    faas_runtime *rt;
    faas_onnx *onnx;
    faas_fn model, fn;
    size_t count;

    if (argc < 4) {
        printf("skipped: digits MODEL.onnx IMAGES LABELS [LIBONNXRUNTIME]\n");
        return SKIPPED;
    }
    images = file_read(argv[2]);
    labels = file_read(argv[3]);
    score.labels = labels.bytes + LABELS_HEAD;
    count = images.size < IMAGES_HEAD ? 0 : (images.size - IMAGES_HEAD) / PIXELS;
    if (labels.size < LABELS_HEAD + count)
        count = labels.size < LABELS_HEAD ? 0 : labels.size - LABELS_HEAD;

    check(faas_runtime_open(&rt, NULL), "open");
    check(faas_onnx_open(FAAS_ONNX(.library = argc > 4 ? argv[4] : NULL), &onnx), "onnx");
    check(faas_model_register(rt, faas_onnx_engine(onnx), FAAS_MODEL(.path = argv[1]),
                              FAAS_FUNCTION(.name = "digits"), &model),
          "model");
    check(faas_function_register(
              rt, FAAS_FUNCTION(.name = "looks", .handler = looks, .user = &model), &fn),
          "looks");
    check(faas_rule_put(rt, "images", "{\"type\": [\"image.came\"]}", fn), "rule");
    check(
        faas_function_register(
            rt, FAAS_FUNCTION(.name = "scores", .handler = scores, .user = &score), &fn),
        "scores");
    check(faas_rule_put(rt, "seen", "{\"type\": [\"digit.seen\"]}", fn), "rule");

    for (size_t i = 0; i < count; i++)
        image_publish(rt, i, images.bytes + IMAGES_HEAD + i * PIXELS);
    printf("%u of %u digits are right: %.2f %%\n", score.right, score.seen,
           score.seen == 0 ? 0 : 100.0 * score.right / score.seen);
    print_model(rt, model);

    faas_onnx_close(onnx);
    check(faas_runtime_close(rt), "close");
    free(images.bytes);
    free(labels.bytes);
    return score.seen == count && count != 0 ? 0 : 1;
}
