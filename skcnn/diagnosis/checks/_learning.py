"""Checks of how training went, by the history of its loss."""

import numpy as np
from scipy.stats import spearmanr, theilslopes

from skcnn.diagnosis._check import Check, Evidence, Finding
from skcnn.diagnosis._components import is_number
from skcnn.diagnosis._observations import Observations
from skcnn.diagnosis._strengths import defaults_of, rate_name
from skcnn.diagnosis.checks._trials import history_chart, tried

__all__ = ["LossBlewUp", "LossFalling", "LossNeverFell", "ValidationTurned"]


def _guessing_loss(seen: Observations) -> float:
    """Return the loss of a network that knows nothing, whatever weights its classes have."""
    if seen.kind == "regression":
        return max(1.0, float(np.square(seen.train.targets).mean()))
    return float(np.log(max(2, len(seen.classes)))) if seen.has_classes else float(np.log(2))


def other_rates(seen: Observations, lower: bool = False) -> list[dict[str, float]]:
    """Return learning rates to try: the default if the present one differs, else a tenth and ten times of it."""
    params = seen.components.params
    name = rate_name(params)
    usual = defaults_of(seen.components).get(name)
    if not name:
        return []
    present = float(params[name])
    if is_number(usual) and (usual < present / 2 or (not lower and usual > 2 * present)):
        between = float(f"{(usual * present) ** 0.5:.1g}")
        return [{name: float(usual)}, {name: between}] if usual < present else [{name: float(usual)}]
    return [{name: present * factor} for factor in ((0.1,) if lower else (0.1, 10.0))]


def longer(seen: Observations, times: int) -> dict[str, int]:
    """Return a longer training, at least as long as by default, if its length is a parameter."""
    params, usual = seen.components.params, seen.components.auto_epochs(len(seen.train.y))
    names = [name for name in ("epochs", "max_iter") if is_number(params.get(name))]
    return {name: max(times * int(params[name]), usual) for name in names[:1]}


class LossBlewUp(Check):
    """A training loss far above that of guessing: steps so long that they threw the weights away.

    Threshold: in some epoch ten times the loss of a network that knows nothing: the logarithm of the number of classes,
    which also bounds that of any weights; or for a regression the mean square of the targets, and at least 1. Networks
    of ReLUs now and then come back from it, with dead units. The effect is what the default learning rate gains, or a
    tenth of the present one where that is no higher.
    """

    code, cause = "loss_blew_up", "fit"
    title = "The training loss blew up"
    question = "Did the training loss stay near what guessing costs, or below?"
    why = "Steps that long throw the weights away: units die, outputs saturate, and what is learned then is luck."
    do = "Lower the learning rate by a factor of ten or more, clip the gradients (clipnorm=1), scale the inputs."
    cures = ("slower",)
    threshold = 10.0

    def look(self, seen: Observations) -> Finding | str:
        """Compare the highest loss with that of a network that knows nothing."""
        loss = seen.need_history()
        guessing = _guessing_loss(seen)
        worst = int(loss.argmax())
        text = f"The training loss was highest in epoch {worst + 1}: {loss[worst]:.3g}; guessing costs {guessing:.3g}."
        if loss[worst] < self.threshold * guessing:
            return text
        trial = tried(seen, *other_rates(seen, lower=True))
        evidence = [
            Evidence("highest training loss, times that of guessing", loss[worst] / guessing, n=len(seen.train.y)),
            Evidence.of(f"training {seen.score_name}", seen.train.score),
        ]
        return self.finding(text, evidence, chart=history_chart(seen), **trial.facts)


class LossNeverFell(Check):
    """A training loss that never went down.

    Threshold: the mean of the last tenth of the epochs is above 90% of the first epoch's loss, and the model is wrong
    on a fifth of the training samples or more (R² below 0.5). One epoch already takes what is easy, hence not 100%. Or,
    for classes: the last loss is no lower than 95% of what one gets without X, and
    the balanced accuracy on the training samples is not significantly above guessing. A loss that falls slowly but
    steadily (rank correlation with the epoch below -0.9, and by 2%) is that of a short training.
    The effect is what another learning rate gains: the default, or a tenth and ten times of the present one.
    """

    code, cause = "loss_never_fell", "fit"
    title = "The training loss never fell"
    question = "Did the training loss fall?"
    why = "The network has not learned even its training samples: nothing else about it can be judged."
    do = "Try learning rates ten times lower and higher; check the scale of the inputs, the labels and the loss."
    cures = ("rates",)
    threshold = 0.9

    def look(self, seen: Observations) -> Finding | str:
        """Compare first and last epochs."""
        loss = seen.need_history(least_epochs=2)
        last = float(loss[-max(1, len(loss) // 10) :].mean())
        text = f"The training loss went from {loss[0]:.3g} to {last:.3g} in {len(loss)} epochs."
        learned = seen.train.score.value > (0.5 if seen.kind == "regression" else 0.8)
        steady = spearmanr(np.arange(len(loss)), loss).statistic < -0.9 and last < 0.98 * loss[0]
        if learned or steady or not (last >= self.threshold * loss[0] or self._like_guessing(seen, last)):
            return text
        trial = tried(seen, *other_rates(seen))
        evidence = [
            Evidence("loss of the first epoch", loss[0], n=len(seen.train.y)),
            Evidence("loss of the last epochs", last, n=len(seen.train.y)),
            Evidence.of(f"training {seen.score_name}", seen.train.score),
        ]
        return self.finding(text, evidence, chart=history_chart(seen), **trial.facts)

    @staticmethod
    def _like_guessing(seen: Observations, last: float) -> bool:
        at_chance = seen.has_classes and seen.train.balanced.low <= seen.train.by_guessing
        return at_chance and last > 0.95 * _guessing_loss(seen)


class LossFalling(Check):
    """A training loss that was still falling when training ended.

    The fall is that of the median slope over the last third of the epochs (Theil and Sen; Sen 1968,
    https://doi.org/10.1080/01621459.1968.10480934), so that one lucky epoch decides nothing.

    Threshold: per fifth of the training, 8% of the whole fall so far, and 1% of what the loss was at first, while more
    than 20% of that is left. Of a loss that decays exponentially and falls by 8% of its whole fall in the last fifth,
    another sixth is to come; along a straight line the last fifth has 20%. With early stopping the validation loss must
    still fall, too. Or there were fewer than 300 steps of a network: under a schedule that ends at a rate of 0 the loss
    settles however early that is. The effect is what four times as many epochs gain, or as many as there are by
    default.
    """

    code, cause = "loss_falling", "fit"
    title = "Training ended while the loss was falling"
    question = "Had the training loss settled when training ended?"
    why = "The network would have learned more: a bad score shows short training, not an unfit network."
    do = "Train for more epochs (with early_stopping=True they are an upper bound), or at a higher learning rate."
    cures = ("longer",)
    threshold = 0.08
    least = 0.01
    left = 0.2
    times = 4
    least_steps = 300

    def look(self, seen: Observations) -> Finding | str:
        """Measure the fall at the end."""
        loss = seen.need_history(least_epochs=2)
        fall, left = self._fall(loss)
        text = (
            f"When training ended, after {len(loss)} epochs, the loss was falling by {fall:.1%} of its first value per "
            f"fifth of the training; {left:.0%} of that value was left."
        )
        val = seen.components.history.get("val_loss")
        settled = fall < max(self.least, self.threshold * (1 - left)) or left < self.left
        settled = settled or bool(val and self._fall(np.array(val))[0] < self.least / 2)
        n_steps = self._steps(seen, len(loss))
        if settled and n_steps >= self.least_steps:
            return text
        more = longer(seen, self.times)
        trial = tried(seen, more)
        if trial.refitted and not trial.raised:
            return f"{text} But {max(more.values())} epochs do not raise the test score."
        evidence = [
            Evidence("fall per fifth of the epochs, share of the first loss", fall, n=len(seen.train.y)),
            Evidence("share of the first loss that is left", left, n=len(seen.train.y)),
            Evidence("epochs", len(loss)),
            Evidence("steps", n_steps),
        ]
        return self.finding(text, evidence, chart=history_chart(seen), **trial.facts)

    @staticmethod
    def _steps(seen: Observations, n_epochs: int) -> float:
        """Return how many steps the training took, infinitely many where that is not known."""
        size = seen.components.params.get("batch_size")
        if not seen.components.is_network or not is_number(size):
            return np.inf
        return float(n_epochs * -(-len(seen.train.y) // int(size)))

    @staticmethod
    def _fall(loss: np.ndarray) -> tuple[float, float]:
        start = loss[: max(1, len(loss) // 10)].mean()
        end = loss[-max(3, len(loss) // 3) :]
        slope = theilslopes(end).slope
        return float(-slope * len(loss) / 5 / start), float(np.median(end) + slope * (len(end) - 1) / 2) / float(start)


class ValidationTurned(Check):
    """A validation loss that turned long before training ended, with the last weights kept.

    Threshold: the lowest validation loss lies in the first two thirds of training, the last is 20% higher, many times
    the few percent at which rules of early stopping stop (Prechelt 1998,
    https://doi.org/10.1016/S0893-6080(98)00010-0). The effect is what early stopping gains, or training
    for as many epochs as were best.
    """

    code, cause = "val_turned", "fit"
    title = "Training went on after the validation loss turned"
    question = "Were the weights kept at which the validation loss was lowest?"
    why = "From the turn on the network has learned its training samples by heart."
    do = "Set early_stopping=True, or train for fewer epochs; regularise if the turn comes early."
    cures = ("stop_early", "regularise")
    threshold = 1.2

    def look(self, seen: Observations) -> Finding | str:
        """Compare the last validation loss with the lowest."""
        loss = seen.need_history("val_loss")
        best = int(loss.argmin())
        kept = int(getattr(seen.components.final, "best_iter_", len(loss)))
        text = f"The validation loss was lowest in epoch {best + 1} of {len(loss)}: {loss[best]:.3g}."
        if kept != len(loss):
            return f"{text} The weights of epoch {kept} were kept."
        if loss[-1] < self.threshold * loss[best] or best + 1 > 2 / 3 * len(loss):
            return text
        params = seen.components.params
        stopped = {"early_stopping": True} if params.get("early_stopping") in (False, "auto") else {}
        trial = tried(seen, stopped or ({"epochs": best + 1} if "epochs" in params else {}), lead=False)
        if trial.refitted and not trial.raised:
            return f"{text} But training that stops earlier does not raise the test score."
        evidence = {"lowest validation loss": loss[best], "last validation loss": loss[-1]}
        text = f"{text} At the end it was {loss[-1]:.3g}."
        return self.finding(text, evidence, chart=history_chart(seen), **trial.facts)
