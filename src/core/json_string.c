/* SPDX-License-Identifier: MIT */
/* json_string.c - escapes of strings. */
#include "json.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads \uXXXX at `text`, or returns UINT32_MAX. */
static uint32_t unit_read(const char *text, const char *end)
{
    uint32_t unit = 0;

    if (end - text < 6 || text[0] != '\\' || text[1] != 'u')
        return UINT32_MAX;
    for (int i = 2; i < 6; i++) {
        int digit = hex_value(text[i]);

        if (digit < 0)
            return UINT32_MAX;
        unit = unit << 4 | (uint32_t)digit;
    }
    return unit;
}

/* Writes a character, also a surrogate, and returns its size of 1 to 4 bytes. */
static size_t character_write(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* Unescapes what begins with the backslash at `text` into `out`, which has room for four
 * bytes. Sets `*taken` to the bytes read, and returns the bytes written. */
static size_t escape_read(const char *text, const char *end, char *out, size_t *taken)
{
    static const char names[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    uint32_t unit, low;

    unit = unit_read(text, end);
    if (unit != UINT32_MAX) {
        *taken = 6;
        if (unit >= 0xD800 && unit < 0xDC00) {
            low = unit_read(text + 6, end);
            if (low >= 0xDC00 && low < 0xE000) {
                *taken = 12;
                unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
            }
        }
        return character_write(out, unit);
    }
    if (end - text >= 2) {
        for (size_t i = 0; i < sizeof names - 1; i += 2) {
            if (text[1] == names[i]) {
                *taken = 2;
                out[0] = names[i + 1];
                return 1;
            }
        }
    }
    *taken = 1;
    out[0] = text[0];
    return 1;
}

size_t faasi_json_unescape(const char **text, const char *end, char *out, size_t room)
{
    const char *from = *text;
    size_t done = 0;

    while (from < end && done < room) {
        const char *stop = end;
        size_t plain, taken, written;
        char unit[4];

        if ((size_t)(end - from) > room - done)
            stop = from + (room - done);
        plain = (size_t)(stop - from);
        if (*from != '\\') {
            const char *slash = memchr(from, '\\', plain);

            if (slash != NULL)
                plain = (size_t)(slash - from);
            memcpy(out + done, from, plain);
            done += plain;
            from += plain;
            continue;
        }
        written = escape_read(from, end, unit, &taken);
        if (written > room - done)
            break;
        memcpy(out + done, unit, written);
        done += written;
        from += taken;
    }
    *text = from;
    return done;
}

bool faasi_json_string_is(const char *text, size_t size, faas_bytes bytes)
{
    const char *end = text + size;
    const char *want = bytes.data;
    size_t left = bytes.size;

    while (text < end) {
        char piece[64];
        size_t got = faasi_json_unescape(&text, end, piece, sizeof piece);

        if (got > left || memcmp(piece, want, got) != 0)
            return false;
        want += got;
        left -= got;
    }
    return left == 0;
}
