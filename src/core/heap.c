/* SPDX-License-Identifier: MIT */
/* heap.c - the heap of an invocation. */
#include "heap.h"

#include "mem.h"

/* Chunks double from the least to the most; a larger request has one of its size. */
enum { CHUNK_MIN = 16384, CHUNK_MAX = 1 << 20, SPARE_MAX = 1 << 20 };

struct faasi_chunk {
    struct faasi_chunk *older;
    unsigned char *older_base; /* where the heap stood when this chunk was begun */
    unsigned char *older_next;
    size_t size; /* with this header, which keeps the bytes aligned */
    unsigned char bytes[];
};

struct faasi_heap *faasi_heap_open(const faas_allocator *allocator,
                                   _Atomic uint64_t *held)
{
    struct faasi_heap *heap = faasi_alloc_zeroed(allocator, FAASI_HEAP_BYTES);

    if (heap == NULL)
        return NULL;
    heap->allocator = allocator;
    heap->held = held;
    heap->room.next = heap->base = heap->room.end = heap->first;
    atomic_init(&heap->lent, FAASI_HEAP_HOME);
    atomic_fetch_add_explicit(held, FAASI_HEAP_BYTES, memory_order_relaxed);
    return heap;
}

static void heap_free(struct faasi_heap *heap)
{
    if (heap->spare != NULL)
        faasi_free(heap->allocator, heap->spare, heap->spare->size);
    faasi_free(heap->allocator, heap, FAASI_HEAP_BYTES);
}

void faasi_heap_close(struct faasi_heap *heap)
{
    if (heap == NULL)
        return;
    atomic_fetch_sub_explicit(heap->held, FAASI_HEAP_BYTES + heap->counted_bytes,
                              memory_order_relaxed);
    /* Acquire: the result's thread has wiped it. Release: that thread, if it comes later,
     * frees what we have left alone from here on. */
    if (atomic_exchange_explicit(&heap->lent, FAASI_HEAP_LEFT, memory_order_acq_rel) ==
        FAASI_HEAP_HOME)
        heap_free(heap);
}

void faasi_heap_return(struct faasi_heap *heap)
{
    faasi_heap_wipe(heap);
    /* Release: pairs with faasi_heap_is_home() and faasi_heap_close(). */
    if (atomic_exchange_explicit(&heap->lent, FAASI_HEAP_HOME, memory_order_acq_rel) ==
        FAASI_HEAP_LEFT)
        heap_free(heap);
}

static unsigned char *first_end(const struct faasi_heap *heap)
{
    size_t room = FAASI_HEAP_BYTES - offsetof(struct faasi_heap, first);

    return (unsigned char *)(uintptr_t)heap->first +
           (heap->limit < room ? heap->limit : room);
}

void faasi_heap_restart(struct faasi_heap *heap, uint64_t limit)
{
    atomic_fetch_add_explicit(heap->held, heap->spare_bytes - heap->counted_bytes,
                              memory_order_relaxed);
    heap->counted_bytes = heap->spare_bytes;
    heap->limit = limit;
    heap->room.end = first_end(heap);
}

/* A zeroed chunk with room for `size` bytes. */
static struct faasi_chunk *chunk_take(struct faasi_heap *heap, size_t size)
{
    size_t want = heap->chunk == NULL ? CHUNK_MIN : heap->chunk->size * 2;
    struct faasi_chunk *chunk = heap->spare;

    if (size > SIZE_MAX - sizeof *chunk)
        return NULL;
    size += sizeof *chunk;
    if (chunk != NULL && chunk->size >= size) {
        heap->spare = NULL;
        heap->spare_bytes = 0;
        return chunk;
    }
    if (want > CHUNK_MAX)
        want = CHUNK_MAX;
    if (want < size)
        want = size;
    chunk = faasi_alloc_zeroed(heap->allocator, want);
    if (chunk != NULL)
        chunk->size = want;
    return chunk;
}

void *faasi_heap_alloc_slow(struct faasi_heap *heap, size_t size)
{
    uint64_t used = faasi_heap_used(heap);
    uint64_t left = heap->limit > used ? heap->limit - used : 0;
    size_t rounded = faasi_round_up(size == 0 ? 1 : size, FAASI_ALIGN);
    struct faasi_chunk *chunk;
    size_t room;

    if (rounded < size || rounded > left)
        return NULL;
    if (rounded <= (size_t)(heap->room.end - heap->room.next)) { // of size 0
        heap->room.next += rounded;
        return heap->room.next - rounded;
    }
    chunk = chunk_take(heap, rounded);
    if (chunk == NULL)
        return NULL;
    chunk->older = heap->chunk;
    chunk->older_base = heap->base;
    chunk->older_next = heap->room.next;
    room = chunk->size - sizeof *chunk;
    heap->chunk = chunk;
    heap->filled = used;
    heap->base = chunk->bytes;
    heap->room.end = chunk->bytes + (left < room ? left : room);
    heap->room.next = chunk->bytes + rounded;
    return chunk->bytes;
}

/* Keeps the larger one of a wiped chunk and the spare one. */
static void chunk_give(struct faasi_heap *heap, struct faasi_chunk *chunk)
{
    if (chunk->size <= SPARE_MAX && chunk->size > heap->spare_bytes) {
        struct faasi_chunk *smaller = heap->spare;

        heap->spare = chunk;
        heap->spare_bytes = chunk->size;
        chunk = smaller;
    }
    if (chunk != NULL)
        faasi_free(heap->allocator, chunk, chunk->size);
}

void faasi_heap_wipe_chunks(struct faasi_heap *heap)
{
    while (heap->chunk != NULL) {
        struct faasi_chunk *chunk = heap->chunk;

        memset(heap->base, 0, (size_t)(heap->room.next - heap->base));
        heap->chunk = chunk->older;
        heap->base = chunk->older_base;
        heap->room.next = chunk->older_next;
        chunk_give(heap, chunk);
    }
    heap->filled = 0;
    heap->room.end = first_end(heap);
}
