/* SPDX-License-Identifier: MIT */
/* sig.c - the text of a signature read into a shape: types, sizes, offsets. Pure. */
#include "sig.h"

#include <stdio.h>
#include <string.h>

#define END (-1) /* no byte is negative */

struct type_info {
    char letter;
    uint8_t align;
    uint8_t size;
    const char *name;
};

#define TYPE(letter, type, name)                                                         \
    {                                                                                    \
        letter, _Alignof(type), sizeof(type), name                                       \
    }

/* Void has no size, a struct has the one of its members. A bool is no question mark, as
 * in Python's struct: two of them before a parenthesis are a trigraph of C11. */
static const struct type_info types[] = {
    {FAAS_TYPE_VOID, 1, 0, "void"},
    TYPE(FAAS_TYPE_BOOL, bool, "bool"),
    TYPE(FAAS_TYPE_I8, int8_t, "i8"),
    TYPE(FAAS_TYPE_U8, uint8_t, "u8"),
    TYPE(FAAS_TYPE_I16, int16_t, "i16"),
    TYPE(FAAS_TYPE_U16, uint16_t, "u16"),
    TYPE(FAAS_TYPE_I32, int32_t, "i32"),
    TYPE(FAAS_TYPE_U32, uint32_t, "u32"),
    TYPE(FAAS_TYPE_I64, int64_t, "i64"),
    TYPE(FAAS_TYPE_U64, uint64_t, "u64"),
    TYPE(FAAS_TYPE_F32, float, "f32"),
    TYPE(FAAS_TYPE_F64, double, "f64"),
    TYPE(FAAS_TYPE_POINTER, void *, "pointer"),
    TYPE(FAAS_TYPE_STRING, const char *, "string"),
    TYPE(FAAS_TYPE_BYTES, faas_bytes, "bytes"),
    {FAAS_TYPE_STRUCT, 1, 0, "struct"},
};

struct reader {
    const char *text;
    size_t size;
    size_t at;
    unsigned members; /* of all structs so far */
    struct faasi_sig_shape *shape;
};

static const struct type_info *type_find(unsigned type)
{
    for (size_t i = 0; i < FAASI_COUNT(types); i++)
        if ((unsigned)types[i].letter == type)
            return &types[i];
    return NULL;
}

const char *faasi_sig_type_name(unsigned type)
{
    const struct type_info *info = type_find(type);

    return info == NULL ? "no type" : info->name;
}

static int peek(const struct reader *r)
{
    return r->at < r->size ? (unsigned char)r->text[r->at] : END;
}

static faas_status refuse(const struct reader *r, const char *expected)
{
    int byte = peek(r);
    char found[16];

    if (byte == END)
        snprintf(found, sizeof found, "the end");
    else if (byte > ' ' && byte < 0x7f)
        snprintf(found, sizeof found, "'%c'", byte);
    else
        snprintf(found, sizeof found, "byte 0x%02x", (unsigned)byte);
    return faasi_fail(FAAS_ESYNTAX, "signature at byte %zu: found %s, expected %s", r->at,
                      found, expected);
}

static struct faasi_sig_node *node_add(struct faasi_sig_shape *shape,
                                       const struct type_info *info)
{
    struct faasi_sig_node *node = &shape->nodes[shape->node_count++];

    node->type = (uint8_t)info->letter;
    node->next = shape->node_count;
    node->align = info->align;
    node->size = info->size;
    return node;
}

/* Appends a member to a struct or block of `*size` bytes so far. */
static void place(struct faasi_sig_node *member, uint16_t *size, uint16_t *align)
{
    member->offset = (uint16_t)faasi_round_up(*size, member->align);
    *size = (uint16_t)(member->offset + member->size);
    if (member->align > *align)
        *align = member->align;
}

/* Reads one type, and for a struct its members, into the next nodes. The limits on
 * arguments and members were looked at for each of them, so there is room. The recursion
 * ends at FAAS_SIGNATURE_DEPTH_MAX. */
static faas_status type_read(struct reader *r, unsigned depth, const char *expected)
{
    const struct type_info *info = peek(r) == END ? NULL : type_find((unsigned)peek(r));
    struct faasi_sig_node *node;

    if (info == NULL || info->letter == FAAS_TYPE_VOID)
        return refuse(r, expected);
    if (info->letter == FAAS_TYPE_STRUCT && depth == FAAS_SIGNATURE_DEPTH_MAX)
        return faasi_fail(FAAS_ESYNTAX,
                          "signature at byte %zu: more than %d nested structs", r->at,
                          FAAS_SIGNATURE_DEPTH_MAX);
    node = node_add(r->shape, info);
    r->at++;
    if (info->letter != FAAS_TYPE_STRUCT)
        return FAAS_OK;

    expected = "a type"; // a struct is not empty
    while (node->size == 0 || peek(r) != '}') {
        struct faasi_sig_node *member = &r->shape->nodes[r->shape->node_count];
        faas_status status;

        if (r->members == FAAS_SIGNATURE_MEMBERS_MAX && peek(r) != END)
            return faasi_fail(FAAS_ESYNTAX,
                              "signature at byte %zu: more than %d members of structs",
                              r->at, FAAS_SIGNATURE_MEMBERS_MAX);
        r->members++;
        status = type_read(r, depth + 1, expected);
        if (status != FAAS_OK)
            return status;
        place(member, &node->size, &node->align);
        expected = "a type or '}'";
    }
    r->at++;
    node->size = (uint16_t)faasi_round_up(node->size, node->align);
    node->next = r->shape->node_count;
    return FAAS_OK;
}

static faas_status arguments_read(struct reader *r)
{
    struct faasi_sig_shape *shape = r->shape;

    while (peek(r) != ')') {
        struct faasi_sig_node *arg = &shape->nodes[shape->node_count];
        faas_status status;

        if (shape->arg_count == FAAS_SIGNATURE_ARGS_MAX && peek(r) != END)
            return faasi_fail(FAAS_ESYNTAX,
                              "signature at byte %zu: more than %d arguments", r->at,
                              FAAS_SIGNATURE_ARGS_MAX);
        status = type_read(r, 0, "a type or ')'");
        if (status != FAAS_OK)
            return status;
        place(arg, &shape->size, &shape->align);
        shape->arg_count++;
    }
    r->at++;
    shape->size = (uint16_t)faasi_round_up(shape->size, shape->align);
    return FAAS_OK;
}

static faas_status signature_read(struct reader *r)
{
    faas_status status = FAAS_OK;

    if (r->size > FAAS_SIGNATURE_TEXT_MAX)
        return faasi_fail(FAAS_ESYNTAX, "signature at byte %d: goes on to byte %zu",
                          FAAS_SIGNATURE_TEXT_MAX, r->size);
    if (peek(r) == FAAS_TYPE_VOID) {
        node_add(r->shape, type_find(FAAS_TYPE_VOID));
        r->at++;
    } else {
        status = type_read(r, 0, "the type of the result");
    }
    if (status != FAAS_OK)
        return status;
    if (peek(r) != '(')
        return refuse(r, "'('");
    r->at++;
    status = arguments_read(r);
    if (status == FAAS_OK && peek(r) != END)
        return refuse(r, "the end");
    return status;
}

faas_status faasi_sig_read(struct faasi_sig_shape *shape, const char *text, size_t size)
{
    struct reader r = {.text = text, .size = size, .shape = shape};
    faas_status status;

    memset(shape, 0, sizeof *shape);
    shape->align = 1;
    status = signature_read(&r);
    if (status != FAAS_OK)
        memset(shape, 0, sizeof *shape);
    return status;
}

faas_status faas_signature_layout(const char *signature, faas_layout *layout)
{
    struct faasi_sig_shape shape;
    const struct faasi_sig_node *node = shape.nodes;
    faas_status status = faasi_sig_read(&shape, signature, strlen(signature));

    memset(layout, 0, sizeof *layout);
    if (status != FAAS_OK)
        return status;
    layout->size = shape.size;
    layout->align = shape.align;
    layout->result_size = node->size;
    layout->result_align = node->align;
    layout->result_type = (faas_type)node->type;
    for (; layout->arg_count < shape.arg_count; layout->arg_count++) {
        node = &shape.nodes[node->next];
        layout->args[layout->arg_count].type = (faas_type)node->type;
        layout->args[layout->arg_count].offset = node->offset;
        layout->args[layout->arg_count].size = node->size;
    }
    return FAAS_OK;
}
