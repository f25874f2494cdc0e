/* SPDX-License-Identifier: MIT */
/* Inside the demo faces: a person and a shot of that person, drawn, then photographed.
 *
 *   synth_person.c   seed, identity           ->  struct fv__person: all that a person keeps
 *   synth_shot.c     seed, identity, image    ->  struct fv__shot: all that a photo changes
 *   synth_face.c     head and features        ->  SVG
 *   synth_hair.c     hair and beard           ->  SVG
 *   synth_scene.c    background, clothes, hat, glasses, occlusion  ->  SVG
 *   synth_photo.c    SVG  ->  pixels  ->  light, blur, noise  ->  JPEG bytes
 *   synth.c          folders, files, threads
 *
 * Nothing in a shot depends on the person, so nothing but the person identifies.
 *
 * Units: the picture is a square of 200 with its centre at 0, y downwards; the face frame is about 84
 * wide and 120 high with the eyes near y = 0. A left feature is one with negative x.
 */
#ifndef FV_PREP_SYNTH_H
#define FV_PREP_SYNTH_H

#include "prep/synth/synth_draw.h"

#include <stdint.h>

enum fv__hair {
    FV__HAIR_BUZZ,
    FV__HAIR_SHORT,
    FV__HAIR_QUIFF,
    FV__HAIR_FRINGE,
    FV__HAIR_CURTAINS,
    FV__HAIR_LONG,
    FV__HAIR_BOB,
    FV__HAIR_CURLY,
    FV__HAIR_AFRO,
    FV__HAIR_BUN,
    FV__HAIR_RECEDING,
    FV__HAIR_BALD,
    FV__HAIRS
};

enum { FV__FRECKLES = 36, FV__MOLES = 3 };

struct fv__person {
    double femininity, age; /* 0 .. 1: they only tie the other draws together */

    double temple_w, cheek_w, jaw_w, chin_w, crown_y, jaw_y, chin_y;
    struct fv__rgb skin;
    double blush, freckle_opacity;
    int freckles;
    struct fv__pt freckle[FV__FRECKLES], mole[FV__MOLES];
    int moles;

    double eye_x, eye_w, eye_h, eye_slant, eye_skew, iris_r, crease, lash, bag;
    struct fv__rgb iris;
    double brow_gap, brow_len, brow_thick, brow_arch, brow_slant, brow_taper;
    struct fv__rgb brow;

    double nose_y, nose_w, nose_bridge, nose_tip, nostril;
    double mouth_y, mouth_w, lip_upper, lip_lower, cupid, mouth_bias;
    struct fv__rgb lip;
    double ear_y, ear_h, ear_w, ear_out;

    enum fv__hair hair;
    struct fv__rgb hair_colour;
    double hair_top, hair_side, hair_back, hair_back_w, sideburn_y;
    double hair_wave, hair_waves; /* of the outline: height, number */
    double hairline[7];           /* y of the hairline, left to right */
    int hair_mirror;

    double beard, beard_len, beard_cheek, moustache; /* beard, moustache: opacities, 0 for none */
    int goatee;

    int glasses;
    double glasses_w, glasses_h, glasses_square, glasses_rim, glasses_lift;
    struct fv__rgb glasses_colour;
};

struct fv__spot { /* a soft disc in the background or in front of the face */
    struct fv__pt at;
    double r, opacity;
    struct fv__rgb colour;
};

enum fv__hat { FV__HAT_NONE, FV__HAT_BEANIE, FV__HAT_CAP, FV__HAT_SUN, FV__HAT_BAND };
enum { FV__SPOTS = 9 };

struct fv__shot {
    double yaw, pitch, roll; /* degrees; positive: to the right, down, clockwise */
    double scale;
    struct fv__pt shift;

    double smile, open, brow_lift, frown, lid[2], gaze_x, gaze_y; /* all within -1 .. 1 */

    struct fv__rgb back[2], cloth, trim;
    double back_angle;
    int back_kind, spots, collar;
    struct fv__spot spot[FV__SPOTS], cover;
    enum fv__hat hat;
    struct fv__rgb hat_colour;
    double lens_tint; /* opacity, 0 mostly */
    struct fv__rgb lens_colour;
    double muss; /* phase of the waves of the hair */

    double light_angle, light, warmth, exposure, contrast, saturation, vignette;
    double blur, noise; /* standard deviations: in 1/128 of the side; in 1/255 */
    int quality;
    uint64_t seed, sample; /* for the noise */
};

void fv__person_draw(struct fv__person *p, uint64_t seed, uint32_t identity);
void fv__shot_draw(struct fv__shot *s, uint64_t seed, uint32_t identity, uint32_t image);

/* One shot of one person as a whole SVG document. */
void fv__synth_svg(struct fv__svg *svg, const struct fv__person *p, const struct fv__shot *s,
                   int size);

/* --- the drawing's parts, from back to front; each assumes the transform of its group ---------------- */

struct fv__sitter { /* a person in the pose of a shot */
    const struct fv__person *p;
    const struct fv__shot *s;
    double yaw_sin, yaw_cos, pitch_sin, pitch_cos;
};

/* A point of the face's surface, raised by `lift`, as the camera sees it. */
struct fv__pt fv__on_face(const struct fv__sitter *f, double x, double y, double lift);
/* A point of the silhouette (the plane through both ears); `front` is how far it lies before it. */
struct fv__pt fv__on_rim(const struct fv__sitter *f, double x, double y, double front);
/* Half the width of the head at height y. */
double fv__head_half_width(const struct fv__person *p, double y);

void fv__draw_background(struct fv__svg *svg, const struct fv__shot *s);
void fv__draw_hair_behind(struct fv__svg *svg, const struct fv__sitter *f);
void fv__draw_body(struct fv__svg *svg, const struct fv__sitter *f);
void fv__draw_head(struct fv__svg *svg, const struct fv__sitter *f);
void fv__draw_beard(struct fv__svg *svg, const struct fv__sitter *f);
void fv__draw_features(struct fv__svg *svg, const struct fv__sitter *f);
void fv__draw_hair(struct fv__svg *svg, const struct fv__sitter *f);
void fv__draw_glasses(struct fv__svg *svg, const struct fv__sitter *f);
void fv__draw_hat(struct fv__svg *svg, const struct fv__sitter *f);
void fv__draw_cover(struct fv__svg *svg, const struct fv__shot *s);

/* --- the photographer ------------------------------------------------------------------------------ */

struct fv__camera; /* one per thread */
int fv__camera_open(struct fv__camera **out, int size);
void fv__camera_close(struct fv__camera **c);
/* The shot as JPEG bytes, valid until the next call. */
int fv__camera_take(struct fv__camera *c, const struct fv__person *p, const struct fv__shot *s,
                    const void **jpeg, size_t *n);
/* libvips made ready in this process, with its SVG loader open for our own text; and as it was. */
int fv__camera_setup(void);
void fv__camera_teardown(void);

#endif
