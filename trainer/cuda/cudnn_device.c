/* SPDX-License-Identifier: MIT */
/* What plans are made for. A described device needs no driver: heuristics and pre-compiled engines answer for it as
 * they would on the card, so that a machine without a GPU can prove that every layer has a plan. */
#include "trainer/cuda/cudnn_graph.h"

#include "common/err.h"

#include <cudnn.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "NVIDIA H200, sm_90, 132 SMs" out of the description. */
static int name_device(struct fv_cudnn *c, const char *json)
{
    json_error_t error;
    const char *name;
    int version, processors;
    json_t *root = json_loads(json, 0, &error);
    if (!root)
        return fv_err(FV_ECORRUPT, "the description of a device, line %d: %s", error.line,
                      error.text);
    int rc = json_unpack_ex(root, &error, 0, "{s:s, s:i, s:i}", "deviceName", &name, "deviceVer",
                            &version, "multiProcessorCount", &processors);
    if (rc < 0)
        rc = fv_err(FV_ECORRUPT, "the description of a device: %s", error.text);
    else
        snprintf(c->device, sizeof c->device, "%.80s, sm_%d, %d SMs", name, version / 10,
                 processors);
    json_decref(root);
    return rc;
}

static int describe(struct fv_cudnn *c, const char *json)
{
    FV_TRY(name_device(c, json));
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &c->description) !=
        CUDNN_STATUS_SUCCESS)
        return fv_err(FV_EUNSUPPORTED,
                      "cuDNN %zu takes no descriptions of devices: 9.8 and later do", c->version);
    FV_TRY(fv__cudnn_check(
        (int)cudnnBackendSetAttribute(c->description, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                                      CUDNN_TYPE_CHAR, (int64_t)strlen(json), json),
        "the description of a device"));
    return fv__cudnn_check((int)cudnnBackendFinalize(c->description),
                           "the description of a device");
}

int fv_cudnn_describe(struct fv_cudnn **out, const char *json)
{
    struct fv_cudnn *c = *out = calloc(1, sizeof *c);
    if (!c)
        return fv_err(FV_ENOMEM, "cuDNN: out of memory");
    c->version = cudnnGetVersion();
    int rc = describe(c, json);
    if (rc < 0)
        fv_cudnn_close(out);
    return rc;
}

int fv_cudnn_open(struct fv_cudnn **out, const char *device)
{
    cudnnHandle_t handle = NULL;
    struct fv_cudnn *c = *out = calloc(1, sizeof *c);
    if (!c)
        return fv_err(FV_ENOMEM, "cuDNN: out of memory");
    c->version = cudnnGetVersion();
    snprintf(c->device, sizeof c->device, "%s", device);
    int rc = fv__cudnn_check((int)cudnnCreate(&handle), "opening the device");
    c->handle = handle;
    if (rc < 0)
        fv_cudnn_close(out);
    return rc;
}

void fv_cudnn_close(struct fv_cudnn **c)
{
    if (!c || !*c)
        return;
    if ((*c)->description)
        cudnnBackendDestroyDescriptor((*c)->description);
    if ((*c)->handle)
        cudnnDestroy((*c)->handle);
    free(*c);
    *c = NULL;
}
