/* SPDX-License-Identifier: MIT */
/* pattern.h - event patterns: from text to a compiled form, and what a condition means.
 *
 * A pattern becomes a list of sub-rules, one for each combination of its $or branches; a
 * sub-rule is a list of leaves, all of which must hold; a leaf is a path and a list of
 * conditions, one of which must hold for a value of that path. The rule set (ruleset.h)
 * indexes the conditions; this room alone knows what they mean.
 *
 * Layer: 1 structures. Includes base.h, fold.h, json.h, mem.h, pattern_tree.h. Pure but
 * for the allocator.
 * Source: Amazon EventBridge, "Event patterns", and this project's additions. */
#ifndef FAASI_PATTERN_H
#define FAASI_PATTERN_H

#include "base.h"

/* Named for what holds. Texts are unescaped UTF-8; those of the kinds that end in FOLD
 * are folded. */
enum faasi_cond_kind {
    FAASI_COND_STRING,  /* text: equal */
    FAASI_COND_NUMBER,  /* low: equal, as a faasi_number_key() */
    FAASI_COND_LITERAL, /* low: a faasi_value_kind: null, false or true */
    FAASI_COND_PREFIX,  /* text */
    FAASI_COND_SUFFIX,  /* text */
    FAASI_COND_STRING_FOLD,
    FAASI_COND_PREFIX_FOLD,
    FAASI_COND_SUFFIX_FOLD,
    FAASI_COND_CIDR,     /* text: 4 or 16 bytes without host bits; high: how many bits */
    FAASI_COND_RANGE,    /* low, high: both included, as keys */
    FAASI_COND_WILDCARD, /* list: the literal pieces around the stars, two or more */
    FAASI_COND_CONTAINS, /* text */
    FAASI_COND_CONTAINS_FOLD,
    FAASI_COND_NOT_NUMBER, /* low: a number, but not this one */
    FAASI_COND_NOT,        /* list: none of these */
    FAASI_COND_ALL,        /* list: each of these */
    FAASI_COND_EXISTS,
    FAASI_COND_ABSENT /* holds for a field without values, and for no value */
};

struct faasi_cond {
    uint8_t kind;
    uint32_t size; /* of the text, or how many are in the list */
    union {
        const char *text;
        const struct faasi_cond *list;
        int64_t low;
    };
    int64_t high;
};

enum faasi_value_kind {
    FAASI_VALUE_STRING,
    FAASI_VALUE_NUMBER,
    FAASI_VALUE_TRUE,
    FAASI_VALUE_FALSE,
    FAASI_VALUE_NULL
};

/* What a condition looks at. A number may be rough: it is made more exact when a
 * condition comes too near for that to do. */
struct faasi_value {
    enum faasi_value_kind kind;
    size_t size;
    const char *text; /* of a string, unescaped; of a number, as it stands */
    int64_t number;   /* of a number: its faasi_number_key(), or one this near: */
    int64_t slack;    /* 0: it is exact */
};

/* Fills in a number whose text stands in `value`: roughly, if that is quicker. */
void faasi_number_read(struct faasi_value *value);

/* Makes a number that is not exact more exact. */
void faasi_number_refine(struct faasi_value *value);

/* Returns the number, which compares with `bound` as the exact one does. */
static inline int64_t faasi_number_against(struct faasi_value *value, int64_t bound)
{
    while (FAASI_UNLIKELY(value->slack != 0) && bound >= value->number - value->slack &&
           bound <= value->number + value->slack)
        faasi_number_refine(value);
    return value->number;
}

/* The same order as the numbers': equal doubles have equal keys, -0 is 0, and the next
 * double has the next key. */
static inline int64_t faasi_number_key(double number)
{
    int64_t bits;

    memcpy(&bits, &number, sizeof bits);
    return bits >= 0 ? bits : INT64_MIN - bits; // -0 is INT64_MIN: it becomes 0
}

/* Tells whether a condition holds for a value. */
bool faasi_cond_holds(const struct faasi_cond *cond, struct faasi_value *value);

struct faasi_leaf {
    const faas_bytes *path; /* its keys, from the top level down */
    const struct faasi_cond *conds;
    uint32_t path_count;
    uint32_t cond_count;
    uint32_t at; /* where its list stands in the text of the pattern */
    uint32_t end;
    uint32_t rank; /* its own `at`, or the end of the outermost $or that it is in */
};

struct faasi_sub {
    const uint32_t *leaves; /* indices, in the order of the text */
    uint32_t leaf_count;
};

/* One block of memory; everything points into it. */
struct faasi_pattern {
    size_t bytes;
    const struct faasi_leaf *leaves; /* in the order of the text */
    const struct faasi_sub *subs;
    uint32_t leaf_count;
    uint32_t sub_count;
};

/* What keeps a pattern from blowing up. 0 is the default, which is generous: EventBridge
 * allows 4096 bytes and 1000 combinations. */
struct faasi_pattern_limits {
    uint32_t bytes_max;       /* of the text; 1 MiB, at most 1 GiB */
    uint32_t depth_max;       /* brackets inside each other; 64, at most 1000 */
    uint32_t leaf_max;        /* leaves in the text; 1000, at most 10000 */
    uint32_t combination_max; /* products of $or branches; 1000, at most 100000 */
    uint32_t star_max;        /* in one wildcard; 100, at most 10000 */
};

/* Puts defaults where a limit is 0.
 *
 * @return FAAS_OK, or FAAS_EINVAL  a limit is over what this library can do */
faas_status faasi_pattern_limits_resolve(struct faasi_pattern_limits *limits);

/* Compiles a pattern.
 *
 * @param      limits    Resolved.
 * @param[out] out       Set on FAAS_OK, NULL otherwise; release it with
 *                       faasi_pattern_free() and the same allocator.
 * @param[out] error_at  The offset in the text of what was refused; at most `size`.
 * @return FAAS_OK, or
 *         FAAS_ESYNTAX  not JSON
 *         FAAS_EINVAL   JSON, but no pattern, or over a limit
 *         FAAS_ENOMEM */
faas_status faasi_pattern_compile(struct faasi_pattern **out, const char *text,
                                  size_t size, const struct faasi_pattern_limits *limits,
                                  const faas_allocator *alloc, size_t *error_at);

/* Accepts NULL. */
void faasi_pattern_free(struct faasi_pattern *pattern, const faas_allocator *alloc);

/* What a copy of conditions takes besides the array itself, and the making of it: `room`
 * is aligned to 8, and moved on behind what was written. */
size_t faasi_conds_bytes(const struct faasi_cond *conds, uint32_t count);
void faasi_conds_copy(struct faasi_cond *to, const struct faasi_cond *conds,
                      uint32_t count, char **room);

/* Reads an address, of an event or of a pattern, into 4 or 16 bytes and returns which, or
 * 0 if it is none. */
unsigned faasi_address_read(unsigned char *out, const char *text, size_t size);

/* Clears the bits of an address from `bits` on. */
void faasi_address_mask(unsigned char *address, unsigned size, unsigned bits);

#endif /* FAASI_PATTERN_H */
