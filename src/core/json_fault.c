/* SPDX-License-Identifier: MIT */
/* json_fault.c - the scanner byte by byte: where a text stops being JSON, and why.
 *
 * The kernels only say no; this is the second pass that a refused text gets, and what
 * they call for the rare tokens they do not take apart with masks. */
#include "json_impl.h"
#include "utf8.h"

struct reader {
    const unsigned char *text;
    size_t size, at;
    size_t depth;
    faas_status status;
    struct faasi_json_fault fault;
    unsigned char square[FAASI_JSON_DEPTH_MAX]; /* by depth: 1 for an array */
};

static const char *byte_name(const struct reader *r, size_t at)
{
    static const char printable[95][4] = {
        "' '", "'!'", "'\"'", "'#'", "'$'", "'%'",  "'&'", "'''", "'('", "')'", "'*'",
        "'+'", "','", "'-'",  "'.'", "'/'", "'0'",  "'1'", "'2'", "'3'", "'4'", "'5'",
        "'6'", "'7'", "'8'",  "'9'", "':'", "';'",  "'<'", "'='", "'>'", "'?'", "'@'",
        "'A'", "'B'", "'C'",  "'D'", "'E'", "'F'",  "'G'", "'H'", "'I'", "'J'", "'K'",
        "'L'", "'M'", "'N'",  "'O'", "'P'", "'Q'",  "'R'", "'S'", "'T'", "'U'", "'V'",
        "'W'", "'X'", "'Y'",  "'Z'", "'['", "'\\'", "']'", "'^'", "'_'", "'`'", "'a'",
        "'b'", "'c'", "'d'",  "'e'", "'f'", "'g'",  "'h'", "'i'", "'j'", "'k'", "'l'",
        "'m'", "'n'", "'o'",  "'p'", "'q'", "'r'",  "'s'", "'t'", "'u'", "'v'", "'w'",
        "'x'", "'y'", "'z'",  "'{'", "'|'", "'}'",  "'~'"};

    if (at >= r->size)
        return "the end of the text";
    switch (r->text[at]) {
    case ' ':
        return "a space";
    case ',':
        return "a comma";
    case ':':
        return "a colon";
    case '"':
        return "a string";
    case '\\':
        return "a backslash";
    case 0x7F:
        return "a control character";
    default:
        break;
    }
    if (r->text[at] < 0x20)
        return "a control character";
    if (r->text[at] >= 0x80)
        return "a byte outside ASCII";
    return printable[r->text[at] - 0x20];
}

static bool fail_as(struct reader *r, size_t at, const char *found, const char *expected)
{
    r->status = FAAS_ESYNTAX;
    r->fault = (struct faasi_json_fault){at, found, expected};
    return false;
}

static bool fail(struct reader *r, size_t at, const char *expected)
{
    return fail_as(r, at, byte_name(r, at), expected);
}

static int peek(const struct reader *r)
{
    return r->at < r->size ? r->text[r->at] : -1;
}

static void skip_space(struct reader *r)
{
    while (r->at < r->size && json_is_space(r->text[r->at]))
        r->at++;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(int c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* At the byte after a backslash. */
static bool read_escape(struct reader *r)
{
    int c = peek(r);

    if (c == -1 || strchr("\"\\/bfnrtu", c) == NULL || c == 0)
        return fail(r, r->at, "one of \" \\ / b f n r t u after a backslash");
    r->at++;
    for (int i = 0; c == 'u' && i < 4; i++, r->at++)
        if (!is_hex(peek(r)))
            return fail(r, r->at, "four hexadecimal digits");
    return true;
}

/* At the opening quote. */
static bool read_string(struct reader *r)
{
    r->at++;
    for (;;) {
        int c = peek(r);

        if (c == -1)
            return fail(r, r->at, "a quote");
        if (c < 0x20)
            return fail(r, r->at, "an escape");
        if (c >= 0x80) {
            uint32_t point;
            size_t size =
                faasi_utf8_next((const char *)r->text + r->at, r->size - r->at, &point);

            if (point == FAASI_UTF8_BAD)
                return fail_as(r, r->at, "malformed UTF-8", "a character");
            r->at += size;
            continue;
        }
        r->at++;
        if (c == '"')
            return true;
        if (c == '\\' && !read_escape(r))
            return false;
    }
}

static bool read_digits(struct reader *r)
{
    if (!is_digit(peek(r)))
        return fail(r, r->at, "a digit");
    while (is_digit(peek(r)))
        r->at++;
    return true;
}

static bool read_number(struct reader *r)
{
    if (peek(r) == '-')
        r->at++;
    if (peek(r) == '0') {
        r->at++;
        if (is_digit(peek(r)))
            return fail_as(r, r->at, "a digit after a leading zero", "no digit");
    } else if (!read_digits(r)) {
        return false;
    }
    if (peek(r) == '.') {
        r->at++;
        if (!read_digits(r))
            return false;
    }
    if ((peek(r) | 0x20) == 'e' && r->at < r->size) {
        r->at++;
        if (peek(r) == '+' || peek(r) == '-')
            r->at++;
        if (!read_digits(r))
            return false;
    }
    return true;
}

static bool read_word(struct reader *r, const char *word, const char *expected)
{
    for (size_t i = 0; word[i] != '\0'; i++, r->at++)
        if (peek(r) != (unsigned char)word[i])
            return fail(r, r->at, expected);
    return true;
}

/* A number or literal; not what follows it. */
static bool read_scalar(struct reader *r)
{
    switch (peek(r)) {
    case 't':
        return read_word(r, "true", "the literal true");
    case 'f':
        return read_word(r, "false", "the literal false");
    case 'n':
        return read_word(r, "null", "the literal null");
    case '-':
        return read_number(r);
    default:
        if (is_digit(peek(r)))
            return read_number(r);
        return fail(r, r->at, "a value");
    }
}

/* At a key: reads up to its value. */
static bool read_key(struct reader *r, const char *expected)
{
    if (peek(r) != '"')
        return fail(r, r->at, expected);
    if (!read_string(r))
        return false;
    skip_space(r);
    if (peek(r) != ':')
        return fail(r, r->at, "a colon");
    r->at++;
    skip_space(r);
    return true;
}

/* At the bracket of a container: reads up to its first value or its end; `*empty` says
 * which. */
static bool read_open(struct reader *r, bool *empty)
{
    bool square = peek(r) == '[';

    *empty = false;
    if (r->depth == FAASI_JSON_DEPTH_MAX) {
        fail_as(r, r->at, "a container too deep", "at most 1024 levels");
        r->status = FAAS_EINVAL;
        return false;
    }
    r->square[r->depth++] = square;
    r->at++;
    skip_space(r);
    if (peek(r) == (square ? ']' : '}')) {
        *empty = true;
        return true;
    }
    return square || read_key(r, "a key or '}'");
}

/* After a value: ends containers until another value must come, or none is left. */
static bool read_after(struct reader *r)
{
    while (r->depth > 0) {
        bool square = r->square[r->depth - 1];

        skip_space(r);
        if (peek(r) == ',') {
            r->at++;
            skip_space(r);
            return square || read_key(r, "a key");
        }
        if (peek(r) != (square ? ']' : '}'))
            return fail(r, r->at, square ? "a comma or ']'" : "a comma or '}'");
        r->at++;
        r->depth--;
    }
    return true;
}

static bool read_value(struct reader *r)
{
    do {
        int c = peek(r);
        bool empty = true;

        if (c == '{' || c == '[') {
            if (!read_open(r, &empty))
                return false;
        } else if (c == '"' ? !read_string(r) : !read_scalar(r)) {
            return false;
        }
        if (empty && !read_after(r))
            return false;
    } while (r->depth > 0);
    return true;
}

static faas_status check(faas_bytes text, bool any, struct faasi_json_fault *fault)
{
    struct reader r;

    r.text = text.data;
    r.size = text.size;
    r.at = 0;
    r.depth = 0;
    r.status = FAAS_OK;
    skip_space(&r);
    if (text.size > FAASI_JSON_SIZE_MAX) {
        fail_as(&r, FAASI_JSON_SIZE_MAX, "more text", "at most 1073741824 bytes");
        r.status = FAAS_EINVAL;
    } else if (!any && peek(&r) != '{') {
        fail(&r, r.at, "'{'");
    } else if (read_value(&r)) {
        skip_space(&r);
        if (r.at != r.size)
            fail(&r, r.at, "the end of the text");
    }
    if (r.status != FAAS_OK && fault != NULL)
        *fault = r.fault;
    return r.status;
}

faas_status faasi_json_check_any(faas_bytes text, struct faasi_json_fault *fault)
{
    return check(text, true, fault);
}

faas_status faasi_json_fault_find(faas_bytes text, struct faasi_json_fault *fault)
{
    return check(text, false, fault);
}

static bool is_scalar_byte(unsigned char c)
{
    return c == 0 || (!json_is_space(c) && strchr("\",:[]{}", c) == NULL);
}

bool faasi_json_scalar_ok(const unsigned char *text, size_t size, size_t at)
{
    struct reader r;

    while (at > 0 && is_scalar_byte(text[at - 1]))
        at--;
    r.text = text;
    r.size = size;
    r.at = at;
    return read_scalar(&r) && (r.at == size || !is_scalar_byte(text[r.at]));
}

bool faasi_json_escape_ok(const unsigned char *text, size_t size, size_t at)
{
    struct reader r;

    r.text = text;
    r.size = size;
    r.at = at;
    return read_escape(&r);
}
