/* SPDX-License-Identifier: MIT */
/* FNV-1a, 64 bits: nobody attacks it, and it is small. */
#include "prep/pack/fingerprint.h"

#include <string.h>
#include <sys/stat.h>

static void add(uint64_t *hash, const void *data, size_t n)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i++)
        *hash = (*hash ^ p[i]) * 0x100000001b3u;
}

static void add_number(uint64_t *hash, uint64_t n)
{
    add(hash, &n, sizeof n);
}

static void add_name(uint64_t *hash, const char *name)
{
    add(hash, name, strlen(name) + 1);
}

static void add_notes(uint64_t *hash, const struct fv_notes *notes)
{
    add_number(hash, notes->n);
    for (size_t i = 0; i < notes->n; i++) {
        add_name(hash, notes->at[i].name);
        add_name(hash, fv__reject_code(notes->at[i].reason.why));
        add_name(hash, notes->at[i].reason.detail);
    }
}

static void add_face(uint64_t *hash, const struct fv_face *f)
{
    add_number(hash, f ? 1 + (uint64_t)f->has_box + 2 * (uint64_t)f->has_points : 0);
    if (f && f->has_box)
        add(hash, f->box, sizeof f->box);
    if (f && f->has_points)
        add(hash, f->point, sizeof f->point);
}

static void add_file(uint64_t *hash, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    add_number(hash, (uint64_t)st.st_size);
    add_number(hash, (uint64_t)st.st_mtim.tv_sec);
    add_number(hash, (uint64_t)st.st_mtim.tv_nsec);
}

struct fv_fingerprint fv__fingerprint(const struct fv_listing *l, const struct fv_pack_plan *plan)
{
    struct fv_fingerprint f = {0xcbf29ce484222325u, 0xcbf29ce484222325u};
    add_number(&f.names, plan->training);
    for (size_t i = 0; i < plan->identities; i++) {
        add_name(&f.names, plan->identity[i]->name);
        add_number(&f.names, plan->identity[i]->count);
    }
    for (size_t i = 0; i < plan->photos; i++) {
        const struct fv_listed_photo *p = plan->photo[i];
        add_name(&f.names, p->name);
        add_number(&f.names, (uint64_t)p->split);
        add_face(&f.names, fv__listing_face(l, p));
        add_number(&f.stamps, p->at);
        add_number(&f.stamps, p->bytes);
        add_number(&f.stamps, p->stamp);
    }
    add_notes(&f.names, &l->refused);
    add_notes(&f.names, &l->ignored);
    add_file(&f.stamps, l->root);
    return f;
}
