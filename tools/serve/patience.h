/* SPDX-License-Identifier: MIT */
/* How long a client is waited for. The library under the server counts seconds without a byte; who sends one now and
 * then, of a header, a body or in taking an answer, would hold a connection for ever. Here a connection has a time in
 * all, from when it begins or its last answer was taken. Time in which the server was busy with an answer is not the
 * client's and does not count. */
#ifndef FV_TOOLS_SERVE_PATIENCE_H
#define FV_TOOLS_SERVE_PATIENCE_H

struct patience;
struct patience_client;

/* A thread looks once a second for clients that took longer than total_s. */
int patience_start(struct patience **out, double total_s);
void patience_stop(struct patience **p); /* after the last client has ended; accepts NULL */

/* Around the making of an answer. */
void patience_begin_answer(struct patience *p);
void patience_end_answer(struct patience *p);

/* NULL when out of memory: the client is not watched. The socket is shut down, not closed, when patience ends. */
struct patience_client *patience_add(struct patience *p, int socket);
void patience_renew(struct patience *p, struct patience_client *c); /* accepts NULL */
void patience_drop(struct patience *p,
                   struct patience_client *c); /* before the socket is closed; accepts NULL */

#endif
