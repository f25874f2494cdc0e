/* SPDX-License-Identifier: MIT */
/* Who somebody is. Every cue is drawn on its own from a continuous range, so that a network learns
 * cues and not people; two latent numbers (femininity, age) only tie together what usually goes
 * together. Each part of the face has its own stream, so that changing one leaves the others alone.
 */
#include "prep/synth/synth.h"

#include "common/rng.h"
#include "prep/synth/synth_any.h"

#include <math.h>
#include <string.h>

enum part {
    PART_WHO,
    PART_HEAD,
    PART_EYES,
    PART_NOSE,
    PART_MOUTH,
    PART_HAIR,
    PART_BEARD,
    PART_MARKS,
    PART_GLASSES
};

static double uniform(struct fv_rng *r, double lo, double hi)
{
    return fv_rng_uniform(r, lo, hi);
}

static int chance(struct fv_rng *r, double share)
{
    return fv_rng_unit(r) < share;
}

static const struct fv__rgb skin_ramp[] = {
    {255, 226, 206}, {248, 209, 180}, {235, 185, 146}, {214, 158, 114},
    {180, 122, 82},  {142, 90, 58},   {104, 64, 44},
};
static const struct fv__rgb hair_ramp[] = {
    {28, 24, 26},  {52, 36, 30},   {86, 56, 38},    {122, 78, 46},
    {150, 80, 40}, {176, 126, 66}, {218, 182, 112},
};
static const struct fv__rgb iris_ramp[] = {
    {52, 32, 22},   {96, 60, 34},   {134, 98, 52},   {104, 124, 70},
    {92, 140, 128}, {84, 136, 184}, {128, 150, 166},
};
#define RAMP(r, t) fv__ramp_rgb(r, (int)(sizeof r / sizeof *r), t)

/* The tone ties the colours of skin, hair and eyes together, loosely. */
static void draw_colours(struct fv__person *p, struct fv_rng *r)
{
    double tone = pow(fv_rng_unit(r), 1.15), light = 1 - tone;
    p->skin = RAMP(skin_ramp, tone);
    p->skin.r *= uniform(r, 0.97, 1.03);
    p->skin.b *= uniform(r, 0.90, 1.08);
    p->blush = uniform(r, 0.04, 0.34) * (0.5 + 0.5 * light);
    p->hair_colour = RAMP(hair_ramp, uniform(r, 0, 0.25 + 0.95 * light));
    p->iris = RAMP(iris_ramp, uniform(r, 0, 0.2 + 1.0 * light));
    double grey = chance(r, 0.25 + 0.5 * (p->age > 0.6)) ? p->age * uniform(r, 0.4, 1.1) : 0;
    p->hair_colour =
        fv__mix_rgb(p->hair_colour, (struct fv__rgb){206, 204, 204}, fv__clamp(grey, 0, 1));
    if (chance(r, 0.07))
        p->hair_colour = fv__any_hsv(r, (struct fv__range){0, 1}, (struct fv__range){0.45, 0.7},
                                     (struct fv__range){0.55, 0.85});
    p->brow = fv__shade_rgb(
        fv__mix_rgb(p->hair_colour, (struct fv__rgb){48, 34, 28}, uniform(r, 0.2, 0.7)), 0.85);
    struct fv__rgb rose =
        fv__any_hsv(r, (struct fv__range){0.93, 1.03}, (struct fv__range){0.42, 0.7},
                    (struct fv__range){0.62, 0.85});
    p->lip = fv__mix_rgb(fv__shade_rgb(p->skin, 0.80), rose,
                         uniform(r, 0.2, 0.45) + 0.35 * p->femininity);
}

static void draw_head(struct fv__person *p, struct fv_rng *r)
{
    double wide = uniform(r, -2.6, 2.6), strong = 1 - p->femininity;
    p->cheek_w = 41 + wide + uniform(r, -1.5, 1.5);
    p->temple_w = p->cheek_w - uniform(r, 0.5, 5.5);
    p->jaw_w = p->cheek_w - uniform(r, 3, 11) + 2.5 * strong;
    p->chin_w = uniform(r, 11, 19) + 4.5 * strong;
    p->crown_y = -uniform(r, 53, 61);
    p->chin_y = uniform(r, 49, 62);
    p->jaw_y = p->chin_y * uniform(r, 0.54, 0.70);
    p->ear_y = uniform(r, 2, 10);
    p->ear_h = uniform(r, 9, 15);
    p->ear_w = uniform(r, 4.5, 7.5);
    p->ear_out = uniform(r, 0.5, 4.5);
}

static void draw_eyes(struct fv__person *p, struct fv_rng *r)
{
    p->eye_x = uniform(r, 15.5, 21.5);
    p->eye_w = uniform(r, 6.6, 10.0);
    p->eye_h = p->eye_w * uniform(r, 0.40, 0.68);
    p->eye_slant = uniform(r, -7, 11);
    p->eye_skew = uniform(r, -0.3, 0.3);
    p->iris_r = uniform(r, 3.3, 4.7);
    p->crease = uniform(r, 0, 1);
    p->lash = uniform(r, 0.8, 1.5);
    p->lash += uniform(r, 0, 1.1) * p->femininity;
    p->bag = uniform(r, 0, 0.35) + 0.3 * p->age;
    p->brow_gap = uniform(r, 8.5, 14.5);
    p->brow_len = uniform(r, 8, 12.5);
    p->brow_thick = uniform(r, 1.2, 3.4);
    p->brow_thick += uniform(r, 0, 1.4) * (1 - p->femininity);
    p->brow_arch = uniform(r, 0.2, 4.2);
    p->brow_slant = uniform(r, -2.5, 2.5);
    p->brow_taper = uniform(r, 0.2, 0.8);
}

static void draw_nose_and_mouth(struct fv__person *p, struct fv_rng *nose, struct fv_rng *mouth)
{
    p->nose_y = uniform(nose, 16.5, 25.5);
    p->nose_w = uniform(nose, 6.2, 12.5);
    p->nose_bridge = uniform(nose, 2.6, 5.6);
    p->nose_tip = uniform(nose, 0, 1);
    p->nostril = uniform(nose, 0.2, 0.85);

    double room = p->chin_y - p->nose_y;
    p->mouth_y = p->nose_y + room * uniform(mouth, 0.38, 0.52);
    p->mouth_w = uniform(mouth, 10.5, 18.5);
    p->lip_upper = uniform(mouth, 1.6, 4.2) + 0.8 * p->femininity;
    p->lip_lower = uniform(mouth, 2.2, 5.4) + 0.8 * p->femininity;
    p->cupid = uniform(mouth, 0, 1);
    p->mouth_bias = uniform(mouth, -1.4, 1.4);
}

struct cut { /* what a haircut usually is: middle values, drawn around */
    double top, side, back, back_w, wave, waves, sideburn, femininity; /* last: -1 male, 1 female */
    double line[7];
};
static const struct cut cuts[FV__HAIRS] = {
    /* top side back back_w wave waves burn fem   hairline from left to right */
    [FV__HAIR_BUZZ] = {1.5, 0.8, 0, 0, 0, 0, 4, -1, {-20, -33, -37, -38, -37, -33, -20}},
    [FV__HAIR_SHORT] = {7, 3, 0, 0, 0.5, 9, 6, -1, {-18, -30, -33, -32, -36, -39, -22}},
    [FV__HAIR_QUIFF] = {15, 2.5, 0, 0, 1.0, 7, 5, -1, {-20, -34, -39, -40, -39, -34, -20}},
    [FV__HAIR_FRINGE] = {7, 5, 22, 2, 0.3, 9, 12, 0, {-8, -16, -19, -19, -19, -16, -8}},
    [FV__HAIR_CURTAINS] = {8, 5, 26, 3, 0.6, 8, 14, 0.3, {-4, -17, -30, -41, -30, -17, -4}},
    [FV__HAIR_LONG] = {7, 5, 76, 7, 0.9, 9, 22, 1, {-4, -22, -36, -42, -33, -20, -3}},
    [FV__HAIR_BOB] = {8, 7, 46, 8, 0.5, 8, 26, 1, {-6, -19, -28, -33, -33, -28, -8}},
    [FV__HAIR_CURLY] = {12, 9, 40, 9, 2.6, 19, 10, 0.4, {-14, -25, -30, -31, -30, -25, -14}},
    [FV__HAIR_AFRO] = {22, 19, 16, 15, 1.5, 27, 5, 0, {-16, -31, -35, -36, -35, -31, -16}},
    [FV__HAIR_BUN] = {4, 1.5, 0, 0, 0.2, 5, 4, 1, {-16, -33, -40, -42, -40, -33, -16}},
    [FV__HAIR_RECEDING] = {3.5, 2.5, 0, 0, 0.4, 9, 7, -1, {-18, -42, -49, -42, -49, -42, -18}},
    [FV__HAIR_BALD] = {0, 0, 0, 0, 0, 0, 0, -1, {0, 0, 0, 0, 0, 0, 0}},
};

static enum fv__hair pick_hair(const struct fv__person *p, struct fv_rng *r)
{
    double weight[FV__HAIRS], sum = 0;
    for (int i = 0; i < FV__HAIRS; i++) {
        double lean = cuts[i].femininity, sex = 2 * p->femininity - 1;
        weight[i] = 1.02 + 0.98 * (lean * sex) - 0.35 * fabs(lean);
        if (i == FV__HAIR_BALD || i == FV__HAIR_RECEDING)
            weight[i] *= 0.25 + 0.9 * p->age;
        sum += weight[i] = fmax(weight[i], 0.05);
    }
    double at = fv_rng_unit(r) * sum;
    int pick = 0;
    while (pick < FV__HAIRS - 1 && at >= weight[pick])
        at -= weight[pick++];
    return (enum fv__hair)pick;
}

static void draw_hair(struct fv__person *p, struct fv_rng *r)
{
    p->hair = pick_hair(p, r);
    const struct cut *c = &cuts[p->hair];
    p->hair_top = c->top * uniform(r, 0.65, 1.4);
    p->hair_side = c->side * uniform(r, 0.6, 1.5);
    p->hair_back = c->back * uniform(r, 0.8, 1.25);
    p->hair_back_w = c->back_w * uniform(r, 0.5, 1.6);
    p->hair_wave = c->wave * uniform(r, 0.3, 1.7);
    p->hair_waves = c->waves * uniform(r, 0.8, 1.25);
    p->sideburn_y = c->sideburn + uniform(r, -3, 4);
    double lift = uniform(r, -4, 4), bow = uniform(r, -3, 3);
    for (int i = 0; i < 7; i++) {
        double u = (i - 3) / 3.0;
        p->hairline[i] =
            c->line[i] + lift * (1 - 0.6 * u * u) + bow * u * u + uniform(r, -1.3, 1.3);
        p->hairline[i] = fmax(p->hairline[i], p->crown_y + 8);
    }
    p->hair_mirror = chance(r, 0.5);
}

static void draw_beard(struct fv__person *p, struct fv_rng *r)
{
    int grows = chance(r, 0.62) && p->femininity < 0.45;
    double density = fv_rng_unit(r), kind = fv_rng_unit(r);
    p->beard_len = uniform(r, 0, 6) * (density > 0.55);
    p->beard_cheek = uniform(r, 0, 1);
    p->goatee = kind > 0.72;
    double tache = uniform(r, 0.5, 0.95);
    if (!grows)
        return;
    p->beard = kind < 0.12 ? 0 : density < 0.4 ? 0.14 + 0.3 * density : 0.5 + 0.45 * density;
    p->moustache = kind < 0.12 ? 0.95 : p->beard * tache;
}

static void draw_marks(struct fv__person *p, struct fv_rng *r)
{
    if (chance(r, 0.3)) {
        p->freckles = 10 + (int)fv_rng_below(r, FV__FRECKLES - 9);
        p->freckle_opacity = uniform(r, 0.25, 0.6);
    }
    for (int i = 0; i < FV__FRECKLES; i++) {
        p->freckle[i] = fv__any_point(r, (struct fv__range){3, 29}, (struct fv__range){7, 26});
        p->freckle[i].x *= i % 2 ? 1 : -1;
    }
    p->moles = chance(r, 0.3) ? 1 + (int)fv_rng_below(r, FV__MOLES) : 0;
    for (int i = 0; i < FV__MOLES; i++)
        p->mole[i] = fv__any_point(r, (struct fv__range){-28, 28}, (struct fv__range){10, 44});
}

static void draw_glasses(struct fv__person *p, struct fv_rng *r)
{
    p->glasses = chance(r, 0.24);
    p->glasses_w = uniform(r, 11.5, 15.5);
    p->glasses_h = p->glasses_w * uniform(r, 0.62, 0.98);
    p->glasses_square = uniform(r, 0, 1);
    p->glasses_rim = uniform(r, 0.9, 2.6);
    p->glasses_lift = uniform(r, -1, 2.5);
    p->glasses_colour = chance(r, 0.6)
                            ? fv__shade_rgb((struct fv__rgb){70, 62, 60}, uniform(r, 0.3, 1.2))
                            : fv__any_hsv(r, (struct fv__range){0, 1}, (struct fv__range){0.3, 0.8},
                                          (struct fv__range){0.35, 0.8});
}

static struct fv_rng stream(uint64_t seed, uint32_t identity, enum part part)
{
    return fv_rng_at(seed, part, identity, FV_RNG_SYNTH_ID);
}

void fv__person_draw(struct fv__person *p, uint64_t seed, uint32_t identity)
{
    struct fv_rng r[PART_GLASSES + 1];
    for (int i = 0; i <= PART_GLASSES; i++)
        r[i] = stream(seed, identity, (enum part)i);
    memset(p, 0, sizeof *p); /* the padding too: people can be compared as bytes */
    p->femininity = fv_rng_unit(&r[PART_WHO]);
    p->age = fv_rng_unit(&r[PART_WHO]);
    draw_colours(p, &r[PART_WHO]);
    draw_head(p, &r[PART_HEAD]);
    draw_eyes(p, &r[PART_EYES]);
    draw_nose_and_mouth(p, &r[PART_NOSE], &r[PART_MOUTH]);
    draw_hair(p, &r[PART_HAIR]);
    draw_beard(p, &r[PART_BEARD]);
    draw_marks(p, &r[PART_MARKS]);
    draw_glasses(p, &r[PART_GLASSES]);
}
