/* SPDX-License-Identifier: MIT */
/* One sentence a thread. It is formatted into a second buffer first, so that a sentence may quote the
 * one before it (fv_err(code, "%s: %s", path, fv_err_text())). */
#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char own[FV_ERR_TEXT_MAX];
static char *(*_Atomic of_thread)(void) = fv__err_sentence;

char *fv__err_sentence(void)
{
    return own;
}

void fv__err_share(char *(*of_program)(void))
{
    of_thread = of_program;
}

int fv_err(int code, const char *fmt, ...)
{
    char text[FV_ERR_TEXT_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    memcpy(of_thread(), text, sizeof text);
    return code;
}

int fv_err_errno(int code, const char *fmt, ...)
{
    const int saved = errno;
    char text[FV_ERR_TEXT_MAX], reason[128];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof text)
        snprintf(text + n, sizeof text - (size_t)n, ": %s",
                 strerror_r(saved, reason, sizeof reason));
    memcpy(of_thread(), text, sizeof text);
    return code;
}

const char *fv_err_text(void)
{
    return of_thread();
}

void fv_err_save(char text[FV_ERR_TEXT_MAX])
{
    memcpy(text, of_thread(), FV_ERR_TEXT_MAX);
}

int fv_err_restore(int code, const char *text)
{
    return fv_err(code, "%s", text);
}

const char *fv_err_name(int code)
{
    switch (code) {
    case FV_OK:
        return "no error";
    case FV_EINVAL:
        return "invalid argument";
    case FV_ENOMEM:
        return "out of memory";
    case FV_EIO:
        return "input/output error";
    case FV_ECORRUPT:
        return "corrupt data";
    case FV_EVERSION:
        return "unsupported version";
    case FV_ENOTFOUND:
        return "not found";
    case FV_EEXIST:
        return "already exists";
    case FV_EFULL:
        return "full";
    case FV_EUNSUPPORTED:
        return "unsupported";
    case FV_EBACKEND:
        return "backend failure";
    case FV_EINTR:
        return "interrupted";
    case FV_EUSAGE:
        return "bad usage";
    default:
        return "unknown error";
    }
}
