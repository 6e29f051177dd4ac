/* jackdaw storage format | info: prepare log directories, and tell what is in them. */
#ifndef JACKDAW_CLI_STORAGE_H
#define JACKDAW_CLI_STORAGE_H

/* argv[0] is "storage". The exit code: 0 done, 1 refused or failed, 2 wrong usage. */
int storage_main(int argc, char **argv);

#endif
