/* SPDX-License-Identifier: MIT */
/* test_invoke.c - what a call does, what its handler may know, and what comes back. */
#include "runtime_support.h"

/* ---- outcomes ---- */

/* What the next call of plays() does. */
struct play {
    uint64_t takes_ns;
    int code;
    const char *output, *message;
};

static int plays(faas_context *ctx, faas_bytes input)
{
    const struct play *play = faas_user(ctx);

    (void)input;
    pass_ns(play->takes_ns);
    if (play->output != NULL && faas_reply(ctx, faas_str(play->output)) != 0)
        return FAAS_ENOMEM;
    if (play->message != NULL)
        return faas_fail(ctx, play->code, "%s", play->message);
    return play->code;
}

START_TEST(a_handler_gets_the_input_and_its_reply_comes_back)
{
    faas_result *result;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "echo", .handler = echoes));
    result = result_of(fn, "hello");
    ck_assert_bytes(faas_result_bytes(result), "hello");
    ck_assert_int_eq(faas_result_code(result), 0);
    ck_assert_str_eq(faas_result_message(result), "");
    faas_result_release(result);

    result = result_of(fn, NULL);
    ck_assert_bytes(faas_result_bytes(result), "");
    faas_result_release(result);
    faas_result_release(NULL);
    CLOSE();
}
END_TEST

START_TEST(what_the_handler_does_decides_the_status_and_what_comes_with_it)
{
    static const struct {
        struct play play;
        faas_status status;
        const char *output, *message;
        int code;
    } rows[] = {
        {{0, 0, "out", NULL}, FAAS_OK, "out", "", 0},
        {{0, 7, NULL, NULL}, FAAS_EHANDLER, "", "", 7},
        {{0, -7, "half", NULL}, FAAS_EHANDLER, "half", "", -7},
        {{0, 404, NULL, "no such user"}, FAAS_EHANDLER, "", "no such user", 404},
        {{0, 0, NULL, "zero"}, FAAS_EHANDLER, "", "zero", FAAS_EHANDLER},
        {{100 * MS, 0, "out", NULL}, FAAS_OK, "out", "", 0}, /* at the deadline */
        {{100 * MS + 1, 0, "out", NULL}, FAAS_ETIMEDOUT, "", "", 0},
        {{200 * MS, 5, "out", "late"}, FAAS_ETIMEDOUT, "", "late", 5},
    };
    struct play play;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "play", .handler = plays, .user = &play,
                                   .timeout_ns = 100 * MS));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        faas_result *result;
        faas_status status;

        play = rows[i].play;
        status = faas_invoke(w.rt, fn, faas_str(NULL), 0, &result);
        ck_assert_msg(status == rows[i].status, "row %zu: %s", i,
                      faas_status_name(status));
        ck_assert_ptr_nonnull(result);
        ck_assert_bytes(faas_result_bytes(result), rows[i].output);
        ck_assert_str_eq(faas_result_message(result), rows[i].message);
        ck_assert_int_eq(faas_result_code(result), rows[i].code);
        ck_assert_uint_eq(faas_result_meter(result)->run_ns, rows[i].play.takes_ns);
        faas_result_release(result);
        /* The same without a result. */
        ck_assert_status(call(fn), rows[i].status);
    }
    CLOSE();
}
END_TEST

static int replies_twice(faas_context *ctx, faas_bytes input)
{
    (void)input;
    if (faas_reply(ctx, faas_str("first")) != 0)
        return 1;
    return faas_reply_printf(ctx, "%s %d", "second", 2);
}

static int replies_with_input(faas_context *ctx, faas_bytes input)
{
    return faas_reply_as_is(ctx,
                            faas_bytes_of((const char *)input.data + 1, input.size - 1));
}

static int replies_nothing_after_all(faas_context *ctx, faas_bytes input)
{
    if (faas_reply(ctx, input) != 0)
        return 1;
    return faas_reply(ctx, faas_str(NULL));
}

START_TEST(the_last_reply_counts)
{
    static const char input[] = "xyz";
    faas_result *result;

    OPEN_DEFAULT();
    result = result_of(
        function_of(FAAS_FUNCTION(.name = "twice", .handler = replies_twice)), input);
    ck_assert_bytes(faas_result_bytes(result), "second 2");
    faas_result_release(result);

    result = result_of(
        function_of(FAAS_FUNCTION(.name = "part", .handler = replies_with_input)), input);
    ck_assert_ptr_eq(faas_result_bytes(result).data, input + 1);
    ck_assert_uint_eq(faas_result_bytes(result).size, 2);
    faas_result_release(result);

    result = result_of(
        function_of(FAAS_FUNCTION(.name = "none", .handler = replies_nothing_after_all)),
        input);
    ck_assert_uint_eq(faas_result_bytes(result).size, 0);
    faas_result_release(result);
    CLOSE();
}
END_TEST

static int closes_its_runtime(faas_context *ctx, faas_bytes input)
{
    (void)input;
    return faas_runtime_close(faas_context_runtime(ctx)) == FAAS_EPERM ? 0 : 1;
}

START_TEST(a_call_that_does_not_run_gives_no_result)
{
    faas_fn off, gone, none = {0, 0, 0}, other;
    faas_result *result;
    struct {
        faas_fn fn;
        faas_status status;
    } rows[4];

    OPEN_DEFAULT();
    off = function_of(
        FAAS_FUNCTION(.name = "off", .handler = answers, .concurrency = FAAS_OFF));
    gone = function_of(FAAS_FUNCTION(.name = "gone", .handler = answers));
    ck_assert_ok(faas_function_unregister(w.rt, gone));
    other = off;
    other.runtime++;
    rows[0].fn = off;
    rows[0].status = FAAS_EBUSY;
    rows[1].fn = gone;
    rows[1].status = FAAS_ENOENT;
    rows[2].fn = none;
    rows[2].status = FAAS_ENOENT;
    rows[3].fn = other;
    rows[3].status = FAAS_ENOENT;
    for (size_t i = 0; i < 4; i++) {
        result = (faas_result *)(uintptr_t)1;
        ck_assert_status(faas_invoke(w.rt, rows[i].fn, faas_str(NULL), 0, &result),
                         rows[i].status);
        ck_assert_ptr_null(result);
        result = (faas_result *)(uintptr_t)1;
        ck_assert_status(
            faas_invoke_with(w.rt, rows[i].fn, faas_str(NULL), FAAS_CALL(), &result),
            rows[i].status);
        ck_assert_ptr_null(result);
    }
    ck_assert_ok(call(
        function_of(FAAS_FUNCTION(.name = "closes", .handler = closes_its_runtime))));
    CLOSE();
}
END_TEST

START_TEST(refusals_and_failures_of_handlers_leave_the_error_text_alone)
{
    struct play play = {0, 3, NULL, "handler's own"};
    faas_fn off, fails;
    faas_result *result;

    OPEN_DEFAULT();
    off = function_of(
        FAAS_FUNCTION(.name = "off", .handler = answers, .concurrency = FAAS_OFF));
    fails = function_of(FAAS_FUNCTION(.name = "fails", .handler = plays, .user = &play,
                                      .timeout_ns = MS));
    ck_assert_status(faas_runtime_limit(w.rt, 2000000), FAAS_EINVAL);
    ck_assert_str_eq(faas_error_text(), "concurrency_max: 2000000 is over 1048576");
    ck_assert_status(call(off), FAAS_EBUSY);
    ck_assert_status(faas_invoke(w.rt, fails, faas_str(NULL), 0, &result), FAAS_EHANDLER);
    faas_result_release(result);
    play.takes_ns = 2 * MS;
    ck_assert_status(call(fails), FAAS_ETIMEDOUT);
    ck_assert_status(
        faas_invoke_with(w.rt, fails, faas_str(NULL), FAAS_CALL(.deadline_ns = 1), NULL),
        FAAS_EEXPIRED);
    ck_assert_str_eq(faas_error_text(), "concurrency_max: 2000000 is over 1048576");
    CLOSE();
}
END_TEST

START_TEST(a_refused_call_is_told_when_to_come_back)
{
    struct play play = {10 * MS, 0, NULL, NULL};
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "play", .handler = plays, .user = &play));
    /* What its calls take on average, spread over its cap. */
    ck_assert_ok(call(fn));
    play.takes_ns = 20 * MS;
    ck_assert_ok(call(fn));
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = FAAS_OFF)));
    ck_assert_status(call(fn), FAAS_EBUSY);
    ck_assert_uint_eq(faas_retry_after_ns(), 15 * MS);

    /* Of one that never ran, still something. */
    fn = function_of(
        FAAS_FUNCTION(.name = "off", .handler = answers, .concurrency = FAAS_OFF));
    ck_assert_status(call(fn), FAAS_EBUSY);
    ck_assert_uint_ge(faas_retry_after_ns(), 1000);

    /* Of one that takes no time at all, the least. */
    fn = function_of(FAAS_FUNCTION(.name = "quick", .handler = answers));
    ck_assert_ok(call(fn));
    ck_assert_ok(faas_runtime_limit(w.rt, 0));
    ck_assert_status(call(fn), FAAS_EBUSY);
    ck_assert_uint_eq(faas_retry_after_ns(), 1000);
    CLOSE();
}
END_TEST

/* ---- the context ---- */

/* What looks() saw. */
struct seen {
    uint64_t deadline_ns, left_ns;
    faas_id id;
    faas_fn fn;
    faas_runtime *rt;
    char name[64], tenant[32], trace[32];
    faas_event *event;
    void *state;
    uint32_t attempt;
    bool cancelled;
    unsigned calls;
};

static void copy_bytes(char *to, size_t size, faas_bytes bytes)
{
    ck_assert_uint_lt(bytes.size, size);
    if (bytes.size != 0)
        memcpy(to, bytes.data, bytes.size);
    to[bytes.size] = '\0';
}

static int looks(faas_context *ctx, faas_bytes input)
{
    struct seen *seen = faas_user(ctx);

    (void)input;
    seen->deadline_ns = faas_deadline_ns(ctx);
    seen->left_ns = faas_time_left_ns(ctx);
    seen->id = faas_request_id(ctx);
    seen->fn = faas_context_fn(ctx);
    seen->rt = faas_context_runtime(ctx);
    seen->event = faas_context_event(ctx);
    seen->state = faas_state(ctx);
    seen->attempt = faas_attempt(ctx);
    seen->cancelled = faas_cancelled(ctx);
    snprintf(seen->name, sizeof seen->name, "%s", faas_context_name(ctx));
    copy_bytes(seen->tenant, sizeof seen->tenant, faas_tenant(ctx));
    copy_bytes(seen->trace, sizeof seen->trace, faas_trace(ctx));
    seen->calls++;
    return 0;
}

START_TEST(a_plain_call_has_a_context_of_defaults)
{
    struct seen seen = {.calls = 0};
    faas_result *result;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "look", .handler = looks, .user = &seen));
    for (int i = 0; i < 2; i++) { // cold, then by a hint
        result = result_of(fn, NULL);
        ck_assert(same_fn(seen.fn, fn));
        ck_assert_ptr_eq(seen.rt, w.rt);
        ck_assert_str_eq(seen.name, "look");
        ck_assert_uint_eq(seen.deadline_ns, now_ns() + 60 * SEC);
        ck_assert_uint_eq(seen.left_ns, 60 * SEC);
        ck_assert_uint_eq(seen.attempt, 1);
        ck_assert_str_eq(seen.tenant, "");
        ck_assert_str_eq(seen.trace, "");
        ck_assert_ptr_null(seen.event);
        ck_assert_ptr_null(seen.state);
        ck_assert(!seen.cancelled);
        ck_assert_uint_eq(seen.id.high, faas_result_meter(result)->request_id.high);
        ck_assert_uint_eq(seen.id.low, faas_result_meter(result)->request_id.low);
        faas_result_release(result);
        pass_ns(SEC);
    }
    CLOSE();
}
END_TEST

START_TEST(options_reach_the_context)
{
    struct seen seen = {.calls = 0};
    faas_id id = {1, 2};
    faas_event *event;
    faas_result *result;
    faas_fn fn, echo;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "look", .handler = looks, .user = &seen));
    echo = function_of(FAAS_FUNCTION(.name = "echo", .handler = echoes));
    ck_assert_ok(faas_event_create(
        FAAS_EVENT(.id = "1", .source = "/s", .type = "t", .data = faas_str("the data")),
        &event));
    for (int i = 0; i < 2; i++) {
        ck_assert_ok(faas_invoke_with(
            w.rt, fn, faas_str("ignored"),
            FAAS_CALL(.request_id = id, .attempt = 3, .tenant = faas_str("acme"),
                      .trace = faas_str("00-abc"), .event = event),
            &result));
        ck_assert_uint_eq(seen.id.high, 1);
        ck_assert_uint_eq(seen.id.low, 2);
        ck_assert_uint_eq(seen.attempt, 3);
        ck_assert_str_eq(seen.tenant, "acme");
        ck_assert_str_eq(seen.trace, "00-abc");
        ck_assert_ptr_eq(seen.event, event);
        ck_assert_uint_eq(faas_result_meter(result)->request_id.low, 2);
        faas_result_release(result);
    }
    /* The event's data is the input. */
    ck_assert_ok(faas_invoke_with(w.rt, echo, faas_str("ignored"),
                                  FAAS_CALL(.event = event), &result));
    ck_assert_bytes(faas_result_bytes(result), "the data");
    faas_result_release(result);
    faas_event_release(event);

    /* Nothing of it stays with the next call. */
    ck_assert_ok(call(fn));
    ck_assert_uint_eq(seen.attempt, 1);
    ck_assert_str_eq(seen.tenant, "");
    ck_assert_ptr_null(seen.event);
    ck_assert(seen.id.high != 1 || seen.id.low != 2);
    CLOSE();
}
END_TEST

START_TEST(options_that_are_wrong_are_refused)
{
    struct {
        faas_invoke_options known;
        uint64_t newer;
    } future = {.known = {.size = sizeof future}};
    faas_invoke_options unset = {.size = 0}, large = {.size = 5000};
    struct seen seen = {.calls = 0};
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "look", .handler = looks, .user = &seen));
    ck_assert_status(faas_invoke_with(w.rt, fn, faas_str(NULL), &unset, NULL),
                     FAAS_EINVAL);
    ck_assert_str_eq(faas_error_text(),
                     "invoke options: size is 0; set it to sizeof the struct");
    ck_assert_status(faas_invoke_with(w.rt, fn, faas_str(NULL), &large, NULL),
                     FAAS_EINVAL);
    future.newer = 1;
    ck_assert_status(faas_invoke_with(w.rt, fn, faas_str(NULL), &future.known, NULL),
                     FAAS_EVERSION);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "is newer than 0.1"));
    ck_assert_uint_eq(seen.calls, 0);

    /* A tail that is zero, a struct of an older program, and none at all. */
    future.newer = 0;
    ck_assert_ok(faas_invoke_with(w.rt, fn, faas_str(NULL), &future.known, NULL));
    future.known.size = offsetof(faas_invoke_options, deadline_ns);
    future.known.deadline_ns = 1;
    ck_assert_ok(faas_invoke_with(w.rt, fn, faas_str(NULL), &future.known, NULL));
    ck_assert_ok(faas_invoke_with(w.rt, fn, faas_str(NULL), NULL, NULL));
    ck_assert_uint_eq(seen.calls, 3);
    CLOSE();
}
END_TEST

/* ---- time ---- */

START_TEST(the_soonest_of_all_limits_is_the_deadline)
{
    static const struct {
        uint64_t timeout, limit, option_limit, option_deadline, left;
    } rows[] = {
        {0, 0, 0, 0, 60 * SEC},
        {5 * SEC, 0, 0, 0, 5 * SEC},
        {5 * SEC, 2 * SEC, 0, 0, 2 * SEC},
        {5 * SEC, 9 * SEC, 0, 0, 5 * SEC},
        {FAAS_FOREVER, 0, 0, 0, FAAS_FOREVER},
        {FAAS_FOREVER, 3 * SEC, 0, 0, 3 * SEC},
        {FAAS_FOREVER, FAAS_FOREVER, 0, 0, FAAS_FOREVER},
        {5 * SEC, FAAS_FOREVER, 0, 0, 5 * SEC},
        {5 * SEC, 0, 4 * SEC, 0, 4 * SEC},
        {5 * SEC, 0, 9 * SEC, 0, 5 * SEC},
        {5 * SEC, 0, 4 * SEC, 3 * SEC, 3 * SEC},
        {5 * SEC, 0, 2 * SEC, 3 * SEC, 2 * SEC},
        {5 * SEC, 0, 0, 3 * SEC, 3 * SEC},
        {5 * SEC, 0, 0, FAAS_FOREVER, 5 * SEC},
        {FAAS_FOREVER, 0, FAAS_FOREVER, FAAS_FOREVER, FAAS_FOREVER},
    };
    struct seen seen = {.calls = 0};

    OPEN_DEFAULT();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char name[16];
        faas_fn fn;

        snprintf(name, sizeof name, "f%zu", i);
        fn = function_of(FAAS_FUNCTION(.name = name, .handler = looks, .user = &seen,
                                       .timeout_ns = rows[i].timeout));
        for (int warm = 0; warm < 2; warm++) {
            if (rows[i].option_limit == 0 && rows[i].option_deadline == 0) {
                ck_assert_ok(faas_invoke(w.rt, fn, faas_str(NULL), rows[i].limit, NULL));
            } else {
                uint64_t at = rows[i].option_deadline;

                if (at != 0 && at != FAAS_FOREVER)
                    at += now_ns();
                ck_assert_ok(faas_invoke_with(
                    w.rt, fn, faas_str(NULL),
                    FAAS_CALL(.limit_ns = rows[i].option_limit, .deadline_ns = at),
                    NULL));
            }
            ck_assert_msg(seen.left_ns == rows[i].left, "row %zu: %llu left", i,
                          (unsigned long long)seen.left_ns);
            ck_assert(
                seen.deadline_ns ==
                (rows[i].left == FAAS_FOREVER ? FAAS_FOREVER : now_ns() + rows[i].left));
            pass_ns(MS);
        }
    }
    CLOSE();
}
END_TEST

START_TEST(without_time_left_the_handler_does_not_start)
{
    struct seen seen = {.calls = 0};
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "look", .handler = looks, .user = &seen));
    for (int i = 0; i < 2; i++) {
        ck_assert_status(faas_invoke_with(w.rt, fn, faas_str(NULL),
                                          FAAS_CALL(.deadline_ns = now_ns()), NULL),
                         FAAS_EEXPIRED);
        ck_assert_status(
            faas_invoke_with(w.rt, fn, faas_str(NULL), FAAS_CALL(.deadline_ns = 1), NULL),
            FAAS_EEXPIRED);
        ck_assert_uint_eq(seen.calls, (unsigned)i);
        ck_assert_ok(call(fn)); // the second time warm
    }
    ck_assert_uint_eq(stats_of(fn).invocations, 2);
    ck_assert_uint_eq(stats_of(fn).timeouts, 0);
    CLOSE();
}
END_TEST

static int takes_init(faas_context *ctx, void **state)
{
    (void)state;
    (void)ctx;
    pass_ns(5 * MS);
    return 0;
}

START_TEST(a_cold_start_uses_up_the_calls_time)
{
    struct seen seen = {.calls = 0};
    faas_result *result;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "look", .handler = looks, .user = &seen,
                                   .init = takes_init, .timeout_ns = 5 * MS));
    ck_assert_status(faas_invoke(w.rt, fn, faas_str(NULL), 0, &result), FAAS_EEXPIRED);
    ck_assert_ptr_null(result);
    ck_assert_uint_eq(seen.calls, 0);
    /* The instance was made all the same, and is warm now. */
    ck_assert_ok(faas_invoke(w.rt, fn, faas_str(NULL), 0, &result));
    ck_assert(!faas_result_meter(result)->cold);
    ck_assert_uint_eq(seen.left_ns, 5 * MS);
    faas_result_release(result);
    ck_assert_uint_eq(stats_of(fn).cold_starts, 1);
    CLOSE();
}
END_TEST

/* Passes time and looks whether it is cancelled. */
static int waits_for_the_end(faas_context *ctx, faas_bytes input)
{
    (void)input;
    if (faas_cancelled(ctx) || faas_time_left_ns(ctx) != 10 * MS)
        return 1;
    pass_ns(10 * MS - 1);
    if (faas_cancelled(ctx) || faas_time_left_ns(ctx) != 1)
        return 2;
    pass_ns(1);
    if (!faas_cancelled(ctx) || faas_time_left_ns(ctx) != 0)
        return 3;
    pass_ns(10 * MS);
    return faas_cancelled(ctx) && faas_time_left_ns(ctx) == 0 ? 0 : 4;
}

START_TEST(a_handler_is_told_that_its_time_is_up)
{
    faas_result *result;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "waits", .handler = waits_for_the_end,
                                   .timeout_ns = 10 * MS));
    ck_assert_status(faas_invoke(w.rt, fn, faas_str(NULL), 0, &result), FAAS_ETIMEDOUT);
    ck_assert_int_eq(faas_result_code(result), 0);
    ck_assert_uint_eq(faas_result_meter(result)->run_ns, 20 * MS);
    faas_result_release(result);
    ck_assert_uint_eq(stats_of(fn).timeouts, 1);
    CLOSE();
}
END_TEST

/* ---- calls in calls ---- */

struct nesting {
    faas_runtime *rt;
    faas_fn inner;
    uint64_t first_ns; /* passes before the call */
    uint64_t limit_ns;
    const faas_invoke_options *options;
    faas_status status;
};

static int calls_inner(faas_context *ctx, faas_bytes input)
{
    struct nesting *n = faas_user(ctx);

    (void)input;
    pass_ns(n->first_ns);
    n->status = n->options != NULL
                    ? faas_invoke_with(n->rt, n->inner, faas_str(NULL), n->options, NULL)
                    : faas_invoke(n->rt, n->inner, faas_str(NULL), n->limit_ns, NULL);
    return 0;
}

START_TEST(a_nested_call_inherits_the_time_that_is_left)
{
    struct seen seen = {.calls = 0};
    struct nesting n = {.first_ns = 4 * MS};
    faas_fn outer;

    OPEN_DEFAULT();
    n.rt = w.rt;
    n.inner =
        function_of(FAAS_FUNCTION(.name = "inner", .handler = looks, .user = &seen));
    outer = function_of(FAAS_FUNCTION(.name = "outer", .handler = calls_inner, .user = &n,
                                      .timeout_ns = 10 * MS));
    for (int i = 0; i < 2; i++) {
        ck_assert_ok(call(outer));
        ck_assert_ok(n.status);
        ck_assert_uint_eq(seen.left_ns, 6 * MS);
    }
    n.limit_ns = 2 * MS; // its own limit is sooner
    ck_assert_ok(call(outer));
    ck_assert_uint_eq(seen.left_ns, 2 * MS);
    n.limit_ns = 20 * MS; // a longer one does not help
    ck_assert_ok(call(outer));
    ck_assert_uint_eq(seen.left_ns, 6 * MS);
    n.options = FAAS_CALL(.limit_ns = 20 * MS);
    ck_assert_ok(call(outer));
    ck_assert_uint_eq(seen.left_ns, 6 * MS);
    n.options = FAAS_CALL(.limit_ns = 1 * MS);
    ck_assert_ok(call(outer));
    ck_assert_uint_eq(seen.left_ns, 1 * MS);
    CLOSE();
}
END_TEST

START_TEST(a_nested_call_is_refused_when_no_time_is_left)
{
    struct seen seen = {.calls = 0};
    struct nesting n = {.first_ns = 10 * MS};
    faas_fn outer;

    OPEN_DEFAULT();
    n.rt = w.rt;
    n.inner =
        function_of(FAAS_FUNCTION(.name = "inner", .handler = looks, .user = &seen));
    outer = function_of(FAAS_FUNCTION(.name = "outer", .handler = calls_inner, .user = &n,
                                      .timeout_ns = 10 * MS));
    ck_assert_ok(call(outer)); // it came back at its deadline, not past it
    ck_assert_status(n.status, FAAS_EEXPIRED);
    ck_assert_ok(call(n.inner));
    ck_assert_ok(call(outer));
    ck_assert_status(n.status, FAAS_EEXPIRED);
    ck_assert_uint_eq(seen.calls, 1);
    CLOSE();
}
END_TEST

START_TEST(time_is_inherited_from_runtime_to_runtime_whatever_their_clocks)
{
    struct seen seen = {.calls = 0};
    struct nesting n = {.first_ns = 4 * MS};
    faas_clock *other_clock;
    faas_runtime_options opt = FAAS_RUNTIME_OPTIONS_INIT;
    faas_fn outer;

    OPEN_DEFAULT();
    ck_assert_ok(faas_clock_open_virtual(7 * SEC, NULL, &other_clock));
    opt.clock = other_clock;
    ck_assert_ok(faas_runtime_open(&n.rt, &opt));
    ck_assert_ok(faas_function_register(
        n.rt, FAAS_FUNCTION(.name = "inner", .handler = looks, .user = &seen), &n.inner));
    outer = function_of(FAAS_FUNCTION(.name = "outer", .handler = calls_inner, .user = &n,
                                      .timeout_ns = 10 * MS));
    ck_assert_ok(call(outer));
    ck_assert_ok(n.status);
    ck_assert_uint_eq(seen.left_ns, 6 * MS);
    ck_assert_uint_eq(seen.deadline_ns, 7 * SEC + 6 * MS);
    ck_assert_ptr_eq(seen.rt, n.rt);
    n.first_ns = 10 * MS;
    ck_assert_ok(call(outer));
    ck_assert_status(n.status, FAAS_EEXPIRED);
    ck_assert_ok(faas_runtime_close(n.rt));
    faas_clock_close(other_clock);
    CLOSE();
}
END_TEST

START_TEST(a_nested_call_passes_the_trace_on_and_nothing_else)
{
    struct seen seen = {.calls = 0};
    struct nesting n = {.first_ns = 0};
    faas_fn outer;

    OPEN_DEFAULT();
    n.rt = w.rt;
    n.inner =
        function_of(FAAS_FUNCTION(.name = "inner", .handler = looks, .user = &seen));
    outer =
        function_of(FAAS_FUNCTION(.name = "outer", .handler = calls_inner, .user = &n));
    ck_assert_ok(faas_invoke_with(
        w.rt, outer, faas_str(NULL),
        FAAS_CALL(.trace = faas_str("t1"), .attempt = 5, .tenant = faas_str("acme")),
        NULL));
    ck_assert_str_eq(seen.trace, "t1");
    ck_assert_str_eq(seen.tenant, "");
    ck_assert_uint_eq(seen.attempt, 1);
    n.options = FAAS_CALL(.trace = faas_str("t2"));
    ck_assert_ok(faas_invoke_with(w.rt, outer, faas_str(NULL),
                                  FAAS_CALL(.trace = faas_str("t1")), NULL));
    ck_assert_str_eq(seen.trace, "t2");
    CLOSE();
}
END_TEST

/* Calls itself until it is refused; counts how deep it came. */
struct dive {
    unsigned depth, deepest;
    faas_status status;
};

static int dives(faas_context *ctx, faas_bytes input)
{
    struct dive *dive = faas_user(ctx);
    faas_status status;

    if (++dive->depth > dive->deepest)
        dive->deepest = dive->depth;
    status = faas_invoke(faas_context_runtime(ctx), faas_context_fn(ctx), input, 0, NULL);
    if (status != FAAS_OK)
        dive->status = status;
    dive->depth--;
    return 0;
}

START_TEST(calls_nest_as_deep_as_the_runtime_says)
{
    static const uint32_t depths[] = {0, 1, 2, 100, 1024};

    for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++) {
        struct dive dive = {0, 0, FAAS_OK};
        faas_fn fn;

        OPEN(.depth_max = depths[i], .concurrency_max = FAAS_UNLIMITED);
        fn = function_of(FAAS_FUNCTION(.name = "dive", .handler = dives, .user = &dive));
        for (int again = 0; again < 2; again++) {
            ck_assert_ok(call(fn));
            ck_assert_status(dive.status, FAAS_EDEPTH);
            ck_assert_uint_eq(dive.deepest, depths[i] == 0 ? 32 : depths[i]);
        }
        ck_assert_uint_eq(stats_of(fn).concurrency_peak, depths[i] == 0 ? 32 : depths[i]);
        CLOSE();
    }
}
END_TEST

START_TEST(a_nested_call_counts_against_the_same_limits)
{
    struct dive dive = {0, 0, FAAS_OK};
    faas_fn fn;

    OPEN(.concurrency_max = 5);
    fn = function_of(
        FAAS_FUNCTION(.name = "dive", .handler = dives, .user = &dive, .concurrency = 3));
    ck_assert_ok(call(fn));
    ck_assert_status(dive.status, FAAS_EBUSY);
    ck_assert_uint_eq(dive.deepest, 3);
    ck_assert_ok(
        faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = FAAS_UNLIMITED)));
    ck_assert_ok(call(fn));
    ck_assert_status(dive.status, FAAS_EBUSY);
    ck_assert_uint_eq(dive.deepest, 5);
    CLOSE();
}
END_TEST

/* ---- dry run ---- */

START_TEST(a_dry_run_says_what_would_be_and_runs_nothing)
{
    const faas_invoke_options *dry = FAAS_CALL(.dry_run = 1);
    struct seen seen = {.calls = 0};
    struct latch latch;
    struct caller caller = {.limit_ns = 0};
    faas_result *result = (faas_result *)(uintptr_t)1;
    faas_fn fn, one;

    OPEN(.concurrency_max = 2);
    latch_init(&latch);
    fn = function_of(FAAS_FUNCTION(.name = "look", .handler = looks, .user = &seen));
    one = function_of(
        FAAS_FUNCTION(.name = "one", .handler = holds, .user = &latch, .concurrency = 1));
    ck_assert_ok(faas_invoke_with(w.rt, fn, faas_str(NULL), dry, &result)); // cold
    ck_assert_ptr_null(result);
    ck_assert_uint_eq(stats_of(fn).cold_starts, 0);
    ck_assert_ok(call(fn));
    ck_assert_ok(faas_invoke_with(w.rt, fn, faas_str(NULL), dry, NULL)); // warm
    ck_assert_uint_eq(seen.calls, 1);

    ck_assert_ok(faas_invoke_with(w.rt, one, faas_str(NULL), dry, NULL));
    caller_start(&caller, one);
    latch_await(&latch, 1);
    ck_assert_status(faas_invoke_with(w.rt, one, faas_str(NULL), dry, NULL), FAAS_EBUSY);
    ck_assert_ok(faas_invoke_with(w.rt, fn, faas_str(NULL), dry, NULL));
    ck_assert_ok(faas_runtime_limit(w.rt, 1));
    ck_assert_status(faas_invoke_with(w.rt, fn, faas_str(NULL), dry, NULL), FAAS_EBUSY);
    latch_release(&latch, 1);
    ck_assert_ok(caller_join(&caller));
    ck_assert_ok(faas_invoke_with(w.rt, fn, faas_str(NULL), dry, NULL));
    ck_assert_status(faas_invoke_with(w.rt, fn, faas_str(NULL),
                                      FAAS_CALL(.dry_run = 1, .deadline_ns = now_ns()),
                                      NULL),
                     FAAS_EEXPIRED);
    ck_assert_ok(faas_function_unregister(w.rt, fn));
    ck_assert_status(faas_invoke_with(w.rt, fn, faas_str(NULL), dry, NULL), FAAS_ENOENT);
    ck_assert_uint_eq(seen.calls, 1);
    CLOSE();
}
END_TEST

START_TEST(a_dry_run_that_is_refused_says_when_to_come_back)
{
    struct play play = {10 * MS, 0, NULL, NULL};
    faas_fn fn, off;

    OPEN_DEFAULT();
    off = function_of(
        FAAS_FUNCTION(.name = "off", .handler = answers, .concurrency = FAAS_OFF));
    ck_assert_status(call(off), FAAS_EBUSY); // leaves 1 ms, of one that never ran
    fn = function_of(FAAS_FUNCTION(.name = "play", .handler = plays, .user = &play));
    ck_assert_ok(call(fn));
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = FAAS_OFF)));
    ck_assert_status(
        faas_invoke_with(w.rt, fn, faas_str(NULL), FAAS_CALL(.dry_run = 1), NULL),
        FAAS_EBUSY);
    ck_assert_uint_eq(faas_retry_after_ns(), 10 * MS);
    CLOSE();
}
END_TEST

/* ---- ids ---- */

enum { ID_THREADS = 4, IDS_EACH = 2000, IDS = (ID_THREADS + 2) * IDS_EACH };

static faas_id ids[IDS];
static atomic_uint id_count;

static int notes_id(faas_context *ctx, faas_bytes input)
{
    (void)input;
    ids[atomic_fetch_add(&id_count, 1)] = faas_request_id(ctx);
    return 0;
}

static void *calls_often(void *user)
{
    const faas_fn *fn = user;

    for (int i = 0; i < IDS_EACH; i++)
        if (faas_invoke(w.rt, *fn, faas_str(NULL), 0, NULL) != FAAS_OK)
            abort();
    return NULL;
}

static int id_order(const void *a, const void *b)
{
    const faas_id *x = a, *y = b;

    return x->low < y->low ? -1 : x->low > y->low;
}

START_TEST(no_two_invocations_have_the_same_id)
{
    pthread_t threads[ID_THREADS];
    faas_share all = {1, 1};
    faas_fn fn, version, alias, second;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "id", .handler = notes_id));
    ck_assert_ok(faas_function_publish(w.rt, fn, NULL, &version));
    ck_assert_ok(faas_alias_put(w.rt, fn, "live", &all, 1, &alias));
    for (size_t i = 0; i < ID_THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, calls_often, &fn), 0);
    for (size_t i = 0; i < ID_THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    (void)calls_often(&alias); // these need an id before they have a seat
    /* Cells go from one function to the next. */
    ck_assert_ok(faas_function_unregister(w.rt, fn));
    second = function_of(FAAS_FUNCTION(.name = "id2", .handler = notes_id));
    (void)calls_often(&second);

    ck_assert_uint_eq(atomic_load(&id_count), IDS);
    qsort(ids, IDS, sizeof ids[0], id_order);
    for (size_t i = 1; i < IDS; i++) {
        ck_assert(ids[i].low != ids[i - 1].low);
        ck_assert(ids[i].high == ids[0].high);
    }
    CLOSE();
}
END_TEST

START_TEST(a_seed_makes_ids_repeatable)
{
    faas_id id[3];
    static const uint64_t seeds[] = {1, 1, 2};

    for (size_t i = 0; i < 3; i++) {
        faas_result *result;

        OPEN(.seed = seeds[i]);
        result =
            result_of(function_of(FAAS_FUNCTION(.name = "a", .handler = answers)), NULL);
        id[i] = faas_result_meter(result)->request_id;
        faas_result_release(result);
        CLOSE();
    }
    ck_assert(id[0].high == id[1].high && id[0].low == id[1].low);
    ck_assert(id[0].high != id[2].high);
}
END_TEST

START_TEST(an_id_is_written_as_a_uuid_is)
{
    char text[FAAS_ID_TEXT_SIZE];

    faas_id_text((faas_id){0x0123456789abcdefu, 0xfedcba9876543210u}, text);
    ck_assert_str_eq(text, "01234567-89ab-cdef-fedc-ba9876543210");
    faas_id_text((faas_id){0, 0}, text);
    ck_assert_str_eq(text, "00000000-0000-0000-0000-000000000000");
    faas_id_text((faas_id){UINT64_MAX, UINT64_MAX}, text);
    ck_assert_str_eq(text, "ffffffff-ffff-ffff-ffff-ffffffffffff");
}
END_TEST

/* ---- the meter and the report ---- */

static int takes_and_allocates(faas_context *ctx, faas_bytes input)
{
    (void)input;
    pass_ns(3 * MS);
    return faas_alloc(ctx, 100000) != NULL && faas_alloc(ctx, 16) != NULL ? 0 : 1;
}

START_TEST(the_meter_tells_what_the_call_took)
{
    faas_result *result;
    const faas_meter *meter;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "take", .handler = takes_and_allocates,
                                   .init = takes_init));
    result = result_of(fn, NULL);
    meter = faas_result_meter(result);
    ck_assert(meter->cold);
    ck_assert_uint_eq(meter->wait_ns, 0);
    ck_assert_uint_eq(meter->init_ns, 5 * MS);
    ck_assert_uint_eq(meter->run_ns, 3 * MS);
    ck_assert_uint_eq(meter->peak_bytes, 100000 + 16);
    faas_result_release(result);
    result = result_of(fn, NULL);
    meter = faas_result_meter(result);
    ck_assert(!meter->cold);
    ck_assert_uint_eq(meter->init_ns, 0);
    ck_assert_uint_eq(meter->run_ns, 3 * MS);
    ck_assert_uint_eq(meter->peak_bytes, 100000 + 16);
    faas_result_release(result);
    CLOSE();
}
END_TEST

struct lines {
    char text[4096];
    size_t size;
    unsigned count;
};

static int takes_line(const char *text, size_t size, void *user)
{
    struct lines *lines = user;

    ck_assert_uint_lt(lines->size + size, sizeof lines->text);
    memcpy(lines->text + lines->size, text, size);
    lines->size += size;
    lines->text[lines->size] = '\0';
    lines->count++;
    return 0;
}

START_TEST(a_report_line_is_written_for_every_call_that_ran)
{
    struct lines lines = {.size = 0};
    struct play play = {1500000, 0, NULL, NULL};
    char want[2048], id[2][FAAS_ID_TEXT_SIZE];
    faas_result *result;
    faas_fn fn;

    OPEN(.report = takes_line, .report_user = &lines);
    fn = function_of(FAAS_FUNCTION(.name = "play", .handler = plays, .user = &play,
                                   .init = takes_init, .timeout_ns = SEC,
                                   .memory_bytes = 256 << 20));
    result = result_of(fn, NULL);
    faas_id_text(faas_result_meter(result)->request_id, id[0]);
    faas_result_release(result);
    play.takes_ns = 0;
    play.code = 9;
    ck_assert_status(faas_invoke(w.rt, fn, faas_str(NULL), 0, &result), FAAS_EHANDLER);
    faas_id_text(faas_result_meter(result)->request_id, id[1]);
    faas_result_release(result);
    ck_assert_status(
        faas_invoke_with(w.rt, fn, faas_str(NULL), FAAS_CALL(.deadline_ns = 1), NULL),
        FAAS_EEXPIRED);
    ck_assert_uint_eq(lines.count, 2);
    snprintf(want, sizeof want,
             "REPORT RequestId: %s\tDuration: 1.50 ms\tBilled Duration: 2 ms\tMemory "
             "Size: 256 MB\tMax Memory Used: 0 MB\tInit Duration: 5.00 ms\tFunction: "
             "play\tStatus: FAAS_OK\n"
             "REPORT RequestId: %s\tDuration: 0.00 ms\tBilled Duration: 1 ms\tMemory "
             "Size: 256 MB\tMax Memory Used: 0 MB\tFunction: play\tStatus: "
             "FAAS_EHANDLER\n",
             id[0], id[1]);
    ck_assert_str_eq(lines.text, want);
    CLOSE();
}
END_TEST

START_TEST(the_longest_name_fits_the_report_line)
{
    struct lines lines = {.size = 0};
    faas_share all = {1, 1};
    char name[256];
    faas_fn fn, alias;

    memset(name, 'n', 255);
    name[255] = '\0';
    OPEN(.report = takes_line, .report_user = &lines);
    fn = function_of(FAAS_FUNCTION(.name = name, .handler = answers));
    ck_assert_ok(faas_function_publish(w.rt, fn, NULL, NULL));
    ck_assert_ok(faas_alias_put(w.rt, fn, name, &all, 1, &alias));
    ck_assert_ok(call(alias));
    ck_assert_uint_eq(lines.count, 1);
    ck_assert_ptr_nonnull(strstr(lines.text, name));
    CLOSE();
}
END_TEST

START_TEST(the_log_has_what_a_replay_needs_of_each_call)
{
    struct lines lines = {.size = 0}, reports = {.size = 0};
    struct play play = {1500000, 0, NULL, NULL};
    char want[1024];
    double held;
    faas_function_stats stats = {.size = sizeof stats};
    faas_fn fn;

    OPEN(.log = takes_line, .log_user = &lines, .report = takes_line,
         .report_user = &reports);
    ck_assert_uint_eq(lines.count, 1); // the columns
    fn = function_of(FAAS_FUNCTION(.name = "a \"b\",\nc", .handler = plays, .user = &play,
                                   .init = takes_init, .instance_bytes = 3 << 20));
    ck_assert_uint_eq(START_NS, 1000 * SEC);
    ck_assert_ok(faas_invoke(w.rt, fn, faas_str(NULL), 0, NULL));
    play.code = 9; // one that fails is a call like another
    ck_assert_status(faas_invoke(w.rt, fn, faas_str(NULL), 0, NULL), FAAS_EHANDLER);
    ck_assert_status(
        faas_invoke_with(w.rt, fn, faas_str(NULL), FAAS_CALL(.deadline_ns = 1), NULL),
        FAAS_EEXPIRED); // one that did not run is none
    ck_assert_ok(faas_function_stats_get(w.rt, fn, &stats, NULL));
    held = (double)stats.instance_bytes / 0x1p20;
    ck_assert_double_ge(held, 3);
    /* It arrived before the 5 ms of its cold start. */
    snprintf(want, sizeof want,
             "time_ms,function,duration_ms,memory_mb,init_ms\n"
             "1000000.000000,\"a \"\"b\"\", c\",1.500000,%.6f,5.000000\n"
             "1000006.500000,\"a \"\"b\"\", c\",1.500000,%.6f,\n",
             held, held);
    ck_assert_str_eq(lines.text, want);
    ck_assert_uint_eq(lines.count, 3);
    ck_assert_uint_eq(reports.count, 2);
    CLOSE();
}
END_TEST

START_TEST(the_longest_name_fits_the_log)
{
    struct lines lines = {.size = 0};
    char name[256];
    faas_fn fn;

    memset(name, '"', 255); // doubled each
    name[255] = '\0';
    OPEN(.log = takes_line, .log_user = &lines);
    fn = function_of(FAAS_FUNCTION(.name = name, .handler = answers));
    ck_assert_ok(call(fn));
    ck_assert_uint_eq(lines.count, 2);
    ck_assert_uint_eq(strspn(strchr(lines.text, '"'), "\""), 512);
    CLOSE();
}
END_TEST

/* ---- the heap ---- */

/* Wants `count` pieces of `size` bytes, which must be zero, apart and aligned, and
 * dirties them. */
struct wants {
    size_t size;
    unsigned count, got;
    bool dirty; /* found */
};

static int allocates(faas_context *ctx, faas_bytes input)
{
    struct wants *wants = faas_user(ctx);
    unsigned char *last = NULL;

    (void)input;
    for (wants->got = 0; wants->got < wants->count; wants->got++) {
        unsigned char *piece = faas_alloc(ctx, wants->size);

        if (piece == NULL)
            return FAAS_ENOMEM;
        if ((uintptr_t)piece % 16 != 0 || piece == last)
            return 1;
        for (size_t i = 0; i < wants->size; i++)
            if (piece[i] != 0)
                wants->dirty = true;
        memset(piece, 0xee, wants->size);
        last = piece;
    }
    return 0;
}

START_TEST(every_call_starts_with_zeroed_memory)
{
    static const size_t sizes[] = {1,    15,    16,    17,    64,     1000,    3000,
                                   4096, 16384, 20000, 65536, 300000, 1 << 20, 3 << 20};
    struct wants wants = {.dirty = false};
    faas_result *kept = NULL, *result;
    faas_fn fn;

    OPEN_DEFAULT();
    fn =
        function_of(FAAS_FUNCTION(.name = "alloc", .handler = allocates, .user = &wants));
    for (size_t round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++) {
                size_t large = sizes[(i * 5 + j * 3 + round) % 14];

                wants.size = large;
                wants.count = (unsigned)(200000 / large) % 300 + 1;
                /* With a result kept, released at once, or none. */
                switch ((i + j) % 3) {
                case 0:
                    ck_assert_ok(call(fn));
                    break;
                case 1:
                    faas_result_release(result_of(fn, NULL));
                    break;
                default:
                    result = result_of(fn, NULL);
                    faas_result_release(kept);
                    kept = result;
                }
                ck_assert(!wants.dirty);
            }
    faas_result_release(kept);
    CLOSE();
}
END_TEST

START_TEST(past_its_limit_the_heap_gives_nothing_and_the_runtime_goes_on)
{
    static const struct {
        uint64_t limit;
        size_t size;
        unsigned fits;
    } rows[] = {
        {16, 16, 1},
        {16, 17, 0},
        {15, 1, 0},
        {1000, 16, 62},
        {1000, 1001, 0},
        {4096, 4096, 1},
        {100000, 1000, 99},
        {100000, 100000, 1},
        {100000, 100001, 0},
        {1 << 20, 65536, 16},
        {5 << 20, 1 << 20, 5},
        {64, SIZE_MAX, 0},
        {64, SIZE_MAX - 8, 0},
        {FAAS_FOREVER, SIZE_MAX - 32, 0},
    };

    OPEN_DEFAULT();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wants wants = {.size = rows[i].size, .count = rows[i].fits + 1};
        char name[16];
        faas_result *result;
        faas_fn fn;

        snprintf(name, sizeof name, "f%zu", i);
        fn = function_of(FAAS_FUNCTION(.name = name, .handler = allocates, .user = &wants,
                                       .heap_bytes = rows[i].limit));
        for (int again = 0; again < 3; again++) {
            ck_assert_status(faas_invoke(w.rt, fn, faas_str(NULL), 0, &result),
                             FAAS_EHANDLER);
            ck_assert_int_eq(faas_result_code(result), FAAS_ENOMEM);
            ck_assert_msg(wants.got == rows[i].fits, "row %zu: %u fit", i, wants.got);
            ck_assert_uint_le(faas_result_meter(result)->peak_bytes, rows[i].limit);
            ck_assert(!wants.dirty);
            faas_result_release(result);
        }
    }
    CLOSE();
}
END_TEST

START_TEST(the_default_limit_is_the_configured_memory)
{
    struct wants wants = {.size = 100000, .count = 100};
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "a", .handler = allocates, .user = &wants,
                                   .memory_bytes = 1 << 20));
    ck_assert_status(call(fn), FAAS_EHANDLER);
    ck_assert_uint_eq(wants.got, 10);
    /* It may be changed between calls. */
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.heap_bytes = 2 << 20)));
    ck_assert_status(call(fn), FAAS_EHANDLER);
    ck_assert_uint_eq(wants.got, 20);
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.heap_bytes = 200000)));
    ck_assert_status(call(fn), FAAS_EHANDLER);
    ck_assert_uint_eq(wants.got, 2);
    CLOSE();
}
END_TEST

static int replies_past_the_limit(faas_context *ctx, faas_bytes input)
{
    char big[200];

    (void)input;
    memset(big, 'b', sizeof big);
    if (faas_reply(ctx, faas_str("kept")) != 0 ||
        faas_reply(ctx, faas_bytes_of(big, sizeof big)) != FAAS_ENOMEM ||
        faas_reply_printf(ctx, "%.200s", big) != FAAS_ENOMEM)
        return 1;
    return faas_fail(ctx, 2, "%.200s", big);
}

START_TEST(a_reply_past_the_limit_fails_and_leaves_the_one_before)
{
    faas_result *result;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(
        FAAS_FUNCTION(.name = "a", .handler = replies_past_the_limit, .heap_bytes = 128));
    ck_assert_status(faas_invoke(w.rt, fn, faas_str(NULL), 0, &result), FAAS_EHANDLER);
    ck_assert_int_eq(faas_result_code(result), 2);
    ck_assert_bytes(faas_result_bytes(result), "kept");
    ck_assert_str_eq(faas_result_message(result), "the heap has no room for the message");
    faas_result_release(result);
    CLOSE();
}
END_TEST

START_TEST(memory_stays_flat_over_many_calls_that_free_nothing)
{
#ifdef FAASI_SANITIZED
    const unsigned rounds = 2000;
#else
    const unsigned rounds = 5000;
#endif
    struct wants wants = {.size = 65536, .count = 1};
    size_t live;
    unsigned calls;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "a", .handler = allocates, .user = &wants));
    ck_assert_ok(call(fn));
    faas_result_release(result_of(fn, NULL));
    live = atomic_load(&w.faulty.live_bytes);
    calls = atomic_load(&w.faulty.calls);
    for (unsigned i = 0; i < rounds; i++) {
        ck_assert_ok(call(fn));
        faas_result_release(result_of(fn, NULL));
    }
    ck_assert_uint_eq(atomic_load(&w.faulty.live_bytes), live);
    ck_assert_uint_eq(atomic_load(&w.faulty.calls), calls); // nor was it asked for any
    CLOSE();
}
END_TEST

START_TEST(a_bump_of_size_zero_gives_an_address)
{
    struct wants wants = {.size = 0, .count = 3};

    OPEN_DEFAULT();
    ck_assert_ok(call(
        function_of(FAAS_FUNCTION(.name = "a", .handler = allocates, .user = &wants))));
    ck_assert_uint_eq(wants.got, 3);
    CLOSE();
}
END_TEST

/* ---- results ---- */

START_TEST(results_outlive_later_calls)
{
    enum { KEPT = 50 };
    faas_result *kept[KEPT];
    char text[32];
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "echo", .handler = echoes));
    for (int i = 0; i < KEPT; i++) {
        snprintf(text, sizeof text, "output %d", i);
        kept[i] = result_of(fn, text);
        ck_assert_ok(call(fn));
    }
    for (int i = 0; i < KEPT; i++) {
        snprintf(text, sizeof text, "output %d", i);
        ck_assert_bytes(faas_result_bytes(kept[i]), text);
        faas_result_release(kept[i]);
    }
    CLOSE();
}
END_TEST

static void *releases(void *result)
{
    faas_result_release(result);
    return NULL;
}

START_TEST(results_outlive_their_function_and_their_runtime)
{
    faas_result *kept[4];
    pthread_t thread;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "echo", .handler = echoes));
    for (int i = 0; i < 2; i++)
        kept[i] = result_of(fn, "one");
    ck_assert_ok(faas_function_unregister(w.rt, fn));
    fn = function_of(FAAS_FUNCTION(.name = "echo", .handler = echoes));
    kept[2] = result_of(fn, "two");
    fn = function_of(FAAS_FUNCTION(.name = "fails", .handler = replies_past_the_limit,
                                   .heap_bytes = 300));
    ck_assert_status(faas_invoke(w.rt, fn, faas_str(NULL), 0, &kept[3]), FAAS_EHANDLER);
    ck_assert_ok(faas_runtime_close(w.rt));
    faas_clock_close(w.clock);

    ck_assert_bytes(faas_result_bytes(kept[0]), "one");
    ck_assert_bytes(faas_result_bytes(kept[1]), "one");
    ck_assert_bytes(faas_result_bytes(kept[2]), "two");
    ck_assert_int_ne(faas_result_code(kept[3]), 0);
    for (int i = 0; i < 3; i++)
        faas_result_release(kept[i]);
    ck_assert_int_eq(pthread_create(&thread, NULL, releases, kept[3]), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(atomic_load(&w.faulty.live_blocks), 0);
    ck_assert_uint_eq(atomic_load(&w.faulty.live_bytes), 0);
}
END_TEST

enum { RACES = 3000 };

static _Atomic(faas_result *) handed;
static atomic_bool hand_over_ends;

static void *releases_what_is_handed(void *user)
{
    (void)user;
    while (!atomic_load(&hand_over_ends) || atomic_load(&handed) != NULL)
        faas_result_release(atomic_exchange(&handed, NULL));
    return NULL;
}

START_TEST(results_are_released_by_other_threads_while_calls_go_on)
{
    struct wants wants = {.size = 500, .count = 10};
    pthread_t thread;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "a", .handler = allocates, .user = &wants));
    ck_assert_int_eq(pthread_create(&thread, NULL, releases_what_is_handed, NULL), 0);
    for (int i = 0; i < RACES; i++) {
        faas_result_release(atomic_exchange(&handed, result_of(fn, NULL)));
        ck_assert(!wants.dirty);
    }
    atomic_store(&hand_over_ends, true);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    CLOSE();
}
END_TEST

START_TEST(the_memory_of_a_released_result_is_used_again)
{
    faas_result *result;
    const void *data;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "echo", .handler = echoes));
    result = result_of(fn, "secret");
    data = faas_result_bytes(result).data;
    faas_result_release(result);
    result = result_of(fn, "again!");
    ck_assert_ptr_eq(faas_result_bytes(result).data, data);
    faas_result_release(result);
    CLOSE();
}
END_TEST

/* ---- on the machine's clock ---- */

START_TEST(the_machines_clock_serves_as_well)
{
    struct seen seen = {.calls = 0};
    uint64_t before, after;
    faas_runtime *rt;
    faas_result *result;
    faas_fn fn;

    ck_assert_ok(faas_runtime_open(&rt, NULL));
    ck_assert_ok(faas_function_register(
        rt, FAAS_FUNCTION(.name = "look", .handler = looks, .user = &seen), &fn));
    for (int i = 0; i < 3; i++) {
        before = faas_runtime_now(rt);
        ck_assert_ok(faas_invoke(rt, fn, faas_str(NULL), 0, &result));
        after = faas_runtime_now(rt);
        ck_assert_uint_ge(seen.deadline_ns + MS, before + 60 * SEC);
        ck_assert_uint_le(seen.deadline_ns, after + 60 * SEC + MS);
        ck_assert_uint_le(faas_result_meter(result)->run_ns, after - before + MS);
        faas_result_release(result);
        ck_assert_status(faas_invoke_with(rt, fn, faas_str(NULL),
                                          FAAS_CALL(.deadline_ns = before), NULL),
                         FAAS_EEXPIRED);
    }
    ck_assert_ok(faas_runtime_close(rt));
}
END_TEST

/* It is a place in a table of queues where calls wait for a batch. */
START_TEST(a_priority_that_is_none_is_refused)
{
    static const int none[] = {-1, FAAS_PRIORITY_LOW + 1, INT32_MAX, INT32_MIN};
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "a", .handler = answers));
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        ck_assert_status(faas_invoke_with(w.rt, fn, faas_str(NULL),
                                          FAAS_CALL(.priority = (faas_priority)none[i]),
                                          NULL),
                         FAAS_EINVAL);
    ck_assert_ok(faas_invoke_with(w.rt, fn, faas_str(NULL),
                                  FAAS_CALL(.priority = FAAS_PRIORITY_LOW), NULL));
    ck_assert_uint_eq(stats_of(fn).invocations, 1);
    CLOSE();
}
END_TEST

SUITE_MAIN(
    "invoke", a_priority_that_is_none_is_refused,
    a_handler_gets_the_input_and_its_reply_comes_back,
    what_the_handler_does_decides_the_status_and_what_comes_with_it,
    the_last_reply_counts, a_call_that_does_not_run_gives_no_result,
    refusals_and_failures_of_handlers_leave_the_error_text_alone,
    a_refused_call_is_told_when_to_come_back, a_plain_call_has_a_context_of_defaults,
    options_reach_the_context, options_that_are_wrong_are_refused,
    the_soonest_of_all_limits_is_the_deadline,
    without_time_left_the_handler_does_not_start, a_cold_start_uses_up_the_calls_time,
    a_handler_is_told_that_its_time_is_up, a_nested_call_inherits_the_time_that_is_left,
    a_nested_call_is_refused_when_no_time_is_left,
    time_is_inherited_from_runtime_to_runtime_whatever_their_clocks,
    a_nested_call_passes_the_trace_on_and_nothing_else,
    calls_nest_as_deep_as_the_runtime_says, a_nested_call_counts_against_the_same_limits,
    a_dry_run_says_what_would_be_and_runs_nothing,
    a_dry_run_that_is_refused_says_when_to_come_back, no_two_invocations_have_the_same_id,
    a_seed_makes_ids_repeatable, an_id_is_written_as_a_uuid_is,
    the_meter_tells_what_the_call_took, a_report_line_is_written_for_every_call_that_ran,
    the_longest_name_fits_the_report_line, the_log_has_what_a_replay_needs_of_each_call,
    the_longest_name_fits_the_log, every_call_starts_with_zeroed_memory,
    past_its_limit_the_heap_gives_nothing_and_the_runtime_goes_on,
    the_default_limit_is_the_configured_memory,
    a_reply_past_the_limit_fails_and_leaves_the_one_before,
    memory_stays_flat_over_many_calls_that_free_nothing,
    a_bump_of_size_zero_gives_an_address, results_outlive_later_calls,
    results_outlive_their_function_and_their_runtime,
    results_are_released_by_other_threads_while_calls_go_on,
    the_memory_of_a_released_result_is_used_again, the_machines_clock_serves_as_well)
