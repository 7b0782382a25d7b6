# SPDX-License-Identifier: Apache-2.0
"""Programs in JavaScript, PHP and Ruby connect as a device."""
import textwrap

import pytest

from clients import needs, needs_curl_with_providers
from machine import PRODUCTS, THROUGH_AGENT

row = pytest.mark.row

NODE = """\
const crypto = require('crypto'), fs = require('fs'), https = require('https')
const [ca, certificate, key, url] = process.argv.slice(1)
const options = {ca: fs.readFileSync(ca), cert: fs.readFileSync(certificate), %s}
https.get(url, options, answer => answer.pipe(process.stdout))
"""

PHP_STREAM = textwrap.dedent("""\
    [, $ca, $identity, $url] = $argv;
    $context = stream_context_create(['ssl' => ['cafile' => $ca, 'local_cert' => $identity]]);
    $answer = file_get_contents($url, false, $context);
    echo $answer;
    exit($answer === false ? 1 : 0);
""")

PHP_CURL = textwrap.dedent("""\
    [, $ca, $identity, $url] = $argv;
    $curl = curl_init($url);
    curl_setopt($curl, CURLOPT_CAINFO, $ca);
    curl_setopt($curl, CURLOPT_SSLCERT, $identity);
    if (curl_exec($curl) === false) {
        fwrite(STDERR, curl_error($curl));
        exit(1);
    }
""")

PHP_CURL_URI = PHP_CURL.replace("curl_setopt($curl, CURLOPT_SSLCERT, $identity);\n", """\
curl_setopt($curl, CURLOPT_SSLENGINE, 'aliyun-iot-provider');
curl_setopt($curl, CURLOPT_SSLCERTTYPE, 'PROV');
curl_setopt($curl, CURLOPT_SSLCERT, $identity);
curl_setopt($curl, CURLOPT_SSLKEYTYPE, 'PROV');
curl_setopt($curl, CURLOPT_SSLKEY, $identity);
""")

RUBY = textwrap.dedent("""\
    require 'net/http'
    require 'openssl'
    ca, identity, url = ARGV
    uri = URI(url)
    http = Net::HTTP.new(uri.host, uri.port)
    http.use_ssl = true
    http.ca_file = ca
    http.cert = OpenSSL::X509::Certificate.new(File.read(identity))
    http.key = OpenSSL::PKey.read(File.read(identity))
    puts http.get('/').body
""")


def assert_runs(device, web, *command):
    done = device.machine.run(*command)
    assert done.returncode == 0, done.stderr
    device.assert_connected(web, done.stderr)


def node(device, web, certificate, key, key_option):
    assert_runs(device, web, "node", "--openssl-shared-config", "-e", NODE % key_option, device.ca,
                certificate, key, web.url)


@row("node", "PEM identity file")
def test_node_connects_with_a_pem_identity_file(device, web):
    identity = device.identity()
    node(device, web, identity, identity, "key: fs.readFileSync(key)")


@row("node", "URI")
def test_node_connects_by_uri(device, web):
    """Its TLS takes no key object, so the key is written as PEM, in memory."""
    needs("node", "24.21", "keys from a URL")
    arguments = (device, web, device.identity(), device.uri,
                 "key: crypto.createPrivateKey(new URL(key)).export({type: 'pkcs8', format: 'pem'})")
    if THROUGH_AGENT:
        # Such a key is not to be had as text. The words are libcrypto's.
        with pytest.raises(AssertionError, match="illegal zero content"):
            node(*arguments)
        pytest.skip("the key is in the agent, and node would write it as PEM")
    node(*arguments)


@row("node", "engine")
def test_node_connects_by_engine(engine, device, web):
    node(device, web, device.identity(), device.uri,
         "privateKeyEngine: 'aliyun-iot', privateKeyIdentifier: key")


@row("PHP streams", "PEM identity file")
def test_a_stream_of_php_connects_with_a_pem_identity_file(device, web):
    assert_runs(device, web, "php", "-r", PHP_STREAM, device.ca, device.identity(), web.url)


@row("PHP curl", "PEM identity file")
def test_curl_of_php_connects_with_a_pem_identity_file(device, web):
    assert_runs(device, web, "php", "-r", PHP_CURL, device.ca, device.identity(), web.url)


@row("PHP curl", "URI")
def test_curl_of_php_connects_by_uri(device, web):
    needs_curl_with_providers(device.machine)
    assert_runs(device, web, "php", "-r", PHP_CURL_URI, device.ca, device.uri, web.url)


@row("ruby", "PEM identity file")
@pytest.mark.skipif(THROUGH_AGENT, reason="ruby reads RSA and EC keys itself, and looks for private parts")
def test_ruby_connects_with_a_pem_identity_file(device, web):
    assert_runs(device, web, "ruby", "-e", RUBY, device.ca, device.identity(), web.url)


@pytest.mark.skipif(not THROUGH_AGENT, reason="a key that is data is read whatever its type")
@pytest.mark.parametrize("name, connects", [("RSA", False), ("EC", False), ("Ed25519", True)])
def test_ruby_connects_with_an_ed25519_key_that_is_in_an_agent(device, web, name, connects):
    """It looks for private parts in RSA and EC keys itself."""
    device.uri = f"aliyun-iot://{PRODUCTS[name]}/{device.name}"
    device.serial = device.cloud.serial(PRODUCTS[name], device.name)
    done = device.machine.run("ruby", "-e", RUBY, device.ca, device.identity(), web.url)
    assert (done.returncode == 0) == connects, done.stderr
    assert web.serials == ([device.serial] if connects else []), done.stderr
