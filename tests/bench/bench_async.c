/* SPDX-License-Identifier: MIT */
/* bench_async.c - asynchronous invocations beside pools of threads.
 *
 * Ours are whole invocations: bounded queue, cap, instance, deadline, meter, an end that
 * can be waited for. The peers run bare tasks: a function and a pointer. Each subject runs
 * in a process of its own (crowd.h). */
#include "bench.h"

#include "crowd.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- texts, which live as long as the program ---- */

enum { TEXT = 96 };

static const char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

static const char *text(const char *format, ...)
{
    va_list args;
    char *made = malloc(TEXT);

    if (made == NULL)
        abort();
    va_start(args, format);
    (void)vsnprintf(made, TEXT, format, args);
    va_end(args);
    return made;
}

/* ---- libfaas as a pool ---- */

enum { SLOTS = 1 << 22 };

static faas_runtime *rt;
static faas_fn fn;
static peer_task *task_now; /* set before the first submission */

static int on_call(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    (void)input;
    task_now(NULL);
    return 0;
}

static void open_with(const faas_runtime_options *options)
{
    bench_check(faas_runtime_open(&rt, options), "open");
    bench_check(
        faas_function_register(rt,
                               FAAS_FUNCTION(.name = "task", .handler = on_call,
                                             .concurrency = 64, .timeout_ns = 60000000000,
                                             .async = FAAS_ASYNC(.queue_slots = SLOTS)),
                               &fn),
        "register");
}

static void *open_spinning(unsigned workers, uint64_t spin_ns)
{
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;

    options.worker_min = options.worker_max = workers;
    options.queue_slots = SLOTS;
    options.spin_ns = spin_ns;
    open_with(&options);
    return rt;
}

static void *open_pool(unsigned workers)
{
    return open_spinning(workers, 0);
}

static void *open_looking(unsigned workers)
{
    return open_spinning(workers, 1000000);
}

static void run(void *pool, peer_task *task, void *user, uint64_t count)
{
    (void)pool;
    (void)user;
    task_now = task;
    for (uint64_t i = 0; i < count; i++)
        bench_check(faas_invoke_async(rt, fn, faas_bytes_of(NULL, 0), NULL, NULL),
                    "invoke");
}

static void run_many(void *pool, peer_task *task, void *user, uint64_t count)
{
    (void)pool;
    (void)user;
    task_now = task;
    for (uint64_t i = 0; i < count; i += 256)
        bench_check(faas_invoke_async_many(rt, fn, NULL,
                                           count - i < 256 ? count - i : 256, NULL, NULL,
                                           NULL),
                    "invoke many");
}

static void run_and_wait(void *pool, peer_task *task, void *user)
{
    faas_invocation invocation;

    (void)pool;
    (void)user;
    task_now = task;
    bench_check(faas_invoke_async(rt, fn, faas_bytes_of(NULL, 0),
                                  FAAS_SUBMIT(.will_wait = 1), &invocation),
                "invoke");
    bench_check(faas_invocation_wait(rt, invocation, FAAS_FOREVER, NULL), "wait");
    faas_invocation_release(rt, invocation);
}

static const struct peer_pool ours = {"libfaas", open_pool, run, run_and_wait},
                              ours_looking = {"libfaas", open_looking, run, NULL},
                              ours_many = {"libfaas, 256 at once", open_pool, run_many,
                                           NULL};

/* ---- grouped ---- */

/* `count` invocations in groups of ten, all of which are there before one comes again. */
static void run_grouped(void *pool, peer_task *task, void *user, uint64_t count)
{
    uint32_t groups = (uint32_t)(count / 10 + 1);

    (void)pool;
    (void)user;
    task_now = task;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t group = (uint32_t)(i % groups);

        bench_check(faas_invoke_async(
                        rt, fn, faas_bytes_of(NULL, 0),
                        FAAS_SUBMIT(.group = faas_bytes_of(&group, sizeof group)), NULL),
                    "invoke");
    }
}

static const struct peer_pool ours_grouped = {"libfaas, in groups of ten", open_pool,
                                              run_grouped, NULL};

/* ---- published ---- */

static faas_event *event;

static void publish_open(unsigned targets)
{
    faas_fn target;

    (void)open_pool(1);
    for (unsigned i = 0; i < targets; i++) {
        bench_check(faas_function_register(
                        rt,
                        FAAS_FUNCTION(.name = text("target-%u", i), .handler = on_call,
                                      .concurrency = 64, .timeout_ns = 60000000000,
                                      .async = FAAS_ASYNC(.queue_slots = SLOTS)),
                        &target),
                    "register");
        bench_check(
            faas_subscribe(rt, target, FAAS_ON(.type = "published", .queued = 1), NULL),
            "subscribe");
    }
    bench_check(
        faas_event_create(
            FAAS_EVENT(.id = "1", .source = "/bench", .type = "published",
                       .data = faas_str("{\"text\": \"sixty-four bytes, as many as the "
                                        "others get, in all.....\"}")),
            &event),
        "event");
}

static void *open_1(unsigned workers)
{
    (void)workers;
    publish_open(1);
    return NULL;
}

static void *open_8(unsigned workers)
{
    (void)workers;
    publish_open(8);
    return NULL;
}

static void *open_64(unsigned workers)
{
    (void)workers;
    publish_open(64);
    return NULL;
}

static void publish(uint64_t count, unsigned targets, peer_task *task)
{
    task_now = task;
    for (uint64_t i = 0; i < count; i += targets)
        bench_check(faas_publish(rt, event, NULL), "publish");
}

static void publish_1(void *pool, peer_task *task, void *user, uint64_t count)
{
    (void)pool;
    (void)user;
    publish(count, 1, task);
}

static void publish_8(void *pool, peer_task *task, void *user, uint64_t count)
{
    (void)pool;
    (void)user;
    publish(count, 8, task);
}

static void publish_64(void *pool, peer_task *task, void *user, uint64_t count)
{
    (void)pool;
    (void)user;
    publish(count, 64, task);
}

static const struct peer_pool ours_published[] = {
    {"libfaas, 1 target", open_1, publish_1, NULL},
    {"libfaas, 8 targets", open_8, publish_8, NULL},
    {"libfaas, 64 targets", open_64, publish_64, NULL}};

/* ---- a bare hand-over ---- */

static _Atomic uint32_t handed;
static peer_task *task_handed;

static void *hand_main(void *user)
{
    uint32_t seen = 0;

    (void)user;
    for (;;) {
        while (atomic_load(&handed) == seen)
            crowd_sleep(&handed, seen);
        seen++;
        task_handed(NULL);
    }
    return NULL;
}

static void *hand_open(unsigned workers)
{
    pthread_t thread;

    (void)workers;
    if (pthread_create(&thread, NULL, hand_main, NULL) != 0)
        abort();
    return NULL;
}

static void hand_over(void *pool, peer_task *task, void *user, uint64_t count)
{
    (void)pool;
    (void)user;
    (void)count;
    task_handed = task;
    atomic_fetch_add(&handed, 1);
    crowd_wake(&handed);
}

static const struct peer_pool bare_futex = {"a futex", hand_open, hand_over, NULL};

/* ---- memory ---- */

/* What a million invocations that wait, without input, take each. */
static double queued_bytes(void)
{
    enum { COUNT = 1000000 };
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;
    uint64_t before;
    double each;

    options.worker_max = FAAS_OFF;
    options.queue_slots = SLOTS;
    options.allocator = &bench_counting;
    open_with(&options);
    before = bench_live_bytes();
    run(NULL, NULL, NULL, COUNT);
    each = (double)(bench_live_bytes() - before) / COUNT;
    bench_check(faas_runtime_close(rt), "close");
    return each;
}

/* ---- subjects ---- */

enum { PEERS = 4, SUBJECTS_MAX = 64 };

static const struct peer_pool *const peers[PEERS] = {&peer_libuv, &peer_gthreadpool,
                                                     &peer_tbb, &peer_moodycamel};

static bench_figure subject(const struct crowd *what, const char *name)
{
    static struct crowd all[SUBJECTS_MAX];
    static unsigned count;
    struct crowd *crowd = &all[count++];

    *crowd = *what;
    crowd_open(crowd);
    return bench_sample(text("%s: %s", name, what->pool->name), crowd_sample, crowd);
}

/* So many submitters and workers, and tasks that work so long; ours is to take `part` of
 * what the best peer does, and libuv's `uv` of it. Returns our figure. */
static bench_figure throughput(unsigned submitters, unsigned workers, unsigned work_ns,
                               double part, double uv)
{
    const char *name =
        text("%u submitter%s, %u worker%s, %s", submitters, submitters == 1 ? "" : "s",
             workers, workers == 1 ? "" : "s", work_ns == 0 ? "empty" : "1 us of work");
    struct crowd crowd = {&ours, CROWD_ITEMS, submitters, workers, work_ns, -1, -1};
    bench_figure *of = calloc(PEERS, sizeof *of), mine, best, ratio;

    if (of == NULL)
        abort();
    mine = subject(&crowd, name);
    for (int i = 0; i < PEERS; i++) {
        crowd.pool = peers[i];
        of[i] = subject(&crowd, name);
    }
    best = bench_least(text("%s: the best peer", name), of, PEERS);
    ratio = bench_ratio(text("%s: libfaas / the best peer", name), mine, best);
    if (part != 0)
        bench_target(ratio, part);
    ratio = bench_ratio(text("%s: libfaas / libuv", name), mine, of[0]);
    if (uv != 0)
        bench_target(ratio, uv);
    return mine;
}

static bench_figure alone(const struct peer_pool *pool, enum crowd_kind kind,
                          const char *name)
{
    return subject(&(struct crowd){pool, kind, 1, 1, 0, -1, -1}, name);
}

static void work(void *user, uint64_t count)
{
    (void)user;
    for (uint64_t i = 0; i < count; i++)
        crowd_work(1000);
}

int main(int argc, char **argv)
{
    bench_figure one, two, worked, both, grouped, figure;

    bench_open(argc, argv, "async");
    one = throughput(1, 1, 0, 1 / 2.5, 0);
    two = throughput(1, 2, 0, 0, 1 / 3.0);
    bench_target(bench_ratio("empty: 2 workers / 1 worker", two, one), 1);
    (void)throughput(2, 2, 0, 1 / 1.5, 0);
    worked = throughput(1, 2, 1000, 1 / 1.03, 0);
    crowd_calibrate();
    both = bench_pair("1 us of work, on both processors", work, NULL, NULL);
    /* Both do one in that time. */
    bench_target(bench_ratio("1 us of work: libfaas / both processors", worked, both),
                 1 / 0.85 / 2);

    bench_target(bench_ratio("submit and wait: libfaas / oneTBB",
                             alone(&ours, CROWD_HELP, "submit and wait"),
                             alone(&peer_tbb_group, CROWD_HELP, "submit and wait")),
                 1.1);
    bench_target(bench_ratio("latency, half: libfaas / oneTBB",
                             alone(&ours_looking, CROWD_LATENCY, "latency, half"),
                             alone(&peer_tbb, CROWD_LATENCY, "latency, half")),
                 0.75);
    bench_target(bench_ratio("latency, 99 of 100: libfaas / oneTBB",
                             alone(&ours_looking, CROWD_LATENCY_99, "latency, 99 of 100"),
                             alone(&peer_tbb, CROWD_LATENCY_99, "latency, 99 of 100")),
                 0.75);
    bench_target(bench_ratio("all asleep: libfaas / a futex",
                             alone(&ours, CROWD_ASLEEP, "all asleep"),
                             alone(&bare_futex, CROWD_ASLEEP, "all asleep")),
                 1.15);
    bench_target(bench_ratio("submission: 256 at once / one by one",
                             alone(&ours_many, CROWD_SUBMIT, "submission"),
                             alone(&ours, CROWD_SUBMIT, "submission")),
                 0.5);
    (void)alone(&ours_many, CROWD_ITEMS, "1 submitter, 1 worker, empty");
    grouped = subject(&(struct crowd){&ours_grouped, CROWD_ITEMS, 1, 2, 0, -1, -1},
                      "1 submitter, 2 workers, empty");
    figure = bench_ratio("in groups of ten / without, 2 workers", grouped, two);
    bench_target(figure, 1.5);
    for (int i = 0; i < 3; i++) {
        static const double parts[] = {1 / 4.0, 1 / 1.2, 1};
        const char *name = text("published, %d targets, each", 1 << 3 * i);

        figure = bench_ratio(text("%s: libfaas / ZeroMQ", name),
                             alone(&ours_published[i], CROWD_ITEMS, name),
                             alone(&peer_zeromq[i], CROWD_ITEMS, name));
        bench_target(figure, parts[i]);
    }
    bench_run();
    bench_target(
        bench_once("memory of a queued invocation, of 1,000,000", "B", queued_bytes()),
        192);
    return bench_close();
}
