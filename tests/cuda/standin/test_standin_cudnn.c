/* SPDX-License-Identifier: MIT */
/* The stand-in for cuDNN ends a program that breaks a rule of the interface, with the sentence for that rule: each is
 * broken once, in a process of its own. */
#include "tests/cuda/standin/cudnn_scene.h"
#include "tests/cuda/standin/standin_cudnn.h"
#include "tests/cuda/standin/standin_rule.h"

#include "tests/cmocka_all.h"

#include <string.h>

static void (*planted)(void);

static void strange_kind(void)
{
    scene_make(OF(MATMUL));
}
static void no_place(void)
{
    cudnnBackendCreateDescriptor(OF(TENSOR), NULL);
}
static void no_descriptor(void)
{
    static int64_t something[8];
    scene_finish(something);
}
static void strange_name(void)
{
    scene_set(scene_make(OF(TENSOR)), CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2,
              scene.dilation);
}
static void wrong_type(void)
{
    const int one = 1;
    scene_set(scene_make(OF(TENSOR)), CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT32, 1, &one);
}
static void wrong_count(void)
{
    scene_set(scene_make(OF(TENSOR)), CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 2,
              scene.stride);
}
static void no_values(void)
{
    scene_set(scene_make(OF(TENSOR)), CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, NULL);
}
static void set_late(void)
{
    scene_set(scene_tensor(X), CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, scene.stride);
}
static void set_an_answer(void)
{
    scene_set(scene_make(OF(EXECUTION_PLAN)), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
              CUDNN_TYPE_INT64, 1, scene.stride);
}
static void finalized_twice(void)
{
    scene_finish(scene_tensor(X));
}
static void without_id(void)
{
    scene_finish(scene_make(OF(TENSOR)));
}
static void not_finalized(void)
{
    scene_refer(scene_make(OP(POINTWISE)), CUDNN_ATTR_OPERATION_POINTWISE_XDESC,
                scene_make(OF(TENSOR)));
}
static void of_another_kind(void)
{
    scene_refer(scene_make(OP(POINTWISE)), CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR,
                scene_tensor(X));
}
static void no_operation(void)
{
    desc t = scene_tensor(X);
    scene_graph_of(scene_opened(), 1, &t);
}
static void destroyed(void)
{
    desc t = scene_tensor(X);
    cudnnBackendDestroyDescriptor(t);
    cudnnBackendDestroyDescriptor(t);
}
static void hollow(void)
{
    cudnnHandle_t h = scene_opened();
    desc g = scene_graph(h), plan = scene_plan(h, g, 30);
    scene_place();
    cudnnBackendDestroyDescriptor(g);
    scene_execute(h, plan);
}
static void dead_handle(void)
{
    cudnnHandle_t h = scene_opened();
    const long before = standin_cudnn.live;
    cudnnDestroy(h);
    assert_int_equal(standin_cudnn.live, before - 1);
    static int64_t none[4];
    cudnnSetStream((cudnnHandle_t)(void *)none, NULL);
}
static int64_t got[4];
static int64_t count;
static void get_before(void)
{
    cudnnBackendGetAttribute(scene_make(OF(ENGINE)), CUDNN_ATTR_ENGINE_GLOBAL_INDEX,
                             CUDNN_TYPE_INT64, 1, &count, got);
}
static void get_unasked(void)
{
    cudnnBackendGetAttribute(scene_tensor(X), CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1,
                             &count, got);
}
static void get_wrong_type(void)
{
    cudnnHandle_t h = scene_opened();
    cudnnBackendGetAttribute(scene_plan(h, scene_graph(h), 30),
                             CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT32, 1, &count,
                             got);
}
static void get_into_used(void)
{
    const cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    desc heuristics = scene_make(OF(ENGINEHEUR)), into = scene_tensor(X);
    scene_refer(heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, scene_graph(scene_opened()));
    scene_set(heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    cudnnBackendGetAttribute(scene_finish(heuristics), CUDNN_ATTR_ENGINEHEUR_RESULTS,
                             CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &into);
}

static void three_dims(void)
{
    scene.t[X].dims = 3;
}
static void strange_data(void)
{
    scene.t[X].type = CUDNN_DATA_INT8;
}
static void odd_alignment(void)
{
    scene.t[X].align = 12;
}
static void no_pixels(void)
{
    scene.t[X].dim[2] = 0;
}
static void overlapping(void)
{
    scene.t[X].stride[3] = 4;
}
static void three_spatial(void)
{
    scene.spatial = 3;
}
static void conv_in_half(void)
{
    scene.conv_type = CUDNN_DATA_HALF;
}
static void one_stride(void)
{
    scene.sizes = 1;
}
static void no_stride(void)
{
    scene.stride[0] = 0;
}
static void other_channels(void)
{
    scene.t[W] = scene_nhwc(11, 16, 24, 3, 3, 0);
}
static void other_size(void)
{
    scene.post[1] = 0;
}
static void strange_mode(void)
{
    scene.add = CUDNN_POINTWISE_TANH_FWD;
}
static void pointwise_in_half(void)
{
    scene.pw_type = CUDNN_DATA_HALF;
}
static void no_second(void)
{
    scene.add_b = -1;
}
static void one_too_many(void)
{
    scene.add = CUDNN_POINTWISE_RELU_FWD;
}
static void no_broadcast(void)
{
    scene.t[SHIFT] = scene_nhwc(16, 1, 4, 1, 1, 0);
}
static void sums_of_other_size(void)
{
    scene.t[SUM] = scene_nhwc(13, 1, 8, 1, 1, 0);
}
static void sums_in_half(void)
{
    scene.t[SUM].type = CUDNN_DATA_HALF;
}
static void stats_in_half(void)
{
    scene.stats_type = CUDNN_DATA_HALF;
}
static void bn_in_half(void)
{
    scene_batch_norm(X, SHIFT, CUDNN_DATA_HALF);
}
static void bn_of_two_shapes(void)
{
    scene_batch_norm(Y, SHIFT, CUDNN_DATA_FLOAT);
}
static void same_id(void)
{
    scene.t[SHIFT].id = scene.t[X].id;
}
static void made_twice(void)
{
    scene.scale_y = SHIFTED;
    scene.t[SCALED].is_virtual = false;
}
static void not_made(void)
{
    scene.t[SCALE].is_virtual = true;
}
static void not_used(void)
{
    scene.t[SUM].is_virtual = true;
}
static void in_a_ring(void)
{
    desc ops[2] = {scene_pointwise(CUDNN_POINTWISE_RELU_FWD, SCALED, -1, SHIFTED),
                   scene_pointwise(CUDNN_POINTWISE_RELU_FWD, SHIFTED, -1, SCALED)};
    scene_graph_of(scene_opened(), 2, ops);
}

static void pack_of_fewer_pointers(void)
{
    desc p = scene_make(OF(VARIANT_PACK));
    void *none = NULL;
    scene_set(p, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 2, scene.pack_id);
    scene_set(p, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 1, &none);
    scene_set(p, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &none);
    scene_finish(p);
}
static void pack_twice(void)
{
    scene.pack_id[W] = scene.pack_id[X];
}
static void pack_of_unknown(void)
{
    scene.pack_id[W] = 99;
}
static void pack_of_virtual(void)
{
    scene.pack = SCALED + 1;
}
static void pack_without_one(void)
{
    scene.pack = SHIFT;
}
static void too_short(void)
{
    scene.t[Y].dim[0] = 1;
    scene_place();
    scene.t[Y].dim[0] = 2;
    scene.t[Y].type = CUDNN_DATA_HALF;
    scene.at[Y] += 16 * 6 * 6 * 2; /* the second half of what is for one image in float */
}
static void of_the_host(void)
{
    static char memory[1 << 16];
    scene_place();
    scene.at[X] = memory + (16 - (uintptr_t)memory % 16);
}
static void freed(void)
{
    cudnnHandle_t h = scene_opened();
    desc plan = scene_plan(h, scene_graph(h), 30);
    scene_place();
    cudaFree(scene.at[X]);
    scene_execute(h, plan);
}
static void misaligned(void)
{
    scene_place();
    scene.at[SCALE] += 8;
}
static void little_workspace(void)
{
    scene.workspace = 69999;
}
static void no_workspace(void)
{
    scene_place();
    scene.at[TENSORS] = NULL;
}
static void in_the_workspace(void)
{
    scene_place();
    scene.at[X] = scene.at[TENSORS] + 256;
}
static void in_place(void)
{
    scene_place();
    scene.at[SQUARES] = scene.at[SUM];
}
static void not_a_plan(void)
{
    scene_place();
    scene_execute(scene_opened(), scene_tensor(X));
}
static void other_handle(void)
{
    cudnnHandle_t h = scene_opened();
    desc plan = scene_plan(h, scene_graph(h), 30);
    scene_place();
    scene_execute(scene_opened(), plan);
}

static const struct {
    void (*plant)(void);
    const char *sentence;
} rules[] = {
    {strange_kind, "has no descriptor of kind 18"},
    {no_place, "no place for the descriptor"},
    {no_descriptor, "is no descriptor"},
    {strange_name, "a descriptor of kind 'tensor' has no attribute 102"},
    {wrong_type, "TENSOR_UNIQUE_ID is of attribute type 3, not 23"},
    {wrong_count, "TENSOR_UNIQUE_ID has 1 to 1 elements, not 2"},
    {no_values, "TENSOR_UNIQUE_ID: no array of elements"},
    {set_late, "TENSOR_UNIQUE_ID is set after its tensor was finalized"},
    {set_an_answer, "EXECUTION_PLAN_WORKSPACE_SIZE cannot be set"},
    {finalized_twice, "a tensor is finalized twice"},
    {without_id, "a tensor is finalized without TENSOR_DATA_TYPE"},
    {not_finalized, "is given a tensor that is not finalized"},
    {of_another_kind, "PW_DESCRIPTOR is given a descriptor of kind 'tensor'"},
    {no_operation, "OPERATIONGRAPH_OPS is given a descriptor of kind 'tensor'"},
    {destroyed, "DestroyDescriptor: the descriptor (tensor) was destroyed"},
    {hollow, "Execute: the descriptor (operation graph) was destroyed"},
    {dead_handle, "is no handle"},
    {get_before, "ENGINE_GLOBAL_INDEX is asked of a engine that is not finalized"},
    {get_unasked, "is not asked for TENSOR_UNIQUE_ID"},
    {get_wrong_type, "WORKSPACE_SIZE is asked for as attribute type 23"},
    {get_into_used, "ENGINEHEUR_RESULTS is written to new descriptors of its kind"},
    {three_dims, "dims and strides are four each"},
    {strange_data, "a tensor of data type 3"},
    {odd_alignment, "tensor 10: an alignment of 12 bytes"},
    {no_pixels, "tensor 10: dims and strides are positive"},
    {overlapping, "tensor 10: its strides make elements overlap"},
    {three_spatial, "other than two spatial dims"},
    {conv_in_half, "a convolution computes in float"},
    {one_stride, "as many elements as there are spatial dims"},
    {no_stride, "attribute 103 is at least 1"},
    {other_channels, "channels do not fit: x 2 images of 8, w 16 of 24, y 2 of 16"},
    {other_size, "a convolution's output is 5 in spatial dim 1 and y has 6"},
    {strange_mode, "has no pointwise mode 101"},
    {pointwise_in_half, "a pointwise operation computes in float"},
    {no_second, "of mode 0 is finalized without its tensor 752"},
    {one_too_many, "of mode 100 has 2 tensors and not 3"},
    {no_broadcast, "tensor 16 has 4 in dim 1, where its output has 8"},
    {sums_of_other_size, "attribute 773 is a tensor of 1 x 16 x 1 x 1"},
    {sums_in_half, "attribute 773 is a tensor of float"},
    {stats_in_half, "statistics are sums and sums of squares, in float"},
    {bn_in_half, "the backward of a batch norm computes in float"},
    {bn_of_two_shapes, "x and dy are of one shape"},
    {same_id, "two tensors of a graph have the id 10"},
    {made_twice, "tensor 18 is made by two operations"},
    {not_made, "virtual tensor 15 is not made"},
    {not_used, "virtual tensor 13 is not used"},
    {in_a_ring, "operations wait for each other"},
    {pack_of_fewer_pointers, "as many pointers as ids"},
    {pack_twice, "a variant pack has the id 10 twice"},
    {pack_of_unknown, "the variant pack has tensor 99, which the graph has not"},
    {pack_of_virtual, "the variant pack has tensor 17, which the graph has as a virtual one"},
    {pack_without_one, "the variant pack has no address of tensor 16"},
    {too_short, "tensor 12 reaches over 2304 bytes, of which 1152 are the device's"},
    {of_the_host, "tensor 10 reaches over 1152 bytes, of which 0 are the device's"},
    {freed, "tensor 10 reaches over 1152 bytes, of which 0 are the device's"},
    {misaligned, "not aligned to 16 bytes"},
    {little_workspace, "a workspace of 69999 bytes of the device's, and the plan wants 70000"},
    {no_workspace, "a workspace of 0 bytes of the device's, and the plan wants 70000"},
    {in_the_workspace, "tensor 10 lies in the workspace"},
    {in_place, "tensor 13 is written where tensor 14 lies"},
    {not_a_plan, "Execute wants a finalized plan and a finalized variant pack"},
    {other_handle, "the plan was made for another handle"},
};

static void broken(void)
{
    planted();
    scene_play();
}

static void test_rules(void **state)
{
    scene_play(); /* no rule is broken by what is not changed */
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        scene_begin(state);
        planted = rules[i].plant;
        expect_rule(broken, rules[i].sentence);
    }
}

/* Refusals, which are no breach */
static void test_refusals(void **state)
{
    (void)state;
    char words[200];
    cudnnHandle_t h = scene_opened();
    int64_t index = 4000;
    desc g = scene_graph(h), engine = scene_make(OF(ENGINE));
    scene_refer(engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, g);
    scene_set(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &index);
    assert_int_equal(cudnnBackendFinalize(engine), CUDNN_STATUS_BAD_PARAM);
    cudnnGetLastErrorString(words, sizeof words);
    assert_string_equal(words, "there is no engine 4000");
    cudnnGetLastErrorString(words, sizeof words);
    assert_string_equal(words, "");
    index = 20; /* of convolutions alone */
    scene_set(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &index);
    assert_int_equal(cudnnBackendFinalize(engine), CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN);
    cudnnDestroy(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_rules, scene_begin),
        cmocka_unit_test_setup(test_refusals, scene_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
