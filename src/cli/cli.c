/* SPDX-License-Identifier: MIT */
/* cli.c - what the subcommands share. */
#define _POSIX_C_SOURCE 200809L // getline()

#include "cli.h"

#include <faas/clock.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static bool complain(const char *path)
{
    fprintf(stderr, "faas: %s: %s\n", path, strerror(errno));
    return false;
}

bool cli_lines_open(struct cli_lines *lines, const char *path)
{
    *lines = (struct cli_lines){.file = stdin, .name = path};
    if (strcmp(path, "-") == 0) {
        lines->name = "standard input";
        return true;
    }
    lines->file = fopen(path, "rb");
    return lines->file != NULL || complain(path);
}

bool cli_lines_next(struct cli_lines *lines, faas_bytes *line)
{
    ssize_t size = getline(&lines->line, &lines->room, lines->file);

    if (size < 0)
        return false;
    lines->number++;
    if (size > 0 && lines->line[size - 1] == '\n')
        size--;
    if (size > 0 && lines->line[size - 1] == '\r')
        size--;
    *line = faas_bytes_of(lines->line, (size_t)size);
    return true;
}

static faas_bytes line_of(const char *at, size_t size)
{
    return faas_bytes_of(at, size > 0 && at[size - 1] == '\r' ? size - 1 : size);
}

/* Makes room behind what was not yet given, and reads. */
static bool lines_fill(struct cli_lines *lines)
{
    ssize_t got;

    if (lines->begin > 0) {
        memmove(lines->line, lines->line + lines->begin, lines->end - lines->begin);
        lines->end -= lines->begin;
        lines->begin = 0;
    }
    if (lines->end == lines->room) {
        const size_t room = lines->room == 0 ? (size_t)1 << 18 : lines->room * 2;
        char *more = realloc(lines->line, room);

        if (more == NULL)
            return false;
        lines->line = more;
        lines->room = room;
    }
    do {
        got =
            read(fileno(lines->file), lines->line + lines->end, lines->room - lines->end);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return false;
    lines->end += (size_t)got;
    lines->over = got == 0;
    return true;
}

size_t cli_lines_many(struct cli_lines *lines, faas_bytes *many, size_t most)
{
    size_t count = 0;

    for (;;) {
        while (count < most && lines->begin < lines->end) {
            const char *at = lines->line + lines->begin;
            const char *end = memchr(at, '\n', lines->end - lines->begin);

            if (end == NULL)
                break;
            many[count++] = line_of(at, (size_t)(end - at));
            lines->begin += (size_t)(end - at) + 1;
        }
        if (count > 0 || lines->over)
            break;
        if (!lines_fill(lines)) {
            (void)complain(lines->name);
            lines->failed = true;
            lines->over = true;
            return 0;
        }
    }
    if (count == 0 && lines->begin < lines->end) {
        many[count++] = line_of(lines->line + lines->begin, lines->end - lines->begin);
        lines->begin = lines->end;
    }
    lines->number += count;
    return count;
}

bool cli_lines_close(struct cli_lines *lines)
{
    const bool read =
        !lines->failed && (ferror(lines->file) == 0 || complain(lines->name));

    if (lines->file != stdin)
        (void)fclose(lines->file);
    free(lines->line);
    return read;
}

bool cli_file_read(const char *path, char **data, size_t *size)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    size_t room = 0, got;
    char *more;
    bool read;

    *data = NULL;
    *size = 0;
    if (file == NULL)
        return complain(path);
    do {
        if (*size == room) {
            room = room == 0 ? 4096 : room * 2;
            more = realloc(*data, room);
            if (more == NULL)
                break;
            *data = more;
        }
        got = fread(*data + *size, 1, room - *size, file);
        *size += got;
    } while (got > 0);
    read = feof(file) != 0 || complain(path);
    if (file != stdin)
        (void)fclose(file);
    if (!read) {
        free(*data);
        *data = NULL;
    }
    return read;
}

bool cli_stream_options(struct cli_stream *stream, int argc, char **argv, bool may_count)
{
    *stream = (struct cli_stream){NULL, NULL, false};
    for (int i = 1; i < argc; i++) {
        const char **value = strcmp(argv[i], "--pattern") == 0  ? &stream->pattern
                             : strcmp(argv[i], "--events") == 0 ? &stream->events
                                                                : NULL;

        if (may_count && strcmp(argv[i], "--count") == 0) {
            stream->count = true;
        } else if (value == NULL) {
            fprintf(stderr, "faas %s: %s: unknown option; see faas --help\n", argv[0],
                    argv[i]);
            return false;
        } else if (++i == argc) {
            fprintf(stderr, "faas %s: %s wants a file\n", argv[0], argv[i - 1]);
            return false;
        } else {
            *value = argv[i];
        }
    }
    if ((stream->pattern == NULL) != (stream->events == NULL) ||
        (stream->count && stream->pattern == NULL)) {
        fprintf(stderr, "faas %s: --pattern and --events go together\n", argv[0]);
        return false;
    }
    return true;
}

void cli_progress(size_t step, size_t count, const char *what, const char *where)
{
    static uint64_t began;

    if (isatty(STDERR_FILENO) == 0)
        return;
    if (step == 0) {
        (void)fputs("\r\033[K", stderr);
        return;
    }
    if (step == 1)
        began = faas_clock_now(NULL);
    fprintf(stderr, "\r\033[K%zu of %zu, %.0f s: %s at %s ...", step, count,
            (double)(faas_clock_now(NULL) - began) / 1e9, what, where);
}

int cli_finish(int code)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return code;
    (void)complain("standard output");
    return CLI_ERROR;
}

/* --- a line of two texts --- */

struct parser {
    const char *at;
    const char *end;
    char *out;
};

static void space_skip(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\r'))
        p->at++;
}

static bool take(struct parser *p, char byte)
{
    space_skip(p);
    if (p->at == p->end || *p->at != byte)
        return false;
    p->at++;
    return true;
}

static bool hex_read(struct parser *p, uint32_t *unit)
{
    *unit = 0;
    for (int i = 0; i < 4; i++, p->at++) {
        const char *digits = "0123456789abcdef0123456789ABCDEF";
        const char *digit =
            p->at == p->end || *p->at == '\0' ? NULL : strchr(digits, *p->at);

        if (digit == NULL && p->at < p->end && *p->at >= 'A' && *p->at <= 'F')
            digit = digits + (*p->at - 'A' + 10);
        if (digit == NULL)
            return false;
        *unit = *unit * 16 + (uint32_t)(digit - digits) % 16;
    }
    return true;
}

static void point_write(struct parser *p, uint32_t point)
{
    if (point < 0x80) {
        *p->out++ = (char)point;
        return;
    }
    if (point < 0x800) {
        *p->out++ = (char)(0xC0 | point >> 6);
    } else {
        if (point < 0x10000) {
            *p->out++ = (char)(0xE0 | point >> 12);
        } else {
            *p->out++ = (char)(0xF0 | point >> 18);
            *p->out++ = (char)(0x80 | (point >> 12 & 63));
        }
        *p->out++ = (char)(0x80 | (point >> 6 & 63));
    }
    *p->out++ = (char)(0x80 | (point & 63));
}

static const char *escape_read(struct parser *p)
{
    static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    const char *letter;
    struct parser pair;
    uint32_t unit, low;

    if (p->at == p->end || *p->at == '\0')
        return "an escape is cut short";
    if (*p->at != 'u') {
        letter = strchr(letters, *p->at++);
        if (letter == NULL)
            return "an unknown escape";
        *p->out++ = bytes[letter - letters];
        return NULL;
    }
    p->at++;
    if (!hex_read(p, &unit))
        return "\\u without four hexadecimal digits";
    pair = *p;
    if (unit >> 10 == 0xD800 >> 10 && p->end - p->at >= 6 && pair.at[0] == '\\' &&
        pair.at[1] == 'u') {
        pair.at += 2;
        if (hex_read(&pair, &low) && low >> 10 == 0xDC00 >> 10) {
            unit = 0x10000 + ((unit & 0x3FF) << 10 | (low & 0x3FF));
            p->at = pair.at;
        }
    }
    point_write(p, unit);
    return NULL;
}

static const char *string_read(struct parser *p, faas_bytes *text)
{
    const char *start = p->out;

    if (!take(p, '"'))
        return "expected a string";
    while (p->at < p->end && *p->at != '"') {
        if ((unsigned char)*p->at < ' ')
            return "a control character in a string";
        if (*p->at == '\\') {
            const char *wrong;

            p->at++;
            wrong = escape_read(p);
            if (wrong != NULL)
                return wrong;
        } else {
            *p->out++ = *p->at++;
        }
    }
    if (p->at == p->end)
        return "a string is cut short";
    p->at++;
    *text = faas_bytes_of(start, (size_t)(p->out - start));
    return NULL;
}

static bool is(faas_bytes text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

static const char *members_read(struct parser *p, struct cli_pair *pair)
{
    const char *wrong;
    faas_bytes key, value;

    if (!take(p, '{'))
        return "expected an object with \"pattern\" and \"event\"";
    do {
        space_skip(p);
        wrong = string_read(p, &key);
        if (wrong != NULL)
            return wrong;
        if (!take(p, ':'))
            return "expected ':'";
        wrong = string_read(p, &value);
        if (wrong != NULL)
            return wrong;
        if (is(key, "pattern"))
            pair->pattern = value;
        else if (is(key, "event"))
            pair->event = value;
        else
            return "a key other than \"pattern\" and \"event\"";
    } while (take(p, ','));
    if (!take(p, '}'))
        return "expected ',' or '}'";
    space_skip(p);
    if (p->at < p->end)
        return "text after the closing brace";
    if (pair->pattern.data == NULL)
        return "no \"pattern\"";
    return pair->event.data == NULL ? "no \"event\"" : NULL;
}

const char *cli_pair_read(struct cli_pair *pair, faas_bytes line)
{
    struct parser p;
    const char *wrong;

    memset(pair, 0, sizeof *pair);
    p.at = line.data;
    p.end = p.at + line.size;
    space_skip(&p);
    if (p.at == p.end)
        return "the line is empty";
    pair->memory = malloc(line.size);
    if (pair->memory == NULL)
        return "no memory";
    p.out = pair->memory;
    wrong = members_read(&p, pair);
    if (wrong != NULL) {
        free(pair->memory);
        pair->memory = NULL;
    }
    return wrong;
}
