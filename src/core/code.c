/* SPDX-License-Identifier: MIT */
/* code.c - what a function runs, shared with its versions.
 *
 * Layer: 2 parts. */
#include "gate.h"

#include "mem.h"

#include <dlfcn.h>

void faasi_code_release(struct faasi_code *code)
{
    if (!faasi_unref(&code->refs))
        return;
    if (code->symbol != NULL) {
        faasi_sig_fini(&code->symbol->sig);
        if (code->symbol->library != NULL)
            (void)dlclose(code->symbol->library);
        faasi_free(code->allocator, code->symbol, sizeof *code->symbol);
    }
    if (code->user_free != NULL)
        code->user_free(code->user);
    faasi_free(code->allocator, code, sizeof *code);
}
