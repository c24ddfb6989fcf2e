/* SPDX-License-Identifier: MIT */
/* test_bus.c - a published event comes to those who asked for it, in their order. */
#include "runtime_support.h"

/* ---- who gets what ---- */

/* Writes down who ran: one letter each, of `user`. */
static char journal[256];

static int journals(faas_context *ctx, faas_bytes input)
{
    size_t end = strlen(journal);

    (void)input;
    ck_assert_uint_lt(end + 1, sizeof journal);
    journal[end] = *(const char *)faas_user(ctx);
    journal[end + 1] = '\0';
    return 0;
}

static faas_fn journalist(const char *letter)
{
    return function_of(FAAS_FUNCTION(.name = letter, .handler = journals,
                                     .user = (void *)(uintptr_t)letter));
}

static faas_event *event_of(const char *source, const char *type)
{
    faas_event *event;

    ck_assert_ok(
        faas_event_create(FAAS_EVENT(.id = "1", .source = source, .type = type,
                                     .data = faas_str("[1]"), .allocator = &w.alloc),
                          &event));
    return event;
}

/* Publishes, and says who ran. */
static const char *published(const char *source, const char *type)
{
    faas_event *event = event_of(source, type);
    faas_delivery d;

    journal[0] = '\0';
    ck_assert_ok(faas_publish(w.rt, event, &d));
    ck_assert_uint_eq(d.ran, strlen(journal));
    ck_assert_uint_eq(d.matched, d.ran);
    ck_assert_uint_eq(d.refused + d.failed, 0);
    faas_event_release(event);
    return journal;
}

static uint64_t subscribed(faas_fn fn, const faas_subscription *on)
{
    uint64_t id;

    ck_assert_ok(faas_subscribe(w.rt, fn, on, &id));
    ck_assert_uint_ne(id, 0);
    return id;
}

START_TEST(a_subscription_gets_what_it_asked_for_and_no_more)
{
    static const struct {
        const char *on_type, *on_source, *type, *source;
        bool wanted;
    } rows[] = {
        {"order.created", NULL, "order.created", "/s", true},
        {"order.created", NULL, "order.created.late", "/s", false},
        {"order.created", NULL, "order.create", "/s", false},
        {"order.created", NULL, "Order.created", "/s", false},
        {"order.*", NULL, "order.created", "/s", true},
        {"order.*", NULL, "order.a.b.c", "/s", true},
        {"order.*", NULL, "order.", "/s", true},
        {"order.*", NULL, "order", "/s", false},
        {"order.*", NULL, "orders.created", "/s", false},
        {"order.*", NULL, "order.*", "/s", true},
        {"order*", NULL, "order.created", "/s", false}, // the star stands after a dot
        {"order*", NULL, "order*", "/s", true},
        {"order.*.x", NULL, "order.a.x", "/s", false},
        {".*", NULL, ".a", "/s", true},
        {".*", NULL, "a", "/s", false},
        {"*", NULL, "anything", "/s", true},
        {NULL, NULL, "anything", "/s", true},
        {NULL, "/shop", "t", "/shop", true},
        {NULL, "/shop", "t", "/shop/1", false},
        {NULL, "/shop", "t", "/sho", false},
        {"t", "/shop", "t", "/shop", true},
        {"t", "/shop", "u", "/shop", false},
        {"t", "/shop", "t", "/other", false},
        {"a.*", "/shop", "a.b", "/shop", true},
        {"a.*", "/shop", "a.b", "/other", false},
        {"*", "/shop", "x", "/shop", true},
    };

    OPEN_DEFAULT();
    {
        faas_fn fn = journalist("a");

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            uint64_t id = subscribed(
                fn, FAAS_ON(.type = rows[i].on_type, .source = rows[i].on_source));
            const char *ran = published(rows[i].source, rows[i].type);

            ck_assert_msg((strcmp(ran, "a") == 0) == rows[i].wanted, "row %zu: \"%s\"", i,
                          ran);
            ck_assert_ok(faas_unsubscribe(w.rt, id));
            ck_assert_str_eq(published(rows[i].source, rows[i].type), "");
        }
        ck_assert_ok(faas_subscribe(w.rt, fn, NULL, NULL));
        ck_assert_str_eq(published("/x", "y"), "a");
    }
    CLOSE();
}
END_TEST

START_TEST(targets_run_in_the_order_of_subscription)
{
    uint64_t id;
    faas_fn b;

    OPEN_DEFAULT();
    (void)subscribed(journalist("a"), FAAS_ON(.type = "*"));
    b = journalist("b");
    id = subscribed(b, FAAS_ON(.type = "t.u"));
    (void)subscribed(journalist("c"), FAAS_ON(.type = "t.*"));
    (void)subscribed(journalist("d"), FAAS_ON(.type = "t.u", .source = "/s"));
    (void)subscribed(journalist("e"), FAAS_ON(.source = "/s"));
    (void)subscribed(journalist("f"), FAAS_ON(.type = "t.v"));
    (void)subscribed(journalist("g"), FAAS_ON(.type = "t.u"));
    (void)subscribed(journalist("h"), NULL);
    (void)subscribed(journalist("i"), FAAS_ON(.type = "t.*", .source = "/o"));
    ck_assert_str_eq(published("/s", "t.u"), "abcdegh");
    ck_assert_str_eq(published("/o", "t.u"), "abcghi");
    ck_assert_str_eq(published("/o", "t.v"), "acfhi");
    ck_assert_str_eq(published("/s", "x"), "aeh");
    /* Who comes again comes last. */
    ck_assert_ok(faas_unsubscribe(w.rt, id));
    (void)subscribed(b, FAAS_ON(.type = "t.u"));
    ck_assert_str_eq(published("/o", "t.u"), "acghib");
    CLOSE();
}
END_TEST

START_TEST(a_function_gets_an_event_as_often_as_it_matches)
{
    uint64_t ids[4];
    faas_fn fn;

    OPEN_DEFAULT();
    fn = journalist("a");
    ids[0] = subscribed(fn, FAAS_ON(.type = "t.u"));
    ids[1] = subscribed(fn, FAAS_ON(.type = "t.u"));
    ids[2] = subscribed(fn, FAAS_ON(.type = "t.*"));
    ids[3] = subscribed(fn, NULL);
    ck_assert_str_eq(published("/s", "t.u"), "aaaa");
    ck_assert_str_eq(published("/s", "t.v"), "aa");
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++)
            ck_assert(ids[i] != ids[k]);
    ck_assert_ok(faas_unsubscribe(w.rt, ids[1]));
    ck_assert_str_eq(published("/s", "t.u"), "aaa");
    CLOSE();
}
END_TEST

START_TEST(many_types_do_not_get_into_each_others_way)
{
    enum { TYPES = 200 };
    char type[24], want[8];

    OPEN_DEFAULT();
    {
        faas_fn a = journalist("a"), b = journalist("b"), c = journalist("c");

        for (int round = 0; round < 3; round++)
            for (int i = 0; i < TYPES; i++) {
                snprintf(type, sizeof type, "type.%d", i);
                if (i % (round + 1) == 0)
                    (void)subscribed(round == 0   ? a
                                     : round == 1 ? b
                                                  : c,
                                     FAAS_ON(.type = type));
            }
    }
    for (int i = 0; i < TYPES; i++) {
        snprintf(type, sizeof type, "type.%d", i);
        snprintf(want, sizeof want, "a%s%s", i % 2 == 0 ? "b" : "",
                 i % 3 == 0 ? "c" : "");
        ck_assert_str_eq(published("/s", type), want);
    }
    CLOSE();
}
END_TEST

START_TEST(what_is_no_subscription_is_refused)
{
    static char long_text[65538];
    struct {
        faas_subscription known;
        uint64_t newer;
    } future = {{.size = sizeof future}, 1};
    faas_subscription unset = {.size = 0};
    uint64_t id = 7;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = journalist("a");
    memset(long_text, 't', sizeof long_text - 1);
    ck_assert_status(faas_subscribe(w.rt, fn, FAAS_ON(.type = ""), &id), FAAS_EINVAL);
    ck_assert_uint_eq(id, 0);
    ck_assert_status(faas_subscribe(w.rt, fn, FAAS_ON(.source = ""), &id), FAAS_EINVAL);
    ck_assert_str_eq(faas_error_text(), "subscription.source: it is empty");
    ck_assert_status(faas_subscribe(w.rt, fn, FAAS_ON(.type = "\xff"), &id), FAAS_EINVAL);
    ck_assert_status(faas_subscribe(w.rt, fn, FAAS_ON(.type = long_text), &id),
                     FAAS_EINVAL);
    ck_assert_status(faas_subscribe(w.rt, fn, FAAS_ON(.source = long_text), &id),
                     FAAS_EINVAL);
    ck_assert_status(faas_subscribe(w.rt, fn, &unset, &id), FAAS_EINVAL);
    ck_assert_status(faas_subscribe(w.rt, fn, &future.known, &id), FAAS_EVERSION);
    ck_assert_str_eq(published("/s", "t"), "");
    long_text[65536] = '\0';
    ck_assert_ok(faas_subscribe(w.rt, fn, FAAS_ON(.type = long_text), &id));
    ck_assert_str_eq(published("/s", long_text), "a");
    CLOSE();
}
END_TEST

START_TEST(a_subscription_ends_once)
{
    uint64_t id, other;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = journalist("a");
    ck_assert_status(faas_unsubscribe(w.rt, 1), FAAS_ENOENT);
    id = subscribed(fn, FAAS_ON(.type = "t"));
    ck_assert_status(faas_unsubscribe(w.rt, 0), FAAS_ENOENT);
    ck_assert_status(faas_unsubscribe(w.rt, id + 1), FAAS_ENOENT);
    ck_assert_ok(faas_unsubscribe(w.rt, id));
    ck_assert_status(faas_unsubscribe(w.rt, id), FAAS_ENOENT);
    other = subscribed(fn, FAAS_ON(.type = "t"));
    ck_assert(other != id); // ids are not used again
    ck_assert_status(faas_unsubscribe(w.rt, id), FAAS_ENOENT);
    ck_assert_str_eq(published("/s", "t"), "a");
    CLOSE();
}
END_TEST

START_TEST(what_could_not_be_cleared_without_memory_is_cleared_by_the_next_change)
{
    size_t live = 0;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = journalist("a");
    for (int i = 0; i < 50; i++) {
        uint64_t id = subscribed(fn, FAAS_ON(.type = "t"));

        w.faulty.from_then_on = true;
        w.faulty.fail_at = 1;
        ck_assert_ok(faas_unsubscribe(w.rt, id));
        ck_assert_status(faas_unsubscribe(w.rt, id), FAAS_ENOENT);
        w.faulty.fail_at = 0;
        ck_assert_str_eq(published("/s", "t"), "");
        if (i == 2)
            live = atomic_load(&w.faulty.live_bytes);
    }
    ck_assert_uint_eq(atomic_load(&w.faulty.live_bytes), live);
    CLOSE();
}
END_TEST

/* ---- what became of it ---- */

static int fails(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    (void)input;
    return 1;
}

static int is_late(faas_context *ctx, faas_bytes input)
{
    (void)input;
    pass_ns(faas_time_left_ns(ctx) + 1);
    return 0;
}

START_TEST(the_delivery_counts_what_each_target_did_and_no_one_stops_the_next)
{
    faas_event *event;
    faas_delivery d = {9, 9, 9, 9, 9, 9};
    faas_fn off;

    OPEN_DEFAULT();
    off = function_of(
        FAAS_FUNCTION(.name = "off", .handler = answers, .concurrency = FAAS_OFF));
    event = event_of("/s", "t");
    ck_assert_ok(faas_publish(w.rt, event, &d));
    ck_assert_uint_eq(d.matched + d.ran + d.refused + d.failed, 0);
    (void)subscribed(function_of(FAAS_FUNCTION(.name = "fails", .handler = fails)), NULL);
    (void)subscribed(off, NULL);
    (void)subscribed(journalist("a"), NULL);
    (void)subscribed(
        function_of(FAAS_FUNCTION(.name = "late", .handler = is_late, .timeout_ns = MS)),
        NULL);
    (void)subscribed(off, NULL);
    (void)subscribed(journalist("b"), NULL);
    (void)subscribed(journalist("c"), FAAS_ON(.type = "u"));
    journal[0] = '\0';
    ck_assert_ok(faas_publish(w.rt, event, &d));
    ck_assert_uint_eq(d.matched, 6);
    ck_assert_uint_eq(d.ran, 2);
    ck_assert_uint_eq(d.refused, 2);
    ck_assert_uint_eq(d.failed, 2);
    ck_assert_str_eq(journal, "ab");
    ck_assert_ok(faas_publish(w.rt, event, NULL));
    faas_event_release(event);
    CLOSE();
}
END_TEST

/* ---- the event ---- */

static faas_event *seen_events[16];
static const void *seen_data[16];
static unsigned seen_count;

static int keeps(faas_context *ctx, faas_bytes input)
{
    faas_event *event = faas_context_event(ctx);

    ck_assert_ptr_nonnull(event);
    ck_assert_ptr_eq(input.data, faas_event_data(event).data);
    ck_assert_uint_eq(input.size, faas_event_data(event).size);
    seen_events[seen_count] = faas_event_acquire(event);
    seen_data[seen_count++] = input.data;
    return 0;
}

static unsigned data_frees;

static void counts_data_free(void *data, size_t size, void *user)
{
    (void)data;
    (void)size;
    (void)user;
    data_frees++;
}

START_TEST(all_targets_share_the_event_and_its_data_without_a_copy)
{
    static const char data[] = "{\"zero\":\"copy\"}";
    faas_event *event;

    OPEN_DEFAULT();
    for (int i = 0; i < 3; i++) {
        char name[24];

        snprintf(name, sizeof name, "keeps%d", i);
        (void)subscribed(function_of(FAAS_FUNCTION(.name = name, .handler = keeps)),
                         NULL);
    }
    ck_assert_ok(faas_event_create(
        FAAS_EVENT(.id = "1", .source = "/s", .type = "t",
                   .data = faas_bytes_of(data, sizeof data - 1),
                   .data_free = counts_data_free, .allocator = &w.alloc),
        &event));
    ck_assert_ok(faas_publish(w.rt, event, NULL));
    faas_event_release(event);
    ck_assert_uint_eq(seen_count, 3);
    for (int i = 0; i < 3; i++) {
        ck_assert_ptr_eq(seen_events[i], event);
        ck_assert_ptr_eq(seen_data[i], data);
    }
    /* It lives as long as somebody keeps it, also past the runtime. */
    ck_assert_ok(faas_runtime_close(w.rt));
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(data_frees, 0);
        ck_assert_str_eq(faas_event_type(seen_events[i]), "t");
        faas_event_release(seen_events[i]);
    }
    ck_assert_uint_eq(data_frees, 1);
    faas_clock_close(w.clock);
    ck_assert_uint_eq(atomic_load(&w.faulty.live_blocks), 0);
}
END_TEST

START_TEST(publish_json_makes_an_event_of_its_own)
{
    faas_delivery d;

    OPEN_DEFAULT();
    (void)subscribed(function_of(FAAS_FUNCTION(.name = "keeps", .handler = keeps)), NULL);
    for (int i = 0; i < 3; i++) {
        ck_assert_ok(faas_publish_json(w.rt, "/s", "t", "{\"a\":1}", &d));
        ck_assert_uint_eq(d.ran, 1);
        ck_assert_str_eq(faas_event_source(seen_events[i]), "/s");
        ck_assert_str_eq(faas_event_type(seen_events[i]), "t");
        ck_assert_str_eq(faas_event_data_content_type(seen_events[i]),
                         "application/json");
        ck_assert_ptr_null(faas_event_time(seen_events[i]));
        ck_assert_bytes(faas_event_data(seen_events[i]), "{\"a\":1}");
        ck_assert_uint_eq(strlen(faas_event_id(seen_events[i])), 36);
        for (int k = 0; k < i; k++)
            ck_assert_str_ne(faas_event_id(seen_events[i]),
                             faas_event_id(seen_events[k]));
    }
    d.matched = 9;
    ck_assert_status(faas_publish_json(w.rt, "not a uri", "t", "1", &d), FAAS_EINVAL);
    ck_assert_uint_eq(d.matched, 0);
    ck_assert_status(faas_publish_json(w.rt, "/s", "", "1", &d), FAAS_EINVAL);
    for (int i = 0; i < 3; i++)
        faas_event_release(seen_events[i]);
    CLOSE();
}
END_TEST

/* ---- publishing in handlers ---- */

struct echo {
    unsigned depth, deepest, ran;
    faas_status innermost;
};

static int republishes(faas_context *ctx, faas_bytes input)
{
    struct echo *echo = faas_user(ctx);
    faas_delivery d;
    faas_status status;

    (void)input;
    echo->ran++;
    if (++echo->depth > echo->deepest)
        echo->deepest = echo->depth;
    status = faas_publish(faas_context_runtime(ctx), faas_context_event(ctx), &d);
    if (status != FAAS_OK) {
        echo->innermost = status;
        ck_assert_uint_eq(d.matched, 0);
    }
    echo->depth--;
    return 0;
}

START_TEST(publishing_without_end_is_refused_at_the_depth_limit)
{
    static const uint32_t depths[] = {1, 2, 5, 32};

    for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++) {
        struct echo echo = {0, 0, 0, FAAS_OK};
        faas_event *event;
        faas_delivery d;

        OPEN(.depth_max = depths[i]);
        (void)subscribed(function_of(FAAS_FUNCTION(.name = "echo", .handler = republishes,
                                                   .user = &echo)),
                         NULL);
        event = event_of("/s", "t");
        ck_assert_ok(faas_publish(w.rt, event, &d));
        ck_assert_uint_eq(d.ran, 1);
        ck_assert_status(echo.innermost, FAAS_EDEPTH);
        ck_assert_uint_eq(echo.deepest, depths[i]);
        /* The runtime goes on working. */
        ck_assert_ok(faas_publish(w.rt, event, &d));
        ck_assert_uint_eq(echo.ran, 2 * depths[i]);
        faas_event_release(event);
        CLOSE();
    }
}
END_TEST

struct late_publisher {
    uint64_t spends_ns;
    faas_delivery delivery;
    uint64_t left_ns;
};

static int publishes_late(faas_context *ctx, faas_bytes input)
{
    struct late_publisher *p = faas_user(ctx);

    (void)input;
    pass_ns(p->spends_ns);
    return faas_publish_json(faas_context_runtime(ctx), "/s", "inner", "1", &p->delivery);
}

static int notes_time(faas_context *ctx, faas_bytes input)
{
    (void)input;
    ((struct late_publisher *)faas_user(ctx))->left_ns = faas_time_left_ns(ctx);
    return 0;
}

START_TEST(targets_inherit_the_time_that_the_publishing_handler_has_left)
{
    struct late_publisher p = {.spends_ns = 4 * MS};
    faas_fn outer;

    OPEN_DEFAULT();
    outer = function_of(FAAS_FUNCTION(.name = "outer", .handler = publishes_late,
                                      .user = &p, .timeout_ns = 10 * MS));
    (void)subscribed(
        function_of(FAAS_FUNCTION(.name = "inner", .handler = notes_time, .user = &p)),
        FAAS_ON(.type = "inner"));
    ck_assert_ok(call(outer));
    ck_assert_uint_eq(p.delivery.ran, 1);
    ck_assert_uint_eq(p.left_ns, 6 * MS);
    p.spends_ns = 10 * MS;
    ck_assert_ok(call(outer));
    ck_assert_uint_eq(p.delivery.matched, 1);
    ck_assert_uint_eq(p.delivery.refused, 1);
    CLOSE();
}
END_TEST

/* ---- changes while publishing ---- */

static faas_fn changed_fn;
static uint64_t changed_id;

static int subscribes_another(faas_context *ctx, faas_bytes input)
{
    (void)input;
    (void)journals(ctx, input);
    return faas_subscribe(faas_context_runtime(ctx), changed_fn, FAAS_ON(.type = "t"),
                          &changed_id);
}

static int unsubscribes_another(faas_context *ctx, faas_bytes input)
{
    (void)journals(ctx, input);
    return faas_unsubscribe(faas_context_runtime(ctx), changed_id);
}

static int unregisters_another(faas_context *ctx, faas_bytes input)
{
    (void)journals(ctx, input);
    return faas_function_unregister(faas_context_runtime(ctx), changed_fn);
}

static faas_fn changer_of(const char *letter, faas_handler *handler)
{
    return function_of(FAAS_FUNCTION(.name = letter, .handler = handler,
                                     .user = (void *)(uintptr_t)letter));
}

START_TEST(a_handler_may_subscribe_and_the_next_publish_sees_it)
{
    OPEN_DEFAULT();
    changed_fn = journalist("x");
    (void)subscribed(changer_of("a", subscribes_another), FAAS_ON(.type = "t"));
    ck_assert_str_eq(published("/s", "t"), "a");
    ck_assert_str_eq(published("/s", "t"), "ax");
    ck_assert_str_eq(published("/s", "t"), "axx");
    CLOSE();
}
END_TEST

START_TEST(a_handler_may_unsubscribe_itself_and_others)
{
    OPEN_DEFAULT();
    changed_fn = changer_of("a", unsubscribes_another);
    changed_id = subscribed(changed_fn, FAAS_ON(.type = "t"));
    (void)subscribed(journalist("b"), FAAS_ON(.type = "t"));
    ck_assert_str_eq(published("/s", "t"), "ab");
    ck_assert_str_eq(published("/s", "t"), "b");
    CLOSE();
}
END_TEST

START_TEST(a_target_that_is_unregistered_meanwhile_is_refused_and_then_gone)
{
    faas_event *event;
    faas_delivery d;

    OPEN_DEFAULT();
    (void)subscribed(changer_of("a", unregisters_another), FAAS_ON(.type = "t"));
    changed_fn = journalist("x");
    (void)subscribed(changed_fn, FAAS_ON(.type = "t"));
    (void)subscribed(changed_fn, FAAS_ON(.type = "t.*"));
    (void)subscribed(journalist("b"), FAAS_ON(.type = "t"));
    event = event_of("/s", "t");
    journal[0] = '\0';
    ck_assert_ok(faas_publish(w.rt, event, &d));
    ck_assert_str_eq(journal, "ab");
    ck_assert_uint_eq(d.ran, 2);
    ck_assert_uint_le(d.refused, 1);
    ck_assert_uint_eq(d.matched, d.ran + d.refused);
    ck_assert_ok(faas_publish(w.rt, event, &d));
    ck_assert_uint_eq(d.matched, 2); // "a" fails now: it is gone
    ck_assert_uint_eq(d.failed, 1);
    faas_event_release(event);
    CLOSE();
}
END_TEST

START_TEST(subscriptions_end_with_their_function)
{
    uint64_t id;
    faas_fn a;

    OPEN_DEFAULT();
    a = journalist("a");
    id = subscribed(a, FAAS_ON(.type = "t"));
    (void)subscribed(a, NULL);
    (void)subscribed(journalist("b"), FAAS_ON(.type = "t"));
    ck_assert_str_eq(published("/s", "t"), "aab");
    ck_assert_ok(faas_function_unregister(w.rt, a));
    ck_assert_str_eq(published("/s", "t"), "b");
    ck_assert_status(faas_unsubscribe(w.rt, id), FAAS_ENOENT);
    a = journalist("a"); // a new one of that name did not ask for anything
    ck_assert_str_eq(published("/s", "t"), "b");
    CLOSE();
}
END_TEST

START_TEST(a_replaced_function_keeps_its_subscriptions)
{
    static char letter[] = "z";
    faas_fn a;

    OPEN_DEFAULT();
    a = journalist("a");
    (void)subscribed(a, FAAS_ON(.type = "t"));
    ck_assert_ok(faas_function_replace(
        w.rt, a, FAAS_FUNCTION(.handler = journals, .user = letter)));
    ck_assert_str_eq(published("/s", "t"), "z");
    CLOSE();
}
END_TEST

START_TEST(versions_and_aliases_may_subscribe)
{
    faas_share shares[2] = {{1, 1}, {2, 1}};
    unsigned a = 0, total = 0;
    static char old_letter[] = "o", new_letter[] = "n";
    faas_fn fn, version, alias;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = journals, .user = old_letter));
    ck_assert_ok(faas_function_publish(w.rt, fn, NULL, &version));
    ck_assert_ok(faas_function_replace(
        w.rt, fn, FAAS_FUNCTION(.handler = journals, .user = new_letter)));
    ck_assert_ok(faas_function_publish(w.rt, fn, NULL, NULL));
    ck_assert_ok(faas_alias_put(w.rt, fn, "live", shares, 2, &alias));
    (void)subscribed(version, FAAS_ON(.type = "v"));
    (void)subscribed(alias, FAAS_ON(.type = "a"));
    ck_assert_str_eq(published("/s", "v"), "o");
    for (; total < 400; total++)
        a += published("/s", "a")[0] == 'o';
    ck_assert_uint_gt(a, 100); // a coin's throw each
    ck_assert_uint_lt(a, 300);
    CLOSE();
}
END_TEST

/* ---- rules ---- */

static void rule_put(const char *name, const char *pattern, faas_fn fn)
{
    ck_assert_ok(faas_rule_put(w.rt, name, pattern, fn));
}

/* Publishes data, and says who ran. */
static const char *published_data(const char *type, const char *json)
{
    faas_delivery d;

    journal[0] = '\0';
    ck_assert_ok(faas_publish_json(w.rt, "/s", type, json, &d));
    ck_assert_uint_eq(d.ran, strlen(journal));
    ck_assert_uint_eq(d.matched, d.ran);
    return journal;
}

START_TEST(a_rule_gets_the_events_that_match_its_pattern)
{
    static const struct {
        const char *pattern, *type, *data;
        bool wanted;
    } rows[] = {
        {"{\"type\":[\"t\"]}", "t", "1", true},
        {"{\"type\":[\"t\"]}", "u", "1", false},
        {"{\"source\":[\"/s\"]}", "t", "1", true},
        {"{\"source\":[\"/x\"]}", "t", "1", false},
        {"{\"type\":[{\"prefix\":\"order.\"}]}", "order.made", "1", true},
        {"{\"data\":{\"n\":[{\"numeric\":[\">\",5]}]}}", "t", "{\"n\":6}", true},
        {"{\"data\":{\"n\":[{\"numeric\":[\">\",5]}]}}", "t", "{\"n\":5}", false},
        {"{\"data\":{\"n\":[6]}}", "t", "[6]", false},
        {"{\"type\":[\"t\"],\"data\":{\"a\":[\"b\"]}}", "t", "{\"a\":\"b\"}", true},
        {"{\"type\":[\"t\"],\"data\":{\"a\":[\"b\"]}}", "u", "{\"a\":\"b\"}", false},
    };

    OPEN_DEFAULT();
    {
        faas_fn fn = journalist("a");

        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            const char *ran;

            rule_put("rule", rows[i].pattern, fn);
            ran = published_data(rows[i].type, rows[i].data);
            ck_assert_msg((strcmp(ran, "a") == 0) == rows[i].wanted, "row %zu: \"%s\"", i,
                          ran);
            ck_assert_ok(faas_rule_delete(w.rt, "rule"));
            ck_assert_str_eq(published_data(rows[i].type, rows[i].data), "");
            ck_assert_status(faas_rule_delete(w.rt, "rule"), FAAS_ENOENT);
        }
    }
    CLOSE();
}
END_TEST

START_TEST(rules_and_subscriptions_run_in_one_order)
{
    static const char any[] = "{\"type\":[{\"exists\":true}]}";
    faas_fn b;

    OPEN_DEFAULT();
    (void)subscribed(journalist("a"), FAAS_ON(.type = "t"));
    b = journalist("b");
    rule_put("first", any, b);
    (void)subscribed(journalist("c"), FAAS_ON(.type = "*"));
    rule_put("second", any, journalist("d"));
    (void)subscribed(journalist("e"), FAAS_ON(.type = "t"));
    ck_assert_str_eq(published_data("t", "1"), "abcde");
    /* A rule that is replaced keeps its place, whomever it goes to now. */
    rule_put("first", any, journalist("x"));
    ck_assert_str_eq(published_data("t", "1"), "axcde");
    ck_assert_ok(faas_rule_delete(w.rt, "first"));
    rule_put("first", any, b);
    ck_assert_str_eq(published_data("t", "1"), "acdeb");
    CLOSE();
}
END_TEST

START_TEST(more_rules_than_fit_at_hand_may_match)
{
    enum { RULES = 100 };
    char name[24];
    faas_delivery d;

    OPEN_DEFAULT();
    {
        faas_fn a = journalist("a"), b = journalist("b");

        for (int i = 0; i < RULES; i++) {
            snprintf(name, sizeof name, "rule%d", i);
            rule_put(name, "{\"type\":[\"t\"]}", i % 10 == 0 ? b : a);
        }
        ck_assert_uint_eq(strlen(published_data("t", "1")), RULES);
        for (int i = 0; i < RULES; i++)
            ck_assert_int_eq(journal[i], i % 10 == 0 ? 'b' : 'a');
        /* They end with their function. */
        ck_assert_ok(faas_function_unregister(w.rt, b));
        ck_assert_uint_eq(strlen(published_data("t", "1")), RULES - RULES / 10);
        ck_assert_status(faas_rule_delete(w.rt, "rule10"), FAAS_ENOENT);
        ck_assert_ok(faas_rule_delete(w.rt, "rule11"));
        ck_assert_ok(faas_function_unregister(w.rt, a));
        ck_assert_ok(faas_publish_json(w.rt, "/s", "t", "1", &d));
        ck_assert_uint_eq(d.matched, 0);
    }
    CLOSE();
}
END_TEST

static char last_input[64];

static int notes_input(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    ck_assert_uint_lt(input.size, sizeof last_input);
    memcpy(last_input, input.data, input.size);
    last_input[input.size] = '\0';
    return 0;
}

START_TEST(a_rule_may_give_another_input_than_the_data)
{
    static const char pattern[] = "{\"type\":[\"t\"]}";
    faas_rule_options options = {.size = sizeof options,
                                 .input_paths = "{\"n\":\"$.data.n\",\"t\":\"$.type\"}",
                                 .input_template = "{\"<t>\":<n>}"};
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(FAAS_FUNCTION(.name = "f", .handler = notes_input));
    ck_assert_ok(faas_rule_put_with(w.rt, "r", pattern, fn, &options));
    ck_assert_ok(faas_publish_json(w.rt, "/s", "t", "{\"n\":17}", NULL));
    ck_assert_str_eq(last_input, "{\"t\":17}");
    options.input_paths = NULL;
    options.input_template = "fixed";
    ck_assert_ok(faas_rule_put_with(w.rt, "r", pattern, fn, &options));
    ck_assert_ok(faas_publish_json(w.rt, "/s", "t", "{\"n\":17}", NULL));
    ck_assert_str_eq(last_input, "fixed");
    rule_put("r", pattern, fn);
    ck_assert_ok(faas_publish_json(w.rt, "/s", "t", "{\"n\":17}", NULL));
    ck_assert_str_eq(last_input, "{\"n\":17}");
    CLOSE();
}
END_TEST

START_TEST(a_rule_that_is_wrong_is_refused_and_the_old_one_stays)
{
    static char long_name[257];
    static const char good[] = "{\"type\":[\"t\"]}";
    struct {
        faas_rule_options known;
        uint64_t newer;
    } future = {{.size = sizeof future}, 1};
    static const struct {
        const char *name, *pattern;
        faas_rule_options options;
        faas_status status;
    } rows[] = {
        {"", good, {.size = sizeof(faas_rule_options)}, FAAS_EINVAL},
        {"\xff", good, {.size = sizeof(faas_rule_options)}, FAAS_EINVAL},
        {long_name, good, {.size = sizeof(faas_rule_options)}, FAAS_EINVAL},
        {"r", "", {.size = sizeof(faas_rule_options)}, FAAS_ESYNTAX},
        {"r", "{\"type\":[", {.size = sizeof(faas_rule_options)}, FAAS_ESYNTAX},
        {"r", "{\"type\":\"t\"}", {.size = sizeof(faas_rule_options)}, FAAS_EINVAL},
        {"r", "[1]", {.size = sizeof(faas_rule_options)}, FAAS_EINVAL},
        {"r", good, {.size = 0}, FAAS_EINVAL},
        {"r",
         good,
         {.size = sizeof(faas_rule_options), .input_paths = "{}"},
         FAAS_EINVAL},
        {"r",
         good,
         {.size = sizeof(faas_rule_options), .input_paths = "{", .input_template = "x"},
         FAAS_ESYNTAX},
        {"r",
         good,
         {.size = sizeof(faas_rule_options), .input_template = "{\"a\":"},
         FAAS_ESYNTAX},
    };
    faas_fn fn, gone;

    OPEN_DEFAULT();
    memset(long_name, 'n', 256);
    fn = journalist("a");
    gone = journalist("b");
    ck_assert_ok(faas_function_unregister(w.rt, gone));
    rule_put("r", good, fn);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        faas_status status =
            faas_rule_put_with(w.rt, rows[i].name, rows[i].pattern, fn, &rows[i].options);

        ck_assert_msg(status == rows[i].status, "row %zu: %s: %s", i,
                      faas_status_name(status), faas_error_text());
        ck_assert_uint_gt(strlen(faas_error_text()), 0);
        ck_assert_str_eq(published_data("t", "1"), "a");
    }
    ck_assert_status(faas_rule_put_with(w.rt, "r", good, fn, &future.known),
                     FAAS_EVERSION);
    ck_assert_status(faas_rule_put(w.rt, "r", good, gone), FAAS_ENOENT);
    ck_assert_status(faas_rule_put(w.rt, "new", good, gone), FAAS_ENOENT);
    ck_assert_status(faas_rule_delete(w.rt, "new"), FAAS_ENOENT);
    ck_assert_str_eq(published_data("t", "1"), "a");
    CLOSE();
}
END_TEST

START_TEST(data_that_says_it_is_json_and_is_not_is_refused)
{
    faas_event *event;
    faas_delivery d = {9, 9, 9, 9, 9, 9};

    OPEN_DEFAULT();
    (void)subscribed(journalist("a"), NULL);
    journal[0] = '\0';
    ck_assert_status(faas_publish_json(w.rt, "/s", "t", "{\"a\":", &d), FAAS_ESYNTAX);
    ck_assert_uint_eq(d.matched, 0);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "byte"));
    ck_assert_str_eq(journal, "");
    /* What says it is something else may be anything; what is trusted is not looked at. */
    ck_assert_ok(faas_event_create(FAAS_EVENT(.id = "1", .source = "/s", .type = "t",
                                              .data_content_type = "text/plain",
                                              .data = faas_str("{\"a\":")),
                                   &event));
    ck_assert_ok(faas_publish(w.rt, event, &d));
    ck_assert_uint_eq(d.ran, 1);
    faas_event_release(event);
    ck_assert_ok(faas_event_create(FAAS_EVENT(.id = "1", .source = "/s", .type = "t",
                                              .data = faas_str("{\"a\":"),
                                              .flags = FAAS_EVENT_TRUSTED),
                                   &event));
    ck_assert_ok(faas_publish(w.rt, event, &d));
    ck_assert_uint_eq(d.ran, 1);
    faas_event_release(event);
    CLOSE();
}
END_TEST

static int deletes_rules(faas_context *ctx, faas_bytes input)
{
    faas_runtime *rt = faas_context_runtime(ctx);

    (void)journals(ctx, input);
    return faas_rule_delete(rt, "one") == FAAS_OK &&
                   faas_rule_delete(rt, "two") == FAAS_OK &&
                   faas_rule_put(rt, "three", "{\"type\":[\"t\"]}", changed_fn) == FAAS_OK
               ? 0
               : 1;
}

START_TEST(a_handler_may_change_the_rules)
{
    OPEN_DEFAULT();
    changed_fn = journalist("x");
    rule_put("one", "{\"type\":[\"t\"]}", changer_of("a", deletes_rules));
    rule_put("two", "{\"type\":[\"t\"]}", journalist("b"));
    /* A rule that this publish has found may still run. */
    journal[0] = '\0';
    ck_assert_ok(faas_publish_json(w.rt, "/s", "t", "1", NULL));
    ck_assert(strcmp(journal, "a") == 0 || strcmp(journal, "ab") == 0);
    ck_assert_str_eq(published_data("t", "1"), "x");
    CLOSE();
}
END_TEST

/* ---- storms ---- */

static atomic_bool storm_ends;
static atomic_uint steady_ran;

static int steady(faas_context *ctx, faas_bytes input)
{
    (void)ctx;
    (void)input;
    atomic_fetch_add(&steady_ran, 1);
    return 0;
}

static void *publishes_in_a_storm(void *user)
{
    unsigned *publishes = user;

    for (*publishes = 0; !atomic_load(&storm_ends); ++*publishes) {
        faas_delivery d;

        if (faas_publish_json(w.rt, "/s", *publishes % 2 == 0 ? "t.u" : "t.v", "1", &d) !=
            FAAS_OK)
            abort();
        if (d.matched != d.ran + d.refused + d.failed || d.ran < 1 || d.failed != 0)
            abort();
    }
    return NULL;
}

START_TEST(publishes_go_on_while_subscriptions_rules_and_functions_come_and_go)
{
#ifdef FAASI_SANITIZED
    const int rounds = 100;
#else
    const int rounds = 500;
#endif
    pthread_t threads[2];
    unsigned publishes[2];

    OPEN_DEFAULT();
    (void)subscribed(function_of(FAAS_FUNCTION(.name = "steady", .handler = steady)),
                     FAAS_ON(.type = "t.*"));
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, publishes_in_a_storm, &publishes[i]), 0);
    for (int i = 0; i < rounds; i++) {
        faas_fn fn = function_of(FAAS_FUNCTION(.name = "comes", .handler = answers));
        uint64_t ids[3];

        ids[0] = subscribed(fn, FAAS_ON(.type = "t.u"));
        ids[1] = subscribed(fn, FAAS_ON(.type = "t.*"));
        ids[2] = subscribed(fn, NULL);
        ck_assert_ok(faas_unsubscribe(w.rt, ids[i % 3]));
        ck_assert_ok(faas_rule_put(w.rt, "kept", "{\"type\":[\"t.u\"]}", fn));
        ck_assert_ok(faas_rule_put(w.rt, "gone", "{\"type\":[\"t.v\"]}", fn));
        ck_assert_ok(faas_rule_put(w.rt, "gone", "{\"source\":[\"/s\"]}", fn));
        ck_assert_ok(faas_rule_delete(w.rt, "gone"));
        ck_assert_ok(faas_function_unregister(w.rt, fn));
    }
    atomic_store(&storm_ends, true);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_uint_eq(atomic_load(&steady_ran), publishes[0] + publishes[1]);
    CLOSE();
}
END_TEST

SUITE_MAIN(
    "bus", a_subscription_gets_what_it_asked_for_and_no_more,
    targets_run_in_the_order_of_subscription,
    a_function_gets_an_event_as_often_as_it_matches,
    many_types_do_not_get_into_each_others_way, what_is_no_subscription_is_refused,
    a_subscription_ends_once,
    what_could_not_be_cleared_without_memory_is_cleared_by_the_next_change,
    the_delivery_counts_what_each_target_did_and_no_one_stops_the_next,
    all_targets_share_the_event_and_its_data_without_a_copy,
    publish_json_makes_an_event_of_its_own,
    publishing_without_end_is_refused_at_the_depth_limit,
    targets_inherit_the_time_that_the_publishing_handler_has_left,
    a_handler_may_subscribe_and_the_next_publish_sees_it,
    a_handler_may_unsubscribe_itself_and_others,
    a_target_that_is_unregistered_meanwhile_is_refused_and_then_gone,
    subscriptions_end_with_their_function, a_replaced_function_keeps_its_subscriptions,
    versions_and_aliases_may_subscribe, a_rule_gets_the_events_that_match_its_pattern,
    rules_and_subscriptions_run_in_one_order, more_rules_than_fit_at_hand_may_match,
    a_rule_may_give_another_input_than_the_data,
    a_rule_that_is_wrong_is_refused_and_the_old_one_stays,
    data_that_says_it_is_json_and_is_not_is_refused, a_handler_may_change_the_rules,
    publishes_go_on_while_subscriptions_rules_and_functions_come_and_go)
