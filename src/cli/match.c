/* SPDX-License-Identifier: MIT */
/* match.c - `faas match`: which events a pattern matches. */
#include "cli.h"

#include <faas/rules.h>

#include <stdlib.h>

/* One pattern and one event per line; one answer per line. */
static int pairs_match(void)
{
    struct cli_lines lines;
    faas_bytes line;
    int code = CLI_NONE;

    if (!cli_lines_open(&lines, "-"))
        return CLI_ERROR;
    while (cli_lines_next(&lines, &line)) {
        struct cli_pair pair;
        const char *wrong = cli_pair_read(&pair, line);
        faas_explanation why;

        if (wrong == NULL && cli_explanation(pair.pattern, pair.event, &why) != FAAS_OK)
            wrong = faas_error_text();
        if (wrong != NULL)
            printf("error: %s\n", wrong);
        else
            puts(why.why == FAAS_WHY_MATCHED ? "true" : "false");
        if (wrong != NULL)
            code = CLI_ERROR;
        else if (why.why == FAAS_WHY_MATCHED && code == CLI_NONE)
            code = CLI_OK;
        free(pair.memory);
    }
    return cli_lines_close(&lines) ? code : CLI_ERROR;
}

#define LINES_MAX 256

struct filter {
    struct cli_lines lines;
    faas_bytes many[LINES_MAX];
    size_t before; /* lines before these */
    size_t matched;
    bool count;
    bool failed;
};

static void line_take(size_t event, faas_status status, const faas_match *matches,
                      size_t count, void *user)
{
    struct filter *filter = user;
    const faas_bytes line = filter->many[event];

    (void)matches;
    if (status != FAAS_OK) {
        fprintf(stderr, "%s:%zu: error: %s\n", filter->lines.name,
                filter->before + event + 1,
                line.size == 0 ? "the line is empty" : faas_error_text());
        filter->failed = true;
    } else if (count > 0) {
        filter->matched++;
        if (!filter->count) {
            (void)fwrite(line.data, 1, line.size, stdout);
            (void)putchar('\n');
        }
    }
}

static int events_filter(faas_ruleset *set, const struct cli_stream *stream)
{
    struct filter filter = {.count = stream->count};
    size_t count;

    if (!cli_lines_open(&filter.lines, stream->events))
        return CLI_ERROR;
    while ((count = cli_lines_many(&filter.lines, filter.many, LINES_MAX)) > 0) {
        if (faas_ruleset_match_batch(set, filter.many, count, 0, NULL, 0, line_take,
                                     &filter) != FAAS_OK)
            filter.failed = true; // without flags there is nothing to refuse
        filter.before += count;
    }
    if (stream->count)
        printf("%zu\n", filter.matched);
    if (!cli_lines_close(&filter.lines) || filter.failed)
        return CLI_ERROR;
    return filter.matched > 0 ? CLI_OK : CLI_NONE;
}

static int stream_match(const struct cli_stream *stream)
{
    char *pattern;
    size_t size;
    faas_ruleset *set;
    faas_ruleset_options options = FAAS_RULESET_OPTIONS_INIT;
    int code = CLI_ERROR;

    if (!cli_file_read(stream->pattern, &pattern, &size))
        return CLI_ERROR;
    options.scratch_bytes = 1u << 30; // lines of any length; untouched pages cost nothing
    if (faas_ruleset_open(&set, &options) == FAAS_OK &&
        faas_ruleset_put(set, "pattern", faas_bytes_of(pattern, size), NULL) == FAAS_OK)
        code = events_filter(set, stream);
    else
        fprintf(stderr, "faas match: %s: %s\n", stream->pattern, faas_error_text());
    faas_ruleset_close(set);
    free(pattern);
    return code;
}

int cli_match(int argc, char **argv)
{
    struct cli_stream stream;

    if (!cli_stream_options(&stream, argc, argv, true))
        return CLI_ERROR;
    return cli_finish(stream.pattern == NULL ? pairs_match() : stream_match(&stream));
}
