/* The topics in which coordinators keep their records: how they are made, on first use. */
#ifndef JACKDAW_SERVER_INTERNAL_TOPICS_H
#define JACKDAW_SERVER_INTERNAL_TOPICS_H

#include "controller/controller.h"
#include "metadata/config_keys_broker.h"
#include "metadata/topic_names.h"
#include "protocol/messages.h"

struct broker;

/* Whether a client of this id may write to an internal topic: Kafka's own tool may. */
bool internal_topic_writer(struct str client_id);

/* Fill in a topic to be created: partitions, replication and configs of an internal topic, the
 * broker's defaults for every other name. False when memory runs out. */
bool internal_topic_fill(struct arena *arena, const struct broker_settings *settings,
                         struct str name, struct create_topics_request_creatable_topic *ret_topic);

enum internal_topic { INTERNAL_GROUP, INTERNAL_TRANSACTION, INTERNAL_TOPICS };

/* One creation under way, at most, for each topic. Embedded in the broker; zero to begin with. */
struct internal_topics {
    struct internal_creation {
        _Atomic bool busy;
        struct broker *broker;
        struct controller_op op;
        struct create_topics_request request;
        struct create_topics_response response;
        struct arena arena;
    } creations[INTERNAL_TOPICS];
};

/* Have the topic created, unless that is under way; nobody waits for it. From the loop's thread. */
void internal_topic_want(struct broker *broker, struct loop *loop, enum internal_topic which);
bool internal_topics_quiet(const struct broker *broker);

#endif
