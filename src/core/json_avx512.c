/* SPDX-License-Identifier: MIT */
/* json_avx512.c - the scanner for x86 with 64 bytes in a register. */
#include "json_impl.h"
#include "utf8.h"

#if JSON_X86
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(                                                            \
    __attribute__((                                                                      \
        target("avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,gfni,"    \
               "bmi,bmi2,pclmul,vpclmulqdq,popcnt"))),                                   \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vbmi2,gfni")
#pragma GCC target("bmi,bmi2,pclmul,vpclmulqdq,popcnt")
#endif

#define KERNEL faasi_json_avx512
#define KERNEL_NAME "avx512"
#define KERNEL_PEXT 1
#define KERNEL_WIDE "json_wide.h"

/* What the bytes of ASCII are: one bit per word of a block, and white space. */
enum { BIT_SPACE = 7 };
#define ENDS (1 << WORD_ENDER)
#define SPACE (1 << BIT_SPACE | ENDS)

_Alignas(64) static const unsigned char word_classes[128] = {
    ['"'] = 1 << WORD_QUOTE,
    [':'] = 1 << WORD_COLON,
    ['{'] = 1 << WORD_OPEN,
    ['['] = 1 << WORD_OPEN | 1 << WORD_SQUARE,
    ['}'] = 1 << WORD_CLOSE | ENDS,
    [']'] = 1 << WORD_CLOSE | 1 << WORD_SQUARE | ENDS,
    [','] = ENDS,
    ['\\'] = 1 << WORD_ESCAPE,
    [' '] = SPACE,
    ['\t'] = SPACE,
    ['\n'] = SPACE,
    ['\r'] = SPACE,
};

/* What numbers are made of. */
enum { BIT_DIGIT, BIT_ZERO, BIT_DOT, BIT_MINUS };
#define DIGIT (1 << BIT_DIGIT)

_Alignas(64) static const unsigned char number_classes[128] = {
    ['0'] = DIGIT | 1 << BIT_ZERO,
    ['1'] = DIGIT,
    ['2'] = DIGIT,
    ['3'] = DIGIT,
    ['4'] = DIGIT,
    ['5'] = DIGIT,
    ['6'] = DIGIT,
    ['7'] = DIGIT,
    ['8'] = DIGIT,
    ['9'] = DIGIT,
    ['.'] = 1 << BIT_DOT,
    ['-'] = 1 << BIT_MINUS,
};

/* For byte 8k + m: 8m + k, a transposition of eight bytes by eight. */
_Alignas(64) static const unsigned char transposed[64] = {
    0, 8,  16, 24, 32, 40, 48, 56, 1, 9,  17, 25, 33, 41, 49, 57,
    2, 10, 18, 26, 34, 42, 50, 58, 3, 11, 19, 27, 35, 43, 51, 59,
    4, 12, 20, 28, 36, 44, 52, 60, 5, 13, 21, 29, 37, 45, 53, 61,
    6, 14, 22, 30, 38, 46, 54, 62, 7, 15, 23, 31, 39, 47, 55, 63,
};

/* Turns each eight bytes around. */
INLINE __m512i eights_reverse(__m512i bytes)
{
    const __m512i reverse =
        _mm512_set4_epi32(0x08090A0B, 0x0C0D0E0F, 0x00010203, 0x04050607);

    return _mm512_shuffle_epi8(bytes, reverse);
}

/* Looks up the class of every byte, which must be ASCII, and transposes each eight bytes
 * of eight bits: bit n of byte m becomes bit m of byte 7 - n, hence eights_reverse().
 * Eight masks at once, without a comparison. */
INLINE __m512i classes_find(const unsigned char *classes, __m512i bytes)
{
    const __m512i bit_of_byte = _mm512_set1_epi64((long long)0x8040201008040201U);
    __m512i found = _mm512_permutex2var_epi8(_mm512_load_si512(classes), bytes,
                                             _mm512_load_si512(classes + 64));

    return _mm512_gf2p8affine_epi64_epi8(bit_of_byte, found, 0);
}

typedef __m512i block_words;

INLINE block_words words_load(const unsigned char *block)
{
    __m512i bytes = _mm512_loadu_si512(block);
    __mmask64 wide = _mm512_movepi8_mask(bytes);

    if (FAASI_UNLIKELY(wide != 0))
        bytes = _mm512_mask_set1_epi8(bytes, wide, 'a');
    bytes = classes_find(word_classes, eights_reverse(bytes));
    return _mm512_permutexvar_epi8(_mm512_load_si512(transposed), bytes);
}

/* Word 0, which is at hand without a store. */
INLINE uint64_t words_quotes(const block_words *words)
{
    return (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(*words));
}

INLINE uint64_t words_escapes(const block_words *words)
{
    return (uint64_t)_mm_extract_epi64(_mm512_extracti64x2_epi64(*words, WORD_ESCAPE / 2),
                                       WORD_ESCAPE % 2);
}

/* One store, so that what is loaded next comes from it alone: a load that needs bytes of
 * two stores waits for both to reach the cache. */
INLINE void words_store(uint64_t *out, const block_words *words, uint64_t quotes,
                        uint64_t string)
{
    const __mmask8 outside =
        1 << WORD_COLON | 1 << WORD_OPEN | 1 << WORD_CLOSE | 1 << WORD_ENDER;
    __m512i kept = _mm512_mask_andnot_epi64(*words, outside,
                                            _mm512_set1_epi64((long long)string), *words);

    _mm512_store_si512(out, _mm512_mask_set1_epi64(kept, 1, (long long)quotes));
    /* Through memory: left alone, gcc takes the vector apart in registers, which is three
     * times the work. */
    __asm__("" : "+m"(*(uint64_t(*)[WORD_COUNT])(void *)out));
}

/* Which of 64 bytes, of which `left` are there, are no digit, dot or sign; a slash may
 * count as one. */
INLINE uint64_t numbers_end(const unsigned char *at, size_t left)
{
    __mmask64 there = left >= 64 ? ~(uint64_t)0 : _bzhi_u64(~(uint64_t)0, (unsigned)left);
    __m512i bytes = _mm512_maskz_loadu_epi8(there, at);
    __m512i above = _mm512_sub_epi8(bytes, _mm512_set1_epi8('+'));

    return _mm512_cmpgt_epu8_mask(above, _mm512_set1_epi8('9' - '+')) |
           _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(','));
}

/* Which of 32 bytes are quotes, backslashes or control characters. */
INLINE uint64_t strings_end(const unsigned char *at)
{
    __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)at);

    return _mm256_cmpeq_epi8_mask(bytes, _mm256_set1_epi8('"')) |
           _mm256_cmpeq_epi8_mask(bytes, _mm256_set1_epi8('\\')) |
           _mm256_cmplt_epu8_mask(bytes, _mm256_set1_epi8(' '));
}

/* Skips ASCII 64 bytes at a time. */
static bool utf8_ok(const unsigned char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        uint32_t point;

        if (size - at >= 64) {
            uint64_t high = _mm512_movepi8_mask(_mm512_loadu_si512(text + at));

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

static inline uint64_t prefix_xor(uint64_t bits)
{
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)bits),
                                           _mm_set1_epi8((char)0xFF), 0);

    return (uint64_t)_mm_cvtsi128_si64(product);
}

static inline uint64_t bits_gather(uint64_t bits, uint64_t where)
{
    return _pext_u64(bits, where);
}

static inline uint64_t bits_scatter(uint64_t bits, uint64_t where)
{
    return _pdep_u64(bits, where);
}

#include "json_kernel.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif /* JSON_X86 */
