#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/histogram.h"
#include "base/must.h"

static struct histogram histogram, other;

static void buckets_cover_all_values_without_gap(void **state)
{
    (void)state;
    for (int i = 1; i < HISTOGRAM_BUCKETS; i++) {
        int64_t begin = histogram_bucket_end(i - 1) + 1, end = histogram_bucket_end(i);
        assert_true(end >= begin);
        assert_true(i < 32 ? begin == end : (end - begin) * 16 <= begin);
        /* Both ends of the bucket are counted in it. */
        histogram_init(&histogram);
        histogram_record(&histogram, begin);
        histogram_record(&histogram, end);
        assert_int_equal(histogram.buckets[i], 2);
    }
    assert_int_equal(histogram_bucket_end(HISTOGRAM_BUCKETS - 1), HISTOGRAM_VALUE_MAX);
}

static void values_out_of_range_are_clamped(void **state)
{
    (void)state;
    histogram_init(&histogram);
    histogram_record(&histogram, -5);
    histogram_record(&histogram, INT64_MAX);
    assert_int_equal(histogram_count(&histogram), 2);
    assert_int_equal(histogram_max(&histogram), HISTOGRAM_VALUE_MAX);
    assert_int_equal(histogram.buckets[0], 1);
}

static void quantiles_are_within_a_sixteenth(void **state)
{
    (void)state;
    static const double fractions[] = {0.01, 0.5, 0.9, 0.99, 0.999, 1.0};
    histogram_init(&histogram);
    assert_int_equal(histogram_quantile(&histogram, 0.5), 0);
    for (int64_t i = 1; i <= 100000; i++)
        histogram_record(&histogram, i * 1000);
    for (size_t i = 0; i < array_size(fractions); i++) {
        int64_t exact = (int64_t)(fractions[i] * 100000) * 1000;
        int64_t found = histogram_quantile(&histogram, fractions[i]);
        assert_true(found >= exact && found <= exact + exact / 16);
    }
    assert_int_equal(histogram_quantile(&histogram, 1.0), 100000 * 1000);
    assert_int_equal(histogram_sum(&histogram), (int64_t)100000 * 100001 / 2 * 1000);
}

static void adding_is_as_if_recorded_together(void **state)
{
    (void)state;
    histogram_init(&histogram);
    histogram_init(&other);
    for (int64_t i = 0; i < 1000; i++)
        histogram_record(i % 2 ? &histogram : &other, i * i);
    histogram_add(&histogram, &other);
    assert_int_equal(histogram_count(&histogram), 1000);
    assert_int_equal(histogram_max(&histogram), 999 * 999);
    assert_in_range(histogram_quantile(&histogram, 0.5), 499 * 499, 499 * 499 * 17 / 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_cover_all_values_without_gap),
        cmocka_unit_test(values_out_of_range_are_clamped),
        cmocka_unit_test(quantiles_are_within_a_sixteenth),
        cmocka_unit_test(adding_is_as_if_recorded_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
