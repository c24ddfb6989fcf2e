/* SPDX-License-Identifier: MIT */
/* json_walk.h - the walk over the words of blocks: a part of json_kernel.h, which
 * includes it once per kind of CPU.
 *
 * Every function takes `strict` as a constant: the words come from an index that
 * faasi_json_check() made, or are made of the text on the way.
 *
 * Layer: 1 structures, private to json*.c. */

/* The block that the walk is in. Trusted: made of the text, in `made`; strict: taken from
 * the index. */
struct cursor {
    const uint64_t *words;
    const unsigned char *text;
    size_t size;
    size_t base;      /* offset of the block */
    uint64_t rest;    /* bits that were not passed yet */
    uint64_t escapes; /* any bit: a backslash was seen */
    /* Trusted only. */
    uint64_t inside, odd;
    uint64_t made[WORD_COUNT];
};

INLINE uint64_t cursor_word(const struct cursor *c, int word, bool strict)
{
    return strict ? c->words[INDEX_STRIDE * word] : c->made[word];
}

INLINE void cursor_load(struct cursor *c, bool strict)
{
    const unsigned char *block = c->text + c->base;
    unsigned char pad[64];
    uint64_t inside, string;

    if (!strict) {
        if (FAASI_UNLIKELY(c->size - c->base < 64))
            block = tail_pad(pad, block, c->size - c->base);
        words_load(c->made, block);
        if (FAASI_UNLIKELY((c->made[WORD_ESCAPE] | c->odd) != 0))
            c->made[WORD_QUOTE] &= ~escaped_find(c->made[WORD_ESCAPE], &c->odd);
        inside = prefix_xor(c->made[WORD_QUOTE]) ^ c->inside;
        c->inside = 0 - (inside >> 63);
        string = inside | c->made[WORD_QUOTE];
        c->made[WORD_COLON] &= ~string;
        c->made[WORD_OPEN] &= ~string;
        c->made[WORD_CLOSE] &= ~string;
        c->made[WORD_ENDER] &= ~string;
    }
    c->escapes |= cursor_word(c, WORD_ESCAPE, strict);
}

INLINE bool cursor_next(struct cursor *c, bool strict)
{
    c->base += 64;
    if (FAASI_UNLIKELY(c->base >= c->size))
        return false;
    if (strict)
        c->words += c->base % 512 != 0 ? 1 : FAASI_JSON_INDEX_WORDS - INDEX_STRIDE + 1;
    c->rest = ~(uint64_t)0;
    cursor_load(c, strict);
    return true;
}

/* The same out of line, for where it is rare: there are many such places. */
static __attribute__((noinline)) bool cursor_next_strict(struct cursor *c)
{
    return cursor_next(c, true);
}

static __attribute__((noinline)) bool cursor_next_trusted(struct cursor *c)
{
    return cursor_next(c, false);
}

INLINE bool cursor_next_rare(struct cursor *c, bool strict)
{
    return strict ? cursor_next_strict(c) : cursor_next_trusted(c);
}

/* Places the cursor at `at`, which lies outside strings. */
INLINE bool cursor_start(struct cursor *c, const struct faasi_json_walk *walk,
                         bool strict)
{
    c->text = walk->text;
    c->size = walk->size;
    c->base = strict ? walk->at & ~63U : walk->at;
    c->rest = bits_from(walk->at - c->base);
    c->words = strict ? walk->index + index_at(c->base) : NULL;
    c->escapes = walk->at != 0; /* what came before is not known */
    c->inside = 0;
    c->odd = 0;
    if (c->base >= c->size)
        return false;
    cursor_load(c, strict);
    return true;
}

/* Moves the cursor on to the block of `at`, and passes what comes before `at`. */
INLINE bool cursor_seek(struct cursor *c, size_t at, bool strict)
{
    while (at - c->base >= 64)
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

static __attribute__((noinline)) bool container_pass_strict(struct cursor *c,
                                                            uint64_t flip, uint64_t level)
{
    return container_pass(c, 1, flip, level, true);
}

static __attribute__((noinline)) bool
container_pass_trusted(struct cursor *c, uint64_t count, uint64_t flip)
{
    return container_pass(c, count, flip, 0, false);
}

INLINE bool container_skip(struct cursor *c, uint64_t count, uint64_t flip,
                           uint64_t level, bool strict)
{
    return strict ? container_pass_strict(c, flip, level)
                  : container_pass_trusted(c, count, flip);
}

/* Everything the walk keeps at hand. */
struct walker {
    struct faasi_json_walk *walk;
    struct faasi_json_frame *frame;
    const struct json_node *nodes;
    const struct json_node *node; /* of the frame */
    struct cursor cursor;
};

/* What became of a step. */
enum step { STEP_ON, STEP_FULL, STEP_BROKEN, STEP_DONE };

INLINE size_t cursor_at(const struct cursor *c)
{
    return c->base + (c->rest == 0 ? 64 : (size_t)bit_first(c->rest));
}

INLINE void value_add(struct walker *w, uint32_t field, uint32_t kind, size_t begin,
                      size_t end)
{
    struct faasi_json_walk *walk = w->walk;
    struct faasi_json_value *value = &walk->values[walk->value_count++];

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
    return container_skip(&w->cursor, 1, flip, walk_depth(w), strict) ? STEP_ON
                                                                      : STEP_BROKEN;
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
    if (count != 0 && !container_skip(&w->cursor, count, ~(uint64_t)0, 0, strict))
        return STEP_BROKEN;
    return STEP_ON;
}

/* Leaves the innermost container; the cursor is behind its end. */
INLINE enum step frame_pop(struct walker *w, bool strict)
{
    const struct json_node *child = w->node;

    if (w->frame == w->walk->frames)
        return STEP_DONE;
    w->frame--;
    w->node = w->nodes + (w->frame->node & ~JSON_ARRAY_BIT);
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

    if (FAASI_UNLIKELY(w->walk->value_count == w->walk->value_max))
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
            child =
                json_key_find(w->walk->paths, w->node, c->text, c->size, at, c->escapes);
            if (child != 0)
                return member_read(w, at, w->nodes + child, strict);
        } else if ((cursor_word(c, WORD_CLOSE, strict) & bit) != 0) {
            if (!strict && (cursor_word(c, WORD_SQUARE, strict) & bit) != 0)
                return STEP_BROKEN;
            return frame_pop(w, strict);
        } else {
            uint64_t flip =
                (cursor_word(c, WORD_SQUARE, strict) & bit) != 0 ? 0 : ~(uint64_t)0;

            if (!container_skip(c, 1, flip, walk_depth(w), strict))
                return STEP_BROKEN;
        }
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
        return frame_pop(w, strict);
    case '}':
        return STEP_BROKEN;
    default:
        if (FAASI_UNLIKELY(w->walk->value_count == w->walk->value_max))
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
    struct walker w;
    enum step step = STEP_ON;

    w.walk = walk;
    w.nodes = walk->paths->nodes;
    if (!cursor_start(&w.cursor, walk, strict))
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
    if (step == STEP_DONE)
        return FAASI_JSON_DONE;
    if (step == STEP_BROKEN)
        return FAASI_JSON_BROKEN;
    walk->depth = (uint32_t)walk_depth(&w);
    return FAASI_JSON_FULL;
}

static enum faasi_json_walked kernel_walk(struct faasi_json_walk *walk)
{
    return walk->index != NULL ? walk_run(walk, true) : walk_run(walk, false);
}
