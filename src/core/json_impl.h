/* SPDX-License-Identifier: MIT */
/* json_impl.h - what the files of the scanner share: the trie of paths, the words of a
 * block, the search for a key.
 *
 * Layer: 1 structures, private to json*.c. Includes json.h only. */
#ifndef FAASI_JSON_IMPL_H
#define FAASI_JSON_IMPL_H

#include "json.h"

/* Words of a block of 64 bytes: bit n speaks of byte n. All but the first and the last
 * two leave out what stands inside strings. */
enum {
    WORD_QUOTE,  /* quotes that begin or end a string */
    WORD_COLON,  /* : */
    WORD_OPEN,   /* { [ */
    WORD_CLOSE,  /* } ] */
    WORD_SQUARE, /* [ ] */
    WORD_ENDER,  /* what ends a number or literal: , } ] and white space */
    WORD_ESCAPE, /* backslashes, anywhere */
    WORD_LOWEST, /* strict only: the least depth that a bracket of the block leads to */
    WORD_COUNT
};

/* An index goes by eight blocks: eight times the first word, then eight times the second,
 * and so on, because the widest kernel makes them so. */
#define INDEX_STRIDE 8

/* Returns where the words of the block at `base` begin; they are INDEX_STRIDE apart. */
static inline size_t index_at(size_t base)
{
    return base / 512 * FAASI_JSON_INDEX_WORDS + base / 64 % INDEX_STRIDE;
}

#define JSON_NONE UINT32_MAX

/* For what is only fast as a part of its caller, with constants for arguments. */
#define INLINE static inline __attribute__((always_inline))

/* Children of a node that are compared one after the other; more are hashed. */
#define JSON_LINEAR_MAX 8

#define JSON_ARRAY_BIT 0x80000000U

/* A node of the trie and the key that leads to it. The children of a node are neighbours;
 * node 0 is the top level. */
struct json_node {
    /* The eight bytes before the colon, and the eight before these, as far as the key and
     * its quotes fill them: the masks take out what belongs to it. No text fits a key
     * that must be escaped. */
    uint64_t word, mask, word2, mask2;
    uint64_t full;  /* one bit per child; 0 if there are none, or more than 64 */
    uint32_t first; /* child */
    uint32_t count; /* of children */
    uint32_t field; /* number of the path that ends here, or JSON_NONE */
    uint32_t size;  /* of the key */
    uint32_t text;  /* offset of the key in the set's text */
    uint32_t slot;  /* first slot of the children's hash table, if they have one */
    uint32_t slot_mask;
};

struct faasi_json_paths {
    const faas_allocator *alloc;
    size_t bytes;
    uint64_t serial; /* no two sets of a process have the same; not 0 */
    struct json_node *nodes;
    uint32_t *slots; /* node numbers, 0 for empty */
    unsigned char *text;
};

static inline uint64_t json_load(const unsigned char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static inline bool json_is_space(unsigned char c)
{
    return c <= ' ' && (c == ' ' || c == '\n' || c == '\t' || c == '\r');
}

/* Finds the child of `node` whose key is the string that ends before the colon at `at`,
 * the slow way: white space, escapes, many children. Returns 0 if there is none. */
uint32_t faasi_json_key_slow(const struct faasi_json_paths *paths,
                             const struct json_node *node, const unsigned char *text,
                             size_t at);

/* Says whether the key of `child`, whose last bytes are known to fit, and its first quote
 * stand before the colon at `at`. */
static inline bool json_key_rest(const struct faasi_json_paths *paths,
                                 const struct json_node *child, const unsigned char *text,
                                 size_t at)
{
    size_t size = child->size;

    if (size > 6 && at >= 16) {
        if ((json_load(text + at - 16) & child->mask2) != child->word2)
            return false;
        if (FAASI_UNLIKELY(size > 15) &&
            memcmp(text + at - size - 1, paths->text + child->text, size - 15) != 0)
            return false;
    } else if (size > 6) {
        if (at < size + 2 ||
            memcmp(text + at - size - 1, paths->text + child->text, size) != 0)
            return false;
    }
    /* The first quote must be a real one. */
    return at >= size + 2 && text[at - size - 2] == '"' &&
           (at == size + 2 || text[at - size - 3] != '\\');
}

/* The same as faasi_json_key_slow(), with a comparison of eight bytes per child. There
 * may be backslashes in the key only if `escapes` is not 0. `at` is less than `size`;
 * reads from text[0] up to text[at - 1], or up to text[7]. */
INLINE uint32_t json_key_find(const struct faasi_json_paths *paths,
                              const struct json_node *node, const unsigned char *text,
                              size_t size, size_t at, uint64_t escapes)
{
    const struct json_node *child = paths->nodes + node->first;
    uint64_t word;

    if (FAASI_LIKELY(at >= 8))
        word = json_load(text + at - 8);
    else if (size >= 8 && at > 0)
        word = json_load(text) << (64 - 8 * at);
    else
        return faasi_json_key_slow(paths, node, text, at);
    if (FAASI_UNLIKELY(word >> 56 != '"' || node->count > JSON_LINEAR_MAX))
        return faasi_json_key_slow(paths, node, text, at);
    for (uint32_t i = 0; i < node->count; i++, child++)
        if ((word & child->mask) == child->word && json_key_rest(paths, child, text, at))
            return node->first + i;
    return FAASI_UNLIKELY(escapes != 0) ? faasi_json_key_slow(paths, node, text, at) : 0;
}

/* The elements of an array are often objects with the same keys in the same order, in one
 * event after the other. A shape is what one such element looked like: flat, without
 * white space or escapes, every key once. Elements like it are walked by comparing,
 * without a search for their keys. */
#define SHAPE_MAX 8

/* A shape that served fewer elements than this was not worth its making: that many times
 * as many elements pass before another is made. */
#define SHAPE_WORTH 16

struct shape_member {
    uint64_t word, mask, word2, mask2; /* of the key with its quotes and colon */
    uint64_t bit;                      /* of the child; 0: nobody named it */
    uint32_t size;                     /* of the words */
    uint32_t field;                    /* of its scalars; JSON_NONE: they do not count */
};

struct shape {
    uint64_t serial; /* of the set of paths; 0: there is no shape */
    uint32_t node;   /* of that set */
    uint32_t count;
    uint32_t served; /* elements */
    uint32_t missed; /* elements that were not quite like it */
    uint32_t wait;   /* so many elements more */
    struct shape_member members[SHAPE_MAX];
};

/* Returns the last one that this thread has seen. A hint: it decides how fast a walk is,
 * and never what it finds. */
struct shape *faasi_json_shape(void);

/* Takes the shape of the object of `node` between text[begin], its bracket, and text[end],
 * which is the other one. */
void faasi_json_shape_take(struct shape *shape, const struct faasi_json_paths *paths,
                           uint32_t node, const unsigned char *text, size_t begin,
                           size_t end);

/* The kernels of this build; NULL where the build has no such kernel. */
extern const struct faasi_json_kernel faasi_json_plain;
#if defined(__x86_64__) && defined(__GNUC__)
#define JSON_X86 1
extern const struct faasi_json_kernel faasi_json_sse;
extern const struct faasi_json_kernel faasi_json_avx2;
extern const struct faasi_json_kernel faasi_json_avx512;
#endif

/* Does what faasi_json_check() promises, byte by byte and without an index. */
faas_status faasi_json_fault_find(faas_bytes text, struct faasi_json_fault *fault);

/* Says whether the number or literal that contains text[at] is well formed: looks from
 * its first byte to its last. */
bool faasi_json_scalar_ok(const unsigned char *text, size_t size, size_t at);

/* Says whether the escape whose second byte is text[at] is well formed. */
bool faasi_json_escape_ok(const unsigned char *text, size_t size, size_t at);

#endif /* FAASI_JSON_IMPL_H */
