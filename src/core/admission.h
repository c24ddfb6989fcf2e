/* SPDX-License-Identifier: MIT */
/* admission.h - how many calls come in: limiters, rates, and whether a caller makes an
 * instance or waits for one.
 *
 * It is pure: no locks, no clock, no I/O; every instant is handed to it, in nanoseconds
 * that do not run backwards, and the same calls give the same answers. So a gate, a queue
 * and the replay of an overload can run the very same code.
 *
 * Who keeps a queue uses it like this. `in_flight` counts what runs and what waits.
 *
 *     a call comes       faasi_admission_admit(a, now, in_flight, &retry_ns)
 *     a worker is free   takes the oldest call, or the newest if faasi_admission_newest();
 *                        drops it if faasi_admission_shed(); if the queue is then empty,
 *                        faasi_admission_emptied()
 *     a call is done     faasi_admission_done()
 *     no instance        faasi_admission_awaits() says whether to wait for one, and
 *                        faasi_admission_start() whether one may be made
 *
 * Every limiter comes down to one number, `limit`, that a call's in_flight is compared
 * with; it moves only with done() and width(). So admit() is a comparison, and done() a
 * few multiplications. Neither belongs on the warm path, where a seat is found at once and
 * nothing waits: a caller comes here only when none is, and the times of warm calls come
 * in batches, see faasi_admission_done().
 *
 * Predicted wait. W calls can run at once and take s each, smoothed. One that finds n in
 * flight waits about (n - W) * s / W; so those are let in for which that is below the
 * target: n < W + W * target / s. Nothing is probed, and no time counts that contains the
 * queue itself. Measured with the overload of replay_overload.c.
 *
 * Layer: 1 structures. Includes base.h and the public limiter.h; admission.c mem.h too.
 * Locks: none; the caller has one at a time. */
#ifndef FAASI_ADMISSION_H
#define FAASI_ADMISSION_H

#include "base.h"

#include <faas/limiter.h>

/* The most that may be in flight: what a runtime allows to run. */
#define FAASI_ADMISSION_MAX UINT32_C(1048576)

/* To sleep and be woken takes about half of this: for a cheaper init nobody waits. */
#define FAASI_ADMISSION_WORTH_NS 100000.0

/* A rate with bursts: GCRA, which is a token bucket kept as the one instant at which it
 * will be full. Times have a part of 2^-32 ns, so that no rate drifts. */
struct faasi_rate {
    uint64_t due_ns, step_ns;
    uint32_t due_part, step_part;
    uint64_t slack_ns; /* how far due_ns may be ahead */
};

/* A call, or several that ran one after the other without being looked at. */
struct faasi_admission_sample {
    uint64_t calls;      /* how many; the times are their means */
    uint64_t wait_ns;    /* until the handler began */
    uint64_t service_ns; /* in the handler */
    uint32_t in_flight;  /* when it was let in, it included */
};

/* What a limiter that adapts remembers. */
struct faasi_admission_state {
    double limit;      /* with its fraction */
    double rtt;        /* vegas: the least, of late; gradient: the mean, over long */
    double sum;        /* gradient: of this window */
    double jitter;     /* vegas: how soon it looks for a new least */
    uint64_t dice;     /* vegas */
    uint64_t window;   /* gradient: when it ends */
    uint32_t count;    /* calls since */
    uint32_t warm;     /* gradient: calls in the mean, up to some */
    uint32_t inflight; /* gradient: most of this window */
};

struct faasi_admission {
    uint32_t limit; /* a call is let in while fewer are in flight */
    uint32_t width; /* W: how many can run at once */
    faas_limiter how;
    struct faasi_rate rate, colds;
    double service; /* ns in handlers, smoothed; 0 = nothing was measured */
    double init;    /* ns of a cold start, smoothed; likewise */
    uint64_t empty; /* when the queue was empty last */
    struct faasi_admission_state state;
};

/* Begins.
 *
 * @param  how      Checked, and laid over the defaults.
 * @param  width    How many calls can run at once; 0 counts as 1.
 * @param  limit_ns Time that calls have, or FAAS_FOREVER: the default target follows it.
 * @return FAAS_OK, FAAS_EINVAL, FAAS_EVERSION */
faas_status faasi_admission_init(struct faasi_admission *a, const faas_limiter *how,
                                 uint32_t width, uint64_t limit_ns, uint64_t now);

/* Another number of calls can run at once. */
void faasi_admission_width(struct faasi_admission *a, uint32_t width);

/* Whether a call comes in. If not, `*retry_ns` says in how long it may be worth to ask
 * again: a guess, from what was measured. If so, it has used up some of the rate. */
bool faasi_admission_admit(struct faasi_admission *a, uint64_t now, uint32_t in_flight,
                           uint64_t *retry_ns);

/* Whether a call whose turn it is has to go instead: it waited too long, or its deadline
 * (or FAAS_FOREVER) has passed, so that it would run for nothing. */
bool faasi_admission_shed(const struct faasi_admission *a, uint64_t now, uint64_t arrived,
                          uint64_t deadline);

/* Whether the newest call has its turn first. */
bool faasi_admission_newest(const struct faasi_admission *a, uint64_t now);

/* Nothing waits now. */
void faasi_admission_emptied(struct faasi_admission *a, uint64_t now);

/* Calls are done. Those of which only the number and the sum of their times is known come
 * as one sample; wait_ns and in_flight are 0 then: they found a seat at once. */
void faasi_admission_done(struct faasi_admission *a, uint64_t now,
                          const struct faasi_admission_sample *sample);

/* A cold start took so long. */
void faasi_admission_started(struct faasi_admission *a, uint64_t init_ns);

/* Whether a caller that found no idle instance had better wait for one of `busy` to come
 * free: that is sooner than a cold start would be done, `ahead` others being served before
 * it. Not if the times are not known, and not for an init that takes no longer than to
 * fall asleep.
 *
 * @param      starting  Of the busy ones, those whose init runs. Where that is all of
 *                       them, waiting takes as long as a cold start, and does not make an
 *                       instance that nobody needs afterwards.
 * @param[out] wait_ns   On true: by then the guess was wrong, and it makes one. */
bool faasi_admission_awaits(const struct faasi_admission *a, uint32_t busy,
                            uint32_t starting, uint32_t ahead, uint64_t *wait_ns);

/* Whether one more instance may be made; if not, there were too many cold starts of late,
 * and `*wait_ns` says in how long. If so, it has used up some of the rate. */
bool faasi_admission_start(struct faasi_admission *a, uint64_t now, uint64_t *wait_ns);

/* Checks a rate and its burst, and sets it up; a rate of 0 takes everything. False if one
 * is out of its range. */
bool faasi_rate_init(struct faasi_rate *rate, double per_s, double burst);

/* Takes one, or says in how long there will be one. */
bool faasi_rate_take(struct faasi_rate *rate, uint64_t now, uint64_t *wait_ns);

/* Gives back what was taken last and not used. A rate that nothing was taken of stays. */
void faasi_rate_return(struct faasi_rate *rate);

/* For admission.c: the limiters that adapt, of admission_adapt.c. They move state.limit
 * within how.limit_min and how.limit_max. */
typedef void faasi_admission_step(struct faasi_admission *a, uint64_t now,
                                  const struct faasi_admission_sample *sample);
faasi_admission_step faasi_admission_aimd;
faasi_admission_step faasi_admission_vegas;
faasi_admission_step faasi_admission_gradient;

#endif /* FAASI_ADMISSION_H */
