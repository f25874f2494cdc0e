/* SPDX-License-Identifier: MIT */
/* HTML for pages that stand by themselves: text that may hold anything, pictures as data URIs, one style for all. */
#ifndef FV_TOOLS_REPORT_HTML_H
#define FV_TOOLS_REPORT_HTML_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* As text or as the value of a quoted attribute: marked-up characters become references; bytes that are no UTF-8 and
 * control characters become U+FFFD. */
void html_text(FILE *f, const char *text);
void html_text_n(FILE *f, const char *text, size_t n);
void html_base64(FILE *f, const uint8_t *p, size_t n);
/* <img> of a JPEG file. */
void html_jpeg(FILE *f, const uint8_t *jpeg, size_t n, int width, int height, const char *alt);
/* From the doctype to <body>: nothing may be loaded but what the page holds, no script runs but the one of that hash
 * ("sha256-..." as a policy names it; NULL: none). */
void html_begin(FILE *f, const char *title, const char *script_hash);
void html_end(FILE *f);

extern const char html_style[]; /* html_style.c */

#endif
