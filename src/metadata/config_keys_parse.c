/* Hand-written readers for what Kafka matches with regular expressions; none of them allocates. */
#include "metadata/config_keys_private.h"

#include <strings.h>

/* A decimal number of 1 to 9 digits. */
static bool parse_small_number(struct str text, int32_t *ret_number)
{
    int32_t number = 0;
    if (text.size < 1 || text.size > 9)
        return false;
    for (int32_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        number = number * 10 + (text.data[i] - '0');
    }
    *ret_number = number;
    return true;
}

static bool is_host_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '%' || c == '.' || c == '_' || c == ':';
}

bool parse_host_port(struct str text, struct str *ret_host, int32_t *ret_port)
{
    int32_t colon = text.size - 1;
    int32_t port;
    while (colon >= 0 && text.data[colon] != ':')
        colon--;
    if (colon < 0)
        return false;
    struct str digits = {text.data + colon + 1, text.size - colon - 1};
    struct str host = {text.data, colon};
    if (!parse_small_number(digits, &port) || port > 65535)
        return false;
    if (host.size > 0 && host.data[0] == '[') {
        if (host.size < 3 || host.data[host.size - 1] != ']')
            return false;
        host = (struct str){host.data + 1, host.size - 2};
    }
    for (int32_t i = 0; i < host.size; i++) {
        if (!is_host_char(host.data[i]))
            return false;
    }
    *ret_host = host;
    *ret_port = port;
    return true;
}

enum quorum_fault parse_quorum_voter(struct str text, struct quorum_address *ret_address)
{
    struct quorum_address address;
    int32_t at = -1;
    for (int32_t i = 0; i < text.size; i++) {
        if (text.data[i] != '@')
            continue;
        if (at >= 0)
            return QUORUM_FAULT_FORM;
        at = i;
    }
    if (at < 0)
        return QUORUM_FAULT_FORM;
    if (!parse_small_number((struct str){text.data, at}, &address.id))
        return QUORUM_FAULT_ID;
    struct str rest = {text.data + at + 1, text.size - at - 1};
    if (!parse_host_port(rest, &address.host, &address.port))
        return QUORUM_FAULT_ADDRESS;
    *ret_address = address;
    return QUORUM_FAULT_NONE;
}

/* Digits, with a fraction where `fraction`, before one of the letters of `units`, which are taken
 * in order. Returns the place after it, or NULL. */
static const char *read_amount(const char *at, const char *end, const char **units, bool fraction)
{
    const char *start = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    if (at == start || at - start > 15)
        return NULL;
    bool fractional = fraction && at < end && *at == '.';
    if (fractional) {
        start = ++at;
        while (at < end && *at >= '0' && *at <= '9')
            at++;
        if (at - start > 9)
            return NULL;
    }
    if (at == end)
        return NULL;
    const char *unit = strchr(*units, *at & ~0x20);
    if (!unit || !*unit || (fractional && *unit != 'S'))
        return NULL;
    *units = unit + 1;
    return at + 1;
}

bool is_by_duration(struct str text)
{
    static const char prefix[] = "by_duration:";
    const char *at = text.data;
    const char *end = text.data + text.size;
    const char *days = "D";
    const char *times = "HMS";
    if (text.size < (int32_t)sizeof prefix || memcmp(at, prefix, sizeof prefix - 1) != 0)
        return false;
    at += sizeof prefix - 1;
    if ((*at++ & ~0x20) != 'P' || at == end)
        return false;
    if ((*at & ~0x20) != 'T') {
        at = read_amount(at, end, &days, false);
        if (!at || at == end)
            return at == end;
    }
    if ((*at++ & ~0x20) != 'T' || at == end)
        return false;
    while (at && at < end)
        at = read_amount(at, end, &times, true);
    return at == end;
}

static bool is_listener_name(struct str name)
{
    for (int32_t i = 0; i < name.size; i++) {
        if (!is_host_char(name.data[i]) || name.data[i] == ':' || name.data[i] == '%')
            return false;
    }
    return name.size > 0;
}

bool parse_listener(struct str text, struct listener_setting *ret_listener)
{
    static const char unix_prefix[] = "unix:";
    const size_t prefix_size = sizeof unix_prefix - 1;
    const char *mark = memmem(text.data, (size_t)text.size, "://", 3);
    struct listener_setting listener = {0};
    if (!mark)
        return false;
    listener.name = (struct str){text.data, (int32_t)(mark - text.data)};
    struct str rest = {mark + 3, text.size - listener.name.size - 3};
    if (!is_listener_name(listener.name))
        return false;
    if ((size_t)rest.size > prefix_size && memcmp(rest.data, unix_prefix, prefix_size) == 0 &&
        memchr(rest.data, '/', (size_t)rest.size)) {
        listener.unix_path =
            (struct str){rest.data + prefix_size, rest.size - (int32_t)prefix_size};
        if (listener.unix_path.size > UNIX_PATH_MAX_BYTES)
            return false;
    } else if (!parse_host_port(rest, &listener.host, &listener.port)) {
        return false;
    }
    *ret_listener = listener;
    return true;
}

bool parse_security_protocol(struct str text, enum security_protocol *ret_protocol)
{
    static const char *const names[] = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"};
    for (int i = 0; i < 4; i++) {
        if (strlen(names[i]) == (size_t)text.size &&
            strncasecmp(names[i], text.data, (size_t)text.size) == 0) {
            *ret_protocol = (enum security_protocol)i;
            return true;
        }
    }
    return false;
}
