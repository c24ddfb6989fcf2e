/* SPDX-License-Identifier: MIT */
/* batchcurve.h - what batches of each size cost, learned from those that ran, and the
 * size that pays.
 *
 * Sizes fall into classes: each of 1 to 8, then four per power of two. Batches are cut to
 * the size of a class, so that a class is measured and not guessed; what lies between two
 * measured classes is on the line between them, and what lies beyond is as dear per item
 * as the largest measured one.
 *
 * A size pays if no other size that could be run costs less per item; of those that are
 * as good, within SLACK, the smallest, because every item waits for the whole batch.
 * Sizes are tried from below, twice what is known at most, and only while the largest
 * known one does not lose: so a handler that loses by batching is never put through a
 * large batch to find out. That it loses is believed after some runs, of which the
 * shortest counts. Later a neighbour of the choice is tried now and then, less and less
 * often while that changes nothing.
 *
 * Layer: 1 structures. Includes base.h only. Pure. */
#ifndef FAASI_BATCHCURVE_H
#define FAASI_BATCHCURVE_H

#include "base.h"

enum { FAASI_BATCH_MOST = 1024, FAASI_BATCH_CLASSES = 36 };

struct faasi_batchcurve {
    struct {
        double ticks;     /* a batch of this class, with what does not fit smoothed out */
        uint32_t samples; /* known from the second on: the first may have warmed up */
    } at[FAASI_BATCH_CLASSES];
    uint32_t picks;     /* since a neighbour was tried */
    uint32_t probe_gap; /* after so many picks one is tried; 0: the first gap */
    uint32_t chosen;    /* last time */
    int streak;      /* runs in a row that were far off: longer, or shorter if negative */
    bool probe_down; /* which neighbour comes next */
};

/* The largest size of a class that is not over `size`, which is 1 to FAASI_BATCH_MOST. */
uint32_t faasi_batchcurve_fit(uint32_t size);

/* A batch of `size`, as picked, took `ticks`. */
void faasi_batchcurve_learn(struct faasi_batchcurve *curve, uint32_t size,
                            uint64_t ticks);

/* How many of `waiting` items (1 or more) to run now, at most `max`. */
uint32_t faasi_batchcurve_pick(struct faasi_batchcurve *curve, uint32_t waiting,
                               uint32_t max);

/* The size that pays if enough were waiting, by what is known; `max` while too little
 * is. */
uint32_t faasi_batchcurve_goal(const struct faasi_batchcurve *curve, uint32_t max);

/* What a batch of `size` takes, by what is known; 0 if nothing is. */
uint64_t faasi_batchcurve_ticks(const struct faasi_batchcurve *curve, uint32_t size);

#endif /* FAASI_BATCHCURVE_H */
