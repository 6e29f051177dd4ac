/* A request as it comes from a socket: header, then the body of any API in any version; and the
 * response of that API and version, since a client trusts its broker no more. */
#include "base/must.h"
#include "decode.h"
#include "protocol/api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader reader = reader_of(data, size);
    struct request_header header;
    const struct api *api;
    if (request_header_decode(&reader, &header, &api) < 0)
        return 0;
    must(header.client_id.size >= 0 && (size_t)header.client_id.size <= size);
    struct writer writer = {0};
    must(request_header_encode(&header, &writer) == 0);
    writer_close(&writer);
    decode_and_check(api->request, header.request_api_version, reader.at, reader_left(&reader));
    decode_and_check(api->response, header.request_api_version, reader.at, reader_left(&reader));
    return 0;
}

/* Now and then a valid request or response, else libFuzzer's own mutations. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    const struct api *api = api_find((int16_t)(seed / 64 % API_COUNT));
    if (seed % 64 > 0 || !api)
        return LLVMFuzzerMutate(data, size, max_size);
    unsigned versions = (unsigned)(api->max_version - api->min_version + 1);
    struct request_header header = {
        .request_api_key = api->key,
        .request_api_version = (int16_t)(api->min_version + (int)(seed / 8192 % versions)),
        .client_id = STR("fuzz"),
    };
    struct writer writer = {0};
    must(request_header_encode(&header, &writer) == 0);
    size_t head = writer.size;
    if (head < max_size)
        memcpy(data, writer.data, head);
    writer_close(&writer);
    if (head >= max_size)
        return size;
    return head + decode_seed(seed & 4096 ? api->request : api->response,
                              header.request_api_version, seed, data + head, max_size - head);
}
