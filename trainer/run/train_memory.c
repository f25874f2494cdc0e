/* SPDX-License-Identifier: MIT */
/* What a run will take of memory, said before its first step: nobody waits an epoch for a process to be killed.
 *
 * A backend knows what its program takes. Beside that the process holds the numbers that go into checkpoints, the
 * loaders' batches, and itself: what was resident before the net was built. Not counted are the pages of the data set
 * that the system keeps in memory, which give way when they are needed.
 */
#include "trainer/run/train_run.h"

#include "common/err.h"
#include "common/memory.h"

#include <stdio.h>
#include <string.h>

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

int fv__memory_is_short(uint64_t needed, uint64_t limit, char *text, size_t n)
{
    if (limit == 0 || needed <= limit)
        return 0;
    snprintf(text, n,
             "about %.0f MiB of memory are needed and %.0f can be had: lower --batch, or take a "
             "smaller net or --size",
             mib(needed), mib(limit));
    return 1;
}

/* What checkpoints are written from, and what verification works on. */
static uint64_t kept_beside(const struct fv_run *run)
{
    const struct fv_net *net = run->net;
    uint64_t bytes = (net->params + net->buffers) * sizeof(float);
    for (int i = 0; i < FV_STATES; i++)
        bytes += run->snap.state[i] ? fv_state_count(net, (enum fv_state)i) * sizeof(float) : 0;
    if (run->d->verify)
        bytes += run->d->verify->images_per_epoch * (size_t)net->embedding * sizeof(float) +
                 run->d->pairs * (sizeof *run->score + sizeof *run->same);
    return bytes;
}

int fv__run_say_memory(const struct fv_run *run)
{
    const int evaluates = fv_comm_rank(run->d->comm) == 0 && (run->d->val || run->d->verify);
    const uint64_t beside = kept_beside(run), loader = run->d->loader_bytes;
    struct fv_memory_use use;
    char words[192];
    FV_TRY(run->backend->memory(run->program, &run->optim, evaluates, &use));
    const uint64_t program =
        use.weights + use.gradients + use.states + use.activations + use.evaluation;
    uint64_t process = run->resident_before + beside + loader;
    snprintf(words, sizeof words,
             "weights %.0f, gradients %.0f, optimiser %.0f, activations %.0f, evaluation %.0f",
             mib(use.weights), mib(use.gradients), mib(use.states), mib(use.activations),
             mib(use.evaluation));
    if (run->backend->own_memory) {
        fv_say(run->report, FV_LEVEL_INFO, "memory of the device: about %.0f MiB: %s", mib(program),
               words);
        fv_say(run->report, FV_LEVEL_INFO,
               "memory of the process: about %.0f MiB: checkpoints %.0f, loader %.0f, program %.0f",
               mib(process), mib(beside), mib(loader), mib(run->resident_before));
    } else {
        process += program;
        fv_say(run->report, FV_LEVEL_INFO,
               "memory: about %.0f MiB: %s, checkpoints %.0f, loader %.0f, program %.0f",
               mib(process), words, mib(beside), mib(loader), mib(run->resident_before));
    }
    if (fv__memory_is_short(process, fv_memory_limit(""), words, sizeof words))
        fv_say(run->report, FV_LEVEL_WARN, "%s", words);
    return 0;
}
