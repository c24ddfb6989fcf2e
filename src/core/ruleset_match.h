/* SPDX-License-Identifier: MIT */
/* ruleset_match.h - a match under way: the values of an event, and what leaves hold.
 *
 * Layer: 2 parts. Between ruleset_match.c and ruleset_explain.c only. */
#ifndef FAASI_RULESET_MATCH_H
#define FAASI_RULESET_MATCH_H

#include "ruleset_state.h"

/* More values than this are found through a hash table. */
#define FAASI_VALUES_LINEAR 24

/* A value of the event, and where it belongs. */
struct faasi_found {
    struct faasi_value value;
    const struct faasi_field *field;
    uint32_t next; /* value of the same field plus one, if there is a table */
    bool read;     /* `value` is filled in */
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
    struct faasi_found *found;
    const struct faasi_json_value *values;
    const struct faasi_json_place *places;
    uint32_t value_count;
    uint32_t place_count;
    uint64_t repeated; /* bits of fields that have several values, by number modulo 64 */
    uint32_t *heads;   /* the table from fields to their first value plus one */
    uint32_t head_mask;
    uintptr_t *seen; /* what must not be looked at twice */
    uint32_t seen_mask;
    uint32_t seen_count;
    faas_status status; /* the first failure */
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
