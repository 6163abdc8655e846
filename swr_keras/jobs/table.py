def results_table(run):
    return "\n".join(f"{r.task} {r.name} {r.target_cost} {r.validation_accuracy} {r.testing_accuracy}" for r in run.results if r.kind in ("model", "int8"))
