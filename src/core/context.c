/* SPDX-License-Identifier: MIT */
/* context.c - what a handler may ask and do. */
#include "context.h"

#include "instance.h"

#include <stdarg.h>
#include <stdio.h>

_Thread_local struct faas_context *faasi_context_current;
_Thread_local struct faasi_below *faasi_context_below;

static uint32_t count_from(const struct faas_context *ctx, const struct faasi_function *f)
{
    uint32_t count = 0;

    for (; ctx != NULL; ctx = ctx->parent)
        count += ctx->function == f;
    return count;
}

uint32_t faasi_context_count(const struct faas_context *parent,
                             const struct faasi_function *f)
{
    const struct faasi_below *below = faasi_context_below;
    uint32_t count = count_from(parent, f);

    for (; below != NULL; below = below->next)
        count += count_from(below->ctx, f);
    return count;
}

/* An own one has a seat's number and version, which no other call of this runtime has.
 * What has an id given may be no part of a cell. */
faas_id faasi_context_id(const struct faas_context *ctx)
{
    const struct faasi_cell *cell;

    if (FAASI_UNLIKELY(ctx->id != NULL))
        return *ctx->id;
    cell =
        (const struct faasi_cell *)(const void *)((const char *)ctx -
                                                  offsetof(struct faasi_cell, context));
    return (faas_id){ctx->gate->id_high,
                     (uint64_t)cell->number << 40 | ctx->busy >> FAASI_VERSION_SHIFT};
}

faas_runtime *faas_context_runtime(const faas_context *ctx)
{
    return ctx->gate->rt;
}

faas_fn faas_context_fn(const faas_context *ctx)
{
    return ctx->function->entry.fn;
}

const char *faas_context_name(const faas_context *ctx)
{
    return ctx->function->entry.name;
}

faas_id faas_request_id(const faas_context *ctx)
{
    static const faas_id none;

    return ctx->request == NULL ? none : faasi_context_id(ctx);
}

uint64_t faas_deadline_ns(const faas_context *ctx)
{
    return faasi_instant_ns(ctx->gate->clock, ctx->deadline);
}

uint64_t faas_time_left_ns(const faas_context *ctx)
{
    const faas_clock *clock = ctx->gate->clock;

    if (ctx->deadline == UINT64_MAX)
        return FAAS_FOREVER;
    return faasi_ticks_to_ns(clock, faasi_ticks_since(ctx->deadline, faasi_ticks(clock)));
}

bool faas_cancelled(const faas_context *ctx)
{
    const struct faasi_request *request = ctx->request;

    return atomic_load_explicit(&ctx->gate->leaving, memory_order_relaxed) ||
           faas_time_left_ns(ctx) == 0 ||
           (request != NULL && request->ordered != NULL &&
            (atomic_load_explicit(request->ordered, memory_order_relaxed) &
             request->cancelled) != 0);
}

void *faas_state(const faas_context *ctx)
{
    return ctx->instance->state;
}

void *faas_user(const faas_context *ctx)
{
    return ctx->function->user;
}

/* The options that a call was made with, or NULL. */
static const faas_invoke_options *options_of(const faas_context *ctx)
{
    return ctx->request == NULL ? NULL : ctx->request->options;
}

uint32_t faas_attempt(const faas_context *ctx)
{
    const faas_invoke_options *options = options_of(ctx);

    return options == NULL || options->attempt == 0 ? 1 : options->attempt;
}

faas_bytes faas_tenant(const faas_context *ctx)
{
    const faas_invoke_options *options = options_of(ctx);

    return options == NULL ? faas_bytes_of(NULL, 0) : options->tenant;
}

faas_bytes faas_trace(const faas_context *ctx)
{
    for (; ctx != NULL; ctx = ctx->parent) {
        const faas_invoke_options *options = options_of(ctx);

        if (options != NULL && options->trace.data != NULL)
            return options->trace;
    }
    return faas_bytes_of(NULL, 0);
}

faas_event *faas_context_event(const faas_context *ctx)
{
    return ctx->request == NULL ? NULL : ctx->request->event;
}

void *faas_alloc_slow(faas_context *ctx, size_t size)
{
    return faasi_heap_alloc_slow(ctx->heap, size);
}

void *faas_instance_alloc(faas_context *ctx, size_t size)
{
    return faasi_instance_heap_alloc(ctx->instance, ctx->gate->allocator,
                                     &ctx->gate->held_bytes, size);
}

void faas_instance_holds(faas_context *ctx, uint64_t bytes)
{
    atomic_fetch_add_explicit(&ctx->instance->heap_bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&ctx->gate->held_bytes, bytes, memory_order_relaxed);
}

int faas_reply(faas_context *ctx, faas_bytes bytes)
{
    void *copy;

    if (bytes.size == 0)
        return faas_reply_as_is(ctx, faas_bytes_of(NULL, 0));
    copy = faasi_heap_alloc(ctx->heap, bytes.size);
    if (copy == NULL)
        return FAAS_ENOMEM;
    memcpy(copy, bytes.data, bytes.size);
    return faas_reply_as_is(ctx, faas_bytes_of(copy, bytes.size));
}

int faas_reply_as_is(faas_context *ctx, faas_bytes bytes)
{
    ctx->output = bytes;
    return 0;
}

/* Formats onto the heap, terminated; NULL if it has no room. */
static char *heap_print(struct faasi_heap *heap, const char *format, va_list args,
                        size_t *size)
{
    va_list again;
    char *text;
    int length;

    va_copy(again, args);
    length = vsnprintf(NULL, 0, format, args);
    text = length < 0 ? NULL : faasi_heap_alloc(heap, (size_t)length + 1);
    if (text != NULL) {
        *size = (size_t)length;
        (void)vsnprintf(text, *size + 1, format, again);
    }
    va_end(again);
    return text;
}

int faas_reply_printf(faas_context *ctx, const char *format, ...)
{
    va_list args;
    size_t size;
    char *text;

    va_start(args, format);
    text = heap_print(ctx->heap, format, args, &size);
    va_end(args);
    return text == NULL ? FAAS_ENOMEM : faas_reply_as_is(ctx, faas_bytes_of(text, size));
}

int faas_fail(faas_context *ctx, int code, const char *format, ...)
{
    va_list args;
    size_t size;
    char *text;

    va_start(args, format);
    text = heap_print(ctx->heap, format, args, &size);
    va_end(args);
    ctx->message = text == NULL ? "the heap has no room for the message" : text;
    return code == 0 ? FAAS_EHANDLER : code;
}
