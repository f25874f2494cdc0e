/* SPDX-License-Identifier: MIT */
/* The optimisers, one row each at the end, with the definitions of torch.optim (SGD without dampening, Adam and AdamW
 * without amsgrad). A rule is stated here once, for one weight in double; ref runs just that.
 *
 * Where a choice of writing is left, it is torch's: the root of Adam's second moment is corrected before eps is
 * added, and AdamW shrinks the weights before the update.
 */
#include "trainer/backend.h"

#include "common/err.h"

#include <math.h>
#include <string.h>

size_t fv_state_count(const struct fv_net *net, enum fv_state which)
{
    return which == FV_STATE_EMA ? net->params + net->buffers : net->params;
}

/* g += decay * w; v = momentum * v + g; w -= lr * (nesterov ? g + momentum * v : v). At the first step torch has
 * v = g, which with v = 0 is the same. */
static void update_sgd(const struct fv_optim_scalars *c, double *w, double g, double state[2])
{
    *w *= c->shrink;
    g += c->decay * *w;
    state[0] = c->momentum * state[0] + g;
    *w -= c->lr * (c->nesterov ? g + c->momentum * state[0] : state[0]);
}

/* m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2;
 * w -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps), t counting from 1. */
static void update_adam(const struct fv_optim_scalars *c, double *w, double g, double state[2])
{
    *w *= c->shrink;
    g += c->decay * *w;
    state[0] = c->beta1 * state[0] + (1 - c->beta1) * g;
    state[1] = c->beta2 * state[1] + (1 - c->beta2) * g * g;
    *w -= c->step_size * state[0] / (sqrt(state[1]) * c->root_scale + c->eps);
}

const struct fv_optim_rule fv_optim_rules[FV_OPTIM_KINDS] = {
    [FV_OPTIM_SGD] = {"sgd",
                      "gradient descent with momentum",
                      1,
                      {"momentum"},
                      update_sgd,
                      " momentum nesterov decoupled-decay "},
    [FV_OPTIM_ADAM] = {"adam",
                       "steps of even size: the mean gradient over the root of its mean square",
                       2,
                       {"exp_avg", "exp_avg_sq"},
                       update_adam,
                       " beta1 beta2 eps decoupled-decay "},
    [FV_OPTIM_ADAMW] = {"adamw",
                        "Adam with a weight decay that its steps of even size do not touch",
                        2,
                        {"exp_avg", "exp_avg_sq"},
                        update_adam,
                        " beta1 beta2 eps "},
};
const char *const fv_optim_names[] = {"sgd", "adam", "adamw", NULL};

int fv_optim_find(enum fv_optim_kind *kind, const char *name)
{
    char valid[128] = "";
    for (int i = 0; i < FV_OPTIM_KINDS; i++) {
        *kind = (enum fv_optim_kind)i;
        if (strcmp(fv_optim_rules[i].name, name) == 0)
            return 0;
        strncat(valid, i ? ", " : "", sizeof valid - strlen(valid) - 1);
        strncat(valid, fv_optim_rules[i].name, sizeof valid - strlen(valid) - 1);
    }
    return fv_err(FV_ENOTFOUND, "there is no optimiser '%s'; valid: %s", name, valid);
}

struct fv_optim_scalars fv_optim_scalars(const struct fv_optim *o, int tensor)
{
    const double lr_factor = o->lr_factor ? (double)o->lr_factor[tensor] : 1;
    const double decay_factor = o->decay_factor ? (double)o->decay_factor[tensor] : 1;
    const double lr = o->lr * lr_factor, decay = o->weight_decay * decay_factor;
    const double t = (double)o->updates + 1;
    const int decoupled = o->decoupled || o->kind == FV_OPTIM_ADAMW;
    const int adam = o->kind != FV_OPTIM_SGD;
    return (struct fv_optim_scalars){
        .frozen = lr_factor == 0,
        .lr = lr,
        .decay = decoupled ? 0 : decay,
        .shrink = decoupled ? 1 - lr * decay : 1,
        .momentum = o->momentum,
        .nesterov = o->nesterov,
        .beta1 = o->beta1,
        .beta2 = o->beta2,
        .eps = o->eps,
        .step_size = adam ? lr / (1 - pow(o->beta1, t)) : 0,
        .root_scale = adam ? 1 / sqrt(1 - pow(o->beta2, t)) : 0,
    };
}

int fv_optim_trains(const struct fv_optim *o, const struct fv_net *net, int tensor)
{
    return tensor >= 0 && !net->tensor[tensor].buffer &&
           !(o && o->lr_factor && o->lr_factor[tensor] == 0);
}

int fv_optim_is_frozen_bn(const struct fv_optim *o, const struct fv_net *net, int node)
{
    const struct fv_node *n = &net->node[node];
    return o && o->lr_factor && n->kind == FV_NODE_BN && !fv_optim_trains(o, net, n->tensor[0]) &&
           !fv_optim_trains(o, net, n->tensor[1]);
}

void fv_optim_find_needed(const struct fv_optim *o, const struct fv_net *net, unsigned char *needed)
{
    for (int i = 0; i < net->nodes; i++) {
        const struct fv_node *n = &net->node[i];
        needed[i] = n->kind == FV_NODE_LOSS;
        for (int k = 0; k < 4; k++)
            needed[i] |= fv_optim_trains(o, net, n->tensor[k]) != 0;
        for (int k = 0; k < FV_NODE_INPUTS; k++)
            needed[i] |= n->in[k] >= 0 && needed[n->in[k]];
    }
}

int fv_optim_updates(const struct fv_optim *o)
{
    return o && o->part + 1 >= o->parts;
}

double fv_optim_clip_scale(const struct fv_optim *o, double norm)
{
    const double scale = o->clip_norm / (norm + 1e-6);
    return o->clip_norm > 0 && scale < 1 ? scale : 1;
}
