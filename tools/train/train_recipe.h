/* SPDX-License-Identifier: MIT */
/* Recipes: files of options, "name = value" a line, under which the command line's own stand. Those that come with fv
 * have names; any other is given by its path. A run keeps the values and not the name, so that a recipe may be improved
 * without changing what an old run means. The settings.txt of a run is a recipe too.
 */
#ifndef FV_TOOLS_TRAIN_RECIPE_H
#define FV_TOOLS_TRAIN_RECIPE_H

#include "common/opt.h"

/* Sets what the recipe says, and leaves the rest. `name` has a '/' or a '.' when it is a path. *text is what strings
 * point to from then on; free it, also after an error. FV_ENOTFOUND lists the names; what is wrong in a recipe is told
 * with its path and line. */
int train_recipe_read(const char *name, const struct fv_opt_group *groups, int ngroups,
                      char **text);

/* Every recipe that has a name, with the first line of its file. */
int train_recipe_list(FILE *to);

#endif
