/* SPDX-License-Identifier: MIT */
/* speech.c - a model that remembers: where in a recording somebody speaks.
 *
 *     speech MODEL.onnx RECORDING.wav [LIBONNXRUNTIME]
 *
 * The model is Silero's detector, the recording 16 kHz, mono, 16 bits. It is asked 32 ms at a
 * time, and gives back what it remembers of them, which goes in with the next ones. A
 * function of one instance keeps that between its calls: the same instance, the same
 * stream. */
#include <faas/faas.h>
#include <faas/onnx.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = 512,
    CONTEXT = 64,
    STATE = 2 * 128,
    WAVE_HEAD = 44,
    RATE = 16000,
    SKIPPED = 77
};

/* An instance's: what the model remembers, and the end of the chunk before. */
struct stream {
    float window[CONTEXT + CHUNK], memory[STATE];
    int64_t rate;
};

static void check(faas_status status, const char *what)
{
    if (status == FAAS_OK)
        return;
    fprintf(stderr, "speech: %s: %s: %s\n", what, faas_status_text(status),
            faas_error_text());
    exit(1);
}

static int stream_open(faas_context *ctx, void **state)
{
    struct stream *stream = faas_instance_alloc(ctx, sizeof *stream);

    if (stream == NULL)
        return FAAS_ENOMEM;
    stream->rate = RATE;
    *state = stream;
    return 0;
}

/* Asks the model, and keeps what it remembers. */
static int model_ask(faas_context *ctx, struct stream *s, float *speech)
{
    const faas_fn *model = faas_user(ctx);
    faas_tensor in[] = {{.data = s->window,
                         .bytes = sizeof s->window,
                         .type = FAAS_F32,
                         .rank = 2,
                         .shape = {1, CONTEXT + CHUNK},
                         .name = faas_str("input")},
                        {.data = s->memory,
                         .bytes = sizeof s->memory,
                         .type = FAAS_F32,
                         .rank = 3,
                         .shape = {2, 1, 128},
                         .name = faas_str("state")},
                        {.data = &s->rate,
                         .bytes = sizeof s->rate,
                         .type = FAAS_I64,
                         .name = faas_str("sr")}};
    faas_tensor out[2];
    size_t size = faas_tensors_size(in, 3), count;
    void *message = faas_alloc(ctx, size);
    faas_result *result;
    int status;

    if (message == NULL || faas_tensors_pack(in, 3, message, size, NULL) != FAAS_OK)
        return FAAS_ENOMEM;
    status = faas_invoke(faas_context_runtime(ctx), *model, faas_bytes_of(message, size),
                         0, &result);
    if (status == FAAS_OK)
        status = faas_tensors_view(faas_result_bytes(result), out, 2, &count);
    if (status != FAAS_OK)
        return faas_fail(ctx, status, "%s", faas_error_text());
    memcpy(speech, out[0].data, sizeof *speech); // in the order of the model's outputs
    memcpy(s->memory, out[1].data, sizeof s->memory);
    faas_result_release(result);
    return 0;
}

/* Takes 32 ms, and answers how likely it is that somebody speaks. */
static int listens(faas_context *ctx, faas_bytes samples)
{
    struct stream *s = faas_state(ctx);
    float speech;
    int code;

    if (samples.size != CHUNK * sizeof(int16_t))
        return faas_fail(ctx, 1, "a chunk has %d samples", CHUNK);
    memmove(s->window, s->window + CHUNK, CONTEXT * sizeof(float));
    for (size_t i = 0; i < CHUNK; i++) {
        int16_t sample;

        memcpy(&sample, (const char *)samples.data + i * sizeof sample, sizeof sample);
        s->window[CONTEXT + i] = (float)sample / 32768;
    }
    code = model_ask(ctx, s, &speech);
    return code != 0 ? code : faas_reply(ctx, faas_bytes_of(&speech, sizeof speech));
}

/* Prints from when to when somebody speaks. */
static void print_change(unsigned chunk, bool speaks)
{
    printf(speaks ? "%6.2f s to " : "%6.2f s\n", (double)chunk * CHUNK / RATE);
}

int main(int argc, char **argv)
{
    unsigned char chunk[CHUNK * sizeof(int16_t)];
    unsigned chunks = 0, speaking = 0;
    bool speaks = false;
    faas_runtime *rt;
    faas_onnx *onnx;
    faas_fn model, fn;
    FILE *wave;

    if (argc < 3) {
        printf("skipped: speech MODEL.onnx RECORDING.wav [LIBONNXRUNTIME]\n");
        return SKIPPED;
    }
    wave = fopen(argv[2], "rb");
    if (wave == NULL || fseek(wave, WAVE_HEAD, SEEK_SET) != 0) {
        fprintf(stderr, "speech: %s cannot be read\n", argv[2]);
        return 1;
    }
    check(faas_runtime_open(&rt, NULL), "open");
    check(faas_onnx_open(FAAS_ONNX(.library = argc > 3 ? argv[3] : NULL), &onnx), "onnx");
    check(faas_model_register(rt, faas_onnx_engine(onnx), FAAS_MODEL(.path = argv[1]),
                              FAAS_FUNCTION(.name = "detector"), &model),
          "model");
    check(faas_function_register(rt,
                                 FAAS_FUNCTION(.name = "listens", .handler = listens,
                                               .init = stream_open, .user = &model,
                                               .concurrency = 1, .instance_min = 1),
                                 &fn),
          "listens");
    for (; fread(chunk, sizeof chunk, 1, wave) == 1; chunks++) {
        faas_result *result;
        float likely;

        check(faas_invoke(rt, fn, faas_bytes_of(chunk, sizeof chunk), 0, &result),
              "listens");
        memcpy(&likely, faas_result_bytes(result).data, sizeof likely);
        faas_result_release(result);
        speaking += likely > 0.5f;
        if (speaks != (likely > 0.5f))
            print_change(chunks, likely > 0.5f);
        speaks = likely > 0.5f;
    }
    if (speaks)
        print_change(chunks, false);
    printf("somebody speaks in %u of %u chunks of 32 ms\n", speaking, chunks);
    (void)fclose(wave);
    faas_onnx_close(onnx);
    check(faas_runtime_close(rt), "close");
    return chunks == 0;
}
