"""More principals than are kept: a newcomer is always let in, the idle go first, and no limit in force is forgotten with them."""

from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest

import identity
from conftest import aws
from load import Load, admin, until
from wire import statement

RULES = '[[rules]]\nprincipal = "single"\nconcurrency = 1\n'


@pytest.fixture(scope="module")
def server(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("principals")
    for name in ("often", "seldom", "single"):
        identity.user(folder / "users", name, f"{name}'s password")
    (folder / "athena-flight.toml").write_text(f'users-file = "{folder}/users"\nmax-principals = 1\n{RULES}')
    return start("serve", "--demo", "--demo-scale", "0.001", "--config", folder / "athena-flight.toml",
                 "--listen", "127.0.0.1:0", home=folder)


def user(server, name):
    return Load(server.url, (name, f"{name}'s password"))


def signed_in(server, name):
    """How often the principal had to be made."""
    lines = (server.home / "log").read_text().splitlines()
    return sum(f'"principal":"{name}"' in line and '"message":"signed in"' in line for line in lines)


def test_a_newcomer_takes_the_place_of_who_has_been_idle_for_longest(server):
    often, seldom = user(server, "often"), user(server, "seldom")
    for _ in range(20):
        often.clients[0].get_flight_info(statement("values 1"), often.options())
    before = signed_in(server, "seldom")
    # However often the other one called: from the first call on the newcomer is the one that is kept.
    for _ in range(5):
        seldom.clients[0].get_flight_info(statement("values 1"), seldom.options())
    assert signed_in(server, "seldom") <= before + 1


def test_a_limit_outlives_the_principals_place(server):
    single, other = user(server, "single"), user(server, "often")
    athena = boto3.client("athena", **aws(server.endpoint))
    admin(server.endpoint, "behaviour", "PUT", {"latency": {"run": {"fixed": 1000}}})
    known = set(athena.list_query_executions()["QueryExecutionIds"])
    direct = single.options(headers=[(b"x-athena-result-path", b"direct")])
    try:
        with ThreadPoolExecutor() as pool:
            first = pool.submit(single.clients[0].get_flight_info, statement("values 'first'"), direct)
            until(lambda: set(athena.list_query_executions()["QueryExecutionIds"]) - known)
            # Somebody else takes the only place, while the statement runs.
            list(other.clients[0].list_actions(other.options()))
            second = pool.submit(single.clients[0].get_flight_info, statement("values 'second'"), direct)
            assert first.result() and second.result()
    finally:
        admin(server.endpoint, "behaviour", "DELETE")
    ids = [query for query in athena.list_query_executions()["QueryExecutionIds"] if query not in known]
    executions = athena.batch_get_query_execution(QueryExecutionIds=ids)["QueryExecutions"]
    status = {execution["Query"]: execution["Status"] for execution in executions}
    assert status["values 'first'"]["CompletionDateTime"] <= status["values 'second'"]["SubmissionDateTime"], status
