"""Each result against its manifest: present, of the present spec and code, undamaged."""

from __future__ import annotations

from jobs import configured, findings, jobs_of


def verify(preset: str) -> int:
    """Print what is missing, stale or tampered with; 0 if nothing is."""
    jobs = jobs_of(configured(preset))
    wrong = [finding for job in jobs for finding in findings(job)]
    for finding in sorted(wrong, key=lambda finding: finding.kind):
        print(f"{finding.kind:<10}{finding.job.name:<46}{finding.why}")
    right = len(jobs) - len({finding.job.record for finding in wrong})
    print(f"{right} of {len(jobs)} jobs' results are what their manifests and this code say")
    return int(bool(wrong))
