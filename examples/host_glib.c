/* SPDX-License-Identifier: MIT */
/* A host with a loop of its own, by GLib, and no thread of ours: host_poll.c, which
 * says what happens, with another loop. */
#include <faas/faas.h>

#include <glib-unix.h>
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

struct host {
    faas_runtime *rt;
    faas_fn fn;
    GMainLoop *loop;
};

static gboolean on_work(gint fd, GIOCondition condition, gpointer user)
{
    struct host *host = user;

    (void)fd;
    (void)condition;
    (void)faas_run_once(host->rt, BUDGET_NS, NULL);
    if (shipped == ORDERS)
        g_main_loop_quit(host->loop);
    return G_SOURCE_CONTINUE;
}

static gboolean on_order(gint fd, GIOCondition condition, gpointer user)
{
    struct host *host = user;

    (void)condition;
    order_take(fd, host->rt, host->fn);
    return G_SOURCE_CONTINUE;
}

int main(void)
{
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;
    struct host host;
    int orders[2], fd;

    options.worker_max = FAAS_OFF; // the host runs everything
    options.housekeeping = FAAS_HOUSEKEEPING_HOST;
    must(faas_runtime_open(&host.rt, &options));
    must(
        faas_function_register(host.rt,
                               FAAS_FUNCTION(.name = "ship", .handler = ship,
                                             .async = FAAS_ASYNC(.backoff_ns = 20000000)),
                               &host.fn));
    must(faas_poll_fd(host.rt, &fd));
    if (pipe(orders) != 0 || write(orders[1], "123", ORDERS) != ORDERS)
        return 1;
    host.loop = g_main_loop_new(NULL, FALSE);
    (void)g_unix_fd_add(fd, G_IO_IN, on_work, &host);
    (void)g_unix_fd_add(orders[0], G_IO_IN, on_order, &host);
    g_main_loop_run(host.loop);
    g_main_loop_unref(host.loop);
    must(faas_runtime_close(host.rt));
    return shipped == ORDERS ? 0 : 1;
}
