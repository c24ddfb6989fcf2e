/* SPDX-License-Identifier: MIT */
/* A host with a loop of its own, by poll(2), and no thread of ours.
 *
 * Orders come in by a pipe. For each the host submits an invocation and goes on; the
 * runtime's descriptor is readable when there is something to do, and faas_run_once() does
 * it between the host's own events. Shipping fails at first and is retried: that its time
 * has come also makes the descriptor readable. host_uv.c and host_glib.c are the same. */
#include <faas/faas.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ORDERS = 3 };

/* No handler begins when the loop has been kept for so long. */
#define BUDGET_NS 1000000u

static unsigned shipped;

static void must(faas_status status)
{
    if (status == FAAS_OK)
        return;
    fprintf(stderr, "%s: %s\n", faas_status_name(status), faas_error_text());
    exit(1);
}

static int ship(faas_context *ctx, faas_bytes input)
{
    if (faas_attempt(ctx) == 1)
        return faas_fail(ctx, 503, "the carrier is busy");
    printf("shipped order %.*s at attempt %u\n", (int)input.size,
           (const char *)input.data, faas_attempt(ctx));
    return 0;
}

static void on_ended(const faas_record *record, void *user)
{
    (void)user;
    shipped += record->condition == FAAS_SUCCESS;
}

/* Reads an order from the pipe, and has it shipped. */
static void order_take(int pipe, faas_runtime *rt, faas_fn fn)
{
    char order;

    if (read(pipe, &order, 1) == 1)
        must(faas_invoke_async(rt, fn, faas_bytes_of(&order, 1),
                               FAAS_SUBMIT(.ended = on_ended), NULL));
}

int main(void)
{
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;
    struct pollfd fds[2] = {{.events = POLLIN}, {.events = POLLIN}};
    faas_runtime *rt;
    int orders[2];
    faas_fn fn;

    options.worker_max = FAAS_OFF; // the host runs everything
    options.housekeeping = FAAS_HOUSEKEEPING_HOST;
    must(faas_runtime_open(&rt, &options));
    must(
        faas_function_register(rt,
                               FAAS_FUNCTION(.name = "ship", .handler = ship,
                                             .async = FAAS_ASYNC(.backoff_ns = 20000000)),
                               &fn));
    must(faas_poll_fd(rt, &fds[0].fd));
    if (pipe(orders) != 0 || write(orders[1], "123", ORDERS) != ORDERS)
        return 1;
    fds[1].fd = orders[0];
    while (shipped < ORDERS) {
        if (poll(fds, 2, -1) < 0)
            return 1;
        if ((fds[1].revents & POLLIN) != 0)
            order_take(orders[0], rt, fn);
        if ((fds[0].revents & POLLIN) != 0)
            (void)faas_run_once(rt, BUDGET_NS, NULL);
    }
    must(faas_runtime_close(rt));
    return 0;
}
