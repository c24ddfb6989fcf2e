/* SPDX-License-Identifier: MIT */
/* registry.h - handles and names of functions, versions and aliases.
 *
 * A handle is a place in an array that grows in doubling segments and never moves, with
 * the generation of what stands there. Both ways of finding, by handle and by name, take
 * no lock; what they find stays until the read section ends.
 *
 * Layer: 2 parts. Includes names.h and function.h.
 * Locks: `lock` serialises writers; it is taken before the gate's. */
#ifndef FAASI_REGISTRY_H
#define FAASI_REGISTRY_H

#include "function.h"
#include "names.h"
#include "sync.h"

/* Segment k has SEGMENT_FIRST << k places. */
enum { FAASI_SEGMENT_FIRST = 64, FAASI_SEGMENTS = 26 };

struct faasi_slot {
    _Atomic(struct faasi_entry *) entry;
    uint32_t generation; /* of what stands here, or stood here last. Holds: lock */
    uint32_t next_free;  /* index + 1, or 0. Holds: lock */
};

struct faasi_registry {
    faasi_mutex lock;
    uint64_t runtime_id;
    struct faasi_names names;
    _Atomic(struct faasi_slot *) segments[FAASI_SEGMENTS];
    _Atomic uint32_t slot_count; /* places that were ever used */
    uint32_t free_first;
    const faas_allocator *allocator;
};

faas_status faasi_registry_init(struct faasi_registry *registry, uint64_t runtime_id,
                                const faas_allocator *allocator);
void faasi_registry_fini(struct faasi_registry *registry);

/* In a read section, or with the lock held: what a handle stands for, or NULL. */
struct faasi_entry *faasi_registry_get(const struct faasi_registry *registry, faas_fn fn);

/* The same by place. */
struct faasi_entry *faasi_registry_at(const struct faasi_registry *registry,
                                      uint32_t index);

/* In a read section, or with the lock held: the handle of a name, all zero if there is
 * none. */
faas_fn faasi_registry_find(const struct faasi_registry *registry, faas_bytes name);

/* Gives an entry a place and publishes it under `name`. Sets entry->fn. Holds: lock.
 * @return FAAS_OK, FAAS_EEXIST, FAAS_ENOMEM */
faas_status faasi_registry_add(struct faasi_registry *registry, struct faasi_entry *entry,
                               faas_bytes name);

/* Puts an entry in the place of another one, whose handle it takes over. Holds: lock. */
void faasi_registry_swap(struct faasi_registry *registry, struct faasi_entry *old,
                         struct faasi_entry *entry);

/* Unpublishes an entry. Returns the name's memory, which the caller frees with
 * faasi_registry_forget() after a grace period. Holds: lock. */
const struct faasi_name *faasi_registry_remove(struct faasi_registry *registry,
                                               struct faasi_entry *entry,
                                               faas_bytes name);

void faasi_registry_forget(struct faasi_registry *registry,
                           const struct faasi_name *name);

#endif /* FAASI_REGISTRY_H */
