/* SPDX-License-Identifier: MIT */
/* Verification protocols by name: which list has which pairs, in which folds, and which figures its publications tell.
 * A list with other pairs than a protocol's own is another protocol, and refused. */
#ifndef FV_TRAINER_PROTOCOL_H
#define FV_TRAINER_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

struct fv_protocol {
    const char *name, *help;
    const char *form;         /* of its own pair list (store/pair_readers.c); NULL: templates */
    size_t genuine, impostor; /* pairs; 0: any number */
    uint32_t folds;           /* 0: none */
    const char *rates;        /* false match rates, for --fpr */
    const char *rule;         /* of fv_tpr_rules */
};
extern const struct fv_protocol fv_protocols[]; /* ends with name == NULL */

/* FV_EUSAGE lists the valid names. */
int fv_protocol_find(const struct fv_protocol **out, const char *name);
/* Whether a list is its own: FV_EINVAL says what differs. form: of the list; "list" and "csv" may be anybody's; NULL:
 * templates, or rows without a list. folds: 0: the list has none, and they are made. */
int fv_protocol_check(const struct fv_protocol *p, const char *form, size_t genuine,
                      size_t impostor, uint32_t folds);

#endif
