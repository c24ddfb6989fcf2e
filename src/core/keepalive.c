/* SPDX-License-Identifier: MIT */
/* keepalive.c - the policies. */
#include "keepalive.h"

bool faasi_keepalive_before(faas_keepalive policy, const struct faasi_idle *a,
                            const struct faasi_idle *b)
{
    switch (policy) {
    case FAAS_KEEPALIVE_TTL:
        return a->expires < b->expires;
    case FAAS_KEEPALIVE_DEFAULT:
    case FAAS_KEEPALIVE_LRU:
        break;
    }
    return a->since < b->since;
}
