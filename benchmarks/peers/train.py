"""PyTorch's side, one round of the case train: train.py BASE TEXTS_JSONL THREADS -> {steps: seconds of each, bytes: the
largest resident set}. The usual loop, as in finetune.py of the shared folder: batches of 32 padded to their longest text,
AdamW, dropout at the rates of the configuration; texts are tokenized and padded before the clock starts."""
import json
import random
import resource
import sys
import time

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

base, data, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
torch.manual_seed(0)
with open(data, encoding="utf-8") as lines:
    rows = [json.loads(line) for line in lines]
random.Random(0).shuffle(rows)
names = sorted({row["label"] for row in rows})
tokenizer = AutoTokenizer.from_pretrained(base)
model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(names))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)
model.train()
batches = []
for start in range(0, len(rows), 32):
    batch = rows[start : start + 32]
    inputs = tokenizer([row["text"] for row in batch], max_length=256, padding=True, truncation=True, return_tensors="pt")
    batches.append({**inputs, "labels": torch.tensor([names.index(row["label"]) for row in batch])})
steps = []
for batch in batches:
    start = time.perf_counter()
    loss = model(**batch).loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    steps.append(time.perf_counter() - start)
print(json.dumps({"steps": steps, "bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
