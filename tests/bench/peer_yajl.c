/* SPDX-License-Identifier: MIT */
/* peer_yajl.c - yajl. */
#include "peer_json.h"

#include <yajl/yajl_parse.h>

bool peer_yajl(const char *text, size_t size)
{
    static const yajl_callbacks none;
    yajl_handle parser = yajl_alloc(&none, NULL, NULL);
    bool is_json =
        parser != NULL &&
        yajl_parse(parser, (const unsigned char *)text, size) == yajl_status_ok &&
        yajl_complete_parse(parser) == yajl_status_ok;

    if (parser != NULL)
        yajl_free(parser);
    return is_json;
}
