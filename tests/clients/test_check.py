"""`athena-flight check`: every diagnosis, when its fault is set at the endpoint; and what it says of moto's server."""

import json
import os
import socket
import subprocess
import urllib.request

import boto3
import pyarrow.flight as fl
import pytest

from conftest import BINARY, aws

KEYS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}


@pytest.fixture(scope="module")
def endpoint(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("check")
    endpoint = start("emulator", "--demo", "--demo-scale", "0.001", "--data", folder, "--listen", "127.0.0.1:0", home=folder)
    athena = boto3.client("athena", **aws(endpoint.endpoint))
    athena.create_work_group(Name="nowhere")
    athena.create_work_group(Name="off", Configuration={"ResultConfiguration": {"OutputLocation": "s3://athena-flight-results/"}})
    athena.update_work_group(WorkGroup="off", State="DISABLED")
    athena.create_work_group(Name="managed", Configuration={"ManagedQueryResultsConfiguration": {"Enabled": True}})
    athena.create_work_group(Name="enforced", Configuration={
        "EnforceWorkGroupConfiguration": True, "ResultConfiguration": {"OutputLocation": "s3://athena-flight-results/own/"}})
    boto3.client("glue", **aws(endpoint.endpoint)).create_database(DatabaseInput={"Name": "empty"})
    return endpoint


@pytest.fixture(autouse=True)
def undo(endpoint):
    yield
    behave(endpoint, {})


def behave(endpoint, document):
    data = json.dumps(document).encode()
    urllib.request.urlopen(urllib.request.Request(f"{endpoint.endpoint}/_athena-flight/behaviour", method="PUT", data=data))


def check(*arguments, code=0, keys=KEYS):
    """The steps by their names."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ATHENA_FLIGHT_"))}
    env |= {"AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent"} | keys
    command = [BINARY, "check", "--format", "json", "--region", "us-east-1", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["passed"] else 1)
    assert code in (None, done.returncode), done.stdout + done.stderr
    return {step["name"]: step for step in report["steps"]}


def deny(action, resource="*"):
    return {"policies": {"*": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Effect": "Deny", "Action": action, "Resource": resource}]}}}


def test_all_is_well(endpoint):
    steps = check("--endpoint-url", endpoint.endpoint, "--database", "tpch")
    assert [step["verdict"] for step in steps.values()] == ["ok"] * 8
    mandatory = [name for name, step in steps.items() if step["mandatory"]]
    assert mandatory == ["CheckAccess", "Workgroup", "GetSchemas", "GetTables", "RunQuery"]
    assert all(step["limit_ms"] == 30000 and step["took_ms"] < 30000 and step["does"] for step in steps.values())
    # Nothing is left behind.
    objects = boto3.client("s3", **aws(endpoint.endpoint)).list_objects_v2(Bucket="athena-flight-results").get("Contents", [])
    assert not [entry["Key"] for entry in objects if "athena-flight-check" in entry["Key"]]


@pytest.mark.parametrize(("action", "step", "code"), [
    ("athena:GetWorkGroup", "Workgroup", 1),
    ("glue:GetDatabases", "GetSchemas", 1),
    ("glue:GetTables", "GetTables", 1),
    ("s3:PutObject", "StagingDirectory", 1),
    ("athena:StartQueryExecution", "RunQuery", 1),
    ("athena:GetQueryResults", "RunQuery", 1),
    ("glue:GetTable", "LakeFormation", 0),
])
def test_a_missing_action_is_named(endpoint, action, step, code):
    behave(endpoint, deny(action))
    found = check("--endpoint-url", endpoint.endpoint, "--database", "tpch", code=code)[step]
    assert found["verdict"] == "failed" and f"allow {action} on" in found["advice"], found


def test_a_wrong_region(endpoint):
    behave(endpoint, {"faults": [{"service": "s3", "kind": "wrong_region"}]})
    step = check("--endpoint-url", endpoint.endpoint)["StagingDirectory"]
    assert step["verdict"] == "failed" and "in another region" in step["advice"], step
    behave(endpoint, {"faults": [{"service": "sts", "kind": "wrong_region"}]})
    step = check("--endpoint-url", endpoint.endpoint, code=1)["CheckAccess"]
    assert "signed for another region" in step["advice"], step


def test_what_cannot_be_cleaned_up_is_a_warning(endpoint):
    behave(endpoint, deny("s3:DeleteObject"))
    step = check("--endpoint-url", endpoint.endpoint)["StagingDirectory"]
    assert step["verdict"] == "warning" and "s3:DeleteObject" in step["advice"]


@pytest.mark.parametrize(("arguments", "step", "said", "advice"), [
    (["--workgroup", "nope"], "Workgroup", "not found", "correct --workgroup"),
    (["--workgroup", "off"], "Workgroup", "disabled", "enable it"),
    (["--workgroup", "nowhere"], "Workgroup", "no output location", "--s3-staging-dir"),
    (["--s3-staging-dir", "s3://no-such-bucket/x/"], "StagingDirectory", "does not exist", "make it"),
    (["--s3-staging-dir", "s3://no-such-bucket/x/"], "RunQuery", "output bucket", "check --s3-staging-dir"),
    (["--catalog", "nope"], "GetSchemas", "nope", ""),
    (["--expected-bucket-owner", "111122223333"], "StagingDirectory", "Access Denied", "allow"),
])
def test_a_wrong_set_up_is_explained(endpoint, arguments, step, said, advice):
    mandatory = step != "StagingDirectory" or "no-such-bucket" in str(arguments)
    found = check("--endpoint-url", endpoint.endpoint, *arguments, code=1 if mandatory else 0)[step]
    assert found["verdict"] == "failed" and said in found["found"] and advice in found["advice"], found


@pytest.mark.parametrize(("document", "advice"), [
    ({"faults": [{"kind": "expired_token"}]}, "have expired"),
    ({"verify_signatures": True, "credentials": [{"access_key_id": "x", "secret_access_key": "y"}]}, "does not know the access key"),
    ({"verify_signatures": True, "credentials": [{"access_key_id": "any", "secret_access_key": "y"}]}, "does not go with"),
])
def test_credentials_that_are_not_good(endpoint, document, advice):
    behave(endpoint, document)
    steps = check("--endpoint-url", endpoint.endpoint, code=1)
    assert advice in steps["CheckAccess"]["advice"], steps["CheckAccess"]
    # Nothing else is tried.
    assert {step["verdict"] for name, step in steps.items() if name != "CheckAccess"} == {"skipped"}


def test_no_credentials_no_region_no_network(endpoint):
    steps = check("--endpoint-url", endpoint.endpoint, code=1, keys={})
    assert "no credentials were found" in steps["CheckAccess"]["advice"], steps["CheckAccess"]
    assert len(steps["CheckAccess"]["found"]) < 600
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = "http://127.0.0.1:%d" % closed.getsockname()[1]
    steps = check("--endpoint-url", url, "--max-attempts", "1", code=1)
    assert "a way out" in steps["CheckAccess"]["advice"], steps["CheckAccess"]
    done = subprocess.run([BINARY, "check", "--region", "us-east-1a"], capture_output=True, text=True)
    assert done.returncode == 1 and "its region is us-east-1" in done.stderr
    assert subprocess.run([BINARY, "check", "--nope"], capture_output=True).returncode == 2


def test_a_step_that_takes_too_long(endpoint):
    behave(endpoint, {"latency": {"run": {"fixed": 5000}}})
    step = check("--endpoint-url", endpoint.endpoint, "--limit", "1", code=1)["RunQuery"]
    assert step["verdict"] == "failed" and "within 1 s" in step["found"]


def test_empty_lists_are_warnings_about_lake_formation(endpoint, start, tmp_path):
    step = check("--endpoint-url", endpoint.endpoint, "--database", "empty")["GetTables"]
    assert step["verdict"] == "warning" and "Lake Formation" in step["advice"]
    nothing = start("emulator", "--data", tmp_path, "--listen", "127.0.0.1:0", home=tmp_path)
    glue = boto3.client("glue", **aws(nothing.endpoint))
    for database in glue.get_databases()["DatabaseList"]:
        glue.delete_database(Name=database["Name"])
    steps = check("--endpoint-url", nothing.endpoint)
    assert steps["GetSchemas"]["verdict"] == "warning" and "Lake Formation" in steps["GetSchemas"]["advice"]


def test_managed_and_enforced_workgroups(endpoint):
    steps = check("--endpoint-url", endpoint.endpoint, "--workgroup", "managed")
    assert "managed query results" in steps["Workgroup"]["found"] and steps["StagingDirectory"]["verdict"] == "skipped"
    steps = check("--endpoint-url", endpoint.endpoint, "--workgroup", "enforced", "--s3-staging-dir", "s3://athena-flight-results/x/")
    assert steps["Workgroup"]["verdict"] == "warning" and "passed over" in steps["Workgroup"]["advice"]
    assert "own" in steps["StagingDirectory"]["found"]


def test_a_table_is_readable(endpoint):
    done = subprocess.run([BINARY, "check", "--region", "us-east-1", "--endpoint-url", endpoint.endpoint], text=True,
                          capture_output=True, env=os.environ | KEYS)
    assert done.returncode == 0 and "The connection works." in done.stdout and "GetViews (optional)" in done.stdout


def test_as_a_flight_action(demo):
    with fl.connect(demo.url) as client:
        [result] = client.do_action(fl.Action("CheckConnection", b""))
    report = json.loads(result.body.to_pybytes())
    assert report["passed"] and [step["name"] for step in report["steps"]][0] == "CheckAccess"


def test_moto(moto):
    """As far as moto goes: it knows STS, Glue, workgroups, S3 and queries without rows."""
    boto3.client("s3", **aws(moto)).create_bucket(Bucket="checked")
    glue = boto3.client("glue", **aws(moto))
    glue.create_database(DatabaseInput={"Name": "checked"})
    glue.create_table(DatabaseName="checked", TableInput={"Name": "t", "StorageDescriptor": {"Columns": [{"Name": "a", "Type": "int"}]}})
    steps = check("--endpoint-url", moto, "--s3-staging-dir", "s3://checked/results/", "--database", "checked", code=None)
    verdicts = {name: step["verdict"] for name, step in steps.items()}
    for name in ("CheckAccess", "Workgroup", "GetSchemas", "GetTables", "GetViews", "StagingDirectory"):
        assert verdicts[name] == "ok", steps[name]
    steps = check("--endpoint-url", moto, "--s3-staging-dir", "s3://no-such-bucket/", code=None)
    assert steps["StagingDirectory"]["verdict"] == "failed" and "make it" in steps["StagingDirectory"]["advice"]
