/* SPDX-License-Identifier: MIT */
/* ruleset_index.c - structures that readers go through while one writer changes them. */
#include "ruleset_index.h"

#include "grace.h"
#include "mem.h"

/* The directory may have this many times as many pointers as the table has items. */
#define DIRECTORY_SPREAD 4

/* A list this small holds exactly what it must; a longer one has room to breathe. */
#define LIST_EXACT 16

void *faasi_graves_alloc(struct faasi_graves *graves, size_t size)
{
    void *memory = faasi_alloc_zeroed(graves->alloc, size);

    if (memory != NULL)
        graves->live_bytes += size;
    else
        (void)faasi_fail(FAAS_ENOMEM, "rule set: no memory for %zu bytes", size);
    return memory;
}

void faasi_graves_bury(struct faasi_graves *graves)
{
    for (uint32_t i = 0; i < graves->count; i++) {
        if (graves->dead[i].size == 0)
            faasi_json_paths_close(graves->dead[i].memory);
        else
            faasi_free(graves->alloc, graves->dead[i].memory, graves->dead[i].size);
    }
    if (graves->room > FAASI_COUNT(graves->first))
        faasi_free(graves->alloc, graves->dead, sizeof *graves->dead * graves->room);
    graves->dead = graves->first;
    graves->room = FAASI_COUNT(graves->first);
    graves->count = 0;
    graves->dead_bytes = 0;
}

static bool graves_grow(struct faasi_graves *graves)
{
    const size_t size = sizeof *graves->dead * graves->room;
    struct faasi_grave *more;

    if (graves->room == 0) { // the first one
        graves->dead = graves->first;
        graves->room = FAASI_COUNT(graves->first);
        return true;
    }
    more = faasi_alloc(graves->alloc, 2 * size);
    if (more == NULL)
        return false;
    memcpy(more, graves->dead, size);
    if (graves->room > FAASI_COUNT(graves->first))
        faasi_free(graves->alloc, graves->dead, size);
    graves->dead_bytes += size;
    graves->dead = more;
    graves->room *= 2;
    return true;
}

static void grave_dig(struct faasi_graves *graves, void *memory, size_t size,
                      size_t bytes)
{
    if (graves->count == graves->room && !graves_grow(graves)) {
        faasi_grace_wait();
        faasi_graves_bury(graves);
    }
    graves->dead[graves->count].memory = memory;
    graves->dead[graves->count++].size = size;
    graves->live_bytes -= bytes;
    graves->dead_bytes += bytes;
}

void faasi_graves_retire(struct faasi_graves *graves, void *memory, size_t size)
{
    if (memory != NULL)
        grave_dig(graves, memory, size, size);
}

void faasi_graves_retire_paths(struct faasi_graves *graves,
                               struct faasi_json_paths *paths)
{
    if (paths != NULL)
        grave_dig(graves, paths, 0, faasi_json_paths_bytes(paths));
}

/* --- The table. Writers read with relaxed order: they are the only ones who
 * store. --- */

static size_t directory_bytes(uint32_t bits)
{
    return sizeof(struct faasi_directory) +
           sizeof(_Atomic(struct faasi_bucket *)) * ((size_t)1 << bits);
}

static struct faasi_directory *directory(const struct faasi_table *table)
{
    return atomic_load_explicit(&table->directory, memory_order_relaxed);
}

static struct faasi_bucket *bucket_at(const struct faasi_directory *dir, uint64_t index)
{
    return atomic_load_explicit(&dir->buckets[index & (((uint64_t)1 << dir->bits) - 1)],
                                memory_order_relaxed);
}

static struct faasi_bucket *bucket_more(const struct faasi_bucket *bucket)
{
    return atomic_load_explicit(&bucket->more, memory_order_relaxed);
}

static void *bucket_item(const struct faasi_bucket *bucket, uint32_t slot)
{
    return atomic_load_explicit(&bucket->items[slot], memory_order_relaxed);
}

/* Release: pairs with the acquire in faasi_table_next(); the item is complete. */
static void bucket_set(struct faasi_bucket *bucket, uint32_t slot, uint32_t tag,
                       void *item)
{
    atomic_store_explicit(&bucket->tags[slot], tag, memory_order_relaxed);
    atomic_store_explicit(&bucket->items[slot], item, memory_order_release);
}

static bool bucket_put(struct faasi_bucket *bucket, uint64_t hash, void *item)
{
    if (bucket->count == FAASI_TABLE_SLOTS)
        return false;
    for (uint32_t i = 0; i < FAASI_TABLE_SLOTS; i++) {
        if (bucket_item(bucket, i) == NULL) {
            bucket_set(bucket, i, faasi_table_tag(hash), item);
            break;
        }
    }
    bucket->count++;
    return true;
}

static void directory_publish(struct faasi_table *table, struct faasi_directory *dir,
                              struct faasi_graves *graves)
{
    struct faasi_directory *old = directory(table);

    atomic_store_explicit(&table->directory, dir, memory_order_release);
    if (old != NULL)
        faasi_graves_retire(graves, old, directory_bytes(old->bits));
}

faas_status faasi_table_open(struct faasi_table *table, uint64_t (*hash_of)(const void *),
                             struct faasi_graves *graves)
{
    struct faasi_directory *dir = faasi_graves_alloc(graves, directory_bytes(0));
    struct faasi_bucket *bucket = faasi_graves_alloc(graves, sizeof *bucket);

    memset(table, 0, sizeof *table);
    if (dir == NULL || bucket == NULL) {
        faasi_graves_retire(graves, dir, directory_bytes(0));
        faasi_graves_retire(graves, bucket, sizeof *bucket);
        return FAAS_ENOMEM;
    }
    table->hash_of = hash_of;
    table->depths[0] = 1;
    atomic_store_explicit(&dir->buckets[0], bucket, memory_order_relaxed);
    atomic_store_explicit(&table->directory, dir, memory_order_release);
    return FAAS_OK;
}

static void bucket_retire(struct faasi_bucket *bucket, struct faasi_graves *graves)
{
    struct faasi_bucket *more;

    for (; bucket != NULL; bucket = more) {
        more = bucket_more(bucket);
        faasi_graves_retire(graves, bucket, sizeof *bucket);
    }
}

void faasi_table_close(struct faasi_table *table, struct faasi_graves *graves)
{
    struct faasi_directory *dir = directory(table);

    if (dir == NULL)
        return;
    for (uint64_t i = (uint64_t)1 << dir->bits; i-- > 0;) {
        struct faasi_bucket *bucket = bucket_at(dir, i);

        if (i >> bucket->depth == 0) // the last to come of those that point to it
            bucket_retire(bucket, graves);
    }
    faasi_graves_retire(graves, dir, directory_bytes(dir->bits));
    atomic_store_explicit(&table->directory, NULL, memory_order_relaxed);
}

void faasi_table_each(struct faasi_table *table, void (*each)(void *item, void *user),
                      void *user)
{
    struct faasi_directory *dir = directory(table);

    for (uint64_t i = 0; dir != NULL && i < (uint64_t)1 << dir->bits; i++) {
        struct faasi_bucket *bucket = bucket_at(dir, i);

        if (i >> bucket->depth != 0)
            continue; // the first of those that point to it
        for (; bucket != NULL; bucket = bucket_more(bucket))
            for (uint32_t slot = 0; slot < FAASI_TABLE_SLOTS; slot++)
                if (bucket_item(bucket, slot) != NULL)
                    each(bucket_item(bucket, slot), user);
    }
}

/* Makes a directory of another size that leads to the same buckets. */
static bool directory_resize(struct faasi_table *table, uint32_t bits,
                             struct faasi_graves *graves)
{
    struct faasi_directory *old = directory(table);
    struct faasi_directory *dir = faasi_graves_alloc(graves, directory_bytes(bits));

    if (dir == NULL)
        return false;
    dir->bits = bits;
    for (uint64_t i = 0; i < (uint64_t)1 << bits; i++)
        atomic_store_explicit(&dir->buckets[i], bucket_at(old, i), memory_order_relaxed);
    directory_publish(table, dir, graves);
    return true;
}

/* Lets every pointer for `hash`'s first `depth` bits lead to `bucket`. */
static void directory_point(struct faasi_table *table, uint64_t hash,
                            struct faasi_bucket *bucket)
{
    struct faasi_directory *dir = directory(table);
    const uint64_t step = (uint64_t)1 << bucket->depth;

    for (uint64_t i = hash & (step - 1); i < (uint64_t)1 << dir->bits; i += step)
        atomic_store_explicit(&dir->buckets[i], bucket, memory_order_release);
}

/* Moves the items of a bucket into the one or the other by the next bit of their hash. */
static bool items_part(const struct faasi_table *table, const struct faasi_bucket *from,
                       struct faasi_bucket *half[2])
{
    for (; from != NULL; from = bucket_more(from)) {
        for (uint32_t i = 0; i < FAASI_TABLE_SLOTS; i++) {
            void *item = bucket_item(from, i);
            uint64_t hash;

            if (item == NULL)
                continue;
            hash = table->hash_of(item);
            if (!bucket_put(half[hash >> (half[0]->depth - 1) & 1], hash, item))
                return false;
        }
    }
    return true;
}

/* Splits the bucket that `hash` belongs to. False: no memory, or it may not grow. */
static bool bucket_split(struct faasi_table *table, uint64_t hash,
                         struct faasi_graves *graves)
{
    struct faasi_directory *dir = directory(table);
    struct faasi_bucket *old = bucket_at(dir, hash);
    struct faasi_bucket *half[2];
    const uint32_t depth = old->depth;
    const uint64_t low = hash & (((uint64_t)1 << depth) - 1);

    if (depth == dir->bits) {
        if (depth >= 40 ||
            (uint64_t)1 << depth > (uint64_t)DIRECTORY_SPREAD * (table->count + 4) ||
            !directory_resize(table, depth + 1, graves))
            return false;
    }
    half[0] = faasi_graves_alloc(graves, sizeof *half[0]);
    half[1] = faasi_graves_alloc(graves, sizeof *half[1]);
    if (half[0] != NULL && half[1] != NULL) {
        half[0]->depth = half[1]->depth = depth + 1;
        if (items_part(table, old, half)) {
            directory_point(table, low, half[0]);
            directory_point(table, low | (uint64_t)1 << depth, half[1]);
            table->depths[depth]--;
            table->depths[depth + 1] += 2;
            bucket_retire(old, graves);
            return true;
        }
    }
    faasi_graves_retire(graves, half[0], sizeof *half[0]);
    faasi_graves_retire(graves, half[1], sizeof *half[1]);
    return false;
}

/* For items that the directory may not grow for: those with equal hashes, say. */
static faas_status bucket_chain(struct faasi_bucket *bucket, uint64_t hash, void *item,
                                struct faasi_graves *graves)
{
    struct faasi_bucket *more;

    for (; !bucket_put(bucket, hash, item); bucket = more) {
        more = bucket_more(bucket);
        if (more != NULL)
            continue;
        more = faasi_graves_alloc(graves, sizeof *more);
        if (more == NULL)
            return FAAS_ENOMEM;
        more->depth = bucket->depth;
        (void)bucket_put(more, hash, item);
        atomic_store_explicit(&bucket->more, more, memory_order_release);
        break;
    }
    return FAAS_OK;
}

faas_status faasi_table_add(struct faasi_table *table, void *item,
                            struct faasi_graves *graves)
{
    const uint64_t hash = table->hash_of(item);
    faas_status status;

    for (;;) {
        struct faasi_bucket *bucket = bucket_at(directory(table), hash);

        if (bucket_more(bucket) == NULL && bucket_put(bucket, hash, item))
            break;
        if (bucket_split(table, hash, graves))
            continue;
        bucket = bucket_at(directory(table), hash);
        status = bucket_chain(bucket, hash, item, graves);
        if (status != FAAS_OK)
            return status;
        break;
    }
    table->count++;
    return FAAS_OK;
}

/* Puts a bucket and its neighbour together for as long as one bucket holds both. */
static void buckets_merge(struct faasi_table *table, uint64_t hash,
                          struct faasi_graves *graves)
{
    for (;;) {
        struct faasi_directory *dir = directory(table);
        struct faasi_bucket *one = bucket_at(dir, hash), *other, *both, *halves[2];
        uint32_t depth = one->depth;

        if (depth == 0)
            return;
        other = bucket_at(dir, hash ^ (uint64_t)1 << (depth - 1));
        if (other->depth != depth || bucket_more(one) != NULL ||
            bucket_more(other) != NULL || one->count + other->count > FAASI_TABLE_SLOTS)
            return;
        both = faasi_graves_alloc(graves, sizeof *both);
        if (both == NULL)
            return;
        both->depth = depth - 1;
        halves[0] = one;
        halves[1] = other;
        for (int h = 0; h < 2; h++)
            for (uint32_t i = 0; i < FAASI_TABLE_SLOTS; i++)
                if (bucket_item(halves[h], i) != NULL)
                    (void)bucket_put(both, table->hash_of(bucket_item(halves[h], i)),
                                     bucket_item(halves[h], i));
        directory_point(table, hash, both);
        table->depths[depth] -= 2;
        table->depths[depth - 1]++;
        faasi_graves_retire(graves, one, sizeof *one);
        faasi_graves_retire(graves, other, sizeof *other);
    }
}

/* One bit of slack, so that a bucket that comes and goes does not copy the directory each
 * time. */
static void directory_shrink(struct faasi_table *table, struct faasi_graves *graves)
{
    const uint32_t bits = directory(table)->bits;

    if (bits >= 2 && table->depths[bits] == 0 && table->depths[bits - 1] == 0)
        (void)directory_resize(table, bits - 1, graves);
}

static struct faasi_bucket *slot_of(const struct faasi_table *table, const void *item,
                                    uint32_t *slot)
{
    struct faasi_bucket *bucket = bucket_at(directory(table), table->hash_of(item));

    for (; bucket != NULL; bucket = bucket_more(bucket))
        for (*slot = 0; *slot < FAASI_TABLE_SLOTS; ++*slot)
            if (bucket_item(bucket, *slot) == item)
                return bucket;
    assert(bucket != NULL);
    return NULL;
}

/* Takes an empty bucket out of a chain. Holes elsewhere in it stay until they are filled:
 * an item that moved to the front could be missed by a reader on its way to the end. */
static void chain_close(struct faasi_table *table, struct faasi_bucket *empty,
                        uint64_t hash, struct faasi_graves *graves)
{
    struct faasi_bucket *before = bucket_at(directory(table), hash);

    if (empty->count > 0 || empty == before)
        return;
    while (bucket_more(before) != empty)
        before = bucket_more(before);
    atomic_store_explicit(&before->more, bucket_more(empty), memory_order_release);
    faasi_graves_retire(graves, empty, sizeof *empty);
}

void faasi_table_remove(struct faasi_table *table, const void *item,
                        struct faasi_graves *graves)
{
    const uint64_t hash = table->hash_of(item);
    uint32_t slot;
    struct faasi_bucket *bucket = slot_of(table, item, &slot);

    if (bucket == NULL)
        return;
    bucket_set(bucket, slot, 0, NULL);
    bucket->count--;
    table->count--;
    chain_close(table, bucket, hash, graves);
    buckets_merge(table, hash, graves);
    directory_shrink(table, graves);
}

void faasi_table_replace(struct faasi_table *table, const void *item, void *by)
{
    uint32_t slot;
    struct faasi_bucket *bucket = slot_of(table, item, &slot);

    if (bucket != NULL)
        atomic_store_explicit(&bucket->items[slot], by, memory_order_release);
}

/* --- Postings --- */

static size_t list_bytes(uint32_t room)
{
    return sizeof(struct faasi_posting_list) + sizeof(_Atomic uintptr_t) * room;
}

static uintptr_t postings_word(const faasi_postings *postings)
{
    return atomic_load_explicit(postings, memory_order_relaxed);
}

/* Copies the words into a list with room for `room`, publishes it, and retires the
 * old. */
static struct faasi_posting_list *list_make(faasi_postings *postings, uint32_t room,
                                            struct faasi_graves *graves)
{
    uintptr_t word = postings_word(postings);
    struct faasi_posting_list *list = faasi_graves_alloc(graves, list_bytes(room)), *old;

    if (list == NULL)
        return NULL;
    list->room = room;
    if ((word & FAASI_POSTINGS_LIST) == 0) {
        atomic_init(&list->words[0], word);
        list->count = 1;
    } else {
        old = faasi_posting_list(word);
        for (uint32_t i = 0; i < old->room; i++) {
            uintptr_t one = atomic_load_explicit(&old->words[i], memory_order_relaxed);

            if (one != 0)
                atomic_init(&list->words[list->count++], one);
        }
        faasi_graves_retire(graves, old, list_bytes(old->room));
    }
    atomic_store_explicit(postings, (uintptr_t)list | FAASI_POSTINGS_LIST,
                          memory_order_release);
    return list;
}

faas_status faasi_postings_add(faasi_postings *postings, uintptr_t word,
                               struct faasi_graves *graves)
{
    uintptr_t now = postings_word(postings);
    struct faasi_posting_list *list;

    if (now == 0) {
        atomic_store_explicit(postings, word, memory_order_release);
        return FAAS_OK;
    }
    list = (now & FAASI_POSTINGS_LIST) == 0 ? NULL : faasi_posting_list(now);
    if (list == NULL || list->count == list->room) {
        uint32_t count = list == NULL ? 1 : list->count;

        list = list_make(postings, count < LIST_EXACT ? count + 1 : count + count / 2,
                         graves);
        if (list == NULL)
            return FAAS_ENOMEM;
    }
    /* Holes are rare, and most often the end is free: look there first. */
    for (uint32_t i = list->count;; i = i == 0 ? list->room - 1 : i - 1) {
        if (i < list->room &&
            atomic_load_explicit(&list->words[i], memory_order_relaxed) == 0) {
            atomic_store_explicit(&list->words[i], word, memory_order_release);
            break;
        }
    }
    list->count++;
    return FAAS_OK;
}

static void list_shrink(faasi_postings *postings, struct faasi_graves *graves)
{
    struct faasi_posting_list *list = faasi_posting_list(postings_word(postings));
    uintptr_t word = 0;

    if (list->count <= 1) {
        for (uint32_t i = 0; i < list->room; i++)
            if (atomic_load_explicit(&list->words[i], memory_order_relaxed) != 0)
                word = atomic_load_explicit(&list->words[i], memory_order_relaxed);
        atomic_store_explicit(postings, word, memory_order_release);
        faasi_graves_retire(graves, list, list_bytes(list->room));
    } else if (list->count <= LIST_EXACT) {
        (void)list_make(postings, list->count, graves);
    } else if (list->count < list->room / 2) {
        (void)list_make(postings, list->count + list->count / 4, graves);
    }
}

void faasi_postings_remove(faasi_postings *postings, uintptr_t word,
                           struct faasi_graves *graves)
{
    uintptr_t now = postings_word(postings);
    struct faasi_posting_list *list;

    if (now == word)
        atomic_store_explicit(postings, 0, memory_order_release);
    if ((now & FAASI_POSTINGS_LIST) == 0)
        return;
    list = faasi_posting_list(now);
    for (uint32_t i = 0; i < list->room; i++) {
        if (atomic_load_explicit(&list->words[i], memory_order_relaxed) == word) {
            atomic_store_explicit(&list->words[i], 0, memory_order_release);
            list->count--;
            list_shrink(postings, graves);
            return;
        }
    }
}

uint32_t faasi_postings_count(const faasi_postings *postings)
{
    uintptr_t now = postings_word(postings);

    if ((now & FAASI_POSTINGS_LIST) == 0)
        return now != 0;
    return faasi_posting_list(now)->count;
}

void faasi_postings_close(faasi_postings *postings, struct faasi_graves *graves)
{
    uintptr_t now = postings_word(postings);

    if ((now & FAASI_POSTINGS_LIST) != 0)
        faasi_graves_retire(graves, faasi_posting_list(now),
                            list_bytes(faasi_posting_list(now)->room));
    atomic_store_explicit(postings, 0, memory_order_relaxed);
}

/* --- Lengths --- */

static size_t lengths_bytes(uint32_t count)
{
    return sizeof(struct faasi_lengths) +
           sizeof((struct faasi_lengths *)NULL)->list[0] * count;
}

static void lengths_publish(faasi_length_set *set, struct faasi_lengths *lengths,
                            struct faasi_graves *graves)
{
    struct faasi_lengths *old = atomic_load_explicit(set, memory_order_relaxed);

    atomic_store_explicit(set, lengths, memory_order_release);
    if (old != NULL)
        faasi_graves_retire(graves, old, lengths_bytes(old->count));
}

faas_status faasi_lengths_add(faasi_length_set *set, uint32_t length,
                              struct faasi_graves *graves)
{
    struct faasi_lengths *old = atomic_load_explicit(set, memory_order_relaxed), *now;
    uint32_t count = old == NULL ? 0 : old->count, at = 0;

    while (at < count && old->list[at].length < length)
        at++;
    if (at < count && old->list[at].length == length) {
        old->list[at].references++;
        return FAAS_OK;
    }
    now = faasi_graves_alloc(graves, lengths_bytes(count + 1));
    if (now == NULL)
        return FAAS_ENOMEM;
    now->count = count + 1;
    if (at > 0)
        memcpy(now->list, old->list, sizeof now->list[0] * at);
    if (at < count)
        memcpy(&now->list[at + 1], &old->list[at], sizeof now->list[0] * (count - at));
    now->list[at].length = length;
    now->list[at].references = 1;
    lengths_publish(set, now, graves);
    return FAAS_OK;
}

void faasi_lengths_remove(faasi_length_set *set, uint32_t length,
                          struct faasi_graves *graves)
{
    struct faasi_lengths *old = atomic_load_explicit(set, memory_order_relaxed), *now;
    uint32_t at = 0;

    while (old->list[at].length != length)
        at++;
    if (--old->list[at].references > 0)
        return;
    if (old->count == 1) {
        lengths_publish(set, NULL, graves);
        return;
    }
    now = faasi_graves_alloc(graves, lengths_bytes(old->count - 1));
    if (now == NULL)
        return;
    now->count = old->count - 1;
    memcpy(now->list, old->list, sizeof now->list[0] * at);
    memcpy(&now->list[at], &old->list[at + 1], sizeof now->list[0] * (now->count - at));
    lengths_publish(set, now, graves);
}

void faasi_lengths_close(faasi_length_set *set, struct faasi_graves *graves)
{
    lengths_publish(set, NULL, graves);
}

/* --- Ranges: a treap of which each edit copies the path it changes --- */

static uint64_t range_weight(int64_t low, int64_t high)
{
    uint64_t x = (uint64_t)low * 0x9E3779B97F4A7C15u ^ (uint64_t)high;

    x = (x ^ x >> 32) * 0xD6E8FEB86659FD93u;
    x = (x ^ x >> 32) * 0xD6E8FEB86659FD93u;
    return x ^ x >> 32;
}

static int range_compare(const struct faasi_range *range, int64_t low, int64_t high)
{
    if (range->low != low)
        return low < range->low ? -1 : 1;
    if (range->high != high)
        return high < range->high ? -1 : 1;
    return 0;
}

static void range_reach(struct faasi_range *range)
{
    range->reach = range->high;
    if (range->left != NULL && range->left->reach > range->reach)
        range->reach = range->left->reach;
    if (range->right != NULL && range->right->reach > range->reach)
        range->reach = range->right->reach;
}

/* Copies that an edit has made, until it is known that all of them could be. */
struct range_edit {
    struct faasi_graves *graves;
    uint32_t made_count;
    uint32_t gone_count;
    bool failed;
    struct faasi_range *made[256];
    struct faasi_range *gone[256];
};

static struct faasi_range *range_new(struct range_edit *edit)
{
    struct faasi_range *range = NULL;

    if (!edit->failed && edit->made_count < FAASI_COUNT(edit->made))
        range = faasi_graves_alloc(edit->graves, sizeof *range);
    if (range == NULL)
        edit->failed = true;
    else
        edit->made[edit->made_count++] = range;
    return range;
}

/* A copy that may be changed, in the place of `range`; the same one if it is a copy. */
static struct faasi_range *range_copy(struct range_edit *edit, struct faasi_range *range)
{
    struct faasi_range *copy;

    if (edit->gone_count == FAASI_COUNT(edit->gone))
        edit->failed = true;
    copy = range_new(edit);
    if (copy == NULL)
        return NULL;
    copy->low = range->low;
    copy->high = range->high;
    copy->reach = range->reach;
    copy->weight = range->weight;
    copy->left = range->left;
    copy->right = range->right;
    atomic_init(&copy->postings, postings_word(&range->postings));
    edit->gone[edit->gone_count++] = range;
    return copy;
}

/* Parts a tree into what is before (low, high) and what is behind. */
static void ranges_split(struct range_edit *edit, struct faasi_range *tree, int64_t low,
                         int64_t high, struct faasi_range **before,
                         struct faasi_range **behind)
{
    struct faasi_range *copy;

    *before = *behind = NULL;
    if (tree == NULL)
        return;
    copy = range_copy(edit, tree);
    if (copy == NULL)
        return;
    if (range_compare(tree, low, high) > 0) {
        ranges_split(edit, tree->right, low, high, &copy->right, behind);
        *before = copy;
    } else {
        ranges_split(edit, tree->left, low, high, before, &copy->left);
        *behind = copy;
    }
    range_reach(copy);
}

static struct faasi_range *ranges_join(struct range_edit *edit,
                                       struct faasi_range *before,
                                       struct faasi_range *behind)
{
    struct faasi_range *copy;

    if (before == NULL || behind == NULL)
        return before == NULL ? behind : before;
    copy = range_copy(edit, before->weight >= behind->weight ? before : behind);
    if (copy == NULL)
        return NULL;
    if (before->weight >= behind->weight)
        copy->right = ranges_join(edit, before->right, behind);
    else
        copy->left = ranges_join(edit, before, behind->left);
    range_reach(copy);
    return copy;
}

/* `fresh` goes in where its weight is greater than that of what is below. */
static struct faasi_range *range_insert(struct range_edit *edit, struct faasi_range *tree,
                                        struct faasi_range *fresh)
{
    struct faasi_range *copy;

    if (tree == NULL || fresh->weight > tree->weight) {
        ranges_split(edit, tree, fresh->low, fresh->high, &fresh->left, &fresh->right);
        range_reach(fresh);
        return fresh;
    }
    copy = range_copy(edit, tree);
    if (copy == NULL)
        return NULL;
    if (range_compare(tree, fresh->low, fresh->high) < 0)
        copy->left = range_insert(edit, tree->left, fresh);
    else
        copy->right = range_insert(edit, tree->right, fresh);
    range_reach(copy);
    return copy;
}

static struct faasi_range *range_delete(struct range_edit *edit, struct faasi_range *tree,
                                        int64_t low, int64_t high)
{
    int order = range_compare(tree, low, high);
    struct faasi_range *copy;

    if (order == 0) {
        if (edit->gone_count == FAASI_COUNT(edit->gone))
            edit->failed = true;
        else
            edit->gone[edit->gone_count++] = tree;
        return ranges_join(edit, tree->left, tree->right);
    }
    copy = range_copy(edit, tree);
    if (copy == NULL)
        return NULL;
    if (order < 0)
        copy->left = range_delete(edit, tree->left, low, high);
    else
        copy->right = range_delete(edit, tree->right, low, high);
    range_reach(copy);
    return copy;
}

/* Publishes the new tree and retires what it replaces, or takes everything back. */
static faas_status range_edit_end(struct range_edit *edit, faasi_ranges *ranges,
                                  struct faasi_range *root)
{
    if (edit->failed) {
        for (uint32_t i = 0; i < edit->made_count; i++)
            faasi_graves_retire(edit->graves, edit->made[i], sizeof *edit->made[i]);
        return FAAS_ENOMEM;
    }
    atomic_store_explicit(ranges, root, memory_order_release);
    for (uint32_t i = 0; i < edit->gone_count; i++)
        faasi_graves_retire(edit->graves, edit->gone[i], sizeof *edit->gone[i]);
    return FAAS_OK;
}

static struct faasi_range *range_find(const faasi_ranges *ranges, int64_t low,
                                      int64_t high)
{
    struct faasi_range *range = atomic_load_explicit(ranges, memory_order_relaxed);
    int order;

    while (range != NULL && (order = range_compare(range, low, high)) != 0)
        range = order < 0 ? range->left : range->right;
    return range;
}

faas_status faasi_ranges_add(faasi_ranges *ranges, int64_t low, int64_t high,
                             uintptr_t word, struct faasi_graves *graves)
{
    struct faasi_range *range = range_find(ranges, low, high);
    struct range_edit edit;

    if (range != NULL)
        return faasi_postings_add(&range->postings, word, graves);
    edit.graves = graves;
    edit.made_count = edit.gone_count = 0;
    edit.failed = false;
    range = range_new(&edit);
    if (range != NULL) {
        range->low = low;
        range->high = high;
        range->weight = range_weight(low, high);
        atomic_init(&range->postings, word);
        range = range_insert(&edit, atomic_load_explicit(ranges, memory_order_relaxed),
                             range);
    }
    return range_edit_end(&edit, ranges, range);
}

void faasi_ranges_remove(faasi_ranges *ranges, int64_t low, int64_t high, uintptr_t word,
                         struct faasi_graves *graves)
{
    struct faasi_range *range = range_find(ranges, low, high), *root;
    struct range_edit edit;

    if (range == NULL)
        return;
    faasi_postings_remove(&range->postings, word, graves);
    if (postings_word(&range->postings) != 0)
        return;
    edit.graves = graves;
    edit.made_count = edit.gone_count = 0;
    edit.failed = false;
    root = range_delete(&edit, atomic_load_explicit(ranges, memory_order_relaxed), low,
                        high);
    (void)range_edit_end(&edit, ranges, root);
}

static void range_close(struct faasi_range *range, struct faasi_graves *graves)
{
    if (range == NULL)
        return;
    range_close(range->left, graves);
    range_close(range->right, graves);
    faasi_postings_close(&range->postings, graves);
    faasi_graves_retire(graves, range, sizeof *range);
}

void faasi_ranges_close(faasi_ranges *ranges, struct faasi_graves *graves)
{
    range_close(atomic_load_explicit(ranges, memory_order_relaxed), graves);
    atomic_store_explicit(ranges, NULL, memory_order_relaxed);
}
