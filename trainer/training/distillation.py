"""Knowledge distillation: a small network learns from a large one's answers, beside the labels.

Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015. The teacher sees the very picture that the
student sees, with the same random changes, at its own size (Beyer et al., "Knowledge distillation: A good teacher is
patient and consistent", 2022). It works inside the input pipeline, so that the next batch's answers are made while the
student learns from this one's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.config import DistillConfig, LossConfig
from trainer.training.augmentation.augment import normalize
from trainer.training.loop.fit import batches, endless_batches, of_any_size, train_size
from trainer.training.loop.losses import Loss, accuracy_of, as_targets, fitted_to, picture_loss
from trainer.training.networks.backbones import FEATURES_LAYER

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras
    from numpy.typing import NDArray

    from edge_runtime.types import InputContract
    from trainer.types import Pixels

_LEAST_SCORE = 1e-7
_MOST_ANSWERS = 64_000_000  # scores that are kept from the first epoch on: half a gigabyte with the labels beside them
_BATCH = 64


class Teacher:
    """A trained network and how its answers are learned from.

    A *target* is what the student's loss reads: the labels, one number a class (of a mixed picture, their shares),
    followed by the teacher's scores, float32 (N, 2 × classes); scores of zero stand for no answer.

    Attributes:
        contract: How pictures become the teacher's input.
        size: Height and width at which it looks at pictures in training.
    """

    def __init__(
        self,
        network: tf_keras.Model,
        config: DistillConfig,
        *,
        contract: InputContract,
        pixels: Pixels | None = None,
        loss: LossConfig | None = None,
    ) -> None:
        """Takes a network as a teacher.

        Args:
            network: Gives scores (N, classes), after softmax, or after a sigmoid where photos have several labels.
            config: Temperature, weights and views.
            contract: Of its input.
            pixels: The training pictures at its input size, in the student's order; None: the student's own.
            loss: By which the student learns the labels; None: what fits them.
        """
        self.contract = contract
        self.size = contract.height
        self._config = config
        self._pixels = pixels
        self._loss = loss or LossConfig()
        self._network = _with_feature_map(of_any_size(network))
        self._network.trainable = False

    @property
    def hints(self) -> bool:
        """Whether the student learns the last feature map too."""
        return self._config.feature_weight > 0

    def student_of(self, network: tf_keras.Model) -> tf_keras.Model:
        """The network as it is to be trained: with a projection of its feature map where that is learned, too."""
        return (
            _hinted(network, self._network.output_shape[1][-1], self._config.feature_weight) if self.hints else network
        )

    def compile(self, student: tf_keras.Model, optimizer: Any, labels: NDArray[Any], *, label_smoothing: float) -> None:
        """Sets the student's loss and its accuracy, which fit the training pictures' labels."""
        classes, multi_label = student.output_shape[-1], labels.ndim == 2
        settings, by_label = fitted_to(self._loss, multi_label=multi_label), accuracy_of(labels)
        hard = None
        if settings.kind != "categorical_crossentropy" or settings.class_weights != "none":
            hard = picture_loss(settings, labels, classes, label_smoothing=label_smoothing)

        def loss(targets: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
            return distillation_loss(
                targets,
                scores,
                self._config,
                label_smoothing=label_smoothing,
                hard_loss=hard,
                multi_label=multi_label,
            )

        def accuracy(targets: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
            return by_label(targets[:, :classes], scores)

        student.compile(optimizer, loss=loss, metrics=[accuracy])

    def training_batches(
        self, train: Pixels, batch_size: int, *, seed: int, share: float, fixed: bool
    ) -> tf.data.Dataset:
        """Endless batches of (pictures, the teacher's pictures, labels), or of (pictures, targets).

        Args:
            train: The student's pictures.
            batch_size: Of every batch.
            seed: Of the order.
            share: Share of the input size at which both look at them.
            fixed: The same picture comes in every epoch: the teacher then answers once, beforehand,
                where its answers fit into memory.
        """
        self.size = train_size(self.contract.height, share)
        own = train if self._pixels is None else self._pixels
        classes = self._network.output_shape[0][-1]
        if fixed and not self.hints and len(train) * classes <= _MOST_ANSWERS:
            targets = as_targets(train.labels, classes).numpy()
            targets = np.concatenate([targets, self._answers(own)], axis=1)
            return endless_batches(train, batch_size, seed=seed, targets=targets)
        return endless_batches(train, batch_size, seed=seed, beside=own.images)

    def targets(self, truth: tf.Tensor, pictures: tf.Tensor) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]:
        """What the student is to learn from pictures; with the feature map where that is learned, too.

        Args:
            truth: float32 (N, classes), the labels' one-hot vectors, or the classes' shares in mixed pictures.
            pictures: float32 (N, size, size, 3) RGB, 0–255.
        """
        import tensorflow as tf

        scores, feature_map = self._look(pictures)
        target = tf.concat([truth, scores], axis=-1)
        return (target, feature_map) if self.hints else target

    def no_answer(self, labels: tf.Tensor) -> tf.Tensor:
        """Targets of pictures that the teacher was not shown: the loss is then that of the labels alone."""
        import tensorflow as tf

        truth = as_targets(labels, self._network.output_shape[0][-1])
        return tf.concat([truth, tf.zeros_like(truth)], axis=-1)

    def _look(self, pictures: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seen = normalize(pictures, self.contract.mean, self.contract.std)
        scores, feature_map = self._network(seen, training=False)
        if self._config.flip:
            mirrored, _ = self._network(seen[:, :, ::-1], training=False)
            scores = (scores + mirrored) / 2
        return scores, feature_map

    def _answers(self, pixels: Pixels) -> NDArray[np.float32]:
        import tensorflow as tf

        @tf.function  # type: ignore[misc, untyped-decorator]
        def answer(images: tf.Tensor) -> tf.Tensor:
            images = tf.cast(images, tf.float32)
            if images.shape[1] != self.size:
                images = tf.image.resize(images, (self.size, self.size))
            return self._look(images)[0]

        return np.concatenate([answer(images).numpy() for images, _ in batches(pixels, _BATCH)])


def distillation_loss(
    targets: tf.Tensor,
    scores: tf.Tensor,
    config: DistillConfig,
    *,
    label_smoothing: float = 0.0,
    hard_loss: Loss | None = None,
    multi_label: bool = False,
) -> tf.Tensor:
    """The weighted sum of the soft and the hard loss, for each picture.

    ``weight × T² × KL(teacher at T ‖ student at T) + (1 − weight) × cross-entropy with the labels``; the factor T²
    keeps the two gradients' ratio when the temperature changes (Hinton et al., 2015, section 2). Logits are not
    needed: the scores' logarithms are the logits but for a constant. With several labels a photo, each class is a
    question of its own with the answers yes and no, and the divergence is the mean over the classes.

    Args:
        targets: float32 (N, 2 × classes), as `Teacher` makes them.
        scores: float32 (N, classes) of the student, after softmax or sigmoid.
        config: Temperature and weight.
        label_smoothing: Of the cross-entropy.
        hard_loss: In the place of the cross-entropy, with its own smoothing; needed with several labels a photo.
        multi_label: Whether photos may have several.

    Returns:
        float32 (N,); where the teacher gave no answer, the hard loss alone.
    """
    import tensorflow as tf

    classes, temperature = scores.shape[-1], config.temperature
    labels, answers = targets[:, :classes], targets[:, classes:]
    given = tf.reduce_sum(answers, axis=-1) > 0.0
    logits = tf.math.log(tf.maximum(scores, _LEAST_SCORE))
    if hard_loss is not None:
        hard = hard_loss(labels, scores)
    else:
        labels = labels * (1.0 - label_smoothing) + label_smoothing / classes
        hard = -tf.reduce_sum(labels * tf.nn.log_softmax(logits), axis=-1)
    if multi_label:
        soft = tf.reduce_mean(_binary_divergence(_logits(answers) / temperature, _logits(scores) / temperature), -1)
    else:
        soft_answers = tf.nn.softmax(tf.math.log(tf.maximum(answers, _LEAST_SCORE)) / temperature)
        log_ratio = tf.math.log(tf.maximum(soft_answers, _LEAST_SCORE)) - tf.nn.log_softmax(logits / temperature)
        soft = tf.reduce_sum(soft_answers * log_ratio, axis=-1)
    soft = temperature**2 * soft
    return tf.where(given, config.weight * soft + (1.0 - config.weight) * hard, hard)


def _logits(scores: tf.Tensor) -> tf.Tensor:
    """What a sigmoid makes such scores of."""
    import tensorflow as tf

    scores = tf.clip_by_value(scores, _LEAST_SCORE, 1.0 - _LEAST_SCORE)
    return tf.math.log(scores) - tf.math.log1p(-scores)


def _binary_divergence(answers: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """KL divergence of yes-or-no answers from a teacher's, both as logits, element by element."""
    import tensorflow as tf

    yes = tf.nn.sigmoid(answers)
    cross = tf.nn.sigmoid_cross_entropy_with_logits(yes, logits)
    return cross - tf.nn.sigmoid_cross_entropy_with_logits(yes, answers)


def _with_feature_map(network: tf_keras.Model) -> tf_keras.Model:
    """A network with two outputs: scores, and the map that global pooling reads."""
    import tf_keras

    return tf_keras.Model(network.input, [network.output, _feature_map(network)])


def _feature_map(network: tf_keras.Model) -> tf_keras.KerasTensor:
    """The input of the (last) global pooling."""
    import tf_keras

    for layer in reversed(network.layers):
        if layer.name == FEATURES_LAYER or isinstance(layer, tf_keras.layers.GlobalAveragePooling2D):
            return layer.input
    return network.output


def _hinted(network: tf_keras.Model, teacher_channels: int, weight: float) -> tf_keras.Model:
    """A student that learns the teacher's last feature map beside its scores.

    Both maps are compared after normalization to unit length over the channels, so that their scales play no part;
    a 1×1 convolution, which is thrown away afterwards, fits the student's channels to the teacher's (FitNets, Romero
    et al., 2015).
    """
    import tensorflow as tf
    import tf_keras

    feature_map = _feature_map(network)
    if feature_map.shape[-1] != teacher_channels:
        # Seeded: a run that was killed begins this stage again in another process.
        begin = tf_keras.initializers.GlorotUniform(seed=0)
        feature_map = tf_keras.layers.Conv2D(teacher_channels, 1, kernel_initializer=begin, name="hint_projection")(
            feature_map
        )

    class Hinted(tf_keras.Model):  # type: ignore[misc]  # tf_keras has no types
        """Trains with the hint; is evaluated without."""

        def train_step(self, data: Any) -> dict[str, Any]:
            images, (targets, hint) = data
            with tf.GradientTape() as tape:
                scores, mine = branches(images, training=True)
                if mine.shape[1:3] != hint.shape[1:3]:
                    hint = tf.image.resize(hint, tf.shape(mine)[1:3])
                distance = tf.math.l2_normalize(mine, -1) - tf.math.l2_normalize(hint, -1)
                hint_loss = tf.reduce_mean(tf.reduce_sum(distance**2, axis=-1))
                loss = self.compute_loss(images, targets, scores) + weight * hint_loss
            variables = self.trainable_variables
            self.optimizer.minimize(loss, variables, tape=tape)
            return self.compute_metrics(images, targets, scores, None)  # type: ignore[no-any-return]

    branches = tf_keras.Model(network.input, [network.output, feature_map])
    student = Hinted(network.input, network.output)
    student.hint_branches = branches  # so that the projection's weights are the student's
    return student
