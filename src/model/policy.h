/* SPDX-License-Identifier: MIT */
/* policy.h - reads a caller's policy, that may be of another version than this module; for
 * what registers models. */
#ifndef FAAS_MODEL_POLICY_H
#define FAAS_MODEL_POLICY_H

#include <faas/function.h>

#include <string.h>

/* Copies a policy, its size first: nothing past that is read. What this version does not
 * have must be zero.
 *
 * @return FAAS_OK, FAAS_EINVAL or FAAS_EVERSION, as of every options struct */
static inline faas_status faasi_model_policy(faas_function *known,
                                             const faas_function *policy)
{
    size_t size;

    memset(known, 0, sizeof *known);
    memcpy(&size, policy, sizeof size);
    if (size < sizeof size || size > 4096)
        return faas_error_set(FAAS_EINVAL,
                              "policy: size is %zu; set it to sizeof the struct", size);
    for (size_t i = sizeof *known; i < size; i++)
        if (((const unsigned char *)policy)[i] != 0)
            return faas_error_set(FAAS_EVERSION, "policy: the field at byte %zu is newer",
                                  i);
    memcpy(known, policy, size < sizeof *known ? size : sizeof *known);
    known->size = sizeof *known;
    return FAAS_OK;
}

#endif /* FAAS_MODEL_POLICY_H */
