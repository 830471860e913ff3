"""``lineament gallery new-key | encrypt | rotate-key``: what lies on the disk, sealed."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lineament.cli.common import GALLERY, require_folder
from lineament.cli.output import JsonFlag, note, print_json

if TYPE_CHECKING:
    from lineament.gallery import GalleryKey

app = typer.Typer()
KEY_FILE = typer.Option(
    None,
    "--key-file",
    help="File of the key; by default the key of LINEAMENT_GALLERY_KEY or LINEAMENT_GALLERY_KEY_FILE.",
    show_default=False,
)


@app.command("new-key")
def make_key(
    file: Path = typer.Argument(help="New file; an existing one is not overwritten."),
    as_json: bool = JsonFlag,
) -> None:
    """Make a key for galleries: 32 random bytes in a file that only you may read.

    All commands take the key from the file that LINEAMENT_GALLERY_KEY_FILE names. Nobody can read an encrypted
    gallery without its key: keep a copy of the file where the gallery is not.

    Example: lineament gallery new-key staff.key && export LINEAMENT_GALLERY_KEY_FILE=staff.key
    """
    from lineament.gallery import new_key

    require_folder(file)
    new_key(file)
    if as_json:
        print_json({"file": str(file)})
    else:
        print(f"wrote a new key to {file}")


@app.command()
def encrypt(key_file: Path = KEY_FILE, gallery: Path = GALLERY, as_json: bool = JsonFlag) -> None:
    """Encrypt a gallery and its bulk jobs: templates, pictures, names, notes. Copies made before stay as they are.

    A gallery that is made while a key is set is encrypted from the beginning.

    Example: lineament gallery encrypt --key-file staff.key --gallery staff.gallery
    """
    from lineament.gallery import encrypt_gallery
    from lineament.service.job_keys import rotate_jobs

    key = find_key(key_file)
    left = rotate_jobs(gallery, key, key)
    encrypt_gallery(gallery, key)
    if as_json:
        print_json({"gallery": str(gallery), "encrypted": True})
    else:
        print(f"{gallery} is encrypted now")
        note('backups and exports that were made before are not; see them with "lineament gallery copies"')
    _say_left(left)


@app.command("rotate-key")
def rotate(
    new_key_file: Path = typer.Argument(help="File of the key from now on, made by 'new-key'."),
    key_file: Path = KEY_FILE,
    reencrypt: bool = typer.Option(
        False,
        "--reencrypt",
        help="Also encrypt everything anew: needed when somebody may have had the old key and the file.",
    ),
    gallery: Path = GALLERY,
    as_json: bool = JsonFlag,
) -> None:
    """Give an encrypted gallery another key. Backups keep the key that they were made with.

    Example: lineament gallery rotate-key new.key --key-file staff.key --gallery staff.gallery
    """
    from lineament.gallery import read_key, rotate_key
    from lineament.service.job_keys import rotate_jobs

    key, new = find_key(key_file), read_key(new_key_file)
    # jobs first: when this is cut off, the old key still opens the gallery, and the command can be given again
    left = rotate_jobs(gallery, key, new, reencrypt=reencrypt)
    rotate_key(gallery, key, new, reencrypt=reencrypt)
    if as_json:
        print_json({"gallery": str(gallery), "key_file": str(new_key_file), "reencrypted": reencrypt})
    else:
        print(f"{gallery} opens with {new_key_file} now")
    _say_left(left)


def _say_left(jobs: int) -> None:
    if jobs:
        note(
            f"{jobs} bulk jobs of the service open with another key; delete them, or give them their own key"
        )


def find_key(key_file: Path | None) -> "GalleryKey":
    """The key of an option or of the environment.

    Raises:
        GalleryError: it is no key.
    """
    from lineament.gallery import key_from_environment, read_key

    key = read_key(key_file) if key_file is not None else key_from_environment()
    if key is None:
        raise typer.BadParameter(
            'no key given; make one with "lineament gallery new-key FILE"', param_hint="--key-file"
        )
    return key
