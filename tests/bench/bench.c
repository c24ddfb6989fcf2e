/* SPDX-License-Identifier: MIT */
/* bench.c - rounds, samples, and the table of figures. */
#define _GNU_SOURCE // sched_setaffinity(), RUSAGE_THREAD
#include "bench.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { FIGURES_MAX = 96, ROUNDS_MAX = 45, ROUNDS_QUICK = 15 };

/* How long a sample takes: short, so that most of them are over before somebody else
 * wants the processor. */
enum { SAMPLE_NS = 4000000, SAMPLE_QUICK_NS = 2000000 };

/* Times a sample is taken again because the thread had to make way meanwhile. */
enum { AGAIN_MAX = 5 };

enum kind { TIME, SAMPLE, PAIR, DIFFERENCE, RATIO, LEAST, ONCE };

struct figure {
    enum kind kind;
    const char *subject;
    const char *unit;
    bench_body *body;
    bench_sampler *sampler;
    void *user[2];
    bench_figure a, b;
    const bench_figure *of;
    unsigned of_count;
    double steps;
    uint64_t count; /* in one sample */
    double values[ROUNDS_MAX];
    double median;
    double target; /* 0: none */
};

/* The other thread: it sleeps until there is a job. */
static struct {
    sem_t go, done;
    const struct figure *job;
    uint64_t count;
    double ns;
    bool disturbed;
    atomic_uint arrived;
} partner;

static struct {
    const char *name;
    bool quick;
    unsigned rounds;
    uint64_t sample_ns;
    struct figure figures[FIGURES_MAX];
    unsigned count;
    unsigned finished; /* of these */
    unsigned disturbed;
} bench;

/* ---- threads ---- */

uint64_t bench_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void bench_check(faas_status status, const char *what)
{
    if (status == FAAS_OK)
        return;
    (void)fprintf(stderr, "bench_%s: %s: %s: %s\n", bench.name, what,
                  faas_status_name(status), faas_error_text());
    exit(1);
}

int bench_pin(int nth)
{
    static cpu_set_t all; // of the program, before it was pinned
    cpu_set_t one;
    size_t cpu = CPU_SETSIZE;

    if (CPU_COUNT(&all) == 0 && sched_getaffinity(0, sizeof all, &all) != 0)
        return -1;
    if (nth < 0)
        return sched_setaffinity(0, sizeof all, &all) == 0 ? 0 : -1;
    while (cpu-- > 0)
        if (CPU_ISSET(cpu, &all) && nth-- == 0)
            break;
    if (cpu == SIZE_MAX)
        return -1;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return sched_setaffinity(0, sizeof one, &one) == 0 ? (int)cpu : -1;
}

/* How often this thread had to make way. */
static long preemptions(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
}

/* One half of a sample: both threads begin together. */
static double pair_half(const struct figure *figure, int side, uint64_t count,
                        bool *disturbed)
{
    long before;
    uint64_t begun;
    double ns;

    figure->body(figure->user[side], 64); // hints and caches
    atomic_fetch_add(&partner.arrived, 1);
    while (atomic_load(&partner.arrived) < 2)
        continue;
    before = preemptions();
    begun = bench_now();
    figure->body(figure->user[side], count);
    ns = (double)(bench_now() - begun) / (double)count;
    *disturbed = preemptions() != before;
    return ns;
}

static void *partner_main(void *user)
{
    int *cpu = user;

    *cpu = bench_pin(1);
    (void)sem_post(&partner.done);
    for (;;) {
        while (sem_wait(&partner.go) != 0)
            continue;
        partner.ns = pair_half(partner.job, 1, partner.count, &partner.disturbed);
        (void)sem_post(&partner.done);
    }
    return NULL;
}

static double pair_sample(const struct figure *figure, uint64_t count, bool *disturbed)
{
    double ns;

    atomic_store(&partner.arrived, 0);
    partner.job = figure;
    partner.count = count;
    (void)sem_post(&partner.go);
    ns = pair_half(figure, 0, count, disturbed);
    while (sem_wait(&partner.done) != 0)
        continue;
    *disturbed |= partner.disturbed;
    return (ns + partner.ns) / 2;
}

void bench_open(int argc, char **argv, const char *name)
{
    static int partner_cpu;
    pthread_t thread;
    int cpu;

    bench.name = name;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") != 0) {
            (void)fprintf(stderr, "usage: bench_%s [--quick]\n", name);
            exit(2);
        }
        bench.quick = true;
    }
    bench.rounds = bench.quick ? ROUNDS_QUICK : ROUNDS_MAX;
    bench.sample_ns = bench.quick ? SAMPLE_QUICK_NS : SAMPLE_NS;
    (void)sem_init(&partner.go, 0, 0);
    (void)sem_init(&partner.done, 0, 0);
    if (pthread_create(&thread, NULL, partner_main, &partner_cpu) != 0) {
        (void)fprintf(stderr, "bench_%s: no second thread\n", name);
        exit(1);
    }
    (void)sem_wait(&partner.done);
    cpu = bench_pin(0);
    if (cpu >= 0 && partner_cpu >= 0)
        (void)printf("# %s: pinned to processor %d, the other thread to %d", name, cpu,
                     partner_cpu);
    else
        (void)printf("# %s: not pinned: two processors are not to be had", name);
    (void)printf("; %u rounds of samples of %.0f ms\n", bench.rounds,
                 (double)bench.sample_ns / 1e6);
}

bool bench_is_quick(void)
{
    return bench.quick;
}

/* ---- memory ---- */

static _Atomic uint64_t live_bytes;

static void *counting_alloc(size_t size, void *user)
{
    (void)user;
    atomic_fetch_add_explicit(&live_bytes, size, memory_order_relaxed);
    return malloc(size);
}

static void counting_free(void *memory, size_t size, void *user)
{
    (void)user;
    atomic_fetch_sub_explicit(&live_bytes, size, memory_order_relaxed);
    free(memory);
}

const faas_allocator bench_counting = {counting_alloc, counting_free, NULL};

uint64_t bench_live_bytes(void)
{
    return atomic_load_explicit(&live_bytes, memory_order_relaxed);
}

/* ---- figures ---- */

static struct figure *figure_add(enum kind kind, const char *subject, const char *unit)
{
    struct figure *figure = &bench.figures[bench.count];

    if (bench.count == FIGURES_MAX) {
        (void)fprintf(stderr, "bench_%s: more than %d figures\n", bench.name,
                      FIGURES_MAX);
        exit(1);
    }
    bench.count++;
    figure->kind = kind;
    figure->subject = subject;
    figure->unit = unit;
    return figure;
}

static bench_figure figure_id(const struct figure *figure)
{
    return (bench_figure)(figure - bench.figures);
}

bench_figure bench_time(const char *subject, bench_body *body, void *user)
{
    struct figure *figure = figure_add(TIME, subject, "ns");

    figure->body = body;
    figure->user[0] = user;
    return figure_id(figure);
}

bench_figure bench_sample(const char *subject, bench_sampler *sampler, void *user)
{
    struct figure *figure = figure_add(SAMPLE, subject, "ns");

    figure->sampler = sampler;
    figure->user[0] = user;
    return figure_id(figure);
}

bench_figure bench_pair(const char *subject, bench_body *body, void *first, void *second)
{
    struct figure *figure = figure_add(PAIR, subject, "ns");

    figure->body = body;
    figure->user[0] = first;
    figure->user[1] = second;
    return figure_id(figure);
}

bench_figure bench_difference(const char *subject, bench_figure a, bench_figure b,
                              double steps)
{
    struct figure *figure = figure_add(DIFFERENCE, subject, "ns");

    figure->a = a;
    figure->b = b;
    figure->steps = steps;
    return figure_id(figure);
}

bench_figure bench_ratio(const char *subject, bench_figure a, bench_figure b)
{
    struct figure *figure = figure_add(RATIO, subject, "ratio");

    figure->a = a;
    figure->b = b;
    return figure_id(figure);
}

bench_figure bench_least(const char *subject, const bench_figure *of, unsigned count)
{
    struct figure *figure = figure_add(LEAST, subject, bench.figures[of[0]].unit);

    figure->of = of;
    figure->of_count = count;
    return figure_id(figure);
}

void bench_target(bench_figure figure, double at_most)
{
    bench.figures[figure].target = at_most;
}

/* Digits behind the point: four in all where the value has so many. */
static int digits(double value)
{
    double size = value < 0 ? -value : value;

    return size < 10 ? 3 : size < 100 ? 2 : size < 1000 ? 1 : 0;
}

bench_figure bench_once(const char *subject, const char *unit, double value)
{
    struct figure *figure = figure_add(ONCE, subject, unit);

    figure->median = value;
    (void)printf("%s\t%s\t%s\t%.*f\t-\t1\n", bench.name, subject, unit, digits(value),
                 value);
    (void)fflush(stdout);
    return figure_id(figure);
}

/* ---- rounds ---- */

/* One sample: what one took. */
static double sample(const struct figure *figure, uint64_t count, bool *disturbed)
{
    long before = preemptions();
    uint64_t begun;
    double ns;

    if (figure->kind == PAIR)
        return pair_sample(figure, count, disturbed);
    if (figure->kind == SAMPLE) {
        ns = figure->sampler(figure->user[0], count);
    } else {
        begun = bench_now();
        figure->body(figure->user[0], count);
        ns = (double)(bench_now() - begun) / (double)count;
    }
    *disturbed = preemptions() != before;
    return ns;
}

/* How many fill a sample. The first samples also warm everything up. */
static uint64_t calibrate(const struct figure *figure)
{
    uint64_t count = 1;
    double ns;
    bool disturbed;

    do {
        count *= 2;
        ns = sample(figure, count, &disturbed);
    } while (ns * (double)count < (double)bench.sample_ns / 4 && count < 1ull << 40);
    count = (uint64_t)((double)bench.sample_ns / ns);
    return count == 0 ? 1 : count;
}

static bool is_measured(const struct figure *figure)
{
    return figure->kind <= PAIR;
}

static void round_run(unsigned round)
{
    for (unsigned i = bench.finished; i < bench.count; i++) {
        struct figure *figure = &bench.figures[i];
        const double *a = bench.figures[figure->a].values;
        const double *b = bench.figures[figure->b].values;
        bool disturbed;

        if (figure->kind == LEAST) {
            figure->values[round] = bench.figures[figure->of[0]].values[round];
            for (unsigned j = 1; j < figure->of_count; j++)
                figure->values[round] = fmin(figure->values[round],
                                             bench.figures[figure->of[j]].values[round]);
        }
        if (figure->kind == DIFFERENCE)
            figure->values[round] = (a[round] - b[round]) / figure->steps;
        else if (figure->kind == RATIO)
            figure->values[round] = a[round] / b[round];
        if (!is_measured(figure))
            continue;
        for (int again = 0; again <= AGAIN_MAX; again++) {
            figure->values[round] = sample(figure, figure->count, &disturbed);
            if (!disturbed)
                break;
        }
        bench.disturbed += disturbed;
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void figure_print(struct figure *figure)
{
    double sorted[ROUNDS_MAX], p99;
    unsigned n = bench.rounds;

    memcpy(sorted, figure->values, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare);
    figure->median = sorted[n / 2];
    p99 = sorted[(n * 99 + 99) / 100 - 1];
    (void)printf("%s\t%s\t%s\t%.*f\t%.*f\t%u\n", bench.name, figure->subject,
                 figure->unit, digits(figure->median), figure->median, digits(p99), p99,
                 n);
}

void bench_run(void)
{
    for (unsigned i = bench.finished; i < bench.count; i++)
        if (is_measured(&bench.figures[i]))
            bench.figures[i].count = calibrate(&bench.figures[i]);
    for (unsigned round = 0; round < bench.rounds; round++)
        round_run(round);
    for (; bench.finished < bench.count; bench.finished++)
        if (bench.figures[bench.finished].kind != ONCE)
            figure_print(&bench.figures[bench.finished]);
    (void)fflush(stdout);
}

int bench_close(void)
{
    if (bench.disturbed != 0)
        (void)printf("# %s: %u samples were disturbed by other processes, each time they "
                     "were taken\n",
                     bench.name, bench.disturbed);
    for (unsigned i = 0; i < bench.count; i++) {
        const struct figure *figure = &bench.figures[i];

        if (figure->target > 0)
            (void)printf("# target: %s: at most %g %s; measured %.*f: %s\n",
                         figure->subject, figure->target, figure->unit,
                         digits(figure->median), figure->median,
                         figure->median <= figure->target ? "met" : "missed");
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
