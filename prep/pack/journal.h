/* SPDX-License-Identifier: MIT */
/* How far a run of fvprep pack has come, beside the partial data set: with both, the same command goes on after
 * whatever ended it, and decodes nothing of what is there.
 *
 * The partial data set keeps images, this file what became of the photos before them. It is text, a line each, fields
 * between tabs:
 *
 *   fvprep-pack-journal 1
 *   setting   <name = value>                   as in the data set, and the program's version
 *   photos    <photos> <identities> <names> <stamps>   what was to be packed: prep/pack/fingerprint.h
 *   held      <identity>                       is held out
 *   begin
 *   refused   <photo> <reason> <detail>        photos count in packing order from 0, as identities do by name
 *   misnamed  <photo> <format>
 *   own       <photo> <0|1>                    from here on images are the photos' own files, or are not
 *   images    <images>                         before each commit: how many it makes durable
 *
 * A photo of which nothing is said was packed. A line is written before the commit that relies on it; what a killed
 * run wrote after its last commit is not used. Nothing in the file is believed: what makes no sense ends the reading.
 */
#ifndef FV_PREP_JOURNAL_H
#define FV_PREP_JOURNAL_H

#include "prep/pack/pack_pipe.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What two runs must have in common. */
struct fv_journal_head {
    const char *settings; /* "name = value" lines */
    uint64_t photos, identities, names, stamps;
};

/* --- writing -------------------------------------------------------------------------------------- */

struct fv_journal {
    char *path, *tmp;
    FILE *f;
    int own, error;
    uint64_t images; /* told last */
};

/* The journal takes its place with the first call of fv__journal_images: an earlier one stays
 * until then. held: a byte for each identity of the listing. */
int fv__journal_create(struct fv_journal *j, const char *path, const struct fv_journal_head *head,
                       const uint8_t *held);
void fv__journal_note(struct fv_journal *j, size_t photo, const struct fv_pipe_item *item);
/* Before a commit. FV_EFULL, FV_EIO: nothing may be committed. */
int fv__journal_images(struct fv_journal *j, uint64_t images);
void fv__journal_close(struct fv_journal *j); /* accepts a zeroed one */

/* --- reading -------------------------------------------------------------------------------------- */

struct fv_earlier {
    char *text;
    const char **setting;
    size_t settings;
    uint64_t photos, identities, names, stamps;
    uint64_t *held; /* identities */
    size_t helds;
    struct fv_journal_line *line; /* after "begin" */
    size_t lines, next;
    int own;
};

/* FV_ENOTFOUND when there is none that can be used, with a sentence; FV_EIO, FV_ENOMEM. */
int fv__earlier_read(struct fv_earlier *e, const char *path);
void fv__earlier_free(struct fv_earlier *e); /* accepts a zeroed one */
/* 1, or 0 with a sentence on what is different now. */
int fv__earlier_has_settings(const struct fv_earlier *e, const char *settings);
int fv__earlier_has_photos(const struct fv_earlier *e, const struct fv_journal_head *now);
/* Who is held out: a byte for each of n identities. */
void fv__earlier_held(const struct fv_earlier *e, uint8_t *held, size_t n);
/* How many photos gave the first `images` images; 0 when no commit of so many was told. */
uint64_t fv__earlier_photos_of(const struct fv_earlier *e, uint64_t images);
/* What became of the next photo, called for each from 0 on: *item without its record. */
void fv__earlier_fate(struct fv_earlier *e, size_t photo, struct fv_pipe_item *item);

#endif
