/* Parsing, checking and printing of values, after Kafka's ConfigDef.
 *
 * Java's trim takes away everything up to U+0020 at both ends; the error of a value that does not
 * parse shows it as it was written, the error of a check shows the parsed value. */
#include "base/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/errors.h"
#include "base/must.h"

enum {
    NUMBER_TEXT_MAX = 64,       /* longest text of a number that we print */
    REAL_TEXT_MAX_BYTES = 1024, /* longest text that is read as a real */
};

static struct str trim(struct str text)
{
    while (text.size > 0 && (uint8_t)text.data[0] <= ' ') {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && (uint8_t)text.data[text.size - 1] <= ' ')
        text.size--;
    return text;
}

/* What \s matches in Java, without the flag for Unicode. */
static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool equal_any_case(struct str a, struct str b)
{
    if (a.size != b.size)
        return false;
    for (int32_t i = 0; i < a.size; i++) {
        char x = a.data[i] >= 'A' && a.data[i] <= 'Z' ? (char)(a.data[i] + 32) : a.data[i];
        char y = b.data[i] >= 'A' && b.data[i] <= 'Z' ? (char)(b.data[i] + 32) : b.data[i];
        if (x != y)
            return false;
    }
    return true;
}

/* Java's parseLong: an optional sign and decimal digits. */
static bool parse_integer(struct str text, int64_t min, int64_t max, int64_t *ret_number)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    int32_t i = text.size > 0 && (negative || text.data[0] == '+') ? 1 : 0;
    __int128 number = 0;
    if (i == text.size)
        return false;
    for (; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        number = number * 10 + (text.data[i] - '0');
        if (number > (__int128)INT64_MAX + 1)
            return false;
    }
    if (negative)
        number = -number;
    if (number < min || number > max)
        return false;
    *ret_number = (int64_t)number;
    return true;
}

static int32_t count_digits(const char *at, bool hex)
{
    int32_t n = 0;
    while ((at[n] >= '0' && at[n] <= '9') ||
           (hex && ((at[n] >= 'a' && at[n] <= 'f') || (at[n] >= 'A' && at[n] <= 'F'))))
        n++;
    return n;
}

/* Does a NUL-terminated text without sign follow Java's grammar of floating-point literals? */
static bool is_java_real(const char *at)
{
    bool hex = at[0] == '0' && (at[1] == 'x' || at[1] == 'X');
    if (hex)
        at += 2;
    int32_t whole = count_digits(at, hex);
    at += whole;
    int32_t fraction = 0;
    if (*at == '.') {
        fraction = count_digits(++at, hex);
        at += fraction;
    }
    if (whole + fraction == 0)
        return false;
    bool exponent = hex ? *at == 'p' || *at == 'P' : *at == 'e' || *at == 'E';
    if (hex && !exponent)
        return false;
    if (exponent) {
        at++;
        at += *at == '+' || *at == '-';
        int32_t digits = count_digits(at, false);
        if (digits == 0)
            return false;
        at += digits;
    }
    at += *at == 'f' || *at == 'F' || *at == 'd' || *at == 'D';
    return *at == 0;
}

static bool parse_real(struct str text, double *ret_real)
{
    char copy[REAL_TEXT_MAX_BYTES];
    if (text.size == 0 || text.size >= (int32_t)sizeof copy)
        return false;
    memcpy(copy, text.data, (size_t)text.size);
    copy[text.size] = 0;
    bool negative = copy[0] == '-';
    const char *digits = copy + (negative || copy[0] == '+');
    double real;
    if (strcmp(digits, "NaN") == 0)
        real = __builtin_nan("");
    else if (strcmp(digits, "Infinity") == 0)
        real = __builtin_inf();
    else if (is_java_real(digits))
        real = strtod(digits, NULL);
    else
        return false;
    *ret_real = negative ? -real : real;
    return true;
}

/* Items without the space around their commas, joined by ','; empty items are kept. */
static struct str join_items(struct str text, struct arena *arena)
{
    char *out = arena_alloc(arena, (size_t)text.size + 1);
    int32_t size = 0;
    if (!out)
        return (struct str){0};
    for (int32_t i = 0; i < text.size; i++) {
        if (text.data[i] == ',') {
            while (size > 0 && is_space(out[size - 1]))
                size--;
            out[size++] = ',';
            while (i + 1 < text.size && is_space(text.data[i + 1]))
                i++;
        } else {
            out[size++] = text.data[i];
        }
    }
    return (struct str){out, size};
}

const char *config_error(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = size >= 0 ? arena_alloc(arena, (size_t)size + 1) : NULL;
    if (!text)
        return "Invalid configuration value";
    va_start(args, format);
    vsnprintf(text, (size_t)size + 1, format, args);
    va_end(args);
    return text;
}

static const char *invalid(const struct config_key *key, struct str value, const char *why,
                           struct arena *arena)
{
    return config_error(arena, "Invalid value %.*s for configuration %s: %s", (int)value.size,
                        value.data ? value.data : "", key->name, why);
}

static const char *type_name(const struct config_key *key)
{
    static const char *const names[] = {"UNKNOWN", "BOOLEAN", "STRING", "INT",   "SHORT",
                                        "LONG",    "DOUBLE",  "LIST",   "CLASS", "PASSWORD"};
    return names[key->type];
}

/* The typed value without its checks. */
static int parse_type(const struct config_key *key, struct str text, struct arena *arena,
                      struct config_value *ret_value, const char **ret_error)
{
    struct config_value value = {0};
    struct str trimmed = trim(text);
    const char *why = NULL;
    bool parsed = true;
    switch ((enum config_type)key->type) {
    case CONFIG_TYPE_BOOLEAN:
        value.boolean = equal_any_case(trimmed, STR("true"));
        parsed = value.boolean || equal_any_case(trimmed, STR("false"));
        why = "Expected value to be either true or false";
        break;
    case CONFIG_TYPE_INT:
        parsed = parse_integer(trimmed, INT32_MIN, INT32_MAX, &value.number);
        break;
    case CONFIG_TYPE_SHORT:
        parsed = parse_integer(trimmed, INT16_MIN, INT16_MAX, &value.number);
        break;
    case CONFIG_TYPE_LONG:
        parsed = parse_integer(trimmed, INT64_MIN, INT64_MAX, &value.number);
        break;
    case CONFIG_TYPE_DOUBLE:
        parsed = parse_real(trimmed, &value.real);
        break;
    case CONFIG_TYPE_LIST:
    case CONFIG_TYPE_STRING:
    case CONFIG_TYPE_CLASS:
    case CONFIG_TYPE_PASSWORD:
        break;
    }
    if (!parsed) {
        if (!why)
            why = config_error(arena, "Not a number of type %s", type_name(key));
        *ret_error = invalid(key, text, why, arena);
        return KAFKA_INVALID_CONFIG;
    }
    value.text =
        key->type == CONFIG_TYPE_LIST ? join_items(trimmed, arena) : arena_str(arena, trimmed);
    if (!value.text.data)
        return -ENOMEM;
    *ret_value = value;
    return 0;
}

static bool is_one_of(const char *allowed, struct str value, bool any_case)
{
    struct str rest = str_of(allowed);
    struct str item;
    while (config_list_next(rest, &item, &rest)) {
        if (any_case ? equal_any_case(item, value) : str_equal(item, value))
            return true;
    }
    return false;
}

static const char *check_number(const struct config_key *key, const struct config_value *value,
                                struct arena *arena)
{
    const struct config_check *check = &key->check;
    const char *why = NULL;
    if (check->kind == CONFIG_CHECK_RANGE_OR_MINUS_1) {
        if (value->number == -1 || (value->number >= check->min && value->number <= check->max))
            return NULL;
        why = config_error(arena, "Value must be between %lld and %lld or equal to -1",
                           (long long)check->min, (long long)check->max);
    } else if (value->number < check->min) {
        why = config_error(arena, "Value must be at least %lld", (long long)check->min);
    } else if (value->number > check->max) {
        why = config_error(arena, "Value must be no more than %lld", (long long)check->max);
    } else {
        return NULL;
    }
    return invalid(key, config_format(key, value, arena), why, arena);
}

/* NaN passes, as it does in Java. */
static const char *check_real(const struct config_key *key, const struct config_value *value,
                              struct arena *arena)
{
    const struct config_check *check = &key->check;
    const char *why = NULL;
    if (value->real < check->min_real)
        why = config_error(arena, "Value must be at least %g", check->min_real);
    else if (value->real > check->max_real)
        why = config_error(arena, "Value must be no more than %g", check->max_real);
    else
        return NULL;
    return invalid(key, config_format(key, value, arena), why, arena);
}

static const char *check_one_of(const struct config_key *key, struct str value, struct arena *arena)
{
    bool any_case = key->check.kind == CONFIG_CHECK_ONE_OF_ANY_CASE;
    if (is_one_of(key->check.allowed, value, any_case))
        return NULL;
    const char *why = config_error(arena, "String must be one of%s: %s",
                                   any_case ? " (case insensitive)" : "", key->check.allowed);
    return invalid(key, value, why, arena);
}

/* The first item of a joined list, kept as it is even when it is empty. */
static bool next_raw_item(struct str *rest, struct str *ret_item)
{
    if (!rest->data)
        return false;
    const char *comma = memchr(rest->data, ',', (size_t)rest->size);
    int32_t size = comma ? (int32_t)(comma - rest->data) : rest->size;
    *ret_item = (struct str){rest->data, size};
    *rest = comma ? (struct str){comma + 1, rest->size - size - 1} : (struct str){0};
    return true;
}

static bool has_duplicates(struct str list)
{
    struct str rest = list;
    struct str item;
    while (next_raw_item(&rest, &item)) {
        struct str later = rest;
        struct str other;
        while (next_raw_item(&later, &other)) {
            if (str_equal(item, other))
                return true;
        }
    }
    return false;
}

static const char *check_list(const struct config_key *key, struct str list, struct arena *arena)
{
    const struct config_check *check = &key->check;
    struct str rest = list;
    struct str item;
    if (list.size == 0) {
        if (!check->no_empty)
            return NULL;
        return config_error(
            arena, "Configuration '%s' must not be empty. Valid values include: %s%s%s", key->name,
            check->allowed ? "[" : "", check->allowed ? check->allowed : "any non-empty value",
            check->allowed ? "]" : "");
    }
    if (config_list_count(list) > CONFIG_LIST_MAX_ITEMS)
        return config_error(arena, "Configuration '%s' must not have more than %d values.",
                            key->name, CONFIG_LIST_MAX_ITEMS);
    if (has_duplicates(list))
        return config_error(arena, "Configuration '%s' values must not be duplicated.", key->name);
    while (next_raw_item(&rest, &item)) {
        if (item.size == 0)
            return config_error(arena, "Configuration '%s' values must not be empty.", key->name);
        if (check->allowed && !is_one_of(check->allowed, item, false)) {
            const char *why = config_error(arena, "String must be one of: %s", check->allowed);
            return invalid(key, item, why, arena);
        }
    }
    return NULL;
}

static const char *check_null(const struct config_key *key, struct arena *arena)
{
    switch (key->check.kind) {
    case CONFIG_CHECK_RANGE:
    case CONFIG_CHECK_RANGE_OR_MINUS_1:
        return invalid(key, STR("null"), "Value must be non-null", arena);
    case CONFIG_CHECK_NON_NULL:
        return invalid(key, STR("null"), "entry must be non null", arena);
    case CONFIG_CHECK_LIST:
        if (!key->check.null_ok)
            return config_error(arena, "Configuration '%s' values must not be null.", key->name);
        return NULL;
    default:
        return NULL;
    }
}

static const char *check_value(const struct config_key *key, const struct config_value *value,
                               struct arena *arena)
{
    switch (key->check.kind) {
    case CONFIG_CHECK_NONE:
    case CONFIG_CHECK_NON_NULL:
        return NULL;
    case CONFIG_CHECK_RANGE:
        return key->type == CONFIG_TYPE_DOUBLE ? check_real(key, value, arena)
                                               : check_number(key, value, arena);
    case CONFIG_CHECK_RANGE_OR_MINUS_1:
        return check_number(key, value, arena);
    case CONFIG_CHECK_ONE_OF:
    case CONFIG_CHECK_ONE_OF_ANY_CASE:
        return check_one_of(key, value->text, arena);
    case CONFIG_CHECK_LIST:
        return check_list(key, value->text, arena);
    case CONFIG_CHECK_NON_EMPTY:
        return value->text.size > 0 ? NULL
                                    : invalid(key, value->text, "String must be non-empty", arena);
    case CONFIG_CHECK_FUNCTION:
        return key->check.function(key, value, arena);
    }
    must(false);
    return NULL;
}

int config_parse(const struct config_key *key, struct str text, struct arena *arena,
                 struct config_value *ret_value, const char **ret_error)
{
    struct config_value value = {.is_null = true};
    const char *error = NULL;
    if (!text.data) {
        error = check_null(key, arena);
    } else {
        int err = parse_type(key, text, arena, &value, &error);
        if (err == -ENOMEM)
            return err;
        if (err == 0)
            error = check_value(key, &value, arena);
    }
    if (error) {
        *ret_error = error;
        return KAFKA_INVALID_CONFIG;
    }
    *ret_value = value;
    return 0;
}

/* Java's Double.toString, with the fewest digits that read back as the same number. */
static size_t print_real(double real, char text[NUMBER_TEXT_MAX])
{
    char digits[NUMBER_TEXT_MAX];
    int precision = 0;
    if (real != real)
        return (size_t)snprintf(text, NUMBER_TEXT_MAX, "NaN");
    if (real > 1.7976931348623157E308 || real < -1.7976931348623157E308)
        return (size_t)snprintf(text, NUMBER_TEXT_MAX, real > 0 ? "Infinity" : "-Infinity");
    if (real == 0)
        return (size_t)snprintf(text, NUMBER_TEXT_MAX, __builtin_signbit(real) ? "-0.0" : "0.0");
    /* Java always shows a digit after the point, and of two it takes the closer second one. */
    for (precision = 1; precision < 17; precision++) {
        snprintf(digits, sizeof digits, "%.*e", precision, real);
        if (strtod(digits, NULL) == real)
            break;
    }
    snprintf(digits, sizeof digits, "%.*e", precision, real);
    char *e = strchr(digits, 'e');
    int exponent = atoi(e + 1);
    *e = 0;
    for (char *end = e - 1; *end == '0' && end[-1] != '.'; end--)
        *end = 0;
    if (exponent < -3 || exponent >= 7)
        return (size_t)snprintf(text, NUMBER_TEXT_MAX, "%sE%d", digits, exponent);
    const char *fraction = strchr(digits, '.') + 1;
    int decimals = (strcmp(fraction, "0") == 0 ? 0 : (int)strlen(fraction)) - exponent;
    return (size_t)snprintf(text, NUMBER_TEXT_MAX, "%.*f", decimals > 1 ? decimals : 1, real);
}

struct str config_format(const struct config_key *key, const struct config_value *value,
                         struct arena *arena)
{
    char text[NUMBER_TEXT_MAX];
    size_t size = 0;
    if (value->is_null)
        return (struct str){0};
    switch ((enum config_type)key->type) {
    case CONFIG_TYPE_BOOLEAN:
        return value->boolean ? STR("true") : STR("false");
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_SHORT:
    case CONFIG_TYPE_LONG:
        size = (size_t)snprintf(text, sizeof text, "%lld", (long long)value->number);
        break;
    case CONFIG_TYPE_DOUBLE:
        size = print_real(value->real, text);
        break;
    case CONFIG_TYPE_STRING:
    case CONFIG_TYPE_LIST:
    case CONFIG_TYPE_CLASS:
    case CONFIG_TYPE_PASSWORD:
        return value->text;
    }
    return arena_str(arena, (struct str){text, (int32_t)size});
}

bool config_list_next(struct str list, struct str *ret_item, struct str *ret_rest)
{
    struct str rest = list;
    if (list.size == 0 || !next_raw_item(&rest, ret_item))
        return false;
    *ret_item = trim(*ret_item);
    *ret_rest = rest;
    return true;
}

int32_t config_list_count(struct str list)
{
    int32_t count = list.size > 0;
    for (int32_t i = 0; i < list.size; i++)
        count += list.data[i] == ',';
    return count;
}

bool config_list_has(struct str list, struct str wanted)
{
    struct str item;
    while (config_list_next(list, &item, &list)) {
        if (str_equal(item, wanted))
            return true;
    }
    return false;
}
