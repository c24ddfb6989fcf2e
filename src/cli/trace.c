/* SPDX-License-Identifier: MIT */
/* trace.c - reads recorded traffic from files. */
#include "trace.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum { LINE_MAX_BYTES = 65536, COLUMNS_MAX = 64, PATH_MAX_BYTES = 4096 };

/* A hundred years. */
#define SECONDS_MAX 3.2e9
#define MEGABYTES_MAX 1e9

static bool fail(struct trace *trace, const char *format, ...) FAAS_PRINTF(2, 3);

static bool fail(struct trace *trace, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(trace->error, sizeof trace->error, format, args);
    va_end(args);
    return false;
}

void trace_free(struct trace *trace)
{
    free(trace->functions);
    free(trace->calls);
    trace->functions = NULL;
    trace->calls = NULL;
}

/* Makes room for one more element. */
static bool room_for_one(struct trace *trace, void *array, size_t count, size_t *room,
                         size_t size)
{
    void *grown;

    if (count < *room)
        return true;
    *room = *room == 0 ? 1024 : *room * 2;
    memcpy(&grown, array, sizeof grown);
    grown = realloc(grown, *room * size);
    if (grown == NULL)
        return fail(trace, "no memory for %zu records", *room);
    memcpy(array, &grown, sizeof grown);
    return true;
}

/* ---- lines of a CSV ---- */

struct csv {
    struct trace *trace;
    const char *path;
    gzFile file;
    char *line;
    size_t number;
    char *fields[COLUMNS_MAX];
    size_t count;
};

static bool csv_open(struct csv *csv, struct trace *trace, const char *path)
{
    *csv = (struct csv){.trace = trace, .path = path};
    csv->line = malloc(LINE_MAX_BYTES);
    if (csv->line == NULL)
        return fail(trace, "no memory for a line");
    errno = 0;
    csv->file = gzopen(path, "rb");
    if (csv->file == NULL)
        return fail(trace, "%s: %s", path, strerror(errno == 0 ? ENOMEM : errno));
    return true;
}

static void csv_close(struct csv *csv)
{
    if (csv->file != NULL)
        (void)gzclose(csv->file);
    free(csv->line);
}

/* Takes the quotes off a field, in place: from it to `*end`, which is left at the comma
 * behind it or at the end of the line. */
static bool field_unquote(char *field, char **end)
{
    char *from = field + 1, *to = field;

    for (; *from != '\0'; *to++ = *from++) {
        if (*from != '"')
            continue;
        if (from[1] == '"')
            from++;
        else
            break;
    }
    if (*from != '"' || (from[1] != ',' && from[1] != '\0'))
        return false;
    *end = from + 1;
    *to = '\0'; // not at *end: the quotes took two places
    return true;
}

/* Reads a line and cuts it at its commas; `*end` at the end of the file. */
static bool csv_next(struct csv *csv, bool *end)
{
    char *at = csv->line;
    size_t length;
    int error = Z_OK;

    csv->count = 0;
    *end = gzgets(csv->file, csv->line, LINE_MAX_BYTES) == NULL;
    csv->number++;
    if (*end) {
        const char *text = gzerror(csv->file, &error);

        return error == Z_OK || error == Z_STREAM_END ||
               fail(csv->trace, "%s:%zu: %s", csv->path, csv->number, text);
    }
    length = strlen(at);
    if (length + 1 >= LINE_MAX_BYTES)
        return fail(csv->trace, "%s:%zu: the line is too long", csv->path, csv->number);
    while (length > 0 && (at[length - 1] == '\n' || at[length - 1] == '\r'))
        at[--length] = '\0';
    while (at != NULL && csv->count < COLUMNS_MAX) {
        csv->fields[csv->count++] = at;
        if (*at == '"' && !field_unquote(at, &at))
            return fail(csv->trace, "%s:%zu: a quote is not closed where a field ends",
                        csv->path, csv->number);
        at = strchr(at, ',');
        if (at != NULL)
            *at++ = '\0';
    }
    return true;
}

/* Finds columns by their names in the first line. */
static bool csv_columns(struct csv *csv, const char *const *names, size_t count,
                        size_t *columns)
{
    bool end;

    if (!csv_next(csv, &end))
        return false;
    if (end)
        return fail(csv->trace, "%s: the file is empty", csv->path);
    for (size_t i = 0; i < count; i++) {
        size_t column = 0;

        while (column < csv->count && strcmp(csv->fields[column], names[i]) != 0)
            column++;
        if (column == csv->count)
            return fail(csv->trace, "%s:1: there is no column %s", csv->path, names[i]);
        columns[i] = column;
    }
    return true;
}

/* A number from 0 to `most`; an empty field gives -1 if it may be `empty`. */
static bool csv_number(struct csv *csv, const char *name, size_t column, double most,
                       bool empty, double *number)
{
    const char *text = column < csv->count ? csv->fields[column] : "";
    char *after;

    *number = -1;
    if (*text == '\0' && empty)
        return true;
    *number = strtod(text, &after);
    if (after == text || *after != '\0' || isnan(*number))
        return fail(csv->trace, "%s:%zu: %s: \"%.40s\" is no number", csv->path,
                    csv->number, name, text);
    if (*number < 0 || *number > most)
        return fail(csv->trace, "%s:%zu: %s: %.40s is out of range", csv->path,
                    csv->number, name, text);
    return true;
}

static uint64_t to_ns(double seconds)
{
    return (uint64_t)(seconds * 1e9 + 0.5);
}

static uint64_t to_bytes(double megabytes)
{
    return (uint64_t)(megabytes * 1048576 + 0.5);
}

/* ---- a pair of tables ---- */

/* Reads the functions; `*runs` gets what their calls take. */
static bool read_functions(struct trace *trace, struct csv *csv, const char *init,
                           uint64_t **runs)
{
    const char *names[3] = {"mem_mb", "exec_s", init};
    size_t columns[3], room = 0, runs_room = 0;

    if (!csv_columns(csv, names, 3, columns))
        return false;
    for (;;) {
        size_t count = trace->trace.function_count;
        double mem, run, cold;
        bool end;

        if (!csv_next(csv, &end))
            return false;
        if (end)
            break;
        if (!csv_number(csv, names[0], columns[0], MEGABYTES_MAX, false, &mem) ||
            !csv_number(csv, names[1], columns[1], SECONDS_MAX, false, &run) ||
            !csv_number(csv, names[2], columns[2], SECONDS_MAX, false, &cold) ||
            !room_for_one(trace, &trace->functions, count, &room,
                          sizeof *trace->functions) ||
            !room_for_one(trace, runs, count, &runs_room, sizeof **runs))
            return false;
        trace->functions[count] =
            (faas_trace_function){.memory_bytes = to_bytes(mem), .init_ns = to_ns(cold)};
        (*runs)[count] = to_ns(run);
        trace->trace.function_count++;
    }
    return trace->trace.function_count > 0 ||
           fail(trace, "%s: there are no functions", csv->path);
}

/* Reads as many bytes as `size` says, into memory for free(). The memory grows as they
 * come: a file of few bytes may say that it has many. */
static unsigned char *read_bytes(struct trace *trace, gzFile file, const char *path,
                                 size_t size)
{
    unsigned char *bytes = NULL;
    size_t got = 0, room = 0;

    while (got < size) {
        unsigned char *grown = bytes;
        size_t left;
        int more;

        if (got == room) {
            room = room == 0 ? 1u << 20 : room * 2;
            room = room < size ? room : size;
            grown = realloc(bytes, room);
        }
        if (grown == NULL) {
            (void)fail(trace, "no memory for %zu bytes of %s", room, path);
            break;
        }
        bytes = grown;
        left = room - got;
        more = gzread(file, bytes + got, left > 1u << 20 ? 1u << 20 : (unsigned)left);
        if (more <= 0) {
            (void)fail(trace, "%s: it ends %zu bytes too early", path, size - got);
            break;
        }
        got += (size_t)more;
    }
    if (got == size)
        return bytes;
    free(bytes);
    return NULL;
}

/* Little-endian, `size` bytes each. */
static uint32_t word_at(const unsigned char *words, size_t place, size_t size)
{
    uint32_t word = 0;

    for (size_t i = size; i-- > 0;)
        word = word << 8 | words[place * size + i];
    return word;
}

static bool calls_settle(struct trace *trace, const char *path, const uint64_t *runs,
                         const unsigned char *times, const unsigned char *functions,
                         size_t count)
{
    uint64_t at = 0;

    trace->calls = calloc(count, sizeof *trace->calls);
    if (trace->calls == NULL)
        return fail(trace, "no memory for %zu arrivals", count);
    for (size_t i = 0; i < count; i++) {
        uint32_t function = word_at(functions, i, 2);

        at += (uint64_t)word_at(times, i, 4) * 1000;
        if (function >= trace->trace.function_count)
            return fail(trace, "%s: arrival %zu is of function %u of %zu", path, i,
                        function, trace->trace.function_count);
        trace->calls[i] = (faas_trace_call){
            .at_ns = at, .run_ns = runs[function], .function = function};
    }
    trace->trace.call_count = count;
    return true;
}

static bool read_calls(struct trace *trace, gzFile file, const char *path,
                       const uint64_t *runs)
{
    unsigned char *head = read_bytes(trace, file, path, 8), *times, *functions;
    size_t function_count, count;
    bool done;

    if (head == NULL)
        return false;
    function_count = word_at(head, 0, 4);
    count = word_at(head, 1, 4);
    free(head);
    if (function_count != trace->trace.function_count || count == 0)
        return fail(trace,
                    "%s: it says %zu functions and %zu arrivals; the table has %zu", path,
                    function_count, count, trace->trace.function_count);
    if (count > INT32_MAX)
        return fail(trace, "%s: %zu arrivals are too many", path, count);
    times = read_bytes(trace, file, path, count * 4);
    functions = times == NULL ? NULL : read_bytes(trace, file, path, count * 2);
    done = functions != NULL && calls_settle(trace, path, runs, times, functions, count);
    free(times);
    free(functions);
    return done;
}

static bool read_tables(struct trace *trace, const char *functions, const char *arrivals,
                        enum trace_init init)
{
    uint64_t *runs = NULL;
    struct csv csv;
    gzFile file = NULL;
    bool done;

    done = csv_open(&csv, trace, functions) &&
           read_functions(trace, &csv, init == TRACE_INIT_A ? "init_a_s" : "init_b_s",
                          &runs);
    csv_close(&csv);
    if (done) {
        errno = 0;
        file = gzopen(arrivals, "rb");
        done = file != NULL ||
               fail(trace, "%s: %s", arrivals, strerror(errno == 0 ? ENOMEM : errno));
    }
    if (done) {
        (void)gzbuffer(file, 1u << 18);
        done = read_calls(trace, file, arrivals, runs);
    }
    if (file != NULL)
        (void)gzclose(file);
    free(runs);
    return done;
}

/* ---- a log of calls ---- */

struct name {
    char *text;
    double memory, init; /* sums of what is known, in MB and seconds */
    uint32_t memory_count, init_count;
};

struct names {
    struct name *names;
    uint32_t *places; /* a hash table of numbers + 1; its size is a power of two */
    size_t count, room, place_count;
};

static size_t name_hash(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return (size_t)(hash ^ hash >> 32);
}

static uint32_t *name_place(const struct names *names, const char *text)
{
    size_t mask = names->place_count - 1, at = name_hash(text) & mask;

    while (names->places[at] != 0 &&
           strcmp(names->names[names->places[at] - 1].text, text) != 0)
        at = (at + 1) & mask;
    return &names->places[at];
}

static bool names_widen(struct trace *trace, struct names *names)
{
    size_t count = names->place_count == 0 ? 256 : names->place_count * 2;
    uint32_t *places = calloc(count, sizeof *places);

    if (places == NULL)
        return fail(trace, "no memory for %zu names", count);
    free(names->places);
    names->places = places;
    names->place_count = count;
    for (size_t i = 0; i < names->count; i++)
        *name_place(names, names->names[i].text) = (uint32_t)i + 1;
    return true;
}

static bool names_find(struct trace *trace, struct names *names, const char *text,
                       uint32_t *number)
{
    uint32_t *place;
    size_t size = strlen(text) + 1;

    if (names->count * 2 >= names->place_count && !names_widen(trace, names))
        return false;
    place = name_place(names, text);
    if (*place == 0) {
        struct name *name;

        if (!room_for_one(trace, &names->names, names->count, &names->room,
                          sizeof *names->names))
            return false;
        name = &names->names[names->count];
        *name = (struct name){.text = malloc(size)};
        if (name->text == NULL)
            return fail(trace, "no memory for a name");
        memcpy(name->text, text, size);
        *place = (uint32_t)++names->count;
    }
    *number = *place - 1;
    return true;
}

static bool read_call(struct trace *trace, struct csv *csv, const size_t *columns,
                      const char *const *columns_names, struct names *names,
                      faas_trace_call *call)
{
    const char *text = columns[1] < csv->count ? csv->fields[columns[1]] : "";
    double at, run, memory, init;
    struct name *name;
    uint32_t number = 0;

    if (*text == '\0')
        return fail(trace, "%s:%zu: the function has no name", csv->path, csv->number);
    if (!csv_number(csv, columns_names[0], columns[0], SECONDS_MAX * 1e3, false, &at) ||
        !csv_number(csv, columns_names[2], columns[2], SECONDS_MAX * 1e3, false, &run) ||
        !csv_number(csv, columns_names[3], columns[3], MEGABYTES_MAX, true, &memory) ||
        !csv_number(csv, columns_names[4], columns[4], SECONDS_MAX * 1e3, true, &init) ||
        !names_find(trace, names, text, &number))
        return false;
    name = &names->names[number];
    if (memory > 0) {
        name->memory += memory;
        name->memory_count++;
    }
    if (init > 0) {
        name->init += init / 1e3;
        name->init_count++;
    }
    *call = (faas_trace_call){
        .at_ns = to_ns(at / 1e3), .run_ns = to_ns(run / 1e3), .function = number};
    return true;
}

/* By arrival; a log is written when calls end. Equal ones stay as they were: `reserved`
 * holds their line meanwhile. */
static int calls_order(const void *a, const void *b)
{
    const faas_trace_call *one = a, *other = b;

    if (one->at_ns != other->at_ns)
        return one->at_ns < other->at_ns ? -1 : 1;
    return one->reserved < other->reserved ? -1 : 1;
}

/* What the names' sums come to. */
static bool names_settle(struct trace *trace, const struct names *names)
{
    trace->functions = calloc(names->count, sizeof *trace->functions);
    if (trace->functions == NULL)
        return fail(trace, "no memory for %zu functions", names->count);
    trace->trace.function_count = names->count;
    for (size_t i = 0; i < names->count; i++) {
        const struct name *name = &names->names[i];

        if (name->memory_count > 0)
            trace->functions[i].memory_bytes =
                to_bytes(name->memory / (double)name->memory_count);
        if (name->init_count > 0)
            trace->functions[i].init_ns = to_ns(name->init / (double)name->init_count);
    }
    return true;
}

static bool read_log(struct trace *trace, struct csv *csv, struct names *names)
{
    static const char *const columns_names[5] = {"time_ms", "function", "duration_ms",
                                                 "memory_mb", "init_ms"};
    size_t columns[5], count = 0, room = 0;

    if (!csv_columns(csv, columns_names, 5, columns))
        return false;
    for (;; count++) {
        bool end;

        if (!csv_next(csv, &end))
            return false;
        if (end)
            break;
        if (count == INT32_MAX)
            return fail(trace, "%s: there are too many calls", csv->path);
        if (!room_for_one(trace, &trace->calls, count, &room, sizeof *trace->calls) ||
            !read_call(trace, csv, columns, columns_names, names, &trace->calls[count]))
            return false;
        trace->calls[count].reserved = (uint32_t)count;
    }
    if (count == 0)
        return fail(trace, "%s: there are no calls", csv->path);
    qsort(trace->calls, count, sizeof *trace->calls, calls_order);
    for (size_t i = 0; i < count; i++)
        trace->calls[i].reserved = 0;
    trace->trace.call_count = count;
    return names_settle(trace, names);
}

static void names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->names[i].text);
    free(names->names);
    free(names->places);
}

/* ---- which ---- */

/* Writes the first of `base`+`suffix`+{".gz", ""} that can be read. */
static bool find_file(char *path, const char *base, const char *suffix)
{
    static const char *const endings[] = {".gz", ""};

    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        int size = snprintf(path, PATH_MAX_BYTES, "%s%s%s", base, suffix, endings[i]);
        FILE *file = size > 0 && size < PATH_MAX_BYTES ? fopen(path, "rb") : NULL;

        if (file != NULL) {
            (void)fclose(file);
            return true;
        }
    }
    return false;
}

bool trace_read(struct trace *trace, const char *path, enum trace_init init)
{
    char functions[PATH_MAX_BYTES], arrivals[PATH_MAX_BYTES];
    struct names names = {0};
    struct csv csv;
    bool done;

    *trace = (struct trace){.trace = {.size = sizeof trace->trace}};
    if (find_file(functions, path, "_functions.csv") &&
        find_file(arrivals, path, "_arrivals.bin")) {
        done = read_tables(trace, functions, arrivals, init);
    } else {
        done = csv_open(&csv, trace, path) && read_log(trace, &csv, &names);
        csv_close(&csv);
        names_free(&names);
    }
    if (!done)
        trace_free(trace);
    trace->trace.functions = trace->functions;
    trace->trace.calls = trace->calls;
    return done;
}
