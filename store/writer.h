/* SPDX-License-Identifier: MIT */
/* The state of a writer, for the files that share it: writer.c puts records, writer_tables.c finishes,
 * writer_resume.c takes over what an earlier run left.
 */
#ifndef FV_STORE_WRITER_H
#define FV_STORE_WRITER_H

#include "store/append_file.h"
#include "store/buffer.h"
#include "store/name_set.h"
#include "store/store.h"

#include <stddef.h>
#include <stdint.h>

struct fv_store_writer {
    char *path;
    struct fv_append_file *file;
    int broken; /* the code of a failure after which nothing more is accepted */
    int width, height, codec_id;
    size_t block_bytes;
    struct fv_buffer settings, dict; /* tables as they are on disk */
    struct fv_buffer block, index, labels;
    struct fv_name_table image_name, label_name;
    uint32_t blocks;
    uint64_t images, label_count, record_bytes, label_first;
    size_t label_at; /* of the current label in `labels` */
    int holdout;
    uint64_t
        kept; /* images that an earlier run committed: their entries stand in the index already */
    int complete;     /* that run committed everything: nothing is written any more */
    uint64_t in_file; /* images whose blocks were put */
    int (*on_commit)(void *ctx, uint64_t images);
    void *on_commit_ctx;
};

/* How large blocks and transactions are. The bytes of the file are a function of them: for tests, before anything
 * is put. */
void fv__store_set_grain(struct fv_store_writer *w, size_t block_bytes, size_t commit_bytes);

/* Everything but the file. */
int fv__writer_make(struct fv_store_writer **out, const char *path,
                    const struct fv_store_settings *s);
int fv__writer_usable(const struct fv_store_writer *w);
int fv__writer_flush_block(struct fv_store_writer *w);
int fv__writer_end_label(struct fv_store_writer *w);
int fv__writer_before_commit(void *writer);
struct fv_span fv__writer_key(const char *name);
struct fv_span fv__writer_block_key(uint8_t key[5], uint32_t block);

#endif
