/* SPDX-License-Identifier: MIT */
/* Protocols against the published evaluation scripts, restated in Python (tests/golden/make_protocol_golden.py has the
 * form of the file). */
#include "trainer/eval/protocol.h"

#include "common/err.h"
#include "tests/cmocka_all.h"
#include "trainer/eval/grid.h"
#include "trainer/eval/metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 128, IJB_RATES = 6 };

static const char *golden_path;

struct set {
    int n;
    double score[MOST];
    uint8_t same[MOST];
    uint16_t fold[MOST];
};

static void read_pairs(FILE *f, struct set *s)
{
    assert_true(s->n <= MOST);
    for (int i = 0; i < s->n; i++) {
        int same;
        assert_int_equal(fscanf(f, "%lf %d", &s->score[i], &same), 2);
        s->same[i] = (uint8_t)same;
    }
}

static void check_folds(FILE *f)
{
    double far, accuracy, accuracy_std, val, val_std, far_mean;
    struct fv_fold_mean m;
    struct fv_fold_val v;
    struct set s;
    int folds;

    assert_int_equal(fscanf(f, "%d %d %lf %lf %lf %lf %lf %lf", &s.n, &folds, &far, &accuracy,
                            &accuracy_std, &val, &val_std, &far_mean),
                     8);
    read_pairs(f, &s);
    fv_folds_consecutive(s.fold, (size_t)s.n, (uint32_t)folds);
    const struct fv_fold_set set = {s.score, s.same, s.fold, (size_t)s.n, (uint32_t)folds};
    assert_int_equal(fv_grid_accuracy(&set, &fv_grid_insightface, &m), FV_OK);
    assert_true(fabs(m.mean - accuracy) < 1e-12);
    assert_true(fabs(m.std_population - accuracy_std) < 1e-12);
    assert_int_equal(fv_grid_val(&set, &fv_grid_insightface_val, far, &v), FV_OK);
    assert_true(fabs(v.val.mean - val) < 1e-12);
    assert_true(fabs(v.val.std_population - val_std) < 1e-12);
    assert_true(fabs(v.far_mean - far_mean) < 1e-12);
}

static void check_ijb(FILE *f)
{
    static const double fmr[IJB_RATES] = {1e-3, 0.03, 0.1, 0.2, 0.4, 0.7};
    const struct fv_tpr_rule *corners = fv_tpr_rules;
    double tpr[IJB_RATES];
    struct fv_roc roc;
    struct set s;

    while (strcmp(corners->name, "corners") != 0)
        corners++;
    assert_int_equal(fscanf(f, "%d", &s.n), 1);
    for (int i = 0; i < IJB_RATES; i++)
        assert_int_equal(fscanf(f, "%lf", &tpr[i]), 1);
    read_pairs(f, &s);
    assert_int_equal(fv_roc_make(&roc, s.score, s.same, (size_t)s.n), FV_OK);
    for (int i = 0; i < IJB_RATES; i++) {
        struct fv_tpr t;
        corners->at(&roc, fmr[i], &t);
        assert_true(fabs(t.tpr - tpr[i]) < 1e-12);
    }
    fv_roc_free(&roc);
}

static void equal_to_the_published_scripts(void **state)
{
    FILE *f = fopen(golden_path, "r");
    char word[16];
    int sets[2] = {0, 0};

    (void)state;
    assert_non_null(f);
    while (fscanf(f, "%15s", word) == 1) {
        if (word[0] == '#') {
            assert_int_equal(fscanf(f, "%*[^\n]"), 0);
            continue;
        }
        const int is_ijb = strcmp(word, "ijb") == 0;
        (is_ijb ? check_ijb : check_folds)(f);
        sets[is_ijb]++;
    }
    fclose(f);
    assert_int_equal(sets[0], 40);
    assert_int_equal(sets[1], 40);
}

static void what_a_grid_cannot_judge_is_refused(void **state)
{
    double score[] = {0.5, 0.1, 0.4, 0.2};
    uint8_t same[] = {1, 0, 1, 0}, one[] = {1, 1, 1, 1};
    const uint16_t fold[] = {0, 0, 1, 1}, alone[] = {0, 0, 0, 0};
    struct fv_fold_set s = {score, same, fold, 4, 2};
    struct fv_fold_mean m;
    struct fv_fold_val v;

    (void)state;
    assert_int_equal(fv_grid_accuracy(&s, &fv_grid_insightface, &m), FV_OK);
    /* 1.21 lets the first fold match, but 1.01, the lowest threshold above that one's distance, misses the second. */
    assert_true(m.mean == 0.75 && m.std_population == 0.25);
    assert_int_equal(fv_grid_val(&s, &fv_grid_insightface_val, 1e-3, &v), FV_OK);
    s.same = one;
    assert_int_equal(fv_grid_accuracy(&s, &fv_grid_insightface, &m), FV_EINVAL);
    assert_string_equal(fv_err_text(), "the folds other than 1 of 2 lack impostor pairs");
    s.same = same;
    s.fold = alone;
    assert_int_equal(fv_grid_accuracy(&s, &fv_grid_insightface, &m), FV_EINVAL);
    s.fold = fold;
    score[2] = NAN;
    assert_int_equal(fv_grid_val(&s, &fv_grid_insightface_val, 1e-3, &v), FV_EINVAL);
    assert_string_equal(fv_err_text(), "score 3 of 4 is not finite");
}

static void other_lists_than_its_own_are_refused(void **state)
{
    const struct fv_protocol *p;

    (void)state;
    assert_int_equal(fv_protocol_find(&p, "lfv"), FV_EUSAGE);
    assert_non_null(strstr(fv_err_text(), "valid are lfw, calfw, cplfw, agedb-30, cfp-fp"));
    assert_int_equal(fv_protocol_find(&p, "lfw"), FV_OK);
    assert_int_equal(fv_protocol_check(p, "lfw", 3000, 3000, 10), FV_OK);
    assert_int_equal(fv_protocol_check(p, "list", 3000, 3000, 0), FV_OK);
    assert_int_equal(fv_protocol_check(p, NULL, 3000, 3000, 0), FV_OK);
    assert_int_equal(fv_protocol_check(p, "calfw", 3000, 3000, 10), FV_EINVAL);
    assert_non_null(strstr(fv_err_text(), "the form 'calfw', and its own has 'lfw'"));
    assert_int_equal(fv_protocol_check(p, "lfw", 3000, 2999, 10), FV_EINVAL);
    assert_non_null(
        strstr(fv_err_text(), "3000 genuine and 3000 impostor pairs, and this one 3000 and 2999"));
    assert_int_equal(fv_protocol_check(p, "list", 3000, 3000, 9), FV_EINVAL);
    assert_int_equal(fv_protocol_find(&p, "bin"), FV_OK);
    assert_int_equal(fv_protocol_check(p, NULL, 7, 8, 0), FV_OK);
    assert_int_equal(fv_protocol_find(&p, "ijbc"), FV_OK);
    assert_int_equal(fv_protocol_check(p, "list", 19557, 15638932, 0), FV_OK);
    assert_int_equal(fv_protocol_check(p, "rfw", 19557, 15638932, 0), FV_EINVAL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_the_published_scripts),
        cmocka_unit_test(what_a_grid_cannot_judge_is_refused),
        cmocka_unit_test(other_lists_than_its_own_are_refused),
    };
    golden_path = argc > 1 ? argv[1] : "";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
