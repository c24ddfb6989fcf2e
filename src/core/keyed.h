/* SPDX-License-Identifier: MIT */
/* keyed.h - things that exist while they are needed, found by a key of any length.
 *
 * A thing begins with a struct faasi_keyed and is one block with a copy of its key. Keys
 * are compared whole, with their owner and a number, so one table serves many owners.
 *
 * Layer: 1 structures. Includes base.h; its code also hash.h and mem.h.
 * Locks: none; the caller's. */
#ifndef FAASI_KEYED_H
#define FAASI_KEYED_H

#include "base.h"

struct faasi_keyed {
    struct faasi_keyed *next; /* in the chain */
    uint64_t hash;
    const void *owner; /* part of the key */
    uint32_t level;    /* part of the key */
    uint32_t size;
    char *key;
    size_t bytes; /* of the block */
};

struct faasi_keys {
    struct faasi_keyed **slots; /* chains by hash */
    size_t count, size;
};

/* @return FAAS_OK, FAAS_ENOMEM */
faas_status faasi_keys_init(struct faasi_keys *keys, const faas_allocator *alloc);

/* There is nothing in it. Also of a zeroed one. */
void faasi_keys_fini(struct faasi_keys *keys, const faas_allocator *alloc);

uint64_t faasi_key_hash(const void *owner, uint32_t level, faas_bytes key);

/* The thing of a key, or NULL. */
struct faasi_keyed *faasi_keys_find(const struct faasi_keys *keys, uint64_t hash,
                                    const void *owner, uint32_t level, faas_bytes key);

/* Adds a zeroed struct of `bytes` for a key that is not there; NULL without memory. */
void *faasi_keys_add(struct faasi_keys *keys, const faas_allocator *alloc, size_t bytes,
                     uint64_t hash, const void *owner, uint32_t level, faas_bytes key);

/* Takes a thing out and frees it. */
void faasi_keys_drop(struct faasi_keys *keys, const faas_allocator *alloc,
                     struct faasi_keyed *keyed);

#endif /* FAASI_KEYED_H */
