/* SPDX-License-Identifier: MIT */
/* ring.h - a doubly linked list: a ring of links through its head.
 *
 * A link that is in no list is a ring of its own, so taking out what is in none does
 * nothing.
 *
 * Layer: 1 structures. Includes base.h only.
 * Locks: none; the caller's. */
#ifndef FAASI_RING_H
#define FAASI_RING_H

#include "base.h"

struct faasi_ring {
    struct faasi_ring *next, *prev;
};

static inline void faasi_ring_init(struct faasi_ring *ring)
{
    ring->next = ring->prev = ring;
}

static inline bool faasi_ring_empty(const struct faasi_ring *ring)
{
    return ring->next == ring;
}

/* Before `at`: at the end of the list that it heads. */
static inline void faasi_ring_insert(struct faasi_ring *at, struct faasi_ring *ring)
{
    ring->next = at;
    ring->prev = at->prev;
    at->prev->next = ring;
    at->prev = ring;
}

static inline void faasi_ring_remove(struct faasi_ring *ring)
{
    ring->prev->next = ring->next;
    ring->next->prev = ring->prev;
    faasi_ring_init(ring);
}

#endif /* FAASI_RING_H */
