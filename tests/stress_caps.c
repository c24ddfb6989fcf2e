/* SPDX-License-Identifier: MIT */
/* Caps are exact both ways, while threads hammer at them through the public API.
 *
 *     stress_caps [operations] [seed]
 *
 *     exact    never more calls run than a function's cap or the runtime's, not by one
 *     refused  nobody is refused where no cap can be reached: as many threads as the cap
 *              allows, however often hints are dropped and permits stolen meanwhile
 *     changed  caps are lowered and raised while calls run: when the lowering has returned
 *              no call begins while the new cap is reached
 *     waiting  who waits is served, each in its turn, whatever happens to the caps
 *
 * There are more functions than a thread has hints, so calls keep losing their seats and
 * looking for others; that is what makes these tests see anything. The count of running
 * calls is kept by the handlers, which run inside of what the caps count. */
#include "stress.h"

#include <faas/faas.h>

#include <pthread.h>
#include <sched.h>
#include <time.h>

#if defined(__SANITIZE_THREAD__)
#define OPERATIONS 10000000
#elif defined(FAASI_SANITIZED)
#define OPERATIONS 30000000
#else
#define OPERATIONS 60000000
#endif

enum {
    THREADS_MAX = 8,
    FUNCTIONS = 40,
    FEW = 3, /* of them, where threads are to meet: each drops the others' hints */
    FEW_STRIDE = 16, /* because they stand so far apart */
    STUCK_S = 20
};

/* What is known of a cap, in one word: it grows with every change, and its lower half is
 * the cap, or NO_CAP while that is being raised or lowered. A call that began when it was
 * what it still is began under that cap. */
#define NO_CAP UINT32_MAX

struct ghost {
    _Atomic uint64_t cap;
    atomic_uint running;
};

/* What a call was told when it began. */
struct ticket {
    uint64_t function_cap, runtime_cap;
};

struct target {
    faas_fn fn;
    struct ghost ghost;
};

struct worker {
    pthread_t thread;
    uint64_t random;
    uint32_t number;
    uint64_t calls, refused;
};

static struct {
    faas_runtime *rt;
    uint32_t functions, stride; /* of those that are called */
    struct target targets[FUNCTIONS];
    struct ghost runtime;
    atomic_uint most; /* calls seen running at once */
    atomic_ullong served;
    uint64_t quota; /* of each thread, or of all together */
    bool may_refuse;
    atomic_bool over;
} world;

static uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x * 0x2545f4914f6cdd1du >> 16;
}

static uint32_t random_below(uint64_t *state, uint32_t limit)
{
    return (uint32_t)(random_next(state) % limit);
}

/* ---- the handler, which counts ---- */

/* One more runs. If it was told the cap when it began, that cap holds: those that ran
 * already when the cap was set count, and none is let in beside them. */
static void ghost_enter(struct ghost *ghost, uint64_t told, const char *what)
{
    uint32_t running = atomic_fetch_add(&ghost->running, 1) + 1;

    if (atomic_load(&ghost->cap) == told && (uint32_t)told != NO_CAP)
        REQUIRE(running <= (uint32_t)told, "%u run in a %s of %u", running, what,
                (uint32_t)told);
}

static void ghost_leave(struct ghost *ghost)
{
    atomic_fetch_sub(&ghost->running, 1);
}

/* Takes no time at all, a little, or so much that another thread gets the core. */
static int count(faas_context *ctx, faas_bytes input)
{
    static _Thread_local uint32_t turn = 1;
    struct target *target = faas_user(ctx);
    struct ticket ticket;

    memcpy(&ticket, input.data, sizeof ticket);
    ghost_enter(&target->ghost, ticket.function_cap, "function");
    ghost_enter(&world.runtime, ticket.runtime_cap, "runtime");
    turn = turn * 1664525 + 1013904223;
    if (turn >> 22 == 0) {
        (void)sched_yield();
    } else if (turn >> 30 == 0) {
        for (volatile uint32_t i = turn >> 16 & 255; i != 0; i--)
            continue;
    }
    ghost_leave(&world.runtime);
    ghost_leave(&target->ghost);
    return 0;
}

static void ghost_set(struct ghost *ghost, uint32_t cap)
{
    uint64_t now = atomic_load(&ghost->cap);

    atomic_store(&ghost->cap, ((now >> 32) + 1) << 32 | cap);
}

/* ---- worlds ---- */

static struct target *target_pick(struct worker *w)
{
    return &world.targets[random_below(&w->random, world.functions) * world.stride];
}

static void world_open(uint32_t runtime_cap, const uint32_t *caps, uint32_t functions,
                       faas_full on_full)
{
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;

    options.concurrency_max = runtime_cap;
    REQUIRE(faas_runtime_open(&world.rt, &options) == FAAS_OK, "%s", faas_error_text());
    ghost_set(&world.runtime, runtime_cap);
    world.functions = functions;
    world.stride = functions == FEW ? FEW_STRIDE : 1;
    for (uint32_t i = 0; i < FUNCTIONS; i++) {
        struct target *target = &world.targets[i];
        char name[16];

        (void)snprintf(name, sizeof name, "f%u", i);
        REQUIRE(faas_function_register(
                    world.rt,
                    FAAS_FUNCTION(.name = name, .handler = count, .concurrency = caps[i],
                                  .on_full = on_full, .timeout_ns = FAAS_FOREVER,
                                  .user = target),
                    &target->fn) == FAAS_OK,
                "%s", faas_error_text());
        ghost_set(&target->ghost, caps[i]);
    }
    atomic_store(&world.most, 0);
    atomic_store(&world.served, 0);
    atomic_store(&world.over, false);
}

static void world_close(void)
{
    REQUIRE(faas_runtime_close(world.rt) == FAAS_OK, "%s", faas_error_text());
    REQUIRE(atomic_load(&world.runtime.running) == 0, "calls are left");
}

/* Whether it ran. */
static bool call(struct worker *w, struct target *target)
{
    struct ticket ticket = {atomic_load(&target->ghost.cap),
                            atomic_load(&world.runtime.cap)};
    faas_status status =
        faas_invoke(world.rt, target->fn, faas_bytes_of(&ticket, sizeof ticket), 0, NULL);

    w->calls++;
    if (status == FAAS_OK)
        return true;
    REQUIRE(status == FAAS_EBUSY, "%s", faas_status_name(status));
    REQUIRE(world.may_refuse, "thread %u was refused, though no cap was reached",
            w->number);
    w->refused++;
    return false;
}

/* Asks without calling: the way of a refusal that takes no lock. */
static void ask(struct worker *w, const struct target *target)
{
    faas_status status = faas_invoke_with(world.rt, target->fn, faas_str(NULL),
                                          FAAS_CALL(.dry_run = 1), NULL);

    REQUIRE(status == FAAS_OK || (status == FAAS_EBUSY && world.may_refuse),
            "thread %u was told %s, though no cap was reached", w->number,
            faas_status_name(status));
}

/* Runs `work` on so many threads, and `meanwhile` on this one, until they are done. */
static void run(uint32_t threads, uint64_t seed, void *(*work)(void *),
                void (*meanwhile)(uint64_t *random), const char *name)
{
    static struct worker workers[THREADS_MAX];
    uint64_t calls = 0, refused = 0, least = UINT64_MAX;
    uint64_t random = seed * 0x9e3779b97f4a7c15u + 1;
    struct timespec begun, ended;

    (void)clock_gettime(CLOCK_MONOTONIC, &begun);
    for (uint32_t i = 0; i < threads; i++) {
        workers[i] =
            (struct worker){.number = i, .random = (seed + i + 1) * 0xbf58476d1ce4e5b9u};
        REQUIRE(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0,
                "no thread");
    }
    if (meanwhile != NULL)
        meanwhile(&random);
    for (uint32_t i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        calls += workers[i].calls;
        refused += workers[i].refused;
        if (workers[i].calls < least)
            least = workers[i].calls;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &ended);
    printf("%-8s %u threads: %llu calls, %llu refused, a thread made at least %llu; %.1f "
           "s\n",
           name, threads, (unsigned long long)calls, (unsigned long long)refused,
           (unsigned long long)least,
           (double)(ended.tv_sec - begun.tv_sec) +
               (double)(ended.tv_nsec - begun.tv_nsec) / 1e9);
    (void)fflush(stdout);
    REQUIRE(world.may_refuse || calls < 20000 || least >= calls / threads / 10,
            "a thread made %llu of %llu calls: it starves", (unsigned long long)least,
            (unsigned long long)calls);
}

/* ---- exact, refused ---- */

static void *hammer(void *user)
{
    struct worker *w = user;

    while (w->calls < world.quota) {
        struct target *target = target_pick(w);
        uint32_t again = random_below(&w->random, 8) == 0 ? 4 : 0; // some are warm

        if (random_below(&w->random, 4) == 0)
            ask(w, target);
        do
            (void)call(w, target);
        while (again-- != 0);
    }
    return NULL;
}

/* Threads that come in pairs, each with functions of its own that let two in. */
static void *hammer_in_pairs(void *user)
{
    struct worker *w = user;

    while (w->calls < world.quota) {
        uint32_t of_pair = random_below(&w->random, world.functions / 2);
        struct target *target = &world.targets[of_pair * 2 + w->number / 2 % 2];

        if (random_below(&w->random, 16) == 0)
            ask(w, target);
        (void)call(w, target);
    }
    return NULL;
}

static void exact(uint64_t operations, uint64_t seed)
{
    static const uint32_t runtime_caps[] = {1, 2, 3, 1000};
    uint32_t caps[FUNCTIONS];

    world.may_refuse = true;
    world.quota = operations / 4 / 6;
    for (uint32_t i = 0; i < FUNCTIONS; i++)
        caps[i] = 1 + i % 3;
    for (uint32_t i = 0; i < 4; i++) {
        world_open(runtime_caps[i], caps, i % 2 == 0 ? FUNCTIONS : FEW, FAAS_FULL_REFUSE);
        run(6, seed + i, hammer, NULL, "exact");
        world_close();
    }
}

static void refused(uint64_t operations, uint64_t seed)
{
    static const uint32_t threads[] = {2, 2, 4, 8};
    static const uint32_t few[] = {FEW, FUNCTIONS, FEW, FUNCTIONS};
    uint32_t caps[FUNCTIONS];

    world.may_refuse = false;
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t k = threads[i];

        /* As many functions as are needed to steal permits all the time, or so few that
         * threads get in each other's way. */
        world.quota = operations / 5 / k;
        for (uint32_t j = 0; j < FUNCTIONS; j++)
            caps[j] = k;
        world_open(k, caps, few[i], FAAS_FULL_REFUSE);
        run(k, seed + i, hammer, NULL, "refused");
        world_close();
    }
    world.quota = operations / 5 / 4;
    for (uint32_t j = 0; j < FUNCTIONS; j++)
        caps[j] = 2;
    world_open(4, caps, FUNCTIONS, FAAS_FULL_REFUSE);
    run(4, seed + 4, hammer_in_pairs, NULL, "refused");
    world_close();
}

/* ---- changed ---- */

static void function_cap(struct target *target, uint32_t cap)
{
    faas_status status;

    ghost_set(&target->ghost, NO_CAP);
    status = faas_function_update(
        world.rt, target->fn,
        &(const faas_function){.size = sizeof(faas_function),
                               .concurrency = cap == 0 ? FAAS_OFF : cap});
    REQUIRE(status == FAAS_OK, "%s", faas_error_text());
    ghost_set(&target->ghost, cap);
}

static void runtime_cap(uint32_t cap)
{
    ghost_set(&world.runtime, NO_CAP);
    REQUIRE(faas_runtime_limit(world.rt, cap) == FAAS_OK, "%s", faas_error_text());
    ghost_set(&world.runtime, cap);
}

static void change_caps(uint64_t *random)
{
    while (!atomic_load(&world.over)) {
        if (random_below(random, 3) == 0)
            runtime_cap(random_below(random, 6));
        else
            function_cap(&world.targets[random_below(random, world.functions)],
                         random_below(random, 4));
        if (random_below(random, 4) == 0)
            (void)nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    }
    runtime_cap(6);
    for (uint32_t i = 0; i < world.functions; i++)
        function_cap(&world.targets[i], 3);
}

/* Until so many calls of all together have run. */
static void *hammer_together(void *user)
{
    struct worker *w = user;

    while (atomic_load_explicit(&world.served, memory_order_relaxed) < world.quota) {
        if (call(w, target_pick(w)))
            atomic_fetch_add_explicit(&world.served, 1, memory_order_relaxed);
        else if (random_below(&w->random, 64) == 0)
            (void)sched_yield();
    }
    atomic_store(&world.over, true);
    return NULL;
}

static void changed(uint64_t operations, uint64_t seed)
{
    uint32_t caps[FUNCTIONS];

    world.may_refuse = true;
    world.quota = operations / 5; // one of five or so is let in
    for (uint32_t i = 0; i < FUNCTIONS; i++)
        caps[i] = 3;
    world_open(6, caps, 5, FAAS_FULL_REFUSE);
    run(6, seed, hammer_together, change_caps, "changed");
    world_close();
}

/* ---- waiting ---- */

/* Ends the program if nobody is served any more. */
static void watch(uint64_t *random)
{
    uint64_t seen = UINT64_MAX;
    uint32_t same = 0;

    (void)random;
    while (!atomic_load(&world.over)) {
        uint64_t now = atomic_load(&world.served);

        same = now == seen ? same + 1 : 0;
        REQUIRE(same < STUCK_S * 100, "nobody is served: a waiter was not woken");
        seen = now;
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
}

static void change_and_watch(uint64_t *random)
{
    uint64_t seen = UINT64_MAX;
    uint32_t same = 0;

    while (!atomic_load(&world.over)) {
        uint64_t now = atomic_load(&world.served);

        same = now == seen ? same + 1 : 0;
        REQUIRE(same < STUCK_S * 1000, "nobody is served: a waiter was not woken");
        seen = now;
        if (random_below(random, 3) == 0)
            runtime_cap(1 + random_below(random, 4));
        else
            function_cap(&world.targets[random_below(random, world.functions)],
                         1 + random_below(random, 3));
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static void waiting(uint64_t operations, uint64_t seed)
{
    static const uint32_t of_functions[] = {1, 2, 1000, 2};
    static const uint32_t runtime_caps[] = {1000, 1000, 2, 1};
    uint32_t caps[FUNCTIONS];

    world.may_refuse = false;
    world.quota = operations / 6;
    for (uint32_t i = 0; i < 4; i++) {
        for (uint32_t j = 0; j < FUNCTIONS; j++)
            caps[j] = of_functions[i];
        world_open(runtime_caps[i], caps, i + 1, FAAS_FULL_WAIT);
        run(8, seed + i, hammer_together, watch, "waiting");
        world_close();
    }
    world.quota = operations / 3;
    world_open(1000, caps, 2, FAAS_FULL_WAIT);
    run(8, seed + 4, hammer_together, change_and_watch, "waiting");
    world_close();
}

int main(int argc, char **argv)
{
    uint64_t operations = argc > 1 ? strtoull(argv[1], NULL, 0) : OPERATIONS;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;

    exact(operations * 3 / 10, seed * 100);
    refused(operations * 5 / 10, seed * 100 + 10);
    changed(operations * 18 / 100, seed * 100 + 20);
    waiting(operations * 2 / 100, seed * 100 + 30);
    return EXIT_SUCCESS;
}
