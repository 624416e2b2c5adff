"""Every option of connecting to AWS, seen on the wire by every client the gateway makes."""

import http.server
import json
import os
import re
import socket
import subprocess
import threading
import time
import urllib.request

import adbc_driver_manager
import pytest
from adbc_driver_flightsql import dbapi

from conftest import BINARY, canary, no_secrets

SERVICES = ("athena", "glue", "s3", "sts")
UNLOAD = {"adbc.flight.sql.rpc.call_header.x-athena-result-path": "unload"}


@pytest.fixture(scope="module")
def endpoint(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("connect")
    return start("emulator", "--demo", "--demo-scale", "0.001", "--data", folder, "--listen", "127.0.0.1:0", home=folder)


def admin(endpoint, method, path, body=None):
    request = urllib.request.Request(f"{endpoint.endpoint}/_athena-flight/{path}", method=method, data=body)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


@no_secrets
def use(gateway, sql="select n_name from tpch.nation", **options):
    """Makes every client of the gateway work: Athena's, Glue's, S3's, and STS's where there is a role."""
    with dbapi.connect(gateway.url, db_kwargs=UNLOAD | options, autocommit=True) as connection:
        connection.adbc_get_objects(depth="tables").read_all()
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetch_arrow_table()


@pytest.fixture
def calls(start, endpoint, tmp_path):
    """The calls of a gateway started with some options, by service."""

    def calls(*arguments, files=(), **environment):
        admin(endpoint, "DELETE", "calls")
        home = tmp_path / f"home-{time.monotonic_ns()}"
        (home / ".aws").mkdir(parents=True)
        for name, text in files:
            (home / ".aws" / name).write_text(text)
        keys = {"AWS_ACCESS_KEY_ID": "environment", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "us-east-2"}
        keys = {name: value for name, value in (keys | environment).items() if value}
        where = () if "--endpoint-url-athena" in arguments else ("--endpoint-url", endpoint.endpoint)
        gateway = start("serve", "--listen", "127.0.0.1:0", *where, *arguments, home=home, **keys)
        try:
            assert use(gateway).num_rows == 25
        finally:
            gateway.stop()
        found = [call for call in admin(endpoint, "GET", "calls")["calls"] if "athena-flight" in (call["user_agent"] or "")]
        assert {"athena", "glue", "s3"} <= {call["service"] for call in found}
        return found

    return calls


def only(calls, what, services=("athena", "glue", "s3")):
    """What all calls of some services have in common, which has to be one thing."""
    [one] = {call[what] for call in calls if call["service"] in services}
    return one


def test_the_default_chain_alone(calls):
    found = calls()
    assert (only(found, "access_key_id"), only(found, "region")) == ("environment", "us-east-2")
    assert all(re.search(r"app/athena-flight", call["user_agent"]) for call in found)
    assert all("sdk" in call["user_agent"] for call in found)


def test_region(calls):
    assert only(calls("--region", "eu-central-1"), "region") == "eu-central-1"


def test_access_key_and_session_token(calls):
    found = calls("--access-key-id", "explicit", ATHENA_FLIGHT_SECRET_ACCESS_KEY="s")
    assert (only(found, "access_key_id"), only(found, "has_session_token")) == ("explicit", False)
    found = calls("--access-key-id", "explicit", ATHENA_FLIGHT_SECRET_ACCESS_KEY=canary("planted secret key"),
                  ATHENA_FLIGHT_SESSION_TOKEN=canary("planted-session-token"))
    assert (only(found, "access_key_id"), only(found, "has_session_token")) == ("explicit", True)


def test_a_named_profile_goes_before_the_environment(calls):
    credentials = ("credentials", "[analytics]\naws_access_key_id = profile\naws_secret_access_key = s\n")
    config = ("config", "[profile analytics]\nregion = ap-south-1\n")
    found = calls("--profile", "analytics", files=[credentials, config], AWS_REGION="")
    assert (only(found, "access_key_id"), only(found, "region")) == ("profile", "ap-south-1")


def test_credential_process(calls, tmp_path):
    said = json.dumps({"Version": 1, "AccessKeyId": "process", "SecretAccessKey": "s", "SessionToken": "t"})
    script = tmp_path / "credentials.sh"
    script.write_text(f"#!/bin/sh\necho '{said}'\n")
    script.chmod(0o755)
    config = ("config", f"[profile p]\ncredential_process = {script}\n")
    found = calls("--profile", "p", files=[config])
    assert (only(found, "access_key_id"), only(found, "has_session_token")) == ("process", True)


def test_role(calls):
    found = calls("--role-arn", "arn:aws:iam::000000000000:role/analyst", "--role-session-name", "me",
                  "--role-source-identity", "ann", "--role-duration", "1000", ATHENA_FLIGHT_ROLE_EXTERNAL_ID=canary("planted-external-id"))
    [assume] = [call for call in found if call["operation"] == "AssumeRole"]
    assert (assume["access_key_id"], assume["region"]) == ("environment", "us-east-2")
    form = dict(pair.split("=") for pair in assume["request"].split("&"))
    assert form["RoleSessionName"] == "me" and form["SourceIdentity"] == "ann"
    assert form["ExternalId"] == "planted-external-id" and form["DurationSeconds"] == "1000"
    assert only(found, "access_key_id").startswith("ASIA") and only(found, "has_session_token")


def test_a_chain_of_roles(calls):
    roles = "arn:aws:iam::000000000000:role/hub,arn:aws:iam::111111111111:role/spoke"
    found = calls("--role-arn", roles)
    hub, spoke = [call for call in found if call["operation"] == "AssumeRole"]
    assert hub["access_key_id"] == "environment" and "RoleSessionName=AthenaFlightSession" in hub["request"]
    assert spoke["access_key_id"].startswith("ASIA") and "role%2Fspoke" in spoke["request"]
    assert only(found, "access_key_id") not in (hub["access_key_id"], spoke["access_key_id"])


def test_endpoints_of_each_service(calls, endpoint):
    port = endpoint.endpoint.rsplit(":")[-1]
    hosts = {service: f"127.0.0.{2 + at}:{port}" for at, service in enumerate(SERVICES)}
    proxies = [Forward(host.split(":")[0], int(port)) for host in hosts.values()]
    arguments = [f"--endpoint-url-{service}=http://{proxy.address}" for service, proxy in zip(hosts, proxies)]
    arguments = [part for argument in arguments for part in argument.split("=")]
    found = calls(*arguments, "--role-arn", "arn:aws:iam::000000000000:role/analyst")
    for service, proxy in zip(hosts, proxies):
        assert only(found, "host", (service,)) == proxy.address
        proxy.close()


class Forward:
    """Another address of the endpoint."""

    def __init__(self, host, port):
        self.socket = socket.create_server((host, 0))
        self.address = "%s:%d" % self.socket.getsockname()
        self.port = port
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        def copy(source, sink):
            try:
                while data := source.recv(1 << 16):
                    sink.sendall(data)
            except OSError:
                pass
            finally:
                for end in (source, sink):
                    try:
                        end.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass

        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=copy, args=pair, daemon=True).start()

    def close(self):
        self.socket.close()


def test_workgroup_output_and_protection(calls):
    key = "arn:aws:kms:us-east-1:000000000000:key/k"
    found = calls("--workgroup", "primary", "--catalog", "AwsDataCatalog", "--database", "tpch", "--s3-staging-dir",
                  "s3://athena-flight-results/own/", "--result-encryption", "SSE_KMS", "--result-kms-key", key,
                  "--expected-bucket-owner", "000000000000", "--result-acl", "BUCKET_OWNER_FULL_CONTROL",
                  "--catalog-id", "000000000000")
    for call in found:
        if call["operation"] == "StartQueryExecution":
            said = json.loads(call["request"])
            assert said["WorkGroup"] == "primary"
            assert said["QueryExecutionContext"] == {"Catalog": "AwsDataCatalog", "Database": "tpch"}
            assert said["ResultConfiguration"] == {
                "OutputLocation": "s3://athena-flight-results/own/",
                "EncryptionConfiguration": {"EncryptionOption": "SSE_KMS", "KmsKey": key},
                "ExpectedBucketOwner": "000000000000",
                "AclConfiguration": {"S3AclOption": "BUCKET_OWNER_FULL_CONTROL"},
            }
        if call["service"] == "glue":
            assert json.loads(call["request"])["CatalogId"] == "000000000000"
    assert only(found, "expected_bucket_owner", ("s3",)) == "000000000000"


def test_results_that_only_athena_can_read_come_by_pages(calls, endpoint, start, tmp_path):
    """CSE_KMS: neither the CSV object nor the files of an UNLOAD are looked at."""
    admin(endpoint, "DELETE", "calls")
    gateway = start("serve", "--listen", "127.0.0.1:0", "--endpoint-url", endpoint.endpoint, "--region", "us-east-1",
                    "--result-encryption", "CSE_KMS", "--result-kms-key", "arn:aws:kms:us-east-1:000000000000:key/k",
                    home=tmp_path, AWS_ACCESS_KEY_ID="any", AWS_SECRET_ACCESS_KEY="any")
    assert use(gateway, "select l_orderkey from tpch.lineitem").num_rows == 6005
    found = admin(endpoint, "GET", "calls")["calls"]
    assert not [call for call in found if call["operation"] in ("GetObject", "HeadObject")]
    assert len([call for call in found if call["operation"] == "GetQueryResults"]) > 6


@pytest.mark.parametrize("mode", ["standard", "adaptive"])
@pytest.mark.parametrize("attempts", [1, 3])
def test_timeouts_and_attempts(start, tmp_path, attempts, mode):
    """Something takes connections and never answers: each attempt is given up after a second."""
    silent, seen = socket.create_server(("127.0.0.1", 0)), []

    def accept():
        while True:
            try:
                client, _ = silent.accept()
            except OSError:
                return
            seen.append(client)

    threading.Thread(target=accept, daemon=True).start()
    url = "http://127.0.0.1:%d" % silent.getsockname()[1]
    gateway = start("serve", "--listen", "127.0.0.1:0", "--endpoint-url", url, "--region", "us-east-1", "--read-timeout", "1",
                    "--max-attempts", str(attempts), "--retry-mode", mode, home=tmp_path, AWS_ACCESS_KEY_ID="any",
                    AWS_SECRET_ACCESS_KEY="any")
    headers = {"adbc.flight.sql.rpc.call_header.x-athena-result-path": "direct"}
    with dbapi.connect(gateway.url, db_kwargs=headers, autocommit=True) as connection, connection.cursor() as cursor:
        with pytest.raises(adbc_driver_manager.Error, match="cannot be reached"):
            cursor.adbc_statement.set_sql_query("show tables")
            cursor.adbc_statement.execute_query()
    assert len(seen) == attempts
    silent.close()


@pytest.fixture
def answers():
    """A server that answers what a table of paths says."""
    servers = []

    def answers(paths):
        class Answers(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = paths.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
                self.end_headers()
                self.wfile.write((body or "").encode())

            do_PUT = do_GET

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield answers
    for server in servers:
        server.shutdown()


NOBODY = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}


def temporary(name):
    return json.dumps({"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z", "AccessKeyId": name,
                       "SecretAccessKey": canary(f"{name}'s secret"), "Token": canary(f"{name}'s token"),
                       "Expiration": "2099-01-01T00:00:00Z"})


def test_credentials_of_a_container(calls, answers):
    url = answers({"/credentials": temporary("container")}) + "/credentials"
    found = calls(AWS_CONTAINER_CREDENTIALS_FULL_URI=url, **NOBODY)
    assert (only(found, "access_key_id"), only(found, "has_session_token")) == ("container", True)


def test_credentials_and_region_of_an_instance(calls, answers):
    url = answers({
        "/latest/api/token": "token",
        "/latest/meta-data/placement/region": "sa-east-1",
        "/latest/meta-data/iam/security-credentials/": "role",
        "/latest/meta-data/iam/security-credentials/role": temporary("instance"),
    })
    found = calls(AWS_EC2_METADATA_SERVICE_ENDPOINT=url, AWS_REGION="", **NOBODY)
    assert (only(found, "access_key_id"), only(found, "region")) == ("instance", "sa-east-1")


def test_proxy_of_the_environment(calls, endpoint):
    """The proxy is the endpoint: it sees the address that was meant."""
    found = calls("--endpoint-url-athena", "http://athena.invalid", "--endpoint-url-glue", "http://glue.invalid",
                  "--endpoint-url-s3", "http://s3.invalid", "--endpoint-url-sts", "http://sts.invalid",
                  HTTP_PROXY=endpoint.endpoint)
    assert {call["host"] for call in found} == {"athena.invalid", "glue.invalid", "s3.invalid"}


def test_fips_and_dual_stack(start, tmp_path):
    """Without an endpoint of one's own the host is AWS's: the proxy sees which, and answers nothing."""
    seen = []

    def connect(*arguments):
        proxy = socket.create_server(("127.0.0.1", 0))

        def accept():
            while True:
                try:
                    client, _ = proxy.accept()
                except OSError:
                    return
                seen.append(client.recv(1 << 12).split(b" ")[1].decode())
                client.close()

        threading.Thread(target=accept, daemon=True).start()
        url = "http://127.0.0.1:%d" % proxy.getsockname()[1]
        gateway = start("serve", "--listen", "127.0.0.1:0", "--region", "us-east-1", "--max-attempts", "1", *arguments,
                        home=tmp_path, AWS_ACCESS_KEY_ID="any", AWS_SECRET_ACCESS_KEY="any", HTTPS_PROXY=url)
        with pytest.raises(adbc_driver_manager.Error):
            with dbapi.connect(gateway.url, autocommit=True) as connection, connection.cursor() as cursor:
                cursor.execute("select 1")
        with pytest.raises(adbc_driver_manager.Error):
            with dbapi.connect(gateway.url, autocommit=True) as connection:
                connection.adbc_get_objects(depth="db_schemas", catalog_filter="AwsDataCatalog").read_all()
        proxy.close()

    connect()
    assert "athena.us-east-1.amazonaws.com:443" in seen
    seen.clear()
    connect("--use-fips")
    assert "athena-fips.us-east-1.amazonaws.com:443" in seen
    seen.clear()
    connect("--use-dual-stack")
    assert "athena.us-east-1.api.aws:443" in seen


def refused(*arguments, **environment):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ATHENA_FLIGHT_"))}
    done = subprocess.run([BINARY, "serve", *arguments], capture_output=True, text=True, env=env | environment, timeout=60)
    assert done.returncode == 1
    return done.stderr


def test_what_does_not_fit_together_is_said_at_once(tmp_path):
    said = refused("--region", "us-east-1a", "--access-key-id", "x", "--listen", "0.0.0.0:0", "--role-arn", "admin")
    for part in ("its region is us-east-1", "without secret-access-key", "that takes TLS", "is not arn:aws:iam"):
        assert part in said, said
    config = tmp_path / "athena-flight.toml"
    config.write_text('workgrup = "x"\nsecret-access-key = "canary"\n')
    said = refused("--config", str(config))
    assert "did you mean workgroup?" in said and "without access-key-id" in said and "canary" not in said


def test_config_prints_what_is_in_force(tmp_path):
    config = tmp_path / "athena-flight.toml"
    config.write_text('region = "eu-west-1"\ndatabase = "file"\naccess-key-id = "AKIA"\nsecret-access-key = "canary"\n')
    env = os.environ | {"ATHENA_FLIGHT_CONFIG": str(config), "ATHENA_FLIGHT_DATABASE": "variable"}
    command = [BINARY, "config", "--workgroup", "flag"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
    lines = done.stdout.splitlines()
    assert 'workgroup = "flag"  # from flag' in lines
    assert 'database = "variable"  # from ATHENA_FLIGHT_DATABASE' in lines
    assert f'region = "eu-west-1"  # from {config}' in lines
    assert 'secret-access-key = "(hidden)"' in done.stdout and "canary" not in done.stdout + done.stderr
    done = subprocess.run([*command, "--format", "json"], capture_output=True, text=True, env=env, check=True)
    options = {option["name"]: option for option in json.loads(done.stdout)["options"]}
    assert options["database"]["value"] == "variable" and options["listen"]["default"] == "127.0.0.1:31337"
    # What it printed is a config file.
    again = tmp_path / "again.toml"
    again.write_text(subprocess.run(command, capture_output=True, text=True, env=env, check=True).stdout)
    subprocess.run([BINARY, "config", "--config", again], env=env, check=True, capture_output=True)


def test_credentials_of_roles_are_renewed_in_time(start, endpoint, tmp_path):
    """Credentials that live 20 s: queries and a long stream go on for 90 s, and STS is asked only as often as it takes."""
    role = "arn:aws:iam::000000000000:role/short"
    admin(endpoint, "PUT", "behaviour", json.dumps({"roles": [{"arn": role, "session_seconds": 20}]}).encode())
    admin(endpoint, "DELETE", "calls")
    gateway = start("serve", "--listen", "127.0.0.1:0", "--endpoint-url", endpoint.endpoint, "--region", "us-east-1",
                    "--role-arn", role, home=tmp_path, AWS_ACCESS_KEY_ID="any", AWS_SECRET_ACCESS_KEY="any")
    seconds, rows = int(os.environ.get("ATHENA_FLIGHT_RENEWAL_SECONDS", "30")), []
    until = time.monotonic() + seconds
    sql = "select l.* from tpch.lineitem l cross join unnest(sequence(1, 40)) as t(x)"

    def stream():
        with dbapi.connect(gateway.url, db_kwargs={"adbc.flight.sql.rpc.call_header.x-athena-result-path": "direct"},
                           autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            reader, count = cursor.fetch_record_batch(), 0
            pause = None
            for batch in reader:
                count += batch.num_rows
                pause = pause or max(0.0, (until - time.monotonic()) / (6005 * 40 / batch.num_rows))
                time.sleep(pause)
            rows.append(count)

    streaming = threading.Thread(target=stream)
    streaming.start()
    queries = 0
    with dbapi.connect(gateway.url, autocommit=True) as connection, connection.cursor() as cursor:
        while time.monotonic() < until or queries < 200:
            cursor.execute("select count(*) from tpch.nation")
            assert cursor.fetchall() == [(25,)]
            queries += 1
            time.sleep(max(0.0, seconds / 250))
    streaming.join()
    assert rows == [6005 * 40]
    asked = [call for call in admin(endpoint, "GET", "calls")["calls"] if call["operation"] == "AssumeRole"]
    lasted = time.monotonic() - until + seconds
    admin(endpoint, "DELETE", "behaviour")
    print(f"{queries} queries in {lasted:.0f} s, AssumeRole {len(asked)} times")
    # Each lives 20 s and is renewed when a quarter of that is left.
    assert queries >= 200 and len(asked) <= lasted / 15 + 2


