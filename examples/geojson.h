/* SPDX-License-Identifier: MIT */
/* geojson.h - reads the earthquakes of a GeoJSON file, as the USGS publishes them.
 *
 * A reader for one kind of file: it checks the grammar on its way, remembers the members
 * that the demo wants and skips the others. Strings are pieces of
 * the text as they stand there, escapes included; the file in use has none. */
#ifndef EXAMPLES_GEOJSON_H
#define EXAMPLES_GEOJSON_H

#include <faas/base.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define JSON_DEPTH_MAX 32

/* Where the reader stands. The first thing that is wrong ends the reading: everything
 * returns false from then on. */
struct json {
    const char *start, *at, *end;
    const char *wrong; /* what was expected at `at`; NULL as long as all is well */
};

/* A feature: something that shook the ground. Strings are borrowed from the text. */
struct feature {
    faas_bytes text; /* the whole of it */
    faas_bytes id, network, kind, place;
    double magnitude; /* NAN if nobody knows */
    double time_ms;   /* since 1970 */
    double longitude, latitude, depth_km;
    double felt; /* how many people said so; NAN if nobody did */
};

static bool text_is(faas_bytes text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

static bool json_fail(struct json *json, const char *expected)
{
    if (json->wrong == NULL)
        json->wrong = expected;
    return false;
}

static bool json_blanks(struct json *json)
{
    while (json->at < json->end && strchr(" \t\r\n", *json->at) != NULL && *json->at != 0)
        json->at++;
    return json->wrong == NULL && json->at < json->end;
}

/* Takes a character if it is the next one. */
static bool json_take(struct json *json, char c)
{
    if (!json_blanks(json) || *json->at != c)
        return false;
    json->at++;
    return true;
}

static bool json_word(struct json *json, const char *word)
{
    size_t size = strlen(word);

    if (!json_blanks(json) || (size_t)(json->end - json->at) < size ||
        memcmp(json->at, word, size) != 0)
        return false;
    json->at += size;
    return true;
}

static bool json_string(struct json *json, faas_bytes *text)
{
    const char *from;

    if (!json_take(json, '"'))
        return json_fail(json, "a string");
    for (from = json->at; json->at < json->end && *json->at != '"'; json->at++) {
        if (*json->at == '\\')
            json->at++;
    }
    if (json->at >= json->end)
        return json_fail(json, "the end of a string");
    *text = faas_bytes_of(from, (size_t)(json->at++ - from));
    return true;
}

/* Reads a number, or null as NAN. */
static bool json_number(struct json *json, double *number)
{
    char digits[64] = "", *rest;
    size_t size = 0;

    if (json_word(json, "null")) {
        *number = (double)NAN;
        return true;
    }
    while (size < sizeof digits - 1 && json->at + size < json->end &&
           strchr("+-.0123456789eE", json->at[size]) != NULL && json->at[size] != 0) {
        digits[size] = json->at[size];
        size++;
    }
    *number = strtod(digits, &rest);
    if (size == 0 || *rest != 0)
        return json_fail(json, "a number");
    json->at += size;
    return true;
}

/* Goes to the next element of an array or object that was entered; false at its end. */
static bool json_next(struct json *json, bool *first, char close)
{
    bool begins = *first;

    *first = false;
    if (json_take(json, close))
        return false;
    return json->wrong == NULL &&
           (begins || json_take(json, ',') || json_fail(json, "a comma or the end"));
}

/* Goes to the next member of an object: reads its key, and stands before its value. */
static bool json_member(struct json *json, bool *first, faas_bytes *key)
{
    return json_next(json, first, '}') && json_string(json, key) &&
           (json_take(json, ':') || json_fail(json, "a colon"));
}

static bool json_skip(struct json *json, int depth)
{
    faas_bytes text;
    double number;
    bool first = true;

    if (depth > JSON_DEPTH_MAX)
        return json_fail(json, "less nesting");
    if (json_take(json, '{')) {
        while (json_member(json, &first, &text) && json_skip(json, depth + 1))
            ;
        return json->wrong == NULL;
    }
    if (json_take(json, '[')) {
        while (json_next(json, &first, ']') && json_skip(json, depth + 1))
            ;
        return json->wrong == NULL;
    }
    if (json_blanks(json) && *json->at == '"')
        return json_string(json, &text);
    return json_word(json, "true") || json_word(json, "false") ||
           json_number(json, &number);
}

/* `null` gives no bytes. */
static bool json_string_or_null(struct json *json, faas_bytes *text)
{
    *text = faas_str("");
    return json_word(json, "null") || json_string(json, text);
}

static void json_properties(struct json *json, struct feature *feature)
{
    faas_bytes key;
    bool first = true;

    if (!json_take(json, '{'))
        json_fail(json, "an object of properties");
    while (json_member(json, &first, &key)) {
        if (text_is(key, "mag"))
            json_number(json, &feature->magnitude);
        else if (text_is(key, "time"))
            json_number(json, &feature->time_ms);
        else if (text_is(key, "felt"))
            json_number(json, &feature->felt);
        else if (text_is(key, "place"))
            json_string_or_null(json, &feature->place);
        else if (text_is(key, "net"))
            json_string(json, &feature->network);
        else if (text_is(key, "type"))
            json_string(json, &feature->kind);
        else
            json_skip(json, 3);
    }
}

static void json_geometry(struct json *json, struct feature *feature)
{
    double *place[] = {&feature->longitude, &feature->latitude, &feature->depth_km};
    faas_bytes key;
    bool first = true, first_number = true;

    if (json_word(json, "null"))
        return;
    if (!json_take(json, '{'))
        json_fail(json, "a geometry");
    while (json_member(json, &first, &key)) {
        if (!text_is(key, "coordinates")) {
            json_skip(json, 3);
            continue;
        }
        if (!json_take(json, '['))
            json_fail(json, "coordinates");
        for (size_t i = 0; json_next(json, &first_number, ']'); i++) {
            if (i < 3)
                json_number(json, place[i]);
            else
                json_skip(json, 4);
        }
    }
}

/* Reads the feature that stands next. */
static bool json_feature(struct json *json, struct feature *feature)
{
    faas_bytes key;
    bool first = true;
    const char *from;

    memset(feature, 0, sizeof *feature);
    feature->magnitude = feature->time_ms = feature->felt = (double)NAN;
    feature->longitude = feature->latitude = feature->depth_km = (double)NAN;
    json_blanks(json);
    from = json->at;
    if (!json_take(json, '{'))
        return json_fail(json, "a feature");
    while (json_member(json, &first, &key)) {
        if (text_is(key, "id"))
            json_string(json, &feature->id);
        else if (text_is(key, "properties"))
            json_properties(json, feature);
        else if (text_is(key, "geometry"))
            json_geometry(json, feature);
        else
            json_skip(json, 2);
    }
    feature->text = faas_bytes_of(from, (size_t)(json->at - from));
    if (json->wrong == NULL && (feature->id.size == 0 || feature->network.size == 0 ||
                                !(feature->time_ms >= 0 && feature->time_ms < 9e12)))
        return json_fail(json, "a feature with an id, a network and a time");
    return json->wrong == NULL;
}

/* Reads one feature of its own: the data of an event. */
static bool feature_read(faas_bytes text, struct feature *feature)
{
    struct json json = {text.data, text.data, (const char *)text.data + text.size, NULL};

    return json_feature(&json, feature);
}

/* Reads the features of a file into `features`, at most `max`, and counts them all.
 * On failure `json->wrong` says what was expected at `json->at`. */
static bool json_features(struct json *json, struct feature *features, size_t max,
                          size_t *count)
{
    struct feature feature;
    faas_bytes key;
    bool first = true, first_feature = true;

    *count = 0;
    if (!json_take(json, '{'))
        return json_fail(json, "an object");
    while (json_member(json, &first, &key)) {
        if (!text_is(key, "features")) {
            json_skip(json, 1);
            continue;
        }
        if (!json_take(json, '['))
            return json_fail(json, "an array of features");
        while (json_next(json, &first_feature, ']') && json_feature(json, &feature)) {
            if (*count < max)
                features[*count] = feature;
            ++*count;
        }
    }
    if (json_blanks(json))
        return json_fail(json, "the end of the file");
    return json->wrong == NULL;
}

/* Reads a whole file, or says why not and exits. */
static char *file_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    size_t room = 1 << 16;
    char *text = malloc(room);

    *size = 0;
    while (file != NULL && text != NULL) {
        *size += fread(text + *size, 1, room - *size, file);
        if (*size < room)
            break;
        room *= 2;
        text = realloc(text, room);
    }
    if (file == NULL || text == NULL || ferror(file)) {
        perror(path);
        exit(1);
    }
    fclose(file);
    return text;
}

static int feature_order(const void *left, const void *right)
{
    const struct feature *a = left, *b = right;

    return (a->time_ms > b->time_ms) - (a->time_ms < b->time_ms);
}

/* Returns the features of a file's text in the order of their times, or says why not and
 * exits. They borrow from the text. */
static struct feature *features_read(const char *path, const char *text, size_t size,
                                     size_t *count)
{
    struct json json = {text, text, text + size, NULL}, again = json;
    struct feature *features;

    if (!json_features(&json, NULL, 0, count)) {
        fprintf(stderr, "%s: at byte %zu: expected %s\n", path,
                (size_t)(json.at - json.start), json.wrong);
        exit(1);
    }
    features = calloc(*count + 1, sizeof *features);
    if (features == NULL || !json_features(&again, features, *count, count)) {
        perror(path);
        exit(1);
    }
    if (*count == 0) {
        fprintf(stderr, "%s: no features\n", path);
        exit(1);
    }
    qsort(features, *count, sizeof *features, feature_order);
    return features;
}

#endif /* EXAMPLES_GEOJSON_H */
