"""How much the outputs of a model depend on each of its layers."""

import keras
import numpy as np
import tensorflow as tf

from swr_keras.training.heads import default_loss
from swr_keras.training.task import Task
from swr_keras.training.transfer_model import TransferModel

_BATCH = 64


def fisher_information(model: TransferModel, task: Task, examples: int) -> dict[str, float]:
    """Returns the empirical Fisher information of each policy unit of a model, by path.

    That is the squared gradient of the loss of one example, summed over the weights that the unit
    gives the task, averaged over examples. The model runs as in inference.

    Args:
        model: A super-net or task model; it is not changed. A closed unit counts 0.
        task: Its task, of whose training examples it takes the first, augmented as they come.
        examples: How many, at most.
    """
    loss = keras.losses.get(task.loss or default_loss(model, task.labels_spec))
    owned = model.owned_variables
    place = {id(variable): index for index, variable in enumerate(owned)}

    strategy = model.distribute_strategy

    def squares(x, y):
        with tf.GradientTape() as tape:
            # Keras divides it by the replicas, though each has the whole example here.
            value = loss(y, model(x, training=False)) * strategy.num_replicas_in_sync
        gradients = tape.gradient(value, owned, unconnected_gradients="zero")
        return tf.stack([tf.reduce_sum(tf.square(tf.cast(g, "float32"))) for g in gradients])

    @tf.function(reduce_retracing=True)
    def of_first(x, y):
        return strategy.experimental_local_results(strategy.run(squares, (x, y)))[0]

    every = task.training(_BATCH).unbatch().batch(1).take(examples)
    found = np.mean([of_first(*batch[:2]) for batch in every], axis=0)
    units: dict[str, float] = dict.fromkeys(model.units, 0.0)
    by_layer = {path: unit for unit, each in model.units.items() for path in each.layers}
    for name, variable in model.task_variables().items():
        unit = by_layer.get(name.rpartition("/")[0])
        if unit is not None and id(variable) in place:
            units[unit] += float(found[place[id(variable)]])
    return units
