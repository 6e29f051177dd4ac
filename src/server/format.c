#include "server/format.h"

#include <errno.h>
#include <string.h>

#include "base/errors.h"
#include "controller/format.h"

struct uuid format_random_uuid(struct env *env)
{
    uint8_t random[16];
    struct uuid id;
    do {
        env_random(env, random, sizeof random);
    } while (!uuid_from_random(random, &id));
    return id;
}

struct format_hearer {
    const struct say *say;
    const char *cluster_id;
};

static void told(void *context, const char *dir, int outcome)
{
    const struct format_hearer *hearer = context;
    if (outcome == 0)
        say_info(hearer->say, "formatted log directory", kv_text("dir", dir),
                 kv_text("cluster_id", hearer->cluster_id));
}

int format_directories(struct env *env, const struct say *say, const struct broker_config *config,
                       const char *cluster_id)
{
    struct format_hearer hearer = {say, cluster_id};
    const char *problem = "";
    char text[FORMAT_TEXT_SIZE];
    const struct format_params params = {
        .env = env,
        .settings = &config->settings,
        .cluster_id = cluster_id,
        .metadata_version = METADATA_VERSION_LATEST,
        .static_voters = config->settings.quorum_voter_count > 0,
        .ignore_formatted = true, /* what an interrupted format has done stays */
        .text = text,
    };
    int err = format_storage(&params, told, &hearer, &problem);
    if (err < 0)
        say_error(say, "cannot format log directory", kv_text("dir", problem),
                  kv_text("error", result_text(err)));
    return err;
}
