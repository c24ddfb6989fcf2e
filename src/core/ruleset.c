/* SPDX-License-Identifier: MIT */
/* ruleset.c - rule sets: opening, closing, and edits while others match. */
#include "ruleset.h"

#include "grace.h"
#include "hash.h"
#include "mem.h"
#include "pattern_tree.h"
#include "ruleset_state.h"

#include <stddef.h>

#define NAME_BYTES_MAX 65536
#define SCRATCH_BYTES_MIN 65536u
#define SCRATCH_BYTES_MAX (1u << 30)

/* What is dead may take this part of what lives, in bytes, before it is cleared away. */
#define DEAD_PART 32

/* How many rules an edit unlinks beyond its own, so that no edit does the work of
 * many. */
#define UNLINK_PER_EDIT 2

/* --- Where a condition is indexed --- */

struct access {
    enum faasi_access kind;
    bool verify; /* being found there does not say that the condition holds */
    uint32_t size;
    uint32_t length; /* for the field's set of lengths */
    const char *bytes;
    int64_t low;
    int64_t high;
    char own[24]; /* of a key that is not a text */
};

static void access_own(struct access *access, enum faasi_access kind, const void *bytes,
                       uint32_t size)
{
    access->kind = kind;
    memcpy(access->own, bytes, size);
    access->size = size;
    access->bytes = NULL;
}

static void access_text(struct access *access, enum faasi_access kind, const char *text,
                        uint32_t size)
{
    access->kind = kind;
    access->bytes = text;
    access->size = size;
    access->length = size;
}

/* A wildcard is found by the longer of its two ends. */
static void access_wildcard(struct access *access, const struct faasi_cond *cond)
{
    const struct faasi_cond *first = cond->list, *last = cond->list + cond->size - 1;

    access->verify = true;
    if (first->size == 0 && last->size == 0)
        access->kind = FAASI_ACCESS_SCAN;
    else if (first->size >= last->size)
        access_text(access, FAASI_ACCESS_PREFIX, first->text, first->size);
    else
        access_text(access, FAASI_ACCESS_SUFFIX, last->text, last->size);
}

static void access_of(struct access *access, const struct faasi_cond *cond);

/* Of conditions that must all hold, the one of the most telling kind. */
static void access_all(struct access *access, const struct faasi_cond *cond)
{
    access->kind = FAASI_ACCESS_COUNT;
    for (uint32_t i = 0; i < cond->size; i++) {
        struct access one = {.kind = FAASI_ACCESS_COUNT};

        access_of(&one, &cond->list[i]);
        if (one.kind < access->kind)
            *access = one;
    }
    access->verify = true;
}

static void access_of(struct access *access, const struct faasi_cond *cond)
{
    unsigned char block[17];
    unsigned char literal;

    access->verify = false;
    access->length = 0;
    switch ((enum faasi_cond_kind)cond->kind) {
    case FAASI_COND_STRING:
        access_text(access, FAASI_ACCESS_STRING, cond->text, cond->size);
        break;
    case FAASI_COND_STRING_FOLD:
        access_text(access, FAASI_ACCESS_STRING_FOLD, cond->text, cond->size);
        break;
    case FAASI_COND_PREFIX:
        access_text(access, FAASI_ACCESS_PREFIX, cond->text, cond->size);
        break;
    case FAASI_COND_SUFFIX:
        access_text(access, FAASI_ACCESS_SUFFIX, cond->text, cond->size);
        break;
    case FAASI_COND_PREFIX_FOLD:
        access_text(access, FAASI_ACCESS_PREFIX_FOLD, cond->text, cond->size);
        break;
    case FAASI_COND_SUFFIX_FOLD:
        access_text(access, FAASI_ACCESS_SUFFIX_FOLD, cond->text, cond->size);
        break;
    case FAASI_COND_NUMBER:
        access_own(access, FAASI_ACCESS_NUMBER, &cond->low, sizeof cond->low);
        break;
    case FAASI_COND_LITERAL:
        literal = (unsigned char)cond->low;
        access_own(access, FAASI_ACCESS_LITERAL, &literal, 1);
        break;
    case FAASI_COND_CIDR:
        memcpy(block, cond->text, cond->size);
        block[cond->size] = (unsigned char)cond->high;
        access_own(access, cond->size == 4 ? FAASI_ACCESS_CIDR4 : FAASI_ACCESS_CIDR6,
                   block, cond->size + 1);
        access->length = (uint32_t)cond->high;
        break;
    case FAASI_COND_RANGE:
        access->kind = FAASI_ACCESS_RANGE;
        access->low = cond->low;
        access->high = cond->high;
        break;
    case FAASI_COND_WILDCARD:
        access_wildcard(access, cond);
        break;
    case FAASI_COND_ALL:
        access_all(access, cond);
        break;
    case FAASI_COND_CONTAINS:
    case FAASI_COND_CONTAINS_FOLD:
    case FAASI_COND_NOT_NUMBER:
    case FAASI_COND_NOT:
        access->kind = FAASI_ACCESS_SCAN;
        access->verify = true;
        break;
    case FAASI_COND_EXISTS:
        access->kind = FAASI_ACCESS_SCAN;
        break;
    case FAASI_COND_ABSENT:
        access->kind = FAASI_ACCESS_ALWAYS;
        access->verify = true;
        break;
    }
}

static bool in_table(enum faasi_access kind)
{
    return kind < FAASI_ACCESS_LENGTHS;
}

static bool has_length(enum faasi_access kind)
{
    return kind >= FAASI_ACCESS_PREFIX && kind < FAASI_ACCESS_LENGTHS;
}

static const char *access_bytes(const struct access *access)
{
    return access->bytes != NULL ? access->bytes : access->own;
}

static uint64_t access_hash(const struct access *access, const struct faasi_field *field)
{
    return faasi_entry_hash(access_bytes(access), access->size, field->salt,
                            access->kind);
}

static struct faasi_table_entry *entry_find(const faas_ruleset *set,
                                            const struct faasi_field *field,
                                            const struct access *access)
{
    const uint64_t hash = access_hash(access, field);
    struct faasi_bucket *bucket = NULL;
    struct faasi_table_entry *entry;
    uint32_t slot = 0;

    while ((entry = faasi_table_next(&set->entries, hash, &bucket, &slot)) != NULL)
        if (entry->field == field && entry->kind == access->kind &&
            entry->size == access->size &&
            memcmp(entry + 1, access_bytes(access), access->size) == 0)
            return entry;
    return NULL;
}

static size_t entry_bytes(uint32_t size)
{
    return faasi_round_up(sizeof(struct faasi_table_entry) + size, 8);
}

static faas_status entry_add(faas_ruleset *set, struct faasi_field *field,
                             const struct access *access, uintptr_t word)
{
    struct faasi_table_entry *entry = entry_find(set, field, access);
    faas_status status;

    if (entry != NULL)
        return faasi_postings_add(&entry->postings, word, &set->graves);
    entry = faasi_graves_alloc(&set->graves, entry_bytes(access->size));
    if (entry == NULL)
        return FAAS_ENOMEM;
    entry->hash = access_hash(access, field);
    entry->field = field;
    entry->kind = access->kind;
    entry->size = access->size;
    atomic_init(&entry->postings, word);
    memcpy(entry + 1, access_bytes(access), access->size);
    status = faasi_table_add(&set->entries, entry, &set->graves);
    if (status != FAAS_OK)
        faasi_graves_retire(&set->graves, entry, entry_bytes(access->size));
    return status;
}

static void entry_remove(faas_ruleset *set, const struct faasi_field *field,
                         const struct access *access, uintptr_t word)
{
    struct faasi_table_entry *entry = entry_find(set, field, access);

    faasi_postings_remove(&entry->postings, word, &set->graves);
    if (faasi_postings_count(&entry->postings) > 0)
        return;
    faasi_table_remove(&set->entries, entry, &set->graves);
    faasi_graves_retire(&set->graves, entry, entry_bytes(entry->size));
}

static void field_count(struct faasi_field *field, enum faasi_access kind, bool more)
{
    const uint32_t bit = 1u << kind;
    const uint32_t kinds = atomic_load_explicit(&field->kinds, memory_order_relaxed);

    field->counts[kind] += more ? 1u : UINT32_MAX;
    atomic_store_explicit(&field->kinds,
                          field->counts[kind] > 0 ? kinds | bit : kinds & ~bit,
                          memory_order_release);
}

static void access_remove(faas_ruleset *set, struct faasi_field *field,
                          const struct access *access, uintptr_t word)
{
    if (access->verify)
        word |= FAASI_POSTING_VERIFY;
    if (in_table(access->kind))
        entry_remove(set, field, access, word);
    else if (access->kind == FAASI_ACCESS_RANGE)
        faasi_ranges_remove(&field->ranges, access->low, access->high, word,
                            &set->graves);
    else
        faasi_postings_remove(&field->scan, word, &set->graves);
    if (has_length(access->kind))
        faasi_lengths_remove(&field->lengths[access->kind - FAASI_ACCESS_PREFIX],
                             access->length, &set->graves);
    field_count(field, access->kind, false);
}

static faas_status access_add(faas_ruleset *set, struct faasi_field *field,
                              const struct access *access, uintptr_t word)
{
    faas_status status = FAAS_OK;

    if (access->verify)
        word |= FAASI_POSTING_VERIFY;
    if (has_length(access->kind))
        status = faasi_lengths_add(&field->lengths[access->kind - FAASI_ACCESS_PREFIX],
                                   access->length, &set->graves);
    if (status != FAAS_OK)
        return status;
    if (in_table(access->kind))
        status = entry_add(set, field, access, word);
    else if (access->kind == FAASI_ACCESS_RANGE)
        status = faasi_ranges_add(&field->ranges, access->low, access->high, word,
                                  &set->graves);
    else
        status = faasi_postings_add(&field->scan, word, &set->graves);
    if (status == FAAS_OK)
        field_count(field, access->kind, true);
    else if (has_length(access->kind))
        faasi_lengths_remove(&field->lengths[access->kind - FAASI_ACCESS_PREFIX],
                             access->length, &set->graves);
    return status;
}

/* --- Fields and the plan of the walk --- */

static uint64_t path_hash(const faas_bytes *keys, size_t key_count)
{
    uint64_t hash = key_count;

    for (size_t i = 0; i < key_count; i++)
        hash = faasi_entry_hash(keys[i].data, keys[i].size, hash, FAASI_ACCESS_COUNT);
    return hash;
}

static bool path_is(const struct faasi_json_path *path, const faas_bytes *keys,
                    size_t count)
{
    if (path->key_count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (path->keys[i].size != keys[i].size ||
            (keys[i].size > 0 &&
             memcmp(path->keys[i].data, keys[i].data, keys[i].size) != 0))
            return false;
    return true;
}

static struct faasi_field *field_find(const faas_ruleset *set, const faas_bytes *keys,
                                      size_t count)
{
    const uint64_t hash = path_hash(keys, count);
    struct faasi_bucket *bucket = NULL;
    struct faasi_field *field;
    uint32_t slot = 0;

    while ((field = faasi_table_next(&set->fields, hash, &bucket, &slot)) != NULL)
        if (path_is(&field->path, keys, count))
            return field;
    return NULL;
}

static void field_retire(faas_ruleset *set, struct faasi_field *field)
{
    for (size_t i = 0; i < FAASI_LENGTH_SETS; i++)
        faasi_lengths_close(&field->lengths[i], &set->graves);
    faasi_ranges_close(&field->ranges, &set->graves);
    faasi_postings_close(&field->scan, &set->graves);
    faasi_graves_retire(&set->graves, field, field->bytes);
}

static struct faasi_field *field_make(faas_ruleset *set, const faas_bytes *keys,
                                      size_t count)
{
    size_t bytes = sizeof(struct faasi_field) + sizeof(faas_bytes) * count;
    struct faasi_field *field;
    faas_bytes *copies;
    char *text;

    for (size_t i = 0; i < count; i++)
        bytes += keys[i].size;
    field = faasi_graves_alloc(&set->graves, bytes);
    if (field == NULL)
        return NULL;
    copies = (void *)(field + 1);
    text = (char *)(copies + count);
    for (size_t i = 0; i < count; i++) {
        copies[i] = faas_bytes_of(text, keys[i].size);
        if (keys[i].size > 0)
            memcpy(text, keys[i].data, keys[i].size);
        text += keys[i].size;
    }
    field->bytes = bytes;
    field->path.keys = copies;
    field->path.key_count = count;
    field->hash = path_hash(keys, count);
    field->salt = ++set->salt_next * 0x9E3779B97F4A7C15u;
    if (faasi_table_add(&set->fields, field, &set->graves) != FAAS_OK) {
        faasi_graves_retire(&set->graves, field, bytes);
        return NULL;
    }
    return field;
}

static size_t plan_bytes(uint32_t field_count)
{
    return sizeof(struct faasi_plan) + sizeof(struct faasi_field *) * field_count;
}

static void plan_retire(faas_ruleset *set, struct faasi_plan *plan)
{
    faasi_graves_retire_paths(&set->graves, plan->paths);
    faasi_graves_retire(&set->graves, plan, plan_bytes(plan->field_count));
}

static faas_status plan_paths(faas_ruleset *set, struct faasi_plan *plan)
{
    struct faasi_json_path *paths =
        faasi_alloc(set->alloc, sizeof *paths * plan->field_count);
    faas_status status;

    if (paths == NULL)
        return faasi_fail(FAAS_ENOMEM, "rule set: no memory for %u fields",
                          plan->field_count);
    for (uint32_t i = 0; i < plan->field_count; i++)
        paths[i] = plan->fields[i]->path;
    status = faasi_json_paths_open(&plan->paths, paths, plan->field_count, set->alloc);
    faasi_free(set->alloc, paths, sizeof *paths * plan->field_count);
    if (status == FAAS_OK)
        set->graves.live_bytes += faasi_json_paths_bytes(plan->paths);
    return status;
}

/* Makes a plan of the fields that rules look at, those of the old one and fresh ones. */
static faas_status plan_renew(faas_ruleset *set, struct faasi_field *fresh)
{
    struct faasi_plan *old = atomic_load_explicit(&set->plan, memory_order_relaxed),
                      *plan;
    uint32_t count = 0;

    for (uint32_t i = 0; i < old->field_count; i++)
        count += old->fields[i]->rule_count > 0;
    for (struct faasi_field *field = fresh; field != NULL; field = field->fresh)
        count++;
    plan = faasi_graves_alloc(&set->graves, plan_bytes(count));
    if (plan == NULL)
        return FAAS_ENOMEM;
    for (uint32_t i = 0; i < old->field_count; i++)
        if (old->fields[i]->rule_count > 0)
            plan->fields[plan->field_count++] = old->fields[i];
    for (struct faasi_field *field = fresh; field != NULL; field = field->fresh)
        plan->fields[plan->field_count++] = field;
    if (count > 0 && plan_paths(set, plan) != FAAS_OK) {
        faasi_graves_retire(&set->graves, plan, plan_bytes(count));
        return FAAS_ENOMEM;
    }
    atomic_store_explicit(&set->plan, plan, memory_order_release);
    for (uint32_t i = 0; i < old->field_count; i++) {
        if (old->fields[i]->rule_count > 0)
            continue;
        faasi_table_remove(&set->fields, old->fields[i], &set->graves);
        field_retire(set, old->fields[i]);
    }
    plan_retire(set, old);
    return FAAS_OK;
}

/* Lets go of the fields of the first `count` leaves. `fresh` are in no plan yet. */
static void fields_release(faas_ruleset *set, struct faasi_rule *rule, uint32_t count,
                           struct faasi_field *fresh)
{
    struct faasi_field *next;
    bool idle = false;

    for (uint32_t i = 0; i < count; i++)
        idle |= --rule->leaves[i].field->rule_count == 0;
    if (fresh == NULL && idle)
        (void)plan_renew(set, NULL); // without memory idle fields stay until the next one
    for (; fresh != NULL; fresh = next) {
        next = fresh->fresh;
        faasi_table_remove(&set->fields, fresh, &set->graves);
        field_retire(set, fresh);
    }
}

static faas_status fields_take(faas_ruleset *set, struct faasi_rule *rule,
                               const struct faasi_pattern *pattern)
{
    struct faasi_field *fresh = NULL, *field;
    faas_status status = FAAS_OK;
    uint32_t i;

    for (i = 0; i < pattern->leaf_count; i++) {
        const struct faasi_leaf *leaf = &pattern->leaves[i];

        field = field_find(set, leaf->path, leaf->path_count);
        if (field == NULL) {
            field = field_make(set, leaf->path, leaf->path_count);
            if (field == NULL) {
                status = FAAS_ENOMEM;
                break;
            }
            field->fresh = fresh;
            fresh = field;
        }
        field->rule_count++;
        rule->leaves[i].field = field;
    }
    if (status == FAAS_OK && fresh != NULL)
        status = plan_renew(set, fresh);
    if (status != FAAS_OK)
        fields_release(set, rule, i, fresh);
    return status;
}

/* --- Rules --- */

static size_t rule_bytes(const struct faasi_pattern *pattern, size_t name_size)
{
    size_t bytes = sizeof(struct faasi_rule) +
                   sizeof(struct faasi_rule_sub) * pattern->sub_count +
                   sizeof(struct faasi_rule_leaf) * pattern->leaf_count;
    size_t indices = 0;

    for (uint32_t i = 0; i < pattern->sub_count; i++)
        indices += pattern->subs[i].leaf_count;
    bytes += faasi_round_up(sizeof(uint32_t) * indices, 8);
    for (uint32_t i = 0; i < pattern->leaf_count; i++)
        bytes +=
            sizeof(struct faasi_cond) * pattern->leaves[i].cond_count +
            faasi_conds_bytes(pattern->leaves[i].conds, pattern->leaves[i].cond_count);
    return bytes + name_size + 1;
}

static void leaf_fill(struct faasi_rule_leaf *leaf, const struct faasi_leaf *from,
                      char **room)
{
    struct faasi_cond *conds = (void *)*room;

    *room += sizeof *conds * from->cond_count;
    faasi_conds_copy(conds, from->conds, from->cond_count, room);
    leaf->conds = conds;
    leaf->cond_count = from->cond_count;
    leaf->absent = false;
    for (uint32_t i = 0; i < from->cond_count; i++)
        leaf->absent |= conds[i].kind == FAASI_COND_ABSENT;
}

/* Whether two leaves that have values may lie in one array: then their paths begin with
 * the same key. Keys are told apart by a few bits of their hash; an error costs time. */
static bool sub_is_joint(const struct faasi_rule *rule, const struct faasi_rule_sub *sub)
{
    uint64_t seen[16] = {0};

    for (uint32_t i = 0; i < sub->leaf_count; i++) {
        const struct faasi_rule_leaf *leaf = &rule->leaves[sub->leaves[i]];
        const faas_bytes *key = &leaf->field->path.keys[0];
        uint64_t hash;

        if (leaf->cond_count == 1 && leaf->absent)
            continue;
        hash = faasi_hash(key->data, key->size);
        if ((seen[hash >> 6 & 15] >> (hash & 63) & 1) != 0)
            return true;
        seen[hash >> 6 & 15] |= (uint64_t)1 << (hash & 63);
    }
    return false;
}

static struct faasi_rule *rule_make(faas_ruleset *set, const char *name,
                                    const struct faasi_pattern *pattern, void *user)
{
    const size_t name_size = strlen(name), bytes = rule_bytes(pattern, name_size);
    struct faasi_rule *rule;
    uint32_t *indices;
    char *room;

    if (bytes > UINT32_MAX) {
        (void)faasi_fail(FAAS_ENOMEM, "rule: %zu bytes are too many", bytes);
        return NULL;
    }
    rule = faasi_graves_alloc(&set->graves, bytes);
    if (rule == NULL)
        return NULL;
    rule->bytes = (uint32_t)bytes;
    rule->user = user;
    rule->sub_count = pattern->sub_count;
    rule->leaf_count = pattern->leaf_count;
    atomic_init(&rule->died, UINT64_MAX);
    rule->subs = (void *)(rule + 1);
    rule->leaves = (void *)(rule->subs + rule->sub_count);
    indices = (void *)(rule->leaves + rule->leaf_count);
    for (uint32_t i = 0; i < rule->sub_count; i++) {
        const struct faasi_sub *from = &pattern->subs[i];

        rule->subs[i].rule = rule;
        rule->subs[i].leaves = indices;
        rule->subs[i].leaf_count = from->leaf_count;
        memcpy(indices, from->leaves, sizeof *indices * from->leaf_count);
        indices += from->leaf_count;
    }
    room = (char *)rule + faasi_round_up((size_t)((char *)indices - (char *)rule), 8);
    for (uint32_t i = 0; i < rule->leaf_count; i++)
        leaf_fill(&rule->leaves[i], &pattern->leaves[i], &room);
    rule->name = memcpy(room, name, name_size + 1);
    rule->name_size = (uint32_t)name_size;
    return rule;
}

/* How many values a leaf's conditions are expected to hit: the smaller, the better it is
 * for finding its sub-rule. */
static uint64_t leaf_weight(const faas_ruleset *set, const struct faasi_rule_leaf *leaf)
{
    static const uint32_t base[FAASI_ACCESS_COUNT] = {
        [FAASI_ACCESS_STRING] = 1,       [FAASI_ACCESS_NUMBER] = 8,
        [FAASI_ACCESS_LITERAL] = 8,      [FAASI_ACCESS_STRING_FOLD] = 2,
        [FAASI_ACCESS_PREFIX] = 16,      [FAASI_ACCESS_SUFFIX] = 16,
        [FAASI_ACCESS_PREFIX_FOLD] = 16, [FAASI_ACCESS_SUFFIX_FOLD] = 16,
        [FAASI_ACCESS_CIDR4] = 8,        [FAASI_ACCESS_CIDR6] = 8,
        [FAASI_ACCESS_RANGE] = 64,       [FAASI_ACCESS_SCAN] = 1000,
        [FAASI_ACCESS_ALWAYS] = 1000000,
    };
    uint64_t weight = 0;

    for (uint32_t i = 0; i < leaf->cond_count; i++) {
        struct access access;
        const struct faasi_table_entry *entry;

        access_of(&access, &leaf->conds[i]);
        weight += base[access.kind];
        if (!in_table(access.kind))
            continue;
        entry = entry_find(set, leaf->field, &access);
        if (entry != NULL)
            weight += faasi_postings_count(&entry->postings);
    }
    return weight;
}

static faas_status subs_choose(faas_ruleset *set, struct faasi_rule *rule)
{
    uint64_t few[16], *weights = few;

    if (rule->leaf_count > FAASI_COUNT(few)) {
        weights = faasi_alloc(set->alloc, sizeof *weights * rule->leaf_count);
        if (weights == NULL)
            return faasi_fail(FAAS_ENOMEM, "rule: no memory for %u leaves",
                              rule->leaf_count);
    }
    if (rule->leaf_count > 1)
        for (uint32_t i = 0; i < rule->leaf_count; i++)
            weights[i] = leaf_weight(set, &rule->leaves[i]);
    for (uint32_t i = 0; i < rule->sub_count; i++) {
        struct faasi_rule_sub *sub = &rule->subs[i];

        for (uint32_t k = 1; k < sub->leaf_count; k++)
            if (weights[sub->leaves[k]] < weights[sub->leaves[sub->access]])
                sub->access = k;
        sub->joint = sub->leaf_count > 1 && sub_is_joint(rule, sub);
        sub->many =
            rule->sub_count > 1 || rule->leaves[sub->leaves[sub->access]].cond_count > 1;
    }
    if (weights != few)
        faasi_free(set->alloc, weights, sizeof *weights * rule->leaf_count);
    return FAAS_OK;
}

/* Unlinks a sub-rule from the first `count` conditions of its access leaf. */
static void sub_unlink(faas_ruleset *set, struct faasi_rule_sub *sub, uint32_t count)
{
    struct faasi_rule_leaf *leaf = &sub->rule->leaves[sub->leaves[sub->access]];

    if (leaf->absent) {
        faasi_postings_remove(&set->always, (uintptr_t)sub | FAASI_POSTING_VERIFY,
                              &set->graves);
    } else {
        for (uint32_t i = 0; i < count; i++) {
            struct access access;

            access_of(&access, &leaf->conds[i]);
            access_remove(set, leaf->field, &access, (uintptr_t)sub);
        }
    }
}

static faas_status sub_link(faas_ruleset *set, struct faasi_rule_sub *sub)
{
    struct faasi_rule_leaf *leaf = &sub->rule->leaves[sub->leaves[sub->access]];

    if (leaf->absent)
        return faasi_postings_add(&set->always, (uintptr_t)sub | FAASI_POSTING_VERIFY,
                                  &set->graves);
    for (uint32_t i = 0; i < leaf->cond_count; i++) {
        struct access access;
        faas_status status;

        access_of(&access, &leaf->conds[i]);
        status = access_add(set, leaf->field, &access, (uintptr_t)sub);
        if (status != FAAS_OK) {
            sub_unlink(set, sub, i);
            return status;
        }
    }
    return FAAS_OK;
}

/* Unlinks the first `count` sub-rules, lets go of the fields, and retires the rule. No
 * reader may see it any more, but some may still be in it. */
static void rule_bury(faas_ruleset *set, struct faasi_rule *rule, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct faasi_rule_sub *sub = &rule->subs[i];

        sub_unlink(set, sub, rule->leaves[sub->leaves[sub->access]].cond_count);
        if (sub->joint)
            atomic_fetch_sub_explicit(&set->joint_count, 1, memory_order_relaxed);
    }
    fields_release(set, rule, rule->leaf_count, NULL);
    faasi_graves_retire(&set->graves, rule, rule->bytes);
}

static faas_status rule_link(faas_ruleset *set, struct faasi_rule *rule,
                             const struct faasi_pattern *pattern)
{
    faas_status status = fields_take(set, rule, pattern);

    if (status != FAAS_OK) {
        faasi_graves_retire(&set->graves, rule, rule->bytes);
        return status;
    }
    status = subs_choose(set, rule);
    if (status != FAAS_OK) {
        rule_bury(set, rule, 0);
        return status;
    }
    for (uint32_t i = 0; i < rule->sub_count; i++) {
        status = sub_link(set, &rule->subs[i]);
        if (status != FAAS_OK) {
            rule_bury(set, rule, i);
            return status;
        }
        if (rule->subs[i].joint)
            atomic_fetch_add_explicit(&set->joint_count, 1, memory_order_relaxed);
    }
    return FAAS_OK;
}

/* --- What is dead --- */

static bool is_littered(const faas_ruleset *set)
{
    const size_t dead = set->graves.dead_bytes + set->dying_bytes;

    return dead > (sizeof *set + set->graves.live_bytes) / DEAD_PART;
}

static void ready_unlink(faas_ruleset *set)
{
    for (int i = 0; i < UNLINK_PER_EDIT && set->ready != NULL; i++) {
        struct faasi_rule *rule = set->ready;

        set->ready = rule->next;
        set->dying_bytes -= rule->bytes;
        set->graves.live_bytes += rule->bytes; // until rule_bury() retires it
        rule_bury(set, rule, rule->sub_count);
    }
}

/* Clears away what has died, in steps: most edits only unlink a few rules. */
static void litter_clear(faas_ruleset *set)
{
    ready_unlink(set);
    while (is_littered(set)) {
        if (set->ready == NULL) {
            if (set->graves.count == 0 && set->dying == NULL)
                return;
            faasi_grace_wait();
            faasi_graves_bury(&set->graves);
            set->ready = set->dying;
            set->dying = NULL;
        }
        ready_unlink(set);
    }
}

static void rule_die(faas_ruleset *set, struct faasi_rule *rule, uint64_t version)
{
    atomic_store_explicit(&rule->died, version, memory_order_relaxed);
    rule->next = set->dying;
    set->dying = rule;
    set->dying_bytes += rule->bytes;
    set->graves.live_bytes -= rule->bytes;
}

/* --- The set --- */

static uint64_t entry_hash_of(const void *item)
{
    return ((const struct faasi_table_entry *)item)->hash;
}

static uint64_t field_hash_of(const void *item)
{
    return ((const struct faasi_field *)item)->hash;
}

static uint64_t rule_hash_of(const void *item)
{
    const struct faasi_rule *rule = item;

    return faasi_hash(rule->name, rule->name_size);
}

struct faasi_rule *faasi_ruleset_find(const faas_ruleset *set, const char *name,
                                      size_t size)
{
    const uint64_t hash = faasi_hash(name, size);
    struct faasi_bucket *bucket = NULL;
    struct faasi_rule *rule;
    uint32_t slot = 0;

    while ((rule = faasi_table_next(&set->names, hash, &bucket, &slot)) != NULL)
        if (rule->name_size == size && memcmp(rule->name, name, size) == 0)
            return rule;
    return NULL;
}

faas_status faasi_ruleset_options_read(faas_ruleset_options *opt,
                                       struct faasi_pattern_limits *limits,
                                       const faas_ruleset_options *options)
{
    faas_status status;

    memset(opt, 0, sizeof *opt);
    status = faasi_options_import(opt, sizeof *opt, options, "rule set options");
    if (status != FAAS_OK)
        return status;
    opt->allocator = faasi_allocator_or_default(opt->allocator);
    if (opt->scratch_bytes == 0)
        opt->scratch_bytes = 4u << 20;
    if (opt->scratch_bytes < SCRATCH_BYTES_MIN || opt->scratch_bytes > SCRATCH_BYTES_MAX)
        return faasi_fail(FAAS_EINVAL, "scratch_bytes: %u is not from %u to %u",
                          opt->scratch_bytes, SCRATCH_BYTES_MIN, SCRATCH_BYTES_MAX);
    *limits = (struct faasi_pattern_limits){
        .bytes_max = opt->pattern_bytes_max,
        .depth_max = opt->depth_max,
        .leaf_max = opt->leaf_max,
        .combination_max = opt->combination_max,
        .star_max = opt->star_max,
    };
    return faasi_pattern_limits_resolve(limits);
}

static faas_status set_fill(faas_ruleset *set)
{
    struct faasi_plan *plan;
    faas_status status = faasi_table_open(&set->entries, entry_hash_of, &set->graves);

    if (status == FAAS_OK)
        status = faasi_table_open(&set->names, rule_hash_of, &set->graves);
    if (status == FAAS_OK)
        status = faasi_table_open(&set->fields, field_hash_of, &set->graves);
    if (status != FAAS_OK)
        return status;
    plan = faasi_graves_alloc(&set->graves, plan_bytes(0));
    if (plan == NULL)
        return FAAS_ENOMEM;
    atomic_store_explicit(&set->plan, plan, memory_order_release);
    return FAAS_OK;
}

faas_status faas_ruleset_open(faas_ruleset **out, const faas_ruleset_options *options)
{
    faas_ruleset_options opt;
    struct faasi_pattern_limits limits;
    faas_ruleset *set;
    faas_status status;

    *out = NULL;
    status = faasi_ruleset_options_read(&opt, &limits, options);
    if (status != FAAS_OK)
        return status;
    set = faasi_alloc_lines(opt.allocator, sizeof *set);
    if (set == NULL)
        return faasi_fail(FAAS_ENOMEM, "rule set: no %zu bytes", sizeof *set);
    set->alloc = opt.allocator;
    set->graves.alloc = opt.allocator;
    set->limits = limits;
    set->scratch_bytes = opt.scratch_bytes;
    status = faasi_mutex_init(&set->lock);
    if (status != FAAS_OK) {
        faasi_free_lines(opt.allocator, set, sizeof *set);
        return status;
    }
    faasi_grace_start();
    status = set_fill(set);
    if (status != FAAS_OK) {
        faas_ruleset_close(set);
        return status;
    }
    *out = set;
    return FAAS_OK;
}

static void rule_close(void *item, void *user)
{
    struct faasi_rule *rule = item;
    faas_ruleset *set = user;

    faasi_graves_retire(&set->graves, rule, rule->bytes);
}

static void entry_close(void *item, void *user)
{
    struct faasi_table_entry *entry = item;
    faas_ruleset *set = user;

    faasi_postings_close(&entry->postings, &set->graves);
    faasi_graves_retire(&set->graves, entry, entry_bytes(entry->size));
}

static void rules_retire(faas_ruleset *set, struct faasi_rule *rule)
{
    struct faasi_rule *next;

    for (; rule != NULL; rule = next) {
        next = rule->next;
        faasi_graves_retire(&set->graves, rule, rule->bytes);
    }
}

void faas_ruleset_close(faas_ruleset *set)
{
    struct faasi_plan *plan;

    if (set == NULL)
        return;
    plan = atomic_load_explicit(&set->plan, memory_order_relaxed);
    rules_retire(set, set->dying);
    rules_retire(set, set->ready);
    faasi_table_each(&set->names, rule_close, set);
    faasi_table_each(&set->entries, entry_close, set);
    if (plan != NULL) {
        for (uint32_t i = 0; i < plan->field_count; i++)
            field_retire(set, plan->fields[i]);
        plan_retire(set, plan);
    }
    faasi_postings_close(&set->always, &set->graves);
    faasi_table_close(&set->entries, &set->graves);
    faasi_table_close(&set->names, &set->graves);
    faasi_table_close(&set->fields, &set->graves);
    faasi_graves_bury(&set->graves);
    for (size_t i = 0; i < FAASI_SCRATCH_SLOTS; i++)
        faasi_free(set->alloc,
                   atomic_load_explicit(&set->scratch[i], memory_order_acquire),
                   set->scratch_bytes);
    faasi_mutex_fini(&set->lock);
    faasi_free_lines(set->alloc, set, sizeof *set);
}

/* Release of the version: whoever reads it sees the new rule linked and the old one dead.
 * Pairs with the acquire in ruleset_match.c. */
static faas_status rule_put(faas_ruleset *set, const char *name,
                            const struct faasi_pattern *pattern, void *user)
{
    const uint64_t version =
        atomic_load_explicit(&set->version, memory_order_relaxed) + 1;
    struct faasi_rule *rule = rule_make(set, name, pattern, user), *old;
    faas_status status;

    if (rule == NULL)
        return FAAS_ENOMEM;
    rule->born = version;
    status = rule_link(set, rule, pattern);
    if (status != FAAS_OK)
        return status;
    old = faasi_ruleset_find(set, name, rule->name_size);
    if (old != NULL) {
        faasi_table_replace(&set->names, old, rule);
        rule_die(set, old, version);
    } else {
        status = faasi_table_add(&set->names, rule, &set->graves);
        if (status != FAAS_OK) {
            rule_bury(set, rule, rule->sub_count);
            return status;
        }
        atomic_fetch_add_explicit(&set->rule_count, 1, memory_order_relaxed);
    }
    atomic_store_explicit(&set->version, version, memory_order_release);
    return FAAS_OK;
}

faas_status faas_ruleset_put(faas_ruleset *set, const char *name, faas_bytes pattern,
                             void *user)
{
    struct faasi_pattern *compiled;
    faas_status status;
    size_t error_at;

    if (strlen(name) > NAME_BYTES_MAX)
        return faasi_fail(FAAS_EINVAL, "rule name: %zu bytes are over %d", strlen(name),
                          NAME_BYTES_MAX);
    status = faasi_pattern_compile(&compiled, pattern.data, pattern.size, &set->limits,
                                   set->alloc, &error_at);
    if (status != FAAS_OK)
        return status;
    faasi_lock(&set->lock);
    status = rule_put(set, name, compiled, user);
    litter_clear(set);
    faasi_unlock(&set->lock);
    faasi_pattern_free(compiled, set->alloc);
    return status;
}

faas_status faas_ruleset_delete(faas_ruleset *set, const char *name)
{
    struct faasi_rule *rule;
    faas_status status = FAAS_OK;

    faasi_lock(&set->lock);
    rule = faasi_ruleset_find(set, name, strlen(name));
    if (rule != NULL) {
        const uint64_t version =
            atomic_load_explicit(&set->version, memory_order_relaxed) + 1;

        faasi_table_remove(&set->names, rule, &set->graves);
        rule_die(set, rule, version);
        atomic_fetch_sub_explicit(&set->rule_count, 1, memory_order_relaxed);
        atomic_store_explicit(&set->version, version, memory_order_release);
    } else {
        status = faasi_fail(FAAS_ENOENT, "rule \"%.80s\": there is none", name);
    }
    litter_clear(set);
    faasi_unlock(&set->lock);
    return status;
}

size_t faas_ruleset_count(const faas_ruleset *set)
{
    return atomic_load_explicit(&set->rule_count, memory_order_relaxed);
}

size_t faasi_ruleset_bytes(faas_ruleset *set, size_t *dead)
{
    size_t bytes;

    faasi_lock(&set->lock);
    bytes = sizeof *set + set->graves.live_bytes;
    *dead = set->graves.dead_bytes + set->dying_bytes;
    faasi_unlock(&set->lock);
    return bytes;
}

faas_status faas_pattern_check(faas_bytes pattern, const faas_ruleset_options *options,
                               size_t *offset)
{
    struct faasi_pattern_limits limits;
    struct faasi_pattern *compiled;
    faas_ruleset_options opt;
    size_t error_at = 0;
    faas_status status = faasi_ruleset_options_read(&opt, &limits, options);

    if (status == FAAS_OK)
        status = faasi_pattern_compile(&compiled, pattern.data, pattern.size, &limits,
                                       opt.allocator, &error_at);
    if (status == FAAS_OK)
        faasi_pattern_free(compiled, opt.allocator);
    if (offset != NULL)
        *offset = status == FAAS_OK ? 0 : error_at;
    return status;
}
