/* SPDX-License-Identifier: MIT */
/* async.c - queues: submission, taking, settling. */
#include "async.h"

#include "desk.h"

#include "grace.h"
#include "mem.h"
#include "state.h"

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

/* A level that was not served for so long goes first. */
#define AGEING_NS (100 * MS)
/* A batch takes about so long: some wakes' worth, little to wait for. */
#define BATCH_NS UINT64_C(20000)
/* A worker is looked after when it may have others' work and is at one handler for so
 * long. */
#define CHECK_NS (4 * MS)

static uint64_t now_ns(const struct faasi_async *async)
{
    return faasi_instant_ns(async->clock, faasi_ticks(async->clock));
}

static uint64_t ns_after(uint64_t ns, uint64_t more)
{
    return ns + more < ns ? FAAS_FOREVER : ns + more;
}

/* ---- policies ---- */

static faas_status policy_check(const faas_async *p)
{
    if (p->on_queue_full > FAAS_QUEUE_RUN_HERE)
        return faasi_fail(FAAS_EINVAL, "async.on_queue_full: %d is unknown",
                          (int)p->on_queue_full);
    if (p->retries > 1000 && p->retries != FAAS_OFF)
        return faasi_fail(FAAS_EINVAL, "async.retries: %u is over 1000", p->retries);
    if (p->retry_on > FAAS_RETRY_ALL)
        return faasi_fail(FAAS_EINVAL, "async.retry_on: %u is unknown", p->retry_on);
    if (!(p->backoff_factor == 0 || (p->backoff_factor >= 1 && p->backoff_factor <= 1e6)))
        return faasi_fail(FAAS_EINVAL, "async.backoff_factor: %g is not 1 to 1e6",
                          p->backoff_factor);
    if (p->jitter > FAAS_JITTER_NONE)
        return faasi_fail(FAAS_EINVAL, "async.jitter: %d is unknown", (int)p->jitter);
    if (p->group_failure > FAAS_GROUP_SKIP)
        return faasi_fail(FAAS_EINVAL, "async.group_failure: %d is unknown",
                          (int)p->group_failure);
    if (p->blocking > 1)
        return faasi_fail(FAAS_EINVAL, "async.blocking: %u is not 0 or 1", p->blocking);
    if (p->dead_letters != 0 && p->dead_letters != FAAS_OFF)
        return faasi_fail(FAAS_EINVAL, "async.dead_letters: %u is not 0 or FAAS_OFF",
                          p->dead_letters);
    return FAAS_OK;
}

static void policy_fill(faas_async *p)
{
    if (p->queue_slots == 0)
        p->queue_slots = 65536;
    if (p->on_queue_full == FAAS_QUEUE_DEFAULT)
        p->on_queue_full = FAAS_QUEUE_REFUSE;
    if (p->queue_bytes == 0)
        p->queue_bytes = UINT64_C(256) << 20;
    if (p->queue_wait_ns == 0)
        p->queue_wait_ns = 60 * SECOND;
    if (p->retries == 0)
        p->retries = 2;
    else if (p->retries == FAAS_OFF)
        p->retries = 0;
    if (p->retry_on == 0)
        p->retry_on = FAAS_RETRY_ALL;
    if (p->backoff_ns == 0)
        p->backoff_ns = SECOND;
    if (p->backoff_max_ns == 0)
        p->backoff_max_ns = 300 * SECOND;
    if (p->backoff_factor == 0)
        p->backoff_factor = 2;
    if (p->jitter == FAAS_JITTER_DEFAULT)
        p->jitter = FAAS_JITTER_FULL;
    if (p->group_failure == FAAS_GROUP_DEFAULT)
        p->group_failure = FAAS_GROUP_BLOCK;
    if (p->age_ns == 0)
        p->age_ns = 21600 * SECOND;
}

static faas_status text_own(const faas_allocator *allocator, const char **text)
{
    if (*text == NULL)
        return FAAS_OK;
    *text = faasi_copy_text(allocator, *text, strlen(*text));
    return *text == NULL ? FAAS_ENOMEM : FAAS_OK;
}

static void text_free(const faas_allocator *allocator, const char *text)
{
    if (text != NULL)
        faasi_free(allocator, (void *)(uintptr_t)text, strlen(text) + 1);
}

faas_status faasi_async_policy_open(const faas_async *from,
                                    const faas_allocator *allocator,
                                    struct faasi_async_policy **out)
{
    faas_async known = {.size = sizeof known};
    struct faasi_async_policy *policy;
    faas_status status = faasi_options_import(&known, sizeof known, from, "async");

    *out = NULL;
    if (status == FAAS_OK)
        status = policy_check(&known);
    if (status != FAAS_OK)
        return status;
    policy_fill(&known);
    policy = faasi_alloc_zeroed(allocator, sizeof *policy);
    if (policy == NULL)
        return faasi_fail(FAAS_ENOMEM, "async: no memory");
    atomic_init(&policy->refs, 1);
    policy->of = known;
    policy->allocator = allocator;
    if (text_own(allocator, &policy->of.on_success.event_type) != FAAS_OK)
        policy->of.on_failure.event_type = NULL;
    else
        (void)text_own(allocator, &policy->of.on_failure.event_type);
    if ((known.on_success.event_type != NULL &&
         policy->of.on_success.event_type == NULL) ||
        (known.on_failure.event_type != NULL &&
         policy->of.on_failure.event_type == NULL)) {
        faasi_async_policy_release(policy);
        return faasi_fail(FAAS_ENOMEM, "async: no memory");
    }
    *out = policy;
    return FAAS_OK;
}

void faasi_async_policy_release(struct faasi_async_policy *policy)
{
    if (policy == NULL ||
        atomic_fetch_sub_explicit(&policy->refs, 1, memory_order_acq_rel) != 1)
        return;
    text_free(policy->allocator, policy->of.on_success.event_type);
    text_free(policy->allocator, policy->of.on_failure.event_type);
    faasi_free(policy->allocator, policy, sizeof *policy);
}

/* ---- queues ---- */

/* Lets the lanes have a queue's jobs, or keeps them back. Holds: lock. */
static void queue_block(struct faasi_queue *q, uint64_t now)
{
    const struct faasi_function *f = q->function;
    bool blocked =
        q->watching ||
        (f != NULL && q->claims != 0 && (f->desk == NULL || !f->desk->collects) &&
         q->claims >= atomic_load_explicit(&f->seats.cap, memory_order_relaxed));

    faasi_lanes_block(&q->crew->lanes, &q->source, blocked, now);
}

/* The watch of a queue was told. Under no lock. */
static void queue_freed(struct faasi_watch *watch)
{
    struct faasi_queue *q =
        (struct faasi_queue *)(void *)((char *)watch -
                                       offsetof(struct faasi_queue, watch));
    struct faasi_async *async = q->async;
    struct faasi_ending ending;

    faasi_async_lock(async, &ending);
    q->freed++;
    q->watching = false;
    queue_block(q, now_ns(async));
    faasi_async_unlock(async, &ending);
}

static void job_expire(struct faasi_job *job);

/* Ends those of a queue that are too old, and comes again for the next. */
static void queue_age(struct faasi_alarm *alarm, uint64_t now)
{
    struct faasi_queue *q =
        (struct faasi_queue *)(void *)((char *)alarm - offsetof(struct faasi_queue, age));

    while (q->aged.next != &q->aged) {
        struct faasi_job *job =
            (struct faasi_job *)(void *)((char *)q->aged.next -
                                         offsetof(struct faasi_job, aged));
        uint64_t end = ns_after(faasi_instant_ns(q->async->clock, job->submitted),
                                q->policy->of.age_ns);

        if (end > now) {
            faasi_timer_start(&q->async->wheel, &alarm->timer, end);
            return;
        }
        job_expire(job);
    }
}

/* Puts what the policy says where submitters look. Holds: lock. */
static void queue_apply(struct faasi_queue *q, struct faasi_async_policy *policy)
{
    const faas_async *p = &policy->of;

    faasi_async_policy_release(q->policy);
    q->policy = policy;
    faasi_write(&q->slots_max,
                p->queue_slots == FAAS_UNLIMITED ? UINT64_MAX : p->queue_slots);
    faasi_write(&q->bytes_max, p->queue_bytes);
    faasi_write(&q->room_wait_ns, p->queue_wait_ns);
    atomic_store_explicit(&q->on_full, (unsigned)p->on_queue_full, memory_order_relaxed);
    atomic_store_explicit(&q->silent,
                          p->on_success.fn.generation == 0 &&
                              p->on_success.event_type == NULL &&
                              p->on_success.ended == NULL,
                          memory_order_relaxed);
}

/* Takes over `policy` on success. */
static struct faasi_queue *queue_open(struct faasi_async *async, struct faasi_function *f,
                                      struct faasi_async_policy *policy)
{
    struct faasi_queue *q = faasi_alloc_lines(async->allocator, sizeof *q);

    if (q == NULL)
        return NULL;
    q->name = faasi_copy_text(async->allocator, f->entry.name, f->entry.name_size);
    if (q->name == NULL) {
        faasi_free_lines(async->allocator, q, sizeof *q);
        return NULL;
    }
    faasi_source_init(&q->source);
    q->async = async;
    q->crew = &async->crews[policy->of.blocking];
    q->function = f;
    q->fn = f->entry.fn;
    q->version = f->entry.version;
    q->watch.freed = queue_freed;
    q->mean = UINT64_MAX;
    q->aged.next = q->aged.prev = &q->aged;
    q->later.next = q->later.prev = &q->later;
    q->age.ring = queue_age;
    queue_apply(q, policy);
    return q;
}

void faasi_queue_free(struct faasi_async *async, struct faasi_queue *q)
{
    faasi_gate_unwatch(&async->rt->gate, &q->watch);
    faasi_async_policy_release(q->policy);
    faasi_free(async->allocator, q->name, strlen(q->name) + 1);
    faasi_free_lines(async->allocator, q, sizeof *q);
}

/* Holds: lock. */
static void queue_unlist(struct faasi_queue *q)
{
    *q->link = q->next;
    if (q->next != NULL)
        q->next->link = q->link;
}

/* Counts what a queue that ends had counted. Holds: lock. */
static void queue_fold(struct faasi_async *async, const struct faasi_queue *q)
{
    faas_async_stats *gone = &async->gone;

    gone->submitted += q->submitted;
    gone->retried += q->retried;
    gone->refused += faasi_read(&q->refused);
    gone->succeeded += q->ends.by[FAAS_SUCCESS];
    gone->exhausted += q->ends.by[FAAS_RETRIES_EXHAUSTED];
    gone->expired += q->ends.by[FAAS_EVENT_AGE_EXCEEDED];
    gone->cancelled += q->ends.by[FAAS_CANCELLED];
    gone->dropped += q->ends.by[FAAS_DROPPED];
}

faas_status faasi_async_adopt(struct faasi_async *async, struct faasi_function *f,
                              struct faasi_async_policy *policy)
{
    struct faasi_queue *q = NULL, *found;
    struct faasi_ending ending;

    if (atomic_load_explicit(&f->queue, memory_order_acquire) == NULL) {
        q = queue_open(async, f, policy);
        if (q == NULL) {
            faasi_async_policy_release(policy);
            return faasi_fail(FAAS_ENOMEM, "async: no memory for a queue");
        }
    }
    faasi_async_lock(async, &ending);
    found = atomic_load_explicit(&f->queue, memory_order_relaxed);
    if (found == NULL) {
        q->link = &async->queues;
        q->next = async->queues;
        if (q->next != NULL)
            q->next->link = &q->next;
        async->queues = q;
        /* Release: who finds it, finds it whole. */
        atomic_store_explicit(&f->queue, q, memory_order_release);
        q = NULL;
    } else if (q == NULL) {
        queue_apply(found, policy);
    }
    faasi_async_unlock(async, &ending);
    if (q != NULL) // somebody was sooner, with the same default
        faasi_queue_free(async, q);
    return FAAS_OK;
}

struct faasi_async_policy *faasi_async_policy_of(struct faasi_async *async,
                                                 struct faasi_function *f)
{
    struct faasi_async_policy *policy = NULL;
    struct faasi_ending ending;
    struct faasi_queue *q;

    faasi_async_lock(async, &ending);
    q = atomic_load_explicit(&f->queue, memory_order_relaxed);
    if (q != NULL) {
        policy = q->policy;
        atomic_fetch_add_explicit(&policy->refs, 1, memory_order_relaxed);
    }
    faasi_async_unlock(async, &ending);
    return policy;
}

void faasi_async_refresh(struct faasi_async *async, struct faasi_function *f)
{
    struct faasi_ending ending;
    struct faasi_queue *q;

    if (atomic_load_explicit(&f->queue, memory_order_acquire) == NULL)
        return;
    faasi_async_lock(async, &ending);
    q = atomic_load_explicit(&f->queue, memory_order_relaxed);
    if (q != NULL)
        queue_block(q, now_ns(async));
    faasi_async_unlock(async, &ending);
}

void faasi_async_replace(struct faasi_async *async, struct faasi_function *f,
                         struct faasi_function *old)
{
    struct faasi_queue *q, *own;
    struct faasi_ending ending;

    faasi_async_lock(async, &ending);
    q = atomic_load_explicit(&old->queue, memory_order_relaxed);
    own = atomic_load_explicit(&f->queue, memory_order_relaxed);
    if (q != NULL) {
        struct faasi_async_policy *policy = q->policy;

        q->function = f;
        q->policy = NULL;
        queue_apply(q, own->policy);
        own->policy = policy; // to be freed with it; nobody has seen it
        queue_unlist(own);
        atomic_store_explicit(&f->queue, q, memory_order_release);
        queue_block(q, now_ns(async));
    }
    faasi_async_unlock(async, &ending);
    if (q != NULL)
        faasi_queue_free(async, own);
}

void faasi_orphans_free(struct faasi_async *async)
{
    struct faasi_queue *idle = NULL, *q;
    struct faasi_ending ending;

    faasi_async_lock(async, &ending);
    for (struct faasi_queue **at = &async->orphans; (q = *at) != NULL;) {
        /* Acquire: pairs with the release of who gave its last job back. */
        if (q->claims != 0 || atomic_load_explicit(&q->jobs, memory_order_acquire) != 0) {
            at = &q->next;
            continue;
        }
        *at = q->next;
        q->next = idle;
        idle = q;
    }
    faasi_async_unlock(async, &ending);
    while ((q = idle) != NULL) {
        idle = q->next;
        faasi_queue_free(async, q);
    }
}

void faasi_async_forget(struct faasi_async *async, struct faasi_function *f)
{
    struct faasi_ending ending;
    struct faasi_queue *q;

    if (atomic_load_explicit(&f->queue, memory_order_acquire) == NULL)
        return;
    faasi_async_lock(async, &ending);
    q = atomic_load_explicit(&f->queue, memory_order_relaxed);
    atomic_store_explicit(&f->queue, NULL, memory_order_relaxed);
    faasi_async_unlock(async, &ending);
    if (q == NULL)
        return;
    faasi_grace_wait(); // submitters that found it have put in what they had
    faasi_async_lock(async, &ending);
    faasi_async_drain(async);
    faasi_queue_drop(q, FAAS_ENOENT);
    q->function = NULL;
    queue_unlist(q);
    queue_fold(async, q);
    q->next = async->orphans;
    async->orphans = q;
    faasi_async_unlock(async, &ending);
    faasi_orphans_free(async);
}

/* ---- room ---- */

/* Release: who frees a queue when it has no jobs sees what was done with them. */
static void count_less(_Atomic uint64_t *count, uint64_t by)
{
    atomic_fetch_sub_explicit(count, by, memory_order_release);
}

static uint64_t bytes_of(const struct faasi_job *job)
{
    return job->extra == NULL ? 0 : job->extra->input.size;
}

/* Holds: lock. */
static void room_wake(struct faasi_async *async)
{
    if (FAASI_UNLIKELY(atomic_load_explicit(&async->want_room, memory_order_seq_cst) !=
                       0))
        faasi_wake_all(&async->room);
}

/* A job waits no more, or waits again. Holds: lock. */
static void room_release(struct faasi_job *job)
{
    struct faasi_async *async = job->queue->async;
    uint64_t bytes = bytes_of(job);

    count_less(&job->queue->jobs, 1);
    count_less(&async->slots, 1);
    if (bytes != 0) {
        count_less(&job->queue->bytes, bytes);
        count_less(&async->bytes, bytes);
    }
    room_wake(async);
}

static void room_retake(struct faasi_job *job)
{
    struct faasi_async *async = job->queue->async;
    uint64_t bytes = bytes_of(job);

    atomic_fetch_add_explicit(&job->queue->jobs, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&async->slots, 1, memory_order_relaxed);
    if (bytes != 0) {
        atomic_fetch_add_explicit(&job->queue->bytes, bytes, memory_order_relaxed);
        atomic_fetch_add_explicit(&async->bytes, bytes, memory_order_relaxed);
    }
}

/* ---- the lock ---- */

void faasi_async_lock(struct faasi_async *async, struct faasi_ending *ending)
{
    ending->first = NULL;
    ending->last = &ending->first;
    faasi_lock_soon(&async->lock);
    async->ending = ending;
}

/* A job whose end was claimed is ended when the lock is let go. Its holder's reference
 * goes with it. Holds: lock. */
static void end_later(struct faasi_job *job, faas_condition condition, faas_status status)
{
    struct faasi_ending *ending = job->queue->async->ending;

    job->condition = (uint8_t)condition;
    job->status = status;
    faasi_job_count(job, condition);
    *ending->last = job;
    ending->last = &job->after;
    job->after = NULL;
}

void faasi_async_unlock(struct faasi_async *async, struct faasi_ending *ending)
{
    bool ready[FAASI_CREWS];
    uint64_t next = faasi_timers_next(&async->wheel);
    struct faasi_job *job;

    for (int i = 0; i < FAASI_CREWS; i++)
        ready[i] = faasi_lanes_ready(&async->crews[i].lanes);
    async->ending = NULL;
    faasi_unlock(&async->lock);
    for (int i = 0; i < FAASI_CREWS; i++)
        if (ready[i])
            faasi_crew_wake(async, &async->crews[i]);
    if (FAASI_UNLIKELY(next < faasi_read(&async->armed_ns)))
        faasi_async_arm(async, next);
    while (FAASI_UNLIKELY((job = ending->first) != NULL)) {
        ending->first = job->after;
        faasi_async_end(async, job, (faas_condition)job->condition, job->status, NULL);
        faasi_async_unref(async, job);
    }
}

bool faasi_async_has_work(struct faasi_async *async)
{
    bool work = !faasi_inlet_empty(&async->inlet);

    for (int i = 0; i < FAASI_CREWS; i++)
        work |= faasi_lanes_ready(&async->crews[i].lanes);
    return work;
}

bool faasi_async_waits_at_room(const struct faasi_async *async)
{
    return async->crews[0].max == 0 || faasi_clock_moves(async->clock);
}

/* ---- ending without running ---- */

bool faasi_job_claim(struct faasi_job *job)
{
    uint32_t state = atomic_load_explicit(&job->state, memory_order_relaxed);

    do {
        switch (state & FAASI_JOB_PHASE) {
        case FAASI_JOB_DELAYED:
        case FAASI_JOB_QUEUED:
        case FAASI_JOB_TAKEN:
            break;
        default:
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(
        &job->state, &state, (state & ~(uint32_t)FAASI_JOB_PHASE) | FAASI_JOB_ENDING,
        memory_order_acq_rel, memory_order_relaxed));
    return true;
}

static void ring_cut(struct faasi_ring *ring)
{
    ring->prev->next = ring->next;
    ring->next->prev = ring->prev;
    ring->next = ring->prev = ring;
}

static void ring_put(struct faasi_ring *before, struct faasi_ring *ring)
{
    ring->next = before;
    ring->prev = before->prev;
    before->prev->next = ring;
    before->prev = ring;
}

void faasi_async_withdraw(struct faasi_job *job)
{
    struct faasi_queue *q = job->queue;
    struct faasi_async *async = q->async;
    uint8_t where = job->where;

    if (where == FAASI_IN_INLET || where == FAASI_IN_BATCH || where == FAASI_IN_NOTHING)
        return;
    faasi_timer_stop(&async->wheel, &job->alarm.timer);
    ring_cut(&job->aged);
    if (where == FAASI_IN_LANES || where == FAASI_IN_RETRY)
        faasi_lanes_done(&q->crew->lanes, &job->item, where == FAASI_IN_RETRY,
                         now_ns(async));
    job->where = FAASI_IN_NOTHING;
    room_release(job);
    faasi_async_unref(async, job);
}

/* Ends a job that waits, for its time is over, its queue gives it up, or there is no
 * memory. Holds: lock. */
void faasi_job_give_up(struct faasi_job *job, faas_condition condition,
                       faas_status status)
{
    if (!faasi_job_claim(job))
        return;
    faasi_job_ref(job);
    faasi_async_withdraw(job);
    end_later(job, condition, status);
}

static void job_expire(struct faasi_job *job)
{
    faasi_job_give_up(job, FAAS_EVENT_AGE_EXCEEDED, FAAS_EEXPIRED);
}

static struct faasi_job *job_aged(struct faasi_ring *ring)
{
    return (struct faasi_job *)(void *)((char *)ring - offsetof(struct faasi_job, aged));
}

void faasi_queue_drop(struct faasi_queue *q, faas_status status)
{
    struct faasi_ring *rings[] = {&q->aged, &q->later};

    for (size_t i = 0; i < FAASI_COUNT(rings); i++) {
        struct faasi_ring *at = rings[i]->next, *next;

        for (; at != rings[i]; at = next) {
            next = at->next;
            faasi_job_give_up(job_aged(at), FAAS_DROPPED, status);
        }
    }
}

/* ---- into the lanes ---- */

uint64_t faasi_job_end_ns(const struct faasi_job *job, const faas_async *policy)
{
    uint64_t end = ns_after(faasi_instant_ns(job->queue->async->clock, job->submitted),
                            policy->age_ns);

    if (job->extra != NULL && job->extra->deadline_ns < end)
        end = job->extra->deadline_ns;
    return end;
}

static uint64_t job_end_ns(const struct faasi_job *job)
{
    return faasi_job_end_ns(job, &job->queue->policy->of);
}

/* Whether a job in the lanes has an end of its own to wait for, beside its queue's age:
 * it is not the youngest, or it has a deadline. */
static bool job_is_special(const struct faasi_job *job)
{
    return job->attempts != 0 ||
           (job->extra != NULL &&
            (job->extra->deadline_ns != FAAS_FOREVER || job->extra->start_ns != 0));
}

static void job_time_over(struct faasi_alarm *alarm, uint64_t now)
{
    (void)now;
    job_expire(
        (struct faasi_job *)(void *)((char *)alarm - offsetof(struct faasi_job, alarm)));
}

/* A queue made before its function had a handle learns it from there. Holds: lock. */
static void queue_know(struct faasi_queue *q)
{
    if (FAASI_UNLIKELY(q->fn.generation == 0) && q->function != NULL)
        q->fn = q->function->entry.fn;
}

/* Who waits for a job may run it now. Holds: lock. */
static void job_call_helper(struct faasi_job *job)
{
    if (FAASI_LIKELY((atomic_load_explicit(&job->state, memory_order_relaxed) &
                      FAASI_JOB_WAITED) == 0))
        return;
    faasi_futex_wake(&job->state, INT32_MAX);
    room_wake(job->queue->async);
}

/* Puts a job, QUEUED, where it waits for a seat. Holds: lock. */
static void job_wait_for_seat(struct faasi_job *job, bool oldest)
{
    struct faasi_queue *q = job->queue;
    struct faasi_async *async = q->async;

    job->where = FAASI_IN_LANES;
    ring_put(oldest ? q->aged.next : &q->aged, &job->aged);
    if (job_is_special(job)) {
        job->alarm.ring = job_time_over;
        faasi_timer_start(&async->wheel, &job->alarm.timer, job_end_ns(job));
    } else if (!faasi_timer_running(&q->age.timer)) {
        faasi_timer_start(&async->wheel, &q->age.timer, job_end_ns(job));
    }
    job_call_helper(job);
}

/* Puts a job into its lane for the first time, or without its group. Holds: lock. */
static void job_enter(struct faasi_job *job, uint64_t now)
{
    struct faasi_queue *q = job->queue;
    const struct faasi_job_extra *extra = job->extra;
    struct faasi_lane_key place = {
        .source = &q->source, .weight = 1, .level = job->level};

    queue_know(q);
    if (extra != NULL) {
        place.tenant = extra->tenant;
        place.weight = extra->weight;
        if (!job->ungrouped)
            place.group = extra->group;
    }
    if (FAASI_UNLIKELY(faasi_lanes_push(&q->crew->lanes, &job->item, &place, now) !=
                       FAAS_OK)) {
        /* It was accepted, so it ends as an invocation does that found no memory. */
        if (faasi_job_claim(job))
            end_later(job, FAAS_RETRIES_EXHAUSTED, FAAS_ENOMEM); // with our reference
        else
            faasi_async_unref(q->async, job);
        job->where = FAASI_IN_NOTHING;
        room_release(job);
        return;
    }
    job_wait_for_seat(job, false);
}

void faasi_async_drain(struct faasi_async *async)
{
    uint64_t now = 0;
    struct faasi_job *job;

    while ((job = faasi_inlet_take(&async->inlet)) != NULL) {
        job->queue->submitted++;
        if (now == 0)
            now = now_ns(async);
        if (FAASI_LIKELY((atomic_load_explicit(&job->state, memory_order_relaxed) &
                          FAASI_JOB_PHASE) == FAASI_JOB_QUEUED)) {
            job_enter(job, now);
            continue;
        }
        job->where = FAASI_IN_NOTHING; // cancelled on its way
        room_release(job);
        faasi_async_unref(async, job);
    }
}

static bool job_move(struct faasi_job *job, uint32_t from, uint32_t to)
{
    uint32_t state = atomic_load_explicit(&job->state, memory_order_relaxed);

    do {
        if ((state & FAASI_JOB_PHASE) != from)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(
        &job->state, &state, (state & ~(uint32_t)FAASI_JOB_PHASE) | to,
        memory_order_acq_rel, memory_order_relaxed));
    return true;
}

/* The time of a job that was delayed, or is to be tried again, has come. */
static void job_due(struct faasi_alarm *alarm, uint64_t now)
{
    struct faasi_job *job =
        (struct faasi_job *)(void *)((char *)alarm - offsetof(struct faasi_job, alarm));

    if (now < job->retry_ns) { // its time is over before it has come
        job_expire(job);
        return;
    }
    if (!job_move(job, FAASI_JOB_DELAYED, FAASI_JOB_QUEUED))
        return; // cancelled: its canceller takes it out
    ring_cut(&job->aged);
    if (job->where == FAASI_IN_DELAY) {
        job_enter(job, now);
        return;
    }
    faasi_lanes_again(&job->queue->crew->lanes, &job->item, false, now);
    job_wait_for_seat(job, false);
}

/* Puts a job, DELAYED, where it waits for `retry_ns`. Holds: lock. */
static void job_wait_for_time(struct faasi_job *job, uint8_t where)
{
    struct faasi_queue *q = job->queue;
    uint64_t end = job_end_ns(job);

    queue_know(q);
    job->where = where;
    ring_put(&q->later, &job->aged);
    job->alarm.ring = job_due;
    faasi_timer_start(&q->async->wheel, &job->alarm.timer,
                      job->retry_ns < end ? job->retry_ns : end);
}

void faasi_async_enter(struct faasi_job *job)
{
    job->queue->submitted++;
    if (job->retry_ns != 0)
        job_wait_for_time(job, FAASI_IN_DELAY);
    else
        job_enter(job, now_ns(job->queue->async));
}

void faasi_job_count(struct faasi_job *job, faas_condition condition)
{
    job->counted = true;
    job->queue->ends.by[condition]++;
}

struct faasi_job *faasi_queue_oldest(struct faasi_queue *q)
{
    return q->aged.next == &q->aged ? NULL : job_aged(q->aged.next);
}

uint64_t faasi_async_tick(struct faasi_async *async)
{
    uint64_t now = now_ns(async);
    struct faasi_timer *timer;

    faasi_async_drain(async);
    while ((timer = faasi_timers_expire(&async->wheel, now)) != NULL) {
        struct faasi_alarm *alarm = (struct faasi_alarm *)(void *)timer;

        alarm->ring(alarm, now);
    }
    return faasi_timers_next(&async->wheel);
}

/* ---- taking ---- */

void faasi_worker_enlist(struct faasi_async *async, struct faasi_worker *worker,
                         struct faasi_crew *crew)
{
    worker->async = async;
    worker->crew = crew;
    worker->alarm.ring = faasi_worker_check;
    worker->link = &async->workers;
    worker->next = async->workers;
    if (worker->next != NULL)
        worker->next->link = &worker->next;
    async->workers = worker;
}

void faasi_worker_dismiss(struct faasi_worker *worker)
{
    faasi_timer_stop(&worker->async->wheel, &worker->alarm.timer);
    *worker->link = worker->next;
    if (worker->next != NULL)
        worker->next->link = worker->link;
}

static void worker_empty(struct faasi_worker *worker)
{
    worker->count = worker->touched_count = 0;
    atomic_store_explicit(&worker->ran_count, 0, memory_order_relaxed);
}

/* Notes that a worker has a job of `q`, the first one of this taking. */
static void worker_touch(struct faasi_worker *worker, struct faasi_queue *q)
{
    struct faasi_async *async = worker->async;

    if (q->claimed_in == async->takings)
        return;
    q->claimed_in = async->takings;
    q->claims++;
    if (q->function != NULL)
        faasi_write(&q->timeout_ticks, faasi_read(&q->function->timeout_ticks));
    q->touched_at = worker->touched_count;
    worker->freed[worker->touched_count] = q->freed;
    worker->touched[worker->touched_count++] = q;
}

/* Takes a job out of where it waits for a seat: it was popped, or is now. Returns false
 * if its end was claimed. */
static bool worker_take(struct faasi_worker *worker, struct faasi_job *job)
{
    struct faasi_queue *q = job->queue;

    ring_cut(&job->aged);
    if (job_is_special(job))
        faasi_timer_stop(&worker->async->wheel, &job->alarm.timer);
    room_release(job);
    if (FAASI_UNLIKELY(!job_move(job, FAASI_JOB_QUEUED, FAASI_JOB_TAKEN))) {
        faasi_lanes_done(&q->crew->lanes, &job->item, true, now_ns(worker->async));
        job->where = FAASI_IN_NOTHING;
        faasi_async_unref(worker->async, job);
        return false;
    }
    job->where = FAASI_IN_BATCH;
    atomic_store_explicit(&worker->batch[worker->count++], job, memory_order_relaxed);
    worker_touch(worker, q);
    return true;
}

/* Looks after a worker while it runs what it took: at the first deadline, and soon if
 * others could do its work. */
static void worker_watch(struct faasi_worker *worker)
{
    struct faasi_async *async = worker->async;
    uint64_t ticks = faasi_ticks(async->clock), limit = UINT64_MAX, due;

    for (uint32_t i = 0; i < worker->touched_count; i++) {
        const struct faasi_function *f = worker->touched[i]->function;
        uint64_t timeout = f == NULL ? UINT64_MAX : faasi_read(&f->timeout_ticks);

        if (timeout < limit)
            limit = timeout;
    }
    due = faasi_instant_ns(async->clock, faasi_ticks_after(ticks, limit));
    if (worker->count > 1 || faasi_lanes_ready(&worker->crew->lanes)) {
        uint64_t check = ns_after(faasi_instant_ns(async->clock, ticks), CHECK_NS);

        if (check < due)
            due = check;
    }
    if (!faasi_timer_running(&worker->alarm.timer) || due < worker->alarm.timer.due_ns)
        faasi_timer_start(&async->wheel, &worker->alarm.timer, due);
}

void faasi_async_take(struct faasi_worker *worker, uint32_t most)
{
    struct faasi_async *async = worker->async;
    struct faasi_lanes *lanes = &worker->crew->lanes;
    uint64_t now, spent = 0, enough;
    struct faasi_item *item;

    faasi_async_drain(async);
    worker_empty(worker);
    if (!faasi_lanes_ready(lanes))
        return;
    now = now_ns(async);
    enough = faasi_ns_to_ticks(async->clock, BATCH_NS);
    async->takings++;
    while (worker->count < most && spent < enough &&
           (item = faasi_lanes_pop(lanes, now)) != NULL) {
        struct faasi_job *job =
            (struct faasi_job *)(void *)((char *)item - offsetof(struct faasi_job, item));

        if (worker_take(worker, job))
            spent += job->queue->mean == UINT64_MAX ? enough : job->queue->mean;
    }
    for (uint32_t i = 0; i < worker->touched_count; i++)
        queue_block(worker->touched[i], now);
    if (worker->count != 0)
        worker_watch(worker);
}

bool faasi_async_take_one(struct faasi_worker *worker, struct faasi_job *job)
{
    struct faasi_queue *q = job->queue;

    worker_empty(worker);
    if (job->where != FAASI_IN_LANES || job->item.group != NULL || q->source.blocked)
        return false;
    worker->async->takings++;
    faasi_lanes_pick(&q->crew->lanes, &job->item, now_ns(worker->async));
    if (!worker_take(worker, job))
        return false;
    queue_block(q, now_ns(worker->async));
    worker_watch(worker);
    return true;
}

bool faasi_async_take_new(struct faasi_worker *worker, struct faasi_job *job)
{
    job->queue->submitted++;
    room_retake(job);
    job_enter(job, now_ns(worker->async));
    if (faasi_async_take_one(worker, job))
        return true;
    job->queue->submitted--;
    if (faasi_job_claim(job))
        faasi_async_withdraw(job);
    return false;
}

/* ---- settling ---- */

/* A job is in a batch no more, and in nothing. */
static void job_leave_batch(struct faasi_job *job)
{
    faasi_lanes_done(&job->queue->crew->lanes, &job->item, true,
                     now_ns(job->queue->async));
    job->where = FAASI_IN_NOTHING;
}

/* A job did not begin: back to the place it had. */
static void job_return(struct faasi_job *job)
{
    struct faasi_queue *q = job->queue;

    if (!job_move(job, FAASI_JOB_TAKEN, FAASI_JOB_QUEUED)) {
        job_leave_batch(job);
        faasi_async_unref(q->async, job);
        return;
    }
    room_retake(job);
    faasi_lanes_again(&q->crew->lanes, &job->item, true, now_ns(q->async));
    job_wait_for_seat(job, true);
}

/* A job failed, and is DELAYED until its next attempt. */
static void job_retry(struct faasi_job *job)
{
    struct faasi_queue *q = job->queue;

    if ((atomic_load_explicit(&job->state, memory_order_relaxed) & FAASI_JOB_PHASE) !=
        FAASI_JOB_DELAYED) { // cancelled meanwhile
        job_leave_batch(job);
        faasi_async_unref(q->async, job);
        return;
    }
    if (q->function == NULL ||
        atomic_load_explicit(&q->async->closing, memory_order_relaxed)) {
        room_retake(job);
        job_wait_for_time(job, FAASI_IN_RETRY);
        faasi_job_give_up(job, FAAS_DROPPED,
                          q->function == NULL ? FAAS_ENOENT : FAAS_ECLOSED);
        return;
    }
    room_retake(job);
    if (q->policy->of.group_failure == FAAS_GROUP_SKIP && job->item.group != NULL) {
        job_leave_batch(job);
        job->ungrouped = true;
        job_wait_for_time(job, FAASI_IN_DELAY);
    } else {
        job_wait_for_time(job, FAASI_IN_RETRY);
    }
}

/* A job that ran, or could not. */
static void job_settle(struct faasi_worker *worker, struct faasi_job *job,
                       enum faasi_outcome outcome, uint64_t took)
{
    struct faasi_queue *q = job->queue;

    if (took != 0)
        q->mean = q->mean == UINT64_MAX ? took : q->mean - q->mean / 8 + took / 8;
    switch (outcome) {
    case FAASI_AGAIN:
        q->retried++;
        job_retry(job);
        return;
    case FAASI_LATER:
        job_retry(job);
        return;
    case FAASI_OVER:
        job_leave_batch(job);
        if (!job->counted)
            faasi_job_count(job, (faas_condition)job->condition);
        break;
    case FAASI_LOST:
        worker->late = false;
        atomic_fetch_sub_explicit(&worker->crew->surplus, 1, memory_order_relaxed);
        break;
    case FAASI_NO_SEAT:
        return;
    }
    faasi_async_unref(worker->async, job);
}

void faasi_async_put_back(struct faasi_worker *worker)
{
    /* From the last on, so that they stand as they stood. */
    for (uint32_t i = worker->count; i-- > 0;) {
        struct faasi_job *job =
            atomic_exchange_explicit(&worker->batch[i], NULL, memory_order_acq_rel);

        if (job != NULL)
            job_return(job);
    }
}

void faasi_async_settle(struct faasi_worker *worker)
{
    struct faasi_async *async = worker->async;
    uint32_t ran = atomic_load_explicit(&worker->ran_count, memory_order_relaxed);
    uint64_t now;

    if (worker->touched_count == 0)
        return;
    for (uint32_t i = 0; i < worker->touched_count; i++)
        worker->touched[i]->touched_at = i; // others may have touched it since
    for (uint32_t i = 0; i < ran; i++)
        job_settle(worker, atomic_load_explicit(&worker->ran[i], memory_order_relaxed),
                   (enum faasi_outcome)worker->outcome[i], worker->took[i]);
    faasi_async_put_back(worker);
    for (uint32_t i = ran; i-- > 0;) {
        struct faasi_job *job =
            atomic_load_explicit(&worker->ran[i], memory_order_relaxed);

        if (worker->outcome[i] != FAASI_NO_SEAT)
            continue;
        /* Unless the watch was told since: then it may be tried at once. */
        if (job->queue->freed == worker->freed[job->queue->touched_at])
            job->queue->watching = true;
        job_return(job);
    }
    now = now_ns(async);
    for (uint32_t i = 0; i < worker->touched_count; i++) {
        worker->touched[i]->claims--;
        queue_block(worker->touched[i], now);
    }
    worker_empty(worker);
}

void faasi_async_abandon(struct faasi_worker *worker, struct faasi_job *job)
{
    faasi_job_ref(job); // the worker's, which still has its input
    worker->late = true;
    atomic_fetch_add_explicit(&worker->crew->surplus, 1, memory_order_relaxed);
    if ((atomic_load_explicit(&job->state, memory_order_relaxed) & FAASI_JOB_PHASE) ==
        FAASI_JOB_ENDING) {
        job_leave_batch(job);
        end_later(job, FAAS_RETRIES_EXHAUSTED, FAAS_ETIMEDOUT);
    } else {
        job->queue->retried++;
        job_retry(job);
    }
}

/* ---- the last reference ---- */

void faasi_async_unref(struct faasi_async *async, struct faasi_job *job)
{
    struct faasi_queue *q;

    if (!faasi_job_unref(job))
        return;
    q = job->queue;
    faas_result_release(job->result);
    faas_event_release(job->event);
    if (job->extra != NULL)
        faasi_free(async->allocator, job->extra, job->extra->bytes);
    faasi_jobs_give(&async->jobs, job);
    count_less(&q->jobs, FAASI_JOB_ONE);
}
