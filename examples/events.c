/* SPDX-License-Identifier: MIT */
/* events.c - functions that wait for events: by type, by the beginning of a type, by
 * source. Publishing runs those that asked, and tells what became of it. */
#include <faas/faas.h>

#include <stdio.h>
#include <stdlib.h>

static void check(faas_status status, const char *what)
{
    if (status == FAAS_OK)
        return;
    fprintf(stderr, "events: %s: %s: %s\n", what, faas_status_text(status),
            faas_error_text());
    exit(1);
}

/* The input of a handler is the data of its event; the rest is in the context. */
static int print(faas_context *ctx, faas_bytes input)
{
    const faas_event *event = faas_context_event(ctx);

    printf("  %-8s %s from %s, id %s: %.*s\n", faas_context_name(ctx),
           faas_event_type(event), faas_event_source(event), faas_event_id(event),
           (int)input.size, (const char *)input.data);
    return 0;
}

/* One that fails. The bus counts it and goes on to the next. */
static int fail(faas_context *ctx, faas_bytes input)
{
    (void)input;
    printf("  %-8s fails\n", faas_context_name(ctx));
    return faas_fail(ctx, 1, "out of paper");
}

static void publish(faas_runtime *rt, const char *source, const char *type,
                    const char *id, uint32_t ran, uint32_t failed)
{
    faas_event *event;
    faas_delivery delivery;

    printf("%s from %s\n", type, source);
    check(faas_event_create(FAAS_EVENT(.id = id, .source = source, .type = type,
                                       .time = "2018-04-05T17:31:00Z",
                                       .data = faas_str("{\"total\":129.5}")),
                            &event),
          "event");
    check(faas_publish(rt, event, &delivery), "publish");
    faas_event_release(event);
    printf("  => %u ran, %u failed, %u refused\n", delivery.ran, delivery.failed,
           delivery.refused);
    if (delivery.ran != ran || delivery.failed != failed || delivery.refused != 0) {
        fprintf(stderr, "events: expected %u that run and %u that fail\n", ran, failed);
        exit(1);
    }
}

int main(void)
{
    faas_runtime *rt;
    faas_fn bill, audit, shop, printer;
    faas_event *event;
    faas_status status;
    uint64_t all_orders;

    check(faas_runtime_open(&rt, NULL), "runtime");
    check(faas_function_register(rt, FAAS_FUNCTION(.name = "bill", .handler = print),
                                 &bill),
          "bill");
    check(faas_function_register(rt, FAAS_FUNCTION(.name = "audit", .handler = print),
                                 &audit),
          "audit");
    check(faas_function_register(rt, FAAS_FUNCTION(.name = "shop", .handler = print),
                                 &shop),
          "shop");
    check(faas_function_register(rt, FAAS_FUNCTION(.name = "printer", .handler = fail),
                                 &printer),
          "printer");

    check(faas_subscribe(rt, bill, FAAS_ON(.type = "order.created"), NULL), "bill");
    check(faas_subscribe(rt, audit, FAAS_ON(.type = "order.*"), &all_orders), "audit");
    check(faas_subscribe(rt, shop, FAAS_ON(.source = "/shop"), NULL), "shop");
    check(faas_subscribe(rt, printer, FAAS_ON(.type = "order.created", .source = "/shop"),
                         NULL),
          "printer");

    publish(rt, "/shop", "order.created", "17", 3, 1);
    publish(rt, "/phone", "order.created", "18", 2, 0);
    publish(rt, "/phone", "order.cancelled", "19", 1, 0);
    publish(rt, "/phone", "stock.low", "20", 0, 0);

    check(faas_unsubscribe(rt, all_orders), "unsubscribe");
    printf("without audit: ");
    publish(rt, "/phone", "order.cancelled", "21", 0, 0);

    /* Events are checked once, when they are made. */
    status = faas_event_create(FAAS_EVENT(.id = "22", .source = "/shop",
                                          .type = "order.created", .time = "yesterday"),
                               &event);
    printf("refused: %s\n", faas_error_text());
    check(faas_runtime_close(rt), "close");
    return status == FAAS_EINVAL && event == NULL ? 0 : 1;
}
