"""Freeing what no commit, branch or tag refers to: listed first, deleted only when asked."""

from __future__ import annotations

import subprocess

REFERRED = ("--workspace", "--all-branches", "--all-tags", "--all-commits")


def gc(*, delete: bool, cloud: bool) -> int:
    """List, or delete, files of DVC's cache (and of the remote) that nothing refers to."""
    command = ["dvc", "--wait-for-lock", "gc", *REFERRED, *(["--cloud"] if cloud else [])]
    status = subprocess.run([*command, "--force" if delete else "--dry"], check=False).returncode
    if not delete and not status:
        print("nothing was deleted; to delete what is listed: python workflow/ops gc --delete")
    return status
