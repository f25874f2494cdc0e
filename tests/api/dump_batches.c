/* SPDX-License-Identifier: MIT */
/* Writes batches of the C loader as bytes, for comparison from outside: of each the pixels, label, label_mix, lambda,
 * image and ticket.
 *
 * usage: dump_batches DATA_SET BATCH POLICY SEED SIZE THREADS FROM COUNT
 */
#include "augment/augment.h"

#include <stdio.h>
#include <stdlib.h>

static void write_batch(const struct fv_batch *b)
{
    const size_t n = (size_t)b->n;

    fwrite(b->pixels, (size_t)b->height * (size_t)b->width * 3, n, stdout);
    fwrite(b->label, 4, n, stdout);
    fwrite(b->label_mix, 4, n, stdout);
    fwrite(b->lambda, 4, n, stdout);
    fwrite(b->image, 4, n, stdout);
    fwrite(&b->ticket, 8, 1, stdout);
}

static int dump(struct fv_loader *l, uint64_t from, int count)
{
    const struct fv_batch_source *source = fv_loader_source(l);
    const struct fv_batch *b;

    FV_TRY(source->seek(source->ctx, from));
    for (int i = 0; i < count; i++) {
        FV_TRY(source->next(source->ctx, &b));
        write_batch(b);
        source->release(source->ctx);
    }
    return FV_OK;
}

int main(int argc, char **argv)
{
    struct fv_loader_settings s;
    struct fv_store *store = NULL;
    struct fv_loader *l = NULL;

    if (argc != 9)
        return 2;
    fv_loader_defaults(&s);
    s.batch = atoi(argv[2]);
    s.policy = argv[3];
    s.seed = atoi(argv[4]);
    s.size = atoi(argv[5]);
    s.threads = atoi(argv[6]);
    int rc = fv_store_open(&store, argv[1]);
    if (rc >= 0)
        rc = fv_loader_open(&l, store, &s);
    if (rc >= 0)
        rc = dump(l, strtoull(argv[7], NULL, 10), atoi(argv[8]));
    if (rc < 0)
        fprintf(stderr, "dump_batches: %s\n", fv_err_text());
    fv_loader_close(&l);
    fv_store_close(&store);
    return rc < 0;
}
