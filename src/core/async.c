/* SPDX-License-Identifier: MIT */
/* async.c - the lock, the lanes, taking, settling. */
#include "async.h"

#include "context.h"
#include "desk.h"
#include "grace.h"
#include "mem.h"

/* A batch takes about so long: some wakes' worth, little to wait for. */
#define BATCH_NS UINT64_C(20000)

/* ---- room ---- */

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

static void bytes_release(struct faasi_job *job)
{
    uint64_t bytes = bytes_of(job);

    if (FAASI_LIKELY(bytes == 0))
        return;
    faasi_count_less(&job->queue->bytes, bytes);
    faasi_count_less(&job->queue->async->bytes, bytes);
}

/* A job waits no more, or waits again. Holds: lock. */
static void room_release(struct faasi_job *job)
{
    struct faasi_async *async = job->queue->async;

    bytes_release(job);
    faasi_count_less(&job->queue->jobs, 1);
    faasi_count_less(&async->slots, 1);
    room_wake(async);
}

/* Those that a worker took wait no more: one count for all of a queue, whose line is the
 * submitters'. Holds: lock. */
static void room_release_taken(struct faasi_worker *worker)
{
    struct faasi_async *async = worker->async;
    uint64_t all = 0;

    for (uint32_t i = 0; i < worker->touched_count; i++) {
        faasi_count_less(&worker->touched[i]->jobs, worker->taken[i]);
        all += worker->taken[i];
    }
    if (all == 0)
        return;
    faasi_count_less(&async->slots, all);
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
    job->after = NULL;
    if (ending->first == NULL)
        ending->first = job;
    else
        ending->last->after = job;
    ending->last = job;
}

void faasi_async_let_go(struct faasi_async *async)
{
    bool ready[FAASI_CREWS];
    uint64_t next = faasi_timers_next(&async->wheel);

    for (int i = 0; i < FAASI_CREWS; i++)
        ready[i] = faasi_lanes_ready(&async->crews[i].lanes);
    async->ending = NULL;
    faasi_unlock(&async->lock);
    for (int i = 0; i < FAASI_CREWS; i++)
        if (ready[i])
            faasi_crew_wake(async, &async->crews[i]);
    if (FAASI_UNLIKELY(next < faasi_read(&async->armed_ns)))
        faasi_async_arm(async, next);
}

void faasi_async_unlock(struct faasi_async *async, struct faasi_ending *ending)
{
    faasi_async_let_go(async);
    faasi_ending_run(ending);
}

bool faasi_async_has_work(struct faasi_async *async)
{
    bool work = !faasi_inlet_empty(&async->inlet);

    for (int i = 0; i < FAASI_CREWS; i++)
        work |= faasi_lanes_ready(&async->crews[i].lanes);
    return work;
}

bool faasi_async_ready(struct faasi_async *async)
{
    bool work;

    faasi_lock(&async->lock);
    work = faasi_async_has_work(async);
    faasi_unlock(&async->lock);
    return work;
}

bool faasi_async_waits_at_room(const struct faasi_async *async)
{
    return async->crews[0].max == 0 || faasi_clock_moves(async->clock);
}

/* ---- ending without running ---- */

void faasi_async_withdraw(struct faasi_job *job)
{
    struct faasi_queue *q = job->queue;
    struct faasi_async *async = q->async;
    uint8_t where = job->where;

    if (where == FAASI_IN_INLET || where == FAASI_IN_BATCH || where == FAASI_IN_NOTHING)
        return;
    faasi_timer_stop(&async->wheel, &job->alarm.timer);
    faasi_ring_remove(&job->aged);
    if (where == FAASI_IN_ONCE)
        faasi_ring_remove(&job->extra->fellow);
    if (where == FAASI_IN_LANES || where == FAASI_IN_RETRY)
        faasi_lanes_done(&q->crew->lanes, &job->item, where == FAASI_IN_RETRY,
                         faasi_async_now_ns(async));
    job->where = FAASI_IN_NOTHING;
    room_release(job);
    faasi_async_unref(async, job);
}

void faasi_job_end_as(struct faasi_job *job, faas_condition condition, faas_status status,
                      faas_result *result)
{
    if (!faasi_job_claim(job))
        return;
    if (result != NULL)
        faasi_ref(&result->shares);
    job->result = result;
    faasi_job_ref(job);
    faasi_async_withdraw(job);
    end_later(job, condition, status);
}

/* Ends a job that waits, for its time is over, its queue gives it up, or there is no
 * memory. Holds: lock. */
void faasi_job_give_up(struct faasi_job *job, faas_condition condition,
                       faas_status status)
{
    faasi_job_end_as(job, condition, status, NULL);
}

void faasi_job_expire(struct faasi_job *job)
{
    faasi_job_give_up(job, FAAS_EVENT_AGE_EXCEEDED, FAAS_EEXPIRED);
}

static struct faasi_job *job_aged(struct faasi_ring *ring)
{
    return FAASI_HOLDER(struct faasi_job, aged, ring);
}

void faasi_queue_drop(struct faasi_queue *q, faas_status status)
{
    struct faasi_ring *rings[] = {&q->again, &q->aged, &q->later};

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
    uint64_t end = faasi_ns_after(
        faasi_instant_ns(job->queue->async->clock, job->submitted), policy->age_ns);

    if (job->extra != NULL && job->extra->deadline_ns < end)
        end = job->extra->deadline_ns;
    return end;
}

static uint64_t job_end_ns(const struct faasi_job *job)
{
    return faasi_job_end_ns(job, &job->queue->policy->of);
}

/* Whether a job in the lanes has an end of its own to wait for, beside its queue's age:
 * it may not be the youngest, or it has a deadline. */
static bool job_is_special(const struct faasi_job *job)
{
    return job->attempts != 0 ||
           (job->extra != NULL &&
            (job->extra->key.data != NULL || job->extra->deadline_ns != FAAS_FOREVER ||
             job->extra->start_ns != 0));
}

static void job_time_over(struct faasi_alarm *alarm, uint64_t now)
{
    (void)now;
    faasi_job_expire(FAASI_HOLDER(struct faasi_job, alarm, alarm));
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

/* Puts a job, QUEUED, where it waits for a seat. One that met none may be younger than
 * what waits in other lanes, so it is not among those by age. Holds: lock. */
static void job_wait_for_seat(struct faasi_job *job, bool again)
{
    struct faasi_queue *q = job->queue;
    struct faasi_async *async = q->async;

    job->where = FAASI_IN_LANES;
    faasi_ring_insert(again ? &q->again : &q->aged, &job->aged);
    job->timed = again || job_is_special(job);
    if (job->timed) {
        job->alarm.ring = job_time_over;
        faasi_timer_start(&async->wheel, &job->alarm.timer, job_end_ns(job));
    } else if (!faasi_timer_running(&q->age.timer)) {
        faasi_timer_start(&async->wheel, &q->age.timer, job_end_ns(job));
    }
    job_call_helper(job);
}

/* A job that was accepted finds no memory to wait in: it ends as an invocation does that
 * found none. Holds: lock. */
static void job_lose(struct faasi_job *job)
{
    struct faasi_async *async = job->queue->async;

    job->where = FAASI_IN_NOTHING;
    room_release(job);
    if (faasi_job_claim(job))
        end_later(job, FAAS_RETRIES_EXHAUSTED, FAAS_ENOMEM); // with our reference
    else
        faasi_async_unref(async, job);
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
    if (FAASI_LIKELY(faasi_lanes_push(&q->crew->lanes, &job->item, &place, now) ==
                     FAAS_OK))
        job_wait_for_seat(job, false);
    else
        job_lose(job);
}

/* What is needed of a job soon comes from another processor, or from far. It may be none:
 * it is not looked at. */
static void job_prefetch(const struct faasi_item *item)
{
    __builtin_prefetch((const char *)item - offsetof(struct faasi_job, item), 1);
    __builtin_prefetch(item, 1);
}

void faasi_async_drain(struct faasi_async *async)
{
    /* What comes meanwhile is for the next time: else who takes as fast as others put
     * would do nothing else, and share a line with them. */
    uint64_t now = 0, left = faasi_inlet_count(&async->inlet);
    struct faasi_job *job;

    while (left != 0 && (job = faasi_inlet_take(&async->inlet)) != NULL) {
        const struct faasi_job *next =
            --left == 0 ? NULL : faasi_inlet_peek(&async->inlet);

        if (next != NULL)
            job_prefetch(&next->item);
        job->queue->submitted++;
        if (now == 0)
            now = faasi_async_now_ns(async);
        /* Who claims its end from here on takes it out of where it is then, under the lock:
         * so it is wherever we look. */
        if (FAASI_LIKELY(faasi_job_is_queued(job))) {
            job_enter(job, now);
            continue;
        }
        job->where = FAASI_IN_NOTHING; // cancelled on its way
        queue_know(job->queue);        // whose record is to name it
        room_release(job);
        faasi_async_unref(async, job);
    }
}

/* The time of a job that was delayed, or is to be tried again, has come. */
static void job_due(struct faasi_alarm *alarm, uint64_t now)
{
    struct faasi_job *job = FAASI_HOLDER(struct faasi_job, alarm, alarm);

    if (now < job->retry_ns) { // its time is over before it has come
        faasi_job_expire(job);
        return;
    }
    if (!faasi_job_move(job, FAASI_JOB_DELAYED, FAASI_JOB_QUEUED))
        return; // cancelled: its canceller takes it out
    faasi_ring_remove(&job->aged);
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
    faasi_ring_insert(&q->later, &job->aged);
    job->alarm.ring = job_due;
    faasi_timer_start(&q->async->wheel, &job->alarm.timer,
                      job->retry_ns < end ? job->retry_ns : end);
}

void faasi_async_enter(struct faasi_job *job)
{
    enum faasi_once_role role = FAASI_ONCE_RUNS;

    job->queue->submitted++;
    if (job->extra != NULL && job->extra->key.data != NULL)
        role = faasi_once_enter(job);
    if (role == FAASI_ONCE_NOMEM)
        job_lose(job);
    else if (role == FAASI_ONCE_RUNS && job->retry_ns != 0)
        job_wait_for_time(job, FAASI_IN_DELAY);
    else if (role == FAASI_ONCE_RUNS)
        job_enter(job, faasi_async_now_ns(job->queue->async));
}

bool faasi_async_follow(struct faasi_job *job)
{
    if (job->retry_ns == 0 && !faasi_job_move(job, FAASI_JOB_QUEUED, FAASI_JOB_DELAYED)) {
        job->where = FAASI_IN_NOTHING; // cancelled on its way
        room_release(job);
        faasi_async_unref(job->queue->async, job);
        return false;
    }
    job->where = FAASI_IN_ONCE;
    faasi_ring_init(&job->extra->fellow);
    faasi_ring_insert(&job->queue->later, &job->aged);
    job->alarm.ring = job_time_over;
    faasi_timer_start(&job->queue->async->wheel, &job->alarm.timer, job_end_ns(job));
    return true;
}

bool faasi_async_promote(struct faasi_job *job)
{
    struct faasi_queue *q = job->queue;
    struct faasi_async *async = q->async;
    bool closing = atomic_load_explicit(&async->closing, memory_order_relaxed);

    if (q->function == NULL || closing) {
        faasi_job_give_up(job, FAAS_DROPPED, closing ? FAAS_ECLOSED : FAAS_ENOENT);
        return false;
    }
    if (!faasi_job_move(job, FAASI_JOB_DELAYED, FAASI_JOB_QUEUED))
        return false;
    faasi_timer_stop(&async->wheel, &job->alarm.timer);
    faasi_ring_remove(&job->aged);
    job_enter(job, faasi_async_now_ns(async));
    return true;
}

void faasi_job_count(struct faasi_job *job, faas_condition condition)
{
    job->counted = true;
    job->queue->ends.by[condition]++;
}

struct faasi_job *faasi_queue_oldest(struct faasi_queue *q)
{
    struct faasi_job *oldest = faasi_ring_empty(&q->aged) ? NULL : job_aged(q->aged.next);

    for (struct faasi_ring *at = q->again.next; at != &q->again; at = at->next)
        if (oldest == NULL || job_aged(at)->submitted <= oldest->submitted)
            oldest = job_aged(at);
    return oldest;
}

uint64_t faasi_async_tick(struct faasi_async *async)
{
    uint64_t now = faasi_async_now_ns(async);
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
    worker->soonest_ns = FAAS_FOREVER;
    worker->joins = worker->late = 0;
    atomic_store_explicit(&worker->ran_count, 0, memory_order_relaxed);
    atomic_store_explicit(&worker->runs_to, 0, memory_order_relaxed);
}

/* Notes that a worker has a job of `q`, the first one of this taking. */
static void worker_touch(struct faasi_worker *worker, struct faasi_queue *q)
{
    struct faasi_async *async = worker->async;

    if (q->claimed_in == async->takings)
        return;
    q->claimed_in = async->takings;
    q->claims++;
    q->gathers = q->function != NULL && faasi_desk_gathers(q->function->desk);
    if (q->function != NULL)
        faasi_write(&q->timeout_ticks, faasi_read(&q->function->timeout_ticks));
    q->touched_at = worker->touched_count;
    worker->freed[worker->touched_count] = q->freed;
    worker->taken[worker->touched_count] = 0;
    worker->touched[worker->touched_count++] = q;
}

/* Takes a job out of where it waits for a seat: it was popped, or is now. Returns false
 * if its end was claimed. Its room is released with that of the others. */
static bool worker_take(struct faasi_worker *worker, struct faasi_job *job)
{
    struct faasi_queue *q = job->queue;

    faasi_ring_remove(&job->aged);
    if (job->timed)
        faasi_timer_stop(&worker->async->wheel, &job->alarm.timer);
    if (FAASI_UNLIKELY(!faasi_job_is_queued(job))) {
        room_release(job);
        faasi_lanes_done(&q->crew->lanes, &job->item, true,
                         faasi_async_now_ns(worker->async));
        job->where = FAASI_IN_NOTHING;
        faasi_async_unref(worker->async, job);
        return false;
    }
    job->where = FAASI_IN_BATCH;
    if (job->extra != NULL && job->extra->deadline_ns < worker->soonest_ns)
        worker->soonest_ns = job->extra->deadline_ns;
    atomic_store_explicit(&worker->batch[worker->count++], job, memory_order_relaxed);
    worker_touch(worker, q);
    worker->taken[q->touched_at]++;
    bytes_release(job);
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
    if (worker->soonest_ns < due)
        due = worker->soonest_ns;
    if (worker->count > 1 || faasi_lanes_ready(&worker->crew->lanes)) {
        uint64_t check =
            faasi_ns_after(faasi_instant_ns(async->clock, ticks), FAASI_CHECK_NS);

        if (check < due)
            due = check;
    }
    if (!faasi_timer_running(&worker->alarm.timer) || due < worker->alarm.timer.due_ns)
        faasi_timer_start(&async->wheel, &worker->alarm.timer, due);
}

static void job_return(struct faasi_job *job, uint64_t now);

/* How many of the jobs that a worker took last, from the `first`-th on, run in a batch that
 * is done in time, and has a size that is measured. */
static uint32_t size_in_time(const struct faasi_worker *worker, struct faasi_desk *desk,
                             uint32_t first)
{
    uint64_t deadlines[FAASI_BATCH_MAX];
    uint32_t count = worker->count - first;

    for (uint32_t i = 0; i < count; i++)
        deadlines[i] = faasi_job_deadline(
            atomic_load_explicit(&worker->batch[first + i], memory_order_relaxed));
    return faasi_desk_in_time(desk, deadlines, count);
}

/* Takes along what is to run together with the job that was taken last. */
static void worker_take_along(struct faasi_worker *worker, struct faasi_queue *q,
                              uint64_t now)
{
    struct faasi_lanes *lanes = &worker->crew->lanes;
    struct faasi_desk *desk = q->function->desk;
    uint32_t first = worker->count - 1, size;
    uint32_t most = faasi_desk_pick(desk, q->source.ready + 1, FAASI_BATCH_MAX - first);
    struct faasi_item *item;

    while (worker->count - first < most &&
           (item = faasi_lanes_pop_of(lanes, &q->source, now)) != NULL) {
        struct faasi_job *job = FAASI_HOLDER(struct faasi_job, item, item);

        if (FAASI_UNLIKELY(now >= job_end_ns(job))) { // the wheel was not looked at
            faasi_lanes_again(lanes, item, true, now);
            faasi_job_expire(job);
        } else if (worker_take(worker, job)) {
            worker->joins |= UINT64_C(1) << (worker->count - 1);
        }
    }
    size = worker->count - first == 1 ? 1 : size_in_time(worker, desk, first);
    /* From the last on, so that they stand as they stood. */
    while (worker->count - first > size) {
        struct faasi_job *job = atomic_exchange_explicit(&worker->batch[--worker->count],
                                                         NULL, memory_order_relaxed);

        worker->joins &= ~(UINT64_C(1) << worker->count);
        job_return(job, now);
    }
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
    now = faasi_async_now_ns(async);
    enough = faasi_ns_to_ticks(async->clock, BATCH_NS);
    async->takings++;
    while (most != 0 && worker->count < FAASI_BATCH_MAX && spent < enough &&
           (item = faasi_lanes_pop(lanes, now)) != NULL) {
        struct faasi_job *job = FAASI_HOLDER(struct faasi_job, item, item);
        struct faasi_queue *q = job->queue;

        job_prefetch(faasi_lanes_behind(item));
        if (!worker_take(worker, job))
            continue;
        most--;
        spent += q->mean == UINT64_MAX ? enough : q->mean;
        if (FAASI_UNLIKELY(q->gathers))
            worker_take_along(worker, q, now);
    }
    room_release_taken(worker);
    for (uint32_t i = 0; i < worker->touched_count; i++)
        faasi_queue_block(worker->touched[i], now);
    if (worker->count != 0)
        worker_watch(worker);
}

/* Whether there may be a seat for a job of `q` that is taken out of turn. A blocked queue
 * counts workers that have jobs of it. One of them may be below us: it keeps its claim until
 * all that it took is settled, and among that is the handler that waits for this very job.
 * There seats are what counts. */
static bool may_be_taken(const struct faasi_queue *q)
{
    struct faasi_look look;
    bool free;

    if (!q->source.blocked)
        return true;
    if (faasi_context_current == NULL || q->watching || q->function == NULL)
        return false;
    faasi_read_enter();
    free = !faasi_seats_full(&q->function->seats, &look);
    faasi_read_leave();
    return free;
}

bool faasi_async_take_one(struct faasi_worker *worker, struct faasi_job *job)
{
    struct faasi_queue *q = job->queue;

    worker_empty(worker);
    if (job->where != FAASI_IN_LANES || job->item.group != NULL || !may_be_taken(q))
        return false;
    worker->async->takings++;
    faasi_lanes_pick(&q->crew->lanes, &job->item, faasi_async_now_ns(worker->async));
    if (!worker_take(worker, job))
        return false;
    room_release_taken(worker);
    faasi_queue_block(q, faasi_async_now_ns(worker->async));
    worker_watch(worker);
    return true;
}

bool faasi_async_unsubmit(struct faasi_job *job)
{
    if (job->where != FAASI_IN_LANES || job->attempts != 0 || !faasi_job_claim(job))
        return false;
    job->queue->submitted--;
    if (job->extra != NULL && job->extra->once != NULL)
        faasi_once_forget(job);
    faasi_async_withdraw(job);
    return true;
}

bool faasi_async_take_new(struct faasi_worker *worker, struct faasi_job *job)
{
    bool keyed = job->extra != NULL && job->extra->key.data != NULL;

    if (keyed && faasi_once_is_under_way(job))
        return false;
    room_retake(job);
    faasi_async_enter(job);
    if ((keyed && job->extra->once == NULL) ||
        (!job->queue->source.blocked && faasi_async_take_one(worker, job)))
        return true;
    if (job->where == FAASI_IN_NOTHING) // it found no memory to wait in, and has ended
        return true;
    (void)faasi_async_unsubmit(job);
    return false;
}

/* ---- the last reference ---- */

static void job_empty(struct faasi_async *async, struct faasi_job *job)
{
    faas_result_release(job->result);
    faas_event_release(job->event);
    if (job->extra != NULL)
        faasi_free(async->allocator, job->extra, job->extra->bytes);
}

void faasi_async_unref(struct faasi_async *async, struct faasi_job *job)
{
    struct faasi_queue *q = job->queue; // a place is read after it was given back

    if (!faasi_job_unref(job))
        return;
    job_empty(async, job);
    faasi_jobs_give(&async->jobs, job);
    faasi_count_less(&q->jobs, FAASI_JOB_ONE);
}

/* ---- settling ---- */

/* A job is in a batch no more, and in nothing. */
static void job_leave_batch(struct faasi_job *job, uint64_t now)
{
    faasi_lanes_done(&job->queue->crew->lanes, &job->item, true, now);
    job->where = FAASI_IN_NOTHING;
}

/* A job did not begin: back to the place it had. */
static void job_return(struct faasi_job *job, uint64_t now)
{
    struct faasi_queue *q = job->queue;

    if (!faasi_job_is_queued(job)) {
        job_leave_batch(job, now);
        faasi_async_unref(q->async, job);
        return;
    }
    room_retake(job);
    faasi_lanes_again(&q->crew->lanes, &job->item, true, now);
    job_wait_for_seat(job, true);
}

/* A job failed, and is DELAYED until its next attempt. */
static void job_retry(struct faasi_job *job, uint64_t now)
{
    struct faasi_queue *q = job->queue;

    if ((atomic_load_explicit(&job->state, memory_order_relaxed) & FAASI_JOB_PHASE) !=
        FAASI_JOB_DELAYED) { // cancelled meanwhile
        job_leave_batch(job, now);
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
        job_leave_batch(job, now);
        job->ungrouped = true;
        job_wait_for_time(job, FAASI_IN_DELAY);
    } else {
        job_wait_for_time(job, FAASI_IN_RETRY);
    }
}

/* Jobs of a batch that are over, and how many they are of each queue it touched. */
struct settling {
    struct faasi_worker *worker;
    struct faasi_job_list over;
    uint64_t gone[FAASI_BATCH_MAX];
};

/* A job that ran, or could not. */
static void job_settle(struct settling *settling, struct faasi_job *job,
                       enum faasi_outcome outcome, uint64_t took, uint64_t now)
{
    struct faasi_worker *worker = settling->worker;
    struct faasi_queue *q = job->queue;

    if (took != 0)
        q->mean = q->mean == UINT64_MAX ? took : q->mean - q->mean / 8 + took / 8;
    switch (outcome) {
    case FAASI_AGAIN:
        q->retried++;
        job_retry(job, now);
        return;
    case FAASI_LATER:
        job_retry(job, now);
        return;
    case FAASI_OVER:
        job_leave_batch(job, now);
        if (!job->counted)
            faasi_job_count(job, (faas_condition)job->condition);
        break;
    case FAASI_LOST:
        break;
    case FAASI_NO_SEAT:
        return;
    }
    if (!faasi_job_unref(job))
        return;
    job_empty(worker->async, job);
    faasi_job_list_add(&settling->over, job);
    settling->gone[q->touched_at]++;
}

/* The places of what is over go back, and their queues have so many less: one exchange for
 * all, and one for each queue. */
static void settling_finish(struct settling *settling)
{
    struct faasi_worker *worker = settling->worker;

    faasi_jobs_give_all(&worker->async->jobs, &settling->over);
    for (uint32_t i = 0; i < worker->touched_count; i++)
        faasi_count_less(&worker->touched[i]->jobs, settling->gone[i] * FAASI_JOB_ONE);
}

void faasi_async_put_back(struct faasi_worker *worker, uint64_t now)
{
    /* From the last on, so that they stand as they stood. */
    for (uint32_t i = worker->count; i-- > 0;) {
        struct faasi_job *job =
            atomic_exchange_explicit(&worker->batch[i], NULL, memory_order_acq_rel);

        if (job != NULL)
            job_return(job, now);
    }
}

void faasi_async_settle(struct faasi_worker *worker)
{
    struct faasi_async *async = worker->async;
    uint32_t ran = atomic_load_explicit(&worker->ran_count, memory_order_relaxed);
    struct settling settling;
    uint64_t now;

    if (worker->touched_count == 0)
        return;
    now = faasi_async_now_ns(async);
    settling.worker = worker;
    settling.over = (struct faasi_job_list){0};
    for (uint32_t i = 0; i < worker->touched_count; i++) {
        worker->touched[i]->touched_at = i; // others may have touched it since
        settling.gone[i] = 0;
    }
    for (uint32_t i = 0; i < ran; i++)
        job_settle(&settling, atomic_load_explicit(&worker->ran[i], memory_order_relaxed),
                   (enum faasi_outcome)worker->outcome[i], worker->took[i], now);
    settling_finish(&settling);
    faasi_async_put_back(worker, now);
    for (uint32_t i = ran; i-- > 0;) {
        struct faasi_job *job =
            atomic_load_explicit(&worker->ran[i], memory_order_relaxed);

        if (worker->outcome[i] != FAASI_NO_SEAT)
            continue;
        /* Unless the watch was told since: then it may be tried at once. */
        if (job->queue->freed == worker->freed[job->queue->touched_at])
            job->queue->watching = true;
        job_return(job, now);
    }
    if (worker->late != 0) // it has come back
        atomic_fetch_sub_explicit(&worker->crew->surplus, 1, memory_order_relaxed);
    for (uint32_t i = 0; i < worker->touched_count; i++) {
        worker->touched[i]->claims--;
        faasi_queue_block(worker->touched[i], now);
    }
    worker_empty(worker);
}

void faasi_async_abandon(struct faasi_worker *worker, uint32_t at, uint64_t now)
{
    struct faasi_job *job = atomic_load_explicit(&worker->ran[at], memory_order_relaxed);
    uint32_t state = atomic_load_explicit(&job->state, memory_order_relaxed);

    faasi_job_ref(job); // the worker's, which still has its input
    if (worker->late == 0)
        atomic_fetch_add_explicit(&worker->crew->surplus, 1, memory_order_relaxed);
    worker->late |= UINT64_C(1) << at;
    if ((state & FAASI_JOB_PHASE) == FAASI_JOB_ENDING) {
        job_leave_batch(job, now);
        end_later(job,
                  (state & FAASI_JOB_CANCEL) != 0 ? FAAS_CANCELLED
                                                  : FAAS_RETRIES_EXHAUSTED,
                  FAAS_ETIMEDOUT);
    } else {
        job->queue->retried++;
        job_retry(job, now);
    }
}
