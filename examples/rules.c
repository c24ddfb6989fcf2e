/* SPDX-License-Identifier: MIT */
/* rules.c - which events go to which function: a rule is put, explained, replaced and
 * deleted while the program runs, and one hands over what it finds in the event instead of
 * the event's data. */
#include <faas/faas.h>

#include <stdio.h>
#include <stdlib.h>

/* What a rule asks for: the type, and a number inside the data. */
#define BIG_ORDER                                                                        \
    "{\"type\": [\"order.created\"],"                                                    \
    " \"data\": {\"total\": [{\"numeric\": [\">\", 100]}]}}"

#define VERY_BIG_ORDER                                                                   \
    "{\"type\": [\"order.created\"],"                                                    \
    " \"data\": {\"total\": [{\"numeric\": [\">\", 1000]}]}}"

/* An order that is paid, or one that nobody pays for. */
#define SETTLED                                                                          \
    "{\"$or\": [{\"type\": [\"order.paid\"]},"                                           \
    "           {\"data\": {\"total\": [0]}}]}"

static void check(faas_status status, const char *what)
{
    if (status == FAAS_OK)
        return;
    fprintf(stderr, "rules: %s: %s: %s\n", what, faas_status_text(status),
            faas_error_text());
    exit(1);
}

static void expect(bool so, const char *what)
{
    if (so)
        return;
    fprintf(stderr, "rules: %s is not so\n", what);
    exit(1);
}

static int print(faas_context *ctx, faas_bytes input)
{
    printf("  %s gets %.*s\n", faas_context_name(ctx), (int)input.size,
           (const char *)input.data);
    return 0;
}

/* Publishes an event, and expects so many functions to get it. */
static void publish(faas_runtime *rt, const char *type, const char *data, uint32_t ran)
{
    faas_delivery delivery;

    printf("%s %s\n", type, data);
    check(faas_publish_json(rt, "shop", type, data, &delivery), "publish");
    expect(delivery.ran == ran, "the number of functions that got it");
}

/* Says why a pattern does not match an event. */
static void explain(const char *pattern, const char *event)
{
    faas_explanation why;

    check(faas_pattern_explain(faas_str(pattern), faas_str(event), NULL, &why),
          "explain");
    printf("  why not: %s\n", why.text);
    expect(why.why == FAAS_WHY_VALUE, "a value is not what was asked for");
}

int main(void)
{
    faas_runtime *rt;
    faas_fn review, ship;

    check(faas_runtime_open(&rt, NULL), "runtime");
    check(faas_function_register(rt, FAAS_FUNCTION(.name = "review", .handler = print),
                                 &review),
          "review");
    check(faas_function_register(rt, FAAS_FUNCTION(.name = "ship", .handler = print),
                                 &ship),
          "ship");

    check(faas_rule_put(rt, "big orders", BIG_ORDER, review), "rule");
    publish(rt, "order.created", "{\"id\": 17, \"total\": 129.5}", 1);
    publish(rt, "order.created", "{\"id\": 18, \"total\": 12}", 0);
    explain(BIG_ORDER, "{\"type\": \"order.created\", \"data\": {\"total\": 12}}");

    /* The rule of the same name is replaced, from the next publish on. */
    check(faas_rule_put(rt, "big orders", VERY_BIG_ORDER, review), "rule");
    publish(rt, "order.created", "{\"id\": 19, \"total\": 129.5}", 0);

    /* The function is handed a text made of values of the event, not the data. */
    check(
        faas_rule_put_with(rt, "settled", SETTLED, ship,
                           &(faas_rule_options){.size = sizeof(faas_rule_options),
                                                .input_paths = "{\"id\": \"$.data.id\"}",
                                                .input_template = "{\"ship\": <id>}"}),
        "rule");
    publish(rt, "order.paid", "{\"id\": 17}", 1);
    publish(rt, "order.created", "{\"id\": 20, \"total\": 0}", 1);

    check(faas_rule_delete(rt, "settled"), "delete");
    publish(rt, "order.paid", "{\"id\": 19}", 0);

    /* A pattern is checked when it is put; the rule that was there stays. */
    expect(faas_rule_put(rt, "big orders", "{\"type\": \"order.created\"}", review) ==
               FAAS_EINVAL,
           "a text where a list must stand is refused");
    printf("refused: %s\n", faas_error_text());
    check(faas_runtime_close(rt), "close");
    return 0;
}
