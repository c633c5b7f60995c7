"""Where a run's metrics may go: each mistake is one sentence before anything is started, and shows no secret."""

import os
import socket
from importlib.util import find_spec

import pytest
from verl.utils.tracking import Tracking

from verl_medu1.checks.metrics import ENVIRONMENT, TRACKERS, metrics_here_violations, metrics_violations
from verl_medu1.checks.run import check, check_submission
from verl_medu1.machine.machine import this_machine

ROLLOUT = "actor_rollout_ref.rollout"
NEEDED = "console,tensorboard,file"
SECRET = "5ecret"


@pytest.fixture(autouse=True)
def no_login(monkeypatch, tmp_path):
    """As on a machine where nobody has used W&B or MLflow."""
    for name in list(os.environ):
        if name.startswith(("WANDB_", "MLFLOW_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def test_the_trackers_are_verls():
    assert set(TRACKERS) == set(Tracking.supported_backend)


@pytest.mark.parametrize(
    ("overrides", "environment"),
    [
        ([], {}),
        (["prometheus.port=9400"], {}),
        (["trainer.logger=file"], {}),
        (["tracker=wandb"], {"WANDB_MODE": "offline"}),
        (["tracker=wandb"], {"WANDB_API_KEY": SECRET}),
        (["tracker=wandb", f"+{ENVIRONMENT}.WANDB_MODE=offline"], {}),
        ([f"{ROLLOUT}.prometheus.enable=true", f"{ROLLOUT}.disable_log_stats=false"], {}),
        (["+trainer.wandb_proxy=http://proxy:3128"], {}),
    ],
)
def test_what_is_right_passes(configure, monkeypatch, overrides, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    config = configure(*overrides)
    assert [*metrics_violations(config), *metrics_here_violations(config)] == []


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            [f"trainer.logger=[{NEEDED},wandbb]"],
            "trainer.logger has 'wandbb', which verl does not know; choose from console,",
        ),
        (
            [f"trainer.logger=[{NEEDED},wandb]"],
            "trainer.logger has wandb, and no login is here; run `wandb login`, or set ",
        ),
        (["tracker=wandb"], "trainer.logger has wandb, and no login is here; "),
        (["prometheus.port=web"], "prometheus.port is 'web'; it must be a whole number from 1 to 65535, or null "),
        (["prometheus.port=0"], "prometheus.port is 0; it must be"),
        (["prometheus.port=65536"], "prometheus.port is 65536; it must be"),
        (["prometheus.port=true"], "prometheus.port is True; it must be"),
        (
            ["prometheus.port=9400", "trainer.logger=[console]"],
            "prometheus.port is 9400, and trainer.logger lacks file, ",
        ),
        (
            [f"{ROLLOUT}.prometheus.enable=true"],
            "vLLM keeps no statistics; set actor_rollout_ref.rollout.disable_log_stats",
        ),
        ([f"+{ENVIRONMENT}.WANDB_API_KEY={SECRET}"], "env_vars.WANDB_API_KEY holds a key or a password, "),
        ([f"+{ENVIRONMENT}.HF_TOKEN={SECRET}"], "env_vars.HF_TOKEN holds a key"),
        ([f"+trainer.wandb_proxy=http://me:{SECRET}@proxy:3128"], "trainer.wandb_proxy holds a key or a password, "),
    ],
)
def test_each_mistake_is_one_sentence(configure, overrides, sentence):
    with pytest.raises(ValueError) as raised:
        check(configure(*overrides))
    [told] = str(raised.value).splitlines()
    assert sentence in told and SECRET not in told


def test_a_missing_package_is_one_sentence_where_it_trains(configure):
    missing = [name for name, package in TRACKERS.items() if package and find_spec(package) is None]
    assert missing, "every tracker's package is installed here; install one less"
    for name in missing:
        config = configure(f"trainer.logger=[{NEEDED},{name}]")
        [told] = metrics_here_violations(config)
        assert told.startswith(f"trainer.logger has {name}, and the package {TRACKERS[name]} is missing; `pip install ")
        # A login node needs none of them.
        check_submission(config, this_machine())


@pytest.mark.parametrize(
    ("content", "host", "is_known"),
    [
        (f"machine api.wandb.ai login user password {SECRET}\n", None, True),
        (f"machine wandb.example.org login user password {SECRET}\n", None, False),
        (f"machine wandb.example.org login user password {SECRET}\n", "https://wandb.example.org", True),
        ("machine", None, False),  # broken
    ],
)
def test_wandbs_login_is_found_where_wandb_looks(configure, monkeypatch, tmp_path, content, host, is_known):
    (tmp_path / "netrc").write_text(content)
    if host:
        monkeypatch.setenv("WANDB_BASE_URL", host)
    assert bool(list(metrics_here_violations(configure("tracker=wandb")))) != is_known


@pytest.mark.parametrize(
    ("address", "allowed", "is_refused"),
    [
        ("file:///runs/mlruns", None, True),
        ("./mlruns", None, True),
        ("/runs/mlruns", None, True),
        ("file:///runs/mlruns", "true", False),
        ("sqlite:////runs/mlflow.db", None, False),
        ("http://127.0.0.1:5000", None, False),
        ("databricks", None, False),
        (None, None, False),
    ],
)
def test_a_folder_for_mlflow_is_told_before_it_is_refused(
    configure, monkeypatch, tmp_path, address, allowed, is_refused
):
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)  # installed, and not asked
    for name, value in (("MLFLOW_TRACKING_URI", address), ("MLFLOW_ALLOW_FILE_STORE", allowed)):
        if value:
            monkeypatch.setenv(name, value)
    found = list(metrics_here_violations(configure("tracker=mlflow")))
    assert [told.partition(",")[0] for told in found] == [f"MLFLOW_TRACKING_URI is {address!r}"] * is_refused


def test_a_port_that_is_taken_is_told_before_the_start(configure):
    for address in ("127.0.0.1", "0.0.0.0"):
        with socket.socket() as other:
            other.bind((address, 0))
            other.listen()
            port = other.getsockname()[1]
            with pytest.raises(ValueError, match=rf"^prometheus\.port is {port}, which is in use; choose another port"):
                check(configure(f"prometheus.port={port}"))
        check(configure(f"prometheus.port={port}"))


@pytest.mark.parametrize(
    ("set_to", "expected"),
    [
        (None, "sqlite:///{run_dir}/mlflow.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_mlflow_writes_to_the_runs_folder_unless_the_environment_names_a_server(
    configure, monkeypatch, set_to, expected
):
    if set_to:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", set_to)
    config = configure("tracker=mlflow")
    found = config.ray_kwargs.ray_init.runtime_env.env_vars.MLFLOW_TRACKING_URI
    assert found == expected.format(run_dir=config.run_dir)


def test_a_password_in_mlflows_address_is_refused_and_not_shown(configure, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"https://me:{SECRET}@mlflow.example.org")
    [told] = metrics_violations(configure("tracker=mlflow"))
    assert "env_vars.MLFLOW_TRACKING_URI holds a key or a password" in told and SECRET not in told


def test_no_tracker_is_on_unless_named(configure):
    assert list(configure().trainer.logger) == ["console", "tensorboard", "file"]
    assert configure().prometheus.port is None
