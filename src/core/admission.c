/* SPDX-License-Identifier: MIT */
/* admission.c - limits in flight, rates, shedding, and who makes an instance. */
#include "admission.h"

#include "mem.h"

#include <math.h>

/* How much a new time counts. Fifty calls make up most of the mean: few enough to follow
 * a change within a queue's length, many enough for times that vary as much as their
 * mean not to move the limit by more than a tenth. */
#define SMOOTHING 0.02

/* A cold start is rare, and its time varies with what else runs. */
#define SMOOTHING_INIT 0.2

/* Before anything was measured: a queue of three times what runs. */
enum { WIDTHS_UNMEASURED = 4 };

/* The queue's controlled delay: it stands if it was not empty for STANDS_NS. Fail at
 * Scale's figures, which are CoDel's. */
#define DELAY_NS UINT64_C(5000000)
#define STANDS_NS UINT64_C(100000000)

/* Times beyond a hundred years are as good as forever, and add up without wrapping. */
#define LONGEST_NS 3.2e18

#define RATE_MIN 1e-6
#define RATE_MAX 1e9

/* ---- rates ---- */

bool faasi_rate_init(struct faasi_rate *rate, double per_s, double burst)
{
    double step, slack;

    *rate = (struct faasi_rate){0};
    if (per_s == 0 && burst == 0)
        return true;
    if (burst == 0)
        burst = per_s < 10 ? 1 : per_s / 10;
    if (!(per_s >= RATE_MIN && per_s <= RATE_MAX && burst >= 1 && burst <= 1e9))
        return false;
    step = 1e9 / per_s;
    slack = (burst - 1) * step;
    if (slack > LONGEST_NS)
        return false;
    rate->step_ns = (uint64_t)step;
    rate->step_part = (uint32_t)((step - (double)rate->step_ns) * 0x1p32);
    rate->slack_ns = (uint64_t)(slack + 0.5);
    return true;
}

bool faasi_rate_take(struct faasi_rate *rate, uint64_t now, uint64_t *wait_ns)
{
    uint64_t part;

    *wait_ns = 0;
    if (rate->step_ns == 0) // the fastest has a whole ns
        return true;
    if (rate->due_ns < now) {
        rate->due_ns = now;
        rate->due_part = 0;
    } else if (rate->due_ns - now > rate->slack_ns) {
        *wait_ns = rate->due_ns - now - rate->slack_ns;
        return false;
    }
    part = (uint64_t)rate->due_part + rate->step_part;
    rate->due_part = (uint32_t)part;
    rate->due_ns += rate->step_ns + (part >> 32);
    return true;
}

void faasi_rate_return(struct faasi_rate *rate)
{
    if (rate->due_ns <= rate->step_ns) { // another one, put in its place meanwhile
        rate->due_ns = 0;
        rate->due_part = 0;
        return;
    }
    if (rate->due_part < rate->step_part)
        rate->due_ns--;
    rate->due_part -= rate->step_part;
    rate->due_ns -= rate->step_ns;
}

/* ---- limits ---- */

static void limit_set(struct faasi_admission *a, double limit)
{
    /* A call is let in while in_flight < limit, also if that has a fraction. */
    limit = ceil(limit);
    a->limit = limit < (double)a->how.limit_max ? (uint32_t)limit : a->how.limit_max;
}

static void predicted_limit(struct faasi_admission *a)
{
    double width = (double)a->width;

    if (a->service != 0)
        limit_set(a, width + width * (double)a->how.target_ns / a->service);
    else
        limit_set(a,
                  a->how.limit != 0 ? (double)a->how.limit : WIDTHS_UNMEASURED * width);
}

/* What follows from the kind: its default limits, and how it learns. */
static const struct kind {
    const char *name;
    uint32_t limit, limit_min, limit_max;
    faasi_admission_step *step;
} kinds[] = {
    [FAAS_LIMITER_PREDICTED] = {"predicted", 0, 1, FAASI_ADMISSION_MAX, NULL},
    [FAAS_LIMITER_NONE] = {"none", 1, 1, FAASI_ADMISSION_MAX, NULL},
    [FAAS_LIMITER_FIXED] = {"fixed", 100, 1, FAASI_ADMISSION_MAX, NULL},
    [FAAS_LIMITER_AIMD] = {"aimd", 20, 20, 200, faasi_admission_aimd},
    [FAAS_LIMITER_VEGAS] = {"vegas", 20, 1, 1000, faasi_admission_vegas},
    [FAAS_LIMITER_GRADIENT] = {"gradient", 20, 20, 200, faasi_admission_gradient},
    [FAAS_LIMITER_CODEL_LIFO] = {"codel_lifo", 1, 1, FAASI_ADMISSION_MAX, NULL},
};

const char *faas_limiter_name(faas_limiter_kind kind)
{
    if (kind == FAAS_LIMITER_DEFAULT)
        kind = FAAS_LIMITER_PREDICTED;
    return (unsigned)kind < FAASI_COUNT(kinds) ? kinds[kind].name : NULL;
}

static void limits_default(faas_limiter *how)
{
    const struct kind *kind = &kinds[how->kind];

    if (how->limit_max == 0) {
        how->limit_max = kind->limit_max;
        if (how->limit_max < how->limit_min)
            how->limit_max = how->limit_min;
        if (how->limit_max < how->limit)
            how->limit_max = how->limit;
    }
    if (how->limit_min == 0)
        how->limit_min =
            kind->limit_min < how->limit_max ? kind->limit_min : how->limit_max;
    if (how->limit == 0)
        how->limit = kind->limit;
    if (how->limit != 0 && how->limit < how->limit_min)
        how->limit = how->limit_min;
    if (how->limit > how->limit_max)
        how->limit = how->limit_max;
}

static void times_default(faas_limiter *how, uint64_t limit_ns)
{
    bool predicted = how->kind == FAAS_LIMITER_PREDICTED;

    if (how->target_ns == 0 && how->kind == FAAS_LIMITER_AIMD)
        how->target_ns = 5000000000;
    else if (how->target_ns == 0)
        how->target_ns =
            limit_ns == FAAS_FOREVER ? 10000000 : limit_ns / 5 * 2 + limit_ns % 5 * 2 / 5;
    if (how->shed_ns == 0 && predicted)
        how->shed_ns = how->target_ns <= FAAS_FOREVER / 2
                           ? how->target_ns + how->target_ns / 2
                           : FAAS_FOREVER;
    else if (how->shed_ns == 0)
        how->shed_ns = how->kind == FAAS_LIMITER_CODEL_LIFO ? DELAY_NS : FAAS_FOREVER;
}

faas_status faasi_admission_init(struct faasi_admission *a, const faas_limiter *given,
                                 uint32_t width, uint64_t limit_ns, uint64_t now)
{
    faas_limiter how = FAAS_LIMITER_INIT;
    faas_status status = faasi_options_import(&how, sizeof how, given, "limiter");

    *a = (struct faasi_admission){0};
    if (status != FAAS_OK)
        return status;
    if (faas_limiter_name(how.kind) == NULL)
        return faasi_fail(FAAS_EINVAL, "limiter: there is no kind %d", (int)how.kind);
    if (how.kind == FAAS_LIMITER_DEFAULT)
        how.kind = FAAS_LIMITER_PREDICTED;
    if (how.limit > FAASI_ADMISSION_MAX || how.limit_max > FAASI_ADMISSION_MAX ||
        how.limit_min > (how.limit_max == 0 ? FAASI_ADMISSION_MAX : how.limit_max))
        return faasi_fail(FAAS_EINVAL,
                          "limiter: limit %u, at least %u, at most %u; none over %u",
                          how.limit, how.limit_min, how.limit_max, FAASI_ADMISSION_MAX);
    if (!faasi_rate_init(&a->rate, how.rate, how.burst))
        return faasi_fail(FAAS_EINVAL, "limiter: rate %g, burst %g: out of range",
                          how.rate, how.burst);
    if (!faasi_rate_init(&a->colds, how.cold_rate, how.cold_burst))
        return faasi_fail(FAAS_EINVAL,
                          "limiter: cold_rate %g, cold_burst %g: out of range",
                          how.cold_rate, how.cold_burst);
    limits_default(&how);
    times_default(&how, limit_ns);
    a->how = how;
    a->empty = now;
    a->state.limit = (double)how.limit;
    a->state.jitter = 0.75;
    a->limit = kinds[how.kind].step != NULL || how.kind == FAAS_LIMITER_FIXED
                   ? how.limit
                   : how.limit_max;
    faasi_admission_width(a, width);
    return FAAS_OK;
}

void faasi_admission_width(struct faasi_admission *a, uint32_t width)
{
    a->width = width == 0 ? 1 : width;
    if (a->how.kind == FAAS_LIMITER_PREDICTED)
        predicted_limit(a);
}

/* ---- a call ---- */

/* How long until `ahead` others and then one more had their turn, W at a time. */
static uint64_t turn_ns(double service, uint32_t width, uint32_t ahead)
{
    double ns = service * ((double)ahead + 1) / (double)width;

    return ns < LONGEST_NS ? (uint64_t)ns : (uint64_t)LONGEST_NS;
}

bool faasi_admission_admit(struct faasi_admission *a, uint64_t now, uint32_t in_flight,
                           uint64_t *retry_ns)
{
    if (in_flight >= a->limit) {
        *retry_ns = turn_ns(a->service, a->width, in_flight - a->limit);
        return false;
    }
    return faasi_rate_take(&a->rate, now, retry_ns);
}

bool faasi_admission_shed(const struct faasi_admission *a, uint64_t now, uint64_t arrived,
                          uint64_t deadline)
{
    uint64_t longest = a->how.shed_ns, waited = now - arrived;

    if (now >= deadline)
        return true;
    if (a->how.kind == FAAS_LIMITER_CODEL_LIFO && now - a->empty <= STANDS_NS &&
        longest < STANDS_NS)
        longest = STANDS_NS;
    return waited > longest;
}

bool faasi_admission_newest(const struct faasi_admission *a, uint64_t now)
{
    return a->how.kind == FAAS_LIMITER_CODEL_LIFO && now - a->empty > DELAY_NS;
}

void faasi_admission_emptied(struct faasi_admission *a, uint64_t now)
{
    a->empty = now;
}

/* The mean moves towards the new one as if each call had come alone. */
static double smooth(double mean, double time, double smoothing, uint64_t calls)
{
    if (time < 1)
        time = 1; // 0 stands for nothing measured
    if (mean == 0)
        return time;
    if (calls > 1)
        smoothing = -expm1((double)calls * log1p(-smoothing));
    return mean + smoothing * (time - mean);
}

void faasi_admission_done(struct faasi_admission *a, uint64_t now,
                          const struct faasi_admission_sample *sample)
{
    faasi_admission_step *step = kinds[a->how.kind].step;

    if (sample->calls == 0)
        return;
    a->service = smooth(a->service, (double)sample->service_ns, SMOOTHING, sample->calls);
    if (a->how.kind == FAAS_LIMITER_PREDICTED)
        predicted_limit(a);
    if (step == NULL)
        return;
    step(a, now, sample);
    a->limit = (uint32_t)a->state.limit;
}

/* ---- instances ---- */

void faasi_admission_started(struct faasi_admission *a, uint64_t init_ns)
{
    a->init = smooth(a->init, (double)init_ns, SMOOTHING_INIT, 1);
}

bool faasi_admission_awaits(const struct faasi_admission *a, uint32_t busy,
                            uint32_t starting, uint32_t ahead, uint64_t *wait_ns)
{
    uint64_t turn;

    if (busy == 0 || a->service == 0 || a->init < FAASI_ADMISSION_WORTH_NS)
        return false;
    turn = turn_ns(a->service, busy, ahead);
    *wait_ns = turn * 2;
    if (busy <= starting)
        *wait_ns += (uint64_t)(a->init < LONGEST_NS ? a->init : LONGEST_NS);
    return (double)turn < a->init;
}

bool faasi_admission_start(struct faasi_admission *a, uint64_t now, uint64_t *wait_ns)
{
    return faasi_rate_take(&a->colds, now, wait_ns);
}
