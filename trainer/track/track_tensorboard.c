/* SPDX-License-Identifier: MIT */
/* Events as TensorBoard reads them: each line of the log is one event with a scalar for each of its numbers.
 *
 *   file   = record {record}
 *   record = u64 length | u32 masked CRC of the length | data | u32 masked CRC of the data      (little endian)
 *   masked = ((crc >> 15) | (crc << 17)) + 0xa282ead8, of CRC-32C         (tensorflow/core/lib/io/record_writer)
 *   data   = Event: 1 wall_time double, 2 step varint, 3 file_version string, 5 summary
 *   summary = { 1 value }, value = 1 tag string, 2 simple_value float     (tensorboard/compat/proto)
 *
 * TensorBoard knows the file by "tfevents" in its name. Each name is a fixed one: a resumed run goes on in it.
 */
#include "trainer/track/track.h"

#include <stdint.h>
#include <string.h>

enum { TAG_MAX = 64, EVENT_MAX = 4096 };

struct event {
    unsigned char data[EVENT_MAX];
    size_t n;
};

static uint32_t crc32c(const unsigned char *data, size_t n)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82f63b78 & -(crc & 1));
    }
    return ~crc;
}

static void write_little(FILE *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        fputc((int)(value >> 8 * i & 255), to);
}

static void write_crc(FILE *to, const unsigned char *data, size_t n)
{
    const uint32_t crc = crc32c(data, n);
    write_little(to, (crc >> 15 | crc << 17) + 0xa282ead8, 4);
}

static void write_record(FILE *to, const struct event *e)
{
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)e->n >> 8 * i);
    fwrite(length, 1, 8, to);
    write_crc(to, length, 8);
    fwrite(e->data, 1, e->n, to);
    write_crc(to, e->data, e->n);
}

static void put_byte(struct event *e, unsigned byte)
{
    if (e->n < EVENT_MAX)
        e->data[e->n++] = (unsigned char)byte;
}

static void put_varint(struct event *e, uint64_t value)
{
    for (; value > 127; value >>= 7)
        put_byte(e, (unsigned)(value & 127) | 128);
    put_byte(e, (unsigned)value);
}

static void put_bytes(struct event *e, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put_byte(e, ((const unsigned char *)bytes)[i]);
}

static void put_string(struct event *e, unsigned field, const char *text)
{
    put_byte(e, field << 3 | 2);
    put_varint(e, strlen(text));
    put_bytes(e, text, strlen(text));
}

/* The same bits, least significant byte first. */
static void put_double(struct event *e, unsigned field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_byte(e, field << 3 | 1);
    for (int i = 0; i < 8; i++)
        put_byte(e, (unsigned)(bits >> 8 * i & 255));
}

static void put_float(struct event *e, unsigned field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_byte(e, field << 3 | 5);
    for (int i = 0; i < 4; i++)
        put_byte(e, bits >> 8 * i & 255);
}

/* TensorBoard makes a section of what stands before the first slash. */
static int make_tag(char tag[TAG_MAX], const char *key, int of_epoch)
{
    static const char *const place[][2] = {{"val_loss", "val/loss"},
                                           {"val_acc", "val/acc"},
                                           {"eer", "verify/eer"},
                                           {"auc", "verify/auc"}};
    int n = -1;
    for (size_t i = 0; of_epoch && i < sizeof place / sizeof place[0]; i++)
        if (strcmp(key, place[i][0]) == 0)
            n = snprintf(tag, TAG_MAX, "%s", place[i][1]);
    if (n < 0)
        n = snprintf(tag, TAG_MAX, "%s/%s", of_epoch ? "epoch" : "train", key);
    return n < TAG_MAX;
}

static void put_scalars(struct event *summary, const json_t *line, int of_epoch)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)line, key, value)
    {
        static const char *const apart[] = {"step", "epoch", "time"};
        struct event one = {.n = 0};
        char tag[TAG_MAX];
        int is_apart = 0;
        for (size_t i = 0; i < sizeof apart / sizeof apart[0]; i++)
            is_apart |= strcmp(key, apart[i]) == 0;
        if (is_apart || !json_is_number(value) || !make_tag(tag, key, of_epoch))
            continue;
        put_string(&one, 1, tag);
        put_float(&one, 2, (float)json_number_value(value));
        if (summary->n + one.n + 3 > EVENT_MAX / 2)
            return;
        put_byte(summary, 1 << 3 | 2);
        put_varint(summary, one.n);
        put_bytes(summary, one.data, one.n);
    }
}

static int write_events(FILE *to, const json_t *line, const json_t *first)
{
    const char *type = json_string_value(json_object_get(line, "type"));
    const double time = json_number_value(json_object_get(line, "time"));
    const int of_epoch = type && strcmp(type, "epoch") == 0;
    if (!of_epoch && (!type || strcmp(type, "step") != 0))
        return 0;
    if (!first) {
        struct event version = {.n = 0};
        put_double(&version, 1, time);
        put_string(&version, 3, "brain.Event:2");
        write_record(to, &version);
    }
    struct event e = {.n = 0}, summary = {.n = 0};
    put_scalars(&summary, line, of_epoch);
    put_double(&e, 1, time);
    put_byte(&e, 2 << 3);
    put_varint(&e, (uint64_t)json_integer_value(json_object_get(line, "step")));
    put_byte(&e, 5 << 3 | 2);
    put_varint(&e, summary.n);
    put_bytes(&e, summary.data, summary.n);
    write_record(to, &e);
    return 1;
}

const struct fv_track_form fv_track_tensorboard = {.file = "events.out.tfevents.fv",
                                                   .write = write_events};
