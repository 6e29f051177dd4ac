/* The bytes of a file, in pages; a page that was never written takes no memory and reads as zeros.
 */
#ifndef JACKDAW_SIM_IMAGE_H
#define JACKDAW_SIM_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_PAGE_BYTES 4096

struct sim_image {
    int64_t size_bytes;
    uint8_t **pages;
    size_t page_slots;
    int64_t pages_used;
};

void sim_image_close(struct sim_image *image);
void sim_image_copy(struct sim_image *to, const struct sim_image *from);

/* Past the end there are zeros. */
void sim_image_read(const struct sim_image *image, void *data, size_t size, int64_t offset);

/* Grows the file to the end of what is written. */
void sim_image_write(struct sim_image *image, const void *data, size_t size, int64_t offset);
void sim_image_truncate(struct sim_image *image, int64_t size_bytes);

/* Pages that a write of this range would add. */
int64_t sim_image_new_pages(const struct sim_image *image, int64_t offset, size_t size);

#endif
