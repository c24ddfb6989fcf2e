/* SPDX-License-Identifier: MIT */
/* async_open.c - opening and closing, and what reaches for the outside: the housekeeper,
 * a host that polls. */
#include "async.h"

#include "context.h"
#include "grace.h"
#include "machine.h"
#include "mem.h"
#include "state.h"

#include <sched.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { INLET_SIZE = 4096, BLOCKING_DEFAULT = 64 };

/* A level that was not served for so long goes first. */
#define AGEING_NS UINT64_C(100000000)
/* A thread looks for work for so long before it sleeps: what waking it would cost. */
#define SPIN_NS UINT64_C(20000)
#define STUCK_NS UINT64_C(30000000000)

/* ---- visitors ---- */

bool faasi_async_visit(struct faasi_async *async)
{
    /* In a read section: closing waits for that, and then for us. */
    if (atomic_load_explicit(&async->closing, memory_order_relaxed))
        return false;
    faasi_async_keep(async);
    return true;
}

void faasi_async_keep(struct faasi_async *async)
{
    atomic_fetch_add_explicit(&async->guests, 1, memory_order_relaxed);
}

void faasi_async_unvisit(struct faasi_async *async)
{
    uint32_t guests = atomic_load_explicit(&async->guests, memory_order_relaxed);

    /* The last one to leave a runtime that closes tells it, and then it may be gone. */
    while (guests > 1 || !atomic_load_explicit(&async->closing, memory_order_seq_cst)) {
        if (atomic_compare_exchange_weak_explicit(&async->guests, &guests, guests - 1,
                                                  memory_order_seq_cst,
                                                  memory_order_relaxed))
            return;
    }
    faasi_lock(&async->lock);
    atomic_fetch_sub_explicit(&async->guests, 1, memory_order_relaxed);
    faasi_wake_all(&async->room);
    faasi_unlock(&async->lock);
}

/* ---- the housekeeper, and the host ---- */

static void poll_timer_set(struct faasi_async *async, uint64_t next_ns)
{
    uint64_t now = faasi_async_now_ns(async), wait = next_ns > now ? next_ns - now : 1;
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(wait / 1000000000u),
                                         .tv_nsec = (long)(wait % 1000000000u)}};

    if (!faasi_clock_moves(async->clock))
        (void)timerfd_settime(async->timer_fd, 0, &at, NULL);
    else if (next_ns <= now)
        faasi_async_signal(async);
}

void faasi_async_arm(struct faasi_async *async, uint64_t next_ns)
{
    struct faasi_gate *gate = &async->rt->gate;
    uint64_t armed = faasi_read(&async->armed_ns), ticks;

    do {
        if (next_ns >= armed)
            return;
    } while (!atomic_compare_exchange_weak_explicit(
        &async->armed_ns, &armed, next_ns, memory_order_relaxed, memory_order_relaxed));
    ticks = faasi_instant_ticks(async->clock, next_ns);
    faasi_lock(&gate->lock);
    if (ticks < gate->wheel_at) {
        gate->wheel_at = ticks;
        faasi_wake_all(&gate->sweep_sooner);
    }
    faasi_unlock(&gate->lock);
    if (atomic_load_explicit(&async->hosted, memory_order_seq_cst))
        poll_timer_set(async, next_ns);
}

void faasi_async_signal(struct faasi_async *async)
{
    uint64_t one = 1;

    if (!atomic_exchange_explicit(&async->signalled, true, memory_order_seq_cst))
        (void)!write(async->event_fd, &one, sizeof one);
}

static void fds_close(struct faasi_async *async)
{
    int *fds[] = {&async->poll_fd, &async->event_fd, &async->timer_fd};

    for (size_t i = 0; i < FAASI_COUNT(fds); i++) {
        if (*fds[i] >= 0)
            (void)close(*fds[i]);
        *fds[i] = -1;
    }
}

static bool fd_watch(struct faasi_async *async, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    return fd >= 0 && epoll_ctl(async->poll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static faas_status fds_open(struct faasi_async *async)
{
    async->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    async->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    async->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (async->poll_fd >= 0 && fd_watch(async, async->event_fd) &&
        fd_watch(async, async->timer_fd))
        return FAAS_OK;
    fds_close(async);
    return faasi_fail(FAAS_ESYSTEM, "no descriptor to poll");
}

faas_status faasi_async_poll_fd(struct faasi_async *async, int *fd)
{
    faas_status status = FAAS_OK;
    struct faasi_ending ending;
    uint64_t next;
    bool ready;

    faasi_lock(&async->host_lock);
    if (!atomic_load_explicit(&async->hosted, memory_order_relaxed)) {
        status = fds_open(async);
        if (status == FAAS_OK)
            atomic_store_explicit(&async->hosted, true, memory_order_seq_cst);
    }
    *fd = async->poll_fd;
    faasi_unlock(&async->host_lock);
    if (status != FAAS_OK)
        return status;
    /* What was there before there was a descriptor. */
    faasi_async_lock(async, &ending);
    faasi_async_drain(async);
    ready = faasi_lanes_ready(&async->crews[0].lanes) ||
            faasi_lanes_ready(&async->crews[1].lanes);
    next = faasi_timers_next(&async->wheel);
    faasi_async_unlock(async, &ending);
    if (ready)
        faasi_async_signal(async);
    if (next != FAAS_FOREVER)
        poll_timer_set(async, next);
    return FAAS_OK;
}

void faasi_async_heard(struct faasi_async *async)
{
    uint64_t count;

    if (!atomic_load_explicit(&async->hosted, memory_order_seq_cst))
        return;
    /* The order matters: what comes after the exchange writes again. */
    (void)!read(async->event_fd, &count, sizeof count);
    (void)!read(async->timer_fd, &count, sizeof count);
    atomic_store_explicit(&async->signalled, false, memory_order_seq_cst);
}

void faasi_async_hosted_next(struct faasi_async *async, bool ready, uint64_t next_ns)
{
    if (!atomic_load_explicit(&async->hosted, memory_order_seq_cst))
        return;
    if (ready)
        faasi_async_signal(async);
    else if (next_ns != FAAS_FOREVER)
        poll_timer_set(async, next_ns);
}

/* ---- opening ---- */

/* A virtual clock moved: those who wait for room look at it. */
static void clock_moved(void *user)
{
    struct faasi_async *async = user;

    faasi_async_wake_room(async);
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value == FAAS_OFF ? 0 : value == 0 ? otherwise : value;
}

static void limits_set(struct faasi_async *async, const faas_runtime_options *o)
{
    bool threads = o->clock == NULL, quota;
    uint32_t processors = faasi_machine_processors("", &quota);
    struct faasi_crew *compute = &async->crews[0], *block = &async->crews[1];

    compute->max = or_default(o->worker_max, threads ? processors : 0);
    compute->min = o->worker_min < compute->max ? o->worker_min : compute->max;
    compute->runs_max = FAASI_BATCH_MAX;
    block->max = compute->max == 0 ? 0 : or_default(o->blocking_max, BLOCKING_DEFAULT);
    block->runs_max = 1;
    async->slots_max = o->queue_slots == 0                ? UINT64_C(1) << 20
                       : o->queue_slots == FAAS_UNLIMITED ? UINT64_MAX
                                                          : o->queue_slots;
    async->bytes_max = o->queue_bytes == 0 ? UINT64_C(1) << 30 : o->queue_bytes;
    async->spin_ns = o->spin_ns == FAAS_FOREVER ? 0
                     : o->spin_ns != 0          ? o->spin_ns
                     : quota || processors == 1 ? 0
                                                : SPIN_NS;
    async->stuck_ns = o->stuck_ns == 0 ? STUCK_NS : o->stuck_ns;
}

faas_status faasi_async_init(struct faasi_async *async, faas_runtime *rt,
                             const faas_runtime_options *options)
{
    faas_status status;

    async->rt = rt;
    async->clock = rt->gate.clock;
    async->allocator = rt->allocator;
    async->random = options->seed;
    async->poll_fd = async->event_fd = async->timer_fd = -1;
    limits_set(async, options);
    faasi_write(&async->armed_ns, FAAS_FOREVER);
    /* A virtual clock counts since 1970; the machine's since its boot. */
    if (async->clock->source != FAASI_CLOCK_VIRTUAL)
        async->unix_ahead_ns =
            (int64_t)(faasi_clock_unix_ns() - faasi_async_now_ns(async));
    faasi_timers_init(&async->wheel, faasi_async_now_ns(async));
    status = faasi_mutex_init(&async->lock);
    if (status != FAAS_OK)
        return status;
    status = faasi_mutex_init(&async->host_lock);
    if (status != FAAS_OK)
        goto fini_lock;
    status = faasi_cond_init(&async->room);
    if (status != FAAS_OK)
        goto fini_host_lock;
    status = faasi_inlet_init(&async->inlet, INLET_SIZE, async->allocator);
    if (status != FAAS_OK)
        goto fini_room;
    status = faasi_jobs_init(&async->jobs, async->allocator);
    if (status != FAAS_OK)
        goto fini_inlet;
    for (int i = 0; i < FAASI_CREWS && status == FAAS_OK; i++)
        status = faasi_lanes_init(&async->crews[i].lanes, AGEING_NS, async->allocator);
    if (status != FAAS_OK)
        goto fini_lanes;
    status = faasi_keys_init(&async->once, async->allocator);
    if (status != FAAS_OK)
        goto fini_lanes;
    async->listener.moved = clock_moved;
    async->listener.user = async;
    if (rt->clock != NULL)
        faasi_clock_listen(rt->clock, &async->listener);
    return FAAS_OK;

fini_lanes:
    for (int i = 0; i < FAASI_CREWS; i++)
        faasi_lanes_fini(&async->crews[i].lanes);
    faasi_jobs_fini(&async->jobs);
fini_inlet:
    faasi_inlet_fini(&async->inlet);
fini_room:
    faasi_cond_fini(&async->room);
fini_host_lock:
    faasi_mutex_fini(&async->host_lock);
fini_lock:
    faasi_mutex_fini(&async->lock);
    return status;
}

/* ---- closing ---- */

/* Whether something waits that could run. Holds: lock. */
static bool anything_waits(const struct faasi_async *async)
{
    return atomic_load_explicit(&async->slots, memory_order_relaxed) != 0;
}

/* Lets what waits run until there is nothing, or time is over. Holds nothing. */
static void drain_until(struct faasi_async *async, uint64_t until)
{
    struct faasi_ending ending;
    bool waits;

    do {
        uint64_t now = faasi_async_now_ns(async);

        if (async->crews[0].max == 0)
            for (bool any = true; any && faasi_async_now_ns(async) < until;)
                (void)faasi_async_run_one(async, &any);
        (void)faasi_async_sweep(async);
        faasi_async_lock(async, &ending);
        faasi_async_drain(async);
        waits = anything_waits(async);
        faasi_async_unlock(async, &ending);
        if (!waits || faasi_async_now_ns(async) >= until)
            return;
        if (faasi_clock_moves(async->clock))
            return; // nobody else moves it; the host has run what could run
        faasi_lock(&async->lock);
        faasi_wait_for(&async->room, &async->lock,
                       until - now < 1000000 ? until - now : 1000000);
        faasi_unlock(&async->lock);
    } while (waits);
}

/* Ends all that waits. */
static void drop_all(struct faasi_async *async)
{
    struct faasi_ending ending;
    bool waits;

    do {
        faasi_async_lock(async, &ending);
        faasi_async_drain(async);
        for (struct faasi_queue *q = async->queues; q != NULL; q = q->next)
            faasi_queue_drop(q, FAAS_ECLOSED);
        for (struct faasi_queue *q = async->orphans; q != NULL; q = q->next)
            faasi_queue_drop(q, FAAS_ECLOSED);
        waits = anything_waits(async);
        faasi_async_unlock(async, &ending);
        /* A submitter is between its count and the inlet, or a worker returns one. */
        if (waits)
            (void)sched_yield();
    } while (waits);
}

void faasi_async_close(struct faasi_async *async, uint64_t drain_ns)
{
    uint64_t now = faasi_async_now_ns(async);

    atomic_store_explicit(&async->closing, true, memory_order_seq_cst);
    faasi_grace_wait(); // who comes now is refused; who came is a visitor or has put in
    faasi_async_wake_room(async);
    if (drain_ns != 0)
        drain_until(async, now + drain_ns < now ? FAAS_FOREVER : now + drain_ns);
}

void faasi_async_stop(struct faasi_async *async)
{
    drop_all(async);
    faasi_crews_stop(async);
    drop_all(async); // what came back from the last batches
    faasi_lock(&async->lock);
    while (atomic_load_explicit(&async->guests, memory_order_relaxed) != 0)
        faasi_wait(&async->room, &async->lock);
    faasi_unlock(&async->lock);
}

static void job_clear(struct faasi_job *job, void *user)
{
    struct faasi_async *async = user;

    faas_result_release(job->result);
    faas_event_release(job->event);
    if (job->extra != NULL)
        faasi_free(async->allocator, job->extra, job->extra->bytes);
}

/* Frees the jobs whose handles nobody gave back, and the queues. */
static void leftovers_free(struct faasi_async *async)
{
    struct faasi_queue *lists[] = {async->queues, async->orphans}, *q;

    faasi_jobs_each(&async->jobs, job_clear, async);
    for (size_t i = 0; i < FAASI_COUNT(lists); i++) {
        while ((q = lists[i]) != NULL) {
            lists[i] = q->next;
            faasi_queue_free(async, q);
        }
    }
}

void faasi_async_fini(struct faasi_async *async)
{
    if (async->rt->clock != NULL)
        faasi_clock_ignore(async->rt->clock, &async->listener);
    leftovers_free(async);
    fds_close(async);
    faasi_keys_fini(&async->once, async->allocator);
    for (int i = 0; i < FAASI_CREWS; i++)
        faasi_lanes_fini(&async->crews[i].lanes);
    faasi_jobs_fini(&async->jobs);
    faasi_inlet_fini(&async->inlet);
    faasi_cond_fini(&async->room);
    faasi_mutex_fini(&async->host_lock);
    faasi_mutex_fini(&async->lock);
}
