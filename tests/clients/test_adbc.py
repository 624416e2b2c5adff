"""ADBC's Flight SQL driver: dbapi, metadata, errors."""

import json
import urllib.request
import warnings

import adbc_driver_flightsql
import adbc_driver_manager
import boto3
import pyarrow as pa
import pytest
from adbc_driver_flightsql import dbapi

from conftest import aws


@pytest.fixture
def connection(demo):
    with dbapi.connect(demo.url, autocommit=True) as connection:
        yield connection


def table(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetch_arrow_table()


def test_count(connection):
    assert table(connection, "select count(*) from tpch.lineitem").to_pydict() == {"_col0": [60175]}


def test_a_large_result_comes_whole_and_typed(connection):
    lines = table(connection, "select * from tpch.lineitem")
    assert lines.num_rows == 60175
    types = {field.name: field.type for field in lines.schema}
    assert types["l_orderkey"] == pa.int64()
    assert types["l_quantity"] == pa.decimal128(15, 2)
    assert types["l_shipdate"] == pa.date32()
    assert types["l_comment"] == pa.string()
    assert sum(lines["l_quantity"].to_pylist()) == table(connection, "select sum(l_quantity) from tpch.lineitem")[0][0].as_py()


def test_an_empty_result_keeps_its_schema(connection):
    empty = table(connection, "select l_orderkey, l_shipdate from tpch.lineitem where l_orderkey < 0")
    assert (empty.num_rows, empty.schema.names) == (0, ["l_orderkey", "l_shipdate"])


def test_null_is_not_the_empty_string(connection):
    assert table(connection, "select '' as a, cast(null as varchar) as b").to_pylist() == [{"a": "", "b": None}]


def test_ddl_runs_once_without_fetching(connection):
    with connection.cursor() as cursor:
        cursor.execute("create database once")
        with pytest.raises(adbc_driver_manager.Error, match="already exists"):
            cursor.execute("create database once")
        cursor.execute("drop database once")


@pytest.mark.parametrize(
    ("sql", "kind", "text"),
    [
        ("selec 1", adbc_driver_manager.ProgrammingError, "line 1:1: mismatched input 'selec'"),
        ("select * from tpch.nope", adbc_driver_manager.ProgrammingError, "line 1:15: Table 'awsdatacatalog.tpch.nope'"),
        ("select nope from tpch.nation", adbc_driver_manager.ProgrammingError, "line 1:8: Column 'nope'"),
        ("select 1 + 'a'", adbc_driver_manager.ProgrammingError, "Cannot apply operator: integer \\+ varchar"),
        ("select 1/0", adbc_driver_manager.ProgrammingError, "Division by zero"),
        ("select '" + "x" * 300_000 + "'", adbc_driver_manager.ProgrammingError, "Athena takes at most 262144"),
        ("select 1; select 2", adbc_driver_manager.ProgrammingError, "Only one sql statement is allowed"),
        ("delete from tpch.nation", adbc_driver_manager.NotSupportedError, "DELETE"),
    ],
)
def test_errors_are_clear_and_the_next_query_works(connection, sql, kind, text):
    with connection.cursor() as cursor:
        with pytest.raises(kind, match=text):
            cursor.execute(sql)
            cursor.fetchall()
        cursor.execute("select 1")
        assert cursor.fetchall() == [(1,)]


def test_transactions_are_refused(demo):
    with warnings.catch_warnings(record=True) as caught, dbapi.connect(demo.url):
        warnings.simplefilter("always")
    assert all("autocommit" in str(warning.message) for warning in caught)


def test_info(connection):
    info = connection.adbc_get_info()
    assert info["vendor_name"] == "athena-flight"


@pytest.mark.parametrize("depth", ["catalogs", "db_schemas", "tables", "all"])
def test_objects_at_every_depth(connection, depth):
    objects = connection.adbc_get_objects(depth=depth).read_all().to_pylist()
    assert [catalog["catalog_name"] for catalog in objects] == ["AwsDataCatalog"]
    if depth == "catalogs":
        return
    schemas = {schema["db_schema_name"]: schema for schema in objects[0]["catalog_db_schemas"]}
    assert "tpch" in schemas
    if depth == "db_schemas":
        return
    tables = {table["table_name"]: table for table in schemas["tpch"]["db_schema_tables"]}
    assert len(tables) == 8 and tables["nation"]["table_type"] == "EXTERNAL_TABLE"
    if depth == "all":
        columns = [column["column_name"] for column in tables["nation"]["table_columns"]]
        assert columns == ["n_nationkey", "n_name", "n_regionkey", "n_comment"]


def test_table_schema_and_types(connection):
    schema = connection.adbc_get_table_schema("nation", db_schema_filter="tpch")
    assert schema.names == ["n_nationkey", "n_name", "n_regionkey", "n_comment"]
    assert sorted(connection.adbc_get_table_types()) == ["EXTERNAL_TABLE", "GOVERNED", "ICEBERG", "TABLE", "VIEW"]


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (["TABLE"], {"nation": "TABLE"}),
        (["table", "VIEW"], {"nation": "TABLE", "nations": "VIEW"}),
        (["EXTERNAL_TABLE", "TABLE"], {"nation": "EXTERNAL_TABLE"}),
        (["View"], {"nations": "VIEW"}),
        (["ICEBERG"], {}),
        (None, {"nation": "EXTERNAL_TABLE", "nations": "VIEW"}),
    ],
)
def test_tables_are_found_by_the_types_that_tools_know(connection, types, expected):
    with connection.cursor() as cursor:
        cursor.execute("create or replace view tpch.nations as select * from tpch.nation")
        try:
            objects = connection.adbc_get_objects(
                depth="tables", db_schema_filter="tpch", table_name_filter="nation%", table_types_filter=types
            )
            [catalog] = objects.read_all().to_pylist()
            [schema] = catalog["catalog_db_schemas"]
            found = {table["table_name"]: table["table_type"] for table in schema["db_schema_tables"] or []}
            assert found == expected
        finally:
            cursor.execute("drop view tpch.nations")


def test_low_level_statement_without_prepare(demo):
    with adbc_driver_flightsql.connect(demo.url) as database:
        with adbc_driver_manager.AdbcConnection(database) as connection:
            with adbc_driver_manager.AdbcStatement(connection) as statement:
                statement.set_sql_query("select 42 as answer")
                stream, _ = statement.execute_query()
                assert pa.RecordBatchReader.from_stream(stream).read_all().to_pydict() == {"answer": [42]}


def test_objects_with_2000_tables(start, tmp_path_factory):
    server = start("serve", "--demo", "--demo-scale", "0.001", "--listen", "127.0.0.1:0", home=tmp_path_factory.mktemp("many"))
    glue = boto3.client("glue", **aws(server.endpoint))
    glue.create_database(DatabaseInput={"Name": "many"})
    columns = [{"Name": f"c{i}", "Type": "int"} for i in range(50)]
    for number in range(2000):
        storage = {"Columns": columns, "Location": "s3://athena-flight-results/x/", "SerdeInfo": {}}
        glue.create_table(DatabaseName="many", TableInput={"Name": f"t{number:04}", "StorageDescriptor": storage})
    calls = f"{server.endpoint}/_athena-flight/calls"
    urllib.request.urlopen(urllib.request.Request(calls, method="DELETE"))
    with dbapi.connect(server.url, autocommit=True) as connection:
        for depth in ["catalogs", "db_schemas", "tables", "all"]:
            [catalog] = connection.adbc_get_objects(depth=depth).read_all().to_pylist()
        schemas = {schema["db_schema_name"]: schema for schema in catalog["catalog_db_schemas"]}
        tables = schemas["many"]["db_schema_tables"]
        assert (len(tables), len(tables[1999]["table_columns"])) == (2000, 50)
        assert connection.adbc_get_table_schema("t1999", db_schema_filter="many").names[49] == "c49"
    # 100 tables a call, and one listing for all who ask.
    made = json.load(urllib.request.urlopen(calls))
    made = made["calls"] if isinstance(made, dict) else made
    assert sum(call["service"] == "glue" for call in made) <= 60
    assert server.stop() == 0


def test_incremental_execution_polls(demo):
    with adbc_driver_flightsql.connect(demo.url) as database, adbc_driver_manager.AdbcConnection(database) as connection:
        with adbc_driver_manager.AdbcStatement(connection) as statement:
            statement.set_options(**{"adbc.statement.exec.incremental": "true"})
            statement.set_sql_query("select n_name from tpch.nation order by 1")
            names = []
            while True:
                partitions, _, _ = statement.execute_partitions()
                if not partitions:
                    break
                for partition in partitions:
                    stream = connection.read_partition(partition)
                    names += pa.RecordBatchReader.from_stream(stream).read_all()["n_name"].to_pylist()
    assert (names[0], len(names)) == ("ALGERIA", 25)


def test_the_schema_without_running(demo):
    with dbapi.connect(demo.url, autocommit=True) as connection, connection.cursor() as cursor:
        schema = cursor.adbc_execute_schema("select n_name, n_nationkey + 1 as n from tpch.nation")
        assert schema.names == ["n_name", "n"]


def test_partitions_are_read_elsewhere(demo):
    with dbapi.connect(demo.url, autocommit=True) as connection, connection.cursor() as cursor:
        partitions, schema = cursor.adbc_execute_partitions("select n_name from tpch.nation")
        assert schema.names == ["n_name"]
    with dbapi.connect(demo.url, autocommit=True) as other, other.cursor() as cursor:
        cursor.adbc_read_partition(partitions[0])
        assert len(cursor.fetchall()) == 25
