/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Overload: what a limiter makes of more calls than can be served, in virtual time.
 *
 * The model: calls arrive at random (Poisson), at a rate that changes by phases; each
 * takes a random time in the handler (exponential); `workers` run at once, the others
 * wait in one queue. To refuse a call takes no time.
 */
#ifndef FAAS_OVERLOAD_H
#define FAAS_OVERLOAD_H

#include <faas/base.h>
#include <faas/limiter.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A time of even load. */
typedef struct faas_load_phase {
    uint64_t length_ns;  /**< how long it lasts */
    uint64_t service_ns; /**< what a call takes in the handler, on average */
    double rate;         /**< calls per second, on average; 1e-3 to 1e9 */
} faas_load_phase;

/** One experiment. Start from FAAS_OVERLOAD_INIT. */
typedef struct faas_overload {
    size_t size;                   /**< sizeof(faas_overload) */
    const faas_load_phase *phases; /**< borrowed for the run; must be set */
    size_t phase_count;            /**< after the last comes the first again */
    const faas_limiter *limiter;   /**< borrowed for the run; default: all defaults */
    uint64_t length_ns;            /**< of the whole run; default 60 s */
    uint64_t warm_ns;              /**< what ends before this is not counted; default 5 s,
                                        FAAS_FOREVER = everything counts */
    uint64_t slo_ns;               /**< a call that takes longer, with its wait, is of no
                                        use; default 25 ms */
    uint64_t seed;                 /**< of the random numbers */
    uint32_t workers;              /**< at most 4096; default 2 */
    uint32_t reserved;             /**< 0 */
} faas_overload;

/** Every field at its default. */
#define FAAS_OVERLOAD_INIT                                                               \
    {                                                                                    \
        .size = sizeof(faas_overload)                                                    \
    }

/** What came of it; the same each time. */
typedef struct faas_overload_result {
    size_t size;      /**< sizeof(faas_overload_result), set by the caller */
    uint64_t calls;   /**< that arrived, in all */
    uint64_t refused; /**< of these, at once */
    uint64_t shed;    /**< of these, when their turn came */
    uint64_t ran;     /**< handlers that ended */
    uint64_t in_time; /**< of these, counted and within slo_ns */
    double goodput;   /**< in_time per second that counts */
    uint64_t p50_ns;  /**< of the calls counted, wait and handler; 0 of none */
    uint64_t p99_ns;  /**< of the same */
    uint32_t in_flight_max; /**< most at one moment */
    uint32_t reserved;      /**< 0 */
} faas_overload_result;

/**
 * Runs an experiment.
 *
 * @param[out] result  Set on FAAS_OK.
 * @return FAAS_OK, or
 *         FAAS_EINVAL    no phases, or a value is out of its range
 *         FAAS_EVERSION, FAAS_ENOMEM
 *
 * Thread: any.
 * Cost:   about 0.1 us of processor time per call.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_overload_run(const faas_overload *overload,
                                                      const faas_allocator *allocator,
                                                      faas_overload_result *result);

#ifdef __cplusplus
}
#endif

#endif /* FAAS_OVERLOAD_H */
