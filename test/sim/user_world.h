/* Several users of one broker, from their first word to the audit. */
#ifndef JACKDAW_TEST_SIM_USER_WORLD_H
#define JACKDAW_TEST_SIM_USER_WORLD_H

#include "user.h"

#define USERS_MAX 4

struct user_world {
    struct sim *sim;
    struct history *history;
    int user_count;
    struct sim_node *users[USERS_MAX];
    struct user_plan plans[USERS_MAX];
};

/* Start so many users; `plan` says what they have in common, but for sim and history. */
void user_world_create(struct user_world *world, struct sim *sim, int user_count,
                       const struct user_plan *plan);
void user_world_destroy(struct user_world *world);

/* Begin a new life of every user that crashed. */
void user_world_revive(struct user_world *world);

/* All is well: there must be progress within `limit_ns`, unless all was given already. */
void user_world_await_progress(struct user_world *world, int64_t limit_ns);

/* Give no more, wait for what is outstanding, and read everything back. */
void user_world_audit(struct user_world *world, int64_t limit_ns);

#endif
