#include "client.h"

void q5py_client_text(const q5_exchange *x, char host[Q5_ADDRESS_TEXT_MAX], uint16_t *ret_port) {
    host[0] = 0;
    *ret_port = 0;
    if (x->client) {
        q5_address_format(&x->client->address, host);
        *ret_port = x->client->port;
    } else if (x->conn) {
        q5_server_peer(x->conn, host, ret_port);
    }
}

/* As another host says it. What is no address (a Unix socket's name) is not known. */
static int told_address(q5py_pass *pass, q5_address *ret_address) {
    char host[Q5_ADDRESS_TEXT_MAX];
    if (q5py_pass_client(pass, host)) return -1;
    *ret_address = (q5_address){0};
    q5_address_parse(q5_slice_make(host, strlen(host)), ret_address);
    return 0;
}

int q5py_pass_address(q5py_pass *pass, q5_address *ret_address) {
    const q5_exchange *x = pass->x;
    uint16_t port;
    if (x->is_detached) return told_address(pass, ret_address);
    *ret_address = (q5_address){0};
    if (x->client)
        *ret_address = x->client->address;
    else if (x->conn)
        q5_server_peer_address(x->conn, ret_address, &port);
    return 0;
}
