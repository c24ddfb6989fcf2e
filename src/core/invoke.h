/* SPDX-License-Identifier: MIT */
/* invoke.h - the way of an invocation: admit, take an instance, call, meter, give back.
 *
 * Layer: 3 path. Includes state.h.
 * Locks: none on the warm path; the gate's off it. */
#ifndef FAASI_INVOKE_H
#define FAASI_INVOKE_H

#include "state.h"

/* As faas_invoke(); `result` NULL drops the output. */
faas_status faasi_invoke(faas_runtime *rt, const struct faasi_request *request,
                         faas_result **result);

#endif /* FAASI_INVOKE_H */
