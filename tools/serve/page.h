/* SPDX-License-Identifier: MIT */
/* What the server says: a page for people, which works without a script, or JSON for programs. */
#ifndef FV_TOOLS_SERVE_PAGE_H
#define FV_TOOLS_SERVE_PAGE_H

#include "tools/serve/answer.h"

/* *a: NULL before photos were sent, or with a complaint (NULL: none) instead. FV_ENOMEM, or a fault of the gallery's
 * images. The body is the caller's to free. */
int page_html(const struct answerer *s, const struct answer *a, const char *complaint,
              struct http_reply *out);
int page_json(const struct answerer *s, struct answer *a, const char *complaint,
              struct http_reply *out);

#endif
