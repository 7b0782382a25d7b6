# SPDX-License-Identifier: Apache-2.0
"""Servers that devices connect to: all demand a certificate of the device CA."""
import contextlib
import getpass
import http.server
import re
import resource
import shutil
import ssl
import subprocess
import threading

from machine import BUILD, end_process, free_port, wait_for_port

# A user's PATH need not have where servers are.
SERVER_PATH = "/usr/sbin:/usr/bin:/usr/local/sbin"


class _Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def setup(self):
        # Here, on the connection's own thread, a client that fails harms nobody else.
        self.request.settimeout(30)
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        serial = int(self.request.getpeercert()["serialNumber"], 16)
        self.server.handshakes.append((serial, self.request.version()))
        super().setup()

    def do_GET(self):
        certificate = self.request.getpeercert()
        self.server.seen.append((int(certificate["serialNumber"], 16), self.request.version()))
        body = certificate["serialNumber"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A handshake that fails is what some tests are about."""


class WebServer:
    """HTTPS on localhost. handshakes: (serial, TLS version) of each client that connected; seen: of
    each that also got an answer."""

    def __init__(self, certificate_folder, device_ca, version=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate_folder / "server.pem", certificate_folder / "server.key")
        context.load_verify_locations(device_ca)
        context.verify_mode = ssl.CERT_REQUIRED
        if version:
            context.minimum_version = context.maximum_version = version
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.context = context
        self.server.handshakes = self.handshakes = []
        self.server.seen = self.seen = []
        self.port = self.server.server_address[1]
        self.url = f"https://localhost:{self.port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    @property
    def serials(self):
        return [serial for serial, _ in self.seen]


class Broker:
    """A mosquitto broker on localhost; its log names the certificate of each client."""

    def __init__(self, folder, certificate_folder, device_ca, more=""):
        self.port = free_port()
        self.log = folder / "broker.log"
        configuration = folder / "broker.conf"
        configuration.write_text(f"""\
user {getpass.getuser()}
plugin {BUILD}/tests/clients/broker_log.so
listener {self.port} 127.0.0.1
cafile {device_ca}
certfile {certificate_folder}/server.pem
keyfile {certificate_folder}/server.key
require_certificate true
allow_anonymous true
log_type all
{more}
""")
        # The broker inherits it: each connection takes a descriptor.
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [shutil.which("mosquitto", path=SERVER_PATH), "-c", str(configuration)],
                stdout=log, stderr=log)
        wait_for_port(self.port, self.process)

    @property
    def serials(self):
        return [int(serial, 16) for serial in
                re.findall("certificate serial ([0-9A-F]+) of client", self.log.read_text())]

    def stop(self):
        end_process(self.process)


class Nginx:
    """nginx with a configuration of its own, in the foreground."""

    def __init__(self, machine, server_block, main=""):
        self.port = free_port()
        folder = machine.directory / "nginx"
        folder.mkdir()
        self.error_log = folder / "error.log"
        configuration = folder / "nginx.conf"
        configuration.write_text(f"""\
daemon off;
user {getpass.getuser()};
pid {folder}/nginx.pid;
error_log {self.error_log} info;
env ALIYUN_IOT_CONFIG; env ALIYUN_IOT_MODULES;
env ALIBABA_CLOUD_ACCESS_KEY_ID; env ALIBABA_CLOUD_ACCESS_KEY_SECRET;
env HOME; env XDG_RUNTIME_DIR; env ALIBABA_CLOUD_ECS_METADATA_DISABLED;
env OPENSSL_MODULES; env OPENSSL_ENGINES;
{main}
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{self.port};
        {server_block}
    }}
}}
""")
        self.process = machine.start(shutil.which("nginx", path=SERVER_PATH), "-c", configuration,
                                     "-e", self.error_log, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT)
        wait_for_port(self.port, self.process)

    def stop(self):
        with contextlib.suppress(Exception):
            self.process.stdout.close()
        end_process(self.process)
