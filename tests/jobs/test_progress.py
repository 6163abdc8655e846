from swr_keras.jobs.progress import Progress


def test_banners_count_stages_and_estimate_the_time_left(capsys, monkeypatch):
    clock = iter([0.0, 60.0, 60.0, 90.0])
    monkeypatch.setattr("swr_keras.jobs.progress.time.monotonic", lambda: next(clock))
    progress = Progress({"base": 200, "task": 100}, print)
    with progress.stage("base"):
        pass
    with progress.stage("task"):
        pass
    first, second = capsys.readouterr().out.strip().split("\n\n")
    assert first == "[1/2] base (0:00 min elapsed, time left unknown yet)"
    assert second == "[2/2] task (1:00 min elapsed, about 0:30 min left)"
    assert progress.seconds == {"base": 60.0, "task": 30.0}


def test_what_an_earlier_run_did_counts_for_nothing(capsys, monkeypatch):
    clock = iter([0.0, 10.0, 10.0, 20.0])
    monkeypatch.setattr("swr_keras.jobs.progress.time.monotonic", lambda: next(clock))
    progress = Progress({"base": 200, "task": 100}, print)
    with progress.stage("base", share_done=0.75):
        pass
    with progress.stage("task", share_done=0.5):
        pass
    first, second = capsys.readouterr().out.strip().split("\n\n")
    assert first == "[1/2] base, 75% done before (0:00 min elapsed, time left unknown yet)"
    assert second == "[2/2] task, 50% done before (0:10 min elapsed, about 0:10 min left)"
