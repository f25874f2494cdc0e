/* SPDX-License-Identifier: MIT */
/* What the programs were built from. */
#ifndef FV_TOOLS_COMMIT_H
#define FV_TOOLS_COMMIT_H

/* "3d2a2de01234", with "-dirty" when files differ from it; "unknown" when built outside of git. */
extern const char tool_commit[];

#endif
