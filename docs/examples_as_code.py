"""An extension of griffe for `make docs`: the `>>>` examples of docstrings become code blocks of docs/api.md."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)


class ExamplesAsCode(Extension):
    """Puts a fence around each example, up to the blank line that ends it."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(r"```pycon\n\g<0>\n```", obj.docstring.value)

    def on_package(self, *, pkg: Object, **kwargs: Any) -> None:
        self.on_object(obj=pkg)
