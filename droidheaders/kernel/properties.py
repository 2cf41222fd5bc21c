"""x."""


def parse(data: bytes) -> dict[str, str]:
    """x."""
    import re

    return dict(re.findall(r"^\[([^\]]*)\]: \[(.*)\]$", data.decode("utf-8", "replace"), re.M))
