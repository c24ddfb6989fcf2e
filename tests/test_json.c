/* SPDX-License-Identifier: MIT */
/* test_json.c - the event scanner: what is JSON, where it is not, and which values the
 * walk finds, on every kernel of this CPU and against a naive parser. */
#include "support.h"

#include "core/json_brackets.h"
#include "core/json_impl.h"
#include "naive_json.h"

#include <math.h>

static struct faulty memory;
static const faas_allocator alloc = {faulty_alloc, faulty_free, &memory};

static const struct faasi_json_kernel *kernels[FAASI_JSON_ISA_COUNT];

/* Finds the kernels that this CPU can run, and returns how many. */
static size_t kernels_count(void)
{
    static size_t count;

    if (count == 0)
        for (int isa = 0; isa < FAASI_JSON_ISA_COUNT; isa++) {
            kernels[count] = faasi_json_kernel((enum faasi_json_isa)isa);
            count += kernels[count] != NULL;
        }
    return count;
}

/* The same bytes in a block of exactly their size, so that a sanitizer sees one byte
 * over. */
static unsigned char *exact_copy(const void *text, size_t size)
{
    unsigned char *copy = malloc(size);

    if (size != 0)
        memcpy(copy, text, size);
    return copy;
}

/* Compares the words of two indexes as far as blocks begin in the text. */
static bool index_same(const uint64_t *a, const uint64_t *b, size_t size)
{
    for (size_t block = 0; block * 64 < size; block++)
        for (size_t word = 0; word < 8; word++) {
            size_t at = block / 8 * FAASI_JSON_INDEX_WORDS + word * 8 + block % 8;

            if (a[at] != b[at])
                return false;
        }
    return true;
}

/* Fails unless every kernel and the second pass say `valid`, and the kernels write the
 * same index. */
static void check_everywhere(const void *text, size_t size, bool valid)
{
    unsigned char *copy = exact_copy(text, size);
    uint64_t *first = malloc(faasi_json_index_bytes(size));
    uint64_t *index = malloc(faasi_json_index_bytes(size));
    struct faasi_json_fault fault = {0};

    for (size_t k = 0; k < kernels_count(); k++) {
        uint64_t *words = k == 0 ? first : index;

        ck_assert_msg(kernels[k]->check(copy, size, NULL) == valid,
                      "%s, without an index, says %d of: %.*s", kernels[k]->name, !valid,
                      (int)size, (const char *)text);
        ck_assert_msg(kernels[k]->check(copy, size, words) == valid,
                      "%s says %d of: %.*s", kernels[k]->name, !valid, (int)size,
                      (const char *)text);
        ck_assert_msg(!valid || index_same(first, words, size),
                      "%s has another index for: %.*s", kernels[k]->name, (int)size,
                      (const char *)text);
    }
    ck_assert_int_eq(
        faasi_json_check(faas_bytes_of(copy, size), index, &fault) == FAAS_OK, valid);
    /* The second pass stands alone when it is asked about any value. */
    if (!valid) {
        ck_assert_uint_le(fault.offset, size);
        ck_assert_ptr_nonnull(fault.found);
        ck_assert_ptr_nonnull(fault.expected);
    } else {
        ck_assert_ok(faasi_json_check_any(faas_bytes_of(copy, size), NULL));
    }
    free(first);
    free(index);
    free(copy);
}

/* Fails unless all agree with the naive parser. Returns what it said. */
static bool check_like_naive(const void *text, size_t size)
{
    struct naive *root = naive_parse(text, size);
    bool valid = root != NULL;

    naive_free(root);
    check_everywhere(text, size, valid);
    return valid;
}

/* --- What is JSON --------------------------------------------------------------------
 */

/* Values that may stand in an object or array. */
static const char *const good_values[] = {
    "0",
    "-0",
    "1",
    "-1",
    "10",
    "0.0",
    "0.5",
    "-0.25",
    "100.001",
    "1e5",
    "1E5",
    "1e+5",
    "1e-5",
    "0e0",
    "0E+0",
    "-0.0e-0",
    "1.5e300",
    "123456789012345678901234567890",
    "1e999999",
    "true",
    "false",
    "null",
    "\"\"",
    "\"a\"",
    "\"\\\"\"",
    "\"\\\\\"",
    "\"\\/\\b\\f\\n\\r\\t\"",
    "\"\\u0000\"",
    "\"\\uABCD\\uabcd\"",
    "\"\\uD834\\uDD1E\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\\\u12\"",
    "\"\x7F\"",
    "\"\xC2\x80\"",
    "\"\xDF\xBF\"",
    "\"\xE0\xA0\x80\"",
    "\"\xED\x9F\xBF\"",
    "\"\xEE\x80\x80\"",
    "\"\xEF\xBF\xBF\"",
    "\"\xF0\x90\x80\x80\"",
    "\"\xF4\x8F\xBF\xBF\"",
    "\"{[]}:,\"",
    "{}",
    "[]",
    "[[]]",
    "[{}]",
    "{\"\":{}}",
    "[1,2]",
    "[ 1 , 2 ]",
    "{ \"a\" : 1 }",
    "{\"a\":1,\"a\":1}",
    "[{},[],{\"b\":[]}]",
    "\t\n\r 1 \t\n\r",
    "\"\\\\\\\\\"",
    "\"\\\\\\\"\"",
    "[\"a\",\"b\"]",
    "[\"a\",{\"b\":\"c\"},\"d\"]",
};

static const char *const bad_values[] = {
    "",
    " ",
    ",",
    ":",
    "}",
    "]",
    "{",
    "[",
    "\"",
    "-",
    "+1",
    "01",
    "-01",
    "00",
    "1.",
    ".5",
    "-.5",
    "1.e5",
    "1e",
    "1e+",
    "1e-",
    "1E+-5",
    "1e5.5",
    "1.5.5",
    "1..5",
    "1-2",
    "--1",
    "1+2",
    "1e5e5",
    "0x10",
    "1a",
    "1 2",
    "1\"a\"",
    "Infinity",
    "-Infinity",
    "NaN",
    "nan",
    "tru",
    "truee",
    "True",
    "TRUE",
    "fals",
    "falsey",
    "nul",
    "nulll",
    "nullnull",
    "true false",
    "truefalse",
    "'a'",
    "a",
    "\"a",
    "\"a\"b",
    "\"a\"\"b\"",
    "\"a\" \"b\"",
    "\"\\x\"",
    "\"\\\"",
    "\"\\u\"",
    "\"\\u12\"",
    "\"\\u123\"",
    "\"\\u123g\"",
    "\"\\U1234\"",
    "\"\\u00\\u00\"",
    "\"\\0\"",
    "\"\\'\"",
    "\"\n\"",
    "\"\t\"",
    "\"\x01\"",
    "\"\x1F\"",
    "\"\x80\"",
    "\"\xBF\"",
    "\"\xC0\x80\"",
    "\"\xC1\xBF\"",
    "\"\xC2\"",
    "\"\xC2\x41\"",
    "\"\xE0\x80\x80\"",
    "\"\xE0\x9F\xBF\"",
    "\"\xE2\x82\"",
    "\"\xED\xA0\x80\"",
    "\"\xED\xBF\xBF\"",
    "\"\xF0\x80\x80\x80\"",
    "\"\xF0\x8F\xBF\xBF\"",
    "\"\xF4\x90\x80\x80\"",
    "\"\xF5\x80\x80\x80\"",
    "\"\xFF\"",
    "\"\xFE\"",
    "\xC3\xA9",
    ("\xEF\xBB\xBF"
     "1"),
    "{1:1}",
    "{a:1}",
    "{'a':1}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\" 1}",
    "{\"a\":1,}",
    "{,}",
    "{,\"a\":1}",
    "{\"a\":1,,\"b\":2}",
    "{\"a\":1 \"b\":2}",
    "{\"a\"::1}",
    "{\"a\":1:2}",
    "{\"a\":\"b\":\"c\"}",
    "{\"a\",\"b\"}",
    "{\"a\":1,\"b\"}",
    "{\"a\":1,2}",
    "{\"a\":1,[]}",
    "{\"a\":1,{}}",
    "{[]:1}",
    "{{}:1}",
    "{null:1}",
    "[,]",
    "[1,]",
    "[,1]",
    "[1,,2]",
    "[1 2]",
    "[1:2]",
    "[\"a\":1]",
    "[1,\"a\":1]",
    "[:]",
    "[}",
    "{]",
    "[1}",
    "{\"a\":1]",
    "[[]",
    "[]]",
    "{}}",
    "{\"a\":{}",
    "[{]}",
    "{\"a\":[}]",
    "1,",
    "1:",
    "[1]1",
    "[1][2]",
    "{}[]",
    "{}{}",
    "{}:1",
    "[]:1",
    "\v1",
    "\f1",
    "1\xA0",
    "//",
    "/**/1",
    "1//",
    "#",
    "\\",
    "\\n",
    "\\\"a\"",
    "[1,\\\"]",
    "$",
    "@",
    "`",
    "\x7F",
    "1\x01",
    "\x01",
    "true\x01",
    "[\"a\", ,\"b\"]",
    "[1\n2]",
    "[-]",
    "[-a]",
    "[1e]",
    "{\"a\": \n\n}",
    "{\"a\" \n , 1}",
};

/* Puts `value` where a value belongs, in the ways that may make a difference. */
static void value_everywhere(const char *value, bool valid)
{
    static const char *const frames[][2] = {
        {"{\"k\":", "}"},
        {"{\"k\" : ", " } "},
        {"\n{\"k\":[", "]}\n"},
        {"{\"k\":[0,", ",0]}"},
        {"{\"k\":[\"\\n\",", ",\"\\n\"],\"l\":{}}"},
        {"{\"k\":{\"l\":", "},\"m\":[{}]}"},
        {"{\"a\":{\"b\":{\"c\":[[[", "]]]}}}"},
    };
    char text[400];

    for (size_t f = 0; f < FAASI_COUNT(frames); f++) {
        int size =
            snprintf(text, sizeof text, "%s%s%s", frames[f][0], value, frames[f][1]);
        bool naive = check_like_naive(text, (size_t)size);

        /* In an array, and only there, nothing is a value too, and some faults heal. */
        if (f == 0)
            ck_assert_msg(naive == valid, "the naive parser says %d of: %s", naive, text);
    }
}

START_TEST(every_kernel_accepts_what_is_json)
{
    for (size_t i = 0; i < FAASI_COUNT(good_values); i++)
        value_everywhere(good_values[i], true);
}
END_TEST

START_TEST(every_kernel_refuses_what_is_not_json)
{
    for (size_t i = 0; i < FAASI_COUNT(bad_values); i++)
        value_everywhere(bad_values[i], false);
}
END_TEST

START_TEST(the_top_level_is_an_object_and_nothing_else)
{
    static const char *const good[] = {"{}", " {} ", "\t\r\n {\"a\":1}\n\n"};
    static const char *const bad[] = {
        "",
        " ",
        "[]",
        "1",
        "\"a\"",
        "null",
        "{} {}",
        "{},",
        "{}1",
        "{}\"",
        "{},{}",
        "{}:{}",
        "{}\"a\":1",
        "{},\"a\":1",
        "1{}",
        "\"a\"{}",
        ",{}",
        ":{}",
        "{}]",
        "]{}",
        "}{}",
        "{}\x01",
        "{}\v",
        "\v{}",
        "\xEF\xBB\xBF{}",
        "{}\xEF\xBB\xBF",
        "{}}{",
        "{\"a\":{}},{",
        "{}\\",
        "{}true",
        "{}{",
        "{",
        "{\"",
        "{\"a\":1",
        "{}[",
    };

    for (size_t i = 0; i < FAASI_COUNT(good); i++)
        check_everywhere(good[i], strlen(good[i]), true);
    for (size_t i = 0; i < FAASI_COUNT(bad); i++) {
        check_everywhere(bad[i], strlen(bad[i]), false);
        ck_assert(naive_parse(bad[i], strlen(bad[i])) == NULL);
    }
    check_everywhere("{}\0", 3, false);
    check_everywhere("\0{}", 3, false);
    check_everywhere("{\"a\0\":1}", 8, false);
}
END_TEST

START_TEST(a_token_may_lie_across_any_boundary_of_blocks)
{
    char text[800];

    for (size_t pad = 40; pad < 530; pad += pad == 140 ? 340 : 1)
        for (size_t i = 0; i < FAASI_COUNT(good_values) + FAASI_COUNT(bad_values); i++) {
            size_t bad = i - FAASI_COUNT(good_values);
            const char *value =
                i < FAASI_COUNT(good_values) ? good_values[i] : bad_values[bad];
            bool spaces = i % 2 == 0;
            size_t size = strlen(value);

            /* Before the value comes a long string, or a run of white space. */
            memset(text, spaces ? ' ' : 'x', pad);
            memcpy(text, spaces ? "{\"k\":" : "{\"", spaces ? 5 : 2);
            if (!spaces)
                memcpy(text + pad - 2, "\":", 2);
            memcpy(text + pad, value, size);
            text[pad + size] = '}';
            ck_assert_int_eq(check_like_naive(text, pad + size + 1),
                             i < FAASI_COUNT(good_values));
        }
}
END_TEST

START_TEST(any_byte_at_any_place_gets_one_answer)
{
    static const char text[] =
        "{\"type\":\"a\\u00e9\\n\",\"list\":[1,-2.5e+3,true,null,[\"x\",{\"y\":0.0}]],"
        "\"n\\\"k\" : {\"\":{}},\"e\":[] , \"s\":\"\xC3\xA9\xE2\x82\xAC\",\"z\":12}";
    static const char bytes[] =
        "\"\\{}[]:,.-+eE01 \n\ttfnuax/\x01\x7F\x80\xC3\xE2\xF0\xFF";
    char changed[sizeof text];

    for (size_t at = 0; at < sizeof text - 1; at++) {
        check_like_naive(text, at);                 /* cut short */
        for (size_t b = 0; b < sizeof bytes; b++) { /* the terminator is tried too */
            memcpy(changed, text, sizeof text);
            changed[at] = bytes[b];
            check_like_naive(changed, sizeof text - 1);
        }
        /* One byte less. */
        memcpy(changed, text, sizeof text);
        memmove(changed + at, changed + at + 1, sizeof text - at - 1);
        check_like_naive(changed, sizeof text - 2);
    }
}
END_TEST

START_TEST(containers_are_nested_to_the_limit_and_no_deeper)
{
    static char text[6 * FAASI_JSON_DEPTH_MAX];

    for (int kind = 0; kind < 4; kind++)
        for (int depth = 1; depth <= FAASI_JSON_DEPTH_MAX + 2; depth++) {
            bool valid = depth <= FAASI_JSON_DEPTH_MAX;
            char closing[FAASI_JSON_DEPTH_MAX + 2];
            struct faasi_json_fault fault;
            size_t size = 0, at = 0;

            /* Every depth near a multiple of 64 and near the limit. */
            if (depth % 64 > 6 && depth % 64 < 58 && depth < 1018)
                continue;
            for (int i = 0; i < depth; i++) {
                bool object = i == 0 || (kind == 1 && i % 2 == 0) || kind == 2 ||
                              (kind == 3 && i % 3 != 0);

                at = size;
                memcpy(text + size, object ? "{\"\":" : "[", object ? 4 : 1);
                size += object ? 4 : 1;
                closing[i] = object ? '}' : ']';
            }
            text[size++] = '1';
            for (int i = depth - 1; i >= 0; i--)
                text[size++] = closing[i];
            check_everywhere(text, size, valid);
            if (!valid) {
                ck_assert_status(
                    faasi_json_check(faas_bytes_of(text, size), NULL, &fault),
                    FAAS_EINVAL);
                ck_assert_str_eq(fault.found, "a container too deep");
                ck_assert_uint_le(fault.offset, at);
            }
            /* Any one bracket of the wrong kind is found. */
            text[size - 1 - (size_t)(depth / 2)] ^= ']' ^ '}';
            check_everywhere(text, size, false);
        }
}
END_TEST

START_TEST(a_fault_is_reported_with_its_first_byte)
{
    static const struct {
        const char *text;
        size_t offset;
        const char *found, *expected;
    } cases[] = {
        {"", 0, "the end of the text", "'{'"},
        {" [1]", 1, "'['", "'{'"},
        {"{\"a\":1,}", 7, "'}'", "a key"},
        {"{,}", 1, "a comma", "a key or '}'"},
        {"{\"a\" 1}", 5, "'1'", "a colon"},
        {"{\"a\":}", 5, "'}'", "a value"},
        {"{\"a\":1 \"b\":2}", 7, "a string", "a comma or '}'"},
        {"{\"a\":[1 2]}", 8, "'2'", "a comma or ']'"},
        {"{\"a\":[1}", 7, "'}'", "a comma or ']'"},
        {"{\"a\":01}", 6, "a digit after a leading zero", "no digit"},
        {"{\"a\":-}", 6, "'}'", "a digit"},
        {"{\"a\":1.}", 7, "'}'", "a digit"},
        {"{\"a\":1e}", 7, "'}'", "a digit"},
        {"{\"a\":.5}", 5, "'.'", "a value"},
        {"{\"a\":'b'}", 5, "'''", "a value"},
        {"{\"a\":NaN}", 5, "'N'", "a value"},
        {"{\"a\":nul}", 8, "'}'", "the literal null"},
        {"{\"a\":truth}", 8, "'t'", "the literal true"},
        {"{\"a\":\"\\x\"}", 7, "'x'", "one of \" \\ / b f n r t u after a backslash"},
        {"{\"a\":\"\\u12g4\"}", 10, "'g'", "four hexadecimal digits"},
        {"{\"a\":\"b\nc\"}", 7, "a control character", "an escape"},
        {"{\"a\":\"\xC3(\"}", 6, "malformed UTF-8", "a character"},
        {"{\"a\":\"b", 7, "the end of the text", "a quote"},
        {"{\"a\":1", 6, "the end of the text", "a comma or '}'"},
        {"{\"a\":1}]", 7, "']'", "the end of the text"},
        {"{\"a\":1} x", 8, "'x'", "the end of the text"},
        {"{\"a\":\xC3\xA9}", 5, "a byte outside ASCII", "a value"},
    };

    for (size_t i = 0; i < FAASI_COUNT(cases); i++) {
        struct faasi_json_fault fault;

        ck_assert_status(faasi_json_check(faas_str(cases[i].text), NULL, &fault),
                         FAAS_ESYNTAX);
        ck_assert_msg(fault.offset == cases[i].offset, "byte %zu, not %zu, of %s",
                      fault.offset, cases[i].offset, cases[i].text);
        ck_assert_str_eq(fault.found, cases[i].found);
        ck_assert_str_eq(fault.expected, cases[i].expected);
        ck_assert_status(faasi_json_check(faas_str(cases[i].text), NULL, NULL),
                         FAAS_ESYNTAX);
    }
}
END_TEST

START_TEST(any_value_may_be_asked_for_at_the_top_level)
{
    for (size_t i = 0; i < FAASI_COUNT(good_values); i++)
        ck_assert_ok(faasi_json_check_any(faas_str(good_values[i]), NULL));
    for (size_t i = 0; i < FAASI_COUNT(bad_values); i++)
        ck_assert_status(faasi_json_check_any(faas_str(bad_values[i]), NULL),
                         FAAS_ESYNTAX);
}
END_TEST

START_TEST(a_text_beyond_the_longest_is_refused_unread)
{
    struct faasi_json_fault fault;
    faas_bytes text = faas_bytes_of("{", FAASI_JSON_SIZE_MAX + 1);

    ck_assert_status(faasi_json_check(text, NULL, &fault), FAAS_EINVAL);
    ck_assert_uint_eq(fault.offset, FAASI_JSON_SIZE_MAX);
}
END_TEST

/* Pushes and pops one bracket after the other on a stack that begins with the types that
 * the entry asks for. */
static void brackets_are(unsigned count, unsigned opens, unsigned squares, unsigned outer)
{
    const struct json_brackets *entry =
        &json_brackets[((1U << count) | opens) << BRACKETS_MAX | squares];
    unsigned stack[16], depth = 0, closed = 0, type = 0, in_outer = 0;

    for (unsigned i = 0, inner = 0; i < count; i++) {
        if ((opens >> i & 1) != 0)
            inner++;
        else if (inner > 0)
            inner--;
        else
            closed++;
    }
    stack[depth++] = outer;
    for (unsigned i = closed; i-- > 0;)
        stack[depth++] = entry->closed_types >> i & 1;
    for (unsigned i = 0; i <= count; i++) {
        unsigned object = (~squares >> i) & 1;

        type ^= entry->toggles[outer] >> i & 1;
        in_outer ^= entry->outer >> i & 1;
        if (entry->closed != BRACKETS_WRONG) {
            ck_assert_uint_eq(type, stack[depth - 1]);
            ck_assert_uint_eq(in_outer, depth == 1);
        }
        if (i == count)
            break;
        if ((opens >> i & 1) != 0) {
            stack[depth++] = object;
        } else if (stack[--depth] != object) {
            ck_assert_uint_eq(entry->closed, BRACKETS_WRONG);
            return;
        }
    }
    ck_assert_uint_eq(entry->closed, closed);
    ck_assert_uint_eq(entry->closed_mask, (1U << closed) - 1);
    ck_assert_uint_eq(entry->opened, depth - 1);
    for (unsigned i = 0; i < entry->opened; i++)
        ck_assert_uint_eq(entry->opened_types >> i & 1, stack[depth - 1 - i]);
    ck_assert_uint_eq(entry->opened_types >> entry->opened, 0);
}

START_TEST(the_table_of_brackets_says_what_a_stack_does)
{
    for (unsigned count = 0; count <= BRACKETS_MAX; count++)
        for (unsigned opens = 0; opens < 1U << count; opens++)
            for (unsigned squares = 0; squares < 1U << count; squares++)
                for (unsigned outer = 0; outer < 2; outer++)
                    brackets_are(count, opens, squares, outer);
}
END_TEST

/* --- The walk ------------------------------------------------------------------------
 */

static struct faasi_json_walk walk;
static struct faasi_json_value values[20000];
static struct faasi_json_place places[20000];

/* Paths as texts: keys separated by slashes, paths by blanks; "" is spelled "-". */
struct paths {
    char text[2000];
    faas_bytes keys[200][8];
    struct faasi_json_path list[200];
    size_t count;
    struct faasi_json_paths *set;
};

static void paths_open(struct paths *p, const char *names)
{
    char *at;

    ck_assert_uint_lt(strlen(names), sizeof p->text);
    strcpy(p->text, names);
    p->count = 0;
    for (at = p->text; *at != '\0'; at += *at == ' ') {
        faas_bytes *keys = p->keys[p->count];
        size_t steps = 0;

        for (;;) {
            size_t size = strcspn(at, "/ ");

            keys[steps++] = faas_bytes_of(at, size == 1 && *at == '-' ? 0 : size);
            at += size;
            if (*at != '/')
                break;
            at++;
        }
        p->list[p->count++] = (struct faasi_json_path){keys, steps};
    }
    ck_assert_ok(faasi_json_paths_open(&p->set, p->list, p->count, &alloc));
    memset(faasi_json_shape(), 0,
           sizeof(struct shape)); // a walk may take its own at once
}

static void paths_close(struct paths *p)
{
    faasi_json_paths_close(p->set);
    ck_assert_uint_eq(memory.live_blocks, 0);
}

static enum faasi_json_walked walk_once(const struct faasi_json_kernel *kernel,
                                        const struct paths *p, faas_bytes text,
                                        const uint64_t *index)
{
    walk.values = values;
    walk.value_max = FAASI_COUNT(values);
    walk.places = places;
    walk.place_max = FAASI_COUNT(places);
    faasi_json_walk_start(&walk, p->set, text, index);
    return kernel->walk(&walk);
}

/* Writes the values found as text: "field=value@array.element.array.element " for each.
 */
static const char *walk_text(faas_bytes text)
{
    static char out[8000];
    size_t done = 0;

    out[0] = '\0';
    for (uint32_t i = 0; i < walk.value_count; i++) {
        const struct faasi_json_value *v = &values[i];

        done += (size_t)snprintf(out + done, sizeof out - done, "%s%u=%.*s",
                                 i == 0 ? "" : " ", v->field, (int)(v->end - v->begin),
                                 (const char *)text.data + v->begin);
        for (uint32_t p = v->place; p != FAASI_JSON_NOWHERE; p = places[p].outer)
            done += (size_t)snprintf(out + done, sizeof out - done, "@%u.%u",
                                     places[p].array, places[p].element);
    }
    return out;
}

/* Fails unless a strict walk finds `strict` and a trusted one `trusted`, everywhere. */
static void walk_finds(const char *names, const char *json, const char *strict,
                       const char *trusted)
{
    size_t size = strlen(json);
    unsigned char *copy = exact_copy(json, size);
    uint64_t *index = malloc(faasi_json_index_bytes(size));
    faas_bytes text = faas_bytes_of(copy, size);
    struct paths *p = malloc(sizeof *p);

    paths_open(p, names);
    for (size_t k = 0; k < kernels_count(); k++) {
        if (strict != NULL) {
            ck_assert(kernels[k]->check(copy, size, index));
            ck_assert_int_eq(walk_once(kernels[k], p, text, index), FAASI_JSON_DONE);
            ck_assert_str_eq(walk_text(text), strict);
        }
        ck_assert_int_eq(walk_once(kernels[k], p, text, NULL), FAASI_JSON_DONE);
        ck_assert_str_eq(walk_text(text), trusted);
    }
    paths_close(p);
    free(p);
    free(index);
    free(copy);
}

START_TEST(a_field_is_found_at_its_path_and_nowhere_else)
{
    const char *json =
        "{\"b\":{\"a\":1},\"a\":{\"a\":2,\"b\":{\"a\":3}},\"ab\":4,\"c\":\"a\"}";

    walk_finds("b/a", json, "0=1", "0=1");
    walk_finds("a/b/a ab", json, "0=3 1=4", "0=3 1=4");
    walk_finds("a/a a/b a/b/a c", json, "0=2 2=3 3=a", "0=2 2=3 3=a");
    walk_finds("b a x", json, "", "");
}
END_TEST

START_TEST(every_kind_of_scalar_is_told_apart)
{
    static const uint32_t kinds[] = {FAASI_JSON_STRING, FAASI_JSON_ESCAPED,
                                     FAASI_JSON_NUMBER, FAASI_JSON_TRUE,
                                     FAASI_JSON_FALSE,  FAASI_JSON_NULL};

    walk_finds("a", "{\"a\":[\"x\",\"\\\"\",-1.5e3,true,false,null]}",
               "0=x 0=\\\" 0=-1.5e3 0=true 0=false 0=null",
               "0=x 0=\\\" 0=-1.5e3 0=true 0=false 0=null");
    for (size_t i = 0; i < FAASI_COUNT(kinds); i++)
        ck_assert_uint_eq(values[i].kind, kinds[i]);
}
END_TEST

START_TEST(keys_match_after_unescaping)
{
    walk_finds("source", "{\"\\u0073ource\":1,\"sourc\\u0065\":2}", "0=1 0=2", "0=1");
    walk_finds("a/a", "{\"\\u0061\":{\"x\\\"a\":1,\"a\":2}}", "0=2", "0=2");
    walk_finds("a\"b", "{\"a\\\"b\":1}", "0=1", "0=1");
    walk_finds("b", "{\"a\\\"b\":1,\"x\\\\\":2,\"\\\\b\":3,\"b\":4}", "0=4", "0=4");
    walk_finds("a\\", "{\"a\\\\\":1}", "0=1", "0=1");
    /* In a row of many keys too, which are found by their hash. */
    walk_finds("a b c d e f g h i j", "{\"\\u0061\":1,\"\\u006A\":2,\"c\":3,\"\\\\c\":4}",
               "0=1 9=2 2=3", "0=1 9=2 2=3");
}
END_TEST

START_TEST(keys_of_any_size_match_as_a_whole)
{
    char json[600], names[200], found[80];

    for (size_t size = 0; size < 40; size++)
        for (int spaces = 0; spaces < 3; spaces++) {
            char key[41] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN";
            const char *blank = spaces == 2 ? " \t" : "";

            key[size] = '\0';
            snprintf(names, sizeof names, "%s", size == 0 ? "-" : key);
            snprintf(
                json, sizeof json,
                "{%s\"%s\"%s:%s7,\"x%s\":8,\"%sx\":9,\"%s\":{\"%s\":1},\"%s\":\"%s\"}",
                spaces == 1 ? "  " : "", key, blank, blank, key, key, key, key, key, key);
            snprintf(found, sizeof found, "0=7 0=%s", key);
            walk_finds(names, json, found, "0=7");
        }
}
END_TEST

START_TEST(keys_that_differ_in_any_one_byte_are_told_apart)
{
    char json[200];

    for (size_t size = 1; size < 40; size++)
        for (size_t at = 0; at < size; at++)
            for (int before = 0; before < 2; before++) {
                char key[41] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN";
                char names[41];

                key[size] = '\0';
                strcpy(names, key);
                key[at] = '!';
                snprintf(json, sizeof json, "{%s\"%s\":1}",
                         before ? "\"a member before it\":{}," : "", key);
                walk_finds(names, json, "", "");
            }
}
END_TEST

START_TEST(a_dot_in_a_key_is_an_ordinary_byte)
{
    walk_finds("order.id", "{\"order\":{\"id\":1},\"order.id\":2}", "0=2", "0=2");
    walk_finds("order/id", "{\"order.id\":1,\"order\":{\"id\":2}}", "0=2", "0=2");
}
END_TEST

START_TEST(scalars_in_arrays_belong_to_the_field_that_holds_the_array)
{
    walk_finds("tags", "{\"tags\":[[\"new\"],\"hot\"]}", "0=new@8.9 0=hot",
               "0=new@8.9 0=hot");
    walk_finds("t", "{\"t\":[]}", "", "");
    walk_finds("t", "{\"t\":{}}", "", "");
    walk_finds("t", "{\"t\":[{}, [ ] ,{\"t\":1}, 2 ,[[ 3 ]]]}", "0=2 0=3@27.28@5.27",
               "0=2 0=3@27.28@5.27");
}
END_TEST

START_TEST(a_value_knows_the_elements_it_lies_in)
{
    /* Offsets:          0    5    10   15   20   25   30   35   40  */
    const char *json = "{\"i\":[{\"s\":\"A\",\"q\":1},{\"s\":[\"B\",2],\"q\":[{}]}]}";

    walk_finds("i/s i/q", json, "0=A@5.6 1=1@5.6 0=B@5.22 0=2@5.22",
               "0=A@5.6 1=1@5.6 0=B@5.22 0=2@5.22");
    walk_finds("i/s i/q", "{\"i\":[[{\"s\":\"A\"},{\"q\":2}]]}",
               "0=A@6.7@5.6 1=2@6.17@5.6", "0=A@6.7@5.6 1=2@6.17@5.6");
    /* Mixed: a scalar and an object's member. */
    walk_finds("i i/s", "{\"i\":[7,{\"s\":8}]}", "0=7 1=8@5.8", "0=7 1=8@5.8");
}
END_TEST

START_TEST(elements_give_their_values_whether_they_are_alike_or_not)
{
    /* Elements at 6, 20, 34, 54, 68, 88. */
    const char *json =
        "{\"r\":[{\"x\":1,\"y\":2},{\"x\":3,\"y\":4},{\"x\":5,\"y\":6,"
        "\"x\":7},{\"y\":8,\"x\":9},{\"x\":[10],\"y\":-1e2},{\"x\":\"\\n\"}]}";

    walk_finds("r/x r/y", json,
               "0=1@5.6 1=2@5.6 0=3@5.20 1=4@5.20 0=5@5.34 1=6@5.34 0=7@5.34 1=8@5.54 "
               "0=9@5.54 0=10@5.68 1=-1e2@5.68 0=\\n@5.88",
               "0=1@5.6 1=2@5.6 0=3@5.20 1=4@5.20 0=5@5.34 1=6@5.34 1=8@5.54 0=9@5.54 "
               "0=10@5.68 1=-1e2@5.68 0=\\n@5.88");
    /* One that goes wrong behind what is looked at, and one before. */
    walk_finds("r/x", "{\"r\":[{\"x\":1,\"y\":2},{\"x\":3,\"y\":#},{\"x\":4,\"y\":5}]}",
               NULL, "0=1@5.6 0=3@5.20 0=4@5.34");
}
END_TEST

START_TEST(every_occurrence_of_a_key_counts_when_strict)
{
    walk_finds("k", "{\"k\":\"x\",\"k\":\"y\"}", "0=x 0=y", "0=x");
    walk_finds("o/p o/q", "{\"o\":{\"p\":\"x\"},\"o\":{\"q\":\"y\"}}", "0=x 1=y", "0=x");
    walk_finds("o/p z", "{\"o\":{\"p\":1,\"p\":2},\"o\":{\"p\":3},\"z\":4}",
               "0=1 0=2 0=3 1=4", "0=1 0=3 1=4");
}
END_TEST

START_TEST(a_trusted_walk_ends_when_every_field_was_seen)
{
    walk_finds("a", "{\"a\":1 this is not looked at", NULL, "0=1");
    walk_finds("a/b c", "{\"a\":{\"b\":1,:::\"c\":7},\"c\":2 ###", NULL, "0=1 1=2");
    walk_finds("a/b", "{\"x\":{\"a\":1},\"a\":{\"b\":[1,2]]]]", NULL, "0=1 0=2");
    /* Every element of an array is one to look at. */
    walk_finds("a/b", "{\"a\":[{\"b\":1,\"c\":{}},{\"c\":[],\"b\":2},{}] ###", NULL,
               "0=1@5.6 0=2@5.21");
    /* A named object that is none is seen all the same. */
    walk_finds("a/b c", "{\"a\":null,\"c\":[] ###", NULL, "");
}
END_TEST

START_TEST(a_trusted_walk_stumbles_over_what_it_cannot_pass)
{
    static const char *const broken[] = {
        "",
        " ",
        "[]",
        "1",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\": ",
        "{\"a\":1",
        "{\"a\":}",
        "{\"a\":,",
        "{\"a\":\"x",
        "{\"a\":[",
        "{\"a\":[1",
        "{\"a\":[}",
        "{\"a\":[:]}",
        "{\"b\":{]]]",
        "{\"b\":1]",
        "{\"a\":[{}",
        "{\"a\":x}",
        "{\"a\":[x]}",
    };
    struct paths *p = malloc(sizeof *p);

    paths_open(p, "a c");
    for (size_t k = 0; k < kernels_count(); k++)
        for (size_t i = 0; i < FAASI_COUNT(broken); i++) {
            size_t size = strlen(broken[i]);
            unsigned char *copy = exact_copy(broken[i], size);

            ck_assert_msg(walk_once(kernels[k], p, faas_bytes_of(copy, size), NULL) ==
                              FAASI_JSON_BROKEN,
                          "%s passed: %s", kernels[k]->name, broken[i]);
            free(copy);
        }
    ck_assert_int_eq(walk_once(faasi_json_kernel_best(), p,
                               faas_bytes_of("{", FAASI_JSON_SIZE_MAX + 1), NULL),
                     FAASI_JSON_BROKEN);
    paths_close(p);
    free(p);
}
END_TEST

START_TEST(a_trusted_walk_goes_no_deeper_than_the_limit)
{
    size_t size = 5 + 3 * FAASI_JSON_DEPTH_MAX;
    unsigned char *text = malloc(size);
    struct paths *p = malloc(sizeof *p);

    memset(text, '[', size);
    memcpy(text, "{\"a\":", 5);
    paths_open(p, "a");
    for (size_t k = 0; k < kernels_count(); k++)
        ck_assert_int_eq(walk_once(kernels[k], p, faas_bytes_of(text, size), NULL),
                         FAASI_JSON_BROKEN);
    paths_close(p);
    free(p);
    free(text);
}
END_TEST

START_TEST(more_fields_than_bits_are_all_found)
{
    char names[2000] = "", json[4000] = "{", found[3000] = "";
    size_t n = 0, j = 1, f = 0;

    for (int i = 0; i < 150; i++) {
        n += (size_t)snprintf(names + n, sizeof names - n, "%skey%d", i == 0 ? "" : " ",
                              i);
        j += (size_t)snprintf(json + j, sizeof json - j, "\"key%d\":%d,", 149 - i, i);
        f += (size_t)snprintf(found + f, sizeof found - f, "%s%d=%d", i == 0 ? "" : " ",
                              149 - i, i);
    }
    snprintf(json + j, sizeof json - j, "\"key\":0,\"key150\":0}");
    walk_finds(names, json, found, found);
    walk_finds(names, "{\"key0\":1,\"key1\":2}", "0=1 1=2", "0=1 1=2");
}
END_TEST

START_TEST(equal_paths_are_one_field)
{
    walk_finds("a b/c a b/c b", "{\"a\":1,\"b\":{\"c\":2},\"b\":3}", "0=1 1=2 4=3",
               "0=1 1=2");
}
END_TEST

/* --- Generated texts ------------------------------------------------------------------
 */

static uint64_t random_state;

static unsigned random_below(unsigned limit)
{
    random_state = random_state * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)((random_state >> 33) % limit);
}

struct maker {
    char text[1 << 16];
    size_t size;
};

static void make(struct maker *m, const char *piece)
{
    size_t size = strlen(piece);

    ck_assert_uint_lt(m->size + size, sizeof m->text);
    memcpy(m->text + m->size, piece, size);
    m->size += size;
}

static void make_space(struct maker *m)
{
    static const char *const spaces[] = {" ", "\n", "\t", "\r\n", "    ", "\n        "};

    if (random_below(4) == 0)
        make(m, spaces[random_below(FAASI_COUNT(spaces))]);
    while (random_below(200) == 0)
        for (int i = 0; i < 40; i++)
            make(m, " ");
}

static const char *const made_keys[] = {
    "a",
    "b",
    "c",
    "ab",
    "longer-key",
    "\\u0061",
    "q\\\"",
    "x.y",
    "",
    "key8byte",
    "seven77",
    "fifteen-bytes-k",
    "sixteen-bytes-ke",
    "nobody-asks",
};

static void make_scalar(struct maker *m)
{
    static const char *const pieces[] = {
        "x",        "\\n",    "abc",
        "\\\\",     "\\\"",   "\\ud83d\\ude00",
        "\xC3\xA9", "{[}]:,", "a piece long enough to go past the end of any block",
        "\\\\\\\\",
    };

    if (random_below(2) == 0) {
        make(m, good_values[random_below(22)]);
        return;
    }
    make(m, "\"");
    while (random_below(3) != 0)
        make(m, pieces[random_below(FAASI_COUNT(pieces))]);
    make(m, "\"");
}

/* An array of objects that look alike, most of them: what the walk takes shapes of. */
static void make_rows(struct maker *m)
{
    static const char *const cells[] = {
        "-122.42916360922355",
        "0",
        "\"\"",
        "37.5",
        "true",
        "1e3",
        "null",
        "1234567890123456789012345678901234567890123456789012345678901234567890123",
        "false",
        "\"x\"",
        "\"a,b}\"",
        "-1",
        "\"\\n\"",
    };
    const unsigned first = random_below(FAASI_COUNT(made_keys));
    const unsigned count = 1 + random_below(4), step = 1 + random_below(3);

    make(m, "[");
    for (unsigned row = 2 + random_below(12); row > 0; row--) {
        make(m, "{");
        for (unsigned i = 0; i < count; i++) {
            unsigned key = random_below(40) == 0 ? random_below(FAASI_COUNT(made_keys))
                                                 : first + i * step;

            make(m, i == 0 ? "\"" : ",\"");
            make(m, made_keys[key % FAASI_COUNT(made_keys)]);
            make(m, random_below(40) == 0 ? "\" :" : "\":");
            if (random_below(8) != 0)
                make(m, cells[random_below(FAASI_COUNT(cells))]);
            else
                make_scalar(m);
        }
        make(m, row == 1 ? "}" : random_below(20) == 0 ? "}, " : "},");
    }
    make(m, "]");
}

static void make_value(struct maker *m, unsigned depth)
{
    unsigned kind = depth > 6 || m->size > 4000 ? 9 : random_below(10);
    bool object = depth == 0 || kind < 4;

    make_space(m);
    if (depth > 0 && kind == 6 && m->size < 4000) {
        make_rows(m);
    } else if (depth > 0 && kind > 6) {
        make_scalar(m);
    } else {
        make(m, object ? "{" : "[");
        for (unsigned i = random_below(5); i > 0; i--) {
            make_space(m);
            if (object) {
                make(m, "\"");
                make(m, made_keys[random_below(FAASI_COUNT(made_keys))]);
                make(m, "\"");
                make_space(m);
                make(m, ":");
            }
            make_value(m, depth + 1);
            if (i > 1)
                make(m, ",");
        }
        make(m, object ? "}" : "]");
    }
    make_space(m);
}

static void make_mutation(struct maker *m)
{
    static const char bytes[] = "\"\\{}[]:,0123-.eE+ \ntfn\x01\x80\xC3\xA9u";
    size_t at = random_below((unsigned)m->size);
    char byte = bytes[random_below(sizeof bytes)];

    switch (random_below(4)) {
    case 0:
        m->text[at] = byte;
        break;
    case 1:
        memmove(m->text + at, m->text + at + 1, m->size - at - 1);
        m->size--;
        break;
    case 2:
        memmove(m->text + at + 1, m->text + at, m->size - at);
        m->text[at] = byte;
        m->size++;
        break;
    default:
        m->size = at;
        break;
    }
}

/* Compares one value of the naive walk with the next one of the walk. */
struct expected {
    uint32_t next;
    bool same;
};

static void expect_value(const struct naive *value, size_t field,
                         const struct naive_place *place, void *user)
{
    struct expected *e = user;
    const struct faasi_json_value *v = &values[e->next++];
    uint32_t at = v->place;

    e->same &= v < values + walk.value_count && v->field == field &&
               v->kind == value->kind && v->begin == value->begin && v->end == value->end;
    for (; e->same && place != NULL; place = place->outer) {
        e->same = at != FAASI_JSON_NOWHERE && places[at].array == place->array &&
                  places[at].element == place->element;
        at = e->same ? places[at].outer : at;
    }
    e->same &= at == FAASI_JSON_NOWHERE;
}

static void walk_like_naive(const struct faasi_json_kernel *kernel, const struct paths *p,
                            const struct naive *root, const struct maker *m)
{
    struct expected e = {0, true};
    struct naive_walk naive = {p->list, p->count, expect_value, &e};

    naive_walk(root, &naive);
    ck_assert_msg(e.same && e.next == walk.value_count,
                  "%s: %u values of %u, or others than expected, in: %.*s", kernel->name,
                  walk.value_count, e.next, (int)m->size, m->text);
}

/* The same walk once more, with room for one value and one place more at a time. */
static void walk_in_steps(const struct faasi_json_kernel *kernel, const struct paths *p,
                          faas_bytes text, const uint64_t *index)
{
    static struct faasi_json_value whole[FAASI_COUNT(values)];
    uint32_t count = walk.value_count, place_count = walk.place_count, at = 0;
    enum faasi_json_walked walked;

    memcpy(whole, values, count * sizeof *values);
    walk.value_max = 1;
    walk.place_max = 1;
    faasi_json_walk_start(&walk, p->set, text, index);
    while ((walked = kernel->walk(&walk)) == FAASI_JSON_FULL) {
        if (walk.value_count < walk.value_max) {
            walk.place_max++;
            continue;
        }
        ck_assert_uint_lt(at, count);
        ck_assert_mem_eq(&values[0], &whole[at++], sizeof *values);
        walk.value_count = 0;
    }
    ck_assert_int_eq(walked, FAASI_JSON_DONE);
    if (walk.value_count != 0)
        ck_assert_mem_eq(&values[0], &whole[at++], sizeof *values);
    ck_assert_uint_eq(at, count);
    ck_assert_uint_eq(walk.place_count, place_count);
}

static const char *const path_sets[] = {
    "a",
    "a/b a a/longer-key b/a/fifteen-bytes-k b sixteen-bytes-ke",
    "a b c ab longer-key q\" x.y - key8byte seven77 -/seven77 a/a a/a/a fifteen-bytes-k",
    "x.y/key8byte seven77/- q\" b/b a/ab/longer-key",
};

/* Valid texts: the walk finds what the naive one finds, whole and in steps. Others: all
 * refuse them, and a trusted walk keeps its ranges inside them. */
static void generated(uint64_t seed, unsigned rounds)
{
    struct maker *m = malloc(sizeof *m);
    struct paths *p = malloc(sizeof *p);

    random_state = seed;
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t *index;
        unsigned char *copy;
        struct naive *root;
        faas_bytes text;

        m->size = 0;
        make_value(m, 0);
        for (unsigned i = random_below(4); i > 0 && m->size > 0; i--)
            make_mutation(m);
        check_like_naive(m->text, m->size);
        root = naive_parse(m->text, m->size);
        copy = exact_copy(m->text, m->size);
        index = malloc(faasi_json_index_bytes(m->size));
        text = faas_bytes_of(copy, m->size);
        paths_open(p, path_sets[random_below(FAASI_COUNT(path_sets))]);
        for (size_t k = 0; k < kernels_count(); k++) {
            enum faasi_json_walked walked;

            if (root != NULL) {
                ck_assert(kernels[k]->check(copy, m->size, index));
                walked = walk_once(kernels[k], p, text, index);
                ck_assert_int_eq(walked, FAASI_JSON_DONE);
                walk_like_naive(kernels[k], p, root, m);
                walk_in_steps(kernels[k], p, text, index);
            }
            walked = walk_once(kernels[k], p, text, NULL);
            ck_assert(walked == FAASI_JSON_DONE || root == NULL);
            for (uint32_t i = 0; i < walk.value_count; i++) {
                ck_assert_uint_le(values[i].begin, values[i].end);
                ck_assert_uint_le(values[i].end, m->size);
            }
            if (root != NULL)
                walk_in_steps(kernels[k], p, text, NULL);
        }
        paths_close(p);
        naive_free(root);
        free(index);
        free(copy);
    }
    free(p);
    free(m);
}

START_TEST(generated_texts_and_mutants_get_the_naive_answers)
{
    generated(1, 4000);
}
END_TEST

START_TEST(an_event_over_64_kib_is_walked_to_its_end)
{
    size_t size = 0, room = 300000;
    char *json = malloc(room);
    uint64_t *index = malloc(faasi_json_index_bytes(room));
    struct paths *p = malloc(sizeof *p);

    size += (size_t)snprintf(json, room, "{\"list\":[");
    for (int i = 0; i < 9999; i++)
        size += (size_t)snprintf(json + size, room - size, "{\"n\":%d,\"m\":\"}]\"},", i);
    size += (size_t)snprintf(json + size, room - size, "0],\"end\":{\"n\":\"yes\"}}");
    paths_open(p, "end/n list/n");
    for (size_t k = 0; k < kernels_count(); k++) {
        faas_bytes text = faas_bytes_of(json, size);

        ck_assert(kernels[k]->check((unsigned char *)json, size, index));
        for (int strict = 0; strict < 2; strict++) {
            ck_assert_int_eq(walk_once(kernels[k], p, text, strict ? index : NULL),
                             FAASI_JSON_DONE);
            ck_assert_uint_eq(walk.value_count, 10000);
            ck_assert_uint_eq(values[9999].field, 0);
            ck_assert_uint_eq(values[9998].field, 1);
            ck_assert_mem_eq(json + values[9998].begin, "9998", 4);
        }
    }
    paths_close(p);
    free(p);
    free(index);
    free(json);
}
END_TEST

START_TEST(without_room_for_places_every_value_is_nowhere)
{
    static const char json[] = "{\"a\":[{\"b\":1},[{\"b\":2}]]}";
    struct paths *p = malloc(sizeof *p);

    paths_open(p, "a/b");
    for (size_t k = 0; k < kernels_count(); k++) {
        walk.values = values;
        walk.value_max = 8;
        walk.places = NULL;
        walk.place_max = 0;
        faasi_json_walk_start(&walk, p->set, faas_str(json), NULL);
        ck_assert_int_eq(kernels[k]->walk(&walk), FAASI_JSON_DONE);
        ck_assert_uint_eq(walk.value_count, 2);
        ck_assert_uint_eq(values[0].place, FAASI_JSON_NOWHERE);
        ck_assert_uint_eq(values[1].place, FAASI_JSON_NOWHERE);
    }
    paths_close(p);
    free(p);
}
END_TEST

/* --- Paths ---------------------------------------------------------------------------
 */

START_TEST(a_path_without_keys_or_with_too_many_is_refused)
{
    static faas_bytes keys[FAASI_JSON_DEPTH_MAX];
    struct faasi_json_path path = {keys, 0};
    struct faasi_json_paths *set;

    ck_assert_status(faasi_json_paths_open(&set, &path, 1, &alloc), FAAS_EINVAL);
    ck_assert_ptr_null(set);
    path.key_count = FAASI_JSON_DEPTH_MAX;
    ck_assert_status(faasi_json_paths_open(&set, &path, 1, &alloc), FAAS_EINVAL);
    ck_assert_str_eq(faas_error_text(), "path: 1024 keys; 1 to 1023 are allowed");
    path.key_count = FAASI_JSON_DEPTH_MAX - 1;
    ck_assert_ok(faasi_json_paths_open(&set, &path, 1, &alloc));
    ck_assert_uint_gt(faasi_json_paths_bytes(set), 0);
    faasi_json_paths_close(set);
    ck_assert_ok(faasi_json_paths_open(&set, NULL, 0, &alloc));
    faasi_json_paths_close(set);
    faasi_json_paths_close(NULL);
    ck_assert_uint_eq(memory.live_blocks, 0);
}
END_TEST

START_TEST(a_set_of_paths_leaks_nothing_whichever_allocation_fails)
{
    faas_bytes keys[2] = {{"a", 1}, {"b", 1}};
    struct faasi_json_path path = {keys, 2};

    for (unsigned fail_at = 1;; fail_at++) {
        struct faulty f = {.fail_at = fail_at};
        faas_allocator faulty = {faulty_alloc, faulty_free, &f};
        struct faasi_json_paths *set;
        faas_status status = faasi_json_paths_open(&set, &path, 1, &faulty);

        faasi_json_paths_close(set);
        ck_assert_uint_eq(f.live_bytes, 0);
        if (status == FAAS_OK) {
            ck_assert_uint_gt(fail_at, 1);
            break;
        }
        ck_assert_status(status, FAAS_ENOMEM);
        ck_assert_ptr_null(set);
    }
}
END_TEST

/* --- Scalars -------------------------------------------------------------------------
 */

static void number_is(const char *text, double want)
{
    size_t size = strlen(text);
    char *copy = (char *)exact_copy(text, size);
    double got = faasi_json_number(copy, size);

    ck_assert_msg(memcmp(&got, &want, sizeof got) == 0, "%s is %a, not %a", text, got,
                  want);
    free(copy);
}

START_TEST(a_number_is_the_nearest_double)
{
    static const char *const texts[] = {
        "0",
        "-0",
        "1",
        "-1",
        "0.1",
        "-122.42916360922355",
        "1e22",
        "1e23",
        "8.5e-27",
        "9007199254740993",
        "9007199254740992.99999999999999999999",
        "12345678901234567",
        "9007199254740993.00000000000000000000000000000000000000000000000000000000000001",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "1e309",
        "-1e309",
        "1e400",
        "1e999999999999999999999",
        "0e999999999999999999999",
        "1e-999999999999999999999",
        "5e-324",
        "4e-324",
        "3e-324",
        "2.5e-324",
        "2.4e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.2250738585072014e-308",
        "2.2250738585072011e-308",
        "2.225073858507201e-308",
        "1e-400",
        "1E+2",
        "0.000001",
        "123456789012345678901234567890",
        "100000000000000000000000000000e-29",
        "0.00000000000000000000000000000000000000000000000000000000000000000001e68",
        "2.47032822920623272088284396434110686182e-324",
        "2.47032822920623272088284396434110686183e-324",
        "1e-27",
        "1e27",
        "1e28",
        "1e-28",
        "18446744073709551615",
        "18446744073709551616",
        "9999999999999999999",
        "99999999999999999999",
        "4503599627370496.5",
        "4503599627370497.5",
    };
    char text[1200];

    for (size_t i = 0; i < FAASI_COUNT(texts); i++)
        number_is(texts[i], strtod(texts[i], NULL));
    random_state = 7;
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = (uint64_t)random_below(1U << 31) << 33 | random_below(1U << 31)
                                                                     << 2;
        double value;

        bits &= ~((uint64_t)1 << 63);
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        snprintf(text, sizeof text, "%.*g", (int)random_below(25) + 1, value);
        number_is(text, strtod(text, NULL));
        snprintf(text, sizeof text, "-%u.%06u%09ue%d", random_below(200),
                 random_below(1000000), random_below(1000000000),
                 (int)random_below(60) - 30);
        number_is(text, strtod(text, NULL));
    }
}
END_TEST

/* 1 + 2^-53 lies in the middle between two doubles: a digit behind its many decides. */
START_TEST(the_last_of_a_thousand_digits_may_decide)
{
    static const char half[] = "1.00000000000000011102230246251565404236316680908203125";
    char text[1200];

    number_is(half, 1.0);
    memset(text, '0', sizeof text);
    memcpy(text, half, sizeof half - 1);
    text[1100] = '\0';
    number_is(text, 1.0);
    text[1099] = '1';
    number_is(text, 1.0 + 0x1p-52);
    number_is("1.000000000000000333066907387546962127089500427246093750", 1.0 + 0x1p-51);
}
END_TEST

START_TEST(what_is_no_number_is_nan)
{
    static const char *const texts[] = {
        "",      "-",    "+1",  "01",  "-01",   "1.",       "1.e1", ".5",
        "1e",    "1e+",  "1 ",  " 1",  "0x1",   "Infinity", "NaN",  "nan",
        "1e5.5", "1..2", "--1", "1,2", "1_000", "\xD9\xA1", "1e5 ",
    };

    for (size_t i = 0; i < FAASI_COUNT(texts); i++)
        ck_assert(isnan(faasi_json_number(texts[i], strlen(texts[i]))));
}
END_TEST

static const struct {
    const char *text, *plain;
    size_t size;
} strings[] = {
    {"", "", 0},
    {"plain", "plain", 5},
    {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", 8},
    {"a\\u0000b", "a\0b", 3},
    {"\\u00e9\\u00E9", "\xC3\xA9\xC3\xA9", 4},
    {"\\u20AC", "\xE2\x82\xAC", 3},
    {"\\uD834\\uDD1E", "\xF0\x9D\x84\x9E", 4},
    {"\\udbff\\udfff", "\xF4\x8F\xBF\xBF", 4},
    {"\\ud800", "\xED\xA0\x80", 3},
    {"\\udc00", "\xED\xB0\x80", 3},
    {"\\ud800x", "\xED\xA0\x80x", 4},
    {"\\ud800\\n", "\xED\xA0\x80\n", 4},
    {"\\ud800\\u0041",
     ("\xED\xA0\x80"
      "A"),
     4},
    {"\\udc00\\ud800", "\xED\xB0\x80\xED\xA0\x80", 6},
    {"\\ud800\\ud800\\udc00", "\xED\xA0\x80\xF0\x90\x80\x80", 7},
    /* Malformed ones stand as they are. */
    {"\\", "\\", 1},
    {"\\x", "\\x", 2},
    {"\\u12", "\\u12", 4},
    {"\\u12g4\\n", "\\u12g4\n", 7},
};

START_TEST(strings_are_unescaped_to_utf_8_or_wtf_8)
{
    for (size_t i = 0; i < FAASI_COUNT(strings); i++) {
        size_t size = strlen(strings[i].text);
        const char *at = strings[i].text, *end = at + size;
        char *out = malloc(size);
        size_t got = faasi_json_unescape(&at, end, out, size);

        ck_assert_uint_eq(got, strings[i].size);
        ck_assert(got == 0 || memcmp(out, strings[i].plain, got) == 0);
        ck_assert(at == end);
        free(out);
    }
}
END_TEST

START_TEST(unescaping_goes_on_where_the_room_ended)
{
    for (size_t i = 0; i < FAASI_COUNT(strings); i++)
        for (size_t room = 4; room < 12; room++) {
            const char *at = strings[i].text, *end = at + strlen(at);
            char out[64];
            size_t done = 0;

            while (at < end) {
                size_t got = faasi_json_unescape(&at, end, out + done, room);

                ck_assert_uint_gt(got, 0);
                ck_assert_uint_le(got, room);
                done += got;
            }
            ck_assert_uint_eq(done, strings[i].size);
            ck_assert(memcmp(out, strings[i].plain, done) == 0);
        }
}
END_TEST

START_TEST(a_string_is_compared_after_unescaping)
{
    char text[300], plain[300];

    for (size_t i = 0; i < FAASI_COUNT(strings); i++)
        for (size_t j = 0; j < FAASI_COUNT(strings); j++)
            ck_assert_int_eq(
                faasi_json_string_is(strings[i].text, strlen(strings[i].text),
                                     faas_bytes_of(strings[j].plain, strings[j].size)),
                strings[i].size == strings[j].size &&
                    memcmp(strings[i].plain, strings[j].plain, strings[i].size) == 0);
    memset(text, 'x', sizeof text);
    memset(plain, 'x', sizeof plain);
    ck_assert(faasi_json_string_is(text, 300, faas_bytes_of(plain, 300)));
    ck_assert(!faasi_json_string_is(text, 300, faas_bytes_of(plain, 299)));
    ck_assert(!faasi_json_string_is(text, 299, faas_bytes_of(plain, 300)));
    plain[299] = 'y';
    ck_assert(!faasi_json_string_is(text, 300, faas_bytes_of(plain, 300)));
}
END_TEST

START_TEST(the_best_kernel_is_one_of_this_cpu_and_stays)
{
    const struct faasi_json_kernel *best = faasi_json_kernel_best();

    ck_assert_ptr_eq(best, faasi_json_kernel_best());
    for (size_t k = 0; k < kernels_count(); k++)
        if (kernels[k] == best)
            return;
    ck_abort_msg("%s is no kernel of this CPU", best->name);
}
END_TEST

SUITE_MAIN(
    "json", every_kernel_accepts_what_is_json, every_kernel_refuses_what_is_not_json,
    the_top_level_is_an_object_and_nothing_else,
    a_token_may_lie_across_any_boundary_of_blocks, any_byte_at_any_place_gets_one_answer,
    containers_are_nested_to_the_limit_and_no_deeper,
    a_fault_is_reported_with_its_first_byte, any_value_may_be_asked_for_at_the_top_level,
    a_text_beyond_the_longest_is_refused_unread,
    the_table_of_brackets_says_what_a_stack_does,
    a_field_is_found_at_its_path_and_nowhere_else, every_kind_of_scalar_is_told_apart,
    keys_match_after_unescaping, keys_of_any_size_match_as_a_whole,
    keys_that_differ_in_any_one_byte_are_told_apart, a_dot_in_a_key_is_an_ordinary_byte,
    scalars_in_arrays_belong_to_the_field_that_holds_the_array,
    a_value_knows_the_elements_it_lies_in,
    elements_give_their_values_whether_they_are_alike_or_not,
    every_occurrence_of_a_key_counts_when_strict,
    a_trusted_walk_ends_when_every_field_was_seen,
    a_trusted_walk_stumbles_over_what_it_cannot_pass,
    a_trusted_walk_goes_no_deeper_than_the_limit, more_fields_than_bits_are_all_found,
    equal_paths_are_one_field, generated_texts_and_mutants_get_the_naive_answers,
    an_event_over_64_kib_is_walked_to_its_end,
    without_room_for_places_every_value_is_nowhere,
    a_path_without_keys_or_with_too_many_is_refused,
    a_set_of_paths_leaks_nothing_whichever_allocation_fails,
    a_number_is_the_nearest_double, the_last_of_a_thousand_digits_may_decide,
    what_is_no_number_is_nan, strings_are_unescaped_to_utf_8_or_wtf_8,
    unescaping_goes_on_where_the_room_ended, a_string_is_compared_after_unescaping,
    the_best_kernel_is_one_of_this_cpu_and_stays)
