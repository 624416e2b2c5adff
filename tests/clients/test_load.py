"""Bursts at the account's quotas: everything is answered, within few calls, and nobody waits for somebody else's burst.

By counts and orders, not by clocks; `make soak` has the same at full size.
"""

import threading

import pytest

import identity
import load
from load import Load, admin

# Small enough that a burst has to wait, and quick enough for a test.
QUOTAS = {"StartQueryExecution": [20, 20]}
DIRECT = (b"x-athena-result-path", b"direct")


@pytest.fixture(scope="module")
def endpoint(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("load")
    return start("emulator", "--demo", "--demo-scale", "0.001", "--data", folder, "--listen", "127.0.0.1:0",
                 "--quotas", "--concurrent-queries", "25", home=folder)


@pytest.fixture(scope="module")
def gateway(start, endpoint, tmp_path_factory):
    home = tmp_path_factory.mktemp("gateway")
    for name in ("ann", "bob"):
        identity.user(home / "users", name, f"{name}'s password")
    return start("serve", "--endpoint-url", endpoint.endpoint, "--region", "us-east-1", "--listen", "127.0.0.1:0",
                 "--users-file", home / "users", "--athena-quota", "StartQueryExecution=20/20",
                 home=home, AWS_ACCESS_KEY_ID="any", AWS_SECRET_ACCESS_KEY="any")


@pytest.fixture
def calls(endpoint):
    """The calls of Athena's that one test makes."""
    admin(endpoint.endpoint, "behaviour", "PUT", {"quotas": True, "concurrent_queries": 25, "calls_per_second": QUOTAS})
    admin(endpoint.endpoint, "calls", "DELETE")
    return lambda: load.calls(endpoint.endpoint)


def user(gateway, name, **options):
    return Load(gateway.url, (name, f"{name}'s password"), **options)


def test_a_burst_beyond_the_quotas_is_answered_within_few_calls(gateway, calls):
    texts = [f"select {number} as n, n_name from tpch.nation" for number in range(120)]
    outcomes = user(gateway, "ann", connections=10).all_at_once(texts)
    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []
    assert [outcome["n"][0].as_py() for outcome in outcomes] == list(range(120))
    by_operation, refused = calls()
    count = sum(by_operation.values())
    # Each is explained and run.
    assert by_operation["StartQueryExecution"] - refused <= 2 * 120
    assert count <= 5 * 2 * 120 and refused <= 0.02 * count + 5, (by_operation, refused)


def test_results_are_typed_whatever_is_throttled(gateway, calls):
    texts = [f"select array['a, {number}', 'b'] as x" for number in range(40)]
    outcomes = user(gateway, "ann", connections=4).all_at_once(texts)
    assert [outcome["x"].to_pylist() for outcome in outcomes] == [[[f"a, {number}", "b"]] for number in range(40)]


def test_a_burst_keeps_nobody_else_waiting(gateway, calls):
    ann, bob = user(gateway, "ann", connections=10), user(gateway, "bob", connections=2)
    lock, ended, left_when_bob_was_done = threading.Lock(), 0, []

    def count(number, outcome):
        nonlocal ended
        with lock:
            ended += 1

    burst = [f"select {number} as burst" for number in range(150)]
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.extend(ann.all_at_once(burst, count, headers=[DIRECT])))
    thread.start()
    load.until(lambda: ended > 0)
    for number in range(10):
        table = bob.rows(f"select {number} as n", headers=[DIRECT])
        assert table["n"].to_pylist() == [number]
    left_when_bob_was_done.append(150 - ended)
    thread.join(timeout=120)
    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == [] and len(outcomes) == 150
    # They take turns: each of bob's waits for some of ann's, never for all.
    assert left_when_bob_was_done[0] > 20, left_when_bob_was_done
