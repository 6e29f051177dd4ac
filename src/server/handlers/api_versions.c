#include "base/errors.h"
#include "metadata/features.h"
#include "server/api_table.h"

/* Client software names and versions are [a-zA-Z0-9] with '-' and '.' inside (KIP-511). */
static bool software_ok(struct str text)
{
    for (int32_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        bool inner = i > 0 && i < text.size - 1;
        if (!alnum && !(inner && (c == '-' || c == '.')))
            return false;
    }
    return text.size > 0;
}

static bool fill_features(struct request *request, struct api_versions_response *response)
{
    const struct image *image = request_image(request);
    struct arena *arena = &request->arena;
    response->supported_features.items =
        api_versions_response_supported_feature_key_array(arena, features_count);
    response->finalized_features.items =
        api_versions_response_finalized_feature_key_array(arena, tree_size(&image->features));
    if (!response->supported_features.items || !response->finalized_features.items)
        return false;
    for (int32_t i = 0; i < features_count; i++) {
        /* A client of version 3 cannot read a range that starts at 0. */
        if (request->version < 4 && features[i].min == 0)
            continue;
        struct api_versions_response_supported_feature_key *item =
            &response->supported_features.items[response->supported_features.count++];
        item->name = str_of(features[i].name);
        item->min_version = features[i].min;
        item->max_version = features[i].finalize_max;
    }
    struct tree_cursor cursor;
    features_from(image, &cursor);
    for (const struct feature_image *feature; (feature = features_next(&cursor));) {
        struct api_versions_response_finalized_feature_key *item =
            &response->finalized_features.items[response->finalized_features.count++];
        item->name = feature->name;
        item->min_version_level = feature->level;
        item->max_version_level = feature->level;
    }
    response->finalized_features_epoch = image->offset;
    return true;
}

static int api_versions_check(struct request *request)
{
    const struct api_versions_request *body = request->body;
    struct broker *broker = request_broker(request);
    if (!body)
        return KAFKA_UNSUPPORTED_VERSION;
    if (request->version >= 3 &&
        (!software_ok(body->client_software_name) || !software_ok(body->client_software_version)))
        return KAFKA_INVALID_REQUEST;
    if (request->version < 5)
        return 0;
    if (!body->cluster_id.data != (body->node_id == -1)) /* both or neither */
        return KAFKA_INVALID_REQUEST;
    bool other_cluster =
        body->cluster_id.data && !str_equal(body->cluster_id, str_of(broker->cluster_id));
    bool other_node =
        body->node_id >= 0 && body->node_id != broker->static_config->settings.node_id;
    return other_cluster || other_node ? KAFKA_REBOOTSTRAP_REQUIRED : 0;
}

enum outcome handle_api_versions(struct request *request)
{
    struct api_versions_response response;
    api_versions_response_init(&response);
    int err = api_versions_check(request);
    response.error_code = error_to_wire(err);
    if (err != 0 && err != KAFKA_UNSUPPORTED_VERSION)
        return request_answer(request, &response);
    response.api_keys.items =
        api_versions_response_api_version_array(&request->arena, api_row_count);
    if (!response.api_keys.items)
        return request_refuse(request, "out of memory");
    for (int32_t i = 0; i < api_row_count; i++) {
        if (err == KAFKA_UNSUPPORTED_VERSION && api_rows[i].key != API_API_VERSIONS)
            continue;
        struct api_versions_response_api_version *item =
            &response.api_keys.items[response.api_keys.count++];
        item->api_key = api_rows[i].key;
        item->min_version = api_rows[i].advertised_min;
        item->max_version = api_rows[i].max_version;
    }
    if (request->version >= 3 && !fill_features(request, &response))
        return request_refuse(request, "out of memory");
    return request_answer(request, &response);
}
