/* SPDX-License-Identifier: MIT */
/* replay_bound.c - how well any policy could do: a bound from below, and a schedule that
 * knows the future.
 *
 * A gap is the time between two uses of a slot. To keep an instance over it saves a cold
 * start and takes its memory for so long; a schedule is a choice of gaps that fits what
 * busy instances leave of the budget at every moment. */
#include "replay.h"

#include "mem.h"

#include <math.h>
#include <stdlib.h>

#define BIN_SECONDS 10.0

enum { STEPS_MAX = 150, STEPS_WITHOUT_GAIN = 8, CONSTANT_PRICES = 321 };

struct gap {
    double from, to; /* in seconds since the first event */
    uint32_t function;
    uint32_t begins, ends; /* events */
};

struct bounds {
    const faas_replay *replay;
    double budget;       /* in MB, as all memory here */
    double *cost, *size; /* of each function */
    struct gap *gaps;
    size_t gap_count, gap_room;
    size_t bin_count;
    double *capacity; /* of each bin: MB times seconds that busy instances leave */
    double *price;    /* of each bin: per MB and second */
    double *best_price;
    double *before; /* what a MB costs up to the start of the bin */
    double *demand;
    double *rate;     /* scratch of bins_add(), zero between */
    uint32_t *sorted; /* gaps, the best ratio first */
    double total;     /* cost of all gaps */
    double first;     /* cost of the first start in each slot */
    uint64_t first_starts;
};

static double seconds_at(const struct bounds *b, size_t event)
{
    return (double)(b->replay->events[event].at - b->replay->events[0].at) / 1e9;
}

static size_t bin_of(const struct bounds *b, double at)
{
    size_t bin = (size_t)(at / BIN_SECONDS);

    return bin < b->bin_count ? bin : b->bin_count - 1;
}

/* Finds the gaps: `left` has the last end in each slot, or UINT32_MAX. */
static void bounds_gaps(struct bounds *b, const size_t *first_slot, uint32_t *left)
{
    const struct faasi_replay_event *events = b->replay->events;

    for (size_t i = 0; i < b->replay->event_count; i++) {
        uint32_t f = events[i].function;
        size_t slot = first_slot[f] + events[i].level - 1;

        if (events[i].ends) {
            left[slot] = (uint32_t)i;
            continue;
        }
        if (left[slot] == UINT32_MAX) {
            b->first += b->cost[f];
            b->first_starts++;
            continue;
        }
        b->gaps[b->gap_count++] = (struct gap){.from = seconds_at(b, left[slot]),
                                               .to = seconds_at(b, i),
                                               .function = f,
                                               .begins = left[slot],
                                               .ends = (uint32_t)i};
        b->total += b->cost[f];
    }
}

/* Adds `size` over a time to the bins; whole ones get it when they are settled. */
static void bins_add(const struct bounds *b, double *bins, double from, double to,
                     double size)
{
    size_t first = bin_of(b, from), last = bin_of(b, to);

    if (first == last) {
        bins[first] += size * (to - from);
        return;
    }
    bins[first] += size * ((double)(first + 1) * BIN_SECONDS - from);
    bins[last] += size * (to - (double)last * BIN_SECONDS);
    b->rate[first + 1] += size;
    b->rate[last] -= size;
}

static void bins_settle(const struct bounds *b, double *bins)
{
    double size = 0;

    for (size_t i = 0; i < b->bin_count; i++) {
        size += b->rate[i];
        bins[i] += size * BIN_SECONDS;
        b->rate[i] = 0;
    }
}

static void bounds_capacity(struct bounds *b)
{
    const faas_replay *replay = b->replay;
    double busy = 0;

    for (size_t i = 0; i + 1 < replay->event_count; i++) {
        double size = b->size[replay->events[i].function];

        busy += replay->events[i].ends ? -size : size;
        if (busy < b->budget)
            bins_add(b, b->capacity, seconds_at(b, i), seconds_at(b, i + 1),
                     b->budget - busy);
    }
    bins_settle(b, b->capacity);
}

static double price_up_to(const struct bounds *b, double at)
{
    size_t bin = bin_of(b, at);

    return b->before[bin] + b->price[bin] * (at - (double)bin * BIN_SECONDS);
}

/* The prices up to each bin. */
static void bounds_sum_prices(struct bounds *b)
{
    double sum = 0;

    for (size_t i = 0; i < b->bin_count; i++) {
        b->before[i] = sum;
        sum += b->price[i] * BIN_SECONDS;
    }
}

/* What is saved at most, by the prices; and what is asked for at them. */
static double bounds_dual(struct bounds *b)
{
    double saved = 0;

    bounds_sum_prices(b);
    for (size_t i = 0; i < b->bin_count; i++) {
        saved += b->price[i] * b->capacity[i];
        b->demand[i] = 0;
    }
    for (size_t i = 0; i < b->gap_count; i++) {
        const struct gap *gap = &b->gaps[i];
        double size = b->size[gap->function];
        double gain = b->cost[gap->function] -
                      size * (price_up_to(b, gap->to) - price_up_to(b, gap->from));

        if (gain <= 0)
            continue;
        saved += gain;
        bins_add(b, b->demand, gap->from, gap->to, size);
    }
    bins_settle(b, b->demand);
    return saved;
}

static int ratio_order(const void *a, const void *b)
{
    double one = *(const double *)a, other = *(const double *)b;

    return one > other ? -1 : one < other;
}

/* The best constant price, and what is saved at most by it. One price after the other
 * would look at all gaps each time; sorted by ratio, each takes up where the last
 * ended. */
static double bounds_constant(struct bounds *b, double *best_price)
{
    double capacity = 0, best = b->total, gain = 0, load = 0;
    size_t kept = 0;

    *best_price = 0;
    for (size_t i = 0; i < b->bin_count; i++)
        capacity += b->capacity[i];
    /* From high prices to low ones more and more gaps pay. */
    for (unsigned i = CONSTANT_PRICES; i-- > 0;) {
        double price = pow(10, -14 + 0.05 * (double)i), saved;

        while (kept < b->gap_count) {
            const struct gap *gap = &b->gaps[b->sorted[kept]];
            double more = b->size[gap->function] * (gap->to - gap->from);

            if (b->cost[gap->function] <= price * more)
                break;
            gain += b->cost[gap->function];
            load += more;
            kept++;
        }
        saved = price * capacity + gain - price * load;
        if (saved < best) {
            best = saved;
            *best_price = price;
        }
    }
    return best;
}

/* Lets each bin's price follow its demand; any price gives a bound, the best is kept. */
static double bounds_descend(struct bounds *b, double best, double start)
{
    double step = 0.5;
    unsigned without_gain = 0;
    size_t bytes = b->bin_count * sizeof *b->price;

    for (size_t i = 0; i < b->bin_count; i++)
        b->price[i] = start;
    memcpy(b->best_price, b->price, bytes);
    (void)bounds_dual(b);
    for (unsigned i = 0; i < STEPS_MAX && step >= 0.005; i++) {
        double saved;

        for (size_t bin = 0; bin < b->bin_count; bin++) {
            double over =
                3 * (b->demand[bin] - b->capacity[bin]) / (b->budget * BIN_SECONDS);
            double price = b->price[bin];

            over = over > 1 ? 1 : over < -1 ? -1 : over;
            price = price < 1e-3 * start ? 1e-3 * start : price;
            b->price[bin] = price * exp(step * over);
        }
        saved = bounds_dual(b);
        if (saved < best) {
            best = saved;
            memcpy(b->best_price, b->price, bytes);
            without_gain = 0;
        } else if (++without_gain > STEPS_WITHOUT_GAIN) {
            step *= 0.7;
            memcpy(b->price, b->best_price, bytes);
            (void)bounds_dual(b);
            without_gain = 0;
        }
    }
    memcpy(b->price, b->best_price, bytes);
    bounds_sum_prices(b);
    return best;
}

/* ---- a schedule that knows the future ---- */

/* Free memory between an event and the next, in pages of 4 KB: a tree of minima, what is
 * added to a whole subtree standing at its root. */
struct free_tree {
    int32_t *least, *added;
    size_t leaves; /* a power of two, two more than there are places */
};

enum { PAGE_SHIFT = 12 };

static int32_t pages_of(const faas_replay *replay, uint32_t function)
{
    uint64_t bytes = replay->functions[function].memory_bytes;

    return (int32_t)((bytes + (1 << PAGE_SHIFT) - 1) >> PAGE_SHIFT);
}

static void tree_build(struct free_tree *tree)
{
    for (size_t i = tree->leaves - 1; i > 0; i--)
        tree->least[i] = tree->least[2 * i] < tree->least[2 * i + 1]
                             ? tree->least[2 * i]
                             : tree->least[2 * i + 1];
}

/* The least of the places `from` to `to` - 1. */
static int32_t tree_least(const struct free_tree *tree, size_t from, size_t to)
{
    size_t l = from + tree->leaves, r = to + 1 + tree->leaves;
    int64_t left = INT32_MAX, right = INT32_MAX;

    for (; (l ^ r) != 1; l >>= 1, r >>= 1) {
        if ((l & 1) == 0 && tree->least[l ^ 1] < left)
            left = tree->least[l ^ 1];
        if ((r & 1) == 1 && tree->least[r ^ 1] < right)
            right = tree->least[r ^ 1];
        left += tree->added[l >> 1];
        right += tree->added[r >> 1];
    }
    left = left < right ? left : right;
    while ((l >>= 1) >= 1)
        left += tree->added[l];
    return left > INT32_MAX ? INT32_MAX : (int32_t)left;
}

static void tree_renew(struct free_tree *tree, size_t i)
{
    int32_t a = tree->least[2 * i], b = tree->least[2 * i + 1];

    tree->least[i] = (a < b ? a : b) + tree->added[i];
}

static void tree_add(struct free_tree *tree, size_t from, size_t to, int32_t more)
{
    size_t l = from + tree->leaves, r = to + 1 + tree->leaves;

    for (; (l ^ r) != 1; l >>= 1, r >>= 1) {
        if ((l & 1) == 0) {
            tree->least[l ^ 1] += more;
            tree->added[l ^ 1] += more;
        }
        if ((r & 1) == 1) {
            tree->least[r ^ 1] += more;
            tree->added[r ^ 1] += more;
        }
        tree_renew(tree, l >> 1);
        tree_renew(tree, r >> 1);
    }
    while ((l >>= 1) >= 1)
        tree_renew(tree, l);
}

/* Takes gaps in the order given while they fit; returns what they save. */
static double schedule(struct bounds *b, struct free_tree *tree, uint64_t *kept)
{
    const faas_replay *replay = b->replay;
    int64_t budget = (int64_t)(b->budget * 256), busy = 0;
    double saved = 0;

    memset(tree->added, 0, 2 * tree->leaves * sizeof *tree->added);
    for (size_t i = 0; i < tree->leaves; i++)
        tree->least[tree->leaves + i] = INT32_MAX / 2;
    for (size_t i = 0; i < replay->event_count; i++) {
        int64_t size = pages_of(replay, replay->events[i].function);
        int64_t room;

        busy += replay->events[i].ends ? -size : size;
        room = budget > busy ? budget - busy : 0;
        tree->least[tree->leaves + 1 + i] =
            room > INT32_MAX / 2 ? INT32_MAX / 2 : (int32_t)room;
    }
    tree_build(tree);
    *kept = 0;
    for (size_t i = 0; i < b->gap_count; i++) {
        const struct gap *gap = &b->gaps[b->sorted[i]];
        int32_t size = pages_of(replay, gap->function);

        if (tree_least(tree, gap->begins, gap->ends) < size)
            continue;
        tree_add(tree, gap->begins, gap->ends, -size);
        saved += b->cost[gap->function];
        ++*kept;
    }
    return saved;
}

/* What a second of a gap costs at one price for all times, or at the best prices. */
static double gap_ratio(const struct bounds *b, const struct gap *gap, bool priced)
{
    double length = priced ? price_up_to(b, gap->to) - price_up_to(b, gap->from)
                           : gap->to - gap->from;

    return b->cost[gap->function] / (b->size[gap->function] * length + 1e-30);
}

struct ratio {
    double ratio;
    uint32_t gap;
};

static faas_status bounds_sort(struct bounds *b, bool priced)
{
    const faas_allocator *allocator = b->replay->allocator;
    size_t bytes = b->gap_count * sizeof(struct ratio);
    struct ratio *ratios = faasi_alloc(allocator, bytes);

    if (ratios == NULL)
        return faasi_fail(FAAS_ENOMEM, "replay: no %zu bytes", bytes);
    for (size_t i = 0; i < b->gap_count; i++)
        ratios[i] = (struct ratio){gap_ratio(b, &b->gaps[i], priced), (uint32_t)i};
    qsort(ratios, b->gap_count, sizeof *ratios, ratio_order);
    for (size_t i = 0; i < b->gap_count; i++)
        b->sorted[i] = ratios[i].gap;
    faasi_free(allocator, ratios, bytes);
    return FAAS_OK;
}

/* The better of two schedules: gaps in the order of what they save per memory and time,
 * and per memory and price. Sorting and trying take longest: of many gaps the second
 * alone, which is the better one nearly always. */
static faas_status bounds_schedule(struct bounds *b, struct free_tree *tree,
                                   faas_replay_bound *bound)
{
    enum { BOTH_MAX = 1500000 };

    bound->feasible = b->first + b->total;
    for (unsigned priced = b->gap_count > BOTH_MAX; priced < 2; priced++) {
        faas_status status = bounds_sort(b, priced != 0);
        uint64_t kept;
        double saved;

        if (status != FAAS_OK)
            return status;
        saved = schedule(b, tree, &kept);
        if (b->first + b->total - saved <= bound->feasible) {
            bound->feasible = b->first + b->total - saved;
            bound->cold_starts = b->first_starts + b->gap_count - kept;
        }
    }
    return FAAS_OK;
}

static faas_status bounds_find(struct bounds *b, struct free_tree *tree,
                               faas_replay_bound *bound)
{
    faas_status status = bounds_sort(b, false);
    double saved, best, price;

    if (status != FAAS_OK)
        return status;
    bounds_capacity(b);
    saved = bounds_constant(b, &price);
    best = price > 0 ? bounds_descend(b, saved, price) : saved;
    bound->lower_simple = b->first + b->total - saved;
    bound->lower = b->first + b->total - best;
    return bounds_schedule(b, tree, bound);
}

/* What bounds need, in one list: taken and given back together. */
struct piece {
    void *where; /* the address of a pointer */
    size_t bytes;
};

static bool pieces_take(const faas_allocator *allocator, const struct piece *pieces,
                        size_t count)
{
    bool all = true;

    for (size_t i = 0; i < count; i++) {
        void *memory = faasi_alloc_zeroed(allocator, pieces[i].bytes);

        memcpy(pieces[i].where, &memory, sizeof memory);
        all = all && memory != NULL;
    }
    return all;
}

static void pieces_give(const faas_allocator *allocator, const struct piece *pieces,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        void *memory;

        memcpy(&memory, pieces[i].where, sizeof memory);
        faasi_free(allocator, memory, pieces[i].bytes);
    }
}

faas_status faas_replay_limits(const faas_replay *replay, faas_replay_objective objective,
                               uint64_t memory_bytes, faas_replay_bound *out)
{
    const struct faasi_replay_event *last = &replay->events[replay->event_count - 1];
    faas_replay_bound bound = {.size = sizeof bound};
    struct bounds b = {.replay = replay, .budget = (double)memory_bytes / 0x1p20};
    struct free_tree tree = {.leaves = 4};
    size_t *first_slot = NULL, bins, slots = (size_t)replay->first_starts;
    uint32_t *left = NULL;
    faas_status status = FAAS_OK;

    if (memory_bytes < replay->bytes_max || memory_bytes > (uint64_t)1 << 42)
        return faasi_fail(FAAS_EINVAL,
                          "memory_bytes: %llu do not hold the largest instance, of %llu, "
                          "or are over 4 TB",
                          (unsigned long long)memory_bytes,
                          (unsigned long long)replay->bytes_max);
    b.gap_room = (size_t)replay->call_count;
    bins = (size_t)((double)(last->at - replay->events[0].at) / 1e9 / BIN_SECONDS) + 1;
    b.bin_count = bins;
    while (tree.leaves < replay->event_count + 2)
        tree.leaves *= 2;
    const struct piece pieces[] = {
        {&first_slot, (replay->function_count + 1u) * sizeof *first_slot},
        {&left, slots * sizeof *left},
        {&b.cost, replay->function_count * sizeof *b.cost},
        {&b.size, replay->function_count * sizeof *b.size},
        {&b.gaps, b.gap_room * sizeof *b.gaps},
        {&b.sorted, b.gap_room * sizeof *b.sorted},
        {&b.capacity, bins * sizeof *b.capacity},
        {&b.price, bins * sizeof *b.price},
        {&b.best_price, bins * sizeof *b.best_price},
        {&b.before, bins * sizeof *b.before},
        {&b.demand, bins * sizeof *b.demand},
        {&b.rate, (bins + 1) * sizeof *b.rate},
        {&tree.least, 2 * tree.leaves * sizeof *tree.least},
        {&tree.added, 2 * tree.leaves * sizeof *tree.added}};

    if (!pieces_take(replay->allocator, pieces, FAASI_COUNT(pieces)))
        status = faasi_fail(FAAS_ENOMEM, "replay: no memory for bounds");
    if (status == FAAS_OK) {
        /* Each function's slots stand together: their number is its highest level. */
        for (size_t i = 0; i < replay->event_count; i++) {
            size_t *most = &first_slot[replay->events[i].function + 1];

            if (replay->events[i].level > *most)
                *most = replay->events[i].level;
        }
        for (uint32_t f = 0; f < replay->function_count; f++) {
            first_slot[f + 1] += first_slot[f];
            b.size[f] = (double)replay->functions[f].memory_bytes / 0x1p20;
            b.cost[f] = objective == FAAS_REPLAY_COUNT
                            ? 1
                            : (double)replay->functions[f].init_ns / 1e9;
        }
        memset(left, 0xff, slots * sizeof *left);
        bounds_gaps(&b, first_slot, left);
        status = bounds_find(&b, &tree, &bound);
    }
    pieces_give(replay->allocator, pieces, FAASI_COUNT(pieces));
    if (status == FAAS_OK)
        faasi_replay_copy_out(out, &bound, sizeof bound);
    return status;
}
