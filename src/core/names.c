/* SPDX-License-Identifier: MIT */
/* names.c - the lock-free table of names. */
#include "names.h"

#include "grace.h"
#include "hash.h"
#include "mem.h"

#include <string.h>

/* A word is the upper bits of the hash and the name's size, which is never 0. */
enum { SIZE_BITS = 10, SIZE_MAX_BYTES = (1 << SIZE_BITS) - 1 };

/* A grave's name was taken out; probing goes on behind it. */
#define EMPTY ((uint64_t)0)
#define GRAVE ((uint64_t)1 << SIZE_BITS)

enum { SLOTS_MIN = 16, SHORT_MAX = 16 };

struct faasi_name {
    uint32_t size;
    char text[];
};

/* A short name as two words, which with its size say all of it. */
struct parts {
    uint64_t head, tail;
};

struct slot {
    _Atomic uint64_t word;
    struct faasi_named named;
    union {
        struct parts parts;            /* of a short name */
        const struct faasi_name *name; /* of a long one */
    } as;
};

struct faasi_names_table {
    size_t mask;
    _Alignas(FAASI_CACHELINE) struct slot slots[];
};

_Static_assert(FAASI_CACHELINE % sizeof(struct slot) == 0, "no slot is on two lines");

static size_t table_size(size_t slots)
{
    return sizeof(struct faasi_names_table) + slots * sizeof(struct slot);
}

static struct faasi_names_table *table_open(const faas_allocator *allocator, size_t slots)
{
    struct faasi_names_table *table = faasi_alloc_lines(allocator, table_size(slots));

    if (table != NULL)
        table->mask = slots - 1;
    return table;
}

static void table_free(const faas_allocator *allocator, struct faasi_names_table *table)
{
    faasi_free_lines(allocator, table, table_size(table->mask + 1));
}

static bool word_is_name(uint64_t word)
{
    return word != EMPTY && word != GRAVE;
}

static bool word_is_long(uint64_t word)
{
    return (word & SIZE_MAX_BYTES) > SHORT_MAX;
}

/* The first and the last bytes, which overlap when there are fewer. */
static inline struct parts parts_of(const unsigned char *text, size_t size)
{
    struct parts parts = {0, 0};

    if (FAASI_LIKELY(size >= 8)) {
        memcpy(&parts.head, text, 8);
        memcpy(&parts.tail, text + size - 8, 8);
    } else if (size >= 4) {
        memcpy(&parts.head, text, 4);
        memcpy(&parts.tail, text + size - 4, 4);
    } else {
        parts.head = text[0];
        parts.tail = (uint64_t)text[size / 2] << 8 | text[size - 1];
    }
    return parts;
}

/* `text` has 1 to SIZE_MAX_BYTES bytes. */
static inline uint64_t word_of(faas_bytes text)
{
    return (faasi_hash(text.data, text.size) & ~(uint64_t)SIZE_MAX_BYTES) | text.size;
}

/* Returns the next slot of a name's probe that has its word, or NULL; `at` is where to
 * begin, and then where to go on. */
static inline struct slot *table_next(struct faasi_names_table *table, uint64_t word,
                                      size_t *at)
{
    for (;;) {
        struct slot *slot = &table->slots[*at & table->mask];
        /* Acquire: pairs with the release in table_put(); the slot is whole. */
        uint64_t found = atomic_load_explicit(&slot->word, memory_order_acquire);

        ++*at;
        if (found == word)
            return slot;
        if (found == EMPTY)
            return NULL;
    }
}

static struct slot *table_probe_long(struct faasi_names_table *table, faas_bytes text,
                                     uint64_t word)
{
    size_t at = (size_t)(word >> SIZE_BITS);
    struct slot *slot;

    do
        slot = table_next(table, word, &at);
    while (slot != NULL && memcmp(slot->as.name->text, text.data, text.size) != 0);
    return slot;
}

/* Returns the slot of a name, or NULL. Short names are on a path of their own, which
 * needs few registers: of a million of them every lookup waits for memory, and the
 * shorter it is the more of them the processor has under way. */
static inline struct slot *table_probe(struct faasi_names_table *table, faas_bytes text,
                                       uint64_t word)
{
    size_t at = (size_t)(word >> SIZE_BITS);
    struct parts parts;
    struct slot *slot;

    if (FAASI_UNLIKELY(text.size > SHORT_MAX))
        return table_probe_long(table, text, word);
    parts = parts_of(text.data, text.size);
    do
        slot = table_next(table, word, &at);
    while (slot != NULL &&
           (slot->as.parts.head != parts.head || slot->as.parts.tail != parts.tail));
    return slot;
}

/* Copies into the first empty slot. */
static void table_put(struct faasi_names_table *table, uint64_t word,
                      const struct slot *from)
{
    size_t at = (size_t)(word >> SIZE_BITS) & table->mask;

    while (atomic_load_explicit(&table->slots[at].word, memory_order_relaxed) != EMPTY)
        at = (at + 1) & table->mask;
    table->slots[at].named = from->named;
    table->slots[at].as = from->as;
    atomic_store_explicit(&table->slots[at].word, word, memory_order_release);
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
    return sizeof(struct faasi_name) + text_size;
}

void faasi_names_free(struct faasi_names *names, const struct faasi_name *name)
{
    if (name != NULL)
        faasi_free(names->allocator, (void *)(uintptr_t)name, name_size(name->size));
}

/* The memory of a slot's name, or NULL. */
static const struct faasi_name *slot_name(const struct slot *slot, uint64_t word)
{
    return word_is_name(word) && word_is_long(word) ? slot->as.name : NULL;
}

void faasi_names_fini(struct faasi_names *names)
{
    struct faasi_names_table *table =
        atomic_load_explicit(&names->table, memory_order_relaxed);

    if (table == NULL)
        return;
    for (size_t i = 0; i <= table->mask; i++) {
        const struct slot *slot = &table->slots[i];

        faasi_names_free(names, slot_name(slot, atomic_load_explicit(
                                                    &slot->word, memory_order_relaxed)));
    }
    table_free(names->allocator, table);
    atomic_store_explicit(&names->table, NULL, memory_order_relaxed);
}

struct faasi_named faasi_names_find(const struct faasi_names *names, faas_bytes text)
{
    static const struct faasi_named none;
    const struct slot *slot;

    if (FAASI_UNLIKELY(text.size - 1 >= SIZE_MAX_BYTES))
        return none;
    slot = table_probe(atomic_load_explicit(&names->table, memory_order_acquire), text,
                       word_of(text));
    return slot == NULL ? none : slot->named;
}

/* Makes room for one more: a table of twice the size, or of the same when graves fill
 * it. */
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
        const struct slot *slot = &old->slots[i];
        uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);

        if (word_is_name(word))
            table_put(table, word, slot);
    }
    /* Release: pairs with the acquire in faasi_names_find(). */
    atomic_store_explicit(&names->table, table, memory_order_release);
    names->used = names->count;
    faasi_grace_wait();
    table_free(names->allocator, old);
    return FAAS_OK;
}

/* The text of a long name. */
static struct faasi_name *name_open(const faas_allocator *allocator, faas_bytes text)
{
    struct faasi_name *name = faasi_alloc(allocator, name_size(text.size));

    if (name == NULL)
        return NULL;
    name->size = (uint32_t)text.size;
    memcpy(name->text, text.data, text.size);
    return name;
}

faas_status faasi_names_insert(struct faasi_names *names, faas_bytes text, uint32_t index,
                               uint32_t generation)
{
    struct slot slot = {.named = {index, generation}};
    uint64_t word = word_of(text);
    faas_status status;

    assert(text.size > 0 && text.size <= SIZE_MAX_BYTES && generation != 0);
    if (table_probe(atomic_load_explicit(&names->table, memory_order_relaxed), text,
                    word) != NULL)
        return faasi_fail(FAAS_EEXIST, "name: \"%.*s\" is taken", (int)text.size,
                          (const char *)text.data);
    status = names_grow(names);
    if (status != FAAS_OK)
        return status;
    if (!word_is_long(word)) {
        slot.as.parts = parts_of(text.data, text.size);
    } else {
        slot.as.name = name_open(names->allocator, text);
        if (slot.as.name == NULL)
            return faasi_fail(FAAS_ENOMEM, "name: no memory for %zu bytes", text.size);
    }
    table_put(atomic_load_explicit(&names->table, memory_order_relaxed), word, &slot);
    names->count++;
    names->used++;
    return FAAS_OK;
}

const struct faasi_name *faasi_names_remove(struct faasi_names *names, faas_bytes text)
{
    uint64_t word = word_of(text);
    struct slot *slot = table_probe(
        atomic_load_explicit(&names->table, memory_order_relaxed), text, word);

    assert(slot != NULL);
    atomic_store_explicit(&slot->word, GRAVE, memory_order_release);
    names->count--;
    return slot_name(slot, word);
}
