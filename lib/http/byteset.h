/* Sets of ASCII bytes as sixteen-byte tables, the form that a byte shuffle can look up.
 * Bit h of row[l] says whether the byte (h << 4 | l) belongs to the set; bytes past 0x7f never do.
 * The scalar and the vector scanners read the same table, so they cannot disagree about a set. */
#ifndef Q5_HTTP_BYTESET_H
#define Q5_HTTP_BYTESET_H

#include "q5/base.h"

typedef struct q5__byteset {
    _Alignas(16) uint8_t row[16];
} q5__byteset;

static inline bool q5__byteset_has(const q5__byteset *set, char c) {
    uint8_t byte = (uint8_t)c;
    return byte < 0x80 && ((set->row[byte & 15] >> (byte >> 4)) & 1);
}

/* Q5__BYTESET(IN) builds the table from a macro IN(c), a constant expression. */
#define Q5__BYTESET_ROW(IN, l)                                                              \
    (uint8_t)(!!(IN(0x00 | (l))) << 0 | !!(IN(0x10 | (l))) << 1 | !!(IN(0x20 | (l))) << 2 | \
              !!(IN(0x30 | (l))) << 3 | !!(IN(0x40 | (l))) << 4 | !!(IN(0x50 | (l))) << 5 | \
              !!(IN(0x60 | (l))) << 6 | !!(IN(0x70 | (l))) << 7)
#define Q5__BYTESET(IN)                                                                    \
    {                                                                                      \
        {                                                                                  \
            Q5__BYTESET_ROW(IN, 0), Q5__BYTESET_ROW(IN, 1), Q5__BYTESET_ROW(IN, 2),        \
                Q5__BYTESET_ROW(IN, 3), Q5__BYTESET_ROW(IN, 4), Q5__BYTESET_ROW(IN, 5),    \
                Q5__BYTESET_ROW(IN, 6), Q5__BYTESET_ROW(IN, 7), Q5__BYTESET_ROW(IN, 8),    \
                Q5__BYTESET_ROW(IN, 9), Q5__BYTESET_ROW(IN, 10), Q5__BYTESET_ROW(IN, 11),  \
                Q5__BYTESET_ROW(IN, 12), Q5__BYTESET_ROW(IN, 13), Q5__BYTESET_ROW(IN, 14), \
                Q5__BYTESET_ROW(IN, 15)                                                    \
        }                                                                                  \
    }

#define Q5__IS_DIGIT(c) ((c) >= '0' && (c) <= '9')
#define Q5__IS_ALPHA(c) (((c) >= 'a' && (c) <= 'z') || ((c) >= 'A' && (c) <= 'Z'))
#define Q5__IS_ALNUM(c) (Q5__IS_DIGIT(c) || Q5__IS_ALPHA(c))
#define Q5__IS_HEX(c) (Q5__IS_DIGIT(c) || ((c) >= 'a' && (c) <= 'f') || ((c) >= 'A' && (c) <= 'F'))

/* RFC 9110, 5.6.2: tchar, once without '_' (field names) and once with it. */
#define Q5__IS_NAME(c)                                                                        \
    (Q5__IS_ALNUM(c) || (c) == '!' || (c) == '#' || (c) == '$' || (c) == '%' || (c) == '&' || \
     (c) == '\'' || (c) == '*' || (c) == '+' || (c) == '-' || (c) == '.' || (c) == '^' ||     \
     (c) == '`' || (c) == '|' || (c) == '~')
#define Q5__IS_TOKEN(c) (Q5__IS_NAME(c) || (c) == '_')

/* What may stand in a request target up to its '?': any visible byte but '#'. Wider than RFC 3986
 * (browsers send '|' or '^' as they are); what it means is the router's to judge. */
#define Q5__IS_TARGET(c) ((c) > 0x20 && (c) < 0x7f && (c) != '#' && (c) != '?')

/* RFC 3986, 3.2.2: reg-name but its percent-encoded bytes, and the inside of an IP literal. */
#define Q5__IS_REG_NAME(c)                                                                    \
    (Q5__IS_ALNUM(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~' || (c) == '!' || \
     (c) == '$' || (c) == '&' || (c) == '\'' || (c) == '(' || (c) == ')' || (c) == '*' ||     \
     (c) == '+' || (c) == ',' || (c) == ';' || (c) == '=')
#define Q5__IS_IPV6(c) (Q5__IS_HEX(c) || (c) == ':' || (c) == '.')

/* RFC 9110, 5.5, without obs-text: what no scanner may step over in a value is the rest of ASCII.
 * Takes an unsigned byte; those past 0x7f (obs-text) are allowed. */
static inline bool q5__is_text(uint8_t c) {
    return c >= 0x20 ? c != 0x7f : c == '\t';
}

#endif
