"""What people change on the disk, told once it is quiet there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from droidheaders.errors import UsageError
from droidheaders.ui import printable

if TYPE_CHECKING:
    from watchdog.events import FileSystemEventHandler

_QUIET = 0.3  # seconds; editors write a file in several steps, make many files
_PATIENCE = 3.0  # seconds; something that writes on and on must not put it off for ever
_DELAY = 0.8  # seconds until a change has come here; watchdog waits 0.5 for where a file moved to


class Changes:
    """What changes in `paths`, in directories all below them, but not in the directory `ignoring`.

    What is below a name that begins with a dot is no change, as git and editors have such files,
    nor is what ends with a tilde. A context manager; raises UsageError for what cannot be watched.
    """

    def __init__(self, paths: Sequence[Path], ignoring: Path) -> None:
        self._paths = paths
        self._ignored = ignoring.resolve()
        self._queue: SimpleQueue[Path] = SimpleQueue()
        self._stack = ExitStack()

    def __enter__(self) -> Changes:
        """Begin to watch."""
        from watchdog.observers.inotify import InotifyObserver

        for path in self._paths:
            if not path.exists():
                raise UsageError(f"there is no {_shown(path)} to watch", "--watch ANOTHER")
        observer = InotifyObserver()
        for path in self._paths:
            root = _named(path)
            only = None if root.is_dir() else root
            # An editor puts another file in the place of one, so the directory has to be watched.
            observer.schedule(
                _handler(self._noting(root, only)),
                str(root if only is None else root.parent),
                recursive=only is None,
            )
        try:
            observer.start()
        except OSError as e:
            names = ", ".join(_shown(path) for path in self._paths)
            raise UsageError(
                f"cannot watch {names}: {e.strerror}",
                "--watch SMALLER-DIRECTORY, or sysctl fs.inotify",
            ) from e
        self._stack.callback(observer.join)
        self._stack.callback(observer.stop)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop watching."""
        self._stack.close()

    def wait(self) -> set[Path]:
        """Return what changed since it was last told, once something did and it is quiet."""
        found = {self._queue.get()}
        end = time.monotonic() + _PATIENCE
        while (left := end - time.monotonic()) > 0:
            try:
                found.add(self._queue.get(timeout=min(_QUIET, left)))
            except Empty:
                break
        return found

    def until_now(self) -> set[Path]:
        """Return what changed since it was last told, and nothing when nothing did."""
        time.sleep(_DELAY)
        found = set()
        while not self._queue.empty():
            found.add(self._queue.get())
        return found

    def _noting(self, root: Path, only: Path | None) -> Callable[[Path], None]:
        def note(path: Path) -> None:
            if only is not None:
                if path != only:
                    return
            elif self._ignored in (path, *path.parents) or _is_hidden(path.relative_to(root)):
                return
            self._queue.put(path)

        return note


def _handler(note: Callable[[Path], None]) -> FileSystemEventHandler:
    from watchdog import events

    class Handler(events.FileSystemEventHandler):
        def on_any_event(self, event: events.FileSystemEvent) -> None:
            if event.event_type in ("closed", "created", "moved", "deleted"):
                note(Path(os.fsdecode(event.src_path)))
                if event.dest_path:
                    note(Path(os.fsdecode(event.dest_path)))

    return Handler()


def _is_hidden(path: Path) -> bool:
    return path.name.endswith("~") or any(part.startswith(".") for part in path.parts)


def _named(path: Path) -> Path:
    """Return the path as changes name it: a file's own name, in a directory without links."""
    return path.resolve() if path.is_dir() else path.parent.resolve() / path.name


def _shown(path: Path) -> str:
    return printable(str(path), 500)
