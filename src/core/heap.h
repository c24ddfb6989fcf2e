/* SPDX-License-Identifier: MIT */
/* heap.h - the heap of an invocation: a bump of a pointer, wiped whole.
 *
 * The first chunk comes with the heap itself, so that a small invocation touches one
 * block. Larger ones take chunks of doubling size; the largest one is kept for next time,
 * up to SPARE_MAX, the others are given back. What is handed out is always zero: a chunk
 * is wiped up to its high-water mark when the invocation ends, also before it is given
 * back.
 *
 * A heap can be lent to the caller with a result. The seat finds it again when the result
 * was released, else it leaves it to the result, whose release then frees it: one
 * exchange decides which.
 *
 * Layer: 1 structures. Includes base.h, mem.h, refs.h.
 * Locks: none; one user at a time, handed over by the seat's word or by `lent`. */
#ifndef FAASI_HEAP_H
#define FAASI_HEAP_H

#include "base.h"
#include "refs.h"

#include <faas/invoke.h>

#include <stdatomic.h>

/* With its first chunk. */
enum { FAASI_HEAP_BYTES = 4096 };

enum { FAASI_HEAP_HOME = 0, FAASI_HEAP_LENT = 1, FAASI_HEAP_LEFT = 2 };

struct faas_result {
    faas_bytes output;
    const char *message;
    faas_meter meter;
    int code;
    faasi_refs shares; /* releases to come */
};

struct faasi_chunk;

struct faasi_heap {
    struct faas_room room;     /* the next allocation; ends with the chunk, or the
                                  limit */
    unsigned char *base;       /* where the chunk's first allocation started */
    struct faasi_chunk *chunk; /* in use beyond the first, newest first */
    struct faasi_chunk *spare; /* wiped, for next time */
    uint64_t filled;           /* bytes handed out from the chunks before this one */
    uint64_t limit;
    uint64_t spare_bytes;   /* of the spare chunk */
    uint64_t counted_bytes; /* of these, how many stand in `held` */
    _Atomic uint64_t *held; /* what its seats' heaps keep, in all; touched by the seat
                               only */
    const faas_allocator *allocator;
    _Atomic uint32_t lent;
    struct faas_result result;
    _Alignas(16) unsigned char first[];
};

/* @return NULL without memory. `held` grows by what the heap keeps. */
struct faasi_heap *faasi_heap_open(const faas_allocator *allocator,
                                   _Atomic uint64_t *held);

/* Frees a heap, or leaves it to the result that has it. Accepts NULL. */
void faasi_heap_close(struct faasi_heap *heap);

void faasi_heap_restart(struct faasi_heap *heap, uint64_t limit);

/* Whether the result that had the heap was released. Acquire: pairs with the release in
 * faasi_heap_return(); it is wiped. */
static inline bool faasi_heap_is_home(const struct faasi_heap *heap)
{
    return atomic_load_explicit(&heap->lent, memory_order_acquire) == FAASI_HEAP_HOME;
}

/* Starts an invocation that may allocate `limit` bytes. The heap is home. Writes nothing
 * if it is as the last one left it. */
static inline void faasi_heap_start(struct faasi_heap *heap, uint64_t limit)
{
    if (FAASI_UNLIKELY(heap->limit != limit || heap->spare_bytes != heap->counted_bytes))
        faasi_heap_restart(heap, limit);
}

void *faasi_heap_alloc_slow(struct faasi_heap *heap, size_t size);

/* Returns zeroed memory, or NULL past the limit or without memory. */
static inline void *faasi_heap_alloc(struct faasi_heap *heap, size_t size)
{
    void *memory = faas_room_take(&heap->room, size);

    return FAASI_LIKELY(memory != NULL) ? memory : faasi_heap_alloc_slow(heap, size);
}

/* Bytes handed out since the start. */
static inline uint64_t faasi_heap_used(const struct faasi_heap *heap)
{
    return heap->filled + (uint64_t)(heap->room.next - heap->base);
}

void faasi_heap_wipe_chunks(struct faasi_heap *heap);

/* Ends an invocation: wipes what it used. */
static inline void faasi_heap_wipe(struct faasi_heap *heap)
{
    if (FAASI_UNLIKELY(heap->chunk != NULL))
        faasi_heap_wipe_chunks(heap);
    if (heap->room.next != heap->base) {
        memset(heap->base, 0, (size_t)(heap->room.next - heap->base));
        heap->room.next = heap->base;
    }
}

/* Lends the heap to whoever gets its result; it is not wiped. */
static inline struct faas_result *faasi_heap_lend(struct faasi_heap *heap)
{
    atomic_store_explicit(&heap->lent, FAASI_HEAP_LENT, memory_order_relaxed);
    atomic_store_explicit(&heap->result.shares, 1, memory_order_relaxed);
    return &heap->result;
}

/* Wipes a lent heap and gives it back, or frees it if its seat has left it. Any
 * thread. */
void faasi_heap_return(struct faasi_heap *heap);

static inline struct faasi_heap *faasi_heap_of(struct faas_result *result)
{
    return (struct faasi_heap *)(void *)((char *)result -
                                         offsetof(struct faasi_heap, result));
}

#endif /* FAASI_HEAP_H */
