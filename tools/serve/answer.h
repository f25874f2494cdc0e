/* SPDX-License-Identifier: MIT */
/* Photographs to an answer: how alike two are, who of the gallery each looks like, and what the scores mean. */
#ifndef FV_TOOLS_SERVE_ANSWER_H
#define FV_TOOLS_SERVE_ANSWER_H

#include "tools/eval/calibration.h"
#include "tools/eval/nearest.h"
#include "tools/serve/http.h"

/* What is held while the server runs. */
struct answerer {
    struct eval_net net;
    struct calibration calibration;
    struct eval_images known;
    float *emb;           /* (known.n, dim) */
    struct nearest *near; /* (labels) */
    int top, aligned;
};

struct answer {
    int photos, top;
    double score; /* of two photos */
    struct nearest near[HTTP_PHOTOS][NEAREST_TOP_MAX];
    struct http_photo picture[HTTP_PHOTOS]; /* as the net sees it: JPEG */
    struct results meaning;                 /* calibration_judge's rows */
    char framing[96];
};

/* FV_EINVAL says which photo cannot be used and why. */
int answer_make(struct answer *out, struct answerer *a, const struct http_photo *photo, int photos);
void answer_free(struct answer *a);
/* An image as a JPEG file, to free. */
int answer_picture(const struct fv_store *store, uint64_t image, struct http_photo *jpeg);

#endif
