"""The load tests at full size, again and again: `make soak` (20 minutes unless SOAK_MINUTES says otherwise), outside of CI.

Each round: a thousand statements at once at Athena's published quotas, a burst of 500 beside a user with two at a time, 200 nested
results, and then, beside 32 paused readers, 10 paused UNLOAD readers, idle connections, silent TLS-less clients and wrong
passwords, another user who signs in and reads. It says what each took, and ends with an error when something was lost.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.flight as fl

import identity
from conftest import BINARY
from load import Load, admin, calls, resident_bytes
from wire import statement

MINUTES = float(os.environ.get("SOAK_MINUTES", "20"))
IDLE_CONNECTIONS = int(os.environ.get("SOAK_CONNECTIONS", "5000"))
DIRECT, UNLOAD = (b"x-athena-result-path", b"direct"), (b"x-athena-result-path", b"unload")
LONG = "select a.* from tpch.lineitem a cross join unnest(sequence(1, 8)) as t (n)"


def start(folder, *arguments, **env):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ATHENA_FLIGHT_"))}
    log = open(folder / f"{arguments[0]}.log", "ab")
    process = subprocess.Popen([str(BINARY), *map(str, arguments)], stdout=subprocess.PIPE, stderr=log, text=True, env=clean | env)
    line = process.stdout.readline()
    assert line.startswith("ready: "), (arguments, line)
    process.url = next(word.rstrip(",") for word in line.split() if "://" in word)
    return process


def timed(what, run):
    began = time.monotonic()
    result = run()
    print(f"  {what}: {time.monotonic() - began:.1f} s, {result}", flush=True)


class Soak:
    def __init__(self, endpoint, gateway):
        self.endpoint, self.gateway = endpoint, gateway

    def user(self, name, connections=1):
        return Load(self.gateway.url, (name, f"{name}'s password"), connections=connections)

    def burst(self, texts, **options):
        admin(self.endpoint.url, "calls", "DELETE")
        outcomes = self.user("ann", 20).all_at_once(texts, **options)
        lost = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert not lost, (len(lost), lost[0])
        seen = admin(self.endpoint.url, "calls")
        _, refused = calls(self.endpoint.url)
        assert refused <= 0.02 * seen["count"], (refused, seen["count"])
        return f"{len(texts)} answered, {seen['count']} calls, {refused} throttled"

    def fairness(self):
        waits = []
        with ThreadPoolExecutor(3) as pool:
            burst = pool.submit(self.burst, [f"select {number} as burst" for number in range(500)], headers=[DIRECT])
            bob = self.user("bob", 2)

            def one(worker):
                number = 0
                while not burst.done():
                    began = time.monotonic()
                    bob.rows(f"select {number} as bob_{worker}", worker, headers=[DIRECT])
                    waits.append(time.monotonic() - began)
                    number += 1

            for worker in [pool.submit(one, worker) for worker in range(2)]:
                worker.result()
        return f"{burst.result()}; the other's {len(waits)} took {statistics.median(waits):.2f} s in the median, none lost"

    def siege(self):
        before, held, stop = resident_bytes(self.gateway.pid), [], threading.Event()
        ann, host = self.user("ann", 4), self.gateway.url.split("://")[1]
        for header, count in ((DIRECT, 32), (UNLOAD, 10)):
            options = ann.options(headers=[header])
            ticket = ann.clients[0].get_flight_info(statement(LONG), options).endpoints[0].ticket
            for number in range(count):
                reader = ann.clients[number % 4].do_get(ticket, options)
                reader.read_chunk()
                held.append(reader)
        address = (host.rsplit(":", 1)[0], int(host.rsplit(":", 1)[1]))
        idle = [socket.create_connection(address) for _ in range(IDLE_CONNECTIONS)]

        def guess(number):
            while not stop.is_set():
                try:
                    Load(self.gateway.url, ("bob", f"guess {number}"))
                except Exception:
                    continue

        guessing = [threading.Thread(target=guess, args=(number,), daemon=True) for number in range(70)]
        for thread in guessing:
            thread.start()
        time.sleep(2)
        began = time.monotonic()
        carol = self.user("carol")
        signed_in = time.monotonic() - began
        table = carol.rows("select l_orderkey from tpch.lineitem limit 3000", headers=[DIRECT])
        read = time.monotonic() - began - signed_in
        assert table.num_rows == 3000
        peak = resident_bytes(self.gateway.pid)
        stop.set()
        for connection in idle:
            connection.close()
        for thread in guessing:
            thread.join()
        del held, reader, ann
        # The allocator gives back what has not been used for some seconds.
        time.sleep(15)
        after = resident_bytes(self.gateway.pid)
        mib = lambda count: f"{count >> 20} MiB"
        return f"signed in in {signed_in:.2f} s, 3,000 rows in {read:.2f} s; {mib(before)} before, {mib(peak)}, {mib(after)} after"


def main():
    folder = Path(tempfile.mkdtemp(prefix="athena-flight-soak-"))
    for name in ("ann", "bob", "carol"):
        identity.user(folder / "users", name, f"{name}'s password")
    home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    endpoint = start(folder, "emulator", "--demo", "--data", folder / "data", "--listen", "127.0.0.1:0", "--quotas",
                     "--concurrent-queries", "25", **home)
    gateway = start(folder, "serve", "--endpoint-url", endpoint.url, "--region", "us-east-1", "--listen", "127.0.0.1:0",
                    "--users-file", folder / "users", "--max-connections-per-peer", "10000",
                    AWS_ACCESS_KEY_ID="any", AWS_SECRET_ACCESS_KEY="any", **home)
    soak, end, rounds = Soak(endpoint, gateway), time.monotonic() + MINUTES * 60, 0
    try:
        while rounds == 0 or time.monotonic() < end:
            rounds += 1
            print(f"round {rounds}", flush=True)
            timed("burst", lambda: soak.burst(["select n_name from tpch.nation"] * 1000))
            timed("fairness", soak.fairness)
            timed("nested", lambda: soak.burst([f"select array['a, {number}'] as x, {rounds} as r" for number in range(200)]))
            timed("siege", soak.siege)
    finally:
        for process in (gateway, endpoint):
            process.terminate()
        codes = gateway.wait(timeout=60), endpoint.wait(timeout=60)
        print("exit codes", codes, "logs in", folder)
    sys.exit(any(codes))


if __name__ == "__main__":
    main()
