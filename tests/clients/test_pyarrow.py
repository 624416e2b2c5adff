"""pyarrow.flight: raw calls, as a client without a driver makes them."""

import pyarrow as pa
import pyarrow.flight as flight
import pytest


def field(number, payload):
    """A length-delimited protobuf field."""
    length, out = len(payload), bytes([number << 3 | 2])
    while True:
        out += bytes([length & 0x7F | (0x80 if length > 0x7F else 0)])
        length >>= 7
        if not length:
            return out + payload


def command(name, message=b""):
    """A Flight SQL command inside its Any."""
    url = f"type.googleapis.com/arrow.flight.protocol.sql.{name}"
    return field(1, url.encode()) + field(2, message)


def statement(sql):
    return flight.FlightDescriptor.for_command(command("CommandStatementQuery", field(1, sql.encode())))


@pytest.fixture
def client(demo):
    with flight.connect(demo.url.replace("grpc://", "grpc+tcp://")) as client:
        yield client


def test_query(client):
    info = client.get_flight_info(statement("select n_name from tpch.nation order by 1 limit 2"))
    assert len(info.endpoints) == 1 and info.endpoints[0].locations == []
    rows = client.do_get(info.endpoints[0].ticket).read_all()
    assert rows.schema == info.schema
    assert rows.to_pydict() == {"n_name": ["ALGERIA", "ARGENTINA"]}


def test_schema_without_running(client):
    result = client.get_schema(statement("select n_nationkey, n_name from tpch.nation"))
    assert result.schema.names == ["n_nationkey", "n_name"]


def test_metadata_commands(client):
    for name in ["CommandGetCatalogs", "CommandGetDbSchemas", "CommandGetTableTypes", "CommandGetXdbcTypeInfo",
                 "CommandGetSqlInfo", "CommandGetTables", "CommandGetPrimaryKeys", "CommandGetExportedKeys",
                 "CommandGetImportedKeys", "CommandGetCrossReference"]:
        info = client.get_flight_info(flight.FlightDescriptor.for_command(command(name)))
        rows = client.do_get(info.endpoints[0].ticket).read_all()
        assert rows.schema == info.schema, name


def test_garbage(client):
    """Never an internal error, and the next call works."""
    descriptors = [flight.FlightDescriptor.for_command(b"garbage"), flight.FlightDescriptor.for_command(b""),
                   flight.FlightDescriptor.for_path("a", "b"),
                   flight.FlightDescriptor.for_command(command("CommandNothing"))]
    for descriptor in descriptors:
        with pytest.raises((pa.ArrowInvalid, NotImplementedError)):
            client.get_flight_info(descriptor)
        with pytest.raises((pa.ArrowInvalid, NotImplementedError)):
            writer, reader = client.do_put(descriptor, pa.schema([("a", pa.int32())]))
            writer.write_batch(pa.record_batch([pa.array([1], pa.int32())], names=["a"]))
            writer.done_writing()
            reader.read()
            writer.close()
    for ticket in [b"", b"garbage", command("TicketStatementQuery", field(1, b"forged"))]:
        with pytest.raises((pa.ArrowInvalid, NotImplementedError)):
            client.do_get(flight.Ticket(ticket)).read_all()
    for action in [("Nothing", b""), ("CreatePreparedStatement", b"garbage"), ("CancelFlightInfo", b"\xff")]:
        with pytest.raises((pa.ArrowInvalid, NotImplementedError)):
            list(client.do_action(action))
    test_query(client)


def test_handshake(client):
    header, value = client.authenticate_basic_token(b"user", b"password")
    assert (header, value[:7]) == (b"authorization", b"Bearer ")
    info = client.get_flight_info(statement("select 1"), flight.FlightCallOptions(headers=[(header, value)]))
    assert client.do_get(info.endpoints[0].ticket).read_all().num_rows == 1
