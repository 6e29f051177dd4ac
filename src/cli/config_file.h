/* What --config FILE and KEY=VALUE make, for every subcommand that has them. */
#ifndef JACKDAW_CLI_CONFIG_FILE_H
#define JACKDAW_CLI_CONFIG_FILE_H

#include "metadata/config_keys_broker.h"

/* `path` may be NULL (no file), or a pipe. 0, or the exit code: then what is wrong has been printed
 * to standard error, each line with the command's name and, if known, file and line. `messages` are
 * the caller's to close either way. */
int config_file_load(const char *command, const char *path, const char *const *overrides,
                     int32_t override_count, struct config_messages *messages,
                     struct broker_config **ret_config);

#endif
