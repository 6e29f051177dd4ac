/* Where a group or a transactional id belongs, as Java computes it. */
#include "coord/coord.h"

#define REPLACEMENT 0xfffd

/* The length of the well-formed UTF-8 sequence at the front, 0 if there is none; *ret_point is its
 * code point. `bad` is then how many bytes one U+FFFD stands for, as Java's decoder has it: the
 * longest prefix of what could be a sequence, at least one byte. */
static int32_t utf8_next(const uint8_t *at, int32_t left, uint32_t *ret_point, int32_t *ret_bad)
{
    uint8_t first = at[0];
    *ret_bad = 1;
    if (first < 0x80) {
        *ret_point = first;
        return 1;
    }
    int32_t more = first >= 0xc2 && first <= 0xdf   ? 1
                   : first >= 0xe0 && first <= 0xef ? 2
                   : first >= 0xf0 && first <= 0xf4 ? 3
                                                    : 0;
    if (more == 0)
        return 0;
    uint32_t point = first & (0x3fu >> more);
    for (int32_t i = 1; i <= more; i++) {
        if (i >= left)
            return 0;
        uint8_t low = 0x80, high = 0xbf; /* no overlong forms, none too large */
        if (i == 1) {
            low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
            high = first == 0xf4 ? 0x8f : 0xbf;
        }
        if (at[i] < low || at[i] > high)
            return 0;
        *ret_bad = i + 1;
        point = point << 6 | (at[i] & 0x3fu);
    }
    *ret_point = point;
    return point >= 0xd800 && point < 0xe000 ? 0 : more + 1; /* a surrogate is one bad thing */
}

int32_t java_string_hash(struct str utf8)
{
    uint32_t hash = 0;
    const uint8_t *data = (const uint8_t *)utf8.data;
    for (int32_t i = 0; i < utf8.size;) {
        uint32_t point;
        int32_t bad;
        int32_t size = utf8_next(data + i, utf8.size - i, &point, &bad);
        if (size == 0) {
            point = REPLACEMENT;
            size = bad;
        }
        i += size;
        if (point >= 0x10000) {
            point -= 0x10000;
            hash = hash * 31 + (0xd800 + (point >> 10));
            point = 0xdc00 + (point & 0x3ff);
        }
        hash = hash * 31 + point;
    }
    return (int32_t)hash;
}

int32_t coord_hash_partition(struct str id, int32_t count)
{
    int32_t hash = java_string_hash(id);
    return hash == INT32_MIN ? 0 : (hash < 0 ? -hash : hash) % count;
}
