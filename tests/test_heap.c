/* SPDX-License-Identifier: MIT */
/* test_heap.c - the heap of an invocation gives zeroed memory up to its limit, is wiped,
 * and is handed over exactly once. */
#include "support.h"

#include "core/heap.h"
#include "core/mem.h"

#include <pthread.h>

static struct faulty memory;
static const faas_allocator alloc = {faulty_alloc, faulty_free, &memory};
static _Atomic uint64_t held;

static struct faasi_heap *heap_of(uint64_t limit)
{
    struct faasi_heap *heap = faasi_heap_open(&alloc, &held);

    ck_assert_ptr_nonnull(heap);
    faasi_heap_start(heap, limit);
    return heap;
}

/* Nothing is out and nothing counted. */
static void all_is_back(void)
{
    ck_assert_uint_eq(atomic_load(&memory.live_blocks), 0);
    ck_assert_uint_eq(atomic_load(&held), 0);
}

static bool zero(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

START_TEST(the_default_allocator_aligns_blocks_of_every_size)
{
    enum { SIZES = 3000 };
    static void *blocks[SIZES];

    /* All at once, so that they are not the first ones of their pages. */
    for (size_t size = 1; size < SIZES; size++) {
        blocks[size] = faasi_alloc(&faasi_default_allocator, size);
        ck_assert_ptr_nonnull(blocks[size]);
        ck_assert_uint_eq((uintptr_t)blocks[size] % FAASI_ALIGN, 0);
    }
    for (size_t size = 1; size < SIZES; size++)
        faasi_free(&faasi_default_allocator, blocks[size], size);
}
END_TEST

START_TEST(memory_is_zeroed_aligned_and_apart_call_after_call)
{
    struct faasi_heap *heap = heap_of(UINT64_MAX);
    uint64_t state = 1;

    for (int call = 0; call < 200; call++) {
        unsigned char *last = NULL;
        uint64_t sum = 0;

        faasi_heap_start(heap, UINT64_MAX);
        ck_assert_uint_eq(faasi_heap_used(heap), 0);
        for (int i = 0; i < 40; i++) {
            size_t size;
            unsigned char *piece;

            state = state * 6364136223846793005u + 1442695040888963407u;
            size = (size_t)(state >> 33) % (call % 7 == 0 ? 200000 : 600) + 1;
            piece = faasi_heap_alloc(heap, size);
            ck_assert_ptr_nonnull(piece);
            ck_assert_uint_eq((uintptr_t)piece % 16, 0);
            ck_assert(zero(piece, size));
            ck_assert_ptr_ne(piece, last);
            memset(piece, 0xff, size);
            sum += (size + 15) / 16 * 16;
            ck_assert_uint_eq(faasi_heap_used(heap), sum);
            last = piece;
        }
        faasi_heap_wipe(heap);
    }
    faasi_heap_close(heap);
    all_is_back();
}
END_TEST

START_TEST(the_limit_is_exact_in_sixteens)
{
    for (uint64_t limit = 0; limit < 40000; limit += limit < 64 ? 1 : 997) {
        struct faasi_heap *heap = heap_of(limit);

        for (int again = 0; again < 2; again++) {
            uint64_t got = 0;

            while (faasi_heap_alloc(heap, 16) != NULL)
                got += 16;
            ck_assert_uint_eq(got, limit / 16 * 16);
            ck_assert_ptr_null(faasi_heap_alloc(heap, 1));
            ck_assert_ptr_null(faasi_heap_alloc(heap, 0));
            ck_assert_ptr_null(faasi_heap_alloc(heap, SIZE_MAX));
            faasi_heap_wipe(heap);
            faasi_heap_start(heap, limit);
        }
        faasi_heap_close(heap);
    }
    all_is_back();
}
END_TEST

START_TEST(what_it_kept_is_counted_at_the_next_start)
{
    struct faasi_heap *heap = heap_of(UINT64_MAX);
    uint64_t small = atomic_load(&held);

    ck_assert_uint_eq(small, FAASI_HEAP_BYTES);
    ck_assert_ptr_nonnull(faasi_heap_alloc(heap, 200000));
    faasi_heap_wipe(heap);
    faasi_heap_start(heap, UINT64_MAX);
    ck_assert_uint_ge(atomic_load(&held), small + 200000); // one spare chunk
    ck_assert_uint_eq(atomic_load(&memory.live_blocks), 2);
    /* What is too large to be kept is given back. */
    ck_assert_ptr_nonnull(faasi_heap_alloc(heap, 5 << 20));
    faasi_heap_wipe(heap);
    faasi_heap_start(heap, UINT64_MAX);
    ck_assert_uint_lt(atomic_load(&held), small + (5 << 20));
    faasi_heap_close(heap);
    faasi_heap_close(NULL);
    all_is_back();
}
END_TEST

START_TEST(a_failing_allocator_is_null_and_no_more)
{
    struct faasi_heap *heap = heap_of(UINT64_MAX);

    memory.fail_at = atomic_load(&memory.calls) + 1;
    ck_assert_ptr_null(faasi_heap_alloc(heap, 100000));
    ck_assert_uint_eq(faasi_heap_used(heap), 0);
    ck_assert_ptr_nonnull(faasi_heap_alloc(heap, 100));
    ck_assert_ptr_nonnull(faasi_heap_alloc(heap, 100000));
    faasi_heap_wipe(heap);
    faasi_heap_close(heap);
    memory.fail_at = atomic_load(&memory.calls) + 1;
    ck_assert_ptr_null(faasi_heap_open(&alloc, &held));
    all_is_back();
}
END_TEST

START_TEST(a_lent_heap_is_freed_once_whoever_comes_last)
{
    for (int result_first = 0; result_first < 2; result_first++) {
        struct faasi_heap *heap = heap_of(UINT64_MAX);
        struct faas_result *result;

        ck_assert_ptr_nonnull(faasi_heap_alloc(heap, 100000));
        result = faasi_heap_lend(heap);
        ck_assert(!faasi_heap_is_home(heap));
        if (result_first == 1) {
            faasi_heap_return(faasi_heap_of(result));
            ck_assert(faasi_heap_is_home(heap));
            ck_assert_uint_eq(faasi_heap_used(heap), 0);
            faasi_heap_start(heap, UINT64_MAX);
            ck_assert(zero(faasi_heap_alloc(heap, 100000), 100000));
            faasi_heap_wipe(heap);
            faasi_heap_close(heap);
        } else {
            faasi_heap_close(heap);
            ck_assert_uint_eq(atomic_load(&held), 0);
            ck_assert_uint_ne(atomic_load(&memory.live_blocks), 0);
            faasi_heap_return(faasi_heap_of(result));
        }
        all_is_back();
    }
}
END_TEST

static void *returns(void *heap)
{
    faasi_heap_return(heap);
    return NULL;
}

START_TEST(a_lent_heap_is_freed_once_when_both_come_at_once)
{
    for (int i = 0; i < 500; i++) {
        struct faasi_heap *heap = heap_of(UINT64_MAX);
        pthread_t thread;

        ck_assert_ptr_nonnull(faasi_heap_alloc(heap, 20000));
        (void)faasi_heap_lend(heap);
        ck_assert_int_eq(pthread_create(&thread, NULL, returns, heap), 0);
        faasi_heap_close(heap);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        all_is_back();
    }
}
END_TEST

SUITE_MAIN("heap", the_default_allocator_aligns_blocks_of_every_size,
           memory_is_zeroed_aligned_and_apart_call_after_call,
           the_limit_is_exact_in_sixteens, what_it_kept_is_counted_at_the_next_start,
           a_failing_allocator_is_null_and_no_more,
           a_lent_heap_is_freed_once_whoever_comes_last,
           a_lent_heap_is_freed_once_when_both_come_at_once)
