/* docs/configuration.md, from the tables. */
#include <stdio.h>

#include "base/must.h"
#include "metadata/config_keys.h"

static void put(struct writer *out, const char *text)
{
    write_bytes(out, text, strlen(text));
}

/* Text of one table cell: '|' would end it. */
static void put_cell(struct writer *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            put(out, "\\");
        write_bytes(out, text, 1);
    }
}

static void put_code(struct writer *out, const char *text)
{
    put(out, "`");
    put_cell(out, text);
    put(out, "`");
}

static void put_default(struct writer *out, const struct config_key *key)
{
    if (!key->default_text)
        put(out, "not set");
    else if (!*key->default_text)
        put(out, "empty");
    else
        put_code(out, key->default_text);
}

static void put_number(struct writer *out, int64_t number)
{
    char text[32];
    int size = snprintf(text, sizeof text, "%lld", (long long)number);
    write_bytes(out, text, (size_t)size);
}

static void put_range(struct writer *out, const struct config_key *key)
{
    const struct config_check *check = &key->check;
    if (key->type == CONFIG_TYPE_DOUBLE) {
        char text[64];
        snprintf(text, sizeof text, "%g to %g", check->min_real, check->max_real);
        put(out, text);
    } else if (check->max == INT64_MAX) {
        put(out, "at least ");
        put_number(out, check->min);
    } else {
        put_number(out, check->min);
        put(out, " to ");
        put_number(out, check->max);
    }
    if (check->kind == CONFIG_CHECK_RANGE_OR_MINUS_1)
        put(out, ", or -1");
}

static void put_values(struct writer *out, const struct config_key *key)
{
    static const char *const types[] = {"",
                                        "`true`, `false`",
                                        "text",
                                        "32-bit number",
                                        "16-bit number",
                                        "64-bit number",
                                        "real",
                                        "list",
                                        "a class",
                                        "secret text"};
    switch (key->check.kind) {
    case CONFIG_CHECK_RANGE:
    case CONFIG_CHECK_RANGE_OR_MINUS_1:
        put_range(out, key);
        break;
    case CONFIG_CHECK_ONE_OF:
    case CONFIG_CHECK_ONE_OF_ANY_CASE:
        put(out, "one of ");
        put_cell(out, key->check.allowed);
        break;
    case CONFIG_CHECK_LIST:
        put(out, "list");
        if (key->check.allowed) {
            put(out, " of ");
            put_cell(out, key->check.allowed);
        }
        break;
    default:
        put(out, types[key->type]);
    }
}

static void put_honoured(struct writer *out, const struct config_schema *schema, bool modes)
{
    static const char *const mode_names[] = {"at start", "per broker", "cluster-wide"};
    put(out, modes ? "| Key | Default | Values | Changes | What it does |\n|---|---|---|---|---|\n"
                   : "| Key | Default | Values | What it does |\n|---|---|---|---|\n");
    for (int32_t i = 0; i < schema->count; i++) {
        const struct config_key *key = &schema->keys[i];
        if (key->status != CONFIG_HONOURED || key->visibility != CONFIG_PUBLIC)
            continue;
        put(out, "| ");
        put_code(out, key->name);
        put(out, " | ");
        put_default(out, key);
        put(out, " | ");
        put_values(out, key);
        put(out, " | ");
        if (modes) {
            put(out, mode_names[key->mode]);
            put(out, " | ");
        }
        put_cell(out, key->about);
        put(out, " |\n");
    }
    put(out, "\n");
}

/* Keys of one status, gathered under the reason that they share. */
static void put_by_reason(struct writer *out, const struct config_schema *schema,
                          enum config_status status)
{
    for (int32_t i = 0; i < schema->count; i++) {
        const struct config_key *key = &schema->keys[i];
        bool told = key->status != status || key->visibility == CONFIG_INTERNAL;
        for (int32_t j = 0; !told && j < i; j++)
            told = schema->keys[j].status == status &&
                   schema->keys[j].visibility != CONFIG_INTERNAL &&
                   strcmp(schema->keys[j].about, key->about) == 0;
        if (told)
            continue;
        put(out, "* ");
        put(out, key->about);
        put(out, ":");
        const char *before = " ";
        for (int32_t j = i; j < schema->count; j++) {
            const struct config_key *other = &schema->keys[j];
            if (other->status != status || other->visibility == CONFIG_INTERNAL ||
                strcmp(other->about, key->about) != 0)
                continue;
            put(out, before);
            put_code(out, other->name);
            before = ", ";
        }
        put(out, "\n");
    }
    put(out, "\n");
}

static void put_topic_defaults(struct writer *out)
{
    put(out, "| Topic key | Broker key |\n|---|---|\n");
    for (int32_t i = 0; i < topic_schema.count; i++) {
        const struct config_key_synonym *synonym = topic_key_synonyms((enum topic_config_key)i);
        if (synonym->key < 0 || topic_schema.keys[i].status != CONFIG_HONOURED)
            continue;
        put(out, "| ");
        put_code(out, topic_schema.keys[i].name);
        const char *before = " | ";
        for (; synonym->key >= 0; synonym++) {
            put(out, before);
            put_code(out, broker_schema.keys[synonym->key].name);
            before = ", else ";
        }
        put(out, " |\n");
    }
    put(out, "\n");
}

static const char introduction[] =
    "# Configuration\n"
    "\n"
    "<!-- Written by tools/docs-config from src/metadata/config_keys.def; change that file. -->\n"
    "\n"
    "`jackdaw server --config server.properties key=value ...` reads a file in Java's properties\n"
    "syntax and then the overrides, which win. Keys, defaults and checks are those of Apache "
    "Kafka\n"
    "4.4; keys of Jackdaw's own start with `jackdaw.`. Each of Kafka's keys is one of three:\n"
    "honoured, accepted without effect, or refused. A key without effect is named at the start,\n"
    "with the reason. A refused key stops the start unless it has its default or is empty. An\n"
    "unknown key is a warning that names the nearest known one.\n"
    "\n"
    "Without a file a node is number 1, has both roles, listens on `PLAINTEXT://127.0.0.1:9092`,\n"
    "keeps its data in `./data`, and makes internal topics with one replica.\n"
    "\n"
    "## Listeners\n"
    "\n"
    "`listeners` is a list of `NAME://ADDRESS`:\n"
    "\n"
    "| Address | Where it listens |\n"
    "|---|---|\n"
    "| `127.0.0.1:9092`, `host:9092` | that address |\n"
    "| `[::1]:9092` | that IPv6 address |\n"
    "| `:9092` | all interfaces, IPv4 and IPv6 |\n"
    "| `127.0.0.1:0` | a free port, which the `ready` line tells |\n"
    "| `unix:/run/jackdaw.sock` | a Unix-domain socket; a path from the root on, or with a `/` "
    "in it |\n"
    "\n"
    "A name other than `PLAINTEXT` needs an entry in `listener.security.protocol.map`:\n"
    "\n"
    "    listeners=PLAINTEXT://:9092,LOCAL://unix:/run/jackdaw.sock\n"
    "    listener.security.protocol.map=PLAINTEXT:PLAINTEXT,LOCAL:PLAINTEXT\n"
    "\n"
    "A listener whose protocol is `SSL`, `SASL_PLAINTEXT` or `SASL_SSL` is refused: it is never\n"
    "served as plaintext. Where `advertised.listeners` is not set, a client is told the local\n"
    "address and port of its own connection. `listener.name.NAME.max.connections`, with the name "
    "in\n"
    "lower case, is the limit of one listener.\n"
    "\n";

void config_write_reference(struct writer *out)
{
    put(out, introduction);
    put(out, "## Honoured broker keys\n"
             "\n"
             "*Changes* says how a key may change while the broker runs: only *at start*, *per\n"
             "broker*, or *cluster-wide* (for all brokers, or for one).\n"
             "\n");
    put_honoured(out, &broker_schema, true);
    put(out, "## Broker keys without effect\n"
             "\n"
             "Any valid value is accepted and changes nothing:\n"
             "\n");
    put_by_reason(out, &broker_schema, CONFIG_NO_EFFECT);
    put(out, "## Refused broker keys\n"
             "\n"
             "Only the default, or nothing, is accepted:\n"
             "\n");
    put_by_reason(out, &broker_schema, CONFIG_REFUSED);
    put(out, "## Honoured topic keys\n\n");
    put_honoured(out, &topic_schema, false);
    put(out, "What a topic does not set comes from the broker:\n\n");
    put_topic_defaults(out);
    put(out, "## Topic keys without effect\n\n");
    put_by_reason(out, &topic_schema, CONFIG_NO_EFFECT);
    put(out, "## Refused topic keys\n\n");
    put_by_reason(out, &topic_schema, CONFIG_REFUSED);
    put(out, "## Honoured keys of groups\n"
             "\n"
             "Set with `kafka-configs.sh --alter --entity-type groups --entity-name GROUP`, and in "
             "force from the\n"
             "group's next heartbeat on. What a group does not set is as the broker has it.\n"
             "\n");
    put_honoured(out, &group_schema, false);
    put(out, "## Keys of groups and client metrics without effect\n"
             "\n"
             "They are checked and kept:\n"
             "\n");
    put_by_reason(out, &group_schema, CONFIG_NO_EFFECT);
    put_by_reason(out, &client_metrics_schema, CONFIG_NO_EFFECT);
    must(out->size > 0 || out->failed);
    /* One newline ends the file. */
    if (!out->failed)
        out->size--;
}
