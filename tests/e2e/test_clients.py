# SPDX-License-Identifier: Apache-2.0
"""Real programs connect as a device that a URI names, and the server sees that device."""
import contextlib
import ssl
import subprocess
import textwrap
import urllib.request

import pytest

from conftest import Machine
from servers import Broker, Nginx, WebServer

RSA = "a1X509rsa00"
PRODUCTS = {"RSA": RSA, "EC": "a1X509ec000", "Ed25519": "a1X509ed000"}
VERSIONS = {"TLS 1.2": (ssl.TLSVersion.TLSv1_2, "-tls1_2"),
            "TLS 1.3": (ssl.TLSVersion.TLSv1_3, "-tls1_3")}


@pytest.fixture
def web(cloud, server_certificate):
    server = WebServer(server_certificate, cloud.device_ca)
    yield server
    server.stop()


@pytest.fixture
def broker(tmp_path, cloud, server_certificate):
    cloud.device_ca.parent.chmod(0o755)
    server = Broker(tmp_path, server_certificate, cloud.device_ca)
    yield server
    server.stop()


def s_client(machine, web, ca, *options):
    return machine.run("openssl", "s_client", "-connect", f"localhost:{web.port}", "-CAfile",
                       ca / "ca.pem", "-verify_return_error", "-quiet", *options,
                       input="GET / HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("version", VERSIONS)
def test_s_client_connects_by_uri(machine, cloud, server_certificate, product, version):
    server = WebServer(server_certificate, cloud.device_ca, VERSIONS[version][0])
    uri = f"aliyun-iot://{PRODUCTS[product]}/device-1"
    done = s_client(machine, server, server_certificate, "-cert", uri, "-key", uri,
                    VERSIONS[version][1])
    server.stop()
    assert server.serials == [cloud.serial(PRODUCTS[product], "device-1")], done.stderr
    assert len(cloud.calls()) == 1


def test_s_client_connects_in_either_order_of_providers(machine_of_each_order, cloud, web,
                                                        server_certificate):
    uri = f"aliyun-iot:{RSA}/device-1"
    done = s_client(machine_of_each_order, web, server_certificate, "-cert", uri, "-key", uri,
                    "-cert_chain", uri)
    assert web.serials == [cloud.serial(RSA, "device-1")], done.stderr
    assert len(cloud.calls()) == 1


def test_certificate_and_key_of_a_connection_are_of_one_fetch_even_without_a_cache(
        machine, cloud, web, server_certificate):
    machine.write_settings(cache="ttl = 0")
    uri = f"aliyun-iot:{RSA}/device-1"
    done = s_client(machine, web, server_certificate, "-cert", uri, "-key", uri,
                    "-cert_chain", uri)
    assert web.serials == [cloud.serial(RSA, "device-1")], done.stderr
    assert len(cloud.calls()) == 1


def test_s_client_sends_the_intermediates(machine, cloud, web, server_certificate):
    uri = "aliyun-iot://a1X509chain/device-1"
    done = s_client(machine, web, server_certificate, "-cert", uri, "-key", uri, "-cert_chain", uri)
    assert web.serials == [cloud.serial("a1X509chain", "device-1")], done.stderr


def test_storeutl_lists_leaf_intermediates_and_key_in_this_order(machine_of_each_order):
    done = machine_of_each_order.run("openssl", "storeutl", "-noout",
                                     "aliyun-iot:a1X509chain/device-1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["0: Certificate", "1: Certificate", "2: Pkey",
                                        "Total found: 3"]


@pytest.mark.parametrize("attribute, expected", [
    ("cert", ["0: Certificate", "Total found: 1"]), ("key", ["0: Pkey", "Total found: 1"])])
def test_the_attribute_object_limits_what_is_found(machine, attribute, expected):
    done = machine.run("openssl", "storeutl", "-noout",
                       f"aliyun-iot:{RSA}/device-1?object={attribute}")
    assert done.stdout.splitlines() == expected


@pytest.mark.parametrize("option, expected", [("-certs", "0: Certificate"), ("-keys", "0: Pkey")])
def test_what_a_program_expects_is_all_it_gets(machine, option, expected):
    done = machine.run("openssl", "storeutl", "-noout", option, f"aliyun-iot:{RSA}/device-1")
    assert done.stdout.splitlines() == [expected, "Total found: 1"]


def test_openssl_lists_the_store_loader(machine):
    done = machine.run("openssl", "list", "-store-loaders", "-provider", "aliyun-iot")
    assert "aliyun-iot @ aliyun-iot" in done.stdout


def test_the_key_is_the_devices_own(machine, cloud):
    for product in PRODUCTS.values():
        done = machine.run("openssl", "pkey", "-in", f"aliyun-iot:{product}/device-1")
        key = cloud.control("GET", f"/device/{product}/device-1")["key"]
        assert done.stdout == key


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("block", ["first", "last"])
def test_curl_connects_with_a_pem_identity_file(machine_of_each_order, cloud, web,
                                                server_certificate, product, block):
    machine = machine_of_each_order
    identity = machine.identity_file(f"aliyun-iot:{PRODUCTS[product]}/device-1")
    if block == "first":
        text = identity.read_text()
        cut = text.index("-----BEGIN ALIYUN-IOT IDENTITY-----")
        identity.write_text(text[cut:] + text[:cut])
    cloud.reset()
    done = machine.run("curl", "-sS", "--cacert", server_certificate / "ca.pem", "--cert", identity,
                       web.url)
    assert done.returncode == 0, done.stderr
    assert web.serials == [cloud.serial(PRODUCTS[product], "device-1")]
    assert len(cloud.calls()) == 1


@pytest.mark.parametrize("product", PRODUCTS)
def test_mosquitto_clients_exchange_a_message(machine, cloud, broker, server_certificate, product):
    identity = machine.identity_file(f"aliyun-iot:{PRODUCTS[product]}/device-1")
    common = ["-h", "localhost", "-p", broker.port, "--cafile", server_certificate / "ca.pem",
              "--cert", identity, "--key", identity, "-t", "topic"]
    subscriber = machine.start("mosquitto_sub", *common, "-C", "1", "-W", "40",
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    broker.await_in_log("Sending SUBACK", subscriber)
    publisher = machine.run("mosquitto_pub", *common, "-m", "a message of the device")
    assert publisher.returncode == 0, publisher.stderr
    assert "a message of the device" in subscriber.communicate(timeout=60)[0]
    assert "Alibaba Cloud IoT Certificate" in broker.log.read_text()
    # One to write the file, and one for each client.
    assert len(cloud.calls()) == 3


PYTHON_CLIENT = textwrap.dedent("""\
    import ssl, sys, urllib.request
    identity, ca, url = sys.argv[1:]
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(identity)
    print(urllib.request.urlopen(url, context=context, timeout=30).read().decode())
""")


def run_python(machine, program, *arguments):
    return machine.run("/usr/bin/python3", "-c", program, *arguments)


def test_python_connects_with_a_pem_identity_file(machine_of_each_order, cloud, web,
                                                  server_certificate):
    machine = machine_of_each_order
    identity = machine.identity_file(f"aliyun-iot:{RSA}/device-1")
    done = run_python(machine, PYTHON_CLIENT, identity, server_certificate / "ca.pem", web.url)
    assert done.returncode == 0, done.stderr
    assert web.serials == [cloud.serial(RSA, "device-1")]


def test_python_raises_an_ssl_error_when_the_identity_cannot_be_had(machine, web,
                                                                    server_certificate):
    identity = machine.identity_file(f"aliyun-iot:{RSA}/device-1")
    done = run_python(machine, PYTHON_CLIENT, identity, server_certificate / "ca.pem", web.url)
    assert done.returncode == 0, done.stderr
    machine.environment["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] = "wrong"
    done = run_python(machine, PYTHON_CLIENT, identity, server_certificate / "ca.pem", web.url)
    assert done.returncode == 1
    assert "ssl.SSLError" in done.stderr
    assert "FileNotFoundError" not in done.stderr


PAHO_CLIENT = textwrap.dedent("""\
    import sys
    import paho.mqtt.client as mqtt
    identity, ca, port = sys.argv[1:]
    try:
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "paho")
    except AttributeError:
        client = mqtt.Client("paho")
    client.tls_set(ca_certs=ca, certfile=identity, keyfile=identity)
    client.on_connect = lambda client, *_: client.publish("topic", "from paho", 1)
    client.on_publish = lambda client, *_: client.disconnect()
    client.connect("localhost", int(port))
    client.loop_forever()
    print("published")
""")


def test_paho_connects_with_a_pem_identity_file(machine, broker, server_certificate):
    identity = machine.identity_file(f"aliyun-iot:{RSA}/device-1")
    done = run_python(machine, PAHO_CLIENT, identity, server_certificate / "ca.pem",
                      str(broker.port))
    assert done.stdout == "published\n", done.stderr


def test_nginx_connects_to_its_upstream_with_a_pem_identity_file(machine, cloud, web,
                                                                 server_certificate):
    identity = machine.identity_file(f"aliyun-iot:{RSA}/device-1")
    cloud.reset()
    nginx = Nginx(machine, f"""location / {{
            proxy_pass {web.url};
            proxy_ssl_name localhost;
            proxy_ssl_trusted_certificate {server_certificate}/ca.pem;
            proxy_ssl_verify on;
            proxy_ssl_certificate {identity};
            proxy_ssl_certificate_key {identity};
        }}""")
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{nginx.port}/", timeout=30).close()
    nginx.stop()
    assert web.serials == [cloud.serial(RSA, "device-1")], nginx.error_log.read_text()
    # The master loads it; the workers, forked from it, ask nobody.
    assert len(cloud.calls()) == 1


def test_a_process_without_a_uri_neither_calls_nor_loads_the_library(machine, cloud):
    done = machine.run("openssl", "list", "-providers",
                       environment={"LD_DEBUG": "files", "LD_DEBUG_OUTPUT":
                                    str(machine.directory / "loaded")})
    assert done.returncode == 0
    assert "Alibaba Cloud IoT device certificates" in done.stdout
    loaded = "".join(path.read_text() for path in machine.directory.glob("loaded.*"))
    assert "aliyun-iot.so" in loaded
    assert "libaliyun-iot.so.0" not in loaded
    assert cloud.calls() == []


@pytest.mark.parametrize("signature", ["acs3", "rpc"])
def test_both_signatures_bring_the_identity(machine, cloud, signature):
    machine.write_settings(f"signature = {signature}")
    done = machine.run("openssl", "storeutl", "-noout", f"aliyun-iot:{RSA}/AZaz09-_@.:")
    assert done.returncode == 0, done.stderr
    call, = cloud.calls()
    assert call["signature"] == signature
    assert call["method"] == "POST"
    assert call["json"]


@pytest.mark.parametrize("signature", ["acs3", "rpc"])
def test_a_temporary_key_is_sent_with_its_token(machine, cloud, signature):
    machine.write_settings(f"signature = {signature}")
    machine.environment.update(ALIBABA_CLOUD_ACCESS_KEY_ID="STS.StandInTemporary00001",
                               ALIBABA_CLOUD_ACCESS_KEY_SECRET="StandInSecretTemporary0000001",
                               ALIBABA_CLOUD_SECURITY_TOKEN="CAISStandInToken+/abc==0001")
    done = machine.run("openssl", "storeutl", "-noout", f"aliyun-iot:{RSA}/device-1")
    assert done.returncode == 0, done.stderr
    assert cloud.calls()[0]["access_key_id"] == "STS.StandInTemporary00001"


@pytest.mark.parametrize("by", ["uri", "settings"])
def test_the_instance_is_named_by_uri_or_settings(machine, cloud, by):
    uri = "aliyun-iot:a1Instance0/device-1"
    if by == "settings":
        machine.write_settings("instance-id = iot-cn-0pp1n8t0001")
    else:
        uri += "?instance=iot-cn-0pp1n8t0001"
    done = machine.run("openssl", "storeutl", "-noout", uri)
    assert done.returncode == 0, done.stderr
    assert cloud.calls()[0]["instance"] == "iot-cn-0pp1n8t0001"


@pytest.mark.parametrize("framing", ["plain", "crlf", "literal-newline", "base64", "base64-lines",
                                     "pkcs8"])
def test_every_framing_of_the_answer_is_read(machine, framing):
    done = machine.run("openssl", "storeutl", "-noout", f"aliyun-iot:a1Framing00/{framing}")
    assert done.stdout.splitlines()[-1] == "Total found: 2", done.stderr


def test_a_new_certificate_is_seen_after_the_time_to_live(machine, cloud):
    """A short time to live, one process: what was stale is refreshed behind its use."""
    machine.write_settings(cache="ttl = 1s", quota="rate = 100")
    program = textwrap.dedent(f"""\
        import ssl, sys, time
        end = time.monotonic() + 60
        before = open(sys.argv[1]).read()
        while time.monotonic() < end:
            try:
                ssl.create_default_context().load_cert_chain(sys.argv[1])
            except ssl.SSLError:
                print("renewed")
                break
            time.sleep(0.6)
    """)
    identity = machine.identity_file("aliyun-iot:a1X509ec000/device-1")
    process = machine.start("/usr/bin/python3", "-c", program, identity, stdout=subprocess.PIPE)
    while len(cloud.calls()) < 2:
        assert process.poll() is None
    cloud.control("POST", "/device/a1X509ec000/device-1", {"reissue": True})
    assert process.communicate(timeout=90)[0] == "renewed\n"


def test_a_file_whose_certificate_is_no_longer_the_devices_says_so(machine, cloud):
    identity = machine.identity_file("aliyun-iot:a1X509ec000/device-1")
    cloud.control("POST", "/device/a1X509ec000/device-1", {"reissue": True})
    done = machine.run("openssl", "pkey", "-noout", "-in", identity)
    assert done.returncode != 0
    assert "does not match" in done.stderr
    assert "aliyun-iot pem" in done.stderr


def test_curl_explains_on_standard_error_when_asked_to(machine, web, server_certificate):
    """curl shows no reason by itself; the trace, switched on from the environment, does."""
    identity = machine.identity_file(f"aliyun-iot:{RSA}/device-1")
    machine.write_settings(trace="level = off")
    done = machine.run("curl", "-sS", "--cacert", server_certificate / "ca.pem", "--cert", identity,
                       web.url, environment={"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "wrong",
                                             "ALIYUN_IOT_TRACE": "stderr"})
    assert done.returncode != 0
    assert "the AccessKey secret is wrong" in done.stderr


def test_settings_are_found_by_the_provider_parameter(tmp_path, cloud):
    machine = Machine(tmp_path, cloud)
    del machine.environment["ALIYUN_IOT_CONFIG"]
    cnf = machine.directory / "openssl.cnf"
    cnf.write_text(cnf.read_text().replace("[aliyun_iot_section]\n",
                                           f"[aliyun_iot_section]\nconfig = {machine.settings}\n"))
    done = machine.run("openssl", "storeutl", "-noout", f"aliyun-iot:{RSA}/device-1")
    assert done.returncode == 0, done.stderr


def test_settings_are_found_in_the_users_configuration_folder(machine):
    del machine.environment["ALIYUN_IOT_CONFIG"]
    folder = machine.home / ".config" / "aliyun-iot"
    folder.mkdir(parents=True)
    machine.settings.rename(folder / "aliyun-iot.conf")
    done = machine.run("openssl", "storeutl", "-noout", f"aliyun-iot:{RSA}/device-1")
    assert done.returncode == 0, done.stderr
