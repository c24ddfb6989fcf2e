/* SPDX-License-Identifier: MIT */
/* ruleset_match.h - a match under way: the values of an event, and what leaves hold.
 *
 * Layer: 2 parts. Between ruleset_match.c and ruleset_explain.c only. */
#ifndef FAASI_RULESET_MATCH_H
#define FAASI_RULESET_MATCH_H

#include "ruleset_state.h"

/* More values than this are found through a hash table. */
#define FAASI_VALUES_LINEAR 24

/* Fields whose last number is remembered, by number modulo this. */
#define FAASI_SPANS 4

/* What a number of a field has found in its ranges: any other one from `low` to `high`
 * finds the same. */
struct faasi_span {
    uint32_t field; /* by number, plus one; 0: nothing is remembered */
    int64_t low;
    int64_t high;
};

struct faasi_matcher {
    faas_ruleset *set;
    const struct faasi_plan *plan;
    uint64_t version;
    const char *text;
    faas_match *out;
    size_t capacity;
    size_t count;
    struct faasi_scratch scratch;
    struct faasi_value *read; /* the values; `text` is NULL until somebody asks */
    const struct faasi_json_value *values;
    const struct faasi_json_place *places;
    uint32_t value_count;
    uint32_t place_count;
    uint64_t repeated; /* bits of fields that have several values, by number modulo 64 */
    uint32_t *heads;   /* the table from fields to their first value plus one */
    uint32_t *nexts;   /* by value: the next one of its field plus one; with the table */
    uint32_t head_mask;
    uintptr_t *seen; /* what must not be looked at twice */
    uint32_t seen_mask;
    uint32_t seen_count;
    faas_status status; /* the first failure */
    uint32_t reach;     /* how far the walk went */
    bool verified;      /* a posting was found that had to be looked at */
    struct faasi_span spans[FAASI_SPANS];
};

/* Opens a read section and looks at what the set is now; faasi_read_leave() ends it. */
void faasi_matcher_enter(struct faasi_matcher *m);

/* Walks over an event: fills in the values. */
faas_status faasi_matcher_walk(struct faasi_matcher *m, struct faasi_json_walk *walk,
                               faas_bytes event, const uint64_t *index);

/* Returns the number plus one of the first value of a field, or 0, and of the next one
 * after that. */
uint32_t faasi_matcher_first(struct faasi_matcher *m, const struct faasi_field *field);
uint32_t faasi_matcher_next(const struct faasi_matcher *m, uint32_t value);

/* Tells whether a leaf holds for a value (by number, from 0), and whether it holds. */
bool faasi_leaf_accepts(struct faasi_matcher *m, const struct faasi_rule_leaf *leaf,
                        uint32_t value);
bool faasi_leaf_holds(struct faasi_matcher *m, const struct faasi_rule_leaf *leaf);

/* Tells whether the leaves of a sub-rule, which hold one by one, hold together. */
bool faasi_sub_agrees(struct faasi_matcher *m, const struct faasi_rule_sub *sub);

#endif /* FAASI_RULESET_MATCH_H */
