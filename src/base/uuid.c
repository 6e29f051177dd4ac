#include "base/uuid.h"

#include <errno.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#define RESERVED_IDS 100

struct uuid uuid_of(uint64_t most, uint64_t least)
{
    struct uuid id;
    store_be64(id.bytes, most);
    store_be64(id.bytes + 8, least);
    return id;
}

bool uuid_from_random(const uint8_t random[16], struct uuid *ret_id)
{
    struct uuid id;
    memcpy(id.bytes, random, sizeof id.bytes);
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x40);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
    char text[UUID_TEXT_SIZE];
    uuid_format(id, text);
    bool reserved = load_be64(id.bytes) == 0 && load_be64(id.bytes + 8) < RESERVED_IDS;
    if (reserved || text[0] == '-')
        return false;
    *ret_id = id;
    return true;
}

void uuid_format(struct uuid id, char text[UUID_TEXT_SIZE])
{
    int n = 0;
    for (int bit = 0; bit < 128; bit += 6) {
        unsigned window = (unsigned)id.bytes[bit / 8] << 8;
        if (bit / 8 + 1 < 16)
            window |= id.bytes[bit / 8 + 1];
        text[n++] = alphabet[(window >> (10 - bit % 8)) & 0x3f];
    }
    text[n] = '\0';
}

static int digit_value(char c)
{
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

int uuid_parse(struct str text, struct uuid *ret_id)
{
    if (text.size != UUID_TEXT_SIZE - 1)
        return -EINVAL;
    struct uuid id = {{0}};
    for (int i = 0; i < text.size; i++) {
        int value = digit_value(text.data[i]);
        if (value < 0)
            return -EINVAL;
        for (int b = 0; b < 6; b++) {
            int bit = i * 6 + b;
            if (!((value >> (5 - b)) & 1))
                continue;
            if (bit >= 128)
                return -EINVAL;
            id.bytes[bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
        }
    }
    *ret_id = id;
    return 0;
}
