/* A list of unused files, oldest first, behind one mutex; files in use are in no list.
 *
 * 1. slot->file, users, the list and the counts change only under the lock.
 * 2. A file with users is never closed; one without is in `unused` or about to be freed by the
 *    thread that took it out.
 * 3. Files are opened and closed outside the lock: either may wait for the file system. */
#include "log/file_cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/must.h"

#define CLOSE_AT_ONCE 16 /* files closed when descriptors run out, before another try */

struct file_ref {
    struct list link; /* in cache->unused while users == 0 */
    struct file_cache *cache;
    struct file_slot *slot; /* NULL: forgotten, close when unused */
    int descriptor;
    uint32_t users;
};

struct file_cache {
    struct env *env;
    pthread_mutex_t lock;
    struct list unused;
    uint32_t unused_count;
    uint32_t open_count;
    uint32_t max_open;
};

struct file_cache *file_cache_create(struct env *env, uint32_t max_open)
{
    struct file_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return NULL;
    cache->env = env;
    cache->max_open = max_open;
    list_init(&cache->unused);
    pthread_mutex_init(&cache->lock, NULL);
    return cache;
}

static void file_close(struct file_ref *file)
{
    (void)env_close(file->cache->env, file->descriptor);
    free(file);
}

/* Take the oldest unused file out of everything, for the caller to close. Under the lock. */
static struct file_ref *take_oldest(struct file_cache *cache)
{
    struct list *node = list_pop(&cache->unused);
    if (!node)
        return NULL;
    struct file_ref *file = container_of(node, struct file_ref, link);
    cache->unused_count--;
    cache->open_count--;
    if (file->slot)
        file->slot->file = NULL;
    return file;
}

void file_cache_destroy(struct file_cache *cache)
{
    struct file_ref *file;
    if (!cache)
        return;
    while ((file = take_oldest(cache)))
        file_close(file);
    must(cache->open_count == 0);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* Under the lock. */
static struct file_ref *slot_take(struct file_cache *cache, struct file_slot *slot)
{
    struct file_ref *file = slot->file;
    if (!file)
        return NULL;
    if (file->users++ == 0) {
        list_remove(&file->link);
        cache->unused_count--;
    }
    return file;
}

struct file_ref *file_cache_get(struct file_cache *cache, struct file_slot *slot)
{
    pthread_mutex_lock(&cache->lock);
    struct file_ref *file = slot_take(cache, slot);
    pthread_mutex_unlock(&cache->lock);
    return file;
}

/* Close some unused files; false when there were none. */
static bool make_room(struct file_cache *cache)
{
    struct file_ref *files[CLOSE_AT_ONCE];
    int count = 0;
    pthread_mutex_lock(&cache->lock);
    while (count < CLOSE_AT_ONCE && (files[count] = take_oldest(cache)))
        count++;
    pthread_mutex_unlock(&cache->lock);
    for (int i = 0; i < count; i++)
        file_close(files[i]);
    return count > 0;
}

int file_cache_open(struct file_cache *cache, struct file_slot *slot, const char *path,
                    unsigned env_open_flags, struct file_ref **ret_file)
{
    struct file_ref *found = NULL;
    int descriptor;
    do {
        descriptor = env_open(cache->env, path, env_open_flags);
    } while ((descriptor == -EMFILE || descriptor == -ENFILE) && make_room(cache));
    if (descriptor < 0)
        return descriptor;

    struct file_ref *file = calloc(1, sizeof *file);
    if (!file) {
        (void)env_close(cache->env, descriptor);
        return -ENOMEM;
    }
    list_init(&file->link);
    file->cache = cache;
    file->descriptor = descriptor;
    file->users = 1;

    pthread_mutex_lock(&cache->lock);
    if (slot)
        found = slot_take(cache, slot);
    if (!found) {
        file->slot = slot;
        if (slot)
            slot->file = file;
        cache->open_count++;
    }
    pthread_mutex_unlock(&cache->lock);

    if (found)
        file_close(file);
    *ret_file = found ? found : file;
    return 0;
}

struct file_ref *file_cache_attach(struct file_cache *cache, struct file_slot *slot,
                                   struct file_ref *file)
{
    pthread_mutex_lock(&cache->lock);
    must(!file->slot);
    struct file_ref *found = slot_take(cache, slot);
    if (!found) {
        file->slot = slot;
        slot->file = file;
    }
    pthread_mutex_unlock(&cache->lock);
    if (!found)
        return file;
    file_ref_drop(file);
    return found;
}

struct file_ref *file_ref_take(struct file_ref *file)
{
    pthread_mutex_lock(&file->cache->lock);
    must(file->users > 0);
    file->users++;
    pthread_mutex_unlock(&file->cache->lock);
    return file;
}

void file_ref_drop(struct file_ref *file)
{
    struct file_ref *closing = NULL;
    if (!file)
        return;
    struct file_cache *cache = file->cache;
    pthread_mutex_lock(&cache->lock);
    must(file->users > 0);
    if (--file->users == 0) {
        if (!file->slot) {
            closing = file;
            cache->open_count--;
        } else {
            list_push_back(&cache->unused, &file->link);
            if (++cache->unused_count > cache->max_open)
                closing = take_oldest(cache);
        }
    }
    pthread_mutex_unlock(&cache->lock);
    if (closing)
        file_close(closing);
}

int file_ref_descriptor(const struct file_ref *file)
{
    return file->descriptor;
}

void file_cache_forget(struct file_cache *cache, struct file_slot *slot)
{
    struct file_ref *closing = NULL;
    pthread_mutex_lock(&cache->lock);
    struct file_ref *file = slot->file;
    if (file) {
        slot->file = NULL;
        file->slot = NULL;
        if (file->users == 0) {
            list_remove(&file->link);
            cache->unused_count--;
            cache->open_count--;
            closing = file;
        }
    }
    pthread_mutex_unlock(&cache->lock);
    if (closing)
        file_close(closing);
}

bool file_cache_in_use(struct file_cache *cache, struct file_slot *slot)
{
    pthread_mutex_lock(&cache->lock);
    bool in_use = slot->file && slot->file->users > 0;
    pthread_mutex_unlock(&cache->lock);
    return in_use;
}

uint32_t file_cache_open_count(struct file_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    uint32_t count = cache->open_count;
    pthread_mutex_unlock(&cache->lock);
    return count;
}
