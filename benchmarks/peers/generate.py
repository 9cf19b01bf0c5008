"""transformers' side, one round of the case generate: generate.py MODEL TEXTS TOKENS THREADS BATCHES -> {seconds: of the
best batch, byBatch: of each, cpu: seconds of processors at it, bytes: the largest resident set}. Sampling from the begin
token alone, float32, with the key/value cache, no end token."""
import json
import resource
import sys
import time

import torch
from transformers import AutoModelForCausalLM

folder, texts, tokens, threads, batches = sys.argv[1:]
texts, tokens = int(texts), int(tokens)
torch.set_num_threads(int(threads))
torch.manual_seed(0)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
options = dict(do_sample=True, top_k=0, top_p=1.0, max_new_tokens=tokens, min_new_tokens=tokens, eos_token_id=None,
               pad_token_id=model.config.eos_token_id, use_cache=True)
seconds, cpu = {}, {}
used = lambda: sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
with torch.inference_mode():
    begin = torch.full((1, 1), model.config.bos_token_id)
    model.generate(begin, attention_mask=torch.ones_like(begin), **{**options, "max_new_tokens": 2, "min_new_tokens": 2})
    for batch in map(int, batches.split(",")):
        start, before = time.perf_counter(), used()
        for first in range(0, texts, batch):
            ids = begin.repeat(min(batch, texts - first), 1)
            out = model.generate(ids, attention_mask=torch.ones_like(ids), **options)
            assert out.shape[1] == 1 + tokens
        seconds[batch], cpu[batch] = time.perf_counter() - start, used() - before
bytes_ = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
best = min(seconds, key=seconds.get)
print(json.dumps({"seconds": seconds[best], "cpu": cpu[best], "byBatch": seconds, "bytes": bytes_}))
