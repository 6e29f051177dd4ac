/* The table of Kafka's APIs, and the headers that stand before every request and response.
 *
 * The table is generated from schema/api. It says what the protocol knows; what this broker serves
 * is the dispatcher's table. Key constants (API_PRODUCE, ...) are in protocol/messages.h. */
#ifndef JACKDAW_PROTOCOL_API_H
#define JACKDAW_PROTOCOL_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/message.h"
#include "protocol/messages.h"

enum api_listeners {
    API_ON_BROKER = 1,
    API_ON_CONTROLLER = 2,
};

struct api {
    int16_t key;
    int16_t min_version;
    int16_t max_version;              /* < min_version: removed from the protocol, schemas NULL */
    int16_t request_flexible_version; /* the first flexible one; INT16_MAX: none */
    int16_t response_flexible_version;
    bool latest_version_unstable; /* max_version is not to be advertised by default */
    unsigned listeners;           /* enum api_listeners */
    const char *name;             /* "Produce" */
    const struct message_schema *request;
    const struct message_schema *response;
};

/* All APIs by key, removed ones included; keys are dense from 0 to API_COUNT - 1 but for gaps,
 * whose name is NULL. */
extern const struct api api_table[];

/* The row of this key, or NULL when there is none or it was removed. */
const struct api *api_find(int16_t key);

static inline bool api_has_version(const struct api *api, int16_t version)
{
    return version >= api->min_version && version <= api->max_version;
}

/* 1, or 2 when the request is flexible. */
int16_t request_header_version(const struct api *api, int16_t api_version);

/* 0, or 1 when the response is flexible; always 0 for ApiVersions, whose client does not know yet
 * what the server speaks (KIP-511). */
int16_t response_header_version(const struct api *api, int16_t api_version);

/* Read the header of a request; the body follows in the reader. The version may be one that the
 * protocol does not have: the caller checks (ApiVersions answers that with version 0). client_id
 * points into the input.
 *
 * 0, -EBADMSG, or -ENOTSUP: no such API, nothing can be answered. */
int request_header_decode(struct reader *reader, struct request_header *ret_header,
                          const struct api **ret_api);

/* Append the header that a request of header->request_api_key and version needs. 0, -ENOTSUP (no
 * such API), -EINVAL or -ENOMEM. */
int request_header_encode(const struct request_header *header, struct writer *writer);

int response_header_encode(const struct api *api, int16_t api_version, int32_t correlation_id,
                           struct writer *writer);

/* 0 or -EBADMSG; the body follows in the reader. */
int response_header_decode(const struct api *api, int16_t api_version, struct reader *reader,
                           int32_t *ret_correlation_id);

#endif
