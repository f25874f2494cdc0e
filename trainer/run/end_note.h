/* SPDX-License-Identifier: MIT */
/* end.json: how a run ended, for whoever looks at its folder later (internal to trainer/).
 *
 *   {"state": "done"}   {"state": "stopped"}   {"state": "failed", "why": "..."}
 *
 * While a process trains there is none, so a run that was killed has none either.
 */
#ifndef FV_TRAINER_END_NOTE_H
#define FV_TRAINER_END_NOTE_H

int fv__end_note_remove(const char *folder);
/* By the return code and the sentence of training. What goes wrong here changes neither. */
void fv__end_note_write(const char *folder, int rc);

#endif
