/* SPDX-License-Identifier: MIT */
/* The libraries that data sets are made with, in the versions that are loaded; libjpeg-turbo keeps its own to itself,
 * so that one is the build's. */
#include "store/limit.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <xxhash.h>
#include <zstd.h>

static char text[160];

static void ask(void)
{
    int major, minor, patch;
    const unsigned xxh = XXH_versionNumber();

    mdb_version(&major, &minor, &patch);
    snprintf(text, sizeof text,
             "LMDB %d.%d.%d, zstd %s, xxHash %u.%u.%u, libjpeg-turbo " FV_LIBJPEG_VERSION, major,
             minor, patch, ZSTD_versionString(), xxh / 10000, xxh / 100 % 100, xxh % 100);
}

const char *fv_store_libraries(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, ask);
    return text;
}
