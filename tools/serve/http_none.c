/* SPDX-License-Identifier: MIT */
/* What stands in for the server where libmicrohttpd was not found. */
#include "tools/serve/http.h"

#include "common/err.h"

int http_start(struct http **out, const struct http_settings *s, http_answer *answer, void *ctx)
{
    (void)s;
    (void)answer;
    (void)ctx;
    *out = NULL;
    return fv_err(FV_EUNSUPPORTED, "this fv was built without libmicrohttpd: install "
                                   "libmicrohttpd-dev, configure and build again");
}

int http_port(const struct http *h)
{
    (void)h;
    return 0;
}

void http_stop(struct http **h)
{
    *h = NULL;
}
