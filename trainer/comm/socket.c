/* SPDX-License-Identifier: MIT */
/* Sockets do not block, delay nothing, and notice within a minute and a half when the machine at the other end is
 * gone. */
#include "trainer/comm/socket.h"

#include "common/clock.h"
#include "common/err.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 1024, RETRY_MS = 100, TRY_S = 5 };

static void tune(int fd)
{
    const int on = 1, idle = 30, interval = 10, probes = 6;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

/* Waits for events: 1, or 0 at the deadline. */
static int await(int fd, short events, uint64_t deadline)
{
    for (;;) {
        const uint64_t now = fv_now_ns();
        const uint64_t ms = now < deadline ? (deadline - now) / 1000000 + 1 : 0;
        struct pollfd p = {.fd = fd, .events = events};
        const int n = poll(&p, 1, ms < 1000 ? (int)ms : 1000);
        if (n > 0)
            return 1;
        if (ms == 0)
            return 0;
    }
}

int fv__socket_write(int fd, const void *data, size_t n, uint64_t deadline)
{
    const char *p = data;
    while (n > 0) {
        const ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return -1;
        if (sent > 0) {
            p += sent;
            n -= (size_t)sent;
        } else if (!await(fd, POLLOUT, deadline)) {
            errno = ETIMEDOUT;
            return -1;
        }
    }
    return 0;
}

int fv__socket_read(int fd, void *data, size_t n, uint64_t deadline)
{
    char *p = data;
    while (n > 0) {
        const ssize_t got = read(fd, p, n);
        if (got == 0)
            errno = 0;
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return -1;
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        } else if (!await(fd, POLLIN, deadline)) {
            errno = ETIMEDOUT;
            return -1;
        }
    }
    return 0;
}

static int find(struct addrinfo **list, const char *host, int port, int passive)
{
    char service[8];
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = passive ? AI_PASSIVE : 0};
    snprintf(service, sizeof service, "%d", port);
    const int rc = getaddrinfo(host, service, &hints, list);
    if (rc == 0)
        return 0;
    return fv_err(FV_ENOTFOUND, "there is no machine '%s': %s", host ? host : "", gai_strerror(rc));
}

static int port_of(int fd)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &n) < 0)
        return 0;
    return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
                                         : ((struct sockaddr_in *)&a)->sin_port);
}

static int listen_at(int *fd, const struct sockaddr *a, socklen_t n, int family)
{
    const int on = 1, off = 0;
    *fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return -1;
    setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (family == AF_INET6)
        setsockopt(*fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(*fd, a, n) == 0 && listen(*fd, BACKLOG) == 0)
        return 0;
    const int why = errno;
    close(*fd);
    *fd = -1;
    errno = why;
    return -1;
}

static int is_number(const char *host)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST};
    struct addrinfo *list;
    if (getaddrinfo(host, NULL, &hints, &list) != 0)
        return 0;
    freeaddrinfo(list);
    return 1;
}

int fv__socket_listen(int *fd, const char *host, int *port)
{
    struct addrinfo *list;
    const int here = is_number(host) || strcmp(host, "localhost") == 0;
    FV_TRY(find(&list, here ? host : NULL, *port, 1));
    int rc = -1;
    for (const struct addrinfo *a = list; a && rc < 0; a = a->ai_next)
        rc = listen_at(fd, a->ai_addr, a->ai_addrlen, a->ai_family);
    freeaddrinfo(list);
    if (rc < 0 && errno == EADDRINUSE)
        return fv_err(FV_EIO,
                      "port %d is taken, by another run perhaps: give all processes another "
                      "MASTER_PORT",
                      *port);
    if (rc < 0)
        return fv_err_errno(FV_EIO,
                            "rank 0 cannot listen at %s:%d, which MASTER_ADDR says is this "
                            "machine",
                            host, *port);
    *port = port_of(*fd);
    return 0;
}

static int is_loopback(const struct sockaddr_storage *a)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)a;
    if (a->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&six->sin6_addr) ||
           (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr) && six->sin6_addr.s6_addr[12] == 127);
}

int fv__socket_listen_beside(int *fd, int line, const char *host, int *port)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    *port = 0;
    if (getsockname(line, (struct sockaddr *)&a, &n) < 0)
        return fv_err_errno(FV_EIO, "cannot find out this machine's address");
    if (is_loopback(&a))
        return fv__socket_listen(fd, host, port);
    if (a.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&a)->sin6_port = 0;
    else
        ((struct sockaddr_in *)&a)->sin_port = 0;
    if (listen_at(fd, (struct sockaddr *)&a, n, a.ss_family) < 0)
        return fv_err_errno(FV_EIO, "cannot listen for the other processes");
    *port = port_of(*fd);
    return 0;
}

int fv__socket_accept(int listener)
{
    const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        tune(fd);
    return fd;
}

/* One address: 0, or -1 with errno. */
static int try_connect(int *fd, const struct addrinfo *a, uint64_t deadline)
{
    int why = 0;
    socklen_t n = sizeof why;
    const uint64_t give_up = fv_now_ns() + TRY_S * UINT64_C(1000000000);
    *fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return -1;
    tune(*fd);
    if (connect(*fd, a->ai_addr, a->ai_addrlen) == 0)
        return 0;
    why = errno;
    if (why == EINPROGRESS) {
        why = ETIMEDOUT;
        if (await(*fd, POLLOUT, give_up < deadline ? give_up : deadline))
            getsockopt(*fd, SOL_SOCKET, SO_ERROR, &why, &n);
    }
    if (why == 0)
        return 0;
    close(*fd);
    *fd = -1;
    errno = why;
    return -1;
}

int fv__socket_connect(int *fd, const char *host, int port, uint64_t deadline)
{
    const uint64_t begin = fv_now_ns();
    const struct timespec nap = {.tv_nsec = RETRY_MS * 1000000L};
    for (;;) {
        struct addrinfo *list;
        FV_TRY(find(&list, host, port, 0));
        int rc = -1;
        for (const struct addrinfo *a = list; a && rc < 0; a = a->ai_next)
            rc = try_connect(fd, a, deadline);
        const int why = errno;
        freeaddrinfo(list);
        if (rc == 0)
            return 0;
        if (fv_now_ns() >= deadline)
            return fv_err(FV_EIO, "nobody answered at %s:%d for %.0f s (%s)", host, port,
                          (double)(fv_now_ns() - begin) * 1e-9, strerror(why));
        nanosleep(&nap, NULL);
    }
}

void fv__socket_peer(int fd, char *host, size_t room)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    *host = '\0';
    if (getpeername(fd, (struct sockaddr *)&a, &n) == 0 && !is_loopback(&a) &&
        getnameinfo((struct sockaddr *)&a, n, host, (socklen_t)room, NULL, 0, NI_NUMERICHOST) != 0)
        *host = '\0';
}
