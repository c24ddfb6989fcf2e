/* SPDX-License-Identifier: MIT */
/* src/core/inlet.h itself, under relacy: a bounded ring, any number of producers, one
 * consumer at a time.
 *
 *     once      what was put is taken once, and what was refused is not taken
 *     in order  of one producer, one behind the other
 *     no race   what a producer left in an item is the consumer's, and a cell is free for
 *               the next one when it says so (plain accesses)
 *     full      a refusal is right: of what was put when it came, a ring's worth had not
 *               been taken, for all that its caller knows, when it began
 *
 * Who sleeps sees what is put: that is in model_park.cpp, and the reason for the orders
 * that are stronger than these need. */
#include "model_atomics.h"

/* A step of the model that a mutant leaves out. */
enum { ONE_CONSUMER = 1 };

#define _Alignas(size)
#include "core/inlet.h"

struct item {
    rl::var<unsigned> number;
};

/* Producers put `each` items, up to `many` at once. */
template <unsigned producers, unsigned consumers, unsigned each, unsigned many>
struct way_in
    : rl::test_suite<way_in<producers, consumers, each, many>, producers + consumers> {
    enum { SIZE = 2, ITEMS = producers * each };

    faasi_inlet_cell cells[SIZE];
    faasi_inlet inlet;
    item items[ITEMS];
    rl::mutex lock;
    rl::var<unsigned> next[producers]; /* Lock: of each producer, the next one */
    unsigned put[producers];
    model_atomic<uint64_t> taken;

    void before()
    {
        inlet.cells = cells;
        inlet.mask = SIZE - 1;
        inlet.tail = 0;
        for (unsigned i = 0; i < SIZE; i++)
            atomic_init(&cells[i].seq, (uint64_t)i);
        for (unsigned i = 0; i < ITEMS; i++)
            items[i].number($) = 0;
        for (unsigned i = 0; i < producers; i++)
            next[i]($) = put[i] = 0;
    }

    void after()
    {
        while (take())
            continue;
        RL_ASSERT(faasi_inlet_empty(&inlet) && faasi_inlet_count(&inlet) == 0);
        for (unsigned i = 0; i < producers; i++)
            RL_ASSERT(next[i]($) == put[i]);
    }

    /* Holds: lock. */
    bool take()
    {
        item *seen = rl::rand(2) == 0 ? (item *)faasi_inlet_peek(&inlet) : NULL;
        item *got = (item *)faasi_inlet_take(&inlet);
        unsigned index = (unsigned)(got - items);

        RL_ASSERT(seen == NULL || seen == got);
        if (got == NULL)
            return false;
        taken.fetch_add(1, rl::mo_release, $);
        RL_ASSERT(got->number($) == index + 1);
        got->number($) = 0; // it is ours
        RL_ASSERT(next[index / each]($) == index % each);
        next[index / each]($) = index % each + 1;
        return true;
    }

    void thread(unsigned index)
    {
        if (index >= producers) {
            for (unsigned i = 0; i < ITEMS; i++) {
                if (!model_without(ONE_CONSUMER))
                    lock.lock($);
                (void)take();
                if (!model_without(ONE_CONSUMER))
                    lock.unlock($);
            }
            return;
        }
        for (unsigned i = 0; i < each; i++)
            items[index * each + i].number($) = index * each + i + 1;
        for (unsigned tries = 0; tries < each && put[index] < each; tries++) {
            uint64_t known = taken.load(rl::mo_acquire, $);
            item *first = &items[index * each + put[index]];
            void *what[many] = {first};
            uint32_t count = 1 + rl::rand(many);

            if (count > each - put[index])
                count = each - put[index];
            for (uint32_t i = 1; i < count; i++)
                what[i] = first + i;
            count = rl::rand(2) == 0 ? faasi_inlet_put(&inlet, first)
                                     : faasi_inlet_put_many(&inlet, what, count);
            put[index] += count;
            if (count == 0)
                RL_ASSERT(inlet.head.fetch_add(0, rl::mo_relaxed, $) - known >= SIZE);
        }
    }
};

static const std::vector<model_scenario> scenarios = {
    {"one puts, one takes", model_simulate<way_in<1, 1, 4, 2>>, 30},
    {"two put, one takes", model_simulate<way_in<2, 1, 3, 2>>, 40},
    {"two put, two take in turn", model_simulate<way_in<2, 2, 2, 2>>, 30},
};

static const struct model_mutant mutants[] = {
    {"putting before it is free", "faasi_inlet_put", "load", 1, rl::mo_relaxed, 0},
    {"putting without release", "faasi_inlet_put", "store", 0, rl::mo_relaxed, 0},
    {"not saying that it is there", "faasi_inlet_put", "store", 0, MODEL_SKIP, 0},
    {"putting many before they are free", "faasi_inlet_put_many", "load", 1,
     rl::mo_relaxed, 0},
    {"putting many without release", "faasi_inlet_put_many", "store", 0, rl::mo_relaxed,
     0},
    {"taking without acquire", "faasi_inlet_take", "load", 0, rl::mo_relaxed, 0},
    {"taking without release", "faasi_inlet_take", "store", 0, rl::mo_relaxed, 0},
    {"not saying that it is free", "faasi_inlet_take", "store", 0, MODEL_SKIP, 0},
    {"peeking without acquire", "faasi_inlet_peek", "load", 0, rl::mo_relaxed, 0},
    {"two take at a time", NULL, NULL, 0, 0, ONE_CONSUMER},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, 1000000, scenarios, mutants,
                      sizeof mutants / sizeof mutants[0], 100000);
}
