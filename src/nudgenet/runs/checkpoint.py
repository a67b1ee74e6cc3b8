"""A checkpoint is one file: tensors and numbers, checksummed, and never half-written.

It is written under a temporary name in the same folder, flushed to the disk, renamed over the old
one, and the folder is flushed too: after a power cut there is the old file or the new one, whole.
No pickle: safetensors, with the numbers as JSON in its header.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from nudgenet.errors import RunError

FORMAT = 1


def save_checkpoint(
    path: Path, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any], *, lasting: bool = True
) -> None:
    """Write a checkpoint atomically; `lasting` as for `write_whole`. Raises RunError if the disk is full or not writable."""
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    text = json.dumps({"format": FORMAT, **numbers}, sort_keys=True)
    header = {"numbers": text, "sha256": _digest(contiguous, text)}
    write_whole(path, save(contiguous, metadata=header), lasting=lasting)


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint back. Raises RunError if it is absent, damaged or of a later format."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
        numbers = json.loads(header["numbers"])
        intact = _digest(tensors, header["numbers"]) == header["sha256"]
    except FileNotFoundError:
        raise RunError("There is no checkpoint", got=str(path), fix="Train again.") from None
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise RunError("The checkpoint cannot be read", got=f"{path}: {reason}", fix="Train again.") from None
    if not intact:
        raise RunError("The checkpoint is damaged: its checksum does not match", got=str(path), fix="Train again.")
    if numbers.pop("format") != FORMAT:
        raise RunError(
            "The checkpoint was written by a later version of nudgenet", got=str(path), fix="Upgrade nudgenet."
        )
    return tensors, numbers


def write_whole(path: Path, content: bytes, *, lasting: bool = True) -> None:
    """Write a file so that it is there whole or not at all, even after a power cut.

    lasting: wait until the disk has it. Without that, a power cut may damage it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
        if lasting:
            _flush_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from None


def cannot_write(path: Path, error: OSError) -> RunError:
    """The one line for a full disk or a folder without permission."""
    return RunError(
        "The run's folder cannot be written",
        got=f"{path}: {error.strerror or error}",
        fix="Free some space, or choose another folder with --runs.",
    )


def _flush_folder(folder: Path) -> None:
    """Make a rename in this folder last (POSIX; elsewhere the rename alone must do)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    """SHA-256 over the names, types, shapes and bytes of all tensors, and the numbers."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}".encode())
        if tensor.numel():
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
