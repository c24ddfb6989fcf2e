/* SPDX-License-Identifier: MIT */
/* src/core/refs.h itself, under relacy: what is counted is freed once, by whoever comes
 * last, and after all others are done with it.
 *
 *     shared   each has a reference; who wants makes another one and hands it over
 *     found    no reference: a lock keeps the owner from giving back its own meanwhile */
#include "model_atomics.h"

#include "core/refs.h"

struct thing {
    faasi_refs refs;
    rl::var<int> value; /* read by all, written by who frees */
};

static thing *thing_open(uint32_t refs)
{
    thing *t = ::new (rl::rl_malloc(sizeof(thing), $)) thing();

    t->value($) = 1;
    atomic_init(&t->refs, refs);
    return t;
}

static void thing_release(thing *t)
{
    RL_ASSERT(t->value($) == 1);
    if (!faasi_unref(&t->refs))
        return;
    t->value($) = 0; // races with whoever still reads it
    t->~thing();
    rl::rl_free(t, $);
}

template <unsigned threads> struct shared : rl::test_suite<shared<threads>, threads> {
    thing *it;
    model_atomic<thing *> on_its_way;

    void before()
    {
        it = thing_open(threads);
    }

    void after()
    {
        thing *t = on_its_way.load(rl::mo_acquire, $);

        if (t != NULL)
            thing_release(t);
    }

    void thread(unsigned index)
    {
        if (rl::rand(2) == 0) {
            faasi_ref(&it->refs);
            /* Relaxed: so that the count alone orders, and who takes that over gets a
             * pointer and nothing else. */
            thing *t = on_its_way.exchange(it, rl::mo_relaxed, $);

            if (t != NULL)
                thing_release(t);
        }
        if (rl::rand(2) == 0) {
            thing *t = on_its_way.exchange(NULL, rl::mo_relaxed, $);

            if (t != NULL)
                thing_release(t);
        }
        thing_release(it);
    }
};

template <unsigned threads> struct found : rl::test_suite<found<threads>, threads + 1> {
    rl::mutex lock;
    rl::var<thing *> kept; /* Lock */

    void before()
    {
        kept($) = thing_open(1);
    }

    void after()
    {
    }

    void thread(unsigned index)
    {
        thing *t;

        lock.lock($);
        t = kept($);
        if (index == threads)
            kept($) = NULL;
        else if (t != NULL)
            faasi_ref(&t->refs);
        lock.unlock($);
        if (t != NULL)
            thing_release(t);
    }
};

static const std::vector<model_scenario> scenarios = {
    {"two share", model_simulate<shared<2>>, 30},
    {"three share", model_simulate<shared<3>>, 40},
    {"two find", model_simulate<found<2>>, 30},
};

static const struct model_mutant mutants[] = {
    {"making none", "faasi_ref", "add", 0, MODEL_SKIP, 0},
    {"giving none back", "faasi_unref", "sub", 0, MODEL_SKIP, 0},
    {"giving back without release", "faasi_unref", "sub", 0, rl::mo_acquire, 0},
    {"giving back without acquire", "faasi_unref", "sub", 0, rl::mo_release, 0},
    {"being alone without acquire", "faasi_unref", "load", 0, rl::mo_relaxed, 0},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, 2000000, scenarios, mutants,
                      sizeof mutants / sizeof mutants[0], 100000);
}
