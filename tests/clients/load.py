"""Many statements at once through real Flight clients, for the load tests and the soak."""

import json
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pyarrow.flight as fl

from wire import statement


class Load:
    """Clients of one user, signed in once as drivers do it."""

    def __init__(self, url, user=None, connections=1, **options):
        location = url.replace("grpc://", "grpc+tcp://")
        # Connections of their own: gRPC would share one between clients of the same address.
        self.clients = [
            fl.connect(location, generic_options=[("grpc.use_local_subchannel_pool", 1)], **options) for _ in range(connections)
        ]
        self.headers = [self.clients[0].authenticate_basic_token(*user)] if user else []

    def options(self, headers=(), timeout=None):
        return fl.FlightCallOptions(headers=self.headers + list(headers), timeout=timeout)

    def rows(self, sql, number=0, **options):
        """The result of a statement."""
        client, options = self.clients[number % len(self.clients)], self.options(**options)
        info = client.get_flight_info(statement(sql), options)
        return client.do_get(info.endpoints[0].ticket, options).read_all()

    def all_at_once(self, texts, ended=lambda number, outcome: None, **options):
        """Runs all statements at once, and gives for each its table, or the error that it ended with."""
        ready = threading.Barrier(len(texts))

        def one(number):
            ready.wait()
            try:
                outcome = self.rows(texts[number], number, **options)
            except Exception as error:  # whatever the client makes of it
                outcome = error
            ended(number, outcome)
            return outcome

        with ThreadPoolExecutor(len(texts)) as pool:
            return list(pool.map(one, range(len(texts))))


def admin(endpoint, path, method="GET", document=None):
    """A call of the embedded endpoint's admin API."""
    body = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(f"{endpoint}/_athena-flight/{path}", method=method, data=body)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def calls(endpoint):
    """The calls of Athena's that the endpoint was asked for, by operation, and how many of them it refused for now."""
    by_operation, refused = {}, 0
    for call in admin(endpoint, "calls")["calls"]:
        if call["service"] == "athena":
            by_operation[call["operation"]] = by_operation.get(call["operation"], 0) + 1
            refused += call["status"] == 400
    return by_operation, refused


def resident_bytes(pid):
    """Memory of a process, seen from outside."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


def until(condition, limit=30.0):
    """Waits for an event."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
