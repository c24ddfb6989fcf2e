/* SPDX-License-Identifier: MIT */
/* test_collide.c - with every hash equal, nothing goes astray: names, aliases and events
 * are told apart by what they are. Linked with a core whose hash is a constant. */
#include "runtime_support.h"

#include "core/hash.h"
#include "core/lanes.h"
#include "core/mem.h"

static int says_name(faas_context *ctx, faas_bytes input)
{
    (void)input;
    return faas_reply(ctx, faas_str(faas_context_name(ctx)));
}

/* What runs behind a handle. */
static void must_say(faas_fn fn, const char *name)
{
    faas_result *result = result_of(fn, NULL);

    ck_assert_bytes(faas_result_bytes(result), name);
    faas_result_release(result);
}

START_TEST(every_hash_is_equal_here)
{
    ck_assert(faasi_hash("a", 1) == faasi_hash("bcd", 3));
    ck_assert(faasi_hash("", 0) == faasi_hash("\0", 1));
}
END_TEST

enum { NAMES = 400 };

static void name_of(int i, char name[64])
{
    /* Of one length, of several, and beginnings of each other. */
    switch (i % 3) {
    case 0:
        snprintf(name, 64, "fn%03d", i);
        break;
    case 1:
        snprintf(name, 64, "%.*s", 1 + i / 10,
                 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
        snprintf(name + strlen(name), 64 - strlen(name), "%d", i);
        break;
    default:
        snprintf(name, 64, "%03dfn", i);
    }
}

START_TEST(names_are_compared_whole)
{
    static faas_fn fns[NAMES];
    char name[64];
    faas_fn found;

    OPEN_DEFAULT();
    for (int i = 0; i < NAMES; i++) {
        name_of(i, name);
        fns[i] = function_of(FAAS_FUNCTION(.name = name, .handler = says_name));
        ck_assert_status(faas_function_register(
                             w.rt, FAAS_FUNCTION(.name = name, .handler = answers), NULL),
                         FAAS_EEXIST);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < NAMES; i++) {
            name_of(i, name);
            if (i % 5 == 0 && round == 1) {
                ck_assert_status(faas_function_find(w.rt, faas_str(name), &found),
                                 FAAS_ENOENT);
                continue;
            }
            ck_assert_ok(faas_function_find(w.rt, faas_str(name), &found));
            ck_assert(same_fn(found, fns[i]));
            must_say(found, name);
            strcat(name, "?");
            ck_assert_status(faas_function_find(w.rt, faas_str(name), &found),
                             FAAS_ENOENT);
            ck_assert(no_fn(found));
        }
        for (int i = 0; i < NAMES; i += 5) {
            name_of(i, name);
            if (round == 0)
                ck_assert_ok(faas_function_unregister(w.rt, fns[i]));
            else if (round == 1)
                fns[i] = function_of(FAAS_FUNCTION(.name = name, .handler = says_name));
        }
    }
    CLOSE();
}
END_TEST

START_TEST(names_are_found_behind_graves)
{
    faas_fn fn, keeps, found;

    OPEN_DEFAULT();
    for (int i = 0; i < 300; i++) { // far more than there are words in the table
        char name[24];

        fn = function_of(FAAS_FUNCTION(.name = "first", .handler = says_name));
        snprintf(name, sizeof name, "keeps%d", i);
        keeps = function_of(FAAS_FUNCTION(.name = name, .handler = says_name));
        ck_assert_ok(faas_function_unregister(w.rt, fn));
        ck_assert_ok(faas_function_find(w.rt, faas_str(name), &found));
        ck_assert(same_fn(found, keeps));
        ck_assert_status(faas_function_find(w.rt, faas_str("first"), &found),
                         FAAS_ENOENT);
        ck_assert_ok(faas_function_unregister(w.rt, keeps));
    }
    CLOSE();
}
END_TEST

START_TEST(versions_and_aliases_go_where_they_belong)
{
    static const char *const names[] = {"a", "b", "ab", "ba"};
    faas_share shares[2] = {{1, 1}, {2, 3}};
    faas_fn fns[4], alias, found;

    OPEN_DEFAULT();
    for (int i = 0; i < 4; i++) {
        fns[i] = function_of(FAAS_FUNCTION(.name = names[i], .handler = says_name));
        for (int v = 0; v < 2; v++)
            ck_assert_ok(faas_function_publish(w.rt, fns[i], NULL, NULL));
        ck_assert_ok(faas_alias_put(w.rt, fns[i], "live", shares, 2, NULL));
        ck_assert_ok(faas_alias_put(w.rt, fns[i], "old", shares, 1, NULL));
    }
    for (int i = 0; i < 4; i++) {
        char text[24];
        faas_result *result;

        must_say(fns[i], names[i]);
        snprintf(text, sizeof text, "%s:2", names[i]);
        ck_assert_ok(faas_function_find(w.rt, faas_str(text), &found));
        must_say(found, text);
        snprintf(text, sizeof text, "%s:old", names[i]);
        ck_assert_ok(faas_function_find(w.rt, faas_str(text), &alias));
        snprintf(text, sizeof text, "%s:1", names[i]);
        must_say(alias, text);
        snprintf(text, sizeof text, "%s:live", names[i]);
        ck_assert_ok(faas_function_find(w.rt, faas_str(text), &alias));
        /* All keys fall alike, but to a version of this function. */
        result = result_of(alias, NULL);
        snprintf(text, sizeof text, "%s:", names[i]);
        ck_assert_uint_eq(faas_result_bytes(result).size, strlen(text) + 1);
        ck_assert_mem_eq(faas_result_bytes(result).data, text, strlen(text));
        faas_result_release(result);
    }
    CLOSE();
}
END_TEST

/* ---- events ---- */

enum { TYPES = 12 };

static unsigned ran[TYPES];

static int notes(faas_context *ctx, faas_bytes input)
{
    unsigned *mine = faas_user(ctx);
    char type[16];

    (void)input;
    snprintf(type, sizeof type, "t.%d", (int)(mine - ran));
    ck_assert_str_eq(faas_event_type(faas_context_event(ctx)), type);
    ++*mine;
    return 0;
}

START_TEST(events_go_to_subscriptions_of_their_type_alone)
{
    static const int order[] = {0, 1, 0, 2, 1, 0, 3,  2,  1, 0,
                                4, 5, 6, 7, 8, 9, 10, 11, 5, 7};
    unsigned want[TYPES] = {0};
    char text[16];
    faas_fn fns[TYPES];
    uint64_t ids[20];

    OPEN_DEFAULT();
    for (int i = 0; i < TYPES; i++) {
        snprintf(text, sizeof text, "f%d", i);
        fns[i] =
            function_of(FAAS_FUNCTION(.name = text, .handler = notes, .user = &ran[i]));
    }
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof text, "t.%d", order[i]);
        ck_assert_ok(faas_subscribe(w.rt, fns[order[i]], FAAS_ON(.type = text), &ids[i]));
        want[order[i]]++;
    }
    for (int round = 0; round < 2; round++) {
        memset(ran, 0, sizeof ran);
        for (int i = 0; i < TYPES; i++) {
            faas_delivery d;

            snprintf(text, sizeof text, "t.%d", i);
            ck_assert_ok(faas_publish_json(w.rt, "/s", text, "1", &d));
            ck_assert_uint_eq(d.matched, want[i]);
            ck_assert_uint_eq(d.ran, want[i]);
            ck_assert_uint_eq(ran[i], want[i]);
        }
        for (int i = 0; i < 20 && round == 0; i += 3) {
            ck_assert_ok(faas_unsubscribe(w.rt, ids[i]));
            want[order[i]]--;
        }
    }
    CLOSE();
}
END_TEST

START_TEST(remembered_answers_go_to_their_own_inputs)
{
    enum { INPUTS = 300 };
    char text[64];
    faas_fn fn;

    OPEN_DEFAULT();
    fn = function_of(
        FAAS_FUNCTION(.name = "f", .handler = echoes, .cache_bytes = 1000000));
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < INPUTS; i++) {
            faas_result *result;

            name_of(i, text);
            result = result_of(fn, text);
            ck_assert_bytes(faas_result_bytes(result), text);
            faas_result_release(result);
        }
    ck_assert_uint_eq(stats_of(fn).cache_hits, INPUTS);
    ck_assert_uint_eq(stats_of(fn).cache_count, INPUTS);
    for (int size = 6; size >= 0; size--) { // the beginning of what is remembered
        faas_result *result;

        snprintf(text, sizeof text, "%.*s", size, "pppppp");
        result = result_of(fn, text);
        ck_assert_bytes(faas_result_bytes(result), text);
        faas_result_release(result);
    }
    ck_assert_uint_eq(stats_of(fn).invocations, INPUTS + 7);
    CLOSE();
}
END_TEST

START_TEST(tenants_lanes_and_groups_are_compared_whole)
{
    static const char *const texts[] = {"x", "xx", "", "xy", "y"};
    struct faasi_item items[2][FAASI_COUNT(texts)], *next;
    struct faasi_source source;
    struct faasi_lanes lanes;

    faasi_source_init(&source);
    ck_assert_ok(faasi_lanes_init(&lanes, SEC, &faasi_default_allocator));
    for (size_t round = 0; round < 2; round++)
        for (size_t i = 0; i < FAASI_COUNT(texts); i++)
            ck_assert_ok(faasi_lanes_push(
                &lanes, &items[round][i],
                &(const struct faasi_lane_key){.source = &source,
                                               .tenant = faas_str(texts[i]),
                                               .weight = 1,
                                               .level = i % 2,
                                               .group = faas_str(texts[i])},
                0));
    ck_assert_uint_eq(lanes.tenants.count, FAASI_COUNT(texts) - 1); // without ""
    ck_assert_uint_eq(lanes.groups.count, FAASI_COUNT(texts));
    /* Of the second round each stands behind its own group's first. */
    for (size_t i = 0; i < FAASI_COUNT(texts); i++)
        ck_assert_ptr_nonnull(faasi_lanes_pop(&lanes, 0));
    ck_assert_ptr_null(faasi_lanes_pop(&lanes, 0));
    for (size_t i = 0; i < FAASI_COUNT(texts); i++) {
        faasi_lanes_done(&lanes, &items[0][i], true, 0);
        next = faasi_lanes_pop(&lanes, 0);
        ck_assert_ptr_eq(next, &items[1][i]);
        faasi_lanes_done(&lanes, next, true, 0);
    }
    faasi_source_fini(&lanes, &source);
    faasi_lanes_fini(&lanes);
}
END_TEST

START_TEST(events_that_were_published_are_told_apart)
{
    atomic_uint handled = 0;
    char id[16];

    OPEN(.dedupe = FAAS_DEDUPE_ID);
    ck_assert_ok(faas_subscribe(
        w.rt,
        function_of(FAAS_FUNCTION(.name = "a", .handler = counts, .user = &handled)),
        NULL, NULL));
    for (unsigned round = 0; round < 2; round++)
        for (int i = 0; i < NAMES; i++) {
            faas_event *event;
            faas_delivery d;

            snprintf(id, sizeof id, "%d", i);
            ck_assert_ok(faas_event_create(
                FAAS_EVENT(.type = "t", .source = "s", .id = id, .allocator = &w.alloc),
                &event));
            ck_assert_ok(faas_publish(w.rt, event, &d));
            ck_assert_uint_eq(d.repeated, round);
            faas_event_release(event);
        }
    ck_assert_uint_eq(atomic_load(&handled), NAMES);
    CLOSE();
}
END_TEST

SUITE_MAIN("collide", every_hash_is_equal_here,
           tenants_lanes_and_groups_are_compared_whole, names_are_compared_whole,
           names_are_found_behind_graves, versions_and_aliases_go_where_they_belong,
           events_go_to_subscriptions_of_their_type_alone,
           events_that_were_published_are_told_apart,
           remembered_answers_go_to_their_own_inputs)
