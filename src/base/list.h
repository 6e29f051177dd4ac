/* Intrusive doubly linked list. A node that is in no list points to itself. */
#ifndef JACKDAW_BASE_LIST_H
#define JACKDAW_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/must.h"

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *list)
{
    list->next = list;
    list->prev = list;
}

static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_push_back(struct list *list, struct list *node)
{
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}

static inline void list_push_front(struct list *list, struct list *node)
{
    list_push_back(list->next, node);
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* The first node, unlinked, or NULL. */
static inline struct list *list_pop(struct list *list)
{
    if (list_empty(list))
        return NULL;
    struct list *node = list->next;
    list_remove(node);
    return node;
}

#define list_first(list, type, member) container_of((list)->next, type, member)

#define list_for_each(pos, head)                                                                   \
    for (struct list *pos = (head)->next; pos != (head); pos = pos->next)

/* As list_for_each; the current node may be removed in the body. */
#define list_for_each_safe(pos, head)                                                              \
    for (struct list *pos = (head)->next, *pos##_next = pos->next; pos != (head);                  \
         pos = pos##_next, pos##_next = pos->next)

#endif
