/* SPDX-License-Identifier: MIT */
/* instance.h - cold starts, the warm cache and its budget, the end of instances.
 *
 * Idle instances wait in their cells, still on their seats. They end when they are idle
 * for too long, too old, served enough, over budget, or when their function ends; close
 * then runs once, on the thread that found it.
 *
 * Layer: 2 parts. Includes gate.h.
 * Locks: the gate's. */
#ifndef FAASI_INSTANCE_H
#define FAASI_INSTANCE_H

#include "gate.h"

/* Gives a cell that the caller has taken what a call needs: an instance, if it has none
 * (a cold start; `*init_ns` says how long init took), and a heap.
 *
 * @return FAAS_OK; or FAAS_EINIT, FAAS_ENOMEM: then the caller leaves the cell by the
 *         gate.
 *
 * Runs init on this thread. */
faas_status faasi_instance_ready(struct faasi_gate *gate, struct faasi_cell *cell,
                                 uint64_t *init_ns);

/* The instance of a cell once it is known to all, or NULL. Holds: lock. */
const struct faasi_instance *faasi_instance_listed(const struct faasi_cell *cell);

/* What it is accounted for: what it declared, and its heap. */
uint64_t faasi_instance_bytes(const struct faasi_instance *instance);

/* Whether it is one of those that its function keeps. Holds: lock. */
bool faasi_instance_is_kept(const struct faasi_instance *instance);

/* When the last call left an instance, in ticks; UINT64_MAX while one runs. Holds:
 * lock. */
uint64_t faasi_instance_idle_since(const struct faasi_instance *instance);

/* The fullest instance of `f` that another call may join, or NULL. Holds: lock. */
struct faasi_instance *faasi_instance_with_room(struct faasi_function *f);

/* Attaches a taken cell to an instance of its function that has room. Holds: lock. */
bool faasi_instance_join(struct faasi_cell *cell);

/* Whether memory for an instance in this cell is there, after ending idle ones if need
 * be; counts it then, or takes that back. Holds: lock. */
bool faasi_instance_afford(struct faasi_gate *gate, struct faasi_cell *cell);
void faasi_instance_refund(struct faasi_gate *gate, struct faasi_cell *cell);

/* Counts calls that an instance served, where that or its age is bounded: whether it is to
 * end. By the cell's sitter. */
bool faasi_instance_served(const faas_clock *clock, struct faasi_cell *cell,
                           uint32_t calls, uint64_t now);

/* Takes a cell from its instance, which is doomed when it was the last one. The seat is
 * the caller's. Holds: lock. */
void faasi_instance_detach(struct faasi_gate *gate, struct faasi_cell *cell);

/* Ends an instance when the calls in it have left: at once if it is idle. Holds: lock. */
void faasi_instance_end(struct faasi_gate *gate, struct faasi_instance *instance);

/* Closes a list of doomed instances. Not under the lock. */
void faasi_instances_close(struct faasi_gate *gate, struct faasi_instance *doomed);

/* Ends what is due at `now` and says when the next will be. Holds: lock. */
uint64_t faasi_instances_sweep(struct faasi_gate *gate, uint64_t now);

/* Ends idle instances until the budget holds. Holds: lock. */
void faasi_instances_shrink(struct faasi_gate *gate);

/* Ends idle instances of a function until its own limits hold. Holds: lock. */
void faasi_instances_trim(struct faasi_gate *gate, struct faasi_function *f);

/* Makes provisioned instances that are missing: of `f`, which cannot die meanwhile, or of
 * every function if that is NULL. Not under the lock.
 * @return FAAS_OK, FAAS_EINIT, FAAS_ENOMEM: the first failure; a function whose init
 *         fails is left for the next time */
faas_status faasi_instances_provision(struct faasi_gate *gate, struct faasi_function *f);

void *faasi_instance_heap_alloc(struct faasi_instance *instance,
                                const faas_allocator *allocator, _Atomic uint64_t *held,
                                size_t size);

#endif /* FAASI_INSTANCE_H */
