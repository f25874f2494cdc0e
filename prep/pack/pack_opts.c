/* SPDX-License-Identifier: MIT */
/* The options of fvprep pack: those that describe the data set, then those of one run. */
#include "prep/pack/pack_opts.h"

#include "common/err.h"
#include "prep/pack/pack_dict.h"
#include "prep/photo/align.h"
#include "prep/prep.h"

#include <string.h>

#define FIELD(f) offsetof(struct fv_pack_settings, f)
enum { REQUIRED_RUN = FV_OPT_REQUIRED | FV_OPT_TRANSIENT, RUN = FV_OPT_TRANSIENT };

static const char *const frames[] = {[FV_FRAME_PHOTO] = "photo",
                                     [FV_FRAME_BOX] = "box",
                                     [FV_FRAME_LANDMARKS] = "landmarks",
                                     "auto",
                                     NULL};
enum { FRAME_AUTO = FV_FRAME_LANDMARKS + 1 };
static const char *const fits[] = {
    [FV_FIT_COVER] = "cover", [FV_FIT_CONTAIN] = "contain", [FV_FIT_STRETCH] = "stretch", NULL};

/* clang-format off */
const struct fv_opt fv_pack_opts[] = {
    {"output", 'o', FV_OPT_STRING, REQUIRED_RUN, FIELD(output), "FILE",
     "the data set to write, by custom *.lmdb", 0, 0, NULL},
    {"size", 's', FV_OPT_INT, 0, FIELD(size), "PX",
     "pixels a side of the square images", 8, 4096, NULL},
    {"frame", 0, FV_OPT_CHOICE, 0, FIELD(frame), "BY",
     "what of a photo is packed: photo: its middle; box: its face's box; landmarks: its face, aligned as "
     "for ArcFace; auto: by the list given with --landmarks or --boxes, else photo", 0, 0, frames},
    {"fit", 0, FV_OPT_CHOICE, 0, FIELD(fit), "HOW",
     "photo: cover: its largest square; contain: all of it, on white; stretch: all of it, distorted",
     0, 0, fits},
    {"crop", 0, FV_OPT_REAL, 0, FIELD(crop), "SHARE",
     "photo: share of that square's side that is kept, around its centre", 0.05, 1, NULL},
    {"margin", 0, FV_OPT_REAL, 0, FIELD(margin), "SHARE",
     "box: lengthens its longer side, which becomes the square's, by this share of it", -0.5, 4, NULL},
    {"holdout-ids", 0, FV_OPT_SHARE, 0, FIELD(holdout_ids), "SHARE",
     "share of the identities kept out of training, to verify on people never seen", 0, 0, NULL},
    {"val", 0, FV_OPT_SHARE, 0, FIELD(val), "SHARE",
     "share of each remaining identity's images kept for validation", 0, 0, NULL},
    {"seed", 0, FV_OPT_INT, 0, FIELD(seed), "N",
     "chooses who is held out and which images validate", 0, 0, NULL},
    {"codec", 0, FV_OPT_STRING, 0, FIELD(codec), "NAME",
     "how images are stored: pixels: lossless, fastest to read; jpeg: smallest", 0, 0, NULL},
    {"quality", 0, FV_OPT_INT, 0, FIELD(quality), "N",
     "jpeg: from 1 to 100; 0: the codec's own, 95", 0, 100, NULL},
    {"level", 0, FV_OPT_INT, 0, FIELD(level), "N",
     "zstd's level: a higher one makes a smaller file and takes longer to pack", 1, 19, NULL},
    {"dict", 0, FV_OPT_CHOICE, 0, FIELD(dict), "WHEN",
     "zstd's dictionary, trained on some of the photos; auto: for jpeg", 0, 0, fv__dict_choices},
    {"shard", 0, FV_OPT_STRING, 0, FIELD(shard), "I/N",
     "pack only every N-th identity, from the I-th on: for several machines, see merge", 0, 0, NULL},
    {"layout", 0, FV_OPT_STRING, RUN, FIELD(layout), "NAME",
     "how the photos lie; auto: as they look", 0, 0, NULL},
    {"root", 0, FV_OPT_STRING, RUN, FIELD(root), "FOLDER",
     "where the paths in a list begin; unset: the list's folder", 0, 0, NULL},
    {"boxes", 0, FV_OPT_STRING, RUN, FIELD(boxes), "FILE",
     "list of the faces' boxes: path, left, top, width, height", 0, 0, NULL},
    {"landmarks", 0, FV_OPT_STRING, RUN, FIELD(landmarks), "FILE",
     "list of the faces' landmarks: path, x and y of left eye, right eye, nose, left and right mouth corner",
     0, 0, NULL},
    {"rejects", 0, FV_OPT_STRING, RUN, FIELD(rejects), "FILE",
     "list of refused files; unset: *.rejects.tsv beside the data set", 0, 0, NULL},
    {"min-images", 0, FV_OPT_INT, RUN, FIELD(min_images), "N",
     "identities with fewer images are listed among the refused files", 0, 1e9, NULL},
    {"strict", 0, FV_OPT_FLAG, RUN, FIELD(strict), NULL,
     "a refused file is an error: all are listed, and no data set is written", 0, 0, NULL},
    {"overwrite", 0, FV_OPT_FLAG, RUN, FIELD(overwrite), NULL,
     "replace an existing data set", 0, 0, NULL},
    {"threads", 'j', FV_OPT_INT, RUN, FIELD(threads), "N",
     "threads that decode and encode; 0: one per processor", 0, 256, NULL},
    {.name = NULL},
};
/* clang-format on */

void fv_pack_defaults(struct fv_pack_settings *s)
{
    *s = (struct fv_pack_settings){.size = 112,
                                   .frame = frames[FRAME_AUTO],
                                   .fit = fits[FV_FIT_COVER],
                                   .crop = 1,
                                   .margin = 0.3,
                                   .codec = "pixels",
                                   .level = 6,
                                   .dict = fv__dict_choices[0],
                                   .seed = 1,
                                   .layout = "auto",
                                   .min_images = 1};
}

/* The place of `name`; -1 when it is none of them. */
static int choice_of(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

int fv__framing_of(struct fv_pack_settings *s, struct fv_framing *out)
{
    double point[5][2];
    if (strcmp(s->frame, frames[FRAME_AUTO]) == 0)
        s->frame = frames[s->landmarks ? FV_FRAME_LANDMARKS
                          : s->boxes   ? FV_FRAME_BOX
                                       : FV_FRAME_PHOTO];
    int by = choice_of(frames, s->frame), fit = choice_of(fits, s->fit), size = (int)s->size;
    if (by < 0 || fit < 0)
        return fv_err(FV_EUSAGE, "--frame %s --fit %s: no such framing", s->frame, s->fit);
    if (by != FV_FRAME_PHOTO && (fit != FV_FIT_COVER || s->crop != 1))
        return fv_err(FV_EUSAGE,
                      "--fit and --crop are for whole photos: leave them out with "
                      "--frame %s",
                      s->frame);
    if (by == FV_FRAME_LANDMARKS && !fv__align_template(size, point))
        return fv_err(FV_EUSAGE,
                      "--frame landmarks: ArcFace's template is for a --size that is a "
                      "multiple of 112 or 128, not for %d",
                      size);
    *out = (struct fv_framing){size, (enum fv_frame_by)by, (enum fv_fit)fit, s->crop, s->margin};
    return 0;
}

struct fv_import_settings fv__import_settings_of(const struct fv_pack_settings *s)
{
    return (struct fv_import_settings){
        .layout = s->layout, .root = s->root, .boxes = s->boxes, .landmarks = s->landmarks};
}
