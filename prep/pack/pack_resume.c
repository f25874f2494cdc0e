/* SPDX-License-Identifier: MIT */
/* An interrupted run is gone on with when its journal fits: the same program, settings and photos. Anything else is
 * said in a sentence and begun anew: half of one data set and half of another would be worse than an hour lost.
 */
#include "prep/pack/packing.h"

#include "common/err.h"
#include "common/fs.h"
#include "store/writer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int part_exists(const struct fv_packing *p)
{
    char *part = fv_format("%s.part", p->s->output);
    int there = part && access(part, F_OK) == 0;
    free(part);
    return there;
}

static void set_grain(const struct fv_packing *p)
{
    if (p->s->commit_bytes)
        fv__store_set_grain(p->writer, (size_t)p->s->commit_bytes / 4, (size_t)p->s->commit_bytes);
}

/* After a sentence on why an earlier run is not gone on with. */
static int begin_anew(struct fv_packing *p)
{
    if (part_exists(p))
        fv_say(p->report, FV_LEVEL_WARN, "what an interrupted run left is begun anew: %s",
               fv_err_text());
    fv__earlier_free(&p->earlier);
    p->resumed = 0;
    FV_TRY(fv_store_create(&p->writer, p->s->output, &p->store, p->s->overwrite));
    set_grain(p);
    return 0;
}

/* 1, 0 with a sentence when there is nothing to go on with, or a negative code. */
static int open_earlier(struct fv_packing *p)
{
    int rc = fv__earlier_read(&p->earlier, p->journal_path);
    if (rc == FV_ENOTFOUND && access(p->journal_path, F_OK) != 0)
        fv_err(rc, "it has no journal, so it had kept nothing yet");
    if (rc < 0)
        return rc == FV_ENOMEM ? rc : 0;
    if (!fv__earlier_has_settings(&p->earlier, p->store.packed_with))
        return 0;
    rc = fv_store_resume(&p->writer, p->s->output, &p->store, p->s->overwrite, &p->resumed);
    if (rc < 0)
        return rc == FV_ENOTFOUND || rc == FV_ECORRUPT ? 0 : rc;
    set_grain(p);
    if (fv__earlier_photos_of(&p->earlier, p->resumed))
        return 1;
    fv_store_abort(&p->writer);
    fv_err(FV_ENOTFOUND, "%s: does not fit what was packed", p->journal_path);
    return 0;
}

int fv__resume_open(struct fv_packing *p)
{
    p->journal_path = fv_format("%s.part.journal", p->s->output);
    if (!p->journal_path)
        return fv_err(FV_ENOMEM, "out of memory for a path");
    int rc = open_earlier(p);
    return rc == 0 ? begin_anew(p) : rc < 0 ? rc : 0;
}

static int make_plan(struct fv_packing *p, const uint8_t *held, struct fv_journal_head *head)
{
    fv__plan_free(&p->plan);
    FV_TRY(fv__plan_make(&p->plan, &p->listing, &p->shard, held));
    const struct fv_fingerprint f = fv__fingerprint(&p->listing, &p->plan);
    *head = (struct fv_journal_head){p->store.packed_with, p->plan.photos, p->listing.identities,
                                     f.names, f.stamps};
    return 0;
}

static int tell_journal(void *ctx, uint64_t images)
{
    return fv__journal_images(ctx, images);
}

static int plan(struct fv_packing *p, uint8_t *held)
{
    struct fv_journal_head head;
    if (p->resumed) {
        fv__earlier_held(&p->earlier, held, p->listing.identities);
        FV_TRY(make_plan(p, held, &head));
        if (!fv__earlier_has_photos(&p->earlier, &head)) {
            fv_store_abort(&p->writer);
            FV_TRY(begin_anew(p));
        }
    }
    if (!p->resumed) {
        FV_TRY(fv__plan_hold_out(&p->listing, p->s, &p->framing, p->threads, held));
        FV_TRY(make_plan(p, held, &head));
    }
    FV_TRY(fv__journal_create(&p->journal, p->journal_path, &head, held));
    fv_store_on_commit(p->writer, tell_journal, &p->journal);
    return 0;
}

int fv__resume_plan(struct fv_packing *p)
{
    uint8_t *held = calloc(p->listing.identities + 1, 1);
    int rc = held ? plan(p, held)
                  : fv_err(FV_ENOMEM, "out of memory for %zu identities", p->listing.identities);
    free(held);
    return rc;
}

/* What was said of these photos was said by the earlier run. */
int fv__resume_replay(struct fv_packing *p, size_t *photos)
{
    struct fv_pipe_item item;
    *photos = p->resumed ? (size_t)fv__earlier_photos_of(&p->earlier, p->resumed) : 0;
    if (*photos == 0)
        return 0;
    fv_say(p->report, FV_LEVEL_INFO,
           "going on at photo %zu of %zu: %" PRIu64 " images are there from an interrupted run",
           *photos + 1, p->plan.photos, p->resumed);
    const struct fv_report *report = p->report;
    p->report = p->rejects.report = p->duplicates.report = NULL;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < *photos; i++) {
        fv__earlier_fate(&p->earlier, i, &item);
        fv__journal_note(&p->journal, i, &item);
        rc = fv__sink_take(p, i, &item);
    }
    p->report = p->rejects.report = p->duplicates.report = report;
    FV_TRY(rc);
    return fv__journal_images(&p->journal, p->resumed);
}

int fv__resume_end(struct fv_packing *p, int rc)
{
    char text[FV_ERR_TEXT_MAX];
    uint64_t images = p->journal.images > p->resumed ? p->journal.images : p->resumed;
    int left = rc < 0 && part_exists(p);
    if (!left && p->journal_path)
        unlink(p->journal_path);
    if (left && images) {
        fv_err_save(text);
        fv_err(rc, "%s; %" PRIu64 " images are kept: %sthe same command goes on from there", text,
               images, rc == FV_EFULL ? "make room, and " : "");
    }
    fv__journal_close(&p->journal);
    fv__earlier_free(&p->earlier);
    free(p->journal_path);
    p->journal_path = NULL;
    return rc;
}
