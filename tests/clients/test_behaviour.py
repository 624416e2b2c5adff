"""What the endpoint can be told to do: quotas, limits, latencies, faults, signatures, policies, roles."""

import concurrent.futures
import json
import threading
import time
import urllib.request

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError

from conftest import aws
from test_aws_clients import run

ONCE = Config(retries={"max_attempts": 0, "mode": "standard"}, max_pool_connections=60)


class Endpoint:
    """An endpoint of its own, with its admin API."""

    def __init__(self, process):
        self.url = process.endpoint

    def call(self, method, path, document=None):
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"{self.url}/_athena-flight/{path}", data=body, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def behave(self, **settings):
        self.call("PUT", "behaviour", settings)

    def client(self, name, config=ONCE, **more):
        return boto3.client(name, config=config, **(aws(self.url) | more))


@pytest.fixture(scope="module")
def own(start, tmp_path_factory):
    return Endpoint(start("emulator", "--data", tmp_path_factory.mktemp("behaviour"), "--listen", "127.0.0.1:0"))


@pytest.fixture
def endpoint(own):
    yield own
    own.call("DELETE", "behaviour")
    own.call("DELETE", "calls")


def code(caught):
    return caught.value.response["Error"]["Code"]


def test_published_quotas_throttle_and_lose_nothing(endpoint):
    endpoint.behave(quotas=True)
    patient = Config(retries={"max_attempts": 30, "mode": "adaptive"}, max_pool_connections=60)
    athena = endpoint.client("athena", config=patient)
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(50) as threads:
        ids = list(threads.map(lambda i: athena.start_query_execution(QueryString=f"SELECT {i}"), range(500)))
    seconds = time.monotonic() - started
    ids = [answer["QueryExecutionId"] for answer in ids]
    assert len(set(ids)) == 500
    calls = [call for call in endpoint.call("GET", "calls")["calls"] if call["operation"] == "StartQueryExecution"]
    accepted = sorted(call["at"] for call in calls if call["status"] == 200)
    assert len(accepted) == 500 and len(calls) > 500, "some calls were throttled"
    # 80 at once, then 20 a second: no window holds more than the burst and what has come in since.
    for i, first in enumerate(accepted):
        for last in range(i, len(accepted), 40):
            assert last - i + 1 <= 80 + 20 * (accepted[last] - first) + 2
    assert seconds >= (500 - 80) / 20 - 1
    endpoint.call("DELETE", "behaviour")
    states = {}
    while len(states) < 500:
        for at in range(0, 500, 50):
            for execution in athena.batch_get_query_execution(QueryExecutionIds=ids[at : at + 50])["QueryExecutions"]:
                if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
                    states[execution["QueryExecutionId"]] = execution["Status"]["State"]
    assert set(states.values()) == {"SUCCEEDED"}


def test_quota_of_a_call_of_its_own(endpoint):
    endpoint.behave(calls_per_second={"ListWorkGroups": [0.01, 2]})
    athena = endpoint.client("athena")
    athena.list_work_groups(), athena.list_work_groups()
    with pytest.raises(ClientError) as caught:
        athena.list_work_groups()
    assert code(caught) == "ThrottlingException"


def test_concurrent_queries_queue_and_are_limited(endpoint):
    endpoint.behave(running_queries=1, concurrent_queries=3, latency={"run": {"fixed": 60000}})
    athena = endpoint.client("athena")
    ids = [athena.start_query_execution(QueryString="SELECT 1")["QueryExecutionId"] for _ in range(3)]
    with pytest.raises(ClientError) as caught:
        athena.start_query_execution(QueryString="SELECT 1")
    assert code(caught) == "TooManyRequestsException"
    assert caught.value.response["Reason"] == "CONCURRENT_QUERY_LIMIT_EXCEEDED"
    while True:
        found = athena.batch_get_query_execution(QueryExecutionIds=ids)["QueryExecutions"]
        states = sorted(execution["Status"]["State"] for execution in found)
        if states == ["QUEUED", "QUEUED", "RUNNING"]:
            break
    for query in ids:
        athena.stop_query_execution(QueryExecutionId=query)
    while any(
        execution["Status"]["State"] != "CANCELLED"
        for execution in athena.batch_get_query_execution(QueryExecutionIds=ids)["QueryExecutions"]
    ):
        pass


def test_latencies_are_kept(endpoint):
    endpoint.behave(latency={"queue": {"fixed": 200}, "run": {"uniform": [300, 400]}, "call": {"log_normal": [5, 0.1]}})
    statistics = run(endpoint.client("athena"), "SELECT 1")["Statistics"]
    assert statistics["QueryQueueTimeInMillis"] >= 200
    assert statistics["EngineExecutionTimeInMillis"] >= 300


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("throttling", "ThrottlingException"),
        ({"server_error": 503}, "InternalServerException"),
        ("expired_token", "ExpiredTokenException"),
        ("access_denied", "AccessDeniedException"),
    ],
)
def test_faults_of_calls(endpoint, kind, expected):
    endpoint.behave(faults=[{"service": "athena", "operation": "ListWorkGroups", "times": 1, "kind": kind}])
    athena = endpoint.client("athena")
    with pytest.raises(ClientError) as caught:
        athena.list_work_groups()
    assert code(caught) == expected
    athena.list_work_groups()


def test_connections_are_reset(endpoint):
    endpoint.behave(faults=[{"operation": "ListWorkGroups", "times": 1, "kind": "connection_reset"}])
    athena = endpoint.client("athena")
    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        athena.list_work_groups()
    athena.list_work_groups()


def test_faults_of_objects(endpoint):
    s3 = endpoint.client("s3")
    s3.put_object(Bucket="athena-flight-results", Key="faults/x", Body=b"x" * 100_000)
    get = lambda: s3.get_object(Bucket="athena-flight-results", Key="faults/x")["Body"].read()
    fault = {"service": "s3", "operation": "GetObject", "contains": "faults/", "times": 1}
    for kind, expected in [
        ("missing_object", "NoSuchKey"),
        ("throttling", "SlowDown"),
        ("access_denied", "AccessDenied"),
        ("expired_token", "ExpiredToken"),
    ]:
        endpoint.behave(faults=[fault | {"kind": kind}])
        with pytest.raises(ClientError) as caught:
            get()
        assert code(caught) == expected
    endpoint.behave(faults=[fault | {"kind": {"truncated_body": 1000}}])
    with pytest.raises(Exception, match="(?i)incomplete|broken|closed|read"):
        get()
    endpoint.behave(faults=[fault | {"kind": {"slow_body": 1_000_000}}])
    started = time.monotonic()
    assert len(get()) == 100_000 and time.monotonic() - started >= 0.09
    assert len(get()) == 100_000


def test_objects_are_conditional_and_ranged(endpoint):
    s3 = endpoint.client("s3")
    tag = s3.put_object(Bucket="athena-flight-results", Key="c", Body=b"0123456789", ContentType="text/x")["ETag"]
    head = s3.head_object(Bucket="athena-flight-results", Key="c")
    assert (head["ETag"], head["ContentType"], head["ContentLength"]) == (tag, "text/x", 10)
    get = lambda **more: s3.get_object(Bucket="athena-flight-results", Key="c", **more)
    assert get(IfMatch=tag)["Body"].read() == b"0123456789"
    with pytest.raises(ClientError) as caught:
        get(IfMatch='"other"')
    assert code(caught) == "PreconditionFailed"
    with pytest.raises(ClientError) as caught:
        get(IfNoneMatch=tag)
    assert code(caught) == "304"
    part = get(Range="bytes=-3")
    assert (part["Body"].read(), part["ContentRange"]) == (b"789", "bytes 7-9/10")
    with pytest.raises(ClientError) as caught:
        get(Range="bytes=10-")
    assert code(caught) == "InvalidRange"
    # A result of the engine's has a tag too, which changes with the object.
    location = run(endpoint.client("athena"), "SELECT 1")["ResultConfiguration"]["OutputLocation"]
    bucket, key = location.removeprefix("s3://").split("/", 1)
    tag = s3.head_object(Bucket=bucket, Key=key)["ETag"]
    assert s3.get_object(Bucket=bucket, Key=key, IfMatch=tag)["Body"].read() == b'"_col0"\n"1"\n'


def test_signatures_are_checked_on_request(endpoint):
    known = {"access_key_id": "AKIAKNOWN", "secret_access_key": "se/cret+"}
    endpoint.behave(verify_signatures=True, credentials=[known])
    right = {"aws_access_key_id": "AKIAKNOWN", "aws_secret_access_key": "se/cret+"}
    assert endpoint.client("sts", **right).get_caller_identity()["Arn"].endswith("user/AKIAKNOWN")
    assert run(endpoint.client("athena", **right), "SELECT 1")["Status"]["State"] == "SUCCEEDED"
    s3 = endpoint.client("s3", **right)
    s3.put_object(Bucket="athena-flight-results", Key="signed/a b+ü=1", Body=b"x")
    assert s3.list_objects_v2(Bucket="athena-flight-results", Prefix="signed/")["KeyCount"] == 1
    signer = endpoint.client("s3", config=Config(signature_version="s3v4"), **right)
    url = signer.generate_presigned_url("get_object", {"Bucket": "athena-flight-results", "Key": "signed/a b+ü=1"})
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"x"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url.replace("X-Amz-Expires=3600", "X-Amz-Expires=3601"))
    for service, call, wrong_secret, wrong_key in [
        ("athena", "list_work_groups", "InvalidSignatureException", "UnrecognizedClientException"),
        ("glue", "get_databases", "InvalidSignatureException", "UnrecognizedClientException"),
        ("s3", "list_buckets", "SignatureDoesNotMatch", "InvalidAccessKeyId"),
    ]:
        with pytest.raises(ClientError) as caught:
            getattr(endpoint.client(service, **(right | {"aws_secret_access_key": "wrong"})), call)()
        assert code(caught) == wrong_secret
        with pytest.raises(ClientError) as caught:
            getattr(endpoint.client(service, **(right | {"aws_access_key_id": "AKIAOTHER"})), call)()
        assert code(caught) == wrong_key


def allow(*actions, resource="*"):
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def test_policies_bind_calls_and_queries(endpoint):
    run(endpoint.client("athena"), "CREATE DATABASE IF NOT EXISTS guarded")
    run(endpoint.client("athena"), "CREATE TABLE guarded.t AS SELECT 1 AS x")
    athena = allow("athena:*")
    output = allow("s3:PutObject", "s3:GetBucketLocation", resource=["arn:aws:s3:::athena-flight-results*"])
    glue = allow("glue:GetDatabase", "glue:GetTable")
    data = allow("s3:GetObject", "s3:ListBucket")
    client = endpoint.client("athena", aws_access_key_id="AKIABOUND")
    whole = [athena, output, glue, data]
    bind = lambda statements: endpoint.behave(policies={"AKIABOUND": document(*statements)})
    bind(whole)
    assert run(client, "SELECT * FROM guarded.t")["Status"]["State"] == "SUCCEEDED"
    for missing, named in [
        (output, "s3:GetBucketLocation"),
        (glue, "glue:GetDatabase"),
        (data, "s3:ListBucket"),
    ]:
        bind([statement for statement in whole if statement is not missing])
        status = run(client, "SELECT * FROM guarded.t")["Status"]
        assert status["State"] == "FAILED" and status["AthenaError"]["ErrorType"] == 1500
        assert f"is not authorized to perform: {named}" in status["StateChangeReason"]
    bind([*whole, {"Effect": "Deny", "Action": "athena:GetQueryResults", "Resource": "*"}])
    query = run(client, "SELECT 1")["QueryExecutionId"]
    with pytest.raises(ClientError, match="explicit deny") as caught:
        client.get_query_results(QueryExecutionId=query)
    assert code(caught) == "AccessDeniedException"
    bind([allow("athena:*", resource="arn:aws:athena:us-east-1:000000000000:workgroup/other")])
    with pytest.raises(ClientError, match="athena:StartQueryExecution.*workgroup/primary"):
        client.start_query_execution(QueryString="SELECT 1")
    for sql, action in [
        ("CREATE DATABASE guarded2", "glue:CreateDatabase"),
        ("CREATE TABLE guarded.u AS SELECT 1 AS x", "glue:CreateTable"),
        ("DROP TABLE guarded.t", "glue:DeleteTable"),
        ("ALTER TABLE guarded.t SET TBLPROPERTIES ('a' = 'b')", "glue:UpdateTable"),
    ]:
        bind(whole)
        assert action in run(client, sql)["Status"]["StateChangeReason"]
    with pytest.raises(ClientError, match="glue:DeleteTable"):
        endpoint.client("glue", aws_access_key_id="AKIABOUND").delete_table(DatabaseName="guarded", Name="t")
    with pytest.raises(ClientError, match="s3:DeleteObject"):
        endpoint.client("s3", aws_access_key_id="AKIABOUND").delete_object(Bucket="athena-flight-results", Key="x")


def test_roles_are_assumed_and_their_sessions_end(endpoint):
    role = "arn:aws:iam::000000000000:role/path/reader"
    endpoint.behave(
        roles=[{"arn": role, "external_id": "e1", "session_seconds": 2}],
        policies={role: document(allow("athena:ListWorkGroups"))},
    )
    sts = endpoint.client("sts")
    with pytest.raises(ClientError) as caught:
        sts.assume_role(RoleArn=role, RoleSessionName="me", ExternalId="wrong")
    assert code(caught) == "AccessDenied"
    with pytest.raises(ClientError) as caught:
        sts.assume_role(RoleArn=role, RoleSessionName="me", ExternalId="e1", DurationSeconds=50_000)
    assert code(caught) == "ValidationError"
    answer = sts.assume_role(RoleArn=role, RoleSessionName="me", ExternalId="e1", SourceIdentity="alice")
    assert answer["SourceIdentity"] == "alice"
    given = answer["Credentials"]
    session = {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }
    assert endpoint.client("sts", **session).get_caller_identity()["Arn"].endswith("assumed-role/reader/me")
    athena = endpoint.client("athena", **session)
    athena.list_work_groups()
    with pytest.raises(ClientError, match="athena:ListEngineVersions"):
        athena.list_engine_versions()
    with pytest.raises(ClientError) as caught:
        endpoint.client("athena", **(session | {"aws_session_token": "other"})).list_work_groups()
    assert code(caught) == "UnrecognizedClientException"
    expired = threading.Event()
    while not expired.is_set():
        try:
            athena.list_work_groups()
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ExpiredTokenException"
            expired.set()
    with pytest.raises(ClientError) as caught:
        endpoint.client("s3", **session).list_buckets()
    assert code(caught) == "ExpiredToken"


def test_wrong_settings_are_refused(endpoint):
    with pytest.raises(urllib.error.HTTPError, match="400"):
        endpoint.behave(nonsense=True)
    assert run(endpoint.client("athena"), "SELECT 1")["Status"]["State"] == "SUCCEEDED"
