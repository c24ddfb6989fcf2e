/* SPDX-License-Identifier: MIT */
/* Event patterns: any text is either refused at an offset inside it, or becomes rules
 * that say of every event what the naive matcher says.
 *
 * Input: a pattern, a new line, an event. Or, after a first byte `!`, bytes out of which
 * both are made. */
#include "fuzz.h"

#include "naive_match.h"
#include "rule_maker.h"

#include <faas/rules.h>

static void explanation_check(faas_bytes pattern, faas_bytes event,
                              const faas_ruleset_options *options, bool matched)
{
    faas_explanation why;

    if (faas_pattern_explain(pattern, event, options, &why) != FAAS_OK)
        return;
    REQUIRE((why.why == FAAS_WHY_MATCHED) == matched);
    REQUIRE(why.asked_at + why.asked_size <= pattern.size);
    REQUIRE(why.found_at + why.found_size <= event.size);
    REQUIRE(strlen(why.text) < sizeof why.text && strlen(why.path) < sizeof why.path);
}

static void pair_check(faas_bytes pattern, faas_bytes event)
{
    faas_ruleset_options options = FAAS_RULESET_OPTIONS_INIT;
    enum naive_answer answer =
        naive_match(pattern.data, pattern.size, event.data, event.size);
    faas_ruleset *set;
    size_t offset, count;
    faas_status status;
    faas_match match;

    options.depth_max = 1000;
    options.scratch_bytes = 1u << 20;
    status = faas_pattern_check(pattern, &options, &offset);
    REQUIRE(offset <= pattern.size);
    if (status != FAAS_OK) {
        REQUIRE(status == FAAS_ESYNTAX || status == FAAS_EINVAL);
        REQUIRE(answer == NAIVE_BAD_PATTERN || strstr(faas_error_text(), "more than") ||
                strstr(faas_error_text(), "deeper"));
        return;
    }
    REQUIRE(answer != NAIVE_BAD_PATTERN);
    REQUIRE(faas_ruleset_open(&set, &options) == FAAS_OK);
    REQUIRE(faas_ruleset_put(set, "rule", pattern, &match) == FAAS_OK);
    status = faas_ruleset_match(set, event, 0, &match, 1, &count);
    if (status == FAAS_OK) {
        REQUIRE(answer != NAIVE_BAD_EVENT);
        REQUIRE(count <= 1 && (count == 0 || match.user == &match));
        if (answer != NAIVE_TOO_LONG)
            REQUIRE(count == (answer == NAIVE_YES));
        explanation_check(pattern, event, &options, count == 1);
    } else if (status == FAAS_ESYNTAX) {
        REQUIRE(answer == NAIVE_BAD_EVENT);
    } else {
        REQUIRE(status == FAAS_EINVAL);
    }
    (void)!faas_ruleset_match(set, event, FAAS_EVENT_TRUSTED, &match, 1, &count);
    faas_ruleset_close(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct maker pattern, event;
    const char *text = (const char *)data, *line;

    if (size > 0 && data[0] == '!') {
        pattern = (struct maker){.bytes = data + 1, .size = size - 1};
        maker_pattern(&pattern);
        event = (struct maker){.bytes = data + 1,
                               .size = size - 1,
                               .at = pattern.at,
                               .narrow = pattern.narrow};
        maker_event(&event);
        pair_check(faas_bytes_of(pattern.text, pattern.used),
                   faas_bytes_of(event.text, event.used));
    } else {
        line = size == 0 ? NULL : memchr(text, '\n', size);
        if (line == NULL)
            pair_check(faas_bytes_of(text, size), faas_str("{}"));
        else
            pair_check(faas_bytes_of(text, (size_t)(line - text)),
                       faas_bytes_of(line + 1, size - (size_t)(line - text) - 1));
    }
    naive_free_all();
    return 0;
}
