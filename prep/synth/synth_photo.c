/* SPDX-License-Identifier: MIT */
/* From a drawing to a photograph: libvips renders the SVG and writes the JPEG; between them the pixels
 * get what a camera adds. That part is plain C on floats: its noise comes from our counter-based
 * generator, and its result does not depend on a library's SIMD paths.
 *
 * Order, as in a camera: light on the scene, the lens (vignette, blur), the sensor (noise), then
 * contrast and colour as the camera's software sets them, then JPEG.
 *
 * libvips may have been told to refuse loaders that are unsafe for unknown files, SVG among them; the
 * one for SVG in memory is opened for our own text while faces are made, and closed again.
 */
#include "prep/synth/synth.h"

#include "common/err.h"
#include "common/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

enum { SVG_ROOM = 256 << 10, NOISE_STREAM = 1 << 8 };
#define SVG_LOADER "VipsForeignLoadSvgBuffer"

struct fv__camera {
    int size;
    struct fv__svg svg;
    float *pixel, *row; /* (size, size, 3); one line of three channels with margins */
    unsigned char *rgb;
    void *jpeg;
};

/* --- the library ------------------------------------------------------------------------------------- */

static int was_blocked;

static int vips_failed(const char *what)
{
    char text[200];
    const char *said = vips_error_buffer();
    size_t n = strcspn(said, "\n");
    snprintf(text, sizeof text, "%.*s", (int)(n < sizeof text ? n : sizeof text - 1), said);
    vips_error_clear();
    return fv_err(FV_EBACKEND, "libvips could not %s: %s", what, text);
}

int fv__camera_setup(void)
{
    if (VIPS_INIT("fv") != 0)
        return fv_err(FV_EUNSUPPORTED, "libvips does not start on this machine");
    if (!vips_type_find("VipsOperation", "svgload_buffer") ||
        !vips_type_find("VipsOperation", "jpegsave_buffer"))
        return fv_err(FV_EUNSUPPORTED,
                      "demo faces need a libvips with SVG and JPEG support (Debian: libvips42)");
    vips_concurrency_set(1); /* a thread draws one image: more would only wait */
    gpointer class = g_type_class_ref(g_type_from_name(SVG_LOADER));
    was_blocked = (VIPS_OPERATION_CLASS(class)->flags & VIPS_OPERATION_BLOCKED) != 0;
    g_type_class_unref(class);
    vips_operation_block_set(SVG_LOADER, FALSE);
    return 0;
}

void fv__camera_teardown(void)
{
    if (was_blocked)
        vips_operation_block_set(SVG_LOADER, TRUE);
}

int fv__camera_open(struct fv__camera **out, int size)
{
    size_t values = (size_t)size * (size_t)size * 3;
    struct fv__camera *c = *out = calloc(1, sizeof *c);
    if (c) {
        c->size = size;
        c->svg.room = SVG_ROOM;
        c->svg.text = malloc(SVG_ROOM);
        c->pixel = malloc(values * sizeof *c->pixel);
        c->row = malloc((size_t)size * 3 * sizeof *c->row);
        c->rgb = malloc(values);
    }
    if (c && c->svg.text && c->pixel && c->row && c->rgb)
        return 0;
    fv__camera_close(out);
    return fv_err(FV_ENOMEM, "out of memory for pictures of %d x %d", size, size);
}

void fv__camera_close(struct fv__camera **camera)
{
    struct fv__camera *c = *camera;
    if (!c)
        return;
    free(c->svg.text);
    free(c->pixel);
    free(c->row);
    free(c->rgb);
    g_free(c->jpeg);
    free(c);
    *camera = NULL;
    vips_thread_shutdown(); /* what libvips keeps for this thread */
}

/* --- pixels ------------------------------------------------------------------------------------------ */

static int render(struct fv__camera *c)
{
    VipsImage *im = NULL;
    size_t n = 0, count = (size_t)c->size * (size_t)c->size;
    if (vips_svgload_buffer(c->svg.text, c->svg.used, &im, NULL) != 0)
        return vips_failed("draw a face");
    int fits = im->Xsize == c->size && im->Ysize == c->size && im->Bands == 4 &&
               im->BandFmt == VIPS_FORMAT_UCHAR;
    unsigned char *rgba = fits ? vips_image_write_to_memory(im, &n) : NULL;
    g_object_unref(im);
    if (!fits)
        return fv_err(FV_EBACKEND, "libvips drew a face in an unexpected format");
    if (!rgba)
        return vips_failed("draw a face");
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < 3; k++)
            c->pixel[i * 3 + (size_t)k] = rgba[i * 4 + (size_t)k];
    g_free(rgba);
    return 0;
}

/* A lamp from one side, its colour, exposure, and the vignette of the lens: one gain a pixel. */
static void light(struct fv__camera *c, const struct fv__shot *s)
{
    double lx = cos(s->light_angle * 3.14159265358979 / 180),
           ly = sin(s->light_angle * 3.14159265358979 / 180);
    double colour[3] = {1 + s->warmth, 1, 1 - s->warmth};
    for (int y = 0; y < c->size; y++)
        for (int x = 0; x < c->size; x++) {
            float *p = c->pixel + ((size_t)y * (size_t)c->size + (size_t)x) * 3;
            double u = (2.0 * x + 1) / c->size - 1, v = (2.0 * y + 1) / c->size - 1;
            double lamp = 1 + 0.55 * s->light * (u * lx + v * ly),
                   edge = 1 - s->vignette * 0.5 * (u * u + v * v);
            for (int k = 0; k < 3; k++)
                p[k] *= (float)(s->exposure * colour[k] * lamp * edge);
        }
}

/* One line through a symmetric kernel; the border pixel repeats. */
static void blur_line(float *p, size_t step, int n, const float *kernel, int radius, float *line)
{
    for (int i = 0; i < n; i++)
        memcpy(line + i * 3, p + (size_t)i * step, 3 * sizeof *line);
    for (int i = 0; i < n; i++) {
        float sum[3] = {0, 0, 0};
        for (int j = -radius; j <= radius; j++) {
            int at = i + j < 0 ? 0 : i + j >= n ? n - 1 : i + j;
            for (int k = 0; k < 3; k++)
                sum[k] += kernel[j < 0 ? -j : j] * line[at * 3 + k];
        }
        memcpy(p + (size_t)i * step, sum, sizeof sum);
    }
}

static void blur(struct fv__camera *c, const struct fv__shot *s)
{
    enum { RADIUS_MAX = 64 };
    float kernel[RADIUS_MAX + 1];
    double sigma = s->blur * c->size / 128.0, sum = 0;
    int radius = (int)ceil(2.5 * sigma);
    radius = radius > RADIUS_MAX ? RADIUS_MAX : radius;
    if (sigma < 0.25)
        return;
    for (int i = 0; i <= radius; i++) {
        kernel[i] = (float)exp(-0.5 * i * i / (sigma * sigma));
        sum += i ? 2 * kernel[i] : kernel[i];
    }
    for (int i = 0; i <= radius; i++)
        kernel[i] = (float)(kernel[i] / sum);
    size_t line = (size_t)c->size * 3;
    for (int i = 0; i < c->size; i++)
        blur_line(c->pixel + (size_t)i * line, 3, c->size, kernel, radius, c->row);
    for (int i = 0; i < c->size; i++)
        blur_line(c->pixel + (size_t)i * 3, line, c->size, kernel, radius, c->row);
}

/* The sum of the four bytes of a word is close to normal, and much cheaper: sd 147.8. */
static float near_normal(struct fv_rng *r)
{
    uint32_t w = fv_rng_u32(r);
    int sum = (int)((w & 255) + (w >> 8 & 255) + (w >> 16 & 255) + (w >> 24));
    return (float)(sum - 510) * (1.0f / 147.8f);
}

static void expose(struct fv__camera *c, const struct fv__shot *s)
{
    struct fv_rng r = fv_rng_at(s->seed, NOISE_STREAM, s->sample, FV_RNG_SYNTH_IMG);
    float contrast = (float)s->contrast, saturation = (float)s->saturation, noise = (float)s->noise;
    size_t count = (size_t)c->size * (size_t)c->size;
    for (size_t i = 0; i < count; i++) {
        float *p = c->pixel + i * 3, shared = 0.7f * near_normal(&r);
        for (int k = 0; k < 3; k++)
            p[k] += noise * (shared + 0.7f * near_normal(&r));
        float grey = 0.299f * p[0] + 0.587f * p[1] + 0.114f * p[2];
        for (int k = 0; k < 3; k++) {
            float v = (grey + saturation * (p[k] - grey) - 127.5f) * contrast + 127.5f;
            c->rgb[i * 3 + (size_t)k] = (unsigned char)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5f);
        }
    }
}

static int compress(struct fv__camera *c, int quality, size_t *n)
{
    size_t bytes = (size_t)c->size * (size_t)c->size * 3;
    VipsImage *im =
        vips_image_new_from_memory(c->rgb, bytes, c->size, c->size, 3, VIPS_FORMAT_UCHAR);
    g_free(c->jpeg);
    c->jpeg = NULL;
    if (!im)
        return vips_failed("write a JPEG");
    im->Type = VIPS_INTERPRETATION_sRGB;
    int rc = vips_jpegsave_buffer(im, &c->jpeg, n, "Q", quality, "strip", TRUE, NULL);
    g_object_unref(im);
    return rc == 0 ? 0 : vips_failed("write a JPEG");
}

int fv__camera_take(struct fv__camera *c, const struct fv__person *p, const struct fv__shot *s,
                    const void **jpeg, size_t *n)
{
    fv__synth_svg(&c->svg, p, s, c->size);
    if (c->svg.full)
        return fv_err(FV_EFULL, "a drawn face takes more than %d bytes of SVG", SVG_ROOM);
    FV_TRY(render(c));
    light(c, s);
    blur(c, s);
    expose(c, s);
    FV_TRY(compress(c, s->quality, n));
    *jpeg = c->jpeg;
    return 0;
}
