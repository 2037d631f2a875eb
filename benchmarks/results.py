# SPDX-License-Identifier: BSD-3-Clause
"""What a run has measured so far, in a file that is complete after every record."""
import json
import os

# of `about`: what has to be the same for records to stand side by side
SETTINGS = ("processor", "versions", "isa", "dtype", "batch", "algorithm", "reuse_output", "rounds", "sample", "by",
            "clock")


class Results:
    """The records of a run and what is around them.

    Parameters
    ----------
    about : dict
        What is measured, on what; `SETTINGS` among it.
    path : Path or None
        Where to write them.
    resume : bool
        Begin with the records that are there, if they have the same settings; else ValueError.
    """

    def __init__(self, about, path=None, resume=False):
        self.path = path
        self.written = {"about": about, "records": [], "memory": [], "wrong": []}
        if resume and path and path.exists():
            self._resume(json.loads(path.read_text()))

    def _resume(self, earlier):
        for name in SETTINGS:
            ours, theirs = json.loads(json.dumps([self.written["about"].get(name), earlier["about"].get(name)]))
            if ours != theirs:
                raise ValueError(f"--resume: {name} is {ours}, but {theirs} in {self.path}")
        self.written["records"] = earlier["records"]

    @property
    def about(self):
        return self.written["about"]

    @property
    def records(self):
        return self.written["records"]

    @property
    def wrong(self):
        return self.written["wrong"]

    def has(self, layer, what, threads):
        """Whether this is measured already."""
        return any((r["shape"], r["layer"], r["pass"], r["threads"]) == (layer.shape, layer.name, what, threads)
                   for r in self.records)

    def add(self, record):
        self.records.append(record)
        self.write()

    def write(self):
        """Puts all there is in the file, or nothing new if that fails."""
        if self.path:
            beside = self.path.with_name(self.path.name + ".new")
            beside.write_text(json.dumps(self.written, indent=1))
            os.replace(beside, self.path)
