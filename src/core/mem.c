/* SPDX-License-Identifier: MIT */
/* mem.c - the library's own memory, and the import of versioned structs. */
#include "mem.h"

#include <dlfcn.h>
#include <mimalloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* mi_malloc() aligns what holds a max_align_t for one, as malloc() does;
 * mi_malloc_aligned() of the same size takes a larger block to find such a place in. */
_Static_assert(_Alignof(max_align_t) >= FAASI_ALIGN, "malloc() aligns less than we say");

#ifdef FAASI_SANITIZED // they see what is written past a block's end, not past a rounded one's
enum { DEFAULT_LEAST = 1 };
#else
enum { DEFAULT_LEAST = FAASI_ALIGN };
#endif

/* mimalloc is not linked but opened, at the first allocation, for ourselves alone: it has
 * a malloc() and C++'s operators new and delete too. Linked, it stands before the C++
 * library that a C program's libraries bring, whose operators then are half of one and
 * half of the other; and what those allocate is the host's affair, not ours. */
static void *first_malloc(size_t size);

static void *(*_Atomic default_malloc)(size_t size) = first_malloc;
static void (*_Atomic default_mfree)(void *memory) = free;

static void default_choose(void)
{
    void *(*take)(size_t) = malloc;
#ifndef FAASI_SANITIZED // the sanitizers know malloc, and nothing of what is inside mimalloc
    char name[40];
    void *library, *symbols[2] = {NULL, NULL};
    void (*give)(void *);

    (void)snprintf(name, sizeof name, "libmimalloc.so.%d", MI_MALLOC_VERSION / 100);
    /* It stays for good: threads run its code when they end. */
    library = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library != NULL) {
        symbols[0] = dlsym(library, "mi_malloc");
        symbols[1] = dlsym(library, "mi_free");
    }
    if (symbols[0] != NULL && symbols[1] != NULL) {
        memcpy(&take, &symbols[0], sizeof take);
        memcpy(&give, &symbols[1], sizeof give);
        atomic_store_explicit(&default_mfree, give, memory_order_relaxed);
    }
#endif
    /* Release: who has a block from it finds what frees it. Pairs with default_alloc(). */
    atomic_store_explicit(&default_malloc, take, memory_order_release);
}

static void *first_malloc(size_t size)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, default_choose);
    return atomic_load_explicit(&default_malloc, memory_order_acquire)(size);
}

static void *default_alloc(size_t size, void *user)
{
    (void)user;
    return atomic_load_explicit(&default_malloc, memory_order_acquire)(
        size < DEFAULT_LEAST ? DEFAULT_LEAST : size);
}

/* Relaxed: the block came to this thread from where it was allocated. */
static void default_free(void *memory, size_t size, void *user)
{
    (void)size;
    (void)user;
    atomic_load_explicit(&default_mfree, memory_order_relaxed)(memory);
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
