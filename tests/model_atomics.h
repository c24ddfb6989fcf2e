/* SPDX-License-Identifier: MIT */
/* model_atomics.h - C11's atomics on top of relacy, so that a source of ours, included in
 * a C++ program, is the model; and mutants of it.
 *
 * Every place where a source uses an atomic is a site: a function, an operation and which
 * one of them it is there, in the order of lines. A mutant is a site whose memory order is
 * weaker, or that does nothing, or a step of the model itself that is left out. A model is
 * worth what its mutants say: each must be refuted.
 *
 *     static const struct model_mutant mutants[] = {
 *         {"taking only acquires", "faasi_seat_take", "cas", 0, rl::mo_acquire},
 *         {"one look", NULL, NULL, 0, rl::mo_relaxed, ONE_LOOK}};
 *
 * Include it before anything else. */
#ifndef MODEL_ATOMICS_H
#define MODEL_ATOMICS_H

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <sstream>
#include <time.h>
#include <vector>

#include "core/base.h"

#include <relacy/relacy.hpp>

/* Relacy's names for these get in the way of ours. */
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef new
#undef delete
#undef memory_order_relaxed
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_acq_rel
#undef memory_order_seq_cst

#define memory_order_relaxed rl::mo_relaxed
#define memory_order_acquire rl::mo_acquire
#define memory_order_release rl::mo_release
#define memory_order_acq_rel rl::mo_acq_rel
#define memory_order_seq_cst rl::mo_seq_cst

#define FAASI_MODEL 1
#define FAASI_ATOMIC(type) model_atomic<type>
#define FAASI_PLAIN(type) model_plain<type>

/* Zero from the start, as memory that was cleared. */
template <typename type> struct model_atomic : rl::atomic<type> {
    model_atomic()
    {
        this->store(type(), rl::mo_relaxed, $);
    }
};

/* Nobody may read or write it while another one does, by happens-before. */
template <typename type> struct model_plain {
    rl::var<type> held;

    model_plain()
    {
        held($) = type();
    }

    void operator=(type value)
    {
        held($) = value;
    }

    operator type()
    {
        return held($);
    }
};

/* ---- sites and mutants ---- */

enum { MODEL_SKIP = -1 }; /* instead of an order: the operation is left out */

struct model_mutant {
    const char *name;
    const char *function, *op; /* NULL: a step of the model, by `step` */
    int nth;
    int order;
    int step;
};

struct model_site {
    const char *function, *op;
    int line;
    rl::memory_order order;
    bool mutated;
    int to;

    model_site(const char *function_, const char *op_, int line_,
               rl::memory_order order_);
};

/* An array, because memory from inside a simulation is relacy's. */
static model_site *model_sites[256];
static size_t model_site_count;
static const model_mutant *model_now;

/* Whether a step of the model is to be left out. */
static inline bool model_without(int step)
{
    return model_now != NULL && model_now->function == NULL && model_now->step == step;
}

inline model_site::model_site(const char *function_, const char *op_, int line_,
                              rl::memory_order order_)
    : function(function_), op(op_), line(line_), order(order_), mutated(false), to(0)
{
    if (model_site_count == sizeof model_sites / sizeof model_sites[0])
        abort();
    model_sites[model_site_count++] = this;
}

static inline rl::memory_order model_order(const model_site &site)
{
    return __builtin_expect(site.mutated, 0) ? (rl::memory_order)site.to : site.order;
}

/* What a failing exchange may be, when the order of success was weakened. */
static inline rl::memory_order model_failure(rl::memory_order success,
                                             rl::memory_order failure)
{
    if (success == rl::mo_relaxed || success == rl::mo_release)
        return rl::mo_relaxed;
    return failure;
}

#define MODEL_SITE(op, order)                                                            \
    static model_site site_(__func__, op, __LINE__, order);                              \
    bool skip_ = site_.mutated && site_.to == MODEL_SKIP;                                \
    (void)skip_

#define atomic_init(p, value) ((p)->store(value, rl::mo_relaxed, $))

#define atomic_load_explicit(p, mo)                                                      \
    ({                                                                                   \
        MODEL_SITE("load", mo);                                                          \
        (p)->load(model_order(site_), $);                                                \
    })

#define atomic_store_explicit(p, value, mo)                                              \
    ({                                                                                   \
        MODEL_SITE("store", mo);                                                         \
        if (!skip_)                                                                      \
            (p)->store(value, model_order(site_), $);                                    \
    })

#define atomic_exchange_explicit(p, value, mo)                                           \
    ({                                                                                   \
        MODEL_SITE("exchange", mo);                                                      \
        (p)->exchange(value, model_order(site_), $);                                     \
    })

#define atomic_fetch_add_explicit(p, value, mo)                                          \
    ({                                                                                   \
        MODEL_SITE("add", mo);                                                           \
        (p)->fetch_add(skip_ ? 0 : (value), skip_ ? rl::mo_relaxed : model_order(site_), \
                       $);                                                               \
    })

#define atomic_fetch_sub_explicit(p, value, mo)                                          \
    ({                                                                                   \
        MODEL_SITE("sub", mo);                                                           \
        (p)->fetch_sub(skip_ ? 0 : (value), skip_ ? rl::mo_relaxed : model_order(site_), \
                       $);                                                               \
    })

#define atomic_compare_exchange_strong_explicit(p, expected, value, mo, failure)         \
    ({                                                                                   \
        MODEL_SITE("cas", mo);                                                           \
        rl::memory_order mo_ = model_order(site_);                                       \
        (p)->compare_exchange_strong(*(expected), value, mo_, $,                         \
                                     model_failure(mo_, failure), $);                    \
    })

#define atomic_compare_exchange_weak_explicit(p, expected, value, mo, failure)           \
    ({                                                                                   \
        MODEL_SITE("cas", mo);                                                           \
        rl::memory_order mo_ = model_order(site_);                                       \
        (p)->compare_exchange_weak(*(expected), value, mo_, $,                           \
                                   model_failure(mo_, failure), $);                      \
    })

#define atomic_thread_fence(mo)                                                          \
    ({                                                                                   \
        MODEL_SITE("fence", mo);                                                         \
        if (!skip_)                                                                      \
            rl::atomic_thread_fence(model_order(site_), $);                              \
    })

/* ---- what happens before what ---- */

enum { MODEL_THREADS_MAX = 4 };

/* A moment of a thread: its own time, and what it knew of the others. */
struct model_moment {
    unsigned thread;
    rl::timestamp_t time; /* 0: it has not come */
    rl::timestamp_t knows[MODEL_THREADS_MAX];
};

/* Now, on this thread: right after the operation that it stands for, since relacy switches
 * threads before operations only. */
static inline model_moment model_moment_now(unsigned threads)
{
    rl::thread_info_base *self = rl::ctx().threadx_;
    model_moment m = {(unsigned)self->index_, self->own_acq_rel_order_, {0}};

    for (unsigned i = 0; i < threads; i++)
        m.knows[i] = self->acq_rel_order_[i];
    return m;
}

/* Whether `a` happened before `b`, by C11. */
static inline bool model_before(const model_moment &a, const model_moment &b)
{
    return a.time != 0 && b.time != 0 && b.knows[a.thread] >= a.time;
}

/* ---- running ---- */

typedef bool model_run(uint64_t schedules, uint64_t *done);

struct model_scenario {
    const char *name;
    model_run *run;
    unsigned share; /* of the schedules, in percent */
};

/* Runs one scenario; false if a schedule refuted it, the `*done`-th. */
template <typename test> bool model_simulate(uint64_t schedules, uint64_t *done)
{
    rl::test_params params;
    std::ostringstream out;
    bool right;

    params.iteration_count = (rl::iteration_t)schedules;
    params.execution_depth_limit = 5000;
    params.output_stream = &out;
    params.progress_stream = &out;
    params.progress_output_period = 1000000;
    /* Otherwise a refuted schedule is run again with its history, which is long. */
    params.collect_history = getenv("MODEL_HISTORY") != NULL && model_now == NULL;
    params.output_history = !params.collect_history;
    if (params.collect_history)
        params.output_history = false;
    right = rl::simulate<test>(params);
    *done = (uint64_t)params.stop_iteration;
    if (!right && model_now == NULL)
        std::cout << out.str() << std::endl;
    return right;
}

static inline double model_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The lines of a function with an operation, in their order; each with its sites, of which
 * a template has several. */
static inline std::vector<std::vector<model_site *>> model_find(const char *function,
                                                                const char *op)
{
    std::vector<std::vector<model_site *>> lines;

    for (size_t i = 0; i < model_site_count; i++) {
        model_site *site = model_sites[i];

        if (strcmp(site->function, function) != 0 || strcmp(site->op, op) != 0)
            continue;
        auto same = std::find_if(lines.begin(), lines.end(),
                                 [&](const std::vector<model_site *> &line) {
                                     return line[0]->line == site->line;
                                 });
        if (same == lines.end())
            lines.push_back({site});
        else
            same->push_back(site);
    }
    std::sort(lines.begin(), lines.end(),
              [](const std::vector<model_site *> &x, const std::vector<model_site *> &y) {
                  return x[0]->line < y[0]->line;
              });
    return lines;
}

static inline const char *model_order_name(int order)
{
    return order == MODEL_SKIP ? "left out" : rl::format((rl::memory_order)order);
}

/* Runs a mutant until a scenario refutes it. */
static inline bool model_refute(const model_mutant *mutant,
                                const std::vector<model_scenario> &scenarios,
                                uint64_t schedules)
{
    double begun = model_seconds();
    bool caught = false;
    std::vector<model_site *> sites;

    if (mutant->function != NULL) {
        std::vector<std::vector<model_site *>> found =
            model_find(mutant->function, mutant->op);

        if (found.size() <= (size_t)mutant->nth) {
            printf("  %-52s there is no such place\n", mutant->name);
            return false;
        }
        sites = found[(size_t)mutant->nth];
    }
    for (model_site *site : sites) {
        site->mutated = true;
        site->to = mutant->order;
    }
    model_now = mutant;
    for (const model_scenario &scenario : scenarios) {
        uint64_t done;

        if (scenario.run(schedules, &done))
            continue;
        printf("  %-52s refuted by \"%s\", schedule %llu\n", mutant->name, scenario.name,
               (unsigned long long)done);
        caught = true;
        break;
    }
    model_now = NULL;
    for (model_site *site : sites)
        site->mutated = false;
    if (!caught)
        printf("  %-52s STANDS (%.1f s)\n", mutant->name, model_seconds() - begun);
    fflush(stdout);
    return caught;
}

/* Weakens every order of every site, one at a time, and tells what stands. */
static inline void model_survey(const std::vector<model_scenario> &scenarios,
                                uint64_t schedules)
{
    static const rl::memory_order weaker[][3] = {
        {rl::mo_acq_rel, rl::mo_acquire, rl::mo_release},
        {rl::mo_acquire, rl::mo_relaxed, rl::mo_relaxed},
        {rl::mo_release, rl::mo_relaxed, rl::mo_relaxed},
        {rl::mo_seq_cst, rl::mo_acq_rel, rl::mo_acq_rel}};
    std::vector<model_site *> sites(model_sites, model_sites + model_site_count);

    for (model_site *site : sites) {
        auto lines = model_find(site->function, site->op);
        int nth = 0;

        while (lines[(size_t)nth][0]->line != site->line)
            nth++;
        if (lines[(size_t)nth][0] != site)
            continue;

        for (const auto &row : weaker) {
            if (row[0] != site->order)
                continue;
            for (int i = 1; i < (row[1] == row[2] ? 2 : 3); i++) {
                int to = row[i];
                char name[128];

                if (to == rl::mo_acq_rel && strcmp(site->op, "load") == 0)
                    to = rl::mo_acquire;
                if (to == rl::mo_acq_rel && strcmp(site->op, "store") == 0)
                    to = rl::mo_release;
                snprintf(name, sizeof name, "%s %s %d: %s to %s", site->function,
                         site->op, nth, model_order_name(row[0]), model_order_name(to));
                model_mutant mutant = {name, site->function, site->op, nth, to, 0};
                (void)model_refute(&mutant, scenarios, schedules);
            }
        }
    }
}

/* What main() does: the true code stands in `schedules` schedules in all, and each mutant
 * is refuted in fewer. `model_X survey` weakens everything; `model_X 10000000` looks
 * longer. */
static inline int model_main(int argc, char **argv, uint64_t schedules,
                             const std::vector<model_scenario> &scenarios,
                             const model_mutant *mutants, size_t mutant_count,
                             uint64_t mutant_schedules)
{
    bool survey = argc > 1 && strcmp(argv[1], "survey") == 0;
    double begun = model_seconds();
    uint64_t total = 0;
    size_t standing = 0;

    if (argc > 1 && !survey)
        schedules = strtoull(argv[1], NULL, 0);
    for (const model_scenario &scenario : scenarios) {
        double start = model_seconds();
        uint64_t done;

        if (!scenario.run(schedules * scenario.share / 100, &done)) {
            printf("%s: refuted by schedule %llu\n", scenario.name,
                   (unsigned long long)done);
            return EXIT_FAILURE;
        }
        printf("%-32s %9llu schedules, %.1f s\n", scenario.name, (unsigned long long)done,
               model_seconds() - start);
        fflush(stdout);
        total += done;
    }
    if (survey) {
        model_survey(scenarios, mutant_schedules);
        return EXIT_SUCCESS;
    }
    for (size_t i = 0; i < mutant_count; i++)
        standing += !model_refute(&mutants[i], scenarios, mutant_schedules);
    printf("%llu schedules; %zu of %zu mutants refuted; %.1f s\n",
           (unsigned long long)total, mutant_count - standing, mutant_count,
           model_seconds() - begun);
    return standing == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif /* MODEL_ATOMICS_H */
