/* SPDX-License-Identifier: MIT */
/* json_kernel.h - the scanner on masks of 64 bytes, compiled once per kind of CPU.
 *
 * The including file defines, for its CPU: `masks_load` and `words_load`, which turn 64
 * bytes into masks, and what takes these from `words_load`: `words_quotes`,
 * `words_escapes` and `words_store`; `numbers_end` and `strings_end`, which look at 64
 * and 32 bytes from anywhere; `prefix_xor`, whose bit n is the parity of bits 0 to n; and, if it
 * can, `bits_gather` and `bits_scatter` with KERNEL_PEXT. Then it includes this file,
 * which ends with the kernel of the name KERNEL.
 *
 * Layer: 1 structures, private to json*.c.
 * Source: the masks for strings and escapes are those of Langdale and Lemire, "Parsing
 * gigabytes of JSON per second", 2019, section 3.1; the rest is explained where it is. */
#include "json_brackets.h"

INLINE int bit_first(uint64_t bits)
{
    return __builtin_ctzll(bits);
}

INLINE uint64_t bits_from(size_t bit)
{
    return ~(uint64_t)0 << bit;
}

/* Clears everything up to and with the lowest bit of `of`, which is not 0. */
INLINE uint64_t bits_above_first(uint64_t of)
{
    return ~(of ^ (of - 1));
}

INLINE uint64_t bits_count(uint64_t bits)
{
    return (uint64_t)__builtin_popcountll(bits);
}

/* Adds with a carry from and to the neighbouring blocks. Adding the first bit of a run of
 * ones to the run moves it to the first bit past the run: see its uses. */
INLINE uint64_t add_carry(uint64_t a, uint64_t b, uint64_t *carry)
{
    uint64_t sum;
    bool over = __builtin_add_overflow(a, b, &sum);

    over |= __builtin_add_overflow(sum, *carry, &sum);
    *carry = over;
    return sum;
}

/* Moves every bit one byte on; `carry` is the bit that comes from and goes to the
 * neighbouring blocks. */
INLINE uint64_t shift_carry(uint64_t bits, uint64_t *carry)
{
    uint64_t shifted = bits << 1 | *carry;

    *carry = bits >> 63;
    return shifted;
}

/* Returns which bytes are escaped: those behind an odd number of backslashes. */
INLINE uint64_t escaped_find(uint64_t slash, uint64_t *odd)
{
    const uint64_t even = 0x5555555555555555U;
    uint64_t follows, starts, invert;

    slash &= ~*odd;
    follows = slash << 1 | *odd;
    starts = slash & ~even & ~follows;
    *odd = __builtin_add_overflow(starts, slash, &invert);
    return (even ^ invert << 1) & follows;
}

/* --- Validation --------------------------------------------------------------------- */

/* Containers have levels from here up, so that one that ends before it begins does not
 * wrap around, and a few levels down are always in the same word of the stack. */
#define LEVEL_OUTSIDE 8
#define LEVEL_MAX (LEVEL_OUTSIDE + FAASI_JSON_DEPTH_MAX)

/* Unrolls the loop that follows: its vectors shall stay in registers. */
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

struct check {
    const unsigned char *text;
    size_t size;
    uint64_t error; /* any bit: a fault */
    uint64_t high;  /* any bit: a byte outside ASCII was seen */
    uint64_t odd;   /* 1 if the first byte of the next block is escaped */
    /* The types of the stack as they were at every level that is a multiple of 64. */
    uint64_t spilled[LEVEL_MAX / 64 + 1];
};

/* The containers that the block begins in. Apart from struct check, so that it can stay
 * in registers. */
struct stack {
    uint64_t level;
    uint64_t types; /* of the last 64 levels, innermost in bit 0; 1 for objects */
};

/* The first token behind each of `bits`, which are last bytes of tokens. Where white
 * space follows, adding that bit to the space runs through it. */
INLINE uint64_t follow(uint64_t bits, uint64_t space, uint64_t *carry)
{
    uint64_t next = bits << 1 | *carry, sum;

    *carry = bits >> 63;
    if (FAASI_LIKELY(space == 0))
        return next;
    *carry |= __builtin_add_overflow(space, next & space, &sum);
    return (next | sum) & ~space;
}

/* What the brackets of a block say. */
struct nesting {
    /* The bytes whose container is an object. As `toggles` it is the mask whose
     * prefix_xor is that one: the wide kernel does the rest for eight blocks at once. */
    uint64_t objects, toggles;
    uint64_t lowest; /* the least level in the block */
};

/* One bracket after the other: more than the table knows, or close to where the stack
 * spills. Returns false for a fault. */
static bool nesting_slow(struct check *c, struct stack *stack, uint64_t brackets,
                         uint64_t open, uint64_t square, uint64_t comma,
                         struct nesting *nesting)
{
    uint64_t from = ~(uint64_t)0;

    nesting->objects = 0;
    nesting->lowest = stack->level;
    for (;; brackets &= brackets - 1) {
        uint64_t above = brackets == 0 ? 0 : bits_above_first(brackets);
        uint64_t bit = brackets & (0 - brackets), run = from & ~above;
        uint64_t object = (square & bit) == 0;

        if ((stack->types & 1) != 0)
            nesting->objects |= run;
        if (stack->level == LEVEL_OUTSIDE && (run & comma) != 0)
            return false;
        if (bit == 0)
            break;
        from = above;
        if ((open & bit) != 0) {
            if (stack->level % 64 == 0)
                c->spilled[stack->level / 64] = stack->types;
            if (++stack->level > LEVEL_MAX)
                return false;
            stack->types = stack->types << 1 | object;
        } else {
            if ((stack->types & 1) != object || --stack->level < LEVEL_OUTSIDE)
                return false;
            stack->types = stack->level % 64 == 0 ? c->spilled[stack->level / 64]
                                                  : stack->types >> 1;
            if (stack->level < nesting->lowest)
                nesting->lowest = stack->level;
        }
    }
    nesting->toggles = nesting->objects ^ nesting->objects << 1;
    return true;
}

/* Takes the containers of a block through the stack. Returns false for a fault. */
INLINE bool nesting_find(struct check *c, struct stack *stack, uint64_t open,
                         uint64_t close, uint64_t square, uint64_t comma,
                         struct nesting *nesting)
{
    uint64_t brackets = open | close;
    struct stack copy;
    bool ok;
#ifdef KERNEL_PEXT
    uint64_t count = bits_count(brackets);

    if (FAASI_LIKELY(count <= BRACKETS_MAX && stack->level < 64 - BRACKETS_MAX)) {
        uint64_t opens = (uint64_t)1 << count | bits_gather(open, brackets);
        const struct json_brackets *entry =
            &json_brackets[opens << BRACKETS_MAX | bits_gather(square, brackets)];
        uint64_t types = stack->types >> (entry->closed & 63);
        uint64_t runs = brackets << 1 | 1; /* first bytes, but for the bracket before */

        c->error |= (stack->types ^ entry->closed_types) & entry->closed_mask;
        nesting->toggles = bits_scatter(entry->toggles[types & 1], runs);
        nesting->lowest = stack->level - entry->closed;
        stack->types = types << entry->opened | entry->opened_types;
        stack->level = nesting->lowest + entry->opened;
        if (FAASI_LIKELY((int64_t)nesting->lowest > LEVEL_OUTSIDE))
            return true;
        /* Outside of everything a comma is the only token that no other rule refuses. */
        return nesting->lowest == LEVEL_OUTSIDE &&
               (comma & prefix_xor(bits_scatter(entry->outer, runs))) == 0;
    }
#endif
    copy = *stack;
    ok = nesting_slow(c, &copy, brackets, open, square, comma, nesting);
    *stack = copy;
    return ok;
}

/* Checks the escapes one by one. */
INLINE bool escapes_ok(const struct check *c, size_t base, uint64_t escaped)
{
    for (; escaped != 0; escaped &= escaped - 1) {
        size_t at = base + (size_t)bit_first(escaped);

        /* Most are the last byte of \n, \" or \\. */
        if (at < c->size &&
            (c->text[at] == 'n' || c->text[at] == '"' || c->text[at] == '\\'))
            continue;
        if (!faasi_json_escape_ok(c->text, c->size, at))
            return false;
    }
    return true;
}

/* Checks the numbers and literals that hold any of `rare`: something else than digits,
 * minus and dot. Sets `*power` to the signs of exponents among them. */
static bool scalars_ok(const struct check *c, size_t base, uint64_t scalar, uint64_t rare,
                       uint64_t *power)
{
    *power = 0;
    while (rare != 0) {
        int bit = bit_first(rare);
        size_t at = base + (size_t)bit;
        uint64_t run = ~scalar & bits_from((size_t)bit), letters;

        run = run == 0 ? bits_from((size_t)bit)
                       : bits_from((size_t)bit) & ~bits_from((size_t)bit_first(run));
        for (letters = rare & run; letters != 0; letters &= letters - 1) {
            size_t letter = base + (size_t)bit_first(letters);

            if (letter < c->size && (c->text[letter] | 0x20) == 'e')
                *power |= letters & (0 - letters);
        }
        rare &= ~run;
        if (at >= c->size || !faasi_json_scalar_ok(c->text, c->size, at))
            return false;
    }
    return true;
}

/* The bytes behind the last whole block, padded with spaces. */
INLINE const unsigned char *tail_pad(unsigned char pad[64], const unsigned char *text,
                                     size_t size)
{
    memset(pad, ' ', 64);
    memcpy(pad, text, size);
    return pad;
}

#ifndef KERNEL_WIDE
/* What one block leaves for the next one: 0 or 1, but all ones for `inside`, if the block
 * ends in a string. */
struct carries {
    uint64_t inside, scalar, member, element, value, key, key_end;
    uint64_t point_sign, digit, sign, zero, point, fraction, power;
};

/* Numbers without a loop: what may stand beside a minus, a dot, a zero. */
INLINE bool numbers_ok(struct check *c, struct carries *to, size_t base,
                       const struct masks *m, uint64_t scalar, uint64_t start)
{
    uint64_t digit = m->digit & scalar, dot = m->dot & scalar, minus = m->minus & scalar;
    uint64_t rare = scalar & ~(digit | dot | minus), power = 0, first, sign, runs;

    if (FAASI_UNLIKELY(rare != 0) && !scalars_ok(c, base, scalar, rare, &power))
        return false;
    /* A minus begins a number or an exponent. */
    c->error |= minus & ~(start | shift_carry(power, &to->power));
    /* A minus or a dot is followed by a digit, and a dot also follows one. */
    sign = minus & start;
    c->error |= shift_carry(minus | dot, &to->point_sign) & ~digit;
    c->error |= dot & ~shift_carry(digit, &to->digit);
    /* A zero that begins a number is not followed by a digit. */
    first = start | shift_carry(sign, &to->sign);
    c->error |= shift_carry(m->zero & digit & first, &to->zero) & digit;
    /* The digits behind a dot do not end with another dot. */
    runs = shift_carry(dot, &to->point) & digit;
    c->error |= add_carry(digit, runs, &to->fraction) & ~digit & dot;
    return true;
}

/* Checks 64 bytes, and writes their words unless `words` is NULL. Returns false for a
 * fault that cannot wait; the others gather in c->error. */
INLINE bool check_block(struct check *c, struct stack *stack, struct carries *to,
                        const unsigned char *block, size_t base, uint64_t *words)
{
    struct masks m;
    struct nesting nesting;
    uint64_t inside, string, space, scalar, start, comma, colon, open, close, square;
    uint64_t keys, elements, before, opening, key, key_end, escaped = 0;

    masks_load(&m, block);
    c->high |= m.high;
    if (FAASI_UNLIKELY((m.escape | c->odd) != 0)) {
        escaped = escaped_find(m.escape, &c->odd);
        m.quote &= ~escaped;
    }
    inside = prefix_xor(m.quote) ^ to->inside;
    to->inside = 0 - (inside >> 63);
    if (FAASI_UNLIKELY(escaped != 0) && !escapes_ok(c, base, escaped & inside))
        return false;
    c->error |= m.control & inside;

    string = inside | m.quote;
    space = m.space & ~string;
    comma = m.comma & ~string;
    colon = m.colon & ~string;
    open = m.open & ~string;
    close = m.close & ~string;
    square = m.square & (open | close);
    scalar = ~(string | space | comma | colon | open | close);
    start = scalar & ~shift_carry(scalar, &to->scalar);
    if (!numbers_ok(c, to, base, &m, scalar, start))
        return false;

    /* Every value comes right after one of , : { [ and none of , : does; a closing
     * bracket never comes after , or : */
    opening = m.quote & inside;
    keys = follow(comma | (open & ~square), space, &to->member);
    elements = follow(colon | (open & square), space, &to->element);
    before = follow(comma | colon, space, &to->value);
    c->error |= ((opening | start | open) & ~(keys | elements)) |
                ((comma | colon) & (keys | elements)) | (close & before);

    /* A string after , or { is a key if a colon follows. Adding its opening quote to the
     * insides of strings runs through it to its closing quote. A colon comes only
     * there. */
    key = add_carry(inside, opening & keys, &to->key) & ~inside;
    key_end = follow(key, space, &to->key_end);
    c->error |= colon & ~key_end;

    if (!nesting_find(c, stack, open, close, square, comma, &nesting))
        return false;
#ifdef KERNEL_PEXT
    nesting.objects = prefix_xor(nesting.toggles);
#endif
    /* An array has no colon; in an object only keys come after , or { */
    c->error |= (colon & ~nesting.objects) |
                ((((start | open) & keys) | (key_end & ~colon)) & nesting.objects);

    if (words != NULL) {
        words[INDEX_STRIDE * WORD_QUOTE] = m.quote;
        words[INDEX_STRIDE * WORD_COLON] = colon;
        words[INDEX_STRIDE * WORD_OPEN] = open;
        words[INDEX_STRIDE * WORD_CLOSE] = close;
        words[INDEX_STRIDE * WORD_SQUARE] = square;
        words[INDEX_STRIDE * WORD_ENDER] = comma | close | space;
        words[INDEX_STRIDE * WORD_ESCAPE] = m.escape;
        words[INDEX_STRIDE * WORD_LOWEST] = nesting.lowest - LEVEL_OUTSIDE;
    }
    return true;
}

INLINE bool check_text(struct check *c, uint64_t *index, bool indexing)
{
    struct carries to = {.element = 1}; /* as after a colon */
    struct stack stack = {LEVEL_OUTSIDE, 1};
    unsigned char pad[64];
    size_t base;

    for (base = 0; base + 64 <= c->size; base += 64) {
        uint64_t *words = indexing ? index + index_at(base) : NULL;

        if (!check_block(c, &stack, &to, c->text + base, base, words))
            return false;
    }
    if (base != c->size &&
        !check_block(c, &stack, &to, tail_pad(pad, c->text + base, c->size - base), base,
                     indexing ? index + index_at(base) : NULL))
        return false;
    return c->error == 0 && stack.level == LEVEL_OUTSIDE &&
           (c->high == 0 || utf8_ok(c->text, c->size));
}

#endif /* KERNEL_WIDE */

#ifdef KERNEL_WIDE
#include KERNEL_WIDE
#endif

static bool kernel_check(const unsigned char *text, size_t size, uint64_t *index)
{
    struct check c;
    size_t at = 0;

    while (at < size && json_is_space(text[at]))
        at++;
    if (at == size || text[at] != '{')
        return false;
    c.text = text;
    c.size = size;
    c.error = 0;
    c.high = 0;
    c.odd = 0;
    return index == NULL ? check_text(&c, NULL, false) : check_text(&c, index, true);
}

#include "json_walk.h"

const struct faasi_json_kernel KERNEL = {KERNEL_NAME, kernel_check, kernel_walk};
