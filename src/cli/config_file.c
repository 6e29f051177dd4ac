#include "cli/config_file.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/errors.h"
#include "cli/command.h"
#include "os/linux_env.h"

#define CONFIG_FILE_MAX_BYTES (1024 * 1024)

static void print_errors(const char *command, const char *path,
                         const struct config_messages *messages)
{
    for (int32_t i = 0; i < messages->count; i++) {
        const struct config_message *message = &messages->items[i];
        if (message->level != CONFIG_ERROR)
            continue;
        fprintf(stderr, "jackdaw %s: ", command);
        if (path && message->line > 0)
            fprintf(stderr, "%s:%d: ", path, message->line);
        fprintf(stderr, "%s\n", message->text);
    }
}

int config_file_load(const char *command, const char *path, const char *const *overrides,
                     int32_t override_count, struct config_messages *messages,
                     struct broker_config **ret_config)
{
    char *data = NULL;
    size_t size = 0;
    int err = path ? linux_load(path, CONFIG_FILE_MAX_BYTES, &data, &size) : 0;
    if (err < 0) {
        fprintf(stderr, "jackdaw %s: cannot read %s: %s\n", command, path, result_text(err));
        return EXIT_USAGE;
    }
    err = broker_config_load((struct bytes){(const uint8_t *)data, (int32_t)size}, overrides,
                             override_count, messages, ret_config);
    free(data);
    if (err == 0)
        return EXIT_OK;
    print_errors(command, path, messages);
    if (messages->error_count == 0)
        fprintf(stderr, "jackdaw %s: %s\n", command, result_text(err));
    return err < 0 ? EXIT_FAILED : EXIT_USAGE;
}
