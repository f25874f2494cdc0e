/* SPDX-License-Identifier: MIT */
/* WebDataset: tar archives of samples, train-000000.tar, train-000001.tar and so on, the same for val and
 * holdout. A sample is three members of one key, the image's number in the data set:
 *
 *   000000123.png    its file
 *   000000123.cls    its label, as text
 *   000000123.json   {"name": "...", "split": "train", "identity": "...", "label": 123}
 *
 * A sample is never divided. JSON is UTF-8 and names need not be: bytes that are no UTF-8 become U+FFFD.
 */
#include "common/err.h"
#include "common/fs.h"
#include "prep/export/export.h"
#include "prep/export/tar_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SHARD_BYTES = 1000000000 };

struct shards {
    const struct fv_export *e;
    struct {
        struct fv_tar tar;
        unsigned shards;
    } of[FV_SPLITS];
    struct fv_buffer json;
};

static int tar_open(void **ctx, const struct fv_export *e)
{
    struct shards *x = calloc(1, sizeof *x);
    if (!(*ctx = x))
        return fv_err(FV_ENOMEM, "out of memory");
    x->e = e;
    return 0;
}

static void tar_close(void *ctx)
{
    struct shards *x = ctx;
    if (!x)
        return;
    for (int i = 0; i < FV_SPLITS; i++)
        fv__tar_close(&x->of[i].tar);
    fv__buffer_free(&x->json);
    free(x);
}

/* --- JSON ----------------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 character at s, 0 when there is none: no overlong forms, no surrogates. */
static size_t utf8_bytes(const unsigned char *s)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const size_t n = *s < 0x80 ? 1 : *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : *s >= 0xc0 ? 2 : 0;
    if (n < 2)
        return n;
    uint32_t c = *s & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    return *s > 0xf4 || c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

static int append_string(struct fv_buffer *b, const char *text)
{
    char escape[8];
    FV_TRY(fv__buffer_append(b, "\"", 1));
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        const size_t n = utf8_bytes(s);
        if (n == 0)
            FV_TRY(fv__buffer_append(b, "\\ufffd", 6));
        else if (*s == '"' || *s == '\\' || *s < ' ')
            FV_TRY(fv__buffer_append(b, escape,
                                     (size_t)snprintf(escape, sizeof escape, "\\u%04x", *s)));
        else
            FV_TRY(fv__buffer_append(b, s, n));
        s += n ? n : 1;
    }
    return fv__buffer_append(b, "\"", 1);
}

static int append_text(struct fv_buffer *b, const char *text)
{
    return fv__buffer_append(b, text, strlen(text));
}

static int make_json(struct fv_buffer *b, const struct fv_export_image *im, const char *label)
{
    b->n = 0;
    FV_TRY(append_text(b, "{\"name\": "));
    FV_TRY(append_string(b, im->is.name));
    FV_TRY(append_text(b, ", \"split\": "));
    FV_TRY(append_string(b, fv_split_names[im->is.split]));
    FV_TRY(append_text(b, ", \"identity\": "));
    FV_TRY(append_string(b, im->identity));
    FV_TRY(append_text(b, ", \"label\": "));
    FV_TRY(append_text(b, label));
    return append_text(b, "}");
}

/* --- shards --------------------------------------------------------------------------------------- */

/* The archive that has room for a sample of so many bytes. */
static int shard_for(struct shards *x, int split, uint64_t bytes, struct fv_tar **out)
{
    const uint64_t most = x->e->s->shard_bytes ? (uint64_t)x->e->s->shard_bytes : SHARD_BYTES;
    struct fv_tar *tar = *out = &x->of[split].tar;
    if (tar->f && tar->bytes + bytes + FV_TAR_END > most)
        FV_TRY(fv__tar_finish(tar));
    if (tar->f)
        return 0;
    char *path =
        fv_format("%s/%s-%06u.tar", x->e->folder, fv_split_names[split], x->of[split].shards++);
    int rc = path ? fv__tar_open(tar, path) : fv_err(FV_ENOMEM, "out of memory for a path");
    free(path);
    return rc;
}

static int add(struct fv_tar *tar, uint64_t key, const char *suffix, const void *p, size_t n)
{
    char name[FV_TAR_NAME_MAX];
    snprintf(name, sizeof name, "%09" PRIu64 "%s", key, suffix);
    return fv__tar_add(tar, name, p, n);
}

static int tar_put(void *ctx, const struct fv_export_image *im)
{
    struct shards *x = ctx;
    struct fv_tar *tar;
    char label[16];
    const size_t n = (size_t)snprintf(label, sizeof label, "%" PRIu32, im->is.label);
    FV_TRY(make_json(&x->json, im, label));
    FV_TRY(shard_for(x, im->is.split,
                     fv__tar_member_bytes(im->file.n) + fv__tar_member_bytes(n) +
                         fv__tar_member_bytes(x->json.n),
                     &tar));
    FV_TRY(add(tar, im->image, x->e->suffix, im->file.p, im->file.n));
    FV_TRY(add(tar, im->image, ".cls", label, n));
    return add(tar, im->image, ".json", x->json.p, x->json.n);
}

static int tar_finish(void *ctx)
{
    struct shards *x = ctx;
    for (int i = 0; i < FV_SPLITS; i++)
        if (x->of[i].tar.f)
            FV_TRY(fv__tar_finish(&x->of[i].tar));
    return 0;
}

const struct fv_export_format fv_export_format_tar = {
    .name = "tar",
    .help = "WebDataset shards",
    .takes_shuffle = 1,
    .takes_shard_bytes = 1,
    .open = tar_open,
    .put = tar_put,
    .finish = tar_finish,
    .close = tar_close,
};
