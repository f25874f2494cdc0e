/* SPDX-License-Identifier: MIT */
/* fvbench e2e: training steps fed by the loader, beside the two that it can be no faster than: the loader with nothing
 * to feed and the steps with batches that are there already. */
#include "tools/bench/fvbench.h"

#include "common/err.h"
#include "tools/bench/feeding.h"

const struct fv_command fvbench_e2e_cmd = {
    .name = "fvbench e2e",
    .summary = "Measures the loader and the training step together, beside each of them alone.",
    .usage = "--db FILE [options]",
    .notes = "  fvbench e2e --db faces.lmdb --batch 32 --aug 'flip,rotate(10),jitter(.2,.2,.2)'",
};

static int print(const struct bench *b, struct feeding *f)
{
    const double per_s = bench_per_s(&f->job[FED]);
    const double step = bench_per_s(&f->job[REPLAYED]), loader = bench_per_s(&f->job[LOADER_ALONE]);
    const double limit = loader < step ? loader : step;
    const double stall = feeding_stall(f);
    const double p50 = bench_times_percentile(&f->wait, 50) * 1e3;
    const double p99 = bench_times_percentile(&f->wait, 99) * 1e3;
    struct results r = {0};

    results_string(&r, "backend", trainee_info(f->trainee));
    results_real(&r, "images_per_s", per_s, "%8.1f", per_s);
    results_real(&r, "data_wait", stall, "%8.1f %% of the time", stall * 100);
    results_real(&r, "data_wait_p50_ms", p50, "%8.2f a step", p50);
    results_real(&r, "data_wait_p99_ms", p99, "%8.2f", p99);
    results_real(&r, "cores_used", bench_cores(&f->job[FED]), "%8.2f", bench_cores(&f->job[FED]));
    results_real(&r, "loader_images_per_s", loader, "%8.1f (%d thread%s, alone)", loader,
                 f->threads, f->threads == 1 ? "" : "s");
    results_real(&r, "step_images_per_s", step, "%8.1f (with batches that are there already)",
                 step);
    results_real(&r, "share_of_limit", per_s / limit, "%8.1f %% of the slower of the two (the %s)",
                 per_s / limit * 100, loader < step ? "loader" : "step");
    bench_print(b, &r, b->db, f->job, FEEDS, trainee_info(f->trainee));
    return FV_OK;
}

int fvbench_e2e(int argc, char **argv)
{
    return feeding_command(&fvbench_e2e_cmd, argc, argv, print);
}
