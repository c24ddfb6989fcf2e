/* SPDX-License-Identifier: MIT */
/* instances.c - the life of an instance: a cold start, warm calls, an idle time, the end.
 * On a virtual clock, so that ten minutes pass when the program says so. */
#include <faas/faas.h>

#include <stdio.h>
#include <stdlib.h>

#define MINUTE_NS UINT64_C(60000000000)

/* What init makes: a connection, a model, a table. Here it is a counter. */
struct counter {
    int number; /* of the instance, from 1 */
    int calls;
};

/* How often the hooks ran. */
struct lives {
    int begun, ended;
};

static void check(faas_status status, const char *what)
{
    if (status == FAAS_OK)
        return;
    fprintf(stderr, "instances: %s: %s: %s\n", what, faas_status_text(status),
            faas_error_text());
    exit(1);
}

static void expect(bool so, const char *what)
{
    if (so)
        return;
    fprintf(stderr, "instances: %s is not so\n", what);
    exit(1);
}

static int counter_init(faas_context *ctx, void **state)
{
    struct lives *lives = faas_user(ctx);
    struct counter *counter = faas_instance_alloc(ctx, sizeof *counter);

    if (counter == NULL)
        return faas_fail(ctx, 1, "no memory");
    counter->number = ++lives->begun;
    printf("  init: instance %d\n", counter->number);
    *state = counter; // its memory is the instance's, and goes with it
    return 0;
}

static int counter_handle(faas_context *ctx, faas_bytes input)
{
    struct counter *counter = faas_state(ctx);

    (void)input;
    return faas_reply_printf(ctx, "call %d in instance %d", ++counter->calls,
                             counter->number);
}

static void counter_close(void *state, void *user)
{
    struct counter *counter = state;
    struct lives *lives = user;

    lives->ended++;
    printf("  close: instance %d, after %d calls\n", counter->number, counter->calls);
}

/* Calls it, and expects this answer. */
static void call(faas_runtime *rt, faas_fn fn, const char *answer)
{
    faas_result *out;
    faas_bytes text;

    check(faas_invoke(rt, fn, faas_str("go"), 0, &out), "invoke");
    text = faas_result_bytes(out);
    printf("  %.*s, %s\n", (int)text.size, (const char *)text.data,
           faas_result_meter(out)->cold ? "cold" : "warm");
    expect(text.size == strlen(answer) && memcmp(text.data, answer, text.size) == 0,
           answer);
    faas_result_release(out);
}

int main(void)
{
    struct lives lives = {0, 0};
    const faas_function *counter =
        FAAS_FUNCTION(.name = "counter", .handler = counter_handle, .init = counter_init,
                      .close = counter_close, .idle_ns = 10 * MINUTE_NS, .user = &lives);
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;
    faas_function_stats stats = {.size = sizeof stats};
    faas_runtime *rt;
    faas_fn fn;
    uint64_t next_ns;

    check(faas_clock_open_virtual(0, NULL, &options.clock), "clock");
    check(faas_runtime_open(&rt, &options), "runtime");
    check(faas_function_register(rt, counter, &fn), "register");

    printf("The first call makes an instance, the next ones find it warm\n");
    call(rt, fn, "call 1 in instance 1");
    call(rt, fn, "call 2 in instance 1");

    printf("Nine minutes later it is still there\n");
    faas_clock_advance(options.clock, 9 * MINUTE_NS);
    faas_runtime_sweep(rt, &next_ns);
    expect(next_ns == 10 * MINUTE_NS, "the next one is due at ten minutes");
    call(rt, fn, "call 3 in instance 1");

    printf("Ten idle minutes later it is closed\n");
    faas_clock_advance(options.clock, 10 * MINUTE_NS);
    faas_runtime_sweep(rt, &next_ns);
    expect(lives.ended == 1, "the instance is closed");
    call(rt, fn, "call 1 in instance 2");

    printf("With two provisioned, they are made ahead, and idle time spares them\n");
    check(faas_function_update(rt, fn, FAAS_FUNCTION(.provisioned = 2)), "update");
    faas_clock_advance(options.clock, 60 * MINUTE_NS);
    faas_runtime_sweep(rt, &next_ns);
    check(faas_function_stats_get(rt, fn, &stats, NULL), "stats");
    printf("  %u instances, an hour later\n", stats.instances);
    expect(stats.instances == 2, "two instances are kept");

    printf("Allowed one more call each, one is closed after it, and replaced ahead\n");
    check(faas_function_update(rt, fn, FAAS_FUNCTION(.invocation_max = 1)), "update");
    call(rt, fn, "call 2 in instance 2");
    faas_runtime_sweep(rt, &next_ns);
    check(faas_function_stats_get(rt, fn, &stats, NULL), "stats");
    expect(stats.instances == 2, "two instances are kept");

    printf("The end\n");
    check(faas_runtime_close(rt), "close");
    faas_clock_close(options.clock);
    expect(lives.begun == lives.ended, "every instance that began has ended");
    return 0;
}
