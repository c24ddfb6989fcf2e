/* SPDX-License-Identifier: MIT */
/* async_crew.c - the threads that run jobs: growing, sleeping, leaving. */
#include "async.h"

#include "mem.h"
#include "state.h"

#include <unistd.h>

/* A thread that found nothing for so long leaves. */
#define IDLE_NS UINT64_C(10000000000)

/* Whether a worker may sleep. Holds nothing. */
static bool nothing_to_do(void *user)
{
    struct faasi_worker *worker = user;
    struct faasi_async *async = worker->async;
    bool nothing;

    faasi_lock_soon(&async->lock);
    nothing = !worker->crew->stop && faasi_inlet_empty(&async->inlet) &&
              !faasi_lanes_ready(&worker->crew->lanes);
    faasi_unlock(&async->lock);
    return nothing;
}

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Looks for work for a short time, if nobody else does. Returns whether there may be. */
static bool look_around(struct faasi_worker *worker)
{
    struct faasi_async *async = worker->async;
    struct faasi_crew *crew = worker->crew;
    uint64_t head = atomic_load_explicit(&async->inlet.head, memory_order_relaxed);
    uint32_t pokes = atomic_load_explicit(&crew->pokes, memory_order_relaxed), none = 0;
    uint64_t begun = faasi_clock_system_ns();
    bool found = false;

    if (async->spin_ns == 0 ||
        !atomic_compare_exchange_strong_explicit(
            &crew->park.looking, &none, 1, memory_order_seq_cst, memory_order_relaxed))
        return false;
    for (uint32_t i = 1; !found; i++) {
        relax();
        found = atomic_load_explicit(&async->inlet.head, memory_order_relaxed) != head ||
                atomic_load_explicit(&crew->pokes, memory_order_relaxed) != pokes;
        if (i % 64 == 0) {
            uint64_t now = faasi_clock_system_ns();

            if (now - begun > async->spin_ns || now == 0) // or it stands still
                break;
        }
    }
    atomic_store_explicit(&crew->park.looking, 0, memory_order_seq_cst);
    return found;
}

static void *worker_main(void *user)
{
    struct faasi_worker *worker = user;
    struct faasi_async *async = worker->async;
    struct faasi_crew *crew = worker->crew;
    enum faasi_parked parked = FAASI_PARK_FOUND;
    struct faasi_ending ending;
    bool looked = false, leave = false;

    while (!leave) {
        bool idle;

        faasi_async_lock(async, &ending);
        faasi_async_settle(worker);
        faasi_async_take(worker, crew->runs_max);
        idle = worker->count == 0;
        leave = idle &&
                (crew->stop ||
                 (parked == FAASI_PARK_LATE &&
                  atomic_load_explicit(&crew->alive, memory_order_relaxed) > crew->min));
        if (leave) {
            atomic_fetch_sub_explicit(&crew->alive, 1, memory_order_relaxed);
            faasi_worker_dismiss(worker);
            worker->next = crew->left;
            crew->left = worker;
            faasi_wake_all(&async->room);
        }
        faasi_async_unlock(async, &ending);
        if (!idle) {
            (void)faasi_async_run(worker);
            looked = false;
        } else if (!leave) {
            /* A second look right before sleeping: what came between. */
            looked = !looked && look_around(worker);
            if (!looked)
                parked = faasi_park_sleep(&crew->park, nothing_to_do, worker, IDLE_NS);
        }
    }
    return NULL;
}

void faasi_worker_begin(struct faasi_async *async, struct faasi_worker *worker,
                        struct faasi_crew *crew, struct faasi_ending *ending)
{
    memset(worker, 0, offsetof(struct faasi_worker, batch));
    faasi_async_lock(async, ending);
    faasi_worker_enlist(async, worker, crew);
}

uint32_t faasi_worker_finish(struct faasi_worker *worker, struct faasi_ending *ending)
{
    struct faasi_async *async = worker->async;
    uint32_t ran = 0;

    if (worker->count != 0) {
        faasi_async_unlock(async, ending);
        ran = faasi_async_run(worker);
        faasi_async_lock(async, ending);
        faasi_async_settle(worker);
    }
    faasi_worker_dismiss(worker);
    faasi_async_unlock(async, ending);
    return ran;
}

uint32_t faasi_async_run_one(struct faasi_async *async, bool *any)
{
    struct faasi_worker worker;
    struct faasi_ending ending;
    uint32_t ran = 0;

    *any = false;
    for (int i = 0; i < FAASI_CREWS && !*any; i++) {
        faasi_worker_begin(async, &worker, &async->crews[i], &ending);
        faasi_async_take(&worker, 1);
        *any = worker.count != 0;
        ran = faasi_worker_finish(&worker, &ending);
    }
    return ran;
}

/* Joins the threads that have left. Holds nothing. */
static void left_join(struct faasi_async *async, struct faasi_crew *crew)
{
    struct faasi_worker *worker, *next;

    faasi_lock(&async->lock);
    worker = crew->left;
    crew->left = NULL;
    faasi_unlock(&async->lock);
    for (; worker != NULL; worker = next) {
        next = worker->next;
        (void)pthread_join(worker->thread, NULL);
        faasi_free_lines(async->allocator, worker, sizeof *worker);
    }
}

/* One thread more, if the crew may grow. Holds nothing. */
static faas_status crew_grow(struct faasi_async *async, struct faasi_crew *crew)
{
    struct faasi_worker *worker;
    faas_status status = FAAS_OK;
    uint32_t alive, surplus;

    left_join(async, crew);
    worker = faasi_alloc_lines(async->allocator, sizeof *worker);
    if (worker == NULL)
        return faasi_fail(FAAS_ENOMEM, "workers: no memory");
    faasi_lock(&async->lock);
    alive = atomic_load_explicit(&crew->alive, memory_order_relaxed);
    surplus = atomic_load_explicit(&crew->surplus, memory_order_relaxed);
    if (!crew->stop && alive < crew->max + (surplus < crew->max ? surplus : crew->max)) {
        int error;

        faasi_worker_enlist(async, worker, crew);
        error = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (error == 0) {
            atomic_store_explicit(&crew->alive, alive + 1, memory_order_relaxed);
            worker = NULL;
        } else {
            faasi_worker_dismiss(worker);
            status = faasi_fail(FAAS_ESYSTEM, "workers: no thread: error %d", error);
        }
    }
    faasi_unlock(&async->lock);
    faasi_free_lines(async->allocator, worker, sizeof(struct faasi_worker));
    return status;
}

void faasi_crew_wake(struct faasi_async *async, struct faasi_crew *crew)
{
    if (crew->max == 0 &&
        atomic_load_explicit(&async->want_room, memory_order_seq_cst) != 0)
        faasi_async_wake_room(async);
    atomic_fetch_add_explicit(&crew->pokes, 1, memory_order_seq_cst);
    faasi_async_wake(async, crew);
}

void faasi_async_wake(struct faasi_async *async, struct faasi_crew *crew)
{
    if (FAASI_LIKELY(faasi_park_wake(&crew->park)))
        return;
    if (crew->max == 0) {
        if (atomic_load_explicit(&async->hosted, memory_order_seq_cst))
            faasi_async_signal(async);
    } else if (atomic_load_explicit(&crew->alive, memory_order_relaxed) <
               crew->max + atomic_load_explicit(&crew->surplus, memory_order_relaxed)) {
        (void)crew_grow(async, crew); // without a thread more, those there are do it
    }
}

faas_status faasi_crews_start(struct faasi_async *async)
{
    faas_status status = FAAS_OK;

    for (int i = 0; i < FAASI_CREWS; i++)
        for (uint32_t j = 0; j < async->crews[i].min && status == FAAS_OK; j++)
            status = crew_grow(async, &async->crews[i]);
    return status;
}

void faasi_crews_stop(struct faasi_async *async)
{
    for (int i = 0; i < FAASI_CREWS; i++) {
        struct faasi_crew *crew = &async->crews[i];

        faasi_lock(&async->lock);
        crew->stop = true;
        faasi_park_wake_all(&crew->park);
        while (atomic_load_explicit(&crew->alive, memory_order_relaxed) != 0)
            faasi_wait(&async->room, &async->lock);
        faasi_unlock(&async->lock);
        left_join(async, crew);
    }
}

void faasi_async_wake_room(struct faasi_async *async)
{
    faasi_lock(&async->lock);
    faasi_wake_all(&async->room);
    faasi_unlock(&async->lock);
}

uint64_t faasi_async_sweep(struct faasi_async *async)
{
    struct faasi_ending ending;
    uint64_t next;

    /* What is armed from here on is armed anew. */
    faasi_write(&async->armed_ns, FAAS_FOREVER);
    do {
        faasi_async_lock(async, &ending);
        (void)faasi_async_tick(async);
        faasi_async_unlock(async, &ending);
        /* Who was told of an end may have submitted something since. */
        faasi_lock(&async->lock);
        next = faasi_timers_next(&async->wheel);
        faasi_unlock(&async->lock);
    } while (next != FAAS_FOREVER && next <= faasi_async_now_ns(async));
    for (int i = 0; i < FAASI_CREWS; i++)
        left_join(async, &async->crews[i]);
    faasi_orphans_free(async);
    return next;
}
