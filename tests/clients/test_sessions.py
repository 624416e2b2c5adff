"""Session options: by cookie, by header, by another gateway with the same key."""

import adbc_driver_manager
import pyarrow as pa
import pyarrow.flight as fl
import pytest
from adbc_driver_flightsql import DatabaseOptions, dbapi

from wire import cookie_jar, field, statement

COOKIES = {DatabaseOptions.WITH_COOKIE_MIDDLEWARE.value: "true"}
OPTION = "adbc.flight.sql.session.option."


def connect(url, **more):
    return dbapi.connect(url, db_kwargs=COOKIES | more, autocommit=True)


def rows(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def test_catalog_and_schema_are_the_sessions(demo):
    with connect(demo.url) as connection:
        connection.adbc_connection.set_options(**{"adbc.connection.catalog": "AwsDataCatalog", "adbc.connection.db_schema": "tpch"})
        assert (connection.adbc_current_catalog, connection.adbc_current_db_schema) == ("AwsDataCatalog", "tpch")
        assert rows(connection, "select count(*) from nation") == [(25,)]
    with connect(demo.url) as other, pytest.raises(adbc_driver_manager.Error, match="default"):
        rows(other, "select count(*) from nation")


def test_what_nobody_set_is_what_is_in_force(demo):
    with connect(demo.url) as connection:
        assert (connection.adbc_current_catalog, connection.adbc_current_db_schema) == ("AwsDataCatalog", "default")
        assert connection.adbc_connection.get_option(OPTION + "workgroup") == "primary"


def test_options_of_all_types(demo):
    with connect(demo.url) as connection:
        low = connection.adbc_connection
        low.set_options(**{OPTION + "result_path": "direct", OPTION + "query_timeout_seconds": 60})
        assert low.get_option(OPTION + "result_path") == "direct"
        assert low.get_option_int(OPTION + "query_timeout_seconds") == 60
        assert low.get_option_int(OPTION + "endpoints") == 1
        with pytest.raises(adbc_driver_manager.Error, match="(?i)invalid.?name|nope"):
            low.set_options(**{OPTION + "nope": "1"})
        with pytest.raises(adbc_driver_manager.Error, match="(?i)invalid"):
            low.set_options(**{OPTION + "endpoints": "four"})
        with pytest.raises(adbc_driver_manager.Error, match="(?i)invalid"):
            low.set_options(**{OPTION + "compression": "gzip"})
        assert low.get_option(OPTION + "result_path") == "direct"
        assert rows(connection, "select 1") == [(1,)]


@pytest.mark.parametrize(
    ("headers", "sql", "expected"),
    [
        ({"x-athena-database": "tpch"}, "select count(*) from region", [(5,)]),
        ({"x-athena-catalog": "awsdatacatalog", "x-athena-database": "tpch"}, "select count(*) from region", [(5,)]),
        ({"x-athena-workgroup": "primary"}, "select 1", [(1,)]),
        ({"x-athena-result-reuse-minutes": "60"}, "select 2", [(2,)]),
    ],
)
def test_headers_do_for_clients_without_cookies(demo, headers, sql, expected):
    headers = {"adbc.flight.sql.rpc.call_header." + name: value for name, value in headers.items()}
    with dbapi.connect(demo.url, db_kwargs=headers, autocommit=True) as connection:
        assert rows(connection, sql) == expected


@pytest.mark.parametrize(
    ("header", "value"),
    [("x-athena-result-path", "fast"), ("x-athena-endpoints", "0"), ("x-athena-workgroup", "nope"), ("cookie", "athena-flight-session=x")],
)
def test_what_headers_cannot_mean_is_refused(demo, header, value):
    with fl.connect(demo.url) as client, pytest.raises(pa.ArrowException, match="(?i)header|WorkGroup|cookie"):
        client.get_flight_info(statement("select 1"), fl.FlightCallOptions(headers=[(header.encode(), value.encode())]))


def test_two_gateways_with_one_key_take_each_others_handles(start, demo, tmp_path):
    key, other_key = tmp_path / "key", tmp_path / "other"
    key.write_text("k" * 32)
    other_key.write_text("o" * 32)
    aws = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    gateway = ["serve", "--listen", "127.0.0.1:0", "--endpoint-url", demo.endpoint, "--region", "us-east-1"]
    one, two = (start(*gateway, "--signing-key-file", key, **aws) for _ in range(2))
    stranger = start(*gateway, "--signing-key-file", other_key, **aws)
    # A session and a ticket of the first gateway at the second, and at one that does not know the key.
    with fl.connect(one.url) as first, fl.connect(two.url) as second, fl.connect(stranger.url) as third:
        # SetSessionOptionsRequest { "schema": "tpch" }
        entry = field(1, b"schema") + field(2, field(1, b"tpch"))
        call, seen = cookie_jar()
        with fl.connect(one.url, middleware=[call]) as with_jar:
            list(with_jar.do_action(("SetSessionOptions", field(1, entry))))
        cookie = seen["set-cookie"].split(";")[0]
        options = fl.FlightCallOptions(headers=[(b"cookie", cookie.encode())])
        query = statement("select count(*) as n from nation")
        for asked, read in [(first, second), (second, first)]:
            info = asked.get_flight_info(query, options)
            assert read.do_get(info.endpoints[0].ticket).read_all().to_pylist() == [{"n": 25}]
        with pytest.raises(pa.ArrowException, match="cookie was not made by this server"):
            third.get_flight_info(query, options)
        with pytest.raises(pa.ArrowException, match="ticket was not made by this server"):
            third.do_get(info.endpoints[0].ticket).read_all()
