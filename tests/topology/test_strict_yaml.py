from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from simlab.errors import TopologyError
from simlab.nodes.specs import SPECS
from simlab.topology.loader import parse_topology
from simlab.topology.strict_yaml import needs_quotes, read_yaml

PLAIN_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("", None),
        ("12", 12),
        ("-12", -12),
        ("0", 0),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("20 ms", "20 ms"),
        ("0112H", "0112H"),
        ("2026-01-15", "2026-01-15"),
        ("north", "north"),
        ("'no'", "no"),
        ('"8:30"', "8:30"),
        ('"0104"', "0104"),
    ],
)
def test_scalars(text, value):
    assert read_yaml(f"key: {text}", "f").value == {"key": value}


SURPRISES = (
    "yes no on off y n Yes NO On OFF Y N True FALSE Null NULL ~ 8:30 1:30:00 0104 00 08 00.5 0x1F 0o17 0b1 1_000 "
    ".5 5. +.5 .inf -.INF .nan 1e400 123456789012345678901 << ="
)


@pytest.mark.parametrize("text", SURPRISES.split())
def test_surprises_of_yaml_are_refused_with_the_advice_to_quote(text):
    with pytest.raises(TopologyError, match=r"^f:2: .* is ambiguous .*quoted, if it is text$"):
        read_yaml(f"a: b\nkey: {text}", "f")
    assert needs_quotes(text)
    assert read_yaml(f"key: '{text}'", "f").value == {"key": text}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", 'f:3: key "a" again, as on line 1; expected each key once'),
        ("a: &x 1", "f:1: anchor &x; expected the value alone (see `defaults`)"),
        ("a: b\nc: *x", "f:2: alias *x; expected the value itself, or `defaults`"),
        ("*x : 1", "f:1: alias *x; expected the value itself, or `defaults`"),
        ("a: !!python/none x", "f:1: tag tag:yaml.org,2002:python/none; expected the value alone"),
        ("a: ! x", "f:1: tag !; expected the value alone"),
        ("a: 1\n---\nb: 2", "f:2: a second document starts here; expected one document a file"),
        ("12: x", 'f:1: key 12; expected text: quote it as "12"'),
        ("? [a]\n: 1", "f:1: a collection as a key; expected text"),
        ("a: [1, 2", "f:1: expected ',' or ']', but got '<stream end>'; expected valid YAML"),
        ("a:\n\tb: 1", "f:2: found character '\\t' that cannot start any token; expected valid YAML"),
        ("a: b\x00", "f:1: character 0x0000; expected printable text"),
        ("[" * 1000, "f:1: nested too deeply; expected at most 20 levels"),
        ('a: "\\UFFFFFFFF"', "f:1: a number in an escape or directive is out of range; expected YAML"),
        ('a: "\\uD800"', "f:1: half of a surrogate pair; expected whole characters"),
    ],
)
def test_what_is_not_allowed_is_refused_in_one_line(text, message):
    with pytest.raises(TopologyError) as caught:
        read_yaml(text, "f")
    assert str(caught.value) == message


def test_lines_are_remembered():
    document = read_yaml("a:\n  b: 1\n  c:\n  - d\n  - e\n", "f")
    assert document.line(("a", "b")) == 2
    assert document.line(("a", "c", 1)) == 5
    assert document.line(("a", "c", 1, "nowhere")) == 5
    assert document.line(("nowhere",)) == 1


@given(st.dictionaries(PLAIN_TEXT, PLAIN_TEXT | st.lists(PLAIN_TEXT)))
def test_quoted_strings_stay_what_they_are(mapping):
    text = yaml.safe_dump(mapping, default_style='"', allow_unicode=True)
    assert read_yaml(text, "f").value == mapping


@given(st.text() | st.text("[]{}:-,?&*!|>'\"%@` \n\tabcny01.~#<=\\Ux"))
@example("- " * 500)
@example("%YAML 1." + "9" * 5000 + "\n---\na")
@example('"\ud800"')
@example("simlab: 1\nname: x\nnodes: {}")
@example("simlab: 1\nname: x\nnodes: {a: {kind: archive, ae_title: A}, b: []}\ndefaults: {archive: 3, node: []}")
def test_any_text_is_read_or_refused_in_one_line(text):
    with pytest.raises(TopologyError) as caught:
        parse_topology(text, SPECS)
    assert len(str(caught.value).splitlines()) == 1
