/* SPDX-License-Identifier: MIT */
/* memory.h - what harnesses of the whole library share: an allocator that counts and fails
 * when told to, and the bytes of the input, taken one after the other. */
#ifndef FUZZ_MEMORY_H
#define FUZZ_MEMORY_H

#include "fuzz.h"

#include <faas/base.h>

#include <stdatomic.h>
#include <string.h>

/* ---- memory ---- */

/* Counts what is out; atomic, because a runtime may have threads. */
struct memory {
    atomic_size_t blocks, bytes;
    atomic_uint calls, fail_at; /* the call that fails; 0: none */
};

static inline void *memory_alloc(size_t size, void *user)
{
    struct memory *memory = user;
    unsigned fail_at = atomic_load(&memory->fail_at);
    uint64_t *block;

    REQUIRE(size != 0);
    if (atomic_fetch_add(&memory->calls, 1) + 1 == fail_at)
        return NULL;
    block = size > SIZE_MAX - 16 ? NULL : malloc(size + 16);
    if (block == NULL)
        return NULL;
    block[0] = size;
    memset(block + 2, 0xa5, size < 4096 ? size : 4096);
    atomic_fetch_add(&memory->blocks, 1);
    atomic_fetch_add(&memory->bytes, size);
    return block + 2;
}

/* A block comes back as it was asked for: another size is a fault as well. */
static inline void memory_free(void *at, size_t size, void *user)
{
    struct memory *memory = user;
    uint64_t *block = (uint64_t *)at - 2;

    REQUIRE(at != NULL && block[0] == size);
    block[0] = 0;
    atomic_fetch_sub(&memory->blocks, 1);
    atomic_fetch_sub(&memory->bytes, size);
    free(block);
}

static inline faas_allocator memory_allocator(struct memory *memory)
{
    faas_allocator allocator = {memory_alloc, memory_free, memory};

    return allocator;
}

/* ---- the input ---- */

struct bytes {
    const uint8_t *at, *end;
};

/* The next byte; 0 when there is none. */
static inline uint8_t byte_take(struct bytes *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static inline uint64_t raw_take(struct bytes *in, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)byte_take(in) << (8 * i);
    return value;
}

/* A number: a byte below 128 is itself, those above are numbers at which something
 * changes, or say that it follows. */
static inline uint64_t number_take(struct bytes *in)
{
    static const uint64_t edges[] = {UINT32_MAX,
                                     UINT32_MAX - 1,
                                     UINT64_MAX,
                                     UINT64_MAX - 1,
                                     INT32_MAX,
                                     UINT64_C(0x80000000),
                                     INT64_MAX,
                                     UINT64_C(1) << 63,
                                     255,
                                     256,
                                     1000,
                                     1001,
                                     1024,
                                     1025,
                                     4096,
                                     10000,
                                     65535,
                                     65536,
                                     65537,
                                     1000000,
                                     1048576,
                                     1048577,
                                     1 << 24,
                                     1000000000,
                                     1073741824,
                                     UINT64_C(10000000000),
                                     100000001,
                                     5000,
                                     UINT64_C(1) << 32,
                                     UINT64_C(1) << 40,
                                     UINT64_MAX / 2 - 1,
                                     128};
    uint8_t byte = byte_take(in);

    if (byte < 128)
        return byte;
    if (byte < 128 + sizeof edges / sizeof edges[0])
        return edges[byte - 128];
    return raw_take(in, byte < 192 ? 2 : byte < 224 ? 4 : 8);
}

#endif /* FUZZ_MEMORY_H */
