/* SPDX-License-Identifier: MIT */
/* Whole runs with each loss: they learn, say how, come back from their checkpoints, and go on to the same bytes. */
#include "common/err.h"
#include "common/fs.h"
#include "tests/cmocka_all.h"
#include "train_fixture.h"
#include "trainer/run/loss_watch.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char said[4096];

static void listen(void *ctx, enum fv_level level, const char *text)
{
    (void)ctx;
    (void)level;
    strncat(said, text, sizeof said - strlen(said) - 2);
    strcat(said, "\n");
}

/* The value of a key in the last line of that type; NAN without one. */
static double logged(const struct fixture *f, const char *run, const char *type, const char *key,
                     int first)
{
    char *text;
    size_t n;
    double value = NAN;
    assert_int_equal(fv_file_read(fixture_path(f, run, "log.jsonl"), 1 << 24, &text, &n), 0);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *o = json_loads(line, 0, NULL);
        const json_t *v = json_object_get(o, key);
        if (strcmp(json_string_value(json_object_get(o, "type")), type) == 0 && v &&
            (isnan(value) || !first))
            value = json_number_value(v);
        json_decref(o);
    }
    free(text);
    return value;
}

static const char *const specs[] = {
    "ce(smooth=0.1)",
    "arcface(s=10,m=0.3,warmup=2)",
    "arcface(s=10,m=0.3,grad=insightface)",
    "cosface(s=10,m=0.2)",
    "combined(s=8)",
    "adaface(s=10)",
    "triplet(margin=0.5)",
    "triplet(mine=semi-hard,margin=0.5)",
    "ce+0.1*center",
    "ce(smooth=0.1)+0.3*arcface(s=10)+0.2*triplet",
};
enum { SPECS = sizeof specs / sizeof specs[0] };

static void every_loss_goes_down(void **state)
{
    (void)state;
    for (int i = 0; i < SPECS; i++) {
        struct fixture f;
        fixture_open(&f);
        f.settings.loss = specs[i];
        f.settings.epochs = 6;
        f.settings.save_every = 0;
        assert_int_equal(fixture_run(&f, "run", 0), 0);
        const double first = logged(&f, "run", "epoch", "loss", 1);
        const double last = logged(&f, "run", "epoch", "loss", 0);
        /* a margin that grows makes the loss grow: it is compared where it has grown */
        if (!strstr(specs[i], "warmup") && !(last < .85 * first))
            fail_msg("%s: from %g to %g", specs[i], first, last);
        const int scores = strncmp(specs[i], "triplet", 7) != 0;
        assert_int_equal(isfinite(logged(&f, "run", "epoch", "acc", 0)), scores);
        assert_int_equal(isfinite(logged(&f, "run", "epoch", "val_acc", 0)), scores);
        if (scores)
            assert_true(logged(&f, "run", "epoch", "val_acc", 0) > .5);
        else
            assert_true(logged(&f, "run", "epoch", "eer", 0) < .3);
        fixture_close(&f);
    }
}

/* The terms stand in the log before their weights. */
static void terms_are_logged(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f);
    f.settings.loss = "ce+0.5*triplet";
    said[0] = '\0';
    f.report = (struct fv_report){.message = listen};
    f.settings.epochs = 1;
    f.settings.save_every = 0;
    synthetic_close(&f.train); /* an epoch of 50 steps, which are a line */
    synthetic_open(&f.train, FIXTURE_CLASSES, 50 * FIXTURE_BATCH, FIXTURE_BATCH, 12, 1, 1);
    assert_int_equal(fixture_run(&f, "run", 0), 0);
    const double all = logged(&f, "run", "step", "loss", 1);
    const double ce = logged(&f, "run", "step", "loss_ce", 1);
    const double triplet = logged(&f, "run", "step", "loss_triplet", 1);
    const double active = logged(&f, "run", "step", "triplets_active", 1);
    assert_true(fabs(all - ce - .5 * triplet) < 1e-5 * all);
    assert_true(active > 0 && active <= 1);
    assert_true(logged(&f, "run", "step", "pair_distance", 1) > 0);
    /* this epoch is these 50 steps */
    const char *const keys[] = {"loss", "loss_ce", "loss_triplet", "triplets_active",
                                "pair_distance"};
    char *csv;
    size_t n;
    assert_int_equal(fv_file_read(fixture_path(&f, "run", "epochs.csv"), 1 << 20, &csv, &n), 0);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        assert_true(logged(&f, "run", "epoch", keys[i], 0) ==
                    logged(&f, "run", "step", keys[i], 0));
        assert_non_null(strstr(csv, keys[i]));
    }
    free(csv);
    assert_non_null(strstr(said, "  loss "));
    assert_non_null(strstr(said, " (ce "));
    assert_non_null(strstr(said, ", triplet "));
    fixture_close(&f);
}

/* A checkpoint knows its loss: the net has the same heads again, and logits are the scaled cosines. */
static void models_have_their_heads(void **state)
{
    struct fixture f;
    struct fv_model *m;
    double accuracy, loss;
    (void)state;
    fixture_open(&f);
    f.settings.loss = "arcface(s=9,m=0.2)+0.1*ce";
    assert_int_equal(fixture_run(&f, "run", 0), 0);
    assert_int_equal(fv_model_open(&m, fixture_path(&f, "run", "last.safetensors"), "ref", 1, 4),
                     0);
    assert_string_equal(fv_model_net(m)->loss.text, "arcface(s=9,m=0.2)+0.1*ce");
    assert_int_equal(fv_model_accuracy(m, &f.val.source, &accuracy, &loss, NULL), 0);
    assert_true(fabs(accuracy - logged(&f, "run", "epoch", "val_acc", 0)) < 1e-6);
    assert_true(fabs(loss - logged(&f, "run", "epoch", "val_loss", 0)) < 1e-6);
    fv_model_close(&m);
    fixture_close(&f);
}

static int stop_at;
static void stop_there(struct synthetic *s)
{
    if ((int)s->ticket == stop_at)
        fv_train_stop = 1;
}

/* The margin on its way up and the states of AdaFace and of the centres are part of what resuming restores. */
static void resuming_is_exact(void **state)
{
    static const char *const losses[] = {"adaface(s=10,t_alpha=0.2,warmup=2.5)+0.1*center",
                                         "combined(m1=1.2,s=8,warmup=2)+0.2*triplet"};
    static const char *const keys[] = {"loss_center", "triplets_active"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        fixture_open(&f);
        f.settings.loss = losses[i];
        f.settings.epochs = 2; /* the last of which is stopped in its middle */
        assert_int_equal(fixture_run(&f, "whole", 0), 0);
        f.train.before = stop_there;
        stop_at = 9;
        assert_int_equal(fixture_run(&f, "parts", 0), FV_EINTR);
        f.train.before = NULL;
        fv_train_stop = 0;
        assert_int_equal(fixture_run(&f, "parts", 1), 0);
        assert_same_file(&f, "whole", "parts", "last.safetensors");
        assert_true(logged(&f, "whole", "epoch", keys[i], 0) > 0);
        for (int first = 0; first < 2; first++)
            assert_true(logged(&f, "whole", "epoch", keys[i], first) ==
                        logged(&f, "parts", "epoch", keys[i], first));
        fixture_close(&f);
    }
}

static void bad_requests_are_refused(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f);
    f.settings.loss = "ce+tripled";
    assert_int_equal(fixture_run(&f, "run", 0), FV_EUSAGE);
    assert_non_null(strstr(fv_err_text(), "there is no loss 'tripled'"));
    f.settings.loss = "triplet";
    f.settings.patience = 2;
    f.settings.patience_on = "val-acc";
    assert_int_equal(fixture_run(&f, "run", 0), FV_EUSAGE);
    assert_non_null(strstr(fv_err_text(), "has no class scores"));
    f.settings.patience = 0;
    f.train.source.mixes = 1;
    assert_int_equal(fixture_run(&f, "run", 0), FV_EUSAGE);
    assert_non_null(strstr(fv_err_text(), "leave cutmix and mixup out of --aug"));
    assert_int_equal(access(fixture_path(&f, "run", ""), F_OK), -1);
    f.settings.loss = "arcface(s=8)";
    f.settings.epochs = 1;
    assert_int_equal(fixture_run(&f, "run", 0), 0);
    fixture_close(&f);
}

static void few_classes_ask_for_a_smaller_scale(void **state)
{
    struct fixture f;
    struct fv_loss_spec s;
    char text[240];
    (void)state;
    said[0] = '\0';
    fixture_open(&f);
    f.report = (struct fv_report){.message = listen};
    f.settings.loss = "cosface";
    f.settings.epochs = 1;
    assert_int_equal(fixture_run(&f, "run", 0), 0);
    assert_non_null(strstr(said, "cosface: a scale of s=64 for 4 identities"));
    assert_non_null(strstr(said, "try s=2"));
    fixture_close(&f);
    assert_int_equal(fv_loss_parse(&s, "ce+arcface(s=12)"), 0);
    assert_false(fv__loss_scale_hint(&s, 500, text, sizeof text)); /* sqrt(2) ln(499) = 8.8 */
    assert_int_equal(fv_loss_parse(&s, "ce+arcface"), 0);
    assert_true(fv__loss_scale_hint(&s, 500, text, sizeof text));
    assert_false(fv__loss_scale_hint(&s, 8631, text, sizeof text));
}

/* While a margin grows, a loss that does not fall is no sign of anything. */
static void a_growing_margin_is_no_standstill(void **state)
{
    struct fv_loss_spec s;
    (void)state;
    assert_int_equal(fv_loss_parse(&s, "ce+arcface(warmup=3)"), 0);
    assert_true(fv__loss_is_warming(&s, 0) && fv__loss_is_warming(&s, 2.9));
    assert_false(fv__loss_is_warming(&s, 3));
    assert_int_equal(fv_loss_parse(&s, "ce"), 0);
    assert_false(fv__loss_is_warming(&s, 0));
}

/* Feeds the same step over and over: how often a sentence comes. */
static int sentences(const char *loss, struct fv_step_result r, int steps, char *text, size_t n)
{
    struct fv_loss_watch w = {0};
    struct fv_loss_spec s;
    int count = 0;
    assert_int_equal(fv_loss_parse(&s, loss), 0);
    for (int i = 0; i < steps; i++)
        count += fv__loss_watch_add(&w, &s, &r, text, n);
    return count;
}

static void triplets_are_watched(void **state)
{
    char text[320];
    struct fv_step_result r = {.finite = 1, .term = {.3}, .active = 1, .distance = .001};
    (void)state;
    assert_int_equal(sentences("triplet", r, FV_LOSS_WATCH_STEPS - 1, text, sizeof text), 0);
    assert_int_equal(sentences("triplet", r, 5 * FV_LOSS_WATCH_STEPS, text, sizeof text), 1);
    assert_non_null(strstr(text, "its margin"));
    assert_int_equal(sentences("ce", r, 500, text, sizeof text), 0);
    r.term[0] = log(2);
    assert_int_equal(sentences("triplet(soft=yes,unit=no)", r, 500, text, sizeof text), 1);
    r.term[0] = .2;
    r.distance = .8;
    r.active = .4;
    assert_int_equal(sentences("triplet", r, 500, text, sizeof text), 0);
    r.active = r.term[0] = NAN;
    r.term[0] = 0;
    assert_int_equal(sentences("triplet", r, 500, text, sizeof text), 1);
    assert_non_null(strstr(text, "--order pk"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_loss_goes_down),
        cmocka_unit_test(terms_are_logged),
        cmocka_unit_test(models_have_their_heads),
        cmocka_unit_test(resuming_is_exact),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(few_classes_ask_for_a_smaller_scale),
        cmocka_unit_test(a_growing_margin_is_no_standstill),
        cmocka_unit_test(triplets_are_watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
