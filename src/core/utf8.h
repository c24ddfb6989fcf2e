/* SPDX-License-Identifier: MIT */
/* utf8.h - UTF-8, strictly: no overlong forms, no surrogates, nothing over U+10FFFF.
 *
 * Layer: 1 structures. Includes base.h only. Pure.
 * Source: Unicode 15, table 3-7. */
#ifndef FAASI_UTF8_H
#define FAASI_UTF8_H

#include "base.h"

/* Stands for a malformed sequence where a code point is expected. */
#define FAASI_UTF8_BAD UINT32_MAX

/* Reads the code point at the start of `text`; `size` is at least 1.
 *
 * Returns how many bytes it takes. Of a malformed sequence that is what a decoder
 * replaces by one U+FFFD: its longest start that some code point begins with, or one
 * byte. */
size_t faasi_utf8_next(const char *text, size_t size, uint32_t *point);

/* Tells whether all of `text` is well-formed. */
bool faasi_utf8_valid(const char *text, size_t size);

#endif /* FAASI_UTF8_H */
