/* SPDX-License-Identifier: MIT */
/* gate.h - who may come in: the slow path of admission, waiters, and changes of caps.
 *
 * A warm call takes its seat by a hint and leaves it without coming here. Everything else
 * is done under one lock per runtime: finding a seat where the hint failed, permits,
 * making and ending instances, waiting. Refusals alone take no lock, see seats.h.
 *
 * A waiter stands in one queue, first come first served. Before it sleeps every seat
 * whose leaving could help it has been asked for attention, so the one that leaves comes
 * here and serves the queue. Instances that ended are put on a list and closed after the
 * lock is let go: no hook runs under it.
 *
 * Layer: 2 parts. Includes lower rooms and function.h, warm.h.
 * Locks: `lock`, taken after the registry's, before none. Read sections may be entered
 * before it; no grace period is waited for under it. */
#ifndef FAASI_GATE_H
#define FAASI_GATE_H

#include "function.h"
#include "sync.h"
#include "warm.h"

#include <faas/limiter.h>

struct faasi_limit;
struct faasi_waiter;

/* Somebody who cannot sleep, and is told, once, when a seat of a function may be free.
 * Those who sleep for one go first. */
struct faasi_watch {
    struct faasi_function *function;
    void (*freed)(struct faasi_watch *watch); /* under no lock */
    struct faasi_watch *next;                 /* Lock */
    bool set;                                 /* Lock: until it is being told */
    uint32_t telling;                         /* Lock: threads that do */
};

struct faasi_gate {
    faasi_mutex lock;
    faasi_cond changed; /* something that is dying got closer to its end; a clock moved */
    faas_runtime *rt;
    const faas_clock *clock;
    const faas_allocator *allocator;
    uint64_t id_high; /* of request ids */
    struct faasi_permits permits;
    struct faasi_warm warm; /* Lock */

    struct faasi_waiter *first, **last; /* Lock */
    _Atomic uint32_t waiting;    /* whether the queue is not empty: take the lock */
    struct faasi_watch *watches; /* Lock */
    struct faasi_watch *freed;   /* Lock: to be told by who lets the lock go */
    uint64_t pass;
    struct faasi_limit *limit; /* of all calls; or NULL. Lock */
    uint32_t counted;  /* Lock: calls that run, if `limit` counts each; not those of
                          functions with a batch handler */
    uint32_t visitors; /* Lock: threads that will take the lock once more; closing
                          waits */
    atomic_bool closing;
    atomic_bool leaving; /* handlers that run are told to give up: before `closing` */

    struct faasi_instance *instances;   /* Lock */
    struct faasi_function *provisioned; /* Lock: functions of which instances are made
                                           ahead */
    struct faasi_instance *doomed;      /* Lock: to be closed by who lets the lock go */
    struct faasi_function *orphans;     /* Lock: to be buried by who lets the lock go */
    struct faasi_cell *spare_cells;     /* Lock */
    uint32_t cell_count;                /* Lock: made so far */
    _Atomic uint64_t held_bytes;        /* by instances */
    uint64_t leaving_bytes;             /* Lock: of these, by doomed ones */
    uint64_t budget_bytes;              /* Lock */
    uint64_t sweep_at; /* Lock: ticks when the housekeeper looks again; UINT64_MAX
                          never */
    uint64_t wheel_at; /* Lock: ticks when timers of asynchronous work are due */
    faasi_cond sweep_sooner;
    struct faasi_clock_listener listener;
};

faas_status faasi_gate_init(struct faasi_gate *gate, faas_runtime *rt, faas_clock *clock,
                            const faas_runtime_options *options);
void faasi_gate_fini(struct faasi_gate *gate, faas_clock *clock);

/* Finds a warm seat, or a refusal, without the lock. In a read section.
 *
 * @param[out] cell  The caller's until faasi_gate_leave(); NULL on FAAS_OK: ask
 *                   faasi_gate_enter().
 * @return FAAS_OK, FAAS_EBUSY, FAAS_ECLOSED */
faas_status faasi_gate_try(struct faasi_gate *gate, struct faasi_function *f,
                           struct faasi_cell **cell);

/* Finds a seat for a call of `f` under the lock: a warm one, or one whose instance is
 * still to be made (cell->instance is NULL). Called in a read section, which it leaves.
 *
 * @return FAAS_OK, and the cell is the caller's until faasi_gate_leave(); or
 *         FAAS_ENOENT   `f` is dying: look its handle up again
 *         FAAS_EBUSY, FAAS_ECLOSED, FAAS_ENOMEM
 *
 * @param patient  It may wait for an instance to come free where one could be made.
 *
 * Blocks until `deadline` (ticks) at most, if the function waits, or an instance comes
 * free sooner than one would be made. */
faas_status faasi_gate_enter(struct faasi_gate *gate, struct faasi_function *f,
                             uint64_t deadline, bool patient, struct faasi_cell **cell);

/* Counts a refusal that was found elsewhere. @return FAAS_EBUSY */
faas_status faasi_gate_refuse(struct faasi_gate *gate, struct faasi_function *f);

/* Finds a seat for a call of `f`, or sets `watch`, never waits, and counts no throttle: a
 * call that waits elsewhere. Otherwise as faasi_gate_enter().
 *
 * @param[out] watched  After FAAS_EBUSY: `watch->freed` will be called, unless it was set
 *                      already. If not, a limiter refused, and faas_retry_after_ns() says
 *                      when to come back.
 * @return FAAS_OK, FAAS_EBUSY, FAAS_ENOENT, FAAS_ECLOSED, FAAS_ENOMEM */
faas_status faasi_gate_enter_or_watch(struct faasi_gate *gate, struct faasi_function *f,
                                      struct faasi_watch *watch, struct faasi_cell **cell,
                                      bool *watched);

/* Nobody tells a watch any more; it may be freed. Not in `freed`, not under the lock. */
void faasi_gate_unwatch(struct faasi_gate *gate, struct faasi_watch *watch);

/* Notes for faasi_gate_retry_after_ns() when to come back to `f`. In a read section. */
void faasi_gate_note_retry(struct faasi_gate *gate, struct faasi_function *f);

/* Whether a call of `f` would be admitted now: FAAS_OK, or FAAS_EBUSY. Counts nothing. In
 * a read section. */
faas_status faasi_gate_probe(struct faasi_gate *gate, struct faasi_function *f);

/* Leaves a seat under the lock: always right, and needed when attention was asked for or
 * the instance is to end. Runs close hooks. */
void faasi_gate_leave(struct faasi_gate *gate, struct faasi_cell *cell,
                      bool end_instance);

/* The same for a call of a function whose calls a limiter counts, which has run.
 *
 * @param waited  Ticks until its handler began; run_ns: in it. */
void faasi_gate_leave_counted(struct faasi_gate *gate, struct faasi_cell *cell,
                              bool end_instance, uint64_t waited, uint64_t run_ns);

/* A limiter for a function, by its policy; see faasi_limit_open(). */
faas_status faasi_gate_limiter(struct faasi_gate *gate, struct faasi_function *f,
                               const faas_limiter *how, struct faasi_limit **limit);

/* Puts a limiter, or NULL, in front of a function's calls. Returns the one it had, which
 * the caller closes. Holds: lock, or nobody knows the function. */
struct faasi_limit *faasi_gate_limit(struct faasi_gate *gate, struct faasi_function *f,
                                     struct faasi_limit *limit);

/* Its times or its cap have changed: its limiter follows. Holds: lock. */
void faasi_gate_retime(struct faasi_gate *gate, struct faasi_function *f);

/* Begins the end of a function: no call enters any more, idle instances end. Holds:
 * lock. */
void faasi_gate_kill(struct faasi_gate *gate, struct faasi_function *f);

/* Waits until nothing of a dying function is left; frees it, when nobody looks through
 * its seats any more; both with a grace period between. Not in a read section, not under
 * the lock. */
void faasi_gate_drain(struct faasi_gate *gate, struct faasi_function *f);
void faasi_gate_free(struct faasi_gate *gate, struct faasi_function *f);
void faasi_gate_bury(struct faasi_gate *gate, struct faasi_function *f);

/* One of what a dying function waits for has ended: tells who waits. Holds: lock. */
void faasi_gate_progress(struct faasi_gate *gate, struct faasi_function *f);

/* Applies f->concurrency to a function that nobody knows yet. */
void faasi_gate_cap(struct faasi_function *f);

/* Applies f->concurrency while calls run, and serves the waiters. Holds: lock. */
void faasi_gate_resize(struct faasi_gate *gate, struct faasi_function *f);

/* Serves the waiters: something became free. Holds: lock. */
void faasi_gate_serve(struct faasi_gate *gate);

/* Lets the lock go and closes what was doomed under it. */
void faasi_gate_unlock(struct faasi_gate *gate);

/* Sends every waiter away and waits until no visitor is left, `closing` being set. Holds:
 * lock; lets it go meanwhile. */
void faasi_gate_dismiss(struct faasi_gate *gate);

/* What faas_retry_after_ns() says to this thread. */
uint64_t faasi_gate_retry_after_ns(void);

/* A cell of `f` to make a provisioned instance in, ODD and in transit.
 * @return FAAS_OK, FAAS_EINIT if there is no seat or no budget for it, FAAS_ENOMEM.
 * Holds: lock. */
faas_status faasi_gate_reserve(struct faasi_gate *gate, struct faasi_function *f,
                               struct faasi_cell **cell);

/* Whether a provisioned instance of `f` is being made. Holds: lock. */
bool faasi_gate_in_transit(struct faasi_function *f);

/* Ends the transit, and tells who waits for it by `changed`: IDLE if the instance was made and is wanted, COLD else. Returns false
 * if the function is dying; then it may be gone once the lock is. Holds: lock. */
bool faasi_gate_settle(struct faasi_gate *gate, struct faasi_cell *cell);

/* Adds up what a function's cells count. Holds: lock. */
void faasi_gate_stats(struct faasi_gate *gate, struct faasi_function *f,
                      faas_function_stats *stats, faas_histogram *latency);

void faasi_code_release(struct faasi_code *code);

#endif /* FAASI_GATE_H */
