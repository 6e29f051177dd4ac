/* Members of groups beside a real broker, and the judge of what they wrote down:
 *
 *     group-peer member NAME HOST:PORT GROUP INSTANCE|- SESSION_MS REBALANCE_MS
 * JOIN_VERSION|ASSIGNOR group-peer check FILE…
 *
 * With the name of an assignor, or "-" for the coordinator's choice, the member speaks the consumer
 * protocol. A member writes its history (group_history.h) to standard output, under a name that no
 * other has, and takes words from standard input: "calm", "wild", "stop"; at the end of it, it
 * stops. It may be killed and stopped at any time. The check reads the files as one history, prints
 * "well" or what must not be, and then exits with 1. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "member.h"
#include "os/linux_env.h"

static int64_t now_ns(void *context)
{
    return env_now_ns(context);
}

static void *listen_to(void *context)
{
    struct member_plan *plan = context;
    char word[16];
    while (scanf("%15s", word) == 1) {
        if (strcmp(word, "calm") == 0)
            plan->calm = true;
        else if (strcmp(word, "wild") == 0)
            plan->calm = false;
        else
            break;
    }
    plan->calm = plan->stop = true;
    return NULL;
}

static void choose_protocol(struct member_plan *plan, const char *word)
{
    char *end;
    plan->join_version = (int16_t)strtol(word, &end, 10);
    plan->consumer = end == word;
    if (plan->consumer && strcmp(word, "-") != 0)
        plan->assignor = word;
}

static int be_member(char **argv)
{
    const struct linux_env_options options = {.log_path = "/dev/null"};
    struct env *env = linux_env_create(&options);
    must(env);
    struct group_history *history = group_history_create(now_ns, env);
    struct member_plan plan = {
        .history = history,
        .bootstrap = argv[1],
        .group = argv[2],
        .instance = strcmp(argv[3], "-") == 0 ? NULL : argv[3],
        .session_ms = (int32_t)strtol(argv[4], NULL, 10),
        .rebalance_ms = (int32_t)strtol(argv[5], NULL, 10),
    };
    pthread_t listener;
    choose_protocol(&plan, argv[6]);
    history->self = argv[0];
    history->out = stdout;
    linux_signals_block();
    must(pthread_create(&listener, NULL, listen_to, &plan) == 0);
    member_main(env, &plan);
    fflush(stdout);
    _exit(plan.fenced ? 3 : 0); /* the listener may be reading still */
}

static int check(int count, char **paths)
{
    char why[512];
    struct group_history *history = group_history_create(NULL, NULL);
    for (int i = 0; i < count; i++) {
        FILE *in = fopen(paths[i], "r");
        if (!in || !group_history_read(history, in, why, sizeof why)) {
            printf("%s: %s\n", paths[i], in ? why : "it cannot be opened");
            return 2;
        }
        fclose(in);
    }
    bool well = group_check(history, why, sizeof why);
    printf("%s\n", well ? "well" : why);
    group_history_destroy(history);
    return well ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 9 && strcmp(argv[1], "member") == 0)
        return be_member(argv + 2);
    if (argc >= 3 && strcmp(argv[1], "check") == 0)
        return check(argc - 2, argv + 2);
    fprintf(stderr, "see the head of group_peer.c\n");
    return 2;
}
