/* SPDX-License-Identifier: MIT */
/* json_wide.h - validation of 512 bytes at a time: the algebra of json_kernel.h on eight
 * words at once.
 *
 * A vector holds the same mask of eight neighbouring blocks, the first in lane 0. What
 * one block leaves for the next one goes from lane to lane: a shift takes the top bits of
 * the lanes below, a sum its carries. Only the containers are followed block by block.
 *
 * Included by json_kernel.h into json_avx512.c. */

/* Masks of a chunk; see struct masks. */
struct chunk {
    __m512i quote, colon, open, close, square, ender, escape, space;
    __m512i digit, zero, dot, minus;
    uint64_t high;
    bool control; /* there are bytes below 0x20 */
};

struct wide {
    __m512i error;
    /* Masks of the chunk before, for the bits that pass into this one. */
    __m512i scalar, member, element, value, key_end;
    __m512i point_sign, digit, sign, zero, point, power;
    unsigned key, fraction; /* carries */
    uint64_t inside;
};

INLINE __m512i wide_or(__m512i a, __m512i b)
{
    return _mm512_or_si512(a, b);
}

INLINE __m512i wide_and(__m512i a, __m512i b)
{
    return _mm512_and_si512(a, b);
}

/* a & ~b */
INLINE __m512i wide_less(__m512i a, __m512i b)
{
    return _mm512_andnot_si512(b, a);
}

INLINE bool wide_any(__m512i a)
{
    return _mm512_test_epi64_mask(a, a) != 0;
}

/* The highest bit of the last block. */
INLINE __m512i wide_last(void)
{
    return _mm512_set_epi64(INT64_MIN, 0, 0, 0, 0, 0, 0, 0);
}

/* shift_carry() */
INLINE __m512i wide_shift(__m512i bits, __m512i *before)
{
    __m512i below = _mm512_alignr_epi64(bits, *before, 7);

    *before = bits;
    return _mm512_shldi_epi64(bits, below, 1);
}

/* add_carry(): lanes that are all ones hand a carry on. */
INLINE __m512i wide_add(__m512i a, __m512i b, unsigned *carry)
{
    const __m512i ones = _mm512_set1_epi64(-1);
    __m512i sum = _mm512_add_epi64(a, b);
    unsigned over = _mm512_cmplt_epu64_mask(sum, a);
    unsigned full = _mm512_cmpeq_epi64_mask(sum, ones);

    over = ((over << 1 | *carry) + full) ^ full;
    *carry = over >> 8;
    return _mm512_mask_sub_epi64(sum, (__mmask8)over, sum, ones);
}

/* follow() */
INLINE __m512i wide_follow(__m512i bits, __m512i space, bool spaces, __m512i *before)
{
    __m512i next = wide_shift(bits, before), sum;
    unsigned carry = 0;

    if (FAASI_LIKELY(!spaces))
        return next;
    sum = wide_add(space, wide_and(next, space), &carry);
    if (carry != 0)
        *before = wide_or(bits, wide_last());
    return wide_less(wide_or(next, sum), space);
}

/* prefix_xor() of every lane by itself. */
INLINE __m512i wide_prefix_xor(__m512i bits)
{
    const __m512i ones = _mm512_set1_epi64(-1);

    return _mm512_unpacklo_epi64(_mm512_clmulepi64_epi128(bits, ones, 0),
                                 _mm512_clmulepi64_epi128(bits, ones, 1));
}

/* The insides of strings, from quotes. */
INLINE __m512i wide_inside(__m512i quote, uint64_t *carry)
{
    const __m512i ones = _mm512_set1_epi64(-1);
    __m512i inside = wide_prefix_xor(quote);
    uint64_t odd = _mm512_movepi64_mask(inside);

    /* Lanes with an odd number of quotes turn all lanes above. */
    odd ^= odd << 1;
    odd ^= odd << 2;
    odd ^= odd << 4;
    odd = odd << 1 ^ (0 - *carry);
    *carry = odd >> 8 & 1;
    return _mm512_mask_xor_epi64(inside, (__mmask8)odd, inside, ones);
}

/* Four vectors of four pairs of lanes, transposed in place. */
INLINE void pairs_transpose(__m512i v[4])
{
    __m512i a = _mm512_shuffle_i64x2(v[0], v[1], 0x88);
    __m512i b = _mm512_shuffle_i64x2(v[2], v[3], 0x88);
    __m512i c = _mm512_shuffle_i64x2(v[0], v[1], 0xDD);
    __m512i d = _mm512_shuffle_i64x2(v[2], v[3], 0xDD);

    v[0] = _mm512_shuffle_i64x2(a, b, 0x88);
    v[1] = _mm512_shuffle_i64x2(c, d, 0x88);
    v[2] = _mm512_shuffle_i64x2(a, b, 0xDD);
    v[3] = _mm512_shuffle_i64x2(c, d, 0xDD);
}

/* For byte 16k + 8b + m: byte 8m + k of vector b; that is, from two blocks with eight
 * classes in the bytes of each eight, four classes, two blocks each. */
#define PAIR(k, b)                                                                       \
    (k) + 64 * (b), (k) + 64 * (b) + 8, (k) + 64 * (b) + 16, (k) + 64 * (b) + 24,        \
        (k) + 64 * (b) + 32, (k) + 64 * (b) + 40, (k) + 64 * (b) + 48,                   \
        (k) + 64 * (b) + 56
#define PAIRS(k) PAIR(k, 0), PAIR(k, 1)

_Alignas(64) static const
    unsigned char pairs_low[64] = {PAIRS(0), PAIRS(1), PAIRS(2), PAIRS(3)};
_Alignas(64) static const
    unsigned char pairs_high[64] = {PAIRS(4), PAIRS(5), PAIRS(6), PAIRS(7)};

/* Makes the masks of eight blocks. */
INLINE void chunk_load(struct chunk *m, __m512i bytes[8])
{
    const __m512i low = _mm512_load_si512(pairs_low);
    const __m512i high = _mm512_load_si512(pairs_high);
    __m512i all = bytes[0], least = bytes[0];
    __m512i words_low[4], words_high[4], numbers[4];

    UNROLL
    for (int i = 1; i < 8; i++) {
        all = wide_or(all, bytes[i]);
        least = _mm512_min_epu8(least, bytes[i]);
    }
    m->high = _mm512_movepi8_mask(all);
    m->control = _mm512_cmplt_epu8_mask(least, _mm512_set1_epi8(0x20)) != 0;
    if (FAASI_UNLIKELY(m->high != 0))
        UNROLL
    for (int i = 0; i < 8; i++)
        bytes[i] = _mm512_mask_set1_epi8(bytes[i], _mm512_movepi8_mask(bytes[i]), 'a');
    UNROLL
    for (int i = 0; i < 4; i++) {
        __m512i one = eights_reverse(bytes[2 * i]);
        __m512i two = eights_reverse(bytes[2 * i + 1]);
        __m512i words_one = classes_find(word_classes, one);
        __m512i words_two = classes_find(word_classes, two);

        words_low[i] = _mm512_permutex2var_epi8(words_one, low, words_two);
        words_high[i] = _mm512_permutex2var_epi8(words_one, high, words_two);
        numbers[i] = _mm512_permutex2var_epi8(classes_find(number_classes, one), low,
                                              classes_find(number_classes, two));
    }
    pairs_transpose(words_low);
    pairs_transpose(words_high);
    pairs_transpose(numbers);
    m->quote = words_low[WORD_QUOTE];
    m->colon = words_low[WORD_COLON];
    m->open = words_low[WORD_OPEN];
    m->close = words_low[WORD_CLOSE];
    m->square = words_high[WORD_SQUARE - 4];
    m->ender = words_high[WORD_ENDER - 4];
    m->escape = words_high[WORD_ESCAPE - 4];
    m->space = words_high[BIT_SPACE - 4];
    m->digit = numbers[BIT_DIGIT];
    m->zero = numbers[BIT_ZERO];
    m->dot = numbers[BIT_DOT];
    m->minus = numbers[BIT_MINUS];
}

/* The masks of single blocks, for what is done block by block. */
struct lanes {
    _Alignas(64) uint64_t at[8];
};

INLINE struct lanes lanes_of(__m512i v)
{
    struct lanes lanes;

    _mm512_store_si512(lanes.at, v);
    return lanes;
}

/* Takes escaped quotes out of `quote`, and sets `*escaped`. */
static __m512i wide_escapes(struct check *c, __m512i quote, __m512i escape,
                            __m512i *escaped)
{
    struct lanes slashes = lanes_of(escape), found;

    for (int i = 0; i < 8; i++)
        found.at[i] = escaped_find(slashes.at[i], &c->odd);
    *escaped = _mm512_load_si512(found.at);
    return wide_less(quote, *escaped);
}

static bool wide_escapes_ok(const struct check *c, size_t base, __m512i escaped)
{
    struct lanes lanes = lanes_of(escaped);

    for (size_t i = 0; i < 8; i++)
        if (!escapes_ok(c, base + 64 * i, lanes.at[i]))
            return false;
    return true;
}

/* scalars_ok() */
static bool wide_scalars_ok(const struct check *c, size_t base, __m512i scalar,
                            __m512i rare, __m512i *power)
{
    struct lanes scalars = lanes_of(scalar), rares = lanes_of(rare), powers;

    for (size_t i = 0; i < 8; i++)
        if (!scalars_ok(c, base + 64 * i, scalars.at[i], rares.at[i], &powers.at[i]))
            return false;
    *power = _mm512_load_si512(powers.at);
    return true;
}

/* numbers_ok() */
INLINE bool wide_numbers_ok(struct check *c, struct wide *w, size_t base,
                            const struct chunk *m, __m512i scalar, __m512i start)
{
    __m512i digit = wide_and(m->digit, scalar), dot = wide_and(m->dot, scalar);
    __m512i minus = wide_and(m->minus, scalar), power = _mm512_setzero_si512();
    __m512i sign = wide_or(minus, dot), rare = wide_less(scalar, wide_or(digit, sign));
    __m512i error, first, runs;

    if (FAASI_UNLIKELY(wide_any(rare)) && !wide_scalars_ok(c, base, scalar, rare, &power))
        return false;
    error = wide_less(minus, wide_or(start, wide_shift(power, &w->power)));
    error = wide_or(error, wide_less(wide_shift(sign, &w->point_sign), digit));
    error = wide_or(error, wide_less(dot, wide_shift(digit, &w->digit)));
    first = wide_or(start, wide_shift(wide_and(minus, start), &w->sign));
    first = wide_and(m->zero, wide_and(digit, first));
    error = wide_or(error, wide_and(wide_shift(first, &w->zero), digit));
    runs = wide_and(wide_shift(dot, &w->point), digit);
    runs = wide_add(digit, runs, &w->fraction);
    error = wide_or(error, wide_and(wide_less(runs, digit), dot));
    w->error = wide_or(w->error, error);
    return true;
}

/* Follows the containers through the blocks of a chunk. */
INLINE bool wide_nesting(struct check *c, struct stack *stack, __m512i open,
                         __m512i close, __m512i square, __m512i comma, size_t count,
                         __m512i *objects, __m512i *lowest)
{
    struct lanes opens = lanes_of(open), closes = lanes_of(close);
    struct lanes squares = lanes_of(square), commas = lanes_of(comma), toggles, lowests;

    _mm512_store_si512(toggles.at, _mm512_setzero_si512());
    _mm512_store_si512(lowests.at, _mm512_setzero_si512());
    for (size_t i = 0; i < count; i++) {
        struct nesting nesting;

        if (!nesting_find(c, stack, opens.at[i], closes.at[i], squares.at[i],
                          commas.at[i], &nesting))
            return false;
        toggles.at[i] = nesting.toggles;
        lowests.at[i] = nesting.lowest - LEVEL_OUTSIDE;
    }
    *objects = wide_prefix_xor(_mm512_load_si512(toggles.at));
    *lowest = _mm512_load_si512(lowests.at);
    return true;
}

/* check_block() for the chunk at `base`: `count` blocks, of which `valid` are text. */
INLINE bool check_chunk(struct check *c, struct stack *stack, struct wide *w,
                        __m512i bytes[8], size_t base, size_t count, __m512i valid,
                        uint64_t *words)
{
    struct chunk m;
    __m512i inside, string, space, comma, colon, open, close, square, scalar, start;
    __m512i opening, keys, elements, places, before, key, key_end, objects, lowest, error;
    __m512i escaped = _mm512_setzero_si512();
    bool spaces, escapes;

    chunk_load(&m, bytes);
    c->high |= m.high;
    escapes = wide_any(m.escape) || c->odd != 0;
    if (FAASI_UNLIKELY(escapes))
        m.quote = wide_escapes(c, m.quote, m.escape, &escaped);
    inside = wide_inside(m.quote, &w->inside);
    if (FAASI_UNLIKELY(escapes) && !wide_escapes_ok(c, base, wide_and(escaped, inside)))
        return false;
    if (FAASI_UNLIKELY(m.control)) {
        struct lanes controls;

        UNROLL
        for (int i = 0; i < 8; i++)
            controls.at[i] = _mm512_cmplt_epu8_mask(bytes[i], _mm512_set1_epi8(0x20));
        w->error = wide_or(w->error, wide_and(_mm512_load_si512(controls.at), inside));
    }

    string = wide_or(inside, m.quote);
    space = wide_less(m.space, string);
    spaces = wide_any(space);
    colon = wide_less(m.colon, string);
    open = wide_less(m.open, string);
    close = wide_less(m.close, string);
    square = wide_less(m.square, string);
    comma = wide_less(wide_less(m.ender, string), wide_or(close, space));
    scalar = wide_or(wide_or(string, space), wide_or(wide_or(colon, open), close));
    scalar = wide_less(valid, wide_or(scalar, comma));
    start = wide_less(scalar, wide_shift(scalar, &w->scalar));
    if (!wide_numbers_ok(c, w, base, &m, scalar, start))
        return false;

    opening = wide_and(m.quote, inside);
    keys =
        wide_follow(wide_or(comma, wide_less(open, square)), space, spaces, &w->member);
    elements =
        wide_follow(wide_or(colon, wide_and(open, square)), space, spaces, &w->element);
    before = wide_follow(wide_or(comma, colon), space, spaces, &w->value);
    places = wide_or(keys, elements);
    start = wide_or(start, open);
    error = wide_less(wide_or(opening, start), places);
    error = wide_or(error, wide_and(wide_or(comma, colon), places));
    error = wide_or(error, wide_and(close, before));

    key = wide_less(wide_add(inside, wide_and(opening, keys), &w->key), inside);
    key_end = wide_follow(key, space, spaces, &w->key_end);
    error = wide_or(error, wide_less(colon, key_end));

    if (!wide_nesting(c, stack, open, close, square, comma, count, &objects, &lowest))
        return false;
    error = wide_or(error, wide_less(colon, objects));
    keys = wide_or(wide_and(start, keys), wide_less(key_end, colon));
    w->error = wide_or(w->error, wide_or(error, wide_and(keys, objects)));

    if (words != NULL) {
        space = _mm512_ternarylogic_epi64(space, valid, valid, 0xF3); /* space | ~valid */
        _mm512_storeu_si512(words + INDEX_STRIDE * WORD_QUOTE, m.quote);
        _mm512_storeu_si512(words + INDEX_STRIDE * WORD_COLON, colon);
        _mm512_storeu_si512(words + INDEX_STRIDE * WORD_OPEN, open);
        _mm512_storeu_si512(words + INDEX_STRIDE * WORD_CLOSE, close);
        _mm512_storeu_si512(words + INDEX_STRIDE * WORD_SQUARE, square);
        _mm512_storeu_si512(words + INDEX_STRIDE * WORD_ENDER,
                            wide_or(wide_or(comma, close), space));
        _mm512_storeu_si512(words + INDEX_STRIDE * WORD_ESCAPE, m.escape);
        _mm512_storeu_si512(words + INDEX_STRIDE * WORD_LOWEST, lowest);
    }
    return true;
}

/* The last chunk: what lies behind the text becomes letters, which are no text either. */
INLINE bool check_rest(struct check *c, struct stack *stack, struct wide *w, size_t base,
                       uint64_t *words)
{
    const __m512i letters = _mm512_set1_epi8('a');
    const unsigned char *text = c->text + base;
    size_t left = c->size - base;
    struct lanes valid;
    __m512i bytes[8];

    UNROLL
    for (size_t i = 0; i < 8; i++) {
        size_t size = left < 64 * i ? 0 : left - 64 * i;

        valid.at[i] = _bzhi_u64(~(uint64_t)0, size < 64 ? (unsigned)size : 64);
        bytes[i] = _mm512_mask_loadu_epi8(letters, valid.at[i], text + (left - size));
    }
    return check_chunk(c, stack, w, bytes, base, (left + 63) / 64,
                       _mm512_load_si512(valid.at), words);
}

INLINE bool check_text(struct check *c, uint64_t *index, bool indexing)
{
    const __m512i zero = _mm512_setzero_si512();
    struct stack stack = {LEVEL_OUTSIDE, 1};
    __m512i bytes[8];
    struct wide w;
    size_t base;

    w.error = w.scalar = w.member = w.value = w.key_end = zero;
    w.point_sign = w.digit = w.sign = w.zero = w.point = w.power = zero;
    w.element = wide_last(); /* as after a colon */
    w.key = w.fraction = 0;
    w.inside = 0;
    for (base = 0; base + 512 <= c->size; base += 512) {
        UNROLL
        for (int i = 0; i < 8; i++)
            bytes[i] = _mm512_loadu_si512(c->text + base + 64 * i);
        if (!check_chunk(c, &stack, &w, bytes, base, 8, _mm512_set1_epi64(-1),
                         indexing ? index + index_at(base) : NULL))
            return false;
    }
    if (base != c->size &&
        !check_rest(c, &stack, &w, base, indexing ? index + index_at(base) : NULL))
        return false;
    return c->error == 0 && !wide_any(w.error) && stack.level == LEVEL_OUTSIDE &&
           (c->high == 0 || utf8_ok(c->text, c->size));
}
