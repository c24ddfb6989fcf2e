/* SPDX-License-Identifier: MIT */
/* Events: any attributes are either refused, and then nothing is left of them, or kept to
 * the byte and written as one line of strict JSON.
 *
 * The input is a list of fields separated by zero bytes. The first character of a field
 * says which attribute it is; an upper-case one starts an extension of that type, whose
 * name ends at the first '='. Data comes last, behind a 'd', zero bytes and all. */
#include "fuzz.h"

#include "core/event.h"
#include "core/utf8.h"

#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 80

/* What is out, and what was written. */
static size_t live_bytes;
static unsigned data_ends;

struct sink {
    char *text;
    size_t size, room;
};

static void *counted_alloc(size_t size, void *user)
{
    (void)user;
    live_bytes += size;
    return malloc(size);
}

static void counted_free(void *memory, size_t size, void *user)
{
    (void)user;
    live_bytes -= size;
    free(memory);
}

static void data_end(void *data, size_t size, void *user)
{
    (void)data;
    (void)size;
    (void)user;
    data_ends++;
}

static int sink_write(const char *text, size_t size, void *user)
{
    struct sink *sink = user;

    REQUIRE(size > 0);
    if (sink->size + size > sink->room) {
        sink->room = 2 * (sink->size + size);
        sink->text = realloc(sink->text, sink->room);
        REQUIRE(sink->text != NULL);
    }
    memcpy(sink->text + sink->size, text, size);
    sink->size += size;
    return 0;
}

/* A JSON reader that shares nothing with the library: by recursion, a value at a time.
 * Each function returns where its part ends, and aborts on anything that is not JSON. */
static const char *json_value(const char *at, const char *end, unsigned depth);

static const char *json_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    return at;
}

static const char *json_string(const char *at, const char *end)
{
    REQUIRE(at < end && *at++ == '"');
    while (at < end && *at != '"') {
        REQUIRE((unsigned char)*at >= 0x20);
        if (*at++ != '\\')
            continue;
        REQUIRE(at < end && memchr("\"\\/bfnrtu", *at, 9) != NULL);
        if (*at++ != 'u')
            continue;
        for (int i = 0; i < 4; i++, at++)
            REQUIRE(at < end && memchr("0123456789abcdefABCDEF", *at, 22) != NULL);
    }
    REQUIRE(at < end);
    return at + 1;
}

static const char *json_digits(const char *at, const char *end)
{
    REQUIRE(at < end && *at >= '0' && *at <= '9');
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

static const char *json_number(const char *at, const char *end)
{
    const char *first;

    at += *at == '-';
    first = at;
    at = json_digits(at, end);
    REQUIRE(*first != '0' || at == first + 1);
    if (at < end && *at == '.')
        at = json_digits(at + 1, end);
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        at = json_digits(at, end);
    }
    return at;
}

static const char *json_members(const char *at, const char *end, char close,
                                unsigned depth)
{
    at = json_space(at + 1, end);
    REQUIRE(at < end);
    if (*at == close)
        return at + 1;
    for (;;) {
        if (close == '}') {
            at = json_space(json_string(json_space(at, end), end), end);
            REQUIRE(at < end && *at == ':');
            at++;
        }
        at = json_value(at, end, depth + 1);
        REQUIRE(at < end && (*at == ',' || *at == close));
        if (*at++ == close)
            return at;
    }
}

static const char *json_value(const char *at, const char *end, unsigned depth)
{
    at = json_space(at, end);
    REQUIRE(at < end && depth <= 257);
    if (*at == '{' || *at == '[')
        at = json_members(at, end, *at == '{' ? '}' : ']', depth);
    else if (*at == '"')
        at = json_string(at, end);
    else if (end - at >= 4 && (memcmp(at, "true", 4) == 0 || memcmp(at, "null", 4) == 0))
        at += 4;
    else if (end - at >= 5 && memcmp(at, "false", 5) == 0)
        at += 5;
    else
        at = json_number(at, end);
    return json_space(at, end);
}

/* The parts that the input names; `text` is a copy of it that ends with a zero byte. */
static void parts_read(char *text, size_t size, faas_event_options *opt,
                       faas_extension *extensions)
{
    const char **const targets[] = {&opt->id,          &opt->source,
                                    &opt->type,        &opt->subject,
                                    &opt->time,        &opt->data_content_type,
                                    &opt->data_schema, &opt->id};
    char *end = text + size;

    opt->extensions = extensions;
    for (char *at = text; at < end; at += strlen(at) + 1) {
        if (*at == 'd') {
            opt->data = faas_bytes_of(at + 1, (size_t)(end - at - 1));
            return;
        }
        if (*at >= 'A' && *at <= 'Z' && opt->extension_count < FIELDS_MAX) {
            faas_extension *extension = &extensions[opt->extension_count++];
            char *value = strchr(at, '=');

            extension->type = (faas_extension_type)(*at - 'A');
            extension->name = at + 1;
            extension->integer = (int32_t)strlen(at) % 3;
            if (value != NULL) {
                *value++ = '\0';
                extension->value = faas_str(value);
                at = value;
            }
        } else if (*at >= '0' && *at <= '7') {
            *targets[*at - '0'] = at + 1;
        }
    }
}

static void text_equals(const char *text, faas_bytes held, const char *given)
{
    REQUIRE((text == NULL) == (given == NULL) && text == held.data);
    if (given != NULL)
        REQUIRE(strcmp(text, given) == 0 && held.size == strlen(given) && held.size > 0);
}

static void event_check(const faas_event *event, const faas_event_options *opt)
{
    faas_bytes data = faas_event_data(event);
    struct sink sink = {NULL, 0, 0};

    text_equals(faas_event_id(event), faasi_event_id(event), opt->id);
    text_equals(faas_event_source(event), faasi_event_source(event), opt->source);
    text_equals(faas_event_type(event), faasi_event_type(event), opt->type);
    text_equals(faas_event_time(event), faasi_event_attribute(event, FAASI_TIME),
                opt->time);
    REQUIRE((opt->time == NULL) == (faas_event_time_ns(event) == FAAS_EVENT_NO_TIME));
    REQUIRE(data.size == opt->data.size);
    REQUIRE(data.size == 0 || memcmp(data.data, opt->data.data, data.size) == 0);
    for (uint32_t i = 0; i < opt->extension_count; i++)
        REQUIRE(faas_event_extension(event, opt->extensions[i].name) ==
                faas_event_extension_at(event, i));

    REQUIRE(faas_event_write_json(event, sink_write, &sink) == FAAS_OK);
    REQUIRE(faasi_utf8_valid(sink.text, sink.size));
    REQUIRE(memchr(sink.text, '\n', sink.size) == NULL);
    REQUIRE(json_value(sink.text, sink.text + sink.size, 0) == sink.text + sink.size);
    free(sink.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const faas_allocator alloc = {counted_alloc, counted_free, NULL};
    faas_extension extensions[FIELDS_MAX] = {{NULL, {NULL, 0}, 0, FAAS_EXTENSION_STRING}};
    faas_event_options opt = {.size = sizeof opt, .allocator = &alloc};
    char *text = malloc(size + 1);
    bool owned = size % 2 == 0;
    faas_event *event;
    faas_status status;

    REQUIRE(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    parts_read(text, size, &opt, extensions);
    opt.data_free = owned ? data_end : NULL;
    data_ends = 0;

    status = faas_event_create(&opt, &event);
    REQUIRE(status == FAAS_OK || status == FAAS_EINVAL);
    REQUIRE((status == FAAS_OK) == (event != NULL));
    if (status == FAAS_OK) {
        event_check(event, &opt);
        REQUIRE(data_ends == 0);
    } else {
        const char *why = faas_error_text();

        REQUIRE(why[0] != '\0' && strpbrk(why, "\r\n") == NULL);
        REQUIRE(faasi_utf8_valid(why, strlen(why)));
    }
    faas_event_release(event);
    REQUIRE(data_ends == (owned ? 1 : 0) && live_bytes == 0);
    free(text);
    return 0;
}
