/* SPDX-License-Identifier: MIT */
/* Rule sets: edits, answers, memory, refusals, explanations. */
#include "naive_match.h"
#include "rule_maker.h"
#include "support.h"

#include "core/ruleset.h"

/* Hashes that are all alike say nothing of memory. */
#ifdef FAASI_HASH_CONSTANT
#define WEIGHS false
#else
#define WEIGHS true
#endif

#ifdef FAASI_SANITIZED
#define EDITS 3000
#define MANY 5000
#else
#define EDITS 100000
#define MANY 100000
#endif

static faas_ruleset *set_open(const faas_allocator *alloc)
{
    faas_ruleset_options options = FAAS_RULESET_OPTIONS_INIT;
    faas_ruleset *set;

    options.allocator = alloc;
    options.scratch_bytes = 1u << 20;
    ck_assert_ok(faas_ruleset_open(&set, &options));
    return set;
}

static size_t matches(faas_ruleset *set, const char *event)
{
    size_t count;

    ck_assert_ok(faas_ruleset_match(set, faas_str(event), 0, NULL, 0, &count));
    return count;
}

START_TEST(put_replaces_and_delete_removes)
{
    faas_ruleset *set = set_open(NULL);
    int one, two;
    faas_match match;
    size_t count;

    ck_assert_uint_eq(faas_ruleset_count(set), 0);
    ck_assert_uint_eq(matches(set, "{\"a\":1}"), 0);
    ck_assert_ok(faas_ruleset_put(set, "r", faas_str("{\"a\":[1]}"), &one));
    ck_assert_uint_eq(faas_ruleset_count(set), 1);
    ck_assert_uint_eq(matches(set, "{\"a\":1}"), 1);
    ck_assert_ok(faas_ruleset_put(set, "r", faas_str("{\"a\":[2]}"), &two));
    ck_assert_uint_eq(faas_ruleset_count(set), 1);
    ck_assert_uint_eq(matches(set, "{\"a\":1}"), 0);
    ck_assert_ok(faas_ruleset_match(set, faas_str("{\"a\":2}"), 0, &match, 1, &count));
    ck_assert_uint_eq(count, 1);
    ck_assert_ptr_eq(match.user, &two);
    ck_assert_str_eq(match.name, "r");
    ck_assert_ok(faas_ruleset_delete(set, "r"));
    ck_assert_uint_eq(faas_ruleset_count(set), 0);
    ck_assert_uint_eq(matches(set, "{\"a\":2}"), 0);
    ck_assert_status(faas_ruleset_delete(set, "r"), FAAS_ENOENT);
    faas_ruleset_close(set);
    faas_ruleset_close(NULL);
}
END_TEST

START_TEST(a_refused_pattern_leaves_the_rule_as_it_was)
{
    faas_ruleset *set = set_open(NULL);

    ck_assert_ok(faas_ruleset_put(set, "r", faas_str("{\"a\":[1]}"), NULL));
    ck_assert_status(faas_ruleset_put(set, "r", faas_str("{\"a\":[1}"), NULL),
                     FAAS_ESYNTAX);
    ck_assert_str_eq(faas_error_text(),
                     "pattern: byte 7: found `}`, expected ',' or ']'");
    ck_assert_status(faas_ruleset_put(set, "r", faas_str("{\"a\":1}"), NULL),
                     FAAS_EINVAL);
    ck_assert_uint_eq(matches(set, "{\"a\":1}"), 1);
    faas_ruleset_close(set);
}
END_TEST

START_TEST(a_match_counts_beyond_its_capacity)
{
    faas_ruleset *set = set_open(NULL);
    faas_match out[3] = {{NULL, NULL}};
    char name[16];
    size_t count;

    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "r%d", i);
        ck_assert_ok(faas_ruleset_put(set, name, faas_str("{\"a\":[1]}"), NULL));
    }
    ck_assert_ok(faas_ruleset_match(set, faas_str("{\"a\":1}"), 0, out, 2, &count));
    ck_assert_uint_eq(count, 10);
    ck_assert_ptr_nonnull(out[1].name);
    ck_assert_ptr_null(out[2].name);
    faas_ruleset_close(set);
}
END_TEST

START_TEST(a_rule_matches_once_however_often_it_is_found)
{
    static const char *const patterns[] = {
        "{\"a\":[1,2,{\"numeric\":[\">\",0]},{\"exists\":true},{\"anything-but\":9}]}",
        "{\"$or\":[{\"a\":[1]},{\"a\":[2]},{\"a\":[{\"exists\":true}]},{\"z\":[null]}]}",
        "{\"a\":[{\"numeric\":[\"<\",5]}],\"b\":[{\"prefix\":\"\"}]}",
        "{\"a\":[{\"numeric\":[\"<\",5]}]}",
    };
    faas_ruleset *set = set_open(NULL);

    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        ck_assert_ok(faas_ruleset_put(set, patterns[i], faas_str(patterns[i]), NULL));
    ck_assert_uint_eq(matches(set, "{\"a\":[1,2,1,2],\"b\":[\"x\",\"y\"]}"), 4);
    ck_assert_uint_eq(matches(set, "{\"a\":1,\"b\":\"x\"}"), 4);
    faas_ruleset_close(set);
}
END_TEST

START_TEST(malformed_events_are_refused_at_their_byte)
{
    faas_ruleset *set = set_open(NULL);
    size_t count = 7;

    ck_assert_ok(faas_ruleset_put(set, "r", faas_str("{\"a\":[1]}"), NULL));
    ck_assert_status(
        faas_ruleset_match(set, faas_str("{\"a\":1,\"b\":[01]}"), 0, NULL, 0, &count),
        FAAS_ESYNTAX);
    ck_assert_uint_eq(count, 0);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "event: byte 1"));
    ck_assert_status(faas_ruleset_match(set, faas_str("[1]"), 0, NULL, 0, &count),
                     FAAS_ESYNTAX);
    ck_assert_status(faas_ruleset_match(set, faas_str(""), 0, NULL, 0, &count),
                     FAAS_ESYNTAX);
    ck_assert_status(faas_ruleset_match(set, faas_str("{} {}"), 0, NULL, 0, &count),
                     FAAS_ESYNTAX);
    ck_assert_status(faas_ruleset_match(set, faas_str("{}"), 2, NULL, 0, &count),
                     FAAS_EINVAL);
    faas_ruleset_close(set);
}
END_TEST

/* What every member of the set says of an event, in one word. */
static uint64_t set_answer(faas_ruleset *set, faas_bytes event, size_t *users)
{
    static faas_match out[4096];
    uint64_t answer = 0;
    size_t count;

    ck_assert_ok(faas_ruleset_match(set, event, 0, out, 4096, &count));
    ck_assert_uint_le(count, 4096);
    for (size_t i = 0; i < count; i++)
        answer += ((uint64_t)(uintptr_t)out[i].user + 1) * 0x9E3779B97F4A7C15u;
    *users = count;
    return answer;
}

struct live {
    char name[16];
    char *pattern; /* NULL: there is none */
};

/* Compares with the naive matcher, rule by rule, and with a set built afresh. */
static void set_compare(faas_ruleset *set, const struct live *live, size_t live_count,
                        struct maker *m, bool memory)
{
    struct faulty f = {0};
    faas_allocator alloc = faulty_allocator(&f);
    faas_ruleset *fresh = set_open(&alloc);
    size_t dead, bytes, fresh_dead, fresh_bytes, count, fresh_count;

    for (size_t i = 0; i < live_count; i++)
        if (live[i].pattern != NULL)
            ck_assert_ok(faas_ruleset_put(fresh, live[i].name, faas_str(live[i].pattern),
                                          (void *)(uintptr_t)i));
    for (int e = 0; e < 8; e++) {
        uint64_t expected = 0;
        size_t wanted = 0;
        faas_bytes event;

        m->narrow = e % 2 == 0;
        maker_event(m);
        event = faas_bytes_of(m->text, m->used);
        for (size_t i = 0; i < live_count; i++) {
            enum naive_answer answer;

            if (live[i].pattern == NULL)
                continue;
            answer = naive_match(live[i].pattern, strlen(live[i].pattern), event.data,
                                 event.size);
            ck_assert(answer == NAIVE_YES || answer == NAIVE_NO);
            if (answer == NAIVE_YES) {
                expected += ((uint64_t)i + 1) * 0x9E3779B97F4A7C15u;
                wanted++;
            }
        }
        naive_free_all();
        ck_assert_uint_eq(set_answer(set, event, &count), expected);
        ck_assert_uint_eq(count, wanted);
        ck_assert_uint_eq(set_answer(fresh, event, &fresh_count), expected);
    }
    bytes = faasi_ruleset_bytes(set, &dead) + dead;
    fresh_bytes = faasi_ruleset_bytes(fresh, &fresh_dead) + fresh_dead;
    if (memory)
        ck_assert_msg(bytes <= fresh_bytes + fresh_bytes / 10,
                      "%zu bytes, %zu of them dead; afresh %zu", bytes, dead,
                      fresh_bytes);
    faas_ruleset_close(fresh);
    ck_assert_uint_eq(f.live_bytes, 0);
}

START_TEST(random_edits_answer_and_weigh_as_a_fresh_set)
{
    static struct maker m = {.state = 0x853c49e6748fea9b, .valid = true};
    static struct live live[200];
    struct faulty f = {0};
    faas_allocator alloc = faulty_allocator(&f);
    faas_ruleset *set = set_open(&alloc);
    size_t refused = 0;

    for (size_t i = 0; i < 200; i++)
        snprintf(live[i].name, sizeof live[i].name, "rule-%zu", i);
    for (int edit = 0; edit < EDITS; edit++) {
        size_t i = maker_pick(&m, edit / 1000 % 2 == 0 ? 200 : 40);
        faas_status status;

        if (maker_pick(&m, 3) == 0) {
            ck_assert_status(faas_ruleset_delete(set, live[i].name),
                             live[i].pattern != NULL ? FAAS_OK : FAAS_ENOENT);
            free(live[i].pattern);
            live[i].pattern = NULL;
        } else {
            maker_pattern(&m);
            status = faas_ruleset_put(set, live[i].name, faas_bytes_of(m.text, m.used),
                                      (void *)(uintptr_t)i);
            if (status == FAAS_OK) {
                free(live[i].pattern);
                live[i].pattern = strdup(m.text);
            } else {
                refused++;
            }
        }
        if (maker_pick(&m, 200) == 0 || edit + 1 == EDITS)
            set_compare(set, live, 200, &m, WEIGHS);
    }
    ck_assert_uint_lt(refused, EDITS / 2);
    for (size_t i = 0; i < 200; i++) {
        if (live[i].pattern != NULL)
            ck_assert_ok(faas_ruleset_delete(set, live[i].name));
        free(live[i].pattern);
        live[i].pattern = NULL;
    }
    ck_assert_uint_eq(faas_ruleset_count(set), 0);
    set_compare(set, live, 200, &m, WEIGHS);
    faas_ruleset_close(set);
    ck_assert_uint_eq(f.live_bytes, 0);
}
END_TEST

static void numbered_put(faas_ruleset *set, unsigned i)
{
    char name[24], pattern[64];

    snprintf(name, sizeof name, "rule-%u", i);
    snprintf(pattern, sizeof pattern, "{\"properties\":{\"id\":[\"%07u\"]}}", i);
    ck_assert_ok(faas_ruleset_put(set, name, faas_str(pattern), NULL));
}

START_TEST(an_exact_rule_takes_less_than_300_bytes)
{
    struct faulty f = {0};
    faas_allocator alloc = faulty_allocator(&f);
    faas_ruleset *set = set_open(&alloc);
    size_t before = f.live_bytes;

    for (unsigned i = 0; i < MANY; i++)
        numbered_put(set, i);
    ck_assert_msg(!WEIGHS || (f.live_bytes - before) / MANY <= 300, "%zu bytes",
                  (f.live_bytes - before) / MANY);
    ck_assert_uint_eq(matches(set, "{\"properties\":{\"id\":\"0004711\"}}"), 1);
    for (unsigned i = 0; i < MANY; i++) {
        char name[24];

        snprintf(name, sizeof name, "rule-%u", i);
        ck_assert_ok(faas_ruleset_delete(set, name));
    }
    ck_assert_msg(!WEIGHS || f.live_bytes <= before + before / 10, "%zu, %zu before",
                  (size_t)f.live_bytes, before);
    faas_ruleset_close(set);
    ck_assert_uint_eq(f.live_bytes, 0);
}
END_TEST

/* Every kind of index, and a field of its own each. */
static const char *const kinds[] = {
    "{\"a\":[\"x\"]}",
    "{\"b\":[1,true]}",
    "{\"c\":[{\"prefix\":\"x\"},{\"suffix\":{\"equals-ignore-case\":\"y\"}}]}",
    "{\"d\":[{\"numeric\":[\">\",1,\"<\",5]},{\"cidr\":\"10.0.0.0/8\"}]}",
    "{\"e\":[{\"wildcard\":\"*x*\"}],\"f\":[{\"exists\":false}]}",
    "{\"$or\":[{\"g\":{\"h\":[1],\"i\":[2]}},{\"j\":[{\"exists\":false}]}]}",
    "{\"k\":[{\"all-of\":[{\"prefix\":\"x\"},{\"anything-but\":\"xy\"}]}]}",
};

START_TEST(edits_leak_nothing_whichever_allocation_fails)
{
    for (unsigned fail_at = 1;; fail_at++) {
        struct faulty f = {.fail_at = fail_at};
        faas_allocator alloc = faulty_allocator(&f);
        faas_ruleset_options options = FAAS_RULESET_OPTIONS_INIT;
        faas_ruleset *set;
        size_t count = 0;

        options.allocator = &alloc;
        if (faas_ruleset_open(&set, &options) != FAAS_OK) {
            ck_assert_ptr_null(set);
            ck_assert_uint_eq(f.live_bytes, 0);
            continue;
        }
        /* Its fields outlive whatever fails. */
        if (faas_ruleset_put(set, "keep", faas_str("{\"b\":[9],\"c\":[9],\"d\":[9]}"),
                             NULL) != FAAS_OK) {
            faas_ruleset_close(set);
            ck_assert_uint_eq(f.live_bytes, 0);
            continue;
        }
        for (int round = 0; round < 3; round++) {
            for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
                char name[8];
                faas_status status;

                snprintf(name, sizeof name, "%zu", i);
                status = faas_ruleset_put(set, name, faas_str(kinds[i]), NULL);
                ck_assert(status == FAAS_OK || status == FAAS_ENOMEM);
                if (status == FAAS_ENOMEM) // the set is as it was, and works
                    ck_assert_ok(faas_ruleset_put(set, name, faas_str(kinds[i]), NULL));
            }
            ck_assert_uint_eq(faas_ruleset_count(set),
                              sizeof kinds / sizeof kinds[0] + 1);
            ck_assert_ok(
                faas_ruleset_match(set,
                                   faas_str("{\"a\":\"x\",\"b\":true,\"c\":\"-Y\",\"d\":"
                                            "2,\"e\":\"-x-\",\"k\":\"xz\"}"),
                                   0, NULL, 0, &count));
            ck_assert_uint_eq(count, 7);
            /* What a failed put has left behind would be found by its first condition. */
            ck_assert_ok(faas_ruleset_match(
                set,
                faas_str("{\"a\":\"x\",\"b\":1,\"c\":\"x\",\"d\":2,\"e\":\"-x-\",\"k\":"
                         "\"xz\",\"g\":{\"h\":1,\"i\":2}}"),
                0, NULL, 0, &count));
            ck_assert_uint_eq(count, 7);
            for (size_t i = 0; round < 2 && i < sizeof kinds / sizeof kinds[0]; i++) {
                char name[8];

                snprintf(name, sizeof name, "%zu", i);
                ck_assert_ok(faas_ruleset_delete(set, name));
            }
        }
        faas_ruleset_close(set);
        ck_assert_uint_eq(f.live_bytes, 0);
        if (f.failures == 0) {
            ck_assert_uint_gt(fail_at, 20);
            break;
        }
    }
}
END_TEST

START_TEST(matching_allocates_once_for_large_events_and_never_again)
{
    static char event[40000] = "{\"a\":[";
    struct faulty f = {0};
    faas_allocator alloc = faulty_allocator(&f);
    faas_ruleset *set = set_open(&alloc);
    size_t used = strlen(event), count;
    unsigned calls;

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        ck_assert_ok(faas_ruleset_put(set, kinds[i], faas_str(kinds[i]), NULL));
    calls = f.calls;
    ck_assert_uint_eq(matches(set, "{\"a\":\"\\u0078\",\"c\":\"YY\",\"j\":1}"), 2);
    ck_assert_uint_eq(f.calls, calls);
    while (used < sizeof event - 20)
        used += (size_t)snprintf(event + used, sizeof event - used, "\"\\u0078\",");
    used += (size_t)snprintf(event + used, sizeof event - used, "1]}");
    for (int i = 0; i < 3; i++) {
        ck_assert_ok(
            faas_ruleset_match(set, faas_bytes_of(event, used), 0, NULL, 0, &count));
        ck_assert_uint_eq(count, 2);
    }
    ck_assert_uint_eq(f.calls, calls + 1);
    faas_ruleset_close(set);
}
END_TEST

START_TEST(an_event_that_needs_too_much_scratch_is_refused)
{
    static char event[200000];
    faas_ruleset_options options = FAAS_RULESET_OPTIONS_INIT;
    faas_ruleset *set;
    size_t count;

    options.scratch_bytes = 65536;
    ck_assert_ok(faas_ruleset_open(&set, &options));
    ck_assert_ok(faas_ruleset_put(set, "r", faas_str("{\"a\":[1]}"), NULL));
    memset(event, ' ', sizeof event);
    memcpy(event, "{\"a\":1}", 7);
    ck_assert_status(
        faas_ruleset_match(set, faas_bytes_of(event, sizeof event), 0, NULL, 0, &count),
        FAAS_EINVAL);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "65536 bytes of scratch"));
    ck_assert_ok(faas_ruleset_match(set, faas_bytes_of(event, sizeof event),
                                    FAAS_EVENT_TRUSTED, NULL, 0, &count));
    ck_assert_uint_eq(count, 1);
    faas_ruleset_close(set);
    options.scratch_bytes = 100;
    ck_assert_status(faas_ruleset_open(&set, &options), FAAS_EINVAL);
    ck_assert_ptr_null(set);
    options.size = 0;
    ck_assert_status(faas_ruleset_open(&set, &options), FAAS_EINVAL);
}
END_TEST

/* Keys that come twice make arrays entangled: many ways to choose from each, and none
 * that has everything. The answer is found or refused, and soon. */
START_TEST(entangled_arrays_are_answered_or_refused)
{
    static char event[60000];
    char pattern[400] = "{\"o\":{";
    faas_ruleset *set = set_open(NULL);
    size_t used = 6, count;

    for (int i = 0; i < 16; i++)
        used += (size_t)snprintf(pattern + used, sizeof pattern - used, "%s\"k%d\":[1]",
                                 i > 0 ? "," : "", i);
    snprintf(pattern + used, sizeof pattern - used, "}}");
    ck_assert_ok(faas_ruleset_put(set, "r", faas_str(pattern), NULL));
    used = 0;
    for (int i = 0; i < 8; i++) // each array has one of two halves of a pair
        used += (size_t)snprintf(event + used, sizeof event - used,
                                 "%c\"o\":[{\"k%d\":1},{\"k%d\":1}]", i > 0 ? ',' : '{',
                                 2 * i, 2 * i + 1);
    used += (size_t)snprintf(event + used, sizeof event - used,
                             ",\"o\":[{\"k0\":1},{\"k1\":1}]}");
    ck_assert_ok(faas_ruleset_match(set, faas_bytes_of(event, used), 0, NULL, 0, &count));
    ck_assert_uint_eq(count, 0);
    used--;
    for (int i = 0; i < 8; i++)
        used += (size_t)snprintf(event + used, sizeof event - used,
                                 ",\"o\":[{\"k%d\":1},{\"k%d\":1}]", 2 * i, 2 * i + 1);
    used += (size_t)snprintf(event + used, sizeof event - used, "}");
    ck_assert_ok(faas_ruleset_match(set, faas_bytes_of(event, used), 0, NULL, 0, &count));
    ck_assert_uint_eq(count, 1);

    used = 0; // all pairs of sixteen keys, over and over
    while (used < sizeof event - 1000)
        for (int i = 0; i < 16 && used < sizeof event - 900; i++) {
            used += (size_t)snprintf(event + used, sizeof event - used, "%c\"o\":[",
                                     used == 0 ? '{' : ',');
            for (int k = 0; k < 16; k++)
                used += (size_t)snprintf(event + used, sizeof event - used,
                                         "%s{\"k%d\":1,\"k%d\":%d}", k > 0 ? "," : "", k,
                                         (k * 7 + i) % 15, i != 3);
            used += (size_t)snprintf(event + used, sizeof event - used, "]");
        }
    used += (size_t)snprintf(event + used, sizeof event - used, "}");
    faas_status status =
        faas_ruleset_match(set, faas_bytes_of(event, used), 0, NULL, 0, &count);
    ck_assert(status == FAAS_OK || status == FAAS_EINVAL);
    faas_ruleset_close(set);
}
END_TEST

START_TEST(trusted_events_may_be_left_early)
{
    faas_ruleset *set = set_open(NULL);
    size_t count;

    ck_assert_ok(faas_ruleset_put(set, "r", faas_str("{\"a\":[1]}"), NULL));
    ck_assert_ok(faas_ruleset_match(set, faas_str("{\"a\":1,\"b\":nonsense"),
                                    FAAS_EVENT_TRUSTED, NULL, 0, &count));
    ck_assert_uint_eq(count, 1);
    ck_assert_ok(faas_ruleset_match(set, faas_str("{\"a\":2,\"a\":1}"),
                                    FAAS_EVENT_TRUSTED, NULL, 0, &count));
    ck_assert_uint_eq(count, 0);
    ck_assert_uint_eq(matches(set, "{\"a\":2,\"a\":1}"), 1);
    faas_ruleset_close(set);
}
END_TEST

START_TEST(many_ranges_find_what_holds_a_number)
{
    faas_ruleset *set = set_open(NULL);
    unsigned low[500], high[500];
    uint64_t state = 99;

    for (unsigned i = 0; i < 500; i++) {
        char name[16], pattern[96];

        state = state * 6364136223846793005u + 1442695040888963407u;
        low[i] = (unsigned)(state >> 40) % 1000;
        high[i] = low[i] + 1 + (unsigned)(state >> 20) % 50;
        snprintf(name, sizeof name, "%u", i);
        snprintf(pattern, sizeof pattern, "{\"a\":[{\"numeric\":[\">=\",%u,\"<\",%u]}]}",
                 low[i], high[i]);
        ck_assert_ok(faas_ruleset_put(set, name, faas_str(pattern), NULL));
    }
    for (unsigned value = 0; value < 1100; value++) {
        char event[32];
        size_t wanted = 0;

        if (value == 500)
            for (unsigned i = 0; i < 500; i += 2) {
                char name[16];

                snprintf(name, sizeof name, "%u", i);
                ck_assert_ok(faas_ruleset_delete(set, name));
                high[i] = low[i];
            }
        for (unsigned i = 0; i < 500; i++)
            wanted += low[i] <= value && value < high[i];
        snprintf(event, sizeof event, "{\"a\":%u}", value);
        ck_assert_uint_eq(matches(set, event), wanted);
    }
    faas_ruleset_close(set);
}
END_TEST

static void why_check(const char *pattern, const char *event, faas_why why,
                      const char *path, const char *asked, const char *found,
                      const char *text)
{
    faas_explanation out;

    ck_assert_ok(faas_pattern_explain(faas_str(pattern), faas_str(event), NULL, &out));
    ck_assert_int_eq(out.why, why);
    ck_assert_str_eq(out.path, path);
    ck_assert_uint_eq(out.asked_size, strlen(asked));
    ck_assert_mem_eq(pattern + out.asked_at, asked, out.asked_size);
    ck_assert_uint_eq(out.found_size, strlen(found));
    ck_assert_mem_eq(event + out.found_at, found, out.found_size);
    ck_assert_str_eq(out.text, text);
}

START_TEST(explain_names_the_first_leaf_that_fails)
{
    const char *pattern =
        "{\"a\":[1],\"b\":{\"c\":[\"x\", \"y\"]},\"d\":[{\"exists\":false}]}";

    why_check(pattern, "{\"a\":1,\"b\":{\"c\":\"y\"}}", FAAS_WHY_MATCHED, "", "", "",
              "the event matches");
    why_check(pattern, "{\"a\":1,\"b\":{\"c\":\"z\"},\"d\":1}", FAAS_WHY_VALUE, "b.c",
              "[\"x\", \"y\"]", "\"z\"", "b.c: asked for [\"x\", \"y\"]; there is \"z\"");
    why_check(pattern, "{\"a\":1,\"b\":{\"c\":[4,5,6]}}", FAAS_WHY_VALUE, "b.c",
              "[\"x\", \"y\"]", "4",
              "b.c: asked for [\"x\", \"y\"]; there is 4 and 2 more");
    why_check(pattern, "{\"b\":{\"c\":\"x\"}}", FAAS_WHY_MISSING, "a", "[1]", "",
              "a: asked for [1]; there is no value");
    why_check(pattern, "{\"a\":1,\"b\":{\"c\":\"x\"},\"d\":null}", FAAS_WHY_PRESENT, "d",
              "[{\"exists\":false}]", "null",
              "d: asked for [{\"exists\":false}]; there is null");
    why_check("{\"i\":{\"a\":[1],\"b\":[2]}}", "{\"i\":[{\"a\":1},{\"b\":2}]}",
              FAAS_WHY_APART, "i.b", "[2]", "2",
              "i.b: asked for [2]; there is such a value, but not in the array element "
              "that the fields before it are in");
}
END_TEST

START_TEST(explain_follows_the_branch_that_gets_furthest)
{
    const char *pattern = "{\"$or\":[{\"a\":[1]},{\"b\":[1]}],\"c\":[1]}";

    why_check(pattern, "{\"b\":1,\"c\":2}", FAAS_WHY_VALUE, "c", "[1]", "2",
              "c: asked for [1]; there is 2");
    why_check(pattern, "{\"c\":1}", FAAS_WHY_MISSING, "a", "[1]", "",
              "a: asked for [1]; there is no value");
    why_check(pattern, "{\"b\":1,\"c\":1}", FAAS_WHY_MATCHED, "", "", "",
              "the event matches");
}
END_TEST

START_TEST(explain_refuses_what_matching_refuses)
{
    faas_explanation out;

    ck_assert_status(faas_pattern_explain(faas_str("{}"), faas_str("{}"), NULL, &out),
                     FAAS_EINVAL);
    ck_assert_status(
        faas_pattern_explain(faas_str("{\"a\":[1]}"), faas_str("{\"a\":}"), NULL, &out),
        FAAS_ESYNTAX);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "event: byte 5"));
    for (unsigned fail_at = 1;; fail_at++) {
        struct faulty f = {.fail_at = fail_at};
        faas_allocator alloc = faulty_allocator(&f);
        faas_ruleset_options options = FAAS_RULESET_OPTIONS_INIT;
        faas_status status;

        options.allocator = &alloc;
        options.scratch_bytes = 65536;
        status = faas_pattern_explain(faas_str(kinds[5]), faas_str("{\"j\":1}"), &options,
                                      &out);
        ck_assert_uint_eq(f.live_bytes, 0);
        if (status == FAAS_OK)
            break;
        ck_assert_status(status, FAAS_ENOMEM);
    }
}
END_TEST

/* What a batch told of each event. */
struct told {
    faas_ruleset *set;
    size_t events;
    size_t counts[40];
    faas_status statuses[40];
    size_t deletes_at;
};

static void batch_take(size_t event, faas_status status, const faas_match *matches,
                       size_t count, void *user)
{
    struct told *told = user;

    ck_assert_uint_eq(event, told->events++);
    told->counts[event] = count;
    told->statuses[event] = status;
    if (status != FAAS_OK)
        ck_assert_ptr_nonnull(strstr(faas_error_text(), "event"));
    else if (count > 0)
        ck_assert_str_eq(matches[0].name, "r");
    if (event == told->deletes_at)
        ck_assert_ok(faas_ruleset_delete(told->set, "r"));
}

START_TEST(a_batch_tells_of_each_event_in_order)
{
    static const char *const texts[] = {"{\"a\":1}", "{\"a\":2}", "{\"a\":", "",
                                        "{\"b\":[]}"};
    struct told told = {.deletes_at = SIZE_MAX};
    faas_ruleset *set = set_open(NULL);
    faas_bytes events[40];
    faas_match out;

    told.set = set;
    for (size_t i = 0; i < 40; i++)
        events[i] = faas_str(texts[i % FAASI_COUNT(texts)]);
    ck_assert_ok(faas_ruleset_put(set, "r", faas_str("{\"a\":[1]}"), NULL));
    for (uint32_t trusted = 0; trusted < 2; trusted++) {
        told.events = 0;
        ck_assert_ok(faas_ruleset_match_batch(set, events, 40,
                                              trusted != 0 ? FAAS_EVENT_TRUSTED : 0, &out,
                                              1, batch_take, &told));
        ck_assert_uint_eq(told.events, 40);
        for (size_t i = 0; i < 40; i++) {
            const size_t text = i % FAASI_COUNT(texts);

            ck_assert_uint_eq(told.counts[i], text == 0);
            if (trusted == 0)
                ck_assert_int_eq(told.statuses[i],
                                 text == 2 || text == 3 ? FAAS_ESYNTAX : FAAS_OK);
        }
    }
    told.events = 0;
    ck_assert_ok(faas_ruleset_match_batch(set, events, 0, 0, &out, 1, batch_take, &told));
    ck_assert_int_eq(
        faas_ruleset_match_batch(set, events, 40, 0x80, &out, 1, batch_take, &told),
        FAAS_EINVAL);
    ck_assert_uint_eq(told.events, 0);
    faas_ruleset_close(set);
}
END_TEST

START_TEST(what_a_batch_calls_may_edit_the_set)
{
    struct told told = {.deletes_at = 5};
    faas_bytes events[40];
    faas_match out;

    told.set = set_open(NULL);
    for (size_t i = 0; i < 40; i++)
        events[i] = faas_str("{\"a\":1}");
    ck_assert_ok(faas_ruleset_put(told.set, "r", faas_str("{\"a\":[1]}"), NULL));
    ck_assert_ok(faas_ruleset_match_batch(told.set, events, 40, FAAS_EVENT_TRUSTED, &out,
                                          1, batch_take, &told));
    for (size_t i = 0; i < 40; i++)
        ck_assert_uint_eq(told.counts[i], i <= 5);
    faas_ruleset_close(told.set);
}
END_TEST

SUITE_MAIN("ruleset", put_replaces_and_delete_removes,
           a_refused_pattern_leaves_the_rule_as_it_was,
           a_match_counts_beyond_its_capacity,
           a_rule_matches_once_however_often_it_is_found,
           malformed_events_are_refused_at_their_byte,
           random_edits_answer_and_weigh_as_a_fresh_set,
           an_exact_rule_takes_less_than_300_bytes,
           edits_leak_nothing_whichever_allocation_fails,
           matching_allocates_once_for_large_events_and_never_again,
           an_event_that_needs_too_much_scratch_is_refused,
           entangled_arrays_are_answered_or_refused, trusted_events_may_be_left_early,
           many_ranges_find_what_holds_a_number, explain_names_the_first_leaf_that_fails,
           explain_follows_the_branch_that_gets_furthest,
           explain_refuses_what_matching_refuses, a_batch_tells_of_each_event_in_order,
           what_a_batch_calls_may_edit_the_set)
