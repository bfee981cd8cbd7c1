"""Text in parts: documents become tokens, one shard per part and split.

The dataset's module has ``tokenizer``, ``vocabulary`` and ``validation`` among its options, and its
``open_raw`` gives ``data.raw_text.RawText``. A tokenizer that is to be learnt from the text is
learnt once, by the first part that comes to it, from all units alike.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from toporepro.data.documents import in_validation
from toporepro.data.gpt2_bpe import gpt2_tokenizer
from toporepro.data.guards import exclusive
from toporepro.data.index import DataError, FileRecord
from toporepro.data.raw import share
from toporepro.data.raw_text import SPLITS, Document, RawText
from toporepro.data.scatter import Job, Tally
from toporepro.data.text_store import TRAINING, TokenWriter, id_type, shard_file, text_index
from toporepro.data.tokenizer import ENCODER, MERGES, Tokenizer, train_tokenizer
from toporepro.provenance import progress, write_json
from toporepro.spec import encode

# Bytes of English per token, rather too few than too many.
_BYTES_PER_TOKEN = {"gpt2": 4.0, "trained": 3.0}
_LEARNT_FROM = 64 << 20  # characters


def stored(job: Job, raw: RawText) -> int:
    """Bytes that the tokens take, about."""
    text = sum(raw.size(unit) for unit in raw.units())
    return stored_bytes(job.options, text)


def stored_bytes(options: Any, text: int) -> int:
    """Bytes that the tokens of so many bytes of English take, about."""
    each = int(id_type(options.vocabulary if options.tokenizer == "trained" else 0)[-1])
    return int(each * text / _BYTES_PER_TOKEN[options.tokenizer])


def make(job: Job, part: int, raw: RawText) -> dict[str, Any]:
    """Write a part's shards; returns what there is to say of them."""
    tokenizer = _tokenizer(job, raw)
    units = share(raw.units(), part, job.parts)
    tally = _Tally(job, part, sum(raw.size(unit) for unit in units))
    oddities: Counter[str] = Counter()
    inputs: dict[str, str] = {}
    given: dict[str, list[str]] = {}
    with contextlib.ExitStack() as stack:
        writers: dict[str, TokenWriter] = {}

        def writer_of(split: str) -> TokenWriter:
            if split not in writers:
                path = job.folder / shard_file(split, part)
                for stale in job.folder.glob(f".{path.stem}.*.partial*"):
                    stale.unlink()  # of a process that was killed; this one holds the part's lock
                writers[split] = stack.enter_context(TokenWriter(path, tokenizer))
            return writers[split]

        for unit in units:
            read = hashlib.sha256()
            for document in raw.read(unit):
                tally.seen += 1
                try:
                    digest = _digest(document)
                    if digest is None:
                        oddities["empty documents"] += 1
                        continue
                    read.update(digest)
                    split = document.split or _settled(digest, job.options.validation)
                    if document.split:
                        given.setdefault(split, []).append(digest.hex())
                    writer_of(split).add(tally.watch(document.pieces))
                except DataError as error:
                    tally.fault(str(error))
            inputs[unit] = read.hexdigest()
        tally.refuse_faults()
    files = {writer.path.name: writer.record for writer in writers.values()}
    files |= {name: FileRecord.of(job.folder / name) for name in (ENCODER, MERGES)}
    tokens = sum(writer.tokens for writer in writers.values())
    progress(f"{job.spec.source}, part {part}: {tokens} tokens of {tally.seen} documents")
    return {
        "splits": {
            split: {
                "shard": writer.path.name,
                "tokens": writer.tokens,
                "documents": writer.documents,
            }
            for split, writer in writers.items()
        },
        "given": given,
        "oddities": dict(oddities),
        "inputs": inputs,
        "files": {name: dataclasses.asdict(record) for name, record in files.items()},
    }


def gather(job: Job, contents: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], str]:
    """The index, and how many tokens of how many documents there are."""
    _check_given(job, contents)
    splits = {}
    for split in SPLITS:
        made = [content["splits"][split] for content in contents if split in content["splits"]]
        if made:
            splits[split] = {
                "shards": [entry["shard"] for entry in made],
                "tokens": [entry["tokens"] for entry in made],
                "documents": sum(entry["documents"] for entry in made),
            }
    absent = set(TRAINING) - set(splits)
    if absent:
        found = sum(entry["documents"] for entry in splits.values())
        raise DataError(
            f"{job.spec.source}: {found} documents, none of them in {' or '.join(sorted(absent))}: "
            f"the validation split takes {job.options.validation:g} of the documents, by their own "
            "text. More or shorter documents, another share, or a file of its own (valid.txt, in a "
            "folder of text files) help."
        )
    shards = {name for entry in splits.values() for name in entry["shards"]}
    files = {
        name: FileRecord(**record)
        for content in contents
        for name, record in content["files"].items()
        if name in shards or name in (ENCODER, MERGES)
    }
    oddities: Counter[str] = Counter()
    for content in contents:
        oddities.update(content["oddities"])
    index = text_index(
        source=job.spec.source,
        options=json.loads(encode(dataclasses.asdict(job.options))),
        tokenizer=Tokenizer.open(job.folder),
        splits=splits,
        files=files,
        extra={"oddities": dict(sorted(oddities.items()))},
    )
    counts = ", ".join(f"{sum(e['tokens'])} tokens of {name}" for name, e in splits.items())
    odd = "; left out: " + ", ".join(f"{n} {name}" for name, n in sorted(oddities.items()))
    return index, f"{counts}{odd if oddities else ''}"


class _Tally(Tally):
    """Also how much of the text has been encoded."""

    def __init__(self, job: Job, part: int, size: int) -> None:
        super().__init__(job, part, "documents")
        self._size, self._encoded = size, 0
        self._started = time.monotonic()

    def watch(self, pieces: Iterable[str]) -> Iterator[str]:
        """The pieces, with a line of progress now and then."""
        for piece in pieces:
            yield piece
            self._encoded += len(piece)
            spent = max(time.monotonic() - self._started, 1e-9)
            done = min(self._encoded / self._size, 1.0) if self._size else None
            self.show(done, f", {self._encoded / spent / 1e6:.1f} MB/s")


def _digest(document: Document) -> bytes | None:
    """SHA-256 of a document's text; ``None`` if there is nothing but white space.

    Raises:
        DataError: if the document cannot be used.
    """
    if document.fault:
        raise DataError(f"{document.name}: {document.fault}")
    digest, empty = hashlib.sha256(), True
    for piece in document.pieces:
        empty = empty and not piece.strip()
        try:
            digest.update(piece.encode())
        except UnicodeEncodeError as error:
            raise DataError(f"{document.name}: {error}") from None
    return None if empty else digest.digest()


def _settled(digest: bytes, validation: float) -> str:
    return "validation" if in_validation(digest, validation) else "train"


def _check_given(job: Job, contents: Sequence[Mapping[str, Any]]) -> None:
    """Splits that the user made must not have a document in common."""
    found: dict[str, str] = {}
    for content in contents:
        for split, digests in content["given"].items():
            for digest in digests:
                if found.setdefault(digest, split) != split:
                    raise DataError(
                        f"{job.spec.source}: a document is in {found[digest]} and in {split} "
                        f"(SHA-256 {digest[:16]}…): take one of them away"
                    )


def _tokenizer(job: Job, raw: RawText) -> Tokenizer:
    """The tokenizer of all parts, whose files the first part to come writes."""
    record = job.made(0).with_name("tokenizer.json")
    with exclusive(record.with_suffix(".lock"), "the tokenizer"):
        identity = {**job.identity(0), "part": None}
        try:
            content = json.loads(record.read_text(encoding="utf-8"))
            if content["identity"] == identity:
                for name, known in content["files"].items():
                    FileRecord(**known).check(job.folder / name)
                return Tokenizer.open(job.folder)
        except (OSError, ValueError, KeyError, TypeError):
            pass  # made anew
        if job.options.tokenizer == "gpt2":
            made = gpt2_tokenizer(job.raw.parent)
        else:
            progress(f"{job.spec.source}: learning a tokenizer of {job.options.vocabulary} ids")
            made = train_tokenizer(_sample(job, raw), job.options.vocabulary)
        files = {name: FileRecord.of(job.folder / name) for name in made.save(job.folder)}
        known = {name: dataclasses.asdict(file) for name, file in files.items()}
        write_json(record, {"identity": identity, "files": known})
        return made


def _sample(job: Job, raw: RawText) -> Iterator[str]:
    """Training text from all units alike; documents that cannot be used are told of later."""
    units = raw.units()
    for unit in units:
        left = _LEARNT_FROM // len(units)
        for document in raw.read(unit):
            with contextlib.suppress(DataError):
                digest = _digest(document)
                split = document.split or (digest and _settled(digest, job.options.validation))
                if split == "train":
                    for piece in document.pieces:
                        yield piece[:left]
                        left -= len(piece)
                        if left <= 0:
                            break
            if left <= 0:
                break
