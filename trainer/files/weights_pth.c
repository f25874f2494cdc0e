/* SPDX-License-Identifier: MIT */
/* What torch.save writes since 1.6: a zip of <name>/data.pkl, which says what tensors there are, and <name>/data/<key>,
 * the bytes of their storages. Several tensors may share a storage, with offsets and strides of their own.
 *
 * The weights are the dictionary on top if its values are tensors, or else the dictionary in it that stands under one
 * of the names that trainers use.
 */
#include "trainer/files/pickle_torch.h"
#include "trainer/files/weights.h"
#include "trainer/files/zip_read.h"

#include "common/err.h"
#include "common/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a checkpoint with more than weights. The first that is there counts. */
static const char *const nests[] = {
    "state_dict", "model_state_dict", "state_dict_backbone", "model", "net", "backbone", "weights"};

struct pth {
    struct fv_weights *out;
    struct fv_zip zip;
    struct fv_pickle pickle;
    const uint8_t *text; /* data.pkl */
    const char *origin;
    char *root; /* the name that all entries begin with, with its slash */
};

static int corrupt(const struct pth *p, const char *name, const char *what)
{
    return fv_err(FV_ECORRUPT, "%s: tensor '%s': %s", p->origin, name, what);
}

static const struct fv_pickle_value *item(const struct pth *p, const struct fv_pickle_value *v,
                                          uint32_t i, enum fv_pickle_kind kind)
{
    const struct fv_pickle_value *found =
        i < fv_pickle_count(&p->pickle, v) ? fv_pickle_item(&p->pickle, v, i) : NULL;
    return found && found->kind == kind ? found : NULL;
}

static int is_tensor(const struct pth *p, const struct fv_pickle_value *v)
{
    return v->kind == FV_PICKLE_CALL &&
           (v->type == FV_TORCH_TENSOR ||
            (v->type == FV_TORCH_PARAMETER && item(p, v, 0, FV_PICKLE_CALL)));
}

static char *text_of(const struct pth *p, const struct fv_pickle_value *v)
{
    return fv_format("%.*s", (int)v->n, (const char *)p->text + v->at);
}

/* ('storage', class, key, where, count): its bytes in the zip and its type. */
static int find_storage(struct pth *p, const char *name, const struct fv_pickle_value *id,
                        struct fv_weight *t, size_t *elements)
{
    const struct fv_pickle_value *kind = item(p, id, 1, FV_PICKLE_GLOBAL);
    const struct fv_pickle_value *key = item(p, id, 2, FV_PICKLE_TEXT);
    const size_t each = kind ? fv__torch_storage(kind->number, &t->dtype) : 0;
    if (each == 0 || !key || key->n == 0 || key->n > 200)
        return fv_err(FV_EUNSUPPORTED, "%s: tensor '%s': a storage of a kind that is not known",
                      p->origin, name);
    size_t bytes = 0;
    char *entry = fv_format("%sdata/%.*s", p->root, (int)key->n, (const char *)p->text + key->at);
    int rc = entry ? fv__zip_find(&p->zip, entry, &t->data, &bytes)
                   : fv_err(FV_ENOMEM, "%s: out of memory", p->origin);
    free(entry);
    FV_TRY(rc == FV_ENOTFOUND ? corrupt(p, name, "its numbers are not in the file") : rc);
    *elements = bytes / each;
    return (int)each;
}

/* Sizes and strides, so that the last element that they reach is within `room` elements. */
static int read_shape(const struct pth *p, struct fv_weight *t, const struct fv_pickle_value *size,
                      const struct fv_pickle_value *stride, size_t room)
{
    const uint32_t n = fv_pickle_count(&p->pickle, size);
    uint64_t reach = 0, count = 1;
    if (n > FV_WEIGHT_DIMS || fv_pickle_count(&p->pickle, stride) != n)
        return corrupt(p, t->name, "more than 8 dimensions, or strides for others");
    t->ndim = (int)n;
    for (uint32_t i = 0; i < n; i++) {
        const struct fv_pickle_value *d = item(p, size, i, FV_PICKLE_INT);
        const struct fv_pickle_value *s = item(p, stride, i, FV_PICKLE_INT);
        if (!d || !s || d->number < 0 || s->number < 0 || d->number > INT32_MAX)
            return corrupt(p, t->name, "a size or stride that is none");
        t->dim[i] = d->number;
        t->stride[i] = d->number > 1 ? s->number : 0; /* nothing else is reached */
        uint64_t step;
        if (__builtin_mul_overflow(count, (uint64_t)d->number, &count) ||
            count > PTRDIFF_MAX / 16 ||
            (d->number > 0 &&
             (__builtin_mul_overflow((uint64_t)s->number, (uint64_t)d->number - 1, &step) ||
              __builtin_add_overflow(reach, step, &reach))))
            return corrupt(p, t->name, "an impossible shape");
    }
    if (count > 0 && reach >= room)
        return corrupt(p, t->name, "it reaches beyond its storage");
    return 0;
}

/* _rebuild_tensor_v2(storage, offset, size, stride, ...), maybe within _rebuild_parameter. */
static int add_tensor(struct pth *p, const struct fv_pickle_value *v, char *name)
{
    if (v->type == FV_TORCH_PARAMETER)
        v = item(p, v, 0, FV_PICKLE_CALL);
    const struct fv_pickle_value *id = item(p, v, 0, FV_PICKLE_PERSISTENT);
    const struct fv_pickle_value *offset = item(p, v, 1, FV_PICKLE_INT);
    const struct fv_pickle_value *size = item(p, v, 2, FV_PICKLE_SEQUENCE);
    const struct fv_pickle_value *stride = item(p, v, 3, FV_PICKLE_SEQUENCE);
    struct fv_weight *t = fv__weights_add(p->out);
    size_t room = 0;
    if (!t)
        return fv_err(FV_ENOMEM, "%s: out of memory", p->origin);
    t->name = name;
    if (v->type != FV_TORCH_TENSOR || !id || !offset || !size || !stride)
        return corrupt(p, name, "it is not described as torch does");
    const int each = find_storage(p, name, id, t, &room);
    FV_TRY(each);
    if (offset->number < 0 || (uint64_t)offset->number > room)
        return corrupt(p, name, "it begins beyond its storage");
    t->data += (size_t)offset->number * (size_t)each;
    return read_shape(p, t, size, stride, room - (size_t)offset->number);
}

/* Keeps a name until the file is closed; NULL when out of memory. */
static char *keep_name(struct pth *p, const struct fv_pickle_value *v)
{
    struct fv_weights *w = p->out;
    if (w->names % 64 == 0) {
        void *more = realloc(w->name, ((size_t)w->names + 64) * sizeof *w->name);
        if (!more)
            return NULL;
        w->name = more;
    }
    char *name = text_of(p, v);
    if (name)
        w->name[w->names++] = name;
    return name;
}

static int add_tensors(struct pth *p, const struct fv_pickle_value *dict)
{
    const uint32_t n = fv_pickle_count(&p->pickle, dict);
    for (uint32_t i = 0; i + 1 < n; i += 2) {
        const struct fv_pickle_value *key = item(p, dict, i, FV_PICKLE_TEXT);
        const struct fv_pickle_value *v = fv_pickle_item(&p->pickle, dict, i + 1);
        if (!key || key->n > 1000 || !is_tensor(p, v))
            continue;
        char *name = keep_name(p, key);
        if (!name)
            return fv_err(FV_ENOMEM, "%s: out of memory", p->origin);
        FV_TRY(add_tensor(p, v, name));
    }
    return 0;
}

static int has_tensors(const struct pth *p, const struct fv_pickle_value *dict)
{
    const uint32_t n = fv_pickle_count(&p->pickle, dict);
    for (uint32_t i = 0; dict->kind == FV_PICKLE_DICT && i + 1 < n; i += 2)
        if (is_tensor(p, fv_pickle_item(&p->pickle, dict, i + 1)))
            return 1;
    return 0;
}

static const struct fv_pickle_value *value_of(const struct pth *p,
                                              const struct fv_pickle_value *dict, const char *name)
{
    const uint32_t n = fv_pickle_count(&p->pickle, dict);
    for (uint32_t i = 0; i + 1 < n; i += 2) {
        const struct fv_pickle_value *key = item(p, dict, i, FV_PICKLE_TEXT);
        if (key && key->n == strlen(name) && memcmp(p->text + key->at, name, key->n) == 0)
            return fv_pickle_item(&p->pickle, dict, i + 1);
    }
    return NULL;
}

static int take_weights(struct pth *p)
{
    const struct fv_pickle_value *top = fv_pickle_top(&p->pickle), *found = NULL;
    if (top->kind != FV_PICKLE_DICT)
        return fv_err(
            FV_EUNSUPPORTED,
            "%s: holds a whole module or something else that is no dictionary of tensors: "
            "write torch.save(model.state_dict(), ...)",
            p->origin);
    if (has_tensors(p, top))
        return add_tensors(p, top);
    for (size_t i = 0; !found && i < sizeof nests / sizeof *nests; i++) {
        found = value_of(p, top, nests[i]);
        if (found && !has_tensors(p, found))
            found = NULL;
    }
    return found ? add_tensors(p, found)
                 : fv_err(FV_EUNSUPPORTED,
                          "%s: holds no tensors by name, nor a dictionary of them under "
                          "'state_dict' or 'model': write torch.save(model.state_dict(), ...)",
                          p->origin);
}

/* data.pkl stands in one folder, whose name is that of the file when it was written. */
static int find_root(struct pth *p)
{
    static const char tail[] = "/data.pkl";
    const size_t n = sizeof tail - 1;
    for (size_t i = 0; i < p->zip.entries; i++) {
        const struct fv_zip_entry *e = &p->zip.entry[i];
        if (e->name_n <= n || e->name_n > 1000 || memcmp(e->name + e->name_n - n, tail, n) != 0)
            continue;
        p->root = fv_format("%.*s", (int)(e->name_n - n + 1), e->name);
        return p->root ? 0 : fv_err(FV_ENOMEM, "%s: out of memory", p->origin);
    }
    return fv_err(FV_EUNSUPPORTED, "%s: is a zip archive, but none that torch.save wrote",
                  p->origin);
}

static int read_parts(struct pth *p)
{
    const uint8_t *order;
    size_t n;
    FV_TRY(find_root(p));
    char *pkl = fv_format("%sdata.pkl", p->root), *byteorder = fv_format("%sbyteorder", p->root);
    int rc = pkl && byteorder ? fv__zip_find(&p->zip, byteorder, &order, &n)
                              : fv_err(FV_ENOMEM, "%s: out of memory", p->origin);
    if (rc == FV_ENOTFOUND) /* before torch 2.1 */
        rc = 0;
    else if (rc == 0 && (n != 6 || memcmp(order, "little", 6) != 0))
        rc = fv_err(FV_EUNSUPPORTED, "%s: written on a big-endian machine", p->origin);
    if (rc == 0)
        rc = fv__zip_find(&p->zip, pkl, &p->text, &n);
    if (rc == 0)
        rc = fv_pickle_read(&p->pickle, &fv__pickle_torch, p->text, n, p->origin);
    free(pkl);
    free(byteorder);
    return rc;
}

int fv__weights_read_pth(struct fv_weights *w, const uint8_t *bytes, size_t n, const char *origin)
{
    struct pth p = {.out = w, .origin = origin};
    int rc = fv__zip_open(&p.zip, bytes, n, origin);
    if (rc == 0)
        rc = read_parts(&p);
    if (rc == 0)
        rc = take_weights(&p);
    fv_pickle_free(&p.pickle);
    fv__zip_close(&p.zip);
    free(p.root);
    return rc;
}
