# SPDX-License-Identifier: Apache-2.0
"""Faults that a test orders: what goes wrong, for which requests, how often.

A fault is a dictionary with one key that names it; README.md lists them.
"""
import gzip
import threading
import time


class Faults:
    def __init__(self):
        self.lock = threading.Lock()
        self.orders = []

    def clear(self):
        with self.lock:
            self.orders.clear()

    def order(self, match, times, fault):
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
    elif "many_headers" in fault:
        send(connection, 200, json_type + [(f"X-Padding-{index}", "x" * 1000)
                                           for index in range(fault["many_headers"])] +
             [("Content-Length", len(body))], [body])
    else:
        raise ValueError(f"unknown fault {fault}")
