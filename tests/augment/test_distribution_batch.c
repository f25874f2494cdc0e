/* SPDX-License-Identifier: MIT */
/* What is drawn for a whole batch has torchvision's laws, as test_distribution.c shows it for samples: how often, which
 * of the ops that mix, shares, CutMix's boxes, and who is whose partner. */
#include "augment/policy.h"
#include "common/rng.h"
#include "tests/augment/draws.h"

#include <string.h>

static const struct fv_mix *draw_batch(int i, int h, int w)
{
    static struct fv_mix mix;

    fv_policy_plan_batch(policy, seed, 1, (uint64_t)i, 32, h, w, &mix);
    return &mix;
}

static void mixup_shares(void **state)
{
    static const double alphas[] = {0.4, 1, 2, 8};
    char text[32];

    (void)state;
    for (size_t k = 0; k < sizeof alphas / sizeof alphas[0]; k++) {
        snprintf(text, sizeof text, "mixup(%g)", alphas[k]);
        use(text);
        for (int i = 0; i < N; i++)
            value[i] = (double)draw_batch(i, 64, 64)->lambda;
        check_values(text, beta, alphas[k], alphas[k]);
    }
    /* Where a float has no room for shares near 1. */
    struct fv_rng r = fv_rng_at(++seed, 1, 0, FV_RNG_TEST);
    for (int i = 0; i < N; i++)
        value[i] = fv_rng_beta(&r, 0.2, 0.2);
    check_values("Beta(.2, .2)", beta, 0.2, 0.2);
}

/* law: a table of the density's integral; see cutmix_boxes. */
static double tabulated(double x, const double *law)
{
    const double at = x * N;

    return at >= N ? 1 : law[(int)at] + (at - floor(at)) * (law[(int)at + 1] - law[(int)at]);
}

/* A box that is not cut off at the border shows its side s = sqrt(1 - lambda). With lambda of Beta(a, a), s has the
 * density s (s^2 (1 - s^2))^(a - 1), and the share (1 - s)^2 of the boxes of that side is not cut off. */
static void cutmix_boxes(void **state)
{
    static const double alphas[] = {0.5, 1, 3};
    static double law[N + 1];
    char text[32];

    (void)state;
    for (size_t k = 0; k < sizeof alphas / sizeof alphas[0]; k++) {
        int n = 0;
        for (int i = 0; i < N; i++) {
            const double s = (i + 0.5) / N;
            law[i + 1] = law[i] + s * pow(s * s * (1 - s * s), alphas[k] - 1) * (1 - s) * (1 - s);
        }
        for (int i = 0; i <= N; i++)
            law[i] /= law[N];
        snprintf(text, sizeof text, "cutmix(%g)", alphas[k]);
        use(text);
        for (int i = 0; n < N; i++) {
            const struct fv_mix *m = draw_batch(i, LARGE, LARGE);
            if (m->x1 > 0 && m->y1 > 0 && m->x2 < LARGE && m->y2 < LARGE)
                value[n++] = (m->x2 - m->x1 + 1.0) / LARGE;
        }
        strcat(text, ": side");
        check_p(text, ks_p(value, N, tabulated, law));
    }
}

/* Boxes too small to have pixels show their centre. */
static void cutmix_centres(void **state)
{
    enum { H = 12, W = 16 };

    (void)state;
    use("cutmix(.01)");
    for (int i = 0, n = 0; n < N; i++) {
        const struct fv_mix *m = draw_batch(i, H, W);
        if (m->x1 == m->x2 && m->y1 == m->y2) {
            count[m->y1 * W + m->x1]++;
            n++;
        }
    }
    check_equal_counts("cutmix: centre", H * W);
}

static void check_mixes(const char *text, double cutmix, double mixup)
{
    use(text);
    for (int i = 0; i < N; i++)
        count[draw_batch(i, 64, 64)->kind]++;
    share[FV_MIX_CUTMIX] = cutmix;
    share[FV_MIX_MIXUP] = mixup;
    share[FV_MIX_NONE] = fmax(0, 1 - cutmix - mixup);
    check_p(text, chi2_p(count, share, 3));
}

static void batches_are_shared_out(void **state)
{
    (void)state;
    check_mixes("cutmix(1,.3)", 0.3, 0);
    check_mixes("mixup(.2,.6)", 0, 0.6);
    check_mixes("cutmix,mixup", 0.5, 0.5);
    check_mixes("mixup(1,p=.25),cutmix(1,p=.35)", 0.35, 0.25);
    check_mixes("cutmix(1,.6),mixup(1,.9)", 0.4, 0.6);
}

/* Item k takes from item k - 1 of the shuffled order. */
static void partners(void **state)
{
    enum { IMAGES = 21 };

    (void)state;
    use("");
    for (int epoch = 0; epoch < N; epoch++) {
        uint64_t at = 0, before = fv_rng_permute(seed, (uint32_t)epoch, IMAGES, IMAGES - 1), image;
        for (; (image = fv_rng_permute(seed, (uint32_t)epoch, IMAGES, at)) != 0; at++)
            before = image;
        count[before - 1]++;
    }
    check_equal_counts("partners of an image", IMAGES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mixup_shares),   cmocka_unit_test(cutmix_boxes),
        cmocka_unit_test(cutmix_centres), cmocka_unit_test(batches_are_shared_out),
        cmocka_unit_test(partners),
    };
    return cmocka_run_group_tests(tests, NULL, free_policy);
}
