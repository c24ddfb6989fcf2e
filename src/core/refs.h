/* SPDX-License-Identifier: MIT */
/* refs.h - reference counts: who gives back the last one frees.
 *
 * A reference is made by who has one, or by who is kept from losing it: by a lock, or in a
 * read section (grace.h) that ends before the owner gives its own back.
 *
 * Layer: 0 base. Includes atomics.h and base.h.
 * Locks: none. */
#ifndef FAASI_REFS_H
#define FAASI_REFS_H

#include "atomics.h"
#include "base.h"

typedef FAASI_ATOMIC(uint32_t) faasi_refs;

/* Relaxed: who makes one can see the thing already, and nothing else is published. */
static inline void faasi_ref(faasi_refs *refs)
{
    (void)atomic_fetch_add_explicit(refs, 1u, memory_order_relaxed);
}

/* Gives one back; true if it was the last: then the caller frees.
 *
 * Who sees a single one has it, and nobody can make another: no need to count down.
 * Acquire and release: who frees does so after all others are done. */
static inline bool faasi_unref(faasi_refs *refs)
{
    return atomic_load_explicit(refs, memory_order_acquire) == 1 ||
           atomic_fetch_sub_explicit(refs, 1u, memory_order_acq_rel) == 1;
}

#endif /* FAASI_REFS_H */
