/* SPDX-License-Identifier: MIT */
/* alias.c - which version a key goes to. */
#include "alias.h"

#include "hash.h"

size_t faasi_parts_bytes(size_t count)
{
    return sizeof(struct faasi_parts) + count * sizeof(struct faasi_part);
}

faas_fn faasi_alias_pick(const struct faasi_alias *alias, faas_bytes key)
{
    const struct faasi_parts *parts =
        atomic_load_explicit(&alias->parts, memory_order_acquire);
    uint64_t total = parts->at[parts->count - 1].upto;
    uint64_t at =
        (uint64_t)(((unsigned __int128)faasi_hash(key.data, key.size) * total) >> 64);
    size_t low = 0, high = parts->count - 1;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (at < parts->at[middle].upto)
            high = middle;
        else
            low = middle + 1;
    }
    return parts->at[low].fn;
}
