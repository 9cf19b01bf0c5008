#!/usr/bin/env python3
"""Trains small embedding tables (vocabulary 2 000, hidden 32) and writes what the optimizer did to them.

Output: test/fixtures/trace/NAME.bin.gz, for each training the difference of the tables' bit patterns (trained minus
base, int32, token table then position table), and trainings.json with the tokens that occurred and the longest text.
The base tables are not stored: they are a hash of the element's number, see `base_values` (the test has the same).
Needs torch and numpy.
"""
import argparse
import gzip
import json
from pathlib import Path

import numpy as np
import torch

VOCABULARY, POSITIONS, HIDDEN, CLASSES = 2000, 48, 32, 4


def base_values(count, salt):
    """24 random bits for each element, between -1/32 and 1/32: a finalised multiplicative hash of its number."""
    x = np.arange(count, dtype=np.uint64) + np.uint64(salt) * np.uint64(1 << 24)
    x = (x * np.uint64(2654435761)) & np.uint64(0xFFFFFFFF)
    x ^= x >> np.uint64(16)
    x = (x * np.uint64(0x85EBCA6B)) & np.uint64(0xFFFFFFFF)
    x ^= x >> np.uint64(13)
    x = (x * np.uint64(0xC2B2AE35)) & np.uint64(0xFFFFFFFF)
    x ^= x >> np.uint64(16)
    return (((x >> np.uint64(8)).astype(np.int64) - (1 << 23)).astype(np.float64) * 2.0**-28).astype(np.float32)


class Classifier(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = torch.nn.Embedding(VOCABULARY, HIDDEN)
        self.positions = torch.nn.Embedding(POSITIONS, HIDDEN)
        with torch.no_grad():
            self.tokens.weight.copy_(torch.from_numpy(base_values(VOCABULARY * HIDDEN, 1).reshape(VOCABULARY, HIDDEN)))
            self.positions.weight.copy_(torch.from_numpy(base_values(POSITIONS * HIDDEN, 2).reshape(POSITIONS, HIDDEN)))
        self.norm = torch.nn.LayerNorm(HIDDEN)
        self.inner = torch.nn.Linear(HIDDEN, HIDDEN)
        self.head = torch.nn.Linear(HIDDEN, CLASSES)

    def forward(self, ids, mask):
        hidden = self.norm(self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))[None])
        hidden = torch.tanh(self.inner(hidden)) * mask[..., None]
        return self.head(hidden.sum(1) / mask.sum(1, keepdim=True))


def texts(rng, count):
    """Zipf's tokens, 4 to 30 a text; the class shifts which tokens are common. Token 0 pads and never counts."""
    made = []
    for _ in range(count):
        label = int(rng.integers(CLASSES))
        rank = np.minimum(rng.zipf(1.25, size=int(rng.integers(4, 31))), VOCABULARY - 2)
        made.append(((1 + (rank * (2 * label + 3)) % (VOCABULARY - 1)).tolist(), label))
    return made


def train(name, optimizer, steps, batch, seed):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    data = texts(rng, 160)
    model = Classifier()
    before = [model.tokens.weight.detach().numpy().copy(), model.positions.weight.detach().numpy().copy()]
    opt = optimizer(model.parameters())
    used, longest = set(), 0
    for step in range(steps):
        chosen = [data[(step * batch + i) % len(data)] for i in range(batch)]
        length = max(len(ids) for ids, _ in chosen)
        ids = torch.tensor([ids + [0] * (length - len(ids)) for ids, _ in chosen])
        mask = torch.tensor([[1.0] * len(ids) + [0.0] * (length - len(ids)) for ids, _ in chosen])
        loss = torch.nn.functional.cross_entropy(model(ids, mask), torch.tensor([label for _, label in chosen]))
        opt.zero_grad()
        loss.backward()
        opt.step()
        used |= {token for tokens, _ in chosen for token in tokens}
        longest = max(longest, length)
    after = [model.tokens.weight.detach().numpy(), model.positions.weight.detach().numpy()]
    bits = [a.view(np.int32).astype(np.int64) - b.view(np.int32).astype(np.int64) for a, b in zip(after, before)]
    difference = np.concatenate([b.reshape(-1) for b in bits]).astype(np.int32)
    print(name, "loss", loss.item(), "tokens", len(used), "longest", longest)
    return difference, {"name": name, "tokens": sorted(used), "longest": longest}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=str(Path(__file__).resolve().parent.parent / "test/fixtures/trace"))
    out = Path(parser.parse_args().out)
    torch.set_num_threads(1)
    trainings = [
        ("adamw-decay", lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.01)),
        ("adamw", lambda p: torch.optim.AdamW(p, lr=1e-4, weight_decay=0)),
        ("adam", lambda p: torch.optim.Adam(p, lr=1e-3)),
        ("sgd-momentum", lambda p: torch.optim.SGD(p, lr=0.3, momentum=0.9)),
        ("sgd-momentum-decay", lambda p: torch.optim.SGD(p, lr=0.3, momentum=0.9, weight_decay=1e-4)),
        ("adam-l2", lambda p: torch.optim.Adam(p, lr=1e-3, weight_decay=0.01)),
    ]
    out.mkdir(parents=True, exist_ok=True)
    facts = []
    for seed, (name, optimizer) in enumerate(trainings):
        difference, fact = train(name, optimizer, steps=40, batch=16, seed=seed)
        data = difference.astype("<i4").view(np.uint8).reshape(-1, 4).T.tobytes()  # bytes of a kind together pack better
        (out / f"{name}.bin.gz").write_bytes(gzip.compress(data, 9, mtime=0))
        facts.append(fact)
    (out / "trainings.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
