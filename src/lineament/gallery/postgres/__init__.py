"""The gallery on PostgreSQL with pgvector, for several machines; needs the extra ``postgres``."""

from lineament.core.errors import GalleryError

try:
    from lineament.gallery.postgres.catalogue import drop_gallery, gallery_names, stored_space
    from lineament.gallery.postgres.gallery import PostgresGallery
    from lineament.gallery.postgres.server import Limits
except ImportError as error:
    raise GalleryError(
        f"a gallery on PostgreSQL needs {error.name}, which is not installed: pip install 'lineament[postgres]'"
    ) from error

__all__ = ["Limits", "PostgresGallery", "drop_gallery", "gallery_names", "stored_space"]
