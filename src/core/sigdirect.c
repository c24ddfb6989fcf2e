/* SPDX-License-Identifier: MIT */
/* sigdirect.c - the commonest signatures, called as the compiler calls them.
 *
 * A call through libffi takes some 18 ns, for it reads the types anew each time. A
 * function of up to two arguments of int32_t, int64_t, double or a pointer is called here
 * through a pointer of its own type: some 2 ns, with the same meaning. Everything else
 * goes through libffi.
 *
 * Layer: 1 structures. Pure. */
#include "sig.h"

/* What a letter is in C; as a result, where it goes. A result that nobody wants is
 * dropped, so each call has a place for it. */
#define TYPE_i int32_t
#define TYPE_l int64_t
#define TYPE_d double
#define TYPE_p void *

#define ARG(letter, at) (*(TYPE_##letter *)arguments[at])

#define KEEP(letter, call)                                                               \
    TYPE_##letter answer = call;                                                         \
    if (result != NULL)                                                                  \
    *(TYPE_##letter *)result = answer

#define ANSWER_i(call) KEEP(i, call)
#define ANSWER_l(call) KEEP(l, call)
#define ANSWER_d(call) KEEP(d, call)
#define ANSWER_p(call) KEEP(p, call)
#define ANSWER_v(call)                                                                   \
    (void)result;                                                                        \
    call
#define RESULT_i int32_t
#define RESULT_l int64_t
#define RESULT_d double
#define RESULT_p void *
#define RESULT_v void

/* M(R), M(R, A), M(R, A, B) for every result and every argument. */
#define EACH_RESULT(M) M(v) M(i) M(l) M(d) M(p)
#define EACH_1(M, R) M(R, i) M(R, l) M(R, d) M(R, p)
#define EACH_2_A(M, R, A) M(R, A, i) M(R, A, l) M(R, A, d) M(R, A, p)
#define EACH_2(M, R)                                                                     \
    EACH_2_A(M, R, i) EACH_2_A(M, R, l) EACH_2_A(M, R, d) EACH_2_A(M, R, p)

#define DEFINE_0(R)                                                                      \
    static void call_##R##_(void (*symbol)(void), void **arguments, void *result)        \
    {                                                                                    \
        (void)arguments;                                                                 \
        ANSWER_##R(((RESULT_##R(*)(void))symbol)());                                     \
    }
#define DEFINE_1(R, A)                                                                   \
    static void call_##R##_##A(void (*symbol)(void), void **arguments, void *result)     \
    {                                                                                    \
        ANSWER_##R(((RESULT_##R(*)(TYPE_##A))symbol)(ARG(A, 0)));                        \
    }
#define DEFINE_2(R, A, B)                                                                \
    static void call_##R##_##A##B(void (*symbol)(void), void **arguments, void *result)  \
    {                                                                                    \
        ANSWER_##R(((RESULT_##R(*)(TYPE_##A, TYPE_##B))symbol)(ARG(A, 0), ARG(B, 1)));   \
    }
#define DEFINE_ALL(R) DEFINE_0(R) EACH_1(DEFINE_1, R) EACH_2(DEFINE_2, R)

EACH_RESULT(DEFINE_ALL)

#define ROW_0(R) {#R "()", call_##R##_},
#define ROW_1(R, A) {#R "(" #A ")", call_##R##_##A},
#define ROW_2(R, A, B) {#R "(" #A #B ")", call_##R##_##A##B},
#define ROW_ALL(R) ROW_0(R) EACH_1(ROW_1, R) EACH_2(ROW_2, R)

static const struct {
    char text[6];
    faasi_sig_direct *call;
} rows[] = {EACH_RESULT(ROW_ALL)};

faasi_sig_direct *faasi_sig_direct_find(const char *text)
{
    for (size_t i = 0; i < FAASI_COUNT(rows); i++)
        if (strcmp(rows[i].text, text) == 0)
            return rows[i].call;
    return NULL;
}
