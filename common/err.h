/* SPDX-License-Identifier: MIT */
/* Errors: a negative code to act on, a sentence to read.
 *
 * Every fallible function of fv returns an int: 0 (or a non-negative result) or one of the codes
 * below. The function that fails records one sentence in thread-local storage with fv_err() and
 * everyone above it only passes the code on, so the sentence names the thing that was wrong and not
 * the route by which it was found. Libraries never print and never exit: the mains do.
 */
#ifndef FV_COMMON_ERR_H
#define FV_COMMON_ERR_H

#include "common/api.h"

enum fv_errcode {
    FV_OK = 0,
    FV_EINVAL = -1,       /* a caller gave an argument outside its documented range */
    FV_ENOMEM = -2,       /* allocation failed */
    FV_EIO = -3,          /* the operating system refused: open, read, write, map */
    FV_ECORRUPT = -4,     /* bytes on disk contradict their format or their checksum */
    FV_EVERSION = -5,     /* a valid file of a version this program does not read */
    FV_ENOTFOUND = -6,    /* a name, file or key does not exist */
    FV_EEXIST = -7,       /* the thing to be made is already there */
    FV_EFULL = -8,        /* disk, map or table full */
    FV_EUNSUPPORTED = -9, /* a valid request that this build or device cannot serve */
    FV_EBACKEND = -10,    /* a compute library or device reported a failure */
    FV_EINTR = -11,       /* stopped on request (signal, fv_ring_stop) */
    FV_EUSAGE = -12,      /* a command line that cannot be obeyed: exit status 2 */
};

/* Records the sentence for this thread and returns `code`. No trailing newline or full stop. */
int fv_err(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));

/* As fv_err, with ": strerror(errno)" appended. errno is read before anything else happens. */
int fv_err_errno(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));

/* The last sentence recorded by this thread, "" if none. Valid until the thread's next fv_err. */
FV_API const char *fv_err_text(void);

/* "corrupt data" for FV_ECORRUPT and so on; never NULL. */
FV_API const char *fv_err_name(int code);

/* Carries an error from one thread to another: copies the sentence out, and records it here. */
#define FV_ERR_TEXT_MAX 512
void fv_err_save(char text[FV_ERR_TEXT_MAX]);
int fv_err_restore(int code, const char *text);

/* A module that is opened at run time has a copy of this library in it, and the program its own. So that there is one
 * sentence a thread, the module is given the program's fv__err_sentence: from then on its copy records there. */
char *fv__err_sentence(void);
void fv__err_share(char *(*of_program)(void));

#define FV_TRY(call)                                                                               \
    do {                                                                                           \
        int fv_try_rc_ = (call);                                                                   \
        if (fv_try_rc_ < 0)                                                                        \
            return fv_try_rc_;                                                                     \
    } while (0)

#endif
