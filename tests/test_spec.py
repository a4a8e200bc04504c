"""Machine files: what is read, and the one line that each mistake gives."""

import pytest

from accelsim.config import arch, packaged
from accelsim.config.yamlfile import parse, read
from accelsim.engines.registry import find_params
from accelsim.errors import ConfigError

GOOD = """\
name: small
clocks_mhz: {core: 200}
engine: systolic
params:
  rows: 4
  cols: 4
  dataflow: ws
  input_kib: 1
  weight_kib: 1
  output_kib: 1
memory:
  dram: {standard: lpddr4, gb_per_s: 0.48}
technology: {node_nm: 45}
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a function that writes a machine file and loads it."""
    monkeypatch.chdir(tmp_path)

    def load(text, name="m.yaml", sets=()):
        (tmp_path / name).write_text(text)
        return arch.load(name, find_params, sets)

    return load


def message(machine, text, **kwargs):
    with pytest.raises(ConfigError) as caught:
        machine(text, **kwargs)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_a_good_file_resolves_with_its_defaults(machine):
    found = machine(GOOD)
    assert found.config["params"]["accumulator_bits"] == 32
    assert found.clocks_mhz["core"] == 200
    assert found.memory.dram.burst_bits == 512


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("rows: 4", "row: 4", "m.yaml:5: params.row: unknown key; did you mean 'rows'?"),
        ("rows: 4", "zzz: 4", "m.yaml:5: params.zzz: unknown key; known keys: accumulator_bits"),
        ("  cols: 4\n", "", "m.yaml:4: params.cols: missing key; add 'cols: ...' ("),
        ("rows: 4", "rows: four", "m.yaml:5: params.rows: 'four' is of the wrong type; must be a whole number"),
        ("rows: 4", "rows: 4.5", "m.yaml:5: params.rows: 4.5 is of the wrong type; must be a whole number"),
        ("rows: 4", "rows: 0", "m.yaml:5: params.rows: 0 is too small; must be at least 1"),
        ("rows: 4", "rows: 100000", "m.yaml:5: params.rows: 100000 is too large; must be at most 4096"),
        ("rows: 4", "rows: 4\n  rows: 5", "m.yaml:6: params.rows: repeated key, first on line 5; keep one of the two"),
        ("rows: 4", "rows: 1e9", "m.yaml:5: params.rows: '1e9' is text in YAML, not a number; write 1000000000"),
        ("gb_per_s: 0.48", "gb_per_s: 12e-3", "m.yaml:12: memory.dram.gb_per_s: '12e-3' is text in YAML"),
        ("rows: 4", "rows: 010", "m.yaml:5: params.rows: '010' would be octal; write 10 or quote it"),
        ("rows: 4", "rows: 1:30", "m.yaml:5: params.rows: '1:30' would be read in base 60; quote it: '1:30'"),
        ("dataflow: ws", "dataflow: no", "m.yaml:7: params.dataflow: 'no' would be a boolean"),
        ("dataflow: ws", "dataflow: rs", "m.yaml:7: params.dataflow: 'rs' is not a known value; must be 'ws', 'os' or"),
        ("gb_per_s: 0.48", "gb_per_s: .inf", "m.yaml:12: memory.dram.gb_per_s: inf is of the wrong type"),
        ("engine: systolic", "engine: systolc", "m.yaml:3: engine: no engine is called 'systolc'; did you mean"),
        ("{core: 200}", "{cpu: 200}", "m.yaml:1: clocks_mhz has no 'core'; add 'core: <MHz>'"),
        ("name: small", "name: [a]", "m.yaml:1: name: a list is of the wrong type; must be a word or text"),
        (
            "name: small",
            "name: small\nbase: nowhere",
            "m.yaml:2: base: base is missing: no machine is called 'nowhere'",
        ),
        ("name: small", "name: small\nbase: m.yaml", "m.yaml:2: base: a base refers to itself: m -> m"),
        ("name: small", "name: 'small", "m.yaml:14: not valid YAML: found unexpected end"),
        ("name: small", "name: !!python/object:os.system x", "m.yaml:1: name: tag tag:yaml.org,2002:python/object"),
    ],
)
def test_a_mistake_gives_one_line_with_place_problem_and_remedy(machine, old, new, expected):
    assert message(machine, GOOD.replace(old, new, 1)).startswith(expected)


def test_a_base_is_overridden_key_by_key(machine):
    machine(GOOD, "base.yaml")
    found = machine("name: wide\nbase: base.yaml\nparams: {cols: 16}\n")
    assert (found.config["params"]["rows"], found.config["params"]["cols"]) == (4, 16)


def test_a_mistake_in_a_base_names_the_base(machine, tmp_path):
    (tmp_path / "base.yaml").write_text(GOOD.replace("rows: 4", "rows: 0"))
    assert message(machine, "name: wide\nbase: base.yaml\n").startswith("base.yaml:5: params.rows: 0 is too small")


def test_two_bases_that_refer_to_each_other_are_an_error(machine, tmp_path):
    (tmp_path / "a.yaml").write_text("name: a\nbase: m.yaml\n")
    assert "a base refers to itself: m -> a -> m" in message(machine, "name: m\nbase: a.yaml\n")


def test_set_overrides_any_key_and_names_itself_in_errors(machine):
    assert machine(GOOD, sets=[("params.rows", 8)]).config["params"]["rows"] == 8
    assert message(machine, GOOD, sets=[("params.row", 8)]).startswith("--set: params.row: unknown key; did you mean")
    assert "is a value, not a mapping" in message(machine, GOOD, sets=[("params.rows.x", 8)])


def test_set_reaches_into_lists(machine):
    found = arch.load("edge_npu", find_params, [("units.0.params.rows", 8)])
    assert found.config["units"][0]["params"]["rows"] == 8
    with pytest.raises(ConfigError, match="--set: units\\.7"):
        arch.load("edge_npu", find_params, [("units.7.params.rows", 8)])


def test_a_unit_is_reached_by_its_name():
    found = arch.load("edge_npu", find_params, [("units.array.params.rows", 8)])
    assert found.config["units"][0]["params"]["rows"] == 8
    with pytest.raises(ConfigError, match=r"write units\.<name>\.params"):
        arch.load("edge_npu", find_params, [("params.rows", 8)])


def test_what_is_overridden_no_longer_has_the_old_source():
    found = arch.load("systolic_ws", find_params, [("params.rows", 8), ("memory.dram.gb_per_s", 3.2)])
    assert found.config["sources"]["params.rows"] == "--set"
    assert found.config["sources"]["memory.dram.gb_per_s"] == "--set"
    assert "params.rows = 8" in found.config["description"]


def test_a_variant_has_its_files_name_and_says_where_its_values_come_from(machine):
    found = machine("base: systolic_ws\nparams: {rows: 64}\n", "wide.yaml")
    assert found.name == "wide"
    assert found.config["description"] == "variant of systolic_ws"
    assert found.config["sources"]["params.rows"] == "wide.yaml:2"
    assert "SCALE-Sim" in found.config["sources"]["params"]


def test_replace_gives_a_variant_and_leaves_the_original(machine):
    found = machine(GOOD)
    assert found.replace("params.rows", 16).config["params"]["rows"] == 16
    assert found.config["params"]["rows"] == 4


def test_a_source_must_name_a_key_of_the_machine(machine):
    assert "sources.params.rowz: no such key" in message(machine, GOOD + "sources: {params.rowz: here}\n")


def test_an_alias_bomb_is_refused_before_it_explodes():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.raises(ConfigError, match="more than"):
        parse("\n".join(lines), "bomb.yaml")


def test_a_circular_alias_is_refused():
    with pytest.raises(ConfigError, match="nested too deeply"):
        parse("a: &a [*a]", "circle.yaml")


@pytest.mark.parametrize("name", packaged.names("arch_configs"))
def test_every_packaged_machine_loads_and_gives_a_source_for_every_number(name):
    found = arch.load(name, find_params)
    stated = tuple(key for key, text in found.config["sources"].items() if text != "unsourced")

    def walk(value, path):
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from walk(inner, (*path, str(key)))
        elif isinstance(value, list):
            for i, inner in enumerate(value):
                yield from walk(inner, (*path, str(i)))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield ".".join(path)

    given = {".".join(map(str, path)) for path in found.document.places}
    for key in walk({k: v for k, v in found.config.items() if k != "sources"}, ()):
        if key in given:
            assert any(key == s or key.startswith(s + ".") for s in stated), f"{name}: no source for {key}"


def test_an_unreadable_file_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not a text file"):
        read(tmp_path / "b.yaml")
