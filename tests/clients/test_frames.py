"""Data frames: pandas and polars, over ADBC."""

import pandas
import polars
import pyarrow
from adbc_driver_flightsql import dbapi


def test_polars(demo):
    with dbapi.connect(demo.url, autocommit=True) as connection:
        sql = "select n_regionkey, count(*) as n from tpch.nation group by n_regionkey order by 1"
        frame = polars.read_database(sql, connection)
    assert frame.schema == {"n_regionkey": polars.Int64, "n": polars.Int64}
    assert frame["n"].to_list() == [5, 5, 5, 5, 5]


def test_pandas(demo):
    # It first asks whether there is a table of that name: GetObjects with the whole statement as the filter.
    with dbapi.connect(demo.url, autocommit=True) as connection:
        sql = "select n_regionkey, count(*) as n from tpch.nation where n_name <> '%' group by n_regionkey order by 1"
        frame = pandas.read_sql(sql, connection)
    assert frame["n"].tolist() == [5, 5, 5, 5, 5]


def test_pandas_writes_tables(demo):
    frame = pandas.DataFrame({"n": [1, 2], "t": ["a", None]})
    with dbapi.connect(demo.url, autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.adbc_ingest("from_pandas", pyarrow.Table.from_pandas(frame), mode="create", db_schema_name="tpch")
        back = pandas.read_sql("select * from tpch.from_pandas order by n", connection)
        assert (back["t"][0], back["t"].isna().tolist()) == ("a", [False, True])
        with connection.cursor() as cursor:
            cursor.execute("drop table tpch.from_pandas")
