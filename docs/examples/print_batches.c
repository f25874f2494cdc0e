/* SPDX-License-Identifier: MIT */
/* A whole program over libfv: one epoch of a data set, a line a batch.
 *
 *     cc print_batches.c $(pkg-config --cflags --libs fv) -o print_batches
 *     ./print_batches faces.lmdb batch=64 aug=flip,cutmix size=112
 */
#include <augment/augment.h>

#include <stdio.h>
#include <string.h>

static int set_options(struct fv_loader_options *options, char **argument)
{
    for (; *argument; argument++) {
        char *value = strchr(*argument, '=');
        if (!value)
            return fv_loader_options_set(options, *argument, "");
        *value++ = '\0';
        FV_TRY(fv_loader_options_set(options, *argument, value));
    }
    return FV_OK;
}

static int print_epoch(struct fv_store *store, struct fv_loader *loader)
{
    const struct fv_batch_source *source = fv_loader_source(loader);
    const struct fv_batch *batch;
    struct fv_store_image first;
    int rc = FV_OK;

    printf("%d classes, %llu batches an epoch\n", source->classes,
           (unsigned long long)source->batches_per_epoch);
    for (uint64_t step = 0; step < source->batches_per_epoch; step++) {
        unsigned long long sum = 0;
        rc = source->next(source->ctx, &batch);
        if (rc <= 0)
            break;
        const size_t bytes = (size_t)batch->n * (size_t)batch->height * (size_t)batch->width * 3;
        for (size_t i = 0; i < bytes; i++)
            sum += batch->pixels[i];
        rc = fv_store_image(store, batch->image[0], &first);
        if (rc < 0)
            break;
        printf("%u.%u: %d images of %dx%d, mean %.3f, first %s, label %d, lambda %.3f\n",
               batch->epoch, batch->step, batch->n, batch->width, batch->height,
               (double)sum / (double)bytes, first.name, batch->label[0], batch->lambda[0]);
        source->release(source->ctx);
    }
    return rc;
}

int main(int argc, char **argv)
{
    struct fv_store *store = NULL;
    struct fv_loader_options *options = NULL;
    struct fv_loader *loader = NULL;

    if (argc < 2) {
        fprintf(stderr, "usage: print_batches DATA_SET [OPTION=VALUE ...]\n");
        return 2;
    }
    int rc = fv_store_open(&store, argv[1]);
    if (rc >= 0)
        rc = fv_loader_options_new(&options);
    if (rc >= 0)
        rc = set_options(options, argv + 2);
    if (rc >= 0)
        rc = fv_loader_open_options(&loader, store, options);
    if (rc >= 0)
        rc = print_epoch(store, loader);
    if (rc < 0)
        fprintf(stderr, "print_batches: %s\n", fv_err_text());
    fv_loader_close(&loader);
    fv_loader_options_free(&options);
    fv_store_close(&store);
    return rc < 0;
}
