/* SPDX-License-Identifier: MIT */
/* async_once.c - invocations with a key: one runs, and identical ones end as it does.
 *
 * The first one with a key runs for all, through queue, retries and deadline like any
 * other. Those that come meanwhile are jobs of their own, that wait, can be cancelled and
 * have their own end of time, but stand in no lane. When the one ends with a success or
 * after its last attempt, they end alike, each with a share of the result. When it is
 * cancelled, dropped or too late, that is its affair: the next one takes its place.
 *
 * A success answers for a while those that come later. It is kept as the response cache
 * keeps what it remembers: copied, by the whole key, within a time and a budget. */
#include "async.h"

#include "state.h"

struct faasi_once {
    struct faasi_keyed keyed; /* its owner is the queue */
    struct faasi_ring followers;
};

static uint64_t hash_of(const struct faasi_job *job)
{
    return faasi_key_hash(job->queue, 0, job->extra->key);
}

static struct faasi_once *once_find(const struct faasi_job *job, uint64_t hash)
{
    return (struct faasi_once *)faasi_keys_find(&job->queue->async->once, hash,
                                                job->queue, 0, job->extra->key);
}

bool faasi_once_is_under_way(const struct faasi_job *job)
{
    return once_find(job, hash_of(job)) != NULL;
}

/* ---- what is kept ---- */

/* A kept answer as a result, or NULL: there is none, or no memory for it. */
static faas_result *kept_find(struct faasi_job *job, uint64_t hash)
{
    struct faasi_queue *q = job->queue;
    struct faasi_gate *gate = &q->async->rt->gate;
    faas_result *result = NULL;
    struct faasi_response *response;
    struct faasi_heap *heap;

    if (q->kept.count == 0)
        return NULL;
    response = faasi_responses_find(&q->kept, hash, job->extra->key,
                                    faasi_ticks(q->async->clock));
    if (response == NULL)
        return NULL;
    heap = faasi_heap_open(gate->allocator, &gate->held_bytes);
    if (heap != NULL) {
        result = faasi_response_lend(response, heap);
        faasi_heap_close(heap);
    }
    faasi_response_release(response);
    if (result != NULL)
        result->meter.request_id = faasi_job_id(job);
    return result;
}

/* The result of a job as it is kept; NULL: it is not. Holds nothing. */
static struct faasi_response *kept_make(const struct faasi_job *job)
{
    const faas_result *result = job->result;

    if (job->condition != FAAS_SUCCESS || result == NULL ||
        !atomic_load_explicit(&job->queue->keeps, memory_order_relaxed))
        return NULL;
    return faasi_response_make(job->queue->async->allocator, hash_of(job),
                               job->extra->key, result->output, result->message,
                               result->code);
}

/* ---- coming and going ---- */

enum faasi_once_role faasi_once_enter(struct faasi_job *job)
{
    struct faasi_queue *q = job->queue;
    struct faasi_async *async = q->async;
    uint64_t hash = hash_of(job);
    faas_result *kept = kept_find(job, hash);
    struct faasi_once *once = kept == NULL ? once_find(job, hash) : NULL;

    if (kept != NULL) {
        if (faasi_async_follow(job)) {
            q->shared++;
            faasi_job_end_as(job, FAAS_SUCCESS, FAAS_OK, kept);
        }
        faas_result_release(kept); // the job has a share of its own
        return FAASI_ONCE_FOLLOWS;
    }
    if (once != NULL) {
        if (faasi_async_follow(job))
            faasi_ring_insert(&once->followers, &job->extra->fellow);
        return FAASI_ONCE_FOLLOWS;
    }
    once = faasi_keys_add(&async->once, async->allocator, sizeof *once, hash, q, 0,
                          job->extra->key);
    if (once == NULL)
        return FAASI_ONCE_NOMEM;
    faasi_ring_init(&once->followers);
    job->extra->once = once;
    return FAASI_ONCE_RUNS;
}

/* The next of those that wait, taken out; or NULL. */
static struct faasi_job *follower_take(struct faasi_once *once)
{
    struct faasi_ring *at = once->followers.next;

    if (at == &once->followers)
        return NULL;
    faasi_ring_remove(at);
    return FAASI_HOLDER(struct faasi_job_extra, fellow, at)->job;
}

/* Ends all that wait as a job has ended. Holds: lock. */
static void followers_end(struct faasi_once *once, const struct faasi_job *as)
{
    struct faasi_job *job;

    while ((job = follower_take(once)) != NULL) {
        job->queue->shared++;
        faasi_job_end_as(job, (faas_condition)as->condition, as->status, as->result);
    }
}

/* Puts the next one in the place of one that was given up; false if there is none. Holds:
 * lock. */
static bool leader_replace(struct faasi_once *once)
{
    struct faasi_job *job;

    while ((job = follower_take(once)) != NULL) {
        job->extra->once = once;
        if (faasi_async_promote(job))
            return true;
        job->extra->once = NULL; // whoever claimed its end ends it
    }
    return false;
}

void faasi_once_forget(struct faasi_job *job)
{
    struct faasi_async *async = job->queue->async;

    assert(faasi_ring_empty(&job->extra->once->followers));
    faasi_keys_drop(&async->once, async->allocator, &job->extra->once->keyed);
    job->extra->once = NULL;
}

void faasi_once_land(struct faasi_async *async, struct faasi_job *job,
                     struct faasi_ending *followers)
{
    struct faasi_response *kept = kept_make(job);
    struct faasi_queue *q = job->queue;
    struct faasi_once *once;
    bool on = false;

    faasi_async_lock(async, followers);
    once = job->extra->once;
    job->extra->once = NULL;
    if (kept != NULL)
        faasi_responses_put(&q->kept, kept, faasi_ticks(async->clock));
    if (job->condition == FAAS_SUCCESS || job->condition == FAAS_RETRIES_EXHAUSTED)
        followers_end(once, job);
    else
        on = leader_replace(once);
    if (!on)
        faasi_keys_drop(&async->once, async->allocator, &once->keyed);
    faasi_async_let_go(async);
    faasi_response_release(kept);
}
