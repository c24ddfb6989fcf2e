/* SPDX-License-Identifier: MIT */
/* A burst, smoothed by a queue in front of a slow function.
 *
 * A thousand orders come within a second; the function that books them takes 20 ms and
 * may run twice at a time, so it does a hundred a second. Called directly it refuses most
 * of them. With a queue in front all of them are booked, the last one after ten seconds,
 * and meeting the cap costs none of them an attempt. On a virtual clock, so that it takes
 * no time here and always comes out the same. */
#include <faas/faas.h>

#include <stdio.h>
#include <stdlib.h>

enum { ORDERS = 1000 };

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

static faas_clock *the_clock;
static uint64_t busy_until[2], last_booked;

static void must(faas_status status)
{
    if (status == FAAS_OK)
        return;
    fprintf(stderr, "%s: %s\n", faas_status_name(status), faas_error_text());
    exit(1);
}

/* Books an order where it came directly: the two bookings that run at once are two times
 * until which somebody is busy, because this program has one thread. */
static int book(faas_context *ctx, faas_bytes input)
{
    uint64_t now = faas_clock_now(the_clock);
    uint64_t *desk = busy_until[0] <= busy_until[1] ? &busy_until[0] : &busy_until[1];

    (void)input;
    if (*desk > now)
        return faas_fail(ctx, 503, "both desks are busy");
    *desk = now + 20 * MS;
    return 0;
}

/* Books one from the queue: 20 ms for one of two desks are 10 ms for both. */
static int book_in_turn(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    (void)input;
    faas_clock_advance(the_clock, 10 * MS);
    last_booked = faas_clock_now(the_clock);
    return 0;
}

static void directly(faas_runtime *rt)
{
    unsigned booked = 0;
    faas_fn fn;

    must(faas_function_register(rt, FAAS_FUNCTION(.name = "book", .handler = book), &fn));
    for (int i = 0; i < ORDERS; i++) {
        booked += faas_invoke(rt, fn, faas_str("an order"), 0, NULL) == FAAS_OK;
        faas_clock_advance(the_clock, SECOND / ORDERS);
    }
    printf("directly:   %4u of %d orders booked, %u turned away\n", booked, ORDERS,
           ORDERS - booked);
}

static void by_the_queue(faas_runtime *rt)
{
    faas_async_stats stats = {.size = sizeof stats};
    uint64_t begun = faas_clock_now(the_clock), next;
    faas_fn fn, all = {0, 0, 0};

    must(faas_function_register(rt,
                                FAAS_FUNCTION(.name = "book in turn",
                                              .handler = book_in_turn, .concurrency = 1,
                                              .async = FAAS_ASYNC(.queue_slots = ORDERS)),
                                &fn));
    for (int i = 0; i < ORDERS; i++) {
        /* Each comes at its own time, whatever is booked meanwhile. */
        must(faas_invoke_async(
            rt, fn, faas_str("an order"),
            FAAS_SUBMIT(.start_ns = begun + (uint64_t)i * (SECOND / ORDERS)), NULL));
    }
    do
        (void)faas_run_once(rt, SECOND, &next);
    while (next != FAAS_FOREVER &&
           (next <= faas_clock_now(the_clock) ||
            faas_clock_set(the_clock, next) == FAAS_OK) &&
           faas_async_stats_get(rt, all, &stats) == FAAS_OK && stats.queued != 0);
    must(faas_async_stats_get(rt, all, &stats));
    printf("by a queue: %4llu of %d orders booked, %llu retries, the last after %.1f s\n",
           (unsigned long long)stats.succeeded, ORDERS, (unsigned long long)stats.retried,
           (double)(last_booked - begun) / 1e9);
}

int main(void)
{
    faas_runtime *rt;

    must(faas_clock_open_virtual(SECOND, NULL, &the_clock));
    must(faas_runtime_open(&rt,
                           &(faas_runtime_options){.size = sizeof(faas_runtime_options),
                                                   .clock = the_clock}));
    directly(rt);
    by_the_queue(rt);
    must(faas_runtime_close(rt));
    faas_clock_close(the_clock);
    return 0;
}
