/* SPDX-License-Identifier: MIT */
/* src/core/jobs.c and jobs_state.h themselves, under relacy: the places of jobs, their
 * handles and references, and the word that says where one stands.
 *
 * Places, with two of them in two segments:
 *
 *     sole       a place is one job's at a time, whoever takes and gives (plain accesses)
 *     handles    one that was let go, or is of a job before, finds nothing
 *     last       who gives back the last reference empties the job after all others
 *
 * The word, changed by a worker, who looks after it, a canceller, and who waits:
 *
 *     once       a job ends exactly once, and runs no more once its canceller was told so
 *     result     who sees it ended sees its result, written before (plain accesses)
 *     no lost wake  who sleeps on it is woken */
#include "model_atomics.h"

/* A step of the model that a mutant changes. */
enum { OWN_COUNT = 1 };

#define _Alignas(size)

/* Its locks are the model's. */
#define FAASI_SYNC_H
typedef rl::mutex faasi_mutex;

static inline faas_status faasi_mutex_init(faasi_mutex *)
{
    return FAAS_OK;
}

static inline void faasi_mutex_fini(faasi_mutex *)
{
}

static inline void faasi_lock(faasi_mutex *mutex)
{
    mutex->lock($);
}

static inline void faasi_unlock(faasi_mutex *mutex)
{
    mutex->unlock($);
}

#include "core/mem.h"

#include "core/jobs_state.h"

/* Places of one segment, from where the simulation has them. */
static faasi_job *model_segment(size_t bytes);

#define faasi_alloc_lines(allocator, bytes) model_segment(bytes)
#define faasi_free_lines(allocator, memory, bytes) ((void)(memory))
#undef HANDLE // relacy's
#if defined(__clang__)
#pragma GCC diagnostic ignored "-Wdynamic-class-memaccess"
#else
#pragma GCC diagnostic ignored "-Wclass-memaccess"
#endif
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include "core/jobs.c"

static faasi_job *segments[2];

static rl::var<int> *cleared; /* 1: such a segment's memory was */

static faasi_job *model_segment(size_t bytes)
{
    cleared[bytes / sizeof(faasi_job) - 1]($) = 1;
    return segments[bytes / sizeof(faasi_job) - 1];
}

static void result_set(faasi_job *job, uintptr_t what)
{
    job->result = (faas_result *)what;
}

static uintptr_t result_of(faasi_job *job)
{
    return (uintptr_t)(faas_result *)job->result;
}

/* ---- places ---- */

template <unsigned threads, unsigned each>
struct places : rl::test_suite<places<threads, each>, threads> {
    faasi_jobs jobs;
    faasi_job first[1], second[2];
    rl::var<int> clear[2];
    model_atomic<uint64_t> posted; /* a handle: index + 1, generation */

    void before()
    {
        segments[0] = first;
        segments[1] = second;
        cleared = clear;
        clear[0]($) = clear[1]($) = 0;
        jobs.made = 0;
        jobs.allocator = NULL;
    }

    void after()
    {
        use(posted.load(rl::mo_relaxed, $), true);
        for (uint32_t i = 0; i < jobs.made; i++)
            RL_ASSERT((uint32_t)job_at(&jobs, i)->word.load(rl::mo_relaxed, $) == 0);
    }

    void drop(faasi_job *job)
    {
        if (faasi_job_unref(job))
            faasi_jobs_give(&jobs, job);
    }

    /* Looks at a posted job, and lets it go. */
    void use(uint64_t handle, bool let_go)
    {
        faas_invocation invocation = {1, (uint32_t)handle - 1, (uint32_t)(handle >> 32)};
        faasi_job *job = handle == 0 ? NULL : faasi_jobs_get(&jobs, invocation);

        if (job == NULL)
            return;
        RL_ASSERT(faasi_job_generation(job) == invocation.generation);
        RL_ASSERT(result_of(job) == handle);
        if (let_go && faasi_job_let_go(job, invocation.generation))
            drop(job);
        drop(job);
    }

    /* A handle out of the blue: the word of its place, if there is one, can be read. */
    void guess()
    {
        uint32_t index = rl::rand(3);

        if (job_at(&jobs, index) != NULL)
            RL_ASSERT(clear[segment_of(index)]($) == 1);
    }

    void thread(unsigned)
    {
        guess();
        for (unsigned i = 0; i < each; i++) {
            bool handled = rl::rand(2) == 0;
            faasi_job *job = faasi_jobs_take(&jobs, handled);

            if (job != NULL) {
                uint64_t handle = (uint64_t)faasi_job_generation(job) << 32 |
                                  (uint32_t)(job->index + 1);

                RL_ASSERT(result_of(job) == 0);
                result_set(job, handle);
                if (handled) {
                    /* Release: as whoever hands a handle over does. */
                    uint64_t other = posted.exchange(handle, rl::mo_acq_rel, $);

                    use(other, true);
                }
                drop(job);
            }
            use(posted.load(rl::mo_acquire, $), rl::rand(2) == 0);
        }
    }
};

/* Each holds two and gives them back, the first one first: so that a place is the head of
 * the free ones again, and what stood behind it is not. */
template <unsigned threads> struct pairs : rl::test_suite<pairs<threads>, threads> {
    faasi_jobs jobs;
    faasi_job first[1], second[2];
    rl::var<int> clear[2];

    void before()
    {
        faasi_job *job[3];

        segments[0] = first;
        segments[1] = second;
        cleared = clear;
        clear[0]($) = clear[1]($) = 0;
        jobs.made = 0;
        jobs.allocator = NULL;
        for (faasi_job *&one : job)
            one = faasi_jobs_take(&jobs, false);
        for (faasi_job *one : job)
            drop(one);
    }

    void after()
    {
        for (unsigned i = 0; i < 3; i++) { // each place is there, once
            faasi_job *job = faasi_jobs_take(&jobs, false);

            RL_ASSERT(job != NULL && result_of(job) == 0);
            result_set(job, 1);
        }
    }

    void drop(faasi_job *job)
    {
        RL_ASSERT(result_of(job) == 0);
        if (faasi_job_unref(job))
            faasi_jobs_give(&jobs, job);
    }

    void thread(unsigned index)
    {
        for (unsigned i = 0; i < 2; i++) {
            faasi_job *job[2] = {faasi_jobs_take(&jobs, false), NULL};

            if (rl::rand(2) == 0)
                job[1] = faasi_jobs_take(&jobs, false);
            for (faasi_job *one : job)
                if (one != NULL)
                    result_set(one, index + 1);
            for (faasi_job *one : job)
                if (one != NULL) {
                    RL_ASSERT(result_of(one) == index + 1);
                    result_set(one, 0);
                    drop(one);
                }
        }
    }
};

/* ---- the word ---- */

struct model_futex {
    rl::mutex lock;
    rl::condition_variable_any woken;
};

/* As async_run.c, async.c and async_public.c have it, without lanes: what was put back is
 * there for the next attempt. Thread 0 runs; 1 cancels; 2 waits; 3 looks after thread 0. */
template <unsigned threads> struct state : rl::test_suite<state<threads>, threads> {
    enum { ATTEMPTS = 2, RESULT = 5 };

    faasi_job job;
    model_futex futex;
    rl::mutex lock;
    rl::var<uint32_t> attempts; /* the job's, which its record says */
    model_atomic<uint32_t> now; /* the worker's: which attempt it is at */
    model_atomic<uint32_t> ended, told;

    void before()
    {
        attempts($) = 0;
        atomic_init(&job.state, (uint32_t)FAASI_JOB_QUEUED);
        job.result = NULL;
    }

    void after()
    {
        RL_ASSERT(ended.load(rl::mo_relaxed, $) == 1);
        RL_ASSERT((job.state.load(rl::mo_relaxed, $) & FAASI_JOB_PHASE) ==
                  FAASI_JOB_ENDED);
    }

    void end(uintptr_t what)
    {
        RL_ASSERT(ended.fetch_add(1, rl::mo_relaxed, $) == 0);
        RL_ASSERT(attempts($) <= ATTEMPTS);
        result_set(&job, what);
        if (!faasi_job_publish(&job))
            return;
        futex.lock.lock($);
        futex.woken.notify_all($);
        futex.lock.unlock($);
    }

    /* A success is settled without the lock; what did not run is not counted. */
    bool settle(uint32_t attempt, uint32_t to, uint32_t made, uint32_t *flags)
    {
        bool ours, locked = to != FAASI_JOB_ENDING;

        if (locked)
            lock.lock($);
        if (model_without(OWN_COUNT) && made != attempt)
            attempts($) = made;
        ours = faasi_job_settle(&job, attempt, to, made, flags);
        if (ours && made != attempt)
            attempts($) = made;
        if (locked)
            lock.unlock($);
        return ours;
    }

    /* Runs attempts until it has ended, or somebody else ends it. */
    void run()
    {
        for (uint32_t attempt = 1, refusals = 0;; attempt++) {
            uint32_t flags = 0, to = FAASI_JOB_ENDING, made = attempt;

            if (!faasi_job_begin(&job, attempt))
                return;
            RL_ASSERT(told.load(rl::mo_relaxed, $) == 0);
            attempts($) = attempt;
            now.store(attempt, rl::mo_release, $);
            if (refusals == 0 && rl::rand(3) == 0) { // it met no seat
                to = FAASI_JOB_QUEUED;
                refusals = 1;
                made = attempt - 1;
            } else if (attempt < ATTEMPTS && rl::rand(2) == 0) {
                to = FAASI_JOB_DELAYED;
            }
            now.store(0, rl::mo_relaxed, $);
            if (!settle(attempt, to, made, &flags))
                return; // it went on without us
            if (to == FAASI_JOB_ENDING || (flags & FAASI_JOB_CANCEL) != 0) {
                end(RESULT + attempt);
                return;
            }
            if (to == FAASI_JOB_DELAYED &&
                !faasi_job_move(&job, FAASI_JOB_DELAYED, FAASI_JOB_QUEUED))
                return;
            attempt = made;
        }
    }

    void cancel()
    {
        while (!faasi_job_claim(&job)) {
            uint32_t seen = atomic_load_explicit(&job.state, memory_order_acquire);

            if (faasi_job_ask(&job))
                return;
            if ((seen & FAASI_JOB_PHASE) >= FAASI_JOB_ENDING)
                return;
        }
        told.store(1, rl::mo_relaxed, $);
        lock.lock($); // and takes it out of its lane
        lock.unlock($);
        end(RESULT);
    }

    void wait()
    {
        for (;;) {
            uint32_t seen = atomic_load_explicit(&job.state, memory_order_acquire);

            if ((seen & FAASI_JOB_PHASE) == FAASI_JOB_ENDED)
                break;
            if (!faasi_job_watch(&job, &seen))
                continue;
            futex.lock.lock($);
            if (job.state.load(rl::mo_relaxed, $) == seen)
                futex.woken.wait(futex.lock, $);
            futex.lock.unlock($);
        }
        RL_ASSERT(result_of(&job) >= RESULT);
    }

    /* At a deadline: ends the attempt that runs, if there is one. */
    void look_after()
    {
        uint32_t attempt, flags = 0;
        bool ours;

        lock.lock($);
        attempt = now.load(rl::mo_acquire, $);
        ours = attempt != 0 &&
               faasi_job_settle(&job, attempt, FAASI_JOB_ENDING, attempt, &flags);
        lock.unlock($);
        if (ours)
            end(RESULT + attempt);
    }

    void thread(unsigned index)
    {
        if (index == 0)
            run();
        else if (index == 1)
            wait();
        else if (index == 2)
            cancel();
        else
            look_after();
    }
};

static const std::vector<model_scenario> scenarios = {
    {"two take and give", model_simulate<places<2, 2>>, 25},
    {"three take and give", model_simulate<places<3, 2>>, 15},
    {"two hold two", model_simulate<pairs<2>>, 10},
    {"run and wait", model_simulate<state<2>>, 10},
    {"run, wait, cancel", model_simulate<state<3>>, 20},
    {"run, wait, cancel, be late", model_simulate<state<4>>, 20},
};

/* Not among them: what the other steps of the word acquire and release, because the lock
 * of async.h orders it as well. */
static const struct model_mutant mutants[] = {
    {"a segment is found before it is clear", "job_at", "load", 0, rl::mo_relaxed, 0},
    {"a segment is shown before it is clear", "job_make", "store", 0, rl::mo_relaxed, 0},
    {"looking at the head without acquire", "job_free", "load", 0, rl::mo_relaxed, 0},
    {"taking without acquire", "job_free", "cas", 0, rl::mo_relaxed, 0},
    {"giving without release", "faasi_jobs_give_all", "cas", 0, rl::mo_relaxed, 0},
    {"giving back without release", "faasi_job_unref", "sub", 0, rl::mo_acquire, 0},
    {"giving back without acquire", "faasi_job_unref", "sub", 0, rl::mo_release, 0},
    {"being alone without acquire", "faasi_job_is_sole", "load", 0, rl::mo_relaxed, 0},
    {"ending without release", "faasi_job_publish", "exchange", 0, rl::mo_acquire, 0},
    {"the count of an attempt that is not ours", NULL, NULL, 0, 0, OWN_COUNT},
    {"waiting without acquire", "wait", "load", 0, rl::mo_relaxed, 0},
};

int main(int argc, char **argv)
{
    return model_main(argc, argv, 1000000, scenarios, mutants,
                      sizeof mutants / sizeof mutants[0], 50000);
}
