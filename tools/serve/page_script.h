/* SPDX-License-Identifier: MIT */
/* The one script of the page that answers: it takes photos dropped anywhere, two at once too, or pasted, and shows
 * them. Without it the form is a form. */
#ifndef FV_TOOLS_SERVE_PAGE_SCRIPT_H
#define FV_TOOLS_SERVE_PAGE_SCRIPT_H

extern const char page_script[];
/* Its SHA-256 as a policy names it: no other script may run. tests/serve/torture.py compares the two. */
extern const char page_script_hash[];

#endif
