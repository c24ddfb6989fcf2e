/* SPDX-License-Identifier: MIT */
/* models_support.h - where the models with known answers are, and the engine that runs
 * them; what tests of models share. */
#ifndef MODELS_SUPPORT_H
#define MODELS_SUPPORT_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char models_dir[3000];

/* Valid until the next call. */
static inline const char *path_of(const char *name)
{
    static char path[4096];

    (void)snprintf(path, sizeof path, "%s/%s", models_dir, name);
    return path;
}

/* Says why the tests are skipped, if there are no models. */
static inline bool models_find(void)
{
    const char *models = getenv("FAAS_MODELS_DIR");

    (void)snprintf(models_dir, sizeof models_dir, "%s", models == NULL ? "" : models);
    if (access(path_of("MANIFEST.tsv"), R_OK) == 0)
        return true;
    printf("skipped: no models in \"%s\" (FAAS_MODELS_DIR)\n", models_dir);
    return false;
}

/* Where scripts/test keeps ONNX Runtime; NULL: not there, and the system may have one. */
static inline const char *onnxruntime_find(void)
{
    static char library[3000];
    const char *data = getenv("FAAS_DATA_DIR");

    (void)snprintf(library, sizeof library, "%s/libonnxruntime.so",
                   data == NULL ? "" : data);
    return access(library, R_OK) == 0 ? library : NULL;
}

#endif /* MODELS_SUPPORT_H */
