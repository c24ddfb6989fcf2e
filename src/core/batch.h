/* SPDX-License-Identifier: MIT */
/* batch.h - many calls in one: callers lead and follow, and no thread is ours.
 *
 * A call that gets a seat leads: it runs a batch, its own item first, then takes what
 * waits in the queue and runs that. A call that finds the function full follows: it
 * queues its wish and sleeps until a leader ran it. When a leader's time is over it hands
 * its seat to the head of the queue, which leads on.
 *
 * No wish is forgotten. It is queued under the desk's lock by one that saw, under the
 * lock, every seat taken, and by another call than those below it on its stack. Whoever
 * sits comes by once more after it has left its seat, and if somebody waits then, takes
 * the head out to seek a seat for itself, at the gate if need be. One that seeks in vain
 * sends the next.
 *
 * Layer: 3 path. Includes desk.h, invoke.h.
 * Locks: the desk's, not while a handler runs. */
#ifndef FAASI_BATCH_H
#define FAASI_BATCH_H

#include "desk.h"
#include "invoke.h"

/* As faas_invoke() of a function with a batch handler, by a user of its desk.
 * @return also FAAS_ENOENT: the function died before the call ran */
faas_status faasi_batch_invoke(faas_runtime *rt, struct faasi_desk *desk,
                               struct faasi_call *call, faas_result **result);

#endif /* FAASI_BATCH_H */
