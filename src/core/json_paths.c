/* SPDX-License-Identifier: MIT */
/* json_paths.c - the trie of the paths that rules name, and the slow search in it. */
#include "json_impl.h"
#include "mem.h"

#include <stdatomic.h>
#include <stdlib.h>

static _Atomic uint64_t serial_last;

/* A step of a path while the trie is built: sorted, equal prefixes become neighbours. */
struct step {
    const struct faasi_json_path *path;
    uint32_t number;
};

static int bytes_compare(faas_bytes a, faas_bytes b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size == 0 ? 0 : memcmp(a.data, b.data, size);

    if (order != 0)
        return order;
    return a.size < b.size ? -1 : a.size > b.size;
}

static int step_compare(const void *left, const void *right)
{
    const struct step *a = left, *b = right;

    for (size_t i = 0; i < a->path->key_count && i < b->path->key_count; i++) {
        int order = bytes_compare(a->path->keys[i], b->path->keys[i]);

        if (order != 0)
            return order;
    }
    if (a->path->key_count != b->path->key_count)
        return a->path->key_count < b->path->key_count ? -1 : 1;
    return a->number < b->number ? -1 : a->number > b->number;
}

#define HASH_START 0xCBF29CE484222325U

static uint64_t hash_add(uint64_t hash, const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001B3U;
    return hash;
}

static uint32_t hash_end(uint64_t hash)
{
    return (uint32_t)((hash * 0x9E3779B97F4A7C15U) >> 32);
}

/* A power of two with room for `count` children at half load, or 0 if they are few. */
static uint32_t slots_for(uint32_t count)
{
    uint32_t slots = 16;

    if (count <= JSON_LINEAR_MAX)
        return 0;
    while (slots < 2 * (uint64_t)count)
        slots *= 2;
    return slots;
}

/* The sixteen bytes before the colon, as far as the key and its quotes fill them. */
static void node_key(struct json_node *node, const unsigned char *key)
{
    unsigned char word[16] = {0}, mask[16] = {0};

    word[15] = '"';
    mask[15] = 0xFF;
    for (size_t i = 0; i < 15 && i <= node->size; i++) {
        word[14 - i] = i == node->size ? '"' : key[node->size - 1 - i];
        mask[14 - i] = 0xFF;
    }
    node->word = json_load(word + 8);
    node->mask = json_load(mask + 8);
    node->word2 = json_load(word);
    node->mask2 = json_load(mask);
    for (size_t i = 0; i < node->size; i++) {
        if (key[i] == '"' || key[i] == '\\' || key[i] < 0x20) {
            node->word = 1;
            node->mask = 0;
        }
    }
}

/* What a trie of `steps` takes. */
struct room {
    size_t nodes, slots, text;
};

/* Steps [from, to) share their first `level` keys. Calls `child` for every run of them
 * that shares the next key too. */
struct run {
    size_t from, to;
};

static bool run_next(const struct step *steps, size_t to, size_t level, struct run *run)
{
    run->from = run->to;
    while (run->from < to && steps[run->from].path->key_count <= level)
        run->from++;
    if (run->from == to)
        return false;
    run->to = run->from + 1;
    while (run->to < to && bytes_compare(steps[run->from].path->keys[level],
                                         steps[run->to].path->keys[level]) == 0)
        run->to++;
    return true;
}

/* One node still to be given its children: breadth first, so that they are neighbours. */
struct task {
    size_t from, to;
    size_t level;
};

/* Fills in the children of every node; with `set` NULL it only counts. `tasks` has room
 * for every node. */
static struct room trie_build(struct faasi_json_paths *set, const struct step *steps,
                              size_t count, struct task *tasks)
{
    struct room room = {.nodes = 1};

    tasks[0] = (struct task){0, count, 0};
    for (size_t at = 0; at < room.nodes; at++) {
        struct task task = tasks[at];
        struct run run = {task.from, task.from};
        uint32_t first = (uint32_t)room.nodes, children, slots;

        while (run_next(steps, task.to, task.level, &run)) {
            faas_bytes key = steps[run.from].path->keys[task.level];

            tasks[room.nodes] = (struct task){run.from, run.to, task.level + 1};
            if (set != NULL) {
                struct json_node *node = &set->nodes[room.nodes];

                node->size = (uint32_t)key.size;
                node->text = (uint32_t)room.text;
                if (key.size != 0)
                    memcpy(set->text + room.text, key.data, key.size);
                node_key(node, set->text + room.text);
                if (steps[run.from].path->key_count == task.level + 1)
                    node->field = steps[run.from].number;
            }
            room.nodes++;
            room.text += key.size;
        }
        children = (uint32_t)room.nodes - first;
        slots = slots_for(children);
        if (set != NULL) {
            struct json_node *node = &set->nodes[at];

            node->first = first;
            node->count = children;
            node->full = children > 64    ? 0
                         : children == 64 ? UINT64_MAX
                                          : (1ULL << children) - 1;
            node->slot = (uint32_t)room.slots;
            node->slot_mask = slots == 0 ? 0 : slots - 1;
            for (uint32_t i = 0; i < children && slots != 0; i++) {
                const struct json_node *child = &set->nodes[first + i];
                uint32_t slot =
                    hash_end(hash_add(HASH_START, set->text + child->text, child->size));

                while (set->slots[node->slot + (slot & node->slot_mask)] != 0)
                    slot++;
                set->slots[node->slot + (slot & node->slot_mask)] = first + i;
            }
        }
        room.slots += slots;
    }
    return room;
}

/* Lays out the set for `room` in one block. */
static struct faasi_json_paths *set_alloc(struct room room, const faas_allocator *alloc)
{
    size_t nodes = faasi_round_up(sizeof(struct faasi_json_paths), FAASI_ALIGN);
    size_t slots = nodes + room.nodes * sizeof(struct json_node);
    size_t text = slots + room.slots * sizeof(uint32_t);
    struct faasi_json_paths *set = faasi_alloc_zeroed(alloc, text + room.text);

    if (set == NULL)
        return NULL;
    set->alloc = alloc;
    set->bytes = text + room.text;
    set->serial = atomic_fetch_add_explicit(&serial_last, 1, memory_order_relaxed) + 1;
    set->nodes = (struct json_node *)(void *)((char *)set + nodes);
    set->slots = (uint32_t *)(void *)((char *)set + slots);
    set->text = (unsigned char *)set + text;
    for (size_t i = 0; i < room.nodes; i++)
        set->nodes[i].field = JSON_NONE;
    return set;
}

faas_status faasi_json_paths_open(struct faasi_json_paths **out,
                                  const struct faasi_json_path *paths, size_t count,
                                  const faas_allocator *alloc)
{
    size_t step_bytes = count * sizeof(struct step), task_count = 1, task_bytes;
    faas_status status = FAAS_ENOMEM;
    struct step *steps;
    struct task *tasks;

    *out = NULL;
    alloc = faasi_allocator_or_default(alloc);
    for (size_t i = 0; i < count; i++) {
        if (paths[i].key_count == 0 || paths[i].key_count >= FAASI_JSON_DEPTH_MAX)
            return faasi_fail(FAAS_EINVAL, "path: %zu keys; 1 to %d are allowed",
                              paths[i].key_count, FAASI_JSON_DEPTH_MAX - 1);
        task_count += paths[i].key_count;
    }
    task_bytes = task_count * sizeof(struct task);
    steps = faasi_alloc(alloc, step_bytes);
    tasks = faasi_alloc(alloc, task_bytes);
    if (steps != NULL && tasks != NULL) {
        for (size_t i = 0; i < count; i++)
            steps[i] = (struct step){&paths[i], (uint32_t)i};
        if (count > 1)
            qsort(steps, count, sizeof *steps, step_compare);
        *out = set_alloc(trie_build(NULL, steps, count, tasks), alloc);
        if (*out != NULL) {
            trie_build(*out, steps, count, tasks);
            status = FAAS_OK;
        }
    }
    faasi_free(alloc, steps, step_bytes);
    faasi_free(alloc, tasks, task_bytes);
    return status == FAAS_OK ? FAAS_OK
                             : faasi_fail(status, "paths: no memory for %zu", count);
}

void faasi_json_paths_close(struct faasi_json_paths *paths)
{
    if (paths != NULL)
        faasi_free(paths->alloc, paths, paths->bytes);
}

size_t faasi_json_paths_bytes(const struct faasi_json_paths *paths)
{
    return paths->bytes;
}

static uint32_t child_by_hash(const struct faasi_json_paths *paths,
                              const struct json_node *node, uint64_t hash,
                              const char *raw, size_t size)
{
    for (uint32_t slot = hash_end(hash);; slot++) {
        uint32_t at = paths->slots[node->slot + (slot & node->slot_mask)];
        const struct json_node *child = &paths->nodes[at];

        if (at == 0)
            return 0;
        if (faasi_json_string_is(raw, size,
                                 faas_bytes_of(paths->text + child->text, child->size)))
            return at;
    }
}

static uint32_t child_find(const struct faasi_json_paths *paths,
                           const struct json_node *node, const char *raw, size_t size)
{
    const char *from = raw, *end = raw + size;
    uint64_t hash = HASH_START;

    if (node->count > JSON_LINEAR_MAX) {
        while (from < end) {
            unsigned char piece[64];
            size_t got = faasi_json_unescape(&from, end, (char *)piece, sizeof piece);

            hash = hash_add(hash, piece, got);
        }
        return child_by_hash(paths, node, hash, raw, size);
    }
    for (uint32_t i = 0; i < node->count; i++) {
        const struct json_node *child = &paths->nodes[node->first + i];

        if (child->size <= size &&
            faasi_json_string_is(raw, size,
                                 faas_bytes_of(paths->text + child->text, child->size)))
            return node->first + i;
    }
    return 0;
}

/* Says whether an odd number of backslashes stands before text[at]. The quote that begins
 * a string has an even number before it even in a text that is no JSON: the kernels would
 * not take it for one otherwise. So the search below never leaves the string. */
static bool quote_is_escaped(const unsigned char *text, size_t at)
{
    size_t slash = at;

    while (slash > 0 && text[slash - 1] == '\\')
        slash--;
    return (at - slash) % 2 != 0;
}

uint32_t faasi_json_key_slow(const struct faasi_json_paths *paths,
                             const struct json_node *node, const unsigned char *text,
                             size_t at)
{
    size_t begin;

    while (at > 0 && json_is_space(text[at - 1]))
        at--;
    if (at < 2 || text[at - 1] != '"')
        return 0;
    for (begin = at - 2; begin > 0; begin--)
        if (text[begin] == '"' && !quote_is_escaped(text, begin))
            break;
    if (text[begin] != '"')
        return 0;
    return child_find(paths, node, (const char *)text + begin + 1, at - begin - 2);
}

struct shape *faasi_json_shape(void)
{
    static _Thread_local struct shape shape;

    return &shape;
}

/* Returns where the key at `at` ends, behind its colon, or 0. */
static size_t shape_key(struct shape_member *member, const unsigned char *text, size_t at,
                        size_t end)
{
    unsigned char bytes[16] = {0}, mask[16] = {0};
    size_t size = 1;

    while (size < 15 && at + size < end && text[at + size] != '"' &&
           text[at + size] != '\\' && text[at + size] >= 0x20)
        size++;
    if (size >= 15 || at + size + 1 >= end || text[at] != '"' || text[at + size] != '"' ||
        text[at + size + 1] != ':')
        return 0;
    size += 2;
    memcpy(bytes, text + at, size);
    memset(mask, 0xFF, size);
    member->word = json_load(bytes);
    member->mask = json_load(mask);
    member->word2 = json_load(bytes + 8);
    member->mask2 = json_load(mask + 8);
    member->size = (uint32_t)size;
    return at + size;
}

/* Returns where the scalar at `at` ends, or 0. */
static size_t shape_value(const unsigned char *text, size_t at, size_t end)
{
    const bool string = text[at] == '"';

    for (at += string; at < end; at++) {
        if (string ? text[at] == '"' : text[at] == ',')
            return at + string;
        if (string ? text[at] == '\\'
                   : text[at] <= ' ' || text[at] == '{' || text[at] == '[')
            return 0;
    }
    return string ? 0 : end;
}

void faasi_json_shape_take(struct shape *shape, const struct faasi_json_paths *paths,
                           uint32_t node, const unsigned char *text, size_t begin,
                           size_t end)
{
    const struct json_node *at_node = paths->nodes + node;
    uint64_t seen = 0;
    size_t at = begin;

    shape->wait = shape->served < SHAPE_WORTH ? SHAPE_WORTH * SHAPE_WORTH : 0;
    shape->serial = 0;
    shape->served = 0;
    shape->missed = 0;
    shape->node = node;
    shape->count = 0;
    do {
        struct shape_member *member = &shape->members[shape->count];
        uint32_t child;

        at = shape->count == SHAPE_MAX ? 0 : shape_key(member, text, at + 1, end);
        if (at == 0 || at == end)
            return;
        child = faasi_json_key_slow(paths, at_node, text, at - 1);
        member->bit = child == 0 ? 0 : (uint64_t)1 << (child - at_node->first) % 64;
        member->field = child == 0 ? JSON_NONE : paths->nodes[child].field;
        at = shape_value(text, at, end);
        if (at == 0 || (seen & member->bit) != 0)
            return;
        seen |= member->bit;
        shape->count++;
    } while (at < end && text[at] == ',');
    if (at == end)
        shape->serial = paths->serial;
}
