/* What members of both protocols share. */
#ifndef JACKDAW_TEST_SIM_MEMBER_LIFE_H
#define JACKDAW_TEST_SIM_MEMBER_LIFE_H

#include "member.h"
#include "membership.h"

/* One life. */
struct member {
    struct life life;
    struct membership place;
    struct member_plan *plan;
    int64_t position[MEMBER_PARTITIONS]; /* of what it owns */
    char old_id[GROUP_NAME_MAX];         /* that it had before; "": none */
    int32_t old_generation;
};

bool member_chance(struct member *member, uint64_t one_in);
void member_tell(struct member *member, bool settled);
void member_forget_id(struct member *member);
bool member_fetch_positions(struct member *member, uint64_t partitions);
/* Go on in a partition that it owns, and commit. The commit's error. */
int member_work(struct member *member);
/* Read a committed offset. */
void member_look(struct member *member);
/* Commit for an id or generation that is over. */
void member_commit_too_late(struct member *member);

/* A life in the consumer protocol, until it is to stop. */
void member_consume(struct member *member);

#endif
