/* The subcommands of `jackdaw`. Each gets argv[0] = its name and answers the exit code. */
#ifndef JACKDAW_CLI_COMMAND_H
#define JACKDAW_CLI_COMMAND_H

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1, /* it did not work; the reason was printed */
    EXIT_USAGE = 2,  /* the command line or the configuration is wrong */
};

int dump_log_main(int argc, char **argv);
int server_main(int argc, char **argv);
int storage_main(int argc, char **argv);

#endif
