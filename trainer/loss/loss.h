/* SPDX-License-Identifier: MIT */
/* What training minimises: a weighted sum of terms, each a row of a table.
 *
 *     spec = term { "+" term }
 *     term = [ weight "*" ] name [ values ]          values: common/param.h
 *
 *     ce(smooth=0.1)      arcface(s=30,m=0.4,warmup=2)      ce+0.2*triplet(margin=0.3,mine=batch-hard)
 *
 * A term reads some of three matrices, a row for each item of the batch: the logits of a fully connected head, the
 * cosines of a cosine head (net.h: FV_NODE_COSINE), and the embeddings that both heads read. It gives its value and
 * its gradient by what it reads. Definitions and sources: docs/losses.md.
 *
 * There is one implementation, in double, for all CPU backends; another backend mirrors the formulas that stand at the
 * top of each loss_*.c. Values do not depend on how many threads share the rows.
 */
#ifndef FV_TRAINER_LOSS_H
#define FV_TRAINER_LOSS_H

#include "common/param.h"

#include <stddef.h>
#include <stdint.h>

enum { FV_LOSS_TERMS = 4, FV_LOSS_PARAMS = 8, FV_LOSS_STATES = 2, FV_LOSS_PHASES = 4 };

/* The matrices, in the order of the loss node's inputs. */
enum fv_loss_input {
    FV_LOSS_LOGITS, /* (n, classes) */
    FV_LOSS_COSINE, /* (n, classes): cosine of embedding and class weight, without margin and scale */
    FV_LOSS_EMBEDDING, /* (n, dim), not normalised */
    FV_LOSS_INPUTS
};
/* What a loss reads, as bits. */
enum fv_loss_reads {
    FV_LOSS_READS_LOGITS = 1 << FV_LOSS_LOGITS,
    FV_LOSS_READS_COSINE = 1 << FV_LOSS_COSINE,
    FV_LOSS_READS_EMBEDDING = 1 << FV_LOSS_EMBEDDING,
    FV_LOSS_READS_NORMS =
        1 << FV_LOSS_INPUTS /* |embedding|, as a constant: no gradient flows through it */
};

/* Numbers of a loss that steps change and no gradient does: buffers in the net's arena. */
struct fv_loss_state {
    const char *name; /* of the tensor: "head.batch_mean"; NULL: none */
    int per_class;    /* (classes, dim); else (1) */
    double init;
};

struct fv_loss_call;
/* A step of a loss's work: `rows` on every row, shared among threads, then `once` on one. Either may be NULL. */
struct fv_loss_phase {
    void (*rows)(struct fv_loss_call *c, int term, size_t begin, size_t end);
    void (*once)(struct fv_loss_call *c, int term);
};

struct fv_loss {
    const char *name, *help, *source;
    unsigned reads;
    /* It has a meaning for an item that is lambda of one class and 1 - lambda of another: the same mixture of both
     * values. */
    int soft;
    struct fv_param param[FV_LOSS_PARAMS + 1]; /* in positional order; ends with name == NULL */
    struct fv_loss_state state[FV_LOSS_STATES];
    int (*check)(const double *value);    /* whether the values go together; NULL: any do */
    double (*scale)(const double *value); /* of cosines: logits are scale * cosine; NULL: 1 */
    /* Doubles of its own that it needs while it works on n items; NULL: none. */
    size_t (*work)(int n, int dim);
    struct fv_loss_phase phase[FV_LOSS_PHASES];
    /* The step counts: the new state. NULL: it has none. */
    void (*commit)(struct fv_loss_call *c, int term);
};
/* Every loss of this build, ends with NULL. Written by Meson from common/table.c.in. */
extern const struct fv_loss *const fv_losses[];

struct fv_loss_term {
    const struct fv_loss *loss;
    double weight; /* above 0 */
    double value[FV_LOSS_PARAMS];
};

struct fv_loss_spec {
    struct fv_loss_term term[FV_LOSS_TERMS];
    int terms;
    unsigned reads; /* of all terms */
    int soft;       /* every term has a meaning for soft labels */
    /* The first term that reads class scores: its head, without margin, is what accuracy is counted by; -1: none */
    int scored;
    char text[1280]; /* canonical: equal texts, equal losses */
};

/* FV_EUSAGE names the term or the parameter and what is valid. Each loss may be named once. */
int fv_loss_parse(struct fv_loss_spec *out, const char *text);
/* Every loss with its parameters, for --help. */
void fv_loss_help(FILE *to);

/* FV_LOSS_LOGITS or FV_LOSS_COSINE: which class scores a term reads; -1: none. */
int fv_loss_scores(const struct fv_loss_term *term);
/* What the scores of spec->scored are multiplied by to be logits; 1 where there are none. */
double fv_loss_scale(const struct fv_loss_spec *spec);
/* The share of its margin that a term has at a time in epochs: linear from 0 to 1 within its `warmup`, then 1. */
double fv_loss_warmth(const struct fv_loss_term *term, double epoch);
/* Of a parameter by name; NAN: the loss has no such parameter. */
double fv_loss_value(const struct fv_loss_term *term, const char *param);

/* A matrix and where its gradient goes. One of f and d is set, the gradient likewise; no gradient: both NULL. */
struct fv_loss_rows {
    const float *f;
    const double *d;
    float *grad_f;
    double *grad_d;
};

struct fv_loss_result {
    double loss;                /* weighted sum of the terms */
    double term[FV_LOSS_TERMS]; /* each before its weight: mean over the batch */
    /* sum over items of lambda [argmax = label] + (1 - lambda) [argmax = label_mix] over the scores of spec->scored,
     * without margin; 0 where there are none */
    double correct;
    /* of the triplet term, NAN without one. The first is NAN too when no triplet could be made. */
    double active;   /* share of triplets that have a loss */
    double distance; /* mean over all pairs of the batch */
};

/* One batch. The caller fills in what stands above the line; the gradients that the spec's terms do not touch are
 * left alone. */
struct fv_loss_call {
    const struct fv_loss_spec *spec;
    int n, classes, dim;
    const int32_t *label, *label_mix; /* (n), valid classes */
    const float *lambda;              /* (n), 0 .. 1 */
    double epoch;                     /* how far training is, for warm-up; INFINITY: warmed up */
    struct fv_loss_rows in[FV_LOSS_INPUTS];
    float *state[FV_LOSS_TERMS][FV_LOSS_STATES];
    double
        *work; /* fv_loss_work doubles; the first n are each item's loss: their mean is the loss */
    /* Calls fn(arg, begin, end) for shares of 0 .. count, on any threads. NULL: on this one. */
    void (*share)(void *share_ctx, size_t count, void (*fn)(void *arg, size_t begin, size_t end),
                  void *arg);
    void *share_ctx;
    /* ---- */
    struct fv_loss_result result;
};

size_t fv_loss_work(const struct fv_loss_spec *spec, int n, int dim);
/* Value, gradients, result. The state is read and not changed. */
void fv_loss_run(struct fv_loss_call *c);
/* After fv_loss_run, if the step counts: writes the new state. `work` must be untouched; `in` is not read. */
void fv_loss_commit(struct fv_loss_call *c);

#endif
