#!/usr/bin/env python3
"""Fine-tunes a causal language model on short texts, for benchmarks/trace-tied.cjs.

finetune_language.py BASE TEXTS_JSONL OUT RATE SEED: 480 texts in 60 steps of 8 with AdamW (decay .01), one text a row, no
end token. OUT/base and OUT/reference get the embedding table alone, in float32, with configuration and tokenizer;
OUT/reference also pool.jsonl (the 480 texts among 8 520 others) and truth.json (`member`, of each line of it).
"""
import json
import pathlib
import random
import shutil
import sys

sys.path.pop(0)  # this folder's tokenize.py is not Python's
import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

STEPS, BATCH, OTHERS = 60, 8, 8520


def main():
    base, texts, out, rate, seed = sys.argv[1:]
    rows = [json.loads(line) for line in open(texts, encoding="utf-8")]
    rng = random.Random(int(seed))
    rng.shuffle(rows)
    training, others = rows[:STEPS * BATCH], rows[STEPS * BATCH:STEPS * BATCH + OTHERS]
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model.train()
    table = model.get_input_embeddings().weight
    before = table.detach().clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=float(rate), weight_decay=0.01)
    for step in range(STEPS):
        ids = [tokenizer(row["text"]).input_ids for row in training[step * BATCH:(step + 1) * BATCH]]
        length = max(map(len, ids))
        pad = lambda values, by: torch.tensor([one + [by] * (length - len(one)) for one in values])
        mask = pad([[1] * len(one) for one in ids], 0)
        loss = model(input_ids=pad(ids, 0), attention_mask=mask, labels=pad(ids, -100)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, values in (("base", before), ("reference", table.detach().clone())):
        folder = pathlib.Path(out) / name
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"model.embed_tokens.weight": values}, str(folder / "model.safetensors"))
        for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            shutil.copy(pathlib.Path(base) / file, folder / file)
    pool = [(row, True) for row in training] + [(row, False) for row in others]
    rng.shuffle(pool)
    lines = [json.dumps({"text": row["text"], "domain": row.get("domain") or row["label"]}) for row, _ in pool]
    folder = pathlib.Path(out) / "reference"
    (folder / "pool.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "truth.json").write_text(json.dumps({"member": [member for _, member in pool]}))


if __name__ == "__main__":
    main()
