/* SPDX-License-Identifier: MIT */
/* text.h - writes text piece by piece to a callback, through a small buffer.
 *
 * Nothing here fails on its own: the first refusal of the callback sticks, the rest is
 * dropped, and faasi_text_finish() reports it. So a writer of twenty lines checks once.
 *
 * Two families. The plain ones write bytes as they are. Those named `json` write values
 * and keep the commas: a value after a value gets a comma, a value after a key or after
 * an opening bracket does not. They trust the caller to open, name and close in order.
 *
 * Layer: 1 structures. Includes base.h only.
 * Locks: none; a writer belongs to one thread. */
#ifndef FAASI_TEXT_H
#define FAASI_TEXT_H

#include "base.h"

/* The longest text of one faasi_text_printf(), plus one. */
#define FAASI_TEXT_BUFFER 512

struct faasi_text {
    faas_write *write;
    void *user;
    size_t written; /* bytes that the callback has taken */
    size_t used;    /* bytes in the buffer */
    faas_status status;
    bool comma; /* the next JSON value needs one before it */
    char buffer[FAASI_TEXT_BUFFER];
};

/* Starts a text; nothing to release. `write` is called from here on until
 * faasi_text_finish(), with pieces of any size from 1. */
void faasi_text_init(struct faasi_text *text, faas_write *write, void *user);

/* Hands over what is left in the buffer.
 *
 * @return FAAS_OK, or
 *         FAAS_ESYSTEM  the callback returned non-zero, and was not called again
 *         FAAS_EINVAL   a faasi_text_printf() was too long */
FAAS_NODISCARD faas_status faasi_text_finish(struct faasi_text *text);

/* Bytes as they are. */
void faasi_text_bytes(struct faasi_text *text, const void *data, size_t size);
void faasi_text_char(struct faasi_text *text, char byte);
void faasi_text_str(struct faasi_text *text, const char *string);

/* At most FAASI_TEXT_BUFFER - 1 bytes per call; a longer one is an error of the text.
 * Not for floating-point numbers: printf's depend on the locale. */
void faasi_text_printf(struct faasi_text *text, const char *format, ...)
    FAAS_PRINTF(2, 3);

/* Decimal numbers. A double gets the fewest of 15 to 17 digits that read back as the
 * same double, with a point in every locale; what is not finite is spelled as
 * Prometheus does: NaN, +Inf, -Inf. */
void faasi_text_uint(struct faasi_text *text, uint64_t value);
void faasi_text_int(struct faasi_text *text, int64_t value);
void faasi_text_double(struct faasi_text *text, double value);

/* Base64 with padding, without line breaks. Source: RFC 4648, section 4. */
void faasi_text_base64(struct faasi_text *text, const void *data, size_t size);

/* The JSON values. `bracket` is one of { [ and } ]. */
void faasi_text_json_open(struct faasi_text *text, char bracket);
void faasi_text_json_close(struct faasi_text *text, char bracket);
void faasi_text_json_key(struct faasi_text *text, const char *name);
void faasi_text_json_bool(struct faasi_text *text, bool value);
void faasi_text_json_null(struct faasi_text *text);
void faasi_text_json_uint(struct faasi_text *text, uint64_t value);
void faasi_text_json_int(struct faasi_text *text, int64_t value);

/* Null, unless the value is finite. */
void faasi_text_json_double(struct faasi_text *text, double value);

/* A string. Quotes, backslashes and U+0000 to U+001F are escaped, malformed UTF-8 is
 * replaced by U+FFFD as decoders do; all else stands as it is. NULL gives null. */
void faasi_text_json_str(struct faasi_text *text, const char *string);
void faasi_text_json_string(struct faasi_text *text, const char *string, size_t size);

/* Bytes as a string of base64. */
void faasi_text_json_base64(struct faasi_text *text, const void *data, size_t size);

/* Only the comma: before a value that the caller writes with the plain functions. */
void faasi_text_json_value(struct faasi_text *text);

#endif /* FAASI_TEXT_H */
