/* SPDX-License-Identifier: MIT */
/* pattern_tree.h - a JSON text as a tree, and the memory such a tree lives in.
 *
 * For texts that people write and that are read once: patterns, templates. Events go
 * through the scanner instead. Strict, and every refusal says at which byte.
 *
 * Layer: 1 structures. Includes base.h, mem.h, utf8.h. Pure but for the allocator. */
#ifndef FAASI_PATTERN_TREE_H
#define FAASI_PATTERN_TREE_H

#include "base.h"

/* Memory that is given back all at once. */
struct faasi_arena {
    const faas_allocator *alloc;
    struct faasi_arena_block *blocks;
    char *at;
    size_t left;
};

void faasi_arena_init(struct faasi_arena *arena, const faas_allocator *alloc);
void faasi_arena_fini(struct faasi_arena *arena);

/* Returns zeroed memory aligned to 8, or NULL. */
void *faasi_arena_take(struct faasi_arena *arena, size_t size);

enum faasi_tree_kind {
    FAASI_TREE_NULL,
    FAASI_TREE_FALSE,
    FAASI_TREE_TRUE,
    FAASI_TREE_NUMBER,
    FAASI_TREE_STRING,
    FAASI_TREE_ARRAY,
    FAASI_TREE_OBJECT
};

/* Offsets are bytes of the text. `text` is a string without its escapes, or a number as
 * it stands. A lone surrogate becomes the three bytes that UTF-8 would give it. */
struct faasi_tree {
    enum faasi_tree_kind kind;
    uint32_t at;
    uint32_t end;
    uint32_t key_at;
    uint32_t key_size;
    uint32_t text_size;
    uint32_t child_count;
    const char *key; /* of a member */
    const char *text;
    struct faasi_tree *child; /* the first one */
    struct faasi_tree *next;  /* in the same object or array */
};

/* What a text is called in the error's line, and how far it may go. */
struct faasi_tree_rules {
    const char *what;   /* "pattern" */
    uint32_t depth_max; /* of objects and arrays inside each other */
};

/* Reads a whole text, of less than 4 GiB.
 *
 * @param[out] error_at  The offset of what was refused.
 * @return FAAS_OK, or
 *         FAAS_ESYNTAX  not JSON
 *         FAAS_EINVAL   nested deeper than the rules allow
 *         FAAS_ENOMEM */
faas_status faasi_tree_read(struct faasi_tree **out, const char *text, size_t size,
                            const struct faasi_tree_rules *rules,
                            struct faasi_arena *arena, size_t *error_at);

/* A piece of the text at a byte, fit for a line of error text: quoted and cut short. */
struct faasi_tree_piece {
    char text[40];
};

struct faasi_tree_piece faasi_tree_found(const char *text, size_t size, size_t at);

/* Unescapes the inside of a JSON string that is known to be well-formed into `out`, which
 * has room for `size` bytes, and returns the length. */
size_t faasi_tree_unescape(char *out, const char *text, size_t size);

#endif /* FAASI_PATTERN_TREE_H */
