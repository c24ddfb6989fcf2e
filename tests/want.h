/* SPDX-License-Identifier: MIT */
/* want.h - allocations that fail when they are told to, and what of them is out.
 *
 * To be included before anything else, by the compiler's -include, in every source of a
 * module that is to be in want. What that allocates itself goes through here; what the
 * library or an engine allocates does not. */
#ifndef WANT_H
#define WANT_H

/* Files that come after this may want it, and it must come before any header. */
#define _GNU_SOURCE

#include <faas/invoke.h>

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Whether this allocation is the one that fails; counts it. Thread: any. */
bool want_fails(void);

/* Counts a block as out, or as back, if there is one; returns it. */
void *want_out(void *memory);
void *want_back(void *memory);

#ifndef WANT_ITSELF
#define malloc(size) want_out(want_fails() ? NULL : malloc(size))
#define calloc(count, size) want_out(want_fails() ? NULL : calloc(count, size))
#define strdup(text) want_out(want_fails() ? NULL : strdup(text))
#define free(memory) free(want_back(memory))
#define pthread_mutex_init(lock, how)                                                    \
    (want_fails() ? ENOMEM : pthread_mutex_init(lock, how))
#define memfd_create(name, how) (want_fails() ? -1 : memfd_create(name, how))
#define mmap(at, size, may, how, file, from)                                             \
    (want_fails() ? MAP_FAILED : mmap(at, size, may, how, file, from))
#define faas_alloc(ctx, size) (want_fails() ? NULL : faas_alloc(ctx, size))
#define faas_instance_alloc(ctx, size)                                                   \
    (want_fails() ? NULL : faas_instance_alloc(ctx, size))

static inline void *want_realloc(void *memory, size_t size)
{
    void *grown = want_fails() ? NULL : realloc(memory, size);

    if (grown != NULL && memory == NULL)
        (void)want_out(grown);
    return grown;
}
#define realloc(memory, size) want_realloc(memory, size)
#endif

#endif /* WANT_H */
