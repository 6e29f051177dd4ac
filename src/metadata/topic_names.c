#include "metadata/topic_names.h"

bool topic_is_internal(struct str name)
{
    return str_equal(name, STR(GROUP_TOPIC)) || str_equal(name, STR(TRANSACTION_TOPIC)) ||
           str_equal(name, STR(SHARE_TOPIC));
}
