/* SPDX-License-Identifier: MIT */
/* Which image a list means by a name. Lists write names as their authors' folders had them; the data set has
 * them as its own did. So a name is, in this order,
 *
 *   1. the image of that very name,
 *   2. the one whose name is the same without a photo's suffix ("a/a_0001" means a/a_0001.jpg),
 *   3. the same without the first folder of either side ("lfw/a/a_0001.jpg" means a/a_0001.png, "a_0001.jpg"
 *      means a/a_0001.jpg),
 *
 * and never one of several: where two images would do, the list has to say more.
 */
#ifndef FV_STORE_PAIR_NAMES_H
#define FV_STORE_PAIR_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct fv_store;
struct fv_name_list;

struct fv_pair_names {
    struct fv_store *store;          /* whose names; or NULL: */
    const struct fv_name_list *list; /* these */
    struct fv_name_key *key; /* of shortened names, by hash; made when the first one is asked for */
    size_t keys;
};

void fv__pair_names_open(struct fv_pair_names *n, struct fv_store *s);
void fv__pair_names_open_list(struct fv_pair_names *n, const struct fv_name_list *list);
void fv__pair_names_close(struct fv_pair_names *n);
/* FV_ENOTFOUND names what was looked for, or the images between which it does not choose. */
int fv__pair_names_find(struct fv_pair_names *n, const char *name, uint32_t *image);

#endif
