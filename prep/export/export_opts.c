/* SPDX-License-Identifier: MIT */
/* The options of fvprep export. */
#include "prep/prep.h"

#define FIELD(f) offsetof(struct fv_export_settings, f)

/* clang-format off */
const struct fv_opt fv_export_opts[] = {
    {"output", 'o', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(output), "FOLDER",
     "the folder to write; must not be there, or be empty", 0, 0, NULL},
    {"format", 0, FV_OPT_STRING, 0, FIELD(format), "NAME",
     "folders: image folders; rec: MXNet RecordIO; tar: WebDataset shards", 0, 0, NULL},
    {"image", 0, FV_OPT_STRING, 0, FIELD(image), "KIND",
     "png or jpeg; auto: JPEG as it is stored in sets of codec jpeg, PNG of others", 0, 0, NULL},
    {"quality", 0, FV_OPT_INT, 0, FIELD(quality), "N",
     "of JPEGs that are made here; 0: that of codec jpeg", 0, 100, NULL},
    {"split", 0, FV_OPT_STRING, 0, FIELD(split), "NAME",
     "all, or only train, val or holdout", 0, 0, NULL},
    {"flat", 0, FV_OPT_FLAG, 0, FIELD(flat), NULL,
     "folders: one tree instead of one a split", 0, 0, NULL},
    {"shuffle", 0, FV_OPT_FLAG, 0, FIELD(shuffle), NULL,
     "tar: in random order, for readers that only read on", 0, 0, NULL},
    {"seed", 0, FV_OPT_INT, 0, FIELD(seed), "N",
     "of that order", 0, 0, NULL},
    {"shard-bytes", 0, FV_OPT_INT, 0, FIELD(shard_bytes), "N",
     "tar: a file ends before the sample that would make it longer; 0: 1 GB", 0, 1e15, NULL},
    {"threads", 'j', FV_OPT_INT, FV_OPT_TRANSIENT, FIELD(threads), "N",
     "threads that make image files; 0: one per processor", 0, 256, NULL},
    {.name = NULL},
};
/* clang-format on */

void fv_export_defaults(struct fv_export_settings *s)
{
    *s = (struct fv_export_settings){
        .format = "folders", .image = "auto", .split = "all", .seed = 1};
}
