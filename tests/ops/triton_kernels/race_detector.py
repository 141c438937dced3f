"""Find accesses of one program to one place of memory that no barrier keeps apart.

Triton's interpreter runs the threads of a program as one and its programs one after the other, so
that no result depends on a barrier. Here each access is recorded, and complained about as if every
element belonged to another thread:

* a load of what was stored since the last barrier,
* a store to where something was loaded or stored since the last barrier,
* a load or a store of what another program of the launch has stored, a store to what it has loaded.
"""

import numpy as np
from triton.runtime.interpreter import InterpreterBuilder

PAGE = 4096


class RaceDetector:
    """Patches the interpreter; ``found`` lists what is wrong."""

    def __init__(self, monkeypatch, barriers=True):
        self.found = []
        self.accesses = self.barriers = self.launches = self.program = self.interval = 0
        self.pages = {}
        for name, act in (
            ("create_masked_load", self._load),
            ("create_masked_store", self._store),
            ("create_barrier", self._barrier if barriers else lambda: None),
            ("set_grid_dim", self._start_launch),
            ("set_grid_idx", self._start_program),
        ):
            monkeypatch.setattr(InterpreterBuilder, name, self._after(act, name))

    @staticmethod
    def _after(act, name):
        original = getattr(InterpreterBuilder, name)

        def wrapped(builder, *args, **kwargs):
            act(*args)
            return original(builder, *args, **kwargs)

        return wrapped

    def _start_launch(self, *grid):
        self.pages = {}
        self.launches += 1

    def _start_program(self, *index):
        self.program += 1
        self.interval += 1

    def _barrier(self):
        self.barriers += 1
        self.interval += 1

    def _rows(self, pointers, mask):
        """For each page that is touched: its marks, and the places in it."""
        addresses = pointers.data[mask.data].astype(np.int64)
        self.accesses += addresses.size
        for page in np.unique(addresses // PAGE):
            marks = self.pages.setdefault(page, np.zeros((4, PAGE), dtype=np.int64))
            yield marks, addresses[addresses // PAGE == page] % PAGE

    def _check(self, wrong, text):
        if wrong.any():
            self.found.append(f"launch {self.launches}, interval {self.interval}: {text}")

    def _load(self, pointers, mask, *rest):
        for (stored, loaded, storer, loader), places in self._rows(pointers, mask):
            self._check(stored[places] == self.interval, "loads what it stored")
            others = (storer[places] != 0) & (storer[places] != self.program)
            self._check(others, "loads what another program stored")
            loaded[places], loader[places] = self.interval, self.program

    def _store(self, pointers, value, mask, *rest):
        for (stored, loaded, storer, loader), places in self._rows(pointers, mask):
            if len(np.unique(places)) < len(places):
                self.found.append(f"launch {self.launches}: one place twice in a store")
            self._check(stored[places] == self.interval, "stores to one place twice")
            self._check(loaded[places] == self.interval, "stores to what it loaded")
            for owner in (storer, loader):
                others = (owner[places] != 0) & (owner[places] != self.program)
                self._check(others, "stores to what another program touched")
            stored[places], storer[places] = self.interval, self.program
