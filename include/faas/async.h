/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Asynchronous invocations: submitted, queued, run by workers or by the host's own loop,
 * waited for, retried, cancelled; and where the record of an ended one goes.
 *
 *     faas_invocation job;
 *
 *     status = faas_invoke_async(rt, fn, faas_str("42"), FAAS_SUBMIT(.group = user), &job);
 *     ...
 *     status = faas_invocation_wait(rt, job, FAAS_FOREVER, &result);
 *     faas_invocation_release(rt, job);
 *
 * At least once: an invocation that is retried may have run before. Exactly once as long
 * as no attempt failed. What is queued is in memory, and lost if the process ends without
 * faas_runtime_close().
 */
#ifndef FAAS_ASYNC_H
#define FAAS_ASYNC_H

#include <faas/base.h>
#include <faas/event.h>
#include <faas/function.h>
#include <faas/invoke.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A handle of a submitted invocation: copy it as you like. After its release, of another
 * runtime, or all zero it gives FAAS_ENOENT.
 */
typedef struct faas_invocation {
    uint64_t runtime;    /**< which runtime of this process; private */
    uint32_t index;      /**< its place there; private */
    uint32_t generation; /**< how often the place was reused; private */
} faas_invocation;

/** Why an asynchronous invocation ended. */
typedef enum faas_condition {
    FAAS_CONDITION_NONE = 0, /**< it has not ended */
    FAAS_SUCCESS = 1,
    FAAS_RETRIES_EXHAUSTED = 2,  /**< every attempt failed, or that kind is not retried */
    FAAS_EVENT_AGE_EXCEEDED = 3, /**< its age or its time limit ended before it could run
                                      again */
    FAAS_CANCELLED = 4,
    FAAS_DROPPED = 5 /**< pushed out of a full queue, its function is gone, or the runtime
                          closed */
} faas_condition;

/**
 * The name of a condition, as Lambda writes those that it has: "RetriesExhausted".
 *
 * Owner:  static.
 * Thread: any.
 */
FAAS_API const char *faas_condition_name(faas_condition condition);

/** What an ended asynchronous invocation was. All of it is borrowed for the call. */
typedef struct faas_record {
    size_t size;              /**< sizeof(faas_record) */
    faas_id request_id;       /**< the same in all attempts */
    faas_fn fn;               /**< the function it was submitted to */
    const char *function;     /**< its name, of a version "name:3" */
    uint32_t version;         /**< of a version, its number; 0 otherwise */
    uint32_t attempts;        /**< that were made: a handler ran, or an instance could not
                                   be made for it */
    faas_condition condition; /**< why it ended */
    faas_status status;       /**< as faas_invoke() would have returned; FAAS_ECANCELLED,
                                   FAAS_EEXPIRED, FAAS_EBUSY (dropped), FAAS_ENOENT,
                                   FAAS_ECLOSED if it did not run */
    int code;                 /**< what the last handler returned */
    faas_priority priority;   /**< as submitted */
    faas_bytes request;       /**< the input */
    faas_event *event;        /**< what it was about, or NULL */
    faas_bytes response;      /**< the output of the last handler */
    const char *error;        /**< what that said of its failure, or "" */
    faas_bytes group;         /**< as submitted; `data` is NULL without */
    faas_bytes tenant;        /**< as submitted; `data` is NULL without */
    uint64_t submitted_ns;    /**< instant of the runtime's clock */
    uint64_t ended_ns;        /**< instant of the runtime's clock */
    int64_t ended_unix_ns;    /**< the same since 1970 */
} faas_record;

/**
 * Writes a record as one JSON object in Lambda's form: `version`, `timestamp`,
 * `requestContext` {`requestId`, `functionArn`, `condition`, `approximateInvokeCount`},
 * `requestPayload`, `responseContext` {`statusCode`, `executedVersion`,
 * `functionError`}, `responsePayload`. A payload that is JSON is written as it is, other
 * text as a string, other bytes as `{"base64": "..."}`.
 *
 * @return FAAS_OK, or FAAS_ESYSTEM if `write` ended it
 *
 * Thread: any.
 * Source: AWS Lambda, asynchronous invocation records.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_record_json(const faas_record *record,
                                                     faas_write *write, void *user);

/**
 * Is told that an invocation has ended.
 *
 * Thread: that of the worker, of faas_run_once(), of the canceller, the housekeeper's or
 *         the submitter's; no lock is held. It may call everything that a handler may.
 */
typedef void faas_ended(const faas_record *record, void *user);

/** Where the record of an ended invocation goes; what is not set takes no part. One that
 * cannot be handed over, or is refused by somebody who asked for its event, is kept as a
 * dead letter. */
typedef struct faas_destination {
    faas_fn fn;             /**< is invoked asynchronously with the record's JSON */
    const char *event_type; /**< is published with the record's JSON as data; copied */
    faas_ended *ended;      /**< is called */
    void *user;             /**< handed to `ended` */
} faas_destination;

/** What a submission finds when the function's queue, or the runtime's, is full. */
typedef enum faas_queue_full {
    FAAS_QUEUE_DEFAULT = 0,     /**< FAAS_QUEUE_REFUSE */
    FAAS_QUEUE_REFUSE = 1,      /**< FAAS_EBUSY; see faas_retry_after_ns() */
    FAAS_QUEUE_WAIT = 2,        /**< the submitter waits, at most `queue_wait_ns` */
    FAAS_QUEUE_DROP_OLDEST = 3, /**< the function's oldest waiting one ends with
                                     FAAS_DROPPED and goes to the dead letters */
    FAAS_QUEUE_RUN_HERE = 4 /**< the submitter runs it, at once; FAAS_EBUSY if it meets
                                     no seat, or would overtake its group, or what has its
                                     key */
} faas_queue_full;

/** What becomes of a group whose first invocation failed and will be retried. */
typedef enum faas_group_failure {
    FAAS_GROUP_DEFAULT = 0, /**< FAAS_GROUP_BLOCK */
    FAAS_GROUP_BLOCK = 1,   /**< it waits until that one succeeded or was given up */
    FAAS_GROUP_SKIP = 2 /**< the next one runs; the failed one is retried on its own */
} faas_group_failure;

/** Outcomes that are retried; they add up. */
#define FAAS_RETRY_ERROR 1u   /**< the handler returned non-zero */
#define FAAS_RETRY_TIMEOUT 2u /**< it was late */
#define FAAS_RETRY_INIT 4u    /**< the instance could not be made */
#define FAAS_RETRY_NOMEM 8u   /**< no memory */
#define FAAS_RETRY_ALL 15u    /**< any of these */

/** How the time between attempts is drawn. */
typedef enum faas_jitter {
    FAAS_JITTER_DEFAULT = 0, /**< FAAS_JITTER_FULL */
    FAAS_JITTER_FULL = 1,    /**< anything from 0 to the backoff, by the runtime's seed */
    FAAS_JITTER_NONE = 2     /**< the backoff itself */
} faas_jitter;

/** Room that a key function may write into. */
#define FAAS_KEY_ROOM 256

/**
 * Tells what an invocation is to be known by: those of a function with equal keys are
 * identical, and run once (see `key` in faas_submit_options).
 *
 * @param room  FAAS_KEY_ROOM bytes to write a key into, until it is copied.
 * @return the key: of `input`, of `room`, or something that lasts. `data` NULL: this one
 *         has none.
 *
 * Thread: the submitter's, with no lock held.
 * Since:  0.1
 */
typedef faas_bytes faas_key(faas_bytes input, const faas_event *event, char *room,
                            void *user);

/**
 * How a function is invoked asynchronously: its queue, retries and ends. Make one with
 * FAAS_ASYNC(); a field that is 0 or NULL has its default. New fields come at the end.
 */
typedef struct faas_async {
    size_t size;                   /**< sizeof(faas_async) */
    uint32_t queue_slots;          /**< invocations that wait; default 65536, at most
                                       FAAS_UNLIMITED: then the runtime's bound alone */
    faas_queue_full on_queue_full; /**< what a submission finds when it is full */
    uint64_t queue_bytes;          /**< of their inputs; default 256 MiB */
    uint64_t queue_wait_ns;        /**< how long a submitter may wait; default 60 s */
    uint32_t retries;        /**< attempts after the first; default 2, FAAS_OFF none,
                                       at most 1000 */
    uint32_t retry_on;       /**< FAAS_RETRY_...; default FAAS_RETRY_ALL */
    uint64_t backoff_ns;     /**< before the first retry; default 1 s */
    uint64_t backoff_max_ns; /**< at most; default 5 min */
    double backoff_factor;   /**< each is so many times the one before; default 2 */
    faas_jitter jitter;      /**< how the time between attempts is drawn */
    faas_group_failure group_failure; /**< of a group whose first one failed */
    uint64_t age_ns;             /**< an invocation this old is not run any more; default
                                       6 h */
    uint32_t blocking;           /**< 1: its handlers wait for something, and get threads
                                       apart from those that compute */
    uint32_t dead_letters;       /**< FAAS_OFF: failures are not kept there */
    faas_destination on_success; /**< of one that succeeded */
    faas_destination on_failure; /**< of every other */
    faas_key *key;               /**< of submissions that name none; default: no key */
    void *key_user;              /**< handed to `key` */
    uint64_t idempotency_ns;     /**< how long the result of one with a key answers those
                                      that come with the same key; default: not at all */
    uint64_t idempotency_bytes;  /**< of such results, with their own memory; default
                                      16 MiB; who was not asked for longest goes */
} faas_async;

/** Asynchronous policy with the named fields over the defaults. */
#define FAAS_ASYNC(...) (&(const faas_async){.size = sizeof(faas_async), __VA_ARGS__})

/** Lambda's values: two retries after one and two minutes, six hours. */
#define FAAS_ASYNC_LAMBDA                                                                \
    FAAS_ASYNC(.retries = 2, .backoff_ns = 60000000000u, .backoff_factor = 2.0,          \
               .backoff_max_ns = 300000000000u, .jitter = FAAS_JITTER_NONE,              \
               .age_ns = 21600000000000u)

/**
 * How to submit. Use FAAS_SUBMIT(); 0 or NULL in a field means its default. What is given
 * by pointer is copied, but for the event, which is shared.
 */
typedef struct faas_submit_options {
    size_t size;            /**< sizeof(faas_submit_options) */
    faas_event *event;      /**< what it is about; its data is the input then */
    faas_bytes group;       /**< those of one function and group run one after the other,
                                 in the order of submission; default: no order */
    faas_bytes tenant;      /**< who asks: tenants with work take turns */
    faas_bytes trace;       /**< a trace id, handed through */
    faas_bytes route;       /**< chooses the version behind an alias; default: the id */
    uint64_t limit_ns;      /**< time allowed from now, for queue, retries and run;
                                 default: none, but for the policy's `age_ns` */
    uint64_t delay_ns;      /**< not before so long from now */
    uint64_t start_ns;      /**< nor before this instant of the runtime's clock */
    uint32_t tenant_weight; /**< turns of this tenant to one of weight 1; default 1, at
                                 most 1000 */
    faas_priority priority; /**< who goes first */
    faas_ended *ended;      /**< told of its end; default: nobody */
    void *ended_user;       /**< handed to `ended` */
    uint32_t will_wait;     /**< 1: the submitter waits for it soon, and runs it itself if
                                 nobody did by then; nobody is woken for it */
    uint32_t reserved;      /**< 0 */
    faas_bytes key; /**< idempotency key: while an invocation of this function with
                                 an equal key is under way, this one does not run, but ends
                                 as that one does; and in the function's window
                                 (`idempotency_ns`) after its success it ends at once, with
                                 its result. A failure is shared and not kept. A shared
                                 result's meter is that of the run. Of one that is
                                 cancelled, dropped or too late the next one takes the
                                 place. Default: that of the function's `key` */
} faas_submit_options;

/** Options with the named fields over the defaults: `FAAS_SUBMIT(.group = faas_str("7"))`. */
#define FAAS_SUBMIT(...)                                                                 \
    (&(const faas_submit_options){.size = sizeof(faas_submit_options), __VA_ARGS__})

/**
 * Submits an invocation and returns at once.
 *
 * It waits in the function's queue until a worker and a seat are there for it. Meeting a
 * limit costs it time and nothing else: it keeps its place and its attempts. Without
 * workers, the host runs it by faas_run_once().
 *
 * @param      fn          A function, a version or an alias, whose version is chosen now.
 * @param      input       Copied; of an event, its data without a copy.
 * @param      options     NULL = all defaults.
 * @param[out] invocation  Its handle on FAAS_OK, all zero otherwise. May be NULL: then
 *                         nobody waits for it.
 * @return FAAS_OK, or
 *         FAAS_ENOENT   `fn` is gone
 *         FAAS_EBUSY    the queue is full; see faas_retry_after_ns()
 *         FAAS_EEXPIRED `limit_ns` ends before it would start
 *         FAAS_EINVAL, FAAS_EVERSION, FAAS_ECLOSED, FAAS_ENOMEM
 *
 * Owner:  the handle is the caller's until faas_invocation_release().
 * Thread: any, also from handlers. Blocks as the function's `on_queue_full` says.
 * Cost:   see `scripts/bench async`.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_invoke_async(faas_runtime *rt, faas_fn fn,
                                                      faas_bytes input,
                                                      const faas_submit_options *options,
                                                      faas_invocation *invocation);

/**
 * Submits many invocations of one function at once: cheaper than one by one.
 *
 * @param      inputs       `count` of them, each as of faas_invoke_async(). NULL: no
 *                          input.
 * @param      options      For all.
 * @param[out] invocations  `count` handles, those that were not accepted all zero. May be
 *                          NULL.
 * @param[out] accepted     How many were, from the first on. May be NULL.
 * @return FAAS_OK if all were; else why the first one that was not was refused
 *
 * Thread: any. Blocks as faas_invoke_async() does.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_invoke_async_many(
    faas_runtime *rt, faas_fn fn, const faas_bytes *inputs, size_t count,
    const faas_submit_options *options, faas_invocation *invocations, size_t *accepted);

/**
 * Waits for the end of an invocation.
 *
 * A waiter whose invocation is still queued, is in no group and may run now runs it
 * itself.
 *
 * @param      limit_ns  How long, from now; 0 only looks.
 * @param[out] result    What came out, if it ended as its handler came back; of one that
 *                       was late without the output. A share of it, the caller's until
 *                       faas_result_release(). NULL otherwise. May be NULL.
 * @return how it ended, as faas_invoke() would have said; FAAS_ECANCELLED if it was
 *         cancelled; or
 *         FAAS_EPENDING  it has not ended yet
 *         FAAS_ENOENT    the handle is released, or of another runtime
 *         FAAS_EPERM     it would wait for itself: called from inside a handler that this
 *                        invocation, or one before it in its group, waits for
 *         FAAS_ECLOSED   the runtime is closing
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_invocation_wait(faas_runtime *rt,
                                                         faas_invocation invocation,
                                                         uint64_t limit_ns,
                                                         faas_result **result);

/**
 * Cancels an invocation.
 *
 * @return FAAS_OK        it never runs, or never again; its waiters get FAAS_ECANCELLED
 *         FAAS_EPENDING  it runs, and was told: faas_cancelled(). It will not be retried
 *         FAAS_EINUSE    it has ended before
 *         FAAS_ENOENT    the handle is released, or of another runtime
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API faas_status faas_invocation_cancel(faas_runtime *rt, faas_invocation invocation);

/**
 * Gives a handle back. The invocation goes on; nobody waits for it any more.
 *
 * Thread: any, but not concurrently with another use of this handle. A second time does
 *         nothing.
 * Since:  0.1
 */
FAAS_API void faas_invocation_release(faas_runtime *rt, faas_invocation invocation);

/** Where an invocation stands. */
typedef enum faas_phase {
    FAAS_PHASE_DELAYED = 1, /**< waits for its time, for its next attempt, or for another
                                 one with its key */
    FAAS_PHASE_QUEUED = 2,
    FAAS_PHASE_RUNNING = 3,
    FAAS_PHASE_ENDED = 4
} faas_phase;

/** What is known of an invocation. */
typedef struct faas_invocation_info {
    size_t size;              /**< sizeof(faas_invocation_info), set by the caller */
    faas_id request_id;       /**< the same in all attempts */
    faas_phase phase;         /**< where it is on its way */
    uint32_t attempts;        /**< that were made, or are being made */
    faas_condition condition; /**< if it has ended */
    faas_status status;       /**< if it has ended; FAAS_EPENDING before */
} faas_invocation_info;

/**
 * Tells where an invocation stands.
 *
 * @param[out] info  `info->size` must be set.
 * @return FAAS_OK, FAAS_ENOENT, FAAS_EINVAL
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_invocation_describe(faas_runtime *rt,
                                                             faas_invocation invocation,
                                                             faas_invocation_info *info);

/* ---- without threads of ours ---- */

/**
 * Does what is due: runs queued invocations on this thread, retries, ends ages and
 * deadlines, sweeps instances.
 *
 * @param      budget_ns  No further handler begins after so long; 0 runs one at most.
 * @param[out] next_ns    When there will be something to do, an instant of the runtime's
 *                        clock: now or earlier if there is already, FAAS_FOREVER if
 *                        nothing is coming. May be NULL.
 * @return how many handlers ran; a batch is one
 *
 * Thread: any, also beside workers. From inside a handler it does nothing.
 * Since:  0.1
 */
FAAS_API uint64_t faas_run_once(faas_runtime *rt, uint64_t budget_ns, uint64_t *next_ns);

/**
 * Runs all that is due up to an instant of a virtual clock, moving the clock from one
 * such thing to the next and at last to `until_ns`. With `worker_max` at FAAS_OFF the
 * runtime is a simulator: one seed gives one order of everything.
 *
 * @param[out] ran  How many handlers ran. May be NULL.
 * @return FAAS_OK, or
 *         FAAS_EPERM   the runtime's clock is not virtual, or this is inside a handler
 *         FAAS_EINVAL  `until_ns` is in the past
 *         FAAS_ECLOSED
 *
 * Thread: any, one at a time per clock.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_run_until(faas_runtime *rt, uint64_t until_ns,
                                                   uint64_t *ran);

/**
 * Gives a descriptor for poll(2) and its like: readable while there is something for
 * faas_run_once() to do. Nobody reads from it.
 *
 * @param[out] fd  The same at every call; the runtime's, closed with it.
 * @return FAAS_OK, FAAS_ESYSTEM, FAAS_ECLOSED, FAAS_ENOMEM
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_poll_fd(faas_runtime *rt, int *fd);

/* ---- numbers ---- */

/** What asynchronous work there is, and was; a snapshot. */
typedef struct faas_async_stats {
    size_t size;           /**< sizeof(faas_async_stats), set by the caller */
    uint64_t submitted;    /**< accepted */
    uint64_t refused;      /**< submissions that found no room */
    uint64_t succeeded;    /**< of the accepted, that ended so */
    uint64_t exhausted;    /**< ... with FAAS_RETRIES_EXHAUSTED */
    uint64_t expired;      /**< ... with FAAS_EVENT_AGE_EXCEEDED */
    uint64_t cancelled;    /**< ... with FAAS_CANCELLED */
    uint64_t dropped;      /**< ... with FAAS_DROPPED */
    uint64_t retried;      /**< attempts after the first that were arranged */
    uint64_t queued;       /**< waiting now, for a seat or for their time */
    uint64_t queued_bytes; /**< of their inputs */
    uint64_t oldest_ns;    /**< age of the oldest of them that waits for a seat */
    uint32_t running;      /**< now */
    uint32_t quarantined;  /**< of these, abandoned at their deadline and still running */
    uint32_t stuck;        /**< running for longer than the runtime's `stuck_ns` */
    uint32_t workers;      /**< threads */
    uint32_t workers_idle; /**< of these, asleep */
    uint32_t reserved;     /**< 0 */
    uint64_t shared;       /**< of those that ended, with the result of another one that
                                had the same key */
} faas_async_stats;

/**
 * Takes the numbers of a runtime's asynchronous work, or of one function's.
 *
 * @param      fn     All zero: all functions. Workers are the runtime's.
 * @param[out] stats  `stats->size` must be set.
 * @return FAAS_OK, FAAS_ENOENT, FAAS_EINVAL
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_async_stats_get(faas_runtime *rt, faas_fn fn,
                                                         faas_async_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* FAAS_ASYNC_H */
