/* SPDX-License-Identifier: MIT */
/* policy_idx.c - idx: the instance with the least chance of reuse per byte and time goes
 * first.
 *
 *     index = cost / bytes * max over tau of P(X <= tau | X > age)
 *                                            / E[min(X, tau) - age | X > age]
 *
 * X is the idle gap of the slot (function, live), age how long it has idled. It is the
 * Gittins index of keeping it: the best rate at which holding a byte of it can save cost.
 *
 * What is known of X. Gaps are counted in buckets whose edges grow by RATIO, from
 * YOUNG_NS: a smaller ratio is finer, at the price of looks. Slots of one function are
 * pooled by how deep they are (levels 1, 2, 3-4, 5-8, 9-32, above). Counts fade by .99 an
 * observation, so about the last hundred matter. They are kept apart by what the gap
 * before was: under a second, under ten, under a hundred, longer, because what comes in
 * bursts or in turns has its next gap written in its last one. Three distributions are
 * mixed, each with the weight of two observations for the one before it: the counts after
 * a gap such as the last; the function's counts in all; those of all functions at that
 * depth, which is also where the chance comes from that a slot is never used again. So a
 * new function is judged by its like, and one with a history by that.
 *
 * What is done when. Only use of a function's last instance, the one idle for longest,
 * and an end of one touch more than a counter: they change the function's candidate. A
 * candidate waits until it is YOUNG_NS old, unless its index is low from the start; then
 * it is ranked by its index. The index was found at some tau, and until that age it only
 * rises: stopping there is best, so at any age before, going on to it is no worse. So the
 * candidate is looked at again when it comes into the bucket behind tau, and before only
 * if it has come to be the least and its index is an old one: that makes the victim the
 * one that indexing all of them at every bucket would find (but for what is learned
 * meanwhile), for a half to a third of the work.
 *
 * Numbers. RATIO 1.4 and YOUNG_NS half a second: how finely ages are told apart, and what
 * is certainly too young to go. FADE .99: a memory of about a hundred gaps. MIX: what the
 * level before is worth, in observations. PRIOR_MAX: the prior forgets after so many
 * gaps. LOW: how near to the victims an index must be to be ranked before YOUNG_NS.
 * Contexts end at decades. They are first guesses, here or in the facts this was built
 * from, and not fitted to a trace; in a prototype MIX 1 to 4, FADE .99 to .995 and other
 * contexts moved totals on two traces by less than 1 %. Ranks keep six bits of an index'
 * mantissa: 1.6 %.
 *
 * Memory: a line per function, 8 bytes per level above the first, 344 bytes per function
 * and depth once a gap was seen there. */
#include "policy.h"

#include "mem.h"

enum {
    BUCKETS = 40,
    DEPTHS = 6,
    CONTEXTS = 4,
    RANK_SHIFT = 17, /* of a positive float's bits */
    RANKS = 1 << (31 - RANK_SHIFT),
    /* Of candidates to be looked at again: by the bucket they will then be in, and how
     * many before it they were last; so each is in the order of its dues. */
    LISTS = BUCKETS * BUCKETS,
    WAITING = 1 * BUCKETS + 0, /* until they are YOUNG_NS old */
    FADE_EVERY = 8,            /* observations between two passes over the counts */
    SNAPSHOT_PART = 64 /* of the prior: how much of it may be missing in its snapshot */
};

#define RATIO 1.4
#define YOUNG_NS UINT64_C(500000000)
#define FADE 0.99
#define MIX 2.0f
#define PRIOR_MAX 5000.0 /* observations; then the prior is halved */

/* A low index: this times what victims have. */
#define LOW 4.0f

/* The weight of an observation in counts, for each since the last pass, 512 / FADE^i; and
 * what a pass multiplies by, FADE^8 in 1/65536. A bucket's count stays under 60,000. */
static const uint16_t WEIGHT[FADE_EVERY] = {512, 517, 522, 528, 533, 538, 544, 549};
enum { PASS = 60473 };

struct links {
    uint32_t before, after;
};

enum state { NO_CANDIDATE, YOUNG, RANKED };

/* One line per function. */
struct idx_function {
    uint64_t since; /* of the candidate */
    struct idx_history *history;
    uint64_t *slots;    /* of levels 2 and up, see slot_of() */
    uint64_t first;     /* of level 1 */
    struct links peers; /* of equal rank */
    struct links due;   /* indexed again with it */
    float worth;        /* as in the books: here it is at hand */
    uint32_t slot_room;
    uint16_t rank;
    uint16_t list;  /* due's */
    uint8_t bucket; /* of the age it was indexed at */
    uint8_t state;
    uint8_t depth;   /* of the candidate's slot */
    uint8_t context; /* and of the gap before in it */
};

_Static_assert(sizeof(struct idx_function) == FAASI_CACHELINE, "a function is one line");

/* The best rate from the start of a bucket on, and the bucket that it ends with. */
struct rate {
    float best;
    uint32_t until;
};

/* Of a function, at a depth. */
struct idx_history {
    struct idx_history *next;
    uint8_t depth;
    uint8_t top;  /* the longest bucket ever counted */
    uint8_t fill; /* observations since the last pass */
    uint8_t used; /* contexts that were ever counted in, by bit */
    uint32_t seen;
    uint32_t total; /* of all counts */
    uint16_t counts[CONTEXTS][BUCKETS];
};

/* Of all functions, at a depth. */
struct idx_prior {
    double counts[BUCKETS];
    double all;         /* slots and gaps: the counts, and slots not used again yet */
    double snapshot_at; /* `all` when the following was made; 0: never */
    float weights[BUCKETS];
    float alive[BUCKETS];       /* of each bucket on, and never again */
    struct rate rates[BUCKETS]; /* at each edge, of a function without a history */
};

struct idx {
    struct idx_function *functions;
    uint32_t room;
    float victims; /* what their index lately was */
    uint64_t next_due;
    uint64_t edges[BUCKETS + 1];
    float widths[BUCKETS]; /* in seconds */
    struct idx_prior priors[DEPTHS];
    uint64_t soonest[BUCKETS]; /* of the lists for a bucket: nothing is due before */
    uint64_t dues[LISTS];      /* of each list's head; UINT64_MAX when it is empty */
    uint32_t lists[LISTS];
    uint64_t rank_words[RANKS / 64 / 64];
    uint64_t rank_bits[RANKS / 64];
    uint32_t ranks[RANKS];
};

static unsigned depth_of(uint32_t level)
{
    if (level <= 2)
        return level <= 1 ? 0 : 1;
    if (level <= 8)
        return level <= 4 ? 2 : 3;
    return level <= 32 ? 4 : 5;
}

static unsigned bucket_of(const struct idx *idx, uint64_t gap)
{
    unsigned low = 0, high = BUCKETS - 1;

    while (low < high) {
        unsigned middle = (low + high + 1) / 2;

        if (gap >= idx->edges[middle])
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Buckets that begin below a second (the last at .98 s), below ten (7.4 s), below a
 * hundred (77.8 s), above. */
static unsigned context_of(unsigned bucket)
{
    return bucket <= 3 ? 0 : bucket <= 9 ? 1 : bucket <= 16 ? 2 : 3;
}

static faas_status idx_open(struct faasi_policy *policy)
{
    struct idx *idx = faasi_alloc_zeroed(policy->allocator, sizeof *idx);
    double edge = (double)YOUNG_NS;

    if (idx == NULL)
        return faasi_fail(FAAS_ENOMEM, "policy: no %zu bytes", sizeof *idx);
    for (unsigned i = 1; i <= BUCKETS; i++, edge *= RATIO) {
        idx->edges[i] = (uint64_t)edge;
        idx->widths[i - 1] = (float)((double)(idx->edges[i] - idx->edges[i - 1]) / 1e9);
    }
    for (unsigned depth = 0; depth < DEPTHS; depth++) {
        /* A trace of everything, and a fifth of a slot that is never used again. */
        for (unsigned i = 0; i < BUCKETS; i++)
            idx->priors[depth].counts[i] = 0.02;
        idx->priors[depth].all = 0.02 * BUCKETS + 0.2;
    }
    memset(idx->lists, 0xff, sizeof idx->lists);
    memset(idx->ranks, 0xff, sizeof idx->ranks);
    memset(idx->dues, 0xff, sizeof idx->dues);
    memset(idx->soonest, 0xff, sizeof idx->soonest);
    idx->next_due = UINT64_MAX;
    policy->state = idx;
    return FAAS_OK;
}

/* Frees what a function remembers. */
static void function_clear(struct faasi_policy *policy, struct idx_function *f)
{
    struct idx_history *history;

    while ((history = f->history) != NULL) {
        f->history = history->next;
        faasi_free(policy->allocator, history, sizeof *history);
    }
    faasi_free(policy->allocator, f->slots, f->slot_room * sizeof *f->slots);
    f->slots = NULL;
    f->slot_room = 0;
    f->first = 0;
}

static void idx_close(struct faasi_policy *policy)
{
    struct idx *idx = policy->state;

    for (uint32_t i = 0; i < idx->room; i++)
        function_clear(policy, &idx->functions[i]);
    faasi_free_lines(policy->allocator, idx->functions,
                     idx->room * sizeof *idx->functions);
    faasi_free(policy->allocator, idx, sizeof *idx);
}

static faas_status idx_reserve(struct faasi_policy *policy, uint32_t functions,
                               uint32_t instances)
{
    struct idx *idx = policy->state;

    (void)instances;
    return faasi_policy_grow(policy, &idx->functions, &idx->room, functions,
                             sizeof *idx->functions);
}

/* ---- what is known of gaps ---- */

/* A slot is a word: when it was left last, to 256 ns; in the low byte 1 + the bucket of
 * the gap before, or 1 + BUCKETS if there was none. 0: never used. NULL without
 * memory. */
static uint64_t *slot_of(struct faasi_policy *policy, struct idx_function *f,
                         uint32_t level)
{
    if (level <= 1)
        return &f->first;
    if (FAASI_UNLIKELY(level - 2 >= f->slot_room)) {
        uint32_t room = f->slot_room == 0 ? 1 : f->slot_room;
        uint64_t *slots;

        while (room <= level - 2)
            room *= 2;
        slots = faasi_grow(policy->allocator, f->slots, f->slot_room * sizeof *slots,
                           room * sizeof *slots);
        if (slots == NULL)
            return NULL;
        memset(slots + f->slot_room, 0, (room - f->slot_room) * sizeof *slots);
        f->slots = slots;
        f->slot_room = room;
    }
    return &f->slots[level - 2];
}

enum { SLOT_LOW = 0xff, SLOT_FIRST = 1 + BUCKETS };

static unsigned slot_context(uint64_t slot)
{
    unsigned low = (unsigned)(slot & SLOT_LOW);

    return context_of(low == 0 ? BUCKETS : low - 1);
}

static struct idx_history *history_find(struct idx_function *f, unsigned depth)
{
    struct idx_history *history = f->history;

    while (history != NULL && history->depth != depth)
        history = history->next;
    return history;
}

/* NULL without memory: then nothing is learned. */
static struct idx_history *history_of(struct faasi_policy *policy, struct idx_function *f,
                                      unsigned depth)
{
    struct idx_history *history = history_find(f, depth);

    if (FAASI_LIKELY(history != NULL))
        return history;
    history = faasi_alloc_zeroed(policy->allocator, sizeof *history);
    if (history == NULL)
        return NULL;
    history->depth = (uint8_t)depth;
    history->next = f->history;
    f->history = history;
    return history;
}

/* Lets counts fade: FADE_EVERY observations at once. Fractions are rounded up as often as
 * they are large, each count by its own turn: cut off, or rounded to the nearest, what is
 * rare would be forgotten too early or never. */
static void history_fade(struct idx_history *history)
{
    uint16_t *counts = history->counts[0];
    uint32_t total = 0;

    for (unsigned i = 0; i < CONTEXTS * BUCKETS; i++) {
        uint32_t turn = (history->seen / FADE_EVERY * CONTEXTS * BUCKETS + i) * 40503;

        counts[i] = (uint16_t)(((uint32_t)counts[i] * PASS + (turn & 0xffff)) >> 16);
        total += counts[i];
    }
    history->total = total;
    history->fill = 0;
}

static void history_count(struct idx_history *history, unsigned context, unsigned bucket)
{
    uint16_t weight = WEIGHT[history->fill];

    history->counts[context][bucket] =
        (uint16_t)(history->counts[context][bucket] + weight);
    history->total += weight;
    if (bucket > history->top)
        history->top = (uint8_t)bucket;
    history->used |= (uint8_t)(1u << context);
    history->seen++;
    if (++history->fill == FADE_EVERY)
        history_fade(history);
}

static void prior_count(struct idx_prior *prior, unsigned bucket, double count)
{
    prior->counts[bucket] += count;
    prior->all += count;
    if (prior->all <= PRIOR_MAX)
        return;
    for (unsigned i = 0; i < BUCKETS; i++)
        prior->counts[i] /= 2;
    prior->all /= 2;
    prior->snapshot_at = 0;
}

/* ---- the index ---- */

/* Over the buckets `first` to `last`, whose weights are `m`; `alive` weighs what comes
 * from `first` on, beyond the last bucket or never too. Inside a bucket reuse is
 * uniform. */
static struct rate best_rate(const struct idx *idx, const float *m, float alive,
                             unsigned first, unsigned last)
{
    float hit = 0, held = 0, best_hit = 0, best_held = 1;
    unsigned until = first;

    for (unsigned i = first; i <= last; i++) {
        hit += m[i];
        held += (alive - m[i] / 2) * idx->widths[i];
        alive -= m[i];
        /* hit / held > best_hit / best_held, without dividing. */
        if (hit * best_held > best_hit * held) {
            best_hit = hit;
            best_held = held;
            until = i;
        }
    }
    return (struct rate){best_hit / best_held, until};
}

static void prior_snapshot(const struct idx *idx, struct idx_prior *prior)
{
    double weight = (double)MIX / prior->all, sum = 0;
    float alive;

    for (unsigned i = 0; i < BUCKETS; i++) {
        prior->weights[i] = (float)(weight * prior->counts[i]);
        sum += prior->counts[i];
    }
    /* What is never used again, and a trace more: no rate is infinite. */
    alive = (float)(weight * (prior->all > sum ? prior->all - sum : 0) + 1e-6);
    for (unsigned i = BUCKETS; i-- > 0;) {
        alive += prior->weights[i];
        prior->alive[i] = alive;
    }
    for (unsigned i = 0; i < BUCKETS; i++)
        prior->rates[i] = best_rate(idx, prior->weights, prior->alive[i], i, BUCKETS - 1);
    prior->snapshot_at = prior->all;
}

static struct idx_prior *prior_of(struct idx *idx, unsigned depth)
{
    struct idx_prior *prior = &idx->priors[depth];

    if (FAASI_UNLIKELY(prior->all >= prior->snapshot_at * (1 + 1.0 / SNAPSHOT_PART)))
        prior_snapshot(idx, prior);
    return prior;
}

static struct rate rate_of(const struct idx *idx, const struct idx_history *history,
                           const struct idx_prior *prior, unsigned context,
                           unsigned first)
{
    float m[BUCKETS], scale, share, alive;
    unsigned last;
    struct rate rate;

    /* What it knows lies behind it: the prior alone is left, and its weight cancels. */
    if (history == NULL || first > history->top)
        return prior->rates[first];
    last = history->top;
    scale = 1 / (float)WEIGHT[history->fill == 0 ? 0 : history->fill - 1];
    share = MIX / ((float)history->total * scale + MIX);
    for (unsigned i = first; i <= last; i++)
        m[i] = (float)history->counts[context][i] * (scale + scale * share) +
               prior->weights[i] * share;
    for (unsigned c = 0; c < CONTEXTS; c++)
        if (c != context && (history->used >> c & 1) != 0)
            for (unsigned i = first; i <= last; i++)
                m[i] += (float)history->counts[c][i] * (scale * share);
    alive = last + 1 < BUCKETS ? prior->alive[last + 1] * share : 1e-6f * share;
    for (unsigned i = first; i <= last; i++)
        alive += m[i];
    rate = best_rate(idx, m, alive, first, last);
    /* Behind the last bucket the prior is alone again. If its best rate from there on is
     * no better than what was found, no longer time is: it would mix the two. */
    if (last + 1 == BUCKETS || prior->rates[last + 1].best <= rate.best)
        return rate;
    for (unsigned i = last + 1; i < BUCKETS; i++)
        m[i] = prior->weights[i] * share;
    return best_rate(idx, m, alive, first, BUCKETS - 1);
}

/* ---- candidates ---- */

static void list_append(struct idx *idx, uint32_t id, unsigned list)
{
    struct idx_function *f = &idx->functions[id];
    uint32_t head = idx->lists[list];
    uint64_t due = f->since + idx->edges[list / BUCKETS];

    f->list = (uint16_t)list;
    if (head == FAASI_POLICY_NONE) {
        f->due = (struct links){id, id};
        idx->lists[list] = id;
        idx->dues[list] = due;
        if (due < idx->soonest[list / BUCKETS])
            idx->soonest[list / BUCKETS] = due;
        if (due < idx->next_due)
            idx->next_due = due;
        return;
    }
    f->due = (struct links){idx->functions[head].due.before, head};
    idx->functions[f->due.before].due.after = id;
    idx->functions[head].due.before = id;
}

static void list_remove(struct idx *idx, uint32_t id)
{
    struct idx_function *f = &idx->functions[id];
    unsigned list = f->list;

    if (f->due.after == id) {
        idx->lists[list] = FAASI_POLICY_NONE;
        idx->dues[list] = UINT64_MAX;
        return;
    }
    idx->functions[f->due.before].due.after = f->due.after;
    idx->functions[f->due.after].due.before = f->due.before;
    if (idx->lists[list] == id) {
        idx->lists[list] = f->due.after;
        idx->dues[list] = idx->functions[f->due.after].since + idx->edges[list / BUCKETS];
    }
}

static uint16_t rank_of(float index)
{
    uint32_t bits;

    memcpy(&bits, &index, sizeof bits);
    return (uint16_t)(bits >> RANK_SHIFT);
}

/* The least index of a rank. */
static float rank_index(uint16_t rank)
{
    uint32_t bits = (uint32_t)rank << RANK_SHIFT;
    float index;

    memcpy(&index, &bits, sizeof index);
    return index;
}

static void rank_insert(struct idx *idx, uint32_t id, uint16_t rank)
{
    struct idx_function *f = &idx->functions[id];
    uint32_t head;

    f->rank = rank;
    head = idx->ranks[f->rank];
    if (head == FAASI_POLICY_NONE) {
        f->peers = (struct links){id, id};
        idx->ranks[f->rank] = id;
        idx->rank_bits[f->rank / 64] |= (uint64_t)1 << f->rank % 64;
        idx->rank_words[f->rank / 4096] |= (uint64_t)1 << f->rank / 64 % 64;
        return;
    }
    f->peers = (struct links){idx->functions[head].peers.before, head};
    idx->functions[f->peers.before].peers.after = id;
    idx->functions[head].peers.before = id;
}

static void rank_remove(struct idx *idx, uint32_t id)
{
    struct idx_function *f = &idx->functions[id];
    unsigned rank = f->rank;

    if (f->peers.after == id) {
        idx->ranks[rank] = FAASI_POLICY_NONE;
        idx->rank_bits[rank / 64] &= ~((uint64_t)1 << rank % 64);
        if (idx->rank_bits[rank / 64] == 0)
            idx->rank_words[rank / 4096] &= ~((uint64_t)1 << rank / 64 % 64);
        return;
    }
    idx->functions[f->peers.before].peers.after = f->peers.after;
    idx->functions[f->peers.after].peers.before = f->peers.before;
    if (idx->ranks[rank] == id)
        idx->ranks[rank] = f->peers.after;
}

static uint32_t rank_least(const struct idx *idx)
{
    for (unsigned i = 0; i < FAASI_COUNT(idx->rank_words); i++)
        if (idx->rank_words[i] != 0) {
            unsigned word = i * 64 + (unsigned)__builtin_ctzll(idx->rank_words[i]);

            return idx
                ->ranks[word * 64 + (unsigned)__builtin_ctzll(idx->rank_bits[word])];
        }
    return FAASI_POLICY_NONE;
}

static void candidate_drop(struct idx *idx, uint32_t id)
{
    struct idx_function *f = &idx->functions[id];

    if (f->state == NO_CANDIDATE)
        return;
    if (f->list < LISTS)
        list_remove(idx, id);
    if (f->state == RANKED)
        rank_remove(idx, id);
    f->state = NO_CANDIDATE;
}

/* Its best rate at the age of `bucket`. */
static struct rate candidate_rate(struct idx *idx, uint32_t id, unsigned bucket)
{
    struct idx_function *f = &idx->functions[id];

    return rate_of(idx, history_find(f, f->depth), prior_of(idx, f->depth), f->context,
                   bucket);
}

/* Ranks a candidate at the age of `bucket`, and says when it is looked at again. */
static void candidate_rank(struct idx *idx, uint32_t id, unsigned bucket,
                           struct rate rate)
{
    struct idx_function *f = &idx->functions[id];
    uint16_t rank = rank_of(rate.best * f->worth);
    unsigned next = rate.until + 1;

    if (f->state == RANKED && f->rank != rank)
        rank_remove(idx, id);
    if (f->state != RANKED || f->rank != rank)
        rank_insert(idx, id, rank);
    f->state = RANKED;
    f->bucket = (uint8_t)bucket;
    f->list = LISTS;
    if (next < BUCKETS)
        list_append(idx, id, next * BUCKETS + next - bucket);
}

/* The oldest idle instance of a function became another one, or is the first. */
static void candidate_begin(struct faasi_policy *policy, uint32_t id, uint64_t since,
                            uint64_t now)
{
    struct idx *idx = policy->state;
    struct idx_function *f = &idx->functions[id];
    uint32_t level = policy->functions[id].live;
    unsigned bucket = bucket_of(idx, now - since);
    uint64_t slot = 0;
    struct rate rate;

    if (level <= 1)
        slot = f->first;
    else if (level - 2 < f->slot_room)
        slot = f->slots[level - 2];
    f->since = since;
    f->depth = (uint8_t)depth_of(level);
    f->context = (uint8_t)slot_context(slot);
    rate = candidate_rate(idx, id, bucket);
    if (bucket > 0 || rate.best * f->worth < LOW * idx->victims) {
        candidate_rank(idx, id, bucket, rate);
    } else {
        f->state = YOUNG;
        list_append(idx, id, WAITING);
    }
}

static void candidate_follow(struct faasi_policy *policy, uint32_t id, uint64_t now)
{
    const struct faasi_policy_function *f = &policy->functions[id];

    candidate_drop(policy->state, id);
    if (f->idle > 0)
        candidate_begin(policy, id, policy->instances[f->oldest].since, now);
}

/* ---- events ---- */

static void idx_request(struct faasi_policy *policy, uint32_t function, uint32_t level,
                        uint64_t now)
{
    struct idx *idx = policy->state;
    struct idx_function *f = &idx->functions[function];
    unsigned depth = depth_of(level), bucket;
    uint64_t *slot = slot_of(policy, f, level);
    struct idx_history *history;

    if (slot == NULL)
        return;
    if (*slot == 0) { // a slot whose gap has not ended yet
        idx->priors[depth].all += 1;
        *slot = SLOT_FIRST;
        return;
    }
    bucket = bucket_of(idx, now - (*slot & ~(uint64_t)SLOT_LOW));
    history = history_of(policy, f, depth);
    if (history != NULL)
        history_count(history, slot_context(*slot), bucket);
    prior_count(&idx->priors[depth], bucket, 1);
    *slot = (now & ~(uint64_t)SLOT_LOW) | (1 + bucket);
}

/* More than a hundred say no more than a hundred: the others would have faded. */
static void idx_repeat(struct faasi_policy *policy, uint32_t function, uint32_t level,
                       uint64_t count, uint64_t gap)
{
    struct idx *idx = policy->state;
    struct idx_function *f = &idx->functions[function];
    unsigned depth = depth_of(level), bucket = bucket_of(idx, gap);
    struct idx_history *history = history_of(policy, f, depth);
    uint64_t *slot = slot_of(policy, f, level);

    if (count > 100)
        count = 100;
    for (uint64_t i = 0; i < count; i++) {
        if (history != NULL)
            history_count(history, context_of(bucket), bucket);
        prior_count(&idx->priors[depth], bucket, 1);
    }
    if (slot != NULL && *slot != 0)
        *slot = (*slot & ~(uint64_t)SLOT_LOW) | (1 + bucket);
}

static void idx_idle(struct faasi_policy *policy, uint32_t instance, uint32_t level,
                     uint64_t now)
{
    struct idx *idx = policy->state;
    uint32_t function = policy->instances[instance].function;
    struct idx_function *f = &idx->functions[function];
    uint64_t *slot = slot_of(policy, f, level);

    if (slot != NULL)
        *slot =
            (now & ~(uint64_t)SLOT_LOW) | (*slot == 0 ? SLOT_FIRST : *slot & SLOT_LOW);
    if (f->state == NO_CANDIDATE)
        candidate_begin(policy, function, now, now);
    else if (FAASI_UNLIKELY(policy->functions[function].oldest == instance))
        candidate_follow(policy, function, now); // reported late, and before others
}

static void idx_taken(struct faasi_policy *policy, uint32_t instance, uint64_t age)
{
    const struct faasi_policy_instance *i = &policy->instances[instance];

    (void)age;
    if (i->older == FAASI_POLICY_NONE)
        candidate_follow(policy, i->function, i->since);
}

static void victims_count(struct idx *idx, float index)
{
    idx->victims += idx->victims == 0 ? index : 0.01f * (index - idx->victims);
}

static void idx_end(struct faasi_policy *policy, uint32_t instance,
                    enum faasi_policy_end how, uint64_t now)
{
    struct idx *idx = policy->state;
    uint32_t function = policy->instances[instance].function;
    const struct idx_function *f = &idx->functions[function];

    if (how == FAASI_POLICY_EVICTED && f->state == RANKED)
        victims_count(idx, rank_index(f->rank));
    candidate_follow(policy, function, now);
}

/* In a cache that does not always reuse the newest, one may start while others idle. */
static void idx_start(struct faasi_policy *policy, uint32_t instance)
{
    const struct faasi_policy_instance *i = &policy->instances[instance];

    if (policy->functions[i->function].idle > 0)
        candidate_follow(policy, i->function, i->since);
}

static void idx_changed(struct faasi_policy *policy, uint32_t function)
{
    struct idx *idx = policy->state;

    idx->functions[function].worth = policy->functions[function].worth;
}

static void idx_forget(struct faasi_policy *policy, uint32_t function)
{
    struct idx *idx = policy->state;

    function_clear(policy, &idx->functions[function]);
}

/* ---- decisions ---- */

/* Indexes a candidate at its present age. */
static void candidate_again(struct idx *idx, uint32_t id, uint64_t now)
{
    struct idx_function *f = &idx->functions[id];
    unsigned bucket = bucket_of(idx, now - f->since);

    if (f->list < LISTS)
        list_remove(idx, id);
    candidate_rank(idx, id, bucket, candidate_rate(idx, id, bucket));
}

/* Looks at what is due in one bucket's lists. */
static void bucket_catch_up(struct faasi_policy *policy, unsigned bucket, uint64_t now)
{
    struct idx *idx = policy->state;
    uint64_t soonest = UINT64_MAX;

    for (unsigned list = bucket * BUCKETS; list <= bucket * BUCKETS + bucket; list++) {
        while (idx->dues[list] <= now) {
            uint32_t id = idx->lists[list];

            __builtin_prefetch(&idx->functions[idx->functions[id].due.after]);
            if (policy->look == NULL ||
                faasi_policy_refresh(policy, policy->functions[id].oldest, now))
                candidate_again(idx, id, now);
        }
        if (idx->dues[list] < soonest)
            soonest = idx->dues[list];
    }
    idx->soonest[bucket] = soonest;
}

static void idx_catch_up(struct faasi_policy *policy, uint64_t now)
{
    struct idx *idx = policy->state;

    if (now < idx->next_due)
        return;
    for (unsigned bucket = 1; bucket < BUCKETS; bucket++)
        if (idx->soonest[bucket] <= now)
            bucket_catch_up(policy, bucket, now);
    idx->next_due = UINT64_MAX;
    for (unsigned bucket = 1; bucket < BUCKETS; bucket++)
        if (idx->soonest[bucket] < idx->next_due)
            idx->next_due = idx->soonest[bucket];
}

static uint32_t idx_victim(struct faasi_policy *policy, uint64_t now)
{
    struct idx *idx = policy->state;
    uint32_t id;

    idx_catch_up(policy, now);
    while ((id = rank_least(idx)) != FAASI_POLICY_NONE) {
        struct idx_function *f = &idx->functions[id];
        unsigned rank = f->rank;

        if (bucket_of(idx, now - f->since) == f->bucket)
            break;
        candidate_again(idx, id, now);
        if (f->rank <= rank)
            break;
    }
    if (id == FAASI_POLICY_NONE)
        id = idx->lists[WAITING];
    return id == FAASI_POLICY_NONE ? id : policy->functions[id].oldest;
}

static void idx_prefetch(struct faasi_policy *policy, uint32_t function)
{
    struct idx *idx = policy->state;

    __builtin_prefetch(&idx->functions[function]);
}

static void idx_prefetch_next(struct faasi_policy *policy, uint32_t function)
{
    struct idx *idx = policy->state;
    const struct idx_history *history = idx->functions[function].history;

    if (history == NULL)
        return;
    for (size_t i = 0; i < sizeof *history; i += FAASI_CACHELINE)
        __builtin_prefetch((const char *)history + i);
}

const struct faasi_policy_ops faasi_policy_idx = {.name = "idx",
                                                  .open = idx_open,
                                                  .close = idx_close,
                                                  .reserve = idx_reserve,
                                                  .changed = idx_changed,
                                                  .forget = idx_forget,
                                                  .request = idx_request,
                                                  .repeat = idx_repeat,
                                                  .start = idx_start,
                                                  .taken = idx_taken,
                                                  .idle = idx_idle,
                                                  .end = idx_end,
                                                  .victim = idx_victim,
                                                  .prefetch = idx_prefetch,
                                                  .prefetch_next = idx_prefetch_next};
