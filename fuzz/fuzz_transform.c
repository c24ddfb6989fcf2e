/* SPDX-License-Identifier: MIT */
/* Input transformers: what they make of an event is what a transformer that was written to
 * be right at a glance makes of it, and a JSON template stays JSON.
 *
 * The input is a template, a zero byte and an event; what is behind another zero byte are
 * paths, that must be refused or compiled, whatever they are. */
#include "fuzz.h"

#include "core/mem.h"
#include "core/transform.h"

#include "../tests/naive_json.h"

/* The steps of a path: keys, or with no key an index. */
struct step {
    const char *key;
    size_t index;
};

static const struct path {
    const char *name;
    size_t count;
    struct step steps[3];
} paths[] = {{"all", 0, {{NULL, 0}}},
             {"a", 1, {{"a", 0}}},
             {"a-b", 2, {{"a", 0}, {"b", 0}}},
             {"x.y_1", 3, {{"odd key", 0}, {NULL, 1}, {"", 0}}},
             {"0", 1, {{NULL, 0}}},
             {"q", 1, {{"\"<\\", 0}}}};

static const char paths_text[] = "{\"all\": \"$\", \"a\": \"$.a\", \"a-b\": \"$.a.b\", "
                                 "\"x.y_1\": \"$['odd key'][1]['']\", "
                                 "\"0\": \"$[0]\", \"q\": \"$['\\\"<\\\\']\"}";

struct text {
    char *data;
    size_t size, room;
};

static void put(struct text *text, const char *data, size_t size)
{
    if (text->size + size > text->room) {
        text->room = 2 * (text->size + size);
        text->data = realloc(text->data, text->room);
        REQUIRE(text->data != NULL);
    }
    if (size != 0)
        memcpy(text->data + text->size, data, size);
    text->size += size;
}

static const struct naive *child_find(const struct naive *of, const struct step *step)
{
    const struct naive *child = of->first;
    size_t at = 0;

    if (of->type != (step->key != NULL ? NAIVE_OBJECT : NAIVE_ARRAY))
        return NULL;
    while (child != NULL &&
           !(step->key != NULL ? child->key_size == strlen(step->key) &&
                                     memcmp(child->key, step->key, child->key_size) == 0
                               : at == step->index)) {
        child = child->next;
        at++;
    }
    return child;
}

static const struct naive *value_find(const struct naive *root, const struct path *path)
{
    for (size_t i = 0; i < path->count && root != NULL; i++)
        root = child_find(root, &path->steps[i]);
    return root;
}

enum context { IN_TEXT, IN_STRING, IN_VALUE };

static void value_put(struct text *out, const struct naive *value, const char *event,
                      enum context context)
{
    bool string =
        value != NULL && value->type == NAIVE_SCALAR && value->kind <= FAASI_JSON_ESCAPED;

    if (value == NULL) {
        if (context == IN_VALUE)
            put(out, "\"\"", 2);
    } else if (context == IN_VALUE) {
        put(out, event + value->begin - string, value->end - value->begin + 2 * string);
    } else if (context == IN_TEXT && string) {
        size_t size;
        char *plain =
            naive_unescape((const unsigned char *)event, value->begin, value->end, &size);

        put(out, plain, size);
        free(plain);
    } else if (context == IN_TEXT || string) {
        put(out, event + value->begin, value->end - value->begin);
    } else {
        for (size_t i = value->begin; i < value->end; i++) {
            if ((unsigned char)event[i] < ' ') { // white space
                put(out, " ", 1);
                continue;
            }
            if (event[i] == '"' || event[i] == '\\')
                put(out, "\\", 1);
            put(out, event + i, 1);
        }
    }
}

static bool is_json_template(const char *at, const char *end)
{
    while (at < end && strchr(" \n\r\t", *at) != NULL)
        at++;
    return at < end && (*at == '{' || *at == '[' || *at == '"');
}

static const struct path *path_at(const char *at, const char *end)
{
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        size_t size = strlen(paths[i].name);

        if (at + size + 1 < end && memcmp(at + 1, paths[i].name, size) == 0 &&
            at[size + 1] == '>')
            return &paths[i];
    }
    return NULL;
}

static void reference(struct text *out, const char *template, size_t size,
                      const char *event, const struct naive *root)
{
    const char *end = template + size;
    bool json = is_json_template(template, end), in_string = false;

    for (const char *at = template; at < end; at++) {
        const struct path *path = *at == '<' ? path_at(at, end) : NULL;

        if (path != NULL) {
            value_put(out, value_find(root, path), event,
                      !json       ? IN_TEXT
                      : in_string ? IN_STRING
                                  : IN_VALUE);
            at += strlen(path->name) + 1;
            continue;
        }
        put(out, at, 1);
        if (json && *at == '"')
            in_string = !in_string;
        if (json && in_string && *at == '\\' && at + 1 < end)
            put(out, ++at, 1);
    }
}

static void check(faas_bytes template, faas_bytes event)
{
    const faas_allocator *alloc = &faasi_default_allocator;
    struct faasi_transform *t;
    struct naive *root;
    struct text expected = {NULL, 0, 0};
    size_t size;
    char *out;

    if (faasi_transform_compile(&t, faas_bytes_of(paths_text, sizeof paths_text - 1),
                                template, alloc) != FAAS_OK) {
        REQUIRE(t == NULL && faas_error_text()[0] != '\0');
        return;
    }
    REQUIRE(faasi_transform_run(t, event, alloc, &out, &size) == FAAS_OK);
    REQUIRE(faasi_transform_write(t, event, NULL) == size);
    root = naive_parse(event.data, event.size);
    if (root != NULL) { // else only that it ends, and reads nothing outside
        reference(&expected, template.data, template.size, event.data, root);
        REQUIRE(size == expected.size &&
                (size == 0 || memcmp(out, expected.data, size) == 0));
        if (template.size != 0 &&
            is_json_template(template.data, (const char *)template.data + template.size))
            REQUIRE(faasi_json_check_any(faas_bytes_of(out, size), NULL) == FAAS_OK);
    }
    naive_free(root);
    free(expected.data);
    faasi_free(alloc, out, size);
    faasi_transform_free(t);
}

/* The part up to the next zero byte, in a block of its own; moves `*at` behind it. */
static faas_bytes part_take(const uint8_t **at, size_t *left)
{
    const uint8_t *end = memchr(*at, 0, *left);
    size_t size = end == NULL ? *left : (size_t)(end - *at);
    char *copy = malloc(size + (size == 0));

    REQUIRE(copy != NULL);
    memcpy(copy, *at, size);
    *at += size + (end != NULL);
    *left -= size + (end != NULL);
    return faas_bytes_of(copy, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct faasi_transform *t;
    faas_bytes template, event, any;

    if (size == 0)
        return 0;
    template = part_take(&data, &size);
    event = part_take(&data, &size);
    any = part_take(&data, &size);
    check(template, event);
    if (faasi_transform_compile(&t, any, template, &faasi_default_allocator) == FAAS_OK)
        faasi_transform_free(t);
    else
        REQUIRE(t == NULL && faas_error_text()[0] != '\0');
    free((void *)(uintptr_t) template.data);
    free((void *)(uintptr_t)event.data);
    free((void *)(uintptr_t)any.data);
    return 0;
}
