#include "protocol/stored.h"

#include <errno.h>

#define METADATA_FRAME_VERSION 1
#define COORDINATOR_KEY_VERSION 0
#define CONTROL_RECORD_VERSION 0

/* Decode a body into new memory of the arena. */
static int decode_new(const struct message_schema *schema, int16_t version, struct reader *reader,
                      struct arena *arena, void **ret_message)
{
    if (!message_has_version(schema, version))
        return -ENOTSUP;
    void *message = arena_alloc(arena, message_struct_size(schema));
    if (!message)
        return -ENOMEM;
    int err = message_decode(schema, version, reader, arena, message);
    if (err == 0)
        *ret_message = message;
    return err;
}

static struct reader reader_of_bytes(struct bytes bytes)
{
    return reader_of(bytes.data, (size_t)bytes.size);
}

const struct metadata_record_type *metadata_record_find(int16_t type)
{
    for (unsigned i = 0; i < protocol_metadata_record_count; i++) {
        if (protocol_metadata_records[i].type == type)
            return &protocol_metadata_records[i];
    }
    return NULL;
}

int metadata_record_encode(int16_t type, int16_t version, const void *record, struct writer *writer)
{
    const struct metadata_record_type *row = metadata_record_find(type);
    if (!row || !message_has_version(row->schema, version))
        return -ENOTSUP;
    write_uvarint(writer, METADATA_FRAME_VERSION);
    write_uvarint(writer, (uint32_t)type);
    write_uvarint(writer, (uint32_t)version);
    return message_encode(row->schema, version, record, writer, NULL);
}

int metadata_record_decode(struct bytes value, struct arena *arena,
                           const struct metadata_record_type **ret_type, int16_t *ret_version,
                           void **ret_record)
{
    struct reader reader = reader_of_bytes(value);
    uint32_t frame = read_uvarint(&reader);
    uint32_t type = read_uvarint(&reader);
    uint32_t version = read_uvarint(&reader);
    if (reader.failed)
        return -EBADMSG;
    if (frame != METADATA_FRAME_VERSION || type > INT16_MAX || version > INT16_MAX)
        return -ENOTSUP;
    const struct metadata_record_type *row = metadata_record_find((int16_t)type);
    if (!row)
        return -ENOTSUP;
    void *record = NULL;
    int err = decode_new(row->schema, (int16_t)version, &reader, arena, &record);
    if (err < 0)
        return err;
    if (reader_left(&reader) > 0)
        return -EBADMSG;
    *ret_type = row;
    *ret_version = (int16_t)version;
    *ret_record = record;
    return 0;
}

const struct coordinator_record_type *coordinator_record_find(enum coordinator_topic topic,
                                                              int16_t type)
{
    const struct coordinator_record_type *rows = protocol_group_records;
    unsigned count = protocol_group_record_count;
    if (topic == COORDINATOR_TRANSACTION) {
        rows = protocol_transaction_records;
        count = protocol_transaction_record_count;
    } else if (topic == COORDINATOR_SHARE) {
        rows = protocol_share_records;
        count = protocol_share_record_count;
    }
    for (unsigned i = 0; i < count; i++) {
        if (rows[i].type == type)
            return &rows[i];
    }
    return NULL;
}

int coordinator_key_encode(const struct coordinator_record_type *type, const void *key,
                           struct writer *writer)
{
    write_int16(writer, type->type);
    return message_encode(type->key, COORDINATOR_KEY_VERSION, key, writer, NULL);
}

int coordinator_key_decode(enum coordinator_topic topic, struct bytes key, struct arena *arena,
                           const struct coordinator_record_type **ret_type, void **ret_key)
{
    struct reader reader = reader_of_bytes(key);
    int16_t type = read_int16(&reader);
    if (reader.failed)
        return -EBADMSG;
    const struct coordinator_record_type *row = coordinator_record_find(topic, type);
    if (!row)
        return -ENOTSUP;
    int err = decode_new(row->key, COORDINATOR_KEY_VERSION, &reader, arena, ret_key);
    if (err == 0)
        *ret_type = row;
    return err;
}

int versioned_encode(const struct message_schema *schema, int16_t version, const void *message,
                     struct writer *writer)
{
    write_int16(writer, version);
    return message_encode(schema, version, message, writer, NULL);
}

static int decode_versioned(const struct message_schema *schema, struct bytes value, int16_t newest,
                            struct arena *arena, int16_t *ret_version, void **ret_message)
{
    struct reader reader = reader_of_bytes(value);
    int16_t version = read_int16(&reader);
    if (reader.failed)
        return -EBADMSG;
    if (version > newest)
        version = newest;
    int err = decode_new(schema, version, &reader, arena, ret_message);
    if (err == 0)
        *ret_version = version;
    return err;
}

int versioned_decode(const struct message_schema *schema, struct bytes value, struct arena *arena,
                     int16_t *ret_version, void **ret_message)
{
    return decode_versioned(schema, value, INT16_MAX, arena, ret_version, ret_message);
}

int versioned_decode_newest(const struct message_schema *schema, struct bytes value,
                            struct arena *arena, int16_t *ret_version, void **ret_message)
{
    return decode_versioned(schema, value, message_max_version(schema), arena, ret_version,
                            ret_message);
}

int control_record_decode(const struct message_schema *schema, struct bytes value,
                          struct arena *arena, void **ret_message)
{
    struct reader reader = reader_of_bytes(value);
    return decode_new(schema, CONTROL_RECORD_VERSION, &reader, arena, ret_message);
}

int control_record_encode(const struct message_schema *schema, const void *message,
                          struct writer *writer)
{
    return message_encode(schema, CONTROL_RECORD_VERSION, message, writer, NULL);
}
