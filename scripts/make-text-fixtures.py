"""Writes test/fixtures/texts: small Parquet files with each compression, encoding and kind of column that people have.

    python scripts/make-text-fixtures.py

Needs `pyarrow`; test/unit/probes-parquet.test.ts reads them.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

OUT = Path(__file__).resolve().parent.parent / "test" / "fixtures" / "texts"
COUNT = 12
TEXTS = [f"text {i} \u00fcn\u00ef \u6f22 \U0001f600" for i in range(COUNT)]


def table():
    return pa.table({
        "text": TEXTS,
        "label": pa.array([i % 2 for i in range(COUNT)], pa.int64()),
        "score": pa.array([float(i % 2) for i in range(COUNT)]),
        "meta": [{"label": "ab"[i % 2], "number": i} for i in range(COUNT)],
        "messages": [[{"role": "user", "content": f"q{i}"}, {"role": "assistant", "content": f"a{i}"}] for i in range(COUNT)],
    })


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for codec in ["none", "snappy", "gzip", "zstd", "brotli", "lz4"]:
        pq.write_table(table(), OUT / f"{codec}.parquet", compression=codec, row_group_size=5)
    encodings = {"text": "DELTA_BYTE_ARRAY", "label": "DELTA_BINARY_PACKED"}
    flat = table().select(["text", "label"])
    pq.write_table(flat, OUT / "delta.parquet", data_page_version="2.0", use_dictionary=False, column_encoding=encodings)
    rows = {"text": pa.array(["a", None, "", "d"], pa.large_string()), "label": pa.array([0, 1, None, -1], pa.int8())}
    pq.write_table(pa.table(rows), OUT / "gaps.parquet")
    pq.write_table(pa.table({"text": pa.array([b"ok", b"\xff\xfe"], pa.binary()), "label": [0, 1]}), OUT / "latin.parquet")
    pq.write_table(flat.slice(0, 0), OUT / "empty.parquet")
    # a page of 300 MB that takes a few kilobytes
    pq.write_table(pa.table({"text": ["0" * 300_000_000], "label": [0]}), OUT / "bomb.parquet", compression="zstd", use_dictionary=False)


main()
