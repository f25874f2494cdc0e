/* SPDX-License-Identifier: MIT */
/* Whether a request was meant for this server, by the headers that a browser sends on its own. */
#ifndef FV_TOOLS_SERVE_HOST_H
#define FV_TOOLS_SERVE_HOST_H

/* A Host header of an address, "localhost" or one of `names` (with commas; may be NULL), with or without a port. NULL
 * is not. */
int host_is_ours(const char *host, const char *names);
/* An Origin header (NULL: none was sent) of the very Host. */
int host_is_origin(const char *origin, const char *host);
/* Of a numeric address; -1 when it is none. */
int host_is_loopback(const char *address);
/* In a time that does not tell how much of it is right. */
int host_equal_secret(const char *given, const char *secret);

#endif
