/* SPDX-License-Identifier: MIT */
/* inlet.c - the ring's memory. */
#include "inlet.h"

#include "mem.h"

faas_status faasi_inlet_init(struct faasi_inlet *inlet, uint32_t size,
                             const faas_allocator *allocator)
{
    assert(size != 0 && (size & (size - 1)) == 0);
    inlet->cells = faasi_alloc(allocator, size * sizeof *inlet->cells);
    if (inlet->cells == NULL)
        return faasi_fail(FAAS_ENOMEM, "inlet: no memory");
    inlet->mask = size - 1;
    inlet->allocator = allocator;
    inlet->tail = 0;
    atomic_init(&inlet->head, 0);
    for (uint64_t i = 0; i < size; i++)
        atomic_init(&inlet->cells[i].seq, i);
    return FAAS_OK;
}

void faasi_inlet_fini(struct faasi_inlet *inlet)
{
    if (inlet->cells != NULL)
        faasi_free(inlet->allocator, inlet->cells,
                   (inlet->mask + 1) * sizeof *inlet->cells);
    inlet->cells = NULL;
}
