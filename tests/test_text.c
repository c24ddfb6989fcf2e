/* SPDX-License-Identifier: MIT */
/* test_text.c - text is written whole, JSON is always JSON, and a refusal sticks; the
 * rooms utf8 and text. */
#include "support.h"

#include "core/text.h"
#include "core/utf8.h"

#include <float.h>
#include <locale.h>
#include <math.h>

/* Where the tests write to; refuses from the `refuse_at`-th piece on (0: never). */
struct sink {
    char text[8192];
    size_t size;
    unsigned calls;
    unsigned refuse_at;
};

static int sink_write(const char *text, size_t size, void *user)
{
    struct sink *sink = user;

    ck_assert_uint_ge(size, 1);
    ck_assert_uint_lt(sink->size + size, sizeof sink->text);
    sink->calls++;
    if (sink->refuse_at != 0 && sink->calls >= sink->refuse_at)
        return 7;
    memcpy(sink->text + sink->size, text, size);
    sink->size += size;
    sink->text[sink->size] = '\0';
    return 0;
}

/* Runs one statement on a fresh writer and compares what comes out. */
#define ck_assert_written(statement, expected)                                           \
    do {                                                                                 \
        struct sink sink_ = {.size = 0};                                                 \
        struct faasi_text t;                                                             \
                                                                                         \
        faasi_text_init(&t, sink_write, &sink_);                                         \
        statement;                                                                       \
        ck_assert_ok(faasi_text_finish(&t));                                             \
        ck_assert_str_eq(sink_.text, expected);                                          \
    } while (0)

/* A decoder written from table 3-7 row by row, to hold the shorter one against. */
static size_t decode_by_the_table(const unsigned char *at, size_t size, uint32_t *point)
{
    static const unsigned char rows[][9] = {
        {0xC2, 0xDF, 0x80, 0xBF, 0, 0, 0, 0, 2},
        {0xE0, 0xE0, 0xA0, 0xBF, 0x80, 0xBF, 0, 0, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 0x80, 0xBF, 0, 0, 3},
        {0xED, 0xED, 0x80, 0x9F, 0x80, 0xBF, 0, 0, 3},
        {0xEE, 0xEF, 0x80, 0xBF, 0x80, 0xBF, 0, 0, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 0x80, 0xBF, 0x80, 0xBF, 4},
        {0xF1, 0xF3, 0x80, 0xBF, 0x80, 0xBF, 0x80, 0xBF, 4},
        {0xF4, 0xF4, 0x80, 0x8F, 0x80, 0xBF, 0x80, 0xBF, 4},
    };

    *point = at[0];
    if (at[0] < 0x80)
        return 1;
    *point = UINT32_MAX;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        const unsigned char *row = rows[r];
        size_t good = 1;

        if (at[0] < row[0] || at[0] > row[1])
            continue;
        while (good < row[8] && good < size && at[good] >= row[2 * good] &&
               at[good] <= row[2 * good + 1])
            good++;
        if (good == row[8]) {
            *point = at[0] & (0xFFu >> (good + 1));
            for (size_t i = 1; i < good; i++)
                *point = *point << 6 | (at[i] & 0x3F);
        }
        return good;
    }
    return 1;
}

START_TEST(every_sequence_of_three_bytes_is_decoded_as_the_table_says)
{
    for (uint32_t bits = 0; bits < 1u << 24; bits++) {
        const unsigned char bytes[3] = {(unsigned char)(bits >> 16),
                                        (unsigned char)(bits >> 8), (unsigned char)bits};
        uint32_t point, expected;
        size_t size = decode_by_the_table(bytes, 3, &expected);

        if (faasi_utf8_next((const char *)bytes, 3, &point) != size || point != expected)
            ck_abort_msg("%06X: %X, not %X", bits, point, expected);
    }
}
END_TEST

START_TEST(every_sequence_of_four_bytes_at_the_edges_is_decoded_as_the_table_says)
{
    static const unsigned char edges[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0,
                                          0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xED,
                                          0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
    const size_t n = sizeof edges;

    for (size_t i = 0; i < n * n * n * n; i++) {
        const unsigned char bytes[4] = {edges[i / n / n / n], edges[i / n / n % n],
                                        edges[i / n % n], edges[i % n]};
        uint32_t point, expected;
        size_t size = decode_by_the_table(bytes, 4, &expected);

        ck_assert_uint_eq(faasi_utf8_next((const char *)bytes, 4, &point), size);
        ck_assert_uint_eq(point, expected);
        ck_assert_int_eq(faasi_utf8_valid((const char *)bytes, size),
                         expected != UINT32_MAX);
    }
}
END_TEST

START_TEST(one_bad_byte_anywhere_makes_a_text_invalid)
{
    char text[40];

    for (size_t size = 0; size <= sizeof text; size++) {
        memset(text, 'x', sizeof text);
        ck_assert(faasi_utf8_valid(text, size));
        for (size_t i = 0; i < size; i++) {
            text[i] = (char)0xFF;
            ck_assert(!faasi_utf8_valid(text, size));
            text[i] = 'x';
        }
    }
}
END_TEST

START_TEST(pieces_of_any_size_come_out_whole)
{
    for (size_t piece = 1; piece < 3 * FAASI_TEXT_BUFFER; piece += 37) {
        struct sink sink = {.size = 0};
        struct faasi_text text;
        char bytes[3 * FAASI_TEXT_BUFFER];

        for (size_t i = 0; i < piece; i++)
            bytes[i] = (char)('a' + i % 26);
        faasi_text_init(&text, sink_write, &sink);
        for (int i = 0; i < 4; i++) {
            faasi_text_char(&text, '<');
            faasi_text_bytes(&text, bytes, piece);
        }
        ck_assert_ok(faasi_text_finish(&text));
        ck_assert_uint_eq(text.written, 4 * (piece + 1));
        ck_assert_uint_eq(sink.size, 4 * (piece + 1));
        for (size_t i = 0; i < sink.size; i += piece + 1) {
            ck_assert_int_eq(sink.text[i], '<');
            ck_assert_mem_eq(sink.text + i + 1, bytes, piece);
        }
    }
}
END_TEST

START_TEST(short_texts_reach_the_callback_in_one_piece)
{
    struct sink sink = {.size = 0};
    struct faasi_text text;

    faasi_text_init(&text, sink_write, &sink);
    for (int i = 0; i < 100; i++)
        faasi_text_str(&text, "abc");
    ck_assert_uint_eq(sink.calls, 0);
    ck_assert_ok(faasi_text_finish(&text));
    ck_assert_uint_eq(sink.calls, 1);
}
END_TEST

START_TEST(nothing_written_calls_nobody)
{
    struct sink sink = {.size = 0};
    struct faasi_text text;

    faasi_text_init(&text, sink_write, &sink);
    faasi_text_bytes(&text, NULL, 0);
    faasi_text_str(&text, "");
    ck_assert_ok(faasi_text_finish(&text));
    ck_assert_uint_eq(sink.calls, 0);
}
END_TEST

START_TEST(after_the_callback_refused_it_is_not_called_again)
{
    for (unsigned refuse_at = 1; refuse_at <= 4; refuse_at++) {
        struct sink sink = {.refuse_at = refuse_at};
        struct faasi_text text;

        faasi_text_init(&text, sink_write, &sink);
        for (int i = 0; i < 1000; i++) {
            faasi_text_json_str(&text, "some text that fills the buffer");
            faasi_text_printf(&text, "%d", i);
        }
        ck_assert_status(faasi_text_finish(&text), FAAS_ESYSTEM);
        ck_assert_uint_eq(sink.calls, refuse_at);
        ck_assert_uint_eq(text.written, sink.size);
        ck_assert_ptr_nonnull(strstr(faas_error_text(), "returned 7 after"));
    }
}
END_TEST

START_TEST(a_refusal_of_the_last_piece_is_reported_too)
{
    struct sink sink = {.refuse_at = 1};
    struct faasi_text text;

    faasi_text_init(&text, sink_write, &sink);
    faasi_text_char(&text, 'x');
    ck_assert_status(faasi_text_finish(&text), FAAS_ESYSTEM);
    ck_assert_status(faasi_text_finish(&text), FAAS_ESYSTEM);
    ck_assert_uint_eq(sink.calls, 1);
}
END_TEST

START_TEST(printf_takes_what_fits_and_reports_what_does_not)
{
    struct sink sink = {.size = 0};
    struct faasi_text text;

    ck_assert_written(faasi_text_printf(&t, "%s=%d;", "n", 5), "n=5;");
    faasi_text_init(&text, sink_write, &sink);
    faasi_text_char(&text, '<');
    faasi_text_printf(&text, "%*d", FAASI_TEXT_BUFFER - 1, 1);
    ck_assert_ok(faasi_text_finish(&text));
    ck_assert_uint_eq(sink.size, FAASI_TEXT_BUFFER);
    faasi_text_printf(&text, "%*d", FAASI_TEXT_BUFFER, 1);
    ck_assert_status(faasi_text_finish(&text), FAAS_EINVAL);
    ck_assert_str_eq(faas_error_text(), "text: 512 bytes of \"%*d\" are over 511");
}
END_TEST

START_TEST(integers_are_written_to_their_last_digit)
{
    ck_assert_written(faasi_text_uint(&t, 0), "0");
    ck_assert_written(faasi_text_uint(&t, UINT64_MAX), "18446744073709551615");
    ck_assert_written(faasi_text_int(&t, -1), "-1");
    ck_assert_written(faasi_text_int(&t, INT64_MAX), "9223372036854775807");
    ck_assert_written(faasi_text_int(&t, INT64_MIN), "-9223372036854775808");
}
END_TEST

START_TEST(doubles_are_short_and_read_back_the_same)
{
    struct sink sink;
    struct faasi_text text;
    uint64_t state = 1;

    ck_assert_written(faasi_text_double(&t, 0.1), "0.1");
    ck_assert_written(faasi_text_double(&t, 3), "3");
    ck_assert_written(faasi_text_double(&t, -0.0), "-0");
    ck_assert_written(faasi_text_double(&t, 1.0 / 3), "0.3333333333333333");
    ck_assert_written(faasi_text_double(&t, 1e23), "1e+23");
    ck_assert_written(faasi_text_double(&t, DBL_MAX), "1.7976931348623157e+308");
    for (int i = 0; i < 100000; i++) {
        double value;

        state = state * 6364136223846793005u + 1442695040888963407u;
        memcpy(&value, &state, sizeof value);
        if (!isfinite(value))
            continue;
        sink.size = sink.calls = sink.refuse_at = 0;
        faasi_text_init(&text, sink_write, &sink);
        faasi_text_double(&text, value);
        ck_assert_ok(faasi_text_finish(&text));
        ck_assert(strtod(sink.text, NULL) == value);
        ck_assert_uint_le(sink.size, 24);
    }
}
END_TEST

START_TEST(what_is_not_finite_is_null_in_json)
{
    ck_assert_written(faasi_text_double(&t, (double)NAN), "NaN");
    ck_assert_written(faasi_text_double(&t, (double)INFINITY), "+Inf");
    ck_assert_written(faasi_text_double(&t, (double)-INFINITY), "-Inf");
    ck_assert_written(faasi_text_json_double(&t, (double)NAN), "null");
    ck_assert_written(faasi_text_json_double(&t, (double)-INFINITY), "null");
    ck_assert_written(faasi_text_json_double(&t, 0.5), "0.5");
}
END_TEST

START_TEST(a_locale_with_a_comma_changes_no_number)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "de_DE",
                                        "fr_FR.UTF-8"};
    bool found = false;

    for (size_t i = 0; i < sizeof names / sizeof names[0] && !found; i++)
        found = setlocale(LC_NUMERIC, names[i]) != NULL;
    if (!found)
        fprintf(stderr, "no locale with a comma is installed\n");
    ck_assert_written(faasi_text_double(&t, 0.5), "0.5");
    ck_assert_written(faasi_text_double(&t, 1.5e300), "1.5e+300");
}
END_TEST

START_TEST(base64_pads_as_the_rfc_shows)
{
    /* RFC 4648, section 10. */
    ck_assert_written(faasi_text_json_base64(&t, "", 0), "\"\"");
    ck_assert_written(faasi_text_base64(&t, "f", 1), "Zg==");
    ck_assert_written(faasi_text_base64(&t, "fo", 2), "Zm8=");
    ck_assert_written(faasi_text_base64(&t, "foo", 3), "Zm9v");
    ck_assert_written(faasi_text_base64(&t, "foob", 4), "Zm9vYg==");
    ck_assert_written(faasi_text_base64(&t, "fooba", 5), "Zm9vYmE=");
    ck_assert_written(faasi_text_base64(&t, "foobar", 6), "Zm9vYmFy");
    ck_assert_written(faasi_text_base64(&t, "\xFB\xFF\xBF", 3), "+/+/");
}
END_TEST

START_TEST(commas_stand_between_values_and_nowhere_else)
{
    struct sink sink = {.size = 0};
    struct faasi_text text;

    faasi_text_init(&text, sink_write, &sink);
    faasi_text_json_open(&text, '{');
    faasi_text_json_key(&text, "empty");
    faasi_text_json_open(&text, '[');
    faasi_text_json_close(&text, ']');
    faasi_text_json_key(&text, "list");
    faasi_text_json_open(&text, '[');
    faasi_text_json_uint(&text, 1);
    faasi_text_json_int(&text, -2);
    faasi_text_json_open(&text, '{');
    faasi_text_json_close(&text, '}');
    faasi_text_json_open(&text, '[');
    faasi_text_json_null(&text);
    faasi_text_json_bool(&text, true);
    faasi_text_json_close(&text, ']');
    faasi_text_json_double(&text, 0.5);
    faasi_text_json_str(&text, NULL);
    faasi_text_json_value(&text);
    faasi_text_printf(&text, "%04d.5", 10);
    faasi_text_json_close(&text, ']');
    faasi_text_json_key(&text, "a\"b");
    faasi_text_json_str(&text, "c");
    faasi_text_json_key(&text, "n");
    faasi_text_json_bool(&text, false);
    faasi_text_json_close(&text, '}');
    ck_assert_ok(faasi_text_finish(&text));
    ck_assert_str_eq(sink.text, "{\"empty\":[],\"list\":[1,-2,{},[null,true],0.5,null,"
                                "0010.5],\"a\\\"b\":\"c\",\"n\":false}");
}
END_TEST

START_TEST(what_json_forbids_is_escaped)
{
    ck_assert_written(faasi_text_json_str(&t, ""), "\"\"");
    ck_assert_written(faasi_text_json_str(&t, "a\"b\\c/d"), "\"a\\\"b\\\\c/d\"");
    ck_assert_written(faasi_text_json_str(&t, "\b\f\n\r\t\x01\x1F\x7F"),
                      "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7F\"");
    ck_assert_written(faasi_text_json_string(&t, "\0", 1), "\"\\u0000\"");
    ck_assert_written(faasi_text_json_str(&t, "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"),
                      "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"");
}
END_TEST

START_TEST(malformed_utf8_is_replaced_as_decoders_do)
{
    /* Unicode 15, table 3-8 to 3-11. */
    ck_assert_written(faasi_text_json_str(&t, "\xC0\xAF"),
                      "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
    ck_assert_written(faasi_text_json_str(&t, "\xED\xA0\x80"),
                      "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
    ck_assert_written(faasi_text_json_str(&t, "\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"),
                      "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
                      "A\"");
    ck_assert_written(faasi_text_json_string(&t, "\xE2\x82\xAC", 2), "\"\xEF\xBF\xBD\"");
}
END_TEST

/* Reads one JSON string strictly, to the end of `json`. Returns the size of what it says,
 * or SIZE_MAX if it is none. */
static size_t json_string_read(const char *json, size_t size, char *out)
{
    static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    size_t at = 1, length = 0;

    if (size < 2 || json[0] != '"' || json[size - 1] != '"' ||
        !faasi_utf8_valid(json, size))
        return SIZE_MAX;
    while (at < size - 1) {
        const char *escape;
        unsigned code;

        if ((unsigned char)json[at] < ' ' || json[at] == '"')
            return SIZE_MAX;
        if (json[at] != '\\') {
            out[length++] = json[at++];
            continue;
        }
        if (sscanf(json + at, "\\u%4x", &code) == 1 && code < 0x80) {
            out[length++] = (char)code;
            at += 6;
            continue;
        }
        for (escape = escapes; *escape != '\0' && *escape != json[at + 1];)
            escape += 2;
        if (*escape == '\0')
            return SIZE_MAX;
        out[length++] = escape[1];
        at += 2;
    }
    return at == size - 1 ? length : SIZE_MAX;
}

START_TEST(random_bytes_become_a_string_that_says_the_same)
{
    uint64_t state = 7;

    for (int round = 0; round < 20000; round++) {
        static const char *const pieces[] = {"\"",       "\\",   "\n",           "plain ",
                                             "\xC3\xA9", "\xE2", "\xF0\x9F\x98", "\x80",
                                             "\x1F",     "u00",  "\xEF\xBF\xBD", "/"};
        char text[400], expected[1600], said[1600];
        size_t size = 0, expected_size = 0, length;
        struct sink sink = {.size = 0};
        struct faasi_text t;
        uint32_t point;

        state = state * 6364136223846793005u + 1442695040888963407u;
        for (uint64_t bits = state; size < (state >> 32) % 300; bits = bits * 69069 + 1) {
            const char *piece = pieces[(bits >> 24) % 12];

            if ((bits >> 40 & 3) == 0) {
                text[size++] = (char)(bits >> 48);
                continue;
            }
            memcpy(text + size, piece, strlen(piece));
            size += strlen(piece);
        }
        for (size_t at = 0; at < size; at += length) {
            length = decode_by_the_table((unsigned char *)text + at, size - at, &point);
            if (point == UINT32_MAX) {
                memcpy(expected + expected_size, "\xEF\xBF\xBD", 3);
                expected_size += 3;
            } else {
                memcpy(expected + expected_size, text + at, length);
                expected_size += length;
            }
        }
        faasi_text_init(&t, sink_write, &sink);
        faasi_text_json_string(&t, text, size);
        ck_assert_ok(faasi_text_finish(&t));
        ck_assert_uint_eq(json_string_read(sink.text, sink.size, said), expected_size);
        ck_assert(memcmp(said, expected, expected_size) == 0);
    }
}
END_TEST

SUITE_MAIN("text", every_sequence_of_three_bytes_is_decoded_as_the_table_says,
           every_sequence_of_four_bytes_at_the_edges_is_decoded_as_the_table_says,
           one_bad_byte_anywhere_makes_a_text_invalid, pieces_of_any_size_come_out_whole,
           short_texts_reach_the_callback_in_one_piece, nothing_written_calls_nobody,
           after_the_callback_refused_it_is_not_called_again,
           a_refusal_of_the_last_piece_is_reported_too,
           printf_takes_what_fits_and_reports_what_does_not,
           integers_are_written_to_their_last_digit,
           doubles_are_short_and_read_back_the_same, what_is_not_finite_is_null_in_json,
           a_locale_with_a_comma_changes_no_number, base64_pads_as_the_rfc_shows,
           commas_stand_between_values_and_nowhere_else, what_json_forbids_is_escaped,
           malformed_utf8_is_replaced_as_decoders_do,
           random_bytes_become_a_string_that_says_the_same)
