/* SPDX-License-Identifier: MIT */
/* jobs_state.h - the word that says where a job stands, and the steps from one place to
 * the next: each a compare-and-swap that only one of all who try it makes.
 *
 *     DELAYED <-> QUEUED -> RUNNING -> ENDING -> ENDED
 *
 * Who takes a job to ENDING ends it, and nobody else does. All steps acquire what the one
 * before left in the job, and release what they leave.
 *
 * Layer: 2 parts. Includes jobs.h.
 * Locks: none. */
#ifndef FAASI_JOBS_STATE_H
#define FAASI_JOBS_STATE_H

#include "jobs.h"

/* From one phase to another; false if it is not there. */
static inline bool faasi_job_move(struct faasi_job *job, uint32_t from, uint32_t to)
{
    uint32_t state = atomic_load_explicit(&job->state, memory_order_relaxed);

    do {
        if ((state & FAASI_JOB_PHASE) != from)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(
        &job->state, &state, (state & ~(uint32_t)FAASI_JOB_PHASE) | to,
        memory_order_acq_rel, memory_order_relaxed));
    return true;
}

/* Claims the end of a job that does not run. */
static inline bool faasi_job_claim(struct faasi_job *job)
{
    uint32_t state = atomic_load_explicit(&job->state, memory_order_relaxed);

    do {
        switch (state & FAASI_JOB_PHASE) {
        case FAASI_JOB_DELAYED:
        case FAASI_JOB_QUEUED:
            break;
        default:
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(
        &job->state, &state, (state & ~(uint32_t)FAASI_JOB_PHASE) | FAASI_JOB_ENDING,
        memory_order_acq_rel, memory_order_relaxed));
    return true;
}

/* Begins an attempt; false if it was cancelled in its batch. */
static inline bool faasi_job_begin(struct faasi_job *job, uint32_t attempt)
{
    uint32_t state = atomic_load_explicit(&job->state, memory_order_relaxed);

    do {
        if ((state & FAASI_JOB_PHASE) != FAASI_JOB_QUEUED)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(
        &job->state, &state,
        FAASI_JOB_RUNNING | (state & FAASI_JOB_WAITED) |
            (attempt & 0xffffff) << FAASI_JOB_ATTEMPT_SHIFT,
        memory_order_acq_rel, memory_order_relaxed));
    return true;
}

/* Takes a running attempt to another phase, where `made` attempts are counted; false if it
 * went on without us. One that was told to end goes to ENDING, wherever it should. */
static inline bool faasi_job_settle(struct faasi_job *job, uint32_t attempt, uint32_t to,
                                    uint32_t made, uint32_t *flags)
{
    uint32_t state = atomic_load_explicit(&job->state, memory_order_relaxed);

    do {
        if ((state & FAASI_JOB_PHASE) != FAASI_JOB_RUNNING ||
            state >> FAASI_JOB_ATTEMPT_SHIFT != (attempt & 0xffffff))
            return false;
        if ((state & FAASI_JOB_CANCEL) != 0)
            to = FAASI_JOB_ENDING;
        *flags = state;
    } while (!atomic_compare_exchange_weak_explicit(
        &job->state, &state,
        (state & ((1u << FAASI_JOB_ATTEMPT_SHIFT) - 1) & ~(uint32_t)FAASI_JOB_PHASE) |
            to | (made & 0xffffff) << FAASI_JOB_ATTEMPT_SHIFT,
        memory_order_acq_rel, memory_order_relaxed));
    return true;
}

/* Tells a job that runs to end; false if it does not run. */
static inline bool faasi_job_ask(struct faasi_job *job)
{
    uint32_t state = atomic_load_explicit(&job->state, memory_order_acquire);

    do {
        if ((state & FAASI_JOB_PHASE) != FAASI_JOB_RUNNING)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(
        &job->state, &state, state | FAASI_JOB_CANCEL, memory_order_acq_rel,
        memory_order_relaxed));
    return true;
}

/* From here on it has ended for everybody who looks; returns whether somebody is to be
 * woken. Release: who sees it ended sees how. */
static inline bool faasi_job_publish(struct faasi_job *job)
{
    return (atomic_exchange_explicit(&job->state, (uint32_t)FAASI_JOB_ENDED,
                                     memory_order_acq_rel) &
            FAASI_JOB_WAITED) != 0;
}

/* Says that we are about to sleep while the word is `*state`; false if it is not any
 * more. `*state` becomes what to sleep on. */
static inline bool faasi_job_watch(struct faasi_job *job, uint32_t *state)
{
    if ((*state & FAASI_JOB_WAITED) == 0) {
        if (!atomic_compare_exchange_strong_explicit(
                &job->state, state, *state | FAASI_JOB_WAITED, memory_order_acq_rel,
                memory_order_relaxed))
            return false;
        *state |= FAASI_JOB_WAITED;
    }
    return true;
}

#endif /* FAASI_JOBS_STATE_H */
