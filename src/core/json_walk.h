/* SPDX-License-Identifier: MIT */
/* json_walk.h - the walk over the words of blocks: a part of json_kernel.h, which
 * includes it once per kind of CPU.
 *
 * Every function takes `strict` as a constant: the words come from an index that
 * faasi_json_check() made, or are made of the text on the way.
 *
 * Layer: 1 structures, private to json*.c. */

/* The words of a block that are made of the text, and what blocks leave for the next
 * one. */
struct making {
    _Alignas(64) uint64_t words[WORD_COUNT];
    uint64_t inside, odd;
    uint64_t escapes; /* any bit: a backslash was seen; strict as well */
};

/* The block that the walk is in. No pointer to it is handed out of line, so that it lives
 * in registers: what a step leaves for the next one would go through memory otherwise,
 * and each step waits for the one before it. */
struct cursor {
    const uint64_t *words; /* in the index, or those being made */
    const unsigned char *text;
    size_t size;
    size_t base;   /* offset of the block */
    uint64_t rest; /* bits that were not passed yet */
    struct making *made;
};

INLINE uint64_t cursor_word(const struct cursor *c, int word, bool strict)
{
    return c->words[strict ? INDEX_STRIDE * word : word];
}

INLINE void block_make(struct making *made, const unsigned char *text, size_t size,
                       size_t base)
{
    const unsigned char *block = text + base;
    unsigned char pad[64];
    uint64_t inside, quotes;
    block_words words;

    if (FAASI_UNLIKELY(size - base < 64))
        block = tail_pad(pad, block, size - base);
    words = words_load(block);
    quotes = words_quotes(&words);
    if (FAASI_UNLIKELY((words_escapes(&words) | made->odd) != 0))
        quotes &= ~escaped_find(words_escapes(&words), &made->odd);
    inside = prefix_xor(quotes) ^ made->inside;
    made->inside = 0 - (inside >> 63);
    words_store(made->words, &words, quotes, inside | quotes);
}

/* The same out of line, for where it is rare: there are many such places. */
static __attribute__((noinline)) void
block_make_rare(struct making *made, const unsigned char *text, size_t size, size_t base)
{
    block_make(made, text, size, base);
}

INLINE bool cursor_step(struct cursor *c, bool strict, bool rare)
{
    c->base += 64;
    if (FAASI_UNLIKELY(c->base >= c->size))
        return false;
    if (strict)
        c->words += c->base % 512 != 0 ? 1 : FAASI_JSON_INDEX_WORDS - INDEX_STRIDE + 1;
    else if (rare)
        block_make_rare(c->made, c->text, c->size, c->base);
    else
        block_make(c->made, c->text, c->size, c->base);
    c->rest = ~(uint64_t)0;
    c->made->escapes |= cursor_word(c, WORD_ESCAPE, strict);
    return true;
}

INLINE bool cursor_next(struct cursor *c, bool strict)
{
    return cursor_step(c, strict, false);
}

INLINE bool cursor_next_rare(struct cursor *c, bool strict)
{
    return cursor_step(c, strict, true);
}

/* Places the cursor at `at`, which lies outside strings. */
INLINE bool cursor_start(struct cursor *c, const struct faasi_json_walk *walk,
                         struct making *made, bool strict)
{
    c->text = walk->text;
    c->size = walk->size;
    c->base = strict ? walk->at & ~63U : walk->at;
    c->rest = bits_from(walk->at - c->base);
    c->words = strict ? walk->index + index_at(c->base) : made->words;
    c->made = made;
    made->escapes = walk->escapes;
    if (c->base >= c->size)
        return false;
    if (!strict) {
        made->inside = 0;
        made->odd = 0;
        block_make_rare(made, c->text, c->size, c->base);
    }
    made->escapes |= cursor_word(c, WORD_ESCAPE, strict);
    return true;
}

/* Moves the cursor on to the block of `at`, and passes what comes before `at`. */
INLINE bool cursor_seek(struct cursor *c, size_t at, bool strict)
{
    while (FAASI_UNLIKELY(at - c->base >= 64))
        if (!cursor_next_rare(c, strict))
            return false;
    c->rest = bits_from(at - c->base);
    return true;
}

/* Moves the cursor behind the `count`-th bracket that closes more than was opened. Counts
 * only brackets of one kind: square ones, or curly ones if `flip` is all ones. Strict:
 * one container, and `level` is the depth outside of it. */
INLINE bool container_pass(struct cursor *c, uint64_t count, uint64_t flip,
                           uint64_t level, bool strict)
{
    for (;;) {
        uint64_t kind = (cursor_word(c, WORD_SQUARE, strict) ^ flip) & c->rest;
        uint64_t close = cursor_word(c, WORD_CLOSE, strict) & kind;
        uint64_t open = cursor_word(c, WORD_OPEN, strict) & kind;
        uint64_t closes = bits_count(close);

        if (strict ? cursor_word(c, WORD_LOWEST, strict) > level : closes < count) {
            count += bits_count(open) - closes;
        } else {
            for (uint64_t bits = open | close; bits != 0; bits &= bits - 1) {
                uint64_t bit = bits & (0 - bits);

                if ((open & bit) != 0) {
                    count++;
                } else if (--count == 0) {
                    c->rest = bits_above_first(bits);
                    return true;
                }
            }
        }
        if (!cursor_next(c, strict))
            return false;
    }
}

/* Where a cursor is: small enough to be returned in registers. */
struct spot {
    size_t base; /* the size of the text, or more: nowhere */
    uint64_t rest;
};

/* Out of line, and by fields: a struct that is stored in pieces and loaded as a whole
 * waits for all its pieces. */
static __attribute__((noinline)) struct spot
container_pass_strict(const uint64_t *words, struct making *made, size_t size,
                      struct spot from, uint64_t flip, uint64_t level)
{
    struct cursor c = {words, NULL, size, from.base, from.rest, made};

    if (!container_pass(&c, 1, flip, level, true))
        c.base = size;
    return (struct spot){c.base, c.rest};
}

static __attribute__((noinline)) struct spot
container_pass_trusted(struct making *made, const unsigned char *text, size_t size,
                       struct spot from, uint64_t count, uint64_t flip)
{
    struct cursor c = {made->words, text, size, from.base, from.rest, made};

    if (!container_pass(&c, count, flip, 0, false))
        c.base = size;
    return (struct spot){c.base, c.rest};
}

/* Everything the walk keeps at hand. */
struct walker {
    struct faasi_json_walk *walk;
    struct faasi_json_frame *frame;
    const struct json_node *nodes;
    const struct json_node *node;       /* of the frame */
    struct faasi_json_value *value;     /* where the next one goes */
    struct faasi_json_value *value_end; /* of the room */
    struct shape *shape;                /* of elements; NULL before the first one */
    struct cursor cursor;
};

INLINE bool container_skip(struct walker *w, uint64_t count, uint64_t flip,
                           uint64_t level, bool strict)
{
    struct cursor *c = &w->cursor;
    struct spot spot = {c->base, c->rest};
    /* Most are small and hold no others: their end is the next bracket of their kind. */
    uint64_t kind = (cursor_word(c, WORD_SQUARE, strict) ^ flip) & c->rest;
    uint64_t close = cursor_word(c, WORD_CLOSE, strict) & kind;
    uint64_t brackets = close | (cursor_word(c, WORD_OPEN, strict) & kind);

    if (count == 1 && (brackets & (0 - brackets) & close) != 0) {
        c->rest = bits_above_first(brackets);
        return true;
    }
    if (strict) {
        spot = container_pass_strict(c->words, c->made, c->size, spot, flip, level);
        c->words = w->walk->index + index_at(spot.base);
    } else {
        spot = container_pass_trusted(c->made, c->text, c->size, spot, count, flip);
    }
    c->base = spot.base;
    c->rest = spot.rest;
    return c->base < c->size;
}

/* What became of a step. */
enum step { STEP_ON, STEP_FULL, STEP_BROKEN, STEP_DONE };

INLINE size_t cursor_at(const struct cursor *c)
{
    return c->base + (c->rest == 0 ? 64 : (size_t)bit_first(c->rest));
}

INLINE void value_add(struct walker *w, uint32_t field, uint32_t kind, size_t begin,
                      size_t end)
{
    struct faasi_json_value *value = w->value++;

    value->field = field;
    value->kind = kind;
    value->begin = (uint32_t)begin;
    value->end = (uint32_t)end;
    value->place = w->frame->place;
}

/* Reads the string whose opening quote is at `at`, and moves behind it. */
INLINE enum step string_read(struct walker *w, size_t at, uint32_t field, bool strict)
{
    struct cursor *c = &w->cursor;
    uint64_t escapes = 0, bits;

    if (!cursor_seek(c, at, strict))
        return STEP_BROKEN;
    c->rest = bits_above_first(c->rest);
    for (;;) {
        bits = cursor_word(c, WORD_QUOTE, strict) & c->rest;
        if (FAASI_LIKELY(bits != 0))
            break;
        escapes |= cursor_word(c, WORD_ESCAPE, strict) & c->rest;
        if (!cursor_next_rare(c, strict))
            return STEP_BROKEN;
    }
    escapes |= cursor_word(c, WORD_ESCAPE, strict) & c->rest &
               ~bits_from((size_t)bit_first(bits));
    c->rest = bits_above_first(bits);
    value_add(w, field, escapes != 0 ? FAASI_JSON_ESCAPED : FAASI_JSON_STRING, at + 1,
              c->base + (size_t)bit_first(bits));
    return STEP_ON;
}

/* Reads the number or literal that begins at `at`, and moves to its end. */
INLINE enum step scalar_read(struct walker *w, size_t at, uint32_t field, bool strict)
{
    struct cursor *c = &w->cursor;
    uint32_t kind;
    uint64_t bits;
    size_t end;

    switch (c->text[at]) {
    case 't':
        kind = FAASI_JSON_TRUE;
        break;
    case 'f':
        kind = FAASI_JSON_FALSE;
        break;
    case 'n':
        kind = FAASI_JSON_NULL;
        break;
    default:
        kind = FAASI_JSON_NUMBER;
        if (!strict && c->text[at] != '-' && (c->text[at] < '0' || c->text[at] > '9'))
            return STEP_BROKEN;
        break;
    }
    if (!cursor_seek(c, at, strict))
        return STEP_BROKEN;
    while (FAASI_UNLIKELY((bits = cursor_word(c, WORD_ENDER, strict) & c->rest) == 0))
        if (!cursor_next_rare(c, strict))
            return STEP_BROKEN;
    end = c->base + (size_t)bit_first(bits);
    if (!strict && end >= c->size)
        return STEP_BROKEN;
    c->rest = bits_from((size_t)bit_first(bits));
    value_add(w, field, kind, at, end);
    return STEP_ON;
}

/* Enters the container whose bracket is at `at`, as `frame`. */
INLINE enum step frame_enter(struct walker *w, struct faasi_json_frame *frame, size_t at,
                             const struct json_node *node, uint32_t array, uint32_t place,
                             bool strict)
{
    if (!cursor_seek(&w->cursor, at, strict))
        return STEP_BROKEN;
    w->cursor.rest = bits_above_first(w->cursor.rest);
    frame->seen = 0;
    frame->node = (uint32_t)(node - w->nodes) | array;
    frame->begin = (uint32_t)at;
    frame->place = place;
    w->frame = frame;
    w->node = node;
    return STEP_ON;
}

/* Enters a container inside the innermost one. */
INLINE enum step frame_push(struct walker *w, size_t at, const struct json_node *node,
                            uint32_t array, uint32_t place, bool strict)
{
    if (!strict && w->frame == w->walk->frames + (FAASI_JSON_DEPTH_MAX - 1))
        return STEP_BROKEN;
    return frame_enter(w, w->frame + 1, at, node, array, place, strict);
}

INLINE uint64_t walk_depth(const struct walker *w)
{
    return (uint64_t)(w->frame - w->walk->frames) + 1;
}

/* Passes the container whose bracket is at `at` without a look inside. */
INLINE enum step element_skip(struct walker *w, size_t at, bool strict)
{
    uint64_t flip = w->cursor.text[at] == '[' ? 0 : ~(uint64_t)0;

    if (!cursor_seek(&w->cursor, at, strict))
        return STEP_BROKEN;
    w->cursor.rest = bits_above_first(w->cursor.rest);
    return container_skip(w, 1, flip, walk_depth(w), strict) ? STEP_ON : STEP_BROKEN;
}

INLINE bool shape_is_known(struct walker *w)
{
    if (w->shape == NULL)
        w->shape = faasi_json_shape();
    return w->shape->serial == w->walk->paths->serial &&
           w->shape->node == (uint32_t)(w->node - w->nodes);
}

/* An element, an object, has ended right before the cursor: others may look like it. */
INLINE void shape_learn(struct walker *w)
{
    const struct cursor *c = &w->cursor;

    if (shape_is_known(w))
        return;
    if (FAASI_LIKELY(w->shape->wait > 0))
        w->shape->wait--;
    else
        faasi_json_shape_take(w->shape, w->walk->paths, (uint32_t)(w->node - w->nodes),
                              c->text, w->frame[1].begin, cursor_at(c) - 1);
}

/* The value of a member has been read. Trusted: if it was the last of the members that
 * are named, passes the rest of the object, and so on outwards. */
INLINE enum step member_end(struct walker *w, const struct json_node *child, bool strict)
{
    uint64_t count = 0;

    if (strict)
        return STEP_ON;
    for (;;) {
        if (w->node->full == 0)
            break;
        w->frame->seen |= (uint64_t)1 << (child - w->nodes - w->node->first);
        if (w->frame->seen != w->node->full)
            break;
        count++;
        if (w->frame == w->walk->frames)
            return STEP_DONE;
        w->frame--;
        child = w->node;
        w->node = w->nodes + (w->frame->node & ~JSON_ARRAY_BIT);
        if ((w->frame->node & JSON_ARRAY_BIT) != 0)
            break;
    }
    if (count != 0 && !container_skip(w, count, ~(uint64_t)0, 0, strict))
        return STEP_BROKEN;
    if (count == 1 && child == w->node)
        shape_learn(w);
    return STEP_ON;
}

/* Leaves the innermost container; the cursor is behind its end. */
INLINE enum step frame_pop(struct walker *w, bool array, bool strict)
{
    const struct json_node *child = w->node;

    if (w->frame == w->walk->frames)
        return STEP_DONE;
    w->frame--;
    w->node = w->nodes + (w->frame->node & ~JSON_ARRAY_BIT);
    if (!array && child == w->node)
        shape_learn(w);
    return (w->frame->node & JSON_ARRAY_BIT) != 0 ? STEP_ON
                                                  : member_end(w, child, strict);
}

INLINE enum step walk_full(struct walker *w, size_t at)
{
    w->walk->at = (uint32_t)at;
    return STEP_FULL;
}

/* Reads the value of the member of `child` whose colon is at `at`. */
INLINE enum step member_read(struct walker *w, size_t at, const struct json_node *child,
                             bool strict)
{
    const struct cursor *c = &w->cursor;
    enum step step = STEP_ON;
    size_t value = at + 1;

    if (FAASI_UNLIKELY(w->value == w->value_end))
        return walk_full(w, at);
    while (value < c->size && json_is_space(c->text[value]))
        value++;
    if (value >= c->size)
        return STEP_BROKEN;
    switch (c->text[value]) {
    case '{':
        if (child->count != 0)
            return frame_push(w, value, child, 0, w->frame->place, strict);
        step = element_skip(w, value, strict);
        break;
    case '[':
        return frame_push(w, value, child, JSON_ARRAY_BIT, w->frame->place, strict);
    case '"':
        if (child->field != JSON_NONE)
            step = string_read(w, value, child->field, strict);
        break;
    default:
        if (child->field != JSON_NONE)
            step = scalar_read(w, value, child->field, strict);
        break;
    }
    return step == STEP_ON ? member_end(w, child, strict) : step;
}

/* Goes through the members of an object until something else must be done. */
INLINE enum step object_walk(struct walker *w, bool strict)
{
    struct cursor *c = &w->cursor;

    for (;;) {
        uint64_t bits, bit;
        uint32_t child;
        size_t at;

        while ((bits = (cursor_word(c, WORD_COLON, strict) |
                        cursor_word(c, WORD_OPEN, strict) |
                        cursor_word(c, WORD_CLOSE, strict)) &
                       c->rest) == 0)
            if (!cursor_next(c, strict))
                return STEP_BROKEN;
        bit = bits & (0 - bits);
        at = c->base + (size_t)bit_first(bits);
        c->rest = bits_above_first(bits);
        if ((cursor_word(c, WORD_COLON, strict) & bit) != 0) {
            child = json_key_find(w->walk->paths, w->node, c->text, c->size, at,
                                  c->made->escapes);
            if (child != 0)
                return member_read(w, at, w->nodes + child, strict);
        } else if ((cursor_word(c, WORD_CLOSE, strict) & bit) != 0) {
            if (!strict && (cursor_word(c, WORD_SQUARE, strict) & bit) != 0)
                return STEP_BROKEN;
            return frame_pop(w, false, strict);
        } else {
            uint64_t flip =
                (cursor_word(c, WORD_SQUARE, strict) & bit) != 0 ? 0 : ~(uint64_t)0;

            if (!container_skip(w, 1, flip, walk_depth(w), strict))
                return STEP_BROKEN;
        }
    }
}

/* Places the cursor at `at`, which lies outside strings, in whatever block. */
INLINE bool cursor_jump(struct walker *w, size_t at, bool strict)
{
    struct cursor *c = &w->cursor;

    if (at >= c->size)
        return false;
    c->base = strict ? at & ~(size_t)63 : at;
    c->rest = bits_from(at - c->base);
    if (strict) {
        c->words = w->walk->index + index_at(c->base);
    } else {
        c->made->inside = 0;
        c->made->odd = 0;
        block_make_rare(c->made, c->text, c->size, c->base);
    }
    c->made->escapes |= cursor_word(c, WORD_ESCAPE, strict);
    return true;
}

/* Bytes that must be there to look at a member of a shape: of a key, and behind it the
 * longest literal and what ends it. */
#define SHAPE_AHEAD 24

/* Where numbers end: bit n of both together speaks of text[base + n]. Made once per
 * element and not once per number, because each waits for the end of the one before
 * it. */
struct ends {
    size_t base;
    uint64_t low, high;
};

INLINE void ends_make(struct ends *ends, const unsigned char *text, size_t size,
                      size_t base)
{
    const size_t left = size - base;

    ends->base = base;
    ends->low = numbers_end(text + base, left);
    ends->high = left <= 64 ? 0 : numbers_end(text + base + 64, left - 64);
}

/* Returns where the scalar at `at` ends and sets its kind, or returns 0 if it is none of
 * the simple ones: no exponent, no escape, no 64 digits. */
INLINE size_t shape_scalar(const unsigned char *text, size_t size, size_t at,
                           struct ends *ends, uint32_t *kind)
{
    static const char words[3][4] = {
        {'t', 'r', 'u', 'e'}, {'f', 'a', 'l', 's'}, {'n', 'u', 'l', 'l'}};
    uint64_t bits;
    size_t past;

    switch (text[at]) {
    case '"':
        *kind = FAASI_JSON_STRING;
        for (at++; size - at > 32; at += 32) {
            bits = strings_end(text + at);
            if (FAASI_LIKELY(bits != 0)) {
                at += (size_t)bit_first(bits);
                return text[at] == '"' ? at + 1 : 0;
            }
        }
        return 0;
    case 't':
        *kind = FAASI_JSON_TRUE;
        return memcmp(text + at, words[0], 4) == 0 ? at + 4 : 0;
    case 'f':
        *kind = FAASI_JSON_FALSE;
        return memcmp(text + at, words[1], 4) == 0 && text[at + 4] == 'e' ? at + 5 : 0;
    case 'n':
        *kind = FAASI_JSON_NULL;
        return memcmp(text + at, words[2], 4) == 0 ? at + 4 : 0;
    default:
        *kind = FAASI_JSON_NUMBER;
        if (text[at] != '-' && (text[at] < '0' || text[at] > '9'))
            return 0;
        past = at - ends->base;
        bits = past < 64 ? ends->low >> past | ends->high << 1 << (63 - past) : 0;
        if (FAASI_UNLIKELY(bits == 0)) {
            ends_make(ends, text, size, at);
            bits = ends->low;
        }
        at += bits == 0 ? size : (size_t)bit_first(bits);
        return at < size ? at : 0;
    }
}

/* Leaves the walk over shapes at `at`, inside the element that began at `begin`. */
INLINE enum step shape_leave(struct walker *w, size_t at, size_t begin, uint32_t place,
                             uint64_t seen, bool strict)
{
    if (!cursor_jump(w, begin, strict) ||
        frame_push(w, begin, w->node, 0, place, strict) != STEP_ON ||
        !cursor_jump(w, at, strict))
        return STEP_BROKEN;
    w->frame->seen = seen;
    if (++w->shape->missed == SHAPE_WORTH)
        w->shape->serial = 0;
    if (strict || w->node->full == 0 || seen != w->node->full)
        return STEP_ON;
    w->frame--;
    return container_skip(w, 1, ~(uint64_t)0, 0, strict) ? STEP_ON : STEP_BROKEN;
}

/* Goes through the elements of an array, from the one whose bracket is at `at` on, as
 * long as they are of the shape: byte by byte where it expects them, without a look at
 * blocks. */
INLINE enum step shape_walk(struct walker *w, size_t at, bool strict)
{
    struct faasi_json_walk *walk = w->walk;
    struct shape *shape = w->shape;
    const unsigned char *text = w->cursor.text;
    const size_t size = w->cursor.size;

    for (;;) {
        const size_t begin = at;
        struct faasi_json_value *value = w->value;
        struct ends ends = {at, 0, 0};
        uint32_t place = FAASI_JSON_NOWHERE;
        uint64_t seen = 0;

        if (w->value_end - value < shape->count ||
            (walk->place_max != 0 && walk->place_count == walk->place_max)) {
            return cursor_jump(w, at, strict) ? STEP_ON : STEP_BROKEN;
        }
        if (walk->place_max != 0) {
            place = walk->place_count++;
            walk->places[place] =
                (struct faasi_json_place){w->frame->begin, (uint32_t)at, w->frame->place};
        }
        ends_make(&ends, text, size, at);
        for (uint32_t i = 0; i < shape->count; i++) {
            const struct shape_member *member = &shape->members[i];
            size_t from = at + 1 + member->size, end = 0;
            uint32_t kind = 0;

            if (size - at > SHAPE_AHEAD &&
                (json_load(text + at + 1) & member->mask) == member->word &&
                (member->size <= 8 ||
                 (json_load(text + at + 9) & member->mask2) == member->word2))
                end = shape_scalar(text, size, from, &ends, &kind);
            if (FAASI_UNLIKELY(end == 0 ||
                               text[end] != (i + 1 < shape->count ? ',' : '}'))) {
                w->value = value;
                return shape_leave(w, i == 0 ? at + 1 : at, begin, place, seen, strict);
            }
            if (member->field != JSON_NONE) {
                const uint32_t quote = kind == FAASI_JSON_STRING;

                value->field = member->field;
                value->kind = kind;
                value->begin = (uint32_t)from + quote;
                value->end = (uint32_t)end - quote;
                value->place = place;
                value++;
            }
            seen |= member->bit;
            at = end;
        }
        w->value = value;
        shape->served++;
        at++;
        if (size - at < 2 || text[at] != ',' || text[at + 1] != '{')
            return cursor_jump(w, at, strict) ? STEP_ON : STEP_BROKEN;
        at++;
    }
}

/* Takes in the element whose bracket is at `at`. */
INLINE enum step element_read(struct walker *w, size_t at, bool strict)
{
    struct faasi_json_walk *walk = w->walk;
    bool square = w->cursor.text[at] == '[';
    uint32_t place = FAASI_JSON_NOWHERE;

    if (!square && w->node->count == 0)
        return element_skip(w, at, strict);
    if (!square && shape_is_known(w) && w->value_end - w->value >= w->shape->count &&
        (walk->place_max == 0 || walk->place_count != walk->place_max))
        return shape_walk(w, at, strict);
    if (walk->place_max != 0) {
        if (FAASI_UNLIKELY(walk->place_count == walk->place_max))
            return walk_full(w, at);
        place = walk->place_count++;
        walk->places[place] =
            (struct faasi_json_place){w->frame->begin, (uint32_t)at, w->frame->place};
    }
    return frame_push(w, at, w->node, square ? JSON_ARRAY_BIT : 0, place, strict);
}

/* Finds the next value or end in an array whose scalars count. */
INLINE enum step array_next(struct walker *w, size_t *at, bool strict)
{
    struct cursor *c = &w->cursor;
    size_t next = cursor_at(c);

    while (next < c->size && (c->text[next] == ',' || json_is_space(c->text[next])))
        next++;
    *at = next;
    return next < c->size && cursor_seek(c, next, strict) ? STEP_ON : STEP_BROKEN;
}

/* Takes the next value, or end, of an array. */
INLINE enum step array_walk(struct walker *w, bool strict)
{
    struct cursor *c = &w->cursor;
    size_t at;

    if (w->node->field != JSON_NONE) {
        if (array_next(w, &at, strict) != STEP_ON)
            return STEP_BROKEN;
    } else {
        uint64_t bits;

        while ((bits = (cursor_word(c, WORD_OPEN, strict) |
                        cursor_word(c, WORD_CLOSE, strict)) &
                       c->rest) == 0)
            if (!cursor_next(c, strict))
                return STEP_BROKEN;
        at = c->base + (size_t)bit_first(bits);
        c->rest = bits_from((size_t)bit_first(bits));
    }
    switch (c->text[at]) {
    case '{':
    case '[':
        return element_read(w, at, strict);
    case ']':
        c->rest = bits_above_first(c->rest);
        return frame_pop(w, true, strict);
    case '}':
        return STEP_BROKEN;
    default:
        if (FAASI_UNLIKELY(w->value == w->value_end))
            return walk_full(w, at);
        return c->text[at] == '"' ? string_read(w, at, w->node->field, strict)
                                  : scalar_read(w, at, w->node->field, strict);
    }
}

/* Enters the top level. */
INLINE enum step root_enter(struct walker *w, bool strict)
{
    struct cursor *c = &w->cursor;
    size_t at = 0;

    while (at < c->size && json_is_space(c->text[at]))
        at++;
    if (at == c->size || c->text[at] != '{')
        return STEP_BROKEN;
    if (w->nodes[0].count == 0)
        return STEP_DONE;
    return frame_enter(w, w->walk->frames, at, w->nodes, 0, FAASI_JSON_NOWHERE, strict);
}

INLINE enum faasi_json_walked walk_run(struct faasi_json_walk *walk, bool strict)
{
    struct making made;
    struct walker w;
    enum step step = STEP_ON;

    w.walk = walk;
    w.nodes = walk->paths->nodes;
    w.shape = NULL;
    w.value = walk->values + walk->value_count;
    w.value_end = walk->values + walk->value_max;
    if (!cursor_start(&w.cursor, walk, &made, strict))
        return FAASI_JSON_BROKEN;
    if (walk->depth == 0) {
        step = root_enter(&w, strict);
    } else {
        w.frame = walk->frames + walk->depth - 1;
        w.node = w.nodes + (w.frame->node & ~JSON_ARRAY_BIT);
    }
    while (step == STEP_ON) {
        if ((w.frame->node & JSON_ARRAY_BIT) != 0)
            step = array_walk(&w, strict);
        else
            step = object_walk(&w, strict);
    }
    walk->value_count = (uint32_t)(w.value - walk->values);
    if (step == STEP_DONE) {
        walk->at = (uint32_t)w.cursor.base;
        return FAASI_JSON_DONE;
    }
    if (step == STEP_BROKEN)
        return FAASI_JSON_BROKEN;
    walk->depth = (uint32_t)walk_depth(&w);
    walk->escapes = made.escapes;
    return FAASI_JSON_FULL;
}

static enum faasi_json_walked kernel_walk(struct faasi_json_walk *walk)
{
    return walk->index != NULL ? walk_run(walk, true) : walk_run(walk, false);
}
