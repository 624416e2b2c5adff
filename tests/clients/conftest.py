"""Servers for the client tests: the built binary, on free ports, with data folders of its own."""

import base64
import functools
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("ATHENA_FLIGHT_BIN", ROOT / "target" / "debug" / "athena-flight"))


class Process:
    """A started athena-flight that has said it is ready."""

    def __init__(self, arguments, env, log):
        self.log = open(log, "ab")
        self.process = subprocess.Popen(
            [str(BINARY), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=env,
            text=True,
        )
        line = self.process.stdout.readline()
        if not line.startswith("ready: "):
            self.process.wait()
            raise RuntimeError(f"{arguments} did not start: {line!r}, see {log}: {Path(log).read_text()[-2000:]}")
        self.ready = line
        urls = re.findall(r"(?:grpc(?:\+tls)?|http)://[\d.:]+", line)
        self.url, self.endpoint = urls[0], urls[-1]

    def stop(self, number=signal.SIGTERM):
        """Sends a signal and gives the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(timeout=30)
        self.process.stdout.close()
        self.log.close()
        return code


# Secrets that tests gave to servers. At the end no log may have one.
CANARIES = set()


def canary(text):
    """A secret that must not be seen anywhere."""
    CANARIES.add(text)
    return text


def no_secrets(call):
    """A call whose errors have no secret either."""

    @functools.wraps(call)
    def checked(*arguments, **options):
        try:
            return call(*arguments, **options)
        except Exception as error:
            assert not [secret for secret in CANARIES if secret in str(error)], "a secret in an error"
            raise

    return checked


# All that can be logged, but for what the engine of the embedded endpoint says of its plans and files.
EVERYTHING = "trace,datafusion=warn,parquet=warn,sqlparser=warn"


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """Starts athena-flight with the given arguments; everything started is stopped at the end, and its log searched."""
    home = tmp_path_factory.mktemp("home")
    started = []

    def start(*arguments, home=home, **more):
        env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ATHENA_FLIGHT_"))}
        env |= {"XDG_DATA_HOME": str(home / "data"), "HOME": str(home), "ATHENA_FLIGHT_LOG": EVERYTHING} | more
        process = Process(arguments, env, home / "log")
        process.home = home
        started.append(process)
        return process

    yield start
    for process in started:
        if process.process.poll() is None:
            process.stop(signal.SIGKILL)
    for log in {process.home / "log" for process in started}:
        text = log.read_text(errors="replace") if log.exists() else ""
        seen = [secret for secret in CANARIES if secret in text or base64.b64encode(secret.encode()).decode() in text]
        assert not seen, f"{log} has {seen}"


@pytest.fixture(scope="session")
def demo(start):
    """`serve --demo`."""
    return start("serve", "--demo", "--listen", "127.0.0.1:0")


@pytest.fixture(scope="session")
def demo_files(demo):
    """The folder with the Parquet files of the demo's tables."""
    return demo.home / "data/athena-flight/demo/buckets/athena-flight-demo/tpch-sf0.01"


@pytest.fixture(scope="session")
def emulator(start, tmp_path_factory):
    """`emulator --demo`, for AWS's own clients."""
    return start("emulator", "--demo", "--data", tmp_path_factory.mktemp("emulator"), "--listen", "127.0.0.1:0")


@pytest.fixture(scope="module")
def moto():
    """moto's server."""
    server = subprocess.Popen(
        [sys.executable, "-c", "from moto.server import main; main(['-H', '127.0.0.1', '-p', '0'])"],
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in server.stderr:
        if "Running on" in line:
            url = line.split()[-1]
            break
    else:
        raise RuntimeError("moto did not start")
    # It logs every request; nobody reading would stop it when the pipe is full.
    drain = threading.Thread(target=server.stderr.read, daemon=True)
    drain.start()
    yield url
    server.kill()
    server.wait()
    drain.join()
    server.stderr.close()


def aws(endpoint):
    """Arguments for boto3 clients of an endpoint."""
    return {
        "endpoint_url": endpoint,
        "region_name": "us-east-1",
        "aws_access_key_id": "any",
        "aws_secret_access_key": "any",
    }
