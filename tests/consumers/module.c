/* SPDX-License-Identifier: MIT */
/* module.c - somebody's program that uses a module. */
#include <faas/model.h>
#include <faas/onnx.h>

#include <stdio.h>

int main(void)
{
    float number = 1;
    faas_tensor tensor = {.data = &number, .bytes = sizeof number, .type = FAAS_F32};
    faas_onnx *none;

    if (faas_tensors_size(&tensor, 1) == 0)
        return 1;
    if (faas_onnx_open(FAAS_ONNX(.library = "/nowhere"), &none) != FAAS_ELOAD)
        return 1;
    printf("%s\n", faas_error_text());
    return 0;
}
