/* Our side of the differential test: reads commands from standard input, answers on standard
 * output. test/protocol/java/Peer.java is the other end.
 *
 * A command is an int32 size and a body: an operation (int8), an index into protocol_messages and
 * a version (int16 each), and operands; an answer is an int32 size, a result (int32: 0 or -errno)
 * and bytes. Numbers are big-endian.
 *
 *   L                        names and versions of all messages, one per line
 *   D message                the bytes decoded and encoded again
 *   V version message        the same, encoded at another version
 *   P message                the bytes decoded and printed
 *   R mode(int8) seed(int64) a random message, encoded */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "fill.h"
#include "protocol/tables.h"

#define COMMAND_MAX (64 << 20)

static int list(struct writer *answer)
{
    for (unsigned i = 0; i < protocol_message_count; i++) {
        char line[128];
        const struct message_schema *schema = protocol_messages[i];
        int size = snprintf(line, sizeof line, "%s %d %d\n", message_name(schema),
                            message_min_version(schema), message_max_version(schema));
        write_bytes(answer, line, (size_t)size);
    }
    return 0;
}

static int encode(const struct message_schema *schema, int16_t version, const void *message,
                  struct writer *answer)
{
    size_t before = answer->size;
    size_t size;
    int err = message_encode(schema, version, message, answer, NULL);
    must(message_size(schema, version, message, &size) == err);
    must(err < 0 || answer->size - before == size);
    return err;
}

static int decode(const struct message_schema *schema, int16_t version, struct reader *reader,
                  struct arena *arena, void *ret_message)
{
    size_t size = reader_left(reader);
    int err = message_decode(schema, version, reader, arena, ret_message);
    must(arena->used_bytes <= message_arena_bound(schema, size));
    if (err == 0 && reader_left(reader) > 0)
        err = -EMSGSIZE;
    return err;
}

static int run(struct reader *command, struct arena *arena, struct writer *answer)
{
    int8_t operation = read_int8(command);
    if (operation == 'L')
        return list(answer);
    uint16_t index = (uint16_t)read_int16(command);
    int16_t version = read_int16(command);
    must(!command->failed && index < protocol_message_count);
    const struct message_schema *schema = protocol_messages[index];
    if (operation == 'R') {
        enum fill_mode mode = (enum fill_mode)read_int8(command);
        uint64_t seed = (uint64_t)read_int64(command);
        return encode(schema, version, fill_message(schema, version, mode, seed, arena), answer);
    }
    int16_t to_version = operation == 'V' ? read_int16(command) : version;
    void *message = malloc(message_struct_size(schema));
    must(message);
    int err = decode(schema, version, command, arena, message);
    if (err == 0)
        err = operation == 'P' ? message_print(schema, version, message, answer)
                               : encode(schema, to_version, message, answer);
    free(message);
    return err;
}

static bool read_whole(void *data, size_t size)
{
    return size == 0 || fread(data, size, 1, stdin) == 1;
}

int main(void)
{
    uint8_t head[4];
    while (read_whole(head, sizeof head)) {
        size_t size = load_be32(head);
        must(size <= COMMAND_MAX);
        /* A block of its own per command, so that a sanitizer sees every read past its end. */
        uint8_t *data = malloc(size);
        must(data && read_whole(data, size));
        struct reader command = reader_of(data, size);
        struct arena arena;
        arena_init(&arena, 0);
        struct writer answer = {0};
        write_int32(&answer, 0);
        write_int32(&answer, 0);
        int err = run(&command, &arena, &answer);
        must(!answer.failed);
        if (err < 0)
            answer.size = 8;
        store_be32(answer.data, (uint32_t)(answer.size - 4));
        store_be32(answer.data + 4, (uint32_t)err);
        must(fwrite(answer.data, answer.size, 1, stdout) == 1 && fflush(stdout) == 0);
        writer_close(&answer);
        arena_close(&arena);
        free(data);
    }
    return 0;
}
