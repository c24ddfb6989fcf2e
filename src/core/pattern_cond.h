/* SPDX-License-Identifier: MIT */
/* pattern_cond.h - the conditions of a leaf: read from the tree of a pattern.
 *
 * Layer: 1 structures. Between pattern.c and pattern_cond.c only. */
#ifndef FAASI_PATTERN_COND_H
#define FAASI_PATTERN_COND_H

#include "pattern.h"
#include "pattern_tree.h"

/* A pattern that is being compiled. */
struct faasi_compiler {
    const char *text;
    size_t size;
    const struct faasi_pattern_limits *limits;
    struct faasi_arena arena;
    size_t *error_at;
};

/* Refuses what stands at a byte of the text; returns FAAS_EINVAL. */
faas_status faasi_compiler_refuse(struct faasi_compiler *c, size_t at,
                                  const char *expected);

/* Refuses because there is too much of something; returns FAAS_EINVAL. */
faas_status faasi_compiler_limit(struct faasi_compiler *c, size_t at, const char *what,
                                 uint32_t limit);

/* Returns zeroed memory that lives as long as the compiler, or NULL. */
void *faasi_compiler_take(struct faasi_compiler *c, size_t size);

/* Reads one condition of a leaf's list: a plain value or an operator object. Its texts
 * are the compiler's. */
faas_status faasi_cond_read(struct faasi_compiler *c, const struct faasi_tree *node,
                            struct faasi_cond *cond);

#endif /* FAASI_PATTERN_COND_H */
