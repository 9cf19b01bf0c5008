"""PyTorch's side, one round of the case language: language.py MODEL TEXTS_JSONL THREADS BATCHES -> {forward: seconds of
forward passes with losses over all texts, sorted by length, at the best batch; byBatch; step: median seconds of a
training step of 16 texts with AdamW; bytes: the largest resident set until then; scores: seconds of per-text
derivatives of the loss along one direction of all layers (torch.func.jvp under vmap), at the best batch, eager
attention, which has forward derivatives; scoresByBatch}. Float32."""
import json
import resource
import statistics
import sys
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, data, threads, batches = sys.argv[1:]
torch.set_num_threads(int(threads))
torch.manual_seed(0)
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
with open(data, encoding="utf-8") as lines:
    texts = [tokenizer(json.loads(line)["text"])["input_ids"] for line in lines]


def batch_of(some):
    width = max(map(len, some))
    ids = torch.zeros(len(some), width, dtype=torch.long)
    labels = torch.full((len(some), width), -100)
    mask = torch.zeros(len(some), width, dtype=torch.long)
    for row, text in enumerate(some):
        ids[row, : len(text)] = labels[row, : len(text)] = torch.tensor(text)
        mask[row, : len(text)] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def made(order, size):
    return [batch_of(order[at : at + size]) for at in range(0, len(order), size)]


model.eval()
seconds = {}
with torch.inference_mode():
    model(**batch_of(texts[:1]))
    for size in map(int, batches.split(",")):
        ready = made(sorted(texts, key=len), size)
        start = time.perf_counter()
        for batch in ready:
            model(**batch)
        seconds[size] = time.perf_counter() - start
model.train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)
steps = []
for batch in made(texts, 16):
    start = time.perf_counter()
    loss = model(**batch).loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    steps.append(time.perf_counter() - start)
bytes_of_training = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

model.zero_grad(set_to_none=True)
del optimizer
model.eval()
model.set_attn_implementation("eager")
at = {name: value.detach() for name, value in model.named_parameters()}
along = {name: 1e-3 * torch.randn_like(value) for name, value in at.items() if ".layers." in name}


def loss_of(moved, ids, mask, labels):
    rows = {"input_ids": ids[None], "attention_mask": mask[None], "use_cache": False}
    logits = torch.func.functional_call(model, at | moved, (), rows).logits[0, :-1]
    each = torch.nn.functional.cross_entropy(logits, labels[1:].clamp(min=0), reduction="none")
    kept = labels[1:] >= 0
    return (each * kept).sum() / kept.sum()


def score(ids, mask, labels):
    moved = {name: at[name] for name in along}
    return torch.func.jvp(lambda some: loss_of(some, ids, mask, labels), (moved,), (along,))[1]


scores = {}
with torch.no_grad():
    for size in map(int, batches.split(",")):
        ready = made(sorted(texts, key=len), size)
        start = time.perf_counter()
        for batch in ready:
            torch.func.vmap(score)(batch["input_ids"], batch["attention_mask"], batch["labels"])
        scores[size] = time.perf_counter() - start
print(json.dumps({
    "scores": min(scores.values()),
    "scoresByBatch": scores,
    "forward": min(seconds.values()),
    "byBatch": seconds,
    "step": statistics.median(steps[1:]),
    "bytes": bytes_of_training,
}))
