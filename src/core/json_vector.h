/* SPDX-License-Identifier: MIT */
/* json_vector.h - masks of 64 bytes from narrower vectors, by comparing.
 *
 * The including file defines `vector` and VECTOR_BYTES, `vector_load`, `vector_or`, and
 * comparisons whose result is a vector for `vector_bits`, one bit per byte: `vector_is`
 * (a byte), `vector_control` (below 0x20), `vector_digit`, `vector_upper` (bit 5 is
 * clear) and `vector_high` (bit 7 is set).
 *
 * Layer: 1 structures, private to json*.c. */
/* Bit n speaks of byte n. Nothing here knows of strings. */
struct masks {
    uint64_t quote, escape, comma, colon;
    uint64_t open, close; /* { [ and } ] */
    uint64_t square;      /* among the brackets: [ ] */
    uint64_t space, control;
    uint64_t digit, zero, dot, minus;
    uint64_t high; /* any bit: a byte outside ASCII */
};

INLINE vector vector_spaces(vector v)
{
    return vector_or(vector_or(vector_is(v, ' '), vector_is(v, '\n')),
                     vector_or(vector_is(v, '\t'), vector_is(v, '\r')));
}

INLINE void masks_load(struct masks *m, const unsigned char *block)
{
    memset(m, 0, sizeof *m);
    for (int i = 0; i < 64; i += VECTOR_BYTES) {
        vector v = vector_load(block + i);

        m->quote |= vector_bits(vector_is(v, '"')) << i;
        m->escape |= vector_bits(vector_is(v, '\\')) << i;
        m->comma |= vector_bits(vector_is(v, ',')) << i;
        m->colon |= vector_bits(vector_is(v, ':')) << i;
        m->open |= vector_bits(vector_or(vector_is(v, '{'), vector_is(v, '['))) << i;
        m->close |= vector_bits(vector_or(vector_is(v, '}'), vector_is(v, ']'))) << i;
        m->square |= vector_bits(vector_upper(v)) << i;
        m->space |= vector_bits(vector_spaces(v)) << i;
        m->control |= vector_bits(vector_control(v)) << i;
        m->digit |= vector_bits(vector_digit(v)) << i;
        m->zero |= vector_bits(vector_is(v, '0')) << i;
        m->dot |= vector_bits(vector_is(v, '.')) << i;
        m->minus |= vector_bits(vector_is(v, '-')) << i;
        m->high |= vector_bits(vector_high(v)) << i;
    }
}

typedef struct {
    uint64_t word[WORD_COUNT];
} block_words;

INLINE block_words words_load(const unsigned char *block)
{
    block_words to = {{0}};
    uint64_t *words = to.word;

    for (int i = 0; i < 64; i += VECTOR_BYTES) {
        vector v = vector_load(block + i);
        vector close = vector_or(vector_is(v, '}'), vector_is(v, ']'));

        words[WORD_QUOTE] |= vector_bits(vector_is(v, '"')) << i;
        words[WORD_COLON] |= vector_bits(vector_is(v, ':')) << i;
        words[WORD_OPEN] |= vector_bits(vector_or(vector_is(v, '{'), vector_is(v, '[')))
                            << i;
        words[WORD_CLOSE] |= vector_bits(close) << i;
        words[WORD_SQUARE] |= vector_bits(vector_upper(v)) << i;
        words[WORD_ENDER] |=
            vector_bits(vector_or(vector_or(close, vector_is(v, ',')), vector_spaces(v)))
            << i;
        words[WORD_ESCAPE] |= vector_bits(vector_is(v, '\\')) << i;
    }
    return to;
}

INLINE uint64_t words_quotes(const block_words *words)
{
    return words->word[WORD_QUOTE];
}

INLINE uint64_t words_escapes(const block_words *words)
{
    return words->word[WORD_ESCAPE];
}

INLINE void words_store(uint64_t *out, const block_words *words, uint64_t quotes,
                        uint64_t string)
{
    out[WORD_QUOTE] = quotes;
    out[WORD_COLON] = words->word[WORD_COLON] & ~string;
    out[WORD_OPEN] = words->word[WORD_OPEN] & ~string;
    out[WORD_CLOSE] = words->word[WORD_CLOSE] & ~string;
    out[WORD_SQUARE] = words->word[WORD_SQUARE];
    out[WORD_ENDER] = words->word[WORD_ENDER] & ~string;
    out[WORD_ESCAPE] = words->word[WORD_ESCAPE];
}

/* Which of 64 bytes, of which `left` are there, are no digit, dot or sign. */
INLINE uint64_t numbers_end(const unsigned char *at, size_t left)
{
    unsigned char pad[64] = {0};
    uint64_t bits = 0;

    if (FAASI_UNLIKELY(left < 64))
        at = memcpy(pad, at, left);
    for (int i = 0; i < 64; i += VECTOR_BYTES) {
        vector v = vector_load(at + i);
        vector sign = vector_or(vector_is(v, '-'), vector_is(v, '+'));

        bits |=
            vector_bits(vector_or(vector_or(vector_digit(v), vector_is(v, '.')), sign))
            << i;
    }
    return ~bits;
}

/* Which of 32 bytes are quotes, backslashes or control characters. */
INLINE uint64_t strings_end(const unsigned char *at)
{
    uint64_t bits = 0;

    for (int i = 0; i < 32; i += VECTOR_BYTES) {
        vector v = vector_load(at + i);

        bits |= vector_bits(vector_or(vector_or(vector_is(v, '"'), vector_is(v, '\\')),
                                      vector_control(v)))
                << i;
    }
    return bits;
}

/* Skips ASCII 64 bytes at a time. */
static bool utf8_ok(const unsigned char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        uint64_t high = 0;
        uint32_t point;

        if (size - at >= 64) {
            for (int i = 0; i < 64; i += VECTOR_BYTES)
                high |= vector_bits(vector_high(vector_load(text + at + i))) << i;
            if (high == 0) {
                at += 64;
                continue;
            }
            at += (size_t)__builtin_ctzll(high);
        } else if (text[at] < 0x80) {
            at++;
            continue;
        }
        do {
            at += faasi_utf8_next((const char *)text + at, size - at, &point);
            if (point == FAASI_UTF8_BAD)
                return false;
        } while (at < size && text[at] >= 0x80);
    }
    return true;
}
