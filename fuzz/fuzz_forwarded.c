/* Forwarding fields of both kinds: whom they name is no trusted proxy unless all that was read are;
 * nothing is read outside; what is stripped is gone. The first byte chooses kind and trust, each
 * line is a field. */
#include "q5/forwarded.h"

#include <stdlib.h>

static void split_lines(q5_slice text, q5_head *head, q5_slice name) {
    while (text.len && head->field_count < Q5_FIELDS_MAX) {
        const char *end = memchr(text.base, '\n', text.len);
        size_t len = end ? (size_t)(end - text.base) : text.len;
        head->fields[head->field_count++] =
            (q5_field){.name = name, .value = q5_slice_make(text.base, len)};
        size_t taken = len + (end != NULL);
        text = q5_slice_make(text.base + taken, text.len - taken);
    }
}

static void check_address(const q5_address *address) {
    char text[Q5_ADDRESS_TEXT_MAX];
    q5_address again;
    size_t len = q5_address_format(address, text);
    if (address->len == 0) {
        if (len) abort();
        return;
    }
    if (q5_address_parse(q5_slice_make(text, len), &again)) abort();
    if (again.len != address->len || memcmp(again.bytes, address->bytes, 16) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    static const q5_slice names[] = {{"forwarded", 9},
                                     {"x-forwarded-for", 15},
                                     {"x-forwarded-proto", 17},
                                     {"x-forwarded-host", 16}};
    static const q5_slice claims[] = {{"x-scheme", 8}};
    static q5_head head;
    q5_slice text = q5_slice_make((const char *)data + 1, size - 1);
    memset(head.known, 0xff, sizeof(head.known)); /* -1: not sent */
    head.field_count = 0;
    q5_network network = {.base = {.len = 4, .bytes = {10}}, .bits = 8};
    q5_forwarded_policy policy = {
        .networks = &network, .network_count = 1, .claims = claims, .claim_count = 1};
    policy.kind = data[0] & 1 ? Q5_FORWARDED_X : Q5_FORWARDED_RFC_7239;
    for (size_t i = 0; i < Q5_ARRAY_LEN(names); i++)
        split_lines(text, &head, names[i]);
    q5_address peer = {.len = 4, .bytes = {10, 0, 0, 1}};
    q5_client client = {.port = 7};
    if (q5_forwarded_read(&policy, &head, &peer, &client) == Q5_OK) {
        check_address(&client.address);
        if (client.scheme > Q5_SCHEME_HTTPS) abort();
        if (client.host.len && (client.host.base < text.base ||
                                client.host.base + client.host.len > text.base + text.len))
            abort();
    }
    (void)q5_forwarded_strip(&policy, &head, data[0] & 2);
    for (uint16_t i = 0; i < head.field_count; i++)
        if (!(data[0] & 2) || head.fields[i].name.base == names[2].base) abort();
    if (q5_network_parse(text, &network) == Q5_OK) check_address(&network.base);
    return 0;
}
