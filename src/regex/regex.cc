/* The one file in C++: RE2 behind a C interface. No exception leaves it.
 *
 * RE2/J also takes groups named as in Perl, "(?<name>...)", which this RE2 writes "(?P<name>...)":
 * they are rewritten before it sees them. */
#include "regex/regex.h"

#include <cerrno>
#include <cstring>
#include <new>
#include <string>

#include <re2/re2.h>

struct regex {
    RE2 compiled;

    regex(const std::string &text, const RE2::Options &options) : compiled(text, options)
    {
    }
};

namespace
{

/* Behind a character class that begins at `at`. */
size_t class_end(const std::string &text, size_t at)
{
    at += at + 1 < text.size() && text[at + 1] == '^' ? 2 : 1;
    for (bool first = true; at < text.size(); first = false) {
        if (text[at] == ']' && !first)
            return at + 1;
        size_t named = text.compare(at, 2, "[:") == 0 ? text.find(":]", at + 2) : std::string::npos;
        if (named != std::string::npos)
            at = named + 2;
        else
            at += text[at] == '\\' ? 2 : 1;
    }
    return text.size();
}

/* Behind what an escape at `at` covers. */
size_t escape_end(const std::string &text, size_t at)
{
    if (text.compare(at, 2, "\\Q") != 0)
        return at + 2;
    size_t end = text.find("\\E", at + 2);
    return end == std::string::npos ? text.size() : end + 2;
}

std::string named_groups_in_python_style(const std::string &text)
{
    std::string out;
    for (size_t at = 0; at < text.size();) {
        size_t next = at + 1;
        if (text[at] == '\\')
            next = escape_end(text, at);
        else if (text[at] == '[')
            next = class_end(text, at);
        else if (text.compare(at, 3, "(?<") == 0) {
            out += "(?P<";
            at += 3;
            continue;
        }
        out.append(text, at, next - at);
        at = next;
    }
    return out;
}

/* "\C", a byte of a character, is RE2's alone. */
bool has_byte_escape(const std::string &text)
{
    for (size_t at = 0; at < text.size();) {
        if (text[at] == '[') {
            at = class_end(text, at);
        } else if (text[at] == '\\') {
            if (text.compare(at, 2, "\\C") == 0)
                return true;
            at = escape_end(text, at);
        } else {
            at++;
        }
    }
    return false;
}

int refuse(char *ret_why, const std::string &why)
{
    if (ret_why) {
        size_t size = why.copy(ret_why, REGEX_WHY_SIZE - 1);
        ret_why[size] = 0;
    }
    return -EINVAL;
}

} // namespace

int regex_compile(const char *text, size_t size, struct regex **ret_regex, char *ret_why)
{
    if (size > REGEX_MAX_BYTES)
        return refuse(ret_why, "it is too long");
    try {
        std::string given(text, size);
        if (has_byte_escape(given))
            return refuse(ret_why, "invalid escape sequence: \\C");
        RE2::Options options;
        options.set_log_errors(false);
        options.set_max_mem(REGEX_MEMORY_BYTES);
        options.set_never_capture(true); /* nobody asks, and it would cost time and memory */
        auto made = new ::regex(named_groups_in_python_style(given), options);
        if (!made->compiled.ok()) {
            int err = refuse(ret_why, made->compiled.error());
            delete made;
            return err;
        }
        *ret_regex = made;
        return 0;
    } catch (const std::bad_alloc &) {
        return -ENOMEM;
    }
}

void regex_destroy(struct regex *regex)
{
    delete regex;
}

bool regex_matches(const struct regex *regex, const char *text, size_t size)
{
    try {
        return regex->compiled.Match(re2::StringPiece(text, size), 0, size, RE2::ANCHOR_BOTH,
                                     nullptr, 0);
    } catch (const std::bad_alloc &) {
        return false;
    }
}
