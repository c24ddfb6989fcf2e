/* SPDX-License-Identifier: MIT */
/* jobs.c - the places of asynchronous invocations. */
#include "jobs.h"

#include "mem.h"

#define HANDLE UINT64_C(0x80000000)
#define REFS UINT64_C(0x7fffffff)
#define GENERATION_ONE (UINT64_C(1) << 32)

/* Segment k begins at FIRST * (2^k - 1). */
static unsigned segment_of(uint32_t index)
{
    return 31u - (unsigned)__builtin_clz(index / FAASI_JOB_SEGMENT_FIRST + 1);
}

static uint32_t segment_begin(unsigned segment)
{
    return (uint32_t)FAASI_JOB_SEGMENT_FIRST * ((1u << segment) - 1);
}

static size_t segment_bytes(unsigned segment)
{
    return ((size_t)FAASI_JOB_SEGMENT_FIRST << segment) * sizeof(struct faasi_job);
}

static struct faasi_job *job_at(struct faasi_jobs *jobs, uint32_t index)
{
    unsigned segment = segment_of(index);
    /* Acquire: pairs with the release in job_make(). */
    struct faasi_job *first =
        segment >= FAASI_JOB_SEGMENTS
            ? NULL
            : atomic_load_explicit(&jobs->segments[segment], memory_order_acquire);

    return first == NULL ? NULL : &first[index - segment_begin(segment)];
}

faas_status faasi_jobs_init(struct faasi_jobs *jobs, const faas_allocator *allocator)
{
    memset(jobs, 0, sizeof *jobs);
    jobs->allocator = allocator;
    return faasi_mutex_init(&jobs->grow);
}

void faasi_jobs_fini(struct faasi_jobs *jobs)
{
    for (unsigned i = 0; i < FAASI_JOB_SEGMENTS; i++) {
        struct faasi_job *first =
            atomic_load_explicit(&jobs->segments[i], memory_order_relaxed);

        if (first != NULL)
            faasi_free_lines(jobs->allocator, first, segment_bytes(i));
    }
    faasi_mutex_fini(&jobs->grow);
}

/* A place is as new before it is given back: who has ended its job has that line at hand,
 * who takes it next has not. */
static void job_clean(struct faasi_job *job)
{
    job->result = NULL;
    job->status = FAAS_EPENDING;
    job->attempts = 0;
    job->ungrouped = job->counted = false;
}

/* A place that was never used, or NULL. */
static struct faasi_job *job_make(struct faasi_jobs *jobs)
{
    struct faasi_job *job = NULL;

    faasi_lock(&jobs->grow);
    if (jobs->made < segment_begin(FAASI_JOB_SEGMENTS)) {
        unsigned segment = segment_of(jobs->made);

        if (jobs->made == segment_begin(segment) && job_at(jobs, jobs->made) == NULL) {
            struct faasi_job *first =
                faasi_alloc_lines(jobs->allocator, segment_bytes(segment));

            atomic_store_explicit(&jobs->segments[segment], first, memory_order_release);
        }
        job = job_at(jobs, jobs->made);
        if (job != NULL) {
            job->index = jobs->made++;
            job_clean(job);
            atomic_init(&job->word, GENERATION_ONE);
        }
    }
    faasi_unlock(&jobs->grow);
    return job;
}

/* The tag in the head keeps a place that went and came back meanwhile from being taken
 * for what it was. What a loser reads as `next` may be anything; it then fails. Places
 * were given back by another processor, so one that is some steps ahead is sent for. */
static struct faasi_job *job_free(struct faasi_jobs *jobs)
{
    uint64_t head = atomic_load_explicit(&jobs->free, memory_order_acquire);
    struct faasi_job *job;
    uint32_t ahead;
    uint64_t next;

    do {
        if (head >> 32 == 0)
            return NULL;
        job = job_at(jobs, (uint32_t)(head >> 32) - 1);
        next = atomic_load_explicit(&job->next, memory_order_relaxed);
    } while (!atomic_compare_exchange_weak_explicit(
        &jobs->free, &head, next << 32 | (uint32_t)((uint32_t)head + 1),
        memory_order_acquire, memory_order_acquire));
    ahead = atomic_load_explicit(&job->ahead, memory_order_relaxed);
    if (ahead != 0)
        __builtin_prefetch(job_at(jobs, ahead - 1), 1);
    return job;
}

struct faasi_job *faasi_jobs_take(struct faasi_jobs *jobs, bool handled)
{
    struct faasi_job *job = job_free(jobs);

    if (job == NULL)
        job = job_make(jobs);
    if (job == NULL)
        return NULL;
    /* Relaxed: what is to be seen of a job is written after this, and whoever hands its
     * handle on orders it. */
    atomic_store_explicit(&job->word,
                          (uint64_t)faasi_job_generation(job) << 32 |
                              (handled ? HANDLE | 2 : 1),
                          memory_order_relaxed);
    return job;
}

void faasi_job_list_add(struct faasi_job_list *list, struct faasi_job *job)
{
    uint32_t generation = faasi_job_generation(job) + 1;

    job_clean(job);
    if (generation == 0)
        generation = 1;
    atomic_store_explicit(&job->word, (uint64_t)generation << 32, memory_order_relaxed);
    atomic_store_explicit(&job->next, list->count == 0 ? 0 : list->first->index + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&job->ahead, list->recent[list->count % FAASI_JOB_AHEAD],
                          memory_order_relaxed);
    list->recent[list->count % FAASI_JOB_AHEAD] = job->index + 1;
    list->first = job;
    if (list->count++ == 0)
        list->last = job;
}

void faasi_jobs_give_all(struct faasi_jobs *jobs, struct faasi_job_list *list)
{
    uint64_t head = atomic_load_explicit(&jobs->free, memory_order_relaxed);

    if (list->count == 0)
        return;
    do {
        atomic_store_explicit(&list->last->next, (uint32_t)(head >> 32),
                              memory_order_relaxed);
    } while (!atomic_compare_exchange_weak_explicit(
        &jobs->free, &head,
        ((uint64_t)list->first->index + 1) << 32 | (uint32_t)((uint32_t)head + 1),
        memory_order_release, memory_order_relaxed));
    *list = (struct faasi_job_list){0};
}

void faasi_jobs_give(struct faasi_jobs *jobs, struct faasi_job *job)
{
    struct faasi_job_list one = {0};

    faasi_job_list_add(&one, job);
    faasi_jobs_give_all(jobs, &one);
}

struct faasi_job *faasi_jobs_get(struct faasi_jobs *jobs, faas_invocation invocation)
{
    struct faasi_job *job =
        invocation.generation == 0 ? NULL : job_at(jobs, invocation.index);
    uint64_t word;

    if (job == NULL)
        return NULL;
    word = atomic_load_explicit(&job->word, memory_order_relaxed);
    do {
        if (word >> 32 != invocation.generation || (word & HANDLE) == 0)
            return NULL;
    } while (!atomic_compare_exchange_weak_explicit(
        &job->word, &word, word + 1, memory_order_relaxed, memory_order_relaxed));
    return job;
}

/* Relaxed: the caller's own reference, which comes later, orders what it did. */
bool faasi_job_let_go(struct faasi_job *job, uint32_t generation)
{
    uint64_t word = atomic_load_explicit(&job->word, memory_order_relaxed);

    do {
        if (word >> 32 != generation || (word & HANDLE) == 0)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(
        &job->word, &word, word & ~HANDLE, memory_order_relaxed, memory_order_relaxed));
    return true;
}

bool faasi_job_unref(struct faasi_job *job)
{
    /* Acquire and release: what others did with it is done before it is emptied. */
    return faasi_job_is_sole(job) ||
           (atomic_fetch_sub_explicit(&job->word, 1, memory_order_acq_rel) & REFS) == 1;
}

void faasi_jobs_each(struct faasi_jobs *jobs,
                     void (*each)(struct faasi_job *job, void *user), void *user)
{
    for (uint32_t i = 0; i < jobs->made; i++) {
        struct faasi_job *job = job_at(jobs, i);

        if ((uint32_t)atomic_load_explicit(&job->word, memory_order_relaxed) != 0)
            each(job, user);
    }
}
