/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Dead letters: the records of asynchronous invocations that were given up, kept in memory
 * to be looked at, sent again, or thrown away.
 *
 * The store is bounded in records and bytes, see faas_runtime_options. A record that comes
 * to a full store pushes out the oldest one, which is counted, and handed to the runtime's
 * `dead_letter` callback first if it has one.
 */
#ifndef FAAS_LETTERS_H
#define FAAS_LETTERS_H

#include <faas/async.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Which dead letters. Fields left at 0 or NULL ask for nothing; set ones must all hold. */
typedef struct faas_letter_filter {
    size_t size;              /**< sizeof(faas_letter_filter) */
    faas_fn fn;               /**< submitted to this function */
    faas_condition condition; /**< given up for this reason */
    faas_status status;       /**< with this status; FAAS_OK: any */
    faas_bytes group;         /**< of this group */
    faas_bytes tenant;        /**< of this tenant */
    faas_id request_id;       /**< this very one */
    uint64_t ended_after_ns;  /**< at or after this instant of the runtime's clock */
    uint64_t ended_before_ns; /**< before this instant */
    uint64_t most;            /**< at most so many, the oldest ones */
} faas_letter_filter;

/** A filter with the named fields: `FAAS_LETTERS(.fn = fn)`. */
#define FAAS_LETTERS(...)                                                                \
    (&(const faas_letter_filter){.size = sizeof(faas_letter_filter), __VA_ARGS__})

/**
 * Is shown a dead letter.
 *
 * @return 0 to go on; anything else ends the listing
 *
 * Thread: that of the listing; no lock is held. It may call everything.
 */
typedef int faas_letter_visit(const faas_record *record, void *user);

/**
 * Shows dead letters, the oldest first. What comes or goes meanwhile may or may not be
 * shown; what is shown stays valid for its call.
 *
 * @param      filter  NULL = all.
 * @param      visit   NULL only counts.
 * @param[out] count   How many matched, or were shown. May be NULL.
 * @return FAAS_OK, FAAS_EINVAL, FAAS_EVERSION, FAAS_ECLOSED, FAAS_ENOMEM
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_letters_list(faas_runtime *rt,
                                                      const faas_letter_filter *filter,
                                                      faas_letter_visit *visit,
                                                      void *user, uint64_t *count);

/**
 * Submits dead letters again, the oldest first, with their input, event, group, tenant and
 * priority, as new invocations. The first one that is refused ends it, and stays in the
 * store, as its newest letter.
 *
 * @param      to     All zero: each to the function that it came from.
 * @param[out] count  How many were accepted. May be NULL.
 * @return FAAS_OK, or why one was refused, as faas_invoke_async(); FAAS_ECLOSED
 *
 * Thread: any. Blocks as faas_invoke_async() does.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_letters_redrive(faas_runtime *rt,
                                                         const faas_letter_filter *filter,
                                                         faas_fn to, uint64_t *count);

/**
 * Throws dead letters away.
 *
 * @param[out] count  How many. May be NULL.
 * @return FAAS_OK, FAAS_EINVAL, FAAS_EVERSION, FAAS_ECLOSED
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_letters_purge(faas_runtime *rt,
                                                       const faas_letter_filter *filter,
                                                       uint64_t *count);

#ifdef __cplusplus
}
#endif

#endif /* FAAS_LETTERS_H */
