/* SPDX-License-Identifier: MIT */
/* For tests of the stand-in itself: a planted fault must be named. */
#ifndef FV_TESTS_STANDIN_RULE_H
#define FV_TESTS_STANDIN_RULE_H

/* Fails the test unless `fault`, in a process of its own, is ended by a sentence that contains `says`. */
void expect_rule(void (*fault)(void), const char *says);

#endif
