/* SPDX-License-Identifier: MIT */
/* A host with a loop of its own, by libuv, and no thread of ours: host_poll.c, which
 * says what happens, with another loop. */
#include <faas/faas.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

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
    int orders[2];
    uv_poll_t work, order;
};

/* Ends the loop when nothing is left to watch. */
static void loop_end(struct host *host)
{
    uv_close((uv_handle_t *)&host->work, NULL);
    uv_close((uv_handle_t *)&host->order, NULL);
}

static void on_work(uv_poll_t *poll, int status, int events)
{
    struct host *host = poll->data;

    (void)status;
    (void)events;
    (void)faas_run_once(host->rt, BUDGET_NS, NULL);
    if (shipped == ORDERS)
        loop_end(host);
}

static void on_order(uv_poll_t *poll, int status, int events)
{
    struct host *host = poll->data;

    (void)status;
    (void)events;
    order_take(host->orders[0], host->rt, host->fn);
}

static int watch(uv_loop_t *loop, uv_poll_t *poll, int fd, uv_poll_cb callback,
                 struct host *host)
{
    poll->data = host;
    return uv_poll_init(loop, poll, fd) == 0 ? uv_poll_start(poll, UV_READABLE, callback)
                                             : -1;
}

int main(void)
{
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;
    struct host host;
    uv_loop_t loop;
    int fd;

    options.worker_max = FAAS_OFF; // the host runs everything
    options.housekeeping = FAAS_HOUSEKEEPING_HOST;
    must(faas_runtime_open(&host.rt, &options));
    must(
        faas_function_register(host.rt,
                               FAAS_FUNCTION(.name = "ship", .handler = ship,
                                             .async = FAAS_ASYNC(.backoff_ns = 20000000)),
                               &host.fn));
    must(faas_poll_fd(host.rt, &fd));
    if (pipe(host.orders) != 0 || write(host.orders[1], "123", ORDERS) != ORDERS ||
        uv_loop_init(&loop) != 0 || watch(&loop, &host.work, fd, on_work, &host) != 0 ||
        watch(&loop, &host.order, host.orders[0], on_order, &host) != 0)
        return 1;
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    must(faas_runtime_close(host.rt));
    return shipped == ORDERS ? 0 : 1;
}
