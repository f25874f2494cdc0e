/* SPDX-License-Identifier: MIT */
/* fvtrain export: a trained net for other programs. */
#include "tools/train/fvtrain.h"

#include "tools/command.h"

#include "common/err.h"
#include "trainer/trainer.h"

#include <stdlib.h>
#include <string.h>

struct options {
    const char *to, *out, *outputs;
    int normalise;
};

#define FIELD(name) offsetof(struct options, name)
static const struct fv_opt opts[] = {
    {.name = "to",
     .type = FV_OPT_STRING,
     .flags = FV_OPT_REQUIRED,
     .offset = FIELD(to),
     .metavar = "KIND",
     .help = "what to write; `list` says what there is"},
    {.name = "out",
     .letter = 'o',
     .type = FV_OPT_STRING,
     .offset = FIELD(out),
     .metavar = "FILE",
     .help = "file to write; without it text goes to standard output"},
    {.name = "outputs",
     .type = FV_OPT_CHOICE,
     .offset = FIELD(outputs),
     .choices = fv_export_outputs,
     .help = "onnx: what the graph gives. InsightFace's loader wants one output"},
    {.name = "normalise",
     .type = FV_OPT_FLAG,
     .offset = FIELD(normalise),
     .help = "onnx: the graph takes colours of 0 .. 255 and normalises them by itself"},
    {.name = NULL},
};

const struct fv_command fvtrain_export_cmd = {
    .name = "fvtrain export",
    .summary = "Writes a trained net for other programs.",
    .usage = "RUN|CHECKPOINT --to KIND [-o FILE] [options]",
    .notes = "examples:\n"
             "  fvtrain export runs/faces-1/best_ver.safetensors --to onnx -o faces.onnx\n"
             "  fvtrain export runs/faces-1 --to safetensors -o faces.safetensors\n"
             "  fvtrain export runs/faces-1 --to text\n"
             "\n"
             "Of a run folder it is the last checkpoint, and of a checkpoint with an average the "
             "average.",
    .max_args = 1,
};

static int print_list(void)
{
    for (int i = 0; fv_export_kinds[i]; i++)
        printf("%-12s %s\n", fv_export_kinds[i]->name, fv_export_kinds[i]->help);
    return 0;
}

int fvtrain_export(int argc, char **argv)
{
    struct options o = {.outputs = "both"};
    struct fv_args args;
    const struct fv_opt_group group = {"Export", opts, &o};
    int rc = tool_parse(&fvtrain_export_cmd, &group, 1, argc, argv, &args);
    if (rc)
        return rc;
    if (strcmp(o.to, "list") == 0)
        return print_list();
    if (args.n == 0)
        return fv_err(FV_EUSAGE, "which net? fvtrain export RUN|CHECKPOINT --to %s", o.to);
    if (strcmp(o.to, "onnx") != 0 && (o.normalise || strcmp(o.outputs, "both") != 0))
        return fv_err(FV_EUSAGE, "--outputs and --normalise are for --to onnx");
    const struct fv_export_settings s = {
        .to = o.to, .outputs = o.outputs, .normalise = o.normalise};
    return fv_model_export(args.arg[0], &s, o.out, stdout);
}
