/* SPDX-License-Identifier: MIT */
/* test_record.c - the record of an ended invocation is written as Lambda writes it. */
#include "support.h"

#include "core/json.h"

#include <faas/async.h>

#include <time.h>

static char written[16384];
static size_t written_size;

static int take(const char *text, size_t size, void *user)
{
    (void)user;
    ck_assert_uint_lt(written_size + size, sizeof written);
    memcpy(written + written_size, text, size);
    written_size += size;
    written[written_size] = '\0';
    return 0;
}

/* Of what all examples say alike. */
static faas_record record_of(faas_condition condition, faas_status status)
{
    return (faas_record){
        .size = sizeof(faas_record),
        .request_id = {0x0123456789abcdef, 0x1122334455667788},
        .function = "resize",
        .attempts = 3,
        .condition = condition,
        .status = status,
        .request = {"{\"a\": 1}", 8},
        .error = "",
        .ended_unix_ns = INT64_C(1573755365568999999),
    };
}

static const char *json_of(const faas_record *record)
{
    written_size = 0;
    ck_assert_ok(faas_record_json(record, take, NULL));
    ck_assert_ok(faasi_json_check(faas_bytes_of(written, written_size), NULL, NULL));
    return written;
}

/* The text that stands between two others in the JSON of a record. */
static const char *between(const faas_record *record, const char *from, const char *to)
{
    static char part[sizeof written];
    const char *json = json_of(record), *begin = strstr(json, from), *end;

    ck_assert_msg(begin != NULL, "no %s in %s", from, json);
    begin += strlen(from);
    end = strstr(begin, to);
    ck_assert_msg(end != NULL, "no %s in %s", to, begin);
    memcpy(part, begin, (size_t)(end - begin));
    part[end - begin] = '\0';
    return part;
}

static const char *payload_of(const void *data, size_t size)
{
    faas_record record = record_of(FAAS_CANCELLED, FAAS_ECANCELLED);

    record.request = faas_bytes_of(data, size);
    (void)json_of(&record);
    written[written_size - 1] = '\0'; // the closing bracket behind it
    return strstr(written, "\"requestPayload\":") + strlen("\"requestPayload\":");
}

START_TEST(conditions_have_lambdas_names)
{
    ck_assert_str_eq(faas_condition_name(FAAS_SUCCESS), "Success");
    ck_assert_str_eq(faas_condition_name(FAAS_RETRIES_EXHAUSTED), "RetriesExhausted");
    ck_assert_str_eq(faas_condition_name(FAAS_EVENT_AGE_EXCEEDED), "EventAgeExceeded");
    ck_assert_str_eq(faas_condition_name(FAAS_CANCELLED), "Cancelled");
    ck_assert_str_eq(faas_condition_name(FAAS_DROPPED), "Dropped");
    ck_assert_str_eq(faas_condition_name(FAAS_CONDITION_NONE), "None");
    ck_assert_str_eq(faas_condition_name((faas_condition)99), "None");
}
END_TEST

START_TEST(a_success_has_everything)
{
    faas_record record = record_of(FAAS_SUCCESS, FAAS_OK);
    char id[FAAS_ID_TEXT_SIZE], expect[1024];

    faas_id_text(record.request_id, id);
    record.attempts = 1;
    record.response = faas_str("[true]");
    snprintf(expect, sizeof expect,
             "{\"version\":\"1.0\",\"timestamp\":\"2019-11-14T18:16:05.568Z\","
             "\"requestContext\":{\"requestId\":\"%s\","
             "\"functionArn\":\"libfaas:function:resize\",\"condition\":\"Success\","
             "\"approximateInvokeCount\":1},\"requestPayload\":{\"a\": 1},"
             "\"responseContext\":{\"statusCode\":200,\"executedVersion\":\"$LATEST\"},"
             "\"responsePayload\":[true]}",
             id);
    ck_assert_str_eq(json_of(&record), expect);
}
END_TEST

START_TEST(a_failure_has_the_message_and_the_code_of_the_handler)
{
    faas_record record = record_of(FAAS_RETRIES_EXHAUSTED, FAAS_EHANDLER);

    record.code = -7;
    record.error = "no \"such\"\nuser";
    record.function = "resize:12";
    record.version = 12;
    ck_assert_str_eq(between(&record, "\"functionArn\":", ",\"requestPayload\""),
                     "\"libfaas:function:resize:12\",\"condition\":\"RetriesExhausted\","
                     "\"approximateInvokeCount\":3}");
    ck_assert_str_eq(between(&record, "\"responseContext\":", "}}"),
                     "{\"statusCode\":200,\"executedVersion\":\"12\","
                     "\"functionError\":\"Handled\"},\"responsePayload\":"
                     "{\"errorMessage\":\"no \\\"such\\\"\\nuser\",\"errorType\":\"-7\"");
}
END_TEST

START_TEST(a_failure_without_a_message_says_what_its_status_means)
{
    faas_record record = record_of(FAAS_RETRIES_EXHAUSTED, FAAS_ETIMEDOUT);

    ck_assert_str_eq(between(&record, "\"functionError\":", "}}"),
                     "\"Unhandled\"},\"responsePayload\":{\"errorMessage\":\"the handler "
                     "came back after its deadline; its output is dropped\","
                     "\"errorType\":\"FAAS_ETIMEDOUT\"");
}
END_TEST

START_TEST(what_did_not_run_has_no_response)
{
    static const struct {
        faas_condition condition;
        faas_status status;
    } ends[] = {{FAAS_EVENT_AGE_EXCEEDED, FAAS_EEXPIRED},
                {FAAS_CANCELLED, FAAS_ECANCELLED},
                {FAAS_DROPPED, FAAS_EBUSY},
                {FAAS_DROPPED, FAAS_ENOENT},
                {FAAS_DROPPED, FAAS_ECLOSED},
                {FAAS_RETRIES_EXHAUSTED, FAAS_ENOMEM}};

    for (size_t i = 0; i < FAASI_COUNT(ends); i++) {
        faas_record record = record_of(ends[i].condition, ends[i].status);

        ck_assert_ptr_null(strstr(json_of(&record), "response"));
        ck_assert_str_eq(between(&record, "\"condition\":\"", "\""),
                         faas_condition_name(ends[i].condition));
    }
}
END_TEST

START_TEST(json_stands_as_it_is)
{
    static const char *const texts[] = {
        "{}",          "[1, 2]",         "1.50",         "-0",       "null", "true",
        "\"\\u00e9\"", " {\"a\" :\n1} ", "\"\xC3\xA9\"", "[[[[]]]]", "0"};

    for (size_t i = 0; i < FAASI_COUNT(texts); i++)
        ck_assert_str_eq(payload_of(texts[i], strlen(texts[i])), texts[i]);
}
END_TEST

START_TEST(other_text_is_a_string)
{
    static const struct {
        const char *text, *expect;
    } texts[] = {{"hello", "\"hello\""},
                 {"{\"a\": 1", "\"{\\\"a\\\": 1\""},
                 {"{} {}", "\"{} {}\""},
                 {"01", "\"01\""},
                 {"NaN", "\"NaN\""},
                 {"\xC3\xA9\t\x01", "\"\xC3\xA9\\t\\u0001\""},
                 {"\xEF\xBB\xBF{}", "\"\xEF\xBB\xBF{}\""},
                 {" ", "\" \""},
                 {"", "\"\""}};

    for (size_t i = 0; i < FAASI_COUNT(texts); i++)
        ck_assert_str_eq(payload_of(texts[i].text, strlen(texts[i].text)),
                         texts[i].expect);
    ck_assert_str_eq(payload_of("a\0b", 3), "\"a\\u0000b\"");
    ck_assert_str_eq(payload_of(NULL, 0), "null");
}
END_TEST

START_TEST(other_bytes_are_base64)
{
    ck_assert_str_eq(payload_of("\xFF", 1), "{\"base64\":\"/w==\"}");
    ck_assert_str_eq(payload_of("\0\xC0\x80", 3), "{\"base64\":\"AMCA\"}");
    ck_assert_str_eq(payload_of("\"\xC3\"", 3),
                     "{\"base64\":\"IsMi\"}"); // no JSON either
    ck_assert_str_eq(payload_of("\xED\xA0\x80", 3), "{\"base64\":\"7aCA\"}");
}
END_TEST

START_TEST(a_long_payload_is_whole)
{
    static char text[9000];
    const char *payload;

    memset(text, 'x', sizeof text);
    payload = payload_of(text, sizeof text);
    ck_assert_uint_eq(strlen(payload), sizeof text + 2);
    ck_assert_int_eq(strncmp(payload + 1, text, sizeof text), 0);
}
END_TEST

START_TEST(a_long_name_is_whole)
{
    faas_record record = record_of(FAAS_SUCCESS, FAAS_OK);
    char name[300], *end;

    memset(name, 'n', 255);
    end = name + 255;
    strcpy(end, ":4294967295");
    record.function = name;
    ck_assert_str_eq(between(&record, "\"libfaas:function:", "\""), name);
}
END_TEST

static const char *time_of(int64_t unix_ns)
{
    faas_record record = record_of(FAAS_CANCELLED, FAAS_ECANCELLED);

    record.ended_unix_ns = unix_ns;
    return between(&record, "\"timestamp\":\"", "\"");
}

START_TEST(times_are_those_of_the_system)
{
    const int64_t second = 1000000000;
    uint64_t state = 1;

    ck_assert_str_eq(time_of(0), "1970-01-01T00:00:00.000Z");
    ck_assert_str_eq(time_of(999999), "1970-01-01T00:00:00.000Z");
    ck_assert_str_eq(time_of(1000000), "1970-01-01T00:00:00.001Z");
    ck_assert_str_eq(time_of(-1), "1969-12-31T23:59:59.999Z");
    ck_assert_str_eq(time_of(-second), "1969-12-31T23:59:59.000Z");
    ck_assert_str_eq(time_of(951782399 * second), "2000-02-28T23:59:59.000Z");
    ck_assert_str_eq(time_of(951782400 * second), "2000-02-29T00:00:00.000Z");
    ck_assert_str_eq(time_of(INT64_MAX), "2262-04-11T23:47:16.854Z");
    ck_assert_str_eq(time_of(INT64_MIN), "1677-09-21T00:12:43.145Z");
    for (int i = 0; i < 20000; i++) {
        char expect[64];
        int64_t ns;
        time_t seconds;
        struct tm tm;
        size_t size;

        state = state * 6364136223846793005u + 1442695040888963407u;
        ns = (int64_t)(state ^ state >> 29);
        seconds = (time_t)(ns / second - (ns % second < 0));
        ck_assert_ptr_nonnull(gmtime_r(&seconds, &tm));
        size = strftime(expect, sizeof expect, "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(expect + size, sizeof expect - size, ".%03dZ",
                 (int)((ns - (int64_t)seconds * second) / 1000000));
        ck_assert_str_eq(time_of(ns), expect);
    }
}
END_TEST

static int refuses(const char *text, size_t size, void *user)
{
    (void)text;
    (void)size;
    ++*(int *)user;
    return 1;
}

START_TEST(who_takes_it_may_end_it)
{
    faas_record record = record_of(FAAS_SUCCESS, FAAS_OK);
    static char text[4000];
    int calls = 0;

    memset(text, 'x', sizeof text);
    record.request = faas_bytes_of(text, sizeof text);
    ck_assert_status(faas_record_json(&record, refuses, &calls), FAAS_ESYSTEM);
    ck_assert_int_eq(calls, 1);
}
END_TEST

SUITE_MAIN("record", conditions_have_lambdas_names, a_success_has_everything,
           a_failure_has_the_message_and_the_code_of_the_handler,
           a_failure_without_a_message_says_what_its_status_means,
           what_did_not_run_has_no_response, json_stands_as_it_is, other_text_is_a_string,
           other_bytes_are_base64, a_long_payload_is_whole, a_long_name_is_whole,
           times_are_those_of_the_system, who_takes_it_may_end_it)
