#include "app.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "record/batch.h"

static void drop_line(void *context, enum say_level level, const char *line, size_t size)
{
    (void)level;
    struct app *app = context;
    if (sim_options(app->sim)->log)
        fprintf(sim_options(app->sim)->log, "client: %.*s\n", (int)size, line);
}

void app_create(struct app *app, uint64_t seed, const struct sim_options *options, int brokers)
{
    *app = (struct app){.sim = sim_create(seed, options)};
    if (getenv("SIM_TRACE")) /* to look at a failing test */
        sim_options(app->sim)->trace = sim_options(app->sim)->log = stderr;
    app->cluster = fake_cluster_create(app->sim, brokers);
    app->node = sim_node_add(app->sim, "app");
    client_settings_init(&app->settings);
    app->bootstrap[0] = "broker0:9092";
    app->settings.bootstrap = app->bootstrap;
    app->settings.bootstrap_count = 1;
    for (int i = 0; i < brokers; i++)
        fake_broker_start(app->cluster, i);
}

static void client_closed(void *context)
{
    struct app *app = context;
    app->client = NULL;
}

static void run(struct env *env, void *context)
{
    struct app *app = context;
    app->say = (struct say){.write = drop_line, .context = app};
    must(loop_init(&app->loop, env, 0) == 0);
    must(client_create(&app->loop, &app->settings, &app->say, &app->client) == 0);
    app->begin(app);
    while (!app->finished)
        loop_turn(&app->loop);
    client_close(app->client, client_closed, app);
    while (app->client)
        loop_turn(&app->loop);
    if (app->end)
        app->end(app);
    loop_close(&app->loop);
    app->ended = true;
}

void app_start(struct app *app)
{
    sim_start(app->node, run, app);
}

static bool has_ended(void *context)
{
    struct app *app = context;
    return app->ended && !sim_is_running(app->node);
}

bool app_run(struct app *app, int64_t for_ns)
{
    bool ended = sim_run_until(app->sim, has_ended, app, for_ns);
    must(!ended || sim_memory_bytes(app->node) == 0);
    return ended;
}

void app_destroy(struct app *app)
{
    sim_destroy(app->sim);
    fake_cluster_destroy(app->cluster);
}

uint8_t *make_batch(int64_t number, int count, int32_t *ret_size)
{
    struct batch_builder builder;
    batch_builder_init(&builder, 0);
    for (int i = 0; i < count; i++) {
        char text[32];
        int size = snprintf(text, sizeof text, "%lld", (long long)(number + i));
        batch_builder_add(&builder, 1000, (struct bytes){0},
                          (struct bytes){(const uint8_t *)text, size}, NULL, 0);
    }
    must(batch_builder_finish(&builder) == 0);
    uint8_t *data = malloc(builder.out.size);
    must(data);
    memcpy(data, builder.out.data, builder.out.size);
    *ret_size = (int32_t)builder.out.size;
    batch_builder_close(&builder);
    return data;
}

void each_record(const uint8_t *data, int32_t size,
                 void (*each)(void *context, int64_t offset, int64_t number), void *context)
{
    struct batch batch;
    while (size > 0 && batch_read(data, (size_t)size, &batch) == 0) {
        struct record_reader reader;
        struct record record;
        must(batch_checksum_ok(&batch));
        must(record_reader_init(&reader, &batch, 1 << 20) == 0);
        while (record_reader_next(&reader, NULL, &record) == 0) {
            char text[32] = {0};
            must(record.value.size < (int32_t)sizeof text);
            memcpy(text, record.value.data, (size_t)record.value.size);
            each(context, record.offset, strtoll(text, NULL, 10));
        }
        record_reader_close(&reader);
        data += batch.size;
        size -= batch.size;
    }
}
