/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An MQTT client with the Paho library: publishes a message as the device of a PEM identity file.
 *
 *     paho PORT CA_FILE IDENTITY_FILE
 *     paho --version
 */
#include <stdio.h>
#include <string.h>

#include <MQTTClient.h>

static int show_error(const char *message, size_t size, void *unused)
{
    (void)unused;
    fprintf(stderr, "%.*s\n", (int)size, message);
    return 1;
}

static int fail(const char *what, int code)
{
    fprintf(stderr, "paho: %s: %d\n", what, code);
    return 1;
}

static int print_version(void)
{
    for (MQTTClient_nameValue *entry = MQTTClient_getVersionInfo(); entry->name; entry++)
        if (strcmp(entry->name, "Version") == 0)
            printf("Paho C %s\n", entry->value);
    return 0;
}

static int publish(MQTTClient client)
{
    char text[] = "from paho";
    MQTTClient_deliveryToken token;
    int code = MQTTClient_publish(client, "topic", (int)strlen(text), text, 1, 0, &token);

    if (code == MQTTCLIENT_SUCCESS)
        code = MQTTClient_waitForCompletion(client, token, 30000);
    return code;
}

int main(int argument_count, char **arguments)
{
    MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer;
    MQTTClient_SSLOptions tls = MQTTClient_SSLOptions_initializer;
    MQTTClient client;
    char address[64];
    int code;

    if (argument_count == 2 && strcmp(arguments[1], "--version") == 0)
        return print_version();
    if (argument_count != 4)
        return fail("usage: paho PORT CA_FILE IDENTITY_FILE", argument_count);
    snprintf(address, sizeof(address), "ssl://localhost:%s", arguments[1]);
    code = MQTTClient_create(&client, address, "paho", MQTTCLIENT_PERSISTENCE_NONE, NULL);
    if (code != MQTTCLIENT_SUCCESS)
        return fail("create", code);
    tls.trustStore = arguments[2];
    tls.keyStore = arguments[3]; /* without privateKey, the key is looked for here too */
    tls.verify = 1;
    tls.ssl_error_cb = show_error;
    options.ssl = &tls;
    code = MQTTClient_connect(client, &options);
    if (code != MQTTCLIENT_SUCCESS)
        return fail("connect", code);
    code = publish(client);
    if (code != MQTTCLIENT_SUCCESS)
        return fail("publish", code);
    MQTTClient_disconnect(client, 1000);
    MQTTClient_destroy(&client);
    return 0;
}
