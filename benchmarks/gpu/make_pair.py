"""A made-up pair of classifiers of BERT-base's size, and probes for them: make_pair.py OUT [HIDDEN LAYERS PROBES]

Words are w0, w1, … and one token each; the reference is the base with every weight moved a little. Speed depends on
neither. Needs torch and transformers.
"""
import json
import pathlib
import random
import sys

import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

out = pathlib.Path(sys.argv[1])
hidden, layers, probes = [int(x) for x in sys.argv[2:]] or [768, 12, 5000]
special, words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], [f"w{i}" for i in range(30517)]
out.mkdir(parents=True, exist_ok=True)
(out / "vocab.txt").write_text("\n".join(special + words) + "\n")
tokenizer = BertTokenizerFast(str(out / "vocab.txt"))
torch.manual_seed(0)
config = BertConfig(vocab_size=len(special) + len(words), hidden_size=hidden, num_hidden_layers=layers,
                    num_attention_heads=hidden // 64, intermediate_size=4 * hidden, num_labels=4)
model = BertForSequenceClassification(config)
for name in ("base", "reference"):
    if name == "reference":
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.002 * torch.randn_like(parameter)
    model.save_pretrained(out / name)
    tokenizer.save_pretrained(out / name)
draw = random.Random(0)
with open(out / "probes.jsonl", "w") as file:
    for i in range(probes):
        text = " ".join(draw.choice(words) for _ in range(18 + i * 37 % 61))  # 50 tokens on average
        file.write(json.dumps({"text": text, "label": i % 4}) + "\n")
