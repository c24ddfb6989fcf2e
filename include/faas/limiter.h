/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Limiters: how many calls come in before some are refused, and how fast.
 *
 * A limiter refuses a call at once that would wait too long, instead of letting all of
 * them wait until each is late. It decides by how many calls are in flight, which are
 * those that run and those that wait.
 *
 *     static const faas_limiter hundred = {.size = sizeof hundred, .rate = 100};
 *
 *     faas_function_register(rt, FAAS_FUNCTION(.name = "mail", .handler = mail,
 *                                              .limiter = &hundred), &fn);
 *
 * A call that is refused gets FAAS_EBUSY, its handler did not run, and
 * faas_retry_after_ns() says when to come back. It counts as a throttle; of an
 * asynchronous invocation it uses up no attempt: that comes again by itself.
 *
 * Predicted wait, no limit and CoDel with LIFO are asked when a call finds no seat and
 * would wait, and cost a warm call nothing. All others, and these with a rate or a
 * `limit_max`, count each call: it takes the runtime's lock when it comes and when it
 * goes; see `scripts/bench invoke`.
 *
 * A cold start is a matter of its own. Where no instance is idle and one could be made, a
 * call that finds one coming free sooner than that waits for it, whatever `on_full` says,
 * if init takes 0.1 ms or more, by the times that were measured; not inside a handler.
 * Did none come free in twice the time, it makes one. `cold_rate` bounds how many are
 * made per second; who meets that bound finds the function full.
 */
#ifndef FAAS_LIMITER_H
#define FAAS_LIMITER_H

#include <faas/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How the number of calls in flight is limited. */
typedef enum faas_limiter_kind {
    FAAS_LIMITER_DEFAULT = 0,   /**< FAAS_LIMITER_PREDICTED */
    FAAS_LIMITER_PREDICTED = 1, /**< to those that get their turn within `target_ns`, by
                                     the measured time in handlers */
    FAAS_LIMITER_NONE = 2,      /**< to `limit_max` alone */
    FAAS_LIMITER_FIXED = 3,     /**< to `limit` */
    FAAS_LIMITER_AIMD = 4,      /**< one more with each call that was fast enough, a tenth
                                     fewer with each that took longer than `target_ns` */
    FAAS_LIMITER_VEGAS = 5, /**< by how much slower calls are than the fastest one was */
    FAAS_LIMITER_GRADIENT = 6,  /**< by how much slower calls are than on average */
    FAAS_LIMITER_CODEL_LIFO = 7 /**< to `limit_max`; while a queue stands, the newest call
                                     has its turn first, and the old ones are dropped */
} faas_limiter_kind;

/**
 * Limits. Start from FAAS_LIMITER_INIT and set what you need; 0 in any other field means
 * its default.
 *
 * New fields are only ever added at the end. `size` tells the library how much of the
 * struct the caller was compiled with.
 */
typedef struct faas_limiter {
    size_t size;            /**< sizeof(faas_limiter) */
    faas_limiter_kind kind; /**< which one */
    uint32_t limit;     /**< in flight; fixed: always, default 100; aimd, vegas, gradient:
                             to begin with, default 20; predicted: until a call was
                             measured, default four times what can run at once */
    uint32_t limit_min; /**< aimd, gradient: never fewer, default 20; vegas: default 1 */
    uint32_t limit_max; /**< never more, default 1048576, which is the most; aimd and
                             gradient 200, vegas 1000 */
    uint64_t target_ns; /**< predicted: how long a call may wait for its turn, default
                             0.4 x the time that calls have, 10 ms if that is unlimited;
                             aimd: how long it may take, default 5 s */
    uint64_t shed_ns;   /**< a call that has waited longer is dropped when its turn comes;
                             predicted: default 1.5 x `target_ns`; codel_lifo: default
                             5 ms, while the queue has stood for 100 ms, and 100 ms
                             otherwise; others: default FAAS_FOREVER, never */
    uint64_t window_ns; /**< gradient: it is adjusted once in so long, by the mean of at
                             least ten calls; default: by each call */
    double rate;        /**< calls per second, 1e-6 to 1e9; default unlimited */
    double burst;       /**< of these, how many may come at once, 1 to 1e9; default what
                             100 ms bring, at least 1 */
    double cold_rate;   /**< cold starts per second, as `rate` */
    double cold_burst;  /**< of these, at once, as `burst` */
} faas_limiter;

/** Every field at its default. */
#define FAAS_LIMITER_INIT                                                                \
    {                                                                                    \
        .size = sizeof(faas_limiter)                                                     \
    }

/**
 * Names a kind, as "predicted" or "codel_lifo"; NULL if there is no such kind.
 *
 * Owner:  static.
 * Thread: any.
 * Since:  0.1
 */
FAAS_API const char *faas_limiter_name(faas_limiter_kind kind);

#ifdef __cplusplus
}
#endif

#endif /* FAAS_LIMITER_H */
