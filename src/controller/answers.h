/* Responses of ops: their defaults, and an error for the whole in every place where the API has
 * one. */
#ifndef JACKDAW_CONTROLLER_ANSWERS_H
#define JACKDAW_CONTROLLER_ANSWERS_H

#include "controller/controller.h"

/* Whether the controller serves this API. */
bool answer_is_served(int16_t api_key);

/* The response with its defaults. */
void answer_init(struct controller_op *op);

/* The response as it is when the whole request failed. `message` may be NULL. When the arena cannot
 * hold an entry for each part, parts are left out. */
void answer_error(struct controller_op *op, int16_t error_code, const char *message);

/* The request's own timeout in milliseconds, -1 when the API has none. */
int32_t answer_timeout_ms(const struct controller_op *op);

#endif
