#include "cli/status.h"

static void sum(struct broker *broker, struct status_line *ret_line, int64_t *ret_connections)
{
    int64_t connections = 0;
    struct status_line line = {.broker = broker, .at_ns = env_now_ns(broker->env)};
    for (int32_t i = 0; i < broker->loop_count; i++) {
        struct broker_counters *counters = &broker->loops[i].counters;
        line.messages_in += atomic_load_explicit(&counters->messages_in, memory_order_relaxed);
        line.bytes_in += atomic_load_explicit(&counters->bytes_in, memory_order_relaxed);
        line.bytes_out += atomic_load_explicit(&counters->bytes_out, memory_order_relaxed);
        line.requests += atomic_load_explicit(&counters->requests, memory_order_relaxed);
        connections += atomic_load_explicit(&counters->connections, memory_order_relaxed);
    }
    *ret_line = line;
    *ret_connections = connections;
}

void status_init(struct status_line *line, struct broker *broker)
{
    int64_t connections;
    sum(broker, line, &connections);
}

void status_print(struct status_line *line, FILE *out)
{
    struct status_line now;
    int64_t connections;
    sum(line->broker, &now, &connections);
    double seconds = (double)(now.at_ns - line->at_ns) / 1e9;
    struct image *image = image_acquire(&line->broker->publisher);
    fprintf(out,
            "\r\033[Kin %.0f msg/s %.2f MB/s   out %.2f MB/s   requests %.0f/s   "
            "connections %lld   partitions %lld",
            (double)(now.messages_in - line->messages_in) / seconds,
            (double)(now.bytes_in - line->bytes_in) / seconds / 1e6,
            (double)(now.bytes_out - line->bytes_out) / seconds / 1e6,
            (double)(now.requests - line->requests) / seconds, (long long)connections,
            (long long)image->partition_count);
    fflush(out);
    image_unref(image);
    *line = now;
}
