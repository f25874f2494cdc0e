/* SPDX-License-Identifier: MIT */
/* The server under 'fveval serve': what comes over the wire, checked and bounded, until it is a few photographs in
 * memory.
 *
 *   who may ask     a Host that is an address, localhost or a name that was given: a foreign name that was made to
 *                   lead here (DNS rebinding) is refused. A browser on another site's behalf (Origin) too. With a
 *                   token, only who has it.
 *   how much        bytes of a request, of all requests at once, connections, seconds without a byte, seconds in all,
 *                   requests with photos a minute
 *   what comes back never stored, never framed, never taken for another type
 */
#ifndef FV_TOOLS_SERVE_HTTP_H
#define FV_TOOLS_SERVE_HTTP_H

#include <stddef.h>
#include <stdint.h>

enum { HTTP_PHOTOS = 2 };

struct http_settings {
    const char *listen; /* an address; NULL: loopback, of both kinds where there are both */
    int port;           /* 0: any that is free */
    const char *token;  /* NULL: none asked for */
    const char *hosts;  /* names with commas that may lead here; NULL: none */
    const char *script; /* "sha256-..." of the one script that a page may run; NULL: none */
    size_t upload_bytes, all_bytes;
    int connections, idle_s, total_s, per_minute;
};

struct http_photo {
    uint8_t *p;
    size_t n;
};

struct http_reply {
    int status;       /* 200 */
    const char *type; /* "text/html; charset=utf-8" */
    char *body;       /* allocated; the server frees it */
    size_t n;
};

/* Answers one question at a time. json: asked through /api; photos 0: the start. A body of NULL is out of memory. */
typedef void http_answer(void *ctx, int json, const struct http_photo *photo, int photos,
                         const char *complaint, struct http_reply *out);

struct http;
/* FV_EINVAL when the address is none, or not of this machine alone and there is no token. */
int http_start(struct http **out, const struct http_settings *s, http_answer *answer, void *ctx);
int http_port(const struct http *h);
void http_stop(struct http **h); /* ends what is under way; accepts NULL */

#endif
