import datetime
import math

import pytest
import yaml

from gcp_mm.errors import UserError
from gcp_mm.reproduction.configs import says
from gcp_mm.reproduction.plan import CLAIMS, find_plan, plans, read_plan
from gcp_mm.reproduction.verdicts import check_primary
from reproduction.plans import HOSTILE, full, tiny, write_plan


@pytest.fixture
def refused(tmp_path):
    """Return a function that gives the one line that a plan is refused with."""

    def why(content):
        path = write_plan(tmp_path / "wrong.yml", content)
        with pytest.raises(UserError) as error:
            check_primary(read_plan(path))
        text = str(error.value)
        assert len(text.splitlines()) == 1 and len(text) < 1000, text
        assert "wrong" in text
        return text

    return why


def set_at(content, where, value):
    *keys, last = where.split("/")
    for key in keys:
        content = content[int(key) if isinstance(content, list) else key]
    content[int(last) if isinstance(content, list) else last] = value


def get_at(content, where):
    for key in where.split("/"):
        content = content[key]
    return content


@pytest.mark.parametrize("name", plans())
def test_plans_of_this_project_are_read(repo, name):
    plan = read_plan(name)
    check_primary(plan)
    assert plan.name == name and plans()[name] == repo / f"configs/reproduction/{name}.yml"
    assert len(plan.seeds) >= 3
    assert set(plan.content["verdict"]["primary"]) == set(CLAIMS)
    assert str(plan.data_root) == plan.content["data_root"]
    assert read_plan(name, "elsewhere").data_root.name == "elsewhere"


def test_every_plan_of_the_project_is_known(repo):
    assert set(plans()) == {path.stem for path in (repo / "configs/reproduction").iterdir()}
    assert set(plans()) == {"quick", "imagenette", "imagenet"}


def test_a_file_of_that_name_goes_before_a_plan_of_this_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_plan(tmp_path / "quick", full())
    assert read_plan("quick").content["title"] == "Two tiny runs"


@pytest.mark.parametrize("name", ["quik", "no/such.yml", "", ".", "a\0b", "quick.yml"])
def test_absent_plan_says_which_there_are(name):
    with pytest.raises(UserError, match="give a file, or one of imagenet, imagenette, quick"):
        find_plan(name)


def test_a_plan_and_its_data_may_be_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_plan(tmp_path / "p.yml", {**tiny(), "data_root": "~/d"})
    assert read_plan("~/p.yml").data_root == tmp_path / "d"
    assert read_plan("~/p.yml", "~/e").data_root == tmp_path / "e"


def test_the_smallest_plan_and_the_full_one_are_plans(tmp_path):
    for content in (tiny(), full()):
        plan = read_plan(write_plan(tmp_path / "p.yml", content))
        assert plan.content == content and list(plan.groups) == ["tiny"]


TABLES = [
    *("", "verdict", "groups/tiny", "groups/tiny/arms/gap", "groups/tiny/landscape"),
    *("groups/tiny/landscape/etas", "groups/tiny/landscape/sharpness", "groups/tiny/robustness"),
    *("groups/tiny/detection", "groups/tiny/detection/arms/gap"),
]


@pytest.mark.parametrize("where", TABLES)
def test_unknown_key_is_named_with_its_place(refused, where):
    content = full()
    set_at(content, f"{where}/typo".lstrip("/"), 1)
    assert f"{where or 'it'} has the unknown key 'typo'" in refused(content)


@pytest.mark.parametrize("where", TABLES)
def test_absent_key_is_named_with_its_place(refused, where):
    content = full()
    table = get_at(content, where) if where else content
    key = next(iter(table))
    del table[key]
    assert f"{where or 'it'} lacks {key!r}" in refused(content)


# Of which `gcp-mm landscape curvature` refuses one.
SEVERAL = ("trace_samples", "lanczos_steps")
CURVATURE = {"images": 1, "top": 1, **dict.fromkeys(SEVERAL, 2)}


@pytest.mark.parametrize(
    ("where", "value"),
    [
        *(("title", value) for value in (1, None, ["a"], True)),
        *(("seeds", value) for value in (3, ["0"], [-1], [0.5], [True], {"0": 1})),
        *(("verdict/confidence", value) for value in (0, 1, 95, "0.95", math.nan, math.inf, True)),
        *(("verdict/min_seeds", value) for value in (0, 2.0, "3")),
        *(("verdict/primary", value) for value in (["top1"], {"convergence": "top1/lrfast"})),
        ("make_data", "yes"),
        *(("gpus_per_run", value) for value in (0, -1, 1.5)),
        *(("groups", value) for value in ([], "tiny", None)),
        *(("groups/tiny/bases", value) for value in ("a.py", [1], None)),
        *(("groups/tiny/shorten", value) for value in (0, -1, "0.1", math.inf)),
        *(("groups/tiny/schedules", value) for value in (["lrfast"], {"lrfast": "a.py"})),
        *(("groups/tiny/settings", value) for value in (["model"], "model", 1, None)),
        ("groups/tiny/arms", ["gap"]),
        ("groups/tiny/controls", "gap"),
        ("groups/tiny/landscape/interval", 0),
        ("groups/tiny/landscape/etas", [0.1, 1.0]),
        ("groups/tiny/landscape/etas/num", 1),
        ("groups/tiny/landscape/sharpness/radius", 0),
        *(("groups/tiny/landscape/curvature", {**CURVATURE, key: 1}) for key in SEVERAL),
        ("groups/tiny/robustness/corruptions", ["fogg"]),
        ("groups/tiny/robustness/severities", [0]),
        ("groups/tiny/robustness/severities", [True]),
        ("groups/tiny/robustness/severities", [1.0]),
        ("groups/tiny/robustness/severities", [[1]]),
        ("groups/tiny/robustness/perturbations", ["fog"]),
        ("groups/tiny/robustness/released", {"imagenet_c": "a"}),
        ("groups/tiny/detection/arms/gap/classifier", None),
    ],
)
def test_value_of_another_kind_is_named_with_its_place(refused, where, value):
    content = full()
    set_at(content, where, value)
    assert where in refused(content)


@pytest.mark.parametrize(
    ("where", "value", "told"),
    [
        ("seeds", [], "at least one"),
        ("seeds", [1, 2, 1], "different numbers"),
        ("seeds", [2**32], "below 2^32"),
        ("groups", {}, "groups: there is none"),
        ("groups/tiny/arms", {}, "groups/tiny: arms: there is none"),
        ("groups/tiny/schedules", {}, "groups/tiny: schedules: there is none"),
        ("groups/tiny/treatment", "gpc", "treatment: 'gpc' is none of gap, gcp"),
        ("groups/tiny/controls", ["gap", "g"], "controls: 'g' is none of gap, gcp"),
        ("groups/tiny/controls", [], "controls: there is none"),
        ("groups/tiny/controls", ["gap", "gap"], "controls: 'gap' is there twice"),
        ("groups/tiny/controls", ["gcp"], "'gcp' cannot be its own control"),
        ("groups/tiny/landscape/arms", ["x"], "landscape/arms: 'x' is none of gap, gcp"),
        ("groups/tiny/landscape/schedule", "lr", "landscape/schedule: 'lr' is none of lrfast"),
        ("groups/tiny/robustness/arms", ["x"], "robustness/arms: 'x' is none of"),
        ("groups/tiny/robustness/schedule", "lr", "robustness/schedule: 'lr' is none of"),
        ("groups/tiny/robustness/epochs", [1, 2, 1], "robustness/epochs: 1 is there twice"),
        ("groups/tiny/robustness/severities", [], "robustness/severities: there is none"),
        ("groups/tiny/detection/schedule", "lr", "detection/schedule: 'lr' is none of"),
        ("groups/tiny/detection/treatments", ["gcp"], "detection/treatments: 'gcp' is none of"),
        ("groups/tiny/detection/treatments", [], "detection/treatments: there is none"),
        ("groups/tiny/detection/controls", ["gcpm"], "'gcpm' cannot be its own control"),
        ("groups/tiny/detection/arms/gap/classifier", "x", "detection/arms: 'x' is none of"),
        ("groups/tiny/schedules", {"lrfast": []}, "schedules/lrfast: there is no base"),
        ("groups/tiny/landscape/arms", ["gap"], "landscape/arms: the treatment 'gcp' is not among"),
        ("groups/tiny/landscape/arms", ["gcp"], "landscape/arms: no control is among them (gap)"),
        ("groups/tiny/robustness/arms", ["gap"], "robustness/arms: the treatment 'gcp' is not am"),
        ("groups/tiny/robustness/arms", [], "robustness/arms: the treatment 'gcp' is not among"),
        ("groups/tiny/robustness/epochs", [1, 50], "lrfast has 1 epochs here, and no 50"),
    ],
)
def test_name_of_nothing_is_refused_with_those_there_are(refused, where, value, told):
    content = full()
    set_at(content, where, value)
    assert told in refused(content)


def test_robustness_to_nothing_is_refused(refused):
    content = full()
    content["groups"]["tiny"]["robustness"].update(corruptions=[], perturbations=[])
    assert "robustness: there are neither corruptions nor perturbations" in refused(content)


BASES = ["bases", "schedules/lrfast", "detection/bases"]


@pytest.mark.parametrize("where", [*BASES, "arms/gap/base", "detection/arms/gap/base"])
@pytest.mark.parametrize(
    "base",
    [
        *(
            "no_such.py",
            "../README.md",
            "_base_/../../setup.py",
            "_base_",
            "",
            "reproduction/quick.yml",
        ),
        *("mmpretrain::_base_/default_runtime.py", "a\0b.py", "_base_/datasets/imagenet_bs32.py\n"),
    ],
)
def test_base_is_a_config_below_configs(refused, repo, where, base):
    content = full()
    set_at(content, f"groups/tiny/{where}", [base] if where in BASES else base)
    assert f"there is no base {base!r} below configs" in refused(content)


def test_base_by_its_whole_path_is_refused(refused, repo):
    content = full()
    base = str(repo / "configs/_base_/models/resnet_gap.py")
    content["groups"]["tiny"]["arms"]["gap"]["base"] = base
    assert "below configs" in refused(content)


PLACES = ["", "arms/gap/", "detection/", "detection/arms/gap/"]


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize(
    "key", ["a b", "import", "_base_", "__import__", "a.b", "a=1;b", "", "ä", "a\nb", 3, True, None]
)
def test_setting_has_the_name_of_a_variable(refused, where, key):
    content = full()
    set_at(content, f"groups/tiny/{where}settings", {key: 1})
    assert f"{where}settings: {key!r} is no setting of a config" in refused(content)


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize(
    "value",
    [
        *(math.inf, math.nan, datetime.date(2026, 1, 1), b"bytes", {"a", "b"}),
        *({1: "a"}, {"a": [{"b": math.inf}]}, [[datetime.datetime(2026, 1, 1)]]),
    ],
)
def test_setting_is_plain_data(refused, where, value):
    content = full()
    set_at(content, f"groups/tiny/{where}settings", {"model": {"x": value}})
    assert f"{where}settings/model/x" in refused(content)


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("1e-3", "1.0e-3"), ("-2E5", "-2.0e+5"), ("1.5e3", "1.5e+3"), ("1.e6", "1.0e+6")),
        *((".5e1", "0.5e+1"), ("+1e+2", "+1.0e+2")),
    ],
)
def test_number_that_yaml_reads_as_a_text_is_refused(refused, where, text, number):
    assert yaml.safe_load(text) == text
    assert isinstance(yaml.safe_load(number), float) and float(number) == float(text)
    content = full()
    settings = {"optim_wrapper": {"optimizer": {"lr": text}}}
    set_at(content, f"groups/tiny/{where}settings", settings)
    told = f"{where}settings/optim_wrapper/optimizer/lr is {text!r}, which is a text"
    assert f"{told} in YAML; write {number};" in refused(content)


def test_texts_that_are_nearly_such_a_number_stay_texts(tmp_path):
    content = full()
    content["groups"]["tiny"]["settings"] = {"x": ["1e", "e5", "1e-3a", "v1e3", "12", "1e3 "]}
    assert read_plan(write_plan(tmp_path / "p.yml", content)).content == content


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("name", ["LandscapeHook", "gcp_mm.LandscapeHook"])
def test_hook_of_the_landscape_is_a_part_and_no_setting(refused, where, name):
    content = full()
    hooks = {"custom_hooks": [{"type": "EMAHook"}, {"type": name}]}
    set_at(content, f"groups/tiny/{where}settings", hooks)
    told = f"{where}settings/custom_hooks/1/type: landscape is a part of a group"
    assert told in refused(content)


@pytest.mark.parametrize(
    "base", ["_base_/runtime_landscape.py", "imagenette/resnet18_gcp_landscape_imagenette.py"]
)
def test_base_with_the_hook_of_the_landscape_is_refused(refused, base):
    for where in ("bases", "detection/bases"):
        content = full()
        set_at(content, f"groups/tiny/{where}", [base])
        assert f"the base {base!r} has a LandscapeHook; landscape is a part" in refused(content)


def test_hook_of_a_base_of_a_base_is_found(tmp_path):
    (tmp_path / "low.py").write_text("custom_hooks = [dict(type='LandscapeHook')]\n")
    (tmp_path / "high.py").write_text("_base_ = ['mmdet::x.py', './low.py']\n")
    assert says(tmp_path / "high.py", "LandscapeHook")
    assert not says(tmp_path / "high.py", "EMAHook")


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("key", ["randomness", "train_cfg", "param_scheduler"])
def test_setting_that_the_plan_makes_itself_is_refused(refused, tmp_path, where, key):
    content = full()
    set_at(content, f"groups/tiny/{where}settings", {key: {"seed": 3}})
    if where.startswith("detection") and key != "randomness":
        read_plan(write_plan(tmp_path / "p.yml", content))
    else:
        assert f"{where}settings: {key} follows from" in refused(content)


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("key", ["custom_imports", "work_dir", "launcher", "runner_type"])
def test_setting_that_commands_is_refused(refused, where, key):
    content = full()
    set_at(content, f"groups/tiny/{where}settings", {key: "x"})
    assert f"{where}settings: {key} is not taken out of a plan" in refused(content)


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize(
    "name",
    [
        *("os.system", "subprocess.Popen", "gcp_mm.files.atomic_write", "mmengine.utils.x"),
        *("builtins.eval", ".system", "gcp_mm.", "", "a b", "mmdetx.A", "os:system", "A\n", "Ä"),
    ],
)
def test_type_is_a_class_of_openmmlab_or_of_this_package(refused, where, name):
    for value in ({"type": name}, {"x": [{"y": {"type": name}}]}):
        content = full()
        set_at(content, f"groups/tiny/{where}settings", {"model": value})
        text = refused(content)
        assert f"type: {name!r} is no name of a class of OpenMMLab" in text
        assert f"{where}settings/model" in text


@pytest.mark.parametrize("name", ["ResNet", "gcp_mm.GCPDResNet", "mmdet.ResNet", "BN1d"])
def test_type_by_its_name_or_with_the_package_before_it(tmp_path, name):
    content = full()
    content["groups"]["tiny"]["settings"] = {"model": {"type": name, "x": {"type": 3}}}
    assert read_plan(write_plan(tmp_path / "p.yml", content)).content == content


@pytest.mark.parametrize("name", ["a b", "../x", "", "ä", "a-b", "a/b", 1, "1a", "a\n"])
def test_names_become_folders(refused, name):
    for where in ("arms", "schedules"):
        content = tiny()
        table = content["groups"]["tiny"][where]
        table[name] = next(iter(table.values()))
        assert f"{name!r} is not a name of letters" in refused(content)
    content = tiny()
    content["groups"][name] = content["groups"]["tiny"]
    assert f"{name!r} is not a name of letters" in refused(content)


def test_two_runs_never_have_one_folder(refused):
    content = tiny()
    group = content["groups"]["tiny"]
    group["arms"]["gap_a"] = group["arms"]["gap"]
    group["schedules"]["a_lrfast"] = group["schedules"]["lrfast"]
    assert "two of them are called 'gap_a_lrfast' together" in refused(content)


@pytest.mark.parametrize(
    ("claim", "name"),
    [
        ("convergence", "top1"),
        ("convergence", "top1/lrnorm"),
        ("convergence", "box_AP/lrfast"),
        ("convergence", "top_1/lrfast"),
        ("convergence", "top1/lrfast/x"),
        ("smoothness", "top1/lrfast"),
    ],
)
def test_rule_names_measures_of_its_claim(refused, claim, name):
    content = tiny()
    content["verdict"]["primary"] = {claim: [name]}
    text = refused(content)
    assert "verdict/primary" in text and claim in text
    if claim == "convergence":
        assert "MEASURE/SCHEDULE of top1, epochs_to_reference, early_top1 and lrfast" in text


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("landscape/trace", {}, "which has no landscape/curvature"),
        ("landscape/top_eigenvalue", {}, "which has no landscape/curvature"),
        ("robustness/relative_error", {"corruptions": []}, "which has no robustness/corruptions"),
        ("robustness/flip_probability", {"perturbations": []}, "has no robustness/perturbations"),
        ("robustness/error_at_equal_clean", {"epochs": []}, "none before the last, 1, of"),
        ("robustness/error_at_equal_clean", {"epochs": [1]}, "none before the last, 1, of"),
        ("convergence/early_top1", {}, "where lrfast has 1 epoch"),
    ],
)
def test_rule_names_what_every_group_can_measure(refused, tmp_path, name, change, told):
    """Else the claim would be undecided for ever, which is seen after hours."""
    claim, _, measure = name.partition("/")
    content = full()
    content["verdict"]["primary"] = {claim: [f"{measure}/lrfast"]}
    content["groups"]["tiny"].get(claim, {}).update(change)
    why = refused(content)
    assert "would never be measured in groups/tiny, w" in why and told in why
    # With what it takes it is a plan.
    content = full()
    content["verdict"]["primary"] = {claim: [f"{measure}/lrfast"]}
    content["groups"]["tiny"]["shorten"] = 0.1
    content["groups"]["tiny"]["landscape"]["curvature"] = CURVATURE
    check_primary(read_plan(write_plan(tmp_path / "p.yml", content)))


@pytest.mark.parametrize("text", ["", "# nothing", "- a\n- b", "title", "3", "null", "[]"])
def test_yaml_that_is_no_table(refused, text):
    assert "not an object" in refused(text)


def test_yaml_that_cannot_be_read_names_the_plan(refused):
    assert "wrong.yml' cannot be read" in refused("a: [1, 2")


def test_aliases_are_followed(tmp_path):
    content = tiny()
    arms = content["groups"]["tiny"]["arms"]
    arms["again"] = arms["gap"]
    path = write_plan(tmp_path / "p.yml", content)
    assert "*id001" in path.read_text()
    assert read_plan(path).content == content


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_stay_texts(tmp_path, text):
    content = full()
    for where in ("title", "text", "data_root", "groups/tiny/title", "groups/tiny/arms/gap/title"):
        set_at(content, where, text)
    content["groups"]["tiny"]["settings"] = {"anything": text, "more": {text: [text]}}
    assert read_plan(write_plan(tmp_path / "p.yml", content)).content == content
