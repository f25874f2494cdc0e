/* SPDX-License-Identifier: MIT */
/* Headers that two programs could read in two ways: a proxy and this server must agree on where a request ends and
 * whom it is for, or one request can be smuggled in another (RFC 9112, 11.2). */
#ifndef FV_TOOLS_SERVE_HTTP_HEADER_H
#define FV_TOOLS_SERVE_HTTP_HEADER_H

struct MHD_Connection;

/* What is wrong, as a sentence; NULL: nothing. More than one Host, Content-Length or Transfer-Encoding, the last two
 * together, or a Transfer-Encoding that is not chunked. */
const char *http_header_fault(struct MHD_Connection *c);
/* A Content-Type of multipart/form-data with a boundary as RFC 2046 wants it: 1 to 70 letters, digits and '()+_,-./:=?
 * or blanks, in quotation marks or not. NULL is not. The library's parser is handed no other. */
int http_header_is_form(const char *content_type);

#endif
