/* SPDX-License-Identifier: MIT */
/* histogram.c - log-linear counts of durations; the layout is public, see stats.h.
 *
 * Layer: 1 structures. */
#include "base.h"

#include <faas/stats.h>

uint64_t faas_histogram_value(unsigned bucket)
{
    unsigned power;
    uint64_t low, width;

    assert(bucket < FAAS_HISTOGRAM_BUCKETS);
    if (bucket < 16)
        return bucket;
    power = bucket / 16 + 3;
    width = (uint64_t)1 << (power - 4);
    low = ((uint64_t)1 << power) + bucket % 16 * width;
    return low + width / 2;
}

uint64_t faas_histogram_quantile(const faas_histogram *histogram, double q)
{
    uint64_t total = 0, seen = 0, rank;

    for (unsigned i = 0; i < FAAS_HISTOGRAM_BUCKETS; i++)
        total += histogram->count[i];
    if (total == 0)
        return 0;
    if (!(q > 0))
        q = 0;
    /* Rounded up: the share is not exceeded only if that many have been seen. */
    rank = q >= 1 ? total : (uint64_t)(q * (double)total);
    if ((double)rank < q * (double)total || rank == 0)
        rank++;
    if (rank > total)
        rank = total;
    for (unsigned i = 0; i < FAAS_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->count[i];
        if (seen >= rank)
            return faas_histogram_value(i);
    }
    return faas_histogram_value(FAAS_HISTOGRAM_BUCKETS - 1);
}

void faas_histogram_merge(faas_histogram *into, const faas_histogram *from)
{
    for (unsigned i = 0; i < FAAS_HISTOGRAM_BUCKETS; i++)
        into->count[i] += from->count[i];
}
