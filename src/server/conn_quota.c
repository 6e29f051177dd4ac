#include "server/conn_quota.h"

#include <string.h>

void conn_quota_init(struct conn_quota *quota, uint64_t seed)
{
    pthread_mutex_init(&quota->lock, NULL);
    map_init(&quota->by_address, MAP_ID, sizeof(int32_t), seed);
    quota->total = quota->leaving = 0;
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

static struct uuid address_key(const struct net_address *address)
{
    struct uuid key;
    net_address_to_ip6(address, key.bytes);
    return key;
}

static int32_t address_limit(const struct broker_settings *settings, const struct net_address *peer)
{
    struct uuid key = address_key(peer);
    for (int32_t i = 0; i < settings->max_connections_per_ip_override_count; i++)
        if (memcmp(settings->max_connections_per_ip_overrides[i].address, key.bytes,
                   sizeof key.bytes) == 0)
            return settings->max_connections_per_ip_overrides[i].max_connections;
    return settings->max_connections_per_ip;
}

/* A rate of zero is taken for one: longer than a second Kafka makes nobody wait. */
static int64_t rate_interval_ns(int32_t per_second)
{
    return CONN_RATE_SECOND_NS / (per_second > 0 ? per_second : 1);
}

int64_t conn_rate_wait_ns(const struct conn_rate *rate, int32_t per_second, int64_t now_ns)
{
    int64_t wait_ns = rate->idle_ns + rate_interval_ns(per_second) - CONN_RATE_BURST_NS - now_ns;
    return per_second == INT32_MAX || wait_ns < 0 ? 0 : wait_ns;
}

void conn_rate_note(struct conn_rate *rate, int32_t per_second, int64_t now_ns)
{
    if (per_second == INT32_MAX)
        return;
    if (rate->idle_ns < now_ns)
        rate->idle_ns = now_ns;
    rate->idle_ns += rate_interval_ns(per_second);
}

const char *conn_quota_full(struct conn_quota *quota, const struct broker_settings *settings,
                            const struct listener_setting *listener, const int32_t *listener_count,
                            bool counts_in_all)
{
    const char *reached = NULL;
    pthread_mutex_lock(&quota->lock);
    if (counts_in_all && quota->total >= settings->max_connections)
        reached = "max.connections";
    else if (*listener_count >= listener->max_connections)
        reached = "the listener's max.connections";
    pthread_mutex_unlock(&quota->lock);
    return reached;
}

const char *conn_quota_take(struct conn_quota *quota, const struct broker_settings *settings,
                            int32_t *listener_count, const struct net_address *peer)
{
    const char *passed = NULL;
    int32_t *count = NULL;
    int32_t limit = has_ip(peer) ? address_limit(settings, peer) : INT32_MAX;
    pthread_mutex_lock(&quota->lock);
    if (has_ip(peer)) {
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

/* Under the lock. */
static bool is_passed(const struct conn_quota *quota, const struct broker_settings *settings)
{
    return quota->total - quota->leaving > settings->max_connections;
}

bool conn_quota_passed(struct conn_quota *quota, const struct broker_settings *settings)
{
    pthread_mutex_lock(&quota->lock);
    bool passed = is_passed(quota, settings);
    pthread_mutex_unlock(&quota->lock);
    return passed;
}

bool conn_quota_leave(struct conn_quota *quota, const struct broker_settings *settings)
{
    pthread_mutex_lock(&quota->lock);
    bool passed = is_passed(quota, settings);
    quota->leaving += passed;
    pthread_mutex_unlock(&quota->lock);
    return passed;
}

void conn_quota_give(struct conn_quota *quota, int32_t *listener_count,
                     const struct net_address *peer, bool left)
{
    pthread_mutex_lock(&quota->lock);
    quota->total--;
    quota->leaving -= left;
    --*listener_count;
    if (has_ip(peer)) {
        int32_t *count = map_find_id(&quota->by_address, address_key(peer));
        if (count && --*count == 0)
            map_remove_id(&quota->by_address, address_key(peer), NULL);
    }
    pthread_mutex_unlock(&quota->lock);
}
