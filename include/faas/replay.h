/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Replay: what a keep-alive policy would have done with recorded traffic, run through the
 * policies that serve live traffic, in virtual time.
 *
 * The model: a run takes as long as it took in the trace, cold or warm, so every policy
 * sees the same demand; a cold start costs its function's init time beside it. A run
 * reuses the instance of its function that fell idle last. Idle instances go, as the
 * policy says, when the budget is exceeded; busy ones never, so a burst may run over
 * budget.
 */
#ifndef FAAS_REPLAY_H
#define FAAS_REPLAY_H

#include <faas/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A function of a trace. */
typedef struct faas_trace_function {
    uint64_t memory_bytes; /**< of one instance; 0 counts as 1 */
    uint64_t init_ns;      /**< what a cold start takes */
} faas_trace_function;

/** A call of a trace. */
typedef struct faas_trace_call {
    uint64_t at_ns;    /**< when it arrived; from any origin, never less than the call's
                            before it */
    uint64_t run_ns;   /**< how long it ran */
    uint32_t function; /**< place in the trace's functions */
    uint32_t reserved; /**< 0 */
} faas_trace_call;

/** Recorded traffic. */
typedef struct faas_replay_trace {
    size_t size;                          /**< sizeof(faas_replay_trace) */
    const faas_trace_function *functions; /**< borrowed until the replay is closed */
    const faas_trace_call *calls;         /**< borrowed for faas_replay_open() */
    size_t function_count;                /**< 1 to 16777216 */
    size_t call_count;                    /**< 1 to 2^31 - 1 */
} faas_replay_trace;

/** A trace made ready to be replayed. */
typedef struct faas_replay faas_replay;

/** What a policy is to save. */
typedef enum faas_replay_objective {
    FAAS_REPLAY_INIT = 0, /**< init time */
    FAAS_REPLAY_COUNT = 1 /**< cold starts, whatever they take */
} faas_replay_objective;

/** One experiment. */
typedef struct faas_replay_options {
    size_t size;           /**< sizeof(faas_replay_options) */
    const char *policy;    /**< a name of faas_replay_policy(); default "idx" */
    uint64_t memory_bytes; /**< the budget; must be set, and hold the largest instance */
    uint64_t idle_ns;      /**< ttl: how long an instance may idle; default 600 s */
    uint64_t seed;         /**< of policies that draw at random */
    faas_replay_objective objective; /**< what a reuse saves */
    uint32_t reserved;               /**< 0 */
} faas_replay_options;

/** Every field at its default. */
#define FAAS_REPLAY_OPTIONS_INIT                                                         \
    {                                                                                    \
        .size = sizeof(faas_replay_options)                                              \
    }

/** What came of it. The same each time, but for `cpu_ns`. */
typedef struct faas_replay_result {
    size_t size;            /**< sizeof(faas_replay_result), set by the caller */
    uint64_t invocations;   /**< calls of the trace */
    uint64_t cold_starts;   /**< of these, that found no idle instance */
    uint64_t first_starts;  /**< of these, that no policy could have avoided */
    uint64_t init_ns;       /**< init time of all cold starts */
    uint64_t evictions;     /**< instances that went to make room */
    uint64_t expirations;   /**< instances that went because their time had ended */
    uint64_t over_budget;   /**< cold starts that ran although nothing more could go */
    uint64_t events;        /**< arrivals, and runs that ended before the last arrival */
    uint64_t cpu_ns;        /**< processor time of the whole run, policy and model */
    uint64_t history_bytes; /**< what the policy holds at the end, its books included */
    double idle_gb_hours;   /**< memory held by idle instances over time; GB = 2^30 */
} faas_replay_result;

/** How well a policy that knew the future could have done. */
typedef struct faas_replay_bound {
    size_t size;          /**< sizeof(faas_replay_bound), set by the caller */
    double lower;         /**< no schedule costs less: seconds of init, or cold starts */
    double lower_simple;  /**< the same with one price of memory for all times: PFOO-L */
    double feasible;      /**< what a schedule costs that knows the future */
    uint64_t cold_starts; /**< of the feasible schedule */
} faas_replay_bound;

/**
 * Makes a trace ready: finds which runs overlap.
 *
 * @param      trace     Its functions stay borrowed; its calls are copied.
 * @param      allocator Borrowed until close; NULL = the library's own.
 * @param[out] replay    Set on FAAS_OK, NULL otherwise.
 * @return FAAS_OK, or
 *         FAAS_EINVAL    the trace is empty or too large; a call names no function or
 *                        arrives before the one before it; a time is out of range
 *         FAAS_EVERSION, FAAS_ENOMEM
 *
 * Owner:  the caller's, until faas_replay_close().
 * Thread: any.
 * Cost:   32 bytes per call while it is open.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_replay_open(const faas_replay_trace *trace,
                                                     const faas_allocator *allocator,
                                                     faas_replay **replay);

/**
 * Ends a replay. Accepts NULL.
 *
 * Thread: any, alone.
 */
FAAS_API void faas_replay_close(faas_replay *replay);

/**
 * Replays the trace with one policy and one budget.
 *
 * @param      options See there.
 * @param[out] result  Set on FAAS_OK.
 * @return FAAS_OK, or
 *         FAAS_EINVAL    no such policy; the budget does not hold the largest instance
 *         FAAS_EVERSION, FAAS_ENOMEM
 *
 * Thread: any; runs on one replay may be concurrent.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_replay_run(const faas_replay *replay,
                                                    const faas_replay_options *options,
                                                    faas_replay_result *result);

/**
 * Bounds what any policy could do with a budget, from both sides.
 *
 * @param      objective    Of the policies to compare with.
 * @param      memory_bytes The budget.
 * @param[out] bound        Set on FAAS_OK.
 * @return FAAS_OK, FAAS_EINVAL, FAAS_EVERSION, FAAS_ENOMEM
 *
 * Thread: any, as faas_replay_run(). Takes seconds per million calls.
 * Source: weak duality of the interval-packing LP with a price of memory per 10 s. With
 *         one price: Berger, Beckmann, Harchol-Balter, Practical Bounds on Optimal
 * Caching with Variable Object Sizes, SIGMETRICS'18 (PFOO-L).
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_replay_limits(const faas_replay *replay,
                                                       faas_replay_objective objective,
                                                       uint64_t memory_bytes,
                                                       faas_replay_bound *bound);

/**
 * Names the policies: the one at `place`, from 0; NULL past the last.
 *
 * Owner:  static.
 * Thread: any.
 */
FAAS_API const char *faas_replay_policy(size_t place);

#ifdef __cplusplus
}
#endif

#endif /* FAAS_REPLAY_H */
