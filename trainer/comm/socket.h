/* SPDX-License-Identifier: MIT */
/* TCP sockets, never blocking without a limit (internal to trainer/comm/). Deadlines are by fv_now_ns. */
#ifndef FV_TRAINER_SOCKET_H
#define FV_TRAINER_SOCKET_H

#include <stddef.h>
#include <stdint.h>

/* Rank 0's: at that host, where it is an address or "localhost"; at any of this machine's where it is a name, since a
 * name may stand for another address elsewhere. *port 0: any, and which. */
int fv__socket_listen(int *fd, const char *host, int *port);
/* Others': at the address from which this machine speaks on `line`, a connection to `host`. */
int fv__socket_listen_beside(int *fd, int line, const char *host, int *port);
int fv__socket_accept(int listener); /* -1: nobody there */
/* Tries again until the deadline: the other may not have begun to listen. */
int fv__socket_connect(int *fd, const char *host, int port, uint64_t deadline);
/* The other's address as text; "" if it is this machine's own, by which nobody else would find it. */
void fv__socket_peer(int fd, char *host, size_t room);

/* All of it: 0, or -1 with errno: 0 where the other side hung up, ETIMEDOUT at the deadline. */
int fv__socket_write(int fd, const void *data, size_t n, uint64_t deadline);
int fv__socket_read(int fd, void *data, size_t n, uint64_t deadline);

#endif
