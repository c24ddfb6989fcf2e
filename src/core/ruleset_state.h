/* SPDX-License-Identifier: MIT */
/* ruleset_state.h - what a rule set is made of; between the ruleset_*.c files only.
 *
 * A sub-rule is found through one of its leaves, the access leaf, whose conditions are in
 * the indices. Whatever finds it checks the other leaves against the values of the event.
 * So what a match costs depends on what its values hit, not on how many rules there are,
 * and there are no counters to keep per rule.
 *
 * Versions make edits whole. A rule is visible from the version at which it was born
 * until the one at which it died; an edit links new rules first and then steps the
 * version; a reader reads the version first. Dead rules are unlinked after a grace
 * period, and freed after another. */
#ifndef FAASI_RULESET_STATE_H
#define FAASI_RULESET_STATE_H

#include "hash.h"
#include "json.h"
#include "pattern.h"
#include "ruleset.h"
#include "ruleset_index.h"
#include "sync.h"

#include <stdatomic.h>

/* Memory for matches that the stack has no room for; as many as threads use at once. */
#define FAASI_SCRATCH_SLOTS 32

/* What an entry of the table is a key for, and what a field has any of. */
enum faasi_access {
    FAASI_ACCESS_STRING,
    FAASI_ACCESS_NUMBER,
    FAASI_ACCESS_LITERAL,
    FAASI_ACCESS_STRING_FOLD,
    FAASI_ACCESS_PREFIX,
    FAASI_ACCESS_SUFFIX,
    FAASI_ACCESS_PREFIX_FOLD,
    FAASI_ACCESS_SUFFIX_FOLD,
    FAASI_ACCESS_CIDR4,
    FAASI_ACCESS_CIDR6,
    FAASI_ACCESS_LENGTHS, /* the kinds from PREFIX to here have sets of lengths */
    FAASI_ACCESS_RANGE = FAASI_ACCESS_LENGTHS,
    FAASI_ACCESS_SCAN,   /* looked at one by one */
    FAASI_ACCESS_ALWAYS, /* holds without a value: looked at for every event */
    FAASI_ACCESS_COUNT
};

#define FAASI_LENGTH_SETS (FAASI_ACCESS_LENGTHS - FAASI_ACCESS_PREFIX)

/* A path that rules name, and the indices of the conditions on its values. */
struct faasi_field {
    uint64_t salt;          /* tells its keys in the table from those of other fields */
    _Atomic uint32_t kinds; /* bits by faasi_access: what there may be */
    uint32_t rule_count;    /* leaves of rules that look at it */
    uint32_t counts[FAASI_ACCESS_COUNT];
    faasi_length_set lengths[FAASI_LENGTH_SETS];
    faasi_ranges ranges;
    faasi_postings scan;
    struct faasi_field *fresh; /* the next one that no plan has yet */
    uint64_t hash;             /* of the path */
    size_t bytes;              /* of this block; the path stands behind the struct */
    struct faasi_json_path path;
};

/* The fields, as the walk over an event numbers them. Immutable. */
struct faasi_plan {
    struct faasi_json_paths *paths; /* NULL if there are none */
    uint32_t field_count;
    struct faasi_field *fields[];
};

/* A key of the table and who waits for it. The key's bytes stand behind it. */
struct faasi_table_entry {
    uint64_t hash;
    const struct faasi_field *field;
    uint32_t kind;
    uint32_t size;
    faasi_postings postings;
};

struct faasi_rule_leaf {
    struct faasi_field *field;
    const struct faasi_cond *conds;
    uint32_t cond_count;
    bool absent; /* one of the conditions is FAASI_COND_ABSENT */
};

struct faasi_rule_sub {
    struct faasi_rule *rule;
    const uint32_t *leaves; /* indices */
    uint32_t leaf_count;
    uint32_t access; /* the index in `leaves` of the one through which it is found */
    bool joint;      /* two of its leaves may lie in one array */
    bool many;       /* may be found more than once for one value per field */
};

/* Immutable, but for its death. One block: subs, leaves, conditions and the name. */
struct faasi_rule {
    uint64_t born;
    _Atomic uint64_t died; /* UINT64_MAX while it lives */
    void *user;
    const char *name;
    struct faasi_rule *next; /* among the dead */
    struct faasi_rule_sub *subs;
    struct faasi_rule_leaf *leaves;
    uint32_t name_size;
    uint32_t bytes;
    uint32_t sub_count;
    uint32_t leaf_count;
};

struct faas_ruleset {
    /* Alone on its line: every edit writes it. */
    _Alignas(FAASI_CACHELINE) _Atomic uint64_t version;

    /* What every match reads and few edits write. */
    _Alignas(FAASI_CACHELINE) _Atomic(struct faasi_plan *) plan;
    _Atomic uint32_t joint_count; /* sub-rules whose leaves may lie in one array */
    uint32_t scratch_bytes;
    faasi_postings always;
    const faas_allocator *alloc;
    struct faasi_table entries;
    _Alignas(FAASI_CACHELINE) _Atomic(void *) scratch[FAASI_SCRATCH_SLOTS];

    /* What only edits look at. */
    _Alignas(FAASI_CACHELINE) faasi_mutex lock;
    struct faasi_table names;
    struct faasi_table fields;
    struct faasi_pattern_limits limits;
    _Atomic size_t rule_count;
    uint64_t salt_next;
    struct faasi_rule *dying; /* died since the last grace period */
    struct faasi_rule *ready; /* may be unlinked */
    size_t dying_bytes;       /* of both */
    struct faasi_graves graves;
};

/* The word of a sub-rule in a posting list; VERIFY: its access leaf, too, must be looked
 * at, because being found does not say that the condition holds. */
#define FAASI_POSTING_VERIFY ((uintptr_t)1)

static inline uint64_t faasi_mix(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    __extension__ typedef unsigned __int128 wide;
    const wide product = (wide)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    a = (a ^ b >> 32) * 0x9E3779B97F4A7C15u;
    b = (b ^ a >> 29) * 0xBF58476D1CE4E5B9u;
    return a ^ b ^ b >> 32;
#endif
}

/* The hash of a key of the table. Most keys are short, and most values ask for several:
 * up to sixteen bytes are two words and one multiplication. */
static inline uint64_t faasi_entry_hash(const void *bytes, size_t size, uint64_t salt,
                                        uint32_t kind)
{
#ifndef FAASI_HASH_CONSTANT
    const char *at = bytes;
    uint64_t first = 0, last = 0;

    if (size > 16) {
        first = faasi_hash(bytes, size);
    } else if (size >= 8) {
        memcpy(&first, at, 8);
        memcpy(&last, at + size - 8, 8);
    } else if (size >= 4) {
        uint32_t low, high;

        memcpy(&low, at, 4);
        memcpy(&high, at + size - 4, 4);
        first = (uint64_t)high << 32 | low;
    } else if (size > 0) {
        first = (uint64_t)(unsigned char)at[0] << 16 |
                (uint64_t)(unsigned char)at[size / 2] << 8 | (unsigned char)at[size - 1];
    }
    return faasi_mix(
        faasi_mix(first ^ salt, last ^ 0xA0761D6478BD642Fu ^ size << 8 ^ kind),
        0x9E3779B97F4A7C15u);
#else
    (void)bytes;
    (void)size;
    return salt + kind;
#endif
}

/* Memory of one match: some of the stack's, then a block of the set's. */
struct faasi_scratch {
    char *at;
    char *end;
    faas_ruleset *set;
    void *block;
    faas_status status; /* of the last take that failed */
};

/* What faasi_scratch_take() does when the memory at hand does not reach. */
void *faasi_scratch_take_block(struct faasi_scratch *scratch, size_t size);

/* Returns memory aligned to 8, its content undefined, or NULL: more than `scratch_bytes`,
 * or no memory. Thread: any. */
static inline void *faasi_scratch_take(struct faasi_scratch *scratch, size_t size)
{
    char *memory = scratch->at;

    size = faasi_round_up(size, 8);
    if (FAASI_UNLIKELY(size > (size_t)(scratch->end - memory)))
        return faasi_scratch_take_block(scratch, size);
    scratch->at = memory + size;
    return memory;
}

/* Lays the caller's options over the defaults and checks them. */
faas_status faasi_ruleset_options_read(faas_ruleset_options *opt,
                                       struct faasi_pattern_limits *limits,
                                       const faas_ruleset_options *options);

/* Finds a rule by name. Holds: lock. */
struct faasi_rule *faasi_ruleset_find(const faas_ruleset *set, const char *name,
                                      size_t size);

#endif /* FAASI_RULESET_STATE_H */
