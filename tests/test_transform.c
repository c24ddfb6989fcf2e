/* SPDX-License-Identifier: MIT */
/* Input transformers. */
#include "support.h"

#include "core/json.h"
#include "core/mem.h"
#include "core/transform.h"

static const char paths[] =
    "{\"s\":\"$.s\",\"n\":\"$.data.n\",\"o\":\"$.data\",\"all\":\"$\",\"i\":\"$.a[1].x\","
    "\"q\":\"$['odd "
    "key']\",\"none\":\"$.no.such\",\"e\":\"$.e\",\"l\":\"$.a\",\"t\":\"$.t\"}";
static const char event[] =
    "{\"x\":[1,{\"s\":0}],\"s\":\"a\\\"b\",\"data\":{\"n\":1.50, "
    "\"m\":\"q\"},\"a\":[0,{\"x\":\"one\"}],"
    "\"odd key\":null,\"e\":\"\\u00e9\\n\",\"t\":true,\"s\":\"late\"}";

static void run_check(const char *template, const char *expected)
{
    struct faulty f = {0};
    faas_allocator alloc = faulty_allocator(&f);
    struct faasi_transform *t;
    unsigned calls;
    char *out;
    size_t size;

    ck_assert_ok(
        faasi_transform_compile(&t, faas_str(paths), faas_str(template), &alloc));
    calls = f.calls;
    ck_assert_ok(faasi_transform_run(t, faas_str(event), &alloc, &out, &size));
    ck_assert_uint_eq(f.calls, calls + 1);
    ck_assert_msg(size == strlen(expected) && memcmp(out, expected, size) == 0,
                  "%s gives %.*s, not %s", template, (int)size, out, expected);
    if (template[0] == '{' || template[0] == '[' || template[0] == '"')
        ck_assert_ok(faasi_json_check_any(faas_bytes_of(out, size), NULL));
    faasi_free(&alloc, out, size);
    faasi_transform_free(t);
    ck_assert_uint_eq(f.live_bytes, 0);
}

START_TEST(strings_lose_their_quotes_inside_strings)
{
    run_check("{\"m\":\"<s> is <n>\"}", "{\"m\":\"a\\\"b is 1.50\"}");
    run_check("\"<e><t><q>\"", "\"\\u00e9\\ntruenull\"");
    run_check("{\"<i>\":1}", "{\"one\":1}");
}
END_TEST

START_TEST(values_stand_whole_outside_strings)
{
    run_check("{\"a\":<s>,\"b\":<n>,\"c\":<o>,\"d\":<q>}",
              "{\"a\":\"a\\\"b\",\"b\":1.50,\"c\":{\"n\":1.50, \"m\":\"q\"},\"d\":null}");
    run_check("[<l>, <i>]", "[[0,{\"x\":\"one\"}], \"one\"]");
}
END_TEST

START_TEST(objects_inside_strings_are_escaped)
{
    run_check("{\"m\":\"<o>\"}", "{\"m\":\"{\\\"n\\\":1.50, \\\"m\\\":\\\"q\\\"}\"}");
}
END_TEST

START_TEST(what_is_missing_is_empty)
{
    run_check("{\"m\":\"[<none>]\",\"v\":<none>}", "{\"m\":\"[]\",\"v\":\"\"}");
    run_check("x<none>y", "xy");
}
END_TEST

START_TEST(text_gets_strings_without_escapes)
{
    run_check("<s>: <e>, <o>", "a\"b: \xC3\xA9\n, {\"n\":1.50, \"m\":\"q\"}");
    run_check("", "");
    run_check("a < b, <>, <a b>", "a < b, <>, <a b>");
    run_check("<all>", event);
}
END_TEST

START_TEST(faults_are_refused_where_they_are)
{
    static const struct {
        const char *paths, *template;
        faas_status status;
        const char *text;
    } rows[] = {
        {"{", "x", FAAS_ESYNTAX,
         "paths: byte 1: found the end, expected a key in double quotes"},
        {"[]", "x", FAAS_EINVAL, "paths: byte 0: expected an object"},
        {"{\"a\":1}", "x", FAAS_EINVAL, "paths: byte 5: expected a path in quotes"},
        {"{\"a\":\"x\"}", "x", FAAS_EINVAL,
         "paths: byte 5: in the path found `x`, expected '$'"},
        {"{\"a\":\"$x\"}", "x", FAAS_EINVAL,
         "paths: byte 5: in the path found `x`, expected '.' or '['"},
        {"{\"a\":\"$.\"}", "x", FAAS_EINVAL,
         "paths: byte 5: in the path found the end, expected a key"},
        {"{\"a\":\"$[x]\"}", "x", FAAS_EINVAL,
         "paths: byte 5: in the path found `x]`, expected an index or 'a key'"},
        {"{\"a\":\"$['x]\"}", "x", FAAS_EINVAL,
         "paths: byte 5: in the path found the end, expected a closing '"},
        {"{\"a\":\"$[1\"}", "x", FAAS_EINVAL,
         "paths: byte 5: in the path found the end, expected ']'"},
        {"{\"a\":\"$.a\"}", "x <b>", FAAS_EINVAL,
         "template: byte 2: <b> is not among the paths"},
        {"{\"a\":\"$.a\"}", "{\"x\":<a>", FAAS_ESYNTAX, NULL},
        {"{\"a\":\"$.a\"}", "{\"x\":1<a>}", FAAS_ESYNTAX, NULL},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct faasi_transform *t;

        ck_assert_status(faasi_transform_compile(&t, faas_str(rows[i].paths),
                                                 faas_str(rows[i].template),
                                                 &faasi_default_allocator),
                         rows[i].status);
        ck_assert_ptr_null(t);
        if (rows[i].text != NULL)
            ck_assert_str_eq(faas_error_text(), rows[i].text);
    }
}
END_TEST

START_TEST(compiling_leaks_nothing_whichever_allocation_fails)
{
    for (unsigned fail_at = 1;; fail_at++) {
        struct faulty f = {.fail_at = fail_at};
        faas_allocator alloc = faulty_allocator(&f);
        struct faasi_transform *t;
        faas_status status = faasi_transform_compile(
            &t, faas_str(paths), faas_str("{\"a\":<s>,\"b\":\"<o>\"}"), &alloc);

        faasi_transform_free(t);
        ck_assert_uint_eq(f.live_bytes, 0);
        if (status == FAAS_OK) {
            ck_assert_uint_gt(fail_at, 2);
            break;
        }
        ck_assert_status(status, FAAS_ENOMEM);
    }
}
END_TEST

/* Cut or mangled events give some output, read within their bytes. */
START_TEST(broken_events_are_read_within_their_bytes)
{
    struct faasi_transform *t;

    ck_assert_ok(faasi_transform_compile(
        &t, faas_str(paths), faas_str("<s><n><i><q><e><all>"), &faasi_default_allocator));
    for (size_t size = 0; size <= sizeof event - 1; size++) {
        char *copy = malloc(size == 0 ? 1 : size), *out;
        size_t made;

        memcpy(copy, event, size);
        ck_assert_ok(faasi_transform_run(t, faas_bytes_of(copy, size),
                                         &faasi_default_allocator, &out, &made));
        faasi_free(&faasi_default_allocator, out, made);
        for (size_t i = 0; i < size; i += 3) {
            copy[i] = "\"\\{}[],: "[i % 10]; // and a zero
            ck_assert_ok(faasi_transform_run(t, faas_bytes_of(copy, size),
                                             &faasi_default_allocator, &out, &made));
            faasi_free(&faasi_default_allocator, out, made);
        }
        free(copy);
    }
    faasi_transform_free(t);
}
END_TEST

SUITE_MAIN("transform", strings_lose_their_quotes_inside_strings,
           values_stand_whole_outside_strings, objects_inside_strings_are_escaped,
           what_is_missing_is_empty, text_gets_strings_without_escapes,
           faults_are_refused_where_they_are,
           compiling_leaks_nothing_whichever_allocation_fails,
           broken_events_are_read_within_their_bytes)
