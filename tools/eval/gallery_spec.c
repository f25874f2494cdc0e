/* SPDX-License-Identifier: MIT */
#include "tools/eval/gallery_spec.h"

#include "common/err.h"

#include <stdlib.h>
#include <string.h>

const char gallery_spec_help[] =
    "What --gallery, --probes and --dev name (SPEC):\n"
    "  split:holdout   that split of the data set, with its identities\n"
    "  folder:PATH     images whose names begin with PATH/; identities of the gallery are the data "
    "set's, those\n"
    "                  of probes are unknown unless a file of labels says them\n"
    "  FILE            a list: CSV with columns name and identity (IJB: TEMPLATE_ID and "
    "SUBJECT_ID, with\n"
    "                  --templates), or a name a line, after a tab perhaps the identity\n"
    "An identity that the gallery does not have is a stranger.\n";

static int take_room(struct gallery_set *set, size_t n)
{
    set->id = calloc(n + 1, sizeof *set->id);
    set->name = calloc(n + 1, sizeof *set->name);
    set->identity = calloc(n + 1, sizeof *set->identity);
    if (!set->id || !set->name || !set->identity)
        return fv_err(FV_ENOMEM, "out of memory for %zu images", n);
    return FV_OK;
}

/* Whether the data set's image is meant by a spec of either kind. */
static int is_meant(const struct fv_store_image *im, const char *split, const char *folder)
{
    const size_t n = folder ? strlen(folder) : 0;

    if (split)
        return strcmp(fv_split_names[im->split], split) == 0;
    return strncmp(im->name, folder, n) == 0 &&
           (n == 0 || folder[n - 1] == '/' || im->name[n] == '/');
}

static int from_store(struct gallery_set *set, struct fv_store *s, const char *split,
                      const char *folder, int trust)
{
    const uint64_t all = fv_store_info(s)->images;
    struct fv_store_image im;
    struct fv_store_label who;

    FV_TRY(take_room(set, all));
    for (uint64_t i = 0; i < all; i++) {
        FV_TRY(fv_store_image(s, i, &im));
        if (!is_meant(&im, split, folder))
            continue;
        FV_TRY(fv_store_label(s, im.label, &who));
        set->id[set->n] = (uint32_t)i;
        set->name[set->n] = im.name;
        set->identity[set->n++] = trust ? who.name : NULL;
    }
    if (set->n == 0)
        return fv_err(FV_ENOTFOUND, "%s: has no images in %s %s", fv_store_path(s),
                      split ? "split" : "folder", split ? split : folder);
    return FV_OK;
}

static int find_one(struct fv_store *s, const struct fv_templates *templates, const char *name,
                    uint32_t *id)
{
    uint64_t image;
    char *end;

    if (!templates) {
        FV_TRY(fv_store_find(s, name, &image));
        *id = (uint32_t)image;
        return FV_OK;
    }
    const unsigned long long number = strtoull(name, &end, 10);
    if (*end || *name < '0' || *name > '9')
        return fv_err(FV_ECORRUPT, "'%s' is no template's number", name);
    return fv_templates_find(templates, number, id);
}

static int from_list(struct gallery_set *set, struct fv_store *s,
                     const struct fv_templates *templates, const char *path)
{
    struct fv_rows *r = &set->rows[0];
    char why[FV_ERR_TEXT_MAX];

    FV_TRY(fv_rows_read(r, path));
    FV_TRY(take_room(set, r->n));
    for (size_t i = 0; i < r->n; i++) {
        const int rc = find_one(s, templates, r->name[i], &set->id[i]);
        if (rc < 0) {
            fv_err_save(why);
            return fv_err(rc, "%s: row %zu: %s", path, i + 1, why);
        }
        set->name[i] = r->name[i];
        set->identity[i] = r->identity ? r->identity[i] : NULL;
    }
    set->n = r->n;
    return FV_OK;
}

static int take_labels(struct gallery_set *set, const char *path, const char *spec)
{
    struct fv_rows *r = &set->rows[1];

    FV_TRY(fv_rows_read(r, path));
    if (r->n != set->n)
        return fv_err(FV_EINVAL, "%s: has %zu labels for the %zu images of %s", path, r->n, set->n,
                      spec);
    for (size_t i = 0; i < r->n; i++)
        set->identity[i] = r->identity ? r->identity[i] : r->name[i];
    return FV_OK;
}

static int is_split(const char *name)
{
    for (int i = 0; i < FV_SPLITS; i++)
        if (strcmp(fv_split_names[i], name) == 0)
            return 1;
    return 0;
}

int gallery_set_open(struct gallery_set *set, struct fv_store *s,
                     const struct fv_templates *templates, const char *spec, const char *labels,
                     int trust)
{
    const char *split = strncmp(spec, "split:", 6) == 0 ? spec + 6 : NULL,
               *folder = strncmp(spec, "folder:", 7) == 0 ? spec + 7 : NULL;

    *set = (struct gallery_set){0};
    if (templates && (split || folder))
        return fv_err(FV_EUSAGE, "%s: with --templates a list of their numbers is wanted", spec);
    if (split && !is_split(split))
        return fv_err(FV_EUSAGE, "%s: no such split: valid are train, val, holdout", spec);
    FV_TRY(split || folder ? from_store(set, s, split, folder, trust || split)
                           : from_list(set, s, templates, spec));
    return labels ? take_labels(set, labels, spec) : FV_OK;
}

void gallery_set_close(struct gallery_set *set)
{
    free(set->id);
    free(set->name);
    free(set->identity);
    fv_rows_free(&set->rows[0]);
    fv_rows_free(&set->rows[1]);
    *set = (struct gallery_set){0};
}
