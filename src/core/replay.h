/* SPDX-License-Identifier: MIT */
/* replay.h - a trace as a line of events, for the runs of replay.c and the bounds of
 * replay_bound.c.
 *
 * Layer: 2 parts. Includes policy.h and the public replay.h.
 * Locks: none. A replay does not change once it is open. */
#ifndef FAASI_REPLAY_H
#define FAASI_REPLAY_H

#include "policy.h"

#include <faas/replay.h>

/* An arrival, or the end of a run. `level` counts the function's runs in progress, this
 * one included: with the function it is the slot that is used. */
struct faasi_replay_event {
    uint64_t at;
    uint32_t function;
    uint32_t level : 31;
    uint32_t ends : 1;
};

struct faas_replay {
    const faas_allocator *allocator;
    const faas_trace_function *functions;
    uint32_t function_count;
    uint64_t call_count;
    struct faasi_replay_event *events; /* by time; at equal times ends come first */
    size_t event_count;
    size_t event_room;
    uint64_t bytes_max;    /* of the largest instance that is used */
    uint64_t first_starts; /* slots that were ever used */
};

/* The same run with any policy: a host's, or one under test. `policy` is open, without
 * `look`, and nothing was reported to it. */
faas_status faasi_replay_run(const faas_replay *replay, struct faasi_policy *policy,
                             const faas_replay_options *options,
                             faas_replay_result *result);

/* Gives a caller as much of a result as it knows of: both begin with their `size`. */
void faasi_replay_copy_out(void *out, const void *result, size_t size);

#endif /* FAASI_REPLAY_H */
