/* SPDX-License-Identifier: MIT */
/* --batch is the whole batch, of all processes together: the learning rate belongs to that, and a run goes on with the
 * same settings on another number of processes.
 */
#include "tools/train/train_ranks.h"

#include "common/cpu.h"
#include "common/err.h"

#include <stdlib.h>
#include <string.h>

int train_ranks_share_text(struct fv_comm *comm, char **text)
{
    enum { MOST = 1 << 20 };
    uint32_t n = *text ? (uint32_t)strlen(*text) + 1 : 0;
    if (fv_comm_world(comm) == 1)
        return 0;
    FV_TRY(fv_comm_broadcast(comm, &n, sizeof n));
    if (n < 1 || n > MOST + 1)
        return fv_err(FV_EIO, "rank 0 sent a text of %u bytes", n);
    if (!*text && !(*text = malloc(n)))
        return fv_err(FV_ENOMEM, "out of memory");
    FV_TRY(fv_comm_broadcast(comm, *text, n));
    (*text)[n - 1] = '\0';
    return 0;
}

int train_ranks_divide(const struct fv_comm *comm, struct fv_loader_settings *loader)
{
    const int world = fv_comm_world(comm);
    if (world == 1)
        return 0;
    if (loader->world != 1)
        return fv_err(FV_EUSAGE,
                      "--world and --rank are for a process by itself: of %d processes "
                      "each knows its place",
                      world);
    if (loader->batch % world)
        return fv_err(FV_EUSAGE,
                      "--batch %lld is the batch of all %d processes together: make it a multiple "
                      "of %d",
                      (long long)loader->batch, world, world);
    loader->batch /= world;
    loader->world = world;
    loader->rank = comm->rank;
    if (loader->threads == 0 && comm->sharers > 1) {
        const int share = fv_cpu_count() / comm->sharers - 1;
        loader->threads = share > 1 ? share : 1;
    }
    return 0;
}
