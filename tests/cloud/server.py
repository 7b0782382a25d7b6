# SPDX-License-Identifier: Apache-2.0
"""HTTP under the gateway and the control interface: HTTP/1.1, kept alive, a thread a connection."""
import email.utils
import http.server
import itertools
import json
import socketserver
import ssl
import threading
import time
import urllib.parse

from faults import misbehave
from gateway import STATUS, Request, encode, gateway_error, product_error

BODY_MAX = 1 << 20
counter = itertools.count(1)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 512

    def __init__(self, port, handler, cloud, context=None):
        self.cloud = cloud
        self.context = context
        super().__init__(("127.0.0.1", port), handler)

    def handle_error(self, request, client_address):
        """A client that goes away in the middle is nothing to report."""


class RequestLog:
    """Requests as dictionaries, and as lines of a file. Thread-safe.

    A request that is still being answered when the log is reset belongs to the time before: a test
    must not see the slow request of another.
    """

    def __init__(self, path):
        self.lock = threading.Lock()
        self.file = open(path, "a", buffering=1)
        self.requests = []
        self.connections = 0
        self.resets = 0

    def add(self, resets, entry):
        """resets: how often the log had been reset when the request came."""
        with self.lock:
            if resets == self.resets:
                self.requests.append(entry)
            self.file.write(json.dumps(entry) + "\n")

    def reset(self):
        with self.lock:
            self.resets += 1
            self.requests = []
            self.connections = 0


class GatewayHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def setup(self):
        # The handshake belongs to this connection's thread: a silent client stops nobody else.
        self.request.settimeout(60)
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        self.connection_id = next(counter)
        self.server.cloud.log.connections += 1
        super().setup()

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate(self.server.cloud.gateway.now(), usegmt=True)

    def version_string(self):
        return "stand-in"

    def serve(self):
        cloud = self.server.cloud
        size = self.headers.get("Content-Length", "0")
        if not size.isdigit() or int(size) > BODY_MAX or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self.send_error(400)
            return
        begun, resets = time.time(), cloud.log.resets
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        body = self.rfile.read(int(size))
        try:
            request = Request(self.command, self.path, headers, body)
        except ValueError:
            self.close_connection = True
            self.send_error(400)
            return
        status, headers, body, root = cloud.answer(request)
        fault = cloud.faults.take(request.log.get("action"), request.log.get("device"))
        if fault and "code" in fault:
            status, headers, body, root = self.coded_fault(fault, request)
            request.log["code"] = fault["code"]
        elif fault:
            request.log["fault"] = next(iter(fault))
            if "merge" in fault:
                merge(body, fault["merge"])
                fault = None
            elif "delay" in fault:
                time.sleep(fault["delay"])
                fault = None
            elif "together" in fault:
                cloud.faults.wait_together(fault["together"])
                fault = None
        kind, payload = encode(body, root, request.wants_json)
        cloud.log.add(resets, {"time": begun, "method": self.command, "path": request.path,
                               "http_status": status, "connection": self.connection_id,
                               "json": request.wants_json, **request.log})
        if fault and "code" not in fault:
            self.close_connection = True
            misbehave(fault, self.request, payload)
            return
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(payload)))
        self.send_header("x-acs-request-id", request.log["request_id"])
        for name, value in headers:
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(payload)

    @staticmethod
    def coded_fault(fault, request):
        """An error with a code of the test's choice, in either envelope."""
        headers = [("x-acs-retry-after", fault["retry_after"])] if "retry_after" in fault else []
        code, message = fault["code"], fault.get("message", "ordered by a test")
        if fault.get("envelope") == "product":
            return 200, headers, product_error(request, code, message), "QueryDeviceCertResponse"
        status = fault.get("status", STATUS.get(code, 400))
        return status, headers, gateway_error(request, code, message), "Error"

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = serve


def merge(target, changes):
    """Changes a dictionary in depth; None removes a name."""
    for name, value in changes.items():
        if value is None:
            target.pop(name, None)
        elif isinstance(value, dict) and isinstance(target.get(name), dict):
            merge(target[name], value)
        else:
            target[name] = value


class ControlHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urllib.parse.unquote(self.path).strip("/").split("/")
        try:
            answer = self.server.cloud.control(self.command, path, json.loads(body or "{}"))
            status = 200
        except Exception as error:  # A test that orders nonsense is told so.
            answer, status = {"error": repr(error)}, 400
        payload = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_DELETE = serve


def tls_context(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context
