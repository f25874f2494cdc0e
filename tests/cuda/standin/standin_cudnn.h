/* SPDX-License-Identifier: MIT */
/* cuDNN's backend API, played on the host: what its C functions are asked for is kept as it was said, judged by the
 * rules of NVIDIA's reference, and computed from the descriptors' own dims, strides and types. So what a program does
 * with the library can be seen without a device, but for how fast it is and for what the library itself gets wrong.
 *
 * A call that breaks a rule ends the program with a sentence (standin_fail). A status other than success is for what
 * a caller may rightly ask and be refused: an engine or a knob that there is not, a graph that no engine has.
 *
 * Sources of the rules: the comments of cudnn_graph.h and the cuDNN 9 reference, "Backend Descriptor Types"; of the
 * fused graphs, "Specialized Pre-Compiled Engines" of the developer guide and cudnn-frontend's samples.
 */
#ifndef FV_TESTS_STANDIN_CUDNN_H
#define FV_TESTS_STANDIN_CUDNN_H

#include <cudnn.h>
#include <stdint.h>

/* What an engine of the stand-in is. */
enum { STANDIN_KNOBS = 2, STANDIN_NOTES = 4 };
enum standin_fault {
    STANDIN_SOUND,
    STANDIN_NO_PLAN, /* its plan does not finalize */
    STANDIN_NO_RUN,  /* its plan does, and Execute fails */
    STANDIN_WRONG    /* computes rubbish: nobody should have taken it */
};
struct standin_engine {
    int64_t index;
    unsigned types, fused; /* of standin_type(): of a convolution alone, and of the fused graphs */
    int numerical[STANDIN_NOTES], behaviour[STANDIN_NOTES], numericals, behaviours;
    int knobs;
    struct {
        int type;
        int64_t min, max;
    } knob[STANDIN_KNOBS];
    int64_t workspace; /* bytes, times 1 + its first knob's value */
    double us;         /* a run's duration, divided by 1 + its first knob's value */
    enum standin_fault fault;
    int mantissa_bits; /* of the inputs of a convolution, which it rounds first; 0: all */
};
enum standin_pattern {
    STANDIN_SINGLE_CONV,
    STANDIN_CONV_STATS,
    STANDIN_BN_CONV_STATS,
    STANDIN_BN_WGRAD,
    STANDIN_DGRAD_BN,
    STANDIN_PATTERNS,
    STANDIN_NO_PATTERN = STANDIN_PATTERNS
};
unsigned standin_type(cudnnDataType_t t); /* a bit: float 1, bfloat16 2, half 4; 0: neither */

/* What the heuristics say, first the best: an engine and its first knobs' values. */
struct standin_config {
    int64_t engine, knob[STANDIN_KNOBS];
};

extern struct standin_cudnn {
    size_t version;
    const struct standin_engine *engine;
    int engines;
    const struct standin_config *config, *fallback; /* of mode A and of mode FALLBACK */
    int configs, fallbacks;
    int wide; /* values pass from operation to operation before they are rounded for memory */
    double fused_slower;       /* the fused graphs take so many times as long; 0: once */
    int create;                /* what cudnnCreate answers */
    long of[STANDIN_PATTERNS]; /* executions done, by graph, */
    long run;                  /* and in all, of which */
    long rubbish;              /* by an engine that was not to be taken */
    long live;                 /* descriptors and handles that there are */
} standin_cudnn;
/* As at the program's start: engines of every kind. Before sm_80 (standin.sm) there are neither bf16 nor fused graphs;
 * later the fused ones are for fp16 alone, but for engines that are compiled at run time: as of the library itself. */
void standin_cudnn_reset(void);
/* The same, with the fused graphs for every type. */
void standin_cudnn_fuse_all(void);

#endif
