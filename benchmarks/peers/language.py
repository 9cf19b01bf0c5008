"""PyTorch's side, one round of the case language: language.py MODEL TEXTS_JSONL THREADS BATCHES -> {forward: seconds of
forward passes with losses over all texts, sorted by length, at the best batch; byBatch; step: median seconds of a
training step of 16 texts with AdamW; bytes: the largest resident set}. Float32."""
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
print(json.dumps({
    "forward": min(seconds.values()),
    "byBatch": seconds,
    "step": statistics.median(steps[1:]),
    "bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
}))
