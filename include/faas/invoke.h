/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Invocations: calling a function, its result, and what a handler may do.
 */
#ifndef FAAS_INVOKE_H
#define FAAS_INVOKE_H

#include <faas/base.h>
#include <faas/event.h>
#include <faas/function.h>
#include <faas/signature.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Names one invocation; never two alike in a runtime. */
typedef struct faas_id {
    uint64_t high; /**< the runtime's part, random */
    uint64_t low;  /**< the invocation's part */
} faas_id;

/** The text of an id, like a UUID: 36 characters and the terminator. */
#define FAAS_ID_TEXT_SIZE 37

/**
 * Writes an id as a UUID is written.
 *
 * Thread: any.
 */
FAAS_API void faas_id_text(faas_id id, char text[FAAS_ID_TEXT_SIZE]);

/** What one invocation took. */
typedef struct faas_meter {
    faas_id request_id;  /**< of the invocation */
    uint64_t wait_ns;    /**< until it was admitted */
    uint64_t init_ns;    /**< of the cold start; 0 if it was warm */
    uint64_t run_ns;     /**< in the handler */
    uint64_t peak_bytes; /**< most that its heap held */
    bool cold;           /**< whether it made its instance */
} faas_meter;

/** What came out of an invocation: its output, and what it took. */
typedef struct faas_result faas_result;

/**
 * Who goes first where calls wait for a batch, or asynchronous ones for a worker. None
 * starves: every eighth batch begins with the item that waits for longest, and a level of
 * queued invocations that was not served for 100 ms goes before those above it, once.
 */
typedef enum faas_priority {
    FAAS_PRIORITY_DEFAULT = 0, /**< FAAS_PRIORITY_NORMAL */
    FAAS_PRIORITY_HIGH = 1,
    FAAS_PRIORITY_NORMAL = 2,
    FAAS_PRIORITY_LOW = 3
} faas_priority;

/**
 * How to call. Start from FAAS_INVOKE_OPTIONS_INIT or use FAAS_CALL(); 0 or NULL in a
 * field means its default. Pointers are borrowed until the call returns.
 */
typedef struct faas_invoke_options {
    size_t size;            /**< sizeof(faas_invoke_options) */
    uint64_t limit_ns;      /**< time allowed, from now, for everything; default: the
                               function's */
    uint64_t deadline_ns;   /**< or an instant of the runtime's clock; the sooner one
                               counts */
    faas_bytes key;         /**< chooses the version behind an alias; default: the request
                               id */
    faas_bytes tenant;      /**< who asks */
    faas_bytes trace;       /**< a trace id, handed through; default: the calling
                               handler's */
    faas_event *event;      /**< what it is about; its data is the input then */
    faas_id request_id;     /**< default: a new one */
    uint32_t attempt;       /**< which try this is; default 1 */
    uint32_t dry_run;       /**< 1: only says whether the function is there and would be
                               admitted now; the handler does not run */
    faas_priority priority; /**< where calls wait for a batch */
    uint32_t fresh; /**< 1: not from the response cache, nor shared with a call that
                               runs; what it answers is remembered */
} faas_invoke_options;

/** Every field at its default. */
#define FAAS_INVOKE_OPTIONS_INIT                                                         \
    {                                                                                    \
        .size = sizeof(faas_invoke_options)                                              \
    }
/** Options with the named fields over the defaults: `FAAS_CALL(.limit_ns = 1000000)`. */
#define FAAS_CALL(...)                                                                   \
    (&(const faas_invoke_options){.size = sizeof(faas_invoke_options), __VA_ARGS__})

/**
 * Calls a function and waits for its answer.
 *
 * The call passes the limits, takes a warm instance or makes one, runs the handler on the
 * calling thread under a deadline, meters it, wipes its heap and gives the instance back.
 * Called from inside a handler it inherits what is left of that one's time, and is
 * refused when nothing is.
 *
 * @param      fn       A function, a version or an alias.
 * @param      input    Handed to the handler as is, not copied.
 * @param      limit_ns Time allowed, in nanoseconds from now, for waiting, init and
 *                      handler together; 0 = the function's own limit. The handler is
 *                      told, not interrupted: a thread cannot be stopped by force.
 * @param[out] result   Set on FAAS_OK, FAAS_EHANDLER and FAAS_ETIMEDOUT, NULL otherwise.
 *                      May be NULL: then there is no output to keep, and it is cheaper.
 * @return FAAS_OK, or
 *         FAAS_ENOENT    `fn` is gone, or of another runtime
 *         FAAS_EBUSY     a cap or the memory budget is reached; see
 *                        faas_retry_after_ns(). The handler did not run
 *         FAAS_EEXPIRED  no time was left before the handler could start
 *         FAAS_EINIT     the instance could not be made; the handler did not run
 *         FAAS_EDEPTH    calls are nested too deeply; the handler did not run
 *         FAAS_ETYPE     a symbol's packed block has not the signature's size; it did
 *                        not run
 *         FAAS_EINVAL    a symbol's block is NULL or not aligned; it did not run
 *         FAAS_EHANDLER  the handler returned non-zero; see faas_result_code()
 *         FAAS_ETIMEDOUT the handler ran and came back late; its output is dropped
 *         FAAS_ECLOSED, FAAS_ENOMEM, FAAS_ESYSTEM  the handler did not run
 *
 * Owner:  `input` stays the caller's. `*result` is the caller's until
 *         faas_result_release(), from any thread.
 * Thread: any, concurrently, also from inside a handler (it counts against the same
 *         limits). Blocks while the handler runs, and before as the function's `on_full`
 *         says.
 * Cost:   warm, with everything: see `scripts/bench invoke`.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_invoke(faas_runtime *rt, faas_fn fn,
                                                faas_bytes input, uint64_t limit_ns,
                                                faas_result **result);

/**
 * Calls a function as the options say; otherwise as faas_invoke().
 *
 * @return as faas_invoke(), and FAAS_EINVAL, FAAS_EVERSION for wrong options
 *
 * Thread: any. Blocks as faas_invoke() does.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_invoke_with(faas_runtime *rt, faas_fn fn,
                                                     faas_bytes input,
                                                     const faas_invoke_options *options,
                                                     faas_result **result);

/**
 * Calls a typed symbol with values; otherwise as faas_invoke().
 *
 * @param         args      `count` values of the signature's types.
 * @param[in,out] answer    What it returned; of a by-value struct, where to put it, see
 *                          signature.h. NULL if it returns nothing.
 * @return as faas_invoke(), and FAAS_ETYPE if `fn` is no symbol, or the number, a type or
 *         a size is not the signature's; it did not run
 *
 * Thread: any. Blocks as faas_invoke() does.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_call(faas_runtime *rt, faas_fn fn,
                                              const faas_value *args, size_t count,
                                              uint64_t limit_ns, faas_value *answer);

/**
 * Tells how long to wait before asking again, after the last FAAS_EBUSY on this thread:
 * what its limiter said, if that refused, or what the function's calls take on average,
 * spread over its cap. At least 1 us.
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API uint64_t faas_retry_after_ns(void);

/* ---- results ---- */

/**
 * Returns the output.
 *
 * Owner:  the result's.
 * Thread: any.
 */
FAAS_API faas_bytes faas_result_bytes(const faas_result *result);

/**
 * Returns what the handler returned: 0 if it answered.
 *
 * Thread: any.
 */
FAAS_API int faas_result_code(const faas_result *result);

/**
 * Returns what the handler said of its failure, or "".
 *
 * Owner:  the result's.
 * Thread: any.
 */
FAAS_API const char *faas_result_message(const faas_result *result);

/**
 * Returns what the invocation took.
 *
 * Owner:  the result's.
 * Thread: any.
 */
FAAS_API const faas_meter *faas_result_meter(const faas_result *result);

/**
 * Gives a result back; its bytes are wiped. Accepts NULL.
 *
 * Thread: any, also after the runtime was closed.
 */
FAAS_API void faas_result_release(faas_result *result);

/* ---- inside a handler. Thread: handler, all of them. ---- */

/** Returns the runtime that runs this invocation. */
FAAS_API faas_runtime *faas_context_runtime(const faas_context *ctx);
/** Returns the handle of the function that runs: behind an alias, the version's. */
FAAS_API faas_fn faas_context_fn(const faas_context *ctx);
/** Returns the name of the function that runs. */
FAAS_API const char *faas_context_name(const faas_context *ctx);
/** Returns the id of this invocation. */
FAAS_API faas_id faas_request_id(const faas_context *ctx);
/** Returns when this invocation must be done: an instant of the runtime's clock. */
FAAS_API uint64_t faas_deadline_ns(const faas_context *ctx);
/** Returns how much time is left, 0 if none; FAAS_FOREVER without a limit. */
FAAS_API uint64_t faas_time_left_ns(const faas_context *ctx);
/** Tells whether to give up: past the deadline, or the runtime is closing. */
FAAS_API bool faas_cancelled(const faas_context *ctx);
/** Returns what init made of this instance. */
FAAS_API void *faas_state(const faas_context *ctx);
/** Returns the descriptor's `user`. */
FAAS_API void *faas_user(const faas_context *ctx);
/** Returns which try this is, from 1. */
FAAS_API uint32_t faas_attempt(const faas_context *ctx);
/** Returns who asks, as the caller said. */
FAAS_API faas_bytes faas_tenant(const faas_context *ctx);
/** Returns the trace id, the caller's or inherited. */
FAAS_API faas_bytes faas_trace(const faas_context *ctx);
/** Returns the event that this invocation is about, or NULL. Borrowed until it ends. */
FAAS_API faas_event *faas_context_event(const faas_context *ctx);

/** Where faas_alloc() takes from: the room left in a chunk. Private. */
struct faas_room {
    unsigned char *next; /**< aligned to 16; zeroed from here ... */
    unsigned char *end;  /**< ... to here */
};

/** Takes from a room; NULL if it is too small, or `size` is 0. Private. */
static inline void *faas_room_take(struct faas_room *room, size_t size)
{
    unsigned char *memory = room->next;

    /* Compared before rounding up, which may wrap; the room itself is a multiple of 16,
     * or its remainder is of no use. */
    if (size - 1 >= (size_t)(room->end - memory) / 16 * 16)
        return NULL;
    room->next = memory + ((size + 15) & ~(size_t)15);
    return memory;
}

/** Takes from a new chunk; see faas_alloc(). Private. */
FAAS_API void *faas_alloc_slow(faas_context *ctx, size_t size);

/**
 * Allocates on the heap of the invocation: zeroed, aligned to 16, gone after the call.
 * There is no free.
 *
 * @return NULL past the function's `heap_bytes`, or if the machine has none.
 *
 * Cost:   a bump of a pointer, from a chunk that the instance keeps; inline, because that
 *         is less than a call. A context begins with the address of its room.
 */
static inline void *faas_alloc(faas_context *ctx, size_t size)
{
    void *memory = faas_room_take(*(struct faas_room **)(void *)ctx, size);

    return memory != NULL ? memory : faas_alloc_slow(ctx, size);
}

/**
 * Allocates on the heap of the instance: zeroed, aligned to 16, gone after close. In init
 * and in handlers; an instance that runs several calls at once must not race with itself.
 *
 * @return NULL if the machine has none.
 */
FAAS_API void *faas_instance_alloc(faas_context *ctx, size_t size);

/**
 * Counts memory that the instance holds and the library does not see, a loaded model, say,
 * against the budgets, as if it had been allocated by faas_instance_alloc(). In init.
 *
 * An instance that by itself turns out to take more than the runtime's memory_bytes or the
 * function's budget_bytes is closed, and its call is FAAS_EINIT. Otherwise others that are
 * idle are closed for it.
 */
FAAS_API void faas_instance_holds(faas_context *ctx, uint64_t bytes);

/**
 * Sets the output to a copy of `bytes`, instead of what it was.
 *
 * @return 0, or FAAS_ENOMEM past the heap's limit: a fine thing to return.
 */
FAAS_API int faas_reply(faas_context *ctx, faas_bytes bytes);

/**
 * Sets the output to `bytes` themselves: from faas_alloc(), or part of the input or of
 * something that outlives the result.
 *
 * @return 0
 */
FAAS_API int faas_reply_as_is(faas_context *ctx, faas_bytes bytes);

/** Sets the output to formatted text, without its terminator. Returns as faas_reply(). */
FAAS_API int faas_reply_printf(faas_context *ctx, const char *format, ...)
    FAAS_PRINTF(2, 3);

/**
 * Says why it fails: `return faas_fail(ctx, 404, "no such user: %d", id);`
 *
 * @return `code`, or FAAS_EHANDLER if that is 0
 */
FAAS_API int faas_fail(faas_context *ctx, int code, const char *format, ...)
    FAAS_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif

#endif /* FAAS_INVOKE_H */
