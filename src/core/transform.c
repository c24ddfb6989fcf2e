/* SPDX-License-Identifier: MIT */
/* transform.c - input transformers. */
#include "transform.h"

#include "json.h"
#include "mem.h"
#include "pattern_tree.h"

#include <stdint.h>

#define TEXT_BYTES_MAX (1u << 20)
#define DEPTH_MAX 64

/* One step of a path: a key, or with `key` NULL an index. */
struct step {
    const char *key;
    uint32_t size;
    uint32_t index;
};

struct variable {
    const char *name;
    const struct step *steps;
    uint32_t name_size;
    uint32_t step_count;
};

enum context { IN_TEXT, IN_STRING, IN_VALUE };

/* A text that stands as it is, and the variable behind it; the last piece has none. */
struct piece {
    const char *text;
    const struct variable *variable;
    uint32_t size;
    enum context context;
};

struct faasi_transform {
    struct faasi_arena arena;
    struct variable *variables;
    struct piece *pieces;
    uint32_t variable_count;
    uint32_t piece_count;
};

/* --- paths --- */

static faas_status path_refuse(const struct faasi_tree *path, const char *at,
                               const char *expected)
{
    struct faasi_tree_piece found =
        faasi_tree_found(path->text, path->text_size, (size_t)(at - path->text));

    return faasi_fail(FAAS_EINVAL, "paths: byte %u: in the path found %s, expected %s",
                      path->at, found.text, expected);
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* Reads [index] or ['key'] from behind the bracket on. */
static faas_status bracket_read(const struct faasi_tree *path, const char **at,
                                struct step *step)
{
    const char *end = path->text + path->text_size, *close;
    uint64_t index = 0;

    if (*at < end && **at == '\'') {
        step->key = ++*at;
        close = memchr(*at, '\'', (size_t)(end - *at));
        if (close == NULL)
            return path_refuse(path, end, "a closing '");
        step->size = (uint32_t)(close - step->key);
        *at = close + 1;
    } else {
        if (*at == end || !is_digit(**at))
            return path_refuse(path, *at, "an index or 'a key'");
        for (; *at < end && is_digit(**at); ++*at) {
            index = index * 10 + (uint64_t)(**at - '0');
            if (index > UINT32_MAX)
                return path_refuse(path, *at, "an index of 32 bits");
        }
        step->index = (uint32_t)index;
    }
    if (*at == end || **at != ']')
        return path_refuse(path, *at, "']'");
    ++*at;
    return FAAS_OK;
}

static faas_status step_read(const struct faasi_tree *path, const char **at,
                             struct step *step)
{
    const char *end = path->text + path->text_size;

    if (*(*at)++ == '[')
        return bracket_read(path, at, step);
    if ((*at)[-1] != '.')
        return path_refuse(path, *at - 1, "'.' or '['");
    step->key = *at;
    while (*at < end && **at != '.' && **at != '[')
        ++*at;
    step->size = (uint32_t)(*at - step->key);
    return step->size > 0 ? FAAS_OK : path_refuse(path, *at, "a key");
}

static faas_status variable_read(struct faasi_transform *t,
                                 const struct faasi_tree *member,
                                 struct variable *variable)
{
    const char *at = member->text, *end;
    struct step *steps;
    uint32_t count = 0;

    if (member->kind != FAASI_TREE_STRING)
        return faasi_fail(FAAS_EINVAL, "paths: byte %u: expected a path in quotes",
                          member->at);
    end = at + member->text_size;
    if (at == end || *at++ != '$')
        return path_refuse(member, member->text, "'$'");
    steps = faasi_arena_take(&t->arena, sizeof *steps * (member->text_size + 1u));
    if (steps == NULL)
        return faasi_fail(FAAS_ENOMEM, "paths: no memory");
    while (at < end) {
        faas_status status = step_read(member, &at, &steps[count++]);

        if (status != FAAS_OK)
            return status;
    }
    variable->name = member->key;
    variable->name_size = member->key_size;
    variable->steps = steps;
    variable->step_count = count;
    return FAAS_OK;
}

static faas_status paths_read(struct faasi_transform *t, faas_bytes paths)
{
    const struct faasi_tree_rules rules = {"paths", DEPTH_MAX};
    struct faasi_tree *root;
    size_t error_at;
    faas_status status =
        faasi_tree_read(&root, paths.data, paths.size, &rules, &t->arena, &error_at);

    if (status != FAAS_OK)
        return status;
    if (root->kind != FAASI_TREE_OBJECT)
        return faasi_fail(FAAS_EINVAL, "paths: byte %u: expected an object", root->at);
    t->variables =
        faasi_arena_take(&t->arena, sizeof *t->variables * (root->child_count + 1u));
    if (t->variables == NULL)
        return faasi_fail(FAAS_ENOMEM, "paths: no memory");
    for (const struct faasi_tree *member = root->child; member; member = member->next) {
        status = variable_read(t, member, &t->variables[t->variable_count++]);
        if (status != FAAS_OK)
            return status;
    }
    return FAAS_OK;
}

/* --- the template --- */

static const struct variable *variable_find(const struct faasi_transform *t,
                                            const char *name, size_t size)
{
    for (uint32_t i = 0; i < t->variable_count; i++)
        if (t->variables[i].name_size == size &&
            memcmp(t->variables[i].name, name, size) == 0)
            return &t->variables[i];
    return NULL;
}

static bool is_name(char byte)
{
    return is_digit(byte) || ((byte | 32) >= 'a' && (byte | 32) <= 'z') || byte == '_' ||
           byte == '-' || byte == '.';
}

/* Returns the length of the name between < and > at `at`, or 0 if there is none. */
static size_t name_length(const char *at, const char *end)
{
    size_t length = 0;

    while (at + 1 + length < end && is_name(at[1 + length]))
        length++;
    return at + 1 + length < end && at[1 + length] == '>' ? length : 0;
}

static bool is_json(faas_bytes template)
{
    const char *at = template.data, *end = at + template.size;

    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    return at < end && (*at == '{' || *at == '[' || *at == '"');
}

static faas_status template_read(struct faasi_transform *t, faas_bytes template)
{
    const char *text = template.data, *end = text + template.size, *start;
    const bool json = is_json(template);
    bool in_string = false;
    uint32_t room = 1;
    char *copy = faasi_arena_take(&t->arena, template.size + 1);

    for (const char *at = text; at < end; at++)
        room += *at == '<';
    t->pieces = faasi_arena_take(&t->arena, sizeof *t->pieces * room);
    if (copy == NULL || t->pieces == NULL)
        return faasi_fail(FAAS_ENOMEM, "template: no memory");
    if (template.size > 0)
        memcpy(copy, text, template.size);
    end = copy + template.size;
    start = copy;
    for (const char *at = copy; at < end; at++) {
        struct piece *piece = &t->pieces[t->piece_count];
        size_t length;

        if (json && *at == '"')
            in_string = !in_string;
        else if (json && in_string && *at == '\\')
            at++;
        if (at >= end || *at != '<' || (length = name_length(at, end)) == 0)
            continue;
        piece->variable = variable_find(t, at + 1, length);
        if (piece->variable == NULL)
            return faasi_fail(
                FAAS_EINVAL, "template: byte %zu: <%.*s> is not among the paths",
                (size_t)(at - copy), length < 80 ? (int)length : 80, at + 1);
        piece->text = start;
        piece->size = (uint32_t)(at - start);
        piece->context = !json ? IN_TEXT : in_string ? IN_STRING : IN_VALUE;
        t->piece_count++;
        at += length + 1;
        start = at + 1;
    }
    t->pieces[t->piece_count].text = start;
    t->pieces[t->piece_count++].size = (uint32_t)(end - start);
    return FAAS_OK;
}

/* What becomes of an event without any values must be JSON; then everything is. */
static faas_status template_check(const struct faasi_transform *t, faas_bytes template)
{
    struct faasi_json_fault fault = {0, "", ""};
    char *out;
    size_t size;
    faas_status status;

    if (!is_json(template))
        return FAAS_OK;
    status = faasi_transform_run(t, faas_str("{}"), t->arena.alloc, &out, &size);
    if (status != FAAS_OK)
        return status;
    status = faasi_json_check_any(faas_bytes_of(out, size), &fault);
    faasi_free(t->arena.alloc, out, size);
    if (status == FAAS_OK)
        return FAAS_OK;
    return faasi_fail(
        status, "template: with \"\" for each value, byte %zu: found %s, expected %s",
        fault.offset, fault.found, fault.expected);
}

faas_status faasi_transform_compile(struct faasi_transform **out, faas_bytes paths,
                                    faas_bytes template, const faas_allocator *alloc)
{
    struct faasi_transform *t;
    faas_status status;

    *out = NULL;
    if (paths.size > TEXT_BYTES_MAX || template.size > TEXT_BYTES_MAX)
        return faasi_fail(FAAS_EINVAL, "transformer: %zu bytes are over %u",
                          paths.size > template.size ? paths.size : template.size,
                          TEXT_BYTES_MAX);
    t = faasi_alloc_zeroed(alloc, sizeof *t);
    if (t == NULL)
        return faasi_fail(FAAS_ENOMEM, "transformer: no memory");
    faasi_arena_init(&t->arena, alloc);
    status = paths_read(t, paths);
    if (status == FAAS_OK)
        status = template_read(t, template);
    if (status == FAAS_OK)
        status = template_check(t, template);
    if (status != FAAS_OK) {
        faasi_transform_free(t);
        return status;
    }
    *out = t;
    return FAAS_OK;
}

void faasi_transform_free(struct faasi_transform *transform)
{
    const faas_allocator *alloc;

    if (transform == NULL)
        return;
    alloc = transform->arena.alloc;
    faasi_arena_fini(&transform->arena);
    faasi_free(alloc, transform, sizeof *transform);
}

/* --- values of an event --- */

struct cursor {
    const char *at;
    const char *end;
};

static void space_skip(struct cursor *c)
{
    while (c->at < c->end &&
           (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t'))
        c->at++;
}

/* From the opening quote to behind the closing one. */
static void string_skip(struct cursor *c)
{
    for (c->at++; c->at < c->end && *c->at != '"'; c->at++)
        if (*c->at == '\\' && c->at + 1 < c->end)
            c->at++;
    if (c->at < c->end)
        c->at++;
}

/* What ends a number or a literal. */
static bool is_end(char byte)
{
    return byte == ',' || byte == ']' || byte == '}' || byte == ' ' || byte == '\n' ||
           byte == '\r' || byte == '\t';
}

static void value_skip(struct cursor *c)
{
    size_t depth = 0;

    while (c->at < c->end) {
        const char byte = *c->at;

        if (byte == '"') {
            string_skip(c);
        } else if (byte == '{' || byte == '[') {
            depth++;
            c->at++;
            continue;
        } else if (byte == '}' || byte == ']') {
            if (depth == 0)
                return;
            depth--;
            c->at++;
        } else if (depth > 0) {
            c->at++;
            continue;
        } else {
            while (c->at < c->end && !is_end(*c->at))
                c->at++;
            return;
        }
        if (depth == 0)
            return;
    }
}

/* Moves to the value of a step; false if there is none. */
static bool step_go(struct cursor *c, const struct step *step)
{
    const bool object = step->key != NULL;
    uint32_t index = 0;

    if (c->at == c->end || *c->at != (object ? '{' : '['))
        return false;
    c->at++;
    for (;; index++) {
        space_skip(c);
        if (c->at < c->end && *c->at == ',') {
            c->at++;
            space_skip(c);
        }
        if (c->at == c->end || *c->at == '}' || *c->at == ']')
            return false;
        if (object) {
            const char *key = c->at;
            bool found;

            if (*key != '"')
                return false;
            string_skip(c);
            found = c->at - key >= 2 &&
                    faasi_json_string_is(key + 1, (size_t)(c->at - key) - 2,
                                         faas_bytes_of(step->key, step->size));
            space_skip(c);
            if (c->at < c->end && *c->at == ':')
                c->at++;
            space_skip(c);
            if (found)
                return true;
        } else if (index == step->index) {
            return true;
        }
        if (c->at == c->end)
            return false;
        value_skip(c);
    }
}

/* The value's text, or no bytes. */
static faas_bytes variable_find_value(const struct variable *variable, faas_bytes event)
{
    struct cursor c = {event.data, (const char *)event.data + event.size};
    const char *start;

    space_skip(&c);
    for (uint32_t i = 0; i < variable->step_count; i++)
        if (!step_go(&c, &variable->steps[i]))
            return faas_bytes_of(NULL, 0);
    start = c.at;
    value_skip(&c);
    return faas_bytes_of(start, (size_t)(c.at - start));
}

/* --- output --- */

/* Counts, and writes where there is somewhere to write to. */
struct output {
    char *out;
    size_t used;
};

static void output_bytes(struct output *o, const char *text, size_t size)
{
    if (o->out != NULL && size > 0)
        memcpy(o->out + o->used, text, size);
    o->used += size;
}

/* A text into a string: its quotes and backslashes escaped. What else would need it
 * stands between values only. */
static void output_escaped(struct output *o, faas_bytes value)
{
    const char *text = value.data;

    for (size_t i = 0; i < value.size; i++) {
        if (text[i] == '"' || text[i] == '\\')
            output_bytes(o, "\\", 1);
        if ((unsigned char)text[i] < ' ') // white space
            output_bytes(o, " ", 1);
        else
            output_bytes(o, &text[i], 1);
    }
}

static void output_unescaped(struct output *o, const char *text, size_t size)
{
    const char *end = text + size;
    char some[256];

    while (text < end) {
        const char *before = text;
        size_t made = faasi_json_unescape(&text, end, some, sizeof some);

        if (text == before)
            break;
        output_bytes(o, some, made);
    }
}

static void output_value(struct output *o, faas_bytes value, enum context context)
{
    const char *text = value.data;
    const bool string = value.size >= 2 && text[0] == '"';

    if (context == IN_VALUE && value.size == 0)
        output_bytes(o, "\"\"", 2);
    else if (context == IN_VALUE || value.size == 0)
        output_bytes(o, text, value.size);
    else if (string && context == IN_STRING)
        output_bytes(o, text + 1, value.size - 2);
    else if (string)
        output_unescaped(o, text + 1, value.size - 2);
    else if (context == IN_STRING)
        output_escaped(o, value);
    else
        output_bytes(o, text, value.size);
}

size_t faasi_transform_write(const struct faasi_transform *transform, faas_bytes event,
                             char *out)
{
    struct output o = {out, 0};

    for (uint32_t i = 0; i < transform->piece_count; i++) {
        const struct piece *piece = &transform->pieces[i];

        output_bytes(&o, piece->text, piece->size);
        if (piece->variable != NULL)
            output_value(&o, variable_find_value(piece->variable, event), piece->context);
    }
    return o.used;
}

faas_status faasi_transform_run(const struct faasi_transform *transform, faas_bytes event,
                                const faas_allocator *alloc, char **out, size_t *size)
{
    *size = faasi_transform_write(transform, event, NULL);
    *out = faasi_alloc(alloc, *size);
    if (*out == NULL)
        return faasi_fail(FAAS_ENOMEM, "transformer: no memory for %zu bytes", *size);
    (void)faasi_transform_write(transform, event, *out);
    return FAAS_OK;
}
