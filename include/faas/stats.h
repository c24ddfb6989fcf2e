/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Meters: what functions did and took, as structs, as JSON and for Prometheus.
 */
#ifndef FAAS_STATS_H
#define FAAS_STATS_H

#include <faas/base.h>
#include <faas/function.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Buckets of a histogram: 16 per power of two from 16 to 2^63. */
#define FAAS_HISTOGRAM_BUCKETS 976

/**
 * Counts of durations, log-linear: any quantile within 3.2 % of the truth. Two are merged
 * by adding them up.
 *
 * Source: HdrHistogram's layout, with 16 buckets per power of two.
 */
typedef struct faas_histogram {
    uint64_t count[FAAS_HISTOGRAM_BUCKETS]; /**< see faas_histogram_bucket() */
} faas_histogram;

/** Returns the bucket that counts `ns`. */
static inline unsigned faas_histogram_bucket(uint64_t ns)
{
    unsigned power;

    if (ns < 16)
        return (unsigned)ns;
    power = 63u - (unsigned)__builtin_clzll(ns);
    return (power - 3) * 16 + (unsigned)((ns >> (power - 4)) & 15);
}

/** Returns the middle of a bucket: what stands for all it counts. */
FAAS_API uint64_t faas_histogram_value(unsigned bucket);

/**
 * Returns the duration that a share `q` of all (0 to 1) does not exceed; 0 of none.
 *
 * Thread: any.
 */
FAAS_API uint64_t faas_histogram_quantile(const faas_histogram *histogram, double q);

/**
 * Adds `from` to `into`.
 *
 * Thread: any.
 */
FAAS_API void faas_histogram_merge(faas_histogram *into, const faas_histogram *from);

/** Classes of batch sizes: up to 1, 2, 4 and so on to 1024 items. */
#define FAAS_BATCH_SIZES 11

/** What a function did, in all; a snapshot taken while it runs. */
typedef struct faas_function_stats {
    size_t size;          /**< sizeof(faas_function_stats), set by the caller */
    uint64_t invocations; /**< handlers that ran: answered, failed or late; each item of
                                  a batch is one */
    uint64_t errors;      /**< of these, that returned non-zero */
    uint64_t timeouts;    /**< of these, that came back late */
    uint64_t throttles;   /**< calls refused at a cap or at the memory budget */
    uint64_t cold_starts; /**< instances that were made, by calls or ahead */
    uint64_t init_errors; /**< instances that could not be made, or not in time */
    uint64_t evictions;   /**< instances closed for want of memory */
    uint64_t run_ns;      /**< in handlers, summed; a batch's time once */
    uint64_t wait_ns;     /**< until admission, summed */
    uint64_t init_ns;     /**< in init, summed */
    uint64_t peak_bytes_max; /**< most that one invocation's heap held */
    double billed_gb_s;      /**< configured memory x time in handlers, each rounded up to
                                  1 ms, in GiB seconds: what Lambda would bill. A batch
                                  is one */
    double used_byte_s;      /**< peak heap bytes of each call x its time, summed */
    uint32_t concurrency;    /**< running now */
    uint32_t concurrency_peak;    /**< most that were seen running at once: looked at
                                    whenever a call finds no instance at hand, and at
                                    every snapshot */
    uint32_t instances;           /**< that exist */
    uint32_t instances_idle;      /**< of these, in which nothing runs */
    uint64_t instance_bytes;      /**< what these hold */
    uint64_t instance_idle_bytes; /**< of this, the idle ones */
    uint64_t batches; /**< that a batch handler's function ran, of one item too */
    uint64_t batched; /**< items in them */
    uint64_t batch_sizes[FAAS_BATCH_SIZES]; /**< batches of 1, 2, 3 to 4, 5 to 8 and so on
                                                 to 513 to 1024 items */
    uint64_t cache_hits;    /**< calls that the response cache answered: no invocation */
    uint64_t cache_misses;  /**< calls that looked there and ran */
    uint64_t cache_shared;  /**< calls that shared the answer of one that ran */
    uint64_t cache_bytes;   /**< that the answers take now */
    uint64_t cache_count;   /**< answers that are remembered now */
    uint64_t batch_waiting; /**< items that wait for a batch now */
    uint64_t prewarms;      /**< of the cold starts, those made ahead of a call that was
                            foreseen */
    uint64_t sheds;   /**< of the throttles, those that had waited and were dropped by
                           their limiter when it was their turn */
    uint32_t limit;   /**< how many the limiter lets in flight now; 0: there was no need
                           of one yet */
    uint32_t waiting; /**< calls that wait for a seat now */
} faas_function_stats;

/**
 * Takes a function's numbers, without stopping its callers. Of an alias: FAAS_EPERM.
 *
 * @param[out] stats    `stats->size` must be set.
 * @param[out] latency  Time in the handler; NULL if not wanted.
 * @return FAAS_OK, FAAS_ENOENT, FAAS_EPERM, FAAS_EINVAL
 *
 * Thread: any.
 * Cost:   adds up what each instance counted.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_function_stats_get(faas_runtime *rt, faas_fn fn,
                                                            faas_function_stats *stats,
                                                            faas_histogram *latency);

/** What a handle stands for. */
typedef enum faas_kind {
    FAAS_KIND_FUNCTION = 1,
    FAAS_KIND_VERSION = 2,
    FAAS_KIND_ALIAS = 3
} faas_kind;

/** What a function is. */
typedef struct faas_function_info {
    size_t size;      /**< sizeof(faas_function_info), set by the caller */
    faas_fn fn;       /**< its handle */
    faas_kind kind;   /**< a function, a version or an alias */
    uint32_t version; /**< of a version, its number; 0 otherwise */
    char name[512];   /**< terminated; cut if it is longer, which only aliases can be */
    char signature[256];  /**< of a symbol; "" otherwise */
    faas_function policy; /**< as it is in force, defaults filled in, but that a
                              concurrency of 0 follows the runtime; its name, hooks and
                              user are NULL */
} faas_function_info;

/**
 * Describes a function, a version or an alias.
 *
 * @param[out] info  `info->size` must be set.
 * @return FAAS_OK, FAAS_ENOENT, FAAS_EINVAL
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_function_describe(faas_runtime *rt, faas_fn fn,
                                                           faas_function_info *info);

/**
 * Lists what is registered: gives the first one at or after a place.
 *
 *     for (uint32_t at = 0; faas_function_next(rt, &at, &fn) == FAAS_OK;)
 *         ...
 *
 * @param[in,out] at  Start with 0; moved past what was found.
 * @param[out]    fn  Its handle, all zero when there is none left.
 * @return FAAS_OK, or FAAS_ENOENT at the end
 *
 * Thread: any. What is registered meanwhile may or may not come.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_function_next(faas_runtime *rt, uint32_t *at,
                                                       faas_fn *fn);

/**
 * Writes the runtime and all functions, with policy and numbers, as one JSON object.
 *
 * @return FAAS_OK, or FAAS_ESYSTEM if `write` ended it, FAAS_ENOMEM
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_describe_json(faas_runtime *rt,
                                                       faas_write *write, void *user);

/**
 * Writes all numbers in Prometheus' text format: counters, gauges and a latency histogram
 * per function, labelled with its name.
 *
 * @return FAAS_OK, or FAAS_ESYSTEM if `write` ended it, FAAS_ENOMEM
 *
 * Thread: any.
 * Source: Prometheus text format 0.0.4.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_prometheus(faas_runtime *rt, faas_write *write,
                                                    void *user);

#ifdef __cplusplus
}
#endif

#endif /* FAAS_STATS_H */
