/* SPDX-License-Identifier: MIT */
/* Training and scoring, without knowledge of where batches come from.
 *
 * fv_train_run takes three sources of batches (augment/batch.h): shuffled training batches, the closed-set
 * validation images in order, and the images of the verification list in order; it writes a run folder:
 *
 *   settings.txt            every setting, as "name = value"
 *   log.jsonl               one JSON object a line: steps, epochs
 *   epochs.csv              the epochs of it as a table
 *   events.out.tfevents.fv  all of it for TensorBoard
 *   end.json                how it ended, or that it goes on
 *   last.safetensors        everything that resuming needs
 *   best_cls.safetensors    the net at the best validation accuracy; with --ema, its average
 *   best_ver.safetensors    the same at the best verification EER
 *
 * A run is a function of its settings, data, backend and thread count: stopped at any moment and resumed, it
 * ends in the same bytes (CPU backends).
 */
#ifndef FV_TRAINER_TRAINER_H
#define FV_TRAINER_TRAINER_H

#include "augment/batch.h"
#include "common/opt.h"
#include "common/report.h"
#include "trainer/backend.h"
#include "trainer/comm/comm.h"
#include "trainer/eval/allpairs.h"
#include "trainer/eval/folds.h"
#include "trainer/eval/gallery.h"
#include "trainer/eval/gallery_bootstrap.h"
#include "trainer/eval/grid.h"
#include "trainer/eval/intervals.h"
#include "trainer/eval/metrics.h"
#include "trainer/eval/protocol.h"
#include "trainer/eval/rates.h"
#include "trainer/eval/rows.h"
#include "trainer/eval/submission.h"
#include "trainer/eval/vectors.h"
#include "trainer/files/model_export.h"
#include "trainer/net/net.h"
#include "trainer/run/checkpoint.h"

#include <stdatomic.h>

struct fv_train_settings {
    /* net */
    const char *arch;       /* "resnet18" */
    const char *stem;       /* "auto" */
    int64_t embedding;      /* 0: the architecture's own */
    const char *loss;       /* "ce"; trainer/loss/loss.h */
    const char *mean, *std; /* of the colours, 0 .. 1: "0.5", "0.485,0.456,0.406", "imagenet" */
    const char *init;       /* file of weights to begin with (trainer/files/init.h); NULL: none */
    int init_bgr;           /* its net sees blue first */
    /* length */
    int64_t epochs; /* (default 30) */
    /* optimiser (trainer/backend.h) */
    const char *optim; /* "sgd" | "adam" | "adamw" */
    double lr, momentum, beta1, beta2, eps, weight_decay;
    int nesterov, decoupled_decay, decay_all;
    const char *lr_of, *freeze; /* "fc=10,layer1=0.1"; "conv1,bn1,layer1"; NULL: none */
    double clip_norm;           /* 0: none */
    int64_t accumulate;         /* batches an update (1) */
    double ema;                 /* decay of the average; 0: none */
    /* schedule (trainer/run/schedule.h) */
    const char *schedule;    /* "cosine" */
    const char *schedule_by; /* "step" | "epoch" */
    int64_t t0, t_mult;      /* epochs to the first restart; factor from then on (10, 2) */
    double eta_min;          /* 1e-5 */
    const char *milestones;  /* "10,16,22"; NULL: none */
    double gamma, power, pct_start, div_factor, final_div_factor;
    const char *cycle_momentum; /* "0.85,0.95"; NULL: it stays */
    double warmup;              /* epochs of linear warm-up before the schedule (1) */
    /* early stopping */
    int64_t patience;        /* epochs; 0: none */
    const char *patience_on; /* "val-acc" (trainer/run/measure.h) */
    /* where */
    const char *backend; /* "auto" */
    const char *dtype;   /* fv_device_settings ("auto") */
    int no_graph, verbose;
    int64_t threads; /* of the backend; 0: all */
    int sync_bn;     /* several processes: batch norms measure over all of them */
    int64_t seed; /* of the first weights; not in fv_train_opts, since data has an option for it */
    /* housekeeping */
    double save_every; /* minutes between "last" checkpoints inside an epoch (default 5) */
};
extern const struct fv_opt fv_train_opts[];
void fv_train_defaults(struct fv_train_settings *s);
/* Of a run's saved settings: with a line for each option that they do not name and whose default was another when they
 * were written. To free; NULL when out of memory. */
char *fv_train_settings_complete(const char *text);

/* The device of a run, open before there are batches, so that these can lie where it reads them. */
struct fv_train_device;
int fv_train_device_open(struct fv_train_device **out, const struct fv_train_settings *s,
                         const struct fv_comm *comm);
void fv_train_device_close(struct fv_train_device **d); /* accepts NULL */
/* Memory for batches, 64-byte aligned; NULL: out of memory. In the form of augment/'s allocators. */
void *fv_train_device_alloc(void *device, size_t bytes);
void fv_train_device_free(void *device, void *p, size_t bytes);

/* Verification pairs as indices into the order in which `images` delivers. */
struct fv_index_pair {
    uint32_t a, b;
    uint8_t same;
};

/* What a run came to. Of an epoch 0 there was nothing to measure, and what stands beside it says nothing. */
struct fv_train_result {
    uint64_t epochs;    /* wholly done, those before a resumption included */
    uint64_t cls_epoch; /* with the best validation accuracy, a share */
    double best_acc;
    uint64_t ver_epoch; /* with the lowest verification EER, and the AUC of then */
    double best_eer, best_auc;
};

struct fv_train_data {
    /* of several processes (comm): this one's part of each batch; val and verify are read by rank 0 alone */
    const struct fv_batch_source *train;
    const struct fv_batch_source *val;    /* NULL: no closed-set validation */
    const struct fv_batch_source *verify; /* NULL: no verification */
    const struct fv_index_pair *pair;
    size_t pairs;
    /* "name = value" lines of the whole program, kept in the run and checkpoint */
    const char *settings_text;
    /* The same lines with every default: an option that a run to go on with does not name counts as having it. NULL:
     * whatever is named in one only is a difference. */
    const char *settings_defaults;
    const char *data_id;  /* path and digest of the data set: resuming on other data is refused */
    struct fv_comm *comm; /* NULL: a process by itself */
    size_t loader_bytes;  /* that the sources of batches hold, for the estimate of memory */
    struct fv_train_device *device; /* NULL: the run opens and closes one of its own */
    /* Called after each epoch, its log and checkpoint written, on rank 0. May be NULL. */
    void (*epoch_done)(void *ctx);
    void *epoch_ctx;
    /* Filled in where fv_train_run succeeds. May be NULL. */
    struct fv_train_result *result;
};

/* Set by a signal handler or another thread: finish the step, write the checkpoint, return FV_EINTR. */
extern atomic_int fv_train_stop;

/* Runs or, when the folder holds last.safetensors and resume is set, continues. Of several processes all call it;
 * only rank 0 looks at the folder. After a failure the others learn of it by fv_comm_abort. */
int fv_train_run(const struct fv_train_settings *s, const struct fv_train_data *d,
                 const char *folder, int resume, const struct fv_report *r);

/* A trained net ready for inference. */
struct fv_model;
/* Reads a checkpoint, builds its net, compiles it for inference on the named backend. */
int fv_model_open(struct fv_model **out, const char *checkpoint, const char *backend, int threads,
                  int batch);
/* A net of that architecture with fresh weights: the baseline that a trained one is held against. */
int fv_model_open_untrained(struct fv_model **out, const char *arch,
                            const struct fv_arch_settings *a, uint64_t seed, const char *backend,
                            int threads, int batch);
void fv_model_close(struct fv_model **m);
const struct fv_net *fv_model_net(const struct fv_model *m);
const char *fv_model_info(const struct fv_model *m); /* backend, architecture, epoch it came from */
/* Embeddings of every image of a single-pass source, L2-normalised in double, (n, embedding) into emb;
 * flip: the sum of the embeddings of image and mirror image, then normalised. A vector of norm < 1e-12 or with
 * a NaN is FV_EINVAL naming the image. */
int fv_model_embed(struct fv_model *m, const struct fv_batch_source *images, int flip, float *emb,
                   const struct fv_report *r);
/* The same with the length that the net gives them. */
int fv_model_embed_raw(struct fv_model *m, const struct fv_batch_source *images, int flip,
                       float *emb, const struct fv_report *r);
/* Closed-set accuracy over a single-pass source. A logit that is not finite is FV_EINVAL naming the image. */
int fv_model_accuracy(struct fv_model *m, const struct fv_batch_source *images, double *accuracy,
                      double *loss, const struct fv_report *r);
/* The class of the highest logit, the first of several, of every image of a single-pass source: (n) into label. Errors
 * as fv_model_accuracy. */
int fv_model_classify(struct fv_model *m, const struct fv_batch_source *images, uint32_t *label,
                      const struct fv_report *r);
/* fv_gallery_search on the model's device where that computes scores (backend cuda), else by the processors. */
int fv_model_search(const struct fv_model *m, const struct fv_gallery *g, const float *probe,
                    size_t n, struct fv_answer *answer);
/* One image of a template: its row of emb, and the video or photograph that it is from. */
struct fv_pool_item {
    uint32_t row, template;
    uint64_t media;
};
/* Embeddings of templates, (templates, dim) into out: the mean over each media, their sum, L2-normalised. Items
 * stand by template, then by media. A sum of norm < 1e-12 is FV_EINVAL. */
int fv_pool_templates(const float *emb, int dim, const struct fv_pool_item *item, size_t items,
                      float *out);
/* Cosine of two unit vectors: their inner product, summed in double. */
double fv_score_two(const float *a, const float *b, int dim);
/* The same for each pair. */
void fv_score_pairs(const float *emb, int dim, const struct fv_index_pair *pair, size_t n,
                    double *score);

#endif
