/* SPDX-License-Identifier: MIT */
/**
 * @file
 * The bus: takes published events and hands them to the functions that asked for them.
 */
#ifndef FAAS_BUS_H
#define FAAS_BUS_H

#include <faas/base.h>
#include <faas/event.h>
#include <faas/function.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Which events a function wants. Fields left NULL ask for nothing; set ones must all
 * hold.
 */
typedef struct faas_subscription {
    size_t size;      /**< sizeof(faas_subscription) */
    const char *type; /**< this very type; or, ending in ".*", every type that begins with
                           what stands before the star; `*` alone is every type */
    const char *source; /**< this very source */
    uint32_t queued;    /**< 1: the function is invoked asynchronously, and the publisher
                             does not wait; see async.h */
    uint32_t reserved;  /**< 0 */
} faas_subscription;

/** A subscription with the named fields: `FAAS_ON(.type = "order.*")`. */
#define FAAS_ON(...)                                                                     \
    (&(const faas_subscription){.size = sizeof(faas_subscription), __VA_ARGS__})

/**
 * Sends matching events to a function, from the next publish on.
 *
 * A function may subscribe several times; an event then comes as often as it matches.
 * Subscriptions end with their function.
 *
 * @param      on  Copied. NULL = every event.
 * @param[out] id  Names the subscription for faas_unsubscribe(). May be NULL.
 * @return FAAS_OK, or
 *         FAAS_ENOENT  `fn` is gone
 *         FAAS_EINVAL  a text is empty, longer than 64 KiB or not UTF-8
 *         FAAS_EVERSION, FAAS_ECLOSED, FAAS_ENOMEM
 *
 * Thread: any, also from handlers; publishes never wait for it.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_subscribe(faas_runtime *rt, faas_fn fn,
                                                   const faas_subscription *on,
                                                   uint64_t *id);

/**
 * Ends a subscription. A publish that runs meanwhile may still deliver.
 *
 * @return FAAS_OK, FAAS_ENOENT, FAAS_ECLOSED
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_unsubscribe(faas_runtime *rt, uint64_t id);

/** What a rule does with an event that matches. */
typedef struct faas_rule_options {
    size_t size;                /**< sizeof(faas_rule_options) */
    const char *input_paths;    /**< JSON: names and where in the event their values
                                     stand, `{"who": "$.data.name"}`; default: none */
    const char *input_template; /**< what the function gets instead of the event's data,
                                     with `<who>` where a value goes; default: the data */
    uint32_t queued;            /**< 1: the function is invoked asynchronously, and the
                                     publisher does not wait; see async.h */
    uint32_t reserved;          /**< 0 */
} faas_rule_options;

/**
 * Sends the events that match a pattern to a function, from the next publish on: adds the
 * rule, or replaces the one of this name, which keeps its place in the order.
 *
 * A pattern sees the event as its CloudEvents JSON: `type`, `source`, `subject`, the
 * extensions, `data`. See rules.h for the language. A rule ends with its function.
 *
 * @param name     1 to 255 bytes of UTF-8. Copied.
 * @param pattern  JSON text. Not kept.
 * @return FAAS_OK, or
 *         FAAS_ENOENT   `fn` is gone
 *         FAAS_ESYNTAX  the pattern is not JSON; the error text says at which byte
 *         FAAS_EINVAL   it is no pattern, likewise, or the name is wrong
 *         FAAS_ECLOSED, FAAS_ENOMEM, FAAS_ESYSTEM
 *
 * Thread: any, also from handlers; publishes never wait for it.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_rule_put(faas_runtime *rt, const char *name,
                                                  const char *pattern, faas_fn fn);

/**
 * Puts a rule with options; otherwise as faas_rule_put().
 *
 * @return as faas_rule_put(), and
 *         FAAS_ESYNTAX, FAAS_EINVAL  the paths or the template are wrong; the error text
 *                                    says which and where
 *         FAAS_EVERSION
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_rule_put_with(faas_runtime *rt, const char *name,
                                                       const char *pattern, faas_fn fn,
                                                       const faas_rule_options *options);

/**
 * Deletes a rule. A publish that runs meanwhile may still deliver.
 *
 * @return FAAS_OK, FAAS_ENOENT, FAAS_ECLOSED
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_rule_delete(faas_runtime *rt, const char *name);

/** What became of a published event, target by target. */
typedef struct faas_delivery {
    uint32_t matched;  /**< subscriptions that asked for it */
    uint32_t ran;      /**< handlers that ran and answered */
    uint32_t refused;  /**< that did not run: throttled, closing, no memory, gone */
    uint32_t failed;   /**< that ran and failed, or came back late */
    uint32_t queued;   /**< invocations that were queued */
    uint32_t repeated; /**< 1: it was published before, see `dedupe` of
                            faas_runtime_options; nothing ran */
} faas_delivery;

/**
 * Publishes an event: runs every target on the calling thread, in the order in which
 * subscriptions and rules came.
 *
 * Data that says it is JSON is checked first, once per event, unless it is trusted. Each
 * target is a whole invocation, under its own limits, with the event's data as input.
 * Queued targets are submitted in the same order, each sharing the event.
 * What one does is no matter to the next. Inside a handler they inherit its remaining
 * time.
 *
 * A runtime with `dedupe` hands an event over once: what comes again in the window is
 * FAAS_OK, and `delivery->repeated` tells. A publish that failed does not count, and while
 * it runs the same event is a repetition already.
 *
 * @param      event     Borrowed; targets that keep it acquire it.
 * @param[out] delivery  What became of it. May be NULL.
 * @return FAAS_OK whatever the targets did, or
 *         FAAS_ESYNTAX  the data says it is JSON and is not; the error text says at which
 *                       byte; nothing ran
 *         FAAS_EDEPTH   publishes are nested too deeply; nothing ran
 *         FAAS_EINVAL   there are rules, and the event is too large or too deep for them;
 *                       nothing ran
 *         FAAS_ENOMEM, FAAS_ECLOSED  nothing ran
 *
 * Thread: any, also from handlers. Blocks while targets run.
 * Cost:   see `scripts/bench publish`.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_publish(faas_runtime *rt, faas_event *event,
                                                 faas_delivery *delivery);

/**
 * Makes an event of JSON data and publishes it: a new id, no time, and content type
 * application/json.
 *
 * @param json  Terminated text, borrowed until it returns: what keeps the event copies
 *              it.
 * @return as faas_publish(), and FAAS_EINVAL if source or type are no CloudEvents
 *         attributes
 *
 * Thread: any, also from handlers. Blocks while targets run.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_publish_json(faas_runtime *rt,
                                                      const char *source,
                                                      const char *type, const char *json,
                                                      faas_delivery *delivery);

#ifdef __cplusplus
}
#endif

#endif /* FAAS_BUS_H */
