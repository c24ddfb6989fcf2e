/* SPDX-License-Identifier: MIT */
/* Messages of tensors and files of optimised graphs: what is seen in them is inside them,
 * and what was packed is seen again as it was.
 *
 * The input is a message, and a file of the key that it says it has itself. */
#include "fuzz.h"

#include "model/tensor.h"
#include "onnx/graphs.h"

#include <faas/model.h>

#include <stdlib.h>
#include <string.h>

static bool is_inside(const void *part, uint64_t part_size, faas_bytes whole)
{
    const unsigned char *p = part, *w = whole.data;

    return p >= w && p <= w + whole.size && part_size <= (size_t)(w + whole.size - p);
}

static void tensor_check(const faas_tensor *t, faas_bytes message)
{
    static const faas_port port = {
        .name = "x", .type = FAAS_F32, .rank = 2, .shape = {-1, 3}, .batch_axis = 0};
    char why[384];
    uint64_t bytes;

    REQUIRE(is_inside(t->data, t->bytes, message));
    REQUIRE(is_inside(t->name.data, t->name.size, message));
    REQUIRE(faasi_model_bytes_of(t->type, t->rank, t->shape, &bytes));
    REQUIRE(bytes == t->bytes);
    REQUIRE((uintptr_t)t->data % faas_element_size(t->type) == 0);
    if (faasi_model_port_fits(&port, t, why, sizeof why))
        REQUIRE(t->type == FAAS_F32 && t->rank == 2 && t->shape[1] == 3);
    else
        REQUIRE(strlen(why) < sizeof why && strstr(why, "expected") != NULL);
}

/* What was seen is packed and seen again. */
static void again_check(const faas_tensor *tensors, size_t count)
{
    size_t size = faas_tensors_size(tensors, count), seen;
    faas_tensor again[FAAS_TENSORS_MAX];
    void *room;

    if (size == 0) { // a name of a length that we do not make
        for (size_t i = 0; i < count; i++)
            if (tensors[i].name.size > UINT16_MAX)
                return;
        abort();
    }
    if (size > (1 << 20)) // several tensors may stand at one place
        return;
    room = aligned_alloc(64, (size + 63) / 64 * 64);
    REQUIRE(room != NULL);
    REQUIRE(faas_tensors_pack(tensors, count, room, size, NULL) == FAAS_OK);
    REQUIRE(faas_tensors_view(faas_bytes_of(room, size), again, count, &seen) == FAAS_OK);
    REQUIRE(seen == count);
    for (size_t i = 0; i < count; i++) {
        REQUIRE(again[i].bytes == tensors[i].bytes && again[i].type == tensors[i].type);
        REQUIRE(again[i].name.size == tensors[i].name.size);
        REQUIRE(tensors[i].bytes == 0 ||
                memcmp(again[i].data, tensors[i].data, (size_t)tensors[i].bytes) == 0);
    }
    free(room);
}

static void file_check(faas_bytes file)
{
    struct graph_key key = {{0, 0}, 0};
    faas_bytes graph;

    REQUIRE(!graph_file_view(file, &key, &graph) || graph.size == file.size - 64);
    if (file.size < 32)
        return;
    memcpy(&key, (const unsigned char *)file.data + 8, sizeof key);
    if (graph_file_view(file, &key, &graph))
        REQUIRE(is_inside(graph.data, graph.size, file) && graph.size != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *copy = aligned_alloc(64, (size + 64) / 64 * 64);
    faas_bytes message = {copy, size};
    faas_tensor tensors[FAAS_TENSORS_MAX];
    size_t count;

    REQUIRE(copy != NULL);
    if (size != 0)
        memcpy(copy, data, size);
    if (faas_tensors_view(message, tensors, FAAS_TENSORS_MAX, &count) == FAAS_OK) {
        for (size_t i = 0; i < count; i++)
            tensor_check(&tensors[i], message);
        again_check(tensors, count);
    } else {
        REQUIRE(count == 0);
    }
    file_check(message);
    free(copy);
    return 0;
}
