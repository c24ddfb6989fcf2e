/* SPDX-License-Identifier: MIT */
/* warm.h - the live cache's side of a keep-alive policy.
 *
 * Gives functions and instances their numbers, tells the policy of starts and ends, and
 * shows it what became of an instance since it looked last: the seats record when they
 * were left and how many calls they served, so warm calls report nothing. A host's policy
 * goes through the same books as the library's.
 *
 * Layer: 2 parts. Includes policy.h and function.h; warm.c also instance.h.
 * Locks: the gate's is held in every function but init and fini. */
#ifndef FAASI_WARM_H
#define FAASI_WARM_H

#include "function.h"
#include "policy.h"

#include <faas/keepalive.h>

/* By number; 0 is nobody's. */
struct faasi_warm_place {
    void *who; /* instance or tally; NULL: free */
    uint32_t next;
};

struct faasi_warm_places {
    struct faasi_warm_place *at;
    uint32_t room, used, free;
};

struct faasi_warm {
    const faas_clock *clock;
    faas_allocator allocator; /* counts what policies hold */
    const faas_allocator *to;
    struct faasi_policy *policy;
    struct faasi_warm_places instances, functions;
    const faas_keepalive_policy *opening; /* the host's, while it is opened */
    uint64_t now;                         /* as policies were told last */
    uint64_t seed;
    uint64_t evictions;
    uint64_t history_bytes;
};

/* @return FAAS_OK, FAAS_EINVAL, FAAS_EVERSION, FAAS_ENOMEM */
faas_status faasi_warm_init(struct faasi_warm *warm, const faas_clock *clock,
                            const faas_runtime_options *options);
void faasi_warm_fini(struct faasi_warm *warm);

/* Opening failed after all: a host's policy will not be told that it ends. */
void faasi_warm_disown(struct faasi_warm *warm);

/* What the policy is called. */
const char *faasi_warm_name(const struct faasi_warm *warm);

/* An instance is wanted: the policy hears of the call, once for each start, before it is
 * asked for a victim. */
void faasi_warm_ask(struct faasi_warm *warm, struct faasi_tally *tally);

/* Numbers an instance that is to be made. @return FAAS_OK, FAAS_ENOMEM */
faas_status faasi_warm_reserve(struct faasi_warm *warm, struct faasi_instance *instance);

/* It was not made after all. Accepts one without a number. */
void faasi_warm_cancel(struct faasi_warm *warm, struct faasi_instance *instance);

/* It was made, in its first cell, in `init_ns`; `running` says whether a call begins in
 * it now. */
void faasi_warm_start(struct faasi_warm *warm, struct faasi_instance *instance,
                      uint64_t init_ns, bool running);

/* Another cell of it. */
void faasi_warm_join(struct faasi_cell *cell);

/* Its last cell left. */
void faasi_warm_end(struct faasi_warm *warm, struct faasi_instance *instance);

/* The instance that goes first, of all or of a function; NULL if none is idle and may
 * go. It may have been taken since. */
struct faasi_instance *faasi_warm_victim(struct faasi_warm *warm,
                                         const struct faasi_function *only);

/* A function's time to idle is another. */
void faasi_warm_retime(struct faasi_warm *warm, const struct faasi_function *f);

/* The instances of a function count for `to` from now on, and `from` is forgotten. */
void faasi_warm_move(struct faasi_warm *warm, struct faasi_function *f,
                     struct faasi_tally *from, struct faasi_tally *to);

/* Nothing counts for a tally any more. */
void faasi_warm_forget(struct faasi_warm *warm, struct faasi_tally *tally);

/* What faas_runtime_keepalive() does; `newest` is the gate's list of instances. */
faas_status faasi_warm_swap(struct faasi_warm *warm, faas_keepalive keepalive,
                            const faas_keepalive_policy *policy,
                            struct faasi_instance *newest);

#endif /* FAASI_WARM_H */
