/* SPDX-License-Identifier: MIT */
/* admission_adapt.c - limiters that find their limit by trying: aimd, vegas, gradient.
 *
 * They are those of Netflix's concurrency-limits, with its constants, from how that
 * library describes them. They see the time from admission to the end, which contains the
 * queue they make; predicted wait does not, and is the default. */
#include "admission.h"

#include <math.h>

static double clamped(double value, double least, double most)
{
    return value < least ? least : value > most ? most : value;
}

static double rtt_of(const struct faasi_admission_sample *sample)
{
    return (double)sample->wait_ns + (double)sample->service_ns;
}

/* Whether fewer than half of what is allowed was in flight: then the limit did not bind,
 * and nothing is known of a higher one. */
static bool slack(double limit, uint32_t in_flight)
{
    return 2 * (double)in_flight < limit;
}

void faasi_admission_aimd(struct faasi_admission *a, uint64_t now,
                          const struct faasi_admission_sample *sample)
{
    struct faasi_admission_state *s = &a->state;

    (void)now;
    if (rtt_of(sample) > (double)a->how.target_ns)
        s->limit = floor(0.9 * s->limit);
    else if (!slack(s->limit, sample->in_flight))
        s->limit += 1;
    s->limit = clamped(s->limit, (double)a->how.limit_min, (double)a->how.limit_max);
}

/* From 0 to 1. */
static double roll(uint64_t *dice)
{
    *dice = *dice * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (double)(*dice >> 11) * 0x1p-53;
}

/* The queue that this limit makes, by how much slower calls are than without one, is to
 * be between three and six times the power of ten that the limit is of. */
void faasi_admission_vegas(struct faasi_admission *a, uint64_t now,
                           const struct faasi_admission_sample *sample)
{
    struct faasi_admission_state *s = &a->state;
    double rtt = rtt_of(sample), power, queue;

    (void)now;
    s->count++;
    if ((double)s->count >= 30 * s->limit * s->jitter) {
        s->jitter = 0.5 + 0.5 * roll(&s->dice); // not all limiters at one moment
        s->count = 0;
        s->rtt = rtt;
        return;
    }
    if (s->rtt == 0 || rtt < s->rtt) {
        s->rtt = rtt;
        return;
    }
    if (rtt == 0 || slack(s->limit, sample->in_flight))
        return;
    power = fmax(1, floor(log10(floor(s->limit))));
    queue = ceil(s->limit * (1 - s->rtt / rtt));
    if (queue <= power)
        s->limit += 6 * power;
    else if (queue < 3 * power)
        s->limit += power;
    else if (queue > 6 * power)
        s->limit -= power;
    s->limit = clamped(s->limit, (double)a->how.limit_min, (double)a->how.limit_max);
}

/* How many calls the long mean spans, and after how many it is one. */
enum { LONG_CALLS = 600, LONG_WARM = 10 };

static void gradient_step(struct faasi_admission *a, double rtt, uint32_t in_flight)
{
    struct faasi_admission_state *s = &a->state;
    double gradient;

    if (s->warm < LONG_WARM)
        s->rtt += (rtt - s->rtt) / ++s->warm;
    else
        s->rtt += (rtt - s->rtt) * 2 / (LONG_CALLS + 1);
    if (s->rtt > 2 * rtt)
        s->rtt *= 0.95; // it comes from an overload that is over
    if (slack(s->limit, in_flight))
        return;
    gradient = rtt == 0 ? 1 : clamped(1.5 * s->rtt / rtt, 0.5, 1);
    s->limit = 0.8 * s->limit + 0.2 * (s->limit * gradient + 4);
    s->limit = clamped(s->limit, (double)a->how.limit_min, (double)a->how.limit_max);
}

void faasi_admission_gradient(struct faasi_admission *a, uint64_t now,
                              const struct faasi_admission_sample *sample)
{
    enum { WINDOW_LEAST = 10 };
    struct faasi_admission_state *s = &a->state;

    if (a->how.window_ns == 0) {
        gradient_step(a, rtt_of(sample), sample->in_flight);
        return;
    }
    s->sum += rtt_of(sample);
    s->count++;
    if (sample->in_flight > s->inflight)
        s->inflight = sample->in_flight;
    if (now < s->window)
        return;
    if (s->count >= WINDOW_LEAST)
        gradient_step(a, s->sum / s->count, s->inflight);
    s->window = now + a->how.window_ns;
    s->sum = 0;
    s->count = 0;
    s->inflight = 0;
}
