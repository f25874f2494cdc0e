/* SPDX-License-Identifier: MIT */
/* The words of a journal's lines: for the two files that write and read them (prep/pack/journal.h draws it whole). */
#ifndef FV_PREP_JOURNAL_TEXT_H
#define FV_PREP_JOURNAL_TEXT_H

#define MAGIC "fvprep-pack-journal 1"
#define PROGRAM "fvprep = " FV_VERSION
#define SETTING "setting"
#define PHOTOS "photos"
#define HELD "held"
#define BEGIN "begin"
#define REFUSED "refused"
#define MISNAMED "misnamed"
#define OWN "own"
#define IMAGES "images"

#endif
