/* SPDX-License-Identifier: MIT */
/* src/core/park.c and the inlet's ring themselves, under relacy: work that is put in is
 * done, whoever sleeps or is about to meanwhile.
 *
 * Around them stands as much of a crew as they need: submitters that put and wake, workers
 * that take, look around, and sleep, and the one that takes the last item stops them all,
 * in the steps of async_submit.c and async_crew.c.
 *
 *     no lost wake  whoever sleeps while there is work is woken: relacy finds every deadlock
 *     no race       what a submitter left in an item is the worker's (plain accesses)
 *     no remainder  when all have left, nobody is counted as asleep or claimed */
#include "model_atomics.h"

/* A step of the model that a mutant leaves out. */
enum { LOOK_AGAIN = 1, LOOKING, STOP_WAKES };

#define _Alignas(size)
#include "core/inlet.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The futex of the simulation that runs: a word looked at and slept on in one step. */
struct model_futex {
    rl::mutex lock;
    rl::condition_variable_any woken;
};

static model_futex *futex;

static long model_syscall(long, model_atomic<uint32_t> *word, int op, uint32_t value,
                          const struct timespec *, const void *, int)
{
    futex->lock.lock($);
    if (op == FUTEX_WAIT_PRIVATE) {
        if (word->load(rl::mo_seq_cst, $) == value)
            futex->woken.wait(futex->lock, $);
    } else if (value == 1) {
        futex->woken.notify_one($);
    } else {
        futex->woken.notify_all($);
    }
    futex->lock.unlock($);
    return 0;
}

#define syscall model_syscall
#include "core/park.c"
#undef syscall

struct item {
    rl::var<int> value;
};

template <unsigned submitters, unsigned workers, unsigned each>
struct crew : rl::test_suite<crew<submitters, workers, each>, submitters + workers> {
    enum { SIZE = 2, ITEMS = submitters * each };

    faasi_inlet_cell cells[SIZE];
    faasi_inlet inlet;
    faasi_park park;
    item items[ITEMS + 1];
    rl::mutex lock;
    rl::var<unsigned> taken; /* Lock */
    rl::var<int> stop;       /* Lock */
    model_futex sleepers;

    void before()
    {
        futex = &sleepers;
        inlet.cells = cells;
        inlet.mask = SIZE - 1;
        inlet.tail = 0;
        for (unsigned i = 0; i < SIZE; i++)
            atomic_init(&cells[i].seq, (uint64_t)i);
        for (unsigned i = 0; i < ITEMS; i++)
            items[i].value($) = 0;
        taken($) = 0;
        stop($) = 0;
    }

    void after()
    {
        RL_ASSERT(taken($) == ITEMS);
        RL_ASSERT(park.word.load(rl::mo_relaxed, $) == 0);
    }

    static bool nothing_to_do(void *user)
    {
        crew *self = (crew *)user;
        bool nothing;

        if (model_without(LOOK_AGAIN))
            return true;
        self->lock.lock($);
        nothing = self->stop($) == 0 && faasi_inlet_empty(&self->inlet);
        self->lock.unlock($);
        return nothing;
    }

    /* As look_around() in async_crew.c, with two looks. */
    bool look_around()
    {
        uint64_t head = atomic_load_explicit(&inlet.head, memory_order_relaxed);
        uint32_t none = 0;
        bool found = false;

        if (rl::rand(2) == 0 ||
            !atomic_compare_exchange_strong_explicit(
                &park.looking, &none, 1u, memory_order_seq_cst, memory_order_relaxed))
            return false;
        for (unsigned i = 0; i < 2 && !found; i++)
            found = atomic_load_explicit(&inlet.head, memory_order_relaxed) != head;
        atomic_store_explicit(&park.looking, 0u, memory_order_seq_cst);
        return found;
    }

    /* A look around says only that it did: the second look is the one before sleeping. */
    void work()
    {
        bool looked = false;

        for (;;) {
            item *got;
            bool more, over;

            lock.lock($);
            got = (item *)faasi_inlet_take(&inlet);
            if (got != NULL) {
                RL_ASSERT(got->value($) == 1);
                got->value($) = 2;
                taken($) = taken($) + 1;
                stop($) = taken($) == ITEMS;
            }
            over = stop($) != 0;
            more = !faasi_inlet_empty(&inlet);
            lock.unlock($);
            if (got != NULL) {
                looked = false;
                if (more)
                    (void)faasi_park_wake(&park);
                if (over && !model_without(STOP_WAKES))
                    faasi_park_wake_all(&park);
            }
            if (over)
                return;
            if (got != NULL)
                continue;
            looked = !looked && look_around();
            if (!looked)
                (void)faasi_park_sleep(&park, nothing_to_do, this, FAAS_FOREVER);
        }
    }

    void thread(unsigned index)
    {
        if (index >= submitters) {
            work();
            return;
        }
        if (each == 0) { // nothing comes, and all are to leave
            lock.lock($);
            stop($) = 1;
            lock.unlock($);
            if (!model_without(STOP_WAKES))
                faasi_park_wake_all(&park);
        }
        for (unsigned i = 0; i < each;) {
            void *what[each + 1];
            uint32_t count = 1 + rl::rand(each - i);

            for (unsigned k = 0; k < count; k++) {
                item *it = &items[index * each + i + k];

                it->value($) = 1;
                what[k] = it;
            }
            i += count;
            for (uint32_t put = 0; put < count;) {
                uint32_t more =
                    count == 1 ? faasi_inlet_put(&inlet, what[put])
                               : faasi_inlet_put_many(&inlet, &what[put], count - put);

                if (more == 0)
                    rl::yield(1, $);
                else
                    (void)faasi_park_wake(&park);
                put += more;
            }
        }
    }
};

static const std::vector<model_scenario> scenarios = {
    {"one submits, one works", model_simulate<crew<1, 1, 3>>, 40},
    {"one submits, two work", model_simulate<crew<1, 2, 3>>, 20},
    {"two submit, two work", model_simulate<crew<2, 2, 2>>, 30},
    {"two are stopped", model_simulate<crew<1, 2, 0>>, 10},
};

static const struct model_mutant mutants[] = {
    {"putting with release alone", "faasi_inlet_put", "store", 0, rl::mo_release, 0},
    {"putting without release", "faasi_inlet_put", "store", 0, rl::mo_relaxed, 0},
    {"putting many with release alone", "faasi_inlet_put_many", "store", 0,
     rl::mo_release, 0},
    {"taking without acquire", "faasi_inlet_take", "load", 0, rl::mo_relaxed, 0},
    {"a look before sleeping with acquire alone", "faasi_inlet_empty", "load", 0,
     rl::mo_acquire, 0},
    {"looking for sleepers with acquire alone", "faasi_park_wake", "load", 1,
     rl::mo_acquire, 0},
    {"announcing a sleeper without order", "faasi_park_sleep", "add", 0, rl::mo_acq_rel,
     0},
    {"not announcing it", "faasi_park_sleep", "add", 0, MODEL_SKIP, 0},
    {"a wake that moves no gate", "faasi_park_wake", "add", 0, MODEL_SKIP, 0},
    {"a stop that moves no gate", "faasi_park_wake_all", "add", 0, MODEL_SKIP, 0},
    {"a stop that wakes nobody", NULL, NULL, 0, 0, STOP_WAKES},
    {"no look before sleeping", NULL, NULL, 0, 0, LOOK_AGAIN},
    {"looking for who looks with acquire alone", "faasi_park_wake", "load", 0,
     rl::mo_acquire, 0},
    {"looking no more with release alone", "look_around", "store", 0, rl::mo_release, 0},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, 1000000, scenarios, mutants,
                      sizeof mutants / sizeof mutants[0], 100000);
}
