/* SPDX-License-Identifier: MIT */
/**
 * @file
 * Typed signatures: how the text of a C function's type is written, the values it is
 * called with, and the block of memory that may stand for them.
 *
 * A signature is the type of the result, then the types of the arguments in parentheses,
 * without blanks: `double hypot(double, double)` is "d(dd)", `void reset(void)` is "v()".
 *
 *     v   void              as the result alone: no argument and no member is void
 *     b   bool
 *     c   int8_t    char    C   uint8_t
 *     s   int16_t   short   S   uint16_t
 *     i   int32_t   int     I   uint32_t   unsigned
 *     l   int64_t   long    L   uint64_t   size_t
 *     f   float
 *     d   double
 *     p   void *            any pointer
 *     z   const char *      a C string that ends with a NUL, or NULL
 *     y   bytes             as an argument: the two arguments `const void *, size_t`;
 *                           as the result or inside a struct: one faas_bytes by value
 *     {}  struct            by value, of the types between the braces, laid out as C does
 *                           it; "{if{cc}}" is struct { int a; float b; struct { char c,
 *                           d; } e; }
 *
 * The columns `char`, `int`, `long`, `size_t` are those of 64-bit Linux. An enum is an
 * int; an array inside a struct is its elements one by one; unions, bit-fields, packed
 * structs, long double, complex numbers and variadic functions have no signature. A text
 * has exactly one meaning and a type exactly one text.
 *
 * The library cannot see whether a symbol has the type that its signature says. That is
 * the caller's to know, as with a declaration in a header.
 */
#ifndef FAAS_SIGNATURE_H
#define FAAS_SIGNATURE_H

#include <faas/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FAAS_SIGNATURE_TEXT_MAX 255   /**< bytes of a signature, without a terminator */
#define FAAS_SIGNATURE_ARGS_MAX 32    /**< arguments of a function; bytes count once */
#define FAAS_SIGNATURE_DEPTH_MAX 8    /**< structs inside one another */
#define FAAS_SIGNATURE_MEMBERS_MAX 64 /**< members of all structs of a signature */

/** The type of a value: its letter in a signature. */
typedef enum faas_type {
    FAAS_TYPE_VOID = 'v',
    FAAS_TYPE_BOOL = 'b',
    FAAS_TYPE_I8 = 'c',
    FAAS_TYPE_U8 = 'C',
    FAAS_TYPE_I16 = 's',
    FAAS_TYPE_U16 = 'S',
    FAAS_TYPE_I32 = 'i',
    FAAS_TYPE_U32 = 'I',
    FAAS_TYPE_I64 = 'l',
    FAAS_TYPE_U64 = 'L',
    FAAS_TYPE_F32 = 'f',
    FAAS_TYPE_F64 = 'd',
    FAAS_TYPE_POINTER = 'p',
    FAAS_TYPE_STRING = 'z',
    FAAS_TYPE_BYTES = 'y',
    FAAS_TYPE_STRUCT = '{'
} faas_type;

/**
 * One argument or one result, with its type.
 *
 * Nothing is converted: an argument has the very type that the signature names, and an
 * i32 where it says i64 is refused with FAAS_ETYPE.
 *
 * Owner:  pointers, strings, bytes and structs are borrowed, in arguments as in results.
 */
typedef struct faas_value {
    faas_type type; /**< which member of `as` counts; of a result, set by the call */
    union {
        uint64_t u64; /**< FAAS_TYPE_U64; and so on */
        int64_t i64;
        uint32_t u32;
        int32_t i32;
        uint16_t u16;
        int16_t i16;
        uint8_t u8;
        int8_t i8;
        bool boolean;
        float f32;
        double f64;
        void *pointer;
        const char *string;
        faas_bytes bytes;
        struct {
            void *data;  /**< a C struct; of an argument only read, of a result written */
            size_t size; /**< its sizeof; another than the signature's is refused */
        } structure;
    } as; /**< the value itself */
} faas_value;

/** A bool, "b". */
static inline faas_value faas_bool(bool value)
{
    faas_value out = {FAAS_TYPE_BOOL, {0}};

    out.as.boolean = value;
    return out;
}

/** An int8_t, "c". */
static inline faas_value faas_i8(int8_t value)
{
    faas_value out = {FAAS_TYPE_I8, {0}};

    out.as.i8 = value;
    return out;
}

/** A uint8_t, "C". */
static inline faas_value faas_u8(uint8_t value)
{
    faas_value out = {FAAS_TYPE_U8, {0}};

    out.as.u8 = value;
    return out;
}

/** An int16_t, "s". */
static inline faas_value faas_i16(int16_t value)
{
    faas_value out = {FAAS_TYPE_I16, {0}};

    out.as.i16 = value;
    return out;
}

/** A uint16_t, "S". */
static inline faas_value faas_u16(uint16_t value)
{
    faas_value out = {FAAS_TYPE_U16, {0}};

    out.as.u16 = value;
    return out;
}

/** An int32_t, "i". */
static inline faas_value faas_i32(int32_t value)
{
    faas_value out = {FAAS_TYPE_I32, {0}};

    out.as.i32 = value;
    return out;
}

/** A uint32_t, "I". */
static inline faas_value faas_u32(uint32_t value)
{
    faas_value out = {FAAS_TYPE_U32, {0}};

    out.as.u32 = value;
    return out;
}

/** An int64_t, "l". */
static inline faas_value faas_i64(int64_t value)
{
    faas_value out = {FAAS_TYPE_I64, {0}};

    out.as.i64 = value;
    return out;
}

/** A uint64_t, "L". */
static inline faas_value faas_u64(uint64_t value)
{
    faas_value out = {FAAS_TYPE_U64, {0}};

    out.as.u64 = value;
    return out;
}

/** A float, "f". */
static inline faas_value faas_f32(float value)
{
    faas_value out = {FAAS_TYPE_F32, {0}};

    out.as.f32 = value;
    return out;
}

/** A double, "d". */
static inline faas_value faas_f64(double value)
{
    faas_value out = {FAAS_TYPE_F64, {0}};

    out.as.f64 = value;
    return out;
}

/** A pointer, "p". */
static inline faas_value faas_pointer(const void *value)
{
    faas_value out = {FAAS_TYPE_POINTER, {0}};

    out.as.pointer = (void *)(uintptr_t)value;
    return out;
}

/** A C string, "z"; NULL is passed as NULL. */
static inline faas_value faas_string(const char *value)
{
    faas_value out = {FAAS_TYPE_STRING, {0}};

    out.as.string = value;
    return out;
}

/** Bytes, "y": `size` of them at `data`. */
static inline faas_value faas_data(const void *data, size_t size)
{
    faas_value out = {FAAS_TYPE_BYTES, {0}};

    out.as.bytes = faas_bytes_of(data, size);
    return out;
}

/**
 * A struct by value, "{...}": `faas_struct(&point, sizeof point)`.
 *
 * As an argument it is only read. As a result it is where the call writes the struct that
 * the function returns.
 */
static inline faas_value faas_struct(const void *data, size_t size)
{
    faas_value out = {FAAS_TYPE_STRUCT, {0}};

    out.as.structure.data = (void *)(uintptr_t)data;
    out.as.structure.size = size;
    return out;
}

/**
 * The block of memory that holds all arguments of a call, and the space for its result.
 *
 * A block is laid out as the C struct with the arguments as members, in their order,
 * where bytes are one faas_bytes: a caller who knows the types at compile time declares
 * that struct and gives its address. "d(cyd)" takes
 *
 *     struct { int8_t a; faas_bytes b; double c; }
 */
typedef struct faas_layout {
    uint32_t size;        /**< bytes of the block; 0 without arguments */
    uint32_t align;       /**< of the block's address: 1, 2, 4 or 8 */
    uint32_t result_size; /**< bytes of the result; 0 for void */
    uint32_t result_align; /**< of its address */
    faas_type result_type; /**< its type */
    uint32_t arg_count;    /**< arguments of the signature */
    struct {
        faas_type type;
        uint32_t offset; /**< from the start of the block */
        uint32_t size;
    } args[FAAS_SIGNATURE_ARGS_MAX]; /**< the first `arg_count` count */
} faas_layout;

/**
 * Tells how the packed block of a signature is laid out.
 *
 * The members of a struct "{...}" lie in it as the arguments of "v(...)" lie in theirs.
 *
 * @param      signature  As described above; ends with a NUL.
 * @param[out] layout     Zeroed on failure.
 * @return FAAS_OK, or
 *         FAAS_ESYNTAX  the text is malformed or past a limit; faas_error_text() says at
 *                       which byte, counting from 0
 *
 * Thread: any.
 * Since:  0.1
 */
FAAS_API FAAS_NODISCARD faas_status faas_signature_layout(const char *signature,
                                                          faas_layout *layout);

#ifdef __cplusplus
}
#endif

#endif /* FAAS_SIGNATURE_H */
