/* SPDX-License-Identifier: MIT */
/* fvtrain: a data set in, a run folder out. */
#include "tools/train/fvtrain.h"

#include "tools/command.h"
#include "tools/train/train_curves.h"
#include "tools/train/train_folder.h"
#include "tools/train/train_ranks.h"
#include "tools/train/train_report.h"
#include "tools/train/train_settings.h"
#include "tools/train/train_sources.h"

#include "common/err.h"
#include "common/report.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void on_signal(int sig)
{
    static const char words[] =
        "\nfvtrain: finishing this step, then a checkpoint (Ctrl-C once more: end at once)\n";
    if (fv_train_stop && sig == SIGINT)
        _exit(130);
    if (fv_train_stop)
        return;
    fv_train_stop = 1;
    if (write(STDERR_FILENO, words, sizeof words - 1) < 0)
        return;
}

static void catch_signals(void)
{
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGUSR1, &a, NULL); /* sbatch --signal=USR1@60: a job's time is nearly up */
}

static void say_how_to_go_on(const struct train_settings *s, const char *folder,
                             const struct fv_report *report)
{
    char threads[40] = "";
    if (s->train.threads)
        snprintf(threads, sizeof threads, " --threads %lld", (long long)s->train.threads);
    fv_say(report, FV_LEVEL_WARN, "%s; go on with: fvtrain --resume %s%s", fv_err_text(), folder,
           threads);
}

/* Curves and the report of rank 0 take as long as they take: nobody is to wait for them, and to give it up at that. */
static void leave_others(struct fv_comm **comm)
{
    char text[FV_ERR_TEXT_MAX];
    fv_err_save(text);
    fv_comm_close(comm);
    fv_err_restore(0, text);
}

/* The part between open sources and the result. */
static int train_in(const char *folder, struct train_settings *s, struct train_sources *src,
                    struct fv_comm **comm, const struct fv_report *report)
{
    const int first = fv_comm_rank(*comm) == 0;
    struct train_curves curves = {.folder = folder, .report = report};
    struct fv_train_result result;
    src->data.epoch_done = train_curves_update;
    src->data.epoch_ctx = &curves;
    src->data.result = &result;
    fv_say(report, FV_LEVEL_INFO, "run folder %s", folder);
    catch_signals();
    const int rc = fv_train_run(&s->train, &src->data, folder, s->run.resume != NULL, report);
    if (rc == 0 || rc == FV_EINTR)
        leave_others(comm);
    if (first)
        train_curves_finish(&curves);
    if (rc == FV_EINTR)
        say_how_to_go_on(s, folder, report);
    if (rc < 0 || !first)
        return rc;
    if (s->run.report && train_report_write(folder, src, &s->train, s->loader.batch) < 0)
        fv_say(report, FV_LEVEL_WARN, "no report: %s", fv_err_text());
    return train_folder_print_result(folder, &result);
}

static int train(struct train_settings *s, struct fv_comm **comm, const char *text,
                 const char *usual, const struct fv_report *report)
{
    const int first = fv_comm_rank(*comm) == 0;
    struct train_sources src;
    struct fv_train_device *device;
    s->train.seed = s->loader.seed;
    s->loader.report = report;
    FV_TRY(train_ranks_divide(*comm, &s->loader));
    /* before the loader: batches lie where the device reads them */
    FV_TRY(fv_train_device_open(&device, &s->train, *comm));
    const struct fv_allocator memory = {device, fv_train_device_alloc, fv_train_device_free};
    s->loader.allocator = &memory;
    int rc =
        train_sources_open(&src, s->run.db, &s->loader, s->run.pairs, s->run.max_pairs, report);
    if (rc < 0) {
        fv_train_device_close(&device);
        return rc;
    }
    src.data.settings_text = text;
    src.data.settings_defaults = usual;
    src.data.comm = *comm;
    src.data.device = device;
    char *folder = train_folder_name(s->run.resume, s->run.out, s->run.db, *comm);
    rc = folder ? train_in(folder, s, &src, comm, report) : FV_EIO;
    if (rc < 0 && folder && first && !s->run.out && !s->run.resume)
        rmdir(folder); /* goes only if the run never began */
    free(folder);
    train_sources_close(&src);
    fv_train_device_close(&device);
    s->loader.allocator = NULL;
    return rc;
}

/* From settings to the result. Only rank 0 speaks, and is traced; what a rank fails of, it says itself. */
static int work(struct train_settings *s, struct train_owned *own)
{
    const int first = fv_comm_rank(own->comm) == 0;
    const int level = !first ? FV_LEVEL_ERROR : s->run.quiet ? FV_LEVEL_WARN : FV_LEVEL_INFO;
    const struct fv_report *report = fv_console_report("fvtrain", level);
    FV_TRY(train_settings_complete(s, own));
    if (level >= FV_LEVEL_INFO)
        train_settings_print_banner(s);
    if (first)
        FV_TRY(tool_trace_start(&s->trace));
    char *text = train_settings_text(s, own->original ? own->original : s->run.db);
    char *usual = train_settings_defaults_text();
    const int rc = text && usual ? train(s, &own->comm, text, usual, report) : FV_ENOMEM;
    free(text);
    free(usual);
    return rc;
}

/* Says what there is to say, then leaves the other processes, if they are there yet, or, after a failure, ends them. */
static int finish(struct train_owned *own, int rc)
{
    char name[32] = "fvtrain", why[FV_ERR_TEXT_MAX];
    if (fv_comm_world(own->comm) > 1 && rc != FV_EUSAGE)
        snprintf(name, sizeof name, "fvtrain[%d]", own->comm->rank);
    fv_err_save(why);
    int status = tool_exit(name, rc == FV_EINTR ? 0 : rc);
    if (rc == FV_EINTR && status == 0)
        status = 130; /* what there is to say of it has been said */
    train_owned_free(own);
    if (rc < 0 && rc != FV_EINTR)
        fv_comm_abort(&own->comm, why);
    else
        fv_comm_close(&own->comm);
    return status;
}

int main(int argc, char **argv)
{
    static const struct tool_command commands[] = {
        {&fvtrain_ls_cmd, fvtrain_ls},
        {&fvtrain_compare_cmd, fvtrain_compare},
        {&fvtrain_export_cmd, fvtrain_export},
    };
    struct train_settings s;
    struct fv_args args;
    struct train_owned own = {0};
    int status;
    if (tool_command_runs("fvtrain", commands, sizeof commands / sizeof commands[0], argc, argv,
                          &status))
        return status;
    if (tool_version("fvtrain", argc, argv))
        return tool_exit("fvtrain", 0);
    int rc = train_settings_read(&s, argc, argv, &args, &own);
    if (rc == 0 && args.help) {
        train_settings_print_help(&s);
        train_owned_free(&own);
        return tool_exit("fvtrain", 0);
    }
    if (rc == 0 && train_settings_wants_list(&s)) {
        rc = train_settings_print_list(&s);
        train_owned_free(&own);
        return tool_exit("fvtrain", rc);
    }
    if (rc == 0)
        rc = work(&s, &own);
    return finish(&own, rc);
}
