/* SPDX-License-Identifier: MIT */
/* keyed.c - a table of things by their keys. */
#include "keyed.h"

#include "hash.h"
#include "mem.h"

enum { KEYS_MIN = 64 };

uint64_t faasi_key_hash(const void *owner, uint32_t level, faas_bytes key)
{
    uint64_t parts[3] = {(uintptr_t)owner, level, faasi_hash(key.data, key.size)};

    return faasi_hash(parts, sizeof parts);
}

faas_status faasi_keys_init(struct faasi_keys *keys, const faas_allocator *alloc)
{
    keys->slots = faasi_alloc_zeroed(alloc, KEYS_MIN * sizeof *keys->slots);
    keys->size = KEYS_MIN;
    keys->count = 0;
    return keys->slots == NULL ? faasi_fail(FAAS_ENOMEM, "keys: no memory") : FAAS_OK;
}

void faasi_keys_fini(struct faasi_keys *keys, const faas_allocator *alloc)
{
    assert(keys->count == 0);
    faasi_free(alloc, keys->slots, keys->size * sizeof *keys->slots);
    keys->slots = NULL;
}

struct faasi_keyed *faasi_keys_find(const struct faasi_keys *keys, uint64_t hash,
                                    const void *owner, uint32_t level, faas_bytes key)
{
    struct faasi_keyed *at = keys->slots[hash & (keys->size - 1)];

    while (at != NULL && !(at->hash == hash && at->owner == owner && at->level == level &&
                           at->size == key.size &&
                           (key.size == 0 || memcmp(at->key, key.data, key.size) == 0)))
        at = at->next;
    return at;
}

/* Twice the chains, if there is memory; else longer ones. */
static void keys_grow(struct faasi_keys *keys, const faas_allocator *alloc)
{
    size_t size = keys->size * 2;
    struct faasi_keyed **slots = faasi_alloc_zeroed(alloc, size * sizeof *slots);

    if (slots == NULL)
        return;
    for (size_t i = 0; i < keys->size; i++) {
        struct faasi_keyed *at = keys->slots[i], *next;

        for (; at != NULL; at = next) {
            next = at->next;
            at->next = slots[at->hash & (size - 1)];
            slots[at->hash & (size - 1)] = at;
        }
    }
    faasi_free(alloc, keys->slots, keys->size * sizeof *keys->slots);
    keys->slots = slots;
    keys->size = size;
}

void *faasi_keys_add(struct faasi_keys *keys, const faas_allocator *alloc, size_t bytes,
                     uint64_t hash, const void *owner, uint32_t level, faas_bytes key)
{
    struct faasi_keyed *keyed;

    if (key.size > UINT32_MAX ||
        (keyed = faasi_alloc_zeroed(alloc, bytes + key.size)) == NULL)
        return NULL;
    keyed->hash = hash;
    keyed->owner = owner;
    keyed->level = level;
    keyed->size = (uint32_t)key.size;
    keyed->key = (char *)keyed + bytes;
    keyed->bytes = bytes + key.size;
    if (key.size > 0)
        memcpy(keyed->key, key.data, key.size);
    if (++keys->count > keys->size)
        keys_grow(keys, alloc);
    keyed->next = keys->slots[hash & (keys->size - 1)];
    keys->slots[hash & (keys->size - 1)] = keyed;
    return keyed;
}

void faasi_keys_drop(struct faasi_keys *keys, const faas_allocator *alloc,
                     struct faasi_keyed *keyed)
{
    struct faasi_keyed **at = &keys->slots[keyed->hash & (keys->size - 1)];

    while (*at != keyed)
        at = &(*at)->next;
    *at = keyed->next;
    keys->count--;
    faasi_free(alloc, keyed, keyed->bytes);
}
