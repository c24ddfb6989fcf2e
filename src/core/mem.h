/* SPDX-License-Identifier: MIT */
/* mem.h - the library's own memory, through the caller's allocator, and the import of
 * versioned structs.
 *
 * Layer: 0 base. Includes base.h only.
 * Locks: none. */
#ifndef FAASI_MEM_H
#define FAASI_MEM_H

#include "base.h"

/* The allocator of a host that names none: mimalloc; malloc() where that is not found. */
extern const faas_allocator faasi_default_allocator;

/* NULL stands for the default. */
static inline const faas_allocator *
faasi_allocator_or_default(const faas_allocator *alloc)
{
    return alloc == NULL ? &faasi_default_allocator : alloc;
}

/* Returns `size` bytes aligned to FAASI_ALIGN, their content undefined, or NULL.
 * `size` 0 counts as 1. */
void *faasi_alloc(const faas_allocator *alloc, size_t size);

/* The same, zeroed. */
void *faasi_alloc_zeroed(const faas_allocator *alloc, size_t size);

/* Returns zeroed memory aligned to a cache line, or NULL: for structs with members that
 * must not share a line. Give it back with faasi_free_lines() and the same size. */
void *faasi_alloc_lines(const faas_allocator *alloc, size_t size);

/* Accepts NULL. `size` is what was asked for. */
void faasi_free(const faas_allocator *alloc, void *memory, size_t size);
void faasi_free_lines(const faas_allocator *alloc, void *memory, size_t size);

/* Grows a block to `size` bytes, keeping its first `old_size`; NULL leaves it as it
 * was. */
void *faasi_grow(const faas_allocator *alloc, void *memory, size_t old_size, size_t size);

/* Copies text with a terminator, or returns NULL; give it back with size + 1. */
char *faasi_copy_text(const faas_allocator *alloc, const char *text, size_t size);

/* Lays the caller's struct over the defaults in `dst`. `src` NULL leaves them alone. The
 * first field of both is `size_t size`; a tail that this build does not know is accepted
 * while it is zero.
 *
 * @return FAAS_OK, or
 *         FAAS_EINVAL    `size` was not set, or cannot be right
 *         FAAS_EVERSION  a field that this build does not know is set */
faas_status faasi_options_import(void *dst, size_t dst_size, const void *src,
                                 const char *what);

#endif /* FAASI_MEM_H */
