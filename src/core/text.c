/* SPDX-License-Identifier: MIT */
/* text.c - writes text piece by piece to a callback. */
#include "text.h"

#include "utf8.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void faasi_text_init(struct faasi_text *text, faas_write *write, void *user)
{
    text->write = write;
    text->user = user;
    text->written = 0;
    text->used = 0;
    text->status = FAAS_OK;
    text->comma = false;
}

static void piece_write(struct faasi_text *text, const char *data, size_t size)
{
    int code;

    if (text->status != FAAS_OK || size == 0)
        return;
    code = text->write(data, size, text->user);
    if (code == 0)
        text->written += size;
    else
        text->status =
            faasi_fail(FAAS_ESYSTEM, "write: the callback returned %d after %zu bytes",
                       code, text->written);
}

static void buffer_flush(struct faasi_text *text)
{
    size_t used = text->used;

    text->used = 0;
    piece_write(text, text->buffer, used);
}

faas_status faasi_text_finish(struct faasi_text *text)
{
    buffer_flush(text);
    return text->status;
}

void faasi_text_bytes(struct faasi_text *text, const void *data, size_t size)
{
    if (size > sizeof text->buffer - text->used) {
        buffer_flush(text);
        if (size >= sizeof text->buffer) {
            piece_write(text, data, size); // too long to gain by another copy
            return;
        }
    }
    if (size > 0)
        memcpy(text->buffer + text->used, data, size);
    text->used += size;
}

void faasi_text_char(struct faasi_text *text, char byte)
{
    if (text->used == sizeof text->buffer)
        buffer_flush(text);
    text->buffer[text->used++] = byte;
}

void faasi_text_str(struct faasi_text *text, const char *string)
{
    faasi_text_bytes(text, string, strlen(string));
}

void faasi_text_printf(struct faasi_text *text, const char *format, ...)
{
    char line[FAASI_TEXT_BUFFER];
    va_list args;
    int size;

    va_start(args, format);
    size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (size >= 0 && (size_t)size < sizeof line)
        faasi_text_bytes(text, line, (size_t)size);
    else if (text->status == FAAS_OK)
        text->status = faasi_fail(FAAS_EINVAL, "text: %d bytes of \"%.40s\" are over %zu",
                                  size, format, sizeof line - 1);
}

void faasi_text_uint(struct faasi_text *text, uint64_t value)
{
    char digits[20]; // of UINT64_MAX
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    faasi_text_bytes(text, digits + at, sizeof digits - at);
}

void faasi_text_int(struct faasi_text *text, int64_t value)
{
    if (value < 0)
        faasi_text_char(text, '-');
    faasi_text_uint(text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void faasi_text_double(struct faasi_text *text, double value)
{
    char digits[48];
    bool point = false;

    if (!isfinite(value)) {
        faasi_text_str(text, isnan(value) ? "NaN" : value < 0 ? "-Inf" : "+Inf");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        (void)snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    /* Whatever is no part of a number is the locale's point, of one byte or more. */
    for (const char *at = digits; *at != '\0'; at++) {
        if (strchr("0123456789+-e", *at) != NULL) {
            faasi_text_char(text, *at);
        } else if (!point) {
            faasi_text_char(text, '.');
            point = true;
        }
    }
}

void faasi_text_base64(struct faasi_text *text, const void *data, size_t size)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *at = data;

    for (; size >= 3; size -= 3, at += 3) {
        uint32_t bits = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
                        digits[bits >> 6 & 63], digits[bits & 63]};

        faasi_text_bytes(text, four, sizeof four);
    }
    if (size > 0) {
        uint32_t bits = (uint32_t)at[0] << 16 | (size == 2 ? (uint32_t)at[1] << 8 : 0);
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
                        size == 2 ? digits[bits >> 6 & 63] : '=', '='};

        faasi_text_bytes(text, four, sizeof four);
    }
}

/* The comma is the state of the whole text, not of a level: after a closing bracket the
 * level around it has a value, so there is nothing to remember. */
void faasi_text_json_value(struct faasi_text *text)
{
    if (text->comma)
        faasi_text_char(text, ',');
    text->comma = true;
}

void faasi_text_json_open(struct faasi_text *text, char bracket)
{
    faasi_text_json_value(text);
    faasi_text_char(text, bracket);
    text->comma = false;
}

void faasi_text_json_close(struct faasi_text *text, char bracket)
{
    faasi_text_char(text, bracket);
    text->comma = true;
}

void faasi_text_json_key(struct faasi_text *text, const char *name)
{
    faasi_text_json_str(text, name);
    faasi_text_char(text, ':');
    text->comma = false;
}

void faasi_text_json_bool(struct faasi_text *text, bool value)
{
    faasi_text_json_value(text);
    faasi_text_str(text, value ? "true" : "false");
}

void faasi_text_json_null(struct faasi_text *text)
{
    faasi_text_json_value(text);
    faasi_text_str(text, "null");
}

void faasi_text_json_uint(struct faasi_text *text, uint64_t value)
{
    faasi_text_json_value(text);
    faasi_text_uint(text, value);
}

void faasi_text_json_int(struct faasi_text *text, int64_t value)
{
    faasi_text_json_value(text);
    faasi_text_int(text, value);
}

void faasi_text_json_double(struct faasi_text *text, double value)
{
    faasi_text_json_value(text);
    if (isfinite(value))
        faasi_text_double(text, value);
    else
        faasi_text_str(text, "null");
}

void faasi_text_json_str(struct faasi_text *text, const char *string)
{
    if (string == NULL)
        faasi_text_json_null(text);
    else
        faasi_text_json_string(text, string, strlen(string));
}

static void escape_write(struct faasi_text *text, uint32_t point)
{
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    static const char hex[] = "0123456789abcdef";

    for (const char *at = short_forms; *at != '\0'; at += 2) {
        if ((uint32_t)*at == point) {
            faasi_text_char(text, '\\');
            faasi_text_char(text, at[1]);
            return;
        }
    }
    faasi_text_str(text, "\\u00");
    faasi_text_char(text, hex[point >> 4]);
    faasi_text_char(text, hex[point & 15]);
}

void faasi_text_json_string(struct faasi_text *text, const char *string, size_t size)
{
    size_t start = 0, length; // of the run that stands as it is
    uint32_t point;

    faasi_text_json_value(text);
    faasi_text_char(text, '"');
    for (size_t at = 0; at < size; at += length) {
        length = 1;
        point = (unsigned char)string[at];
        if (point >= 0x80)
            length = faasi_utf8_next(string + at, size - at, &point);
        if (point >= ' ' && point != '"' && point != '\\' && point != FAASI_UTF8_BAD)
            continue;
        faasi_text_bytes(text, string + start, at - start);
        if (point == FAASI_UTF8_BAD)
            faasi_text_str(text, "\xEF\xBF\xBD"); // U+FFFD
        else
            escape_write(text, point);
        start = at + length;
    }
    if (start < size)
        faasi_text_bytes(text, string + start, size - start);
    faasi_text_char(text, '"');
}

void faasi_text_json_base64(struct faasi_text *text, const void *data, size_t size)
{
    faasi_text_json_value(text);
    faasi_text_char(text, '"');
    faasi_text_base64(text, data, size);
    faasi_text_char(text, '"');
}
