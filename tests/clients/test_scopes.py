"""Rules with schemas: the gateway's fence, and the session policy by which Athena itself finds no other tables."""

import json
import subprocess
import time
import urllib.parse
import urllib.request

import adbc_driver_manager
import boto3
import pytest
from adbc_driver_flightsql import dbapi

import identity
from conftest import BINARY, aws

ROLE = "arn:aws:iam::000000000000:role/analyst"

CONFIG = """
users-file = "{folder}/users"

[[rules]]
principal = "fenced"
schemas = ["tpc*"]

[[rules]]
principal = "walled"
schemas = ["tpc*"]
role-arn = "{role}"
"""


@pytest.fixture(scope="module")
def server(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("scopes")
    for name in ("ann", "fenced", "walled"):
        identity.user(folder / "users", name, f"{name}'s password")
    config = folder / "athena-flight.toml"
    config.write_text(CONFIG.format(folder=folder, role=ROLE))
    server = start("serve", "--demo", "--demo-scale", "0.001", "--config", config, "--listen", "127.0.0.1:0", home=folder)
    for sql in ("create database hidden", "create table hidden.t as select 1 as a",
                "create table hidden.p with (partitioned_by = ARRAY['k']) as select 1 as a, 2 as k",
                "create view tpch.peek as select * from hidden.t", "create view tpch.own as select * from nation"):
        run(server, "ann", sql, database="tpch")
    return server


def run(server, name, sql, parameters=None, **headers):
    options = {f"adbc.flight.sql.rpc.call_header.x-athena-{key}": value for key, value in headers.items()}
    options |= {"username": name, "password": f"{name}'s password"}
    with dbapi.connect(server.url, db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def io(server, sql):
    """What Athena says a statement reads and writes."""
    plan = json.loads("".join(line or "" for [line] in run(server, "ann", f"explain (type io, format json) {sql}", database="tpch")))
    name = lambda table: f"{table['schemaTable']['schema']}.{table['schemaTable']['table']}"
    read = {name(info["table"]) for info in plan["inputTableColumnInfos"]}
    return read, name(plan["outputTable"]) if "outputTable" in plan else None


# Athena's optimised plan does not have hidden.t.
FOLDED = [
    "select * from hidden.t where 1 = 0",
    "select * from hidden.t where false or a > a",
    "select * from hidden.t limit 0",
    "select n.* from tpch.nation n where exists (select 1 from hidden.t where 1 = 0)",
    "select n_name from tpch.nation union all select cast(a as varchar) from hidden.t where false",
    "select t.a from hidden.t join (select 1 as b where false) v on v.b = t.a",
    "select * from hidden.t where now() > timestamp '2999-01-01 00:00:00 UTC'",
    "with x as (select * from hidden.t) select * from tpch.nation",
]


def test_the_plan_is_the_optimised_one(server):
    assert io(server, "select * from nation, tpch.own, hidden.t") == ({"tpch.nation", "hidden.t"}, None)
    assert io(server, "create table x as select * from region") == ({"tpch.region"}, "tpch.x")
    assert io(server, "insert into hidden.t select n_nationkey from nation") == ({"tpch.nation"}, "hidden.t")
    hidden = [sql for sql in FOLDED if "hidden.t" not in io(server, sql)[0]]
    assert len(hidden) >= 6, hidden


@pytest.mark.parametrize("sql", [
    *FOLDED,
    "select * from hidden.t",
    "select * from tpch.nation limit, hidden.t",
    "select * from tpch.nation as hidden where exists (select 1 from hidden.t where 1 = 0)",
    "select a from \"HIDDEN\" . /* tpch */ T",
    "table hidden.t",
    "select * from hidden.\"p$partitions\" where false",
    # The view reads what is hidden.
    "select * from tpch.peek",
    "select * from tpch.peek where 1 = 0",
    "select * from tpch.nation where exists (select 1 from tpch.peek where false)",
])
def test_tables_outside_are_refused(server, sql):
    with pytest.raises(adbc_driver_manager.Error, match="you may not read awsdatacatalog.hidden"):
        run(server, "fenced", sql)


def test_values_and_the_sessions_database_do_not_lead_around(server):
    for sql in ("select * from hidden.t where ? = 1", "select * from tpch.peek where ? = 1"):
        for value in (0, 1):
            with pytest.raises(adbc_driver_manager.Error, match="you may not read awsdatacatalog.hidden"):
                run(server, "fenced", sql, (value,))
    for sql in ("select * from t", "select * from t where false", "table t",
                "select * from (with t as (select 1 as a) select * from t) x, t where false"):
        with pytest.raises(adbc_driver_manager.Error, match="you may not read awsdatacatalog.hidden"):
            run(server, "fenced", sql, database="hidden")
    for sql in ("select * from information_schema.tables", "select * from information_schema.tables where false"):
        with pytest.raises(adbc_driver_manager.Error, match="you may not read awsdatacatalog.information_schema"):
            run(server, "fenced", sql)
    with pytest.raises(adbc_driver_manager.Error, match="you may not read other.tpch"):
        run(server, "fenced", "select * from tpch.nation where false", catalog="other")
    with pytest.raises(adbc_driver_manager.Error, match="query is a table function"):
        run(server, "fenced", "select * from table(query('select * from hidden.t'))")


@pytest.mark.parametrize(("sql", "parameters", "rows"), [
    ("select count(*) from tpch.nation", None, [(25,)]),
    ("select count(*) from nation n join region r on n.n_regionkey = r.r_regionkey, (values 1) v (x)", None, [(25,)]),
    ("select count(*) from tpch.own where n_nationkey < ?", (3,), [(3,)]),
    ("select count(*) from nation where ? = 1", (0,), [(0,)]),
    ("select * from nation where 1 = 0", None, []),
    ("with hidden as (select 1 as a), t (b) as (select 2 as b) select hidden.a, t.b from hidden, t", None, [(1, 2)]),
    ("select x.y from (select 5 as y) x cross join unnest(array[1]) with ordinality as u (v, w)", None, [(5,)]),
    ("select extract(year from o.o_orderdate) > 0 from orders o where o.o_orderkey is not distinct from 1", None, [(True,)]),
    ("values 1", None, [(1,)]),
])
@pytest.mark.parametrize("name", ["fenced", "walled"])
def test_what_is_allowed_is_run(server, name, sql, parameters, rows):
    assert run(server, name, sql, parameters, database="tpch") == rows


def test_the_wall_is_athenas(server):
    # The view is in an allowed database: its tables are Athena's to find, and it finds none.
    with pytest.raises(adbc_driver_manager.Error, match="no session policy allows the glue:GetDatabase action"):
        run(server, "walled", "select * from tpch.peek")
    with urllib.request.urlopen(f"{server.endpoint}/_athena-flight/calls") as answer:
        calls = json.load(answer)["calls"]
    assumed = [call["request"] for call in calls if call["operation"] == "AssumeRole"]
    asked = urllib.parse.parse_qs(assumed[0])
    assert asked["SourceIdentity"] == ["walled"] and "Policy=" in assumed[0]
    options = {"username": "walled", "password": "walled's password"}
    with dbapi.connect(server.url, db_kwargs=options, autocommit=True) as connection:
        objects = connection.adbc_get_objects(depth="tables").read_all().to_pylist()
        schemas = {schema["db_schema_name"]: schema for catalog in objects for schema in catalog["catalog_db_schemas"]}
    assert list(schemas) == ["tpch"]
    assert "nation" in {table["table_name"] for table in schemas["tpch"]["db_schema_tables"]}


def session(server, *arguments):
    """Clients that work as the role, bound by the session policy that is printed."""
    done = subprocess.run([BINARY, "policy", "--session-policy", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    sts = boto3.client("sts", **aws(server.endpoint))
    answer = sts.assume_role(RoleArn=ROLE, RoleSessionName="me", SourceIdentity="me", Policy=done.stdout.strip())
    assert 0 < answer["PackedPolicySize"] <= 100
    given = answer["Credentials"]
    keys = {"aws_access_key_id": given["AccessKeyId"], "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"]}
    return lambda service: boto3.client(service, **(aws(server.endpoint) | keys))


def athena_rows(athena, sql):
    id = athena.start_query_execution(QueryString=sql)["QueryExecutionId"]
    while athena.get_query_execution(QueryExecutionId=id)["QueryExecution"]["Status"]["State"] in ("QUEUED", "RUNNING"):
        time.sleep(0.02)
    rows = athena.get_query_results(QueryExecutionId=id)["ResultSet"]["Rows"]
    return [row["Data"][0]["VarCharValue"] for row in rows[1:]]


def outcome(athena, sql):
    started = athena.start_query_execution(QueryString=sql, QueryExecutionContext={"Database": "tpch"})
    while True:
        status = athena.get_query_execution(QueryExecutionId=started["QueryExecutionId"])["QueryExecution"]["Status"]
        if status["State"] not in ("QUEUED", "RUNNING"):
            return status["State"], status.get("StateChangeReason", "")
        time.sleep(0.02)


def test_without_the_gateway_athena_refuses(server):
    client = session(server, "--database", "tpc*")
    athena, glue = client("athena"), client("glue")
    assert outcome(athena, "select count(*) from nation") == ("SUCCEEDED", "")
    for sql in ("select * from hidden.t", "select * from peek", "explain select * from hidden.t", "create table tpch.copy as select 1 as a",
                "drop table nation", "show tables in hidden"):
        state, reason = outcome(athena, sql)
        assert state == "FAILED" and "no session policy allows the glue:" in reason, (sql, state, reason)
    listed = athena_rows(athena, "select distinct table_schema from information_schema.tables")
    assert listed == ["tpch"]
    assert {"tpch", "hidden"} <= {database["Name"] for database in glue.get_databases()["DatabaseList"]}
    assert glue.get_tables(DatabaseName="tpch")["TableList"]
    for call in (lambda: glue.get_tables(DatabaseName="hidden"), lambda: glue.get_table(DatabaseName="hidden", Name="t")):
        with pytest.raises(glue.exceptions.ClientError, match="no session policy allows"):
            call()


def test_both_policies_bind_a_session(server):
    url = f"{server.endpoint}/_athena-flight/behaviour"
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["athena:*", "s3:*", "glue:GetDatabase"], "Resource": "*"}]}
    document = {"policies": {ROLE: allow}, "roles": [{"arn": ROLE, "external_id": None}]}
    urllib.request.urlopen(urllib.request.Request(url, method="PUT", data=json.dumps(document).encode()))
    try:
        state, reason = outcome(session(server, "--database", "tpch")("athena"), "select * from nation")
        assert state == "FAILED" and "no identity-based policy allows the glue:GetTable action" in reason
    finally:
        urllib.request.urlopen(urllib.request.Request(url, method="DELETE"))


def test_sts_looks_at_the_policy(server):
    sts = boto3.client("sts", **aws(server.endpoint))
    for policy, code in (("{}", "MalformedPolicyDocument"), ("nonsense", "MalformedPolicyDocument"), ("x" * 2049, "ValidationError")):
        with pytest.raises(sts.exceptions.ClientError, match=code):
            sts.assume_role(RoleArn=ROLE, RoleSessionName="me", Policy=policy)


def test_a_policy_that_is_too_long_is_refused_at_the_start(tmp_path):
    config = tmp_path / "athena-flight.toml"
    names = ", ".join(f'"database_{n}"' for n in range(40))
    config.write_text(f'[[rules]]\nprincipal = "*"\nschemas = [{names}]\nrole-arn = "{ROLE}"\n')
    done = subprocess.run([BINARY, "config", "--config", config], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "STS takes at most 2048" in done.stderr, done.stderr
    done = subprocess.run([BINARY, "policy", "--session-policy"], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "give --database or --catalog" in done.stderr
