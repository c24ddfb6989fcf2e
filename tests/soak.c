/* SPDX-License-Identifier: MIT */
/* A soak: two threads open a runtime each, do every kind of public work with it, and close
 * it, again and again. No test of ctest's: scripts/soak runs it.
 *
 *     soak [seconds]
 *
 * After each round, when both runtimes are closed, memory, descriptors and threads are
 * read, and once in the middle of it. What the medians of the second quarter of all rounds
 * say must be what those of the last one do: memory to a fiftieth and 1 MiB, descriptors
 * and threads exactly when all is closed. */
#include "stress.h"

#include <faas/faas.h>

#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

enum { PLACES = 2, PASSES = 300, KEPT = 16, ROUNDS_MAX = 100000 };

static pthread_barrier_t meet; /* of both places and of who measures */
static bool over;              /* written while all have met */
static _Atomic uint64_t calls;

struct place {
    pthread_t thread;
    uint64_t random;
    faas_runtime *rt;
    faas_fn plain, batch, heavy, failing, symbol;
    faas_invocation kept[KEPT];
};

static uint32_t dice(struct place *p, uint32_t count)
{
    p->random = p->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)((p->random >> 32) * count >> 32);
}

/* A call that may be refused by a limit, and answers `status` otherwise. */
static void called_at(int line, faas_status got, faas_status status)
{
    atomic_fetch_add(&calls, 1);
    REQUIRE(got == status || got == FAAS_EBUSY, "line %d: %s: %s", line,
            faas_status_name(got), faas_error_text());
}

#define called(got, status) called_at(__LINE__, got, status)
#define must(got) called_at(__LINE__, got, FAAS_OK)

/* ---- functions ---- */

static int plain(faas_context *ctx, faas_bytes input)
{
    char *copy = faas_alloc(ctx, 100 + input.size * 10);

    REQUIRE_THAT(copy != NULL);
    memcpy(copy, input.data, input.size);
    return faas_reply(ctx, faas_bytes_of(copy, input.size));
}

static int heavy_init(faas_context *ctx, void **state)
{
    *state = faas_instance_alloc(ctx, 100000);
    REQUIRE_THAT(*state != NULL);
    memset(*state, 1, 100000);
    faas_instance_holds(ctx, 1000);
    return 0;
}

static int heavy(faas_context *ctx, faas_bytes input)
{
    REQUIRE_THAT(((char *)faas_state(ctx))[99999] == 1);
    return faas_reply_printf(ctx, "%zu bytes", input.size);
}

static void heavy_close(void *state, void *user)
{
    (void)user;
    REQUIRE_THAT(((char *)state)[0] == 1);
}

static int failing(faas_context *ctx, faas_bytes input)
{
    (void)input;
    return faas_fail(ctx, 7, "as always, at attempt %u", faas_attempt(ctx));
}

static int batch(faas_context *ctx, faas_item *items, size_t count)
{
    (void)ctx;
    for (size_t i = 0; i < count; i++)
        items[i].code = faas_reply(items[i].ctx, items[i].input);
    return 0;
}

static void open_all(struct place *p)
{
    static const faas_keepalive keepalives[] = {FAAS_KEEPALIVE_DEFAULT,
                                                FAAS_KEEPALIVE_LRU};
    faas_share shares[2] = {{.version = 1, .weight = 1}, {.version = 2, .weight = 3}};
    uint32_t number;
    faas_fn fn;

    must(faas_runtime_open(
        &p->rt, &(faas_runtime_options){.size = sizeof(faas_runtime_options),
                                        .keepalive = keepalives[dice(p, 2)],
                                        .memory_bytes = 2000000,
                                        .dedupe = FAAS_DEDUPE_ID,
                                        .dead_letter_slots = 100,
                                        .worker_max = dice(p, 3) == 0 ? FAAS_OFF : 2}));
    must(faas_function_register(
        p->rt, FAAS_FUNCTION(.name = "plain", .handler = plain, .concurrency = 3),
        &p->plain));
    must(faas_function_register(p->rt,
                                FAAS_FUNCTION(.name = "heavy", .init = heavy_init,
                                              .handler = heavy, .close = heavy_close,
                                              .invocation_max = 100,
                                              .instance_bytes = 100000),
                                &p->heavy));
    must(faas_function_register(p->rt,
                                FAAS_FUNCTION(.name = "batch", .batch = batch,
                                              .cache_bytes = 50000,
                                              .cache_mode = FAAS_CACHE_SINGLE_FLIGHT),
                                &p->batch));
    must(faas_function_register(
        p->rt,
        FAAS_FUNCTION(.name = "failing", .handler = failing,
                      .async = FAAS_ASYNC(.retries = 1, .backoff_ns = 1000000)),
        &p->failing));
    must(faas_symbol_register(p->rt, "hypot", "d(dd)", (void (*)(void))hypot, NULL,
                              &p->symbol));
    must(faas_function_publish(p->rt, p->plain, &number, &fn));
    must(faas_function_publish(p->rt, p->plain, &number, &fn));
    must(faas_alias_put(p->rt, p->plain, "live", shares, 2, &fn));
    must(faas_subscribe(p->rt, p->plain, FAAS_ON(.type = "order.*"), NULL));
    must(faas_subscribe(p->rt, p->failing, FAAS_ON(.type = "order.failed", .queued = 1),
                        NULL));
    must(faas_rule_put(p->rt, "big",
                       "{\"data\": {\"total\": [{\"numeric\": [\">\", 100]}]}}",
                       p->heavy));
}

/* ---- work ---- */

static int nowhere(const char *text, size_t size, void *user)
{
    (void)text;
    *(size_t *)user += size;
    return 0;
}

static void invoke(struct place *p)
{
    faas_value args[] = {faas_f64(3), faas_f64(4)}, answer;
    char text[32];
    int size = snprintf(text, sizeof text, "input %u", dice(p, 1000));
    faas_bytes input = faas_bytes_of(text, (size_t)size);
    faas_fn fns[] = {p->plain, p->batch, p->heavy}, live;
    faas_result *result = NULL;

    called(faas_invoke(p->rt, fns[dice(p, 3)], input, 0, &result), FAAS_OK);
    REQUIRE_THAT(result == NULL || faas_result_bytes(result).size != 0);
    faas_result_release(result);
    called(faas_invoke(p->rt, p->failing, input, 0, NULL), FAAS_EHANDLER);
    called(faas_call(p->rt, p->symbol, args, 2, 0, &answer), FAAS_OK);
    called(faas_call(p->rt, p->symbol, args, 1, 0, &answer), FAAS_ETYPE);
    must(faas_function_find(p->rt, faas_str("plain:live"), &live));
    must(faas_invoke(p->rt, live, input, 0, NULL));
}

static void publish(struct place *p)
{
    static const char *const types[] = {"order.created", "order.failed", "other"};
    char id[32], data[64];
    faas_event *event;
    size_t bytes = 0;

    (void)snprintf(id, sizeof id, "%u", dice(p, 500));
    (void)snprintf(data, sizeof data, "{\"total\": %u}", dice(p, 200));
    must(faas_event_create(FAAS_EVENT(.id = id, .source = "/soak",
                                      .type = types[dice(p, 3)], .data = faas_str(data)),
                           &event));
    called(faas_publish(p->rt, event, NULL), FAAS_OK);
    must(faas_event_write_json(event, nowhere, &bytes));
    faas_event_release(event);
    called(faas_publish_json(p->rt, "/soak", types[dice(p, 3)], data, NULL), FAAS_OK);
}

static void submit(struct place *p)
{
    faas_fn fns[] = {p->plain, p->batch, p->heavy, p->failing};
    faas_bytes inputs[4] = {faas_str("a"), faas_str("bb"), faas_str("c"), faas_str("d")};
    faas_invocation *slot = &p->kept[dice(p, KEPT)], many[4];
    faas_invocation_info info = {.size = sizeof info};
    faas_status status = FAAS_OK;
    faas_result *result = NULL;
    size_t accepted;

    if (slot->generation != 0) {
        switch (dice(p, 4)) {
        case 0:
            (void)faas_invocation_cancel(p->rt, *slot);
            break;
        case 1:
            status = faas_invocation_wait(p->rt, *slot, 2000000, &result);
            break;
        case 2:
            status = faas_invocation_wait(p->rt, *slot, 0, &result);
            break;
        default:
            must(faas_invocation_describe(p->rt, *slot, &info));
            break;
        }
        REQUIRE_THAT(status != FAAS_ENOENT);
        faas_result_release(result);
        faas_invocation_release(p->rt, *slot);
        *slot = (faas_invocation){0, 0, 0};
    }
    called(faas_invoke_async(p->rt, fns[dice(p, 4)], inputs[dice(p, 4)],
                             FAAS_SUBMIT(.group = dice(p, 2) == 0 ? inputs[dice(p, 4)]
                                                                  : (faas_bytes){NULL, 0},
                                         .tenant = inputs[dice(p, 4)],
                                         .key = dice(p, 4) == 0 ? inputs[dice(p, 4)]
                                                                : (faas_bytes){NULL, 0},
                                         .delay_ns = dice(p, 4) == 0 ? 1000000 : 0),
                             slot),
           FAAS_OK);
    called(
        faas_invoke_async_many(p->rt, fns[dice(p, 3)], inputs, 4, NULL, many, &accepted),
        FAAS_OK);
    for (size_t i = 0; i < accepted; i++)
        faas_invocation_release(p->rt, many[i]);
    (void)faas_run_once(p->rt, 100000, NULL);
}

static void edit(struct place *p)
{
    char name[32], pattern[96];
    uint64_t id;
    faas_fn fn;

    (void)snprintf(name, sizeof name, "rule %u", dice(p, 20));
    (void)snprintf(pattern, sizeof pattern, "{\"type\": [{\"prefix\": \"order.%u\"}]}",
                   dice(p, 9));
    must(faas_rule_put(p->rt, name, pattern, p->plain));
    called(faas_rule_put(p->rt, name, "{\"type\": [{\"prefix\": 1}]}", p->plain),
           FAAS_EINVAL);
    if (dice(p, 2) == 0)
        must(faas_rule_delete(p->rt, name));
    must(faas_subscribe(p->rt, p->heavy, FAAS_ON(.type = "order.created"), &id));
    must(faas_unsubscribe(p->rt, id));
    must(faas_function_register(p->rt,
                                FAAS_FUNCTION(.name = "passing", .init = heavy_init,
                                              .handler = heavy, .close = heavy_close,
                                              .provisioned = dice(p, 2)),
                                &fn));
    must(faas_invoke(p->rt, fn, faas_str("x"), 0, NULL));
    must(faas_function_replace(p->rt, fn,
                               FAAS_FUNCTION(.name = "passing", .handler = plain)));
    must(faas_invoke(p->rt, fn, faas_str("x"), 0, NULL));
    must(faas_function_unregister(p->rt, fn));
    called(faas_invoke(p->rt, fn, faas_str("x"), 0, NULL), FAAS_ENOENT);
    must(faas_function_update(p->rt, p->plain,
                              FAAS_FUNCTION(.concurrency = 2 + dice(p, 3))));
    must(faas_runtime_limit(p->rt, 10 + dice(p, 10)));
    faas_runtime_budget(p->rt, 50000 + dice(p, 2000000)); // evicts
    faas_runtime_budget(p->rt, 2000000);
    faas_runtime_sweep(p->rt, NULL);
}

static int letter(const faas_record *record, void *user)
{
    *(size_t *)user += record->condition != FAAS_SUCCESS;
    return 0;
}

static void look(struct place *p)
{
    static const faas_fn its_own;
    faas_letter_filter filter = {.size = sizeof filter, .most = 1 + dice(p, 10)};
    faas_keepalive_stats keepalive = {.size = sizeof keepalive};
    faas_function_stats stats = {.size = sizeof stats};
    faas_async_stats async = {.size = sizeof async};
    faas_function_info info = {.size = sizeof info};
    faas_explanation why;
    faas_ruleset *set;
    faas_clock *clock;
    uint64_t count;
    uint32_t at = 0;
    size_t bytes = 0;
    faas_fn fn;
    int fd;

    must(faas_describe_json(p->rt, nowhere, &bytes));
    must(faas_prometheus(p->rt, nowhere, &bytes));
    must(faas_function_stats_get(p->rt, p->heavy, &stats, NULL));
    must(faas_async_stats_get(p->rt, p->plain, &async));
    must(faas_keepalive_stats_get(p->rt, &keepalive));
    while (faas_function_next(p->rt, &at, &fn) == FAAS_OK)
        must(faas_function_describe(p->rt, fn, &info));
    must(faas_letters_list(p->rt, &filter, letter, &bytes, &count));
    called(faas_letters_redrive(p->rt, &filter, its_own, &count), FAAS_OK);
    must(faas_letters_purge(p->rt, &filter, &count));
    must(faas_poll_fd(p->rt, &fd));
    must(faas_pattern_explain(faas_str("{\"a\": [1]}"), faas_str("{\"a\": 2}"), NULL,
                              &why));
    must(faas_ruleset_open(&set, NULL));
    must(faas_ruleset_put(set, "one", faas_str("{\"a\": [1]}"), NULL));
    faas_ruleset_close(set);
    must(faas_clock_open_virtual(0, NULL, &clock));
    faas_clock_advance(clock, 1000);
    faas_clock_close(clock);
}

static void round_run(struct place *p)
{
    open_all(p);
    for (int i = 0; i < PASSES; i++) {
        invoke(p);
        publish(p);
        submit(p);
        if (i % 10 == 0)
            edit(p);
        if (i % 10 == 5)
            look(p);
        if (i == PASSES / 2) {
            (void)pthread_barrier_wait(&meet);
            (void)pthread_barrier_wait(&meet); // measured
        }
    }
    for (int i = 0; i < KEPT; i++)
        if (p->kept[i].generation != 0 && dice(p, 2) == 0)
            faas_invocation_release(p->rt, p->kept[i]);
    memset(p->kept, 0, sizeof p->kept);
    must(faas_runtime_close_with(
        p->rt, FAAS_CLOSE(.drain_ns = dice(p, 2) == 0 ? 0 : 100000000)));
}

static void *place_run(void *user)
{
    do {
        round_run(user);
        (void)pthread_barrier_wait(&meet);
        (void)pthread_barrier_wait(&meet);
    } while (!over);
    return NULL;
}

/* ---- measuring ---- */

enum { OPEN_BYTES, BYTES, OPEN_FDS, FDS, OPEN_THREADS, THREADS, MEASURES };

static const char *const names[MEASURES] = {"KiB, open",         "KiB, closed",
                                            "descriptors, open", "descriptors, closed",
                                            "threads, open",     "threads, closed"};

static uint32_t seen[MEASURES][ROUNDS_MAX];

static uint32_t entries_of(const char *folder)
{
    DIR *dir = opendir(folder);
    uint32_t count = 0;

    REQUIRE_THAT(dir != NULL);
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count;
}

static uint32_t resident_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long all, resident;

    REQUIRE_THAT(file != NULL && fscanf(file, "%lu %lu", &all, &resident) == 2);
    (void)fclose(file);
    return (uint32_t)(resident * (unsigned long)sysconf(_SC_PAGESIZE) / 1024);
}

static void measure(uint32_t round, bool open)
{
    seen[open ? OPEN_BYTES : BYTES][round] = resident_kib();
    seen[open ? OPEN_FDS : FDS][round] = entries_of("/proc/self/fd");
    seen[open ? OPEN_THREADS : THREADS][round] = entries_of("/proc/self/task");
}

static int by_size(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

/* Sorts that part of them. */
static uint32_t median(uint32_t *values, uint32_t from, uint32_t to)
{
    qsort(values + from, to - from, sizeof *values, by_size);
    return values[from + (to - from) / 2];
}

static int verdict(uint32_t rounds)
{
    int wrong = 0;

    (void)printf("%u rounds, %llu public calls and more\n", rounds,
                 (unsigned long long)atomic_load(&calls));
    (void)printf("%-22s %10s %10s\n", "medians", "2nd quarter", "last");
    for (int i = 0; i < MEASURES; i++) {
        uint32_t early = median(seen[i], rounds / 4, rounds / 2);
        uint32_t late = median(seen[i], rounds / 4 * 3, rounds);
        uint32_t slack = i == BYTES || i == OPEN_BYTES ? early / 50 + 1024
                         : i == FDS || i == THREADS    ? 0
                                                       : 1;
        bool flat = late <= early + slack;

        (void)printf("%-22s %10u %10u%s\n", names[i], early, late,
                     flat ? "" : "  it grows");
        wrong += !flat;
    }
    return wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 600;
    struct place places[PLACES] = {{.random = 1}, {.random = 2}};
    struct timespec begun, now;
    uint32_t rounds = 0;

    REQUIRE_THAT(pthread_barrier_init(&meet, NULL, PLACES + 1) == 0);
    (void)clock_gettime(CLOCK_MONOTONIC, &begun);
    for (int i = 0; i < PLACES; i++)
        REQUIRE_THAT(pthread_create(&places[i].thread, NULL, place_run, &places[i]) == 0);
    do {
        (void)pthread_barrier_wait(&meet);
        measure(rounds, true);
        (void)pthread_barrier_wait(&meet);
        (void)pthread_barrier_wait(&meet);
        measure(rounds++, false);
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        over = rounds == ROUNDS_MAX || (double)(now.tv_sec - begun.tv_sec) >= seconds;
        (void)pthread_barrier_wait(&meet);
    } while (!over);
    for (int i = 0; i < PLACES; i++)
        REQUIRE_THAT(pthread_join(places[i].thread, NULL) == 0);
    (void)pthread_barrier_destroy(&meet);
    return verdict(rounds);
}
