/* SPDX-License-Identifier: MIT */
/* recall.h - answers that are remembered, and answers that are shared.
 *
 * A call of such a function looks into the response cache; then at the calls in flight
 * with the same input, whose answer it may wait for; then it runs, in a batch or alone,
 * as one that others may wait for. What it answered is copied once, for the cache and for
 * all who wait. Where there is no memory for that it was a miss, and they run themselves.
 *
 * Layer: 3 path. Includes desk.h, invoke.h.
 * Locks: the desk's, not while a handler runs. */
#ifndef FAASI_RECALL_H
#define FAASI_RECALL_H

#include "desk.h"
#include "invoke.h"

/* As faas_invoke() of a function that has a desk, by a user of it.
 * @return also FAAS_ENOENT: the function died before the call ran */
faas_status faasi_recall_invoke(faas_runtime *rt, struct faasi_desk *desk,
                                struct faasi_call *call, faas_result **result);

#endif /* FAASI_RECALL_H */
