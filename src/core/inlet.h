/* SPDX-License-Identifier: MIT */
/* inlet.h - the way in: a bounded ring of pointers, any number of producers, one consumer
 * at a time.
 *
 * Each cell has a sequence number: a producer may fill the cell of position p when it is
 * p, and sets it to p + 1; the consumer empties it then and sets it to p + size. A cell
 * that is taken and not filled yet counts as empty; its producer wakes somebody later.
 * Source: D. Vyukov's bounded queue.
 *
 * Layer: 1 structures. Includes atomics.h, base.h, mem.h.
 * Locks: none to put; taking needs the caller's. */
#ifndef FAASI_INLET_H
#define FAASI_INLET_H

#include "atomics.h"
#include "base.h"

struct faasi_inlet_cell {
    FAASI_ATOMIC(uint64_t) seq;
    FAASI_PLAIN(void *) what;
};

struct faasi_inlet {
    struct faasi_inlet_cell *cells;
    uint64_t mask;
    const faas_allocator *allocator;
    _Alignas(FAASI_CACHELINE) FAASI_ATOMIC(uint64_t) head;
    _Alignas(FAASI_CACHELINE) uint64_t tail; /* the consumer's */
};

/* @param size  A power of two.
 * @return FAAS_OK, FAAS_ENOMEM */
faas_status faasi_inlet_init(struct faasi_inlet *inlet, uint32_t size,
                             const faas_allocator *allocator);
void faasi_inlet_fini(struct faasi_inlet *inlet);

/* Puts a pointer; false if the ring is full.
 *
 * Sequentially consistent: who then sees nobody asleep is seen by who falls asleep. */
static inline bool faasi_inlet_put(struct faasi_inlet *inlet, void *what)
{
    uint64_t at = atomic_load_explicit(&inlet->head, memory_order_relaxed);

    for (;;) {
        struct faasi_inlet_cell *cell = &inlet->cells[at & inlet->mask];
        uint64_t seq = atomic_load_explicit(&cell->seq, memory_order_acquire);

        if (seq == at) {
            if (atomic_compare_exchange_weak_explicit(&inlet->head, &at, at + 1,
                                                      memory_order_relaxed,
                                                      memory_order_relaxed)) {
                cell->what = what;
                atomic_store_explicit(&cell->seq, at + 1, memory_order_seq_cst);
                return true;
            }
        } else if (seq < at) {
            return false;
        } else {
            at = atomic_load_explicit(&inlet->head, memory_order_relaxed);
        }
    }
}

/* Puts up to `count` pointers, one behind the other, at most as many as the ring has;
 * returns how many. As faasi_inlet_put() for all of them. */
static inline uint32_t faasi_inlet_put_many(struct faasi_inlet *inlet, void *const *what,
                                            uint32_t count)
{
    uint64_t at = atomic_load_explicit(&inlet->head, memory_order_relaxed);

    for (;;) {
        uint64_t last = at + count - 1;
        uint64_t seq = atomic_load_explicit(&inlet->cells[last & inlet->mask].seq,
                                            memory_order_acquire);

        /* They are emptied in their order: if that one is free, so are those before. */
        if (seq == last) {
            if (atomic_compare_exchange_weak_explicit(&inlet->head, &at, at + count,
                                                      memory_order_relaxed,
                                                      memory_order_relaxed))
                break;
        } else if (seq > last) {
            at = atomic_load_explicit(&inlet->head, memory_order_relaxed);
        } else if ((count /= 2) == 0) {
            return 0;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        struct faasi_inlet_cell *cell = &inlet->cells[(at + i) & inlet->mask];

        cell->what = what[i];
        atomic_store_explicit(&cell->seq, at + i + 1, memory_order_seq_cst);
    }
    return count;
}

/* Takes the oldest, or NULL. One thread at a time. Acquire: pairs with the put. */
static inline void *faasi_inlet_take(struct faasi_inlet *inlet)
{
    struct faasi_inlet_cell *cell = &inlet->cells[inlet->tail & inlet->mask];
    void *what;

    if (atomic_load_explicit(&cell->seq, memory_order_acquire) != inlet->tail + 1)
        return NULL;
    what = cell->what;
    /* Release: who fills it next does so after we have read it. */
    atomic_store_explicit(&cell->seq, inlet->tail + inlet->mask + 1,
                          memory_order_release);
    inlet->tail++;
    return what;
}

/* How many were put, or are about to be. One thread at a time. */
static inline uint64_t faasi_inlet_count(struct faasi_inlet *inlet)
{
    return atomic_load_explicit(&inlet->head, memory_order_relaxed) - inlet->tail;
}

/* What would be taken, or NULL. One thread at a time. */
static inline void *faasi_inlet_peek(struct faasi_inlet *inlet)
{
    struct faasi_inlet_cell *cell = &inlet->cells[inlet->tail & inlet->mask];

    if (atomic_load_explicit(&cell->seq, memory_order_acquire) != inlet->tail + 1)
        return NULL;
    return cell->what;
}

/* Whether there is nothing to take. One thread at a time. */
static inline bool faasi_inlet_empty(struct faasi_inlet *inlet)
{
    return atomic_load_explicit(&inlet->cells[inlet->tail & inlet->mask].seq,
                                memory_order_seq_cst) != inlet->tail + 1;
}

#endif /* FAASI_INLET_H */
