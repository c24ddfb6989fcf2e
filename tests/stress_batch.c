/* SPDX-License-Identifier: MIT */
/* Many callers of batching and remembering functions, which are updated, replaced and
 * removed meanwhile. Run under the thread sanitizer.
 *
 *     stress_batch [operations] [seed]
 *
 * What must hold, whatever the order:
 *
 *     a caller has the answer to its own input, or a status that its call may give;
 *     no wish is forgotten: every call returns, with no clock to help it;
 *     an instance runs one batch at a time, and no batch is larger than batch_max;
 *     what ran is what was counted, and nothing is left when all is closed. */
#include "stress.h"

#include <faas/faas.h>

#include <pthread.h>
#include <sched.h>

#if defined(__SANITIZE_THREAD__)
#define OPERATIONS 1000000
#elif defined(FAASI_SANITIZED)
#define OPERATIONS 1000000
#else
#define OPERATIONS 4000000
#endif

enum { THREADS = 8, FUNCTIONS = 4, ROUNDS = 8, BATCH_MAX = 5, INPUTS = 8 };

struct world {
    faas_runtime *rt;
    faas_fn fns[FUNCTIONS];
    atomic_uint owners;     /* functions whose user_free is due */
    _Atomic uint64_t items; /* that handlers saw */
    _Atomic uint64_t ran;   /* calls that ran, or had an answer of one that did */
    _Atomic uint64_t calls;
    uint64_t operations;
    uint64_t seed;
};

static struct world w;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* ---- handlers ---- */

static int init(faas_context *ctx, void **state)
{
    *state = faas_instance_alloc(ctx, sizeof(atomic_uint));
    return *state == NULL ? 1 : 0;
}

static int answer(faas_context *ctx, faas_bytes input)
{
    unsigned char out = 0;

    REQUIRE(input.size == 1, "%zu", input.size);
    memcpy(&out, input.data, 1);
    if (out == 0)
        return faas_fail(ctx, 1, "zero");
    out = (unsigned char)(out * 3);
    return faas_reply(ctx, faas_bytes_of(&out, 1));
}

static int batch(faas_context *ctx, faas_item *items, size_t count)
{
    atomic_uint *inside = faas_state(ctx);

    REQUIRE(atomic_fetch_add(inside, 1) == 0, "two batches in one instance");
    REQUIRE(count >= 1 && count <= BATCH_MAX, "%zu items", count);
    atomic_fetch_add(&w.items, count);
    for (size_t i = 0; i < count; i++)
        items[i].code = answer(items[i].ctx, items[i].input);
    for (volatile unsigned spin = 0; spin < 300; spin++)
        continue;
    atomic_fetch_sub(inside, 1);
    return 0;
}

static void user_free(void *user)
{
    atomic_fetch_sub((atomic_uint *)user, 1);
}

/* ---- what threads do ---- */

static faas_function function_of(unsigned number)
{
    faas_function f = {.size = sizeof f,
                       .batch = batch,
                       .batch_max = BATCH_MAX,
                       .init = init,
                       .user = &w.owners,
                       .user_free = user_free};

    f.concurrency = number == 1 ? 2 : 1;
    if (number == 2)
        f.cache_bytes = 2000;
    if (number == 2)
        f.cache_mode = FAAS_CACHE_SINGLE_FLIGHT | FAAS_CACHE_FAILURES;
    if (number == 3)
        f.batch_delay_ns = 20000;
    atomic_fetch_add(&w.owners, 1);
    return f;
}

static void call_one(faas_fn fn, uint64_t random)
{
    unsigned char input = (unsigned char)(random % INPUTS);
    faas_invoke_options options = {.size = sizeof options,
                                   .priority = (faas_priority)(random >> 8 & 3),
                                   .limit_ns = (random >> 16) % 16 == 0 ? 30000 : 0,
                                   .fresh = (random >> 24) % 16 == 0};
    faas_result *result;
    faas_status status = faas_invoke_with(w.rt, fn, faas_bytes_of(&input, 1), &options,
                                          (random >> 32) % 8 == 0 ? NULL : &result);
    bool has = (random >> 32) % 8 != 0;

    atomic_fetch_add(&w.calls, 1);
    switch (status) {
    case FAAS_OK:
        REQUIRE(input != 0, "zero answered");
        if (has) {
            faas_bytes out = faas_result_bytes(result);

            REQUIRE(out.size == 1 &&
                        *(const unsigned char *)out.data == (unsigned char)(input * 3),
                    "not its own answer");
        }
        atomic_fetch_add(&w.ran, 1);
        break;
    case FAAS_EHANDLER:
        REQUIRE(input == 0, "%d failed", input);
        REQUIRE(!has || strcmp(faas_result_message(result), "zero") == 0, "its message");
        atomic_fetch_add(&w.ran, 1);
        break;
    case FAAS_ETIMEDOUT:
    case FAAS_EEXPIRED:
        REQUIRE(options.limit_ns != 0, "no limit: %s", faas_status_name(status));
        break;
    case FAAS_EBUSY: // switched off
    case FAAS_ENOENT:
    case FAAS_ECLOSED:
        break;
    default:
        REQUIRE(false, "%s: %s", faas_status_name(status), faas_error_text());
    }
    if (has)
        faas_result_release(result);
}

/* The function may be gone by then. */
static void done_or_gone(faas_status status)
{
    REQUIRE(status == FAAS_OK || status == FAAS_ENOENT, "%s: %s",
            faas_status_name(status), faas_error_text());
}

/* The edits of one thread. */
static void edit_one(unsigned number, uint64_t random)
{
    faas_function f;

    switch (random % 4) {
    case 0:
        f = function_of(number);
        done_or_gone(faas_function_replace(w.rt, w.fns[number], &f));
        break;
    case 1:
        done_or_gone(faas_function_update(w.rt, w.fns[number],
                                          FAAS_FUNCTION(.concurrency = FAAS_OFF)));
        done_or_gone(
            faas_function_update(w.rt, w.fns[number], FAAS_FUNCTION(.concurrency = 1)));
        break;
    case 2: {
        faas_function_stats stats = {.size = sizeof stats};

        done_or_gone(faas_function_stats_get(w.rt, w.fns[number], &stats, NULL));
        break;
    }
    default: {
        char name[32];
        faas_fn fn;

        (void)snprintf(name, sizeof name, "x%u", (unsigned)(random >> 8) % 1000);
        f = function_of(number);
        f.name = name;
        if (faas_function_register(w.rt, &f, &fn) == FAAS_OK) {
            call_one(fn, random >> 3);
            done_or_gone(faas_function_unregister(w.rt, fn));
        }
    }
    }
}

static void *thread_run(void *user)
{
    uint64_t random = w.seed * 0x9e3779b97f4a7c15u + (uint64_t)(uintptr_t)user + 1;
    bool edits = (uintptr_t)user == 0;

    for (uint64_t i = 0; i < w.operations / THREADS; i++) {
        uint64_t r = next_random(&random);

        if (edits && i % 64 == 0)
            edit_one((unsigned)(r >> 40) % FUNCTIONS, r >> 3);
        else
            call_one(w.fns[(r >> 44) % FUNCTIONS], r);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    uint64_t operations = argc > 1 ? strtoull(argv[1], NULL, 10) : OPERATIONS;
    struct faulty faulty = {.fail_at = 0};
    faas_allocator alloc = faulty_allocator(&faulty);
    pthread_t threads[THREADS];

    w.operations = operations / ROUNDS;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;
        uint64_t batched = 0;
        bool close_early = round % 2 == 1;
        uint64_t half = atomic_load(&w.calls) + w.operations / 2;

        w.seed = (argc > 2 ? strtoull(argv[2], NULL, 10) : 1) + round;
        options.allocator = &alloc;
        REQUIRE(faas_runtime_open(&w.rt, &options) == FAAS_OK, "open");
        for (unsigned i = 0; i < FUNCTIONS; i++) {
            char name[8];
            faas_function f = function_of(i);

            (void)snprintf(name, sizeof name, "f%u", i);
            f.name = name;
            REQUIRE(faas_function_register(w.rt, &f, &w.fns[i]) == FAAS_OK, "register");
        }
        for (uintptr_t i = 0; i < THREADS; i++)
            REQUIRE(pthread_create(&threads[i], NULL, thread_run, (void *)i) == 0, "go");
        /* Handles go stale under callers; what waits for a batch is sent away. */
        while (close_early && atomic_load(&w.calls) < half)
            (void)sched_yield();
        if (close_early)
            for (unsigned i = 0; i < FUNCTIONS; i++)
                REQUIRE(faas_function_unregister(w.rt, w.fns[i]) == FAAS_OK, "gone");
        for (unsigned i = 0; i < THREADS; i++)
            REQUIRE(pthread_join(threads[i], NULL) == 0, "join");
        for (unsigned i = 0; i < FUNCTIONS && !close_early; i++) {
            faas_function_stats stats = {.size = sizeof stats};

            REQUIRE(faas_function_stats_get(w.rt, w.fns[i], &stats, NULL) == FAAS_OK,
                    "stats");
            REQUIRE(stats.batched == stats.invocations, "%llu items, %llu invocations",
                    (unsigned long long)stats.batched,
                    (unsigned long long)stats.invocations);
            REQUIRE(stats.batch_waiting == 0 && stats.concurrency == 0, "left behind");
            batched += stats.batched;
        }
        REQUIRE(batched <= atomic_load(&w.items), "counted what did not run");
        REQUIRE(faas_runtime_close(w.rt) == FAAS_OK, "close");
        REQUIRE(atomic_load(&w.owners) == 0, "%u users kept", atomic_load(&w.owners));
        REQUIRE(atomic_load(&faulty.live_blocks) == 0, "memory is left");
    }
    printf("%llu calls, %llu answered, %llu items in batches\n",
           (unsigned long long)atomic_load(&w.calls),
           (unsigned long long)atomic_load(&w.ran),
           (unsigned long long)atomic_load(&w.items));
    return 0;
}
