"""One contender of benches/peers/run: reads lineitem and prints one line of JSON.

`total_s`: from the statement to the last row. `fetch_s`: of a query that has finished, from the first request for rows to
the last row. `first_s`: the same to the first batch, where there are batches. `cpu_s`: what this process, the gateway and
the endpoint worked in the fetch that counts. `client_mib`: this process's peak. No run holds the rows of another: memory
that is new to a process costs more than memory that it used before.
"""

import argparse
import functools
import json
import os
import resource
import time

QUERY = "SELECT * FROM tpch.lineitem"
STAGING = "s3://athena-flight-results/peers/"
# So that fetching is compared, and not how long a client sleeps between two looks at its query.
POLL_SECONDS = 0.05


class Times:
    """The best of several runs, in seconds."""

    def __init__(self, gateway, endpoint):
        self.processes = {"client": os.getpid(), "gateway": gateway, "endpoint": endpoint}
        self.total = self.fetch = self.first = self.cpu = None

    def now(self):
        """The time, and how much each process has worked."""
        return time.perf_counter(), {name: cpu_seconds(process) for name, process in self.processes.items()}

    def add_total(self, seconds):
        self.total = min(seconds, self.total or seconds)

    def add_fetch(self, started, to_first=None):
        """A fetch that began then, and is over now."""
        (began, before), (ended, after) = started, self.now()
        if self.fetch is None or ended - began < self.fetch:
            self.fetch = ended - began
            self.cpu = {name: after[name] - before[name] for name in after}
        if to_first is not None:
            self.first = min(to_first, self.first or to_first)


def cpu_seconds(process):
    """User and system time of a process so far."""
    fields = open(f"/proc/{process}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(work):
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def athena_flight(path, compression=None):
    """ADBC: execute and fetch; then the same finished query's rows again."""

    def run(endpoint, gateway, times):
        import pyarrow as pa
        from adbc_driver_flightsql import dbapi

        headers = {"x-athena-result-path": path} | ({"x-athena-compression": compression} if compression else {})
        options = {f"adbc.flight.sql.rpc.call_header.{name}": value for name, value in headers.items()}
        with dbapi.connect(gateway, db_kwargs=options, autocommit=True) as connection:
            with connection.cursor() as cursor:
                total, _ = timed(lambda: (cursor.execute(QUERY), cursor.fetch_arrow_table())[1].num_rows)
            times.add_total(total)
            with connection.cursor() as cursor:
                partitions, _ = cursor.adbc_execute_partitions(QUERY)
                started = times.now()
                first, batches = None, []
                for partition in partitions:
                    cursor.adbc_read_partition(partition)
                    for batch in cursor.fetch_record_batch():
                        first = first or time.perf_counter() - started[0]
                        batches.append(batch)
                times.add_fetch(started, first)
        return pa.Table.from_batches(batches)

    return run


def flight(path):
    """pyarrow's Flight client, which reads in C++."""

    def run(endpoint, gateway, times):
        import pyarrow as pa
        import pyarrow.flight as fl

        command = fl.FlightDescriptor.for_command(statement_query(QUERY))
        call = fl.FlightCallOptions(headers=[(b"x-athena-result-path", path.encode())])
        with fl.connect(gateway) as client:
            started = time.perf_counter()
            info = client.get_flight_info(command, call)
            finished = times.now()
            reader = client.do_get(info.endpoints[0].ticket, call)
            first = reader.read_chunk().data
            to_first = time.perf_counter() - finished[0]
            table = pa.Table.from_batches([first, *(chunk.data for chunk in reader)])
            times.add_fetch(finished, to_first)
            times.add_total(time.perf_counter() - started)
        return table

    return run


def statement_query(sql):
    """A CommandStatementQuery in its Any: two protobuf messages of strings."""

    def field(number, payload):
        length, varint = len(payload), b""
        while length >= 0x80:
            varint += bytes([length & 0x7F | 0x80])
            length >>= 7
        return bytes([number << 3 | 2]) + varint + bytes([length]) + payload

    name = b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery"
    return field(1, name) + field(2, field(1, sql.encode()))


def pyathena(kind, unload=False, poll=POLL_SECONDS):
    """PyAthena reads while it executes; what comes after its last look at the query is the fetching."""

    def run(endpoint, gateway, times):
        import pyarrow.fs
        import pyathena
        from pyathena.arrow.cursor import ArrowCursor
        from pyathena.cursor import Cursor
        from pyathena.pandas.cursor import PandasCursor

        point_pyarrow_at(endpoint, pyarrow.fs)
        os.environ["AWS_ENDPOINT_URL"] = endpoint
        cursor_class = {"arrow": ArrowCursor, "pandas": PandasCursor, "plain": Cursor}[kind]
        options = {"unload": True} if unload else {}
        connection = pyathena.connect(
            s3_staging_dir=STAGING,
            schema_name="tpch",
            region_name="us-east-1",
            poll_interval=poll,
            cursor_class=cursor_class,
            cursor_kwargs=options,
        )
        with connection, connection.cursor() as cursor:
            polled = []
            look = cursor._poll
            cursor._poll = lambda *arguments: (look(*arguments), polled.append(times.now()))[0]
            started = time.perf_counter()
            cursor.execute(QUERY)
            read = {"arrow": "as_arrow", "pandas": "as_pandas", "plain": "fetchall"}[kind]
            rows = getattr(cursor, read)()
            times.add_fetch(polled[-1])
            times.add_total(time.perf_counter() - started)
        return rows

    return run


def wrangler(how):
    """awswrangler; fetching alone is reading a finished query's results, or the files it left."""

    def run(endpoint, gateway, times):
        import awswrangler as wr
        import boto3

        for name in ("athena", "glue", "s3", "sts"):
            setattr(wr.config, f"{name}_endpoint_url", endpoint)
        wr.config.athena_query_wait_polling_delay = POLL_SECONDS
        session = boto3.Session(region_name="us-east-1")
        output = f"{STAGING}wrangler-{how}-{time.time_ns()}/"
        options = {"database": "tpch", "s3_output": output, "boto3_session": session}
        approach = {"ctas_approach": how == "ctas", "unload_approach": how == "unload"}
        total, _ = timed(lambda: len(wr.athena.read_sql_query(QUERY, keep_files=True, **approach, **options)))
        times.add_total(total)
        if how == "csv":
            id = wr.athena.start_query_execution(QUERY, **options)
            wr.athena.wait_query(id, boto3_session=session)
            started = times.now()
            frame = wr.athena.get_query_results(query_execution_id=id, boto3_session=session)
        else:
            files = [name for name in wr.s3.list_objects(output, boto3_session=session) if "manifest" not in name]
            files = [name for name in files if not name.endswith((".csv", ".metadata", ".txt"))]
            started = times.now()
            frame = wr.s3.read_parquet(files, boto3_session=session)
        times.add_fetch(started)
        return frame

    return run


def limit(kind):
    """pyarrow reading the same objects straight from S3: nobody can be much faster."""

    def run(endpoint, gateway, times):
        import boto3
        import pyarrow.csv
        import pyarrow.fs
        import pyarrow.parquet

        point_pyarrow_at(endpoint, pyarrow.fs)
        files = pyarrow.fs.S3FileSystem(region="us-east-1")
        athena = boto3.client("athena", endpoint_url=endpoint, region_name="us-east-1")
        if kind == "csv":
            location, _ = finished(athena, QUERY)
            options = pyarrow.csv.ConvertOptions(
                column_types=LINEITEM, strings_can_be_null=True, quoted_strings_can_be_null=False
            )
            read = lambda: pyarrow.csv.read_csv(
                files.open_input_stream(location.removeprefix("s3://")), convert_options=options
            )
        else:
            folder = f"{STAGING}limit-{time.time_ns()}/"
            unload = f"UNLOAD ({QUERY}) TO '{folder}' WITH (format = 'PARQUET', compression = 'SNAPPY')"
            finished(athena, unload)
            read = lambda: pyarrow.parquet.read_table(folder.removeprefix("s3://").rstrip("/"), filesystem=files)
        started = times.now()
        table = read()
        times.add_fetch(started)
        return table

    return run


def bare_flight(endpoint, gateway, times):
    """Flight alone: pyarrow's own server, in another process, sends the batches from its memory."""
    import multiprocessing

    import pyarrow as pa
    import pyarrow.flight as fl

    # Not a fork: what gRPC's threads hold here would be held for ever there.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve_table, args=(endpoint, gateway, theirs), daemon=True)
    server.start()
    os.sched_setaffinity(server.pid, os.sched_getaffinity(times.processes["gateway"]))
    times.processes["gateway"] = server.pid
    with fl.connect(f"grpc://127.0.0.1:{ours.recv()}") as client:
        started = times.now()
        reader = client.do_get(fl.Ticket(b"all"))
        first = reader.read_chunk().data
        to_first = time.perf_counter() - started[0]
        received = pa.Table.from_batches([first, *(chunk.data for chunk in reader)])
        times.add_fetch(started, to_first)
    server.terminate()
    return received


def serve_table(endpoint, gateway, pipe):
    import pyarrow.flight as fl

    global LINEITEM
    LINEITEM = lineitem_types()
    table = flight("unload")(endpoint, gateway, Times(os.getpid(), os.getpid()))

    class Bare(fl.FlightServerBase):
        def do_get(self, context, ticket):
            return fl.RecordBatchStream(table)

    server = Bare("grpc://127.0.0.1:0")
    pipe.send(server.port)
    server.serve()


def finished(athena, sql):
    """Runs a statement and gives where its result lies, and its statistics."""
    configuration = {"OutputLocation": STAGING}
    id = athena.start_query_execution(QueryString=sql, ResultConfiguration=configuration)["QueryExecutionId"]
    while True:
        execution = athena.get_query_execution(QueryExecutionId=id)["QueryExecution"]
        state = execution["Status"]["State"]
        if state == "SUCCEEDED":
            return execution["ResultConfiguration"]["OutputLocation"], execution["Statistics"]
        if state in ("FAILED", "CANCELLED"):
            raise RuntimeError(execution["Status"])
        time.sleep(POLL_SECONDS)


def remove_results(endpoint):
    """The next contender needs the disk."""
    import boto3

    s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    bucket, prefix = STAGING.removeprefix("s3://").split("/", 1)
    while objects := s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents"):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": item["Key"]} for item in objects]})


def point_pyarrow_at(endpoint, fs):
    """pyarrow's file system takes its endpoint from its arguments alone, which PyAthena does not pass on."""
    if not isinstance(fs.S3FileSystem, functools.partial):
        address = endpoint.removeprefix("http://")
        fs.S3FileSystem = functools.partial(fs.S3FileSystem, endpoint_override=address, scheme="http")


def lineitem_types():
    import pyarrow as pa

    integers = {name: pa.int64() for name in ("l_orderkey", "l_partkey", "l_suppkey")} | {"l_linenumber": pa.int32()}
    decimals = {name: pa.decimal128(15, 2) for name in ("l_quantity", "l_extendedprice", "l_discount", "l_tax")}
    dates = {name: pa.date32() for name in ("l_shipdate", "l_commitdate", "l_receiptdate")}
    texts = ("l_returnflag", "l_linestatus", "l_shipinstruct", "l_shipmode", "l_comment")
    return integers | decimals | dates | {name: pa.string() for name in texts}


LINEITEM = None


def types(rows):
    """What an integer, a decimal, a date and a text have become."""
    columns = {"bigint": "l_orderkey", "decimal(15,2)": "l_quantity", "date": "l_shipdate", "varchar": "l_comment"}
    if isinstance(rows, list):
        place = dict(zip(columns, (0, 4, 10, 15)))
        return ", ".join(type(rows[0][at]).__name__ for at in place.values())
    if hasattr(rows, "schema"):
        return ", ".join(str(rows.schema.field(name).type) for name in columns.values())
    frame = [rows[name] for name in columns.values()]
    return ", ".join(str(c.dtype) if str(c.dtype) != "object" else type(c.iloc[0]).__name__ for c in frame)


RUNS = {
    "athena-flight-direct": athena_flight("direct"),
    "athena-flight-unload": athena_flight("unload"),
    "athena-flight-unload-lz4": athena_flight("unload", "lz4"),
    "athena-flight-direct-flight": flight("direct"),
    "athena-flight-unload-flight": flight("unload"),
    "pyathena-cursor": pyathena("plain"),
    "pyathena-arrow-csv": pyathena("arrow"),
    "pyathena-arrow-csv-defaults": pyathena("arrow", poll=1),
    "pyathena-arrow-unload": pyathena("arrow", unload=True),
    "pyathena-pandas-csv": pyathena("pandas"),
    "awswrangler-csv": wrangler("csv"),
    "awswrangler-unload": wrangler("unload"),
    "awswrangler-ctas": wrangler("ctas"),
    "pyarrow-csv": limit("csv"),
    "pyarrow-parquet": limit("parquet"),
    "bare-flight": bare_flight,
}


def main():
    global LINEITEM
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=RUNS)
    parser.add_argument("endpoint")
    parser.add_argument("gateway")
    parser.add_argument("--servers", type=int, nargs=2, required=True, help="processes of the gateway and the endpoint")
    parser.add_argument("--repeat", type=int, default=1)
    arguments = parser.parse_args()
    LINEITEM = lineitem_types()
    times, rows = Times(*arguments.servers), None
    for _ in range(arguments.repeat):
        rows = None
        rows = RUNS[arguments.name](arguments.endpoint, arguments.gateway, times)
    result = {
        "rows": len(rows),
        "total_s": times.total,
        "fetch_s": times.fetch,
        "first_s": times.first,
        "cpu_s": times.cpu,
        "client_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "types": types(rows),
    }
    remove_results(arguments.endpoint)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
