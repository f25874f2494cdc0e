/* SPDX-License-Identifier: MIT */
/* The option table: one description of a setting, from which everything else is derived.
 *
 * A module exports a table of `struct fv_opt` over its settings struct. From that one table come the
 * command-line parser, --help, the settings banner, the text kept in a run folder and in a
 * checkpoint, and its reader. A default is whatever fv_x_defaults() put into the struct: it is never
 * written twice.
 *
 * Strings parsed from a command line point into argv; strings read by fv_opt_read_text point into a
 * buffer that the caller owns.
 */
#ifndef FV_COMMON_OPT_H
#define FV_COMMON_OPT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum fv_opt_type {
    FV_OPT_FLAG,   /* int, 0 or 1: --name, --no-name */
    FV_OPT_INT,    /* int64_t, min..max */
    FV_OPT_REAL,   /* double, min..max */
    FV_OPT_SHARE,  /* double in 0..1, written as 0.15 or 15% */
    FV_OPT_STRING, /* const char *, NULL when unset */
    FV_OPT_CHOICE, /* const char * out of `choices` */
};

enum fv_opt_flags {
    FV_OPT_REQUIRED = 1,
    FV_OPT_TRANSIENT = 2, /* does not describe the result (threads, verbosity, paths): not saved */
};

struct fv_opt {
    const char *name; /* without the dashes; the key in saved settings too */
    char letter;      /* short form, 0 for none */
    unsigned char type;
    unsigned char flags;
    size_t offset; /* of the field in the settings struct */
    const char *metavar;
    const char *help; /* one sentence, lower case, without its default: --help appends that */
    double min, max;  /* for INT and REAL; both 0: unbounded */
    const char *const *choices; /* NULL-terminated, for CHOICE */
};

/* A table of options together with the struct that it describes. `opts` ends with name == NULL. */
struct fv_opt_group {
    const char *title;
    const struct fv_opt *opts;
    void *settings;
};

struct fv_command {
    const char *name;    /* "fvprep pack" */
    const char *summary; /* one line */
    const char *usage;   /* "PHOTOS -o FILE [options]" */
    const char *notes;   /* examples and remarks printed at the end of --help; may be NULL */
    void (*write_notes)(FILE *to); /* what of them has to be made, in front of notes; may be NULL */
    int min_args, max_args;
};

#define FV_OPT_MAX_ARGS 16
struct fv_args {
    int n;
    const char *arg[FV_OPT_MAX_ARGS]; /* the positional arguments */
    int help;                         /* --help was given: print it and exit 0 */
};

/* Parses argv[1..]. On a bad command line returns FV_EUSAGE with a sentence that names the option,
 * what was wrong with it and what is valid (the nearest name for an unknown option). */
int fv_opt_parse(const struct fv_command *cmd, const struct fv_opt_group *groups, int ngroups,
                 int argc, char **argv, struct fv_args *out);

/* --help: the usage line, each group with its options and their current values as defaults. */
void fv_opt_help(const struct fv_command *cmd, const struct fv_opt_group *groups, int ngroups,
                 FILE *to);

/* Sets one option by name from text. FV_ENOTFOUND for an unknown name, FV_EUSAGE for a bad value. */
int fv_opt_set(const struct fv_opt_group *groups, int ngroups, const char *name, const char *value);

/* Formats the value of one option as fv_opt_set would read it; returns buf. */
const char *fv_opt_format(const struct fv_opt *opt, const void *settings, char *buf, size_t n);

/* Saved settings: "name = value" lines in table order, without the TRANSIENT ones and without unset
 * strings. The caller frees the result; NULL when out of memory. */
char *fv_opt_write_text(const struct fv_opt_group *groups, int ngroups);

/* Reads such text (it is modified, and must outlive the settings). Unknown names are an error. */
int fv_opt_read_text(const struct fv_opt_group *groups, int ngroups, char *text,
                     const char *origin);

/* The settings banner: every option of every group, aligned, several columns; values that differ
 * from those of `defaults` (a parallel array of structs, may be NULL) are marked with '*'. */
void fv_opt_banner(const struct fv_opt_group *groups, int ngroups, void *const *defaults, FILE *to);

/* The name in `valid` (NULL-terminated) nearest to `name` by edit distance, NULL if none is near. */
const char *fv_opt_nearest(const char *name, const char *const *valid);

#endif
