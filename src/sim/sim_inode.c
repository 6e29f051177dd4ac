/* Files.
 *
 * Every inode has two images: what processes see, and what is on the device. Writes and truncations
 * change the first and wait in a list; a sync takes those made before it began to the second. The
 * kernel may write back early: beyond writeback_bytes the oldest go. At a loss of power each
 * waiting write is kept, dropped or torn by sectors, each on its own; the size may have grown
 * without the bytes, which then are zeros. A sync that failed leaves each of its writes on the
 * device or lost for good, though processes still see them: a later sync that succeeds does not
 * bring them back (as on Linux; Rebello et al., "Can Applications Recover from fsync Failures?",
 * ATC 2020).
 *
 * Locks, open files and what is hot in the page cache die with the process or the machine. */
#include "sim/sim_disk.h"

#include <string.h>

/* Inodes. */

struct sim_inode *sim_inode_create(struct sim_disk *disk, bool is_dir)
{
    struct sim_inode *inode = sim_alloc(sizeof *inode);
    inode->disk = disk;
    inode->refs = 1;
    inode->is_dir = is_dir;
    list_init(&inode->unsynced);
    list_push_back(&disk->inodes, &inode->link);
    return inode;
}

static void write_free(struct sim_inode *inode, struct sim_write *write)
{
    inode->unsynced_bytes -= (int64_t)write->size;
    list_remove(&write->link);
    sim_free(write);
}

static struct sim_write *oldest_write(struct sim_inode *inode)
{
    return list_empty(&inode->unsynced) ? NULL
                                        : list_first(&inode->unsynced, struct sim_write, link);
}

/* All but the names, which may lead to other inodes. */
static void inode_drop_bytes(struct sim_inode *inode)
{
    struct sim_write *write;
    while ((write = oldest_write(inode)))
        write_free(inode, write);
    inode->disk->pages_used -= inode->now.pages_used;
    sim_image_close(&inode->now);
    sim_image_close(&inode->durable);
    sim_free(inode->hot);
    inode->hot = NULL;
    inode->hot_slots = 0;
}

void sim_inode_ref(struct sim_inode *inode)
{
    inode->refs++;
}

void sim_inode_unref(struct sim_inode *inode)
{
    must(inode->refs > 0);
    if (--inode->refs > 0)
        return;
    inode_drop_bytes(inode);
    sim_names_close(&inode->names);
    sim_names_close(&inode->names_durable);
    list_remove(&inode->link);
    sim_free(inode);
}

int64_t sim_inode_size(const struct sim_inode *inode)
{
    return inode->now.size_bytes;
}

void sim_inode_read(const struct sim_inode *inode, void *data, size_t size, int64_t offset)
{
    sim_image_read(&inode->now, data, size, offset);
}

/* The page cache. */

void sim_inode_hot_set(struct sim_inode *inode, int64_t offset, size_t size)
{
    size_t first = (size_t)(offset / SIM_PAGE_BYTES);
    size_t last = (size_t)((offset + (int64_t)size - 1) / SIM_PAGE_BYTES);
    if (last >= inode->hot_slots) {
        size_t slots = 2 * (last + 1);
        inode->hot = sim_resize(inode->hot, slots);
        memset(inode->hot + inode->hot_slots, 0, slots - inode->hot_slots);
        inode->hot_slots = slots;
    }
    memset(inode->hot + first, 1, last - first + 1);
}

/* How many of the bytes from `offset` on are in the page cache. */
size_t sim_inode_hot_prefix(const struct sim_inode *inode, int64_t offset, size_t size)
{
    int64_t at = offset, end = offset + (int64_t)size;
    while (at < end) {
        size_t page = (size_t)(at / SIM_PAGE_BYTES);
        if (page >= inode->hot_slots || !inode->hot[page])
            break;
        at = ((int64_t)page + 1) * SIM_PAGE_BYTES;
    }
    return (size_t)((at < end ? at : end) - offset);
}

void sim_inode_cool(struct sim_inode *inode, int64_t offset)
{
    struct sim *sim = inode->disk->node->sim;
    size_t page = (size_t)(offset / SIM_PAGE_BYTES);
    if (page < inode->hot_slots && sim_random_ppm(&sim->disk, sim->options.cold_page_ppm))
        inode->hot[page] = 0;
}

/* The device. */

static void write_to_device(struct sim_inode *inode, struct sim_write *write)
{
    if (write->truncate)
        sim_image_truncate(&inode->durable, write->offset);
    else
        sim_image_write(&inode->durable, write->data, write->size, write->offset);
    write_free(inode, write);
}

static void write_tear(struct sim_inode *inode, struct sim_write *write)
{
    struct sim_random *random = &inode->disk->node->sim->disk;
    size_t at = 0;
    while (at < write->size) {
        size_t part = SIM_SECTOR_BYTES - (size_t)((write->offset + (int64_t)at) % SIM_SECTOR_BYTES);
        if (part > write->size - at)
            part = write->size - at;
        if (sim_random_below(random, 2))
            sim_image_write(&inode->durable, write->data + at, part, write->offset + (int64_t)at);
        at += part;
    }
    int64_t end = write->offset + (int64_t)write->size;
    if (inode->durable.size_bytes < end && sim_random_below(random, 3) == 0)
        sim_image_truncate(&inode->durable, end); /* the size without the bytes */
    write_free(inode, write);
}

/* Decide for a write that was never synced, or whose sync failed. */
static void write_maybe(struct sim_inode *inode, struct sim_write *write, uint32_t keep_ppm,
                        uint32_t tear_ppm)
{
    struct sim_random *random = &inode->disk->node->sim->disk;
    if (!write->truncate && sim_random_ppm(random, tear_ppm))
        write_tear(inode, write);
    else if (sim_random_ppm(random, keep_ppm))
        write_to_device(inode, write);
    else
        write_free(inode, write);
}

void sim_inode_lose_power(struct sim_inode *inode)
{
    static const uint32_t keep_ppm[] = {0, 500000, 900000, 1000000};
    static const uint32_t tear_ppm[] = {0, 100000, 1000000};
    struct sim_random *random = &inode->disk->node->sim->disk;
    struct sim_write *write;
    if (list_empty(&inode->unsynced))
        goto show;
    uint32_t keep = keep_ppm[sim_random_below(random, array_size(keep_ppm))];
    uint32_t tear = tear_ppm[sim_random_below(random, array_size(tear_ppm))];
    while ((write = oldest_write(inode)))
        write_maybe(inode, write, keep, tear);
show:
    inode->disk->pages_used -= inode->now.pages_used;
    sim_image_copy(&inode->now, &inode->durable);
    inode->disk->pages_used += inode->now.pages_used;
    if (inode->hot)
        memset(inode->hot, 0, inode->hot_slots);
}

static void unsynced_add(struct sim_inode *inode, bool truncate, int64_t offset, const void *data,
                         size_t size)
{
    struct sim_write *write = sim_alloc(sizeof *write + size), *oldest;
    write->number = inode->disk->next_write++;
    write->truncate = truncate;
    write->offset = offset;
    write->size = size;
    if (size > 0)
        memcpy(write->data, data, size);
    list_push_back(&inode->unsynced, &write->link);
    inode->unsynced_bytes += (int64_t)size;
    while (inode->unsynced_bytes > inode->disk->node->sim->options.writeback_bytes &&
           (oldest = oldest_write(inode)))
        write_to_device(inode, oldest);
}

/* Changes by processes. */

void sim_inode_sync(struct sim_inode *inode, uint64_t until, bool failed)
{
    struct sim_write *write;
    while ((write = oldest_write(inode)) && write->number < until) {
        if (failed)
            write_maybe(inode, write, 500000, 0);
        else
            write_to_device(inode, write);
    }
}

void sim_inode_truncate(struct sim_inode *inode, int64_t size_bytes)
{
    struct sim_disk *disk = inode->disk;
    disk->pages_used -= inode->now.pages_used;
    sim_image_truncate(&inode->now, size_bytes);
    disk->pages_used += inode->now.pages_used;
    unsynced_add(inode, true, size_bytes, NULL, 0);
}

size_t sim_inode_room(const struct sim_inode *inode, int64_t offset, size_t size)
{
    int64_t left = inode->disk->pages_max - inode->disk->pages_used;
    while (size > 0 && sim_image_new_pages(&inode->now, offset, size) > left) {
        int64_t last_page = (offset + (int64_t)size - 1) / SIM_PAGE_BYTES * SIM_PAGE_BYTES;
        size = last_page > offset ? (size_t)(last_page - offset) : 0;
    }
    return size;
}

void sim_inode_put(struct sim_inode *inode, const struct iovec *parts, size_t size, int64_t offset)
{
    uint8_t *data = sim_alloc(size);
    size_t filled = 0;
    for (int i = 0; filled < size; i++) {
        size_t part = parts[i].iov_len < size - filled ? parts[i].iov_len : size - filled;
        if (part > 0)
            memcpy(data + filled, parts[i].iov_base, part);
        filled += part;
    }
    inode->disk->pages_used += sim_image_new_pages(&inode->now, offset, size);
    sim_image_write(&inode->now, data, size, offset);
    sim_inode_hot_set(inode, offset, size);
    unsynced_add(inode, false, offset, data, size);
    sim_free(data);
}
