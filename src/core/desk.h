/* SPDX-License-Identifier: MIT */
/* desk.h - what a function has beside its seats when it batches or remembers its answers:
 * the queue of items that wait for a batch, the response cache, identical calls in
 * flight, and the places where items run.
 *
 * Every call of such a function passes its desk, so none has a hint to a seat. It enters
 * in a read section, which keeps the desk until then; from there on it is counted as a
 * user, and who ends the function waits for all users. When the function dies the desk is
 * ended: nobody enters, who waited in the queue is sent away to look its handle up again,
 * and each user that leaves is one hold less.
 *
 * Layer: 2 parts. Includes gate.h and lower rooms.
 * Locks: `lock`, taken after the gate's and after a clock's; before it none is taken but
 * a bell's. No handler and no hook runs under it. */
#ifndef FAASI_DESK_H
#define FAASI_DESK_H

#include "batchcurve.h"
#include "gate.h"
#include "refs.h"
#include "responses.h"

enum { FAASI_PRIORITIES = 3 };

struct faasi_party;

/* What one call sleeps on until another one rings; on its own stack. */
struct faasi_bell {
    faasi_mutex lock;
    faasi_cond cond;
    bool rung; /* Holds: its lock */
    struct faasi_bell *next,
        **link; /* Holds: the desk's lock. Those that a clock wakes */
};

/* Where one item of a batch runs, or what a remembered answer is handed over in: what a
 * cell is to a call. */
struct faasi_place {
    struct faas_context context;
    struct faasi_heap *heap;
    faas_id id;
    struct faasi_place *next; /* spare */
};

/* What became of a call that waits for a batch. */
enum faasi_wish_state {
    FAASI_WISH_WAITS, /* in the queue */
    FAASI_WISH_TAKEN, /* in a batch that runs */
    FAASI_WISH_RAN,   /* its handler came back */
    FAASI_WISH_LEADS, /* it was handed a seat: it runs the next batch */
    FAASI_WISH_SEEKS, /* it is to find itself a seat, and to run the next batch */
    FAASI_WISH_ENDED  /* it did not run; `status` says why */
};

/* A call that is to run in a batch; on its own stack. In the queue, and until its bell
 * rings, it is the desk's. */
struct faasi_wish {
    const struct faasi_request *request;
    struct faasi_place *place;
    uint64_t waited;                   /* ticks before it came */
    uint64_t arrived, deadline, until; /* ticks; `until`: to wait in the queue */
    uint64_t begun, ended;             /* ticks, when it ran */
    unsigned priority;                 /* 0 goes first */
    enum faasi_wish_state state;
    faas_status status;
    int code;
    struct faasi_cell *cell; /* that it was handed */
    uint32_t backlog;        /* how many waited then */
    struct faasi_bell bell;
    struct faasi_wish *next, **link; /* in the queue; `link` is NULL outside. In a batch
                                        by `next` */
    struct faasi_party
        *party; /* what its caller has to run with it, if it leads; or NULL */
    struct faasi_wish *also; /* of these */
};

/* Calls of one priority, first come first served. */
struct faasi_wishes {
    struct faasi_wish *first, **last;
};

/* A call that waits for the answer to an identical one. */
struct faasi_fellow {
    struct faasi_response *response; /* a reference of its own; NULL: there was none */
    struct faasi_bell bell;
    struct faasi_fellow *next, **link; /* of the same flight */
};

/* A call that runs, and that identical ones may share; on its caller's stack. */
struct faasi_flight {
    uint64_t hash;
    faas_bytes key;
    uint64_t epoch;
    struct faasi_fellow *fellows;
    struct faasi_flight *next, **link;
};

/* Counts, shared by a function and what replaces it. */
struct faasi_desk_tally {
    faasi_refs refs;
    _Atomic uint64_t batches, batched, batch_sizes[FAAS_BATCH_SIZES];
    _Atomic uint64_t hits, misses, shared;
};

struct faasi_desk {
    faasi_mutex lock;
    struct faasi_gate *gate;
    struct faasi_function *function;
    faas_clock *clock; /* that is moved by hand, or NULL */
    struct faasi_clock_listener listener;
    struct faasi_desk_tally *tally;
    uint32_t users;
    bool ended; /* also written under the gate's lock only */
    struct faasi_bell *bells;
    struct faasi_place *spare;
    uint32_t spare_count;

    bool collects; /* never changes: there is a batch handler */
    uint32_t batch_max;
    _Atomic uint64_t delay_ns;
    struct faasi_wishes queue[FAASI_PRIORITIES];
    _Atomic uint32_t waiting; /* in the queue */
    uint32_t collecting; /* seated, and waiting for more items as they were told to */
    uint32_t takes;      /* batches taken from the queue */
    faasi_cond more;     /* for those: one more waits, or nothing is worth waiting for */
    struct faasi_batchcurve curve;

    bool remembers, shares, remembers_failures; /* never change */
    uint64_t cache_ns;
    uint64_t epoch; /* changes when what was remembered is to be forgotten */
    struct faasi_responses responses;
    struct faasi_flight *flights;
};

/* A desk for a function that nobody knows yet, if `policy` or the code asks for one;
 * `f->desk` stays NULL otherwise. @return FAAS_OK, FAAS_ENOMEM, FAAS_ESYSTEM */
faas_status faasi_desk_open(struct faasi_gate *gate, struct faasi_function *f,
                            faas_clock *clock, const faas_function *policy);

/* Nobody uses it any more. Accepts NULL. Not under a lock. */
void faasi_desk_close(struct faasi_desk *desk);

/* Becomes a user, with a place if one is at hand (else NULL). In a read section.
 * @return FAAS_OK, FAAS_ECLOSED, or FAAS_ENOENT: look the handle up again */
faas_status faasi_desk_enter(struct faasi_desk *desk, struct faasi_place **place);

/* Is one no longer, and gives its place back, or NULL: what was handed out of its heap
 * stays the result's. Runs close hooks, if it was the last one of a dead function. */
void faasi_desk_leave(struct faasi_desk *desk, struct faasi_place *place);

/* The function dies: sends away who waits. Returns how many users there are, each of whom
 * lets go of one of `f->holds` when it leaves. Holds: the gate's lock. */
uint32_t faasi_desk_end(struct faasi_desk *desk);

/* Lays what is set in `changes` over the policy, and forgets all answers. Holds: the
 * gate's lock, or nobody knows it. */
void faasi_desk_apply(struct faasi_desk *desk, const faas_function *changes);

/* Adds the desk's part of a policy, and of the numbers. Accepts NULL. */
void faasi_desk_policy(struct faasi_desk *desk, faas_function *policy);
void faasi_desk_stats(struct faasi_desk *desk, faas_function_stats *stats);

/* Counts go on in `old`'s from here on. Both may be NULL. */
void faasi_desk_inherit(struct faasi_desk *desk, struct faasi_desk *old);

/* Makes sure that a user has a place, with a heap that is home and empty. Returns it, or
 * NULL without memory. Not under the lock. */
struct faasi_place *faasi_desk_place(struct faasi_desk *desk, struct faasi_place **place);

/* Whether queued invocations run together. Where answers are remembered or shared each
 * looks for one before it runs, and may wait for another. Never changes. */
static inline bool faasi_desk_gathers(const struct faasi_desk *desk)
{
    return desk != NULL && desk->collects && !desk->remembers && !desk->shares;
}

/* Whether a batch of `count` that begins at `now` (ticks) is done by `end`; or one alone
 * would not be, and fewer are no help. Holds: the desk's lock. */
static inline bool faasi_desk_is_in_time(const struct faasi_desk *desk, uint32_t count,
                                         uint64_t now, uint64_t end)
{
    return faasi_ticks_after(now, faasi_batchcurve_ticks(&desk->curve, count)) <= end ||
           faasi_ticks_after(now, faasi_batchcurve_ticks(&desk->curve, 1)) > end;
}

/* How many of `waiting` queued invocations, 1 or more, to run in one batch, at most
 * `most`. */
uint32_t faasi_desk_pick(struct faasi_desk *desk, uint32_t waiting, uint32_t most);

/* How many of those with such deadlines (ticks), the first ones, to run now so that they are
 * done in time where fewer would be; a size that is measured. */
uint32_t faasi_desk_in_time(struct faasi_desk *desk, const uint64_t deadlines[],
                            uint32_t count);

/* ---- bells ---- */

faas_status faasi_bell_init(struct faasi_bell *bell);
void faasi_bell_fini(struct faasi_bell *bell);

/* From here on a clock that is moved by hand wakes it. Holds: the desk's lock. */
void faasi_bell_list(struct faasi_desk *desk, struct faasi_bell *bell);
void faasi_bell_unlist(struct faasi_bell *bell);

/* Wakes its sleeper, for good. The bell may be gone afterwards. Any lock may be held. */
void faasi_bell_ring(struct faasi_bell *bell);

/* Sleeps until somebody rings, or until `until` (ticks); tells which. Not under a
 * lock. */
bool faasi_bell_wait(const struct faasi_desk *desk, struct faasi_bell *bell,
                     uint64_t until);

/* ---- the queue; all that changes it Holds: the desk's lock ---- */

/* Adds a wish behind those of its priority, or before them. */
void faasi_desk_queue(struct faasi_desk *desk, struct faasi_wish *wish, bool first);

/* Takes one out. */
void faasi_desk_unqueue(struct faasi_desk *desk, struct faasi_wish *wish);

/* How many wait; without the lock how many did a moment ago. */
static inline uint32_t faasi_desk_waiting(const struct faasi_desk *desk)
{
    return atomic_load_explicit(&desk->waiting, memory_order_relaxed);
}

/* The one that goes next: of the highest priority, but every eighth time the one that
 * waits for longest. NULL if none waits. */
struct faasi_wish *faasi_desk_head(struct faasi_desk *desk);

#endif /* FAASI_DESK_H */
