/* SPDX-License-Identifier: MIT */
/* The options of fvprep pack: those that describe the data set, then those of one run. */
#include "prep/prep.h"

#define FIELD(f) offsetof(struct fv_pack_settings, f)
enum { REQUIRED_RUN = FV_OPT_REQUIRED | FV_OPT_TRANSIENT, RUN = FV_OPT_TRANSIENT };

/* clang-format off */
const struct fv_opt fv_pack_opts[] = {
    {"output", 'o', FV_OPT_STRING, REQUIRED_RUN, FIELD(output), "FILE",
     "the data set to write, by custom *.lmdb", 0, 0, NULL},
    {"size", 's', FV_OPT_INT, 0, FIELD(size), "PX",
     "pixels a side of the square images", 8, 4096, NULL},
    {"holdout-ids", 0, FV_OPT_SHARE, 0, FIELD(holdout_ids), "SHARE",
     "share of the identities kept out of training, to verify on people never seen", 0, 0, NULL},
    {"val", 0, FV_OPT_SHARE, 0, FIELD(val), "SHARE",
     "share of each remaining identity's images kept for validation", 0, 0, NULL},
    {"seed", 0, FV_OPT_INT, 0, FIELD(seed), "N",
     "chooses who is held out and which images validate", 0, 0, NULL},
    {"codec", 0, FV_OPT_STRING, 0, FIELD(codec), "NAME",
     "how images are stored", 0, 0, NULL},
    {"level", 0, FV_OPT_INT, 0, FIELD(level), "N",
     "zstd's level: a higher one makes a smaller file and takes longer to pack", 1, 19, NULL},
    {"layout", 0, FV_OPT_STRING, RUN, FIELD(layout), "NAME",
     "how the photos lie; auto: as they look", 0, 0, NULL},
    {"root", 0, FV_OPT_STRING, RUN, FIELD(root), "FOLDER",
     "where the paths in a list begin; unset: the list's folder", 0, 0, NULL},
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
    *s = (struct fv_pack_settings){
        .size = 112, .codec = "pixels", .level = 6, .seed = 1, .layout = "auto", .min_images = 1};
}
