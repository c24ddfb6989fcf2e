/* SPDX-License-Identifier: MIT */
/* context.h - which handler runs on this thread, and what handlers may ask and do.
 *
 * Layer: 2 parts. Includes function.h; its code also gate.h and instance.h.
 * Locks: none. */
#ifndef FAASI_CONTEXT_H
#define FAASI_CONTEXT_H

#include "function.h"

/* The innermost handler or init hook on this thread, or NULL. */
extern _Thread_local struct faas_context *faasi_context_current;

/* A handler that waits, while its thread runs a queued invocation that is not nested in
 * it. */
struct faasi_below {
    struct faas_context *ctx;
    struct faasi_below *next;
};

/* Those of this thread, the innermost one first. */
extern _Thread_local struct faasi_below *faasi_context_below;

/* How many calls of `f` are on this thread's stack, from `parent` on: those that it is
 * nested in, and those that wait while it runs. None of them comes back before it does. */
uint32_t faasi_context_count(const struct faas_context *parent,
                             const struct faasi_function *f);

/* From here to faasi_aside_end() this thread helps with something that is not nested in
 * what it does. */
static inline void faasi_aside_begin(struct faasi_below *below)
{
    below->ctx = faasi_context_current;
    if (FAASI_UNLIKELY(below->ctx != NULL)) {
        below->next = faasi_context_below;
        faasi_context_below = below;
        faasi_context_current = NULL;
    }
}

static inline void faasi_aside_end(const struct faasi_below *below)
{
    if (FAASI_UNLIKELY(below->ctx != NULL)) {
        faasi_context_below = below->next;
        faasi_context_current = below->ctx;
    }
}

/* The id of the invocation that a context is of; not in init. */
faas_id faasi_context_id(const struct faas_context *ctx);

/* Lends the context's heap with what came out of its invocation. On the path of every call
 * that wants a result. */
static inline faas_result *faasi_context_result(struct faas_context *ctx,
                                                faas_status status, int code,
                                                const faas_meter *meter)
{
    struct faas_result *out = faasi_heap_lend(ctx->heap);

    /* What was late is dropped. */
    out->output = status == FAAS_ETIMEDOUT ? faas_bytes_of(NULL, 0) : ctx->output;
    out->message = ctx->message == NULL ? "" : ctx->message;
    out->code = code;
    out->meter = *meter;
    return out;
}

#endif /* FAASI_CONTEXT_H */
