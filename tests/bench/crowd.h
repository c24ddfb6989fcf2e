/* SPDX-License-Identifier: MIT */
/* crowd.h - threads that submit to a pool, in a process of their own: threads of one pool
 * that look for work a little longer do not disturb the next one, and what is set up once
 * in a process can be set up again.
 *
 * One submitter and one worker have a processor each. More of them share all. */
#ifndef CROWD_H
#define CROWD_H

#include "peer_pools.h"

enum crowd_kind {
    CROWD_ITEMS,   /* time for each of many, from the first submission to the last end */
    CROWD_SUBMIT,  /* the same, to the last submission */
    CROWD_LATENCY, /* from a submission to its end, seen by the submitter, who looks for it
                      all the time: half of them were faster */
    CROWD_LATENCY_99, /* 99 of 100 were faster */
    CROWD_ASLEEP,     /* the submitter sleeps until then, and so did the worker before */
    CROWD_HELP        /* from a submission to its end, with run_and_wait() */
};

struct crowd {
    const struct peer_pool *pool;
    enum crowd_kind kind;
    unsigned submitters, workers;
    unsigned work_ns; /* of a task; 0: it is empty */
    int to, from;     /* the process */
};

/* Starts the process. It ends with this one. */
void crowd_open(struct crowd *crowd);

/* A bench_sampler. */
double crowd_sample(void *crowd, uint64_t count);

/* Does `ns` of work; finds out first how much that is. */
void crowd_calibrate(void);
void crowd_work(unsigned ns);

/* A bare futex: sleeps while the word has that value; wakes one. */
void crowd_sleep(_Atomic uint32_t *word, uint32_t value);
void crowd_wake(_Atomic uint32_t *word);

#endif /* CROWD_H */
