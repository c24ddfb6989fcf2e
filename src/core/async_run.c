/* SPDX-License-Identifier: MIT */
/* async_run.c - running what a worker has taken. */
#include "async.h"

#include "batch.h"
#include "invoke.h"
#include "mem.h"
#include "random.h"

#include <faas/batch.h>

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

/* ---- one attempt ---- */

static struct faasi_job *worker_job(const struct faasi_worker *worker, uint32_t at)
{
    return atomic_load_explicit(&worker->ran[at], memory_order_relaxed);
}

/* Begins the next attempt of the `at`-th job that a worker runs. False if it was cancelled
 * in the batch.
 *
 * @param[out] deadline  Its own, in ticks. */
static inline bool attempt_start(struct faasi_worker *worker, uint32_t at, uint64_t begun,
                                 uint64_t *deadline)
{
    struct faasi_job *job = worker_job(worker, at);
    struct faasi_queue *q = job->queue;
    uint64_t due = faasi_ticks_after(begun, faasi_read(&q->timeout_ticks));
    uint32_t attempt = job->attempts + 1u;
    bool starts = faasi_job_begin(job, attempt);

    *deadline = faasi_job_deadline(job);
    if (starts)
        job->attempts = (uint16_t)attempt;
    faasi_write(&worker->due[at], !starts           ? UINT64_MAX
                                  : due < *deadline ? due
                                                    : *deadline);
    return starts;
}

/* From here on `count` jobs from the `at`-th on run, or none. Release: who looks after us
 * sees which, and since when. */
static void worker_runs(struct faasi_worker *worker, uint32_t at, uint32_t count)
{
    atomic_store_explicit(&worker->runs_to, at + count, memory_order_release);
}

/* All before the `to`-th have run. Release: who counts what we have not settled sees how
 * they ended. */
static void worker_ran(struct faasi_worker *worker, uint32_t to)
{
    atomic_store_explicit(&worker->ran_count, to, memory_order_release);
}

/* Whether a job's time is over; the wheel may not have been looked at since. */
static bool is_over(const struct faasi_job *job, uint64_t now, uint64_t deadline)
{
    return now >= deadline ||
           now >= faasi_ticks_after(job->submitted, faasi_read(&job->queue->age_ticks));
}

/* Whether nobody hears of a success, nor can look for it any more. */
static bool ends_silently(const struct faasi_job *job)
{
    return faasi_job_is_unheard(job) &&
           (job->extra == NULL || job->extra->key.data == NULL) && faasi_job_is_sole(job);
}

/* What an attempt asks for. `id` and `options` are the caller's, for as long. */
static inline void attempt_ask(const struct faasi_job *job, uint32_t attempt, faas_id *id,
                               faas_invoke_options *options,
                               struct faasi_request *request)
{
    const struct faasi_job_extra *extra = job->extra;

    *id = faasi_job_id(job);
    *request = (struct faasi_request){
        .fn = job->queue->fn,
        .queued = true,
        .id = id,
        .event = job->event,
        .ordered = &job->state,
        .cancelled = FAASI_JOB_CANCEL,
        .failures_only = ends_silently(job),
    };
    if (job->event != NULL)
        request->input = faas_event_data(job->event);
    if (extra == NULL && attempt == 1)
        return;
    *options = (faas_invoke_options){.size = sizeof *options, .attempt = attempt};
    request->options = options;
    if (extra == NULL)
        return;
    if (extra->input.data != NULL)
        request->input = extra->input;
    options->tenant = extra->tenant;
    options->trace = extra->trace;
}

/* Calls the handler. `*now` is the time, and becomes that when it came back. */
static faas_status attempt_call(struct faasi_job *job, uint32_t attempt,
                                uint64_t deadline, uint64_t *now, faas_result **result,
                                bool *watched)
{
    uint64_t waited = faasi_ticks_since(*now, job->submitted);
    struct faasi_async *async = job->queue->async;
    faas_invoke_options options;
    struct faasi_request request;
    faas_status status;
    faas_id id;

    attempt_ask(job, attempt, &id, &options, &request);
    request.ended = now;
    *now = 0;
    status = faasi_invoke_queued(async->rt, &request, deadline, waited,
                                 &job->queue->watch, result, watched);
    if (FAASI_UNLIKELY(*now == 0)) // not here: in a batch, or not at all
        *now = faasi_ticks(async->clock);
    return status;
}

/* An attempt came back with a failure, `made` counting as made: decides what follows, under
 * the lock. */
static enum faasi_outcome attempt_failed(struct faasi_job *job, uint32_t attempt,
                                         uint32_t made, faas_status status,
                                         faas_result *result)
{
    struct faasi_async *async = job->queue->async;
    struct faasi_ending ending;
    faas_condition condition = FAAS_RETRIES_EXHAUSTED;
    uint64_t retry_ns = 0;
    uint32_t flags = 0;
    bool again, ours;

    faasi_async_lock(async, &ending);
    again = is_retried(job, status, attempt, faasi_async_now_ns(async), &retry_ns);
    ours = faasi_job_settle(job, attempt, again ? FAASI_JOB_DELAYED : FAASI_JOB_ENDING,
                            attempt, &flags);
    if (ours) { // else it waits for its next attempt already
        job->retry_ns = retry_ns;
        job->attempts = (uint16_t)made;
    }
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
static inline enum faasi_outcome attempt_succeeded(struct faasi_job *job,
                                                   uint32_t attempt, uint64_t *now,
                                                   faas_result *result)
{
    bool silent = ends_silently(job);
    uint32_t flags = 0;

    if (!faasi_job_settle(job, attempt, silent ? FAASI_JOB_ENDED : FAASI_JOB_ENDING,
                          attempt, &flags)) {
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
    struct faasi_ending ending;
    uint32_t flags = 0;
    bool ours;

    faasi_async_lock(async, &ending); // who cancels it from here on sees what is written
    ours = faasi_job_settle(job, attempt, watched ? FAASI_JOB_QUEUED : FAASI_JOB_DELAYED,
                            attempt - 1, &flags);
    if (ours) {
        job->attempts = (uint16_t)(attempt - 1);
        if (!watched)
            job->retry_ns = faasi_async_now_ns(async) + faas_retry_after_ns();
    }
    faasi_async_unlock(async, &ending);
    if (!ours)
        return FAASI_LOST;
    if ((flags & FAASI_JOB_CANCEL) == 0)
        return watched ? FAASI_NO_SEAT : FAASI_LATER;
    faasi_async_end(async, job, FAAS_CANCELLED, FAAS_ECANCELLED, NULL);
    return FAASI_OVER;
}

/* What follows an attempt that came to `status`. `*now` as of attempt_succeeded(). */
static inline enum faasi_outcome attempt_end(struct faasi_job *job, uint32_t attempt,
                                             faas_status status, faas_result *result,
                                             bool watched, uint64_t *now)
{
    uint32_t made = attempt;

    if (FAASI_LIKELY(status == FAAS_OK))
        return attempt_succeeded(job, attempt, now, result);
    *now = 0;
    if (status == FAAS_EBUSY)
        return attempt_refused(job, attempt, watched);
    if (status == FAAS_EEXPIRED || status == FAAS_ENOENT || status == FAAS_ECLOSED)
        made--; // it met a limit, and did not run
    return attempt_failed(job, attempt, made, status, result);
}

static bool has_run(faas_status status)
{
    return status == FAAS_OK || faas_status_group(status) == FAAS_GROUP_RAN;
}

/* Runs the `at`-th job of a worker's. Returns how many handlers ran.
 *
 * @param[in,out] now  Ticks; 0: read the clock. */
static uint32_t one_run(struct faasi_worker *worker, uint32_t at, uint64_t *now)
{
    struct faasi_job *job = worker_job(worker, at);
    uint64_t begun = *now == 0 ? faasi_ticks(worker->async->clock) : *now, deadline;
    bool starts = attempt_start(worker, at, begun, &deadline);
    uint32_t attempt = job->attempts; // this one's; another one may follow before it ends
    enum faasi_outcome outcome = FAASI_OVER;
    faas_status status = FAAS_EEXPIRED;
    faas_result *result = NULL;
    bool watched = true;

    *now = begun;
    worker->took[at] = 0;
    if (FAASI_LIKELY(starts)) {
        faasi_write(&worker->begun, begun);
        worker_runs(worker, at, 1);
        if (!is_over(job, begun, deadline))
            status = attempt_call(job, attempt, deadline, now, &result, &watched);
        worker_runs(worker, at, 0);
        if (has_run(status))
            worker->took[at] = faasi_ticks_since(*now, begun) + 1;
        outcome = attempt_end(job, attempt, status, result, watched, now);
    }
    worker->outcome[at] = (uint8_t)outcome;
    return worker->took[at] != 0;
}

/* A job among those that run together. */
struct together {
    struct faasi_member member;
    faas_invoke_options options;
    faas_id id;
    struct faasi_job *job;
    uint32_t at, attempt;
};

/* Those of a worker's batch that may run together, and those that do: they begin when their
 * batch is formed. What did not begin by then stays where it can be put back. */
struct party {
    struct faasi_party of;
    struct faasi_worker *worker;
    uint32_t next, end; /* of the worker's batch */
    uint32_t first, at; /* of those that it ran: theirs, and the next one */
    struct together *all;
    uint32_t count; /* of `all` */
};

/* Takes the `next`-th job of a worker's batch as the `at`-th that it runs. False if it was
 * put back. */
static bool worker_next(struct faasi_worker *worker, uint32_t next, uint32_t at)
{
    struct faasi_job *job =
        atomic_exchange_explicit(&worker->batch[next], NULL, memory_order_acq_rel);

    if (job == NULL)
        return false;
    atomic_store_explicit(&worker->ran[at], job, memory_order_relaxed);
    return true;
}

/* Begins the next one of a party, or returns NULL. One whose time is over ends, if nobody
 * waits for us meanwhile, or stays. */
static struct together *party_begin(struct party *p, bool alone)
{
    struct faasi_worker *worker = p->worker;
    uint64_t begun = faasi_ticks(worker->async->clock), deadline;

    for (; p->next < p->end; p->next++) {
        struct together *one = &p->all[p->count];
        struct faasi_job *job;
        bool starts, over;

        if (!worker_next(worker, p->next, p->at))
            continue;
        job = worker_job(worker, p->at);
        over = is_over(job, begun, faasi_job_deadline(job));
        if (over && !alone) {
            atomic_store_explicit(&worker->batch[p->next], job, memory_order_release);
            continue;
        }
        worker->took[p->at] = 0;
        worker->outcome[p->at] = FAASI_OVER;
        starts = attempt_start(worker, p->at, begun, &deadline);
        one->at = p->at++;
        if (!starts) // cancelled in the batch
            continue;
        one->job = job;
        one->attempt = job->attempts;
        if (over) {
            faasi_write(&worker->due[one->at], UINT64_MAX);
            worker->outcome[one->at] = (uint8_t)attempt_end(
                job, one->attempt, FAAS_EEXPIRED, NULL, false, &begun);
            begun = faasi_ticks(worker->async->clock);
            continue;
        }
        one->member.deadline = deadline;
        one->member.waited = faasi_ticks_since(begun, job->submitted);
        attempt_ask(job, one->attempt, &one->id, &one->options, &one->member.request);
        if (p->count++ == 0)
            faasi_write(&worker->begun, begun);
        worker_runs(worker, p->first, p->at - p->first);
        p->next++;
        return one;
    }
    return NULL;
}

static struct faasi_member *party_next(struct faasi_party *of)
{
    struct together *one = party_begin(FAASI_HOLDER(struct party, of, of), false);

    return one == NULL ? NULL : &one->member;
}

/* Runs what of a party can run, in one call of their handler. Returns how many ran. */
static uint32_t party_run(struct party *p)
{
    struct faasi_worker *worker = p->worker;
    struct faasi_async *async = worker->async;
    struct together *lead = party_begin(p, true);
    uint64_t begun = faasi_read(&worker->begun), ended;
    bool watched = false;
    uint32_t ran = 0;

    if (lead == NULL)
        return 0;
    faasi_batch_queued(async->rt, &lead->member, &p->of);
    ended = faasi_ticks(async->clock);
    if (lead->member.status == FAAS_EPENDING) // its function has become another one
        lead->member.status =
            attempt_call(lead->job, lead->attempt, lead->member.deadline, &ended,
                         &lead->member.result, &watched);
    worker_runs(worker, p->first, 0);
    for (uint32_t i = 0; i < p->count; i++) {
        struct together *one = &p->all[i];
        uint64_t now = ended;

        if (has_run(one->member.status)) {
            worker->took[one->at] = faasi_ticks_since(ended, begun) + 1;
            ran = 1;
        }
        worker->outcome[one->at] =
            (uint8_t)attempt_end(one->job, one->attempt, one->member.status,
                                 one->member.result, watched, &now);
    }
    return ran;
}

/* Runs the jobs of a worker's batch from the `next`-th to before the `end`-th: together, or
 * without memory for that one after the other; `*ran` is how many it has run. Returns how
 * many handlers ran. */
static uint32_t many_run(struct faasi_worker *worker, uint32_t next, uint32_t end,
                         uint32_t *ran, uint64_t *now)
{
    const faas_allocator *allocator = worker->async->allocator;
    struct party party = {.of = {.next = party_next, .count = end - next - 1},
                          .worker = worker,
                          .next = next,
                          .end = end,
                          .first = *ran,
                          .at = *ran};
    uint32_t handlers = 0;

    party.all = faasi_alloc(allocator, (end - next) * sizeof *party.all);
    for (; party.all == NULL && next < end; next++) {
        if (!worker_next(worker, next, *ran))
            continue;
        handlers += one_run(worker, *ran, now);
        worker_ran(worker, ++*ran);
    }
    if (party.all == NULL)
        return handlers;
    handlers = party_run(&party);
    faasi_free(allocator, party.all, (end - next) * sizeof *party.all);
    *ran = party.at;
    worker_ran(worker, party.at);
    *now = 0;
    return handlers;
}

uint32_t faasi_async_run(struct faasi_worker *worker)
{
    struct faasi_queue *full = NULL; // met no seat: the others of it would not either
    uint32_t ran = 0, handlers = 0, count = worker->count;
    uint64_t now = 0; // of the end of one, which is the beginning of the next

    for (uint32_t i = 0, end; i < count; i = end) {
        struct faasi_job *job =
            atomic_load_explicit(&worker->batch[i], memory_order_relaxed);

        end = i + 1;
        while (end < count && FAASI_UNLIKELY((worker->joins >> end & 1) != 0))
            end++;
        if (job == NULL || job->queue == full)
            continue;
        if (FAASI_UNLIKELY(end - i > 1)) {
            handlers += many_run(worker, i, end, &ran, &now);
        } else if (worker_next(worker, i, ran)) {
            handlers += one_run(worker, ran, &now);
            worker_ran(worker, ++ran);
        }
        if (ran != 0 && worker->outcome[ran - 1] == FAASI_NO_SEAT)
            full = worker_job(worker, ran - 1)->queue;
    }
    return handlers;
}

/* ---- looking after a worker ---- */

/* Ends an attempt that is past its deadline, whose handler has not come back. False if it
 * just has. */
static bool attempt_abandon(struct faasi_worker *worker, uint32_t at, uint64_t now)
{
    struct faasi_job *job = worker_job(worker, at);
    uint32_t state = atomic_load_explicit(&job->state, memory_order_acquire);
    uint32_t attempt = state >> FAASI_JOB_ATTEMPT_SHIFT, flags;
    uint64_t retry_ns = 0;
    bool again = is_retried(job, FAAS_ETIMEDOUT, attempt, now, &retry_ns);

    if (!faasi_job_settle(job, attempt, again ? FAASI_JOB_DELAYED : FAASI_JOB_ENDING,
                          attempt, &flags))
        return false;
    job->retry_ns = retry_ns;
    faasi_async_abandon(worker, at, now);
    return true;
}

/* Ends those of the attempts from `at` to `to`, which a worker makes together, that are past
 * their deadline. Returns when to come again for the others: an instant, FAAS_FOREVER if
 * there are none. */
static uint64_t late_abandon(struct faasi_worker *worker, uint32_t at, uint32_t to,
                             uint64_t now)
{
    uint64_t next = FAAS_FOREVER;

    for (; at < to; at++) {
        uint64_t due =
            faasi_instant_ns(worker->async->clock, faasi_read(&worker->due[at]));

        if ((worker->late >> at & 1) != 0)
            continue;
        if (now >= due) {
            if (attempt_abandon(worker, at, now))
                continue;
            due = now + FAASI_CHECK_NS;
        }
        if (due < next)
            next = due;
    }
    return next;
}

void faasi_worker_check(struct faasi_alarm *alarm, uint64_t now)
{
    struct faasi_worker *worker = FAASI_HOLDER(struct faasi_worker, alarm, alarm);
    struct faasi_async *async = worker->async;
    uint32_t to = atomic_load_explicit(&worker->runs_to, memory_order_acquire);
    uint32_t at = atomic_load_explicit(&worker->ran_count, memory_order_acquire);
    uint64_t due = FAAS_FOREVER, check = 0;

    if (worker->count == 0)
        return;
    if (at < to) {
        check =
            faasi_instant_ns(async->clock, faasi_read(&worker->begun)) + FAASI_CHECK_NS;
        if (now >= check)
            faasi_async_put_back(worker, now);
        due = late_abandon(worker, at, to, now);
        if (due == FAAS_FOREVER && worker->late != 0)
            return; // all have gone on without it
    }
    if (now < check || at >= to || faasi_lanes_ready(&worker->crew->lanes))
        due = due < now + FAASI_CHECK_NS ? due : now + FAASI_CHECK_NS;
    faasi_timer_start(&async->wheel, &alarm->timer, due);
}

/* Whether `job` waits for what a handler was asked. */
static bool waits_for_request(const struct faasi_job *job,
                              const struct faasi_request *request)
{
    const struct faasi_job *ours;

    if (request == NULL || request->ordered == NULL)
        return false;
    ours = FAASI_HOLDER(struct faasi_job, state, request->ordered);
    return ours == job ||
           (ours->queue == job->queue && ours->extra != NULL && job->extra != NULL &&
            ours->extra->group.data != NULL && job->extra->group.data != NULL &&
            ours->extra->group.size == job->extra->group.size &&
            memcmp(ours->extra->group.data, job->extra->group.data,
                   job->extra->group.size) == 0);
}

/* Whether `job` waits for one of the calls in a batch. */
static bool waits_for_batch(const struct faasi_job *job,
                            const struct faasi_batch_request *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (waits_for_request(job, batch->items[i].ctx->request))
            return true;
    return false;
}

/* Whether `job` waits for a handler of this chain. */
static bool waits_for(const struct faasi_job *job, const struct faas_context *ctx)
{
    for (; ctx != NULL; ctx = ctx->parent) {
        const struct faasi_request *request = ctx->request;

        if (waits_for_request(job, request) ||
            (request != NULL && request->batch &&
             waits_for_batch(job,
                             FAASI_HOLDER(struct faasi_batch_request, request, request))))
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
