/* SPDX-License-Identifier: MIT */
/* registry.c - handles and names. */
#include "registry.h"

#include "mem.h"

faas_status faasi_registry_init(struct faasi_registry *registry, uint64_t runtime_id,
                                const faas_allocator *allocator)
{
    faas_status status;

    registry->runtime_id = runtime_id;
    registry->allocator = allocator;
    status = faasi_mutex_init(&registry->lock);
    if (status != FAAS_OK)
        return status;
    status = faasi_names_init(&registry->names, allocator);
    if (status != FAAS_OK)
        faasi_mutex_fini(&registry->lock);
    return status;
}

static size_t segment_bytes(unsigned segment)
{
    return ((size_t)FAASI_SEGMENT_FIRST << segment) * sizeof(struct faasi_slot);
}

void faasi_registry_fini(struct faasi_registry *registry)
{
    for (unsigned k = 0; k < FAASI_SEGMENTS; k++)
        faasi_free(registry->allocator,
                   atomic_load_explicit(&registry->segments[k], memory_order_relaxed),
                   segment_bytes(k));
    faasi_names_fini(&registry->names);
    faasi_mutex_fini(&registry->lock);
}

/* Segment k begins at place SEGMENT_FIRST * (2^k - 1). */
static unsigned index_segment(uint32_t index)
{
    return 31u - (unsigned)__builtin_clz(index / FAASI_SEGMENT_FIRST + 1);
}

static uint32_t index_offset(uint32_t index, unsigned segment)
{
    return index - (((uint32_t)FAASI_SEGMENT_FIRST << segment) - FAASI_SEGMENT_FIRST);
}

static struct faasi_slot *slot_at(const struct faasi_registry *registry, uint32_t index)
{
    unsigned segment = index_segment(index);
    struct faasi_slot *slots;

    if (segment >= FAASI_SEGMENTS)
        return NULL;
    /* Acquire: pairs with the release in slot_new(). */
    slots = atomic_load_explicit(&registry->segments[segment], memory_order_acquire);
    return slots == NULL ? NULL : &slots[index_offset(index, segment)];
}

struct faasi_entry *faasi_registry_at(const struct faasi_registry *registry,
                                      uint32_t index)
{
    struct faasi_slot *slot = slot_at(registry, index);

    /* Acquire: pairs with the release of who published it; the entry is whole. */
    return slot == NULL ? NULL : atomic_load_explicit(&slot->entry, memory_order_acquire);
}

struct faasi_entry *faasi_registry_get(const struct faasi_registry *registry, faas_fn fn)
{
    struct faasi_entry *entry;

    if (fn.runtime != registry->runtime_id)
        return NULL;
    entry = faasi_registry_at(registry, fn.index);
    return entry != NULL && entry->fn.generation == fn.generation ? entry : NULL;
}

faas_fn faasi_registry_find(const struct faasi_registry *registry, faas_bytes name)
{
    struct faasi_named found = faasi_names_find(&registry->names, name);
    faas_fn fn = {0, 0, 0};

    if (found.generation != 0) {
        fn.runtime = registry->runtime_id;
        fn.index = found.index;
        fn.generation = found.generation;
    }
    return fn;
}

/* A place nobody uses. Holds: lock. */
static struct faasi_slot *slot_new(struct faasi_registry *registry, uint32_t *index)
{
    uint32_t count = atomic_load_explicit(&registry->slot_count, memory_order_relaxed);
    struct faasi_slot *slot;
    unsigned segment;

    if (registry->free_first != 0) {
        *index = registry->free_first - 1;
        slot = slot_at(registry, *index);
        registry->free_first = slot->next_free;
        return slot;
    }
    segment = index_segment(count);
    if (segment >= FAASI_SEGMENTS)
        return NULL;
    if (atomic_load_explicit(&registry->segments[segment], memory_order_relaxed) ==
        NULL) {
        struct faasi_slot *slots =
            faasi_alloc_zeroed(registry->allocator, segment_bytes(segment));

        if (slots == NULL)
            return NULL;
        atomic_store_explicit(&registry->segments[segment], slots, memory_order_release);
    }
    *index = count;
    atomic_store_explicit(&registry->slot_count, count + 1, memory_order_release);
    return slot_at(registry, count);
}

static void slot_free(struct faasi_registry *registry, struct faasi_slot *slot,
                      uint32_t index)
{
    slot->next_free = registry->free_first;
    registry->free_first = index + 1;
}

faas_status faasi_registry_add(struct faasi_registry *registry, struct faasi_entry *entry,
                               faas_bytes name)
{
    uint32_t index;
    struct faasi_slot *slot = slot_new(registry, &index);
    faas_status status;

    if (slot == NULL)
        return faasi_fail(FAAS_ENOMEM, "registry: no place for %.*s", (int)name.size,
                          (const char *)name.data);
    /* A generation is never 0, so that a handle of all zero is none. */
    if (++slot->generation == 0)
        slot->generation = 1;
    entry->fn.runtime = registry->runtime_id;
    entry->fn.index = index;
    entry->fn.generation = slot->generation;
    status = faasi_names_insert(&registry->names, name, index, slot->generation);
    if (status != FAAS_OK) {
        slot_free(registry, slot, index);
        return status;
    }
    atomic_store_explicit(&slot->entry, entry, memory_order_release);
    return FAAS_OK;
}

void faasi_registry_swap(struct faasi_registry *registry, struct faasi_entry *old,
                         struct faasi_entry *entry)
{
    entry->fn = old->fn;
    atomic_store_explicit(&slot_at(registry, old->fn.index)->entry, entry,
                          memory_order_release);
}

const struct faasi_name *faasi_registry_remove(struct faasi_registry *registry,
                                               struct faasi_entry *entry, faas_bytes name)
{
    struct faasi_slot *slot = slot_at(registry, entry->fn.index);

    atomic_store_explicit(&slot->entry, NULL, memory_order_release);
    slot_free(registry, slot, entry->fn.index);
    return faasi_names_remove(&registry->names, name);
}

void faasi_registry_forget(struct faasi_registry *registry, const struct faasi_name *name)
{
    faasi_names_free(&registry->names, name);
}
