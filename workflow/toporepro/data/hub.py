"""Files of datasets on the Hugging Face Hub: what there is, noted once, and how to fetch it.

What the hub says of a folder's files (commit, sizes, SHA-256) is written into ``listing.json``
beside them; from then on the files are what that says. The token in ``HF_TOKEN`` is sent to the hub
alone and never written or shown.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from toporepro.data.fetch import fetch
from toporepro.data.guards import exclusive
from toporepro.data.index import DataError
from toporepro.data.remote_file import RemoteFile
from toporepro.provenance import write_json


@dataclass(frozen=True)
class HubFolder:
    """A folder of a dataset's repository.

    Attributes:
        dataset: ``owner/name``.
        path: the folder in the repository.
        local: where its files are fetched to.
        wanted: which of the names there are files of the dataset.
        advice: what to do where the hub does not give them.
    """

    dataset: str
    path: str
    local: Path
    wanted: Callable[[str], bool]
    advice: str

    def listing(self) -> dict[str, int]:
        """Names of the files and their sizes in bytes, as the hub has, or once had, them.

        Raises:
            DataError: if the hub cannot be asked, or does not answer; with what to do.
        """
        return {name: int(known["bytes"]) for name, known in self._noted()["files"].items()}

    def fetch(self, name: str) -> Path:
        """A file of the listing, fetched where needed.

        Raises:
            DataError: if it cannot be had.
        """
        noted = self._noted()
        known = noted["files"][name]
        url = f"{_endpoint()}/datasets/{self.dataset}/resolve/{noted['commit']}/{self.path}/{name}"
        file = RemoteFile(
            name=name,
            urls=(url,),
            bytes=known["bytes"],
            sha256=known["sha256"],
            token=_token() or None,
        )
        return fetch(file, self.local)

    def _noted(self) -> dict[str, Any]:
        path = self.local / "listing.json"
        with exclusive(self.local / ".listing.lock", "the list of files"):
            if not path.exists():
                write_json(path, self._ask())
        noted: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return noted

    def _ask(self) -> dict[str, Any]:
        about = f"{_endpoint()}/api/datasets/{self.dataset}/revision/main"
        try:
            commit = str(self._get(about)["sha"])
            url = f"{_endpoint()}/api/datasets/{self.dataset}/tree/{commit}/{self.path}"
            files = {
                PurePosixPath(entry["path"]).name: {
                    "bytes": entry["size"],
                    "sha256": entry["lfs"]["oid"],
                }
                for entry in self._get(url)
                if self.wanted(PurePosixPath(entry["path"]).name)
            }
        except (KeyError, TypeError) as error:
            raise DataError(f"{about}: an answer of an unknown form ({error!r})") from None
        return {"dataset": self.dataset, "commit": commit, "files": files}

    def _get(self, url: str) -> Any:
        import requests

        headers = {"User-Agent": "toporepro"}
        if _token():
            headers["Authorization"] = f"Bearer {_token()}"
        try:
            answer = requests.get(url, headers=headers, timeout=60, allow_redirects=False)
            if answer.status_code == 200:
                return answer.json()
        except (requests.RequestException, ValueError) as error:
            raise DataError(
                f"{url}: {type(error).__name__}; is there a network? Or {self.advice}"
            ) from None
        raise DataError(f"{url}: {answer.status_code} {answer.reason}: {self.advice}")


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _token() -> str:
    return os.environ.get("HF_TOKEN", "").strip()
