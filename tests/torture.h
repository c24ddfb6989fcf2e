/* SPDX-License-Identifier: MIT */
/* torture.h - what a scenario of the torture program is, and what it has at hand.
 *
 *     static void greets(void)
 *     {
 *         faas_fn fn;
 *
 *         TRY(add(FAAS_FUNCTION(.name = "greet", .handler = greet), &fn));
 *         TRY(invoke(fn, "world"));
 *         EXPECT(stats_of(fn).invocations == 1);
 *     }
 *
 * joins by `SCENARIO(greets),` in a table. It is run once without a fault, once with each
 * that it meets, and once more after each, in the same runtime. What it has made by the
 * words below is ended for it when it is over, however that came; anything else it must
 * end itself, also when it is left early. It sees public headers alone. */
#ifndef TORTURE_H
#define TORTURE_H

#include "stress.h"

#include <faas/faas.h>

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SEC UINT64_C(1000000000)
#define HOUR (3600 * SEC)

struct scenario {
    const char *name;
    void (*run)(void);
    faas_runtime_options options; /* of its runtime */
    bool real;  /* on the machine's clock, with threads as `options` say; else on a
                   virtual one, without */
    bool waits; /* for time to pass, as it does not on a clock that cannot be read */
    bool alone; /* it opens what it needs itself: there is no runtime for it */
    bool first; /* each run is in a process of its own, where nothing has used the
                   library */
};

#define SCENARIO(function, ...)                                                          \
    {                                                                                    \
        .name = #function, .run = function, __VA_ARGS__                                  \
    }

/* The rooms' tables; each ends with a line without a name. */
extern const struct scenario torture_calls[], torture_events[], torture_async[],
    torture_around[];

/* What is there for the scenario that runs. */
struct torture {
    faas_runtime *rt;
    faas_clock *clock;
    faas_allocator alloc;    /* of all of these */
    faas_runtime_options as; /* how `rt` was opened */
};
extern struct torture w;

/* Looks at what a call returned; anything but FAAS_OK must be what its header lists, in
 * `contracts`, and what the present fault may lead to. Whether it was FAAS_OK. */
bool torture_tried(faas_status status, const char *call, const char *file, int line);
#define TRIED(call) torture_tried(call, #call, __FILE__, __LINE__)

/* Leaves the scenario where a call fails. */
#define TRY(call)                                                                        \
    do {                                                                                 \
        if (!TRIED(call))                                                                \
            return;                                                                      \
    } while (0)

/* Whether a fault has struck in this run: then what comes may be less than what else is
 * sure to come. */
bool torture_struck(void);

/* What must hold where no fault has struck. What must hold whatever happens is a
 * REQUIRE(). */
#define EXPECT(x) REQUIRE(torture_struck() || (x), "%s", faas_error_text())

/* ---- words; what they make is ended after the scenario ---- */

faas_status add(const faas_function *function, faas_fn *fn);
faas_status add_symbol(const char *name, const char *signature, void (*symbol)(void),
                       faas_fn *fn);
/* For what was registered in another way. */
void keep_fn(faas_fn fn);
faas_status event_of(const faas_event_options *options, faas_event **event);
faas_status submit(faas_fn fn, const char *input, const faas_submit_options *options,
                   faas_invocation *job);
void keep_job(faas_invocation job);

/* Calls, and looks at the code of a handler that failed: FAAS_ENOMEM of one that found no
 * memory, or `code`, which then is FAAS_OK. */
faas_status invoke(faas_fn fn, const char *input);
faas_status invoke_with(faas_fn fn, const char *input,
                        const faas_invoke_options *options);
faas_status invoke_failing(faas_fn fn, const char *input, int code);
faas_status invoke_bytes(faas_fn fn, faas_bytes input);
/* Likewise, of one that has ended, or that its waiter runs. */
faas_status waited(faas_invocation job);

faas_function_stats stats_of(faas_fn fn);
faas_async_stats async_stats(void);

/* Runs what is due within so long on the virtual clock. */
faas_status run_for(uint64_t ns);

/* ---- handlers ---- */

faas_handler answers; /* nothing */
faas_handler echoes;
faas_handler wants; /* memory, in every way; answers with 20000 bytes */
faas_handler fails; /* with 7 and a word */
faas_init_hook init_wants;
faas_close_hook init_wants_close; /* sees that it ends what init_wants made */
int drops(const char *text, size_t size, void *user); /* a faas_write */

#endif /* TORTURE_H */
