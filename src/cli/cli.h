/* SPDX-License-Identifier: MIT */
/* cli.h - what the subcommands of `faas` share: lines, files, and the way they fail.
 *
 * On the public headers only. Exit codes are grep's: 0 something matched, 1 nothing did,
 * 2 something was wrong. */
#ifndef CLI_H
#define CLI_H

#include <faas/base.h>
#include <faas/rules.h>

#include <stdio.h>

#define CLI_OK 0
#define CLI_NONE 1
#define CLI_ERROR 2

/* A subcommand; argv[0] is its name. */
typedef int cli_command(int argc, char **argv);

cli_command cli_match;
cli_command cli_explain;
cli_command cli_replay;
cli_command cli_replay_overload; /* with --overload among its arguments */

/* Lines of any length, one at a time or many. */
struct cli_lines {
    FILE *file;
    const char *name;
    char *line;
    size_t room;
    size_t number; /* of the line, or the last of many, from 1 */
    size_t begin;  /* of many: what was read and not yet given lies from here ... */
    size_t end;    /* ... to here in `line` */
    bool over;     /* likewise: the file has ended, or cannot be read */
    bool failed;
};

/* Opens a file; "-" is standard input. False, with a message, if it cannot be read. */
bool cli_lines_open(struct cli_lines *lines, const char *path);

/* Reads the next line, without its end (LF or CRLF). False at the end of the file. */
bool cli_lines_next(struct cli_lines *lines, faas_bytes *line);

/* Reads as many lines as have come, at least one and at most `most`, which stand until the
 * next call. Returns how many; 0 at the end of the file. Not for a file of which single
 * lines were read. */
size_t cli_lines_many(struct cli_lines *lines, faas_bytes *many, size_t most);

/* Closes the file. False, with a message, if reading failed before its end. */
bool cli_lines_close(struct cli_lines *lines);

/* Reads a whole file into memory for free(). False, with a message, if that fails. */
bool cli_file_read(const char *path, char **data, size_t *size);

/* The two texts of a line {"pattern": "...", "event": "..."}. */
struct cli_pair {
    faas_bytes pattern;
    faas_bytes event;
    char *memory; /* of both; for free() */
};

/* Reads such a line. Returns NULL, or what is wrong with it; then there is nothing to
 * free. */
const char *cli_pair_read(struct cli_pair *pair, faas_bytes line);

/* faas_pattern_explain() with memory for events of any size. */
faas_status cli_explanation(faas_bytes pattern, faas_bytes event, faas_explanation *why);

/* The options that match and explain have in common. */
struct cli_stream {
    const char *pattern; /* path of a file, or NULL */
    const char *events;  /* path of a file, or NULL */
    bool count;          /* --count, where it is allowed */
};

/* Reads the command line. False, with a message, if it is wrong. */
bool cli_stream_options(struct cli_stream *stream, int argc, char **argv, bool may_count);

/* Where a person is looking, says on the last line of standard error which of several
 * long runs is on: the `step`th of `count`, what it is, and how long those before it took.
 * Step 0 wipes the line. */
void cli_progress(size_t step, size_t count, const char *what, const char *where);

/* Flushes standard output. Returns `code`, or CLI_ERROR, with a message, if something
 * could not be written. */
int cli_finish(int code);

#endif /* CLI_H */
