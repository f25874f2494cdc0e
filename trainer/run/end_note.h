/* SPDX-License-Identifier: MIT */
/* end.json: how a run ended, for whoever looks at its folder later (internal to trainer/).
 *
 *   {"state": "done"}   {"state": "stopped"}   {"state": "failed", "why": "..."}
 *
 * While a process trains it says {"state": "running"}, and still does so of a run that was killed. That one has room
 * for whatever may have to be said at the end, so that it can be said where the disk is full by then.
 */
#ifndef FV_TRAINER_END_NOTE_H
#define FV_TRAINER_END_NOTE_H

int fv__end_note_begin(const char *folder);
/* By the return code and the sentence of training. What goes wrong here changes neither. */
void fv__end_note_write(const char *folder, int rc);

#endif
