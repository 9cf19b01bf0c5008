"""Writes lib/text/tokenizer/unicode-tables.ts: what the Python `tokenizers` package believes about every code point.

The package mixes four Unicode versions (Rust's std, the regex crate, Oniguruma, unicode_categories) and none is that of
the running JavaScript engine, so each property is measured through the package itself, one code point at a time.

    python scripts/make-unicode-tables.py > lib/text/tokenizer/unicode-tables.ts
"""

import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
HANGUL = range(0xAC00, 0xAC00 + 11172)


def bert(**on):
    flags = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**flags, **on})


def varint(n):
    """Little-endian groups of five bits, the sixth says that more follow."""
    out = ""
    while n >= 32:
        out += DIGITS[32 + n % 32]
        n //= 32
    return out + DIGITS[n]


def signed(n):
    return varint(2 * n if n >= 0 else -2 * n - 1)


def runs(points):
    out = []
    for c in points:
        if out and out[-1][1] == c:
            out[-1][1] = c + 1
        else:
            out.append([c, c + 1])
    return out


def encode_set(points):
    text, last = "", 0
    for begin, end in runs(points):
        text += varint(begin - last) + varint(end - begin - 1)
        last = end
    return text


def splits(pre_tokenizer):
    """The code points that do not stay glued to their neighbours."""
    return [c for c in POINTS if len(pre_tokenizer.pre_tokenize_str("a" + chr(c) + "b")) > 1]


def onig(pattern, beside="\u0001"):
    """The code points that match; `beside` is a character that does not."""
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return [c for c in POINTS if len(split.pre_tokenize_str(beside + chr(c) + beside)) == 3]


def added_token(**flags):
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "#": 1}, unk_token="[UNK]"))
    tokenizer.add_tokens([AddedToken("#", normalized=False, **flags)])
    return tokenizer


def word_characters():
    tokenizer = added_token(single_word=True)
    return [c for c in POINTS if c != ord("#") and 1 not in tokenizer.encode(chr(c) + "#").ids]


def stripped_characters():
    tokenizer = added_token(lstrip=True)
    return [c for c in POINTS if c != ord("#") and tokenizer.encode(chr(c) + "#").ids == [1]]


def bert_sets():
    clean, cjk, marks = bert(clean_text=True), bert(handle_chinese_chars=True), bert(strip_accents=True)
    cleaned = {c: clean.normalize_str("a" + chr(c) + "b") for c in POINTS}
    bert_pre = pre_tokenizers.BertPreTokenizer()
    parts = {c: [p for p, _ in bert_pre.pre_tokenize_str("a" + chr(c) + "b")] for c in POINTS}
    for c in POINTS:
        assert cleaned[c] in ("ab", "a b", "a" + chr(c) + "b")
        assert parts[c] in (["a", "b"], ["a", chr(c), "b"], ["a" + chr(c) + "b"])
    return {
        "removed": [c for c in POINTS if cleaned[c] == "ab"],
        "blanked": [c for c in POINTS if cleaned[c] == "a b"],
        "ideographs": [c for c in POINTS if cjk.normalize_str(chr(c)) == " " + chr(c) + " "],
        "marks": [c for c in POINTS if marks.normalize_str(chr(c)) == ""],
        "whitespace": [c for c in POINTS if parts[c] == ["a", "b"]],
        "punctuation": [c for c in POINTS if len(parts[c]) == 3],
    }


def regex_sets():
    sets = {
        "letters": onig(r"\p{L}"),
        "numbers": onig(r"\p{N}"),
        "spaces": onig(r"\s"),
        "numeric": splits(pre_tokenizers.Digits(individual_digits=True)),
        "wordCharacters": word_characters(),
    }
    inside = set(sets["letters"]) | set(sets["numbers"]) | set(sets["spaces"])
    assert set(onig(r"[^\s\p{L}\p{N}]", beside="a")) == set(POINTS) - inside
    folded = pre_tokenizers.Split(Regex("(?i:'s|'t|'re|'ve|'m|'ll|'d)"), "isolated")
    for c in POINTS:  # the only fold outside ASCII that the scanner must know
        hit = folded.pre_tokenize_str("'" + chr(c) + "\u0001")[0][0] == "'" + chr(c)
        assert hit == (chr(c) in "sStTmMdD\u017f"), hex(c)
        for pair in ("re", "ve", "ll"):
            for text in ("'" + chr(c) + pair[1], "'" + pair[0] + chr(c)):
                hit = folded.pre_tokenize_str(text + "\u0001")[0][0] == text
                assert not hit or text[1:].lower() in ("re", "ve", "ll"), (hex(c), text)
    return sets


def lower_case():
    """Runs of (gap, length - 1, step - 1, signed difference), and the few characters that become several."""
    lower = normalizers.Lowercase()
    mapped = [(c, lower.normalize_str(chr(c))) for c in POINTS]
    single = [(c, ord(s) - c) for c, s in mapped if s != chr(c) and len(s) == 1]
    several = {c: s for c, s in mapped if len(s) > 1}
    text, last, i = "", 0, 0
    while i < len(single):
        begin, shift = single[i]
        step = 2 if single[i + 1:i + 2] == [(begin + 2, shift)] else 1
        n = 1
        while single[i + n:i + n + 1] == [(begin + n * step, shift)]:
            n += 1
        text += varint(begin - last) + varint(n - 1) + varint(step - 1) + signed(shift)
        last, i = begin + (n - 1) * step, i + n
    assert several == {0x130: "i\u0307"}
    return text


def decompositions():
    """(gap, length - 1, signed difference of each code point to the composed one); Hangul is arithmetic."""
    nfd = normalizers.NFD()
    text, last = "", 0
    for c in POINTS:
        s = nfd.normalize_str(chr(c))
        if c in HANGUL:
            i = c - HANGUL.start
            parts = [0x1100 + i // 588, 0x1161 + i % 588 // 28] + ([0x11A7 + i % 28] if i % 28 else [])
            assert s == "".join(map(chr, parts))
        elif s != chr(c):
            text += varint(c - last) + varint(len(s) - 1) + "".join(signed(ord(d) - c) for d in s)
            last = c
    return text


def combining_classes():
    """(gap, length - 1, class), found by watching which of two marks NFD puts first."""
    nfd = normalizers.NFD()
    swaps = lambda a, b: a != b and nfd.normalize_str(chr(a) + chr(b)) == chr(b) + chr(a)
    first, last_mark = 0x334, 0x345  # of classes 1 and 240
    ordered = [c for c in POINTS if nfd.normalize_str(chr(c)) == chr(c) and (swaps(c, first) or swaps(last_mark, c))]
    known = {}
    for c in reversed(ordered):
        known[unicodedata.combining(chr(c))] = c
    order = sorted(known)  # one mark of each class
    rank = {}
    for c in ordered:
        below = [k for k in order if swaps(c, known[k])]
        above = [k for k in order if swaps(known[k], c)]
        equal = [k for k in order if k not in below and k not in above]
        assert len(equal) == 1, (hex(c), below, above)
        rank[c] = equal[0]
    text, last, points = "", 0, sorted(rank)
    i = 0
    while i < len(points):
        n = 1
        while i + n < len(points) and points[i + n] == points[i] + n and rank[points[i + n]] == rank[points[i]]:
            n += 1
        text += varint(points[i] - last) + varint(n - 1) + varint(rank[points[i]])
        last, i = points[i] + n, i + n
    return text


def constant(name, comment, text):
    lines = [text[i:i + 112] for i in range(0, len(text), 112)] or [""]
    body = " +\n".join(f"  '{line}'" for line in lines)
    return f"/** {comment} */\nexport const {name} =\n{body}\n"


COMMENTS = {
    "removed": "Set: what BertNormalizer's clean_text deletes.",
    "blanked": "Set: what BertNormalizer's clean_text turns into a space.",
    "ideographs": "Set: what handle_chinese_chars puts between spaces.",
    "marks": "Set: what strip_accents deletes after decomposition.",
    "whitespace": "Set: where BertPreTokenizer cuts.",
    "punctuation": "Set: what BertPreTokenizer isolates.",
    "letters": r"Set: Oniguruma's \\p{L}.".replace("\\\\", "\\"),
    "numbers": r"Set: Oniguruma's \\p{N}.".replace("\\\\", "\\"),
    "spaces": r"Set: Oniguruma's \\s.".replace("\\\\", "\\"),
    "numeric": "Set: what the Digits pre-tokenizer takes for a digit.",
    "wordCharacters": "Set: what keeps a single_word added token from matching beside it.",
}


def main():
    sets = {**bert_sets(), **regex_sets()}
    assert set(stripped_characters()) == set(sets["whitespace"]), "lstrip has its own idea of white space"
    version = tokenizers.__version__
    print(f"// Made by scripts/make-unicode-tables.py from tokenizers {version}; decoded by unicode.ts.\n")
    for name, comment in COMMENTS.items():
        print(constant(name, comment, encode_set(sets[name])))
    maps = [
        ("lowerCase", "Runs of the per-character lower case; only U+0130 becomes two characters.", lower_case()),
        ("decomposition", "Full canonical decompositions, Hangul syllables left out.", decompositions()),
        ("combiningClass", "Runs of the canonical combining classes above zero.", combining_classes()),
    ]
    print("\n".join(constant(*entry) for entry in maps), end="")


main()
