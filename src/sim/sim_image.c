#include "sim/sim_image.h"

#include <string.h>

#include "sim/sim_internal.h"

/* Sparse files stay cheap, but the table of pages is not sparse. */
#define IMAGE_BYTES_MAX ((int64_t)1 << 36)

void sim_image_close(struct sim_image *image)
{
    for (size_t i = 0; i < image->page_slots; i++)
        sim_free(image->pages[i]);
    sim_free(image->pages);
    *image = (struct sim_image){0};
}

static const uint8_t *page_at(const struct sim_image *image, size_t index)
{
    return index < image->page_slots ? image->pages[index] : NULL;
}

static uint8_t *page_make(struct sim_image *image, size_t index)
{
    if (index >= image->page_slots) {
        size_t slots = image->page_slots ? image->page_slots : 4;
        while (slots <= index)
            slots *= 2;
        image->pages = sim_resize(image->pages, slots * sizeof *image->pages);
        memset(image->pages + image->page_slots, 0,
               (slots - image->page_slots) * sizeof *image->pages);
        image->page_slots = slots;
    }
    if (!image->pages[index]) {
        image->pages[index] = sim_alloc(SIM_PAGE_BYTES);
        image->pages_used++;
    }
    return image->pages[index];
}

/* The part of a range that lies in the page of its first byte. */
static size_t part_in_page(int64_t offset, size_t size)
{
    size_t room = SIM_PAGE_BYTES - (size_t)(offset % SIM_PAGE_BYTES);
    return size < room ? size : room;
}

void sim_image_read(const struct sim_image *image, void *data, size_t size, int64_t offset)
{
    uint8_t *to = data;
    while (size > 0) {
        size_t part = part_in_page(offset, size);
        const uint8_t *page = page_at(image, (size_t)(offset / SIM_PAGE_BYTES));
        if (page)
            memcpy(to, page + offset % SIM_PAGE_BYTES, part);
        else
            memset(to, 0, part);
        to += part;
        offset += (int64_t)part;
        size -= part;
    }
}

void sim_image_write(struct sim_image *image, const void *data, size_t size, int64_t offset)
{
    const uint8_t *from = data;
    must(offset >= 0 && offset + (int64_t)size <= IMAGE_BYTES_MAX);
    while (size > 0) {
        size_t part = part_in_page(offset, size);
        memcpy(page_make(image, (size_t)(offset / SIM_PAGE_BYTES)) + offset % SIM_PAGE_BYTES, from,
               part);
        from += part;
        offset += (int64_t)part;
        size -= part;
        if (image->size_bytes < offset)
            image->size_bytes = offset;
    }
}

void sim_image_truncate(struct sim_image *image, int64_t size_bytes)
{
    must(size_bytes >= 0 && size_bytes <= IMAGE_BYTES_MAX);
    size_t keep = (size_t)((size_bytes + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES);
    for (size_t i = keep; i < image->page_slots; i++) {
        if (image->pages[i])
            image->pages_used--;
        sim_free(image->pages[i]);
        image->pages[i] = NULL;
    }
    size_t rest = (size_t)(size_bytes % SIM_PAGE_BYTES);
    if (rest > 0 && page_at(image, keep - 1))
        memset(image->pages[keep - 1] + rest, 0, SIM_PAGE_BYTES - rest);
    image->size_bytes = size_bytes;
}

void sim_image_copy(struct sim_image *to, const struct sim_image *from)
{
    sim_image_close(to);
    for (size_t i = 0; i < from->page_slots; i++) {
        if (from->pages[i])
            memcpy(page_make(to, i), from->pages[i], SIM_PAGE_BYTES);
    }
    to->size_bytes = from->size_bytes;
}

int64_t sim_image_new_pages(const struct sim_image *image, int64_t offset, size_t size)
{
    int64_t count = 0;
    for (int64_t page = offset / SIM_PAGE_BYTES; page * SIM_PAGE_BYTES < offset + (int64_t)size;
         page++)
        count += !page_at(image, (size_t)page);
    return count;
}
