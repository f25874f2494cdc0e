/* SPDX-License-Identifier: MIT */
/* fvtrain: a data set in, a run folder out.
 *
 * The settings that describe the result are kept in the run folder; --resume takes them from there, so that going
 * on is one word. Transient ones (threads, verbosity, paths of output) may be given anew.
 */
#include "tools/fvtrain.h"
#include "tools/command.h"
#include "tools/train_curves.h"
#include "tools/train_ranks.h"
#include "tools/train_recipe.h"
#include "tools/train_report.h"
#include "tools/train_sources.h"

#include "augment/augment.h"
#include "common/err.h"
#include "common/fs.h"
#include "common/opt.h"
#include "trainer/trainer.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Mild enough for a few images an identity and a short training; --aug gives another. */
static const char default_policy[] = "rrc(0.8),flip,rotate(10),jitter(0.2,0.2,0.2),erase(0.1)";

struct options {
    const char *db, *pairs, *out, *resume, *recipe;
    int64_t max_pairs;
    int report, quiet;
};

#define FIELD(name) offsetof(struct options, name)
static const struct fv_opt run_opts[] = {
    {.name = "db",
     .letter = 'd',
     .type = FV_OPT_STRING,
     .offset = FIELD(db),
     .metavar = "FILE",
     .help = "data set to train on, made by fvprep pack; a list with commas is one data set"},
    {.name = "out",
     .letter = 'o',
     .type = FV_OPT_STRING,
     .flags = FV_OPT_TRANSIENT,
     .offset = FIELD(out),
     .metavar = "RUN",
     .help = "run folder to make; without it runs/<name of the data set>-<number>"},
    {.name = "resume",
     .type = FV_OPT_STRING,
     .flags = FV_OPT_TRANSIENT,
     .offset = FIELD(resume),
     .metavar = "RUN",
     .help = "go on with this run, with its data set and settings"},
    {.name = "recipe",
     .type = FV_OPT_STRING,
     .flags = FV_OPT_TRANSIENT,
     .offset = FIELD(recipe),
     .metavar = "NAME",
     .help = "take options from this recipe or file; those given here go before. `list` shows all"},
    {.name = "pairs",
     .type = FV_OPT_STRING,
     .offset = FIELD(pairs),
     .metavar = "FILE",
     .help = "verification pairs; without it they are drawn from the held-out identities"},
    {.name = "max-pairs",
     .type = FV_OPT_INT,
     .offset = FIELD(max_pairs),
     .metavar = "N",
     .help = "pairs to draw where there is no --pairs; 0: no verification",
     .min = 0,
     .max = 1e8},
    {.name = "report",
     .type = FV_OPT_FLAG,
     .flags = FV_OPT_TRANSIENT,
     .offset = FIELD(report),
     .help = "end with report.html, if there was verification"},
    {.name = "quiet",
     .letter = 'q',
     .type = FV_OPT_FLAG,
     .flags = FV_OPT_TRANSIENT,
     .offset = FIELD(quiet),
     .help = "say nothing but warnings and the result"},
    {.name = NULL},
};

static const struct fv_command command = {
    .name = "fvtrain",
    .summary = "Trains a net to recognise faces, and keeps what comes of it in a run folder.",
    .usage = "--db FILE [options] | --resume RUN [options] | COMMAND ...",
    .notes =
        "commands, each with its own --help:\n"
        "  fvtrain ls RUNS...          what became of runs\n"
        "  fvtrain compare RUN RUN...  runs side by side, and the settings that differ\n"
        "  fvtrain export RUN          its net as safetensors, ONNX or a table of layers\n"
        "\n"
        "examples:\n"
        "  fvtrain --db faces.lmdb\n"
        "  fvtrain --db faces.lmdb --out runs/long --epochs 100 --aug 'flip,cutmix(1,p=.5)'\n"
        "  fvtrain --resume runs/long\n"
        "  fvtrain --db faces.lmdb --recipe resnet18-cutmix --epochs 60\n"
        "  fvtrain --recipe list\n"
        "  fvtrain --aug list\n"
        "  fvtrain --arch list\n"
        "  fvtrain --loss list\n"
        "  fvtrain export runs/long --to onnx -o faces.onnx\n"
        "  fvtrain --db faces.lmdb --order pk --loss 'ce(smooth=0.1)+0.2*triplet'\n"
        "\n"
        "Ctrl-C finishes the step and leaves a checkpoint to resume from; a second Ctrl-C ends at "
        "once.\n"
        "\n"
        "several processes train one net, --batch images a step together:\n"
        "  mpirun -n 4 fvtrain --db faces.lmdb --batch 256\n"
        "  torchrun --nproc-per-node 4 --no-python fvtrain --db faces.lmdb --batch 256\n"
        "  srun -n 4 fvtrain --db faces.lmdb --batch 256",
    .max_args = 0,
};

struct settings {
    struct options run;
    struct fv_loader_settings loader;
    struct fv_train_settings train;
    struct fv_comm_settings comm;
    struct tool_trace trace;
};
enum { GROUPS = 5 };

static void set_defaults(struct settings *s)
{
    s->run = (struct options){.max_pairs = 6000, .report = 1};
    s->trace = (struct tool_trace){0};
    fv_loader_defaults(&s->loader);
    s->loader.policy = default_policy;
    fv_train_defaults(&s->train);
    fv_comm_defaults(&s->comm);
}

static void list_groups(struct settings *s, struct fv_opt_group groups[GROUPS])
{
    groups[0] = (struct fv_opt_group){"Run", run_opts, &s->run};
    groups[1] = (struct fv_opt_group){"Data", fv_loader_opts, &s->loader};
    groups[2] = (struct fv_opt_group){"Training", fv_train_opts, &s->train};
    groups[3] = (struct fv_opt_group){"Several processes", fv_comm_opts, &s->comm};
    groups[4] = (struct fv_opt_group){"Tracing", tool_trace_opts, &s->trace};
}

/* --aug list */
static int wants_policies(const struct settings *s)
{
    return strcmp(s->loader.policy, "list") == 0;
}

/* --arch list */
static int wants_archs(const struct settings *s)
{
    return strcmp(s->train.arch, "list") == 0;
}

/* --loss list */
static int wants_losses(const struct settings *s)
{
    return strcmp(s->train.loss, "list") == 0;
}

/* --recipe list */
static int wants_recipes(const struct settings *s)
{
    return s->run.recipe && strcmp(s->run.recipe, "list") == 0;
}

static int wants_list(const struct settings *s)
{
    return wants_policies(s) || wants_archs(s) || wants_losses(s) || wants_recipes(s);
}

static int print_list(const struct settings *s)
{
    enum { FACE_PX = 112 };
    if (wants_recipes(s))
        return train_recipe_list(stdout);
    if (wants_policies(s)) {
        fv_policy_help(stdout);
        return 0;
    }
    if (wants_losses(s)) {
        fv_loss_help(stdout);
        return 0;
    }
    printf("At %d px, without the head; a multiply-add is two operations.\n\n", FACE_PX);
    return fv_arch_write_table(stdout, FACE_PX);
}

/* The value of "db = ..." in a saved settings text, to free; NULL if there is none. */
static char *saved_db(const char *text)
{
    const char *line = strncmp(text, "db = ", 5) == 0 ? text : strstr(text, "\ndb = ");
    if (!line)
        return NULL;
    line += *line == '\n' ? 6 : 5;
    return strndup(line, strcspn(line, "\n"));
}

/* The settings text of the run to resume, as rank 0 reads it. */
static int read_run(const struct settings *s, struct fv_comm *comm, char **text)
{
    size_t n;
    int rc = 0;
    char *path = fv_format("%s/settings.txt", s->run.resume);
    if (!path)
        return fv_err(FV_ENOMEM, "out of memory");
    if (fv_comm_rank(comm) == 0)
        rc = fv_file_read(path, 1 << 20, text, &n);
    if (rc == FV_ENOTFOUND)
        rc = fv_err(FV_ENOTFOUND, "%s: there is no run to resume (no settings.txt in it)",
                    s->run.resume);
    free(path);
    FV_TRY(rc);
    FV_TRY(train_ranks_share_text(comm, text));
    char *whole = fv_train_settings_complete(*text);
    free(*text);
    *text = whole;
    return whole ? 0 : fv_err(FV_ENOMEM, "out of memory");
}

/* Everything that the settings and the run own. */
struct owned {
    struct fv_comm *comm;
    char *kept;          /* the text that settings of a resumed run or of a recipe point to */
    char *db, *original; /* where the data set is, and where it was when the run began */
    char *pairs, *policy, *init;
};

/* The command line once more, above its recipe. */
static int read_recipe(struct settings *s, int argc, char **argv, struct fv_args *args,
                       struct owned *own)
{
    struct fv_opt_group groups[GROUPS];
    const char *name = s->run.recipe;
    if (s->run.resume)
        return fv_err(FV_EUSAGE, "--resume goes on with a run's own settings: leave --recipe out");
    set_defaults(s);
    list_groups(s, groups);
    FV_TRY(train_recipe_read(name, groups, GROUPS, &own->kept));
    if (s->run.resume || s->run.recipe)
        return fv_err(FV_EUSAGE, "%s: a recipe cannot name a run to resume or another recipe",
                      name);
    return fv_opt_parse(&command, groups, GROUPS, argc, argv, args);
}

/* Command line and, below it, its recipe or the settings of the run to resume. Meets the other processes, if there
 * are any. */
static int read_settings(struct settings *s, int argc, char **argv, struct fv_args *args,
                         struct owned *own)
{
    struct fv_opt_group groups[GROUPS];
    set_defaults(s);
    list_groups(s, groups);
    FV_TRY(fv_opt_parse(&command, groups, GROUPS, argc, argv, args));
    if (s->run.recipe && !wants_list(s))
        FV_TRY(read_recipe(s, argc, argv, args, own));
    if (args->help || wants_list(s))
        return 0;
    if (!s->run.resume && !s->run.db)
        return fv_err(FV_EUSAGE, "which data set? fvtrain --db FILE, or fvtrain --resume RUN");
    if (s->run.resume && s->run.out)
        return fv_err(
            FV_EUSAGE,
            "--out makes a new run and --resume goes on with an old one: give one of them");
    FV_TRY(fv_comm_open(&own->comm, &s->comm));
    if (!s->run.resume)
        return 0;
    const char *run = s->run.resume;
    FV_TRY(read_run(s, own->comm, &own->kept));
    own->original = saved_db(own->kept);
    set_defaults(s);
    char *path = fv_format("%s/settings.txt", run);
    int rc = path ? fv_opt_read_text(groups, GROUPS, own->kept, path)
                  : fv_err(FV_ENOMEM, "out of memory");
    if (rc == 0 && !s->run.db)
        rc = fv_err(FV_ECORRUPT, "%s: does not say what data set it belongs to", path);
    free(path);
    FV_TRY(rc);
    return fv_opt_parse(&command, groups, GROUPS, argc, argv, args);
}

/* What a run that does not name an option is taken to have of it. */
static char *defaults_text(void)
{
    struct fv_opt_group groups[GROUPS];
    struct settings fresh;
    set_defaults(&fresh);
    list_groups(&fresh, groups);
    return fv_opt_write_text(groups, GROUPS);
}

/* The settings as the run keeps them. A data set may have moved: where it is now belongs to this call only, and
 * that it is the same is checked by its digest. */
static char *settings_text(struct settings *s, const char *original_db)
{
    struct fv_opt_group groups[GROUPS];
    const char *db = s->run.db;
    list_groups(s, groups);
    s->run.db = original_db;
    char *text = fv_opt_write_text(groups, GROUPS);
    s->run.db = db;
    if (!text)
        fv_err(FV_ENOMEM, "out of memory");
    return text;
}

static int check_one_line(const char **path, const char *absolute)
{
    if (strchr(absolute, '\n'))
        return fv_err(FV_EINVAL, "%s: saved settings have no room for a path of several lines",
                      absolute);
    *path = absolute;
    return 0;
}

static int make_absolute(const char **path, char **owner)
{
    if (!*path)
        return 0;
    *owner = realpath(*path, NULL);
    if (!*owner && errno == ENOENT)
        return fv_err(FV_ENOTFOUND, "%s: there is no such file", *path);
    if (!*owner)
        return fv_err_errno(FV_EIO, "%s", *path);
    return check_one_line(path, *owner);
}

/* Of one file or several. */
static int make_db_absolute(const char **path, char **owner, const char *remedy)
{
    if (!*path)
        return 0;
    const int rc = fv_store_absolute_path(owner, *path);
    if (rc == FV_ENOTFOUND && *remedy) {
        char text[FV_ERR_TEXT_MAX];
        fv_err_save(text);
        return fv_err(rc, "%s%s", text, remedy);
    }
    FV_TRY(rc);
    return check_one_line(path, *owner);
}

/* runs/<data set>-<first free number>. mkdir itself decides who gets a number. */
static char *new_run_folder(const char *db)
{
    const char *name = strrchr(db, '/') ? strrchr(db, '/') + 1 : db;
    const char *dot = strrchr(name, '.');
    const int length = dot && dot != name ? (int)(dot - name) : (int)strlen(name);
    if (fv_mkdirs("runs") < 0)
        return NULL;
    for (int i = 1; i < 1000000; i++) {
        char *folder = fv_format("runs/%.*s-%d", length, name, i);
        if (!folder || mkdir(folder, 0777) == 0)
            return folder;
        const int taken = errno == EEXIST;
        if (!taken)
            fv_err_errno(FV_EIO, "%s: cannot create", folder);
        free(folder);
        if (!taken)
            return NULL;
    }
    fv_err(FV_EEXIST, "runs: there is no free number for %.*s", length, name);
    return NULL;
}

/* There is nothing at this path, or an empty folder. */
static int is_vacant(const char *path)
{
    DIR *dir = opendir(path);
    int entries = 0;
    if (!dir)
        return errno == ENOENT;
    while (entries <= 2 && readdir(dir))
        entries++;
    closedir(dir);
    return entries <= 2; /* itself and the one above */
}

/* The folder of the run, to free; NULL after an error. Only rank 0 has one. */
static char *run_folder(const struct options *o, const struct fv_comm *comm)
{
    if (fv_comm_rank(comm) > 0)
        return strdup("the run folder");
    if (o->resume)
        return strdup(o->resume);
    if (!o->out)
        return new_run_folder(o->db);
    if (!is_vacant(o->out)) {
        fv_err(FV_EEXIST, "%s: is there already and not empty: take another --out, or --resume it",
               o->out);
        return NULL;
    }
    return strdup(o->out);
}

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

/* What the run came to, from its own last checkpoint: results, so on stdout. */
static int print_result(const char *folder)
{
    struct fv_st *st;
    char *path = fv_format("%s/last.safetensors", folder);
    int rc = path ? fv_st_open(&st, path) : fv_err(FV_ENOMEM, "out of memory");
    free(path);
    FV_TRY(rc);
    const char *cls = fv_st_meta(st, "best_cls_epoch"), *acc = fv_st_meta(st, "best_cls_accuracy");
    const char *ver = fv_st_meta(st, "best_ver_epoch"), *eer = fv_st_meta(st, "best_ver_eer");
    const char *auc = fv_st_meta(st, "best_ver_auc"), *epoch = fv_st_meta(st, "epoch");
    printf("run         %s\n", folder);
    printf("trained     %s epochs  %s/last.safetensors\n", epoch ? epoch : "?", folder);
    if (cls && acc && strcmp(cls, "0") != 0)
        printf("validation  %.2f %% right at epoch %s  %s/best_cls.safetensors\n",
               strtod(acc, NULL) * 100, cls, folder);
    if (ver && eer && auc && strcmp(ver, "0") != 0)
        printf("verify      EER %.2f %%, AUC %.4f at epoch %s  %s/best_ver.safetensors\n",
               strtod(eer, NULL) * 100, strtod(auc, NULL), ver, folder);
    fv_st_close(&st);
    return 0;
}

static void print_banner(struct settings *s)
{
    struct fv_opt_group groups[GROUPS];
    struct settings fresh;
    void *defaults[GROUPS] = {&fresh.run, &fresh.loader, &fresh.train, &fresh.comm, &fresh.trace};
    set_defaults(&fresh);
    list_groups(s, groups);
    fv_opt_banner(groups, GROUPS, defaults, stderr);
}

/* The part between open sources and the result. */
static int train(struct settings *s, struct fv_comm *comm, const char *original_db,
                 const struct fv_report *report)
{
    struct train_sources src;
    const int first = fv_comm_rank(comm) == 0;
    char *text = settings_text(s, original_db), *usual = defaults_text(), *folder = NULL;
    if (!text || !usual) {
        free(text);
        free(usual);
        return fv_err(FV_ENOMEM, "out of memory");
    }
    s->train.seed = s->loader.seed;
    s->loader.report = report;
    int rc = train_ranks_divide(comm, &s->loader);
    if (rc == 0)
        rc =
            train_sources_open(&src, s->run.db, &s->loader, s->run.pairs, s->run.max_pairs, report);
    if (rc < 0) {
        free(text);
        free(usual);
        return rc;
    }
    rc = FV_EIO;
    if ((folder = run_folder(&s->run, comm))) {
        src.data.settings_text = text;
        src.data.settings_defaults = usual;
        src.data.comm = comm;
        struct train_curves curves = {.folder = folder, .report = report};
        src.data.epoch_done = train_curves_update;
        src.data.epoch_ctx = &curves;
        fv_say(report, FV_LEVEL_INFO, "run folder %s", folder);
        catch_signals();
        rc = fv_train_run(&s->train, &src.data, folder, s->run.resume != NULL, report);
        if (first)
            train_curves_finish(&curves);
        if (rc == FV_EINTR && s->train.threads)
            fv_say(report, FV_LEVEL_WARN, "%s; go on with: fvtrain --resume %s --threads %lld",
                   fv_err_text(), folder, (long long)s->train.threads);
        else if (rc == FV_EINTR)
            fv_say(report, FV_LEVEL_WARN, "%s; go on with: fvtrain --resume %s", fv_err_text(),
                   folder);
        if (rc == 0 && first && s->run.report &&
            train_report_write(folder, &src, &s->train, s->loader.batch) < 0)
            fv_say(report, FV_LEVEL_WARN, "no report: %s", fv_err_text());
        if (rc == 0 && first)
            rc = print_result(folder);
    }
    if (rc < 0 && folder && first && !s->run.out && !s->run.resume)
        rmdir(folder); /* goes only if the run never began */
    free(folder);
    free(text);
    free(usual);
    train_sources_close(&src);
    return rc;
}

/* From settings to the result. Only rank 0 speaks, and is traced; what a rank fails of, it says itself. */
static int work(struct settings *s, struct owned *own)
{
    const int first = fv_comm_rank(own->comm) == 0;
    const int level = !first ? FV_LEVEL_ERROR : s->run.quiet ? FV_LEVEL_WARN : FV_LEVEL_INFO;
    const struct fv_report *report = fv_console_report("fvtrain", level);
    FV_TRY(fv_policy_expand(&own->policy, s->loader.policy));
    s->loader.policy = own->policy;
    FV_TRY(make_db_absolute(&s->run.db, &own->db,
                            s->run.resume ? ": if it has moved, say where to with --db" : ""));
    FV_TRY(make_absolute(&s->run.pairs, &own->pairs));
    if (!s->run.resume) /* what goes on has its weights already */
        FV_TRY(make_absolute(&s->train.init, &own->init));
    if (level >= FV_LEVEL_INFO)
        print_banner(s);
    if (first)
        FV_TRY(tool_trace_start(&s->trace));
    return train(s, own->comm, own->original ? own->original : s->run.db, report);
}

/* Says what there is to say, then leaves the other processes or, after a failure, ends them. */
static int finish(struct owned *own, int rc)
{
    char name[32] = "fvtrain", why[FV_ERR_TEXT_MAX];
    if (fv_comm_world(own->comm) > 1 && rc != FV_EUSAGE)
        snprintf(name, sizeof name, "fvtrain[%d]", own->comm->rank);
    fv_err_save(why);
    int status = tool_exit(name, rc == FV_EINTR ? 0 : rc);
    if (rc == FV_EINTR && status == 0)
        status = 130; /* what there is to say of it has been said */
    free(own->kept);
    free(own->db);
    free(own->original);
    free(own->pairs);
    free(own->policy);
    free(own->init);
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
    struct settings s;
    struct fv_args args;
    struct owned own = {0};
    int status;
    if (tool_command_runs("fvtrain", commands, sizeof commands / sizeof commands[0], argc, argv,
                          &status))
        return status;
    if (tool_version("fvtrain", argc, argv))
        return tool_exit("fvtrain", 0);
    int rc = read_settings(&s, argc, argv, &args, &own);
    if (rc == 0 && args.help) {
        struct fv_opt_group groups[GROUPS];
        list_groups(&s, groups);
        fv_opt_help(&command, groups, GROUPS, stdout);
        free(own.kept);
        return tool_exit("fvtrain", 0);
    }
    if (rc == 0 && wants_list(&s)) {
        rc = print_list(&s);
        free(own.kept);
        return tool_exit("fvtrain", rc);
    }
    if (rc == 0)
        rc = work(&s, &own);
    return finish(&own, rc);
}
