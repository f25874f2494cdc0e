/* SPDX-License-Identifier: MIT */
#include "tools/report/html.h"

#include <string.h>

/* Bytes of the UTF-8 character at p, 0 when there is none: no overlong form, no surrogate, at most U+10FFFF. */
static size_t utf8_bytes(const uint8_t *p, size_t n)
{
    const size_t want = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (want == 0 || p[0] > 0xf4 || want > n)
        return 0;
    for (size_t i = 1; i < want; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return want;
}

static const char *reference(uint8_t c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return (c < 32 && c != '\n' && c != '\t') || c == 127 ? "\xef\xbf\xbd" : NULL;
    }
}

void html_text_n(FILE *f, const char *text, size_t n)
{
    const uint8_t *p = (const uint8_t *)text;

    while (n > 0) {
        const size_t bytes = utf8_bytes(p, n);
        const char *ref = bytes == 0 ? "\xef\xbf\xbd" : bytes == 1 ? reference(*p) : NULL;
        if (ref)
            fputs(ref, f);
        else
            fwrite(p, 1, bytes, f);
        p += bytes ? bytes : 1;
        n -= bytes ? bytes : 1;
    }
}

void html_text(FILE *f, const char *text)
{
    html_text_n(f, text, strlen(text));
}

void html_base64(FILE *f, const uint8_t *p, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        const uint32_t w = (uint32_t)p[i] << 16 | (uint32_t)(i + 1 < n ? p[i + 1] : 0) << 8 |
                           (uint32_t)(i + 2 < n ? p[i + 2] : 0);
        putc(digit[w >> 18], f);
        putc(digit[w >> 12 & 63], f);
        putc(i + 1 < n ? digit[w >> 6 & 63] : '=', f);
        putc(i + 2 < n ? digit[w & 63] : '=', f);
    }
}

void html_jpeg(FILE *f, const uint8_t *jpeg, size_t n, int width, int height, const char *alt)
{
    fprintf(f, "<img width=\"%d\" height=\"%d\" alt=\"", width, height);
    html_text(f, alt);
    fputs("\" src=\"data:image/jpeg;base64,", f);
    html_base64(f, jpeg, n);
    fputs("\">", f);
}

void html_begin(FILE *f, const char *title, const char *script_hash)
{
    fputs("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "img-src data:; style-src 'unsafe-inline'",
          f);
    if (script_hash)
        fprintf(f, "; script-src '%s'", script_hash);
    fputs("\">\n<link rel=\"icon\" href=\"data:,\">\n<title>", f);
    html_text(f, title);
    fprintf(f, "</title>\n<style>\n%s</style>\n</head>\n<body>\n", html_style);
}

void html_end(FILE *f)
{
    fputs("</body>\n</html>\n", f);
}
