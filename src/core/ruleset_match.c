/* SPDX-License-Identifier: MIT */
/* ruleset_match.c - which rules an event matches. */
#include "ruleset_match.h"

#include "fold.h"
#include "grace.h"
#include "hash.h"
#include "mem.h"
#include "ruleset_agree.h"

/* Enough for an event of some kilobytes; larger ones take a block of the set's. */
#define STACK_BYTES 12288

/* Values and places that there is room for at first. */
#define VALUE_ROOM 64

/* --- Scratch memory --- */

/* The blocks stand in slots that whoever needs one empties; the last resort is the
 * allocator, as when the first thread came. */
static void *block_take(faas_ruleset *set)
{
    for (size_t i = 0; i < FAASI_SCRATCH_SLOTS; i++) {
        void *block;

        if (atomic_load_explicit(&set->scratch[i], memory_order_relaxed) == NULL)
            continue;
        block = atomic_exchange_explicit(&set->scratch[i], NULL, memory_order_acquire);
        if (block != NULL)
            return block;
    }
    return faasi_alloc(set->alloc, set->scratch_bytes);
}

static void block_give(faas_ruleset *set, void *block)
{
    for (size_t i = 0; i < FAASI_SCRATCH_SLOTS; i++) {
        void *none = NULL;

        if (atomic_compare_exchange_strong_explicit(&set->scratch[i], &none, block,
                                                    memory_order_release,
                                                    memory_order_relaxed))
            return;
    }
    faasi_free(set->alloc, block, set->scratch_bytes);
}

void *faasi_scratch_take_block(struct faasi_scratch *scratch, size_t size)
{
    if (scratch->block != NULL || size > scratch->set->scratch_bytes) {
        scratch->status = FAAS_EINVAL;
        return NULL;
    }
    scratch->block = block_take(scratch->set);
    if (scratch->block == NULL) {
        scratch->status = FAAS_ENOMEM;
        return NULL;
    }
    scratch->at = (char *)scratch->block + size;
    scratch->end = (char *)scratch->block + scratch->set->scratch_bytes;
    return scratch->block;
}

static bool give_up(struct faasi_matcher *m, faas_status status)
{
    if (m->status == FAAS_OK)
        m->status = status;
    return false;
}

/* --- Values --- */

/* Doubles an array: where it is, if nothing was taken since, or else as a copy. */
static void *scratch_double(struct faasi_scratch *scratch, void *memory, size_t size)
{
    void *more;

    if ((char *)memory + faasi_round_up(size, 8) == scratch->at &&
        size <= (size_t)(scratch->end - scratch->at)) {
        scratch->at += faasi_round_up(size, 8);
        return memory;
    }
    more = faasi_scratch_take(scratch, 2 * size);
    return more == NULL ? NULL : memcpy(more, memory, size);
}

/* Makes room for twice as many values or places, whichever the walk lacks. */
static bool walk_widen(struct faasi_matcher *m, struct faasi_json_walk *walk)
{
    if (walk->value_count == walk->value_max) {
        struct faasi_json_value *values = scratch_double(
            &m->scratch, walk->values, sizeof *values * (size_t)walk->value_max);

        if (values == NULL)
            return give_up(m, m->scratch.status);
        walk->values = values;
        walk->value_max *= 2;
    } else {
        struct faasi_json_place *places = scratch_double(
            &m->scratch, walk->places, sizeof *places * (size_t)walk->place_max);

        if (places == NULL)
            return give_up(m, m->scratch.status);
        walk->places = places;
        walk->place_max *= 2;
    }
    return true;
}

static const struct faasi_field *field_of(const struct faasi_matcher *m, uint32_t value)
{
    return m->plan->fields[m->values[value].field];
}

static faas_status values_init(struct faasi_matcher *m)
{
    uint64_t seen = 0;

    m->read = faasi_scratch_take(&m->scratch, sizeof *m->read * m->value_count);
    if (m->read == NULL)
        return m->scratch.status;
    for (uint32_t i = 0; i < m->value_count; i++) {
        const uint64_t bit = (uint64_t)1 << m->values[i].field % 64;

        m->read[i].text = NULL;
        m->repeated |= seen & bit;
        seen |= bit;
    }
    return FAAS_OK;
}

faas_status faasi_matcher_walk(struct faasi_matcher *m, struct faasi_json_walk *walk,
                               faas_bytes event, const uint64_t *index)
{
    enum faasi_json_walked walked;

    walk->place_max = atomic_load_explicit(&m->set->joint_count, memory_order_relaxed) > 0
                          ? VALUE_ROOM
                          : 0;
    walk->value_max = VALUE_ROOM;
    walk->places =
        faasi_scratch_take(&m->scratch, sizeof *walk->places * walk->place_max);
    walk->values = faasi_scratch_take(&m->scratch, sizeof *walk->values * VALUE_ROOM);
    if (walk->values == NULL || walk->places == NULL)
        return m->scratch.status;
    faasi_json_walk_start(walk, m->plan->paths, event, index);
    while ((walked = faasi_json_walk(walk)) == FAASI_JSON_FULL)
        if (!walk_widen(m, walk))
            return m->status;
    if (walked == FAASI_JSON_BROKEN)
        return FAAS_ESYNTAX;
    m->values = walk->values;
    m->places = walk->places;
    m->reach = walk->at;
    m->value_count = walk->value_count;
    m->place_count = walk->place_count;
    return m->value_count == 0 ? FAAS_OK : values_init(m);
}

/* Reads a scalar: escapes and digits are looked at only when a rule asks for them. */
static __attribute__((noinline)) struct faasi_value *value_fill(struct faasi_matcher *m,
                                                                uint32_t number)
{
    static const enum faasi_value_kind kinds[] = {
        [FAASI_JSON_STRING] = FAASI_VALUE_STRING,
        [FAASI_JSON_ESCAPED] = FAASI_VALUE_STRING,
        [FAASI_JSON_NUMBER] = FAASI_VALUE_NUMBER,
        [FAASI_JSON_TRUE] = FAASI_VALUE_TRUE,
        [FAASI_JSON_FALSE] = FAASI_VALUE_FALSE,
        [FAASI_JSON_NULL] = FAASI_VALUE_NULL};
    struct faasi_value *value = &m->read[number];
    const struct faasi_json_value *from = &m->values[number];
    const char *text = m->text + from->begin;
    const size_t size = from->end - from->begin;

    value->kind = kinds[from->kind];
    value->text = text;
    value->size = size;
    if (from->kind == FAASI_JSON_NUMBER) {
        faasi_number_read(value);
    } else if (from->kind == FAASI_JSON_ESCAPED) {
        char *copy = faasi_scratch_take(&m->scratch, size);

        if (copy == NULL) {
            value->text = NULL;
            (void)give_up(m, m->scratch.status);
            return NULL;
        }
        value->size = faasi_json_unescape(&text, text + size, copy, size);
        value->text = copy;
    }
    return value;
}

static inline struct faasi_value *value_read(struct faasi_matcher *m, uint32_t number)
{
    struct faasi_value *value = &m->read[number];

    return value->text != NULL ? value : value_fill(m, number);
}

static uint32_t head_slot(const struct faasi_matcher *m, const struct faasi_field *field)
{
    return (uint32_t)(field->salt >> 32) & m->head_mask;
}

/* Chains the values of each field, last to first, so that each chain is in text order. */
static bool heads_init(struct faasi_matcher *m)
{
    uint32_t room = 64;

    while (room < m->value_count * 2)
        room *= 2;
    m->nexts = faasi_scratch_take(&m->scratch, sizeof *m->nexts * m->value_count);
    m->heads = faasi_scratch_take(&m->scratch, sizeof *m->heads * room);
    if (m->nexts == NULL || m->heads == NULL) {
        m->heads = NULL;
        return give_up(m, m->scratch.status);
    }
    memset(m->heads, 0, sizeof *m->heads * room);
    m->head_mask = room - 1;
    for (uint32_t i = m->value_count; i-- > 0;) {
        uint32_t slot = head_slot(m, field_of(m, i));

        while (m->heads[slot] != 0 &&
               m->values[m->heads[slot] - 1].field != m->values[i].field)
            slot = (slot + 1) & m->head_mask;
        m->nexts[i] = m->heads[slot];
        m->heads[slot] = i + 1;
    }
    return true;
}

uint32_t faasi_matcher_first(struct faasi_matcher *m, const struct faasi_field *field)
{
    uint32_t slot;

    if (m->value_count <= FAASI_VALUES_LINEAR) {
        for (uint32_t i = 0; i < m->value_count; i++)
            if (field_of(m, i) == field)
                return i + 1;
        return 0;
    }
    if (m->heads == NULL && !heads_init(m))
        return 0;
    slot = head_slot(m, field);
    while (m->heads[slot] != 0 && field_of(m, m->heads[slot] - 1) != field)
        slot = (slot + 1) & m->head_mask;
    return m->heads[slot];
}

uint32_t faasi_matcher_next(const struct faasi_matcher *m, uint32_t value)
{
    if (m->heads != NULL)
        return m->nexts[value - 1];
    for (uint32_t i = value; i < m->value_count; i++)
        if (m->values[i].field == m->values[value - 1].field)
            return i + 1;
    return 0;
}

/* --- Leaves --- */

bool faasi_leaf_accepts(struct faasi_matcher *m, const struct faasi_rule_leaf *leaf,
                        uint32_t number)
{
    struct faasi_value *value = value_read(m, number);

    if (value == NULL)
        return false;
    for (uint32_t i = 0; i < leaf->cond_count; i++)
        if (faasi_cond_holds(&leaf->conds[i], value))
            return true;
    return false;
}

bool faasi_leaf_holds(struct faasi_matcher *m, const struct faasi_rule_leaf *leaf)
{
    uint32_t value = faasi_matcher_first(m, leaf->field);

    if (value == 0)
        return leaf->absent;
    for (; value != 0; value = faasi_matcher_next(m, value))
        if (faasi_leaf_accepts(m, leaf, value - 1))
            return true;
    return false;
}

/* Leaves that have a value in no array agree with everything. */
static bool sub_agrees(struct faasi_matcher *m, const struct faasi_rule_sub *sub)
{
    struct faasi_choice *choices =
        faasi_scratch_take(&m->scratch, sizeof *choices * m->value_count);
    uint32_t leaf_count = 0;
    size_t count = 0;
    enum faasi_agreement agreement;

    if (choices == NULL)
        return give_up(m, m->scratch.status);
    for (uint32_t i = 0; i < sub->leaf_count; i++) {
        const struct faasi_rule_leaf *leaf = &sub->rule->leaves[sub->leaves[i]];
        const size_t before = count;
        bool anywhere = false;

        for (uint32_t value = faasi_matcher_first(m, leaf->field);
             value != 0 && !anywhere; value = faasi_matcher_next(m, value)) {
            if (!faasi_leaf_accepts(m, leaf, value - 1))
                continue;
            anywhere = m->values[value - 1].place == FAASI_JSON_NOWHERE;
            choices[count].leaf = leaf_count;
            choices[count++].place = m->values[value - 1].place;
        }
        if (anywhere)
            count = before;
        else if (count > before)
            leaf_count++;
    }
    if (leaf_count < 2)
        return true;
    agreement =
        faasi_agree(choices, count, leaf_count, m->places, m->place_count, &m->scratch);
    if (agreement == FAASI_AGREE_FAILED)
        return give_up(m, m->scratch.status != FAAS_OK ? m->scratch.status : FAAS_EINVAL);
    return agreement == FAASI_AGREE;
}

/* What this takes of the scratch memory it gives back, or many candidates would use it
 * up. So what stays is made before: texts without their escapes, and the table of
 * values. */
bool faasi_sub_agrees(struct faasi_matcher *m, const struct faasi_rule_sub *sub)
{
    struct faasi_scratch *scratch = &m->scratch;
    void *block;
    char *at;
    bool agrees;

    if (!sub->joint || m->place_count < 2)
        return true;
    for (uint32_t i = 0; i < m->value_count; i++)
        if (m->values[i].kind == FAASI_JSON_ESCAPED)
            (void)value_read(m, i);
    if (m->value_count > FAASI_VALUES_LINEAR && m->heads == NULL)
        (void)heads_init(m);
    if (m->status != FAAS_OK)
        return false;
    block = scratch->block;
    at = scratch->at;
    agrees = sub_agrees(m, sub);
    scratch->at = block == scratch->block ? at : scratch->block;
    return agrees;
}

/* --- What a value finds --- */

static void out_add(struct faasi_matcher *m, const struct faasi_rule *rule)
{
    if (m->count < m->capacity) {
        m->out[m->count].name = rule->name;
        m->out[m->count].user = rule->user;
    }
    m->count++;
}

static uint32_t seen_slot(const struct faasi_matcher *m, uintptr_t what)
{
    return (uint32_t)(what * 0x9E3779B97F4A7C15u >> 32) & m->seen_mask;
}

static bool seen_grow(struct faasi_matcher *m)
{
    const uintptr_t *old = m->seen;
    const uint32_t old_room = old == NULL ? 0 : m->seen_mask + 1;
    const uint32_t room = old_room == 0 ? 32 : old_room * 4;

    m->seen = faasi_scratch_take(&m->scratch, sizeof *m->seen * room);
    if (m->seen == NULL) {
        m->seen = (uintptr_t *)old;
        return give_up(m, m->scratch.status);
    }
    memset(m->seen, 0, sizeof *m->seen * room);
    m->seen_mask = room - 1;
    for (uint32_t i = 0; i < old_room; i++) {
        uint32_t slot;

        if (old[i] == 0)
            continue;
        slot = seen_slot(m, old[i]);
        while (m->seen[slot] != 0)
            slot = (slot + 1) & m->seen_mask;
        m->seen[slot] = old[i];
    }
    return true;
}

/* Returns true the first time that it is asked for something. */
static bool seen_add(struct faasi_matcher *m, const void *what)
{
    uint32_t slot;

    if ((m->seen == NULL || m->seen_count * 2 > m->seen_mask) && !seen_grow(m))
        return false;
    slot = seen_slot(m, (uintptr_t)what);
    while (m->seen[slot] != 0) {
        if (m->seen[slot] == (uintptr_t)what)
            return false;
        slot = (slot + 1) & m->seen_mask;
    }
    m->seen[slot] = (uintptr_t)what;
    m->seen_count++;
    return true;
}

static bool is_visible(const struct faasi_matcher *m, const struct faasi_rule *rule)
{
    return rule->born <= m->version &&
           atomic_load_explicit(&rule->died, memory_order_relaxed) > m->version;
}

/* Looks at every leaf but the one numbered `skip`. */
static bool sub_holds(struct faasi_matcher *m, const struct faasi_rule_sub *sub,
                      uint32_t skip)
{
    for (uint32_t i = 0; i < sub->leaf_count; i++)
        if (i != skip && !faasi_leaf_holds(m, &sub->rule->leaves[sub->leaves[i]]))
            return false;
    return faasi_sub_agrees(m, sub);
}

/* A posting was found: by value `number`, or by none. `again`: perhaps not for the first
 * time. */
static void posting_take(struct faasi_matcher *m, uintptr_t word, uint32_t number,
                         bool again)
{
    const bool verify = (word & FAASI_POSTING_VERIFY) != 0;
    const struct faasi_rule_sub *sub =
        (const struct faasi_rule_sub *)(word & ~FAASI_POSTING_VERIFY);
    const struct faasi_rule *rule = sub->rule;

    if (!is_visible(m, rule))
        return;
    m->verified |= verify;
    again |= sub->many;
    if (sub->leaf_count == 1 && number != UINT32_MAX) {
        if (verify && !faasi_leaf_accepts(m, &rule->leaves[sub->leaves[0]], number))
            return;
        if (again && !seen_add(m, rule))
            return;
    } else {
        if (again && !seen_add(m, sub))
            return;
        if (!sub_holds(m, sub, verify ? UINT32_MAX : sub->access))
            return;
        if (rule->sub_count > 1 && !seen_add(m, rule))
            return;
    }
    out_add(m, rule);
}

static void postings_take(struct faasi_matcher *m, const faasi_postings *postings,
                          uint32_t number, bool again)
{
    const uintptr_t word = atomic_load_explicit(postings, memory_order_acquire);
    const struct faasi_posting_list *list;

    if (word == 0)
        return;
    if ((word & FAASI_POSTINGS_LIST) == 0) {
        posting_take(m, word, number, again);
        return;
    }
    list = faasi_posting_list(word);
    for (uint32_t i = 0; i < list->room; i++) {
        uintptr_t one = atomic_load_explicit(&list->words[i], memory_order_acquire);

        if (one != 0)
            posting_take(m, one, number, again);
    }
}

/* A value that is asking for its rules. */
struct asking {
    const struct faasi_field *field;
    uint32_t number;
    uint32_t kinds;
    bool again;
};

static void key_take(struct faasi_matcher *m, const struct asking *asking,
                     enum faasi_access kind, const void *bytes, size_t size)
{
    const uint64_t hash = faasi_entry_hash(bytes, size, asking->field->salt, kind);
    struct faasi_bucket *bucket = NULL;
    const struct faasi_table_entry *entry;
    uint32_t slot = 0;

    while ((entry = faasi_table_next(&m->set->entries, hash, &bucket, &slot)) != NULL) {
        if (entry->field != asking->field || entry->kind != kind || entry->size != size ||
            memcmp(entry + 1, bytes, size) != 0)
            continue;
        postings_take(m, &entry->postings, asking->number, asking->again);
        return;
    }
}

static bool asks(const struct asking *asking, enum faasi_access kind)
{
    return (asking->kinds >> kind & 1) != 0;
}

static const struct faasi_lengths *lengths_of(const struct asking *asking,
                                              enum faasi_access kind)
{
    return atomic_load_explicit(&asking->field->lengths[kind - FAASI_ACCESS_PREFIX],
                                memory_order_acquire);
}

/* Every start, or every end, of a length that some rule has. */
static void ends_take(struct faasi_matcher *m, const struct asking *asking,
                      enum faasi_access kind, bool at_start, const char *text,
                      size_t size)
{
    const struct faasi_lengths *lengths = lengths_of(asking, kind);

    for (uint32_t i = 0; lengths != NULL && i < lengths->count; i++) {
        const uint32_t length = lengths->list[i].length;

        if (length > size)
            break;
        key_take(m, asking, kind, at_start ? text : text + size - length, length);
    }
}

static void folded_take(struct faasi_matcher *m, const struct asking *asking,
                        const struct faasi_value *value)
{
    char *folded = faasi_scratch_take(&m->scratch, faasi_fold_bound(value->size));
    size_t size;

    if (folded == NULL) {
        (void)give_up(m, m->scratch.status);
        return;
    }
    size = faasi_fold(folded, value->text, value->size);
    if (asks(asking, FAASI_ACCESS_STRING_FOLD))
        key_take(m, asking, FAASI_ACCESS_STRING_FOLD, folded, size);
    if (asks(asking, FAASI_ACCESS_PREFIX_FOLD))
        ends_take(m, asking, FAASI_ACCESS_PREFIX_FOLD, true, folded, size);
    if (asks(asking, FAASI_ACCESS_SUFFIX_FOLD))
        ends_take(m, asking, FAASI_ACCESS_SUFFIX_FOLD, false, folded, size);
}

static void address_take(struct faasi_matcher *m, const struct asking *asking,
                         const struct faasi_value *value)
{
    unsigned char address[16], key[17];
    const unsigned size = faasi_address_read(address, value->text, value->size);
    const enum faasi_access kind = size == 4 ? FAASI_ACCESS_CIDR4 : FAASI_ACCESS_CIDR6;
    const struct faasi_lengths *lengths;

    if (size == 0)
        return;
    lengths = lengths_of(asking, kind);
    for (uint32_t i = 0; lengths != NULL && i < lengths->count; i++) {
        memcpy(key, address, size);
        faasi_address_mask(key, size, lengths->list[i].length);
        key[size] = (unsigned char)lengths->list[i].length;
        key_take(m, asking, kind, key, size + 1);
    }
}

static void string_take(struct faasi_matcher *m, const struct asking *asking,
                        const struct faasi_value *value)
{
    const uint32_t folded = 1u << FAASI_ACCESS_STRING_FOLD |
                            1u << FAASI_ACCESS_PREFIX_FOLD |
                            1u << FAASI_ACCESS_SUFFIX_FOLD;
    const uint32_t addresses = 1u << FAASI_ACCESS_CIDR4 | 1u << FAASI_ACCESS_CIDR6;

    if (asks(asking, FAASI_ACCESS_STRING))
        key_take(m, asking, FAASI_ACCESS_STRING, value->text, value->size);
    if (asks(asking, FAASI_ACCESS_PREFIX))
        ends_take(m, asking, FAASI_ACCESS_PREFIX, true, value->text, value->size);
    if (asks(asking, FAASI_ACCESS_SUFFIX))
        ends_take(m, asking, FAASI_ACCESS_SUFFIX, false, value->text, value->size);
    if ((asking->kinds & folded) != 0)
        folded_take(m, asking, value);
    if ((asking->kinds & addresses) != 0)
        address_take(m, asking, value);
}

/* Says whether a number is over a bound; the span takes in that all others in it are on
 * the same side. */
static bool is_over(struct faasi_value *value, int64_t bound, struct faasi_span *span)
{
    if (faasi_number_against(value, bound) > bound) {
        if (span->low <= bound)
            span->low = bound + 1;
        return true;
    }
    if (span->high > bound)
        span->high = bound;
    return false;
}

/* Ranges that hold the number: those that begin after it are to the right, and where none
 * reaches it nobody needs to look. */
static void ranges_take(struct faasi_matcher *m, const struct asking *asking,
                        const struct faasi_range *range, struct faasi_value *value,
                        struct faasi_span *span)
{
    while (range != NULL && !is_over(value, range->reach, span)) {
        ranges_take(m, asking, range->left, value, span);
        if (!is_over(value, range->low - 1, span))
            return;
        if (!is_over(value, range->high, span))
            postings_take(m, &range->postings, asking->number, asking->again);
        range = range->right;
    }
}

/* Numbers near each other, as those of an array often are, lie in the same ranges: what
 * the one before has found need not be found again. Unless what is found must be looked
 * at value by value. */
static void range_take(struct faasi_matcher *m, const struct asking *asking,
                       struct faasi_value *value)
{
    const uint32_t field = m->values[asking->number].field;
    struct faasi_span *span = &m->spans[field % FAASI_SPANS];

    if (span->field == field + 1 && value->number - value->slack >= span->low &&
        value->number + value->slack <= span->high)
        return;
    span->field = field + 1;
    span->low = INT64_MIN;
    span->high = INT64_MAX;
    m->verified = false;
    ranges_take(m, asking,
                atomic_load_explicit(&asking->field->ranges, memory_order_acquire), value,
                span);
    if (m->verified)
        span->field = 0;
}

static void number_take(struct faasi_matcher *m, const struct asking *asking,
                        struct faasi_value *value)
{
    if (asks(asking, FAASI_ACCESS_NUMBER)) {
        while (value->slack != 0)
            faasi_number_refine(value);
        key_take(m, asking, FAASI_ACCESS_NUMBER, &value->number, sizeof value->number);
    }
    if (asks(asking, FAASI_ACCESS_RANGE))
        range_take(m, asking, value);
}

static void value_take(struct faasi_matcher *m, uint32_t number)
{
    const struct faasi_field *field = field_of(m, number);
    const struct asking asking = {
        .field = field,
        .number = number,
        .kinds = atomic_load_explicit(&field->kinds, memory_order_acquire),
        .again = (m->repeated >> m->values[number].field % 64 & 1) != 0};
    const uint32_t keyed = asking.kinds & ~(1u << FAASI_ACCESS_SCAN);

    if (keyed != 0) {
        struct faasi_value *value;
        unsigned char literal;

        if (m->values[number].kind == FAASI_JSON_NUMBER &&
            (keyed & (1u << FAASI_ACCESS_NUMBER | 1u << FAASI_ACCESS_RANGE)) == 0)
            goto scan;
        value = value_read(m, number);
        if (value == NULL)
            return;
        if (value->kind == FAASI_VALUE_STRING) {
            string_take(m, &asking, value);
        } else if (value->kind == FAASI_VALUE_NUMBER) {
            number_take(m, &asking, value);
        } else if (asks(&asking, FAASI_ACCESS_LITERAL)) {
            literal = (unsigned char)value->kind;
            key_take(m, &asking, FAASI_ACCESS_LITERAL, &literal, 1);
        }
    }
scan:
    if (asks(&asking, FAASI_ACCESS_SCAN))
        postings_take(m, &field->scan, number, asking.again);
}

/* --- Matching --- */

static void matcher_init(struct faasi_matcher *m, faas_ruleset *set, char *stack,
                         size_t stack_size)
{
    /* One by one: as one block they take longer than a lookup. */
    m->set = set;
    m->count = 0;
    m->scratch.set = set;
    m->scratch.at = stack;
    m->scratch.end = stack + stack_size;
    m->scratch.block = NULL;
    m->scratch.status = FAAS_OK;
    m->value_count = 0;
    m->place_count = 0;
    m->repeated = 0;
    m->heads = NULL;
    m->seen = NULL;
    m->seen_count = 0;
    m->status = FAAS_OK;
    m->reach = 0;
    m->verified = false;
    for (size_t i = 0; i < FAASI_SPANS; i++)
        m->spans[i].field = 0;
}

/* Acquire: pairs with the release of an edit; what it linked is there. The plan comes
 * after the version, or it could lack the fields of a rule that this version has. */
void faasi_matcher_enter(struct faasi_matcher *m)
{
    faasi_read_enter();
    m->version = atomic_load_explicit(&m->set->version, memory_order_acquire);
    m->plan = atomic_load_explicit(&m->set->plan, memory_order_acquire);
}

static void matcher_run(struct faasi_matcher *m, faas_bytes event, const uint64_t *index)
{
    struct faasi_json_walk walk;

    faasi_matcher_enter(m);
    m->text = event.data;
    if (m->plan->paths != NULL) {
        m->status = faasi_matcher_walk(m, &walk, event, index);
        for (uint32_t i = 0; i < m->value_count && m->status == FAAS_OK; i++)
            value_take(m, i);
        if (m->status == FAAS_OK)
            postings_take(m, &m->set->always, UINT32_MAX, false);
    }
    faasi_read_leave();
}

static faas_status matcher_end(struct faasi_matcher *m, size_t *count)
{
    if (m->scratch.block != NULL)
        block_give(m->set, m->scratch.block);
    *count = m->status == FAAS_OK ? m->count : 0;
    return m->status;
}

faas_status faasi_ruleset_match(faas_ruleset *set, faas_bytes event,
                                const uint64_t *index, faas_match *out, size_t capacity,
                                size_t *count)
{
    _Alignas(8) char stack[STACK_BYTES];
    struct faasi_matcher m;

    matcher_init(&m, set, stack, sizeof stack);
    m.out = out;
    m.capacity = capacity;
    matcher_run(&m, event, index);
    return matcher_end(&m, count);
}

/* Says why a match failed; `fault` if it was the event's. */
static faas_status refuse(const faas_ruleset *set, faas_status status, faas_bytes event,
                          const struct faasi_json_fault *fault)
{
    if (status == FAAS_ENOMEM)
        return faasi_fail(status, "event: no memory for %u bytes of scratch",
                          set->scratch_bytes);
    if (fault->found != NULL && status == FAAS_ESYNTAX)
        return faasi_fail(status, "event: byte %zu: found %s, expected %s", fault->offset,
                          fault->found, fault->expected);
    if (fault->found != NULL)
        return faasi_fail(status,
                          "event: byte %zu: nested deeper than %d, or over %zu bytes",
                          fault->offset, FAASI_JSON_DEPTH_MAX, FAASI_JSON_SIZE_MAX);
    if (status == FAAS_EINVAL)
        return faasi_fail(status, "event: %zu bytes need more than %u bytes of scratch",
                          event.size, set->scratch_bytes);
    return faasi_fail(status, "event: malformed");
}

static faas_status strict_match(struct faasi_matcher *m, faas_bytes event, size_t *count,
                                struct faasi_json_fault *fault)
{
    uint64_t *index = faasi_scratch_take(&m->scratch, faasi_json_index_bytes(event.size));

    if (index == NULL) {
        m->status = m->scratch.status;
    } else {
        m->status = faasi_json_check(event, index, fault);
        if (m->status == FAAS_OK)
            matcher_run(m, event, index);
    }
    return matcher_end(m, count);
}

static faas_status flags_check(uint32_t flags)
{
    if ((flags & ~FAAS_EVENT_TRUSTED) != 0)
        return faasi_fail(FAAS_EINVAL, "flags: 0x%x has bits that mean nothing", flags);
    return FAAS_OK;
}

/* Matches one event, and tells how far into it was looked. */
static faas_status event_match(faas_ruleset *set, faas_bytes event, bool trusted,
                               faas_match *out, size_t capacity, size_t *count,
                               size_t *reach)
{
    struct faasi_json_fault fault = {0, NULL, NULL};
    _Alignas(8) char stack[STACK_BYTES];
    struct faasi_matcher m;
    faas_status status;

    matcher_init(&m, set, stack, sizeof stack);
    m.out = out;
    m.capacity = capacity;
    if (trusted) {
        matcher_run(&m, event, NULL);
        status = matcher_end(&m, count);
    } else {
        status = strict_match(&m, event, count, &fault);
    }
    *reach = trusted ? m.reach : event.size;
    return status == FAAS_OK ? FAAS_OK : refuse(set, status, event, &fault);
}

faas_status faas_ruleset_match(faas_ruleset *set, faas_bytes event, uint32_t flags,
                               faas_match *out, size_t capacity, size_t *count)
{
    faas_status status = flags_check(flags);
    size_t reach;

    *count = 0;
    return status != FAAS_OK ? status
                             : event_match(set, event, (flags & FAAS_EVENT_TRUSTED) != 0,
                                           out, capacity, count, &reach);
}

/* How many events ahead memory is asked for: it takes about as long to come as some are
 * matched whose ends are not looked at. */
#define BATCH_AHEAD 6

/* From an event that is looked at for longer than this the processor itself sees which
 * memory comes next; only the beginning of the next one is news to it. */
#define BATCH_REACH_MAX 512
#define BATCH_BEGINNING 128

static void event_fetch(faas_bytes event, size_t reach)
{
    const char *bytes = event.data;

    if (reach > event.size)
        reach = event.size;
    for (size_t at = 0; at < reach; at += FAASI_CACHELINE)
        __builtin_prefetch(bytes + at);
}

faas_status faas_ruleset_match_batch(faas_ruleset *set, const faas_bytes *events,
                                     size_t event_count, uint32_t flags, faas_match *out,
                                     size_t capacity, faas_matched *matched, void *user)
{
    const bool trusted = (flags & FAAS_EVENT_TRUSTED) != 0;
    faas_status status = flags_check(flags);
    size_t reach = 256;

    if (status != FAAS_OK)
        return status;
    for (size_t i = 0; i < event_count; i++) {
        size_t count, looked;

        if (reach < BATCH_REACH_MAX - FAASI_CACHELINE && event_count - i > BATCH_AHEAD)
            event_fetch(events[i + BATCH_AHEAD], reach);
        else if (event_count - i > 1)
            event_fetch(events[i + 1], BATCH_BEGINNING);
        status = event_match(set, events[i], trusted, out, capacity, &count, &looked);
        /* As far as it was looked into those before, in the mean, and a little more. */
        looked = looked < BATCH_REACH_MAX ? looked : BATCH_REACH_MAX;
        reach += (looked + FAASI_CACHELINE) / 8 - reach / 8;
        matched(i, status, out, count, user);
    }
    return FAAS_OK;
}
