from swr_keras.jobs.progress import Progress

NAMES = {"b": "base", "s": "search", "m": "model"}
PLANS = {"b": {"training": (1, 200)}, "s": {}, "m": {"one": (1, 60), "two": (2, 40)}}


def lines(monkeypatch, left, times, happen):
    """What is reported while things happen at these times, in seconds."""
    clock, found = iter(times), []
    monkeypatch.setattr("swr_keras.jobs.progress.time.monotonic", lambda: next(clock))
    happen(Progress(NAMES, PLANS, left, found.append))
    return found


def test_lines_count_jobs_and_estimate_the_time_left(monkeypatch):
    def happen(progress):
        progress.begun("b", 0.0)
        progress.finished("b")
        progress.begun("s", 0.0)
        progress.begun("m", 0.0)
        progress.failed("s", "the loss is nan", "log.txt")
        progress.finished("m")

    assert lines(monkeypatch, {"b", "s", "m"}, [0, 0, 60, 60, 61, 70, 125], happen) == [
        "base begins",
        "[1/3] base: done in 1:00 min (1:00 min elapsed, about 0:30 min left)",
        "search begins",
        "model begins",
        "[2/3] search: FAILED (the loss is nan; see log.txt) in 0:10 min (1:10 min elapsed, "
        "about 0:35 min left)",
        "[3/3] model: done in 1:04 min (2:05 min elapsed, about 0:00 min left)",
    ]


def test_what_an_earlier_run_did_counts_for_nothing(monkeypatch):
    def happen(progress):
        progress.begun("b", 0.75)
        progress.lost("b", "its process ended")
        progress.begun("b", 0.5)
        progress.finished("b")

    assert lines(monkeypatch, {"b", "m"}, [0, 0, 5, 10], happen) == [
        "1 of 3 jobs were done before.",
        "base begins, 75% done before",
        "base: its process ended; once more, from its last epoch",
        "base begins, 50% done before",
        # 25 of 200 were done in 10 s, with 100 to come.
        "[2/3] base: done in 0:05 min (0:10 min elapsed, about 0:40 min left)",
    ]
