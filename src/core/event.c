/* SPDX-License-Identifier: MIT */
/* event.c - events: the rules of CloudEvents, one block of memory, and the JSON
 * format. */
#include "event.h"

#include "hash.h"
#include "mem.h"
#include "utf8.h"

_Static_assert(sizeof(faas_event_options) ==
                   12 * sizeof(void *) + 2 * sizeof(uint32_t) + sizeof(faas_bytes) +
                       sizeof(uint64_t),
               "the options have no padding");

/* What error texts show of a value. */
#define SHOWN_MAX 64

/* The value of an attribute, and what error texts call it. */
struct value {
    const char *kind; // "" or "extension "
    const char *name;
    const char *text;
    size_t size;
};

/* A set of ASCII characters. */
struct chars {
    uint64_t low, high;
};

static const struct chars name_chars = {0x03FF000000000000, 0x07FFFFFE00000000};
static const struct chars alphas = {0x0000000000000000, 0x07FFFFFE07FFFFFE};
static const struct chars digits = {0x03FF000000000000, 0x0000000000000000};
static const struct chars hex_digits = {0x03FF000000000000, 0x0000007E0000007E};
/* Letters, digits and + - . (RFC 3986, section 3.1). */
static const struct chars scheme_chars = {0x03FF680000000000, 0x07FFFFFE07FFFFFE};
/* Letters, digits and - . _ ~ : / ? # [ ] @ ! $ & ' ( ) * + , ; = % (section 2). */
static const struct chars uri_chars = {0xAFFFFFFA00000000, 0x47FFFFFEAFFFFFFF};
/* All that is printable but space and ( ) < > @ , ; : \ " / [ ] ? = (RFC 2045, 5.1). */
static const struct chars token_chars = {0x03FF6CFA00000000, 0x7FFFFFFFC7FFFFFE};

static const char *const attribute_names[FAASI_ATTRIBUTE_COUNT] = {
    [FAASI_ID] = "id",
    [FAASI_SOURCE] = "source",
    [FAASI_TYPE] = "type",
    [FAASI_SUBJECT] = "subject",
    [FAASI_TIME] = "time",
    [FAASI_DATA_CONTENT_TYPE] = "datacontenttype",
    [FAASI_DATA_SCHEMA] = "dataschema",
};

const char *faasi_attribute_name(enum faasi_attribute attribute)
{
    return attribute_names[attribute];
}

static inline bool chars_have(const struct chars *chars, char byte)
{
    unsigned char c = (unsigned char)byte;

    return c < 128 && ((c < 64 ? chars->low : chars->high) >> (c & 63) & 1) != 0;
}

/* Returns where the run of `chars` ends that begins at `at`. */
static size_t chars_skip(const struct chars *chars, const char *text, size_t size,
                         size_t at)
{
    while (at < size && chars_have(chars, text[at]))
        at++;
    return at;
}

/* Compares with a name in lower case, ignoring case. */
static bool name_is(const char *text, size_t size, const char *name)
{
    if (size != strlen(name))
        return false;
    for (size_t i = 0; i < size; i++)
        if ((chars_have(&alphas, text[i]) ? text[i] | 0x20 : text[i]) != name[i])
            return false;
    return true;
}

/* How much of a valid text an error text shows, without cutting a character. */
static int shown(const struct value *v)
{
    size_t size = v->size;

    if (size > SHOWN_MAX)
        for (size = SHOWN_MAX; ((unsigned char)v->text[size] & 0xC0) == 0x80;)
            size--;
    return (int)size;
}

/* Tells whether eight bytes are all printable ASCII. It may say no to some that are. */
static bool word_is_plain(const char *text)
{
    const uint64_t ones = 0x0101010101010101;
    uint64_t word, del;

    memcpy(&word, text, sizeof word);
    del = word ^ ones * 0x7F;
    return (((word - ones * 0x20) | (del - ones) | word) & ones * 0x80) == 0;
}

static faas_status point_refuse(const struct value *v, const char *at, uint32_t point)
{
    size_t place = (size_t)(at - v->text);

    if (point == FAASI_UTF8_BAD)
        return faasi_fail(FAAS_EINVAL, "%s%s: the byte 0x%02X at %zu is no UTF-8",
                          v->kind, v->name, (unsigned char)*at, place);
    return faasi_fail(FAAS_EINVAL, "%s%s: U+%04X at %zu is a %s", v->kind, v->name,
                      (unsigned)point, place,
                      point < 0xA0 ? "control character" : "noncharacter");
}

/* The type String. */
static faas_status string_check(const struct value *v)
{
    const char *end = v->text + v->size;
    size_t length;
    uint32_t point;

    if (v->size > FAAS_EVENT_ATTRIBUTE_MAX)
        return faasi_fail(FAAS_EINVAL, "%s%s: %zu bytes are over %d", v->kind, v->name,
                          v->size, FAAS_EVENT_ATTRIBUTE_MAX);
    for (const char *at = v->text; at < end; at += length) {
        length = sizeof(uint64_t);
        if (end - at >= (ptrdiff_t)length && word_is_plain(at))
            continue;
        length = 1;
        if (*at >= ' ' && *at <= '~')
            continue;
        length = faasi_utf8_next(at, (size_t)(end - at), &point);
        if (point < 0xA0 || point == FAASI_UTF8_BAD || (point & 0xFFFE) == 0xFFFE ||
            (point >= 0xFDD0 && point <= 0xFDEF))
            return point_refuse(v, at, point);
    }
    return FAAS_OK;
}

static faas_status uri_refuse(const struct value *v, const char *why)
{
    return faasi_fail(FAAS_EINVAL, "%s%s: \"%.*s\" is no URI (%s)", v->kind, v->name,
                      shown(v), v->text, why);
}

/* Checks [userinfo@]host[:port], a host in brackets by its characters only. Returns
 * where it ends, or SIZE_MAX. */
static size_t authority_check(const struct value *v, size_t at)
{
    size_t end = at, host = at;

    while (end < v->size && strchr("/?#", v->text[end]) == NULL)
        end++;
    for (size_t i = at; i < end; i++) {
        if (v->text[i] != '@')
            continue;
        if (host != at)
            return SIZE_MAX;
        host = i + 1;
    }
    if (memchr(v->text + at, '[', host - at) != NULL ||
        memchr(v->text + at, ']', host - at) != NULL)
        return SIZE_MAX;
    at = host;
    if (at < end && v->text[at] == '[') {
        do
            at++;
        while (at < end && v->text[at] != ']' && v->text[at] != '[' &&
               v->text[at] != '%');
        if (at == end || v->text[at] != ']' || at == host + 1)
            return SIZE_MAX;
        at++;
    } else {
        while (at < end && strchr(":[]", v->text[at]) == NULL)
            at++;
    }
    if (at < end && v->text[at] == ':')
        at = chars_skip(&digits, v->text, end, at + 1);
    return at == end ? end : SIZE_MAX;
}

/* The types URI and URI-reference (RFC 3986, section 4.1). A fragment is accepted in
 * both, for schemas are often named by one. */
static faas_status uri_check(const struct value *v, bool absolute)
{
    size_t at, hash = v->size;

    for (size_t i = 0; i < v->size; i++) {
        char byte = v->text[i];

        if (!chars_have(&uri_chars, byte))
            return faasi_fail(FAAS_EINVAL,
                              "%s%s: the byte 0x%02X at %zu must be percent-encoded",
                              v->kind, v->name, (unsigned char)byte, i);
        if (byte == '%' && chars_skip(&hex_digits, v->text, v->size, i + 1) < i + 3)
            return uri_refuse(v, "two hexadecimal digits must follow a %");
        if (byte == '#') {
            if (hash != v->size)
                return uri_refuse(v, "it has two #");
            hash = i;
        }
    }
    at = 0;
    while (at < v->size && strchr(":/?#", v->text[at]) == NULL)
        at++;
    if (at == v->size || v->text[at] != ':') {
        if (absolute)
            return uri_refuse(v, "it has no scheme");
        at = 0;
    } else {
        if (at == 0 || !chars_have(&alphas, v->text[0]) ||
            chars_skip(&scheme_chars, v->text, at, 0) != at)
            return uri_refuse(v, "what precedes the first : is no scheme");
        at++;
    }
    if (v->size - at >= 2 && v->text[at] == '/' && v->text[at + 1] == '/') {
        at = authority_check(v, at + 2);
        if (at == SIZE_MAX)
            return uri_refuse(v, "its host or port is malformed");
    }
    if (memchr(v->text + at, '[', v->size - at) != NULL ||
        memchr(v->text + at, ']', v->size - at) != NULL)
        return uri_refuse(v, "[ and ] belong around a host");
    return FAAS_OK;
}

/* Compares with a form in which d is a digit; a letter matches in either case. Returns
 * how many characters match. */
static size_t form_match(const char *text, size_t size, const char *form)
{
    size_t i = 0;

    for (; form[i] != '\0' && i < size; i++) {
        bool same = form[i] == 'd'   ? chars_have(&digits, text[i])
                    : form[i] == 'T' ? (text[i] | 0x20) == 't'
                                     : text[i] == form[i];

        if (!same)
            break;
    }
    return i;
}

static int number_read(const char *text, size_t count)
{
    int number = 0;

    for (size_t i = 0; i < count; i++)
        number = number * 10 + (text[i] - '0');
    return number;
}

/* The days since 1970-01-01, in the Gregorian calendar. The year is counted from March,
 * so that the leap day is its last. */
static int64_t days_since_epoch(int year, int month, int day)
{
    int y = month > 2 ? year : year - 1;
    int era = (y >= 0 ? y : y - 399) / 400;
    int year_of_era = y - era * 400;
    int day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return (int64_t)era * 146097 + day_of_era - 719468;
}

static int days_of_month(int year, int month)
{
    if (month == 2)
        return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

static faas_status time_refuse(const struct value *v, const char *what, const char *field,
                               int number)
{
    return faasi_fail(FAAS_EINVAL, "%s%s: \"%.*s\" is no RFC 3339 %s (%s %d)", v->kind,
                      v->name, shown(v), v->text, what, field, number);
}

/* Reads [.digits] and Z, +hh:mm or -hh:mm, which must end the text. Moves `*at` to the
 * end, or to what is wrong. */
static bool time_tail_read(const struct value *v, size_t *at, int *fraction_ns,
                           int *offset_minutes)
{
    const char *text = v->text;
    int unit = 100 * 1000 * 1000;

    *fraction_ns = 0;
    *offset_minutes = 0;
    if (*at < v->size && text[*at] == '.') {
        size_t first = ++*at;

        for (; *at < v->size && chars_have(&digits, text[*at]); ++*at, unit /= 10)
            *fraction_ns += (text[*at] - '0') * unit;
        if (*at == first)
            return false;
    }
    if (*at == v->size)
        return false;
    if ((text[*at] | 0x20) == 'z')
        return ++*at == v->size;
    if (text[*at] == '+' || text[*at] == '-') {
        const char *hhmm = text + *at + 1;
        bool west = text[*at] == '-';
        size_t matched = form_match(hhmm, (size_t)(text + v->size - hhmm), "dd:dd");

        *at += 1 + matched;
        if (matched < 5 || *at != v->size)
            return false;
        *offset_minutes = number_read(hhmm, 2) * 60 + number_read(hhmm + 3, 2);
        if (*offset_minutes < 24 * 60 && hhmm[3] < '6') {
            *offset_minutes = west ? -*offset_minutes : *offset_minutes;
            return true;
        }
        *at -= 5;
    }
    return false;
}

/* Holds what 64 bits cannot at their ends. */
static int64_t instant_ns(int64_t seconds, int64_t fraction_ns)
{
    int64_t ns;

    if (seconds < 0 && fraction_ns > 0) { // one sign, so that only the true sum overflows
        seconds++;
        fraction_ns -= 1000000000;
    }
    if (__builtin_mul_overflow(seconds, (int64_t)1000000000, &ns) ||
        __builtin_add_overflow(ns, fraction_ns, &ns))
        return seconds < 0 ? FAAS_EVENT_NO_TIME + 1 : INT64_MAX;
    return ns == FAAS_EVENT_NO_TIME ? ns + 1 : ns;
}

/* The type Timestamp (RFC 3339, section 5.6). A second 60 is one if it ends a month in
 * UTC; whether there was a leap second then is not looked up. */
static faas_status time_check(const struct value *v, int64_t *ns)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd";
    size_t at = form_match(v->text, v->size, form);
    int year, month, day, month_days, hour, minute, second, fraction_ns, offset, leap_day;
    int64_t seconds, midnight;

    *ns = FAAS_EVENT_NO_TIME;
    if (at < sizeof form - 1 || !time_tail_read(v, &at, &fraction_ns, &offset))
        return time_refuse(v, "time", "at byte", (int)at);
    year = number_read(v->text, 4);
    month = number_read(v->text + 5, 2);
    day = number_read(v->text + 8, 2);
    hour = number_read(v->text + 11, 2);
    minute = number_read(v->text + 14, 2);
    second = number_read(v->text + 17, 2);
    if (month < 1 || month > 12)
        return time_refuse(v, "date", "month", month);
    month_days = days_of_month(year, month);
    if (day < 1 || day > month_days)
        return time_refuse(v, "date", "day", day);
    if (hour > 23)
        return time_refuse(v, "time", "hour", hour);
    if (minute > 59)
        return time_refuse(v, "time", "minute", minute);
    if (second > 60)
        return time_refuse(v, "time", "second", second);
    midnight = days_since_epoch(year, month, day) * 86400;
    seconds = midnight + hour * 3600 + (minute - offset) * 60 + second;
    if (second == 60) {
        /* The day that begins with the next second, counted in the local month. */
        leap_day = day + (int)((seconds - midnight) / 86400);
        if (seconds % 86400 != 0 || (leap_day != 1 && leap_day != month_days + 1))
            return time_refuse(v, "time", "second", second);
    }
    *ns = instant_ns(seconds, fraction_ns);
    return FAAS_OK;
}

static faas_status media_refuse(const struct value *v, size_t at)
{
    return faasi_fail(FAAS_EINVAL, "%s%s: \"%.*s\" is no media type (at byte %zu)",
                      v->kind, v->name, shown(v), v->text, at);
}

/* Returns where a quoted string ends that begins at `at`; past `size` if it does not. */
static size_t quoted_skip(const char *text, size_t size, size_t at)
{
    for (at++; at < size && (unsigned char)text[at] < 0x80; at++) {
        if (text[at] == '"')
            return at + 1;
        if (text[at] == '\\' && ++at == size)
            break;
    }
    return size + 1;
}

/* Checks `; name=value` to the end. Tells whether the charset, if any, is UTF-8. */
static faas_status parameters_check(const struct value *v, size_t at, bool *utf8)
{
    const char *text = v->text;
    size_t name, name_end, value, end;

    *utf8 = true;
    while (at < v->size) {
        while (at < v->size && text[at] == ' ')
            at++;
        if (at == v->size || text[at] != ';')
            return media_refuse(v, at);
        for (at++; at < v->size && text[at] == ' ';)
            at++;
        name = at;
        name_end = chars_skip(&token_chars, text, v->size, at);
        if (name_end == name || name_end == v->size || text[name_end] != '=')
            return media_refuse(v, name_end);
        value = name_end + 1;
        if (value < v->size && text[value] == '"') {
            at = quoted_skip(text, v->size, value);
            if (at > v->size)
                return media_refuse(v, value);
            value++;
            end = at - 1;
        } else {
            at = end = chars_skip(&token_chars, text, v->size, value);
            if (end == value)
                return media_refuse(v, value);
        }
        if (name_is(text + name, name_end - name, "charset"))
            *utf8 = name_is(text + value, end - value, "utf-8") ||
                    name_is(text + value, end - value, "us-ascii");
    }
    return FAAS_OK;
}

/* The data content type (RFC 2045, section 5.1). */
static faas_status media_check(const struct value *v, enum faasi_data_form *form)
{
    const char *text = v->text, *subtype, *suffix;
    size_t slash = chars_skip(&token_chars, text, v->size, 0);
    size_t end, subtype_size;
    faas_status status;
    bool utf8;

    if (slash == 0 || slash == v->size || text[slash] != '/')
        return media_refuse(v, slash);
    end = chars_skip(&token_chars, text, v->size, slash + 1);
    if (end == slash + 1)
        return media_refuse(v, end);
    status = parameters_check(v, end, &utf8);
    if (status != FAAS_OK)
        return status;

    subtype = text + slash + 1;
    subtype_size = end - slash - 1;
    suffix = subtype_size > 5 ? text + end - 5 : subtype;
    if (name_is(subtype, subtype_size, "json") ||
        name_is(suffix, (size_t)(text + end - suffix), "+json"))
        *form = FAASI_DATA_JSON;
    else if (utf8 &&
             (name_is(text, slash, "text") || name_is(subtype, subtype_size, "xml") ||
              (subtype_size > 4 && name_is(text + end - 4, 4, "+xml"))))
        *form = FAASI_DATA_TEXT;
    else
        *form = FAASI_DATA_BINARY;
    return FAAS_OK;
}

static faas_status extension_name_check(const struct faasi_event_parts *parts, uint32_t i)
{
    static const char *const reserved[] = {"specversion", "data"};
    const char *name = parts->extensions[i].name;
    size_t size, end;

    if (name == NULL || name[0] == '\0')
        return faasi_fail(FAAS_EINVAL, "extensions[%u]: it has no name", (unsigned)i);
    size = strlen(name);
    end = chars_skip(&name_chars, name, size, 0);
    if (end < size)
        return faasi_fail(FAAS_EINVAL,
                          "extensions[%u]: the byte 0x%02X at %zu of the name is not in "
                          "a-z and 0-9",
                          (unsigned)i, (unsigned char)name[end], end);
    if (size > FAAS_EVENT_NAME_MAX)
        return faasi_fail(FAAS_EINVAL, "extensions[%u]: the name's %zu bytes are over %d",
                          (unsigned)i, size, FAAS_EVENT_NAME_MAX);
    for (size_t k = 0; k < FAASI_COUNT(reserved) + FAASI_ATTRIBUTE_COUNT; k++)
        if (strcmp(name, k < FAASI_ATTRIBUTE_COUNT
                             ? attribute_names[k]
                             : reserved[k - FAASI_ATTRIBUTE_COUNT]) == 0)
            return faasi_fail(FAAS_EINVAL,
                              "extensions[%u]: the name \"%s\" is taken by "
                              "CloudEvents",
                              (unsigned)i, name);
    for (uint32_t k = 0; k < i; k++)
        if (strcmp(name, parts->extensions[k].name) == 0)
            return faasi_fail(FAAS_EINVAL,
                              "extensions[%u]: the name \"%s\" is that of "
                              "extensions[%u]",
                              (unsigned)i, name, (unsigned)k);
    return FAAS_OK;
}

static faas_status extension_check(const struct faasi_event_parts *parts, uint32_t i)
{
    const faas_extension *extension = &parts->extensions[i];
    struct value v = {"extension ", extension->name, extension->value.data,
                      extension->value.size};
    faas_status status = extension_name_check(parts, i);
    int64_t ns;

    if (status != FAAS_OK)
        return status;
    switch (extension->type) {
    case FAAS_EXTENSION_BOOLEAN:
        if (extension->integer != 0 && extension->integer != 1)
            return faasi_fail(FAAS_EINVAL, "extension %s: %d is not 0 or 1", v.name,
                              (int)extension->integer);
        return FAAS_OK;
    case FAAS_EXTENSION_INTEGER:
        return FAAS_OK;
    case FAAS_EXTENSION_STRING:
    case FAAS_EXTENSION_BINARY:
    case FAAS_EXTENSION_URI:
    case FAAS_EXTENSION_URI_REFERENCE:
    case FAAS_EXTENSION_TIMESTAMP:
        break;
    default:
        return faasi_fail(FAAS_EINVAL, "extension %s: %d is no type", v.name,
                          (int)extension->type);
    }
    if (v.text == NULL)
        return faasi_fail(FAAS_EINVAL, "extension %s: it has no value", v.name);
    if (extension->type == FAAS_EXTENSION_BINARY && v.size <= FAAS_EVENT_ATTRIBUTE_MAX)
        return FAAS_OK;
    status = string_check(&v);
    if (status != FAAS_OK || extension->type == FAAS_EXTENSION_STRING)
        return status;
    if (extension->type == FAAS_EXTENSION_TIMESTAMP)
        return time_check(&v, &ns);
    return uri_check(&v, extension->type == FAAS_EXTENSION_URI);
}

static bool extension_has_text(const faas_extension *extension)
{
    return extension->type != FAAS_EXTENSION_BOOLEAN &&
           extension->type != FAAS_EXTENSION_INTEGER;
}

/* What checking an event finds out about it. */
struct findings {
    int64_t time_ns;
    enum faasi_data_form data_form;
    size_t text_size; /* of all attributes, with terminators */
};

static faas_status attribute_check(const struct faasi_event_parts *parts,
                                   enum faasi_attribute attribute, struct findings *found)
{
    const faas_bytes *bytes = &parts->attributes[attribute];
    struct value v = {"", attribute_names[attribute], bytes->data, bytes->size};
    faas_status status;

    if (v.text == NULL) {
        if (attribute > FAASI_TYPE)
            return FAAS_OK;
        return faasi_fail(FAAS_EINVAL, "%s: required, but absent", v.name);
    }
    if (v.size == 0)
        return faasi_fail(FAAS_EINVAL, "%s: empty", v.name);
    status = string_check(&v);
    if (status != FAAS_OK)
        return status;
    found->text_size += v.size + 1;
    switch (attribute) {
    case FAASI_SOURCE:
        return uri_check(&v, false);
    case FAASI_TIME:
        return time_check(&v, &found->time_ns);
    case FAASI_DATA_CONTENT_TYPE:
        return media_check(&v, &found->data_form);
    case FAASI_DATA_SCHEMA:
        return uri_check(&v, true);
    default:
        return FAAS_OK;
    }
}

static faas_status parts_check(const struct faasi_event_parts *parts,
                               struct findings *found)
{
    faas_status status;

    for (unsigned i = 0; i < FAASI_ATTRIBUTE_COUNT; i++) {
        status = attribute_check(parts, (enum faasi_attribute)i, found);
        if (status != FAAS_OK)
            return status;
    }
    if (parts->extension_count > FAAS_EVENT_EXTENSIONS_MAX)
        return faasi_fail(FAAS_EINVAL, "extension_count: %u is over %d",
                          (unsigned)parts->extension_count, FAAS_EVENT_EXTENSIONS_MAX);
    if (parts->extension_count > 0 && parts->extensions == NULL)
        return faasi_fail(FAAS_EINVAL, "extensions: NULL, but extension_count is %u",
                          (unsigned)parts->extension_count);
    for (uint32_t i = 0; i < parts->extension_count; i++) {
        status = extension_check(parts, i);
        if (status != FAAS_OK)
            return status;
        found->text_size += strlen(parts->extensions[i].name) + 1;
        if (extension_has_text(&parts->extensions[i]))
            found->text_size += parts->extensions[i].value.size + 1;
    }
    if (parts->data.data == NULL && parts->data.size > 0)
        return faasi_fail(FAAS_EINVAL, "data: NULL, but its size is %zu",
                          parts->data.size);
    if (parts->data.size > PTRDIFF_MAX / 2)
        return faasi_fail(FAAS_EINVAL, "data: %zu bytes cannot be", parts->data.size);
    if (parts->data_hold != FAAS_DATA_COPY && parts->data_hold != FAAS_DATA_BORROW)
        return faasi_fail(FAAS_EINVAL, "data_hold: %d is neither copy nor borrow",
                          (int)parts->data_hold);
    return FAAS_OK;
}

/* Copies bytes with a terminator and moves `*end` behind it. */
static const char *text_put(char **end, const void *data, size_t size)
{
    char *text = *end;

    memcpy(text, data, size);
    text[size] = '\0';
    *end = text + size + 1;
    return text;
}

static void extension_put(char **end, faas_extension *to, const faas_extension *from)
{
    *to = *from;
    to->name = text_put(end, from->name, strlen(from->name));
    if (extension_has_text(from))
        to->value.data = text_put(end, from->value.data, from->value.size);
    else
        to->value = faas_bytes_of(NULL, 0);
}

static faas_status event_build(const struct faasi_event_parts *parts, faas_event **out)
{
    struct findings found = {FAAS_EVENT_NO_TIME, FAASI_DATA_JSON, 0};
    bool copies = parts->data_free == NULL && parts->data_hold == FAAS_DATA_COPY &&
                  parts->data.data != NULL;
    faas_status status = parts_check(parts, &found);
    size_t text_at, data_at, block_size;
    faas_event *event;
    char *end;

    if (status != FAAS_OK)
        return status;
    text_at = sizeof *event + parts->extension_count * sizeof event->extensions[0];
    data_at = faasi_round_up(text_at + found.text_size, FAASI_ALIGN);
    block_size = data_at + (copies ? parts->data.size : 0);
    event = faasi_alloc(parts->allocator, block_size);
    if (event == NULL)
        return faasi_fail(FAAS_ENOMEM, "event: no %zu bytes", block_size);

    end = (char *)event + text_at;
    for (unsigned i = 0; i < FAASI_ATTRIBUTE_COUNT; i++) {
        const faas_bytes *from = &parts->attributes[i];
        struct faasi_event_text *to = &event->attributes[i];

        to->size = (uint32_t)from->size;
        to->at = from->data == NULL
                     ? 0
                     : (uint32_t)(text_put(&end, from->data, from->size) - (char *)event);
    }
    for (uint32_t i = 0; i < parts->extension_count; i++)
        extension_put(&end, &event->extensions[i], &parts->extensions[i]);
    event->data = parts->data;
    if (copies) {
        event->data.data = (char *)event + data_at;
        if (parts->data.size > 0)
            memcpy((char *)event + data_at, parts->data.data, parts->data.size);
    }
    event->type_hash = faasi_hash(parts->attributes[FAASI_TYPE].data,
                                  parts->attributes[FAASI_TYPE].size);
    event->time_ns = found.time_ns;
    event->data_form = found.data_form;
    event->extension_count = parts->extension_count;
    event->block_size = block_size;
    event->allocator = parts->allocator;
    event->data_free = parts->data_free;
    event->data_user = parts->data_user;
    event->trusted = (parts->flags & FAAS_EVENT_TRUSTED) != 0;
    atomic_init(&event->checked, false);
    atomic_init(&event->form, NULL);
    atomic_init(&event->refs, 1);
    *out = event;
    return FAAS_OK;
}

static void data_end(faas_data_free *data_free, faas_bytes data, void *user)
{
    if (data_free != NULL)
        data_free((void *)(uintptr_t)data.data, data.size, user); // the event owned it
}

faas_status faasi_event_create(const struct faasi_event_parts *parts, faas_event **event)
{
    faas_status status;

    *event = NULL;
    status = event_build(parts, event);
    if (status != FAAS_OK)
        data_end(parts->data_free, parts->data, parts->data_user);
    return status;
}

faas_status faas_event_create(const faas_event_options *options, faas_event **event)
{
    faas_event_options opt = FAAS_EVENT_OPTIONS_INIT;
    faas_status status = faasi_options_import(&opt, sizeof opt, options, "event options");

    *event = NULL;
    if (status != FAAS_OK) {
        if (status == FAAS_EVERSION) // newer than ours, so all of our fields are there
            data_end(options->data_free, options->data, options->data_user);
        return status;
    }
    return faasi_event_create(
        &(struct faasi_event_parts){
            .attributes =
                {
                    [FAASI_ID] = faas_str(opt.id),
                    [FAASI_SOURCE] = faas_str(opt.source),
                    [FAASI_TYPE] = faas_str(opt.type),
                    [FAASI_SUBJECT] = faas_str(opt.subject),
                    [FAASI_TIME] = faas_str(opt.time),
                    [FAASI_DATA_CONTENT_TYPE] = faas_str(opt.data_content_type),
                    [FAASI_DATA_SCHEMA] = faas_str(opt.data_schema),
                },
            .extensions = opt.extensions,
            .extension_count = opt.extension_count,
            .data_hold = opt.data_hold,
            .data = opt.data,
            .allocator = faasi_allocator_or_default(opt.allocator),
            .data_free = opt.data_free,
            .data_user = opt.data_user,
            .flags = opt.flags,
        },
        event);
}

faas_event *faas_event_acquire(const faas_event *event)
{
    faas_event *shared = (faas_event *)(uintptr_t)event;

    faasi_ref(&shared->refs);
    return shared;
}

void faas_event_release(faas_event *event)
{
    struct faasi_form *form;

    if (event == NULL || !faasi_unref(&event->refs))
        return;
    data_end(event->data_free, event->data, event->data_user);
    form = atomic_load_explicit(&event->form, memory_order_acquire);
    if (form != NULL)
        faasi_free(event->allocator, form, form->bytes);
    faasi_free(event->allocator, event, event->block_size);
}

const char *faas_event_id(const faas_event *event)
{
    return faasi_event_attribute(event, FAASI_ID).data;
}

const char *faas_event_source(const faas_event *event)
{
    return faasi_event_attribute(event, FAASI_SOURCE).data;
}

const char *faas_event_type(const faas_event *event)
{
    return faasi_event_attribute(event, FAASI_TYPE).data;
}

const char *faas_event_subject(const faas_event *event)
{
    return faasi_event_attribute(event, FAASI_SUBJECT).data;
}

const char *faas_event_time(const faas_event *event)
{
    return faasi_event_attribute(event, FAASI_TIME).data;
}

const char *faas_event_data_content_type(const faas_event *event)
{
    return faasi_event_attribute(event, FAASI_DATA_CONTENT_TYPE).data;
}

const char *faas_event_data_schema(const faas_event *event)
{
    return faasi_event_attribute(event, FAASI_DATA_SCHEMA).data;
}

faas_bytes faas_event_data(const faas_event *event)
{
    return event->data;
}

int64_t faas_event_time_ns(const faas_event *event)
{
    return event->time_ns;
}

uint32_t faas_event_extension_count(const faas_event *event)
{
    return event->extension_count;
}

const faas_extension *faas_event_extension_at(const faas_event *event, uint32_t index)
{
    return index < event->extension_count ? &event->extensions[index] : NULL;
}

const faas_extension *faas_event_extension(const faas_event *event, const char *name)
{
    return faasi_event_extension(event, faas_str(name));
}

const faas_extension *faasi_event_extension(const faas_event *event, faas_bytes name)
{
    for (uint32_t i = 0; i < event->extension_count; i++) {
        const char *own = event->extensions[i].name;

        if (name.size > 0 && strncmp(own, name.data, name.size) == 0 &&
            own[name.size] == '\0')
            return &event->extensions[i];
    }
    return NULL;
}
