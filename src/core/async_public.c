/* SPDX-License-Identifier: MIT */
/* async_public.c - what a submitter does with its handle, and the numbers. */
#include "async.h"

#include "grace.h"
#include "heap.h"
#include "mem.h"
#include "state.h"

/* Begins a call with a handle: the job with a reference, or NULL and why. */
static struct faasi_job *job_visit(faas_runtime *rt, faas_invocation invocation,
                                   faas_status *status)
{
    struct faasi_async *async = &rt->async;
    struct faasi_job *job = NULL;

    faasi_read_enter();
    if (!faasi_async_visit(async)) {
        *status = FAAS_ECLOSED;
    } else {
        *status = FAAS_ENOENT;
        if (invocation.runtime == rt->id)
            job = faasi_jobs_get(&async->jobs, invocation);
        if (job == NULL)
            faasi_async_unvisit(async);
    }
    faasi_read_leave();
    return job;
}

static void job_unvisit(struct faasi_async *async, struct faasi_job *job)
{
    faasi_async_unref(async, job);
    faasi_async_unvisit(async);
}

static uint32_t state_of(struct faasi_job *job)
{
    return atomic_load_explicit(&job->state, memory_order_acquire);
}

static bool has_ended(uint32_t state)
{
    return (state & FAASI_JOB_PHASE) == FAASI_JOB_ENDED;
}

/* ---- waiting ---- */

/* Runs a job on this thread, if it waits for nothing but one. */
static void job_help(struct faasi_async *async, struct faasi_job *job)
{
    struct faasi_worker worker;
    struct faasi_ending ending;

    faasi_worker_begin(async, &worker, job->queue->crew, &ending);
    faasi_async_drain(async);
    (void)faasi_async_take_one(&worker, job);
    (void)faasi_worker_finish(&worker, &ending);
}

/* Sleeps where a job is as it was seen, at the lock: for who must hear of more than its
 * end. */
static void job_sleep_at_room(struct faasi_async *async, struct faasi_job *job,
                              uint32_t state, uint64_t until)
{
    atomic_fetch_add_explicit(&async->want_room, 1, memory_order_seq_cst);
    faasi_lock(&async->lock);
    if (state_of(job) == state && !faasi_async_has_work(async)) {
        uint64_t now = faasi_async_now_ns(async);

        if (async->clock->source == FAASI_CLOCK_VIRTUAL || until == FAAS_FOREVER)
            faasi_wait(&async->room, &async->lock);
        else if (now < until)
            faasi_wait_for(&async->room, &async->lock, until - now);
    }
    faasi_unlock(&async->lock);
    atomic_fetch_sub_explicit(&async->want_room, 1, memory_order_seq_cst);
}

/* Sleeps while a job is as it was seen, until the time is over, or for no reason. */
static void job_sleep(struct faasi_async *async, struct faasi_job *job, uint32_t state,
                      uint64_t until)
{
    uint64_t now, ns = FAAS_FOREVER;

    if (!faasi_job_watch(job, &state))
        return; // it moved: look again
    if (faasi_async_waits_at_room(async)) {
        job_sleep_at_room(async, job, state, until);
        return;
    }
    now = faasi_async_now_ns(async);
    if (until != FAAS_FOREVER)
        ns = until > now ? until - now : 0;
    (void)faasi_futex_wait(&job->state, state, ns);
}

/* Does what a waiter can do where nobody but the host runs what is queued: anything that
 * is due. Returns whether there is more to do; `*next` says when there will be. */
static bool job_drive(struct faasi_async *async, struct faasi_job *job, uint32_t state,
                      uint64_t *next)
{
    bool any;

    (void)faasi_async_run_one(async, &any);
    if (!any) { // what has come due by now may run
        *next = faasi_async_sweep(async);
        any = faasi_async_ready(async);
    }
    return any || state_of(job) != state;
}

static faas_status job_wait(struct faasi_async *async, struct faasi_job *job,
                            uint64_t limit_ns)
{
    uint64_t until = FAAS_FOREVER, now, next;
    uint32_t state = state_of(job), waits = 0;

    if (limit_ns != FAAS_FOREVER && !has_ended(state)) {
        now = faasi_async_now_ns(async);
        until = now + limit_ns < now ? FAAS_FOREVER : now + limit_ns;
    }
    for (; !has_ended(state); state = state_of(job)) {
        if ((state & FAASI_JOB_PHASE) == FAASI_JOB_ENDING && faasi_ending_hasten(job))
            continue;
        if (limit_ns == 0 ||
            (until != FAAS_FOREVER && faasi_async_now_ns(async) >= until))
            return FAAS_EPENDING;
        if (waits++ == 0 && faasi_job_waits_for_us(job))
            return FAAS_EPERM;
        next = FAAS_FOREVER;
        if ((state & FAASI_JOB_PHASE) == FAASI_JOB_QUEUED) {
            job_help(async, job);
            state = state_of(job);
            if (has_ended(state))
                break;
        }
        if (async->crews[0].max == 0) {
            if (job_drive(async, job, state, &next))
                continue;
            /* Nobody but us would move that clock. */
            if (async->clock->source == FAASI_CLOCK_VIRTUAL)
                return FAAS_EPENDING;
        }
        job_sleep(async, job, state, next < until ? next : until);
    }
    return job->status;
}

faas_status faas_invocation_wait(faas_runtime *rt, faas_invocation invocation,
                                 uint64_t limit_ns, faas_result **result)
{
    struct faasi_async *async = &rt->async;
    struct faasi_job *job;
    faas_status status;

    if (result != NULL)
        *result = NULL;
    job = job_visit(rt, invocation, &status);
    if (job == NULL)
        return status;
    status = job_wait(async, job, limit_ns);
    if (has_ended(state_of(job)) && result != NULL && job->result != NULL) {
        faasi_ref(&job->result->shares);
        *result = job->result;
    }
    job_unvisit(async, job);
    return status;
}

/* ---- cancelling ---- */

static faas_status job_cancel(struct faasi_async *async, struct faasi_job *job)
{
    struct faasi_ending ending;

    while (!faasi_job_claim(job)) {
        uint32_t state = state_of(job);

        if (faasi_job_ask(job))
            return FAAS_EPENDING;
        if (has_ended(state) || (state & FAASI_JOB_PHASE) == FAASI_JOB_ENDING)
            return FAAS_EINUSE;
    }
    faasi_async_lock(async, &ending);
    faasi_async_drain(async);
    faasi_async_withdraw(job);
    faasi_job_count(job, FAAS_CANCELLED);
    faasi_async_unlock(async, &ending);
    faasi_async_end(async, job, FAAS_CANCELLED, FAAS_ECANCELLED, NULL);
    return FAAS_OK;
}

faas_status faas_invocation_cancel(faas_runtime *rt, faas_invocation invocation)
{
    faas_status status;
    struct faasi_job *job = job_visit(rt, invocation, &status);

    if (job == NULL)
        return status;
    status = job_cancel(&rt->async, job);
    job_unvisit(&rt->async, job);
    return status;
}

void faas_invocation_release(faas_runtime *rt, faas_invocation invocation)
{
    struct faasi_async *async = &rt->async;
    faas_status status;
    struct faasi_job *job = job_visit(rt, invocation, &status);

    if (job == NULL)
        return;
    /* Nobody will wait for it, so somebody is to run it. */
    if (job->will_wait && !has_ended(state_of(job)))
        faasi_async_wake(async, job->queue->crew);
    if (faasi_job_let_go(job, invocation.generation))
        faasi_async_unref(async, job);
    job_unvisit(async, job);
}

faas_status faas_invocation_describe(faas_runtime *rt, faas_invocation invocation,
                                     faas_invocation_info *info)
{
    static const faas_phase phases[] = {[FAASI_JOB_DELAYED] = FAAS_PHASE_DELAYED,
                                        [FAASI_JOB_QUEUED] = FAAS_PHASE_QUEUED,
                                        [FAASI_JOB_RUNNING] = FAAS_PHASE_RUNNING,
                                        [FAASI_JOB_ENDING] = FAAS_PHASE_RUNNING,
                                        [FAASI_JOB_ENDED] = FAAS_PHASE_ENDED};
    faas_invocation_info known = {.status = FAAS_EPENDING};
    size_t size = info->size;
    struct faasi_job *job;
    faas_status status;
    uint32_t state;

    if (size < sizeof size || size > 4096)
        return faasi_fail(FAAS_EINVAL, "info.size: %zu was not set", size);
    job = job_visit(rt, invocation, &status);
    if (job == NULL)
        return status;
    state = state_of(job);
    known.phase = phases[state & FAASI_JOB_PHASE];
    known.request_id = faasi_job_id(job);
    known.attempts = state >> FAASI_JOB_ATTEMPT_SHIFT;
    if (has_ended(state)) {
        known.condition = (faas_condition)job->condition;
        known.status = job->status;
        known.attempts = job->attempts;
    }
    job_unvisit(&rt->async, job);
    known.size = size;
    memcpy(info, &known, size < sizeof known ? size : sizeof known);
    return FAAS_OK;
}

/* ---- numbers ---- */

static void ends_add(faas_async_stats *stats, const uint64_t by[])
{
    stats->succeeded += by[FAAS_SUCCESS];
    stats->exhausted += by[FAAS_RETRIES_EXHAUSTED];
    stats->expired += by[FAAS_EVENT_AGE_EXCEEDED];
    stats->cancelled += by[FAAS_CANCELLED];
    stats->dropped += by[FAAS_DROPPED];
}

/* Holds: lock. */
static void queue_add(faas_async_stats *stats, struct faasi_queue *q, uint64_t now)
{
    const struct faasi_job *oldest = faasi_queue_oldest(q);

    stats->submitted += q->submitted;
    stats->retried += q->retried;
    stats->shared += q->shared;
    stats->refused += faasi_read(&q->refused);
    ends_add(stats, q->ends.by);
    stats->queued += faasi_read(&q->jobs) & FAASI_WAITING_MASK;
    stats->queued_bytes += faasi_read(&q->bytes);
    if (oldest != NULL) {
        uint64_t age =
            faasi_ticks_to_ns(q->async->clock, faasi_ticks_since(now, oldest->submitted));

        if (age > stats->oldest_ns)
            stats->oldest_ns = age;
    }
}

static bool is_running(struct faasi_job *job)
{
    return (state_of(job) & FAASI_JOB_PHASE) == FAASI_JOB_RUNNING;
}

/* What a worker ran and has not settled, and what it runs. Holds: lock. */
static void worker_add(faas_async_stats *stats, struct faasi_worker *worker,
                       const struct faasi_queue *of, uint64_t now)
{
    /* Acquire: pairs with the releases in async_run.c. */
    uint32_t to = atomic_load_explicit(&worker->runs_to, memory_order_acquire);
    uint32_t ran = atomic_load_explicit(&worker->ran_count, memory_order_acquire);
    const struct faasi_async *async = worker->async;
    uint64_t since = faasi_ticks_to_ns(
        async->clock, faasi_ticks_since(now, faasi_read(&worker->begun)));

    for (uint32_t i = 0; i < ran || i < to; i++) {
        struct faasi_job *job =
            atomic_load_explicit(&worker->ran[i], memory_order_relaxed);
        uint64_t by[FAAS_DROPPED + 1] = {0};

        if (of != NULL && job->queue != of)
            continue;
        if (i >= ran) {
            bool late = (worker->late >> i & 1) != 0, runs = late || is_running(job);

            stats->running += runs;
            stats->quarantined += late;
            stats->stuck += runs && since > async->stuck_ns;
        } else if (worker->outcome[i] == FAASI_OVER && !job->counted) {
            by[job->condition] = 1;
            ends_add(stats, by);
        }
    }
}

static faas_status stats_take(faas_runtime *rt, faas_fn fn, faas_async_stats *stats)
{
    struct faasi_async *async = &rt->async;
    struct faasi_queue *of = NULL;
    struct faasi_ending ending;
    bool all = fn.generation == 0;
    uint64_t now;

    faasi_lock(&rt->registry.lock);
    if (!all) {
        struct faasi_entry *entry = faasi_registry_get(&rt->registry, fn);

        if (entry == NULL || entry->kind == FAAS_KIND_ALIAS) {
            faasi_unlock(&rt->registry.lock);
            return faasi_fail(FAAS_ENOENT, "handle %u.%u: there is no such function",
                              fn.index, fn.generation);
        }
        of = atomic_load_explicit(&((struct faasi_function *)entry)->queue,
                                  memory_order_acquire);
    }
    faasi_async_lock(async, &ending);
    faasi_async_drain(async);
    now = faasi_ticks(async->clock);
    if (all) {
        *stats = async->gone;
        for (struct faasi_queue *q = async->queues; q != NULL; q = q->next)
            queue_add(stats, q, now);
        for (struct faasi_queue *q = async->orphans; q != NULL; q = q->next)
            queue_add(stats, q, now); // what runs in it has not ended yet
    } else if (of != NULL) {
        queue_add(stats, of, now);
    }
    if (all || of != NULL)
        for (struct faasi_worker *w = async->workers; w != NULL; w = w->next)
            worker_add(stats, w, of, now);
    for (int i = 0; i < FAASI_CREWS; i++) {
        stats->workers +=
            atomic_load_explicit(&async->crews[i].alive, memory_order_relaxed);
        stats->workers_idle += faasi_park_asleep(&async->crews[i].park);
    }
    /* In this order: somebody may be told of what had no memory to be queued. */
    faasi_unlock(&rt->registry.lock);
    faasi_async_unlock(async, &ending);
    return FAAS_OK;
}

faas_status faas_async_stats_get(faas_runtime *rt, faas_fn fn, faas_async_stats *stats)
{
    faas_async_stats known = {.size = 0};
    size_t size = stats->size;
    faas_status status;

    if (size < sizeof size || size > 4096)
        return faasi_fail(FAAS_EINVAL, "stats.size: %zu was not set", size);
    status = faasi_visit(rt);
    if (status != FAAS_OK)
        return status;
    status = stats_take(rt, fn, &known);
    faasi_unvisit(rt);
    if (status != FAAS_OK)
        return status;
    known.size = size;
    memcpy(stats, &known, size < sizeof known ? size : sizeof known);
    return FAAS_OK;
}
