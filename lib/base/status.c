#include "q5/status.h"

const char *q5_status_name(int status) {
    switch (status) {
#define XX(name, value, http, text) \
    case value:                     \
        return #name;
        Q5_STATUS_MAP(XX)
#undef XX
    default:
        return "UNKNOWN";
    }
}

const char *q5_status_text(int status) {
    switch (status) {
#define XX(name, value, http, text) \
    case value:                     \
        return text;
        Q5_STATUS_MAP(XX)
#undef XX
    default:
        return "unknown status";
    }
}

int q5_status_http(int status) {
    switch (status) {
#define XX(name, value, http, text) \
    case value:                     \
        return http;
        Q5_STATUS_MAP(XX)
#undef XX
    default:
        return 0;
    }
}
