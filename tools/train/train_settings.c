/* SPDX-License-Identifier: MIT */
/* The settings that describe the result are kept in the run folder; --resume takes them from there, so that going on
 * is one word. Transient ones (threads, verbosity, paths of output) may be given anew.
 */
#include "tools/train/train_settings.h"

#include "tools/train/train_folder.h"
#include "tools/train/train_recipe.h"

#include "common/err.h"
#include "common/fs.h"
#include "common/opt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Mild enough for a few images an identity and a short training; --aug gives another. */
static const char default_policy[] = "rrc(0.8),flip,rotate(10),jitter(0.2,0.2,0.2),erase(0.1)";

#define FIELD(name) offsetof(struct train_run_options, name)
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

enum { GROUPS = 5 };

static void set_defaults(struct train_settings *s)
{
    s->run = (struct train_run_options){.max_pairs = 6000, .report = 1};
    s->trace = (struct tool_trace){0};
    fv_loader_defaults(&s->loader);
    s->loader.policy = default_policy;
    fv_train_defaults(&s->train);
    fv_comm_defaults(&s->comm);
}

static void list_groups(struct train_settings *s, struct fv_opt_group groups[GROUPS])
{
    groups[0] = (struct fv_opt_group){"Run", run_opts, &s->run};
    groups[1] = (struct fv_opt_group){"Data", fv_loader_opts, &s->loader};
    groups[2] = (struct fv_opt_group){"Training", fv_train_opts, &s->train};
    groups[3] = (struct fv_opt_group){"Several processes", fv_comm_opts, &s->comm};
    groups[4] = (struct fv_opt_group){"Tracing", tool_trace_opts, &s->trace};
}

/* --aug list */
static int wants_policies(const struct train_settings *s)
{
    return strcmp(s->loader.policy, "list") == 0;
}

/* --arch list */
static int wants_archs(const struct train_settings *s)
{
    return strcmp(s->train.arch, "list") == 0;
}

/* --loss list */
static int wants_losses(const struct train_settings *s)
{
    return strcmp(s->train.loss, "list") == 0;
}

/* --recipe list */
static int wants_recipes(const struct train_settings *s)
{
    return s->run.recipe && strcmp(s->run.recipe, "list") == 0;
}

int train_settings_wants_list(const struct train_settings *s)
{
    return wants_policies(s) || wants_archs(s) || wants_losses(s) || wants_recipes(s);
}

int train_settings_print_list(const struct train_settings *s)
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

/* The command line once more, above its recipe. */
static int read_recipe(struct train_settings *s, int argc, char **argv, struct fv_args *args,
                       struct train_owned *own)
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
int train_settings_read(struct train_settings *s, int argc, char **argv, struct fv_args *args,
                        struct train_owned *own)
{
    struct fv_opt_group groups[GROUPS];
    set_defaults(s);
    list_groups(s, groups);
    FV_TRY(fv_opt_parse(&command, groups, GROUPS, argc, argv, args));
    if (s->run.recipe && !train_settings_wants_list(s))
        FV_TRY(read_recipe(s, argc, argv, args, own));
    if (args->help || train_settings_wants_list(s))
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
    FV_TRY(train_folder_settings(run, own->comm, &own->kept));
    own->original = train_folder_db(own->kept);
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

char *train_settings_defaults_text(void)
{
    struct fv_opt_group groups[GROUPS];
    struct train_settings fresh;
    set_defaults(&fresh);
    list_groups(&fresh, groups);
    char *text = fv_opt_write_text(groups, GROUPS);
    if (!text)
        fv_err(FV_ENOMEM, "out of memory");
    return text;
}

char *train_settings_text(struct train_settings *s, const char *original_db)
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

void train_settings_print_banner(struct train_settings *s)
{
    struct fv_opt_group groups[GROUPS];
    struct train_settings fresh;
    void *defaults[GROUPS] = {&fresh.run, &fresh.loader, &fresh.train, &fresh.comm, &fresh.trace};
    set_defaults(&fresh);
    list_groups(s, groups);
    fv_opt_banner(groups, GROUPS, defaults, stderr);
}

void train_settings_print_help(struct train_settings *s)
{
    struct fv_opt_group groups[GROUPS];
    list_groups(s, groups);
    fv_opt_help(&command, groups, GROUPS, stdout);
}

int train_settings_complete(struct train_settings *s, struct train_owned *own)
{
    FV_TRY(fv_policy_expand(&own->policy, s->loader.policy));
    s->loader.policy = own->policy;
    FV_TRY(make_db_absolute(&s->run.db, &own->db,
                            s->run.resume ? ": if it has moved, say where to with --db" : ""));
    FV_TRY(make_absolute(&s->run.pairs, &own->pairs));
    if (!s->run.resume) /* what goes on has its weights already */
        FV_TRY(make_absolute(&s->train.init, &own->init));
    return 0;
}

void train_owned_free(struct train_owned *own)
{
    free(own->kept);
    free(own->db);
    free(own->original);
    free(own->pairs);
    free(own->policy);
    free(own->init);
}
