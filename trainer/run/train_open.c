/* SPDX-License-Identifier: MIT */
/* Everything before the first step: the request is checked, the folder locked, the net built and compiled, and
 * its numbers come either from the seed or from the last checkpoint.
 *
 * A run goes on only as what it was: the settings and the data kept in its checkpoint must be those given now.
 * The lock makes sure of one process a folder, so whatever temporary file lies there belongs to a dead one.
 */
#include "trainer/run/train_run.h"

#include "trainer/run/ranks.h"
#include "trainer/run/settings_text.h"
#include "trainer/run/train_device.h"
#include "trainer/run/traps.h"

#include "common/clock.h"
#include "common/err.h"
#include "common/fs.h"
#include "common/memory.h"
#include "trainer/files/init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* --mean or --std: a number for each colour. */
static int read_colours(const char *option, const char *text, const float imagenet[3], float out[3])
{
    char rest;
    if (strcmp(text, "imagenet") == 0) {
        memcpy(out, imagenet, 3 * sizeof *out);
        return 0;
    }
    if (sscanf(text, "%f%c", &out[0], &rest) == 1)
        out[1] = out[2] = out[0];
    else if (sscanf(text, "%f,%f,%f%c", &out[0], &out[1], &out[2], &rest) != 3)
        return fv_err(FV_EUSAGE, "--%s %s: one number, three with commas between them, or imagenet",
                      option, text);
    for (int c = 0; c < 3; c++)
        if (!isfinite(out[c]) || (*option == 's' && !(out[c] > 0)))
            return fv_err(FV_EUSAGE, "--%s %s: %s", option, text,
                          *option == 's' ? "numbers above 0" : "finite numbers");
    return 0;
}

static int check_pairs(const struct fv_train_data *d)
{
    size_t genuine = 0;
    for (size_t i = 0; i < d->pairs; i++) {
        const struct fv_index_pair *p = &d->pair[i];
        if (p->a >= d->verify->images_per_epoch || p->b >= d->verify->images_per_epoch)
            return fv_err(FV_EINVAL, "pair %zu names image %u, there are %llu", i,
                          p->a > p->b ? p->a : p->b,
                          (unsigned long long)d->verify->images_per_epoch);
        genuine += p->same != 0;
    }
    if (genuine == 0 || genuine == d->pairs)
        return fv_err(
            FV_EINVAL,
            "verification needs pairs of one person and pairs of two: there are %zu and %zu",
            genuine, d->pairs - genuine);
    return 0;
}

/* What a checkpoint keeps as it is must be fit for it before the first step. */
static int check_text(const char *what, const char *text)
{
    json_t *string = json_string(text);
    if (!string)
        return fv_err(FV_EINVAL,
                      "the %s are not UTF-8, which a checkpoint needs: rename the files they name",
                      what);
    json_decref(string);
    return 0;
}

static int check_request(const struct fv_train_settings *s, const struct fv_train_data *d)
{
    const struct fv_batch_source *t = d->train;
    if (t->classes < 2)
        return fv_err(FV_EINVAL,
                      "there is nothing to tell apart: training sees %d identity, two is the least",
                      t->classes);
    if (t->batches_per_epoch == 0)
        return fv_err(FV_EINVAL, "%llu training images do not fill one batch of %d: lower --batch",
                      (unsigned long long)t->images_per_epoch, t->batch);
    if (t->batch < 2)
        return fv_err(FV_EINVAL, "a batch of one image has no batch statistics: raise --batch");
    if (t->height != t->width)
        return fv_err(FV_EINVAL, "images of %dx%d pixels: a net takes squares", t->width,
                      t->height);
    if (d->val && d->val->classes != t->classes)
        return fv_err(FV_EINVAL,
                      "validation images are of %d identities, training images of %d: labels mean "
                      "one person in both only if they come from one data set",
                      d->val->classes, t->classes);
    if (s->epochs < 1 || s->lr <= 0 || s->t0 < 1 || s->t_mult < 1 || s->accumulate < 1)
        return fv_err(FV_EUSAGE,
                      "--epochs, --t0, --t-mult and --accumulate start at 1, --lr above 0");
    FV_TRY(check_text("settings", d->settings_text));
    return d->verify ? check_pairs(d) : 0;
}

/* As fv_file_create names what it has not finished: "last.safetensors.tmp-4711". */
static int is_leftover(const char *name)
{
    const char *tail = strstr(name, ".tmp-");
    return tail && tail[5] && tail[5 + strspn(tail + 5, "0123456789")] == '\0';
}

static int lock_folder(struct fv_run *run)
{
    FV_TRY(fv_mkdirs(run->folder));
    run->lock = open(run->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (run->lock < 0)
        return fv_err_errno(FV_EIO, "%s: cannot open", run->folder);
    if (flock(run->lock, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK
                   ? fv_err(FV_EEXIST, "%s: another process is training in it", run->folder)
                   : fv_err_errno(FV_EIO, "%s: cannot lock", run->folder);
    DIR *dir = opendir(run->folder);
    for (const struct dirent *e; dir && (e = readdir(dir));)
        if (is_leftover(e->d_name))
            unlinkat(run->lock, e->d_name, 0);
    if (dir)
        closedir(dir);
    return 0;
}

static int compare(const char *folder, const char *what, const char *was, const char *is,
                   const char *usual)
{
    struct fv_settings_difference d;
    if (!fv__settings_differ(was, is, usual ? usual : "", &d))
        return 0;
    return fv_err(FV_EINVAL, "%s: cannot be resumed, because its %s had '%s' and now there is '%s'",
                  folder, what, d.was, d.is);
}

static int compare_settings(const struct fv_run *run, const char *was)
{
    const char *is = run->d->settings_text, *usual = run->d->settings_defaults;
    char *whole = usual ? fv_train_settings_complete(was) : strdup(was);
    const int rc = whole ? compare(run->folder, "settings", whole, is, usual)
                         : fv_err(FV_ENOMEM, "out of memory");
    free(whole);
    return rc;
}

/* What a run killed before its first checkpoint left of itself. */
static int compare_settings_file(struct fv_run *run, const char *path)
{
    char *text;
    size_t n;
    int rc = fv_file_read(path, 1 << 20, &text, &n);
    if (rc == FV_ENOTFOUND)
        return 0;
    FV_TRY(rc);
    rc = compare_settings(run, text);
    free(text);
    return rc;
}

static int resume_from(struct fv_run *run, const struct fv_st *st, const char *path)
{
    const char *settings, *data, *backend;
    const uint64_t spe = run->d->train->batches_per_epoch;
    struct fv_progress_state *at = &run->snap.at;
    run->saves = 1;
    FV_TRY(fv__snapshot_text(st, path, "settings", &settings));
    FV_TRY(fv__snapshot_text(st, path, "data", &data));
    FV_TRY(fv__snapshot_text(st, path, "backend", &backend));
    FV_TRY(compare_settings(run, settings));
    FV_TRY(compare(run->folder, "data", data, run->d->data_id, NULL));
    FV_TRY(fv__snapshot_progress(st, path, at));
    FV_TRY(fv__snapshot_arena(st, path, run->net, run->snap.arena));
    run->snap.half_step = at->step % (uint64_t)run->s->accumulate > 0;
    FV_TRY(fv__snapshot_states(st, path, &run->snap));
    if (at->epoch > (uint64_t)run->s->epochs || at->step < at->epoch * spe ||
        at->step > (at->epoch + 1) * spe || at->updates > at->step || at->watched_epoch > at->epoch)
        return fv_err(FV_ECORRUPT, "%s: step %llu does not lie in epoch %llu of %llu steps each",
                      path, (unsigned long long)at->step, (unsigned long long)at->epoch + 1,
                      (unsigned long long)spe);
    if (at->broken > (uint64_t)run->snap.half_step)
        return fv_err(FV_ECORRUPT,
                      "%s: tells of half a step that was not finite, and no step is half done",
                      path);
    if (strcmp(backend, run->backend_info) != 0)
        fv_say(run->report, FV_LEVEL_WARN,
               "this run was on %s and goes on on %s: it will not end in exactly the same numbers",
               backend, run->backend_info);
    if (at->epoch == (uint64_t)run->s->epochs)
        fv_say(run->report, FV_LEVEL_INFO, "resumed from %s: all %llu epochs are done", path,
               (unsigned long long)at->epoch);
    else
        fv_say(run->report, FV_LEVEL_INFO, "resumed from %s: epoch %llu, step %llu", path,
               (unsigned long long)at->epoch + 1, (unsigned long long)at->step);
    return 0;
}

/* Weights, momenta and progress: from the checkpoint, or fresh ones. */
static int start_or_resume(struct fv_run *run, int resume)
{
    struct fv_st *st = NULL;
    char *last = fv_format("%s/last.safetensors", run->folder);
    char *settings = fv_format("%s/settings.txt", run->folder);
    int rc = last && settings ? 0 : fv_err(FV_ENOMEM, "out of memory");
    int there = rc == 0 && access(last, F_OK) == 0;
    if (there && !resume)
        rc = fv_err(FV_EEXIST,
                    "%s: holds a run already: continue it with --resume, or take another folder",
                    run->folder);
    else if (there && (rc = fv__snapshot_open(&st, last)) == 0)
        rc = resume_from(run, st, last);
    else if (rc == 0 && !there) {
        if (resume)
            rc = compare_settings_file(run, settings);
        fv_net_init(run->net, (uint64_t)run->s->seed, run->snap.arena);
        if (rc == 0 && run->s->init)
            rc = fv_init_load(run->s->init, run->net, run->s->init_bgr, run->snap.arena,
                              run->report, NULL);
        if (rc == 0)
            rc = fv_file_write(settings, run->d->settings_text, strlen(run->d->settings_text));
        if (run->snap.state[FV_STATE_EMA])
            memcpy(run->snap.state[FV_STATE_EMA], run->snap.arena,
                   (run->net->params + run->net->buffers) * sizeof(float));
    }
    fv_st_close(&st);
    free(last);
    free(settings);
    return rc;
}

/* What the backend has chosen, line by line. */
static int say_choices(struct fv_run *run, const struct fv_train_device *on)
{
    if (on->passed_over[0])
        fv_say(run->report, FV_LEVEL_INFO, "%s was taken, since %s", run->backend->name,
               on->passed_over);
    char *text = run->backend->describe ? run->backend->describe(run->program) : NULL;
    if (!text && run->backend->describe)
        return fv_err(FV_ENOMEM, "out of memory");
    for (char *line = text, *end; line && *line; line = end) {
        end = strchrnul(line, '\n');
        fv_say(run->report, FV_LEVEL_INFO, "%.*s", (int)(end - line), line);
        end += *end == '\n';
    }
    free(text);
    return 0;
}

static int build(struct fv_run *run)
{
    const struct fv_train_settings *s = run->s;
    const struct fv_batch_source *t = run->d->train;
    struct fv_arch_settings a = {.size = t->height,
                                 .classes = t->classes,
                                 .stem = s->stem,
                                 .embedding = (int)s->embedding,
                                 .loss = s->loss};
    FV_TRY(read_colours("mean", s->mean, (const float[]){0.485f, 0.456f, 0.406f}, a.mean));
    FV_TRY(read_colours("std", s->std, (const float[]){0.229f, 0.224f, 0.225f}, a.std));
    FV_TRY(fv_net_build(&run->net, s->arch, &a));
    run->net->seed = (uint64_t)s->seed;
    if (!run->d->device)
        FV_TRY(fv_train_device_open(&run->own, s, run->d->comm));
    const struct fv_train_device *on = run->d->device ? run->d->device : run->own;
    run->backend = on->backend;
    run->device = on->device;
    FV_TRY(fv__run_choose_optim(run));
    FV_TRY(run->backend->compile(run->device, run->net, t->batch, 1, &run->optim, &run->program));
    run->backend_info = fv_format("%s (%s)", run->backend->name, run->backend->info(run->device));
    if (run->d->verify) {
        run->emb =
            malloc(run->d->verify->images_per_epoch * (size_t)run->net->embedding * sizeof(float));
        run->score = malloc(run->d->pairs * sizeof *run->score);
        run->same = malloc(run->d->pairs);
    }
    if (!run->backend_info || (run->d->verify && (!run->emb || !run->score || !run->same)))
        return fv_err(FV_ENOMEM, "out of memory for a net of %zu weights", run->net->params);
    for (size_t i = 0; run->d->verify && i < run->d->pairs; i++)
        run->same[i] = run->d->pair[i].same;
    fv_say(run->report, FV_LEVEL_INFO,
           "net %s: %d px, %.2f M parameters, %.1f M multiply-adds an image, embedding of %d, %d "
           "classes",
           s->arch, run->net->size, (double)run->net->params * 1e-6,
           (double)fv_net_macs(run->net) * 1e-6, run->net->embedding, run->net->classes);
    return s->verbose ? say_choices(run, on) : 0;
}

static void warn_of_rate(const struct fv_run *run)
{
    char words[240];
    if (fv__trap_rate(&run->optim, run->s->lr, run->s->init == NULL, words, sizeof words))
        fv_say(run->report, FV_LEVEL_WARN, "%s", words);
}

/* What only the net can tell of the loss. */
static int check_loss(const struct fv_run *run)
{
    char words[240];
    if (run->d->train->mixes && !run->net->loss.soft)
        return fv_err(FV_EUSAGE,
                      "--loss %s: has no meaning for images mixed of two identities: leave cutmix "
                      "and mixup out of --aug",
                      run->net->loss.text);
    if (run->s->patience > 0 && run->watched->needs_val && run->net->logits_node < 0)
        return fv_err(FV_EUSAGE,
                      "--patience-on %s: --loss %s has no class scores to measure it by: watch "
                      "something else",
                      run->s->patience_on, run->net->loss.text);
    if (fv__loss_scale_is_low(&run->net->loss, run->net->classes, words, sizeof words))
        fv_say(run->report, FV_LEVEL_WARN, "%s", words);
    else if (fv__loss_scale_hint(&run->net->loss, run->net->classes, words, sizeof words))
        fv_say(run->report, FV_LEVEL_INFO, "%s", words);
    return 0;
}

/* Weights and states into the program; only then is it known what it takes. */
static int fill_program(struct fv_run *run)
{
    struct fv_snapshot *snap = &run->snap;
    float *sum = snap->state[FV_STATE_SUM];
    for (size_t i = 0; snap->at.broken && sum && i < run->net->params; i++)
        sum[i] = NAN;
    FV_TRY(run->backend->params_set(run->program, snap->arena));
    for (int i = 0; i < FV_STATES; i++)
        if (snap->state[i])
            FV_TRY(run->backend->state_set(run->program, (enum fv_state)i, snap->state[i]));
    fv_say(run->report, FV_LEVEL_INFO, "on %s, batches of %d", run->backend_info,
           run->d->train->batch);
    return fv__run_say_memory(run);
}

static int open_all(struct fv_run *run, int resume)
{
    FV_TRY(check_request(run->s, run->d));
    FV_TRY(fv__run_choose_schedule(run));
    FV_TRY(fv__run_choose_watched(run));
    FV_TRY(build(run));
    FV_TRY(check_loss(run));
    FV_TRY(fv__ranks_join(run));
    fv__run_say_optim(run);
    warn_of_rate(run);
    FV_TRY(fv__run_make_snapshot(run));
    if (fv_comm_rank(run->d->comm) == 0) {
        FV_TRY(lock_folder(run));
        FV_TRY(start_or_resume(run, resume));
    }
    FV_TRY(fv__ranks_share_start(run));
    FV_TRY(fill_program(run));
    fv__stuck_start(&run->stuck);
    if (fv_comm_rank(run->d->comm) == 0)
        FV_TRY(fv_runlog_open(&run->log, run->folder, run->snap.at.step, run->snap.at.epoch));
    run->saved_ns = fv_now_ns();
    run->late = run->backend->read_late != NULL;
    if (run->late)
        FV_TRY(run->backend->read_late(run->program, 1));
    return run->d->train->seek(run->d->train->ctx, run->snap.at.step);
}

int fv__run_open(struct fv_run *run, const struct fv_train_settings *s,
                 const struct fv_train_data *d, const char *folder, int resume,
                 const struct fv_report *r)
{
    *run = (struct fv_run){.s = s, .d = d, .folder = folder, .report = r, .lock = -1};
    run->fleeting = fv__meter_fleeting(r);
    run->resident_before = fv_memory_resident("");
    int rc = open_all(run, resume);
    if (rc < 0)
        fv__run_close(run);
    return rc;
}

void fv__run_close(struct fv_run *run)
{
    fv_runlog_close(&run->log);
    if (run->backend)
        run->backend->release(&run->program);
    fv_train_device_close(&run->own);
    fv_net_free(&run->net);
    free(run->backend_info);
    free(run->snap.arena);
    for (int i = 0; i < FV_STATES; i++)
        free(run->snap.state[i]);
    free(run->lr_factor);
    free(run->decay_factor);
    free(run->emb);
    free(run->score);
    free(run->same);
    if (run->lock >= 0)
        close(run->lock);
    *run = (struct fv_run){.lock = -1};
}
