/* Committing offsets.
 *
 * `commits`: groups of one member, each on a connection of its own. All join; then every line of
 * standard input, "COUNT WARM-UP", asks for so many commits in an open loop at the rate of -r, the
 * groups in turn: commit i is due at start + i / rate, and its latency counts from then. The first
 * WARM-UP of them are left out of the latencies. Sessions are long, so that nobody needs to send
 * heartbeats: what the broker does is commits alone.
 *
 * `fill`: a number of groups without members, one commit of many partitions for each. With -o the
 * groups are such that their ids belong to partition -p of an internal topic of that many. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "group_frames.h"
#include "member.h"

#define SESSION_MS 1800000 /* the longest that brokers allow by default */
#define GIVE_UP_NS (120 * 1000000000ll)
#define DRAIN_NS (30 * 1000000000ll)
#define LINE_MAX_BYTES 128
#define ASK_AGAIN_NS 20000000
#define JOINING_MAX 200 /* groups that join at the same time */

struct committer {
    struct group group; /* of one */
    struct run *run;
    int64_t due_ns; /* of the commit under way */
    int64_t index;
};

struct run {
    const struct load_options *options;
    struct agents agents;
    struct committer *committers;
    int stable, joining;
    int64_t count, warmup;
    int64_t start_ns, next, answered, recorded, refused, last_answer_ns;
    int first_error;
    int64_t *latencies;
};

static struct committer *committer_of(struct agent *link)
{
    struct group *group = owner_of(link, struct member, link)->group;
    return owner_of(group, struct committer, group);
}

static void join_more(struct run *run)
{
    while (run->joining < run->options->connections && run->joining - run->stable < JOINING_MAX)
        member_join(&run->committers[run->joining++].group.members[0]);
}

static void stable(struct group *group, int64_t now)
{
    struct run *run = owner_of(group, struct committer, group)->run;
    (void)now;
    run->stable++;
    join_more(run);
}

static void committed(struct agent *link, struct reader *body, int64_t now)
{
    struct committer *committer = committer_of(link);
    struct run *run = committer->run;
    int error = commit_answer(body);
    run->answered++;
    run->last_answer_ns = now;
    if (error != 0) {
        run->refused++;
        run->first_error = run->first_error ? run->first_error : error;
    } else if (committer->index >= run->warmup) {
        run->latencies[run->recorded++] = now - committer->due_ns;
    }
}

/* False: the group still waits for the answer to its last one, and with it all that come after. */
static bool commit(struct run *run, int64_t index, int64_t due_ns)
{
    const struct load_options *options = run->options;
    int number = (int)(index % options->connections);
    struct committer *committer = &run->committers[number];
    struct member *member = &committer->group.members[0];
    struct commit_spec spec = {committer->group.name,
                               member->generation,
                               member->id,
                               options->topic,
                               number % options->partitions,
                               0,
                               index};
    if (member->link.asking)
        return false;
    agent_begin(&member->link, WIRE_OFFSET_COMMIT, WIRE_OFFSET_COMMIT_VERSION, true);
    write_commit(&member->link.out, &spec);
    member->link.answered = committed;
    committer->due_ns = due_ns;
    committer->index = index;
    agent_send(&member->link);
    return true;
}

static int64_t due_of(const struct run *run, int64_t index)
{
    return run->start_ns + (int64_t)((double)index * 1e9 / run->options->rate);
}

static void run_commits(struct run *run)
{
    run->next = run->answered = run->recorded = run->refused = run->first_error = 0;
    run->latencies = malloc((size_t)run->count * sizeof *run->latencies);
    if (!run->latencies)
        die("no memory for %ld commits", (long)run->count);
    run->start_ns = now_ns();
    int64_t give_up_ns = due_of(run, run->count) + DRAIN_NS;
    while (run->answered < run->count && now_ns() < give_up_ns) {
        bool may = true;
        while (may && run->next < run->count && due_of(run, run->next) <= now_ns()) {
            may = commit(run, run->next, due_of(run, run->next));
            run->next += may;
        }
        agents_turn(&run->agents,
                    may && run->next < run->count ? due_of(run, run->next) : now_ns() + 100000000);
    }
    double wall_s = (double)(run->last_answer_ns - run->start_ns) / 1e9;
    printf("{\"mode\":\"commits\",\"commits\":%ld,\"answered\":%ld,\"refused\":%ld,"
           "\"first_error\":%d,\"wall_s\":%.4f,\"per_s\":%.1f",
           (long)run->count, (long)run->answered, (long)run->refused, run->first_error, wall_s,
           (double)run->answered / wall_s);
    print_latencies(run->latencies, run->recorded);
    puts("}");
    fflush(stdout);
    free(run->latencies);
    if (run->answered < run->count)
        die("%ld commits were not answered", (long)(run->count - run->answered));
}

int load_commits(const struct load_options *options)
{
    struct run run = {.options = options};
    int count = options->connections;
    if (options->rate <= 0)
        die("commits need a rate");
    agents_init(&run.agents);
    need_descriptors(count);
    run.committers = calloc((size_t)count, sizeof *run.committers);
    if (!run.committers)
        die("out of memory");
    await_coordinator(&options->address, OF_GROUPS, options->group);
    for (int i = 0; i < count; i++) {
        struct group *group = &run.committers[i].group;
        run.committers[i].run = &run;
        snprintf(group->name, sizeof group->name, "%s-%d", options->group, i);
        group->topic = options->topic;
        group->partitions = options->partitions;
        group->session_timeout_ms = SESSION_MS;
        group->stable = stable;
        group_open(group, &run.agents, &options->address, 1);
    }
    int64_t give_up_ns = now_ns() + GIVE_UP_NS;
    join_more(&run);
    while (run.stable < count) {
        agents_turn(&run.agents, give_up_ns);
        if (now_ns() > give_up_ns)
            die("%d of %d groups are stable", run.stable, count);
    }
    printf("{\"mode\":\"commits\",\"groups\":%d}\n", count);
    fflush(stdout);
    char line[LINE_MAX_BYTES];
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%ld %ld", &run.count, &run.warmup) != 2 || run.count <= 0)
            die("want a count and how many of them are warm-up, not %s", line);
        run_commits(&run);
    }
    return 0;
}

/* ---- fill ---- */

struct filler {
    struct agent link;
    struct fill *fill;
    int64_t index;
    char name[GROUP_NAME_MAX];
};

struct fill {
    const struct load_options *options;
    struct agents agents;
    int64_t name, begun, answered;
};

static void fill_next(struct filler *filler);

static void fill_due(struct agent *link, int64_t now)
{
    struct filler *filler = owner_of(link, struct filler, link);
    const struct load_options *options = filler->fill->options;
    const struct commit_spec spec = {filler->name,        -1,           "", options->topic, -1,
                                     options->partitions, filler->index};
    (void)now;
    agent_begin(link, WIRE_OFFSET_COMMIT, WIRE_OFFSET_COMMIT_VERSION, true);
    write_commit(&link->out, &spec);
    agent_send(link);
}

static void filled(struct agent *link, struct reader *body, int64_t now)
{
    struct filler *filler = owner_of(link, struct filler, link);
    int error = commit_answer(body);
    if (coordinator_comes(error)) {
        link->due = fill_due;
        agent_set(link, now + ASK_AGAIN_NS);
        return;
    }
    if (error != 0)
        die("OffsetCommit: error %d", error);
    filler->fill->answered++;
    fill_next(filler);
}

/* The next group name that belongs where it should. */
static void next_name(struct fill *fill, char *ret_name, size_t size)
{
    const struct load_options *options = fill->options;
    do {
        snprintf(ret_name, size, "%s-%ld", options->group, (long)fill->name++);
    } while (options->of_partitions > 0 &&
             offsets_partition(ret_name, options->of_partitions) != options->partition);
}

static void fill_next(struct filler *filler)
{
    struct fill *fill = filler->fill;
    if (fill->begun == fill->options->count)
        return;
    filler->index = fill->begun++;
    next_name(fill, filler->name, sizeof filler->name);
    fill_due(&filler->link, 0);
}

int load_fill(const struct load_options *options)
{
    struct fill fill = {.options = options};
    char first[GROUP_NAME_MAX];
    agents_init(&fill.agents);
    struct filler *fillers = calloc((size_t)options->connections, sizeof *fillers);
    if (!fillers)
        die("out of memory");
    next_name(&fill, first, sizeof first);
    fill.name = 0;
    await_coordinator(&options->address, OF_GROUPS, first);
    double cpu_s = own_cpu_s();
    int64_t start_ns = now_ns();
    for (int i = 0; i < options->connections; i++) {
        fillers[i].fill = &fill;
        fillers[i].link.answered = filled;
        agent_open(&fill.agents, &fillers[i].link, &options->address);
        fill_next(&fillers[i]);
    }
    while (fill.answered < options->count)
        agents_turn(&fill.agents, now_ns() + 1000000000);
    double wall_s = (double)(now_ns() - start_ns) / 1e9;
    printf("{\"mode\":\"fill\",\"groups\":%ld,\"offsets\":%ld,\"first\":\"%s\",\"wall_s\":%.4f,"
           "\"client_cpu_s\":%.4f}\n",
           (long)options->count, (long)(options->count * options->partitions), first, wall_s,
           own_cpu_s() - cpu_s);
    return 0;
}
