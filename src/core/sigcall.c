/* SPDX-License-Identifier: MIT */
/* sigcall.c - a shape made ready for libffi, values checked against it, and the call. */
#include "sig.h"
#include "mem.h"

#include <ffi.h>
#include <stdio.h>
#include <string.h>

/* Bytes are two arguments of the C function. */
#define SLOTS_MAX (2 * FAAS_SIGNATURE_ARGS_MAX)

#if defined(__x86_64__) && defined(__LP64__)
#define SYSV_X86_64 1
#else
#define SYSV_X86_64 0
#endif

/* Where one argument of the C function comes from. */
struct slot {
    uint16_t value_at; /* in the array of values */
    uint16_t block_at; /* in the packed block */
    uint8_t through;   /* 1: what lies at `value_at` is the address of the struct, ... */
    uint8_t past;      /* ... and the argument is this many bytes into it */
};

/* What a call reads, then what only libffi reads, in one block. */
struct faasi_sig_plan {
    ffi_cif cif;
    uint8_t slot_count;
    faasi_sig_direct *direct; /* instead of libffi, or NULL */
    uint8_t result_narrow;    /* libffi returns it in a whole word */
    struct slot slots[];
    /* Then: the ffi_types of structs, pointers to types, faasi_sig_args, the text. */
};

/* The parts of a plan while it is filled. */
struct builder {
    const struct faasi_sig_node *nodes;
    struct faasi_sig_plan *plan;
    ffi_type **slot_types;
    ffi_type *structs;        /* the next free one */
    ffi_type **elements;      /* the next free one */
    unsigned general, vector; /* registers not yet taken by arguments */
};

/* libffi fills in a type whose size is 0; this one is shared by all threads, so it is
 * complete and never written. */
static ffi_type *bytes_elements[] = {&ffi_type_pointer, &ffi_type_ulong, NULL};
static ffi_type bytes_type = {sizeof(faas_bytes), _Alignof(faas_bytes), FFI_TYPE_STRUCT,
                              bytes_elements};

_Static_assert(sizeof(size_t) == sizeof(unsigned long), "a size is an unsigned long");
_Static_assert(offsetof(faas_value, as.structure.data) == offsetof(faas_value, as),
               "a slot that goes through a struct's address finds it there");

static ffi_type *scalar_type(unsigned type)
{
    switch (type) {
    case FAAS_TYPE_VOID:
        return &ffi_type_void;
    case FAAS_TYPE_BOOL:
    case FAAS_TYPE_U8:
        return &ffi_type_uint8;
    case FAAS_TYPE_I8:
        return &ffi_type_sint8;
    case FAAS_TYPE_I16:
        return &ffi_type_sint16;
    case FAAS_TYPE_U16:
        return &ffi_type_uint16;
    case FAAS_TYPE_I32:
        return &ffi_type_sint32;
    case FAAS_TYPE_U32:
        return &ffi_type_uint32;
    case FAAS_TYPE_I64:
        return &ffi_type_sint64;
    case FAAS_TYPE_U64:
        return &ffi_type_uint64;
    case FAAS_TYPE_F32:
        return &ffi_type_float;
    case FAAS_TYPE_F64:
        return &ffi_type_double;
    case FAAS_TYPE_BYTES:
        return &bytes_type;
    default:
        return &ffi_type_pointer;
    }
}

/* The libffi type of a node; of a struct with all that is in it. */
static ffi_type *type_build(struct builder *b, unsigned index)
{
    const struct faasi_sig_node *node = &b->nodes[index];
    ffi_type *type;
    ffi_type **elements;

    if (node->type != FAAS_TYPE_STRUCT)
        return scalar_type(node->type);
    type = b->structs++;
    elements = b->elements;
    /* Its own elements stand together, so room is made for them before its members'. */
    for (unsigned i = index + 1; i < node->next; i = b->nodes[i].next)
        b->elements++;
    *b->elements++ = NULL;
    *type = (ffi_type){.type = FFI_TYPE_STRUCT, .elements = elements};
    for (unsigned i = index + 1; i < node->next; i = b->nodes[i].next)
        *elements++ = type_build(b, i);
    return type;
}

static void slot_add(struct builder *b, ffi_type *type, struct slot slot)
{
    b->slot_types[b->plan->slot_count] = type;
    b->plan->slots[b->plan->slot_count++] = slot;
}

/* The halves of a struct of up to 16 bytes that hold more than floats: bit 0 for its
 * first 8 bytes, bit 1 for the others. The x86-64 ABI passes these in general
 * registers. */
static unsigned general_halves(const struct faasi_sig_node *nodes, unsigned index,
                               unsigned offset)
{
    const struct faasi_sig_node *node = &nodes[index];
    unsigned halves = 0;

    if (node->type == FAAS_TYPE_F32 || node->type == FAAS_TYPE_F64)
        return 0;
    if (node->type == FAAS_TYPE_BYTES)
        return 3;
    if (node->type != FAAS_TYPE_STRUCT)
        return 1U << offset / 8;
    for (unsigned i = index + 1; i < node->next; i = nodes[i].next)
        halves |= general_halves(nodes, i, offset + nodes[i].offset);
    return halves;
}

/* Takes the registers of an argument, or none if it does not fit and goes to memory. */
static bool registers_take(struct builder *b, unsigned general, unsigned vector)
{
    if (general > b->general || vector > b->vector)
        return false;
    b->general -= general;
    b->vector -= vector;
    return true;
}

/* libffi before 3.4.7 passes one kind of struct wrongly on x86-64: 9 to 16 bytes,
 * integers first and floats second, when the integers come to lie in the last general
 * register. It copies both halves there and so overwrites the first vector register
 * (libffi issue 574, pull request 848). As two arguments of their own the halves go to
 * the same registers and are right with every version. */
static void struct_add(struct builder *b, unsigned index, struct slot slot)
{
    const struct faasi_sig_node *node = &b->nodes[index];

    if (SYSV_X86_64 && node->size <= 16) {
        unsigned halves = general_halves(b->nodes, index, 0);
        unsigned general = (halves & 1) + (halves >> 1);
        bool last = b->general == 1;

        if (registers_take(b, general, node->size > 8 ? 2 - general : 1 - general) &&
            last && halves == 1 && node->size > 8) {
            slot_add(b, &ffi_type_uint64, slot);
            slot.past = 8;
            slot.block_at = (uint16_t)(slot.block_at + 8);
            slot_add(b, node->size == 12 ? &ffi_type_float : &ffi_type_double, slot);
            return;
        }
    }
    slot_add(b, type_build(b, index), slot);
}

static void argument_add(struct builder *b, unsigned index, unsigned arg)
{
    const struct faasi_sig_node *node = &b->nodes[index];
    size_t value_at = arg * sizeof(faas_value) + offsetof(faas_value, as);
    struct slot slot = {.value_at = (uint16_t)value_at, .block_at = node->offset};

    switch (node->type) {
    case FAAS_TYPE_STRUCT:
        slot.through = 1;
        struct_add(b, index, slot);
        break;
    case FAAS_TYPE_BYTES:
        registers_take(b, 1, 0);
        slot_add(b, &ffi_type_pointer, slot);
        slot.value_at = (uint16_t)(slot.value_at + offsetof(faas_bytes, size));
        slot.block_at = (uint16_t)(slot.block_at + offsetof(faas_bytes, size));
        registers_take(b, 1, 0);
        slot_add(b, &ffi_type_ulong, slot);
        break;
    case FAAS_TYPE_F32:
    case FAAS_TYPE_F64:
        registers_take(b, 0, 1);
        slot_add(b, scalar_type(node->type), slot);
        break;
    default:
        registers_take(b, 1, 0);
        slot_add(b, scalar_type(node->type), slot);
        break;
    }
}

/* Fills the block, whose size was counted from the same shape. */
static faas_status plan_fill(struct faasi_sig *sig, const struct faasi_sig_shape *shape,
                             struct builder *b, struct faasi_sig_arg *args)
{
    const struct faasi_sig_node *nodes = shape->nodes;
    struct faasi_sig_plan *plan = b->plan;
    unsigned index = nodes[0].next;
    ffi_type *result = type_build(b, 0);

    /* A result in memory comes with a hidden first argument: its address. */
    b->general = nodes[0].size > 16 ? 5 : 6;
    b->vector = 8;
    for (unsigned arg = 0; arg < shape->arg_count; arg++, index = nodes[index].next) {
        args[arg] = (struct faasi_sig_arg){nodes[index].type, (uint8_t)nodes[index].align,
                                           nodes[index].size};
        argument_add(b, index, arg);
    }
    plan->direct = faasi_sig_direct_find(sig->text);
    plan->result_narrow = nodes[0].type != FAAS_TYPE_STRUCT && nodes[0].size > 0 &&
                          nodes[0].size < sizeof(ffi_arg);
    if (ffi_prep_cif(&plan->cif, FFI_DEFAULT_ABI, plan->slot_count, result,
                     b->slot_types) != FFI_OK)
        return faasi_fail(FAAS_EINVAL, "libffi refuses the signature %s", sig->text);
    assert(result->type != FFI_TYPE_STRUCT || result->size == nodes[0].size);
    return FAAS_OK;
}

faas_status faasi_sig_parse(struct faasi_sig *sig, const char *text, size_t size,
                            const faas_allocator *alloc)
{
    struct faasi_sig_shape shape;
    struct builder b = {.nodes = shape.nodes};
    size_t slots, structs = 0, elements, head_size, plan_size;
    struct faasi_sig_arg *args;
    faas_status status;

    memset(sig, 0, sizeof *sig);
    status = faasi_sig_read(&shape, text, size);
    if (status != FAAS_OK)
        return status;
    for (unsigned i = 0; i < shape.node_count; i++)
        structs += shape.nodes[i].type == FAAS_TYPE_STRUCT;
    /* Bounds, not counts: two slots per argument; of the nodes those that are members,
     * and a NULL behind those of each struct. */
    slots = (size_t)2 * shape.arg_count;
    elements = structs == 0 ? 0 : shape.node_count + structs;
    head_size = faasi_round_up(offsetof(struct faasi_sig_plan, slots) +
                                   slots * sizeof(struct slot),
                               sizeof(void *));
    plan_size = head_size + structs * sizeof(ffi_type) +
                (slots + elements) * sizeof(ffi_type *) + shape.arg_count * sizeof *args +
                size + 1;

    b.plan = faasi_alloc_zeroed(alloc, plan_size);
    if (b.plan == NULL)
        return faasi_fail(FAAS_ENOMEM, "signature: no %zu bytes", plan_size);
    b.structs = (ffi_type *)(void *)((char *)b.plan + head_size);
    b.slot_types = (ffi_type **)(void *)(b.structs + structs);
    b.elements = b.slot_types + slots;
    args = (struct faasi_sig_arg *)(void *)(b.elements + elements);
    memcpy(args + shape.arg_count, text, size);

    sig->plan = b.plan;
    sig->plan_size = (uint32_t)plan_size;
    sig->alloc = alloc;
    sig->args = args;
    sig->arg_count = shape.arg_count;
    sig->text = (const char *)(args + shape.arg_count);
    sig->result = (struct faasi_sig_arg){
        shape.nodes[0].type, (uint8_t)shape.nodes[0].align, shape.nodes[0].size};
    sig->block_size = shape.size;
    sig->block_align = (uint8_t)shape.align;
    status = plan_fill(sig, &shape, &b, args);
    if (status != FAAS_OK)
        faasi_sig_fini(sig);
    return status;
}

void faasi_sig_fini(struct faasi_sig *sig)
{
    if (sig == NULL || sig->plan == NULL)
        return;
    faasi_free(sig->alloc, sig->plan, sig->plan_size);
    memset(sig, 0, sizeof *sig);
}

size_t faasi_sig_print(const struct faasi_sig *sig,
                       char text[static FAAS_SIGNATURE_TEXT_MAX + 1])
{
    size_t size = strlen(sig->text);

    memcpy(text, sig->text, size + 1);
    return size;
}

static bool aligned(const void *address, size_t align)
{
    return ((uintptr_t)address & (align - 1)) == 0;
}

static faas_status struct_check(const struct faasi_sig *sig, unsigned index,
                                const struct faasi_sig_arg *expected,
                                const faas_value *value)
{
    char where[16] = "result";

    if (FAASI_LIKELY(value->as.structure.size == expected->size &&
                     value->as.structure.data != NULL &&
                     aligned(value->as.structure.data, expected->align)))
        return FAAS_OK;
    if (expected != &sig->result)
        (void)snprintf(where, sizeof where, "argument %u", index + 1);
    if (value->as.structure.size != expected->size)
        return faasi_fail(
            FAAS_ETYPE,
            "%s: expected a struct of %u bytes, came one of %zu; signature %s", where,
            expected->size, value->as.structure.size, sig->text);
    return faasi_fail(FAAS_EINVAL, "%s: a struct at %p, which is not aligned to %u",
                      where, value->as.structure.data, expected->align);
}

faas_status faasi_sig_check_values(const struct faasi_sig *sig, const faas_value *args,
                                   size_t count)
{
    if (FAASI_UNLIKELY(count != sig->arg_count))
        return faasi_fail(FAAS_ETYPE, "expected %u arguments, came %zu; signature %s",
                          sig->arg_count, count, sig->text);
    for (unsigned i = 0; i < count; i++) {
        const struct faasi_sig_arg *expected = &sig->args[i];

        if (FAASI_UNLIKELY((unsigned)args[i].type != expected->type))
            return faasi_fail(FAAS_ETYPE,
                              "argument %u: expected %s, came %s; signature %s", i + 1,
                              faasi_sig_type_name(expected->type),
                              faasi_sig_type_name((unsigned)args[i].type), sig->text);
        if (expected->type == FAAS_TYPE_STRUCT) {
            faas_status status = struct_check(sig, i, expected, &args[i]);

            if (status != FAAS_OK)
                return status;
        }
    }
    return FAAS_OK;
}

faas_status faasi_sig_check_result(const struct faasi_sig *sig, const faas_value *result)
{
    if (result == NULL || sig->result.type != FAAS_TYPE_STRUCT)
        return FAAS_OK;
    if (result->type != FAAS_TYPE_STRUCT)
        return faasi_fail(FAAS_ETYPE,
                          "result: expected the place of a struct, came %s; "
                          "signature %s",
                          faasi_sig_type_name((unsigned)result->type), sig->text);
    return struct_check(sig, 0, &sig->result, result);
}

faas_status faasi_sig_check_packed(const struct faasi_sig *sig, const void *block,
                                   size_t block_size, const void *result,
                                   size_t result_size)
{
    if (FAASI_UNLIKELY(block_size != sig->block_size))
        return faasi_fail(FAAS_ETYPE,
                          "expected a block of %u bytes, came %zu; signature %s",
                          sig->block_size, block_size, sig->text);
    if (FAASI_UNLIKELY(result_size != (result == NULL ? 0 : sig->result.size)))
        return faasi_fail(FAAS_ETYPE,
                          "expected %u bytes for the result, came %zu; signature %s",
                          sig->result.size, result_size, sig->text);
    if (FAASI_UNLIKELY(block_size > 0 &&
                       (block == NULL || !aligned(block, sig->block_align))))
        return faasi_fail(FAAS_EINVAL, "a block at %p, which is not aligned to %u", block,
                          sig->block_align);
    if (FAASI_UNLIKELY(!aligned(result, sig->result.align)))
        return faasi_fail(FAAS_EINVAL, "a result at %p, which is not aligned to %u",
                          result, sig->result.align);
    return FAAS_OK;
}

/* A result narrower than a word is returned in a whole one, extended or with whatever the
 * function left beside it. */
static void narrow_call(const struct faasi_sig *sig, void (*symbol)(void), void *result,
                        void **pointers)
{
    union {
        ffi_arg word;
        float f32;
    } raw;

    ffi_call(&sig->plan->cif, symbol, &raw, pointers);
    if (result == NULL)
        return;
    switch (sig->result.type) {
    case FAAS_TYPE_BOOL:
        *(bool *)result = (uint8_t)raw.word != 0;
        break;
    case FAAS_TYPE_I8:
    case FAAS_TYPE_U8:
        *(uint8_t *)result = (uint8_t)raw.word;
        break;
    case FAAS_TYPE_I16:
    case FAAS_TYPE_U16:
        *(uint16_t *)result = (uint16_t)raw.word;
        break;
    case FAAS_TYPE_F32:
        *(float *)result = raw.f32;
        break;
    default:
        *(uint32_t *)result = (uint32_t)raw.word;
        break;
    }
}

static inline void call(const struct faasi_sig *sig, void (*symbol)(void), void *result,
                        void **pointers)
{
    if (FAASI_LIKELY(sig->plan->direct != NULL))
        sig->plan->direct(symbol, pointers, result);
    else if (sig->plan->result_narrow)
        narrow_call(sig, symbol, result, pointers);
    else
        ffi_call(&sig->plan->cif, symbol, result, pointers);
}

void faasi_sig_call_values(const struct faasi_sig *sig, void (*symbol)(void),
                           const faas_value *args, faas_value *result)
{
    const struct faasi_sig_plan *plan = sig->plan;
    void *pointers[SLOTS_MAX];
    void *to = NULL;

    for (unsigned i = 0; i < plan->slot_count; i++) {
        const struct slot *slot = &plan->slots[i];
        char *at = (char *)(uintptr_t)args + slot->value_at;

        if (slot->through)
            at = (char *)*(void **)(void *)at + slot->past;
        pointers[i] = at;
    }
    if (result != NULL) {
        to = &result->as;
        if (sig->result.type == FAAS_TYPE_STRUCT)
            to = result->as.structure.data;
        result->type = (faas_type)sig->result.type;
    }
    call(sig, symbol, to, pointers);
}

void faasi_sig_call_packed(const struct faasi_sig *sig, void (*symbol)(void),
                           const void *block, void *result)
{
    const struct faasi_sig_plan *plan = sig->plan;
    void *pointers[SLOTS_MAX];

    for (unsigned i = 0; i < plan->slot_count; i++)
        pointers[i] = (char *)(uintptr_t)block + plan->slots[i].block_at;
    call(sig, symbol, result, pointers);
}
