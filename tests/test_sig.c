/* SPDX-License-Identifier: MIT */
/* test_sig.c - signatures: read, refused, laid out, checked, called. */
#include "support.h"

#include "core/sig.h"

#include <stdarg.h>

#define SYMBOL(function) ((void (*)(void))(function))

static struct faulty memory;
static const faas_allocator alloc = {faulty_alloc, faulty_free, &memory};

static struct faasi_sig parsed(const char *text)
{
    struct faasi_sig sig;

    ck_assert_ok(faasi_sig_parse(&sig, text, strlen(text), &alloc));
    return sig;
}

static void done(struct faasi_sig *sig)
{
    faasi_sig_fini(sig);
    ck_assert_uint_eq(memory.live_blocks, 0);
}

/* Checks and calls in the tagged way. */
static void call(const char *text, void (*symbol)(void), const faas_value *args,
                 size_t count, faas_value *result)
{
    struct faasi_sig sig = parsed(text);

    ck_assert_ok(faasi_sig_check_values(&sig, args, count));
    ck_assert_ok(faasi_sig_check_result(&sig, result));
    faasi_sig_call_values(&sig, symbol, args, result);
    done(&sig);
}

/* Checks and calls in the packed way, and looks that only the result is written. */
static void call_block(const char *text, void (*symbol)(void), const void *block,
                       size_t block_size, void *result, size_t result_size)
{
    struct faasi_sig sig = parsed(text);
    _Alignas(16) unsigned char space[1024 + 16];

    ck_assert_uint_le(result_size, 1024);
    memset(space, 0xa5, sizeof space);
    ck_assert_ok(faasi_sig_check_packed(&sig, block, block_size, space, result_size));
    faasi_sig_call_packed(&sig, symbol, block, space);
    for (size_t i = result_size; i < sizeof space; i++)
        ck_assert_uint_eq(space[i], 0xa5);
    if (result_size > 0)
        memcpy(result, space, result_size);
    done(&sig);
}

static void refused(const char *text, const char *error)
{
    unsigned allocs = memory.calls;
    struct faasi_sig_shape shape;
    struct faasi_sig sig;

    memset(&shape, 0x5a, sizeof shape);
    ck_assert_status(faasi_sig_read(&shape, text, strlen(text)), FAAS_ESYNTAX);
    for (size_t i = 0; i < sizeof shape; i++)
        ck_assert_uint_eq(((unsigned char *)&shape)[i], 0);

    memset(&sig, 0x5a, sizeof sig);
    ck_assert_status(faasi_sig_parse(&sig, text, strlen(text), &alloc), FAAS_ESYNTAX);
    ck_assert_str_eq(faas_error_text(), error);
    ck_assert_ptr_null(sig.plan);
    ck_assert_uint_eq(sig.arg_count, 0);
    ck_assert_uint_eq(memory.calls, allocs);
}

/* One function per type that gives back what it gets, behind an argument that makes the
 * registers uneven; it is called both ways with each of `...`. */
#define IDENTITY(name, ctype, letter, member, make, ...)                                 \
    static ctype name##_back(double before, ctype value)                                 \
    {                                                                                    \
        return before < 0 ? (ctype)0 : value;                                            \
    }                                                                                    \
                                                                                         \
    START_TEST(name##_comes_and_goes_unchanged)                                          \
    {                                                                                    \
        static ctype const values[] = {__VA_ARGS__};                                     \
                                                                                         \
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {                  \
            faas_value args[2] = {faas_f64(1), make(values[i])};                         \
            struct {                                                                     \
                double before;                                                           \
                ctype value;                                                             \
            } block = {1, values[i]};                                                    \
            faas_value result;                                                           \
            ctype back;                                                                  \
                                                                                         \
            memset(&result, 0x5a, sizeof result);                                        \
            call(letter "(d" letter ")", SYMBOL(name##_back), args, 2, &result);         \
            ck_assert_int_eq(result.type, letter[0]);                                    \
            ck_assert(result.as.member == values[i]);                                    \
            call_block(letter "(d" letter ")", SYMBOL(name##_back), &block,              \
                       sizeof block, &back, sizeof back);                                \
            ck_assert(back == values[i]);                                                \
        }                                                                                \
    }                                                                                    \
    END_TEST

static int target;

IDENTITY(bool, bool, "b", boolean, faas_bool, false, true)
IDENTITY(i8, int8_t, "c", i8, faas_i8, 0, 1, -1, INT8_MIN, INT8_MAX)
IDENTITY(u8, uint8_t, "C", u8, faas_u8, 0, 1, 128, UINT8_MAX)
IDENTITY(i16, int16_t, "s", i16, faas_i16, 0, 1, -1, -300, INT16_MIN, INT16_MAX)
IDENTITY(u16, uint16_t, "S", u16, faas_u16, 0, 1, 0x8000, UINT16_MAX)
IDENTITY(i32, int32_t, "i", i32, faas_i32, 0, 1, -1, INT32_MIN, INT32_MAX)
IDENTITY(u32, uint32_t, "I", u32, faas_u32, 0, 1, 0x80000000u, UINT32_MAX)
IDENTITY(i64, int64_t, "l", i64, faas_i64, 0, 1, -1, INT64_MIN, INT64_MAX)
IDENTITY(u64, uint64_t, "L", u64, faas_u64, 0, 1, UINT64_C(1) << 63, UINT64_MAX)
IDENTITY(f32, float, "f", f32, faas_f32, 0, 1.5f, -2.25e30f)
IDENTITY(f64, double, "d", f64, faas_f64, 0, 1.5, -2.25e300)
IDENTITY(pointer, void *, "p", pointer, faas_pointer, NULL, &target)
IDENTITY(string, const char *, "z", string, faas_string, NULL, "", "some text")

/* What a function that clang compiled may see: it relies on narrow arguments being
 * extended to 32 bits, of which the ABI says nothing. */
static int32_t seen_as_word(int32_t argument)
{
    return argument;
}

START_TEST(a_narrow_argument_is_extended_by_its_own_sign)
{
    const struct {
        const char *text;
        faas_value arg;
        int32_t word;
    } cases[] = {
        {"i(b)", faas_bool(true), 1},     {"i(c)", faas_i8(-2), -2},
        {"i(C)", faas_u8(254), 254},      {"i(s)", faas_i16(-300), -300},
        {"i(S)", faas_u16(65000), 65000},
    };

    for (size_t i = 0; i < FAASI_COUNT(cases); i++) {
        faas_value result;
        int32_t back;

        call(cases[i].text, SYMBOL(seen_as_word), &cases[i].arg, 1, &result);
        ck_assert_int_eq(result.as.i32, cases[i].word);
        call_block(cases[i].text, SYMBOL(seen_as_word), &cases[i].arg.as,
                   strchr("bcC", cases[i].text[2]) != NULL ? 1 : 2, &back, sizeof back);
        ck_assert_int_eq(back, cases[i].word);
    }
}
END_TEST

/* A narrow result whose register holds more than the result: what C calls it as decides.
 */
static int64_t dirty_word(void)
{
    return (int64_t)0xfedcba98765432ffU;
}

START_TEST(a_narrow_result_is_cut_from_the_word_it_came_in)
{
    faas_value result;
    int8_t narrow;

    call("c()", SYMBOL(dirty_word), NULL, 0, &result);
    ck_assert_int_eq(result.as.i8, -1);
    call("S()", SYMBOL(dirty_word), NULL, 0, &result);
    ck_assert_uint_eq(result.as.u16, 0x32ff);
    call("i()", SYMBOL(dirty_word), NULL, 0, &result);
    ck_assert_int_eq(result.as.i32, 0x765432ff);
    call_block("c()", SYMBOL(dirty_word), NULL, 0, &narrow, 1);
    ck_assert_int_eq(narrow, -1);
}
END_TEST

static int calls;

static void tick(void)
{
    calls++;
}

static int32_t tick_int(void)
{
    return ++calls;
}

struct big {
    double x[5];
    int8_t tail;
};

static struct big tick_big(void)
{
    return (struct big){.tail = (int8_t)++calls};
}

START_TEST(a_result_may_be_void_or_dropped)
{
    struct faasi_sig sig;
    faas_value result;

    calls = 0;
    call("v()", SYMBOL(tick), NULL, 0, &result);
    ck_assert_int_eq(result.type, FAAS_TYPE_VOID);
    call_block("v()", SYMBOL(tick), NULL, 0, NULL, 0);
    call("v()", SYMBOL(tick), NULL, 0, NULL);
    call("i()", SYMBOL(tick_int), NULL, 0, NULL);
    call("{dddddc}()", SYMBOL(tick_big), NULL, 0, NULL);
    ck_assert_int_eq(calls, 5);

    sig = parsed("i()");
    ck_assert_ok(faasi_sig_check_packed(&sig, NULL, 0, NULL, 0));
    faasi_sig_call_packed(&sig, SYMBOL(tick_int), NULL, NULL);
    ck_assert_int_eq(calls, 6);
    done(&sig);
}
END_TEST

static uint64_t sum_bytes(int32_t start, const void *data, size_t size)
{
    uint64_t sum = (uint64_t)start;

    for (size_t i = 0; i < size; i++)
        sum += ((const unsigned char *)data)[i];
    return sum;
}

static faas_bytes skip_bytes(const void *data, size_t size, uint8_t skip)
{
    return faas_bytes_of((const char *)data + skip, size - skip);
}

START_TEST(bytes_are_two_arguments_and_one_result)
{
    faas_value args[2] = {faas_i32(1000), faas_data("\1\2\3", 3)};
    faas_value skip[2] = {faas_data("abcdef", 6), faas_u8(2)};
    struct {
        faas_bytes bytes;
        uint8_t skip;
    } block = {{"abcdef", 6}, 2};
    faas_value result;
    faas_bytes rest;

    call("L(iy)", SYMBOL(sum_bytes), args, 2, &result);
    ck_assert_uint_eq(result.as.u64, 1006);
    args[1] = faas_data(NULL, 0);
    call("L(iy)", SYMBOL(sum_bytes), args, 2, &result);
    ck_assert_uint_eq(result.as.u64, 1000);

    call("y(yC)", SYMBOL(skip_bytes), skip, 2, &result);
    ck_assert_int_eq(result.type, FAAS_TYPE_BYTES);
    ck_assert_uint_eq(result.as.bytes.size, 4);
    ck_assert_mem_eq(result.as.bytes.data, "cdef", 4);
    call_block("y(yC)", SYMBOL(skip_bytes), &block, sizeof block, &rest, sizeof rest);
    ck_assert_uint_eq(rest.size, 4);
    ck_assert_mem_eq(rest.data, "cdef", 4);
}
END_TEST

/* Structs by value: each function makes its result of a struct that it gets, so that
 * passing and returning are both looked at. */

struct tiny {
    int8_t a, b, c;
};

static struct tiny tiny_turn(struct tiny t)
{
    return (struct tiny){t.c, t.a, t.b};
}

struct mixed { /* integers in one register, floats in another, 12 bytes */
    int16_t a;
    int32_t b;
    float c;
};

static struct mixed mixed_turn(float by, struct mixed m)
{
    return (struct mixed){(int16_t)-m.a, m.b + 1, m.c * by};
}

struct floats {
    float x, y, z;
};

static struct floats floats_turn(struct floats f)
{
    return (struct floats){f.z, f.x, f.y};
}

struct nested {
    bool on;
    struct {
        uint8_t a;
        struct {
            double b;
        } deep;
    } in;
    faas_bytes text;
};

static struct nested nested_turn(struct nested n, int32_t add)
{
    n.on = !n.on;
    n.in.a = (uint8_t)(n.in.a + add);
    n.in.deep.b = -n.in.deep.b;
    n.text.size--;
    return n;
}

static struct big big_turn(struct big b)
{
    for (int i = 0; i < 5; i++)
        b.x[i] += i;
    b.tail = (int8_t)-b.tail;
    return b;
}

START_TEST(a_struct_of_three_bytes_fits_a_register)
{
    struct tiny in = {1, -2, 3}, out = {0};
    faas_value arg = faas_struct(&in, sizeof in), result = faas_struct(&out, sizeof out);

    call("{ccc}({ccc})", SYMBOL(tiny_turn), &arg, 1, &result);
    ck_assert(out.a == 3 && out.b == 1 && out.c == -2);
    memset(&out, 0, sizeof out);
    call_block("{ccc}({ccc})", SYMBOL(tiny_turn), &in, sizeof in, &out, sizeof out);
    ck_assert(out.a == 3 && out.b == 1 && out.c == -2);
}
END_TEST

START_TEST(a_struct_of_integers_and_floats_takes_both_kinds_of_registers)
{
    struct mixed in = {7, -8, 1.5f}, out = {0};
    faas_value args[2] = {faas_f32(2), faas_struct(&in, sizeof in)};
    faas_value result = faas_struct(&out, sizeof out);
    struct {
        float by;
        struct mixed m;
    } block = {2, in};

    call("{sif}(f{sif})", SYMBOL(mixed_turn), args, 2, &result);
    ck_assert(out.a == -7 && out.b == -7 && out.c == 3);
    memset(&out, 0, sizeof out);
    call_block("{sif}(f{sif})", SYMBOL(mixed_turn), &block, sizeof block, &out,
               sizeof out);
    ck_assert(out.a == -7 && out.b == -7 && out.c == 3);
}
END_TEST

START_TEST(a_struct_of_floats_takes_float_registers)
{
    struct floats in = {1, 2, 3}, out = {0};
    faas_value arg = faas_struct(&in, sizeof in), result = faas_struct(&out, sizeof out);

    call("{fff}({fff})", SYMBOL(floats_turn), &arg, 1, &result);
    ck_assert(out.x == 3 && out.y == 1 && out.z == 2);
    memset(&out, 0, sizeof out);
    call_block("{fff}({fff})", SYMBOL(floats_turn), &in, sizeof in, &out, sizeof out);
    ck_assert(out.x == 3 && out.y == 1 && out.z == 2);
}
END_TEST

START_TEST(a_nested_struct_goes_through_memory)
{
    struct nested in = {true, {250, {2.5}}, {"text", 4}}, out = {0};
    faas_value args[2] = {faas_struct(&in, sizeof in), faas_i32(10)};
    faas_value result = faas_struct(&out, sizeof out);
    struct {
        struct nested n;
        int32_t add;
    } block = {in, 10};

    for (int way = 0; way < 2; way++) {
        memset(&out, 0, sizeof out);
        if (way == 0)
            call("{b{C{d}}y}({b{C{d}}y}i)", SYMBOL(nested_turn), args, 2, &result);
        else
            call_block("{b{C{d}}y}({b{C{d}}y}i)", SYMBOL(nested_turn), &block,
                       sizeof block, &out, sizeof out);
        ck_assert(!out.on && out.in.a == 4 && out.in.deep.b == -2.5);
        ck_assert(out.text.data == in.text.data && out.text.size == 3);
    }
}
END_TEST

START_TEST(a_big_struct_goes_through_memory)
{
    struct big in = {{1, 2, 3, 4, 5}, 6}, out = {0};
    faas_value arg = faas_struct(&in, sizeof in), result = faas_struct(&out, sizeof out);

    for (int way = 0; way < 2; way++) {
        memset(&out, 0, sizeof out);
        if (way == 0)
            call("{dddddc}({dddddc})", SYMBOL(big_turn), &arg, 1, &result);
        else
            call_block("{dddddc}({dddddc})", SYMBOL(big_turn), &in, sizeof in, &out,
                       sizeof out);
        for (int i = 0; i < 5; i++)
            ck_assert_double_eq(out.x[i], 1 + 2 * i);
        ck_assert_int_eq(out.tail, -6);
        ck_assert_int_eq(in.tail, 6);
    }
}
END_TEST

struct point {
    int8_t x;
    double y;
};

struct short_point {
    int32_t a, b;
    float y;
};

static double sixth_wide(int8_t a, int8_t b, int8_t c, int8_t d, int8_t e, float f,
                         struct point p, double g)
{
    return a + b + c + d + e + 10 * (double)f + 100 * (p.x + p.y) + 1000 * g;
}

/* The first of the six general registers holds the address of the result. */
static struct big sixth_narrow(float f, const void *data, size_t size, const char *z,
                               void *p, struct short_point s)
{
    return (struct big){.x = {(double)f, (double)size, (double)s.y, s.a, s.b},
                        .tail = data == z && p == NULL};
}

START_TEST(a_mixed_struct_in_the_last_register_leaves_earlier_floats_alone)
{
    struct point p = {2, 3.5};
    struct short_point s = {4, -5, 6.5f};
    struct big out = {0};
    faas_value wide[8] = {faas_i8(1),
                          faas_i8(1),
                          faas_i8(1),
                          faas_i8(1),
                          faas_i8(1),
                          faas_f32(7.5f),
                          faas_struct(&p, sizeof p),
                          faas_f64(9)};
    faas_value narrow[5] = {faas_f32(1.25f), faas_data("abc", 3), faas_string(NULL),
                            faas_pointer(NULL), faas_struct(&s, sizeof s)};
    struct {
        int8_t a[5];
        float f;
        struct point p;
        double g;
    } block = {{1, 1, 1, 1, 1}, 7.5f, p, 9};
    faas_value result, place = faas_struct(&out, sizeof out);
    double value;

    call("d(cccccf{cd}d)", SYMBOL(sixth_wide), wide, 8, &result);
    ck_assert_double_eq(result.as.f64, 5 + 75 + 550 + 9000);
    call_block("d(cccccf{cd}d)", SYMBOL(sixth_wide), &block, sizeof block, &value,
               sizeof value);
    ck_assert_double_eq(value, 5 + 75 + 550 + 9000);

    narrow[2].as.string = narrow[1].as.bytes.data;
    call("{dddddc}(fyzp{iif})", SYMBOL(sixth_narrow), narrow, 5, &place);
    ck_assert(out.x[0] == 1.25 && out.x[1] == 3 && out.x[2] == 6.5);
    ck_assert(out.x[3] == 4 && out.x[4] == -5 && out.tail == 1);
}
END_TEST

#define TIMES_8(what) what(0) what(1) what(2) what(3) what(4) what(5) what(6) what(7)

#define ADD(n)                                                                           \
    sum = sum * 3 + a##n;                                                                \
    sum = sum * 3 + (int64_t)b##n;                                                       \
    sum = sum * 3 + c##n;                                                                \
    sum = sum * 3 + d##n;

static int64_t thirty_two(int8_t a0, double b0, uint16_t c0, int64_t d0, int8_t a1,
                          double b1, uint16_t c1, int64_t d1, int8_t a2, double b2,
                          uint16_t c2, int64_t d2, int8_t a3, double b3, uint16_t c3,
                          int64_t d3, int8_t a4, double b4, uint16_t c4, int64_t d4,
                          int8_t a5, double b5, uint16_t c5, int64_t d5, int8_t a6,
                          double b6, uint16_t c6, int64_t d6, int8_t a7, double b7,
                          uint16_t c7, int64_t d7)
{
    int64_t sum = 0;

    TIMES_8(ADD)
    return sum;
}

START_TEST(thirty_two_arguments_arrive_in_their_order)
{
    const char *text = "l(cdSlcdSlcdSlcdSlcdSlcdSlcdSlcdSl)";
    faas_value args[32], result;
    struct {
        struct {
            int8_t a;
            double b;
            uint16_t c;
            int64_t d;
        } four[8];
    } block;
    int64_t sum = 0, back;

    for (int i = 0; i < 8; i++) {
        args[4 * i] = faas_i8((int8_t)(-i - 1));
        args[4 * i + 1] = faas_f64(-7 * i);
        args[4 * i + 2] = faas_u16((uint16_t)(65535 - i));
        args[4 * i + 3] = faas_i64(-1 - i);
        block.four[i].a = (int8_t)(-i - 1);
        block.four[i].b = -7 * i;
        block.four[i].c = (uint16_t)(65535 - i);
        block.four[i].d = -1 - i;
        sum = (((sum * 3 - i - 1) * 3 - 7 * i) * 3 + 65535 - i) * 3 - 1 - i;
    }
    call(text, SYMBOL(thirty_two), args, 32, &result);
    ck_assert_int_eq(result.as.i64, sum);
    call_block(text, SYMBOL(thirty_two), &block, sizeof block, &back, sizeof back);
    ck_assert_int_eq(back, sum);
}
END_TEST

/* Variadic, so that 64 parameters need no names; where the tests run, such a function
 * finds its arguments where another one does. */
static uint64_t weigh_32_bytes(const char *data, size_t size, ...)
{
    uint64_t sum = size + (uint64_t)data[0];
    va_list args;

    va_start(args, size);
    for (uint64_t i = 2; i <= 32; i++) {
        data = va_arg(args, const char *);
        size = va_arg(args, size_t);
        sum += i * (size + (uint64_t)data[0]);
    }
    va_end(args);
    return sum;
}

START_TEST(thirty_two_bytes_are_sixty_four_arguments)
{
    const char *text = "L(yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy)";
    const char *letters = "the bytes that are passed, by the letter";
    faas_value args[32], result;
    faas_bytes block[32];
    uint64_t sum = 0, back;

    for (size_t i = 0; i < 32; i++) {
        args[i] = faas_data(letters + i, 100 * i);
        block[i] = args[i].as.bytes;
        sum += (i + 1) * (100 * i + (uint64_t)letters[i]);
    }
    call(text, SYMBOL(weigh_32_bytes), args, 32, &result);
    ck_assert_uint_eq(result.as.u64, sum);
    call_block(text, SYMBOL(weigh_32_bytes), block, sizeof block, &back, sizeof back);
    ck_assert_uint_eq(back, sum);
}
END_TEST

START_TEST(the_text_printed_is_the_text_parsed)
{
    static const char *const texts[] = {"v()", "d(dd)", "y(y)", "{cC}(bcCsSiIlLfdpzy)",
                                        "{{{i}f}d}({y{y}}{{{{{{{{b}}}}}}}})"};
    char text[FAAS_SIGNATURE_TEXT_MAX + 1];

    for (size_t i = 0; i < FAASI_COUNT(texts); i++) {
        struct faasi_sig sig = parsed(texts[i]);

        ck_assert_uint_eq(faasi_sig_print(&sig, text), strlen(texts[i]));
        ck_assert_str_eq(text, texts[i]);
        done(&sig);
        ck_assert_ptr_null(sig.plan);
        faasi_sig_fini(&sig);
    }
    faasi_sig_fini(NULL);
}
END_TEST

START_TEST(a_signature_may_be_moved)
{
    struct faasi_sig sig = parsed("i()"), moved = sig;
    faas_value result;

    memset(&sig, 0, sizeof sig);
    calls = 41;
    faasi_sig_call_values(&moved, SYMBOL(tick_int), NULL, &result);
    ck_assert_int_eq(result.as.i32, 42);
    done(&moved);
}
END_TEST

START_TEST(a_malformed_text_is_refused_with_the_position)
{
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"", "signature at byte 0: found the end, expected the type of the result"},
        {"q()", "signature at byte 0: found 'q', expected the type of the result"},
        {"dd(d)", "signature at byte 1: found 'd', expected '('"},
        {"d", "signature at byte 1: found the end, expected '('"},
        {"v(dq)", "signature at byte 3: found 'q', expected a type or ')'"},
        {"v(v)", "signature at byte 2: found 'v', expected a type or ')'"},
        {"v(d d)", "signature at byte 3: found byte 0x20, expected a type or ')'"},
        {"v(d\xff)", "signature at byte 3: found byte 0xff, expected a type or ')'"},
        {"v(d)d", "signature at byte 4: found 'd', expected the end"},
        {"v())", "signature at byte 3: found ')', expected the end"},
        {"v({})", "signature at byte 3: found '}', expected a type"},
        {"v({v})", "signature at byte 3: found 'v', expected a type"},
        {"v({d)", "signature at byte 4: found ')', expected a type or '}'"},
        {"v(d})", "signature at byte 3: found '}', expected a type or ')'"},
        {"{d(d)", "signature at byte 2: found '(', expected a type or '}'"},
        {"v({{{{{{{{{d}}}}}}}}})", "signature at byte 10: more than 8 nested structs"},
        {"v(dddddddddddddddddddddddddddddddddd)",
         "signature at byte 34: more than 32 arguments"},
    };

    for (size_t i = 0; i < FAASI_COUNT(cases); i++)
        refused(cases[i].text, cases[i].error);
}
END_TEST

START_TEST(a_zero_byte_inside_a_text_is_refused)
{
    struct faasi_sig sig;

    ck_assert_status(faasi_sig_parse(&sig, "v(d\0d)", 6, &alloc), FAAS_ESYNTAX);
    ck_assert_str_eq(faas_error_text(),
                     "signature at byte 3: found byte 0x00, expected a type or ')'");
}
END_TEST

START_TEST(a_signature_cut_anywhere_is_refused_where_it_ends)
{
    const char *text = "{i{fy}b}(bcCsSiIlLfdpzy{s{d{z}}}{y})";
    char end[64];

    for (size_t size = 0; size < strlen(text); size++) {
        struct faasi_sig sig;
        /* Its own memory, so that a sanitizer sees a read past the cut. */
        char *cut = malloc(size + (size == 0));

        ck_assert_ptr_nonnull(cut);
        memcpy(cut, text, size);
        ck_assert_status(faasi_sig_parse(&sig, cut, size, &alloc), FAAS_ESYNTAX);
        snprintf(end, sizeof end, "signature at byte %zu: found the end, ", size);
        ck_assert_mem_eq(faas_error_text(), end, strlen(end));
        ck_assert_ptr_null(sig.plan);
        free(cut);
    }
}
END_TEST

START_TEST(limits_are_reached_but_not_passed)
{
    char text[300];
    struct faasi_sig sig;

    /* 64 members, one of them a struct. */
    snprintf(text, sizeof text, "v({%.40s{%.23s}})",
             "dddddddddddddddddddddddddddddddddddddddd", "ccccccccccccccccccccccc");
    sig = parsed(text);
    ck_assert_uint_eq(sig.block_size, 40 * 8 + 24);
    done(&sig);
    snprintf(text, sizeof text, "v({%.40s{%.24s}})",
             "dddddddddddddddddddddddddddddddddddddddd", "cccccccccccccccccccccccc");
    refused(text, "signature at byte 67: more than 64 members of structs");

    sig = parsed("v({{{{{{{{d}}}}}}}})");
    done(&sig);
    memset(text, '{', 256);
    text[256] = '\0';
    refused(text, "signature at byte 255: goes on to byte 256");
    text[255] = '\0';
    refused(text, "signature at byte 8: more than 8 nested structs");
}
END_TEST

START_TEST(wrong_arguments_are_refused_before_the_call)
{
    struct faasi_sig sig = parsed("{cd}(i{cd}z)");
    struct point p = {1, 2};
    faas_value args[4] = {faas_i32(1), faas_struct(&p, sizeof p), faas_string("x")};

    ck_assert_ok(faasi_sig_check_values(&sig, args, 3));
    ck_assert_status(faasi_sig_check_values(&sig, args, 2), FAAS_ETYPE);
    ck_assert_str_eq(faas_error_text(),
                     "expected 3 arguments, came 2; signature {cd}(i{cd}z)");
    ck_assert_status(faasi_sig_check_values(&sig, args, 4), FAAS_ETYPE);
    ck_assert_status(faasi_sig_check_values(&sig, NULL, 0), FAAS_ETYPE);

    args[0] = faas_u32(1);
    ck_assert_status(faasi_sig_check_values(&sig, args, 3), FAAS_ETYPE);
    ck_assert_str_eq(faas_error_text(),
                     "argument 1: expected i32, came u32; signature {cd}(i{cd}z)");
    args[0] = faas_i32(1);
    args[2].type = (faas_type)0;
    ck_assert_status(faasi_sig_check_values(&sig, args, 3), FAAS_ETYPE);
    ck_assert_str_eq(faas_error_text(),
                     "argument 3: expected string, came no type; signature {cd}(i{cd}z)");
    /* The low byte alone does not make it a string. */
    args[2].type = (faas_type)(FAAS_TYPE_STRING + 256);
    ck_assert_status(faasi_sig_check_values(&sig, args, 3), FAAS_ETYPE);
    args[2] = faas_string(NULL);
    ck_assert_ok(faasi_sig_check_values(&sig, args, 3));

    args[1] = faas_struct(&p, sizeof p - 1);
    ck_assert_status(faasi_sig_check_values(&sig, args, 3), FAAS_ETYPE);
    ck_assert_str_eq(faas_error_text(),
                     "argument 2: expected a struct of 16 bytes, came one "
                     "of 15; signature {cd}(i{cd}z)");
    args[1] = faas_struct(NULL, sizeof p);
    ck_assert_status(faasi_sig_check_values(&sig, args, 3), FAAS_EINVAL);
    args[1] = faas_struct((char *)&p + 4, sizeof p);
    ck_assert_status(faasi_sig_check_values(&sig, args, 3), FAAS_EINVAL);
    done(&sig);
}
END_TEST

START_TEST(a_wrong_place_for_a_result_is_refused_before_the_call)
{
    struct faasi_sig sig = parsed("{cd}()"), plain = parsed("d()");
    struct point p;
    faas_value result = faas_struct(&p, sizeof p);

    ck_assert_ok(faasi_sig_check_result(&sig, &result));
    ck_assert_ok(faasi_sig_check_result(&sig, NULL));
    result = faas_struct(&p, sizeof p + 1);
    ck_assert_status(faasi_sig_check_result(&sig, &result), FAAS_ETYPE);
    ck_assert_str_eq(
        faas_error_text(),
        "result: expected a struct of 16 bytes, came one of 17; signature {cd}()");
    result = faas_struct(NULL, sizeof p);
    ck_assert_status(faasi_sig_check_result(&sig, &result), FAAS_EINVAL);
    result = faas_f64(1);
    ck_assert_status(faasi_sig_check_result(&sig, &result), FAAS_ETYPE);
    ck_assert_str_eq(
        faas_error_text(),
        "result: expected the place of a struct, came f64; signature {cd}()");
    ck_assert_ok(faasi_sig_check_result(&plain, &result));
    result.type = (faas_type)0;
    ck_assert_ok(faasi_sig_check_result(&plain, &result));
    faasi_sig_fini(&sig);
    done(&plain);
}
END_TEST

START_TEST(a_block_of_wrong_size_or_alignment_is_refused_before_the_call)
{
    struct faasi_sig sig = parsed("i(cd)"), bytes = parsed("v(cc)");
    _Alignas(8) char block[24];
    _Alignas(8) char result[8];

    ck_assert_ok(faasi_sig_check_packed(&sig, block, 16, result, 4));
    ck_assert_ok(faasi_sig_check_packed(&sig, block, 16, NULL, 0));
    ck_assert_status(faasi_sig_check_packed(&sig, block, 15, result, 4), FAAS_ETYPE);
    ck_assert_str_eq(faas_error_text(),
                     "expected a block of 16 bytes, came 15; signature i(cd)");
    ck_assert_status(faasi_sig_check_packed(&sig, block, 17, result, 4), FAAS_ETYPE);
    ck_assert_status(faasi_sig_check_packed(&sig, block, 16, result, 8), FAAS_ETYPE);
    ck_assert_str_eq(faas_error_text(),
                     "expected 4 bytes for the result, came 8; signature i(cd)");
    ck_assert_status(faasi_sig_check_packed(&sig, block, 16, result, 0), FAAS_ETYPE);
    ck_assert_status(faasi_sig_check_packed(&sig, block, 16, NULL, 4), FAAS_ETYPE);
    ck_assert_status(faasi_sig_check_packed(&sig, NULL, 16, result, 4), FAAS_EINVAL);
    ck_assert_status(faasi_sig_check_packed(&sig, block + 4, 16, result, 4), FAAS_EINVAL);
    ck_assert_status(faasi_sig_check_packed(&sig, block, 16, result + 2, 4), FAAS_EINVAL);
    /* A struct of chars may lie anywhere. */
    ck_assert_ok(faasi_sig_check_packed(&bytes, block + 1, 2, NULL, 0));
    faasi_sig_fini(&sig);
    done(&bytes);
}
END_TEST

START_TEST(a_block_is_laid_out_as_the_c_struct)
{
    struct block {
        int8_t a;
        faas_bytes b;
        struct mixed c;
        bool d;
        struct nested e;
        struct tiny f;
        const char *g;
        uint16_t h;
    };
    static const uint32_t offsets[] = {
        offsetof(struct block, a), offsetof(struct block, b), offsetof(struct block, c),
        offsetof(struct block, d), offsetof(struct block, e), offsetof(struct block, f),
        offsetof(struct block, g), offsetof(struct block, h)};
    static const faas_type types[] = {
        FAAS_TYPE_I8,     FAAS_TYPE_BYTES,  FAAS_TYPE_STRUCT, FAAS_TYPE_BOOL,
        FAAS_TYPE_STRUCT, FAAS_TYPE_STRUCT, FAAS_TYPE_STRING, FAAS_TYPE_U16};
    faas_layout layout;

    ck_assert_ok(faas_signature_layout("{dddddc}(cy{sif}b{b{C{d}}y}{ccc}zS)", &layout));
    ck_assert_uint_eq(layout.size, sizeof(struct block));
    ck_assert_uint_eq(layout.align, _Alignof(struct block));
    ck_assert_uint_eq(layout.result_size, sizeof(struct big));
    ck_assert_uint_eq(layout.result_align, _Alignof(struct big));
    ck_assert_int_eq(layout.result_type, FAAS_TYPE_STRUCT);
    ck_assert_uint_eq(layout.arg_count, FAASI_COUNT(offsets));
    for (size_t i = 0; i < FAASI_COUNT(offsets); i++) {
        ck_assert_uint_eq(layout.args[i].offset, offsets[i]);
        ck_assert_int_eq(layout.args[i].type, types[i]);
    }
    ck_assert_uint_eq(layout.args[4].size, sizeof(struct nested));

    ck_assert_ok(faas_signature_layout("v()", &layout));
    ck_assert_uint_eq(layout.size, 0);
    ck_assert_uint_eq(layout.result_size, 0);
    ck_assert_int_eq(layout.result_type, FAAS_TYPE_VOID);

    memset(&layout, 0x5a, sizeof layout);
    ck_assert_status(faas_signature_layout("v(", &layout), FAAS_ESYNTAX);
    ck_assert_uint_eq(layout.size, 0);
    ck_assert_int_eq(layout.result_type, 0);
}
END_TEST

/* A function that sees every kind of argument and makes one number of them. */
struct everything {
    bool a;
    int8_t b;
    uint16_t c;
    float d;
    struct mixed e;
    int32_t f;
    double g;
    faas_bytes h;
    uint64_t i;
    struct big j;
    const char *k;
};

static double everything_fold(bool a, int8_t b, uint16_t c, float d, struct mixed e,
                              int32_t f, double g, const void *hd, size_t hs, uint64_t i,
                              struct big j, const char *k)
{
    double sum = a + 2.0 * b + 3.0 * c + 5 * (double)d + 7.0 * e.a + 11.0 * e.b;

    sum += 13 * (double)e.c + 17.0 * f + 19 * g + 23 * (double)sum_bytes(0, hd, hs);
    sum += 29 * (double)i + 31 * j.x[0] + 37 * j.x[4] + 41.0 * j.tail;
    return sum + (k == NULL ? 0 : 43.0 * (double)strlen(k));
}

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

START_TEST(a_block_and_tagged_values_give_the_same_result)
{
    static const char text[] = "some text of forty-odd bytes, to be cut up";
    struct faasi_sig sig = parsed("d(bcSf{sif}idyL{dddddc}z)");
    uint64_t seed = 88172645463325252U;

    for (int round = 0; round < 2000; round++) {
        uint64_t r = random_next(&seed), s = random_next(&seed);
        struct everything in = {
            .a = r & 1,
            .b = (int8_t)(r >> 8),
            .c = (uint16_t)(r >> 16),
            .d = (float)(int8_t)(r >> 32) / 4,
            .e = {(int16_t)(r >> 40), (int32_t)s, (float)(int8_t)(s >> 8)},
            .f = (int32_t)(s >> 32),
            .g = (double)(int32_t)(r >> 24) / 8,
            .h = {text, s % sizeof text},
            .i = r ^ s,
            .j = {{(double)(r % 1000), 0, 0, 0, (double)(s % 1000)}, (int8_t)s},
            .k = r % 5 == 0 ? NULL : text + r % sizeof text,
        };
        faas_value args[] = {faas_bool(in.a),
                             faas_i8(in.b),
                             faas_u16(in.c),
                             faas_f32(in.d),
                             faas_struct(&in.e, sizeof in.e),
                             faas_i32(in.f),
                             faas_f64(in.g),
                             faas_data(in.h.data, in.h.size),
                             faas_u64(in.i),
                             faas_struct(&in.j, sizeof in.j),
                             faas_string(in.k)};
        double expected = everything_fold(in.a, in.b, in.c, in.d, in.e, in.f, in.g,
                                          in.h.data, in.h.size, in.i, in.j, in.k);
        faas_value result;
        double packed;

        ck_assert_ok(faasi_sig_check_values(&sig, args, FAASI_COUNT(args)));
        faasi_sig_call_values(&sig, SYMBOL(everything_fold), args, &result);
        ck_assert_double_eq(result.as.f64, expected);
        ck_assert_ok(
            faasi_sig_check_packed(&sig, &in, sizeof in, &packed, sizeof packed));
        faasi_sig_call_packed(&sig, SYMBOL(everything_fold), &in, &packed);
        ck_assert_double_eq(packed, expected);
    }
    done(&sig);
}
END_TEST

START_TEST(parsing_leaks_nothing_whichever_allocation_fails)
{
    const char *text = "{i{fy}}(dy{s{d{z}}})";

    for (unsigned fail_at = 1;; fail_at++) {
        struct faulty f = {.fail_at = fail_at};
        faas_allocator failing = faulty_allocator(&f);
        struct faasi_sig sig;
        faas_status status = faasi_sig_parse(&sig, text, strlen(text), &failing);

        if (status != FAAS_OK) {
            ck_assert_status(status, FAAS_ENOMEM);
            ck_assert_ptr_null(sig.plan);
        }
        faasi_sig_fini(&sig);
        ck_assert_uint_eq(f.live_bytes, 0);
        if (status == FAAS_OK) {
            ck_assert_uint_gt(fail_at, 1);
            break;
        }
    }
}
END_TEST

SUITE_MAIN("sig", bool_comes_and_goes_unchanged, i8_comes_and_goes_unchanged,
           u8_comes_and_goes_unchanged, i16_comes_and_goes_unchanged,
           u16_comes_and_goes_unchanged, i32_comes_and_goes_unchanged,
           u32_comes_and_goes_unchanged, i64_comes_and_goes_unchanged,
           u64_comes_and_goes_unchanged, f32_comes_and_goes_unchanged,
           f64_comes_and_goes_unchanged, pointer_comes_and_goes_unchanged,
           string_comes_and_goes_unchanged, a_narrow_argument_is_extended_by_its_own_sign,
           a_narrow_result_is_cut_from_the_word_it_came_in,
           a_result_may_be_void_or_dropped, bytes_are_two_arguments_and_one_result,
           a_struct_of_three_bytes_fits_a_register,
           a_struct_of_integers_and_floats_takes_both_kinds_of_registers,
           a_struct_of_floats_takes_float_registers, a_nested_struct_goes_through_memory,
           a_big_struct_goes_through_memory,
           a_mixed_struct_in_the_last_register_leaves_earlier_floats_alone,
           thirty_two_arguments_arrive_in_their_order,
           thirty_two_bytes_are_sixty_four_arguments, the_text_printed_is_the_text_parsed,
           a_signature_may_be_moved, a_malformed_text_is_refused_with_the_position,
           a_zero_byte_inside_a_text_is_refused,
           a_signature_cut_anywhere_is_refused_where_it_ends,
           limits_are_reached_but_not_passed, wrong_arguments_are_refused_before_the_call,
           a_wrong_place_for_a_result_is_refused_before_the_call,
           a_block_of_wrong_size_or_alignment_is_refused_before_the_call,
           a_block_is_laid_out_as_the_c_struct,
           a_block_and_tagged_values_give_the_same_result,
           parsing_leaks_nothing_whichever_allocation_fails)
