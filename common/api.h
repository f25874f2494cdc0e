/* SPDX-License-Identifier: MIT */
/* What other programs may call. A function marked FV_API is exported by libfv.so and keeps its name, its arguments
 * and what they mean for as long as the library's soname; everything else in an installed header is for the programs
 * of fv itself, which are linked statically. tests/api/abi.txt is the list that a test holds it to.
 */
#ifndef FV_COMMON_API_H
#define FV_COMMON_API_H

#ifdef __cplusplus
#define FV_API extern "C" __attribute__((visibility("default")))
#else
#define FV_API __attribute__((visibility("default")))
#endif

#endif
