/* SPDX-License-Identifier: MIT */
/* test_jobs.c - the places of asynchronous invocations, and their handles. */
#include "support.h"

#include "core/jobs.h"
#include "core/mem.h"

#include <pthread.h>

static faas_invocation handle_of(const struct faasi_job *job)
{
    faas_invocation handle = {1, job->index, faasi_job_generation(job)};

    return handle;
}

/* Gives a reference back, and the place with the last one. */
static void drop(struct faasi_jobs *jobs, struct faasi_job *job)
{
    if (faasi_job_unref(job))
        faasi_jobs_give(jobs, job);
}

START_TEST(a_handle_finds_its_job_until_it_is_let_go_and_no_later_one)
{
    struct faasi_jobs jobs;
    struct faasi_job *job, *other;
    faas_invocation handle;

    ck_assert_ok(faasi_jobs_init(&jobs, &faasi_default_allocator));
    job = faasi_jobs_take(&jobs, true);
    ck_assert_ptr_nonnull(job);
    handle = handle_of(job);
    ck_assert_ptr_eq(faasi_jobs_get(&jobs, handle), job);
    drop(&jobs, job);
    ck_assert(faasi_job_handled(job));
    ck_assert(faasi_job_let_go(job, handle.generation));
    ck_assert(!faasi_job_let_go(job, handle.generation));
    ck_assert_ptr_null(faasi_jobs_get(&jobs, handle)); // it still runs
    drop(&jobs, job);
    drop(&jobs, job);
    other = faasi_jobs_take(&jobs, true);
    ck_assert_ptr_eq(other, job); // the same place
    ck_assert_ptr_null(faasi_jobs_get(&jobs, handle));
    handle = handle_of(other);
    ck_assert_ptr_eq(faasi_jobs_get(&jobs, handle), other);
    handle.index = UINT32_MAX;
    ck_assert_ptr_null(faasi_jobs_get(&jobs, handle));
    handle = (faas_invocation){0, 0, 0};
    ck_assert_ptr_null(faasi_jobs_get(&jobs, handle));
    faasi_jobs_fini(&jobs);
}
END_TEST

START_TEST(a_job_without_a_handle_is_found_by_nobody)
{
    struct faasi_jobs jobs;
    struct faasi_job *job;

    ck_assert_ok(faasi_jobs_init(&jobs, &faasi_default_allocator));
    job = faasi_jobs_take(&jobs, false);
    ck_assert_ptr_null(faasi_jobs_get(&jobs, handle_of(job)));
    ck_assert(faasi_job_unref(job));
    faasi_jobs_give(&jobs, job);
    faasi_jobs_fini(&jobs);
}
END_TEST

static void count_job(struct faasi_job *job, void *user)
{
    (void)job;
    ++*(uint32_t *)user;
}

START_TEST(places_do_not_move_while_more_are_made_and_are_used_again)
{
    enum { COUNT = 5000 }; // over several segments
    struct faasi_job **taken = calloc(COUNT, sizeof *taken);
    uint32_t held = 0;
    struct faasi_jobs jobs;

    ck_assert_ok(faasi_jobs_init(&jobs, &faasi_default_allocator));
    for (uint32_t i = 0; i < COUNT; i++) {
        taken[i] = faasi_jobs_take(&jobs, true);
        ck_assert_ptr_nonnull(taken[i]);
        ck_assert_uint_eq(taken[i]->index, i);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        ck_assert_ptr_eq(faasi_jobs_get(&jobs, handle_of(taken[i])), taken[i]);
        drop(&jobs, taken[i]);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        ck_assert(faasi_job_let_go(taken[i], faasi_job_generation(taken[i])));
        drop(&jobs, taken[i]);
        drop(&jobs, taken[i]);
    }
    for (uint32_t i = 0; i < COUNT; i++)
        ck_assert_uint_lt(faasi_jobs_take(&jobs, false)->index, COUNT);
    faasi_jobs_each(&jobs, count_job, &held);
    ck_assert_uint_eq(held, COUNT);
    faasi_jobs_fini(&jobs);
    free(taken);
}
END_TEST

START_TEST(without_memory_there_is_no_place_and_then_there_is)
{
    struct faulty f = {.fail_at = 1};
    faas_allocator alloc = faulty_allocator(&f);
    struct faasi_jobs jobs;

    ck_assert_ok(faasi_jobs_init(&jobs, &alloc));
    ck_assert_ptr_null(faasi_jobs_take(&jobs, true));
    ck_assert_ptr_nonnull(faasi_jobs_take(&jobs, true));
    faasi_jobs_fini(&jobs);
    ck_assert_uint_eq(atomic_load(&f.live_bytes), 0);
}
END_TEST

struct taker {
    pthread_t thread;
    struct faasi_jobs *jobs;
    atomic_uint *owners; /* by place: how many have it */
    bool wrong;
};

static void *takes_and_gives(void *user)
{
    struct taker *t = user;

    for (uint32_t i = 0; i < 20000; i++) {
        struct faasi_job *job = faasi_jobs_take(t->jobs, true);
        faas_invocation handle = handle_of(job);

        t->wrong |= atomic_fetch_add(&t->owners[job->index], 1) != 0;
        t->wrong |= faasi_jobs_get(t->jobs, handle) != job;
        atomic_fetch_sub(&t->owners[job->index], 1);
        (void)faasi_job_let_go(job, handle.generation);
        drop(t->jobs, job);
        drop(t->jobs, job);
        drop(t->jobs, job);
        t->wrong |= faasi_jobs_get(t->jobs, handle) != NULL;
    }
    return NULL;
}

START_TEST(a_place_has_one_owner_however_many_threads_take_and_give)
{
    static atomic_uint owners[FAASI_JOB_SEGMENT_FIRST];
    struct taker takers[3];
    struct faasi_jobs jobs;

    ck_assert_ok(faasi_jobs_init(&jobs, &faasi_default_allocator));
    for (int i = 0; i < 3; i++) {
        takers[i] = (struct taker){.jobs = &jobs, .owners = owners};
        ck_assert_int_eq(
            pthread_create(&takers[i].thread, NULL, takes_and_gives, &takers[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(pthread_join(takers[i].thread, NULL), 0);
        ck_assert(!takers[i].wrong);
    }
    faasi_jobs_fini(&jobs);
}
END_TEST

SUITE_MAIN("jobs", a_handle_finds_its_job_until_it_is_let_go_and_no_later_one,
           a_job_without_a_handle_is_found_by_nobody,
           places_do_not_move_while_more_are_made_and_are_used_again,
           without_memory_there_is_no_place_and_then_there_is,
           a_place_has_one_owner_however_many_threads_take_and_give)
