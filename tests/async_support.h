/* SPDX-License-Identifier: MIT */
/* async_support.h - what tests of asynchronous invocations share: notes of what happened,
 * in its order, and short words for submitting, running and looking. */
#ifndef ASYNC_SUPPORT_H
#define ASYNC_SUPPORT_H

#include "runtime_support.h"

#include <stdarg.h>
#include <stdio.h>

enum { NOTES_MAX = 4096 };

/* In the order in which things happened: one thread drives everything, or the lock. */
static struct notes {
    pthread_mutex_t lock;
    char text[NOTES_MAX];
    size_t size;
} notes = {.lock = PTHREAD_MUTEX_INITIALIZER};

static inline void note(const char *format, ...) FAAS_PRINTF(1, 2);

static inline void note(const char *format, ...)
{
    va_list args;

    (void)pthread_mutex_lock(&notes.lock);
    va_start(args, format);
    notes.size +=
        (size_t)vsnprintf(notes.text + notes.size, NOTES_MAX - notes.size, format, args);
    va_end(args);
    (void)pthread_mutex_unlock(&notes.lock);
    ck_assert_uint_lt(notes.size, NOTES_MAX);
}

static inline void ck_assert_notes(const char *expected)
{
    ck_assert_str_eq(notes.text, expected);
    notes.text[0] = '\0';
    notes.size = 0;
}

/* Writes its input down. */
static inline int notes_input(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    note("%.*s ", (int)input.size, (const char *)input.data);
    return 0;
}

/* Fails, and says which attempt it was and when. */
static inline int fails(faas_context *ctx, faas_bytes input)
{
    note("%.*s%u@%llu ", (int)input.size, input.size == 0 ? "" : (const char *)input.data,
         faas_attempt(ctx), (unsigned long long)((now_ns() - START_NS) / MS));
    return faas_fail(ctx, 7, "no. %u", faas_attempt(ctx));
}

static inline void notes_end(const faas_record *record, void *user)
{
    (void)user;
    note("[%s %s %u]", faas_condition_name(record->condition),
         faas_status_name(record->status), record->attempts);
}

static inline faas_invocation submit_with(faas_fn fn, const char *input,
                                          const faas_submit_options *options)
{
    faas_invocation job;

    ck_assert_ok(faas_invoke_async(w.rt, fn, faas_str(input), options, &job));
    ck_assert_uint_ne(job.generation, 0);
    return job;
}

static inline faas_invocation submit(faas_fn fn, const char *input)
{
    return submit_with(fn, input, NULL);
}

#define SUBMIT(fn, input, ...) submit_with(fn, input, FAAS_SUBMIT(__VA_ARGS__))

static inline uint64_t run_for(uint64_t ns)
{
    uint64_t ran;

    ck_assert_ok(faas_run_until(w.rt, now_ns() + ns, &ran));
    return ran;
}

static inline faas_async_stats async_stats(void)
{
    static const faas_fn all;
    faas_async_stats stats = {.size = sizeof stats};

    ck_assert_ok(faas_async_stats_get(w.rt, all, &stats));
    return stats;
}

static inline faas_status waited(faas_invocation job)
{
    return faas_invocation_wait(w.rt, job, 0, NULL);
}

static inline void release(faas_invocation job)
{
    faas_invocation_release(w.rt, job);
}

static inline int notes_letter(const faas_record *record, void *user)
{
    note("(%s %s %.*s) ", record->function, faas_condition_name(record->condition),
         (int)record->request.size, (const char *)record->request.data);
    return user != NULL;
}

static inline void shows_letter(const struct faas_record *record, void *user)
{
    (void)notes_letter(record, NULL);
    (void)user;
}

#endif /* ASYNC_SUPPORT_H */
