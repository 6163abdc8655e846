import copy
import html.parser
import json
import re

import keras
import matplotlib
import pytest

import swr_keras as swr
from swr_keras.reporting import render_report
from swr_keras.training import policy_curve


class Page(html.parser.HTMLParser):
    """What a page contains; fails on tags that aren't closed in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.ids, self.references, self.text = [], set(), set(), []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            assert name != "src"
            if name == "id":
                self.ids.add(value)
            if name == "href":
                self.references.add(value)
            self.references |= set(re.findall(r"url\((.*?)\)", value or ""))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self):
        return " ".join("".join(self.text).split())


@pytest.fixture(scope="module")
def rendered(run):
    return render_report(run)


def minimal_run(*results, tested=1_200):
    clips = {"training": 8_000, "validation": 1_000, "testing": tested}
    task = {"task": "one", "labels": ["a", "b"], "clips": clips, "results": list(results)}
    return {"tasks": [task]}


def result(method, accuracy, cost, **more):
    return {
        "method": method,
        "validation_accuracy": accuracy,
        "testing_accuracy": accuracy,
        "target_cost": cost,
        "achieved_cost": cost,
        "changed_layers": ["conv"] if cost else [],
        "both_right": 0.8 * accuracy,
        **more,
    }


def words(run):
    return Page(render_report(run)).words


def test_page_is_self_contained(rendered):
    page = Page(rendered)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert "@import" not in rendered
    assert "http" not in rendered
    assert page.references
    assert page.references == {f"#{name}" for name in page.ids} & page.references


def test_same_run_gives_the_same_page(run, rendered):
    before = copy.deepcopy(run)
    assert render_report(json.loads(json.dumps(run))) == rendered
    assert run == before


def test_page_has_all_sections(rendered):
    page = Page(rendered)
    for title in (
        "Task english",
        "Task mandarin",
        "Results",
        "Which layers SWR changed",
        "Achieved against target cost",
        "Learning curves",
        "Confusions on the test clips: SWR int8 at c = 0.1",
        "Sizes",
        "Seconds of each stage",
        "How to use the outputs",
        "Settings",
        "Versions",
    ):
        assert title in page.words
    assert page.tags.count("svg") == 2 * (2 + 6)
    assert "no taken for go (12 of" in page.words
    assert "stage3_block3_time_conv" in page.words
    assert "base + 2 packs at target cost 0.1" in page.words


def test_everything_is_escaped(run):
    evil = "<script>alert('x')</script> & \"quoted\" $x^2$"
    run = copy.deepcopy(run)
    task = run["tasks"][0]
    run["tasks"] = [task]
    text = json.dumps(run)
    for value in ("english", "yes", "super-net", "neck_conv", "random policy", "3.11.4", "seed"):
        text = text.replace(f'"{value}"', json.dumps(evil + value))
    run = json.loads(text)
    run["title"] = run["base"]["name"] = evil
    run["files"] = {evil: evil}
    run["tasks"][0]["confusions"][0]["title"] = evil
    run["tasks"][0]["bundles"][0]["stem"] = evil
    run["seconds"] = {evil: 1.0}
    text = render_report(run)
    page = Page(text)
    assert "script" not in page.tags
    assert page.words.count(evil) > 20
    assert "neck_conv" in page.words


@pytest.mark.filterwarnings("error")
def test_labels_of_any_script(run):
    strange = copy.deepcopy({"tasks": run["tasks"][:1]})
    task = strange["tasks"][0]
    task["labels"] = [f"天{label}" for label in task["labels"]]
    task["task"] = "普通话"
    task["policy_curve"]["layers"][0] = "层"
    for row in task["results"]:
        row["changed_layers"] = [
            "层" if path == "stem_conv" else path for path in row.get("changed_layers", ())
        ]
    assert "天yes" in words(strange)


def test_smallest_run():
    page = Page(render_report(minimal_run()))
    assert "svg" not in page.tags
    assert "No model was trained with SWR" in page.words
    assert "Settings" not in page.words


def test_verdict_says_whether_swr_beat_the_classifier():
    classifier = result("classifier-only", 0.80, 0.0)
    better = words(minimal_run(classifier, result("SWR", 0.90, 0.1)))
    assert "SWR changed 1 layer with 10.0 % of the parameters and got 90.0 %" in better
    assert "It beat training the classifier only, which got 80.0 %, by 10.0 points" in better
    worse = words(minimal_run(classifier, result("SWR", 0.70, 0.1)))
    assert "It was worse than training the classifier only" in worse
    level = words(minimal_run(classifier, result("SWR", 0.81, 0.1)))
    assert "1,200 clips can't tell which is better" in level
    alone = words(minimal_run(result("SWR", 0.81, 0.1), result("SWR int8", 0.79, 0.1)))
    assert "nothing to compare with" in alone
    assert "As int8 it got 79.0 % (-2.0 points)" in alone


def test_few_clips_widen_the_interval():
    results = result("classifier-only", 0.80, 0.0), result("SWR", 0.90, 0.1)
    assert "can't tell" in words(minimal_run(*results, tested=40))
    assert "It beat" in words(minimal_run(*results))


def test_models_that_err_on_the_same_clips_are_told_apart_by_fewer():
    classifier = result("classifier-only", 0.80, 0.0)
    apart, together = result("SWR", 0.86, 0.1), result("SWR", 0.86, 0.1, both_right=0.79)
    assert "can't tell" in words(minimal_run(classifier, apart, tested=200))
    assert "It beat" in words(minimal_run(classifier, together, tested=200))


def test_seeds_are_averaged():
    results = [
        result(method, accuracy + 0.01 * seed, cost, both_right=0.75)
        for method, accuracy, cost in (("classifier-only", 0.8, 0.0), ("SWR", 0.9, 0.1))
        for seed in range(3)
    ]
    results[-1]["testing_accuracy"] = 0.95
    text = words(minimal_run(*results))
    assert "with 3 seeds" in text
    assert "SWR (mean of 3)" in text
    assert "From seed to seed the difference was +10.0 to +13.0" in text
    assert "repeat the run" not in text
    assert "repeat the run" in words(minimal_run(results[0], results[3]))


def test_diverged_training_is_shown(run):
    diverged = copy.deepcopy({"tasks": run["tasks"][:1]})
    diverged["tasks"][0]["histories"] = {"lost": {"loss": [1.0, float("nan"), None]}}
    assert "lost" in words(diverged)


def test_histories_of_keras(base, dataset):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    supernet = swr.SuperNet(base, num_classes=3)
    supernet.compile("adam", loss, metrics=["accuracy"])
    histories = {
        "super-net": supernet.fit(
            dataset, validation_data=dataset, epochs=2, shuffle=False, verbose=0
        ).history
    }
    search = swr.PolicySearch(supernet)
    search.compile("adam", loss)
    histories["policy search"] = search.fit(dataset, epochs=2, shuffle=False, verbose=0).history
    run = minimal_run()
    run["tasks"][0].update(
        histories=histories,
        policy_curve=policy_curve(search),
        policy_tracking_error=search.grid_error(),
    )
    text = words(run)
    for label in ("loss", "accuracy", "training", "validation"):
        assert label in text
    for label in ("task loss", "cost loss", "mean of |expected cost - target cost|"):
        assert label in text


def test_bad_runs_are_refused(run):
    good = result("SWR", 0.9, 0.1)
    curve = {"layers": ["other"], "num_parameters": [1], "kinds": ["dense"]}
    for bad, message in (
        ({}, "list `tasks`"),
        ({"tasks": [{"task": "one"}]}, r"tasks\[0\] of a report lacks \['labels'"),
        (minimal_run({"method": "SWR"}), "validation_accuracy"),
        (minimal_run({**good, "testing_accuracy": 93.0}), "testing_accuracy=93.0"),
        (minimal_run({k: v for k, v in good.items() if k != "target_cost"}), "target_cost"),
        (minimal_run(tested=0), "testing=0"),
        (
            minimal_run(
                result("classifier-only", 0.8, 0.0),
                {k: v for k, v in good.items() if k != "both_right"},
            ),
            "both_right",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            render_report(bad)
    for extra, message in (
        ({"confusions": [{"title": "t", "counts": [[1, 2]]}]}, r"2 rows of 2.*lengths \[2\]"),
        ({"policy_curve": curve}, r"\['conv'\]"),
    ):
        bad = minimal_run(good)
        bad["tasks"][0].update(extra)
        with pytest.raises(ValueError, match=message):
            render_report(bad)


def test_matplotlib_settings_are_left_alone(run):
    before = dict(matplotlib.rcParams)
    render_report({"tasks": run["tasks"][:1]})
    assert dict(matplotlib.rcParams) == before
