/* SPDX-License-Identifier: MIT */
/* Asynchronous invocations of all kinds, from many threads, over the public API.
 *
 *     stress_async [submissions] [seed]
 *
 *     caps     never more handlers of a function run than its cap
 *     once     every submission that was accepted ends exactly once: what the runtime
 *              counts by condition adds up to what was submitted, and to what was told
 *     groups   no two of a group run at one moment, and of one submitter they run in order
 *     keys     identical ones end with the one that runs
 *     handles  waits, looks, cancels and releases race with all of it */
#include "stress.h"

#include <faas/faas.h>

#include <pthread.h>
#include <sched.h>

#if defined(__SANITIZE_THREAD__)
#define SUBMISSIONS 120000
#elif defined(FAASI_SANITIZED)
#define SUBMISSIONS 400000
#else
#define SUBMISSIONS 1200000
#endif

enum { THREADS = 4, FUNCTIONS = 4, GROUPS = 16, KEPT = 32 };

static const uint32_t caps[FUNCTIONS] = {1, 2, 0, 3};

static faas_runtime *rt;
static faas_fn fns[FUNCTIONS];
static atomic_uint running[FUNCTIONS];
static atomic_uint in_group[THREADS][GROUPS];
static atomic_uint last_of_group[THREADS][GROUPS];
static atomic_ullong submitted, told, asked;

/* What is submitted; a submitter's groups are its own. */
struct order {
    uint32_t thread, group, number; /* group GROUPS: none; number grows in a group */
    bool fails;
};

static int work(faas_context *ctx, faas_bytes input)
{
    uintptr_t which = (uintptr_t)faas_user(ctx);
    uint32_t now = atomic_fetch_add(&running[which], 1) + 1;
    struct order order;
    int code = 0;

    REQUIRE_THAT(caps[which] == 0 || now <= caps[which]);
    REQUIRE_THAT(input.size == sizeof order);
    memcpy(&order, input.data, sizeof order);
    if (order.group < GROUPS) {
        atomic_uint *in = &in_group[order.thread][order.group];
        atomic_uint *last = &last_of_group[order.thread][order.group];

        REQUIRE_THAT(atomic_fetch_add(in, 1) == 0);
        REQUIRE_THAT(atomic_load(last) <= order.number);
        atomic_store(last, order.number);
        atomic_fetch_sub(in, 1);
    }
    if (order.fails)
        code = faas_fail(ctx, 1, "as it was told");
    atomic_fetch_sub(&running[which], 1);
    return code == 0 ? faas_reply(ctx, input) : code;
}

static void count_end(const faas_record *record, void *user)
{
    (void)user;
    REQUIRE_THAT(record->condition != FAAS_CONDITION_NONE);
    atomic_fetch_add(&told, 1);
}

static uint32_t random_next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* Does something with a handle, and gives it back. */
static void handle_use(faas_invocation job, uint32_t what)
{
    faas_invocation_info info = {.size = sizeof info};
    faas_result *result = NULL;
    faas_status status = FAAS_OK;

    switch (what % 4) {
    case 0:
        status = faas_invocation_cancel(rt, job);
        REQUIRE_THAT(status == FAAS_OK || status == FAAS_EPENDING ||
                     status == FAAS_EINUSE);
        break;
    case 1:
        status = faas_invocation_wait(rt, job, FAAS_FOREVER, &result);
        REQUIRE_THAT(status != FAAS_EPENDING && status != FAAS_ENOENT);
        break;
    case 2:
        status = faas_invocation_wait(rt, job, 0, &result);
        break;
    default:
        REQUIRE_THAT(faas_invocation_describe(rt, job, &info) == FAAS_OK);
        break;
    }
    REQUIRE_THAT(result == NULL || faas_result_meter(result) != NULL);
    faas_result_release(result);
    faas_invocation_release(rt, job);
    REQUIRE_THAT(faas_invocation_wait(rt, job, 0, NULL) == FAAS_ENOENT);
}

struct submitter {
    pthread_t thread;
    uint32_t number;
    uint64_t random, count;
};

static void submit(struct submitter *s, uint32_t *numbers, faas_invocation *handle)
{
    uint32_t dice = random_next(&s->random), which = dice % FUNCTIONS;
    uint32_t more = random_next(&s->random);
    struct order order = {s->number, GROUPS, 0, (dice >> 4 & 15) == 0};
    faas_submit_options options = {.size = sizeof options};
    char tenant = (char)('a' + (dice >> 8) % 7);
    faas_status status;

    /* A group belongs to one function; its failures hold it up or not, so that its order
     * holds among those that do not fail. */
    if ((dice >> 11 & 1) != 0 && which == 2) {
        order.group = (dice >> 12) % GROUPS;
        order.number = ++numbers[order.group];
        order.fails = false;
        options.group = faas_bytes_of(&order.thread, 2 * sizeof order.thread);
    }
    if ((more & 1) != 0)
        options.tenant = faas_bytes_of(&tenant, 1);
    options.tenant_weight = more >> 1 & 3;
    options.priority =
        order.group < GROUPS ? FAAS_PRIORITY_DEFAULT : (faas_priority)(more >> 3 & 3);
    if ((more >> 5 & 31) == 0 && order.group == GROUPS)
        options.delay_ns = 1000000u * (more >> 10 & 3);
    if ((more >> 12 & 7) == 0) {
        options.ended = count_end;
        options.will_wait = handle != NULL;
    }
    if ((more >> 15 & 7) == 0 && order.group == GROUPS)
        options.key = faas_bytes_of(&order.fails, 1);
    status = faas_invoke_async(rt, fns[which], faas_bytes_of(&order, sizeof order),
                               &options, handle);
    REQUIRE_THAT(status == FAAS_OK || status == FAAS_EBUSY);
    if (status != FAAS_OK)
        return;
    atomic_fetch_add(&submitted, 1);
    if (options.ended != NULL)
        atomic_fetch_add(&asked, 1);
}

static void *submitter_run(void *user)
{
    struct submitter *s = user;
    faas_invocation kept[KEPT] = {{0, 0, 0}};
    uint32_t numbers[GROUPS] = {0};

    for (uint64_t i = 0; i < s->count; i++) {
        faas_invocation *slot = &kept[random_next(&s->random) % KEPT];

        if (slot->generation != 0)
            handle_use(*slot, random_next(&s->random));
        *slot = (faas_invocation){0, 0, 0};
        submit(s, numbers, random_next(&s->random) % 4 == 0 ? NULL : slot);
    }
    for (uint32_t i = 0; i < KEPT; i++)
        if (kept[i].generation != 0)
            handle_use(kept[i], 1);
    return NULL;
}

static void functions_register(void)
{
    static const faas_queue_full full[FUNCTIONS] = {
        FAAS_QUEUE_REFUSE, FAAS_QUEUE_WAIT, FAAS_QUEUE_RUN_HERE, FAAS_QUEUE_DROP_OLDEST};

    for (uintptr_t i = 0; i < FUNCTIONS; i++) {
        char name[] = {'f', (char)('0' + i), '\0'};

        REQUIRE_THAT(
            faas_function_register(
                rt,
                FAAS_FUNCTION(.name = name, .handler = work, .user = (void *)i,
                              .concurrency = caps[i],
                              .async =
                                  FAAS_ASYNC(.queue_slots = 12, .on_queue_full = full[i],
                                             .retries = i == 0 ? FAAS_OFF : (uint32_t)i,
                                             .backoff_ns = 1000000, .blocking = i == 3,
                                             .idempotency_ns = i == 2 ? 100000 : 0,
                                             .group_failure = i == 1 ? FAAS_GROUP_SKIP
                                                                     : FAAS_GROUP_BLOCK)),
                &fns[i]) == FAAS_OK);
    }
}

static faas_async_stats stats_take(void)
{
    static const faas_fn all;
    faas_async_stats stats = {.size = sizeof stats};

    REQUIRE_THAT(faas_async_stats_get(rt, all, &stats) == FAAS_OK);
    return stats;
}

static uint64_t ended(const faas_async_stats *s)
{
    return s->succeeded + s->exhausted + s->expired + s->cancelled + s->dropped;
}

int main(int argc, char **argv)
{
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : SUBMISSIONS;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct submitter submitters[THREADS];
    faas_async_stats stats;

    REQUIRE_THAT(faas_runtime_open(
                     &rt, &(faas_runtime_options){.size = sizeof(faas_runtime_options),
                                                  .worker_max = 3}) == FAAS_OK);
    functions_register();
    for (uint32_t i = 0; i < THREADS; i++) {
        submitters[i].number = i;
        submitters[i].random = seed * 1000 + i;
        submitters[i].count = count / THREADS;
        REQUIRE_THAT(pthread_create(&submitters[i].thread, NULL, submitter_run,
                                    &submitters[i]) == 0);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        REQUIRE_THAT(pthread_join(submitters[i].thread, NULL) == 0);
    do {
        (void)sched_yield();
        stats = stats_take();
    } while (ended(&stats) != stats.submitted);
    REQUIRE_THAT(stats.submitted == atomic_load(&submitted));
    REQUIRE_THAT(stats.queued == 0 && stats.queued_bytes == 0);
    REQUIRE_THAT(faas_runtime_close(rt) == FAAS_OK); // who is told was told by now
    REQUIRE_THAT(atomic_load(&told) == atomic_load(&asked));
    (void)printf("seed %llu: %llu submitted, %llu refused, %llu succeeded, %llu retried, "
                 "%llu cancelled, %llu dropped, %llu shared\n",
                 (unsigned long long)seed, (unsigned long long)stats.submitted,
                 (unsigned long long)stats.refused, (unsigned long long)stats.succeeded,
                 (unsigned long long)stats.retried, (unsigned long long)stats.cancelled,
                 (unsigned long long)stats.dropped, (unsigned long long)stats.shared);
    return 0;
}
