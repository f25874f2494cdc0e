/* SPDX-License-Identifier: MIT */
#include "trainer/eval/protocol.h"

#include "common/err.h"

#include <stdio.h>
#include <string.h>

#define FOLD_RATES "0.1,0.01,0.001"
#define IJB_RATES "1e-6,1e-5,1e-4,1e-3,1e-2,1e-1"

const struct fv_protocol fv_protocols[] = {
    {"lfw", "LFW, view 2, unrestricted, labelled outside data: pairs.txt", "lfw", 3000, 3000, 10,
     FOLD_RATES, "step"},
    {"calfw", "Cross-Age LFW: pairs_CALFW.txt", "calfw", 3000, 3000, 10, FOLD_RATES, "step"},
    {"cplfw", "Cross-Pose LFW: pairs_CPLFW.txt", "calfw", 3000, 3000, 10, FOLD_RATES, "step"},
    {"agedb-30", "AgeDB, 30 years apart: agedb_30.bin", "list", 3000, 3000, 10, FOLD_RATES, "step"},
    {"cfp-fp", "CFP, frontal with profile: cfp_fp.bin", "list", 3500, 3500, 10, FOLD_RATES, "step"},
    {"cfp-ff", "CFP, frontal with frontal: cfp_ff.bin", "list", 3500, 3500, 10, FOLD_RATES, "step"},
    {"rfw", "Racial Faces in the Wild: African, Asian, Caucasian or Indian_pairs.txt", "rfw", 3000,
     3000, 10, FOLD_RATES, "step"},
    {"bin", "any .bin set of InsightFace: ten folds as the pairs come", "list", 0, 0, 10,
     FOLD_RATES, "step"},
    {"ijbb", "IJB-B, 1:1: ijbb_template_pair_label.txt, with --templates ijbb_face_tid_mid.txt",
     NULL, 10270, 8000000, 0, IJB_RATES, "corners"},
    {"ijbc", "IJB-C, 1:1: ijbc_template_pair_label.txt, with --templates ijbc_face_tid_mid.txt",
     NULL, 19557, 15638932, 0, IJB_RATES, "corners"},
    {NULL, NULL, NULL, 0, 0, 0, NULL, NULL},
};

int fv_protocol_find(const struct fv_protocol **out, const char *name)
{
    char valid[160] = "";

    for (const struct fv_protocol *p = *out = fv_protocols; p->name; p++) {
        if (strcmp(p->name, name) == 0) {
            *out = p;
            return FV_OK;
        }
        const size_t n = strlen(valid);
        snprintf(valid + n, sizeof valid - n, "%s%s", n ? ", " : "", p->name);
    }
    return fv_err(FV_EUSAGE, "--protocol: '%s' is none: valid are %s", name, valid);
}

static int is_anybodys(const char *form)
{
    return !form || strcmp(form, "list") == 0 || strcmp(form, "csv") == 0;
}

int fv_protocol_check(const struct fv_protocol *p, const char *form, size_t genuine,
                      size_t impostor, uint32_t folds)
{
    if (!is_anybodys(form) && (!p->form || strcmp(form, p->form) != 0))
        return fv_err(FV_EINVAL, "protocol %s: the list has the form '%s', and its own has '%s'",
                      p->name, form, p->form ? p->form : "template1 template2 0|1");
    if ((p->genuine && p->genuine != genuine) || (p->impostor && p->impostor != impostor))
        return fv_err(FV_EINVAL,
                      "protocol %s: its list has %zu genuine and %zu impostor pairs, and this one "
                      "%zu and %zu, "
                      "which is another protocol: leave --protocol out",
                      p->name, p->genuine, p->impostor, genuine, impostor);
    if (folds && p->folds && folds != p->folds)
        return fv_err(FV_EINVAL, "protocol %s: has %u folds, and this list %u", p->name, p->folds,
                      folds);
    return FV_OK;
}
