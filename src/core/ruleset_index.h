/* SPDX-License-Identifier: MIT */
/* ruleset_index.h - the structures of a rule set that readers go through while one writer
 * changes them: a hash table, posting lists, sets of lengths, and ranges of numbers.
 *
 * All follow one rule: what a reader can reach is changed by one store of a pointer or of
 * a slot, and what such a store takes away is freed after a grace period. Each structure
 * holds no more than its content asks for, so that a set edited at length takes the
 * memory of one built afresh.
 *
 * Nothing here says which rules a reader may see. That is the rules' own business: they
 * carry the versions at which they were born and died.
 *
 * Layer: 2 parts. Includes base.h, grace.h, json.h, mem.h.
 * Locks: none; writers hold the set's lock, readers are in a read section. */
#ifndef FAASI_RULESET_INDEX_H
#define FAASI_RULESET_INDEX_H

#include "base.h"
#include "json.h"

#include <stdatomic.h>

/* --- Memory that readers may still be in --- */

struct faasi_grave {
    void *memory;
    size_t size; /* 0: a set of paths */
};

struct faasi_graves {
    const faas_allocator *alloc;
    size_t live_bytes; /* allocated, and not retired */
    size_t dead_bytes; /* retired, and not freed; and the list of what is */
    struct faasi_grave *dead;
    uint32_t count;
    uint32_t room;
    struct faasi_grave first[16]; /* where the list is, while it is short */
};

/* Returns zeroed memory, or NULL. */
void *faasi_graves_alloc(struct faasi_graves *graves, size_t size);

/* Gives memory back once no reader can be in it. Accepts NULL. Does not fail: if the list
 * of what is retired cannot grow, it waits for a grace period and frees it. */
void faasi_graves_retire(struct faasi_graves *graves, void *memory, size_t size);

/* The same for a set of paths, which is not one of the blocks from here. */
void faasi_graves_retire_paths(struct faasi_graves *graves,
                               struct faasi_json_paths *paths);

/* Frees what was retired. The caller has waited for a grace period since. */
void faasi_graves_bury(struct faasi_graves *graves);

/* --- A hash table --- */

#define FAASI_TABLE_SLOTS 8

/* Slots are filled and emptied in place; a tag is a hint, the item says what it is. */
struct faasi_bucket {
    _Atomic(struct faasi_bucket *) more; /* when the directory may not grow for it */
    uint32_t depth;                      /* how many bits of the hash all items share */
    uint32_t count;                      /* of items here, without those in `more` */
    _Atomic uint32_t tags[FAASI_TABLE_SLOTS];
    _Atomic(void *) items[FAASI_TABLE_SLOTS];
};

struct faasi_directory {
    uint32_t bits;
    _Atomic(struct faasi_bucket *) buckets[];
};

/* Extendible hashing: a bucket that is full splits in two and nothing else moves. The
 * caller's items give their hash. */
struct faasi_table {
    /* What readers look at stands apart from what every edit changes. */
    _Alignas(FAASI_CACHELINE) _Atomic(struct faasi_directory *) directory;
    _Alignas(FAASI_CACHELINE) size_t count;
    uint64_t (*hash_of)(const void *item);
    uint32_t depths[64]; /* buckets by depth */
};

faas_status faasi_table_open(struct faasi_table *table, uint64_t (*hash_of)(const void *),
                             struct faasi_graves *graves);
void faasi_table_close(struct faasi_table *table, struct faasi_graves *graves);

/* @return FAAS_OK, or FAAS_ENOMEM */
faas_status faasi_table_add(struct faasi_table *table, void *item,
                            struct faasi_graves *graves);

/* Takes out an item that is in it. Does not fail. */
void faasi_table_remove(struct faasi_table *table, const void *item,
                        struct faasi_graves *graves);

/* Puts an item in the place of one with the same key. */
void faasi_table_replace(struct faasi_table *table, const void *item, void *by);

/* Calls `each` for every item; it may free the item, and not change the table. Accepts a
 * table that was not opened. */
void faasi_table_each(struct faasi_table *table, void (*each)(void *item, void *user),
                      void *user);

static inline uint32_t faasi_table_tag(uint64_t hash)
{
    return (uint32_t)(hash >> 32) | 1u; // 0 is an empty slot
}

/* Goes through the items whose tag is that of `hash`; NULL ends it. Start with *bucket
 * NULL and *slot 0. Thread: any. */
static inline void *faasi_table_next(const struct faasi_table *table, uint64_t hash,
                                     struct faasi_bucket **bucket, uint32_t *slot)
{
    const uint32_t tag = faasi_table_tag(hash);

    if (*bucket == NULL) {
        struct faasi_directory *dir =
            atomic_load_explicit(&table->directory, memory_order_acquire);

        *bucket = atomic_load_explicit(
            &dir->buckets[hash & (((uint64_t)1 << dir->bits) - 1)], memory_order_acquire);
    }
    while (*bucket != NULL) {
        for (; *slot < FAASI_TABLE_SLOTS; ++*slot) {
            void *item;

            if (atomic_load_explicit(&(*bucket)->tags[*slot], memory_order_relaxed) !=
                tag)
                continue;
            item = atomic_load_explicit(&(*bucket)->items[*slot], memory_order_acquire);
            if (item != NULL) {
                ++*slot;
                return item;
            }
        }
        *bucket = atomic_load_explicit(&(*bucket)->more, memory_order_acquire);
        *slot = 0;
    }
    return NULL;
}

/* --- Postings: a list of words, most often of one --- */

/* 0, a word of the caller's (bit 0 is the caller's, bit 1 is 0), or a list with bit 1
 * set. */
typedef _Atomic uintptr_t faasi_postings;

#define FAASI_POSTINGS_LIST ((uintptr_t)2)

struct faasi_posting_list {
    uint32_t room;
    uint32_t count;
    _Atomic uintptr_t words[]; /* 0 is a hole */
};

static inline struct faasi_posting_list *faasi_posting_list(uintptr_t postings)
{
    return (struct faasi_posting_list *)(postings & ~FAASI_POSTINGS_LIST);
}

/* @return FAAS_OK, or FAAS_ENOMEM */
faas_status faasi_postings_add(faasi_postings *postings, uintptr_t word,
                               struct faasi_graves *graves);

/* Takes out a word if it is there. Does not fail. */
void faasi_postings_remove(faasi_postings *postings, uintptr_t word,
                           struct faasi_graves *graves);

/* Returns how many words there are. For writers. */
uint32_t faasi_postings_count(const faasi_postings *postings);

/* Retires the list, if there is one. */
void faasi_postings_close(faasi_postings *postings, struct faasi_graves *graves);

/* --- A small set of numbers, each counted --- */

struct faasi_lengths {
    uint32_t count;
    struct {
        uint32_t length;
        uint32_t references; /* for writers */
    } list[];                /* by length */
};

typedef _Atomic(struct faasi_lengths *) faasi_length_set;

/* @return FAAS_OK, or FAAS_ENOMEM */
faas_status faasi_lengths_add(faasi_length_set *set, uint32_t length,
                              struct faasi_graves *graves);
/* Does not fail: without memory a length stays with no references. */
void faasi_lengths_remove(faasi_length_set *set, uint32_t length,
                          struct faasi_graves *graves);
void faasi_lengths_close(faasi_length_set *set, struct faasi_graves *graves);

/* --- Ranges of numbers --- */

/* A node of a tree ordered by `low`, then `high`, and a heap by `weight`, which is a hash
 * of both: the same ranges make the same tree. Nodes do not change, but for their
 * postings. */
struct faasi_range {
    int64_t low;
    int64_t high;
    int64_t reach; /* the greatest `high` below and here */
    uint64_t weight;
    struct faasi_range *left;
    struct faasi_range *right;
    faasi_postings postings;
};

typedef _Atomic(struct faasi_range *) faasi_ranges;

/* @return FAAS_OK, or FAAS_ENOMEM */
faas_status faasi_ranges_add(faasi_ranges *ranges, int64_t low, int64_t high,
                             uintptr_t word, struct faasi_graves *graves);
/* Does not fail: without memory a node stays with no postings. */
void faasi_ranges_remove(faasi_ranges *ranges, int64_t low, int64_t high, uintptr_t word,
                         struct faasi_graves *graves);
void faasi_ranges_close(faasi_ranges *ranges, struct faasi_graves *graves);

#endif /* FAASI_RULESET_INDEX_H */
