# SPDX-License-Identifier: Apache-2.0
"""Faults that a test orders: what goes wrong, for which requests, how often.

A fault is a dictionary with one key that names it, and options; README.md lists them.
"""
import contextlib
import gzip
import threading
import time

# What a fault may have beside its name.
OPTIONS = {
    "code": {"status", "message", "retry_after", "envelope"}, "merge": set(), "delay": set(),
    "together": set(), "drip": set(), "stall_before_headers": set(), "silent": set(),
    "stall_after_headers": set(), "close": set(), "cut": set(), "truncated": set(),
    "raw": {"type", "status"}, "huge": set(), "huge_chunked": set(), "gzip_bomb": set(),
    "depth": set(), "redirect": {"status"}, "many_headers": set(),
    "long_header": set(),
}


def check(match, fault):
    """Raises ValueError for what no request would ever match, and for a fault that is none."""
    unknown = set(match) - {"action", "device"}
    if unknown:
        raise ValueError(f"requests cannot be matched by {sorted(unknown)}")
    names = set(fault) & set(OPTIONS)
    if len(names) != 1:
        raise ValueError(f"a fault has one name of {sorted(OPTIONS)}, this is {fault}")
    name = names.pop()
    unknown = set(fault) - {name} - OPTIONS[name]
    if unknown:
        raise ValueError(f"the fault {name} has no option {sorted(unknown)}")


class Faults:
    def __init__(self):
        self.lock = threading.Lock()
        self.orders = []
        self.barriers = {}

    def clear(self):
        with self.lock:
            self.orders.clear()
            for barrier in self.barriers.values():
                barrier.abort()
            self.barriers.clear()

    def wait_together(self, count):
        """Returns when so many requests wait here, or when the faults are taken back."""
        with self.lock:
            barrier = self.barriers.setdefault(count, threading.Barrier(count))
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait()

    def order(self, match, times, fault):
        check(match, fault)
        with self.lock:
            self.orders.append({"match": match, "left": times, "fault": fault})

    def take(self, action, device):
        """The fault for this request, or None."""
        request = {"action": action, "device": device}
        with self.lock:
            for order in self.orders:
                if all(request.get(name) == value for name, value in order["match"].items()):
                    if order["left"] is not None:
                        order["left"] -= 1
                        if order["left"] == 0:
                            self.orders.remove(order)
                    return order["fault"]
        return None


def send(connection, status, headers, pieces):
    """pieces: bytes to send as they come, or seconds to wait in between."""
    lines = [f"HTTP/1.1 {status} Stand-In"] + [f"{name}: {value}" for name, value in headers]
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    for piece in pieces:
        if isinstance(piece, (int, float)):
            time.sleep(piece)
        else:
            connection.sendall(piece)


def filler(size):
    block = b'{"padding":"' + b"x" * 65000 + b'",'
    while size > 0:
        yield block[:size]
        size -= len(block)


def misbehave(fault, connection, body):
    """Answers with what the fault says instead of body. The connection is closed afterwards."""
    json_type = [("Content-Type", "application/json;charset=utf-8")]
    if "drip" in fault:
        send(connection, 200, json_type + [("Content-Length", len(body))],
             (piece for byte in body for piece in (bytes([byte]), fault["drip"])))
    elif "stall_after_headers" in fault:
        send(connection, 200, json_type + [("Content-Length", len(body))],
             [body[:10], fault["stall_after_headers"]])
    elif "stall_before_headers" in fault:
        time.sleep(fault["stall_before_headers"])
    elif "silent" in fault:
        while connection.recv(4096):
            pass
    elif "cut" in fault:
        send(connection, 200, json_type + [("Content-Length", len(body))],
             [body[:len(body) // 2]])
    elif "close" in fault:
        pass
    elif "raw" in fault:
        raw = fault["raw"].encode("utf-8", "surrogateescape")
        send(connection, fault.get("status", 200),
             [("Content-Type", fault.get("type", "application/json")),
              ("Content-Length", len(raw))], [raw])
    elif "truncated" in fault:
        send(connection, 200, json_type + [("Content-Length", len(body) // 2)],
             [body[:len(body) // 2]])
    elif "huge" in fault:
        send(connection, 200, json_type + [("Content-Length", fault["huge"])],
             filler(fault["huge"]))
    elif "huge_chunked" in fault:
        send(connection, 200, json_type + [("Transfer-Encoding", "chunked")],
             (f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
              for piece in filler(fault["huge_chunked"])))
    elif "gzip_bomb" in fault:
        packed = gzip.compress(b" " * fault["gzip_bomb"], 9)
        send(connection, 200, json_type + [("Content-Encoding", "gzip"),
                                           ("Content-Length", len(packed))], [packed])
    elif "depth" in fault:
        deep = b'{"a":' + b"[" * fault["depth"] + b"]" * fault["depth"] + b"}"
        send(connection, 200, json_type + [("Content-Length", len(deep))], [deep])
    elif "redirect" in fault:
        send(connection, fault.get("status", 302),
             [("Location", fault["redirect"]), ("Content-Length", 0)], [])
    elif "long_header" in fault:
        send(connection, 200, json_type + [("X-Padding", "x" * fault["long_header"]),
                                           ("Content-Length", len(body))], [body])
    elif "many_headers" in fault:
        send(connection, 200, json_type + [(f"X-Padding-{index}", "x" * 1000)
                                           for index in range(fault["many_headers"])] +
             [("Content-Length", len(body))], [body])
