/* SPDX-License-Identifier: MIT */
/* Is this file a sound LMDB environment? LMDB trusts what it maps: a file cut short ends in SIGBUS, and a
 * damaged page in an assertion or a stray read. So the page structure is proved before LMDB sees the file.
 */
#ifndef FV_STORE_PAGES_H
#define FV_STORE_PAGES_H

#include <stddef.h>
#include <stdint.h>

/* Walks the tree of the main table that LMDB would open: every page, node and value lies within the file,
 * and there is nothing in it that fv does not write (nested tables, duplicates). Reads the pages of the tree,
 * not those of large values. FV_ECORRUPT or FV_EVERSION; the sentence does not name the file. */
int fv__pages_check(const uint8_t *file, size_t n);
/* The same, and of the list of free pages, which LMDB takes pages from when it writes: that it is sound, and that
 * nothing uses a page that it lists. */
int fv__pages_check_writable(const uint8_t *file, size_t n);
/* check: one of the two above, of n bytes of an open file, which the sentence names. */
int fv__pages_check_file(const char *path, int fd, size_t n,
                         int (*check)(const uint8_t *file, size_t n));

#endif
