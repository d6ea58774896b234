/* The request heads of the benchmarks. */
#ifndef Q5_BENCH_HEADS_H
#define Q5_BENCH_HEADS_H

static const char bench_head_small[] = "GET /api/items/42?page=2 HTTP/1.1\r\n"
                                       "Host: localhost:8000\r\n"
                                       "User-Agent: python-httpx/0.28.1\r\n"
                                       "Accept: */*\r\n"
                                       "Accept-Encoding: gzip, deflate, br\r\n"
                                       "Connection: keep-alive\r\n"
                                       "X-Request-Id: 7f9c24e8-3b1a-4c0e-9d0b-0242ac120002\r\n"
                                       "\r\n";

static const char bench_head_browser[] =
    "GET /articles/2024/12/a-quite-readable-slug/?utm_source=feed HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Referer: https://www.example.com/articles/\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: sessionid=0123456789abcdefghijklmnopqrstuv; csrftoken=ABCDEFGHIJKLMNOPQRSTUVWXYZ\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "If-None-Match: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"\r\n"
    "Priority: u=0, i\r\n"
    "\r\n";

#endif
