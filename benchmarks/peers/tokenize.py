"""Times the Python package `tokenizers` on one thread: python tokenize.py TOKENIZER_JSON TEXTS_JSON

TEXTS_JSON is a list of strings. Prints one JSON object: seconds of a first and a second pass of encode() over one text at
a time, of one encode_batch_fast() over all, and the number of tokens.
"""

import json
import os
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import tokenizers  # noqa: E402 (reads the environment)

tokenizer = tokenizers.Tokenizer.from_file(sys.argv[1])
tokenizer.no_truncation()
tokenizer.no_padding()
with open(sys.argv[2], encoding="utf-8") as file:
    texts = json.load(file)


def timed(run):
    begin = time.perf_counter()
    tokens = run()
    return time.perf_counter() - begin, tokens


one_by_one = lambda: sum(len(tokenizer.encode(text).ids) for text in texts)
cold, tokens = timed(one_by_one)
warm, _ = timed(one_by_one)
batch, _ = timed(lambda: sum(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts)))
print(json.dumps(dict(version=tokenizers.__version__, tokens=tokens, cold=cold, warm=warm, batch=batch)))
