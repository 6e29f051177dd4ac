/* What of the kit looks into a log; apart, because log/epochs.h and base/epoch.h do not go
 * together.
 */
#include "log/log_internal.h"

struct segment *kit_hold_first_segment(struct log *log);
void kit_let_go(struct log *log, struct segment *segment);

struct segment *kit_hold_first_segment(struct log *log)
{
    return segment_ref(log->segments[0]);
}

void kit_let_go(struct log *log, struct segment *segment)
{
    segment_unref(log, segment);
}
