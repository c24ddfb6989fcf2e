/* SPDX-License-Identifier: MIT */
/* rule_maker.h - patterns and events out of any bytes: few keys and few values, so that
 * they meet often, and everything that the language has, also what is refused.
 *
 * The bytes come from a fuzzer or from a seeded generator; no bytes left gives zeros. */
#ifndef RULE_MAKER_H
#define RULE_MAKER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MAKER_TEXT_MAX 16384

struct maker {
    const uint8_t *bytes; /* NULL: the generator */
    size_t size;
    size_t at;
    uint64_t state; /* of the generator; not 0 */
    bool valid;     /* make no pattern that is refused */
    bool narrow;    /* so few keys and values that most patterns match some events */
    size_t used;
    char text[MAKER_TEXT_MAX];
};

static inline unsigned maker_pick(struct maker *m, unsigned count)
{
    if (m->bytes != NULL)
        return m->at < m->size ? m->bytes[m->at++] % count : 0;
    m->state ^= m->state << 13;
    m->state ^= m->state >> 7;
    m->state ^= m->state << 17;
    return (unsigned)((m->state >> 16) % count);
}

static inline void maker_put(struct maker *m, const char *text)
{
    size_t length = strlen(text);

    if (m->used + length < sizeof m->text) {
        memcpy(m->text + m->used, text, length + 1);
        m->used += length;
    }
}

#define MAKER_ONE(m, list) ((list)[maker_pick(m, sizeof(list) / sizeof((list)[0]))])

static inline void maker_key(struct maker *m)
{
    static const char *const keys[] = {"\"a\":", "\"b\":",   "\"c\":",       "\"a\" : ",
                                       "\"\":",  "\"a.b\":", "\"\\u0061\":", "\"b\":"};

    static const char *const few[] = {"\"a\":", "\"b\":", "\"b\":"};

    if (m->narrow)
        maker_put(m, MAKER_ONE(m, few));
    else
        maker_put(m, MAKER_ONE(m, keys));
}

static inline void maker_string(struct maker *m)
{
    static const char *const strings[] = {"\"\"",
                                          "\"a\"",
                                          "\"ab\"",
                                          "\"abc\"",
                                          "\"b\"",
                                          "\"bc\"",
                                          "\"cab\"",
                                          "\"K\"",
                                          "\"k\"",
                                          "\"\xE2\x84\xAA\"",
                                          "\"\\u212a\"",
                                          "\"\xC3\x9F\"",
                                          "\"SS\"",
                                          "\"\xC3\x89t\"",
                                          "\"\xC3\xA9T\"",
                                          "\"\\ud800\"",
                                          "\"\\ud83d\\ude00\"",
                                          "\"\xF0\x9F\x98\x80\"",
                                          "\"10.0.0.1\"",
                                          "\"010.0.0.1\"",
                                          "\"::1\"",
                                          "\"::ffff:a00:1\"",
                                          "\"1\"",
                                          "\"true\"",
                                          "\"a*\"",
                                          "\"\\\\\"",
                                          "\"A\\u0062C\"",
                                          "\"aBAb\"",
                                          "\"abababab\"",
                                          "\"\xC8\xBA\xE1\xBA\x9E\""};

    maker_put(m, MAKER_ONE(m, strings));
}

static inline void maker_number(struct maker *m)
{
    static const char *const numbers[] = {"0",
                                          "-0",
                                          "0.0",
                                          "1",
                                          "1.0",
                                          "1e0",
                                          "2",
                                          "2.5",
                                          "-1",
                                          "300",
                                          "3e2",
                                          "5",
                                          "9007199254740993",
                                          "9007199254740992",
                                          "1E2",
                                          "-2.5",
                                          "1e-3",
                                          "5e-324",
                                          "123456789.125"};

    maker_put(m, MAKER_ONE(m, numbers));
}

static inline void maker_scalar(struct maker *m)
{
    static const char *const literals[] = {"null", "true", "false"};
    static const char *const few[] = {"1", "\"a\"", "2", "\"ab\""};
    unsigned kind = maker_pick(m, 8);

    if (m->narrow && kind < 7)
        maker_put(m, MAKER_ONE(m, few));
    else if (kind < 4)
        maker_string(m);
    else if (kind < 7)
        maker_number(m);
    else
        maker_put(m, MAKER_ONE(m, literals));
}

static inline void maker_value(struct maker *m, int depth);

static inline void maker_object(struct maker *m, int depth)
{
    unsigned count = maker_pick(m, 4);

    maker_put(m, "{");
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            maker_put(m, ",");
        maker_key(m);
        maker_value(m, depth - 1);
    }
    maker_put(m, "}");
}

static inline void maker_value(struct maker *m, int depth)
{
    unsigned kind = maker_pick(m, 10);

    if (depth <= 0 || kind < 4) {
        maker_scalar(m);
    } else if (kind < 7) {
        maker_object(m, depth);
    } else {
        unsigned count = maker_pick(m, 4);

        maker_put(m, "[");
        for (unsigned i = 0; i < count; i++) {
            if (i > 0)
                maker_put(m, ", ");
            maker_value(m, depth - 1);
        }
        maker_put(m, "]");
    }
}

/* Objects and arrays of them with the same two keys all over, some of them twice. */
static inline void maker_narrow_value(struct maker *m, int depth)
{
    unsigned kind = depth == 0 ? 0 : maker_pick(m, 8), count;

    if (kind < 2) {
        maker_scalar(m);
    } else if (kind < 5) {
        maker_put(m, "{\"a\":");
        maker_narrow_value(m, depth - 1);
        maker_put(m, ",\"b\":");
        maker_narrow_value(m, depth - 1);
        if (maker_pick(m, 4) == 0) {
            maker_put(m, maker_pick(m, 2) == 0 ? ",\"a\":" : ",\"b\":");
            maker_narrow_value(m, depth - 1);
        }
        maker_put(m, "}");
    } else {
        count = 1 + maker_pick(m, 3);
        maker_put(m, "[");
        for (unsigned i = 0; i < count; i++) {
            if (i > 0)
                maker_put(m, ",");
            maker_narrow_value(m, depth - (maker_pick(m, 3) == 0));
        }
        maker_put(m, "]");
    }
}

/* Makes an event; it is in m->text. */
static inline void maker_event(struct maker *m)
{
    unsigned count = 1 + maker_pick(m, 5);

    m->used = 0;
    if (m->narrow) {
        maker_put(m, "{\"a\":");
        maker_narrow_value(m, 3);
        maker_put(m, ",\"b\":");
        maker_narrow_value(m, 2);
        if (count == 1) {
            maker_put(m, ",\"a\":");
            maker_narrow_value(m, 3);
        }
        maker_put(m, "}");
        return;
    }
    maker_put(m, "{");
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            maker_put(m, ",");
        maker_key(m);
        maker_value(m, 4);
    }
    maker_put(m, "}");
}

static inline void maker_strings(struct maker *m)
{
    unsigned count = 1 + maker_pick(m, 3);

    if (count == 1) {
        maker_string(m);
        return;
    }
    maker_put(m, "[");
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            maker_put(m, ",");
        maker_string(m);
    }
    maker_put(m, "]");
}

static inline void maker_wildcard(struct maker *m)
{
    static const char *const wildcards[] = {
        "\"*\"",      "\"a*\"",       "\"*b\"",        "\"a*c\"",     "\"*b*\"",
        "\"a\\\\*\"", "\"ab\"",       "\"*a*b*\"",     "\"*ab*ab*\"", "\"a*b*a*b\"",
        "\"\"",       "\"\\\\\\\\\"", "\"*\xC3\xA9*\""};

    maker_put(m, MAKER_ONE(m, wildcards));
}

static inline void maker_foldable(struct maker *m, const char *op)
{
    maker_put(m, op);
    if (maker_pick(m, 3) == 0) {
        maker_put(m, "{\"equals-ignore-case\":");
        maker_string(m);
        maker_put(m, "}");
    } else {
        maker_string(m);
    }
}

static inline void maker_not(struct maker *m)
{
    static const char *const inner[] = {"prefix", "suffix", "equals-ignore-case",
                                        "contains"};
    unsigned kind = maker_pick(m, 6);

    maker_put(m, "\"anything-but\":");
    if (kind < 2) {
        maker_strings(m);
    } else if (kind == 2) {
        maker_number(m);
    } else if (kind == 3) {
        maker_put(m, "[");
        maker_number(m);
        maker_put(m, ",");
        maker_number(m);
        maker_put(m, "]");
    } else if (kind == 4) {
        maker_put(m, "{\"wildcard\":");
        maker_wildcard(m);
        maker_put(m, "}");
    } else {
        maker_put(m, "{\"");
        maker_put(m, MAKER_ONE(m, inner));
        maker_put(m, "\":");
        if (m->valid)
            maker_put(m, "\"ab\"");
        else
            maker_strings(m);
        maker_put(m, "}");
    }
}

static inline void maker_numeric(struct maker *m)
{
    static const char *const one[] = {"<", "<=", ">", ">=", "=", "!="};
    static const char *const pairs[] = {
        "[\">\",0,\"<\",5]", "[\">=\",0,\"<=\",2.5]", "[\">\",-1,\"<=\",300]",
        "[\">=\",9007199254740992,\"<\",1e30]", "[\">=\",1,\"<\",2]"};

    maker_put(m, "\"numeric\":");
    if (maker_pick(m, 2) == 0) {
        maker_put(m, MAKER_ONE(m, pairs));
        return;
    }
    maker_put(m, "[\"");
    maker_put(m, MAKER_ONE(m, one));
    maker_put(m, "\",");
    maker_number(m);
    maker_put(m, "]");
}

static inline void maker_condition(struct maker *m, bool inside)
{
    static const char *const blocks[] = {
        "\"10.0.0.0/8\"", "\"0.0.0.0/0\"",     "\"::/0\"",     "\"10.0.0.1/32\"",
        "\"::/96\"",      "\"172.16.9.9/12\"", "\"::1/+128\"", "\"10.0.0.0/9\""};
    static const char *const wrong[] = {"{\"prefix\":5}",
                                        "{}",
                                        "{\"no\":\"a\"}",
                                        "{\"exists\":1}",
                                        "[\"a\"]",
                                        "{\"wildcard\":\"**\"}",
                                        "{\"numeric\":[\">\"]}",
                                        "{\"cidr\":\"10.0.0.0\"}",
                                        "1e999"};
    static const char *const likely[] = {"1",
                                         "\"a\"",
                                         "2",
                                         "\"ab\"",
                                         "{\"exists\":true}",
                                         "{\"exists\":false}",
                                         "{\"anything-but\":1}",
                                         "{\"prefix\":\"a\"}",
                                         "{\"numeric\":[\"<\",2]}",
                                         "{\"anything-but\":[\"a\",\"b\"]}"};
    unsigned kind;

    if (m->narrow && !inside && maker_pick(m, 4) != 0) {
        maker_put(m, MAKER_ONE(m, likely));
        return;
    }
    kind = maker_pick(m, 20);
    if (!m->valid && kind == 0 && maker_pick(m, 8) == 0) {
        maker_put(m, MAKER_ONE(m, wrong));
        return;
    }
    if (kind < 6) {
        maker_scalar(m);
        return;
    }
    maker_put(m, "{");
    if (kind == 6) {
        maker_put(m, "\"exactly\":");
        maker_string(m);
    } else if (kind < 9) {
        maker_foldable(m, "\"prefix\":");
    } else if (kind == 9) {
        maker_foldable(m, "\"suffix\":");
    } else if (kind == 10) {
        maker_foldable(m, "\"contains\":");
    } else if (kind == 11) {
        maker_put(m, "\"equals-ignore-case\":");
        maker_string(m);
    } else if (kind == 12) {
        maker_put(m, "\"wildcard\":");
        maker_wildcard(m);
    } else if (kind < 15) {
        maker_numeric(m);
    } else if (kind == 15) {
        maker_put(m, "\"cidr\":");
        maker_put(m, MAKER_ONE(m, blocks));
    } else if (kind < 18 || (inside && m->valid)) {
        maker_not(m);
    } else if (kind == 18) {
        maker_put(m, maker_pick(m, 2) == 0 ? "\"exists\":false" : "\"exists\":true");
    } else {
        unsigned count = 2 + maker_pick(m, 2);

        maker_put(m, "\"all-of\":[");
        for (unsigned i = 0; i < count; i++) {
            if (i > 0)
                maker_put(m, ",");
            maker_condition(m, true);
        }
        maker_put(m, "]");
    }
    maker_put(m, "}");
}

static inline void maker_members(struct maker *m, int depth);

static inline void maker_member(struct maker *m, int depth)
{
    unsigned kind = maker_pick(m, 10), count;

    if (m->narrow)
        kind = depth < 2 ? 9 : kind == 0 ? 0 : 4;
    if (kind == 0 && depth > 0) {
        count = 2 + maker_pick(m, 2);
        maker_put(m, "\"$or\":[");
        for (unsigned i = 0; i < count; i++) {
            maker_put(m, i > 0 ? ",{" : "{");
            maker_members(m, depth - 1);
            maker_put(m, "}");
        }
        maker_put(m, "]");
        return;
    }
    maker_key(m);
    if (kind < 5 && depth > 0) {
        maker_put(m, "{");
        maker_members(m, depth - 1);
        maker_put(m, "}");
        return;
    }
    count = 1 + maker_pick(m, 3) / (m->narrow ? 1 : 2);
    maker_put(m, "[");
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            maker_put(m, ",");
        maker_condition(m, false);
    }
    maker_put(m, "]");
}

static inline void maker_members(struct maker *m, int depth)
{
    unsigned count = 1 + maker_pick(m, 3);

    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            maker_put(m, ",");
        maker_member(m, depth);
    }
}

/* Makes a pattern; it is in m->text. An event for it is made with the same `narrow`. */
static inline void maker_pattern(struct maker *m)
{
    m->used = 0;
    m->narrow = maker_pick(m, 2) == 0;
    maker_put(m, "{");
    maker_members(m, m->narrow ? 2 : 3);
    maker_put(m, "}");
}

#endif /* RULE_MAKER_H */
