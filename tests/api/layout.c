/* SPDX-License-Identifier: MIT */
/* Prints the layout of every struct that libfv.so shares with other programs: part of its ABI. */
#include "augment/augment.h"

#include <stdio.h>

#define STRUCT(s) printf("struct %s %zu\n", #s, sizeof(struct s))
#define MEMBER(s, f)                                                                               \
    printf("struct %s %s %zu %zu\n", #s, #f, offsetof(struct s, f), sizeof((struct s *)0)->f)

static void batches(void)
{
    STRUCT(fv_batch);
    MEMBER(fv_batch, ticket);
    MEMBER(fv_batch, epoch);
    MEMBER(fv_batch, step);
    MEMBER(fv_batch, n);
    MEMBER(fv_batch, capacity);
    MEMBER(fv_batch, height);
    MEMBER(fv_batch, width);
    MEMBER(fv_batch, pixels);
    MEMBER(fv_batch, label);
    MEMBER(fv_batch, label_mix);
    MEMBER(fv_batch, lambda);
    MEMBER(fv_batch, image);
    STRUCT(fv_batch_source);
    MEMBER(fv_batch_source, ctx);
    MEMBER(fv_batch_source, next);
    MEMBER(fv_batch_source, release);
    MEMBER(fv_batch_source, seek);
    MEMBER(fv_batch_source, batches_per_epoch);
    MEMBER(fv_batch_source, images_per_epoch);
    MEMBER(fv_batch_source, batch);
    MEMBER(fv_batch_source, height);
    MEMBER(fv_batch_source, width);
    MEMBER(fv_batch_source, classes);
    MEMBER(fv_batch_source, waited_ns);
    MEMBER(fv_batch_source, mixes);
}

static void what_the_caller_fills(void)
{
    STRUCT(fv_allocator);
    MEMBER(fv_allocator, ctx);
    MEMBER(fv_allocator, alloc);
    MEMBER(fv_allocator, free);
    STRUCT(fv_report);
    MEMBER(fv_report, ctx);
    MEMBER(fv_report, message);
    MEMBER(fv_report, progress);
}

static void the_data_set(void)
{
    STRUCT(fv_store_info);
    MEMBER(fv_store_info, version);
    MEMBER(fv_store_info, parts);
    MEMBER(fv_store_info, height);
    MEMBER(fv_store_info, width);
    MEMBER(fv_store_info, codec);
    MEMBER(fv_store_info, packed_with);
    MEMBER(fv_store_info, images);
    MEMBER(fv_store_info, labels);
    MEMBER(fv_store_info, train_labels);
    MEMBER(fv_store_info, split_images);
    MEMBER(fv_store_info, record_bytes);
    MEMBER(fv_store_info, file_bytes);
    MEMBER(fv_store_info, raw_bytes);
    MEMBER(fv_store_info, dict_bytes);
    MEMBER(fv_store_info, digest);
    STRUCT(fv_store_image);
    MEMBER(fv_store_image, label);
    MEMBER(fv_store_image, split);
    MEMBER(fv_store_image, bytes);
    MEMBER(fv_store_image, content);
    MEMBER(fv_store_image, name);
    STRUCT(fv_store_label);
    MEMBER(fv_store_label, name);
    MEMBER(fv_store_label, first);
    MEMBER(fv_store_label, count);
    MEMBER(fv_store_label, holdout);
}

int main(void)
{
    batches();
    what_the_caller_fills();
    the_data_set();
    printf("decode pad %d\n", FV_DECODE_PAD);
    for (int code = -1; code >= FV_EUSAGE; code--)
        printf("error %d %s\n", code, fv_err_name(code));
    return 0;
}
