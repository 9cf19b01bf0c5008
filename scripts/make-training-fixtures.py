#!/usr/bin/env python3
"""Makes test/fixtures/training: what PyTorch computes when it trains the models of test/fixtures/models.

Needs torch, transformers and safetensors (development only; the results are committed). For bert and gpt2, starting
from test/fixtures/models/KIND/base, on the texts of its golden.safetensors, dropout off, one text at a time (so that
no padding takes part):

  KIND.safetensors
    loss F64 [1], logits F32 [N,C]     mean cross-entropy of all texts
    gradient.NAME F32                  of that mean, in the names of `transformers`, float64 rounded to float32
    curve F64 [50]                     loss of 50 steps of AdamW (rate 1e-3, decay .01), batches of 4 texts in turn
    batches I32 [50,4]
    final F32 [N,C]                    logits after them
"""
import argparse
import pathlib

import torch
from safetensors.torch import load_file, save_file
from transformers import BertForSequenceClassification, GPT2ForSequenceClassification

STEPS, BATCH = 50, 4


def logits_of(model, gold, n):
    part = slice(int(gold["offsets"][n]), int(gold["offsets"][n + 1]))
    ids = gold["ids"][part].long()[None]
    if hasattr(model, "bert"):
        return model(input_ids=ids, token_type_ids=gold["types"][part].long()[None]).logits[0]
    return model.score(model.transformer(input_ids=ids).last_hidden_state[0, -1])


def mean_loss(model, gold, chosen):
    rows = torch.stack([logits_of(model, gold, n) for n in chosen])
    return torch.nn.functional.cross_entropy(rows, gold["labels"][chosen].long()), rows


def make(cls, folder):
    gold = load_file(folder / "golden.safetensors")
    everything = list(range(len(gold["labels"])))
    load = lambda: cls.from_pretrained(folder / "base", attn_implementation="eager").eval()
    model = load().double()
    loss, rows = mean_loss(model, gold, everything)
    loss.backward()
    out = {"loss": loss.detach().reshape(1), "logits": rows.detach().float()}
    for name, p in model.named_parameters():
        out[f"gradient.{name}"] = p.grad.float().contiguous()
    model = load()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    generator = torch.Generator().manual_seed(5)
    batches = torch.stack([torch.randperm(len(everything), generator=generator)[:BATCH] for _ in range(STEPS)])
    curve = []
    for chosen in batches.tolist():
        optimizer.zero_grad()
        loss, _ = mean_loss(model, gold, chosen)
        loss.backward()
        optimizer.step()
        curve.append(float(loss.detach().double()))
    out |= {"curve": torch.tensor(curve, dtype=torch.float64), "batches": batches.int()}
    with torch.no_grad():
        out["final"] = mean_loss(model, gold, everything)[1]
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    fixtures = pathlib.Path(__file__).resolve().parent.parent / "test" / "fixtures"
    parser.add_argument("--out", type=pathlib.Path, default=fixtures / "training")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for kind, cls in (("bert", BertForSequenceClassification), ("gpt2", GPT2ForSequenceClassification)):
        save_file(make(cls, fixtures / "models" / kind), out / f"{kind}.safetensors")


if __name__ == "__main__":
    main()
