/* SPDX-License-Identifier: MIT */
/* .npy files, the names beside embeddings, pair lists and trials over such names, damaged: refused, or within their
 * bytes. The first byte of an input says which of these it is. */
#include "common/rng.h"
#include "store/pair_format.h"
#include "store/pair_names.h"
#include "store/trials.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/seeds.h"
#include "trainer/eval/npy.h"
#include "trainer/eval/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static unsigned long accepted, refused;
static volatile double sink;

static void demand(int truth)
{
    if (!truth)
        abort();
}

static void try_npy(const uint8_t *data, size_t n)
{
    char text[FV_NPY_TEXT];
    struct fv_npy a;

    if (fv_npy_parse(&a, data, n, "fuzz") < 0) {
        refused++;
        return;
    }
    accepted++;
    demand(a.dims == 1 || a.dims == 2);
    for (size_t i = 0; i < a.rows && a.columns; i++)
        for (size_t k = 0; k < a.columns; k++) {
            sink += fv_npy_at(&a, i, k);
            fv_npy_text(&a, i, k, text);
            demand(strlen(text) > 0 && strlen(text) < sizeof text);
        }
}

static void try_rows(const uint8_t *data, size_t n)
{
    uint32_t labels, *label;
    struct fv_rows r;

    if (fv__rows_parse(&r, "fuzz", (const char *)data, n) < 0) {
        refused++;
        return;
    }
    accepted++;
    demand(r.n > 0);
    for (size_t i = 0; i < r.n; i++)
        demand(*r.name[i] && strlen(r.name[i]) <= n && (!r.identity || strlen(r.identity[i]) <= n));
    label = malloc(r.n * sizeof *label);
    if (r.identity || fv_rows_folders(&r) == 0)
        demand(fv_rows_labels(&r, label, &labels) == 0 && labels <= r.n && label[r.n - 1] < labels);
    free(label);
    fv_rows_free(&r);
}

static void try_pairs(const uint8_t *data, size_t n)
{
    static const char *const name[] = {"a/1.jpg", "a/2.jpg", "b/1.png", "3", "b/1 2"};
    const struct fv_name_list list = {"names", name, 5}, few = {"few", name, 3};
    struct fv_pairs p;

    if (fv__pairs_parse_names(&p, &list, &few, "fuzz", (const char *)data, n, "auto") < 0) {
        refused++;
        return;
    }
    accepted++;
    for (size_t i = 0; i < p.n; i++)
        demand(p.pair[i].a < list.n && p.pair[i].b < few.n);
    fv_pairs_free(&p);
}

static void try_trials(const uint8_t *data, size_t n)
{
    static const char *const name[] = {"a/1.jpg", "a/2.jpg", "b/1.png", "3", "b/1 2"};
    const struct fv_name_list list = {"names", name, 5};
    struct fv_pair_names names;
    struct fv_trials t;

    fv__pair_names_open_list(&names, &list);
    if (fv__trials_parse(&t, &names, "fuzz", (const char *)data, n) < 0)
        refused++;
    else
        accepted++;
    for (size_t i = 0; i < t.n; i++)
        demand(t.a[i] < list.n && t.b[i] < list.n && *t.first[i] && *t.second[i]);
    fv_trials_free(&t);
    fv__pair_names_close(&names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static void (*const one[])(const uint8_t *, size_t) = {try_npy, try_rows, try_pairs,
                                                           try_trials};
    uint8_t *copy = malloc(n ? n : 1); /* as long as the input, so that a sanitizer sees its end */

    fuzz_keep_seed(data, n);
    if (n) {
        memcpy(copy, data + 1, n - 1);
        one[data[0] % 4](copy, n - 1);
    }
    free(copy);
    return 0;
}

#ifndef FV_LIBFUZZER
struct seed {
    const char *text;
    size_t n;
};
#define SEED(t)                                                                                    \
    {                                                                                              \
        t, sizeof t - 1                                                                            \
    }
static const struct seed seeds[] = {
    SEED("\0\x93NUMPY\1\0\x3a\0{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }\n"
         "01234567"),
    SEED("\0\x93NUMPY\2\0\x3a\0\0\0{'descr': '>i2', 'fortran_order': True, 'shape': (2, 2), }\n "
         "01234567"),
    SEED("\0\x93NUMPY\1\0\x38\0{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }"
         "\1\0\1"),
    SEED("\1name,identity\na/1.jpg,x\n\"b,\"\"1\",y\n"),
    SEED("\1a/1\nb/2\r\nc d/3\n"),
    SEED("\1a\t1\nb\t2\n"),
    SEED("\2a/1.jpg b/1 1\na/2 a/1 0\n"),
    SEED("\2img1,img2,match\na/1.jpg,a/2.jpg,1\n3,b/1.png,0\n"),
    SEED("\0022\t1\na\t1\t2\n"),
    SEED("\3a/1.jpg b/1\na/2\t3\n"),
    SEED("\3img1,x,img2\na/1.jpg,,a/2.jpg\n\"3\",7,b/1.png\n"),
};
static const char *const tokens[] = {"\1,",   "\1\n", "\1\"", "\1\t",  "\1/",    "\2(1",
                                     "\1)",   "\2'<", "\2f8", "\3a/1", "\4name", "\1\0",
                                     "\0019", "\2 1", "\2 0", "\1:",   "\1{"};

int main(int argc, char **argv)
{
    enum { ROUNDS = 30000, ROOM = 512 };
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    uint8_t input[ROOM];

    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct fv_rng r = fv_rng_at(seed, 0, round, FV_RNG_TEST);
        const struct seed *s = &seeds[round % (sizeof seeds / sizeof *seeds)];
        size_t n = s->n;
        memcpy(input, s->text, n);
        if (round >= sizeof seeds / sizeof *seeds)
            n = mutate_bytes(&r, input, n, ROOM, tokens, sizeof tokens / sizeof *tokens);
        input[0] = (uint8_t)s->text[0];
        LLVMFuzzerTestOneInput(input, n);
    }
    printf("fuzz_embeddings: seed %llu, %d inputs, %lu accepted, %lu refused\n",
           (unsigned long long)seed, ROUNDS, accepted, refused);
    return accepted < ROUNDS / 20 || refused < ROUNDS / 20;
}
#endif
