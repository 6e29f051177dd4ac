#include "server/handlers/group_common.h"

#include "base/errors.h"

_Static_assert(offsetof(struct classic_join, op) == 0, "op in front");
_Static_assert(offsetof(struct classic_sync, op) == 0, "op in front");
_Static_assert(offsetof(struct classic_heartbeat, op) == 0, "op in front");
_Static_assert(offsetof(struct classic_leave, op) == 0, "op in front");
_Static_assert(offsetof(struct classic_abandon, op) == 0, "op in front");
_Static_assert(offsetof(struct offset_commit, op) == 0, "op in front");
_Static_assert(offsetof(struct offset_fetch, op) == 0, "op in front");
_Static_assert(offsetof(struct offset_delete, op) == 0, "op in front");
_Static_assert(offsetof(struct group_list, op) == 0, "op in front");
_Static_assert(offsetof(struct group_describe, op) == 0, "op in front");
_Static_assert(offsetof(struct group_delete, op) == 0, "op in front");
_Static_assert(offsetof(struct consumer_heartbeat, op) == 0, "op in front");
_Static_assert(offsetof(struct consumer_describe, op) == 0, "op in front");

int group_shard_of(struct request *request, struct str group_id, struct coord_shard **ret_shard)
{
    struct coord *groups = request_broker(request)->coordinators.groups;
    int32_t partition = groups ? coord_partition_for(groups, group_id) : -1;
    if (partition < 0)
        return KAFKA_NOT_COORDINATOR;
    return coord_shard_find(groups, partition, ret_shard);
}

static void call_wake(struct coord_op *op, struct wakes *wakes)
{
    request_wake_later(container_of(op, struct group_call, op)->request, wakes);
}

void group_call_begin_at(struct group_call *call, struct request *request,
                         struct coord_shard *shard)
{
    call->request = request;
    call->over = false;
    call->op.shard = shard;
    call->op.wake = call_wake;
}

void group_call_fail(struct group_call *call, struct request *request, int error)
{
    call->request = request;
    call->over = true;
    call->error = error;
}

void group_call_begin(struct group_call *call, struct request *request, struct str group_id)
{
    struct coord_shard *shard;
    int err = group_shard_of(request, group_id, &shard);
    if (err != 0)
        group_call_fail(call, request, err);
    else
        group_call_begin_at(call, request, shard);
}

struct coord_turn group_turn(struct request *request)
{
    struct loop *loop = &request->home->loop;
    return (struct coord_turn){
        .loop = loop,
        .now_ns = loop->now_ns,
        .wall_ms = env_wall_ms(request_broker(request)->env),
        .image = request_image(request),
        .settings = broker_settings_now(request_broker(request)),
    };
}

bool group_call_run(struct group_call *call)
{
    struct request *request = call->request;
    if (call->over)
        return true;
    const struct coord_turn turn = group_turn(request);
    call->over = coord_op_run(&call->op, &turn, &call->error);
    if (!call->over && request->timed_out && coord_op_give_up(&call->op)) {
        call->over = true;
        call->error = KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    return call->over;
}

void group_deadline(struct request *request)
{
    int32_t timeout_ms = broker_settings_now(request_broker(request))->offsets_commit_timeout_ms;
    request_set_deadline(request, request->home->loop.now_ns + timeout_ms * INT64_C(1000000));
}

struct str group_client_host(struct request *request)
{
    const struct net_address *peer = &request->exchange.conn->peer;
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const uint8_t *ip = peer->ip;
    if (peer->family == NET_IP6 && memcmp(ip, mapped, sizeof mapped) == 0)
        ip += sizeof mapped;
    else if (peer->family == NET_IP6)
        return str_of(arena_printf(&request->arena, "/%x:%x:%x:%x:%x:%x:%x:%x", load_be16(ip),
                                   load_be16(ip + 2), load_be16(ip + 4), load_be16(ip + 6),
                                   load_be16(ip + 8), load_be16(ip + 10), load_be16(ip + 12),
                                   load_be16(ip + 14)));
    else if (peer->family != NET_IP4)
        return STR("/127.0.0.1"); /* a Unix-domain socket: this host */
    return str_of(arena_printf(&request->arena, "/%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]));
}
