/* SPDX-License-Identifier: MIT */
/* A device that is the host: the interface of device_cuda.h over ordinary memory, for running the backend's own logic
 * where there is no GPU. Kernels are the emulator's, convolutions and matrix products are loops.
 *
 * It is as late as a device may be: an upload happens when something waits for it and not before, and reads the host's
 * memory then; a download reaches the host's memory when something waits for it. Memory begins as NaNs. A captured
 * graph does what was asked for with the arguments of that moment; what cannot be captured ends the program. */
#ifndef FV_TESTS_DEVICE_HOST_H
#define FV_TESTS_DEVICE_HOST_H

#include <stddef.h>

struct fv_device_host {
    size_t limit;           /* bytes of memory; 0: plenty */
    size_t workspace;       /* bytes that a convolution takes for each image of its batch */
    size_t short_workspace; /* bytes more for batches of fewer than 4 images */
    int fused;              /* the fused graphs of 16-bit types can be had */
    int stuck;              /* no event ever comes, until sums over ranks are given up */
    int sums;               /* over ranks, so far */
    int graph_launches;     /* so far */
    int no_device;          /* opening fails */
    size_t allocated;       /* bytes at the moment, of both kinds, and */
    size_t on_device;       /* of the device's own */
    int convs;              /* runs so far */
    int fused_convs;        /* of them with a graph other than the plain one */
};
extern struct fv_device_host fv_device_host;

#endif
