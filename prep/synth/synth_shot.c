/* SPDX-License-Identifier: MIT */
/* What a photo changes: pose, expression, surroundings, light, lens. Drawn without a look at the
 * person, so that nothing here can tell one from another.
 */
#include "prep/synth/synth.h"

#include "common/rng.h"
#include "prep/synth/synth_any.h"

enum part { PART_POSE, PART_EXPRESSION, PART_SCENE, PART_WORN, PART_LIGHT, PART_LENS };

static double uniform(struct fv_rng *r, double lo, double hi)
{
    return fv_rng_uniform(r, lo, hi);
}

static int chance(struct fv_rng *r, double share)
{
    return fv_rng_unit(r) < share;
}

/* Normal, but never further than two standard deviations. */
static double around(struct fv_rng *r, double mean, double sd)
{
    return mean + sd * fv__clamp(fv_rng_normal(r), -2, 2);
}

static void draw_pose(struct fv__shot *s, struct fv_rng *r)
{
    s->yaw = around(r, 0, 12);
    s->pitch = around(r, 0, 7);
    s->roll = around(r, 0, 8);
    s->scale = uniform(r, 0.98, 1.28);
    s->shift.x = around(r, 0, 6);
    s->shift.y = around(r, 2, 5);
}

static void draw_expression(struct fv__shot *s, struct fv_rng *r)
{
    s->smile = uniform(r, -0.2, 1);
    s->open = chance(r, 0.4) ? uniform(r, 0.15, 1) : 0;
    s->brow_lift = uniform(r, -0.4, 0.8);
    s->frown = chance(r, 0.25) ? uniform(r, 0.2, 1) : 0;
    s->lid[0] = s->lid[1] = uniform(r, 0.68, 1.05);
    if (chance(r, 0.05))
        s->lid[0] = s->lid[1] = 0.08;
    else if (chance(r, 0.04))
        s->lid[fv_rng_below(r, 2)] = 0.08;
    s->gaze_x = around(r, 0, 0.45);
    s->gaze_y = around(r, 0, 0.3);
}

static struct fv__rgb any_colour(struct fv_rng *r)
{
    double hue = fv_rng_unit(r), grey = fv_rng_unit(r);
    return fv__hsv_rgb(hue, grey * grey * 0.75, uniform(r, 0.15, 0.98));
}

static void draw_scene(struct fv__shot *s, struct fv_rng *r)
{
    s->back_kind = (int)fv_rng_below(r, 5);
    s->back[0] = any_colour(r);
    double mixed = uniform(r, 0.2, 0.9);
    s->back[1] = fv__mix_rgb(s->back[0], any_colour(r), mixed);
    s->back_angle = uniform(r, 0, 360);
    s->spots = (int)fv_rng_below(r, FV__SPOTS + 1);
    for (int i = 0; i < FV__SPOTS; i++) {
        struct fv__spot *b = &s->spot[i];
        b->at = fv__any_point(r, (struct fv__range){-100, 100}, (struct fv__range){-100, 100});
        b->r = uniform(r, 8, 45);
        b->opacity = uniform(r, 0.15, 0.8);
        b->colour = any_colour(r);
    }
}

static void draw_worn(struct fv__shot *s, struct fv_rng *r)
{
    s->cloth = any_colour(r);
    s->trim = fv__mix_rgb(s->cloth, any_colour(r), 0.8);
    s->collar = (int)fv_rng_below(r, 4);
    s->hat = chance(r, 0.12) ? (enum fv__hat)(1 + fv_rng_below(r, 4)) : FV__HAT_NONE;
    s->hat_colour = any_colour(r);
    s->lens_tint = chance(r, 0.15) ? uniform(r, 0.2, 0.75) : 0;
    s->lens_colour = fv__any_hsv(r, (struct fv__range){0, 1}, (struct fv__range){0.1, 0.7},
                                 (struct fv__range){0.1, 0.5});
    s->muss = uniform(r, 0, 6.2831853);
    int side = chance(r, 0.5) ? 1 : -1;
    s->cover.at = fv__any_point(r, (struct fv__range){55, 95}, (struct fv__range){-40, 100});
    s->cover.at.x *= side;
    s->cover.r = uniform(r, 25, 50);
    s->cover.colour = any_colour(r);
    s->cover.opacity = chance(r, 0.12) ? uniform(r, 0.75, 1) : 0;
}

static void draw_light(struct fv__shot *s, struct fv_rng *r)
{
    s->light_angle = uniform(r, 0, 360);
    s->light = uniform(r, 0, 0.75);
    s->warmth = around(r, 0, 0.10);
    s->exposure = uniform(r, 0.74, 1.26);
    s->contrast = uniform(r, 0.72, 1.2);
    s->saturation = chance(r, 0.05) ? 0 : uniform(r, 0.55, 1.25);
    s->vignette = uniform(r, 0, 0.35);
}

static void draw_lens(struct fv__shot *s, struct fv_rng *r)
{
    double soft = fv_rng_unit(r);
    s->blur = 0.2 + 1.3 * soft * soft;
    s->noise = uniform(r, 0.5, 9);
    s->quality = 40 + (int)fv_rng_below(r, 56);
}

void fv__shot_draw(struct fv__shot *s, uint64_t seed, uint32_t identity, uint32_t image)
{
    struct fv_rng r[PART_LENS + 1];
    *s = (struct fv__shot){.seed = seed, .sample = (uint64_t)identity << 32 | image};
    for (unsigned i = 0; i <= PART_LENS; i++)
        r[i] = fv_rng_at(seed, i, s->sample, FV_RNG_SYNTH_IMG);
    draw_pose(s, &r[PART_POSE]);
    draw_expression(s, &r[PART_EXPRESSION]);
    draw_scene(s, &r[PART_SCENE]);
    draw_worn(s, &r[PART_WORN]);
    draw_light(s, &r[PART_LIGHT]);
    draw_lens(s, &r[PART_LENS]);
}
