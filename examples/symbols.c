/* SPDX-License-Identifier: MIT */
/* symbols.c - C functions that know nothing of libfaas, as functions: from an address and
 * from a shared object, with doubles, strings and a struct by value. */
#include <faas/faas.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void check(faas_status status, const char *what)
{
    if (status == FAAS_OK)
        return;
    fprintf(stderr, "symbols: %s: %s: %s\n", what, faas_status_text(status),
            faas_error_text());
    exit(1);
}

static void expect(bool so, const char *what)
{
    if (so)
        return;
    fprintf(stderr, "symbols: %s is not so\n", what);
    exit(1);
}

int main(void)
{
    faas_runtime *rt;
    faas_fn fn;
    faas_value args[2], answer;
    faas_result *out;
    faas_status status;
    div_t quotient;
    double packed[2] = {5, 12}, length;

    check(faas_runtime_open(&rt, NULL), "runtime");

    /* From an address: double hypot(double, double). */
    check(faas_symbol_register(rt, "hypot", "d(dd)", (void (*)(void))hypot, NULL, &fn),
          "hypot");
    args[0] = faas_f64(3);
    args[1] = faas_f64(4);
    check(faas_call(rt, fn, args, 2, 0, &answer), "hypot");
    printf("hypot(3, 4) = %g\n", answer.as.f64);
    expect(answer.as.f64 == 5, "hypot(3, 4) = 5");

    /* The same with all arguments in one block, as a C struct of them: for callers who
     * have bytes rather than values. The answer is the packed result. */
    check(faas_invoke(rt, fn, faas_bytes_of(packed, sizeof packed), 0, &out), "hypot");
    expect(faas_result_bytes(out).size == sizeof length, "the answer is a double");
    memcpy(&length, faas_result_bytes(out).data, sizeof length);
    faas_result_release(out);
    printf("hypot(5, 12) = %g, from a packed block\n", length);
    expect(length == 13, "hypot(5, 12) = 13");

    /* What does not fit the signature is refused; hypot is not called. */
    status = faas_call(rt, fn, args, 1, 0, &answer);
    printf("hypot(3): %s\n", faas_error_text());
    expect(status == FAAS_ETYPE, "one argument is refused");
    args[1] = faas_i32(4);
    status = faas_call(rt, fn, args, 2, 0, &answer);
    printf("hypot(3, an int): %s\n", faas_error_text());
    expect(status == FAAS_ETYPE, "an int is refused");

    /* From a shared object, which is closed again when its last function is gone. The
     * policy is that of any function: this one may run twice at a time. */
    check(faas_symbol_load(rt, "cbrt", "d(d)", "libm.so.6", "cbrt",
                           FAAS_FUNCTION(.concurrency = 2), &fn),
          "cbrt");
    args[0] = faas_f64(27);
    check(faas_call(rt, fn, args, 1, 0, &answer), "cbrt");
    printf("cbrt(27) = %g\n", answer.as.f64);
    expect(fabs(answer.as.f64 - 3) < 1e-12, "cbrt(27) = 3");
    check(faas_function_unregister(rt, fn), "unregister");

    /* size_t strlen(const char *), from the program itself and what it is linked with. */
    check(faas_symbol_load(rt, "strlen", "L(z)", NULL, "strlen", NULL, &fn), "strlen");
    args[0] = faas_string("function");
    check(faas_call(rt, fn, args, 1, 0, &answer), "strlen");
    printf("strlen(\"function\") = %llu\n", (unsigned long long)answer.as.u64);
    expect(answer.as.u64 == 8, "strlen(\"function\") = 8");

    /* div_t div(int, int) returns a struct of two ints by value; it is written to where
     * the answer says. */
    check(faas_symbol_register(rt, "div", "{ii}(ii)", (void (*)(void))div, NULL, &fn),
          "div");
    args[0] = faas_i32(100);
    args[1] = faas_i32(7);
    answer = faas_struct(&quotient, sizeof quotient);
    check(faas_call(rt, fn, args, 2, 0, &answer), "div");
    printf("div(100, 7) = %d, remainder %d\n", quotient.quot, quotient.rem);
    expect(quotient.quot == 14 && quotient.rem == 2, "100 = 14 * 7 + 2");

    /* A signature is checked when the symbol is registered. */
    status = faas_symbol_register(rt, "wrong", "d(dq)", (void (*)(void))hypot, NULL, &fn);
    printf("\"d(dq)\": %s\n", faas_error_text());
    expect(status == FAAS_ESYNTAX, "q is refused");
    status = faas_symbol_load(rt, "wrong", "d(d)", "libm.so.6", "cube_root", NULL, &fn);
    printf("cube_root: %s\n", faas_error_text());
    expect(status == FAAS_ELOAD, "libm has no cube_root");

    check(faas_runtime_close(rt), "close");
    return 0;
}
