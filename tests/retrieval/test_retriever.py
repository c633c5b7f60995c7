"""The settings of a retriever, and the retrievers they give."""

import asyncio
import json

import pytest

from verl_medu1.retrieval.build import build_index
from verl_medu1.retrieval.remote import RemoteIndex
from verl_medu1.retrieval.retriever import LocalRetriever
from verl_medu1.retrieval.settings import make_retriever

ADDRESS = "http://127.0.0.1:8000/retrieve"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "index is None and address is None; give one of them"),
        ({"index": "a", "address": ADDRESS}, f"index is 'a' and address is '{ADDRESS}'; give one of them"),
        ({"indx": "a"}, "indx is not a key; use one of index, address, timeout_s"),
        ({"index": ""}, "index is ''; give a folder of `medu1 index build`"),
        ({"index": 3}, "index is 3; give a folder"),
        ({"index": "none"}, "none is no index of documents"),
        ({"index": "a", "timeout_s": 3.0}, "timeout_s is 3, and is for address alone"),
        ({"address": "localhost:8000"}, "address is 'localhost:8000'; give an address that starts with http://"),
        ({"address": "file:///etc/passwd"}, "give an address that starts with http://"),
        ({"address": "http://"}, "address is 'http://'; give one with a host"),
        ({"address": "http://[::1"}, "give one with a host"),
        ({"address": "http://a:b/"}, "give one with a host"),
        ({"address": ADDRESS, "timeout_s": 0}, "timeout_s is 0; give a number of seconds above 0"),
        ({"address": ADDRESS, "timeout_s": "3"}, "timeout_s is '3'; give a number of seconds above 0"),
        ({"address": ADDRESS, "timeout_s": float("inf")}, "timeout_s is inf; give a number"),
        ({"address": ADDRESS, "timeout_s": float("nan")}, "timeout_s is nan; give a number"),
        ({"address": ADDRESS, "timeout_s": True}, "timeout_s is True; give a number"),
    ],
)
def test_each_mistake_is_a_sentence(settings, message):
    with pytest.raises(ValueError) as error:
        make_retriever(settings)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_local_one_and_a_remote_one(tmp_path):
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps({"text": f"drug {n}"}) + "\n" for n in range(3)))
    build_index([tmp_path / "corpus.jsonl"], tmp_path / "index")
    local = make_retriever({"index": str(tmp_path / "index")})
    assert isinstance(local, LocalRetriever) and local.may_see("EHRNoteQA")

    async def ask() -> list[list[str]]:
        found = await asyncio.gather(*(local.search(f"drug {n}", 1) for n in range(3)))
        return [[document.id for document in documents] for documents in found]

    assert asyncio.run(ask()) == [["0"], ["1"], ["2"]]
    assert isinstance(make_retriever({"address": ADDRESS, "timeout_s": 3}), RemoteIndex)
