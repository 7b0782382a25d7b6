/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin of the mosquitto broker: writes the serial number (hexadecimal) of each client's
 * certificate to the broker's log, where it is the proof of who connected.
 */
#include <stdio.h>

#include <mosquitto.h>
#if LIBMOSQUITTO_VERSION_NUMBER < 2001000 /* 2.1 has all in one, and warns of the others */
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#endif
#include <openssl/bn.h>
#include <openssl/x509.h>

#define EXPORT __attribute__((visibility("default")))

static int log_certificate(int event, void *event_data, void *unused)
{
    const struct mosquitto_evt_basic_auth *connect = event_data;
    X509 *certificate = mosquitto_client_certificate(connect->client);
    BIGNUM *number =
            certificate ? ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL) : NULL;
    char *serial = number ? BN_bn2hex(number) : NULL;

    (void)event;
    (void)unused;
    mosquitto_log_printf(MOSQ_LOG_NOTICE, "certificate serial %s of client %s",
            serial ? serial : "none", mosquitto_client_id(connect->client));
    OPENSSL_free(serial);
    BN_free(number);
    X509_free(certificate);
    return MOSQ_ERR_SUCCESS;
}

EXPORT int mosquitto_plugin_version(int count, const int *versions)
{
    for (int index = 0; index < count; index++)
        if (versions[index] == MOSQ_PLUGIN_VERSION)
            return MOSQ_PLUGIN_VERSION;
    return -1;
}

EXPORT int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **context,
        struct mosquitto_opt *options, int option_count)
{
    (void)context;
    (void)options;
    (void)option_count;
    return mosquitto_callback_register(
            identifier, MOSQ_EVT_BASIC_AUTH, log_certificate, NULL, NULL);
}

EXPORT int mosquitto_plugin_cleanup(void *context, struct mosquitto_opt *options, int option_count)
{
    (void)context;
    (void)options;
    (void)option_count;
    return MOSQ_ERR_SUCCESS;
}
