/* SPDX-License-Identifier: MIT */
/* json_number.c - decimal text to the nearest double.
 *
 * Each way only where it is sure: one operation on two exact doubles; a 64-bit product
 * with a known error bound; exact integers of 128 bits for up to 19 digits and powers of
 * ten up to 27; big integers, compared at the half between two doubles. No strtod, no
 * locale. */
#include "json.h"

#include <math.h>

typedef unsigned __int128 uint128;

/* A number text taken apart: `digits` x 10^`power`; more digits follow if `cut`. */
struct decimal {
    uint64_t digits; /* the first 19 significant ones */
    int64_t power;
    bool negative;
    bool cut;
    const char *first;  /* significant digit, for those who need them all */
    const char *end;    /* of the digits; a dot may stand between them */
    int64_t last_power; /* of the last digit */
};

/* Powers beyond these are zero or infinity whatever the digits: a text holds no more than
 * FAASI_JSON_SIZE_MAX digits. */
#define POWER_LIMIT ((int64_t)4000000000)

static bool is_digit(const char *at, const char *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

static const char *exponent_read(const char *at, const char *end, int64_t *power)
{
    bool negative = false;

    *power = 0;
    if (at == end || (*at | 0x20) != 'e')
        return at;
    at++;
    if (at < end && (*at == '+' || *at == '-'))
        negative = *at++ == '-';
    if (!is_digit(at, end))
        return NULL;
    for (; is_digit(at, end); at++)
        if (*power < POWER_LIMIT)
            *power = *power * 10 + (*at - '0');
    if (negative)
        *power = -*power;
    return at;
}

/* Eight ASCII digits as a number, or UINT64_MAX. */
static uint64_t eight_digits(const char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    if (((word & 0xF0F0F0F0F0F0F0F0U) |
         ((word + 0x0606060606060606U) & 0xF0F0F0F0F0F0F0F0U) >> 4) !=
        0x3333333333333333U)
        return UINT64_MAX;
    word -= 0x3030303030303030U;
    word = word * 10 + (word >> 8);
    return ((word & 0x000000FF000000FFU) * 0x000F424000000064U +
            (word >> 16 & 0x000000FF000000FFU) * 0x0000271000000001U) >>
           32;
}

/* Appends digits to `*value` while it has room for them; counts all of them. */
static const char *digits_read(const char *at, const char *end, uint64_t *value,
                               int *room, int64_t *beyond)
{
    for (; is_digit(at, end); at++) {
        /* Leading zeros take no room, so they are read one by one. */
        while (*value != 0 && *room >= 8 && end - at >= 8) {
            uint64_t eight = eight_digits(at);

            if (eight == UINT64_MAX)
                break;
            *value = *value * 100000000 + eight;
            *room -= 8;
            at += 8;
        }
        if (!is_digit(at, end))
            break;
        if (*room > 0) {
            *value = *value * 10 + (uint64_t)(*at - '0');
            *room -= *value != 0;
        } else {
            ++*beyond;
        }
    }
    return at;
}

static bool decimal_read(struct decimal *d, const char *text, size_t size)
{
    const char *at = text, *end = text + size, *whole, *dot;
    int64_t power, fraction = 0, beyond = 0, cut;
    int room = 19;

    d->digits = 0;
    d->negative = at < end && *at == '-';
    at += d->negative;
    whole = at;
    if (!is_digit(at, end) || (*at == '0' && is_digit(at + 1, end)))
        return false;
    at = digits_read(at, end, &d->digits, &room, &beyond);
    cut = beyond;
    if (at < end && *at == '.') {
        dot = ++at;
        beyond = 0;
        at = digits_read(at, end, &d->digits, &room, &beyond);
        fraction = at - dot;
        if (fraction == 0)
            return false;
        cut += beyond;
    }
    d->first = whole;
    d->end = at;
    at = exponent_read(at, end, &power);
    if (at != end)
        return false;
    d->last_power = power - fraction;
    d->power = d->last_power + cut;
    d->cut = cut != 0;
    return true;
}

static double double_of_bits(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* How many of the 64 bits of top x 2^power, the highest being set, a double has no room
 * for: more than usual if it is subnormal. */
static int bits_dropped(int power)
{
    return power + 63 < -1022 ? -1074 - power : 11;
}

/* mantissa x 2^(power + dropped). A mantissa that was rounded up to 2^53 carries into the
 * exponent, and from the largest exponent into infinity. */
static double double_make(uint64_t mantissa, int power, int dropped)
{
    if (power + 63 < -1022)
        return double_of_bits(mantissa);
    if (power + 63 > 1023)
        return INFINITY;
    return double_of_bits(mantissa + ((uint64_t)(power + dropped + 52 + 1022) << 52));
}

/* The double nearest to top x 2^power, where the highest bit of `top` is set; `more` says
 * that the exact value is a little larger. Ties to even. Less than 64 bits are
 * dropped. */
static double double_round(uint64_t top, int power, bool more)
{
    int dropped = bits_dropped(power);
    uint64_t mantissa = top >> dropped;
    uint64_t rest = top & ((1ULL << dropped) - 1);
    uint64_t half = 1ULL << (dropped - 1);

    if (rest > half || (rest == half && (more || (mantissa & 1) != 0)))
        mantissa++;
    return double_make(mantissa, power, dropped);
}

static double rounded_128(uint128 value, int power, bool more)
{
    uint64_t high = (uint64_t)(value >> 64), low = (uint64_t)value;
    int shift;

    if (high == 0) {
        shift = __builtin_clzll(low);
        return double_round(low << shift, power - shift, more);
    }
    shift = __builtin_clzll(high);
    value <<= shift;
    more = more || (uint64_t)value != 0;
    return double_round((uint64_t)(value >> 64), power + 64 - shift, more);
}

#define FIVES_MAX 27

static const uint64_t fives[FIVES_MAX + 1] = {
    1,
    5,
    25,
    125,
    625,
    3125,
    15625,
    78125,
    390625,
    1953125,
    9765625,
    48828125,
    244140625,
    1220703125,
    6103515625,
    30517578125,
    152587890625,
    762939453125,
    3814697265625,
    19073486328125,
    95367431640625,
    476837158203125,
    2384185791015625,
    11920928955078125,
    59604644775390625,
    298023223876953125,
    1490116119384765625,
    7450580596923828125,
};

static const double tens[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* Exact for |power| <= FIVES_MAX: 10^n is 5^n x 2^n, and 5^27 fits 63 bits. */
static double double_exact(uint64_t digits, int power)
{
    uint64_t divisor;
    int shift, divisor_shift;
    uint128 value, quotient;

    if (digits <= 1ULL << 53 && power >= -22 && power <= 22) {
        /* Both are doubles, and one operation rounds once. */
        return power < 0 ? (double)digits / tens[-power] : (double)digits * tens[power];
    }
    if (power >= 0)
        return rounded_128((uint128)digits * fives[power], power, false);
    shift = __builtin_clzll(digits);
    divisor = fives[-power];
    divisor_shift = __builtin_clzll(divisor);
    /* Both have their highest bit set: the quotient has 64 or 65 bits. */
    value = (uint128)(digits << shift) << 64;
    divisor <<= divisor_shift;
    quotient = value / divisor;
    return rounded_128(quotient, power - 64 - shift + divisor_shift,
                       quotient * divisor != value);
}

/* 10^(2^n) and 10^-(2^n) as 64 bits and a power of two, to the nearest. */
struct scale {
    uint64_t top;
    int power;
};

static const struct scale tens_up[9] = {
    {0xA000000000000000, -60}, {0xC800000000000000, -57}, {0x9C40000000000000, -50},
    {0xBEBC200000000000, -37}, {0x8E1BC9BF04000000, -10}, {0x9DC5ADA82B70B59E, 43},
    {0xC2781F49FFCFA6D5, 149}, {0x93BA47C980E98CE0, 362}, {0xAA7EEBFB9DF9DE8E, 787},
};

static const struct scale tens_down[9] = {
    {0xCCCCCCCCCCCCCCCD, -67},  {0xA3D70A3D70A3D70A, -70},  {0xD1B71758E219652C, -77},
    {0xABCC77118461CEFD, -90},  {0xE69594BEC44DE15B, -117}, {0xCFB11EAD453994BA, -170},
    {0xA87FEA27A539E9A5, -276}, {0xDDD0467C64BCE4A1, -489}, {0xC0314325637A193A, -914},
};

/* 10^-n likewise: what most numbers with a dot need, in one step. */
static const struct scale tenths[FIVES_MAX + 1] = {
    {0x8000000000000000, -63},  {0xCCCCCCCCCCCCCCCD, -67},  {0xA3D70A3D70A3D70A, -70},
    {0x83126E978D4FDF3B, -73},  {0xD1B71758E219652C, -77},  {0xA7C5AC471B478423, -80},
    {0x8637BD05AF6C69B6, -83},  {0xD6BF94D5E57A42BC, -87},  {0xABCC77118461CEFD, -90},
    {0x89705F4136B4A597, -93},  {0xDBE6FECEBDEDD5BF, -97},  {0xAFEBFF0BCB24AAFF, -100},
    {0x8CBCCC096F5088CC, -103}, {0xE12E13424BB40E13, -107}, {0xB424DC35095CD80F, -110},
    {0x901D7CF73AB0ACD9, -113}, {0xE69594BEC44DE15B, -117}, {0xB877AA3236A4B449, -120},
    {0x9392EE8E921D5D07, -123}, {0xEC1E4A7DB69561A5, -127}, {0xBCE5086492111AEB, -130},
    {0x971DA05074DA7BEF, -133}, {0xF1C90080BAF72CB1, -137}, {0xC16D9A0095928A27, -140},
    {0x9ABE14CD44753B53, -143}, {0xF79687AED3EEC551, -147}, {0xC612062576589DDB, -150},
    {0x9E74D1B791E07E48, -153},
};

/* Multiplies top x 2^`*binary` by `scale`. Adds to `*slack`, in units of top, what that
 * may be off. */
static uint64_t scale_by(uint64_t top, const struct scale *scale, int *binary,
                         uint64_t *slack)
{
    uint128 product = (uint128)top * scale->top;

    *binary += scale->power + 64;
    /* The factor is off by half a unit, and the product is cut. */
    *slack += 2;
    if (product >> 127 == 0) {
        product <<= 1;
        --*binary;
        *slack *= 2;
    }
    return (uint64_t)(product >> 64);
}

/* digits x 10^power as top x 2^`*binary`, too small or too large by less than `*slack`
 * units of top. */
static uint64_t double_near(const struct decimal *d, int power, int *binary,
                            uint64_t *slack)
{
    const struct scale *scales = power < 0 ? tens_down : tens_up;
    unsigned n = (unsigned)(power < 0 ? -power : power);
    int shift = __builtin_clzll(d->digits);
    uint64_t top = d->digits << shift;

    *binary = -shift;
    /* Nineteen digits are at least 10^18, more than 2^59: what was cut is under 2^5. */
    *slack = d->cut ? 32 : 0;
    if (power < 0 && power >= -FIVES_MAX)
        return scale_by(top, &tenths[n], binary, slack);
    for (int i = 0; n != 0; i++, n >>= 1)
        if ((n & 1) != 0)
            top = scale_by(top, &scales[i], binary, slack);
    return top;
}

/* A big natural number: what 800 digits and 10^1200 need. */
#define BIG_WORDS 64

struct big {
    int count;
    uint64_t words[BIG_WORDS];
};

static void big_multiply(struct big *big, uint64_t factor, uint64_t add)
{
    for (int i = 0; i < big->count; i++) {
        uint128 product = (uint128)big->words[i] * factor + add;

        big->words[i] = (uint64_t)product;
        add = (uint64_t)(product >> 64);
    }
    if (add != 0) {
        assert(big->count < BIG_WORDS);
        big->words[big->count++] = add;
    }
}

static void big_multiply_fives(struct big *big, int power)
{
    for (; power > FIVES_MAX; power -= FIVES_MAX)
        big_multiply(big, fives[FIVES_MAX], 0);
    big_multiply(big, fives[power], 0);
}

static void big_shift(struct big *big, int bits)
{
    int words = bits / 64;

    big_multiply(big, 1ULL << bits % 64, 0);
    assert(big->count + words <= BIG_WORDS);
    memmove(big->words + words, big->words, (size_t)big->count * sizeof big->words[0]);
    memset(big->words, 0, (size_t)words * sizeof big->words[0]);
    big->count += words;
}

static int big_compare(const struct big *a, const struct big *b)
{
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    for (int i = a->count - 1; i >= 0; i--)
        if (a->words[i] != b->words[i])
            return a->words[i] < b->words[i] ? -1 : 1;
    return 0;
}

/* No half between two doubles has more significant digits than 768: what follows them
 * only tells a tie from more than a tie. */
#define DIGITS_MAX 800

/* Digits are collected up to this before the big number is multiplied. */
#define PIECE_MAX 1000000000000000000U

/* The digits of `d` as one number, times 10^`*power`. */
static void big_read(struct big *big, const struct decimal *d, int64_t *power)
{
    int64_t left = d->last_power;
    uint64_t piece = 0, scale = 1;
    int taken = 0;
    bool more = false;

    big->count = 0;
    for (const char *at = d->first; at < d->end; at++) {
        if (*at == '.')
            continue;
        if (taken == DIGITS_MAX) {
            more = more || *at != '0';
            left++;
        } else if (taken > 0 || *at != '0') {
            piece = piece * 10 + (uint64_t)(*at - '0');
            scale *= 10;
            taken++;
            if (scale == PIECE_MAX) {
                big_multiply(big, scale, piece);
                scale = 1;
                piece = 0;
            }
        }
    }
    big_multiply(big, scale, piece);
    /* A one behind the last digit stands for all that was left out. */
    if (more) {
        big_multiply(big, 10, 1);
        left--;
    }
    *power = left;
}

/* Decides between the double below `top` x 2^`binary` and the one above it. */
static double double_big(const struct decimal *d, uint64_t top, int binary)
{
    int dropped = bits_dropped(binary), order, twos;
    uint64_t mantissa = dropped >= 64 ? 0 : top >> dropped;
    struct big value, half;
    int64_t power;

    /* The half is (2 x mantissa + 1) x 2^(binary + dropped - 1). */
    half.count = 1;
    half.words[0] = 2 * mantissa + 1;
    big_read(&value, d, &power);
    if (power >= 0)
        big_multiply_fives(&value, (int)power);
    else
        big_multiply_fives(&half, (int)-power);
    twos = (int)power - (binary + dropped - 1);
    if (twos >= 0)
        big_shift(&value, twos);
    else
        big_shift(&half, -twos);
    order = big_compare(&value, &half);
    if (order > 0 || (order == 0 && (mantissa & 1) != 0))
        mantissa++;
    return double_make(mantissa, binary, dropped);
}

static double double_of(const struct decimal *d)
{
    uint64_t top, slack;
    int binary, dropped;
    bool exact;

    if (d->digits == 0)
        return 0.0;
    if (d->power > 310)
        return INFINITY;
    if (d->power < -345)
        return 0.0;
    exact = !d->cut && d->power >= -FIVES_MAX && d->power <= FIVES_MAX;
    if (exact && (d->power >= 0 || d->digits <= (uint64_t)1 << 53))
        return double_exact(d->digits, (int)d->power);
    top = double_near(d, (int)d->power, &binary, &slack);
    dropped = bits_dropped(binary);
    if (dropped > 65)
        return 0.0;
    if (dropped < 64) {
        uint64_t rest = top & ((1ULL << dropped) - 1), half = 1ULL << (dropped - 1);

        if (slack < half && (rest < half - slack || rest > half + slack))
            return double_round(top, binary, false);
    }
    return exact ? double_exact(d->digits, (int)d->power) : double_big(d, top, binary);
}

double faasi_json_number(const char *text, size_t size)
{
    struct decimal d;
    double value;

    if (!decimal_read(&d, text, size))
        return NAN;
    value = double_of(&d);
    return d.negative ? -value : value;
}
