/* SPDX-License-Identifier: MIT */
/* explain.c - `faas explain`: why a pattern does not match. */
#include "cli.h"

#include <faas/rules.h>

#include <stdlib.h>

faas_status cli_explanation(faas_bytes pattern, faas_bytes event, faas_explanation *why)
{
    faas_ruleset_options options = FAAS_RULESET_OPTIONS_INIT;
    const size_t most = (size_t)1 << 30, room = 65536;

    options.scratch_bytes =
        (uint32_t)(event.size < (most - room) / 32 ? event.size * 32 + room : most);
    return faas_pattern_explain(pattern, event, &options, why);
}

/* Prints one line. Texts may span lines; in here they do not. */
static void line_print(const char *before, const char *text)
{
    (void)fputs(before, stdout);
    for (; *text != '\0'; text++)
        (void)putchar((unsigned char)*text < ' ' ? ' ' : *text);
    (void)putchar('\n');
}

/* Explains one event and returns the exit code that it alone would give. */
static int event_explain(faas_bytes pattern, faas_bytes event)
{
    faas_explanation why;

    if (cli_explanation(pattern, event, &why) != FAAS_OK) {
        line_print("error: ", faas_error_text());
        return CLI_ERROR;
    }
    line_print("", why.text);
    return why.why == FAAS_WHY_MATCHED ? CLI_OK : CLI_NONE;
}

/* Errors outweigh matches, and those outweigh nothing. */
static int code_add(int code, int one)
{
    if (code == CLI_ERROR || one == CLI_ERROR)
        return CLI_ERROR;
    return code == CLI_OK || one == CLI_OK ? CLI_OK : CLI_NONE;
}

static int pairs_explain(void)
{
    struct cli_lines lines;
    faas_bytes line;
    int code = CLI_NONE;

    if (!cli_lines_open(&lines, "-"))
        return CLI_ERROR;
    while (cli_lines_next(&lines, &line)) {
        struct cli_pair pair;
        const char *wrong = cli_pair_read(&pair, line);

        if (wrong != NULL) {
            line_print("error: ", wrong);
            code = CLI_ERROR;
            continue;
        }
        code = code_add(code, event_explain(pair.pattern, pair.event));
        free(pair.memory);
    }
    return cli_lines_close(&lines) ? code : CLI_ERROR;
}

static int stream_explain(const struct cli_stream *stream)
{
    struct cli_lines lines;
    faas_bytes line;
    char *pattern;
    size_t size;
    int code = CLI_NONE;

    if (!cli_file_read(stream->pattern, &pattern, &size))
        return CLI_ERROR;
    if (!cli_lines_open(&lines, stream->events)) {
        free(pattern);
        return CLI_ERROR;
    }
    while (cli_lines_next(&lines, &line)) {
        if (line.size == 0) {
            line_print("error: ", "the line is empty");
            code = CLI_ERROR;
            continue;
        }
        code = code_add(code, event_explain(faas_bytes_of(pattern, size), line));
    }
    free(pattern);
    return cli_lines_close(&lines) ? code : CLI_ERROR;
}

int cli_explain(int argc, char **argv)
{
    struct cli_stream stream;

    if (!cli_stream_options(&stream, argc, argv, false))
        return CLI_ERROR;
    return cli_finish(stream.pattern == NULL ? pairs_explain() : stream_explain(&stream));
}
