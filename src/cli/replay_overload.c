/* SPDX-License-Identifier: MIT */
/* replay_overload.c - `faas replay --overload`: what each limiter makes of more calls than
 * can be served. */
#include "cli.h"

#include <faas/overload.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS_MAX = 99 };

static const char USAGE[] =
    "usage: faas replay --overload [options]\n"
    "\n"
    "Two workers, calls of 1 ms on average: 2000 a second can be served. A call is of "
    "use\n"
    "if it ends within 25 ms. A minute of: 0.5 to 4 times as many calls as can be "
    "served;\n"
    "burst, 0.3 and 3 times as many in turns of 250 ms; slow, 1.2 times as many, and "
    "for\n"
    "20 s in the middle each call takes four times as long; recover, 4 times as many "
    "for\n"
    "20 s, then 0.8. Prints the calls of use per second, and in ms what 99 of 100 calls\n"
    "took at most. Medians over the seeds.\n"
    "\n"
    "  --limiter LIST  rows of the table that begin so, as predicted,fixed; all of them\n"
    "                  by default\n"
    "  --seeds NUMBER  how many runs of each; default 5\n"
    "  --tsv FILE      all figures as tab-separated values too; - for standard output\n"
    "                  alone\n";

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

/* What two workers serve at 1 ms a call. */
#define CAPACITY 2000.0

/* A column of the table. */
struct load {
    const char *name;
    faas_load_phase phases[3];
    size_t phase_count;
    uint64_t warm_ns;
};

#define EVEN(times) .phases = {{60 * SECOND, MS, (times)*CAPACITY}}, .phase_count = 1

static const struct load loads[] = {
    {.name = "0.5x", EVEN(0.5)},
    {.name = "0.9x", EVEN(0.9)},
    {.name = "1x", EVEN(1)},
    {.name = "1.5x", EVEN(1.5)},
    {.name = "2x", EVEN(2)},
    {.name = "4x", EVEN(4)},
    {.name = "burst",
     .phases = {{250 * MS, MS, 0.3 * CAPACITY}, {250 * MS, MS, 3 * CAPACITY}},
     .phase_count = 2},
    {.name = "slow",
     .phases = {{20 * SECOND, MS, 1.2 * CAPACITY},
                {20 * SECOND, 4 * MS, 1.2 * CAPACITY},
                {20 * SECOND, MS, 1.2 * CAPACITY}},
     .phase_count = 3},
    {.name = "recover",
     .phases = {{20 * SECOND, MS, 4 * CAPACITY}, {40 * SECOND, MS, 0.8 * CAPACITY}},
     .phase_count = 2,
     .warm_ns = 20 * SECOND},
};

enum { LOADS = sizeof loads / sizeof loads[0] };

#define LIMITER(...)                                                                     \
    {                                                                                    \
        .size = sizeof(faas_limiter), __VA_ARGS__                                        \
    }

/* A row. */
static const struct {
    const char *name;
    faas_limiter limiter;
} limiters[] = {
    {"none", LIMITER(.kind = FAAS_LIMITER_NONE)},
    {"fixed 2", LIMITER(.kind = FAAS_LIMITER_FIXED, .limit = 2)},
    {"fixed 8", LIMITER(.kind = FAAS_LIMITER_FIXED, .limit = 8)},
    {"fixed 32", LIMITER(.kind = FAAS_LIMITER_FIXED, .limit = 32)},
    {"fixed 100", LIMITER(.kind = FAAS_LIMITER_FIXED, .limit = 100)},
    {"aimd", LIMITER(.kind = FAAS_LIMITER_AIMD)},
    {"aimd 25 ms, min 1",
     LIMITER(.kind = FAAS_LIMITER_AIMD, .target_ns = 25 * MS, .limit_min = 1)},
    {"vegas", LIMITER(.kind = FAAS_LIMITER_VEGAS)},
    {"gradient", LIMITER(.kind = FAAS_LIMITER_GRADIENT)},
    {"gradient, 1 s", LIMITER(.kind = FAAS_LIMITER_GRADIENT, .window_ns = SECOND)},
    {"gradient, min 1", LIMITER(.kind = FAAS_LIMITER_GRADIENT, .limit_min = 1)},
    {"gcra 1900/s", LIMITER(.kind = FAAS_LIMITER_NONE, .rate = 1900, .burst = 21)},
    {"codel_lifo", LIMITER(.kind = FAAS_LIMITER_CODEL_LIFO)},
    {"predicted, no shed", LIMITER(.shed_ns = FAAS_FOREVER)},
    {"predicted 15 ms", LIMITER(.target_ns = 15 * MS)},
    {"predicted", LIMITER(.kind = FAAS_LIMITER_PREDICTED)},
};

enum { LIMITERS = sizeof limiters / sizeof limiters[0] };

/* Medians over the seeds, each on its own. */
struct cell {
    double goodput, p99_ms, p50_ms, refused, shed, calls, in_flight;
};

struct request {
    const char *rows; /* NULL: all */
    const char *tsv_path;
    unsigned seeds;
};

static bool complain(const char *what, const char *value)
{
    fprintf(stderr, "faas replay --overload: %s%s%s\n", what,
            value[0] == '\0' ? "" : ": ", value);
    return false;
}

/* ---- arguments ---- */

/* Whether a list has the beginning of `name`; `rows` NULL has all. */
static bool row_wanted(const char *rows, const char *name)
{
    while (rows != NULL) {
        size_t size = strcspn(rows, ",");

        if (size > 0 && strncmp(rows, name, size) == 0)
            return true;
        if (rows[size] == '\0')
            return false;
        rows += size + 1;
    }
    return true;
}

static bool rows_check(const char *rows)
{
    char one[64];

    for (;;) {
        size_t size = strcspn(rows, ","), i = 0;

        (void)snprintf(one, sizeof one, "%.*s", (int)(size < 63 ? size : 63), rows);
        while (i < LIMITERS && !row_wanted(one, limiters[i].name))
            i++;
        if (i == LIMITERS)
            return complain("--limiter: there is none named", one);
        if (rows[size] == '\0')
            return true;
        rows += size + 1;
    }
}

static bool option_read(struct request *request, const char *name, char *value)
{
    char *after;

    if (strcmp(name, "--limiter") == 0) {
        request->rows = value;
        return rows_check(value);
    }
    if (strcmp(name, "--tsv") == 0) {
        request->tsv_path = value;
        return true;
    }
    if (strcmp(name, "--seeds") == 0) {
        unsigned long count = strtoul(value, &after, 10);

        request->seeds = (unsigned)count;
        return (after != value && *after == '\0' && value[0] != '-' && count >= 1 &&
                count <= SEEDS_MAX) ||
               complain("--seeds: not a number from 1 to 99", value);
    }
    return complain("no such option", name);
}

/* ---- the table ---- */

static int number_order(const void *a, const void *b)
{
    double one = *(const double *)a, other = *(const double *)b;

    return one < other ? -1 : one > other;
}

static double median(double *numbers, unsigned count)
{
    qsort(numbers, count, sizeof *numbers, number_order);
    return count % 2 == 1 ? numbers[count / 2]
                          : (numbers[count / 2 - 1] + numbers[count / 2]) / 2;
}

static bool cell_run(const faas_limiter *limiter, const struct load *load, unsigned seeds,
                     struct cell *cell)
{
    enum { FIGURES = sizeof *cell / sizeof(double) };
    double figures[FIGURES][SEEDS_MAX], medians[FIGURES];

    for (unsigned seed = 0; seed < seeds; seed++) {
        faas_overload overload = FAAS_OVERLOAD_INIT;
        faas_overload_result r = {.size = sizeof r};

        overload.phases = load->phases;
        overload.phase_count = load->phase_count;
        overload.limiter = limiter;
        overload.warm_ns = load->warm_ns;
        overload.seed = seed + 1;
        if (faas_overload_run(&overload, NULL, &r) != FAAS_OK)
            return complain(load->name, faas_error_text());
        const double all[FIGURES] = {
            r.goodput,         (double)r.p99_ns / 1e6, (double)r.p50_ns / 1e6,
            (double)r.refused, (double)r.shed,         (double)r.calls,
            r.in_flight_max};

        for (unsigned i = 0; i < FIGURES; i++)
            figures[i][seed] = all[i];
    }
    for (unsigned i = 0; i < FIGURES; i++)
        medians[i] = median(figures[i], seeds);
    *cell = (struct cell){medians[0], medians[1], medians[2], medians[3],
                          medians[4], medians[5], medians[6]};
    return true;
}

static void head_print(FILE *text, FILE *tsv)
{
    if (text != NULL) {
        fprintf(text, "%-18s", "calls/s (p99 ms)");
        for (size_t i = 0; i < LOADS; i++)
            fprintf(text, " %13s", loads[i].name);
        fputc('\n', text);
    }
    if (tsv != NULL)
        fprintf(tsv, "limiter\tload\tgoodput\tp99_ms\tp50_ms\trefused\tshed\tcalls\t"
                     "in_flight_max\n");
}

static void cell_print(FILE *text, FILE *tsv, const char *row, const char *column,
                       const struct cell *cell)
{
    char figures[64];

    (void)snprintf(figures, sizeof figures, "%.0f (%.*f)", cell->goodput,
                   cell->p99_ms < 100 ? 1 : 0, cell->p99_ms);
    if (text != NULL)
        fprintf(text, " %13s", figures);
    if (tsv != NULL)
        fprintf(tsv, "%s\t%s\t%.1f\t%.3f\t%.3f\t%.0f\t%.0f\t%.0f\t%.0f\n", row, column,
                cell->goodput, cell->p99_ms, cell->p50_ms, cell->refused, cell->shed,
                cell->calls, cell->in_flight);
}

static size_t rows_count(const char *rows)
{
    size_t count = 0;

    for (size_t i = 0; i < LIMITERS; i++)
        count += row_wanted(rows, limiters[i].name);
    return count;
}

static bool table_run(const struct request *request, FILE *text, FILE *tsv)
{
    size_t step = 0, steps = rows_count(request->rows) * LOADS;

    head_print(text, tsv);
    for (size_t i = 0; i < LIMITERS; i++) {
        struct cell cells[LOADS];

        if (!row_wanted(request->rows, limiters[i].name))
            continue;
        for (size_t j = 0; j < LOADS; j++) {
            cli_progress(++step, steps, limiters[i].name, loads[j].name);
            if (!cell_run(&limiters[i].limiter, &loads[j], request->seeds, &cells[j]))
                return false;
        }
        cli_progress(0, 0, NULL, NULL);
        if (text != NULL)
            fprintf(text, "%-18s", limiters[i].name);
        for (size_t j = 0; j < LOADS; j++)
            cell_print(text, tsv, limiters[i].name, loads[j].name, &cells[j]);
        if (text != NULL) {
            fputc('\n', text);
            (void)fflush(text);
        }
    }
    return true;
}

int cli_replay_overload(int argc, char **argv)
{
    struct request request = {.seeds = 5};
    FILE *text = stdout, *tsv = NULL;
    bool done;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(USAGE, stdout);
            return cli_finish(CLI_OK);
        }
        if (strcmp(argv[i], "--overload") == 0)
            continue;
        if (i + 1 == argc) {
            (void)complain("what value has", argv[i]);
            return CLI_ERROR;
        }
        if (!option_read(&request, argv[i], argv[i + 1]))
            return CLI_ERROR;
        i++;
    }
    if (request.tsv_path != NULL && strcmp(request.tsv_path, "-") == 0) {
        text = NULL;
        tsv = stdout;
    } else if (request.tsv_path != NULL) {
        tsv = fopen(request.tsv_path, "w");
        if (tsv == NULL) {
            (void)complain(request.tsv_path, strerror(errno));
            return CLI_NONE;
        }
    }
    done = table_run(&request, text, tsv);
    if (tsv != NULL && tsv != stdout && fclose(tsv) != 0)
        done = complain(request.tsv_path, strerror(errno));
    return cli_finish(done ? CLI_OK : CLI_NONE);
}
