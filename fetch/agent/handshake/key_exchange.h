/* SPDX-License-Identifier: Apache-2.0 */
/* How the suites of TLS 1.2 agree on a secret. */
#ifndef KEY_EXCHANGE_H
#define KEY_EXCHANGE_H

#include <stdint.h>

enum key_exchange {
    KEY_EXCHANGE_OTHER, /* without a certificate of the server, static Diffie-Hellman, unknown */
    KEY_EXCHANGE_RSA,   /* the server sends no ServerKeyExchange */
    KEY_EXCHANGE_EPHEMERAL, /* DHE and ECDHE: it sends one */
};

/* suite: its number in the registry "TLS Cipher Suites" of IANA. */
enum key_exchange key_exchange_of(uint32_t suite);

#endif
