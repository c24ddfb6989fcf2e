/* SPDX-License-Identifier: MIT */
/* hash.c - the 64-bit hash of names; the one file that includes xxhash.h. */
#include "hash.h"

#ifdef FAASI_HASH_CONSTANT

uint64_t faasi_hash(const void *data, size_t size)
{
    (void)data;
    (void)size;
    return 0x9E3779B97F4A7C15;
}

#else

/* Compiled into this file alone: one call less than through libxxhash, nothing to link
 * against, and the 5,000 lines are not read again by every room that hashes. */
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t faasi_hash(const void *data, size_t size)
{
    return XXH3_64bits(data, size);
}

#endif
