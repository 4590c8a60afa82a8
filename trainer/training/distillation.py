"""Knowledge distillation: a small network learns from a large one's predictions, besides the labels.

Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015. The teacher sees the same picture as the
student, with the same random changes, at its own size (Beyer et al., "Knowledge distillation: A good teacher is patient
and consistent", 2022). It runs inside the input pipeline, so that its predictions for the next batch are computed while
the student learns from the current one.
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
_MOST_SCORES = 64_000_000  # scores to keep in memory for all epochs: half a gigabyte, together with the labels
_BATCH = 64


class Teacher:
    """A trained network, and how a student learns from its predictions.

    A *target*, float32 (N, 2 × classes), is what the student's loss reads: the labels, one number per class (in a mixed
    picture, the share of each class), followed by the teacher's scores. Scores of zero stand for no prediction.

    Attributes:
        contract: Input contract of the teacher.
        size: Height and width of the teacher's pictures in training.
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
        """Set up a network as a teacher.

        Args:
            network: Network that outputs scores (N, classes), after softmax, or after a sigmoid for multi-label data.
            config: Temperature, weights of the losses and whether to flip.
            contract: Input contract of the network.
            pixels: Training pictures at the teacher's input size, in the student's order; None: the student's pictures.
            loss: Loss on the labels; None: the default for the kind of labels.
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
        """Whether the student also learns the last feature map."""
        return self._config.feature_weight > 0

    def student_of(self, network: tf_keras.Model) -> tf_keras.Model:
        """Return the network to train: with a projection of its feature map if that is learned, too."""
        return (
            _hinted(network, self._network.output_shape[1][-1], self._config.feature_weight) if self.hints else network
        )

    def compile(self, student: tf_keras.Model, optimizer: Any, labels: NDArray[Any], *, label_smoothing: float) -> None:
        """Compile the student with the loss and the accuracy for the kind of labels.

        Args:
            student: Network from `student_of`.
            optimizer: Keras optimizer.
            labels: Labels of the training pictures, int64 (N,) or uint8 (N, classes).
            label_smoothing: Label smoothing of the loss on the labels, 0–1.
        """
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
        """Return endless batches of (pictures, the teacher's pictures, labels), or of (pictures, targets).

        Args:
            train: The student's training pictures.
            batch_size: Size of every batch.
            seed: Seed of the random order.
            share: Size of the pictures in training, as a share of the input size, for teacher and student.
            fixed: If True, every epoch shows the same pictures, and the teacher's predictions are computed once in
                advance, unless they need too much memory.
        """
        self.size = train_size(self.contract.height, share)
        own = train if self._pixels is None else self._pixels
        classes = self._network.output_shape[0][-1]
        if fixed and not self.hints and len(train) * classes <= _MOST_SCORES:
            targets = as_targets(train.labels, classes).numpy()
            targets = np.concatenate([targets, self._predictions(own)], axis=1)
            return endless_batches(train, batch_size, seed=seed, targets=targets)
        return endless_batches(train, batch_size, seed=seed, beside=own.images)

    def targets(self, truth: tf.Tensor, pictures: tf.Tensor) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]:
        """Return the targets of pictures, and the teacher's feature map if that is learned, too.

        Args:
            truth: float32 (N, classes), one-hot labels, or the share of each class in mixed pictures.
            pictures: float32 (N, size, size, 3) RGB, 0–255.
        """
        import tensorflow as tf

        scores, feature_map = self._look(pictures)
        target = tf.concat([truth, scores], axis=-1)
        return (target, feature_map) if self.hints else target

    def labels_only(self, labels: tf.Tensor) -> tf.Tensor:
        """Return targets without the teacher's predictions; their loss is that on the labels alone."""
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

    def _predictions(self, pixels: Pixels) -> NDArray[np.float32]:
        import tensorflow as tf

        @tf.function  # type: ignore[misc, untyped-decorator]
        def predict(images: tf.Tensor) -> tf.Tensor:
            images = tf.cast(images, tf.float32)
            if images.shape[1] != self.size:
                images = tf.image.resize(images, (self.size, self.size))
            return self._look(images)[0]

        return np.concatenate([predict(images).numpy() for images, _ in batches(pixels, _BATCH)])


def distillation_loss(
    targets: tf.Tensor,
    scores: tf.Tensor,
    config: DistillConfig,
    *,
    label_smoothing: float = 0.0,
    hard_loss: Loss | None = None,
    multi_label: bool = False,
) -> tf.Tensor:
    """Compute the weighted sum of the soft and the hard loss for each picture.

    ``weight × T² × KL(teacher at T ‖ student at T) + (1 − weight) × cross-entropy with the labels``; the factor T²
    keeps the ratio of the two gradients when the temperature changes (Hinton et al., 2015, section 2). Logits are not
    needed, since the scores' logarithms equal them up to a constant. With several labels per photo, each class is a
    binary decision, and the divergence is the mean over the classes.

    Args:
        targets: float32 (N, 2 × classes), from `Teacher`.
        scores: float32 (N, classes), the student's scores after softmax or sigmoid.
        config: Temperature and weight.
        label_smoothing: Label smoothing of the cross-entropy, 0–1.
        hard_loss: Loss on the labels instead of the cross-entropy, with its own smoothing; required for multi-label
            data sets.
        multi_label: Whether photos may have several labels.

    Returns:
        float32 (N,); for pictures without a teacher's prediction, the hard loss alone.
    """
    import tensorflow as tf

    classes, temperature = scores.shape[-1], config.temperature
    labels, taught = targets[:, :classes], targets[:, classes:]
    given = tf.reduce_sum(taught, axis=-1) > 0.0
    logits = tf.math.log(tf.maximum(scores, _LEAST_SCORE))
    if hard_loss is not None:
        hard = hard_loss(labels, scores)
    else:
        labels = labels * (1.0 - label_smoothing) + label_smoothing / classes
        hard = -tf.reduce_sum(labels * tf.nn.log_softmax(logits), axis=-1)
    if multi_label:
        soft = tf.reduce_mean(_binary_divergence(_logits(taught) / temperature, _logits(scores) / temperature), -1)
    else:
        softened = tf.nn.softmax(tf.math.log(tf.maximum(taught, _LEAST_SCORE)) / temperature)
        log_ratio = tf.math.log(tf.maximum(softened, _LEAST_SCORE)) - tf.nn.log_softmax(logits / temperature)
        soft = tf.reduce_sum(softened * log_ratio, axis=-1)
    soft = temperature**2 * soft
    return tf.where(given, config.weight * soft + (1.0 - config.weight) * hard, hard)


def _logits(scores: tf.Tensor) -> tf.Tensor:
    """Logits whose sigmoid gives these scores."""
    import tensorflow as tf

    scores = tf.clip_by_value(scores, _LEAST_SCORE, 1.0 - _LEAST_SCORE)
    return tf.math.log(scores) - tf.math.log1p(-scores)


def _binary_divergence(teacher: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Elementwise KL divergence of binary predictions from the teacher's, both as logits."""
    import tensorflow as tf

    yes = tf.nn.sigmoid(teacher)
    cross = tf.nn.sigmoid_cross_entropy_with_logits(yes, logits)
    return cross - tf.nn.sigmoid_cross_entropy_with_logits(yes, teacher)


def _with_feature_map(network: tf_keras.Model) -> tf_keras.Model:
    """Return a network with two outputs: scores, and the feature map that global pooling reads."""
    import tf_keras

    return tf_keras.Model(network.input, [network.output, _feature_map(network)])


def _feature_map(network: tf_keras.Model) -> tf_keras.KerasTensor:
    """Return the input of the last global pooling."""
    import tf_keras

    for layer in reversed(network.layers):
        if layer.name == FEATURES_LAYER or isinstance(layer, tf_keras.layers.GlobalAveragePooling2D):
            return layer.input
    return network.output


def _hinted(network: tf_keras.Model, teacher_channels: int, weight: float) -> tf_keras.Model:
    """Return a student that learns the teacher's last feature map besides its scores.

    Both maps are normalized to unit length over the channels, so that their scales do not matter. A 1×1 convolution
    projects the student's channels to the teacher's and is discarded after training (FitNets, Romero et al., 2015).
    """
    import tensorflow as tf
    import tf_keras

    feature_map = _feature_map(network)
    if feature_map.shape[-1] != teacher_channels:
        # Seeded, because a killed run repeats this stage in another process.
        begin = tf_keras.initializers.GlorotUniform(seed=0)
        feature_map = tf_keras.layers.Conv2D(teacher_channels, 1, kernel_initializer=begin, name="hint_projection")(
            feature_map
        )

    class Hinted(tf_keras.Model):  # type: ignore[misc]  # tf_keras has no types
        """Trains with the feature map; evaluates without it."""

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
    student.hint_branches = branches  # so that the student trains the projection's weights
    return student
