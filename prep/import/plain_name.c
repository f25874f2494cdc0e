/* SPDX-License-Identifier: MIT */
#include "prep/import/plain_name.h"

#include "common/err.h"

#include <stdlib.h>
#include <string.h>

char *fv__plain_name(const char *name)
{
    static const char special[] = "\t\n\r\\", letter[] = "tnr\\";
    char *text = malloc(4 * strlen(name) + 1), *to = text;
    if (!text) {
        fv_err(FV_ENOMEM, "out of memory for a name");
        return NULL;
    }
    for (; *name; name++) {
        const char *s = strchr(special, *name);
        if (s)
            to += sprintf(to, "\\%c", letter[s - special]);
        else if ((unsigned char)*name < 0x20 || *name == 0x7f)
            to += sprintf(to, "\\x%02x", (unsigned char)*name);
        else
            *to++ = *name;
    }
    *to = '\0';
    return text;
}

int fv__plain_name_put(FILE *f, const char *name)
{
    char *plain = fv__plain_name(name);
    if (!plain)
        return FV_ENOMEM;
    fprintf(f, "%s%s", *plain == '#' ? "\\x23" : "", plain + (*plain == '#'));
    free(plain);
    return 0;
}
