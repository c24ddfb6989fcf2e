/* SPDX-License-Identifier: MIT */
/* ruleset_explain.c - why a pattern matches an event or not. */
#include "grace.h"
#include "mem.h"
#include "ruleset_match.h"
#include "text.h"

#include <stdio.h>

/* The most of a pattern or of an event that is shown in a sentence. */
#define CLIP 120

/* A leaf that failed, or none; `rank` tells how far its sub-rule got. */
struct failure {
    faas_why why;
    uint32_t leaf;
    uint32_t rank;
};

/* Keeps what fits into a buffer, terminated. */
struct buffer {
    char *at;
    size_t room;
};

static int buffer_write(const char *text, size_t size, void *user)
{
    struct buffer *buffer = user;

    if (size > buffer->room - 1)
        size = buffer->room - 1;
    memcpy(buffer->at, text, size);
    buffer->at += size;
    buffer->room -= size;
    *buffer->at = '\0';
    return 0;
}

static void buffer_text(char *out, size_t room, struct faasi_text *text,
                        struct buffer *buffer)
{
    out[0] = '\0';
    buffer->at = out;
    buffer->room = room;
    faasi_text_init(text, buffer_write, buffer);
}

static void text_end(struct faasi_text *text)
{
    faas_status status = faasi_text_finish(text);

    assert(status == FAAS_OK); // the buffer takes everything, and drops what is too much
    (void)status;
}

static void path_write(char *out, size_t room, const struct faasi_leaf *leaf)
{
    struct buffer buffer;
    struct faasi_text text;

    buffer_text(out, room, &text, &buffer);
    for (uint32_t i = 0; i < leaf->path_count; i++) {
        if (i > 0)
            faasi_text_char(&text, '.');
        faasi_text_bytes(&text, leaf->path[i].data, leaf->path[i].size);
    }
    text_end(&text);
}

static void clip_write(struct faasi_text *text, faas_bytes from, size_t at, size_t size)
{
    faasi_text_bytes(text, (const char *)from.data + at, size < CLIP ? size : CLIP);
    if (size > CLIP)
        faasi_text_str(text, "...");
}

static void sentence_write(faas_explanation *out, faas_bytes pattern, faas_bytes event)
{
    struct buffer buffer;
    struct faasi_text text;

    buffer_text(out->text, sizeof out->text, &text, &buffer);
    if (out->why == FAAS_WHY_MATCHED) {
        faasi_text_str(&text, "the event matches");
        text_end(&text);
        return;
    }
    faasi_text_str(&text, out->path);
    faasi_text_str(&text, ": asked for ");
    clip_write(&text, pattern, out->asked_at, out->asked_size);
    if (out->why == FAAS_WHY_MISSING) {
        faasi_text_str(&text, "; there is no value");
    } else if (out->why == FAAS_WHY_APART) {
        faasi_text_str(&text,
                       "; there is such a value, but not in the array element that "
                       "the fields before it are in");
    } else {
        faasi_text_str(&text, "; there is ");
        clip_write(&text, event, out->found_at, out->found_size);
        if (out->value_count > 1)
            faasi_text_printf(&text, " and %u more", out->value_count - 1);
    }
    text_end(&text);
}

/* The first leaf of a sub-rule that fails. If each holds, but not all together, it is the
 * first one that does not go with those before it. */
static struct failure sub_failure(struct faasi_matcher *m,
                                  const struct faasi_rule_sub *sub,
                                  const struct faasi_pattern *pattern)
{
    struct failure failure = {FAAS_WHY_MATCHED, 0, 0};

    for (uint32_t i = 0; i < sub->leaf_count; i++) {
        const struct faasi_rule_leaf *leaf = &sub->rule->leaves[sub->leaves[i]];

        if (faasi_leaf_holds(m, leaf))
            continue;
        failure.leaf = sub->leaves[i];
        failure.rank = pattern->leaves[failure.leaf].rank;
        failure.why = FAAS_WHY_VALUE;
        if (faasi_matcher_first(m, leaf->field) == 0)
            failure.why = FAAS_WHY_MISSING;
        else if (leaf->cond_count == 1 && leaf->absent)
            failure.why = FAAS_WHY_PRESENT;
        return failure;
    }
    for (uint32_t i = 2; i <= sub->leaf_count; i++) {
        struct faasi_rule_sub start = *sub;

        start.leaf_count = i;
        if (faasi_sub_agrees(m, &start))
            continue;
        failure.why = FAAS_WHY_APART;
        failure.leaf = sub->leaves[i - 1];
        failure.rank = UINT32_MAX; // further than this no sub-rule gets
        break;
    }
    return failure;
}

static void values_describe(faas_explanation *out, struct faasi_matcher *m,
                            const struct faasi_rule_leaf *leaf)
{
    uint32_t value = faasi_matcher_first(m, leaf->field);

    if (value != 0) {
        const struct faasi_json_value *first = &m->values[value - 1];
        const size_t quote = first->kind <= FAASI_JSON_ESCAPED;

        out->found_at = first->begin - quote;
        out->found_size = first->end - first->begin + 2 * quote;
    }
    for (; value != 0; value = faasi_matcher_next(m, value))
        out->value_count++;
}

static faas_status rule_explain(faas_explanation *out, struct faasi_matcher *m,
                                const struct faasi_rule *rule,
                                const struct faasi_pattern *pattern)
{
    struct failure worst = {FAAS_WHY_MISSING, 0, 0};
    bool failed = true;

    for (uint32_t i = 0; i < rule->sub_count && failed; i++) {
        struct failure one = sub_failure(m, &rule->subs[i], pattern);

        failed = one.why != FAAS_WHY_MATCHED;
        if (i == 0 || !failed || one.rank > worst.rank)
            worst = one;
    }
    if (m->status != FAAS_OK)
        return faasi_fail(m->status, "event: needs more memory than a match may use");
    out->why = worst.why;
    if (!failed)
        return FAAS_OK;
    out->asked_at = pattern->leaves[worst.leaf].at;
    out->asked_size = pattern->leaves[worst.leaf].end - out->asked_at;
    path_write(out->path, sizeof out->path, &pattern->leaves[worst.leaf]);
    values_describe(out, m, &rule->leaves[worst.leaf]);
    return FAAS_OK;
}

static faas_status event_explain(faas_explanation *out, faas_ruleset *set,
                                 faas_bytes event, const struct faasi_pattern *pattern,
                                 uint64_t *memory)
{
    struct faasi_json_walk walk;
    struct faasi_matcher m;
    faas_status status;

    memset(&m, 0, sizeof m);
    m.set = set;
    m.text = event.data;
    m.scratch.set = set;
    m.scratch.at = (char *)memory;
    m.scratch.end = m.scratch.at + set->scratch_bytes;
    m.scratch.block = memory; // there is no other
    memory = faasi_scratch_take(&m.scratch, faasi_json_index_bytes(event.size));
    if (memory == NULL)
        return faasi_fail(FAAS_EINVAL,
                          "event: %zu bytes need more than %u bytes of scratch",
                          event.size, set->scratch_bytes);
    status = faasi_json_check(event, memory, NULL);
    if (status != FAAS_OK) {
        size_t count;

        return faas_ruleset_match(set, event, 0, NULL, 0, &count); // says why
    }
    faasi_matcher_enter(&m);
    m.status = faasi_matcher_walk(&m, &walk, event, memory);
    if (m.status == FAAS_OK)
        status = rule_explain(out, &m, faasi_ruleset_find(set, "", 0), pattern);
    else
        status =
            faasi_fail(m.status, "event: %zu bytes need more than %u bytes of scratch",
                       event.size, set->scratch_bytes);
    faasi_read_leave();
    return status;
}

faas_status faas_pattern_explain(faas_bytes pattern, faas_bytes event,
                                 const faas_ruleset_options *options,
                                 faas_explanation *out)
{
    struct faasi_pattern *compiled;
    uint64_t *memory;
    faas_ruleset *set;
    size_t error_at;
    faas_status status;

    memset(out, 0, sizeof *out);
    status = faas_ruleset_open(&set, options);
    if (status != FAAS_OK)
        return status;
    status = faasi_pattern_compile(&compiled, pattern.data, pattern.size, &set->limits,
                                   set->alloc, &error_at);
    if (status != FAAS_OK) {
        faas_ruleset_close(set);
        return status;
    }
    memory = faasi_alloc(set->alloc, set->scratch_bytes);
    status = memory == NULL ? faasi_fail(FAAS_ENOMEM, "explain: no memory for %u bytes",
                                         set->scratch_bytes)
                            : faas_ruleset_put(set, "", pattern, NULL);
    if (status == FAAS_OK)
        status = event_explain(out, set, event, compiled, memory);
    if (status == FAAS_OK)
        sentence_write(out, pattern, event);
    else
        memset(out, 0, sizeof *out);
    faasi_free(set->alloc, memory, set->scratch_bytes);
    faasi_pattern_free(compiled, set->alloc);
    faas_ruleset_close(set);
    return status;
}
