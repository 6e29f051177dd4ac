#include "protocol/message.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/walk.h"

/* JSON as Kafka's generated converters lay it out: fields that the version has, tagged ones only if
 * they are not at their default; records, unless null, as their size under "<name>SizeInBytes". */

struct printer {
    struct writer *writer;
    int16_t version;
};

static void print_struct(struct printer *printer, const struct struct_schema *schema,
                         const uint8_t *at);

static void print_text(struct printer *printer, const char *text)
{
    write_bytes(printer->writer, text, strlen(text));
}

static void print_int(struct printer *printer, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    print_text(printer, text);
}

/* The fewest digits that read back as the same number. */
static void shortest_float(double value, char *text, size_t size)
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            return;
    }
}

/* JSON has no NaN and no infinity; Kafka's tools print them as strings. */
static void print_float(struct printer *printer, double value)
{
    char text[40];
    if (isnan(value))
        snprintf(text, sizeof text, "\"NaN\"");
    else if (isinf(value))
        snprintf(text, sizeof text, value < 0 ? "\"-Infinity\"" : "\"Infinity\"");
    else
        shortest_float(value, text, sizeof text);
    print_text(printer, text);
}

/* Bytes of a valid UTF-8 sequence at the front of text, or 0. */
static int utf8_sequence(const uint8_t *text, int32_t left)
{
    static const struct {
        uint8_t mask, lead;
        int size;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 1, 0},
                 {0xe0, 0xc0, 2, 0x80},
                 {0xf0, 0xe0, 3, 0x800},
                 {0xf8, 0xf0, 4, 0x10000}};
    for (unsigned i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if ((text[0] & forms[i].mask) != forms[i].lead)
            continue;
        if (forms[i].size > left)
            return 0;
        uint32_t point = text[0] & (uint8_t)~forms[i].mask;
        for (int k = 1; k < forms[i].size; k++) {
            if ((text[k] & 0xc0) != 0x80)
                return 0;
            point = point << 6 | (text[k] & 0x3f);
        }
        bool surrogate = point >= 0xd800 && point <= 0xdfff;
        return point < forms[i].least || point > 0x10ffff || surrogate ? 0 : forms[i].size;
    }
    return 0;
}

/* Invalid UTF-8 becomes U+FFFD, so that the output is valid whatever came over the wire. */
static void print_string(struct printer *printer, struct str text)
{
    print_text(printer, "\"");
    for (int32_t i = 0; i < text.size;) {
        const uint8_t *at = (const uint8_t *)text.data + i;
        int size = utf8_sequence(at, text.size - i);
        char escape[8];
        if (size == 0) {
            print_text(printer, "\\ufffd");
            size = 1;
        } else if (*at == '"' || *at == '\\') {
            snprintf(escape, sizeof escape, "\\%c", *at);
            print_text(printer, escape);
        } else if (*at < 0x20 || *at == 0x7f) {
            snprintf(escape, sizeof escape, "\\u%04x", *at);
            print_text(printer, escape);
        } else {
            write_bytes(printer->writer, at, (size_t)size);
        }
        i += size;
    }
    print_text(printer, "\"");
}

static void print_base64(struct printer *printer, struct bytes bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    print_text(printer, "\"");
    for (int32_t i = 0; i < bytes.size; i += 3) {
        int32_t left = bytes.size - i;
        uint32_t group = (uint32_t)bytes.data[i] << 16;
        if (left > 1)
            group |= (uint32_t)bytes.data[i + 1] << 8;
        if (left > 2)
            group |= bytes.data[i + 2];
        char four[4] = {digits[group >> 18], digits[group >> 12 & 63],
                        left > 1 ? digits[group >> 6 & 63] : '=',
                        left > 2 ? digits[group & 63] : '='};
        write_bytes(printer->writer, four, sizeof four);
    }
    print_text(printer, "\"");
}

/* One value that is neither an array nor a pointer. */
static void print_value(struct printer *printer, const struct field *field, const uint8_t *at)
{
    switch ((enum field_kind)field->kind) {
    case FIELD_BOOL:
        print_text(printer, *(const bool *)at ? "true" : "false");
        break;
    case FIELD_INT8:
        print_int(printer, *(const int8_t *)at);
        break;
    case FIELD_INT16:
        print_int(printer, *(const int16_t *)at);
        break;
    case FIELD_UINT16:
        print_int(printer, *(const uint16_t *)at);
        break;
    case FIELD_INT32:
        print_int(printer, *(const int32_t *)at);
        break;
    case FIELD_UINT32:
        print_int(printer, *(const uint32_t *)at);
        break;
    case FIELD_INT64:
        print_int(printer, *(const int64_t *)at);
        break;
    case FIELD_FLOAT64:
        print_float(printer, *(const double *)at);
        break;
    case FIELD_UUID: {
        char text[UUID_TEXT_SIZE];
        uuid_format(*(const struct uuid *)at, text);
        print_string(printer, str_of(text));
        break;
    }
    case FIELD_STRING: {
        const struct str *text = (const struct str *)at;
        if (text->data)
            print_string(printer, *text);
        else
            print_text(printer, "null");
        break;
    }
    case FIELD_BYTES: {
        const struct bytes *bytes = (const struct bytes *)at;
        if (bytes->data)
            print_base64(printer, *bytes);
        else
            print_text(printer, "null");
        break;
    }
    case FIELD_RECORDS: {
        const struct records *records = (const struct records *)at;
        if (records->data || records->external)
            print_int(printer, records->size);
        else
            print_text(printer, "null");
        break;
    }
    case FIELD_STRUCT:
        print_struct(printer, field_struct(field), at);
        break;
    case FIELD_KINDS:
        break;
    }
}

static void print_array(struct printer *printer, const struct field *field, const uint8_t *at)
{
    const struct any_array *array = (const struct any_array *)at;
    if (array->count < 0) {
        print_text(printer, "null");
        return;
    }
    size_t size = field_item_size(field);
    print_text(printer, "[");
    for (int32_t i = 0; i < array->count; i++) {
        if (i > 0)
            print_text(printer, ",");
        print_value(printer, field, array->items + (size_t)i * size);
    }
    print_text(printer, "]");
}

/* The name with its first letter in lower case. */
static void print_name(struct printer *printer, const struct field *field, const uint8_t *at)
{
    const char *name = field_name(field);
    char first = name[0] >= 'A' && name[0] <= 'Z' ? (char)(name[0] + ('a' - 'A')) : name[0];
    print_text(printer, "\"");
    write_bytes(printer->writer, &first, 1);
    print_text(printer, name + 1);
    print_text(printer, field->kind == FIELD_RECORDS && !field_is_default(field, at)
                            ? "SizeInBytes\":"
                            : "\":");
}

static void print_struct(struct printer *printer, const struct struct_schema *schema,
                         const uint8_t *at)
{
    const struct field *field = &protocol_fields[schema->first_field];
    const struct field *tagged = field + schema->untagged_count;
    const struct field *end = tagged + schema->tagged_count;
    bool first = true;
    print_text(printer, "{");
    for (; field < end; field++) {
        const uint8_t *from = at + field->offset;
        if (!field_exists(field, printer->version) ||
            (field >= tagged && field_is_default(field, from)))
            continue;
        if (!first)
            print_text(printer, ",");
        first = false;
        print_name(printer, field, from);
        if (field->flags & FIELD_IS_ARRAY) {
            print_array(printer, field, from);
        } else if (field->flags & FIELD_IS_POINTER) {
            const uint8_t *to = *(const uint8_t *const *)from;
            if (to)
                print_struct(printer, field_struct(field), to);
            else
                print_text(printer, "null");
        } else {
            print_value(printer, field, from);
        }
    }
    print_text(printer, "}");
}

int message_print(const struct message_schema *schema, int16_t version, const void *message,
                  struct writer *writer)
{
    if (!message_has_version(schema, version))
        return -ENOTSUP;
    struct printer printer = {writer, version};
    print_struct(&printer, &protocol_structs[schema->struct_index], message);
    return writer->failed ? -ENOMEM : 0;
}
