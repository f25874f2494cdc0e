/* SPDX-License-Identifier: MIT */
/* A folder of everything that can be wrong with photos, packed by the program itself: each file must end in the data
 * set or in the list of refused files with its reason, without a crash, without hanging, in bounded memory.
 *
 * usage: test_torture FVPREP
 */
#include "store/store.h"
#include "tests/cmocka_all.h"
#include "tests/prep/scratch.h"
#include "tests/prep/torture_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>
#include <vips/vips.h>

enum { SIDE = 64, HANG_S = 240, RSS_MAX_KB = 300 * 1024 };

static const char *fvprep;

/* --- the files ------------------------------------------------------------------------------------ */

struct expected {
    const char *name;
    const char
        *fate; /* "packed", "ignored", or the code of its reason; alternatives between bars */
    int grey;  /* of all its pixels when it is packed; -1: not looked at */
};
static struct expected expected[128];
static int files;

static void expect(const char *name, const char *fate)
{
    assert_true(files < (int)(sizeof expected / sizeof *expected));
    expected[files++] = (struct expected){name, fate, -1};
}

static void put_file(const char *name, const char *fate, struct bytes *b, size_t n)
{
    char path[512];
    snprintf(path, sizeof path, "in/%s", name);
    scratch_write(path, b->p ? (char *)b->p : "", n);
    free(b->p);
    *b = (struct bytes){0};
    expect(name, fate);
}

static void put_whole(const char *name, const char *fate, struct bytes *b)
{
    put_file(name, fate, b, b->n);
}

static void put_text(const char *name, const char *fate, const char *text)
{
    struct bytes b = {0};
    bytes_put(&b, text, strlen(text));
    put_whole(name, fate, &b);
}

/* libvips encodes what is too much by hand. */
static void make_webp(struct bytes *b, int w, int h, int frames)
{
    VipsImage *im, *page[8];
    void *file;
    size_t n;
    for (int k = 0; k < frames; k++) {
        VipsImage *black;
        assert_int_equal(vips_black(&black, w, h, "bands", 3, NULL), 0);
        assert_int_equal(vips_linear1(black, &page[k], 1, 40 * k + 20, "uchar", TRUE, NULL), 0);
        g_object_unref(black);
    }
    assert_int_equal(vips_arrayjoin(page, &im, frames, "across", 1, NULL), 0);
    for (int k = 0; k < frames; k++)
        g_object_unref(page[k]);
    if (frames > 1)
        vips_image_set_int(im, VIPS_META_PAGE_HEIGHT, h);
    assert_int_equal(vips_webpsave_buffer(im, &file, &n, "lossless", TRUE, "strip", TRUE, NULL), 0);
    bytes_put(b, file, n);
    g_object_unref(im);
    g_free(file);
}

/* In both places: that of the canvas, and that of the frame in lossless coding. */
static void patch_webp_size(struct bytes *b, uint32_t side)
{
    uint8_t *canvas = memmem(b->p, b->n, "VP8X", 4), *frame = memmem(b->p, b->n, "VP8L", 4);
    assert_non_null(canvas);
    assert_non_null(frame);
    for (int i = 0; i < 6; i++)
        canvas[12 + i] = (uint8_t)((side - 1) >> 8 * (i % 3));
    const uint32_t both = (side - 1) | (side - 1) << 14;
    for (int i = 0; i < 4; i++)
        frame[9 + i] = (uint8_t)((i < 3 ? 0 : frame[12] & 0xf0) | (both >> 8 * i & 255));
}

static void make_good(void)
{
    struct bytes b = {0};
    make_jpeg(&b, 80, 70, JPEG_BASELINE);
    put_whole("good/baseline.jpg", "packed", &b);
    make_jpeg(&b, 80, 70, JPEG_PROGRESSIVE);
    put_whole("good/progressive.jpg", "packed", &b);
    make_jpeg(&b, 80, 70, JPEG_GREY);
    put_whole("good/grey.jpg", "packed", &b);
    make_jpeg(&b, 80, 70, JPEG_CMYK);
    put_whole("good/cmyk.jpg", "packed", &b);
    make_png(&b, 80, 70, 8, 2);
    put_whole("good/rgb.png", "packed", &b);
    make_png(&b, 80, 70, 16, 2);
    put_whole("good/rgb16.png", "packed", &b);
    make_png(&b, 80, 70, 16, 0);
    put_whole("good/grey16.png", "packed", &b);
    make_png(&b, 80, 70, 8, 6);
    put_whole("good/alpha.png", "packed", &b);
    make_png(&b, 80, 70, 16, 4);
    put_whole("good/grey_alpha16.png", "packed", &b);
    make_black_png(&b, 80, 70, 8, 2, 1);
    put_whole("good/interlaced.png", "packed", &b);
    make_pnm(&b, 80, 70, 1);
    put_whole("good/grey.pgm", "packed", &b);
    make_pnm(&b, 80, 70, 3);
    put_whole("good/rgb.ppm", "packed", &b);
    make_tiff(&b, 80, 70, 80 * 70);
    put_whole("good/strip.tif", "packed", &b);
    make_gif(&b, 80, 70, 1);
    put_whole("good/still.gif", "packed", &b);
    expected[files - 1].grey = 20;
    make_gif(&b, 80, 70, 5);
    put_whole("good/animated.gif", "packed", &b);
    expected[files - 1].grey = 20;
    make_webp(&b, 80, 70, 1);
    put_whole("good/still.webp", "packed", &b);
    expected[files - 1].grey = 20;
    make_webp(&b, 80, 70, 4);
    put_whole("good/animated.webp", "packed", &b);
    expected[files - 1].grey = 20;
    make_jpeg(&b, 80, 71, JPEG_BASELINE);
    put_whole("good/really_a_jpeg.png", "packed", &b);
    make_png(&b, 80, 71, 8, 0);
    put_whole("good/no_suffix", "packed", &b);
}

static void make_cut(void)
{
    struct bytes b = {0};
    make_jpeg(&b, 200, 200, JPEG_BASELINE);
    put_file("cut/baseline.jpg", "truncated", &b, b.n / 2);
    make_jpeg(&b, 200, 200, JPEG_PROGRESSIVE);
    put_file("cut/progressive.jpg", "truncated", &b, b.n * 3 / 4);
    make_jpeg(&b, 200, 200, JPEG_CMYK);
    put_file("cut/cmyk.jpg", "truncated", &b, b.n / 2);
    make_jpeg(&b, 200, 200, JPEG_BASELINE);
    put_file("cut/head.jpg", "bad-header|truncated", &b, 30);
    make_png(&b, 200, 200, 8, 2);
    put_file("cut/rows.png", "truncated", &b, b.n / 2);
    make_png(&b, 200, 200, 8, 2);
    put_file("cut/head.png", "bad-header|truncated", &b, 20);
    make_gif(&b, 200, 200, 1);
    put_file("cut/frame.gif", "truncated", &b, b.n / 2);
    make_webp(&b, 200, 200, 1);
    put_file("cut/still.webp", "truncated", &b, b.n / 2);
    make_tiff(&b, 200, 200, 200 * 200 / 2);
    put_whole("cut/strip.tif", "damaged|truncated", &b);
    make_tiff(&b, 200, 200, 200 * 200);
    put_file("cut/head.tif", "bad-header|truncated", &b, 200 * 200 / 2);
    make_pnm(&b, 200, 200, 3);
    put_file("cut/rows.ppm", "damaged|truncated", &b, b.n / 2);
}

static void make_corrupt(void)
{
    struct bytes b = {0};
    make_jpeg(&b, 100, 100, JPEG_BASELINE);
    memset(b.p + 20, 0xff, 60);
    put_whole("corrupt/tables.jpg", "bad-header|damaged", &b);
    make_png(&b, 100, 100, 8, 2);
    b.p[24] = 7; /* bits a channel; its checksum is wrong then, too */
    put_whole("corrupt/head.png", "bad-header", &b);
    make_png(&b, 100, 100, 8, 2);
    memset(b.p + b.n / 2, 0xa5, 64); /* the checksums differ */
    put_whole("corrupt/rows.png", "damaged", &b);
    make_gif_header(&b, 100, 100);
    put_text("cut/no_frame.gif", "truncated", "GIF89a\x64");
    put_whole("cut/only_head.gif", "truncated", &b);
    make_webp(&b, 100, 100, 1);
    memset(b.p + 16, 0xff, b.n - 16);
    put_whole("corrupt/rows.webp", "bad-header|damaged", &b);
    make_tiff(&b, 100, 100, 100 * 100);
    memset(b.p + b.n - 60, 0xff, 40);
    put_whole("corrupt/tags.tif", "bad-header|damaged|too-many-pixels|pixel-type", &b);
    put_text("corrupt/negative.pgm", "bad-header", "P5\n-5 -5\n255\nxxxxxxxxxxxxxxxxxxx");
    make_png(&b, 1, 1, 8, 2);
    put_whole("corrupt/one_pixel.png", "too-small", &b);
    put_text("corrupt/text.jpg", "not-an-image", "this is a text");
    put_text("corrupt/page.jpg", "not-an-image", "<!DOCTYPE html><html>403 Forbidden</html>");
    put_text("corrupt/pointer.jpg", "lfs-pointer",
             "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n");
    put_text("corrupt/empty.jpg", "empty", "");
}

static void make_bombs(void)
{
    struct bytes b = {0};
    make_png_header(&b, 60000, 60000);
    put_whole("bomb/head.png", "too-many-pixels", &b);
    make_jpeg(&b, 80, 80, JPEG_BASELINE);
    patch_jpeg_size(&b, 60000, 60000);
    put_whole("bomb/head.jpg", "too-many-pixels", &b);
    make_jpeg(&b, 80, 80, JPEG_PROGRESSIVE);
    patch_jpeg_size(&b, 60000, 60000);
    put_whole("bomb/progressive.jpg", "too-many-pixels", &b);
    make_tiff(&b, 60000, 60000, 1000);
    put_whole("bomb/head.tif", "too-many-pixels", &b);
    make_gif_header(&b, 60000, 60000);
    bytes_put(&b, "\x2c\0\0\0\0\x60\xea\x60\xea\0\x07\x02\x80\x81\0\x3b", 16);
    put_whole("bomb/head.gif", "too-many-pixels", &b);
    make_webp(&b, 80, 80, 1);
    patch_webp_size(&b, 16383); /* the format's largest */
    put_whole("bomb/head.webp", "too-many-pixels", &b);
    put_text("bomb/head.pgm", "too-many-pixels", "P5\n60000 60000\n255\nxxxxxxxxxxxx");
    /* pixels that are there, a thousand times smaller as they are stored */
    make_black_png(&b, 11500, 11500, 16, 2, 0);
    assert_in_range(b.n, 4000000, 6000000);
    put_whole("bomb/rows16.png", "packed|too-many-pixels", &b);
    make_black_png(&b, 11500, 11500, 16, 2, 1);
    put_whole("bomb/interlaced16.png", "too-many-pixels", &b);
    make_jpeg(&b, 200, 200, JPEG_MANY_SCANS);
    put_whole("bomb/scans.jpg", "damaged", &b);
    make_jpeg(&b, 80, 80, JPEG_MANY_SCANS);
    patch_jpeg_size(&b, 11000, 11000);
    put_whole("bomb/large_scans.jpg", "damaged|truncated|too-many-pixels", &b);
    make_png_with_large_chunk(&b, "zTXt", 400 << 20);
    put_whole("bomb/text.png", "packed|damaged|bad-header", &b);
    make_png_with_large_chunk(&b, "iCCP", 400 << 20);
    put_whole("bomb/profile.png", "packed|damaged|bad-header", &b);
    make_gif(&b, 16, 16, 5000);
    put_whole("bomb/frames.gif", "packed", &b);
    expected[files - 1].grey = 20;
}

/* The largest files, and the largest pictures that must be unpacked whole, that are allowed, several in a row: each
 * alone is harmless. */
static void make_large(void)
{
    static char name[5][32];
    for (int i = 0; i < 5; i++) {
        struct bytes b = {0};
        if (i < 2)
            make_black_png(&b, 7300, 7300, 8, 2, 1);
        else
            bytes_put(&b, "\xff\xd8\xff\xe0", 4);
        snprintf(name[i], sizeof name[i], "large/%d.%s", i, i < 2 ? "png" : "jpg");
        put_whole(name[i], i < 2 ? "packed" : "bad-header", &b);
        if (i >= 2)
            assert_int_equal(truncate(scratch_path("in/%s", name[i]), 60 << 20), 0);
    }
}

static void make_formats_not_read(void)
{
    struct bytes b = {0};
    put_text("foreign/drawing.svg", "ignored",
             "<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\" width=\"99\" "
             "height=\"99\"/>");
    put_text("foreign/drawing.jpg", "not-an-image",
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"99\" height=\"99\"/>");
    put_text("foreign/page.pdf", "ignored", "%PDF-1.4\n1 0 obj<<>>endobj\n%%EOF\n");
    put_text("foreign/page.jpg", "not-an-image", "%PDF-1.4\n1 0 obj<<>>endobj\n");
    bytes_put(&b, "BM\x36\x03\0\0\0\0\0\0\x36\0\0\0", 14);
    put_whole("foreign/picture.bmp", "unsupported-format", &b);
    put_text("foreign/notes.txt", "ignored", "a note");
    put_text("foreign/.hidden.jpg", "ignored", "x");
}

static void put_link(const char *name, const char *to, const char *fate)
{
    assert_int_equal(symlink(to, scratch_path("in/%s", name)), 0);
    expect(name, fate);
}

static void make_entries(void)
{
    struct bytes b = {0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    make_png(&b, 80, 72, 8, 2);
    put_whole("entry/good.png", "packed", &b);
    assert_int_equal(mkfifo(scratch_path("in/entry/fifo.jpg"), 0600), 0);
    expect("entry/fifo.jpg", "special-file");
    snprintf(address.sun_path, sizeof address.sun_path, "%s", scratch_path("in/entry/socket.jpg"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    expect("entry/socket.jpg", "special-file");
    assert_int_equal(mkdir(scratch_path("in/entry/folder.jpg"), 0700), 0);
    expect("entry/folder.jpg", "folder");
    put_link("entry/null.jpg", "/dev/null", "special-file");
    put_link("entry/loop.jpg", "loop.jpg", "link-loop");
    put_link("entry/up", "..", "link-loop");
    put_link("entry/dangling.jpg", "nowhere.jpg", "link-dangling");
    put_link("entry/linked.png", "../good/rgb.png", "packed");
    put_text("entry/bell\a.jpg", "bad-name", "x");
    put_text("entry/\033]0;title\a.jpg", "bad-name", "x");
    put_text("loose.jpg", "no-identity", "x");
    fd = open(scratch_path("in/entry/sparse.jpg"), O_CREAT | O_WRONLY, 0600);
    assert_int_equal(ftruncate(fd, (off_t)4 << 30), 0);
    close(fd);
    expect("entry/sparse.jpg", "file-too-large");
    make_png(&b, 80, 73, 8, 2);
    put_whole("entry/a/b/c/d/e/f/deep.png", "packed", &b);
    make_png(&b, 80, 73, 8, 2);
    put_file("deep/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/deep.png", "", &b, b.n);
    expected[files - 1] =
        (struct expected){"deep/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", "too-deep", -1};
}

/* For what this process starts; 0 when that is not allowed. */
static int give_up_reading_all(void)
{
    return geteuid() != 0 || (prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) == 0 &&
                              prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH, 0, 0, 0) == 0);
}

/* Files that nobody may read; root reads them all the same, unless it gives that up. */
static void make_unreadable(void)
{
    struct bytes b = {0};
    if (!give_up_reading_all()) {
        print_message("root reads everything here: no unreadable files\n");
        return;
    }
    make_png(&b, 80, 74, 8, 2);
    put_whole("entry/locked.png", "unreadable", &b);
    assert_int_equal(chmod(scratch_path("in/entry/locked.png"), 0), 0);
    assert_int_equal(mkdir(scratch_path("in/entry/locked"), 0), 0);
    expect("entry/locked", "unreadable");
}

/* --- the run -------------------------------------------------------------------------------------- */

struct outcome {
    int status;
    long rss_kb;
};

static struct outcome run(const char *threads)
{
    struct outcome o;
    struct rusage usage;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const int log = open(scratch_path("log"), O_CREAT | O_TRUNC | O_WRONLY, 0600);
        dup2(log, 1);
        dup2(log, 2);
        unsetenv("MALLOC_PERTURB_"); /* it touches memory that a library only reserves */
        alarm(HANG_S);
        execl(fvprep, fvprep, "pack", scratch_path("in"), "-o", scratch_path("out.lmdb"), "--size",
              "64", "--overwrite", "--json", "--threads", threads, NULL);
        _exit(127);
    }
    assert_int_equal(wait4(pid, &o.status, 0, &usage), pid);
    o.rss_kb = usage.ru_maxrss;
    return o;
}

/* "truncated" of "a/b.jpg\ttruncated\t..." */
static const char *reason_of(char *list, const char *name, char out[32])
{
    char escaped[256] = "\n";
    size_t n = 1;
    for (const char *p = name; *p; p++)
        n += (size_t)sprintf(escaped + n, (unsigned char)*p < ' ' ? "\\x%02x" : "%c", *p);
    strcpy(escaped + n, "\t");
    const char *at = strstr(list, escaped);
    if (!at)
        return NULL;
    sscanf(at + strlen(escaped), "%31[^\t\n]", out);
    return out;
}

static int allows(const char *fates, const char *fate)
{
    const size_t n = strlen(fate);
    for (const char *p = fates; p; p = strchr(p, '|'), p += p != NULL)
        if (strncmp(p, fate, n) == 0 && (p[n] == 0 || p[n] == '|'))
            return 1;
    return 0;
}

static int check_grey(struct fv_decoder *d, uint64_t image, int grey)
{
    static uint8_t rgb[SIDE * SIDE * 3 + FV_DECODE_PAD];
    assert_int_equal(fv_decoder_read(d, image, rgb), 0);
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        if (rgb[i] != grey)
            return 0;
    return 1;
}

static void check_fates(void)
{
    struct fv_store *store;
    struct fv_decoder *d;
    size_t n;
    int wrong = 0;
    char *list = scratch_read("out.rejects.tsv", &n);
    assert_int_equal(fv_store_open(&store, scratch_path("out.lmdb")), 0);
    assert_int_equal(fv_decoder_open(&d, store), 0);
    for (int i = 0; i < files; i++) {
        const struct expected *e = &expected[i];
        char code[32];
        uint64_t image;
        const char *reason = reason_of(list, e->name, code);
        const int packed = fv_store_find(store, e->name, &image) == 0;
        const char *fate = reason ? reason : packed ? "packed" : "ignored";
        if (packed && reason)
            fate = "both packed and refused";
        if (!allows(e->fate, fate)) {
            print_error("%s: %s, not %s\n", e->name, fate, e->fate);
            wrong++;
        } else if (packed && e->grey >= 0 && !check_grey(d, image, e->grey)) {
            print_error("%s: its first frame is of grey %d\n", e->name, e->grey);
            wrong++;
        }
    }
    fv_decoder_close(&d);
    fv_store_close(&store);
    free(list);
    assert_int_equal(wrong, 0);
}

static void check_run(const char *threads)
{
    const struct outcome o = run(threads);
    if (!WIFEXITED(o.status) || WEXITSTATUS(o.status) != 0) {
        size_t n;
        char *log = scratch_read("log", &n);
        print_error("%s", log);
        free(log);
    }
    assert_true(WIFEXITED(o.status));
    assert_int_equal(WEXITSTATUS(o.status), 0);
    check_fates();
    print_message("%s threads: at most %ld MiB\n", threads, o.rss_kb >> 10);
#if !defined(__SANITIZE_ADDRESS__)
    assert_true(o.rss_kb < RSS_MAX_KB);
#endif
}

static void one_thread(void **state)
{
    (void)state;
    check_run("1");
}

static void four_threads(void **state)
{
    size_t na, nb;
    (void)state;
    char *one = scratch_read("out.lmdb", &na);
    check_run("4");
    char *four = scratch_read("out.lmdb", &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(one, four, na);
    free(one);
    free(four);
}

static int setup(void **state)
{
    (void)state;
    if (VIPS_INIT("test_torture") != 0)
        return -1;
    scratch_open();
    make_good();
    make_cut();
    make_corrupt();
    make_bombs();
    make_large();
    make_formats_not_read();
    make_entries();
    make_unreadable();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    chmod(scratch_path("in/entry/locked"), 0700);
    scratch_close();
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_thread),
                                       cmocka_unit_test(four_threads)};
    assert_int_equal(argc, 2);
    fvprep = argv[1];
    return cmocka_run_group_tests(tests, setup, teardown);
}
