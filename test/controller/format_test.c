/* Formatting: what is refused, what is written, and that a crash at any call leaves something that
 * formatting again completes. */
#include "controller_test.h"

#include <errno.h>

#include "controller/format.h"

#define CLUSTER_A "QfSf9CTRG80uoLBRiklCRw"
#define CLUSTER_B "H86BtexTQ3mdRehnQ6vngQ"

/* One call, in a world whose disk the caller looks at. */
struct attempt {
    const char *overrides[4];
    int32_t override_count;
    const char *cluster_id;
    int16_t metadata_version;
    struct feature_choice choices[4];
    int32_t choice_count;
    bool ignore_formatted;
    int result;
    int told[2]; /* formatted, left */
    bool fresh;
    char found_id[CLUSTER_ID_SIZE];
};

static void count_told(void *context, const char *dir, int outcome)
{
    (void)dir;
    ((struct attempt *)context)->told[outcome]++;
}

static struct broker_config *load(const struct attempt *attempt)
{
    struct config_messages messages = {.count = 0};
    struct broker_config *config;
    must(broker_config_load((struct bytes){0}, attempt->overrides, attempt->override_count,
                            &messages, &config) == 0);
    config_messages_close(&messages);
    return config;
}

static void format(struct env *env, void *context)
{
    struct attempt *attempt = context;
    struct broker_config *config = load(attempt);
    const char *problem;
    char text[FORMAT_TEXT_SIZE];
    const struct format_params params = {
        .env = env,
        .settings = &config->settings,
        .cluster_id = attempt->cluster_id,
        .metadata_version = attempt->metadata_version,
        .choices = attempt->choices,
        .choice_count = attempt->choice_count,
        .static_voters = config->settings.quorum_voter_count > 0,
        .ignore_formatted = attempt->ignore_formatted,
        .text = text,
    };
    attempt->told[0] = attempt->told[1] = 0;
    attempt->result = format_storage(&params, count_told, attempt, &problem);
    broker_config_destroy(config);
}

static void look(struct env *env, void *context)
{
    struct attempt *attempt = context;
    struct broker_config *config = load(attempt);
    must(format_is_fresh(env, &config->settings, &attempt->fresh, attempt->found_id) == 0);
    broker_config_destroy(config);
}

static struct attempt attempt_of(const char *dirs)
{
    return (struct attempt){.overrides = {dirs},
                            .override_count = 1,
                            .cluster_id = CLUSTER_A,
                            .metadata_version = METADATA_VERSION_LATEST};
}

static struct test_world bare_world(void)
{
    struct test_world world = {.sim = sim_create(1, NULL)};
    world.node = sim_node_add(world.sim, "a");
    return world;
}

static void what_is_formatted_or_foreign_is_refused(void **state)
{
    (void)state;
    struct test_world world = bare_world();
    struct env *env = sim_env(world.node);
    struct attempt attempt = attempt_of("log.dirs=/one,/two");
    world_live(&world, format, &attempt);
    assert_int_equal(attempt.result, 0);
    assert_int_equal(attempt.told[0], 2);
    world_live(&world, format, &attempt);
    assert_int_equal(attempt.result, -EEXIST);
    attempt.ignore_formatted = true;
    world_live(&world, format, &attempt);
    assert_int_equal(attempt.result, 0);
    assert_int_equal(attempt.told[1], 2);
    attempt.cluster_id = CLUSTER_B;
    world_live(&world, format, &attempt);
    assert_int_equal(attempt.result, -EXDEV);

    must(env_mkdirs(env, "/foreign/holiday-pictures") == 0);
    attempt = attempt_of("log.dirs=/new,/foreign");
    world_live(&world, format, &attempt);
    assert_int_equal(attempt.result, -ENOTEMPTY);
    struct env_stat stat;
    assert_int_equal(env_stat(env, "/new", &stat), -ENOENT); /* looked at first, all of them */
    must(env_mkdirs(env, "/odd") == 0);
    must(env_replace(env, "/odd/meta.properties", "version=9", 9) == 0);
    attempt = attempt_of("log.dirs=/odd");
    world_live(&world, format, &attempt);
    assert_int_equal(attempt.result, -EBADMSG);
    sim_destroy(world.sim);
}

static void the_metadata_may_live_in_a_directory_of_its_own(void **state)
{
    (void)state;
    struct test_world world = bare_world();
    struct env *env = sim_env(world.node);
    struct env_stat stat;
    struct attempt attempt = attempt_of("log.dirs=/one,/two");
    attempt.overrides[attempt.override_count++] = "metadata.log.dir=/meta";
    world_live(&world, look, &attempt);
    assert_true(attempt.fresh);
    world_live(&world, format, &attempt);
    assert_int_equal(attempt.result, 0);
    assert_int_equal(attempt.told[0], 3);
    assert_int_equal(env_stat(env, "/meta/__cluster_metadata-0", &stat), 0);
    assert_int_equal(env_stat(env, "/meta/meta.properties", &stat), 0);
    assert_int_equal(env_stat(env, "/one/__cluster_metadata-0", &stat), -ENOENT);
    world_live(&world, look, &attempt);
    assert_false(attempt.fresh);
    /* One of log.dirs named again is the same directory. */
    attempt = attempt_of("log.dirs=/three,/four");
    attempt.overrides[attempt.override_count++] = "metadata.log.dir=/four";
    world_live(&world, format, &attempt);
    assert_int_equal(attempt.result, 0);
    assert_int_equal(attempt.told[0], 2);
    assert_int_equal(env_stat(env, "/four/__cluster_metadata-0", &stat), 0);
    sim_destroy(world.sim);
}

static void levels_must_fit_together(void **state)
{
    (void)state;
    static const struct {
        int16_t metadata_version;
        const char *feature;
        int16_t level;
        int result;
    } cases[] = {
        {33, FEATURE_ELR_VERSION, 0, 0},
        {33, FEATURE_ELR_VERSION, 2, -EINVAL},
        {33, FEATURE_SHARE_VERSION, 1, -EINVAL},
        {33, FEATURE_KRAFT_VERSION, 0, -EINVAL},
        {33, FEATURE_METADATA_VERSION, 33, -EINVAL},
        {33, "no.such.feature", 1, -EINVAL},
        {22, FEATURE_ELR_VERSION, 1, -EINVAL},
        {22, FEATURE_ELR_VERSION, 0, 0},
        {20, FEATURE_ELR_VERSION, 0, -EINVAL}, /* no voters in the log yet */
        {34, FEATURE_ELR_VERSION, 0, -EINVAL},
        {6, FEATURE_ELR_VERSION, 0, -EINVAL},
    };
    for (size_t i = 0; i < array_size(cases); i++) {
        struct test_world world = bare_world();
        struct attempt attempt = attempt_of("log.dirs=/one");
        attempt.metadata_version = cases[i].metadata_version;
        attempt.choices[0] = (struct feature_choice){str_of(cases[i].feature), cases[i].level};
        attempt.choice_count = 1;
        world_live(&world, format, &attempt);
        assert_int_equal(attempt.result, cases[i].result);
        sim_destroy(world.sim);
    }
}

static void a_crash_while_formatting_is_finished_by_the_next(void **state)
{
    (void)state;
    int crashes = 0;
    for (int64_t call = 1;; call++) {
        struct test_world world = {.sim = sim_create((uint64_t)call, NULL)};
        world.node = sim_node_add(world.sim, "a");
        struct attempt attempt = attempt_of("log.dirs=/d/one,/d/two");
        sim_start(world.node, format, &attempt);
        sim_crash_after(world.node, call, call % 2 ? SIM_KILL : SIM_POWER);
        must(sim_run_until(world.sim, life_has_ended, world.node, INT64_C(3600000000000)));
        bool crashed = !sim_is_up(world.node);
        sim_crash_after(world.node, 0, SIM_KILL);
        if (crashed)
            sim_restart(world.node);
        world_live(&world, look, &attempt);
        if (crashed) {
            crashes++;
            /* Unless all was done, a start takes it for new, and keeps the id. */
            assert_true(attempt.found_id[0] == '\0' || !strcmp(attempt.found_id, CLUSTER_A));
        } else {
            assert_false(attempt.fresh);
        }
        attempt.ignore_formatted = true;
        world_live(&world, format, &attempt);
        assert_int_equal(attempt.result, 0);
        sim_crash(world.node, SIM_POWER); /* done is done */
        sim_restart(world.node);
        world_live(&world, look, &attempt);
        assert_false(attempt.fresh);
        assert_string_equal(attempt.found_id, CLUSTER_A);
        bool formatted;
        must(quorum_is_formatted(sim_env(world.node), "/d/one", &formatted) == 0);
        assert_true(formatted);
        sim_destroy(world.sim);
        if (!crashed)
            break;
    }
    assert_true(crashes > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_formatted_or_foreign_is_refused),
        cmocka_unit_test(the_metadata_may_live_in_a_directory_of_its_own),
        cmocka_unit_test(levels_must_fit_together),
        cmocka_unit_test(a_crash_while_formatting_is_finished_by_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
