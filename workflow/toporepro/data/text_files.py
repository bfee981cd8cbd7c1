"""Plain text files as documents: read block by block, checked byte by byte."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from pathlib import Path

from toporepro.data.index import DataError

_BLOCK = 1 << 20
_LONGEST = 64 << 20  # without a space or a line break, no text
_BREAKS = " \n\t"


class TextFile:
    """The text of a UTF-8 file, in pieces of about a megabyte; can be gone through again.

    Pieces end before a space or line break that follows something else: there, no word of GPT-2's
    rule goes on (``data.tokenizer``), so that the tokens of the pieces are those of the whole. Line
    ends of all systems become ``\\n``, and a byte-order mark at the start is left out.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[str]:
        """The pieces.

        Raises:
            DataError: naming the byte that is no UTF-8, or a NUL; or if the file cannot be read.
        """
        rest = ""
        for text in self._decoded():
            rest += text
            cut = last_cut(rest)
            if cut:
                yield rest[:cut]
                rest = rest[cut:]
            if len(rest) > _LONGEST:
                raise DataError(f"{self.path}: {len(rest)} characters without a space; not a text")
        if rest:
            yield rest

    def _decoded(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")()
        lines = io.IncrementalNewlineDecoder(None, translate=True)
        offset, pending = 0, 0
        try:
            with self.path.open("rb") as file:
                if file.read(3) == codecs.BOM_UTF8:
                    offset = 3
                file.seek(offset)
                while True:
                    block = file.read(_BLOCK)
                    if b"\0" in block:
                        place = offset + block.index(b"\0")
                        raise DataError(
                            f"{self.path}: NUL at byte {place}: not a text in UTF-8; save it as "
                            "one, or take it away"
                        )
                    pending = len(decoder.getstate()[0])
                    text = decoder.decode(block, final=not block)
                    offset += len(block)
                    yield lines.decode(text, final=not block)
                    if not block:
                        return
        except UnicodeDecodeError as error:
            raise DataError(
                f"{self.path}: byte {offset - pending + error.start} is not UTF-8 "
                f"({error.reason}); convert the file, or take it away"
            ) from None
        except OSError as error:
            raise DataError(f"{self.path}: {error.strerror}") from None


def last_cut(text: str) -> int:
    """The last place where a text may be cut between tokens; 0 if there is none."""
    end = len(text)
    while True:
        # The white space that Python knows includes all that the tokenizer's rule does.
        end = max(text.rfind(char, 0, end) for char in _BREAKS)
        if end <= 0:
            return 0
        start = len(text[:end].rstrip())
        if start and text[start] in _BREAKS:
            return start
        end = start
