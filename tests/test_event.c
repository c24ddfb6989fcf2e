/* SPDX-License-Identifier: MIT */
/* test_event.c - events are what CloudEvents says they are, and end exactly once. */
#include "support.h"

#include "core/event.h"
#include "core/hash.h"
#include "core/mem.h"

#include <pthread.h>

/* What an event needs at least; `...` may set the same fields again. */
#define MINIMAL .id = "1", .source = "/shop", .type = "order.created"

#define ck_assert_bytes_eq(bytes, data_, size_)                                          \
    do {                                                                                 \
        faas_bytes ck_bytes_ = (bytes);                                                  \
        ck_assert_uint_eq(ck_bytes_.size, size_);                                        \
        ck_assert_mem_eq(ck_bytes_.data, data_, size_);                                  \
    } while (0)

/* Makes an event that must be accepted. */
static faas_event *event_of(const faas_event_options *options)
{
    faas_event *event;

    ck_assert_ok(faas_event_create(options, &event));
    ck_assert_ptr_nonnull(event);
    return event;
}

static void accepted(const faas_event_options *options)
{
    faas_event_release(event_of(options));
}

/* The event must be refused with this text. */
static void refused(const faas_event_options *options, const char *text)
{
    faas_event *event = (faas_event *)(uintptr_t)1;

    ck_assert_status(faas_event_create(options, &event), FAAS_EINVAL);
    ck_assert_ptr_null(event);
    ck_assert_str_eq(faas_error_text(), text);
}

/* Collects what an event writes. */
struct sink {
    char text[4096];
    size_t size;
    unsigned calls;
    unsigned refuse_at;
};

static int sink_write(const char *text, size_t size, void *user)
{
    struct sink *sink = user;

    sink->calls++;
    if (sink->calls == sink->refuse_at)
        return -1;
    ck_assert_uint_lt(sink->size + size, sizeof sink->text);
    memcpy(sink->text + sink->size, text, size);
    sink->size += size;
    sink->text[sink->size] = '\0';
    return 0;
}

/* Compares the JSON of an event, from after its type on. */
static void writes(const faas_event_options *options, const char *rest)
{
    static const char start[] = "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/"
                                "shop\",\"type\":\"order.created\"";
    faas_event *event = event_of(options);
    struct sink sink = {.size = 0};

    ck_assert_ok(faas_event_write_json(event, sink_write, &sink));
    faas_event_release(event);
    ck_assert_mem_eq(sink.text, start, sizeof start - 1);
    ck_assert_str_eq(sink.text + sizeof start - 1, rest);
}

/* Counts how often, and with what, an event's data ends. */
struct freed {
    atomic_uint count;
    void *data;
    size_t size;
};

static void freed_count(void *data, size_t size, void *user)
{
    struct freed *freed = user;

    atomic_fetch_add(&freed->count, 1);
    freed->data = data;
    freed->size = size;
}

START_TEST(an_event_says_what_it_was_made_of)
{
    const faas_extension extensions[] = {faas_extension_string("tenant", "acme"),
                                         faas_extension_integer("attempt", -3),
                                         faas_extension_boolean("dry", true)};
    faas_event *event =
        event_of(FAAS_EVENT(.id = "A-1", .source = "https://example.com/shop",
                            .type = "order.created", .subject = "order/17",
                            .time = "2018-04-05T17:31:00.25+02:00",
                            .data_content_type = "application/json",
                            .data_schema = "https://example.com/order.json",
                            .extensions = extensions, .extension_count = 3,
                            .data = faas_str("{}")));

    ck_assert_str_eq(faas_event_id(event), "A-1");
    ck_assert_str_eq(faas_event_source(event), "https://example.com/shop");
    ck_assert_str_eq(faas_event_type(event), "order.created");
    ck_assert_str_eq(faas_event_subject(event), "order/17");
    ck_assert_str_eq(faas_event_time(event), "2018-04-05T17:31:00.25+02:00");
    ck_assert_int_eq(faas_event_time_ns(event), 1522942260250000000);
    ck_assert_str_eq(faas_event_data_content_type(event), "application/json");
    ck_assert_str_eq(faas_event_data_schema(event), "https://example.com/order.json");
    ck_assert_bytes_eq(faas_event_data(event), "{}", 2);
    ck_assert_uint_eq(faas_event_extension_count(event), 3);
    for (uint32_t i = 0; i < 3; i++) {
        const faas_extension *extension = faas_event_extension_at(event, i);

        ck_assert_str_eq(extension->name, extensions[i].name);
        ck_assert_int_eq(extension->type, extensions[i].type);
        ck_assert_int_eq(extension->integer, extensions[i].integer);
        ck_assert_ptr_eq(extension, faas_event_extension(event, extensions[i].name));
    }
    ck_assert_str_eq(faas_event_extension(event, "tenant")->value.data, "acme");
    ck_assert_ptr_null(faas_event_extension_at(event, 3));
    ck_assert_ptr_null(faas_event_extension(event, "tenan"));
    ck_assert_ptr_null(faas_event_extension(event, "tenants"));
    ck_assert_ptr_null(faas_event_extension(event, ""));
    ck_assert_ptr_null(faas_event_extension(event, "id"));
    faas_event_release(event);
}
END_TEST

START_TEST(what_is_absent_is_null)
{
    faas_event *event = event_of(FAAS_EVENT(MINIMAL));

    ck_assert_ptr_null(faas_event_subject(event));
    ck_assert_ptr_null(faas_event_time(event));
    ck_assert_int_eq(faas_event_time_ns(event), FAAS_EVENT_NO_TIME);
    ck_assert_ptr_null(faas_event_data_content_type(event));
    ck_assert_ptr_null(faas_event_data_schema(event));
    ck_assert_ptr_null(faas_event_data(event).data);
    ck_assert_uint_eq(faas_event_data(event).size, 0);
    ck_assert_uint_eq(faas_event_extension_count(event), 0);
    ck_assert_ptr_null(faas_event_extension_at(event, 0));
    faas_event_release(event);
}
END_TEST

START_TEST(nothing_in_an_event_points_to_what_it_was_made_of)
{
    char id[] = "1", source[] = "/shop", type[] = "order.created", name[] = "tenant";
    char value[] = "acme", data[] = "{}";
    faas_extension extension = faas_extension_string(name, value);
    faas_event *event = event_of(
        FAAS_EVENT(.id = id, .source = source, .type = type, .extensions = &extension,
                   .extension_count = 1, .data = faas_str(data)));

    memset(id, 'x', sizeof id);
    memset(source, 'x', sizeof source);
    memset(type, 'x', sizeof type);
    memset(name, 'x', sizeof name);
    memset(value, 'x', sizeof value);
    memset(data, 'x', sizeof data);
    memset(&extension, 0xFF, sizeof extension);
    ck_assert_str_eq(faas_event_id(event), "1");
    ck_assert_str_eq(faas_event_source(event), "/shop");
    ck_assert_str_eq(faas_event_type(event), "order.created");
    ck_assert_str_eq(faas_event_extension(event, "tenant")->value.data, "acme");
    ck_assert_bytes_eq(faas_event_data(event), "{}", 2);
    faas_event_release(event);
}
END_TEST

START_TEST(inside_the_library_lengths_and_the_hash_of_the_type_are_known)
{
    faas_event *event = event_of(FAAS_EVENT(MINIMAL, .subject = "s"));

    ck_assert_bytes_eq(faasi_event_id(event), "1", 1);
    ck_assert_bytes_eq(faasi_event_source(event), "/shop", 5);
    ck_assert_bytes_eq(faasi_event_type(event), "order.created", 13);
    ck_assert_bytes_eq(faasi_event_attribute(event, FAASI_SUBJECT), "s", 1);
    ck_assert_ptr_null(faasi_event_attribute(event, FAASI_TIME).data);
    ck_assert_uint_eq(faasi_event_type_hash(event), faasi_hash("order.created", 13));
    ck_assert_str_eq(faasi_attribute_name(FAASI_DATA_SCHEMA), "dataschema");
    faas_event_release(event);
}
END_TEST

START_TEST(hashes_differ_unless_the_build_says_otherwise)
{
#ifdef FAASI_HASH_CONSTANT
    ck_assert_uint_eq(faasi_hash("a", 1), faasi_hash("b", 1));
#else
    ck_assert_uint_ne(faasi_hash("a", 1), faasi_hash("b", 1));
    ck_assert_uint_eq(faasi_hash("", 0), 0x2D06800538D394C2); // of XXH3, seed 0
#endif
    ck_assert_uint_eq(faasi_hash(NULL, 0), faasi_hash("", 0));
}
END_TEST

START_TEST(id_source_and_type_are_required)
{
    refused(FAAS_EVENT(.source = "/s", .type = "t"), "id: required, but absent");
    refused(FAAS_EVENT(.id = "1", .type = "t"), "source: required, but absent");
    refused(FAAS_EVENT(.id = "1", .source = "/s"), "type: required, but absent");
    refused(FAAS_EVENT(.id = "", .source = "/s", .type = "t"), "id: empty");
    refused(FAAS_EVENT(.id = "1", .source = "", .type = "t"), "source: empty");
    refused(FAAS_EVENT(.id = "1", .source = "/s", .type = ""), "type: empty");
    refused(NULL, "id: required, but absent");
}
END_TEST

START_TEST(an_optional_attribute_is_absent_or_not_empty)
{
    refused(FAAS_EVENT(MINIMAL, .subject = ""), "subject: empty");
    refused(FAAS_EVENT(MINIMAL, .time = ""), "time: empty");
    refused(FAAS_EVENT(MINIMAL, .data_content_type = ""), "datacontenttype: empty");
    refused(FAAS_EVENT(MINIMAL, .data_schema = ""), "dataschema: empty");
}
END_TEST

START_TEST(an_attribute_is_at_most_64_kib)
{
    char *text = malloc(FAAS_EVENT_ATTRIBUTE_MAX + 2);
    faas_extension extension = faas_extension_string("long", "");

    ck_assert_ptr_nonnull(text);
    memset(text, 'x', FAAS_EVENT_ATTRIBUTE_MAX + 1);
    text[FAAS_EVENT_ATTRIBUTE_MAX + 1] = '\0';
    refused(FAAS_EVENT(.id = text, .source = "/s", .type = "t"),
            "id: 65537 bytes are over 65536");
    extension.value = faas_str(text);
    refused(FAAS_EVENT(MINIMAL, .extensions = &extension, .extension_count = 1),
            "extension long: 65537 bytes are over 65536");
    extension.type = FAAS_EXTENSION_BINARY;
    refused(FAAS_EVENT(MINIMAL, .extensions = &extension, .extension_count = 1),
            "extension long: 65537 bytes are over 65536");

    text[FAAS_EVENT_ATTRIBUTE_MAX] = '\0';
    extension.value.size--;
    accepted(FAAS_EVENT(.id = text, .source = text, .type = text, .subject = text,
                        .extensions = &extension, .extension_count = 1));
    free(text);
}
END_TEST

/* Whatever stands before and behind it, a bad character is found: the check takes eight
 * bytes at once. */
START_TEST(control_characters_are_found_at_every_place)
{
    char subject[24], expected[80];

    for (unsigned c = 1; c < 256; c++) {
        for (size_t size = 1; size < sizeof subject; size++) {
            for (size_t at = 0; at < size; at++) {
                memset(subject, 'x', size);
                subject[size] = '\0';
                subject[at] = (char)c;
                if (c >= ' ' && c <= '~') {
                    accepted(FAAS_EVENT(MINIMAL, .subject = subject));
                    continue;
                }
                if (c < 0x80)
                    sprintf(expected, "subject: U+%04X at %zu is a control character", c,
                            at);
                else
                    sprintf(expected, "subject: the byte 0x%02X at %zu is no UTF-8", c,
                            at);
                refused(FAAS_EVENT(MINIMAL, .subject = subject), expected);
            }
        }
    }
}
END_TEST

START_TEST(characters_that_cloudevents_forbids_are_refused)
{
    refused(FAAS_EVENT(MINIMAL, .subject = "a\xC2\x80"),
            "subject: U+0080 at 1 is a control character");
    refused(FAAS_EVENT(MINIMAL, .subject = "\xC2\x9F"),
            "subject: U+009F at 0 is a control character");
    accepted(FAAS_EVENT(MINIMAL, .subject = "\xC2\xA0"));
    refused(FAAS_EVENT(MINIMAL, .subject = "\xEF\xBF\xBE"),
            "subject: U+FFFE at 0 is a noncharacter");
    refused(FAAS_EVENT(MINIMAL, .subject = "\xEF\xB7\x90"),
            "subject: U+FDD0 at 0 is a noncharacter");
    refused(FAAS_EVENT(MINIMAL, .subject = "\xEF\xB7\xAF"),
            "subject: U+FDEF at 0 is a noncharacter");
    accepted(FAAS_EVENT(MINIMAL, .subject = "\xEF\xB7\x8F\xEF\xB7\xB0\xEF\xBF\xBD"));
    refused(FAAS_EVENT(MINIMAL, .subject = "\xF4\x8F\xBF\xBF"),
            "subject: U+10FFFF at 0 is a noncharacter");
    refused(FAAS_EVENT(MINIMAL, .subject = "\xED\xA0\x80"),
            "subject: the byte 0xED at 0 is no UTF-8");
    refused(FAAS_EVENT(.id = "1\n", .source = "/s", .type = "t"),
            "id: U+000A at 1 is a control character");
    refused(FAAS_EVENT(.id = "1", .source = "/s", .type = "\xFF"),
            "type: the byte 0xFF at 0 is no UTF-8");
    accepted(FAAS_EVENT(.id = "\xF0\x9F\x98\x80", .source = "/s", .type = "\xC3\xA9"));
}
END_TEST

START_TEST(a_source_is_any_uri_reference)
{
    /* Examples of CloudEvents, then of RFC 3986, sections 1.1.2 and 3. */
    static const char *const good[] = {
        "https://github.com/cloudevents",
        "mailto:cncf-wg-serverless@lists.cncf.io",
        "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
        "/cloudevents/spec/pull/123",
        "/sensors/tn-1234567/alerts",
        "1-555-123-4567",
        "shop",
        "ftp://ftp.is.co.za/rfc/rfc1808.txt",
        "ldap://[2001:db8::7]/c=GB?objectClass?one",
        "news:comp.infosystems.www.servers.unix",
        "tel:+1-816-555-1212",
        "telnet://192.0.2.16:80/",
        "foo://example.com:8042/over/there?name=ferret#nose",
        "//host",
        "//host:/",
        "?query",
        "#fragment",
        "../up",
        "./a:b",
        "a/b:c",
        "http://u:p@host:1/",
        "http://[v1.a:b]",
        "http://u@[::1]:8080",
        "http:",
        "x://",
        "%41%ff",
        "a?b/c?d:e@f",
        "-._~!$&'()*+,;=@"};
    static const struct {
        const char *source, *text;
    } bad[] = {
        {"a b", "source: the byte 0x20 at 1 must be percent-encoded"},
        {"/caf\xC3\xA9", "source: the byte 0xC3 at 4 must be percent-encoded"},
        {"a\"", "source: the byte 0x22 at 1 must be percent-encoded"},
        {"<a>", "source: the byte 0x3C at 0 must be percent-encoded"},
        {"a\\b", "source: the byte 0x5C at 1 must be percent-encoded"},
        {"^", "source: the byte 0x5E at 0 must be percent-encoded"},
        {"`", "source: the byte 0x60 at 0 must be percent-encoded"},
        {"{a}", "source: the byte 0x7B at 0 must be percent-encoded"},
        {"a|b", "source: the byte 0x7C at 1 must be percent-encoded"},
        {"a\tb", "source: U+0009 at 1 is a control character"},
        {"%", "source: \"%\" is no URI (two hexadecimal digits must follow a %)"},
        {"%4", "source: \"%4\" is no URI (two hexadecimal digits must follow a %)"},
        {"%4g", "source: \"%4g\" is no URI (two hexadecimal digits must follow a %)"},
        {"#a#", "source: \"#a#\" is no URI (it has two #)"},
        {":a", "source: \":a\" is no URI (what precedes the first : is no scheme)"},
        {"1:2", "source: \"1:2\" is no URI (what precedes the first : is no scheme)"},
        {"a_b:c", "source: \"a_b:c\" is no URI (what precedes the first : is no scheme)"},
        {"a[b]", "source: \"a[b]\" is no URI ([ and ] belong around a host)"},
        {"//h/[", "source: \"//h/[\" is no URI ([ and ] belong around a host)"},
        {"//[::1", "source: \"//[::1\" is no URI (its host or port is malformed)"},
        {"//[[::1]", "source: \"//[[::1]\" is no URI (its host or port is malformed)"},
        {"//[]", "source: \"//[]\" is no URI (its host or port is malformed)"},
        {"//[[::1]]", "source: \"//[[::1]]\" is no URI (its host or port is malformed)"},
        {"//[::1]x", "source: \"//[::1]x\" is no URI (its host or port is malformed)"},
        {"//[@h", "source: \"//[@h\" is no URI (its host or port is malformed)"},
        {"//a@b@c", "source: \"//a@b@c\" is no URI (its host or port is malformed)"},
        {"//@a@c", "source: \"//@a@c\" is no URI (its host or port is malformed)"},
        {"//h:8x", "source: \"//h:8x\" is no URI (its host or port is malformed)"},
        {"//h:1:2", "source: \"//h:1:2\" is no URI (its host or port is malformed)"},
    };

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        accepted(FAAS_EVENT(.id = "1", .source = good[i], .type = "t"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refused(FAAS_EVENT(.id = "1", .source = bad[i].source, .type = "t"), bad[i].text);
}
END_TEST

START_TEST(a_uri_consists_of_the_characters_of_rfc_3986)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-._~:/?#@!$&'()*+,;=";

    for (int c = '!'; c <= '~'; c++) {
        char source[] = {'/', (char)c, '\0'};
        faas_event *event;
        faas_status status = faas_event_create(
            FAAS_EVENT(.id = "1", .source = source, .type = "t"), &event);

        faas_event_release(event);
        ck_assert_status(status, strchr(allowed, c) != NULL ? FAAS_OK : FAAS_EINVAL);
    }
}
END_TEST

START_TEST(a_media_type_consists_of_the_tokens_of_rfc_2045)
{
    for (int c = '!'; c <= '~'; c++) {
        char type[] = {'a', '/', 'b', (char)c, 'c', '\0'};
        faas_event *event;
        faas_status status =
            faas_event_create(FAAS_EVENT(MINIMAL, .data_content_type = type), &event);

        faas_event_release(event);
        ck_assert_status(status,
                         strchr("()<>@,;:\\\"/[]?=", c) != NULL ? FAAS_EINVAL : FAAS_OK);
    }
}
END_TEST

START_TEST(a_schema_is_a_uri_with_a_scheme)
{
    accepted(FAAS_EVENT(MINIMAL, .data_schema = "urn:x"));
    accepted(
        FAAS_EVENT(MINIMAL, .data_schema = "http://json-schema.org/draft-07/schema#"));
    refused(FAAS_EVENT(MINIMAL, .data_schema = "/order.json"),
            "dataschema: \"/order.json\" is no URI (it has no scheme)");
    refused(FAAS_EVENT(MINIMAL, .data_schema = "order?a:b"),
            "dataschema: \"order?a:b\" is no URI (it has no scheme)");
}
END_TEST

START_TEST(a_data_content_type_is_a_media_type)
{
    static const char *const good[] = {"text/xml",
                                       "application/json",
                                       "image/png",
                                       "multipart/form-data; boundary=x",
                                       "text/plain;charset=utf-8",
                                       "text/plain ; charset=\"utf-8\" ; format=flowed",
                                       "application/vnd.apache.thrift.binary",
                                       "a/b;c=\"d \\\" e\"",
                                       "!#$%&'*+-.^_`{|}~/x",
                                       "a/b;c=\"\""};
    static const struct {
        const char *type, *text;
    } bad[] = {
        {"json", "datacontenttype: \"json\" is no media type (at byte 4)"},
        {"/json", "datacontenttype: \"/json\" is no media type (at byte 0)"},
        {"text/", "datacontenttype: \"text/\" is no media type (at byte 5)"},
        {"a/b/c", "datacontenttype: \"a/b/c\" is no media type (at byte 3)"},
        {"a b/c", "datacontenttype: \"a b/c\" is no media type (at byte 1)"},
        {"a/b ", "datacontenttype: \"a/b \" is no media type (at byte 4)"},
        {"a/b;", "datacontenttype: \"a/b;\" is no media type (at byte 4)"},
        {"a/b;c", "datacontenttype: \"a/b;c\" is no media type (at byte 5)"},
        {"a/b;c=", "datacontenttype: \"a/b;c=\" is no media type (at byte 6)"},
        {"a/b;=d", "datacontenttype: \"a/b;=d\" is no media type (at byte 4)"},
        {"a/b;c=\"d", "datacontenttype: \"a/b;c=\"d\" is no media type (at byte 6)"},
        {"a/b;c=\"d\\", "datacontenttype: \"a/b;c=\"d\\\" is no media type (at byte 6)"},
        {"a/b;c=\"\xC3\xA9\"",
         "datacontenttype: \"a/b;c=\"\xC3\xA9\"\" is no media type (at byte 6)"},
        {"a/b, c/d", "datacontenttype: \"a/b, c/d\" is no media type (at byte 3)"},
        {"\xC3\xA9/b", "datacontenttype: \"\xC3\xA9/b\" is no media type (at byte 0)"},
    };

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        accepted(FAAS_EVENT(MINIMAL, .data_content_type = good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refused(FAAS_EVENT(MINIMAL, .data_content_type = bad[i].type), bad[i].text);
}
END_TEST

/* What follows a value in memory is no part of it, even if it would make it valid. */
START_TEST(lengths_count_and_terminators_do_not)
{
    struct faasi_event_parts parts = {.allocator = &faasi_default_allocator};
    static const struct {
        enum faasi_attribute attribute;
        const char *text;
        size_t size;
        const char *why;
    } rows[] = {
        {FAASI_TIME, "2026-01-01T00:00:00Z", 19,
         "time: \"2026-01-01T00:00:00\" is no RFC "
         "3339 time (at byte 19)"},
        {FAASI_TIME, "2026-01-01T00:00:00.5Z", 20,
         "time: \"2026-01-01T00:00:00.\" is no RFC "
         "3339 time (at byte 20)"},
        {FAASI_TIME, "2026-01-01T00:00:00+01:00", 24,
         "time: \"2026-01-01T00:00:00+01:0\" is "
         "no RFC 3339 time (at byte 24)"},
        {FAASI_SUBJECT, "\xC3\xA9", 1, "subject: the byte 0xC3 at 0 is no UTF-8"},
        {FAASI_SUBJECT, "a", 2, "subject: U+0000 at 1 is a control character"},
        {FAASI_SOURCE, "%41", 2,
         "source: \"%4\" is no URI (two hexadecimal digits must follow a %)"},
        {FAASI_DATA_SCHEMA, "a:b", 1, "dataschema: \"a\" is no URI (it has no scheme)"},
        {FAASI_DATA_CONTENT_TYPE, "a/b", 2,
         "datacontenttype: \"a/\" is no media type (at byte 2)"},
        {FAASI_DATA_CONTENT_TYPE, "a/b;c=\"\"", 7,
         "datacontenttype: \"a/b;c=\"\" is no media type (at byte 6)"},
    };
    faas_event *event;

    parts.attributes[FAASI_ID] = faas_bytes_of("12", 1);
    parts.attributes[FAASI_TYPE] = faas_bytes_of("order", 3);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct faasi_event_parts one = parts;

        one.attributes[FAASI_SOURCE] = faas_bytes_of("/sx", 2);
        one.attributes[rows[i].attribute] = faas_bytes_of(rows[i].text, rows[i].size);
        ck_assert_status(faasi_event_create(&one, &event), FAAS_EINVAL);
        ck_assert_ptr_null(event);
        ck_assert_str_eq(faas_error_text(), rows[i].why);
    }
    parts.attributes[FAASI_SOURCE] = faas_bytes_of("/sx", 2);
    ck_assert_ok(faasi_event_create(&parts, &event));
    ck_assert_str_eq(faas_event_id(event), "1");
    ck_assert_str_eq(faas_event_source(event), "/s");
    ck_assert_str_eq(faas_event_type(event), "ord");
    faas_event_release(event);
}
END_TEST

START_TEST(times_are_instants)
{
    /* Seconds from `date -u -d <text> +%s`, save for the leap seconds. The first lines
     * are the examples of RFC 3339, section 5.8. */
    static const struct {
        const char *text;
        int64_t ns;
    } rows[] = {
        {"1985-04-12T23:20:50.52Z", 482196050520000000},
        {"1996-12-19T16:39:57-08:00", 851042397000000000},
        {"1990-12-31T23:59:60Z", 662688000000000000},
        {"1990-12-31T15:59:60-08:00", 662688000000000000},
        {"1937-01-01T12:00:27.87+00:20", -1041337172130000000},
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00-00:00", 0},
        {"1970-01-01t00:00:00z", 0},
        {"1970-01-01T00:00:00.000000001Z", 1},
        {"1970-01-01T00:00:00.0000000019Z", 1},
        {"1970-01-01T00:00:00.99999999999999999999999Z", 999999999},
        {"1969-12-31T23:59:59.999999999Z", -1},
        {"1969-12-31T23:59:59Z", -1000000000},
        {"1969-12-31T23:59:59.1Z", -900000000},
        {"2000-02-29T12:00:00Z", 951825600000000000},
        {"2024-02-29T23:59:59Z", 1709251199000000000},
        {"2026-02-28T00:00:00+23:59", 1772150460000000000},
        {"2026-02-28T00:00:00-23:59", 1772323140000000000},
        {"2016-12-31T23:59:60.5Z", 1483228800500000000},
        {"2017-01-01T00:59:60+01:00", 1483228800000000000},
        {"2015-06-30T23:59:60Z", 1435708800000000000},
        {"2015-07-01T23:58:60+23:59", 1435708800000000000},
        {"2015-06-30T00:00:60-23:59", 1435708800000000000},
        {"2262-04-11T23:47:16.854775807Z", INT64_MAX},
        {"2262-04-11T23:47:16.854775808Z", INT64_MAX},
        {"2262-04-11T23:47:17Z", INT64_MAX},
        {"2400-02-29T00:00:00Z", INT64_MAX},
        {"9999-12-31T23:59:59Z", INT64_MAX},
        {"1677-09-21T00:12:43.145224194Z", INT64_MIN + 2},
        {"1677-09-21T00:12:43.145224193Z", INT64_MIN + 1},
        {"1677-09-21T00:12:43.145224192Z", INT64_MIN + 1},
        {"1677-09-21T00:12:43Z", INT64_MIN + 1},
        {"0000-01-01T00:00:00Z", INT64_MIN + 1},
        {"0000-02-29T00:00:00Z", INT64_MIN + 1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        faas_event *event = event_of(FAAS_EVENT(MINIMAL, .time = rows[i].text));

        ck_assert_msg(faas_event_time_ns(event) == rows[i].ns, "%s is %lld, not %lld",
                      rows[i].text, (long long)faas_event_time_ns(event),
                      (long long)rows[i].ns);
        ck_assert_str_eq(faas_event_time(event), rows[i].text);
        faas_event_release(event);
    }
}
END_TEST

/* Counts the days one by one through 400 years, all that the calendar has. */
START_TEST(every_day_of_the_calendar_is_one_after_the_day_before)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t day = 10957 - 36524; // 1900-01-01

    for (int year = 1900; year < 2262; year++) {
        for (int month = 1; month <= 12; month++) {
            bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
            int length = lengths[month - 1] + (month == 2 && leap);

            for (int d = 1; d <= 32; d++) {
                char text[64];
                faas_event *event;
                faas_status status;

                sprintf(text, "%04d-%02d-%02dT00:00:00Z", year, month, d);
                status = faas_event_create(FAAS_EVENT(MINIMAL, .time = text), &event);
                if (d > length) {
                    ck_assert_status(status, FAAS_EINVAL);
                    continue;
                }
                ck_assert_ok(status);
                ck_assert_int_eq(faas_event_time_ns(event), day * 86400 * 1000000000);
                faas_event_release(event);
                day++;
            }
        }
    }
}
END_TEST

START_TEST(what_is_no_time_is_refused)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"2026-02-30T00:00:00Z", "date (day 30)"},
        {"2026-02-29T00:00:00Z", "date (day 29)"},
        {"2100-02-29T00:00:00Z", "date (day 29)"},
        {"2026-04-31T00:00:00Z", "date (day 31)"},
        {"2026-01-00T00:00:00Z", "date (day 0)"},
        {"2026-01-32T00:00:00Z", "date (day 32)"},
        {"2026-00-01T00:00:00Z", "date (month 0)"},
        {"2026-13-01T00:00:00Z", "date (month 13)"},
        {"2026-01-01T24:00:00Z", "time (hour 24)"},
        {"2026-01-01T00:60:00Z", "time (minute 60)"},
        {"2026-01-01T00:00:61Z", "time (second 61)"},
        {"1998-12-31T23:58:60Z", "time (second 60)"},
        {"1998-12-31T22:59:60Z", "time (second 60)"},
        {"1998-12-31T23:59:60+01:00", "time (second 60)"},
        {"1998-12-30T23:59:60Z", "time (second 60)"},
        {"1999-01-01T12:00:60Z", "time (second 60)"},
        {"2026-01-01T00:00:00", "time (at byte 19)"},
        {"2026-01-01T00:00:00.Z", "time (at byte 20)"},
        {"2026-01-01T00:00:00.5", "time (at byte 21)"},
        {"2026-01-01T00:00:00,5Z", "time (at byte 19)"},
        {"2026-01-01T00:00:00Zx", "time (at byte 20)"},
        {"2026-01-01T00:00:00+24:00", "time (at byte 20)"},
        {"2026-01-01T00:00:00+00:60", "time (at byte 20)"},
        {"2026-01-01T00:00:00+0100", "time (at byte 22)"},
        {"2026-01-01T00:00:00+01", "time (at byte 22)"},
        {"2026-01-01T00:00:00+01:0", "time (at byte 24)"},
        {"2026-01-01T00:00:00+01:000", "time (at byte 25)"},
        {"2026-01-01 00:00:00Z", "time (at byte 10)"},
        {"2026-01-01T00:00Z", "time (at byte 16)"},
        {"2026-01-01", "time (at byte 10)"},
        {"2026-1-01T00:00:00Z", "time (at byte 6)"},
        {"+026-01-01T00:00:00Z", "time (at byte 0)"},
        {"12026-01-01T00:00:00Z", "time (at byte 4)"},
        {"2026-01-01T00:00: 0Z", "time (at byte 17)"},
        {"now", "time (at byte 0)"},
        {"\xD9\xA2\xD9\xA0\xD9\xA2\xD9\xA6-01-01T00:00:00Z", "time (at byte 0)"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[160];

        sprintf(text, "time: \"%s\" is no RFC 3339 %s", rows[i].text, rows[i].why);
        refused(FAAS_EVENT(MINIMAL, .time = rows[i].text), text);
    }
}
END_TEST

START_TEST(a_long_value_is_cut_in_the_error_text_between_characters)
{
    char time[200], text[240];

    memset(time, '-', sizeof time);
    memcpy(time + 63, "\xE2\x82\xAC and so on", 14);
    sprintf(text, "time: \"%.63s\" is no RFC 3339 time (at byte 0)", time);
    refused(FAAS_EVENT(MINIMAL, .time = time), text);
}
END_TEST

static void extension_refused(faas_extension extension, const char *text)
{
    refused(FAAS_EVENT(MINIMAL, .extensions = &extension, .extension_count = 1), text);
}

static void extension_accepted(faas_extension extension)
{
    accepted(FAAS_EVENT(MINIMAL, .extensions = &extension, .extension_count = 1));
}

START_TEST(names_of_extensions_are_lower_case_letters_and_digits)
{
    char name[FAAS_EVENT_NAME_MAX + 2], text[120];

    for (unsigned c = 1; c < 256; c++) {
        char two[] = {'a', (char)c, '\0'};

        sprintf(text,
                "extensions[0]: the byte 0x%02X at 1 of the name is not in a-z and 0-9",
                c);
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            extension_accepted(faas_extension_integer(two, 1));
        else
            extension_refused(faas_extension_integer(two, 1), text);
    }
    extension_accepted(faas_extension_integer("1", 1));
    extension_accepted(faas_extension_integer("comexampleothervalueandmore", 1));
    extension_refused(faas_extension_integer("", 1), "extensions[0]: it has no name");
    extension_refused(faas_extension_integer(NULL, 1), "extensions[0]: it has no name");
    memset(name, 'n', sizeof name);
    name[FAAS_EVENT_NAME_MAX + 1] = '\0';
    extension_refused(faas_extension_integer(name, 1),
                      "extensions[0]: the name's 65 bytes are over 64");
    name[FAAS_EVENT_NAME_MAX] = '\0';
    extension_accepted(faas_extension_integer(name, 1));
}
END_TEST

START_TEST(names_of_cloudevents_are_taken)
{
    static const char *const taken[] = {
        "specversion",     "id",         "source", "type", "subject", "time",
        "datacontenttype", "dataschema", "data"};

    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        char text[80];

        sprintf(text, "extensions[0]: the name \"%s\" is taken by CloudEvents", taken[i]);
        extension_refused(faas_extension_integer(taken[i], 1), text);
    }
    extension_refused(
        faas_extension_integer("data_base64", 1),
        "extensions[0]: the byte 0x5F at 4 of the name is not in a-z and 0-9");
    extension_accepted(faas_extension_integer("database64", 1));
    extension_accepted(faas_extension_integer("dat", 1));
}
END_TEST

START_TEST(an_extension_stands_once)
{
    const faas_extension list[] = {
        faas_extension_integer("b", 2), faas_extension_integer("a", 1),
        faas_extension_string("a", "x"), faas_extension_integer("b", 1)};
    const faas_extension apart[] = {list[0], list[1], list[3]};

    refused(FAAS_EVENT(MINIMAL, .extensions = list, .extension_count = 3),
            "extensions[2]: the name \"a\" is that of extensions[1]");
    refused(FAAS_EVENT(MINIMAL, .extensions = apart, .extension_count = 3),
            "extensions[2]: the name \"b\" is that of extensions[0]");
    accepted(FAAS_EVENT(MINIMAL, .extensions = list, .extension_count = 2));
}
END_TEST

START_TEST(values_of_extensions_are_of_their_type)
{
    faas_extension e = {"x", {NULL, 0}, 0, FAAS_EXTENSION_STRING};

    extension_refused(e, "extension x: it has no value");
    e.value = faas_str("");
    extension_accepted(e);
    e.value = faas_str("a\x7F");
    extension_refused(e, "extension x: U+007F at 1 is a control character");
    e.value = faas_bytes_of("a\0b", 3);
    extension_refused(e, "extension x: U+0000 at 1 is a control character");
    e.type = FAAS_EXTENSION_BINARY;
    extension_accepted(e);
    e.type = FAAS_EXTENSION_URI;
    e.value = faas_str("/a");
    extension_refused(e, "extension x: \"/a\" is no URI (it has no scheme)");
    e.value = faas_str("a:b");
    extension_accepted(e);
    e.type = FAAS_EXTENSION_URI_REFERENCE;
    extension_accepted(e);
    e.value = faas_str("");
    extension_accepted(e);
    e.value = faas_str("a b");
    extension_refused(e, "extension x: the byte 0x20 at 1 must be percent-encoded");
    e.type = FAAS_EXTENSION_TIMESTAMP;
    e.value = faas_str("2026-02-03");
    extension_refused(e, "extension x: \"2026-02-03\" is no RFC 3339 time (at byte 10)");
    e.value = faas_str("2026-02-03T00:00:00Z");
    extension_accepted(e);
    e.type = FAAS_EXTENSION_BOOLEAN;
    e.integer = 2;
    extension_refused(e, "extension x: 2 is not 0 or 1");
    e.type = (faas_extension_type)7;
    extension_refused(e, "extension x: 7 is no type");
}
END_TEST

START_TEST(at_most_64_extensions)
{
    faas_extension extensions[FAAS_EVENT_EXTENSIONS_MAX + 1];
    char names[FAAS_EVENT_EXTENSIONS_MAX + 1][8];
    faas_event *event;

    for (int i = 0; i <= FAAS_EVENT_EXTENSIONS_MAX; i++) {
        sprintf(names[i], "n%d", i);
        extensions[i] = faas_extension_integer(names[i], i);
    }
    refused(FAAS_EVENT(MINIMAL, .extensions = extensions, .extension_count = 65),
            "extension_count: 65 is over 64");
    refused(FAAS_EVENT(MINIMAL, .extension_count = 1),
            "extensions: NULL, but extension_count is 1");
    event =
        event_of(FAAS_EVENT(MINIMAL, .extensions = extensions, .extension_count = 64));
    ck_assert_int_eq(faas_event_extension(event, "n63")->integer, 63);
    faas_event_release(event);
}
END_TEST

START_TEST(copied_data_is_aligned_and_stays_where_it_is)
{
    for (size_t length = 1; length < 20; length++) {
        char id[20];
        faas_event *event, *shared;
        const void *data;

        memset(id, 'i', sizeof id);
        id[length] = '\0';
        event = event_of(
            FAAS_EVENT(.id = id, .source = "/s", .type = "t", .data = faas_str("123")));
        data = faas_event_data(event).data;
        ck_assert_uint_eq((uintptr_t)data % 16, 0);
        shared = faas_event_acquire(event);
        ck_assert_ptr_eq(shared, event);
        faas_event_release(event);
        ck_assert_ptr_eq(faas_event_data(shared).data, data);
        ck_assert_bytes_eq(faas_event_data(shared), "123", 3);
        faas_event_release(shared);
    }
}
END_TEST

START_TEST(borrowed_data_is_not_copied)
{
    static const char data[] = "some data";
    faas_event *event = event_of(
        FAAS_EVENT(MINIMAL, .data_hold = FAAS_DATA_BORROW, .data = faas_str(data)));

    ck_assert_ptr_eq(faas_event_data(event).data, data);
    ck_assert_uint_eq(faas_event_data(event).size, 9);
    faas_event_release(event);
    refused(FAAS_EVENT(MINIMAL, .data_hold = (faas_data_hold)2),
            "data_hold: 2 is neither copy nor borrow");
}
END_TEST

START_TEST(empty_data_is_not_absent_data)
{
    static const char nothing[] = "";
    faas_event *event = event_of(FAAS_EVENT(MINIMAL, .data = faas_str(nothing)));

    ck_assert_ptr_nonnull(faas_event_data(event).data);
    ck_assert_ptr_ne(faas_event_data(event).data, nothing);
    ck_assert_uint_eq(faas_event_data(event).size, 0);
    faas_event_release(event);
    refused(FAAS_EVENT(MINIMAL, .data = {NULL, 3}), "data: NULL, but its size is 3");
    refused(FAAS_EVENT(MINIMAL, .data = {"", SIZE_MAX}),
            "data: 18446744073709551615 bytes cannot be");
}
END_TEST

START_TEST(owned_data_ends_once_at_the_last_release)
{
    for (int hold = FAAS_DATA_COPY; hold <= FAAS_DATA_BORROW; hold++) {
        char data[] = "owned";
        struct freed freed = {.count = 0};
        faas_event *event = event_of(
            FAAS_EVENT(MINIMAL, .data = faas_str(data), .data_hold = (faas_data_hold)hold,
                       .data_free = freed_count, .data_user = &freed));

        ck_assert_ptr_eq(faas_event_data(event).data, data);
        ck_assert_ptr_eq(faas_event_acquire(event), event);
        ck_assert_ptr_eq(faas_event_acquire(event), event);
        faas_event_release(event);
        faas_event_release(event);
        ck_assert_uint_eq(freed.count, 0);
        faas_event_release(event);
        ck_assert_uint_eq(freed.count, 1);
        ck_assert_ptr_eq(freed.data, data);
        ck_assert_uint_eq(freed.size, 5);
    }
}
END_TEST

/* A program compiled with a newer library, whose options have one more field. */
struct newer_options {
    faas_event_options known;
    uint64_t unknown;
};

START_TEST(owned_data_ends_once_also_when_the_event_is_refused)
{
    char data[] = "owned";
    struct freed freed = {.count = 0};
    struct newer_options newer = {{.size = sizeof newer,
                                   MINIMAL,
                                   .data = faas_str(data),
                                   .data_free = freed_count,
                                   .data_user = &freed},
                                  0};
    faas_event_options no_size = newer.known;
    faas_event *event;

    accepted(&newer.known);
    ck_assert_uint_eq(freed.count, 1);
    newer.unknown = 1;
    ck_assert_status(faas_event_create(&newer.known, &event), FAAS_EVERSION);
    ck_assert_ptr_null(event);
    ck_assert_uint_eq(freed.count, 2);
    refused(FAAS_EVENT(.id = "1", .data = faas_str(data), .data_free = freed_count,
                       .data_user = &freed),
            "source: required, but absent");
    ck_assert_uint_eq(freed.count, 3);
    ck_assert_ptr_eq(freed.data, data);
    ck_assert_uint_eq(freed.size, 5);
    accepted(FAAS_EVENT(MINIMAL, .data_free = freed_count, .data_user = &freed));
    ck_assert_uint_eq(freed.count, 4);
    ck_assert_ptr_null(freed.data);
    no_size.size = 0;
    refused(&no_size, "event options: size is 0; set it to sizeof the struct");
    ck_assert_uint_eq(freed.count, 4);
}
END_TEST

START_TEST(options_of_an_older_program_lack_the_last_fields)
{
    faas_event_options old = {MINIMAL, .data_free = freed_count};

    old.size = offsetof(faas_event_options, data_free);
    accepted(&old); // data_free lies past its end: it must not be read
}
END_TEST

START_TEST(create_leaks_nothing_whichever_allocation_fails)
{
    const faas_extension extension = faas_extension_string("tenant", "acme");
    struct freed freed = {.count = 0};

    for (unsigned fail_at = 1;; fail_at++) {
        struct faulty f = {.fail_at = fail_at};
        faas_allocator alloc = faulty_allocator(&f);
        faas_event *event = (faas_event *)(uintptr_t)1;
        faas_status status = faas_event_create(
            FAAS_EVENT(MINIMAL, .extensions = &extension, .extension_count = 1,
                       .data = faas_str("data"), .data_free = freed_count,
                       .data_user = &freed, .allocator = &alloc),
            &event);

        ck_assert_uint_eq(freed.count, status == FAAS_OK ? fail_at - 1 : fail_at);
        faas_event_release(event);
        ck_assert_uint_eq(freed.count, fail_at);
        ck_assert_uint_eq(f.live_bytes, 0);
        if (status == FAAS_OK) {
            ck_assert_uint_eq(fail_at, 2); // an event is one block
            break;
        }
        ck_assert_status(status, FAAS_ENOMEM);
        ck_assert_ptr_null(event);
    }
}
END_TEST

START_TEST(an_event_is_one_block_with_its_data)
{
    const faas_extension extensions[] = {faas_extension_string("tenant", "acme"),
                                         faas_extension_boolean("dry", false)};
    char data[1000];
    struct faulty f = {.fail_at = 0};
    faas_allocator alloc = faulty_allocator(&f);

    memset(data, 'd', sizeof data);
    /* Every length, so that each alignment of what lies behind the text is met. */
    for (size_t size = 0; size < 40; size++) {
        char subject[41];
        faas_event *event;

        memset(subject, 's', sizeof subject);
        subject[size + 1] = '\0';
        event = event_of(FAAS_EVENT(MINIMAL, .subject = subject, .extensions = extensions,
                                    .extension_count = 2, .allocator = &alloc,
                                    .data = faas_bytes_of(data, sizeof data - size)));
        ck_assert_uint_eq(f.live_blocks, 1);
        ck_assert_uint_lt(f.live_bytes, 1400);
        ck_assert_bytes_eq(faas_event_data(event), data, sizeof data - size);
        ck_assert_str_eq(faas_event_subject(event), subject);
        faas_event_release(event);
        ck_assert_uint_eq(f.live_blocks, 0);
    }
    faas_event_release(NULL);
}
END_TEST

#define SHARERS 4

static void *event_share(void *arg)
{
    faas_event *mine = arg;

    for (int i = 0; i < 20000; i++) {
        faas_event *more = faas_event_acquire(mine);

        /* An assertion of check's would lock, and write to a file. */
        if (strcmp(faas_event_type(more), "order.created") != 0 ||
            faas_event_data(more).size != 6 ||
            memcmp(faas_event_data(more).data, "shared", 6) != 0)
            abort();
        faas_event_release(more);
    }
    faas_event_release(mine);
    return NULL;
}

START_TEST(threads_share_an_event_and_the_last_one_ends_it)
{
    for (int round = 0; round < 20; round++) {
        struct freed freed = {.count = 0};
        struct faulty f = {.fail_at = 0};
        faas_allocator alloc = faulty_allocator(&f);
        char data[] = "shared";
        pthread_t threads[SHARERS];
        faas_event *event =
            event_of(FAAS_EVENT(MINIMAL, .data = faas_str(data), .data_free = freed_count,
                                .data_user = &freed, .allocator = &alloc));

        for (int i = 0; i < SHARERS; i++)
            ck_assert_int_eq(
                pthread_create(&threads[i], NULL, event_share, faas_event_acquire(event)),
                0);
        faas_event_release(event);
        for (int i = 0; i < SHARERS; i++)
            pthread_join(threads[i], NULL);
        ck_assert_uint_eq(freed.count, 1);
        ck_assert_uint_eq(f.live_blocks, 0);
    }
}
END_TEST

START_TEST(attributes_and_extensions_are_members)
{
    const faas_extension extensions[] = {
        faas_extension_string("tenant", "a\"c"),
        faas_extension_integer("attempt", INT32_MIN),
        faas_extension_boolean("dry", true),
        faas_extension_boolean("wet", false),
        {"key", faas_bytes_of("\x00\xFF", 2), 0, FAAS_EXTENSION_BINARY},
        {"at", faas_str("2026-02-03T00:00:00Z"), 0, FAAS_EXTENSION_TIMESTAMP}};

    writes(FAAS_EVENT(MINIMAL), "}");
    writes(FAAS_EVENT(MINIMAL, .subject = "\xC3\xA9\\", .time = "2026-02-03T00:00:00Z",
                      .data_content_type = "text/plain", .data_schema = "urn:x",
                      .extensions = extensions, .extension_count = 6,
                      .data = faas_str("d")),
           ",\"subject\":\"\xC3\xA9\\\\\",\"time\":\"2026-02-03T00:00:00Z\","
           "\"datacontenttype\":\"text/"
           "plain\",\"dataschema\":\"urn:x\",\"tenant\":\"a\\\"c\","
           "\"attempt\":-2147483648,\"dry\":true,\"wet\":false,\"key\":\"AP8=\","
           "\"at\":\"2026-02-03T00:00:00Z\",\"data\":\"d\"}");
}
END_TEST

START_TEST(json_data_is_written_as_a_value_on_one_line)
{
    static const char *const types[] = {"application/json", "text/json", "a/b+json",
                                        "Application/JSON;charset=latin1",
                                        "x/Y+Json; a=b"};

    writes(FAAS_EVENT(MINIMAL, .data = faas_str("{\"a\":[1,2]}")),
           ",\"data\":{\"a\":[1,2]}}");
    writes(FAAS_EVENT(MINIMAL, .data = faas_str("\r\n{\n\t\"a\" : \n1 }\n")),
           ",\"data\":{\t\"a\" : 1 }}");
    writes(FAAS_EVENT(MINIMAL, .data = faas_str("null")), ",\"data\":null}");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        faas_event *event = event_of(
            FAAS_EVENT(MINIMAL, .data_content_type = types[i], .data = faas_str("[7]")));
        struct sink sink = {.size = 0};

        ck_assert_ok(faas_event_write_json(event, sink_write, &sink));
        ck_assert_ptr_nonnull(strstr(sink.text, "\"data\":[7]}"));
        faas_event_release(event);
    }
}
END_TEST

START_TEST(text_is_written_as_a_string_and_the_rest_as_base64)
{
    static const struct {
        const char *type, *data, *member;
    } rows[] = {
        {"text/plain", "a\nb", "\"data\":\"a\\nb\""},
        {"TEXT/html; charset=UTF-8", "\xC3\xA9", "\"data\":\"\xC3\xA9\""},
        {"text/html; charset=\"us-ascii\"", "a", "\"data\":\"a\""},
        {"text/html; charset=iso-8859-1", "a", "\"data_base64\":\"YQ==\""},
        {"text/plain", "\xE9", "\"data_base64\":\"6Q==\""},
        {"application/xml", "<a/>", "\"data\":\"<a/>\""},
        {"image/svg+xml", "<a/>", "\"data\":\"<a/>\""},
        {"image/png", "a", "\"data_base64\":\"YQ==\""},
        {"application/jsonx", "1", "\"data_base64\":\"MQ==\""},
        {"application/xjson", "1", "\"data_base64\":\"MQ==\""},
        {"application/json; a=\"x/y+xml\"", "{", "\"data_base64\":\"ew==\""},
        {"application/json", "", "\"data_base64\":\"\""},
        {"text/plain", "", "\"data\":\"\""},
        {NULL, "just text", "\"data_base64\":\"anVzdCB0ZXh0\""},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        faas_event *event = event_of(FAAS_EVENT(
            MINIMAL, .data_content_type = rows[i].type, .data = faas_str(rows[i].data)));
        struct sink sink = {.size = 0};

        ck_assert_ok(faas_event_write_json(event, sink_write, &sink));
        ck_assert_msg(strstr(sink.text, rows[i].member) != NULL, "%s: %s", rows[i].type,
                      sink.text);
        faas_event_release(event);
    }
}
END_TEST

/* Whether data is JSON shows in the member it is written to. */
static bool is_json(const char *data, size_t size)
{
    faas_event *event = event_of(FAAS_EVENT(MINIMAL, .data_hold = FAAS_DATA_BORROW,
                                            .data = faas_bytes_of(data, size)));
    struct sink sink = {.size = 0};
    bool as_value;

    ck_assert_ok(faas_event_write_json(event, sink_write, &sink));
    as_value = strstr(sink.text, "\"data\":") != NULL;
    ck_assert(as_value != (strstr(sink.text, "\"data_base64\":\"") != NULL));
    faas_event_release(event);
    return as_value;
}

START_TEST(only_valid_json_is_written_as_a_value)
{
    static const char *const good[] = {"0",
                                       "-0",
                                       "1.5",
                                       "1e5",
                                       "-1.5E-05",
                                       "true",
                                       "false",
                                       "null",
                                       "\"\"",
                                       "{}",
                                       "[]",
                                       " [ ] ",
                                       "[[],{}]",
                                       "{\"a\":{\"b\":[1,2,{\"c\":null}]},\"d\":\"e\"}",
                                       "[1 , 2]",
                                       "\"\\u00e9\\ud83d\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
                                       "\"\xC3\xA9\x7F\"",
                                       "{\"\":0}",
                                       "[true,false]",
                                       "[{},[1]]",
                                       "[[1],{\"a\":1}]",
                                       "\t{ \"a\" : 1 , \"a\" : 2 }\r\n",
                                       "[[1],[2]]",
                                       "[{},1]"};
    static const char *const bad[] = {" ",
                                      "01",
                                      "-",
                                      "+1",
                                      ".5",
                                      "1.",
                                      "1e",
                                      "1e+",
                                      "0x1",
                                      "- 1",
                                      "1 2",
                                      "tru",
                                      "nul",
                                      "True",
                                      "NaN",
                                      "truex",
                                      "\"",
                                      "\"\\\"",
                                      "\"\\x\"",
                                      "\"\\u00g0\"",
                                      "\"\\u00e\"",
                                      "'a'",
                                      "\"\n\"",
                                      "\"\t\"",
                                      "\"\xFF\"",
                                      "\"\xED\xA0\x80\"",
                                      "{",
                                      "}",
                                      "[",
                                      "]",
                                      "[1",
                                      "[1,",
                                      "[1,]",
                                      "[,1]",
                                      "[1 2]",
                                      "[1}",
                                      "{]",
                                      "{1:2}",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1",
                                      "{\"a\":1,}",
                                      "{,}",
                                      "{\"a\" 1}",
                                      "{\"a\":1 \"b\":2}",
                                      "{\"a\":1]",
                                      "[]]",
                                      "{}{}",
                                      "[1]x",
                                      "\xEF\xBB\xBF{}",
                                      "/**/1",
                                      "1//",
                                      "\"a\"b",
                                      "[\"a\":1]",
                                      "{a:1}",
                                      "[1,,2]",
                                      "{\"a\":1,,\"b\":2}",
                                      "{\"a\":1,2}",
                                      "\"\\u12\"",
                                      "\"\\"};
    enum { DEPTH_MAX = 1024 };
    static char deep[2 * (DEPTH_MAX + 1) + 1];

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        ck_assert_msg(is_json(good[i], strlen(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!is_json(bad[i], strlen(bad[i])), "%s", bad[i]);
    ck_assert(!is_json("1\0", 2));
    ck_assert(!is_json("\"\\\0\"", 4));
    for (size_t depth = DEPTH_MAX - 1; depth <= DEPTH_MAX + 1; depth++) {
        memset(deep, '[', depth);
        memset(deep + depth, ']', depth);
        ck_assert_int_eq(is_json(deep, 2 * depth), depth <= DEPTH_MAX);
    }
    /* The kinds of the open brackets are remembered at every depth. */
    for (size_t flip = 0; flip < 256; flip++) {
        memset(deep, '[', 256);
        memset(deep + 256, ']', 256);
        deep[511 - flip] = '}';
        ck_assert(!is_json(deep, 512));
    }
}
END_TEST

START_TEST(writing_stops_when_the_callback_refuses)
{
    static char data[2000];
    faas_event *event;

    memset(data, 'x', sizeof data);
    event = event_of(FAAS_EVENT(MINIMAL, .data_content_type = "image/png",
                                .data = faas_bytes_of(data, sizeof data)));
    for (unsigned refuse_at = 1; refuse_at <= 5; refuse_at++) {
        struct sink sink = {.refuse_at = refuse_at};

        ck_assert_status(faas_event_write_json(event, sink_write, &sink), FAAS_ESYSTEM);
        ck_assert_uint_eq(sink.calls, refuse_at);
    }
    faas_event_release(event);
}
END_TEST

SUITE_MAIN(
    "event", an_event_says_what_it_was_made_of, what_is_absent_is_null,
    nothing_in_an_event_points_to_what_it_was_made_of,
    inside_the_library_lengths_and_the_hash_of_the_type_are_known,
    hashes_differ_unless_the_build_says_otherwise, id_source_and_type_are_required,
    an_optional_attribute_is_absent_or_not_empty, an_attribute_is_at_most_64_kib,
    control_characters_are_found_at_every_place,
    characters_that_cloudevents_forbids_are_refused, a_source_is_any_uri_reference,
    a_uri_consists_of_the_characters_of_rfc_3986,
    a_media_type_consists_of_the_tokens_of_rfc_2045, a_schema_is_a_uri_with_a_scheme,
    lengths_count_and_terminators_do_not, a_data_content_type_is_a_media_type,
    times_are_instants, every_day_of_the_calendar_is_one_after_the_day_before,
    what_is_no_time_is_refused, a_long_value_is_cut_in_the_error_text_between_characters,
    names_of_extensions_are_lower_case_letters_and_digits, names_of_cloudevents_are_taken,
    an_extension_stands_once, values_of_extensions_are_of_their_type,
    at_most_64_extensions, copied_data_is_aligned_and_stays_where_it_is,
    borrowed_data_is_not_copied, empty_data_is_not_absent_data,
    owned_data_ends_once_at_the_last_release,
    owned_data_ends_once_also_when_the_event_is_refused,
    options_of_an_older_program_lack_the_last_fields,
    create_leaks_nothing_whichever_allocation_fails, an_event_is_one_block_with_its_data,
    threads_share_an_event_and_the_last_one_ends_it,
    attributes_and_extensions_are_members, json_data_is_written_as_a_value_on_one_line,
    text_is_written_as_a_string_and_the_rest_as_base64,
    only_valid_json_is_written_as_a_value, writing_stops_when_the_callback_refuses)
