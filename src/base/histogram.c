#include "base/histogram.h"

#include "base/must.h"

#define PARTS (1 << HISTOGRAM_PART_BITS)

/* The top PART_BITS + 1 bits of a value name its bucket: `shift` powers of two above the exact
 * ones, and which part of it. */
static int bucket_of(int64_t value)
{
    if (value < 2 * PARTS)
        return (int)value;
    int top = 63 - __builtin_clzll((unsigned long long)value);
    int shift = top - HISTOGRAM_PART_BITS;
    return (shift << HISTOGRAM_PART_BITS) + (int)(value >> shift);
}

int64_t histogram_bucket_end(int index)
{
    must(index >= 0 && index < HISTOGRAM_BUCKETS);
    if (index < 2 * PARTS)
        return index;
    int shift = (index >> HISTOGRAM_PART_BITS) - 1;
    int64_t part = index - (shift << HISTOGRAM_PART_BITS);
    return ((part + 1) << shift) - 1;
}

void histogram_init(struct histogram *histogram)
{
    atomic_init(&histogram->count, 0);
    atomic_init(&histogram->sum, 0);
    atomic_init(&histogram->max, 0);
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        atomic_init(&histogram->buckets[i], 0);
}

/* There is one writer, so a load and a store do, without a locked instruction. */
static void bump(_Atomic int64_t *counter, int64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

void histogram_record(struct histogram *histogram, int64_t value)
{
    if (value < 0)
        value = 0;
    if (value > HISTOGRAM_VALUE_MAX)
        value = HISTOGRAM_VALUE_MAX;
    bump(&histogram->buckets[bucket_of(value)], 1);
    bump(&histogram->sum, value);
    bump(&histogram->count, 1);
    if (value > histogram_max(histogram))
        atomic_store_explicit(&histogram->max, value, memory_order_relaxed);
}

void histogram_add(struct histogram *to, const struct histogram *from)
{
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        int64_t count = atomic_load_explicit(&from->buckets[i], memory_order_relaxed);
        if (count > 0)
            bump(&to->buckets[i], count);
    }
    bump(&to->sum, histogram_sum(from));
    bump(&to->count, histogram_count(from));
    if (histogram_max(from) > histogram_max(to))
        atomic_store_explicit(&to->max, histogram_max(from), memory_order_relaxed);
}

int64_t histogram_quantile(const struct histogram *histogram, double fraction)
{
    int64_t total = 0, seen = 0, max = histogram_max(histogram);
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        total += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
    int64_t wanted = (int64_t)(fraction * (double)total);
    if ((double)wanted < fraction * (double)total)
        wanted++;
    if (wanted < 1)
        wanted = 1;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += atomic_load_explicit(&histogram->buckets[i], memory_order_relaxed);
        if (seen >= wanted)
            return histogram_bucket_end(i) < max ? histogram_bucket_end(i) : max;
    }
    return total > 0 ? max : 0;
}
