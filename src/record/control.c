#include "record/control.h"

#include <errno.h>

#define KEY_SIZE 4
#define END_TRANSACTION_SIZE 6

int control_type_read(struct bytes key, int16_t *ret_type)
{
    if (!key.data || key.size < KEY_SIZE || (int16_t)load_be16(key.data) < 0)
        return -EBADMSG;
    *ret_type = (int16_t)load_be16(key.data + 2);
    return 0;
}

void batch_builder_add_control(struct batch_builder *builder, int64_t timestamp,
                               enum control_type type, struct bytes value)
{
    uint8_t key[KEY_SIZE] = {0};
    store_be16(key + 2, (uint16_t)type);
    builder->attributes |= BATCH_CONTROL;
    batch_builder_add(builder, timestamp, (struct bytes){key, sizeof key}, value, NULL, 0);
}

int end_transaction_read(const struct record *record, struct end_transaction *ret_end)
{
    int16_t type;
    int err = control_type_read(record->key, &type);
    if (err < 0)
        return err;
    struct bytes value = record->value;
    if ((type != CONTROL_ABORT && type != CONTROL_COMMIT) || !value.data ||
        value.size < END_TRANSACTION_SIZE || (int16_t)load_be16(value.data) < 0)
        return -EBADMSG;
    ret_end->commit = type == CONTROL_COMMIT;
    ret_end->coordinator_epoch = (int32_t)load_be32(value.data + 2);
    return 0;
}

int end_transaction_write(const struct end_transaction *end,
                          const struct end_transaction_batch *batch, struct writer *out)
{
    uint8_t value[END_TRANSACTION_SIZE] = {0};
    store_be32(value + 2, (uint32_t)end->coordinator_epoch);
    struct batch_builder builder;
    batch_builder_init(&builder, batch->base_offset);
    builder.attributes = BATCH_TRANSACTIONAL;
    builder.producer_id = batch->producer_id;
    builder.producer_epoch = batch->producer_epoch;
    builder.leader_epoch = batch->leader_epoch;
    batch_builder_add_control(&builder, batch->timestamp,
                              end->commit ? CONTROL_COMMIT : CONTROL_ABORT,
                              (struct bytes){value, sizeof value});
    int err = batch_builder_finish(&builder);
    if (err == 0)
        write_bytes(out, builder.out.data, builder.out.size);
    batch_builder_close(&builder);
    return err == 0 && out->failed ? -ENOMEM : err;
}
