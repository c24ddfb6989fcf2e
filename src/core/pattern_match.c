/* SPDX-License-Identifier: MIT */
/* pattern_match.c - what a condition holds for, and copies of conditions. */
#define _GNU_SOURCE // memmem

#include "pattern.h"

#include "fold.h"
#include "json.h"
#include "utf8.h"

static bool has_text(const struct faasi_cond *cond)
{
    switch ((enum faasi_cond_kind)cond->kind) {
    case FAASI_COND_STRING:
    case FAASI_COND_PREFIX:
    case FAASI_COND_SUFFIX:
    case FAASI_COND_STRING_FOLD:
    case FAASI_COND_PREFIX_FOLD:
    case FAASI_COND_SUFFIX_FOLD:
    case FAASI_COND_CIDR:
    case FAASI_COND_CONTAINS:
    case FAASI_COND_CONTAINS_FOLD:
        return true;
    default:
        return false;
    }
}

static bool has_list(const struct faasi_cond *cond)
{
    return cond->kind == FAASI_COND_WILDCARD || cond->kind == FAASI_COND_NOT ||
           cond->kind == FAASI_COND_ALL;
}

/* Texts stand behind all lists, unpadded. */
static size_t conds_list_bytes(const struct faasi_cond *conds, uint32_t count)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < count; i++)
        if (has_list(&conds[i]))
            bytes += sizeof *conds * conds[i].size +
                     conds_list_bytes(conds[i].list, conds[i].size);
    return bytes;
}

static size_t conds_text_bytes(const struct faasi_cond *conds, uint32_t count)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (has_list(&conds[i]))
            bytes += conds_text_bytes(conds[i].list, conds[i].size);
        else if (has_text(&conds[i]))
            bytes += conds[i].size;
    }
    return bytes;
}

size_t faasi_conds_bytes(const struct faasi_cond *conds, uint32_t count)
{
    return conds_list_bytes(conds, count) +
           faasi_round_up(conds_text_bytes(conds, count), 8);
}

static void conds_copy(struct faasi_cond *to, const struct faasi_cond *conds,
                       uint32_t count, char **lists, char **texts)
{
    for (uint32_t i = 0; i < count; i++) {
        to[i] = conds[i];
        if (has_list(&conds[i])) {
            struct faasi_cond *list = (void *)*lists;

            *lists += sizeof *list * conds[i].size;
            to[i].list = list;
            conds_copy(list, conds[i].list, conds[i].size, lists, texts);
        } else if (has_text(&conds[i])) {
            to[i].text = *texts;
            if (conds[i].size > 0)
                memcpy(*texts, conds[i].text, conds[i].size);
            *texts += conds[i].size;
        }
    }
}

/* The pieces of a wildcard have no kind of their own: their kind is FAASI_COND_STRING. */
void faasi_conds_copy(struct faasi_cond *to, const struct faasi_cond *conds,
                      uint32_t count, char **room)
{
    char *lists = *room;
    char *texts = *room + conds_list_bytes(conds, count);

    *room += faasi_conds_bytes(conds, count);
    conds_copy(to, conds, count, &lists, &texts);
}

static bool bytes_are(const char *text, const struct faasi_cond *cond)
{
    /* Most differ in their first byte. */
    return cond->size == 0 ||
           (*text == *cond->text && memcmp(text, cond->text, cond->size) == 0);
}

/* Folds `text` point by point and compares it with the start of folded bytes.
 *
 * Returns how many bytes of `text` make `folded`, or SIZE_MAX. */
static size_t fold_compare(const char *text, size_t size, const struct faasi_cond *folded)
{
    size_t at = 0, done = 0, length;
    char point[8];

    while (done < folded->size) {
        uint32_t unused;
        size_t made;

        if (at == size)
            return SIZE_MAX;
        if ((unsigned char)text[at] < 0x80) {
            if (faasi_fold_point((unsigned char)text[at++]) !=
                (unsigned char)folded->text[done++])
                return SIZE_MAX;
            continue;
        }
        length = faasi_utf8_next(text + at, size - at, &unused);
        made = faasi_fold(point, text + at, length);
        if (made > folded->size - done || memcmp(point, folded->text + done, made) != 0)
            return SIZE_MAX;
        at += length;
        done += made;
    }
    return at;
}

static bool is_inside(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

/* As many code points from the end as the folded text has: folding keeps their number. */
static bool suffix_fold_holds(const struct faasi_cond *cond, const char *text,
                              size_t size)
{
    size_t at = size;

    for (uint32_t i = 0; i < cond->size; i++) {
        if (is_inside(cond->text[i]))
            continue;
        if (at == 0)
            return false;
        at--;
        while (at > 0 && is_inside(text[at]))
            at--;
    }
    return fold_compare(text + at, size - at, cond) == size - at;
}

static bool contains_fold_holds(const struct faasi_cond *cond, const char *text,
                                size_t size)
{
    for (size_t at = 0; at <= size; at++) {
        if (at < size && is_inside(text[at]))
            continue;
        if (fold_compare(text + at, size - at, cond) != SIZE_MAX)
            return true;
    }
    return false;
}

static const char *piece_find(const char *text, size_t size,
                              const struct faasi_cond *piece)
{
    return memmem(text, size, piece->text, piece->size);
}

/* The first and the last piece stand at the ends; those between are found from left to
 * right, each as early as it can be, which leaves most room for the others. */
static bool wildcard_holds(const struct faasi_cond *cond, const char *text, size_t size)
{
    const struct faasi_cond *first = cond->list, *last = cond->list + cond->size - 1;
    const char *end = text + size;

    if (size < (size_t)first->size + last->size || !bytes_are(text, first) ||
        !bytes_are(end - last->size, last))
        return false;
    text += first->size;
    end -= last->size;
    for (const struct faasi_cond *piece = first + 1; piece < last; piece++) {
        text = piece_find(text, (size_t)(end - text), piece);
        if (text == NULL)
            return false;
        text += piece->size;
    }
    return true;
}

static bool cidr_holds(const struct faasi_cond *cond, const char *text, size_t size)
{
    unsigned char address[16];

    if (faasi_address_read(address, text, size) != cond->size)
        return false;
    faasi_address_mask(address, cond->size, (unsigned)cond->high);
    return memcmp(address, cond->text, cond->size) == 0;
}

/* The kinds that look at strings only. */
static bool string_holds(const struct faasi_cond *cond, const char *text, size_t size)
{
    switch ((enum faasi_cond_kind)cond->kind) {
    case FAASI_COND_STRING:
        return size == cond->size && bytes_are(text, cond);
    case FAASI_COND_PREFIX:
        return size >= cond->size && bytes_are(text, cond);
    case FAASI_COND_SUFFIX:
        return size >= cond->size && bytes_are(text + size - cond->size, cond);
    case FAASI_COND_STRING_FOLD:
        return fold_compare(text, size, cond) == size;
    case FAASI_COND_PREFIX_FOLD:
        return fold_compare(text, size, cond) != SIZE_MAX;
    case FAASI_COND_SUFFIX_FOLD:
        return suffix_fold_holds(cond, text, size);
    case FAASI_COND_CIDR:
        return cidr_holds(cond, text, size);
    case FAASI_COND_WILDCARD:
        return wildcard_holds(cond, text, size);
    case FAASI_COND_CONTAINS:
        return piece_find(text, size, cond) != NULL;
    case FAASI_COND_CONTAINS_FOLD:
        return contains_fold_holds(cond, text, size);
    default:
        return false;
    }
}

/* Ten to the minus n. */
static const double tenths[] = {1e0,   1e-1,  1e-2,  1e-3,  1e-4,  1e-5,  1e-6,
                                1e-7,  1e-8,  1e-9,  1e-10, 1e-11, 1e-12, 1e-13,
                                1e-14, 1e-15, 1e-16, 1e-17, 1e-18, 1e-19};

/* Eight digits at once, the first in the lowest byte, or false if they are not all
 * digits. */
static bool eight_digits_of(uint64_t word, uint64_t *number)
{
    if (((word & 0xF0F0F0F0F0F0F0F0u) |
         ((word + 0x0606060606060606u) & 0xF0F0F0F0F0F0F0F0u) >> 4) !=
        0x3333333333333333u)
        return false;
    word -= 0x3030303030303030u;
    word = word * 10 + (word >> 8);
    word = ((word & 0x000000FF000000FFu) * (100 + ((uint64_t)1000000 << 32)) +
            (word >> 16 & 0x000000FF000000FFu) * (1 + ((uint64_t)10000 << 32))) >>
           32;
    *number = *number * 100000000 + word;
    return true;
}

static bool eight_digits(const char *text, uint64_t *number)
{
    uint64_t word;

    memcpy(&word, text, sizeof word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return eight_digits_of(word, number);
}

/* Four digits at once, likewise. */
static bool four_digits(const char *text, uint64_t *number)
{
    uint32_t word;

    memcpy(&word, text, sizeof word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap32(word);
#endif
    if (((word & 0xF0F0F0F0u) | ((word + 0x06060606u) & 0xF0F0F0F0u) >> 4) != 0x33333333u)
        return false;
    word -= 0x30303030u;
    word = (word * 10 + (word >> 8)) & 0x00FF00FFu;
    *number = *number * 10000 + (word & 0xFF) * 100 + (word >> 16);
    return true;
}

static const char *digits_read(const char *at, const char *end, uint64_t *number)
{
    while (end - at >= 8 && eight_digits(at, number))
        at += 8;
    if (end - at >= 4 && four_digits(at, number))
        at += 4;
    for (; at < end && (unsigned char)(*at - '0') < 10; at++)
        *number = *number * 10 + (uint64_t)(*at - '0');
    return at;
}

/* How far a number may be from the exact one that was made of all its digits: three
 * roundings of half a unit each, and twice as much again. Of the first seven digits, the
 * first of which is no zero: what was cut is under one of 10^6, and of that a double's
 * unit is 2^-53 at least. */
#define SLACK_ROUGH 8
#define SLACK_COARSE 10000000000

/* Bytes that are letters, and no digit, dot or sign. */
#define LETTERS 0x4040404040404040u

/* Most values are nowhere near a bound that some rule names: seven digits tell. Takes a
 * number whose first eight bytes are digits but for a dot, and that goes on behind them
 * without an exponent. */
static bool coarse_read(struct faasi_value *value)
{
    const bool minus = value->size > 0 && *value->text == '-';
    const char *at = value->text + minus, *end = value->text + value->size;
    uint64_t word, dots, below, middle, last, digits = 0;
    double number;
    int dot;

    if (end - at <= 8 || end - at > 24)
        return false;
    /* The bytes behind the first eight: together and without a branch. */
    memcpy(&middle, end - at < 16 ? end - 8 : at + 8, sizeof middle);
    memcpy(&last, end - 8, sizeof last);
    memcpy(&word, at, sizeof word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    /* The lowest set bit tells of the first dot; those above it may be wrong. */
    dots = word ^ 0x2E2E2E2E2E2E2E2Eu;
    dots = (dots - 0x0101010101010101u) & ~dots & 0x8080808080808080u;
    if (dots == 0)
        return false;
    dot = __builtin_ctzll(dots) / 8;
    /* The digits move together, and a zero comes before them. */
    below = ((uint64_t)1 << 8 * dot) - 1;
    word = (word & below) << 8 | (word & ~(below << 8 | 0xFF)) | '0';
    if (dot == 0 || !eight_digits_of(word, &digits) || digits < 1000000 ||
        ((middle | last) & LETTERS) != 0)
        return false;
    number = (double)digits * tenths[7 - dot];
    value->number = faasi_number_key(minus ? -number : number);
    value->slack = SLACK_COARSE;
    return true;
}

/* Plain decimals of at most 19 digits: their integer times a power of ten. */
static bool rough_read(struct faasi_value *value)
{
    const char *at = value->text, *end = at + value->size, *dot;
    const bool minus = at < end && *at == '-';
    uint64_t digits = 0;
    double number;

    if (value->size - minus > 20)
        return false;
    dot = digits_read(at + minus, end, &digits);
    if (dot < end) {
        if (*dot != '.')
            return false;
        at = digits_read(dot + 1, end, &digits);
        if (at != end || end - dot > 19)
            return false;
        number = (double)digits * tenths[end - dot - 1];
    } else {
        if (value->size - minus > 19)
            return false; // may be more than 64 bits
        number = (double)digits;
    }
    value->number = faasi_number_key(minus ? -number : number);
    value->slack = SLACK_ROUGH;
    return true;
}

void faasi_number_refine(struct faasi_value *value)
{
    if (value->slack > SLACK_ROUGH && rough_read(value))
        return;
    value->number = faasi_number_key(faasi_json_number(value->text, value->size));
    value->slack = 0;
}

void faasi_number_read(struct faasi_value *value)
{
    if (coarse_read(value) || rough_read(value))
        return;
    value->slack = 0;
    faasi_number_refine(value);
}

/* What anything-but excludes: mostly strings, from a string. */
static bool none_holds(const struct faasi_cond *conds, uint32_t count,
                       struct faasi_value *value)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct faasi_cond *cond = &conds[i];

        switch ((enum faasi_cond_kind)cond->kind) {
        case FAASI_COND_STRING:
            if (value->kind == FAASI_VALUE_STRING && value->size == cond->size &&
                bytes_are(value->text, cond))
                return false;
            break;
        case FAASI_COND_PREFIX:
            if (value->kind == FAASI_VALUE_STRING && value->size >= cond->size &&
                bytes_are(value->text, cond))
                return false;
            break;
        default:
            if (faasi_cond_holds(cond, value))
                return false;
            break;
        }
    }
    return true;
}

bool faasi_cond_holds(const struct faasi_cond *cond, struct faasi_value *value)
{
    switch ((enum faasi_cond_kind)cond->kind) {
    case FAASI_COND_NUMBER:
        return value->kind == FAASI_VALUE_NUMBER &&
               faasi_number_against(value, cond->low) == cond->low;
    case FAASI_COND_LITERAL:
        return (int64_t)value->kind == cond->low;
    case FAASI_COND_RANGE:
        return value->kind == FAASI_VALUE_NUMBER &&
               faasi_number_against(value, cond->low) >= cond->low &&
               faasi_number_against(value, cond->high) <= cond->high;
    case FAASI_COND_NOT_NUMBER:
        return value->kind == FAASI_VALUE_NUMBER &&
               faasi_number_against(value, cond->low) != cond->low;
    case FAASI_COND_NOT:
        return none_holds(cond->list, cond->size, value);
    case FAASI_COND_ALL:
        for (uint32_t i = 0; i < cond->size; i++)
            if (!faasi_cond_holds(&cond->list[i], value))
                return false;
        return true;
    case FAASI_COND_EXISTS:
        return true;
    case FAASI_COND_ABSENT:
        return false;
    default:
        return value->kind == FAASI_VALUE_STRING &&
               string_holds(cond, value->text, value->size);
    }
}

static unsigned address4_read(unsigned char *out, const char *text, size_t size)
{
    const char *end = text + size;

    for (int i = 0; i < 4; i++) {
        unsigned octet = 0;
        int digits = 0;

        if (i > 0 && (text == end || *text++ != '.'))
            return 0;
        for (; text < end && *text >= '0' && *text <= '9' && digits < 4; text++, digits++)
            octet = octet * 10 + (unsigned)(*text - '0');
        if (digits == 0 || digits > 3 || octet > 255)
            return 0;
        out[i] = (unsigned char)octet;
    }
    return text == end ? 4 : 0;
}

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

/* Eight groups, or fewer with one "::" for the missing ones. */
static unsigned address6_read(unsigned char *out, const char *text, size_t size)
{
    const char *end = text + size;
    int count = 0, gap = -1;

    memset(out, 0, 16);
    if (size >= 2 && text[0] == ':' && text[1] == ':') {
        gap = 0;
        text += 2;
    }
    while (text < end) {
        unsigned group = 0;
        int digits = 0;

        if (count == 8)
            return 0;
        for (; text < end && digits < 5 && hex_digit(*text) >= 0; text++, digits++)
            group = group << 4 | (unsigned)hex_digit(*text);
        if (digits == 0 || digits > 4)
            return 0;
        out[count * 2] = (unsigned char)(group >> 8);
        out[count * 2 + 1] = (unsigned char)(group & 255);
        count++;
        if (text == end)
            break;
        if (*text++ != ':' || text == end)
            return 0;
        if (*text == ':') {
            if (gap >= 0)
                return 0;
            gap = count;
            text++;
        }
    }
    if (gap < 0)
        return count == 8 ? 16 : 0;
    if (count == 8)
        return 0;
    memmove(out + 16 - (count - gap) * 2, out + gap * 2, (size_t)(count - gap) * 2);
    memset(out + gap * 2, 0, (size_t)(8 - count) * 2);
    return 16;
}

unsigned faasi_address_read(unsigned char *out, const char *text, size_t size)
{
    if (size > 0 && memchr(text, ':', size) != NULL)
        return address6_read(out, text, size);
    return address4_read(out, text, size);
}

void faasi_address_mask(unsigned char *address, unsigned size, unsigned bits)
{
    for (unsigned i = 0; i < size; i++) {
        unsigned keep = bits > i * 8 ? bits - i * 8 : 0;

        if (keep < 8)
            address[i] &= (unsigned char)(0xFF00u >> keep);
    }
}
