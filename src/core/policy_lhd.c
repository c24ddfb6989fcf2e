/* SPDX-License-Identifier: MIT */
/* policy_lhd.c - LHD adapted to cost and size: the least hit density of a sample.
 *
 * Instances are classed by their function's last idle gap when they fall idle. Per class
 * and age it is counted how many were reused and how many went; from that, from old ages
 * to young ones, the hits to be expected per time still to be held. The victim is the
 * worst of 64 idle instances drawn at random, by density * cost / bytes.
 *
 * Source: Beckmann, Chen, Cidon, LHD: Improving Cache Hit Rate by Maximizing Hit Density,
 * NSDI'18. */
#include "policy.h"

#include "mem.h"
#include "random.h"

enum {
    AGES = 48,
    CLASSES = 24,
    SAMPLE = 64,
    RECOUNT = 20000 /* removals between two looks at the counts */
};

struct lhd_instance {
    uint32_t place; /* in `all` */
    uint32_t class;
};

struct lhd_cell {
    double hits, evictions, density;
};

struct lhd {
    struct lhd_instance *instances;
    double *gaps;  /* of each function the last one, in seconds */
    uint32_t *all; /* idle instances, in no order */
    uint32_t instance_room, gap_room, all_room;
    uint32_t count;
    uint32_t removals;
    uint64_t random;
    double ends[AGES]; /* of the age buckets, in seconds */
    struct lhd_cell cells[CLASSES][AGES];
};

static faas_status lhd_open(struct faasi_policy *policy)
{
    struct lhd *lhd = faasi_alloc_zeroed(policy->allocator, sizeof *lhd);

    if (lhd == NULL)
        return faasi_fail(FAAS_ENOMEM, "policy: no %zu bytes", sizeof *lhd);
    lhd->random = policy->seed;
    lhd->ends[0] = 0.5;
    for (unsigned age = 1; age < AGES; age++)
        lhd->ends[age] = lhd->ends[age - 1] * 1.4;
    for (unsigned class = 0; class < CLASSES; class ++) {
        double density = 1;

        for (unsigned age = 0; age < AGES; age++, density /= 1.5)
            lhd->cells[class][age].density = density;
    }
    policy->state = lhd;
    return FAAS_OK;
}

static void lhd_close(struct faasi_policy *policy)
{
    struct lhd *lhd = policy->state;

    faasi_free_lines(policy->allocator, lhd->instances,
                     lhd->instance_room * sizeof *lhd->instances);
    faasi_free_lines(policy->allocator, lhd->gaps, lhd->gap_room * sizeof *lhd->gaps);
    faasi_free_lines(policy->allocator, lhd->all, lhd->all_room * sizeof *lhd->all);
    faasi_free(policy->allocator, lhd, sizeof *lhd);
}

static faas_status lhd_reserve(struct faasi_policy *policy, uint32_t functions,
                               uint32_t instances)
{
    struct lhd *lhd = policy->state;
    uint32_t old = lhd->gap_room;
    faas_status status;

    status = faasi_policy_grow(policy, &lhd->gaps, &lhd->gap_room, functions,
                               sizeof *lhd->gaps);
    for (uint32_t i = old; i < lhd->gap_room; i++)
        lhd->gaps[i] = 1e9; // unknown: longer than any
    if (status == FAAS_OK)
        status = faasi_policy_grow(policy, &lhd->instances, &lhd->instance_room,
                                   instances, sizeof *lhd->instances);
    if (status == FAAS_OK)
        status = faasi_policy_grow(policy, &lhd->all, &lhd->all_room, instances,
                                   sizeof *lhd->all);
    return status;
}

static unsigned age_of(const struct lhd *lhd, double seconds)
{
    unsigned low = 0, high = AGES - 1;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (seconds < lhd->ends[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* 0 below a second, then 1 + floor(1.2 log2 gap). */
static uint32_t class_of(double gap)
{
    uint32_t class = 1;

    if (gap < 1)
        return 0;
    /* 2^(1/1.2) */
    for (double end = 1.7817974362806785; gap >= end && class < CLASSES - 1; class ++)
        end *= 1.7817974362806785;
    return class;
}

static void recount(struct lhd *lhd)
{
    for (unsigned class = 0; class < CLASSES; class ++) {
        double hits = 0, all = 0, held = 0;

        for (unsigned age = AGES; age-- > 0;) {
            struct lhd_cell *cell = &lhd->cells[class][age];
            double start = age == 0 ? 0 : lhd->ends[age - 1];

            hits += cell->hits;
            all += cell->hits + cell->evictions;
            held += all * (lhd->ends[age] - start);
            cell->density = (hits + 1e-6) / (held + 1e-3);
            cell->hits *= 0.9;
            cell->evictions *= 0.9;
        }
    }
}

static void removed(struct faasi_policy *policy, uint32_t instance)
{
    struct lhd *lhd = policy->state;
    uint32_t place = lhd->instances[instance].place;
    uint32_t last = lhd->all[--lhd->count];

    lhd->all[place] = last;
    lhd->instances[last].place = place;
    if (++lhd->removals == RECOUNT) {
        lhd->removals = 0;
        recount(lhd);
    }
}

static struct lhd_cell *cell_of(struct lhd *lhd, uint32_t instance, uint64_t age)
{
    return &lhd->cells[lhd->instances[instance].class][age_of(lhd, (double)age / 1e9)];
}

static void lhd_taken(struct faasi_policy *policy, uint32_t instance, uint64_t age)
{
    struct lhd *lhd = policy->state;

    cell_of(lhd, instance, age)->hits += 1;
    lhd->gaps[policy->instances[instance].function] = (double)age / 1e9;
    removed(policy, instance);
}

static void lhd_start(struct faasi_policy *policy, uint32_t instance)
{
    struct lhd *lhd = policy->state;
    double *gap = &lhd->gaps[policy->instances[instance].function];

    *gap = *gap > 4999970 ? 1e7 : 2 * *gap + 60;
}

static void lhd_repeat(struct faasi_policy *policy, uint32_t function, uint32_t level,
                       uint64_t count, uint64_t gap)
{
    struct lhd *lhd = policy->state;
    double seconds = (double)gap / 1e9;

    (void)level;
    lhd->cells[class_of(seconds)][age_of(lhd, seconds)].hits += (double)count;
    lhd->gaps[function] = seconds;
}

static void lhd_idle(struct faasi_policy *policy, uint32_t instance, uint32_t level,
                     uint64_t now)
{
    struct lhd *lhd = policy->state;

    (void)level, (void)now;
    lhd->instances[instance].class =
        class_of(lhd->gaps[policy->instances[instance].function]);
    lhd->instances[instance].place = lhd->count;
    lhd->all[lhd->count++] = instance;
}

static void lhd_end(struct faasi_policy *policy, uint32_t instance,
                    enum faasi_policy_end how, uint64_t now)
{
    if (how == FAASI_POLICY_EVICTED)
        cell_of(policy->state, instance, now - policy->instances[instance].since)
            ->evictions += 1;
    if (how != FAASI_POLICY_ENDED_BUSY)
        removed(policy, instance);
}

static void lhd_forget(struct faasi_policy *policy, uint32_t function)
{
    struct lhd *lhd = policy->state;

    lhd->gaps[function] = 1e9;
}

static uint32_t lhd_victim(struct faasi_policy *policy, uint64_t now)
{
    struct lhd *lhd = policy->state;
    uint32_t tries = lhd->count < SAMPLE ? lhd->count : SAMPLE;
    uint32_t victim = FAASI_POLICY_NONE;
    double least = 0;

    for (uint32_t i = 0; i < tries; i++) {
        uint32_t place = lhd->count <= SAMPLE
                             ? i
                             : (uint32_t)(faasi_random_next(&lhd->random) % lhd->count);
        uint32_t one = lhd->all[place];
        const struct faasi_policy_instance *instance = &policy->instances[one];
        double density = cell_of(lhd, one, now - instance->since)->density *
                         (double)policy->functions[instance->function].worth;

        if (victim == FAASI_POLICY_NONE || density < least ||
            (density == least && one < victim)) {
            victim = one;
            least = density;
        }
    }
    return victim;
}

const struct faasi_policy_ops faasi_policy_lhd = {.name = "lhd",
                                                  .open = lhd_open,
                                                  .close = lhd_close,
                                                  .reserve = lhd_reserve,
                                                  .forget = lhd_forget,
                                                  .start = lhd_start,
                                                  .repeat = lhd_repeat,
                                                  .taken = lhd_taken,
                                                  .idle = lhd_idle,
                                                  .end = lhd_end,
                                                  .victim = lhd_victim};
