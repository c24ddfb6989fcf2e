/* SPDX-License-Identifier: MIT */
/* names.h - which handle a name stands for; found without a lock.
 *
 * A table of words, open addressing with linear probing, at most three quarters full. A
 * word is the address of an entry in its low 48 bits and sixteen bits of the name's hash
 * above them, so that a lookup touches one line of the table and one of the entry; whole
 * names are compared there. An address that needs more bits is refused at insertion.
 *
 * Layer: 1 structures. Includes base.h, mem.h, grace.h, hash.h.
 * Locks: none of its own; writers are serialised by the caller, readers are in a section.
 */
#ifndef FAASI_NAMES_H
#define FAASI_NAMES_H

#include "base.h"

#include <stdatomic.h>

struct faasi_name {
    uint32_t index;
    uint32_t generation;
    uint32_t size;
    char text[]; /* terminated */
};

struct faasi_names {
    _Atomic(struct faasi_names_table *) table;
    const faas_allocator *allocator;
    size_t count; /* names */
    size_t used;  /* words that are not empty: names and graves */
};

faas_status faasi_names_init(struct faasi_names *names, const faas_allocator *allocator);

/* Frees the table and what it still holds. */
void faasi_names_fini(struct faasi_names *names);

/* In a read section. Returns NULL if there is none. Never waits, never allocates. */
const struct faasi_name *faasi_names_find(const struct faasi_names *names,
                                          faas_bytes text);

/* Adds a name that is not there. May wait for a grace period: not in a read section.
 * @return FAAS_OK, FAAS_EEXIST, FAAS_ENOMEM */
faas_status faasi_names_insert(struct faasi_names *names, faas_bytes text, uint32_t index,
                               uint32_t generation);

/* Takes a name out; it must be there. The caller gives the entry to faasi_names_free()
 * after a grace period. Cannot fail. */
const struct faasi_name *faasi_names_remove(struct faasi_names *names, faas_bytes text);
void faasi_names_free(struct faasi_names *names, const struct faasi_name *name);

#endif /* FAASI_NAMES_H */
