/* SPDX-License-Identifier: MIT */
/* json_plain.c - the scanner for any machine: eight bytes at a time in a register. */
#include "json_impl.h"
#include "utf8.h"

#define KERNEL faasi_json_plain
#define KERNEL_NAME "plain"

/* Comparisons set the highest bit of each byte. */
typedef uint64_t vector;
#define VECTOR_BYTES 8

#define EACH(byte) ((uint64_t)0x0101010101010101U * (unsigned char)(byte))
#define TOPS EACH(0x80)

static inline vector vector_load(const unsigned char *at)
{
    return json_load(at);
}

static inline vector vector_or(vector a, vector b)
{
    return a | b;
}

static inline vector vector_is_zero(vector v)
{
    return ~(((v & ~TOPS) + ~TOPS) | v) & TOPS;
}

static inline vector vector_is(vector v, char byte)
{
    return vector_is_zero(v ^ EACH(byte));
}

static inline vector vector_control(vector v)
{
    return vector_is_zero(v & EACH(0xE0));
}

/* 0x30 to 0x39: adding 6 to the low half must not carry. */
static inline vector vector_digit(vector v)
{
    return vector_is_zero((v & EACH(0xF0)) ^ EACH(0x30)) &
           ~(((v & EACH(0x0F)) + EACH(6)) << 3);
}

static inline vector vector_upper(vector v)
{
    return ~(v << 2) & TOPS;
}

static inline vector vector_high(vector v)
{
    return v & TOPS;
}

/* The product gathers the highest bits of the bytes in its highest byte. */
static inline uint64_t vector_bits(vector v)
{
    return ((v & TOPS) >> 7) * 0x0102040810204080U >> 56;
}

static inline uint64_t prefix_xor(uint64_t bits)
{
    for (int by = 1; by < 64; by *= 2)
        bits ^= bits << by;
    return bits;
}

#include "json_vector.h"
#include "json_kernel.h"
