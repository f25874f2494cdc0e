/* SPDX-License-Identifier: MIT */
#include "tools/eval/gallery_output.h"

#include "common/err.h"
#include "common/fs.h"

#include <stdlib.h>

static int write_answer(FILE *f, const struct gallery_hunt *h, size_t i)
{
    const struct fv_answer *a = &h->answer[HUNT_PROBES][i];
    const char *text[] = {h->set[HUNT_PROBES].name[i], gallery_hunt_text(h, a),
                          h->identity[a->best]};
    char *csv;

    for (int k = 0; k < 3; k++) {
        FV_TRY(fv_rows_csv_text(&csv, text[k]));
        fprintf(f, "%s,", csv);
        free(csv);
    }
    fprintf(f, "%.9g,", (double)a->score);
    if (a->truth < FV_PROBE_STRANGER)
        fprintf(f, "%u", 1 + a->better);
    fputc('\n', f);
    return FV_OK;
}

int gallery_output_answers(const struct gallery_hunt *h)
{
    struct fv_file f;
    int rc = FV_OK;

    FV_TRY(fv_file_create(&f, h->s->answers));
    fputs("name,answer,nearest,score,rank\n", f.f);
    for (size_t i = 0; i < h->set[HUNT_PROBES].n && rc >= 0; i++)
        rc = write_answer(f.f, h, i);
    return fv_file_end(&f, rc);
}

int gallery_output_submission(const struct gallery_hunt *h)
{
    const size_t n = h->set[HUNT_PROBES].n;
    const char **identity = malloc((n + 1) * sizeof *identity);

    if (!identity)
        return fv_err(FV_ENOMEM, "out of memory for %zu answers", n);
    for (size_t i = 0; i < n; i++)
        identity[i] = gallery_hunt_text(h, &h->answer[HUNT_PROBES][i]);
    const struct fv_submission s = {
        .n = n, .first = h->set[HUNT_PROBES].name, .identity = identity};
    const int rc = fv_submission_write(&s, h->s->layout, h->s->output);
    free(identity);
    return rc;
}
