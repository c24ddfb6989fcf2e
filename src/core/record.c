/* SPDX-License-Identifier: MIT */
/* record.c - the record of an ended invocation, as Lambda writes it. Pure; its public face
 * is in async.h. */
#include "json.h"
#include "text.h"
#include "utf8.h"

#include <faas/async.h>

#include <stdio.h>

/* A name has 255 bytes, with a version some more. */
enum { ARN_BYTES = 320 };

const char *faas_condition_name(faas_condition condition)
{
    switch (condition) {
    case FAAS_SUCCESS:
        return "Success";
    case FAAS_RETRIES_EXHAUSTED:
        return "RetriesExhausted";
    case FAAS_EVENT_AGE_EXCEEDED:
        return "EventAgeExceeded";
    case FAAS_CANCELLED:
        return "Cancelled";
    case FAAS_DROPPED:
        return "Dropped";
    default:
        return "None";
    }
}

/* The day of a number of days since 1970. Source: H. Hinnant, "chrono-Compatible
 * Low-Level Date Algorithms". */
static void date_of(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    int64_t shifted = days + 719468; // from 0000-03-01
    int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
    unsigned of_era = (unsigned)(shifted - era * 146097);
    unsigned year_of_era =
        (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * of_year + 2) / 153;

    *day = of_year - (153 * month_from_march + 2) / 5 + 1;
    *month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    *year = (int64_t)year_of_era + era * 400 + (*month <= 2);
}

/* "2026-11-25T05:06:07.089Z" */
static void time_write(struct faasi_text *text, int64_t unix_ns)
{
    const int64_t day_ms = 86400000;
    int64_t ms = unix_ns / 1000000 - (unix_ns % 1000000 < 0), year;
    int64_t days = ms / day_ms - (ms % day_ms < 0);
    unsigned of_day = (unsigned)(ms - days * day_ms), month, day;

    date_of(days, &year, &month, &day);
    faasi_text_json_key(text, "timestamp");
    faasi_text_json_value(text);
    faasi_text_printf(text, "\"%04lld-%02u-%02uT%02u:%02u:%02u.%03uZ\"", (long long)year,
                      month, day, of_day / 3600000, of_day / 60000 % 60,
                      of_day / 1000 % 60, of_day % 1000);
}

static bool is_json(faas_bytes bytes)
{
    return bytes.size != 0 && (faasi_json_check(bytes, NULL, NULL) == FAAS_OK ||
                               faasi_json_check_any(bytes, NULL) == FAAS_OK);
}

static void payload_write(struct faasi_text *text, const char *key, faas_bytes bytes)
{
    faasi_text_json_key(text, key);
    if (bytes.data == NULL) {
        faasi_text_json_null(text);
    } else if (is_json(bytes)) {
        faasi_text_json_value(text);
        faasi_text_bytes(text, bytes.data, bytes.size);
    } else if (faasi_utf8_valid(bytes.data, bytes.size)) {
        faasi_text_json_string(text, bytes.data, bytes.size);
    } else {
        faasi_text_json_open(text, '{');
        faasi_text_json_key(text, "base64");
        faasi_text_json_base64(text, bytes.data, bytes.size);
        faasi_text_json_close(text, '}');
    }
}

static void request_context_write(struct faasi_text *text, const faas_record *record)
{
    char id[FAAS_ID_TEXT_SIZE], arn[ARN_BYTES];

    (void)snprintf(arn, sizeof arn, "libfaas:function:%s", record->function);
    faas_id_text(record->request_id, id);
    faasi_text_json_key(text, "requestContext");
    faasi_text_json_open(text, '{');
    faasi_text_json_key(text, "requestId");
    faasi_text_json_str(text, id);
    faasi_text_json_key(text, "functionArn");
    faasi_text_json_str(text, arn);
    faasi_text_json_key(text, "condition");
    faasi_text_json_str(text, faas_condition_name(record->condition));
    faasi_text_json_key(text, "approximateInvokeCount");
    faasi_text_json_uint(text, record->attempts);
    faasi_text_json_close(text, '}');
}

/* What the handler that ran last came to. */
static void response_write(struct faasi_text *text, const faas_record *record)
{
    faasi_text_json_key(text, "responseContext");
    faasi_text_json_open(text, '{');
    faasi_text_json_key(text, "statusCode");
    faasi_text_json_uint(text, 200);
    faasi_text_json_key(text, "executedVersion");
    if (record->version == 0) {
        faasi_text_json_str(text, "$LATEST");
    } else {
        faasi_text_json_value(text);
        faasi_text_printf(text, "\"%u\"", record->version);
    }
    if (record->status != FAAS_OK) {
        faasi_text_json_key(text, "functionError");
        faasi_text_json_str(text,
                            record->status == FAAS_EHANDLER ? "Handled" : "Unhandled");
    }
    faasi_text_json_close(text, '}');
    if (record->status == FAAS_OK) {
        payload_write(text, "responsePayload", record->response);
        return;
    }
    faasi_text_json_key(text, "responsePayload");
    faasi_text_json_open(text, '{');
    faasi_text_json_key(text, "errorMessage");
    faasi_text_json_str(text, record->error[0] != '\0'
                                  ? record->error
                                  : faas_status_text(record->status));
    faasi_text_json_key(text, "errorType");
    faasi_text_json_value(text);
    if (record->status == FAAS_EHANDLER)
        faasi_text_printf(text, "\"%d\"", record->code);
    else
        faasi_text_printf(text, "\"%s\"", faas_status_name(record->status));
    faasi_text_json_close(text, '}');
}

faas_status faas_record_json(const faas_record *record, faas_write *write, void *user)
{
    struct faasi_text text;

    faasi_text_init(&text, write, user);
    faasi_text_json_open(&text, '{');
    faasi_text_json_key(&text, "version");
    faasi_text_json_str(&text, "1.0");
    time_write(&text, record->ended_unix_ns);
    request_context_write(&text, record);
    payload_write(&text, "requestPayload", record->request);
    if (record->status == FAAS_OK || faas_status_group(record->status) == FAAS_GROUP_RAN)
        response_write(&text, record);
    faasi_text_json_close(&text, '}');
    return faasi_text_finish(&text);
}
