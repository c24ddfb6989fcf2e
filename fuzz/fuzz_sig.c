/* SPDX-License-Identifier: MIT */
/* Signature parser: any bytes are refused at a position inside them, or come back from
 * print unchanged and make calls, of both ways, that write the result and nothing else.
 */
#include "fuzz.h"

#include "core/sig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRUCT_MAX ((size_t)16 * FAAS_SIGNATURE_MEMBERS_MAX)
#define BLOCK_MAX (STRUCT_MAX + (size_t)16 * FAAS_SIGNATURE_ARGS_MAX)

static size_t live_bytes;

static void *counted_alloc(size_t size, void *user)
{
    (void)user;
    live_bytes += size;
    return malloc(size);
}

static void counted_free(void *memory, size_t size, void *user)
{
    (void)user;
    live_bytes -= size;
    free(memory);
}

static const faas_allocator alloc = {counted_alloc, counted_free, NULL};

/* Takes nothing and returns nothing, which the calling conventions forgive: the caller
 * clears the stack, and a result is whatever the registers hold. */
static unsigned call_count;

static void callee(void)
{
    call_count++;
}

/* The position in the error text, which must be there and not lie behind the end. */
static size_t refused_at(size_t size)
{
    size_t at;

    REQUIRE(sscanf(faas_error_text(), "signature at byte %zu: ", &at) == 1);
    REQUIRE(at <= size);
    return at;
}

static void layout_compare(const struct faasi_sig *sig, const faas_layout *layout)
{
    size_t end = 0;

    REQUIRE(layout->size == sig->block_size && layout->size <= BLOCK_MAX);
    REQUIRE(layout->align == sig->block_align);
    REQUIRE(layout->result_size == sig->result.size);
    REQUIRE((unsigned)layout->result_type == sig->result.type);
    REQUIRE(layout->arg_count == sig->arg_count);
    for (unsigned i = 0; i < layout->arg_count; i++) {
        REQUIRE(layout->args[i].offset >= end);
        REQUIRE(layout->args[i].offset % sig->args[i].align == 0);
        REQUIRE(layout->args[i].size == sig->args[i].size && layout->args[i].size > 0);
        end = layout->args[i].offset + layout->args[i].size;
    }
    REQUIRE(end <= layout->size);
}

static void calls_try(const struct faasi_sig *sig)
{
    static const _Alignas(16) char block[BLOCK_MAX];
    _Alignas(16) unsigned char space[STRUCT_MAX + 16];
    faas_value args[FAAS_SIGNATURE_ARGS_MAX] = {{FAAS_TYPE_VOID, {0}}};
    faas_value result = {FAAS_TYPE_VOID, {0}};
    unsigned before = call_count;

    memset(space, 0xa5, sizeof space);
    REQUIRE(faasi_sig_check_packed(sig, block, sig->block_size, space,
                                   sig->result.size) == FAAS_OK);
    faasi_sig_call_packed(sig, callee, block, space);
    for (unsigned i = 0; i < sig->arg_count; i++) {
        args[i].type = (faas_type)sig->args[i].type;
        if (sig->args[i].type == FAAS_TYPE_STRUCT)
            args[i] = faas_struct(block, sig->args[i].size);
    }
    if (sig->result.type == FAAS_TYPE_STRUCT)
        result = faas_struct(space, sig->result.size);
    REQUIRE(faasi_sig_check_values(sig, args, sig->arg_count) == FAAS_OK);
    REQUIRE(faasi_sig_check_result(sig, &result) == FAAS_OK);
    faasi_sig_call_values(sig, callee, args, &result);
    REQUIRE((unsigned)result.type == sig->result.type);
    for (size_t i = sig->result.size; i < sizeof space; i++)
        REQUIRE(space[i] == 0xa5);
    REQUIRE(call_count == before + 2);

    REQUIRE(faasi_sig_check_values(sig, args, sig->arg_count + 1U) == FAAS_ETYPE);
    if (sig->arg_count > 0) {
        args[sig->arg_count - 1].type = FAAS_TYPE_VOID;
        REQUIRE(faasi_sig_check_values(sig, args, sig->arg_count) == FAAS_ETYPE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct faasi_sig sig;
    faas_layout layout;
    char text[FAAS_SIGNATURE_TEXT_MAX + 1];

    if (faasi_sig_parse(&sig, (const char *)data, size, &alloc) != FAAS_OK) {
        refused_at(size);
        REQUIRE(sig.plan == NULL && sig.arg_count == 0 && live_bytes == 0);
        return 0;
    }
    REQUIRE(size < sizeof text);
    REQUIRE(faasi_sig_print(&sig, text) == size && text[size] == '\0');
    REQUIRE(memcmp(text, data, size) == 0); // the text is canonical
    REQUIRE(faas_signature_layout(text, &layout) == FAAS_OK);
    layout_compare(&sig, &layout);
    calls_try(&sig);
    faasi_sig_fini(&sig);
    REQUIRE(live_bytes == 0);

    /* No signature is the beginning of another. */
    REQUIRE(faasi_sig_parse(&sig, text, size - 1, &alloc) == FAAS_ESYNTAX);
    REQUIRE(refused_at(size) == size - 1);
    return 0;
}
