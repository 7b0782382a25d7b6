/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/handshake/key_exchange.h"

#include <stddef.h>

/*
 * From the registry of IANA: suites of TLS 1.2 in which the server has a certificate. Those with
 * single DES, RC2 or keys for export are left out: no library has offered them with TLS 1.2 since
 * long. A test compares this with libssl.
 */
static const struct {
    uint16_t first, last;
    enum key_exchange exchange;
} ranges[] = {
        {0x0001, 0x0002, KEY_EXCHANGE_RSA},       /* NULL */
        {0x0004, 0x0005, KEY_EXCHANGE_RSA},       /* RC4 */
        {0x0007, 0x0007, KEY_EXCHANGE_RSA},       /* IDEA */
        {0x000A, 0x000A, KEY_EXCHANGE_RSA},       /* 3DES */
        {0x0013, 0x0013, KEY_EXCHANGE_EPHEMERAL}, /* DHE, 3DES */
        {0x0016, 0x0016, KEY_EXCHANGE_EPHEMERAL}, {0x002F, 0x002F, KEY_EXCHANGE_RSA}, /* AES-CBC */
        {0x0032, 0x0033, KEY_EXCHANGE_EPHEMERAL}, {0x0035, 0x0035, KEY_EXCHANGE_RSA},
        {0x0038, 0x0039, KEY_EXCHANGE_EPHEMERAL}, {0x003B, 0x003D, KEY_EXCHANGE_RSA},
        {0x0040, 0x0040, KEY_EXCHANGE_EPHEMERAL}, {0x0041, 0x0041, KEY_EXCHANGE_RSA}, /* Camellia */
        {0x0044, 0x0045, KEY_EXCHANGE_EPHEMERAL}, {0x0066, 0x0067, KEY_EXCHANGE_EPHEMERAL},
        {0x006A, 0x006B, KEY_EXCHANGE_EPHEMERAL}, {0x0084, 0x0084, KEY_EXCHANGE_RSA},
        {0x0087, 0x0088, KEY_EXCHANGE_EPHEMERAL}, {0x0096, 0x0096, KEY_EXCHANGE_RSA}, /* SEED */
        {0x0099, 0x009A, KEY_EXCHANGE_EPHEMERAL}, {0x009C, 0x009D, KEY_EXCHANGE_RSA}, /* AES-GCM */
        {0x009E, 0x009F, KEY_EXCHANGE_EPHEMERAL}, {0x00A2, 0x00A3, KEY_EXCHANGE_EPHEMERAL},
        {0x00BA, 0x00BA, KEY_EXCHANGE_RSA}, /* Camellia, SHA-256 */
        {0x00BD, 0x00BE, KEY_EXCHANGE_EPHEMERAL}, {0x00C0, 0x00C0, KEY_EXCHANGE_RSA},
        {0x00C3, 0x00C4, KEY_EXCHANGE_EPHEMERAL},
        {0xC006, 0xC00A, KEY_EXCHANGE_EPHEMERAL}, /* ECDHE */
        {0xC010, 0xC014, KEY_EXCHANGE_EPHEMERAL}, {0xC023, 0xC024, KEY_EXCHANGE_EPHEMERAL},
        {0xC027, 0xC028, KEY_EXCHANGE_EPHEMERAL}, {0xC02B, 0xC02C, KEY_EXCHANGE_EPHEMERAL},
        {0xC02F, 0xC030, KEY_EXCHANGE_EPHEMERAL}, {0xC03C, 0xC03D, KEY_EXCHANGE_RSA}, /* ARIA */
        {0xC042, 0xC045, KEY_EXCHANGE_EPHEMERAL}, {0xC048, 0xC049, KEY_EXCHANGE_EPHEMERAL},
        {0xC04C, 0xC04D, KEY_EXCHANGE_EPHEMERAL}, {0xC050, 0xC051, KEY_EXCHANGE_RSA},
        {0xC052, 0xC053, KEY_EXCHANGE_EPHEMERAL}, {0xC056, 0xC057, KEY_EXCHANGE_EPHEMERAL},
        {0xC05C, 0xC05D, KEY_EXCHANGE_EPHEMERAL}, {0xC060, 0xC061, KEY_EXCHANGE_EPHEMERAL},
        {0xC072, 0xC073, KEY_EXCHANGE_EPHEMERAL}, /* Camellia */
        {0xC076, 0xC077, KEY_EXCHANGE_EPHEMERAL}, {0xC07A, 0xC07B, KEY_EXCHANGE_RSA},
        {0xC07C, 0xC07D, KEY_EXCHANGE_EPHEMERAL}, {0xC080, 0xC081, KEY_EXCHANGE_EPHEMERAL},
        {0xC086, 0xC087, KEY_EXCHANGE_EPHEMERAL}, {0xC08A, 0xC08B, KEY_EXCHANGE_EPHEMERAL},
        {0xC09C, 0xC09D, KEY_EXCHANGE_RSA}, /* AES-CCM */
        {0xC09E, 0xC09F, KEY_EXCHANGE_EPHEMERAL}, {0xC0A0, 0xC0A1, KEY_EXCHANGE_RSA},
        {0xC0A2, 0xC0A3, KEY_EXCHANGE_EPHEMERAL}, {0xC0AC, 0xC0AF, KEY_EXCHANGE_EPHEMERAL},
        {0xCCA8, 0xCCAA, KEY_EXCHANGE_EPHEMERAL}, /* ChaCha20-Poly1305 */
};

enum key_exchange key_exchange_of(uint32_t suite)
{
    for (size_t index = 0; index < sizeof(ranges) / sizeof(ranges[0]); index++)
        if (suite >= ranges[index].first && suite <= ranges[index].last)
            return ranges[index].exchange;
    return KEY_EXCHANGE_OTHER;
}
