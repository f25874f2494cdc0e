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
#include "prep/duplicates.h"
#include "prep/importer.h"
#include "prep/pack_dict.h"
#include "prep/pack_opts.h"
#include "prep/pack_pipe.h"
#include "prep/pack_plan.h"
#include "prep/rejects.h"
#include "prep/split.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DROPPED_ON_CONSOLE = 20 };

struct packing {
    const struct fv_pack_settings *s;
    const struct fv_report *report;
    struct fv_pack_result *result;
    struct fv_framing framing;
    struct fv_listing listing;
    struct fv_pack_plan plan;
    struct fv_rejects rejects;
    struct fv_duplicates duplicates;
    uint64_t first_ns, first_bytes; /* when the first photo came, and what had been read by then */
    struct fv_dict *dict;           /* NULL: none */
    struct fv_store_writer *writer;
    /* the identity whose photos are passing */
    size_t identity, photos_left;
    size_t images, given_train;
    size_t dropped; /* identities before it of which nothing was packed */
    /* those of its images that the rule may validate with */
    const char **open_name;
    uint64_t *open_image;
    size_t open;
};

static int is_held_out(const struct packing *p)
{
    return p->identity >= p->plan.training;
}

/* --- the sink ------------------------------------------------------------------------------------- */

/* The rule's share of the images whose split nobody gave. */
static int choose_validation(struct packing *p)
{
    size_t n = p->open, count = fv__split_count(p->s->val, n);
    if (count == n && n > 0 && p->given_train == 0)
        count = n - 1; /* a training identity keeps an image to train on */
    uint8_t *chosen = calloc(n ? n : 1, 1);
    int rc = chosen ? fv__split_choose((uint64_t)p->s->seed, FV_SPLIT_IMAGES, p->open_name, n,
                                       count, chosen)
                    : fv_err(FV_ENOMEM, "out of memory for %zu images", n);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (chosen[i])
            rc = fv_store_set_split(p->writer, p->open_image[i], FV_SPLIT_VAL);
    free(chosen);
    p->result->val_images += count;
    p->result->train_images -= count;
    return rc;
}

/* An identity of which nothing was packed has no label. */
static void tell_dropped(struct packing *p)
{
    if (p->dropped < DROPPED_ON_CONSOLE)
        fv_say(p->report, FV_LEVEL_WARN, "%s: no usable photo, identity dropped",
               p->plan.identity[p->identity]->name);
    else if (p->dropped == DROPPED_ON_CONSOLE)
        fv_say(p->report, FV_LEVEL_WARN, "further identities without a usable photo are not named");
    p->dropped++;
}

/* Called when the current identity's last photo has passed. */
static int end_identity(struct packing *p)
{
    if (p->images < (size_t)p->s->min_images) {
        FV_TRY(fv__rejects_few(&p->rejects, p->plan.identity[p->identity]->name, p->images));
        p->result->few++;
    }
    if (p->images == 0) {
        tell_dropped(p);
        return 0;
    }
    p->result->identities++;
    if (!is_held_out(p))
        return choose_validation(p);
    p->result->holdout_identities++;
    return 0;
}

static void begin_identity(struct packing *p, size_t identity)
{
    p->identity = identity;
    p->images = p->given_train = p->open = 0;
    p->photos_left = identity < p->plan.identities ? p->plan.identity[identity]->count : 0;
}

static int put_image(struct packing *p, const struct fv_listed_photo *photo,
                     const struct fv_pipe_item *item)
{
    enum fv_split split = is_held_out(p)                 ? FV_SPLIT_HOLDOUT
                          : photo->split == FV_SPLIT_VAL ? FV_SPLIT_VAL
                                                         : FV_SPLIT_TRAIN;
    if (p->images == 0)
        FV_TRY(fv_store_put_label(p->writer, p->plan.identity[p->identity]->name, is_held_out(p)));
    FV_TRY(fv_store_put(p->writer, item->record, item->n, photo->name, split));
    FV_TRY(
        fv__duplicates_add(&p->duplicates, fv_store_content(p->writer, p->result->packed), photo));
    if (photo->split == FV_SPLIT_BY_RULE) {
        p->open_name[p->open] = photo->name;
        p->open_image[p->open++] = p->result->packed;
    }
    p->given_train += photo->split == FV_SPLIT_TRAIN;
    p->images++;
    p->result->kept += (uint64_t)item->kept;
    p->result->packed++;
    *(split == FV_SPLIT_HOLDOUT ? &p->result->holdout_images
      : split == FV_SPLIT_VAL   ? &p->result->val_images
                                : &p->result->train_images) += 1;
    return 0;
}

static int remark_on(struct packing *p, const char *name, const struct fv_format *unlike)
{
    struct fv_refusal why;
    fv__refuse(&why, FV_REMARK_SUFFIX, "%s", unlike->name);
    p->result->misnamed++;
    return fv__rejects_remark(&p->rejects, "packed", name, &why);
}

static void tell_progress(struct packing *p, size_t done)
{
    char extra[80];
    uint64_t now_ns = fv_now_ns();
    if (p->first_ns == 0) {
        p->first_ns = now_ns;
        p->first_bytes = p->result->bytes;
    }
    double mb = (double)(p->result->bytes - p->first_bytes) * 1e-6;
    double seconds = (double)(now_ns - p->first_ns) * 1e-9;
    snprintf(extra, sizeof extra, "%.1f MB/s  %" PRIu64 " refused", seconds > 0 ? mb / seconds : 0,
             p->rejects.n);
    fv_progress(p->report, &(struct fv_progress){"pack", "img", done, p->plan.photos, extra});
}

static int take_photo(void *ctx, size_t at, const struct fv_pipe_item *item)
{
    struct packing *p = ctx;
    const struct fv_listed_photo *photo = p->plan.photo[at];
    while (p->photos_left == 0) {
        FV_TRY(end_identity(p));
        begin_identity(p, p->identity + 1);
    }
    p->photos_left--;
    p->result->bytes += photo->bytes;
    if (item->refused)
        FV_TRY(fv__rejects_add(&p->rejects, photo->name, &item->why));
    else if (p->s->strict && p->rejects.n)
        p->images++; /* nothing will be packed: the rest is looked through */
    else
        FV_TRY(put_image(p, photo, item));
    if (item->unlike)
        FV_TRY(remark_on(p, photo->name, item->unlike));
    tell_progress(p, at + 1);
    return 0;
}

/* --- one run -------------------------------------------------------------------------------------- */

static int thread_count(const struct fv_pack_settings *s)
{
    return s->threads > 0 ? (int)s->threads : fv_cpu_count();
}

/* "faces.lmdb" and "rejects.tsv" make "faces.rejects.tsv"; NULL when out of memory. */
static char *beside(const char *output, const char *suffix)
{
    size_t n = strlen(output);
    if (n > 5 && strcmp(output + n - 5, ".lmdb") == 0)
        n -= 5;
    return fv_format("%.*s.%s", (int)n, output, suffix);
}

/* Whether `path` is `taken`, or the name of `taken` while it is written. */
static int is_taken(const char *path, const char *taken)
{
    size_t n = strlen(taken);
    return strncmp(path, taken, n) == 0 && (path[n] == 0 || strcmp(path + n, ".part") == 0);
}

static int open_lists(struct packing *p, const char *rejects, const char *duplicates)
{
    if (!rejects || !duplicates)
        return fv_err(FV_ENOMEM, "out of memory for a path");
    if (is_taken(rejects, p->s->output) || is_taken(rejects, duplicates))
        return fv_err(FV_EUSAGE, "--rejects: '%s' is where %s is written", rejects,
                      is_taken(rejects, duplicates) ? "the list of duplicates" : "the data set");
    FV_TRY(fv__rejects_open(&p->rejects, rejects, p->report));
    return fv__duplicates_open(&p->duplicates, duplicates, p->report);
}

/* The files behind the run are opened first: an output that cannot be written is not found out after an
 * hour of decoding. */
static int open_outputs(struct packing *p, const struct fv_store_settings *store)
{
    struct fv_encoder *probe;
    struct fv_shard shard;
    FV_TRY(fv__shard_parse(&shard, p->s->shard));
    int rc = fv_encoder_open(&probe, store);
    if (rc == FV_ENOTFOUND || (rc == FV_EINVAL && store->quality)) {
        char text[FV_ERR_TEXT_MAX];
        fv_err_save(text);
        return fv_err(FV_EUSAGE, "--%s: %s", rc == FV_EINVAL ? "quality" : "codec", text);
    }
    FV_TRY(rc);
    fv_encoder_close(&probe);
    FV_TRY(fv_store_create(&p->writer, p->s->output, store, p->s->overwrite));
    char *rejects = p->s->rejects ? strdup(p->s->rejects) : beside(p->s->output, "rejects.tsv");
    char *duplicates = beside(p->s->output, "duplicates.tsv");
    rc = open_lists(p, rejects, duplicates);
    free(rejects);
    free(duplicates);
    return rc;
}

static int find_photos(struct packing *p, const char *photos, int threads)
{
    const struct fv_import_settings import = fv__import_settings_of(p->s);
    FV_TRY(fv__import(&p->listing, photos, &import, p->report));
    p->result->layout = p->listing.importer->name;
    p->result->ignored = p->listing.ignored.n;
    for (size_t i = 0; i < p->listing.refused.n; i++)
        FV_TRY(fv__rejects_add(&p->rejects, p->listing.refused.at[i].name,
                               &p->listing.refused.at[i].reason));
    FV_TRY(fv__rejects_ignored(&p->rejects, &p->listing.ignored));
    if (p->listing.ignored.n)
        fv_say(p->report, FV_LEVEL_INFO, "%zu files passed over: hidden, or no photos",
               p->listing.ignored.n);
    size_t most = 1;
    for (size_t i = 0; i < p->listing.identities; i++)
        most = p->listing.identity[i].count > most ? p->listing.identity[i].count : most;
    p->open_name = malloc(most * sizeof *p->open_name);
    p->open_image = malloc(most * sizeof *p->open_image);
    if (!p->open_name || !p->open_image)
        return fv_err(FV_ENOMEM, "out of memory for %zu names", most);
    fv_say(p->report, FV_LEVEL_INFO, "%zu photos of %zu identities (layout %s), %d threads",
           p->listing.photos, p->listing.identities, p->listing.importer->name, threads);
    FV_TRY(fv__plan_make(&p->plan, &p->listing, p->s, &p->framing, threads));
    p->result->files = p->plan.photos + p->listing.refused.n;
    if (p->s->shard)
        fv_say(p->report, FV_LEVEL_INFO, "shard %s: %zu photos of %zu identities", p->s->shard,
               p->plan.photos, p->plan.identities);
    return 0;
}

/* What the list says, in short; then it gets its name. */
static int finish_rejects(struct packing *p)
{
    struct fv_pack_result *to = p->result;
    _Static_assert((int)FV_PACK_REASONS >= (int)FV_REJECTS, "room for every reason");
    to->rejected = p->rejects.n;
    for (int i = 0; i < FV_REJECTS; i++)
        if (p->rejects.count[i])
            to->reason[to->reasons++] =
                (struct fv_pack_reason){fv__reject_code(i), p->rejects.count[i]};
    if (to->misnamed)
        fv_say(p->report, FV_LEVEL_INFO,
               "%" PRIu64 " photos are of another format than their names say: listed in %s",
               to->misnamed, p->rejects.file.path);
    if (to->few && p->s->min_images > 1)
        fv_say(p->report, FV_LEVEL_INFO,
               "%" PRIu64 " identities have fewer than %" PRId64 " images: listed in %s", to->few,
               p->s->min_images, p->rejects.file.path);
    return fv__rejects_commit(&p->rejects);
}

static int finish_duplicates(struct packing *p)
{
    struct fv_pack_result *to = p->result;
    to->duplicates = p->duplicates.same + p->duplicates.other;
    to->mislabelled = p->duplicates.other;
    if (to->duplicates)
        fv_say(p->report, to->mislabelled ? FV_LEVEL_WARN : FV_LEVEL_INFO,
               "%" PRIu64 " images are copies of earlier ones, %" PRIu64
               " of them under another identity: listed in %s",
               to->duplicates, to->mislabelled, p->duplicates.file.path);
    return fv__duplicates_commit(&p->duplicates);
}

/* What makes the run fail although all photos were looked at: then nothing stays of the data set. */
static int check_content(const struct packing *p)
{
    if (p->s->strict && p->rejects.n)
        return fv_err(FV_ECORRUPT, "%s; with %" PRIu64 " refused files --strict packs nothing",
                      p->rejects.first, p->rejects.n);
    if (p->result->packed == 0)
        return fv_err(FV_ENOTFOUND, "'%s' holds no usable photo%s%s: nothing was packed",
                      p->listing.root, p->s->shard ? " in shard " : "",
                      p->s->shard ? p->s->shard : "");
    if (p->s->holdout_ids > 0 && p->result->holdout_identities == 0 && !p->s->shard)
        fv_say(p->report, FV_LEVEL_WARN, "no identity is held out: at most one is left to choose");
    return 0;
}

/* What the source itself compares goes beside the data set. */
static int write_pairs(struct packing *p)
{
    struct fv_file file;
    if (!p->listing.importer->write_pairs)
        return 0;
    char *path = beside(p->s->output, "pairs.txt");
    int rc = path ? fv_file_create(&file, path) : fv_err(FV_ENOMEM, "out of memory for a path");
    if (rc == 0) {
        p->listing.importer->write_pairs(&p->listing, file.f);
        rc = fv_file_commit(&file);
    }
    if (rc == 0)
        fv_say(p->report, FV_LEVEL_INFO, "its pairs: %s", path);
    free(path);
    return rc;
}

static int make_dict(struct packing *p, const struct fv_pipe *pipe)
{
    int wanted = fv__pack_wants_dict(p->s, pipe->photos);
    if (wanted <= 0)
        return wanted;
    FV_TRY(fv__pack_train_dict(&p->dict, pipe));
    if (!p->dict)
        fv_say(p->report, FV_LEVEL_INFO, "no dictionary: the photos are too few for one");
    return fv_store_set_dict(p->writer, p->dict);
}

static int pack_all(struct packing *p, struct fv_store_settings *store, int threads)
{
    const struct fv_pipe pipe = {.listing = &p->listing,
                                 .photo = p->plan.photo,
                                 .photos = p->plan.photos,
                                 .framing = &p->framing,
                                 .store = store,
                                 .threads = threads,
                                 .sink = take_photo,
                                 .ctx = p};
    FV_TRY(make_dict(p, &pipe));
    store->dict = p->dict;
    begin_identity(p, 0);
    if (p->plan.photos)
        FV_TRY(fv__pipe_run(&pipe));
    for (; p->identity < p->plan.identities; begin_identity(p, p->identity + 1))
        FV_TRY(end_identity(p));
    FV_TRY(finish_rejects(p));
    int rc = check_content(p);
    if (rc < 0) {
        fv_store_discard(&p->writer);
        return rc;
    }
    FV_TRY(finish_duplicates(p));
    FV_TRY(fv_store_finish(&p->writer));
    return write_pairs(p);
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
    p->result->dict_bytes = info->dict_bytes;
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
    struct packing p = {.s = s, .report = r, .result = out};
    *out = (struct fv_pack_result){0};
    FV_TRY(fv__framing_of(&described, &p.framing));
    char *text = fv_opt_write_text(&group, 1);
    struct fv_store_settings store = {.height = (int)s->size,
                                      .width = (int)s->size,
                                      .codec = s->codec,
                                      .quality = (int)s->quality,
                                      .level = (int)s->level,
                                      .packed_with = text};
    int rc = text ? open_outputs(&p, &store) : fv_err(FV_ENOMEM, "out of memory for the settings");
    if (rc == 0)
        rc = find_photos(&p, photos, threads);
    if (rc == 0)
        rc = pack_all(&p, &store, threads);
    fv_store_abort(&p.writer);
    fv_dict_close(&p.dict);
    fv__rejects_close(&p.rejects);
    fv__duplicates_close(&p.duplicates);
    fv__plan_free(&p.plan);
    fv__listing_free(&p.listing);
    free(p.open_name);
    free(p.open_image);
    free(text);
    if (rc == 0)
        rc = read_back(&p);
    out->seconds = (double)(fv_now_ns() - start_ns) * 1e-9;
    return rc;
}
