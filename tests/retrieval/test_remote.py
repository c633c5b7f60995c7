"""A search server: its protocol, and servers that are slow, endless or talk nonsense."""

import asyncio
import itertools
import resource
import socket
import time
import zlib
from collections.abc import Iterator

import pytest

from tests.retrieval.search_server import Endpoint, Reply, found, reply, serving
from verl_medu1.retrieval.documents import Document
from verl_medu1.retrieval.remote import RemoteIndex
from verl_medu1.retrieval.retriever import SearchFailed

QUERY = "what ails patient 4711"


@pytest.fixture
def server() -> Iterator[Endpoint]:
    with serving() as endpoint:
        yield endpoint


def search(address: str, *queries: str, k: int = 3, timeout_s: float = 5, **more: int) -> list[list[Document]]:
    """Ask for several queries, one after the other."""

    async def ask() -> list[list[Document]]:
        index = RemoteIndex(address, timeout_s, **more)
        try:
            return [await index.search(query, k) for query in queries]
        finally:
            await index.close()

    return asyncio.run(ask())


def failure(address: str, timeout_s: float = 5) -> str:
    with pytest.raises(SearchFailed) as error:
        search(address, QUERY, timeout_s=timeout_s)
    assert "4711" not in str(error.value) and error.value.__cause__ is None
    return error.value.kind


def test_the_protocol(server):
    server.answer = lambda request: found(
        {"id": "7", "contents": '"Aspirin"\nA salicylate.'},
        {"id": 8, "title": "Warfarin", "text": "Acts against vitamin K.", "contents": "both"},
    )
    assert search(server.address, QUERY) == [
        [Document("7", "Aspirin", "A salicylate."), Document("8", "Warfarin", "Acts against vitamin K.")]
    ]
    assert server.requests == [{"queries": [QUERY], "topk": 3, "return_scores": True}]


def test_a_document_without_an_id_gets_one_of_its_content(server):
    server.answer = lambda request: found({"contents": request["queries"][0]})
    first, second, again = (documents[0].id for documents in search(server.address, "x", "y", "x"))
    assert len(first) == 16 and first == again != second


def test_no_document_is_a_result(server):
    server.answer = lambda request: found()
    assert search(server.address, QUERY) == [[]]


def test_more_documents_than_asked_for_are_cut(server):
    server.answer = lambda request: found(*({"id": n, "contents": "x"} for n in range(9)))
    assert [document.id for document in search(server.address, QUERY, k=2)[0]] == ["0", "1"]


def test_any_query_can_be_sent(server):
    queries = ["", "\ud800", '"}]\x00', "é\u2028", "x" * 1_000_000]
    search(server.address, *queries)
    assert [request["queries"] for request in server.requests] == [[query] for query in queries]


DOCUMENT = {"id": "a", "contents": "x"}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(b"<html>502</html>"), "bad reply"),
        (reply(b""), "bad reply"),
        (reply(b"\xff\xfe\x00"), "bad reply"),
        (reply(b"[" * 1_000_000), "bad reply"),
        (reply(b'{"result": ' + b"9" * 10_000 + b"}"), "bad reply"),
        (reply([]), "bad reply"),
        (reply("result"), "bad reply"),
        (reply(None), "bad reply"),
        (reply({"error": QUERY}), "bad reply"),
        (reply({"result": None}), "bad reply"),
        (reply({"result": {"a": 1}}), "bad reply"),
        (reply({"result": []}), "bad reply"),
        (reply({"result": [[], []]}), "bad reply"),
        (reply({"result": [None]}), "bad reply"),
        (reply({"result": [{"document": DOCUMENT}]}), "bad reply"),
        (reply({"result": [[DOCUMENT]]}), "bad reply"),
        (reply({"result": [["text"]]}), "bad reply"),
        (reply({"result": [[{"document": None}]]}), "bad reply"),
        (reply({"result": [[{"document": {"id": "a"}}]]}), "bad reply"),
        (reply({"result": [[{"document": {"id": "a", "contents": 3}}]]}), "bad reply"),
        (reply({"result": [[{"document": {"id": [], "contents": "x"}}]]}), "bad reply"),
        (reply(b"no gzip", headers={"Content-Encoding": "gzip"}), "bad reply"),
        (reply(b'{"resu', headers={"Content-Length": "100"}), "unreachable"),
        (reply(f"no such {QUERY}".encode(), status=500), "HTTP 500"),
        (reply(b"", status=404), "HTTP 404"),
        (reply(b"", status=204), "HTTP 204"),
        (reply(b"", status=307, headers={"Location": "/elsewhere"}), "HTTP 307"),
    ],
)
def test_replies_that_are_none(server, answer, kind):
    server.answer = lambda request: answer
    assert failure(server.address) == kind
    assert len(server.requests) == 1


def test_a_slow_server_and_one_that_never_ends(server):
    for parts, seconds in ((iter([b"{}"]), 3), (itertools.repeat(b" "), 0.05)):
        answer = Reply(parts, seconds=seconds)
        server.answer = lambda request, answer=answer: answer
        started = time.monotonic()
        assert failure(server.address, timeout_s=0.4) == "timeout"
        assert time.monotonic() - started < 2


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_reply_without_end_fills_no_memory(server, is_packed):
    # Packed, a quarter of a megabyte is 256.
    packer = zlib.compressobj(wbits=31)
    part = b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) if is_packed else bytes(1 << 20)
    headers = {"Content-Encoding": "gzip"} if is_packed else {}
    server.answer = lambda request: Reply(itertools.repeat(part), headers=headers)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert failure(server.address, timeout_s=20) == "too long"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 250_000  # KB


def test_nobody_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert failure(f"http://127.0.0.1:{taken.getsockname()[1]}/") == "unreachable"


def test_who_talks_no_http():
    with socket.create_server(("127.0.0.1", 0)) as server:

        async def ask() -> None:
            index = RemoteIndex(f"http://127.0.0.1:{server.getsockname()[1]}/", 5)
            task = asyncio.create_task(index.search(QUERY, 1))
            connection, _ = await asyncio.to_thread(server.accept)
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")
                await task

        with pytest.raises(SearchFailed, match="unreachable"):
            asyncio.run(ask())


def test_proxies_of_the_environment_do_not_see_a_query_to_loopback(server, monkeypatch):
    with serving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.address)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        search(server.address, QUERY)
        assert (len(server.requests), proxy.requests) == (1, [])


def test_equal_questions_are_asked_once(server):
    async def ask() -> None:
        index = RemoteIndex(server.address, 5)
        results = await asyncio.gather(*(index.search(QUERY, 3) for _ in range(20)))
        results[0].clear()  # each has a list of its own
        assert len(await index.search(QUERY, 3)) == 1
        assert len(server.requests) == 1
        await index.search(QUERY, 2)
        await index.search(QUERY + " ", 3)
        assert len(server.requests) == 3
        await index.close()

    asyncio.run(ask())


def test_a_failure_is_told_to_all_who_wait_and_not_kept(server):
    answers = iter([reply(b"", status=503, seconds=0.1), found(DOCUMENT)])
    server.answer = lambda request: next(answers)

    async def ask() -> None:
        index = RemoteIndex(server.address, 5)
        results = await asyncio.gather(*(index.search(QUERY, 3) for _ in range(5)), return_exceptions=True)
        assert [str(result) for result in results] == ["search: HTTP 503"] * 5
        assert await index.search(QUERY, 3) == [Document("a", "", "x")]
        await index.close()

    asyncio.run(ask())
    assert len(server.requests) == 2


def test_a_conversation_that_is_cancelled_takes_no_reply_from_others(server):
    server.answer = lambda request: reply({"result": [[{"document": DOCUMENT}]]}, seconds=0.3)

    async def ask() -> None:
        index = RemoteIndex(server.address, 5)
        first, second = (asyncio.create_task(index.search(QUERY, 3)) for _ in range(2))
        await asyncio.sleep(0.05)
        first.cancel()
        assert await second == [Document("a", "", "x")]
        await index.close()

    asyncio.run(ask())
    assert len(server.requests) == 1


def test_what_was_asked_for_longest_ago_is_forgotten_first(server):
    server.answer = lambda request: found({"id": "a", "contents": "x" * 100})
    search(server.address, "1", "2", "1", "3", "1", "2", cache_characters=250)
    assert [request["queries"][0] for request in server.requests] == ["1", "2", "3", "2"]


def test_k_below_one_is_refused(server):
    with pytest.raises(ValueError, match="k is 0"):
        search(server.address, QUERY, k=0)


@pytest.mark.parametrize(
    ("address", "data_source", "may"),
    [
        ("http://127.0.0.1:8000/retrieve", "EHRNoteQA", True),
        ("http://[::1]/", "EHRNoteQA", True),
        ("http://search.example.org/", "EHRNoteQA", False),
        ("http://127.0.0.1.example.org/", "EHRNoteQA", False),
        ("http://localhost@example.org/", "EHRNoteQA", False),
        ("http://search.example.org/", "MedQA", True),
    ],
)
def test_credentialed_rows_stay_on_this_machine(address, data_source, may):
    assert RemoteIndex(address, 1).may_see(data_source) is may


def test_a_source_that_nobody_knows_may_not_be_guessed_at():
    with pytest.raises(ValueError, match="nobody"):
        RemoteIndex("http://search.example.org/", 1).may_see("nobody knows")
