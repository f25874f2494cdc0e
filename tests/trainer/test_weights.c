/* SPDX-License-Identifier: MIT */
/* Weights that PyTorch and safetensors wrote (tests/golden/make_weights_golden.py): the numbers, the logits, and what
 * is said of files that do not fit or are damaged. */
#include "golden_net.h"

#include "common/err.h"
#include "common/fs.h"
#include "trainer/backend.h"
#include "trainer/files/init.h"
#include "trainer/files/weights.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SEED = 1, SIZE = 16, CLASSES = 5, BATCH = 4 };
static const char *folder;

static void ok(int rc)
{
    if (rc < 0)
        fail_msg("%s", fv_err_text());
}

static void refused(int rc, int code, const char *sentence)
{
    assert_int_equal(rc, code);
    if (!strstr(fv_err_text(), sentence))
        fail_msg("'%s' does not say '%s'", fv_err_text(), sentence);
}

struct fixture {
    struct fv_net *net;
    float *arena, *expected;
    size_t all;
    char *path;
    struct fv_init_result result;
    char said[4096];
};

static void keep_words(void *ctx, enum fv_level level, const char *text)
{
    struct fixture *f = ctx;
    (void)level;
    snprintf(f->said + strlen(f->said), sizeof f->said - strlen(f->said), "%s\n", text);
}

static void start(struct fixture *f, const char *file)
{
    memset(f, 0, sizeof *f);
    ok(golden_build(&f->net, "tiny", SIZE, CLASSES));
    f->all = f->net->params + f->net->buffers;
    f->arena = calloc(f->all, sizeof(float));
    f->expected = calloc(f->all, sizeof(float));
    golden_fill(f->net, SEED, f->expected);
    f->path = fv_format("%s/%s", folder, file);
}

static int load(struct fixture *f, int bgr)
{
    const struct fv_report report = {.ctx = f, .message = keep_words};
    return fv_init_load(f->path, f->net, bgr, f->arena, &report, &f->result);
}

static void finish(struct fixture *f)
{
    fv_net_free(&f->net);
    free(f->arena);
    free(f->expected);
    free(f->path);
}

/* The images of make_trainer_golden.py's step 0. */
static void fill_images(uint8_t *u8)
{
    for (uint32_t i = 0; i < BATCH * SIZE * SIZE * 3; i++)
        u8[i] = (uint8_t)floor((golden_unit(SEED, 1000, i) + 1) * 128);
}

static void assert_logits(const struct fv_net *net, const float *arena, double tolerance)
{
    static uint8_t images[BATCH * SIZE * SIZE * 3];
    const struct fv_device_settings ds = {0};
    const struct fv_backend *b;
    struct fv_device *device;
    struct fv_program *program;
    float logits[BATCH * CLASSES];
    char *text, *path = fv_format("%s/weights.txt", folder);
    size_t n;
    fill_images(images);
    ok(fv_backend_open("ref", &ds, &b, &device));
    ok(b->compile(device, net, BATCH, 0, NULL, &program));
    ok(b->params_set(program, arena));
    ok(b->eval(program, images, BATCH, NULL, logits));
    ok(fv_file_read(path, 1 << 16, &text, &n));
    char *at = strchr(text, '\n');
    for (int i = 0; i < BATCH * CLASSES; i++) {
        const double wanted = strtod(at, &at);
        if (!(fabs((double)logits[i] - wanted) <= tolerance))
            fail_msg("logit %d is %g, torch has %g", i, (double)logits[i], wanted);
    }
    b->release(&program);
    b->close(&device);
    free(text);
    free(path);
}

static void pth_gives_the_same_bits_and_logits(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, "weights_tiny.pth");
    ok(load(&f, 0));
    assert_memory_equal(f.arena, f.expected, f.all * sizeof(float));
    assert_int_equal(f.result.taken, f.net->tensors);
    assert_int_equal(f.result.fresh + f.result.left, 0);
    assert_int_equal(f.result.params, f.net->params);
    assert_logits(f.net, f.arena, 1e-5);
    finish(&f);
}

/* bf16 keeps 8 bits of a number and f16 keeps 11: rounding moves it by a share of 2^-8 and 2^-11 at most. */
static void safetensors_of_four_types(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, "weights_tiny.safetensors");
    ok(load(&f, 0));
    assert_int_equal(f.result.taken, f.net->tensors);
    for (int i = 0; i < f.net->tensors; i++) {
        const struct fv_tensor *t = &f.net->tensor[i];
        const double share = strncmp(t->name, "fc", 2) == 0 ? 0 : t->ndim == 4 ? 0x1p-8 : 0x1p-11;
        int differ = 0;
        for (size_t k = t->offset; k < t->offset + t->count; k++) {
            const double is = (double)f.arena[k], was = (double)f.expected[k];
            if (!(fabs(is - was) <= share * fabs(was) + (share > 0) * 0x1p-25))
                fail_msg("%s: %.9g from %.9g", t->name, is, was);
            differ += is != was;
        }
        assert_true(differ > 0 || share == 0 || t->count < 20);
    }
    finish(&f);
}

static void checkpoint_of_training_with_prefixes(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, "weights_nested.pth");
    for (size_t i = 0; i < f.all; i++)
        f.arena[i] = 7;
    ok(load(&f, 0));
    assert_int_equal(f.result.taken, f.net->tensors - 2); /* without fc */
    assert_int_equal(f.result.fresh, 2);
    assert_int_equal(f.result.left, 0);
    assert_int_equal(f.result.params, f.net->params - 17 * CLASSES);
    for (int i = 0; i < f.net->tensors; i++) {
        const struct fv_tensor *t = &f.net->tensor[i];
        for (size_t k = t->offset; k < t->offset + t->count; k++) {
            const double wanted = strncmp(t->name, "fc", 2) == 0 ? 7 : (double)f.expected[k];
            if (!(fabs((double)f.arena[k] - wanted) <= 0x1p-11 * fabs(wanted) + 0x1p-25))
                fail_msg("%s: %.9g from %.9g", t->name, (double)f.arena[k], wanted);
        }
    }
    assert_non_null(strstr(f.said, "fc.weight (7x16 there, 5x16 here), fc.bias (7 there, 5 here)"));
    finish(&f);
}

static void bgr_changes_the_first_convolution_alone(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, "weights_tiny.pth");
    ok(load(&f, 1));
    const struct fv_tensor *first = &f.net->tensor[fv_net_find_tensor(f.net, "conv1.weight")];
    for (size_t i = 0; i < f.all; i++) {
        size_t from = i;
        if (i >= first->offset && i < first->offset + first->count) {
            const size_t at = i - first->offset, channel = at / 9 % 3;
            from = first->offset + at / 27 * 27 + (2 - channel) * 9 + at % 9;
        }
        assert_true(f.arena[i] == f.expected[from]);
    }
    finish(&f);
}

static void another_net_is_refused(void **state)
{
    struct fv_net *net;
    const struct fv_arch_settings a = {
        .size = 32, .classes = 2, .stem = "auto", .mean = {0}, .std = {1, 1, 1}};
    char *path = fv_format("%s/weights_tiny.pth", folder);
    (void)state;
    ok(fv_net_build(&net, "mobilenet-v2", &a));
    float *arena = calloc(net->params + net->buffers, sizeof *arena);
    refused(fv_init_load(path, net, 0, arena, NULL, NULL), FV_EINVAL, "is it of another --arch?");
    fv_net_free(&net);
    free(arena);
    free(path);
}

static void a_pickled_module_is_refused(void **state)
{
    struct fv_weights w;
    char *path = fv_format("%s/weights_module.pth", folder);
    (void)state;
    refused(fv_weights_open(&w, path), FV_EUNSUPPORTED, "torch.save(model.state_dict(), ...)");
    fv_weights_close(&w);
    free(path);
}

static void the_old_format_is_refused_with_a_way_out(void **state)
{
    /* what torch.save began with before 1.6: a pickle of 0x1950a86a20f9469cfc6c */
    static const char old[] =
        "\x80\x02\x8a\nl\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.";
    struct fv_weights w;
    char *copy = malloc(sizeof old);
    (void)state;
    memcpy(copy, old, sizeof old);
    refused(fv_weights_parse(&w, copy, sizeof old, "old.pth"), FV_EUNSUPPORTED,
            "torch.save(torch.load");
    fv_weights_close(&w);
}

/* The length of a header may be the first bytes of a pickle: 384 are 80 01. */
static void a_header_of_any_length_is_no_pickle(void **state)
{
    static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    (void)state;
    for (size_t length = 128; length < 1600; length += 256) {
        struct fv_weights w;
        char *bytes = calloc(1, 8 + length + 4);
        memset(bytes + 8, ' ', length);
        memcpy(bytes + 8, header, sizeof header - 1);
        bytes[0] = (char)(length & 255);
        bytes[1] = (char)(length >> 8);
        ok(fv_weights_parse(&w, bytes, 8 + length + 4, "a.safetensors"));
        assert_int_equal(w.weights, 1);
        fv_weights_close(&w);
    }
}

static int parse_changed(size_t keep, size_t at, const char *by, size_t by_n)
{
    struct fv_weights w;
    char *bytes, *path = fv_format("%s/weights_tiny.pth", folder);
    size_t n;
    ok(fv_file_read(path, 1 << 20, &bytes, &n));
    free(path);
    memcpy(bytes + at, by, by_n);
    const int rc = fv_weights_parse(&w, bytes, keep < n ? keep : n, "x.pth");
    fv_weights_close(&w);
    return rc;
}

/* Where a text is in the file for the `nth` time. */
static size_t place(const char *what, size_t what_n, int nth)
{
    char *bytes, *path = fv_format("%s/weights_tiny.pth", folder), *at;
    size_t n;
    ok(fv_file_read(path, 1 << 20, &bytes, &n));
    at = bytes;
    for (int i = 0; i < nth; i++) {
        at = memmem(at + (i > 0), n - (size_t)(at + (i > 0) - bytes), what, what_n);
        assert_non_null(at);
    }
    const size_t offset = (size_t)(at - bytes);
    free(bytes);
    free(path);
    return offset;
}

static void damage_is_named(void **state)
{
    const size_t local = place("PK\3\4", 4, 1), name = place("conv1.weight", 12, 1);
    const size_t central = place("PK\1\2", 4, 1), end = place("PK\6\6", 4, 1);
    (void)state;
    ok(parse_changed(SIZE_MAX, 0, "", 0));
    refused(parse_changed(1000, 0, "", 0), FV_ECORRUPT, "its end is missing");
    refused(parse_changed(SIZE_MAX, name, "k", 1), FV_ECORRUPT, "CRC does not match");
    refused(parse_changed(SIZE_MAX, local + 2, "x", 1), FV_ECORRUPT, "");
    refused(parse_changed(SIZE_MAX, central + 10, "\x08", 1), FV_EUNSUPPORTED, "compressed");
    refused(parse_changed(SIZE_MAX, central + 24, "\xf0\xff\xff\x7f", 4), FV_ECORRUPT, "two sizes");
    refused(parse_changed(SIZE_MAX, central + 42, "\xf0\xff\xff\x7f", 4), FV_ECORRUPT,
            "does not begin where");
    refused(parse_changed(SIZE_MAX, end + 48, "\xf0\xff\xff\x7f", 4), FV_ECORRUPT,
            "outside of the file");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pth_gives_the_same_bits_and_logits),
        cmocka_unit_test(safetensors_of_four_types),
        cmocka_unit_test(checkpoint_of_training_with_prefixes),
        cmocka_unit_test(bgr_changes_the_first_convolution_alone),
        cmocka_unit_test(another_net_is_refused),
        cmocka_unit_test(a_pickled_module_is_refused),
        cmocka_unit_test(the_old_format_is_refused_with_a_way_out),
        cmocka_unit_test(a_header_of_any_length_is_no_pickle),
        cmocka_unit_test(damage_is_named),
    };
    if (argc != 2)
        return 2;
    folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
