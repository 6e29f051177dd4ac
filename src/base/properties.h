/* Text in the syntax of java.util.Properties, which server.properties and meta.properties use.
 *
 * One `key=value` a line; `=`, `:` or blanks separate; `#` and `!` start comments; a line that ends
 * with an odd number of backslashes goes on in the next one; \t \n \r \f and \uXXXX are escapes,
 * any other escaped character stands for itself. Lines end with LF, CR or CRLF.
 *
 * The text is UTF-8, also where \uXXXX is written (surrogate pairs are joined, lone ones become
 * U+FFFD). Java's load(InputStream) takes bytes above 0x7f for Latin-1 instead; a file that is
 * meant for both writes them as \uXXXX, as properties_write does. Source: the documentation of
 * java.util.Properties.load(Reader) and store(OutputStream, String). */
#ifndef JACKDAW_BASE_PROPERTIES_H
#define JACKDAW_BASE_PROPERTIES_H

#include "base/arena.h"
#include "base/bytes.h"

enum {
    PROPERTIES_MAX_BYTES = 4 * 1024 * 1024, /* a whole file */
    PROPERTIES_KEY_MAX_BYTES = 4096,        /* one key, unescaped */
    PROPERTIES_VALUE_MAX_BYTES = 65536,     /* one value, unescaped */
};

/* One entry as it stands in the text; key and value are unescaped and live in the arena. */
struct property {
    struct str key;
    struct str value;
    int32_t line; /* where the entry starts, from 1 */
};

/* A reader over a text that must stay valid. */
struct properties_reader {
    struct reader text;
    int32_t line;      /* of the entry read last; after an error, where it happened */
    int32_t next_line; /* of the next byte */
};

/* -EFBIG when the text is longer than PROPERTIES_MAX_BYTES. */
int properties_open(struct bytes text, struct properties_reader *ret_reader);

/* The next entry in order; keys may come twice, the later one counts. 0: one was read; 1: end;
 * -EBADMSG: a malformed \u escape, or a NUL or bytes that are not UTF-8 in a key or value;
 * -EMSGSIZE: a key or value over its limit; -ENOMEM: the arena is exhausted. After an error
 * reader->line says where, and nothing more can be read. */
int properties_next(struct properties_reader *reader, struct arena *arena,
                    struct property *ret_property);

/* Append "key=value\n", escaped as Java does: both read it back unchanged. Bytes that are not UTF-8
 * are written as U+FFFD. */
void properties_write(struct writer *writer, struct str key, struct str value);

/* Append "#text\n"; line ends within the text are followed by '#'. */
void properties_write_comment(struct writer *writer, struct str text);

#endif
