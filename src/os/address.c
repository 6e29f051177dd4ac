/* Addresses as text. inet_pton and inet_ntop are pure functions of the C library. */
#include "os/env.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"

static_assert(NET_ADDRESS_TEXT_SIZE >= INET6_ADDRSTRLEN + sizeof "[]:65535", "an address fits");
static_assert(NET_ADDRESS_TEXT_SIZE > sizeof(((struct net_address *)0)->path), "a path fits");

void net_address_format_host(const struct net_address *address, char text[NET_ADDRESS_TEXT_SIZE])
{
    text[0] = 0;
    if (address->family == NET_IP4)
        inet_ntop(AF_INET, address->ip, text, NET_ADDRESS_TEXT_SIZE);
    else if (address->family == NET_IP6)
        inet_ntop(AF_INET6, address->ip, text, NET_ADDRESS_TEXT_SIZE);
    else if (address->family == NET_UNIX)
        snprintf(text, NET_ADDRESS_TEXT_SIZE, "%.*s", (int)sizeof address->path, address->path);
}

void net_address_format(const struct net_address *address, char text[NET_ADDRESS_TEXT_SIZE])
{
    char host[NET_ADDRESS_TEXT_SIZE];
    net_address_format_host(address, host);
    if (address->family == NET_IP6)
        snprintf(text, NET_ADDRESS_TEXT_SIZE, "[%.64s]:%u", host, address->port);
    else if (address->family == NET_IP4)
        snprintf(text, NET_ADDRESS_TEXT_SIZE, "%.64s:%u", host, address->port);
    else
        memcpy(text, host, NET_ADDRESS_TEXT_SIZE);
}

bool net_address_is_loopback(const struct net_address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t one[16] = {[15] = 1};
    if (address->family == NET_UNIX)
        return true;
    if (address->family == NET_IP4)
        return address->ip[0] == 127;
    if (address->family != NET_IP6)
        return false;
    if (memcmp(address->ip, mapped, sizeof mapped) == 0)
        return address->ip[12] == 127;
    return memcmp(address->ip, one, sizeof one) == 0;
}

void net_address_to_ip6(const struct net_address *address, uint8_t ret_ip[16])
{
    must(address->family == NET_IP4 || address->family == NET_IP6);
    if (address->family == NET_IP6) {
        memcpy(ret_ip, address->ip, 16);
        return;
    }
    memset(ret_ip, 0, 10);
    ret_ip[10] = ret_ip[11] = 0xff;
    memcpy(ret_ip + 12, address->ip, 4);
}

int net_address_parse(const char *host, uint16_t port, struct net_address *ret_address)
{
    struct net_address address = {.port = port};
    if (host[0] == '/') {
        size_t size = strlen(host);
        if (size >= sizeof address.path)
            return -ENAMETOOLONG;
        address.family = NET_UNIX;
        address.port = 0;
        memcpy(address.path, host, size + 1);
    } else if (inet_pton(AF_INET, host, address.ip) == 1) {
        address.family = NET_IP4;
    } else if (inet_pton(AF_INET6, host, address.ip) == 1) {
        address.family = NET_IP6;
    } else {
        return -EINVAL;
    }
    *ret_address = address;
    return 0;
}
