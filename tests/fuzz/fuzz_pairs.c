/* SPDX-License-Identifier: MIT */
/* The readers of pair lists and of template lists on damaged lists: they may refuse them, they may not read outside
 * of them, and what they accept names images that there are.
 *
 * Built with -DFV_LIBFUZZER (clang -fsanitize=fuzzer) this is a libFuzzer target; otherwise a main mutates one
 * list of each form by a seeded rule, so that the same few thousand lists are an ordinary test.
 */
#include "common/rng.h"
#include "store/pair_format.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/seeds.h"
#include "tests/store/demo_store.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct fv_store *store;
static unsigned long accepted, refused;

static void open_store(void)
{
    const struct demo demo = {.labels = 3, .images = 4, .holdout = 1, .side = 8};
    char path[] = "/tmp/fv-fuzz-pairs-XXXXXX";

    close(mkstemp(path));
    if (demo_make(path, &demo) < 0 || fv_store_open(&store, path) < 0)
        abort();
    unlink(path);
}

static void check_pairs(struct fv_pairs *p, uint64_t ids)
{
    size_t genuine = 0;

    for (size_t i = 0; i < p->n; i++) {
        genuine += p->pair[i].same;
        if (p->pair[i].a >= ids || p->pair[i].b >= ids || p->pair[i].same > 1 ||
            p->pair[i].fold >= (p->folds ? p->folds : 1))
            abort();
    }
    if (genuine != p->genuine || p->n == 0)
        abort();
    fv_pairs_free(p);
}

static void try_pairs(const char *text, size_t n, const char *format)
{
    struct fv_pairs p;

    if (fv__pairs_parse(&p, store, NULL, "fuzz", text, n, format) < 0) {
        refused++;
        return;
    }
    accepted++;
    check_pairs(&p, fv_store_info(store)->images);
}

static void try_weights(const char *text, size_t n)
{
    enum { IMAGES = 64 };
    float weight[IMAGES];

    if (fv_store_info(store)->images > IMAGES)
        abort();
    if (fv__image_weights_parse(weight, store, "fuzz", text, n) < 0)
        return;
    for (uint64_t i = 0; i < fv_store_info(store)->images; i++)
        if (weight[i] < 0 || isinf(weight[i]))
            abort();
}

/* The text as a list of templates, and as a list that pairs them. */
static void try_templates(const char *text, size_t n)
{
    struct fv_templates t;
    struct fv_pairs p;
    size_t at = 0;

    if (fv__templates_parse(&t, store, "fuzz", text, n) < 0)
        return;
    for (size_t i = 0; i < t.n; at += t.template[i++].count)
        if (t.template[i].first != at || t.template[i].count == 0 ||
            (i > 0 && t.template[i].number <= t.template[i - 1].number))
            abort();
    for (size_t i = 0; i < t.images; i++)
        if (t.image[i].image >= fv_store_info(store)->images || t.image[i].template >= t.n)
            abort();
    if (at != t.images)
        abort();
    if (fv__pairs_parse(&p, NULL, &t, "fuzz", text, n, "list") >= 0)
        check_pairs(&p, t.n);
    fv_templates_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *name, *help;
    char *text = malloc(n ? n : 1); /* not terminated: the readers may not count on it */

    fuzz_keep_seed(data, n);
    if (!store)
        open_store();
    if (!text)
        return 0;
    if (n)
        memcpy(text, data, n);
    try_pairs(text, n, NULL);
    for (size_t i = 0; fv_pairs_format(i, &name, &help); i++)
        try_pairs(text, n, name);
    try_templates(text, n);
    try_weights(text, n);
    free(text);
    return 0;
}

#ifndef FV_LIBFUZZER
static const char *const lists[] = {
    "person000/0000.jpg person001/0001.jpg 0\n# x\nperson002/0000 person002/0001.png 1\n",
    "person000/0000.jpg\tperson001/0001.jpg\t0\r\n\nx/person002/0000\tperson002/0001.png\t1\r\n",
    "img1,img2,match\nperson000/0000.jpg,person001/0001.jpg,0\n\"person002/0000\", 0001,1\n",
    "id,same,image2,image1\n1,1,\"person000/0000.jpg\",\"person000/0001.jpg\"\n",
    "1\t1\nperson000\t0\t1\nperson000\t2\tperson001\t3\n",
    "1\nperson000\t0\t1\nperson000\t2\tperson001\t3\n",
    "person000\t0\t1\nperson000\t2\tperson001\t3\nperson002\t0\t3\nperson002\t2\tperson001\t3\n",
    "person000/0000.jpg 1\nperson000/0001.jpg 1\nperson000/0002.jpg 0\nperson001/0002.jpg 0\n",
    "person000/0000.jpg 17 3\nperson000/0001.jpg 17 3\nperson001/0002.jpg 1 4\n",
};
static const char *const tokens[] = {"\n",
                                     "\t",
                                     " ",
                                     ",",
                                     "\"",
                                     "\"\"",
                                     "#",
                                     "0",
                                     "1",
                                     "4294967296",
                                     "18446744073709551616",
                                     "-1",
                                     "/",
                                     ".jpg",
                                     "person000/0000.jpg",
                                     "\xef\xbb\xbf",
                                     "\r\n",
                                     "img1,img2,match\n",
                                     "10\t300\n"};

int main(int argc, char **argv)
{
    const struct fuzz_texts f = {.name = "fuzz_pairs",
                                 .what = "lists",
                                 .text = lists,
                                 .texts = sizeof lists / sizeof *lists,
                                 .token = tokens,
                                 .tokens = sizeof tokens / sizeof *tokens,
                                 .room = 1024};
    const int rc = fuzz_run_texts(&f, argc, argv, &accepted, &refused);

    fv_store_close(&store);
    return rc;
}
#endif
