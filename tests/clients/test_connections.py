"""Connections that say nothing, or too little, keep nobody out; those that work are left alone. HTTP/2 by hand, for what no
client does."""

import re
import resource
import select
import socket
import struct
import subprocess
import time

import pytest
from adbc_driver_flightsql import DatabaseOptions, dbapi

from conftest import BINARY
from identity import Authority

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, GOAWAY = 0, 1, 4, 6, 7
INITIAL_WINDOW_SIZE = 4
END_STREAM, END_HEADERS, ACK = 1, 4, 1
LIMIT = 60


@pytest.fixture(scope="module", autouse=True)
def open_files():
    """This process has as many sockets open as the servers."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[1], 8192), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def serve(start, tmp_path):
    def serve(*arguments, **more):
        return start("serve", "--demo", "--demo-scale", "0.001", "--listen", "127.0.0.1:0", *arguments, home=tmp_path, **more)

    return serve


def port(server):
    return int(server.url.rsplit(":")[-1])


def connect(server, source="127.0.0.1"):
    """A connection that says nothing."""
    return socket.create_connection(("127.0.0.1", port(server)), timeout=LIMIT, source_address=(source, 0))


def query(server, **options):
    with dbapi.connect(server.url, db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("select 1")
        return cursor.fetchall()


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


class Client:
    """HTTP/2, as far as it is needed."""

    def __init__(self, server, source="127.0.0.1", settings=b""):
        self.socket, self.streams = connect(server, source), 0
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, settings))
        self.seen = b""

    def call(self, method="DoPut", ends=False):
        """Begins a call without a message."""
        headers = {":method": "POST", ":scheme": "http", ":path": f"/arrow.flight.protocol.FlightService/{method}",
                   ":authority": "localhost", "content-type": "application/grpc", "te": "trailers"}
        block = b"".join(b"\x00" + b"".join(bytes([len(text)]) + text.encode() for text in header) for header in headers.items())
        stream, self.streams = 2 * self.streams + 1, self.streams + 1
        self.socket.sendall(frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0), stream, block))
        return stream

    def use(self):
        """A call from its beginning to its end."""
        stream = self.call("Nothing", ends=True)
        self.until(lambda kind, flags, of: kind == HEADERS and of == stream and flags & END_STREAM)
        return self

    def ping(self):
        """Whether the server still answers, and has said all that it has to say so far."""
        self.socket.sendall(frame(PING, 0, 0, b"athenapi"))
        return self.until(lambda kind, flags, of: kind == PING and flags & ACK)

    def until(self, wanted):
        """The frames up to the wanted one, or `None` when the connection ends before."""
        frames = []
        while True:
            while len(self.seen) >= 9 and len(self.seen) >= 9 + (length := int.from_bytes(self.seen[:3])):
                kind, flags, stream = struct.unpack(">BBI", self.seen[3:9])
                payload, self.seen = self.seen[9 : 9 + length], self.seen[9 + length :]
                frames.append(kind)
                if wanted(kind, flags, stream):
                    return frames
                if kind == PING and not flags & ACK:
                    self.send(frame(PING, ACK, 0, payload))
            try:
                piece = self.socket.recv(65536)
            except ConnectionError:
                piece = b""
            if not piece:
                self.frames = frames
                return None
            self.seen += piece

    def send(self, data):
        try:
            self.socket.sendall(data)
        except ConnectionError:
            pass

    def end(self):
        """The frames before the server closes the connection."""
        assert self.until(lambda *_: False) is None
        return self.frames


def busy(server, source="127.0.0.1"):
    """A connection with a call whose answer has begun, and waits for its client to take more."""
    client = Client(server, source, struct.pack(">HI", INITIAL_WINDOW_SIZE, 0))
    stream = client.call("ListActions")
    client.socket.sendall(frame(DATA, END_STREAM, stream, b"\0" * 5))
    assert client.until(lambda kind, flags, of: kind == HEADERS and of == stream and not flags & END_STREAM)
    return client


def wait_for_end(sockets):
    """Waits until the server has closed all of them."""
    poll, waiting = select.epoll(), {each.fileno(): each for each in sockets}
    for number in waiting:
        poll.register(number, select.EPOLLIN)
    while waiting:
        ready = poll.poll(LIMIT)
        assert ready, f"{len(waiting)} stay open"
        for number, _ in ready:
            try:
                over = not waiting[number].recv(65536)
            except ConnectionError:
                over = True
            if over:
                poll.unregister(number)
                waiting.pop(number).close()


def test_silent_connections_keep_nobody_out(serve):
    server = serve("--max-connections", 200, "--max-connections-per-peer", 200, "--handshake-timeout", 5)
    working = busy(server)
    silent = []
    for _ in range(5):
        silent += [connect(server) for _ in range(300)]
        assert query(server) == [(1,)]
    wait_for_end(silent)
    assert working.ping(), "it has a call under way"
    assert query(server) == [(1,)]


def test_who_goes_first(serve):
    server = serve("--max-connections", 4, "--max-connections-per-peer", 4, "--handshake-timeout", 600)
    used, working, late = Client(server).use(), busy(server), Client(server)
    silent = connect(server)
    late.use()
    fifth = busy(server)
    wait_for_end([silent])
    assert used.ping() and late.ping(), "they have been used, the other one has not"
    sixth = busy(server)
    assert GOAWAY in used.end(), "it was told"
    assert late.ping()
    seventh = busy(server)
    assert GOAWAY in late.end()
    refused = connect(server)
    assert refused.recv(1) == b"", "all are at work"
    assert all(client.ping() for client in (working, fifth, sixth, seventh))
    fifth.socket.close()
    assert working.ping()
    # There is room as soon as the server has seen that.
    until = time.monotonic() + LIMIT
    while not Client(server).ping():
        assert time.monotonic() < until


def test_half_requests_do_not_hold_a_place(serve):
    server = serve("--max-connections", 3, "--max-connections-per-peer", 3)
    working = busy(server)
    halves = [Client(server) for _ in range(2)]
    for half in halves:
        half.call("GetFlightInfo")
        assert half.ping()
    assert query(server) == [(1,)]
    assert working.ping()
    halves[0].end()


def test_a_peer_has_its_share(serve):
    server = serve("--max-connections", 10, "--max-connections-per-peer", 3)
    other = busy(server, "127.0.0.3")
    clients = [busy(server, "127.0.0.2") for _ in range(3)]
    assert connect(server, "127.0.0.2").recv(1) == b"", "it has three with a call"
    assert all(client.ping() for client in [*clients, other, busy(server, "127.0.0.3")])
    # Silent ones of one peer push out each other, and nobody else's.
    silent = [connect(server, "127.0.0.4") for _ in range(50)]
    wait_for_end(silent[:-3])
    assert all(client.ping() for client in [*clients, other])
    assert query(server) == [(1,)]


def test_slow_beginnings_end(serve):
    server = serve("--handshake-timeout", 2)
    slow = connect(server)
    sent = 0
    try:
        for byte in PREFACE + frame(SETTINGS, 0, 0):
            slow.sendall(bytes([byte]))
            sent += 1
            if select.select([slow], [], [], 0.3)[0] and sent > 1 and not slow.recv(65536):
                break
    except ConnectionError:
        pass
    assert sent < len(PREFACE), "it was closed before it was done"
    assert query(server) == [(1,)]


def test_silent_tls_connections_keep_no_client_out(serve, tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.server()
    server = serve("--tls-cert", cert, "--tls-key", key, "--max-connections", 1000, "--max-connections-per-peer", 1000,
                   "--handshake-timeout", 5)
    root = {DatabaseOptions.TLS_ROOT_CERTS.value: authority.path.read_text()}
    silent = [connect(server) for _ in range(600)]
    for number, each in enumerate(silent):
        if number % 2:
            each.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
    assert query(server, **root) == [(1,)]
    assert not select.select(silent, [], [], 0)[0], "none of them was in the way"
    wait_for_end(silent)
    assert query(server, **root) == [(1,)]


def test_idle_connections_and_paused_streams_end(serve):
    server = serve("--idle-timeout", 2)
    used, never_used, paused = Client(server).use(), Client(server), Client(server)
    stream = paused.call()
    for client in (used, never_used):
        assert GOAWAY in client.end()
    # Whoever waits for the rest of a stream is told why the wait has ended.
    assert paused.until(lambda kind, flags, of: kind == HEADERS and of == stream and flags & END_STREAM)
    assert GOAWAY in paused.end()
    with dbapi.connect(server.url, autocommit=True) as connection:
        for _ in range(2):
            with connection.cursor() as cursor:
                cursor.execute("select 1")
                assert cursor.fetchall() == [(1,)]
            # Clients notice, and connect again for the next call.
            assert GOAWAY in Client(server).end()


def test_pings_do_not_make_a_connection_busy(serve):
    server = serve("--idle-timeout", 2)
    client = Client(server)
    pings = 0
    while client.ping():
        pings += 1
        assert pings < 1000
        select.select([], [], [], 0.05)
    assert pings > 2


def open_sockets(server):
    folder = f"/proc/{server.process.pid}/fd"
    return len(subprocess.run(["ls", folder], capture_output=True, text=True, check=True).stdout.split())


def test_files_that_run_out(serve):
    server = serve("--max-connections", 5000, "--max-connections-per-peer", 5000, "--handshake-timeout", 600)
    assert query(server) == [(1,)]
    limit = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (open_sockets(server) + 40, limit[1]))
    silent = [connect(server) for _ in range(200)]
    assert Client(server).use().ping()
    wait_for_end(silent[:100])


def test_a_limit_on_files_is_raised_or_named(tmp_path):
    def stderr(limit):
        command = f'ulimit {limit} && exec "$0" serve --demo --demo-scale 0.001 --listen 127.0.0.1:0 --max-connections 700'
        env = {"XDG_DATA_HOME": str(tmp_path / "data"), "HOME": str(tmp_path)}
        with subprocess.Popen(["sh", "-c", command, BINARY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=env) as process:
            assert process.stdout.readline().startswith("ready")
            process.terminate()
            return process.communicate()[1]

    assert re.search("raised the limit on open files", stderr("-Sn 300"))
    assert re.search(r"may open 300 files, too few for --max-connections 700: raise the limit .* to 1212", stderr("-n 300"))
