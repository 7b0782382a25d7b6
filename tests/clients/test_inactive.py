# SPDX-License-Identifier: Apache-2.0
"""What programs say if the provider is not active is what README.md says that they say."""
import re

import pytest

from machine import ROOT, free_port
from servers import SERVER_PATH

TABLE = (ROOT / "README.md").read_text().partition(
    "| program | what it says if the provider is not active |\n|---|---|\n")[2].partition("\n\n")[0]
ROWS = dict([cell.strip() for cell in line.split("|")[1:-1]] for line in TABLE.splitlines())


def words_of(row):
    return re.findall("`([^`]+)`", ROWS[row].replace("`-d`", ""))


@pytest.fixture
def inactive(device):
    """A machine with a PEM identity file, whose openssl.cnf no longer names the provider."""
    device.pem = device.identity()
    device.machine.environment.update(
        OPENSSL_CONF="/dev/null", PATH=f"{device.machine.environment['PATH']}:{SERVER_PATH}")
    return device


def commands(device, pem, directory):
    port = free_port()
    nginx = directory / "nginx.conf"
    nginx.write_text(f"pid {directory}/pid; error_log stderr; events {{}} http {{ access_log off; "
                     f"client_body_temp_path {directory}; proxy_temp_path {directory}; "
                     f"fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; "
                     f"scgi_temp_path {directory}; server {{ listen 127.0.0.1:{port}; location / {{ "
                     f"proxy_pass https://localhost:1; proxy_ssl_certificate {pem}; "
                     f"proxy_ssl_certificate_key {pem}; }} }} }}")
    stunnel = directory / "stunnel.conf"
    stunnel.write_text(f"foreground = yes\npid =\n[x]\nclient = yes\naccept = 127.0.0.1:{port}\n"
                       f"connect = 127.0.0.1:1\ncert = {pem}\n")
    haproxy = directory / "haproxy.cfg"
    haproxy.write_text("global\n maxconn 10\ndefaults\n timeout connect 5s\n timeout client 5s\n "
                       f"timeout server 5s\nlisten x\n bind 127.0.0.1:{port}\n server web localhost:1 "
                       f"ssl verify required ca-file {device.ca} crt {pem}\n")
    ruby = 'require "openssl"; OpenSSL::PKey.read(File.read(ARGV[0]))'
    php = ('echo file_get_contents($argv[2], false, stream_context_create(["ssl" => ["local_cert" => '
           '$argv[1], "cafile" => $argv[3]]]));')
    node = "tls.createSecureContext({cert: fs.readFileSync(process.argv[1]), key: " \
           "fs.readFileSync(process.argv[1])})"
    return {
        "openssl, with a URI": [["openssl", "storeutl", "-noout", device.uri]],
        "openssl, with a PEM identity file": [["openssl", "pkey", "-noout", "-in", pem]],
        "Python": [["python3", "-c", "import ssl, sys\n"
                    "ssl.create_default_context().load_cert_chain(sys.argv[1])", pem]],
        "nginx": [["nginx", "-t", "-c", nginx]],
        "stunnel": [["stunnel", stunnel]],
        "haproxy": [["haproxy", "-c", "-f", haproxy]],
        "ruby": [["ruby", "-e", ruby, pem]],
        "curl": [["curl", "-sS", "--cacert", device.ca, "--cert", pem, "{web}"]],
        "mosquitto_pub, _sub, _rr": [
            ["mosquitto_pub", "-d", "-h", "localhost", "-p", "{port}", "--cafile", device.ca, "--cert",
             pem, "--key", pem, "-t", "t", "-m", "m"]],
        "PHP": [["php", "-r", php, pem, "{web}", device.ca]],
        "openvpn": [
            ["openvpn", "--client", "--dev", "null", "--proto", "tcp", "--remote", "localhost", "1",
             "--ca", device.ca, "--cert", pem, "--key", pem]],
        "socat, node": [
            ["socat", "-", f"OPENSSL:localhost:{{port}},cafile={device.ca},cert={pem}"],
            ["node", "--openssl-shared-config", "-e", node, pem]],
    }


@pytest.mark.parametrize("row", [row for row in ROWS if row != "psql"])
def test_a_program_without_the_provider_says_what_readme_says(inactive, web, tmp_path, row):
    for command in commands(inactive, inactive.pem, tmp_path)[row]:
        filled = [str(word).replace("{web}", f"https://localhost:{web.port}/")
                  .replace("{port}", str(web.port)) for word in command]
        done = inactive.machine.run(*filled)
        for words in words_of(row):
            assert words in done.stdout + done.stderr, command[0]
