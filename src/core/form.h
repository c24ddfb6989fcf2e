/* SPDX-License-Identifier: MIT */
/* form.h - an event as rules see it: its CloudEvents JSON, checked and indexed once.
 *
 * The form is made when the first rule set wants it and kept by the event, so that
 * however many sets and publishes look at it, its data is read once. An event does not
 * change; that it keeps its form is nobody's business but ours.
 *
 * Layer: 1 structures. Includes event.h; its code also json.h, mem.h, text.h, utf8.h, and
 * faas_event_write_json() lives here.
 * Locks: none. Two threads may make a form at once; one of them is kept. */
#ifndef FAASI_FORM_H
#define FAASI_FORM_H

#include "event.h"

/* Returns the form of an event.
 *
 * @param[out] form  Set on FAAS_OK: the event's.
 * @return FAAS_OK, or
 *         FAAS_EINVAL  it is too large or too deep to be indexed
 *         FAAS_ENOMEM */
faas_status faasi_event_form(const faas_event *event, const struct faasi_form **form);

/* Says whether the data is what its content type says, once per event: JSON is JSON. Of a
 * trusted event it is not looked at.
 *
 * @return FAAS_OK, or
 *         FAAS_ESYNTAX  it is malformed; the error text says at which byte
 *         FAAS_EINVAL   it is nested too deeply or too long */
faas_status faasi_event_check(const faas_event *event);

#endif /* FAASI_FORM_H */
