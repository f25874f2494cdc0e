/* SPDX-License-Identifier: MIT */
#include "tools/serve/host.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { NAME_MAX_BYTES = 256 };

/* Cuts ":port" off and, of an IPv6 address, the brackets. 0 when it is no such thing. */
static int cut(char *name, const char *host)
{
    const char *end = host[0] == '[' ? strchr(host, ']') : host + strcspn(host, ":");
    const char *port = end && host[0] == '[' ? end + 1 : end;
    const char *begin = host + (host[0] == '[');

    if (!end || end == begin || end - begin >= NAME_MAX_BYTES)
        return 0;
    if (*port == ':') {
        if (!isdigit((unsigned char)port[1]))
            return 0;
        port += 1 + strspn(port + 1, "0123456789");
    }
    if (*port)
        return 0;
    memcpy(name, begin, (size_t)(end - begin));
    name[end - begin] = '\0';
    return 1;
}

static int is_listed(const char *name, const char *names)
{
    const size_t n = strlen(name);

    while (names && *names) {
        const size_t length = strcspn(names, ",");
        if (length == n && strncasecmp(names, name, n) == 0)
            return 1;
        names += length + (names[length] == ',');
    }
    return 0;
}

int host_is_ours(const char *host, const char *names)
{
    unsigned char address[16];
    char name[NAME_MAX_BYTES];

    if (!host || !cut(name, host))
        return 0;
    return inet_pton(host[0] == '[' ? AF_INET6 : AF_INET, name, address) == 1 ||
           (host[0] != '[' && (strcasecmp(name, "localhost") == 0 || is_listed(name, names)));
}

int host_is_origin(const char *origin, const char *host)
{
    if (!origin)
        return 1;
    if (strncmp(origin, "http://", 7) == 0)
        origin += 7;
    else if (strncmp(origin, "https://", 8) == 0) /* behind a proxy that speaks TLS */
        origin += 8;
    else
        return 0;
    return host && strcasecmp(origin, host) == 0;
}

int host_is_loopback(const char *address)
{
    unsigned char a[16];
    static const unsigned char one[16] = {[15] = 1};

    if (inet_pton(AF_INET, address, a) == 1)
        return a[0] == 127;
    if (inet_pton(AF_INET6, address, a) == 1)
        return memcmp(a, one, sizeof one) == 0;
    return -1;
}

int host_equal_secret(const char *given, const char *secret)
{
    const size_t n = strlen(given), m = strlen(secret);
    unsigned char differs = n != m;

    for (size_t i = 0; i < n; i++)
        differs |= (unsigned char)(given[i] ^ secret[m ? i % m : 0]);
    return !differs;
}
