"""Which split a document belongs to: settled by its own text, so that no text is in both."""

from __future__ import annotations

from toporepro.spec import SpecError


def in_validation(digest: bytes, share: float) -> bool:
    """Whether a document is of the validation split, as ``share`` of all documents are.

    Equal documents go the same way, in whatever file and place they are.

    Args:
        digest: SHA-256 of the document in UTF-8.
    """
    return int.from_bytes(digest[:8], "big") < share * 2.0**64


def check_share(share: float) -> None:
    """Raises ``SpecError`` if no document, or every one, would be of the validation split."""
    if not 0 < share < 1:
        raise SpecError(f"validation={share}: a share between 0 and 1")
