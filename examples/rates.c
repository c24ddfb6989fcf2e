/* SPDX-License-Identifier: MIT */
/* rates.c - how many calls per second come in: a mail server takes ten a second, and five
 * at once. On a virtual clock, so that the numbers are exact. */
#include <faas/faas.h>

#include <stdio.h>
#include <stdlib.h>

#define MILLISECOND_NS UINT64_C(1000000)

static void check(faas_status status, const char *what)
{
    if (status == FAAS_OK)
        return;
    fprintf(stderr, "rates: %s: %s: %s\n", what, faas_status_text(status),
            faas_error_text());
    exit(1);
}

static void expect(bool so, const char *what)
{
    if (so)
        return;
    fprintf(stderr, "rates: %s is not so\n", what);
    exit(1);
}

static int mail(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    (void)input;
    return 0;
}

/* Calls ten times at one moment; returns how many were let in. */
static int burst(faas_runtime *rt, faas_fn fn, uint64_t *retry_ns)
{
    int sent = 0;

    for (int i = 0; i < 10; i++) {
        faas_status status = faas_invoke(rt, fn, faas_str("hello"), 0, NULL);

        if (status == FAAS_OK)
            sent++;
        else if (status == FAAS_EBUSY)
            *retry_ns = faas_retry_after_ns();
        else
            check(status, "mail");
    }
    return sent;
}

int main(void)
{
    const faas_limiter ten_per_second = {.size = sizeof(faas_limiter),
                                         .kind = FAAS_LIMITER_NONE, // no other limit
                                         .rate = 10,
                                         .burst = 5};
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;
    uint64_t retry_ns = 0;
    faas_runtime *rt;
    faas_fn fn;
    int sent;

    check(faas_clock_open_virtual(0, NULL, &options.clock), "clock");
    check(faas_runtime_open(&rt, &options), "runtime");
    check(faas_function_register(
              rt,
              FAAS_FUNCTION(.name = "mail", .handler = mail, .limiter = &ten_per_second),
              &fn),
          "mail");

    sent = burst(rt, fn, &retry_ns);
    printf("%d of 10 at once; the others may come back in %.0f ms\n", sent,
           (double)retry_ns / 1e6);
    expect(sent == 5, "as many as the burst allows");

    faas_clock_advance(options.clock, 200 * MILLISECOND_NS);
    sent = burst(rt, fn, &retry_ns);
    printf("%d of 10, 200 ms later\n", sent);
    expect(sent == 2, "as many as 200 ms bring");

    faas_clock_advance(options.clock, 1000 * MILLISECOND_NS);
    sent = burst(rt, fn, &retry_ns);
    printf("%d of 10, a second later\n", sent);
    expect(sent == 5, "no more than the burst");

    check(faas_runtime_close(rt), "close");
    faas_clock_close(options.clock);
    return 0;
}
