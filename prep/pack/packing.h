/* SPDX-License-Identifier: MIT */
/* The state of one run of fvprep pack, for the files that share it: pack.c leads through the run, pack_resume.c begins
 * it or goes on with an interrupted one, pack_sink.c takes what the pipe hands out.
 */
#ifndef FV_PREP_PACKING_H
#define FV_PREP_PACKING_H

#include "prep/import/listing.h"
#include "prep/pack/duplicates.h"
#include "prep/pack/fingerprint.h"
#include "prep/pack/journal.h"
#include "prep/pack/pack_pipe.h"
#include "prep/pack/pack_plan.h"
#include "prep/pack/rejects.h"
#include "prep/photo/framing.h"
#include "prep/prep.h"
#include "store/store.h"

struct fv_packing {
    const struct fv_pack_settings *s;
    const char *photos;
    const struct fv_report *report;
    struct fv_pack_result *result;
    int threads;
    struct fv_framing framing;
    struct fv_shard shard;
    struct fv_store_settings store;
    struct fv_listing listing;
    struct fv_pack_plan plan;
    struct fv_rejects rejects;
    struct fv_duplicates duplicates;
    struct fv_dict *dict;  /* NULL: none */
    struct fv_store *onto; /* the data set that all this is for; NULL: none */
    struct fv_store_writer *writer;
    uint64_t first_ns, first_bytes; /* when the first photo came, and what had been read by then */

    /* pack_resume.c */
    char *journal_path;
    struct fv_journal journal;
    struct fv_earlier earlier; /* the journal of the run that is gone on with */
    uint64_t resumed;          /* images that it left; 0: begun anew */

    /* pack_sink.c: the identity whose photos are passing */
    size_t identity, photos_left;
    size_t images, given_train;
    size_t dropped; /* identities before it of which nothing was packed */
    /* those of its images that the rule may validate with */
    const char **open_name;
    uint64_t *open_image;
    size_t open;
};

int fv__sink_begin(struct fv_packing *p);
/* What became of the next photo: its record goes to the writer, its refusal to the list. */
int fv__sink_take(struct fv_packing *p, size_t photo, const struct fv_pipe_item *item);
int fv__sink_end(struct fv_packing *p);

/* The writer, with what an interrupted run of the same settings left, or empty. */
int fv__resume_open(struct fv_packing *p);
/* The plan; what was left stays only where the photos are the same, and the journal is begun. */
int fv__resume_plan(struct fv_packing *p);
/* Passes what was left through the sink; *photos becomes the number of the first photo behind it. */
int fv__resume_replay(struct fv_packing *p, size_t *photos);
/* After everything: rc, with a sentence that says how to go on where something was left. Removes the journal where
 * nothing is. */
int fv__resume_end(struct fv_packing *p, int rc);

#endif
