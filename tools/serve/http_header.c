/* SPDX-License-Identifier: MIT */
#include "tools/serve/http_header.h"

#include <ctype.h>
#include <microhttpd.h>
#include <string.h>
#include <strings.h>

struct seen {
    int hosts, lengths, encodings, odd;
};

static enum MHD_Result look(void *ctx, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct seen *s = ctx;
    const int encoding = strcasecmp(key, "Transfer-Encoding") == 0;

    (void)kind;
    s->hosts += strcasecmp(key, "Host") == 0;
    s->lengths += strcasecmp(key, "Content-Length") == 0;
    s->encodings += encoding;
    s->odd |= encoding && (!value || strcasecmp(value, "chunked") != 0);
    return MHD_YES;
}

const char *http_header_fault(struct MHD_Connection *c)
{
    struct seen s = {0};

    MHD_get_connection_values(c, MHD_HEADER_KIND, look, &s);
    if (s.hosts > 1)
        return "The request has more than one Host.";
    if (s.lengths + s.encodings > 1)
        return "The request says in two ways how long it is.";
    return s.odd ? "The request is sent in a way that this server does not know." : NULL;
}

int http_header_is_form(const char *type)
{
    static const char form[] = "multipart/form-data", key[] = "boundary=";
    enum { LONGEST = 70 };

    if (!type || strncasecmp(type, form, sizeof form - 1) != 0)
        return 0;
    type += sizeof form - 1;
    while (*type == ';' || *type == ' ' || *type == '\t')
        type++;
    if (strncasecmp(type, key, sizeof key - 1) != 0)
        return 0;
    type += sizeof key - 1;
    const int quoted = *type == '"';
    size_t n = 0;
    for (type += quoted;
         isalnum((unsigned char)type[n]) || (type[n] && strchr("'()+_,-./:=? ", type[n])); n++)
        continue;
    return n > 0 && n <= LONGEST && type[n - 1] != ' ' && strcmp(type + n, quoted ? "\"" : "") == 0;
}
