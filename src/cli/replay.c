/* SPDX-License-Identifier: MIT */
/* replay.c - `faas replay`: what each keep-alive policy would have done with recorded
 * traffic, at each budget, beside what is possible. */
#include "cli.h"
#include "trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
enum { LIST_MAX = 32 };

static const char USAGE[] =
    "usage: faas replay [options] TRACE\n"
    "       faas replay --overload [options]\n"
    "\n"
    "TRACE is a log of calls, CSV with the columns time_ms, function, duration_ms,\n"
    "memory_mb, init_ms; or X for the tables X_functions.csv and X_arrivals.bin. Both\n"
    "may be compressed by gzip.\n"
    "\n"
    "  --budget LIST     memory budgets in GB (2^30 bytes), as 16,24,32; must be given\n"
    "  --policy LIST     idx, lru, ttl, gdsf, sieve, lhd; all of them by default\n"
    "  --objective WHAT  init: save init time (default); count: save cold starts\n"
    "  --init A_OR_B     of tables: the column of init costs, a or b (default)\n"
    "  --ttl SECONDS     how long ttl keeps an instance; default 600\n"
    "  --seed NUMBER     of policies that draw at random; default 1\n"
    "  --bounds          also what no policy, and what one that knows the future, can "
    "do\n"
    "  --tsv FILE        the table as tab-separated values too; - for standard output\n"
    "                    alone\n";

struct request {
    const char *path;
    const char *tsv_path;
    const char *policies[LIST_MAX];
    double budgets[LIST_MAX]; /* in GB */
    size_t policy_count, budget_count;
    double ttl;
    uint64_t seed;
    faas_replay_objective objective;
    enum trace_init init;
    bool bounds;
    bool help;
};

/* A row of the table. Figures that a bound does not have are negative. */
struct row {
    const char *policy;
    double budget, invocations, cold_starts, init, idle, evictions, over, event_ns;
};

static bool complain(const char *what, const char *value)
{
    fprintf(stderr, "faas replay: %s%s%s\n", what, value[0] == '\0' ? "" : ": ", value);
    return false;
}

/* ---- arguments ---- */

static bool number_read(const char *text, double least, double most, double *number)
{
    char *after;

    *number = strtod(text, &after);
    return after != text && *after == '\0' && *number >= least && *number <= most;
}

/* Cuts a list at its commas, in place. */
static bool list_read(char *list, const char **items, size_t *count)
{
    *count = 0;
    for (char *comma; list != NULL; list = comma) {
        if (*count == LIST_MAX)
            return false;
        comma = strchr(list, ',');
        if (comma != NULL)
            *comma++ = '\0';
        items[(*count)++] = list;
    }
    return true;
}

static bool budgets_read(struct request *request, char *list)
{
    const char *items[LIST_MAX];

    if (!list_read(list, items, &request->budget_count))
        return complain("--budget: too many", "");
    for (size_t i = 0; i < request->budget_count; i++)
        if (!number_read(items[i], 1e-6, 1e6, &request->budgets[i]))
            return complain("--budget: not a number of GB", items[i]);
    return true;
}

static bool policies_read(struct request *request, char *list)
{
    if (!list_read(list, request->policies, &request->policy_count))
        return complain("--policy: too many", "");
    for (size_t i = 0; i < request->policy_count; i++) {
        size_t place = 0;
        const char *name;

        while ((name = faas_replay_policy(place)) != NULL &&
               strcmp(name, request->policies[i]) != 0)
            place++;
        if (name == NULL)
            return complain("--policy: there is none named", request->policies[i]);
    }
    return true;
}

static bool option_read(struct request *request, const char *name, char *value)
{
    double number = 0;

    if (strcmp(name, "--budget") == 0)
        return budgets_read(request, value);
    if (strcmp(name, "--policy") == 0)
        return policies_read(request, value);
    if (strcmp(name, "--objective") == 0) {
        request->objective =
            strcmp(value, "count") == 0 ? FAAS_REPLAY_COUNT : FAAS_REPLAY_INIT;
        return strcmp(value, "count") == 0 || strcmp(value, "init") == 0 ||
               complain("--objective: init or count, not", value);
    }
    if (strcmp(name, "--init") == 0) {
        request->init = strcmp(value, "a") == 0 ? TRACE_INIT_A : TRACE_INIT_B;
        return strcmp(value, "a") == 0 || strcmp(value, "b") == 0 ||
               complain("--init: a or b, not", value);
    }
    if (strcmp(name, "--ttl") == 0) {
        bool right = number_read(value, 1e-3, 1e9, &request->ttl);

        return right || complain("--ttl: not a number of seconds", value);
    }
    if (strcmp(name, "--seed") == 0) {
        bool right = number_read(value, 0, 9007199254740992.0, &number);

        request->seed = (uint64_t)number;
        return right || complain("--seed: not a number", value);
    }
    if (strcmp(name, "--tsv") == 0) {
        request->tsv_path = value;
        return true;
    }
    return complain("no such option", name);
}

static bool request_read(struct request *request, int argc, char **argv)
{
    const char *name;

    *request = (struct request){.ttl = 600, .seed = 1, .init = TRACE_INIT_B};
    while ((name = faas_replay_policy(request->policy_count)) != NULL)
        request->policies[request->policy_count++] = name;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            request->help = true;
            return true;
        }
        if (strcmp(argv[i], "--bounds") == 0) {
            request->bounds = true;
        } else if (argv[i][0] != '-') {
            if (request->path != NULL)
                return complain("one trace, not also", argv[i]);
            request->path = argv[i];
        } else if (i + 1 == argc) {
            return complain("what value has", argv[i]);
        } else if (!option_read(request, argv[i], argv[i + 1])) {
            return false;
        } else {
            i++;
        }
    }
    if (request->path == NULL || request->budget_count == 0)
        return complain("a trace and --budget must be given; see --help", "");
    return true;
}

/* ---- the table ---- */

static void figure(FILE *out, double value, int places, bool tsv)
{
    if (tsv)
        fprintf(out, value < 0 ? "\t" : "\t%.*f", places, value);
    else if (value < 0)
        fprintf(out, " %11s", "-");
    else
        fprintf(out, " %11.*f", places, value);
}

static void row_print(FILE *out, const struct row *row, bool tsv)
{
    double share = row->cold_starts < 0 ? -1 : 100 * row->cold_starts / row->invocations;

    fprintf(out, tsv ? "%s" : "%-14s", row->policy);
    figure(out, row->budget, 2, tsv);
    figure(out, row->invocations, 0, tsv);
    figure(out, row->cold_starts, 0, tsv);
    figure(out, share, 3, tsv);
    figure(out, row->init, 1, tsv);
    figure(out, row->idle, 2, tsv);
    figure(out, row->evictions, 0, tsv);
    figure(out, row->over, 0, tsv);
    figure(out, row->event_ns, 0, tsv);
    fputc('\n', out);
    (void)fflush(out);
}

static void head_print(FILE *out, bool tsv)
{
    static const char *const heads[] = {"budget_gb", "calls",  "cold",
                                        "cold_%",    "init_s", "idle_gb_h",
                                        "evictions", "over",   "ns_event"};

    fprintf(out, tsv ? "%s" : "%-14s", "policy");
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        fprintf(out, tsv ? "\t%s" : " %11s", heads[i]);
    fputc('\n', out);
}

struct tables {
    FILE *text, *tsv;   /* either may be NULL */
    size_t step, steps; /* runs so far, the one that is on included, and all */
};

static void tables_row(const struct tables *tables, const struct row *row)
{
    cli_progress(0, 0, NULL, NULL);
    if (tables->text != NULL)
        row_print(tables->text, row, false);
    if (tables->tsv != NULL)
        row_print(tables->tsv, row, true);
}

/* Runs come in order; each says that it is on, and wipes that. */
static void progress(struct tables *tables, const char *what, double budget)
{
    char where[32];

    (void)snprintf(where, sizeof where, "%g GB", budget);
    cli_progress(++tables->step, tables->steps, what, where);
}

static bool policy_replay(const struct request *request, const faas_replay *replay,
                          struct tables *tables, const char *policy, double budget)
{
    faas_replay_options options = FAAS_REPLAY_OPTIONS_INIT;
    faas_replay_result result = {.size = sizeof result};

    options.policy = policy;
    options.memory_bytes = (uint64_t)(budget * 0x1p30);
    options.idle_ns = (uint64_t)(request->ttl * 1e9);
    options.seed = request->seed;
    options.objective = request->objective;
    progress(tables, policy, budget);
    if (faas_replay_run(replay, &options, &result) != FAAS_OK)
        return complain(policy, faas_error_text());
    tables_row(tables,
               &(struct row){.policy = policy,
                             .budget = budget,
                             .invocations = (double)result.invocations,
                             .cold_starts = (double)result.cold_starts,
                             .init = (double)result.init_ns / 1e9,
                             .idle = result.idle_gb_hours,
                             .evictions = (double)result.evictions,
                             .over = (double)result.over_budget,
                             .event_ns = (double)result.cpu_ns / (double)result.events});
    return true;
}

/* Two rows: what the objective names is bounded, the rest is not known. */
static bool bounds_replay(const struct request *request, const faas_replay *replay,
                          struct tables *tables, double calls, double budget)
{
    faas_replay_bound bound = {.size = sizeof bound};
    bool count = request->objective == FAAS_REPLAY_COUNT;
    struct row row = {.policy = "clairvoyant",
                      .budget = budget,
                      .invocations = calls,
                      .idle = -1,
                      .evictions = -1,
                      .over = -1,
                      .event_ns = -1};

    progress(tables, "bounds", budget);
    if (faas_replay_limits(replay, request->objective, (uint64_t)(budget * 0x1p30),
                           &bound) != FAAS_OK)
        return complain("bounds", faas_error_text());
    row.cold_starts = (double)bound.cold_starts;
    row.init = count ? -1 : bound.feasible;
    tables_row(tables, &row);
    row.policy = "lower bound";
    row.cold_starts = count ? bound.lower : -1;
    row.init = count ? -1 : bound.lower;
    tables_row(tables, &row);
    return true;
}

static bool replay_all(const struct request *request, const struct trace *trace,
                       struct tables *tables)
{
    faas_replay *replay;
    bool done = true;

    if (faas_replay_open(&trace->trace, NULL, &replay) != FAAS_OK)
        return complain(request->path, faas_error_text());
    tables->steps = request->budget_count * (request->policy_count + request->bounds);
    if (tables->text != NULL)
        head_print(tables->text, false);
    if (tables->tsv != NULL)
        head_print(tables->tsv, true);
    for (size_t b = 0; b < request->budget_count && done; b++) {
        for (size_t p = 0; p < request->policy_count && done; p++)
            done = policy_replay(request, replay, tables, request->policies[p],
                                 request->budgets[b]);
        if (done && request->bounds)
            done = bounds_replay(request, replay, tables, (double)trace->trace.call_count,
                                 request->budgets[b]);
    }
    faas_replay_close(replay);
    return done;
}

int cli_replay(int argc, char **argv)
{
    struct tables tables = {.text = stdout};
    struct request request;
    struct trace trace;
    bool done;

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--overload") == 0)
            return cli_replay_overload(argc, argv);
    if (!request_read(&request, argc, argv))
        return 2;
    if (request.help) {
        fputs(USAGE, stdout);
        return 0;
    }
    if (request.tsv_path != NULL && strcmp(request.tsv_path, "-") == 0) {
        tables = (struct tables){.tsv = stdout};
    } else if (request.tsv_path != NULL) {
        tables.tsv = fopen(request.tsv_path, "w");
        if (tables.tsv == NULL) {
            (void)complain(request.tsv_path, strerror(errno));
            return 1;
        }
    }
    done = trace_read(&trace, request.path, request.init)
               ? replay_all(&request, &trace, &tables)
               : complain("trace", trace.error);
    trace_free(&trace);
    if (tables.tsv != NULL && tables.tsv != stdout && fclose(tables.tsv) != 0)
        done = complain(request.tsv_path, strerror(errno));
    return done ? 0 : 1;
}
