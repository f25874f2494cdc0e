/* SPDX-License-Identifier: MIT */
/* fvprep pack: scan, plan, then one pass of the pipe, whose sink below is the only writer.
 *
 * The sink sees files in packing order, so everything it decides (labels, splits, what it says) is the same
 * for any number of threads. Which images become validation images is decided when the last photo of their
 * identity has passed, since a share of its images means of the good ones.
 */
#include "prep/prep.h"

#include "common/clock.h"
#include "common/cpu.h"
#include "common/err.h"
#include "common/fs.h"
#include "prep/pack_pipe.h"
#include "prep/pack_plan.h"
#include "prep/rejects.h"
#include "prep/scan.h"
#include "prep/split.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct packing {
    const struct fv_pack_settings *s;
    const struct fv_report *report;
    struct fv_pack_result *result;
    struct fv_scan scan;
    struct fv_pack_plan plan;
    struct fv_rejects rejects;
    struct fv_store_writer *writer;
    /* the identity whose photos are passing */
    size_t identity, photos_left;
    const char **name; /* of its images so far */
    size_t images, first_image;
};

static int is_held_out(const struct packing *p)
{
    return p->identity >= p->plan.training;
}

/* --- the sink ------------------------------------------------------------------------------------- */

static int choose_validation(struct packing *p)
{
    size_t n = p->images, count = fv__split_count(p->s->val, n);
    if (count == n && n > 0)
        count = n - 1; /* a training identity keeps an image to train on */
    uint8_t *chosen = calloc(n ? n : 1, 1);
    int rc =
        chosen ? fv__split_choose((uint64_t)p->s->seed, FV_SPLIT_IMAGES, p->name, n, count, chosen)
               : fv_err(FV_ENOMEM, "out of memory for %zu images", n);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (chosen[i])
            rc = fv_store_set_split(p->writer, p->first_image + i, FV_SPLIT_VAL);
    free(chosen);
    p->result->val_images += count;
    p->result->train_images += n - count;
    return rc;
}

/* Called when the current identity's last photo has passed. */
static int end_identity(struct packing *p)
{
    if (p->images == 0) {
        fv_say(p->report, FV_LEVEL_WARN, "%s: no usable photo, identity dropped",
               p->plan.identity[p->identity]->name);
        return 0;
    }
    p->result->identities++;
    if (!is_held_out(p))
        return choose_validation(p);
    p->result->holdout_identities++;
    p->result->holdout_images += p->images;
    return 0;
}

static void begin_identity(struct packing *p, size_t identity)
{
    p->identity = identity;
    p->images = 0;
    p->first_image = p->result->packed;
    p->photos_left = identity < p->plan.identities ? p->plan.identity[identity]->count : 0;
}

static int put_image(struct packing *p, const char *name, const struct fv_pipe_item *item)
{
    if (p->images == 0)
        FV_TRY(fv_store_put_label(p->writer, p->plan.identity[p->identity]->name, is_held_out(p)));
    FV_TRY(fv_store_put(p->writer, item->record, item->n, name,
                        is_held_out(p) ? FV_SPLIT_HOLDOUT : FV_SPLIT_TRAIN));
    p->name[p->images++] = name;
    p->result->packed++;
    return 0;
}

static int take_file(void *ctx, size_t file, const struct fv_pipe_item *item)
{
    struct packing *p = ctx;
    const char *name = p->plan.file[file];
    while (p->photos_left == 0) {
        FV_TRY(end_identity(p));
        begin_identity(p, p->identity + 1);
    }
    p->photos_left--;
    if (item->refused)
        FV_TRY(fv__rejects_add(&p->rejects, name, &item->why));
    else
        FV_TRY(put_image(p, name, item));
    char extra[48] = "";
    if (p->rejects.n)
        snprintf(extra, sizeof extra, "%" PRIu64 " refused", p->rejects.n);
    fv_progress(p->report, &(struct fv_progress){"pack", "img", file + 1, p->plan.files, extra});
    return 0;
}

/* --- one run -------------------------------------------------------------------------------------- */

static int thread_count(const struct fv_pack_settings *s)
{
    return s->threads > 0 ? (int)s->threads : fv_cpu_count();
}

static char *rejects_path(const struct fv_pack_settings *s)
{
    size_t n = strlen(s->output);
    if (s->rejects)
        return strdup(s->rejects);
    if (n > 5 && strcmp(s->output + n - 5, ".lmdb") == 0)
        n -= 5;
    return fv_format("%.*s.rejects.tsv", (int)n, s->output);
}

/* The files behind the run are opened first: an output that cannot be written is not found out after an
 * hour of decoding. */
static int open_outputs(struct packing *p, const struct fv_store_settings *store)
{
    struct fv_encoder *probe;
    int rc = fv_encoder_open(&probe, store);
    if (rc == FV_ENOTFOUND) {
        char text[FV_ERR_TEXT_MAX];
        fv_err_save(text);
        return fv_err(FV_EUSAGE, "--codec: %s", text);
    }
    FV_TRY(rc);
    fv_encoder_close(&probe);
    FV_TRY(fv_store_create(&p->writer, p->s->output, store, p->s->overwrite));
    char *path = rejects_path(p->s);
    rc = path ? fv__rejects_open(&p->rejects, path, p->s->strict, p->report)
              : fv_err(FV_ENOMEM, "out of memory for a path");
    free(path);
    return rc;
}

static int find_photos(struct packing *p, const char *photos, int threads)
{
    FV_TRY(fv__scan_folder(&p->scan, photos));
    p->result->files = p->scan.files + p->scan.refused.n;
    for (size_t i = 0; i < p->scan.refused.n; i++)
        FV_TRY(fv__rejects_add(&p->rejects, p->scan.refused.at[i].name,
                               &p->scan.refused.at[i].reason));
    fv__rejects_ignored(&p->rejects, &p->scan.ignored);
    if (p->scan.ignored.n)
        fv_say(p->report, FV_LEVEL_INFO, "%zu files passed over: hidden, or no photos",
               p->scan.ignored.n);
    size_t most = 1;
    for (size_t i = 0; i < p->scan.identities; i++)
        most = p->scan.identity[i].count > most ? p->scan.identity[i].count : most;
    if (!(p->name = malloc(most * sizeof *p->name)))
        return fv_err(FV_ENOMEM, "out of memory for %zu names", most);
    fv_say(p->report, FV_LEVEL_INFO, "%zu photos of %zu identities, %d threads", p->scan.files,
           p->scan.identities, threads);
    return fv__plan_make(&p->plan, &p->scan, p->s, threads);
}

static int pack_all(struct packing *p, const struct fv_store_settings *store, int threads)
{
    struct fv_pipe pipe = {p->scan.root, p->plan.file, p->plan.files, store, threads, take_file, p};
    begin_identity(p, 0);
    if (p->plan.files)
        FV_TRY(fv__pipe_run(&pipe));
    for (; p->identity < p->plan.identities; begin_identity(p, p->identity + 1))
        FV_TRY(end_identity(p));
    p->result->rejected = p->rejects.n;
    FV_TRY(fv__rejects_commit(&p->rejects));
    if (p->result->packed == 0)
        return fv_err(FV_ENOTFOUND, "'%s' holds no usable photo: nothing was packed", p->scan.root);
    if (p->s->holdout_ids > 0 && p->result->holdout_identities == 0)
        fv_say(p->report, FV_LEVEL_WARN, "no identity is held out: there is only one");
    return fv_store_finish(&p->writer);
}

/* What the finished file says of itself. */
static int read_back(struct packing *p)
{
    struct fv_store *store;
    FV_TRY(fv_store_open(&store, p->s->output));
    const struct fv_store_info *info = fv_store_info(store);
    p->result->digest = info->digest;
    p->result->file_bytes = info->file_bytes;
    p->result->record_bytes = info->record_bytes;
    fv_store_close(&store);
    return 0;
}

int fv_pack_run(const struct fv_pack_settings *s, const char *photos, const struct fv_report *r,
                struct fv_pack_result *out)
{
    uint64_t start_ns = fv_now_ns();
    int threads = thread_count(s);
    struct fv_pack_settings described = *s;
    struct fv_opt_group group = {"", fv_pack_opts, &described};
    char *text = fv_opt_write_text(&group, 1);
    struct fv_store_settings store = {(int)s->size, (int)s->size, s->codec, (int)s->level, text};
    struct packing p = {.s = s, .report = r, .result = out};
    *out = (struct fv_pack_result){0};
    int rc = text ? open_outputs(&p, &store) : fv_err(FV_ENOMEM, "out of memory for the settings");
    if (rc == 0)
        rc = find_photos(&p, photos, threads);
    if (rc == 0)
        rc = pack_all(&p, &store, threads);
    fv_store_abort(&p.writer);
    fv__rejects_discard(&p.rejects);
    fv__plan_free(&p.plan);
    fv__scan_free(&p.scan);
    free(p.name);
    free(text);
    if (rc == 0)
        rc = read_back(&p);
    out->seconds = (double)(fv_now_ns() - start_ns) * 1e-9;
    return rc;
}
