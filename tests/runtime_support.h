/* SPDX-License-Identifier: MIT */
/* runtime_support.h - what tests of a runtime share: one on a virtual clock and a counted
 * allocator, handlers that stop where the test wants them, and calls from other threads.
 *
 *     OPEN(.concurrency_max = 2);
 *     fn = function_of(FAAS_FUNCTION(.name = "a", .handler = answers));
 *     ck_assert_ok(call(fn));
 *     CLOSE();
 *
 * Nothing here sleeps: a thread that must be somewhere says so by a semaphore, and one
 * that is to be asleep inside the library is looked for where the library keeps it. */
#ifndef RUNTIME_SUPPORT_H
#define RUNTIME_SUPPORT_H

#include "support.h"

#include "core/state.h"

#include <faas/faas.h>

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SEC UINT64_C(1000000000)

/* Where the virtual clock starts: not at 0, so that an instant is not a duration. */
#define START_NS (1000 * SEC)

/* The runtime of a test; each test runs in a process of its own. */
struct world {
    faas_runtime *rt;
    faas_clock *clock;
    struct faulty faulty;
    faas_allocator alloc;
};

static struct world w;

/* Opens `w.rt` as `options` say, on a virtual clock. */
static inline void world_open(const faas_runtime_options *options)
{
    faas_runtime_options opt = *options;

    w.faulty = (struct faulty){.fail_at = 0};
    w.alloc = faulty_allocator(&w.faulty);
    ck_assert_ok(faas_clock_open_virtual(START_NS, &w.alloc, &w.clock));
    opt.clock = w.clock;
    opt.allocator = &w.alloc;
    ck_assert_ok(faas_runtime_open(&w.rt, &opt));
}

/* Closes it, and sees that everything came back. */
static inline void world_close(void)
{
    ck_assert_ok(faas_runtime_close(w.rt));
    faas_clock_close(w.clock);
    ck_assert_uint_eq(atomic_load(&w.faulty.live_blocks), 0);
    ck_assert_uint_eq(atomic_load(&w.faulty.live_bytes), 0);
}

#define OPEN(...)                                                                        \
    world_open(&(const faas_runtime_options){.size = sizeof(faas_runtime_options),       \
                                             __VA_ARGS__})
#define OPEN_DEFAULT()                                                                   \
    world_open(&(const faas_runtime_options){.size = sizeof(faas_runtime_options)})
#define CLOSE() world_close()

static inline void pass_ns(uint64_t ns)
{
    faas_clock_advance(w.clock, ns);
}

static inline uint64_t now_ns(void)
{
    return faas_clock_now(w.clock);
}

/* Registers what must be accepted. */
static inline faas_fn function_of(const faas_function *function)
{
    faas_fn fn;

    ck_assert_ok(faas_function_register(w.rt, function, &fn));
    ck_assert_uint_ne(fn.generation, 0);
    return fn;
}

static inline faas_status call(faas_fn fn)
{
    return faas_invoke(w.rt, fn, faas_str(NULL), 0, NULL);
}

/* Calls with a text; the result is the test's to release. */
static inline faas_result *result_of(faas_fn fn, const char *input)
{
    faas_result *result;

    ck_assert_ok(faas_invoke(w.rt, fn, faas_str(input), 0, &result));
    ck_assert_ptr_nonnull(result);
    return result;
}

static inline faas_function_stats stats_of(faas_fn fn)
{
    faas_function_stats stats = {.size = sizeof stats};

    ck_assert_ok(faas_function_stats_get(w.rt, fn, &stats, NULL));
    return stats;
}

static inline bool same_fn(faas_fn a, faas_fn b)
{
    return a.runtime == b.runtime && a.index == b.index && a.generation == b.generation;
}

static inline bool no_fn(faas_fn fn)
{
    return fn.runtime == 0 && fn.index == 0 && fn.generation == 0;
}

#define ck_assert_bytes(bytes, text)                                                     \
    do {                                                                                 \
        faas_bytes ck_bytes_ = (bytes);                                                  \
        const char *ck_text_ = (text);                                                   \
        ck_assert_uint_eq(ck_bytes_.size, strlen(ck_text_));                             \
        if (ck_bytes_.size != 0)                                                         \
            ck_assert_mem_eq(ck_bytes_.data, ck_text_, ck_bytes_.size);                  \
    } while (0)

/* ---- handlers ---- */

static inline int answers(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    (void)input;
    return 0;
}

static inline int echoes(faas_context *ctx, faas_bytes input)
{
    return faas_reply(ctx, input);
}

/* Counts what it sees: the `user` of counts(). */
static inline int counts(faas_context *ctx, faas_bytes input)
{
    (void)input;
    atomic_fetch_add((atomic_uint *)faas_user(ctx), 1);
    return 0;
}

/* Where calls of holds() stop until they are let go. */
struct latch {
    sem_t entered, leave;
    atomic_uint running, running_max;
};

static inline void latch_init(struct latch *latch)
{
    ck_assert_int_eq(sem_init(&latch->entered, 0, 0), 0);
    ck_assert_int_eq(sem_init(&latch->leave, 0, 0), 0);
    atomic_init(&latch->running, 0);
    atomic_init(&latch->running_max, 0);
}

static inline void sem_take(sem_t *sem)
{
    while (sem_wait(sem) != 0)
        continue;
}

static inline void latch_await(struct latch *latch, unsigned count)
{
    while (count-- > 0)
        sem_take(&latch->entered);
}

static inline void latch_release(struct latch *latch, unsigned count)
{
    while (count-- > 0)
        (void)sem_post(&latch->leave);
}

static inline void latch_pass(struct latch *latch)
{
    unsigned running = atomic_fetch_add(&latch->running, 1) + 1;
    unsigned max = atomic_load(&latch->running_max);

    while (running > max &&
           !atomic_compare_exchange_weak(&latch->running_max, &max, running))
        continue;
    (void)sem_post(&latch->entered);
    sem_take(&latch->leave);
    atomic_fetch_sub(&latch->running, 1);
}

static inline int holds(faas_context *ctx, faas_bytes input)
{
    (void)input;
    latch_pass(faas_user(ctx));
    return 0;
}

/* ---- calls from other threads ---- */

struct caller {
    pthread_t thread;
    faas_runtime *rt;
    faas_fn fn;
    uint64_t limit_ns;
    faas_status status;
    uint64_t retry_after_ns;
    faas_result **result; /* if not NULL */
};

static inline void *caller_run(void *user)
{
    struct caller *c = user;

    c->status = faas_invoke(c->rt, c->fn, faas_str(NULL), c->limit_ns, c->result);
    c->retry_after_ns = faas_retry_after_ns();
    return NULL;
}

static inline void caller_start(struct caller *c, faas_fn fn)
{
    c->rt = w.rt;
    c->fn = fn;
    ck_assert_int_eq(pthread_create(&c->thread, NULL, caller_run, c), 0);
}

static inline faas_status caller_join(struct caller *c)
{
    ck_assert_int_eq(pthread_join(c->thread, NULL), 0);
    return c->status;
}

/* Comes back when so many calls are asleep in the queue of waiters. */
static inline void await_waiters(faas_runtime *rt, uint32_t count)
{
    for (;;) {
        uint32_t waiting;

        /* With the lock had, whoever is in the queue has looked for a seat and sleeps. */
        faasi_lock(&rt->gate.lock);
        waiting = atomic_load(&rt->gate.waiting);
        faasi_unlock(&rt->gate.lock);
        if (waiting == count)
            return;
        (void)sched_yield();
    }
}

#endif /* RUNTIME_SUPPORT_H */
