/* SPDX-License-Identifier: MIT */
/* order.c - asynchronous work in order: what belongs to one group runs one after the other,
 * also when one of it fails and is retried; other groups do not wait for that; tenants take
 * turns; and what is submitted twice with one key runs once. On a virtual clock. */
#include <faas/faas.h>

#include <stdio.h>
#include <stdlib.h>

#define SECOND_NS UINT64_C(1000000000)

static char story[256]; /* what ran, in its order */

static void check(faas_status status, const char *what)
{
    if (status == FAAS_OK)
        return;
    fprintf(stderr, "order: %s: %s: %s\n", what, faas_status_text(status),
            faas_error_text());
    exit(1);
}

/* Prints what ran since it was called last, and compares. */
static void expect_story(const char *what, const char *expected)
{
    printf("%s:%s\n", what, story);
    if (strcmp(story, expected) != 0) {
        fprintf(stderr, "order: expected%s\n", expected);
        exit(1);
    }
    story[0] = '\0';
}

/* Writes an entry of an account. "pay" fails at its first attempt. */
static int book(faas_context *ctx, faas_bytes input)
{
    size_t used = strlen(story);
    bool fails =
        input.size > 5 && memcmp(input.data, "a:pay", 5) == 0 && faas_attempt(ctx) == 1;

    (void)snprintf(story + used, sizeof story - used, " %.*s%s", (int)input.size,
                   (const char *)input.data, fails ? "(failed)" : "");
    return fails ? faas_fail(ctx, 503, "the ledger is locked") : 0;
}

static void submit(faas_runtime *rt, faas_fn fn, const char *text,
                   const faas_submit_options *options)
{
    check(faas_invoke_async(rt, fn, faas_str(text), options, NULL), text);
}

static void run(faas_runtime *rt)
{
    check(faas_run_until(rt, faas_runtime_now(rt) + 60 * SECOND_NS, NULL), "a minute");
}

int main(void)
{
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;
    faas_runtime *rt;
    faas_fn fn;

    check(faas_clock_open_virtual(0, NULL, &options.clock), "clock");
    check(faas_runtime_open(&rt, &options), "runtime");
    check(faas_function_register(rt,
                                 FAAS_FUNCTION(.name = "book", .handler = book,
                                               .concurrency = 1,
                                               .async = FAAS_ASYNC(.retries = 3)),
                                 &fn),
          "book");

    /* The account a waits for its own failed entry, the account b does not. */
    submit(rt, fn, "a:pay 5", FAAS_SUBMIT(.group = faas_str("a")));
    submit(rt, fn, "a:close", FAAS_SUBMIT(.group = faas_str("a")));
    submit(rt, fn, "b:pay 7", FAAS_SUBMIT(.group = faas_str("b")));
    submit(rt, fn, "b:close", FAAS_SUBMIT(.group = faas_str("b")));
    run(rt);
    expect_story("groups", " a:pay 5(failed) b:pay 7 b:close a:pay 5 a:close");

    /* One who submits much does not keep away one who submits little. */
    for (int i = 0; i < 4; i++)
        submit(rt, fn, "much", FAAS_SUBMIT(.tenant = faas_str("much")));
    submit(rt, fn, "little", FAAS_SUBMIT(.tenant = faas_str("little")));
    run(rt);
    expect_story("tenants", " much little much much much");

    /* The same order twice, because somebody pressed the button again. */
    submit(rt, fn, "order 17", FAAS_SUBMIT(.key = faas_str("order 17")));
    submit(rt, fn, "order 17", FAAS_SUBMIT(.key = faas_str("order 17")));
    submit(rt, fn, "order 18", FAAS_SUBMIT(.key = faas_str("order 18")));
    run(rt);
    expect_story("keys", " order 17 order 18");

    check(faas_runtime_close(rt), "close");
    faas_clock_close(options.clock);
    return 0;
}
