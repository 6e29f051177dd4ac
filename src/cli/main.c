#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "os/linux_env.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about;
} commands[] = {
    {"dump-log", dump_log_main, "read and verify the files of a log directory"},
    {"server", server_main, "run a node: broker and controller"},
    {"storage", storage_main, "format log directories, or tell what is in them"},
};

static void print_usage(FILE *out)
{
    fputs("usage: jackdaw COMMAND [ARGS…]\n\n", out);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].about);
    fputs("\n  jackdaw COMMAND --help tells more.\n", out);
}

int main(int argc, char **argv)
{
    linux_standard_files();
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("jackdaw " JACKDAW_VERSION);
        return EXIT_OK;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "jackdaw: no command '%s'\n\n", argv[1]);
    print_usage(stderr);
    return EXIT_USAGE;
}
