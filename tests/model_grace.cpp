/* SPDX-License-Identifier: MIT */
/* Read sections and grace periods (src/core/grace.h, grace.c) under relacy: nobody frees
 * what a reader still uses. Written out here with the same orders, since the real ones
 * live in thread-local storage: keep them alike.
 *
 *     fenced   both sides fence; a section is left with a release store
 *     memb     the editor's fence is membarrier(2): a fence on every thread at once, and
 *              the reader has none
 *     crowd    readers that could not be listed count themselves in one shared word
 *
 * The form under the thread sanitizer, exchanges on two words instead of fences, is not
 * here: C11 does not order them, and relacy refutes it. It leans on x86, where each is a
 * fence. */
#include "model_atomics.h"

enum { NO_WAIT = 1, NO_SYSTEMWIDE, NO_CROWD_FENCE };

enum { FENCED, MEMB, CROWD };

struct thing {
    rl::var<int> value;
};

template <unsigned form, unsigned readers, unsigned edits>
struct sections : rl::test_suite<sections<form, readers, edits>, readers + 1> {
    model_atomic<uint64_t> seq[readers];
    model_atomic<uint64_t> crowd;
    model_atomic<thing *> published;

    static thing *thing_open()
    {
        thing *t = ::new (rl::rl_malloc(sizeof(thing), $)) thing();

        t->value($) = 1;
        return t;
    }

    static void thing_free(thing *t)
    {
        t->value($) = 0; // races with whoever reads it
        t->~thing();
        rl::rl_free(t, $);
    }

    void before()
    {
        atomic_init(&published, thing_open());
    }

    void after()
    {
        thing_free(published.load(rl::mo_relaxed, $));
    }

    void read_enter(unsigned i)
    {
        uint64_t to;

        if (form == CROWD) {
            atomic_fetch_add_explicit(&crowd, (uint64_t)1, memory_order_seq_cst);
            /* The addition alone does not keep what follows behind it. */
            if (!model_without(NO_CROWD_FENCE))
                atomic_thread_fence(memory_order_seq_cst);
            return;
        }
        to = atomic_load_explicit(&seq[i], memory_order_relaxed) + 1;
        atomic_store_explicit(&seq[i], to, memory_order_relaxed);
        if (form == FENCED)
            atomic_thread_fence(memory_order_seq_cst);
    }

    void read_leave(unsigned i)
    {
        if (form == CROWD) {
            atomic_fetch_sub_explicit(&crowd, (uint64_t)1, memory_order_release);
            return;
        }
        atomic_store_explicit(&seq[i],
                              atomic_load_explicit(&seq[i], memory_order_relaxed) + 1,
                              memory_order_release);
    }

    void heavy_fence()
    {
        if (form == MEMB && !model_without(NO_SYSTEMWIDE))
            rl::systemwide_fence($);
        atomic_thread_fence(memory_order_seq_cst);
    }

    void grace_wait()
    {
        heavy_fence();
        if (model_without(NO_WAIT))
            return;
        for (unsigned i = 0; i < readers && form != CROWD; i++) {
            uint64_t seen = atomic_load_explicit(&seq[i], memory_order_acquire);

            while (seen % 2 != 0 &&
                   atomic_load_explicit(&seq[i], memory_order_acquire) == seen)
                rl::yield(1, $);
        }
        while (form == CROWD && atomic_load_explicit(&crowd, memory_order_acquire) != 0)
            rl::yield(1, $);
    }

    void thread(unsigned index)
    {
        if (index == readers) {
            for (unsigned i = 0; i < edits; i++) {
                thing *t = thing_open();
                thing *old = published.load(rl::mo_relaxed, $);

                atomic_store_explicit(&published, t, memory_order_release);
                grace_wait();
                thing_free(old);
            }
            return;
        }
        for (unsigned i = 0; i < 2; i++) {
            read_enter(index);
            thing *t = atomic_load_explicit(&published, memory_order_acquire);

            RL_ASSERT(t->value($) == 1);
            read_leave(index);
        }
    }
};

static const std::vector<model_scenario> scenarios = {
    {"fenced", model_simulate<sections<FENCED, 2, 2>>, 40},
    {"memb", model_simulate<sections<MEMB, 2, 2>>, 40},
    {"crowd", model_simulate<sections<CROWD, 2, 2>>, 20},
};

static const struct model_mutant mutants[] = {
    {"a reader without its fence", "read_enter", "fence", 1, MODEL_SKIP, 0},
    {"an editor without its fence", "heavy_fence", "fence", 0, MODEL_SKIP, 0},
    {"no membarrier", NULL, NULL, 0, 0, NO_SYSTEMWIDE},
    {"a crowd without a fence", NULL, NULL, 0, 0, NO_CROWD_FENCE},
    {"no waiting", NULL, NULL, 0, 0, NO_WAIT},
    {"leaving without release", "read_leave", "store", 0, rl::mo_relaxed, 0},
    {"waiting without acquire", "grace_wait", "load", 0, rl::mo_relaxed, 0},
    {"waiting again without acquire", "grace_wait", "load", 1, rl::mo_relaxed, 0},
    {"leaving the crowd without release", "read_leave", "sub", 0, rl::mo_relaxed, 0},
    {"waiting for the crowd without acquire", "grace_wait", "load", 2, rl::mo_relaxed, 0},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, 3000000, scenarios, mutants,
                      sizeof mutants / sizeof mutants[0], 100000);
}
