/* SPDX-License-Identifier: MIT */
/* fold.c - Unicode simple case folding. */
#include "fold.h"

#include "fold_table.h"
#include "utf8.h"

uint32_t faasi_fold_point(uint32_t point)
{
    size_t low = 0, high = FAASI_COUNT(fold_runs);

    if (point < 0x80)
        return point - 'A' < 26 ? point + 32 : point;
    while (low < high) {
        size_t mid = (low + high) / 2;

        if (fold_runs[mid].last < point)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == FAASI_COUNT(fold_runs) || point < fold_runs[low].first ||
        (point - fold_runs[low].first) % fold_runs[low].step != 0)
        return point;
    return (uint32_t)((int32_t)point + fold_runs[low].distance);
}

static size_t point_write(char *out, uint32_t point)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xC0 | point >> 6);
        out[1] = (char)(0x80 | (point & 63));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xE0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 63));
        out[2] = (char)(0x80 | (point & 63));
        return 3;
    }
    out[0] = (char)(0xF0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 63));
    out[2] = (char)(0x80 | (point >> 6 & 63));
    out[3] = (char)(0x80 | (point & 63));
    return 4;
}

size_t faasi_fold(char *out, const char *text, size_t size)
{
    size_t used = 0, length;
    uint32_t point;

    for (size_t at = 0; at < size; at += length) {
        unsigned char byte = (unsigned char)text[at];

        if (byte < 0x80) {
            out[used++] = (char)faasi_fold_point(byte);
            length = 1;
            continue;
        }
        length = faasi_utf8_next(text + at, size - at, &point);
        if (point == FAASI_UTF8_BAD) {
            memcpy(out + used, text + at, length);
            used += length;
        } else {
            used += point_write(out + used, faasi_fold_point(point));
        }
    }
    return used;
}
