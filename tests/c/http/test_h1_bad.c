/* Heads that must be refused: each row says why, with which status and at which byte. */
#include "h1_feed.h"

typedef struct row {
    const char *why;
    int status;
    const char *good; /* the bytes before the one at fault */
    size_t good_len;
    const char *bad; /* those from it on */
    size_t bad_len;
} row;

#define ROW(why, status, good, bad) \
    { why, Q5_##status, good, sizeof(good) - 1, bad, sizeof(bad) - 1 }
#define GET "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

static const row request_lines[] = {
    /* methods */
    ROW("9110-9.1 no method", EMETHOD, "", " / HTTP/1.1\r\n"),
    ROW("9110-5.6.2 not a token", EMETHOD, "G", "@T / HTTP/1.1\r\n"),
    ROW("9110-5.6.2 colon in a method", EMETHOD, "GET", ": / HTTP/1.1\r\n"),
    ROW("9112-3 HTAB is no separator", EMETHOD, "GET", "\t/ HTTP/1.1\r\n"),
    ROW("9112-3 VT is no separator", EMETHOD, "GET", "\v/ HTTP/1.1\r\n"),
    ROW("NUL in the method", EMETHOD, "G", "\0T / HTTP/1.1\r\n"),
    ROW("obs-text in the method", EMETHOD, "", "\xc3\x89TE / HTTP/1.1\r\n"),
    ROW("a TLS ClientHello", EMETHOD, "", "\x16\x03\x01\x02\x00\x01\r\n"),
    ROW("a method alone", EMETHOD, "GET", "\r\n"),
    ROW("DEL in the method", EMETHOD, "GE", "\x7f / HTTP/1.1\r\n"),
    /* spaces and empty parts */
    ROW("9112-3 two spaces", EREQUEST_LINE, "GET ", " / HTTP/1.1\r\n"),
    ROW("9112-3 no target", EREQUEST_LINE, "GET ", "\r\n"),
    ROW("HTTP/0.9", EREQUEST_LINE, "GET /", "\r\n"),
    ROW("HTTP/0.9 with a space", EREQUEST_LINE, "GET / ", "\r\n"),
    ROW("9112-3 two spaces before the version", EREQUEST_LINE, "GET / ", " HTTP/1.1\r\n"),
    ROW("9112-3 space behind the version", EREQUEST_LINE, "GET / HTTP/1.1", " \r\n"),
    ROW("9112-3 a fourth part", EREQUEST_LINE, "GET / HTTP/1.1", " x\r\n"),
    ROW("9112-3.2 space in the target", EREQUEST_LINE, "GET /a ", "b HTTP/1.1\r\n"),
    ROW("9112-2.2 three empty lines before", EREQUEST_LINE, "\r\n\r\n", "\r\n" GET HOST "\r\n"),
    /* versions */
    ROW("9112-2.3 lower case", EREQUEST_LINE, "GET / ", "http/1.1\r\n"),
    ROW("9112-2.3 not HTTP", EREQUEST_LINE, "GET / HTT", "Q/1.1\r\n"),
    ROW("9112-2.3 no minor", EREQUEST_LINE, "GET / HTTP/1", "\r\n"),
    ROW("9112-2.3 no minor behind the dot", EREQUEST_LINE, "GET / HTTP/1.", "\r\n"),
    ROW("9112-2.3 comma", EREQUEST_LINE, "GET / HTTP/1", ",1\r\n"),
    ROW("9112-2.3 two digits", EREQUEST_LINE, "GET / HTTP/1.1", "1\r\n"),
    ROW("9112-2.3 two major digits", EREQUEST_LINE, "GET / HTTP/1", "1.1\r\n"),
    ROW("9112-2.3 letter", EREQUEST_LINE, "GET / HTTP/1.", "x\r\n"),
    ROW("9112-2.3 sign", EREQUEST_LINE, "GET / HTTP/", "-1.1\r\n"),
    ROW("9112-2.3 full-width digit", EREQUEST_LINE, "GET / HTTP/", "\xef\xbc\x91.1\r\n"),
    ROW("9110-2.5 HTTP/2.0", EVERSION, "GET / HTTP/", "2.0\r\n"),
    ROW("9110-2.5 HTTP/0.9 in words", EVERSION, "GET / HTTP/", "0.9\r\n"),
    ROW("9110-2.5 HTTP/1.2", EVERSION, "GET / HTTP/", "1.2\r\n"),
    ROW("9110-2.5 HTTP/9.9", EVERSION, "GET / HTTP/", "9.9\r\n"),
    ROW("9113-3.4 the HTTP/2 preface", EVERSION, "PRI * HTTP/", "2.0\r\n\r\nSM\r\n\r\n"),
    /* targets */
    ROW("9112-3.2 fragment", ETARGET, "GET /a", "#b HTTP/1.1\r\n"),
    ROW("9112-3.2 fragment in the query", ETARGET, "GET /a?b", "#c HTTP/1.1\r\n"),
    ROW("9112-3.2 fragment alone", EREQUEST_LINE, "GET ", "# HTTP/1.1\r\n"),
    ROW("raw HTAB in the target", ETARGET, "GET /a", "\tb HTTP/1.1\r\n"),
    ROW("raw NUL in the target", ETARGET, "GET /a", "\0b HTTP/1.1\r\n"),
    ROW("raw ESC in the target", ETARGET, "GET /", "\x1b[31m HTTP/1.1\r\n"),
    ROW("raw DEL in the target", ETARGET, "GET /a", "\x7f HTTP/1.1\r\n"),
    ROW("raw UTF-8 in the target", ETARGET, "GET /", "\xc3\xa9 HTTP/1.1\r\n"),
    ROW("raw UTF-8 in the query", ETARGET, "GET /?q=", "\xc3\xa9 HTTP/1.1\r\n"),
    ROW("raw 0x80 deep in a long target", ETARGET,
        "GET /0123456789abcdef0123456789abcdef0123456789abcdef", "\x80 HTTP/1.1\r\n"),
    ROW("9112-3.2.4 asterisk with GET", ETARGET, "GET ", "* HTTP/1.1\r\n"),
    ROW("9112-3.2.4 asterisk and more", ETARGET, "OPTIONS ", "*/ HTTP/1.1\r\n"),
    ROW("9112-3.2.1 no leading slash", ETARGET, "GET ", "a/b HTTP/1.1\r\n"),
    ROW("9112-3.2.1 query alone", ETARGET, "GET ", "?a HTTP/1.1\r\n"),
    ROW("9112-3.2.3 authority with GET", ETARGET, "GET ", "a.example:80 HTTP/1.1\r\n"),
    ROW("9112-3.2.3 path with CONNECT", ETARGET, "CONNECT ", "/ HTTP/1.1\r\n"),
    ROW("9112-3.2.3 no port", ETARGET, "CONNECT a.example", " HTTP/1.1\r\n"),
    ROW("9110-9.3.6 empty port", ETARGET, "CONNECT a.example:", " HTTP/1.1\r\n"),
    ROW("9110-9.3.6 port 0", ETARGET, "CONNECT a.example:0", " HTTP/1.1\r\n"),
    ROW("9110-9.3.6 port too large", ETARGET, "CONNECT a.example:6553", "6 HTTP/1.1\r\n"),
    ROW("9110-9.3.6 port no number", ETARGET, "CONNECT a.example:8", "x HTTP/1.1\r\n"),
    ROW("9112-3.2.3 URI with CONNECT", ETARGET, "CONNECT http:", "//a/ HTTP/1.1\r\n"),
    ROW("9112-3.2.3 query with CONNECT", ETARGET, "CONNECT a:80", "?b HTTP/1.1\r\n"),
    ROW("9112-3.2.2 other scheme", ETARGET, "GET ", "ftp://a/ HTTP/1.1\r\n"),
    ROW("9112-3.2.2 file scheme", ETARGET, "GET ", "file:///etc/passwd HTTP/1.1\r\n"),
    ROW("9112-3.2.2 one slash", ETARGET, "GET ", "http:/a HTTP/1.1\r\n"),
    ROW("9110-4.2.1 empty host", ETARGET, "GET http://", "/a HTTP/1.1\r\n"),
    ROW("9110-4.2.1 nothing behind the scheme", ETARGET, "GET http://", " HTTP/1.1\r\n"),
    ROW("9110-4.2.1 a port without a host", ETARGET, "GET http://", ":80/ HTTP/1.1\r\n"),
    ROW("9110-4.2.4 user information", ETARGET, "GET http://u", "@a/ HTTP/1.1\r\n"),
    ROW("9110-4.2.4 user and password", ETARGET, "GET http://u:", "p@a/ HTTP/1.1\r\n"),
    ROW("3986-3.2.2 backslash in the host", ETARGET, "GET http://a", "\\b/ HTTP/1.1\r\n"),
    ROW("3986-3.2.2 open bracket", ETARGET, "GET http://[::1", "/ HTTP/1.1\r\n"),
    ROW("3986-3.2.2 host ends in a query", ETARGET, "GET http://", "?a HTTP/1.1\r\n"),
    /* line ends */
    ROW("9112-2.2 bare LF", EBARE_LF, "GET / HTTP/1.1", "\nHost: a\n\n"),
    ROW("9112-2.2 bare LF in the method", EBARE_LF, "GE", "\n"),
    ROW("9112-2.2 bare LF in the target", EBARE_LF, "GET /a", "\n"),
    ROW("9112-2.2 bare LF in the version", EBARE_LF, "GET / HTT", "\n"),
    ROW("9112-2.2 bare LF first", EBARE_LF, "", "\n" GET),
    ROW("9112-2.2 bare LF behind an empty line", EBARE_LF, "\r\n", "\n" GET),
    ROW("9112-2.2 bare CR", EBARE_CR, "GET / HTTP/1.1", "\rHost: a\r\n"),
    ROW("9112-2.2 bare CR in the target", EBARE_CR, "GET /a", "\rb HTTP/1.1\r\n"),
    ROW("9112-2.2 bare CR in the method", EBARE_CR, "G", "\rT / HTTP/1.1\r\n"),
    ROW("9112-2.2 bare CR first", EBARE_CR, "", "\rGET / HTTP/1.1\r\n"),
    ROW("9112-2.2 two CRs", EBARE_CR, "GET / HTTP/1.1", "\r\r\n"),
    ROW("9112-2.2 two CRs in an old version", EBARE_CR, "GET / HTTP/2.0", "\r\r\n"),
};

static const row fields[] = {
    /* names */
    ROW("9112-5.1 space before the colon (CVE-2019-16276)", EFIELD_SPACE, GET "Host", " : a\r\n"),
    ROW("9112-5.1 HTAB before the colon", EFIELD_SPACE, GET "Host", "\t: a\r\n"),
    ROW("9112-5.1 TE with a space (CVE-2019-16276)", EFIELD_SPACE, POST "Transfer-Encoding",
        " : chunked\r\n"),
    ROW("9112-5.1 space in a name", EFIELD_SPACE, GET HOST "X", " Y: a\r\n"),
    ROW("9110-5.1 empty name", EFIELD_NAME, GET HOST, ": a\r\n"),
    ROW("9110-5.1 a colon alone", EFIELD_NAME, GET HOST, ":\r\n"),
    ROW("9112-5 no colon", EFIELD_NAME, GET "Host", "\r\n"),
    ROW("9112-5 no colon, second line", EFIELD_NAME, GET HOST "X-Foo", "\r\n\r\n"),
    ROW("9110-5.6.2 separator in a name", EFIELD_NAME, GET HOST "X", "(Y): a\r\n"),
    ROW("9110-5.6.2 slash in a name", EFIELD_NAME, GET HOST "X", "/Y: a\r\n"),
    ROW("9110-5.6.2 quote in a name", EFIELD_NAME, GET HOST, "\"X\": a\r\n"),
    ROW("9110-5.6.2 at sign in a name", EFIELD_NAME, GET HOST "X", "@: a\r\n"),
    ROW("9110-5.6.2 bracket in a name", EFIELD_NAME, GET HOST, "[X]: a\r\n"),
    ROW("9110-5.6.2 brace in a name", EFIELD_NAME, GET HOST "X", "{: a\r\n"),
    ROW("9110-5.6.2 backslash in a name", EFIELD_NAME, GET HOST "X", "\\: a\r\n"),
    ROW("NUL in a name", EFIELD_NAME, GET HOST "X", "\0Y: a\r\n"),
    ROW("VT in a name (CVE-2026-44546)", EFIELD_NAME, GET HOST, "\vX: a\r\n"),
    ROW("DEL in a name", EFIELD_NAME, GET HOST "X", "\x7f: a\r\n"),
    ROW("NEL in a name (CVE-2026-44546)", EFIELD_NAME, GET HOST "X", "\x85: a\r\n"),
    ROW("obs-text in a name", EFIELD_NAME, GET HOST "X-", "\xc3\xa9: a\r\n"),
    ROW("0x11 must not pass as '1' in a name", EFIELD_NAME, GET HOST "X", "\x11: a\r\n"),
    ROW("underscore (CVE-2026-3902)", EUNDERSCORE, GET HOST "X", "_Y: a\r\n"),
    ROW("underscore first", EUNDERSCORE, GET HOST, "_X: a\r\n"),
    ROW("underscore in a spoofed length", EUNDERSCORE, POST "Content", "_Length: 5\r\n"),
    /* folding */
    ROW("9112-5.2 obs-fold", EOBS_FOLD, GET HOST "X: a\r\n", " b\r\n"),
    ROW("9112-5.2 obs-fold with HTAB", EOBS_FOLD, GET HOST "X: a\r\n", "\tb\r\n"),
    ROW("9112-2.2 space before the first field", EOBS_FOLD, GET, " Host: a\r\n"),
    ROW("9112-2.2 HTAB before the first field", EOBS_FOLD, GET, "\tHost: a\r\n"),
    ROW("9112-5.2 a line of one space", EOBS_FOLD, GET HOST, " \r\n\r\n"),
    /* values */
    ROW("9110-5.5 NUL", EFIELD_VALUE, GET HOST "X: a", "\0b\r\n"),
    ROW("9110-5.5 BEL", EFIELD_VALUE, GET HOST "X: a", "\ab\r\n"),
    ROW("9110-5.5 BS", EFIELD_VALUE, GET HOST "X: ", "\b\r\n"),
    ROW("9110-5.5 VT (CVE-2026-44546)", EFIELD_VALUE, GET HOST "X: a", "\vY: b\r\n"),
    ROW("9110-5.5 FF", EFIELD_VALUE, GET HOST "X: a", "\fb\r\n"),
    ROW("9110-5.5 ESC (CVE-2020-7694)", EFIELD_VALUE, GET HOST "X: ", "\x1b[31m\r\n"),
    ROW("9110-5.5 US", EFIELD_VALUE, GET HOST "X:", "\x1f\r\n"),
    ROW("9110-5.5 DEL", EFIELD_VALUE, GET HOST "X: a", "\x7f\r\n"),
    ROW("9110-5.5 SOH far in", EFIELD_VALUE,
        GET HOST "X: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "\x01\r\n"),
    ROW("9110-5.5 control byte in the last lane of 32", EFIELD_VALUE,
        GET HOST "X: 0123456789abcdef0123456789abcde", "\x02\r\n"),
    /* line ends */
    ROW("9112-2.2 bare LF behind a value", EBARE_LF, GET "Host: a", "\n\r\n"),
    ROW("9112-2.2 bare LF behind a name", EBARE_LF, GET "Host", "\n"),
    ROW("9112-2.2 bare LF behind a colon", EBARE_LF, GET "Host:", "\n"),
    ROW("9112-2.2 bare LF ends the head", EBARE_LF, GET HOST, "\n"),
    ROW("9112-2.2 bare CR in a value", EBARE_CR, GET HOST "X: a", "\rY: b\r\n"),
    ROW("9112-2.2 bare CR in a name", EBARE_CR, GET HOST "X", "\rY: b\r\n"),
    ROW("9112-2.2 two CRs behind a value", EBARE_CR, GET "Host: a", "\r\r\n"),
    ROW("9112-2.2 bare CR ends the head", EBARE_CR, GET HOST, "\r\r\n"),
    ROW("9112-2.2 CR and a letter end the head", EBARE_CR, GET HOST, "\rX"),
    ROW("CR LF swapped", EBARE_LF, GET "Host: a", "\n\rX: b\r\n"),
};

static const row framing[] = {
    /* Content-Length */
    ROW("9112-6.3 twice, differing", ELENGTH_TWICE, POST "Content-Length: 5\r\n",
        "Content-Length: 6\r\n"),
    ROW("9112-6.3 twice, equal", ELENGTH_TWICE, POST "Content-Length: 5\r\n",
        "Content-Length: 5\r\n"),
    ROW("9112-6.3 twice, other case, apart", ELENGTH_TWICE, POST "Content-Length: 0\r\nX: y\r\n",
        "content-LENGTH: 0\r\n"),
    ROW("9112-6.3 a list", ELENGTH, POST "Content-Length: 5", ", 5\r\n"),
    ROW("9112-6.3 a list of two", ELENGTH, POST "Content-Length: 5", ",6\r\n"),
    ROW("9110-8.6 empty", ELENGTH, POST "Content-Length:", "\r\n"),
    ROW("9110-8.6 blank", ELENGTH, POST "Content-Length:   ", "\r\n"),
    ROW("9110-8.6 plus", ELENGTH, POST "Content-Length: ", "+5\r\n"),
    ROW("9110-8.6 minus", ELENGTH, POST "Content-Length: ", "-5\r\n"),
    ROW("9110-8.6 inner space", ELENGTH, POST "Content-Length: 1", " 0\r\n"),
    ROW("9110-8.6 hexadecimal", ELENGTH, POST "Content-Length: 0", "x10\r\n"),
    ROW("9110-8.6 underscore", ELENGTH, POST "Content-Length: 1", "_0\r\n"),
    ROW("9110-8.6 fraction", ELENGTH, POST "Content-Length: 5", ".0\r\n"),
    ROW("9110-8.6 exponent", ELENGTH, POST "Content-Length: 1", "e2\r\n"),
    ROW("9110-8.6 quoted", ELENGTH, POST "Content-Length: ", "\"5\"\r\n"),
    ROW("9110-8.6 letters", ELENGTH, POST "Content-Length: ", "five\r\n"),
    ROW("9110-8.6 Arabic digit", ELENGTH, POST "Content-Length: ", "\xd9\xa5\r\n"),
    ROW("9110-8.6 superscript two in Latin-1", ELENGTH, POST "Content-Length: ", "\xb2\r\n"),
    ROW("9110-8.6 2^63", ELENGTH, POST "Content-Length: 922337203685477580", "8\r\n"),
    ROW("9110-8.6 2^64 + 5", ELENGTH, POST "Content-Length: 1844674407370955162", "1\r\n"),
    ROW("9110-8.6 forty digits", ELENGTH, POST "Content-Length: 999999999999999999",
        "9999999999999999999999\r\n"),
    /* Transfer-Encoding */
    ROW("9112-6.1 length, then coding (CVE-2022-24761)", ELENGTH_CODING,
        POST "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"),
    ROW("9112-6.1 coding, then length", ELENGTH_CODING, POST "Transfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\n"),
    ROW("9112-6.1 coding and length 0", ELENGTH_CODING, POST "Transfer-Encoding: chunked\r\n",
        "Content-Length: 0\r\n"),
    ROW("9112-6.1 in HTTP/1.0", ECODING_ORDER, "POST / HTTP/1.0\r\n",
        "Transfer-Encoding: chunked\r\n"),
    ROW("9112-6.1 in HTTP/1.0 with a length", ECODING_ORDER,
        "POST / HTTP/1.0\r\nContent-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"),
    ROW("9112-7.1 twice in a list", ECODING_ORDER,
        POST "Transfer-Encoding: ", "chunked, chunked\r\n"),
    ROW("9112-7.1 twice in two fields", ECODING_ORDER, POST "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\n"),
    ROW("9112-6.3 chunked not last", ECODING_ORDER,
        POST "Transfer-Encoding: ", "chunked, gzip\r\n"),
    ROW("9112-6.3 chunked, identity (CVE-2024-1135)", ECODING_ORDER,
        POST "Transfer-Encoding: ", "chunked, identity\r\n"),
    ROW("9112-6.3 chunked, then identity (CVE-2024-1135)", ECODING_ORDER,
        POST "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: identity\r\n"),
    ROW("9112-6.3 chunked in the middle", ECODING_ORDER, POST "Transfer-Encoding: gzip, ",
        "chunked, br\r\n"),
    ROW("9112-6.1 unknown before chunked", ECODING,
        POST "Transfer-Encoding: ", "gzip, chunked\r\n"),
    ROW("9112-6.1 unknown alone", ECODING, POST "Transfer-Encoding: ", "gzip\r\n"),
    ROW("9112-6.1 identity (CVE-2024-6827)", ECODING, POST "Transfer-Encoding: ", "identity\r\n"),
    ROW("9112-6.1 longer word", ECODING, POST "Transfer-Encoding: ", "xchunked\r\n"),
    ROW("9112-6.1 shorter word", ECODING, POST "Transfer-Encoding: ", "chunke\r\n"),
    ROW("9112-6.1 cow (CVE-2024-6827)", ECODING, POST "Transfer-Encoding: ", "cow\r\n"),
    ROW("9112-6.1 unknown with parameters", ECODING, POST "Transfer-Encoding: ", "a;b=\"c\"\r\n"),
    ROW("9112-7.1 parameters of chunked", ECODING_ORDER,
        POST "Transfer-Encoding: ", "chunked;q=1\r\n"),
    ROW("9112-6.1 empty", ECODING_ORDER, POST "Transfer-Encoding:", "\r\n"),
    ROW("9112-6.1 empty first element", ECODING_ORDER, POST "Transfer-Encoding: ", ", chunked\r\n"),
    ROW("9112-6.1 empty last element", ECODING_ORDER, POST "Transfer-Encoding: ", "chunked,\r\n"),
    ROW("9112-6.1 quoted", ECODING_ORDER, POST "Transfer-Encoding: ", "\"chunked\"\r\n"),
    ROW("9112-6.1 two words", ECODING_ORDER, POST "Transfer-Encoding: x ", "chunked\r\n"),
    ROW("9112-6.1 semicolon first", ECODING_ORDER, POST "Transfer-Encoding: ", ";chunked\r\n"),
    ROW("9112-6.1 VT before chunked", EFIELD_VALUE, POST "Transfer-Encoding: ", "\vchunked\r\n"),
    ROW("9112-6.1 NBSP behind chunked", ECODING_ORDER,
        POST "Transfer-Encoding: ", "chunked\xa0\r\n"),
    /* Host */
    ROW("9112-3.2 no Host", EHOST, GET, "\r\n"),
    ROW("9112-3.2 no Host among others", EHOST, GET "X: y\r\n", "\r\n"),
    ROW("9112-3.2 no Host with an absolute target", EHOST, "GET http://a/ HTTP/1.1\r\n", "\r\n"),
    ROW("9112-3.2 two Hosts", EHOST, GET HOST, "Host: b\r\n"),
    ROW("9112-3.2 two equal Hosts", EHOST, GET HOST, "host: a\r\n"),
    ROW("9112-3.2 two Hosts in HTTP/1.0", EHOST, "GET / HTTP/1.0\r\nHost: a\r\n", "Host: a\r\n"),
    ROW("9110-4.2.1 empty Host", EHOST, GET "Host:", "\r\n"),
    ROW("9110-4.2.1 blank Host", EHOST, GET "Host: ", "\r\n"),
    ROW("9110-7.2 port alone", EHOST, GET "Host: ", ":80\r\n"),
    ROW("9110-7.2 space inside", EHOST, GET "Host: a", " b\r\n"),
    ROW("9110-7.2 path behind", EHOST, GET "Host: a", "/b\r\n"),
    ROW("9110-7.2 user information", EHOST, GET "Host: u", "@a\r\n"),
    ROW("9110-7.2 query behind", EHOST, GET "Host: a", "?b\r\n"),
    ROW("9110-7.2 fragment behind", EHOST, GET "Host: a", "#b\r\n"),
    ROW("9110-7.2 backslash", EHOST, GET "Host: a", "\\b\r\n"),
    ROW("9110-7.2 angle bracket", EHOST, GET "Host: ", "<script>\r\n"),
    ROW("9110-7.2 quote", EHOST, GET "Host: a", "\"\r\n"),
    ROW("9110-7.2 obs-text", EHOST, GET "Host: caf", "\xc3\xa9\r\n"),
    ROW("9110-7.2 port no number", EHOST, GET "Host: a:", "b\r\n"),
    ROW("9110-7.2 port with a sign", EHOST, GET "Host: a:", "-1\r\n"),
    ROW("9110-7.2 port too large", EHOST, GET "Host: a:6553", "6\r\n"),
    ROW("9110-7.2 two ports", EHOST, GET "Host: a:80", ":80\r\n"),
    ROW("3986-3.2.2 bare IPv6", EHOST, GET "Host: fe80:", ":1\r\n"),
    ROW("3986-3.2.2 open IPv6", EHOST, GET "Host: [::1", "\r\n"),
    ROW("3986-3.2.2 empty IPv6", EHOST, GET "Host: [", "]\r\n"),
    ROW("3986-3.2.2 half an IPv6", EHOST, GET "Host: [:", "]\r\n"),
    ROW("3986-3.2.2 letters in IPv6", EHOST, GET "Host: [::", "g]\r\n"),
    ROW("3986-3.2.2 bytes behind IPv6", EHOST, GET "Host: [::1]", "x\r\n"),
    ROW("3986-2.1 half an escape", EHOST, GET "Host: a", "%4\r\n"),
    ROW("3986-2.1 no escape", EHOST, GET "Host: a", "%zz\r\n"),
    /* Expect */
    ROW("9110-10.1.1 unknown", EEXPECT, POST "Expect: ", "200-ok\r\n"),
    ROW("9110-10.1.1 empty", EEXPECT, POST "Expect:", "\r\n"),
    ROW("9110-10.1.1 a list", EEXPECT, POST "Expect: ", "100-continue, x\r\n"),
    ROW("9110-10.1.1 parameters", EEXPECT, POST "Expect: ", "100-continue;a\r\n"),
};

static void run(const row *rows, size_t count) {
    q5_h1_limits limits = q5_h1_limits_default();
    for (size_t i = 0; i < count; i++) {
        const row *r = &rows[i];
        char text[512];
        assert_in_range(r->good_len + r->bad_len, 1, sizeof(text));
        memcpy(text, r->good, r->good_len);
        memcpy(text + r->good_len, r->bad, r->bad_len);
        h1_result want = {.status = r->status, .at = r->good_len};
        size_t len = r->good_len + r->bad_len;
        h1_check(&limits, r->why, text, len, want);
        /* No byte more is waited for than the line's end, and for a bare LF none. */
        const char *line_end = memchr(r->bad, '\n', r->bad_len);
        if (line_end == NULL) continue;
        len = r->good_len + (size_t)(line_end - r->bad) + 1;
        h1_expect(r->why, "line, whole", h1_feed(&limits, text, len, len, 1), want);
        h1_expect(r->why, "line, bytes", h1_feed(&limits, text, len, 0, 1), want);
    }
}

static void test_request_lines(void **state) {
    (void)state;
    run(request_lines, Q5_ARRAY_LEN(request_lines));
}

static void test_fields(void **state) {
    (void)state;
    run(fields, Q5_ARRAY_LEN(fields));
}

static void test_framing(void **state) {
    (void)state;
    run(framing, Q5_ARRAY_LEN(framing));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_lines),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_framing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
