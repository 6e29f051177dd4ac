/* Messages as they are stored in records: cluster metadata, the coordinators' topics, control
 * records, and other bodies that carry their version in front. */
#ifndef JACKDAW_PROTOCOL_STORED_H
#define JACKDAW_PROTOCOL_STORED_H

#include <stdint.h>

#include "protocol/message.h"
#include "protocol/messages.h"

/* A type of metadata record; the constants METADATA_TOPIC_RECORD, ... are in protocol/messages.h.
 */
struct metadata_record_type {
    int16_t type;
    const char *name; /* "TopicRecord" */
    const struct message_schema *schema;
};

/* NULL when there is none. protocol_metadata_records has all rows. */
const struct metadata_record_type *metadata_record_find(int16_t type);

/* The value of a record of __cluster_metadata: frame version 1, type and version as uvarints, then
 * the body (KIP-746). Errors as message_encode; -ENOTSUP as well for an unknown type. */
int metadata_record_encode(int16_t type, int16_t version, const void *record,
                           struct writer *writer);

/* Decode one; *ret_record is the type's struct, in the arena. All of `value` must be used.
 *
 * 0, -EBADMSG (trailing bytes included), -ENOMEM, or -ENOTSUP: unknown frame version, type or
 * version. */
int metadata_record_decode(struct bytes value, struct arena *arena,
                           const struct metadata_record_type **ret_type, int16_t *ret_version,
                           void **ret_record);

/* The topics that are folded by a coordinator. */
enum coordinator_topic {
    COORDINATOR_GROUP,       /* __consumer_offsets */
    COORDINATOR_TRANSACTION, /* __transaction_state */
    COORDINATOR_SHARE,       /* __share_group_state */
};

/* A type of coordinator record: constants GROUP_RECORD_OFFSET_COMMIT, ... */
struct coordinator_record_type {
    int16_t type;
    const char *name; /* "OffsetCommit" */
    const struct message_schema *key;
    const struct message_schema *value;
};

/* NULL when there is none. */
const struct coordinator_record_type *coordinator_record_find(enum coordinator_topic topic,
                                                              int16_t type);

/* A record's key: the type as int16, then the body at version 0. */
int coordinator_key_encode(const struct coordinator_record_type *type, const void *key,
                           struct writer *writer);

/* *ret_key is in the arena. Bytes may follow, as in Kafka. 0, -EBADMSG, -ENOMEM, or -ENOTSUP: an
 * unknown type, whose record is to be passed over. The value is read by versioned_decode. */
int coordinator_key_decode(enum coordinator_topic topic, struct bytes key, struct arena *arena,
                           const struct coordinator_record_type **ret_type, void **ret_key);

/* A body behind its version as an int16: a coordinator record's value, the subscription and
 * assignment of the classic consumer protocol, a principal, the key of a control record and the
 * value of a transaction marker. *ret_message is in the arena. Bytes may follow the body, as in
 * Kafka.
 *
 * 0, -EBADMSG, -ENOMEM, -ENOTSUP. */
int versioned_encode(const struct message_schema *schema, int16_t version, const void *message,
                     struct writer *writer);
int versioned_decode(const struct message_schema *schema, struct bytes value, struct arena *arena,
                     int16_t *ret_version, void **ret_message);

/* As versioned_decode, but versions above the newest known one are read as the newest: the rule for
 * consumer protocol bodies, control record keys and transaction markers. */
int versioned_decode_newest(const struct message_schema *schema, struct bytes value,
                            struct arena *arena, int16_t *ret_version, void **ret_message);

/* The value of a KRaft control record (LeaderChangeMessage, SnapshotHeaderRecord, ...). Its body is
 * that of schema version 0, whatever the Version field at its front says: Kafka 4.4 writes and
 * reads all of them so. Bytes may follow. */
int control_record_decode(const struct message_schema *schema, struct bytes value,
                          struct arena *arena, void **ret_message);
int control_record_encode(const struct message_schema *schema, const void *message,
                          struct writer *writer);

/* Made from schema/ by tools/schema-compile. */
extern const struct metadata_record_type protocol_metadata_records[];
extern const unsigned protocol_metadata_record_count;
extern const struct coordinator_record_type protocol_group_records[];
extern const unsigned protocol_group_record_count;
extern const struct coordinator_record_type protocol_transaction_records[];
extern const unsigned protocol_transaction_record_count;
extern const struct coordinator_record_type protocol_share_records[];
extern const unsigned protocol_share_record_count;

#endif
