/* SPDX-License-Identifier: MIT */
/* retries.c - what becomes of work that fails: it is retried with growing pauses, given up,
 * kept as a dead letter, and sent again when the fault is mended. On a virtual clock, so
 * that twenty minutes pass in no time. */
#include <faas/faas.h>

#include <stdio.h>
#include <stdlib.h>

#define SECOND_NS UINT64_C(1000000000)
#define MINUTE_NS (60 * SECOND_NS)

/* A payment service: down until an instant, and it does not know one of the cards. */
struct service {
    uint64_t up_ns;
    bool knows_card;
    faas_clock *clock;
};

static void check(faas_status status, const char *what)
{
    if (status == FAAS_OK)
        return;
    fprintf(stderr, "retries: %s: %s: %s\n", what, faas_status_text(status),
            faas_error_text());
    exit(1);
}

static void expect(bool so, const char *what)
{
    if (so)
        return;
    fprintf(stderr, "retries: %s is not so\n", what);
    exit(1);
}

/* It may run more than once for one order: the service must know by the order's number
 * what it has charged already. */
static int charge(faas_context *ctx, faas_bytes input)
{
    struct service *service = faas_user(ctx);
    uint64_t now = faas_clock_now(service->clock);
    int status = 0;

    if (now < service->up_ns)
        status = faas_fail(ctx, 503, "the service is down");
    else if (!service->knows_card && memcmp(input.data, "18", 2) == 0)
        status = faas_fail(ctx, 402, "the card is unknown");
    printf("  %4.0f s  %.*s, attempt %u: %s\n", (double)now / 1e9, (int)input.size,
           (const char *)input.data, faas_attempt(ctx), status == 0 ? "charged" : "no");
    return status;
}

/* Is told of each order's end. */
static void ended(const faas_record *record, void *user)
{
    unsigned *charged = user;

    printf("  %4.0f s  %.*s ended: %s after %u attempts\n",
           (double)record->ended_ns / 1e9, (int)record->request.size,
           (const char *)record->request.data, faas_condition_name(record->condition),
           record->attempts);
    *charged += record->condition == FAAS_SUCCESS;
}

static int print_letter(const faas_record *record, void *user)
{
    (void)user;
    printf("  dead letter: %.*s, code %d: %s\n", (int)record->request.size,
           (const char *)record->request.data, record->code, record->error);
    return 0;
}

int main(void)
{
    struct service service = {.up_ns = 30 * SECOND_NS};
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;
    unsigned charged = 0;
    uint64_t count;
    faas_runtime *rt;
    faas_fn fn, where_from = {0, 0, 0};

    check(faas_clock_open_virtual(0, NULL, &service.clock), "clock");
    options.clock = service.clock;
    check(faas_runtime_open(&rt, &options), "runtime");

    /* Five attempts, 10, 20, 40 and 80 s apart, and an hour at most in all. */
    check(
        faas_function_register(
            rt,
            FAAS_FUNCTION(.name = "charge", .handler = charge, .user = &service,
                          .async = FAAS_ASYNC(.retries = 4, .backoff_ns = 10 * SECOND_NS,
                                              .jitter = FAAS_JITTER_NONE,
                                              .age_ns = 60 * MINUTE_NS)),
            &fn),
        "charge");
    check(faas_invoke_async(rt, fn, faas_str("17"),
                            FAAS_SUBMIT(.ended = ended, .ended_user = &charged), NULL),
          "submit");
    check(faas_invoke_async(rt, fn, faas_str("18"),
                            FAAS_SUBMIT(.ended = ended, .ended_user = &charged), NULL),
          "submit");
    printf("The service is down for 30 s\n");
    check(faas_run_until(rt, 10 * MINUTE_NS, NULL), "ten minutes");
    expect(charged == 1, "one of two is charged");

    printf("What was given up is kept, and sent again once the fault is mended\n");
    check(faas_letters_list(rt, FAAS_LETTERS(.fn = fn), print_letter, NULL, &count),
          "letters");
    expect(count == 1, "one letter");
    service.knows_card = true;
    check(faas_letters_redrive(rt, FAAS_LETTERS(.fn = fn), where_from, &count),
          "redrive");
    check(faas_run_until(rt, 20 * MINUTE_NS, NULL), "ten minutes more");
    check(faas_letters_list(rt, NULL, NULL, NULL, &count), "letters");
    expect(count == 0, "no letter is left");

    check(faas_runtime_close(rt), "close");
    faas_clock_close(service.clock);
    return 0;
}
