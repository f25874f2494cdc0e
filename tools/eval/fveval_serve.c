/* SPDX-License-Identifier: MIT */
/* fveval serve: a page on this machine that compares photographs and looks people up, and the same for programs. The
 * gallery is embedded once, before the first question. */
#include "tools/eval/fveval.h"

#include "common/err.h"
#include "common/fs.h"
#include "common/opt.h"
#include "common/report.h"
#include "tools/command.h"
#include "tools/eval/gallery_question.h"
#include "tools/serve/answer.h"
#include "tools/serve/http.h"
#include "tools/serve/page.h"
#include "tools/serve/page_script.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_LEAST = 16, TOKEN_MOST = 4096 };

struct serve_settings {
    struct gallery_question known;
    const char *listen, *token_file, *hosts;
    int64_t port, upload_mb, connections, idle_s, total_s, per_minute;
};

#define FIELD(f) offsetof(struct serve_settings, f)
/* clang-format off */
static const struct fv_opt net_opts[] = {
    {"listen", 0, FV_OPT_STRING, 0, FIELD(listen), "ADDRESS", "unset: 127.0.0.1 and ::1, this machine alone",
     0, 0, NULL},
    {"port", 0, FV_OPT_INT, 0, FIELD(port), "N", "0: any that is free", 0, 65535, NULL},
    {"token-file", 0, FV_OPT_STRING, 0, FIELD(token_file), "FILE", "its first line is asked for: as password, or as "
     "'Authorization: Bearer'", 0, 0, NULL},
    {"hosts", 0, FV_OPT_STRING, 0, FIELD(hosts), "LIST", "names that lead here, besides localhost and addresses",
     0, 0, NULL},
    {"max-upload", 0, FV_OPT_INT, 0, FIELD(upload_mb), "MB", "of one question; of all at once, eight times as much",
     1, 512, NULL},
    {"max-connections", 0, FV_OPT_INT, 0, FIELD(connections), "N", "others wait", 1, 1000, NULL},
    {"max-idle", 0, FV_OPT_INT, 0, FIELD(idle_s), "SECONDS", "without a byte", 1, 3600, NULL},
    {"max-time", 0, FV_OPT_INT, 0, FIELD(total_s), "SECONDS", "for a request and its answer, in all", 1, 3600, NULL},
    {"max-per-minute", 0, FV_OPT_INT, 0, FIELD(per_minute), "N", "questions with photos", 1, 1000000, NULL},
    {.name = NULL},
};
static const struct fv_opt output_opts[] = {
    {"quiet", 'q', FV_OPT_FLAG, 0, FIELD(known.net.quiet), NULL, "only where it listens, warnings and errors",
     0, 0, NULL},
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

const struct fv_command fveval_serve_cmd = {
    .name = "fveval serve",
    .summary =
        "A page on this machine that compares photos and looks people up; JSON for programs.",
    .usage = "--model CHECKPOINT --gallery FILE [options]",
    .notes = "  fveval serve --model best_ver.safetensors --gallery faces.lmdb\n"
             "  curl -F photo=@a.jpg -F photo=@b.jpg http://127.0.0.1:8471/api/compare\n\n"
             "Ctrl-C ends it. Nothing that is sent is kept. docs/serve.md describes the JSON.",
    .min_args = 0,
    .max_args = 0,
};

/* --- answers -------------------------------------------------------------------------------------- */

static void answer(void *ctx, int json, const struct http_photo *photo, int photos,
                   const char *complaint, struct http_reply *out)
{
    struct answerer *s = ctx;
    struct answer a = {0};
    char why[FV_ERR_TEXT_MAX];

    if (photos > 0) {
        const int rc = answer_make(&a, s, photo, photos);
        if (rc < 0) {
            fv_err_save(why);
            complaint = why;
            out->status = rc == FV_EINVAL || rc == FV_ECORRUPT || rc == FV_EUNSUPPORTED ? 422 : 500;
        }
    }
    struct answer *good = photos > 0 && !complaint ? &a : NULL;
    int rc = json ? page_json(s, good, complaint, out) : page_html(s, good, complaint, out);
    if (rc < 0 && good) { /* an image of the gallery may be damaged */
        fv_err_save(why);
        out->status = 500;
        if (json)
            page_json(s, NULL, why, out);
        else
            page_html(s, NULL, why, out);
    }
    answer_free(&a);
}

/* --- opening -------------------------------------------------------------------------------------- */

static int open_all(struct answerer *a, const struct gallery_question *s,
                    const struct calibration_settings *cs)
{
    a->top = (int)s->top;
    a->aligned = s->aligned;
    FV_TRY(eval_net_open(&a->net, &s->net, s->gallery));
    FV_TRY(eval_net_load(&a->net, s->model));
    FV_TRY(calibration_open(&a->calibration, cs, &a->net));
    const uint64_t labels = fv_store_info(a->net.store)->labels;
    a->known = (struct eval_images){.store = a->net.store, .report = a->net.report};
    a->near = malloc((labels + 1) * sizeof *a->near);
    if (!a->near)
        return fv_err(FV_ENOMEM, "out of memory for %" PRIu64 " identities", labels);
    return eval_net_embed_splits(&a->net, &a->known, s->split, &a->emb);
}

static void close_all(struct answerer *a)
{
    calibration_close(&a->calibration);
    free(a->emb);
    free(a->near);
    eval_images_free(&a->known);
    eval_net_close(&a->net);
}

/* The first line of the file, to free. */
static int read_token(char **token, const char *path)
{
    size_t n;

    *token = NULL;
    if (!path)
        return FV_OK;
    FV_TRY(fv_file_read(path, TOKEN_MOST, token, &n));
    (*token)[strcspn(*token, "\r\n")] = '\0';
    if (strlen(*token) >= TOKEN_LEAST)
        return FV_OK;
    free(*token);
    *token = NULL;
    return fv_err(FV_EINVAL, "%s: a token has at least %d characters, on the first line", path,
                  TOKEN_LEAST);
}

/* Blocked before there are threads, so that they come to the one that waits. */
static void block_signals(sigset_t *ends)
{
    sigemptyset(ends);
    sigaddset(ends, SIGINT);
    sigaddset(ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, ends, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int serve(struct answerer *a, const struct serve_settings *s, const char *token)
{
    const struct http_settings hs = {.listen = s->listen,
                                     .port = (int)s->port,
                                     .token = token,
                                     .hosts = s->hosts,
                                     .script = page_script_hash,
                                     .upload_bytes = (size_t)s->upload_mb << 20,
                                     .all_bytes = (size_t)s->upload_mb << 23,
                                     .connections = (int)s->connections,
                                     .idle_s = (int)s->idle_s,
                                     .total_s = (int)s->total_s,
                                     .per_minute = (int)s->per_minute};
    struct http *h = NULL;
    sigset_t ends;
    int signal_got;

    block_signals(&ends);
    FV_TRY(http_start(&h, &hs, answer, a));
    fv_console_endline();
    const int v6 = s->listen && strchr(s->listen, ':') != NULL;
    printf("http://%s%s%s:%d/\n", v6 ? "[" : "", s->listen ? s->listen : "127.0.0.1", v6 ? "]" : "",
           http_port(h));
    fflush(stdout);
    sigwait(&ends, &signal_got);
    http_stop(&h);
    return FV_OK;
}

int fveval_serve(int argc, char **argv)
{
    struct serve_settings s = {.known = GALLERY_QUESTION_DEFAULTS,
                               .port = 8471,
                               .upload_mb = 16,
                               .connections = 64,
                               .idle_s = 15,
                               .total_s = 60,
                               .per_minute = 600};
    struct calibration_settings cs;
    struct tool_trace trace = {0};
    const struct fv_opt_group groups[] = {{"options", gallery_question_opts, &s.known},
                                          {"output", output_opts, &s},
                                          {"threshold", calibration_opts, &cs},
                                          {"network", net_opts, &s},
                                          {"tracing", tool_trace_opts, &trace}};
    struct answerer a = {.calibration.threshold = 0};
    struct fv_args args;
    char *token = NULL;

    calibration_defaults(&cs);
    int rc = tool_begin(&fveval_serve_cmd, groups, 5, argc, argv, &args);
    if (rc)
        return rc;
    FV_TRY(read_token(&token, s.token_file));
    rc = open_all(&a, &s.known, &cs);
    if (rc >= 0)
        rc = serve(&a, &s, token);
    close_all(&a);
    free(token);
    return rc;
}
