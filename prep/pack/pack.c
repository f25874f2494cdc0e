/* SPDX-License-Identifier: MIT */
/* fvprep pack: list, plan, then one pass of the pipe, whose photos go through pack_sink.c to the only writer. */
#include "prep/pack/pack.h"

#include "common/clock.h"
#include "common/cpu.h"
#include "common/err.h"
#include "common/fs.h"
#include "prep/combine/known.h"
#include "prep/import/importer.h"
#include "prep/pack/pack_dict.h"
#include "prep/pack/pack_opts.h"
#include "prep/pack/packing.h"
#include "store/recode.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void tell_progress(struct fv_packing *p, size_t done)
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
    struct fv_packing *p = ctx;
    fv__journal_note(&p->journal, at, item);
    FV_TRY(fv__sink_take(p, at, item));
    tell_progress(p, at + 1);
    return 0;
}

/* "faces.lmdb" and "rejects.tsv" make "faces.rejects.tsv"; NULL when out of memory. */
static char *beside(const char *output, const char *suffix)
{
    size_t n = strlen(output);
    if (n > 5 && strcmp(output + n - 5, ".lmdb") == 0)
        n -= 5;
    return fv_format("%.*s.%s", (int)n, output, suffix);
}

/* Whether the list of refused files would be written, under its name or that of its part, to what the run itself
 * needs. */
static int check_rejects(const struct fv_packing *p, const char *rejects, const char *duplicates)
{
    const struct {
        const char *path, *what;
    } taken[] = {{p->s->output, "the data set is written"},
                 {p->journal_path, "the run keeps its journal"},
                 {duplicates, "the list of duplicates is written"},
                 {p->photos, "the photos are listed"},
                 {p->s->boxes, "the boxes are"},
                 {p->s->landmarks, "the landmarks are"}};
    static const char *const suffix[] = {"", ".part"};
    for (size_t i = 0; i < 4 * sizeof taken / sizeof *taken; i++) {
        const char *path = taken[i / 4].path;
        if (!path)
            continue;
        char *ours = fv_format("%s%s", rejects, suffix[i % 2]);
        char *other = fv_format("%s%s", path, suffix[i / 2 % 2]);
        const int clash = ours && other ? fv_same_place(ours, other) : -1;
        free(ours);
        free(other);
        if (clash < 0)
            return fv_err(FV_ENOMEM, "out of memory for a path");
        if (clash)
            return fv_err(FV_EUSAGE, "--rejects: '%s' is where %s: choose another name", rejects,
                          taken[i / 4].what);
    }
    return 0;
}

static int open_lists(struct fv_packing *p, const char *rejects, const char *duplicates)
{
    if (!rejects || !duplicates)
        return fv_err(FV_ENOMEM, "out of memory for a path");
    FV_TRY(check_rejects(p, rejects, duplicates));
    FV_TRY(fv__rejects_open(&p->rejects, rejects, p->report));
    return fv__duplicates_open(&p->duplicates, duplicates, p->report);
}

/* The files behind the run are opened first: an output that cannot be written is not found out after an
 * hour of decoding. */
static int open_outputs(struct fv_packing *p)
{
    struct fv_encoder *probe;
    FV_TRY(fv__shard_parse(&p->shard, p->s->shard));
    int rc = fv_encoder_open(&probe, &p->store);
    if (rc == FV_ENOTFOUND || (rc == FV_EINVAL && p->s->quality)) {
        char text[FV_ERR_TEXT_MAX];
        fv_err_save(text);
        return fv_err(FV_EUSAGE, "--%s: %s", rc == FV_EINVAL ? "quality" : "codec", text);
    }
    FV_TRY(rc);
    fv_encoder_close(&probe);
    FV_TRY(fv__resume_open(p));
    char *rejects = p->s->rejects ? strdup(p->s->rejects) : beside(p->s->output, "rejects.tsv");
    char *duplicates = beside(p->s->output, "duplicates.tsv");
    rc = open_lists(p, rejects, duplicates);
    free(rejects);
    free(duplicates);
    return rc;
}

static int leave_out_known(struct fv_packing *p)
{
    FV_TRY(fv__known_settle(&p->listing, p->onto, &p->result->known));
    FV_TRY(fv__known_pictures(&p->duplicates, p->onto));
    if (p->result->known)
        fv_say(p->report, FV_LEVEL_INFO, "%" PRIu64 " photos are in the data set already",
               p->result->known);
    return 0;
}

/* Photos of which nothing is known would all be refused, one by one. */
static int check_faces(const struct fv_packing *p)
{
    const enum fv_frame_by by = p->framing.by;
    int known = by == FV_FRAME_PHOTO || p->listing.photos == 0;
    for (size_t i = 0; !known && i < p->listing.faces; i++)
        known = by == FV_FRAME_BOX ? p->listing.face[i].has_box : p->listing.face[i].has_points;
    if (known)
        return 0;
    return by == FV_FRAME_BOX
               ? fv_err(FV_EUSAGE, "--frame box: no photo comes with a box: --boxes gives a list")
               : fv_err(FV_EUSAGE, "--frame landmarks: no photo comes with landmarks: --landmarks "
                                   "gives a list");
}

static int find_photos(struct fv_packing *p)
{
    const struct fv_import_settings import = fv__import_settings_of(p->s);
    FV_TRY(fv__import(&p->listing, p->photos, &import, p->report));
    FV_TRY(check_faces(p));
    p->result->layout = p->listing.importer->name;
    p->result->ignored = p->listing.ignored.n;
    if (p->onto)
        FV_TRY(leave_out_known(p));
    for (size_t i = 0; i < p->listing.refused.n; i++)
        FV_TRY(fv__rejects_add(&p->rejects, p->listing.refused.at[i].name,
                               &p->listing.refused.at[i].reason));
    FV_TRY(fv__rejects_ignored(&p->rejects, &p->listing.ignored));
    if (p->listing.ignored.n)
        fv_say(p->report, FV_LEVEL_INFO, "%zu %s passed over: hidden, or no photos",
               p->listing.ignored.n, p->listing.ignored.n == 1 ? "file" : "files");
    fv_say(p->report, FV_LEVEL_INFO, "%zu photos of %zu identities (layout %s), %d threads",
           p->listing.photos, p->listing.identities, p->listing.importer->name, p->threads);
    FV_TRY(fv__resume_plan(p));
    p->result->files = p->plan.photos + p->listing.refused.n;
    if (p->s->shard)
        fv_say(p->report, FV_LEVEL_INFO, "shard %s: %zu photos of %zu identities", p->s->shard,
               p->plan.photos, p->plan.identities);
    return 0;
}

/* What the list says, in short; then it gets its name. */
static int finish_rejects(struct fv_packing *p)
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

static int finish_duplicates(struct fv_packing *p)
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
static int check_content(const struct fv_packing *p)
{
    if (p->s->strict && p->rejects.n)
        return fv_err(FV_ECORRUPT, "%s; with %" PRIu64 " refused files --strict packs nothing",
                      p->rejects.first, p->rejects.n);
    if (p->result->packed == 0)
        return fv_err(FV_ENOTFOUND, "'%s' holds no usable photo%s%s: nothing was packed",
                      p->listing.root,
                      p->s->shard ? " in shard "
                      : p->onto   ? " that the data set lacks"
                                  : "",
                      p->s->shard ? p->s->shard : "");
    if (p->s->holdout_ids > 0 && p->result->holdout_identities == 0 && !p->s->shard && !p->onto)
        fv_say(p->report, FV_LEVEL_WARN, "no identity is held out: at most one is left to choose");
    return 0;
}

/* What the source itself compares goes beside the data set. */
static int write_pairs(struct fv_packing *p)
{
    struct fv_file file;
    if (!p->listing.importer->write_pairs)
        return 0;
    char *path = beside(p->s->output, "pairs.txt");
    int rc =
        path ? fv_file_create_part(&file, path) : fv_err(FV_ENOMEM, "out of memory for a path");
    if (rc == 0) {
        p->listing.importer->write_pairs(&p->listing, file.f);
        rc = fv_file_commit(&file);
    }
    if (rc == 0)
        fv_say(p->report, FV_LEVEL_INFO, "its pairs: %s", path);
    free(path);
    return rc;
}

/* That of an interrupted run or of the data set that the images are for, or one trained now: on the photos of all
 * shards, so that each gets the same one. */
static int get_dict(struct fv_packing *p, const struct fv_pipe *pipe)
{
    struct fv_pipe whole = *pipe;
    if (p->onto) {
        FV_TRY(fv__recode_dict(&p->dict, p->onto, p->store.level));
        return p->resumed ? 0 : fv_store_set_dict(p->writer, p->dict);
    }
    whole.photo = p->plan.whole;
    whole.photos = p->plan.whole_photos;
    int wanted = fv__pack_wants_dict(p->s, whole.photos);
    if (wanted <= 0)
        return wanted;
    if (p->resumed) {
        size_t n;
        const void *bytes = fv_store_writer_dict(p->writer, &n);
        return bytes ? fv_dict_open(&p->dict, bytes, n, p->store.level) : 0;
    }
    FV_TRY(fv__pack_train_dict(&p->dict, &whole));
    if (!p->dict)
        fv_say(p->report, FV_LEVEL_INFO, "no dictionary: the photos are too few for one");
    return fv_store_set_dict(p->writer, p->dict);
}

static int pack_photos(struct fv_packing *p)
{
    struct fv_pipe pipe = {.listing = &p->listing,
                           .photo = p->plan.photo,
                           .photos = p->plan.photos,
                           .framing = &p->framing,
                           .store = &p->store,
                           .threads = p->threads,
                           .sink = take_photo,
                           .ctx = p};
    FV_TRY(get_dict(p, &pipe));
    p->store.dict = p->dict;
    FV_TRY(fv__sink_begin(p));
    FV_TRY(fv__resume_replay(p, &pipe.first));
    if (pipe.first < pipe.photos)
        FV_TRY(fv__pipe_run(&pipe));
    return fv__sink_end(p);
}

static int finish(struct fv_packing *p)
{
    FV_TRY(finish_rejects(p));
    int rc = check_content(p);
    if (rc < 0) {
        fv_store_discard(&p->writer);
        return rc;
    }
    FV_TRY(finish_duplicates(p));
    FV_TRY(write_pairs(p));
    return fv_store_finish(&p->writer);
}

/* What the finished file says of itself. */
static int read_back(struct fv_packing *p)
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

static void close_all(struct fv_packing *p)
{
    fv_store_abort(&p->writer);
    fv_dict_close(&p->dict);
    fv__rejects_close(&p->rejects);
    fv__duplicates_close(&p->duplicates);
    fv__plan_free(&p->plan);
    fv__listing_free(&p->listing);
    free(p->open_name);
    free(p->open_image);
    free((char *)p->store.packed_with);
}

/* The settings as lines; and, of photos that are for a data set, for which one. NULL when out of memory. */
static char *describe(struct fv_pack_settings *s, const struct fv_store *onto)
{
    struct fv_opt_group group = {"", fv_pack_opts, s};
    char *text = fv_opt_write_text(&group, 1), *longer;
    if (!text || !onto)
        return text;
    longer =
        fv_format("%s" FV_PACK_ONTO_LINE "%016" PRIx64 "\n", text, fv_store_info(onto)->digest);
    free(text);
    return longer;
}

int fv__pack_onto(struct fv_store *onto, const struct fv_pack_settings *s, const char *photos,
                  const struct fv_report *r, struct fv_pack_result *out)
{
    uint64_t start_ns = fv_now_ns();
    struct fv_pack_settings described = *s;
    struct fv_packing p = {.s = s, .photos = photos, .report = r, .result = out, .onto = onto};
    *out = (struct fv_pack_result){0};
    FV_TRY(fv__framing_of(&described, &p.framing));
    p.threads = s->threads > 0 ? (int)s->threads : fv_cpu_count();
    p.store = (struct fv_store_settings){.height = (int)s->size,
                                         .width = (int)s->size,
                                         .codec = s->codec,
                                         .quality = (int)s->quality,
                                         .level = (int)s->level,
                                         .packed_with = describe(&described, onto)};
    int rc = p.store.packed_with ? open_outputs(&p)
                                 : fv_err(FV_ENOMEM, "out of memory for the settings");
    if (rc == 0)
        rc = find_photos(&p);
    if (rc == 0)
        rc = pack_photos(&p);
    if (rc == 0)
        rc = finish(&p);
    close_all(&p);
    rc = fv__resume_end(&p, rc);
    if (rc == 0)
        rc = read_back(&p);
    out->resumed = p.resumed;
    out->seconds = (double)(fv_now_ns() - start_ns) * 1e-9;
    return rc;
}

int fv_pack_run(const struct fv_pack_settings *s, const char *photos, const struct fv_report *r,
                struct fv_pack_result *out)
{
    return fv__pack_onto(NULL, s, photos, r, out);
}
