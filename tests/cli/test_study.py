from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import optuna
import pytest
import torch
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import create_trial
from safetensors.torch import load_file, save_file

from phashopt.inspection import load_subject
from phashopt.search import ADOPTED_KEY, PHashSampler
from phashopt.service import resting
from phashopt.service.lease import Lease
from phashopt.service.study import CREATED_KEY, open_study
from phashopt.trace import TRACE_KEY, Epoch, Trace

from .conftest import Run


def test_create_says_how_to_go_on(run: Run, tmp_path: Path) -> None:
    result = run("study", "create", "tiny.toml")
    assert result.exit_code == 0
    assert "python -m phashopt worker tiny" in result.stdout
    assert (tmp_path / "phashopt.db").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["study", "create", "none.toml"], "there is no spec none.toml"),
        (["study", "create", "tiny.toml", "--set", "network.widht=3"], "did you mean 'widths'?"),
        (["study", "create", "tiny.toml", "--set", "data.dataset='svhn'", "--data-dir", "nowhere"], "nowhere"),
        (["study", "create", "tiny.toml", "--storage", "sqlite:///tiny.toml"], "no SQLite database"),
        (["study", "list"], "no study database phashopt.db"),
        (["study", "show", "tiny"], "no study database phashopt.db"),
        (["worker", "tiny"], "no study database phashopt.db"),
        (["report", "tiny"], "no study database phashopt.db"),
        (["confirm", "tiny"], "no study database phashopt.db"),
        (["dashboard", "tiny"], "no study database phashopt.db"),
        (["study", "check", "tiny"], "no study database phashopt.db"),
        (["study", "gc", "tiny"], "no study database phashopt.db"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(run: Run, tmp_path: Path, words: list[str], message: str) -> None:
    before = sorted(tmp_path.iterdir())
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert sorted(tmp_path.iterdir()) == before


def test_a_name_taken_is_refused(run: Run) -> None:
    run("study", "create", "tiny.toml")
    result = run("study", "create", "tiny.toml")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert run("study", "create", "tiny.toml", "--name", "other").exit_code == 0


def test_list_knows_every_study(run: Run) -> None:
    run("study", "create", "tiny.toml")
    run("study", "create", "tiny.toml", "--name", "other")
    assert [row["name"] for row in json.loads(run("study", "list", "--json").stdout)] == ["tiny", "other"]
    assert "other  1 trial\n" in run("study", "list").stdout


def test_list_of_a_database_without_studies_says_how_to_make_one(run: Run) -> None:
    optuna.create_study(storage="sqlite:///phashopt.db", study_name="only")
    optuna.delete_study(storage="sqlite:///phashopt.db", study_name="only")
    listed = run("study", "list")
    assert (listed.exit_code, listed.stdout) == (0, "")
    assert "no studies yet; make one with 'study create SPEC.toml'" in listed.stderr
    assert json.loads(run("study", "list", "--json").stdout) == []


def test_adopted_trials_are_told_from_the_studys_own(run: Run) -> None:
    run("study", "create", "tiny.toml")
    study, spec = open_study("sqlite:///phashopt.db", "tiny")
    attrs = {ADOPTED_KEY: "old:0"}
    study.add_trial(create_trial(value=0.8, params=spec.baseline, distributions=spec.space, user_attrs=attrs))
    assert run("study", "list").stdout == "tiny  2 trials, 1 of them adopted\n"
    assert "tiny: 2 trials, 1 of them adopted; 1 waiting\n" in run("study", "show", "tiny").stdout


MADE_OTHERWISE = [
    (["minimize"], 0.5, "does not maximise one accuracy"),
    (["maximize", "minimize"], 0.5, "does not maximise one accuracy"),
    (["maximize"], 90.0, "has values outside 0 to 1"),
]


@pytest.mark.parametrize(("directions", "value", "line"), MADE_OTHERWISE)
@pytest.mark.parametrize("words", [["study", "show"], ["study", "export", "--out", "out"], ["report", "--out", "out"]])
def test_a_study_of_something_else_than_an_accuracy_is_not_shown(
    run: Run, words: list[str], directions: list[str], value: float, line: str
) -> None:
    other = optuna.create_study(storage="sqlite:///phashopt.db", study_name="other", directions=directions)
    other.add_trial(create_trial(values=[value] * len(directions)))
    refused = run(*words, "other")
    assert (refused.exit_code, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert line in refused.stderr
    assert not Path("out").exists()


@pytest.mark.parametrize("word", ["gc", "stop", "check", "best", "worth"])
def test_what_works_on_our_studies_only_leaves_others_alone(run: Run, word: str) -> None:
    other = optuna.create_study(storage="sqlite:///phashopt.db", study_name="plain", direction="maximize")
    refused = run("study", word, "plain")
    line = "phashopt: 'plain' was not made by phashopt; make one with 'study create SPEC.toml'\n"
    assert (refused.exit_code, refused.stdout, refused.stderr) == (2, "", line)
    assert optuna.load_study(study_name="plain", storage=other._storage).user_attrs == {}


def test_show_json_is_the_documented_document(run: Run, finished: str) -> None:
    document = json.loads(run("study", "show", finished, "--json").stdout)
    assert set(document) == {"name", "spec", "best", "baseline", "front", "trials"}
    expected = {
        "number",
        "state",
        "value",
        "feasible",
        "params",
        "attrs",
        "decision",
        "parent",
        "epochs_used",
        "seconds",
    }
    assert all(set(trial) == expected for trial in document["trials"])
    assert document["best"]["value"] == max(trial["value"] for trial in document["trials"])


def test_show_compares_before_and_after_in_words(run: Run, finished: str) -> None:
    shown = run("study", "show", finished).stdout
    assert "Before and after" in shown
    assert "4-6" in shown
    assert "The network before adjustment" in shown


@pytest.mark.parametrize("spec", ["resnet18", "[1]", 3])
def test_anothers_study_may_have_attributes_of_our_names(run: Run, spec: object) -> None:
    study = optuna.create_study(storage="sqlite:///phashopt.db", study_name="theirs", direction="maximize")
    study.set_user_attr("spec", spec)
    study.optimize(lambda trial: trial.set_user_attr("kernels", 12) or trial.suggest_float("x", 0, 1), n_trials=2)
    assert run("study", "show", "theirs").exit_code == 0
    for command in ("stop", "check", "worth"):
        refused = run("study", command, "theirs")
        assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
        assert "was not made by phashopt" in refused.stderr


@pytest.mark.parametrize("words", ["stop tiny", "extend tiny --trials 9", "create tiny.toml --set study.name=other"])
def test_a_database_that_takes_nothing_is_the_users_to_mend(finished: str, words: str) -> None:
    command = f"ulimit -f 0; exec {sys.executable} -m phashopt study {words}"
    refused = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "look at its folder, owner and disk" in refused.stderr


def test_show_speaks_of_a_study_nobody_worked_on(run: Run) -> None:
    run("study", "create", "tiny.toml")
    assert "1 trial; 1 waiting" in run("study", "show", "tiny").stdout


@pytest.mark.parametrize(("typed", "status", "said"), [("n\n", 1, ""), ("", 2, "give --yes where nobody can")])
def test_what_is_not_confirmed_is_not_deleted(run: Run, finished: str, typed: str, status: int, said: str) -> None:
    asked = run("study", "delete", finished, typed=typed)
    assert asked.exit_code == status
    assert said in asked.stderr
    assert "Traceback" not in asked.stderr
    assert run("study", "show", finished).exit_code == 0


def test_delete_asks_first(run: Run, finished: str, tmp_path: Path) -> None:
    assert run("study", "delete", finished, typed="y\n").exit_code == 0
    assert run("study", "show", finished).exit_code == 2
    assert not (tmp_path / "phashopt-artifacts" / finished).exists()


def test_delete_leaves_a_study_alone_that_is_worked_at(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resting, "LOOK_SECONDS", 0.2)
    run("study", "create", "tiny.toml")
    study = open_study("sqlite:///phashopt.db", "tiny")[0]
    with Lease(study._storage, study.ask()._trial_id, beat=0.02).take():
        refused = run("study", "delete", "tiny", "--yes")
    assert (refused.exit_code, refused.stderr) == (
        2,
        "phashopt: 1 trial of 'tiny' is running; 'study stop tiny' first\n",
    )
    assert run("study", "show", "tiny").exit_code == 0


def test_delete_leaves_a_study_alone_that_a_script_is_at_work_on(run: Run) -> None:
    """Of whose trials nobody holds a lease."""
    study = optuna.create_study(storage="sqlite:///phashopt.db", study_name="busy")
    study.ask()
    refused = run("study", "delete", "busy", "--yes")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "trial 0 of 'busy' is running in a script" in refused.stderr
    assert [each.state.name for each in study.trials] == ["RUNNING"]


def test_an_exported_trial_answers_as_it_did_without_phashopt(run: Run, finished: str, tmp_path: Path) -> None:
    assert run("study", "export", finished, "--trial", "1", "--out", "out").exit_code == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"study.json", "trials.csv", "weights.safetensors", "network.json", "load_network.py"}
    images = torch.rand(4, 1, 8, 8)
    save_file({"images": images}, tmp_path / "images.safetensors")
    code = (
        "import sys; sys.path.insert(0, 'out'); from load_network import load; "
        "from safetensors.torch import load_file, save_file; "
        "save_file({'logits': load()(load_file('images.safetensors')['images'])}, 'logits.safetensors'); "
        "sys.exit(any(name.startswith('phashopt') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
    network = load_subject(str(tmp_path / "phashopt-artifacts" / finished / "trial-00001")).network.eval()
    assert torch.allclose(load_file(tmp_path / "logits.safetensors")["logits"], network(images), atol=1e-5)


@pytest.mark.parametrize(
    ("trial", "words"), [("9", "has no trial 9; its last is 0"), ("0", "trial 0 has left no weights")]
)
def test_a_trial_that_cannot_be_exported_is_one_line(run: Run, trial: str, words: str) -> None:
    run("study", "create", "tiny.toml")
    result = run("study", "export", "tiny", "--trial", trial, "--out", "out")
    assert result.exit_code == 2
    assert words in result.stderr
    assert not Path("out").exists()


def test_stop_is_heard(run: Run) -> None:
    run("study", "create", "tiny.toml")
    assert run("study", "stop", "tiny").exit_code == 0


def test_check_calls_a_finished_study_sound(run: Run, finished: str) -> None:
    assert (run("study", "check", finished).exit_code, run("study", "check", finished).stdout) == (
        0,
        "Study tiny is sound.\n",
    )


def test_check_names_what_is_wrong_and_fails(run: Run, finished: str, tmp_path: Path) -> None:
    weights = tmp_path / "phashopt-artifacts" / finished / "trial-00001" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    result = run("study", "check", finished, "--json")
    assert result.exit_code == 1
    (finding,) = json.loads(result.stdout)["findings"]
    assert finding.startswith("trial 1 has a damaged file, weights.safetensors")


def test_gc_lists_first_and_removes_then(run: Run, finished: str, tmp_path: Path) -> None:
    def weights() -> list[Path]:
        return list((tmp_path / "phashopt-artifacts").rglob("weights.safetensors"))

    listed = run("study", "gc", finished, "--best", "1", "--dry-run").stdout
    assert len(weights()) == 3
    assert run("study", "gc", finished, "--best", "1").exit_code == 0
    assert sum("weights.safetensors" in line for line in listed.splitlines()) == 3 - len(weights())
    assert run("study", "check", finished).exit_code == 0


def test_gc_and_export_say_as_json_what_they_did(run: Run, finished: str) -> None:
    removed = json.loads(run("study", "gc", finished, "--best", "1", "--json").stdout)
    assert removed["removed"] == len(removed["files"]) > 0
    assert removed["bytes"] > 0
    written = json.loads(run("study", "export", finished, "--out", "out", "--json").stdout)["files"]
    assert written
    assert all(Path(path).exists() for path in written)


def test_help_lists_every_command(run: Run) -> None:
    shown = run("--help").stdout
    assert all(word in shown for word in ("study", "worker", "report", "confirm", "dashboard", "server"))


def test_best_names_a_network_under_any_cap_with_what_it_should_reach(run: Run, finished: str) -> None:
    document = json.loads(run("study", "best", finished, "--json").stdout)
    smaller = json.loads(run("study", "best", finished, "--params", "1200", "--json").stdout)
    assert document["low"] <= document["value"] <= document["high"]
    assert smaller["params"]["width_00"] + smaller["params"]["width_01"] <= (
        document["params"]["width_00"] + document["params"]["width_01"]
    )
    words = run("study", "best", finished).stdout
    assert "predicted" in words
    trial = next(
        each for each in open_study("sqlite:///phashopt.db", finished)[0].trials if each.number == document["trained"]
    )
    assert f"trained: {trial.user_attrs['kernels']}, trial {trial.number}, reached {trial.value:.4g}" in words
    assert json.loads(run("study", "best", finished, "--params", "1", "--json").stdout or "{}") == {}


def test_best_of_a_study_without_a_model_says_what_it_takes(run: Run) -> None:
    run("study", "create", "tiny.toml", "--set", "search.strategy=paper")
    result = run("study", "best", "tiny")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert 'strategy = "model"' in result.stderr


def test_worth_tells_of_both_ways_to_spend_an_hour(run: Run, finished: str) -> None:
    told = run("study", "worth", finished)
    assert told.exit_code == 0
    assert [line.partition(":")[0] for line in told.stdout.splitlines()[1:4]] == [
        "In hand",
        "Searching on",
        "Training longer",
    ]
    document = json.loads(run("study", "worth", finished, "--hours", "2", "--workers", "3", "--json").stdout)
    assert document["macs"] == pytest.approx(6 * 3600 * document["macs_per_second"])
    for way in (document["searching"], document["training_longer"]):
        assert document["expected_in_hand"] + way["gain"] <= 1
        assert way["low"] <= way["gain"] <= way["high"]
        assert sum(training["macs"] for training in way["trainings"]) <= document["macs"]


@pytest.mark.parametrize("word", ["best", "worth"])
def test_where_all_trainings_came_to_nothing_answers_say_so(run: Run, finished: str, word: str) -> None:
    run("study", "create", "tiny.toml", "--name", "vain")
    study, vain = (open_study("sqlite:///phashopt.db", name)[0] for name in (finished, "vain"))
    guess = Trace([Epoch(number, loss=2.3, accuracy=0.1) for number in range(1, 6)])
    for trial in study.trials:
        attrs = {**trial.system_attrs, TRACE_KEY: guess.to_json()}
        vain.add_trial(
            create_trial(
                params=trial.params,
                distributions=trial.distributions,
                user_attrs=trial.user_attrs,
                system_attrs=attrs,
                value=0.1,
            )
        )
    result = run("study", word, "vain")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "no training of study 'vain' came to anything yet, they diverged or guess" in result.stderr


def test_worth_needs_a_finished_trial(run: Run) -> None:
    run("study", "create", "tiny.toml")
    assert "has no finished feasible trial yet" in run("study", "worth", "tiny").stderr


def test_adopt_says_what_it_took_for_what(run: Run) -> None:
    run("study", "create", "tiny.toml")
    other = optuna.create_study(storage="sqlite:///other.db", study_name="old", direction="maximize")
    params = {"units_0": 4, "units_1": 6, "lr": 0.05}
    distributions = {"units_0": IntDistribution(1, 9), "units_1": IntDistribution(1, 9), "lr": FloatDistribution(0, 1)}
    other.add_trial(create_trial(value=80.0, params=params, distributions=distributions))
    adopt = ["study", "adopt", "tiny", "--from", "sqlite:///other.db"]
    assert "has no epochs; its parameters are lr, units_0, units_1" in run(*adopt).stderr
    assert "write --given OURS=..." in run(*adopt, "--given", "epochs").stderr
    told = run(*adopt, "--given", "epochs=2").stdout
    assert "1 trial of old adopted as evidence, their values read as percent." in told
    assert "units_0 is width_00" in told
    assert json.loads(run("study", "show", "tiny", "--json").stdout)["trials"][1]["value"] == 0.8


def test_a_trial_that_no_worker_trained_is_in_nobodys_way(run: Run, finished: str) -> None:
    study, spec = open_study("sqlite:///phashopt.db", finished)
    study.add_trial(create_trial(value=0.9, params=spec.baseline, distributions=spec.space))
    assert run("study", "worth", finished, "--hours", "0.01").exit_code == 0
    assert run("confirm", finished, "--seeds", "2", "--top", "1").exit_code == 0


def test_an_export_whose_network_is_gone_is_refused(run: Run, finished: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("study", "export", finished, "--out", str(out)).exit_code == 0
    shutil.rmtree(tmp_path / "phashopt-artifacts" / finished)
    again = run("study", "export", finished, "--out", str(out))
    assert again.exit_code == 2
    assert "has left no weights" in again.stderr


def test_where_no_worker_trained_the_best_all_but_a_network_is_exported(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As in a script of one's own."""
    study = optuna.create_study(storage="sqlite:///phashopt.db", study_name="own", direction="maximize")
    study.add_trial(create_trial(value=0.9, params={}, distributions={}))
    assert run("study", "export", "own", "--out", "out").exit_code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"study.json", "trials.csv"}
    assert "No network is written" in caplog.text
    assert run("study", "export", "own", "--trial", "0", "--out", "out").exit_code == 2


def test_a_study_without_a_network_is_not_exported_beside_another_network(run: Run, tmp_path: Path) -> None:
    run("study", "create", "tiny.toml")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "weights.safetensors").write_text("somebody's")
    refused = run("study", "export", "tiny", "--out", "out")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["weights.safetensors"]


@pytest.mark.parametrize("words", ["list", "show tiny", "best tiny", "worth tiny", "check tiny", "gc tiny --dry-run"])
def test_who_asks_a_study_does_not_wait_for_torch(finished: str, tmp_path: Path, words: str) -> None:
    told = [sys.executable, "-X", "importtime", "-m", "phashopt", "study", *words.split()]
    asked = subprocess.run(told, check=True, capture_output=True, text=True, cwd=tmp_path)
    imported = {line.rpartition("|")[2].strip() for line in asked.stderr.splitlines()}
    assert "phashopt.service.storage" in imported
    assert "torch" not in imported


def test_a_finished_study_goes_on_with_a_larger_budget(run: Run, finished: str) -> None:
    told = run("study", "extend", finished, "--trials", "1")
    assert told.stdout == "tiny may take 4 trials in all; start workers with: python -m phashopt worker tiny\n"
    assert run("study", "check", finished).exit_code == 0
    assert run("worker", finished).exit_code == 0
    study, spec = open_study("sqlite:///phashopt.db", finished)
    assert (len(study.trials), spec.study.trials) == (4, 4)
    assert isinstance(study.sampler, PHashSampler)
    assert study.sampler._budget.trials == 4  # the search knows
    assert run("study", "extend", finished, "--trials", "2").exit_code == 0
    assert open_study("sqlite:///phashopt.db", finished)[1].study.trials == 6


def test_compute_and_hours_are_raised_where_they_are_limited(run: Run) -> None:
    run("study", "create", "tiny.toml", "--set", "study.max_compute=1e9", "--set", "study.max_hours=0.5")
    study, _ = open_study("sqlite:///phashopt.db", "tiny")
    long_ago = datetime.now(UTC) - timedelta(hours=10)
    study.set_user_attr(CREATED_KEY, long_ago.isoformat())
    assert run("study", "extend", "tiny", "--compute", "1e9", "--hours", "2").exit_code == 0
    _, spec = open_study("sqlite:///phashopt.db", "tiny")
    assert (spec.study.trials, spec.study.max_compute) == (3, 2e9)
    assert spec.study.max_hours == pytest.approx(12, abs=0.1)  # those since it was made, and two


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ((), "say by how much: --trials, --compute or --hours"),
        (("--hours", "1"), "--hours 1: the study has no max_hours to be raised"),
        (("--trials", "1", "--compute", "1e9"), "--compute 1e+09: the study has no max_compute to be raised"),
    ],
)
def test_a_budget_that_cannot_be_raised_stays(run: Run, options: tuple[str, ...], line: str) -> None:
    run("study", "create", "tiny.toml")
    refused = run("study", "extend", "tiny", *options)
    assert (refused.exit_code, refused.stderr) == (2, f"phashopt: {line}\n")
    assert open_study("sqlite:///phashopt.db", "tiny")[1].study.trials == 3
