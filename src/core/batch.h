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
 * Queued invocations of one worker run together: one of them seeks a seat for all. When it
 * leads, the others begin, in its first batch; if another one takes it along they do not.
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

/* One of several queued invocations of a function that run in one batch. The caller fills
 * in the request and what is said below it, and keeps them. */
struct faasi_member {
    struct faasi_request request;
    uint64_t deadline;  /* ticks, as of faasi_invoke_queued() */
    uint64_t waited;    /* ticks since it was submitted */
    faas_status status; /* as of faasi_invoke_queued(), without its watch; or of the first
                            one FAAS_EPENDING: the function does not run them so any more */
    faas_result *result; /* as of faasi_invoke_queued() */
    struct faasi_call call;
    struct faasi_wish wish;
    struct faasi_member *next; /* of those that ran */
};

/* The others. */
struct faasi_party {
    /* Begins the next one, NULL if there is none. With a seat, under no lock. */
    struct faasi_member *(*next)(struct faasi_party *party);
    uint32_t count; /* at most so many */
};

/* Runs one on this thread, see faasi_invoke_queued(), and others of its function with it
 * where it leads. All that began have a status then. */
void faasi_batch_queued(faas_runtime *rt, struct faasi_member *first,
                        struct faasi_party *party);

#endif /* FAASI_BATCH_H */
