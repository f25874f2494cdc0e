/* SPDX-License-Identifier: MIT */
/* Identification against its restatement in NumPy (tests/golden/make_gallery_golden.py has the form of the file), and
 * the layouts of submissions. */
#include "common/err.h"
#include "common/fs.h"
#include "tests/cmocka_all.h"
#include "trainer/eval/gallery.h"
#include "trainer/eval/submission.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DIM = 64, MOST = 128 };

static const char *golden;

struct set {
    int identities, images, probes;
    float gallery[MOST * DIM], probe[MOST * DIM];
    uint32_t label[MOST];
    struct fv_answer want[MOST], got[MOST];
};

static void read_vector(float *v, uint64_t bits)
{
    for (int k = 0; k < DIM; k++)
        v[k] = bits >> k & 1 ? 0.125f : -0.125f;
}

static void read_gallery(FILE *f, struct set *s)
{
    uint64_t bits;

    for (int i = 0; i < s->images; i++) {
        assert_int_equal(fscanf(f, " g %" SCNu32 " %" SCNx64, &s->label[i], &bits), 2);
        read_vector(s->gallery + i * DIM, bits);
    }
}

static void read_probes(FILE *f, struct set *s)
{
    uint64_t bits;
    int truth;

    for (int i = 0; i < s->probes; i++) {
        struct fv_answer *a = &s->want[i];
        assert_int_equal(fscanf(f, " p %d %" SCNx64 " %" SCNu32 " %f %" SCNu32 " %" SCNu32, &truth,
                                &bits, &a->best, &a->score, &a->better, &a->equal),
                         6);
        read_vector(s->probe + i * DIM, bits);
        a->truth = truth == -1   ? FV_PROBE_STRANGER
                   : truth == -2 ? FV_PROBE_UNKNOWN
                                 : (uint32_t)truth;
        s->got[i].truth = a->truth;
    }
}

static void check_answers(const struct set *s)
{
    for (int i = 0; i < s->probes; i++) {
        const struct fv_answer *a = &s->want[i], *b = &s->got[i];
        assert_true(a->best == b->best && a->score == b->score && a->better == b->better &&
                    a->equal == b->equal);
    }
}

static double next_number(FILE *f)
{
    double x;

    assert_int_equal(fscanf(f, "%lf", &x), 1);
    return x;
}

static void check_rates(FILE *f, const struct set *s)
{
    static const uint32_t rank[] = {1, 2, 3, 5};
    static const double fpir[] = {0.05, 0.1, 0.3};
    struct fv_roc roc;
    struct fv_tpr t;

    assert_int_equal(fscanf(f, " cmc"), 0);
    for (int i = 0; i < 8; i++)
        assert_true(fabs(fv_gallery_cmc(s->got, (size_t)s->probes, rank[i % 4], i / 4) -
                         next_number(f)) < 1e-12);
    assert_int_equal(fscanf(f, " tpir"), 0);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(fv_gallery_roc(&roc, s->got, (size_t)s->probes, i / 3), FV_OK);
        fv_roc_tpr(&roc, fpir[i % 3], &t);
        assert_true(fabs(t.tpr - next_number(f)) < 1e-12);
        fv_roc_free(&roc);
    }
}

static void check_accuracy(FILE *f, const struct set *s)
{
    const size_t n = (size_t)s->probes;
    double threshold, best;

    assert_int_equal(fscanf(f, " accuracy"), 0);
    assert_int_equal(fv_gallery_threshold(s->got, n, &threshold, &best), FV_OK);
    assert_true(fabs(best - next_number(f)) < 1e-12);
    assert_true(best == fv_gallery_accuracy(s->got, n, threshold));
    assert_true(fabs(fv_gallery_accuracy(s->got, n, 0.25) - next_number(f)) < 1e-12);
    assert_true(fabs(fv_gallery_accuracy(s->got, n, -INFINITY) - next_number(f)) < 1e-12);
}

static void check_mean(FILE *f, const struct fv_gallery *g)
{
    float mean[MOST * DIM];
    uint32_t label[MOST];
    const int rc = fv_gallery_mean(g, mean, label);

    assert_int_equal(fscanf(f, " mean"), 0);
    for (int k = 0; k < DIM; k++) {
        const double want = next_number(f);
        assert_true(rc < 0 || fabs((double)mean[k] - want) < 1e-7);
    }
    assert_true(rc < 0 || label[1] == 1);
}

static void answers_are_numpys(void **state)
{
    static struct set s;
    FILE *f = fopen(golden, "r");
    int sets = 0;

    (void)state;
    assert_non_null(f);
    assert_int_equal(fscanf(f, "# numpy %*s"), 0);
    while (fscanf(f, " set %d %d %d", &s.identities, &s.images, &s.probes) == 3) {
        assert_true(s.images <= MOST && s.probes <= MOST);
        read_gallery(f, &s);
        read_probes(f, &s);
        const struct fv_gallery g = {s.gallery, s.label, (size_t)s.images, (uint32_t)s.identities,
                                     DIM};
        assert_int_equal(fv_gallery_search(&g, s.probe, (size_t)s.probes, s.got), FV_OK);
        check_answers(&s);
        check_rates(f, &s);
        check_accuracy(f, &s);
        check_mean(f, &g);
        sets++;
    }
    fclose(f);
    assert_int_equal(sets, 40);
}

static void nobody_to_find(void **state)
{
    const float v[] = {1, 0, -1, 0};
    const uint32_t label[] = {0, 0}, far[] = {0, 1};
    const struct fv_gallery none = {v, label, 0, 1, 2}, cancel = {v, label, 2, 1, 2},
                            bad = {v, far, 2, 1, 2};
    struct fv_answer a = {.truth = FV_PROBE_UNKNOWN};
    double threshold, accuracy;
    float mean[2];
    uint32_t of[1];
    struct fv_roc roc;

    (void)state;
    assert_int_equal(fv_gallery_search(&none, v, 1, &a), FV_EINVAL);
    assert_int_equal(fv_gallery_search(&bad, v, 1, &a), FV_EINVAL);
    assert_int_equal(fv_gallery_mean(&cancel, mean, of), FV_EINVAL);
    assert_int_equal(fv_gallery_search(&cancel, v, 1, &a), FV_OK);
    assert_int_equal(fv_gallery_roc(&roc, &a, 1, 0), FV_EINVAL);
    assert_true(fv_gallery_cmc(&a, 1, 1, 0) == 0);
    assert_int_equal(fv_gallery_threshold(&a, 1, &threshold, &accuracy), FV_OK);
    assert_true(threshold == -INFINITY && accuracy == 0);
}

/* The layouts as the course's sample submissions have them. */
static void submissions(void **state)
{
    static const char *const first[] = {"a/1.jpg", "b,2.jpg"}, *const second[] = {"c.jpg", "d.jpg"},
                             *const identity[] = {"n000123", "n000000"};
    static const double score[] = {0.5, -0.25};
    static const struct {
        const char *layout, *text;
    } want[] = {
        {"hw2p2-f24", "ID,Label\n0,0.5\n1,-0.25\n"},
        {"hw2p2-f22", "id,label\n0,n000123\n1,n000000\n"},
        {"hw2p2-s22", "id,match\n0,0.5\n1,-0.25\n"},
        {"hw2p2-f20", "Id,Category\na/1.jpg c.jpg,0.5\n\"b,2.jpg d.jpg\",-0.25\n"},
        {"hw2p2-s19", "trial,score\na/1.jpg c.jpg,0.5\n\"b,2.jpg d.jpg\",-0.25\n"},
        {"hw2p2-s22-class", "id,label\na/1.jpg,n000123\n\"b,2.jpg\",n000000\n"},
        {"hw2p2-s19-class", "Id,Category\na/1.jpg,n000123\n\"b,2.jpg\",n000000\n"},
    };
    enum { LAYOUTS = sizeof want / sizeof *want };
    struct fv_submission s = {2, first, second, score, identity};
    char path[] = "/tmp/fv-submission-XXXXXX", *text;
    const char *name, *help;
    int kind;
    size_t n;

    (void)state;
    close(mkstemp(path));
    for (size_t i = 0; i < LAYOUTS; i++) {
        s.second = strstr(want[i].layout, "class") ? NULL : second;
        assert_int_equal(fv_submission_write(&s, want[i].layout, path), FV_OK);
        assert_int_equal(fv_file_read(path, 4096, &text, &n), FV_OK);
        assert_string_equal(text, want[i].text);
        free(text);
        assert_int_equal(fv_submission_layout(i, &name, &help, &kind), 1);
        assert_string_equal(name, want[i].layout);
        assert_int_equal(fv_submission_check(name, kind), FV_OK);
        for (int other = 0; other < 3; other++)
            assert_int_equal(fv_submission_check(name, other), other == kind ? FV_OK : FV_EUSAGE);
    }
    assert_int_equal(fv_submission_layout(LAYOUTS, &name, &help, &kind), 0);
    assert_int_equal(fv_submission_write(&s, "hw2p2", path), FV_EUSAGE);
    assert_non_null(strstr(fv_err_text(), "hw2p2-f24, hw2p2-s22"));
    unlink(path);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_numpys),
        cmocka_unit_test(nobody_to_find),
        cmocka_unit_test(submissions),
    };

    golden = argc > 1 ? argv[1] : "";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
