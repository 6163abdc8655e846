"""The page that tells what a run found: one HTML file that needs nothing else."""

import json
from statistics import fmean
from typing import Any

from swr_keras.reporting import figures
from swr_keras.reporting.check import check_run
from swr_keras.reporting.confusion import confusion_table, frequent_mistakes
from swr_keras.reporting.markup import Markup, bar, element, join, table
from swr_keras.reporting.results import INT8, SWR, grouped, percent, results_table, verdict
from swr_keras.reporting.style import STYLE
from swr_keras.reporting.usage import cpp_snippet, python_snippet


def render_report(run: dict[str, Any]) -> str:
    """Renders a run as one self-contained HTML page: no script, no network, no other file.

    Args:
        run: A dict that JSON can express. Unknown keys are ignored; sections without data are
            left out.

            - `title` (optional): heading of the page.
            - `base` (optional): dict with `name`, and optionally `parameters` (count), `bytes` (of
              its weights in float32) and `multiplies` (for one example).
            - `tasks`: a list with a dict for each task:
                - `task`: its name; `labels`: class names; `clips`: number of clips by split,
                  "training", "validation" and "testing".
                - `results`: a list of dicts with `method`, `validation_accuracy` and
                  `testing_accuracy` in [0, 1], and optionally `target_cost`, `achieved_cost`,
                  `changed_layers` (paths) and `owned_bytes` (float32). The methods "SWR",
                  "SWR int8" and "classifier-only" are compared; those of SWR need all of these
                  but the bytes, and `both_right` beside a "classifier-only": the share of test
                  clips that both got right. Rows of the same method and target cost are
                  repetitions (other seeds, other random policies), and are averaged.
                - `histories` (optional): `keras.callbacks.History.history` by title of the stage.
                - `policy_curve` (optional): what `policy_curve` returned.
                - `policy_tracking_error` (optional): `PolicySearch.grid_error()`.
                - `confusions` (optional): a list of dicts with `title` and `counts`, numbers of
                  test clips by true class (rows) and class found (columns), both as `labels`.
                - `bundles` (optional): a list of dicts with `target_cost`, `stem` (path of the
                  bundle's files in the run folder, without their endings) and `manifest`.
            - `seconds` (optional): seconds by title of the stage.
            - `files` (optional): an explanation of a line by path in the run folder.
            - `settings`, `versions` (optional): values by name.

    Returns:
        The page; the same run gives the same page.

    Raises:
        ValueError: If something required is missing or doesn't fit together; says where.
    """
    check_run(run)
    title, tasks = run.get("title", "Transfer report"), run["tasks"]
    main = element(
        "main",
        element("h1", title),
        _introduction(run.get("base") or {}, tasks),
        *(_task(task, index) for index, task in enumerate(tasks)),
        _section("Sizes", _sizes(run.get("base") or {}, tasks)),
        _section("Seconds of each stage", _seconds(run.get("seconds"))),
        _section("How to use the outputs", _usage(run.get("files"), tasks)),
        _section("Settings", _values(run.get("settings"))),
        _section("Versions", _values(run.get("versions"))),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(STYLE)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', main), lang='en')}\n"


def _introduction(base, tasks):
    facts = [
        f"{base[key]:,} {noun}"
        for key, noun in (("parameters", "parameters"), ("multiplies", "multiplies an example"))
        if base.get(key)
    ]
    what = f"the base {base['name']}" if base.get("name") else "the base"
    what += f" ({', '.join(facts)})" if facts else ""
    names = [task["task"] for task in tasks]
    one = f"the task {names[0]}" if len(tasks) == 1 else f"{len(tasks)} tasks"
    text = (
        f"This run adapted {what} to {one}. The base stays as it is. For each task, scalable "
        "weight reparametrization (SWR) learned which layers to change, so that these hold about "
        "a given share of the parameters, the target cost. Then only these layers, the classifier "
        "and what batch norm leaves to a task were trained; the latter two are each task's own at "
        "any cost, and not counted in it. The result has the architecture and the speed of the "
        "base."
    )
    links = [element("a", name, href=f"#task-{index}") for index, name in enumerate(names)]
    return join([element("p", text), element("p", *links, class_="links")])


def _task(task, index):
    curve = task.get("policy_curve")
    parts = [
        element("h2", f"Task {task['task']}", id=f"task-{index}"),
        verdict(task),
        element("h3", "Results"),
        results_table(task),
        element(
            "p",
            "Below each accuracy: its 95 % interval for this number of clips (Wilson); of several "
            "runs, the lowest and the highest.",
            class_="note",
        ),
    ]
    if curve:
        parts += _policy(task, curve)
    if task.get("histories"):
        parts += [element("h3", "Learning curves"), _histories(task)]
    for confusion in task.get("confusions", ()):
        parts += [
            element("h3", f"Confusions on the test clips: {confusion['title']}"),
            frequent_mistakes(task["labels"], confusion["counts"]),
            confusion_table(task["labels"], confusion["counts"]),
        ]
    return element("section", *parts)


def _policy(task, curve):
    choices, trained = [], []
    for (method, cost), rows in grouped(task["results"]).items():
        if method == SWR:
            achieved = fmean(row["achieved_cost"] for row in rows)
            choices.append((f"target {cost:g}\nachieved {achieved:.3f}", rows[0]["changed_layers"]))
            trained.append((cost, achieved))
    if choices:
        picture = figures.policy_picture(curve, choices, task["task"])
        caption = (
            "Layers stand in the order of the network, from input to output; the height of a bar "
            "is the layer's share of all parameters. Depthwise layers are apart, on another scale."
        )
        yield element("h3", "Which layers SWR changed")
        yield element("figure", element("figcaption", caption), picture)
    caption = "One policy network answers for every target cost, without training again."
    if task.get("policy_tracking_error") is not None:
        caption += (
            f" On average over target costs from 0.05 to 0.9, the expected cost is off by "
            f"{task['policy_tracking_error']:.3f}."
        )
    caption += (
        " The budget reading fills up to the target cost with whole layers and never exceeds it; "
        "the threshold reading changes each layer with a probability above 0.5."
    )
    yield element("h3", "Achieved against target cost")
    picture = figures.cost_tracking(curve, trained, task["task"])
    yield element("figure", element("figcaption", caption), picture)


def _histories(task):
    cells = [
        element(
            "figure",
            element("h4", title),
            figures.learning_curves(history, f"{task['task']}, {title}"),
        )
        for title, history in task["histories"].items()
    ]
    return element("div", *cells, class_="grid")


def _sizes(base, tasks):
    return join([_flash(tasks), _packs(base, tasks)])


def _flash(tasks):
    rows = [
        (
            task["task"],
            f"{bundle['target_cost']:g}",
            f"{bundle['manifest']['size_bytes']:,}",
            f"{bundle['manifest']['arena']['bytes_host_estimate']:,}",
            _int8_accuracy(task, bundle["target_cost"]),
        )
        for task in tasks
        for bundle in task.get("bundles", ())
    ]
    if not rows:
        return Markup()
    headings = (
        "task",
        "target cost",
        "flash (bytes)",
        "RAM on the host (bytes)",
        "test accuracy as int8",
    )
    text = (
        "On a microcontroller, the .tflite file lies in flash and its tensors take RAM, the arena. "
        "The arena was measured on the host with TFLite Micro's reference kernels; a device takes "
        "a somewhat different one, so leave some room and let the firmware report it."
    )
    return join([element("h3", "On a device, as int8"), element("p", text), table(headings, rows)])


def _int8_accuracy(task, cost):
    rows = grouped(task["results"]).get((INT8, cost))
    return percent(fmean(row["testing_accuracy"] for row in rows)) if rows else ""


def _packs(base, tasks):
    owned = [
        {
            cost: fmean(row["owned_bytes"] for row in rows)
            for (method, cost), rows in grouped(task["results"]).items()
            if method == SWR and all(row.get("owned_bytes") is not None for row in rows)
        }
        for task in tasks
    ]
    costs = [cost for cost in owned[0] if all(cost in by_cost for by_cost in owned)]
    if not base.get("bytes") or not costs:
        return Markup()
    count = len(tasks)
    copies = f"{count} full cop{'y' if count == 1 else 'ies'}"
    sizes = [(copies, count * base["bytes"])]
    for cost in costs:
        name = f"base + {count} pack{'' if count == 1 else 's'} at target cost {cost:g}"
        sizes.append((name, base["bytes"] + sum(by_cost[cost] for by_cost in owned)))
    largest = max(size for _, size in sizes)
    rows = [(name, bar(size / largest), f"{size:,.0f}") for name, size in sizes]
    text = (
        "A pack holds what a task owns: the changes of its layers, its classifier and its batch "
        "norm statistics. Many tasks then cost one base and a pack each, instead of a full network "
        "each. These are the sizes of the values; a file has some kilobytes more, for names and "
        "the policy."
    )
    if count == 1:
        text += " With a single task there is nothing to share yet."
    return join(
        [
            element("h3", "To store or send, in float32"),
            element("p", text),
            table(("", "", "bytes"), rows, text_columns=2),
        ]
    )


def _seconds(seconds):
    if not seconds:
        return Markup()
    total = sum(seconds.values())
    rows = [(title, bar(value / (total or 1)), f"{value:,.1f}") for title, value in seconds.items()]
    last = (element("b", "total"), "", element("b", f"{total:,.1f}"))
    return table(("stage", "", "seconds"), [*rows, last], text_columns=2)


def _usage(files, tasks):
    parts = []
    if files:
        rows = [(element("code", path), text) for path, text in files.items()]
        parts.append(table(("file", "what it is"), rows, text_columns=2))
    bundle = next((bundle for task in tasks for bundle in task.get("bundles", ())), None)
    if bundle:
        stem, manifest = bundle["stem"], bundle["manifest"]
        parts += [
            element("h3", "On a computer, in Python (in the run folder)"),
            element("pre", python_snippet(stem, manifest)),
            element("h3", "On a microcontroller, in C++ for TFLite Micro"),
            element(
                "p",
                f"Add {stem}.h and {stem}.cc to the firmware, and a front end that computes the "
                f"same features as {manifest['front_end']['class']}; its parameters are in "
                f"{stem}.json.",
            ),
            element("pre", cpp_snippet(stem.rpartition("/")[2], manifest)),
        ]
    return join(parts)


def _values(values):
    if not values:
        return Markup()
    rows = [
        (name, element("code", value if isinstance(value, str) else json.dumps(value)))
        for name, value in values.items()
    ]
    return table(("name", "value"), rows, text_columns=2)


def _section(title, content):
    return element("section", element("h2", title), content) if content else Markup()
