/* SPDX-License-Identifier: MIT */
/* sig.h - typed signatures of C functions: parsed, checked against values, called.
 *
 * The text becomes a shape, which is pure and takes no memory (sig.c). The shape becomes
 * what libffi needs, prepared once and kept in one block (sigcall.c). A call then only
 * collects the addresses of its arguments.
 *
 * Checking and calling are apart so that a caller may check before it takes an instance
 * and call when it has one. Calling without checking is a bug of ours.
 *
 * Layer: 1 structures. Includes base.h and mem.h only; sigcall.c alone includes ffi.h;
 * the commonest ones do without it (sigdirect.c).
 * Locks: none. A signature is not written after faasi_sig_parse(); any number of threads
 * may check and call through it. */
#ifndef FAASI_SIG_H
#define FAASI_SIG_H

#include "base.h"

#include <faas/signature.h>

/* The result, all arguments, all members. */
#define FAASI_SIG_NODES_MAX (1 + FAAS_SIGNATURE_ARGS_MAX + FAAS_SIGNATURE_MEMBERS_MAX)

/* One type in the text. A struct stands before its members. */
struct faasi_sig_node {
    uint8_t type;    /* a faas_type */
    uint8_t next;    /* index of the node behind this one and its members */
    uint16_t align;  /* 1 for void, with size 0 */
    uint16_t size;   /* as C lays it out */
    uint16_t offset; /* in the struct or block around it; 0 for the result */
};

/* What a text says. nodes[0] is the result; the first argument is
 * nodes[nodes[0].next]. */
struct faasi_sig_shape {
    uint8_t node_count;
    uint8_t arg_count;
    uint16_t align; /* of the block of all arguments */
    uint16_t size;
    struct faasi_sig_node nodes[FAASI_SIG_NODES_MAX];
};

/* Reads a text into a shape, or zeroes it.
 *
 * @return FAAS_OK, or
 *         FAAS_ESYNTAX  "signature at byte 3: found 'q', expected a type" */
faas_status faasi_sig_read(struct faasi_sig_shape *shape, const char *text, size_t size);

/* The name of a type in messages: "f64"; "no type" for a number that is none. */
const char *faasi_sig_type_name(unsigned type);

/* Calls a function through a pointer of its type: arguments and result as ffi_call()
 * takes them, but for a narrow result, which is written as narrow as it is. */
typedef void faasi_sig_direct(void (*symbol)(void), void **arguments, void *result);

/* How to call a signature directly, or NULL: it takes libffi. */
faasi_sig_direct *faasi_sig_direct_find(const char *text);

struct faasi_sig_arg {
    uint8_t type; /* a faas_type */
    uint8_t align;
    uint16_t size;
};

/* A signature that is ready to be called. May be moved by copying it; one of the copies
 * is then given to faasi_sig_fini(). */
struct faasi_sig {
    struct faasi_sig_plan *plan; /* one block, at a fixed address; all below lies in it */
    const struct faasi_sig_arg *args;
    const char *text; /* with a terminator, as it was parsed */
    const faas_allocator *alloc;
    struct faasi_sig_arg result;
    uint16_t block_size;
    uint8_t block_align;
    uint8_t arg_count;
    uint32_t plan_size;
};

/* Reads a text and prepares its calls, with one allocation. On failure `sig` is zeroed.
 *
 * @param text   `size` bytes, which need no terminator.
 * @param alloc  Borrowed until faasi_sig_fini(); not NULL.
 * @return FAAS_OK, or
 *         FAAS_ESYNTAX  as faasi_sig_read() says
 *         FAAS_ENOMEM */
faas_status faasi_sig_parse(struct faasi_sig *sig, const char *text, size_t size,
                            const faas_allocator *alloc);

/* Accepts NULL and what was zeroed. */
void faasi_sig_fini(struct faasi_sig *sig);

/* Writes the text, byte for byte what was parsed, and its terminator.
 * Returns its length. */
size_t faasi_sig_print(const struct faasi_sig *sig,
                       char text[static FAAS_SIGNATURE_TEXT_MAX + 1]);

/* Tells whether faasi_sig_call_values() may be called with these. Reads the tags, and the
 * address and size of structs; formats only what it refuses.
 *
 * @param args    `count` of them; may be NULL if there are none.
 * @param result  NULL to drop what the function returns. For a struct it says where to
 *                write it, as faas_struct() does; otherwise its content does not matter.
 * @return FAAS_OK, or
 *         FAAS_ETYPE   the number of arguments, a type, or the size of a struct is wrong
 *         FAAS_EINVAL  a struct is at NULL or not aligned as its type */
faas_status faasi_sig_check_values(const struct faasi_sig *sig, const faas_value *args,
                                   size_t count);
faas_status faasi_sig_check_result(const struct faasi_sig *sig, const faas_value *result);

/* Tells the same of faasi_sig_call_packed().
 *
 * @param block   As faas_signature_layout() describes it; may be NULL if the size is 0.
 * @param result  NULL with size 0 to drop what the function returns.
 * @return FAAS_OK, or
 *         FAAS_ETYPE   a size is wrong
 *         FAAS_EINVAL  an address is NULL, or not aligned as the layout says */
faas_status faasi_sig_check_packed(const struct faasi_sig *sig, const void *block,
                                   size_t block_size, const void *result,
                                   size_t result_size);

/* Calls a function with checked values. Adds a few nanoseconds to ffi_call(); neither
 * allocates nor locks. `result->type` is set; of a struct only what it points to. */
void faasi_sig_call_values(const struct faasi_sig *sig, void (*symbol)(void),
                           const faas_value *args, faas_value *result);

/* The same with a checked block; writes exactly the bytes of the result, which may lie in
 * the block. */
void faasi_sig_call_packed(const struct faasi_sig *sig, void (*symbol)(void),
                           const void *block, void *result);

#endif /* FAASI_SIG_H */
