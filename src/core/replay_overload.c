/* SPDX-License-Identifier: MIT */
/* replay_overload.c - more calls than can be served, through the limiters, in virtual
 * time.
 *
 * The random numbers are drawn in a fixed order, from the generator and by the formula
 * that libstdc++ has, so that figures made there can be compared digit by digit. */
#include "admission.h"
#include "mem.h"
#include "replay.h"

#include <faas/overload.h>

#include <math.h>
#include <stdlib.h>

/* ---- random numbers ---- */

enum { TWIST_WORDS = 312, TWIST_MIDDLE = 156 };

/* MT19937-64. Source: Nishimura, Tables of 64-bit Mersenne Twisters, 2000. */
struct twister {
    uint64_t words[TWIST_WORDS];
    unsigned at;
};

static void twister_seed(struct twister *t, uint64_t seed)
{
    t->words[0] = seed;
    for (unsigned i = 1; i < TWIST_WORDS; i++)
        t->words[i] =
            UINT64_C(6364136223846793005) * (t->words[i - 1] ^ t->words[i - 1] >> 62) + i;
    t->at = TWIST_WORDS;
}

static void twister_turn(struct twister *t)
{
    const uint64_t high = UINT64_C(0xffffffff80000000);

    for (unsigned i = 0; i < TWIST_WORDS; i++) {
        uint64_t x = (t->words[i] & high) | (t->words[(i + 1) % TWIST_WORDS] & ~high);

        t->words[i] = t->words[(i + TWIST_MIDDLE) % TWIST_WORDS] ^ x >> 1 ^
                      ((x & 1) == 0 ? 0 : UINT64_C(0xb5026f5aa96619e9));
    }
    t->at = 0;
}

static uint64_t twister_next(struct twister *t)
{
    uint64_t x;

    if (t->at == TWIST_WORDS)
        twister_turn(t);
    x = t->words[t->at++];
    x ^= x >> 29 & UINT64_C(0x5555555555555555);
    x ^= x << 17 & UINT64_C(0x71d67fffeda60000);
    x ^= x << 37 & UINT64_C(0xfff7eee000000000);
    return x ^ x >> 43;
}

/* Of mean 1. */
static double exponential(struct twister *t)
{
    double uniform = (double)twister_next(t) / 0x1p64;

    if (uniform >= 1)
        uniform = 1 - 0x1p-53; // it was rounded up
    return -log(1 - uniform);
}

/* ---- the experiment ---- */

/* One that waits or runs. */
struct call {
    uint64_t arrived, began, ends;
    uint32_t in_flight; /* when it was let in, it included */
    bool busy;          /* of a worker: it runs */
};

struct experiment {
    const faas_overload *how;
    const faas_allocator *allocator;
    struct faasi_admission admission;
    struct twister dice;
    struct call *queue; /* from `first` to `last` - 1 */
    size_t first, last, room;
    struct call *workers;
    uint64_t *latencies; /* of those that count */
    size_t latency_count, latency_room;
    uint32_t in_flight;
    uint64_t now;
    uint64_t round; /* all phases once */
    faas_overload_result result;
};

static const faas_load_phase *phase_now(const struct experiment *e)
{
    const faas_load_phase *phase = e->how->phases;
    uint64_t at = e->now % e->round;

    for (; at >= phase->length_ns; phase++)
        at -= phase->length_ns;
    return phase;
}

/* Some time ahead, by a random number and its mean in ns. */
static uint64_t ahead(struct experiment *e, double mean)
{
    return e->now + (uint64_t)(exponential(&e->dice) * mean + 0.5);
}

/* Makes room for one more in an array, twice as much each time. */
static faas_status one_more(const struct experiment *e, void *array, size_t count,
                            size_t *room, size_t size)
{
    size_t more = *room == 0 ? 1024 : *room * 2;
    void *memory;

    if (count < *room)
        return FAAS_OK;
    memcpy(&memory, array, sizeof memory);
    memory = faasi_grow(e->allocator, memory, *room * size, more * size);
    if (memory == NULL)
        return faasi_fail(FAAS_ENOMEM, "overload: no %zu bytes", more * size);
    memcpy(array, &memory, sizeof memory);
    *room = more;
    return FAAS_OK;
}

static struct call *worker_free(const struct experiment *e)
{
    for (uint32_t i = 0; i < e->how->workers; i++)
        if (!e->workers[i].busy)
            return &e->workers[i];
    return NULL;
}

/* The one that ends first; NULL if none runs. */
static struct call *worker_next(const struct experiment *e)
{
    struct call *next = NULL;

    for (uint32_t i = 0; i < e->how->workers; i++)
        if (e->workers[i].busy && (next == NULL || e->workers[i].ends < next->ends))
            next = &e->workers[i];
    return next;
}

/* Gives what waits to the workers that are free. */
static void pull(struct experiment *e)
{
    struct faasi_admission *a = &e->admission;
    struct call *worker;

    while (e->first < e->last && (worker = worker_free(e)) != NULL) {
        struct call call = faasi_admission_newest(a, e->now) ? e->queue[--e->last]
                                                             : e->queue[e->first++];

        if (faasi_admission_shed(a, e->now, call.arrived, FAAS_FOREVER)) {
            e->in_flight--;
            e->result.shed++;
            continue;
        }
        call.began = e->now;
        call.ends = ahead(e, (double)phase_now(e)->service_ns);
        call.busy = true;
        *worker = call;
    }
    if (e->first == e->last) {
        e->first = e->last = 0;
        faasi_admission_emptied(a, e->now);
    }
}

static faas_status arrive(struct experiment *e)
{
    uint64_t retry;
    faas_status status = one_more(e, &e->queue, e->last, &e->room, sizeof *e->queue);

    if (status != FAAS_OK)
        return status;
    e->result.calls++;
    (void)twister_next(&e->dice); // the figures to compare with draw a priority here
    if (!faasi_admission_admit(&e->admission, e->now, e->in_flight, &retry)) {
        e->result.refused++;
        return FAAS_OK;
    }
    e->queue[e->last++] = (struct call){.arrived = e->now, .in_flight = ++e->in_flight};
    if (e->in_flight > e->result.in_flight_max)
        e->result.in_flight_max = e->in_flight;
    pull(e);
    return FAAS_OK;
}

static faas_status finish(struct experiment *e, struct call *worker)
{
    struct faasi_admission_sample sample = {.calls = 1,
                                            .wait_ns = worker->began - worker->arrived,
                                            .service_ns = e->now - worker->began,
                                            .in_flight = worker->in_flight};
    uint64_t latency = e->now - worker->arrived;
    faas_status status = one_more(e, &e->latencies, e->latency_count, &e->latency_room,
                                  sizeof *e->latencies);

    if (status != FAAS_OK)
        return status;
    worker->busy = false;
    e->in_flight--;
    e->result.ran++;
    if (e->now >= e->how->warm_ns) {
        e->latencies[e->latency_count++] = latency;
        e->result.in_time += latency <= e->how->slo_ns;
    }
    faasi_admission_done(&e->admission, e->now, &sample);
    pull(e);
    return FAAS_OK;
}

static faas_status experiment_run(struct experiment *e)
{
    uint64_t next = ahead(e, 1e9 / phase_now(e)->rate);
    faas_status status = FAAS_OK;

    while (status == FAAS_OK) {
        struct call *worker = worker_next(e);
        bool arrives = worker == NULL || next <= worker->ends;

        e->now = arrives ? next : worker->ends;
        if (e->now > e->how->length_ns)
            break;
        status = arrives ? arrive(e) : finish(e, worker);
        if (arrives)
            next = ahead(e, 1e9 / phase_now(e)->rate);
    }
    return status;
}

static int latency_order(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

    return one < other ? -1 : one > other;
}

static void experiment_sum_up(struct experiment *e)
{
    size_t count = e->latency_count;

    e->result.goodput =
        (double)e->result.in_time / ((double)(e->how->length_ns - e->how->warm_ns) / 1e9);
    if (count == 0)
        return;
    qsort(e->latencies, count, sizeof *e->latencies, latency_order);
    e->result.p50_ns = e->latencies[(size_t)(0.5 * (double)count)];
    e->result.p99_ns = e->latencies[(size_t)(0.99 * (double)count)];
}

/* ---- what is asked for ---- */

#define LONGEST_NS UINT64_C(1000000000000000000)

static faas_status overload_check(const faas_overload *how)
{
    enum { WORKERS_MAX = 4096 };

    if (how->phases == NULL || how->phase_count == 0)
        return faasi_fail(FAAS_EINVAL, "overload: there are no phases");
    for (size_t i = 0; i < how->phase_count; i++) {
        const faas_load_phase *phase = &how->phases[i];

        if (phase->length_ns == 0 || phase->length_ns > LONGEST_NS / how->phase_count ||
            phase->service_ns > LONGEST_NS ||
            !(phase->rate >= 1e-3 && phase->rate <= 1e9))
            return faasi_fail(FAAS_EINVAL,
                              "overload: phase %zu: %llu ns, calls of %llu ns, %g a "
                              "second: out of range",
                              i, (unsigned long long)phase->length_ns,
                              (unsigned long long)phase->service_ns, phase->rate);
    }
    if (how->length_ns > LONGEST_NS || how->warm_ns >= how->length_ns ||
        how->workers > WORKERS_MAX)
        return faasi_fail(FAAS_EINVAL,
                          "overload: %llu ns, of which %llu do not count, %u workers: "
                          "out of range",
                          (unsigned long long)how->length_ns,
                          (unsigned long long)how->warm_ns, how->workers);
    return FAAS_OK;
}

static void overload_default(faas_overload *how)
{
    if (how->length_ns == 0)
        how->length_ns = 60000000000;
    if (how->warm_ns == 0)
        how->warm_ns = 5000000000;
    else if (how->warm_ns == FAAS_FOREVER)
        how->warm_ns = 0;
    if (how->slo_ns == 0)
        how->slo_ns = 25000000;
    if (how->workers == 0)
        how->workers = 2;
}

faas_status faas_overload_run(const faas_overload *given, const faas_allocator *allocator,
                              faas_overload_result *out)
{
    faas_overload how = FAAS_OVERLOAD_INIT;
    struct experiment e = {.how = &how, .result = {.size = sizeof e.result}};
    faas_status status = faasi_options_import(&how, sizeof how, given, "overload");

    if (status != FAAS_OK)
        return status;
    overload_default(&how);
    status = overload_check(&how);
    if (status == FAAS_OK)
        status =
            faasi_admission_init(&e.admission, how.limiter, how.workers, how.slo_ns, 0);
    if (status != FAAS_OK)
        return status;
    e.allocator = faasi_allocator_or_default(allocator);
    for (size_t i = 0; i < how.phase_count; i++)
        e.round += how.phases[i].length_ns;
    twister_seed(&e.dice, how.seed);
    e.workers = faasi_alloc_zeroed(e.allocator, how.workers * sizeof *e.workers);
    if (e.workers == NULL)
        return faasi_fail(FAAS_ENOMEM, "overload: no memory for %u workers", how.workers);
    status = experiment_run(&e);
    if (status == FAAS_OK) {
        experiment_sum_up(&e);
        faasi_replay_copy_out(out, &e.result, sizeof e.result);
    }
    faasi_free(e.allocator, e.workers, how.workers * sizeof *e.workers);
    faasi_free(e.allocator, e.queue, e.room * sizeof *e.queue);
    faasi_free(e.allocator, e.latencies, e.latency_room * sizeof *e.latencies);
    return status;
}
