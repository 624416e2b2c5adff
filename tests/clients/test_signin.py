"""Every way to sign in, from ADBC and pyarrow; what is wrong, expired, tampered with or somebody else's is refused."""

import http.server
import json
import os
import re
import subprocess
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import adbc_driver_manager
import boto3
import pyarrow as pa
import pyarrow.flight as fl
import pytest
from adbc_driver_flightsql import DatabaseOptions, dbapi
from joserfc.jwk import RSAKey

import identity
from conftest import BINARY, aws, canary, no_secrets
from identity import AUDIENCE, ISSUER, Authority, Provider
from wire import any_of, command, cookie_jar, field, parse, statement

# GetSchema's come as OSError.
REFUSED = (fl.FlightUnauthenticatedError, fl.FlightUnauthorizedError, OSError)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("signin")


@pytest.fixture(scope="module")
def provider(folder):
    provider = Provider()
    (folder / "jwks.json").write_text(provider.jwks())
    return provider


@pytest.fixture(scope="module")
def tokens(folder):
    file = folder / "tokens"
    return {name: identity.token(file, name, *groups) for name, groups in {"robot": ["analysts"], "other": []}.items()}


CONFIG = """
users-file = "{folder}/users"
tokens-file = "{folder}/tokens"
jwt-jwks = "{folder}/jwks.json"
jwt-issuer = "{issuer}"
jwt-audience = ["other", "{audience}"]
jwt-leeway = 0

[[rules]]
principal = "reader"
read-only = true
workgroup = "primary"
scan-limit-bytes = 1000

[[rules]]
principal = "single"
concurrency = 1

[[rules]]
principal = "mallory"
deny = true

[[rules]]
principal = "fenced"
schemas = ["tpc*"]

[[rules]]
group = "analysts"
role-arn = "arn:aws:iam::000000000000:role/analyst"
database = "tpch"
"""


@pytest.fixture(scope="module")
def server(start, folder, provider, tokens):
    for name in ("ann", "bob", "reader", "single", "mallory", "fenced"):
        identity.user(folder / "users", name, f"{name}'s password")
    config = folder / "athena-flight.toml"
    config.write_text(CONFIG.format(folder=folder, issuer=ISSUER, audience=AUDIENCE))
    return start("serve", "--demo", "--demo-scale", "0.001", "--config", config, "--listen", "127.0.0.1:0", home=folder)


@no_secrets
def adbc(server, sql="select 1", **options):
    with dbapi.connect(server.url, db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def password(name):
    return {"username": name, "password": f"{name}'s password"}


def header(token):
    return {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {token}"}


def call(token, *more):
    return fl.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode()), *more])


def bearer(server, name):
    """The token that Handshake gives."""
    with fl.connect(server.url) as client:
        key, value = client.authenticate_basic_token(name, f"{name}'s password")
        assert key == b"authorization"
        return canary(value.decode().removeprefix("Bearer "))


@no_secrets
def run(server, options, sql="select 1 as one"):
    with fl.connect(server.url) as client:
        info = client.get_flight_info(statement(sql), options)
        return client.do_get(info.endpoints[0].ticket, options).read_all().to_pylist()


def calls(server, service, operation):
    with urllib.request.urlopen(f"{server.endpoint}/_athena-flight/calls") as answer:
        found = json.load(answer)["calls"]
    return [call for call in found if (call["service"], call["operation"]) == (service, operation)]


def test_user_name_and_password(server):
    assert adbc(server, **password("ann")) == [(1,)]
    for wrong in ({"username": "ann", "password": "x"}, {"username": "nobody", "password": "ann's password"},
                  {"username": "n" * 10_000, "password": "x"}):
        with pytest.raises(adbc_driver_manager.Error, match="UNAUTHENTICATED.*sign-in failed"):
            adbc(server, **wrong)
    with pytest.raises(adbc_driver_manager.Error, match="UNAUTHENTICATED.*sign in: user name and password, or bearer token"):
        adbc(server)


def test_the_bearer_token_of_handshake_ends_and_cannot_be_changed(start, server, folder, tmp_path):
    server = start("serve", "--endpoint-url", server.endpoint, "--region", "us-east-1", "--users-file", folder / "users",
                   "--bearer-ttl", "2", "--listen", "127.0.0.1:0", home=tmp_path, ATHENA_FLIGHT_ACCESS_KEY_ID="any",
                   ATHENA_FLIGHT_SECRET_ACCESS_KEY="any", ATHENA_FLIGHT_S3_STAGING_DIR="s3://athena-flight-results/")
    token = bearer(server, "ann")
    assert run(server, call(token)) == [{"one": 1}]
    middle = len(token) // 2
    tampered = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    for bad in (tampered, token[:-4], "afb_", "", "anonymous"):
        with pytest.raises(fl.FlightUnauthenticatedError):
            run(server, call(bad))
    time.sleep(3)
    with pytest.raises(fl.FlightUnauthenticatedError, match="expired"):
        run(server, call(token))


def test_a_connection_outlives_its_bearer_token(start, server, folder, tmp_path):
    """ADBC goes on with the tokens that answers carry."""
    short = start("serve", "--endpoint-url", server.endpoint, "--region", "us-east-1", "--users-file", folder / "users",
                  "--bearer-ttl", "3", "--listen", "127.0.0.1:0", home=tmp_path, ATHENA_FLIGHT_ACCESS_KEY_ID="any",
                  ATHENA_FLIGHT_SECRET_ACCESS_KEY="any", ATHENA_FLIGHT_S3_STAGING_DIR="s3://athena-flight-results/")
    with dbapi.connect(short.url, db_kwargs=password("ann"), autocommit=True) as connection:
        until = time.monotonic() + 8
        while time.monotonic() < until:
            with connection.cursor() as cursor:
                cursor.execute("select 1")
                assert cursor.fetchall() == [(1,)]
            time.sleep(0.3)


def test_tokens_that_do_not_change(server, tokens):
    assert adbc(server, **header(tokens["other"])) == [(1,)]
    assert run(server, call(tokens["other"])) == [{"one": 1}]
    # Clients that know names and passwords only.
    assert adbc(server, username="token", password=tokens["other"]) == [(1,)]
    with pytest.raises(adbc_driver_manager.Error, match="UNAUTHENTICATED"):
        adbc(server, **header(tokens["other"] + "x"))


def test_jwt(server, provider):
    assert adbc(server, **header(provider.token())) == [(1,)]
    assert run(server, call(provider.token("ec-1", "ES256", groups=None))) == [{"one": 1}]
    bad = {
        "expired": provider.token(exp=int(time.time()) - 1),
        "not yet": provider.token(nbf=int(time.time()) + 60),
        "endless": provider.token(exp=None),
        "wrong audience": provider.token(aud="somebody-else"),
        "no audience": provider.token(aud=None),
        "wrong issuer": provider.token(iss="https://evil.example"),
        "nobody": provider.token(sub=None),
        "alg none": provider.unsigned(),
        "alg none, signed": provider.unsigned() + provider.token().split(".")[2],
        "public key as secret": provider.signed_with_the_public_key(),
        "algorithm that is not allowed": provider.token(algorithm="RS512"),
        "key of somebody else": provider.token(key=RSAKey.generate_key(2048)),
        "unknown key": provider.token().replace(".", ".", 1)[:-6] + "AAAAAA",
    }
    for name, token in bad.items():
        with pytest.raises(fl.FlightUnauthenticatedError):
            run(server, call(token))
            pytest.fail(name)


def test_an_identity_provider_may_change_its_keys(start, tmp_path):
    provider = Provider()

    class Keys(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(provider.jwks().encode())

        def log_message(self, *_):
            pass

    keys = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    threading.Thread(target=keys.serve_forever, daemon=True).start()
    server = start("serve", "--demo", "--demo-scale", "0.001", "--listen", "127.0.0.1:0", home=tmp_path,
                   ATHENA_FLIGHT_JWT_JWKS=f"http://127.0.0.1:{keys.server_port}/jwks", ATHENA_FLIGHT_JWT_ISSUER=ISSUER,
                   ATHENA_FLIGHT_JWT_AUDIENCE=AUDIENCE)
    assert adbc(server, **header(provider.token())) == [(1,)]
    provider.keys = {"rsa-2": RSAKey.generate_key(2048)}
    assert adbc(server, **header(provider.token("rsa-2"))) == [(1,)]
    keys.shutdown()


def test_a_provider_that_hangs_keeps_nobody_out_whose_key_is_known(start, tmp_path):
    provider, asked, release = Provider(), threading.Semaphore(0), threading.Event()
    release.set()
    requests = []

    class Keys(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            asked.release()
            release.wait()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(provider.jwks().encode())

        def log_message(self, *_):
            pass

    keys = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    threading.Thread(target=keys.serve_forever, daemon=True).start()
    server = start("serve", "--demo", "--demo-scale", "0.001", "--listen", "127.0.0.1:0", home=tmp_path,
                   ATHENA_FLIGHT_JWT_JWKS=f"http://127.0.0.1:{keys.server_port}/jwks", ATHENA_FLIGHT_JWT_ISSUER=ISSUER,
                   ATHENA_FLIGHT_JWT_AUDIENCE=AUDIENCE)
    release.clear()
    outcomes = []
    first = [threading.Thread(target=lambda: outcomes.append(adbc(server, **header(provider.token())))) for _ in range(10)]
    for thread in first:
        thread.start()
    assert asked.acquire(timeout=60)
    release.set()
    for thread in first:
        thread.join()
    assert outcomes == [[(1,)]] * 10 and len(requests) == 1, "all share one fetch"
    release.clear()
    stranger = RSAKey.generate_key(2048)
    refused = []

    def unknown():
        try:
            adbc(server, **header(provider.token("made-up", key=stranger)))
        except adbc_driver_manager.Error as error:
            refused.append(str(error))

    waiting = threading.Thread(target=unknown)
    waiting.start()
    assert asked.acquire(timeout=60)
    for _ in range(3):
        assert adbc(server, **header(provider.token())) == [(1,)]
    assert waiting.is_alive(), "its key is still asked for"
    release.set()
    waiting.join()
    assert len(refused) == 1
    for number in range(12):
        with pytest.raises(adbc_driver_manager.Error):
            adbc(server, **header(provider.token(f"made-up {number}", key=stranger)))
    assert len(requests) < 10, "made-up keys cost the provider little"
    keys.shutdown()


def test_a_bearer_token_ends_with_the_jwt_it_was_given_for(server, provider):
    ends = int(time.time()) + 3
    token = provider.token(exp=ends)
    with fl.connect(server.url) as client:
        _, value = client.authenticate_basic_token("token", token)
    given = canary(value.decode().removeprefix("Bearer "))
    assert run(server, call(given)) == [{"one": 1}]
    with pytest.raises(fl.FlightUnauthenticatedError, match="expired"):
        while time.time() < ends + 30:
            run(server, call(given))
            time.sleep(0.1)


@pytest.fixture
def guarded(start, server, folder, tmp_path):
    """A server that nobody has failed at yet."""
    return start("serve", "--endpoint-url", server.endpoint, "--region", "us-east-1", "--users-file", folder / "users",
                 "--listen", "127.0.0.1:0", home=tmp_path, ATHENA_FLIGHT_ACCESS_KEY_ID="any",
                 ATHENA_FLIGHT_SECRET_ACCESS_KEY="any", ATHENA_FLIGHT_S3_STAGING_DIR="s3://athena-flight-results/")


def sign_in(server, name, secret):
    """What came of it: `in`, `wrong`, or `later`."""
    with fl.connect(server.url) as client:
        try:
            client.authenticate_basic_token(name, secret)
        except fl.FlightUnauthenticatedError as error:
            assert "sign-in failed" in str(error)
            return "wrong"
        except Exception as error:
            assert re.search("too many failed sign-ins: try again in [0-9]+ s", str(error)), error
            return "later"
    return "in"


def all_at_once(tasks):
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_whoever_fails_waits_alone(guarded):
    """Six who have failed often wait for seconds; somebody else does not wait for them."""
    under_way, barrier, outcomes = set(), threading.Barrier(7), []

    def fails(name):
        for number in range(5):
            assert sign_in(guarded, name, f"wrong {number}") == "wrong"
        barrier.wait()
        under_way.add(name)
        outcomes.append(sign_in(guarded, name, "wrong again"))
        under_way.discard(name)

    def good():
        barrier.wait()
        assert sign_in(guarded, "bob", "bob's password") == "in"
        still = set(under_way)
        outcomes.append(still)

    names = [f"somebody-{number}" for number in range(6)]
    all_at_once([good, *(lambda name=name: fails(name) for name in names)])
    assert outcomes[0] == set(names), "bob is in while all of them still wait"
    assert outcomes[1:] == ["wrong"] * 6


@pytest.mark.parametrize("names", [1, 70])
def test_a_flood_of_wrong_passwords_keeps_nobody_else_out(guarded, names):
    over, outcomes, started = threading.Event(), [], threading.Semaphore(0)

    def flood(number):
        attempt = 0
        while not over.is_set():
            outcomes.append(sign_in(guarded, f"guest-{number % names}", f"wrong {number} {attempt}"))
            attempt += 1
            started.release()

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(70)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(140):
            assert started.acquire(timeout=60)
        for name in ("bob", "ann", "reader"):
            assert sign_in(guarded, name, f"{name}'s password") == "in"
            assert adbc(guarded, **password(name)) == [(1,)]
        assert all(thread.is_alive() for thread in threads)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert set(outcomes) <= {"wrong", "later"}
    assert names > 1 or outcomes.count("wrong") < 40, "ten at first, and then one every six seconds"


def test_guesses_at_once_do_not_pass_the_limit_and_the_owner_stays_in(guarded):
    assert sign_in(guarded, "ann", "ann's password") == "in"
    outcomes = []
    all_at_once([lambda number=number: outcomes.append(sign_in(guarded, "ann", f"guess {number}")) for number in range(60)])
    assert 10 <= outcomes.count("wrong") < 20 and outcomes.count("wrong") + outcomes.count("later") == 60, outcomes
    assert sign_in(guarded, "ann", "ann's password") == "in"
    # Many with the same right password are one.
    outcomes.clear()
    all_at_once([lambda: outcomes.append(sign_in(guarded, "bob", "bob's password")) for _ in range(60)])
    assert outcomes == ["in"] * 60


def test_nothing_of_one_is_anothers(server):
    ann, bob = ({"options": call(bearer(server, name))} for name in ("ann", "bob"))
    with fl.connect(server.url) as client:
        info = client.get_flight_info(statement("select 1"), **ann)
        ticket = info.endpoints[0].ticket
        assert client.do_get(ticket, **ann).read_all().num_rows == 1
        with pytest.raises(REFUSED, match="not one that was made for you"):
            client.do_get(ticket, **bob).read_all()
        prepare = any_of(b"ActionCreatePreparedStatementRequest", field(1, b"select 1"))
        [prepared] = client.do_action(fl.Action("CreatePreparedStatement", prepare), **ann)
        handle = dict(parse(dict(parse(prepared.body.to_pybytes()))[2]))[1]
        use = command(b"CommandPreparedStatementQuery", field(1, handle))
        assert client.get_flight_info(use, **ann).endpoints
        for refused in (lambda: client.get_flight_info(use, **bob), lambda: client.get_schema(use, **bob)):
            with pytest.raises(REFUSED):
                refused()
        cancel = fl.Action("CancelFlightInfo", field(1, info.serialize()))
        with pytest.raises(REFUSED):
            list(client.do_action(cancel, **bob))
        renew = fl.Action("RenewFlightEndpoint", field(1, field(1, field(1, ticket.ticket))))
        with pytest.raises(REFUSED):
            list(client.do_action(renew, **bob))


def test_a_session_is_its_owners(server):
    options = {"adbc.flight.sql.rpc.with_cookie_middleware": "true"}
    with dbapi.connect(server.url, db_kwargs=options | password("ann"), autocommit=True) as connection:
        connection.adbc_connection.set_options(**{"adbc.connection.db_schema": "tpch"})
        assert connection.adbc_current_db_schema == "tpch"
    factory, seen = cookie_jar()
    with fl.connect(server.url, middleware=[factory]) as client:
        set_options = fl.Action("SetSessionOptions", field(1, field(1, b"schema") + field(2, field(1, b"tpch"))))
        list(client.do_action(set_options, call(bearer(server, "ann"))))
        cookie = (b"cookie", seen["set-cookie"].split(";")[0].encode())
        get = fl.Action("GetSessionOptions", b"")
        [said] = client.do_action(get, call(bearer(server, "ann"), cookie))
        assert b"tpch" in said.body.to_pybytes()
        with pytest.raises(REFUSED):
            list(client.do_action(get, call(bearer(server, "bob"), cookie)))


def test_rules(server, provider, tokens):
    with pytest.raises(adbc_driver_manager.Error, match="(?i)UNAUTHORIZED|PERMISSION"):
        adbc(server, **password("mallory"))
    with pytest.raises(adbc_driver_manager.Error, match="only reads"):
        adbc(server, "create database x", **password("reader"))
    with pytest.raises(adbc_driver_manager.Error, match="workgroup primary, in no other"):
        adbc(server, **password("reader"), **{"adbc.flight.sql.rpc.call_header.x-athena-workgroup": "other"})
    # The group's role is assumed with the person's name, and the group's database is where names are looked up.
    assert adbc(server, "select count(*) from nation", **header(provider.token(sub="dora@example.com"))) == [(25,)]
    assumed = [call["request"] for call in calls(server, "sts", "AssumeRole")]
    assert any("RoleSessionName=dora%40example.com" in text and "SourceIdentity=dora%40example.com" in text for text in assumed)
    keys = {call["access_key_id"] for call in calls(server, "athena", "StartQueryExecution")}
    assert any(key.startswith("ASIA") for key in keys)


def test_only_some_schemas(server):
    for sql in ("create database hidden", "create table hidden.t as select 1 as a",
                "create view tpch.peek as select * from hidden.t"):
        adbc(server, sql, **password("ann"))
    fenced = password("fenced")
    assert adbc(server, "select count(*) from tpch.nation", **fenced) == [(25,)]
    assert adbc(server, "with x as (select 1 as a) select * from x", **fenced) == [(1,)]
    for sql in ("select * from hidden.t", "select (select max(a) from hidden.t) from tpch.region", "select * from tpch.peek",
                "with x as (select * from hidden.t) select count(*) from tpch.nation, x", 'table "hidden"."t"',
                "select a /* from tpch */ from HIDDEN . t"):
        with pytest.raises(adbc_driver_manager.Error, match="you may not read awsdatacatalog.hidden"):
            adbc(server, sql, **fenced)
    for sql in ("show tables in hidden", "describe hidden.t", "explain select * from hidden.t"):
        with pytest.raises(adbc_driver_manager.Error, match="cannot be told of this statement"):
            adbc(server, sql, **fenced)
    for sql in ("create table tpch.x as select * from hidden.t", "prepare p from select * from hidden.t", "drop table hidden.t"):
        with pytest.raises(adbc_driver_manager.Error, match="only reads"):
            adbc(server, sql, **fenced)
    with dbapi.connect(server.url, db_kwargs=fenced, autocommit=True) as connection:
        objects = connection.adbc_get_objects(depth="db_schemas").read_all().to_pylist()
        schemas = [schema["db_schema_name"] for catalog in objects for schema in catalog["catalog_db_schemas"]]
        assert schemas == ["tpch"]


def test_concurrency_of_a_principal(server):
    request = urllib.request.Request(f"{server.endpoint}/_athena-flight/behaviour", method="PUT",
                                     data=b'{"latency": {"run": {"fixed": 100}}}')
    urllib.request.urlopen(request)
    try:
        # Statements of several calls, EXPLAINs, and rows of values: never two of them at once, and none is lost.
        athena = boto3.client("athena", **aws(server.endpoint))
        before = set(athena.list_query_executions()["QueryExecutionIds"])
        with ThreadPoolExecutor() as pool:
            calls = [pool.submit(adbc, server, f"select {number}", **password("single")) for number in range(2)]
            with dbapi.connect(server.url, db_kwargs=password("single"), autocommit=True) as connection:
                with connection.cursor() as cursor:
                    cursor.execute("select ? + 1", pa.record_batch([[1, 2, 3, 4]], names=["n"]))
                    assert sorted(cursor.fetchall()) == [(2,), (3,), (4,), (5,)]
            assert [call.result() for call in calls] == [[(0,)], [(1,)]]
        ids = [query for query in athena.list_query_executions()["QueryExecutionIds"] if query not in before]
        executions = athena.batch_get_query_execution(QueryExecutionIds=ids)["QueryExecutions"]
        times = sorted(
            (execution["Status"]["SubmissionDateTime"], execution["Status"]["CompletionDateTime"]) for execution in executions
        )
        assert len(times) >= 2 * 2 + 4, executions
        assert all(end <= start for (_, end), (start, _) in zip(times, times[1:])), times
    finally:
        urllib.request.urlopen(urllib.request.Request(f"{server.endpoint}/_athena-flight/behaviour", method="DELETE"))


def test_tls_and_client_certificates(start, tmp_path):
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    cert, key = authority.server()
    rules = tmp_path / "rules.toml"
    rules.write_text('deny-unlisted = true\n[[rules]]\ngroup = "analysts"\n')
    # Certificate and sign-in: other machines may be served.
    server = start("serve", "--demo", "--demo-scale", "0.001", "--listen", "0.0.0.0:0", "--tls-cert", cert, "--tls-key", key,
                   "--tls-client-ca", authority.path, "--config", rules, home=tmp_path)
    url = f"grpc+tls://127.0.0.1:{server.url.rsplit(':')[-1]}"
    root = authority.path.read_text()

    def options(issuer, name, unit):
        cert, key = issuer.client(name, unit)
        return cert.read_text(), key.read_text()

    def connect(pair):
        chain, private = pair or ("", "")
        mtls = {DatabaseOptions.MTLS_CERT_CHAIN.value: chain, DatabaseOptions.MTLS_PRIVATE_KEY.value: private} if pair else {}
        kwargs = {DatabaseOptions.TLS_ROOT_CERTS.value: root} | mtls
        with dbapi.connect(url, db_kwargs=kwargs, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("select 1")
            return cursor.fetchall()

    carol = options(authority, "carol", "analysts")
    assert connect(carol) == [(1,)]
    with fl.connect(url, tls_root_certs=root, cert_chain=carol[0], private_key=carol[1]) as client:
        info = client.get_flight_info(statement("select 1 as one"))
        assert client.do_get(info.endpoints[0].ticket).read_all().to_pylist() == [{"one": 1}]
    with pytest.raises(adbc_driver_manager.Error, match="UNAUTHENTICATED.*client certificate"):
        connect(None)
    with pytest.raises(adbc_driver_manager.Error, match="(?i)UNAUTHORIZED|PERMISSION"):
        connect(options(authority, "eve", "guests"))
    with pytest.raises(adbc_driver_manager.Error, match="(?i)UNAVAILABLE|UNAUTHENTICATED"):
        connect(options(stranger, "carol", "analysts"))
    with pytest.raises(fl.FlightError), fl.connect(url.replace("+tls", "")) as client:
        client.list_flights(options=fl.FlightCallOptions(timeout=5)).__next__()
    # Another authority's certificate, put where the old one was, is served without a restart.
    new_cert, new_key = stranger.server("replaced")
    cert.write_bytes(new_cert.read_bytes())
    key.write_bytes(new_key.read_bytes())
    time.sleep(1.5)
    with pytest.raises(adbc_driver_manager.Error):
        connect(carol)
    root = stranger.path.read_text()
    assert connect(carol) == [(1,)]


def test_the_shell(start, server, folder, tmp_path, tokens):
    """`athena-flight query --url`, by password, by token, and over TLS."""

    def query(url, *arguments, **environment):
        command = [BINARY, "query", "--url", url, "--format", "csv", *arguments, "select 1 as one"]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, timeout=60)
        return done.stdout if done.returncode == 0 else done.stderr

    assert query(server.url, "--user", "ann", ATHENA_FLIGHT_PASSWORD="ann's password") == "one\n1\n"
    assert query(server.url, ATHENA_FLIGHT_TOKEN=tokens["other"]) == "one\n1\n"
    assert "sign in: user name and password" in query(server.url)
    assert "sign-in failed" in query(server.url, "--user", "ann", ATHENA_FLIGHT_PASSWORD="wrong")
    authority = Authority(tmp_path)
    cert, key = authority.server()
    tls = start("serve", "--demo", "--demo-scale", "0.001", "--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key,
                home=tmp_path)
    assert query(tls.url, "--ca", authority.path) == "one\n1\n"
    assert "certificate" in query(tls.url)


def test_a_callers_own_aws_key(start, tmp_path):
    document = tmp_path / "behaviour.json"
    document.write_text(json.dumps({"verify_signatures": True, "credentials": [
        {"access_key_id": "gateway", "secret_access_key": canary("gateway's secret")},
        {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": canary("caller's secret")},
    ]}))
    endpoint = start("emulator", "--demo", "--demo-scale", "0.001", "--data", tmp_path / "data", "--listen", "127.0.0.1:0",
                     "--behaviour", document, home=tmp_path)
    server = start("serve", "--aws-keys", "--endpoint-url", endpoint.endpoint, "--region", "us-east-1", "--listen",
                   "127.0.0.1:0", home=tmp_path, ATHENA_FLIGHT_ACCESS_KEY_ID="gateway",
                   ATHENA_FLIGHT_SECRET_ACCESS_KEY="gateway's secret")
    caller = {"username": "AKIAIOSFODNN7EXAMPLE", "password": "caller's secret"}
    assert adbc(server, **caller) == [(1,)]
    assert {call["access_key_id"] for call in calls(endpoint, "athena", "StartQueryExecution")} == {caller["username"]}
    with fl.connect(server.url) as client:
        _, value = client.authenticate_basic_token(caller["username"], caller["password"])
    assert run(server, call(canary(value.decode().removeprefix("Bearer ")))) == [{"one": 1}]
    with pytest.raises(adbc_driver_manager.Error, match="UNAUTHENTICATED.*sign-in failed"):
        adbc(server, username=caller["username"], password="wrong")
    # STS is not asked as often as somebody guesses.
    before, outcomes = len(calls(endpoint, "sts", "GetCallerIdentity")), []
    stranger = "AKIAIOSFODNN7STRANGER"
    all_at_once([lambda number=number: outcomes.append(sign_in(server, stranger, f"guess {number}")) for number in range(40)])
    assert set(outcomes) == {"wrong", "later"}, outcomes
    assert len(calls(endpoint, "sts", "GetCallerIdentity")) - before < 20
    # Temporary credentials come with a session token, in a header.
    sts = boto3.client("sts", **aws(endpoint.endpoint) | {
        "aws_access_key_id": caller["username"], "aws_secret_access_key": caller["password"]})
    given = sts.assume_role(RoleArn="arn:aws:iam::000000000000:role/x", RoleSessionName="me")["Credentials"]
    session = {"username": given["AccessKeyId"], "password": canary(given["SecretAccessKey"]),
               "adbc.flight.sql.rpc.call_header.x-athena-session-token": canary(given["SessionToken"])}
    assert adbc(server, **session) == [(1,)]
    with pytest.raises(adbc_driver_manager.Error, match="UNAUTHENTICATED"):
        adbc(server, **{name: value for name, value in session.items() if name in ("username", "password")})
