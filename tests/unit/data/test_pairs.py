import json
from pathlib import Path
from typing import Any

import pytest

from toporepro.data.index import INDEX, DataError
from toporepro.data.pairs import PAIRS, Pair, PreparedPairs, read_pairs, write_pairs, write_prepared

SOME = [
    Pair("The dogs bark.", "The dogs barks.", "number", "syntax", "agreement"),
    Pair("Él “dice” no.", "Él “dicen” no.", "number", "syntax", "agreement"),
    Pair("She sees herself.", "She sees himself.", "gender", "morphology", "binding"),
]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    index = write_prepared(tmp_path, source="s", options={"a": 1}, pairs=SOME)
    opened = PreparedPairs.open(index)
    assert opened.pairs() == tuple(SOME)
    assert (opened.source, opened.options) == ("s", {"a": 1})
    opened.verify()
    lines = [json.loads(line) for line in (tmp_path / PAIRS).read_text().splitlines()]
    assert [line["pairID"] for line in lines] == ["0", "1", "0"]


def test_a_file_of_blimp_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(
        '{"sentence_good": "Who should Derek hug after shocking Richard?", "sentence_bad": "Who '
        'should Derek hug Richard after shocking?", "field": "syntax", "linguistics_term": '
        '"island_effects", "UID": "adjunct_island", "simple_LM_method": true, "one_prefix_method":'
        ' false, "two_prefix_method": false, "lexically_identical": true, "pairID": "0"}\n'
    )
    assert list(read_pairs(path)) == [
        Pair(
            "Who should Derek hug after shocking Richard?",
            "Who should Derek hug Richard after shocking?",
            "adjunct_island",
            "syntax",
            "island_effects",
        )
    ]


def entry(**changes: Any) -> str:
    whole = {
        "sentence_good": "a",
        "sentence_bad": "b",
        "UID": "u",
        "field": "f",
        "linguistics_term": "l",
    }
    return json.dumps({k: v for k, v in (whole | changes).items() if v is not None})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "line 2: not a minimal pair: Expecting value"),
        ('{"sentence_good": "a"', "line 2: not a minimal pair"),
        ("[1]", "a JSON object is needed"),
        (entry(UID=None, field=None), "no UID, field"),
        (entry(sentence_bad=3), "sentence_bad is 3; a text is needed"),
        (entry(sentence_good=" "), "sentence_good is ' '"),
        ('{"a": "\udcff"}', "line 2: not a minimal pair: 'utf-8' codec"),
    ],
)
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "pairs.jsonl"
    text = f"{entry()}\n{line}\n{entry()}\n"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DataError) as caught:
        list(read_pairs(path))
    assert f"{path}, line 2" in str(caught.value)
    assert message in str(caught.value)


def test_a_dataset_without_pairs_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        list(read_pairs(tmp_path / PAIRS))
    index = write_prepared(tmp_path, source="s", options={}, pairs=SOME)
    content = json.loads(index.read_text())
    content["files"] = {}
    index.write_text(json.dumps(content))
    with pytest.raises(DataError, match="s has no minimal pairs"):
        PreparedPairs.open(tmp_path / INDEX)
    write_pairs(tmp_path / PAIRS, SOME[:1])
    index = write_prepared(tmp_path, source="s", options={}, pairs=SOME)
    write_pairs(tmp_path / PAIRS, SOME[:1])
    with pytest.raises(DataError, match="bytes found"):
        PreparedPairs.open(index)
