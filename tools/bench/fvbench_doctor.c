/* SPDX-License-Identifier: MIT */
/* fvbench doctor: one verdict on what limits training here, by how much, and what to change.
 *
 * Training steps are fed by the loader, and the same steps by a few batches that are handed out again and again: what
 * the second saves is what the best loader could save, whatever the first looked like. The time spent waiting for
 * batches, which costs nothing to know, must come to the same; what is left beyond it is the steps themselves being
 * longer, because the loader's threads take processors away from them.
 *
 *   stall      a step's time spent waiting for its batch
 *   sharing    by how much the step itself is longer than with batches that are there already. The loader is to
 *              blame for no more of it than the processor time of its own work: the rest is noise of the machine
 *   free data  what steps with batches that are there already save: stall and sharing together
 */
#include "tools/bench/fvbench.h"

#include "common/cpu.h"
#include "common/err.h"
#include "common/report.h"
#include "tools/bench/aug_cost.h"
#include "tools/bench/feeding.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const struct fv_command fvbench_doctor_cmd = {
    .name = "fvbench doctor",
    .summary = "Says what limits the throughput of training, by how much, and what to change.",
    .usage = "--db FILE [options]",
    .notes =
        "Give it what training is given: --batch, --aug, --loader-threads, --arch, --threads. "
        "With --step-ms a\n"
        "step of that duration, which takes no processor, stands for a GPU.\n"
        "\n"
        "  fvbench doctor --db faces.lmdb --batch 64 --aug 'flip,rotate(10),jitter(.2,.2,.2)'\n"
        "  fvbench doctor --db faces.lmdb --batch 256 --step-ms 6.4",
};

#define WORTH_SAYING 0.05 /* share of the time below which a loss is no verdict */
#define COSTLY 0.3        /* share of the loader's work that makes a stage worth a remedy */
enum { REMEDIES_MAX = 6, TEXT = 256, PARTS_MAX = 24 };

enum verdict { STEP_LIMITS, LOADER_LIMITS, CORES_LIMIT };

/* What was found out. */
struct finding {
    enum verdict verdict;
    double stall, sharing, gain; /* shares of the time of a step */
    double sharing_most;         /* that the loader can be to blame for: its own work */
    double fed, step, loader;    /* images a second */
    double loader_work;          /* processor seconds of an image, made by the loader */
    double step_work;            /* and trained on */
    int cores, threads, needed;  /* threads of the loader: as they are, to keep up */
    const char *stage;           /* the costliest of an image */
    double stage_share;
    char op[TEXT];   /* the costliest of the policy; "" when that was not asked */
    double op_share; /* of the loader's work that goes without it */
};

struct prescription {
    char verdict[TEXT], why[TEXT], remedy[REMEDIES_MAX][TEXT];
    int remedies;
};

/* --- findings ------------------------------------------------------------------------------------- */

static void find_stage(struct finding *d, const struct fv_loader_stats *s)
{
    const struct {
        const char *name;
        uint64_t ns;
    } stage[] = {{"decode", s->decode_ns},
                 {"warp", s->warp_ns},
                 {"colour", s->colour_ns},
                 {"erase", s->erase_ns},
                 {"mix", s->mix_ns}};
    uint64_t sum = 0, most = 0;

    for (size_t i = 0; i < sizeof stage / sizeof stage[0]; i++) {
        sum += stage[i].ns;
        if (stage[i].ns >= most) {
            most = stage[i].ns;
            d->stage = stage[i].name;
        }
    }
    d->stage_share = sum ? (double)most / (double)sum : 0;
}

/* The op without which the policy is cheapest: left out one by one, in turns with the whole. */
static int find_op(struct finding *d, struct feeding *f)
{
    const struct bench quick = {.seconds = 0.06, .rounds = 3};
    struct aug_images im = {0};
    struct aug_work work[PARTS_MAX + 1] = {0};
    struct bench_job *job = calloc(PARTS_MAX + 1, sizeof *job);
    char text[4200], without[4200];
    int n = 0, rc = job ? aug_images_read(&im, f->store, (int)f->set.size)
                        : fv_err(FV_ENOMEM, "out of memory");

    if (rc >= 0)
        rc = aug_work_open(&work[n++], &im, f->set.policy ? f->set.policy : "", ~0u);
    snprintf(text, sizeof text, "%s", rc >= 0 ? fv_augmenter_policy(work[0].augmenter) : "");
    while (rc >= 0 && n <= PARTS_MAX && aug_policy_part(text, n - 1, 1, without, sizeof without))
        rc = aug_work_open(&work[n++], &im, without, ~0u);
    for (int i = 0; job && i < n; i++)
        job[i] = (struct bench_job){.name = "", .run = aug_work_run, .ctx = &work[i]};
    if (rc >= 0)
        rc = bench_run(&quick, job, n);
    for (int i = 1; rc >= 0 && i < n; i++) {
        const double saved = 1 / bench_per_cpu_s(&job[0]) - 1 / bench_per_cpu_s(&job[i]);
        if (saved > d->op_share * d->loader_work) {
            d->op_share = saved / d->loader_work;
            aug_policy_part(text, i - 1, 0, d->op, sizeof d->op);
        }
    }
    for (int i = 0; i < n; i++)
        aug_work_close(&work[i]);
    aug_images_free(&im);
    free(job);
    return rc;
}

static int find(struct finding *d, struct feeding *f)
{
    *d = (struct finding){.stall = feeding_stall(f),
                          .sharing = feeding_sharing(f),
                          .gain = feeding_gain(f),
                          .fed = bench_per_s(&f->job[FED]),
                          .step = bench_per_s(&f->job[REPLAYED]),
                          .loader = bench_per_s(&f->job[LOADER_ALONE]),
                          .loader_work = 1 / bench_per_cpu_s(&f->job[LOADER_ALONE]),
                          .step_work = 1 / bench_per_cpu_s(&f->job[REPLAYED]),
                          .cores = fv_cpu_count(),
                          .threads = f->threads};
    d->sharing_most = fmin(d->sharing, d->loader_work * d->fed);
    find_stage(d, &f->stages);
    d->needed = (int)ceil(1.05 * d->step / (d->loader / d->threads)); /* with a little to spare */
    if (d->stall >= WORTH_SAYING && d->stall >= d->sharing_most)
        d->verdict = LOADER_LIMITS;
    else if (d->sharing_most >= WORTH_SAYING)
        d->verdict = CORES_LIMIT;
    return d->verdict == STEP_LIMITS ? FV_OK : find_op(d, f);
}

/* --- in words ------------------------------------------------------------------------------------- */

static void say(char to[TEXT], const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(char to[TEXT], const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    vsnprintf(to, TEXT, format, ap);
    va_end(ap);
}

static char *next_remedy(struct prescription *p)
{
    return p->remedy[p->remedies < REMEDIES_MAX - 1 ? p->remedies++ : p->remedies];
}

/* Of whatever makes an image cheaper to make. */
static void add_cheaper(struct prescription *p, const struct finding *d, const char *codec)
{
    const int decodes = strcmp(d->stage, "decode") == 0;

    if (decodes && d->stage_share >= COSTLY && strcmp(codec, "pixels") != 0)
        say(next_remedy(p),
            "fvprep pack --codec pixels: decoding %s is %.0f %% of the loader's work; fvprep "
            "codecs shows what pixels would take",
            codec, d->stage_share * 100);
    else if (decodes && d->stage_share >= COSTLY)
        say(next_remedy(p),
            "a smaller --size of fvprep pack: decoding is %.0f %% of the loader's work and goes "
            "with the pixels",
            d->stage_share * 100);
    if (d->op[0] && d->op_share >= 0.1)
        say(next_remedy(p), "--aug without %s: saves %.0f %% of the loader's work", d->op,
            d->op_share * 100);
}

/* Where steps run elsewhere, the thread that launches them still wants a processor now and then. */
static void add_threads(struct prescription *p, const struct finding *d, int simulated)
{
    const int threads = d->needed < d->cores ? d->needed : d->cores;

    if (d->threads >= d->cores)
        say(next_remedy(p), "more processors: %d threads would keep up and this machine has %d",
            d->needed, d->cores);
    else
        say(next_remedy(p), "--loader-threads %d: %s%s", threads,
            d->needed <= d->cores ? "enough to keep up" : "nearer but not enough to keep up",
            simulated && threads == d->cores
                ? "; the thread that launches the steps then has no processor to itself"
                : "");
}

static void prescribe_loader(struct prescription *p, const struct finding *d, int simulated,
                             const char *codec)
{
    say(p->verdict,
        "the loader: training waits for batches %.1f %% of the time; with free data it would be "
        "%.2f times as fast",
        d->stall * 100, 1 / (1 - d->gain));
    say(p->why,
        "the step could take %.0f img/s and the loader makes %.0f with %d thread%s; %s is %.0f %% "
        "of its work",
        d->step, d->loader, d->threads, d->threads == 1 ? "" : "s", d->stage, d->stage_share * 100);
    add_threads(p, d, simulated);
    add_cheaper(p, d, codec);
}

static void prescribe_cores(struct prescription *p, const struct finding *d, const char *codec)
{
    const double share = d->loader_work / (d->loader_work + d->step_work);

    say(p->verdict,
        "the processors that loader and step share: the step takes %.1f %% of the time more than "
        "with free data",
        d->sharing_most * 100);
    say(p->why,
        "of the work of an image %.0f %% is the loader's and all of it happens on %d processor%s; "
        "training waits %.1f %% of the time",
        share * 100, d->cores, d->cores == 1 ? "" : "s", d->stall * 100);
    say(next_remedy(p),
        "more processors or a backend that does not need these; cheaper images gain %.0f %% at "
        "most",
        share * 100);
    if (d->threads > 1)
        say(next_remedy(p), "--loader-threads %d: fewer threads disturb the step less",
            d->threads - 1);
    add_cheaper(p, d, codec);
}

static void prescribe_step(struct prescription *p, const struct finding *d, int simulated)
{
    say(p->verdict, "the step: free data would save %.1f %% of the time",
        fmax(d->stall + d->sharing_most, 0) * 100);
    say(p->why,
        "the loader alone makes %.0f img/s with %d thread%s: %.3g times what the step takes",
        d->loader, d->threads, d->threads == 1 ? "" : "s", d->loader / d->step);
    if (simulated)
        say(next_remedy(p), "a faster step: data is there in time");
    else
        say(next_remedy(p),
            "a faster step: another --backend or more --threads or a smaller --size or net; data "
            "is there in time");
    if (d->threads > 1 && d->loader > 2 * d->step)
        say(next_remedy(p), "--loader-threads %d is enough: leave the processors to others",
            d->needed < 1 ? 1 : d->needed);
}

static struct prescription prescribe(const struct finding *d, const struct feeding *f)
{
    const char *codec = fv_store_info(f->store)->codec;
    const int simulated = trainee_is_simulated(f->trainee);
    struct prescription p = {0};

    if (d->verdict == LOADER_LIMITS)
        prescribe_loader(&p, d, simulated, codec);
    else if (d->verdict == CORES_LIMIT)
        prescribe_cores(&p, d, codec);
    else
        prescribe_step(&p, d, simulated);
    return p;
}

static void print(const struct bench *b, const struct feeding *f, const struct finding *d)
{
    static const char *const limits[] = {"step", "loader", "processors"};
    static const char *const keys[REMEDIES_MAX] = {"remedy",   "remedy_2", "remedy_3",
                                                   "remedy_4", "remedy_5", "remedy_6"};
    const struct prescription p = prescribe(d, f);
    struct results r = {0};

    results_string(&r, "limit", limits[d->verdict]);
    results_string(&r, "verdict", p.verdict);
    results_string(&r, "why", p.why);
    for (int i = 0; i < p.remedies; i++)
        results_string(&r, keys[i], p.remedy[i]);
    results_string(&r, "step", trainee_info(f->trainee));
    results_real(&r, "images_per_s", d->fed, "%8.1f", d->fed);
    results_real(&r, "step_images_per_s", d->step, "%8.1f with replayed batches", d->step);
    results_real(&r, "loader_images_per_s", d->loader, "%8.1f alone", d->loader);
    results_real(&r, "stall_percent", d->stall * 100, "%8.2f: waiting for batches", d->stall * 100);
    results_real(&r, "sharing_percent", d->sharing * 100,
                 "%8.2f: steps longer than with replayed batches", d->sharing * 100);
    results_real(&r, "free_data_percent", d->gain * 100, "%8.2f: saved by replayed batches",
                 d->gain * 100);
    results_int(&r, "loader_threads", (uint64_t)d->threads, "%8d", d->threads);
    results_int(&r, "processors", (uint64_t)d->cores, "%8d", d->cores);
    bench_print(b, &r, b->db, f->job, FEEDS, trainee_info(f->trainee));
}

static int judge(const struct bench *b, struct feeding *f)
{
    struct finding d;

    FV_TRY(find(&d, f));
    print(b, f, &d);
    return FV_OK;
}

int fvbench_doctor(int argc, char **argv)
{
    return feeding_command(&fvbench_doctor_cmd, argc, argv, judge);
}
