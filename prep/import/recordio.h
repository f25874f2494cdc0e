/* SPDX-License-Identifier: MIT */
/* MXNet's RecordIO: the container of the large face sets.
 *
 *   file    := record ...
 *   record  := u32 magic | u32 cflag << 29 | length | bytes | zeros up to a multiple of 4   (little-endian)
 *   payload := u32 flag | f32 label | u64 id | u64 id2 | f32 label ... (flag of them) | image
 *
 * Where the magic number stands in a payload at a multiple of 4, it is cut out and the payload goes on in
 * the next record: cflag is 0 for a whole payload, 1, 2, 3 for a first, middle and last part. So the magic
 * number at a multiple of 4 always begins a record.
 */
#ifndef FV_PREP_RECORDIO_H
#define FV_PREP_RECORDIO_H

#include <stddef.h>
#include <stdint.h>

#define FV_REC_MAGIC 0xced7230au
#define FV_REC_MAX_BYTES (256u << 20) /* of a payload */
enum { FV_REC_HEADER = 8, FV_REC_PAYLOAD_HEADER = 24 };

/* A file, or bytes in memory. Reading moves nothing: any number of threads may. */
struct fv_rec_source {
    int fd;
    const uint8_t *memory; /* not NULL: instead of fd */
    uint64_t bytes;
};

struct fv_rec {
    uint64_t end;    /* where the next record begins */
    uint64_t bytes;  /* of the payload */
    const char *why; /* it is damaged; a sentence to follow "the record at byte N" */
};

/* The payload that begins at `at`: its first `want` bytes, or all if it has fewer, go to *buf, which grows by
 * realloc (*room is its size). 0; 1 damaged, with rec->why; FV_EIO, FV_ENOMEM. */
int fv__rec_read(const struct fv_rec_source *s, uint64_t at, size_t want, uint8_t **buf,
                 size_t *room, struct fv_rec *rec);

/* Where the next record begins at or after `at`; s->bytes when there is none. FV_EIO. */
int fv__rec_resync(const struct fv_rec_source *s, uint64_t at, uint64_t *found);

struct fv_rec_image {
    uint32_t flag;
    float label; /* the first one */
    uint64_t id;
    size_t body; /* where the image begins; as long as the payload when there is none */
};
enum { FV_REC_LABEL_BYTES = FV_REC_PAYLOAD_HEADER + 4 }; /* that must be there to know the label */

/* `have` bytes of a payload of `bytes`. 0 when they are no image record. */
int fv__rec_parse(struct fv_rec_image *out, const uint8_t *p, size_t have, uint64_t bytes);

#endif
