/* SPDX-License-Identifier: MIT */
/* The limit of packing: the time that libjpeg-turbo alone needs to decode the same JPEGs at the same scale, and
 * zstd alone to compress the same filtered pixels, from memory to memory, on as many threads. Measured in turns
 * with packing itself, in one process.
 *
 * usage: pack_limit PHOTOS [SIZE [THREADS [ROUNDS]]]
 *
 * A line a round: seconds of decoding, compressing, packing, by the clock and then by the processors' time, and the
 * shares that the limit has of packing. Files that are no JPEGs are not wanted.
 */
#include "common/clock.h"
#include "common/cpu.h"
#include "common/err.h"
#include "prep/import/importer.h"
#include "prep/photo/format.h"
#include "prep/photo/photo.h"
#include "prep/prep.h"
#include "store/pixel_filter.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <jpeglib.h>
#include <zstd.h>

enum { LEVEL = 6 };

struct photo {
    uint8_t *bytes, *planes;
    size_t n;
};

static struct photo *photos;
static size_t count;
static int size = 112, threads, rounds = 3;
static atomic_size_t next;

static void check(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "pack_limit: %s\n", fv_err_text());
        exit(1);
    }
}

/* --- both sides ----------------------------------------------------------------------------------- */

static void decode_jpeg(const struct photo *p, uint8_t **row, size_t *room)
{
    struct jpeg_decompress_struct d;
    struct jpeg_error_mgr err;
    d.err = jpeg_std_error(&err);
    jpeg_create_decompress(&d);
    jpeg_mem_src(&d, p->bytes, p->n);
    jpeg_read_header(&d, TRUE);
    unsigned side = d.image_width < d.image_height ? d.image_width : d.image_height;
    d.scale_num = d.scale_denom = 1;
    while (d.scale_denom < 8 && side / (2 * d.scale_denom) >= 2 * (unsigned)size)
        d.scale_denom *= 2;
    d.out_color_space = JCS_RGB;
    jpeg_start_decompress(&d);
    if (3 * (size_t)d.output_width > *room) {
        *room = 3 * (size_t)d.output_width;
        *row = realloc(*row, *room);
    }
    while (d.output_scanline < d.output_height)
        jpeg_read_scanlines(&d, row, 1);
    jpeg_finish_decompress(&d);
    jpeg_destroy_decompress(&d);
}

static void *decode_all(void *arg)
{
    uint8_t *row = NULL;
    size_t room = 0;
    for (size_t i; (i = atomic_fetch_add(&next, 1)) < count;)
        decode_jpeg(&photos[i], &row, &room);
    free(row);
    return arg;
}

static void *compress_all(void *arg)
{
    size_t bytes = 3 * (size_t)size * (size_t)size, room = ZSTD_compressBound(bytes);
    ZSTD_CCtx *c = ZSTD_createCCtx();
    void *to = malloc(room);
    for (size_t i; (i = atomic_fetch_add(&next, 1)) < count;)
        if (ZSTD_isError(ZSTD_compressCCtx(c, to, room, photos[i].planes, bytes, LEVEL)))
            abort();
    free(to);
    ZSTD_freeCCtx(c);
    return arg;
}

/* --- what they work on ------------------------------------------------------------------------------ */

static void load(const char *path)
{
    struct fv_import_settings settings = {0};
    struct fv_framing framing = {.size = size, .crop = 1};
    struct fv_listing l;
    struct fv_photo *reader;
    size_t pixels = 3 * (size_t)size * (size_t)size;
    uint8_t *rgb = malloc(pixels);
    check(fv__import(&l, path, &settings, NULL));
    check(fv__photo_open(&reader, &framing));
    photos = calloc(l.photos, sizeof *photos);
    for (size_t i = 0; i < l.photos; i++) {
        struct photo *p = &photos[count];
        struct fv_refusal why;
        size_t room = 0;
        int rc = fv__import_read(&l, &l.photo[i], &p->bytes, &room, &p->n, &why);
        if (rc == 0)
            rc = fv__photo_decode(reader, p->bytes, p->n, NULL, rgb, &why);
        check(rc);
        if (rc == 1 || !fv__format_is_jpeg(fv__format_of_bytes(p->bytes, p->n))) {
            fprintf(stderr, "pack_limit: %s is refused, or no JPEG\n", l.photo[i].name);
            exit(1);
        }
        p->planes = malloc(pixels);
        fv__pixels_filter(rgb, size, size, p->planes);
        count++;
    }
    fv__photo_close(&reader);
    fv__listing_free(&l);
    free(rgb);
}

struct took {
    double wall, cpu;
};

static struct took now(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (struct took){(double)fv_now_ns() * 1e-9,
                         (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                             (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6};
}

static struct took since(struct took start)
{
    struct took t = now();
    return (struct took){t.wall - start.wall, t.cpu - start.cpu};
}

static struct took time_threads(void *(*work)(void *))
{
    pthread_t thread[64];
    struct took start = now();
    next = 0;
    for (int i = 0; i < threads; i++)
        if (pthread_create(&thread[i], NULL, work, NULL) != 0)
            abort();
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    return since(start);
}

static struct took time_packing(const char *path, const char *output)
{
    struct fv_pack_settings s;
    struct fv_pack_result result;
    fv_pack_defaults(&s);
    s.size = size;
    s.level = LEVEL;
    s.threads = threads;
    s.output = output;
    s.overwrite = 1;
    struct took start = now();
    check(fv_pack_run(&s, path, NULL, &result));
    return since(start);
}

int main(int argc, char **argv)
{
    char folder[256], output[300], rejects[300];
    const char *tmp = getenv("TMPDIR");
    if (argc < 2 || argc > 5) {
        fprintf(stderr, "usage: pack_limit PHOTOS [SIZE [THREADS [ROUNDS]]]\n");
        return 2;
    }
    size = argc > 2 ? atoi(argv[2]) : size;
    threads = argc > 3 ? atoi(argv[3]) : fv_cpu_count();
    threads = threads > 64 ? 64 : threads;
    rounds = argc > 4 ? atoi(argv[4]) : rounds;
    snprintf(folder, sizeof folder, "%s/fv-limit-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder)) {
        perror(folder);
        return 1;
    }
    snprintf(output, sizeof output, "%s/f.lmdb", folder);
    snprintf(rejects, sizeof rejects, "%s/f.rejects.tsv", folder);
    load(argv[1]);
    printf("%zu JPEGs, %d px, %d threads, zstd level %d\n", count, size, threads, LEVEL);
    printf("%5s %26s %26s %14s\n", "", "wall s: jpeg, zstd, pack", "cpu s: jpeg, zstd, pack",
           "limit / pack");
    for (int k = 0; k < rounds; k++) {
        struct took j = time_threads(decode_all), z = time_threads(compress_all);
        struct took p = time_packing(argv[1], output);
        printf("%5d %8.2f %8.2f %8.2f %8.2f %8.2f %8.2f %6.2f %7.2f\n", k + 1, j.wall, z.wall,
               p.wall, j.cpu, z.cpu, p.cpu, (j.wall + z.wall) / p.wall, (j.cpu + z.cpu) / p.cpu);
        fflush(stdout);
    }
    unlink(output);
    unlink(rejects);
    rmdir(folder);
    for (size_t i = 0; i < count; i++) {
        free(photos[i].bytes);
        free(photos[i].planes);
    }
    free(photos);
    return 0;
}
