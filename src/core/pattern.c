/* SPDX-License-Identifier: MIT */
/* pattern.c - event patterns: from a tree to a compiled form. */
#include "pattern.h"

#include "mem.h"
#include "pattern_cond.h"
#include "pattern_tree.h"

/* Combinations times leaves: what a pattern may take beyond its own text. */
#define DRAFT_LEAF_MAX 1000000u

/* A step of a path. The same path is the same step, so that paths compare by address. */
struct step {
    struct step *parent;
    struct step *child; /* the first one */
    struct step *next;  /* with the same parent */
    const char *key;
    uint32_t key_size;
    uint32_t depth;
};

struct draft_leaf {
    const struct step *path;
    struct faasi_cond *conds;
    struct draft_leaf *next;
    uint32_t cond_count;
    uint32_t at;
    uint32_t end;
    uint32_t rank;
    uint32_t index; /* once it is known that a combination uses it: from 1 */
};

/* A combination of $or branches as read so far. */
struct draft {
    struct draft_leaf **leaves;
    uint32_t count;
    uint32_t room;
};

struct drafts {
    struct draft *list;
    uint32_t count;
    uint32_t room;
};

struct reader {
    struct faasi_compiler c;
    struct step root;
    struct draft_leaf *leaves; /* all of them, in the order of the text */
    struct draft_leaf **leaves_end;
    uint32_t leaf_count;
    uint32_t draft_leaf_count;
    uint32_t or_end; /* of the outermost $or that is being read, or 0 */
};

static uint32_t limit_or(uint32_t limit, uint32_t fallback)
{
    return limit == 0 ? fallback : limit;
}

static faas_status limit_check(const char *name, uint32_t limit, uint32_t most)
{
    if (limit <= most)
        return FAAS_OK;
    return faasi_fail(FAAS_EINVAL, "%s: %u is over %u", name, limit, most);
}

faas_status faasi_pattern_limits_resolve(struct faasi_pattern_limits *limits)
{
    faas_status status;

    limits->bytes_max = limit_or(limits->bytes_max, 1u << 20);
    limits->depth_max = limit_or(limits->depth_max, 64);
    limits->leaf_max = limit_or(limits->leaf_max, 1000);
    limits->combination_max = limit_or(limits->combination_max, 1000);
    limits->star_max = limit_or(limits->star_max, 100);
    status = limit_check("pattern_bytes_max", limits->bytes_max, 1u << 30);
    if (status == FAAS_OK)
        status = limit_check("depth_max", limits->depth_max, 1000);
    if (status == FAAS_OK)
        status = limit_check("leaf_max", limits->leaf_max, 10000);
    if (status == FAAS_OK)
        status = limit_check("combination_max", limits->combination_max, 100000);
    if (status == FAAS_OK)
        status = limit_check("star_max", limits->star_max, 10000);
    return status;
}

static struct step *step_take(struct reader *r, struct step *parent,
                              const struct faasi_tree *member)
{
    struct step *step;

    for (step = parent->child; step != NULL; step = step->next)
        if (step->key_size == member->key_size &&
            memcmp(step->key, member->key, member->key_size) == 0)
            return step;
    step = faasi_compiler_take(&r->c, sizeof *step);
    if (step == NULL)
        return NULL;
    step->parent = parent;
    step->next = parent->child;
    parent->child = step;
    step->key = member->key;
    step->key_size = member->key_size;
    step->depth = parent->depth + 1;
    return step;
}

static faas_status draft_room(struct reader *r, struct draft *draft, uint32_t count)
{
    struct draft_leaf **leaves;

    if (count <= draft->room)
        return FAAS_OK;
    draft->room = count < 4 ? 4 : count * 2;
    leaves = faasi_compiler_take(&r->c, sizeof *leaves * draft->room);
    if (leaves == NULL)
        return FAAS_ENOMEM;
    if (draft->count > 0)
        memcpy(leaves, draft->leaves, sizeof *leaves * draft->count);
    draft->leaves = leaves;
    return FAAS_OK;
}

/* The last leaf of a path wins, and stands where it stands in the text. */
static faas_status draft_add(struct reader *r, struct draft *draft,
                             struct draft_leaf *leaf)
{
    faas_status status;

    for (uint32_t i = 0; i < draft->count; i++) {
        if (draft->leaves[i]->path != leaf->path)
            continue;
        draft->count--;
        r->draft_leaf_count--;
        memmove(&draft->leaves[i], &draft->leaves[i + 1],
                sizeof *draft->leaves * (draft->count - i));
        break;
    }
    if (++r->draft_leaf_count > DRAFT_LEAF_MAX)
        return faasi_compiler_limit(&r->c, leaf->at, "leaves in all combinations of $or",
                                    DRAFT_LEAF_MAX);
    status = draft_room(r, draft, draft->count + 1);
    if (status == FAAS_OK)
        draft->leaves[draft->count++] = leaf;
    return status;
}

static faas_status drafts_room(struct reader *r, struct drafts *drafts, uint32_t count)
{
    struct draft *list;

    if (count <= drafts->room)
        return FAAS_OK;
    drafts->room = count < 4 ? 4 : count * 2;
    list = faasi_compiler_take(&r->c, sizeof *list * drafts->room);
    if (list == NULL)
        return FAAS_ENOMEM;
    if (drafts->count > 0)
        memcpy(list, drafts->list, sizeof *list * drafts->count);
    drafts->list = list;
    return FAAS_OK;
}

static faas_status drafts_copy(struct reader *r, struct drafts *to,
                               const struct drafts *from)
{
    faas_status status = drafts_room(r, to, from->count);

    for (uint32_t i = 0; status == FAAS_OK && i < from->count; i++) {
        struct draft *copy = &to->list[i];
        const struct draft *draft = &from->list[i];

        *copy = (struct draft){NULL, 0, 0};
        r->draft_leaf_count += draft->count;
        status = draft_room(r, copy, draft->count);
        if (status != FAAS_OK)
            break;
        if (draft->count > 0)
            memcpy(copy->leaves, draft->leaves, sizeof *copy->leaves * draft->count);
        copy->count = draft->count;
        to->count++;
    }
    return status;
}

static faas_status leaf_read(struct reader *r, const struct faasi_tree *node,
                             struct step *path, struct drafts *drafts)
{
    struct draft_leaf *leaf;
    const struct faasi_tree *item = node->child;
    faas_status status = FAAS_OK;

    if (node->child_count == 0)
        return faasi_compiler_refuse(&r->c, node->at, "a list that is not empty");
    if (++r->leaf_count > r->c.limits->leaf_max)
        return faasi_compiler_limit(&r->c, node->at, "leaves", r->c.limits->leaf_max);
    leaf = faasi_compiler_take(&r->c, sizeof *leaf);
    if (leaf == NULL)
        return FAAS_ENOMEM;
    leaf->path = path;
    leaf->at = node->at;
    leaf->end = node->end;
    leaf->rank = r->or_end != 0 ? r->or_end : node->at;
    leaf->cond_count = node->child_count;
    leaf->conds = faasi_compiler_take(&r->c, sizeof *leaf->conds * node->child_count);
    if (leaf->conds == NULL)
        return FAAS_ENOMEM;
    for (uint32_t i = 0; status == FAAS_OK && i < leaf->cond_count;
         i++, item = item->next)
        status = faasi_cond_read(&r->c, item, &leaf->conds[i]);
    *r->leaves_end = leaf;
    r->leaves_end = &leaf->next;
    for (uint32_t i = 0; status == FAAS_OK && i < drafts->count; i++)
        status = draft_add(r, &drafts->list[i], leaf);
    return status;
}

static bool key_is(const struct faasi_tree *member, const char *key)
{
    return member->key_size == strlen(key) &&
           memcmp(member->key, key, member->key_size) == 0;
}

static bool is_reserved(const struct faasi_tree *member)
{
    // clang-format off
    static const char *const reserved[] = {
        "exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists",
        "wildcard", "numeric", "cidr", "=", "<", "<=", ">", ">=", "regex", "not-wildcard",
        "not-equals-ignore-case", "date-after", "date-on-or-after", "date-before",
        "date-on-or-before", "in-date-range", "ip-address-in-range",
        "ip-address-not-in-range", "all-of", "contains"};
    // clang-format on

    for (size_t i = 0; i < FAASI_COUNT(reserved); i++)
        if (key_is(member, reserved[i]))
            return true;
    return false;
}

/* Whether $or means "or" here; otherwise it is an ordinary name of a field. */
static bool is_or(const struct faasi_tree *node)
{
    if (!key_is(node, "$or") || node->kind != FAASI_TREE_ARRAY || node->child_count < 2)
        return false;
    for (const struct faasi_tree *branch = node->child; branch; branch = branch->next) {
        if (branch->kind != FAASI_TREE_OBJECT)
            return false;
        for (const struct faasi_tree *member = branch->child; member;
             member = member->next)
            if (is_reserved(member))
                return false;
    }
    return true;
}

static faas_status object_read(struct reader *r, const struct faasi_tree *node,
                               struct step *path, struct drafts *drafts);

/* Each branch goes on from what was read before the $or; together they replace it. */
static faas_status or_read(struct reader *r, const struct faasi_tree *node,
                           struct step *path, struct drafts *drafts)
{
    struct drafts all = {NULL, 0, 0};
    const uint32_t outer = r->or_end, most = r->c.limits->combination_max;
    faas_status status = FAAS_OK;

    for (uint32_t i = 0; i < drafts->count; i++)
        r->draft_leaf_count -= drafts->list[i].count;
    if (outer == 0)
        r->or_end = node->end;
    for (const struct faasi_tree *branch = node->child; branch != NULL;
         branch = branch->next) {
        struct drafts copy = {NULL, 0, 0};

        if (all.count + drafts->count > most)
            return faasi_compiler_limit(&r->c, branch->at, "combinations of $or", most);
        status = drafts_copy(r, &copy, drafts);
        if (status == FAAS_OK)
            status = object_read(r, branch, path, &copy);
        if (status == FAAS_OK && all.count + copy.count > most)
            return faasi_compiler_limit(&r->c, branch->at, "combinations of $or", most);
        if (status == FAAS_OK)
            status = drafts_room(r, &all, all.count + copy.count);
        if (status != FAAS_OK)
            return status;
        memcpy(all.list + all.count, copy.list, sizeof *all.list * copy.count);
        all.count += copy.count;
    }
    r->or_end = outer;
    *drafts = all;
    return FAAS_OK;
}

static faas_status object_read(struct reader *r, const struct faasi_tree *node,
                               struct step *path, struct drafts *drafts)
{
    faas_status status = FAAS_OK;

    if (node->child_count == 0)
        return faasi_compiler_refuse(&r->c, node->at, "an object that is not empty");
    for (const struct faasi_tree *member = node->child;
         member != NULL && status == FAAS_OK; member = member->next) {
        struct step *step;

        if (is_or(member)) {
            status = or_read(r, member, path, drafts);
            continue;
        }
        if (member->kind != FAASI_TREE_ARRAY && member->kind != FAASI_TREE_OBJECT)
            return faasi_compiler_refuse(&r->c, member->at,
                                         "an array of conditions, or an object");
        step = step_take(r, path, member);
        if (step == NULL)
            return FAAS_ENOMEM;
        status = member->kind == FAASI_TREE_ARRAY ? leaf_read(r, member, step, drafts)
                                                  : object_read(r, member, step, drafts);
    }
    return status;
}

static size_t path_bytes(const struct step *path)
{
    size_t bytes = 0;

    for (; path->parent != NULL; path = path->parent)
        bytes += sizeof(faas_bytes) + path->key_size;
    return faasi_round_up(bytes, 8);
}

static void path_copy(struct faasi_leaf *leaf, const struct step *path, char **room)
{
    faas_bytes *keys = (void *)*room;
    char *text = *room + sizeof *keys * path->depth;

    *room += path_bytes(path);
    leaf->path = keys;
    leaf->path_count = path->depth;
    for (; path->parent != NULL; path = path->parent) {
        keys[path->depth - 1] = faas_bytes_of(text, path->key_size);
        if (path->key_size > 0)
            memcpy(text, path->key, path->key_size);
        text += path->key_size;
    }
}

/* Numbers the leaves that a combination uses; others were overridden. */
static uint32_t leaves_number(struct reader *r, const struct drafts *drafts)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < drafts->count; i++)
        for (uint32_t k = 0; k < drafts->list[i].count; k++)
            drafts->list[i].leaves[k]->index = 1;
    for (struct draft_leaf *leaf = r->leaves; leaf != NULL; leaf = leaf->next)
        if (leaf->index != 0)
            leaf->index = ++count;
    return count;
}

static size_t pattern_bytes(const struct reader *r, const struct drafts *drafts,
                            uint32_t leaf_count)
{
    size_t bytes = sizeof(struct faasi_pattern) + sizeof(struct faasi_leaf) * leaf_count +
                   sizeof(struct faasi_sub) * drafts->count;

    for (const struct draft_leaf *leaf = r->leaves; leaf != NULL; leaf = leaf->next)
        if (leaf->index != 0)
            bytes += path_bytes(leaf->path) + sizeof *leaf->conds * leaf->cond_count +
                     faasi_conds_bytes(leaf->conds, leaf->cond_count);
    for (uint32_t i = 0; i < drafts->count; i++)
        bytes += sizeof(uint32_t) * drafts->list[i].count;
    return bytes;
}

static void leaf_copy(struct faasi_leaf *to, const struct draft_leaf *leaf, char **room)
{
    struct faasi_cond *conds;

    to->at = leaf->at;
    to->end = leaf->end;
    to->rank = leaf->rank;
    path_copy(to, leaf->path, room);
    conds = (void *)*room;
    *room += sizeof *conds * leaf->cond_count;
    faasi_conds_copy(conds, leaf->conds, leaf->cond_count, room);
    to->conds = conds;
    to->cond_count = leaf->cond_count;
}

static faas_status pattern_make(struct faasi_pattern **out, struct reader *r,
                                const struct drafts *drafts)
{
    uint32_t leaf_count = leaves_number(r, drafts);
    size_t bytes = pattern_bytes(r, drafts, leaf_count);
    struct faasi_pattern *pattern = faasi_alloc_zeroed(r->c.arena.alloc, bytes);
    struct faasi_leaf *leaves;
    struct faasi_sub *subs;
    uint32_t *indices;
    char *room;

    if (pattern == NULL)
        return faasi_fail(FAAS_ENOMEM, "pattern: no memory for %zu bytes", bytes);
    leaves = (void *)(pattern + 1);
    subs = (void *)(leaves + leaf_count);
    room = (char *)(subs + drafts->count);
    *pattern = (struct faasi_pattern){bytes, leaves, subs, leaf_count, drafts->count};
    for (const struct draft_leaf *leaf = r->leaves; leaf != NULL; leaf = leaf->next)
        if (leaf->index != 0)
            leaf_copy(&leaves[leaf->index - 1], leaf, &room);
    indices = (void *)room;
    for (uint32_t i = 0; i < drafts->count; i++, subs++) {
        subs->leaves = indices;
        subs->leaf_count = drafts->list[i].count;
        for (uint32_t k = 0; k < subs->leaf_count; k++)
            *indices++ = drafts->list[i].leaves[k]->index - 1;
    }
    *out = pattern;
    return FAAS_OK;
}

faas_status faasi_pattern_compile(struct faasi_pattern **out, const char *text,
                                  size_t size, const struct faasi_pattern_limits *limits,
                                  const faas_allocator *alloc, size_t *error_at)
{
    const struct faasi_tree_rules rules = {"pattern", limits->depth_max};
    struct reader r = {
        .c = {.text = text, .size = size, .limits = limits, .error_at = error_at}};
    struct drafts drafts = {NULL, 0, 0};
    struct faasi_tree *root;
    faas_status status;

    *out = NULL;
    *error_at = 0;
    if (size > limits->bytes_max)
        return faasi_fail(FAAS_EINVAL, "pattern: %zu bytes are over %u", size,
                          limits->bytes_max);
    r.leaves_end = &r.leaves;
    faasi_arena_init(&r.c.arena, alloc);
    status = faasi_tree_read(&root, text, size, &rules, &r.c.arena, error_at);
    if (status == FAAS_OK && root->kind != FAASI_TREE_OBJECT)
        status = faasi_compiler_refuse(&r.c, root->at, "an object");
    if (status == FAAS_OK)
        status = drafts_room(&r, &drafts, 1);
    if (status == FAAS_OK) {
        drafts.list[0] = (struct draft){NULL, 0, 0};
        drafts.count = 1;
        status = object_read(&r, root, &r.root, &drafts);
    }
    if (status == FAAS_OK)
        status = pattern_make(out, &r, &drafts);
    faasi_arena_fini(&r.c.arena);
    return status;
}

void faasi_pattern_free(struct faasi_pattern *pattern, const faas_allocator *alloc)
{
    if (pattern != NULL)
        faasi_free(alloc, pattern, pattern->bytes);
}
