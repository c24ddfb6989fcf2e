/* SPDX-License-Identifier: MIT */
/* tensor.c - tensors and messages of them. Pure: no memory, no locks.
 *
 * A message, in the machine's order of bytes, which is little-endian:
 *
 *     0   "FaTensor"
 *     8   how many tensors, 32 bits; version 1, 32 bits
 *     16  bytes of the message, 64 bits
 *     24  0, 64 bits
 *     32  an entry of 112 bytes for each
 *         the names, one after the other
 *         the data of each, at a multiple of 64
 *
 * An entry: type and rank, 32 bits each; the shape, 8 times 64 bits, 0 where there is no
 * dimension; where the data begin and how many bytes they have; where the name begins and
 * how many bytes it has; all from the beginning of the message, 64 bits each; 0. */
#include "tensor.h"

#include <string.h>

enum { ALIGN = 64 };

#define MAGIC "FaTensor"

struct head {
    char magic[8];
    uint32_t count, version;
    uint64_t size, zero;
};

struct entry {
    uint32_t type, rank;
    int64_t shape[FAAS_RANK_MAX];
    uint64_t data_at, data_size, name_at, name_size, zero;
};

_Static_assert(sizeof(struct head) == 32, "the head has 32 bytes");
_Static_assert(sizeof(struct entry) == 112, "an entry has 112 bytes");

size_t faas_element_size(faas_element type)
{
    switch (type) {
    case FAAS_U8:
    case FAAS_I8:
    case FAAS_BOOL:
        return 1;
    case FAAS_U16:
    case FAAS_I16:
    case FAAS_F16:
    case FAAS_BF16:
        return 2;
    case FAAS_F32:
    case FAAS_I32:
    case FAAS_U32:
        return 4;
    case FAAS_I64:
    case FAAS_F64:
    case FAAS_U64:
        return 8;
    default:
        return 0;
    }
}

const char *faas_element_name(faas_element type)
{
    switch (type) {
    case FAAS_F32:
        return "f32";
    case FAAS_U8:
        return "u8";
    case FAAS_I8:
        return "i8";
    case FAAS_U16:
        return "u16";
    case FAAS_I16:
        return "i16";
    case FAAS_I32:
        return "i32";
    case FAAS_I64:
        return "i64";
    case FAAS_BOOL:
        return "bool";
    case FAAS_F16:
        return "f16";
    case FAAS_F64:
        return "f64";
    case FAAS_U32:
        return "u32";
    case FAAS_U64:
        return "u64";
    case FAAS_BF16:
        return "bf16";
    default:
        return NULL;
    }
}

bool faasi_model_bytes_of(faas_element type, uint32_t rank, const int64_t *shape,
                          uint64_t *bytes)
{
    *bytes = faas_element_size(type);
    if (*bytes == 0 || rank > FAAS_RANK_MAX)
        return false;
    for (uint32_t i = 0; i < rank; i++)
        if (shape[i] < 0 || __builtin_mul_overflow(*bytes, (uint64_t)shape[i], bytes))
            return false;
    return *bytes <= PTRDIFF_MAX;
}

/* ---- messages ---- */

static uint64_t aligned(uint64_t at)
{
    return (at + ALIGN - 1) / ALIGN * ALIGN;
}

size_t faas_tensors_size(const faas_tensor *tensors, size_t count)
{
    uint64_t size = sizeof(struct head) + count * sizeof(struct entry);

    if (count == 0 || count > FAAS_TENSORS_MAX)
        return 0;
    for (size_t i = 0; i < count; i++) {
        if (tensors[i].name.size > UINT16_MAX)
            return 0;
        size += tensors[i].name.size;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes;

        if (!faasi_model_bytes_of(tensors[i].type, tensors[i].rank, tensors[i].shape,
                                  &bytes) ||
            bytes != tensors[i].bytes ||
            __builtin_add_overflow(aligned(size), bytes, &size) || size > PTRDIFF_MAX)
            return 0;
    }
    return (size_t)size;
}

faas_status faas_tensors_pack(const faas_tensor *tensors, size_t count, void *room,
                              size_t room_size, void **data)
{
    size_t size = faas_tensors_size(tensors, count);
    struct head head = {
        .magic = MAGIC, .count = (uint32_t)count, .version = 1, .size = size};
    uint64_t name_at = sizeof head + count * sizeof(struct entry), at = name_at;
    unsigned char *to = room;

    if (size == 0 || size > room_size)
        return faas_error_set(FAAS_EINVAL,
                              "tensors: %zu of them make %zu bytes; the room has %zu",
                              count, size, room_size);
    memcpy(to, &head, sizeof head);
    for (size_t i = 0; i < count; i++)
        at += tensors[i].name.size;
    for (size_t i = 0; i < count; i++) {
        const faas_tensor *t = &tensors[i];
        struct entry entry = {.type = t->type,
                              .rank = t->rank,
                              .data_at = aligned(at),
                              .data_size = t->bytes,
                              .name_at = name_at,
                              .name_size = t->name.size};

        memcpy(entry.shape, t->shape, t->rank * sizeof t->shape[0]);
        memcpy(to + sizeof head + i * sizeof entry, &entry, sizeof entry);
        if (t->name.size != 0)
            memcpy(to + name_at, t->name.data, t->name.size);
        name_at += t->name.size;
        memset(to + at, 0, entry.data_at - at); // what lies between is nobody's secret
        at = entry.data_at + t->bytes;
        if (t->data != NULL && t->bytes != 0)
            memcpy(to + entry.data_at, t->data, t->bytes);
        if (data != NULL)
            data[i] = to + entry.data_at;
    }
    return FAAS_OK;
}

bool faas_tensors_are(faas_bytes message)
{
    return message.size >= sizeof(struct head) &&
           memcmp(message.data, MAGIC, sizeof MAGIC - 1) == 0;
}

/* Whether `size` bytes at `at` are inside a message behind its table. */
static bool is_inside(uint64_t at, uint64_t size, uint64_t begin, uint64_t end)
{
    return at >= begin && at <= end && size <= end - at;
}

static faas_status entry_view(faas_bytes message, size_t index, uint64_t begin,
                              faas_tensor *tensor)
{
    const unsigned char *bytes = message.data;
    struct entry e;
    uint64_t want;

    memcpy(&e, bytes + sizeof(struct head) + index * sizeof e, sizeof e);
    if (e.rank > FAAS_RANK_MAX ||
        !faasi_model_bytes_of((faas_element)e.type, e.rank, e.shape, &want))
        return faas_error_set(FAAS_ESYNTAX,
                              "tensor %zu: type %u, rank %u: it can have no such shape",
                              index, e.type, e.rank);
    if (want != e.data_size)
        return faas_error_set(
            FAAS_ESYNTAX, "tensor %zu: %llu bytes of data; its shape makes %llu", index,
            (unsigned long long)e.data_size, (unsigned long long)want);
    if (!is_inside(e.data_at, e.data_size, begin, message.size) ||
        !is_inside(e.name_at, e.name_size, begin, message.size))
        return faas_error_set(
            FAAS_ESYNTAX, "tensor %zu: its data or name are outside the message", index);
    if ((uintptr_t)(bytes + e.data_at) % faas_element_size((faas_element)e.type) != 0)
        return faas_error_set(
            FAAS_ESYNTAX, "tensor %zu: its data are not aligned to its elements", index);
    *tensor = (faas_tensor){.data = (void *)(uintptr_t)(bytes + e.data_at),
                            .bytes = e.data_size,
                            .type = (faas_element)e.type,
                            .rank = e.rank,
                            .name = {bytes + e.name_at, e.name_size}};
    memcpy(tensor->shape, e.shape, e.rank * sizeof e.shape[0]);
    return FAAS_OK;
}

faas_status faas_tensors_view(faas_bytes message, faas_tensor *tensors, size_t most,
                              size_t *count)
{
    struct head head;
    uint64_t begin;

    *count = 0;
    if (!faas_tensors_are(message))
        return faas_error_set(FAAS_ESYNTAX, "message: it does not begin as one");
    memcpy(&head, message.data, sizeof head);
    if (head.version != 1)
        return faas_error_set(FAAS_ESYNTAX, "message: version %u is not 1", head.version);
    if (head.count == 0 || head.count > most || head.count > FAAS_TENSORS_MAX)
        return faas_error_set(FAAS_ESYNTAX, "message: %u tensors; 1 to %zu were expected",
                              head.count,
                              most < FAAS_TENSORS_MAX ? most : FAAS_TENSORS_MAX);
    begin = sizeof head + head.count * sizeof(struct entry);
    if (head.size != message.size || begin > message.size)
        return faas_error_set(FAAS_ESYNTAX, "message: it says %llu bytes, and has %zu",
                              (unsigned long long)head.size, message.size);
    for (uint32_t i = 0; i < head.count; i++) {
        faas_status status = entry_view(message, i, begin, &tensors[i]);

        if (status != FAAS_OK)
            return status;
    }
    *count = head.count;
    return FAAS_OK;
}

/* ---- ports ---- */

/* "f32[?,4]" */
static void shape_print(char *text, size_t room, faas_element type, uint32_t rank,
                        const int64_t *shape)
{
    const char *name = faas_element_name(type);
    size_t at = (size_t)snprintf(text, room, "%s[", name == NULL ? "?" : name);

    for (uint32_t i = 0; i < rank && at < room; i++) {
        const char *comma = i == 0 ? "" : ",";

        at += (size_t)(shape[i] < 0 ? snprintf(text + at, room - at, "%s?", comma)
                                    : snprintf(text + at, room - at, "%s%lld", comma,
                                               (long long)shape[i]));
    }
    if (at < room)
        (void)snprintf(text + at, room - at, "]");
}

bool faasi_model_port_fits(const faas_port *port, const faas_tensor *tensor, char *why,
                           size_t room)
{
    bool fits = tensor->type == port->type && tensor->rank == port->rank;
    char want[128], got[128];

    for (uint32_t i = 0; fits && i < port->rank; i++)
        fits = port->shape[i] < 0 || port->shape[i] == tensor->shape[i];
    if (fits)
        return true;
    shape_print(want, sizeof want, port->type, port->rank, port->shape);
    shape_print(got, sizeof got, tensor->type, tensor->rank, tensor->shape);
    (void)snprintf(why, room, "input %s: %s was expected, and %s came", port->name, want,
                   got);
    return false;
}

bool faasi_model_port_guess(const faas_port *port, faas_bytes input, faas_tensor *tensor,
                            char *why, size_t room)
{
    uint64_t unit = faas_element_size(port->type);
    uint32_t dynamic = 0, at = 0;
    char want[128];

    *tensor = (faas_tensor){.data = (void *)(uintptr_t)input.data,
                            .bytes = input.size,
                            .type = port->type,
                            .rank = port->rank};
    for (uint32_t i = 0; i < port->rank; i++) {
        tensor->shape[i] = port->shape[i];
        if (port->shape[i] < 0) {
            dynamic++;
            at = i;
        } else {
            unit *= (uint64_t)port->shape[i];
        }
    }
    if (dynamic == 1 && unit != 0 && input.size != 0 && input.size % unit == 0) {
        tensor->shape[at] = (int64_t)(input.size / unit);
        return true;
    }
    if (dynamic == 0 && input.size == unit)
        return true;
    shape_print(want, sizeof want, port->type, port->rank, port->shape);
    (void)snprintf(why, room, "input %s: %s was expected, and %zu bytes came", port->name,
                   want, input.size);
    return false;
}
