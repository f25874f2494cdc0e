/* SPDX-License-Identifier: MIT */
/* What the environment says about how this process was started, and with whom (internal to trainer/). */
#ifndef FV_TRAINER_LAUNCH_H
#define FV_TRAINER_LAUNCH_H

#include <stdint.h>

struct fv__launch {
    int rank, world;
    char host[256]; /* of rank 0 */
    int port;       /* rank 0 listens there */
    uint64_t id;    /* of the run: processes of another one are turned away */
};

/* "mpi", "tcp" or "none". */
const char *fv__launch_kind(void);
/* Processes that an mpirun says to have started; 0: none did. */
int fv__launch_mpi_world(void);
/* As torchrun or, without its variables, srun says. FV_EUSAGE names the variable that is missing or odd. */
int fv__launch_read(struct fv__launch *l);
/* Sets *local if the environment says which process of this machine this one is. */
void fv__launch_local_rank(int *local);

#endif
