/* SPDX-License-Identifier: MIT */
/* bench_scanner.c - what the event scanner costs, beside a line split with memchr.
 *
 * bench_scanner EVENTS [PASSES]: EVENTS holds one JSON object per line, as
 * gen_citylots2.py writes them. All subjects take turns within each pass, so that a
 * change of the machine's speed meets them alike; figures are per event. Prints one line
 * per subject, separated by tabs: bench, subject, unit, median, p99, runs; and again with
 * the unit `memchr`, as multiples of the memchr line split of the same pass. Pin it to a
 * core. */
#define _DEFAULT_SOURCE /* madvise */
#include "core/json.h"
#include "core/mem.h"

#include <sys/mman.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define HUGE_PAGE ((size_t)2 << 20)
#define EVENTS_MAX 300000
#define PASSES_MAX 200

static char *text;
static size_t text_size;
static faas_bytes events[EVENTS_MAX];
static size_t event_count;
static uint64_t *index_words;
/* Every event's own index, for the walk that finds it made. */
static uint64_t *index_all;
static size_t index_at[EVENTS_MAX];

static struct faasi_json_walk walk;
static struct faasi_json_value values[4096];
static struct faasi_json_place places[4096];
static uint64_t found; /* values; keeps the compiler from dropping the work */

static void die(const char *what)
{
    fprintf(stderr, "bench_scanner: %s\n", what);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void events_read(const char *name)
{
    FILE *file = fopen(name, "rb");
    long size = 0;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) <= 0)
        die("cannot read the events");
    rewind(file);
    text_size = (size_t)size;
    text = aligned_alloc(HUGE_PAGE, (text_size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
#ifdef MADV_HUGEPAGE
    /* Or the walks that look at a few lines of each event measure the page tables. */
    if (text != NULL && getenv("SMALL_PAGES") == NULL)
        madvise(text, text_size, MADV_HUGEPAGE);
#endif
    if (text == NULL || fread(text, 1, text_size, file) != text_size)
        die("cannot read the events");
    fclose(file);
}

static void split(void)
{
    const char *at = text, *end = text + text_size, *line;

    event_count = 0;
    while (at < end && event_count < EVENTS_MAX) {
        line = memchr(at, '\n', (size_t)(end - at));
        if (line == NULL)
            line = end;
        events[event_count++] = faas_bytes_of(at, (size_t)(line - at));
        at = line + 1;
    }
}

static void index_all_make(void)
{
    size_t words = 0;

    for (size_t i = 0; i < event_count; i++) {
        index_at[i] = words;
        words += faasi_json_index_bytes(events[i].size) / sizeof(uint64_t);
    }
    index_all = malloc(words * sizeof(uint64_t));
    if (index_all == NULL)
        die("no memory for the indexes");
    for (size_t i = 0; i < event_count; i++)
        if (faasi_json_check(events[i], index_all + index_at[i], NULL) != FAAS_OK)
            die("an event is malformed");
}

/* Names of keys, separated by dots, of paths, separated by commas. */
static struct faasi_json_paths *paths_make(const char *names)
{
    static char copy[16][64];
    static faas_bytes keys[16][8];
    struct faasi_json_path paths[16];
    struct faasi_json_paths *set;
    size_t count = 0;

    while (*names != '\0') {
        size_t size = strcspn(names, ","), at = 0;

        memcpy(copy[count], names, size);
        copy[count][size] = '\0';
        paths[count] = (struct faasi_json_path){keys[count], 0};
        while (at < size) {
            size_t step = strcspn(copy[count] + at, ".");

            keys[count][paths[count].key_count++] = faas_bytes_of(copy[count] + at, step);
            at += step + 1;
        }
        count++;
        names += size + (names[size] == ',');
    }
    if (faasi_json_paths_open(&set, paths, count, NULL) != FAAS_OK)
        die("paths");
    return set;
}

enum mode {
    MODE_MEMCHR,
    MODE_CHECK,         /* validation alone */
    MODE_INDEX,         /* with an index */
    MODE_STRICT,        /* with an index, and a walk */
    MODE_AGAIN,         /* a walk over an index that is there */
    MODE_AGAIN_HOT,     /* the same right after another walk */
    MODE_TRUSTED,       /* a walk over the text */
    MODE_TRUSTED_FETCH, /* the same, with the sixth event ahead prefetched */
    MODE_NUMBERS,       /* the same, and numbers are converted */
};

static void walk_event(const struct faasi_json_kernel *kernel,
                       const struct faasi_json_paths *paths, faas_bytes event,
                       const uint64_t *index, bool numbers)
{
    faasi_json_walk_start(&walk, paths, event, index);
    if (kernel->walk(&walk) != FAASI_JSON_DONE)
        die("a walk did not end");
    found += walk.value_count;
    if (numbers)
        for (uint32_t i = 0; i < walk.value_count; i++)
            if (values[i].kind == FAASI_JSON_NUMBER)
                found += faasi_json_number((const char *)event.data + values[i].begin,
                                           values[i].end - values[i].begin) > 0;
}

static void pass(const struct faasi_json_kernel *kernel, enum mode mode,
                 const struct faasi_json_paths *paths)
{
    if (mode == MODE_MEMCHR) {
        split();
        return;
    }
    for (size_t i = 0; i < event_count; i++) {
        faas_bytes event = events[i];
        bool ok = true;

        switch (mode) {
        case MODE_CHECK:
            ok = kernel->check(event.data, event.size, NULL);
            break;
        case MODE_INDEX:
            ok = kernel->check(event.data, event.size, index_words);
            break;
        case MODE_STRICT:
            ok = kernel->check(event.data, event.size, index_words);
            walk_event(kernel, paths, event, index_words, false);
            break;
        case MODE_AGAIN:
            walk_event(kernel, paths, event, index_all + index_at[i], false);
            break;
        case MODE_TRUSTED_FETCH:
            if (i + 6 < event_count) {
                __builtin_prefetch(events[i + 6].data);
                __builtin_prefetch((const char *)events[i + 6].data + 63);
            }
            walk_event(kernel, paths, event, NULL, false);
            break;
        default:
            walk_event(kernel, paths, event, NULL, mode == MODE_NUMBERS);
            break;
        }
        if (!ok)
            die("an event is malformed");
    }
}

/* The walk alone when text and index are in the cache: the same event twice, less once.
 */
static uint64_t pass_hot(const struct faasi_json_kernel *kernel,
                         const struct faasi_json_paths *paths)
{
    uint64_t spent = 0;

    for (size_t from = 0; from < event_count; from += 16) {
        size_t to = from + 16 < event_count ? from + 16 : event_count;
        uint64_t start;

        for (size_t i = from; i < to; i++)
            walk_event(kernel, paths, events[i], index_all + index_at[i], false);
        start = now_ns();
        for (size_t i = from; i < to; i++)
            walk_event(kernel, paths, events[i], index_all + index_at[i], false);
        spent += now_ns() - start;
    }
    return spent;
}

struct subject {
    char name[64];
    const struct faasi_json_kernel *kernel;
    enum mode mode;
    struct faasi_json_paths *paths;
    double ns[PASSES_MAX];
};

static struct subject subjects[80];
static size_t subject_count;

static void add(const char *name, const struct faasi_json_kernel *kernel, enum mode mode,
                struct faasi_json_paths *paths)
{
    struct subject *s = &subjects[subject_count++];

    snprintf(s->name, sizeof s->name, "%s%s%s", kernel == NULL ? "" : kernel->name,
             kernel == NULL ? "" : " ", name);
    s->kernel = kernel;
    s->mode = mode;
    s->paths = paths;
}

static int compare(const void *left, const void *right)
{
    const double *a = left, *b = right;

    return *a < *b ? -1 : *a > *b;
}

static void print(const struct subject *s, const char *unit, const double *ns,
                  size_t passes)
{
    double sorted[PASSES_MAX];

    memcpy(sorted, ns, passes * sizeof *ns);
    qsort(sorted, passes, sizeof *sorted, compare);
    printf("scanner\t%s\t%s\t%.3f\t%.3f\t%zu\n", s->name, unit, sorted[passes / 2],
           sorted[(passes * 99 + 99) / 100 - 1], passes);
}

int main(int argc, char **argv)
{
    size_t passes = argc > 2 ? (size_t)atol(argv[2]) : 7;
    struct faasi_json_paths *one, *two, *numeric, *seven, *located;

    if (argc < 2 || passes == 0 || passes > PASSES_MAX)
        die("usage: bench_scanner EVENTS [PASSES]");
    events_read(argv[1]);
    split();
    index_words = malloc(faasi_json_index_bytes(1 << 20));
    index_all_make();
    walk.values = values;
    walk.value_max = FAASI_COUNT(values);
    walk.places = places;
    walk.place_max = FAASI_COUNT(places);

    one = paths_make("properties.MAPBLKLOT");
    two = paths_make("properties.STREET,properties.ST_TYPE");
    numeric = paths_make("geometry.type,geometry.firstCoordinates.x,"
                         "geometry.firstCoordinates.z");
    seven = paths_make("properties.MAPBLKLOT,properties.STREET,properties.ST_TYPE,"
                       "properties.FROM_ST,geometry.type,geometry.firstCoordinates.x,"
                       "geometry.firstCoordinates.z");
    located = paths_make("geometry.type,geometry.coordinates.x,geometry.coordinates.y");

    add("memchr", NULL, MODE_MEMCHR, NULL);
    for (int isa = FAASI_JSON_ISA_COUNT - 1; isa >= 0; isa--) {
        const struct faasi_json_kernel *k = faasi_json_kernel((enum faasi_json_isa)isa);

        if (k == NULL || (isa != FAASI_JSON_AVX512 && getenv("BEST") != NULL))
            continue;
        add("check", k, MODE_CHECK, NULL);
        add("check+index", k, MODE_INDEX, NULL);
        add("strict one", k, MODE_STRICT, one);
        add("strict two", k, MODE_STRICT, two);
        add("strict numeric", k, MODE_STRICT, numeric);
        add("strict seven", k, MODE_STRICT, seven);
        add("strict coordinates", k, MODE_STRICT, located);
        add("again one", k, MODE_AGAIN, one);
        add("again one hot", k, MODE_AGAIN_HOT, one);
        add("again seven hot", k, MODE_AGAIN_HOT, seven);
        add("trusted one", k, MODE_TRUSTED, one);
        add("trusted one prefetched", k, MODE_TRUSTED_FETCH, one);
        add("trusted two", k, MODE_TRUSTED, two);
        add("trusted numeric", k, MODE_TRUSTED, numeric);
        add("trusted seven", k, MODE_TRUSTED, seven);
        add("trusted coordinates", k, MODE_TRUSTED, located);
        add("trusted coordinates converted", k, MODE_NUMBERS, located);
    }

    /* The first pass warms up and is not counted. */
    for (size_t p = 0; p <= passes; p++) {
        for (size_t i = 0; i < subject_count; i++) {
            struct subject *s = &subjects[i];
            uint64_t start = now_ns(), spent;

            if (s->mode == MODE_AGAIN_HOT) {
                spent = pass_hot(s->kernel, s->paths);
            } else {
                pass(s->kernel, s->mode, s->paths);
                spent = now_ns() - start;
            }
            if (p > 0)
                s->ns[p - 1] = (double)spent / (double)event_count;
        }
    }
    for (size_t i = 0; i < subject_count; i++)
        print(&subjects[i], "ns", subjects[i].ns, passes);
    for (size_t i = 1; i < subject_count; i++) {
        double multiples[PASSES_MAX];

        for (size_t p = 0; p < passes; p++)
            multiples[p] = subjects[i].ns[p] / subjects[0].ns[p];
        print(&subjects[i], "memchr", multiples, passes);
    }
    fprintf(stderr, "%llu values\n", (unsigned long long)found);
    return 0;
}
