/* SPDX-License-Identifier: MIT */
/* A data set's zstd dictionary: what its records have in common, stored once. It is digested once and shared by all
 * threads, which only read it. */
#ifndef FV_STORE_DICT_H
#define FV_STORE_DICT_H

#include "store/record.h"

#include <stddef.h>

struct fv_dict;
struct ZSTD_CDict_s;
struct ZSTD_DDict_s;

struct fv_span fv__dict_bytes(const struct fv_dict *d);              /* empty for NULL */
unsigned fv__dict_id(const struct fv_dict *d);                       /* that frames name */
const struct ZSTD_CDict_s *fv__dict_pack(const struct fv_dict *d);   /* NULL: only for reading */
const struct ZSTD_DDict_s *fv__dict_unpack(const struct fv_dict *d); /* NULL for NULL */

#endif
