"""Source files: digests of their content, and of what a rule generates."""

from defectbench.sources import RECORD, read_generated, read_sources, withdraw_incomplete


def test_generated_files_have_one_digest_until_somebody_edits_them(tmp_path):
    paths, memo, record = [tmp_path / "a.jpg", tmp_path / "b.jpg"], tmp_path / "memo.json", tmp_path / RECORD
    assert read_generated(paths, memo, record).digest == "generated"
    for path in paths:
        path.write_bytes(b"strip")
    record.write_text(read_sources(paths).digest + "\n")
    assert read_generated(paths, memo, record).digest == "generated"
    paths[0].write_bytes(b"edited")
    assert read_generated(paths, memo, record).digest == read_sources(paths).digest


def test_the_record_of_generated_files_is_withdrawn_if_one_is_gone(tmp_path, capsys):
    paths, memo, record = [tmp_path / "a.jpg", tmp_path / "b.jpg"], tmp_path / "memo.json", tmp_path / RECORD
    read_sources(paths, memo)
    record.touch()
    withdraw_incomplete(memo, record)
    assert record.is_file()  # they were never there
    for path in paths:
        path.touch()
    read_sources(paths, memo)
    withdraw_incomplete(memo, record)
    assert record.is_file()
    paths[1].unlink()
    withdraw_incomplete(memo, record)
    assert not record.exists()
    assert "b.jpg is missing" in capsys.readouterr().err
