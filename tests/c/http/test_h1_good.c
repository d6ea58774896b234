/* Heads that must be accepted, and what is read out of each (see h1_dump). */
#include "h1_feed.h"

typedef struct row {
    const char *why;
    const char *text;
    const char *dump;
} row;

#define GET "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

static const row request_lines[] = {
    {"9112-3 the shortest", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET 1.1 / @a keep n=1 [Host=a]"},
    {"9112-3.2 HTTP/1.0 needs no Host", "GET / HTTP/1.0\r\n\r\n", "GET 1.0 / close n=0"},
    {"9112-3.2 HTTP/1.0 with Host", "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
     "GET 1.0 / @a close n=1 [Host=a]"},
    {"9112-2.2 one empty line before", "\r\n" GET HOST "\r\n", "GET 1.1 / @a keep n=1 [Host=a]"},
    {"9112-2.2 two empty lines before", "\r\n\r\n" GET HOST "\r\n",
     "GET 1.1 / @a keep n=1 [Host=a]"},
    {"9110-9 HEAD", "HEAD /x HTTP/1.1\r\n" HOST "\r\n", "HEAD 1.1 /x @a keep n=1 [Host=a]"},
    {"9110-9 PUT", "PUT /x HTTP/1.1\r\n" HOST "\r\n", "PUT 1.1 /x @a keep n=1 [Host=a]"},
    {"9110-9 DELETE", "DELETE /x HTTP/1.1\r\n" HOST "\r\n", "DELETE 1.1 /x @a keep n=1 [Host=a]"},
    {"9110-9 TRACE", "TRACE /x HTTP/1.1\r\n" HOST "\r\n", "TRACE 1.1 /x @a keep n=1 [Host=a]"},
    {"5789 PATCH", "PATCH /x HTTP/1.1\r\n" HOST "\r\n", "PATCH 1.1 /x @a keep n=1 [Host=a]"},
    {"QUERY", "QUERY /x HTTP/1.1\r\n" HOST "\r\n", "QUERY 1.1 /x @a keep n=1 [Host=a]"},
    {"9110-9.1 an unknown method", "PROPFIND /x HTTP/1.1\r\n" HOST "\r\n",
     "PROPFIND 1.1 /x @a keep n=1 [Host=a]"},
    {"9110-9.1 methods are case-sensitive", "get / HTTP/1.1\r\n" HOST "\r\n",
     "get 1.1 / @a keep n=1 [Host=a]"},
    {"9110-5.6.2 every kind of token byte", "!#$%&'*+-.^_`|~09azAZ / HTTP/1.1\r\n" HOST "\r\n",
     "!#$%&'*+-.^_`|~09azAZ 1.1 / @a keep n=1 [Host=a]"},
    /* origin-form */
    {"9112-3.2.1 path and query", "GET /a/b%20c?x=1&y=2 HTTP/1.1\r\n" HOST "\r\n",
     "GET 1.1 /a/b%20c ?x=1&y=2 @a keep n=1 [Host=a]"},
    {"3986-3.4 empty query", "GET /a? HTTP/1.1\r\n" HOST "\r\n",
     "GET 1.1 /a ? @a keep n=1 [Host=a]"},
    {"3986-3.4 question marks in the query", "GET /a?b?c?? HTTP/1.1\r\n" HOST "\r\n",
     "GET 1.1 /a ?b?c?? @a keep n=1 [Host=a]"},
    {"3986-3.3 two slashes are a path", "GET //b.example/c HTTP/1.1\r\n" HOST "\r\n",
     "GET 1.1 //b.example/c @a keep n=1 [Host=a]"},
    {"3986-3.3 a URL as path", "GET /http://b/ HTTP/1.1\r\n" HOST "\r\n",
     "GET 1.1 /http://b/ @a keep n=1 [Host=a]"},
    {"dots stay, the router judges them", "GET /../a/./b HTTP/1.1\r\n" HOST "\r\n",
     "GET 1.1 /../a/./b @a keep n=1 [Host=a]"},
    {"broken escapes stay, the router judges them", "GET /%zz%00 HTTP/1.1\r\n" HOST "\r\n",
     "GET 1.1 /%zz%00 @a keep n=1 [Host=a]"},
    {"what browsers send unescaped", "GET /a|b^c{d}\"e\\?q=[1]|'x'<> HTTP/1.1\r\n" HOST "\r\n",
     "GET 1.1 /a|b^c{d}\"e\\ ?q=[1]|'x'<> @a keep n=1 [Host=a]"},
    {"a target longer than two vectors",
     "GET /0123456789abcdef0123456789abcdef0123456789abcdef0123456789?abc HTTP/1.1\r\n" HOST "\r\n",
     "GET 1.1 /0123456789abcdef0123456789abcdef0123456789abcdef0123456789 ?abc @a keep n=1 "
     "[Host=a]"},
    /* absolute-form */
    {"9112-3.2.2 the target's host wins", "GET http://b.example:81/c?d HTTP/1.1\r\n" HOST "\r\n",
     "GET 1.1 /c ?d @b.example:81 keep n=1 [Host=a]"},
    {"9110-4.2.2 https", "GET https://b/c HTTP/1.1\r\n" HOST "\r\n",
     "GET 1.1 /c @b keep n=1 [Host=a]"},
    {"9110-4.2.3 the scheme's case", "GET HTTPS://B/c HTTP/1.1\r\n" HOST "\r\n",
     "GET 1.1 /c @B keep n=1 [Host=a]"},
    {"9110-4.2.3 empty path", "GET http://b HTTP/1.1\r\n" HOST "\r\n",
     "GET 1.1 / @b keep n=1 [Host=a]"},
    {"9110-4.2.3 empty path with a query", "GET https://b?c HTTP/1.1\r\n" HOST "\r\n",
     "GET 1.1 / ?c @b keep n=1 [Host=a]"},
    {"9112-3.2.2 in HTTP/1.0", "GET http://b/c HTTP/1.0\r\n\r\n", "GET 1.0 /c @b close n=0"},
    {"3986-3.2.2 IPv6", "GET http://[::1]:80/ HTTP/1.1\r\n" HOST "\r\n",
     "GET 1.1 / @[::1]:80 keep n=1 [Host=a]"},
    {"9112-3.2.2 OPTIONS", "OPTIONS http://b HTTP/1.1\r\n" HOST "\r\n",
     "OPTIONS 1.1 / @b keep n=1 [Host=a]"},
    /* the other two */
    {"9112-3.2.3 CONNECT", "CONNECT b.example:443 HTTP/1.1\r\n" HOST "\r\n",
     "CONNECT 1.1  @b.example:443 keep n=1 [Host=a]"},
    {"9112-3.2.3 CONNECT, IPv6", "CONNECT [2001:db8::1]:65535 HTTP/1.1\r\n" HOST "\r\n",
     "CONNECT 1.1  @[2001:db8::1]:65535 keep n=1 [Host=a]"},
    {"9112-3.2.4 OPTIONS *", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
     "OPTIONS 1.1 * @a keep n=1 [Host=a]"},
    {"9110-9.3.7 OPTIONS of a path", "OPTIONS /x HTTP/1.1\r\n" HOST "\r\n",
     "OPTIONS 1.1 /x @a keep n=1 [Host=a]"},
};

static const row fields[] = {
    {"9112-5 no space", GET "Host:a\r\n\r\n", "GET 1.1 / @a keep n=1 [Host=a]"},
    {"9112-5.1 white space on both sides", GET "Host: \t a\t \r\n\r\n",
     "GET 1.1 / @a keep n=1 [Host=a]"},
    {"9110-5.5 empty value", GET HOST "X:\r\n\r\n", "GET 1.1 / @a keep n=2 [Host=a] [X=]"},
    {"9110-5.5 blank value", GET HOST "X:  \t \r\n\r\n", "GET 1.1 / @a keep n=2 [Host=a] [X=]"},
    {"9110-5.5 inner white space stays", GET HOST "X: a \t b\r\n\r\n",
     "GET 1.1 / @a keep n=2 [Host=a] [X=a \t b]"},
    {"9110-5.5 obs-text", GET HOST "X: caf\xc3\xa9 \x80\xff\r\n\r\n",
     "GET 1.1 / @a keep n=2 [Host=a] [X=caf\xc3\xa9 \x80\xff]"},
    {"9110-5.5 colons in a value", GET HOST "X: a:b::c\r\n\r\n",
     "GET 1.1 / @a keep n=2 [Host=a] [X=a:b::c]"},
    {"9110-5.6.2 every kind of name byte", GET HOST "!#$%&'*+-.^`|~09azAZ: x\r\n\r\n",
     "GET 1.1 / @a keep n=2 [Host=a] [!#$%&'*+-.^`|~09azAZ=x]"},
    {"9110-5.3 repeated fields stay apart", GET HOST "X: 1\r\nx: 2\r\nX: 1\r\n\r\n",
     "GET 1.1 / @a keep n=4 [Host=a] [X=1] [x=2] [X=1]"},
    {"9110-5.1 names in any case", GET "hOsT: a\r\ncOnTeNt-LeNgTh: 0\r\n\r\n",
     "GET 1.1 / @a len=0 keep n=2 [hOsT=a] [cOnTeNt-LeNgTh=0]"},
    {"a value of exactly 31, 32 and 33 bytes",
     GET HOST "A: 0123456789abcdef0123456789abcde\r\nB: 0123456789abcdef0123456789abcdef\r\n"
              "C: 0123456789abcdef0123456789abcdef0\r\n\r\n",
     "GET 1.1 / @a keep n=4 [Host=a] [A=0123456789abcdef0123456789abcde] "
     "[B=0123456789abcdef0123456789abcdef] [C=0123456789abcdef0123456789abcdef0]"},
    {"a name longer than a vector", GET HOST "X-0123456789-abcdefghijklmnop: y\r\n\r\n",
     "GET 1.1 / @a keep n=2 [Host=a] [X-0123456789-abcdefghijklmnop=y]"},
    /* Host */
    {"9110-7.2 port", GET "Host: a.example:8000\r\n\r\n",
     "GET 1.1 / @a.example:8000 keep n=1 [Host=a.example:8000]"},
    {"9110-7.2 the largest port", GET "Host: a:65535\r\n\r\n",
     "GET 1.1 / @a:65535 keep n=1 [Host=a:65535]"},
    {"3986-3.2.3 empty port", GET "Host: a:\r\n\r\n", "GET 1.1 / @a: keep n=1 [Host=a:]"},
    {"3986-3.2.2 IPv4", GET "Host: 127.0.0.1\r\n\r\n",
     "GET 1.1 / @127.0.0.1 keep n=1 [Host=127.0.0.1]"},
    {"3986-3.2.2 IPv6", GET "Host: [::ffff:1.2.3.4]:80\r\n\r\n",
     "GET 1.1 / @[::ffff:1.2.3.4]:80 keep n=1 [Host=[::ffff:1.2.3.4]:80]"},
    {"3986-3.2.2 the shortest IPv6", GET "Host: [::]\r\n\r\n",
     "GET 1.1 / @[::] keep n=1 [Host=[::]]"},
    {"3986-3.2.2 reg-name", GET "Host: a_b~c%41!$&'()*+;=\r\n\r\n",
     "GET 1.1 / @a_b~c%41!$&'()*+;= keep n=1 [Host=a_b~c%41!$&'()*+;=]"},
};

static const row framing[] = {
    {"9110-8.6 length", POST "Content-Length: 5\r\n\r\n",
     "POST 1.1 / @a len=5 keep n=2 [Host=a] [Content-Length=5]"},
    {"9110-8.6 zero", POST "Content-Length: 0\r\n\r\n",
     "POST 1.1 / @a len=0 keep n=2 [Host=a] [Content-Length=0]"},
    {"9110-8.6 leading zeros", POST "Content-Length: 0000000000000000000000005\r\n\r\n",
     "POST 1.1 / @a len=5 keep n=2 [Host=a] [Content-Length=0000000000000000000000005]"},
    {"9110-8.6 2^63 - 1", POST "Content-Length: 9223372036854775807\r\n\r\n",
     "POST 1.1 / @a len=9223372036854775807 keep n=2 [Host=a] "
     "[Content-Length=9223372036854775807]"},
    {"9110-8.6 length with GET", GET HOST "Content-Length: 5\r\n\r\n",
     "GET 1.1 / @a len=5 keep n=2 [Host=a] [Content-Length=5]"},
    {"9112-6.3 neither: no body", POST "\r\n", "POST 1.1 / @a keep n=1 [Host=a]"},
    {"9112-7.1 chunked", POST "Transfer-Encoding: chunked\r\n\r\n",
     "POST 1.1 / @a chunked keep n=2 [Host=a] [Transfer-Encoding=chunked]"},
    {"9112-7 codings in any case", POST "transfer-encoding: ChunKED \r\n\r\n",
     "POST 1.1 / @a chunked keep n=2 [Host=a] [transfer-encoding=ChunKED]"},
    {"9112-6.1 the TE field is another", POST "TE: chunked, trailers\r\nContent-Length: 1\r\n\r\n",
     "POST 1.1 / @a len=1 keep n=3 [Host=a] [TE=chunked, trailers] [Content-Length=1]"},
    /* Connection */
    {"9112-9.3 close", GET HOST "Connection: close\r\n\r\n",
     "GET 1.1 / @a close n=2 [Host=a] [Connection=close]"},
    {"9112-9.3 keep-alive in 1.0", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
     "GET 1.0 / keep n=1 [Connection=keep-alive]"},
    {"9112-9.3 Keep-Alive in any case", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
     "GET 1.0 / keep n=1 [Connection=Keep-Alive]"},
    {"9112-9.3 close wins", GET HOST "Connection: keep-alive, close\r\n\r\n",
     "GET 1.1 / @a close n=2 [Host=a] [Connection=keep-alive, close]"},
    {"9112-9.3 close wins in 1.0",
     "GET / HTTP/1.0\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
     "GET 1.0 / close n=2 [Connection=close] [Connection=keep-alive]"},
    {"9110-7.6.1 several fields", GET HOST "Connection: x\r\nConnection: y ,\tCLOSE\r\n\r\n",
     "GET 1.1 / @a close n=3 [Host=a] [Connection=x] [Connection=y ,\tCLOSE]"},
    {"9110-5.6.1 empty elements", GET HOST "Connection: ,, close ,\r\n\r\n",
     "GET 1.1 / @a close n=2 [Host=a] [Connection=,, close ,]"},
    {"9110-7.6.1 a longer word is another", GET HOST "Connection: closed, xclose\r\n\r\n",
     "GET 1.1 / @a keep n=2 [Host=a] [Connection=closed, xclose]"},
    {"9110-7.6.1 empty", GET HOST "Connection:\r\n\r\n",
     "GET 1.1 / @a keep n=2 [Host=a] [Connection=]"},
    /* Upgrade, Expect */
    {"9110-7.8 upgrade", GET HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
     "GET 1.1 / @a keep upgrade n=3 [Host=a] [Connection=Upgrade] [Upgrade=websocket]"},
    {"9110-7.8 in a list, Upgrade first",
     GET HOST "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\r\n",
     "GET 1.1 / @a keep upgrade n=3 [Host=a] [Upgrade=websocket] "
     "[Connection=keep-alive, Upgrade]"},
    {"9110-7.8 not named in Connection", GET HOST "Upgrade: websocket\r\n\r\n",
     "GET 1.1 / @a keep n=2 [Host=a] [Upgrade=websocket]"},
    {"9110-7.8 no Upgrade field", GET HOST "Connection: upgrade\r\n\r\n",
     "GET 1.1 / @a keep n=2 [Host=a] [Connection=upgrade]"},
    {"9110-7.8 ignored in HTTP/1.0",
     "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
     "GET 1.0 / close n=2 [Connection=upgrade] [Upgrade=websocket]"},
    {"9110-10.1.1 expect", POST "Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n",
     "POST 1.1 / @a len=5 keep expect n=3 [Host=a] [Expect=100-Continue] [Content-Length=5]"},
    {"9110-10.1.1 expect, chunked",
     POST "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
     "POST 1.1 / @a chunked keep expect n=3 [Host=a] [Transfer-Encoding=chunked] "
     "[Expect=100-continue]"},
    {"9110-10.1.1 expect without a body", GET HOST "Expect: 100-continue\r\n\r\n",
     "GET 1.1 / @a keep n=2 [Host=a] [Expect=100-continue]"},
    {"9110-10.1.1 expect with an empty body",
     POST "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n",
     "POST 1.1 / @a len=0 keep n=3 [Host=a] [Content-Length=0] [Expect=100-continue]"},
    {"9110-10.1.1 ignored in HTTP/1.0",
     "POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
     "POST 1.0 / len=5 close n=2 [Content-Length=5] [Expect=100-continue]"},
};

static void run(const row *rows, size_t count) {
    q5_h1_limits limits = q5_h1_limits_default();
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(rows[i].text);
        h1_result want = {.status = Q5_OK, .at = len};
        assert_in_range(strlen(rows[i].dump), 1, sizeof(want.dump) - 1);
        strcpy(want.dump, rows[i].dump);
        h1_check(&limits, rows[i].why, rows[i].text, len, want);
        /* Every part of a good head is itself no verdict. */
        for (size_t part = 0; part < len; part++) {
            h1_result got = h1_feed(&limits, rows[i].text, part, part, 1);
            h1_expect(rows[i].why, "cut short", got, (h1_result){.status = Q5_AGAIN});
        }
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
