/* SPDX-License-Identifier: MIT */
/* tensor.h - what tensor.c has beside its public part; for model.c. */
#ifndef FAAS_MODEL_TENSOR_H
#define FAAS_MODEL_TENSOR_H

#include <faas/model.h>

#include <stdio.h>

/* How many bytes a shape makes. False if it is none, or makes more than fit. */
bool faasi_model_bytes_of(faas_element type, uint32_t rank, const int64_t *shape,
                          uint64_t *bytes);

/* Whether a tensor may stand at a port; `why` says why not. */
bool faasi_model_port_fits(const faas_port *port, const faas_tensor *tensor, char *why,
                           size_t room);

/* Makes bytes the tensor at a port: of the shape that follows from how many they are, where
 * at most one dimension is free. */
bool faasi_model_port_guess(const faas_port *port, faas_bytes input, faas_tensor *tensor,
                            char *why, size_t room);

#endif /* FAAS_MODEL_TENSOR_H */
