/* SPDX-License-Identifier: MIT */
/* Rules: what matching an event costs, class by class, as multiples of a memchr() line
 * split of the same run; how it grows with the number of rules; what edits cost.
 *
 * usage: bench_rules [--quick] EVENTS    (made by scripts/gen_citylots2.py)
 *
 * One line per figure, tab-separated: bench, subject, unit, median, p99, runs. A run is a
 * pass over all events, in memory, on one pinned core; the unit is passed over before
 * each. The first pass of a class counts the matches of each rule and compares them with
 * the figures that the benchmark's data is made to have. */
#define _GNU_SOURCE // sched_setaffinity()
#include "core/json.h"
#include "core/ruleset.h"

#include "peer_json.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUNS_MAX 32

static char *events;
static faas_bytes *event_list;
static size_t events_size;
static size_t *starts; /* of each event; one more for the end */
static size_t event_count;
static int run_count = 7;
static int failed;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Of this thread alone: what it waits for a processor does not count. */
static double spent(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void pin(int core)
{
    cpu_set_t cores;

    CPU_ZERO(&cores);
    CPU_SET((unsigned)core, &cores);
    (void)sched_setaffinity(0, sizeof cores, &cores);
}

static void check(faas_status status)
{
    if (status == FAAS_OK)
        return;
    fprintf(stderr, "bench_rules: %s: %s\n", faas_status_name(status), faas_error_text());
    exit(1);
}

static faas_bytes event_at(size_t i)
{
    return faas_bytes_of(events + starts[i], starts[i + 1] - starts[i] - 1);
}

static void events_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t room = 0;

    if (file == NULL) {
        perror(path);
        exit(1);
    }
    fseek(file, 0, SEEK_END);
    events_size = (size_t)ftell(file);
    rewind(file);
    events = calloc(1, events_size + PEER_SIMDJSON_BEHIND);
    if (fread(events, 1, events_size, file) != events_size)
        exit(1);
    fclose(file);
    for (size_t at = 0; at < events_size; event_count++) {
        char *end = memchr(events + at, '\n', events_size - at);

        if (event_count + 2 > room) {
            room = room * 2 + 1024;
            starts = realloc(starts, room * sizeof *starts);
        }
        if (end == NULL)
            break;
        starts[event_count] = at;
        at = (size_t)(end - events) + 1;
        starts[event_count + 1] = at;
    }
    events_size = starts[event_count];
    event_list = malloc(event_count * sizeof *event_list);
    for (size_t i = 0; i < event_count; i++)
        event_list[i] = event_at(i);
}

/* --- figures --- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double line(const char *subject, const char *unit, double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    printf("rules\t%s\t%s\t%.3g\t%.3g\t%zu\n", subject, unit, values[count / 2],
           values[count * 99 / 100], count);
    fflush(stdout);
    return values[count / 2];
}

static double memchr_pass(void)
{
    const char *at = events, *end = events + events_size;
    double start = spent();
    size_t count = 0;

    while (at < end) {
        const char *next = memchr(at, '\n', (size_t)(end - at));

        if (next == NULL)
            break;
        count++;
        at = next + 1;
    }
    if (count != event_count)
        failed = 1;
    return (spent() - start) / (double)event_count;
}

typedef void pass(void *user);

/* Runs a pass and the unit in turn. `target` 0: none. */
static double measure(const char *subject, pass *body, void *user, double target)
{
    double own[RUNS_MAX], ratio[RUNS_MAX], median;
    char text[80];

    body(user);
    for (int i = 0; i < run_count; i++) {
        double unit = memchr_pass(), start = spent();

        body(user);
        own[i] = (spent() - start) / (double)event_count;
        ratio[i] = own[i] / unit;
    }
    (void)line(subject, "ns", own, (size_t)run_count);
    snprintf(text, sizeof text, "%s / memchr", subject);
    median = line(text, "x", ratio, (size_t)run_count);
    if (target > 0)
        printf("# %s: %.2f, target %.2f: %s\n", subject, median, target,
               median <= target ? "met" : "MISSED");
    return median;
}

static void peer_pass(void *user)
{
    bool (*const *read)(const char *text, size_t size) = user;

    for (size_t i = 0; i < event_count; i++) {
        faas_bytes event = event_at(i);

        if (!(*read)(event.data, event.size))
            failed = 1;
    }
}

static void check_pass(void *user)
{
    uint64_t *index = user;

    for (size_t i = 0; i < event_count; i++)
        if (faasi_json_check(event_at(i), index, NULL) != FAAS_OK)
            failed = 1;
}

struct job {
    faas_ruleset *set;
    uint32_t flags;
    size_t matched;
    uint64_t *indices; /* NULL, or one after the other */
    size_t *index_at;
};

static void match_pass(void *user)
{
    struct job *job = user;
    faas_match out[64];
    size_t count, matched = 0;

    for (size_t i = 0; i < event_count; i++) {
        if (faas_ruleset_match(job->set, event_at(i), job->flags, out, 64, &count) !=
            FAAS_OK)
            failed = 1;
        matched += count;
    }
    job->matched = matched;
}

static void batch_take(size_t event, faas_status status, const faas_match *matches,
                       size_t count, void *user)
{
    struct job *job = user;

    (void)event, (void)matches;
    if (status != FAAS_OK)
        failed = 1;
    job->matched += count;
}

static void batch_pass(void *user)
{
    struct job *job = user;
    faas_match out[64];

    job->matched = 0;
    if (faas_ruleset_match_batch(job->set, event_list, event_count, job->flags, out, 64,
                                 batch_take, job) != FAAS_OK)
        failed = 1;
}

static void indexed_pass(void *user)
{
    struct job *job = user;
    faas_match out[64];
    size_t count, matched = 0;

    for (size_t i = 0; i < event_count; i++) {
        if (faasi_ruleset_match(job->set, event_at(i), job->indices + job->index_at[i],
                                out, 64, &count) != FAAS_OK)
            failed = 1;
        matched += count;
    }
    job->matched = matched;
}

/* --- the classes --- */

struct rule {
    const char *pattern;
    size_t count; /* matches in all events; 0: not checked, as for none */
};

struct class
{
    const char *name;
    double strict, trusted; /* targets */
    struct rule rules[5];
};

#define P(field, cond) "{\"properties\":{\"" field "\":[" cond "]}}"
#define FIRST(rest) "{\"geometry\":{" rest "}}"
#define TYPE(t) "\"type\":[\"" t "\"]"
#define NUM(axis, ops) "\"" axis "\":[{\"numeric\":[" ops "]}]"
#define AT_FIRST(n) "\"firstCoordinates\":{" n "}"
#define AT_ANY(n) "\"coordinates\":{" n "}"

static const struct class classes[] = {
    {"exact",
     8,
     1.0,
     {{P("MAPBLKLOT", "\"1430022\""), 1},
      {P("MAPBLKLOT", "\"2607117\""), 101},
      {P("MAPBLKLOT", "\"2607218\""), 35},
      {P("MAPBLKLOT", "\"3745012\""), 655},
      {P("MAPBLKLOT", "\"VACSTWIL\""), 1}}},
    {"wildcard",
     8.5,
     1.8,
     {{P("MAPBLKLOT", "{\"wildcard\":\"143*\"}"), 490},
      {P("MAPBLKLOT", "{\"wildcard\":\"2*0*1*7\"}"), 713},
      {P("MAPBLKLOT", "{\"wildcard\":\"*218\"}"), 43},
      {P("MAPBLKLOT", "{\"wildcard\":\"3*5*2\"}"), 2540},
      {P("MAPBLKLOT", "{\"wildcard\":\"VA*IL\"}"), 1}}},
    {"prefix",
     8.5,
     1.8,
     {{P("STREET", "{\"prefix\":\"AC\"}"), 24},
      {P("STREET", "{\"prefix\":\"BL\"}"), 442},
      {P("STREET", "{\"prefix\":\"DR\"}"), 38},
      {P("STREET", "{\"prefix\":\"FU\"}"), 2387},
      {P("STREET", "{\"prefix\":\"RH\"}"), 328}}},
    {"prefix ignoring case",
     8.5,
     1.8,
     {{P("STREET", "{\"prefix\":{\"equals-ignore-case\":\"Ac\"}}"), 24},
      {P("STREET", "{\"prefix\":{\"equals-ignore-case\":\"bL\"}}"), 442},
      {P("STREET", "{\"prefix\":{\"equals-ignore-case\":\"dR\"}}"), 38},
      {P("STREET", "{\"prefix\":{\"equals-ignore-case\":\"Fu\"}}"), 2387},
      {P("STREET", "{\"prefix\":{\"equals-ignore-case\":\"rH\"}}"), 328}}},
    {"suffix",
     8.5,
     1.8,
     {{P("STREET", "{\"suffix\":\"ON\"}"), 17921},
      {P("STREET", "{\"suffix\":\"KE\"}"), 871},
      {P("STREET", "{\"suffix\":\"MM\"}"), 13},
      {P("STREET", "{\"suffix\":\"ING\"}"), 1963},
      {P("STREET", "{\"suffix\":\"GO\"}"), 682}}},
    {"suffix ignoring case",
     8.5,
     1.8,
     {{P("STREET", "{\"suffix\":{\"equals-ignore-case\":\"oN\"}}"), 17921},
      {P("STREET", "{\"suffix\":{\"equals-ignore-case\":\"Ke\"}}"), 871},
      {P("STREET", "{\"suffix\":{\"equals-ignore-case\":\"mM\"}}"), 13},
      {P("STREET", "{\"suffix\":{\"equals-ignore-case\":\"InG\"}}"), 1963},
      {P("STREET", "{\"suffix\":{\"equals-ignore-case\":\"gO\"}}"), 682}}},
    {"equals ignoring case",
     8.5,
     1.8,
     {{P("STREET", "{\"equals-ignore-case\":\"jefferson\"}"), 131},
      {P("STREET", "{\"equals-ignore-case\":\"bEaCh\"}"), 211},
      {P("STREET", "{\"equals-ignore-case\":\"HyDe\"}"), 1758},
      {P("STREET", "{\"equals-ignore-case\":\"CHESTNUT\"}"), 825},
      {P("ST_TYPE", "{\"equals-ignore-case\":\"st\"}"), 116386}}},
    {"anything-but",
     8.5,
     3,
     {{P("STREET", "{\"anything-but\":[\"FULTON\"]}"), 211158},
      {P("STREET", "{\"anything-but\":[\"MASON\"]}"), 210411},
      {P("ST_TYPE", "{\"anything-but\":[\"ST\"]}"), 96682},
      {FIRST("\"type\":[{\"anything-but\":[\"Polygon\"]}]"), 120},
      {P("FROM_ST", "{\"anything-but\":[\"441\"]}"), 210615}}},
    {"anything-but ignoring case",
     8.5,
     3,
     {{P("STREET", "{\"anything-but\":{\"equals-ignore-case\":[\"Fulton\"]}}"), 211158},
      {P("STREET", "{\"anything-but\":{\"equals-ignore-case\":[\"Mason\"]}}"), 210411},
      {P("ST_TYPE", "{\"anything-but\":{\"equals-ignore-case\":[\"st\"]}}"), 96682},
      {FIRST("\"type\":[{\"anything-but\":{\"equals-ignore-case\":[\"polygon\"]}}]"),
       120},
      {P("FROM_ST", "{\"anything-but\":{\"equals-ignore-case\":[\"441\"]}}"), 210615}}},
    {"anything-but prefix",
     8.5,
     3,
     {{P("STREET", "{\"anything-but\":{\"prefix\":\"FULTO\"}}"), 211158},
      {P("STREET", "{\"anything-but\":{\"prefix\":\"MASO\"}}"), 210118},
      {P("ST_TYPE", "{\"anything-but\":{\"prefix\":\"S\"}}"), 96667},
      {FIRST("\"type\":[{\"anything-but\":{\"prefix\":\"Poly\"}}]"), 120},
      {P("FROM_ST", "{\"anything-but\":{\"prefix\":\"44\"}}"), 209091}}},
    {"anything-but suffix",
     8.5,
     3,
     {{P("STREET", "{\"anything-but\":{\"suffix\":\"ULTON\"}}"), 211136},
      {P("STREET", "{\"anything-but\":{\"suffix\":\"ASON\"}}"), 210411},
      {P("ST_TYPE", "{\"anything-but\":{\"suffix\":\"T\"}}"), 94908},
      {FIRST("\"type\":[{\"anything-but\":{\"suffix\":\"olygon\"}}]"), 0},
      {P("FROM_ST", "{\"anything-but\":{\"suffix\":\"41\"}}"), 209055}}},
    {"anything-but wildcard",
     8.5,
     3,
     {{P("MAPBLKLOT", "{\"anything-but\":{\"wildcard\":\"143*\"}}"), 212578},
      {P("MAPBLKLOT", "{\"anything-but\":{\"wildcard\":\"2*0*1*7\"}}"), 212355},
      {P("MAPBLKLOT", "{\"anything-but\":{\"wildcard\":\"*218\"}}"), 213025},
      {P("MAPBLKLOT", "{\"anything-but\":{\"wildcard\":\"3*5*2\"}}"), 210528},
      {P("MAPBLKLOT", "{\"anything-but\":{\"wildcard\":\"VA*IL\"}}"), 213067}}},
    {"numeric",
     9,
     3.2,
     {{FIRST(TYPE("Polygon") "," AT_FIRST(NUM("x", "\"=\",-122.42916360922355"))), 2},
      {FIRST(TYPE("MultiPolygon") "," AT_FIRST(NUM("z", "\"=\",0"))), 120},
      {FIRST(AT_FIRST(NUM("x", "\"<\",-122.41600944012424"))), 148948},
      {FIRST(AT_FIRST(NUM("x", "\">\",-122.41600944012424"))), 64120},
      {FIRST(AT_FIRST(NUM("x", "\">\",-122.46471267081272,\"<\",-122.4063085128395"))),
       127053}}},
    {"complex arrays",
     12,
     8,
     {{FIRST(TYPE("Polygon") "," AT_ANY(NUM("x", "\"=\",-122.42916360922355"))), 218},
      {FIRST(TYPE("MultiPolygon") "," AT_ANY(NUM("y", "\"=\",37.729900216217324"))), 1},
      {FIRST(AT_ANY(NUM("x", "\"<\",-122.41600944012424"))), 149446},
      {FIRST(AT_ANY(NUM("x", "\">\",-122.41600944012424"))), 64368},
      {FIRST(AT_ANY(NUM("x", "\">\",-122.46471267081272,\"<\",-122.4063085128395"))),
       127485}}},
};

#define CLASSES (sizeof classes / sizeof classes[0])

static void class_put(faas_ruleset *set, const struct class *class)
{
    for (size_t i = 0; i < 5; i++) {
        char name[64];

        snprintf(name, sizeof name, "%s %zu", class->name, i);
        check(faas_ruleset_put(set, name, faas_str(class->rules[i].pattern),
                               (void *)&class->rules[i]));
    }
}

static void class_count(faas_ruleset *set, const struct class *class, uint32_t flags)
{
    size_t counts[5] = {0}, count;
    faas_match out[5];

    for (size_t i = 0; i < event_count; i++) {
        check(faas_ruleset_match(set, event_at(i), flags, out, 5, &count));
        for (size_t k = 0; k < count; k++)
            counts[(const struct rule *)out[k].user - class->rules]++;
    }
    for (size_t i = 0; i < 5; i++) {
        if (counts[i] == class->rules[i].count)
            continue;
        printf("# %s, rule %zu: %zu matches, not %zu\n", class->name, i + 1, counts[i],
               class->rules[i].count);
        failed = 1;
    }
}

static void class_measure(const struct class *class)
{
    struct job job = {.flags = 0};
    char text[80];

    check(faas_ruleset_open(&job.set, NULL));
    class_put(job.set, class);
    class_count(job.set, class, 0);
    class_count(job.set, class, FAAS_EVENT_TRUSTED);
    snprintf(text, sizeof text, "%s, strict", class->name);
    (void)measure(text, match_pass, &job, 0);
    snprintf(text, sizeof text, "%s, strict, in a batch", class->name);
    (void)measure(text, batch_pass, &job, class->strict);
    job.flags = FAAS_EVENT_TRUSTED;
    snprintf(text, sizeof text, "%s, trusted", class->name);
    (void)measure(text, match_pass, &job, 0);
    snprintf(text, sizeof text, "%s, trusted, in a batch", class->name);
    (void)measure(text, batch_pass, &job, class->trusted);
    faas_ruleset_close(job.set);
}

static void all_classes_measure(void)
{
    struct job job = {.flags = 0};

    check(faas_ruleset_open(&job.set, NULL));
    for (size_t i = 0; i < CLASSES; i++)
        class_put(job.set, &classes[i]);
    (void)measure("all classes, strict", match_pass, &job, 14);
    job.flags = FAAS_EVENT_TRUSTED;
    (void)measure("all classes, trusted", match_pass, &job, 9);
    faas_ruleset_close(job.set);
}

static void indexed_measure(void)
{
    struct job job = {.flags = 0};
    size_t words = 0;

    job.index_at = malloc(event_count * sizeof *job.index_at);
    for (size_t i = 0; i < event_count; i++) {
        job.index_at[i] = words;
        words += faasi_json_index_bytes(event_at(i).size) / sizeof(uint64_t);
    }
    job.indices = malloc(words * sizeof(uint64_t));
    for (size_t i = 0; i < event_count; i++)
        check(faasi_json_check(event_at(i), job.indices + job.index_at[i], NULL));
    check(faas_ruleset_open(&job.set, NULL));
    class_put(job.set, &classes[0]);
    (void)measure("exact, on an event that is indexed", indexed_pass, &job, 3.5);
    faas_ruleset_close(job.set);
    free(job.indices);
    free(job.index_at);
}

/* --- how it grows --- */

enum shape { EXACT, PREFIX, WILDCARD, RANGES };

static void shape_put(faas_ruleset *set, enum shape shape, unsigned i)
{
    char name[32], pattern[128];
    unsigned lot = i * 7919u % 9999999u;

    snprintf(name, sizeof name, "%u", i);
    if (shape == EXACT)
        snprintf(pattern, sizeof pattern, P("MAPBLKLOT", "\"%07u\""), lot);
    else if (shape == PREFIX)
        snprintf(pattern, sizeof pattern, P("MAPBLKLOT", "{\"prefix\":\"%0*u\"}"),
                 (int)(5 + i % 3),
                 lot / (i % 3 == 0   ? 100
                        : i % 3 == 1 ? 10
                                     : 1));
    else if (shape == WILDCARD)
        snprintf(pattern, sizeof pattern, P("MAPBLKLOT", "{\"wildcard\":\"%03u*%u*\"}"),
                 lot % 1000, i % 10);
    else
        snprintf(pattern, sizeof pattern,
                 FIRST(AT_FIRST("\"x\":[{\"numeric\":[\">=\",%.6f,\"<\",%.6f]}]")),
                 -122.6 + 0.3 * i / 10000, -122.6 + 0.3 * (i + 2) / 10000);
    check(faas_ruleset_put(set, name, faas_str(pattern), NULL));
}

static void growth_measure(const char *what, enum shape shape, unsigned most)
{
    double at_ten = 0;

    for (unsigned count = 1; count <= most; count *= 10) {
        struct job job = {.flags = FAAS_EVENT_TRUSTED};
        char text[80];
        double median;
        size_t dead, bytes;

        check(faas_ruleset_open(&job.set, NULL));
        bytes = faasi_ruleset_bytes(job.set, &dead);
        for (unsigned i = 0; i < count; i++)
            shape_put(job.set, shape, i);
        snprintf(text, sizeof text, "%s, %u rules, trusted", what, count);
        median = measure(text, match_pass, &job, 0);
        if (count == 10)
            at_ten = median;
        if (count == most && most > 10)
            printf("# %s: the rate at %u is %.2f of that at 10%s\n", what, count,
                   at_ten / median,
                   shape != EXACT           ? ""
                   : at_ten / median >= 0.5 ? ", target 0.5: met"
                                            : ", target 0.5: MISSED");
        if (count >= 1000)
            printf("rules\t%s, %u rules, memory of one\tB\t%.0f\t%.0f\t1\n", what, count,
                   (double)(faasi_ruleset_bytes(job.set, &dead) + dead - bytes) / count,
                   (double)(faasi_ruleset_bytes(job.set, &dead) + dead - bytes) / count);
        faas_ruleset_close(job.set);
    }
}

/* --- edits --- */

static atomic_bool reading;
static atomic_ulong read_count;

static void *reader_run(void *user)
{
    faas_ruleset *set = user;
    faas_match out[8];
    unsigned long done = 0;
    size_t count;

    pin(1);
    while (atomic_load_explicit(&reading, memory_order_relaxed)) {
        (void)!faas_ruleset_match(set, event_at(done % event_count), FAAS_EVENT_TRUSTED,
                                  out, 8, &count);
        atomic_store_explicit(&read_count, ++done, memory_order_relaxed);
    }
    return NULL;
}

/* Reads for some time, with edits beside it or without; matches per microsecond. */
static double reading_rate(faas_ruleset *set, double *puts, double *deletes, size_t edits)
{
    const unsigned base = 100000;
    char name[32];
    pthread_t thread;
    double start, rate;
    unsigned long before;

    atomic_store(&reading, true);
    if (pthread_create(&thread, NULL, reader_run, set) != 0)
        exit(1);
    while (atomic_load(&read_count) < 1000)
        sched_yield();
    before = atomic_load(&read_count);
    start = now();
    for (size_t i = 0; i < edits; i++) {
        double t0, t1, t2;
        unsigned gone = (unsigned)(i * 7919 % base);

        snprintf(name, sizeof name, "%u", gone);
        t0 = now();
        check(faas_ruleset_delete(set, name));
        t1 = now();
        shape_put(set, EXACT, gone);
        t2 = now();
        deletes[i] = (t1 - t0) / 1000;
        puts[i] = (t2 - t1) / 1000;
    }
    while (edits == 0 && now() - start < 3e8)
        sched_yield();
    rate = (double)(atomic_load(&read_count) - before) / ((now() - start) / 1000);
    atomic_store(&reading, false);
    pthread_join(thread, NULL);
    atomic_store(&read_count, 0);
    return rate;
}

static void edits_measure(void)
{
    const size_t edits = 20000;
    double *puts = malloc(edits * sizeof *puts),
           *deletes = malloc(edits * sizeof *deletes);
    double quiet, busy, ratio[RUNS_MAX];
    faas_ruleset *set;

    check(faas_ruleset_open(&set, NULL));
    for (unsigned i = 0; i < 100000; i++)
        shape_put(set, EXACT, i);
    for (int i = 0; i < run_count; i++) {
        quiet = reading_rate(set, NULL, NULL, 0);
        busy = reading_rate(set, puts, deletes, edits);
        ratio[i] = busy / quiet;
    }
    (void)line("put at 100000 rules, compiling included", "us", puts, edits);
    (void)line("delete at 100000 rules", "us", deletes, edits);
    printf("# edits: p99 of put %.1f us, of delete %.1f us, target 50: %s\n",
           puts[edits * 99 / 100], deletes[edits * 99 / 100],
           puts[edits * 99 / 100] <= 50 && deletes[edits * 99 / 100] <= 50 ? "met"
                                                                           : "MISSED");
    quiet = line("a reader's rate while another core edits, of its rate alone", "x",
                 ratio, (size_t)run_count);
    printf("# readers: %.3f, target 0.95: %s\n", quiet, quiet >= 0.95 ? "met" : "MISSED");
    faas_ruleset_close(set);
    free(puts);
    free(deletes);
}

int main(int argc, char **argv)
{
    bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    const char *only = getenv("BENCH_ONLY");   // a letter per part, for those who tune
    const char *class = getenv("BENCH_CLASS"); // the one class, likewise
    bool (*yajl)(const char *, size_t) = peer_yajl;
    bool (*simdjson)(const char *, size_t) = peer_simdjson;
    double unit[RUNS_MAX];
    uint64_t *index;

    if (argc != 2 + quick) {
        fprintf(stderr, "usage: bench_rules [--quick] EVENTS\n");
        return 2;
    }
    if (quick)
        run_count = 3;
    events_read(argv[1 + quick]);
    pin(0);
    index = malloc(faasi_json_index_bytes(1 << 20));
    for (int i = 0; i < run_count; i++)
        unit[i] = memchr_pass();
    (void)line("memchr line split, one event", "ns", unit, (size_t)run_count);
    if (only == NULL || strchr(only, 'v')) {
        (void)measure("strict validation alone", check_pass, NULL, 4.5);
        (void)measure("strict validation with index", check_pass, index, 0);
        (void)measure("yajl, no callbacks", peer_pass, &yajl, 0);
        (void)measure("simdjson, document tree", peer_pass, &simdjson, 0);
    }
    for (size_t i = 0; i < CLASSES; i++)
        if ((only == NULL || strchr(only, 'c')) &&
            (class == NULL || strcmp(class, classes[i].name) == 0))
            class_measure(&classes[i]);
    if (only == NULL || strchr(only, 'a'))
        all_classes_measure();
    if (only == NULL || strchr(only, 'i'))
        indexed_measure();
    if (only == NULL || strchr(only, 'g')) {
        growth_measure("exact", EXACT, 100000);
        growth_measure("prefix", PREFIX, 100000);
        growth_measure("wildcard", WILDCARD, 100);
        growth_measure("numeric ranges", RANGES, 10000);
    }
    if (only == NULL || strchr(only, 'e'))
        edits_measure();
    if (failed)
        printf("# FAILED: an answer was wrong\n");
    free(index);
    free(starts);
    free(events);
    return failed;
}
