/* SPDX-License-Identifier: MIT */
/* How many photos: files of faces share their headers and nothing else, and 128 of them show what there is to see
 * (twice as many: 0.03 % less). Packing decodes these once more, so small data sets use one photo in 32; those of
 * less than 64 photos would gain less than the dictionary takes.
 */
#include "prep/pack/pack_dict.h"

#include "common/err.h"
#include "store/codec.h"

#include <string.h>

enum { SAMPLES_MAX = 128, SAMPLES_MIN = 16, PHOTOS_A_SAMPLE = 32, PHOTOS_MIN = 64 };

enum choice { AUTO, YES, NO };
const char *const fv__dict_choices[] = {[AUTO] = "auto", [YES] = "yes", [NO] = "no", NULL};

int fv__pack_wants_dict(const struct fv_pack_settings *s, size_t photos)
{
    const struct fv_codec *codec = fv__codec_by_name(s->codec);
    if (!codec)
        return FV_ENOTFOUND;
    if (strcmp(s->dict, fv__dict_choices[AUTO]) == 0)
        return codec->shares_headers && photos >= PHOTOS_MIN;
    return strcmp(s->dict, fv__dict_choices[YES]) == 0;
}

size_t fv__pack_dict_samples(size_t photos)
{
    size_t n = photos / PHOTOS_A_SAMPLE;
    n = n < SAMPLES_MIN ? SAMPLES_MIN : n > SAMPLES_MAX ? SAMPLES_MAX : n;
    return n < photos ? n : photos;
}

static int take_sample(void *ctx, size_t at, const struct fv_pipe_item *item)
{
    (void)at;
    return item->refused ? 0 : fv_dict_samples_add(ctx, item->record, item->n);
}

int fv__pack_train_dict(struct fv_dict **out, const struct fv_pipe *pipe)
{
    const struct fv_listed_photo *photo[SAMPLES_MAX];
    struct fv_dict_samples *samples;
    struct fv_pipe sampling = *pipe;

    *out = NULL;
    sampling.first = 0;
    sampling.photos = fv__pack_dict_samples(pipe->photos);
    for (size_t i = 0; i < sampling.photos; i++)
        photo[i] = pipe->photo[i * pipe->photos / sampling.photos];
    FV_TRY(fv_dict_samples_open(&samples));
    sampling.photo = photo;
    sampling.sink = take_sample;
    sampling.ctx = samples;
    int rc = sampling.photos ? fv__pipe_run(&sampling) : 0;
    if (rc == 0)
        rc = fv_dict_train(out, samples, pipe->store->level);
    fv_dict_samples_close(&samples);
    return rc < 0 ? rc : 0;
}
