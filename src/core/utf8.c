/* SPDX-License-Identifier: MIT */
/* utf8.c - UTF-8, strictly. */
#include "utf8.h"

size_t faasi_utf8_next(const char *text, size_t size, uint32_t *point)
{
    const unsigned char *at = (const unsigned char *)text;
    unsigned char low = 0x80, high = 0xBF;
    uint32_t value;
    size_t more;

    if (at[0] < 0x80) {
        *point = at[0];
        return 1;
    }
    *point = FAASI_UTF8_BAD;
    if (at[0] < 0xC2 || at[0] > 0xF4)
        return 1;
    /* The second byte alone keeps out overlong forms, surrogates and what is too high. */
    if (at[0] == 0xE0)
        low = 0xA0;
    else if (at[0] == 0xED)
        high = 0x9F;
    else if (at[0] == 0xF0)
        low = 0x90;
    else if (at[0] == 0xF4)
        high = 0x8F;
    more = at[0] < 0xE0 ? 1 : at[0] < 0xF0 ? 2 : 3;
    value = at[0] & (0x3Fu >> more);
    for (size_t i = 1; i <= more; i++) {
        if (i == size || at[i] < low || at[i] > high)
            return i;
        value = value << 6 | (at[i] & 0x3F);
        low = 0x80;
        high = 0xBF;
    }
    *point = value;
    return more + 1;
}

bool faasi_utf8_valid(const char *text, size_t size)
{
    const char *end = text + size;
    uint32_t point;
    uint64_t word;

    while (text < end) {
        if (end - text >= (ptrdiff_t)sizeof word) {
            memcpy(&word, text, sizeof word);
            if ((word & 0x8080808080808080) == 0) {
                text += sizeof word;
                continue;
            }
        }
        text += faasi_utf8_next(text, (size_t)(end - text), &point);
        if (point == FAASI_UTF8_BAD)
            return false;
    }
    return true;
}
