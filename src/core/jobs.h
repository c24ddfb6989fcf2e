/* SPDX-License-Identifier: MIT */
/* jobs.h - the places of asynchronous invocations: handles that go stale safely.
 *
 * Places lie in segments of doubling size that stay where they are, so a handle, an index
 * and a generation, is looked up without a lock. A place has one word:
 *
 *     generation (32 bits) | handle (1 bit: the submitter's) | references (31 bits)
 *
 * A handle finds its job while the generation is the same and the submitter has not let
 * go. The last reference gives the place back, with the next generation; segments are
 * freed with the runtime. Free places are a list through the places, whose head carries a
 * tag against its own past.
 *
 * Layer: 2 parts. Includes atomics.h, lanes.h, timer.h and lower ones.
 * Locks: `grow`, innermost, for a new segment. */
#ifndef FAASI_JOBS_H
#define FAASI_JOBS_H

#include "atomics.h"
#include "base.h"
#include "lanes.h"
#include "sync.h"
#include "timer.h"

#include <faas/async.h>

struct faasi_queue;

/* A timer that knows what to do. Runs under the lock of its wheel. */
struct faasi_alarm {
    struct faasi_timer timer; /* first */
    void (*ring)(struct faasi_alarm *alarm, uint64_t now_ns);
};

/* Where a job stands; see jobs_state.h. */
enum {
    FAASI_JOB_DELAYED = 1, /* waits for a timer */
    FAASI_JOB_QUEUED,      /* in the lanes, or in a worker's batch, not begun */
    FAASI_JOB_RUNNING,
    FAASI_JOB_ENDING, /* somebody writes how it ended */
    FAASI_JOB_ENDED,
    FAASI_JOB_PHASE = 7,
    FAASI_JOB_CANCEL = 8,       /* asked for while it ran */
    FAASI_JOB_WAITED = 16,      /* somebody sleeps on the word */
    FAASI_JOB_ATTEMPT_SHIFT = 8 /* the attempt that runs: a late one is known by it */
};

/* What holds a job. Lock of async.h. */
enum faasi_where {
    FAASI_IN_INLET,
    FAASI_IN_LANES,
    FAASI_IN_BATCH, /* popped from its lane by a worker */
    FAASI_IN_RETRY, /* popped, and waits for its next attempt */
    FAASI_IN_DELAY, /* has not been in a lane yet */
    FAASI_IN_ONCE,  /* waits for the end of another one with its key */
    FAASI_IN_NOTHING
};

/* What only some jobs have; one block, with copies of the texts and the input behind. */
struct faasi_job_extra {
    size_t bytes;
    uint64_t deadline_ns; /* instant; FAAS_FOREVER */
    uint64_t start_ns;    /* instant; 0 at once */
    faas_ended *ended;
    void *ended_user;
    faas_bytes tenant, group, trace, key, input;
    uint32_t weight;
    struct faasi_job *job;
    struct faasi_once *once;  /* Lock: it runs for all with its key; or NULL */
    struct faasi_ring fellow; /* Lock: among those that wait for such a one */
};

/* Three lines: what its submitter writes; what they write that hold the lock or end it; and
 * what only some need. */
struct faasi_job {
    _Alignas(FAASI_CACHELINE) FAASI_ATOMIC(uint64_t) word;
    struct faasi_queue *queue;
    struct faasi_job_extra *extra; /* NULL: nothing special */
    faas_event *event;
    uint64_t submitted; /* ticks */
    FAASI_ATOMIC(uint32_t) state;
    uint32_t index;
    FAASI_ATOMIC(uint32_t) next;  /* free: the next one's index + 1, 0: none */
    FAASI_ATOMIC(uint32_t) ahead; /* free: some further on, to be sent for; 0: none */
    uint8_t where, level, condition;
    bool will_wait;
    bool timed; /* its alarm rings if it waits in the lanes for too long */

    _Alignas(FAASI_CACHELINE) struct faasi_item item; /* in the lanes */
    struct faasi_ring aged; /* among those of its queue that wait for a seat, by age; or
                               for their time */
    FAASI_PLAIN(faas_result *) result; /* a share, once it has ended */
    faas_status status;
    uint16_t attempts;
    bool ungrouped; /* its group went on without it */
    bool counted;   /* its end was */

    _Alignas(FAASI_CACHELINE) struct faasi_alarm alarm; /* delay, retry, or the end of its
                                                           time while it waits */
    uint64_t retry_ns;
    struct faasi_job *after; /* among those to be ended */
};

#ifndef FAASI_MODEL
static_assert(sizeof(struct faasi_job) == 3 * FAASI_CACHELINE, "a job has three lines");

enum { FAASI_JOB_SEGMENTS = 17, FAASI_JOB_SEGMENT_FIRST = 512 };
#else // few, so that each place is met again
enum { FAASI_JOB_SEGMENTS = 2, FAASI_JOB_SEGMENT_FIRST = 1 };
#endif

struct faasi_jobs {
    FAASI_ATOMIC(struct faasi_job *) segments[FAASI_JOB_SEGMENTS];
    _Alignas(FAASI_CACHELINE) FAASI_ATOMIC(uint64_t) free; /* index + 1 (32) | tag (32) */
    faasi_mutex grow;
    uint32_t made; /* Lock: grow */
    const faas_allocator *allocator;
};

faas_status faasi_jobs_init(struct faasi_jobs *jobs, const faas_allocator *allocator);

/* Every job is given back. */
void faasi_jobs_fini(struct faasi_jobs *jobs);

/* Takes a place: one reference, and one more for the handle if `handled`. Its submitter
 * writes the rest of the first line; the second is that of a job that did not begin, and
 * was not touched. NULL without memory. Thread: any. */
struct faasi_job *faasi_jobs_take(struct faasi_jobs *jobs, bool handled);

/* The job of a handle with one reference more, or NULL. Thread: any. */
struct faasi_job *faasi_jobs_get(struct faasi_jobs *jobs, faas_invocation invocation);

/* Gives up the handle: false if it was not held. The caller then owns its reference. */
bool faasi_job_let_go(struct faasi_job *job, uint32_t generation);

/* One reference more, for who has one. */
static inline void faasi_job_ref(struct faasi_job *job)
{
    atomic_fetch_add_explicit(&job->word, 1, memory_order_relaxed);
}

/* Gives a reference back; true if it was the last one: then the caller empties the job,
 * which does not wait, and gives its place back. */
bool faasi_job_unref(struct faasi_job *job);
void faasi_jobs_give(struct faasi_jobs *jobs, struct faasi_job *job);

/* The same in two steps, for many at a time: each is added to a list, then all of them
 * are given. */
enum { FAASI_JOB_AHEAD = 4 };

struct faasi_job_list {
    struct faasi_job *first, *last;
    uint32_t count;
    uint32_t recent[FAASI_JOB_AHEAD]; /* the last ones' indices + 1 */
};

void faasi_job_list_add(struct faasi_job_list *list, struct faasi_job *job);
void faasi_jobs_give_all(struct faasi_jobs *jobs, struct faasi_job_list *list);

/* Calls `each` for every job that is not given back. Alone. */
void faasi_jobs_each(struct faasi_jobs *jobs,
                     void (*each)(struct faasi_job *job, void *user), void *user);

static inline uint32_t faasi_job_generation(const struct faasi_job *job)
{
    return (uint32_t)(atomic_load_explicit(&job->word, memory_order_relaxed) >> 32);
}

static inline bool faasi_job_handled(const struct faasi_job *job)
{
    return (atomic_load_explicit(&job->word, memory_order_relaxed) & 0x80000000u) != 0;
}

/* Whether it waits for a seat, or has its turn, and nobody has claimed its end. */
static inline bool faasi_job_is_queued(const struct faasi_job *job)
{
    return (atomic_load_explicit(&job->state, memory_order_relaxed) & FAASI_JOB_PHASE) ==
           FAASI_JOB_QUEUED;
}

/* Whether the caller's reference is the only one, and no handle can make another. */
static inline bool faasi_job_is_sole(const struct faasi_job *job)
{
    return (uint32_t)atomic_load_explicit(&job->word, memory_order_acquire) == 1;
}

#endif /* FAASI_JOBS_H */
