"""What metrics mean, in plain words."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Meaning:
    """A metric: its title, what it says, whether it is a share, and which way is better."""

    title: str
    text: str = ""
    share: bool = True
    lower_is_better: bool = False

    def show(self, value: float, unit: str = "", *, signed: bool = False) -> str:
        """The value as people read it; of a share in percent."""
        sign = "+" if signed else ""
        if self.share and not unit:
            return f"{100 * value:{sign}.2f}{' points' if signed else ' %'}"
        return f"{value:{sign}.4g}{unit and f' {unit}'}"


_AVERAGES = {
    "": "",
    "_macro": " Mean over classes: each counts alike.",
    "_weighted": " Mean over classes: frequent ones count more.",
    "_micro": " All classes taken together.",
}
_KINDS = {
    "precision": "Of what was predicted, the share that is right.",
    "recall": "Of what is annotated, the share that was found.",
    "f1": "Precision and recall in one number (their harmonic mean).",
}
_SIZES = {
    "": "",
    "_50": " A box counts as found at half overlap (IoU 0.5).",
    "_75": " A box counts as found at an overlap of 0.75.",
    "_small": " Objects below 32 x 32 pixels.",
    "_medium": " Objects between 32 x 32 and 96 x 96 pixels.",
    "_large": " Objects above 96 x 96 pixels.",
}
_RECALLS = {
    "_1": " With 1 object an image.",
    "_10": " With 10 objects an image.",
    "_100": " With 100 objects an image.",
    **{size: _SIZES[size] for size in ("_small", "_medium", "_large")},
}


def _number(title: str, text: str, *, lower_is_better: bool = True) -> Meaning:
    return Meaning(title, text, share=False, lower_is_better=lower_is_better)


def _titled(name: str) -> str:
    return name.replace("_", " ").strip().capitalize()


MEANINGS: Mapping[str, Meaning] = {
    "top_1": Meaning("Top-1 accuracy", "How often the most likely class is the annotated one."),
    "top_5": Meaning("Top-5 accuracy", "How often the annotated class is among the best five."),
    "log_loss": _number("Log loss", "Punishes being sure and wrong; 0 is perfect."),
    "ece": Meaning(
        "Calibration error (ECE)",
        "How far confidences are from how often they are right. 0: '80 % sure' is right in "
        "80 % of cases.",
        lower_is_better=True,
    ),
    "mean_rank": _number("Mean rank", "Where the annotated class stands on average; 1 is best."),
    "mean_confidence": Meaning("Mean confidence", "Of the predictions; nothing is annotated."),
    "exact_match": Meaning("Exact match", "Images whose classes are all right, none extra."),
    "voc_map": Meaning("VOC mAP", "Mean average precision as Pascal VOC has it since 2010."),
    "voc_map_11": Meaning("VOC mAP, 11 points", "As Pascal VOC 2007 has it."),
    "mean_iou": Meaning("Mean IoU", "Overlap of predicted and annotated areas, mean of classes."),
    "pixel_accuracy": Meaning("Pixel accuracy", "The share of pixels whose class is right."),
    "mean_accuracy": Meaning("Mean accuracy", "Pixel accuracy within each class, their mean."),
    "frequency_weighted_iou": Meaning("Weighted IoU", "Overlap; large classes count more."),
    "dice": Meaning("Dice", "Overlap as twice the common area over the sum of both."),
    "psnr": _number("PSNR", "Likeness to the true picture; 30 dB is good.", lower_is_better=False),
    "psnr_holes": _number(
        "PSNR in the holes", "Of the filled pixels alone.", lower_is_better=False
    ),
    "ssim": _number("SSIM", "Likeness of structure; 1 is the same picture.", lower_is_better=False),
    "mse": _number("Mean squared error", "Large errors count most."),
    "msle": _number("Mean squared log error", "Errors as ratios: 1 for 2 counts as 10 for 20."),
    "rmse": _number("Root mean squared error", "A typical error, in the unit of the target."),
    "mae": _number("Mean absolute error", "The mean size of an error, in the target's unit."),
    "r2": _number("R²", "Share of the variation explained; 1 is perfect.", lower_is_better=False),
    "mean_score": _number("Mean score of an image", "As the task has it.", lower_is_better=False),
    "confidence": Meaning("Confidence", "In the class that the baseline predicts."),
    **{
        f"map{size}": Meaning(
            f"mAP{size.replace('_', ' ')}",
            f"Mean average precision: how well objects are found, over all thresholds.{text}",
        )
        for size, text in _SIZES.items()
    },
    **{
        f"mar{end}": Meaning(f"Recall{end.replace('_', ' ')}", f"Objects found, mean.{text}")
        for end, text in _RECALLS.items()
    },
    **{
        f"{kind}{average}": Meaning(_titled(f"{kind} {average}"), text + more)
        for kind, text in _KINDS.items()
        for average, more in _AVERAGES.items()
    },
    "ap": Meaning("AP", "Average precision of the class."),
    "ap_50": Meaning("AP 50", "At half overlap."),
    "ap_75": Meaning("AP 75", "At an overlap of 0.75."),
    "voc_ap": Meaning("VOC AP", "Average precision as Pascal VOC has it."),
    "iou": Meaning("IoU", "Overlap of predicted and annotated areas."),
    "predicted_pixels": _number("Predicted pixels", "How many pixels were predicted as it."),
    "predictions": _number("Predictions", "How often the class was predicted."),
}
"""Of the metrics that the server has; others are shown by their name."""


def meaning(name: str) -> Meaning:
    """What a metric means; of one that is not known its name alone."""
    return MEANINGS.get(name) or Meaning(name, share=False)
