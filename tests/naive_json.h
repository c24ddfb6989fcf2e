/* SPDX-License-Identifier: MIT */
/* naive_json.h - JSON for tests, written to be right at a glance: a strict parser that
 * builds a tree, and a walk over the tree that finds the values of paths. */
#ifndef NAIVE_JSON_H
#define NAIVE_JSON_H

#include "core/json.h"

#include <stdlib.h>

enum naive_type { NAIVE_SCALAR, NAIVE_OBJECT, NAIVE_ARRAY };

/* A value. Members and elements are linked in text order. */
struct naive {
    enum naive_type type;
    enum faasi_json_kind kind; /* of a scalar */
    size_t begin, end;         /* of a string: its content */
    char *key;                 /* of a member, unescaped */
    size_t key_size;
    struct naive *first, *last, *next;
};

struct naive_reader {
    const unsigned char *text;
    size_t size, at, depth;
};

static void naive_free(struct naive *value)
{
    while (value != NULL) {
        struct naive *next = value->next;

        naive_free(value->first);
        free(value->key);
        free(value);
        value = next;
    }
}

static bool naive_eat(struct naive_reader *r, int c)
{
    if (r->at == r->size || r->text[r->at] != c)
        return false;
    r->at++;
    return true;
}

static bool naive_eat_range(struct naive_reader *r, int from, int to)
{
    if (r->at == r->size || r->text[r->at] < from || r->text[r->at] > to)
        return false;
    r->at++;
    return true;
}

static void naive_space(struct naive_reader *r)
{
    while (naive_eat(r, ' ') || naive_eat(r, '\t') || naive_eat(r, '\n') ||
           naive_eat(r, '\r'))
        continue;
}

static bool naive_word(struct naive_reader *r, const char *word)
{
    for (; *word != '\0'; word++)
        if (!naive_eat(r, *word))
            return false;
    return true;
}

static bool naive_hex(struct naive_reader *r)
{
    return naive_eat_range(r, '0', '9') || naive_eat_range(r, 'a', 'f') ||
           naive_eat_range(r, 'A', 'F');
}

/* One character outside ASCII: decodes it, and asks whether that was its only form. */
static bool naive_wide(struct naive_reader *r)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char c = r->text[r->at++];
    int size = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 0;
    uint32_t point = size == 4 ? c & 0x0F : size == 3 ? c & 0x0F : c & 0x1F;

    if (size == 0)
        return false;
    for (int i = 1; i < size; i++) {
        if (!naive_eat_range(r, 0x80, 0xBF))
            return false;
        point = point << 6 | (r->text[r->at - 1] & 0x3F);
    }
    return point >= least[size] && point <= 0x10FFFF &&
           !(point >= 0xD800 && point < 0xE000);
}

/* Sets the content's range and whether it has escapes. */
static bool naive_string(struct naive_reader *r, struct naive *value)
{
    if (!naive_eat(r, '"'))
        return false;
    value->kind = FAASI_JSON_STRING;
    value->begin = r->at;
    for (;;) {
        value->end = r->at;
        if (naive_eat(r, '"'))
            return true;
        if (naive_eat(r, '\\')) {
            value->kind = FAASI_JSON_ESCAPED;
            if (naive_eat(r, 'u')) {
                if (!naive_hex(r) || !naive_hex(r) || !naive_hex(r) || !naive_hex(r))
                    return false;
            } else if (!naive_eat(r, '"') && !naive_eat(r, '\\') && !naive_eat(r, '/') &&
                       !naive_eat(r, 'b') && !naive_eat(r, 'f') && !naive_eat(r, 'n') &&
                       !naive_eat(r, 'r') && !naive_eat(r, 't')) {
                return false;
            }
        } else if (!naive_eat_range(r, 0x20, 0x7F)) {
            if (r->at == r->size || r->text[r->at] < 0x80 || !naive_wide(r))
                return false;
        }
    }
}

static bool naive_digits(struct naive_reader *r)
{
    if (!naive_eat_range(r, '0', '9'))
        return false;
    while (naive_eat_range(r, '0', '9'))
        continue;
    return true;
}

static bool naive_number(struct naive_reader *r, struct naive *value)
{
    value->kind = FAASI_JSON_NUMBER;
    naive_eat(r, '-');
    if (!naive_eat(r, '0') && !naive_digits(r))
        return false;
    if (naive_eat(r, '.') && !naive_digits(r))
        return false;
    if (naive_eat(r, 'e') || naive_eat(r, 'E')) {
        if (!naive_eat(r, '+'))
            naive_eat(r, '-');
        if (!naive_digits(r))
            return false;
    }
    return true;
}

/* One unescaped character or escape at a time; a surrogate pair is looked for first. */
static char *naive_unescape(const unsigned char *text, size_t begin, size_t end,
                            size_t *size)
{
    char *out = malloc(end - begin + 1);
    size_t at = begin, done = 0;

    while (at < end) {
        unsigned unit, low;

        if (text[at] != '\\') {
            out[done++] = (char)text[at++];
        } else if (text[at + 1] != 'u') {
            const char *names = "bfnrt", *values = "\b\f\n\r\t";
            const char *name = strchr(names, text[at + 1]);

            out[done++] = name == NULL ? (char)text[at + 1] : values[name - names];
            at += 2;
        } else {
            char hex[5] = {0};

            memcpy(hex, text + at + 2, 4);
            unit = (unsigned)strtoul(hex, NULL, 16);
            at += 6;
            if (unit >= 0xD800 && unit <= 0xDBFF && end - at >= 6 && text[at] == '\\' &&
                text[at + 1] == 'u') {
                memcpy(hex, text + at + 2, 4);
                low = (unsigned)strtoul(hex, NULL, 16);
                if (low >= 0xDC00 && low <= 0xDFFF) {
                    unit = 0x10000 + (unit - 0xD800) * 0x400 + (low - 0xDC00);
                    at += 6;
                }
            }
            if (unit >= 0x10000) {
                out[done++] = (char)(0xF0 + unit / 0x40000);
                out[done++] = (char)(0x80 + unit / 0x1000 % 0x40);
                out[done++] = (char)(0x80 + unit / 0x40 % 0x40);
                out[done++] = (char)(0x80 + unit % 0x40);
            } else if (unit >= 0x800) {
                out[done++] = (char)(0xE0 + unit / 0x1000);
                out[done++] = (char)(0x80 + unit / 0x40 % 0x40);
                out[done++] = (char)(0x80 + unit % 0x40);
            } else if (unit >= 0x80) {
                out[done++] = (char)(0xC0 + unit / 0x40);
                out[done++] = (char)(0x80 + unit % 0x40);
            } else {
                out[done++] = (char)unit;
            }
        }
    }
    *size = done;
    return out;
}

static struct naive *naive_value(struct naive_reader *r);

/* At a member or element of `parent`: reads it and what separates it from the next. */
static bool naive_child(struct naive_reader *r, struct naive *parent)
{
    struct naive *child, key = {0};
    bool member = parent->type == NAIVE_OBJECT;

    naive_space(r);
    if (member) {
        if (!naive_string(r, &key))
            return false;
        naive_space(r);
        if (!naive_eat(r, ':'))
            return false;
        naive_space(r);
    }
    child = naive_value(r);
    if (child == NULL)
        return false;
    if (member)
        child->key = naive_unescape(r->text, key.begin, key.end, &child->key_size);
    if (parent->last == NULL)
        parent->first = child;
    else
        parent->last->next = child;
    parent->last = child;
    naive_space(r);
    return true;
}

static bool naive_container(struct naive_reader *r, struct naive *value, int close)
{
    bool ok = true;

    value->begin = r->at++;
    if (++r->depth > FAASI_JSON_DEPTH_MAX)
        return false;
    naive_space(r);
    if (!naive_eat(r, close)) {
        do
            ok = naive_child(r, value);
        while (ok && naive_eat(r, ','));
        ok = ok && naive_eat(r, close);
    }
    r->depth--;
    return ok;
}

static struct naive *naive_value(struct naive_reader *r)
{
    struct naive *value = calloc(1, sizeof *value);
    int c = r->at == r->size ? 0 : r->text[r->at];
    bool ok;

    value->type = NAIVE_SCALAR;
    value->begin = r->at;
    if (c == '{') {
        value->type = NAIVE_OBJECT;
        ok = naive_container(r, value, '}');
    } else if (c == '[') {
        value->type = NAIVE_ARRAY;
        ok = naive_container(r, value, ']');
    } else if (c == '"') {
        ok = naive_string(r, value);
    } else if (c == 't') {
        value->kind = FAASI_JSON_TRUE;
        ok = naive_word(r, "true");
    } else if (c == 'f') {
        value->kind = FAASI_JSON_FALSE;
        ok = naive_word(r, "false");
    } else if (c == 'n') {
        value->kind = FAASI_JSON_NULL;
        ok = naive_word(r, "null");
    } else {
        ok = naive_number(r, value);
    }
    if (c != '"')
        value->end = r->at;
    if (!ok) {
        naive_free(value);
        return NULL;
    }
    return value;
}

/* Returns the tree of a text that is one JSON object, or NULL if it is none. */
static struct naive *naive_parse(const void *text, size_t size)
{
    struct naive_reader r = {text, size, 0, 0};
    struct naive *root;

    naive_space(&r);
    if (r.at == size || r.text[r.at] != '{')
        return NULL;
    root = naive_value(&r);
    if (root != NULL)
        naive_space(&r);
    if (root != NULL && r.at != size) {
        naive_free(root);
        return NULL;
    }
    return root;
}

/* One pair of the places that a value lies in. */
struct naive_place {
    size_t array, element;
    const struct naive_place *outer;
};

/* Called for every value that naive_walk() finds, in text order. */
typedef void naive_found(const struct naive *value, size_t field,
                         const struct naive_place *place, void *user);

struct naive_walk {
    const struct faasi_json_path *paths;
    size_t count;
    naive_found *found;
    void *user;
};

static bool naive_same(faas_bytes a, const char *data, size_t size)
{
    return a.size == size && (size == 0 || memcmp(a.data, data, size) == 0);
}

/* `steps` are the members that lead to `value`, `depth` of them. */
static inline void naive_visit(const struct naive_walk *w, const struct naive *value,
                               const struct naive **steps, size_t depth,
                               const struct naive_place *place)
{
    struct naive_place inner = {value->begin, 0, place};

    if (value->type == NAIVE_SCALAR) {
        for (size_t field = 0; field < w->count; field++) {
            bool same = w->paths[field].key_count == depth;

            for (size_t i = 0; same && i < depth; i++)
                same = naive_same(w->paths[field].keys[i], steps[i]->key,
                                  steps[i]->key_size);
            if (same) {
                w->found(value, field, place, w->user);
                return;
            }
        }
    }
    for (const struct naive *child = value->first; child != NULL; child = child->next) {
        if (value->type == NAIVE_OBJECT) {
            steps[depth] = child;
            naive_visit(w, child, steps, depth + 1, place);
        } else {
            inner.element = child->begin;
            naive_visit(w, child, steps, depth,
                        child->type == NAIVE_SCALAR ? place : &inner);
        }
    }
}

static inline void naive_walk(const struct naive *root, const struct naive_walk *w)
{
    const struct naive *steps[FAASI_JSON_DEPTH_MAX];

    naive_visit(w, root, steps, 0, NULL);
}

#endif /* NAIVE_JSON_H */
