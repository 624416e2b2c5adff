"""Data frames: polars, over ADBC."""

import polars
from adbc_driver_flightsql import dbapi


def test_polars(demo):
    with dbapi.connect(demo.url, autocommit=True) as connection:
        sql = "select n_regionkey, count(*) as n from tpch.nation group by n_regionkey order by 1"
        frame = polars.read_database(sql, connection)
    assert frame.schema == {"n_regionkey": polars.Int64, "n": polars.Int64}
    assert frame["n"].to_list() == [5, 5, 5, 5, 5]
