/* SPDX-License-Identifier: MIT */
/* json_avx2.c - the scanner for x86 with 32 bytes in a register. */
#include "json_impl.h"
#include "utf8.h"

#if JSON_X86
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,pclmul,popcnt"))),     \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,pclmul,popcnt")
#endif

#define KERNEL faasi_json_avx2
#define KERNEL_NAME "avx2"
#define KERNEL_PEXT 1

typedef __m256i vector;
#define VECTOR_BYTES 32

static inline vector vector_load(const unsigned char *at)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

static inline vector vector_or(vector a, vector b)
{
    return _mm256_or_si256(a, b);
}

static inline vector vector_is(vector v, char byte)
{
    return _mm256_cmpeq_epi8(v, _mm256_set1_epi8(byte));
}

static inline vector vector_control(vector v)
{
    return _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1F)), v);
}

static inline vector vector_digit(vector v)
{
    vector low = _mm256_sub_epi8(v, _mm256_set1_epi8('0'));

    return _mm256_cmpeq_epi8(_mm256_min_epu8(low, _mm256_set1_epi8(9)), low);
}

static inline vector vector_upper(vector v)
{
    return _mm256_cmpeq_epi8(_mm256_and_si256(v, _mm256_set1_epi8(0x20)),
                             _mm256_setzero_si256());
}

static inline vector vector_high(vector v)
{
    return v;
}

static inline uint64_t vector_bits(vector v)
{
    return (uint32_t)_mm256_movemask_epi8(v);
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

#include "json_vector.h"
#include "json_kernel.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif /* JSON_X86 */
