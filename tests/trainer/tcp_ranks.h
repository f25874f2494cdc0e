/* SPDX-License-Identifier: MIT */
/* Forks of a test that meet by TCP on this machine: where, and as whom. */
#ifndef FV_TESTS_TCP_RANKS_H
#define FV_TESTS_TCP_RANKS_H

#include <sys/types.h>

int free_port(void);
void set_number(const char *name, int value); /* in the environment */
/* RANK, WORLD_SIZE and MASTER_PORT, by which fv_comm_open finds the others. */
void set_rank(int rank, int world, int port);
/* Waits for all (n); fails the test unless each ended with 0. */
void assert_all_ended(const pid_t *pid, int n);

#endif
