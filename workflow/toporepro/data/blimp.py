"""BLiMP, the Benchmark of Linguistic Minimal Pairs (Warstadt et al., 2020, TACL 8:377-392).

67 paradigms of 1,000 pairs of English sentences, one of which native speakers accept. Seven pairs
of the original files are one sentence twice; they are kept, as nobody can tell them apart.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from toporepro.data.extent import Extent
from toporepro.data.index import DataError, FileRecord
from toporepro.data.pairs import Pair, parse_pairs, write_prepared
from toporepro.data.remote_file import RemoteFile
from toporepro.spec import SpecError

PARADIGMS = 67
PAIRS_EACH = 1000
_COMMIT = "3e56b06fcabca9b30822fc66435fca6b1aa40bb1"
_MIRRORS = (
    f"https://raw.githubusercontent.com/alexwarstadt/blimp/{_COMMIT}/data/",
    f"https://cdn.jsdelivr.net/gh/alexwarstadt/blimp@{_COMMIT}/data/",
)
_BY_HAND = "put an archive of BLiMP's 67 files, such as GitHub's of alexwarstadt/blimp, into {}"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where BLiMP comes from.

    Attributes:
        form: ``files``: the 67 original files, fetched from GitHub or put into ``data/blimp``;
            ``archive``: one tar (also packed by gzip or xz) or zip archive put there, which holds
            them in any folder, such as GitHub's own.
        pairs: of each paradigm the first so many of its 1,000; null for all.
    """

    form: Literal["files", "archive"] = "files"
    pairs: int | None = None

    def __post_init__(self) -> None:
        if self.pairs is not None and not 1 <= self.pairs <= PAIRS_EACH:
            raise SpecError(f"pairs={self.pairs}: 1 to {PAIRS_EACH}, or null for all")


def raw_files(options: Options) -> tuple[RemoteFile, ...]:
    """The 67 files, as GitHub has them."""
    if options.form == "archive":
        return ()
    return tuple(
        RemoteFile(
            name=f"{name}.jsonl",
            urls=tuple(f"{mirror}{name}.jsonl" for mirror in _MIRRORS),
            bytes=known.bytes,
            sha256=known.sha256,
        )
        for name, known in originals().items()
    )


def local_files(options: Options, raw: Path) -> tuple[Path, ...]:
    """The archive, if that is the form.

    Raises:
        DataError: if there is none, or more than one.
    """
    if options.form != "archive":
        return ()
    found = _archives(raw)
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise DataError(f"{raw}: one archive is expected, found: {names}; {_BY_HAND.format(raw)}")
    return (found[0],)


def prepared_bytes(options: Options) -> int:
    """Bytes that the pairs take, about."""
    return 260 * extent(options).splits["pairs"]


def extent(options: Options) -> Extent:
    """How much it holds."""
    return Extent(
        splits={"pairs": PARADIGMS * (options.pairs or PAIRS_EACH)},
        shape=(0, 0, 0),
        classes=PARADIGMS,
        by_hand=_BY_HAND.format("data/blimp") if options.form == "archive" else "",
    )


def prepare(options: Options, raw: Path, out: Path) -> None:
    """Write the pairs of all paradigms, in the order of their names.

    Raises:
        DataError: naming the file, and the line, that is not BLiMP's; or paradigms that are
            missing or have another number of pairs.
    """
    if options.form == "archive":
        contents = dict(_members(local_files(options, raw)[0]))
    else:
        contents = {name: (raw / f"{name}.jsonl").read_bytes() for name in originals()}
    pairs = list(_check(contents, raw, options.pairs))
    same = Counter(pair.paradigm for pair in pairs if pair.good == pair.bad)
    write_prepared(
        out,
        source="blimp",
        options=asdict(options),
        pairs=pairs,
        extra={"pairs_of_one_sentence_twice": dict(sorted(same.items()))},
    )


def originals() -> dict[str, FileRecord]:
    """Size and SHA-256 of each original file, by its paradigm."""
    known = Path(__file__).with_name("blimp_files.json").read_text(encoding="utf-8")
    return {name: FileRecord(**record) for name, record in json.loads(known).items()}


def _archives(raw: Path) -> list[Path]:
    suffixes = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.xz")
    found = raw.iterdir() if raw.is_dir() else ()
    return sorted(path for path in found if path.name.endswith(suffixes))


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    from toporepro.data.archives import Limits, read_members

    def wanted(name: str) -> bool:
        path = PurePosixPath(name)
        return path.suffix == ".jsonl" and path.stem in known

    known = originals()
    limits = Limits(members=2000, member_bytes=64 << 20, total_bytes=1 << 30)
    for name, content in read_members(archive, wanted=wanted, limits=limits):
        yield PurePosixPath(name).stem, content


def _check(contents: dict[str, bytes], raw: Path, kept: int | None) -> Iterator[Pair]:
    absent = sorted(set(originals()) - set(contents))
    if absent:
        raise DataError(
            f"{raw}: {len(absent)} of {PARADIGMS} paradigms are missing: {', '.join(absent[:5])} …"
        )
    for name in sorted(contents):
        pairs = list(parse_pairs(contents[name], f"{raw}: {name}.jsonl"))
        others = {pair.paradigm for pair in pairs} - {name}
        if others or len(pairs) != PAIRS_EACH:
            raise DataError(
                f"{raw}: {name}.jsonl: {len(pairs)} pairs of {sorted(others | {name})}; "
                f"{PAIRS_EACH} of {name} were expected; remove it, and it will be fetched again"
            )
        yield from pairs[:kept]
