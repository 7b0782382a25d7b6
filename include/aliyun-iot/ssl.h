/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For programs that make their own SSL_CTX, or are handed one by a library:
 *
 *     curl_easy_setopt(handle, CURLOPT_SSL_CTX_FUNCTION, callback);
 *     mosquitto_void_option(mosquitto, MOSQ_OPT_SSL_CTX, ssl_ctx);
 *
 * No openssl.cnf is needed, and no provider in the program's library contexts.
 */
#ifndef ALIYUN_IOT_SSL_H
#define ALIYUN_IOT_SSL_H

#include <openssl/ssl.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Makes a device's identity the certificate that connections of ssl_ctx present: the leaf, the
 * intermediates (which programs that load certificate and key by themselves do not send) and the
 * private key, all of one answer of the cloud. Resolves the URI as aliyun_iot_identity_resolve()
 * does, with the settings of aliyun-iot.conf(5), and may block as long.
 *
 * ssl_ctx: of any library context, whose algorithms and properties are used to sign. It keeps no
 *     link to the URI: call again for a certificate that was renewed. Not to be used by another
 *     thread during the call. What it has for keys of another type stays.
 * uri, not NULL: aliyun-iot:[//]PRODUCT_KEY/DEVICE_NAME[?instance=ID][&region=ID]
 * Returns 1; or 0 with one error on OpenSSL's queue, its reason being one of
 * enum aliyun_iot_reason, and ssl_ctx as it was.
 */
int aliyun_iot_use_identity(SSL_CTX *ssl_ctx, const char *uri);

#ifdef __cplusplus
}
#endif

#endif
