/* SPDX-License-Identifier: MIT */
/* invoke.h - the way of an invocation: admit, take an instance, call, meter, give back.
 *
 * Layer: 3 path. Includes state.h.
 * Locks: none on the warm path; the gate's off it. */
#ifndef FAASI_INVOKE_H
#define FAASI_INVOKE_H

#include "state.h"

/* What is asked for. Everything is borrowed until the call returns. */
struct faasi_request {
    faas_fn fn;
    faas_bytes input;
    uint64_t limit_ns;                  /* 0: the function's */
    const faas_invoke_options *options; /* imported; or NULL */
    faas_event *event;
    const faas_value *values; /* of faas_call(), which has `typed` set */
    size_t value_count;
    faas_value *answer;
    bool typed;
};

/* As faas_invoke(); `result` NULL drops the output. */
faas_status faasi_invoke(faas_runtime *rt, const struct faasi_request *request,
                         faas_result **result);

#endif /* FAASI_INVOKE_H */
