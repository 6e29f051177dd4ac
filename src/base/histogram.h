/* Counts of values by size, within 1/16 of each other: latencies, batch sizes.
 *
 * Log-linear: values below 32 are counted exactly; above, every power of two is cut into 16 equal
 * parts. Values are clamped to 0 … HISTOGRAM_VALUE_MAX. One thread records; any thread may read
 * meanwhile, and sees counts that are each right, if not all of the same moment. */
#ifndef JACKDAW_BASE_HISTOGRAM_H
#define JACKDAW_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

/* 1.2 hours in nanoseconds, 4 TiB in bytes. */
#define HISTOGRAM_BITS 42
#define HISTOGRAM_VALUE_MAX (((int64_t)1 << HISTOGRAM_BITS) - 1)
#define HISTOGRAM_PART_BITS 4
#define HISTOGRAM_BUCKETS ((HISTOGRAM_BITS - HISTOGRAM_PART_BITS + 1) << HISTOGRAM_PART_BITS)

struct histogram {
    _Atomic int64_t count;
    _Atomic int64_t sum;
    _Atomic int64_t max;
    _Atomic int64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *histogram);
void histogram_record(struct histogram *histogram, int64_t value);

/* Add all counts of `from`; for the thread that records to `to`. */
void histogram_add(struct histogram *to, const struct histogram *from);

/* The value that `fraction` of all are not above (0.99: p99), rounded up to the end of its bucket
 * but not beyond the greatest recorded; 0 when nothing was recorded. */
int64_t histogram_quantile(const struct histogram *histogram, double fraction);

static inline int64_t histogram_count(const struct histogram *histogram)
{
    return atomic_load_explicit(&histogram->count, memory_order_relaxed);
}

static inline int64_t histogram_sum(const struct histogram *histogram)
{
    return atomic_load_explicit(&histogram->sum, memory_order_relaxed);
}

static inline int64_t histogram_max(const struct histogram *histogram)
{
    return atomic_load_explicit(&histogram->max, memory_order_relaxed);
}

/* For exporters: the greatest value that bucket `index` counts. */
int64_t histogram_bucket_end(int index);

#endif
