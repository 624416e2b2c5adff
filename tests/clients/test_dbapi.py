"""flightsql-dbapi and its SQLAlchemy dialect: it sends statements unprepared, parameters as dense unions, and reads the first
endpoint alone."""

import flightsql.sqlalchemy  # noqa: F401  registers the dialect
import pytest
import sqlalchemy
from flightsql import FlightSQLClient, connect


@pytest.fixture
def client(demo):
    host, port = demo.url.removeprefix("grpc://").split(":")
    return FlightSQLClient(host=host, port=int(port), insecure=True, disable_server_verification=True)


def test_dbapi(client):
    with connect(client) as connection:
        cursor = connection.cursor()
        cursor.execute("select n_name from tpch.nation where n_regionkey = 2 order by 1 limit 2")
        assert [tuple(row) for row in cursor.fetchall()] == [("CHINA",), ("INDIA",)]


def test_parameters_come_as_dense_unions(client):
    with connect(client) as connection:
        cursor = connection.cursor()
        cursor.execute("select n_name, ? as t from tpch.nation where n_nationkey = ?", ["it's", 2])
        assert [tuple(row) for row in cursor.fetchall()] == [("BRAZIL", "it's")]


def test_metadata(client):
    info = client.get_tables(include_schema=True, db_schema_filter_pattern="tpch")
    tables = client.do_get(info.endpoints[0].ticket).read_all()
    assert "lineitem" in tables["table_name"].to_pylist()


def test_sqlalchemy(demo):
    engine = sqlalchemy.create_engine(f"datafusion+flightsql://{demo.url.removeprefix('grpc://')}?insecure=True")
    with engine.connect() as connection:
        rows = connection.execute(sqlalchemy.text("select count(*) from tpch.region")).fetchall()
        assert [tuple(row) for row in rows] == [(5,)]
    names = sqlalchemy.inspect(engine).get_table_names(schema="tpch")
    assert sorted(names)[:2] == ["customer", "lineitem"]
    columns = {column["name"] for column in sqlalchemy.inspect(engine).get_columns("nation", schema="tpch")}
    assert columns == {"n_nationkey", "n_name", "n_regionkey", "n_comment"}
