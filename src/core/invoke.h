/* SPDX-License-Identifier: MIT */
/* invoke.h - the way of an invocation: admit, take an instance, call, meter, give back.
 *
 * Layer: 3 path. Includes state.h.
 * Locks: none on the warm path; the gate's off it. */
#ifndef FAASI_INVOKE_H
#define FAASI_INVOKE_H

#include "state.h"

struct faasi_place;

/* A call that has come as far as to its function. */
struct faasi_call {
    const struct faasi_request *request;
    struct faas_context *parent; /* whose handler made it */
    uint64_t deadline;           /* ticks; the function's own limit not counted in */
    uint64_t waited;             /* ticks before it came so far */
    const faas_id *id;           /* NULL: it needs a new one */
    struct faasi_place *place;   /* at the desk; or NULL, see faasi_desk_place() */
};

/* As faas_invoke(); `result` NULL drops the output. */
faas_status faasi_invoke(faas_runtime *rt, const struct faasi_request *request,
                         faas_result **result);

/* Runs a call of `f` and nothing else of it: by a user of its desk, who keeps it. Leaves
 * this thread no hint, so that the next call passes the desk as well.
 * @return also FAAS_ENOENT: it died before the call ran */
faas_status faasi_invoke_one(faas_runtime *rt, struct faasi_function *f,
                             const struct faasi_call *call, faas_result **result);

/* When a call must be done that started at `started`: the soonest of `deadline` and what
 * its own limit and the function's allow. */
uint64_t faasi_call_deadline(const faas_clock *clock, const struct faasi_request *request,
                             const struct faasi_function *f, uint64_t started,
                             uint64_t deadline);

/* An id that no call with a seat has. */
faas_id faasi_unseated_id(faas_runtime *rt);

/* Runs a queued invocation on this thread, if a seat is to be had without waiting.
 *
 * @param      request    `queued`; `fn` is no alias; `options` may name attempt, tenant
 *                        and trace alone.
 * @param      deadline   Of everything, in ticks; the function's limit counts from now.
 * @param      waited     Ticks since it was submitted; metered.
 * @param      watch      Is told when there may be a seat, after FAAS_EBUSY.
 * @param[out] result     As of faas_invoke().
 * @param[out] watched    After FAAS_EBUSY: whether the watch will tell. Not for a function
 *                        that batches or remembers, and not if a limiter refused: try
 *                        after faas_retry_after_ns().
 * @return as faas_invoke(); FAAS_EBUSY counts no throttle */
faas_status faasi_invoke_queued(faas_runtime *rt, const struct faasi_request *request,
                                uint64_t deadline, uint64_t waited,
                                struct faasi_watch *watch, faas_result **result,
                                bool *watched);

#endif /* FAASI_INVOKE_H */
