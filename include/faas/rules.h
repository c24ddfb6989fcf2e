/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Rules: event patterns, and sets of them that tell which ones an event matches.
 *
 * The language is Amazon EventBridge's, with `all-of`, `contains` and the numeric `!=`
 * beside it: `{"type": ["order.created"], "data": {"total": [{"numeric": [">", 100]}]}}`.
 * A set needs no runtime; a runtime's bus is one user of it.
 */
#ifndef FAAS_RULES_H
#define FAAS_RULES_H

#include <faas/base.h>
#include <faas/event.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Rules by name. */
typedef struct faas_ruleset faas_ruleset;

/**
 * How to read patterns and match events. Start from FAAS_RULESET_OPTIONS_INIT; 0 or NULL
 * in any field means its default.
 *
 * Limits keep a pattern that somebody else wrote from blowing up. They are generous:
 * EventBridge allows 4096 bytes and 1000 combinations.
 */
typedef struct faas_ruleset_options {
    size_t size;                     /**< sizeof(faas_ruleset_options) */
    const faas_allocator *allocator; /**< borrowed until close; default: mimalloc, or
                                          malloc() where that is not installed */
    uint32_t pattern_bytes_max;      /**< of a pattern's text; default 1 MiB, at most
                                          1 GiB */
    uint32_t depth_max;              /**< brackets inside each other; default 64, at most
                                          1000 */
    uint32_t leaf_max;               /**< fields that a pattern asks for; default 1000, at
                                          most 10000 */
    uint32_t combination_max;        /**< products of `$or` branches; default 1000, at
                                          most 100000 */
    uint32_t star_max;               /**< stars in one wildcard; default 100, at most
                                          10000 */
    uint32_t scratch_bytes;          /**< what one match may use, and so the largest
                                          event: some bytes less when it is checked;
                                          default 4 MiB, at least 64 KiB, at most 1 GiB.
                                          Untouched pages cost nothing */
} faas_ruleset_options;

/** The defaults. */
#define FAAS_RULESET_OPTIONS_INIT                                                        \
    {                                                                                    \
        .size = sizeof(faas_ruleset_options)                                             \
    }

/** A rule that an event matches. */
typedef struct faas_match {
    const char *name; /**< terminated; valid until the rule is replaced or deleted */
    void *user;       /**< as given to faas_ruleset_put() */
} faas_match;

/**
 * Opens an empty set.
 *
 * @param[out] out      The set, or NULL on failure.
 * @param      options  NULL for the defaults.
 * @return FAAS_OK, or
 *         FAAS_EINVAL    an option is out of its range
 *         FAAS_EVERSION  an option that this library does not know is set
 *         FAAS_ENOMEM, FAAS_ESYSTEM
 *
 * Owner:  the caller's until faas_ruleset_close().
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status
faas_ruleset_open(faas_ruleset **out, const faas_ruleset_options *options);

/**
 * Ends a set and frees its memory. Accepts NULL.
 *
 * Thread: any, when no other call on the set runs or will come.
 * Since:  0.1
 */
FAAS_API void faas_ruleset_close(faas_ruleset *set);

/**
 * Adds a rule, or replaces the one of this name.
 *
 * A match sees the set as it was before or as it is after, never between; matches that
 * start after the return see the new rule.
 *
 * @param name     At most 64 KiB. Copied.
 * @param pattern  JSON text. Read and not kept.
 * @param user     Handed to whoever matches; the library does not look at it.
 * @return FAAS_OK, or
 *         FAAS_ESYNTAX  the pattern is not JSON; the error text says at which byte
 *         FAAS_EINVAL   it is no pattern, or over a limit, likewise; or the name is too
 *                       long
 *         FAAS_ENOMEM
 *
 * Thread: any. Blocks while another edit of this set runs; matches never wait for it.
 * Cost:   some microseconds, whatever the number of rules; one that is the first to name
 *         a field, or the last, takes time by the number of fields.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_ruleset_put(faas_ruleset *set, const char *name,
                                                     faas_bytes pattern, void *user);

/**
 * Deletes a rule.
 *
 * @return FAAS_OK, or
 *         FAAS_ENOENT  there is none of this name
 *
 * Thread: as faas_ruleset_put().
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_ruleset_delete(faas_ruleset *set,
                                                        const char *name);

/**
 * Returns the number of rules.
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API size_t faas_ruleset_count(const faas_ruleset *set);

/**
 * Tells which rules an event matches: each once, in no order.
 *
 * @param      event     JSON text of one object.
 * @param      flags     0, or FAAS_EVENT_TRUSTED.
 * @param[out] out       Room for `capacity` matches; may be NULL when that is 0.
 * @param[out] count     How many rules match; `out` has the first `capacity` of them. 0
 *                       on failure.
 * @return FAAS_OK, also when nothing matches or not all fit, or
 *         FAAS_ESYNTAX  the event is not JSON; the error text says at which byte
 *         FAAS_EINVAL   it is nested deeper than 1024, or needs more than `scratch_bytes`
 *         FAAS_ENOMEM   only when more threads match at once than ever before
 *
 * Thread: any. Takes no lock and never waits.
 * Cost:   linear in the event, nearly flat in the number of rules; see `scripts/bench
 *         rules`. Allocates only when more threads match large events at once than ever
 *         before.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_ruleset_match(faas_ruleset *set,
                                                       faas_bytes event, uint32_t flags,
                                                       faas_match *out, size_t capacity,
                                                       size_t *count);

/**
 * Is told what faas_ruleset_match_batch() found for one event.
 *
 * @param event    Its number in the batch.
 * @param status   As faas_ruleset_match() returns it; the error text belongs to it.
 * @param matches  What fitted into `out`; valid until the return.
 * @param count    How many rules match; 0 on failure.
 *
 * Thread: the one that called faas_ruleset_match_batch(). May call anything, also edit
 *         the set: the events after this one see it.
 */
typedef void faas_matched(size_t event, faas_status status, const faas_match *matches,
                          size_t count, void *user);

/**
 * Matches many events, in their order: as faas_ruleset_match() in a loop, but while one
 * is matched the next ones are fetched from memory. Trusted events that lie in memory for
 * some time take a third of the time so.
 *
 * @param events    Borrowed until the return, as are their bytes.
 * @param flags     As in faas_ruleset_match(); they hold for all.
 * @param out       Room for the matches of one event; may be NULL when `capacity` is 0.
 * @param matched   Called once per event, also for one that is refused: the others are
 *                  matched all the same.
 * @return FAAS_OK, or
 *         FAAS_EINVAL  the flags are wrong; nothing was matched
 *
 * Thread: any. Takes no lock and never waits.
 * Cost:   see `scripts/bench rules`, "in a batch".
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_ruleset_match_batch(
    faas_ruleset *set, const faas_bytes *events, size_t event_count, uint32_t flags,
    faas_match *out, size_t capacity, faas_matched *matched, void *user);

/**
 * Says whether a text is a pattern.
 *
 * @param      options  For the limits; NULL for the defaults.
 * @param[out] offset   The byte that was refused, at most the size of the text; 0 on
 *                      success. May be NULL.
 * @return as faas_ruleset_put()
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_pattern_check(
    faas_bytes pattern, const faas_ruleset_options *options, size_t *offset);

/** Why a pattern does not match an event. */
typedef enum faas_why {
    FAAS_WHY_MATCHED, /**< it does match */
    FAAS_WHY_MISSING, /**< the field has no value */
    FAAS_WHY_PRESENT, /**< the field has a value and should have none */
    FAAS_WHY_VALUE,   /**< no value of the field is what was asked for */
    FAAS_WHY_APART    /**< every leaf holds, but not within one element of an array */
} faas_why;

/** What faas_pattern_explain() found; see there. */
typedef struct faas_explanation {
    faas_why why;         /**< what kind of reason it is */
    uint32_t value_count; /**< values that the field has in the event */
    size_t asked_at;      /**< where the leaf's conditions stand in the pattern, */
    size_t asked_size;    /**< and how long they are; 0 when it matched */
    size_t found_at;      /**< where the field's first value stands in the event, */
    size_t found_size;    /**< and how long it is; 0 when there is none */
    char path[256];       /**< of the leaf, keys joined by dots; cut if it is longer */
    char text[512];       /**< all of this as a sentence; cut if it is longer */
} faas_explanation;

/**
 * Explains why a pattern matches an event or not: the first leaf in the order of the
 * pattern that fails.
 *
 * Of several `$or` branches, the one that gets furthest counts, and the first of equals.
 *
 * @param[out] out  Set on FAAS_OK, and zeroed otherwise.
 * @return FAAS_OK, also when it does not match, or
 *         FAAS_ESYNTAX, FAAS_EINVAL  the pattern or the event is refused
 *         FAAS_ENOMEM, FAAS_ESYSTEM
 *
 * Thread: any.
 * Cost:   for people: it builds a set of one rule.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status
faas_pattern_explain(faas_bytes pattern, faas_bytes event,
                     const faas_ruleset_options *options, faas_explanation *out);

#ifdef __cplusplus
}
#endif

#endif /* FAAS_RULES_H */
