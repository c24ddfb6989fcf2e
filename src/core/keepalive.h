/* SPDX-License-Identifier: MIT */
/* keepalive.h - which idle instance goes first when memory is short.
 *
 * Pure: no locks, no clock, no memory. The cache shows two idle instances and is told
 * which of them to end sooner; asked of all pairs that gives the victim.
 *
 * Layer: 2 parts. Includes base.h and the public runtime.h. */
#ifndef FAASI_KEEPALIVE_H
#define FAASI_KEEPALIVE_H

#include "base.h"

#include <faas/runtime.h>

/* An idle instance as a policy sees it. Times in ticks of the runtime's clock. */
struct faasi_idle {
    uint64_t since;   /* when its last call left */
    uint64_t expires; /* when its idle time will end */
};

/* Whether `a` goes before `b`. */
bool faasi_keepalive_before(faas_keepalive policy, const struct faasi_idle *a,
                            const struct faasi_idle *b);

#endif /* FAASI_KEEPALIVE_H */
