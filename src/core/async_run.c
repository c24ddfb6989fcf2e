/* SPDX-License-Identifier: MIT */
/* async_run.c - running what a worker has taken. */
#include "async.h"

#include "invoke.h"
#include "random.h"

/* ---- what follows an attempt ---- */

static uint32_t kind_of(faas_status status)
{
    switch (status) {
    case FAAS_EHANDLER:
        return FAAS_RETRY_ERROR;
    case FAAS_ETIMEDOUT:
        return FAAS_RETRY_TIMEOUT;
    case FAAS_EINIT:
        return FAAS_RETRY_INIT;
    case FAAS_ENOMEM:
    case FAAS_ESYSTEM:
        return FAAS_RETRY_NOMEM;
    default:
        return 0;
    }
}

/* How long to wait after `attempts` that failed. Holds: lock. */
static uint64_t backoff(struct faasi_async *async, const faas_async *policy,
                        uint32_t attempts)
{
    double ns = (double)policy->backoff_ns;
    uint64_t most;

    for (uint32_t i = 1; i < attempts && ns < (double)policy->backoff_max_ns; i++)
        ns *= policy->backoff_factor;
    most = ns < (double)policy->backoff_max_ns ? (uint64_t)ns : policy->backoff_max_ns;
    if (policy->jitter == FAAS_JITTER_NONE || most == 0)
        return most;
    return most == UINT64_MAX ? faasi_random_next(&async->random)
                              : faasi_random_next(&async->random) % (most + 1);
}

/* Whether an attempt that came to `status` is followed by another one; then when, an
 * instant. Holds: lock. */
static bool is_retried(const struct faasi_job *job, faas_status status, uint32_t attempts,
                       uint64_t now, uint64_t *retry_ns)
{
    struct faasi_async *async = job->queue->async;
    const faas_async *policy = &job->queue->policy->of;
    uint64_t wait;

    if ((policy->retry_on & kind_of(status)) == 0 || attempts > policy->retries)
        return false;
    wait = backoff(async, policy, attempts);
    *retry_ns = faasi_ns_after(now, wait);
    return true;
}

/* Takes a running attempt to another phase, where `made` attempts are counted; false if it
 * went on without us. */
static bool attempt_move(struct faasi_job *job, uint32_t attempt, uint32_t to,
                         uint32_t made, uint32_t *flags)
{
    uint32_t state = atomic_load_explicit(&job->state, memory_order_relaxed);

    do {
        if ((state & FAASI_JOB_PHASE) != FAASI_JOB_RUNNING ||
            state >> FAASI_JOB_ATTEMPT_SHIFT != (attempt & 0xffffff))
            return false;
        /* It was cancelled while it ran: it is not put back, nor tried again. */
        if ((state & FAASI_JOB_CANCEL) != 0)
            to = FAASI_JOB_ENDING;
        *flags = state;
    } while (!atomic_compare_exchange_weak_explicit(
        &job->state, &state,
        (state & ((1u << FAASI_JOB_ATTEMPT_SHIFT) - 1) & ~(uint32_t)FAASI_JOB_PHASE) |
            to | (made & 0xffffff) << FAASI_JOB_ATTEMPT_SHIFT,
        memory_order_acq_rel, memory_order_relaxed));
    return true;
}

/* ---- one attempt ---- */

static bool attempt_begin(struct faasi_job *job, uint32_t attempt)
{
    uint32_t state = atomic_load_explicit(&job->state, memory_order_relaxed);

    do {
        if ((state & FAASI_JOB_PHASE) != FAASI_JOB_QUEUED)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(
        &job->state, &state,
        FAASI_JOB_RUNNING | (state & FAASI_JOB_WAITED) |
            (attempt & 0xffffff) << FAASI_JOB_ATTEMPT_SHIFT,
        memory_order_acq_rel, memory_order_relaxed));
    return true;
}

/* Whether nobody hears of a success, nor can look for it any more. */
static bool ends_silently(const struct faasi_job *job)
{
    return faasi_job_is_unheard(job) &&
           (job->extra == NULL || job->extra->key.data == NULL) && faasi_job_is_sole(job);
}

/* Calls the handler. `*now` is the time, and becomes that when it came back. */
static faas_status attempt_call(struct faasi_job *job, uint32_t attempt,
                                uint64_t deadline, uint64_t *now, faas_result **result,
                                bool *watched)
{
    uint64_t waited = faasi_ticks_since(*now, job->submitted);
    struct faasi_queue *q = job->queue;
    struct faasi_async *async = q->async;
    const struct faasi_job_extra *extra = job->extra;
    faas_id id = faasi_job_id(job);
    faas_invoke_options options = {.size = sizeof options, .attempt = attempt};
    faas_status status;
    struct faasi_request request = {
        .fn = q->fn,
        .queued = true,
        .id = &id,
        .event = job->event,
        .ordered = &job->state,
        .cancelled = FAASI_JOB_CANCEL,
        .failures_only = ends_silently(job),
        .ended = now,
    };

    if (job->event != NULL)
        request.input = faas_event_data(job->event);
    if (extra != NULL) {
        if (extra->input.data != NULL)
            request.input = extra->input;
        options.tenant = extra->tenant;
        options.trace = extra->trace;
    }
    if (extra != NULL || attempt > 1)
        request.options = &options;
    *now = 0;
    status = faasi_invoke_queued(async->rt, &request, deadline, waited, &q->watch, result,
                                 watched);
    if (FAASI_UNLIKELY(*now == 0)) // not here: in a batch, or not at all
        *now = faasi_ticks(async->clock);
    return status;
}

/* An attempt came back with a failure: decides what follows, under the lock. */
static enum faasi_outcome attempt_failed(struct faasi_job *job, uint32_t attempt,
                                         faas_status status, faas_result *result)
{
    struct faasi_async *async = job->queue->async;
    struct faasi_ending ending;
    faas_condition condition = FAAS_RETRIES_EXHAUSTED;
    uint64_t retry_ns = 0;
    uint32_t flags = 0;
    bool again, ours;

    faasi_async_lock(async, &ending);
    again = is_retried(job, status, attempt, faasi_async_now_ns(async), &retry_ns);
    ours = attempt_move(job, attempt, again ? FAASI_JOB_DELAYED : FAASI_JOB_ENDING,
                        attempt, &flags);
    if (ours) // else it waits for its next attempt already
        job->retry_ns = retry_ns;
    faasi_async_unlock(async, &ending);
    if (!ours) {
        faas_result_release(result);
        return FAASI_LOST;
    }
    if ((flags & FAASI_JOB_CANCEL) != 0) {
        condition = FAAS_CANCELLED;
    } else if (again) {
        faas_result_release(result);
        return FAASI_AGAIN;
    }
    if (status == FAAS_EEXPIRED)
        condition = FAAS_EVENT_AGE_EXCEEDED;
    else if (status == FAAS_ENOENT || status == FAAS_ECLOSED)
        condition = FAAS_DROPPED;
    faasi_async_end(async, job, condition, status, result);
    return FAASI_OVER;
}

/* An attempt succeeded. `*now` stays what it is, if nobody is told. */
static enum faasi_outcome attempt_succeeded(struct faasi_job *job, uint32_t attempt,
                                            uint64_t *now, faas_result *result)
{
    bool silent = ends_silently(job);
    uint32_t flags = 0;

    if (!attempt_move(job, attempt, silent ? FAASI_JOB_ENDED : FAASI_JOB_ENDING, attempt,
                      &flags)) {
        faas_result_release(result);
        *now = 0;
        return FAASI_LOST;
    }
    if (FAASI_LIKELY(silent && (flags & FAASI_JOB_CANCEL) == 0)) {
        job->condition = FAAS_SUCCESS;
        job->result = result;
    } else {
        faasi_async_end(job->queue->async, job, FAAS_SUCCESS, FAAS_OK, result);
        *now = 0;
    }
    return FAASI_OVER;
}

/* An attempt met a limit, and its handler did not run. */
static enum faasi_outcome attempt_refused(struct faasi_job *job, uint32_t attempt,
                                          bool watched)
{
    struct faasi_async *async = job->queue->async;
    uint32_t flags = 0;

    if (!attempt_move(job, attempt, watched ? FAASI_JOB_QUEUED : FAASI_JOB_DELAYED,
                      attempt - 1, &flags))
        return FAASI_LOST;
    if (!watched)
        job->retry_ns = faasi_async_now_ns(async) + faas_retry_after_ns();
    if ((flags & FAASI_JOB_CANCEL) == 0)
        return watched ? FAASI_NO_SEAT : FAASI_LATER;
    faasi_async_end(async, job, FAAS_CANCELLED, FAAS_ECANCELLED, NULL);
    return FAASI_OVER;
}

/* A job's next attempt; its outcome, and the ticks that the handler took.
 *
 * @param[in,out] now  Ticks; 0 when it is over: read the clock. */
static enum faasi_outcome attempt_run(struct faasi_worker *worker, struct faasi_job *job,
                                      uint64_t *now, uint64_t *took)
{
    struct faasi_async *async = worker->async;
    struct faasi_queue *q = job->queue;
    uint32_t attempt = job->attempts + 1u;
    uint64_t begun = *now, deadline = UINT64_MAX;
    uint64_t end = faasi_ticks_after(job->submitted, faasi_read(&q->age_ticks));
    uint64_t due = faasi_ticks_after(begun, faasi_read(&q->timeout_ticks));
    faas_result *result = NULL;
    bool watched = true;
    faas_status status;

    *took = 0;
    if (!attempt_begin(job, attempt))
        return FAASI_OVER; // cancelled in the batch
    job->attempts = (uint16_t)attempt;
    if (job->extra != NULL)
        deadline = faasi_instant_ticks(async->clock, job->extra->deadline_ns);
    faasi_write(&worker->begun, begun);
    faasi_write(&worker->due, due < deadline ? due : deadline);
    /* Release: who looks after us sees since when. */
    atomic_store_explicit(&worker->current, job, memory_order_release);
    /* The wheel may not have been looked at since. */
    status = begun >= deadline || begun >= end
                 ? FAAS_EEXPIRED
                 : attempt_call(job, attempt, deadline, now, &result, &watched);
    atomic_store_explicit(&worker->current, NULL, memory_order_relaxed);
    if (status == FAAS_OK || faas_status_group(status) == FAAS_GROUP_RAN)
        *took = faasi_ticks_since(*now, begun) + 1;
    if (FAASI_LIKELY(status == FAAS_OK))
        return attempt_succeeded(job, attempt, now, result);
    *now = 0;
    if (status == FAAS_EBUSY || status == FAAS_EEXPIRED || status == FAAS_ENOENT ||
        status == FAAS_ECLOSED)
        job->attempts = (uint16_t)(attempt - 1); // it met a limit, and did not run
    return status == FAAS_EBUSY ? attempt_refused(job, attempt, watched)
                                : attempt_failed(job, attempt, status, result);
}

uint32_t faasi_async_run(struct faasi_worker *worker)
{
    struct faasi_async *async = worker->async;
    struct faasi_queue *full = NULL; // met no seat: the others of it would not either
    uint32_t ran = 0, handlers = 0, count = worker->count;
    uint64_t now = 0; // of the end of one, which is the beginning of the next

    for (uint32_t i = 0; i < count; i++) {
        struct faasi_job *job;

        if (now == 0)
            now = faasi_ticks(async->clock);
        job = atomic_load_explicit(&worker->batch[i], memory_order_relaxed);
        if (job == NULL || job->queue == full)
            continue;
        job = atomic_exchange_explicit(&worker->batch[i], NULL, memory_order_acq_rel);
        if (job == NULL)
            continue;
        worker->outcome[ran] =
            (uint8_t)attempt_run(worker, job, &now, &worker->took[ran]);
        handlers += worker->took[ran] != 0;
        if (worker->outcome[ran] == FAASI_NO_SEAT)
            full = job->queue;
        atomic_store_explicit(&worker->ran[ran], job, memory_order_relaxed);
        /* Release: who counts what we have not settled sees it ended. */
        atomic_store_explicit(&worker->ran_count, ++ran, memory_order_release);
    }
    return handlers;
}

/* ---- looking after a worker ---- */

/* Ends an attempt that is past its deadline, whose handler has not come back. */
static void attempt_abandon(struct faasi_worker *worker, struct faasi_job *job,
                            uint64_t now)
{
    uint32_t state = atomic_load_explicit(&job->state, memory_order_acquire);
    uint32_t attempt = state >> FAASI_JOB_ATTEMPT_SHIFT, flags;
    uint64_t retry_ns = 0;
    bool again = is_retried(job, FAAS_ETIMEDOUT, attempt, now, &retry_ns);

    if (!attempt_move(job, attempt, again ? FAASI_JOB_DELAYED : FAASI_JOB_ENDING, attempt,
                      &flags))
        return;
    job->retry_ns = retry_ns;
    faasi_async_abandon(worker, job, now);
}

void faasi_worker_check(struct faasi_alarm *alarm, uint64_t now)
{
    struct faasi_worker *worker = FAASI_HOLDER(struct faasi_worker, alarm, alarm);
    struct faasi_async *async = worker->async;
    struct faasi_job *job = atomic_load_explicit(&worker->current, memory_order_acquire);
    uint64_t due = FAAS_FOREVER, begun;

    if (worker->count == 0 || worker->late)
        return;
    if (job != NULL) {
        due = faasi_instant_ns(async->clock, faasi_read(&worker->due));
        begun = faasi_instant_ns(async->clock, faasi_read(&worker->begun));
        if (now >= begun + FAASI_CHECK_NS)
            faasi_async_put_back(worker, now);
        if (now >= due) {
            attempt_abandon(worker, job, now);
            if (worker->late)
                return;
            due = now + FAASI_CHECK_NS; // it has just come back
        }
    }
    if (job == NULL || now < begun + FAASI_CHECK_NS ||
        faasi_lanes_ready(&worker->crew->lanes))
        due = due < now + FAASI_CHECK_NS ? due : now + FAASI_CHECK_NS;
    faasi_timer_start(&async->wheel, &alarm->timer, due);
}

/* Whether `job` waits for a handler of this chain. */
static bool waits_for(const struct faasi_job *job, const struct faas_context *ctx)
{
    for (; ctx != NULL; ctx = ctx->parent) {
        const struct faasi_job *ours;

        if (ctx->request == NULL || ctx->request->ordered == NULL)
            continue;
        ours = FAASI_HOLDER(struct faasi_job, state, ctx->request->ordered);
        if (ours == job)
            return true;
        if (ours->queue == job->queue && ours->extra != NULL && job->extra != NULL &&
            ours->extra->group.data != NULL && job->extra->group.data != NULL &&
            ours->extra->group.size == job->extra->group.size &&
            memcmp(ours->extra->group.data, job->extra->group.data,
                   job->extra->group.size) == 0)
            return true;
    }
    return false;
}

bool faasi_job_waits_for_us(const struct faasi_job *job)
{
    const struct faasi_below *below = faasi_context_below;
    bool ours = waits_for(job, faasi_context_current);

    for (; below != NULL && !ours; below = below->next)
        ours = waits_for(job, below->ctx);
    return ours;
}
