/* SPDX-License-Identifier: MIT */
/* alias.h - aliases: a name for several versions, by weight.
 *
 * The 64-bit hash of the key is scaled to the sum of weights and falls into one version's
 * part; so the same key goes the same way as long as the shares are the same.
 *
 * Layer: 2 parts. Includes registry.h.
 * Locks: the registry's for changes; readers are in a section. */
#ifndef FAASI_ALIAS_H
#define FAASI_ALIAS_H

#include "registry.h"

struct faasi_part {
    faas_fn fn;
    uint32_t version;
    uint32_t weight;
    uint64_t upto; /* the sum of weights up to and with this one */
};

struct faasi_parts {
    size_t count;
    struct faasi_part at[];
};

struct faasi_alias {
    struct faasi_entry entry;
    faas_fn base;                        /* the function it belongs to */
    _Atomic(struct faasi_parts *) parts; /* immutable; replaced whole */
    struct faasi_alias *next;            /* Holds: the registry's lock */
};

/* In a read section: the version that a key goes to. */
faas_fn faasi_alias_pick(const struct faasi_alias *alias, faas_bytes key);

size_t faasi_parts_bytes(size_t count);

#endif /* FAASI_ALIAS_H */
