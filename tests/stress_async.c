/* SPDX-License-Identifier: MIT */
/* Asynchronous invocations of all kinds, from many threads, over the public API.
 *
 *     stress_async [submissions] [seed]
 *
 * Beside the submitters a clerk looks at numbers and dead letters, sends some again, drives
 * and sweeps, and switches a function off and on. What is printed at the end says how many
 * public calls were made in all.
 *
 *     caps     never more handlers of a function run than its cap
 *     once     every submission that was accepted ends exactly once: what the runtime
 *              counts by condition adds up to what was submitted, and to what was told
 *     groups   no two of a group run at one moment, and of one submitter they run in order,
 *              also in batches
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

enum { THREADS = 4, FUNCTIONS = 5, GROUPS = 16, KEPT = 32, MANY = 4, SWITCHED = 3 };

/* Of these one orders the first half of the groups, and the one that batches the others. */
enum { ORDERS = 2, BATCHES = 4, BATCH_MAX = 16 };

static const uint32_t caps[FUNCTIONS] = {1, 2, 0, 3, 2};

static faas_runtime *rt;
static faas_fn fns[FUNCTIONS];
static atomic_uint running[FUNCTIONS];
static atomic_uint in_group[THREADS][GROUPS];
static atomic_uint last_of_group[THREADS][GROUPS];
static faas_fn sink; /* takes the records of what failed in one of them */
static atomic_ullong submitted, told, asked, sent, calls, batched;
static atomic_bool over;

/* What is submitted; a submitter's groups are its own. */
struct order {
    uint32_t thread, group, number; /* group GROUPS: none; number grows in a group */
    bool fails;
};

/* An order's handler begins: alone in its group, and in turn. */
static struct order order_begin(faas_bytes input)
{
    struct order order;

    REQUIRE_THAT(input.size == sizeof order);
    memcpy(&order, input.data, sizeof order);
    if (order.group < GROUPS) {
        atomic_uint *last = &last_of_group[order.thread][order.group];

        REQUIRE_THAT(atomic_fetch_add(&in_group[order.thread][order.group], 1) == 0);
        REQUIRE_THAT(atomic_load(last) <= order.number);
        atomic_store(last, order.number);
    }
    return order;
}

static int order_end(faas_context *ctx, faas_bytes input)
{
    struct order order;

    memcpy(&order, input.data, sizeof order);
    if (order.group < GROUPS)
        atomic_fetch_sub(&in_group[order.thread][order.group], 1);
    return order.fails ? faas_fail(ctx, 1, "as it was told") : faas_reply(ctx, input);
}

static void count_in(uintptr_t which)
{
    uint32_t now = atomic_fetch_add(&running[which], 1) + 1;

    REQUIRE_THAT(caps[which] == 0 || now <= caps[which]);
}

static int work(faas_context *ctx, faas_bytes input)
{
    uintptr_t which = (uintptr_t)faas_user(ctx);
    int code;

    count_in(which);
    (void)order_begin(input);
    code = order_end(ctx, input);
    atomic_fetch_sub(&running[which], 1);
    return code;
}

/* Now and then one fails at first, and goes on in another batch. */
static int work_batch(faas_context *ctx, faas_item *items, size_t count)
{
    uintptr_t which = (uintptr_t)faas_user(ctx);

    count_in(which);
    REQUIRE_THAT(count >= 1 && count <= BATCH_MAX);
    for (size_t i = 0; i < count; i++)
        if (order_begin(items[i].input).number % 64 == 63 &&
            faas_attempt(items[i].ctx) == 1)
            items[i].code = 2;
    for (size_t i = 0; i < count; i++) {
        int code = order_end(items[i].ctx, items[i].input);

        items[i].code = code != 0 ? code : items[i].code;
    }
    if (count > 1)
        atomic_fetch_add(&batched, count);
    atomic_fetch_sub(&running[which], 1);
    return 0;
}

static void count_end(const faas_record *record, void *user)
{
    (void)user;
    REQUIRE_THAT(record->condition != FAAS_CONDITION_NONE);
    atomic_fetch_add(&told, 1);
}

/* Before a record goes to the sink, which refuses none. */
static void count_sent(const faas_record *record, void *user)
{
    (void)user;
    REQUIRE_THAT(record->condition > FAAS_SUCCESS);
    atomic_fetch_add(&sent, 1);
}

static int takes_record(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    REQUIRE_THAT(input.size > 2 && ((const char *)input.data)[0] == '{');
    return 0;
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

    atomic_fetch_add(&calls, 3);
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
    faas_event *event; /* as an order of its own, of no group */
};

/* To those that subscribe: FAAS_QUEUE_REFUSE and FAAS_QUEUE_DROP_OLDEST. */
static void publish(struct submitter *s)
{
    faas_delivery delivery;

    REQUIRE_THAT(faas_publish(rt, s->event, &delivery) == FAAS_OK);
    REQUIRE_THAT(delivery.matched == 2 && delivery.queued + delivery.refused == 2);
    atomic_fetch_add(&submitted, delivery.queued);
    atomic_fetch_add(&calls, 1);
}

static void submit_many(struct submitter *s)
{
    struct order order = {s->number, GROUPS, 0, false};
    faas_invocation handles[MANY];
    faas_bytes inputs[MANY];
    faas_status status;
    size_t accepted;

    for (int i = 0; i < MANY; i++)
        inputs[i] = faas_bytes_of(&order, sizeof order);
    status = faas_invoke_async_many(rt, fns[random_next(&s->random) % FUNCTIONS], inputs,
                                    MANY, NULL, handles, &accepted);
    REQUIRE_THAT(status == (accepted == MANY ? FAAS_OK : FAAS_EBUSY));
    atomic_fetch_add(&submitted, accepted);
    atomic_fetch_add(&calls, 1);
    for (size_t i = 0; i < MANY; i++) {
        REQUIRE_THAT((handles[i].generation != 0) == (i < accepted));
        if (i < accepted)
            handle_use(handles[i], random_next(&s->random));
    }
}

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
    if ((dice >> 11 & 1) != 0 && (which == ORDERS || which == BATCHES)) {
        order.group = (dice >> 12) % (GROUPS / 2) + (which == BATCHES ? GROUPS / 2 : 0);
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
    atomic_fetch_add(&calls, 1);
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
        if (random_next(&s->random) % 16 == 0)
            publish(s);
        if (random_next(&s->random) % 32 == 0)
            submit_many(s);
    }
    for (uint32_t i = 0; i < KEPT; i++)
        if (kept[i].generation != 0)
            handle_use(kept[i], 1);
    return NULL;
}

static int letter_look(const faas_record *record, void *user)
{
    ++*(uint64_t *)user;
    REQUIRE_THAT(record->condition > FAAS_SUCCESS && record->function[0] == 'f');
    return 0;
}

static void letters_use(uint64_t *random)
{
    static const faas_fn its_own;
    faas_letter_filter filter = {.size = sizeof filter,
                                 .most = 1 + random_next(random) % 8};
    uint64_t count = 0, seen = 0;
    faas_status status;

    if (random_next(random) % 2 == 0)
        filter.fn = fns[random_next(random) % FUNCTIONS];
    switch (random_next(random) % 4) {
    case 0:
        REQUIRE_THAT(faas_letters_purge(rt, &filter, &count) == FAAS_OK);
        break;
    case 1:
        REQUIRE_THAT(faas_letters_list(rt, &filter, letter_look, &seen, &count) ==
                     FAAS_OK);
        REQUIRE_THAT(seen == count);
        break;
    default:
        status = faas_letters_redrive(rt, &filter, its_own, &count);
        REQUIRE_THAT(status == FAAS_OK || status == FAAS_EBUSY);
        atomic_fetch_add(&submitted, count);
        break;
    }
    REQUIRE_THAT(count <= filter.most);
}

static void function_switch(uint64_t *random)
{
    static const uint32_t to[] = {FAAS_OFF, 1, 2};
    uint32_t cap = to[random_next(random) % 3];

    REQUIRE_THAT(faas_function_update(rt, fns[SWITCHED],
                                      FAAS_FUNCTION(.concurrency = cap)) == FAAS_OK);
    (void)sched_yield();
    REQUIRE_THAT(faas_function_update(rt, fns[SWITCHED],
                                      FAAS_FUNCTION(.concurrency = caps[SWITCHED])) ==
                 FAAS_OK);
}

static void *clerk_run(void *user)
{
    uint64_t random = *(uint64_t *)user, next;
    int fd;

    while (!atomic_load(&over)) {
        faas_async_stats stats = {.size = sizeof stats};

        switch (random_next(&random) % 8) {
        case 0:
            REQUIRE_THAT(faas_async_stats_get(rt, fns[random_next(&random) % FUNCTIONS],
                                              &stats) == FAAS_OK);
            break;
        case 1:
            (void)faas_run_once(rt, 1000 * (random_next(&random) % 100), &next);
            break;
        case 2:
            faas_runtime_sweep(rt, &next);
            break;
        case 3:
            REQUIRE_THAT(faas_poll_fd(rt, &fd) == FAAS_OK && fd >= 0);
            break;
        case 4:
            function_switch(&random);
            break;
        default:
            letters_use(&random);
            break;
        }
        atomic_fetch_add(&calls, 1);
    }
    return NULL;
}

static void functions_register(void)
{
    static const faas_queue_full full[FUNCTIONS] = {
        FAAS_QUEUE_REFUSE, FAAS_QUEUE_WAIT, FAAS_QUEUE_RUN_HERE, FAAS_QUEUE_DROP_OLDEST,
        FAAS_QUEUE_WAIT};

    static const faas_fn none;

    REQUIRE_THAT(faas_function_register(
                     rt,
                     FAAS_FUNCTION(.name = "sink", .handler = takes_record,
                                   .async = FAAS_ASYNC(.queue_slots = FAAS_UNLIMITED)),
                     &sink) == FAAS_OK);
    for (uintptr_t i = 0; i < FUNCTIONS; i++) {
        char name[] = {'f', (char)('0' + i), '\0'};

        REQUIRE_THAT(
            faas_function_register(
                rt,
                FAAS_FUNCTION(.name = name, .handler = i == BATCHES ? NULL : work,
                              .batch = i == BATCHES ? work_batch : NULL,
                              .batch_max = i == BATCHES ? BATCH_MAX : 0,
                              .user = (void *)i, .concurrency = caps[i],
                              .async =
                                  FAAS_ASYNC(.queue_slots = 12, .on_queue_full = full[i],
                                             .retries = i == 0 ? FAAS_OFF : (uint32_t)i,
                                             .backoff_ns = 1000000, .blocking = i == 3,
                                             .idempotency_ns = i == 2 ? 100000 : 0,
                                             .group_failure = i == 1 ? FAAS_GROUP_SKIP
                                                                     : FAAS_GROUP_BLOCK,
                                             .on_failure = {.fn = i == 1 ? sink : none,
                                                            .ended = i == 1 ? count_sent
                                                                            : NULL})),
                &fns[i]) == FAAS_OK);
        if (full[i] == FAAS_QUEUE_REFUSE || full[i] == FAAS_QUEUE_DROP_OLDEST)
            REQUIRE_THAT(faas_subscribe(rt, fns[i], FAAS_ON(.type = "order", .queued = 1),
                                        NULL) == FAAS_OK);
    }
}

static faas_event *event_make(uint32_t thread)
{
    struct order order = {thread, GROUPS, 0, false};
    faas_event *event;

    REQUIRE_THAT(
        faas_event_create(FAAS_EVENT(.id = "1", .source = "stress", .type = "order",
                                     .data_content_type = "application/octet-stream",
                                     .data = faas_bytes_of(&order, sizeof order)),
                          &event) == FAAS_OK);
    return event;
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
    pthread_t clerk;

    REQUIRE_THAT(faas_runtime_open(
                     &rt, &(faas_runtime_options){.size = sizeof(faas_runtime_options),
                                                  .worker_max = 3,
                                                  .dead_letter_slots = 200}) == FAAS_OK);
    functions_register();
    REQUIRE_THAT(pthread_create(&clerk, NULL, clerk_run, &seed) == 0);
    for (uint32_t i = 0; i < THREADS; i++) {
        submitters[i].number = i;
        submitters[i].random = seed * 1000 + i;
        submitters[i].count = count / THREADS;
        submitters[i].event = event_make(i);
        REQUIRE_THAT(pthread_create(&submitters[i].thread, NULL, submitter_run,
                                    &submitters[i]) == 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        REQUIRE_THAT(pthread_join(submitters[i].thread, NULL) == 0);
        faas_event_release(submitters[i].event);
    }
    atomic_store(&over, true);
    REQUIRE_THAT(pthread_join(clerk, NULL) == 0);
    do {
        (void)sched_yield();
        stats = stats_take();
    } while (ended(&stats) != stats.submitted);
    REQUIRE_THAT(stats.submitted == atomic_load(&submitted) + atomic_load(&sent));
    REQUIRE_THAT(stats.queued == 0 && stats.queued_bytes == 0);
    REQUIRE_THAT(faas_runtime_close(rt) == FAAS_OK); // who is told was told by now
    REQUIRE_THAT(atomic_load(&told) == atomic_load(&asked));
    (void)printf("seed %llu: %llu submitted, %llu refused, %llu succeeded, %llu retried, "
                 "%llu cancelled, %llu dropped, %llu shared, %llu in batches; "
                 "%llu calls\n",
                 (unsigned long long)seed, (unsigned long long)stats.submitted,
                 (unsigned long long)stats.refused, (unsigned long long)stats.succeeded,
                 (unsigned long long)stats.retried, (unsigned long long)stats.cancelled,
                 (unsigned long long)stats.dropped, (unsigned long long)stats.shared,
                 (unsigned long long)atomic_load(&batched),
                 (unsigned long long)atomic_load(&calls));
    return 0;
}
