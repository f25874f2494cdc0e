/* SPDX-License-Identifier: MIT */
/* The stream between the two passes: a window of rows that are resized across and wait to be resized down.
 *
 *     rows come ─▶ across ─▶ window: rows first .. first+held-1 ─▶ down ─▶ output rows, in order
 *
 * The window has room for twice the rows under one filter. When it is full, the rows that no later output
 * needs are dropped by moving the others to its beginning: once in so many rows that it costs nothing.
 */
#include "prep/photo/resample.h"

#include "common/err.h"
#include "prep/photo/resample_dsp.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 4 }; /* rows that a kernel takes at once */

struct fv_resampler {
    struct fv_resample_dsp dsp;
    struct fv_resample_axis x, y;
    uint8_t *out;
    int seen;        /* rows that came */
    int made;        /* output rows */
    int first, held; /* the window */
    int window;      /* rows it has room for */
    uint8_t *row;
    size_t stride, room;
};

int fv__resample_open(struct fv_resampler **out)
{
    if (!(*out = calloc(1, sizeof **out)))
        return fv_err(FV_ENOMEM, "out of memory for resizing");
    fv__resample_dsp_init(&(*out)->dsp);
    return 0;
}

void fv__resample_close(struct fv_resampler **resampler)
{
    struct fv_resampler *r = *resampler;
    if (!r)
        return;
    fv__resample_axis_free(&r->x);
    fv__resample_axis_free(&r->y);
    free(r->row);
    free(r);
    *resampler = NULL;
}

/* One past the last row that output i needs. */
static int end_of(const struct fv_resample_axis *y, int i)
{
    return y->first[i] + y->count[i];
}

static void make_rows(struct fv_resampler *r)
{
    const struct fv_resample_axis *y = &r->y;
    for (; r->made < y->out && end_of(y, r->made) <= r->first + r->held; r->made++) {
        const uint8_t *in =
            r->row + (y->count[r->made] ? (size_t)(y->first[r->made] - r->first) * r->stride : 0);
        size_t bytes = 3 * (size_t)r->x.out;
        r->dsp.down(r->out + (size_t)r->made * bytes, (int)bytes, in, r->stride, y, r->made);
    }
}

/* Drops rows that no later output needs. */
static void make_room(struct fv_resampler *r)
{
    int drop = r->made < r->y.out ? r->y.first[r->made] - r->first : r->held;
    drop = drop < 0 ? 0 : drop > r->held ? r->held : drop;
    memmove(r->row, r->row + (size_t)drop * r->stride, (size_t)(r->held - drop) * r->stride);
    r->first += drop;
    r->held -= drop;
}

/* The first row that any output needs: the window begins there. Outputs beyond the picture need none. */
static int first_row(const struct fv_resample_axis *y)
{
    for (int i = 0; i < y->out; i++)
        if (y->count[i])
            return y->first[i];
    return 0;
}

int fv__resample_begin(struct fv_resampler *r, const struct fv_resample_job *job)
{
    r->made = r->seen = r->held = 0;
    FV_TRY(fv__resample_axis_set(&r->x, job->width, job->box[0], job->box[2], job->out_width));
    FV_TRY(fv__resample_axis_set(&r->y, job->height, job->box[1], job->box[3], job->out_height));
    r->out = job->out;
    r->first = first_row(&r->y);
    r->window = 2 * (r->y.taps + BATCH);
    r->stride = (3 * (size_t)r->x.out + 63) & ~(size_t)31; /* kernels read and write in 32 bytes */
    size_t bytes = ((size_t)r->window + 1) * r->stride;
    if (bytes > r->room) {
        free(r->row);
        r->row = calloc(1, bytes);
        r->room = r->row ? bytes : 0;
        if (!r->row)
            return fv_err(FV_ENOMEM, "out of memory for resizing to %d x %d", job->out_width,
                          job->out_height);
    }
    make_rows(r);
    return 0;
}

void fv__resample_rows(struct fv_resampler *r, const uint8_t *rows, size_t stride, int n)
{
    for (int i = 0; i < n;) {
        int next = r->first + r->held, batch = n - i < BATCH ? n - i : BATCH;
        if (r->made == r->y.out)
            break;
        if (r->seen + i < next) { /* above all that is needed */
            i += next - r->seen - i < n - i ? next - r->seen - i : n - i;
            continue;
        }
        if (r->held + batch > r->window)
            make_room(r);
        r->dsp.across(r->row + (size_t)r->held * r->stride, r->stride, rows + (size_t)i * stride,
                      stride, batch, &r->x);
        r->held += batch;
        i += batch;
        make_rows(r);
    }
    r->seen += n;
}
