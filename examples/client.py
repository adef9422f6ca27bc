#!/usr/bin/env python3
"""Look at a run of Orrery over its API, with nothing but Python's own library.

    client.py URL TOKEN status       how it is
    client.py URL TOKEN events [N]   the first N events, also those to come (default: all)
    client.py URL TOKEN positions    where every node is now, in degrees and km

The API is docs/api.md; each method takes and gives JSON.
"""

import array
import base64
import http.client
import json
import math
import struct
import sys
import urllib.parse


class Client:
    """A client of one run. It keeps no connection."""

    def __init__(self, url, token):
        parts = urllib.parse.urlsplit(url)
        secure = parts.scheme == "https"
        self._connect = lambda: (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(
            parts.hostname, parts.port, timeout=60
        )
        self._headers = {"Authorization": "Bearer " + token}

    def call(self, method, **request):
        """Call a method such as ControlService/GetStatus, and return its answer."""
        connection = self._connect()
        try:
            headers = {**self._headers, "Content-Type": "application/json"}
            connection.request("POST", "/orrery.v1alpha1." + method, json.dumps(request), headers)
            response = connection.getresponse()
            answer = response.read()
            if response.status != 200:
                raise RuntimeError(_problem(answer, response))
            return json.loads(answer)
        finally:
            connection.close()

    def stream(self, method, **request):
        """Call a method that answers with a stream, and yield its messages."""
        connection = self._connect()
        try:
            body = json.dumps(request).encode()
            headers = {**self._headers, "Content-Type": "application/connect+json"}
            connection.request("POST", "/orrery.v1alpha1." + method, struct.pack(">BI", 0, len(body)) + body, headers)
            connection.sock.settimeout(None)  # the next message may take its time
            response = connection.getresponse()
            if response.status != 200:
                raise RuntimeError(_problem(response.read(), response))
            while head := response.read(5):
                flags, length = struct.unpack(">BI", head)
                message = json.loads(response.read(length))
                if flags & 2:  # the end of the stream
                    if "error" in message:
                        raise RuntimeError(message["error"].get("message", message["error"]["code"]))
                    return
                yield message
        finally:
            connection.close()


def _problem(answer, response):
    try:
        return json.loads(answer)["message"]
    except (ValueError, KeyError):
        return f"{response.status} {response.reason}"


def seconds(duration):
    """A duration such as "1.5s" as a number; an absent one is 0."""
    return float((duration or "0s").removesuffix("s"))


def floats(text):
    """An array of 32-bit floats, little-endian in base64."""
    numbers = array.array("f", base64.b64decode(text))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def status(client):
    s = client.call("ControlService/GetStatus")["status"]
    pairs = s.get("pairs", [])
    reach = sum(p.get("reachable", False) for p in pairs)
    print(f"{s['name']}: {s['phase']}, {seconds(s.get('scenarioTime')):.1f} s of scenario time")
    print(f"{s.get('islLinks', 0)} links between satellites, {s.get('groundLinks', 0)} to the ground")
    print(f"{reach} of {len(pairs)} pairs of stations reach each other")


def events(client, count=math.inf):
    for n, message in enumerate(client.stream("ControlService/WatchEvents", history=True), 1):
        e = message["event"]
        print(f"{seconds(e.get('at')):12.3f}", e["kind"], e.get("a", ""), e.get("b", ""), e.get("text", ""), flush=True)
        if n >= count:
            return


def positions(client):
    nodes = client.call("SkyService/GetInventory")["nodes"]
    now = client.call("ControlService/GetStatus")["status"].get("scenarioTime", "0s")
    places = floats(client.call("SkyService/GetPositions", **{"from": now, "count": 1})["kilometres"])
    for i, node in enumerate(nodes):
        x, y, z = places[3 * i : 3 * i + 3]
        r = math.sqrt(x * x + y * y + z * z)
        print(f"{node['name']:24} {math.degrees(math.asin(z / r)):8.3f} {math.degrees(math.atan2(y, x)):9.3f} {r:10.1f}")


def main():
    commands = {"status": status, "events": events, "positions": positions}
    if len(sys.argv) < 4 or sys.argv[3] not in commands:
        sys.exit(__doc__)
    try:
        commands[sys.argv[3]](Client(sys.argv[1], sys.argv[2]), *map(int, sys.argv[4:]))
    except (OSError, RuntimeError, http.client.HTTPException) as e:
        sys.exit(f"client.py: {e}")


if __name__ == "__main__":
    main()
