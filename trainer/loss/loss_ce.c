/* SPDX-License-Identifier: MIT */
/* Softmax cross-entropy over the logits of a fully connected head, as torch.nn.functional.cross_entropy with
 * label_smoothing: q_k = (1 - smooth) [k = label] + smooth / classes (Szegedy et al., arXiv 1512.00567, section 7). */
#include "trainer/loss/loss_impl.h"

#include <math.h>

enum { SMOOTH };

static void rows(struct fv_loss_call *c, int term, size_t begin, size_t end)
{
    const struct fv__loss_softmax s = {
        .scale = 1, .limit = INFINITY, .smooth = c->spec->term[term].value[SMOOTH]};
    for (size_t i = begin; i < end; i++)
        fv__loss_softmax(c, term, i, &s);
}

const struct fv_loss fv__loss_ce = {
    .name = "ce",
    .help = "softmax cross-entropy",
    .source = "smoothing: arXiv 1512.00567",
    .reads = FV_LOSS_READS_LOGITS,
    .soft = 1,
    .param = {[SMOOTH] = {.name = "smooth",
                          .def = 0,
                          .min = 0,
                          .max = 1,
                          .help = "share of the label that is spread over all classes"}},
    .phase = {{.rows = rows}},
};
