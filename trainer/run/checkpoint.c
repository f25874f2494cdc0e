/* SPDX-License-Identifier: MIT */
/* Safetensors, strictly: what is read is checked whole before any of it is handed out.
 *
 * A file is accepted only if its header is JSON without duplicate keys, every tensor's byte range agrees with its
 * type and shape, and the ranges laid end to end are the rest of the file: no hole, no overlap, nothing behind.
 * The whole file is read rather than mapped, so that a file cut short by another process is an error and not a
 * SIGBUS.
 */
#include "trainer/run/checkpoint.h"

#include "common/err.h"
#include "common/fs.h"

#include <jansson.h>

#include <stdlib.h>
#include <string.h>

enum { MAX_HEADER = 100 << 20 };
static const size_t max_file = (size_t)64 << 30;

static const struct {
    const char *name;
    unsigned bytes;
} dtypes[] = {
    {"F64", 8}, {"I64", 8}, {"U64", 8},     {"F32", 4},     {"I32", 4},
    {"U32", 4}, {"F16", 2}, {"BF16", 2},    {"I16", 2},     {"U16", 2},
    {"I8", 1},  {"U8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"BOOL", 1},
};

static unsigned dtype_bytes(const char *name)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtypes[i].name, name) == 0)
            return dtypes[i].bytes;
    return 0;
}

/* Writing. */

static int tensor_json(json_t *root, const char *path, const struct fv_st_tensor *t, size_t offset)
{
    unsigned item = dtype_bytes(t->dtype);
    size_t bytes = item;
    json_t *shape = json_array();
    for (int i = 0; i < t->ndim; i++) {
        bytes *= (size_t)t->dim[i];
        json_array_append_new(shape, json_integer(t->dim[i]));
    }
    if (item == 0 || bytes != t->bytes || json_object_get(root, t->name)) {
        json_decref(shape);
        return fv_err(
            FV_EINVAL,
            "%s: tensor '%s' of type %s and %zu bytes: unknown type, wrong size or given twice",
            path, t->name, t->dtype, t->bytes);
    }
    json_t *entry = json_pack("{s:s, s:o, s:[I,I]}", "dtype", t->dtype, "shape", shape,
                              "data_offsets", (json_int_t)offset, (json_int_t)(offset + bytes));
    if (json_object_set_new(root, t->name, entry) < 0)
        return fv_err(FV_EINVAL, "%s: tensor name '%s' is not UTF-8", path, t->name);
    return 0;
}

static int header_json(json_t *root, const char *path, const struct fv_st_tensor *const *order,
                       int tensors, const struct fv_st_meta *m, int metas)
{
    json_t *meta = json_object();
    json_object_set_new(root, "__metadata__", meta);
    for (int i = 0; i < metas; i++)
        if (json_object_set_new(meta, m[i].key, json_string(m[i].value)) < 0)
            return fv_err(FV_EINVAL, "%s: the value of '%s' is not UTF-8", path, m[i].key);
    size_t offset = 0;
    for (int i = 0; i < tensors; i++) {
        FV_TRY(tensor_json(root, path, order[i], offset));
        offset += order[i]->bytes;
    }
    return 0;
}

static int write_all(const char *path, const char *json, const struct fv_st_tensor *const *order,
                     int tensors)
{
    size_t text = strlen(json), padded = (text + 7) & ~(size_t)7;
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)padded >> 8 * i);
    struct fv_file file = {0};
    FV_TRY(fv_file_create(&file, path));
    int ok = fwrite(length, 1, 8, file.f) == 8 && fwrite(json, 1, text, file.f) == text &&
             fprintf(file.f, "%*s", (int)(padded - text), "") >= 0;
    for (int i = 0; ok && i < tensors; i++)
        ok = fwrite(order[i]->data, 1, order[i]->bytes, file.f) == order[i]->bytes;
    if (!ok) {
        int rc = fv_err_errno(FV_EIO, "%s: cannot write", path);
        fv_file_discard(&file);
        return rc;
    }
    return fv_file_commit(&file);
}

int fv_st_write(const char *path, const struct fv_st_tensor *t, int tensors,
                const struct fv_st_meta *m, int metas)
{
    const struct fv_st_tensor **order = calloc((size_t)tensors + 1, sizeof *order);
    json_t *root = json_object();
    char *json = NULL;
    int rc = order && root ? 0 : fv_err(FV_ENOMEM, "%s: out of memory", path), n = 0;
    for (unsigned width = 8; rc == 0 && width > 0; width--)
        for (int i = 0; i < tensors; i++)
            if (dtype_bytes(t[i].dtype) == width || (width == 1 && dtype_bytes(t[i].dtype) == 0))
                order[n++] = &t[i];
    if (rc == 0)
        rc = header_json(root, path, order, tensors, m, metas);
    if (rc == 0 && !(json = json_dumps(root, JSON_COMPACT | JSON_PRESERVE_ORDER)))
        rc = fv_err(FV_ENOMEM, "%s: out of memory", path);
    if (rc == 0)
        rc = write_all(path, json, order, tensors);
    free(json);
    json_decref(root);
    free(order);
    return rc;
}

/* Reading. */

struct fv_st {
    char *bytes;
    json_t *header;              /* owns all names and metadata */
    struct fv_st_tensor *tensor; /* in the file's order */
    const struct fv_st_tensor **by_name;
    int tensors;
    struct fv_st_meta *meta; /* in the file's order */
    int metas;
};

static int read_shape(struct fv_st_tensor *t, const json_t *shape, const char *origin)
{
    size_t item = dtype_bytes(t->dtype), bytes = item;
    int64_t stride = 1; /* a dimension of 0 must not hide what others come to */
    if (item == 0)
        return fv_err(FV_EUNSUPPORTED, "%s: tensor '%s' has the unknown type '%s'", origin, t->name,
                      t->dtype);
    size_t n = json_array_size(shape);
    if (n > sizeof t->dim / sizeof *t->dim)
        return fv_err(FV_EUNSUPPORTED, "%s: tensor '%s' has %zu dimensions, 8 are supported",
                      origin, t->name, n);
    t->ndim = (int)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *dim = json_array_get(shape, i);
        t->dim[i] = json_integer_value(dim);
        if (!json_is_integer(dim) || t->dim[i] < 0)
            return fv_err(FV_ECORRUPT, "%s: tensor '%s' has a dimension that is not a size", origin,
                          t->name);
        if (__builtin_mul_overflow(bytes, (size_t)t->dim[i], &bytes) ||
            __builtin_mul_overflow(stride, t->dim[i] > 0 ? t->dim[i] : 1, &stride))
            return fv_err(FV_ECORRUPT, "%s: tensor '%s' has an impossible shape", origin, t->name);
    }
    if (bytes != t->bytes)
        return fv_err(FV_ECORRUPT, "%s: tensor '%s' needs %zu bytes for its shape but has %zu",
                      origin, t->name, bytes, t->bytes);
    return 0;
}

static int read_tensor(struct fv_st_tensor *t, const char *name, const json_t *entry,
                       const char *data, size_t data_bytes, const char *origin)
{
    const json_t *dtype = json_object_get(entry, "dtype");
    const json_t *shape = json_object_get(entry, "shape");
    const json_t *range = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(range, 0), *end = json_array_get(range, 1);
    if (!json_is_string(dtype) || !json_is_array(shape) || json_array_size(range) != 2 ||
        !json_is_integer(begin) || !json_is_integer(end))
        return fv_err(FV_ECORRUPT, "%s: tensor '%s' lacks a type, shape or pair of offsets", origin,
                      name);
    json_int_t from = json_integer_value(begin), to = json_integer_value(end);
    if (from < 0 || to < from || (uint64_t)to > data_bytes)
        return fv_err(FV_ECORRUPT, "%s: tensor '%s' lies at bytes %lld to %lld of %zu", origin,
                      name, (long long)from, (long long)to, data_bytes);
    t->name = name;
    t->dtype = json_string_value(dtype);
    t->data = data + from;
    t->bytes = (size_t)(to - from);
    return read_shape(t, shape, origin);
}

static int by_position(const void *a, const void *b)
{
    const struct fv_st_tensor *x = a, *y = b;
    if (x->data != y->data)
        return (const char *)x->data < (const char *)y->data ? -1 : 1;
    return x->bytes != y->bytes ? (x->bytes < y->bytes ? -1 : 1) : strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct fv_st_tensor *const *)a)->name,
                  (*(const struct fv_st_tensor *const *)b)->name);
}

/* The tensors, sorted by position, must cover the data exactly. */
static int check_cover(const struct fv_st *st, const char *data, size_t data_bytes,
                       const char *origin)
{
    const char *at = data;
    for (int i = 0; i < st->tensors; i++) {
        if (st->tensor[i].data != at)
            return fv_err(
                FV_ECORRUPT, "%s: the data of tensor '%s' %s before it", origin, st->tensor[i].name,
                (const char *)st->tensor[i].data > at ? "leaves a hole" : "overlaps the tensor");
        at += st->tensor[i].bytes;
    }
    if (at != data + data_bytes)
        return fv_err(FV_ECORRUPT, "%s: %zu bytes follow the last tensor", origin,
                      (size_t)(data + data_bytes - at));
    return 0;
}

static int read_metadata(struct fv_st *st, const json_t *meta, const char *origin)
{
    const char *key;
    json_t *value;
    if (!json_is_object(meta))
        return fv_err(FV_ECORRUPT, "%s: __metadata__ is not an object", origin);
    st->meta = calloc(json_object_size(meta) + 1, sizeof *st->meta);
    if (!st->meta)
        return fv_err(FV_ENOMEM, "%s: out of memory", origin);
    json_object_foreach((json_t *)meta, key, value)
    {
        if (!json_is_string(value))
            return fv_err(FV_ECORRUPT, "%s: the metadata '%s' is not a string", origin, key);
        st->meta[st->metas++] = (struct fv_st_meta){key, json_string_value(value)};
    }
    return 0;
}

static int read_header(struct fv_st *st, const char *data, size_t data_bytes, const char *origin)
{
    size_t n = json_object_size(st->header);
    st->tensor = calloc(n + 1, sizeof *st->tensor);
    st->by_name = calloc(n + 1, sizeof *st->by_name);
    if (!st->tensor || !st->by_name)
        return fv_err(FV_ENOMEM, "%s: out of memory for %zu tensors", origin, n);
    const char *name;
    json_t *entry;
    json_object_foreach(st->header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            FV_TRY(read_metadata(st, entry, origin));
        else
            FV_TRY(read_tensor(&st->tensor[st->tensors++], name, entry, data, data_bytes, origin));
    }
    qsort(st->tensor, (size_t)st->tensors, sizeof *st->tensor, by_position);
    for (int i = 0; i < st->tensors; i++)
        st->by_name[i] = &st->tensor[i];
    qsort(st->by_name, (size_t)st->tensors, sizeof *st->by_name, by_name);
    return check_cover(st, data, data_bytes, origin);
}

static int parse(struct fv_st *st, size_t n, const char *origin)
{
    const unsigned char *p = (const unsigned char *)st->bytes;
    uint64_t header = 0;
    if (n < 8)
        return fv_err(FV_ECORRUPT, "%s: %zu bytes are too few for a safetensors file", origin, n);
    for (int i = 0; i < 8; i++)
        header |= (uint64_t)p[i] << 8 * i;
    if (header > MAX_HEADER || header > n - 8 || header < 2 || p[8] != '{')
        return fv_err(FV_ECORRUPT,
                      "%s: not a safetensors file, or cut short (header of %llu bytes in %zu)",
                      origin, (unsigned long long)header, n);
    json_error_t fault;
    st->header = json_loadb(st->bytes + 8, header, JSON_REJECT_DUPLICATES, &fault);
    if (!json_is_object(st->header))
        return fv_err(FV_ECORRUPT, "%s: header: %s (byte %d)", origin, fault.text, fault.position);
    return read_header(st, st->bytes + 8 + header, n - 8 - header, origin);
}

int fv_st_parse(struct fv_st **out, char *bytes, size_t n, const char *origin)
{
    struct fv_st *st = calloc(1, sizeof *st);
    *out = NULL;
    if (!st) {
        free(bytes);
        return fv_err(FV_ENOMEM, "%s: out of memory", origin);
    }
    st->bytes = bytes;
    int rc = parse(st, n, origin);
    if (rc < 0)
        fv_st_close(&st);
    *out = st;
    return rc;
}

int fv_st_open(struct fv_st **out, const char *path)
{
    char *bytes;
    size_t n;
    *out = NULL;
    FV_TRY(fv_file_read(path, max_file, &bytes, &n));
    return fv_st_parse(out, bytes, n, path);
}

void fv_st_close(struct fv_st **st)
{
    if (!*st)
        return;
    json_decref((*st)->header);
    free((*st)->tensor);
    free((*st)->by_name);
    free((*st)->meta);
    free((*st)->bytes);
    free(*st);
    *st = NULL;
}

int fv_st_tensor(const struct fv_st *st, const char *name, struct fv_st_tensor *out)
{
    struct fv_st_tensor key = {.name = name}, *wanted = &key;
    struct fv_st_tensor **hit =
        bsearch(&wanted, st->by_name, (size_t)st->tensors, sizeof *st->by_name, by_name);
    if (!hit)
        return fv_err(FV_ENOTFOUND, "there is no tensor '%s'", name);
    *out = **hit;
    return 0;
}

int fv_st_tensor_at(const struct fv_st *st, int i, struct fv_st_tensor *out)
{
    if (i < 0 || i >= st->tensors)
        return fv_err(FV_ENOTFOUND, "there is no tensor number %d", i);
    *out = st->tensor[i];
    return 0;
}

const char *fv_st_meta(const struct fv_st *st, const char *key)
{
    return json_string_value(json_object_get(json_object_get(st->header, "__metadata__"), key));
}

int fv_st_meta_at(const struct fv_st *st, int i, struct fv_st_meta *out)
{
    if (i < 0 || i >= st->metas)
        return fv_err(FV_ENOTFOUND, "there is no metadata number %d", i);
    *out = st->meta[i];
    return 0;
}
