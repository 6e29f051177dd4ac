/* A logical line is read twice: once to learn its length, once to copy it without its
 * continuations. Key and value are then unescaped in place, which never makes them longer.
 *
 * 1. The states of logical_line_next are those of Java's reader: blanks at the start of a line are
 *    dropped, a comment needs an empty line before it, a continuation drops the blanks that follow.
 *    Only a last line that is nothing but a continuation is dropped, where Java makes an entry with
 *    an empty key of it.
 * 2. What a text costs in the arena is bounded by its own length. */
#include "base/properties.h"

#include <errno.h>

#include "base/must.h"

/* Walks one logical line, byte by byte, with the continuations taken out. */
struct logical_line {
    struct reader text;
    int32_t line;      /* of the next byte */
    int32_t first;     /* where the entry starts; 0 as long as it has no byte */
    size_t length;     /* bytes given so far */
    bool backslash;    /* an odd number of backslashes stands right before */
    bool skip_blanks;  /* at the start of a line */
    bool continuation; /* at the start of a line that continues one */
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

static bool is_line_end(uint8_t c)
{
    return c == '\n' || c == '\r';
}

/* Step over the line end `c`, CRLF counting as one. */
static void count_line_end(struct logical_line *at, uint8_t c)
{
    if (c == '\r' && reader_left(&at->text) > 0 && *at->text.at == '\n')
        at->text.at++;
    at->line++;
}

static void skip_comment(struct logical_line *at)
{
    while (reader_left(&at->text) > 0) {
        uint8_t c = *at->text.at++;
        if (is_line_end(c)) {
            count_line_end(at, c);
            break;
        }
    }
    at->skip_blanks = true;
}

static struct logical_line logical_line_start(const struct properties_reader *reader)
{
    return (struct logical_line){
        .text = reader->text, .line = reader->next_line, .skip_blanks = true};
}

/* The next byte of the logical line, or -1 at its end. A trailing backslash is given and then taken
 * back when it turns out to be a continuation: length goes down by one. */
static int logical_line_next(struct logical_line *at)
{
    while (reader_left(&at->text) > 0) {
        uint8_t c = *at->text.at++;
        if (at->skip_blanks) {
            if (is_blank(c))
                continue;
            if (!at->continuation && is_line_end(c)) {
                count_line_end(at, c);
                continue;
            }
            at->skip_blanks = false;
            at->continuation = false;
        }
        if (at->length == 0 && (c == '#' || c == '!')) {
            skip_comment(at);
            continue;
        }
        if (!is_line_end(c)) {
            if (at->length == 0)
                at->first = at->line;
            at->backslash = c == '\\' && !at->backslash;
            at->length++;
            return c;
        }
        count_line_end(at, c);
        if (at->length == 0) {
            at->skip_blanks = true;
        } else if (at->backslash) {
            at->length--;
            at->backslash = false;
            at->skip_blanks = true;
            at->continuation = true;
        } else {
            return -1;
        }
    }
    if (at->backslash) {
        at->length--;
        at->backslash = false;
    }
    return -1;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* XXXX of \uXXXX, or -1. */
static int32_t read_unit(struct reader *in)
{
    const uint8_t *digits = reader_take(in, 4);
    int32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        int digit = digits ? hex_digit(digits[i]) : -1;
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static bool is_high_surrogate(int32_t unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low_surrogate(int32_t unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

/* One code point after "\u", the second half of a surrogate pair included; -1 when malformed. */
static int32_t read_escaped_point(struct reader *in)
{
    int32_t unit = read_unit(in);
    if (unit < 0 || (!is_high_surrogate(unit) && !is_low_surrogate(unit)))
        return unit;
    if (is_high_surrogate(unit) && reader_left(in) >= 6 && in->at[0] == '\\' && in->at[1] == 'u') {
        struct reader ahead = {in->at + 2, in->end, false};
        int32_t low = read_unit(&ahead);
        if (low < 0)
            return -1;
        if (is_low_surrogate(low)) {
            *in = ahead;
            return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    return 0xfffd;
}

static size_t put_utf8(uint8_t *out, int32_t point)
{
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (uint8_t)(0xc0 | point >> 6);
        out[1] = (uint8_t)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (uint8_t)(0xe0 | point >> 12);
        out[1] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (point & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | point >> 18);
    out[1] = (uint8_t)(0x80 | (point >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (point & 0x3f));
    return 4;
}

/* The next code point of a UTF-8 text, or -1 when its bytes are not UTF-8 (one byte is consumed).
 */
static int32_t next_point(struct reader *in)
{
    static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
    uint8_t c = *in->at++;
    int more = c < 0x80 ? 0 : c >> 5 == 6 ? 1 : c >> 4 == 14 ? 2 : c >> 3 == 30 ? 3 : -1;
    if (more <= 0)
        return more == 0 ? c : -1;
    if ((size_t)more > reader_left(in))
        return -1;
    int32_t point = c & (0x3f >> more);
    for (int i = 0; i < more; i++) {
        if (in->at[i] >> 6 != 2)
            return -1;
        point = point << 6 | (in->at[i] & 0x3f);
    }
    if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return -1;
    in->at += more;
    return point;
}

/* A NUL would cut the text short for everybody who reads it as C does. */
static bool is_clean_utf8(const uint8_t *data, size_t size)
{
    struct reader in = reader_of(data, size);
    while (reader_left(&in) > 0) {
        if (next_point(&in) <= 0)
            return false;
    }
    return true;
}

/* Unescape in place and end with a NUL; there is room for it behind the text. */
static int unescape(uint8_t *data, size_t size, size_t max, struct str *ret_text)
{
    struct reader in = reader_of(data, size);
    uint8_t *out = data;
    while (reader_left(&in) > 0) {
        uint8_t c = *in.at++;
        if (c == '\\' && reader_left(&in) > 0) {
            c = *in.at++;
            if (c == 'u') {
                int32_t point = read_escaped_point(&in);
                if (point < 0)
                    return -EBADMSG;
                out += put_utf8(out, point);
                continue;
            }
            c = c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 'f' ? '\f' : c;
        }
        *out++ = c;
    }
    size = (size_t)(out - data);
    if (size > max)
        return -EMSGSIZE;
    if (!is_clean_utf8(data, size))
        return -EBADMSG;
    *out = 0;
    *ret_text = (struct str){(const char *)data, (int32_t)size};
    return 0;
}

/* Where the key ends and where the value starts, both <= size. */
static void split(const uint8_t *line, size_t size, size_t *ret_key_end, size_t *ret_value)
{
    bool backslash = false;
    size_t end = 0;
    while (end < size) {
        uint8_t c = line[end];
        if (!backslash && (c == '=' || c == ':' || is_blank(c)))
            break;
        backslash = c == '\\' && !backslash;
        end++;
    }
    size_t value = end;
    bool separated = false;
    while (value < size) {
        uint8_t c = line[value];
        if (!is_blank(c)) {
            if (separated || (c != '=' && c != ':'))
                break;
            separated = true;
        }
        value++;
    }
    *ret_key_end = end;
    *ret_value = value;
}

int properties_open(struct bytes text, struct properties_reader *ret_reader)
{
    if (text.size > PROPERTIES_MAX_BYTES)
        return -EFBIG;
    static const uint8_t none[1];
    *ret_reader = (struct properties_reader){
        .text = reader_of(text.size > 0 ? text.data : none, (size_t)text.size), .next_line = 1};
    return 0;
}

/* Copy the logical line into the arena with two bytes of room behind it. 1 at the end of the text.
 */
static int collect_line(struct properties_reader *reader, struct arena *arena, uint8_t **ret_line,
                        size_t *ret_size)
{
    struct logical_line at = logical_line_start(reader);
    while (logical_line_next(&at) >= 0) {
    }
    if (at.length == 0)
        return 1;
    struct logical_line end = at;
    /* A backslash that is taken back was written first, hence one more byte. */
    uint8_t *line = arena_alloc(arena, at.length + 3);
    if (!line)
        return -ENOMEM;
    at = logical_line_start(reader);
    for (;;) {
        int c = logical_line_next(&at);
        if (c < 0)
            break;
        line[at.length - 1] = (uint8_t)c;
    }
    reader->text = end.text;
    reader->line = end.first;
    reader->next_line = end.line;
    *ret_line = line;
    *ret_size = end.length;
    return 0;
}

int properties_next(struct properties_reader *reader, struct arena *arena,
                    struct property *ret_property)
{
    uint8_t *line;
    size_t size;
    size_t key_end;
    size_t value_start;
    if (reader->text.failed)
        return -EBADMSG;
    int err = collect_line(reader, arena, &line, &size);
    if (err != 0)
        return err;
    split(line, size, &key_end, &value_start);
    /* Without a separator the key's NUL stands where the value would start. */
    if (value_start == key_end) {
        must(value_start == size);
        value_start++;
        size++;
    }
    struct property property = {.line = reader->line};
    err = unescape(line, key_end, PROPERTIES_KEY_MAX_BYTES, &property.key);
    if (err == 0)
        err = unescape(line + value_start, size - value_start, PROPERTIES_VALUE_MAX_BYTES,
                       &property.value);
    if (err != 0) {
        reader->text.failed = true;
        return err;
    }
    *ret_property = property;
    return 0;
}

static void write_unit(struct writer *writer, int32_t unit)
{
    static const char digits[] = "0123456789ABCDEF";
    const uint8_t text[] = {'\\',
                            'u',
                            (uint8_t)digits[unit >> 12 & 15],
                            (uint8_t)digits[unit >> 8 & 15],
                            (uint8_t)digits[unit >> 4 & 15],
                            (uint8_t)digits[unit & 15]};
    write_bytes(writer, text, sizeof text);
}

static void write_point(struct writer *writer, int32_t point)
{
    if (point < 0x10000) {
        write_unit(writer, point);
        return;
    }
    write_unit(writer, 0xd800 + ((point - 0x10000) >> 10));
    write_unit(writer, 0xdc00 + ((point - 0x10000) & 0x3ff));
}

static void write_escaped(struct writer *writer, struct str text, bool escape_all_spaces)
{
    static const char special[] = "\t\n\r\f\\=:#!";
    static const char letters[] = "tnrf\\=:#!";
    struct reader in = reader_of(text.data, text.data ? (size_t)text.size : 0);
    const uint8_t *start = in.at;
    while (reader_left(&in) > 0) {
        bool first = in.at == start;
        int32_t point = next_point(&in);
        if (point < 0)
            point = 0xfffd;
        const char *found = point > 0 && point < 0x80 ? strchr(special, point) : NULL;
        if (found)
            write_bytes(writer, (char[]){'\\', letters[found - special]}, 2);
        else if (point == ' ' && (first || escape_all_spaces))
            write_bytes(writer, "\\ ", 2);
        else if (point < ' ' || point > '~')
            write_point(writer, point);
        else
            write_int8(writer, (int8_t)point);
    }
}

void properties_write(struct writer *writer, struct str key, struct str value)
{
    write_escaped(writer, key, true);
    write_bytes(writer, "=", 1);
    write_escaped(writer, value, false);
    write_bytes(writer, "\n", 1);
}

void properties_write_comment(struct writer *writer, struct str text)
{
    write_bytes(writer, "#", 1);
    for (int32_t i = 0; i < text.size; i++) {
        uint8_t c = (uint8_t)text.data[i];
        if (is_line_end(c)) {
            bool crlf = c == '\r' && i + 1 < text.size && text.data[i + 1] == '\n';
            i += crlf;
            write_bytes(writer, "\n#", 2);
        } else {
            write_bytes(writer, &c, 1);
        }
    }
    write_bytes(writer, "\n", 1);
}
