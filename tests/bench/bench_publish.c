/* SPDX-License-Identifier: MIT */
/* bench_publish.c - publishing an event to 1, 8 and 64 targets of its exact type; beside
 * GLib and Boost.Signals2 with as many handlers, which get an int, a double and a pointer
 * and have no limits, deadline or meter. */
#include "bench.h"

#include "peer_glib.h"
#include "peer_signals2.h"

#include <stdio.h>

enum { SIZES = 3 };

static const unsigned sizes[SIZES] = {1, 8, 64};

static faas_runtime *rt;

static int nothing(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    (void)input;
    return 0;
}

/* An event, and how many must get it. */
struct publication {
    faas_event *event;
    uint32_t targets;
};

static void publish(void *user, uint64_t count)
{
    const struct publication *p = user;
    faas_delivery delivery;

    for (uint64_t i = 0; i < count; i++) {
        bench_check(faas_publish(rt, p->event, &delivery), "publish");
        if (delivery.ran != p->targets)
            bench_check(FAAS_EBUSY, "a target did not run");
    }
}

static faas_fn add_function(const char *type, unsigned number)
{
    char name[64];
    faas_fn fn;

    (void)snprintf(name, sizeof name, "%s-%u", type, number);
    bench_check(
        faas_function_register(rt,
                               FAAS_FUNCTION(.name = name, .handler = nothing,
                                             .concurrency = 8, .timeout_ns = 60000000000),
                               &fn),
        name);
    return fn;
}

/* Adds targets for a type of their own: `functions` of them, that share the
 * subscriptions. */
static struct publication publication_open(const char *type, unsigned functions,
                                           unsigned targets)
{
    struct publication p = {NULL, targets};
    faas_fn fns[64];

    for (unsigned i = 0; i < functions; i++)
        fns[i] = add_function(type, i);
    for (unsigned i = 0; i < targets; i++)
        bench_check(faas_subscribe(rt, fns[i % functions], FAAS_ON(.type = type), NULL),
                    type);
    bench_check(faas_event_create(FAAS_EVENT(.id = "1", .source = "/bench", .type = type,
                                             .data = faas_str("{\"total\":129.5}")),
                                  &p.event),
                type);
    return p;
}

/* Adds a subject for each size, and what each target more costs. */
static void subjects(const char *what, bench_body *body, void *users[SIZES],
                     bench_figure figures[SIZES])
{
    static char texts[64][80];
    static unsigned used;

    for (unsigned i = 0; i < SIZES; i++) {
        (void)snprintf(texts[used], sizeof *texts, what, sizes[i]);
        figures[i] = bench_time(texts[used++], body, users[i]);
    }
    (void)snprintf(texts[used], sizeof *texts, what, sizes[SIZES - 1]);
    (void)strncat(texts[used], ": each more", sizeof *texts - strlen(texts[used]) - 1);
    (void)bench_difference(texts[used++], figures[SIZES - 1], figures[0],
                           sizes[SIZES - 1] - sizes[0]);
}

int main(int argc, char **argv)
{
    static struct publication many[SIZES], one[SIZES];
    static const char *const many_types[SIZES] = {"many.1", "many.8", "many.64"};
    static const char *const one_types[SIZES] = {"one.1", "one.8", "one.64"};
    void *many_users[SIZES], *one_users[SIZES], *signals[SIZES], *slots[SIZES];
    bench_figure figures[SIZES], same[SIZES], glib[SIZES], boost[SIZES];

    bench_open(argc, argv, "publish");
    bench_check(faas_runtime_open(&rt, NULL), "open");
    for (unsigned i = 0; i < SIZES; i++) {
        many[i] = publication_open(many_types[i], sizes[i], sizes[i]);
        one[i] = publication_open(one_types[i], 1, sizes[i]);
        many_users[i] = &many[i];
        one_users[i] = &one[i];
        signals[i] = peer_glib_open(sizes[i]);
        slots[i] = peer_signals2_open(sizes[i]);
    }
    subjects("publish to %u functions", publish, many_users, figures);
    subjects("publish to one function, %u subscriptions", publish, one_users, same);
    subjects("g_signal_emit, %u handlers", peer_glib_emit, signals, glib);
    subjects("Boost.Signals2, %u slots", peer_signals2_emit, slots, boost);
    for (unsigned i = 0; i < SIZES; i++) {
        static char texts[2 * SIZES][80];

        bench_target(figures[i], 40 + 30 * sizes[i]);
        bench_target(same[i], 40 + 30 * sizes[i]);
        (void)snprintf(texts[2 * i], sizeof *texts, "publish / g_signal_emit, %u targets",
                       sizes[i]);
        (void)bench_ratio(texts[2 * i], figures[i], glib[i]);
        (void)snprintf(texts[2 * i + 1], sizeof *texts,
                       "publish / Boost.Signals2, %u targets", sizes[i]);
        (void)bench_ratio(texts[2 * i + 1], figures[i], boost[i]);
    }
    bench_run();
    for (unsigned i = 0; i < SIZES; i++) {
        faas_event_release(many[i].event);
        faas_event_release(one[i].event);
    }
    (void)faas_runtime_close(rt);
    return bench_close();
}
