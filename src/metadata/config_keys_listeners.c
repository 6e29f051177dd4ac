/* Listeners: where to listen, under which name and protocol, and what clients are told. */
#include "metadata/config_keys_private.h"

#include <errno.h>

#include "base/must.h"

static struct str upper_case(struct str text, struct arena *arena)
{
    char *copy = arena_alloc(arena, (size_t)text.size + 1);
    for (int32_t i = 0; copy && i < text.size; i++)
        copy[i] =
            text.data[i] >= 'a' && text.data[i] <= 'z' ? (char)(text.data[i] - 32) : text.data[i];
    return (struct str){copy, text.size};
}

/* The protocol of a listener name from listener.security.protocol.map. As in Kafka a controller's
 * listener that the default map does not name is plaintext. */
static bool find_protocol(const struct settings_job *job, struct str name, bool controller,
                          enum security_protocol *ret_protocol)
{
    struct str rest = get_text(job, BROKER_CONFIG_LISTENER_SECURITY_PROTOCOL_MAP);
    struct str item;
    while (config_list_next(rest, &item, &rest)) {
        const char *colon = memchr(item.data, ':', (size_t)item.size);
        int32_t size = colon ? (int32_t)(colon - item.data) : 0;
        if (colon && same_name((struct str){item.data, size}, name))
            return parse_security_protocol((struct str){item.data + size + 1, item.size - size - 1},
                                           ret_protocol);
    }
    *ret_protocol = SECURITY_PLAINTEXT;
    return controller && !is_set(job, BROKER_CONFIG_LISTENER_SECURITY_PROTOCOL_MAP);
}

static void check_protocol_map(struct settings_job *job)
{
    struct str rest = get_text(job, BROKER_CONFIG_LISTENER_SECURITY_PROTOCOL_MAP);
    struct str item;
    while (config_list_next(rest, &item, &rest)) {
        enum security_protocol protocol;
        const char *colon = memchr(item.data, ':', (size_t)item.size);
        int32_t size = colon ? (int32_t)(colon - item.data) : 0;
        struct str name = {item.data + size + 1, item.size - size - 1};
        if (!colon)
            settings_fail(
                job, LISTENER_SECURITY_PROTOCOL_MAP,
                "'%.*s' in listener.security.protocol.map is not of the form NAME:PROTOCOL.",
                (int)item.size, item.data);
        else if (!parse_security_protocol(name, &protocol))
            settings_fail(
                job, LISTENER_SECURITY_PROTOCOL_MAP,
                "Invalid security protocol `%.*s` defined in listener.security.protocol.map",
                (int)name.size, name.data);
    }
}

static bool is_controller_name(const struct settings_job *job, struct str name)
{
    struct str rest = get_text(job, BROKER_CONFIG_CONTROLLER_LISTENER_NAMES);
    struct str item;
    while (config_list_next(rest, &item, &rest)) {
        if (same_name(item, name))
            return true;
    }
    return false;
}

static bool is_v6(struct str host)
{
    return memchr(host.data, ':', (size_t)host.size) != NULL;
}

/* Would both ask for the same address? An empty host stands for all of both families. */
static bool listeners_clash(const struct listener_setting *a, const struct listener_setting *b)
{
    if (a->unix_path.data || b->unix_path.data)
        return a->unix_path.data && b->unix_path.data && str_equal(a->unix_path, b->unix_path);
    if (a->port != b->port || a->port == 0)
        return false;
    if (a->host.size == 0 || b->host.size == 0 || same_name(a->host, b->host))
        return true;
    bool any_a = str_equal(a->host, STR("0.0.0.0")) || str_equal(a->host, STR("::"));
    bool any_b = str_equal(b->host, STR("0.0.0.0")) || str_equal(b->host, STR("::"));
    return (any_a || any_b) && is_v6(a->host) == is_v6(b->host);
}

/* listener.name.NAME.KEY as a number, or `otherwise`. Dynamic values count before the file's. */
static int32_t listener_number(const struct settings_job *job, struct str name,
                               enum broker_config_key key, int32_t otherwise)
{
    const struct broker_config *config = job->config;
    const struct config_pairs layers[] = {config->dynamic_broker, config->dynamic_default,
                                          config->static_pairs};
    char *full = (char *)arena_printf(job->arena, "listener.name.%.*s.%s", (int)name.size,
                                      name.data, broker_schema.keys[key].name);
    for (int32_t i = 0; full && i < name.size; i++) {
        char *c = full + strlen("listener.name.") + i;
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    }
    for (size_t i = 0; full && i < array_size(layers); i++) {
        struct config_value value;
        const char *error;
        struct str text = config_pairs_get(layers[i], str_of(full));
        if (text.data &&
            config_parse(&broker_schema.keys[key], text, job->arena, &value, &error) == 0)
            return (int32_t)value.number;
    }
    return otherwise;
}

/* Check one listener against those before it. */
static void check_listener(struct settings_job *job, const struct listener_setting *listeners,
                           int32_t at)
{
    static const char *const names[] = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"};
    const struct listener_setting *listener = &listeners[at];
    struct str name = listener->name;
    if (listener->protocol != SECURITY_PLAINTEXT)
        settings_fail(
            job, LISTENERS,
            "The listener %s is refused: %s is not there yet, and it is never served as plaintext.",
            name.data, names[listener->protocol]);
    for (int32_t i = 0; i < at; i++) {
        if (str_equal(listeners[i].name, name))
            settings_fail(job, LISTENERS,
                          "Each listener must have a different name, %s is there twice.",
                          name.data);
        else if (listeners_clash(&listeners[i], listener))
            settings_fail(job, LISTENERS, "The listeners %s and %s have the same address.",
                          listeners[i].name.data, name.data);
    }
}

/* Kafka's words, and what it should have been. */
static void fail_to_parse(struct settings_job *job, enum broker_config_key key, struct str item)
{
    const char *name = broker_schema.keys[key].name;
    const char *form = "NAME://HOST:PORT, a port being 0 to 65535";
    bool local = memmem(item.data, (size_t)item.size, "://unix:", 8) != NULL;
    if (local && key == BROKER_CONFIG_ADVERTISED_LISTENERS)
        form = "NAME://HOST:PORT; a Unix-domain socket cannot be advertised";
    else if (local)
        form = "NAME://unix:/PATH or NAME://unix:./PATH, a path of at most 107 bytes";
    config_messages_add(job->messages, CONFIG_ERROR, 0, str_of(name),
                        "Unable to parse %.*s to a broker endpoint: an item of %s is %s.",
                        (int)item.size, item.data, name, form);
}

/* 0, or -ENOMEM. */
static int compute_listeners(struct settings_job *job)
{
    struct broker_settings *settings = job->settings;
    struct str rest = get_text(job, BROKER_CONFIG_LISTENERS);
    struct str item;
    int32_t count = 0;
    int32_t broker_count = 0;
    if (config_list_count(rest) > LISTENERS_MAX) {
        settings_fail(job, LISTENERS, "There must be at most %d listeners.", LISTENERS_MAX);
        return 0;
    }
    struct listener_setting *listeners =
        arena_array(job->arena, (size_t)config_list_count(rest), sizeof *listeners);
    if (!listeners)
        return -ENOMEM;
    while (config_list_next(rest, &item, &rest)) {
        struct listener_setting *listener = &listeners[count];
        if (!parse_listener(item, listener)) {
            fail_to_parse(job, BROKER_CONFIG_LISTENERS, item);
            continue;
        }
        listener->name = upper_case(listener->name, job->arena);
        if (!listener->name.data)
            return -ENOMEM;
        listener->controller = is_controller_name(job, listener->name);
        if (!find_protocol(job, listener->name, listener->controller, &listener->protocol)) {
            settings_fail(job, LISTENERS,
                          "No security protocol defined for listener %s: "
                          "listener.security.protocol.map needs an entry %s:PLAINTEXT.",
                          listener->name.data, listener->name.data);
            continue;
        }
        listener->max_connections =
            listener_number(job, listener->name, BROKER_CONFIG_MAX_CONNECTIONS, INT32_MAX);
        listener->max_connection_creation_rate = listener_number(
            job, listener->name, BROKER_CONFIG_MAX_CONNECTION_CREATION_RATE, INT32_MAX);
        check_listener(job, listeners, count);
        broker_count += !listener->controller;
        count++;
    }
    settings->listeners = listeners;
    settings->listener_count = count;
    if (broker_count == 0 && job->messages->error_count == 0)
        settings_fail(
            job, LISTENERS,
            "There must be at least one listener for clients. Perhaps all listeners appear in "
            "controller.listener.names?");
    return 0;
}

static void compute_inter_broker_listener(struct settings_job *job)
{
    struct broker_settings *settings = job->settings;
    struct str name = get_text(job, BROKER_CONFIG_INTER_BROKER_LISTENER_NAME);
    if (name.data && is_set(job, BROKER_CONFIG_SECURITY_INTER_BROKER_PROTOCOL))
        settings_fail(
            job, INTER_BROKER_LISTENER_NAME,
            "Only one of inter.broker.listener.name and security.inter.broker.protocol should be "
            "set.");
    if (name.data) {
        const struct listener_setting *listener = broker_listener(settings, name);
        if (!listener || listener->controller)
            settings_fail(
                job, INTER_BROKER_LISTENER_NAME,
                "inter.broker.listener.name=%s is not the name of a listener for clients.",
                name.data);
        else
            settings->inter_broker_listener_name = listener->name;
        return;
    }
    for (int32_t i = 0; i < settings->listener_count; i++) {
        const struct listener_setting *listener = &settings->listeners[i];
        bool plaintext = str_equal(listener->name, STR("PLAINTEXT"));
        if (!listener->controller && (plaintext || !settings->inter_broker_listener_name.data))
            settings->inter_broker_listener_name = listener->name;
    }
}

/* 0, or -ENOMEM. */
static int compute_advertised(struct settings_job *job)
{
    struct broker_settings *settings = job->settings;
    struct str rest = get_text(job, BROKER_CONFIG_ADVERTISED_LISTENERS);
    struct str item;
    int32_t count = 0;
    struct advertised_setting *advertised =
        arena_array(job->arena, (size_t)config_list_count(rest), sizeof *advertised);
    if (!advertised)
        return -ENOMEM;
    while (config_list_next(rest, &item, &rest)) {
        struct listener_setting parsed;
        if (!parse_listener(item, &parsed) || parsed.unix_path.data) {
            fail_to_parse(job, BROKER_CONFIG_ADVERTISED_LISTENERS, item);
            continue;
        }
        const struct listener_setting *listener = broker_listener(settings, parsed.name);
        if (!listener) {
            settings_fail(
                job, ADVERTISED_LISTENERS,
                "advertised.listeners names the listener %.*s, which listeners does not have.",
                (int)parsed.name.size, parsed.name.data);
            continue;
        }
        if (str_equal(parsed.host, STR("0.0.0.0")))
            settings_fail(
                job, ADVERTISED_LISTENERS,
                "advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a "
                "routable IP address.");
        for (int32_t i = 0; i < count; i++) {
            if (str_equal(advertised[i].name, listener->name))
                settings_fail(job, ADVERTISED_LISTENERS, "%s is advertised twice.",
                              listener->name.data);
        }
        if (!listener->controller)
            advertised[count++] =
                (struct advertised_setting){listener->name, parsed.host, parsed.port};
    }
    settings->advertised = advertised;
    settings->advertised_count = count;
    return 0;
}

int listener_settings_compute(struct settings_job *job)
{
    check_protocol_map(job);
    int err = compute_listeners(job);
    if (err == 0)
        err = compute_advertised(job);
    if (err == 0)
        compute_inter_broker_listener(job);
    return err;
}

const struct listener_setting *broker_listener(const struct broker_settings *settings,
                                               struct str name)
{
    for (int32_t i = 0; i < settings->listener_count; i++) {
        if (same_name(settings->listeners[i].name, name))
            return &settings->listeners[i];
    }
    return NULL;
}

bool listener_is_local(const struct listener_setting *listener)
{
    struct str host = listener->host;
    if (listener->unix_path.data)
        return true;
    if (host.size == 0)
        return false;
    if (same_name(host, STR("localhost")) || str_equal(host, STR("::1")))
        return true;
    /* 127.0.0.0/8; a name that starts like it is not an address. */
    for (int32_t i = 0; i < host.size; i++) {
        if (host.data[i] != '.' && (host.data[i] < '0' || host.data[i] > '9'))
            return false;
    }
    return host.size > 4 && memcmp(host.data, "127.", 4) == 0;
}
