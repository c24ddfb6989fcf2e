/* SPDX-License-Identifier: MIT */
/* limit.h - a limiter in front of live calls: the rules of admission.h, fed with what the
 * cells of a function count.
 *
 * There are two kinds. Where it is enough to know how many calls run and how long they
 * take (predicted wait, a queue's delay), a limiter is asked only when a call found no
 * seat and is about to wait: a warm call does not know of it, and its times are read from
 * the cells' counters then. Where each call matters (a rate, a limit that may be lower
 * than what can run at once, one that learns from each) every call is counted: it
 * enters and leaves under the gate's lock, and no thread remembers a seat.
 *
 * What is in flight is looked at, not counted: the busy seats and those who wait. So no
 * count drifts, and a limiter can be put in and taken away while calls run.
 *
 * Layer: 2 parts. Includes admission.h, function.h.
 * Locks: the gate's around everything but opening and closing. */
#ifndef FAASI_LIMIT_H
#define FAASI_LIMIT_H

#include "admission.h"
#include "function.h"

struct faasi_limit {
    struct faasi_admission admission;
    faas_limiter given;    /* as the host gave it; all zero: it is the default one */
    uint64_t looked_calls; /* of the cells: the admission knows of so many, */
    uint64_t looked_ticks; /* and of so much time */
    uint64_t sheds;        /* calls dropped when it was their turn */
    uint32_t waiting;      /* in the gate's queue */
};

/* A limiter for a function or a runtime, or the default one of a function whose calls
 * wait: predicted wait, which lets in everybody until it has seen a call, and drops
 * nobody whose time is not over.
 *
 * @param how      NULL: the default one.
 * @param limit_ns Time that calls have, or FAAS_FOREVER.
 * @return FAAS_OK, FAAS_EINVAL, FAAS_EVERSION, FAAS_ENOMEM */
faas_status faasi_limit_open(const faas_allocator *allocator, const faas_limiter *how,
                             uint32_t width, uint64_t limit_ns, uint64_t now,
                             struct faasi_limit **limit);
void faasi_limit_close(const faas_allocator *allocator,
                       struct faasi_limit *limit); /* accepts NULL */

/* Calls have another time, or another number can run at once. What was learned stays. */
void faasi_limit_retime(struct faasi_limit *limit, uint32_t width, uint64_t limit_ns,
                        uint64_t now);

/* Whether the host gave it. Accepts NULL. */
bool faasi_limit_is_given(const struct faasi_limit *limit);

/* Whether every call has to be counted. Accepts NULL. */
bool faasi_limit_counts(const struct faasi_limit *limit);

/* Reads the calls that the cells of `f` counted since the last time, as one sample; false
 * if there were none. */
bool faasi_limit_look(struct faasi_limit *limit, struct faasi_function *f,
                      const faas_clock *clock, struct faasi_admission_sample *sample);

#endif /* FAASI_LIMIT_H */
