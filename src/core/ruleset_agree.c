/* SPDX-License-Identifier: MIT */
/* ruleset_agree.c - array consistency.
 *
 * A place is an element of an array; places lie in places, and the event is around all of
 * them: here it is place `root`. Inside a place any values may go together that stand in
 * it directly; of each array in it only one element may be used.
 *
 * So long as no leaf finds values in two arrays of the same place, arrays are
 * independent: an array must have one element that has all the leaves of the array.
 * Leaves that a place around it has directly are free. This is decided from the innermost
 * places outwards, as places are numbered from outside in. Only keys that come twice
 * break the condition; then the sets of leaves that each place can have together are
 * written out. */
#include "ruleset_agree.h"

#define WAYS_MAX 1024

/* A set of leaves takes `words` words. */
struct agree {
    const struct faasi_json_place *places;
    uint32_t place_count; /* also the number of the root */
    size_t words;
    struct faasi_scratch *scratch;
    uint64_t *direct; /* by place: leaves with a value right there */
    uint64_t *free;   /* by place: the same, and those of the places around it */
    uint64_t *have;   /* by place: leaves that it can have together */
    uint64_t *inside; /* by array: leaves with a value somewhere in it, and not free */
    uint32_t *array;  /* by place: the array it is an element of */
    uint32_t *outer;  /* by array: the place it lies in */
    uint32_t array_count;
};

static uint64_t *set_at(const struct agree *a, uint64_t *sets, uint32_t index)
{
    return sets + a->words * index;
}

static void set_add(const struct agree *a, uint64_t *to, const uint64_t *from)
{
    for (size_t i = 0; i < a->words; i++)
        to[i] |= from[i];
}

static bool set_has(const struct agree *a, const uint64_t *all, const uint64_t *part)
{
    for (size_t i = 0; i < a->words; i++)
        if ((part[i] & ~all[i]) != 0)
            return false;
    return true;
}

static bool set_meets(const struct agree *a, const uint64_t *one, const uint64_t *other)
{
    for (size_t i = 0; i < a->words; i++)
        if ((one[i] & other[i]) != 0)
            return true;
    return false;
}

static uint32_t outer_of(const struct agree *a, uint32_t place)
{
    uint32_t outer = a->places[place].outer;

    return outer == FAASI_JSON_NOWHERE ? a->place_count : outer;
}

static void *zeroed(struct agree *a, size_t size)
{
    void *memory = faasi_scratch_take(a->scratch, size);

    return memory == NULL ? NULL : memset(memory, 0, size);
}

static bool agree_init(struct agree *a)
{
    const size_t places = (size_t)a->place_count + 1;
    const size_t bytes = sizeof(uint64_t) * a->words * places;

    a->direct = zeroed(a, bytes);
    a->free = zeroed(a, bytes);
    a->have = zeroed(a, bytes);
    a->inside = zeroed(a, bytes);
    a->array = zeroed(a, sizeof *a->array * places);
    a->outer = zeroed(a, sizeof *a->outer * places);
    return a->direct != NULL && a->free != NULL && a->have != NULL && a->inside != NULL &&
           a->array != NULL && a->outer != NULL;
}

/* Numbers the arrays: the elements of one follow each other among those of their
 * place. */
static bool arrays_number(struct agree *a)
{
    uint32_t *last = zeroed(a, sizeof *last * ((size_t)a->place_count + 1));

    if (last == NULL)
        return false;
    for (uint32_t p = 0; p < a->place_count; p++) {
        uint32_t outer = outer_of(a, p), before = last[outer];

        if (before == 0 || a->places[before - 1].array != a->places[p].array) {
            a->outer[a->array_count] = outer;
            a->array[p] = a->array_count++;
        } else {
            a->array[p] = a->array[before - 1];
        }
        last[outer] = p + 1;
    }
    return true;
}

/* Fills `free` from outside in, and `inside` from inside out. `have` is borrowed. */
static void leaves_spread(struct agree *a)
{
    const uint32_t root = a->place_count;

    set_add(a, set_at(a, a->free, root), set_at(a, a->direct, root));
    for (uint32_t p = 0; p < root; p++) {
        set_add(a, set_at(a, a->free, p), set_at(a, a->free, outer_of(a, p)));
        set_add(a, set_at(a, a->free, p), set_at(a, a->direct, p));
    }
    for (uint32_t p = root; p-- > 0;) {
        uint64_t *all = set_at(a, a->have, p);

        set_add(a, all, set_at(a, a->direct, p));
        set_add(a, set_at(a, a->inside, a->array[p]), all);
        set_add(a, set_at(a, a->have, outer_of(a, p)), all);
    }
    for (uint32_t i = 0; i < a->array_count; i++)
        for (size_t w = 0; w < a->words; w++)
            set_at(a, a->inside, i)[w] &= ~set_at(a, a->free, a->outer[i])[w];
    memset(a->have, 0, sizeof *a->have * a->words * ((size_t)root + 1));
}

/* Whether no leaf finds values in two arrays of one place. `have` is borrowed. */
static bool arrays_are_independent(struct agree *a)
{
    bool independent = true;

    for (uint32_t i = 0; i < a->array_count && independent; i++) {
        uint64_t *taken = set_at(a, a->have, a->outer[i]);

        independent = !set_meets(a, taken, set_at(a, a->inside, i));
        set_add(a, taken, set_at(a, a->inside, i));
    }
    memset(a->have, 0, sizeof *a->have * a->words * ((size_t)a->place_count + 1));
    return independent;
}

static enum faasi_agreement independent_agree(struct agree *a, const uint64_t *wanted)
{
    const uint32_t root = a->place_count;

    for (uint32_t p = root; p-- > 0;) {
        uint64_t *have = set_at(a, a->have, p),
                 *inside = set_at(a, a->inside, a->array[p]);

        set_add(a, have, set_at(a, a->free, p));
        if (set_has(a, have, inside))
            set_add(a, set_at(a, a->have, outer_of(a, p)), inside);
    }
    set_add(a, set_at(a, a->have, root), set_at(a, a->free, root));
    return set_has(a, set_at(a, a->have, root), wanted) ? FAASI_AGREE : FAASI_APART;
}

/* --- The general case: sets of at most 64 leaves --- */

/* Sets none of which is part of another. */
struct ways {
    uint32_t count;
    uint64_t sets[WAYS_MAX];
};

static bool ways_add(struct ways *ways, uint64_t set)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < ways->count; i++) {
        if ((set & ~ways->sets[i]) == 0)
            return true;
        if ((ways->sets[i] & ~set) != 0)
            ways->sets[kept++] = ways->sets[i];
    }
    ways->count = kept;
    if (kept == WAYS_MAX)
        return false;
    ways->sets[ways->count++] = set;
    return true;
}

/* Every set of one with every set of the other. */
static bool ways_cross(struct ways *ways, const struct ways *by, struct ways *spare)
{
    spare->count = 0;
    for (uint32_t i = 0; i < ways->count; i++)
        for (uint32_t k = 0; k < by->count; k++)
            if (!ways_add(spare, ways->sets[i] | by->sets[k]))
                return false;
    ways->count = spare->count;
    memcpy(ways->sets, spare->sets, sizeof ways->sets[0] * spare->count);
    return true;
}

/* Ways that are kept while other places are looked at. */
struct kept {
    uint32_t count;
    const uint64_t *sets;
};

static bool ways_keep(struct agree *a, struct kept *kept, const struct ways *ways)
{
    uint64_t *sets = faasi_scratch_take(a->scratch, sizeof *sets * ways->count);

    if (sets == NULL)
        return false;
    memcpy(sets, ways->sets, sizeof *sets * ways->count);
    kept->sets = sets;
    kept->count = ways->count;
    return true;
}

static void ways_load(struct ways *ways, const struct kept *kept)
{
    ways->count = kept->count;
    if (kept->count > 0)
        memcpy(ways->sets, kept->sets, sizeof ways->sets[0] * kept->count);
}

struct work {
    struct ways place, array, spare;
};

/* What a place can have: its own leaves with a way of each of its arrays. */
static bool place_ways(struct agree *a, uint32_t place, const uint32_t *first,
                       const uint32_t *next, const struct kept *kept, struct work *work)
{
    work->place.count = 1;
    work->place.sets[0] = a->free[place];
    for (uint32_t i = first[place]; i != 0; i = next[i - 1]) {
        ways_load(&work->array, &kept[i - 1]);
        if (!ways_cross(&work->place, &work->array, &work->spare))
            return false;
    }
    return true;
}

static enum faasi_agreement entangled_agree(struct agree *a, uint64_t wanted)
{
    struct work *work = faasi_scratch_take(a->scratch, sizeof *work);
    struct kept *kept = zeroed(a, sizeof *kept * ((size_t)a->array_count + 1));
    uint32_t *first = zeroed(a, sizeof *first * ((size_t)a->place_count + 1));
    uint32_t *next = zeroed(a, sizeof *next * ((size_t)a->array_count + 1));

    if (work == NULL || kept == NULL || first == NULL || next == NULL)
        return FAASI_AGREE_FAILED;
    for (uint32_t i = 0; i < a->array_count; i++) {
        next[i] = first[a->outer[i]];
        first[a->outer[i]] = i + 1;
    }
    for (uint32_t p = a->place_count; p-- > 0;) {
        struct kept *array = &kept[a->array[p]];

        if (!place_ways(a, p, first, next, kept, work))
            return FAASI_AGREE_FAILED;
        ways_load(&work->array, array);
        for (uint32_t i = 0; i < work->place.count; i++)
            if (!ways_add(&work->array, work->place.sets[i]))
                return FAASI_AGREE_FAILED;
        if (!ways_keep(a, array, &work->array))
            return FAASI_AGREE_FAILED;
    }
    if (!place_ways(a, a->place_count, first, next, kept, work))
        return FAASI_AGREE_FAILED;
    for (uint32_t i = 0; i < work->place.count; i++)
        if ((wanted & ~work->place.sets[i]) == 0)
            return FAASI_AGREE;
    return FAASI_APART;
}

enum faasi_agreement faasi_agree(const struct faasi_choice *choices, size_t choice_count,
                                 uint32_t leaf_count,
                                 const struct faasi_json_place *places,
                                 uint32_t place_count, struct faasi_scratch *scratch)
{
    struct agree a = {.places = places,
                      .place_count = place_count,
                      .words = (leaf_count + 63) / 64,
                      .scratch = scratch};
    uint64_t *wanted = zeroed(&a, sizeof *wanted * a.words);

    if (wanted == NULL || !agree_init(&a))
        return FAASI_AGREE_FAILED;
    for (size_t i = 0; i < choice_count; i++) {
        uint32_t leaf = choices[i].leaf, place = choices[i].place;
        const uint64_t bit = (uint64_t)1 << leaf % 64;

        wanted[leaf / 64] |= bit;
        set_at(&a, a.direct,
               place == FAASI_JSON_NOWHERE ? place_count : place)[leaf / 64] |= bit;
    }
    if (!arrays_number(&a))
        return FAASI_AGREE_FAILED;
    leaves_spread(&a);
    if (arrays_are_independent(&a))
        return independent_agree(&a, wanted);
    return a.words == 1 ? entangled_agree(&a, wanted[0]) : FAASI_AGREE_FAILED;
}
