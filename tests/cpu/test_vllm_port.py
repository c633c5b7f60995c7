"""Where vLLM looks for free ports."""

import os

import pytest

from verl_medu1.cpu import vllm_port


@pytest.fixture
def kernel_range(tmp_path, monkeypatch):
    monkeypatch.setattr(vllm_port, "EPHEMERAL_RANGE", tmp_path / "range")
    # Set first, so that what the plugin sets does not outlive the test.
    monkeypatch.setenv("VLLM_PORT", "")
    monkeypatch.delenv("VLLM_PORT")
    return tmp_path / "range"


def test_the_search_begins_below_the_ports_that_the_kernel_hands_out(kernel_range, monkeypatch):
    kernel_range.write_text("32768\t60999\n")
    begins = set()
    for _ in range(50):
        monkeypatch.delenv("VLLM_PORT", raising=False)
        vllm_port.choose()
        begins.add(int(os.environ["VLLM_PORT"]))
    assert vllm_port.LOWEST <= min(begins) and max(begins) < 32768
    # Two engines of one start hardly ever begin at the same port.
    assert len(begins) > 45


def test_a_value_of_the_user_stays(kernel_range, monkeypatch):
    kernel_range.write_text("32768\t60999\n")
    monkeypatch.setenv("VLLM_PORT", "25000")
    vllm_port.choose()
    assert os.environ["VLLM_PORT"] == "25000"


def test_no_port_is_set_where_the_kernel_hands_out_all_of_them(kernel_range):
    kernel_range.write_text("1024\t65535\n")
    vllm_port.choose()
    assert "VLLM_PORT" not in os.environ


def test_vllm_finds_the_plugin_and_searches_there(kernel_range, monkeypatch):
    from importlib.metadata import entry_points

    (plugin,) = entry_points(group="vllm.general_plugins", name="medu1_port")
    kernel_range.write_text("32768\t60999\n")
    plugin.load()()
    network = pytest.importorskip("vllm.utils.network_utils", reason="vLLM is not installed")
    assert vllm_port.LOWEST <= network.get_open_port() < 32768
