import torch

from gcp_mm.ops.gram.tables import made_once


def test_tables_are_made_once_for_each_size_and_device():
    calls = []

    @made_once
    def table(size, device):
        calls.append((size, device.type))
        return torch.zeros(size, device=device)

    cpu, meta = torch.device("cpu"), torch.device("meta")
    assert table(3, cpu) is table(3, cpu) and table(4, cpu).shape == (4,)
    assert calls == [(3, "cpu"), (4, "cpu")]
    # One of a fake device may belong to a mode that is about to end.
    assert table(3, meta) is not table(3, meta)
