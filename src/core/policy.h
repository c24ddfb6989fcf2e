/* SPDX-License-Identifier: MIT */
/* policy.h - which idle instance goes first when memory is short.
 *
 * A policy is told what happens to functions and instances, and is asked for a victim. It
 * is pure: no locks, no clock, no I/O; every instant is handed to it, in nanoseconds that
 * do not run backwards, and the same calls with the same seed give the same victims. So
 * the cache and the replay of a trace run the very same code.
 *
 * This room keeps the books that every policy needs: functions, their instances, and of
 * each function the idle ones in the order in which they fell idle. A policy ranks
 * functions or instances; what it proposes is checked against the books, so a policy that
 * errs, or a host's that lies, cannot have a busy instance ended, nor one that is not
 * there. Functions and instances are small numbers chosen by the caller, and dense: the
 * books are arrays.
 *
 * Levels. A function's runs in progress are counted when one begins and when one ends; a
 * run uses the slot (function, level) from when it made the count `level` until the count
 * falls below. If a function reuses the instance that fell idle last, then the one idle
 * for longest is needed again when the count of runs reaches the number of instances: its
 * worth is that of the slot (function, live).
 *
 * Exact and late reports. A replay reports each request, start, idling and end as it
 * happens. A live cache cannot: its warm path touches nothing shared. It reports starts
 * and ends, which are slow anyway, and hands down a `look`: whenever a decision is about
 * to rest on an idle instance, the policy looks at it first, and is told how many calls
 * it has served since the last look and when the last of them left (the cache reads both
 * from its seats: versions count calls, left_ticks is there). From this the books are
 * brought up to date as if the calls had been reported: the first gap ended after the
 * last look and before the last leaving, the others share what is left. A policy whose
 * looks come at growing ages (idx) so learns each gap about as exactly as its buckets are
 * wide.
 *
 * What has just started, what a look finds busy, or not to be ended (provisioned,
 * ending), is set aside as unsure, busy for the policy, and looked at again before the
 * next victim is chosen. So the cache needs, under its lock: request() when an instance is
 * wanted, start() where one is listed, end() where one is detached or ended, declare() when
 * a cold start was timed, and victim(); and nothing at all on the warm path. What is idle
 * for too long its own sweep finds, by each function's time.
 *
 * Layer: 1 structures. Includes base.h; policy*.c include mem.h too.
 * Locks: none; the caller has one at a time (the cache: the gate's). */
#ifndef FAASI_POLICY_H
#define FAASI_POLICY_H

#include "base.h"

#define FAASI_POLICY_NONE UINT32_MAX

/* How many functions or instances there may be. */
enum { FAASI_POLICY_MAX = 1 << 24 };

/* What the cache saw when it looked at an instance that the books have as idle. */
struct faasi_policy_look {
    uint64_t calls; /* that began in it since the last look */
    uint64_t left;  /* when the last of them left; not after now */
    bool busy;      /* one runs now */
    bool kept;      /* it may not go (provisioned, ending): not to be proposed for now */
};

typedef void faasi_policy_looker(uint32_t instance, struct faasi_policy_look *look,
                                 void *user);

enum faasi_policy_state {
    FAASI_POLICY_ABSENT = 0,
    FAASI_POLICY_BUSY = 1,
    FAASI_POLICY_IDLE = 2,
    /* A look found it busy or kept; policies take it for busy. Looked at again before the
     * next victim is chosen. */
    FAASI_POLICY_UNSURE = 3
};

/* How an instance ended: while busy, while idle, or idle and to make room. */
enum faasi_policy_end {
    FAASI_POLICY_ENDED_BUSY,
    FAASI_POLICY_ENDED_IDLE,
    FAASI_POLICY_EVICTED
};

struct faasi_policy_function {
    float worth;     /* cost per byte: what a byte of it saves when it is reused */
    uint32_t live;   /* instances, busy and idle */
    uint32_t idle;   /* of these, idle */
    uint32_t oldest; /* idle instances, by when they fell idle */
    uint32_t newest;
    uint64_t bytes;
};

struct faasi_policy_instance {
    uint64_t since;  /* when it fell idle; when it started or was taken, while busy */
    uint64_t looked; /* when it was looked at, or reported, last */
    uint32_t function;
    uint32_t older; /* idle ones of the function; or unsure ones, of all */
    uint32_t newer;
    uint32_t state;
};

struct faasi_policy;

/* A policy. `state` is what `open` made. Members that a policy does not need are NULL,
 * but for `victim`. A host's policy is one of these too. */
struct faasi_policy_ops {
    const char *name;
    faas_status (*open)(struct faasi_policy *policy);
    void (*close)(struct faasi_policy *policy);

    /* Makes room for so many; may be asked for fewer than before, or the same again. New
     * records are zero. */
    faas_status (*reserve)(struct faasi_policy *policy, uint32_t functions,
                           uint32_t instances);

    /* A function's cost or size is another. */
    void (*changed)(struct faasi_policy *policy, uint32_t function);

    /* A function's instances may idle for so long, instead of `idle_ns`. */
    void (*time)(struct faasi_policy *policy, uint32_t function, uint64_t idle_ns);

    /* A function without instances is gone: its number may be another's. */
    void (*forget)(struct faasi_policy *policy, uint32_t function);

    /* A run begins, the `level`-th in progress: before an instance is found for it. */
    void (*request)(struct faasi_policy *policy, uint32_t function, uint32_t level,
                    uint64_t now);

    /* `count` more runs came and went since the request before this, with `gap` between
     * them: late reports only. */
    void (*repeat)(struct faasi_policy *policy, uint32_t function, uint32_t level,
                   uint64_t count, uint64_t gap);

    /* An instance was made for the request before this. */
    void (*start)(struct faasi_policy *policy, uint32_t instance);

    /* An idle instance is taken; the books have it as busy. `age` is how long it
     * idled. */
    void (*taken)(struct faasi_policy *policy, uint32_t instance, uint64_t age);

    /* An instance falls idle; it is its function's newest. */
    void (*idle)(struct faasi_policy *policy, uint32_t instance, uint32_t level,
                 uint64_t now);

    /* An instance ended; the books no longer have it, but its record still says what it
     * was. */
    void (*end)(struct faasi_policy *policy, uint32_t instance, enum faasi_policy_end how,
                uint64_t now);

    /* The idle instance to go first, or NONE. May propose the same again. */
    uint32_t (*victim)(struct faasi_policy *policy, uint64_t now);

    /* The idle instance whose time has ended by now, or NONE. */
    uint32_t (*expired)(struct faasi_policy *policy, uint64_t now);

    /* Fetches what an event of the function will touch; then, when that is at hand, what
     * it leads to. */
    void (*prefetch)(struct faasi_policy *policy, uint32_t function);
    void (*prefetch_next)(struct faasi_policy *policy, uint32_t function);
};

struct faasi_policy_options {
    const struct faasi_policy_ops *ops;
    const faas_allocator *allocator;
    uint64_t seed;
    uint64_t idle_ns;          /* ttl: how long an instance may idle */
    faasi_policy_looker *look; /* NULL: every event is reported */
    void *user;                /* handed to `look`; a host's policy may use it too */
};

struct faasi_policy {
    const struct faasi_policy_ops *ops;
    const faas_allocator *allocator;
    faasi_policy_looker *look;
    void *user;
    void *state;
    uint64_t seed;
    uint64_t idle_ns;
    uint64_t looked;  /* instances looked at */
    uint64_t refused; /* proposals that were nonsense */
    struct faasi_policy_function *functions;
    struct faasi_policy_instance *instances;
    uint32_t function_room;
    uint32_t instance_room;
    uint32_t idle;   /* instances, in all */
    uint32_t unsure; /* the first of them, or NONE */
};

/* idx, lru, ttl, gdsf, sieve, lhd. */
extern const struct faasi_policy_ops faasi_policy_idx;
extern const struct faasi_policy_ops faasi_policy_lru;
extern const struct faasi_policy_ops faasi_policy_ttl;
extern const struct faasi_policy_ops faasi_policy_gdsf;
extern const struct faasi_policy_ops faasi_policy_sieve;
extern const struct faasi_policy_ops faasi_policy_lhd;

/* By name, or by place among all (NULL past the last). */
const struct faasi_policy_ops *faasi_policy_find(const char *name);
const struct faasi_policy_ops *faasi_policy_at(size_t place);

/* @return FAAS_OK, FAAS_ENOMEM */
faas_status faasi_policy_open(struct faasi_policy **policy,
                              const struct faasi_policy_options *options);
/* Accepts NULL. */
void faasi_policy_close(struct faasi_policy *policy);

/* Makes room, so that nothing below allocates for these numbers but history, which does
 * without if there is no memory.
 * @return FAAS_OK, FAAS_ENOMEM, FAAS_EINVAL past FAASI_POLICY_MAX */
faas_status faasi_policy_reserve(struct faasi_policy *policy, uint32_t functions,
                                 uint32_t instances);

/* Declares a function, or changes what its cold start costs (any unit, the same for all
 * functions) and what an instance takes. 0 bytes count as 1. */
void faasi_policy_declare(struct faasi_policy *policy, uint32_t function, double cost,
                          uint64_t bytes);

/* A function is gone, with all its instances: its number may be another's. */
void faasi_policy_forget(struct faasi_policy *policy, uint32_t function);

/* A run of a function begins; `level` runs are in progress, it included. Then either
 * take() or start() tells where, or nothing if it was refused. */
void faasi_policy_request(struct faasi_policy *policy, uint32_t function, uint32_t level,
                          uint64_t now);

/* An instance was made, and is busy. */
void faasi_policy_start(struct faasi_policy *policy, uint32_t instance, uint32_t function,
                        uint64_t now);

/* An idle instance is busy. */
void faasi_policy_take(struct faasi_policy *policy, uint32_t instance, uint64_t now);

/* A busy instance is idle; `level` runs were in progress, its own included. */
void faasi_policy_idle(struct faasi_policy *policy, uint32_t instance, uint32_t level,
                       uint64_t now);

/* An instance ended: `evicted`, or for another reason. */
void faasi_policy_end(struct faasi_policy *policy, uint32_t instance, bool evicted,
                      uint64_t now);

/* The idle instance that should go now, or NONE if none is idle. It stays in the books
 * until end() is called; if it cannot go after all, take() it or ask `look` to say so.
 * What a policy proposes that is not idle is counted in `refused`, and the instance idle
 * for longest goes in its place. */
uint32_t faasi_policy_victim(struct faasi_policy *policy, uint64_t now);

/* The instance of one function that should go: the one idle for longest. */
uint32_t faasi_policy_victim_of(struct faasi_policy *policy, uint32_t function,
                                uint64_t now);

/* How long the instances of a function may idle; without this, the policy's `idle_ns`.
 * Holds for those that fall idle from now on. */
void faasi_policy_time(struct faasi_policy *policy, uint32_t function, uint64_t idle_ns);

/* The same as victim() for what is idle for too long by the policy's own rule. */
uint32_t faasi_policy_expired(struct faasi_policy *policy, uint64_t now);

/* Brings the books up to date about an idle instance. Returns whether it is as it was:
 * then a decision may rest on it. For policies, and for a cache's sweep. */
bool faasi_policy_refresh(struct faasi_policy *policy, uint32_t instance, uint64_t now);

/* For policies: grows an array of records, new ones zero, aligned to a line; `*room` is
 * how many there are. Leaves it alone if it is large enough.
 * @return FAAS_OK, FAAS_ENOMEM */
faas_status faasi_policy_grow(struct faasi_policy *policy, void *array, uint32_t *room,
                              uint32_t want, size_t size);

static inline void faasi_policy_prefetch(struct faasi_policy *policy, uint32_t function)
{
    __builtin_prefetch(&policy->functions[function]);
    if (policy->ops->prefetch != NULL)
        policy->ops->prefetch(policy, function);
}

static inline void faasi_policy_prefetch_next(struct faasi_policy *policy,
                                              uint32_t function)
{
    uint32_t newest = policy->functions[function].newest;

    if (newest != FAASI_POLICY_NONE)
        __builtin_prefetch(&policy->instances[newest]);
    if (policy->ops->prefetch_next != NULL)
        policy->ops->prefetch_next(policy, function);
}

#endif /* FAASI_POLICY_H */
