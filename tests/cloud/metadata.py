# SPDX-License-Identifier: Apache-2.0
"""The metadata service of ECS, and a credentials URI: plain HTTP, as the real ones are."""
import http.server
import json
import secrets
import time

ROLE = "harness-machine"
PREFIX = "/latest/meta-data/ram/security-credentials/"


class Metadata:
    """mode: "both", "hardened" (a token is needed), "plain" (there are no tokens), "stubborn" (there
    are tokens, but they are refused), "none" (no role)."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.mode = "both"
        self.delay = 0
        self.tokens = set()


class MetadataHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def parse_request(self):
        self.resets = self.server.cloud.log.resets
        return super().parse_request()

    def reply(self, status, text):
        self.server.cloud.log.add(self.resets, {
            "time": time.time(), "method": self.command, "path": self.path,
            "action": "Metadata", "http_status": status})
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        metadata = self.server.cloud.metadata
        time.sleep(metadata.delay)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        lifetime = self.headers.get("X-aliyun-ecs-metadata-token-ttl-seconds", "")
        if self.path != "/latest/api/token" or metadata.mode == "plain":
            self.reply(404, "not found")
        elif not lifetime.isdigit() or not 1 <= int(lifetime) <= 21600:
            self.reply(400, "bad request")
        else:
            token = secrets.token_urlsafe(30)
            metadata.tokens.add(token)
            self.reply(200, token)

    def do_GET(self):
        cloud = self.server.cloud
        metadata = cloud.metadata
        time.sleep(metadata.delay)
        token = self.headers.get("x-aliyun-ecs-metadata-token")
        if self.path == "/credentials":
            self.reply(200, json.dumps({"Code": "Success", **cloud.sts.issue(cloud.gateway, 3600)}))
        elif token and metadata.mode == "stubborn":
            self.reply(403, "forbidden")
        elif token not in metadata.tokens and (token or metadata.mode == "hardened"):
            self.reply(403, "forbidden")
        elif metadata.mode == "none" or not self.path.startswith(PREFIX):
            self.reply(404, "not found")
        elif self.path == PREFIX:
            self.reply(200, ROLE + "\n")
        elif self.path == PREFIX + ROLE:
            self.reply(200, json.dumps({"Code": "Success", **cloud.sts.issue(cloud.gateway, 3600),
                                        "LastUpdated": "2026-01-01T00:00:00Z"}))
        else:
            self.reply(404, "not found")
