/* SPDX-License-Identifier: MIT */
/* torture_events.c - scenarios of events, of rules without a runtime, and of the bus. */
#include "torture.h"

/* ---- events ---- */

static void makes_events(void)
{
    faas_extension extensions[] = {
        faas_extension_string("text", "abc"),
        faas_extension_integer("number", 7),
        faas_extension_boolean("yes", true),
        {"bytes", {"\0\1", 2}, 0, FAAS_EXTENSION_BINARY},
        {"at", faas_str("2018-04-05T17:31:00Z"), 0, FAAS_EXTENSION_TIMESTAMP}};
    faas_event *event;

    TRY(event_of(FAAS_EVENT(.id = "1", .source = "https://a/b", .type = "t"), &event));
    TRY(faas_event_write_json(event, drops, NULL));
    TRY(event_of(FAAS_EVENT(.id = "1", .source = "/s", .type = "t", .subject = "u",
                            .time = "2018-04-05T17:31:00.25Z",
                            .data_content_type = "application/json",
                            .data_schema = "https://a/c", .extensions = extensions,
                            .extension_count = 5, .data = faas_str("{\"a\":[1,2]}")),
                 &event));
    TRY(faas_event_write_json(event, drops, NULL));
    TRY(event_of(FAAS_EVENT(.id = "1", .source = "/s", .type = "t",
                            .data_content_type = "image/png", .data = faas_str("\1\2"),
                            .data_hold = FAAS_DATA_BORROW),
                 &event));
    TRY(faas_event_write_json(event, drops, NULL));
}

static unsigned frees;

static void counts_free(void *data, size_t size, void *user)
{
    (void)data;
    (void)size;
    (void)user;
    frees++;
}

static void ends_the_data_once(void)
{
    static const char data[] = "{}";
    faas_event *event, *again;

    frees = 0;
    if (!TRIED(faas_event_create(FAAS_EVENT(.id = "1", .source = "/s", .type = "t",
                                            .data = {data, 2}, .data_free = counts_free,
                                            .allocator = &w.alloc),
                                 &event))) {
        REQUIRE_THAT(event == NULL && frees == 1);
        return;
    }
    again = faas_event_acquire(event);
    faas_event_release(event);
    REQUIRE_THAT(frees == 0);
    faas_event_release(again);
    REQUIRE_THAT(frees == 1);
}

/* ---- sets of rules ---- */

static const char *const patterns[] = {
    "{\"type\":[\"a\",\"b\"],\"data\":{\"n\":[{\"numeric\":[\">\",1,\"<=\",9]}]}}",
    "{\"source\":[{\"prefix\":\"/a\"},{\"suffix\":\"z\"}],\"x\":[{\"exists\":true}]}",
    "{\"a\":{\"b\":[{\"wildcard\":\"a*b*c\"},{\"equals-ignore-case\":\"Xy\"}]}}",
    "{\"a\":[{\"anything-but\":[\"u\",\"v\"]}],\"ip\":[{\"cidr\":\"10.0.0.0/8\"}]}",
    "{\"$or\":[{\"a\":[1]},{\"b\":[2],\"c\":[null]}]}",
};

enum { PATTERNS = sizeof patterns / sizeof patterns[0] };

static const char json[] =
    "{\"type\":\"a\",\"source\":\"/az\",\"x\":1,\"a\":{\"b\":\"aabbcc\"},"
    "\"data\":{\"n\":5},\"ip\":\"10.1.2.3\",\"c\":null}";

static faas_ruleset_options ruleset_options(void)
{
    faas_ruleset_options options = FAAS_RULESET_OPTIONS_INIT;

    options.allocator = &w.alloc;
    options.scratch_bytes = 65536;
    return options;
}

static void counts_matched(size_t event, faas_status status, const faas_match *matches,
                           size_t count, void *user)
{
    (void)event;
    (void)matches;
    (void)torture_tried(status, "faas_ruleset_match(", __FILE__, __LINE__);
    *(size_t *)user += count;
}

static void edits_and_matches(faas_ruleset *set)
{
    faas_match matches[8];
    faas_bytes events[3] = {faas_str(json), faas_str("{}"), faas_str(json)};
    size_t count, all = 0;

    for (int round = 0; round < 2; round++)
        for (int i = 0; i < PATTERNS; i++) {
            char name[2] = {(char)('a' + (i + round) % PATTERNS)};

            TRY(faas_ruleset_put(set, name, faas_str(patterns[i]), NULL));
            TRY(faas_ruleset_match(set, faas_str(json), 0, matches, 8, &count));
        }
    EXPECT(count > 0 && faas_ruleset_count(set) == PATTERNS);
    TRY(faas_ruleset_match_batch(set, events, 3, 0, matches, 8, counts_matched, &all));
    EXPECT(all == 2 * count);
    for (int i = 0; i < PATTERNS; i++) {
        char name[2] = {(char)('a' + i)};

        TRY(faas_ruleset_delete(set, name));
        TRY(faas_ruleset_match(set, faas_str(json), FAAS_EVENT_TRUSTED, NULL, 0, &count));
    }
    REQUIRE_THAT(faas_ruleset_count(set) == 0);
}

static void edits_rulesets(void)
{
    faas_ruleset_options options = ruleset_options();
    faas_ruleset *set;

    if (!TRIED(faas_ruleset_open(&set, &options))) {
        REQUIRE_THAT(set == NULL);
        return;
    }
    edits_and_matches(set);
    faas_ruleset_close(set);
}

/* An edit that fails leaves what was there. */
static void edits_leave_what_was_there(void)
{
    faas_ruleset_options options = ruleset_options();
    faas_ruleset *set;
    bool done = TRIED(faas_ruleset_open(&set, &options));

    if (!done)
        return;
    for (int i = 0; done && i < 60; i++) {
        size_t before = faas_ruleset_count(set), count;
        char name[16], pattern[80];

        (void)snprintf(name, sizeof name, "r%d", i);
        (void)snprintf(pattern, sizeof pattern, "{\"f%d\":[\"v%d\"],\"a\":{\"b\":[%d]}}",
                       i % 7, i, i);
        done = TRIED(faas_ruleset_put(set, name, faas_str(pattern), NULL));
        REQUIRE_THAT(faas_ruleset_count(set) == before + done);
        (void)snprintf(pattern, sizeof pattern, "{\"f%d\":\"v%d\",\"a\":{\"b\":%d}}",
                       i % 7, i, i);
        if (TRIED(faas_ruleset_match(set, faas_str(pattern), 0, NULL, 0, &count)))
            REQUIRE_THAT(count == (size_t)done);
        else
            done = false;
    }
    faas_ruleset_close(set);
}

static void explains(void)
{
    faas_ruleset_options options = ruleset_options();
    faas_explanation why;
    size_t offset;

    for (int i = 0; i < PATTERNS; i++) {
        TRY(faas_pattern_check(faas_str(patterns[i]), &options, &offset));
        TRY(faas_pattern_explain(faas_str(patterns[i]), faas_str(json), &options, &why));
        TRY(faas_pattern_explain(faas_str(patterns[i]), faas_str("{\"a\":[{\"b\":1}]}"),
                                 &options, &why));
    }
}

/* ---- the bus ---- */

/* What became of an event is told in full, whatever it was. */
static faas_delivery published(faas_event *event)
{
    faas_delivery d;
    faas_status status = faas_publish(w.rt, event, &d);

    (void)torture_tried(status, "faas_publish(event)", __FILE__, __LINE__);
    REQUIRE(d.matched == d.ran + d.refused + d.failed + d.queued,
            "%u matched, %u ran, %u refused, %u failed, %u queued", d.matched, d.ran,
            d.refused, d.failed, d.queued);
    REQUIRE_THAT(status == FAAS_OK || d.matched == 0);
    return d;
}

static void publishes(void)
{
    uint64_t subscriptions[4];
    faas_delivery d;
    faas_event *event;
    faas_fn fn;

    TRY(event_of(FAAS_EVENT(.id = "1", .source = "/s", .type = "order.new",
                            .data = faas_str("{}")),
                 &event));
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = echoes), &fn));
    TRY(faas_subscribe(w.rt, fn, NULL, &subscriptions[0]));
    TRY(faas_subscribe(w.rt, fn, FAAS_ON(.type = "order.*"), &subscriptions[1]));
    TRY(faas_subscribe(w.rt, fn, FAAS_ON(.type = "order.new", .source = "/s"),
                       &subscriptions[2]));
    TRY(faas_subscribe(w.rt, fn, FAAS_ON(.source = "/other"), &subscriptions[3]));
    d = published(event);
    EXPECT(d.ran == 3);
    TRY(faas_publish_json(w.rt, "/other", "x", "{\"a\":1}", &d));
    EXPECT(d.ran == 2);
    for (int i = 0; i < 4; i++)
        TRY(faas_unsubscribe(w.rt, subscriptions[i]));
    d = published(event);
    REQUIRE_THAT(d.matched == 0);
}

/* The bus has more targets than it has room for at first, and forgets those of a function
 * that goes. */
static void forgets_with_the_function(void)
{
    faas_event *event;
    faas_delivery d;
    faas_fn fn;

    TRY(event_of(
        FAAS_EVENT(.id = "1", .source = "/s", .type = "t", .data = faas_str("{}")),
        &event));
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = answers), &fn));
    for (int i = 0; i < 70; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "r%d", i);
        TRY(faas_rule_put(w.rt, name, "{\"type\":[\"t\"]}", fn));
    }
    TRY(faas_subscribe(w.rt, fn, FAAS_ON(.type = "t"), NULL));
    d = published(event);
    EXPECT(d.ran == 71);
    TRY(faas_function_unregister(w.rt, fn));
    d = published(event);
    REQUIRE_THAT(d.matched == 0);
}

static int sees(faas_context *ctx, faas_bytes input)
{
    REQUIRE_THAT(faas_context_event(ctx) != NULL);
    return faas_reply(ctx, input);
}

static void puts_rules(void)
{
    static const faas_rule_options transform = {
        .size = sizeof transform,
        .input_paths = "{\"who\":\"$.data.name\",\"all\":\"$.data\"}",
        .input_template = "{\"to\":<who>,\"of\":<all>}"};
    static const faas_rule_options text = {.size = sizeof text,
                                           .input_paths = "{\"who\":\"$.data.name\"}",
                                           .input_template = "\"dear <who>\""};
    faas_event *event;
    faas_delivery d;
    faas_fn fn;

    TRY(event_of(FAAS_EVENT(.id = "1", .source = "/s", .type = "t",
                            .data = faas_str("{\"name\":\"Ann\",\"n\":5}")),
                 &event));
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = sees), &fn));
    TRY(faas_rule_put(w.rt, "a", patterns[0], fn));
    TRY(faas_rule_put(w.rt, "b", "{\"data\":{\"n\":[5]}}", fn));
    TRY(faas_rule_put_with(w.rt, "c", "{\"type\":[\"t\"]}", fn, &transform));
    d = published(event);
    EXPECT(d.ran == 2);
    TRY(faas_rule_put_with(w.rt, "c", "{\"source\":[\"/s\"]}", fn, &text)); // replaced
    TRY(faas_rule_put(w.rt, "b", "{\"type\":[\"other\"]}", fn));
    d = published(event);
    EXPECT(d.ran == 1);
    TRY(faas_rule_delete(w.rt, "c"));
    TRY(faas_rule_delete(w.rt, "a"));
    TRY(faas_rule_delete(w.rt, "b"));
    d = published(event);
    REQUIRE_THAT(d.matched == 0);
}

static void queues_for_subscribers(void)
{
    static const faas_rule_options queued = {
        .size = sizeof queued, .input_template = "instead", .queued = 1};
    faas_event *event;
    faas_delivery d;
    faas_fn fn;

    TRY(event_of(
        FAAS_EVENT(.id = "1", .source = "/s", .type = "t", .data = faas_str("{}")),
        &event));
    TRY(add(
        FAAS_FUNCTION(.name = "f", .handler = echoes, .async = FAAS_ASYNC(.retries = 8)),
        &fn));
    TRY(faas_subscribe(w.rt, fn, FAAS_ON(.type = "t", .queued = 1), NULL));
    TRY(faas_rule_put_with(w.rt, "r", "{\"type\":[\"t\"]}", fn, &queued));
    d = published(event);
    TRY(run_for(HOUR));
    EXPECT(d.queued == 2 && stats_of(fn).invocations == 2);
}

static int publishes_more(faas_context *ctx, faas_bytes input)
{
    faas_status status =
        faas_publish_json(faas_context_runtime(ctx), "/s", "t", "{\"a\":1}", NULL);

    (void)input;
    return status == FAAS_EDEPTH ? 0 : status;
}

static void nests_publishes(void)
{
    faas_fn fn;

    TRY(add(FAAS_FUNCTION(.name = "f", .handler = publishes_more), &fn));
    TRY(faas_subscribe(w.rt, fn, FAAS_ON(.type = "t"), NULL));
    TRY(faas_publish_json(w.rt, "/s", "t", "{\"a\":1}", NULL));
}

static void dedupes(void)
{
    faas_delivery d;
    faas_fn fn;

    faas_clock_advance(w.clock,
                       600 * SEC); // what a run before this one published is over
    TRY(add(FAAS_FUNCTION(.name = "f", .handler = echoes), &fn));
    TRY(faas_subscribe(w.rt, fn, NULL, NULL));
    for (int i = 0; i < 40; i++) {
        faas_event *event;
        char id[8];

        (void)snprintf(id, sizeof id, "%d", i % 20);
        TRY(event_of(
            FAAS_EVENT(.id = id, .source = "/s", .type = "t", .data = faas_str(id)),
            &event));
        d = published(event);
        EXPECT((d.repeated == 1) == (i >= 20));
        REQUIRE_THAT(d.repeated == 0 || d.ran == 0);
    }
}

const struct scenario torture_events[] = {
    SCENARIO(makes_events),
    SCENARIO(ends_the_data_once),
    SCENARIO(edits_rulesets, .first = true, .alone = true),
    SCENARIO(edits_leave_what_was_there),
    SCENARIO(explains),
    SCENARIO(publishes),
    SCENARIO(forgets_with_the_function),
    SCENARIO(puts_rules),
    SCENARIO(queues_for_subscribers),
    SCENARIO(nests_publishes),
    SCENARIO(dedupes, .options = {.dedupe = FAAS_DEDUPE_ID}),
    {.name = "dedupes_by_content",
     .run = dedupes,
     .options = {.dedupe = FAAS_DEDUPE_CONTENT}},
    {0},
};
