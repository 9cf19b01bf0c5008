"""PyTorch's side of the case select: select_peer.py BASE REFERENCE CORPUS_JSONL THREADS HOW TEXTS -> {seconds, texts, bytes}.

HOW, for documents labelled by the reference, with a new head of zeros on the base:
  projected  gradients of all weights of each text (vmap of grad), projected to 4096 numbers by random signs that are
             drawn again, in blocks, for each batch: SELECT as its paper describes it
  head       the same of the last layer alone
  closed     the last layer's closed form, e and h, from one pass of each model without derivatives, texts sorted by
             their length: the best that PyTorch can do here
Reading models does not count; tokenizing does. bytes: the largest resident set.
"""
import json
import resource
import sys
import time

import torch
from torch.func import functional_call, grad, vmap
from transformers import AutoModelForSequenceClassification, AutoTokenizer

base, reference, corpus, threads, how, count = sys.argv[1:]
torch.set_num_threads(int(threads))
with open(corpus, encoding="utf-8") as lines:
    texts = [json.loads(line)["text"] for line in lines][: int(count)]
tokenizer = AutoTokenizer.from_pretrained(base)
expert = AutoModelForSequenceClassification.from_pretrained(reference).eval()
model = AutoModelForSequenceClassification.from_pretrained(
    base, num_labels=expert.config.num_labels, attn_implementation="sdpa" if how == "closed" else "eager"
).eval()
torch.nn.init.zeros_(model.classifier.weight)
torch.nn.init.zeros_(model.classifier.bias)
sketch = 4096


def encode(batch):
    return tokenizer(batch, max_length=128, padding=True, truncation=True, return_tensors="pt")


@torch.no_grad()
def labels_of(inputs):
    return expert(**inputs).logits.argmax(-1)


def project(rows, generator):
    """rows: texts × parameters -> texts × sketch"""
    out = torch.zeros(len(rows), sketch)
    step = 1 << 15
    for at in range(0, rows.shape[1], step):
        block = rows[:, at : at + step]
        signs = torch.randint(0, 2, (block.shape[1], sketch), generator=generator, dtype=torch.int8)
        out += block @ (signs.float() * 2 - 1)
    return out / sketch**0.5


def per_sample(scope, size):
    wanted = {name: p.detach() for name, p in model.named_parameters() if name.startswith(scope)}
    rest = {name: p.detach() for name, p in model.named_parameters() if not name.startswith(scope)}

    def loss(parameters, ids, mask, label):
        # added to the attention's scores as it is: what makes it of a mask by text looks at values, which vmap cannot
        added = (1 - mask[None, None, None].expand(1, 1, len(ids), -1).float()) * -1e9
        logits = functional_call(model, {**rest, **parameters}, (ids[None],), {"attention_mask": added}).logits
        return torch.nn.functional.cross_entropy(logits, label[None])

    gradient = vmap(grad(loss), in_dims=(None, 0, 0, 0))
    made = []
    for at in range(0, len(texts), size):
        inputs = encode(texts[at : at + size])
        found = gradient(wanted, inputs["input_ids"], inputs["attention_mask"], labels_of(inputs))
        rows = torch.cat([g.flatten(1) for g in found.values()], 1)
        made.append(project(rows, torch.Generator().manual_seed(0)))
    return torch.cat(made)


@torch.no_grad()
def closed(size):
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    made = []
    for at in range(0, len(texts), size):
        inputs = encode([texts[i] for i in order[at : at + size]])
        label = labels_of(inputs)
        h = model.bert(**inputs).pooler_output
        e = model.classifier(h).softmax(-1)
        e[torch.arange(len(e)), label] -= 1
        made.append(torch.cat([e, h], 1))
    return torch.cat(made)


start = time.perf_counter()
if how == "projected":
    per_sample("", 32)
elif how == "head":
    per_sample("classifier", 32)
else:
    closed(32)
seconds = time.perf_counter() - start
peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "texts": len(texts), "bytes": peak}))
