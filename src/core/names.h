/* SPDX-License-Identifier: MIT */
/* names.h - which handle a name stands for; found without a lock.
 *
 * A table of open addressing with linear probing, at most three quarters full. A slot is
 * half a cache line: 54 bits of the name's hash with its size, the handle, and the name
 * itself if it has no more than 16 bytes. So a lookup touches one line; of a longer name
 * one more, where the text stands. Names are always compared whole. A slot is written
 * once, before the release of its word, and used again only in the next table.
 *
 * Layer: 1 structures. Includes base.h, mem.h, grace.h, hash.h.
 * Locks: none of its own; writers are serialised by the caller, readers are in a
 * section. */
#ifndef FAASI_NAMES_H
#define FAASI_NAMES_H

#include "base.h"

#include <stdatomic.h>

/* The text of a long name. */
struct faasi_name;

/* What a name stands for; generation 0 is none. */
struct faasi_named {
    uint32_t index;
    uint32_t generation;
};

struct faasi_names {
    _Atomic(struct faasi_names_table *) table;
    const faas_allocator *allocator;
    size_t count; /* names */
    size_t used;  /* slots that are not empty: names and graves */
};

faas_status faasi_names_init(struct faasi_names *names, const faas_allocator *allocator);

/* Frees the table and what it still holds. */
void faasi_names_fini(struct faasi_names *names);

/* In a read section. Never waits, never allocates. */
struct faasi_named faasi_names_find(const struct faasi_names *names, faas_bytes text);

/* Adds a name of 1 to 1023 bytes for a handle, whose generation is not 0. May wait for a
 * grace period: not in a read section.
 * @return FAAS_OK, FAAS_EEXIST, FAAS_ENOMEM */
faas_status faasi_names_insert(struct faasi_names *names, faas_bytes text, uint32_t index,
                               uint32_t generation);

/* Takes a name out; it must be there. The caller gives what it returns, which may be
 * NULL, to faasi_names_free() after a grace period. Cannot fail. */
const struct faasi_name *faasi_names_remove(struct faasi_names *names, faas_bytes text);
void faasi_names_free(struct faasi_names *names, const struct faasi_name *name);

#endif /* FAASI_NAMES_H */
