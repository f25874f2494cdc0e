/* SPDX-License-Identifier: MIT */
/* fvbench parity: how far the fused way is from the exact one, which is torchvision's (test golden_exact). Two loaders
 * with one seed decide the same; their batches are compared, pixel by pixel. */
#include "tools/bench/fvbench.h"

#include "augment/augment.h"
#include "common/err.h"
#include "common/report.h"
#include "store/store.h"
#include "tools/bench/fvbench_measure.h"
#include "tools/results.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const struct fv_command fvbench_parity_cmd = {
    .name = "fvbench parity",
    .summary = "Measures how much the fused way to augment differs from the exact one, "
               "torchvision's, op by op.",
    .usage = "--db FILE [options]",
    .notes = "Mean and most are of the differences of values, in levels of 0 to 255. Labels, "
             "partners and their shares\n"
             "are the same either way; that too is checked.\n"
             "\n"
             "  fvbench parity --db faces.lmdb --aug 'rrc(.8,1),flip,rotate(10),jitter(.2,.2,.2)'",
};

/* Each op alone, strong enough to show, and always applied. */
static const char *const ops[] = {"flip(1)",
                                  "rrc(0.5,1)",
                                  "rotate(10)",
                                  "affine(10,.1,.1,.9,1.1,5)",
                                  "perspective(.3,p=1)",
                                  "jitter(.2,0,0)",
                                  "jitter(0,.2,0)",
                                  "jitter(0,0,.2)",
                                  "jitter(0,0,0,.1)",
                                  "jitter(.2,.2,.2)",
                                  "jitter(.2,.2,.2,.1)",
                                  "gray(1)",
                                  "blur(5)",
                                  "erase(1)",
                                  "cutmix(1,p=1)"};
enum { OPS = sizeof ops / sizeof ops[0], LEVELS = 256 };

struct parity {
    const char *db, *policy;
    int64_t images, size, seed;
    int json;
};

#define FIELD(f) offsetof(struct parity, f)
/* clang-format off */
static const struct fv_opt parity_opts[] = {
    {"db", 'd', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(db), "FILE", "the data set", 0, 0, NULL},
    {"aug", 0, FV_OPT_STRING, 0, FIELD(policy), "POLICY", "a chain to compare after the single ops", 0, 0, NULL},
    {"images", 'n', FV_OPT_INT, 0, FIELD(images), "N", "how many are compared", 1, 1 << 24, NULL},
    {"size", 0, FV_OPT_INT, 0, FIELD(size), "PX", "side of the images made; 0: as stored", 0, 4096, NULL},
    {"seed", 0, FV_OPT_INT, 0, FIELD(seed), "N", "what all random decisions follow from", 0, 9007199254740992.0, NULL},
    {"json", 0, FV_OPT_FLAG, 0, FIELD(json), NULL, "print the result as JSON", 0, 0, NULL},
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

struct differences {
    uint64_t values[LEVELS]; /* how many values differ by so much */
    uint64_t pixels, within; /* all; those of which no channel differs by more than one level */
};

static void compare_pixels(struct differences *d, const uint8_t *a, const uint8_t *b, size_t pixels)
{
    for (size_t i = 0; i < pixels; i++) {
        int worst = 0;
        for (int c = 0; c < 3; c++) {
            const int off = abs(a[3 * i + (size_t)c] - b[3 * i + (size_t)c]);
            d->values[off]++;
            worst = off > worst ? off : worst;
        }
        d->within += worst <= 1;
    }
    d->pixels += pixels;
}

static int compare_batches(struct differences *d, const struct fv_batch *a,
                           const struct fv_batch *b, const char *policy)
{
    const size_t n = (size_t)a->n;

    if (a->n != b->n || memcmp(a->label, b->label, n * sizeof *a->label) != 0 ||
        memcmp(a->label_mix, b->label_mix, n * sizeof *a->label) != 0 ||
        memcmp(a->lambda, b->lambda, n * sizeof *a->lambda) != 0)
        return fv_err(FV_EBACKEND, "%s: labels of batch %" PRIu64 " depend on the mode", policy,
                      a->ticket);
    compare_pixels(d, a->pixels, b->pixels, n * (size_t)a->height * (size_t)a->width);
    return FV_OK;
}

static int compare(const struct parity *p, struct fv_store *store, const char *policy,
                   struct differences *d)
{
    struct fv_loader *fused = NULL, *exact = NULL;
    struct fv_loader_settings s;
    const struct fv_batch *a, *b;
    int64_t left = p->images;

    fv_loader_defaults(&s);
    s.policy = policy;
    s.size = p->size;
    s.seed = p->seed;
    s.endless = 0;
    s.slots = 2;
    int rc = fv_loader_open(&fused, store, &s);
    s.mode = "exact";
    if (rc == FV_OK)
        rc = fv_loader_open(&exact, store, &s);
    for (int more = 1; rc == FV_OK && more && left > 0;) {
        const struct fv_batch_source *x = fv_loader_source(fused), *y = fv_loader_source(exact);
        more = x->next(x->ctx, &a);
        rc = more > 0 ? y->next(y->ctx, &b) : more;
        if (rc <= 0)
            break;
        left -= a->n;
        rc = compare_batches(d, a, b, policy);
        rc = rc < 0 ? rc : bench_go_on();
        x->release(x->ctx);
        y->release(y->ctx);
    }
    fv_loader_close(&fused);
    fv_loader_close(&exact);
    return rc < 0 ? rc : FV_OK;
}

static void tell(struct results *r, const char *label, const struct differences *d)
{
    double sum = 0;
    int most = 0;

    for (int i = 0; i < LEVELS; i++) {
        sum += (double)i * (double)d->values[i];
        most = d->values[i] ? i : most;
    }
    const double mean = sum / (3.0 * (double)d->pixels);
    const double within = (double)d->within / (double)d->pixels;
    results_object(r, label,
                   (const struct result_number[]){
                       {"mean", mean}, {"most", most}, {"pixels_within_one_level", within}},
                   3, "%6.3f %5d %13.1f %%", mean, most, 100 * within);
}

static int measure(const struct parity *p, struct fv_store *store, struct results *r)
{
    struct differences d;

    if (p->policy)
        results_string(r, "policy", p->policy);
    results_heading(r, "", "  mean  most  pixels within 1");
    for (int i = 0; i < OPS + (p->policy != NULL); i++) {
        const char *policy = i < OPS ? ops[i] : p->policy;
        d = (struct differences){.pixels = 0};
        FV_TRY(compare(p, store, policy, &d));
        tell(r, i < OPS ? policy : "chain", &d);
    }
    return FV_OK;
}

int fvbench_parity(int argc, char **argv)
{
    struct parity p = {.images = 1024, .seed = 1};
    struct tool_trace trace = {0};
    const struct fv_opt_group groups[] = {{"options", parity_opts, &p},
                                          {"tracing", tool_trace_opts, &trace}};
    struct results r = {0};
    struct fv_args args;
    struct fv_store *store;

    int rc = tool_begin(&fvbench_parity_cmd, groups, 2, argc, argv, &args);
    if (rc)
        return rc;
    bench_stop_on_signals();
    FV_TRY(fv_store_open(&store, p.db));
    rc = measure(&p, store, &r);
    if (rc == FV_OK)
        results_print(&r, p.db, p.json);
    else
        results_free(&r);
    fv_store_close(&store);
    return rc;
}
