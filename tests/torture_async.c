/* SPDX-License-Identifier: MIT */
/* torture_async.c - scenarios of asynchronous invocations: queues, order, retries, ends,
 * dead letters, keys, a host's loop, workers.
 *
 * What was accepted ends once and is told once, whatever fails. */
#include "torture.h"

#include <poll.h>

static atomic_uint accepted, ended;

static void counts_end(const faas_record *record, void *user)
{
    (void)user;
    REQUIRE_THAT(record->condition != FAAS_CONDITION_NONE);
    atomic_fetch_add(&ended, 1);
}

static void nothing_yet(void)
{
    atomic_store(&accepted, 0);
    atomic_store(&ended, 0);
}

/* Submits, and is to be told of the end. */
static faas_status submitted(faas_fn fn, const char *input,
                             const faas_submit_options *options, faas_invocation *job)
{
    faas_submit_options mine = *options;
    faas_status status;

    mine.ended = counts_end;
    status = submit(fn, input, &mine, job);
    if (status == FAAS_OK)
        atomic_fetch_add(&accepted, 1);
    return status;
}

/* Everything has its end within a day. */
static void all_end(void)
{
    unsigned ends, submissions;
    faas_async_stats stats;

    TRY(run_for(24 * HOUR));
    stats = async_stats();
    REQUIRE(stats.queued == 0 && stats.running == 0, "%llu are queued, %u run",
            (unsigned long long)stats.queued, stats.running);
    ends = atomic_load(&ended);
    submissions = atomic_load(&accepted);
    REQUIRE(ends == submissions, "%u were accepted, %u ended", submissions, ends);
    REQUIRE_THAT(stats.submitted == stats.succeeded + stats.exhausted + stats.expired +
                                        stats.cancelled + stats.dropped);
}

/* ---- submitting ---- */

static void submits_in_turn(faas_fn fn)
{
    faas_invocation jobs[3];

    for (int i = 0; i < 3; i++)
        TRY(submitted(fn, "in", FAAS_SUBMIT(.priority = FAAS_PRIORITY_NORMAL), &jobs[i]));
    all_end();
    for (int i = 0; i < 3; i++)
        TRY(waited(jobs[i]));
}

static void submits(void)
{
    faas_fn fn;

    nothing_yet();
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = wants, .init = init_wants,
                          .close = init_wants_close),
            &fn));
    submits_in_turn(fn);
    all_end();
    EXPECT(stats_of(fn).invocations == 3);
}

/* The waiter runs it. */
static void submits_and_waits(void)
{
    faas_invocation job;
    faas_fn fn;

    nothing_yet();
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = echoes,
                          .async = FAAS_ASYNC(.retries = FAAS_OFF)),
            &fn));
    TRY(submitted(fn, "in", FAAS_SUBMIT(.will_wait = 1), &job));
    TRY(waited(job));
    REQUIRE_THAT(atomic_load(&ended) == 1);
}

static void submits_with_every_option(void)
{
    faas_invocation_info info = {.size = sizeof info};
    faas_invocation job;
    faas_event *event;
    faas_fn fn;

    nothing_yet();
    TRY(event_of(
        FAAS_EVENT(.id = "1", .source = "/s", .type = "t", .data = faas_str("{}")),
        &event));
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = wants), &fn));
    TRY(submitted(fn, "in",
                  FAAS_SUBMIT(.event = event, .group = faas_str("g"),
                              .tenant = faas_str("t"), .trace = faas_str("trace"),
                              .route = faas_str("r"), .limit_ns = HOUR,
                              .delay_ns = 10 * SEC, .tenant_weight = 3,
                              .priority = FAAS_PRIORITY_HIGH, .key = faas_str("k")),
                  &job));
    TRY(faas_invocation_describe(w.rt, job, &info));
    /* One that found no memory to wait in has ended so. */
    REQUIRE_THAT(info.phase == FAAS_PHASE_DELAYED ||
                 (torture_struck() && info.status == FAAS_ENOMEM));
    all_end();
    TRY(waited(job));
}

static void submits_many(void)
{
    faas_invocation jobs[40];
    faas_bytes inputs[40];
    faas_status status;
    size_t count;
    faas_fn fn;

    nothing_yet();
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = echoes), &fn));
    for (int i = 0; i < 40; i++)
        inputs[i] = faas_str("some input of some length");
    status = faas_invoke_async_many(w.rt, fn, inputs, 40,
                                    FAAS_SUBMIT(.ended = counts_end), jobs, &count);
    atomic_store(&accepted, (unsigned)count);
    for (size_t i = 0; i < 40; i++) {
        REQUIRE_THAT((jobs[i].generation != 0) == (i < count));
        keep_job(jobs[i]);
    }
    REQUIRE_THAT((status == FAAS_OK) == (count == 40));
    (void)torture_tried(status, "faas_invoke_async_many(", __FILE__, __LINE__);
    all_end();
}

static void submits_to_an_alias(void)
{
    faas_fn fn, version, alias;
    uint32_t number;

    nothing_yet();
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = echoes), &fn));
    TRY(faas_function_publish(w.rt, fn, &number, &version));
    keep_fn(version);
    TRY(faas_alias_put(w.rt, fn, "live", &(faas_share){number, 1}, 1, &alias));
    keep_fn(alias);
    submits_in_turn(alias);
    all_end();
}

/* ---- order ---- */

static unsigned last_of_group[3];

static int looks_at_the_order(faas_context *ctx, faas_bytes input)
{
    const char *text = input.data;
    unsigned group = (unsigned)(text[0] - 'a'), number = (unsigned)(text[1] - '0');

    REQUIRE_THAT(number >= last_of_group[group]);
    last_of_group[group] = number;
    return faas_reply(ctx, input);
}

static void keeps_the_order_of_groups(void)
{
    faas_fn fn;

    nothing_yet();
    memset(last_of_group, 0, sizeof last_of_group);
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = looks_at_the_order), &fn));
    for (int i = 0; i < 12; i++) {
        char text[3] = {(char)('a' + i % 3), (char)('0' + i / 3)};

        if (!TRIED(submitted(fn, text,
                             FAAS_SUBMIT(.group = faas_bytes_of(text, 1),
                                         .tenant = faas_bytes_of(text, 1),
                                         .tenant_weight = (uint32_t)(i % 3 + 1)),
                             NULL)))
            break;
    }
    all_end();
}

static void skips_what_failed_in_groups(void)
{
    faas_fn fn;

    nothing_yet();
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = fails,
                          .async = FAAS_ASYNC(.group_failure = FAAS_GROUP_SKIP)),
            &fn));
    for (int i = 0; i < 4; i++)
        if (!TRIED(submitted(fn, "in", FAAS_SUBMIT(.group = faas_str("g")), NULL)))
            break;
    all_end();
}

/* ---- retries, delays, cancelling ---- */

static void retries(void)
{
    faas_invocation job;
    faas_fn fn;

    nothing_yet();
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = fails,
                          .async = FAAS_ASYNC(.retries = 5, .backoff_ns = MS)),
            &fn));
    TRY(submitted(fn, "in", FAAS_SUBMIT(.priority = FAAS_PRIORITY_LOW), &job));
    all_end();
    EXPECT(stats_of(fn).errors == 6);
}

static void gives_up_what_is_old(void)
{
    faas_fn fn;

    nothing_yet();
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = fails,
                          .async = FAAS_ASYNC(.retries = 1000, .age_ns = 10 * SEC)),
            &fn));
    TRY(submitted(fn, "in", FAAS_SUBMIT(.limit_ns = HOUR), NULL));
    TRY(submitted(fn, "in", FAAS_SUBMIT(.limit_ns = SEC), NULL));
    all_end();
}

static void cancels(void)
{
    faas_invocation jobs[3];
    faas_status status;
    faas_fn fn;

    nothing_yet();
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = echoes), &fn));
    TRY(submitted(fn, "in", FAAS_SUBMIT(.delay_ns = SEC), &jobs[0]));
    TRY(submitted(fn, "in", FAAS_SUBMIT(.group = faas_str("g")), &jobs[1]));
    TRY(submitted(fn, "in", FAAS_SUBMIT(.group = faas_str("g")), &jobs[2]));
    status = faas_invocation_cancel(w.rt, jobs[0]);
    REQUIRE_THAT(status == FAAS_OK || (torture_struck() && status == FAAS_EINUSE));
    status = faas_invocation_cancel(w.rt, jobs[1]);
    /* One that found no memory to wait in has ended so. */
    REQUIRE_THAT(status == FAAS_OK || (torture_struck() && status == FAAS_EINUSE));

    all_end();
    EXPECT(faas_invocation_wait(w.rt, jobs[0], 0, NULL) == FAAS_ECANCELLED);
    REQUIRE_THAT(faas_invocation_cancel(w.rt, jobs[2]) == FAAS_EINUSE);
    TRY(waited(jobs[2]));
    EXPECT(stats_of(fn).invocations == 1);
}

/* The function goes while something is queued for it. */
static void drops_with_the_function(void)
{
    faas_invocation job;
    faas_fn fn;

    nothing_yet();
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = echoes), &fn));
    TRY(submitted(fn, "in", FAAS_SUBMIT(.delay_ns = SEC), &job));
    TRY(submitted(fn, "in", FAAS_SUBMIT(.group = faas_str("g")), NULL));
    TRY(faas_function_unregister(w.rt, fn));
    all_end();
    REQUIRE_THAT(faas_invocation_wait(w.rt, job, 0, NULL) == FAAS_ENOENT);
}

/* ---- ends ---- */

static void sends_ends_on(void)
{
    faas_fn on, good, bad;
    faas_destination to = {.event_type = "ended", .ended = counts_end};

    nothing_yet();
    TRY(add(FAAS_FUNCTION(.name = "on", .handler = wants), &on));
    TRY(faas_subscribe(w.rt, on, FAAS_ON(.type = "ended"), NULL));
    to.fn = on;
    TRY(add(FAAS_FUNCTION(.name = "good", .handler = echoes,
                          .async = FAAS_ASYNC(.on_success = to, .on_failure = to)),
            &good));
    TRY(add(FAAS_FUNCTION(.name = "bad", .handler = fails,
                          .async = FAAS_ASYNC(.retries = 1, .on_success = to,
                                              .on_failure = to)),
            &bad));
    if (TRIED(submit(good, "in", NULL, NULL)))
        atomic_fetch_add(&accepted, 1);
    if (TRIED(submit(bad, "in", NULL, NULL)))
        atomic_fetch_add(&accepted, 1);
    all_end();
    EXPECT(stats_of(on).invocations == 4);
}

static int shows(const faas_record *record, void *user)
{
    (void)TRIED(faas_record_json(record, drops, NULL));
    ++*(unsigned *)user;
    return 0;
}

/* Has `count` letters left by one function that another one could have answered. */
static bool letters_left(int count, faas_fn *bad, faas_fn *good)
{
    nothing_yet();
    if (!TRIED(add(FAAS_FUNCTION(.name = "bad", .handler = fails,
                                 .async = FAAS_ASYNC(.retries = FAAS_OFF)),
                   bad)) ||
        !TRIED(add(FAAS_FUNCTION(.name = "good", .handler = echoes), good)))
        return false;
    for (int i = 0; i < count; i++)
        if (!TRIED(submitted(*bad, "in", FAAS_SUBMIT(.tenant = faas_str("t")), NULL)))
            return false;
    all_end();
    return true;
}

static void keeps_letters(void)
{
    unsigned seen = 0;
    uint64_t count;
    faas_fn bad, good;

    if (!letters_left(5, &bad, &good))
        return;
    TRY(faas_letters_list(w.rt, NULL, shows, &seen, &count));
    REQUIRE_THAT(count == seen);
    EXPECT(count == 5);
    TRY(faas_letters_redrive(w.rt, FAAS_LETTERS(.fn = bad, .most = 2), good, &count));
    EXPECT(count == 2);
    TRY(run_for(HOUR));
    TRY(faas_letters_purge(w.rt, FAAS_LETTERS(.tenant = faas_str("t")), &count));
    EXPECT(count == 3 && stats_of(good).invocations == 2);
}

/* What a redriving that failed leaves can be driven again. */
static void redrives_letters_that_stay(void)
{
    uint64_t before, driven, after;
    faas_fn bad, good;

    if (!letters_left(4, &bad, &good))
        return;
    TRY(faas_letters_list(w.rt, NULL, NULL, NULL, &before));
    (void)TRIED(faas_letters_redrive(w.rt, NULL, good, &driven));
    if (TRIED(faas_letters_list(w.rt, NULL, NULL, NULL, &after)))
        REQUIRE_THAT(after + driven == before);
    TRY(run_for(HOUR));
}

static unsigned pushed_out;

static void counts_letter(const struct faas_record *record, void *user)
{
    (void)record;
    (void)user;
    pushed_out++;
}

static void pushes_letters_out(void)
{
    faas_fn bad;

    nothing_yet();
    pushed_out = 0;
    TRY(add(FAAS_FUNCTION(.name = "bad", .handler = fails,
                          .async = FAAS_ASYNC(.retries = FAAS_OFF)),
            &bad));
    for (int i = 0; i < 5; i++)
        TRY(submitted(bad, "in", FAAS_SUBMIT(.priority = FAAS_PRIORITY_LOW), NULL));
    all_end();
    EXPECT(pushed_out == 3);
}

/* ---- keys ---- */

static void runs_once_by_key(void)
{
    faas_invocation jobs[4];
    faas_fn fn;

    nothing_yet();
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = echoes,
                          .async = FAAS_ASYNC(.idempotency_ns = HOUR)),
            &fn));
    for (int i = 0; i < 3; i++)
        TRY(submitted(fn, "in", FAAS_SUBMIT(.key = faas_str("k")), &jobs[i]));
    TRY(run_for(60 * SEC));
    TRY(submitted(fn, "in", FAAS_SUBMIT(.key = faas_str("k")), &jobs[3]));
    all_end();
    for (int i = 0; i < 4; i++)
        TRY(waited(jobs[i]));
    EXPECT(stats_of(fn).invocations == 1);
}

static faas_bytes key_of(faas_bytes input, const faas_event *event, char *room,
                         void *user)
{
    (void)event;
    (void)user;
    room[0] = input.size == 0 ? 'x' : *(const char *)input.data;
    return faas_bytes_of(room, 1);
}

static void runs_once_by_its_own_key(void)
{
    faas_fn fn;

    nothing_yet();
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = fails,
                          .async = FAAS_ASYNC(.key = key_of, .retries = 2)),
            &fn));
    for (int i = 0; i < 6; i++)
        if (!TRIED(submitted(fn, i % 2 == 0 ? "a" : "b",
                             FAAS_SUBMIT(.tenant = faas_str("t")), NULL)))
            break;
    all_end();
    EXPECT(stats_of(fn).invocations == 6);
}

/* ---- a queue that is full ---- */

static void fills_queues(void)
{
    static const faas_queue_full ways[] = {FAAS_QUEUE_REFUSE, FAAS_QUEUE_DROP_OLDEST,
                                           FAAS_QUEUE_RUN_HERE};

    nothing_yet();
    for (int way = 0; way < 3; way++) {
        faas_fn fn;

        TRY(add(FAAS_FUNCTION(.name = "f", .handler = echoes,
                              .async =
                                  FAAS_ASYNC(.queue_slots = 2, .on_queue_full = ways[way],
                                             .retries = FAAS_OFF)),
                &fn));
        for (int i = 0; i < 4; i++) {
            faas_status status =
                submitted(fn, "in", FAAS_SUBMIT(.tenant = faas_str("t")), NULL);

            if (status != FAAS_EBUSY || way != 0 || i < 2)
                (void)torture_tried(status, "submit(", __FILE__, __LINE__);
        }
        all_end();
        EXPECT(stats_of(fn).invocations == (way == 2 ? 4 : 2));
        TRY(faas_function_unregister(w.rt, fn));
    }
}

/* ---- a host's loop, and workers ---- */

static void is_driven_by_a_descriptor(void)
{
    struct pollfd fd = {.events = POLLIN};
    uint64_t next;
    faas_fn fn;

    nothing_yet();
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = wants,
                          .async = FAAS_ASYNC(.retries = 3, .backoff_ns = 10 * US)),
            &fn));
    if (!TRIED(faas_poll_fd(w.rt, &fd.fd))) {
        REQUIRE_THAT(fd.fd == -1);
        return;
    }
    for (int i = 0; i < 3; i++)
        if (!TRIED(submitted(fn, "in", FAAS_SUBMIT(.delay_ns = (uint64_t)i * 10 * US),
                             NULL)))
            break;
    while (atomic_load(&ended) < atomic_load(&accepted)) {
        /* Where telling it failed, the host finds out as late as it looks. */
        int ready = poll(&fd, 1, torture_struck() ? 1 : -1);

        REQUIRE_THAT(ready == 1 || torture_struck());
        (void)faas_run_once(w.rt, MS, &next);
    }
}

/* Waits for jobs in one way or the other: on workers, or here if there are none. */
static void works(uint32_t blocking)
{
    faas_invocation jobs[8];
    int count = 0;
    faas_fn fn;

    nothing_yet();
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = echoes,
                          .async = FAAS_ASYNC(.blocking = blocking, .retries = 1,
                                              .backoff_ns = 10 * US)),
            &fn));
    while (count < 8 &&
           TRIED(submitted(fn, "in", FAAS_SUBMIT(.will_wait = count % 2 == 0),
                           &jobs[count])))
        count++;
    for (int i = 0; i < count; i++)
        (void)TRIED(waited(jobs[i]));
    /* Who waits is woken before those who are told. */
    while (atomic_load(&ended) < atomic_load(&accepted))
        (void)sched_yield();
}

static void works_on_workers(void)
{
    works(0);
}

static void works_on_blocking_workers(void)
{
    works(1);
}

/* The queue is full until somebody ran something; a second waits for that in vain, for a
 * moment of the machine's clock. */
static void waits_for_room(void)
{
    faas_status status;
    faas_fn fn;

    nothing_yet();
    TRY(add(
        FAAS_FUNCTION(.name = "f", .handler = echoes,
                      .async =
                          FAAS_ASYNC(.queue_slots = 1, .on_queue_full = FAAS_QUEUE_WAIT,
                                     .queue_wait_ns = 100 * US, .retries = FAAS_OFF)),
        &fn));
    TRY(submitted(fn, "in", FAAS_SUBMIT(.tenant = faas_str("t")), NULL));
    status = submitted(fn, "in", FAAS_SUBMIT(.tenant = faas_str("t")), NULL);
    if (status != FAAS_EBUSY)
        (void)torture_tried(status, "submit(", __FILE__, __LINE__);
    while (faas_run_once(w.rt, MS, NULL) > 0)
        continue;
}

/* ---- closing with something queued ---- */

static void closes_with(const faas_close_options *options)
{
    faas_runtime_options as = FAAS_RUNTIME_OPTIONS_INIT;
    faas_runtime *rt;
    faas_fn fn;

    nothing_yet();
    pushed_out = 0;
    as.allocator = &w.alloc;
    as.worker_max = FAAS_OFF;
    as.housekeeping = FAAS_HOUSEKEEPING_HOST;
    as.dead_letter = counts_letter;
    if (!TRIED(faas_runtime_open(&rt, &as)))
        return;
    if (TRIED(faas_function_register(rt,
                                     FAAS_FUNCTION(.name = "f", .handler = wants,
                                                   .async = FAAS_ASYNC(.retries = 1)),
                                     &fn)))
        for (int i = 0; i < 3; i++)
            if (TRIED(faas_invoke_async(rt, fn, faas_str("in"),
                                        FAAS_SUBMIT(.ended = counts_end), NULL)))
                atomic_fetch_add(&accepted, 1);
    REQUIRE_THAT(faas_runtime_close_with(rt, options) == FAAS_OK);
    REQUIRE_THAT(atomic_load(&ended) == atomic_load(&accepted));
    if (options == NULL)
        EXPECT(pushed_out == 3);
}

static void closes_at_once(void)
{
    closes_with(NULL);
}

static void closes_when_drained(void)
{
    closes_with(FAAS_CLOSE(.drain_ns = 5 * MS));
}

const struct scenario torture_async[] = {
    SCENARIO(submits),
    SCENARIO(submits_and_waits),
    SCENARIO(submits_with_every_option),
    SCENARIO(submits_many),
    SCENARIO(submits_to_an_alias),
    SCENARIO(keeps_the_order_of_groups),
    SCENARIO(skips_what_failed_in_groups),
    SCENARIO(retries),
    SCENARIO(gives_up_what_is_old),
    SCENARIO(cancels),
    SCENARIO(drops_with_the_function),
    SCENARIO(sends_ends_on),
    SCENARIO(keeps_letters),
    SCENARIO(redrives_letters_that_stay),
    SCENARIO(pushes_letters_out,
             .options = {.dead_letter_slots = 2, .dead_letter = counts_letter}),
    SCENARIO(runs_once_by_key),
    SCENARIO(runs_once_by_its_own_key),
    SCENARIO(fills_queues),
    SCENARIO(is_driven_by_a_descriptor, .real = true, .waits = true,
             .options = {.worker_max = FAAS_OFF, .housekeeping = FAAS_HOUSEKEEPING_HOST}),
    SCENARIO(works_on_workers, .real = true, .options = {.worker_max = 2}),
    SCENARIO(works_on_blocking_workers, .real = true,
             .options = {.worker_max = 1, .blocking_max = 2}),
    SCENARIO(waits_for_room, .real = true, .waits = true,
             .options = {.worker_max = FAAS_OFF, .housekeeping = FAAS_HOUSEKEEPING_HOST}),
    SCENARIO(closes_at_once, .alone = true),
    SCENARIO(closes_when_drained, .alone = true),
    {0},
};
