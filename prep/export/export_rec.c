/* SPDX-License-Identifier: MIT */
/* MXNet RecordIO in InsightFace's form, one set of files a split: train.rec, train.idx and train.lst, the same
 * for val and holdout, and one `property` for the folder.
 *
 *   record     u32 0xced7230a, u32 part << 29 | bytes, the bytes, zeros up to a multiple of 4; little-endian
 *   part       0 whole; 1 first, 2 middle, 3 last: where the magic occurs in the data at a multiple of 4, it is
 *              left out and the data goes on in a record of its own, so a reader can find records by the magic
 *   data       u32 flag, f32 label, u64 key, u64 0, then `flag` f32 labels, then the image file
 *   key 0      flag 2: the keys of the first identity and of the end
 *   1 ..       the images: flag 0, the label
 *   then       an identity: flag 2, the keys of its first image and of its end
 *   .idx       "key TAB offset", .lst "key TAB label TAB name": one line a record, one line an image
 *   property   "classes,height,width": classes are the training identities, or all when no image is trained on
 *
 * Labels are those of the data set in all splits, so held-out ones follow the training ones. A float holds
 * whole numbers up to 2^24 exactly: keys above are rounded, as in all sets of that size. Readers go by .idx.
 */
#include "common/err.h"
#include "common/fs.h"
#include "prep/export/export.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER_BYTES = 24,
    PART_MAX = (1 << 29) - 1, /* bytes */
    FLOAT_EXACT = 1 << 24,
    WHOLE = 0,
    FIRST = 1,
    MIDDLE = 2,
    LAST = 3
};
static const uint32_t magic = 0xced7230a;

/* The first key of an identity that has images here. */
struct group {
    uint32_t label;
    uint64_t first;
};

struct rec {
    const char *name; /* of its split */
    FILE *rec, *idx, *lst;
    uint64_t at, images, room;
    struct group *group;
    uint64_t groups;
};

struct recs {
    const struct fv_export *e;
    struct rec of[FV_SPLITS];
    struct fv_buffer data;
};

/* --- records -------------------------------------------------------------------------------------- */

static int write_part(struct rec *r, unsigned part, const uint8_t *p, size_t n)
{
    uint8_t head[8];
    fv__put32(head, magic);
    fv__put32(head + 4, part << 29 | (uint32_t)n);
    r->at += sizeof head + n;
    return fwrite(head, 1, sizeof head, r->rec) != sizeof head || fwrite(p, 1, n, r->rec) != n;
}

static int write_record(struct rec *r, uint64_t key, struct fv_span data)
{
    static const uint8_t zero[4];
    size_t from = 0;
    if (data.n > PART_MAX)
        return fv_err(FV_EUNSUPPORTED, "an image file of %zu bytes: RecordIO takes up to %d",
                      data.n, PART_MAX);
    int failed = fprintf(r->idx, "%" PRIu64 "\t%" PRIu64 "\n", key, r->at) < 0;
    for (size_t i = 0; i + 4 <= data.n; i += 4)
        if (fv__get32(data.p + i) == magic) {
            failed |= write_part(r, from ? MIDDLE : FIRST, data.p + from, i - from);
            from = i + 4;
        }
    failed |= write_part(r, from ? LAST : WHOLE, data.p + from, data.n - from);
    const size_t pad = -r->at % 4;
    failed |= fwrite(zero, 1, pad, r->rec) != pad;
    r->at += pad;
    return failed ? fv_err_errno(FV_EIO, "%s.rec: cannot write", r->name) : 0;
}

static int append_float(struct fv_buffer *b, uint64_t v)
{
    const float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return fv__buffer_append32(b, bits);
}

/* The header in x->data; the caller appends what follows it. */
static int begin_data(struct recs *x, uint32_t flag, uint64_t label, uint64_t key)
{
    x->data.n = 0;
    FV_TRY(fv__buffer_append32(&x->data, flag));
    FV_TRY(append_float(&x->data, label));
    FV_TRY(fv__buffer_append64(&x->data, key));
    return fv__buffer_append64(&x->data, 0);
}

/* A record of two numbers and no image. */
static int write_range(struct recs *x, struct rec *r, uint64_t key, uint64_t first, uint64_t end)
{
    FV_TRY(begin_data(x, 2, 0, key));
    FV_TRY(append_float(&x->data, first));
    FV_TRY(append_float(&x->data, end));
    return write_record(r, key, fv__buffer_view(&x->data));
}

/* --- files ---------------------------------------------------------------------------------------- */

static int create(const struct recs *x, FILE **out, const char *name, const char *suffix)
{
    char *path = fv_format("%s/%s%s", x->e->folder, name, suffix);
    *out = path ? fopen(path, "wxe") : NULL;
    int rc = *out ? 0 : fv_err_errno(FV_EIO, "%s: cannot create", path ? path : name);
    free(path);
    return rc;
}

static int finish_file(FILE **f, const char *name, const char *suffix)
{
    const int failed = ferror(*f), unclosed = fclose(*f);
    *f = NULL;
    return failed || unclosed ? fv_err_errno(FV_EIO, "%s%s: cannot write", name, suffix) : 0;
}

static int count_groups(const struct recs *x, int split, uint64_t *n)
{
    const struct fv_store_info *info = fv_store_info(x->e->store);
    struct fv_store_image im;
    uint32_t last = UINT32_MAX;
    *n = 0;
    for (uint64_t i = 0; i < info->images; i++) {
        FV_TRY(fv_store_image(x->e->store, i, &im));
        *n += (int)im.split == split && im.label != last;
        if ((int)im.split == split)
            last = im.label;
    }
    return 0;
}

static int open_split(struct recs *x, int split)
{
    struct rec *r = &x->of[split];
    const char *name = r->name = fv_split_names[split];
    const uint64_t images = x->e->images[split];
    if (images == 0)
        return 0;
    FV_TRY(count_groups(x, split, &r->room));
    r->group = calloc(r->room, sizeof *r->group);
    if (!r->group)
        return fv_err(FV_ENOMEM, "out of memory for %" PRIu64 " identities", r->room);
    if (images + 1 + r->room > FLOAT_EXACT)
        fv_say(x->e->report, FV_LEVEL_WARN,
               "%s.rec: its %" PRIu64
               " keys are more than its floats tell apart: read it by %s.idx",
               name, images + 1 + r->room, name);
    FV_TRY(create(x, &r->rec, name, ".rec"));
    FV_TRY(create(x, &r->idx, name, ".idx"));
    FV_TRY(create(x, &r->lst, name, ".lst"));
    return write_range(x, r, 0, images + 1, images + 1 + r->room);
}

static int write_property(const struct recs *x)
{
    const struct fv_store_info *info = fv_store_info(x->e->store);
    const uint64_t classes = x->e->images[FV_SPLIT_TRAIN] ? info->train_labels : info->labels;
    FILE *f;
    FV_TRY(create(x, &f, "property", ""));
    fprintf(f, "%" PRIu64 ",%d,%d\n", classes, info->height, info->width);
    return finish_file(&f, "property", "");
}

static int rec_open(void **ctx, const struct fv_export *e)
{
    struct recs *x = calloc(1, sizeof *x);
    if (!(*ctx = x))
        return fv_err(FV_ENOMEM, "out of memory");
    x->e = e;
    for (int split = 0; split < FV_SPLITS; split++)
        FV_TRY(open_split(x, split));
    return write_property(x);
}

static int rec_put(void *ctx, const struct fv_export_image *im)
{
    struct recs *x = ctx;
    struct rec *r = &x->of[im->is.split];
    const uint64_t key = im->nth + 1;
    if (r->groups == 0 || r->group[r->groups - 1].label != im->is.label)
        r->group[r->groups++] = (struct group){im->is.label, key};
    r->images++;
    FV_TRY(begin_data(x, 0, im->is.label, key));
    FV_TRY(fv__buffer_append(&x->data, im->file.p, im->file.n));
    FV_TRY(write_record(r, key, fv__buffer_view(&x->data)));
    if (fprintf(r->lst, "%" PRIu64 "\t%" PRIu32 "\t%s\n", key, im->is.label, im->is.name) < 0)
        return fv_err_errno(FV_EIO, "%s.lst: cannot write", r->name);
    return 0;
}

static int rec_finish(void *ctx)
{
    struct recs *x = ctx;
    for (int split = 0; split < FV_SPLITS; split++) {
        struct rec *r = &x->of[split];
        if (!r->rec)
            continue;
        for (uint64_t g = 0; g < r->groups; g++) {
            const uint64_t end = g + 1 < r->groups ? r->group[g + 1].first : r->images + 1;
            FV_TRY(write_range(x, r, r->images + 1 + g, r->group[g].first, end));
        }
        FV_TRY(finish_file(&r->rec, r->name, ".rec"));
        FV_TRY(finish_file(&r->idx, r->name, ".idx"));
        FV_TRY(finish_file(&r->lst, r->name, ".lst"));
    }
    return 0;
}

static void rec_close(void *ctx)
{
    struct recs *x = ctx;
    if (!x)
        return;
    for (int split = 0; split < FV_SPLITS; split++) {
        struct rec *r = &x->of[split];
        FILE *const file[] = {r->rec, r->idx, r->lst};
        for (size_t i = 0; i < sizeof file / sizeof *file; i++)
            if (file[i])
                fclose(file[i]);
        free(r->group);
    }
    fv__buffer_free(&x->data);
    free(x);
}

const struct fv_export_format fv_export_format_rec = {
    .name = "rec",
    .help = "MXNet RecordIO as InsightFace lays it out",
    .open = rec_open,
    .put = rec_put,
    .finish = rec_finish,
    .close = rec_close,
};
