"""A disk that keeps only what was synced: what programs see, and what a power failure would leave of it.

The strictest reading of POSIX: a file's content is kept by a sync of the file, its name by one of its folder, the name
of a new folder by one of the folder above. What is deleted may be gone at once. Only of renaming more is expected, and
all journaling file systems keep it: the old name goes no earlier than the new one is there.
"""

from pathlib import PurePosixPath


class File:
    """The content of a file, as the changes that made it."""

    def __init__(self):
        self.changes = []
        """Offset and data; without data, the file was cut off there."""
        self.synced = 0
        """How many of them the disk has."""
        self.size = 0

    def change(self, offset, data):
        self.changes.append((offset, data))
        self.size = offset if data is None else max(self.size, offset + len(data))

    @property
    def is_synced(self):
        return self.synced == len(self.changes)

    def mentions(self, text):
        """Whether what the disk has of it contains a text."""
        return any(data is not None and text in data for _, data in self.changes[: self.synced])

    def kept_content(self):
        content = bytearray()
        for offset, data in self.changes[: self.synced]:
            if data is None:
                del content[offset:]
            else:
                content.extend(bytes(max(0, offset - len(content))))
                content[offset : offset + len(data)] = data
        return bytes(content)


class Folder:
    """A folder; what is in it, the paths tell."""


class Disk:
    """The files below ``root``, a folder that is empty, and on the disk, to begin with."""

    def __init__(self, root):
        self.root = str(root)
        self.seen = {}
        """What programs see: by path, a File or a Folder."""
        self.kept = {}
        """What a power failure would leave."""

    # ---- what programs do

    def make_folder(self, path):
        self._enter(path, Folder())

    def open(self, path, *, create, cut_off):
        if create and path not in self.seen:
            self._enter(path, File())
        elif cut_off and path in self.seen:
            self.seen[path].change(0, None)

    def write(self, path, data, offset=None):
        """Without an offset, at the end."""
        if path in self.seen:
            self.seen[path].change(self.seen[path].size if offset is None else offset, data)

    def cut_off(self, path, size):
        if path in self.seen:
            self.seen[path].change(size, None)

    def rename(self, old, new):
        if old in self.seen:
            self._enter(new, self.seen.pop(old))

    def link(self, path, other):
        if path in self.seen:
            self._enter(other, self.seen[path])

    def remove(self, path):
        self.seen.pop(path, None)
        self.kept.pop(path, None)

    def begin_sync(self, path):
        """What a sync will keep that begins now."""
        what = self.seen.get(path)
        if isinstance(what, File):
            return what, len(what.changes)
        return path, self._within(self.seen, path)

    def end_sync(self, begun):
        what, then = begun
        if isinstance(what, File):
            what.synced = max(what.synced, then)
            return
        self.kept |= {path: file for path, file in then.items() if self.seen.get(path) is file}
        for path, file in self._within(self.kept, what).items():
            if path not in then and path not in self.seen and self._has_other_name(path, file):
                del self.kept[path]

    def _has_other_name(self, path, file):
        return any(other is file and name != path and self.reaches(name) for name, other in self.kept.items())

    def _enter(self, path, what):
        if path.startswith(f"{self.root}/"):
            self.seen[path] = what

    @staticmethod
    def _within(names, folder):
        return {path: what for path, what in names.items() if str(PurePosixPath(path).parent) == folder}

    # ---- what is left

    def reaches(self, path):
        """Whether a name, and those of all folders above it, are kept."""
        while path != self.root:
            if path not in self.kept:
                return False
            path = str(PurePosixPath(path).parent)
        return True

    def left(self):
        """The files that a power failure would leave, by path."""
        return {path: file for path, file in self.kept.items() if isinstance(file, File) and self.reaches(path)}

    def restore(self, folder):
        """Put what a power failure would leave into an empty folder."""
        for path in sorted(path for path, what in self.kept.items() if isinstance(what, Folder) and self.reaches(path)):
            (folder / PurePosixPath(path).relative_to(self.root)).mkdir()
        for path, file in self.left().items():
            (folder / PurePosixPath(path).relative_to(self.root)).write_bytes(file.kept_content())
