"""Which names of files and folders are meant for people."""


def is_hidden(part: str) -> bool:
    """True for one part of a path that is never looked at: a dot file, or what macOS adds to archives."""
    return part.startswith(".") or part == "__MACOSX"
