/* Assertions that stay on in every build. A log broker prefers a restart to a wrong byte. */
#ifndef JACKDAW_BASE_MUST_H
#define JACKDAW_BASE_MUST_H

#define must(cond) ((cond) ? (void)0 : must_failed(#cond, __FILE__, __LINE__, __func__))

/* Print the condition and its place to standard error and abort. */
_Noreturn void must_failed(const char *cond, const char *file, int line, const char *function);

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define array_size(a) (sizeof(a) / sizeof((a)[0]))

#endif
