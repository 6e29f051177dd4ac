#include <stdio.h>

int main(void)
{
    puts("jackdaw");
    return 0;
}
