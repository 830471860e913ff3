"""Which names of files and folders are meant for people."""


def is_hidden(name: str) -> bool:
    """True for what is never looked at: dot files, what macOS adds to archives, and all inside such a folder.

    Args:
        name: of a file or folder, alone or with the folders that it lies in, with "/".
    """
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
