/* An env whose disk is memory: with faults on demand and crashes that lose what was not synced.
 * Single-threaded. Besides there are time, randomness, pollers that never sleep, for loops that the
 * test turns itself, and jobs that wait in line until the test runs them. */
#ifndef JACKDAW_TEST_LOG_RAM_DISK_H
#define JACKDAW_TEST_LOG_RAM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/env.h"

struct ram_disk;

struct ram_disk *ram_disk_create(uint64_t seed);
void ram_disk_destroy(struct ram_disk *disk);
struct env *ram_disk_env(struct ram_disk *disk);

void ram_disk_reseed(struct ram_disk *disk, uint64_t seed);
void ram_disk_set_time(struct ram_disk *disk, int64_t wall_ms);

/* Calls that touch the disk so far. */
int64_t ram_disk_calls(const struct ram_disk *disk);
/* Reading calls' bytes so far: what recovery looked at. */
int64_t ram_disk_bytes_read(const struct ram_disk *disk);
int64_t ram_disk_syncs(const struct ram_disk *disk);

/* At call number `call` (counted as ram_disk_calls does, -1 never) the machine dies: a write leaves
 * a prefix, any other call does nothing, and everything after answers -EIO until ram_disk_crash. */
void ram_disk_die_at(struct ram_disk *disk, int64_t call);
/* Answer `error` once at that call, without doing anything. */
void ram_disk_fail_at(struct ram_disk *disk, int64_t call, int error);
/* Fail the next `count` writes with `error` after writing half; -1: all of them. */
void ram_disk_fail_writes(struct ram_disk *disk, int count, int error);
void ram_disk_fail_reads(struct ram_disk *disk, int count, int error);
void ram_disk_fail_opens(struct ram_disk *disk, int count, int error);
void ram_disk_fail_syncs(struct ram_disk *disk, int count, int error);
/* Answers of the nowait read: -EAGAIN while set. */
void ram_disk_set_cold(struct ram_disk *disk, bool cold);

bool ram_disk_has_jobs(const struct ram_disk *disk);
/* Run the first job in line to its end; false: there is none. */
bool ram_disk_run_job(struct ram_disk *disk);

enum ram_crash {
    RAM_CRASH_PROCESS, /* kill -9: the page cache survives */
    RAM_CRASH_CLEAN,   /* power loss: exactly what was synced survives */
    RAM_CRASH_TORN,    /* power loss: unsynced sectors and names survive at random */
};

/* Close all files and continue with what survived. */
void ram_disk_crash(struct ram_disk *disk, enum ram_crash how);

/* A copy of the present state, for trying several ends from one point. */
struct ram_disk *ram_disk_clone(const struct ram_disk *disk, uint64_t seed);

/* Direct access for tests; NULL when there is no such file. The bytes may be changed. */
uint8_t *ram_disk_data(struct ram_disk *disk, const char *path, size_t *ret_size);
void ram_disk_put(struct ram_disk *disk, const char *path, const void *data, size_t size);
void ram_disk_remove(struct ram_disk *disk, const char *path);
bool ram_disk_exists(struct ram_disk *disk, const char *path);
int ram_disk_open_files(const struct ram_disk *disk);
/* Every path in byte order. */
void ram_disk_each(struct ram_disk *disk, void (*each)(void *context, const char *path),
                   void *context);

#endif
