"""Requests made up from the server's own description, good ones and all kinds of bad ones: it keeps to what it says."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.raw_http import STREAMS, Answer, ask, connect, read_answer
from tests.support.serving import Server, clip_of_all_classes, serving
from tests.support.tiny import picture
from tests.support.waiting import wait_until

_METHODS = ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get")
_PAGE = ("/", "/docs", "/page.js", "/openapi.json")
_PICTURES = tuple(
    cv2.imencode(suffix, picture("red")[:, :, ::-1])[1].tobytes() for suffix in (".jpg", ".png", ".webp", ".bmp")
)
# What libjpeg writes to stderr itself, from C, about a damaged picture.
_DECODERS_OWN = ("Corrupt JPEG data: ", "Premature end of JPEG file", "Warning: unknown JFIF revision number ")
_LENGTH = b"Content-Length: "


@dataclass(frozen=True)
class Asked:
    """A request.

    Attributes:
        method: HTTP's, or something else.
        path: Without what follows a question mark.
        content: Its bytes.
    """

    method: str
    path: str
    content: bytes


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Bytes with flipped bits, cut off, or with a part missing, doubled or put in."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(changed) + 1)
        end = min(len(changed), at + rng.randrange(1, 20))
        kind = rng.randrange(5)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[at:end] = b""
        elif kind == 2:
            changed[at:at] = changed[at:end]
        elif kind == 3:
            changed[at:at] = rng.choice((b"\r\n", b"\x00", b":", b" ", b"\xff", b"%", b"0", rng.randbytes(8)))
        elif rng.random() < 0.2:
            del changed[at:]
    return bytes(changed)


def values(schema: Mapping[str, Any]) -> st.SearchStrategy[str]:
    """What a parameter may be, and what it may not."""
    good = {
        "integer": st.integers(schema.get("minimum"), schema.get("maximum")).map(str),
        "number": st.floats(schema.get("minimum"), schema.get("maximum")).map(str),
        "boolean": st.sampled_from(["true", "false", "0", "1"]),
    }.get(schema.get("type", ""), st.text(max_size=20))
    odd = st.sampled_from(["", "-1", "nan", "inf", "1e999", "9" * 5000, "0x10", "null", "[]", "\x00", "١", "😀"])
    return st.one_of(good, good, odd, st.text(max_size=20))


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A body and its kind."""
    rng = draw(st.randoms(use_true_random=False))
    kind = draw(st.sampled_from(["picture", "form", "json", "bytes", "nothing"]))
    if kind == "picture":
        content, said = draw(st.sampled_from(_PICTURES)), b"image/jpeg"
    elif kind == "form":
        name = draw(st.sampled_from(["file", "file", "picture", "", '"', "filename*"])).encode()
        file = b'Content-Disposition: form-data; name="' + name + b'"; filename="a.jpg"\r\n\r\n'
        content = b"--x\r\n" + file + draw(st.sampled_from(_PICTURES)) + b"\r\n--x--\r\n"
        said = b"multipart/form-data; boundary=x"
    elif kind == "json":
        label = st.one_of(st.sampled_from(["cup", "", "../up", "train", "\U00010400" * 64, "\ud800"]), st.text())
        text = draw(st.one_of(label.map(lambda name: '{"label": ' + _as_json(name) + "}"), st.text(max_size=40)))
        content, said = text.encode("utf-8", "surrogatepass"), b"application/json"
    else:
        content, said = draw(st.binary(max_size=200)) if kind == "bytes" else b"", b"application/octet-stream"
    if draw(st.integers(0, 2)) == 0:
        content = mutated(content, rng)
    if draw(st.integers(0, 4)) == 0:
        said = draw(st.one_of(st.just(mutated(said, rng)), st.sampled_from([b"", b"application/json", b"image/png"])))
    return content, said.translate(None, b"\r\n")


def _as_json(text: str) -> str:
    return '"' + "".join(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else char for char in text) + '"'


@st.composite
def requests(draw: st.DrawFn, paths: Mapping[str, Any]) -> Asked:
    """A request to one of the described paths, or near one."""
    path = draw(st.sampled_from([*paths, *paths, *_PAGE]))
    operations = paths.get(path, {})
    method = draw(st.sampled_from([*(name.upper() for name in operations), *["GET", "POST"] * 2, *_METHODS]))
    described = operations.get(method.lower(), {}).get("parameters", [])
    target = quote(path)
    if draw(st.integers(0, 4)) == 0:
        odd = st.sampled_from(["/", "/..", "//", "%2e%2e/", "%00", "%ff", ";x", "*", "http://elsewhere/", "%"])
        target = draw(st.sampled_from(["{0}{1}", "{1}{0}", "{1}"])).format(target, draw(odd))
    names = st.sampled_from([*(parameter["name"] for parameter in described), "token", "x", ""])
    schemas = {parameter["name"]: parameter.get("schema", {}) for parameter in described}
    query = []
    for name in draw(st.lists(names, max_size=4)):
        query.append(f"{quote(name)}={quote(draw(values(schemas.get(name, {}))), errors='surrogatepass')}")
    query += draw(st.lists(st.text(string.ascii_letters + "%&=+;?/.", max_size=8), max_size=1))
    content, kind = draw(bodies())
    headers = [b"Host: " + draw(st.sampled_from([b"localhost"] * 9 + [b"127.0.0.1:1", b"evil.example", b"[::1", b""]))]
    if content or method == "POST":
        headers.append(b"Content-Type: " + kind)
    rng, chunked = draw(st.randoms(use_true_random=False)), draw(st.integers(0, 4)) == 0
    if chunked:
        headers.append(b"Transfer-Encoding: chunked")
        content = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (content[:50], content[50:]) if part)
        content += b"0\r\n\r\n"
    elif content or method == "POST" or draw(st.booleans()):
        headers.append(_LENGTH + str(len(content)).encode())
    known = [b"Authorization", b"Origin", b"Last-Event-ID", b"Range", b"Accept", b"Expect", b"Upgrade", b"Connection"]
    text = st.binary(max_size=20).map(lambda value: value.translate(None, b"\r\n\x00"))
    value = st.one_of(
        text, st.sampled_from([b"Bearer x", b"https://evil.example", b"1", b"bytes=0-1", b"100-continue"])
    )
    for name in draw(st.lists(st.sampled_from([*known, b"X-Forwarded-For", b"X-%d" % rng.randrange(100)]), max_size=3)):
        headers.append(name + b": " + draw(value))
    asked = "?".join([target, "&".join(query)] if query else [target])
    head = b"\r\n".join([f"{method} {asked} HTTP/1.1".encode(), *headers, b"", b""])
    return Asked(method, path if target == quote(path) else "", head + content)


@pytest.fixture(scope="module")
def server(tiny_int8: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    clip, limits = clip_of_all_classes(folder / "classes.avi"), ("--max-rate", 1e6, "--max-mib", 1)
    with serving(tiny_int8, "--source", clip, "--collect", folder / "photos", *limits) as server:
        wait_until(lambda: server.client.get("/healthz").status_code == 200)
        yield server
        assert sorted(path.name for path in folder.iterdir()) in (["classes.avi"], ["classes.avi", "photos"])
        assert all(path.suffix == ".jpg" for path in folder.glob("photos/**/*") if path.is_file())
    assert [line for line in server.said if not line.startswith(_DECODERS_OWN)] == []


@pytest.fixture(scope="module")
def api(server: Server) -> dict[str, Any]:
    described: dict[str, Any] = server.client.get("/openapi.json").json()
    return described


def check(answer: Answer, asked: Asked, api: Mapping[str, Any]) -> None:
    """Whether an answer is one that the description tells of, and what all answers are."""
    assert answer.status < 500 or answer.status == 503
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert [name for name in answer.headers if name.startswith("access-control")] == []
    assert b"Traceback" not in answer.body
    kind = answer.headers.get("content-type", "").partition(";")[0]
    operation = api["paths"].get(asked.path, {}).get(asked.method.lower() if asked.method.isupper() else "")
    described = {} if operation is None else operation["responses"]
    told = described.get(str(answer.status), described.get(f"{answer.status // 100}XX"))
    assert operation is None or told is not None
    if answer.status >= 400:
        assert kind == "application/json"
        schema = {"$ref": "#/components/schemas/Detail"} if told is None else told["content"][kind]["schema"]
        assert asked.method == "HEAD" or fits(answer.json(), schema, api), answer.body
    elif told is not None:
        assert kind in told["content"] or ("image/jpeg" in told["content"] and kind == "image/jpeg")
        if kind == "application/json":
            assert fits(answer.json(), told["content"][kind]["schema"], api), answer.body


def fits(value: Any, schema: Mapping[str, Any], api: Mapping[str, Any]) -> bool:
    """Whether a value is as a schema says: of JSON Schema, what our description uses."""
    if "$ref" in schema:
        return fits(value, api["components"]["schemas"][schema["$ref"].rpartition("/")[2]], api)
    if "anyOf" in schema:
        return any(fits(value, one, api) for one in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    kind = schema.get("type")
    if kind == "object" and "properties" in schema:
        known = schema["properties"]
        return set(schema.get("required", [])) <= set(value) <= set(known) and all(
            fits(value[name], known[name], api) for name in value
        )
    if kind == "array":
        return isinstance(value, list) and all(fits(one, schema["items"], api) for one in value)
    types = {"string": str, "integer": int, "number": (int, float), "null": type(None), "object": dict, None: object}
    return isinstance(value, types[kind])


@pytest.mark.parametrize("count", [150, pytest.param(1500, marks=pytest.mark.slow)])
def test_a_complete_request_is_answered_as_described(server: Server, api: dict[str, Any], count: int) -> None:
    seen = set()

    @settings(max_examples=count, suppress_health_check=list(HealthCheck))
    @given(requests(api["paths"]))
    def one(asked: Asked) -> None:
        answer = ask(server.address, asked.content, method=asked.method)
        assert answer is not None
        seen.add(answer.status)
        check(answer, asked, api)

    one()
    assert {200, 400, 404, 405, 422} <= seen, seen


@pytest.mark.parametrize("count", [100, pytest.param(1500, marks=pytest.mark.slow)])
def test_a_damaged_request_is_answered_so_too_or_waits_for_its_rest(
    server: Server, api: dict[str, Any], count: int
) -> None:
    answered = 0

    @settings(max_examples=count, suppress_health_check=list(HealthCheck))
    @given(requests(api["paths"]), st.randoms(use_true_random=False))
    def one(asked: Asked, rng: random.Random) -> None:
        nonlocal answered
        damaged = mutated(asked.content, rng)
        method = damaged.partition(b" ")[0].decode("latin-1")
        with connect(server.address, timeout=0.3) as connection:
            try:
                connection.sendall(damaged)
                answer = read_answer(connection, method)
            except TimeoutError:
                return
        assert answer is not None
        answered += 1
        # What was asked for isn't known any more; what is described has to be in its answer all the same.
        check(answer, Asked(method, "", damaged), api)

    one()
    assert answered > count / 3


def test_every_described_answer_can_be_asked_for(server: Server, api: dict[str, Any]) -> None:
    """A good request to each address is answered well."""
    for path, operations in api["paths"].items():
        for method in operations:
            body, kind = (
                (b'{"label": "cup"}', "application/json") if path == "/collect" else (_PICTURES[0], "image/jpeg")
            )
            head = f"{method.upper()} {path} HTTP/1.1\r\nHost: localhost\r\n"
            if method == "post":
                head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            request = f"{head}\r\n".encode() + (body if method == "post" else b"")
            answer = ask(server.address, request)
            assert answer is not None
            assert answer.status == 200, path
            check(answer, Asked(method.upper(), path, request), api)
            stream = next(iter(operations[method]["responses"]["200"]["content"])) in STREAMS
            assert stream == (answer.headers["content-type"].partition(";")[0] in STREAMS)
