/* SPDX-License-Identifier: MIT */
/* What an augmentation policy costs by itself: decoded images in memory, one thread, deciding and rendering and
 * nothing else. tools/compare-augment runs it in turns with other libraries.
 *
 * usage: augment_rate DB POLICY [SECONDS]
 *
 * One line: images a second of processor time, and megapixels a second.
 */
#include "augment/dsp.h"
#include "augment/policy.h"
#include "common/err.h"
#include "store/store.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MOST = 256, ROUND = 64 };

static uint8_t *image[MOST];
static int images, height, width;

static void check(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "augment_rate: %s\n", fv_err_text());
        exit(1);
    }
}

static uint8_t *take(size_t bytes)
{
    uint8_t *p = aligned_alloc(64, (bytes + 63) / 64 * 64);

    if (!p)
        check(fv_err(FV_ENOMEM, "out of memory"));
    return p;
}

static void read_images(const char *path)
{
    struct fv_store *store;
    struct fv_decoder *decoder;

    check(fv_store_open(&store, path));
    const struct fv_store_info *info = fv_store_info(store);
    height = info->height;
    width = info->width;
    check(fv_decoder_open(&decoder, store));
    for (; images < MOST && (uint64_t)images < info->images; images++) {
        image[images] = take((size_t)height * (size_t)width * 3 + FV_DECODE_PAD);
        /* from the whole set, not only from its first identities */
        check(fv_decoder_read(decoder, (uint64_t)images * 7919 % info->images, image[images]));
    }
    fv_decoder_close(&decoder);
    fv_store_close(&store);
}

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    const double seconds = argc > 3 ? strtod(argv[3], NULL) : 1;
    struct fv_policy *policy;
    struct fv_dsp dsp;

    if (argc < 3 || argc > 4 || !(seconds > 0)) {
        fprintf(stderr, "usage: augment_rate DB POLICY [SECONDS]\n");
        return 2;
    }
    check(fv_policy_parse(&policy, argv[2]));
    read_images(argv[1]);
    fv_dsp_init(&dsp);
    uint8_t *result = take((size_t)height * (size_t)width * 3);
    uint8_t *scratch = take(fv_render_scratch(height, width, height, width));
    double start = cpu_seconds(), end = start + seconds / 5, now;
    uint64_t n = 0, warmed = 0;
    while ((now = cpu_seconds()) < end || !warmed) {
        if (now >= end) { /* the warm-up is over */
            start = now;
            end = now + seconds;
            warmed = n;
        }
        for (int i = 0; i < ROUND; i++, n++) {
            struct fv_plan plan;
            fv_policy_plan(policy, 1, (uint32_t)(n >> 32), n, height, width, height, width, &plan);
            fv_render(&dsp, &plan, image[n % (uint64_t)images], height, width, result, height,
                      width, scratch, NULL);
        }
    }
    const double rate = (double)(n - warmed) / (now - start);
    printf("%.1f %.2f\n", rate, rate * height * width * 1e-6);
    free(scratch);
    free(result);
    for (int i = 0; i < images; i++)
        free(image[i]);
    fv_policy_free(&policy);
    return 0;
}
