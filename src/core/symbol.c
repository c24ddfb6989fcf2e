/* SPDX-License-Identifier: MIT */
/* symbol.c - C symbols as functions: registering them, and the handler that calls them.
 *
 * Layer: 3 path. */
#include "functions.h"

#include "mem.h"

#include <dlfcn.h>

/* The handler of every symbol. The arguments were checked when the call had its seat. */
static int symbol_handler(faas_context *ctx, faas_bytes input)
{
    const struct faasi_symbol *symbol = ctx->function->code->symbol;
    void *result = NULL;

    if (ctx->request->typed) {
        faasi_sig_call_values(&symbol->sig, symbol->address, ctx->request->values,
                              ctx->request->answer);
        return 0;
    }
    if (symbol->sig.result.size != 0) {
        result = faasi_heap_alloc(ctx->heap, symbol->sig.result.size);
        if (result == NULL)
            return FAAS_ENOMEM;
    }
    faasi_sig_call_packed(&symbol->sig, symbol->address, input.data, result);
    return faas_reply_as_is(ctx, faas_bytes_of(result, symbol->sig.result.size));
}

/* What is wrong with a policy for a symbol, if anything. */
static faas_status symbol_check(const faas_function *known, void (*address)(void))
{
    if (address == NULL)
        return faasi_fail(FAAS_EINVAL, "symbol: it is NULL");
    if (known->name != NULL || known->handler != NULL || known->init != NULL ||
        known->close != NULL || known->batch != NULL)
        return faasi_fail(FAAS_EINVAL,
                          "policy: a symbol has no other name, handler or hook");
    if (known->cache_bytes != 0 || known->cache_mode != 0)
        return faasi_fail(FAAS_EINVAL, "policy: a symbol's answers are not remembered: "
                                       "its arguments may point to what they mean");
    return FAAS_OK;
}

/* Makes a code a symbol's. On failure the code may have one without a signature. */
static faas_status symbol_open(struct faasi_code *code, const char *signature,
                               void (*address)(void), void *library)
{
    code->symbol = faasi_alloc_zeroed(code->allocator, sizeof *code->symbol);
    if (code->symbol == NULL) {
        if (library != NULL)
            (void)dlclose(library);
        return faasi_fail(FAAS_ENOMEM, "symbol: no memory");
    }
    code->symbol->library = library;
    code->symbol->address = address;
    code->handler = symbol_handler;
    return faasi_sig_parse(&code->symbol->sig, signature, strlen(signature),
                           code->allocator);
}

static faas_status symbol_register(faas_runtime *rt, const char *name,
                                   const char *signature, void (*address)(void),
                                   void *library, const faas_function *policy,
                                   faas_fn *fn)
{
    static const faas_fn none;
    faas_function known;
    struct faasi_code *code;
    faas_status status;

    if (fn != NULL)
        *fn = none;
    status = faasi_code_import(rt, policy, &known, &code);
    if (status != FAAS_OK) {
        if (library != NULL)
            (void)dlclose(library);
        return status;
    }
    status = symbol_open(code, signature, address, library);
    if (status == FAAS_OK)
        status = symbol_check(&known, address);
    if (status == FAAS_OK) {
        known.name = name;
        status = faasi_function_register(rt, &known, code, fn);
    } else {
        faasi_code_release(code);
    }
    faasi_unvisit(rt);
    return status;
}

faas_status faas_symbol_register(faas_runtime *rt, const char *name,
                                 const char *signature, void (*symbol)(void),
                                 const faas_function *policy, faas_fn *fn)
{
    return symbol_register(rt, name, signature, symbol, NULL, policy, fn);
}

faas_status faas_symbol_load(faas_runtime *rt, const char *name, const char *signature,
                             const char *path, const char *symbol,
                             const faas_function *policy, faas_fn *fn)
{
    static const faas_fn none;
    void (*address)(void) = NULL;
    const char *why;
    void *library, *found;

    if (fn != NULL)
        *fn = none;
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    found = library == NULL ? NULL : dlsym(library, symbol);
    if (found != NULL) {
        memcpy(&address, &found, sizeof address); // POSIX lets a void * hold it
        return symbol_register(rt, name, signature, address, library, policy, fn);
    }
    why = dlerror();
    (void)faasi_fail(FAAS_ELOAD, "%s", why == NULL ? "the symbol is at NULL" : why);
    if (library != NULL)
        (void)dlclose(library);
    faasi_function_refuse(policy);
    return FAAS_ELOAD;
}
