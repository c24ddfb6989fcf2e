/* SPDX-License-Identifier: MIT */
/* quakes.c - a week of real earthquakes through an embedded serverless platform.
 *
 *     quakes FILE            what happened, as tables
 *     quakes FILE --totals   the same as one line of JSON
 *
 * FILE is a GeoJSON feed of the USGS; scripts/demo fetches one week of 2018. Each of its
 * features is published as an event, in the order of their times:
 *
 *     source   /usgs/NETWORK, as in /usgs/ak: who saw it
 *     type     quake.micro to quake.great, by magnitude; blast, if people did it
 *     data     the feature, as it stands in the file
 *
 * Seven functions live on these events. Some subscribe to types; others get what a pattern
 * finds in the data. They are called when there is something to do, start cold, stay warm
 * while the ground keeps shaking, and are closed when it rests. */
#include "geojson.h"
#include "week.h"

#include <faas/faas.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MINUTE_NS UINT64_C(60000000000)
#define MIB ((uint64_t)1 << 20)

/* ---- region: counts what happened where, in the instance's own state ---- */

/* A cold start: an instance begins with a state of its own ... */
static int region_init(faas_context *ctx, void **state)
{
    *state = faas_instance_alloc(ctx, sizeof(struct regions));
    return *state != NULL ? 0 : faas_fail(ctx, 1, "no memory for the regions");
}

/* ... which it has to itself while it lives, for one invocation after the other ... */
static int region_handle(faas_context *ctx, faas_bytes input)
{
    struct regions *regions = faas_state(ctx);
    struct feature quake;
    char name[sizeof regions->at->name];

    if (!feature_read(input, &quake))
        return faas_fail(ctx, 2, "not a feature");
    region_name(quake.place, name, sizeof name);
    if (!region_add(regions, name, 1, quake.magnitude))
        return faas_fail(ctx, 3, "more than %d regions", REGIONS_MAX);
    return 0;
}

/* ... and whoever closes it, after an idle time or at the very end, this always runs. */
static void region_close(void *state, void *user)
{
    const struct regions *regions = state;
    struct week *week = user;

    for (size_t i = 0; i < regions->count; i++) {
        const struct region *region = &regions->at[i];

        if (!region_add(&week->regions, region->name, region->count,
                        region->magnitude_max))
            fprintf(stderr, "quakes: no room for %s\n", region->name);
    }
}

/* ---- energy: what the quakes set free, through a symbol of libm ---- */

static int energy_handle(faas_context *ctx, faas_bytes input)
{
    struct week *week = faas_user(ctx);
    struct feature quake;
    faas_value args[2], joules;
    faas_status status;

    if (!feature_read(input, &quake))
        return faas_fail(ctx, 2, "not a feature");
    if (isnan(quake.magnitude))
        return 0;
    /* Gutenberg and Richter: log10 of the energy is 1.5 x magnitude + 4.8. */
    args[0] = faas_f64(10);
    args[1] = faas_f64(1.5 * quake.magnitude + 4.8);
    status = faas_call(faas_context_runtime(ctx), week->pow, args, 2, 0, &joules);
    if (status != FAAS_OK)
        return faas_fail(ctx, 3, "pow: %s", faas_status_text(status));
    week->energy_j += joules.as.f64;
    return 0;
}

/* ---- alert: keeps the strongest, and raises an alert from magnitude 4.5 on ---- */

/* Publishes in its turn: whoever wants alerts asks for them. An alert says how many people
 * felt the quake, if anybody did. */
static int alert_handle(faas_context *ctx, faas_bytes input)
{
    struct week *week = faas_user(ctx);
    const faas_event *cause = faas_context_event(ctx);
    faas_extension felt;
    struct feature quake;
    faas_event *alert;
    faas_status status;

    if (!feature_read(input, &quake))
        return faas_fail(ctx, 2, "not a feature");
    strongest_keep(week->strongest, &quake);
    if (!(quake.magnitude >= 4.5))
        return 0;
    week->alerts++;
    felt = faas_extension_integer("felt", isnan(quake.felt) ? 0 : (int32_t)quake.felt);
    status = faas_event_create(
        FAAS_EVENT(.id = faas_event_id(cause), .type = "alert.raised",
                   .source = "/quakes/alert", .time = faas_event_time(cause),
                   .extensions = &felt, .extension_count = isnan(quake.felt) ? 0u : 1u,
                   .data = input),
        &alert);
    if (status == FAAS_OK)
        status = faas_publish(faas_context_runtime(ctx), alert, NULL);
    faas_event_release(alert);
    return status == FAAS_OK ? 0 : faas_fail(ctx, 3, "%s", faas_status_text(status));
}

/* ---- pager: one page at a time, because there is one line; its cap is 1 ---- */

/* From magnitude 6 on the chief is paged as well. The line is not free yet: this very
 * invocation has it. So the call is refused, the handler does not run a second time, and
 * the caller is told when to ask again. The event is kept until then. */
static int pager_handle(faas_context *ctx, faas_bytes input)
{
    struct week *week = faas_user(ctx);
    struct feature quake;
    faas_status status;

    if (!feature_read(input, &quake))
        return faas_fail(ctx, 2, "not a feature");
    week->pages++;
    if (faas_attempt(ctx) > 1)
        week->pages_late++;
    if (faas_attempt(ctx) > 1 || quake.magnitude < 6)
        return 0;
    status = faas_invoke(faas_context_runtime(ctx), faas_context_fn(ctx), input, 0, NULL);
    if (status != FAAS_EBUSY)
        return faas_fail(ctx, 3, "the line is capped at 1, and says: %s",
                         faas_status_text(status));
    week->retry_ns += faas_retry_after_ns();
    week->late = faas_event_acquire(faas_context_event(ctx));
    return 0;
}

/* ---- tsunami: counts what the USGS has flagged: its rule lets nothing else come ---- */

static int tsunami_handle(faas_context *ctx, faas_bytes input)
{
    struct week *week = faas_user(ctx);

    (void)input;
    week->tsunamis++;
    return 0;
}

/* ---- anchorage: when a wave from an Alaskan quake gets there; its init is slow ---- */

#define EARTH_KM 6371.0
enum { WAVE_DISTANCE_MAX = 2000, WAVE_DEPTH_MAX = 256, WAVE_STEPS = 8 };

/* Seconds by depth of the quake and distance from it, both in km. */
typedef float wave_table[WAVE_DEPTH_MAX][WAVE_DISTANCE_MAX];

/* Speed of a P wave in km/s by depth: the upper layers of the IASP91 model. */
static double wave_speed(double depth_km)
{
    if (depth_km < 20)
        return 5.8;
    return depth_km < 35 ? 6.5 : 8.04 + 0.0011 * (depth_km - 35);
}

/* Along the straight line from the quake to the surface, that far away. */
static double wave_travel(double depth_km, double distance_km)
{
    double angle = distance_km / EARTH_KM;
    double x = EARTH_KM * sin(angle), y = EARTH_KM * cos(angle) - (EARTH_KM - depth_km);
    double slowness = 0;

    for (int i = 0; i < WAVE_STEPS; i++) {
        double part = (i + 0.5) / WAVE_STEPS;
        double height = EARTH_KM - depth_km + part * y;

        slowness +=
            1 / wave_speed(EARTH_KM - sqrt(part * x * part * x + height * height));
    }
    return sqrt(x * x + y * y) * slowness / WAVE_STEPS;
}

/* Half a million rays: the kind of init that one does not want to pay per call. */
static int wave_init(faas_context *ctx, void **state)
{
    wave_table *table = faas_instance_alloc(ctx, sizeof *table);

    if (table == NULL)
        return faas_fail(ctx, 1, "no memory for the table");
    for (int depth = 0; depth < WAVE_DEPTH_MAX; depth++) {
        for (int distance = 0; distance < WAVE_DISTANCE_MAX; distance++)
            (*table)[depth][distance] = (float)wave_travel(depth, distance);
    }
    *state = table;
    return 0;
}

static int wave_handle(faas_context *ctx, faas_bytes input)
{
    const double radian = 3.14159265358979323846 / 180;
    const double latitude = 61.2181 * radian, longitude = -149.9003 * radian;
    const wave_table *table = faas_state(ctx);
    struct week *week = faas_user(ctx);
    struct feature quake;
    double distance, depth, north, east, seconds;

    if (!feature_read(input, &quake))
        return faas_fail(ctx, 2, "not a feature");
    north = sin((quake.latitude * radian - latitude) / 2);
    east = sin((quake.longitude * radian - longitude) / 2);
    distance = 2 * EARTH_KM *
               asin(sqrt(north * north +
                         cos(latitude) * cos(quake.latitude * radian) * east * east));
    depth = fmax(quake.depth_km, 0);
    if (!(distance < WAVE_DISTANCE_MAX && depth < WAVE_DEPTH_MAX))
        return 0; // too far to be felt, or nobody knows where it was
    seconds = (double)(*table)[(int)depth][(int)distance];
    if (week->waves++ == 0 || seconds < week->wave_s_min)
        week->wave_s_min = seconds;
    return 0;
}

/* ---- the functions, and which events they want ---- */

static faas_fn function_add(faas_runtime *rt, const faas_function *function)
{
    faas_fn fn;

    check(faas_function_register(rt, function, &fn), function->name);
    return fn;
}

static void subscribe(faas_runtime *rt, faas_fn fn, const faas_subscription *on)
{
    check(faas_subscribe(rt, fn, on, NULL), "subscribe");
}

static void rule_put(faas_runtime *rt, faas_fn fn, const char *name, const char *pattern)
{
    check(faas_rule_put(rt, name, pattern, fn), name);
}

/* Returns the pager, which the replay has to call again. */
static faas_fn functions_add(faas_runtime *rt, struct week *week)
{
    faas_fn fn;

    fn = function_add(rt, FAAS_FUNCTION(.name = "region", .handler = region_handle,
                                        .init = region_init, .close = region_close,
                                        .user = week));
    subscribe(rt, fn, FAAS_ON(.type = "quake.*"));

    fn = function_add(rt, FAAS_FUNCTION(.name = "energy", .handler = energy_handle,
                                        .idle_ns = 25 * MINUTE_NS, .user = week));
    subscribe(rt, fn, FAAS_ON(.type = "quake.*"));
    check(faas_symbol_load(rt, "pow", "d(dd)", "libm.so.6", "pow",
                           FAAS_FUNCTION(.idle_ns = 30 * MINUTE_NS), &week->pow),
          "libm");

    fn = function_add(rt, FAAS_FUNCTION(.name = "alert", .handler = alert_handle,
                                        .idle_ns = 30 * MINUTE_NS, .user = week));
    rule_put(rt, fn, "from magnitude 4 on",
             "{\"type\": [{\"prefix\": \"quake.\"}],"
             " \"data\": {\"properties\": {\"mag\": [{\"numeric\": [\">=\", 4]}]}}}");

    fn = function_add(rt, FAAS_FUNCTION(.name = "tsunami", .handler = tsunami_handle,
                                        .idle_ns = 20 * MINUTE_NS, .user = week));
    rule_put(rt, fn, "flagged",
             "{\"type\": [{\"prefix\": \"quake.\"}],"
             " \"data\": {\"properties\": {\"tsunami\": [1]}}}");

    fn = function_add(rt, FAAS_FUNCTION(.name = "anchorage", .handler = wave_handle,
                                        .init = wave_init, .idle_ns = 60 * MINUTE_NS,
                                        .memory_bytes = 512 * MIB, .user = week));
    rule_put(rt, fn, "in Alaska",
             "{\"source\": [{\"prefix\": \"/usgs/\"}]," // not what `alert` publishes
             " \"data\": {\"properties\": {\"place\": [{\"suffix\": \"Alaska\"}]}}}");

    fn = function_add(rt, FAAS_FUNCTION(.name = "pager", .handler = pager_handle,
                                        .concurrency = 1, .idle_ns = 120 * MINUTE_NS,
                                        .user = week));
    rule_put(
        rt, fn, "felt, or from magnitude 5.5 on",
        "{\"type\": [\"alert.raised\"],"
        " \"$or\": ["
        "   {\"felt\": [{\"exists\": true}]},"
        "   {\"data\": {\"properties\": {\"mag\": [{\"numeric\": [\">=\", 5.5]}]}}}]}");
    return fn;
}

/* ---- the week, once more ---- */

/* The classes of the USGS. */
static const char *event_type(const struct feature *feature)
{
    static const struct {
        double below;
        const char *type;
    } classes[] = {{3, "quake.micro"},    {4, "quake.minor"},  {5, "quake.light"},
                   {6, "quake.moderate"}, {7, "quake.strong"}, {8, "quake.major"}};

    if (!text_is(feature->kind, "earthquake"))
        return "blast";
    if (isnan(feature->magnitude))
        return "quake.unknown";
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (feature->magnitude < classes[i].below)
            return classes[i].type;
    }
    return "quake.great";
}

/* The data stays where it is, in the text of the file. */
static faas_event *event_of(const struct feature *feature)
{
    char id[64], source[64], time[40];
    time_t seconds = (time_t)(feature->time_ms / 1000);
    struct tm utc;
    faas_event *event;
    size_t size;

    snprintf(id, sizeof id, "%.*s", (int)feature->id.size,
             (const char *)feature->id.data);
    snprintf(source, sizeof source, "/usgs/%.*s", (int)feature->network.size,
             (const char *)feature->network.data);
    gmtime_r(&seconds, &utc);
    size = strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(time + size, sizeof time - size, ".%03dZ",
             (int)(feature->time_ms - (double)seconds * 1000));
    check(faas_event_create(FAAS_EVENT(.id = id, .source = source, .time = time,
                                       .type = event_type(feature),
                                       .data_content_type = "application/geo+json",
                                       .data = feature->text,
                                       .data_hold = FAAS_DATA_BORROW),
                            &event),
          id);
    return event;
}

/* Publishes one feature, at its time.
 *
 * The runtime lives on a clock that runs like the machine's, so that handlers take the
 * time they take; but before each event the clock is moved on to the event's own time.
 * The minutes in which nothing happened pass in no time, and yet they have passed:
 * instances that were idle for long are closed by the sweep, and the next event starts
 * cold. */
static void feature_publish(faas_runtime *rt, faas_clock *clock, faas_fn pager,
                            struct week *week, const struct feature *feature)
{
    faas_event *event = event_of(feature);
    faas_delivery delivery;

    /* An instant in the clock's past is refused, and that is fine: two quakes within
     * the time that handlers took. The second one then comes a little late. */
    if (faas_clock_set(clock, (uint64_t)faas_event_time_ns(event)) != FAAS_OK &&
        faas_clock_now(clock) < (uint64_t)faas_event_time_ns(event))
        check(FAAS_ESYSTEM, "the clock does not move");
    faas_runtime_sweep(rt, NULL);
    check(faas_publish(rt, event, &delivery), faas_event_id(event));
    if (delivery.ran != delivery.matched) {
        fprintf(stderr, "quakes: %s: %u of %u functions ran\n", faas_event_id(event),
                delivery.ran, delivery.matched);
        exit(1);
    }
    faas_event_release(event);

    /* The line is free again. */
    if (week->late != NULL) {
        check(faas_invoke_with(rt, pager, faas_str(NULL),
                               FAAS_CALL(.event = week->late, .attempt = 2), NULL),
              "pager");
        faas_event_release(week->late);
        week->late = NULL;
    }
}

int main(int argc, char **argv)
{
    bool totals = argc == 3 && strcmp(argv[2], "--totals") == 0;
    static struct report reports[FUNCTIONS_MAX];
    static struct week week;
    faas_runtime_options options = FAAS_RUNTIME_OPTIONS_INIT;
    faas_runtime *rt;
    faas_fn pager;
    struct feature *features;
    size_t size, count, report_count;
    uint64_t begun = faas_clock_now(NULL);
    char *text, from[32], to[32], took[16];

    if (argc != 2 && !totals) {
        fprintf(stderr,
                "usage: quakes FILE [--totals]\n"
                "FILE is a GeoJSON feed of earthquakes; scripts/demo fetches one.\n");
        return 2;
    }
    text = file_read(argv[1], &size);
    features = features_read(argv[1], text, size, &count);

    check(faas_clock_open_running((uint64_t)features[0].time_ms * 1000000, NULL,
                                  &options.clock),
          "clock");
    check(faas_runtime_open(&rt, &options), "runtime");
    pager = functions_add(rt, &week);
    for (size_t i = 0; i < count; i++)
        feature_publish(rt, options.clock, pager, &week, &features[i]);

    report_count = reports_take(rt, reports);
    check(faas_runtime_close(rt), "close"); // the last regions are counted here
    faas_clock_close(options.clock);
    qsort(week.regions.at, week.regions.count, sizeof *week.regions.at, region_order);

    if (totals) {
        totals_print(&week, count, reports, report_count);
    } else {
        printf("%zu earthquakes and blasts, %s to %s, in %s\n\n", count,
               day(features[0].time_ms, "%d %b", from),
               day(features[count - 1].time_ms, "%d %b %Y", to),
               duration((double)(faas_clock_now(NULL) - begun), took));
        functions_print(reports, report_count);
        week_print(&week);
    }
    free(features);
    free(text);
    return 0;
}
