"""What the JDBC and ODBC drivers do, call by call, with the casts they make: neither can be had here.

A driver casts what it is given to the type that it knows an id to have, and fails where that does not work; so does this."""

import pyarrow as pa
import pyarrow.flight as fl
import pytest

from wire import any_of, command, cookie_jar, field, parse

# FlightSql.proto, by the type that arrow-java casts to.
TEXT = {0, 1, 2, 6, 7, 504, 513, 514, 529, 530, 531}
TEXTS = {508, 509, 510, 511, 512}
BOOLEAN = {3, 4, 5, 9, 10, 11, 500, 501, 502, 506, 515, 516, 518, 519, 520, 521, 523, 524, 532, 536, 537, 539, 556, 563}
BIGINT = {*range(541, 556), 557, 558, 560, 561, 562}
BITMASK = {522, 525, 526, 528, 533, 534, 535, 538, 540, 564, 567}


@pytest.fixture
def client(demo):
    factory, seen = cookie_jar()
    with fl.connect(demo.url, middleware=[factory]) as client:
        # Handshake is mandatory, and its answer's header is sent with every call.
        name, value = client.authenticate_basic_token(b"analyst", b"secret")
        assert name == b"authorization" and value.startswith(b"Bearer ")
        yield client, fl.FlightCallOptions(headers=[(name, value), (b"unknown-url-parameter", b"x" * 8000)]), seen


def rows(client, options, descriptor):
    info = client.get_flight_info(descriptor, options)
    table = client.do_get(info.endpoints[0].ticket, options).read_all()
    assert table.schema == info.schema, "a driver reads by the schema of the FlightInfo"
    return table


def act(client, options, name, body):
    return [bytes(result.body) for result in client.do_action((name, body), options)]


def test_connect_sets_the_catalog_and_close_ends_the_session(client):
    client, options, seen = client
    value = field(1, b"AwsDataCatalog")
    [result] = act(client, options, "SetSessionOptions", field(1, field(1, b"catalog") + field(2, value)))
    assert result == b"", "no errors"
    cookie = seen["set-cookie"].split(";")[0].encode()
    with_cookie = fl.FlightCallOptions(headers=[(b"cookie", cookie)])
    [options_now] = act(client, with_cookie, "GetSessionOptions", b"")
    assert b"AwsDataCatalog" in options_now
    [closed] = act(client, with_cookie, "CloseSession", b"")
    assert closed == b"\x08\x01" and "Max-Age=0" in seen["set-cookie"]


def test_every_sql_info_is_there_and_of_its_type(client):
    client, options, _ = client
    infos = rows(client, options, command(b"CommandGetSqlInfo"))
    assert infos.schema.field("info_name").type == pa.uint32()
    union = infos.schema.field("value").type
    # As in arrow-java's, arrow-go's and arrow-cpp's own servers: no kind of value is NULL.
    assert not [union.field(i).name for i in range(union.num_fields) if union.field(i).nullable]
    kinds = {union.type_codes[i]: union.field(i).name for i in range(union.num_fields)}
    found = {}
    for batch in infos.to_batches():
        codes = batch["value"].type_codes.to_pylist()
        found |= dict(zip(batch["info_name"].to_pylist(), (kinds[code] for code in codes)))
    assert set(found) >= {*range(0, 12), 100, 101, *range(500, 577)}
    for ids, kind in [
        (TEXT, "string_value"),
        (TEXTS, "string_list"),
        (BIGINT, "bigint_value"),
        (BITMASK, "int32_bitmask"),
        (BOOLEAN, "bool_value"),
    ]:
        assert {id: found[id] for id in ids if found[id] != kind} == {}, kind
    values = dict(zip(infos["info_name"].to_pylist(), infos["value"].to_pylist()))
    assert values[562] is not None and isinstance(values[541], int)


def test_metadata_calls(client):
    client, options, _ = client
    catalogs = rows(client, options, command(b"CommandGetCatalogs"))
    assert catalogs.schema == pa.schema([pa.field("catalog_name", pa.string(), nullable=False)])
    schemas = rows(client, options, command(b"CommandGetDbSchemas", field(2, b"tp%")))
    assert schemas["db_schema_name"].to_pylist() == ["tpch"]
    types = rows(client, options, command(b"CommandGetTableTypes"))
    assert types.schema.field("table_type").nullable is False
    # getColumns is GetTables with schemas.
    tables = rows(client, options, command(b"CommandGetTables", field(2, b"tpch"), field(3, b"nation"), b"\x28\x01"))
    [row] = tables.to_pylist()
    columns = pa.ipc.read_schema(pa.BufferReader(row["table_schema"]))
    assert columns.names == ["n_nationkey", "n_name", "n_regionkey", "n_comment"]
    metadata = columns.field("n_nationkey").metadata
    assert metadata[b"ARROW:FLIGHT:SQL:TYPE_NAME"] == b"bigint"
    assert {b"ARROW:FLIGHT:SQL:PRECISION", b"ARROW:FLIGHT:SQL:SCALE", b"ARROW:FLIGHT:SQL:CATALOG_NAME"} <= set(metadata)
    for keys in (b"CommandGetPrimaryKeys", b"CommandGetImportedKeys", b"CommandGetExportedKeys"):
        assert rows(client, options, command(keys, field(3, b"nation"))).num_rows == 0
    types = rows(client, options, command(b"CommandGetXdbcTypeInfo"))
    assert types.num_rows > 10 and types.schema.field("type_name").nullable is False


def prepare(client, options, sql):
    [body] = act(client, options, "CreatePreparedStatement", any_of(b"ActionCreatePreparedStatementRequest", field(1, sql)))
    fields = dict(parse(dict(parse(body))[2]))
    return fields[1], fields.get(2, b""), fields.get(3, b""), fields.get(4)


def test_statements_are_prepared_and_is_update_decides(client):
    client, options, _ = client
    handle, dataset, parameters, is_update = prepare(client, options, b"select n_name from tpch.nation where n_nationkey = ?")
    assert pa.ipc.read_schema(pa.BufferReader(dataset)).names == ["n_name"] and not is_update
    assert len(pa.ipc.read_schema(pa.BufferReader(parameters))) == 1
    # A driver that binds and goes on with the handle it was first given.
    batch = pa.record_batch({"1": pa.array([24], pa.int32())})
    writer, reader = client.do_put(command(b"CommandPreparedStatementQuery", field(1, handle)), batch.schema, options)
    writer.write_batch(batch)
    writer.done_writing()
    assert reader.read() is not None
    writer.close()
    assert rows(client, options, command(b"CommandPreparedStatementQuery", field(1, handle))).to_pylist() == [
        {"n_name": "UNITED STATES"}
    ]
    act(client, options, "ClosePreparedStatement", any_of(b"ActionClosePreparedStatementRequest", field(1, handle)))

    handle, dataset, _, is_update = prepare(client, options, b"create table tpch.by_jdbc as select 1 as n")
    assert (dataset, is_update) == (b"", 1)
    writer, reader = client.do_put(command(b"CommandPreparedStatementUpdate", field(1, handle)), pa.schema([]), options)
    writer.done_writing()
    assert dict(parse(reader.read().to_pybytes())) == {1: 1}
    writer.close()
    handle, *_ = prepare(client, options, b"drop table tpch.by_jdbc")
    writer, reader = client.do_put(command(b"CommandPreparedStatementUpdate", field(1, handle)), pa.schema([]), options)
    writer.done_writing()
    assert dict(parse(reader.read().to_pybytes())).get(1, 0) == 0
    writer.close()


def test_a_wrong_statement_fails_and_the_connection_goes_on(client):
    client, options, _ = client
    with pytest.raises(pa.ArrowException, match="mismatched input"):
        rows(client, options, command(b"CommandStatementQuery", field(1, b"selec 1")))
    with pytest.raises(pa.ArrowException, match="does not exist"):
        prepare(client, options, b"select * from tpch.nope")
    assert rows(client, options, command(b"CommandStatementQuery", field(1, b"select 1 as n"))).to_pylist() == [{"n": 1}]
