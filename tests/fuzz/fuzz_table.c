/* SPDX-License-Identifier: MIT */
/* The readers of lists and of record indices on damaged ones: every field is a string within its line, columns
 * found in the first row are asked for in rows that have them, and places lie within the container.
 *
 * Built with -DFV_LIBFUZZER (clang -fsanitize=fuzzer) this is a libFuzzer target; otherwise a main mutates
 * valid lists by a seeded rule, so that the same few thousand files are an ordinary test.
 */
#include "common/err.h"
#include "prep/import/list_columns.h"
#include "prep/import/rec_index.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/seeds.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static volatile unsigned sink;
static unsigned long rows, refused, faces, indices; /* how often */

static void read_row(const struct fv_list_columns *c, const struct fv_table *t)
{
    struct fv_face face;
    int split;
    if (fv__list_row_check(c, t) < 0)
        return;
    sink += (unsigned)strlen(t->field[c->path]) + (c->label >= 0 ? *t->field[c->label] : 0);
    if (fv__list_row_split(c, t, &split) >= 0)
        sink += (unsigned)split;
    if (fv__list_row_face(c, t, &face) >= 0 && (face.has_box || face.has_points))
        faces++;
}

static void read_list(const uint8_t *data, size_t n,
                      int (*find)(struct fv_list_columns *, const struct fv_table *))
{
    struct fv_table t;
    struct fv_list_columns c;
    int rc, known = -1;
    if (fv__table_open_bytes(&t, "fuzz", data, n) < 0)
        abort();
    while ((rc = fv__table_next(&t)) == 1) {
        if (t.fields < 1 || t.fields > FV_TABLE_FIELDS)
            abort();
        for (int i = 0; i < t.fields; i++)
            if (t.field[i] < t.text || t.field[i] + strlen(t.field[i]) >= t.text + FV_TABLE_LINE)
                abort();
        if (known < 0)
            known = find(&c, &t);
        if (known)
            read_row(&c, &t);
        rows++;
    }
    refused += rc < 0;
    fv__table_close(&t);
}

/* The same text as the index of a container of a megabyte. */
static void read_index(const uint8_t *data, size_t n)
{
    enum { BYTES = 1 << 20 };
    struct fv_table t;
    struct fv_rec_index x;
    if (fv__table_open_bytes(&t, "fuzz", data, n) < 0)
        abort();
    if (fv__rec_index_read(&x, &t, BYTES) >= 0) {
        indices++;
        for (size_t i = 0; i < x.n; i++)
            if (x.entry[i].at >= BYTES || (i && x.entry[i].at < x.entry[i - 1].at))
                abort();
        fv__rec_index_free(&x);
    }
    fv__table_close(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    fuzz_keep_seed(data, n);
    read_index(data, n);
    read_list(data, n, fv__list_columns_of_photos);
    read_list(data, n, fv__list_columns_of_faces);
    return 0;
}

#ifndef FV_LIBFUZZER
static const char *const lists[] = {
    "p/1.jpg 5\np/2.jpg 6\n",
    "path,label,split\np/1.jpg,\"a, b\",train\np/2.jpg,b,\n",
    "0\tp/1.jpg\t7\t10\t20\t40\t60.5\t1\t2\t3\t4\t5\t6\t7\t8\t9\t10\n",
    "0\t0\n1\t128\n3\t1024\n2\t512\n",
    "NAME_ID,X,Y,W,H\n\"n000002/0001_01\",161,140,224,324\n",
    "NAME_ID,P1X,P1Y,P2X,P2Y,P3X,P3Y,P4X,P4Y,P5X,P5Y\n\"n1/1\",1,2,3,4.5,5,6,7,8,-9e1,1\n",
};
static const char *const tokens[] = {
    "\1\"",    "\2\"\"",         "\1,",     "\1\t",   "\1 ",        "\1\n", "\2\r\n",   "\1\0",
    "\1;",     "\3\xef\xbb\xbf", "\5x,y,w", "\4.jpg", "\3nan",      "\2-1", "\6999999", "\5train",
    "\5label", "\2e9",           "\1/",     "\1.",    "\10p1x,p1y,"};

int main(int argc, char **argv)
{
    enum { ROUNDS = 20000, LISTS = sizeof lists / sizeof *lists };
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    uint8_t data[4096];
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct fv_rng r = fv_rng_at(seed, 0, round, FV_RNG_TEST);
        const char *list = lists[fv_rng_below(&r, LISTS)];
        size_t n = strlen(list);
        memcpy(data, list, n);
        n = mutate_bytes(&r, data, n, sizeof data, tokens, sizeof tokens / sizeof *tokens);
        LLVMFuzzerTestOneInput(data, n);
    }
    printf("fuzz_table: seed %llu, %d lists, %lu rows, %lu faces, %lu indices, %lu lists refused\n",
           (unsigned long long)seed, ROUNDS, rows, faces, indices, refused);
    /* Mutations that are all refused, or none, would test little. */
    return rows < ROUNDS || faces < ROUNDS / 40 || indices < ROUNDS / 200 || refused < ROUNDS / 20;
}
#endif
