/* SPDX-License-Identifier: MIT */
/* batchcurve.c - the learned cost of batches. */
#include "batchcurve.h"

/* How many runs make a class known, and that it loses certain; and for how many the shortest
 * counts alone. */
enum {
    KNOWN = 2,
    SURE = 6,
    YOUNG = 8,
    GAP_FIRST = 32,
    GAP_LAST = 4096,
    SMOOTH = 8,
    STREAK = 8
};

/* What is so much dearer per item than the best still counts as equal. */
static const double SLACK = 1.04;

/* What is so much dearer than the best loses: nothing larger is tried. */
static const double LOSES = 1.02;

/* A run counts as so much longer than what is known at most. */
static const double DEARER = 1.25;

/* ---- classes ---- */

static unsigned class_of(uint32_t size)
{
    unsigned power;

    assert(size >= 1 && size <= FAASI_BATCH_MOST);
    if (size <= 8)
        return size - 1;
    power = 31u - (unsigned)__builtin_clz(size); // 3 or more
    return 7 + (power - 3) * 4 + (size >> (power - 2)) % 4;
}

static uint32_t class_size(unsigned class)
{
    unsigned above = class - 7;

    return class < 7 ? class + 1 : (4 + above % 4) << (above / 4 + 1);
}

uint32_t faasi_batchcurve_fit(uint32_t size)
{
    return class_size(class_of(size));
}

static bool known(const struct faasi_batchcurve *curve, unsigned class)
{
    return curve->at[class].samples >= KNOWN;
}

/* ---- what is known ---- */

/* Whether the handler is no longer the one that was learned: so many runs in a row took
 * less than half of what is known, or more than twice. One of them says little. */
static bool changed(struct faasi_batchcurve *curve, double took, double old)
{
    int way = took < old / 2 ? -1 : took > 2 * old ? 1 : 0;

    if (way == 0 || (way < 0) != (curve->streak < 0))
        curve->streak = 0;
    curve->streak += way;
    return curve->streak == STREAK || curve->streak == -STREAK;
}

void faasi_batchcurve_learn(struct faasi_batchcurve *curve, uint32_t size, uint64_t ticks)
{
    unsigned class = class_of(size);
    double took = (double)ticks, old = curve->at[class].ticks;

    if (known(curve, class) && changed(curve, took, old))
        *curve = (struct faasi_batchcurve){.picks = 0};
    if (curve->at[class].samples == 0) {
        curve->at[class].ticks = took;
    } else if (curve->at[class].samples < YOUNG && took < old) {
        /* The others were interrupted. Nobody would find out: what looks dear is hardly
         * ever run again, where what looks cheap soon is. */
        curve->at[class].ticks = took;
        curve->probe_gap = GAP_FIRST;
    } else if (known(curve, class)) {
        /* A run that was interrupted must not make its size look dear. */
        if (took > DEARER * old && old > 0)
            took = DEARER * old;
        curve->at[class].ticks += (took - old) / SMOOTH;
    }
    if (curve->at[class].samples < UINT32_MAX)
        curve->at[class].samples++;
}

/* What a batch of `size` takes: measured, between two that were, or as the largest that
 * was. Class 1 is known. */
static double cost(const struct faasi_batchcurve *curve, uint32_t size)
{
    unsigned class = class_of(size), below = class, above = class + 1;
    double low, high;

    while (!known(curve, below))
        below--;
    low = class_size(below);
    if (below == class)
        return curve->at[below].ticks * size / low;
    while (above < FAASI_BATCH_CLASSES && !known(curve, above))
        above++;
    if (above == FAASI_BATCH_CLASSES)
        return curve->at[below].ticks * size / low;
    high = class_size(above);
    return curve->at[below].ticks + (curve->at[above].ticks - curve->at[below].ticks) *
                                        (size - low) / (high - low);
}

static double cost_each(const struct faasi_batchcurve *curve, uint32_t size)
{
    return cost(curve, size) / size;
}

uint64_t faasi_batchcurve_ticks(const struct faasi_batchcurve *curve, uint32_t size)
{
    return known(curve, 0) ? (uint64_t)cost(curve, size) : (uint64_t)curve->at[0].ticks;
}

/* The largest class that is known. */
static unsigned class_top(const struct faasi_batchcurve *curve)
{
    unsigned top = FAASI_BATCH_CLASSES - 1;

    while (top > 0 && !known(curve, top))
        top--;
    return top;
}

/* What an item costs at least in batches up to `most`. */
static double cost_least(const struct faasi_batchcurve *curve, uint32_t most)
{
    unsigned last = class_of(most);
    double best = cost_each(curve, 1);

    for (unsigned i = 1; i <= last; i++) {
        double each = cost_each(curve, class_size(i));

        if (each < best)
            best = each;
    }
    return best;
}

/* The smallest size up to `most` that is as good as any. */
static uint32_t size_paying(const struct faasi_batchcurve *curve, uint32_t most)
{
    double enough = cost_least(curve, most) * SLACK;
    unsigned class = 0;

    while (cost_each(curve, class_size(class)) > enough)
        class ++;
    return class_size(class);
}

/* A size that was not measured yet and is worth it: the largest that waits, but not more
 * than twice what is known, and not beyond what loses; that itself, while a few runs are
 * all that says so. 0 if there is none. */
static uint32_t size_new(const struct faasi_batchcurve *curve, uint32_t most)
{
    unsigned class = class_top(curve);
    uint32_t top = class_size(class);
    uint32_t size = faasi_batchcurve_fit(most < 2 * top ? most : 2 * top);

    if (cost_each(curve, top) > cost_least(curve, top) * LOSES)
        return size >= top && curve->at[class].samples < SURE ? top : 0;
    return size > top ? size : 0;
}

/* Half of the choice, or the most up to twice of it, in turn. */
static uint32_t size_neighbour(struct faasi_batchcurve *curve, uint32_t chosen,
                               uint32_t most)
{
    uint32_t twice = most < 2 * chosen ? most : 2 * chosen;

    curve->probe_down = !curve->probe_down;
    if ((curve->probe_down && chosen > 1) || twice == chosen)
        return chosen > 1 ? chosen / 2 : 1;
    return twice;
}

uint32_t faasi_batchcurve_pick(struct faasi_batchcurve *curve, uint32_t waiting,
                               uint32_t max)
{
    uint32_t most = waiting < max ? waiting : max, size;

    if (most == 1 || !known(curve, 0))
        return 1;
    most = faasi_batchcurve_fit(most < FAASI_BATCH_MOST ? most : FAASI_BATCH_MOST);
    if (curve->at[0].ticks <= 0) // too short to be seen: what is saved is around it
        return most;
    size = size_new(curve, most);
    if (size != 0)
        return size;
    size = size_paying(curve, most);
    if (curve->probe_gap == 0)
        curve->probe_gap = GAP_FIRST;
    if (++curve->picks >= curve->probe_gap) {
        curve->picks = 0;
        if (size != curve->chosen)
            curve->probe_gap = GAP_FIRST;
        else if (curve->probe_gap < GAP_LAST)
            curve->probe_gap *= 2;
        curve->chosen = size;
        size = faasi_batchcurve_fit(size_neighbour(curve, size, most));
    }
    return size;
}

uint32_t faasi_batchcurve_goal(const struct faasi_batchcurve *curve, uint32_t max)
{
    uint32_t top;

    if (!known(curve, 0) || curve->at[0].ticks <= 0 || size_new(curve, max) != 0)
        return max;
    top = class_size(class_top(curve));
    return size_paying(curve, max < top ? max : top);
}
