#include "server/conn_quota.h"

#include <string.h>

void conn_quota_init(struct conn_quota *quota, uint64_t seed)
{
    pthread_mutex_init(&quota->lock, NULL);
    map_init(&quota->by_address, MAP_ID, sizeof(int32_t), seed);
    quota->total = 0;
}

void conn_quota_close(struct conn_quota *quota)
{
    map_close(&quota->by_address);
    pthread_mutex_destroy(&quota->lock);
}

static bool has_ip(const struct net_address *address)
{
    return address->family == NET_IP4 || address->family == NET_IP6;
}

/* v4 as ::ffff:a.b.c.d, so that a client is the same by whichever listener it came. */
static struct uuid address_key(const struct net_address *address)
{
    struct uuid key = {{0}};
    if (address->family == NET_IP6) {
        memcpy(key.bytes, address->ip, sizeof key.bytes);
        return key;
    }
    key.bytes[10] = key.bytes[11] = 0xff;
    memcpy(key.bytes + 12, address->ip, 4);
    return key;
}

static int32_t address_limit(const struct broker_settings *settings, const struct net_address *peer)
{
    char host[NET_ADDRESS_TEXT_SIZE];
    if (settings->max_connections_per_ip_override_count == 0)
        return settings->max_connections_per_ip;
    net_address_format_host(peer, host);
    for (int32_t i = 0; i < settings->max_connections_per_ip_override_count; i++)
        if (str_equal(settings->max_connections_per_ip_overrides[i].host, str_of(host)))
            return settings->max_connections_per_ip_overrides[i].max_connections;
    return settings->max_connections_per_ip;
}

const char *conn_quota_take(struct conn_quota *quota, const struct broker_settings *settings,
                            const struct listener_setting *listener, int32_t *listener_count,
                            const struct net_address *peer)
{
    const char *passed = NULL;
    int32_t *count = NULL;
    int32_t limit = has_ip(peer) ? address_limit(settings, peer) : INT32_MAX;
    pthread_mutex_lock(&quota->lock);
    if (quota->total >= settings->max_connections) {
        passed = "max.connections";
    } else if (*listener_count >= listener->max_connections) {
        passed = "the listener's max.connections";
    } else if (has_ip(peer)) {
        count = map_find_id(&quota->by_address, address_key(peer));
        if (limit <= (count ? *count : 0))
            passed = "max.connections.per.ip";
        else if (!count && map_put_id(&quota->by_address, address_key(peer), &count) < 0)
            passed = "memory";
    }
    if (!passed) {
        quota->total++;
        ++*listener_count;
        if (count)
            ++*count;
    }
    pthread_mutex_unlock(&quota->lock);
    return passed;
}

void conn_quota_give(struct conn_quota *quota, int32_t *listener_count,
                     const struct net_address *peer)
{
    pthread_mutex_lock(&quota->lock);
    quota->total--;
    --*listener_count;
    if (has_ip(peer)) {
        int32_t *count = map_find_id(&quota->by_address, address_key(peer));
        if (count && --*count == 0)
            map_remove_id(&quota->by_address, address_key(peer), NULL);
    }
    pthread_mutex_unlock(&quota->lock);
}
