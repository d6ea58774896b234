/* The chunked transfer coding (RFC 9112, 7.1). Control bytes go through a state machine one at a
 * time; data is handed on in whole runs. */
#include "q5/chunked.h"

#include "http/byteset.h"
#include "q5/head.h"

typedef enum state {
    SIZE,      /* at the first hex digit */
    SIZE_MORE, /* behind one */
    EXT_START, /* behind ';' */
    EXT,       /* inside an extension */
    SIZE_LF,   /* behind the CR of a size line */
    DATA,      /* inside a chunk */
    DATA_CR,   /* behind a chunk */
    DATA_LF,   /* behind the CR of a chunk */
    LINE,      /* at the start of a trailer line */
    NAME,      /* inside a trailer's name */
    VALUE,     /* inside a trailer's value */
    VALUE_LF,  /* behind the CR of a trailer */
    END_LF,    /* behind the CR of the last, empty line */
    OVER,      /* complete */
} state;

#define DIGITS_MAX 16

static const q5__byteset token_set = Q5__BYTESET(Q5__IS_TOKEN);

void q5_chunked_init(q5_chunked_decoder *decoder) {
    *decoder = (q5_chunked_decoder){.state = SIZE};
}

static int hex_value(char c) {
    if (Q5__IS_DIGIT(c)) return c - '0';
    c |= 0x20;
    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}

/* A chunk's line begins: nothing of the last one counts any more. */
static void chunk_begin(q5_chunked_decoder *decoder) {
    decoder->left = 0;
    decoder->digits = 0;
    decoder->ext_len = 0;
    decoder->state = SIZE;
}

static int size_byte(q5_chunked_decoder *decoder, char c) {
    int value = hex_value(c);
    if (value >= 0) {
        if (decoder->digits == DIGITS_MAX) return Q5_ECHUNK_SIZE;
        decoder->digits++;
        decoder->left = decoder->left << 4 | (unsigned)value;
        decoder->state = SIZE_MORE;
        return Q5_OK;
    }
    if (decoder->state == SIZE || (c != ';' && c != '\r'))
        return c == '\n' ? Q5_EBARE_LF : Q5_ECHUNK_SIZE;
    decoder->state = c == ';' ? EXT_START : SIZE_LF;
    return Q5_OK;
}

/* Extensions mean nothing to us: they are bounded, kept free of control bytes, and dropped. Since
 * no CR or LF gets through, quoting cannot hide a line end. */
static int ext_byte(q5_chunked_decoder *decoder, char c) {
    if (c == '\r' && decoder->state == EXT) {
        decoder->state = SIZE_LF;
        return Q5_OK;
    }
    if (!q5__is_text((uint8_t)c)) return c == '\n' ? Q5_EBARE_LF : Q5_ECHUNK_EXT;
    if (decoder->ext_len == Q5_CHUNK_EXT_MAX || decoder->ext_total == Q5_CHUNK_EXT_TOTAL_MAX)
        return Q5_ECHUNK_EXT;
    decoder->ext_len++;
    decoder->ext_total++;
    if (c != ' ' && c != '\t') decoder->state = EXT; /* a name must follow the ';' */
    return Q5_OK;
}

/* The fields that the server itself reads frame, route, authenticate or modify a request, and none
 * of them may come late (RFC 9110, 6.5.1). */
static bool trailer_forbidden(const q5_chunked_decoder *decoder) {
    if (decoder->name_len > sizeof(decoder->name)) return false;
    return q5_field_find(q5_slice_make(decoder->name, decoder->name_len)) != Q5_FIELD_OTHER;
}

static int trailer_byte(q5_chunked_decoder *decoder, char c) {
    if (++decoder->trailer_len > Q5_TRAILER_MAX) return Q5_ETRAILER;
    if (c == '\n') return Q5_EBARE_LF;
    if (decoder->state == LINE) {
        decoder->name_len = 0;
        if (c == '\r') {
            decoder->state = END_LF;
            return Q5_OK;
        }
        decoder->state = NAME;
    }
    if (decoder->state == NAME) {
        if (q5__byteset_has(&token_set, c)) {
            if (decoder->name_len < sizeof(decoder->name)) decoder->name[decoder->name_len] = c;
            if (decoder->name_len <= sizeof(decoder->name)) decoder->name_len++;
            return Q5_OK;
        }
        if (c != ':' || decoder->name_len == 0 || trailer_forbidden(decoder)) return Q5_ETRAILER;
        decoder->state = VALUE;
        return Q5_OK;
    }
    if (c == '\r') {
        decoder->state = VALUE_LF;
        return Q5_OK;
    }
    return q5__is_text((uint8_t)c) ? Q5_OK : Q5_ETRAILER;
}

static int line_feed(q5_chunked_decoder *decoder, char c) {
    if (c != '\n') return decoder->state == DATA_LF ? Q5_ECHUNK_END : Q5_EBARE_CR;
    switch ((state)decoder->state) {
    case SIZE_LF:
        decoder->state = decoder->left ? DATA : LINE;
        return Q5_OK;
    case DATA_LF:
        chunk_begin(decoder);
        return Q5_OK;
    case VALUE_LF:
        decoder->state = LINE;
        return Q5_OK;
    default:
        decoder->state = OVER;
        return Q5_DONE;
    }
}

static int control_byte(q5_chunked_decoder *decoder, char c) {
    switch ((state)decoder->state) {
    case SIZE:
    case SIZE_MORE:
        return size_byte(decoder, c);
    case EXT_START:
    case EXT:
        return ext_byte(decoder, c);
    case DATA_CR:
        if (c != '\r') return Q5_ECHUNK_END;
        decoder->state = DATA_LF;
        return Q5_OK;
    case LINE:
    case NAME:
    case VALUE:
        return trailer_byte(decoder, c);
    case DATA: /* not a control byte */
    case OVER:
        return Q5_ESTATE;
    default:
        return line_feed(decoder, c);
    }
}

int q5_chunked_decode(q5_chunked_decoder *decoder, const char *buf, size_t len, size_t *ret_used,
                      q5_slice *ret_data) {
    size_t used = 0;
    int status = decoder->state == OVER ? Q5_ESTATE : Q5_OK;
    *ret_data = q5_slice_make(buf, 0);
    while (status == Q5_OK && used < len) {
        if (decoder->state == DATA) {
            size_t run = len - used < decoder->left ? len - used : (size_t)decoder->left;
            *ret_data = q5_slice_make(buf + used, run);
            used += run;
            decoder->left -= run;
            if (decoder->left == 0) decoder->state = DATA_CR;
            break;
        }
        status = control_byte(decoder, buf[used]);
        if (status == Q5_OK || status == Q5_DONE) used++;
    }
    *ret_used = used;
    return status;
}

size_t q5_chunk_head(char out[Q5_CHUNK_HEAD_MAX], size_t len) {
    size_t digits = (67 - (size_t)__builtin_clzll((uint64_t)len | 1)) / 4;
    for (size_t i = digits; i-- > 0; len >>= 4)
        out[i] = "0123456789ABCDEF"[len & 15];
    out[digits] = '\r';
    out[digits + 1] = '\n';
    return digits + 2;
}
