"""The management API without an SDK: HTTP as other clients speak it, and as none should."""

from __future__ import annotations

import contextlib
import http.client
import math
import socket
import ssl
from collections.abc import Iterator
from xml.etree import ElementTree as ET

import pytest

from cloudqueues.servicebus import ServiceBusEmulator
from cloudqueues.servicebus.admin import atom
from cloudqueues.servicebus.admin.values import FOREVER, duration, duration_text

VERSION = "?api-version=2021-05"


@pytest.fixture
def plain(bus: ServiceBusEmulator) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", bus.http_port, timeout=10)
    yield connection
    connection.close()


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: str | None = None, **headers: str
) -> tuple[int, ET.Element | None]:
    """The status, and the body's XML."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named)
    answer = connection.getresponse()
    text = answer.read()
    return answer.status, ET.fromstring(text) if text else None


def entry(kind: str, inner: str = "") -> str:
    content = atom.described(f"{kind}Description", inner)
    return f'<entry xmlns="{atom.ATOM}"><content type="application/xml">{content}</content></entry>'


def names(feed: ET.Element | None) -> list[str | None]:
    assert feed is not None
    return [title.text for title in feed.findall(f"{{{atom.ATOM}}}entry/{{{atom.ATOM}}}title")]


@pytest.mark.parametrize("name", ["ForwardTo", "ForwardDeadLetteredMessagesTo"])
@pytest.mark.parametrize("text", ["end", "/end", "1sb://host/end", "sb://"])
def test_a_path_is_no_address_to_forward_to(
    bus: ServiceBusEmulator, plain: http.client.HTTPConnection, name: str, text: str
) -> None:
    """Clients that pass the path as it is were refused by the service:
    https://github.com/Azure/azure-sdk-for-java/issues/8350
    """
    bus.add_queue("end")
    status, error = ask(plain, "PUT", f"/start{VERSION}", entry("Queue", f"<{name}>{text}</{name}>"))
    assert status == 400
    assert error is not None
    detail = error.findtext("Detail") or ""
    assert detail.startswith(f"BR0012The specified value is in an invalid format.\nParameter name: {name}. ")
    assert ask(plain, "PUT", f"/start{VERSION}", entry("Queue", f"<{name}>sb://host/end</{name}>"))[0] == 201


def test_one_connection_without_tls_for_many_requests(
    bus: ServiceBusEmulator, plain: http.client.HTTPConnection
) -> None:
    """One connection serves many requests, as emulator-aware clients send them."""
    assert ask(plain, "PUT", f"/a%2Fb{VERSION}", entry("Queue"))[0] == 201
    assert ask(plain, "PUT", f"/a/c{VERSION}", entry("Queue", "<LockDuration>PT5S</LockDuration>"))[0] == 201
    first = plain.sock
    assert names(ask(plain, "GET", "/$Resources/Queues")[1]) == ["a/b", "a/c"]
    assert ask(plain, "PUT", f"/A/C/{VERSION}", entry("Queue"), if_match="*")[0] == 200
    assert ask(plain, "DELETE", "/a/b") == (200, None)
    assert names(ask(plain, "GET", "/$resources/queues")[1]) == ["a/c"]
    assert plain.sock is first
    settings = bus.entities.settings("a/c")
    assert settings is not None
    assert settings.lock_duration == 60


def test_the_same_port_takes_tls(bus: ServiceBusEmulator) -> None:
    context = ssl.create_default_context(cafile=str(bus.certificate))
    connection = http.client.HTTPSConnection("localhost", bus.http_port, timeout=10, context=context)
    for _ in range(3):
        assert ask(connection, "GET", "/$namespaceinfo")[0] == 200
    body = entry("Queue", f"<UserMetadata>{'x' * 1000}</UserMetadata>" + "<Ignored/>" * 20_000)
    assert ask(connection, "PUT", "/large", body)[0] == 201
    connection.close()


def test_the_last_answer_in_tls_ends_as_tls_does(bus: ServiceBusEmulator) -> None:
    context = ssl.create_default_context(cafile=str(bus.certificate))
    with (
        socket.create_connection(("127.0.0.1", bus.http_port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as peer,
    ):
        peer.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: peer.recv(65_536), b""))
    assert answer.endswith(b"</feed>")


def test_addresses_are_those_of_the_client(plain: http.client.HTTPConnection) -> None:
    entity = ask(plain, "PUT", f"/q{VERSION}", entry("Queue"), Host="bus.example:5300")[1]
    assert entity is not None
    assert entity.findtext(f"{{{atom.ATOM}}}id") == f"https://bus.example:5300/q{VERSION}"


def test_a_list_says_where_the_next_page_is(bus: ServiceBusEmulator, plain: http.client.HTTPConnection) -> None:
    for name in "abc":
        bus.add_queue(name)
    feed = ask(plain, "GET", f"/$Resources/queues{VERSION}&$skip=0&$top=2", Host="h")[1]
    assert feed is not None
    links = {link.get("rel"): link.get("href") for link in feed.findall(f"{{{atom.ATOM}}}link")}
    assert links["next"] == f"https://h/$Resources/queues{VERSION}&$skip=2&$top=2"
    assert names(feed) == ["a", "b"]
    last = ask(plain, "GET", "/$Resources/queues?%24skip=2&%24top=2")[1]
    assert last is not None
    assert (names(last), len(last.findall(f"{{{atom.ATOM}}}link"))) == (["c"], 1)
    assert names(ask(plain, "GET", "/$Resources/queues?$top=0")[1]) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("PUT", "/q", "", 400, "The body is not XML"),
        ("PUT", "/q", "<entry/>", 400, "is not an ATOM entry whose content is one description"),
        ("PUT", "/q", entry("Rule"), 400, "The body has a RuleDescription; a QueueDescription is needed."),
        ("PUT", "/q", f"<!DOCTYPE a [<!ENTITY b 'c'>]>{entry('Queue')}", 400, "has a document type"),
        ("PUT", "/q", entry("Queue", "<RequiresSession>maybe</RequiresSession>"), 400, "not true or false"),
        ("PUT", "/", entry("Queue"), 400, "contains character(s)"),
        ("POST", "/q", entry("Queue"), 405, "POST is not one of GET, PUT and DELETE."),
        ("DELETE", "/$Resources/queues", "", 405, "DELETE is not one of"),
        ("GET", "/$Resources/queues?$top=few", "", 400, "$top is 'few'"),
        ("GET", f"/$Resources/queues?$top={'9' * 5000}", "", 400, "not a number from 0 on"),
        ("PUT", "/q", entry("Queue", f"<MaxDeliveryCount>{'9' * 5000}</MaxDeliveryCount>"), 400, "not a whole number"),
        ("GET", "/t/subscriptions/s", "", 404, "Entity 't' was not found."),
    ],
)
def test_what_no_client_should_ask(
    plain: http.client.HTTPConnection, method: str, path: str, body: str, status: int, words: str
) -> None:
    answered, error = ask(plain, method, path, body)
    assert error is not None
    assert (answered, error.findtext("Code")) == (status, str(status))
    assert words in error.findtext("Detail", "")


def valued(kind: str, text: str) -> str:
    pair = f'<P><Key>k</Key><Value i:type="{kind}">{text}</Value></P>'
    return f'<Filter i:type="CorrelationFilter"><Properties>{pair}</Properties></Filter>'


@pytest.mark.parametrize(
    "rule",
    [
        '<Filter i:type="OddFilter"/>',
        '<Action i:type="OddAction"/>',
        '<Filter i:type="SqlFilter"/>',
        '<Filter i:type="CorrelationFilter"><Properties><P><Key>k</Key></P></Properties></Filter>',
        valued("x:odd", "1"),
        valued("x:int", "one"),
        valued("x:boolean", "one"),
        valued("x:guid", "one"),
        valued("x:dateTime", "0001-01-01T00:00:00+14:00"),
        valued("x:duration", FOREVER),
    ],
)
def test_a_rule_that_no_client_should_write(
    bus: ServiceBusEmulator, plain: http.client.HTTPConnection, rule: str
) -> None:
    bus.add_topic("t")
    bus.add_subscription("t", "s")
    assert ask(plain, "PUT", "/t/subscriptions/s/rules/r", entry("Rule", rule))[0] == 400
    assert names(ask(plain, "GET", "/t/subscriptions/s/rules")[1]) == ["$Default"]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"PUT /q HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"PUT /q HTTP/1.1\r\nContent-Length: many\r\n\r\n", 400),
        (b"PUT /q HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (b"PUT /q HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", 413),
        (b"GET /" + b"x" * 70_000, 431),
        (b"GET / HTTP/1.0\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 200),
    ],
    ids=["no request", "HTTP/2", "chunked", "no length", "many digits", "too long", "no end", "HTTP/1.0", "the last"],
)
def test_an_answer_after_which_the_connection_ends(bus: ServiceBusEmulator, said: bytes, status: int) -> None:
    with socket.create_connection(("127.0.0.1", bus.http_port), timeout=10) as peer:
        peer.sendall(said)
        answer = b"".join(iter(lambda: peer.recv(65_536), b""))
    assert int(answer.split(b" ")[1]) == status
    assert b"Connection: close" in answer


def test_a_request_may_come_byte_by_byte_and_two_at_once(bus: ServiceBusEmulator) -> None:
    body = entry("Queue").encode()
    request = b"PUT /q HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    last = b"GET /q HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", bus.http_port), timeout=10) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(60):
            peer.sendall(request[at : at + 1])
        peer.sendall(request[60:] + last)
        answer = b"".join(iter(lambda: peer.recv(65_536), b""))
    assert [part.split(b" ")[0] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"201", b"200"]


def test_a_client_that_speaks_no_tls_after_its_first_byte(bus: ServiceBusEmulator) -> None:
    with socket.create_connection(("127.0.0.1", bus.http_port), timeout=10) as peer:
        peer.sendall(b"\x16nonsense" * 10)
        while peer.recv(1024):
            pass  # an alert


def test_the_stop_cuts_connections_and_the_port_is_kept() -> None:
    bus = ServiceBusEmulator().start()
    port, certificate = bus.http_port, bus.certificate
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert peer.recv(1)
        bus.stop()
        with contextlib.suppress(ConnectionError):
            while peer.recv(1024):
                pass
    assert not certificate.exists()
    with bus:
        assert bus.http_port == port
        assert bus.certificate == certificate


def test_a_port_that_is_taken_stops_the_start() -> None:
    with (
        ServiceBusEmulator() as bus,
        pytest.raises(OSError, match=str(bus.http_port)),
        ServiceBusEmulator(http_port=bus.http_port),
    ):
        pass


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (math.inf, FOREVER),
        (0, "PT0S"),
        (1e-7, "PT0.0000001S"),
        (59.5, "PT59.5S"),
        (60, "PT1M"),
        (3600, "PT1H"),
        (86_400, "P1D"),
        (90_061.25, "P1DT1H1M1.25S"),
        (1_209_600, "P14D"),
    ],
)
def test_durations_as_dotnet_writes_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
    assert duration(0)("Some", text) == pytest.approx(seconds)
