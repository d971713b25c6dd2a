"""A matplotlib figure that needs no window system and shows itself in a notebook."""

from __future__ import annotations

import io
import os

from matplotlib.figure import Figure

from ..atomic import replacing

INK, FAINT = "#333333", "#d9d9d9"


class Picture(Figure):
    """A Figure outside pyplot: nothing global changes, and it is freed with its last reference."""

    def save(self, file: str | os.PathLike[str] | None) -> Picture:
        """Write the picture to `file` unless that is None, whole or not at all; return itself."""
        if file is not None:
            with replacing(file) as new:
                self.savefig(new, dpi=150)
        return self

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=110)
        return stream.getvalue()
