/* SPDX-License-Identifier: MIT */
/* The policy language: what it accepts, what it means, and that every refusal names the fault and the remedy. */
#include "augment/augment.h"
#include "augment/op.h"
#include "common/err.h"
#include "tests/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *docs_path = "docs/augmentation.md";

static void check_text(const char *given, const char *canonical)
{
    struct fv_policy *p;

    assert_int_equal(fv_policy_parse(&p, given), FV_OK);
    assert_string_equal(fv_policy_text(p), canonical);
    fv_policy_free(&p);
    assert_null(p);

    /* The canonical text means itself. */
    assert_int_equal(fv_policy_parse(&p, canonical), FV_OK);
    assert_string_equal(fv_policy_text(p), canonical);
    fv_policy_free(&p);
}

static void texts_have_one_canonical_spelling(void **state)
{
    (void)state;
    check_text("", "");
    check_text("  ", "");
    check_text("none", "");
    check_text(" none ", "");
    check_text("flip", "flip");
    check_text("flip()", "flip");
    check_text("flip(.5)", "flip");
    check_text("flip(p=1)", "flip(1)");
    check_text(" flip ( p = 0.25 ) , rotate( 10 ) ", "flip(0.25),rotate(10)");
    check_text("rrc(0.8,1)", "rrc(0.8)");
    check_text("rrc(0.8,ratio_max=2)", "rrc(0.8,1,0.75,2)");
    check_text("rrc(ratio_max=2,area_min=1e-1)", "rrc(0.1,1,0.75,2)");
    check_text("jitter(.2,.2,.2)", "jitter(0.2,0.2,0.2)");
    check_text("jitter(saturation=.3)", "jitter(0,0,0.3)");
    check_text("rrc(0.8,1),flip,rotate(10),jitter(.2,.2,.2),erase(.25),cutmix(1,p=.5)",
               "rrc(0.8),flip,rotate(10),jitter(0.2,0.2,0.2),erase(0.25),cutmix(1,0.5)");
    check_text("rotate(0.1000000000000001)", "rotate(0.1000000000000001)");
    check_text("erase,erase,erase,erase", "erase,erase,erase,erase");
    check_text("erase(.25,r=1,b=3)", "erase(0.25,0.02,0.33,0.3,3.3,1,0,3)");
    check_text("erase(noise=1)", "erase(0.5,0.02,0.33,0.3,3.3,0,0,0,1)");
    check_text("affine(10,.1,.1,.9,1.1,5)", "affine(10,0.1,0.1,0.9,1.1,5)");
    check_text("perspective(.2,p=.5),gray,blur(5,p=.5)", "perspective(0.2),gray,blur(5,0.1,2,0.5)");
    check_text("jitter(hue=.1)", "jitter(0,0,0,0.1)");
    check_text("mixup(.2),cutmix", "mixup(0.2),cutmix");
}

static void long_policies_have_room(void **state)
{
    /* Sixteen ops whose every value takes as many digits as a double can need. */
    char text[4096] = "";

    (void)state;
    for (int i = 0; i < 16; i++)
        strcat(text, i ? ",rrc(0.12345678901234567,0.98765432109876543,0.012345678901234567,"
                         "1.2345678901234567)"
                       : "rrc(0.12345678901234567,0.98765432109876543,0.012345678901234567,"
                         "1.2345678901234567)");
    struct fv_policy *p;
    assert_int_equal(fv_policy_parse(&p, text), FV_OK);
    char *kept = strdup(fv_policy_text(p));
    fv_policy_free(&p);
    assert_int_equal(fv_policy_parse(&p, kept), FV_OK);
    assert_string_equal(fv_policy_text(p), kept);
    fv_policy_free(&p);
    free(kept);

    strcat(text, ",flip");
    assert_int_equal(fv_policy_parse(&p, text), FV_EUSAGE);
    assert_non_null(strstr(fv_err_text(), "at most 16 ops"));
}

static void check_refused(const char *text, const char *part, const char *other_part)
{
    struct fv_policy *p = (struct fv_policy *)&p;

    assert_int_equal(fv_policy_parse(&p, text), FV_EUSAGE);
    assert_null(p);
    if (!strstr(fv_err_text(), part) || !strstr(fv_err_text(), other_part))
        fail_msg("'%s' was refused with \"%s\", which does not say \"%s\" and \"%s\"", text,
                 fv_err_text(), part, other_part);
}

static void refusals_name_the_fault_and_what_is_valid(void **state)
{
    (void)state;
    check_refused(
        "blurred", "'blurred'",
        "rrc, flip, rotate, affine, perspective, jitter, gray, blur, erase, cutmix, mixup");
    check_refused("Flip", "'Flip'", "flip");
    check_refused("flip,", "expected an op", "rrc");
    check_refused(",flip", "expected an op", "rrc");
    check_refused("none,flip", "'none'", "flip");
    check_refused("flip flip", "expected ','", "flip");
    check_refused("flip)", "expected ','", ")");
    check_refused("flip(often=1)", "'often'", "valid are p");
    check_refused("flip(1", "'flip'", "expected ',' or ')'");
    check_refused("flip(", "'flip'", "p needs a number");
    check_refused("flip(0.5,0.5)", "'flip'", "at most 1 values: p");
    check_refused("flip(x)", "p needs a number", "'x)'");
    check_refused("flip(p=)", "p needs a number", "')'");
    check_refused("flip(1.5)", "p is 1.5", "0 to 1");
    check_refused("flip(-0.1)", "p is -0.1", "0 to 1");
    check_refused("flip(nan)", "p is nan", "0 to 1");
    check_refused("rotate(inf)", "degrees is inf", "0 to 180");
    check_refused("flip(p=1,p=1)", "given twice", "p");
    check_refused("rrc(.5,area_min=.5)", "given twice", "area_min");
    check_refused("rrc(area_min=.5,1)", "needs a name", "area_min, area_max");
    check_refused("rrc(.9,.8)", "0.9 to 0.8", "must not exceed");
    check_refused("erase(ratio_min=2,ratio_max=1)", "2 to 1", "ratio");
    check_refused("rotate", "needs degrees", "rotate(10)");
    check_refused("jitter", "changes nothing", "jitter(.2,.2,.2,.05)");
    check_refused("jitter(0,0,0,.6)", "hue is .6", "0 to 0.5");
    check_refused("affine", "needs degrees", "affine(10,.1,.1)");
    check_refused("affine(0)", "changes nothing", "affine(10,.1,.1)");
    check_refused("affine(1,0,0,1.2,1.1)", "scale goes from 1.2 to 1.1", "must not exceed");
    check_refused("blur", "needs kernel", "blur(5)");
    check_refused("blur(4)", "kernel is 4", "odd");
    check_refused("blur(4.5)", "kernel is 4.5", "whole number");
    check_refused("blur(65)", "kernel is 65", "3 to 63");
    check_refused("blur(5,2,1)", "sigma goes from 2 to 1", "must not exceed");
    check_refused("erase(1,noise=1,r=3)", "'erase'", "not both");
    check_refused("erase(r=1.5)", "r is 1.5", "whole number");
    check_refused("mixup,mixup", "'mixup'", "at most 1 time");
    check_refused("jitter(1),jitter(1)", "'jitter'", "at most 1 time");
    check_refused("cutmix,cutmix", "'cutmix'", "at most 1 time");
    check_refused("erase,erase,erase,erase,erase", "'erase'", "at most 4 times");
}

static void help_lists_every_op_and_parameter(void **state)
{
    static const char *const words[] = {
        "rrc",        "flip",  "rotate", "jitter",   "erase",     "cutmix",     "resnet18-cutmix",
        "degrees",    "alpha", "noise",  "area_min", "ratio_max", "saturation", "must be given",
        "default 0.5"};
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    (void)state;
    assert_non_null(f);
    fv_policy_help(f);
    fclose(f);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        assert_non_null(strstr(text, words[i]));
    free(text);
}

static void presets_stand_for_their_policies(void **state)
{
    (void)state;
    assert_non_null(fv_aug_presets[0].name);
    for (const struct fv_aug_preset *preset = fv_aug_presets; preset->name; preset++) {
        struct fv_policy *named, *written;
        char *expanded, padded[64];
        snprintf(padded, sizeof padded, " %s ", preset->name);
        assert_int_equal(fv_policy_parse(&named, padded), FV_OK);
        assert_int_equal(fv_policy_parse(&written, preset->policy), FV_OK);
        assert_string_equal(fv_policy_text(named), fv_policy_text(written));
        assert_int_equal(fv_policy_expand(&expanded, preset->name), FV_OK);
        assert_string_equal(expanded, fv_policy_text(written));
        assert_true(strlen(preset->source) > 20);
        free(expanded);
        fv_policy_free(&named);
        fv_policy_free(&written);
    }
}

static void expansion_names_the_policy_of_nothing(void **state)
{
    char *expanded;

    (void)state;
    assert_int_equal(fv_policy_expand(&expanded, " "), FV_OK);
    assert_string_equal(expanded, "none");
    free(expanded);
    assert_int_equal(fv_policy_expand(&expanded, "flop"), FV_EUSAGE);
    assert_null(expanded);
}

/* docs/augmentation.md shows the list as it is printed. */
static void docs_show_the_list_as_it_is(void **state)
{
    char *list = NULL, *docs = calloc(1, 1 << 16);
    size_t n = 0;
    FILE *to = open_memstream(&list, &n), *f = fopen(docs_path, "r");

    (void)state;
    assert_true(docs && to && f);
    fv_policy_help(to);
    fclose(to);
    assert_true(fread(docs, 1, (1 << 16) - 1, f) > 0);
    fclose(f);
    if (!strstr(docs, list))
        fail_msg("%s does not show what 'fvtrain --aug list' prints", docs_path);
    free(list);
    free(docs);
}

static void free_takes_null(void **state)
{
    struct fv_policy *p = NULL;

    (void)state;
    fv_policy_free(&p);
    fv_policy_free(NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_have_one_canonical_spelling),
        cmocka_unit_test(long_policies_have_room),
        cmocka_unit_test(refusals_name_the_fault_and_what_is_valid),
        cmocka_unit_test(help_lists_every_op_and_parameter),
        cmocka_unit_test(presets_stand_for_their_policies),
        cmocka_unit_test(expansion_names_the_policy_of_nothing),
        cmocka_unit_test(docs_show_the_list_as_it_is),
        cmocka_unit_test(free_takes_null),
    };

    if (argc > 1)
        docs_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
