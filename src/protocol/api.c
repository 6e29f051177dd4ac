#include "protocol/api.h"

#include <errno.h>

/* Headers go through the same codec as the bodies: their schemas are in schema/data. */

#define REQUEST_HEADER_FLEXIBLE 2
#define RESPONSE_HEADER_FLEXIBLE 1

const struct api *api_find(int16_t key)
{
    if (key < 0 || key >= API_COUNT || !api_table[key].request)
        return NULL;
    return &api_table[key];
}

int16_t request_header_version(const struct api *api, int16_t api_version)
{
    return api_version >= api->request_flexible_version ? REQUEST_HEADER_FLEXIBLE : 1;
}

int16_t response_header_version(const struct api *api, int16_t api_version)
{
    if (api->key == API_API_VERSIONS)
        return 0;
    return api_version >= api->response_flexible_version ? RESPONSE_HEADER_FLEXIBLE : 0;
}

int request_header_decode(struct reader *reader, struct request_header *ret_header,
                          const struct api **ret_api)
{
    struct reader peek = *reader;
    int16_t key = read_int16(&peek);
    int16_t version = read_int16(&peek);
    if (peek.failed)
        return -EBADMSG;
    const struct api *api = api_find(key);
    if (!api)
        return -ENOTSUP;
    /* The header has neither arrays nor nullable structs, so it needs no arena. */
    struct request_header header;
    int err = message_decode(&request_header_schema, request_header_version(api, version), reader,
                             NULL, &header);
    if (err < 0)
        return err;
    *ret_header = header;
    *ret_api = api;
    return 0;
}

int request_header_encode(const struct request_header *header, struct writer *writer)
{
    const struct api *api = api_find(header->request_api_key);
    if (!api)
        return -ENOTSUP;
    return message_encode(&request_header_schema,
                          request_header_version(api, header->request_api_version), header, writer,
                          NULL);
}

int response_header_encode(const struct api *api, int16_t api_version, int32_t correlation_id,
                           struct writer *writer)
{
    struct response_header header = {.correlation_id = correlation_id};
    return message_encode(&response_header_schema, response_header_version(api, api_version),
                          &header, writer, NULL);
}

int response_header_decode(const struct api *api, int16_t api_version, struct reader *reader,
                           int32_t *ret_correlation_id)
{
    struct response_header header;
    int err = message_decode(&response_header_schema, response_header_version(api, api_version),
                             reader, NULL, &header);
    if (err == 0)
        *ret_correlation_id = header.correlation_id;
    return err;
}
