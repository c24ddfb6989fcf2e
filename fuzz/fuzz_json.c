/* SPDX-License-Identifier: MIT */
/* Event scanner: on any bytes all kernels give the naive parser's answer and one index; a
 * strict walk finds what the naive walk finds; a trusted walk stays inside the bytes, and
 * on JSON without duplicate keys finds the same. Numbers and strings survive too. */
#include "fuzz.h"

#include "../tests/naive_json.h"
#include "core/json_impl.h"

#define VALUES_MAX 65536

static struct faasi_json_walk walk;
static struct faasi_json_value values[VALUES_MAX], strict_values[VALUES_MAX];
static struct faasi_json_place places[VALUES_MAX];

static const struct faasi_json_path paths[] = {
    {(const faas_bytes[]){{"a", 1}}, 1},
    {(const faas_bytes[]){{"a", 1}, {"b", 1}}, 2},
    {(const faas_bytes[]){{"b", 1}, {"a", 1}}, 2},
    {(const faas_bytes[]){{"a", 1}, {"a", 1}, {"a", 1}}, 3},
    {(const faas_bytes[]){{"", 0}}, 1},
    {(const faas_bytes[]){{"q\"", 2}}, 1},
    {(const faas_bytes[]){{"key8byte", 8}, {"\\", 1}}, 2},
    {(const faas_bytes[]){{"sixteen-bytes-ke", 16}}, 1},
};

/* The first one, the first four, or all. */
static const size_t path_counts[] = {1, 4, FAASI_COUNT(paths)};
static struct faasi_json_paths *sets[FAASI_COUNT(path_counts)];

struct compare {
    uint32_t next;
};

static void compare_value(const struct naive *value, size_t field,
                          const struct naive_place *place, void *user)
{
    struct compare *c = user;
    const struct faasi_json_value *v = &values[c->next++];
    uint32_t at = v->place;

    REQUIRE(c->next <= walk.value_count);
    REQUIRE(v->field == field && v->kind == value->kind);
    REQUIRE(v->begin == value->begin && v->end == value->end);
    for (; place != NULL; place = place->outer) {
        REQUIRE(at < walk.place_count);
        REQUIRE(places[at].array == place->array && places[at].element == place->element);
        at = places[at].outer;
    }
    REQUIRE(at == FAASI_JSON_NOWHERE);
}

/* Keys that come twice in one object, at any level. */
static bool has_twins(const struct naive *value)
{
    for (const struct naive *a = value->first; a != NULL; a = a->next) {
        if (has_twins(a))
            return true;
        for (const struct naive *b = a->next; b != NULL && a->key != NULL; b = b->next)
            if (a->key_size == b->key_size && memcmp(a->key, b->key, a->key_size) == 0)
                return true;
    }
    return false;
}

static void scalars_read(const unsigned char *text, size_t size)
{
    for (uint32_t i = 0; i < walk.value_count; i++) {
        const char *at = (const char *)text + values[i].begin;
        const char *end = (const char *)text + values[i].end;
        char out[64];

        REQUIRE(values[i].begin <= values[i].end && values[i].end <= size);
        if (values[i].kind == FAASI_JSON_NUMBER)
            (void)faasi_json_number(at, (size_t)(end - at));
        while (values[i].kind == FAASI_JSON_ESCAPED && at < end)
            REQUIRE(faasi_json_unescape(&at, end, out, sizeof out) > 0);
    }
}

static void walk_both(const struct faasi_json_kernel *kernel, faas_bytes text, size_t set,
                      const struct naive *root, const uint64_t *index)
{
    enum faasi_json_walked walked;
    uint32_t count = 0;

    if (root != NULL) {
        struct compare c = {0};
        struct naive_walk naive = {paths, path_counts[set], compare_value, &c};

        faasi_json_walk_start(&walk, sets[set], text, index);
        REQUIRE(kernel->walk(&walk) == FAASI_JSON_DONE);
        naive_walk(root, &naive);
        REQUIRE(c.next == walk.value_count);
        scalars_read(text.data, text.size);
        count = walk.value_count;
        memcpy(strict_values, values, count * sizeof *values);
    }
    faasi_json_walk_start(&walk, sets[set], text, NULL);
    walked = kernel->walk(&walk);
    REQUIRE(walked != FAASI_JSON_FULL);
    scalars_read(text.data, text.size);
    if (root != NULL)
        REQUIRE(walked == FAASI_JSON_DONE);
    if (root != NULL && !has_twins(root)) {
        REQUIRE(walk.value_count == count);
        for (uint32_t i = 0; i < count; i++)
            REQUIRE(values[i].begin == strict_values[i].begin &&
                    values[i].field == strict_values[i].field);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct naive *root = naive_parse(data, size);
    unsigned char *text = malloc(size); /* of this size exactly, for the sanitizer */
    uint64_t *index = malloc(faasi_json_index_bytes(size));
    struct faasi_json_fault fault;
    faas_status status;

    if (sets[0] == NULL)
        for (size_t i = 0; i < FAASI_COUNT(sets); i++)
            REQUIRE(faasi_json_paths_open(&sets[i], paths, path_counts[i], NULL) ==
                    FAAS_OK);
    if (size != 0)
        memcpy(text, data, size);
    walk.values = values;
    walk.value_max = VALUES_MAX;
    walk.places = places;
    walk.place_max = VALUES_MAX;
    memset(faasi_json_shape(), 0, sizeof(struct shape)); // a walk may take its own

    status = faasi_json_check(faas_bytes_of(text, size), index, &fault);
    REQUIRE((status == FAAS_OK) == (root != NULL));
    if (status != FAAS_OK)
        REQUIRE(fault.offset <= size);
    for (int isa = 0; isa < FAASI_JSON_ISA_COUNT; isa++) {
        const struct faasi_json_kernel *kernel =
            faasi_json_kernel((enum faasi_json_isa)isa);

        if (kernel == NULL)
            continue;
        REQUIRE(kernel->check(text, size, NULL) == (root != NULL));
        REQUIRE(kernel->check(text, size, index) == (root != NULL));
        if (size < VALUES_MAX)
            for (size_t set = 0; set < FAASI_COUNT(sets); set++)
                walk_both(kernel, faas_bytes_of(text, size), set, root, index);
    }
    naive_free(root);
    free(index);
    free(text);
    return 0;
}
