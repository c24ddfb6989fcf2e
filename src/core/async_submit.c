/* SPDX-License-Identifier: MIT */
/* async_submit.c - submission: room, a job, the inlet. */
#include "async.h"

#include "alias.h"
#include "grace.h"
#include "invoke.h"
#include "mem.h"
#include "state.h"

static const faas_invocation nothing;

/* What is submitted, once for all of a call. */
struct submission {
    faas_fn fn;
    faas_event *event;
    const faas_submit_options *options;
    uint64_t deadline_ns, start_ns;
    uint64_t ticks; /* when */
    faas_bytes key; /* of this one; `data` NULL: none */
    bool handled;
    bool event_is_input;
};

/* ---- room ---- */

/* Counts up to `want` in, as many as there is room for. Order is the lock's and the
 * inlet's; these are counts. */
static uint64_t count_more(_Atomic uint64_t *count, uint64_t want, uint64_t one,
                           uint64_t mask, uint64_t most)
{
    uint64_t now = atomic_load_explicit(count, memory_order_relaxed), got;

    do {
        uint64_t used = now & mask;

        got = used >= most ? 0 : most - used < want ? most - used : want;
        if (got == 0)
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(
        count, &now, now + got * one, memory_order_relaxed, memory_order_relaxed));
    return got;
}

static bool bytes_more(_Atomic uint64_t *count, uint64_t bytes, uint64_t most)
{
    uint64_t now = atomic_load_explicit(count, memory_order_relaxed);

    do {
        if (bytes > most || now > most - bytes)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(
        count, &now, now + bytes, memory_order_relaxed, memory_order_relaxed));
    return true;
}

/* Reserves room for up to `want` jobs; for their bytes see room_bytes(). */
static uint64_t room_slots(struct faasi_async *async, struct faasi_queue *q,
                           uint64_t want)
{
    uint64_t got = count_more(&q->jobs, want, FAASI_JOB_ONE + 1, FAASI_WAITING_MASK,
                              faasi_read(&q->slots_max));
    uint64_t both =
        got == 0 ? 0 : count_more(&async->slots, got, 1, UINT64_MAX, async->slots_max);

    if (both < got)
        faasi_count_less(&q->jobs, (got - both) * (FAASI_JOB_ONE + 1));
    return both;
}

static bool room_bytes(struct faasi_async *async, struct faasi_queue *q, uint64_t bytes)
{
    if (bytes == 0)
        return true;
    if (!bytes_more(&q->bytes, bytes, faasi_read(&q->bytes_max)))
        return false;
    if (bytes_more(&async->bytes, bytes, async->bytes_max))
        return true;
    faasi_count_less(&q->bytes, bytes);
    return false;
}

static void room_give_back(struct faasi_async *async, struct faasi_queue *q,
                           uint64_t slots, uint64_t bytes)
{
    faasi_count_less(&q->jobs, slots * (FAASI_JOB_ONE + 1));
    faasi_count_less(&async->slots, slots);
    if (bytes != 0) {
        faasi_count_less(&q->bytes, bytes);
        faasi_count_less(&async->bytes, bytes);
    }
}

/* Who found no room because we had it looks again. Holds nothing. */
static void room_tell(struct faasi_async *async)
{
    if (atomic_load_explicit(&async->want_room, memory_order_seq_cst) != 0)
        faasi_async_wake_room(async);
}

/* One slot and its bytes. `*back` is set where somebody else may have found no slot for
 * our sake: then room_tell() follows, unless this is under the lock, as they look. */
static bool room_try(struct faasi_async *async, struct faasi_queue *q, uint64_t bytes,
                     bool *back)
{
    *back = false;
    if (room_slots(async, q, 1) == 0)
        return false;
    if (room_bytes(async, q, bytes))
        return true;
    room_give_back(async, q, 1, 0);
    *back = true;
    return false;
}

/* The same. Holds nothing. */
static bool room_reserve(struct faasi_async *async, struct faasi_queue *q, uint64_t bytes)
{
    bool back, reserved = room_try(async, q, bytes, &back);

    if (back)
        room_tell(async);
    return reserved;
}

/* ---- a job ---- */

static char *text_put(char *at, faas_bytes *text)
{
    if (text->data == NULL)
        return at;
    if (text->size != 0)
        memcpy(at, text->data, text->size);
    text->data = at;
    return at + text->size;
}

static bool has_own_input(const struct submission *s, faas_bytes input)
{
    return !s->event_is_input && (input.size != 0 || s->event != NULL);
}

/* What of a submission does not fit into the job itself; NULL without memory. */
static struct faasi_job_extra *extra_make(struct faasi_async *async,
                                          const struct submission *s, faas_bytes input)
{
    const faas_submit_options *o = s->options;
    struct faasi_job_extra *extra;
    size_t bytes = sizeof *extra + o->tenant.size + o->group.size + o->trace.size +
                   s->key.size + (s->event_is_input ? 0 : input.size) + FAASI_ALIGN;
    char *at;

    extra = faasi_alloc(async->allocator, bytes);
    if (extra == NULL)
        return NULL;
    *extra =
        (struct faasi_job_extra){.bytes = bytes,
                                 .deadline_ns = s->deadline_ns,
                                 .start_ns = s->start_ns,
                                 .ended = o->ended,
                                 .ended_user = o->ended_user,
                                 .tenant = o->tenant,
                                 .group = o->group,
                                 .trace = o->trace,
                                 .key = s->key,
                                 .weight = o->tenant_weight == 0 ? 1 : o->tenant_weight};
    at = (char *)(extra + 1);
    /* The input first: handlers may cast it. Beside an event, that has a transformed one,
     * also one of no bytes is an input. */
    if (has_own_input(s, input)) {
        extra->input = faas_bytes_of(at, input.size);
        if (input.size != 0)
            memcpy(at, input.data, input.size);
        at += input.size;
    }
    at = text_put(at, &extra->tenant);
    at = text_put(at, &extra->group);
    at = text_put(at, &extra->trace);
    (void)text_put(at, &extra->key);
    return extra;
}

static bool needs_extra(const struct submission *s, faas_bytes input)
{
    const faas_submit_options *o = s->options;

    return has_own_input(s, input) || s->deadline_ns != FAAS_FOREVER ||
           s->start_ns != 0 || o->ended != NULL || o->tenant.data != NULL ||
           o->group.data != NULL || o->trace.data != NULL || s->key.data != NULL;
}

/* A job for which there is room; NULL without memory. */
static struct faasi_job *job_make(struct faasi_async *async, struct faasi_queue *q,
                                  const struct submission *s, faas_bytes input,
                                  faas_invocation *invocation)
{
    struct faasi_job *job = faasi_jobs_take(&async->jobs, s->handled);

    if (job == NULL)
        return NULL;
    job->queue = q;
    job->extra = NULL;
    if (needs_extra(s, input)) {
        job->extra = extra_make(async, s, input);
        if (job->extra == NULL) {
            faasi_jobs_give(&async->jobs, job);
            return NULL;
        }
        job->extra->job = job;
    }
    job->event = s->event == NULL ? NULL : faas_event_acquire(s->event);
    job->condition = FAAS_CONDITION_NONE;
    job->level = s->options->priority == FAAS_PRIORITY_DEFAULT
                     ? FAAS_PRIORITY_NORMAL - 1
                     : (uint8_t)(s->options->priority - 1);
    job->submitted = s->ticks;
    job->will_wait = s->options->will_wait != 0;
    job->retry_ns = s->start_ns;
    job->where = FAASI_IN_INLET;
    atomic_store_explicit(&job->state,
                          s->start_ns != 0 ? FAASI_JOB_DELAYED : FAASI_JOB_QUEUED,
                          memory_order_relaxed);
    if (invocation != NULL) {
        invocation->runtime = async->rt->id;
        invocation->index = job->index;
        invocation->generation = faasi_job_generation(job);
    }
    return job;
}

/* Puts a job in that is to wait for its time, or found the inlet full. It may be gone when
 * this returns. By a visitor: somebody may be told of what had no memory. */
static void job_put_slowly(struct faasi_async *async, struct faasi_job *job)
{
    struct faasi_ending ending;

    faasi_async_lock(async, &ending);
    faasi_async_drain(async); // those that came before it
    faasi_async_enter(job);
    faasi_async_unlock(async, &ending);
}

/* ---- a full queue ---- */

/* Drops the oldest that waits, for one that comes. */
static bool oldest_drop(struct faasi_async *async, struct faasi_queue *q)
{
    struct faasi_ending ending;
    struct faasi_job *job;

    faasi_async_lock(async, &ending);
    faasi_async_drain(async);
    job = faasi_queue_oldest(q);
    if (job != NULL)
        faasi_job_give_up(job, FAAS_DROPPED, FAAS_EBUSY);
    faasi_async_unlock(async, &ending);
    return job != NULL;
}

/* Waits for room; where the host runs everything, makes it. Outside read sections; `q`
 * cannot go, because a job of it is counted. */
static bool room_await(struct faasi_async *async, struct faasi_queue *q, uint64_t bytes)
{
    uint64_t until =
        faasi_ns_after(faasi_async_now_ns(async), faasi_read(&q->room_wait_ns));
    bool reserved = false, any, back;

    atomic_fetch_add_explicit(&async->want_room, 1, memory_order_seq_cst);
    for (;;) {
        uint64_t now = faasi_async_now_ns(async);

        if (q->crew->max == 0 && !(reserved = room_reserve(async, q, bytes))) {
            (void)faasi_async_run_one(async, &any);
            if (any)
                continue;
        }
        faasi_lock(&async->lock);
        if (!reserved)
            reserved = room_try(async, q, bytes, &back);
        if (reserved || now >= until || q->crew->max == 0 ||
            atomic_load_explicit(&async->closing, memory_order_relaxed)) {
            faasi_unlock(&async->lock);
            break;
        }
        if (faasi_clock_moves(async->clock))
            faasi_wait(&async->room, &async->lock);
        else
            faasi_wait_for(&async->room, &async->lock, until - now);
        faasi_unlock(&async->lock);
    }
    atomic_fetch_sub_explicit(&async->want_room, 1, memory_order_seq_cst);
    return reserved;
}

/* Runs a job for which there is no room, at once, or refuses it. */
static faas_status job_run_here(struct faasi_async *async, struct faasi_job *job)
{
    struct faasi_worker worker;
    struct faasi_ending ending;
    bool taken;

    faasi_job_ref(job);
    faasi_worker_begin(async, &worker, job->queue->crew, &ending);
    taken = faasi_async_take_new(&worker, job);
    (void)faasi_worker_finish(&worker, &ending);
    if (taken && faasi_job_is_queued(job)) { // it met no seat, and has no room to wait in
        faasi_async_lock(async, &ending);
        taken = !faasi_async_unsubmit(job);
        faasi_async_unlock(async, &ending);
    }
    if (!taken && faasi_job_handled(job) &&
        faasi_job_let_go(job, faasi_job_generation(job)))
        faasi_async_unref(async, job);
    faasi_async_unref(async, job);
    return taken ? FAAS_OK : FAAS_EBUSY;
}

/* ---- the way in ---- */

/* Finds the queue of a function, made if need be. In a read section, which it may leave
 * and enter again. The caller leaves it when it has counted a job in. */
static faas_status queue_find(struct faasi_async *async, faas_fn fn,
                              struct faasi_queue **q)
{
    faas_runtime *rt = async->rt;

    for (;;) {
        struct faasi_entry *entry = faasi_registry_get(&rt->registry, fn);
        struct faasi_function *f = (struct faasi_function *)entry;
        struct faasi_async_policy *policy;
        faas_status status;

        if (atomic_load_explicit(&async->closing, memory_order_relaxed))
            return FAAS_ECLOSED;
        if (entry == NULL)
            return FAAS_ENOENT;
        assert(entry->kind != FAAS_KIND_ALIAS);
        /* Acquire: pairs with the release in faasi_async_adopt(). */
        *q = atomic_load_explicit(&f->queue, memory_order_acquire);
        if (FAASI_LIKELY(*q != NULL))
            return FAAS_OK;
        faasi_read_leave();
        status = faasi_async_policy_open(NULL, async->allocator, &policy);
        if (status == FAAS_OK) {
            /* The registry's lock: a function that is there stays. */
            faasi_lock(&rt->registry.lock);
            entry = faasi_registry_get(&rt->registry, fn);
            f = (struct faasi_function *)entry;
            if (entry != NULL &&
                atomic_load_explicit(&f->queue, memory_order_relaxed) == NULL)
                status = faasi_async_adopt(async, f, policy);
            else
                faasi_async_policy_release(policy);
            faasi_unlock(&rt->registry.lock);
        }
        faasi_read_enter();
        if (status != FAAS_OK)
            return status;
    }
}

/* An alias's version, by the route or by chance. In a read section. */
static faas_fn fn_resolve(struct faasi_async *async, faas_fn fn, faas_bytes route)
{
    faas_runtime *rt = async->rt;
    struct faasi_entry *entry = faasi_registry_get(&rt->registry, fn);
    faas_id id;

    if (entry == NULL || entry->kind != FAAS_KIND_ALIAS)
        return fn;
    if (route.data == NULL) {
        id = faasi_unseated_id(rt);
        route = faas_bytes_of(&id, sizeof id);
    }
    return faasi_alias_pick((struct faasi_alias *)entry, route);
}

static faas_status refused(struct faasi_async *async, struct faasi_queue *q)
{
    atomic_fetch_add_explicit(&q->refused, 1, memory_order_relaxed);
    faasi_lock(&async->lock);
    if (q->function != NULL)
        faasi_gate_note_retry(&async->rt->gate, q->function);
    faasi_unlock(&async->lock);
    return FAAS_EBUSY;
}

/* Makes a job for which there is room, and puts it in without the lock, if it need not
 * wait for its time and the inlet has a place. In a read section, or a visitor.
 *
 * @param[out] left  A job that is still to be put in, by a visitor; or NULL. */
static faas_status job_submit(struct faasi_async *async, struct faasi_queue *q,
                              const struct submission *s, faas_bytes input,
                              faas_invocation *invocation, struct faasi_job **left)
{
    struct faasi_job *job = job_make(async, q, s, input, invocation);

    *left = NULL;
    if (FAASI_UNLIKELY(job == NULL)) {
        room_give_back(async, q, 1, s->event_is_input ? 0 : input.size);
        room_tell(async);
        return faasi_fail(FAAS_ENOMEM, "async: no memory for an invocation");
    }
    if (FAASI_UNLIKELY(s->start_ns != 0 || s->key.data != NULL) ||
        FAASI_UNLIKELY(!faasi_inlet_put(&async->inlet, job)))
        *left = job;
    return FAAS_OK;
}

/* Finds room for a job where there was none, as the policy says. By a visitor; `q` is
 * kept. */
static bool room_find(struct faasi_async *async, struct faasi_queue *q, uint64_t bytes)
{
    unsigned on_full = atomic_load_explicit(&q->on_full, memory_order_relaxed);

    if (on_full == FAAS_QUEUE_WAIT)
        return room_await(async, q, bytes);
    for (bool dropped = on_full == FAAS_QUEUE_DROP_OLDEST; dropped;) {
        dropped = oldest_drop(async, q);
        /* Also where there was none: what was on its way in may have found no memory. */
        if (room_reserve(async, q, bytes))
            return true;
    }
    return false;
}

/* Submits what found no room. By a visitor; `q` is kept. */
static faas_status full_submit(struct faasi_async *async, struct faasi_queue *q,
                               const struct submission *s, faas_bytes input,
                               faas_invocation *invocation, struct faasi_job **left)
{
    faas_status status = FAAS_EBUSY;
    struct submission now = *s;

    if (room_find(async, q, s->event_is_input ? 0 : input.size)) {
        now.ticks = faasi_ticks(async->clock); // it may have waited for that
        return job_submit(async, q, &now, input, invocation, left);
    }
    if (atomic_load_explicit(&q->on_full, memory_order_relaxed) == FAAS_QUEUE_RUN_HERE &&
        s->start_ns == 0) {
        struct faasi_job *job = job_make(async, q, s, input, invocation);

        if (job == NULL)
            return faasi_fail(FAAS_ENOMEM, "async: no memory for an invocation");
        atomic_fetch_add_explicit(&q->jobs, FAASI_JOB_ONE, memory_order_relaxed);
        status = job_run_here(async, job);
        if (status == FAAS_OK)
            return FAAS_OK;
    }
    if (invocation != NULL)
        *invocation = nothing;
    if (atomic_load_explicit(&async->closing, memory_order_relaxed))
        return FAAS_ECLOSED;
    return refused(async, q);
}

static bool is_keyed(const struct faasi_queue *q, const struct submission *s)
{
    return s->options->key.data != NULL ||
           atomic_load_explicit(&q->keyed, memory_order_relaxed);
}

/* Submits one that has a key, or whose function may give it one. By a visitor; `q` is
 * kept. */
static faas_status keyed_submit(struct faasi_async *async, struct faasi_queue *q,
                                const struct submission *s, faas_bytes input,
                                faas_invocation *invocation, struct faasi_job **left)
{
    struct submission keyed = *s;
    char room[FAAS_KEY_ROOM];

    keyed.key = s->options->key;
    if (keyed.key.data == NULL) {
        struct faasi_async_policy *policy = faasi_queue_policy(q);

        if (policy->of.key != NULL)
            keyed.key =
                policy->of.key(s->event_is_input ? faas_event_data(s->event) : input,
                               s->event, room, policy->of.key_user);
        faasi_async_policy_release(policy);
    }
    if (room_reserve(async, q, s->event_is_input ? 0 : input.size))
        return job_submit(async, q, &keyed, input, invocation, left);
    return full_submit(async, q, &keyed, input, invocation, left);
}

/* Submits one job, and wakes who runs it unless `quietly`; `*crew` is whose it is. In a
 * read section, which it leaves. What may wait, or call somebody, it does outside of
 * that, as a visitor. */
static faas_status submit_one(struct faasi_async *async, const struct submission *s,
                              faas_bytes input, faas_invocation *invocation, bool quietly,
                              struct faasi_crew **crew)
{
    struct faasi_job *left = NULL;
    struct faasi_queue *q;
    faas_status status = queue_find(async, s->fn, &q);
    bool room, visitor, keyed;

    if (FAASI_UNLIKELY(status != FAAS_OK)) {
        faasi_read_leave();
        return status;
    }
    *crew = q->crew;
    keyed = FAASI_UNLIKELY(is_keyed(q, s));
    room = !keyed && room_reserve(async, q, s->event_is_input ? 0 : input.size);
    if (FAASI_LIKELY(room))
        status = job_submit(async, q, s, input, invocation, &left);
    visitor = FAASI_UNLIKELY(!room || left != NULL);
    if (visitor) {
        faasi_async_keep(async);
        atomic_fetch_add_explicit(&q->jobs, FAASI_JOB_ONE, memory_order_relaxed);
        faasi_read_leave();
        if (keyed)
            status = keyed_submit(async, q, s, input, invocation, &left);
        else if (!room)
            status = full_submit(async, q, s, input, invocation, &left);
        if (left != NULL)
            job_put_slowly(async, left);
        faasi_count_less(&q->jobs, FAASI_JOB_ONE);
    }
    if (status == FAAS_OK && !quietly)
        faasi_async_wake(async, *crew);
    if (visitor)
        faasi_async_unvisit(async);
    else
        faasi_read_leave();
    return status;
}

/* Puts jobs in, the first ones without the lock. By a visitor. */
static void lot_put(struct faasi_async *async, struct faasi_job *const *jobs,
                    uint32_t count, bool delayed)
{
    struct faasi_ending ending;
    uint32_t put = 0, some = 1;

    while (!delayed && put < count && some != 0) {
        some =
            faasi_inlet_put_many(&async->inlet, (void *const *)(jobs + put), count - put);
        put += some;
    }
    if (put == count)
        return;
    faasi_async_lock(async, &ending);
    faasi_async_drain(async); // those that came before
    for (; put < count; put++)
        faasi_async_enter(jobs[put]);
    faasi_async_unlock(async, &ending);
}

/* Submits as many of `count` jobs as there is room for, together. In a read section, which
 * it leaves; by a visitor.
 *
 * @param[out] done  How many; none: submit_one() finds out why. */
static void lot_submit(struct faasi_async *async, const struct submission *s,
                       const faas_bytes *inputs, size_t count,
                       faas_invocation *invocations, struct faasi_crew **crew,
                       size_t *done)
{
    struct faasi_job *jobs[FAASI_BATCH_MAX];
    struct faasi_queue *q;
    uint64_t bytes = 0, room = 0;
    uint32_t made = 0;

    if (count > FAASI_BATCH_MAX)
        count = FAASI_BATCH_MAX;
    for (size_t i = 0; inputs != NULL && !s->event_is_input && i < count; i++)
        if (__builtin_add_overflow(bytes, inputs[i].size, &bytes))
            bytes = UINT64_MAX;
    if (queue_find(async, s->fn, &q) == FAAS_OK && !is_keyed(q, s))
        room = room_slots(async, q, count);
    if (room != 0 && (room < count || !room_bytes(async, q, bytes))) {
        room_give_back(async, q, room, 0);
        room_tell(async);
        room = 0;
    }
    for (; made < room; made++) {
        jobs[made] =
            job_make(async, q, s, inputs == NULL ? faas_bytes_of(NULL, 0) : inputs[made],
                     invocations == NULL ? NULL : &invocations[made]);
        if (jobs[made] == NULL)
            break;
    }
    if (room != 0)
        *crew = q->crew;
    for (uint32_t i = made; i < room; i++) // no memory
        room_give_back(async, q, 1,
                       inputs == NULL || s->event_is_input ? 0 : inputs[i].size);
    if (made < room)
        room_tell(async);
    faasi_read_leave(); // the jobs keep the queue
    if (made != 0)
        lot_put(async, jobs, made, s->start_ns != 0);
    *done = made;
}

static faas_status options_check(const faas_submit_options *o)
{
    if (o->priority < FAAS_PRIORITY_DEFAULT || o->priority > FAAS_PRIORITY_LOW)
        return faasi_fail(FAAS_EINVAL, "submit.priority: %d is unknown",
                          (int)o->priority);
    if (o->tenant_weight > 1000)
        return faasi_fail(FAAS_EINVAL, "submit.tenant_weight: %u is over 1000",
                          o->tenant_weight);
    if (o->will_wait > 1)
        return faasi_fail(FAAS_EINVAL, "submit.will_wait: %u is not 0 or 1",
                          o->will_wait);
    if (o->reserved != 0)
        return faasi_fail(FAAS_EVERSION, "submit.reserved: it is not 0");
    return FAAS_OK;
}

/* When it ends and begins, as instants. */
static faas_status times_resolve(struct faasi_async *async, struct submission *s)
{
    const faas_submit_options *o = s->options;
    uint64_t now = faasi_async_now_ns(async);

    s->deadline_ns = o->limit_ns == 0 ? FAAS_FOREVER : faasi_ns_after(now, o->limit_ns);
    s->start_ns = o->delay_ns == 0 ? 0 : faasi_ns_after(now, o->delay_ns);
    if (o->start_ns > s->start_ns)
        s->start_ns = o->start_ns;
    if (s->start_ns <= now) // an instant that has passed is no delay
        s->start_ns = 0;
    return s->start_ns >= s->deadline_ns && s->start_ns != 0 ? FAAS_EEXPIRED : FAAS_OK;
}

/* Reads the options into a submission. */
static faas_status submission_make(struct faasi_async *async, struct submission *s,
                                   faas_submit_options *known,
                                   const faas_submit_options *options)
{
    faas_status status;

    s->options = known;
    s->deadline_ns = FAAS_FOREVER;
    s->start_ns = 0;
    s->ticks = faasi_ticks(async->clock);
    if (options == NULL)
        return FAAS_OK;
    status = faasi_options_import(known, sizeof *known, options, "submit options");
    if (status == FAAS_OK)
        status = options_check(known);
    s->event = known->event;
    s->event_is_input = known->event != NULL;
    if (status == FAAS_OK &&
        (known->limit_ns != 0 || known->delay_ns != 0 || known->start_ns != 0))
        status = times_resolve(async, s);
    return status;
}

faas_status faas_invoke_async(faas_runtime *rt, faas_fn fn, faas_bytes input,
                              const faas_submit_options *options,
                              faas_invocation *invocation)
{
    return faas_invoke_async_many(rt, fn, &input, 1, options, invocation, NULL);
}

faas_status faas_invoke_async_many(faas_runtime *rt, faas_fn fn, const faas_bytes *inputs,
                                   size_t count, const faas_submit_options *options,
                                   faas_invocation *invocations, size_t *accepted)
{
    static const faas_bytes none;
    struct faasi_async *async = &rt->async;
    faas_submit_options known = {.size = sizeof known};
    struct submission s = {.fn = fn, .handled = invocations != NULL};
    struct faasi_crew *crew = NULL;
    faas_status status = submission_make(async, &s, &known, options);
    size_t done = 0;
    bool many;

    for (size_t i = 0; invocations != NULL && i < count; i++)
        invocations[i] = nothing;
    if (status != FAAS_OK || count == 0) {
        if (accepted != NULL)
            *accepted = 0;
        return status;
    }
    faasi_read_enter();
    many = count > 1 && faasi_async_visit(async);
    for (;;) {
        const faas_bytes *rest = inputs == NULL ? NULL : inputs + done;
        faas_invocation *handles = invocations == NULL ? NULL : invocations + done;
        size_t lot = 0;

        s.fn = fn_resolve(async, fn, known.route);
        if (many && count - done > 1) {
            lot_submit(async, &s, rest, count - done, handles, &crew, &lot);
            if (lot == 0)
                faasi_read_enter();
            else if (known.will_wait == 0)
                faasi_async_wake(async, crew);
        }
        if (lot == 0) {
            status = submit_one(async, &s, rest == NULL ? none : *rest, handles,
                                many || known.will_wait != 0, &crew);
            lot = status == FAAS_OK;
        }
        done += lot;
        if (status != FAAS_OK || done == count)
            break;
        faasi_read_enter();
    }
    if (many) {
        if (done != 0 && known.will_wait == 0)
            faasi_async_wake(async, crew);
        faasi_async_unvisit(async);
    }
    if (accepted != NULL)
        *accepted = done;
    return status;
}

faas_status faasi_async_submit_event(struct faasi_async *async, faas_fn fn,
                                     faas_event *event, const faas_bytes *input,
                                     uint32_t *wakes)
{
    static const faas_submit_options none = {.size = sizeof none};
    struct submission s = {.fn = fn,
                           .event = event,
                           .options = &none,
                           .deadline_ns = FAAS_FOREVER,
                           .ticks = faasi_ticks(async->clock),
                           .event_is_input = input == NULL};
    struct faasi_crew *crew = NULL;
    faas_status status;

    faasi_read_enter();
    s.fn = fn_resolve(async, fn, none.route);
    status = submit_one(async, &s, input == NULL ? faas_bytes_of(NULL, 0) : *input, NULL,
                        true, &crew);
    if (status == FAAS_OK)
        *wakes |= 1u << (crew - async->crews);
    return status;
}

faas_status faasi_async_submit_again(struct faasi_async *async, faas_fn fn,
                                     const faas_record *record)
{
    const faas_submit_options options = {.size = sizeof options,
                                         .group = record->group,
                                         .tenant = record->tenant,
                                         .priority = record->priority};
    struct submission s = {.fn = fn,
                           .event = record->event,
                           .options = &options,
                           .deadline_ns = FAAS_FOREVER,
                           .ticks = faasi_ticks(async->clock),
                           .event_is_input = record->event != NULL &&
                                             faas_event_data(record->event).data ==
                                                 record->request.data};
    struct faasi_crew *crew = NULL;

    faasi_read_enter();
    s.fn = fn_resolve(async, fn, options.route);
    return submit_one(async, &s, record->request, NULL, false, &crew);
}

void faasi_async_wake_many(struct faasi_async *async, uint32_t crews)
{
    for (int i = 0; i < FAASI_CREWS; i++)
        if ((crews >> i & 1) != 0)
            faasi_async_wake(async, &async->crews[i]);
}
