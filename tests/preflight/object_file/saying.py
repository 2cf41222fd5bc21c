"""What a report says."""

from __future__ import annotations

from droidheaders.preflight.answer import Report


def said(report: Report, name: str, verdict: str = "") -> list[str]:
    """Return what a report says under a name."""
    return [
        one.because
        for one in report.details
        if one.name == name and (not verdict or one.verdict == verdict)
    ]
