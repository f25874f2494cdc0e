/* SPDX-License-Identifier: MIT */
/* Finds a backend by name, and checks batches for all of them. The table itself is written by the build. */
#include "trainer/backend.h"

#include "common/err.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static int open_one(const struct fv_backend *row, const struct fv_device_settings *s,
                    const struct fv_backend **backend, struct fv_device **device)
{
    const struct fv_backend *b = row;
    if (s->dtype && strcmp(s->dtype, "auto") != 0 && strcmp(s->dtype, "fp32") != 0 &&
        !row->takes_dtype)
        return fv_err(FV_EUSAGE, "backend %s computes in fp32, not in %s: leave out --dtype",
                      row->name, s->dtype);
    if (row->load)
        FV_TRY(row->load(&b));
    FV_TRY(b->open(device, s));
    *backend = b;
    return 0;
}

/* One sentence behind the others. */
static void note(char text[FV_ERR_TEXT_MAX])
{
    const size_t n = strlen(text);
    snprintf(text + n, FV_ERR_TEXT_MAX - n, "%s%s", n ? "; " : "", fv_err_text());
}

static int open_best(const struct fv_device_settings *s, const struct fv_backend **backend,
                     struct fv_device **device)
{
    char why[FV_ERR_TEXT_MAX] = "";
    int rc = fv_err(FV_ENOTFOUND, "this build has no backend");
    for (int i = 0; fv_backends[i]; i++) {
        rc = open_one(fv_backends[i], s, backend, device);
        if (rc == 0)
            break;
        note(why);
    }
    if (rc == 0 && s->passed_over)
        memcpy(s->passed_over, why, sizeof why);
    return rc < 0 && why[0] ? fv_err(rc, "%s", why) : rc;
}

int fv_backend_open(const char *name, const struct fv_device_settings *s,
                    const struct fv_backend **backend, struct fv_device **device)
{
    char valid[256] = "auto";
    *backend = NULL;
    *device = NULL;
    if (s->passed_over)
        s->passed_over[0] = '\0';
    if (strcmp(name, "auto") == 0)
        return open_best(s, backend, device);
    for (int i = 0; fv_backends[i]; i++) {
        if (strcmp(fv_backends[i]->name, name) == 0)
            return open_one(fv_backends[i], s, backend, device);
        strncat(valid, ", ", sizeof valid - strlen(valid) - 1);
        strncat(valid, fv_backends[i]->name, sizeof valid - strlen(valid) - 1);
    }
    return fv_err(FV_ENOTFOUND, "there is no backend '%s' in this build; valid: %s", name, valid);
}

static int check_item(const struct fv_net *net, const struct fv_batch *b, int i)
{
    if (b->label[i] < 0 || b->label[i] >= net->classes || b->label_mix[i] < 0 ||
        b->label_mix[i] >= net->classes)
        return fv_err(FV_EINVAL, "batch item %d has the labels %d and %d, the net %d classes", i,
                      (int)b->label[i], (int)b->label_mix[i], net->classes);
    if (!(b->lambda[i] >= 0 && b->lambda[i] <= 1))
        return fv_err(FV_EINVAL, "batch item %d has a lambda of %g, not within 0 .. 1", i,
                      (double)b->lambda[i]);
    if (!net->loss.soft && b->lambda[i] > 0 && b->lambda[i] < 1 && b->label[i] != b->label_mix[i])
        return fv_err(FV_EINVAL,
                      "batch item %d is mixed of two identities, which has no meaning for the loss "
                      "'%s': leave cutmix and mixup out of --aug",
                      i, net->loss.text);
    return 0;
}

int fv_backend_check_logits(const struct fv_net *net, const float *logits)
{
    return !logits || net->logits_node >= 0
               ? 0
               : fv_err(FV_EINVAL, "%s: a net trained by '%s' alone has no class scores", net->arch,
                        net->loss.text);
}

int fv_backend_check_batch(const struct fv_net *net, int capacity, const struct fv_batch *b)
{
    if (b->n < 1 || b->n > capacity)
        return fv_err(FV_EINVAL, "a batch of %d images for a program of 1 .. %d", b->n, capacity);
    if (b->height != net->size || b->width != net->size)
        return fv_err(FV_EINVAL, "images of %dx%d px for a net of %d px", b->width, b->height,
                      net->size);
    for (int i = 0; i < b->n; i++)
        FV_TRY(check_item(net, b, i));
    for (int i = 0; i < net->nodes; i++) {
        const struct fv_node *node = &net->node[i];
        if (node->kind == FV_NODE_BN && b->n == 1 && node->h == 1 && node->w == 1)
            return fv_err(FV_EINVAL,
                          "%s: one value a channel has no variance: train with larger batches",
                          node->name);
    }
    return 0;
}

int fv_backend_sum_result(struct fv_comm *comm, struct fv_step_result *r)
{
    enum { HEAD = 7, WANT = HEAD + FV_LOSS_TERMS, ALL = WANT + FV_WANT_BITS };
    double sum[ALL] = {
        r->finite ? r->loss * r->n : 0, r->correct, r->n, !r->finite, r->active, r->distance,
        !r->finite && !r->rescaled};
    const int world = fv_comm_world(comm);
    if (world == 1)
        return 0;
    for (int t = 0; t < FV_LOSS_TERMS; t++)
        sum[HEAD + t] = r->finite ? r->term[t] * r->n : 0;
    for (int k = 0; k < FV_WANT_BITS; k++)
        sum[WANT + k] = r->wanted >> k & 1;
    FV_TRY(fv_comm_sum_doubles(comm, sum, ALL));
    r->n = (int)sum[2];
    r->correct = sum[1];
    r->finite = sum[3] == 0;
    r->rescaled = !r->finite && sum[6] == 0;
    r->loss = r->finite ? sum[0] / sum[2] : NAN;
    r->active = sum[4] / world;
    r->distance = sum[5] / world;
    for (int t = 0; t < FV_LOSS_TERMS; t++)
        r->term[t] = r->finite ? sum[HEAD + t] / sum[2] : NAN;
    for (int k = 0; k < FV_WANT_BITS; k++)
        r->wanted |= (unsigned)(sum[WANT + k] > 0) << k;
    return 0;
}

int fv_backend_commit_loss(struct fv_comm *comm, const struct fv_net *net, struct fv_loss_call *c)
{
    const int world = fv_comm_world(comm);
    fv_loss_commit(c);
    for (int t = 0; t < net->loss.terms && world > 1; t++)
        for (int k = 0; k < FV_LOSS_STATES; k++) {
            const int tensor = fv_net_loss_state(net, t, k);
            const size_t count = tensor < 0 ? 0 : net->tensor[tensor].count;
            if (tensor >= 0)
                FV_TRY(fv_comm_sum_floats(comm, c->state[t][k], count));
            for (size_t i = 0; i < count; i++)
                c->state[t][k][i] /= (float)world;
        }
    return 0;
}
