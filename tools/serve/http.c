/* SPDX-License-Identifier: MIT */
/* One thread of libmicrohttpd an address. It answers in the thread that it reads with: questions wait for each other,
 * so that a hundred of them need the memory of one besides their bytes, which are counted over all connections. */
#include "tools/serve/http.h"

#include "common/err.h"
#include "tools/serve/host.h"
#include "tools/serve/http_header.h"
#include "tools/serve/patience.h"

#include <microhttpd.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DAEMONS = 2, BACKLOG = 256, FORM_BYTES = 8192, HEADER_BYTES = 32 << 10 };

struct http {
    struct http_settings s;
    http_answer *answer;
    void *ctx;
    struct MHD_Daemon *daemon[DAEMONS];
    int daemons, port;
    struct patience *patience;
    atomic_size_t held; /* bytes of photos in all requests */
    pthread_mutex_t lock;
    time_t minute; /* under the lock, as is */
    int asked;     /* in it */
};

struct request {
    struct http *h;
    struct MHD_PostProcessor *form;
    struct http_photo photo[HTTP_PHOTOS];
    size_t received; /* bytes of the body */
    int photos, json, status;
    int close; /* what follows on this connection may not be what it seems */
    const char *complaint;
};

static void refuse(struct request *r, int status, const char *complaint)
{
    if (r->status)
        return;
    r->status = status;
    r->complaint = complaint;
}

/* --- answers -------------------------------------------------------------------------------------- */

static void add_headers(struct MHD_Response *m, const char *type, const char *script)
{
    static const char *const header[][2] = {
        {"X-Content-Type-Options", "nosniff"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Referrer-Policy", "same-origin"}, /* with none, the form's Origin would be null */
        {"Cache-Control", "no-store"}};

    char policy[256];

    snprintf(policy, sizeof policy,
             "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'self'; "
             "frame-ancestors 'none'; base-uri 'none'; script-src '%.80s'",
             script ? script : "none");
    MHD_add_response_header(m, "Content-Security-Policy", policy);
    MHD_add_response_header(m, "Content-Type", type);
    for (size_t i = 0; i < sizeof header / sizeof header[0]; i++)
        MHD_add_response_header(m, header[i][0], header[i][1]);
}

static enum MHD_Result send_answer(struct MHD_Connection *c, struct request *r)
{
    struct http_reply out = {.status = r->status ? r->status : MHD_HTTP_OK};

    patience_begin_answer(r->h->patience);
    pthread_mutex_lock(&r->h->lock);
    r->h->answer(r->h->ctx, r->json, r->photo, r->status ? 0 : r->photos, r->complaint, &out);
    pthread_mutex_unlock(&r->h->lock);
    patience_end_answer(r->h->patience);
    if (!out.body)
        return MHD_NO;
    struct MHD_Response *m =
        MHD_create_response_from_buffer(out.n, out.body, MHD_RESPMEM_MUST_FREE);
    if (!m) {
        free(out.body);
        return MHD_NO;
    }
    add_headers(m, out.type, r->h->s.script);
    if (out.status == MHD_HTTP_TOO_MANY_REQUESTS || out.status == MHD_HTTP_SERVICE_UNAVAILABLE)
        MHD_add_response_header(m, "Retry-After", "10");
    if (out.status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(m, "Allow", "GET, POST");
    if (r->close)
        MHD_add_response_header(m, "Connection", "close");
    const enum MHD_Result sent = out.status == MHD_HTTP_UNAUTHORIZED
                                     ? MHD_queue_basic_auth_fail_response(c, "fv", m)
                                     : MHD_queue_response(c, (unsigned)out.status, m);
    MHD_destroy_response(m);
    return sent;
}

/* --- questions ------------------------------------------------------------------------------------ */

/* "Authorization: Bearer TOKEN", or what a browser asks its user for: any name, the token as password. */
static int has_token(struct MHD_Connection *c, const char *token)
{
    const char *given = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    char *password = NULL, *user;
    int right;

    if (!token)
        return 1;
    if (given && strncmp(given, "Bearer ", 7) == 0)
        return host_equal_secret(given + 7, token);
    user = MHD_basic_auth_get_username_password(c, &password);
    right = password && host_equal_secret(password, token);
    if (user)
        MHD_free(user);
    if (password)
        MHD_free(password);
    return right;
}

static int is_too_often(struct http *h)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    pthread_mutex_lock(&h->lock);
    const time_t minute = t.tv_sec / 60;
    if (minute != h->minute)
        h->asked = 0;
    h->minute = minute;
    const int often = ++h->asked > h->s.per_minute;
    pthread_mutex_unlock(&h->lock);
    return often;
}

static enum MHD_Result take_part(void *ctx, enum MHD_ValueKind kind, const char *key,
                                 const char *file, const char *type, const char *encoding,
                                 const char *data, uint64_t offset, size_t n)
{
    struct request *r = ctx;

    (void)kind;
    (void)file;
    (void)type;
    (void)encoding;
    /* A part may have no name; an empty one is a field without a choice. */
    if (!key || strcmp(key, "photo") != 0 || n == 0)
        return MHD_YES;
    if (offset == 0 && r->photos == HTTP_PHOTOS) {
        refuse(r, MHD_HTTP_BAD_REQUEST, "More than two photos.");
        return MHD_NO;
    }
    r->photos += offset == 0;
    struct http_photo *p = &r->photo[r->photos ? r->photos - 1 : 0];
    if (atomic_fetch_add(&r->h->held, n) + n > r->h->s.all_bytes) {
        atomic_fetch_sub(&r->h->held, n);
        refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "Too many photos at once: try again soon.");
        return MHD_NO;
    }
    uint8_t *more = realloc(p->p, p->n + n);
    if (!more) {
        atomic_fetch_sub(&r->h->held, n);
        refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "Out of memory: try again soon.");
        return MHD_NO;
    }
    memcpy(more + p->n, data, n);
    p->p = more;
    p->n += n;
    return MHD_YES;
}

/* All that the header says, before a byte of the body is read. */
static void check_header(struct request *r, struct MHD_Connection *c, const char *url,
                         const char *method)
{
    const char *host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host");
    const char *length = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");
    const char *fault = http_header_fault(c);
    const int post = strcmp(method, "POST") == 0;

    if (fault) {
        refuse(r, MHD_HTTP_BAD_REQUEST, fault);
        r->close = 1;
    }
    r->json = strncmp(url, "/api", 4) == 0;
    if (!host_is_ours(host, r->h->s.hosts))
        refuse(r, MHD_HTTP_MISDIRECTED_REQUEST,
               "This server is not known by that name (fveval serve --hosts).");
    if (!has_token(c, r->h->s.token))
        refuse(r, MHD_HTTP_UNAUTHORIZED, "The token is missing or wrong.");
    if (strcmp(url, "/") != 0 && strcmp(url, "/api") != 0 && strcmp(url, "/api/compare") != 0)
        refuse(r, MHD_HTTP_NOT_FOUND, "There is no such page: /, /api and /api/compare are.");
    if (post ? strcmp(url, "/api") == 0
             : strcmp(method, "GET") != 0 || strcmp(url, "/api/compare") == 0)
        refuse(r, MHD_HTTP_METHOD_NOT_ALLOWED, "Photos are sent by POST, to / or /api/compare.");
    if (!post)
        return;
    if (!host_is_origin(MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Origin"), host))
        refuse(r, MHD_HTTP_FORBIDDEN, "That was another site's form.");
    if (length && strtoull(length, NULL, 10) > r->h->s.upload_bytes)
        refuse(r, MHD_HTTP_CONTENT_TOO_LARGE, "The photos are too large.");
    if (!r->status && is_too_often(r->h))
        refuse(r, MHD_HTTP_TOO_MANY_REQUESTS, "Too many questions this minute: try again soon.");
    if (!r->status &&
        http_header_is_form(MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Type")))
        r->form = MHD_create_post_processor(c, FORM_BYTES, take_part, r);
    if (!r->form)
        refuse(r, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
               "Photos are sent as multipart/form-data, in fields named photo.");
}

static void take_bytes(struct request *r, const char *data, size_t n)
{
    r->received += n;
    if (r->received > r->h->s.upload_bytes)
        refuse(r, MHD_HTTP_CONTENT_TOO_LARGE, "The photos are too large.");
    if (!r->status && MHD_post_process(r->form, data, n) != MHD_YES)
        refuse(r, MHD_HTTP_BAD_REQUEST, "The form is damaged.");
}

static enum MHD_Result handle(void *ctx, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *data, size_t *n,
                              void **at)
{
    struct request *r = *at;

    (void)version;
    if (!r) {
        r = calloc(1, sizeof *r);
        if (!(*at = r))
            return MHD_NO;
        r->h = ctx;
        check_header(r, c, url, method);
        return r->status ? send_answer(c, r) : MHD_YES;
    }
    if (*n > 0) {
        take_bytes(r, data, *n);
        *n = 0;
        /* Who has no end is not told why. */
        return r->received > 2 * r->h->s.upload_bytes ? MHD_NO : MHD_YES;
    }
    if (r->form) {
        MHD_destroy_post_processor(r->form);
        r->form = NULL;
    }
    if (strcmp(method, "POST") == 0 && r->photos == 0)
        refuse(r, MHD_HTTP_BAD_REQUEST, "No photo was chosen.");
    return send_answer(c, r);
}

static void complete(void *ctx, struct MHD_Connection *c, void **at,
                     enum MHD_RequestTerminationCode how)
{
    const union MHD_ConnectionInfo *client =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct request *r = *at;
    struct http *h = ctx;

    (void)how;
    if (client)
        patience_renew(h->patience, client->socket_context);
    if (!r)
        return;
    if (r->form)
        MHD_destroy_post_processor(r->form);
    for (int i = 0; i < HTTP_PHOTOS; i++) {
        atomic_fetch_sub(&r->h->held, r->photo[i].n);
        free(r->photo[i].p);
    }
    free(r);
    *at = NULL;
}

static void come_or_go(void *ctx, struct MHD_Connection *c, void **client,
                       enum MHD_ConnectionNotificationCode what)
{
    struct http *h = ctx;

    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        *client = patience_add(
            h->patience, MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
    else
        patience_drop(h->patience, *client);
}

/* --- the server ----------------------------------------------------------------------------------- */

static int start_one(struct http *h, const char *address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)h->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)h->port)};
    const int is_v6 = inet_pton(AF_INET6, address, &v6.sin6_addr) == 1;

    if (!is_v6 && inet_pton(AF_INET, address, &v4.sin_addr) != 1)
        return fv_err(FV_EINVAL, "--listen %s: is no address", address);
    struct MHD_Daemon *d = MHD_start_daemon(
        MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | (is_v6 ? MHD_USE_IPv6 : 0), 0, NULL, NULL,
        handle, h, MHD_OPTION_SOCK_ADDR, is_v6 ? (void *)&v6 : (void *)&v4,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)h->s.connections, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)h->s.idle_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_BYTES,
        MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)BACKLOG, MHD_OPTION_NOTIFY_COMPLETED, complete, h,
        MHD_OPTION_NOTIFY_CONNECTION, come_or_go, h, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_END);
    if (!d)
        return fv_err_errno(FV_EIO, "%s, port %d: cannot listen", address, h->port);
    h->daemon[h->daemons++] = d;
    if (h->port == 0)
        h->port = MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT)->port;
    return FV_OK;
}

static int start(struct http *h)
{
    if (!h->s.listen) {
        FV_TRY(start_one(h, "127.0.0.1"));
        start_one(h, "::1"); /* not every machine has it */
        return FV_OK;
    }
    const int loopback = host_is_loopback(h->s.listen);
    if (loopback == 0 && !h->s.token)
        return fv_err(FV_EUSAGE, "--listen %s: others can reach that: it takes a --token-file",
                      h->s.listen);
    return start_one(h, h->s.listen);
}

int http_start(struct http **out, const struct http_settings *s, http_answer *answer, void *ctx)
{
    struct http *h = *out = calloc(1, sizeof *h);

    if (!h)
        return fv_err(FV_ENOMEM, "out of memory");
    h->s = *s;
    h->answer = answer;
    h->ctx = ctx;
    h->port = s->port;
    pthread_mutex_init(&h->lock, NULL);
    int rc = patience_start(&h->patience, s->total_s);
    if (rc >= 0)
        rc = start(h);
    if (rc < 0)
        http_stop(out);
    return rc;
}

int http_port(const struct http *h)
{
    return h->port;
}

void http_stop(struct http **h)
{
    if (!*h)
        return;
    for (int i = 0; i < (*h)->daemons; i++)
        MHD_stop_daemon((*h)->daemon[i]);
    patience_stop(&(*h)->patience);
    pthread_mutex_destroy(&(*h)->lock);
    free(*h);
    *h = NULL;
}
