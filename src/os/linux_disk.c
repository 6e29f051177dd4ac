#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/must.h"
#include "os/linux_internal.h"

int linux_file_open(struct env *env, const char *path, unsigned flags)
{
    int how = O_CLOEXEC;
    (void)env;
    if ((flags & ENV_READ) && (flags & ENV_WRITE))
        how |= O_RDWR;
    else
        how |= flags & ENV_WRITE ? O_WRONLY : O_RDONLY;
    if (flags & ENV_CREATE)
        how |= O_CREAT;
    if (flags & ENV_EXCLUSIVE)
        how |= O_EXCL;
    if (flags & ENV_TRUNCATE)
        how |= O_TRUNC;
    int file = linux_retry(open(path, how, 0644));
    return file < 0 ? -errno : file;
}

/* Linux has closed the file even when it says EINTR; to repeat would close somebody else's. */
int linux_file_close(struct env *env, int file)
{
    (void)env;
    return close(file) < 0 && errno != EINTR ? -errno : 0;
}

ssize_t linux_file_read(struct env *env, int file, void *data, size_t size, int64_t offset)
{
    (void)env;
    linux_check_blocking("file_read");
    ssize_t n = linux_retry(pread(file, data, size, offset));
    return n < 0 ? -errno : n;
}

ssize_t linux_file_read_nowait(struct env *env, int file, void *data, size_t size, int64_t offset)
{
    struct iovec part = {data, size};
    (void)env;
    ssize_t n = linux_retry(preadv2(file, &part, 1, offset, RWF_NOWAIT));
    if (n >= 0)
        return n;
    return errno == EOPNOTSUPP ? -EAGAIN : -errno;
}

ssize_t linux_file_write(struct env *env, int file, const struct iovec *parts, int count,
                         int64_t offset)
{
    (void)env;
    if (count > ENV_PARTS_MAX)
        count = ENV_PARTS_MAX;
    ssize_t n = linux_retry(count == 1 ? pwrite(file, parts[0].iov_base, parts[0].iov_len, offset)
                                       : pwritev(file, parts, count, offset));
    return n < 0 ? -errno : n;
}

int linux_file_sync(struct env *env, int file)
{
    (void)env;
    linux_check_blocking("file_sync");
    return linux_result(linux_retry(fdatasync(file)));
}

int linux_file_start_writeback(struct env *env, int file, int64_t offset, int64_t size)
{
    (void)env;
    return linux_result(linux_retry(sync_file_range(file, offset, size, SYNC_FILE_RANGE_WRITE)));
}

int linux_file_truncate(struct env *env, int file, int64_t size_bytes)
{
    (void)env;
    return linux_result(linux_retry(ftruncate(file, size_bytes)));
}

int linux_file_size(struct env *env, int file, int64_t *ret_size_bytes)
{
    struct stat stat;
    (void)env;
    if (fstat(file, &stat) < 0)
        return -errno;
    *ret_size_bytes = stat.st_size;
    return 0;
}

/* A record lock, because that is what Java's FileLock takes: Apache Kafka on the same directory has
 * to notice it and to be noticed. flock(2) and these know nothing of each other. It is bound to the
 * open file, so that closing another descriptor of the file does not give it up. */
int linux_file_lock(struct env *env, int file)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    (void)env;
    int err = linux_result(linux_retry(fcntl(file, F_OFD_SETLK, &whole)));
    return err == -EACCES ? -EWOULDBLOCK : err;
}

int linux_path_stat(struct env *env, const char *path, struct env_stat *ret_stat)
{
    struct stat stat_;
    (void)env;
    if (stat(path, &stat_) < 0)
        return -errno;
    *ret_stat = (struct env_stat){
        .size_bytes = stat_.st_size,
        .modified_ms = (int64_t)stat_.st_mtim.tv_sec * 1000 + stat_.st_mtim.tv_nsec / 1000000,
        .is_dir = S_ISDIR(stat_.st_mode),
    };
    return 0;
}

int linux_path_rename(struct env *env, const char *from, const char *to)
{
    (void)env;
    return linux_result(rename(from, to));
}

int linux_path_unlink(struct env *env, const char *path)
{
    (void)env;
    linux_check_blocking("path_unlink");
    return linux_result(unlink(path));
}

int linux_path_set_modified(struct env *env, const char *path, int64_t wall_ms)
{
    int64_t seconds = wall_ms / 1000, rest = wall_ms % 1000;
    (void)env;
    if (rest < 0) {
        rest += 1000;
        seconds--;
    }
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                {.tv_sec = seconds, .tv_nsec = rest * 1000000}};
    return linux_result(utimensat(AT_FDCWD, path, times, 0));
}

int linux_dir_create(struct env *env, const char *path)
{
    (void)env;
    return linux_result(mkdir(path, 0755));
}

int linux_dir_remove(struct env *env, const char *path)
{
    (void)env;
    return linux_result(rmdir(path));
}

int linux_dir_sync(struct env *env, const char *path)
{
    (void)env;
    linux_check_blocking("dir_sync");
    int dir = linux_retry(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (dir < 0)
        return -errno;
    int err = linux_result(linux_retry(fsync(dir)));
    close(dir);
    return err;
}

struct names {
    char **list;
    size_t count;
    size_t capacity;
};

static void names_close(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->list[i]);
    free(names->list);
}

static int names_add(struct names *names, const char *name)
{
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? names->capacity * 2 : 64;
        char **list = reallocarray(names->list, capacity, sizeof *list);
        if (!list)
            return -ENOMEM;
        names->list = list;
        names->capacity = capacity;
    }
    names->list[names->count] = strdup(name);
    if (!names->list[names->count])
        return -ENOMEM;
    names->count++;
    return 0;
}

static int names_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_read(struct names *names, const char *path)
{
    struct dirent *entry;
    int err = 0;
    DIR *dir = opendir(path);
    if (!dir)
        return -errno;
    for (errno = 0; err == 0 && (entry = readdir(dir)); errno = 0) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            err = names_add(names, entry->d_name);
    }
    if (err == 0 && errno != 0)
        err = -errno;
    closedir(dir);
    return err;
}

/* Names are collected first, so `each` may make and remove entries. */
int linux_dir_list(struct env *env, const char *path, int (*each)(void *context, const char *name),
                   void *context)
{
    struct names names = {0};
    (void)env;
    int err = names_read(&names, path);
    if (err == 0 && names.count > 0)
        qsort(names.list, names.count, sizeof *names.list, names_compare);
    for (size_t i = 0; err == 0 && i < names.count; i++)
        err = each(context, names.list[i]);
    names_close(&names);
    return err;
}

int linux_disk_space(struct env *env, const char *path, int64_t *ret_total, int64_t *ret_free)
{
    struct statvfs space;
    (void)env;
    if (linux_retry(statvfs(path, &space)) < 0)
        return -errno;
    *ret_total = (int64_t)(space.f_blocks * space.f_frsize);
    *ret_free = (int64_t)(space.f_bavail * space.f_frsize);
    return 0;
}
