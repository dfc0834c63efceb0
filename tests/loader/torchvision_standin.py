"""Imported for what it does: a stand-in takes torchvision's name where that cannot be imported.

MosaicML Streaming imports torchvision for datasets that are not read here, and a build of torchvision that fits a
CPU's torch is in no registry.
"""

import sys
import types

import torch  # noqa: F401
import transformers  # noqa: F401


class StandIn(types.ModuleType):
    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


try:
    import torchvision  # noqa: F401
except (ImportError, RuntimeError):
    for part in ("", ".datasets", ".transforms", ".transforms.functional"):
        sys.modules[f"torchvision{part}"] = StandIn(f"torchvision{part}")
