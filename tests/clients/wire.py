"""Flight SQL's messages by hand, for what no driver lets its caller send."""

import pyarrow.flight as fl

PREFIX = b"type.googleapis.com/arrow.flight.protocol.sql."


def field(number, data):
    """A field of bytes in a protobuf message."""
    length, varint = len(data), b""
    while length > 127:
        varint += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + varint + bytes([length]) + data


def parse(message):
    """The fields of a protobuf message."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            length = varint()
            yield key >> 3, message[at : at + length]
            at += length


def any_of(name, *fields):
    """A message of Flight SQL's in its Any."""
    return field(1, PREFIX + name) + field(2, b"".join(fields))


def command(name, *fields):
    return fl.FlightDescriptor.for_command(any_of(name, *fields))


def statement(sql):
    return command(b"CommandStatementQuery", field(1, sql.encode()))


def cookie_jar():
    """Middleware that keeps what the server says in its headers."""
    seen = {}

    class Middleware(fl.ClientMiddleware):
        def received_headers(self, headers):
            for name, values in headers.items():
                seen[name.lower()] = values[0]

    class Factory(fl.ClientMiddlewareFactory):
        def start_call(self, info):
            return Middleware()

    return Factory(), seen
