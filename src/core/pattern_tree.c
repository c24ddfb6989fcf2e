/* SPDX-License-Identifier: MIT */
/* pattern_tree.c - a JSON text as a tree. */
#include "pattern_tree.h"

#include "mem.h"
#include "utf8.h"

#include <stdio.h>

/* Blocks double from here, so that a small pattern costs one allocation. */
#define BLOCK_BYTES 2048
#define BLOCK_BYTES_MAX 65536

struct faasi_arena_block {
    struct faasi_arena_block *next;
    size_t size;
};

struct parser {
    const char *text;
    size_t size;
    size_t at;
    const struct faasi_tree_rules *rules;
    struct faasi_arena *arena;
    size_t *error_at;
    uint32_t depth;
};

void faasi_arena_init(struct faasi_arena *arena, const faas_allocator *alloc)
{
    arena->alloc = alloc;
    arena->blocks = NULL;
    arena->at = NULL;
    arena->left = 0;
}

void faasi_arena_fini(struct faasi_arena *arena)
{
    struct faasi_arena_block *next;

    for (struct faasi_arena_block *block = arena->blocks; block != NULL; block = next) {
        next = block->next;
        faasi_free(arena->alloc, block, block->size);
    }
    faasi_arena_init(arena, arena->alloc);
}

void *faasi_arena_take(struct faasi_arena *arena, size_t size)
{
    void *memory;

    size = faasi_round_up(size, 8);
    if (size > arena->left) {
        size_t bytes = arena->blocks == NULL ? BLOCK_BYTES : arena->blocks->size * 2;
        struct faasi_arena_block *block;

        if (bytes > BLOCK_BYTES_MAX)
            bytes = BLOCK_BYTES_MAX;
        if (bytes < size + sizeof *block)
            bytes = size + sizeof *block;
        block = faasi_alloc(arena->alloc, bytes);
        if (block == NULL)
            return NULL;
        block->next = arena->blocks;
        block->size = bytes;
        arena->blocks = block;
        arena->at = (char *)(block + 1);
        arena->left = bytes - sizeof *block;
    }
    memory = arena->at;
    arena->at += size;
    arena->left -= size;
    return memset(memory, 0, size);
}

struct faasi_tree_piece faasi_tree_found(const char *text, size_t size, size_t at)
{
    struct faasi_tree_piece piece;
    size_t used = 1;

    if (at >= size) {
        (void)snprintf(piece.text, sizeof piece.text, "the end");
        return piece;
    }
    if ((unsigned char)text[at] < ' ' || (unsigned char)text[at] >= 0x7f) {
        (void)snprintf(piece.text, sizeof piece.text, "byte 0x%02x",
                       (unsigned)(unsigned char)text[at]);
        return piece;
    }
    piece.text[0] = '`';
    for (; at < size && used < 24; at++) {
        unsigned char byte = (unsigned char)text[at];

        if (byte < ' ' || byte >= 0x7f)
            break;
        piece.text[used++] = (char)byte;
    }
    piece.text[used++] = '`';
    piece.text[used] = '\0';
    return piece;
}

static faas_status parser_refuse(struct parser *p, size_t at, const char *expected)
{
    struct faasi_tree_piece found = faasi_tree_found(p->text, p->size, at);

    *p->error_at = at;
    return faasi_fail(FAAS_ESYNTAX, "%s: byte %zu: found %s, expected %s", p->rules->what,
                      at, found.text, expected);
}

static faas_status no_memory(struct parser *p)
{
    *p->error_at = p->at;
    return faasi_fail(FAAS_ENOMEM, "%s: no memory to read it", p->rules->what);
}

static void space_skip(struct parser *p)
{
    while (p->at < p->size && (p->text[p->at] == ' ' || p->text[p->at] == '\n' ||
                               p->text[p->at] == '\r' || p->text[p->at] == '\t'))
        p->at++;
}

static bool next_is(const struct parser *p, char byte)
{
    return p->at < p->size && p->text[p->at] == byte;
}

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte = (char)(byte | 32);
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static uint32_t hex_four(const char *text)
{
    uint32_t unit = 0;

    for (int i = 0; i < 4; i++)
        unit = unit << 4 | (uint32_t)hex_digit(text[i]);
    return unit;
}

static size_t point_write(char *out, uint32_t point)
{
    size_t length = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};

    for (size_t i = length - 1; i > 0; i--, point >>= 6)
        out[i] = (char)(0x80 | (point & 63));
    out[0] = (char)(lead[length] | point);
    return length;
}

size_t faasi_tree_unescape(char *out, const char *text, size_t size)
{
    static const char letters[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    size_t used = 0;

    for (size_t at = 0; at < size;) {
        if (text[at] != '\\') {
            out[used++] = text[at++];
        } else if (text[at + 1] == 'u') {
            uint32_t point = hex_four(text + at + 2);

            at += 6;
            if (point >> 10 == 0xD800 >> 10 && size - at >= 6 && text[at] == '\\' &&
                text[at + 1] == 'u') {
                uint32_t low = hex_four(text + at + 2);

                if (low >> 10 == 0xDC00 >> 10) {
                    point = 0x10000 + ((point & 0x3FF) << 10 | (low & 0x3FF));
                    at += 6;
                }
            }
            used += point_write(out + used, point);
        } else {
            const char *letter = letters;

            while (*letter != text[at + 1])
                letter += 2;
            out[used++] = letter[1];
            at += 2;
        }
    }
    return used;
}

static faas_status escape_check(struct parser *p)
{
    size_t at = p->at + 1; // behind the backslash

    if (at >= p->size || p->text[at] == '\0' ||
        strchr("\"\\/bfnrtu", p->text[at]) == NULL)
        return parser_refuse(p, p->at, "a known escape");
    if (p->text[at] == 'u') {
        for (size_t i = 1; i <= 4; i++)
            if (at + i >= p->size || hex_digit(p->text[at + i]) < 0)
                return parser_refuse(p, at + i, "four hexadecimal digits after \\u");
        at += 4;
    }
    p->at = at + 1;
    return FAAS_OK;
}

/* Reads a string from its opening quote on. */
static faas_status string_read(struct parser *p, const char **out, uint32_t *out_size)
{
    size_t start = ++p->at;
    uint32_t point;
    faas_status status;
    char *copy;

    for (;;) {
        unsigned char byte;

        if (p->at >= p->size)
            return parser_refuse(p, p->at, "a closing quote");
        byte = (unsigned char)p->text[p->at];
        if (byte == '"')
            break;
        if (byte < ' ')
            return parser_refuse(p, p->at, "a closing quote, or this byte escaped");
        if (byte == '\\') {
            status = escape_check(p);
            if (status != FAAS_OK)
                return status;
        } else {
            size_t length = faasi_utf8_next(p->text + p->at, p->size - p->at, &point);

            if (point == FAASI_UTF8_BAD)
                return parser_refuse(p, p->at, "UTF-8");
            p->at += length;
        }
    }
    copy = faasi_arena_take(p->arena, p->at - start + 1);
    if (copy == NULL)
        return no_memory(p);
    *out_size = (uint32_t)faasi_tree_unescape(copy, p->text + start, p->at - start);
    *out = copy;
    p->at++;
    return FAAS_OK;
}

static faas_status digits_skip(struct parser *p)
{
    size_t start = p->at;

    while (p->at < p->size && p->text[p->at] >= '0' && p->text[p->at] <= '9')
        p->at++;
    return p->at > start ? FAAS_OK : parser_refuse(p, p->at, "a digit");
}

static faas_status number_read(struct parser *p, struct faasi_tree *node)
{
    faas_status status;
    size_t start;
    char *copy;

    if (next_is(p, '-'))
        p->at++;
    start = p->at;
    status = digits_skip(p);
    if (status == FAAS_OK && p->text[start] == '0' && p->at > start + 1)
        return parser_refuse(p, start, "a number without leading zeros");
    if (status == FAAS_OK && next_is(p, '.')) {
        p->at++;
        status = digits_skip(p);
    }
    if (status == FAAS_OK && (next_is(p, 'e') || next_is(p, 'E'))) {
        p->at++;
        if (next_is(p, '+') || next_is(p, '-'))
            p->at++;
        status = digits_skip(p);
    }
    if (status != FAAS_OK)
        return status;
    node->kind = FAASI_TREE_NUMBER;
    node->text_size = (uint32_t)(p->at - node->at);
    copy = faasi_arena_take(p->arena, node->text_size + 1u);
    if (copy == NULL)
        return no_memory(p);
    node->text = memcpy(copy, p->text + node->at, node->text_size);
    return FAAS_OK;
}

static faas_status literal_read(struct parser *p, struct faasi_tree *node)
{
    static const struct {
        const char *text;
        enum faasi_tree_kind kind;
    } literals[] = {{"null", FAASI_TREE_NULL},
                    {"false", FAASI_TREE_FALSE},
                    {"true", FAASI_TREE_TRUE}};

    for (size_t i = 0; i < FAASI_COUNT(literals); i++) {
        size_t length = strlen(literals[i].text);

        if (p->size - p->at >= length &&
            memcmp(p->text + p->at, literals[i].text, length) == 0) {
            node->kind = literals[i].kind;
            p->at += length;
            return FAAS_OK;
        }
    }
    return parser_refuse(p, p->at, "a value");
}

static faas_status value_read(struct parser *p, struct faasi_tree *node);

static faas_status member_read(struct parser *p, struct faasi_tree *member)
{
    faas_status status;

    if (!next_is(p, '"'))
        return parser_refuse(p, p->at, "a key in double quotes");
    member->key_at = (uint32_t)p->at;
    status = string_read(p, &member->key, &member->key_size);
    if (status != FAAS_OK)
        return status;
    space_skip(p);
    if (!next_is(p, ':'))
        return parser_refuse(p, p->at, "':'");
    p->at++;
    space_skip(p);
    return value_read(p, member);
}

/* Reads what stands between the brackets, and both of them. */
static faas_status children_read(struct parser *p, struct faasi_tree *node, char close)
{
    struct faasi_tree **link = &node->child;
    faas_status status;

    if (++p->depth > p->rules->depth_max) {
        *p->error_at = p->at;
        return faasi_fail(FAAS_EINVAL, "%s: byte %zu: nested deeper than %u",
                          p->rules->what, p->at, p->rules->depth_max);
    }
    p->at++;
    space_skip(p);
    if (next_is(p, close)) {
        p->at++;
        p->depth--;
        return FAAS_OK;
    }
    for (;;) {
        struct faasi_tree *child = faasi_arena_take(p->arena, sizeof *child);

        if (child == NULL)
            return no_memory(p);
        *link = child;
        link = &child->next;
        node->child_count++;
        status = close == '}' ? member_read(p, child) : value_read(p, child);
        if (status != FAAS_OK)
            return status;
        space_skip(p);
        if (next_is(p, close))
            break;
        if (!next_is(p, ','))
            return parser_refuse(p, p->at, close == '}' ? "',' or '}'" : "',' or ']'");
        p->at++;
        space_skip(p);
    }
    p->at++;
    p->depth--;
    return FAAS_OK;
}

static faas_status value_read(struct parser *p, struct faasi_tree *node)
{
    faas_status status;
    char first = p->at < p->size ? p->text[p->at] : '\0';

    node->at = (uint32_t)p->at;
    if (first == '{') {
        node->kind = FAASI_TREE_OBJECT;
        status = children_read(p, node, '}');
    } else if (first == '[') {
        node->kind = FAASI_TREE_ARRAY;
        status = children_read(p, node, ']');
    } else if (first == '"') {
        node->kind = FAASI_TREE_STRING;
        status = string_read(p, &node->text, &node->text_size);
    } else if (first == '-' || (first >= '0' && first <= '9')) {
        status = number_read(p, node);
    } else {
        status = literal_read(p, node);
    }
    node->end = (uint32_t)p->at;
    return status;
}

faas_status faasi_tree_read(struct faasi_tree **out, const char *text, size_t size,
                            const struct faasi_tree_rules *rules,
                            struct faasi_arena *arena, size_t *error_at)
{
    struct parser p = {
        .text = text, .size = size, .rules = rules, .arena = arena, .error_at = error_at};
    struct faasi_tree *root;
    faas_status status;

    *out = NULL;
    *error_at = 0;
    root = faasi_arena_take(arena, sizeof *root);
    if (root == NULL)
        return no_memory(&p);
    space_skip(&p);
    status = value_read(&p, root);
    if (status != FAAS_OK)
        return status;
    space_skip(&p);
    if (p.at < size)
        return parser_refuse(&p, p.at, "nothing after the closing bracket");
    *out = root;
    return FAAS_OK;
}
