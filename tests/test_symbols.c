/* SPDX-License-Identifier: MIT */
/* test_symbols.c - C symbols are functions like any other, and shared objects are closed
 * with the last function from them. What signatures mean, test_sig.c proves. */
#include "runtime_support.h"

#include <dlfcn.h>
#include <math.h>

#define SYMBOL(function) ((void (*)(void))(function))

/* In every glibc, and nobody else loads it. */
#define STRANGER "libBrokenLocale.so.1"
#define STRANGER_SYMBOL "__ctype_get_mb_cur_max"
#define STRANGER_SIGNATURE "L()"

static bool is_loaded(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);

    if (library == NULL)
        return false;
    ck_assert_int_eq(dlclose(library), 0);
    return true;
}

static faas_fn symbol_of(const char *name, const char *signature, void (*symbol)(void))
{
    faas_fn fn;

    ck_assert_ok(faas_symbol_register(w.rt, name, signature, symbol, NULL, &fn));
    return fn;
}

static faas_fn loaded(const char *name, const char *signature, const char *path,
                      const char *symbol)
{
    faas_fn fn;

    ck_assert_ok(faas_symbol_load(w.rt, name, signature, path, symbol, NULL, &fn));
    return fn;
}

/* ---- calling ---- */

static atomic_uint calls;

static double weigh(int8_t a, const void *data, size_t size, double c)
{
    double sum = a;

    atomic_fetch_add(&calls, 1);
    for (size_t i = 0; i < size; i++)
        sum += ((const unsigned char *)data)[i];
    return sum * c;
}

struct point {
    float x, y;
};

static struct point turn(struct point p)
{
    struct point out = {-p.y, p.x};

    atomic_fetch_add(&calls, 1);
    return out;
}

static void nothing(void)
{
    atomic_fetch_add(&calls, 1);
}

START_TEST(values_and_a_packed_block_give_the_same_result)
{
    struct {
        int8_t a;
        faas_bytes b;
        double c;
    } block = {3, {"\x01\x02\x04", 3}, 1.5};
    faas_value args[3] = {faas_i8(3), faas_data("\x01\x02\x04", 3), faas_f64(1.5)};
    faas_value answer;
    faas_result *result;
    double out;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = symbol_of("weigh", "d(cyd)", SYMBOL(weigh));
    for (int i = 0; i < 3; i++) {
        ck_assert_ok(faas_call(w.rt, fn, args, 3, 0, &answer));
        ck_assert_int_eq(answer.type, FAAS_TYPE_F64);
        ck_assert_double_eq(answer.as.f64, 15);
        ck_assert_ok(
            faas_invoke(w.rt, fn, faas_bytes_of(&block, sizeof block), 0, &result));
        ck_assert_uint_eq(faas_result_bytes(result).size, sizeof out);
        memcpy(&out, faas_result_bytes(result).data, sizeof out);
        ck_assert_double_eq(out, 15);
        faas_result_release(result);
        ck_assert_ok(faas_invoke(w.rt, fn, faas_bytes_of(&block, sizeof block), 0, NULL));
    }
    ck_assert_uint_eq(stats_of(fn).invocations, 9);
    ck_assert_uint_eq(stats_of(fn).cold_starts, 1);
    CLOSE();
}
END_TEST

START_TEST(structs_and_nothing_come_back_too)
{
    struct point p = {1, 2}, out = {0, 0};
    faas_value arg = faas_struct(&p, sizeof p), answer = faas_struct(&out, sizeof out);
    faas_result *result;
    faas_fn fn;

    OPEN_DEFAULT();
    fn = symbol_of("turn", "{ff}({ff})", SYMBOL(turn));
    ck_assert_ok(faas_call(w.rt, fn, &arg, 1, 0, &answer));
    ck_assert(out.x == -2 && out.y == 1);
    ck_assert_ok(faas_invoke(w.rt, fn, faas_bytes_of(&p, sizeof p), 0, &result));
    ck_assert_uint_eq(faas_result_bytes(result).size, sizeof out);
    ck_assert_mem_eq(faas_result_bytes(result).data, &out, sizeof out);
    faas_result_release(result);

    fn = symbol_of("nothing", "v()", SYMBOL(nothing));
    ck_assert_ok(faas_call(w.rt, fn, NULL, 0, 0, NULL));
    ck_assert_ok(faas_invoke(w.rt, fn, faas_str(NULL), 0, &result));
    ck_assert_uint_eq(faas_result_bytes(result).size, 0);
    faas_result_release(result);
    ck_assert_uint_eq(atomic_load(&calls), 4);
    CLOSE();
}
END_TEST

START_TEST(arguments_that_do_not_fit_are_refused_before_the_call)
{
    struct point p = {1, 2};
    faas_value good[3] = {faas_i8(3), faas_data("x", 1), faas_f64(1.5)}, bad[3];
    _Alignas(8) char block[64] = {0};
    faas_value answer;
    faas_fn fn, turned, handler;

    OPEN_DEFAULT();
    fn = symbol_of("weigh", "d(cyd)", SYMBOL(weigh));
    turned = symbol_of("turn", "{ff}({ff})", SYMBOL(turn));
    handler = function_of(FAAS_FUNCTION(.name = "handler", .handler = answers));
    for (int warm = 0; warm < 2; warm++) {
        ck_assert_status(faas_call(w.rt, fn, good, 2, 0, &answer), FAAS_ETYPE);
        ck_assert_status(faas_call(w.rt, fn, NULL, 0, 0, &answer), FAAS_ETYPE);
        for (int i = 0; i < 3; i++) {
            memcpy(bad, good, sizeof bad);
            bad[i] = faas_u64(1);
            ck_assert_status(faas_call(w.rt, fn, bad, 3, 0, &answer), FAAS_ETYPE);
            ck_assert_uint_gt(strlen(faas_error_text()), 0);
        }
        bad[0] = faas_struct(&p, sizeof p - 1);
        answer = faas_struct(&p, sizeof p);
        ck_assert_status(faas_call(w.rt, turned, bad, 1, 0, &answer), FAAS_ETYPE);
        bad[0] = faas_struct(&p, sizeof p);
        answer = faas_struct(&p, sizeof p + 1);
        ck_assert_status(faas_call(w.rt, turned, bad, 1, 0, &answer), FAAS_ETYPE);
        for (size_t size = 0; size < sizeof block; size++)
            if (size != 32)
                ck_assert_status(
                    faas_invoke(w.rt, fn, faas_bytes_of(block, size), 0, NULL),
                    FAAS_ETYPE);
        /* One that is not aligned, and none. */
        ck_assert_int_eq(faas_status_group(faas_invoke(
                             w.rt, fn, faas_bytes_of(block + 1, 32), 0, NULL)),
                         FAAS_GROUP_WRONG);
        ck_assert_int_eq(
            faas_status_group(faas_invoke(w.rt, fn, faas_bytes_of(NULL, 32), 0, NULL)),
            FAAS_GROUP_WRONG);
        ck_assert_status(faas_call(w.rt, handler, NULL, 0, 0, NULL), FAAS_ETYPE);
        ck_assert_uint_eq(atomic_load(&calls), (unsigned)warm);
        ck_assert_uint_eq(stats_of(fn).invocations, (unsigned)warm);
        ck_assert_uint_eq(stats_of(fn).concurrency, 0);
        if (warm == 0)
            ck_assert_ok(faas_call(w.rt, fn, good, 3, 0, &answer));
        ck_assert_ok(call(handler));
    }
    CLOSE();
}
END_TEST

START_TEST(a_symbol_has_the_policy_of_any_function)
{
    faas_value answer;
    struct lent {
        faas_result *result;
    } lent;
    faas_fn fn, version, alias;
    faas_share one = {1, 1};

    OPEN_DEFAULT();
    ck_assert_ok(faas_symbol_register(w.rt, "sqrt", "d(d)", SYMBOL(sqrt),
                                      FAAS_FUNCTION(.concurrency = 1, .timeout_ns = SEC),
                                      &fn));
    ck_assert_ok(faas_call(w.rt, fn, (faas_value[]){faas_f64(81)}, 1, 0, &answer));
    ck_assert_double_eq(answer.as.f64, 9);
    /* Versions and aliases of it are symbols as well. */
    ck_assert_ok(faas_function_publish(w.rt, fn, NULL, &version));
    ck_assert_ok(faas_alias_put(w.rt, fn, "live", &one, 1, &alias));
    ck_assert_ok(faas_call(w.rt, version, (faas_value[]){faas_f64(4)}, 1, 0, &answer));
    ck_assert_double_eq(answer.as.f64, 2);
    ck_assert_ok(faas_call(w.rt, alias, (faas_value[]){faas_f64(16)}, 1, 0, &answer));
    ck_assert_double_eq(answer.as.f64, 4);
    /* An answer outlives the runtime, as every result. */
    ck_assert_ok(faas_invoke(w.rt, fn, faas_bytes_of(&(double){49}, 8), 0, &lent.result));
    ck_assert_ok(faas_function_update(w.rt, fn, FAAS_FUNCTION(.concurrency = FAAS_OFF)));
    ck_assert_status(faas_call(w.rt, fn, (faas_value[]){faas_f64(1)}, 1, 0, &answer),
                     FAAS_EBUSY);
    ck_assert_ok(faas_function_replace(w.rt, fn, FAAS_FUNCTION(.handler = answers)));
    ck_assert_ok(call(fn));
    ck_assert_status(faas_call(w.rt, fn, NULL, 0, 0, NULL), FAAS_ETYPE);
    ck_assert_ok(faas_call(w.rt, alias, (faas_value[]){faas_f64(25)}, 1, 0, &answer));
    ck_assert_double_eq(answer.as.f64, 5);
    ck_assert_double_eq(*(const double *)faas_result_bytes(lent.result).data, 7);
    faas_result_release(lent.result);
    CLOSE();
}
END_TEST

START_TEST(a_result_past_the_heaps_limit_is_the_symbols_failure)
{
    faas_result *result;
    faas_fn fn;

    OPEN_DEFAULT();
    ck_assert_ok(faas_symbol_register(w.rt, "sqrt", "d(d)", SYMBOL(sqrt),
                                      FAAS_FUNCTION(.heap_bytes = 1), &fn));
    ck_assert_status(faas_invoke(w.rt, fn, faas_bytes_of(&(double){4}, 8), 0, &result),
                     FAAS_EHANDLER);
    ck_assert_int_eq(faas_result_code(result), FAAS_ENOMEM);
    faas_result_release(result);
    CLOSE();
}
END_TEST

static void spends(uint64_t ns)
{
    pass_ns(ns);
}

START_TEST(a_symbol_that_is_late_timed_out)
{
    faas_fn fn;

    OPEN_DEFAULT();
    fn = symbol_of("spends", "v(L)", SYMBOL(spends));
    ck_assert_ok(faas_call(w.rt, fn, (faas_value[]){faas_u64(MS)}, 1, MS, NULL));
    ck_assert_status(faas_call(w.rt, fn, (faas_value[]){faas_u64(MS + 1)}, 1, MS, NULL),
                     FAAS_ETIMEDOUT);
    ck_assert_uint_eq(stats_of(fn).timeouts, 1);
    ck_assert_uint_eq(stats_of(fn).run_ns, 2 * MS + 1);
    CLOSE();
}
END_TEST

/* ---- registering ---- */

static unsigned frees;

static void counts_free(void *user)
{
    (void)user;
    frees++;
}

#define FREED .user = &frees, .user_free = counts_free

START_TEST(a_signature_cut_anywhere_is_refused_with_the_position)
{
    static const char whole[] = "{if{cc}}(bcCsSiIlLfdpzy{d{ll}})";
    char cut[sizeof whole], where[16];
    faas_fn fn;

    OPEN_DEFAULT();
    for (size_t size = 0; size < sizeof whole - 1; size++) {
        memcpy(cut, whole, size);
        cut[size] = '\0';
        fn = (faas_fn){1, 1, 1};
        frees = 0;
        ck_assert_status(faas_symbol_register(w.rt, "s", cut, SYMBOL(nothing),
                                              FAAS_FUNCTION(FREED), &fn),
                         FAAS_ESYNTAX);
        ck_assert(no_fn(fn));
        ck_assert_uint_eq(frees, 1);
        snprintf(where, sizeof where, "byte %zu", size);
        ck_assert_msg(strstr(faas_error_text(), where) != NULL, "cut at %zu: %s", size,
                      faas_error_text());
    }
    ck_assert_ok(
        faas_symbol_register(w.rt, "s", whole, SYMBOL(nothing), NULL, &fn)); // free still
    CLOSE();
}
END_TEST

START_TEST(what_is_no_symbol_is_refused_and_its_user_freed)
{
    static const struct {
        const char *name, *signature;
        void (*symbol)(void);
        faas_function policy;
        faas_status status;
    } rows[] = {
        {"s", "v()", NULL, {.size = sizeof(faas_function), FREED}, FAAS_EINVAL},
        {NULL, "v()", nothing, {.size = sizeof(faas_function), FREED}, FAAS_EINVAL},
        {"", "v()", nothing, {.size = sizeof(faas_function), FREED}, FAAS_EINVAL},
        {"\xff", "v()", nothing, {.size = sizeof(faas_function), FREED}, FAAS_EINVAL},
        {"taken", "v()", nothing, {.size = sizeof(faas_function), FREED}, FAAS_EEXIST},
        {"s", "w()", nothing, {.size = sizeof(faas_function), FREED}, FAAS_ESYNTAX},
        {"s", "v() ", nothing, {.size = sizeof(faas_function), FREED}, FAAS_ESYNTAX},
        {"s",
         "v()",
         nothing,
         {.size = sizeof(faas_function), .name = "s", FREED},
         FAAS_EINVAL},
        {"s",
         "v()",
         nothing,
         {.size = sizeof(faas_function), .handler = answers, FREED},
         FAAS_EINVAL},
        {"s",
         "v()",
         nothing,
         {.size = sizeof(faas_function), .concurrency = 2000000, FREED},
         FAAS_EINVAL},
    };
    faas_function unset = {.size = 0};
    faas_fn fn;

    OPEN_DEFAULT();
    (void)function_of(FAAS_FUNCTION(.name = "taken", .handler = answers));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        frees = 0;
        fn = (faas_fn){1, 1, 1};
        ck_assert_status(faas_symbol_register(w.rt, rows[i].name, rows[i].signature,
                                              rows[i].symbol, &rows[i].policy, &fn),
                         rows[i].status);
        ck_assert_uint_gt(strlen(faas_error_text()), 0);
        ck_assert_uint_eq(frees, 1);
        ck_assert(no_fn(fn));
        if (rows[i].symbol == NULL)
            continue;
        ck_assert_status(faas_symbol_load(w.rt, rows[i].name, rows[i].signature, STRANGER,
                                          STRANGER_SYMBOL, &rows[i].policy, &fn),
                         rows[i].status);
        ck_assert_uint_eq(frees, 2);
        ck_assert(!is_loaded(STRANGER)); // what it opened it has closed
    }
    ck_assert_status(faas_symbol_register(w.rt, "s", "v()", SYMBOL(nothing), &unset, &fn),
                     FAAS_EINVAL);
    ck_assert_status(faas_symbol_load(w.rt, "s", STRANGER_SIGNATURE, STRANGER,
                                      STRANGER_SYMBOL, &unset, &fn),
                     FAAS_EINVAL);
    ck_assert(!is_loaded(STRANGER));
    CLOSE();
}
END_TEST

/* ---- shared objects ---- */

START_TEST(an_object_or_symbol_that_is_missing_is_told_in_the_loaders_words)
{
    faas_fn fn = {1, 1, 1};

    OPEN_DEFAULT();
    frees = 0;
    ck_assert_status(faas_symbol_load(w.rt, "s", "d(d)", "libnot-there.so.9", "sqrt",
                                      FAAS_FUNCTION(FREED), &fn),
                     FAAS_ELOAD);
    ck_assert(no_fn(fn));
    ck_assert_uint_eq(frees, 1);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "libnot-there.so.9"));
    ck_assert_status(
        faas_symbol_load(w.rt, "s", "d(d)", "/etc/passwd", "sqrt", NULL, &fn),
        FAAS_ELOAD);
    ck_assert_status(faas_symbol_load(w.rt, "s", "d(d)", STRANGER, "not_in_there",
                                      FAAS_FUNCTION(FREED), &fn),
                     FAAS_ELOAD);
    ck_assert(no_fn(fn));
    ck_assert_uint_eq(frees, 2);
    ck_assert_ptr_nonnull(strstr(faas_error_text(), "not_in_there"));
    ck_assert(!is_loaded(STRANGER));
    ck_assert_status(faas_symbol_load(w.rt, "s", "d(d)", NULL, "not_in_there", NULL, &fn),
                     FAAS_ELOAD);
    ck_assert_status(faas_symbol_load(w.rt, "s", "d(d)", "", "not_in_there", NULL, &fn),
                     FAAS_ELOAD);
    CLOSE();
}
END_TEST

START_TEST(symbols_come_from_objects_and_from_the_program)
{
    faas_value args[2] = {faas_f64(3), faas_f64(4)}, answer;
    faas_value text = faas_string("four");
    faas_fn fn;

    OPEN_DEFAULT();
    fn = loaded("hypot", "d(dd)", "libm.so.6", "hypot");
    ck_assert_ok(faas_call(w.rt, fn, args, 2, 0, &answer));
    ck_assert_double_eq(answer.as.f64, 5);
    fn = loaded("strlen", "L(z)", NULL, "strlen");
    ck_assert_ok(faas_call(w.rt, fn, &text, 1, 0, &answer));
    ck_assert_uint_eq(answer.as.u64, 4);
    CLOSE();
}
END_TEST

START_TEST(an_object_is_closed_when_its_last_function_is_gone)
{
    faas_value answer;
    faas_fn a, b, version;

    ck_assert(!is_loaded(STRANGER));
    OPEN_DEFAULT();
    a = loaded("a", STRANGER_SIGNATURE, STRANGER, STRANGER_SYMBOL);
    b = loaded("b", STRANGER_SIGNATURE, STRANGER, STRANGER_SYMBOL);
    ck_assert_ok(faas_function_publish(w.rt, b, NULL, &version));
    ck_assert(is_loaded(STRANGER));
    ck_assert_ok(faas_call(w.rt, a, NULL, 0, 0, &answer));
    ck_assert_uint_eq(answer.as.u64, 1);
    ck_assert_ok(faas_function_unregister(w.rt, a));
    ck_assert(is_loaded(STRANGER));
    ck_assert_ok(faas_function_replace(w.rt, b, FAAS_FUNCTION(.handler = answers)));
    ck_assert(is_loaded(STRANGER));
    ck_assert_ok(faas_call(w.rt, version, NULL, 0, 0, &answer));
    ck_assert_uint_eq(answer.as.u64, 1);
    ck_assert_ok(faas_function_unregister(w.rt, version));
    ck_assert(!is_loaded(STRANGER));
    (void)loaded("c", STRANGER_SIGNATURE, STRANGER, STRANGER_SYMBOL);
    ck_assert(is_loaded(STRANGER));
    CLOSE();
    ck_assert(!is_loaded(STRANGER));
}
END_TEST

/* ---- from threads ---- */

static faas_fn shared_fn;

static void *calls_often(void *user)
{
    unsigned seed = *(unsigned *)user;

    for (unsigned i = 0; i < 3000; i++) {
        faas_value args[3] = {faas_i8((int8_t)(seed % 100)), faas_data(&i, 1),
                              faas_f64(i)},
                   answer;

        if (faas_call(w.rt, shared_fn, args, 3, 0, &answer) != FAAS_OK ||
            answer.as.f64 != ((int)(seed % 100) + (int)(i & 0xff)) * (double)i)
            abort();
    }
    return NULL;
}

START_TEST(threads_call_one_symbol_at_once)
{
    pthread_t threads[4];
    unsigned seeds[4] = {1, 22, 33, 99};

    OPEN_DEFAULT();
    shared_fn = symbol_of("weigh", "d(cyd)", SYMBOL(weigh));
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, calls_often, &seeds[i]), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_uint_eq(stats_of(shared_fn).invocations, 12000);
    CLOSE();
}
END_TEST

SUITE_MAIN("symbols", values_and_a_packed_block_give_the_same_result,
           structs_and_nothing_come_back_too,
           arguments_that_do_not_fit_are_refused_before_the_call,
           a_symbol_has_the_policy_of_any_function,
           a_result_past_the_heaps_limit_is_the_symbols_failure,
           a_symbol_that_is_late_timed_out,
           a_signature_cut_anywhere_is_refused_with_the_position,
           what_is_no_symbol_is_refused_and_its_user_freed,
           an_object_or_symbol_that_is_missing_is_told_in_the_loaders_words,
           symbols_come_from_objects_and_from_the_program,
           an_object_is_closed_when_its_last_function_is_gone,
           threads_call_one_symbol_at_once)
