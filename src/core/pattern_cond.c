/* SPDX-License-Identifier: MIT */
/* pattern_cond.c - the conditions of a leaf: read from the tree of a pattern. */
#include "pattern_cond.h"

#include "fold.h"
#include "json.h"
#include "mem.h"

#include <math.h>

faas_status faasi_compiler_refuse(struct faasi_compiler *c, size_t at,
                                  const char *expected)
{
    struct faasi_tree_piece found = faasi_tree_found(c->text, c->size, at);

    *c->error_at = at;
    return faasi_fail(FAAS_EINVAL, "pattern: byte %zu: found %s, expected %s", at,
                      found.text, expected);
}

faas_status faasi_compiler_limit(struct faasi_compiler *c, size_t at, const char *what,
                                 uint32_t limit)
{
    *c->error_at = at;
    return faasi_fail(FAAS_EINVAL, "pattern: byte %zu: more than %u %s", at, limit, what);
}

void *faasi_compiler_take(struct faasi_compiler *c, size_t size)
{
    void *memory = faasi_arena_take(&c->arena, size);

    if (memory == NULL)
        (void)faasi_fail(FAAS_ENOMEM, "pattern: no memory for %zu bytes", size);
    return memory;
}

static bool key_is(const struct faasi_tree *member, const char *key)
{
    return member->key_size == strlen(key) &&
           memcmp(member->key, key, member->key_size) == 0;
}

static bool text_is(const struct faasi_tree *node, const char *text)
{
    return node->kind == FAASI_TREE_STRING && node->text_size == strlen(text) &&
           memcmp(node->text, text, node->text_size) == 0;
}

static bool is_only_member(const struct faasi_tree *node, const char *key)
{
    return node->kind == FAASI_TREE_OBJECT && node->child_count == 1 &&
           key_is(node->child, key);
}

/* A reader of one operator's operand. */
typedef faas_status cond_reader(struct faasi_compiler *c,
                                const struct faasi_tree *operand,
                                struct faasi_cond *cond);

struct operator_reader {
    const char *name;
    cond_reader *read;
};

static faas_status string_cond(struct faasi_compiler *c, const struct faasi_tree *operand,
                               enum faasi_cond_kind kind, struct faasi_cond *cond)
{
    if (operand->kind != FAASI_TREE_STRING)
        return faasi_compiler_refuse(c, operand->at, "a string");
    cond->kind = (uint8_t)kind;
    cond->text = operand->text;
    cond->size = operand->text_size;
    return FAAS_OK;
}

static faas_status folded_cond(struct faasi_compiler *c, const struct faasi_tree *operand,
                               enum faasi_cond_kind kind, struct faasi_cond *cond)
{
    faas_status status = string_cond(c, operand, kind, cond);
    char *folded;

    if (status != FAAS_OK)
        return status;
    folded = faasi_compiler_take(c, faasi_fold_bound(cond->size));
    if (folded == NULL)
        return FAAS_ENOMEM;
    cond->size = (uint32_t)faasi_fold(folded, cond->text, cond->size);
    cond->text = folded;
    return FAAS_OK;
}

/* A string, or {"equals-ignore-case": string}, which has a kind of its own. */
static faas_status foldable_cond(struct faasi_compiler *c,
                                 const struct faasi_tree *operand,
                                 enum faasi_cond_kind kind, enum faasi_cond_kind folded,
                                 struct faasi_cond *cond)
{
    if (is_only_member(operand, "equals-ignore-case"))
        return folded_cond(c, operand->child, folded, cond);
    if (operand->kind != FAASI_TREE_STRING)
        return faasi_compiler_refuse(c, operand->at,
                                     "a string or {\"equals-ignore-case\": a string}");
    return string_cond(c, operand, kind, cond);
}

static faas_status exactly_cond(struct faasi_compiler *c,
                                const struct faasi_tree *operand, struct faasi_cond *cond)
{
    return string_cond(c, operand, FAASI_COND_STRING, cond);
}

static faas_status prefix_cond(struct faasi_compiler *c, const struct faasi_tree *operand,
                               struct faasi_cond *cond)
{
    return foldable_cond(c, operand, FAASI_COND_PREFIX, FAASI_COND_PREFIX_FOLD, cond);
}

static faas_status suffix_cond(struct faasi_compiler *c, const struct faasi_tree *operand,
                               struct faasi_cond *cond)
{
    return foldable_cond(c, operand, FAASI_COND_SUFFIX, FAASI_COND_SUFFIX_FOLD, cond);
}

static faas_status contains_cond(struct faasi_compiler *c,
                                 const struct faasi_tree *operand,
                                 struct faasi_cond *cond)
{
    return foldable_cond(c, operand, FAASI_COND_CONTAINS, FAASI_COND_CONTAINS_FOLD, cond);
}

static faas_status fold_cond(struct faasi_compiler *c, const struct faasi_tree *operand,
                             struct faasi_cond *cond)
{
    return folded_cond(c, operand, FAASI_COND_STRING_FOLD, cond);
}

/* Writes the pieces between the stars, and returns what is wrong, or NULL. */
static const char *pieces_read(const struct faasi_tree *operand,
                               struct faasi_cond *pieces, char *room)
{
    struct faasi_cond *piece = pieces;

    piece->text = room;
    for (uint32_t i = 0; i < operand->text_size; i++) {
        char byte = operand->text[i];

        if (byte == '*') {
            if (i + 1 < operand->text_size && operand->text[i + 1] == '*')
                return "a wildcard without two stars in a row";
            room += piece->size;
            piece++;
            piece->text = room;
            continue;
        }
        if (byte == '\\') {
            if (++i == operand->text_size ||
                (operand->text[i] != '*' && operand->text[i] != '\\'))
                return "a wildcard with * or \\ after each of its backslashes";
            byte = operand->text[i];
        }
        room[piece->size++] = byte;
    }
    return NULL;
}

/* Without stars it is a plain string; otherwise the pieces between them, the first and
 * the last of which may be empty. */
static faas_status wildcard_cond(struct faasi_compiler *c,
                                 const struct faasi_tree *operand,
                                 struct faasi_cond *cond)
{
    struct faasi_cond *pieces;
    uint32_t count = 1;
    const char *wrong;
    char *room;

    if (operand->kind != FAASI_TREE_STRING)
        return faasi_compiler_refuse(c, operand->at, "a string");
    for (uint32_t i = 0; i < operand->text_size; i++) {
        if (operand->text[i] == '*')
            count++;
        else if (operand->text[i] == '\\')
            i++;
    }
    pieces = faasi_compiler_take(c, sizeof *pieces * count);
    room = faasi_compiler_take(c, operand->text_size + 1u);
    if (pieces == NULL || room == NULL)
        return FAAS_ENOMEM;
    wrong = pieces_read(operand, pieces, room);
    if (wrong != NULL)
        return faasi_compiler_refuse(c, operand->at, wrong);
    if (count - 1 > c->limits->star_max)
        return faasi_compiler_limit(c, operand->at, "stars in a wildcard",
                                    c->limits->star_max);
    if (count == 1) {
        *cond = *pieces;
        cond->kind = FAASI_COND_STRING;
    } else {
        cond->kind = FAASI_COND_WILDCARD;
        cond->list = pieces;
        cond->size = count;
    }
    return FAAS_OK;
}

static faas_status number_read(struct faasi_compiler *c, const struct faasi_tree *operand,
                               int64_t *key)
{
    double number;

    if (operand->kind != FAASI_TREE_NUMBER)
        return faasi_compiler_refuse(c, operand->at, "a number");
    number = faasi_json_number(operand->text, operand->text_size);
    if (isinf(number))
        return faasi_compiler_refuse(c, operand->at, "a number in the range of doubles");
    *key = faasi_number_key(number);
    return FAAS_OK;
}

static faas_status number_cond(struct faasi_compiler *c, const struct faasi_tree *operand,
                               struct faasi_cond *cond)
{
    cond->kind = FAASI_COND_NUMBER;
    return number_read(c, operand, &cond->low);
}

/* Which of the two bounds a comparison may set. */
enum bound { BOUND_LOWER = 1, BOUND_UPPER = 2, BOUND_EITHER = 3 };

static faas_status bound_read(struct faasi_compiler *c, const struct faasi_tree *op,
                              enum bound bound, struct faasi_cond *cond)
{
    static const char *const expected[] = {"",
                                           "> or >=", "< or <=", "one of < <= > >= = !="};
    const bool lower = (bound & BOUND_LOWER) != 0, upper = (bound & BOUND_UPPER) != 0;
    faas_status status;
    int64_t key = 0;

    if (!(lower && (text_is(op, ">") || text_is(op, ">="))) &&
        !(upper && (text_is(op, "<") || text_is(op, "<="))))
        return faasi_compiler_refuse(c, op->at, expected[bound]);
    if (op->next == NULL)
        return faasi_compiler_refuse(c, op->end, "a number after the comparison");
    status = number_read(c, op->next, &key);
    if (status != FAAS_OK)
        return status;
    if (op->text[0] == '>')
        cond->low = op->text_size == 1 ? key + 1 : key;
    else
        cond->high = op->text_size == 1 ? key - 1 : key;
    return FAAS_OK;
}

static faas_status pair_read(struct faasi_compiler *c, const struct faasi_tree *lower,
                             struct faasi_cond *cond)
{
    const struct faasi_tree *upper = lower->next->next;
    faas_status status = bound_read(c, lower, BOUND_LOWER, cond);
    int64_t low = 0, high = 0;

    if (status == FAAS_OK)
        status = bound_read(c, upper, BOUND_UPPER, cond);
    if (status != FAAS_OK)
        return status;
    if (upper->next->next != NULL)
        return faasi_compiler_refuse(c, upper->next->next->at, "the end of the array");
    (void)number_read(c, lower->next, &low);
    (void)number_read(c, upper->next, &high);
    if (low >= high)
        return faasi_compiler_refuse(c, upper->next->at, "a number over the lower bound");
    return FAAS_OK;
}

static faas_status numeric_cond(struct faasi_compiler *c,
                                const struct faasi_tree *operand, struct faasi_cond *cond)
{
    const struct faasi_tree *op = operand->child;
    bool equal, unequal;

    if (operand->kind != FAASI_TREE_ARRAY || operand->child_count == 0)
        return faasi_compiler_refuse(
            c, operand->at, "an array of a comparison and a number, or of two of both");
    equal = text_is(op, "=");
    unequal = text_is(op, "!=");
    if (equal || unequal) {
        cond->kind = equal ? FAASI_COND_NUMBER : FAASI_COND_NOT_NUMBER;
        if (op->next == NULL)
            return faasi_compiler_refuse(c, op->end, "a number after the comparison");
        if (op->next->next != NULL)
            return faasi_compiler_refuse(c, op->next->next->at, "the end of the array");
        return number_read(c, op->next, &cond->low);
    }
    cond->kind = FAASI_COND_RANGE;
    cond->low = faasi_number_key(-HUGE_VAL);
    cond->high = faasi_number_key(HUGE_VAL);
    if (operand->child_count <= 2)
        return bound_read(c, op, BOUND_EITHER, cond);
    return pair_read(c, op, cond);
}

static faas_status cidr_cond(struct faasi_compiler *c, const struct faasi_tree *operand,
                             struct faasi_cond *cond)
{
    unsigned char address[16];
    const char *at, *end;
    unsigned size, bits = 0;
    char *copy;

    if (operand->kind != FAASI_TREE_STRING)
        return faasi_compiler_refuse(c, operand->at, "a string: address/bits");
    end = operand->text + operand->text_size;
    at = memchr(operand->text, '/', operand->text_size);
    if (at == NULL)
        return faasi_compiler_refuse(c, operand->at, "address/bits");
    size = faasi_address_read(address, operand->text, (size_t)(at - operand->text));
    if (size == 0)
        return faasi_compiler_refuse(c, operand->at,
                                     "an IPv4 or IPv6 address before the slash");
    at++;
    if (at < end && *at == '+')
        at++;
    if (at == end)
        return faasi_compiler_refuse(c, operand->at, "a number of bits after the slash");
    for (; at < end; at++) {
        if (*at < '0' || *at > '9')
            return faasi_compiler_refuse(c, operand->at,
                                         "a number of bits after the slash");
        bits = bits * 10 + (unsigned)(*at - '0');
        if (bits > size * 8)
            return faasi_compiler_refuse(
                c, operand->at, size == 4 ? "at most 32 bits" : "at most 128 bits");
    }
    copy = faasi_compiler_take(c, size);
    if (copy == NULL)
        return FAAS_ENOMEM;
    faasi_address_mask(address, size, bits);
    cond->kind = FAASI_COND_CIDR;
    cond->text = memcpy(copy, address, size);
    cond->size = size;
    cond->high = (int64_t)bits;
    return FAAS_OK;
}

static faas_status exists_cond(struct faasi_compiler *c, const struct faasi_tree *operand,
                               struct faasi_cond *cond)
{
    if (operand->kind != FAASI_TREE_TRUE && operand->kind != FAASI_TREE_FALSE)
        return faasi_compiler_refuse(c, operand->at, "true or false");
    cond->kind = operand->kind == FAASI_TREE_TRUE ? FAASI_COND_EXISTS : FAASI_COND_ABSENT;
    return FAAS_OK;
}

static faas_status not_empty_cond(struct faasi_compiler *c,
                                  const struct faasi_tree *operand,
                                  enum faasi_cond_kind kind, struct faasi_cond *cond)
{
    if (operand->kind != FAASI_TREE_STRING || operand->text_size == 0)
        return faasi_compiler_refuse(c, operand->at, "a string that is not empty");
    return string_cond(c, operand, kind, cond);
}

static faas_status not_prefix_cond(struct faasi_compiler *c,
                                   const struct faasi_tree *operand,
                                   struct faasi_cond *cond)
{
    return not_empty_cond(c, operand, FAASI_COND_PREFIX, cond);
}

static faas_status not_suffix_cond(struct faasi_compiler *c,
                                   const struct faasi_tree *operand,
                                   struct faasi_cond *cond)
{
    return not_empty_cond(c, operand, FAASI_COND_SUFFIX, cond);
}

static faas_status not_contains_cond(struct faasi_compiler *c,
                                     const struct faasi_tree *operand,
                                     struct faasi_cond *cond)
{
    return string_cond(c, operand, FAASI_COND_CONTAINS, cond);
}

/* What an anything-but excludes: one operand, or each of a list. */
static faas_status not_list_cond(struct faasi_compiler *c,
                                 const struct faasi_tree *operand, cond_reader *read,
                                 struct faasi_cond *cond)
{
    const struct faasi_tree *item = operand;
    uint32_t count = 1;
    struct faasi_cond *list;

    if (operand->kind == FAASI_TREE_ARRAY) {
        if (operand->child_count == 0)
            return faasi_compiler_refuse(c, operand->at, "a list that is not empty");
        item = operand->child;
        count = operand->child_count;
    }
    list = faasi_compiler_take(c, sizeof *list * count);
    if (list == NULL)
        return FAAS_ENOMEM;
    cond->kind = FAASI_COND_NOT;
    cond->list = list;
    cond->size = count;
    for (uint32_t i = 0; i < count; i++, item = item->next) {
        faas_status status = read(c, item, &list[i]);

        if (status != FAAS_OK)
            return status;
    }
    return FAAS_OK;
}

static faas_status not_cond(struct faasi_compiler *c, const struct faasi_tree *operand,
                            struct faasi_cond *cond)
{
    static const struct operator_reader inner[] = {{"prefix", not_prefix_cond},
                                                   {"suffix", not_suffix_cond},
                                                   {"equals-ignore-case", fold_cond},
                                                   {"wildcard", wildcard_cond},
                                                   {"contains", not_contains_cond}};
    const struct faasi_tree *first = operand;

    if (operand->kind == FAASI_TREE_OBJECT) {
        if (operand->child_count != 1)
            return faasi_compiler_refuse(c, operand->at, "one operator in anything-but");
        for (size_t i = 0; i < FAASI_COUNT(inner); i++)
            if (key_is(operand->child, inner[i].name))
                return not_list_cond(c, operand->child, inner[i].read, cond);
        return faasi_compiler_refuse(
            c, operand->child->key_at,
            "prefix, suffix, equals-ignore-case, wildcard or contains");
    }
    if (operand->kind == FAASI_TREE_ARRAY && operand->child_count > 0)
        first = operand->child;
    if (first->kind == FAASI_TREE_NUMBER)
        return not_list_cond(c, operand, number_cond, cond);
    if (first->kind == FAASI_TREE_STRING || operand->child_count == 0)
        return operand->kind == FAASI_TREE_STRING || operand->kind == FAASI_TREE_ARRAY
                   ? not_list_cond(c, operand, exactly_cond, cond)
                   : faasi_compiler_refuse(c, operand->at,
                                           "a string, a number, a list or an operator");
    return faasi_compiler_refuse(c, first->at, "a string or a number");
}

static faas_status all_cond(struct faasi_compiler *c, const struct faasi_tree *operand,
                            struct faasi_cond *cond)
{
    const struct faasi_tree *node = operand->child;
    struct faasi_cond *list;

    if (operand->kind != FAASI_TREE_ARRAY || operand->child_count < 2)
        return faasi_compiler_refuse(c, operand->at, "a list of two or more conditions");
    list = faasi_compiler_take(c, sizeof *list * operand->child_count);
    if (list == NULL)
        return FAAS_ENOMEM;
    cond->kind = FAASI_COND_ALL;
    cond->list = list;
    cond->size = operand->child_count;
    for (; node != NULL; node = node->next, list++) {
        faas_status status;

        if (is_only_member(node, "exists") || is_only_member(node, "all-of"))
            return faasi_compiler_refuse(c, node->child->key_at,
                                         "a condition other than exists and all-of");
        status = faasi_cond_read(c, node, list);
        if (status != FAAS_OK)
            return status;
    }
    return FAAS_OK;
}

static faas_status operator_cond(struct faasi_compiler *c, const struct faasi_tree *node,
                                 struct faasi_cond *cond)
{
    static const struct operator_reader operators[] = {
        {"exactly", exactly_cond},   {"prefix", prefix_cond},
        {"suffix", suffix_cond},     {"equals-ignore-case", fold_cond},
        {"wildcard", wildcard_cond}, {"numeric", numeric_cond},
        {"anything-but", not_cond},  {"exists", exists_cond},
        {"cidr", cidr_cond},         {"all-of", all_cond},
        {"contains", contains_cond}};

    if (node->child_count != 1)
        return faasi_compiler_refuse(c, node->at, "an object with one operator");
    for (size_t i = 0; i < FAASI_COUNT(operators); i++)
        if (key_is(node->child, operators[i].name))
            return operators[i].read(c, node->child, cond);
    return faasi_compiler_refuse(c, node->child->key_at, "an operator");
}

static faas_status literal_cond(enum faasi_value_kind kind, struct faasi_cond *cond)
{
    cond->kind = FAASI_COND_LITERAL;
    cond->low = (int64_t)kind;
    return FAAS_OK;
}

faas_status faasi_cond_read(struct faasi_compiler *c, const struct faasi_tree *node,
                            struct faasi_cond *cond)
{
    switch (node->kind) {
    case FAASI_TREE_NULL:
        return literal_cond(FAASI_VALUE_NULL, cond);
    case FAASI_TREE_FALSE:
        return literal_cond(FAASI_VALUE_FALSE, cond);
    case FAASI_TREE_TRUE:
        return literal_cond(FAASI_VALUE_TRUE, cond);
    case FAASI_TREE_NUMBER:
        return number_cond(c, node, cond);
    case FAASI_TREE_STRING:
        return exactly_cond(c, node, cond);
    case FAASI_TREE_OBJECT:
        return operator_cond(c, node, cond);
    case FAASI_TREE_ARRAY:
        break;
    }
    return faasi_compiler_refuse(c, node->at,
                                 "a string, a number, a literal or an operator");
}
