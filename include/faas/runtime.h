/* SPDX-License-Identifier: MIT */
/**
 * @file
 * A runtime: one embedded platform with its registry, limits, warm instances and bus.
 */
#ifndef FAAS_RUNTIME_H
#define FAAS_RUNTIME_H

#include <faas/base.h>
#include <faas/clock.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One embedded platform. Several may live in one process; they share nothing. */
typedef struct faas_runtime faas_runtime;

/** Which idle instance goes first when memory is short. */
typedef enum faas_keepalive {
    FAAS_KEEPALIVE_DEFAULT = 0, /**< FAAS_KEEPALIVE_IDX */
    FAAS_KEEPALIVE_LRU = 1,     /**< the one unused for longest */
    FAAS_KEEPALIVE_TTL = 2,     /**< the one whose idle time would end first */
    FAAS_KEEPALIVE_IDX = 3,     /**< the one least likely to save init time, per byte and
                                     time held, by the gaps between its function's calls */
    FAAS_KEEPALIVE_GDSF = 4,    /**< by calls times init time per byte, and age */
    FAAS_KEEPALIVE_SIEVE = 5,   /**< a queue of functions and a hand; recency alone */
    FAAS_KEEPALIVE_LHD = 6      /**< the least hit density of a random sample */
} faas_keepalive;

struct faas_keepalive_policy; /* see keepalive.h */
struct faas_limiter;          /* see limiter.h */

/** Who closes instances that are idle or old, and makes provisioned ones anew. */
typedef enum faas_housekeeping {
    FAAS_HOUSEKEEPING_DEFAULT = 0, /**< a thread; on a virtual clock the host */
    FAAS_HOUSEKEEPING_THREAD = 1,  /**< a thread of the runtime, asleep until it is due */
    FAAS_HOUSEKEEPING_HOST = 2     /**< the host, by faas_runtime_sweep() */
} faas_housekeeping;

/** Which events are published once although they come again. */
typedef enum faas_dedupe {
    FAAS_DEDUPE_DEFAULT = 0, /**< FAAS_DEDUPE_OFF */
    FAAS_DEDUPE_OFF = 1,     /**< none */
    FAAS_DEDUPE_ID = 2,      /**< those with the same source and id */
    FAAS_DEDUPE_CONTENT = 3  /**< those that differ in nothing but their id and time */
} faas_dedupe;

struct faas_record;

/**
 * How to open a runtime. Start from FAAS_RUNTIME_OPTIONS_INIT and set what you need; 0 or
 * NULL in any other field means its default.
 *
 * New fields are only ever added at the end. `size` tells the library how much of the
 * struct the caller was compiled with.
 */
typedef struct faas_runtime_options {
    size_t size;              /**< sizeof(faas_runtime_options) */
    uint32_t concurrency_max; /**< invocations running at one moment, all functions;
                                   default 1000, at most 1048576, FAAS_UNLIMITED is
                                   that */
    uint32_t depth_max;    /**< calls nested in calls, and publishes in publishes; default
                                32, at most 1024 */
    uint64_t memory_bytes; /**< of all instances, see faas_function; default a quarter of
                                the machine's memory, or of what its control group
                                allows */
    faas_keepalive keepalive;        /**< who goes first when memory is short */
    faas_housekeeping housekeeping;  /**< who closes what is due */
    uint64_t seed;                   /**< of request ids; default: from the system, not
                                          repeatable */
    faas_clock *clock;               /**< borrowed until close; default: the machine's */
    const faas_allocator *allocator; /**< borrowed until close and until the last result
                                          is released; default: mimalloc, or malloc()
                                          where that is not installed */
    faas_write *report;              /**< takes a REPORT line per call; default: none. On
                                          the thread of the call, after it,
                                          concurrently */
    void *report_user;               /**< handed to `report` */
    faas_write *log;                 /**< takes the log that `faas replay` reads: a line
                                          of CSV per call that ran, with its arrival, its
                                          function, how long it ran, what its instance
                                          holds and, if it was made for it, how long that
                                          took. Default: none, which costs nothing. The
                                          first line, with the columns' names, comes
                                          while the runtime opens; the others as
                                          those of `report` */
    void *log_user;                  /**< handed to `log` */
    const struct faas_keepalive_policy *keepalive_policy; /**< the host's own, copied;
                                                               default: `keepalive` */
    uint32_t worker_min;   /**< threads for asynchronous work that are always there;
                                default 0 */
    uint32_t worker_max;   /**< at most; they come when work waits, and go when idle for
                                10 s. Default: the processors that this process may use,
                                by affinity and the container's quota. FAAS_OFF, and the
                                default on a clock of the host: none, the host runs
                                everything by faas_run_once() */
    uint32_t blocking_max; /**< threads for functions that block; default 64 */
    uint32_t queue_slots;  /**< asynchronous invocations that wait, of all functions;
                                default 1048576 */
    uint64_t queue_bytes;  /**< of their inputs; default 1 GiB */
    uint64_t spin_ns;      /**< how long one idle worker looks for work before it sleeps;
                                default 20 us, none on one processor or under a quota;
                                FAAS_FOREVER: not at all */
    uint64_t stuck_ns; /**< a handler that runs for longer is counted as stuck; default
                                30 s */
    uint64_t dead_letter_bytes; /**< of dead letters kept; default 64 MiB */
    uint32_t dead_letter_slots; /**< dead letters kept; default 10000 */
    faas_dedupe dedupe;         /**< which events are published once */
    void (*dead_letter)(const struct faas_record *record,
                        void *user); /**< is shown each dead letter that leaves the store
                                          unasked: it is full, or the runtime closes;
                                          default: they are only counted */
    void *dead_letter_user;          /**< handed to `dead_letter` */
    uint64_t dedupe_ns; /**< how long a published event is remembered, from its publish;
                                default 5 min */
    uint64_t dedupe_bytes; /**< of what is remembered: with FAAS_DEDUPE_CONTENT the data
                                too; the oldest goes first. Default 64 MiB */
    const struct faas_limiter *limiter; /**< of the calls of all functions together, on
                                             top of their own; copied. Predicted wait is
                                             asked when a call would wait for
                                             `concurrency_max`. What counts each call,
                                             see limiter.h, does not count those of
                                             functions with a batch handler. Default:
                                             none */
} faas_runtime_options;

/** Every field at its default. */
#define FAAS_RUNTIME_OPTIONS_INIT                                                        \
    {                                                                                    \
        .size = sizeof(faas_runtime_options)                                             \
    }

/**
 * Opens a runtime.
 *
 * @param      options NULL = all defaults.
 * @param[out] rt      Set on FAAS_OK, NULL otherwise.
 * @return FAAS_OK, or
 *         FAAS_EINVAL    a field is out of its range
 *         FAAS_EVERSION  a field that this library does not know is set
 *         FAAS_ENOMEM, FAAS_ESYSTEM
 *
 * Owner:  the caller's, until faas_runtime_close().
 * Thread: any. The first one in a process takes 1 ms to measure the processor's clock.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status
faas_runtime_open(faas_runtime **rt, const faas_runtime_options *options);

/**
 * Closes a runtime: refuses new calls, waits for the running ones, closes every instance,
 * frees everything.
 *
 * Calls that are waiting for a permit, and calls that begin meanwhile, get FAAS_ECLOSED.
 * No call may begin once it has returned: join your threads, or drop their pointer,
 * first. Results that callers hold stay valid until they release them. Events do too.
 *
 * @param rt  NULL does nothing.
 * @return FAAS_OK, or
 *         FAAS_EPERM    called from inside a handler, init or close hook of this runtime,
 *                       which it would wait for; nothing was done
 *         FAAS_ECLOSED  another thread is closing it; nothing was done
 *
 * Thread: any, outside handlers. Blocks until the running calls have returned.
 * Since:  0.1
 */
FAAS_API faas_status faas_runtime_close(faas_runtime *rt);

/** How to close. */
typedef struct faas_close_options {
    size_t size;       /**< sizeof(faas_close_options) */
    uint64_t drain_ns; /**< how long what is queued may still run; default: not at all */
} faas_close_options;

/** Options of closing: `FAAS_CLOSE(.drain_ns = 5000000000)`. */
#define FAAS_CLOSE(...)                                                                  \
    (&(const faas_close_options){.size = sizeof(faas_close_options), __VA_ARGS__})

/**
 * Closes a runtime, after what is queued has run, if it comes to it in time: on workers,
 * or on this thread where there are none. What has not run then ends with FAAS_DROPPED
 * and FAAS_ECLOSED; its record goes where failures go, and the dead letters that are left
 * are shown to the `dead_letter` callback. Otherwise as faas_runtime_close(), which does
 * not drain.
 *
 * @param options  NULL = all defaults.
 * @return as faas_runtime_close(), and FAAS_EINVAL, FAAS_EVERSION: nothing was done
 *
 * Thread: any, outside handlers. Blocks until the running calls have returned.
 * Since:  0.1
 */
FAAS_API faas_status faas_runtime_close_with(faas_runtime *rt,
                                             const faas_close_options *options);

/**
 * Changes how many invocations may run at one moment, in all.
 *
 * When it returns no call begins while `concurrency_max` or more are running; running
 * ones are let finish. Instances stay warm.
 *
 * @param concurrency_max  0 switches the runtime off: every call is refused.
 * @return FAAS_OK, or FAAS_EINVAL if it is over 1048576 and not FAAS_UNLIMITED
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_runtime_limit(faas_runtime *rt,
                                                       uint32_t concurrency_max);

/**
 * Changes the memory budget of the instances; closes idle ones until it holds, or none is
 * left that may go.
 *
 * @param memory_bytes  0 = the default: see faas_runtime_options.
 *
 * Thread: any. Blocks while close hooks run.
 * Since:  0.1
 */
FAAS_API void faas_runtime_budget(faas_runtime *rt, uint64_t memory_bytes);

/**
 * Does what is due by now: closes instances that have been idle for long or are old, and
 * makes provisioned ones that are missing. A runtime with its own thread does this
 * itself.
 *
 * @param[out] next_ns  When to call again: an instant of the runtime's clock,
 *                      FAAS_FOREVER if nothing is coming. May be NULL.
 *
 * Thread: any. Blocks while init and close hooks run.
 * Since:  0.1
 */
FAAS_API void faas_runtime_sweep(faas_runtime *rt, uint64_t *next_ns);

/**
 * Tells the time of a runtime's clock, in nanoseconds.
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API uint64_t faas_runtime_now(const faas_runtime *rt);

#ifdef __cplusplus
}
#endif

#endif /* FAAS_RUNTIME_H */
