/* SPDX-License-Identifier: MIT */
/* week.h - what the functions of quakes.c find out about the week, and how it is told. */
#ifndef EXAMPLES_WEEK_H
#define EXAMPLES_WEEK_H

#include "geojson.h"

#include <faas/faas.h>

#include <time.h>

#define JOULES_PER_KILOTON 4.184e12

enum { REGIONS_MAX = 256, STRONGEST = 5, BUSIEST = 5, FUNCTIONS_MAX = 8 };

struct region {
    char name[80];
    uint64_t count;
    double magnitude_max;
};

struct regions {
    size_t count;
    struct region at[REGIONS_MAX];
};

struct strong {
    char id[32], place[96];
    double magnitude, time_ms;
};

/* What the week was like. The functions write it, each its own part, and without a lock,
 * because this program publishes from one thread: handlers run on that one. */
struct week {
    faas_fn pow;            /* what `energy` calls */
    double energy_j;        /* by `energy` */
    struct regions regions; /* by `region`, whenever one of its instances closes */
    struct strong strongest[STRONGEST]; /* by `alert`, as `alerts` */
    uint64_t alerts;
    uint64_t tsunamis;   /* by `tsunami` */
    uint64_t waves;      /* by `anchorage`: from quakes within 2000 km */
    double wave_s_min;   /* the shortest time that one took */
    uint64_t pages;      /* by `pager` */
    uint64_t pages_late; /* of these, that came through at a second try */
    uint64_t retry_ns;   /* how long it was told to wait, summed */
    faas_event *late;    /* a page that the pager was too busy for */
};

static void check(faas_status status, const char *what)
{
    if (status == FAAS_OK)
        return;
    fprintf(stderr, "quakes: %s: %s\n", what, faas_status_text(status));
    if (*faas_error_text() != 0)
        fprintf(stderr, "quakes: %s\n", faas_error_text());
    exit(1);
}

/* The file says "4km W of Castaic, CA"; what follows the last comma is the region. */
static void region_name(faas_bytes place, char *name, size_t size)
{
    static const char *const states[][2] = {
        {"CA", "California"}, {"NV", "Nevada"}, {"MX", "Mexico"}};
    const char *text = place.data;
    size_t from = place.size;

    while (from > 0 && text[from - 1] != ',')
        from--;
    while (from < place.size && text[from] == ' ')
        from++;
    snprintf(name, size, "%.*s", (int)(place.size - from), text + from);
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        if (strcmp(name, states[i][0]) == 0)
            snprintf(name, size, "%s", states[i][1]);
    }
}

static bool region_add(struct regions *regions, const char *name, uint64_t count,
                       double magnitude)
{
    struct region *region = regions->at;

    while (region < regions->at + regions->count && strcmp(region->name, name) != 0)
        region++;
    if (region == regions->at + REGIONS_MAX)
        return false;
    if (region == regions->at + regions->count) {
        snprintf(region->name, sizeof region->name, "%s", name);
        region->magnitude_max = magnitude;
        regions->count++;
    }
    region->count += count;
    region->magnitude_max = fmax(region->magnitude_max, magnitude);
    return true;
}

/* Keeps a quake, if it is among the strongest so far. */
static void strongest_keep(struct strong *strongest, const struct feature *quake)
{
    size_t at = STRONGEST;

    while (at > 0 && quake->magnitude > strongest[at - 1].magnitude)
        at--;
    if (at == STRONGEST)
        return;
    memmove(&strongest[at + 1], &strongest[at], (STRONGEST - 1 - at) * sizeof *strongest);
    strongest[at].magnitude = quake->magnitude;
    strongest[at].time_ms = quake->time_ms;
    snprintf(strongest[at].id, sizeof strongest[at].id, "%.*s", (int)quake->id.size,
             (const char *)quake->id.data);
    snprintf(strongest[at].place, sizeof strongest[at].place, "%.*s",
             (int)quake->place.size, (const char *)quake->place.data);
}

/* ---- how it is told ---- */

/* Taken before the runtime closes, told afterwards. */
struct report {
    faas_function_info info;
    faas_function_stats stats;
    faas_histogram latency;
};

static size_t reports_take(faas_runtime *rt, struct report *reports)
{
    size_t count = 0;
    faas_fn fn;

    for (uint32_t at = 0;
         count < FUNCTIONS_MAX && faas_function_next(rt, &at, &fn) == FAAS_OK; count++) {
        struct report *report = &reports[count];

        report->info.size = sizeof report->info;
        report->stats.size = sizeof report->stats;
        check(faas_function_describe(rt, fn, &report->info), "describe");
        check(faas_function_stats_get(rt, fn, &report->stats, &report->latency), "stats");
    }
    return count;
}

/* Writes a duration with three digits and its unit. */
static const char *duration(double ns, char text[16])
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    size_t unit = 0;

    while (ns >= 999.5 && unit < 3) {
        ns /= 1000;
        unit++;
    }
    snprintf(text, 16, "%.*f %s", ns < 9.995 && unit > 0 ? 1 : 0, ns, units[unit]);
    return text;
}

static void functions_print(const struct report *reports, size_t count)
{
    char p50[16], p99[16], init[16];

    printf("%-10s %11s %6s %9s %7s %9s %8s %8s %12s\n", "function", "invocations", "cold",
           "init", "warm", "throttles", "p50", "p99", "billed");
    for (size_t i = 0; i < count; i++) {
        const faas_function_stats *stats = &reports[i].stats;
        const faas_histogram *latency = &reports[i].latency;
        double runs = (double)stats->invocations, cold = (double)stats->cold_starts;

        printf("%-10s %11.0f %6.0f %9s %5.1f %% %9.0f %8s %8s %7.3f GB-s\n",
               reports[i].info.name, runs, cold,
               stats->init_ns > 0 ? duration((double)stats->init_ns / cold, init) : "-",
               runs > 0 ? 100 * (runs - cold) / runs : 0, (double)stats->throttles,
               duration((double)faas_histogram_quantile(latency, 0.50), p50),
               duration((double)faas_histogram_quantile(latency, 0.99), p99),
               stats->billed_gb_s);
    }
}

static const char *day(double time_ms, const char *format, char text[32])
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm utc;

    gmtime_r(&seconds, &utc);
    strftime(text, 32, format, &utc);
    return text;
}

static int region_order(const void *left, const void *right)
{
    const struct region *a = left, *b = right;

    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    return strcmp(a->name, b->name);
}

static void week_print(const struct week *week)
{
    const struct regions *regions = &week->regions;
    char time[32], wait[16];

    printf("\nThe strongest\n");
    for (size_t i = 0; i < STRONGEST && week->strongest[i].time_ms > 0; i++)
        printf("  %s   M %.1f   %s\n",
               day(week->strongest[i].time_ms, "%a %d %b %H:%M:%S", time),
               week->strongest[i].magnitude, week->strongest[i].place);
    printf("\nThe busiest regions\n");
    for (size_t i = 0; i < BUSIEST && i < regions->count; i++)
        printf("  %-18s %4.0f quakes, up to M %.1f\n", regions->at[i].name,
               (double)regions->at[i].count, regions->at[i].magnitude_max);

    printf("\nIn all\n");
    printf("  %-18s %.3g J, or %.0f kilotons of TNT\n", "energy", week->energy_j,
           week->energy_j / JOULES_PER_KILOTON);
    printf("  %-18s %.0f, of magnitude 4.5 or more\n", "alerts", (double)week->alerts);
    printf("  %-18s %.0f\n", "tsunami watches", (double)week->tsunamis);
    printf("  %-18s %.0f on their way to Anchorage, the quickest took %.1f s\n", "waves",
           (double)week->waves, week->wave_s_min);
    printf("  %-18s %.0f; %.0f met the cap of 1", "pages", (double)week->pages,
           (double)week->pages_late);
    if (week->pages_late > 0)
        printf(", were told to wait %s, and came through",
               duration((double)(week->retry_ns / week->pages_late), wait));
    printf("\n");
}

/* Strings are printed as they stood in the file: as JSON. */
static void totals_print(const struct week *week, size_t events,
                         const struct report *reports, size_t count)
{
    printf("{\"events\":%zu,\"alerts\":%.0f,\"tsunamis\":%.0f,\"energy_j\":%.17g,"
           "\"waves\":%.0f,\"wave_s_min\":%.9g,\"pages\":%.0f,\"pages_late\":%.0f",
           events, (double)week->alerts, (double)week->tsunamis, week->energy_j,
           (double)week->waves, week->wave_s_min, (double)week->pages,
           (double)week->pages_late);
    printf(",\"strongest\":[");
    for (size_t i = 0; i < STRONGEST && week->strongest[i].time_ms > 0; i++)
        printf("%s[\"%s\",%.0f,%.17g,\"%s\"]", i > 0 ? "," : "", week->strongest[i].id,
               week->strongest[i].time_ms, week->strongest[i].magnitude,
               week->strongest[i].place);
    printf("],\"regions\":{");
    for (size_t i = 0; i < week->regions.count; i++)
        printf("%s\"%s\":[%.0f,%.17g]", i > 0 ? "," : "", week->regions.at[i].name,
               (double)week->regions.at[i].count, week->regions.at[i].magnitude_max);
    printf("},\"functions\":{");
    for (size_t i = 0; i < count; i++)
        printf("%s\"%s\":{\"invocations\":%.0f,\"errors\":%.0f,\"throttles\":%.0f,"
               "\"cold_starts\":%.0f,\"idle_s\":%.17g,\"billed_gb_s\":%.17g}",
               i > 0 ? "," : "", reports[i].info.name,
               (double)reports[i].stats.invocations, (double)reports[i].stats.errors,
               (double)reports[i].stats.throttles, (double)reports[i].stats.cold_starts,
               (double)reports[i].info.policy.idle_ns / 1e9,
               reports[i].stats.billed_gb_s);
    printf("}}\n");
}

#endif /* EXAMPLES_WEEK_H */
