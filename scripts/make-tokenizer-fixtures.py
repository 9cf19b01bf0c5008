"""Writes test/fixtures/tokenizers: small tokenizers, hostile texts, and hashes of the ids that Python gives for them.

    python scripts/make-tokenizer-fixtures.py [--models DIRECTORY --data DIRECTORY]

With the two directories (real models; ag_news_test.csv and clinc150.json) it also writes real.json: hashes of the ids
of real texts. Only hashes leave those files. Needs the `tokenizers` package; test/unit/tokenizer-golden.test.ts reads
it all. The package's trainers break ties by chance, so vocabularies differ from run to run: all files belong together.
"""

import argparse
import csv
import hashlib
import json
import random
import struct
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

OUT = Path(__file__).resolve().parent.parent / "test" / "fixtures" / "tokenizers"
# Every code point; of planes 4 to 13, where nothing is assigned, one block in sixteen.
BLOCKS = [begin for begin in range(0, 0x110000, 0x1000) if not (0x40000 <= begin < 0xE0000 and begin % 0x10000)]
POINTS = [c for begin in BLOCKS for c in range(begin, begin + 0x1000) if not 0xD800 <= c < 0xE000]
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
FRONT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LONG = [["a", 100000], ["ab", 50000], [" ", 100000], ["\n", 50000], ["\u00e9", 50000], ["\u6f22", 50000],
        ["\U0001f600", 30000], ["'", 100000], ["1", 100000], ["\u0301", 50000], ["aA1 ", 25000], [" \n", 30000],
        ["the", 30000], ["[CLS]", 10000], ["'s", 30000], [". ", 30000]]

# Ranges of letters (and of what else a script writes) to make words from.
SCRIPTS = ["az", "AZ", "\u00e0\u00ff", "\u0100\u017f", "\u0391\u03ce", "\u0410\u044f", "\u05d0\u05ea", "\u0621\u064a",
           "\u0905\u0939", "\u0e01\u0e2e", "\u3041\u3094", "\u4e00\u4f00", "\uac00\uae00", "\u10d0\u10f0",
           "\u1e00\u1eff", "\U00020000\U00020100", "\U00010400\U0001044f", "\u0531\u0556", "\u1780\u17b3"]


def make_corpus(rng):
    """Lines of invented words, a few hundred per script, the first of them often."""
    words = []
    for low, high in SCRIPTS:
        letters = [chr(c) for c in range(ord(low), ord(high) + 1)]
        syllables = ["".join(rng.choice(letters) for _ in range(rng.randint(1, 3))) for _ in range(25)]
        words.append(["".join(rng.choice(syllables) for _ in range(rng.randint(1, 3))) for _ in range(120)])
    english = ("the of and to in that it is was he for on are with as his they at be this from have or by one had not "
               "but what all were when we there can an your which their said if do will each about how up out them "
               "then she many")
    lines = []
    for _ in range(3000):
        line = []
        for _ in range(rng.randint(3, 12)):
            kind = rng.random()
            script = words[min(int(rng.expovariate(0.3)), len(words) - 1)]
            if kind < 0.3:
                line.append(rng.choice(english.split()))
            elif kind < 0.9:
                line.append(script[min(int(rng.expovariate(0.05)), len(script) - 1)])
            else:
                line.append(str(rng.randint(0, 99999)))
        text = " ".join(line)
        lines.append((text[0].upper() + text[1:] if rng.random() < 0.5 else text) + rng.choice(". ! ? ; 's".split()))
    return lines


def train(lines):
    plain = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=False)
    wordpiece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    wordpiece.normalizer, wordpiece.pre_tokenizer = plain, pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=2200, special_tokens=SPECIALS, limit_alphabet=700, show_progress=False)
    lower = normalizers.BertNormalizer(lowercase=True)
    wordpiece.train_from_iterator(lines + [lower.normalize_str(line) for line in lines], trainer)

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=1500, special_tokens=["<|end|>", "<|begin|>"], initial_alphabet=alphabet, show_progress=False))

    partial = Tokenizer(models.BPE())  # knows the bytes of its text only
    partial.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    partial.train_from_iterator([line for line in lines if line.isascii()], trainers.BpeTrainer(
        vocab_size=150, special_tokens=["<unk>"], show_progress=False))
    files = {name: json.loads(t.to_str()) for name, t in (("wordpiece", wordpiece), ("bpe", bpe), ("partial", partial))}
    # tokens that no merge makes: reached only with ignore_merges
    for token in ("\u0120whole", "whole", "\u0120\u0120"):
        vocab = files["bpe"]["model"]["vocab"]
        vocab.setdefault(token, len(vocab))
    return files


def added(contents, vocab):
    """Ids as the package gives them: those of the vocabulary, else the next free ones."""
    defaults = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)
    free = iter(range(len(vocab), len(vocab) + len(contents)))
    ids = [vocab[content] if content in vocab else next(free) for content, _ in contents]
    return [{"id": i, "content": content, **defaults, **flags} for i, (content, flags) in zip(ids, contents)]


def bert_normalizer(**flags):
    return {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
            "lowercase": True, **flags}


def byte_level(prefix=False, regex=True):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def sequence(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}


def template(single, pair, ids):
    piece = lambda s, t: {"Sequence" if s in "AB" else "SpecialToken": {"id": s, "type_id": t}}
    return {"type": "TemplateProcessing", "single": [piece(*p) for p in single], "pair": [piece(*p) for p in pair],
            "special_tokens": {name: {"id": name, "ids": i, "tokens": [name] * len(i)} for name, i in ids.items()}}


def make_variants(files):
    """name, base file, what is replaced at the top level, what is replaced in the model."""
    pieces, symbols = (files[name]["model"]["vocab"] for name in ("wordpiece", "bpe"))
    bert = template([("[CLS]", 0), ("A", 0), ("[SEP]", 0)],
                    [("[CLS]", 0), ("A", 0), ("[SEP]", 0), ("B", 1), ("[SEP]", 1)], {"[CLS]": [2], "[SEP]": [3]})
    odd = template([("x", 7), ("A", 3), ("x", 0), ("A", 1)], [("B", 0), ("x", 2), ("A", 5)], {"x": [4, 2, 4]})
    base = added([(content, dict(special=True)) for content in SPECIALS], pieces)
    many = [("Yesterday", dict(normalized=True)), ("cat", dict(single_word=True)), ("<l>", dict(lstrip=True)),
            ("<r>", dict(rstrip=True)), ("<lr>", dict(lstrip=True, rstrip=True, special=True)),
            ("Caf\u00e9 Noir", dict(normalized=True)), ("caf", dict(normalized=True, single_word=True)),
            ("<l><l>", {}), ("\u6f22\u5b57", dict(normalized=True, lstrip=True)), ("<", dict(normalized=True)),
            ("  <s", dict(rstrip=True)), ("\U0001f600", dict(single_word=True))]
    begin = template([("<|begin|>", 0), ("A", 0)], [("<|begin|>", 0), ("A", 0), ("<|begin|>", 1), ("B", 1)],
                     {"<|begin|>": [1]})
    end = added([("<|end|>", dict(special=True)), ("<|begin|>", dict(special=True))], symbols)
    wordpiece = [
        ("lower", dict(normalizer=bert_normalizer(), post_processor=bert, added_tokens=base), {}),
        ("cased", dict(normalizer=bert_normalizer(lowercase=False), added_tokens=base, post_processor={
            "type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}), {}),
        ("keep-accents", dict(normalizer=bert_normalizer(strip_accents=False), post_processor=odd), {}),
        ("strip-only", dict(normalizer=bert_normalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True,
                                                       lowercase=False)), {"max_input_chars_per_word": 5}),
        ("no-normalizer", dict(normalizer=None), {}),
        ("added", dict(normalizer=bert_normalizer(), post_processor=bert, added_tokens=base + added(many, pieces)), {}),
        ("added-cased", dict(normalizer=None, added_tokens=base + added(many[::-1], pieces)), {}),
    ]
    digits = {"type": "Digits", "individual_digits": True}
    bpe = [
        ("gpt2", dict(added_tokens=end, post_processor=byte_level(True)), {}),
        ("prefix", dict(pre_tokenizer=byte_level(True)), {}),
        ("no-regex", dict(pre_tokenizer=byte_level(regex=False)), {}),
        ("digits", dict(pre_tokenizer=sequence(digits, byte_level())), {}),
        ("digit-runs", dict(pre_tokenizer=sequence({**digits, "individual_digits": False}, byte_level(True))), {}),
        ("llama3", dict(pre_tokenizer=sequence(split(FRONT + "{1,3}" + TAIL), byte_level(regex=False)),
                        post_processor={"type": "Sequence", "processors": [byte_level(), begin]}, added_tokens=end),
         {"ignore_merges": True}),
        ("one-digit", dict(pre_tokenizer=sequence(split(FRONT + TAIL, "Removed", True), byte_level(regex=False))), {}),
        ("nested", dict(pre_tokenizer=sequence(sequence(split(GPT2), digits), byte_level(True))),
         {"ignore_merges": True}),
        ("added", dict(added_tokens=end + added(many, symbols)), {}),
        ("added-prefix", dict(pre_tokenizer=byte_level(True), added_tokens=end + added(many[::-1], symbols)), {}),
    ]
    partial = [("dropped", {}, {}), ("unknown", {}, {"unk_token": "<unk>"}),
               ("fused", {}, {"unk_token": "<unk>", "fuse_unk": True})]
    return [dict(name=f"{base} {name}", base=base, top=top, model=model) for base, group in
            (("wordpiece", wordpiece), ("bpe", bpe), ("partial", partial)) for name, top, model in group]


# Texts between broken bars; one row for each thing that went wrong somewhere.
HAND_MADE = [
    "¦a¦A¦ ¦  ¦\t¦\n¦'¦\"¦.¦0¦the cat sat on the mat.¦Hello, World!¦don't¦DON'T",
    "I'll we've they're he'd I'm it's",
    "'S 'T 'LL 'Re 'vE 'M 'D¦'\u017f '\u212a ''s '''ll¦rock'n'roll 'tis 'twas¦x's' 's x¦a'b'c'd'e¦'l 'll 'r 'v",
    "\u039f\u0394\u039f\u03a3 \u03a3\u0391\u03a3 \u03a3 \u03c3\u03c2¦\u03a3\u03a3\u03a3",
    "\u0130stanbul I\u0131\u0130i\u0307¦\u1e9e \u00df SS \u017f \ufb01 \ufb00¦\u01c4\u01c5\u01c6 \u01f0 \u0149",
    "caf\u00e9 cafe\u0301 CAF\u00c9 CAFE\u0301¦\u1ec7 e\u0323\u0302 e\u0302\u0323",
    "\u1e69 s\u0307\u0323 s\u0323\u0307¦\u212b \u00c5 A\u030a¦\u0344 \u0340 \u0341 \u0343 \u0f73 \u0f75 \u0f81",
    "\u0958\u0959 \u09dc",
    "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab\u1100\u116e\u11a8¦\uac00\uac01\ud7a3",
    "\u6f22\u5b57\u304b\u306a\u4ea4\u3058\u308a¦\u4e2d\u6587abc\u4e2d1¦\uf900\ufa10\ufa6a\U0002f800",
    "\U00020000\U0002a6df\U0002a700\U0002b820\U0002ceb0\U00030000\U00031350",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467¦\U0001f1e9\U0001f1ea\U0001f1eb",
    "\U0001f44d\U0001f3fd a\U0001f600b¦\u2764\ufe0f \u263a¦#\ufe0f\u20e3 1\u20e3",
    "a\u0085b¦a \u0085 b¦a\ufeffb \ufeff c¦a\u180eb \u180e c¦a\u200bb\u200cc\u200dd\u2060e",
    "a\u00a0b\u2003c\u3000d\u202fe¦a\u2028b\u2029c¦\u00ad soft\u00adhyphen¦\u061c\u200e\u200f\u202a\u2066",
    "a\x00b¦\x00¦\x01\x02 \x7f\x80\x9f¦a\x0bb\x0cc¦\x1c\x1d\x1e\x1f¦\ufffd\ufffe\uffff",
    "\U0010ffff\U000e0001\U000f0000¦\ue000\uf8ff¦\u0378\u0530 \U0001fffe",
    " a¦  a¦   a  b   c ¦a\n¦a\n\n¦a\n\nb¦a \n b¦a\r\nb¦\r\n\r\n¦a \n¦\n a¦\t\ta\t¦a \t b",
    "  \n  \n  x¦x  \r",
    "...\n\n...¦!\r\n!",
    "123 4567 89012 1,234.56¦\u0661\u0662\u0663 \u0967\u0968 \u00bd\u2167\u00b2\u2460¦1a2b3c¦3\u0664\u096b",
    "\U0001d7d8\U0001d7d9 \u4e00\u3007¦x1 y 22 zz333",
    "[CLS] [SEP] [MASK] [UNK] [PAD]¦a[CLS]b¦[cls] [ CLS ] [CLS¦[[CLS]]¦[MASK][MASK]¦<|end|>",
    "a<|end|>b <|begin|><|end|>",
    "Yesterday yesterday YESTERDAY yesterday's¦yesterdayyesterday¦cat cats cat_ cat1 \u00e9cat cat\u00e9 cat.",
    "catcat cat¦cat¦\u0301cat cat\u0301¦\U0001f600cat a\U0001f600 \U0001f600 \U0001f600.",
    " <l> x <l>y¦  <l>  <l><l>  <r>  <r>x¦<lr>   <lr> a¦a  <lr>  b¦<l><l><l>¦\n\t<l>\u3000<r>\u2003 x",
    "a  <s  b  <s¦<<l>>  <r><",
    "Caf\u00e9 Noir cafe\u0301 noir CAFE NOIR cafe\tnoir¦caf cafes caf\u00e9¦x \u6f22\u5b57 y\u6f22\u5b57",
    "whole a whole  whole wholes¦  whole",
    "https://example.com/a?b=c&d=%20#e¦def f(x): return x**2 + 1  # note¦{\"a\": [1, 2.5e-3, null]}¦a-b--c---d",
    "\"quoted\" \u201cquoted\u201d \u00abq\u00bb¦e.g. i.e. U.S.A.¦$5.00 \u20ac5 \u00a35 5%",
    "~`!@#$%^&*()_+-=[]{}\\;:'\",.<>/?",
    "\u0e01\u0e33 \u0e19\u0e49\u0e33 \u0eb3¦\u0915\u094d\u0937\u093f \u0939\u093f\u0928\u094d\u0926\u0940",
    "\u0644\u064e\u0627 \u0644\u0627 \ufefb \u0640¦\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd",
    "\u17d2\u1780 \u1788\u17b6¦\u1b05\u1b35 \u1b06 \U0001109a \U0001112e",
    "\u302e\u302f a\u302e\u0301¦\U0001d15e \U0001d165\U0001d16e\U0001d166¦\u1714\u1734 \u1b44\u1baa",
    "\u0316\u0301\u0334\u0345 a\u0345\u0316¦\u16ff0 \U00016ff0\U00016ff1¦\u3099\u309a \u304b\u3099 \u304c",
]


def ordered_marks():
    """Code points that canonical ordering moves."""
    nfd = lambda text: normalizers.NFD().normalize_str(text)
    return [c for c in POINTS[0x300:0x1E000] if nfd(chr(c)) == chr(c) and nfd(chr(c) + "\u0334") != chr(c) + "\u0334"]


def make_texts(rng, lines):
    texts = [text for row in HAND_MADE for text in row.split("\u00a6")]
    texts += lines[:40]
    texts += [chr(c) + "a" + chr(c) for c in [*range(0x20), *range(0x7F, 0xA1)]]
    texts += ["x" * n for n in (5, 6, 99, 100, 101)] + ["\U00020000" * n for n in (2, 5, 6)] + \
             ["\U00010400" * n for n in (5, 6, 50, 99, 100, 101)] + ["e\u0301" * n for n in (50, 51, 100, 101)]
    spaces = [*"  \n\r\t\x0b\x85\xa0\u1680\u2003\u2028\u3000\ufeff\u180e"]
    solids = [*"a1.'\u00e9\u6f22\u0301\U0001f600", "Be", "22", "'s", "<l>", "<r>", "cat", "[SEP]"]
    marks = ordered_marks() + [0x334, 0x93E, 0x903, 0x200D]
    for _ in range(50):
        texts.append("".join(rng.choice(spaces + solids) for _ in range(rng.randint(3, 16))))
        texts.append("".join(rng.choice("aeo\u00e9\u1ec7\uac00\u0915\u304b") + "".join(
            chr(rng.choice(marks)) for _ in range(rng.randint(1, 5))) for _ in range(4)))
        texts.append("".join(chr(rng.choice(POINTS[:0x30000])) for _ in range(12)))
        texts.append("".join(chr(rng.randint(0x20, 0x7E)) for _ in range(30)))
        texts.append("".join(chr(rng.randint(0x80, 0x2FF)) + rng.choice(["", " ", "a"]) for _ in range(12)))
    return texts


def fnv(numbers, h=2166136261):
    for n in numbers:
        h = ((h ^ n) * 16777619) & 0xFFFFFFFF
    return h


def build(files, variant):
    content = {**files[variant["base"]], **variant["top"]}
    content["model"] = {**content["model"], **variant["model"]}
    return Tokenizer.from_str(json.dumps(content))


def encodings(tokenizer, text, pair):
    """The seven ways of calling that each text is put through."""
    tokenizer.no_truncation()
    yield tokenizer.encode(text)
    yield tokenizer.encode(text, add_special_tokens=False)
    yield tokenizer.encode(text, pair)
    yield tokenizer.encode(text, pair, add_special_tokens=False)
    for limit in (9, 10):
        tokenizer.enable_truncation(limit)
        yield tokenizer.encode(text)
        yield tokenizer.encode(text, pair)
    tokenizer.enable_truncation(4)
    yield tokenizer.encode(text, add_special_tokens=False)
    tokenizer.no_truncation()


def hash_text(tokenizer, text, pair):
    h = fnv([])
    for encoding in encodings(tokenizer, text, pair):
        h = fnv([len(encoding.ids), *encoding.ids, *encoding.type_ids], h)
    return f"{h:08x}"


def blocks(numbers_of):
    """One hash for each 4,096 code points."""
    out = ""
    for begin in BLOCKS:
        h = fnv([])
        for c in range(begin, begin + 0x1000):
            if not 0xD800 <= c < 0xE000:
                h = fnv(numbers_of(chr(c)), h)
        out += f"{h:08x}"
    return out


def utf16(text):
    data = text.encode("utf-16-le")
    return struct.unpack(f"<{len(data) // 2}H", data)


def code_points():
    normal = [bert_normalizer(), bert_normalizer(lowercase=False),
              bert_normalizer(clean_text=False, handle_chinese_chars=False, strip_accents=False)]
    split_parts = [sequence(split(GPT2)), sequence(split(FRONT + "{1,3}" + TAIL)),
                   {"type": "Digits", "individual_digits": False}]
    results = {"normalizers": [], "splits": []}
    for options in normal:
        made = normalizers.BertNormalizer(**{k: v for k, v in options.items() if k != "type"})
        hashes = blocks(lambda c: utf16(made.normalize_str(f"a{c}b")))
        results["normalizers"].append(dict(options=options, blocks=hashes))
    regexes = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in (GPT2, FRONT + "{1,3}" + TAIL)]
    made = [*regexes, pre_tokenizers.Digits(individual_digits=False)]
    for part, cut in zip(split_parts, made):
        ends = lambda c: [end for _, (_, end) in cut.pre_tokenize_str(f"x{c}y1{c}2 {c} !{c}!\n{c}'{c}")]
        results["splits"].append(dict(part=part, blocks=blocks(ends)))
    # the order of two marks shows only where accents are stripped and both stay
    strip = normalizers.BertNormalizer(
        clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    marks = [c for c in ordered_marks() if strip.normalize_str(chr(c)) == chr(c)]
    h = fnv([])
    for first in marks:
        for second in marks:
            for between in ("", "\u0301", "\u0903", "\u0940"):
                h = fnv(utf16(strip.normalize_str(chr(first) + between + chr(second))), h)
    results["order"] = dict(marks=marks, hash=f"{h:08x}")
    return results


class Digest:
    """sha256 over (length, ids) of encodings, as 32-bit little-endian words."""

    def __init__(self):
        self.hash, self.tokens = hashlib.sha256(), 0

    def add(self, encoding):
        self.tokens += len(encoding.ids)
        self.hash.update(struct.pack(f"<{len(encoding.ids) + 1}I", len(encoding.ids), *encoding.ids))

    def result(self):
        return dict(tokens=self.tokens, sha256=self.hash.hexdigest())


def real(models_dir, data_dir, texts):
    sha = lambda path: hashlib.sha256(path.read_bytes()).hexdigest()
    ag, clinc = data_dir / "ag_news_test.csv", data_dir / "clinc150.json"
    with ag.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    utterances = [text for part in json.loads(clinc.read_text(encoding="utf-8")).values() for text, _ in part]
    result = {"data": {ag.name: sha(ag), clinc.name: sha(clinc)}, "models": {}}
    for name in ("minilm-l6", "smollm2-135m"):
        path = models_dir / name / "tokenizer.json"
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_padding()
        digests = {key: Digest() for key in ("news", "pairs", "utterances", "hostile", "points")}
        tokenizer.no_truncation()
        for _, title, text in rows:
            digests["news"].add(tokenizer.encode(title))
            digests["news"].add(tokenizer.encode(text))
        for utterance in utterances:
            digests["utterances"].add(tokenizer.encode(utterance))
        for text in texts + [text * count for text, count in LONG]:
            digests["hostile"].add(tokenizer.encode(text))
        for c in POINTS:
            digests["points"].add(tokenizer.encode(f"a{chr(c)}b"))
        tokenizer.enable_truncation(48)
        for _, title, text in rows:
            digests["pairs"].add(tokenizer.encode(title, text))
        result["models"][name] = {"tokenizer": sha(path), **{key: d.result() for key, d in digests.items()}}
    return result


def write(name, content):
    with (OUT / name).open("w", encoding="utf-8", newline="\n") as file:
        json.dump(content, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=Path)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    rng = random.Random(20)
    lines = make_corpus(rng)
    files = train(lines)
    texts = make_texts(rng, lines)
    variants = make_variants(files)
    pairs = [texts[(7 * i + 3) % len(texts)] for i in range(len(texts))]
    for variant in variants:
        tokenizer = build(files, variant)
        variant["hashes"] = "".join(hash_text(tokenizer, text, pair) for text, pair in zip(texts, pairs))
        variant["long"] = "".join(f"{fnv(tokenizer.encode(text * count).ids):08x}" for text, count in LONG)
    for name, content in files.items():
        write(f"{name}.json", content)
    write("cases.json", dict(texts=texts, long=LONG, variants=variants))
    write("code-points.json", code_points())
    if options.models and options.data:
        write("real.json", real(options.models, options.data, texts))


main()
