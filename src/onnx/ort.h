/* SPDX-License-Identifier: MIT */
/* ort.h - the part of ONNX Runtime's C interface that is used: own declarations, because
 * there is no header where there is only the library. The table of functions is
 * append-only, so an index means the same in every version from API 14 on.
 *
 * Functions return a status, NULL on success, but for those of the second list. */
#ifndef FAAS_ONNX_ORT_H
#define FAAS_ONNX_ORT_H

#include <stddef.h>
#include <stdint.h>

enum { ORT_API = 14, ORT_SLOTS_MOST = 131 };

enum { ORT_LOG_FATAL = 4, ORT_OPTIMISE_NONE = 0, ORT_OPTIMISE_ALL = 99 };

/* What a value or a type is. */
enum { ORT_TENSOR = 1, ORT_SEQUENCE = 2, ORT_MAP = 3 };

/* X(name, index, arguments) */
#define ORT_SLOTS(X)                                                                     \
    X(CreateEnv, 3, (int level, const char *id, void **env))                             \
    X(CreateSessionFromArray, 8,                                                         \
      (void *env, const void *model, size_t size, const void *options, void **session))  \
    X(Run, 9,                                                                            \
      (void *session, const void *options, const char *const *input_names,               \
       const void *const *inputs, size_t input_count, const char *const *output_names,   \
       size_t output_count, void **outputs))                                             \
    X(CreateSessionOptions, 10, (void **options))                                        \
    X(SetOptimizedModelFilePath, 11, (void *options, const char *path))                  \
    X(SetSessionGraphOptimizationLevel, 23, (void *options, int level))                  \
    X(SetIntraOpNumThreads, 24, (void *options, int threads))                            \
    X(SetInterOpNumThreads, 25, (void *options, int threads))                            \
    X(SessionGetInputCount, 30, (const void *session, size_t *count))                    \
    X(SessionGetOutputCount, 31, (const void *session, size_t *count))                   \
    X(SessionGetInputTypeInfo, 33, (const void *session, size_t index, void **info))     \
    X(SessionGetOutputTypeInfo, 34, (const void *session, size_t index, void **info))    \
    X(SessionGetInputName, 36,                                                           \
      (const void *session, size_t index, void *allocator, char **name))                 \
    X(SessionGetOutputName, 37,                                                          \
      (const void *session, size_t index, void *allocator, char **name))                 \
    X(CreateTensorWithDataAsOrtValue, 49,                                                \
      (const void *memory, void *data, size_t size, const int64_t *shape, size_t rank,   \
       int type, void **value))                                                          \
    X(GetTensorMutableData, 51, (void *value, void **data))                              \
    X(CastTypeInfoToTensorInfo, 55, (const void *info, const void **tensor_info))        \
    X(GetOnnxTypeFromTypeInfo, 56, (const void *info, int *kind))                        \
    X(GetTensorElementType, 60, (const void *tensor_info, int *type))                    \
    X(GetDimensionsCount, 61, (const void *tensor_info, size_t *count))                  \
    X(GetDimensions, 62, (const void *tensor_info, int64_t *shape, size_t rank))         \
    X(GetTensorTypeAndShape, 65, (const void *value, void **tensor_info))                \
    X(GetValueType, 67, (const void *value, int *kind))                                  \
    X(CreateCpuMemoryInfo, 69, (int allocator, int type, void **memory))                 \
    X(AllocatorFree, 76, (void *allocator, void *memory))                                \
    X(GetAllocatorWithDefaultOptions, 78, (void **allocator))                            \
    X(GetValue, 80, (const void *value, int index, void *allocator, void **part))        \
    X(GetValueCount, 81, (const void *value, size_t *count))

/* X(name, index, what it returns, arguments) */
#define ORT_PLAIN_SLOTS(X)                                                               \
    X(GetErrorMessage, 2, const char *, (const void *status))                            \
    X(ReleaseEnv, 92, void, (void *env))                                                 \
    X(ReleaseStatus, 93, void, (void *status))                                           \
    X(ReleaseMemoryInfo, 94, void, (void *memory))                                       \
    X(ReleaseSession, 95, void, (void *session))                                         \
    X(ReleaseValue, 96, void, (void *value))                                             \
    X(ReleaseTypeInfo, 98, void, (void *info))                                           \
    X(ReleaseTensorTypeAndShapeInfo, 99, void, (void *tensor_info))                      \
    X(ReleaseSessionOptions, 100, void, (void *options))

struct ort {
#define ORT_FIELD(name, index, arguments) void *(*name)arguments;
    ORT_SLOTS(ORT_FIELD)
#undef ORT_FIELD
#define ORT_FIELD(name, index, type, arguments) type(*name) arguments;
    ORT_PLAIN_SLOTS(ORT_FIELD)
#undef ORT_FIELD
};

/* What the library's only entry returns. */
struct ort_base {
    const void *(*GetApi)(uint32_t version);
    const char *(*GetVersionString)(void);
};

#endif /* FAAS_ONNX_ORT_H */
