/* SPDX-License-Identifier: MIT */
/* crowd.c - a process with a pool, and the samples it takes. */
#include "crowd.h"

#include "bench.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 8 };

/* Of a sample, whatever it took: what comes before the queue is long does not count. */
enum { ITEMS = 60000, LATENCIES = 1000, SLEEPS = 20, HELPS = 10000 };

/* What one thread has done; on a line of its own, written by that thread alone. */
struct done {
    _Alignas(64) _Atomic uint64_t count;
};

static struct done done_by[THREADS_MAX];
static atomic_uint done_threads;
static _Thread_local struct done *done_here;
static unsigned task_ns;
static double rounds_per_ns;
static _Atomic uint32_t ended; /* the submitter sleeps on it */

static struct {
    const struct crowd *crowd;
    void *pool;
    uint64_t count; /* of each submitter */
    atomic_uint ready;
} run;

static void must(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

/* ---- tasks ---- */

static uint64_t grind(uint64_t rounds)
{
    uint64_t x = rounds;

    for (uint64_t i = 0; i < rounds; i++)
        x = x * 6364136223846793005u + 1442695040888963407u;
    return x;
}

void crowd_work(unsigned ns)
{
    uint64_t x = grind((uint64_t)(ns * rounds_per_ns));

    __asm__ volatile("" : : "r"(x));
}

/* The fastest of some tries: the others were disturbed. */
void crowd_calibrate(void)
{
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < 20; i++) {
        uint64_t begun = bench_now(), x = grind(100000), took = bench_now() - begun;

        __asm__ volatile("" : : "r"(x));
        if (took < best)
            best = took;
    }
    rounds_per_ns = 100000.0 / (double)best;
}

static void on_task(void *user)
{
    (void)user;
    if (task_ns != 0)
        crowd_work(task_ns);
    if (done_here == NULL) {
        unsigned at = atomic_fetch_add(&done_threads, 1);

        must(at < THREADS_MAX, "too many threads");
        done_here = &done_by[at];
    }
    atomic_store_explicit(&done_here->count,
                          atomic_load_explicit(&done_here->count, memory_order_relaxed) +
                              1,
                          memory_order_release);
}

static uint64_t done_count(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < THREADS_MAX; i++)
        sum += atomic_load_explicit(&done_by[i].count, memory_order_acquire);
    return sum;
}

void crowd_sleep(_Atomic uint32_t *word, uint32_t value)
{
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

void crowd_wake(_Atomic uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void on_task_asleep(void *user)
{
    (void)user;
    atomic_fetch_add(&ended, 1);
    crowd_wake(&ended);
}

/* ---- samples ---- */

static void *submitter_main(void *user)
{
    (void)user;
    atomic_fetch_add(&run.ready, 1);
    while (atomic_load(&run.ready) < run.crowd->submitters)
        (void)sched_yield();
    run.crowd->pool->run(run.pool, on_task, NULL, run.count);
    return NULL;
}

static double items(const struct crowd *crowd, uint64_t count)
{
    /* Short sleeps: whoever waits leaves its processor to the workers. */
    const struct timespec moment = {.tv_nsec = 20000};
    pthread_t threads[THREADS_MAX];
    uint64_t begun, submitted, before = done_count();

    /* What is published comes in lots. */
    run.count = (count / crowd->submitters + 63) / 64 * 64;
    count = run.count * crowd->submitters;
    atomic_store(&run.ready, 0);
    begun = bench_now();
    for (unsigned i = 1; i < crowd->submitters; i++)
        must(pthread_create(&threads[i], NULL, submitter_main, NULL) == 0, "a thread");
    (void)submitter_main(NULL);
    for (unsigned i = 1; i < crowd->submitters; i++)
        (void)pthread_join(threads[i], NULL);
    submitted = bench_now();
    while (done_count() - before < count)
        (void)nanosleep(&moment, NULL);
    return (double)((crowd->kind == CROWD_SUBMIT ? submitted : bench_now()) - begun) /
           (double)count;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static double latency(const struct crowd *crowd, uint64_t count)
{
    static uint64_t took[LATENCIES];

    for (uint64_t i = 0; i < count; i++) {
        uint64_t before = done_count(), begun = bench_now();

        crowd->pool->run(run.pool, on_task, NULL, 1);
        while (done_count() == before)
            continue;
        took[i] = bench_now() - begun;
    }
    qsort(took, count, sizeof *took, compare);
    return (double)took[crowd->kind == CROWD_LATENCY_99 ? count * 99 / 100 : count / 2];
}

static double asleep(const struct crowd *crowd, uint64_t count)
{
    /* So long that every worker has gone to sleep. */
    const struct timespec moment = {.tv_nsec = 300000};
    uint64_t spent = 0;

    for (uint64_t i = 0; i < count; i++) {
        uint32_t before = atomic_load(&ended);
        uint64_t begun;

        (void)nanosleep(&moment, NULL);
        begun = bench_now();
        crowd->pool->run(run.pool, on_task_asleep, NULL, 1);
        while (atomic_load(&ended) == before)
            crowd_sleep(&ended, before);
        spent += bench_now() - begun;
    }
    return (double)spent / (double)count;
}

static double helped(const struct crowd *crowd, uint64_t count)
{
    uint64_t begun = bench_now();

    for (uint64_t i = 0; i < count; i++)
        crowd->pool->run_and_wait(run.pool, on_task, NULL);
    return (double)(bench_now() - begun) / (double)count;
}

/* ---- the process ---- */

static void process_main(const struct crowd *crowd, int from, int to)
{
    bool pinned = crowd->workers == 1 && crowd->submitters == 1;
    uint64_t count;

    crowd_calibrate();
    task_ns = crowd->work_ns;
    run.crowd = crowd;
    (void)bench_pin(pinned ? 1 : -1);
    run.pool = crowd->pool->open(crowd->workers);
    (void)bench_pin(pinned ? 0 : -1);
    while (read(from, &count, sizeof count) == sizeof count) {
        double ns = 0;

        switch (crowd->kind) {
        case CROWD_ITEMS:
        case CROWD_SUBMIT:
            ns = items(crowd, ITEMS);
            break;
        case CROWD_LATENCY:
        case CROWD_LATENCY_99:
            ns = latency(crowd, LATENCIES);
            break;
        case CROWD_ASLEEP:
            ns = asleep(crowd, SLEEPS);
            break;
        case CROWD_HELP:
            ns = helped(crowd, HELPS);
            break;
        }
        must(write(to, &ns, sizeof ns) == sizeof ns, "write");
    }
    _exit(0);
}

void crowd_open(struct crowd *crowd)
{
    int there[2], back[2];
    pid_t parent = getpid(), pid;

    must(pipe(there) == 0 && pipe(back) == 0, "pipe");
    (void)fflush(NULL);
    pid = fork();
    must(pid >= 0, "fork");
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        (void)close(there[1]);
        (void)close(back[0]);
        process_main(crowd, there[0], back[1]);
    }
    (void)close(there[0]);
    (void)close(back[1]);
    crowd->to = there[1];
    crowd->from = back[0];
}

double crowd_sample(void *user, uint64_t count)
{
    const struct crowd *crowd = user;
    double ns;

    must(write(crowd->to, &count, sizeof count) == sizeof count &&
             read(crowd->from, &ns, sizeof ns) == sizeof ns,
         crowd->pool->name);
    return ns;
}
