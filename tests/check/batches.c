/* SPDX-License-Identifier: MIT */
/* Writes batches to the standard output, for a digest of them: of each its pixels, labels, labels
 * mixed in, lambdas, image ids, then ticket, epoch, step and n. All of one size, so that a part of
 * the output is a part of the batches. */
#include "augment/augment.h"
#include "common/cpu.h"
#include "common/err.h"

#include <stdio.h>
#include <stdlib.h>

struct options {
    const char *db, *cpu;
    int64_t from, batches;
};

#define FIELD(f) offsetof(struct options, f)
/* clang-format off */
static const struct fv_opt opts[] = {
    {"db", 'd', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(db), "FILE", "the data set", 0, 0, NULL},
    {"cpu-mask", 0, FV_OPT_STRING, 0, FIELD(cpu), "SETS", "use no instruction sets but these", 0, 0, NULL},
    {"from", 0, FV_OPT_INT, 0, FIELD(from), "N", "the first batch, as when resuming there", 0, 1e15, NULL},
    {"batches", 0, FV_OPT_INT, 0, FIELD(batches), "N", "how many", 1, 1e9, NULL},
    {.name = NULL},
};
/* clang-format on */

static const struct fv_command command = {
    .name = "batches", .summary = "Writes batches to the standard output.", .usage = "--db FILE"};

static void write_batch(const struct fv_batch *b)
{
    const size_t n = (size_t)b->capacity;
    const uint64_t where[] = {b->ticket, b->epoch, b->step, (uint64_t)b->n};

    fwrite(b->pixels, 1, n * (size_t)b->height * (size_t)b->width * 3, stdout);
    fwrite(b->label, sizeof *b->label, n, stdout);
    fwrite(b->label_mix, sizeof *b->label_mix, n, stdout);
    fwrite(b->lambda, sizeof *b->lambda, n, stdout);
    fwrite(b->image, sizeof *b->image, n, stdout);
    fwrite(where, sizeof where, 1, stdout);
}

static int write_batches(struct fv_loader *l, const struct options *o)
{
    const struct fv_batch_source *src = fv_loader_source(l);
    const struct fv_batch *b;

    if (o->from)
        FV_TRY(src->seek(src->ctx, (uint64_t)o->from));
    for (int64_t i = 0; i < o->batches; i++) {
        FV_TRY(src->next(src->ctx, &b));
        write_batch(b);
        src->release(src->ctx);
    }
    return fflush(stdout) == 0 && !ferror(stdout) ? FV_OK
                                                  : fv_err(FV_EIO, "the batches were not written");
}

static int run(int argc, char **argv)
{
    struct options o = {.batches = 1000};
    struct fv_loader_settings s;
    struct fv_store *store = NULL;
    struct fv_loader *l = NULL;
    struct fv_args args;
    unsigned mask = ~0u;

    fv_loader_defaults(&s);
    const struct fv_opt_group groups[] = {{"loader", fv_loader_opts, &s}, {"output", opts, &o}};
    FV_TRY(fv_opt_parse(&command, groups, 2, argc, argv, &args));
    if (args.help) {
        fv_opt_help(&command, groups, 2, stdout);
        return FV_OK;
    }
    if (o.cpu)
        FV_TRY(fv_cpu_parse_mask(o.cpu, &mask));
    fv_cpu_set_mask(mask);
    FV_TRY(fv_store_open(&store, o.db));
    int rc = fv_loader_open(&l, store, &s);
    if (rc == FV_OK)
        rc = write_batches(l, &o);
    fv_loader_close(&l);
    fv_store_close(&store);
    return rc;
}

int main(int argc, char **argv)
{
    if (run(argc, argv) == FV_OK)
        return 0;
    fprintf(stderr, "batches: %s\n", fv_err_text());
    return 1;
}
