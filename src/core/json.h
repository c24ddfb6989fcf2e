/* SPDX-License-Identifier: MIT */
/* json.h - the event scanner: says whether a text is JSON, and finds the fields that
 * rules name.
 *
 * Strict use: faasi_json_check() reads the whole text once, refuses it at its first
 * fault, and leaves an index behind; any number of faasi_json_walk() then go over the
 * index. Trusted use: faasi_json_walk() without an index goes over the text itself,
 * checks nothing it does not need, and stops when it has seen every field.
 *
 * No function here reads outside the bytes it is given, takes more than linear time, or
 * allocates, except faasi_json_paths_open(). The work is done by one of several kernels;
 * the best one for the CPU is chosen at the first call, and all give the same answers.
 *
 * Why not a library: the C parsers at hand (yajl, jansson, json-c) take 7 to 50 times as
 * long as this whole scan, and simdjson's DOM twice as long.
 *
 * Layer: 1 structures. Includes base.h and mem.h only.
 * Locks: none. Pure, but for the kernel chosen once. */
#ifndef FAASI_JSON_H
#define FAASI_JSON_H

#include "base.h"

/* Containers may be nested this deep: `[[1]]` has depth 2. */
#define FAASI_JSON_DEPTH_MAX 1024

/* The longest text, in bytes: offsets are 32 bits. */
#define FAASI_JSON_SIZE_MAX ((size_t)1 << 30)

/* --- Validation --------------------------------------------------------------------- */

/* The first fault of a text. Both texts are static, lower case, and fit the sentence
 * "byte 17: found a comma, expected a value". */
struct faasi_json_fault {
    size_t offset;        /* of the byte that cannot stand there; the size if cut short */
    const char *found;    /* "a comma", "the end of the text" */
    const char *expected; /* "a value", "a quote" */
};

/* Says whether `text` is one JSON object (RFC 8259) in strict UTF-8, with nothing but
 * white space around it, and writes an index of it in the same pass.
 *
 * @param      index  faasi_json_index_bytes(text.size) bytes, aligned to 8, or NULL for
 *                    no index. Undefined on failure. It holds no pointers: text and index
 *                    may be moved.
 * @param[out] fault  Set on failure only; may be NULL, which saves a second pass.
 * @return FAAS_OK, or
 *         FAAS_ESYNTAX  it is malformed, or its top level is no object
 *         FAAS_EINVAL   it is nested deeper than FAASI_JSON_DEPTH_MAX, or longer than
 *                       FAASI_JSON_SIZE_MAX
 *         The thread's error text is left alone. */
faas_status faasi_json_check(faas_bytes text, uint64_t *index,
                             struct faasi_json_fault *fault);

/* The same for a text whose top level may be any value, without an index; for patterns
 * and their like. Slow. */
faas_status faasi_json_check_any(faas_bytes text, struct faasi_json_fault *fault);

/* Words of index per 512 bytes of text, begun or whole. */
#define FAASI_JSON_INDEX_WORDS 64

/* Returns how many bytes the index of a text of `size` bytes takes: about as many. */
static inline size_t faasi_json_index_bytes(size_t size)
{
    return (size / 512 + 1) * FAASI_JSON_INDEX_WORDS * sizeof(uint64_t);
}

/* --- Paths -------------------------------------------------------------------------- */

/* A field: the keys from the top level down, unescaped (see faasi_json_unescape()). Any
 * bytes may be keys, also none. */
struct faasi_json_path {
    const faas_bytes *keys;
    size_t key_count; /* 1 to FAASI_JSON_DEPTH_MAX - 1 */
};

/* A set of paths, immutable: to change it, make another. */
struct faasi_json_paths;

/* Compiles `count` paths; paths and keys are copied. One path may lead through another
 * (`a` and `a.b`). Equal paths are one field, with the number of the first of them.
 *
 * @param      alloc  NULL for the default; must outlive the set.
 * @param[out] out    The set, or NULL on failure; end it with faasi_json_paths_close().
 * @return FAAS_OK, FAAS_EINVAL (a path without keys or with too many), FAAS_ENOMEM */
faas_status faasi_json_paths_open(struct faasi_json_paths **out,
                                  const struct faasi_json_path *paths, size_t count,
                                  const faas_allocator *alloc);

/* Accepts NULL. */
void faasi_json_paths_close(struct faasi_json_paths *paths);

/* Returns the bytes of memory that the set takes. */
size_t faasi_json_paths_bytes(const struct faasi_json_paths *paths);

/* --- The walk ----------------------------------------------------------------------- */

enum faasi_json_kind {
    FAASI_JSON_STRING,  /* the range is its content, without the quotes */
    FAASI_JSON_ESCAPED, /* the same, and there is a backslash in it */
    FAASI_JSON_NUMBER,
    FAASI_JSON_TRUE,
    FAASI_JSON_FALSE,
    FAASI_JSON_NULL,
};

/* `place` of a value that lies in no array. */
#define FAASI_JSON_NOWHERE UINT32_MAX

/* One scalar of a field that was named. Offsets are from the start of the text. */
struct faasi_json_value {
    uint32_t field; /* number of its path in faasi_json_paths_open() */
    uint32_t kind;  /* enum faasi_json_kind */
    uint32_t begin; /* of its first byte */
    uint32_t end;   /* past its last byte */
    uint32_t place; /* number of its innermost place, or FAASI_JSON_NOWHERE */
};

/* That a value lies in this element of this array; only elements that are containers are
 * places: a scalar that stands directly in an array has the place of the array itself.
 * Following `outer` gives every (array, element) pair of a value, innermost first. Two
 * values agree if no array is in both their chains with two different elements. */
struct faasi_json_place {
    uint32_t array;   /* offset of the array's bracket: tells arrays apart */
    uint32_t element; /* offset of the element's bracket: tells elements apart */
    uint32_t outer;   /* number of the place in which the array lies, or _NOWHERE */
};

enum faasi_json_walked {
    FAASI_JSON_DONE,   /* every value was written */
    FAASI_JSON_FULL,   /* there is no room for the next value or place; call again */
    FAASI_JSON_BROKEN, /* trusted only: the text is malformed or too deep; see below */
};

/* A container that the walk is in. Private. */
struct faasi_json_frame {
    uint64_t seen;  /* which children of the node were met; trusted only */
    uint32_t node;  /* of the trie; top bit: an array */
    uint32_t begin; /* offset of its bracket */
    uint32_t place; /* of the scalars in it */
};

/* Set `values`, `value_max`, and `places`, `place_max` (0: places are not recorded, and
 * every value is nowhere), then call faasi_json_walk_start(). */
struct faasi_json_walk {
    struct faasi_json_value *values;
    struct faasi_json_place *places;
    uint32_t value_max; /* at least 1 */
    uint32_t place_max;
    uint32_t value_count;
    uint32_t place_count;

    /* Private. */
    const struct faasi_json_paths *paths;
    const unsigned char *text;
    const uint64_t *index;
    uint32_t size;
    uint32_t at;      /* where to go on: outside strings, in frames[depth - 1] */
    uint32_t depth;   /* frames in use */
    uint64_t escapes; /* any bit: there was a backslash before `at` */
    struct faasi_json_frame frames[FAASI_JSON_DEPTH_MAX];
};

/* Starts a walk at the beginning of a text. Touches a few words.
 *
 * @param paths  Borrowed until the walk ends.
 * @param text   Borrowed until the walk ends; at most FAASI_JSON_SIZE_MAX bytes, or the
 *               walk is BROKEN.
 * @param index  What faasi_json_check() wrote for this text, borrowed likewise: strict.
 *               NULL: trusted. */
void faasi_json_walk_start(struct faasi_json_walk *walk,
                           const struct faasi_json_paths *paths, faas_bytes text,
                           const uint64_t *index);

/* Appends the scalars of all named fields, in text order, to walk->values, and the places
 * they lie in to walk->places. Scalars in arrays, at any depth of arrays, belong to the
 * field that holds the array. Keys match after unescaping.
 *
 * Strict: every occurrence of a key counts, so the walk goes to the end.
 *
 * Trusted: stops as soon as every named field was seen once, outside arrays, and skips
 * the rest of an object as soon as all its named members were seen; a key that comes
 * again after that is not seen. If the text is malformed, the values are what they are
 * (their ranges lie in the text, numbers and escapes may be wrong), and BROKEN is
 * returned only where the walk stumbled on the fault.
 *
 * FULL: take the values out and set value_count to 0, or give `values` or `places` more
 * room (keeping what is in `places`: values to come may lie there), then call again. If
 * value_count < value_max, it is places that lack room. */
enum faasi_json_walked faasi_json_walk(struct faasi_json_walk *walk);

/* --- Scalars ------------------------------------------------------------------------ */

/* Returns the double nearest to a JSON number, ties to even; infinity beyond the range;
 * NaN if the whole text is not a JSON number. Independent of the locale. */
double faasi_json_number(const char *text, size_t size);

/* Unescapes the content of a string from `*text` up to `end` into `out`, as far as `room`
 * reaches, and moves `*text` past what was read. As many bytes as were given always
 * suffice. The result is UTF-8, but a surrogate escape without its partner becomes three
 * bytes as if it were a character (WTF-8), so that it equals itself and nothing else.
 * A malformed escape (trusted texts only) is copied as it stands.
 *
 * @return bytes written; less than `room` allows only when an escape would not fit. */
size_t faasi_json_unescape(const char **text, const char *end, char *out, size_t room);

/* Says whether the content of a string, unescaped, is `bytes`. */
bool faasi_json_string_is(const char *text, size_t size, faas_bytes bytes);

/* --- Kernels ------------------------------------------------------------------------ */

enum faasi_json_isa {
    FAASI_JSON_PLAIN,  /* C, any machine */
    FAASI_JSON_SSE,    /* SSSE3 and PCLMUL */
    FAASI_JSON_AVX2,   /* AVX2, BMI2 and PCLMUL */
    FAASI_JSON_AVX512, /* AVX-512 BW, VBMI, VBMI2, GFNI and VPCLMUL */
    FAASI_JSON_ISA_COUNT
};

/* The parts of the scanner that know the CPU. `check` says no without saying why. */
struct faasi_json_kernel {
    const char *name;
    bool (*check)(const unsigned char *text, size_t size, uint64_t *index);
    enum faasi_json_walked (*walk)(struct faasi_json_walk *walk);
};

/* Returns a kernel for tests and benches, or NULL if this build or CPU does not have
 * it. */
const struct faasi_json_kernel *faasi_json_kernel(enum faasi_json_isa isa);

/* Returns the kernel that faasi_json_check() and faasi_json_walk() use. */
const struct faasi_json_kernel *faasi_json_kernel_best(void);

#endif /* FAASI_JSON_H */
