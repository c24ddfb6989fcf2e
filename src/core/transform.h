/* SPDX-License-Identifier: MIT */
/* transform.h - input transformers: named paths into an event, and a template with
 * <name> where their values go.
 *
 *     paths     {"who": "$.data.name", "order": "$.data.order"}
 *     template  {"text": "<who> ordered", "order": <order>}
 *
 * A path is `$`, then steps: .key, ['any key'], [0]. Of a key that comes twice the first
 * one is meant.
 *
 * A template that begins with { [ or " is JSON, and stays JSON. In its strings a string's
 * content is inserted without quotes, and anything else as its text, its quotes escaped;
 * outside strings every value is inserted as it stands. Any other template is text:
 * strings are inserted without quotes and escapes, all else as it stands. A path that
 * leads nowhere gives nothing in strings and in text, and "" elsewhere.
 *
 * <name> must be one of the paths' names; a < that begins no name stands for itself.
 *
 * Layer: 1 structures. Includes base.h, json.h, mem.h, pattern_tree.h. Pure but for the
 * allocator.
 * Source: Amazon EventBridge, "Input transformation". */
#ifndef FAASI_TRANSFORM_H
#define FAASI_TRANSFORM_H

#include "base.h"

/* Immutable; any thread may run it. */
struct faasi_transform;

/* Compiles a transformer. Both texts are copied.
 *
 * @param      paths     JSON text: an object of strings.
 * @param[out] out       NULL on failure; end it with faasi_transform_free().
 * @return FAAS_OK, or
 *         FAAS_ESYNTAX  `paths` is not JSON, or a JSON template does not become JSON
 *         FAAS_EINVAL   a path or a name in the template is wrong; the error text says
 *                       which text and at which byte
 *         FAAS_ENOMEM */
faas_status faasi_transform_compile(struct faasi_transform **out, faas_bytes paths,
                                    faas_bytes template, const faas_allocator *alloc);

/* Accepts NULL. */
void faasi_transform_free(struct faasi_transform *transform);

/* Returns how long the output for an event is, and writes it if `out` is not NULL. Linear
 * in the event for each path. `event` is well-formed, or else the output is not
 * either. */
size_t faasi_transform_write(const struct faasi_transform *transform, faas_bytes event,
                             char *out);

/* Makes the output in one block of exactly its size; FAAS_OK, or FAAS_ENOMEM. Give it
 * back with faasi_free() and the same allocator; its size may be 0. */
faas_status faasi_transform_run(const struct faasi_transform *transform, faas_bytes event,
                                const faas_allocator *alloc, char **out, size_t *size);

#endif /* FAASI_TRANSFORM_H */
