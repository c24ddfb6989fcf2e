/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Functions: descriptors, the registry, versions and aliases, symbols.
 */
#ifndef FAAS_FUNCTION_H
#define FAAS_FUNCTION_H

#include <faas/base.h>
#include <faas/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A handle of a function, a version or an alias: copy it as you like. When its function
 * is gone every use gives FAAS_ENOENT, and so does a handle of another runtime, or all
 * zero.
 */
typedef struct faas_fn {
    uint64_t runtime;    /**< which runtime of this process; private */
    uint32_t index;      /**< its place there; private */
    uint32_t generation; /**< how often the place was reused; private */
} faas_fn;

/** What a handler knows about its invocation; see invoke.h. */
typedef struct faas_context faas_context;

/**
 * The code of a function: one invocation.
 *
 * @param ctx    Valid until it returns. See invoke.h for what it gives.
 * @param input  Borrowed until it returns; of an event, its data.
 * @return 0 if it answered. Anything else is a failure with this code, which the caller
 *         is given beside FAAS_EHANDLER.
 *
 * Thread: the caller's, or the bus's; several at once unless the function's cap is 1.
 *         The library holds no lock meanwhile. It may call everything but
 *         faas_runtime_close().
 */
typedef int faas_handler(faas_context *ctx, faas_bytes input);

/** One of the items of a batch; see batch.h. */
typedef struct faas_item faas_item;

/**
 * The code of a function that takes many invocations at once; see batch.h.
 *
 * @param ctx    The batch's: its state and user, a heap for what the items share, the
 *               latest of their deadlines. It has no reply, event or caller.
 * @param items  `count` of them, 1 or more, each with its own context, input and code.
 * @return 0, or a failure of every item that has not failed by its own code; what
 *         faas_fail() said in `ctx` is then their message.
 *
 * Thread: of one of the callers, which may be none of the items'. Otherwise as a handler.
 */
typedef int faas_batch_handler(faas_context *ctx, faas_item *items, size_t count);

/**
 * Makes an instance: a cold start.
 *
 * @param      ctx    faas_user(), faas_instance_alloc(), faas_fail() and the time are
 *                    there; no event, no reply.
 * @param[out] state  What faas_state() will give to the handler and close; starts NULL.
 * @return 0, or a failure: `close` will not be called, and the call that asked for the
 *         instance gets FAAS_EINIT.
 *
 * Thread: that of the call that needs the instance, or the housekeeper's.
 */
typedef int faas_init_hook(faas_context *ctx, void **state);

/**
 * Ends an instance: called exactly once for every init that succeeded.
 *
 * Thread: any one, while no call runs in the instance.
 */
typedef void faas_close_hook(void *state, void *user);

/** How a function is invoked asynchronously; see async.h. */
struct faas_async;

/** How many calls come in; see limiter.h. */
struct faas_limiter;

/** What a call finds when a limit is reached. */
typedef enum faas_full {
    FAAS_FULL_DEFAULT = 0, /**< FAAS_FULL_REFUSE */
    FAAS_FULL_REFUSE = 1,  /**< FAAS_EBUSY at once; faas_retry_after_ns() says when */
    FAAS_FULL_WAIT = 2     /**< it waits, first come first served, at most `wait_ns`; but
                                one that its limiter sees no hope for is refused at once:
                                by default if, by what calls take, its turn would come
                                after 0.4 x `wait_ns`, or of `timeout_ns` if that is
                                less */
} faas_full;

/** Flags: what a function with a response cache, or without one, does beside it. */
enum {
    FAAS_CACHE_SINGLE_FLIGHT =
        1,                  /**< calls with the same input, made while one such runs,
                                       wait for its answer and share it */
    FAAS_CACHE_FAILURES = 2 /**< what the handler failed with is remembered, too */
};

/**
 * A function: what runs, and its policy. Make one with FAAS_FUNCTION(); a field that is 0
 * or NULL has its default.
 */
typedef struct faas_function {
    size_t size;                   /**< sizeof(faas_function) */
    const char *name;              /**< 1 to 255 bytes of UTF-8; copied */
    faas_handler *handler;         /**< what runs */
    faas_init_hook *init;          /**< makes an instance; default: nothing to make */
    faas_close_hook *close;        /**< ends one; default: nothing to end */
    uint32_t concurrency;          /**< invocations at one moment; default: the runtime's;
                                        FAAS_OFF refuses every call. A published event
                                        counts per target */
    uint32_t instance_concurrency; /**< invocations at one moment in one instance; default
                                        1, at most 65536 */
    uint32_t provisioned;          /**< instances made ahead and kept; default 0 */
    faas_full on_full;             /**< when a cap is reached, its own or the runtime's */
    uint64_t wait_ns;              /**< how long a call may wait when full; default: its
                                        time limit */
    uint64_t timeout_ns;           /**< time limit of an invocation; default 60 s, or
                                        FAAS_FOREVER */
    uint64_t init_timeout_ns;      /**< time limit of init; default 10 s. A late instance
                                        is closed */
    uint64_t idle_ns;              /**< an instance unused this long is closed; default
                                        600 s */
    uint64_t age_ns;               /**< an instance this old is closed when idle; default
                                        none */
    uint64_t invocation_max;       /**< an instance that served this many is closed;
                                        default none; counted from when it is set, and
                                        exact with one call at a time */
    uint64_t memory_bytes;         /**< configured memory, which is billed; default
                                        128 MiB */
    uint64_t heap_bytes;           /**< most that one invocation may allocate; default
                                        memory_bytes */
    uint64_t instance_bytes;       /**< what an instance takes beside its heap, to be
                                        counted against the runtime's memory; default 0 */
    void *user;                    /**< handed to the hooks, and to the handler by
                                        faas_user() */
    void (*user_free)(void *user); /**< called exactly once when the function is gone,
                                        also when registering fails; default: nothing */
    uint64_t budget_bytes;         /**< most that its instances may take in all, measured
                                        as against the runtime's memory; default: no more
                                        than that, FAAS_FOREVER is no limit */
    uint32_t instance_min;         /**< instances that stay, once made, however idle and
                                        however short memory is; default 0: it scales to
                                        zero */
    uint32_t instance_max;         /**< most instances at one moment; default and
                                        FAAS_UNLIMITED: as many as calls come in. A call
                                        that would need one more finds it full */
    faas_batch_handler *batch;     /**< takes many invocations at once, see batch.h;
                                        `handler` may then be NULL, or runs what comes
                                        alone. `concurrency` counts batches, and its
                                        default is 1 */
    uint32_t batch_max;            /**< items in a batch; default 64, at most 1024 */
    uint32_t cache_mode;           /**< FAAS_CACHE_... flags; default none */
    uint64_t batch_delay_ns;       /**< how long an instance that is free waits for more
                                        items; default 0: it does not */
    uint64_t cache_bytes;          /**< of the response cache, with its own memory;
                                        default 0: there is none. Only for a function whose
                                        answer depends on its input alone */
    uint64_t cache_ns;             /**< how long an answer is good; default
                                        FAAS_FOREVER */
    const struct faas_async *async;     /**< how it is invoked asynchronously, from
                                         FAAS_ASYNC(); copied; default: see there */
    const struct faas_limiter *limiter; /**< how many calls come in, and how fast, from
                                             FAAS_LIMITER_INIT; copied; see limiter.h.
                                             Default: predicted wait in front of what
                                             would wait, see FAAS_FULL_WAIT; not with a
                                             batch handler */
    uint32_t prewarm;  /**< 1: when no instance is left, one is made ahead of the next
                            call, if that can be foreseen: the gaps without calls that
                            were too long for an instance to live through, at least
                            eight, are within a factor of four of each other, but for a
                            tenth of them. It is made at 0.9 of the shorter ones, once
                            for each gap, if there is memory for it without closing
                            another one, and closed like any other. Default and FAAS_OFF:
                            none is */
    uint32_t reserved; /**< 0 */
} faas_function;

/**
 * A descriptor with its size set and the named fields over the defaults:
 * `FAAS_FUNCTION(.name = "greet", .handler = greet, .concurrency = 1)`.
 */
#define FAAS_FUNCTION(...)                                                               \
    (&(const faas_function){.size = sizeof(faas_function), __VA_ARGS__})

/**
 * Registers a function and makes its provisioned instances.
 *
 * @param      function  Copied, with its name.
 * @param[out] fn        Its handle on FAAS_OK, all zero otherwise. May be NULL.
 * @return FAAS_OK, or
 *         FAAS_EINVAL    a field is out of its range; the error text names it
 *         FAAS_EVERSION  a field that this library does not know is set
 *         FAAS_EEXIST    the name is taken
 *         FAAS_EINIT     a provisioned instance could not be made
 *         FAAS_ECLOSED, FAAS_ENOMEM, FAAS_ESYSTEM
 *
 * Owner:  `user` is the library's until `user_free`, whatever is returned, but for a
 *         descriptor whose size is wrong.
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_function_register(faas_runtime *rt,
                                                           const faas_function *function,
                                                           faas_fn *fn);

/**
 * Puts another function in the place of one: same name, same handle, same meters.
 *
 * Calls that begin once it has returned run the new one. Running calls finish in the old
 * one, whose instances are closed as they come back and whose `user_free` is then called.
 *
 * @param function  Its name must be NULL or the same.
 * @return as faas_function_register(), and
 *         FAAS_ENOENT  `fn` is gone
 *         FAAS_EPERM   `fn` is a published version or an alias: these never change
 *
 * Thread: any. Blocks while idle instances are closed; outside handlers also until the
 *         calls that run in the old function have returned.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_function_replace(faas_runtime *rt, faas_fn fn,
                                                          const faas_function *function);

/**
 * Changes the policy of a function while calls run: every field that is set in `changes`
 * from `concurrency` to `instance_bytes` but for `instance_concurrency`; `prewarm`; `budget_bytes`,
 * `instance_min`, `instance_max` and `limiter`; `batch_max` and `batch_delay_ns` of a function with a
 * batch handler; `cache_bytes` and `cache_ns` of one with a response cache. Fields at 0
 * stay as they are; FAAS_OFF sets `instance_min` to 0. What was remembered is forgotten,
 * also when nothing is set.
 *
 * A lowered cap lets running calls finish: when this returns no call begins while the new
 * cap is reached. Missing provisioned instances are made before it returns.
 *
 * @param changes  Made with FAAS_FUNCTION(); name, handler, hooks and user must be NULL.
 * @return FAAS_OK, or
 *         FAAS_ENOENT, FAAS_EPERM (an alias; a published version), FAAS_EINVAL,
 *         FAAS_EVERSION, FAAS_ENOMEM
 *         FAAS_EINIT  a provisioned instance could not be made; the changes hold
 *
 * Thread: any. Blocks while init and close hooks run.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_function_update(faas_runtime *rt, faas_fn fn,
                                                         const faas_function *changes);

/**
 * Removes a function, a version or an alias: its name and handle are gone at once, and
 * its instances are closed.
 *
 * Published versions of a function stay until they are removed themselves.
 *
 * @return FAAS_OK, or
 *         FAAS_ENOENT  it is gone already
 *         FAAS_EINUSE  an alias points to this version
 *
 * Thread: any. Outside handlers it blocks until the calls that run in it have returned,
 *         and `user_free` was called; inside a handler the last of them does that.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_function_unregister(faas_runtime *rt,
                                                             faas_fn fn);

/**
 * Finds a function, a version (`name:3`) or an alias (`name:live`) by its name.
 *
 * @param      name  Not terminated; compared whole.
 * @param[out] fn    Its handle, or all zero.
 * @return FAAS_OK, or FAAS_ENOENT; the error text is left alone.
 *
 * Thread: any; takes no lock.
 * Cost:   a hash and two cache lines; see `scripts/bench lookup`.
 * Source: XXH3 (xxHash 0.8), open addressing.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_function_find(faas_runtime *rt, faas_bytes name,
                                                       faas_fn *fn);

/**
 * Shows the `user` of a function with a certain handler: for what is built on functions
 * and knows its own by their handler. The function stays meanwhile.
 *
 * @param handler  What it must have been registered with.
 * @param look     Called with the function's `user` and `arg`; may block, and must not
 *                 end the function.
 * @return what `look` returned; FAAS_ENOENT if `fn` is gone; FAAS_ETYPE if it has another
 *         handler, or is an alias
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status
faas_function_look(faas_runtime *rt, faas_fn fn, faas_handler *handler,
                   faas_status (*look)(void *user, void *arg), void *arg);

/* ---- versions and aliases ---- */

/**
 * Publishes what a function is now as a version that never changes: a function of its
 * own, named `name:1`, `name:2` and so on, with its own instances, caps and meters.
 *
 * The version shares `user` with the function; `user_free` is called when both are gone.
 *
 * @param[out] version  Its number, from 1. May be NULL.
 * @param[out] fn       Its handle. May be NULL.
 * @return FAAS_OK, FAAS_ENOENT, FAAS_EPERM (of a version or an alias), FAAS_EINIT,
 *         FAAS_ECLOSED, FAAS_ENOMEM, FAAS_ESYSTEM
 *         FAAS_EEXIST  somebody registered that very name
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_function_publish(faas_runtime *rt, faas_fn fn,
                                                          uint32_t *version,
                                                          faas_fn *version_fn);

/** A share of an alias's traffic. */
typedef struct faas_share {
    uint32_t version; /**< from faas_function_publish() */
    uint32_t weight;  /**< its part of the sum of all weights; 0 gets nothing */
} faas_share;

/**
 * Points an alias of a function to some of its versions, anew or instead of what it was.
 *
 * A call of the alias goes to one of them by its key (faas_invoke_options), without one
 * by its request id: a hash of it falls into the versions' parts, laid out in the order
 * given. The same key goes to the same version as long as the shares do not change.
 *
 * @param      alias     1 to 255 bytes of UTF-8, not a number. `name:alias` finds it.
 * @param      shares    `count` of them, 1 to 1000; the sum of weights 1 to UINT32_MAX.
 * @param[out] alias_fn  Its handle, the same as long as the alias exists. May be NULL.
 * @return FAAS_OK, or
 *         FAAS_ENOENT  `fn` or a version is gone
 *         FAAS_EINVAL  the name or the shares are wrong
 *         FAAS_EPERM   `fn` is a version or an alias
 *         FAAS_EEXIST  the name belongs to something else
 *         FAAS_ECLOSED, FAAS_ENOMEM
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_alias_put(faas_runtime *rt, faas_fn fn,
                                                   const char *alias,
                                                   const faas_share *shares, size_t count,
                                                   faas_fn *alias_fn);

/* ---- symbols ---- */

/**
 * Registers a C function by its signature, with the same policy around it as any handler.
 *
 * faas_call() calls it with values; faas_invoke() with a packed block, and answers with
 * the packed result. See signature.h for the language and the layout.
 *
 * @param name       Instead of `policy->name`, which must be NULL.
 * @param signature  `"d(dd)"`; copied.
 * @param symbol     Called on the caller's thread.
 * @param policy     From FAAS_FUNCTION(), without handler and hooks; NULL = all defaults.
 * @return as faas_function_register(), and
 *         FAAS_ESYNTAX  the signature is malformed; the error text says at which byte
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status
faas_symbol_register(faas_runtime *rt, const char *name, const char *signature,
                     void (*symbol)(void), const faas_function *policy, faas_fn *fn);

/**
 * Registers a C function out of a shared object, which is opened, and closed when the
 * last function from it is gone.
 *
 * @param path    As for dlopen(3); NULL = the program itself.
 * @param symbol  Its name there.
 * @return as faas_symbol_register(), and
 *         FAAS_ELOAD  there is no such object, or no such symbol in it; the error text
 *                     has the loader's words
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_symbol_load(faas_runtime *rt, const char *name,
                                                     const char *signature,
                                                     const char *path, const char *symbol,
                                                     const faas_function *policy,
                                                     faas_fn *fn);

#ifdef __cplusplus
}
#endif

#endif /* FAAS_FUNCTION_H */
