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

/* The id of the invocation that a context is of; not in init. */
faas_id faasi_context_id(const struct faas_context *ctx);

#endif /* FAASI_CONTEXT_H */
