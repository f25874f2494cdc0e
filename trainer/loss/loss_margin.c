/* SPDX-License-Identifier: MIT */
/* Margins on the angle between embedding and class weight: softmax cross-entropy with logits s * cos(t_k), where the
 * item's own class has s * f(t) instead,
 *
 *     f(t) = cos(m1 * t + m2) - m3      arcface: m1 = 1, m3 = 0 (arXiv 1801.07698)
 *                                       cosface: m1 = 1, m2 = 0 (arXiv 1801.09414)
 *                                       combined: all three (arXiv 1801.07698, equation 4)
 *
 * Warm-up by a share w takes m1 = 1 + w (m1 - 1), w m2, w m3. Two conventions, `grad`:
 *
 * exact: f where it falls with t, and its own slope df/dcos = m1 sin(m1 t + m2) / sin(t). Behind the first minimum,
 *   m1 t + m2 > pi, f would rise again; there it is, for m1 = 1, cos(t) - m2 sin(m2) - m3 of slope 1, as in the
 *   authors' code, and else (-1)^k cos(m1 t + m2) - 2k - m3 with k = floor((m1 t + m2) / pi), as in SphereFace
 *   (arXiv 1704.08063, equation 7). The cosine is held within +-(1 - 1e-7), where the slope of the arc is
 *   infinite; outside the slope is 0.
 * insightface: f as it is for every t within 0 .. pi, and the slope 1 everywhere, because arcface_torch changes the
 *   angle where autograd does not see it. The published weights were trained so.
 *
 * Without an angular margin (m1 = 1, m2 = 0) both are s * (cos(t) - m3), of slope s.
 */
#include "trainer/loss/loss_impl.h"

#include "common/err.h"

#include <math.h>

static const double pi = 3.14159265358979323846, cos_limit = 1 - 1e-7;

struct margin {
    double s, m1, m2, m3;
    int insightface;
};

static double angular(const struct margin *m, double cosine, double *slope)
{
    const double limit = m->insightface ? 1 : cos_limit;
    const double x = cosine < -limit ? -limit : cosine > limit ? limit : cosine;
    const double t = acos(x), u = m->m1 * t + m->m2;
    *slope = m->insightface ? 1 : x == cosine ? m->m1 * sin(u) / sin(t) : 0;
    if (m->insightface || u <= pi)
        return cos(u) - m->m3;
    if (m->m1 == 1) {
        *slope = 1;
        return cosine - m->m2 * sin(m->m2) - m->m3;
    }
    const double k = floor(u / pi), sign = fmod(k, 2) == 0 ? 1 : -1;
    *slope *= sign;
    return sign * cos(u) - 2 * k - m->m3;
}

static struct fv__loss_target target(const void *ctx, double cosine)
{
    const struct margin *m = ctx;
    double slope = 1, f = cosine - m->m3;
    if (m->m1 != 1 || m->m2 != 0)
        f = angular(m, cosine, &slope);
    return (struct fv__loss_target){m->s * f, m->s * slope};
}

static void run(struct fv_loss_call *c, int term, struct margin m, double smooth, size_t begin,
                size_t end)
{
    const double warmth = fv_loss_warmth(&c->spec->term[term], c->epoch);
    m.m1 = 1 + warmth * (m.m1 - 1);
    m.m2 *= warmth;
    m.m3 *= warmth;
    const struct fv__loss_softmax s = {
        .scale = m.s, .limit = INFINITY, .smooth = smooth, .target = target, .ctx = &m};
    for (size_t i = begin; i < end; i++)
        fv__loss_softmax(c, term, i, &s);
}

static const char *const grads[] = {"exact", "insightface", NULL};

#define S_PARAM                                                                                    \
    {                                                                                              \
        .name = "s", .def = 64, .min = 0.1, .max = 1000, .help = "scale of the cosines"            \
    }
#define GRAD_PARAM                                                                                 \
    {                                                                                              \
        .name = "grad", .def = 0, .help = "slope of the own class's logit", .words = grads         \
    }
#define WARMUP_PARAM                                                                               \
    {                                                                                              \
        .name = "warmup", .def = 0, .min = 0, .max = 100000,                                       \
        .help = "epochs in which the margin grows from 0"                                          \
    }
#define SMOOTH_PARAM                                                                               \
    {                                                                                              \
        .name = "smooth", .def = 0, .min = 0, .max = 1,                                            \
        .help = "share of the label that is spread over all classes"                               \
    }

enum { ARC_S, ARC_M, ARC_GRAD, ARC_WARMUP, ARC_SMOOTH };

static void arcface_rows(struct fv_loss_call *c, int term, size_t begin, size_t end)
{
    const double *v = c->spec->term[term].value;
    run(c, term,
        (struct margin){.s = v[ARC_S], .m1 = 1, .m2 = v[ARC_M], .insightface = v[ARC_GRAD] != 0},
        v[ARC_SMOOTH], begin, end);
}

static double arcface_scale(const double *v)
{
    return v[ARC_S];
}

const struct fv_loss fv__loss_arcface = {
    .name = "arcface",
    .help = "additive margin on the angle, cos(t + m)",
    .source = "arXiv 1801.07698",
    .reads = FV_LOSS_READS_COSINE,
    .soft = 1,
    .param =
        {[ARC_S] = S_PARAM,
         [ARC_M] = {.name = "m", .def = 0.5, .min = 0, .max = 1.5, .help = "margin in radians"},
         [ARC_GRAD] = GRAD_PARAM,
         [ARC_WARMUP] = WARMUP_PARAM,
         [ARC_SMOOTH] = SMOOTH_PARAM},
    .scale = arcface_scale,
    .phase = {{.rows = arcface_rows}},
};

enum { COS_S, COS_M, COS_WARMUP, COS_SMOOTH };

static void cosface_rows(struct fv_loss_call *c, int term, size_t begin, size_t end)
{
    const double *v = c->spec->term[term].value;
    run(c, term, (struct margin){.s = v[COS_S], .m1 = 1, .m3 = v[COS_M]}, v[COS_SMOOTH], begin,
        end);
}

static double cosface_scale(const double *v)
{
    return v[COS_S];
}

const struct fv_loss fv__loss_cosface = {
    .name = "cosface",
    .help = "additive margin on the cosine, cos(t) - m",
    .source = "arXiv 1801.09414",
    .reads = FV_LOSS_READS_COSINE,
    .soft = 1,
    .param = {[COS_S] = S_PARAM,
              [COS_M] = {.name = "m", .def = 0.35, .min = 0, .max = 1, .help = "margin"},
              [COS_WARMUP] = WARMUP_PARAM,
              [COS_SMOOTH] = SMOOTH_PARAM},
    .scale = cosface_scale,
    .phase = {{.rows = cosface_rows}},
};

enum { COM_M1, COM_M2, COM_M3, COM_S, COM_GRAD, COM_WARMUP, COM_SMOOTH };

static void combined_rows(struct fv_loss_call *c, int term, size_t begin, size_t end)
{
    const double *v = c->spec->term[term].value;
    run(c, term,
        (struct margin){.s = v[COM_S],
                        .m1 = v[COM_M1],
                        .m2 = v[COM_M2],
                        .m3 = v[COM_M3],
                        .insightface = v[COM_GRAD] != 0},
        v[COM_SMOOTH], begin, end);
}

static double combined_scale(const double *v)
{
    return v[COM_S];
}

const struct fv_loss fv__loss_combined = {
    .name = "combined",
    .help = "all three margins, cos(m1 t + m2) - m3",
    .source = "arXiv 1801.07698",
    .reads = FV_LOSS_READS_COSINE,
    .soft = 1,
    .param = {[COM_M1] = {.name = "m1",
                          .def = 1,
                          .min = 1,
                          .max = 8,
                          .help = "factor of the angle (SphereFace)"},
              [COM_M2] = {.name = "m2",
                          .def = 0.3,
                          .min = 0,
                          .max = 1.5,
                          .help = "margin on the angle in radians (ArcFace)"},
              [COM_M3] = {.name = "m3",
                          .def = 0.2,
                          .min = 0,
                          .max = 1,
                          .help = "margin on the cosine (CosFace)"},
              [COM_S] = S_PARAM,
              [COM_GRAD] = GRAD_PARAM,
              [COM_WARMUP] = WARMUP_PARAM,
              [COM_SMOOTH] = SMOOTH_PARAM},
    .scale = combined_scale,
    .phase = {{.rows = combined_rows}},
};
