from swr_keras.recipes.progress import Progress


def test_banners_count_stages_and_estimate_the_time_left(capsys, monkeypatch):
    clock = iter([0.0, 60.0, 60.0, 90.0])
    monkeypatch.setattr("swr_keras.recipes.progress.time.monotonic", lambda: next(clock))
    progress = Progress(num_stages=2, total_work=300)
    with progress.stage("base", work=200):
        pass
    with progress.stage("task", work=100):
        pass
    first, second = capsys.readouterr().out.strip().split("\n\n")
    assert first == "[1/2] base (0:00 min elapsed, time left unknown yet)"
    assert second == "[2/2] task (1:00 min elapsed, about 0:30 min left)"
    assert progress.seconds == {"base": 60.0, "task": 30.0}
