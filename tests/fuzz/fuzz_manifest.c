/* SPDX-License-Identifier: MIT */
/* The manifest's reader on damaged manifests: it may refuse them, it may not read outside of them, and what it accepts
 * can be applied, is asked for by its name, and says what it means.
 *
 * Built with -DFV_LIBFUZZER (clang -fsanitize=fuzzer) this is a libFuzzer target; otherwise a main mutates a
 * manifest by a seeded rule, so that the same few thousand manifests are an ordinary test.
 */
#include "common/rng.h"
#include "prep/pack/libraries.h"
#include "prep/prep.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/seeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static unsigned long accepted, refused;
static volatile unsigned sink;

static void read_set(const struct fv_manifest *m, const struct fv_data_set *d)
{
    const struct fv_data_set *found;
    struct fv_pack_settings s;

    if (fv_manifest_find(m, d->name, &found) < 0 || found != d)
        abort();
    fv_pack_defaults(&s);
    if (fv_manifest_apply(d, &s) < 0 || fv_manifest_allows(m, d, &s) < 0)
        abort();
    for (int i = 0; i < FV_MANIFEST_TEXTS; i++)
        sink += d->text[i] ? (unsigned)strlen(d->text[i]) : 0;
    for (int i = 0; i < FV_MANIFEST_COUNTS; i++)
        if (!(d->counted >> i & 1) && d->count[i])
            abort();
    for (int i = 0; i < d->digests; i++) {
        if (fv__libraries_check(d->digest[i].libraries) < 0)
            abort();
        sink += (unsigned)fv__libraries_hold(d->digest[i].libraries);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fv_manifest *m;
    char *text = malloc(n ? n : 1); /* not terminated: the reader may not count on it */

    fuzz_keep_seed(data, n);
    if (!text)
        return 0;
    if (n)
        memcpy(text, data, n);
    if (fv_manifest_parse(&m, "fuzz", text, n) < 0) {
        refused++;
        free(text);
        return 0;
    }
    free(text);
    accepted++;
    for (size_t i = 0; i < m->sets; i++)
        read_set(m, &m->set[i]);
    if (m->sets == 0)
        abort();
    fv_manifest_close(&m);
    return 0;
}

#ifndef FV_LIBFUZZER
static const char *const manifests[] = {
    "# x\n"
    "[a]\n"
    "title = A title,\n"
    "  of two lines\n"
    "layout = folders\n"
    "size = 64\n"
    "val = 10%\n"
    "images = 3600\n"
    "digest = 0123456789abcdef with libvips 8.14.1, cairo 1.16.0\n"
    "digest = 0123456789abcdee\n"
    "\n"
    "[b]\r\n"
    "identities = 12\r\n"};
static const char *const tokens[] = {
    "\n",      "\n ",    "\n  # x\n", "[",     "]",
    "=",       " = ",    ",",         " with", "libvips 8",
    "size",    "digest", "0",         "-1",    "18446744073709551616",
    "\n[c]\n", "\r\n",   "%",         "#"};

int main(int argc, char **argv)
{
    const struct fuzz_texts f = {.name = "fuzz_manifest",
                                 .what = "manifests",
                                 .text = manifests,
                                 .texts = sizeof manifests / sizeof *manifests,
                                 .token = tokens,
                                 .tokens = sizeof tokens / sizeof *tokens,
                                 .room = 1024};
    return fuzz_run_texts(&f, argc, argv, &accepted, &refused);
}
#endif
