/* SPDX-License-Identifier: MIT */
/* The pattern language, edge by edge. Each row is put to the rule set and to the naive
 * matcher, so that neither drifts. */
#include "naive_match.h"
#include "support.h"

#include "core/json.h"
#include "core/pattern.h"

#include <faas/rules.h>

struct row {
    const char *pattern;
    const char *event;
    bool matches;
};

static size_t count_matches(faas_bytes pattern, faas_bytes event, uint32_t flags)
{
    faas_ruleset *set;
    faas_match match;
    size_t count;

    ck_assert_ok(faas_ruleset_open(&set, NULL));
    ck_assert_ok(faas_ruleset_put(set, "rule", pattern, NULL));
    ck_assert_ok(faas_ruleset_match(set, event, flags, &match, 1, &count));
    ck_assert_uint_le(count, 1);
    if (count == 1)
        ck_assert_str_eq(match.name, "rule");
    faas_ruleset_close(set);
    return count;
}

static void rows_check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        faas_bytes pattern = faas_str(row->pattern), event = faas_str(row->event);
        faas_explanation why;

        ck_assert_msg(count_matches(pattern, event, 0) == row->matches,
                      "rule set: %s on %s is not %d", row->pattern, row->event,
                      row->matches);
        ck_assert_msg(count_matches(pattern, event, FAAS_EVENT_TRUSTED) == row->matches,
                      "trusted: %s on %s is not %d", row->pattern, row->event,
                      row->matches);
        ck_assert_msg(naive_match(row->pattern, pattern.size, row->event, event.size) ==
                          (row->matches ? NAIVE_YES : NAIVE_NO),
                      "naive: %s on %s is not %d", row->pattern, row->event,
                      row->matches);
        ck_assert_ok(faas_pattern_explain(pattern, event, NULL, &why));
        ck_assert_msg((why.why == FAAS_WHY_MATCHED) == row->matches,
                      "explain: %s on %s is not %d", row->pattern, row->event,
                      row->matches);
    }
    naive_free_all();
}

#define ROWS(name, ...)                                                                  \
    START_TEST(name)                                                                     \
    {                                                                                    \
        static const struct row rows[] = {__VA_ARGS__};                                  \
                                                                                         \
        rows_check(rows, sizeof rows / sizeof rows[0]);                                  \
    }                                                                                    \
    END_TEST

// clang-format off

/* a.1 */

ROWS(alternatives_are_ored_and_fields_are_anded,
    {"{\"s\":[\"x\"],\"d\":{\"t\":[{\"numeric\":[\">\",100]},\"free\"]}}", "{\"s\":\"x\",\"d\":{\"t\":101}}", true},
    {"{\"s\":[\"x\"],\"d\":{\"t\":[{\"numeric\":[\">\",100]},\"free\"]}}", "{\"s\":\"x\",\"d\":{\"t\":\"free\"}}", true},
    {"{\"s\":[\"x\"],\"d\":{\"t\":[{\"numeric\":[\">\",100]},\"free\"]}}", "{\"s\":\"x\",\"d\":{\"t\":100}}", false},
    {"{\"s\":[\"x\"],\"d\":{\"t\":[{\"numeric\":[\">\",100]},\"free\"]}}", "{\"s\":\"y\",\"d\":{\"t\":101}}", false},
    {"{\"s\":[\"x\",\"y\",\"z\",1,true]}", "{\"s\":\"z\"}", true})

ROWS(keys_compare_unescaped_and_by_case,
    {"{\"\\u0073ource\":[1]}", "{\"source\":1}", true},
    {"{\"source\":[1]}", "{\"\\u0073ource\":1}", true},
    {"{\"Source\":[1]}", "{\"source\":1}", false},
    {"{\"\":[1]}", "{\"\":1}", true},
    {"{\"a\":{\"\":{\"\":[1]}}}", "{\"a\":{\"\":{\"\":1}}}", true},
    {"{\"a\":{\"\":[1]}}", "{\"a\":1}", false},
    {"{\"\\ud83d\\ude00\":[1]}", "{\"\xF0\x9F\x98\x80\":1}", true})

ROWS(a_key_with_a_dot_is_one_step,
    {"{\"order.id\":[7]}", "{\"order.id\":7}", true},
    {"{\"order.id\":[7]}", "{\"order\":{\"id\":7}}", false},
    {"{\"order\":{\"id\":[7]}}", "{\"order.id\":7}", false},
    {"{\"order\":{\"id\":[7]}}", "{\"order\":{\"id\":7}}", true})

/* a.2 */

ROWS(arrays_add_no_step,
    {"{\"tags\":[\"new\"]}", "{\"tags\":[[\"new\"],\"hot\"]}", true},
    {"{\"tags\":[\"hot\"]}", "{\"tags\":[[\"new\"],\"hot\"]}", true},
    {"{\"tags\":[\"cold\"]}", "{\"tags\":[[\"new\"],\"hot\"]}", false},
    {"{\"a\":{\"b\":[2]}}", "{\"a\":[{\"b\":1},{\"b\":2}]}", true},
    {"{\"a\":[1]}", "{\"a\":[{\"b\":2},1]}", true},
    {"{\"a\":{\"b\":[2]}}", "{\"a\":[{\"b\":2},1]}", true})

ROWS(empty_containers_give_no_value,
    {"{\"a\":[{\"exists\":true}]}", "{\"a\":[]}", false},
    {"{\"a\":[{\"exists\":true}]}", "{\"a\":{}}", false},
    {"{\"a\":[{\"exists\":true}]}", "{\"a\":[[],[[]]]}", false},
    {"{\"a\":[{\"exists\":true}]}", "{\"a\":[[],[[1]]]}", true})

ROWS(fields_that_no_rule_names_are_ignored,
    {"{\"b\":[1]}", "{\"a\":{\"b\":2},\"b\":1,\"c\":[1,{\"b\":3}]}", true})

/* a.3, in strict matching; trusted may stop early, so the rows of duplicates follow on
 * their own. */

START_TEST(every_occurrence_of_a_key_counts)
{
    static const struct row rows[] = {
        {"{\"k\":[\"x\"]}", "{\"k\":\"x\",\"k\":\"y\"}", true},
        {"{\"k\":[\"y\"]}", "{\"k\":\"x\",\"k\":\"y\"}", true},
        {"{\"o\":{\"p\":[\"x\"],\"q\":[\"y\"]}}", "{\"o\":{\"p\":\"x\"},\"o\":{\"q\":\"y\"}}", true},
        {"{\"o\":{\"p\":[\"x\"]}}", "{\"o\":1,\"o\":{\"p\":\"x\"}}", true},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        faas_bytes pattern = faas_str(rows[i].pattern), event = faas_str(rows[i].event);

        ck_assert_uint_eq(count_matches(pattern, event, 0), rows[i].matches);
        ck_assert_int_eq(naive_match(rows[i].pattern, pattern.size, rows[i].event, event.size), NAIVE_YES);
    }
    naive_free_all();
}
END_TEST

ROWS(the_last_leaf_of_a_path_wins_and_objects_merge,
    {"{\"k\":[\"x\"],\"k\":[\"y\"]}", "{\"k\":\"y\"}", true},
    {"{\"k\":[\"x\"],\"k\":[\"y\"]}", "{\"k\":\"x\"}", false},
    {"{\"o\":{\"p\":[\"x\"]},\"o\":{\"q\":[\"y\"]}}", "{\"o\":{\"p\":\"x\",\"q\":\"y\"}}", true},
    {"{\"o\":{\"p\":[\"x\"]},\"o\":{\"q\":[\"y\"]}}", "{\"o\":{\"q\":\"y\"}}", false},
    {"{\"o\":{\"p\":[\"x\"]},\"o\":{\"p\":[\"y\"]}}", "{\"o\":{\"p\":\"y\"}}", true})

/* a.4 */

ROWS(strings_compare_byte_for_byte_after_unescaping,
    {"{\"a\":[\"\\u00e9\\n\"]}", "{\"a\":\"\xC3\xA9\\u000a\"}", true},
    {"{\"a\":[\"\xC3\xA9\"]}", "{\"a\":\"e\xCC\x81\"}", false},
    {"{\"a\":[\"x\"]}", "{\"a\":\"X\"}", false},
    {"{\"a\":[\"\\ud800\"]}", "{\"a\":\"\\uD800\"}", true},
    {"{\"a\":[\"\\ud800\"]}", "{\"a\":\"\\ud801\"}", false},
    {"{\"a\":[\"\\ud83d\\ude00\"]}", "{\"a\":\"\xF0\x9F\x98\x80\"}", true},
    {"{\"a\":[\"\"]}", "{\"a\":\"\"}", true},
    {"{\"a\":[\"\"]}", "{\"a\":\"x\"}", false},
    {"{\"a\":[\"\"]}", "{\"a\":null}", false},
    {"{\"a\":[\"a\\u0000b\"]}", "{\"a\":\"a\\u0000b\"}", true})

ROWS(literals_are_no_strings,
    {"{\"a\":[null]}", "{\"a\":null}", true}, {"{\"a\":[null]}", "{\"a\":\"null\"}", false},
    {"{\"a\":[true]}", "{\"a\":true}", true}, {"{\"a\":[true]}", "{\"a\":\"true\"}", false},
    {"{\"a\":[false]}", "{\"a\":false}", true}, {"{\"a\":[false]}", "{\"a\":true}", false},
    {"{\"a\":[\"null\"]}", "{\"a\":null}", false}, {"{\"a\":[null]}", "{}", false},
    {"{\"a\":[null]}", "{\"a\":[]}", false}, {"{\"a\":[null]}", "{\"a\":[null]}", true})

ROWS(a_string_like_an_address_is_a_string,
    {"{\"a\":[\"10.0.0.1\"]}", "{\"a\":\"10.0.0.1\"}", true},
    {"{\"a\":[\"10.0.0.1\"]}", "{\"a\":\"010.0.0.1\"}", false})

/* a.5 */

ROWS(equal_doubles_are_equal_numbers,
    {"{\"a\":[300]}", "{\"a\":300.0}", true}, {"{\"a\":[300]}", "{\"a\":3e2}", true},
    {"{\"a\":[1]}", "{\"a\":1.0}", true}, {"{\"a\":[1]}", "{\"a\":1e0}", true},
    {"{\"a\":[1]}", "{\"a\":1E+0}", true}, {"{\"a\":[0]}", "{\"a\":-0}", true},
    {"{\"a\":[-0.0]}", "{\"a\":0}", true}, {"{\"a\":[1]}", "{\"a\":\"1\"}", false},
    {"{\"a\":[\"1\"]}", "{\"a\":1}", false},
    {"{\"a\":[9007199254740993]}", "{\"a\":9007199254740992}", true},
    {"{\"a\":[12345678901234567]}", "{\"a\":12345678901234568}", true},
    {"{\"a\":[0.1]}", "{\"a\":0.10000000000000000001}", true},
    {"{\"a\":[0.1]}", "{\"a\":0.10000000000000002}", false},
    {"{\"a\":[-122.42916360922355]}", "{\"a\":-122.42916360922355}", true},
    {"{\"a\":[5e-324]}", "{\"a\":4.9e-324}", true},
    {"{\"a\":[0]}", "{\"a\":1e-400}", true})

ROWS(minus_zero_is_zero_in_ranges,
    {"{\"a\":[{\"numeric\":[\"<\",0]}]}", "{\"a\":-0.0}", false},
    {"{\"a\":[{\"numeric\":[\">=\",0]}]}", "{\"a\":-0.0}", true},
    {"{\"a\":[{\"numeric\":[\"<\",0]}]}", "{\"a\":-5e-324}", true},
    {"{\"a\":[{\"anything-but\":0}]}", "{\"a\":-0}", false})

ROWS(numbers_have_no_limit_of_range,
    {"{\"a\":[{\"numeric\":[\">\",5e9]}]}", "{\"a\":5000000001}", true},
    {"{\"a\":[{\"numeric\":[\">\",1e308]}]}", "{\"a\":1e309}", true},
    {"{\"a\":[{\"numeric\":[\"<\",1e308]}]}", "{\"a\":-1e999}", true},
    {"{\"a\":[{\"numeric\":[\"<=\",1.7976931348623157e308]}]}", "{\"a\":1e309}", false},
    {"{\"a\":[{\"numeric\":[\">\",1e19]}]}", "{\"a\":99999999999999999999}", true},
    {"{\"a\":[{\"numeric\":[\"<\",-1e19]}]}", "{\"a\":-99999999999999999999.5}", true},
    {"{\"a\":[{\"numeric\":[\"=\",0.1]}]}", "{\"a\":0.1000000000000000000}", true},
    {"{\"a\":[{\"numeric\":[\">\",0.1]}]}", "{\"a\":0.1000000000000000001}", false},
    {"{\"a\":[{\"numeric\":[\">\",0.1]}]}", "{\"a\":0.10000000000000002}", true},
    {"{\"a\":[{\"anything-but\":1}]}", "{\"a\":1e309}", true})

/* a.6 */

ROWS(exactly_is_a_string,
    {"{\"a\":[{\"exactly\":\"x\"}]}", "{\"a\":\"x\"}", true},
    {"{\"a\":[{\"exactly\":\"1\"}]}", "{\"a\":1}", false})

ROWS(a_prefix_starts_a_string,
    {"{\"a\":[{\"prefix\":\"ab\"}]}", "{\"a\":\"abc\"}", true},
    {"{\"a\":[{\"prefix\":\"ab\"}]}", "{\"a\":\"ab\"}", true},
    {"{\"a\":[{\"prefix\":\"ab\"}]}", "{\"a\":\"a\"}", false},
    {"{\"a\":[{\"prefix\":\"\"}]}", "{\"a\":\"\"}", true},
    {"{\"a\":[{\"prefix\":\"\"}]}", "{\"a\":\"x\"}", true},
    {"{\"a\":[{\"prefix\":\"\"}]}", "{\"a\":1}", false},
    {"{\"a\":[{\"prefix\":\"\"}]}", "{\"a\":null}", false},
    {"{\"a\":[{\"prefix\":\"1\"}]}", "{\"a\":12}", false},
    {"{\"a\":[{\"prefix\":\"a\\\"\"}]}", "{\"a\":\"a\"}", false},
    {"{\"a\":[{\"prefix\":\"a\\\"\"}]}", "{\"a\":\"a\\\"b\"}", true},
    {"{\"a\":[{\"prefix\":\"ab\"}]}", "{\"a\":\"\\u0061bc\"}", true})

ROWS(a_suffix_ends_a_string,
    {"{\"a\":[{\"suffix\":\"bc\"}]}", "{\"a\":\"abc\"}", true},
    {"{\"a\":[{\"suffix\":\"bc\"}]}", "{\"a\":\"bc\"}", true},
    {"{\"a\":[{\"suffix\":\"bc\"}]}", "{\"a\":\"c\"}", false},
    {"{\"a\":[{\"suffix\":\"\"}]}", "{\"a\":\"\"}", true},
    {"{\"a\":[{\"suffix\":\"\"}]}", "{\"a\":true}", false},
    {"{\"a\":[{\"suffix\":\"c\\\"\"}]}", "{\"a\":\"c\"}", false},
    {"{\"a\":[{\"suffix\":\"bc\"}]}", "{\"a\":\"ab\\u0063\"}", true})

#define FOLD(a, b, yes) \
    {"{\"k\":[{\"equals-ignore-case\":\"" a "\"}]}", "{\"k\":\"" b "\"}", yes}, \
    {"{\"k\":[{\"equals-ignore-case\":\"" b "\"}]}", "{\"k\":\"" a "\"}", yes}, \
    {"{\"k\":[{\"prefix\":{\"equals-ignore-case\":\"" a "\"}}]}", "{\"k\":\"" b "-\"}", yes}, \
    {"{\"k\":[{\"suffix\":{\"equals-ignore-case\":\"" b "\"}}]}", "{\"k\":\"-" a "\"}", yes}, \
    {"{\"k\":[{\"contains\":{\"equals-ignore-case\":\"" a "\"}}]}", "{\"k\":\"-" b "-\"}", yes}, \
    {"{\"k\":[{\"anything-but\":{\"equals-ignore-case\":[\"zz\",\"" a "\"]}}]}", "{\"k\":\"" b "\"}", !(yes)}

ROWS(case_is_folded_by_simple_folding_both_ways,
    FOLD("K", "k", true), FOLD("\xC3\x85", "\xC3\xA5", true), FOLD("\xC3\x89", "\xC3\xA9", true),
    FOLD("\xE2\x84\xAA", "k", true), FOLD("\xC5\xBF", "s", true), FOLD("\xE1\xBA\x9E", "\xC3\x9F", true),
    FOLD("\xCF\x82", "\xCF\x83", true), FOLD("\xCF\x82", "\xCE\xA3", true), FOLD("\xCE\xA3", "\xCF\x83", true),
    FOLD("\xC7\x84", "\xC7\x85", true), FOLD("\xC7\x85", "\xC7\x86", true), FOLD("\xC7\x84", "\xC7\x86", true),
    FOLD("\xF0\x90\x90\x80", "\xF0\x90\x90\xA8", true), FOLD("\xC8\xBA", "\xE2\xB1\xA5", true),
    FOLD("\xC3\x9F", "SS", false), FOLD("\xC3\x9F", "ss", false),
    FOLD("\xC4\xB1", "I", false), FOLD("\xC4\xB0", "i", false), FOLD("\xC4\xB1", "\xC4\xB1", true),
    FOLD("\xC4\xB0", "\xC4\xB0", true), FOLD("MiXed", "mIxED", true), FOLD("\\ud800", "\\ud800", true),
    FOLD("[", "{", false), FOLD("@", "`", false))

ROWS(a_wildcard_fits_the_whole_string,
    {"{\"a\":[{\"wildcard\":\"*\"}]}", "{\"a\":\"\"}", true},
    {"{\"a\":[{\"wildcard\":\"*\"}]}", "{\"a\":\"xyz\"}", true},
    {"{\"a\":[{\"wildcard\":\"*\"}]}", "{\"a\":1}", false},
    {"{\"a\":[{\"wildcard\":\"a*c\"}]}", "{\"a\":\"ac\"}", true},
    {"{\"a\":[{\"wildcard\":\"a*c\"}]}", "{\"a\":\"abbc\"}", true},
    {"{\"a\":[{\"wildcard\":\"a*c\"}]}", "{\"a\":\"abcd\"}", false},
    {"{\"a\":[{\"wildcard\":\"ab*ba\"}]}", "{\"a\":\"aba\"}", false},
    {"{\"a\":[{\"wildcard\":\"5\\\\*\"}]}", "{\"a\":\"5*\"}", true},
    {"{\"a\":[{\"wildcard\":\"5\\\\*\"}]}", "{\"a\":\"55\"}", false},
    {"{\"a\":[{\"wildcard\":\"\\\\\\\\*\"}]}", "{\"a\":\"\\\\x\"}", true},
    {"{\"a\":[{\"wildcard\":\"*\\\\**\"}]}", "{\"a\":\"x*y\"}", true},
    {"{\"a\":[{\"wildcard\":\"*\\\\**\"}]}", "{\"a\":\"xy\"}", false},
    {"{\"a\":[{\"wildcard\":\"a?[b]\"}]}", "{\"a\":\"a?[b]\"}", true},
    {"{\"a\":[{\"wildcard\":\"a?\"}]}", "{\"a\":\"ab\"}", false},
    {"{\"a\":[{\"wildcard\":\"A*\"}]}", "{\"a\":\"ab\"}", false},
    {"{\"a\":[{\"wildcard\":\"2*0*1*7\"}]}", "{\"a\":\"2607117\"}", true},
    {"{\"a\":[{\"wildcard\":\"2*0*1*7\"}]}", "{\"a\":\"2617017\"}", true},
    {"{\"a\":[{\"wildcard\":\"*ab*ab*\"}]}", "{\"a\":\"xabab\"}", true},
    {"{\"a\":[{\"wildcard\":\"*ab*ab*\"}]}", "{\"a\":\"xaba\"}", false},
    {"{\"a\":[{\"wildcard\":\"*\xC3\xA9*\"}]}", "{\"a\":\"caf\\u00e9s\"}", true},
    {"{\"a\":[{\"wildcard\":\"\"}]}", "{\"a\":\"\"}", true})

ROWS(numeric_compares_json_numbers,
    {"{\"a\":[{\"numeric\":[\">\",0,\"<=\",5]}]}", "{\"a\":5}", true},
    {"{\"a\":[{\"numeric\":[\">\",0,\"<=\",5]}]}", "{\"a\":0.5}", true},
    {"{\"a\":[{\"numeric\":[\">\",0,\"<=\",5]}]}", "{\"a\":0}", false},
    {"{\"a\":[{\"numeric\":[\">\",0,\"<=\",5]}]}", "{\"a\":\"3\"}", false},
    {"{\"a\":[{\"numeric\":[\">=\",0,\"<\",5]}]}", "{\"a\":0}", true},
    {"{\"a\":[{\"numeric\":[\">=\",0,\"<\",5]}]}", "{\"a\":5}", false},
    {"{\"a\":[{\"numeric\":[\"=\",5]}]}", "{\"a\":5.0}", true},
    {"{\"a\":[{\"numeric\":[\"=\",5]}]}", "{\"a\":\"5\"}", false},
    {"{\"a\":[{\"numeric\":[\"<=\",5]}]}", "{\"a\":5}", true},
    {"{\"a\":[{\"numeric\":[\"<\",5]}]}", "{\"a\":5}", false},
    {"{\"a\":[{\"numeric\":[\"!=\",0]}]}", "{\"a\":1}", true},
    {"{\"a\":[{\"numeric\":[\"!=\",0]}]}", "{\"a\":-0.0}", false},
    {"{\"a\":[{\"numeric\":[\"!=\",0]}]}", "{\"a\":\"1\"}", false},
    {"{\"a\":[{\"numeric\":[\"!=\",0]}]}", "{}", false},
    {"{\"a\":[{\"numeric\":[\">\",1]}]}", "{\"a\":[0,2]}", true})

ROWS(anything_but_wants_another_value,
    {"{\"a\":[{\"anything-but\":\"off\"}]}", "{\"a\":\"on\"}", true},
    {"{\"a\":[{\"anything-but\":\"off\"}]}", "{\"a\":null}", true},
    {"{\"a\":[{\"anything-but\":\"off\"}]}", "{\"a\":true}", true},
    {"{\"a\":[{\"anything-but\":\"off\"}]}", "{\"a\":5}", true},
    {"{\"a\":[{\"anything-but\":\"off\"}]}", "{\"a\":[\"off\",\"on\"]}", true},
    {"{\"a\":[{\"anything-but\":\"off\"}]}", "{\"a\":\"off\"}", false},
    {"{\"a\":[{\"anything-but\":\"off\"}]}", "{\"a\":[\"off\"]}", false},
    {"{\"a\":[{\"anything-but\":\"off\"}]}", "{\"a\":[]}", false},
    {"{\"a\":[{\"anything-but\":\"off\"}]}", "{\"a\":{}}", false},
    {"{\"a\":[{\"anything-but\":\"off\"}]}", "{}", false},
    {"{\"a\":[{\"anything-but\":40}]}", "{\"a\":41}", true},
    {"{\"a\":[{\"anything-but\":40}]}", "{\"a\":\"40\"}", true},
    {"{\"a\":[{\"anything-but\":40}]}", "{\"a\":null}", true},
    {"{\"a\":[{\"anything-but\":40}]}", "{\"a\":40.0}", false},
    {"{\"a\":[{\"anything-but\":[1,2]}]}", "{\"a\":2}", false},
    {"{\"a\":[{\"anything-but\":[1,2]}]}", "{\"a\":3}", true},
    {"{\"a\":[{\"anything-but\":{\"prefix\":\"tmp\"}}]}", "{\"a\":\"a.tmp\"}", true},
    {"{\"a\":[{\"anything-but\":{\"prefix\":\"tmp\"}}]}", "{\"a\":7}", true},
    {"{\"a\":[{\"anything-but\":{\"prefix\":\"tmp\"}}]}", "{\"a\":\"tmp1\"}", false},
    {"{\"a\":[{\"anything-but\":{\"suffix\":[\"x\",\"yz\"]}}]}", "{\"a\":\"xyz\"}", false},
    {"{\"a\":[{\"anything-but\":{\"suffix\":[\"x\",\"yz\"]}}]}", "{\"a\":\"xy\"}", true},
    {"{\"a\":[{\"anything-but\":{\"wildcard\":\"*\"}}]}", "{\"a\":7}", true},
    {"{\"a\":[{\"anything-but\":{\"wildcard\":\"*\"}}]}", "{\"a\":\"\"}", false},
    {"{\"a\":[{\"anything-but\":5},{\"anything-but\":6}]}", "{\"a\":5}", true})

ROWS(exists_looks_at_leaves,
    {"{\"a\":[{\"exists\":true}]}", "{\"a\":null}", true},
    {"{\"a\":[{\"exists\":false}]}", "{\"a\":null}", false},
    {"{\"a\":[{\"exists\":true}]}", "{\"a\":[[{\"b\":1}],[[2]]]}", true},
    {"{\"a\":[{\"exists\":false}]}", "{\"a\":[[{\"b\":1}],[[2]]]}", false},
    {"{\"a\":[{\"exists\":true}]}", "{\"a\":{\"b\":1}}", false},
    {"{\"a\":[{\"exists\":false}]}", "{\"a\":{\"b\":1}}", true},
    {"{\"a\":[{\"exists\":false}]}", "{\"a\":[{\"b\":1}]}", true},
    {"{\"a\":[{\"exists\":false}]}", "{\"a\":[]}", true},
    {"{\"a\":[{\"exists\":false}]}", "{\"a\":{}}", true},
    {"{\"a\":[{\"exists\":false}]}", "{}", true},
    {"{\"a\":[{\"exists\":false}]}", "{\"a\":1}", false},
    {"{\"a\":[{\"exists\":false},\"new\"]}", "{\"a\":\"new\"}", true},
    {"{\"a\":[{\"exists\":false},\"new\"]}", "{}", true},
    {"{\"a\":[{\"exists\":false},\"new\"]}", "{\"a\":\"old\"}", false},
    {"{\"a\":[{\"exists\":true}],\"b\":[{\"exists\":false}]}", "{\"a\":1}", true},
    {"{\"a\":[{\"exists\":true}],\"b\":[{\"exists\":false}]}", "{\"a\":1,\"b\":1}", false})

ROWS(absence_is_judged_over_the_whole_path,
    {"{\"items\":{\"gift\":[{\"exists\":false}],\"qty\":[2]}}", "{\"items\":[{\"gift\":true},{\"qty\":2}]}", false},
    {"{\"items\":{\"gift\":[{\"exists\":false}],\"qty\":[2]}}", "{\"items\":[{\"x\":true},{\"qty\":2}]}", true})

ROWS(cidr_holds_addresses_of_its_family,
    {"{\"a\":[{\"cidr\":\"10.0.0.0/8\"}]}", "{\"a\":\"10.255.0.1\"}", true},
    {"{\"a\":[{\"cidr\":\"10.0.0.0/8\"}]}", "{\"a\":\"11.0.0.1\"}", false},
    {"{\"a\":[{\"cidr\":\"172.16.9.9/12\"}]}", "{\"a\":\"172.31.0.1\"}", true},
    {"{\"a\":[{\"cidr\":\"172.16.9.9/12\"}]}", "{\"a\":\"172.32.0.1\"}", false},
    {"{\"a\":[{\"cidr\":\"10.0.0.0/+8\"}]}", "{\"a\":\"10.1.1.1\"}", true},
    {"{\"a\":[{\"cidr\":\"10.0.0.0/8\"}]}", "{\"a\":\"010.0.0.1\"}", true},
    {"{\"a\":[{\"cidr\":\"10.0.0.1/32\"}]}", "{\"a\":\"10.0.0.1\"}", true},
    {"{\"a\":[{\"cidr\":\"10.0.0.1/32\"}]}", "{\"a\":\"10.0.0.2\"}", false},
    {"{\"a\":[{\"cidr\":\"0.0.0.0/0\"}]}", "{\"a\":\"255.255.255.255\"}", true},
    {"{\"a\":[{\"cidr\":\"0.0.0.0/0\"}]}", "{\"a\":\"::1\"}", false},
    {"{\"a\":[{\"cidr\":\"::/0\"}]}", "{\"a\":\"::1\"}", true},
    {"{\"a\":[{\"cidr\":\"::/0\"}]}", "{\"a\":\"10.0.0.1\"}", false},
    {"{\"a\":[{\"cidr\":\"2001:db8::/32\"}]}", "{\"a\":\"2001:0DB8:0::7\"}", true},
    {"{\"a\":[{\"cidr\":\"2001:db8::/32\"}]}", "{\"a\":\"2001:db9::7\"}", false},
    {"{\"a\":[{\"cidr\":\"2001:db8::1/128\"}]}", "{\"a\":\"2001:db8:0:0:0:0:0:1\"}", true},
    {"{\"a\":[{\"cidr\":\"::ffff:a00:1/128\"}]}", "{\"a\":\"::ffff:a00:1\"}", true},
    {"{\"a\":[{\"cidr\":\"10.0.0.0/8\"}]}", "{\"a\":\"::ffff:a00:1\"}", false},
    {"{\"a\":[{\"cidr\":\"::/0\"}]}", "{\"a\":\"::ffff:10.0.0.1\"}", false},
    {"{\"a\":[{\"cidr\":\"fe80::/10\"}]}", "{\"a\":\"fe80::1%eth0\"}", false},
    {"{\"a\":[{\"cidr\":\"0.0.0.0/0\"}]}", "{\"a\":167772161}", false},
    {"{\"a\":[{\"cidr\":\"0.0.0.0/0\"}]}", "{\"a\":\"10.0.0\"}", false},
    {"{\"a\":[{\"cidr\":\"0.0.0.0/0\"}]}", "{\"a\":\"10.0.0.256\"}", false},
    {"{\"a\":[{\"cidr\":\"0.0.0.0/0\"}]}", "{\"a\":\" 10.0.0.1\"}", false},
    {"{\"a\":[{\"cidr\":\"::/0\"}]}", "{\"a\":\"1::2::3\"}", false},
    {"{\"a\":[{\"cidr\":\"::/0\"}]}", "{\"a\":\"1:2:3:4:5:6:7::\"}", true},
    {"{\"a\":[{\"cidr\":\"::/0\"}]}", "{\"a\":\"1:2:3:4:5:6:7:8:9\"}", false},
    {"{\"a\":[{\"cidr\":\"::/0\"}]}", "{\"a\":\"1:\"}", false})

ROWS(all_of_asks_one_value_for_everything,
    {"{\"a\":[{\"all-of\":[{\"prefix\":\"a\"},{\"suffix\":\"z\"},{\"anything-but\":\"a-z\"}]}]}", "{\"a\":\"abz\"}", true},
    {"{\"a\":[{\"all-of\":[{\"prefix\":\"a\"},{\"suffix\":\"z\"},{\"anything-but\":\"a-z\"}]}]}", "{\"a\":\"a-z\"}", false},
    {"{\"a\":[{\"all-of\":[{\"prefix\":\"a\"},{\"suffix\":\"z\"}]}]}", "{\"a\":[\"ab\",\"yz\"]}", false},
    {"{\"a\":[{\"all-of\":[{\"anything-but\":1},{\"anything-but\":2}]}]}", "{\"a\":1}", false},
    {"{\"a\":[{\"all-of\":[{\"anything-but\":1},{\"anything-but\":2}]}]}", "{\"a\":3}", true},
    {"{\"a\":[{\"all-of\":[{\"numeric\":[\">\",1]},{\"numeric\":[\"!=\",5]}]}]}", "{\"a\":5}", false},
    {"{\"a\":[{\"all-of\":[{\"numeric\":[\">\",1]},{\"numeric\":[\"!=\",5]}]}]}", "{\"a\":6}", true},
    {"{\"a\":[{\"all-of\":[{\"numeric\":[\">\",1]},{\"numeric\":[\"!=\",5]}]}]}", "{\"a\":[5,5,6]}", true})

ROWS(contains_finds_a_piece,
    {"{\"a\":[{\"contains\":\"err\"}]}", "{\"a\":\"an error\"}", true},
    {"{\"a\":[{\"contains\":\"err\"}]}", "{\"a\":\"ERROR\"}", false},
    {"{\"a\":[{\"contains\":{\"equals-ignore-case\":\"err\"}}]}", "{\"a\":\"ERROR\"}", true},
    {"{\"a\":[{\"contains\":\"\"}]}", "{\"a\":\"\"}", true},
    {"{\"a\":[{\"contains\":\"\"}]}", "{\"a\":0}", false},
    {"{\"a\":[{\"anything-but\":{\"contains\":\"err\"}}]}", "{\"a\":\"an error\"}", false},
    {"{\"a\":[{\"anything-but\":{\"contains\":[\"x\",\"y\"]}}]}", "{\"a\":\"z\"}", true},
    {"{\"a\":[{\"anything-but\":{\"contains\":\"err\"}}]}", "{\"a\":1}", true})

/* a.7 */

#define OR1 "{\"source\":[\"shop\"],\"$or\":[{\"type\":[\"created\"]},{\"type\":[\"paid\"],\"data\":{\"total\":[{\"numeric\":[\">\",9]}]}}]}"

ROWS(one_branch_of_or_must_match,
    {OR1, "{\"source\":\"shop\",\"type\":\"created\"}", true},
    {OR1, "{\"source\":\"shop\",\"type\":\"paid\",\"data\":{\"total\":10}}", true},
    {OR1, "{\"source\":\"shop\",\"type\":\"paid\",\"data\":{\"total\":9}}", false},
    {OR1, "{\"source\":\"other\",\"type\":\"created\"}", false},
    {"{\"$or\":[{\"a\":[1]},{\"b\":[1]}],\"$or\":[{\"c\":[1]},{\"d\":[1]}]}", "{\"b\":1,\"c\":1}", true},
    {"{\"$or\":[{\"a\":[1]},{\"b\":[1]}],\"$or\":[{\"c\":[1]},{\"d\":[1]}]}", "{\"a\":1,\"b\":1}", false},
    {"{\"$or\":[{\"a\":[1],\"$or\":[{\"b\":[1]},{\"c\":[1]}]},{\"d\":[1]}]}", "{\"a\":1,\"c\":1}", true},
    {"{\"$or\":[{\"a\":[1],\"$or\":[{\"b\":[1]},{\"c\":[1]}]},{\"d\":[1]}]}", "{\"a\":1}", false},
    {"{\"x\":{\"$or\":[{\"a\":[1]},{\"b\":[1]}]}}", "{\"x\":{\"b\":1}}", true},
    {"{\"x\":{\"$or\":[{\"a\":[1]},{\"b\":[1]}]}}", "{\"b\":1}", false})

ROWS(or_is_read_in_the_order_of_the_text,
    {"{\"a\":[1],\"$or\":[{\"a\":[2]},{\"b\":[1]}]}", "{\"a\":2}", true},
    {"{\"a\":[1],\"$or\":[{\"a\":[2]},{\"b\":[1]}]}", "{\"a\":1}", false},
    {"{\"a\":[1],\"$or\":[{\"a\":[2]},{\"b\":[1]}]}", "{\"a\":1,\"b\":1}", true},
    {"{\"$or\":[{\"a\":[2]},{\"b\":[1]}],\"a\":[1]}", "{\"a\":2}", false},
    {"{\"$or\":[{\"a\":[2]},{\"b\":[1]}],\"a\":[1]}", "{\"a\":1}", true})

ROWS(or_may_be_an_ordinary_name,
    {"{\"$or\":[{\"prefix\":\"x\"},{\"wildcard\":\"*y\"}]}", "{\"$or\":\"ay\"}", true},
    {"{\"$or\":[{\"prefix\":\"x\"},{\"wildcard\":\"*y\"}]}", "{\"$or\":\"a\"}", false},
    {"{\"$or\":[\"x\",\"y\"]}", "{\"$or\":\"y\"}", true},
    {"{\"$or\":{\"a\":[1]}}", "{\"$or\":{\"a\":1}}", true},
    {"{\"$or\":[{\"exists\":true}]}", "{\"$or\":1}", true},
    {"{\"$or\":[{\"all-of\":[\"a\",{\"prefix\":\"\"}]},{\"contains\":\"b\"}]}", "{\"$or\":\"ab\"}", true},
    {"{\"$or\":[{\"a\":{\"prefix\":[1]}},{\"b\":[1]}]}", "{\"a\":{\"prefix\":1}}", true})

/* a.8 */

#define ITEM "{\"items\":{\"sku\":[\"A\"],\"qty\":[2]}}"

ROWS(fields_of_one_array_come_from_one_element,
    {ITEM, "{\"items\":[{\"sku\":\"A\",\"qty\":2}]}", true},
    {ITEM, "{\"items\":[{\"sku\":\"A\",\"qty\":1},{\"sku\":\"B\",\"qty\":2}]}", false},
    {ITEM, "{\"items\":[{\"sku\":[\"A\",\"C\"],\"qty\":[9,2]}]}", true},
    {ITEM, "{\"items\":[[{\"sku\":\"A\"},{\"qty\":2}]]}", false},
    {ITEM, "{\"items\":[[{\"sku\":\"A\",\"qty\":2},{}]]}", true},
    {ITEM, "{\"items\":[[{\"sku\":\"A\"}],[{\"qty\":2}]]}", false},
    {ITEM, "{\"items\":[{\"sku\":\"A\"},{\"qty\":2},{\"sku\":\"A\",\"qty\":2}]}", true},
    {"{\"a\":{\"b\":{\"x\":[1],\"y\":[1]},\"z\":[1]}}", "{\"a\":[{\"b\":[{\"x\":1,\"y\":1}],\"z\":2},{\"b\":[{\"x\":1},{\"y\":1}],\"z\":1}]}", false},
    {"{\"a\":{\"b\":{\"x\":[1],\"y\":[1]},\"z\":[1]}}", "{\"a\":[{\"b\":[{\"x\":1},{\"x\":1,\"y\":1}],\"z\":1}]}", true},
    {"{\"a\":{\"b\":{\"x\":[1]},\"c\":{\"y\":[1]}}}", "{\"a\":{\"b\":[{},{\"x\":1}],\"c\":[{\"y\":1}]}}", true},
    {"{\"a\":{\"x\":[1]},\"b\":{\"y\":[1]}}", "{\"a\":[{\"x\":1}],\"b\":[{\"y\":2},{\"y\":1}]}", true},
    {"{\"a\":[5],\"a\":{\"x\":[1]}}", "{\"a\":[5,{\"x\":1}]}", true},
    {"{\"a\":[5],\"a\":{\"x\":[1]}}", "{\"a\":[[5],{\"x\":1}]}", false},
    {"{\"o\":{\"a\":[5],\"a\":{\"x\":[1]}}}", "{\"o\":[{\"a\":[5,[5],{\"x\":1}]}]}", true},
    {"{\"o\":{\"a\":[5],\"a\":{\"x\":[1]}}}", "{\"o\":[{\"a\":[[5],{\"x\":1}]}]}", false})

ROWS(anything_but_must_agree_and_exists_false_need_not,
    {"{\"i\":{\"k\":[{\"anything-but\":\"x\"}],\"q\":[2]}}", "{\"i\":[{\"k\":\"y\",\"q\":1},{\"k\":\"x\",\"q\":2}]}", false},
    {"{\"i\":{\"k\":[{\"anything-but\":\"x\"}],\"q\":[2]}}", "{\"i\":[{\"k\":\"x\",\"q\":1},{\"k\":\"y\",\"q\":2}]}", true},
    {"{\"i\":{\"k\":[{\"exists\":false},1],\"q\":[2]}}", "{\"i\":[{\"z\":\"y\"},{\"q\":2}]}", true},
    {"{\"i\":{\"k\":[{\"exists\":false},1],\"q\":[2]}}", "{\"i\":[{\"k\":1},{\"q\":2}]}", false})

/* a.10: what is refused, and at which byte */

struct refusal {
    const char *pattern;
    faas_status status;
    size_t offset;
    const char *expected; /* a part of the error text */
};

static void refusals_check(const struct refusal *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        faas_bytes pattern = faas_str(rows[i].pattern);
        size_t offset;
        faas_status status = faas_pattern_check(pattern, NULL, &offset);

        ck_assert_msg(status == rows[i].status, "%s is %s (%s)", rows[i].pattern, faas_status_name(status), faas_error_text());
        ck_assert_msg(offset == rows[i].offset, "%s: at %zu, not %zu (%s)", rows[i].pattern, offset, rows[i].offset, faas_error_text());
        ck_assert_msg(strstr(faas_error_text(), rows[i].expected) != NULL, "%s: %s", rows[i].pattern, faas_error_text());
        ck_assert_ptr_null(naive_compile(rows[i].pattern, pattern.size));
    }
    naive_free_all();
}

#define REFUSALS(name, ...)                                                              \
    START_TEST(name)                                                                     \
    {                                                                                    \
        static const struct refusal rows[] = {__VA_ARGS__};                              \
                                                                                         \
        refusals_check(rows, sizeof rows / sizeof rows[0]);                              \
    }                                                                                    \
    END_TEST

REFUSALS(what_is_not_json_is_refused,
    {"", FAAS_ESYNTAX, 0, "found the end"},
    {"{'a':[1]}", FAAS_ESYNTAX, 1, "a key"}, {"{\"a\":[1],}", FAAS_ESYNTAX, 9, "a key"},
    {"{\"a\":[1,]}", FAAS_ESYNTAX, 8, "a value"}, {"{\"a\":[01]}", FAAS_ESYNTAX, 6, "leading zero"},
    {"{\"a\":[NaN]}", FAAS_ESYNTAX, 6, "a value"}, {"{\"a\":[\"\\x\"]}", FAAS_ESYNTAX, 7, "escape"},
    {"{\"a\":[\"\\u12g4\"]}", FAAS_ESYNTAX, 11, "hexadecimal"}, {"{\"a\":[1]", FAAS_ESYNTAX, 8, "'}'"},
    {"{\"a\":[\"x", FAAS_ESYNTAX, 8, "closing quote"}, {"{\"a\":[1]} x", FAAS_ESYNTAX, 10, "nothing"},
    {"{\"a\":[1]}{}", FAAS_ESYNTAX, 9, "nothing"}, {"{\"a\":[1.]}", FAAS_ESYNTAX, 8, "a digit"},
    {"{\"a\":[-]}", FAAS_ESYNTAX, 7, "a digit"}, {"{\"a\":[1e]}", FAAS_ESYNTAX, 8, "a digit"},
    {"{\"a\":[+1]}", FAAS_ESYNTAX, 6, "a value"}, {"{\"a\":[\"\t\"]}", FAAS_ESYNTAX, 7, "escaped"},
    {"{\"a\":[\"\xC3\"]}", FAAS_ESYNTAX, 7, "UTF-8"}, {"{\"a\" [1]}", FAAS_ESYNTAX, 5, "':'"},
    {"{\"a\":[\"\xED\xA0\x80\"]}", FAAS_ESYNTAX, 7, "UTF-8"})

REFUSALS(a_pattern_is_an_object_of_leaves,
    {"[]", FAAS_EINVAL, 0, "an object"}, {"\"a\"", FAAS_EINVAL, 0, "an object"}, {"7", FAAS_EINVAL, 0, "an object"},
    {"{}", FAAS_EINVAL, 0, "not empty"}, {"{\"a\":{}}", FAAS_EINVAL, 5, "not empty"}, {"{\"a\":[{}]}", FAAS_EINVAL, 6, "one operator"},
    {"{\"a\":1}", FAAS_EINVAL, 5, "an array"}, {"{\"a\":\"x\"}", FAAS_EINVAL, 5, "an array"}, {"{\"a\":null}", FAAS_EINVAL, 5, "an array"},
    {"{\"a\":[]}", FAAS_EINVAL, 5, "not empty"}, {"{\"a\":[[1]]}", FAAS_EINVAL, 6, "a string, a number"},
    {"{\"a\":[1e309]}", FAAS_EINVAL, 6, "range of doubles"})

REFUSALS(an_operator_object_has_one_known_key,
    {"{\"a\":[{\"no\":1}]}", FAAS_EINVAL, 7, "an operator"},
    {"{\"a\":[{\"prefix\":\"a\",\"suffix\":\"b\"}]}", FAAS_EINVAL, 6, "one operator"},
    {"{\"a\":[{\"Prefix\":\"a\"}]}", FAAS_EINVAL, 7, "an operator"},
    {"{\"a\":[{\"regex\":\"a\"}]}", FAAS_EINVAL, 7, "an operator"})

REFUSALS(string_operators_want_strings,
    {"{\"a\":[{\"prefix\":1}]}", FAAS_EINVAL, 16, "a string"}, {"{\"a\":[{\"prefix\":[\"x\"]}]}", FAAS_EINVAL, 16, "a string"},
    {"{\"a\":[{\"suffix\":null}]}", FAAS_EINVAL, 16, "a string"}, {"{\"a\":[{\"suffix\":{\"equals-ignore-case\":1}}]}", FAAS_EINVAL, 38, "a string"},
    {"{\"a\":[{\"suffix\":{\"prefix\":\"x\"}}]}", FAAS_EINVAL, 16, "a string"}, {"{\"a\":[{\"exactly\":1}]}", FAAS_EINVAL, 17, "a string"},
    {"{\"a\":[{\"exactly\":[\"x\"]}]}", FAAS_EINVAL, 17, "a string"}, {"{\"a\":[{\"equals-ignore-case\":[\"x\"]}]}", FAAS_EINVAL, 28, "a string"},
    {"{\"a\":[{\"wildcard\":[\"x\"]}]}", FAAS_EINVAL, 18, "a string"}, {"{\"a\":[{\"contains\":[\"x\"]}]}", FAAS_EINVAL, 18, "a string"})

REFUSALS(wildcards_have_two_escapes_and_single_stars,
    {"{\"a\":[{\"wildcard\":\"a**\"}]}", FAAS_EINVAL, 18, "two stars"}, {"{\"a\":[{\"wildcard\":\"\\\\a\"}]}", FAAS_EINVAL, 18, "backslash"},
    {"{\"a\":[{\"wildcard\":\"a\\\\\"}]}", FAAS_EINVAL, 18, "backslash"})

REFUSALS(numeric_wants_comparisons_and_numbers,
    {"{\"a\":[{\"numeric\":5}]}", FAAS_EINVAL, 17, "an array"}, {"{\"a\":[{\"numeric\":[]}]}", FAAS_EINVAL, 17, "an array"},
    {"{\"a\":[{\"numeric\":[\">\"]}]}", FAAS_EINVAL, 21, "a number"}, {"{\"a\":[{\"numeric\":[\">\",\"5\"]}]}", FAAS_EINVAL, 22, "a number"},
    {"{\"a\":[{\"numeric\":[\"<\",5,\">\",1]}]}", FAAS_EINVAL, 18, "> or >="}, {"{\"a\":[{\"numeric\":[\"=\",5,\"<\",9]}]}", FAAS_EINVAL, 24, "the end"},
    {"{\"a\":[{\"numeric\":[\">\",5,\"=\",9]}]}", FAAS_EINVAL, 24, "< or <="}, {"{\"a\":[{\"numeric\":[\">\",5,\"<\",5]}]}", FAAS_EINVAL, 28, "over the lower"},
    {"{\"a\":[{\"numeric\":[\">=\",5,\"<=\",5]}]}", FAAS_EINVAL, 30, "over the lower"}, {"{\"a\":[{\"numeric\":[\">\",6,\"<\",5]}]}", FAAS_EINVAL, 28, "over the lower"},
    {"{\"a\":[{\"numeric\":[\">\",1,\"<\",5,\"<\",6]}]}", FAAS_EINVAL, 30, "the end"}, {"{\"a\":[{\"numeric\":[\"!=\",1,\"<\",5]}]}", FAAS_EINVAL, 25, "the end"},
    {"{\"a\":[{\"numeric\":[\"==\",1]}]}", FAAS_EINVAL, 18, "one of"}, {"{\"a\":[{\"numeric\":[1,\"<\"]}]}", FAAS_EINVAL, 18, "one of"},
    {"{\"a\":[{\"numeric\":[\">\",1,\"<\"]}]}", FAAS_EINVAL, 27, "a number"}, {"{\"a\":[{\"numeric\":[\">\",1e999]}]}", FAAS_EINVAL, 22, "range of doubles"})

REFUSALS(anything_but_wants_one_kind_of_operand,
    {"{\"a\":[{\"anything-but\":null}]}", FAAS_EINVAL, 22, "a string, a number"}, {"{\"a\":[{\"anything-but\":true}]}", FAAS_EINVAL, 22, "a string"},
    {"{\"a\":[{\"anything-but\":[]}]}", FAAS_EINVAL, 22, "not empty"}, {"{\"a\":[{\"anything-but\":[1,\"x\"]}]}", FAAS_EINVAL, 25, "a number"},
    {"{\"a\":[{\"anything-but\":[\"x\",1]}]}", FAAS_EINVAL, 27, "a string"}, {"{\"a\":[{\"anything-but\":[[1]]}]}", FAAS_EINVAL, 23, "a string or a number"},
    {"{\"a\":[{\"anything-but\":[null]}]}", FAAS_EINVAL, 23, "a string"}, {"{\"a\":[{\"anything-but\":{}}]}", FAAS_EINVAL, 22, "one operator"},
    {"{\"a\":[{\"anything-but\":{\"prefix\":\"a\",\"suffix\":\"b\"}}]}", FAAS_EINVAL, 22, "one operator"},
    {"{\"a\":[{\"anything-but\":{\"numeric\":[\">\",1]}}]}", FAAS_EINVAL, 23, "prefix, suffix"}, {"{\"a\":[{\"anything-but\":{\"cidr\":\"::/0\"}}]}", FAAS_EINVAL, 23, "prefix, suffix"},
    {"{\"a\":[{\"anything-but\":{\"exists\":true}}]}", FAAS_EINVAL, 23, "prefix, suffix"}, {"{\"a\":[{\"anything-but\":{\"anything-but\":1}}]}", FAAS_EINVAL, 23, "prefix, suffix"},
    {"{\"a\":[{\"anything-but\":{\"prefix\":{\"equals-ignore-case\":\"x\"}}}]}", FAAS_EINVAL, 32, "not empty"},
    {"{\"a\":[{\"anything-but\":{\"prefix\":\"\"}}]}", FAAS_EINVAL, 32, "not empty"}, {"{\"a\":[{\"anything-but\":{\"suffix\":[\"a\",\"\"]}}]}", FAAS_EINVAL, 37, "not empty"},
    {"{\"a\":[{\"anything-but\":{\"prefix\":[]}}]}", FAAS_EINVAL, 32, "not empty"}, {"{\"a\":[{\"anything-but\":{\"wildcard\":[\"a\",1]}}]}", FAAS_EINVAL, 39, "a string"},
    {"{\"a\":[{\"anything-but\":{\"wildcard\":\"**\"}}]}", FAAS_EINVAL, 34, "two stars"}, {"{\"a\":[{\"anything-but\":1e999}]}", FAAS_EINVAL, 22, "range of doubles"})

REFUSALS(exists_wants_true_or_false,
    {"{\"a\":[{\"exists\":\"true\"}]}", FAAS_EINVAL, 16, "true or false"}, {"{\"a\":[{\"exists\":1}]}", FAAS_EINVAL, 16, "true or false"},
    {"{\"a\":[{\"exists\":null}]}", FAAS_EINVAL, 16, "true or false"})

REFUSALS(cidr_wants_an_address_and_bits,
    {"{\"a\":[{\"cidr\":\"10.0.0.0\"}]}", FAAS_EINVAL, 14, "address/bits"}, {"{\"a\":[{\"cidr\":\"10.0.0.0/-1\"}]}", FAAS_EINVAL, 14, "bits"},
    {"{\"a\":[{\"cidr\":\"10.0.0.0/33\"}]}", FAAS_EINVAL, 14, "32 bits"}, {"{\"a\":[{\"cidr\":\"::/129\"}]}", FAAS_EINVAL, 14, "128 bits"},
    {"{\"a\":[{\"cidr\":\"10.0.0/8\"}]}", FAAS_EINVAL, 14, "an IPv4"}, {"{\"a\":[{\"cidr\":\"10.0.0.256/8\"}]}", FAAS_EINVAL, 14, "an IPv4"},
    {"{\"a\":[{\"cidr\":\" 10.0.0.0/8\"}]}", FAAS_EINVAL, 14, "an IPv4"}, {"{\"a\":[{\"cidr\":8}]}", FAAS_EINVAL, 14, "a string"},
    {"{\"a\":[{\"cidr\":\"10.0.0.0/\"}]}", FAAS_EINVAL, 14, "bits"}, {"{\"a\":[{\"cidr\":\"::1:2:3:4:5:6:7:8/8\"}]}", FAAS_EINVAL, 14, "an IPv4"})

REFUSALS(all_of_wants_two_conditions,
    {"{\"a\":[{\"all-of\":[{\"prefix\":\"a\"}]}]}", FAAS_EINVAL, 16, "two or more"}, {"{\"a\":[{\"all-of\":\"a\"}]}", FAAS_EINVAL, 16, "two or more"},
    {"{\"a\":[{\"all-of\":[{\"exists\":true},\"a\"]}]}", FAAS_EINVAL, 18, "other than exists"},
    {"{\"a\":[{\"all-of\":[\"a\",{\"all-of\":[\"a\",\"b\"]}]}]}", FAAS_EINVAL, 22, "other than exists"},
    {"{\"a\":[{\"all-of\":[\"a\",[\"b\"]]}]}", FAAS_EINVAL, 21, "a string"})

REFUSALS(or_that_is_neither_is_refused,
    {"{\"$or\":[{\"type\":[\"paid\"]}]}", FAAS_EINVAL, 9, "an operator"}, {"{\"$or\":[]}", FAAS_EINVAL, 7, "not empty"},
    {"{\"$or\":[{\"a\":[1]},{}]}", FAAS_EINVAL, 18, "not empty"}, {"{\"$or\":[{\"a\":[1]},{\"prefix\":[1]}]}", FAAS_EINVAL, 9, "an operator"},
    {"{\"$or\":7}", FAAS_EINVAL, 7, "an array"})

// clang-format on

START_TEST(limits_are_exact)
{
    static const struct {
        size_t field;
        uint32_t most;
        const char *fits;
        const char *over;
    } rows[] = {
        {offsetof(faas_ruleset_options, pattern_bytes_max), 9, "{\"a\":[1]}",
         "{\"a\":[11]}"},
        {offsetof(faas_ruleset_options, depth_max), 3, "{\"a\":{\"b\":[1]}}",
         "{\"a\":{\"b\":[{\"prefix\":\"x\"}]}}"},
        {offsetof(faas_ruleset_options, leaf_max), 2, "{\"a\":[1],\"b\":[1]}",
         "{\"a\":[1],\"b\":[1],\"c\":[1]}"},
        {offsetof(faas_ruleset_options, combination_max), 4,
         "{\"$or\":[{\"a\":[1]},{\"b\":[1]}],\"$or\":[{\"c\":[1]},{\"d\":[1]}]}",
         "{\"$or\":[{\"a\":[1]},{\"b\":[1]}],\"$or\":[{\"c\":[1]},{\"d\":[1]},{\"e\":[1]}"
         "]}"},
        {offsetof(faas_ruleset_options, star_max), 2, "{\"a\":[{\"wildcard\":\"*a*\"}]}",
         "{\"a\":[{\"wildcard\":\"*a*b*\"}]}"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        faas_ruleset_options options = FAAS_RULESET_OPTIONS_INIT;
        size_t offset;

        memcpy((char *)&options + rows[i].field, &rows[i].most, sizeof rows[i].most);
        ck_assert_ok(faas_pattern_check(faas_str(rows[i].fits), &options, NULL));
        ck_assert_status(faas_pattern_check(faas_str(rows[i].over), &options, &offset),
                         FAAS_EINVAL);
        ck_assert_uint_le(offset, strlen(rows[i].over));
    }
}
END_TEST

/* Twenty $or of two branches are a million combinations. */
START_TEST(products_of_or_are_refused_before_they_are_made)
{
    char pattern[4096] = "{";
    size_t used = 1;

    for (int i = 0; i < 40; i++)
        used += (size_t)snprintf(pattern + used, sizeof pattern - used,
                                 "%s\"$or\":[{\"a%d\":[1]},{\"b%d\":[1]}]",
                                 i > 0 ? "," : "", i, i);
    pattern[used++] = '}';
    ck_assert_status(faas_pattern_check(faas_bytes_of(pattern, used), NULL, NULL),
                     FAAS_EINVAL);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "combinations"));
}
END_TEST

START_TEST(compiling_leaks_nothing_whichever_allocation_fails)
{
    static const char pattern[] = "{\"a\":[1,{\"prefix\":{\"equals-ignore-case\":\"x\"}},"
                                  "{\"wildcard\":\"a*b\"}],\"$or\":["
                                  "{\"b\":{\"c\":[{\"anything-but\":[\"x\",\"y\"]}]}},{"
                                  "\"d\":[{\"all-of\":[\"x\",{\"cidr\":"
                                  "\"::/0\"}]}]}]}";

    for (unsigned fail_at = 1;; fail_at++) {
        struct faulty f = {.fail_at = fail_at};
        faas_allocator alloc = faulty_allocator(&f);
        faas_ruleset_options options = FAAS_RULESET_OPTIONS_INIT;
        faas_status status;

        options.allocator = &alloc;
        status = faas_pattern_check(faas_str(pattern), &options, NULL);
        ck_assert_uint_eq(f.live_bytes, 0);
        if (status == FAAS_OK) {
            ck_assert_uint_gt(fail_at, 1);
            break;
        }
        ck_assert_status(status, FAAS_ENOMEM);
    }
}
END_TEST

/* Against the table's own source: class C and S of a few ranges, and totals. */
START_TEST(folding_keeps_what_has_no_case)
{
    unsigned folded = 0;

    for (uint32_t point = 0; point < 0x110000; point++) {
        uint32_t to = faasi_fold_point(point);

        folded += to != point;
        ck_assert_uint_eq(faasi_fold_point(to), to);
    }
    ck_assert_uint_eq(folded, 1454); // Unicode 15.0.0
    ck_assert_uint_eq(faasi_fold_point(0x1E9E), 0xDF);
    ck_assert_uint_eq(faasi_fold_point(0x130), 0x130);
    ck_assert_uint_eq(faasi_fold_point(0x1E921), 0x1E943);
}
END_TEST

/* How far the bounds are from the number, in doubles: around what a rough reading of it
 * may be off. */
static const int64_t distances[] = {0,  1,          7,          8,           9,
                                    17, 4000000000, 9999999999, 10000000001, 30000000000};

static int side_of(int64_t number, int64_t bound)
{
    return (number > bound) - (number < bound);
}

START_TEST(a_number_read_roughly_compares_as_the_exact_one)
{
    uint64_t state = 5;

    for (int round = 0; round < 40000; round++) {
        char text[64];
        int64_t exact;
        uint64_t a, b;

        state = state * 6364136223846793005U + 1442695040888963407U;
        a = state >> 20;
        state = state * 6364136223846793005U + 1442695040888963407U;
        b = state >> 20;
        switch (round % 4) {
        case 0:
            snprintf(text, sizeof text, "%s%u.%0*llu", b % 2 == 0 ? "-" : "",
                     (unsigned)(a % 1000), (int)(b % 17) + 1,
                     (unsigned long long)(a / 7));
            break;
        case 1:
            snprintf(text, sizeof text, "%llu.%llu", (unsigned long long)(a % 1000000000),
                     (unsigned long long)(b >> b % 40));
            break;
        case 2:
            snprintf(text, sizeof text, "-%u.%ue%d", (unsigned)(a % 99999),
                     (unsigned)(b % 9999999), (int)(b % 40) - 20);
            break;
        default:
            snprintf(text, sizeof text, "0.0%llu", (unsigned long long)(a >> b % 30));
            break;
        }
        exact = faasi_number_key(faasi_json_number(text, strlen(text)));
        for (size_t i = 0; i < 2 * FAASI_COUNT(distances); i++) {
            int64_t far = distances[i / 2] * (i % 2 == 0 ? 1 : -1), bound = exact + far;
            struct faasi_value value = {
                .kind = FAASI_VALUE_NUMBER, .size = strlen(text), .text = text};

            faasi_number_read(&value);
            ck_assert_msg(side_of(faasi_number_against(&value, bound), bound) ==
                              side_of(exact, bound),
                          "%s and a bound %lld doubles from it", text, (long long)far);
        }
    }
}
END_TEST

SUITE_MAIN("pattern", alternatives_are_ored_and_fields_are_anded,
           keys_compare_unescaped_and_by_case, a_key_with_a_dot_is_one_step,
           arrays_add_no_step, empty_containers_give_no_value,
           fields_that_no_rule_names_are_ignored, every_occurrence_of_a_key_counts,
           the_last_leaf_of_a_path_wins_and_objects_merge,
           strings_compare_byte_for_byte_after_unescaping, literals_are_no_strings,
           a_string_like_an_address_is_a_string, equal_doubles_are_equal_numbers,
           a_number_read_roughly_compares_as_the_exact_one, minus_zero_is_zero_in_ranges,
           numbers_have_no_limit_of_range, exactly_is_a_string, a_prefix_starts_a_string,
           a_suffix_ends_a_string, case_is_folded_by_simple_folding_both_ways,
           a_wildcard_fits_the_whole_string, numeric_compares_json_numbers,
           anything_but_wants_another_value, exists_looks_at_leaves,
           absence_is_judged_over_the_whole_path, cidr_holds_addresses_of_its_family,
           all_of_asks_one_value_for_everything, contains_finds_a_piece,
           one_branch_of_or_must_match, or_is_read_in_the_order_of_the_text,
           or_may_be_an_ordinary_name, fields_of_one_array_come_from_one_element,
           anything_but_must_agree_and_exists_false_need_not, what_is_not_json_is_refused,
           a_pattern_is_an_object_of_leaves, an_operator_object_has_one_known_key,
           string_operators_want_strings, wildcards_have_two_escapes_and_single_stars,
           numeric_wants_comparisons_and_numbers, anything_but_wants_one_kind_of_operand,
           exists_wants_true_or_false, cidr_wants_an_address_and_bits,
           all_of_wants_two_conditions, or_that_is_neither_is_refused, limits_are_exact,
           products_of_or_are_refused_before_they_are_made,
           compiling_leaks_nothing_whichever_allocation_fails,
           folding_keeps_what_has_no_case)
