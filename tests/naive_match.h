/* SPDX-License-Identifier: MIT */
/* naive_match.h - event patterns by their definition: both texts become trees, the
 * pattern becomes the flat list of all its sub-rules, the event the list of its fields,
 * and values are tried in every combination. Written to be read, not to be fast; the
 * oracle of the tests and of the fuzz program. Shares nothing with the library but the
 * case folding of single code points, which a test checks on its own.
 *
 * Memory is taken and not given back until naive_free_all(). */
#ifndef NAIVE_MATCH_H
#define NAIVE_MATCH_H

#include "core/fold.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum naive_answer {
    NAIVE_NO,
    NAIVE_YES,
    NAIVE_BAD_PATTERN,
    NAIVE_BAD_EVENT,
    NAIVE_TOO_LONG /* more combinations than anyone wants to wait for */
};

#define NAIVE_STEPS_MAX 2000000
#define NAIVE_SUBS_MAX 1000
#define NAIVE_DEPTH_MAX 1024

/* --- memory --- */

struct naive_block {
    struct naive_block *next;
    max_align_t data[];
};

static _Thread_local struct naive_block *naive_blocks;

static inline void *naive_alloc(size_t size)
{
    struct naive_block *block = calloc(1, sizeof *block + size + 1);

    if (block == NULL)
        abort();
    block->next = naive_blocks;
    naive_blocks = block;
    return block->data;
}

static inline void naive_free_all(void)
{
    while (naive_blocks != NULL) {
        struct naive_block *next = naive_blocks->next;

        free(naive_blocks);
        naive_blocks = next;
    }
}

/* --- strict JSON --- */

enum naive_kind {
    NAIVE_NULL,
    NAIVE_FALSE,
    NAIVE_TRUE,
    NAIVE_NUMBER,
    NAIVE_STRING,
    NAIVE_ARRAY,
    NAIVE_OBJECT
};

struct naive_text {
    const char *data;
    size_t size;
};

struct naive_json {
    enum naive_kind kind;
    struct naive_text text; /* of a string, unescaped; of a number, as it stands */
    struct naive_text key;  /* of a member */
    struct naive_json *child;
    struct naive_json *next;
    size_t count;
};

struct naive_parser {
    const char *at;
    const char *end;
    int depth;
};

static inline bool naive_same(struct naive_text a, struct naive_text b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool naive_is(struct naive_text a, const char *b)
{
    struct naive_text text = {b, strlen(b)};

    return naive_same(a, text);
}

static inline void naive_spaces(struct naive_parser *p)
{
    while (p->at < p->end && strchr(" \t\r\n", *p->at) != NULL && *p->at != '\0')
        p->at++;
}

static inline bool naive_take(struct naive_parser *p, char byte)
{
    if (p->at == p->end || *p->at != byte)
        return false;
    p->at++;
    return true;
}

static inline bool naive_hex4(struct naive_parser *p, uint32_t *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdef";
        const char *digit;

        if (p->at == p->end || *p->at == '\0')
            return false;
        digit = strchr(digits, *p->at >= 'A' && *p->at <= 'F' ? *p->at + 32 : *p->at);
        if (digit == NULL)
            return false;
        *unit = *unit * 16 + (uint32_t)(digit - digits);
        p->at++;
    }
    return true;
}

static inline size_t naive_utf8_put(char *out, uint32_t point)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xC0 + point / 64);
        out[1] = (char)(0x80 + point % 64);
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xE0 + point / 4096);
        out[1] = (char)(0x80 + point / 64 % 64);
        out[2] = (char)(0x80 + point % 64);
        return 3;
    }
    out[0] = (char)(0xF0 + point / 262144);
    out[1] = (char)(0x80 + point / 4096 % 64);
    out[2] = (char)(0x80 + point / 64 % 64);
    out[3] = (char)(0x80 + point % 64);
    return 4;
}

/* Length of the well-formed UTF-8 sequence at `at`, or 0. */
static inline size_t naive_utf8_length(const char *at, const char *end, uint32_t *point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *s = (const unsigned char *)at;
    size_t length;

    if (s[0] < 0x80)
        length = 1, *point = s[0];
    else if (s[0] >= 0xC0 && s[0] < 0xE0)
        length = 2, *point = s[0] & 31u;
    else if (s[0] >= 0xE0 && s[0] < 0xF0)
        length = 3, *point = s[0] & 15u;
    else if (s[0] >= 0xF0 && s[0] < 0xF8)
        length = 4, *point = s[0] & 7u;
    else
        return 0;
    if ((size_t)(end - at) < length)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if (s[i] < 0x80 || s[i] > 0xBF)
            return 0;
        *point = *point * 64 + (s[i] & 63u);
    }
    if (*point < least[length] || *point > 0x10FFFF ||
        (*point >= 0xD800 && *point <= 0xDFFF))
        return 0;
    return length;
}

static inline bool naive_escape(struct naive_parser *p, char *out, size_t *used)
{
    static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    uint32_t unit, low;
    const char *letter;
    struct naive_parser after;

    if (p->at == p->end || *p->at == '\0')
        return false;
    if (*p->at != 'u') {
        letter = strchr(letters, *p->at++);
        if (letter == NULL)
            return false;
        out[(*used)++] = bytes[letter - letters];
        return true;
    }
    p->at++;
    if (!naive_hex4(p, &unit))
        return false;
    after = *p;
    if (unit >= 0xD800 && unit <= 0xDBFF && naive_take(&after, '\\') &&
        naive_take(&after, 'u') && naive_hex4(&after, &low) && low >= 0xDC00 &&
        low <= 0xDFFF) {
        unit = 0x10000 + (unit - 0xD800) * 0x400 + (low - 0xDC00);
        *p = after;
    }
    *used += naive_utf8_put(out + *used, unit);
    return true;
}

static inline bool naive_string(struct naive_parser *p, struct naive_text *text)
{
    char *out;
    size_t used = 0;

    if (!naive_take(p, '"'))
        return false;
    out = naive_alloc((size_t)(p->end - p->at));
    while (p->at < p->end && *p->at != '"') {
        uint32_t point;
        size_t length;

        if ((unsigned char)*p->at < 0x20)
            return false;
        if (naive_take(p, '\\')) {
            if (!naive_escape(p, out, &used))
                return false;
            continue;
        }
        length = naive_utf8_length(p->at, p->end, &point);
        if (length == 0)
            return false;
        memcpy(out + used, p->at, length);
        used += length;
        p->at += length;
    }
    text->data = out;
    text->size = used;
    return naive_take(p, '"');
}

static inline bool naive_digits(struct naive_parser *p)
{
    const char *start = p->at;

    while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
        p->at++;
    return p->at > start;
}

static inline bool naive_number(struct naive_parser *p, struct naive_text *text)
{
    const char *start = p->at;

    (void)naive_take(p, '-');
    if (!naive_take(p, '0') && !naive_digits(p))
        return false;
    if (naive_take(p, '.') && !naive_digits(p))
        return false;
    if (naive_take(p, 'e') || naive_take(p, 'E')) {
        if (!naive_take(p, '+'))
            (void)naive_take(p, '-');
        if (!naive_digits(p))
            return false;
    }
    text->size = (size_t)(p->at - start);
    text->data = memcpy(naive_alloc(text->size + 1), start, text->size);
    return true;
}

static inline bool naive_literal(struct naive_parser *p, const char *word)
{
    size_t length = strlen(word);

    if ((size_t)(p->end - p->at) < length || memcmp(p->at, word, length) != 0)
        return false;
    p->at += length;
    return true;
}

static inline bool naive_value(struct naive_parser *p, struct naive_json *value);

static inline bool naive_children(struct naive_parser *p, struct naive_json *value,
                                  char end)
{
    struct naive_json **link = &value->child;

    if (++p->depth > NAIVE_DEPTH_MAX)
        return false;
    naive_spaces(p);
    if (!naive_take(p, end)) {
        do {
            struct naive_json *child = naive_alloc(sizeof *child);

            *link = child;
            link = &child->next;
            value->count++;
            naive_spaces(p);
            if (end == '}') {
                if (!naive_string(p, &child->key))
                    return false;
                naive_spaces(p);
                if (!naive_take(p, ':'))
                    return false;
                naive_spaces(p);
            }
            if (!naive_value(p, child))
                return false;
            naive_spaces(p);
        } while (naive_take(p, ','));
        if (!naive_take(p, end))
            return false;
    }
    p->depth--;
    return true;
}

static inline bool naive_value(struct naive_parser *p, struct naive_json *value)
{
    if (naive_take(p, '{')) {
        value->kind = NAIVE_OBJECT;
        return naive_children(p, value, '}');
    }
    if (naive_take(p, '[')) {
        value->kind = NAIVE_ARRAY;
        return naive_children(p, value, ']');
    }
    if (p->at < p->end && *p->at == '"') {
        value->kind = NAIVE_STRING;
        return naive_string(p, &value->text);
    }
    if (naive_literal(p, "null")) {
        value->kind = NAIVE_NULL;
        return true;
    }
    if (naive_literal(p, "false")) {
        value->kind = NAIVE_FALSE;
        return true;
    }
    if (naive_literal(p, "true")) {
        value->kind = NAIVE_TRUE;
        return true;
    }
    value->kind = NAIVE_NUMBER;
    return naive_number(p, &value->text);
}

/* An object with nothing but white space around it, or NULL. */
static inline struct naive_json *naive_parse(const char *text, size_t size)
{
    struct naive_parser p = {text, text + size, 0};
    struct naive_json *root = naive_alloc(sizeof *root);

    naive_spaces(&p);
    if (!naive_value(&p, root))
        return NULL;
    naive_spaces(&p);
    return p.at == p.end && root->kind == NAIVE_OBJECT ? root : NULL;
}

/* --- the pattern: sub-rules of leaves --- */

/* The last key and what leads there; NULL is the top level. */
struct naive_path {
    struct naive_text key;
    const struct naive_path *outer;
};

struct naive_leaf {
    const struct naive_path *path;
    const struct naive_json *list;
    struct naive_leaf *next;
};

/* A sub-rule is a list of leaves, newest first. */
struct naive_sub {
    struct naive_leaf *leaves;
    struct naive_sub *next;
};

static inline bool naive_paths_same(const struct naive_path *a,
                                    const struct naive_path *b)
{
    for (; a != NULL && b != NULL; a = a->outer, b = b->outer)
        if (!naive_same(a->key, b->key))
            return false;
    return a == b;
}

static inline const struct naive_path *naive_path_add(const struct naive_path *path,
                                                      struct naive_text key)
{
    struct naive_path *longer = naive_alloc(sizeof *longer);

    longer->key = key;
    longer->outer = path;
    return longer;
}

static inline bool naive_only(const struct naive_json *node, const char *key)
{
    return node->kind == NAIVE_OBJECT && node->count == 1 &&
           naive_is(node->child->key, key);
}

static inline bool naive_wildcard_valid(struct naive_text text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '*' && i + 1 < text.size && text.data[i + 1] == '*')
            return false;
        if (text.data[i] == '\\') {
            i++;
            if (i == text.size || (text.data[i] != '*' && text.data[i] != '\\'))
                return false;
        }
    }
    return true;
}

static inline double naive_double(const struct naive_json *number)
{
    return strtod(number->text.data, NULL);
}

static inline bool naive_finite(const struct naive_json *node)
{
    return node->kind == NAIVE_NUMBER && !isinf(naive_double(node));
}

static inline bool naive_in(struct naive_text text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (naive_is(text, *words))
            return true;
    return false;
}

static inline bool naive_numeric_valid(const struct naive_json *operand)
{
    static const char *const one[] = {"<", "<=", ">", ">=", "=", "!=", NULL};
    static const char *const lower[] = {">", ">=", NULL}, *const upper[] = {"<",
                                                                            "<=", NULL};
    const struct naive_json *at[4] = {NULL};
    size_t i = 0;

    if (operand->kind != NAIVE_ARRAY || (operand->count != 2 && operand->count != 4))
        return false;
    for (const struct naive_json *child = operand->child; child; child = child->next)
        at[i++] = child;
    for (i = 0; i < operand->count; i += 2)
        if (at[i]->kind != NAIVE_STRING || !naive_finite(at[i + 1]))
            return false;
    if (operand->count == 2)
        return naive_in(at[0]->text, one);
    return naive_in(at[0]->text, lower) && naive_in(at[2]->text, upper) &&
           naive_double(at[1]) < naive_double(at[3]);
}

/* An address as sixteen groups of bits; 4 or 16 bytes, or 0. */
static inline size_t naive_address(struct naive_text text, unsigned char *out)
{
    char copy[64], *at = copy;
    unsigned groups[2][8], counts[2] = {0, 0}, half = 0;

    if (text.size == 0 || text.size >= sizeof copy ||
        memchr(text.data, '\0', text.size) != NULL)
        return 0;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    if (strchr(copy, ':') == NULL) {
        for (int i = 0; i < 4; i++) {
            size_t digits = strspn(at, "0123456789");
            unsigned long octet = strtoul(at, NULL, 10);

            if (digits == 0 || digits > 3 || octet > 255)
                return 0;
            out[i] = (unsigned char)octet;
            at += digits;
            if (*at++ != (i < 3 ? '.' : '\0'))
                return 0;
        }
        return 4;
    }
    if (strncmp(at, "::", 2) == 0) {
        half = 1;
        at += 2;
    }
    while (*at != '\0') {
        size_t digits = strspn(at, "0123456789abcdefABCDEF");

        if (digits == 0 || digits > 4 || counts[0] + counts[1] == 8)
            return 0;
        groups[half][counts[half]++] = (unsigned)strtoul(at, NULL, 16);
        at += digits;
        if (*at == '\0')
            break;
        if (strncmp(at, "::", 2) == 0 && half == 0) {
            half = 1;
            at += 2;
        } else if (*at == ':' && at[1] != '\0' && at[1] != ':') {
            at++;
        } else {
            return 0;
        }
    }
    if (half == 0 ? counts[0] != 8 : counts[0] + counts[1] > 7)
        return 0;
    memset(out, 0, 16);
    for (unsigned h = 0; h < 2; h++)
        for (unsigned i = 0; i < counts[h]; i++) {
            unsigned place = h == 0 ? i : 8 - counts[1] + i;

            out[place * 2] = (unsigned char)(groups[h][i] / 256);
            out[place * 2 + 1] = (unsigned char)(groups[h][i] % 256);
        }
    return 16;
}

/* The parts of "address/bits". */
static inline bool naive_cidr(struct naive_text text, unsigned char *address,
                              size_t *size, unsigned *bits)
{
    const char *slash = text.size == 0 ? NULL : memchr(text.data, '/', text.size);
    struct naive_text before;
    char copy[300];
    size_t rest;

    if (slash == NULL)
        return false;
    before.data = text.data;
    before.size = (size_t)(slash - text.data);
    *size = naive_address(before, address);
    slash++;
    rest = text.size - before.size - 1;
    if (rest > 0 && *slash == '+')
        slash++, rest--;
    if (*size == 0 || rest == 0)
        return false;
    while (rest > 1 && *slash == '0')
        slash++, rest--;
    if (rest > 3)
        return false;
    memcpy(copy, slash, rest);
    copy[rest] = '\0';
    if (strspn(copy, "0123456789") != rest)
        return false;
    *bits = (unsigned)strtoul(copy, NULL, 10);
    return *bits <= *size * 8;
}

static inline bool naive_not_valid(const struct naive_json *operand)
{
    static const char *const inner[] = {"prefix",   "suffix",   "equals-ignore-case",
                                        "wildcard", "contains", NULL};
    static const char *const not_empty[] = {"prefix", "suffix", NULL};
    const struct naive_json *item, *list = operand;
    bool nested = operand->kind == NAIVE_OBJECT;

    if (nested) {
        if (operand->count != 1 || !naive_in(operand->child->key, inner))
            return false;
        list = operand->child;
    }
    if (list->kind == NAIVE_ARRAY && list->count == 0)
        return false;
    item = list->kind == NAIVE_ARRAY ? list->child : list;
    for (const struct naive_json *each = item; each;
         each = list->kind == NAIVE_ARRAY ? each->next : NULL) {
        if (each->kind != item->kind)
            return false;
        if (nested) {
            if (each->kind != NAIVE_STRING)
                return false;
            if (naive_in(list->key, not_empty) && each->text.size == 0)
                return false;
            if (naive_is(list->key, "wildcard") && !naive_wildcard_valid(each->text))
                return false;
        } else if (each->kind != NAIVE_STRING && !naive_finite(each)) {
            return false;
        }
    }
    return true;
}

static inline bool naive_condition_valid(const struct naive_json *cond)
{
    const struct naive_json *operand = cond->child;
    unsigned char address[16];
    size_t size;
    unsigned bits;

    if (cond->kind == NAIVE_NUMBER)
        return naive_finite(cond);
    if (cond->kind != NAIVE_OBJECT)
        return cond->kind != NAIVE_ARRAY;
    if (cond->count != 1)
        return false;
    if (naive_is(operand->key, "exactly") || naive_is(operand->key, "equals-ignore-case"))
        return operand->kind == NAIVE_STRING;
    if (naive_is(operand->key, "prefix") || naive_is(operand->key, "suffix") ||
        naive_is(operand->key, "contains"))
        return operand->kind == NAIVE_STRING ||
               (naive_only(operand, "equals-ignore-case") &&
                operand->child->kind == NAIVE_STRING);
    if (naive_is(operand->key, "wildcard"))
        return operand->kind == NAIVE_STRING && naive_wildcard_valid(operand->text);
    if (naive_is(operand->key, "numeric"))
        return naive_numeric_valid(operand);
    if (naive_is(operand->key, "anything-but"))
        return naive_not_valid(operand);
    if (naive_is(operand->key, "exists"))
        return operand->kind == NAIVE_TRUE || operand->kind == NAIVE_FALSE;
    if (naive_is(operand->key, "cidr"))
        return operand->kind == NAIVE_STRING &&
               naive_cidr(operand->text, address, &size, &bits);
    if (naive_is(operand->key, "all-of")) {
        if (operand->kind != NAIVE_ARRAY || operand->count < 2)
            return false;
        for (const struct naive_json *each = operand->child; each; each = each->next)
            if (naive_only(each, "exists") || naive_only(each, "all-of") ||
                !naive_condition_valid(each))
                return false;
        return true;
    }
    return false;
}

static inline bool naive_is_or(const struct naive_json *node)
{
    static const char *const reserved[] = {"exactly",
                                           "equals-ignore-case",
                                           "prefix",
                                           "suffix",
                                           "anything-but",
                                           "exists",
                                           "wildcard",
                                           "numeric",
                                           "cidr",
                                           "=",
                                           "<",
                                           "<=",
                                           ">",
                                           ">=",
                                           "regex",
                                           "not-wildcard",
                                           "not-equals-ignore-case",
                                           "date-after",
                                           "date-on-or-after",
                                           "date-before",
                                           "date-on-or-before",
                                           "in-date-range",
                                           "ip-address-in-range",
                                           "ip-address-not-in-range",
                                           "all-of",
                                           "contains",
                                           NULL};

    if (!naive_is(node->key, "$or") || node->kind != NAIVE_ARRAY || node->count < 2)
        return false;
    for (const struct naive_json *branch = node->child; branch; branch = branch->next) {
        if (branch->kind != NAIVE_OBJECT)
            return false;
        for (const struct naive_json *member = branch->child; member;
             member = member->next)
            if (naive_in(member->key, reserved))
                return false;
    }
    return true;
}

static inline struct naive_sub *naive_sub_with(const struct naive_sub *sub,
                                               const struct naive_path *path,
                                               const struct naive_json *list)
{
    struct naive_sub *more = naive_alloc(sizeof *more);
    struct naive_leaf *leaf = naive_alloc(sizeof *leaf);

    leaf->path = path;
    leaf->list = list;
    more->leaves = leaf;
    for (const struct naive_leaf *old = sub->leaves; old; old = old->next) {
        if (naive_paths_same(old->path, path))
            continue; // the later one wins
        leaf->next = naive_alloc(sizeof *leaf);
        leaf = leaf->next;
        leaf->path = old->path;
        leaf->list = old->list;
    }
    return more;
}

/* Reads the members of an object in order into every sub-rule so far; NULL if it is no
 * pattern, or has too many sub-rules. */
static inline struct naive_sub *naive_object(const struct naive_json *object,
                                             const struct naive_path *path,
                                             struct naive_sub *subs)
{
    if (object->count == 0)
        return NULL;
    for (const struct naive_json *member = object->child; member; member = member->next) {
        struct naive_sub *all = NULL, **link = &all;

        if (naive_is_or(member)) {
            size_t count = 0;

            for (const struct naive_json *branch = member->child; branch;
                 branch = branch->next) {
                struct naive_sub *of_branch = naive_object(branch, path, subs);

                if (of_branch == NULL)
                    return NULL;
                for (; of_branch; of_branch = of_branch->next) {
                    if (++count > NAIVE_SUBS_MAX)
                        return NULL;
                    *link = naive_alloc(sizeof **link);
                    (*link)->leaves = of_branch->leaves;
                    link = &(*link)->next;
                }
            }
        } else if (member->kind == NAIVE_ARRAY && member->count > 0) {
            const struct naive_path *longer = naive_path_add(path, member->key);

            for (const struct naive_json *each = member->child; each; each = each->next)
                if (!naive_condition_valid(each))
                    return NULL;
            for (struct naive_sub *sub = subs; sub; sub = sub->next) {
                *link = naive_sub_with(sub, longer, member);
                link = &(*link)->next;
            }
        } else if (member->kind == NAIVE_OBJECT) {
            all = naive_object(member, naive_path_add(path, member->key), subs);
        }
        if (all == NULL)
            return NULL;
        subs = all;
    }
    return subs;
}

/* --- the event: fields --- */

struct naive_step {
    const struct naive_json *array;
    size_t index;
    const struct naive_step *outer;
};

struct naive_field {
    const struct naive_path *path;
    const struct naive_json *value;
    const struct naive_step *trail;
    struct naive_field *next;
};

static inline void naive_flatten(const struct naive_json *value,
                                 const struct naive_path *path,
                                 const struct naive_step *trail,
                                 struct naive_field ***link)
{
    if (value->kind == NAIVE_OBJECT) {
        for (const struct naive_json *member = value->child; member;
             member = member->next)
            naive_flatten(member, naive_path_add(path, member->key), trail, link);
    } else if (value->kind == NAIVE_ARRAY) {
        size_t index = 0;

        for (const struct naive_json *each = value->child; each;
             each = each->next, index++) {
            struct naive_step *step = naive_alloc(sizeof *step);

            step->array = value;
            step->index = index;
            step->outer = trail;
            /* A scalar right in the array carries no index. */
            naive_flatten(each, path,
                          each->kind == NAIVE_OBJECT || each->kind == NAIVE_ARRAY ? step
                                                                                  : trail,
                          link);
        }
    } else {
        struct naive_field *field = naive_alloc(sizeof *field);

        field->path = path;
        field->value = value;
        field->trail = trail;
        **link = field;
        *link = &field->next;
    }
}

static inline bool naive_agree(const struct naive_step *a, const struct naive_step *b)
{
    for (const struct naive_step *x = a; x; x = x->outer)
        for (const struct naive_step *y = b; y; y = y->outer)
            if (x->array == y->array && x->index != y->index)
                return false;
    return true;
}

/* --- what holds --- */

struct naive_points {
    uint32_t *at;
    size_t count;
};

/* Folded code points; bytes of a lone surrogate count one by one. */
static inline struct naive_points naive_fold(struct naive_text text)
{
    struct naive_points points = {naive_alloc(sizeof(uint32_t) * (text.size + 1)), 0};

    for (size_t at = 0; at < text.size;) {
        uint32_t point;
        size_t length = naive_utf8_length(text.data + at, text.data + text.size, &point);

        points.at[points.count++] = length == 0
                                        ? 0x80000000u + (unsigned char)text.data[at]
                                        : faasi_fold_point(point);
        at += length == 0 ? 1 : length;
    }
    return points;
}

static inline bool naive_has_at(struct naive_text whole, struct naive_text part,
                                size_t at)
{
    return part.size <= whole.size && at <= whole.size - part.size &&
           (part.size == 0 || memcmp(whole.data + at, part.data, part.size) == 0);
}

/* Where `part` may stand in `whole`: 'p' at the start, 's' at the end, 'e' all of it, 'c'
 * anywhere. */
static inline bool naive_stands(struct naive_text whole, struct naive_text part,
                                char where)
{
    if (where == 'p')
        return naive_has_at(whole, part, 0);
    if (where == 's')
        return part.size <= whole.size &&
               naive_has_at(whole, part, whole.size - part.size);
    if (where == 'e')
        return naive_same(whole, part);
    for (size_t at = 0; at <= whole.size; at++)
        if (naive_has_at(whole, part, at))
            return true;
    return false;
}

static inline bool naive_stands_folded(struct naive_text whole, struct naive_text part,
                                       char where)
{
    struct naive_points a = naive_fold(whole), b = naive_fold(part);
    struct naive_text x = {(const char *)a.at, a.count * sizeof *a.at};
    struct naive_text y = {(const char *)b.at, b.count * sizeof *b.at};

    if (where != 'c')
        return naive_stands(x, y, where);
    for (size_t at = 0; at <= x.size; at += sizeof *a.at)
        if (naive_has_at(x, y, at))
            return true;
    return false;
}

/* Row by row: which starts of the text the pattern so far fits. */
static inline bool naive_wildcard(struct naive_text pattern, struct naive_text text)
{
    bool *fits = naive_alloc(text.size + 1);

    fits[0] = true;
    for (size_t p = 0; p < pattern.size; p++) {
        char byte = pattern.data[p];

        if (byte == '*') {
            for (size_t i = 1; i <= text.size; i++)
                fits[i] = fits[i] || fits[i - 1];
            continue;
        }
        if (byte == '\\')
            byte = pattern.data[++p];
        for (size_t i = text.size; i > 0; i--)
            fits[i] = fits[i - 1] && text.data[i - 1] == byte;
        fits[0] = false;
    }
    return fits[text.size];
}

static inline bool naive_numeric(const struct naive_json *operand, double value)
{
    for (const struct naive_json *op = operand->child; op; op = op->next->next) {
        double bound = naive_double(op->next);

        if (!(naive_is(op->text, "<")    ? value < bound
              : naive_is(op->text, "<=") ? value <= bound
              : naive_is(op->text, ">")  ? value > bound
              : naive_is(op->text, ">=") ? value >= bound
              : naive_is(op->text, "=")  ? value == bound
                                         : value != bound))
            return false;
    }
    return true;
}

static inline bool naive_in_block(struct naive_text block, struct naive_text text)
{
    unsigned char a[16], b[16];
    size_t size;
    unsigned bits;

    if (!naive_cidr(block, a, &size, &bits) || naive_address(text, b) != size)
        return false;
    for (unsigned i = 0; i < bits; i++)
        if ((a[i / 8] >> (7 - i % 8) & 1) != (b[i / 8] >> (7 - i % 8) & 1))
            return false;
    return true;
}

static inline bool naive_string_op(struct naive_text op, const struct naive_json *operand,
                                   struct naive_text text)
{
    const char where = naive_is(op, "prefix") ? 'p' : naive_is(op, "suffix") ? 's' : 'c';

    if (naive_is(op, "exactly"))
        return naive_same(text, operand->text);
    if (naive_is(op, "equals-ignore-case"))
        return naive_stands_folded(text, operand->text, 'e');
    if (naive_is(op, "wildcard"))
        return naive_wildcard(operand->text, text);
    if (naive_is(op, "cidr"))
        return naive_in_block(operand->text, text);
    if (operand->kind == NAIVE_OBJECT)
        return naive_stands_folded(text, operand->child->text, where);
    return naive_stands(text, operand->text, where);
}

static inline bool naive_plain(const struct naive_json *wanted,
                               const struct naive_json *value)
{
    if (wanted->kind != value->kind)
        return false;
    if (wanted->kind == NAIVE_NUMBER)
        return naive_double(wanted) == naive_double(value) ||
               naive_same(wanted->text, value->text);
    return wanted->kind != NAIVE_STRING || naive_same(wanted->text, value->text);
}

static inline bool naive_excludes(const struct naive_json *operand,
                                  const struct naive_json *value)
{
    const struct naive_json *list =
        operand->kind == NAIVE_OBJECT ? operand->child : operand;
    const struct naive_json *item = list->kind == NAIVE_ARRAY ? list->child : list;

    for (; item; item = list->kind == NAIVE_ARRAY ? item->next : NULL) {
        if (operand->kind != NAIVE_OBJECT
                ? naive_plain(item, value)
                : value->kind == NAIVE_STRING &&
                      naive_string_op(list->key, item, value->text))
            return true;
    }
    return false;
}

static inline bool naive_condition(const struct naive_json *cond,
                                   const struct naive_json *value)
{
    const struct naive_json *operand = cond->child;

    if (cond->kind != NAIVE_OBJECT)
        return naive_plain(cond, value);
    if (naive_is(operand->key, "exists"))
        return operand->kind == NAIVE_TRUE;
    if (naive_is(operand->key, "numeric"))
        return value->kind == NAIVE_NUMBER && naive_numeric(operand, naive_double(value));
    if (naive_is(operand->key, "anything-but"))
        return !naive_excludes(operand, value);
    if (naive_is(operand->key, "all-of")) {
        for (const struct naive_json *each = operand->child; each; each = each->next)
            if (!naive_condition(each, value))
                return false;
        return true;
    }
    return value->kind == NAIVE_STRING &&
           naive_string_op(operand->key, operand, value->text);
}

struct naive_search {
    const struct naive_field *fields;
    const struct naive_step *chosen[4096];
    size_t chosen_count;
    long steps;
};

/* Tries every value for the first leaf with every choice for the others. */
static inline bool naive_leaves(struct naive_search *s, const struct naive_leaf *leaf)
{
    bool any = false;

    if (leaf == NULL)
        return true;
    for (const struct naive_field *field = s->fields; field; field = field->next) {
        bool holds = false, agrees = true;

        if (++s->steps > NAIVE_STEPS_MAX)
            return false;
        if (!naive_paths_same(field->path, leaf->path))
            continue;
        any = true;
        for (const struct naive_json *cond = leaf->list->child; cond; cond = cond->next)
            holds = holds || naive_condition(cond, field->value);
        for (size_t i = 0; holds && i < s->chosen_count; i++)
            agrees = agrees && naive_agree(s->chosen[i], field->trail);
        if (!holds || !agrees)
            continue;
        if (s->chosen_count == 4096)
            abort();
        s->chosen[s->chosen_count++] = field->trail;
        if (naive_leaves(s, leaf->next))
            return true;
        s->chosen_count--;
    }
    if (any)
        return false;
    for (const struct naive_json *cond = leaf->list->child; cond; cond = cond->next)
        if (naive_only(cond, "exists") && cond->child->kind == NAIVE_FALSE)
            return naive_leaves(s, leaf->next);
    return false;
}

static inline struct naive_sub *naive_compile(const char *pattern, size_t size)
{
    struct naive_json *root = naive_parse(pattern, size);
    struct naive_sub *empty = naive_alloc(sizeof *empty);

    return root == NULL ? NULL : naive_object(root, NULL, empty);
}

static inline enum naive_answer naive_match(const char *pattern, size_t pattern_size,
                                            const char *event, size_t event_size)
{
    struct naive_sub *subs = naive_compile(pattern, pattern_size);
    struct naive_json *root;
    struct naive_field *fields = NULL, **link = &fields;
    struct naive_search *search;
    bool matched = false;

    if (subs == NULL)
        return NAIVE_BAD_PATTERN;
    root = naive_parse(event, event_size);
    if (root == NULL)
        return NAIVE_BAD_EVENT;
    naive_flatten(root, NULL, NULL, &link);
    search = naive_alloc(sizeof *search);
    search->fields = fields;
    for (; subs && !matched && search->steps <= NAIVE_STEPS_MAX; subs = subs->next) {
        search->chosen_count = 0;
        matched = naive_leaves(search, subs->leaves);
    }
    if (!matched && search->steps > NAIVE_STEPS_MAX)
        return NAIVE_TOO_LONG;
    return matched ? NAIVE_YES : NAIVE_NO;
}

#endif /* NAIVE_MATCH_H */
