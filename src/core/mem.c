/* SPDX-License-Identifier: MIT */
/* mem.c - the library's own memory, and the import of versioned structs. */
#include "mem.h"

#include <string.h>

/* The sanitizers know malloc, and nothing of what is inside mimalloc. */
#ifdef FAASI_SANITIZED
#include <stdlib.h>
#define default_malloc(size) malloc(size)
#define default_mfree(memory) free(memory)
#else
#include <mimalloc.h>
/* mi_malloc() aligns what holds a max_align_t for one, as malloc() does;
 * mi_malloc_aligned() of the same size takes a larger block to find such a place in. */
_Static_assert(_Alignof(max_align_t) >= FAASI_ALIGN, "malloc() aligns less than we say");
#define default_malloc(size) mi_malloc((size) < FAASI_ALIGN ? FAASI_ALIGN : (size))
#define default_mfree(memory) mi_free(memory)
#endif

static void *default_alloc(size_t size, void *user)
{
    (void)user;
    return default_malloc(size);
}

static void default_free(void *memory, size_t size, void *user)
{
    (void)size;
    (void)user;
    default_mfree(memory);
}

const faas_allocator faasi_default_allocator = {default_alloc, default_free, NULL};

void *faasi_alloc(const faas_allocator *alloc, size_t size)
{
    return alloc->alloc(size == 0 ? 1 : size, alloc->user);
}

void *faasi_alloc_zeroed(const faas_allocator *alloc, size_t size)
{
    void *memory = faasi_alloc(alloc, size);

    if (memory != NULL)
        memset(memory, 0, size);
    return memory;
}

/* The distance from what the allocator returned to the line that is handed out stands in
 * the last byte before it; the allocator's 16 keep at least one byte free there. */
void *faasi_alloc_lines(const faas_allocator *alloc, size_t size)
{
    unsigned char *memory = faasi_alloc(alloc, size + FAASI_CACHELINE);
    unsigned char *line;

    if (memory == NULL)
        return NULL;
    line = memory + (FAASI_CACHELINE - (uintptr_t)memory % FAASI_CACHELINE);
    line[-1] = (unsigned char)(line - memory);
    return memset(line, 0, size);
}

void faasi_free(const faas_allocator *alloc, void *memory, size_t size)
{
    if (memory != NULL)
        alloc->free(memory, size == 0 ? 1 : size, alloc->user);
}

void faasi_free_lines(const faas_allocator *alloc, void *memory, size_t size)
{
    unsigned char *line = memory;

    if (line != NULL)
        faasi_free(alloc, line - line[-1], size + FAASI_CACHELINE);
}

void *faasi_grow(const faas_allocator *alloc, void *memory, size_t old_size, size_t size)
{
    void *grown = faasi_alloc(alloc, size);

    if (grown != NULL && memory != NULL) {
        memcpy(grown, memory, old_size);
        faasi_free(alloc, memory, old_size);
    }
    return grown;
}

char *faasi_copy_text(const faas_allocator *alloc, const char *text, size_t size)
{
    char *copy = faasi_alloc(alloc, size + 1);

    if (copy != NULL) {
        if (size > 0)
            memcpy(copy, text, size);
        copy[size] = '\0';
    }
    return copy;
}

faas_status faasi_options_import(void *dst, size_t dst_size, const void *src,
                                 const char *what)
{
    size_t src_size;

    if (src == NULL)
        return FAAS_OK;
    memcpy(&src_size, src, sizeof src_size); // `size` is the first field of all
    if (src_size < sizeof src_size || src_size > 4096)
        return faasi_fail(FAAS_EINVAL, "%s: size is %zu; set it to sizeof the struct",
                          what, src_size);
    for (size_t i = dst_size; i < src_size; i++)
        if (((const unsigned char *)src)[i] != 0)
            return faasi_fail(FAAS_EVERSION,
                              "%s: the field at byte %zu is newer than %d.%d", what, i,
                              FAAS_VERSION_MAJOR, FAAS_VERSION_MINOR);
    memcpy(dst, src, src_size < dst_size ? src_size : dst_size);
    memcpy(dst, &dst_size, sizeof dst_size);
    return FAAS_OK;
}
