/* SPDX-License-Identifier: MIT */
/* What each kind of op reads and writes, and the names of everything in a listing. The table is what both the
 * placing of buffers and the checker on the host go by: an operand that is not in it does not exist. */
#include "trainer/cuda/lower.h"

const char *const fv_low_dtype_names[FV_LOW_DTYPES] = {"fp32", "bf16", "fp16", "u8", "i32"};
const char *const fv_low_act_names[FV_LOW_ACTS] = {"none", "relu", "relu6", "prelu", "sigmoid"};
const char *const fv_low_space_names[FV_LOW_SPACES] = {
    "arena", "batch", "master", "work", "grad", "state", "running", "batchstat", "control"};
const char *const fv_low_graph_names[FV_LOW_GRAPHS] = {
    "none",           "plain",          "stats",    "prologue",
    "prologue+stats", "prologue+wgrad", "dgrad+bn", "dgrad+sums"};

const char *const fv_low_role_names[FV_LOW_ROLES] = {
    [FV_LOW_X] = "x",
    [FV_LOW_Y] = "y",
    [FV_LOW_R] = "r",
    [FV_LOW_W] = "w",
    [FV_LOW_B] = "b",
    [FV_LOW_S] = "s",
    [FV_LOW_SLOPE] = "slope",
    [FV_LOW_SCALE_V] = "scale",
    [FV_LOW_SHIFT_V] = "shift",
    [FV_LOW_SCALE2] = "scale2",
    [FV_LOW_SHIFT2] = "shift2",
    [FV_LOW_SCALE16] = "scale16",
    [FV_LOW_SHIFT16] = "shift16",
    [FV_LOW_STAT0] = "stat0",
    [FV_LOW_STAT1] = "stat1",
    [FV_LOW_MEAN] = "mean",
    [FV_LOW_RSTD] = "rstd",
    [FV_LOW_GAMMA] = "gamma",
    [FV_LOW_BETA] = "beta",
    [FV_LOW_RUN_MEAN] = "run_mean",
    [FV_LOW_RUN_VAR] = "run_var",
    [FV_LOW_BATCH_MEAN] = "batch_mean",
    [FV_LOW_BATCH_VAR] = "batch_var",
    [FV_LOW_INDEX] = "index",
    [FV_LOW_OPEN] = "open",
    [FV_LOW_DY] = "dy",
    [FV_LOW_DY2] = "dy2",
    [FV_LOW_DX] = "dx",
    [FV_LOW_DZ] = "dz",
    [FV_LOW_DW] = "dw",
    [FV_LOW_DB] = "db",
    [FV_LOW_DGAMMA] = "dgamma",
    [FV_LOW_DBETA] = "dbeta",
    [FV_LOW_DSLOPE] = "dslope",
    [FV_LOW_DS] = "ds",
    [FV_LOW_DMEAN] = "dmean",
    [FV_LOW_COEF] = "coef",
    [FV_LOW_NORM] = "norm",
    [FV_LOW_COSINES] = "cosines",
    [FV_LOW_EMBEDDING] = "embedding",
    [FV_LOW_DCOSINES] = "dcosines",
    [FV_LOW_DEMBEDDING] = "dembedding",
    [FV_LOW_PIXELS] = "pixels",
    [FV_LOW_LABEL] = "label",
    [FV_LOW_LABEL_MIX] = "label_mix",
    [FV_LOW_LAMBDA] = "lambda",
    [FV_LOW_ITEMS] = "items",
    [FV_LOW_HITS] = "hits",
    [FV_LOW_CONTROL_V] = "control",
    [FV_LOW_GRADS] = "grads",
    [FV_LOW_MASTERS] = "masters",
    [FV_LOW_STATES] = "states",
    [FV_LOW_WORKS] = "works",
    [FV_LOW_RUNNINGS] = "runnings",
    [FV_LOW_BATCHSTATS] = "batchstats",
};

/* Rows: R(...) are read, W(...) written whole, U(...) read and written. */
#define R(role) [FV_LOW_##role] = FV_LOW_READ
#define W(role) [FV_LOW_##role] = FV_LOW_WRITE
#define U(role) [FV_LOW_##role] = FV_LOW_UPDATE
/* What the forward statistics of a batch norm become. */
#define NORM                                                                                       \
    R(GAMMA), R(BETA), W(SCALE_V), W(SHIFT_V), W(SCALE16), W(SHIFT16), W(MEAN), W(RSTD),           \
        W(BATCH_MEAN), W(BATCH_VAR)
/* How a gradient arrives, and how it is masked. */
#define INCOMING R(DY), R(DY2), R(OPEN), R(SCALE_V), R(SHIFT_V), R(SLOPE)

const struct fv_low_kind_info fv_low_kinds[FV_LOW_KINDS] = {
    [FV_LOW_INPUT] = {"input", {R(PIXELS), W(Y)}},
    [FV_LOW_CONV] = {"conv", {R(X), R(W), R(SCALE16), R(SHIFT16), W(Y), W(STAT0), W(STAT1)}},
    [FV_LOW_DEPTHWISE] = {"depthwise", {R(X), R(W), R(SCALE_V), R(SHIFT_V), W(Y)}},
    [FV_LOW_BIAS] = {"bias", {R(B), U(Y)}},
    [FV_LOW_BN_STATS] = {"bn-stats", {R(X), NORM}},
    [FV_LOW_BN_FINALIZE] = {"bn-finalize", {R(STAT0), R(STAT1), NORM}},
    [FV_LOW_BN_FOLD] = {"bn-fold",
                        {R(GAMMA), R(BETA), R(RUN_MEAN), R(RUN_VAR), W(SCALE_V), W(SHIFT_V),
                         W(COEF)}},
    [FV_LOW_BN_APPLY] = {"bn-apply",
                         {R(X), R(SCALE_V), R(SHIFT_V), R(R), R(SCALE2), R(SHIFT2), R(SLOPE), W(Y),
                          W(OPEN)}},
    [FV_LOW_ACT] = {"act", {R(X), R(SLOPE), W(Y)}},
    [FV_LOW_ADD] = {"add", {R(X), R(R), W(Y)}},
    [FV_LOW_SCALE] = {"scale", {R(X), R(S), R(R), W(Y)}},
    [FV_LOW_MAXPOOL] = {"maxpool", {R(X), R(SCALE_V), R(SHIFT_V), W(Y), W(INDEX)}},
    [FV_LOW_GAP] = {"gap", {R(X), W(Y)}},
    [FV_LOW_FC] = {"fc", {R(X), R(W), R(B), W(Y)}},
    [FV_LOW_CAST] = {"cast", {R(X), W(Y)}},
    [FV_LOW_DROPOUT] = {"dropout", {R(X), R(CONTROL_V), W(Y)}},
    [FV_LOW_NORMALISE] = {"normalise", {R(X), W(Y), W(NORM)}},
    [FV_LOW_LOSS] = {"loss",
                     {R(Y), R(COSINES), R(EMBEDDING), R(NORM), R(LABEL), R(LABEL_MIX), R(LAMBDA),
                      W(ITEMS), W(HITS), W(DX), W(DCOSINES), W(DEMBEDDING), U(CONTROL_V)}},
    [FV_LOW_BN_REDUCE] = {"bn-reduce",
                          {INCOMING, R(X), R(MEAN), R(RSTD), R(GAMMA), W(DGAMMA), W(DBETA),
                           W(DSLOPE), W(COEF), W(DZ)}},
    [FV_LOW_BN_SUMS] = {"bn-sums",
                        {R(STAT0), R(STAT1), R(MEAN), R(RSTD), R(GAMMA), W(DGAMMA), W(DBETA),
                         W(COEF)}},
    [FV_LOW_BN_BACKWARD] = {"bn-backward", {INCOMING, R(X), R(COEF), W(DX)}},
    [FV_LOW_BN_REDUCE_POOL] = {"bn-reduce-pool",
                               {R(DY), R(DY2), R(INDEX), R(X), R(MEAN), R(RSTD), R(GAMMA),
                                W(DGAMMA), W(DBETA), W(COEF)}},
    [FV_LOW_BN_BACKWARD_POOL] = {"bn-backward-pool",
                                 {R(DY), R(DY2), R(INDEX), R(X), R(COEF), W(DX)}},
    [FV_LOW_ACT_BACKWARD] = {"act-backward",
                             {R(DY), R(DY2), R(Y), R(X), R(SLOPE), W(DX), W(DSLOPE)}},
    [FV_LOW_SCALE_REDUCE] = {"scale-reduce", {R(DY), R(DY2), R(Y), R(X), W(DS), W(DZ)}},
    [FV_LOW_SCALE_BACKWARD] = {"scale-backward", {R(DY), R(S), R(DMEAN), W(DX)}},
    [FV_LOW_MAXPOOL_BACKWARD] = {"maxpool-backward", {R(DY), R(DY2), R(INDEX), W(DX)}},
    [FV_LOW_GAP_BACKWARD] = {"gap-backward", {R(DY), R(R), W(DX)}},
    [FV_LOW_NORMALISE_BACKWARD] = {"normalise-backward", {R(DY), R(Y), R(NORM), W(DX)}},
    [FV_LOW_FC_DGRAD] = {"fc-dgrad", {R(DY), R(W), W(DX)}},
    [FV_LOW_FC_WGRAD] = {"fc-wgrad", {R(X), R(DY), W(DW)}},
    [FV_LOW_BIAS_GRAD] = {"bias-grad", {R(DY), W(DB)}},
    [FV_LOW_CONV_DGRAD] = {"conv-dgrad",
                           {R(DY), R(W), R(R), R(Y), R(X), R(MEAN), R(RSTD), R(GAMMA), R(BETA),
                            R(SCALE_V), R(SHIFT_V), W(DX), W(STAT0), W(STAT1)}},
    [FV_LOW_CONV_WGRAD] = {"conv-wgrad", {R(X), R(DY), R(SCALE16), R(SHIFT16), W(DW)}},
    [FV_LOW_MASK] = {"mask", {U(DW)}},
    [FV_LOW_DEPTHWISE_DGRAD] = {"depthwise-dgrad", {R(DY), R(W), W(DX)}},
    [FV_LOW_DEPTHWISE_WGRAD] = {"depthwise-wgrad", {R(X), R(DY), R(SCALE_V), R(SHIFT_V), W(DW)}},
    [FV_LOW_BUCKET] = {"bucket", {U(GRADS)}},
    [FV_LOW_CHECK] = {"check", {R(GRADS), R(ITEMS), R(HITS), U(CONTROL_V)}},
    [FV_LOW_OPTIM] = {"optim", {R(GRADS), R(CONTROL_V), U(MASTERS), U(STATES), W(WORKS)}},
    [FV_LOW_RUNNING_UPDATE] = {"running-update",
                               {R(BATCHSTATS), R(EMBEDDING), R(LABEL), R(LABEL_MIX), R(LAMBDA),
                                R(CONTROL_V), U(RUNNINGS)}},
};

size_t fv_low_dtype_bytes(enum fv_low_dtype t)
{
    static const size_t bytes[FV_LOW_DTYPES] = {4, 2, 2, 1, 4};
    return bytes[t];
}
