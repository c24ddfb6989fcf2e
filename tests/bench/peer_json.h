/* SPDX-License-Identifier: MIT */
/* peer_json.h - parsers of JSON beside the scanner. Each reads a text and returns whether it
 * is JSON. */
#ifndef PEER_JSON_H
#define PEER_JSON_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* yajl: calls back for nothing. */
bool peer_yajl(const char *text, size_t size);

/* simdjson's document tree. So many bytes behind the text can be read. */
enum { PEER_SIMDJSON_BEHIND = 64 };
bool peer_simdjson(const char *text, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* PEER_JSON_H */
