"""A run whose input and output are on S3."""

from __future__ import annotations

import pytest

from tests.conftest import TinyRun
from tests.flow.make import assert_same_explanations, content_of, explain, mixed_recordings, rows
from tests.s3 import S3Server

pytestmark = [pytest.mark.slow, pytest.mark.ray]


def test_from_s3_to_s3(tiny_run: TinyRun, s3_server: S3Server) -> None:
    for path, data in mixed_recordings().items():
        (s3_server.bucket_dir / "in" / path).parent.mkdir(parents=True, exist_ok=True)
        (s3_server.bucket_dir / "in" / path).write_bytes(data)
    output = f"{s3_server.bucket_url}/out"
    explain(f"{s3_server.bucket_url}/in", output, content_of(tiny_run.explainer))
    assert_same_explanations(output, tiny_run.output)
    ids = [[row["window_id"] for row in rows(out, "predictions")] for out in (output, tiny_run.output)]
    assert ids[0] == ids[1]
    assert (s3_server.bucket_dir / "out" / "_SUCCESS").is_file()
