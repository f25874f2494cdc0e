/* SPDX-License-Identifier: MIT */
/* A backend in a module (internal to trainer/): a shared object that a program opens when it is asked for, so that
 * the libraries which only that backend needs are neither loaded by every program nor missed on a machine without them.
 *
 * How the module comes by what it shares with the program (lowering, nets, communicators, errors): it is linked with
 * static copies of the same libraries, exports fv_module and nothing else, and takes nothing from the program by name.
 * Exporting the program's functions instead would bring all that any module may want into each program and its tests,
 * and which copy a name means would depend on how the program was linked. A copy is harmless where there is no state
 * that both sides change: the only such state on a backend's way is the sentence of common/err.h, and that the module
 * is handed. (A backend that writes trace spans would have to be handed those too.) Tables of what the program chooses
 * from, backends and ways to communicate, are empty in a module: it is given what was chosen.
 *
 * Structs cross the border as they are, so both sides must be of one build: fv__module_key tells.
 */
#ifndef FV_TRAINER_MODULE_H
#define FV_TRAINER_MODULE_H

#include "trainer/backend.h"

/* What a module exports, under the name fv_module. */
struct fv_module {
    const char *key;
    const struct fv_backend *backend;
    void (*share_errors)(char *(*of_program)(void)); /* fv__err_share */
};

/* The version, and a sum over all headers that a module and a program have in common. */
extern const char fv__module_key[];

enum { FV__MODULE_PATH = 4096 };

/* The path of the module `file`: where installed programs have it, relative to the program's folder; in a build folder,
 * below which `build_folder` has it, for its programs and tests; then where this build installs it. `program`: the
 * folder that the program is in, or NULL for this one. FV_EUNSUPPORTED, beginning with `backend`, if it is nowhere. */
int fv__module_find(char path[FV__MODULE_PATH], const char *program, const char *file,
                    const char *build_folder, const char *backend);
/* Opens it for good: what libraries like CUDA's have begun does not bear being unloaded. `remedy` ends the sentence,
 * FV_EUNSUPPORTED, that names the library which is missing. */
int fv__module_open(const struct fv_backend **out, const char *path, const char *backend,
                    const char *remedy);

#endif
