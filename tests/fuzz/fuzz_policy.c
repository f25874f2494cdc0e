/* SPDX-License-Identifier: MIT */
/* The parser of augmentation policies on damaged texts: it may refuse them; what it accepts has a canonical text that
 * means the same, and plans whose boxes and matrices are usable.
 *
 * Built with -DFV_LIBFUZZER (clang -fsanitize=fuzzer) this is a libFuzzer target; otherwise a main mutates
 * policies by a seeded rule, so that the same few thousand texts are an ordinary test. */
#include "augment/policy.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/seeds.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static unsigned long accepted, refused;

static void demand(int condition)
{
    if (!condition)
        abort();
}

/* Erased boxes of tiny pictures may be empty, as torchvision's may. */
static void check_box(const struct fv_rect *box, int h, int w)
{
    demand(box->x >= 0 && box->y >= 0 && box->w >= 0 && box->h >= 0 && box->x + box->w <= w &&
           box->y + box->h <= h);
}

static void check_plan(const struct fv_policy *p, uint64_t image, int h, int w, int out)
{
    struct fv_plan plan;
    struct fv_mix mix;

    fv_policy_plan(p, 5, 1, image, h, w, out, out, &plan);
    demand(plan.steps >= 0 && plan.steps <= FV_PLAN_STEPS);
    demand(plan.erases >= 0 && plan.erases <= FV_PLAN_ERASES);
    for (int i = 0; i < 9; i++)
        demand(isfinite(plan.inverse[i]));
    for (int i = 0; i < plan.erases; i++)
        check_box(&plan.erase[i].box, out, out);
    for (int i = 0; i < plan.steps; i++) {
        const struct fv_step *step = &plan.step[i];
        for (int k = 0; k < 8; k++)
            demand(isfinite(step->v[k]));
        if (step->kind == FV_STEP_CROP)
            demand(step->box.w >= 1 && step->box.h >= 1 && step->box.x >= 0 && step->box.y >= 0);
        if (step->kind == FV_STEP_ERASE)
            check_box(&step->box, out, out);
        if (step->kind == FV_STEP_BLUR)
            demand(step->v[0] > 0 && step->v[1] >= 1 && step->v[1] <= FV_BLUR_MOST);
    }
    fv_policy_plan_batch(p, 5, 1, image, 4, out, out, &mix);
    demand(mix.lambda >= 0 && mix.lambda <= 1);
    demand(mix.x1 >= 0 && mix.x1 <= mix.x2 && mix.x2 <= out);
    demand(mix.y1 >= 0 && mix.y1 <= mix.y2 && mix.y2 <= out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = malloc(n + 1);
    struct fv_policy *p, *again;

    fuzz_keep_seed(data, n);
    if (!text)
        return 0;
    if (n)
        memcpy(text, data, n);
    text[n] = '\0';
    const int rc = fv_policy_parse(&p, text);
    free(text);
    if (rc < 0) {
        demand(!p);
        refused++;
        return 0;
    }
    accepted++;
    demand(fv_policy_parse(&again, fv_policy_text(p)) == 0);
    demand(strcmp(fv_policy_text(p), fv_policy_text(again)) == 0);
    fv_policy_free(&again);
    for (uint64_t image = 0; image < 3; image++) {
        check_plan(p, image, 40, 31, 24);
        check_plan(p, image, 2, 3, 2);
        check_plan(p, image, 1, 1, 1);
    }
    fv_policy_free(&p);
    return 0;
}

#ifndef FV_LIBFUZZER
static const char *const policies[] = {
    "rrc(0.8,1),flip,rotate(10),jitter(.2,.2,.2,.05),erase(.25),cutmix(1,p=.5)",
    "affine(10,.1,.1,.9,1.1,5,5),perspective(.2,p=1),gray(.2),blur(5,.1,2,p=.5),mixup(.2)",
    "erase(1,noise=1),erase(p=1,area_min=.1,area_max=.2,r=1,g=2,b=3),rrc(0,.001)",
    "resnet18-cutmix",
    " flip ( p = 0.25 ) , rotate( 180 ),affine(0,shear_x=80,shear_y=80,scale_max=100)",
    "none",
    "perspective(1,1),mixup(.01,.5),cutmix(.01,.9),blur(63),rrc(1,1,100,100)",
};
static const char *const tokens[] = {
    ",",       "(",  ")",        "=",     " ",   "p=",         "flip",       "erase(",
    "1",       ".5", "-1",       "1e300", "nan", "inf",        "0x1",        "1e-320",
    "noise=1", "99", "affine(1", "rrc(",  "3",   "area_max=0", "scale_min=", ".01"};

int main(int argc, char **argv)
{
    const struct fuzz_texts f = {.name = "fuzz_policy",
                                 .what = "texts",
                                 .text = policies,
                                 .texts = sizeof policies / sizeof *policies,
                                 .token = tokens,
                                 .tokens = sizeof tokens / sizeof *tokens,
                                 .room = 512};
    return fuzz_run_texts(&f, argc, argv, &accepted, &refused);
}
#endif
