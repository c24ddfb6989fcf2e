/* SPDX-License-Identifier: MIT */
/* peer_simdjson.cpp - simdjson. */
#include "peer_json.h"

#include <simdjson.h>

static_assert(PEER_SIMDJSON_BEHIND >= simdjson::SIMDJSON_PADDING, "it reads further");

bool peer_simdjson(const char *text, size_t size)
{
    static simdjson::dom::parser parser;

    return parser.parse(text, size, false).error() == simdjson::SUCCESS;
}
