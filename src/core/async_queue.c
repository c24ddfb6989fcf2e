/* SPDX-License-Identifier: MIT */
/* async_queue.c - how functions are invoked asynchronously, and the queue of each. */
#include "async.h"

#include "desk.h"
#include "grace.h"
#include "mem.h"
#include "state.h"

#define SECOND UINT64_C(1000000000)

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
    if (p->idempotency_bytes == 0)
        p->idempotency_bytes = UINT64_C(16) << 20;
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
    if (policy == NULL || !faasi_unref(&policy->refs))
        return;
    text_free(policy->allocator, policy->of.on_success.event_type);
    text_free(policy->allocator, policy->of.on_failure.event_type);
    faasi_free(policy->allocator, policy, sizeof *policy);
}

/* ---- queues ---- */

struct faasi_async_policy *faasi_queue_policy(struct faasi_queue *q)
{
    struct faasi_async_policy *policy;

    faasi_lock_soon(&q->async->lock);
    policy = q->policy;
    faasi_ref(&policy->refs);
    faasi_unlock(&q->async->lock);
    return policy;
}

void faasi_queue_block(struct faasi_queue *q, uint64_t now)
{
    const struct faasi_function *f = q->function;
    bool blocked =
        q->watching ||
        (f != NULL && q->claims != 0 &&
         (f->desk == NULL || !f->desk->collects || faasi_desk_gathers(f->desk)) &&
         q->claims >= atomic_load_explicit(&f->seats.cap, memory_order_relaxed));

    faasi_lanes_block(&q->crew->lanes, &q->source, blocked, now);
}

/* The watch of a queue was told. Under no lock. */
static void queue_freed(struct faasi_watch *watch)
{
    struct faasi_queue *q = FAASI_HOLDER(struct faasi_queue, watch, watch);
    struct faasi_async *async = q->async;
    struct faasi_ending ending;

    faasi_async_lock(async, &ending);
    q->freed++;
    q->watching = false;
    faasi_queue_block(q, faasi_async_now_ns(async));
    faasi_async_unlock(async, &ending);
}

/* Ends those of a queue that are too old, and comes again for the next. */
static void queue_age(struct faasi_alarm *alarm, uint64_t now)
{
    struct faasi_queue *q = FAASI_HOLDER(struct faasi_queue, age, alarm);

    while (q->aged.next != &q->aged) {
        struct faasi_job *job = FAASI_HOLDER(struct faasi_job, aged, q->aged.next);
        uint64_t end = faasi_ns_after(faasi_instant_ns(q->async->clock, job->submitted),
                                      q->policy->of.age_ns);

        if (end > now) {
            faasi_timer_start(&q->async->wheel, &alarm->timer, end);
            return;
        }
        faasi_job_expire(job);
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
    faasi_write(&q->age_ticks, faasi_ns_to_ticks(q->async->clock, p->age_ns));
    atomic_store_explicit(&q->on_full, (unsigned)p->on_queue_full, memory_order_relaxed);
    atomic_store_explicit(&q->silent,
                          p->on_success.fn.generation == 0 &&
                              p->on_success.event_type == NULL &&
                              p->on_success.ended == NULL,
                          memory_order_relaxed);
    atomic_store_explicit(&q->keyed, p->key != NULL, memory_order_relaxed);
    atomic_store_explicit(&q->keeps, p->idempotency_ns != 0, memory_order_relaxed);
    q->kept.bytes_max = p->idempotency_ns == 0 ? 0 : p->idempotency_bytes;
    q->kept.age_ticks = p->idempotency_ns == FAAS_FOREVER
                            ? UINT64_MAX
                            : faasi_ns_to_ticks(q->async->clock, p->idempotency_ns);
    faasi_responses_clear(&q->kept); // of another version, or kept by other rules
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
    faasi_ring_init(&q->aged);
    faasi_ring_init(&q->again);
    faasi_ring_init(&q->later);
    faasi_responses_init(&q->kept, async->allocator);
    q->age.ring = queue_age;
    queue_apply(q, policy);
    return q;
}

void faasi_queue_free(struct faasi_async *async, struct faasi_queue *q)
{
    faasi_gate_unwatch(&async->rt->gate, &q->watch);
    faasi_source_fini(&q->crew->lanes, &q->source);
    faasi_async_policy_release(q->policy);
    faasi_responses_fini(&q->kept);
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
    gone->shared += q->shared;
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

struct faasi_async_policy *faasi_async_policy_of(struct faasi_function *f)
{
    /* Acquire: pairs with the release in faasi_async_adopt(). */
    struct faasi_queue *q = atomic_load_explicit(&f->queue, memory_order_acquire);

    return q == NULL ? NULL : faasi_queue_policy(q);
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
        faasi_queue_block(q, faasi_async_now_ns(async));
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
        faasi_queue_block(q, faasi_async_now_ns(async));
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
        queue_fold(async, q);
        faasi_timer_stop(&async->wheel, &q->age.timer); // of one that has run since
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
    q->next = async->orphans;
    async->orphans = q;
    faasi_async_unlock(async, &ending);
    faasi_orphans_free(async);
}
