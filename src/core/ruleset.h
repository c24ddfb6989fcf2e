/* SPDX-License-Identifier: MIT */
/* ruleset.h - what the library itself does with a rule set beside <faas/rules.h>: match
 * an event that was checked and indexed once, for as many sets as there are.
 *
 * Layer: 2 parts. Includes base.h, grace.h, hash.h, json.h, mem.h, pattern.h,
 * ruleset_index.h, sync.h, text.h.
 * Locks: one per set, for edits. Readers take none. */
#ifndef FAASI_RULESET_H
#define FAASI_RULESET_H

#include "base.h"

#include <faas/rules.h>

/* Tells which rules an event matches; as faas_ruleset_match().
 *
 * @param event  JSON text of one object.
 * @param index  What faasi_json_check() wrote for it; then it is not checked again, and
 *               every occurrence of a key counts. NULL: as FAAS_EVENT_TRUSTED.
 *
 * Refusals are returned bare: FAAS_EINVAL (needs more than the scratch memory),
 * FAAS_ESYNTAX (trusted, and the walk stumbled), FAAS_ENOMEM. */
faas_status faasi_ruleset_match(faas_ruleset *set, faas_bytes event,
                                const uint64_t *index, faas_match *out, size_t capacity,
                                size_t *count);

/* Returns how many bytes the set takes, without what is about to be freed, and in `dead`
 * how many those are. For tests and benches. Thread: any, one at a time per set. */
size_t faasi_ruleset_bytes(faas_ruleset *set, size_t *dead);

#endif /* FAASI_RULESET_H */
