/* SPDX-License-Identifier: MIT */
/* The lending of an invocation's heap (src/core/heap.h, heap.c) under relacy: a seat lends
 * its heap with a result, finds it again or takes a new one, and closes what it has, while
 * other threads release results. Each heap is freed exactly once, by whoever comes last,
 * and is wiped before it is used again.
 *
 * The two functions and the two inline ones that touch `lent` are written out here with
 * the same orders, since the rest of heap.h is full of plain bytes: keep them alike. */
#include "model_atomics.h"

enum { HOME = 0, LENT = 1, LEFT = 2 };

enum { FREE_WHEN_LENT = 1, RETURN_FORGETS, CLOSE_FORGETS };

struct heap {
    rl::var<int> bytes;   /* 0 when wiped */
    rl::var<int> counted; /* the seat's alone */
    model_atomic<uint32_t> lent;
};

static heap *heap_open(void)
{
    heap *h = ::new (rl::rl_malloc(sizeof(heap), $)) heap();

    h->bytes($) = 0;
    h->counted($) = 0;
    atomic_init(&h->lent, (uint32_t)HOME);
    return h;
}

static void heap_free(heap *h)
{
    RL_ASSERT(h->bytes($) == 0); // also reads it: whoever wrote it must be done
    h->counted($) = -1;          // and so must the seat
    h->~heap();
    rl::rl_free(h, $);
}

static bool heap_is_home(heap *h)
{
    return atomic_load_explicit(&h->lent, memory_order_acquire) == HOME;
}

static void heap_lend(heap *h)
{
    atomic_store_explicit(&h->lent, (uint32_t)LENT, memory_order_relaxed);
}

static void heap_close(heap *h)
{
    int counted = h->counted($);
    uint32_t was =
        atomic_exchange_explicit(&h->lent, (uint32_t)LEFT, memory_order_acq_rel);

    (void)counted;
    if ((was == HOME && !model_without(CLOSE_FORGETS)) ||
        (was == LENT && model_without(FREE_WHEN_LENT)))
        heap_free(h);
}

static void heap_return(heap *h)
{
    h->bytes($) = 0; // wiped
    if (atomic_exchange_explicit(&h->lent, (uint32_t)HOME, memory_order_acq_rel) ==
            LEFT &&
        !model_without(RETURN_FORGETS))
        heap_free(h);
}

/* Thread 0 is the seat, one call after the other; the others release results. */
template <unsigned threads, unsigned calls>
struct lending : rl::test_suite<lending<threads, calls>, threads> {
    model_atomic<heap *> results[2]; /* on their way from the caller */
    model_atomic<uint32_t> over;

    void before()
    {
    }
    void after()
    {
    }

    void post(heap *h)
    {
        /* What lies there goes to this thread. */
        h = results[rl::rand(2)].exchange(h, rl::mo_acq_rel, $);
        if (h != NULL)
            heap_return(h);
    }

    void thread(unsigned index)
    {
        if (index != 0) {
            for (unsigned i = 0; i < calls; i++)
                post(NULL);
            if (over.fetch_add(1, rl::mo_acq_rel, $) == threads - 1)
                for (unsigned i = 0; i < 2; i++)
                    drain(i);
            return;
        }
        heap *h = heap_open();

        for (unsigned i = 0; i < calls; i++) {
            if (!heap_is_home(h)) {
                heap_close(h);
                h = heap_open();
            }
            RL_ASSERT(h->bytes($) == 0);
            h->bytes($) = 1;
            if (rl::rand(3) == 0) {
                h->bytes($) = 0; // no result was asked for
                continue;
            }
            heap_lend(h);
            post(h);
        }
        heap_close(h);
        if (over.fetch_add(1, rl::mo_acq_rel, $) == threads - 1)
            for (unsigned i = 0; i < 2; i++)
                drain(i);
    }

    void drain(unsigned i)
    {
        heap *h = results[i].exchange(NULL, rl::mo_acq_rel, $);

        if (h != NULL)
            heap_return(h);
    }
};

static const std::vector<model_scenario> scenarios = {
    {"one releases", model_simulate<lending<2, 3>>, 50},
    {"two release", model_simulate<lending<3, 3>>, 50},
};

static const struct model_mutant mutants[] = {
    {"looking home without acquire", "heap_is_home", "load", 0, rl::mo_relaxed, 0},
    {"closing without acquire", "heap_close", "exchange", 0, rl::mo_release, 0},
    {"closing without release", "heap_close", "exchange", 0, rl::mo_acquire, 0},
    {"returning without acquire", "heap_return", "exchange", 0, rl::mo_release, 0},
    {"returning without release", "heap_return", "exchange", 0, rl::mo_acquire, 0},
    {"closing frees what is lent", NULL, NULL, 0, 0, FREE_WHEN_LENT},
    {"returning frees nothing", NULL, NULL, 0, 0, RETURN_FORGETS},
    {"closing frees nothing", NULL, NULL, 0, 0, CLOSE_FORGETS},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, 3000000, scenarios, mutants,
                      sizeof mutants / sizeof mutants[0], 100000);
}
