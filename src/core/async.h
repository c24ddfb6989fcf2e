/* SPDX-License-Identifier: MIT */
/* async.h - asynchronous invocations: from their submission to their end.
 *
 *     submit ─► inlet ─► lanes ─► batch ─► handler ─► ended ─► record
 *                 ▲        ▲                  │
 *                 │        └── wheel ◄────────┴── retry
 *               delay ───────┘
 *
 * Submitters reserve room by two counters and put a job into the inlet; no lock. Whoever
 * holds the lock moves what came in to the lanes, takes a batch of jobs from them that
 * may run one after the other on one thread, and lets the lock go while they run. The
 * results of a batch are settled under the lock when the next one is taken, so the lock
 * is had once per batch, whose size follows the mean run time of its functions.
 *
 * A queue is what is known here of one function: its policy, its bounds, its share of the
 * lanes. While so many workers have jobs of it as its cap allows, or a job met no seat,
 * it is blocked in the lanes: a limit costs its jobs neither an attempt nor their place.
 *
 * Of a function with a batch handler a worker takes along what pays to run together, in
 * the order of the lanes, which give one of a group at a time. They begin when their batch
 * is formed, and each goes its own way afterwards. What does not begin then goes back to
 * its place, as it came.
 *
 * Who runs a batch is a worker, whatever its thread is: one of the crew, a waiter that
 * helps itself, or the host in faas_run_once().
 *
 * Ending is a claim: a compare-and-swap of the job's state to ENDING. The claimant writes
 * how it ended, and sends the record on, with no lock held.
 *
 * Layer: 3 path. Parts: async_queue.c policies and queues; async.c the lock, the lanes,
 * taking, settling; async_run.c running one job; async_end.c ends and records;
 * async_once.c keys; async_submit.c; async_crew.c threads; async_open.c opening and
 * closing; async_public.c handles and numbers.
 * Locks: `lock`, after the gate's; before jobs.grow. */
#ifndef FAASI_ASYNC_H
#define FAASI_ASYNC_H

#include "clock.h"
#include "inlet.h"
#include "jobs.h"
#include "jobs_state.h"
#include "keyed.h"
#include "lanes.h"
#include "park.h"
#include "refs.h"
#include "responses.h"
#include "sync.h"
#include "timer.h"

#include "gate.h"

#include <faas/async.h>

enum { FAASI_BATCH_MAX = 64, FAASI_CREWS = 2 };

static_assert(FAASI_BATCH_MAX <= 64, "a worker has a bit for each job of its batch");

/* Of faasi_queue.jobs. */
#define FAASI_JOB_ONE (UINT64_C(1) << 32)
#define FAASI_WAITING_MASK UINT64_C(0xffffffff)

struct faasi_async;
struct faasi_worker;

/* How many jobs ended, by condition. */
struct faasi_ends {
    uint64_t by[FAAS_DROPPED + 1];
};

/* How a function is invoked asynchronously; never changed once it is made. */
struct faasi_async_policy {
    faasi_refs refs;
    faas_async of; /* with its defaults; texts are the policy's own */
    const faas_allocator *allocator;
};

/* What is known of a function. Made with its first job, or with its policy. Its lines are
 * apart: what all read and hardly anybody writes, what submitters count, and what is the
 * lock's. */
struct faasi_queue {
    _Alignas(FAASI_CACHELINE) struct faasi_async *async;
    struct faasi_crew *crew;
    faas_fn fn;
    _Atomic uint64_t slots_max, bytes_max, room_wait_ns;
    _Atomic uint64_t timeout_ticks; /* its function's, when it was taken last */
    _Atomic uint64_t age_ticks;     /* its policy's */
    atomic_uint on_full;
    atomic_bool silent;               /* nobody wants to hear of a success */
    atomic_bool keyed;                /* its policy has a key function */
    atomic_bool keeps;                /* ... and a window */
    struct faasi_queue *next, **link; /* Lock: all of the runtime */
    struct faasi_function *function;  /* Lock: NULL once it is gone */
    char *name;
    uint32_t version;

    /* Jobs that are of it, also ended ones that somebody holds (32 bits), and those that
     * wait (32 bits). */
    _Alignas(FAASI_CACHELINE) _Atomic uint64_t jobs;
    _Atomic uint64_t bytes; /* of those that wait */
    _Atomic uint64_t refused;

    /* Lock. */
    _Alignas(FAASI_CACHELINE) struct faasi_source source;
    struct faasi_async_policy *policy;
    struct faasi_watch watch;
    uint64_t freed;          /* times the watch was told */
    bool watching;           /* a job met no seat; the watch will tell */
    uint32_t claims;         /* workers that have jobs of it */
    uint64_t claimed_in;     /* the last taking that claimed it */
    uint32_t touched_at;     /* its place in that one's list */
    uint64_t mean;           /* ticks of a run; UINT64_MAX unknown */
    bool gathers;            /* several may run together; by its last taking */
    struct faasi_ring aged;  /* what waits in the lanes, by age */
    struct faasi_ring again; /* what met no seat and waits there too; a batch or so */
    struct faasi_ring later; /* what waits for its time */
    struct faasi_alarm age;
    uint64_t submitted, retried, shared;
    struct faasi_responses kept; /* what answers those that come again */
    struct faasi_ends ends;
};

/* Threads of one kind, and what they run. */
struct faasi_crew {
    struct faasi_lanes lanes; /* Lock */
    struct faasi_park park;
    _Atomic uint32_t alive; /* written under the lock */
    uint32_t min, max;
    _Atomic uint32_t pokes; /* times that something was put into the lanes for it */
    _Atomic uint32_t
        surplus;       /* written under the lock: threads for those that are late */
    uint32_t runs_max; /* at one taking; 1: those that block */
    bool stop;         /* Lock */
    struct faasi_worker *left; /* Lock: threads to be joined */
};

/* What became of a job in a batch. */
enum faasi_outcome {
    FAASI_NO_SEAT,
    FAASI_OVER,  /* it has ended, or somebody else ends it */
    FAASI_LATER, /* it met no seat, and nobody tells; tried again at `retry_ns` */
    FAASI_AGAIN, /* it failed, and is tried again at `retry_ns` */
    FAASI_LOST   /* it went on without us, at its deadline */
};

/* Who runs a batch. What has not begun can be taken out of it by an exchange. */
struct faasi_worker {
    struct faasi_worker *next, **link; /* Lock: all of the runtime */
    struct faasi_async *async;
    struct faasi_crew *crew;
    struct faasi_alarm alarm; /* Lock: to look after it */
    uint32_t count;           /* Lock: of the batch */
    uint64_t joins; /* Lock to write; bits of the batch: runs with the one before it */
    _Atomic uint32_t ran_count, runs_to; /* of `ran`: what is between them runs now */
    _Atomic uint64_t begun;              /* ticks: that */
    uint64_t late; /* Lock; bits of `ran`: went on without us, whose handler still runs */
    uint32_t touched_count; /* Lock */
    uint64_t soonest_ns;    /* Lock: deadline of its batch's jobs; an instant */
    _Atomic(struct faasi_job *) batch[FAASI_BATCH_MAX];
    _Atomic(struct faasi_job *) ran[FAASI_BATCH_MAX]; /* in their order */
    _Atomic uint64_t due[FAASI_BATCH_MAX];            /* of these: ticks */
    uint8_t outcome[FAASI_BATCH_MAX];
    uint64_t took[FAASI_BATCH_MAX]; /* ticks in the handler; 0: it did not run */
    struct faasi_queue *touched[FAASI_BATCH_MAX];
    uint32_t taken[FAASI_BATCH_MAX]; /* jobs of `touched` */
    uint64_t freed[FAASI_BATCH_MAX]; /* of `touched`, when they were taken */
    pthread_t thread;
};

/* What is to be done when the lock is let go: jobs whose end was claimed are ended. */
struct faasi_ending {
    struct faasi_job *first, *last;
    struct faasi_ending *outer; /* of the same thread, that is being worked off */
};

struct faasi_async {
    faas_runtime *rt;
    const faas_clock *clock;
    const faas_allocator *allocator;
    struct faasi_inlet inlet;
    struct faasi_jobs jobs;
    struct faasi_crew crews[FAASI_CREWS]; /* those that compute; those that block */
    uint64_t slots_max, bytes_max;
    uint64_t spin_ns, stuck_ns;
    int64_t unix_ahead_ns; /* of the runtime's clock */
    _Alignas(FAASI_CACHELINE) _Atomic uint64_t slots;
    _Atomic uint64_t bytes;
    _Alignas(FAASI_CACHELINE) atomic_uint guests; /* in public calls; closing waits */
    atomic_bool closing;
    _Atomic uint64_t armed_ns; /* when the housekeeper looks at the wheel */
    atomic_uint want_room;     /* threads that wait at `room` */

    _Alignas(FAASI_CACHELINE) faasi_mutex lock;
    faasi_cond room; /* something was taken out; a clock moved; a guest left */
    struct faasi_timers wheel;
    struct faasi_keys once; /* what runs for all with its key */
    struct faasi_queue *queues;
    struct faasi_queue *orphans; /* their function is gone; freed with their last job */
    struct faasi_worker *workers;
    struct faasi_ending *ending; /* of who holds the lock */
    uint64_t takings;
    uint64_t random;
    faas_async_stats gone; /* of queues that are no more */
    struct faasi_clock_listener listener;

    faasi_mutex host_lock;           /* the descriptors' making; innermost */
    int poll_fd, event_fd, timer_fd; /* -1: none */
    atomic_bool hosted;              /* there is a descriptor */
    atomic_bool signalled;
};

/* An instant: now. */
static inline uint64_t faasi_async_now_ns(const struct faasi_async *async)
{
    return faasi_instant_ns(async->clock, faasi_ticks(async->clock));
}

/* `ns` + `more`, or the end of time. */
static inline uint64_t faasi_ns_after(uint64_t ns, uint64_t more)
{
    return ns + more < ns ? FAAS_FOREVER : ns + more;
}

/* Release: who frees a queue when it has no jobs sees what was done with them. */
static inline void faasi_count_less(_Atomic uint64_t *count, uint64_t by)
{
    atomic_fetch_sub_explicit(count, by, memory_order_release);
}

/* Whether nobody wants to be told of a job's success. */
static inline bool faasi_job_is_unheard(const struct faasi_job *job)
{
    return atomic_load_explicit(&job->queue->silent, memory_order_relaxed) &&
           (job->extra == NULL || job->extra->ended == NULL);
}

/* A worker is looked after when it may have others' work, and is at one handler for so
 * long. */
#define FAASI_CHECK_NS UINT64_C(4000000)

/* ---- async.c ---- */

faas_status faasi_async_init(struct faasi_async *async, faas_runtime *rt,
                             const faas_runtime_options *options);
void faasi_async_fini(struct faasi_async *async);

/* What is submitted. */
struct faasi_submission {
    faas_fn fn;       /* no alias */
    faas_bytes input; /* to be copied, unless it is the event's data */
    faas_event *event;
    const faas_submit_options *options; /* imported, or NULL */
};

/* Begins a call that works on what is here outside a read section, from inside one: false
 * when it is closing, which waits for those that began. The end of it touches nothing
 * afterwards. */
bool faasi_async_visit(struct faasi_async *async);
/* The same for who has something to finish, also while it is closing. */
void faasi_async_keep(struct faasi_async *async);
void faasi_async_unvisit(struct faasi_async *async);

/* Puts a job that found no room among those that wait, and takes it at once. True also if
 * it found no memory to wait in, and has ended; false if it may not run now: then it is
 * gone. Holds: lock. */
bool faasi_async_take_new(struct faasi_worker *worker, struct faasi_job *job);

/* A job that waits in its lane and never ran was not submitted after all: nobody hears of
 * it. False if it was taken, or its end claimed. Holds: lock. */
bool faasi_async_unsubmit(struct faasi_job *job);

/* Submits an event to a function, or to an alias, with its data as input or `*input`,
 * which is copied; wakes nobody, but sets the bit of the crew in `*wakes`. As
 * faas_invoke_async(). */
faas_status faasi_async_submit_event(struct faasi_async *async, faas_fn fn,
                                     faas_event *event, const faas_bytes *input,
                                     uint32_t *wakes);

/* Submits what an ended invocation was, with its input, which is not its event's. */
faas_status faasi_async_submit_again(struct faasi_async *async, faas_fn fn,
                                     const faas_record *record);

/* Those who wait at `room` look again. Holds nothing. */
void faasi_async_wake_room(struct faasi_async *async);

/* Wakes the crews of a set of bits. Something keeps the runtime. */
void faasi_async_wake_many(struct faasi_async *async, uint32_t crews);

/* Somebody looks at what was submitted to a crew. */
void faasi_async_wake(struct faasi_async *async, struct faasi_crew *crew);

/* Under the lock from here to faasi_async_unlock(), which ends what was to be ended, wakes
 * who is needed, and arms the housekeeper. */
void faasi_async_lock(struct faasi_async *async, struct faasi_ending *ending);
void faasi_async_unlock(struct faasi_async *async, struct faasi_ending *ending);
/* The same, but for what was to be ended: that is still to do. */
void faasi_async_let_go(struct faasi_async *async);

/* Moves what came in to the lanes. Holds: lock. */
void faasi_async_drain(struct faasi_async *async);

/* Settles what a worker ran, and takes its next batch: `most` jobs, or several together, at
 * most. Holds: lock. */
void faasi_async_settle(struct faasi_worker *worker);
void faasi_async_take(struct faasi_worker *worker, uint32_t most);

/* Takes one job that waits in the lanes, if it may run now. Holds: lock. */
bool faasi_async_take_one(struct faasi_worker *worker, struct faasi_job *job);

/* Puts back what of a worker's batch has not begun. Holds: lock. */
void faasi_async_put_back(struct faasi_worker *worker, uint64_t now);

/* The job that a worker runs as its `at`-th, DELAYED or ENDING, goes on without it. Holds:
 * lock. */
void faasi_async_abandon(struct faasi_worker *worker, uint32_t at, uint64_t now);

/* When a job's time is over by what its submitter said, in ticks. */
static inline uint64_t faasi_job_deadline(const struct faasi_job *job)
{
    return job->extra == NULL
               ? UINT64_MAX
               : faasi_instant_ticks(job->queue->async->clock, job->extra->deadline_ns);
}

/* When a job may not run any more, whatever happens: an instant. Its policy is stable:
 * holds the lock, or is passed. */
uint64_t faasi_job_end_ns(const struct faasi_job *job, const faas_async *policy);

/* Takes a job whose end was claimed out of what holds it, unless that is a batch, which
 * does it itself. Holds: lock. */
void faasi_async_withdraw(struct faasi_job *job);

/* Whether something came in, or could be taken. Holds: lock. */
bool faasi_async_has_work(struct faasi_async *async);
/* The same. Holds nothing. */
bool faasi_async_ready(struct faasi_async *async);

/* Whether who waits for a job sleeps at the lock instead of at the job: it must hear that
 * a clock was moved, or that there is something for it to run. */
bool faasi_async_waits_at_room(const struct faasi_async *async);

/* Lets those that wait for their age or time to be over go, and those come that waited
 * for it. Returns when to call again. Holds: lock. */
uint64_t faasi_async_tick(struct faasi_async *async);

/* A worker, zeroed up to its batch, is known from here on. Holds: lock. */
void faasi_worker_enlist(struct faasi_async *async, struct faasi_worker *worker,
                         struct faasi_crew *crew);
void faasi_worker_dismiss(struct faasi_worker *worker);

/* Lets the lanes have a queue's jobs, or keeps them back. Holds: lock. */
void faasi_queue_block(struct faasi_queue *q, uint64_t now);

/* Ends a job that waits, for its time is over. Holds: lock. */
void faasi_job_expire(struct faasi_job *job);

/* Ends all that waits in a queue. Holds: lock. */
void faasi_queue_drop(struct faasi_queue *q, faas_status status);

/* Ends a job that waits, its end not being claimed: when the lock is let go. Holds:
 * lock. */
void faasi_job_give_up(struct faasi_job *job, faas_condition condition,
                       faas_status status);

/* The same for one that gets a share of `result`, which may be NULL. */
void faasi_job_end_as(struct faasi_job *job, faas_condition condition, faas_status status,
                      faas_result *result);

/* Has a job that was just made wait for the end of another one, at most until the end of
 * its own time. False if its end was claimed: then it is gone. Holds: lock. */
bool faasi_async_follow(struct faasi_job *job);

/* Has such a job wait for a seat, as if it had just come. False if its end was claimed.
 * Holds: lock. */
bool faasi_async_promote(struct faasi_job *job);

/* Puts a job that was just made where it waits: for a seat, or until `retry_ns`. Holds:
 * lock. */
void faasi_async_enter(struct faasi_job *job);

/* Counts an end that the caller claimed. Holds: lock. */
void faasi_job_count(struct faasi_job *job, faas_condition condition);

/* The job that waits longest for a seat of `q`, or NULL. Holds: lock. */
struct faasi_job *faasi_queue_oldest(struct faasi_queue *q);

/* Nothing waits in it, nothing runs of it, nobody finds it. Holds nothing. */
void faasi_queue_free(struct faasi_async *async, struct faasi_queue *q);

/* Frees the queues without a function whose last job is gone. Holds nothing. */
void faasi_orphans_free(struct faasi_async *async);

/* Gives a reference back, and with the last one the job. */
void faasi_async_unref(struct faasi_async *async, struct faasi_job *job);

/* Copies the policy of a descriptor, with its defaults; NULL is the default one.
 * @return FAAS_OK, FAAS_EINVAL, FAAS_EVERSION, FAAS_ENOMEM */
faas_status faasi_async_policy_open(const faas_async *from,
                                    const faas_allocator *allocator,
                                    struct faasi_async_policy **policy);
/* The policy of a queue, with a reference. Holds nothing. */
struct faasi_async_policy *faasi_queue_policy(struct faasi_queue *q);
void faasi_async_policy_release(struct faasi_async_policy *policy); /* accepts NULL */

/* Gives a function a queue with that policy, or its queue that policy. Takes it over. The
 * function cannot go meanwhile.
 * @return FAAS_OK, FAAS_ENOMEM */
faas_status faasi_async_adopt(struct faasi_async *async, struct faasi_function *f,
                              struct faasi_async_policy *policy);
/* A reference to the policy of a function, NULL if it has no queue. */
struct faasi_async_policy *faasi_async_policy_of(struct faasi_function *f);
/* `f` is about to take the place of `old`: both have the one queue until the caller, who
 * holds the registry's lock all the time, takes it from `old`. Until then whoever finds
 * either of them finds the queue, so nothing that is queued is lost. */
void faasi_async_replace(struct faasi_async *async, struct faasi_function *f,
                         struct faasi_function *old);
/* The function ends: so does all that waits for it. Not under the gate's lock. */
void faasi_async_forget(struct faasi_async *async, struct faasi_function *f);
/* Its cap changed. */
void faasi_async_refresh(struct faasi_async *async, struct faasi_function *f);

/* The request id of a job: like no seat's and no other job's of this runtime. */
faas_id faasi_job_id(const struct faasi_job *job);

/* ---- async_run.c ---- */

/* Runs what a worker has taken. Returns how many handlers ran; a batch is one. */
uint32_t faasi_async_run(struct faasi_worker *worker);

/* What a thread does as a worker for one taking, on its stack. Between the two it takes
 * something, under the lock; finishing runs that, settles it and returns how many handlers
 * ran. Holds: lock; lets it go. */
void faasi_worker_begin(struct faasi_async *async, struct faasi_worker *worker,
                        struct faasi_crew *crew, struct faasi_ending *ending);
uint32_t faasi_worker_finish(struct faasi_worker *worker, struct faasi_ending *ending);

/* Looks after a worker: ends the attempt that is late, gives others what waits behind a
 * long one. Holds: lock. */
void faasi_worker_check(struct faasi_alarm *alarm, uint64_t now_ns);

/* Whether a handler that this thread is in, or in the middle of, is of `job`, or of one that
 * stands before it in its group: then it must not wait for it. */
bool faasi_job_waits_for_us(const struct faasi_job *job);

/* ---- async_once.c ---- */

/* What becomes of a job with a key that was just made. */
enum faasi_once_role {
    FAASI_ONCE_RUNS,    /* it runs, for all with its key */
    FAASI_ONCE_FOLLOWS, /* it waits for another one, or was answered: it may be gone */
    FAASI_ONCE_NOMEM
};

/* Holds: lock. */
enum faasi_once_role faasi_once_enter(struct faasi_job *job);

/* Whether another one with its key is under way. Holds: lock. */
bool faasi_once_is_under_way(const struct faasi_job *job);

/* A job was to run for all with its key, and does not. Nobody waits for it. Holds: lock. */
void faasi_once_forget(struct faasi_job *job);

/* A job that runs for all with its key has ended, and nobody knows yet. Those that end as
 * it does come into `followers`, to be ended when it is. Holds nothing. */
void faasi_once_land(struct faasi_async *async, struct faasi_job *job,
                     struct faasi_ending *followers);

/* ---- async_end.c ---- */

/* Ends those whose end was claimed, one after the other. Holds nothing. */
void faasi_ending_run(struct faasi_ending *ending);

/* Ends a job at once that this thread would end later: somebody is told of another one, and
 * waits for it. False if it is not such a one. Holds nothing. */
bool faasi_ending_hasten(struct faasi_job *job);

/* Ends a job whose end the caller has claimed. Holds nothing. `result` is taken over. */
void faasi_async_end(struct faasi_async *async, struct faasi_job *job,
                     faas_condition condition, faas_status status, faas_result *result);

/* ---- async_open.c ---- */

/* The wheel wants to be looked at by `next_ns`. Holds nothing. */
void faasi_async_arm(struct faasi_async *async, uint64_t next_ns);

/* There is something to do for a host that polls. */
void faasi_async_signal(struct faasi_async *async);

/* Nothing is accepted any more; what waits is let run for `drain_ns`. */
void faasi_async_close(struct faasi_async *async, uint64_t drain_ns);

/* After that: ends all that waits; no worker is left. */
void faasi_async_stop(struct faasi_async *async);

/* A descriptor that is readable when there is something to do. */
faas_status faasi_async_poll_fd(struct faasi_async *async, int *fd);
/* The host has come. */
void faasi_async_heard(struct faasi_async *async);
/* The host leaves: there is more to do, or will be. */
void faasi_async_hosted_next(struct faasi_async *async, bool ready, uint64_t next_ns);

/* ---- async_crew.c ---- */

/* Runs one job that waits, on this thread. Returns how many handlers ran; `*any` whether
 * there was one. */
uint32_t faasi_async_run_one(struct faasi_async *async, bool *any);

/* Starts the least number of threads. */
faas_status faasi_crews_start(struct faasi_async *async);
/* Somebody will look at the lanes of a crew. Holds nothing. */
void faasi_crew_wake(struct faasi_async *async, struct faasi_crew *crew);
void faasi_crews_stop(struct faasi_async *async);

/* Does what is due without running anything, and says in ticks when to come again. */
uint64_t faasi_async_sweep(struct faasi_async *async);

#endif /* FAASI_ASYNC_H */
