/* SPDX-License-Identifier: MIT */
#include "common/err.h"
#include "common/opt.h"
#include "tests/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

struct settings {
    int64_t batch;
    double lr, val;
    int flip;
    const char *name, *codec, *policy;
};
static const char *const codecs[] = {"pixels", "jpeg", NULL};
static const struct fv_opt opts[] = {
    {"batch", 'b', FV_OPT_INT, 0, offsetof(struct settings, batch), "N", "images in a batch", 1,
     4096, NULL},
    {"lr", 0, FV_OPT_REAL, 0, offsetof(struct settings, lr), "X", "learning rate", 0, 10, NULL},
    {"val", 0, FV_OPT_SHARE, 0, offsetof(struct settings, val), "SHARE", "validation share", 0, 0,
     NULL},
    {"flip", 0, FV_OPT_FLAG, 0, offsetof(struct settings, flip), NULL, "mirror", 0, 0, NULL},
    {"name", 'n', FV_OPT_STRING, FV_OPT_TRANSIENT, offsetof(struct settings, name), "TEXT",
     "a name", 0, 0, NULL},
    {"codec", 0, FV_OPT_CHOICE, 0, offsetof(struct settings, codec), "NAME", "how images are kept",
     0, 0, codecs},
    {"policy", 0, FV_OPT_STRING, 0, offsetof(struct settings, policy), "OPS", "ops", 0, 0, NULL},
    {0},
};
static void write_notes(FILE *to)
{
    fputs("made\n", to);
}

static const struct fv_command cmd = {.name = "fvx",
                                      .summary = "tests options",
                                      .usage = "FILE [options]",
                                      .notes = "  fvx a",
                                      .write_notes = write_notes,
                                      .min_args = 1,
                                      .max_args = 2};

static int parse(struct settings *s, struct fv_args *args, int argc, const char **argv)
{
    const struct fv_opt_group g = {"options", opts, s};

    *s = (struct settings){.batch = 32, .lr = 0.1, .codec = "pixels"};
    return fv_opt_parse(&cmd, &g, 1, argc, (char **)argv, args);
}
#define PARSE(...)                                                                                 \
    parse(&s, &args, (int)(sizeof((const char *[]){"fvx", __VA_ARGS__}) / sizeof(char *)),         \
          (const char *[]){"fvx", __VA_ARGS__})

static void every_form_is_understood(void **state)
{
    struct settings s;
    struct fv_args args;

    (void)state;
    assert_int_equal(PARSE("in", "--batch", "64", "--lr=0.25", "--val", "15%", "--flip", "-n", "x",
                           "--codec", "jpeg", "out"),
                     FV_OK);
    assert_int_equal(s.batch, 64);
    assert_true(s.lr == 0.25 && s.val == 0.15 && s.flip == 1);
    assert_string_equal(s.name, "x");
    assert_string_equal(s.codec, "jpeg");
    assert_int_equal(args.n, 2);
    assert_string_equal(args.arg[1], "out");
    assert_int_equal(PARSE("in", "-b7", "--no-flip", "--", "--odd"), FV_OK);
    assert_int_equal(s.batch, 7);
    assert_string_equal(args.arg[1], "--odd");
    assert_int_equal(PARSE("--help"), FV_OK);
    assert_int_equal(args.help, 1);
}

static void faults_get_one_sentence(void **state)
{
    struct settings s;
    struct fv_args args;

    (void)state;
    assert_int_equal(PARSE("in", "--bach", "3"), FV_EUSAGE);
    assert_string_equal(fv_err_text(), "unknown option --bach: did you mean --batch?");
    assert_int_equal(PARSE("in", "--zzzzzzzz"), FV_EUSAGE);
    assert_string_equal(fv_err_text(), "unknown option --zzzzzzzz: see 'fvx --help'");
    assert_int_equal(PARSE("in", "--batch", "0"), FV_EUSAGE);
    assert_string_equal(fv_err_text(), "--batch: '0' is not within 1 to 4096");
    assert_int_equal(PARSE("in", "--batch", "3x"), FV_EUSAGE);
    assert_int_equal(PARSE("in", "--batch", "99999999999999999999"), FV_EUSAGE);
    assert_int_equal(PARSE("in", "--val", "150%"), FV_EUSAGE);
    assert_int_equal(PARSE("in", "--lr", "nan"), FV_EUSAGE);
    assert_int_equal(PARSE("in", "--codec", "webp"), FV_EUSAGE);
    assert_string_equal(fv_err_text(), "--codec: 'webp' is not one of pixels, jpeg");
    assert_int_equal(PARSE("in", "--batch"), FV_EUSAGE);
    assert_int_equal(PARSE("--flip"), FV_EUSAGE);
    assert_int_equal(PARSE("a", "b", "c"), FV_EUSAGE);
}

static void saved_text_reads_back_exactly(void **state)
{
    struct settings s, t = {0};
    struct fv_args args;
    const struct fv_opt_group gs = {"o", opts, &s}, gt = {"o", opts, &t};

    (void)state;
    assert_int_equal(PARSE("in", "--lr", "0.1234567890123", "--val", "0.3", "--flip", "-n", "gone"),
                     FV_OK);
    char *text = fv_opt_write_text(&gs, 1);
    assert_non_null(text);
    assert_null(strstr(text, "gone"));
    assert_int_equal(fv_opt_read_text(&gt, 1, text, "settings.txt"), FV_OK);
    assert_true(t.lr == s.lr && t.val == s.val && t.flip == 1 && t.batch == 32);
    free(text);
    char bad[] = "batch = 3\nnonsense = 4\n";
    assert_int_equal(fv_opt_read_text(&gt, 1, bad, "settings.txt"), FV_ENOTFOUND);
    assert_string_equal(fv_err_text(), "settings.txt: line 2: unknown setting 'nonsense'");
    char close[] = "bach = 4\n";
    assert_int_equal(fv_opt_read_text(&gt, 1, close, "settings.txt"), FV_ENOTFOUND);
    assert_string_equal(fv_err_text(),
                        "settings.txt: line 1: unknown setting 'bach': did you mean 'batch'?");
    char column[] = "# in a column\nbatch    = 7\nlr       = 2\n";
    assert_int_equal(fv_opt_read_text(&gt, 1, column, "settings.txt"), FV_OK);
    assert_true(t.batch == 7 && t.lr == 2);
    char worse[] = "batch: 3\n";
    assert_int_equal(fv_opt_read_text(&gt, 1, worse, "settings.txt"), FV_ECORRUPT);
}

/* As short as can be, and read back to the same bits. */
static void numbers_are_short(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {{300, "300"},       {10000, "10000"},   {1e5, "1e+05"},
                {1e-5, "1e-05"},    {0.0005, "0.0005"}, {1.0 / 3, "0.3333333333333333"},
                {123456, "123456"}, {0, "0"},           {-0.5, "-0.5"}};
    char text[64];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct settings s = {.lr = rows[i].value};
        assert_string_equal(fv_opt_format(&opts[1], &s, text, sizeof text), rows[i].text);
        assert_true(strtod(text, NULL) == rows[i].value);
    }
}

/* A setting cut short, or gone on to a second line, would be another one when it is read back. */
static void saved_strings_are_whole(void **state)
{
    struct settings s, t = {0};
    struct fv_args args;
    const struct fv_opt_group gs = {"o", opts, &s}, gt = {"o", opts, &t};
    char policy[3000];

    (void)state;
    memset(policy, 'x', sizeof policy - 1);
    policy[sizeof policy - 1] = '\0';
    assert_int_equal(PARSE("in", "--policy", policy), FV_OK);
    char *text = fv_opt_write_text(&gs, 1);
    assert_non_null(text);
    assert_int_equal(fv_opt_read_text(&gt, 1, text, "settings.txt"), FV_OK);
    assert_string_equal(t.policy, policy);
    free(text);
    assert_int_equal(PARSE("in", "--policy", "a\nb = c"), FV_EUSAGE);
    assert_non_null(strstr(fv_err_text(), "--policy"));
    assert_int_equal(PARSE("in", "-n", "a\nb"), FV_OK); /* never saved */
}

static void help_names_every_option_with_its_default(void **state)
{
    struct settings s = {.batch = 32, .lr = 0.1, .codec = "pixels", .flip = 1};
    const struct fv_opt_group g = {"options", opts, &s};
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);

    (void)state;
    fv_opt_help(&cmd, &g, 1, f);
    fclose(f);
    for (const struct fv_opt *o = opts; o->name; o++)
        assert_non_null(strstr(text, o->name));
    assert_non_null(strstr(text, "[32]"));
    assert_non_null(strstr(text, "(pixels, jpeg) [pixels]"));
    assert_non_null(strstr(text, "--no-flip"));
    assert_non_null(strstr(text, "  -b, --batch N               images in a batch [32]\n"));
    assert_string_equal(strstr(text, "\n\n"
                                     "made"),
                        "\n\nmade\n\n  fvx a\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_is_understood),
        cmocka_unit_test(faults_get_one_sentence),
        cmocka_unit_test(saved_text_reads_back_exactly),
        cmocka_unit_test(numbers_are_short),
        cmocka_unit_test(saved_strings_are_whole),
        cmocka_unit_test(help_names_every_option_with_its_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
