/* What the tests of the configuration share: loading it from text. */
#ifndef JACKDAW_TEST_METADATA_CONFIG_KIT_H
#define JACKDAW_TEST_METADATA_CONFIG_KIT_H

#include "metadata/config_keys_broker.h"

#define PAIRS(...)                                                                                 \
    ((struct config_pairs){(const struct config_pair[]){__VA_ARGS__},                              \
                           sizeof((const struct config_pair[]){__VA_ARGS__}) /                     \
                               sizeof(struct config_pair)})
#define PAIR(name, value)                                                                          \
    {                                                                                              \
        STR(name), STR(value)                                                                      \
    }

/* The smallest file that starts; tests add lines to it. */
#define NODE "node.id=1\nprocess.roles=broker,controller\n"

/* Load a file; what it says is printed when the result is not the expected one. */
struct broker_config *load(const char *text, int expected, struct config_messages *messages);
struct broker_config *load_good(const char *text);

#endif
