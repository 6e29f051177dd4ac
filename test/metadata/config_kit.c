#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "config_kit.h"

struct broker_config *load(const char *text, int expected, struct config_messages *messages)
{
    struct broker_config *config = NULL;
    struct bytes file = {(const uint8_t *)text, (int32_t)strlen(text)};
    int err = broker_config_load(file, NULL, 0, messages, &config);
    for (int32_t i = 0; err != expected && i < messages->count; i++)
        print_message("%s\n", messages->items[i].text);
    assert_int_equal(err, expected);
    return config;
}

struct broker_config *load_good(const char *text)
{
    struct config_messages messages = {0};
    struct broker_config *config = load(text, 0, &messages);
    config_messages_close(&messages);
    return config;
}
