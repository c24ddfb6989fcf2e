/* SPDX-License-Identifier: MIT */
/* json_sse.c - the scanner for x86 with 16 bytes in a register. */
#include "json_impl.h"
#include "utf8.h"

#if JSON_X86
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("ssse3,pclmul,popcnt"))),             \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("ssse3,pclmul,popcnt")
#endif

#define KERNEL faasi_json_sse
#define KERNEL_NAME "sse"

typedef __m128i vector;
#define VECTOR_BYTES 16

static inline vector vector_load(const unsigned char *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

static inline vector vector_or(vector a, vector b)
{
    return _mm_or_si128(a, b);
}

static inline vector vector_is(vector v, char byte)
{
    return _mm_cmpeq_epi8(v, _mm_set1_epi8(byte));
}

static inline vector vector_control(vector v)
{
    return _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1F)), v);
}

static inline vector vector_digit(vector v)
{
    vector low = _mm_sub_epi8(v, _mm_set1_epi8('0'));

    return _mm_cmpeq_epi8(_mm_min_epu8(low, _mm_set1_epi8(9)), low);
}

static inline vector vector_upper(vector v)
{
    return _mm_cmpeq_epi8(_mm_and_si128(v, _mm_set1_epi8(0x20)), _mm_setzero_si128());
}

static inline vector vector_high(vector v)
{
    return v;
}

static inline uint64_t vector_bits(vector v)
{
    return (uint32_t)_mm_movemask_epi8(v);
}

static inline uint64_t prefix_xor(uint64_t bits)
{
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)bits),
                                           _mm_set1_epi8((char)0xFF), 0);

    return (uint64_t)_mm_cvtsi128_si64(product);
}

#include "json_vector.h"
#include "json_kernel.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif /* JSON_X86 */
