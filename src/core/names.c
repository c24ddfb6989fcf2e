/* SPDX-License-Identifier: MIT */
/* names.c - the lock-free table of names. */
#include "names.h"

#include "grace.h"
#include "hash.h"
#include "mem.h"

#include <string.h>

#define ADDRESS_BITS 48
#define ADDRESS_MASK (((uint64_t)1 << ADDRESS_BITS) - 1)

/* A word whose name was taken out; probing goes on behind it. Entries are aligned, so no
 * address is 1. */
enum { EMPTY = 0, GRAVE = 1, SLOTS_MIN = 16 };

struct faasi_names_table {
    size_t mask;
    _Atomic uint64_t slots[];
};

static size_t table_size(size_t slots)
{
    return sizeof(struct faasi_names_table) + slots * sizeof(_Atomic uint64_t);
}

static struct faasi_names_table *table_open(const faas_allocator *allocator, size_t slots)
{
    struct faasi_names_table *table = faasi_alloc_zeroed(allocator, table_size(slots));

    if (table != NULL)
        table->mask = slots - 1;
    return table;
}

static struct faasi_name *word_name(uint64_t word)
{
    return (struct faasi_name *)(uintptr_t)(word & ADDRESS_MASK);
}

static bool word_is_name(uint64_t word)
{
    return word != EMPTY && word != GRAVE;
}

static uint64_t name_word(const struct faasi_name *name, uint64_t hash)
{
    return (uint64_t)(uintptr_t)name | hash >> ADDRESS_BITS << ADDRESS_BITS;
}

static bool name_is(const struct faasi_name *name, faas_bytes text)
{
    return name->size == text.size && memcmp(name->text, text.data, text.size) == 0;
}

/* Returns the place of a name, or where probing ended: at an empty word. */
static size_t table_probe(const struct faasi_names_table *table, uint64_t hash,
                          faas_bytes text, uint64_t *word)
{
    size_t at = (size_t)hash & table->mask;

    for (;; at = (at + 1) & table->mask) {
        /* Acquire: pairs with the release in table_put(); the entry is whole. */
        *word = atomic_load_explicit(&table->slots[at], memory_order_acquire);
        if (*word == EMPTY)
            return at;
        if (*word != GRAVE && *word >> ADDRESS_BITS == hash >> ADDRESS_BITS &&
            name_is(word_name(*word), text))
            return at;
    }
}

static void table_put(struct faasi_names_table *table, uint64_t hash, uint64_t word)
{
    size_t at = (size_t)hash & table->mask;

    while (atomic_load_explicit(&table->slots[at], memory_order_relaxed) != EMPTY)
        at = (at + 1) & table->mask;
    atomic_store_explicit(&table->slots[at], word, memory_order_release);
}

faas_status faasi_names_init(struct faasi_names *names, const faas_allocator *allocator)
{
    struct faasi_names_table *table = table_open(allocator, SLOTS_MIN);

    names->allocator = allocator;
    names->count = names->used = 0;
    atomic_init(&names->table, table);
    return table == NULL ? faasi_fail(FAAS_ENOMEM, "names: no memory") : FAAS_OK;
}

static size_t name_size(size_t text_size)
{
    return sizeof(struct faasi_name) + text_size + 1;
}

void faasi_names_free(struct faasi_names *names, const struct faasi_name *name)
{
    if (name != NULL)
        faasi_free(names->allocator, (void *)(uintptr_t)name, name_size(name->size));
}

void faasi_names_fini(struct faasi_names *names)
{
    struct faasi_names_table *table =
        atomic_load_explicit(&names->table, memory_order_relaxed);

    if (table == NULL)
        return;
    for (size_t i = 0; i <= table->mask; i++) {
        uint64_t word = atomic_load_explicit(&table->slots[i], memory_order_relaxed);

        if (word_is_name(word))
            faasi_names_free(names, word_name(word));
    }
    faasi_free(names->allocator, table, table_size(table->mask + 1));
    atomic_store_explicit(&names->table, NULL, memory_order_relaxed);
}

const struct faasi_name *faasi_names_find(const struct faasi_names *names,
                                          faas_bytes text)
{
    const struct faasi_names_table *table =
        atomic_load_explicit(&names->table, memory_order_acquire);
    uint64_t word;

    (void)table_probe(table, faasi_hash(text.data, text.size), text, &word);
    return word == EMPTY ? NULL : word_name(word);
}

/* Makes room for one more: a table of twice the size, or of the same when graves fill it.
 */
static faas_status names_grow(struct faasi_names *names)
{
    struct faasi_names_table *old =
        atomic_load_explicit(&names->table, memory_order_relaxed);
    size_t slots = old->mask + 1;
    struct faasi_names_table *table;

    if ((names->used + 1) * 4 <= slots * 3)
        return FAAS_OK;
    if ((names->count + 1) * 2 > slots)
        slots *= 2;
    table = table_open(names->allocator, slots);
    if (table == NULL)
        return faasi_fail(FAAS_ENOMEM, "names: no room for %zu", names->count + 1);
    for (size_t i = 0; i <= old->mask; i++) {
        uint64_t word = atomic_load_explicit(&old->slots[i], memory_order_relaxed);
        const struct faasi_name *name = word_name(word);

        if (word_is_name(word))
            table_put(table, faasi_hash(name->text, name->size), word);
    }
    /* Release: pairs with the acquire in faasi_names_find(). */
    atomic_store_explicit(&names->table, table, memory_order_release);
    names->used = names->count;
    faasi_grace_wait();
    faasi_free(names->allocator, old, table_size(old->mask + 1));
    return FAAS_OK;
}

faas_status faasi_names_insert(struct faasi_names *names, faas_bytes text, uint32_t index,
                               uint32_t generation)
{
    uint64_t hash = faasi_hash(text.data, text.size);
    struct faasi_name *name;
    uint64_t word;
    faas_status status;

    (void)table_probe(atomic_load_explicit(&names->table, memory_order_relaxed), hash,
                      text, &word);
    if (word != EMPTY)
        return faasi_fail(FAAS_EEXIST, "name: \"%.*s\" is taken", (int)text.size,
                          (const char *)text.data);
    status = names_grow(names);
    if (status != FAAS_OK)
        return status;
    name = faasi_alloc(names->allocator, name_size(text.size));
    if (name == NULL || (uint64_t)(uintptr_t)name > ADDRESS_MASK) {
        faasi_free(names->allocator, name, name_size(text.size));
        return faasi_fail(FAAS_ENOMEM, "name: no memory below 2^48 for %zu bytes",
                          text.size);
    }
    name->index = index;
    name->generation = generation;
    name->size = (uint32_t)text.size;
    memcpy(name->text, text.data, text.size);
    name->text[text.size] = '\0';
    table_put(atomic_load_explicit(&names->table, memory_order_relaxed), hash,
              name_word(name, hash));
    names->count++;
    names->used++;
    return FAAS_OK;
}

const struct faasi_name *faasi_names_remove(struct faasi_names *names, faas_bytes text)
{
    struct faasi_names_table *table =
        atomic_load_explicit(&names->table, memory_order_relaxed);
    uint64_t word;
    size_t at = table_probe(table, faasi_hash(text.data, text.size), text, &word);

    assert(word_is_name(word));
    atomic_store_explicit(&table->slots[at], GRAVE, memory_order_release);
    names->count--;
    return word_name(word);
}
